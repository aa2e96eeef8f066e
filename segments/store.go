package segments

import (
	"context"
	"errors"
	"fmt"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// Save stores a definition as the next version, unless it is the one in force.
// It reports whether it did. Members change with the next tick.
func Save(ctx context.Context, tx pgx.Tx, s Segment, now time.Time) (bool, error) {
	var rules, description string
	err := tx.QueryRow(ctx, `
		select v.rule, v.description
		from dunlin.segments s join dunlin.segment_versions v using (name, version)
		where s.name = $1 for update of s`, s.Name).Scan(&rules, &description)
	switch {
	case err == nil && rules == s.Rule.Source() && description == s.Description:
		return false, nil
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return false, fmt.Errorf("save segment %q: %w", s.Name, err)
	}
	_, err = tx.Exec(ctx, `
		with new as (
			insert into dunlin.segments (name, version) values (@name, 1)
			on conflict (name) do update set version = segments.version + 1
			returning name, version)
		insert into dunlin.segment_versions (name, version, description, rule, created_at)
		select name, version, @description, @rule, @now from new`,
		pgx.StrictNamedArgs{"name": s.Name, "description": s.Description, "rule": s.Rule.Source(), "now": now})
	if err != nil {
		return false, fmt.Errorf("save segment %q: %w", s.Name, err)
	}
	return true, nil
}

// A Stored segment is what the store says of one, whether or not its rule still
// checks against this binary's catalog.
type Stored struct {
	Name        string
	Version     int
	Description string
	Source      string
	Fault       string     // why the last tick could not evaluate it; empty when it could
	EvaluatedAt *time.Time // the last tick that looked at everybody; nil before the first
	EvaluatedAs string     // rule, bounds and accounts of that evaluation, hashed
	Members     int64
}

// Rule parses and checks the stored source.
func (s Stored) Rule(currency string) (*rule.Rule, error) {
	return rule.New(s.Source, customers.Attributes, currency)
}

// List returns every segment in force, by name.
func List(ctx context.Context, q customers.Querier) ([]Stored, error) {
	rows, err := q.Query(ctx, `
		select s.name, s.version, v.description, v.rule, coalesce(s.fault, ''), s.evaluated_at, coalesce(s.evaluated_as, ''),
		       (select count(*) from dunlin.members m where m.segment = s.name)
		from dunlin.segments s join dunlin.segment_versions v using (name, version)
		order by s.name`)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Stored])
}

// Load returns one segment in force, or an error wrapping
// [workspace.ErrNotFound].
func Load(ctx context.Context, q customers.Querier, name, currency string) (Segment, error) {
	var s Segment
	var source string
	err := q.QueryRow(ctx, `
		select s.name, s.version, v.description, v.rule
		from dunlin.segments s join dunlin.segment_versions v using (name, version)
		where s.name = $1`, name).Scan(&s.Name, &s.Version, &s.Description, &source)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("segment %q: %w", name, workspace.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("load segment %q: %w", name, err)
	}
	s.Rule, err = rule.New(source, customers.Attributes, currency)
	return s, err
}

// Count evaluates a rule now, over every account that is ready, whoever the
// members of any segment are.
func Count(ctx context.Context, q customers.Querier, r *rule.Rule, env rule.Env) (int64, error) {
	matching, err := match(r, env)
	if err != nil {
		return 0, err
	}
	sql, args, err := matching.Columns("count(*)").PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		return 0, fmt.Errorf("compile rule: %w", err)
	}
	var n int64
	if err := q.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	return n, nil
}

// match selects, without columns, the customers for whom a rule is true.
func match(r *rule.Rule, env rule.Env) (sq.SelectBuilder, error) {
	cond, err := Compile(r, env)
	if err != nil {
		return sq.SelectBuilder{}, err
	}
	return sq.Select().From("dunlin.customers c").
		Where("c.account_id in (select account_id from dunlin.accounts where ready_at is not null)").
		Where(cond), nil
}

// A Change is what a definition would do to a segment's members, if it were
// evaluated now.
type Change struct {
	Enter, Leave             int64
	EnterSample, LeaveSample []string // Stripe ids, five at most
}

// Preview compares a rule with the present members of the segment of that name.
func Preview(ctx context.Context, q customers.Querier, s Segment, env rule.Env) (Change, error) {
	var c Change
	matching, err := match(s.Rule, env)
	if err != nil {
		return c, err
	}
	in := matching.Columns("c.account_id", "c.customer_id", "c.stripe_id")
	sql, args, err := sq.Expr(`
		with now_in as (?),
		     was as (select m.account_id, m.customer_id, c.stripe_id from dunlin.members m
		             join dunlin.customers c using (account_id, customer_id) where m.segment = ?),
		     enter as (select stripe_id from now_in n where not exists (select from was w where w.account_id = n.account_id and w.customer_id = n.customer_id)),
		     leave as (select stripe_id from was w where not exists (select from now_in n where w.account_id = n.account_id and w.customer_id = n.customer_id))
		select (select count(*) from enter), (select count(*) from leave),
		       array(select stripe_id from enter order by stripe_id limit 5),
		       array(select stripe_id from leave order by stripe_id limit 5)`, in, s.Name).ToSql()
	if err != nil {
		return c, fmt.Errorf("compile rule: %w", err)
	}
	if sql, err = sq.Dollar.ReplacePlaceholders(sql); err != nil {
		return c, fmt.Errorf("compile rule: %w", err)
	}
	err = q.QueryRow(ctx, sql, args...).Scan(&c.Enter, &c.Leave, &c.EnterSample, &c.LeaveSample)
	if err != nil {
		return c, fmt.Errorf("preview segment %q: %w", s.Name, err)
	}
	return c, nil
}

// A Member is one customer in a segment.
type Member struct {
	Account  string    `json:"account"`
	StripeID string    `json:"stripe_id"`
	JoinedAt time.Time `json:"joined_at"`
}

// Members lists who is in a segment, by account and Stripe id.
func Members(ctx context.Context, q customers.Querier, name string, limit int) ([]Member, error) {
	rows, err := q.Query(ctx, `
		select account, stripe_id, joined_at from dunlin.segment_members
		where segment = $1 order by account, stripe_id limit $2`, name, limit)
	if err != nil {
		return nil, fmt.Errorf("list members of %q: %w", name, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Member])
}
