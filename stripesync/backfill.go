package stripesync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/customers"
)

// ErrRunning says that another process is reading this account's lists.
var ErrRunning = errors.New("a sync of this account is already running")

// Progress is how far a backfill is.
type Progress struct {
	Class       string // what is being read, as in dunlin.sync_progress: products, prices, …, attributes
	Objects     int64  // of this class so far, those before an interruption included
	Done        bool   // nothing of this class is left
	Step, Steps int    // the class is the Step-th of Steps
}

const (
	// lockSpace keeps the lock of a backfill apart from other advisory locks of
	// two numbers: "dunS".
	lockSpace = 0x64756e53

	// attributes is the last part of a first run: projecting everybody.
	attributes = "attributes"

	// staleAfter is how long an interrupted run can be taken up again. Stripe
	// repeats a webhook for three days; what it gave up may be on a page the run
	// has behind it.
	staleAfter = 72 * time.Hour

	pageTries = 8 // two minutes or so of a limiting, failing or absent Stripe
)

// Backfill reads every list of the account into the mirror, each page in one
// transaction with its cursor, so that a run broken off anywhere goes on where
// it was. Objects made after its start come by webhook. The first one then marks
// the account mirrored, projects every customer, and marks it ready; a later one
// projects the customers of each page as it goes. After an upgrade that changed
// what is projected, the account is not ready and the lists are not read again:
// everybody is projected from the mirror.
//
// report is called after each page, from one goroutine; it may be nil. Backfill
// fails with ErrRunning, and with errors that say what to do about the key.
func (s *Sync) Backfill(ctx context.Context, report func(Progress)) error {
	if report == nil {
		report = func(Progress) {}
	}
	unlock, err := s.lockBackfill(ctx)
	if err != nil {
		return err
	}
	defer unlock()

	run, err := s.openRun(ctx)
	if err != nil {
		return err
	}
	steps := len(lists) + 1
	for i, l := range lists {
		if !slices.Contains(run.parts, l.name) {
			continue
		}
		at := Progress{Class: l.name, Step: i + 1, Steps: steps}
		if err := s.readList(ctx, run, l, at, report); err != nil {
			return err
		}
	}
	return s.finish(ctx, run, Progress{Class: attributes, Step: steps, Steps: steps}, report)
}

// lockBackfill takes the account's session lock, which ends with the process.
func (s *Sync) lockBackfill(ctx context.Context) (unlock func(), err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("start a sync: %w", err)
	}
	var locked bool
	err = conn.QueryRow(ctx, `select pg_try_advisory_lock($1, $2)`, int32(lockSpace), int32(s.account)).Scan(&locked)
	if err == nil && !locked {
		err = ErrRunning
	}
	if err != nil {
		conn.Release()
		return nil, fmt.Errorf("start a sync: %w", err)
	}
	return func() { s.unlockBackfill(ctx, conn) }, nil
}

func (s *Sync) unlockBackfill(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, `select pg_advisory_unlock($1, $2)`, int32(lockSpace), int32(s.account)); err != nil {
		_ = conn.Hijack().Close(ctx) // the lock goes with its session
		return
	}
	conn.Release()
}

// A run is one backfill, perhaps taken up again.
type run struct {
	id      int64
	started time.Time
	ready   bool     // the account was ready before: pages project what they touch
	parts   []string // classes of dunlin.sync_progress
}

func (s *Sync) openRun(ctx context.Context) (run, error) {
	var r run
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `select ready_at is not null from dunlin.accounts where account_id = $1`, s.account).Scan(&r.ready)
		if err != nil {
			return err
		}
		now := s.now()
		// A run of the projection alone, as a migration leaves behind that changes
		// what is projected, reads nothing that could be stale.
		err = tx.QueryRow(ctx, `
			select run_id, started_at, parts
			from dunlin.sync_runs r
			cross join lateral (
				select array_agg(class) as parts from dunlin.sync_progress p
				where p.account_id = r.account_id and p.run_id = r.run_id
			) p
			where account_id = $1 and finished_at is null and (started_at > $2 or parts = array[$3])
			order by run_id desc limit 1`, s.account, now.Add(-staleAfter), attributes).Scan(&r.id, &r.started, &r.parts)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		err = tx.QueryRow(ctx, `
			insert into dunlin.sync_runs (account_id, started_at) values ($1, $2)
			returning run_id, started_at`, s.account, now).Scan(&r.id, &r.started)
		if err != nil {
			return err
		}
		r.parts = []string{attributes}
		for _, l := range lists {
			r.parts = append(r.parts, l.name)
		}
		_, err = tx.Exec(ctx, `
			insert into dunlin.sync_progress (account_id, run_id, class)
			select $1, $2, unnest($3::text[])`, s.account, r.id, r.parts)
		return err
	})
	if err != nil {
		return run{}, fmt.Errorf("open a sync run: %w", err)
	}
	return r, nil
}

// readList reads the pages of one list from its cursor on.
func (s *Sync) readList(ctx context.Context, run run, l list, at Progress, report func(Progress)) error {
	var cursor string
	err := s.pool.QueryRow(ctx, `
		select cursor, objects, finished_at is not null from dunlin.sync_progress
		where account_id = $1 and run_id = $2 and class = $3`, s.account, run.id, l.name).
		Scan(&cursor, &at.Objects, &at.Done)
	if err != nil {
		return fmt.Errorf("read the progress of %s: %w", l.name, err)
	}
	restarted := false
	for !at.Done {
		page, err := s.readPage(ctx, l, run.started, cursor)
		var r *refusal
		if errors.As(err, &r) && r.param == "starting_after" && !restarted {
			// The object at the cursor is gone: from the start, once.
			restarted, cursor, at.Objects = true, "", 0
			if err := s.restart(ctx, run, l); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			at.Done = !page.more
			at.Objects, err = s.storePage(ctx, run, l, cursor, page)
		}
		if err != nil {
			return fmt.Errorf("sync of %s stopped after %d; run it again to go on from there: %w", l.name, at.Objects, err)
		}
		if page.last != "" {
			cursor = page.last
		}
		report(at)
	}
	return nil
}

func (s *Sync) restart(ctx context.Context, run run, l list) error {
	_, err := s.pool.Exec(ctx, `
		update dunlin.sync_progress set cursor = '', objects = 0
		where account_id = $1 and run_id = $2 and class = $3`, s.account, run.id, l.name)
	if err != nil {
		return fmt.Errorf("start %s again: %w", l.name, err)
	}
	return nil
}

// A page is one answer to a list request.
type page struct {
	rows []row
	n    int
	last string // id of the last object: where the next page starts
	more bool
}

func (s *Sync) readPage(ctx context.Context, l list, until time.Time, cursor string) (page, error) {
	got, err := s.stripe.get(ctx, l.path, l.values(until, cursor), pageTries)
	if err != nil {
		return page{}, err
	}
	var body struct {
		Data    []json.RawMessage `json:"data"`
		HasMore bool              `json:"has_more"`
	}
	if err := json.Unmarshal(got.raw, &body); err != nil {
		return page{}, fmt.Errorf("GET %s: the answer is no list: %w", l.path, err)
	}
	p := page{n: len(body.Data), more: body.HasMore && len(body.Data) > 0}
	for _, raw := range body.Data {
		h, err := readHead(raw)
		if err != nil || h.id == "" {
			return page{}, fmt.Errorf("GET %s: an object in the answer has no id", l.path)
		}
		p.last = h.id
		r := row{ref: ref{l.class, "", h.id}, raw: raw, asOf: got.asOf, deleted: h.deleted}
		switch {
		case l.class == customerClass:
			r.customer = h.id
		case l.class.owned():
			r.customer = h.customer
		}
		p.rows = append(p.rows, withExpanded(r)...)
	}
	return p, nil
}

// storePage writes one page and its cursor, and returns the objects of the list
// so far. It fails when the cursor is not the one the page was read from.
func (s *Sync) storePage(ctx context.Context, run run, l list, before string, p page) (objects int64, err error) {
	touched := owners(p.rows)
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			update dunlin.sync_progress
			set cursor = case when @last = '' then cursor else @last end, objects = objects + @n,
				finished_at = case when @more then null else @now::timestamptz end
			where account_id = @account and run_id = @run and class = @class and cursor = @before and finished_at is null
			returning objects`,
			pgx.StrictNamedArgs{
				"account": s.account, "run": run.id, "class": l.name, "before": before,
				"last": p.last, "n": p.n, "more": p.more, "now": s.now(),
			}).Scan(&objects)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrRunning
		}
		if err != nil {
			return err
		}
		if err := customers.Lock(ctx, tx, s.account, touched); err != nil {
			return err
		}
		if err := s.write(ctx, tx, p.rows); err != nil {
			return err
		}
		if !run.ready {
			return nil
		}
		return s.project(ctx, tx, touched)
	})
	return objects, err
}

// finish ends a run whose lists are all in the mirror. The first time it makes
// the account ready.
func (s *Sync) finish(ctx context.Context, run run, at Progress, report func(Progress)) error {
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
