package intercom

import (
	"context"
	"sync/atomic"
	"time"
)

// Take blocks until Intercom's limits allow a call and returns how many they
// allow now, up to n: so many permits are the caller's, each good for one call.
// Urgent takers go first, in this process and, by a small share of the limit that
// is kept for them, in all that share it. It fails when ctx ends or Postgres
// cannot be reached.
//
// Take before claiming what is to be sent, so that no claim is held while pacing
// holds the call. Whatever creates something once, such as a message or a ticket,
// spends a permit without waiting; other calls do so when ctx comes from
// [WithPermit]. A permit lasts as long as Intercom's window, ten seconds at most.
// A call that comes later gets another one if there is one within two seconds,
// and is [NotSent] if there is not. Permits that are not needed go back with
// [Client.GiveBack].
func (c *Client) Take(ctx context.Context, n int, urgent bool) (int, error) {
	return c.pacer.take(ctx, n, urgent)
}

// GiveBack returns n permits that were taken and will not be used.
func (c *Client) GiveBack(n int) { c.pacer.giveBack(n) }

// Wait takes one permit; it is urgent when ctx comes from [Urgently].
func (c *Client) Wait(ctx context.Context) error {
	_, err := c.Take(ctx, 1, isUrgent(ctx))
	return err
}

// Urgently returns a context whose calls do not queue behind a wave of others:
// somebody waits for their answer.
func Urgently(ctx context.Context) context.Context {
	return context.WithValue(ctx, urgentKey{}, true)
}

type urgentKey struct{}

func isUrgent(ctx context.Context) bool { return ctx.Value(urgentKey{}) != nil }

// WithPermit returns a context for the calls of one piece of work, for which one
// permit was taken. The first call spends it; further ones wait for their own. As
// a claim is held meanwhile, none of them waits for the end of a 429: they are
// [RateLimited], and [Error.RetryAt] says until when. The same goes for a pause
// that a 503 asks for.
func WithPermit(ctx context.Context) context.Context {
	return context.WithValue(ctx, permitKey{}, new(permit))
}

type permitKey struct{}

type permit struct{ spent atomic.Bool }

// Spent reports whether a call has used the permit of a context from [WithPermit].
func Spent(ctx context.Context) bool {
	p := permitOf(ctx)
	return p != nil && p.spent.Load()
}

func permitOf(ctx context.Context) *permit {
	p, _ := ctx.Value(permitKey{}).(*permit)
	return p
}

// admit returns when the next attempt of a call may leave, or why it may not.
func (c *Client) admit(ctx context.Context, l call) *Error {
	p := permitOf(ctx)
	held := l.kind == once || p != nil // by a claim
	if until := c.pacer.closedUntil(ctx); held && !until.IsZero() {
		return &Error{Op: l.op, Outcome: OutcomeNotSent, RetryAt: until, Message: "Intercom's rate limit is used up"}
	}
	if taken := p == nil || !p.spent.Swap(true); held && taken && c.pacer.use() {
		return nil
	}
	within, cancel := ctx, func() {}
	if held {
		within, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	err := c.pacer.admit(within, held || isUrgent(ctx))
	switch {
	case err == nil:
		return nil
	case within.Err() != nil && ctx.Err() == nil:
		return &Error{Op: l.op, Outcome: OutcomeNotSent, RetryAt: time.Now().Add(time.Second), Message: "Intercom's rate limit left no room in time"}
	}
	return &Error{Op: l.op, Outcome: OutcomeNotSent, Err: err, unpaced: true}
}

// hurried reports that somebody holds a claim for a call which would have to wait
// until an instant that Intercom named.
func hurried(ctx context.Context, e *Error) bool {
	return permitOf(ctx) != nil && !e.RetryAt.IsZero()
}
