package intercom

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// process is a client with a pool of its own, as another process has.
func process(t *testing.T, url, base string) *Client {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	c, err := New(Config{BaseURL: base, Token: testToken, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A limiter is an Intercom that counts calls in windows, which begin with whole
// multiples of their length, and answers nothing else.
type limiter struct {
	limit  int
	length int64 // seconds

	mu      sync.Mutex
	window  int64 // number of the one being counted
	counted map[int64]int
	refused int
}

func (l *limiter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	if window := time.Now().Unix() / l.length; window != l.window {
		l.window = window
	}
	status := http.StatusTooManyRequests
	if l.counted[l.window] < l.limit {
		l.counted[l.window]++
		status = http.StatusOK
	} else {
		l.refused++
	}
	w.Header().Set("X-RateLimit-Limit", fmt.Sprint(l.limit))
	w.Header().Set("X-RateLimit-Remaining", fmt.Sprint(l.limit-l.counted[l.window]))
	w.Header().Set("X-RateLimit-Reset", fmt.Sprint((l.window+1)*l.length))
	l.mu.Unlock()
	answer(w, status, `{"id":"1"}`)
}

// windows is how many have seen a call.
func (l *limiter) windows() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.counted)
}

// Four processes use up what Intercom allows, and not more. The first window they
// meet has begun without them, and the last one is broken off.
func TestPacing_FourProcesses(t *testing.T) {
	t.Parallel()
	server := &limiter{limit: 200, length: 3, counted: map[int64]int{}}
	base, url := serve(t, server.ServeHTTP), pgtest.URL(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var workers sync.WaitGroup
	for range 4 {
		c := process(t, url, base)
		for range 4 {
			workers.Go(func() {
				for ctx.Err() == nil && server.windows() < 4 {
					if _, err := c.Me(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
				cancel() // for who still waits
			})
		}
	}
	workers.Wait()
	server.mu.Lock() // what was broken off may still be answered
	defer server.mu.Unlock()
	if server.refused != 0 {
		t.Errorf("%d calls met a 429", server.refused)
	}
	for window := server.window - 2; window < server.window; window++ {
		if got := server.counted[window]; got < 190 || got > 200 {
			t.Errorf("a window\n got %d calls\nwant 190 to 200", got)
		}
	}
}

// A 429 to one process stops the others: none of them waited for the ledger to
// tell of it.
func TestPacing_429StopsAll(t *testing.T) {
	t.Parallel()
	var refuse sync.Once
	reset := time.Now().Add(20 * time.Second)
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		refuse.Do(func() { status = http.StatusTooManyRequests })
		for name, values := range limits(1000, 900, reset, 0) {
			if name != "Date" {
				w.Header()[name] = values
			}
		}
		answer(w, status, `{"id":"1"}`)
	})
	url := pgtest.URL(t)
	first, second := process(t, url, base), process(t, url, base)
	if n, err := second.Take(t.Context(), 2, false); n == 0 || err != nil {
		t.Fatalf("took %d, %v", n, err)
	}
	if err := sendMessage(t.Context(), first); classes(err) != "refused" || !RateLimited(err) {
		t.Fatalf("a 429: %v", err)
	}
	second.pacer.looked = time.Time{} // a quarter of a second later
	err := sendMessage(t.Context(), second)
	if classes(err) != "not sent" || !RateLimited(err) {
		t.Errorf("a permit in the hand of another process: %v", err)
	}
	third := process(t, url, base)
	if pause, err := third.pacer.lease(1, 1); err != nil || pause < time.Second || third.pacer.stock != 0 {
		t.Errorf("a third process has %d permits and waits %s, %v", third.pacer.stock, pause, err)
	}
}

// leaseAll leases until there is nothing left, and returns how many it got.
func leaseAll(t *testing.T, p *pacer) int {
	t.Helper()
	before := p.stock
	for {
		pause, err := p.lease(0, 20)
		if err != nil {
			t.Error(err)
		}
		if pause > 0 || err != nil {
			return p.stock - before
		}
	}
}

// Permits of a process that died are back with the next window.
func TestPacing_CrashedProcess(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ledger := shared{pool, "app"}
	crashed, other := newPacer(ledger), newPacer(ledger)
	reset := time.Now().Add(20 * time.Second)
	crashed.observe(t.Context(), limits(100, 100, reset, 0), 200, time.Now())
	if n := leaseAll(t, crashed); n != 96 {
		t.Errorf("leased %d of 100, want 96", n)
	}
	if n := leaseAll(t, other); n != 0 {
		t.Errorf("another process leased %d of none", n)
	}
	_, err := pool.Exec(t.Context(), `update dunlin.intercom_windows set ends_at = clock_timestamp() - interval '1 second', revision = revision + 1`)
	if err != nil {
		t.Fatal(err)
	}
	other.observe(t.Context(), limits(100, 100, reset.Add(10*time.Second), 0), 200, time.Now())
	if n := leaseAll(t, other); n != 96 {
		t.Errorf("leased %d in the next window, want 96", n)
	}
}

// Processes that lease at the same time lease no more than there is.
func TestPacing_LeasesAddUp(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var mu sync.Mutex
	var all sync.WaitGroup
	sum := 0
	for i := range 6 {
		pool, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		p := newPacer(shared{pool, "app"})
		if i == 0 {
			p.observe(t.Context(), limits(500, 500, time.Now().Add(20*time.Second), 0), 200, time.Now())
		}
		all.Go(func() {
			n := leaseAll(t, p)
			mu.Lock()
			defer mu.Unlock()
			sum += n
		})
	}
	all.Wait()
	if sum != 480 {
		t.Errorf("leased %d of 500, want 480", sum)
	}
}

// Another token is another app, and what one learns says nothing of the other.
func TestPacing_AppsAreApart(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, app := range []string{"one", "two"} {
		newPacer(shared{pool, app}).observe(t.Context(), limits(len(app)*50, 0, time.Now().Add(5*time.Second), 0), 200, time.Now())
	}
	if err := newPacer(shared{pool, "three"}).admit(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(t.Context(), `select app || ' ' || known || ' ' || used from dunlin.intercom_windows order by app`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if diff := cmp.Diff([]string{"one true 150", "three false 1", "two true 150"}, got); diff != "" {
		t.Errorf("windows (-want +got)\n%s", diff)
	}
}

// skewed is a ledger whose clock is off.
type skewed struct {
	*private
	by time.Duration
}

func (s skewed) change(ctx context.Context, f func(w *window, now, local time.Time)) error {
	return s.private.change(ctx, func(w *window, now, local time.Time) { f(w, now.Add(s.by).Round(0), local) })
}

// The ledger's clock, Intercom's and this process's may differ: what counts are
// spans.
func TestPacing_ClocksMayDiffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(skewed{new(private), 90 * time.Minute})
		if d := took(t, p, 1); d != 0 {
			t.Errorf("the first call waited %s", d)
		}
		p.observe(t.Context(), limits(50, 49, time.Now().Add(5*time.Second), -2*time.Hour), 200, time.Now())
		if want := time.Now().Add(5*time.Second - travel); !p.until.Equal(want) {
			t.Errorf("permits are good until\n got %s\nwant %s", p.until, want)
		}
		p.observe(t.Context(), limits(50, 0, time.Now().Add(5*time.Second), -2*time.Hour), 429, time.Now())
		if d := took(t, p, 1); d != 5*time.Second+slack {
			t.Errorf("after a 429 the next waited %s, want 5.05s", d)
		}
	})
}
