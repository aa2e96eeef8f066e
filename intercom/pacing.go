package intercom

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	maxLease  = 50                     // permits a process fetches at once
	lookEvery = 250 * time.Millisecond // how old what a process knows of a 429 elsewhere may be when a call leaves
	hoardFor  = time.Second            // after which permits that nobody took go back
	patience  = 2 * time.Second        // of a call whose permit ran out, for another one
	maxVisit  = 2 * time.Second        // to the ledger
	maxLook   = time.Second            // at the ledger, when a call is about to leave
)

// A pacer holds calls back so that all processes together stay within the limits
// that Intercom states in the headers of its answers. It fetches permits from its
// ledger, a few for each call that waits and more when they go fast, and spends
// them without asking again.
//
//   - A permit is good for one call and for the window it was taken in.
//   - After a 429 to any process no call of this one leaves until the window has
//     ended: at once when the 429 was ours, within [lookEvery] when it was not.
//   - Urgent calls go first. Across processes one permit in fifty is kept for them.
//   - Permits of a process that died are back with the next window.
//
// All of it is machine time. It is safe for concurrent use.
type pacer struct {
	ledger   ledger
	visiting sync.Mutex // held during a visit to the ledger; taken before mu

	mu       sync.Mutex
	urgent   []*waiter
	ordinary []*waiter
	fetching bool          // fetch runs: somebody waits
	poke     chan struct{} // wakes fetch

	number int64     // of the window that what follows is about
	reset  int64     // newest window told of, as the ledger knew at the last visit
	known  bool      // as the ledger knew at the last visit
	stock  int       // permits that nobody has taken yet
	handed int       // permits that were taken and not used yet
	until  time.Time // when they are worth nothing
	chunk  int       // permits to fetch ahead
	leased time.Time // when the last ones came

	news   sight     // not told to the ledger yet
	looked time.Time // when the ledger was visited last
	missed time.Time // when it could not be reached last
	closed time.Time // no call before then
}

// A waiter wants permits.
type waiter struct {
	want int
	got  chan ration // holds one
}

type ration struct {
	n   int
	err error
}

func newPacer(l ledger) *pacer { return &pacer{ledger: l, poke: make(chan struct{}, 1)} }

// take blocks until there is a permit and returns up to n. It fails when ctx
// ends, or the ledger cannot be reached.
func (p *pacer) take(ctx context.Context, n int, urgent bool) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	w := &waiter{want: max(n, 1), got: make(chan ration, 1)}
	p.enter(w, urgent)
	select {
	case r := <-w.got:
		return r.n, r.err
	case <-ctx.Done():
		if !p.leave(w) { // served in the same moment
			p.giveBack((<-w.got).n)
		}
		return 0, ctx.Err()
	}
}

func (p *pacer) enter(w *waiter, urgent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if urgent {
		p.urgent = append(p.urgent, w)
	} else {
		p.ordinary = append(p.ordinary, w)
	}
	p.serve(time.Now())
	switch {
	case !p.waiting():
	case !p.fetching:
		p.fetching = true
		go p.fetch()
	case urgent: // there may be something for urgent calls alone
		p.wake()
	}
}

// leave reports whether w was still waiting.
func (p *pacer) leave(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	is := func(o *waiter) bool { return o == w }
	before := len(p.urgent) + len(p.ordinary)
	p.urgent, p.ordinary = slices.DeleteFunc(p.urgent, is), slices.DeleteFunc(p.ordinary, is)
	if !p.waiting() {
		p.wake()
	}
	return len(p.urgent)+len(p.ordinary) < before
}

// giveBack returns permits that were taken and will not be used.
func (p *pacer) giveBack(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = max(0, min(n, p.handed))
	p.handed -= n
	p.stock += n
	p.serve(time.Now())
	if !p.waiting() {
		p.wake()
	}
}

// use counts one permit that was taken as used, and reports whether there was one
// that is still good.
func (p *pacer) use() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handed == 0 || !p.until.After(time.Now()) {
		return false
	}
	p.handed--
	return true
}

// admit takes a permit for one call and uses it.
func (p *pacer) admit(ctx context.Context, urgent bool) error {
	_, err := p.take(ctx, 1, urgent)
	if err == nil {
		p.use()
	}
	return err
}

// closedUntil returns the instant before which a 429 forbids all calls, and the
// zero time when none does. It asks the ledger when that was not done lately; a
// ledger that cannot be reached forbids nothing, since a 429 does no harm.
func (p *pacer) closedUntil(ctx context.Context) time.Time {
	stale := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return time.Since(p.looked) > lookEvery
	}
	if stale() {
		ctx, cancel := context.WithTimeout(ctx, maxLook)
		defer cancel()
		_ = p.tell(ctx, stale)
	}
	return p.shut()
}

// shut is closedUntil without asking.
func (p *pacer) shut() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed.After(time.Now()) {
		return time.Time{}
	}
	return p.closed
}

// observe learns from one answer: its headers and status, and when its call was
// sent. What others wait for, a 429 or the first word of a window, is told to
// them before it returns; the rest goes with the next visit.
func (p *pacer) observe(ctx context.Context, h http.Header, status int, sent time.Time) {
	s := readSight(h, status, sent, time.Now())
	p.mu.Lock()
	p.news.add(s)
	if s.blocked.After(p.closed) {
		p.closed = s.blocked
	}
	p.mu.Unlock()

	urgent := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.news.blocked.After(time.Now()) || s.reset > p.reset+sameWindow || s.plain && p.reset == 0 && !p.known
	}
	if !urgent() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxVisit) // others wait for it
	defer cancel()
	_ = p.tell(ctx, urgent) // when it fails, the next visit tells
}
