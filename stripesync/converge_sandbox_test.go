package stripesync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
)

var soak = flag.Duration("soak", 0, "how long to live large lives; zero is a few small ones")

// A life is what a merchant's Stripe and the product over it go through.
type life struct {
	seed            int64
	customers, days int
	kills           int
	processes       int // side by side, over one database
	readers         int // of each backfill
	again           int // one step in so many reads the lists again; 0: none, so that nothing hides what the first sync missed
	shuffled        time.Duration
	delayed         time.Duration
	faults          float64 // share of requests that Stripe fails
	limited, hangs  float64 // shares of requests beside those; both cost machine time
}

// honest-mirror, nothing-lost, safe-webhooks: whatever Stripe does to requests
// and webhooks, and whenever processes are killed, in the end the mirror is what
// Stripe has, everybody is projected, and no event is missing or waits.
func TestConverge_sandbox(t *testing.T) {
	t.Parallel()
	for _, of := range []life{
		{seed: 1, customers: 60, days: 20, kills: 10, processes: 1, readers: 1, faults: 0.05, shuffled: 40 * time.Minute, delayed: time.Hour},
		{seed: 2, customers: 60, days: 20, kills: 10, processes: 1, readers: 4, again: 10, faults: 0.05, shuffled: 5 * time.Hour, delayed: 9 * time.Hour},
		{seed: 3, customers: 60, days: 20, kills: 10, processes: 2, readers: 3, faults: 0.15, shuffled: 40 * time.Minute, delayed: 70 * time.Hour},
	} {
		t.Run(fmt.Sprint("seed ", of.seed), func(t *testing.T) {
			t.Parallel()
			newLived(t, of).live()
		})
	}
}

// TestConverge_soak lives large lives for as long as it is told, which is not at
// all without -soak.
func TestConverge_soak(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(*soak)
	for seed := int64(100); time.Now().Before(end); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			newLived(t, life{
				seed: seed, customers: 500, days: 90, kills: 40, processes: 1 + int(seed%3), readers: 1 + int(seed*5%16), again: 15 * int(seed%2), faults: 0.05,
				shuffled: time.Duration(seed%7) * time.Hour, delayed: time.Duration(1+seed%50) * time.Hour, limited: 0.001, hangs: 0.0005,
			}).live()
		})
	}
}

// A lived life is one under way.
type lived struct {
	life
	t      *testing.T
	world  *sandbox.Sandbox
	stripe *httptest.Server
	door   *httptest.Server // where webhooks go
	url    string           // of the database
	pool   *pgxpool.Pool    // the test's own

	mu        sync.Mutex // guards what follows
	rand      *rand.Rand
	processes []*process
	answered  []string // events whose webhooks were answered 2xx

	moving  sync.Mutex  // the clock
	slow    sync.Mutex  // one answer at a time is held
	passing atomic.Bool // time, while requests are under way
	deaths  int
	broken  int // of catch-ups and backfills of the living: Stripe failed too often
}

func newLived(t *testing.T, of life) *lived {
	l := &lived{life: of, t: t, url: pgtest.URL(t), rand: rand.New(rand.NewPCG(uint64(of.seed), 7))}
	var err error
	l.world, err = sandbox.New(sandbox.Config{
		Seed: of.seed, Customers: of.customers,
		Life: sandbox.Life{Refunds: 0.2, Disputes: 0.1, Deletions: 0.15, CatalogChanges: 30 * time.Hour},
		Misbehaviour: sandbox.Misbehaviour{
			Seed: of.seed, Dropped: 0.2, Doubled: 0.2, Twins: 0.1, Delayed: 0.2, DelayedBy: of.delayed, Shuffled: of.shuffled,
			EventsLag: 5 * time.Second, RateLimited: of.limited, Hangs: of.hangs,
			LockTimeouts: of.faults / 5, Failures: of.faults / 5, Unavailable: of.faults / 5, Resets: of.faults / 5, Truncated: of.faults / 5,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.stripe = httptest.NewServer(http.HandlerFunc(l.serveStripe))
	t.Cleanup(l.stripe.Close)
	l.door = httptest.NewServer(http.HandlerFunc(l.serveHook))
	t.Cleanup(l.door.Close)
	if l.pool, err = pgxpool.New(t.Context(), l.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.pool.Close)
	for range of.processes {
		l.processes = append(l.processes, l.start())
	}
	return l
}

func (l *lived) start() *process {
	return startProcess(l.t, l.url, Config{
		Account: "main", Key: sandbox.StripeKey, BaseURL: l.stripe.URL, Secrets: []string{sandbox.WebhookSecret},
		Now: l.world.Now, Readers: l.readers,
	})
}

// serveStripe lets time pass now and then while a request is under way: an hour
// before it is looked at, or up to a day while the answer is on its way, and then
// what webhooks told meanwhile is applied first.
func (l *lived) serveStripe(w http.ResponseWriter, r *http.Request) {
	if l.passing.Load() && l.oneIn(40) {
		l.advance(time.Hour)
	}
	late := l.passing.Load() && l.oneIn(10) && l.slow.TryLock()
	if !late {
		l.world.Stripe().ServeHTTP(w, r)
		return
	}
	defer l.slow.Unlock()
	answer := &heldAnswer{ResponseWriter: w}
	l.world.Stripe().ServeHTTP(answer, r)
	l.advance(time.Duration(1+l.below(24)) * time.Hour)
	p := l.one()
	l.try(p, "Apply", applyAll(p))
	_, _ = answer.send()
}

// A heldAnswer is sent when it is told to.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) WriteHeader(status int)      { a.status = status }
func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *heldAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
func (a *heldAnswer) send() (n int, err error) {
	a.ResponseWriter.WriteHeader(cmp.Or(a.status, http.StatusOK))
	return a.ResponseWriter.Write(a.body.Bytes())
}

// serveHook hands a webhook to one of the processes, and remembers what it
// answers.
func (l *lived) serveHook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &heldAnswer{ResponseWriter: w}
	l.one().ServeHTTP(answer, r)
	if e, err := readEvent(body); err == nil && answer.status < 300 {
		l.mu.Lock()
		l.answered = append(l.answered, e.ID)
		l.mu.Unlock()
	}
	_, _ = answer.send()
}

// one is any of the processes.
func (l *lived) one() *process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.processes[l.rand.IntN(len(l.processes))]
}

func (l *lived) below(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rand.IntN(n)
}

func (l *lived) oneIn(n int) bool { return l.below(n) == 0 }

func (l *lived) advance(d time.Duration) sandbox.Happened {
	l.moving.Lock()
	defer l.moving.Unlock()
	happened, err := l.world.Advance(l.t.Context(), l.world.Now().Add(d))
	if err != nil && l.t.Context().Err() == nil {
		l.t.Error(err)
	}
	return happened
}

func (l *lived) live() {
	t := l.t
	end := l.world.Now().AddDate(0, 0, l.days)
	l.world.SendWebhooksTo(l.door.URL)

	// The first sync, killed several times; half of the times a page or so after it
	// was taken up again.
	l.passing.Store(true)
	for tries := 0; !l.ready(); tries++ {
		if t.Failed() || tries > 10*l.kills {
			t.Fatal("the first sync does not end")
		}
		if l.deaths < l.kills/2 {
			l.light(1 + l.below(40<<l.below(5)))
		}
		l.work(true, l.oneIn(2))
	}

	// The rest of the kills are spread over the days.
	for l.world.Now().Before(end) {
		l.advance(time.Duration(1+l.below(20)) * time.Hour)
		left := max(0, int(end.Sub(l.world.Now())/(12*time.Hour))) // steps, or so
		if l.deaths < l.kills && l.below(left+1) < l.kills-l.deaths {
			l.light(1 + l.below(30<<l.below(4)))
		}
		l.work(l.again > 0 && l.oneIn(l.again), l.oneIn(4))
	}
	for l.deaths < l.kills {
		l.light(1 + l.below(10))
		l.work(false, true)
	}
	l.passing.Store(false)
	l.calm()
	l.check()
	answers := l.world.StripeAnswers()
	t.Logf("%d deaths, %d catch-ups or backfills broken off by Stripe, answers %v", l.deaths, l.broken, answers.ByStatus)
}

// light condemns one process.
func (l *lived) light(writes int) {
	n, leaves := l.below(len(l.processes)), l.oneIn(2)
	l.processes[n].fuse.light(writes, leaves)
}

// work lets every process apply what is stored, with two workers, and perhaps
// read the lists and catch up, while webhooks arrive. Who died is replaced.
func (l *lived) work(backfill, catchUp bool) {
	l.lapse()
	var all sync.WaitGroup
	for _, p := range l.processes {
		for range 2 {
			all.Go(func() { l.try(p, "Apply", applyAll(p)) })
		}
		if catchUp {
			all.Go(func() { l.try(p, "CatchUp", func() error { return l.catchUp(p) }) })
		}
		if backfill {
			all.Go(func() { l.try(p, "Backfill", func() error { return l.backfill(p) }) })
		}
	}
	all.Go(func() { l.advance(time.Hour) })
	all.Wait()
	l.slow.Lock() // an answer may be held for who is dead
	defer l.slow.Unlock()
	l.checkAnswered()
	for n, p := range l.processes {
		if p.fuse.isBlown() {
			l.deaths++
			fresh := l.start()
			l.mu.Lock()
			l.processes[n] = fresh
			l.mu.Unlock()
		}
	}
}

// try calls what a process does. Only the dead may fail, and who asked a Stripe
// that failed too often.
func (l *lived) try(p *process, what string, do func() error) {
	err := do()
	if err == nil || p.fuse.isBlown() || l.t.Context().Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken++
	var said *pgconn.PgError
	if !l.t.Failed() && (what == "Apply" || errors.As(err, &said) || l.broken > 20) {
		l.t.Errorf("%s of a living process: %v", what, err)
	}
}

func applyAll(p *process) func() error {
	return func() error {
		for {
			if n, err := p.Apply(p.ctx); n == 0 || err != nil {
				return err
			}
		}
	}
}

func (l *lived) catchUp(p *process) error {
	caught, err := p.CatchUp(p.ctx)
	if err == nil && caught.Gap {
		return l.backfill(p)
	}
	return err
}

// backfill reads the lists. Now and then a page is the last thing the process
// does.
func (l *lived) backfill(p *process) error {
	err := p.Backfill(p.ctx, func(Progress) {
		if l.deaths < l.kills && l.oneIn(20) {
			p.fuse.blow()
		}
	})
	if errors.Is(err, ErrRunning) {
		return nil // in another process, or in one that Postgres has not noticed is dead
	}
	return err
}

// lapse lets every lease and backoff run out: they live in machine time. Nobody
// is at work.
func (l *lived) lapse() {
	l.exec(`update dunlin.stripe_events set leased_until = null where state = 'stored'`)
}

func (l *lived) exec(sql string, args ...any) {
	l.t.Helper()
	if _, err := l.pool.Exec(l.t.Context(), sql, args...); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lived) ready() bool {
	ready, err := l.processes[0].Ready(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return ready
}

// calm ends all misbehaviour, and lets a new process bring the mirror up to date
// as the product would: by what webhooks still bring, and by the list of events.
func (l *lived) calm() {
	t := l.t
	for _, p := range l.processes {
		p.fuse.blow()
	}
	p := l.start()
	l.mu.Lock()
	l.processes = []*process{p}
	l.mu.Unlock()
	if err := l.world.Misbehave(sandbox.Misbehaviour{}); err != nil {
		t.Fatal(err)
	}
	if happened := l.advance(0); cmp.Or(happened.Undelivered, happened.Held) > 0 {
		t.Fatalf("the last webhooks\n got %+v\nwant all delivered", happened)
	}
	l.await(syncSpace)
	l.await(feedSpace)
	for stored := int64(-1); stored != p.Counts().Stored; {
		stored = p.Counts().Stored
		if err := errors.Join(l.catchUp(p), l.applyRest(p)); err != nil {
			t.Fatal(err)
		}
	}
}

// await returns when no dead process has a lock of the account's any more.
func (l *lived) await(space int32) {
	account := int32(l.processes[0].account)
	l.exec(`with a as materialized (select pg_advisory_lock($1, $2)) select pg_advisory_unlock($1, $2) from a`, space, account)
}

func (l *lived) applyRest(p *process) error {
	l.lapse()
	return applyAll(p)()
}

// context of what the test itself asks.
func (l *lived) ctx() context.Context { return l.t.Context() }
