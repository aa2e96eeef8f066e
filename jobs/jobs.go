// Package jobs is where Dunlin's work gets done: River jobs, one worker to a
// file, each loading, deciding, acting and recording.
//
//	apply     stored Stripe events go into the mirror
//	tick      segments are evaluated, campaigns enroll, due deliveries are poked
//	deliver   one delivery is decided, claimed, sent and recorded
//	sweep     what was lost on the way is found again
//	sync      an account's backfill: the first one, and after a gap in its events
//	catch_up  what webhooks lost is found in Stripe's list of events
//	compare   once a night, the mirror with Stripe
//	tickets   tasks are handed out and closed, and their tickets followed both ways
//	import    contacts at Intercom get the attributes and events of their customers
//	reconcile what may have been done at Intercom is looked for there
//
// Due work lives in our own tables; a job is a poke. It carries an identity and
// no facts, is inserted in the transaction that made it necessary, and may be
// lost, doubled or late without harm: whoever runs it looks at the tables, and
// the sweep pokes whatever nobody came for (nothing-lost).
//
// Pokes are not unique jobs: River's uniqueness must include running jobs, and
// an insert skipped because of a job that has just looked at the tables would
// be a lost wake-up. A poke too many finds nothing to do.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/stripesync"
	"github.com/dunlin/dunlin/workspace"
)

// Schema is where River's tables live.
const Schema = "river"

// Queue names, as operators see them.
const (
	queueApply   = "apply"
	queueTick    = "tick"
	queueDeliver = "deliver"
	queueSync    = "sync"
	queueFeed    = "feed"
	queueTickets = "tickets"
	queueImport  = "import"

	queueReconcile = "reconcile"
)

// Config is what the workers work with.
type Config struct {
	Pool      *pgxpool.Pool
	Logger    *slog.Logger
	Now       workspace.Clock
	Stripe    []*stripesync.Sync // one for each account
	Ticker    *segments.Ticker
	Campaigns *campaigns.Store
	Intercom  *intercom.Client // nil with DRY_RUN and no token: contacts are not looked up
	Links     *intercom.Links

	// Webhooks calls the addresses of webhook steps, and Getenv reads the secrets
	// they are signed with, which definitions name. Nil means WebhookClient(false),
	// and that there are none.
	Webhooks *http.Client
	Getenv   func(name string) string

	Deliverers   int           // deliveries under way at once. Zero means 400.
	StripeWithin time.Duration // how long a delivery may wait for Stripe's news. Zero means 20 seconds.
	TickGap      time.Duration // between two ticks that changes ask for. Zero means 200 milliseconds, -1: none.
	TickEvery    time.Duration // at least. Zero means 30 seconds, -1: only who asks ticks.
	SweepEvery   time.Duration // Zero means 30 seconds, -1: only who asks sweeps.
	FeedEvery    time.Duration // a look whether to catch up, compare or import is due. Zero means 1 minute, -1: nobody looks.
	PollEvery    time.Duration // how soon a job is found whose notification was missed. Zero means 1 second.

	// Failpoint, when set, is called by name around the claim, the call and the
	// record of a delivery: tests kill the process there.
	Failpoint func(name string)
}

// New returns a client with every worker. Start it with a context, and stop it
// with Stop: work under way is finished first.
func New(c Config) (*river.Client[pgx.Tx], error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Failpoint == nil {
		c.Failpoint = func(string) {}
	}
	c.TickGap = orDefault(c.TickGap, 200*time.Millisecond)
	poll := orDefault(c.PollEvery, time.Second)
	poker, err := NewPoker(c.Pool)
	if err != nil {
		return nil, err
	}

	workers := river.NewWorkers()
	river.AddWorker(workers, &applyWorker{Config: c, poker: poker})
	river.AddWorker(workers, &tickWorker{Config: c})
	river.AddWorker(workers, &deliverWorker{Config: c, poker: poker})
	river.AddWorker(workers, &sweepWorker{Config: c, poker: poker})
	river.AddWorker(workers, &syncWorker{Config: c})
	river.AddWorker(workers, &catchUpWorker{Config: c, poker: poker})
	river.AddWorker(workers, &compareWorker{Config: c})
	river.AddWorker(workers, &ticketsWorker{Config: c})
	river.AddWorker(workers, &importWorker{Config: c})
	river.AddWorker(workers, &reconcileWorker{Config: c})

	client, err := river.NewClient(riverpgxv5.New(c.Pool), &river.Config{
		Schema:  Schema,
		Logger:  quieter(c.Logger),
		Workers: workers,
		Queues: map[string]river.QueueConfig{
			queueApply:   {MaxWorkers: 4, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},
			queueTick:    {MaxWorkers: 1, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},
			queueDeliver: {MaxWorkers: max(orDefault(c.Deliverers, deliverers)/c.callsOfJob(), 1), FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},
			queueSync:    {MaxWorkers: max(len(c.Stripe), 1), FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},
			queueFeed:    {MaxWorkers: 1 + len(c.Stripe), FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},
			queueTickets: {MaxWorkers: 1, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},
			queueImport:  {MaxWorkers: 1, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},

			queueReconcile: {MaxWorkers: 1, FetchCooldown: 10 * time.Millisecond, FetchPollInterval: poll},
		},
		PeriodicJobs: c.periodic(),
		ErrorHandler: errorHandler{c.Logger},

		// A job is a poke: a few tries are enough, because the sweep pokes again.
		// A crash leaves jobs running until they are rescued; nothing waits for
		// that, but they should not stay for River's default of an hour.
		JobTimeout:                  90 * time.Second,
		RescueStuckJobsAfter:        5 * time.Minute,
		MaxAttempts:                 5,
		SoftStopTimeout:             15 * time.Second,
		CompletedJobRetentionPeriod: 6 * time.Hour,
		DiscardedJobRetentionPeriod: 14 * 24 * time.Hour,
	})
	if err != nil {
		return nil, fmt.Errorf("set up jobs: %w", err)
	}
	return client, nil
}

// deliverers is how many deliveries are under way at once, unless the config says:
// pacing lets fewer through while Intercom answers within a second.
const deliverers = 400

// callsOfJob is how many calls a job makes at the same time, at most.
func (c Config) callsOfJob() int { return min(together, orDefault(c.Deliverers, deliverers)) }

func (c Config) check() error {
	var errs []error
	if c.Pool == nil || c.Ticker == nil || c.Campaigns == nil || c.Now == nil || c.Logger == nil {
		errs = append(errs, errors.New("jobs: Pool, Logger, Now, Ticker and Campaigns are required"))
	}
	if c.Intercom != nil && c.Links == nil {
		errs = append(errs, errors.New("jobs: Links are required with Intercom"))
	}
	return errors.Join(errs...)
}

// periodic are the jobs that come with the clock on the wall. Each is cheap when
// there is nothing to do, so that a second one does no harm after a change of
// leader.
func (c Config) periodic() []*river.PeriodicJob {
	var out []*river.PeriodicJob
	every := func(id string, interval time.Duration, args river.JobArgs) {
		if interval < 0 {
			return
		}
		out = append(out, river.NewPeriodicJob(river.PeriodicInterval(orDefault(interval, 30*time.Second)),
			func() (river.JobArgs, *river.InsertOpts) { return args, nil },
			&river.PeriodicJobOpts{ID: id, RunOnStart: true}))
	}
	every("tick", c.TickEvery, TickArgs{})
	every("sweep", c.SweepEvery, SweepArgs{})
	every("tickets", c.SweepEvery, TicketsArgs{})
	if c.Intercom != nil {
		every("import", orDefault(c.FeedEvery, time.Minute), ImportArgs{})
	}
	for _, s := range c.Stripe {
		every("catch_up_"+s.Name(), orDefault(c.FeedEvery, time.Minute), CatchUpArgs{Account: s.Name()})
		every("compare_"+s.Name(), orDefault(c.FeedEvery, time.Minute), CompareArgs{Account: s.Name()})
	}
	return out
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// A Poker inserts jobs; it works none.
type Poker struct{ client *river.Client[pgx.Tx] }

// NewPoker returns a Poker.
func NewPoker(pool *pgxpool.Pool) (*Poker, error) {
	// A client notifies a queue at most once in a FetchCooldown; what it leaves
	// out is found by the next poll. Pokes are few, so each may notify.
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: Schema, Logger: slog.New(slog.DiscardHandler), FetchCooldown: time.Millisecond,
	})
	if err != nil {
		return nil, fmt.Errorf("set up jobs: %w", err)
	}
	return &Poker{client}, nil
}

// Apply pokes for stored events of an account.
func (p *Poker) Apply(ctx context.Context, tx pgx.Tx, account string) error {
	return p.insert(ctx, tx, ApplyArgs{Account: account})
}

// Tick pokes for a tick.
func (p *Poker) Tick(ctx context.Context, tx pgx.Tx) error {
	return p.insert(ctx, tx, TickArgs{})
}

// Sweep pokes for a sweep.
func (p *Poker) Sweep(ctx context.Context, tx pgx.Tx) error {
	return p.insert(ctx, tx, SweepArgs{})
}

// Sync pokes for an account's backfill, unless a poke for it waits, or a backfill
// is under way: should that one stop half-way, the sweep pokes again. Whether it
// is under way the lock of the backfill says, which ends with its process; a job
// may be called running long after.
func (p *Poker) Sync(ctx context.Context, tx pgx.Tx, account string) error {
	running, err := stripesync.Running(ctx, tx, account)
	if err != nil || running {
		return err
	}
	var waits bool
	err = tx.QueryRow(ctx, `
		select exists (select from `+Schema+`.river_job where kind = $1 and state = 'available' and args->>'account' = $2)`,
		SyncArgs{}.Kind(), account).Scan(&waits)
	if err != nil {
		return fmt.Errorf("look for pokes of a sync: %w", err)
	}
	if waits {
		return nil
	}
	return p.insert(ctx, tx, SyncArgs{Account: account})
}

// atOnce is how many deliveries one transaction pokes for.
const atOnce = 2000

// Due pokes for deliveries that are due at an instant and that no job is on its
// way for, and for a sweep when there are more of them than one transaction
// should be long for.
func (p *Poker) Due(ctx context.Context, tx pgx.Tx, now time.Time) (int, error) {
	n, err := p.some(ctx, tx, now)
	if err == nil && n == atOnce {
		err = p.Sweep(ctx, tx)
	}
	return n, err
}

// AllDue pokes for all of them, in as many transactions as it takes.
func (p *Poker) AllDue(ctx context.Context, pool *pgxpool.Pool, now time.Time) (total int, err error) {
	for n := atOnce; n == atOnce && err == nil; total += n {
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
			n, err = p.some(ctx, tx, now)
			return err
		})
	}
	return total, err
}

// some pokes for deliveries that are due. What was released with many others, such
// as by the end of the night, is worked after what has just become due.
func (p *Poker) some(ctx context.Context, tx pgx.Tx, now time.Time) (int, error) {
	due, err := campaigns.Poke(ctx, tx, now, atOnce)
	n := len(due.Urgent) + len(due.Released)
	if err != nil || n == 0 {
		return n, err
	}
	var params []river.InsertManyParams
	for keys := range slices.Chunk(due.Urgent, together) {
		params = append(params, river.InsertManyParams{Args: DeliverArgs{Keys: keys}, InsertOpts: &river.InsertOpts{Priority: urgent}})
	}
	for keys := range slices.Chunk(due.Released, together) {
		params = append(params, river.InsertManyParams{Args: DeliverArgs{Keys: keys}, InsertOpts: &river.InsertOpts{Priority: released}})
	}
	if _, err := p.client.InsertManyFastTx(ctx, tx, params); err != nil {
		return 0, fmt.Errorf("poke deliveries: %w", err)
	}
	return n, nil
}

// again pokes for deliveries alone, after a while (machine time).
func (p *Poker) again(ctx context.Context, keys []campaigns.Key, priority int, after time.Duration) error {
	//lint:ignore clocks machine time: of River's scheduler
	at := time.Now().Add(after)
	if _, err := p.client.Insert(ctx, DeliverArgs{Keys: keys}, &river.InsertOpts{Priority: priority, ScheduledAt: at}); err != nil {
		return fmt.Errorf("poke deliveries again: %w", err)
	}
	return nil
}

// River's priorities of deliver jobs.
const (
	urgent   = 1
	released = 3
)

func (p *Poker) insert(ctx context.Context, tx pgx.Tx, args river.JobArgs) error {
	if _, err := p.client.InsertTx(ctx, tx, args, nil); err != nil {
		return fmt.Errorf("poke %s: %w", args.Kind(), err)
	}
	return nil
}
