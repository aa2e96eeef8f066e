package intercom

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

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

// took returns how long n calls of Wait last.
func took(t *testing.T, p *Pacer, n int) time.Duration {
	t.Helper()
	start := time.Now()
	for range n {
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(start)
}

func TestPacer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		run  func(t *testing.T, p *Pacer)
	}{
		{"knows no limits at first", func(t *testing.T, p *Pacer) {
			if d := took(t, p, 1000); d != 0 {
				t.Errorf("waited %s", d)
			}
		}},
		{"spends what is left, then waits for the window", func(t *testing.T, p *Pacer) {
			p.Observe(limits(5, 3, time.Now().Add(7*time.Second), 0), 200)
			if d := took(t, p, 3); d != 0 {
				t.Errorf("three calls waited %s", d)
			}
			if d := took(t, p, 1); d != 7*time.Second {
				t.Errorf("the fourth waited %s, want 7s", d)
			}
			if d := took(t, p, 4); d != 0 {
				t.Errorf("the rest of the next window waited %s", d)
			}
			if d := took(t, p, 1); d != 10*time.Second {
				t.Errorf("the window after it came after %s, want 10s", d)
			}
		}},
		{"uses the difference when clocks disagree", func(t *testing.T, p *Pacer) {
			p.Observe(limits(5, 0, time.Now().Add(4*time.Second), 3*time.Hour), 200)
			if d := took(t, p, 1); d != 4*time.Second {
				t.Errorf("waited %s, want 4s", d)
			}
		}},
		{"a 429 stops all calls until the window ends", func(t *testing.T, p *Pacer) {
			p.Observe(limits(5, 0, time.Now().Add(6*time.Second), 0), 429)
			if until := p.Closed(); !until.Equal(time.Now().Add(6 * time.Second)) {
				t.Errorf("closed until %s", until)
			}
			if d := took(t, p, 1); d != 6*time.Second {
				t.Errorf("waited %s, want 6s", d)
			}
			if !p.Closed().IsZero() {
				t.Error("still closed")
			}
		}},
		{"a 429 without headers stops for one window", func(t *testing.T, p *Pacer) {
			p.Observe(http.Header{}, 429)
			if d := took(t, p, 1); d != 10*time.Second {
				t.Errorf("waited %s, want 10s", d)
			}
		}},
		{"a 429 with Retry-After is believed", func(t *testing.T, p *Pacer) {
			p.Observe(http.Header{"Retry-After": {"3"}}, 429)
			if d := took(t, p, 1); d != 3*time.Second {
				t.Errorf("waited %s, want 3s", d)
			}
		}},
		{"a 429 stops for a minute at most", func(t *testing.T, p *Pacer) {
			p.Observe(limits(5, 0, time.Now().Add(time.Hour), 0), 429)
			if until := p.Closed(); !until.Equal(time.Now().Add(time.Minute)) {
				t.Errorf("closed until %s", until)
			}
		}},
		{"late answers of a window that is over teach nothing", func(t *testing.T, p *Pacer) {
			p.Observe(limits(5, 5, time.Now().Add(10*time.Second), 0), 200)
			p.Observe(limits(5, 0, time.Now().Add(-time.Second), 0), 200)
			p.Observe(limits(5, 0, time.Now().Add(time.Second), 0), 200)
			if d := took(t, p, 5); d != 0 {
				t.Errorf("waited %s", d)
			}
		}},
		{"what other processes spend is spent", func(t *testing.T, p *Pacer) {
			reset := time.Now().Add(10 * time.Second)
			p.Observe(limits(100, 90, reset, 0), 200)
			p.Observe(limits(100, 2, reset, 0), 200)
			p.Observe(limits(100, 50, reset, 0), 200) // overtaken on its way
			if d := took(t, p, 2); d != 0 {
				t.Errorf("two calls waited %s", d)
			}
			if d := took(t, p, 1); d != 10*time.Second {
				t.Errorf("the third waited %s, want 10s", d)
			}
		}},
		{"nonsense teaches nothing", func(t *testing.T, p *Pacer) {
			for _, h := range []http.Header{
				{}, {"X-Ratelimit-Limit": {"-5"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"soon"}},
				{"X-Ratelimit-Remaining": {"many"}, "X-Ratelimit-Reset": {"99999999999"}},
			} {
				p.Observe(h, 200)
			}
			if d := took(t, p, 100); d != 0 {
				t.Errorf("waited %s", d)
			}
		}},
		{"waiting ends with the context", func(t *testing.T, p *Pacer) {
			p.Observe(http.Header{}, 429)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := p.Wait(ctx); err == nil || time.Since(start) != time.Second {
				t.Errorf("got %v after %s", err, time.Since(start))
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { tt.run(t, new(Pacer)) })
		})
	}
}

// After a 429 of one call, a message does not leave: it is not sent, at once.
// Reads wait and then succeed.
func TestClient_StopsAfter429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := newTestClient(t, "https://api.intercom.io", func(cfg *Config) {
			cfg.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked++
				resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}
				if asked == 1 {
					resp.StatusCode, resp.Header = 429, limits(5, 0, time.Now().Add(8*time.Second), 0)
				}
				return resp, nil
			})}
		})
		start := time.Now()
		err := sendMessage(t.Context(), c)
		if classes(err) != "refused" || !RateLimited(err) {
			t.Errorf("a 429: %v", err)
		}
		err = sendMessage(t.Context(), c)
		if classes(err) != "not sent" || !RateLimited(err) || asked != 1 {
			t.Errorf("a message after a 429: %v, %d requests", err, asked)
		}
		if time.Since(start) != 0 {
			t.Errorf("messages waited %s", time.Since(start))
		}
		if err := c.TagContact(t.Context(), "c0", "1"); err != nil || time.Since(start) != 8*time.Second {
			t.Errorf("a tag after a 429: %v after %s", err, time.Since(start))
		}
		if err := c.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
