package stripesync

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits are how many requests Stripe allows a second (facts/stripe.md 2.7). Zero
// is no limit.
type Limits struct {
	Account  float64 // of the whole account
	Endpoint float64 // of each endpoint
}

// StripesLimits are those of a key, by its kind, less a little for clocks that do
// not agree.
func StripesLimits(key string) Limits {
	const room = 0.97
	if strings.HasPrefix(key, "sk_test_") || strings.HasPrefix(key, "rk_test_") {
		return Limits{Account: 25 * room, Endpoint: 25 * room}
	}
	return Limits{Account: 100 * room, Endpoint: 25 * room}
}

// A pace keeps the requests of one process below Stripe's limits. Others who use
// the account's key are noticed by the answers 429, after which it goes slower
// for a while. It lives in machine time.
type pace struct {
	limits  Limits
	account *speed

	mu        sync.Mutex
	endpoints map[string]*speed
}

func newPace(l Limits) *pace {
	return &pace{limits: l, account: newSpeed(l.Account), endpoints: map[string]*speed{}}
}

// wait returns when a request may be sent, or ctx has ended.
func (p *pace) wait(ctx context.Context, path string) error {
	if err := p.endpoint(path).wait(ctx); err != nil {
		return err
	}
	return p.account.wait(ctx)
}

// limited is told of a 429, and of Stripe's reason for it. One without a reason
// is not about the rate.
func (p *pace) limited(path, reason string) {
	switch {
	case strings.HasPrefix(reason, "endpoint"), strings.HasPrefix(reason, "resource"):
		p.endpoint(path).slower()
	case reason != "":
		p.account.slower()
	}
}

// endpoint is the speed of what a path begins with: a list and its objects have
// one together.
func (p *pace) endpoint(path string) *speed {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/")
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.endpoints[name]
	if s == nil {
		s = newSpeed(p.limits.Endpoint)
		p.endpoints[name] = s
	}
	return s
}

// A speed is one limit, and how much slower than it we go.
type speed struct {
	full    rate.Limit
	limiter *rate.Limiter

	mu      sync.Mutex
	changed time.Time // when it was last made slower or faster
}

const (
	slowest  = 1                // request a second
	recovery = 10 * time.Second // after which it goes faster again
)

func newSpeed(limit float64) *speed {
	full := rate.Inf
	if limit > 0 {
		full = rate.Limit(limit)
	}
	return &speed{full: full, limiter: rate.NewLimiter(full, 1)}
}

func (s *speed) wait(ctx context.Context) error {
	s.faster()
	return s.limiter.Wait(ctx)
}

// slower halves the speed, at most once a second: several requests may be under
// way that all meet the limit.
func (s *speed) slower() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.changed) < time.Second {
		return
	}
	now := s.limiter.Limit()
	if now == rate.Inf {
		now = 2 * 25 // nobody said how fast
	}
	s.limiter.SetLimit(max(now/2, slowest))
	s.mark()
}

// faster goes back to full speed by steps of a half.
func (s *speed) faster() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.limiter.Limit(); now < s.full && time.Since(s.changed) > recovery {
		if now *= 1.5; now > 100 {
			now = s.full
		}
		s.limiter.SetLimit(min(now, s.full))
		s.mark()
	}
}

func (s *speed) mark() {
	//lint:ignore clocks machine time: between requests
	s.changed = time.Now()
}
