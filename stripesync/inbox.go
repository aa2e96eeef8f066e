package stripesync

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	maxQueued      = 4096
	maxQueuedBytes = 64 << 20
	maxShared      = 256 // events in one insert
	maxSharedBytes = 4 << 20
)

var (
	errQueueFull = errors.New("too many events wait to be stored")
	errClosed    = errors.New("the process is stopping")
)

// An inbox stores events that arrive at the same time in one insert. While an
// insert is under way the next events gather; its goroutine ends when none are
// left, so an idle inbox costs nothing.
type inbox struct {
	store func(ctx context.Context, batch []event) []error // one error, or nil, for each
	wait  time.Duration                                    // how long one store may take

	mu     sync.Mutex
	queue  []*waiting
	bytes  int
	busy   bool
	closed bool
	work   sync.WaitGroup
}

type waiting struct {
	event event
	done  chan error // one answer, buffered: whoever waits may have gone
}

// put returns nil once the event is durable. When the ctx ends first the event
// may still be stored, which does no harm: Stripe sends it again.
func (b *inbox) put(ctx context.Context, e event) error {
	w := &waiting{event: e, done: make(chan error, 1)}
	if err := b.enqueue(w); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the event to be stored: %w", ctx.Err())
	}
}

func (b *inbox) enqueue(w *waiting) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return errClosed
	case len(b.queue) >= maxQueued || b.bytes+len(w.event.Raw) > maxQueuedBytes:
		return errQueueFull
	}
	b.queue = append(b.queue, w)
	b.bytes += len(w.event.Raw)
	if !b.busy {
		b.busy = true
		b.work.Go(b.drain)
	}
	return nil
}

func (b *inbox) drain() {
	for {
		batch := b.take()
		if batch == nil {
			return
		}
		events := make([]event, len(batch))
		for i, w := range batch {
			events[i] = w.event
		}
		ctx, cancel := context.WithTimeout(context.Background(), b.wait)
		errs := b.store(ctx, events)
		cancel()
		for i, w := range batch {
			w.done <- errs[i]
		}
	}
}

// take returns the events of the next insert, or nil and is idle from then on.
func (b *inbox) take() []*waiting {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < len(b.queue) && n < maxShared && (n == 0 || size+len(b.queue[n].event.Raw) <= maxSharedBytes) {
		size += len(b.queue[n].event.Raw)
		n++
	}
	if n == 0 {
		b.busy, b.queue = false, nil
		return nil
	}
	batch := b.queue[:n:n]
	b.queue = b.queue[n:]
	b.bytes -= size
	return batch
}

// close refuses what comes from now on and returns when the queue is empty.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.work.Wait()
}

// An unusableError is an event that Postgres will never take.
type unusableError struct{ err error }

func (e *unusableError) Error() string {
	return "the event cannot be stored: " + e.err.Error()
}

// store inserts a batch in one transaction. When Postgres is there and refuses
// the batch, each event is tried alone, so that one of them cannot turn away the
// others.
func (s *Sync) store(ctx context.Context, batch []event) []error {
	errs := make([]error, len(batch))
	_, err := s.insert(ctx, batch)
	if err == nil {
		return errs
	}
	for i := range batch {
		errs[i] = err
		if refusedByPostgres(err) && ctx.Err() == nil && len(batch) > 1 {
			_, errs[i] = s.insert(ctx, batch[i:i+1])
		}
		if unfit(errs[i]) {
			errs[i] = &unusableError{errs[i]}
		}
	}
	return errs
}

// insert returns how many of the events were not stored before.
func (s *Sync) insert(ctx context.Context, batch []event) (stored int64, err error) {
	n := len(batch)
	customers, ids, types, versions := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	classes, objects, raws, created := make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	charges := make([]string, n)
	for i, e := range batch {
		customers[i], ids[i], types[i], versions[i] = e.Customer, e.ID, e.Type, e.APIVersion
		classes[i], objects[i], raws[i], created[i] = e.Class, e.ObjectID, string(e.Raw), e.Created
		charges[i] = e.Charge
	}
	args := pgx.StrictNamedArgs{
		"account": s.account, "now": s.now(), "customers": customers, "ids": ids, "types": types,
		"versions": versions, "classes": classes, "objects": objects, "created": created, "raws": raws, "charges": charges,
	}
	if s.poker.first() {
		stored, err = s.insertAndPoke(ctx, args)
	} else {
		stored, err = s.insertAlone(ctx, args)
	}
	var unpoked *pokeError
	if errors.As(err, &unpoked) && refusedByPostgres(err) {
		// A poke that fails takes nothing back: whoever sweeps finds the events.
		s.logger.Error("nobody was told of stored events", "account", s.name, "error", err)
		stored, err = s.insertAlone(ctx, args)
	}
	if err != nil {
		return 0, fmt.Errorf("store events: %w", err)
	}
	s.counts.stored.Add(stored)
	s.counts.duplicates.Add(int64(n) - stored)
	return stored, nil
}

// A pokeError is about the poke, not about the events.
type pokeError struct{ err error }

func (e *pokeError) Error() string { return "ask for the events to be applied: " + e.err.Error() }
func (e *pokeError) Unwrap() error { return e.err }

// insertAndPoke stores events and asks for those that are new to be applied, in
// one transaction.
func (s *Sync) insertAndPoke(ctx context.Context, args pgx.StrictNamedArgs) (stored int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if stored, err = insertEvents(ctx, tx, args); err != nil || stored == 0 {
			return err
		}
		if err := s.pokeApply(ctx, tx); err != nil {
			return &pokeError{err}
		}
		return nil
	})
	return stored, err
}

// insertAlone stores events for whom somebody else asks, soon after.
func (s *Sync) insertAlone(ctx context.Context, args pgx.StrictNamedArgs) (stored int64, err error) {
	if stored, err = insertEvents(ctx, s.pool, args); err == nil && stored > 0 {
		s.poker.stored()
	}
	return stored, err
}

// An execer is a pool, whose statements commit by themselves, or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// insertEvents returns how many of the events were not stored before.
func insertEvents(ctx context.Context, in execer, args pgx.StrictNamedArgs) (stored int64, err error) {
	tag, err := in.Exec(ctx, `
		insert into dunlin.stripe_events
			(account_id, customer, id, type, api_version, class, object_id, created, raw, charge, received_at)
		select @account, u.customer, u.id, u.type, u.api_version, u.class, u.object_id, u.created, u.raw::json, nullif(u.charge, ''), @now
		from unnest(@customers::text[], @ids::text[], @types::text[], @versions::text[],
			@classes::text[], @objects::text[], @created::timestamptz[], @raws::text[], @charges::text[])
			as u (customer, id, type, api_version, class, object_id, created, raw, charge)
		order by u.customer, u.id
		on conflict (account_id, customer, id) do nothing`, args)
	return tag.RowsAffected(), err
}

// refusedByPostgres reports whether a server in working order said no: it was
// reached, and it neither lacks resources nor stops.
func refusedByPostgres(err error) bool {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Code[:2] {
	case "08", "53", "57", "58", "XX": // connection, resources, operator, system, internal
		return false
	}
	return true
}

// unfit reports whether the data itself was refused: another attempt would end
// the same way.
func unfit(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && (refusal.Code[:2] == "22" || refusal.Code[:2] == "54")
}
