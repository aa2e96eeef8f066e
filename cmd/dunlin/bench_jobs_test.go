package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const followUp = `
kind: campaign
name: bench
segment: flagged
episode: entry
existing: ignore
steps:
  - name: nudge
    at: 0 days
    message:
      channel: inapp
      body: |
        <p>Hi {{ customer.first_name | default: "there" }}, your last payment did not go through.</p>
`

const changesPerSecond = 100

// joinsVisible lets the product's jobs work, as dunlin work does, while customers
// change, and measures from each commit until somebody else sees the customer in
// the log of the segment: in the transaction that also enrolls and pokes.
func (w *benchWorld) joinsVisible() {
	began, from := time.Now(), w.now
	w.save(benchSegments, followUp)
	w.check(pgx.BeginFunc(w.Context(), w.db.Pool, func(tx pgx.Tx) error {
		_, err := w.product.campaigns.Start(w.Context(), tx, "bench", w.now)
		return err
	}))
	ids := w.notFlagged(w.sizes.Seconds * changesPerSecond)
	before := w.traces()
	p := w.wire(func() time.Time { return from.Add(time.Since(began)) })
	w.check(p.startJobs(w.Context()))
	committed, seen, err := w.changeAndWatch(p, ids)
	backlog := w.traces()
	w.now = p.Now()
	w.check(errors.Join(err, p.stopJobs(w.Context())))

	after := w.traces()
	for what, got := range map[string]int{
		"joins": after.joins - before.joins, "enrollments": after.enrollments - before.enrollments, "pokes of deliveries": after.pokes - before.pokes,
	} {
		if got != len(ids) {
			w.Errorf("%s\n got %d\nwant %d", what, got, len(ids))
		}
	}
	backlog.ticks -= before.ticks
	w.showVisible(committed, seen, backlog)
}

func (w *benchWorld) showVisible(committed, seen map[int64]time.Time, left traces) {
	var took []time.Duration
	for id, at := range committed {
		took = append(took, seen[id].Sub(at))
	}
	slices.Sort(took)
	p99 := quantile(took, 0.99)
	w.figure(fmt.Sprintf("change committed to join visible and poke inserted, %d changes a second, p99, %s customers", changesPerSecond, thousands(w.size)), ms(p99), "at most 2 s", p99 <= 2*time.Second)
	w.note("## From change to join\n\n%s changes in %d s: p50 %s, p99 %s, at most %s. %d ticks followed. When the last join was visible, %s tick jobs and %s delivery jobs were waiting to be worked.",
		thousands(len(took)), w.sizes.Seconds, ms(quantile(took, 0.5)), ms(p99), ms(took[len(took)-1]), left.ticks, thousands(left.waitingTicks), thousands(left.waitingDeliveries))
}

// traces are what changes leave behind.
type traces struct {
	joins, enrollments, pokes, ticks int
	waitingTicks, waitingDeliveries  int // jobs
}

func (w *benchWorld) traces() (t traces) {
	w.check(w.db.QueryRow(w.Context(), `
		select (select count(*) from dunlin.membership_log where segment = 'flagged' and change = 'join'),
		       (select count(*) from dunlin.enrollments where campaign = 'bench'),
		       (select count(distinct key) from river.river_job, jsonb_array_elements(args -> 'keys') key where kind = 'deliver'),
		       (select count(*) from dunlin.ticks),
		       (select count(*) from river.river_job where kind = 'tick' and state in ('available', 'pending', 'retryable')),
		       (select count(*) from river.river_job where kind = 'deliver' and state in ('available', 'pending', 'retryable'))`).
		Scan(&t.joins, &t.enrollments, &t.pokes, &t.ticks, &t.waitingTicks, &t.waitingDeliveries))
	return t
}

// notFlagged are customers who are not in the segment yet, from everywhere.
func (w *benchWorld) notFlagged(n int) []int64 {
	rows, err := w.db.Query(w.Context(), `select customer_id from dunlin.customers where not delinquent and not deleted order by hashint8(customer_id) limit $1`, n)
	w.check(err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	w.check(err)
	if len(ids) != n {
		w.Fatalf("only %d customers can join the segment, %d are needed", len(ids), n)
	}
	return ids
}

// changeAndWatch returns when each change was committed, and when it was seen.
func (w *benchWorld) changeAndWatch(p *product, ids []int64) (committed, seen map[int64]time.Time, err error) {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	var watching sync.WaitGroup
	var watched error
	watching.Go(func() { seen, watched = w.watch(ctx, len(ids)) })
	committed, err = w.commitAll(ctx, p, ids)
	if err != nil {
		cancel()
	}
	watching.Wait()
	return committed, seen, errors.Join(err, watched)
}

// commitAll commits the changes at an even pace, several at a time, so that a
// slow commit delays none of the others.
func (w *benchWorld) commitAll(ctx context.Context, p *product, ids []int64) (map[int64]time.Time, error) {
	var lock sync.Mutex
	var failed error
	committed := map[int64]time.Time{}
	next := make(chan int64)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for id := range next {
				err := w.commit(ctx, p, id)
				lock.Lock()
				committed[id], failed = time.Now(), errors.Join(failed, err)
				lock.Unlock()
			}
		})
	}
	pace := time.NewTicker(time.Second / changesPerSecond)
	defer pace.Stop()
	for _, id := range ids {
		<-pace.C
		next <- id
	}
	close(next)
	workers.Wait()
	return committed, failed
}

// commit is what stripesync does when a projection has changed a customer.
func (w *benchWorld) commit(ctx context.Context, p *product, id int64) error {
	return pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `update dunlin.customers set delinquent = true where account_id = 1 and customer_id = $1`, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into dunlin.changed_customers (account_id, customer_id, attributes) values (1, $1, '{delinquent}')`, id); err != nil {
			return err
		}
		return p.pokeTick(ctx, tx)
	})
}

// watch looks for joins every few milliseconds, until so many were seen.
func (w *benchWorld) watch(ctx context.Context, n int) (map[int64]time.Time, error) {
	seen := map[int64]time.Time{}
	var last int64
	if err := w.db.QueryRow(ctx, `select max(tick_id) from dunlin.ticks`).Scan(&last); err != nil {
		return seen, err
	}
	patience := time.Duration(w.sizes.Seconds)*time.Second + time.Minute
	err := waitUntil(ctx, 2*time.Millisecond, patience, func() (bool, error) {
		rows, err := w.db.Query(ctx, `select customer_id, tick_id from dunlin.membership_log where segment = 'flagged' and change = 'join' and tick_id > $1`, last)
		if err != nil {
			return false, err
		}
		now := time.Now()
		var id, tick int64
		newest := last
		_, err = pgx.ForEachRow(rows, []any{&id, &tick}, func() error {
			seen[id], newest = now, max(newest, tick)
			return nil
		})
		last = newest
		return len(seen) >= n, err
	})
	if err != nil {
		return seen, fmt.Errorf("%d of %d joins were seen: %w", len(seen), n, err)
	}
	return seen, nil
}
