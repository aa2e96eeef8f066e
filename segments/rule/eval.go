package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Eval says whether the rule is true for a customer with these values. It walks
// the tree as it was written and is the reference for the SQL compiler, with
// which it shares only BoundOf and WindowOf. It panics when c breaks the promise
// of Values with a value of another type than the catalog says.
func (r *Rule) Eval(c Customer, env Env) bool {
	return evaluator{rule: r, customer: c, env: env}.expr(r.tree.Root)
}

type evaluator struct {
	rule     *Rule
	customer Customer
	element  Values // inside where; nil outside
	env      Env
}

func (e evaluator) expr(x Expr) bool {
	switch x := x.(type) {
	case *And:
		for _, y := range x.List {
			if !e.expr(y) {
				return false
			}
		}
		return true
	case *Or:
		return slices.ContainsFunc(x.List, e.expr)
	case *Not:
		return !e.expr(x.X)
	case *Exists:
		return len(e.elements(x.Set)) > 0
	case *InSegment:
		return e.customer.InSegment(x.Segment)
	case *Compare:
		return e.compare(e.value(x.Left), x.Op, e.value(x.Right))
	case *Between:
		v := e.value(x.X)
		in := e.compare(v, GreaterOrEqual, e.value(x.Low)) && e.compare(v, LessOrEqual, e.value(x.High))
		return in != x.Not
	case *In:
		v := e.value(x.X)
		in := slices.ContainsFunc(x.List, func(item Value) bool { return e.compare(v, Equal, e.value(item)) })
		return in != x.Not
	case *Match:
		return e.match(x) != x.Not
	case *Is:
		return e.is(x) != x.Not
	case *Within:
		return e.within(x) != x.Not
	case *Truth:
		b, ok := e.value(x.X).(bool)
		return ok && b
	}
	panic(fmt.Sprintf("rule: %T was not checked", x))
}

// value returns nil for what is missing.
func (e evaluator) value(v Value) any {
	if b, ok := BoundOf(v, e.env); ok {
		if b.IsDate() {
			return b.Date
		}
		return b.Instant
	}
	switch v := v.(type) {
	case *TextLit:
		return v.Text
	case *BoolLit:
		return v.Bool
	case *NumberLit:
		if v.Currency != "" {
			return Money{Amount: v.Number, Currency: v.Currency}
		}
		return v.Number
	case *Ref:
		if e.element != nil && !v.Customer {
			return typed(e.rule.Resolve(v), v.Key, e.element)
		}
		return typed(e.rule.Resolve(v), v.Key, e.customer)
	case *Aggregate:
		return e.aggregate(v)
	}
	panic(fmt.Sprintf("rule: %T was not checked", v))
}

// typed returns the value of an attribute, of its key when it is a map.
func typed(a Attribute, key string, vals Values) any {
	v := vals.Value(a.Name)
	ok := v == nil
	switch a.Type {
	case Text:
		_, ok = v.(string)
	case Number:
		_, ok = v.(Decimal)
	case MoneyType:
		_, ok = v.(Money)
	case Boolean:
		_, ok = v.(bool)
	case DateType:
		_, ok = v.(Date)
	case InstantType:
		_, ok = v.(time.Time)
	case ListType:
		if list, is := v.([]string); is && list == nil {
			return nil
		}
		_, ok = v.([]string)
	case MapType:
		m, is := v.(map[string]string)
		if value, has := m[key]; has {
			return value
		}
		if ok = is; ok {
			return nil
		}
	}
	if !ok && v != nil {
		panic(fmt.Sprintf("rule: attribute %s is %s, and its value is a %T", a.Name, a.Type, v))
	}
	return v
}

// compare is false when a side is missing. NotEqual is the exact complement of
// Equal, and so true when a side is missing.
func (e evaluator) compare(a any, op Op, b any) bool {
	if op == NotEqual {
		return !e.compare(a, Equal, b)
	}
	order, ok := e.order(a, b)
	if !ok {
		return false
	}
	switch op {
	case Equal:
		return order == 0
	case Less, Before:
		return order < 0
	case LessOrEqual:
		return order <= 0
	case Greater, After:
		return order > 0
	case GreaterOrEqual:
		return order >= 0
	}
	panic("rule: unknown comparison")
}

// order returns how a compares with b; ok is false when they have nothing to
// compare: one is missing, or they are of different currencies.
func (e evaluator) order(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true
		}
	case bool:
		if b, ok := b.(bool); ok {
			if a == b {
				return 0, true
			}
			return 1, true // only equality is asked
		}
	case noMoney:
		switch b := b.(type) {
		case noMoney:
			return 0, true
		case Decimal:
			return Decimal{}.Cmp(b), true
		case Money:
			return Decimal{}.Cmp(b.Amount), true
		}
	case Decimal:
		switch b := b.(type) {
		case noMoney:
			return a.Cmp(Decimal{}), true
		case Decimal:
			return a.Cmp(b), true
		case Money:
			return e.order(Money{Amount: a, Currency: e.env.Currency}, b)
		}
	case Money:
		switch b := b.(type) {
		case noMoney:
			return a.Amount.Cmp(Decimal{}), true
		case Decimal:
			return e.order(a, Money{Amount: b, Currency: e.env.Currency})
		case Money:
			return a.Amount.Cmp(b.Amount), strings.EqualFold(a.Currency, b.Currency)
		}
	case Date:
		switch b := b.(type) {
		case Date:
			return a.Compare(b), true
		case time.Time:
			return a.Compare(DateOf(b, e.env.Zone)), true
		}
	case time.Time:
		switch b := b.(type) {
		case Date:
			return DateOf(a, e.env.Zone).Compare(b), true
		case time.Time:
			return a.Compare(b), true
		}
	}
	return 0, false
}

func (e evaluator) match(m *Match) bool {
	switch v := e.value(m.X).(type) {
	case []string:
		return slices.Contains(v, m.Pattern)
	case string:
		switch m.Op {
		case Like:
			return like(v, m.Pattern)
		case ILike:
			return like(foldASCII(v), foldASCII(m.Pattern))
		case Contains:
			return strings.Contains(v, m.Pattern)
		case StartsWith:
			return strings.HasPrefix(v, m.Pattern)
		case EndsWith:
			return strings.HasSuffix(v, m.Pattern)
		}
	}
	return false
}

func (e evaluator) is(x *Is) bool {
	v := e.value(x.X)
	switch x.What {
	case Null:
		return v == nil
	case Present:
		return v != nil
	default:
		b, ok := v.(bool)
		return ok && b == (x.What == True)
	}
}

func (e evaluator) within(w *Within) bool {
	v := e.value(w.X)
	switch v := v.(type) {
	case Date:
		from, to := WindowOf(w, DateType, e.env)
		return !v.Before(from.Date) && !v.After(to.Date)
	case time.Time:
		from, to := WindowOf(w, InstantType, e.env)
		return v.After(from.Instant) && !v.After(to.Instant)
	}
	return false
}

// like matches s against a pattern of %, _ and backslash, by characters.
func like(s, pattern string) bool {
	text, pat := []rune(s), []rune(pattern)
	// After a % has been passed, a mismatch goes back to it and lets it take one
	// character more: no pattern takes longer than len(text) · len(pat).
	i, j, star, mark := 0, 0, -1, 0
	for i < len(text) {
		switch {
		case j < len(pat) && pat[j] == '%':
			star, mark = j, i
			j++
			continue
		case j < len(pat) && pat[j] == '_':
			i, j = i+1, j+1
			continue
		case j+1 < len(pat) && pat[j] == '\\' && pat[j+1] == text[i]:
			i, j = i+1, j+2
			continue
		case j < len(pat) && pat[j] != '\\' && pat[j] == text[i]:
			i, j = i+1, j+1
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		i, j = mark, star+1
	}
	for j < len(pat) && pat[j] == '%' {
		j++
	}
	return j == len(pat)
}

// foldASCII lowers A to Z and nothing else, whatever the locale.
func foldASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
