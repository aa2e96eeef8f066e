package stripesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// ErrRunning says that another process is reading this account's lists.
var ErrRunning = errors.New("a sync of this account is already running")

// Progress is how far a backfill is: as a whole, and with the class that has just
// gone on. Classes are read side by side, so their reports come mixed.
type Progress struct {
	Class       string  // what went on, as in dunlin.sync_progress: products, prices, …, attributes
	Objects     int64   // of this class so far, those before an interruption included
	Done        bool    // nothing of this class is left
	Step, Steps int     // Step classes of Steps are done, or with Class are about to be
	Sum         int64   // objects of all lists so far
	Share       float64 // of the time that the lists go back over: how much the slowest has behind it, 0 to 1
}

const (
	// attributes is the last part of a first run: projecting everybody.
	attributes = "attributes"

	// staleAfter is how long an interrupted run can be taken up again. What happened
	// since it began is in Stripe's list of events, which goes back thirty days
	// (facts/stripe.md 2.6).
	staleAfter = 25 * 24 * time.Hour

	pageTries = 8 // two minutes or so of a limiting, failing or absent Stripe
)

// Backfill reads every list of the account into the mirror, several parts of them
// at a time, each page in one transaction with its cursor, so that a run broken
// off anywhere goes on where it was. Objects made after its start come by event.
// The first one then marks the account mirrored, projects every customer, and
// marks it ready; a later one projects the customers of each page as it goes.
// After an upgrade that changed what is projected, the account is not ready and
// the lists are not read again: everybody is projected from the mirror.
//
// report is called after each page, by one goroutine at a time; it may be nil.
// Backfill fails with ErrRunning, and with errors that say which classes are
// incomplete and what to do about the key. A class that fails does not keep the
// others from being read.
func (s *Sync) Backfill(ctx context.Context, report func(Progress)) error {
	if report == nil {
		report = func(Progress) {}
	}
	unlock, err := s.lockSession(ctx, syncSpace)
	if err != nil {
		return fmt.Errorf("start a sync: %w", err)
	}
	defer unlock()
	defer s.recordReads(ctx)

	run, err := s.openRun(ctx)
	if err != nil {
		return err
	}
	if err := s.readLists(ctx, run, report); err != nil {
		return err
	}
	steps := len(lists) + 1
	return s.finish(ctx, run, Progress{Class: attributes, Step: steps, Steps: steps, Share: 1}, report)
}

// lockSession takes a lock of the account that ends with the process. The error
// is ErrRunning when another has it.
func (s *Sync) lockSession(ctx context.Context, space int32) (unlock func(), err error) {
	return s.session(ctx, space, `select pg_try_advisory_lock($1, $2)`)
}

// waitSession waits for the lock while another has it.
func (s *Sync) waitSession(ctx context.Context, space int32) (unlock func(), err error) {
	return s.session(ctx, space, `select pg_advisory_lock($1, $2) is not null`)
}

// session holds the lock on a connection of its own: one of the pool's would be
// gone for hours, and with as many accounts as connections all would wait for ever.
func (s *Sync) session(ctx context.Context, space int32, lock string) (unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	var locked bool
	err = conn.QueryRow(ctx, lock, space, int32(s.account)).Scan(&locked)
	if err == nil && !locked {
		err = ErrRunning
	}
	if err != nil {
		s.endSession(ctx, conn)
		return nil, err
	}
	return func() { s.endSession(ctx, conn) }, nil
}

// endSession gives locks back before the connection goes: Postgres may be some
// time in noticing that.
func (s *Sync) endSession(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, `select pg_advisory_unlock_all()`) // should it fail, they go with the connection
	_ = conn.Close(ctx)
}

// A run is one backfill, perhaps taken up again.
type run struct {
	id      int64
	started time.Time // Stripe's clock
	ready   bool      // the account was ready before: pages project what they touch
	whole   bool      // it reads every list
}

func (s *Sync) openRun(ctx context.Context) (run, error) {
	r, err := s.findRun(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		err = s.startRun(ctx, &r)
	}
	if err != nil {
		return run{}, fmt.Errorf("open a sync run: %w", err)
	}
	return r, nil
}

// findRun finds the run that was broken off. One of the projection alone, as a
// migration leaves behind that changes what is projected, reads nothing that
// could be stale.
func (s *Sync) findRun(ctx context.Context) (r run, err error) {
	err = s.pool.QueryRow(ctx, `select ready_at is not null from dunlin.accounts where account_id = $1`, s.account).Scan(&r.ready)
	if err != nil {
		return r, err
	}
	err = s.pool.QueryRow(ctx, `
		select run_id, started_at, classes = $4
		from dunlin.sync_runs r
		cross join lateral (
			select count(distinct class) filter (where class <> $3) as classes from dunlin.sync_progress p
			where p.account_id = r.account_id and p.run_id = r.run_id) p
		where account_id = $1 and finished_at is null and (started_at > $2 or classes = 0)
		order by run_id desc limit 1`, s.account, s.now().Add(-staleAfter), attributes, len(lists)).Scan(&r.id, &r.started, &r.whole)
	return r, err
}

func (s *Sync) startRun(ctx context.Context, r *run) error {
	if err := s.checkOwner(ctx, pageTries); err != nil {
		return err
	}
	r.started, r.whole = s.stripeNow(ctx).Truncate(time.Second), true
	classes := []string{attributes}
	for _, l := range lists {
		classes = append(classes, l.name)
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			insert into dunlin.sync_runs (account_id, started_at) values ($1, $2)
			returning run_id`, s.account, r.started).Scan(&r.id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into dunlin.sync_progress (account_id, run_id, class)
			select $1, $2, unnest($3::text[])`, s.account, r.id, classes)
		return err
	})
}

// stripeNow is the instant by Stripe's clock; by ours when Stripe does not say.
func (s *Sync) stripeNow(ctx context.Context) time.Time {
	got, err := s.stripe.get(ctx, eventsPath, newestEvent(), 1)
	if err != nil {
		return s.now()
	}
	return got.asOf
}

// finish ends a run whose lists are all in the mirror. The first time it makes
// the account ready.
func (s *Sync) finish(ctx context.Context, run run, at Progress, report func(Progress)) error {
	if run.ready && run.whole {
		if err := s.findGone(ctx, run); err != nil {
			return fmt.Errorf("sync stopped while it looked for what was deleted; run it again to go on from there: %w", err)
		}
	}
	if !run.ready {
		// Waits for transactions that wrote without projecting; those after it project.
		_, err := s.pool.Exec(ctx, `
			update dunlin.accounts set mirrored_at = $2 where account_id = $1 and mirrored_at is null`, s.account, s.now())
		if err != nil {
			return fmt.Errorf("mark account %q mirrored: %w", s.name, err)
		}
		if err := s.projectAll(ctx, run, &at, report); err != nil {
			return fmt.Errorf("sync stopped after %d customers were projected; run it again to go on from there: %w", at.Objects, err)
		}
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		now := s.now()
		if _, err := tx.Exec(ctx, `
			update dunlin.sync_progress set finished_at = $3
			where account_id = $1 and run_id = $2 and finished_at is null`, s.account, run.id, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			update dunlin.sync_runs set finished_at = $3
			where account_id = $1 and run_id = $2`, s.account, run.id, now); err != nil {
			return err
		}
		// The list of events has the rest: the first time from the run's start on, and
		// later no event that Stripe still has is left out. Lists do not show everything.
		// Never from later than the run's start: a run that took longer than Stripe
		// keeps its events leaves a gap, which catch-up then sees.
		if run.whole {
			if _, err := tx.Exec(ctx, `
				update dunlin.accounts
				set feed_until = case when feed_until is null then $2 else greatest(feed_until, least($2, $3::timestamptz)) end, resync = null
				where account_id = $1`, s.account, run.started, now.Add(time.Hour-feedKeeps)); err != nil {
				return err
			}
		}
		if run.ready {
			return nil
		}
		if _, err := tx.Exec(ctx, `
			update dunlin.accounts set ready_at = $2
			where account_id = $1 and ready_at is null`, s.account, now); err != nil {
			return err
		}
		return s.pokeTick(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("finish the sync: %w", err)
	}
	at.Done = true
	report(at)
	return nil
}

// projectAll projects every customer of the mirror, chunk by chunk.
func (s *Sync) projectAll(ctx context.Context, run run, at *Progress, report func(Progress)) error {
	var cursor string
	err := s.pool.QueryRow(ctx, `
		select cursor, objects from dunlin.sync_progress
		where account_id = $1 and run_id = $2 and class = $3`, s.account, run.id, attributes).Scan(&cursor, &at.Objects)
	if err != nil {
		return fmt.Errorf("read the progress: %w", err)
	}
	for {
		rows, err := s.pool.Query(ctx, `
			select id from dunlin.stripe_customers
			where account_id = $1 and id > $2 order by id limit $3`, s.account, cursor, projectChunk)
		if err != nil {
			return fmt.Errorf("list customers: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("list customers: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := customers.Project(ctx, tx, s.account, ids, s.now()); err != nil {
				return err
			}
			cursor = ids[len(ids)-1]
			return tx.QueryRow(ctx, `
				update dunlin.sync_progress set cursor = $4, objects = objects + $5
				where account_id = $1 and run_id = $2 and class = $3
				returning objects`, s.account, run.id, attributes, cursor, len(ids)).Scan(&at.Objects)
		})
		if err != nil {
			return err
		}
		report(*at)
	}
}
