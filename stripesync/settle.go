package stripesync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dunlin/dunlin/customers"
)

// settle writes what became of a batch and returns how many events are settled:
// all subjects in one transaction, and when that fails each customer's in its
// own, so that one cannot hold up the others. Products and prices follow by
// themselves, because everybody who buys them is touched.
func (s *Sync) settle(ctx context.Context, subjects []*subject) (int, error) {
	var together, shared []*subject
	for _, sub := range subjects {
		switch {
		case sub.err != nil:
			if err := s.postpone(ctx, sub.events, sub.err); err != nil {
				return 0, err
			}
		case sub.class.shared() && len(sub.rows) > 0:
			shared = append(shared, sub)
		default:
			together = append(together, sub)
		}
	}

	settled := 0
	if len(together) > 0 {
		n, err := s.settleApart(ctx, together, s.settleTogether)
		if settled += n; err != nil {
			return settled, err
		}
	}
	if len(shared) > 0 {
		n, err := s.settleApart(ctx, shared, s.settleShared)
		if settled += n; err != nil {
			return settled, err
		}
	}
	return settled, nil
}

// settleApart tries all subjects at once, then by customer. A group that fails
// by itself waits with its fault.
func (s *Sync) settleApart(ctx context.Context, subjects []*subject, settle func(context.Context, []*subject) error) (int, error) {
	err := settle(ctx, subjects)
	if err == nil {
		return countEvents(subjects), nil
	}
	if !isFault(err) || ctx.Err() != nil {
		return 0, err
	}
	settled := 0
	for _, group := range byCustomer(subjects) {
		err := settle(ctx, group)
		if err == nil {
			settled += countEvents(group)
			continue
		}
		if ctx.Err() != nil {
			return settled, err
		}
		var events []event
		for _, sub := range group {
			events = append(events, sub.events...)
		}
		if err := s.postpone(ctx, events, err); err != nil {
			return settled, err
		}
	}
	return settled, nil
}

// isFault reports whether the error is about the data at hand and not about
// reaching Postgres.
func isFault(err error) bool {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return refusedByPostgres(err)
	}
	var connect *pgconn.ConnectError
	return !errors.As(err, &connect) && !pgconn.Timeout(err) && !pgconn.SafeToRetry(err) && !errors.Is(err, context.Canceled)
}

func countEvents(subjects []*subject) int {
	n := 0
	for _, sub := range subjects {
		if !sub.moved {
			n += len(sub.events)
		}
	}
	return n
}

// unmoved returns the subjects whose object is in the mirror as it was when they
// were decided about. The caller holds the locks under which it is written.
// Where somebody else has written since, the decision is void: as_of cannot order
// what happened within one second.
func (s *Sync) unmoved(ctx context.Context, tx pgx.Tx, subjects []*subject) ([]*subject, error) {
	var refs []ref
	for _, sub := range subjects {
		if sub.class != "" {
			refs = append(refs, sub.ref)
		}
	}
	now, err := s.read(ctx, tx, refs)
	if err != nil {
		return nil, err
	}
	var same []*subject
	for _, sub := range subjects {
		h := now[sub.ref]
		sub.moved = sub.class != "" && (h.found != sub.have.found || !h.asOf.Equal(sub.have.asOf) || !bytes.Equal(h.raw, sub.have.raw))
		if !sub.moved {
			same = append(same, sub)
		}
	}
	return same, nil
}

// again gives back the events of subjects that moved, to be decided about anew.
func (s *Sync) again(ctx context.Context, subjects []*subject) {
	var events []event
	for _, sub := range subjects {
		if sub.moved {
			events = append(events, sub.events...)
		}
	}
	if len(events) > 0 {
		s.release(ctx, events)
	}
}

func rowsOf(subjects []*subject) []row {
	var rows []row
	for _, sub := range subjects {
		rows = append(rows, sub.rows...)
	}
	return rows
}

func byCustomer(subjects []*subject) [][]*subject {
	type owner struct {
		customer string
		other    ref // of what belongs to nobody
	}
	place := map[owner]int{}
	var groups [][]*subject
	for _, sub := range subjects {
		o := owner{customer: sub.customer}
		if sub.customer == "" {
			o.other = sub.ref
		}
		i, known := place[o]
		if !known {
			i = len(groups)
			place[o] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], sub)
	}
	return groups
}

func (s *Sync) settleTogether(ctx context.Context, subjects []*subject) error {
	touched := owners(rowsOf(subjects))
	defer s.again(ctx, subjects)
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := customers.Lock(ctx, tx, s.account, touched); err != nil {
			return err
		}
		same, err := s.unmoved(ctx, tx, subjects)
		if err != nil {
			return err
		}
		if err := s.write(ctx, tx, rowsOf(same)); err != nil {
			return err
		}
		if err := s.mark(ctx, tx, same); err != nil {
			return err
		}
		return s.project(ctx, tx, touched)
	})
}

// projectChunk is how many customers one transaction projects.
const projectChunk = 500

// settleShared writes products and prices, projects whoever subscribes to them,
// chunk by chunk, and only then marks the events: broken off, all of it is done
// again.
func (s *Sync) settleShared(ctx context.Context, subjects []*subject) error {
	defer s.again(ctx, subjects)
	var same []*subject
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if err = s.lock(ctx, tx, sharedSpace); err != nil {
			return err
		}
		if same, err = s.unmoved(ctx, tx, subjects); err != nil {
			return err
		}
		return s.write(ctx, tx, rowsOf(same))
	})
	if err != nil {
		return err
	}
	var ids []string
	for _, sub := range same {
		ids = append(ids, sub.id)
	}
	if err := s.projectSubscribers(ctx, ids); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.mark(ctx, tx, same) })
}

// projectSubscribers projects whoever subscribes to these products or prices,
// chunk by chunk.
func (s *Sync) projectSubscribers(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	subscribers, err := customers.SubscribersOf(ctx, s.pool, s.account, ids)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(subscribers, projectChunk) {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.project(ctx, tx, chunk) })
		if err != nil {
			return err
		}
	}
	return nil
}

// sharedIn are the ids of the products and prices among rows.
func sharedIn(rows []row) (ids []string) {
	for _, r := range rows {
		if r.class.shared() {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// mark settles the events of subjects. It and its like find unsettled events by
// settled_at: naming the state would tempt Postgres into the index of stored
// events, whose size it never knows, and past the primary key.
func (s *Sync) mark(ctx context.Context, tx pgx.Tx, subjects []*subject) error {
	var owners, ids, states, notes []string
	for _, sub := range subjects {
		for _, e := range sub.events {
			owners, ids = append(owners, e.Customer), append(ids, e.ID)
			states, notes = append(states, sub.state), append(notes, sub.note)
		}
	}
	_, err := tx.Exec(ctx, `
		update dunlin.stripe_events e
		set state = u.state, settled_at = @now, leased_until = null, fault = nullif(u.note, '')
		from unnest(@owners::text[], @ids::text[], @states::text[], @notes::text[]) as u (customer, id, state, note)
		where e.account_id = @account and e.customer = u.customer and e.id = u.id and e.settled_at is null`,
		pgx.StrictNamedArgs{
			"account": s.account, "now": s.now(), "owners": owners, "ids": ids, "states": states, "notes": notes,
		})
	if err != nil {
		return fmt.Errorf("settle %d events: %w", len(ids), err)
	}
	return nil
}

// postpone records why events could not be applied and leases them to nobody for
// a while: a second, doubling with each attempt.
func (s *Sync) postpone(ctx context.Context, events []event, fault error) error {
	owners, ids := keysOf(events)
	waits := make([]time.Duration, len(events))
	for i, e := range events {
		waits[i] = min(time.Second<<min(e.Attempts-1, 16), maxBackoff)
		s.logger.Warn("event not applied", "account", s.name, "event", e.ID, "type", e.Type,
			"customer", e.Customer, "attempts", e.Attempts, "error", fault)
	}
	_, err := s.pool.Exec(ctx, `
		update dunlin.stripe_events e
		set leased_until = clock_timestamp() + u.wait, fault = @fault
		from unnest(@owners::text[], @ids::text[], @waits::interval[]) as u (customer, id, wait)
		where e.account_id = @account and e.customer = u.customer and e.id = u.id and e.settled_at is null`,
		pgx.StrictNamedArgs{
			"account": s.account, "fault": fault.Error(), "owners": owners, "ids": ids, "waits": waits,
		})
	if err != nil {
		return fmt.Errorf("postpone %d events: %w", len(events), err)
	}
	return nil
}
