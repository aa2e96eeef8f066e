package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/examples"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/internal/pgdev"
	"github.com/dunlin/dunlin/jobs"
	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

type demoCmd struct {
	Once      bool  `help:"Live so many days, let the judge speak, and end; otherwise go on living."`
	Days      int   `help:"Simulated days, with --once." default:"45"`
	Customers int   `help:"Customers at the start." default:"2000"`
	Seed      int64 `help:"Another seed is another life; the same seed is the same." default:"1"`
	Workers   int   `help:"Deliveries under way at once." default:"8"`

	// What goes wrong at Stripe; of nothing by default.
	Drop      share         `help:"Webhooks that Stripe never posts." placeholder:"20%"`
	Double    share         `help:"Webhooks that Stripe posts twice." placeholder:"20%"`
	Shuffle   time.Duration `help:"Webhooks wait for up to so long, in virtual time, so that later ones overtake them." placeholder:"40m"`
	APIFaults share         `name:"api-faults" help:"Requests that Stripe limits, fails, resets or cuts off." placeholder:"5%"`
}

func (demoCmd) Help() string {
	return "Starts a sandbox of Stripe and Intercom with a merchant living in virtual time, a private Postgres, and the wiring of dunlin up between them. Nothing leaves this machine, and nothing of yours is touched."
}

// Run lives.
func (c demoCmd) Run(ctx context.Context, a *app) error {
	switch {
	case c.Days < 1 || c.Days > 3650:
		return usagef("--days is %d; use 1 to 3650", c.Days)
	case c.Customers < 1 || c.Customers > 200000:
		return usagef("--customers is %d; use 1 to 200000", c.Customers)
	case c.Workers < 1 || c.Workers > 100:
		return usagef("--workers is %d; use 1 to 100", c.Workers)
	case c.Shuffle < 0 || c.Shuffle > 72*time.Hour:
		return usagef("--shuffle is %s; use 0 to 72h, as long as Stripe goes on trying", c.Shuffle)
	}
	started := time.Now()
	db, lock, err := emptyDatabase(ctx, a.logger)
	if err != nil {
		return err
	}
	err = c.on(ctx, a, db, started)
	return errors.Join(err, lock.Close(context.WithoutCancel(ctx)), db.Close())
}

// on lives on an empty database.
func (c demoCmd) on(ctx context.Context, a *app, db *database, started time.Time) error {
	d, err := c.build(ctx, a, db)
	if err != nil {
		return err
	}
	err = c.live(ctx, d, started)
	return errors.Join(err, d.close(ctx))
}

func (c demoCmd) live(ctx context.Context, d *demo, started time.Time) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	from := d.world.Now()
	if !c.Once {
		return d.goOn(ctx)
	}
	until := from.AddDate(0, 0, c.Days)
	if err := d.until(ctx, until); err != nil {
		return err
	}
	if err := d.catchUp(ctx, 0); err != nil {
		return err
	}
	report, err := d.report(ctx, from)
	if err != nil {
		return err
	}
	report.Days, report.Seed, report.Lost, report.Seconds = c.Days, c.Seed, d.lost, time.Since(started).Seconds()
	return d.show(report)
}

// demo is the product wired to a sandbox.
type demo struct {
	*app
	world   *sandbox.Sandbox
	db      *database
	product *product
	serving context.CancelFunc
	served  []chan error
	upset   bool  // Stripe goes wrong, so that the list of events is read
	lost    int64 // events that it had before a webhook had brought them
}

// build starts the sandbox's servers and the product's own HTTP half, and wires
// them on an empty database, which stays the caller's.
func (c demoCmd) build(ctx context.Context, a *app, db *database) (*demo, error) {
	upset := c.misbehaviour()
	world, err := sandbox.New(sandbox.Config{Seed: c.Seed, Customers: c.Customers, Misbehaviour: upset})
	if err != nil {
		return nil, &usageError{err}
	}
	return c.wire(ctx, &demo{app: a, db: db, world: world, upset: upset != sandbox.Misbehaviour{}})
}

// misbehaviour is what goes wrong at Stripe, nothing unless it was asked for. A
// 429 is never about the rate: slowing down costs time that is not virtual.
func (c demoCmd) misbehaviour() (m sandbox.Misbehaviour) {
	if c.Drop == 0 && c.Double == 0 && c.Shuffle == 0 && c.APIFaults == 0 {
		return m
	}
	each := float64(c.APIFaults) / 5
	return sandbox.Misbehaviour{
		Seed: c.Seed, Dropped: float64(c.Drop), Doubled: float64(c.Double), Shuffled: c.Shuffle,
		LockTimeouts: each, Failures: each, Unavailable: each, Resets: each, Truncated: each,
	}
}

func (c demoCmd) wire(ctx context.Context, d *demo) (*demo, error) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.serving = cancel
	stripeURL, err := d.serve(serving, d.world.Stripe())
	if err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	intercomURL, err := d.serve(serving, d.world.Intercom())
	if err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	d.product, err = wire(ctx, wiring{
		Pool: d.db.Pool, Logger: d.logger, Now: d.world.Now, Deliverers: c.Workers,
		Env: environment{
			StripeKey: sandbox.StripeKey, StripeSecrets: []string{sandbox.WebhookSecret}, StripeBase: stripeURL,
			IntercomToken: sandbox.IntercomToken, IntercomBase: intercomURL, IntercomKey: sandbox.IntercomSecret,
		},
		// Virtual time stands still while there is work, so the demo itself asks
		// for ticks, once everything of an instant has arrived, and reads the list of
		// events by the virtual clock.
		TickGap: -1, TickEvery: -1, SweepEvery: -1, FeedEvery: -1, PollEvery: 100 * time.Millisecond,
	})
	if err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	hooks, err := d.serve(serving, d.product.handler())
	if err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	d.world.SendWebhooksTo(hooks + "/webhooks/stripe/" + accountName)
	d.world.SendIntercomWebhooksTo(hooks + "/webhooks/intercom")
	return d, nil
}

// serve serves a handler on a free loopback port and returns its address.
func (d *demo) serve(ctx context.Context, h http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on loopback: %w", err)
	}
	done := make(chan error, 1)
	d.served = append(d.served, done)
	go func() { done <- serveHTTP(ctx, listener, h, d.logger) }()
	return "http://" + listener.Addr().String(), nil
}

func (d *demo) close(ctx context.Context) error {
	var errs []error
	if d.product != nil {
		errs = append(errs, d.product.stopJobs(ctx))
	}
	d.serving()
	for _, done := range d.served {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// emptyDatabase makes the demo's own database anew on the private Postgres,
// whatever DATABASE_URL says: a demo must not touch anything real. The lock it
// returns holds other demos off until it is closed.
func emptyDatabase(ctx context.Context, logger *slog.Logger) (*database, *pgx.Conn, error) {
	const name = "dunlin_demo"
	cluster, err := pgdev.Start(ctx, pgdev.Config{Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	db := &database{private: cluster}
	lock, err := recreate(ctx, cluster.URL("postgres"), name)
	if err == nil {
		err = db.connect(ctx, cluster.URL(name), logger)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, lock, nil
}

// recreate takes the demo's lock and makes its database anew. What still hangs
// on to the old one, such as a demo that was killed, is thrown out.
func recreate(ctx context.Context, url, name string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect to the private Postgres: %w", err)
	}
	var free bool
	err = conn.QueryRow(ctx, `select pg_try_advisory_lock(hashtextextended('dunlin:demo', 0))`).Scan(&free)
	if err == nil && !free {
		err = errors.New("another demo is running; there can be one at a time")
	}
	quoted := pgx.Identifier{name}.Sanitize()
	for _, sql := range []string{
		"drop database if exists " + quoted + " with (force)",
		"create database " + quoted,
		// It is made anew each time, so nobody would miss what a power cut takes.
		"alter database " + quoted + " set synchronous_commit = off",
	} {
		if err == nil {
			_, err = conn.Exec(ctx, sql)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the demo's database: %w", err), conn.Close(ctx))
	}
	return conn, nil
}

// begin does what somebody does who takes Dunlin into use: sync, set Intercom
// up, apply definitions, start campaigns.
func (d *demo) begin(ctx context.Context) error {
	d.say("Reading the Stripe account of a merchant with %s into Postgres …", plural(len(d.world.Residents()), "customer"))
	for _, s := range d.product.stripe {
		if err := d.syncAccount(ctx, s, false); err != nil {
			return err
		}
	}
	if _, err := intercom.Setup(ctx, d.product.intercom, d.db.Pool, d.world.Now()); err != nil {
		return err
	}
	docs, err := exampleDocuments()
	if err != nil {
		return err
	}
	set, err := checkDefinitions(ctx, d.db.Pool, docs)
	if err != nil {
		return err
	}
	if _, err := set.apply(ctx, d.db.Pool, d.world.Now()); err != nil {
		return err
	}
	if err := d.product.startJobs(ctx); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	list, err := segments.List(ctx, d.db.Pool)
	if err != nil {
		return err
	}
	for _, s := range list {
		d.say("Segment %s: %s. %s.", s.Name, plural(s.Members, "member"), s.Description)
	}
	err = pgx.BeginFunc(ctx, d.db.Pool, func(tx pgx.Tx) error {
		for _, c := range set.campaigns {
			s, err := d.product.campaigns.Start(ctx, tx, c.Name, d.world.Now())
			if err != nil {
				return err
			}
			d.say("Campaign %s started: %d enrolled.", c.Name, s.Enrolled)
		}
		_, err := d.product.poker.Due(ctx, tx, d.world.Now())
		return err
	})
	if err != nil {
		return err
	}
	return d.settle(ctx)
}

// exampleDocuments are the definitions of the examples room, the workspace first.
func exampleDocuments() ([]workspace.Document, error) {
	entries, err := examples.Files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	var docs []workspace.Document
	for _, e := range entries {
		data, err := examples.Files.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("read examples: %w", err)
		}
		d, faults := workspace.Parse("examples/"+e.Name(), data)
		if len(faults) > 0 {
			return nil, faults
		}
		docs = append(docs, d...)
	}
	return docs, nil
}

// step lets virtual time jump to the next thing that happens, at most an hour
// and not beyond the limit: the world moves, its webhooks arrive, and the product
// works until its tables hold nothing more to do.
func (d *demo) step(ctx context.Context, limit time.Time) (sandbox.Happened, error) {
	now := d.world.Now()
	pending, err := jobs.ReadPending(ctx, d.db.Pool, now)
	if err != nil {
		return sandbox.Happened{}, err
	}
	to := now.Truncate(time.Hour).Add(time.Hour)
	for _, t := range []time.Time{d.world.Next(), limit} {
		if t.After(now) && t.Before(to) {
			to = t
		}
	}
	if pending.NextDue != nil && pending.NextDue.Before(to) {
		to = *pending.NextDue
	}
	happened, err := d.world.Advance(ctx, to)
	if err != nil {
		return happened, err
	}
	if happened.Undelivered > 0 {
		d.logger.Warn("webhooks were not accepted", slog.Int("events", happened.Undelivered))
	}
	if err := d.settle(ctx); err != nil {
		return happened, err
	}
	return happened, d.catchUp(ctx, feedEvery)
}

// feedEvery is how often the demo reads the list of events where Stripe goes
// wrong. It is longer than dunlin up waits: all happens on the hour, so that
// reading the list each time would leave nothing to webhooks that are on their way.
const feedEvery = 6 * time.Hour

// catchUp finds what webhooks lost, unless that was done a shorter time ago, and
// lets the product work on it. A Stripe that never goes wrong loses nothing.
func (d *demo) catchUp(ctx context.Context, every time.Duration) error {
	if !d.upset {
		return nil
	}
	before := d.lost
	for _, s := range d.product.stripe {
		feed, err := s.Feed(ctx)
		if err != nil {
			return err
		}
		if d.world.Now().Sub(feed.Until) < every {
			continue
		}
		stored := s.Counts().Stored
		if _, err := s.CatchUp(ctx); err != nil {
			return err
		}
		d.lost += s.Counts().Stored - stored
	}
	if d.lost == before {
		return nil
	}
	return d.settle(ctx)
}

// settle waits until stored events are applied, asks for one tick at this
// instant, and waits until nothing is left to do. What a delivery finds out when
// it catches up with Stripe needs another tick.
func (d *demo) settle(ctx context.Context) error {
	const overdue = 100 * time.Millisecond
	now := d.world.Now()
	for done := false; !done; {
		if err := d.wait(ctx, now, func(p jobs.Pending) bool { return p.Events == 0 }); err != nil {
			return err
		}
		err := pgx.BeginFunc(ctx, d.db.Pool, func(tx pgx.Tx) error { return d.product.poker.Tick(ctx, tx) })
		if err != nil {
			return err
		}
		asked := time.Now()
		err = d.wait(ctx, now, func(p jobs.Pending) bool {
			if p.Ticked == nil || p.Ticked.Before(now) {
				return false
			}
			done = p.None()
			return done || p.Changes > 0 && p.Events == 0 && time.Since(asked) > overdue
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wait polls our tables until they are as wanted. When nothing comes of it for a
// while it sweeps, as the clock on the wall would make dunlin up do, and waits
// for the sweep to end: a job left over must not run while the next events are
// still arriving, or two runs of one seed would differ.
func (d *demo) wait(ctx context.Context, now time.Time, wanted func(jobs.Pending) bool) error {
	const sweepAfter, patience = 5 * time.Second, 3 * time.Minute
	start := time.Now()
	for swept := start; ; {
		pending, err := jobs.ReadPending(ctx, d.db.Pool, now)
		if err != nil {
			return err
		}
		if wanted(pending) {
			return nil
		}
		if time.Since(start) > patience {
			return fmt.Errorf("stuck at %s: %d stored events, %d changes, %d due and %d claimed deliveries", now.Format(time.RFC3339),
				pending.Events, pending.Changes, pending.Due, pending.Claimed)
		}
		if time.Since(swept) > sweepAfter {
			if err := d.sweep(ctx); err != nil {
				return err
			}
			swept = time.Now()
		}
		if err := sleep(ctx, 3*time.Millisecond); err != nil {
			return err
		}
	}
}

// sweep asks for a sweep and waits until no sweep is left.
func (d *demo) sweep(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, d.db.Pool, func(tx pgx.Tx) error { return d.product.poker.Sweep(ctx, tx) })
	for left := true; left && err == nil; err = errors.Join(err, sleep(ctx, 20*time.Millisecond)) {
		err = d.db.QueryRow(ctx, `select exists (select from river.river_job where kind = 'sweep' and state in ('available', 'running', 'retryable', 'scheduled'))`).Scan(&left)
	}
	return err
}

// until lives to an instant, with a line of progress for each day.
func (d *demo) until(ctx context.Context, end time.Time) error {
	d.say("Living until %s …", end.Format("Monday, 2 January 2006"))
	day, declined, recovered := d.world.Now(), 0, 0
	for d.world.Now().Before(end) {
		happened, err := d.step(ctx, end)
		if err != nil {
			return err
		}
		for _, l := range happened.Lines {
			switch l.Kind {
			case "declined":
				declined++
			case "recovered":
				recovered++
			}
		}
		if now := d.world.Now(); now.Sub(day) >= 24*time.Hour {
			day = now
			messages, tickets, tags := 0, 0, 0
			for _, x := range d.world.Accepted() {
				switch x.Kind {
				case "message":
					messages++
				case "ticket":
					tickets++
				case "tag":
					tags++
				}
			}
			d.say("%s  declined %4d  recovered %4d  |  messages %4d  tickets %4d  tags %4d", now.Format("2006-01-02"), declined, recovered, messages, tickets, tags)
		}
	}
	return nil
}

// goOn lives for ever, a simulated hour every few seconds, and says what
// happens in words.
func (d *demo) goOn(ctx context.Context) error {
	d.say("Going on living, an hour every three seconds. End with Ctrl-C.")
	heard := len(d.world.Accepted())
	names := map[string]string{}
	for ctx.Err() == nil {
		hour := d.world.Now().Add(time.Hour)
		pause := time.After(3 * time.Second)
		for d.world.Now().Before(hour) {
			happened, err := d.step(ctx, hour)
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			for _, l := range happened.Lines {
				d.say("%s  %s", l.At.Format("Mon 2 Jan 15:04"), l.Text)
			}
			for _, x := range d.world.Accepted()[heard:] {
				d.say("%s    → %s", x.At.Format("Mon 2 Jan 15:04"), d.tell(x, names))
				heard++
			}
		}
		select {
		case <-pause:
		case <-ctx.Done():
		}
	}
	return nil
}

// tell is an accepted request in words.
func (d *demo) tell(x sandbox.Accepted, names map[string]string) string {
	name, ok := names[x.Contact]
	if !ok {
		for _, r := range d.world.Residents() {
			for _, c := range r.Contacts {
				names[c.ID] = r.Name
			}
		}
		name = names[x.Contact]
	}
	if name == "" {
		name = "contact " + x.Contact
	}
	text := strings.Join(strings.Fields(x.Text), " ")
	switch x.Kind {
	case "message":
		return fmt.Sprintf("message to %s: %s", name, text)
	case "ticket":
		return fmt.Sprintf("task for a colleague: %s", x.Title)
	case "tag":
		return fmt.Sprintf("%s is tagged %s", name, text)
	}
	return fmt.Sprintf("%s of %s: %s", x.Kind, name, text)
}

// A share is a part of all, from 0 to 1. It is written as a percentage.
type share float64

// UnmarshalText reads "20%".
func (s *share) UnmarshalText(text []byte) error {
	number, found := strings.CutSuffix(string(text), "%")
	percent, err := strconv.ParseFloat(number, 64)
	if err != nil || !found || !(percent >= 0 && percent <= 100) {
		return fmt.Errorf("%q is no share; use 0%% to 100%%", text)
	}
	*s = share(percent / 100)
	return nil
}
