package sandbox

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// maxExpand is how many levels of a property Stripe expands, "data" of a list
// counted (facts 2.7).
const maxExpand = 4

// branch is a tree of property names to expand.
type branch map[string]branch

// expandAll replaces ids by the objects they stand for, along dotted paths.
func (v *view) expandAll(raw json.RawMessage, paths []string) ([]byte, *stripeError) {
	if len(paths) == 0 {
		return raw, nil
	}
	tree := branch{}
	for _, path := range paths {
		parts := strings.Split(path, ".")
		if len(parts) > maxExpand {
			return nil, badRequest("property_expansion_max_depth", "expand", "You cannot expand more than %d levels of a property. Property: %s", maxExpand, path)
		}
		at := tree
		for _, part := range parts {
			if at[part] == nil {
				at[part] = branch{}
			}
			at = at[part]
		}
	}
	return v.expand(raw, tree, "")
}

// expand walks one value. What is not touched stays as it is, byte for byte.
func (v *view) expand(raw json.RawMessage, tree branch, path string) (json.RawMessage, *stripeError) {
	if len(tree) == 0 {
		return raw, nil
	}
	if raw[0] == '[' {
		var all []json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, cannotExpand(path)
		}
		for i := range all {
			grown, err := v.expand(all[i], tree, path)
			if err != nil {
				return nil, err
			}
			all[i] = grown
		}
		return mustJSON(all), nil
	}
	var object map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &object) != nil {
		return nil, cannotExpand(path)
	}
	for name, below := range tree {
		here := strings.TrimPrefix(path+"."+name, ".")
		value, ok := object[name]
		if !ok {
			if value = v.includable(object, name); value == nil {
				return nil, cannotExpand(here)
			}
		}
		switch {
		case bytes.Equal(value, []byte("null")):
			continue
		case value[0] == '"':
			if value = v.lookUp(value); value == nil {
				return nil, cannotExpand(here)
			}
		case value[0] != '{' && value[0] != '[':
			return nil, cannotExpand(here)
		}
		grown, err := v.expand(value, below, here)
		if err != nil {
			return nil, err
		}
		object[name] = grown
	}
	return mustJSON(object), nil
}

func cannotExpand(path string) *stripeError {
	return badRequest("", "expand", "This property cannot be expanded (%s).", path)
}

// lookUp returns the object a quoted id stands for; nil when the sandbox has none.
func (v *view) lookUp(quoted json.RawMessage) json.RawMessage {
	o := v.world.byID[string(bytes.Trim(quoted, `"`))]
	switch o := o.(type) {
	case nil:
		return nil
	case *customer:
		if o.deleted {
			return o.deletedStub()
		}
	}
	return o.raw()
}

// includable returns a property that is there only when somebody expands it
// (facts 1.4, 1.5): a customer's sources and subscriptions, a charge's refunds, a
// price's currencies.
func (v *view) includable(object map[string]json.RawMessage, name string) json.RawMessage {
	var kind, id string
	_ = json.Unmarshal(object["object"], &kind)
	_ = json.Unmarshal(object["id"], &id)
	switch c, _ := v.world.byID[id].(*customer); {
	case kind == "customer" && c != nil && name == "sources":
		var cards []json.RawMessage
		for _, m := range c.methods {
			if m.legacy && m.attached {
				cards = append(cards, m.raw())
			}
		}
		return writeList("/v1/customers/"+id+"/sources", cards, false)
	case kind == "customer" && c != nil && name == "subscriptions":
		var live []json.RawMessage
		for _, s := range c.subs {
			if s.live() {
				live = append(live, s.raw())
			}
		}
		return writeList("/v1/customers/"+id+"/subscriptions", live, false)
	case kind == "customer" && name == "tax_ids":
		return writeList("/v1/customers/"+id+"/tax_ids", nil, false)
	case kind == "customer" && name == "invoice_credit_balance":
		return json.RawMessage("{}")
	case kind == "charge" && name == "refunds":
		var back []json.RawMessage
		if ch, _ := v.world.byID[id].(*charge); ch != nil {
			for _, r := range slices.Backward(ch.refunds) {
				back = append(back, r.raw())
			}
		}
		return writeList("/v1/charges/"+id+"/refunds", back, false)
	case kind == "price" && name == "tiers":
		return json.RawMessage("null") // no price has any
	case kind == "price" && name == "currency_options":
		if p, _ := v.world.byID[id].(*price); p != nil {
			return mustJSON(map[string]currencyOption{p.currency: {TaxBehavior: "unspecified", UnitAmount: p.amount, UnitAmountDecimal: itoa(p.amount)}})
		}
	}
	return nil
}
