package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
)

const (
	pacedProcesses = 4
	pacedWorkers   = 8 // of each process
	pacedBatch     = 10
	pacedLatency   = 50 * time.Millisecond // of Intercom's answers
	pacedLimit     = 1667                  // calls in 10 seconds: Intercom's 10,000 a minute
	pacedContact   = "6762f23b1bb69f9f2193bc1a"

	childPaced = "DUNLIN_TEST_PACED" // how many messages a child sends
)

// BenchmarkPacing lets four processes send what is due, 20,000 messages unless
// BENCH_PACED says another number, and shows how much of each window of Intercom's
// they used: two minutes.
func BenchmarkPacing(b *testing.B) {
	calls, err := strconv.Atoi(strings.ReplaceAll(orDefault(os.Getenv("BENCH_PACED"), "20000"), "_", ""))
	if err != nil || calls < pacedProcesses {
		b.Fatalf("BENCH_PACED is %q; use a number of at least %d", os.Getenv("BENCH_PACED"), pacedProcesses)
	}
	for range b.N {
		got := sendTogether(b, pgtest.URL(b), calls)
		fmt.Printf("\n%s\n", got.table()) // b.Log shows ten lines
		b.ReportMetric(100*got.least(), "%least-used")
		b.ReportMetric(float64(got.refused), "429s")
		if got.refused > 0 || got.least() < 0.95 || got.accepted != calls {
			b.Errorf("%d of %d messages arrived, %d met a 429, at least %.1f %% of each window was used", got.accepted, calls, got.refused, 100*got.least())
		}
	}
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// pacedResult is what Intercom saw.
type pacedResult struct {
	resets   []int64         // of the windows in which there were calls, in order
	calls    map[int64]int   // in each, those that met a 429 left out
	last     map[int64]int64 // Unix milliseconds of the last of them
	refused  int
	accepted int
}

// least is the smallest share of a window that was used, without the first, which
// had begun before, and the last, for which nothing was left.
func (r pacedResult) least() float64 {
	least := 1.0
	for _, reset := range r.resets[min(1, len(r.resets)):max(1, len(r.resets)-1)] {
		least = min(least, float64(r.calls[reset])/pacedLimit)
	}
	return least
}

func (r pacedResult) table() string {
	var s strings.Builder
	fmt.Fprintf(&s, "| window | calls | used | last call before its end |\n|---|---|---|---|\n")
	for i, reset := range r.resets {
		fmt.Fprintf(&s, "| %d | %s | %.1f %% | %.1f s |\n", i+1, thousands(r.calls[reset]), 100*float64(r.calls[reset])/pacedLimit, float64(1000*reset-r.last[reset])/1000)
	}
	fmt.Fprintf(&s, "\n%s messages from %d processes, limit %s in 10 s; %d met a 429.", thousands(r.accepted), pacedProcesses, thousands(pacedLimit), r.refused)
	return s.String()
}

// sendTogether lets processes on one database send so many messages to a sandbox with
// Intercom's limit.
func sendTogether(tb testing.TB, url string, calls int) pacedResult {
	tb.Helper()
	server := sandbox.NewIntercom(time.Now, sandbox.IntercomToken)
	server.RateLimit = pacedLimit
	server.AddContact(sandbox.Contact{ID: pacedContact, Role: "user", Email: "bench@example.com"})
	seen := &pacedResult{calls: map[int64]int{}, last: map[int64]int64{}}
	at := httptest.NewServer(seen.watch(server))
	defer at.Close()

	var children sync.WaitGroup
	errs := make([]error, pacedProcesses)
	for i := range pacedProcesses {
		share := calls/pacedProcesses + min(1, max(0, calls%pacedProcesses-i))
		children.Go(func() {
			cmd := exec.CommandContext(tb.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childPaced+"="+strconv.Itoa(share), "DATABASE_URL="+url, "INTERCOM_API_BASE="+at.URL)
			if out, err := cmd.CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("process %d: %w\n%s", i+1, err, out)
			}
		})
	}
	children.Wait()
	if err := errors.Join(errs...); err != nil {
		tb.Fatal(err)
	}
	seen.accepted = len(server.Accepted())
	return *seen
}

// watch notes in which window each call was counted.
func (r *pacedResult) watch(next http.Handler) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, q)
		now := time.Now().UnixMilli()
		reset, _ := strconv.ParseInt(answer.Header().Get("X-RateLimit-Reset"), 10, 64)
		mu.Lock()
		if !slices.Contains(r.resets, reset) {
			r.resets = append(r.resets, reset)
		}
		if answer.Code == http.StatusTooManyRequests {
			r.refused++
		} else {
			r.calls[reset]++
			r.last[reset] = max(r.last[reset], now)
		}
		mu.Unlock()
		<-time.After(pacedLatency)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the client sees what is missing
	})
}

// pacedChild sends its messages as a worker does: a batch of permits, then the
// calls.
func pacedChild() int {
	err := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		due, err := strconv.Atoi(os.Getenv(childPaced))
		if err != nil {
			return err
		}
		pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
		if err != nil {
			return err
		}
		defer pool.Close()
		client, err := intercom.New(intercom.Config{BaseURL: os.Getenv("INTERCOM_API_BASE"), Token: sandbox.IntercomToken, Pool: pool})
		if err != nil {
			return err
		}
		var left atomic.Int64
		left.Store(int64(due))
		var workers sync.WaitGroup
		errs := make([]error, pacedWorkers)
		for i := range pacedWorkers {
			workers.Go(func() { errs[i] = sendPaced(ctx, client, &left) })
		}
		workers.Wait()
		return errors.Join(errs...)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return exitFailed
	}
	return exitDone
}

// sendPaced sends until nothing is left. What pacing holds back is due again.
func sendPaced(ctx context.Context, client *intercom.Client, left *atomic.Int64) error {
	for left.Load() > 0 {
		permits, err := client.Take(ctx, pacedBatch, false)
		if err != nil {
			return err
		}
		for ; permits > 0 && left.Add(-1) >= 0; permits-- {
			_, err := client.CreateMessage(ctx, intercom.Message{From: sandbox.IntercomAdmin, To: pacedContact, Role: "user", Body: "Hi"})
			if intercom.RateLimited(err) {
				left.Add(1)
			} else if err != nil {
				return err
			}
		}
		client.GiveBack(permits)
	}
	return nil
}
