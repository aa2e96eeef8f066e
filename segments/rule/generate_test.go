package rule_test

import (
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

// trees generates trees of every construct of the grammar, well typed or not:
// the formatter and the parser do not know types.
func trees() *rapid.Generator[*rule.Tree] {
	return rapid.Custom(func(t *rapid.T) *rule.Tree {
		return &rule.Tree{Root: genExpr(t, 4)}
	})
}

// genExpr keeps the shape the parser gives: no group directly in one of its kind.
func genExpr(t *rapid.T, depth int) rule.Expr {
	kind := "predicate"
	if depth > 0 {
		kind = rapid.SampledFrom([]string{"predicate", "predicate", "and", "or", "not"}).Draw(t, "kind")
	}
	switch kind {
	case "and":
		e := &rule.And{}
		for range rapid.IntRange(2, 4).Draw(t, "operands") {
			x := genExpr(t, depth-1)
			if inner, ok := x.(*rule.And); ok {
				e.List = append(e.List, inner.List...)
				continue
			}
			e.List = append(e.List, x)
		}
		return e
	case "or":
		e := &rule.Or{}
		for range rapid.IntRange(2, 4).Draw(t, "operands") {
			x := genExpr(t, depth-1)
			if inner, ok := x.(*rule.Or); ok {
				e.List = append(e.List, inner.List...)
				continue
			}
			e.List = append(e.List, x)
		}
		return e
	case "not":
		return &rule.Not{X: genExpr(t, depth-1)}
	}
	return genPredicate(t, depth)
}

func genPredicate(t *rapid.T, depth int) rule.Expr {
	not := rapid.Bool().Draw(t, "not")
	switch rapid.IntRange(0, 9).Draw(t, "predicate") {
	case 0:
		return &rule.Exists{Set: genSet(t, depth, false)}
	case 1:
		return &rule.InSegment{Segment: genText(t)}
	case 2, 3:
		return &rule.Compare{
			Left: genValue(t, depth), Op: rule.Op(rapid.IntRange(0, int(rule.After)).Draw(t, "op")), Right: genValue(t, depth),
		}
	case 4:
		return &rule.Between{X: genValue(t, depth), Low: genValue(t, depth), High: genValue(t, depth), Not: not}
	case 5:
		e := &rule.In{X: genValue(t, depth), Not: not}
		for range rapid.IntRange(1, 4).Draw(t, "items") {
			e.List = append(e.List, genLiteral(t))
		}
		return e
	case 6:
		return &rule.Match{X: genValue(t, depth), Op: rule.MatchOp(rapid.IntRange(0, int(rule.EndsWith)).Draw(t, "match")), Pattern: genText(t), Not: not}
	case 7:
		return &rule.Is{X: genValue(t, depth), What: rule.What(rapid.IntRange(0, int(rule.False)).Draw(t, "what")), Not: not}
	case 8:
		d := genDuration(t)
		return &rule.Within{X: genValue(t, depth), Last: rapid.Bool().Draw(t, "last"), For: d, Not: not}
	}
	return &rule.Truth{X: genValue(t, depth)}
}

func genSet(t *rapid.T, depth int, field bool) *rule.Set {
	s := &rule.Set{Collection: genName(t)}
	if field {
		s.Field = genName(t)
	}
	if depth > 0 && rapid.Bool().Draw(t, "where") {
		s.Where = genExpr(t, depth-1)
	}
	return s
}

func genValue(t *rapid.T, depth int) rule.Value {
	switch rapid.IntRange(0, 6).Draw(t, "value") {
	case 0, 1, 2:
		r := &rule.Ref{Name: genName(t), Customer: rapid.IntRange(0, 5).Draw(t, "customer") == 0}
		if rapid.IntRange(0, 3).Draw(t, "key") == 0 {
			r.Key, r.HasKey = "k"+genText(t), true
		}
		return r
	case 3:
		if depth > 0 {
			name := rapid.SampledFrom([]string{"count", "sum", "min", "max", "avg", "latest", "earliest"}).Draw(t, "function")
			return &rule.Aggregate{Func: name, Set: genSet(t, depth-1, name != "count")}
		}
	case 4:
		m := &rule.Moment{Base: rule.Base(rapid.IntRange(0, int(rule.OnDate)).Draw(t, "base"))}
		if m.Base == rule.OnDate {
			m.Date = genDate(t)
		}
		for range rapid.IntRange(0, 2).Draw(t, "steps") {
			d := genDuration(t)
			if rapid.Bool().Draw(t, "back") {
				d = d.Neg()
			}
			m.Steps = append(m.Steps, d)
		}
		return m
	}
	return genLiteral(t)
}

func genLiteral(t *rapid.T) rule.Value {
	switch rapid.IntRange(0, 4).Draw(t, "literal") {
	case 0:
		return &rule.TextLit{Text: genText(t)}
	case 1:
		return &rule.BoolLit{Bool: rapid.Bool().Draw(t, "bool")}
	case 2:
		return &rule.Moment{Base: rule.OnDate, Date: genDate(t)}
	case 3:
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "time")) * time.Microsecond)
		offset := rapid.SampledFrom([]int{0, 3600, -5 * 3600, 20700}).Draw(t, "offset")
		return &rule.TimestampLit{Time: at.In(time.FixedZone("", offset))}
	}
	return &rule.NumberLit{
		Number:   rule.NewDecimal(rapid.Int64().Draw(t, "number"), rapid.IntRange(0, 20).Draw(t, "scale")),
		Currency: rapid.SampledFrom([]string{"", "", "usd", "eur", "jpy", "kwd", "isk"}).Draw(t, "currency"),
	}
}

func genDuration(t *rapid.T) rule.Duration {
	return rule.Duration{
		N:    rapid.IntRange(0, 100).Draw(t, "n"),
		Unit: rule.Unit(rapid.IntRange(0, int(rule.Year)).Draw(t, "unit")),
	}
}

func genDate(t *rapid.T) rule.Date {
	return rule.Date{Year: 1900, Month: 1, Day: 1}.AddDays(rapid.IntRange(0, 400_000).Draw(t, "day"))
}

func genName(t *rapid.T) string {
	return rapid.StringMatching(`(stripe_)?[a-z_][a-z0-9_]{0,12}`).Filter(func(s string) bool {
		return !rule.IsReserved(s)
	}).Draw(t, "name")
}

func genText(t *rapid.T) string {
	return rapid.String().Filter(func(s string) bool { return !strings.ContainsAny(s, "\x00\r\n") }).Draw(t, "text")
}
