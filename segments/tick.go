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
	Since        time.Time // the tick before; zero: there was none
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
		if errors.Is(err, errRollback) {
			err = nil
		}
		if lostRace(err) && attempt < attempts && pause(ctx, time.Duration(attempt)*5*time.Millisecond) == nil {
			continue // with a newer snapshot
		}
		if err != nil {
			return done, fmt.Errorf("tick: %w", err)
		}
		return done, nil
	}
}

// lostRace says that somebody else changed a row that the tick wanted to write,
// or that each waited for the other.
func lostRace(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == serializationFailure || pg.Code == deadlockDetected)
}

// Postgres' codes, from appendix A of its manual.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	queryCanceled        = "57014"
)

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once sees one snapshot of the database, taken when no other tick is under way:
// news that commits later is the next tick's. Nobody who writes customers waits
// for it.
func (t *Ticker) once(ctx context.Context, r request) (done Tick, err error) {
	err = pgx.BeginTxFunc(ctx, t.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		// Unlike any select, lock table takes no snapshot before it has the lock.
		if err := HoldTicks(ctx, tx); err != nil {
			return err
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
		tick.Since, e.was.Now = *last, *last
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

// Work is what a tick would find to do besides what time alone brings.
type Work struct {
	News  bool // of customers
	Lists bool // being built, told of or swept, or accepted

	Since time.Duration // machine time since the last tick ended
}

// LookForWork reads it.
func LookForWork(ctx context.Context, q workspace.Querier) (Work, error) {
	var w Work
	err := q.QueryRow(ctx, `
		select exists (select from dunlin.changed_customers),
		       exists (select from dunlin.generations where state <> 'live')
		           or exists (select from dunlin.segments where told_customer is not null or accepted),
		       coalesce((select clock_timestamp() - finished_at from dunlin.ticks order by tick_id desc limit 1), interval '1 hour')`).
		Scan(&w.News, &w.Lists, &w.Since)
	if err != nil {
		return w, fmt.Errorf("look for work: %w", err)
	}
	return w, nil
}
