package rule

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// AvgPlaces is to how many decimals an average is rounded, half away from zero.
const AvgPlaces = 12

// noMoney is the sum of no amounts: 0 in any currency.
type noMoney struct{}

// elements returns those of the set for which where is true.
func (e evaluator) elements(s *Set) []Values {
	var out []Values
	for _, x := range e.customer.Elements(s.Collection) {
		inside := e
		inside.element = x
		if s.Where == nil || inside.expr(s.Where) {
			out = append(out, x)
		}
	}
	return out
}

// aggregate returns nil for what is missing.
func (e evaluator) aggregate(a *Aggregate) any {
	elements := e.elements(a.Set)
	if a.Func == "count" {
		return NewDecimal(int64(len(elements)), 0)
	}
	field := e.rule.Field(a.Set)
	if a.Func == "latest" || a.Func == "earliest" {
		if len(elements) == 0 {
			return nil
		}
		order := slices.MinFunc[[]Values]
		if a.Func == "latest" {
			order = slices.MaxFunc[[]Values]
		}
		return typed(field, "", order(elements, byCreation))
	}
	var values []any
	for _, x := range elements {
		if v := typed(field, "", x); v != nil {
			values = append(values, v)
		}
	}
	switch {
	case field.Type == MoneyType:
		return overMoney(a.Func, values)
	case len(values) == 0 && a.Func == "sum":
		return Decimal{}
	case len(values) == 0:
		return nil
	case field.Type == Number:
		return overNumbers(a.Func, values)
	}
	order := func(a, b any) int {
		if d, ok := a.(Date); ok {
			return d.Compare(b.(Date))
		}
		return a.(time.Time).Compare(b.(time.Time))
	}
	if a.Func == "min" {
		return slices.MinFunc(values, order)
	}
	return slices.MaxFunc(values, order)
}

// byCreation orders elements by created_at, ties by id.
func byCreation(a, b Values) int {
	at := func(v Values) time.Time { return v.Value("created_at").(time.Time) }
	id := func(v Values) string { return v.Value("id").(string) }
	return cmp.Or(at(a).Compare(at(b)), strings.Compare(id(a), id(b)))
}

// overMoney is missing when there are several currencies (honest-money).
func overMoney(name string, values []any) any {
	if len(values) == 0 {
		if name == "sum" {
			return noMoney{}
		}
		return nil
	}
	currency := strings.ToLower(values[0].(Money).Currency)
	amounts := make([]any, len(values))
	for i, v := range values {
		m := v.(Money)
		if !strings.EqualFold(m.Currency, currency) {
			return nil
		}
		amounts[i] = m.Amount
	}
	return Money{Amount: overNumbers(name, amounts), Currency: currency}
}

// overNumbers is of at least one Decimal.
func overNumbers(name string, values []any) Decimal {
	best := values[0].(Decimal)
	var sum Decimal
	for _, v := range values {
		d := v.(Decimal)
		sum = sum.Add(d)
		if name == "min" && d.Cmp(best) < 0 || name == "max" && d.Cmp(best) > 0 {
			best = d
		}
	}
	switch name {
	case "sum":
		return sum
	case "avg":
		return sum.quoHalfAway(int64(len(values)), AvgPlaces)
	}
	return best
}
