package intercom

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// window is the span over which Intercom counts calls. Its documentation gives
// limits per minute; the headers and the 429s are about ten seconds.
const window = 10 * time.Second

// maxClosed bounds how long one 429 can stop us, whatever its headers say.
const maxClosed = time.Minute

// A Pacer holds calls back so that they stay within the limits that Intercom
// states in the headers of its answers. The zero value knows no limits yet and
// lets everything through until the first answer. A 429 stops all calls until
// the window ends. It is safe for concurrent use, and all of it is machine time.
//
// It paces one process. Several processes share the limits by learning, from
// each answer, what the others left.
type Pacer struct {
	mu     sync.Mutex
	limit  int       // calls per window; 0: not known
	left   int       // calls left in this window
	reset  time.Time // when this window ends
	stated bool      // reset comes from a header; otherwise it is a guess
	closed time.Time // no call before then
}

// Wait blocks until a call is allowed and counts it, or returns ctx's error.
func (p *Pacer) Wait(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := p.take(time.Now())
		if d <= 0 {
			return nil
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
}

// Closed returns the instant before which a 429 forbids all calls, and the zero
// time when none does.
func (p *Pacer) Closed() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed.After(time.Now()) {
		return time.Time{}
	}
	return p.closed
}

// Observe learns from one answer: its headers and its status. Answers without
// limits, such as those to a bad token, teach nothing.
func (p *Pacer) Observe(h http.Header, status int) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()

	reset, ok := resetAt(h, now)
	if limit, err := strconv.Atoi(h.Get("X-RateLimit-Limit")); err == nil && limit > 0 {
		p.limit = limit
	}
	if left, err := strconv.Atoi(h.Get("X-RateLimit-Remaining")); err == nil && ok {
		p.learn(max(left, 0), reset)
	}
	if status != http.StatusTooManyRequests {
		return
	}
	if d, stated := retryAfter(h); stated {
		reset, ok = now.Add(d), true
	}
	if !ok {
		reset = now.Add(window)
	}
	if reset.After(now.Add(maxClosed)) {
		reset = now.Add(maxClosed)
	}
	if reset.After(p.closed) {
		p.closed = reset
	}
}

// take counts one call, or returns how long to wait before asking again.
func (p *Pacer) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.After(now) {
		return p.closed.Sub(now)
	}
	if p.limit == 0 {
		return 0
	}
	if !p.reset.After(now) {
		p.left, p.reset, p.stated = p.limit, now.Add(window), false
	}
	if p.left == 0 {
		return p.reset.Sub(now)
	}
	p.left--
	return 0
}

// learn takes over what an answer says about its window. Within one window the
// smaller number counts: Intercom does not know of calls on their way, we do not
// know of other processes'.
func (p *Pacer) learn(left int, reset time.Time) {
	switch {
	case p.stated && reset.Before(p.reset.Add(-time.Second)):
		return // a late answer, from a window that is over
	case p.stated && reset.After(p.reset.Add(time.Second)), p.reset.IsZero():
		p.left = left
	default:
		p.left = min(p.left, left)
	}
	p.reset, p.stated = reset, true
}

// resetAt reads when the window of an answer ends. The header is a Unix second
// on Intercom's clock; when that disagrees with ours by more than the second it
// is rounded to, what counts is how far it lies ahead of the answer's Date.
func resetAt(h http.Header, now time.Time) (time.Time, bool) {
	seconds, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	reset := time.Unix(seconds, 0)
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		if skew := now.Sub(date); skew < 0 || skew > 2*time.Second {
			reset = now.Add(reset.Sub(date))
		}
	}
	return reset, reset.After(now)
}

// retryAfter reads a Retry-After in seconds. Intercom documents none; its own
// clients honour one.
func retryAfter(h http.Header) (time.Duration, bool) {
	seconds, err := strconv.Atoi(strings.TrimSpace(h.Get("Retry-After")))
	if err != nil || seconds <= 0 || seconds > int(maxClosed/time.Second) {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}
