package segments

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// HoldTicks lets no tick begin until the transaction ends. A tick writes segments
// and enrollments in an order of its own: whoever writes many of them waits for it
// first, so that neither waits for what the other holds, nor misses what it does.
func HoldTicks(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `lock table dunlin.ticks in exclusive mode`); err != nil {
		return fmt.Errorf("wait for the tick: %w", err)
	}
	return nil
}

// Save stores a definition as the next version, unless it is the one in force.
// It reports whether it did. Members change with the ticks that follow.
func Save(ctx context.Context, tx pgx.Tx, s Segment, now time.Time) (bool, error) {
	written := strings.TrimSpace(s.Rule.Source())
	if err := HoldTicks(ctx, tx); err != nil {
		return false, fmt.Errorf("save segment %q: %w", s.Name, err)
	}
	var source, description, evaluate string
	err := tx.QueryRow(ctx, `
		select v.rule, v.description, v.evaluate
		from dunlin.segments s join dunlin.segment_versions v using (name, version)
		where s.name = $1 for update of s`, s.Name).Scan(&source, &description, &evaluate)
	switch {
	case err == nil && strings.TrimSpace(source) == written && description == s.Description && evaluate == s.Evaluate:
		return false, nil
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return false, fmt.Errorf("save segment %q: %w", s.Name, err)
	}
	_, err = tx.Exec(ctx, `
		with new as (
			insert into dunlin.segments (name, version) values (@name, 1)
			on conflict (name) do update set version = segments.version + 1
			returning name, version)
		insert into dunlin.segment_versions (name, version, description, rule, evaluate, created_at)
		select name, version, @description, @rule, @evaluate, @now from new`,
		pgx.StrictNamedArgs{"name": s.Name, "description": s.Description, "rule": written, "evaluate": s.Evaluate, "now": now})
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
	Evaluate    string     // its schedule; empty: with every tick
	Fault       string     // why the last tick could not evaluate it; empty when it could
	Waits       string     // why its campaigns wait; empty when they do not
	EvaluatedAt *time.Time // when its list was built; every tick keeps it exact since. Nil: not yet
	AuditedAt   *time.Time
	Drift       int64  // what the last audit had to repair
	Building    string // why a list is being built; empty when none is
	Members     int64
}

// storedSQL are the columns of a Stored, and storedFrom where they come from.
const (
	storedSQL = `s.name, s.version, v.description, v.rule, v.evaluate, coalesce(s.fault, ''), coalesce(s.waits, ''),
		       s.evaluated_at, s.audited_at, s.drift, coalesce(b.why, ''), coalesce(g.members, 0)`
	storedFrom = `from dunlin.segments s
		join dunlin.segment_versions v using (name, version)
		left join dunlin.generations g on g.generation = s.generation
		left join dunlin.generations b on b.segment = s.name and b.state = 'building'`
)

// targets are where a row of storedSQL is scanned to.
func (s *Stored) targets() []any {
	return []any{&s.Name, &s.Version, &s.Description, &s.Source, &s.Evaluate, &s.Fault, &s.Waits,
		&s.EvaluatedAt, &s.AuditedAt, &s.Drift, &s.Building, &s.Members}
}

// List returns every segment in force, by name.
func List(ctx context.Context, q customers.Querier) ([]Stored, error) {
	rows, err := q.Query(ctx, `select `+storedSQL+` `+storedFrom+` order by s.name`)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Stored])
}

// Load returns one segment in force, with the rules of the segments that its own
// names, or an error wrapping [workspace.ErrNotFound]. A rule that does not check
// is a *[rule.Error].
func Load(ctx context.Context, q customers.Querier, name, currency string) (Segment, error) {
	s := Segment{Name: name}
	var source string
	err := q.QueryRow(ctx, `
		select s.version, v.description, v.rule, v.evaluate, coalesce(s.waits, '')
		from dunlin.segments s join dunlin.segment_versions v using (name, version)
		where s.name = $1`, name).Scan(&s.Version, &s.Description, &source, &s.Evaluate, &s.Waits)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("segment %q: %w", name, workspace.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("load segment %q: %w", name, err)
	}
	if s.Rule, err = rule.New(source, Known{}, currency); err != nil {
		return s, err
	}
	s.Parents, err = ParentsOf(ctx, q, s.Rule, currency)
	if err != nil {
		err = fmt.Errorf("segment %q: %w", s.Name, err)
	}
	return s, err
}

// ParentsOf returns the rules of the segments that a rule names; nil when it
// names none. One that is not there, or does not check, is an error wrapping
// [workspace.ErrNotFound].
func ParentsOf(ctx context.Context, q customers.Querier, r *rule.Rule, currency string) (Parents, error) {
	if len(r.Segments()) == 0 {
		return nil, nil
	}
	_, parents, err := LoadKnown(ctx, q, currency)
	if err != nil {
		return nil, err
	}
	if name := parents.Missing(r); name != "" {
		return nil, fmt.Errorf("the rule names segment %q, whose own rule cannot be evaluated: %w", name, workspace.ErrNotFound)
	}
	return parents, nil
}

// LoadKnown returns what rules may name in this workspace, and the rules of the
// segments, nil for one that does not check.
func LoadKnown(ctx context.Context, q customers.Querier, currency string) (Known, Parents, error) {
	list, err := List(ctx, q)
	if err != nil {
		return Known{}, nil, err
	}
	known, rules := Known{Names: []string{}}, Parents{}
	for _, s := range list {
		known.Names = append(known.Names, s.Name)
	}
	if known.Plans, err = customers.Plans(ctx, q); err != nil {
		return Known{}, nil, err
	}
	for _, s := range list {
		// A plan may have gone from Stripe since; its name in a rule stays.
		if rules[s.Name], err = rule.New(s.Source, Known{Names: known.Names}, currency); err != nil {
			rules[s.Name] = nil
		}
	}
	for _, s := range list {
		if Cycle(s.Name, rules.Names) != "" { // apply refuses one; it is the tick's fault to report
			rules[s.Name] = nil
		}
	}
	return known, rules, nil
}

// ProjectedAgain returns the names of the accounts that segments have members of
// and whose customers are being projected again, as after an upgrade. While there
// is one, ticks look at nobody (honest-mirror).
func ProjectedAgain(ctx context.Context, q customers.Querier) ([]string, error) {
	rows, err := q.Query(ctx, `
		select a.name from dunlin.accounts a
		where a.ready_at is null and exists (select from dunlin.generations g where a.account_id = any(g.accounts) and g.state <> 'old')
		order by a.name`)
	if err != nil {
		return nil, fmt.Errorf("look for accounts that are projected again: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
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

// Of lists the segments that a customer is in, by name.
func Of(ctx context.Context, q customers.Querier, ref customers.Ref) ([]string, error) {
	rows, err := q.Query(ctx, `
		select s.name from dunlin.members m join dunlin.segments s using (generation)
		where m.account_id = $1 and m.customer_id = $2 order by s.name`, ref.Account, ref.Customer)
	if err != nil {
		return nil, fmt.Errorf("list the segments of customer %d: %w", ref.Customer, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
