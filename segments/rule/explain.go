package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Explained is one part of a rule and why it is true or false for one
// customer at one instant.
type Explained struct {
	Text  string       `json:"text"`            // the part in its canonical form, on one line
	Word  string       `json:"word,omitempty"`  // and, or, not: how Parts are joined; empty for a predicate
	True  bool         `json:"true"`            // what the part is
	Value string       `json:"value,omitempty"` // what the customer has: "plan is 'Pro'"
	Bound string       `json:"bound,omitempty"` // where a moving bound stands: "today() + 30 days is 2026-12-22"
	Parts []*Explained `json:"parts,omitempty"`
}

// Explain says of every part of the rule whether it is true, and of every
// predicate what the customer has and where its moving bounds stand. Unlike Eval
// it looks at all parts, also where the first one decides.
func (r *Rule) Explain(c Customer, env Env) *Explained {
	return explainer{evaluator{rule: r, customer: c, env: env}}.expr(r.tree.Root)
}

type explainer struct{ evaluator }

func (e explainer) expr(x Expr) *Explained {
	out := &Explained{Text: formatExpr(x), True: e.evaluator.expr(x)}
	switch x := x.(type) {
	case *And:
		out.Word, out.Parts = "and", e.parts(x.List)
	case *Or:
		out.Word, out.Parts = "or", e.parts(x.List)
	case *Not:
		out.Word, out.Parts = "not", e.parts([]Expr{x.X})
	case *InSegment:
		out.Value = "the customer is not in it"
		if out.True {
			out.Value = "the customer is in it"
		}
	default:
		out.Value, out.Bound = e.has(x), e.bounds(x)
	}
	return out
}

func (e explainer) parts(list []Expr) []*Explained {
	out := make([]*Explained, len(list))
	for i, x := range list {
		out[i] = e.expr(x)
	}
	return out
}

// has says what the customer has of the values that a predicate reads.
func (e explainer) has(x Expr) string {
	if exists, ok := x.(*Exists); ok {
		return e.matched(exists.Set)
	}
	var out []string
	for _, v := range operands(x) {
		said := ""
		switch v := v.(type) {
		case *Ref:
			said = formatValue(v) + " is " + e.show(e.value(v))
		case *Aggregate:
			said = fmt.Sprintf("%s is %s (%s)", shortAggregate(v), e.show(e.value(v)), e.matched(v.Set))
		}
		if said != "" && !slices.Contains(out, said) {
			out = append(out, said)
		}
	}
	return strings.Join(out, ", ")
}

// shortAggregate leaves a long where out, which stands beside it anyway.
func shortAggregate(a *Aggregate) string {
	text := formatValue(a)
	if a.Set.Where == nil || len(text) <= 40 {
		return text
	}
	bare := *a.Set
	bare.Where = nil
	return a.Func + "(" + formatSet(&bare) + " where …)"
}

// matched says how many of the elements are in a set.
func (e explainer) matched(s *Set) string {
	all := len(e.customer.Elements(s.Collection))
	if s.Where == nil || all == 0 {
		return fmt.Sprintf("%d %s", all, s.Collection)
	}
	return fmt.Sprintf("%d of %d %s", len(e.elements(s)), all, s.Collection)
}

// bounds says where the moving bounds of a predicate stand, those inside where
// too.
func (e explainer) bounds(x Expr) string {
	w := moverWalk{rule: e.rule}
	w.expr(x, "")
	var out []string
	for _, m := range w.found {
		if len(m.moment.Steps) == 0 && m.moment.span == (Span{}) {
			continue // the end of a window where it does not move, which nobody wrote
		}
		said := formatMoment(m.moment) + " is " + e.showBound(m.at(e.env))
		if !slices.Contains(out, said) {
			out = append(out, said)
		}
	}
	return strings.Join(out, ", ")
}

// operands returns the values that a predicate puts beside each other.
func operands(x Expr) []Value {
	switch x := x.(type) {
	case *Compare:
		return []Value{x.Left, x.Right}
	case *Between:
		return []Value{x.X, x.Low, x.High}
	case *In:
		return []Value{x.X}
	case *Match:
		return []Value{x.X}
	case *Is:
		return []Value{x.X}
	case *Within:
		return []Value{x.X}
	case *Truth:
		return []Value{x.X}
	}
	return nil
}

// show writes a value as rules do.
func (e explainer) show(v any) string {
	switch v := v.(type) {
	case nil:
		return "missing"
	case string:
		return oneLine(quote(clip(v, 60)))
	case time.Time:
		return e.showBound(Bound{Instant: v})
	case []string:
		parts := make([]string, 0, len(v))
		for _, s := range v {
			parts = append(parts, e.show(s))
		}
		return "[" + strings.Join(clipList(parts, 10), ", ") + "]"
	case noMoney:
		return "0"
	}
	return fmt.Sprint(v)
}

// showBound writes instants by the workspace's clocks.
func (e explainer) showBound(b Bound) string {
	if b.IsDate() {
		return b.Date.String()
	}
	return b.Instant.In(orUTC(e.env.Zone)).Format(time.RFC3339Nano)
}
