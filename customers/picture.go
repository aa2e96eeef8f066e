package customers

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// Ref is a customer's key in our tables.
type Ref struct {
	Account  int   // dunlin.accounts
	Customer int64 // dunlin.customers
}

// Picture is one customer as projected last. Load makes it; the zero value is a
// customer of whom everything is missing.
type Picture struct {
	Ref
	StripeID string
	CardID   string // the payment method behind the card; empty without a card
	State    string // of the billing address, as Stripe has it; empty when unknown
	values   []any  // in catalog order
}

// NewPicture makes a picture of values by canonical name, for what is not read
// from Postgres, such as previews. Names outside the catalog are left out.
func NewPicture(ref Ref, cardID, state string, values map[string]any) Picture {
	p := Picture{Ref: ref, CardID: cardID, State: state, values: make([]any, len(catalog))}
	for name, v := range values {
		if i, ok := byName[name]; ok {
			p.values[i] = v
		}
	}
	p.StripeID, _ = p.Value("stripe_id").(string)
	return p
}

var _ rule.Values = Picture{}

// Value is an attribute's value by its canonical name: nil when missing or
// unknown, else string, rule.Decimal, rule.Money, bool, rule.Date, time.Time in
// UTC or map[string]string, by the attribute's type.
func (p Picture) Value(name string) any {
	i, ok := byName[name]
	if !ok || p.values == nil {
		return nil
	}
	return p.values[i]
}

// MarshalJSON is one object: the attributes under their catalog names, in
// catalog order, then card_id and state. Money is {"amount","currency"} with
// the amount as text in major units, instants are RFC 3339 in UTC, dates
// YYYY-MM-DD, numbers are numbers, missing values null.
func (p Picture) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	field := func(name string, v any) error {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + name + `":`)
		raw, err := marshal(v)
		b.Write(raw)
		return err
	}
	for _, a := range catalog {
		if err := field(a.Name, p.Value(a.Name)); err != nil {
			return nil, err
		}
	}
	if err := field("card_id", text(p.CardID)); err != nil {
		return nil, err
	}
	if err := field("state", text(p.State)); err != nil {
		return nil, err
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// JSON is the value of one attribute by its canonical name, as MarshalJSON has it.
func (p Picture) JSON(name string) ([]byte, error) { return marshal(p.Value(name)) }

func marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case rule.Decimal:
		return []byte(v.String()), nil
	case time.Time:
		return json.Marshal(v.UTC().Format(time.RFC3339Nano))
	}
	return json.Marshal(v)
}

// project turns decoded sources into values in catalog order.
func project(s *sources) []any {
	values := make([]any, len(catalog))
	for i := range catalog {
		values[i] = catalog[i].derive(s)
	}
	return values
}

// same tells whether two values of one attribute are equal.
func same(a, b any) bool {
	switch a := a.(type) {
	case rule.Decimal:
		b, ok := b.(rule.Decimal)
		return ok && a.Equal(b)
	case rule.Money:
		b, ok := b.(rule.Money)
		return ok && a.Equal(b)
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	case map[string]string:
		b, ok := b.(map[string]string)
		return ok && maps.Equal(a, b)
	case []string:
		b, ok := b.([]string)
		return ok && slices.Equal(a, b)
	}
	return a == b
}
