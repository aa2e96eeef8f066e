package intercom

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// limits are the headers of an answer made now, on a server whose clock is off
// by skew.
func limits(limit, left int, reset time.Time, skew time.Duration) http.Header {
	h := http.Header{}
	h.Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
	h.Set("X-RateLimit-Limit", fmt.Sprint(limit))
	h.Set("X-RateLimit-Remaining", fmt.Sprint(left))
	h.Set("X-RateLimit-Reset", fmt.Sprint(reset.Add(skew).Unix()))
	return h
}

// took returns how long n calls wait.
func took(t *testing.T, p *pacer, n int) time.Duration {
	t.Helper()
	start := time.Now()
	for range n {
		if err := p.admit(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(start)
}

func TestPacer(t *testing.T) {
	t.Parallel()
	observe := func(t *testing.T, p *pacer, h http.Header, status int) {
		p.observe(t.Context(), h, status, time.Now())
	}
	tests := []struct {
		name string
		run  func(t *testing.T, p *pacer)
	}{
		{"starts carefully", func(t *testing.T, p *pacer) {
			if d := took(t, p, 16); d != 0 {
				t.Errorf("sixteen calls waited %s", d)
			}
			if d := took(t, p, 1); d != time.Second {
				t.Errorf("the seventeenth waited %s, want 1s", d)
			}
			observe(t, p, http.Header{}, 200)
			if d := took(t, p, 1000); d != 0 {
				t.Errorf("after an answer a thousand waited %s", d)
			}
		}},
		{"spends what is left, then waits for the window", func(t *testing.T, p *pacer) {
			observe(t, p, limits(5, 3, time.Now().Add(7*time.Second), 0), 200)
			if d := took(t, p, 3); d != 0 {
				t.Errorf("three calls waited %s", d)
			}
			if d := took(t, p, 1); d != 7*time.Second+slack {
				t.Errorf("the fourth waited %s, want 7.05s", d)
			}
			observe(t, p, limits(5, 4, time.Now().Add(10*time.Second), 0), 200)
			if d := took(t, p, 4); d != 0 {
				t.Errorf("the rest of the next window waited %s", d)
			}
		}},
		{"an answer that tells of the next window ends the wait", func(t *testing.T, p *pacer) {
			observe(t, p, limits(5, 0, time.Now().Add(7*time.Second), 0), 200)
			time.AfterFunc(5*time.Second, func() { observe(t, p, limits(5, 4, time.Now().Add(10*time.Second), 0), 200) })
			if d := took(t, p, 4); d != 5*time.Second {
				t.Errorf("waited %s, want 5s", d)
			}
		}},
		{"uses the difference when clocks disagree", func(t *testing.T, p *pacer) {
			observe(t, p, limits(5, 0, time.Now().Add(4*time.Second), 3*time.Hour), 200)
			if d := took(t, p, 1); d != 4*time.Second+slack {
				t.Errorf("waited %s, want 4.05s", d)
			}
		}},
		{"a 429 stops all calls until the window ends", func(t *testing.T, p *pacer) {
			observe(t, p, limits(5, 0, time.Now().Add(6*time.Second), 0), 429)
			if until := p.shut(); !until.Equal(time.Now().Add(6 * time.Second)) {
				t.Errorf("closed until %s", until)
			}
			if d := took(t, p, 1); d != 6*time.Second+slack {
				t.Errorf("waited %s, want 6.05s", d)
			}
			if !p.shut().IsZero() {
				t.Error("still closed")
			}
		}},
		{"a permit that was taken does not survive a window", func(t *testing.T, p *pacer) {
			observe(t, p, limits(100, 100, time.Now().Add(6*time.Second), 0), 200)
			if n, err := p.take(t.Context(), 3, false); n != 3 || err != nil {
				t.Fatalf("took %d, %v", n, err)
			}
			if !p.use() {
				t.Error("no permit right after taking three")
			}
			<-time.After(6 * time.Second)
			if p.use() {
				t.Error("a permit of the window before")
			}
		}},
		{"who waits for something urgent goes first", func(t *testing.T, p *pacer) {
			observe(t, p, limits(100, 0, time.Now().Add(time.Second), 0), 200)
			order := make(chan string, 4)
			for _, who := range []string{"first", "second", "urgent"} {
				go func() {
					if err := p.admit(t.Context(), who == "urgent"); err != nil {
						t.Error(err)
					}
					order <- who
				}()
				synctest.Wait()
			}
			<-time.After(time.Second + slack) // one scout
			synctest.Wait()
			observe(t, p, limits(100, 99, time.Now().Add(10*time.Second), 0), 200)
			if got := []string{<-order, <-order, <-order}; got[0] != "urgent" {
				t.Errorf("order %v", got)
			}
		}},
		{"urgent calls leave when the rest is used up", func(t *testing.T, p *pacer) {
			observe(t, p, limits(100, 3, time.Now().Add(7*time.Second), 0), 200)
			done := make(chan time.Duration)
			go func() { done <- took(t, p, 1) }()
			synctest.Wait()
			start := time.Now()
			if err := p.admit(t.Context(), true); err != nil || time.Since(start) != 0 {
				t.Errorf("the urgent call waited %s, %v", time.Since(start), err)
			}
			if d := <-done; d != 7*time.Second+slack {
				t.Errorf("the ordinary call waited %s", d)
			}
		}},
		{"permits that go back are somebody else's", func(t *testing.T, p *pacer) {
			observe(t, p, limits(10, 3, time.Now().Add(7*time.Second), 0), 200)
			for range 3 {
				if n, err := p.take(t.Context(), 1, false); n != 1 || err != nil {
					t.Fatalf("took %d, %v", n, err)
				}
			}
			time.AfterFunc(time.Second, func() { p.giveBack(1) })
			if d := took(t, p, 1); d != time.Second {
				t.Errorf("waited %s, want 1s", d)
			}
			p.giveBack(50) // but no more than were taken
			if d := took(t, p, 2); d != 0 {
				t.Errorf("waited %s", d)
			}
			if d := took(t, p, 1); d != 6*time.Second+slack {
				t.Errorf("waited %s, want 6.05s", d)
			}
		}},
		{"permits that nobody takes go back to the ledger", func(t *testing.T, p *pacer) {
			observe(t, p, limits(100, 100, time.Now().Add(9*time.Second), 0), 200)
			n, err := p.take(t.Context(), 12, false)
			if n != 12 || err != nil {
				t.Fatalf("took %d, %v", n, err)
			}
			p.giveBack(12)
			<-time.After(2 * time.Second)
			p.closedUntil(t.Context())
			if used := p.ledger.(*private).w.used; used != 0 {
				t.Errorf("%d permits are out", used)
			}
		}},
		{"waiting ends with the context", func(t *testing.T, p *pacer) {
			observe(t, p, http.Header{}, 429)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := p.admit(ctx, false); err == nil || time.Since(start) != time.Second {
				t.Errorf("got %v after %s", err, time.Since(start))
			}
			synctest.Wait()
			if p.fetching {
				t.Error("fetches for nobody")
			}
		}},
		{"a ledger that cannot be reached is said so", func(t *testing.T, p *pacer) {
			p.ledger = new(lost)
			if err := p.admit(t.Context(), false); !errors.Is(err, errLost) {
				t.Errorf("got %v", err)
			}
		}},
		{"a ledger that cannot be reached does not hold up calls", func(t *testing.T, p *pacer) {
			ledger := &lost{takes: maxLook}
			p.ledger = ledger
			start := time.Now()
			var calls sync.WaitGroup
			for range 50 {
				calls.Go(func() { p.closedUntil(t.Context()) })
			}
			calls.Wait()
			p.closedUntil(t.Context())
			if d := time.Since(start); d != maxLook || ledger.visits != 1 {
				t.Errorf("held up for %s by %d visits", d, ledger.visits)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { tt.run(t, newPacer(new(private))) })
		})
	}
}

// lost is a ledger that nobody finds.
type lost struct {
	takes  time.Duration
	visits int
}

var errLost = errors.New("no ledger")

func (l *lost) change(context.Context, func(*window, time.Time, time.Time)) error {
	l.visits++
	<-time.After(l.takes)
	return errLost
}

// stub is a client whose Intercom answers the n-th request, from 1, with a status and headers.
func stub(t *testing.T, answer func(n int) (int, http.Header)) (c *Client, asked *int) {
	asked = new(int)
	return newTestClient(t, "https://api.intercom.io", func(cfg *Config) {
		cfg.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			*asked++
			status, h := answer(*asked)
			return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: r}, nil
		})}
	}), asked
}

// After a 429 of one call, a message does not leave: it is not sent, at once.
// Reads wait and then succeed.
func TestClient_StopsAfter429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, asked := stub(t, func(n int) (int, http.Header) {
			if n == 1 {
				return 429, limits(5, 0, time.Now().Add(8*time.Second), 0)
			}
			return 200, http.Header{}
		})
		start := time.Now()
		err := sendMessage(t.Context(), c)
		if classes(err) != "refused" || !RateLimited(err) {
			t.Errorf("a 429: %v", err)
		}
		err = sendMessage(t.Context(), c)
		if classes(err) != "not sent" || !RateLimited(err) || *asked != 1 {
			t.Errorf("a message after a 429: %v, %d requests", err, *asked)
		}
		err = c.TagContact(WithPermit(t.Context()), "c0", "1")
		if classes(err) != "not sent" || !RateLimited(err) || *asked != 1 {
			t.Errorf("a tag of a claim after a 429: %v, %d requests", err, *asked)
		}
		if time.Since(start) != 0 {
			t.Errorf("messages waited %s", time.Since(start))
		}
		if err := c.TagContact(t.Context(), "c0", "1"); err != nil || time.Since(start) != 8*time.Second+slack {
			t.Errorf("a tag after a 429: %v after %s", err, time.Since(start))
		}
	})
}

// A tag of a claim that meets a 429 tells its claim, instead of waiting under it.
func TestClient_WithPermitDoesNotWaitFor429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, asked := stub(t, func(int) (int, http.Header) { return 429, limits(5, 0, time.Now().Add(8*time.Second), 0) })
		start := time.Now()
		err := c.TagContact(WithPermit(t.Context()), "c0", "1")
		if classes(err) != "refused" || !RateLimited(err) || *asked != 1 || time.Since(start) != 0 {
			t.Errorf("%v after %d requests and %s", err, *asked, time.Since(start))
		}
	})
}

// Calls spend the permits that were taken for them, once.
func TestClient_SpendsPermits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(10 * time.Second)
		c, _ := stub(t, func(int) (int, http.Header) { return 200, http.Header{} })
		c.pacer.observe(t.Context(), limits(100, 100, end, 0), 200, time.Now())
		used := func() int { return c.pacer.ledger.(*private).w.used }
		if n, err := c.Take(t.Context(), 3, false); n != 3 || err != nil {
			t.Fatalf("took %d, %v", n, err)
		}
		var got []int
		ctx := WithPermit(t.Context())
		for range 2 { // the second has its own
			if err := c.TagContact(ctx, "c0", "1"); err != nil {
				t.Fatal(err)
			}
			got = append(got, used(), c.pacer.handed)
		}
		_ = sendMessage(t.Context(), c) // answered by nothing, but that is not the point
		got = append(got, used(), c.pacer.handed)
		c.GiveBack(1)
		got = append(got, used(), c.pacer.handed)
		if diff := cmp.Diff([]int{3, 2, 4, 2, 4, 1, 4, 0}, got); diff != "" {
			t.Errorf("leased and taken, after each step (-want +got)\n%s", diff)
		}
	})
}

// A message whose permit ran out gets another one while that is quick.
func TestClient_RenewsPermits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, asked := stub(t, func(int) (int, http.Header) { return 403, http.Header{} })
		c.pacer.observe(t.Context(), limits(100, 100, time.Now().Add(time.Second), 0), 200, time.Now())
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(950 * time.Millisecond)
		start := time.Now()
		if err := sendMessage(t.Context(), c); classes(err) != "refused" || time.Since(start) != 100*time.Millisecond {
			t.Errorf("at the window's end: %v after %s", err, time.Since(start))
		}
		c.pacer.observe(t.Context(), limits(100, 0, time.Now().Add(9*time.Second), 0), 200, time.Now())
		start = time.Now()
		err := sendMessage(t.Context(), c)
		if classes(err) != "not sent" || !RateLimited(err) || time.Since(start) != patience || *asked != 1 {
			t.Errorf("with nothing left: %v after %s, %d requests", err, time.Since(start), *asked)
		}
	})
}
