package stripesync

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// How soon after one poke stored events ask again to be applied: at first within
// pokeSoon, then, while more arrive, twice as late each time, up to pokeLate.
// Machine time. Each poke is a job inserted and a notification, for which commits
// wait on each other: at 16 connections, one in every insert cost a quarter of the
// events a second.
const (
	pokeSoon = 5 * time.Millisecond
	pokeLate = 80 * time.Millisecond
)

// A poker asks for stored events to be applied: the first insert does it in its
// own transaction, and for those that follow closely it is done once, soon after.
// What a process did not come to ask for before it was killed, whoever sweeps
// finds (nothing-lost).
type poker struct {
	later  func()          // asks in a transaction of its own
	closed <-chan struct{} // from then on nothing is put off

	mu     sync.Mutex
	busy   bool // an insert asked not long ago
	missed bool // and another has not
	work   sync.WaitGroup
}

// first reports whether an insert is to ask by itself. One that is not, or that
// did not, calls stored after its commit: asked for earlier, it might not be seen.
func (p *poker) first() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy {
		return false
	}
	p.begin()
	return true
}

// stored sees to it that events are asked for which have just become visible.
func (p *poker) stored() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missed = true
	if !p.busy {
		p.begin()
	}
}

func (p *poker) begin() {
	p.busy = true
	p.work.Go(p.follow)
}

// follow asks for what is inserted meanwhile, until nothing is.
func (p *poker) follow() {
	for wait := pokeSoon; ; wait = min(2*wait, pokeLate) {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.closed:
		}
		timer.Stop()
		p.mu.Lock()
		missed := p.missed
		p.busy, p.missed = missed, false
		p.mu.Unlock()
		if !missed {
			return
		}
		p.later()
	}
}

// pokeLater asks for stored events to be applied.
func (s *Sync) pokeLater() {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.pokeApply(ctx, tx) })
	if err != nil {
		s.logger.Error("nobody was told of stored events", "account", s.name, "error", err)
	}
}
