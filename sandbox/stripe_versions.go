package sandbox

import (
	"encoding/json"
	"slices"
)

const (
	// APIVersion is the version whose shapes the sandbox's own objects have, and
	// of an account that is not given another.
	APIVersion = "2023-10-16"

	// APIVersionBasil is the one later version the sandbox can put its objects
	// into: the first in which periods are on a subscription's items and an
	// invoice names its subscription under parent (facts 1.1, 1.2).
	APIVersionBasil = "2025-03-31.basil"
)

func knownVersion(version string) bool {
	return slices.Contains([]string{APIVersion, APIVersionBasil}, version)
}

// inVersion puts JSON of our own version, an object or a list, into another one.
// Events inside it stay as they are: they have the version of their making.
func inVersion(version string, raw json.RawMessage) json.RawMessage {
	if version == APIVersion || len(raw) == 0 {
		return raw
	}
	switch raw[0] {
	case '[':
		var all []json.RawMessage
		if json.Unmarshal(raw, &all) != nil {
			return raw
		}
		for n := range all {
			all[n] = inVersion(version, all[n])
		}
		return mustJSON(all)
	case '{':
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil || string(object["object"]) == `"event"` {
			return raw
		}
		for name, value := range object {
			object[name] = inVersion(version, value)
		}
		if change := basil[string(object["object"])]; change != nil {
			change(object)
		}
		return mustJSON(object)
	}
	return raw
}

// previousInVersion does the same with what an event says an object was before:
// it makes the whole object of then, and compares the two in the other version.
func previousInVersion(version string, object, previous json.RawMessage) json.RawMessage {
	if previous == nil {
		return nil
	}
	return previousAttributes(inVersion(version, overlay(object, previous)), inVersion(version, object))
}

// overlay lays changed attributes over an object: the reverse of previousAttributes.
func overlay(object, changed json.RawMessage) json.RawMessage {
	var whole, part map[string]json.RawMessage
	if json.Unmarshal(object, &whole) != nil || json.Unmarshal(changed, &part) != nil {
		return changed
	}
	for name, value := range part {
		var replaced struct {
			ID *string `json:"id"`
		}
		if now := whole[name]; len(now) > 0 && now[0] == '{' && value[0] == '{' && json.Unmarshal(value, &replaced) == nil && replaced.ID == nil {
			value = overlay(now, value)
		}
		whole[name] = value
	}
	return mustJSON(whole)
}

// basil has, for each kind of object, by its quoted name, what that version changed.
var basil = map[string]func(map[string]json.RawMessage){
	`"subscription"`: func(o map[string]json.RawMessage) {
		var items map[string]json.RawMessage
		var data []map[string]json.RawMessage
		if json.Unmarshal(o["items"], &items) == nil && json.Unmarshal(items["data"], &data) == nil {
			for _, item := range data {
				item["current_period_start"], item["current_period_end"] = o["current_period_start"], o["current_period_end"]
			}
			items["data"] = mustJSON(data)
			o["items"] = mustJSON(items)
		}
		without(o, "current_period_start", "current_period_end", "discount")
	},
	`"invoice"`: func(o map[string]json.RawMessage) {
		o["parent"] = mustJSON(map[string]any{"type": "subscription_details", "quote_details": nil,
			"subscription_details": map[string]any{"metadata": map[string]string{}, "subscription": o["subscription"]}})
		o["total_taxes"] = json.RawMessage("[]")
		without(o, "subscription", "subscription_details", "paid", "paid_out_of_band", "charge", "payment_intent", "tax", "discount",
			"quote", "total_tax_amounts", "application_fee_amount", "transfer_data")
	},
	`"line_item"`: func(o map[string]json.RawMessage) {
		o["parent"] = mustJSON(map[string]any{"type": "subscription_item_details", "invoice_item_details": nil,
			"subscription_item_details": map[string]any{"invoice_item": nil, "proration": false, "proration_details": map[string]any{"credited_items": nil},
				"subscription": o["subscription"], "subscription_item": o["subscription_item"]}})
		var price struct {
			ID      string `json:"id"`
			Product string `json:"product"`
			Amount  string `json:"unit_amount_decimal"`
		}
		_ = json.Unmarshal(o["price"], &price) // our own
		o["pricing"] = mustJSON(map[string]any{"type": "price_details", "unit_amount_decimal": price.Amount,
			"price_details": map[string]string{"price": price.ID, "product": price.Product}})
		o["taxes"] = json.RawMessage("[]")
		without(o, "subscription", "subscription_item", "type", "proration", "proration_details", "price", "plan", "tax_amounts", "tax_rates",
			"unit_amount_excluding_tax", "amount_excluding_tax")
	},
	`"charge"`: func(o map[string]json.RawMessage) { without(o, "invoice") },
}

func without(object map[string]json.RawMessage, names ...string) {
	for _, name := range names {
		delete(object, name)
	}
}
