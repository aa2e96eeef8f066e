package rule

import (
	"strings"
	"time"
)

// wide is how long a line of a formatted rule may be before it is broken at its
// and or or.
const wide = 80

// Format returns the rule in its canonical form: keywords and names in lower
// case, != for <>, only the parentheses that are needed, one line when it is
// short and otherwise one condition a line. Parse(Format(t)) is t again.
func Format(t *Tree) string {
	var b strings.Builder
	layout(&b, t.Root, 0)
	return b.String()
}

// layout writes e, breaking it when it does not fit behind indent.
func layout(b *strings.Builder, e Expr, indent int) {
	line := formatExpr(e)
	var list []Expr
	word := ""
	switch e := e.(type) {
	case *And:
		list, word = e.List, "and "
	case *Or:
		list, word = e.List, "or "
	}
	if list == nil || len(line)+indent <= wide {
		b.WriteString(line)
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
		if _, and := x.(*And); and && len(inner)+indent+len(word) > wide {
			layout(b, x, indent+len(word))
			continue
		}
		b.WriteString(operand(x, word == "and "))
	}
}

// operand writes e in one line, in parentheses when it is an or under an and.
func operand(e Expr, underAnd bool) string {
	if _, or := e.(*Or); or && underAnd {
		return "(" + formatExpr(e) + ")"
	}
	return formatExpr(e)
}

// formatExpr writes e in one line.
func formatExpr(e Expr) string {
	switch e := e.(type) {
	case *And:
		return joined(e.List, " and ", true)
	case *Or:
		return joined(e.List, " or ", false)
	case *Not:
		switch e.X.(type) {
		case *And, *Or:
			return "not (" + formatExpr(e.X) + ")"
		}
		return "not " + formatExpr(e.X)
	case *Exists:
		return "exists (" + formatSet(e.Set) + ")"
	case *InSegment:
		return "in segment " + quote(e.Segment)
	case *Compare:
		return formatValue(e.Left) + " " + e.Op.String() + " " + formatValue(e.Right)
	case *Between:
		return formatValue(e.X) + negated(e.Not) + " between " + formatValue(e.Low) + " and " + formatValue(e.High)
	case *In:
		items := make([]string, len(e.List))
		for i, v := range e.List {
			items[i] = formatValue(v)
		}
		return formatValue(e.X) + negated(e.Not) + " in (" + strings.Join(items, ", ") + ")"
	case *Match:
		return formatValue(e.X) + negated(e.Not) + " " + e.Op.String() + " " + quote(e.Pattern)
	case *Is:
		return formatValue(e.X) + " is" + negated(e.Not) + " " + e.What.String()
	case *Within:
		direction := " within next "
		if e.Last {
			direction = " within last "
		}
		return formatValue(e.X) + negated(e.Not) + direction + e.For.String()
	case *Truth:
		return formatValue(e.X)
	}
	return "…" // a badExpr, in the hint of another fault
}

func joined(list []Expr, word string, and bool) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = operand(e, and)
	}
	return strings.Join(parts, word)
}

func negated(not bool) string {
	if not {
		return " not"
	}
	return ""
}

func formatSet(s *Set) string {
	out := s.Collection
	if s.Field != "" {
		out += "." + s.Field
	}
	if s.Where != nil {
		out += " where " + formatExpr(s.Where)
	}
	return out
}

func formatValue(v Value) string {
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
		return v.Func + "(" + formatSet(v.Set) + ")"
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
