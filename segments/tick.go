package segments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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

// A Tick is one evaluation at one instant.
type Tick struct {
	ID           int64     `json:"tick"`
	At           time.Time `json:"at"` // business time
	Joined, Left int64
	Changed      int64 // customers in changed_customers that this tick consumed
}

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
	err := tx.QueryRow(ctx, `
		with news as (delete from dunlin.changed_customers returning 1)
		insert into dunlin.ticks (at)
		values (case when $2 then $1 else greatest($1, (select max(at) from dunlin.ticks)) end)
		returning tick_id, at, (select count(*) from news)`, at, anyInstant).
		Scan(&tick.ID, &tick.At, &tick.Changed)
	if err != nil {
		return tick, fmt.Errorf("begin: %w", err)
	}
	return tick, nil
}

// evaluate makes each segment's members what its rule says. A rule that no
// longer checks keeps its members and says so; the others are not held up.
func (t *Ticker) evaluate(ctx context.Context, tx pgx.Tx, tick *Tick, env rule.Env) error {
	list, err := inForce(ctx, tx)
	if err != nil {
		return err
	}
	var sound []string
	for _, s := range list {
		r, err := s.Rule(env.Currency)
		if err != nil {
			t.Logger.Error("segment not evaluated", "segment", s.Name, "version", s.Version, "error", err)
			if _, err := tx.Exec(ctx, `update dunlin.segments set fault = $2 where name = $1`, s.Name, err.Error()); err != nil {
				return fmt.Errorf("record fault of segment %q: %w", s.Name, err)
			}
			continue
		}
		joined, left, err := members(ctx, tx, s.Name, r, tick, env)
		if err != nil {
			return fmt.Errorf("segment %q: %w", s.Name, err)
		}
		tick.Joined, tick.Left = tick.Joined+joined, tick.Left+left
		sound = append(sound, s.Name)
	}
	_, err = tx.Exec(ctx, `update dunlin.segments set evaluated_at = $1, fault = null where name = any($2)`, tick.At, sound)
	if err != nil {
		return fmt.Errorf("record evaluation: %w", err)
	}
	return nil
}

// inForce is List without the counts.
func inForce(ctx context.Context, tx pgx.Tx) ([]Stored, error) {
	rows, err := tx.Query(ctx, `
		select s.name, s.version, v.description, v.rule, coalesce(s.fault, ''), s.evaluated_at, 0::bigint
		from dunlin.segments s join dunlin.segment_versions v using (name, version)
		order by s.name`)
	if err != nil {
		return nil, fmt.Errorf("load segments: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Stored])
}

// members brings one segment up to the tick's instant and logs who came and
// went.
func members(ctx context.Context, tx pgx.Tx, name string, r *rule.Rule, tick *Tick, env rule.Env) (joined, left int64, err error) {
	matching, err := match(r, env)
	if err != nil {
		return 0, 0, err
	}
	sql, args, err := sq.Expr(`
		with now_in as materialized (?),
		gone as (
			delete from dunlin.members m
			where m.segment = ? and not exists (
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
		matching.Columns("c.account_id", "c.customer_id"),
		name, name, tick.At, name, name, tick.ID, tick.At, name, tick.ID, tick.At).ToSql()
	if err != nil {
		return 0, 0, fmt.Errorf("compile: %w", err)
	}
	if sql, err = sq.Dollar.ReplacePlaceholders(sql); err != nil {
		return 0, 0, fmt.Errorf("compile: %w", err)
	}
	err = tx.QueryRow(ctx, sql, args...).Scan(&joined, &left)
	return joined, left, err
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
