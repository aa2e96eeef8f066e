package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// What a worker in chaos is told, beside what the program itself reads, and
// [childFailpoint].
const (
	chaosClock = "DUNLIN_TEST_CLOCK" // address of the sandbox's clock
	chaosBreak = "DUNLIN_TEST_BREAK" // what is broken in it; empty: nothing
)

// The ways in which a worker is broken. They sit between its client and the
// network: the product itself has none of them.
const (
	sendsTwice  = "no claim"           // each message goes out as if two workers had it
	sendsLate   = "no second decision" // what was decided about a card or a payment goes out two days later
	dropsSome   = "one in a hundred"   // recorded as sent, and never sent
	resendsBlur = "unknown retried"    // no answer: once more
)

// chaosPatience is how long a worker in chaos waits for an answer of Intercom. Machine
// time.
const chaosPatience = 500 * time.Millisecond

// chaosChild works jobs as dunlin work does until somebody kills it, or its
// standard input ends.
func chaosChild() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := func() error {
		env, err := readEnvironment(os.Environ())
		if err != nil {
			return err
		}
		cfg, err := pgxpool.ParseConfig(env.DatabaseURL)
		if err != nil {
			return err
		}
		cfg.MaxConns = 10
		cfg.ConnConfig.RuntimeParams["application_name"] = childApplication
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return err
		}
		defer pool.Close()
		clock := &farClock{url: os.Getenv(chaosClock)}
		broken, deliverers := os.Getenv(chaosBreak), 50
		if broken == sendsLate {
			deliverers = 100 // who holds a message back does nothing else
		}
		name, nth, _ := strings.Cut(os.Getenv(childFailpoint), ":")
		var passed atomic.Int64
		p, err := wire(ctx, wiring{
			Pool: pool, Logger: slog.New(slog.DiscardHandler), Now: clock.Now, Env: env,
			Deliverers: deliverers, TickGap: -1, TickEvery: -1, SweepEvery: -1, FeedEvery: -1, PollEvery: 50 * time.Millisecond,
			IntercomHTTP: chaosHTTP(broken, clock.Now),
			Failpoint: func(passing string) {
				if passing == name && strconv.FormatInt(passed.Add(1), 10) == nth {
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
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it, or is gone
		return p.stopJobs(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return exitFailed
	}
	return exitDone
}

// A farClock is the sandbox's clock, read over HTTP.
type farClock struct {
	url  string
	last atomic.Int64
}

// Now is the virtual instant; the last one known when nobody answers.
func (c *farClock) Now() time.Time {
	if resp, err := http.Get(c.url); err == nil {
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if nanos, perr := strconv.ParseInt(string(text), 10, 64); err == nil && perr == nil {
			c.last.Store(nanos)
		}
	}
	return time.Unix(0, c.last.Load()).UTC()
}

// serveClock answers a farClock.
func serveClock(now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, now().UnixNano())
	})
}

// chaosHTTP is an impatient client, broken or not.
func chaosHTTP(broken string, now func() time.Time) *http.Client {
	whole := http.DefaultTransport.(*http.Transport).Clone()
	whole.ForceAttemptHTTP2 = false
	if broken == "" {
		return &http.Client{Transport: whole, Timeout: chaosPatience}
	}
	return &http.Client{Transport: &brokenTransport{whole, broken, now, atomic.Int64{}}}
}

type brokenTransport struct {
	whole  http.RoundTripper
	broken string
	now    func() time.Time
	posts  atomic.Int64
}

// RoundTrip does to messages what is broken, and leaves the rest alone.
func (b *brokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/messages" {
		return b.whole.RoundTrip(r)
	}
	post := b.posts.Add(1)
	switch b.broken {
	case sendsTwice:
		resp, err := b.again(r)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
	case resendsBlur:
		if resp, err := b.again(r); err == nil && resp.StatusCode < http.StatusInternalServerError {
			return resp, nil
		} else if err == nil {
			resp.Body.Close()
		}
	case dropsSome:
		if post%100 == 5 {
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
				Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"type":"user_message","id":"never-%d-%d"}`, os.Getpid(), post))),
			}, nil
		}
	case sendsLate:
		if mentions(r, "two months less") { // of offers the judge does not say that they come too late
			break
		}
		r = r.WithContext(context.WithoutCancel(r.Context())) // however long two days take on this machine
		for decided := b.now(); b.now().Before(decided.AddDate(0, 0, 2)); {
			if err := sleep(r.Context(), 100*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	return b.whole.RoundTrip(r)
}

// mentions says whether a request's body has these words.
func mentions(r *http.Request, words string) bool {
	body, err := r.GetBody()
	if err != nil {
		return false
	}
	text, err := io.ReadAll(body)
	return err == nil && strings.Contains(string(text), words)
}

// again makes the request and leaves it to be made once more.
func (b *brokenTransport) again(r *http.Request) (*http.Response, error) {
	copied := r.Clone(r.Context())
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	copied.Body = body
	return b.whole.RoundTrip(copied)
}
