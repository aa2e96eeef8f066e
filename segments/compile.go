package segments

import (
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/dunlin/dunlin/segments/rule"
)

// ErrRule says that a rule that checks cannot be evaluated all the same.
var ErrRule = errors.New("the rule cannot be evaluated")

// Parents are the rules of segments by name.
type Parents map[string]*rule.Rule

// Compile turns a checked rule into a condition over alias c of
// dunlin.customers: an attribute is the column of its name, an amount also the
// column name_currency, metadata a jsonb object and a list a text[]. The elements
// of a collection are the rows of the table of its name that have the customer's
// key.
//
// The condition is true exactly for the rows of which rule.Rule.Eval is true,
// for the same env; for other rows it is false or null, so it belongs into a
// where and not under a not. Negation is pushed to the predicates: a positive
// one stays plain, so that an index can serve it, and the complement of one is
// not exists (…), or (…) is not true. Everything that somebody wrote, and every
// bound that moves with env.Now, is an argument (closed-language); placeholders
// are squirrel's Question, for the outermost builder to number.
//
// In segment asks who is listed as a member, as of the last tick. With parents
// that are not nil it is the named segment's own rule instead, compiled in place:
// the truth of this moment, whatever the list says.
//
// An instant compared with a fixed or moving day is compared with the instants
// at which that day begins and ends in env.Zone. Only when both sides are
// columns does Postgres itself find an instant's day, for which the zone must
// have a name that Postgres and Go read alike, such as Europe/Berlin or UTC. In
// the hour that Newfoundland, until 2011, went back to yesterday it then finds
// yesterday, where rule.DateOf stays in the new day.
func Compile(r *rule.Rule, env rule.Env, parents Parents) (sq.Sqlizer, error) {
	return (&compiler{rule: r, env: env, parents: parents}).compile()
}

// compileProbe is Compile for one customer at a time, found by key: elements are
// read by the customer's key and nothing else, whatever other index Postgres may
// think cheaper.
func compileProbe(r *rule.Rule, env rule.Env) (sq.Sqlizer, error) {
	return (&compiler{rule: r, env: env, probe: true}).compile()
}

func (c *compiler) compile() (sq.Sqlizer, error) {
	r := c.rule
	if r == nil {
		return nil, errors.New("compile: no rule")
	}
	cond := c.expr(r.Tree().Root, false)
	if c.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRule, c.err)
	}
	return cond, nil
}

type compiler struct {
	rule    *rule.Rule
	env     rule.Env
	parents Parents
	probe   bool // see compileProbe
	inPlace int  // segments compiled in place so far
	where   bool // bare names are an element's, of alias e

	// The tables that the aggregates of the predicate at hand are read from.
	aggregates []piece

	err error // the first fault
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
	case *rule.Exists:
		return c.exists(e.Set, not)
	case *rule.InSegment:
		return c.inSegment(e, not)
	case *rule.Is:
		return c.is(e, e.Not != not)
	case *rule.Compare:
		if set, some := countsAny(e); set != nil {
			return c.exists(set, some == not)
		}
	}
	p, negated := c.predicate(e)
	p = c.overAggregates(p)
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

// is has a complement in SQL's own words, because it is never null.
func (c *compiler) is(e *rule.Is, not bool) sq.Sqlizer {
	x := c.overAggregates(c.operand(e.X).piece)
	words := [...]string{rule.Null: "null", rule.Present: "not null", rule.True: "true", rule.False: "false"}
	opposites := [...]string{rule.Null: "not null", rule.Present: "null", rule.True: "not true", rule.False: "not false"}
	word := words[e.What]
	if not {
		word = opposites[e.What]
	}
	return sq.Expr(x.sql+" is "+word, x.args...)
}

// An operand is one side of a comparison.
type operand struct {
	piece
	typ      rule.Type
	column   bool      // of the customer, an element, or an aggregate's table
	currency piece     // of money
	sum      bool      // of money: when there was nothing to add its currency is null
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
		column := "c."
		if c.where && !v.Customer {
			column = "e."
		}
		column += c.name(c.rule.Resolve(v).Name)
		o.column = true
		o.sql = column
		if v.HasKey {
			o.piece = piece{sql: "(" + column + " ->> ?::text)", args: []any{v.Key}}
		}
		if o.typ == rule.MoneyType {
			o.currency = piece{sql: column + "_currency"}
		}
	case *rule.Aggregate:
		return c.aggregate(v)
	default:
		c.fail(fmt.Errorf("%T cannot be compiled", v))
	}
	return o
}

// name returns a name of the catalog as SQL. It is the only way for one to get
// there.
func (c *compiler) name(name string) string {
	if !isColumn(name) {
		c.fail(fmt.Errorf("%q is no name of a column", name))
	}
	return name
}

func (c *compiler) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
