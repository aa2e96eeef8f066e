// Package segments knows which customers are in which segment.
//
// A segment is a name and a rule ([rule.Rule]); [Compile] turns the rule into
// SQL over the customers table. A [Ticker] evaluates all segments at one
// instant, in one transaction: it writes who joined and who left, and lets its
// caller act on that before it commits.
//
//   - exact-membership: after a tick at an instant, the members of a segment are
//     exactly the customers for whom the rule is true at that instant, over
//     everything the tick's snapshot saw.
//   - The instant of a tick is never before that of the tick before it.
//   - honest-mirror: customers of an account whose first sync has not finished
//     are in no segment.
//   - A stored rule is its source, in immutable versions; the newest is in force.
package segments

import (
	"context"
	"fmt"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// A Segment is a definition: a name and the rule that says who is in it.
type Segment struct {
	Name        string
	Version     int // 0: not stored yet
	Description string
	Rule        *rule.Rule
}

// Parse reads a segment document. The rule is checked against the catalog;
// currency is the workspace's, for bare numbers beside money.
func Parse(d workspace.Document, currency string) (Segment, workspace.Faults) {
	var faults workspace.Faults
	m := d.Mapping(&faults)
	if m == nil {
		return Segment{}, faults
	}
	s := Segment{Name: d.Name}
	m.Text("kind", true)
	m.Text("name", true)
	s.Description = m.Text("description", false).Value
	if f := m.Text("rule", true); f.Set {
		r, err := rule.New(f.Value, customers.Attributes, currency)
		if err != nil {
			faults = append(faults, f.RuleFaults(err)...)
		}
		s.Rule = r
	}
	m.Later("evaluate")
	m.Done()
	faults.Sort()
	return s, faults
}

// Env is what a rule's moving bounds need, at one instant.
func Env(s workspace.Settings, now time.Time) rule.Env {
	return rule.Env{Now: now, Zone: s.Zone, Currency: s.Currency}
}

// Holds reports whether a rule is true of one customer, by the same SQL that
// makes members.
func Holds(ctx context.Context, q customers.Querier, r *rule.Rule, env rule.Env, ref customers.Ref) (bool, error) {
	cond, err := Compile(r, env)
	if err != nil {
		return false, err
	}
	sql, args, err := sq.Select("true").From("dunlin.customers c").
		Where(sq.Eq{"c.account_id": ref.Account, "c.customer_id": ref.Customer}).Where(cond).
		PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		return false, fmt.Errorf("compile rule: %w", err)
	}
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return false, fmt.Errorf("evaluate rule: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	if err != nil {
		return false, fmt.Errorf("evaluate rule: %w", err)
	}
	return len(found) > 0, nil
}
