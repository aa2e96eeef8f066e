package stripesync

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	batchSize  = 200
	leaseTime  = 30 * time.Second // machine time; longer than a batch takes
	maxBackoff = 5 * time.Minute  // machine time between attempts at a faulty event
)

// Apply brings one batch of stored events into the mirror and returns how many
// of them are settled. 0 means that none are due now: those that failed wait out
// their backoff. Any number of workers may call it at once; the events of one
// object are with one of them at a time.
//
// The error is about Postgres or the ctx. What is wrong with a single event is
// recorded beside it and logged.
func (s *Sync) Apply(ctx context.Context) (settled int, err error) {
	for {
		events, err := s.lease(ctx)
		if err != nil || len(events) == 0 {
			return 0, err
		}
		settled, err := s.applyBatch(ctx, events)
		if err != nil {
			s.release(ctx, events)
		}
		if err != nil || settled > 0 {
			return settled, err
		}
	}
}

// lease takes the next batch: consecutive customers, so that the events of one
// object come together, going round from where the last batch ended, so that
// nobody waits behind the busy. Events of an object that has one under lease are
// left, to keep them in order.
func (s *Sync) lease(ctx context.Context) ([]event, error) {
	after := ""
	if from := s.from.Load(); from != nil {
		after = *from
	}
	events, err := s.leaseFrom(ctx, after)
	if err == nil && len(events) == 0 && after != "" {
		events, err = s.leaseFrom(ctx, "")
	}
	if err != nil {
		return nil, fmt.Errorf("take stored events: %w", err)
	}
	last := ""
	for _, e := range events {
		last = max(last, e.Customer)
	}
	s.from.Store(&last)
	return events, nil
}

// leaseFrom leases under a lock: two workers that looked at once would each miss
// the other's lease, and could take one event each of the same object.
func (s *Sync) leaseFrom(ctx context.Context, after string) (events []event, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.lock(ctx, tx, leaseSpace); err != nil {
			return err
		}
		events, err = s.leaseDue(ctx, tx, after)
		return err
	})
	return events, err
}

// Advisory locks of two numbers, the second being the account.
const (
	leaseSpace   = 0x64756e4c // "dunL": leasing events
	sharedSpace  = 0x64756e50 // "dunP": writing products and prices
	syncSpace    = 0x64756e53 // "dunS": reading the lists
	feedSpace    = 0x64756e46 // "dunF": reading the list of events
	compareSpace = 0x64756e56 // "dunV": comparing with Stripe
)

func (s *Sync) lock(ctx context.Context, tx pgx.Tx, space int32) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, $2)`, space, int32(s.account)); err != nil {
		return fmt.Errorf("wait for other workers: %w", err)
	}
	return nil
}

func (s *Sync) leaseDue(ctx context.Context, tx pgx.Tx, after string) ([]event, error) {
	rows, err := tx.Query(ctx, `
		with due as (
			select e.account_id, e.customer, e.id
			from dunlin.stripe_events e
			where e.account_id = @account and e.state = 'stored' and e.customer >= @after
			and (e.leased_until is null or e.leased_until < clock_timestamp())
			and (e.customer = '' or not exists (
				select from dunlin.stripe_events o
				where o.account_id = e.account_id and o.customer = e.customer and o.state = 'stored'
				and o.class = e.class and o.object_id = e.object_id and o.leased_until > clock_timestamp()))
			order by e.customer, e.created
			limit @size
			for update of e skip locked
		)
		update dunlin.stripe_events e
		set leased_until = clock_timestamp() + @lease::interval, attempts = e.attempts + 1
		from due
		where e.account_id = due.account_id and e.customer = due.customer and e.id = due.id
		returning e.id, e.type, e.api_version, e.created, e.customer, e.class, e.object_id, e.raw, e.attempts`,
		pgx.StrictNamedArgs{"account": s.account, "after": after, "size": batchSize, "lease": leaseTime})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[event])
}

// release gives back the events of a batch that was broken off, so that they
// need not wait for the lease to lapse. Settled ones are not stored any more.
func (s *Sync) release(ctx context.Context, events []event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	owners, ids := keysOf(events)
	_, err := s.pool.Exec(ctx, `
		update dunlin.stripe_events e set leased_until = null
		from unnest($2::text[], $3::text[]) as u (customer, id)
		where e.account_id = $1 and e.customer = u.customer and e.id = u.id
		and e.settled_at is null and e.fault is null`, s.account, owners, ids)
	if err != nil {
		s.logger.Warn("leased events wait for their lease to lapse", "account", s.name, "events", len(events), "error", err)
	}
}

func keysOf(events []event) (owners, ids []string) {
	for _, e := range events {
		owners, ids = append(owners, e.Customer), append(ids, e.ID)
	}
	return owners, ids
}

// A subject is one object and the events of a batch that tell about it.
type subject struct {
	ref
	source bool
	events []event // oldest first
	news   []news
	have   held

	// What became of them.
	state string // applied, refetched or ignored
	note  string // why ignored
	rows  []row  // what to write
	err   error  // why the events have to wait
	moved bool   // the mirror's object is not the one that was decided about: decide again
}

func (s *Sync) applyBatch(ctx context.Context, events []event) (int, error) {
	subjects := gather(events)
	refs := make([]ref, 0, len(subjects))
	for _, sub := range subjects {
		if sub.class != "" {
			refs = append(refs, sub.ref)
		}
	}
	have, err := s.read(ctx, s.pool, refs)
	if err != nil {
		return 0, err
	}

	var fetches []fetch
	waiting := map[fetch][]*subject{}
	for _, sub := range subjects {
		if sub.class == "" {
			continue
		}
		sub.have = have[sub.ref]
		verdict, winner := decide(sub.news, sub.have)
		if likely := newestPayload(sub.news); verdict == refetch && s.reads.saving.Load() && likely >= 0 {
			verdict, winner = payload, likely
		}
		switch verdict {
		case superseded:
			sub.state = "applied" // the mirror holds something newer
		case payload:
			sub.use(winner)
		case refetch:
			f := fetch{ref: sub.ref, source: sub.source, discounts: sub.discounted() && !s.reads.saving.Load()}
			fetches = append(fetches, f)
			waiting[f] = append(waiting[f], sub)
		}
	}
	reading, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	for f, got := range s.fetchAll(reading, fetches) {
		for _, sub := range waiting[f] {
			sub.take(got)
		}
	}
	s.readRefunds(reading, subjects)
	s.readUnsaid(reading, subjects)
	if err := s.complete(ctx, reading, subjects); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	settled, err := s.settle(ctx, subjects)
	s.recordReads(ctx)
	return settled, err
}

// gather sorts events into subjects. Events that are about no mirrored object
// are subjects of their own, ignored.
func gather(events []event) []*subject {
	slices.SortFunc(events, func(a, b event) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	type key struct {
		ref    ref
		source bool
	}
	found := map[key]*subject{}
	var subjects []*subject
	for _, e := range events {
		var body struct {
			Data json.RawMessage `json:"data"`
		}
		p := placement{note: "the event is unreadable"}
		if json.Unmarshal(e.Raw, &body) == nil {
			p = place(e.Type, body.Data)
		}
		if p.class == "" {
			subjects = append(subjects, &subject{
				ref: ref{customer: e.Customer}, events: []event{e}, state: "ignored", note: p.note,
			})
			continue
		}
		k := key{p.ref, p.source}
		sub := found[k]
		if sub == nil {
			sub = &subject{ref: p.ref, source: p.source}
			found[k] = sub
			subjects = append(subjects, sub)
		}
		sub.events = append(sub.events, e)
		sub.news = append(sub.news, news{eventType: e.Type, created: e.Created, version: e.APIVersion, change: p.change, object: p.object})
	}
	return subjects
}

// use takes the payload of one event as the object.
func (sub *subject) use(winner int) {
	n := sub.news[winner]
	at := later(n.created, sub.have.asOf) // it is what the mirror has, or final: never older
	sub.state = "applied"
	sub.put(row{ref: sub.ref, raw: n.object, asOf: at, deleted: n.change == removal})
}

// take uses what Stripe answered. The request was made after the events were
// stored and the mirror was read, so the answer is no older than either, however
// coarse the clocks.
func (sub *subject) take(got read) {
	if got.err != nil {
		sub.err = got.err
		return
	}
	sub.state = "refetched"
	at := later(got.asOf, later(sub.have.asOf, sub.news[len(sub.news)-1].created))
	if got.raw == nil {
		sub.bury(got.stub, at)
		return
	}
	r := row{ref: sub.ref, raw: got.raw, asOf: at}
	switch {
	case sub.class == customerClass:
		r.customer = sub.id
	case sub.class == paymentMethodClass && got.head.customer == "":
		r.deleted = true // detached: it stays with its last customer
	case sub.class.owned():
		r.customer = got.head.customer
		if sub.have.found && r.customer != sub.customer && sub.customer != "" {
			sub.rows = append(sub.rows, row{ref: sub.ref, asOf: at, deleted: true})
		}
	}
	if sub.class == subscriptionClass && r.customer == "" {
		sub.state, sub.note = "ignored", "the subscription belongs to no customer"
		return
	}
	sub.put(r)
}

// bury marks the object deleted. What it last was stays: what the mirror has,
// else the newest payload, of whatever version, else Stripe's stub. Without a
// row an older event, still on its way, would bring it back.
func (sub *subject) bury(stub []byte, at time.Time) {
	r := row{ref: sub.ref, asOf: at, deleted: true}
	if !sub.have.found {
		r.raw = stub
		for _, n := range sub.news {
			if n.change != hint {
				r.raw = n.object
			}
		}
		if r.raw == nil {
			sub.state, sub.note = "ignored", "Stripe does not have the object any more, and the mirror never had it"
			return
		}
	}
	sub.rows = append(sub.rows, r)
}

// put writes the object and what is expanded inside it.
func (sub *subject) put(r row) { sub.rows = append(sub.rows, withExpanded(r)...) }

// withExpanded adds rows for the payment methods expanded inside an object, as
// old as the object itself.
func withExpanded(r row) []row {
	rows := []row{r}
	for _, n := range names(r.class, r.raw, r.customer) {
		if n.raw != nil {
			rows = append(rows, row{ref: n.ref, raw: n.raw, asOf: r.asOf})
		}
	}
	return rows
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// complete reads what the objects to be written name and the mirror does not
// have: the default payment method above all, without which the card would be
// missing, or another one. An object whose names cannot be read now waits.
// reading ends when the batch has no more time for Stripe.
func (s *Sync) complete(ctx, reading context.Context, subjects []*subject) error {
	known := map[ref]bool{}
	wants := map[*subject][]fetch{}
	var refs []ref
	for _, sub := range subjects {
		for _, r := range sub.rows {
			known[r.ref] = true
		}
		for _, r := range sub.rows {
			if r.raw == nil || r.deleted {
				continue
			}
			for _, n := range names(r.class, r.raw, r.customer) {
				if n.raw == nil {
					wants[sub] = append(wants[sub], fetch{ref: n.ref, source: n.source})
					refs = append(refs, n.ref)
				}
			}
		}
	}
	have, err := s.read(ctx, s.pool, refs)
	if err != nil {
		return err
	}
	var fetches []fetch
	for _, list := range wants {
		for _, f := range list {
			if !known[f.ref] && !have[f.ref].found {
				fetches = append(fetches, f)
			}
		}
	}
	reads := s.fetchAll(reading, fetches)
	for sub, list := range wants {
		for _, f := range list {
			got, asked := reads[f]
			switch {
			case !asked || known[f.ref]:
			case got.err != nil:
				sub.err = got.err
			case got.raw != nil:
				sub.rows = append(sub.rows, row{ref: f.ref, raw: got.raw, asOf: got.asOf,
					deleted: f.class == paymentMethodClass && got.head.customer == ""})
			}
		}
	}
	return nil
}
