package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// readBudget reads, for each person, when they were contacted lately, and which
// messages for them are due (one-budget). Whoever holds the person's lock sees
// every contact: a claim counts from its commit on. Those of one batch, which are
// claimed at once, do not see each other, and so only the first goes.
func (l *look) readBudget(ctx context.Context) error {
	var persons persons
	for _, x := range l.list {
		if x.Step.Contact {
			persons.add(x)
		}
	}
	if len(persons.list) == 0 {
		return nil
	}
	contacts, err := persons.contacts(ctx, l.tx, l.now.Add(-reach(l.settings.Budget)))
	if err != nil {
		return err
	}
	due, err := persons.due(ctx, l.tx, l.now)
	if err != nil {
		return err
	}
	for i, list := range persons.list {
		for _, x := range list {
			x.Contacts = contacts[i].besides(x.key)
			first := func(o ranked) bool { return o.before(x.rank()) }
			x.Rival = slices.ContainsFunc(due[i], first) || slices.ContainsFunc(list, func(o *situated) bool { return first(o.rank()) })
		}
	}
	return nil
}

// persons are whom deliveries would reach, with every customer that each is.
type persons struct {
	places map[string]int
	list   [][]*situated // by person

	// A row for each customer of each person, and its contact.
	of        []int
	contactID []string
	refs      []customers.Ref
}

func (p *persons) add(x *situated) {
	name := person(x.Contact, x.ref())
	at, known := p.places[name]
	if !known {
		if p.places == nil {
			p.places = map[string]int{}
		}
		at = len(p.list)
		p.places[name] = at
		p.list = append(p.list, nil)
		for _, ref := range append([]customers.Ref{x.ref()}, x.Contact.Others...) {
			p.of, p.contactID, p.refs = append(p.of, at), append(p.contactID, x.Contact.ID), append(p.refs, ref)
		}
	}
	p.list[at] = append(p.list[at], x)
}

func (p *persons) args(more pgx.StrictNamedArgs) pgx.StrictNamedArgs {
	accounts, ids := make([]int, len(p.refs)), make([]int64, len(p.refs))
	for i, r := range p.refs {
		accounts[i], ids[i] = r.Account, r.Customer
	}
	more["of"], more["accounts"], more["customers"] = p.of, accounts, ids
	return more
}

// reaches are the deliveries that reached a person, in order.
type reaches []reached

// A reached person is one to whom a delivery got through.
type reached struct {
	key Key
	at  time.Time
}

// besides are the instants of all but one delivery, which may have reached the
// person before and is tried again.
func (c reaches) besides(k Key) (list []time.Time) {
	for _, x := range c {
		if x.key != k {
			list = append(list, x.at)
		}
	}
	return list
}

// contacts are when each person was contacted since an instant, in order: by the
// contact they are, and by the customers, who may have been another contact then.
func (p *persons) contacts(ctx context.Context, tx pgx.Tx, since time.Time) ([]reaches, error) {
	rows, err := tx.Query(ctx, `
		select p.person, d.account_id, d.customer_id, d.campaign, d.episode, d.step, d.contacted_at
		from unnest(@of::int[], @contacts::text[]) as p (person, contact_id)
		cross join lateral (
			select * from dunlin.deliveries d
			where d.contact_id = p.contact_id and coalesce(d.contacted_at, '-infinity') > @since -- only deliveries_contacted will do
			offset 0) d
		where p.contact_id <> ''
		union
		select p.person, d.account_id, d.customer_id, d.campaign, d.episode, d.step, d.contacted_at
		from unnest(@of::int[], @accounts::int[], @customers::bigint[]) as p (person, account_id, customer_id)
		cross join lateral (
			select * from dunlin.deliveries d
			where d.account_id = p.account_id and d.customer_id = p.customer_id and d.contacted_at > @since and d.contacted_at is not null
			offset 0) d`, p.args(pgx.StrictNamedArgs{"contacts": p.contactID, "since": since}))
	if err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	out := make([]reaches, len(p.list))
	var of int
	var k Key
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&of, &k.Account, &k.Customer, &k.Campaign, &k.Episode, &k.Step, &at}, func() error {
		out[of] = append(out[of], reached{k, at})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b reached) int { return a.at.Compare(b.at) })
	}
	return out, nil
}

// notLeaving are the reasons of what is due and was tried in vain, until it is tried
// again: it stays due, for how long nobody knows, and takes nobody's turn meanwhile.
var notLeaving = []Reason{IntercomAway, WebhookFails, Undecided}

// due are the messages for each person that are planned and due, but for those that
// were tried in vain.
func (p *persons) due(ctx context.Context, tx pgx.Tx, now time.Time) ([][]ranked, error) {
	rows, err := tx.Query(ctx, `
		select p.person, d.account_id, d.customer_id, d.campaign, d.episode, d.step, d.priority, d.scheduled_at
		from unnest(@of::int[], @accounts::int[], @customers::bigint[]) as p (person, account_id, customer_id)
		cross join lateral (
			select * from dunlin.deliveries d
			where d.account_id = p.account_id and d.customer_id = p.customer_id
			  and d.state = 'planned' and d.contacts and d.due_at <= @now and coalesce(d.reason, '') <> all(@not_leaving::text[])
			offset 0) d`, p.args(pgx.StrictNamedArgs{"now": now, "not_leaving": notLeaving}))
	if err != nil {
		return nil, fmt.Errorf("read what else is due: %w", err)
	}
	out := make([][]ranked, len(p.list))
	var at int
	var r ranked
	_, err = pgx.ForEachRow(rows, []any{&at, &r.key.Account, &r.key.Customer, &r.key.Campaign, &r.key.Episode, &r.key.Step, &r.priority, &r.at}, func() error {
		out[at] = append(out[at], r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what else is due: %w", err)
	}
	return out, nil
}

// ranked is what decides which of several messages for one person goes first:
// priority, then the older one.
type ranked struct {
	priority int
	at       *time.Time
	key      Key
}

func (x *situated) rank() ranked { return ranked{x.priority, x.scheduled, x.key} }

func (r ranked) before(o ranked) bool {
	var older int
	switch {
	case r.at != nil && o.at != nil:
		older = r.at.Compare(*o.at)
	case r.at != nil:
		older = -1
	case o.at != nil:
		older = 1
	}
	return cmp.Or(cmp.Compare(o.priority, r.priority), older, r.key.compare(o.key)) < 0
}

// compare orders keys, so that of two that are alike otherwise it is always the
// same one that goes first.
func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Account, o.Account), cmp.Compare(k.Customer, o.Customer),
		strings.Compare(k.Campaign, o.Campaign), strings.Compare(k.Episode, o.Episode), strings.Compare(k.Step, o.Step))
}
