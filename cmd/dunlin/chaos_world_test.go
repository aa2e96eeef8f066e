package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/internal/pgdev"
	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/jobs"
	"github.com/dunlin/dunlin/sandbox"
)

// chaosConfig says how bad it gets.
type chaosConfig struct {
	Seed                   int64
	Customers, Days, Kills int
	Crash                  bool   // Postgres is killed, too, half-way
	Calm                   bool   // neither Intercom nor Stripe's webhooks go wrong
	Broken                 string // what is broken in the workers; empty: nothing
}

// trouble is what goes wrong at Intercom, as shares of all requests.
var trouble = []struct {
	share float64
	fault sandbox.Fault
}{
	{0.10, sandbox.Fault{Kind: sandbox.FaultReset, Process: true}}, // accepted, then reset
	{0.05, sandbox.Fault{Kind: sandbox.FaultHang, Process: true}},  // timeouts
	{0.05, sandbox.Fault{Kind: sandbox.FaultHang}},
	{0.025, sandbox.Fault{Kind: sandbox.FaultStatus, Status: http.StatusInternalServerError, Process: true}},
	{0.025, sandbox.Fault{Kind: sandbox.FaultStatus, Status: http.StatusBadGateway, HTML: true}},
	{0.05, sandbox.Fault{Kind: sandbox.FaultStatus, Status: http.StatusTooManyRequests, RetryAfter: 1}},
}

const (
	// chaosWorkers is how many processes work at any time.
	chaosWorkers = 3

	// chaosLease is how long a lease lasts in chaos, where two minutes are too long
	// to wait after each kill: well above [chaosPatience]. Machine time.
	chaosLease = 3 * chaosPatience

	// chaosStuck is how long nothing may come of waiting: hundreds may be due at one
	// instant, and each 429 stops them all for a second. Machine time.
	chaosStuck = 2 * time.Minute
)

// A mayhem is a merchant's life in which nothing can be relied on.
type mayhem struct {
	*demo
	chaosConfig
	t       *testing.T
	url     string
	clock   string         // where workers read the time
	cluster *pgdev.Cluster // of its own; nil: the tests'
	amiss   atomic.Bool    // Intercom goes wrong
	workers []*worker
	kills   int
	crashed bool
	from    time.Time
	planned time.Time // the end, unless there are kills left then
}

// A worker is a process that works jobs.
type worker struct {
	cmd   *exec.Cmd
	stdin io.Closer
	said  bytes.Buffer
	over  chan struct{} // closed when it is gone
}

// newMayhem is a merchant of whom nobody was told anything yet, with the campaigns
// started and nobody at work.
func newMayhem(t *testing.T, c chaosConfig) *mayhem {
	t.Helper()
	ctx := t.Context()
	m := &mayhem{t: t, chaosConfig: c}
	if c.Crash {
		m.ownPostgres()
	} else {
		m.url = pgtest.URL(t)
	}
	// A Monday in the afternoon in Europe and in the morning in America: there is
	// somebody to write to.
	config := sandbox.Config{Seed: c.Seed, Customers: c.Customers, Start: time.Date(2026, 2, 16, 15, 0, 0, 0, time.UTC)}
	if !c.Calm {
		config.Misbehaviour = sandbox.Misbehaviour{Seed: c.Seed, Doubled: 0.2, Twins: 0.05, Shuffled: 40 * time.Minute}
	}
	world, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	twisted := world.Intercom().(*sandbox.Intercom)
	twisted.Faults, twisted.RateLimit, twisted.SearchLag, twisted.DoubleWebhooks = m.fault, -1, 5*time.Minute, true
	a, _, _ := quiet(false)
	m.demo, err = (demoCmd{Workers: 4}).wire(ctx, &demo{app: a, db: connected(t, m.url), world: world})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	clock := httptest.NewServer(serveClock(world.Now))
	t.Cleanup(clock.Close)
	m.clock = clock.URL
	startCampaigns(t, m.demo)
	m.from = world.Now()
	m.planned = m.from.AddDate(0, 0, c.Days)
	return m
}

// ownPostgres starts a server that can be killed without harm to other tests. Its
// files need not outlive the machine, but what is committed outlives the server.
func (m *mayhem) ownPostgres() {
	m.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "dunlin-chaos") // short: a socket's path is
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // the server may be another user's
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m.startPostgres(filepath.Join(dir, "pg"))
	m.url = m.cluster.URL("dunlin")
	conn, err := pgx.Connect(m.t.Context(), m.url)
	if err == nil {
		_, err = conn.Exec(m.t.Context(), `alter database dunlin set synchronous_commit = on`)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	if err := conn.Close(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mayhem) startPostgres(dir string) {
	m.t.Helper()
	cluster, err := pgdev.Start(m.t.Context(), pgdev.Config{Dir: dir, Throwaway: true})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := cluster.Stop(context.WithoutCancel(m.t.Context())); err != nil {
			m.t.Error(err)
		}
	})
	m.cluster = cluster
}

// crashPostgres kills the server with -9 in the middle of its work, and starts it
// again.
func (m *mayhem) crashPostgres() {
	m.t.Helper()
	m.crashed = true
	file := filepath.Join(m.cluster.Dir(), "data", "postmaster.pid")
	text, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid < 2 {
		m.t.Fatalf("%s names no process: %q", file, first)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	m.startPostgres(m.cluster.Dir())
}

// fault is the fate of a request to Intercom, by chance. None of those that set
// the stage goes wrong.
func (m *mayhem) fault(*http.Request) sandbox.Fault {
	if !m.amiss.Load() {
		return sandbox.Fault{}
	}
	x := rand.Float64() //nolint:gosec // chance, not secrets
	for _, f := range trouble {
		if x -= f.share; x < 0 {
			return f.fault
		}
	}
	return sandbox.Fault{}
}

// live lives until the planned end and until enough workers were killed, then goes
// on for a day in which nothing goes wrong any more.
func (m *mayhem) live() {
	m.t.Helper()
	defer m.endWorkers()
	m.amiss.Store(!m.Calm)
	for m.world.Now().Before(m.planned) || m.kills < m.Kills {
		if m.world.Now().After(m.planned.AddDate(0, 0, m.Days)) {
			m.t.Fatalf("kills\n got %d in twice the time\nwant %d", m.kills, m.Kills)
		}
		day := m.world.Now().YearDay()
		if m.step(); m.world.Now().YearDay() != day {
			m.t.Logf("seed %d: %s, %d of %d kills", m.Seed, m.world.Now().Format(time.DateOnly), m.kills, m.Kills)
		}
	}
	m.amiss.Store(false)
	for end := m.world.Now().AddDate(0, 0, 1); m.world.Now().Before(end); {
		m.step()
	}
}

// step lets virtual time jump to the next thing that happens, at most an hour,
// and waits until the tables hold nothing more to do.
func (m *mayhem) step() {
	m.t.Helper()
	now := m.world.Now()
	to := now.Truncate(time.Hour).Add(time.Hour)
	if next := m.world.Next(); next.After(now) && next.Before(to) {
		to = next
	}
	pending, err := jobs.ReadPending(m.t.Context(), m.db.Pool, now)
	if err != nil {
		m.t.Fatal(err)
	}
	if pending.NextDue != nil && pending.NextDue.Before(to) {
		to = *pending.NextDue
	}
	if _, err := m.world.Advance(m.t.Context(), to); err != nil {
		m.t.Fatal(err)
	}
	m.settled()
}

// settled waits until the tables hold nothing to do at this instant, and meanwhile
// kills. Virtual time stands still: whatever reaches somebody does so at the
// instant at which it was decided.
func (m *mayhem) settled() {
	m.t.Helper()
	now := m.world.Now()
	var swept time.Time
	came := m.ended()
	for since := time.Now(); ; {
		m.staff()
		pending, err := jobs.ReadPending(m.t.Context(), m.db.Pool, now)
		if err == nil && pending.None() && pending.Ticked != nil && !pending.Ticked.Before(now) {
			return
		}
		if time.Since(since) > chaosStuck {
			before := came
			if came = m.ended(); came == before {
				m.t.Fatalf("stuck at %s: %+v (%v)", now.Format(time.RFC3339), pending, err)
			}
			since = time.Now()
		}
		if err == nil && pending.Due+pending.Claimed+pending.Events > 0 {
			m.harm(now)
		}
		if err == nil && time.Since(swept) > 300*time.Millisecond {
			m.sweep(now, pending)
			swept = time.Now()
		}
		if err := sleep(m.t.Context(), 5*time.Millisecond); err != nil {
			m.t.Fatal(err)
		}
	}
}

// ended counts what has come to an end so far.
func (m *mayhem) ended() (n int64) {
	m.t.Helper()
	if err := m.db.QueryRow(m.t.Context(), `
		select (select count(*) from dunlin.stripe_events where state <> 'stored')
		     + (select count(*) from dunlin.deliveries where state not in ('planned', 'claimed'))
		     + (select count(*) from dunlin.enrollments where state <> 'active')`).Scan(&n); err != nil {
		m.t.Fatal(err)
	}
	return n
}

// harm kills a worker, if it is time for one more, and Postgres once.
func (m *mayhem) harm(now time.Time) {
	m.t.Helper()
	lived := float64(now.Sub(m.from)) / float64(m.planned.Sub(m.from))
	if m.Crash && !m.crashed && lived >= 0.5 {
		m.crashPostgres()
		return
	}
	if m.kills < m.due(lived) && rand.IntN(8) == 0 { //nolint:gosec // chance, not secrets
		_ = m.workers[rand.IntN(len(m.workers))].cmd.Process.Kill() //nolint:gosec // or it has just died by itself
	}
}

// due is how many kills there should have been by now.
func (m *mayhem) due(lived float64) int { return min(m.Kills, 1+int(lived*float64(m.Kills))) }

// sweep lets leases and pokes end that are older than [chaosLease] (where nobody
// is killed, and slow answers are no trouble, sooner), and pokes for
// a sweep, and for a tick unless this instant had one and nothing is new. It may
// fail: Postgres may be away.
func (m *mayhem) sweep(now time.Time, p jobs.Pending) {
	lease := chaosLease
	if m.Calm {
		lease = chaosPatience
	}
	_ = pgx.BeginFunc(m.t.Context(), m.db.Pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`update dunlin.deliveries set leased_until = clock_timestamp() - interval '1 second' where state = 'claimed' and leased_until < clock_timestamp() + interval '2 minutes' - $1::interval`,
			`update dunlin.deliveries set poked_until = null where state = 'planned' and poked_until < clock_timestamp() + interval '2 minutes' - $1::interval`,
			`update dunlin.stripe_events set leased_until = null where state = 'stored' and leased_until < clock_timestamp() + interval '2 minutes' - $1::interval`,
		} {
			if _, err := tx.Exec(m.t.Context(), sql, lease); err != nil {
				return err
			}
		}
		if p.Ticked == nil || p.Ticked.Before(now) || p.Changes+p.Lists > 0 {
			if err := m.product.poker.Tick(m.t.Context(), tx); err != nil {
				return err
			}
		}
		return m.product.poker.Sweep(m.t.Context(), tx)
	})
}

// staff buries the dead and sees to it that there are enough workers.
func (m *mayhem) staff() {
	m.t.Helper()
	var alive []*worker
	for _, w := range m.workers {
		select {
		case <-w.over:
			status, _ := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
			switch {
			case status.Signaled() && status.Signal() == syscall.SIGKILL:
				m.kills++
			case !m.crashed:
				m.t.Fatalf("a worker ended by itself: %s\n%s", w.cmd.ProcessState, w.said.String())
			}
		default:
			alive = append(alive, w)
		}
	}
	m.workers = alive
	for len(m.workers) < chaosWorkers {
		m.workers = append(m.workers, m.hire())
	}
}

// hire starts a worker. While there are kills left every other one has a failpoint.
func (m *mayhem) hire() *worker {
	m.t.Helper()
	failpoint := "none:1"
	if m.kills < m.Kills && rand.IntN(2) == 0 { //nolint:gosec // chance, not secrets
		failpoint = fmt.Sprintf("%s:%d", jobs.Failpoints[rand.IntN(len(jobs.Failpoints))], 1+rand.IntN(6)) //nolint:gosec // as above
	}
	w := &worker{cmd: exec.Command(os.Args[0]), over: make(chan struct{})}
	w.cmd.Env = append(os.Environ(),
		chaosClock+"="+m.clock, chaosBreak+"="+m.Broken, childFailpoint+"="+failpoint,
		"DATABASE_URL="+m.url, "DRY_RUN=",
		"STRIPE_API_KEY="+sandbox.StripeKey, "STRIPE_API_BASE="+m.product.Env.StripeBase,
		"INTERCOM_ACCESS_TOKEN="+sandbox.IntercomToken, "INTERCOM_API_BASE="+m.product.Env.IntercomBase,
	)
	w.cmd.Stdout, w.cmd.Stderr = &w.said, &w.said
	stdin, err := w.cmd.StdinPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	w.stdin = stdin
	go func() {
		_ = w.cmd.Wait() // how it ended is in the state
		close(w.over)
	}()
	return w
}

// endWorkers lets the workers finish what they do.
func (m *mayhem) endWorkers() {
	for _, w := range m.workers {
		_ = w.stdin.Close()
	}
	for _, w := range m.workers {
		select {
		case <-w.over:
		case <-time.After(20 * time.Second):
			_ = w.cmd.Process.Kill()
			<-w.over
		}
	}
}
