package segments

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/dunlin/dunlin/segments/rule"
)

// Compile turns a checked rule into a condition over alias c of
// dunlin.customers: an attribute is the column of its name, an amount also the
// column name_currency, metadata a jsonb object and a list a text[].
//
// The condition is true exactly for the rows of which rule.Rule.Eval is true,
// for the same env; for other rows it is false or null, so it belongs into a
// where and not under a not. Negation is pushed to the predicates: a positive
// one stays plain, so that an index can serve it, and the complement of one is
// (…) is not true. Everything that somebody wrote, and every bound that moves
// with env.Now, is an argument; placeholders are squirrel's Question, for the
// outermost builder to number.
//
// An instant compared with a fixed or moving day is compared with the instants
// at which that day begins and ends in env.Zone. Only when both sides are
// columns does Postgres itself find an instant's day, for which the zone must
// have a name that Postgres and Go read alike, such as Europe/Berlin or UTC.
func Compile(r *rule.Rule, env rule.Env) (sq.Sqlizer, error) {
	if r == nil {
		return nil, errors.New("compile: no rule")
	}
	c := &compiler{rule: r, env: env}
	cond := c.expr(r.Tree().Root, false)
	if c.err != nil {
		return nil, fmt.Errorf("compile rule: %w", c.err)
	}
	return cond, nil
}

type compiler struct {
	rule *rule.Rule
	env  rule.Env
	err  error // the first fault
}

// A piece is SQL with an argument for each of its question marks.
type piece struct {
	sql     string
	args    []any
	wrapped bool // already in parentheses
}

func (c *compiler) expr(e rule.Expr, not bool) sq.Sqlizer {
	switch e := e.(type) {
	case *rule.And:
		return c.group(e.List, not, !not)
	case *rule.Or:
		return c.group(e.List, not, not)
	case *rule.Not:
		return c.expr(e.X, !not)
	case *rule.Is:
		return c.is(e, e.Not != not)
	}
	p, negated := c.predicate(e)
	if negated != not {
		if !p.wrapped {
			p.sql = "(" + p.sql + ")"
		}
		p.sql += " is not true"
	}
	return sq.Expr(p.sql, p.args...)
}

// group compiles the operands of and (all) or or. It refuses an empty group,
// which squirrel would turn into a condition that matches everybody or nobody.
func (c *compiler) group(list []rule.Expr, not, all bool) sq.Sqlizer {
	if len(list) == 0 {
		c.fail(errors.New("a group without conditions"))
	}
	parts := make([]sq.Sqlizer, len(list))
	for i, e := range list {
		parts[i] = c.expr(e, not)
	}
	if all {
		return sq.And(parts)
	}
	return sq.Or(parts)
}

// predicate returns the positive form of e, and whether e is its complement.
func (c *compiler) predicate(e rule.Expr) (p piece, not bool) {
	switch e := e.(type) {
	case *rule.Compare:
		left, right := c.operand(e.Left), c.operand(e.Right)
		if e.Op == rule.NotEqual {
			return c.compare(left, rule.Equal, right), true
		}
		return c.compare(left, e.Op, right), false
	case *rule.Between:
		return c.between(c.operand(e.X), c.operand(e.Low), c.operand(e.High)), e.Not
	case *rule.In:
		return c.in(e), e.Not
	case *rule.Match:
		return c.match(e), e.Not
	case *rule.Within:
		return c.within(e), e.Not
	case *rule.Truth:
		p := c.operand(e.X).piece
		p.wrapped = true // a column needs no parentheses
		return p, false
	}
	c.fail(fmt.Errorf("%T cannot be compiled", e))
	return piece{sql: "false"}, false
}

// An operand is one side of a comparison.
type operand struct {
	piece
	typ      rule.Type
	column   bool
	currency piece     // of money
	day      rule.Date // of a fixed or moving day
}

func (c *compiler) operand(v rule.Value) operand {
	o := operand{typ: c.rule.TypeOf(v)}
	if b, ok := rule.BoundOf(v, c.env); ok {
		if b.IsDate() {
			o.day = b.Date
			o.piece = dateArg(b.Date)
		} else {
			o.piece = instantArg(b.Instant)
		}
		return o
	}
	switch v := v.(type) {
	case *rule.TextLit:
		o.piece = piece{sql: "?", args: []any{v.Text}}
	case *rule.BoolLit:
		o.piece = piece{sql: "?::boolean", args: []any{v.Bool}}
	case *rule.NumberLit:
		o.piece = piece{sql: "?::numeric", args: []any{v.Number.String()}}
		o.currency = piece{sql: "?", args: []any{v.Currency}}
		if n, ok := v.Number.Int64(); ok && v.Currency == "" {
			// Not numeric, which would keep an index on an integer column from use.
			o.piece = piece{sql: "?::bigint", args: []any{n}}
		}
	case *rule.Ref:
		name := c.rule.Resolve(v).Name
		if !isColumn(name) {
			c.fail(fmt.Errorf("attribute %q has no column", name))
		}
		o.column = true
		o.sql = "c." + name
		if v.HasKey {
			o.piece = piece{sql: "(c." + name + " ->> ?::text)", args: []any{v.Key}}
		}
		if o.typ == rule.MoneyType {
			o.currency = piece{sql: "c." + name + "_currency"}
		}
	default:
		c.fail(fmt.Errorf("%T cannot be compiled", v))
	}
	return o
}

// compare returns l op r. Op is not NotEqual.
func (c *compiler) compare(l operand, op rule.Op, r operand) piece {
	switch {
	case l.typ == rule.MoneyType || r.typ == rule.MoneyType:
		l, r = c.money(l), c.money(r)
		if !l.column {
			l, r, op = r, l, mirrored[op]
		}
		return join(" and ", infix(l.currency, "=", r.currency), infix(l.piece, symbols[op], r.piece))
	case l.typ == rule.InstantType && r.typ == rule.DateType:
		return c.onDay(l, op, r)
	case l.typ == rule.DateType && r.typ == rule.InstantType:
		return c.onDay(r, mirrored[op], l)
	}
	return infix(l.piece, symbols[op], r.piece)
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
			return join(" and ", infix(x.currency, "=", low.currency), span(x, low, high))
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
			infix(x.currency, "=", piece{sql: "?", args: []any{code}}),
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

// is has a complement in SQL's own words, because it is never null.
func (c *compiler) is(e *rule.Is, not bool) sq.Sqlizer {
	x := c.operand(e.X)
	words := [...]string{rule.Null: "null", rule.Present: "not null", rule.True: "true", rule.False: "false"}
	opposites := [...]string{rule.Null: "not null", rule.Present: "null", rule.True: "not true", rule.False: "not false"}
	word := words[e.What]
	if not {
		word = opposites[e.What]
	}
	return sq.Expr(x.sql+" is "+word, x.args...)
}

func (c *compiler) within(e *rule.Within) piece {
	x := c.operand(e.X)
	from, to := rule.WindowOf(e, x.typ, c.env)
	if x.typ == rule.DateType {
		return infix(x.piece, "between", infix(dateArg(from.Date), "and", dateArg(to.Date)))
	}
	return join(" and ", infix(x.piece, ">", instantArg(from.Instant)), infix(x.piece, "<=", instantArg(to.Instant)))
}

func (c *compiler) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
