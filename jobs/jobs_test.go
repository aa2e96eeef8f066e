package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/stripesync"
)

func TestPeriodic(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		tick, sweep time.Duration
		want        int
	}{{0, 0, 5}, {-1, -1, 0}, {-1, 0, 4}, {time.Minute, -1, 3}} {
		c := Config{TickEvery: tt.tick, SweepEvery: tt.sweep, Stripe: []*stripesync.Sync{{}}}
		if tt.want == 0 {
			c.FeedEvery = -1
		}
		if got := len(c.periodic()); got != tt.want {
			t.Errorf("tick every %s, sweep every %s\n got %d periodic jobs\nwant %d", tt.tick, tt.sweep, got, tt.want)
		}
	}
}

func TestNew_missing(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "required") {
		t.Errorf("New of nothing\n got %v\nwant an error that says what is required", err)
	}
}

// TestPeriodic_runs: with intervals on, a tick and a sweep come by themselves,
// and what they find gets done; with -1 no job comes that nobody asked for.
func TestPeriodic_runs(t *testing.T) {
	t.Parallel()
	on, off := newWorld(t, aMessage, nil), newWorld(t, aMessage, nil)
	for _, w := range []*world{on, off} {
		w.owing(2)
		w.start()
	}
	on.TickEvery, on.SweepEvery = 0, 0
	off.run()
	on.run()
	on.until("both are written to", `select count(*) = 2 from dunlin.deliveries where state = 'sent'`)
	on.until("a tick and a sweep", `select count(distinct kind) = 2 from river.river_job where kind in ('tick', 'sweep') and state = 'completed'`)
	var jobs int
	off.scan(&jobs, `select count(*) from river.river_job`)
	if jobs != 0 {
		t.Errorf("with ticks and sweeps off\n got %d jobs\nwant none", jobs)
	}
}

func TestUnknownAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	for kind, err := range map[string]error{
		"apply": (&applyWorker{Config: w.Config}).Work(t.Context(), &river.Job[ApplyArgs]{Args: ApplyArgs{"other"}}),
		"sync":  (&syncWorker{Config: w.Config}).Work(t.Context(), &river.Job[SyncArgs]{Args: SyncArgs{"other"}}),
	} {
		var cancel *rivertype.JobCancelError
		if !errors.As(err, &cancel) || !strings.Contains(err.Error(), `"other"`) {
			t.Errorf("%s for an account that is not set up\n got %v\nwant it cancelled, naming the account", kind, err)
		}
	}
	w.tx(func(tx pgx.Tx) error { return w.poker.Apply(t.Context(), tx, "other") })
	w.run()
	w.until("the job is cancelled", `select exists (select from river.river_job where kind = 'apply' and state = 'cancelled')`)
}

// TestSweep_findsWhatIsLost: our tables are the truth, River's are not. With all
// jobs gone, and claims of a dead worker left, one sweep brings everything back.
func TestSweep_findsWhatIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.owing(6)
	w.start()
	w.tx(func(tx pgx.Tx) error {
		n, err := w.poker.Due(t.Context(), tx, noon)
		if err == nil && n != 6 {
			err = fmt.Errorf("%d deliveries poked, want 6", n)
		}
		return err
	})
	w.exec(`delete from river.river_job`)
	w.exec(`update dunlin.deliveries set poked_until = clock_timestamp() - interval '1 second'`)
	dead := w.keys()[0]
	w.exec(`update dunlin.deliveries set state = 'claimed', token = gen_random_uuid(), leased_until = clock_timestamp() - interval '1 second', attempts = 1 where customer_id = $1`, dead.Customer)

	w.run()
	w.tx(func(tx pgx.Tx) error { return w.poker.Sweep(t.Context(), tx) })
	w.until("the others are written to", `select count(*) = 5 from dunlin.deliveries where state = 'sent'`)
	if got, want := w.stands(dead), "unknown worker_lost 1"; got != want {
		t.Errorf("the claim of a dead worker\n got %q\nwant %q", got, want)
	}
	if got := len(w.intercom.Accepted()); got != 5 {
		t.Errorf("accepted\n got %d\nwant 5", got)
	}
}

// TestSweep_leaves what somebody is on the way for.
func TestSweep_leavesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.owing(3)
	w.start()
	keys := w.keys()
	w.exec(`update dunlin.deliveries set poked_until = clock_timestamp() + interval '1 minute' where customer_id = $1`, keys[0].Customer)
	w.exec(`update dunlin.deliveries set state = 'claimed', token = gen_random_uuid(), leased_until = clock_timestamp() + interval '1 minute' where customer_id = $1`, keys[1].Customer)
	if err := (&sweepWorker{Config: w.Config, poker: w.poker}).Work(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rows, err := w.Pool.Query(t.Context(), `select (k->>'customer')::bigint from river.river_job, json_array_elements((args->'keys')::json) k where kind = 'deliver'`)
	if err != nil {
		t.Fatal(err)
	}
	poked, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	if want := []int64{keys[2].Customer}; !slices.Equal(poked, want) {
		t.Errorf("poked\n got %d\nwant %d", poked, want)
	}
	if got := w.stands(keys[1])[:7]; got != "claimed" {
		t.Errorf("a claim whose lease runs\n got %q\nwant claimed", got)
	}
}

// TestStop_duringACall: a graceful stop waits for the call that is on its way
// and records what became of it.
func TestStop_duringACall(t *testing.T) {
	t.Parallel()
	calling, answer := make(chan struct{}), make(chan struct{})
	w := newWorld(t, aMessage, func(r *http.Request) sandbox.Fault {
		if strings.HasSuffix(r.URL.Path, "/messages") {
			close(calling)
			<-answer
		}
		return sandbox.Fault{}
	})
	w.owing(1)
	w.start()
	client := w.run()
	w.tx(func(tx pgx.Tx) error { return w.poker.Sweep(t.Context(), tx) })
	select {
	case <-calling:
	case <-time.After(30 * time.Second):
		t.Fatal("no call came")
	}
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		stopped <- client.Stop(ctx)
	}()
	select {
	case err := <-stopped:
		t.Fatalf("stopped (%v) with a call under way", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(answer)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if got, want := w.stands(w.keys()[0]), "sent - 1"; got != want {
		t.Errorf("after the stop\n got %q\nwant %q", got, want)
	}
}

// TestTick_nothingNew: a poke for a tick that another has made needless makes
// none.
func TestTick_nothingNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.owing(1)
	ticks := func() (n int) {
		w.scan(&n, `select count(*) from dunlin.ticks`)
		return n
	}
	tick := func() {
		t.Helper()
		if err := (&tickWorker{Config: w.Config}).Work(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	tick()
	first := ticks()
	tick()
	if first != 1 || ticks() != 1 {
		t.Errorf("ticks after one poke and after two\n got %d and %d\nwant 1 and 1", first, ticks())
	}
	w.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{delinquent}' from dunlin.customers`)
	tick()
	if got := ticks(); got != 2 {
		t.Errorf("ticks after news\n got %d\nwant 2", got)
	}
}

func TestReadPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.owing(2)
	w.start()
	w.exec(`update dunlin.deliveries set due_at = $1 where customer_id = $2`, noon.Add(time.Hour), w.keys()[0].Customer)
	p, err := ReadPending(t.Context(), w.Pool, noon)
	if err != nil {
		t.Fatal(err)
	}
	if p.Due != 1 || p.NextDue == nil || !p.NextDue.Equal(noon.Add(time.Hour)) || p.None() || p.Ticked == nil || !p.Ticked.Equal(noon) {
		t.Errorf("pending\n got %+v\nwant one due now, the next in an hour, ticked at noon", p)
	}
}

// Nobody applies the events of an account that is not set up any more.
func TestReadPendingOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.exec(`insert into dunlin.accounts (name, created_at) values ('old', $1)`, noon)
	w.exec(`
		insert into dunlin.stripe_events (account_id, customer, id, type, api_version, class, object_id, created, raw, received_at)
		select account_id, '', 'evt_1', 'customer.updated', '', '', '', created_at, '{}', created_at from dunlin.accounts`)
	for _, tt := range []struct {
		accounts []string
		want     int64
	}{{nil, 0}, {[]string{"main"}, 1}, {[]string{"main", "old"}, 2}, {[]string{"other"}, 0}} {
		p, err := ReadPendingOf(t.Context(), w.Pool, noon, tt.accounts)
		if err != nil || p.Events != tt.want {
			t.Errorf("events of %q\n got %d %v\nwant %d", tt.accounts, p.Events, err, tt.want)
		}
	}
	if p, err := ReadPending(t.Context(), w.Pool, noon); err != nil || p.Events != 2 {
		t.Errorf("events of all\n got %d %v\nwant 2", p.Events, err)
	}
}

// An account's backfill is poked for once, however often one sweeps, and again
// when the process that had it is gone.
func TestPoker_Sync(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.exec(`insert into dunlin.accounts (name, created_at) values ('eu', $1)`, noon)
	pokes := func(what string, want int) {
		t.Helper()
		for range 3 {
			w.tx(func(tx pgx.Tx) error { return w.poker.Sync(t.Context(), tx, "main") })
		}
		var got int
		if w.scan(&got, `select count(*) from river.river_job where kind = 'sync' and args->>'account' = 'main'`); got != want {
			t.Errorf("%s\n got %d pokes\nwant %d", what, got, want)
		}
	}
	w.tx(func(tx pgx.Tx) error { return w.poker.Sync(t.Context(), tx, "eu") })
	pokes("three of them", 1)

	w.exec(`update river.river_job set state = 'running', attempted_at = now(), attempt = 1 where kind = 'sync'`)
	pokes("its worker was killed", 2)

	w.exec(`delete from river.river_job`)
	reading, answer := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(reading) })
	stripe := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		begun()
		<-answer
		_, _ = io.WriteString(rw, `{"id": "acct_1", "object": "list", "has_more": false, "data": []}`)
	}))
	t.Cleanup(stripe.Close)
	s, err := stripesync.New(t.Context(), stripesync.Config{Pool: w.Pool, Account: "main", Key: "sk_test_1", BaseURL: stripe.URL, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ended := make(chan error, 1)
	go func() { ended <- s.Backfill(t.Context(), nil) }()
	<-reading
	pokes("a backfill is under way", 0)
	close(answer)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	pokes("it has ended", 1)
}
