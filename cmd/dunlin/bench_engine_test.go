package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/jobs"
)

const (
	childEngine = "DUNLIN_TEST_ENGINE" // the instant at which everything is due, RFC 3339

	// engineWorkers is that of jobs: how many are worked at once.
	engineWorkers = 8
)

// engineStart is when everything is due: a decent hour everywhere the customers live.
var engineStart = time.Date(2026, time.March, 2, 18, 30, 0, 0, time.UTC)

// dueCampaigns are two campaigns of messages to everybody, with a condition and a goal.
const dueCampaigns = `
kind: campaign
name: due-%[1]d
segment: everybody
episode: entry
existing: ignore
goal: plan_interval = 'year' and plan = 'Annual'
goal_within: 30 days
steps:
  - name: nudge
    at: 0 days
    if: card_brand in ('Visa', 'MasterCard', 'American Express') and lifetime_spend is set
    message:
      channel: inapp
      body: |
        <p>Hi {{ customer.first_name | default: "there" }}, you pay {{ customer.plan_price }} a month for {{ customer.plan }}.</p>
`

// planSQL makes an enrollment with one due delivery for each customer, half of them
// in either campaign, and a contact that Intercom was just asked about.
var planSQL = []string{`
insert into dunlin.links (account_id, customer_id, state, contact_id, role, email, checked_at)
select account_id, customer_id, 'linked', lpad(to_hex(customer_id), 24, '0'), 'user', email, $1 from dunlin.customers`, `
insert into dunlin.enrollments (account_id, customer_id, campaign, episode, version, state, enrolled_at, starts_at, goal_until)
select account_id, customer_id, 'due-' || 1 + customer_id % 2, 'entry', 1, 'active', $1, $1, $1::timestamptz + interval '30 days' from dunlin.customers`, `
insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, contacts, state, scheduled_at, due_at, expires_at)
select account_id, customer_id, campaign, episode, 'nudge', 'message', true, 'planned', $1, $1, $1::timestamptz + interval '3 days' from dunlin.enrollments`}

// onDue lets a worker's process decide and claim what is due for everybody at one
// instant, without the calls that follow.
func (f *figures) onDue() {
	w := f.newWorld("due", f.sizes.Due)
	defer w.drop()
	w.now = engineStart
	w.fill(false)
	w.save([]benchSegment{{name: "everybody", rule: "stripe_id is set"}}, fmt.Sprintf(dueCampaigns, 1), fmt.Sprintf(dueCampaigns, 2))
	w.exec(`update dunlin.accounts set feed_until = $1`, w.now)
	w.exec(`update dunlin.campaigns set state = 'running', started_at = $1`, w.now)
	for _, sql := range planSQL {
		w.exec(sql, w.now)
	}
	w.exec(`vacuum analyze`)
	w.exec(`checkpoint`)

	program, err := os.Executable()
	w.check(err)
	peak := w.runWith(program, []string{childEngine + "=" + w.now.Format(time.RFC3339)})
	var claimed, jobs int64
	var poke, all float64
	w.check(w.db.QueryRow(w.Context(), `
		select (select count(*) from dunlin.deliveries where state = 'claimed'), count(*),
		       (select extract(epoch from min(at) - min(j.created_at)) from dunlin.decisions)::float8,
		       (select extract(epoch from max(at) - min(j.created_at)) from dunlin.decisions)::float8
		from river.river_job j where kind = 'deliver'`).Scan(&claimed, &jobs, &poke, &all))
	if claimed != int64(w.size) {
		w.Errorf("claimed\n got %d\nwant %d", claimed, w.size)
	}
	rate, poked := float64(claimed)/all, float64(w.size)/poke
	who := thousands(w.size) + " deliveries due at one instant: "
	w.figure(who+"found and put into jobs, a second", thousands(int(poked)), "none was set", true)
	w.figure(who+"poked, decided and claimed by one process, a second", thousands(int(rate)), "at least 5,000", rate >= 5000)
	w.figure(who+"peak memory of the process", fmt.Sprintf("%.0f MB", float64(peak)/1e6), "at most 120 MB", peak <= 120e6)
	w.note("## Everything due at once\n\n%s jobs were in, and the first delivery was decided, after %.1f s; the last was claimed after %.1f s. Each was decided in the transaction of its claim, with its job's others, as it is while pacing holds nothing back. Postgres shares the machine; no calls were made.",
		thousands(jobs), poke, all)
}

// engineWorker is the deliver job's worker without Intercom: it claims its
// deliveries.
type engineWorker struct {
	river.WorkerDefaults[jobs.DeliverArgs]
	store *campaigns.Store
	now   time.Time
	left  *atomic.Int64
	ended chan<- error // with the first error, or when nothing is left
}

func (w *engineWorker) Work(ctx context.Context, job *river.Job[jobs.DeliverArgs]) error {
	b, err := w.store.Claim(ctx, job.Args.Keys, w.now, len(job.Args.Keys), false)
	if err == nil && len(b.Claims) != len(job.Args.Keys) {
		err = fmt.Errorf("%d of %d deliveries are to be sent", len(b.Claims), len(job.Args.Keys))
	}
	if w.left.Add(-int64(len(job.Args.Keys))) == 0 || err != nil {
		select {
		case w.ended <- err:
		default:
		}
	}
	return err
}

// engineChild pokes what is due, and works until everything is claimed.
func engineChild() int {
	err := func() error {
		now, err := time.Parse(time.RFC3339, os.Getenv(childEngine))
		if err != nil {
			return err
		}
		ctx, ended := context.Background(), make(chan error, engineWorkers)
		db, logger := &database{}, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		if err := db.connect(ctx, os.Getenv("DATABASE_URL"), logger); err != nil {
			return err
		}
		defer db.Close()
		p, err := wire(ctx, wiring{Pool: db.Pool, Now: func() time.Time { return now }, Logger: logger})
		if err != nil {
			return err
		}
		var left atomic.Int64
		workers := river.NewWorkers()
		river.AddWorker(workers, &engineWorker{store: p.campaigns, now: now, left: &left, ended: ended})
		client, err := river.NewClient(riverpgxv5.New(db.Pool), &river.Config{
			Schema: jobs.Schema, Logger: logger, Workers: workers,
			Queues: map[string]river.QueueConfig{"deliver": {MaxWorkers: engineWorkers, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: time.Second}},
		})
		if err != nil {
			return err
		}
		n, err := p.poker.AllDue(ctx, db.Pool, now)
		if err != nil {
			return err
		}
		left.Store(int64(n))
		if err := client.Start(ctx); err != nil {
			return err
		}
		return errors.Join(<-ended, client.Stop(ctx))
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return exitFailed
	}
	return exitDone
}
