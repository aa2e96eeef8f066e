package intercom

import (
	"context"
	"time"
)

// fetch gets permits for as long as somebody waits.
func (p *pacer) fetch() {
	for {
		urgent, ordinary, pause, done := p.demand()
		if done {
			return
		}
		if pause == 0 {
			var err error
			if pause, err = p.lease(urgent, ordinary); err != nil {
				p.fail(err)
			}
		}
		if pause > 0 {
			p.rest(pause)
		}
	}
}

// demand serves who waits and says what to fetch for the others, or how long
// there is nothing to fetch. When nobody waits, fetching is done.
func (p *pacer) demand() (urgent, ordinary int, pause time.Duration, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.serve(now)
	if !p.waiting() {
		p.fetching = false
		return 0, 0, 0, true
	}
	if p.closed.After(now) {
		return 0, 0, p.closed.Sub(now), false
	}
	urgent, ordinary = inAll(p.urgent), inAll(p.ordinary)
	if ordinary > 0 {
		ordinary = max(ordinary, p.ahead(now))
	}
	return urgent, ordinary, 0, false
}

// inAll is how many permits to fetch for a queue.
func inAll(queue []*waiter) (n int) {
	for _, w := range queue {
		n += w.want
	}
	return min(n, maxLease)
}

// ahead is how many permits to fetch beyond those waited for: none at first, and
// twice as many each time that the last ones were gone in no time. It needs mu.
func (p *pacer) ahead(now time.Time) int {
	if now.Sub(p.leased) > lookEvery {
		p.chunk = 1
	} else {
		p.chunk = min(2*p.chunk, maxLease)
	}
	return p.chunk
}

// rest waits for d or until it is woken.
func (p *pacer) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.poke:
	}
}

// wake makes fetch look again, if it rests. It needs mu.
func (p *pacer) wake() {
	if !p.fetching {
		return
	}
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// waiting needs mu.
func (p *pacer) waiting() bool { return len(p.urgent)+len(p.ordinary) > 0 }

// serve hands out what is in stock, to urgent waiters first. It needs mu.
func (p *pacer) serve(now time.Time) {
	if !p.until.After(now) {
		p.stock, p.handed = 0, 0
	}
	if p.closed.After(now) {
		return
	}
	for _, queue := range []*[]*waiter{&p.urgent, &p.ordinary} {
		for p.stock > 0 && len(*queue) > 0 {
			w := (*queue)[0]
			*queue = (*queue)[1:]
			n := min(w.want, p.stock)
			p.stock -= n
			p.handed += n
			w.got <- ration{n: n}
		}
	}
}

// fail tells all who wait.
func (p *pacer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, queue := range [][]*waiter{p.urgent, p.ordinary} {
		for _, w := range queue {
			w.got <- ration{err: err}
		}
	}
	p.urgent, p.ordinary = nil, nil
}

// lease fetches permits, for urgent calls and for ordinary ones. When there are
// none it returns how long to wait.
func (p *pacer) lease(urgent, ordinary int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), maxVisit)
	defer cancel()
	p.visiting.Lock()
	defer p.visiting.Unlock()
	return p.visit(ctx, urgent, ordinary)
}

// tell visits the ledger for its news and ours alone, if that is still needed
// when it is this visit's turn. When the ledger could not be reached a moment ago
// it does not try: callers would queue up for nothing.
func (p *pacer) tell(ctx context.Context, needed func() bool) error {
	p.visiting.Lock()
	defer p.visiting.Unlock()
	if !needed() || p.justMissed() {
		return nil
	}
	_, err := p.visit(ctx, 0, 0)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
	return err
}

func (p *pacer) justMissed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.missed) < lookEvery
}

// visit brings our news to the ledger and what nobody took, and fetches its news
// and permits. It needs visiting.
func (p *pacer) visit(ctx context.Context, urgent, ordinary int) (pause time.Duration, err error) {
	p.mu.Lock()
	start := time.Now()
	news, number, back := p.news, p.number, 0
	if start.Sub(p.leased) > hoardFor {
		back, p.stock = p.stock, 0
	}
	p.news, p.looked = sight{}, start
	p.mu.Unlock()

	var w window // as it is then, by our clock
	var n int
	err = p.ledger.change(ctx, func(l *window, now, local time.Time) {
		l.restore(number, back)
		l.learn(news.at(now, local), now)
		l.turn(now)
		n, pause = l.divide(now, urgent, ordinary)
		w = *l
		w.ends, w.blocked = local.Add(l.ends.Sub(now)), local.Add(l.blocked.Sub(now))
	})

	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.news.add(news)
		p.stock += back
		p.missed = time.Now()
		return 0, err
	}
	if w.number != p.number {
		p.number, p.stock, p.handed = w.number, 0, 0
	}
	p.reset, p.known, p.until = w.reset, w.known, w.ends.Add(-travel)
	if w.blocked.After(p.closed) {
		p.closed = w.blocked
	}
	if n > 0 {
		p.stock += n
		p.leased = start
	}
	p.serve(time.Now())
	return pause, nil
}
