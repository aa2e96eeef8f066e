package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/jobs"
	"github.com/dunlin/dunlin/sandbox"
)

// What a child is told, beside what the program itself reads.
const (
	childFailpoint = "DUNLIN_TEST_FAILPOINT" // name:n, killed when the name is passed for the n-th time
	childInstant   = "DUNLIN_TEST_INSTANT"   // RFC 3339: its clock stands there
	childWorkers   = "DUNLIN_TEST_WORKERS"

	childApplication = "dunlin-child" // its sessions' name at Postgres
)

// lookLate leaves what is lost unknown, so that it can be counted.
var lookLate = []time.Duration{time.Hour}

// child works jobs as dunlin work does until its failpoint kills it, or nothing
// is left to do.
func child() int {
	err := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		name, nth, _ := strings.Cut(os.Getenv(childFailpoint), ":")
		n, err := strconv.Atoi(nth)
		if err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339Nano, os.Getenv(childInstant))
		if err != nil {
			return err
		}
		workers, err := strconv.Atoi(os.Getenv(childWorkers))
		if err != nil {
			return err
		}
		env, err := readEnvironment(os.Environ())
		if err != nil {
			return err
		}
		cfg, err := pgxpool.ParseConfig(env.DatabaseURL)
		if err != nil {
			return err
		}
		cfg.MaxConns = 16
		cfg.ConnConfig.RuntimeParams["application_name"] = childApplication
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return err
		}
		defer pool.Close()
		var passed atomic.Int64
		p, err := wire(ctx, wiring{
			Pool: pool, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return at }, Env: env,
			Deliverers: workers, TickGap: -1, TickEvery: -1, SweepEvery: -1, PollEvery: 50 * time.Millisecond,
			LookAfter: lookLate,
			Failpoint: func(passing string) {
				if passing == name && passed.Add(1) == int64(n) {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			},
		})
		if err != nil {
			return err
		}
		if err := p.startJobs(ctx); err != nil {
			return err
		}
		return errors.Join(p.drain(ctx), p.stopJobs(ctx))
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return exitFailed
	}
	return exitDone
}

// A killing is a merchant's life in which workers get killed.
type killing struct {
	*demo
	t        *testing.T
	url      string
	from     time.Time
	stripe   string
	intercom string
	lost     map[string]bool // deliveries that a killed worker had claimed and not recorded
}

// newKilling is a merchant of whom nobody was told anything yet, with the
// campaigns started and nobody at work.
func newKilling(t *testing.T) *killing {
	t.Helper()
	ctx := t.Context()
	k := &killing{t: t, url: pgtest.URL(t), lost: map[string]bool{}}
	// A Monday in the afternoon in Europe and in the morning in America: there is
	// somebody to write to.
	world, err := sandbox.New(sandbox.Config{Seed: 3, Customers: 140, Start: time.Date(2026, 2, 16, 15, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := quiet(false)
	k.demo, err = (demoCmd{Workers: 4}).wire(ctx, &demo{app: a, db: connected(t, k.url), world: world})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	k.product.campaigns.LookAfter = lookLate
	k.stripe, k.intercom = k.product.Env.StripeBase, k.product.Env.IntercomBase
	k.from = world.Now()
	startCampaigns(t, k.demo)
	return k
}

// startCampaigns takes Dunlin into use with the examples, and leaves what is due
// to whoever works.
func startCampaigns(t *testing.T, d *demo) {
	t.Helper()
	ctx := t.Context()
	if err := d.product.stripe[0].Backfill(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := intercom.Setup(ctx, d.product.intercom, d.db.Pool, d.world.Now()); err != nil {
		t.Fatal(err)
	}
	docs, err := exampleDocuments()
	if err != nil {
		t.Fatal(err)
	}
	set, err := checkDefinitions(ctx, d.db.Pool, docs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.apply(ctx, d.db.Pool, d.world.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.product.ticker.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(ctx, d.db.Pool, func(tx pgx.Tx) error {
		for _, c := range set.campaigns {
			if _, err := d.product.campaigns.Start(ctx, tx, c.Name, d.world.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// work starts a process that is killed when it passes the failpoint for the n-th
// time, and reports whether it was; otherwise it found nothing more to do.
func (k *killing) work(failpoint string, n, workers int) bool {
	k.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("%s=%s:%d", childFailpoint, failpoint, n),
		childInstant+"="+k.world.Now().Format(time.RFC3339Nano),
		childWorkers+"="+strconv.Itoa(workers),
		"DATABASE_URL="+k.url, "DRY_RUN=",
		"STRIPE_API_KEY="+sandbox.StripeKey, "STRIPE_API_BASE="+k.stripe,
		"INTERCOM_ACCESS_TOKEN="+sandbox.IntercomToken, "INTERCOM_API_BASE="+k.intercom,
	)
	output, err := cmd.CombinedOutput()
	k.bury()
	if err == nil {
		return false
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		k.t.Fatalf("child at %s\n got %v\n%s\nwant killed by SIGKILL", failpoint, err, output)
	}
	return true
}

// bury waits until Postgres has ended the sessions of a dead process, each with
// what it was doing.
func (k *killing) bury() {
	k.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if count(k.t, k.db.Pool, `select count(*) from pg_stat_activity where datname = current_database() and application_name = $1`, childApplication) == 0 {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatal("Postgres did not notice that the child is gone")
		}
		if err := sleep(k.t.Context(), 5*time.Millisecond); err != nil {
			k.t.Fatal(err)
		}
	}
}

// claimed are the deliveries that are claimed, by key and action.
func (k *killing) claimed() []string {
	k.t.Helper()
	return k.deliveries(`state = 'claimed'`)
}

func (k *killing) deliveries(where string) []string {
	k.t.Helper()
	rows, err := k.db.Query(k.t.Context(), `
		select concat_ws(' ', action, customer_id, campaign, episode, step) from dunlin.deliveries where `+where+` order by 1`)
	if err != nil {
		k.t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		k.t.Fatal(err)
	}
	return keys
}

// lapse lets every lease end that dead workers hold, and River rescue their jobs,
// as a few minutes do.
func (k *killing) lapse() {
	k.t.Helper()
	for _, key := range k.claimed() {
		if !strings.HasPrefix(key, "tag ") {
			k.lost[key] = true
		}
	}
	execSQL(k.t, k.db.Pool, `update dunlin.deliveries set leased_until = clock_timestamp() - interval '1 second' where state = 'claimed'`)
	execSQL(k.t, k.db.Pool, `update dunlin.deliveries set poked_until = null where state = 'planned'`)
	execSQL(k.t, k.db.Pool, `update dunlin.stripe_events set leased_until = null where state = 'stored'`)
	execSQL(k.t, k.db.Pool, `
		update river.river_job set state = case when attempt < max_attempts then 'available' else 'discarded' end::river.river_job_state,
		       finalized_at = case when attempt < max_attempts then null else now() end
		where state = 'running'`)
	if _, err := k.product.campaigns.Sweep(k.t.Context(), k.world.Now()); err != nil {
		k.t.Fatal(err)
	}
}

// ahead is how many requests Intercom has accepted that we do not know of.
func (k *killing) ahead() int {
	k.t.Helper()
	return len(k.world.Accepted()) - count(k.t, k.db.Pool, `select count(*) from dunlin.deliveries where state = 'sent' and external_id is not null`)
}

// kill lets a process die at the failpoint; when there is not enough to do for it
// to get there, virtual time goes on.
func (k *killing) kill(failpoint string, n, workers int) {
	k.t.Helper()
	for range 72 {
		if k.work(failpoint, n, workers) {
			return
		}
		k.lapse()
		if _, err := k.world.Advance(k.t.Context(), k.world.Now().Add(time.Hour)); err != nil {
			k.t.Fatal(err)
		}
	}
	k.t.Fatalf("no process got to %s in three days", failpoint)
}

// TestKilledWorkers kills processes with -9 around the claim, the call and the
// record, and holds that nobody is written to twice (one-contact) and that
// nothing is left waiting without a name (nothing-lost).
func TestKilledWorkers(t *testing.T) {
	t.Parallel()
	k := newKilling(t)

	// One delivery at a time: what a process leaves behind is known exactly.
	left := map[string]struct{ claimed, ahead int }{
		"before_claim": {0, 0}, "after_claim": {1, 0}, "before_call": {1, 0},
		"after_call": {1, 1}, "before_record": {1, 1}, "after_record": {0, 0},
	}
	if names := slices.Sorted(maps.Keys(left)); !slices.Equal(names, slices.Sorted(slices.Values(jobs.Failpoints))) {
		t.Fatalf("failpoints\n got %v\nwant %v", jobs.Failpoints, names)
	}
	for n, failpoint := range jobs.Failpoints {
		before := k.ahead()
		k.kill(failpoint, 1+n%2, 1)
		claimed := k.claimed()
		if want := left[failpoint]; len(claimed) != want.claimed || k.ahead()-before != want.ahead {
			t.Errorf("killed at %s\n got %d claimed %v, %d accepted and not recorded\nwant %d and %d",
				failpoint, len(claimed), claimed, k.ahead()-before, want.claimed, want.ahead)
		}
		k.lapse()
	}
	// Several at a time: whatever the others were doing.
	k.kill("after_call", 2, 6)
	k.lapse()
	k.kill("before_record", 2, 6)
	k.lapse()

	// Then all goes well, for as many days as quiet hours and second steps need.
	if err := k.product.startJobs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.until(t.Context(), k.world.Now().AddDate(0, 0, 6)); err != nil {
		t.Fatal(err)
	}
	k.verdicts()
	k.nothingWaitsUnnamed()
	k.unknownAreTheLost()
	k.tablesAndIntercomAgree()
	k.noTextTwice()
}

func (k *killing) verdicts() {
	k.t.Helper()
	reasons, err := k.reasons(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	v := sandbox.Judge(k.world.Case(k.from, k.world.Now(), reasons))
	if v.Duplicates+v.QuietHourViolations+v.ContactedAfterRecovery+v.Forgotten != 0 {
		k.t.Errorf("verdicts\n got duplicates %d, quiet_hour_violations %d, contacted_after_recovery %d, forgotten %d\nwant 0\n%s",
			v.Duplicates, v.QuietHourViolations, v.ContactedAfterRecovery, v.Forgotten, strings.Join(v.Details, "\n"))
	}
}

func (k *killing) nothingWaitsUnnamed() {
	k.t.Helper()
	if claimed := k.claimed(); len(claimed) > 0 {
		k.t.Errorf("claimed\n got %v\nwant none", claimed)
	}
	rows, err := k.db.Query(k.t.Context(), `
		select concat_ws(' ', action, customer_id, campaign, episode, step, due_at) from dunlin.deliveries
		where state = 'planned' and reason is null and (due_at is null or due_at <= $1)
		   or state in ('skipped', 'failed', 'unknown') and (reason is null or ended_at is null)`, k.world.Now())
	if err != nil {
		k.t.Fatal(err)
	}
	unnamed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		k.t.Fatal(err)
	}
	if len(unnamed) > 0 {
		k.t.Errorf("deliveries that wait, or ended, for no reason\n got %v\nwant none", unnamed)
	}
	if n := count(k.t, k.db.Pool, `
		select count(*) from dunlin.enrollments e where e.state = 'active' and not exists (
			select from dunlin.deliveries d where d.account_id = e.account_id and d.customer_id = e.customer_id
			and d.campaign = e.campaign and d.episode = e.episode and d.state in ('planned', 'claimed'))
		and not exists (
			select from dunlin.tasks t where t.account_id = e.account_id and t.customer_id = e.customer_id
			and t.campaign = e.campaign and t.episode = e.episode and t.state = 'open')`); n > 0 {
		k.t.Errorf("active enrollments with nothing left to do\n got %d\nwant 0", n)
	}
}

func (k *killing) unknownAreTheLost() {
	k.t.Helper()
	if len(k.lost) < 4 {
		k.t.Errorf("lost deliveries\n got %d\nwant at least 4: the test shows too little", len(k.lost))
	}
	want := slices.Sorted(maps.Keys(k.lost))
	if got := k.deliveries(`state = 'unknown' and reason = 'worker_lost' and action <> 'tag'`); !slices.Equal(got, want) {
		k.t.Errorf("lost with their workers\n got %v\nwant %v", got, want)
	}
	if got := k.deliveries(`state = 'unknown'`); !slices.Equal(got, want) {
		k.t.Errorf("unknown\n got %v\nwant %v", got, want)
	}
}

// tablesAndIntercomAgree compares request by request. Each unknown delivery
// accounts for at most one request that our tables do not know.
func (k *killing) tablesAndIntercomAgree() {
	k.t.Helper()
	type request struct{ kind, id, contact string }
	rows, err := k.db.Query(k.t.Context(), `
		select case action when 'task' then 'ticket' else action end, case when state = 'sent' then external_id else '' end, contact_id
		from dunlin.deliveries where state = 'sent' and external_id is not null and action <> 'tag' or state = 'unknown'`)
	if err != nil {
		k.t.Fatal(err)
	}
	ours := map[request]int{} // without an id: unknown
	var r request
	if _, err := pgx.ForEachRow(rows, []any{&r.kind, &r.id, &r.contact}, func() error { ours[r]++; return nil }); err != nil {
		k.t.Fatal(err)
	}
	messages := 0
	for _, x := range k.world.Accepted() {
		if x.Kind == "tag" {
			continue
		}
		messages++
		known, unknown := request{x.Kind, x.ID, x.Contact}, request{x.Kind, "", x.Contact}
		switch {
		case ours[known] > 0:
			ours[known]--
		case ours[unknown] > 0:
			ours[unknown]--
		default:
			k.t.Errorf("Intercom accepted %s %s for contact %s of %s, and our tables do not know it", x.Kind, x.ID, x.Contact, x.At)
		}
	}
	for r, n := range ours {
		if r.id != "" && n != 0 {
			k.t.Errorf("our tables have %s %s for contact %s as sent, and Intercom does not", r.kind, r.id, r.contact)
		}
	}
	if messages < 20 {
		k.t.Errorf("messages and tickets\n got %d\nwant at least 20: the test shows too little", messages)
	}
}

func (k *killing) noTextTwice() {
	k.t.Helper()
	type seen struct{ contact, text string }
	before := map[seen]sandbox.Accepted{}
	for _, x := range k.world.Accepted() {
		if x.Kind == "tag" {
			continue
		}
		s := seen{x.Contact, x.Text}
		if first, twice := before[s]; twice {
			k.t.Errorf("contact %s got the same text twice, on %s and %s: %s", x.Contact, first.At, x.At, x.Text)
		}
		before[s] = x
	}
}
