package segments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/customers"
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

	// Chunk is how many customers one tick takes into lists that are being built,
	// or tells of. Zero means 20,000.
	Chunk int
}

// A Tick is one evaluation at one instant. Who joined and left, and which members
// began another episode, is in dunlin.membership_log under its ID.
type Tick struct {
	ID           int64
	At           time.Time // business time
	Joined, Left int64
	Moved        map[string]int64 // lines of the log by segment, of those that had any

	// Changed are the customers whose attributes or elements changed since the
	// last tick. When Everyone is true they were too many to name, or a day began:
	// all customers are looked at. NewHour says that an hour began, for what
	// follows from the time that has passed and not from a change. Whole are the
	// segments whose unusual change somebody has accepted: all their members are
	// looked at.
	Changed           []customers.Ref
	Everyone, NewHour bool
	Whole             map[string]bool

	// More says that lists are being built or told of: the next tick, which may
	// follow at once, goes on with it.
	More bool

	Audits []Audit // at most one, unless they were asked for
}

// maxNews is how many lines of news a tick reads, and maxCandidates how many
// customers it looks at one by one for a segment. Beyond either the segment's
// list is built anew, in chunks, which is then about as cheap.
const (
	maxNews       = 50_000
	maxCandidates = 20_000
)

// attempts bounds how often a tick begins again because somebody changed, while
// it ran, a row that it wanted to write.
const attempts = 10

// errRollback makes a rehearsal leave no trace.
var errRollback = errors.New("rehearsal")

// Tick evaluates at the clock's instant, or at the last tick's when the clock
// is behind it. Ticks of several processes wait for each other.
func (t *Ticker) Tick(ctx context.Context) (Tick, error) {
	return t.tick(ctx, request{at: t.Now()})
}

// Rehearse evaluates at any instant, rolls everything back and reports what a
// tick would do.
func (t *Ticker) Rehearse(ctx context.Context, at time.Time) (Tick, error) {
	return t.tick(ctx, request{at: at, rehearse: true})
}

// Audit ticks, and compares the lists of these segments, or of all when there
// are none, with their rules over every customer. What differs is repaired,
// logged and reported: it is a bug (exact-membership). Segments that are being
// built, or evaluated on a schedule of their own, are left out.
func (t *Ticker) Audit(ctx context.Context, names ...string) ([]Audit, error) {
	asked := map[string]bool{}
	for _, n := range names {
		asked[n] = true
	}
	tick, err := t.tick(ctx, request{at: t.Now(), audit: func(name string) bool { return len(asked) == 0 || asked[name] }})
	return tick.Audits, err
}

// A request is what a tick is asked for.
type request struct {
	at       time.Time
	rehearse bool              // at any instant, and without a trace
	audit    func(string) bool // nil: whichever is due
}

func (t *Ticker) tick(ctx context.Context, r request) (Tick, error) {
	for attempt := 1; ; attempt++ {
		done, err := t.once(ctx, r)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "40001" && attempt < attempts {
			continue // with a newer snapshot
		}
		if err != nil && !errors.Is(err, errRollback) {
			return done, fmt.Errorf("tick: %w", err)
		}
		return done, nil
	}
}

// once sees one snapshot of the database, taken when no other tick is under way:
// news that commits later is the next tick's. Nobody who writes customers waits
// for it.
func (t *Ticker) once(ctx context.Context, r request) (done Tick, err error) {
	err = pgx.BeginTxFunc(ctx, t.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		// Unlike any select, lock table takes no snapshot before it has the lock.
		if _, err := tx.Exec(ctx, `lock table dunlin.ticks in exclusive mode`); err != nil {
			return fmt.Errorf("wait for other ticks: %w", err)
		}
		e, err := t.begin(ctx, tx, r)
		if err != nil {
			return err
		}
		if err := e.run(ctx); err != nil {
			return err
		}
		done = e.tick
		if t.After != nil {
			if err := t.After(ctx, tx, done); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `
			update dunlin.ticks set finished_at = clock_timestamp(), joined = $2, left_ = $3 where tick_id = $1`,
			done.ID, done.Joined, done.Left)
		if err == nil && r.rehearse {
			return errRollback
		}
		return err
	})
	return done, err
}

// begin opens the tick's row at an instant not before the last tick's, and reads
// what the evaluation starts from.
func (t *Ticker) begin(ctx context.Context, tx pgx.Tx, r request) (*evaluation, error) {
	e := &evaluation{tx: tx, logger: t.Logger, audit: r.audit, budget: t.Chunk}
	if e.budget == 0 {
		e.budget = 20_000
	}
	if r.rehearse {
		e.budget = 1 << 40 // what would take several ticks is done in one
	}
	tick := &e.tick
	tick.Moved, tick.Whole = map[string]int64{}, map[string]bool{}
	var last *time.Time
	err := tx.QueryRow(ctx, `
		with last as (select max(at) as at from dunlin.ticks)
		insert into dunlin.ticks (at) select case when $2 then $1 else greatest($1, last.at) end from last
		returning tick_id, at, (select at from last)`, r.at, r.rehearse).
		Scan(&tick.ID, &tick.At, &last)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	began := func(d time.Duration) bool { return last == nil || !last.Truncate(d).Equal(tick.At.Truncate(d)) }
	tick.NewHour = began(time.Hour)
	tick.Everyone = began(24*time.Hour) || r.rehearse
	e.settings, err = workspace.Load(ctx, tx)
	if err != nil {
		return nil, err
	}
	e.env = Env(e.settings, tick.At)
	e.was = e.env
	if last != nil {
		e.was.Now = *last
	}
	return e, nil
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

// Unfinished reports whether a tick would find more to do than time alone
// brings: news, or lists that are being built or told of.
func Unfinished(ctx context.Context, q workspace.Querier) (bool, error) {
	var more bool
	err := q.QueryRow(ctx, `
		select exists (select from dunlin.changed_customers)
		    or exists (select from dunlin.generations where state <> 'live')
		    or exists (select from dunlin.segments where told_customer is not null or accepted)`).Scan(&more)
	if err != nil {
		return false, fmt.Errorf("look for unfinished lists: %w", err)
	}
	return more, nil
}
