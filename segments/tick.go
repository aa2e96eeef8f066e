package segments

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// A Ticker evaluates all segments.
type Ticker struct {
	Pool   *pgxpool.Pool
	Now    workspace.Clock
	Logger *slog.Logger

	// After runs in the tick's transaction, once membership is written: what
	// follows from joins and leaves is committed with them or not at all.
	After func(ctx context.Context, tx pgx.Tx, t Tick) error
}

// A Tick is one evaluation at one instant. Who joined and left is in
// dunlin.membership_log under its ID.
type Tick struct {
	ID           int64
	At           time.Time // business time
	Joined, Left int64
	Moved        map[string]int64 // joins and leaves by segment, of those that had any

	// Changed are the customers whose attributes changed since the last tick.
	// When Everyone is true they were too many to name, or a day began: all
	// customers are looked at. NewHour says that an hour began, for what follows
	// from the time that has passed and not from a change.
	Changed           []customers.Ref
	Everyone, NewHour bool
}

// maxChanged is how many changed customers a tick names; with more it looks at
// everyone, which is then about as cheap.
const maxChanged = 5000

// errRollback makes a rehearsal leave no trace.
var errRollback = errors.New("rehearsal")

// Tick evaluates at the clock's instant, or at the last tick's when the clock
// is behind it. Ticks of several processes wait for each other.
func (t *Ticker) Tick(ctx context.Context) (Tick, error) {
	return t.tick(ctx, t.Now(), false)
}

// Rehearse evaluates at any instant, rolls everything back and reports what a
// tick would do.
func (t *Ticker) Rehearse(ctx context.Context, at time.Time) (Tick, error) {
	return t.tick(ctx, at, true)
}

func (t *Ticker) tick(ctx context.Context, at time.Time, rehearse bool) (Tick, error) {
	var done Tick
	err := pgx.BeginFunc(ctx, t.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('dunlin:tick', 0))`); err != nil {
			return fmt.Errorf("wait for other ticks: %w", err)
		}
		var err error
		if done, err = t.begin(ctx, tx, at, rehearse); err != nil {
			return err
		}
		settings, err := workspace.Load(ctx, tx)
		if err != nil {
			return err
		}
		if err := t.evaluate(ctx, tx, &done, Env(settings, done.At)); err != nil {
			return err
		}
		if t.After != nil {
			if err := t.After(ctx, tx, done); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `
			update dunlin.ticks set finished_at = clock_timestamp(), joined = $2, left_ = $3 where tick_id = $1`,
			done.ID, done.Joined, done.Left)
		if err == nil && rehearse {
			return errRollback
		}
		return err
	})
	if err != nil && !errors.Is(err, errRollback) {
		return done, fmt.Errorf("tick: %w", err)
	}
	return done, nil
}

// begin opens the tick's row at an instant not before the last tick's, and
// consumes the news about customers.
func (t *Ticker) begin(ctx context.Context, tx pgx.Tx, at time.Time, anyInstant bool) (Tick, error) {
	var tick Tick
	var last *time.Time
	err := tx.QueryRow(ctx, `
		with last as (select max(at) as at from dunlin.ticks)
		insert into dunlin.ticks (at) select case when $2 then $1 else greatest($1, last.at) end from last
		returning tick_id, at, (select at from last)`, at, anyInstant).
		Scan(&tick.ID, &tick.At, &last)
	if err != nil {
		return tick, fmt.Errorf("begin: %w", err)
	}
	rows, err := tx.Query(ctx, `
		with news as (delete from dunlin.changed_customers returning account_id, customer_id)
		select distinct account_id, customer_id from news limit $1`, maxChanged+1)
	if err != nil {
		return tick, fmt.Errorf("take the news: %w", err)
	}
	if tick.Changed, err = pgx.CollectRows(rows, pgx.RowToStructByPos[customers.Ref]); err != nil {
		return tick, fmt.Errorf("take the news: %w", err)
	}
	if len(tick.Changed) > maxChanged {
		tick.Changed, tick.Everyone = nil, true
	}
	began := func(d time.Duration) bool { return last == nil || !last.Truncate(d).Equal(tick.At.Truncate(d)) }
	tick.NewHour = began(time.Hour)
	tick.Everyone = tick.Everyone || began(24*time.Hour) || anyInstant
	return tick, nil
}

// evaluate makes each segment's members what its rule says. A rule that no
// longer checks keeps its members and says so; the others are not held up.
func (t *Ticker) evaluate(ctx context.Context, tx pgx.Tx, tick *Tick, env rule.Env) error {
	list, err := inForce(ctx, tx)
	if err != nil {
		return err
	}
	var ready string
	if err := tx.QueryRow(ctx, `select coalesce(string_agg(account_id::text, ' ' order by account_id), '') from dunlin.accounts where ready_at is not null`).Scan(&ready); err != nil {
		return fmt.Errorf("read accounts: %w", err)
	}
	tick.Moved = map[string]int64{}
	for _, s := range list {
		r, err := s.Rule(env.Currency)
		if err != nil {
			t.Logger.Error("segment not evaluated", "segment", s.Name, "version", s.Version, "error", err)
			if _, err := tx.Exec(ctx, `update dunlin.segments set fault = $2, evaluated_as = null where name = $1`, s.Name, err.Error()); err != nil {
				return fmt.Errorf("record fault of segment %q: %w", s.Name, err)
			}
			continue
		}
		if err := evaluateOne(ctx, tx, s, r, ready, tick, env); err != nil {
			return fmt.Errorf("segment %q: %w", s.Name, err)
		}
	}
	return nil
}

// evaluateOne brings one segment up to the tick. Who is in it follows from the
// customers' attributes, the rule with its bounds at this instant, and which
// accounts are ready: when the last two are what they were at the last tick,
// only changed customers can have joined or left.
func evaluateOne(ctx context.Context, tx pgx.Tx, s Stored, r *rule.Rule, ready string, tick *Tick, env rule.Env) error {
	matching, err := match(r, env)
	if err != nil {
		return err
	}
	matching = matching.Columns("c.account_id", "c.customer_id")
	sql, args, err := matching.ToSql()
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	evaluatedAs := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %v %s", sql, args, ready)))
	narrow := s.EvaluatedAs == evaluatedAs && !tick.Everyone
	if narrow && len(tick.Changed) == 0 {
		return nil
	}
	joined, left, err := members(ctx, tx, s.Name, matching, tick, narrow)
	if err != nil {
		return err
	}
	tick.Joined, tick.Left = tick.Joined+joined, tick.Left+left
	if joined+left > 0 {
		tick.Moved[s.Name] = joined + left
	}
	if narrow {
		return nil
	}
	_, err = tx.Exec(ctx, `update dunlin.segments set evaluated_at = $2, evaluated_as = $3, fault = null where name = $1`, s.Name, tick.At, evaluatedAs)
	if err != nil {
		return fmt.Errorf("record evaluation: %w", err)
	}
	return nil
}

// inForce is List without the counts.
func inForce(ctx context.Context, tx pgx.Tx) ([]Stored, error) {
	rows, err := tx.Query(ctx, `
		select s.name, s.version, v.description, v.rule, coalesce(s.fault, ''), s.evaluated_at, coalesce(s.evaluated_as, ''), 0::bigint
		from dunlin.segments s join dunlin.segment_versions v using (name, version)
		order by s.name`)
	if err != nil {
		return nil, fmt.Errorf("load segments: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Stored])
}

// members makes a segment's members those that match, or does so among the
// changed customers only, and logs who came and went.
func members(ctx context.Context, tx pgx.Tx, name string, matching sq.SelectBuilder, tick *Tick, narrow bool) (joined, left int64, err error) {
	among := sq.Expr("true")
	if narrow {
		accounts, ids := Columns(tick.Changed)
		in := "(%s.account_id, %s.customer_id) in (select * from unnest(?::int[], ?::bigint[]))"
		matching = matching.Where(sq.Expr(fmt.Sprintf(in, "c", "c"), accounts, ids))
		among = sq.Expr(fmt.Sprintf(in, "m", "m"), accounts, ids)
	}
	sql, args, err := sq.Expr(`
		with now_in as materialized (?),
		gone as (
			delete from dunlin.members m
			where m.segment = ? and ? and not exists (
				select from now_in n where n.account_id = m.account_id and n.customer_id = m.customer_id)
			returning account_id, customer_id),
		come as (
			insert into dunlin.members (account_id, customer_id, segment, joined_at)
			select n.account_id, n.customer_id, ?, ?::timestamptz from now_in n
			where not exists (
				select from dunlin.members m
				where m.segment = ? and m.account_id = n.account_id and m.customer_id = n.customer_id)
			returning account_id, customer_id),
		log as (
			insert into dunlin.membership_log (account_id, customer_id, segment, tick_id, change, at)
			select account_id, customer_id, ?, ?::bigint, 'join', ?::timestamptz from come
			union all
			select account_id, customer_id, ?, ?::bigint, 'leave', ?::timestamptz from gone)
		select (select count(*) from come), (select count(*) from gone)`,
		matching, name, among, name, tick.At, name, name, tick.ID, tick.At, name, tick.ID, tick.At).ToSql()
	if err != nil {
		return 0, 0, fmt.Errorf("compile: %w", err)
	}
	if sql, err = sq.Dollar.ReplacePlaceholders(sql); err != nil {
		return 0, 0, fmt.Errorf("compile: %w", err)
	}
	err = tx.QueryRow(ctx, sql, args...).Scan(&joined, &left)
	return joined, left, err
}

// Columns are customers as two arrays, for unnest.
func Columns(refs []customers.Ref) (accounts []int, ids []int64) {
	accounts, ids = make([]int, len(refs)), make([]int64, len(refs))
	for i, r := range refs {
		accounts[i], ids[i] = r.Account, r.Customer
	}
	return accounts, ids
}

// LastTick is the instant of the newest tick; zero before the first.
func LastTick(ctx context.Context, q workspace.Querier) (time.Time, error) {
	var at *time.Time
	if err := q.QueryRow(ctx, `select max(at) from dunlin.ticks`).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read last tick: %w", err)
	}
	if at == nil {
		return time.Time{}, nil
	}
	return *at, nil
}
