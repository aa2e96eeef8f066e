package campaigns

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// A manner is how a text is filled in: the locale, and the zone by whose clock
// instants are given.
type manner struct {
	*locale
	zone *time.Location
}

// An amount is money in a text.
type amount struct {
	rule.Money
	manner
}

// String is the money as the locale writes it.
func (a amount) String() string { return a.locale.money(a.Money) }

// MarshalJSON is for the filter json.
func (a amount) MarshalJSON() ([]byte, error) { return a.Money.MarshalJSON() }

// A moment is a date or an instant in a text, by the clock of its zone.
type moment struct {
	time.Time
	manner
}

// String is the day, written out.
func (m moment) String() string { return m.locale.date(m.Time) }

// MarshalJSON is for the filter json.
func (m moment) MarshalJSON() ([]byte, error) { return json.Marshal(m.Time) }

// value is a customer's value as Liquid gets it. Nothing is escaped: that is
// done where it is written.
func (m manner) value(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return clean(v)
	case rule.Decimal:
		return number64(v)
	case rule.Money:
		return amount{v, m}
	case rule.Date: // the same day in every zone
		return moment{time.Date(v.Year, v.Month, v.Day, 0, 0, 0, 0, time.UTC), m}
	case time.Time:
		return moment{v.In(m.zone), m}
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = clean(s)
		}
		return out
	case map[string]string:
		out := map[string]any{}
		for k, s := range v {
			out[clean(k)] = clean(s)
		}
		return out
	}
	return v
}

// number64 is a number that a text can compare, unless that would change it:
// then it is its digits.
func number64(d rule.Decimal) any {
	if n, ok := d.Int64(); ok {
		return n
	}
	if f, err := strconv.ParseFloat(d.String(), 64); err == nil && fmt.Sprint(f) == d.String() {
		return f
	}
	return d.String()
}

// clean takes out of a customer's text what would reach beyond it: characters
// that turn the direction of what follows, and those that control a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ' || r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// sample is a made-up customer who has every attribute.
type sample struct{}

func (sample) Value(name string) any {
	a, _ := customers.Attributes.Attribute(name)
	switch a.Type {
	case rule.Text:
		if len(a.Values) > 0 {
			return a.Values[0]
		}
		return "sample"
	case rule.Number:
		return rule.NewDecimal(1, 0)
	case rule.MoneyType:
		return rule.FromMinor(4900, "usd")
	case rule.Boolean:
		return false
	case rule.DateType:
		return rule.Date{Year: 2026, Month: time.March, Day: 31}
	case rule.InstantType:
		return time.Date(2026, time.March, 31, 12, 0, 0, 0, time.UTC)
	case rule.ListType:
		return []string{"sample"}
	case rule.MapType:
		return map[string]string{"sample": "sample"}
	}
	return nil
}

// nobody is a customer of whom everything is missing.
type nobody struct{}

func (nobody) Value(string) any { return nil }
