package intercom

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A counter is an Intercom that counts calls in ten-second windows, somehow.
type counter struct {
	begins time.Duration // of a window, after a whole ten seconds of its clock
	floats bool          // a window begins with its first call instead
	round  time.Duration // added to a window's end before it is cut to the second
	clock  time.Duration // by which its clock is ahead
	trip   time.Duration // of a request, and of an answer
	others time.Duration // somebody else calls so often; zero: never

	mu      sync.Mutex
	end     time.Time
	refused int   // calls of ours
	windows []int // calls counted in each
}

const counterLimit = 500

// call is one request and its answer.
func (c *counter) call() (http.Header, int) {
	<-time.After(c.trip)
	h, status := c.count()
	if status == http.StatusTooManyRequests {
		c.mu.Lock()
		c.refused++
		c.mu.Unlock()
	}
	<-time.After(c.trip)
	return h, status
}

func (c *counter) count() (http.Header, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().Add(c.clock)
	if !now.Before(c.end) {
		c.end = now.Truncate(span).Add(c.begins)
		for !c.end.After(now) {
			c.end = c.end.Add(span)
		}
		if c.floats {
			c.end = now.Add(span)
		}
		c.windows = append(c.windows, 0)
	}
	status := http.StatusOK
	last := len(c.windows) - 1
	if c.windows[last] < counterLimit {
		c.windows[last]++
	} else {
		status = http.StatusTooManyRequests
	}
	h := http.Header{}
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("X-RateLimit-Limit", fmt.Sprint(counterLimit))
	h.Set("X-RateLimit-Remaining", fmt.Sprint(counterLimit-c.windows[last]))
	h.Set("X-RateLimit-Reset", fmt.Sprint(c.end.Add(c.round).Unix()))
	return h, status
}

// Whatever Intercom's windows are like, four processes that send for a minute use
// them up and meet no 429: two call by call, two in batches that are claimed
// first.
func TestPacing_WindowsOfAllKinds(t *testing.T) {
	t.Parallel()
	kinds := map[string]*counter{
		"as documented":            {},
		"at odd times":             {begins: 3370 * time.Millisecond},
		"at odd times, rounded":    {begins: 3370 * time.Millisecond, round: 500 * time.Millisecond},
		"at odd times, rounded up": {begins: 3370 * time.Millisecond, round: 999 * time.Millisecond},
		"from the first call":      {floats: true},
		"another clock":            {clock: 3*time.Hour + 700*time.Millisecond},
		"a clock behind":           {clock: -17 * time.Minute, begins: 200 * time.Millisecond},
		"slow":                     {trip: 400 * time.Millisecond},
		"others call, too":         {others: 200 * time.Millisecond},
	}
	for name, server := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if server.trip == 0 {
					server.trip = 40 * time.Millisecond
				}
				<-time.After(1234 * time.Millisecond) // windows are under way
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				server.sendAll(ctx)
				if server.refused > 0 {
					t.Errorf("%d calls met a 429", server.refused)
				}
				for _, n := range server.windows[1 : len(server.windows)-1] {
					if n < counterLimit*95/100 {
						t.Errorf("windows used %v of %d", server.windows, counterLimit)
					}
				}
			})
		})
	}
}

// sendAll lets everybody call until ctx ends.
func (c *counter) sendAll(ctx context.Context) {
	ledger := new(private)
	var workers sync.WaitGroup
	defer workers.Wait()
	if c.others > 0 {
		workers.Go(func() {
			for ctx.Err() == nil {
				<-time.After(c.others)
				c.count()
			}
		})
	}
	for i := range 4 {
		p := newPacer(ledger)
		send := func() {
			sent := time.Now()
			h, status := c.call()
			p.observe(ctx, h, status, sent)
		}
		single := func() {
			for p.admit(ctx, false) == nil {
				send()
			}
		}
		batches := func() {
			for {
				n, err := p.take(ctx, 10, false)
				if err != nil {
					return
				}
				<-time.After(150 * time.Millisecond) // claims
				for range n {
					if p.use() || p.admit(ctx, true) == nil {
						send()
					}
				}
			}
		}
		for range 40 {
			if i < 2 {
				workers.Go(single)
			} else {
				workers.Go(batches)
			}
		}
	}
}
