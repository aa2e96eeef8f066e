package segments

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// The predicates, each in its positive form.

// compare returns l op r. Op is not NotEqual.
func (c *compiler) compare(l operand, op rule.Op, r operand) piece {
	switch {
	case l.typ == rule.MoneyType || r.typ == rule.MoneyType:
		l, r = c.money(l), c.money(r)
		if !l.column {
			l, r, op = r, l, mirrored[op]
		}
		return join(" and ", sameCurrency(l, r), infix(l.piece, symbols[op], r.piece))
	case l.typ == rule.InstantType && r.typ == rule.DateType:
		return c.onDay(l, op, r)
	case l.typ == rule.DateType && r.typ == rule.InstantType:
		return c.onDay(r, mirrored[op], l)
	}
	return infix(l.piece, symbols[op], r.piece)
}

// sameCurrency is true of a sum of nothing, too: it is 0 in any currency.
func sameCurrency(l, r operand) piece {
	parts := []piece{infix(l.currency, "=", r.currency)}
	for _, o := range []operand{l, r} {
		if o.sum {
			parts = append(parts, piece{sql: o.currency.sql + " is null"})
		}
	}
	return join(" or ", parts...)
}

// money gives a bare number the workspace's currency.
func (c *compiler) money(o operand) operand {
	if o.typ == rule.Number {
		o.typ = rule.MoneyType
		o.currency = piece{sql: "?", args: []any{strings.ToLower(c.env.Currency)}}
		if n, ok := o.args[0].(int64); ok {
			o.piece = piece{sql: "?::numeric", args: []any{rule.NewDecimal(n, 0).String()}}
		}
	}
	return o
}

// onDay compares an instant's day in the workspace's zone with a day.
func (c *compiler) onDay(x operand, op rule.Op, day operand) piece {
	if day.column {
		zone := c.zoneName()
		local := piece{sql: "(" + x.sql + " at time zone ?::text)::date", args: append(slices.Clone(x.args), zone)}
		return infix(local, symbols[op], day.piece)
	}
	begin, end := instantArg(day.day.In(c.env.Zone)), instantArg(day.day.AddDays(1).In(c.env.Zone))
	switch op {
	case rule.Less, rule.Before:
		return infix(x.piece, "<", begin)
	case rule.LessOrEqual:
		return infix(x.piece, "<", end)
	case rule.Greater, rule.After:
		return infix(x.piece, ">=", end)
	case rule.GreaterOrEqual:
		return infix(x.piece, ">=", begin)
	}
	return join(" and ", infix(x.piece, ">=", begin), infix(x.piece, "<", end))
}

// zoneName returns the zone for Postgres. Names without a slash are refused:
// Postgres reads some of them, such as CET, as an abbreviation that knows no
// summer time.
func (c *compiler) zoneName() string {
	if c.env.Zone == nil || c.env.Zone == time.UTC {
		return "UTC"
	}
	name := c.env.Zone.String()
	if name != "UTC" && !strings.Contains(name, "/") {
		c.fail(fmt.Errorf("the workspace's zone %q cannot be used to compare a date with a point in time; choose one such as Europe/Berlin", name))
	}
	return name
}

func (c *compiler) between(x, low, high operand) piece {
	switch {
	case x.typ == rule.MoneyType && !low.column && !high.column:
		low, high = c.money(low), c.money(high)
		if low.currency.args[0] == high.currency.args[0] {
			return join(" and ", sameCurrency(x, low), span(x, low, high))
		}
	case x.typ == low.typ && x.typ == high.typ && x.typ != rule.MoneyType:
		return span(x, low, high)
	}
	return join(" and ", c.compare(x, rule.GreaterOrEqual, low), c.compare(x, rule.LessOrEqual, high))
}

func span(x, low, high operand) piece {
	return infix(x.piece, "between", infix(low.piece, "and", high.piece))
}

// in is one comparison with an array for each currency, or for each kind of
// value, so that a thousand values are one argument.
func (c *compiler) in(e *rule.In) piece {
	x := c.operand(e.X)
	if len(e.List) == 0 {
		c.fail(errors.New("an empty list"))
		return piece{sql: "false"}
	}
	var alternatives []piece
	var texts, decimals, dates []string
	var whole []int64
	var bools []bool
	var instants []time.Time
	byCurrency := map[string][]string{}
	var currencies []string
	for _, v := range e.List {
		o := c.operand(v)
		switch {
		case x.typ == rule.MoneyType:
			o = c.money(o)
			code := o.currency.args[0].(string)
			if byCurrency[code] == nil {
				currencies = append(currencies, code)
			}
			byCurrency[code] = append(byCurrency[code], o.args[0].(string))
		case x.typ == rule.InstantType && o.typ == rule.DateType:
			alternatives = append(alternatives, c.onDay(x, rule.Equal, o))
		case o.typ == rule.InstantType:
			instants = append(instants, o.args[0].(time.Time))
		case o.typ == rule.DateType:
			dates = append(dates, o.args[0].(string))
		case o.typ == rule.Boolean:
			bools = append(bools, o.args[0].(bool))
		case o.typ == rule.Number:
			if n, ok := o.args[0].(int64); ok {
				whole = append(whole, n)
			} else {
				decimals = append(decimals, o.args[0].(string))
			}
		default:
			texts = append(texts, o.args[0].(string))
		}
	}
	add := func(cast string, list any) {
		alternatives = append(alternatives, infix(x.piece, "=", piece{sql: "any(?::" + cast + ")", args: []any{list}}))
	}
	if texts != nil {
		add("text[]", texts)
	}
	if whole != nil {
		add("bigint[]", whole)
	}
	if decimals != nil {
		add("text[]::numeric[]", decimals)
	}
	if bools != nil {
		add("boolean[]", bools)
	}
	if dates != nil {
		add("text[]::date[]", dates)
	}
	if instants != nil {
		add("timestamptz[]", instants)
	}
	for _, code := range currencies {
		alternatives = append(alternatives, join(" and ",
			sameCurrency(x, operand{currency: piece{sql: "?", args: []any{code}}}),
			infix(x.piece, "=", piece{sql: "any(?::text[]::numeric[])", args: []any{byCurrency[code]}})))
	}
	return join(" or ", alternatives...)
}

// match compiles to like wherever it can, because an index can serve that; the
// text people look for is escaped with like's backslash, which is also the
// escape of the language.
func (c *compiler) match(e *rule.Match) piece {
	x := c.operand(e.X)
	pattern := e.Pattern
	if x.typ == rule.ListType {
		return infix(x.piece, "@>", piece{sql: "array[?]::text[]", args: []any{pattern}})
	}
	switch e.Op {
	case rule.ILike:
		// In collation "C" lower folds ASCII letters and no others.
		x.sql = `lower(` + x.sql + ` collate "C")`
		pattern = asciiLower(pattern)
	case rule.Contains:
		pattern = "%" + escapeLike(pattern) + "%"
	case rule.StartsWith:
		pattern = escapeLike(pattern) + "%"
	case rule.EndsWith:
		pattern = "%" + escapeLike(pattern)
	}
	return infix(x.piece, "like", piece{sql: "?", args: []any{pattern}})
}

func (c *compiler) within(e *rule.Within) piece {
	x := c.operand(e.X)
	from, to := rule.WindowOf(e, x.typ, c.env)
	if x.typ == rule.DateType {
		return infix(x.piece, "between", infix(dateArg(from.Date), "and", dateArg(to.Date)))
	}
	return join(" and ", infix(x.piece, ">", instantArg(from.Instant)), infix(x.piece, "<=", instantArg(to.Instant)))
}
