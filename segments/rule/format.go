package rule

import (
	"strings"
	"time"
)

// wide is how long a line of a formatted rule may be before it is broken: at its
// and or or, and then inside its where.
const wide = 80

// Format returns the rule in its canonical form: keywords and names in lower
// case, != for <>, only the parentheses that are needed, one line when it is
// short and otherwise one condition a line, inside a long where, too. Parse(Format(t)) is t again.
func Format(t *Tree) string {
	var b strings.Builder
	layout(&b, t.Root, 0)
	return b.String()
}

// layout writes e, breaking it when it does not fit behind indent.
func layout(b *strings.Builder, e Expr, indent int) {
	line := formatExpr(e)
	if len(line)+indent <= wide {
		b.WriteString(line)
		return
	}
	var list []Expr
	word := ""
	switch e := e.(type) {
	case *And:
		list, word = e.List, "and "
	case *Or:
		list, word = e.List, "or "
	default:
		b.WriteString(printer{broken: true, indent: indent}.expr(e))
		return
	}
	margin := "\n" + strings.Repeat(" ", indent)
	for i, x := range list {
		if i > 0 {
			b.WriteString(margin)
			b.WriteString(word)
		}
		inner := formatExpr(x)
		if _, or := x.(*Or); or && len(inner)+indent+len(word)+2 > wide {
			b.WriteString("(" + margin + "  ")
			layout(b, x, indent+2)
			b.WriteString(margin + ")")
			continue
		}
		if len(inner)+indent+len(word) > wide {
			if _, and := x.(*And); and {
				layout(b, x, indent+len(word))
			} else {
				b.WriteString(printer{broken: true, indent: indent}.expr(x))
			}
			continue
		}
		b.WriteString(printer{}.operand(x, word == "and "))
	}
}

// A printer writes conditions and values. The zero value writes them in one
// line; a broken one breaks inside the parentheses of a where and of a not.
type printer struct {
	broken bool
	indent int // of the line on which the condition starts
}

// formatExpr writes e in one line.
func formatExpr(e Expr) string { return printer{}.expr(e) }

func formatSet(s *Set) string { return printer{}.set(s) }

func formatValue(v Value) string { return printer{}.value(v) }

// formatFunction writes exists or an aggregate.
func formatFunction(of string, s *Set) string {
	if of == "exists" {
		return formatExpr(&Exists{Set: s})
	}
	return formatValue(&Aggregate{Func: of, Set: s})
}

// operand writes e, in parentheses when it is an or under an and.
func (p printer) operand(e Expr, underAnd bool) string {
	if _, or := e.(*Or); or && underAnd {
		return "(" + p.expr(e) + ")"
	}
	return p.expr(e)
}

func (p printer) expr(e Expr) string {
	switch e := e.(type) {
	case *And:
		return p.joined(e.List, " and ", true)
	case *Or:
		return p.joined(e.List, " or ", false)
	case *Not:
		switch e.X.(type) {
		case *And, *Or:
			if p.broken {
				return "not (" + p.inner(e.X) + ")"
			}
			return "not (" + p.expr(e.X) + ")"
		}
		return "not " + p.expr(e.X)
	case *Exists:
		return "exists (" + p.set(e.Set) + ")"
	case *InSegment:
		return "in segment " + quote(e.Segment)
	case *Compare:
		return p.value(e.Left) + " " + e.Op.String() + " " + p.value(e.Right)
	case *Between:
		return p.value(e.X) + negated(e.Not) + " between " + p.value(e.Low) + " and " + p.value(e.High)
	case *In:
		items := make([]string, len(e.List))
		for i, v := range e.List {
			items[i] = p.value(v)
		}
		return p.value(e.X) + negated(e.Not) + " in (" + strings.Join(items, ", ") + ")"
	case *Match:
		return p.value(e.X) + negated(e.Not) + " " + e.Op.String() + " " + quote(e.Pattern)
	case *Is:
		return p.value(e.X) + " is" + negated(e.Not) + " " + e.What.String()
	case *Within:
		return p.value(e.X) + negated(e.Not) + " " + direction(e) + " " + e.For.String()
	case *Truth:
		return p.value(e.X)
	}
	return "…" // what could not be read, in the hint of another fault
}

// inner writes what stands in parentheses on lines of its own.
func (p printer) inner(e Expr) string {
	margin := "\n" + strings.Repeat(" ", p.indent)
	var b strings.Builder
	b.WriteString(margin + "  ")
	layout(&b, e, p.indent+2)
	return b.String() + margin
}

func (p printer) joined(list []Expr, word string, and bool) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = p.operand(e, and)
	}
	return strings.Join(parts, word)
}

func direction(e *Within) string {
	if e.Last {
		return "within last"
	}
	return "within next"
}

func negated(not bool) string {
	if not {
		return " not"
	}
	return ""
}

func (p printer) set(s *Set) string {
	out := s.Collection
	if s.Field != "" {
		out += "." + s.Field
	}
	switch {
	case s.Where == nil:
		return out
	case p.broken:
		return out + " where" + p.inner(s.Where)
	}
	return out + " where " + p.expr(s.Where)
}

func (p printer) value(v Value) string {
	switch v := v.(type) {
	case *Ref:
		name := v.Name
		if v.Customer {
			name = "customer." + name
		}
		if v.HasKey {
			name += "[" + quote(v.Key) + "]"
		}
		return name
	case *Aggregate:
		return v.Func + "(" + p.set(v.Set) + ")"
	case *TextLit:
		return quote(v.Text)
	case *NumberLit:
		return formatNumber(v)
	case *BoolLit:
		if v.Bool {
			return "true"
		}
		return "false"
	case *TimestampLit:
		return "timestamp " + quote(v.Time.Format(time.RFC3339Nano))
	case *Moment:
		return formatMoment(v)
	case *qualified: // in the hint of another fault
		return v.field
	}
	return "…"
}

// formatNumber writes amounts as people do: 20 usd, but 20.50 usd.
func formatNumber(n *NumberLit) string {
	if n.Currency == "" {
		return n.Number.String()
	}
	places := n.Number.scale
	if places > 0 {
		places = max(places, usualDecimals(n.Currency))
	}
	return n.Number.digits(places) + " " + n.Currency
}

func formatMoment(m *Moment) string {
	var b strings.Builder
	switch m.Base {
	case Now:
		b.WriteString("now()")
	case Today:
		b.WriteString("today()")
	default:
		b.WriteString("date " + quote(m.Date.String()))
	}
	for _, d := range m.Steps {
		if d.N < 0 {
			b.WriteString(" - " + d.Neg().String())
		} else {
			b.WriteString(" + " + d.String())
		}
	}
	return b.String()
}

// quote writes s as a text of the language.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
