package segments

import (
	"errors"
	"fmt"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/dunlin/dunlin/segments/rule"
)

// maxInPlace is how many times one rule may have a segment's rule compiled into
// it. Segments that name each other twice double it at every level.
const maxInPlace = 200

func (c *compiler) exists(s *rule.Set, not bool) sq.Sqlizer {
	from := c.elements(s, "")
	return existence("exists (select from "+from.sql+")", from.args, not)
}

// existence is never null, and its plain negation can become an anti-join.
func existence(sql string, args []any, not bool) sq.Sqlizer {
	if not {
		sql = "not " + sql
	}
	return sq.Expr(sql, args...)
}

// elements is the from and the where of a customer's elements. A present column
// leaves out the elements without a value in it.
func (c *compiler) elements(s *rule.Set, present string) piece {
	p := piece{sql: "dunlin." + c.name(s.Collection) + " e where e.account_id = c.account_id and e.customer_id = c.customer_id"}
	if c.probe {
		p.sql = "(select * from " + p.sql + " offset 0) e where true" // offset keeps what follows out
	}
	if present != "" {
		p.sql += " and " + present + " is not null"
	}
	if s.Where == nil {
		return p
	}
	outside := c.aggregates
	c.where, c.aggregates = true, nil
	sql, args, err := c.expr(s.Where, false).ToSql()
	c.where, c.aggregates = false, outside
	if err != nil {
		c.fail(err)
	}
	p.sql += " and " + sql
	p.args = args
	return p
}

// countsAny returns the set of a count that is compared only to learn whether
// there are some elements, or none. Set is nil for other comparisons.
func countsAny(e *rule.Compare) (set *rule.Set, some bool) {
	count, ok := e.Left.(*rule.Aggregate)
	number, ok2 := e.Right.(*rule.NumberLit)
	op := e.Op
	if !ok {
		count, ok = e.Right.(*rule.Aggregate)
		number, ok2 = e.Left.(*rule.NumberLit)
		op = mirrored[op]
	}
	if !ok || !ok2 || count.Func != "count" {
		return nil, false
	}
	n, whole := number.Number.Int64()
	switch {
	case !whole:
		return nil, false
	case n == 0 && (op == rule.Greater || op == rule.NotEqual), n == 1 && op == rule.GreaterOrEqual:
		return count.Set, true
	case n == 0 && (op == rule.Equal || op == rule.LessOrEqual), n == 1 && op == rule.Less:
		return count.Set, false
	}
	return nil, false
}

// overAggregates puts a predicate, or a value, over the tables that its
// aggregates are read from. Each table has one row, or for the latest of nothing
// none: then nothing is selected, which is null and so missing or not true.
func (c *compiler) overAggregates(p piece) piece {
	if len(c.aggregates) == 0 {
		return p
	}
	from := commas(c.aggregates)
	c.aggregates = nil
	return piece{sql: "(select " + p.sql + " from " + from.sql + ")", args: slices.Concat(p.args, from.args), wrapped: true}
}

// aggregate reads an aggregate's value, and its currency, from a table of their
// own, so that a predicate can use them as often as it must.
func (c *compiler) aggregate(a *rule.Aggregate) operand {
	table := c.aggregateTable(a)
	alias := fmt.Sprintf("a%d", len(c.aggregates)+1)
	c.aggregates = append(c.aggregates, piece{sql: "(" + table.sql + ") " + alias, args: table.args})
	o := operand{typ: c.rule.TypeOf(a), column: true, piece: piece{sql: alias + ".value"}}
	if o.typ == rule.MoneyType {
		o.currency = piece{sql: alias + ".currency"}
		o.sum = a.Func == "sum"
	}
	return o
}

func (c *compiler) aggregateTable(a *rule.Aggregate) piece {
	if a.Func == "count" {
		return selected("count(*) as value", c.elements(a.Set, ""))
	}
	field := c.rule.Field(a.Set)
	x := "e." + c.name(field.Name)
	money := field.Type == rule.MoneyType
	switch {
	case a.Func == "latest" || a.Func == "earliest":
		return c.newest(a, x, money)
	case money:
		return selected(overMoney(a.Func, x), c.elements(a.Set, x))
	case a.Func == "sum":
		return selected("coalesce(sum("+x+"), 0) as value", c.elements(a.Set, ""))
	}
	return selected(over(a.Func, x)+" as value", c.elements(a.Set, ""))
}

// newest is the field of one element. Ties go by id, in bytes as in Go.
func (c *compiler) newest(a *rule.Aggregate, x string, money bool) piece {
	columns := x + " as value"
	if money {
		columns += ", " + x + "_currency as currency"
	}
	p := selected(columns, c.elements(a.Set, ""))
	if a.Func == "latest" {
		p.sql += ` order by e.created_at desc, e.id collate "C" desc limit 1`
	} else {
		p.sql += ` order by e.created_at, e.id collate "C" limit 1`
	}
	return p
}

// overMoney is of rows whose amount is not null. The value is null when their
// currencies differ (honest-money); the currency is null when there are no rows,
// whose sum is 0 in any.
func overMoney(name, x string) string {
	code := x + "_currency"
	none := ""
	if name == "sum" {
		none = "when count(*) = 0 then 0 "
	}
	return fmt.Sprintf("case %swhen min(%s) = max(%s) then %s end as value, min(%s) as currency", none, code, code, over(name, x), code)
}

// over calls an aggregate function. Postgres rounds what it divides, to a number
// of digits that depends on the operands; an average is therefore worked out with
// div, which is exact, to rule.AvgPlaces decimals and half away from zero.
func over(name, x string) string {
	if name != "avg" {
		return name + "(" + x + ")"
	}
	sum := "sum(" + x + "::numeric)"
	return fmt.Sprintf("div(%s * 2e%d + sign(%s) * count(%s), 2 * count(%s)) * 1e-%d", sum, rule.AvgPlaces, sum, x, x, rule.AvgPlaces)
}

// inSegment is true of the members in force, or with Parents of whom the
// segment's own rule is true.
func (c *compiler) inSegment(e *rule.InSegment, not bool) sq.Sqlizer {
	if c.parents == nil {
		return existence("exists (select from dunlin.members m where m.account_id = c.account_id and m.customer_id = c.customer_id"+
			" and m.generation = (select generation from dunlin.segments where name = ?))", []any{e.Segment}, not)
	}
	parent := c.parents[e.Segment]
	c.inPlace++
	switch {
	case parent == nil:
		c.fail(fmt.Errorf("segment %q has no rule", e.Segment))
		return sq.Expr("false")
	case c.inPlace > maxInPlace:
		c.fail(errors.New("segments are named in segments too often"))
		return sq.Expr("false")
	}
	child := c.rule
	c.rule = parent
	cond := c.expr(parent.Tree().Root, not)
	c.rule = child
	return cond
}
