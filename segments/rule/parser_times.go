package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// date = "date" string, as the base of a moment.
func (p *parser) date() (Value, bool) {
	start := p.peek()
	p.advance()
	t := p.peek()
	if t.kind != tokText {
		p.fail(wantText(t.span, "a day in single quotes behind date", "date '2026-01-31'"))
		return nil, false
	}
	p.advance()
	m := &Moment{at: at{start.span.to(t.span)}, Base: OnDate}
	bad := t.bad
	if !bad {
		d, err := ParseDate(t.text)
		switch {
		case err != nil:
			p.report(badDate(t.span, t.text))
			bad = true
		case d.Year < firstYear || d.Year > lastYear:
			p.report(yearOutOfRange(t.span, d.Year))
			bad = true
		}
		m.Date = d
	}
	return p.moved(m, bad)
}

// clock = ("now()" | "today()"), as the base of a moment.
func (p *parser) clock() (Value, bool) {
	t := p.peek()
	p.advance()
	m := &Moment{at: at{t.span}, Base: Now}
	if t.text == "today" {
		m.Base = Today
	}
	if !p.isSymbol("(") {
		p.report(clockNeedsParentheses(t.span, t.text))
		return p.moved(m, true)
	}
	p.advance()
	end := p.peek()
	if !p.isSymbol(")") {
		p.fail(clockTakesNothing(end.span, t.text))
		return nil, false
	}
	p.advance()
	m.span = m.span.to(end.span)
	return p.moved(m, false)
}

// moved reads the steps behind a moment's base.
func (p *parser) moved(m *Moment, bad bool) (Value, bool) {
	steps, ok := p.steps()
	if !ok {
		return nil, false
	}
	for _, s := range steps {
		m.Steps = append(m.Steps, s.d)
		m.span = m.span.to(s.span)
	}
	if bad {
		return &badValue{at{m.span}}, true
	}
	return m, true
}

// A step is a signed duration and its place.
type step struct {
	d    Duration
	span Span
}

// steps = {("+" | "-") duration}
func (p *parser) steps() ([]step, bool) {
	var steps []step
	for p.isSymbol("+") || p.isSymbol("-") {
		sign := p.peek()
		p.advance()
		d, end, ok := p.duration(sign.text)
		if !ok {
			return nil, false
		}
		if len(steps) == MaxSteps {
			p.report(tooManySteps(sign.span.to(end)))
		}
		if sign.text == "-" {
			d = d.Neg()
		}
		steps = append(steps, step{d, sign.span.to(end)})
	}
	return steps, true
}

// duration = integer unit; behind is the word before it, for messages.
func (p *parser) duration(behind string) (Duration, Span, bool) {
	t := p.peek()
	if t.kind != tokNumber || t.bad {
		p.fail(wantDuration(t.span, behind))
		return Duration{}, t.span, false
	}
	p.advance()
	unit := p.peek()
	if unit.kind != tokWord {
		p.fail(wantUnit(t.span, p.text(t.span)))
		return Duration{}, t.span, false
	}
	u, ok := parseUnit(unit.text)
	if !ok {
		p.fail(unknownUnit(unit.span, p.text(unit.span), p.text(t.span)))
		return Duration{}, t.span, false
	}
	p.advance()
	span := t.span.to(unit.span)
	if strings.Contains(t.text, ".") {
		p.report(wholeDuration(t.span, t.text, u))
		return Duration{Unit: u}, span, true
	}
	n, err := strconv.Atoi(t.text)
	if err != nil || n > unitLimits[u] {
		p.report(longDuration(span))
		n = 0
	}
	return Duration{N: n, Unit: u}, span, true
}

// durationText returns a number and a unit that stand next; empty otherwise.
func (p *parser) durationText() string {
	number, unit := p.peek(), p.after()
	if _, ok := parseUnit(unit.text); !ok || number.kind != tokNumber || unit.kind != tokWord {
		return ""
	}
	return p.text(number.span.to(unit.span))
}

// bareDate reads three numbers joined by - or / without spaces, which are a date
// that lacks its word and its quotes.
func (p *parser) bareDate() (Value, bool) {
	if p.pos+5 >= len(p.tokens) {
		return nil, false
	}
	t := p.tokens[p.pos : p.pos+5]
	for i := range t[:4] {
		if t[i].span.End != t[i+1].span.Start {
			return nil, false
		}
	}
	joined := t[1].text == t[3].text && (t[1].text == "-" || t[1].text == "/")
	if !joined || t[2].kind != tokNumber || t[4].kind != tokNumber {
		return nil, false
	}
	span := t[0].span.to(t[4].span)
	for range t {
		p.advance()
	}
	p.report(bareDate(span, p.text(span)))
	return &badValue{at{span}}, true
}

// timestamp = "timestamp" string, with an offset.
func (p *parser) timestamp() (Value, bool) {
	start := p.peek()
	p.advance()
	t := p.peek()
	if t.kind != tokText {
		p.fail(wantText(t.span, "a time in single quotes behind timestamp", "timestamp '2026-01-31T10:00:00Z'"))
		return nil, false
	}
	p.advance()
	span := start.span.to(t.span)
	var v Value = &badValue{at{span}}
	if !t.bad {
		when, ok := parseTimestamp(t.text)
		switch {
		case !ok:
			p.report(badTimestamp(t.span, t.text))
		case when.Year() < firstYear || when.Year() > lastYear:
			p.report(yearOutOfRange(t.span, when.Year()))
		default:
			v = &TimestampLit{at{span}, when}
		}
	}
	if p.isSymbol("+") || p.isSymbol("-") {
		steps, ok := p.steps()
		if !ok {
			return nil, false
		}
		p.report(shiftedTimestamp(span.to(steps[len(steps)-1].span)))
		return &badValue{at{span}}, true
	}
	return v, true
}

// parseTimestamp reads RFC 3339, with a space for the T and without seconds if
// somebody prefers, to the microsecond, which is as fine as Postgres goes.
func parseTimestamp(s string) (time.Time, bool) {
	if i := strings.IndexByte(s, '.'); i >= 0 && len(s[i+1:])-len(strings.TrimLeft(s[i+1:], "0123456789")) > 6 {
		return time.Time{}, false
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00",
	} {
		if t, err := time.Parse(layout, s); err == nil && !strings.Contains(s, ",") {
			_, offset := t.Zone()
			if offset == 0 {
				return t.UTC(), true
			}
			return t.In(time.FixedZone("", offset)), true
		}
	}
	return time.Time{}, false
}

// shift reads durations added to an attribute, which rules do not have: the
// other side of the comparison moves instead.
func (p *parser) shift(x Value) (*Ref, []step) {
	ref, ok := x.(*Ref)
	if !ok || (!p.isSymbol("+") && !p.isSymbol("-")) {
		return nil, nil
	}
	if unit := p.tokens[min(p.pos+2, len(p.tokens)-1)]; p.after().kind != tokNumber || unit.kind != tokWord {
		return nil, nil
	}
	steps, ok := p.steps()
	if !ok {
		return nil, nil // reported
	}
	return ref, steps
}

// shifted reads the rest of a comparison with a shifted attribute and shows how
// to turn it round.
func (p *parser) shifted(ref *Ref, steps []step) Expr {
	span := ref.span.to(steps[len(steps)-1].span)
	turned := ""
	t := p.peek()
	if op, ok := comparisons[t.text]; ok && (t.kind == tokSymbol || t.kind == tokWord) {
		p.advance()
		right, ok := p.value()
		if !ok {
			return p.bad(t)
		}
		if m, ok := right.(*Moment); ok {
			back := *m
			back.Steps = slices.Clone(m.Steps)
			for _, s := range steps {
				back.Steps = append(back.Steps, s.d.Neg())
			}
			turned = fmt.Sprintf("%s %s %s", p.text(ref.span), op, formatValue(&back))
		}
		span = span.to(right.Span())
	}
	p.report(shiftedAttribute(span, p.text(ref.span), turned))
	p.skip()
	return &badExpr{at{span}}
}
