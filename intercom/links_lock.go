package intercom

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// A Person is who a customer is: its link, and the other customers that are
// linked to the same contact.
type Person struct {
	Link
	Others []Ref
}

// ReadAll returns the persons that customers are, as their links were stored
// last. It asks nobody and locks nothing. A customer that was never looked for
// is a person of its own, with the state None and a zero CheckedAt.
func (l *Links) ReadAll(ctx context.Context, q Querier, refs []Ref) (map[Ref]Person, error) {
	persons, _, err := readPersons(ctx, q, refs)
	return persons, err
}

// LockAll is ReadAll that locks the persons until tx ends, and never waits: a
// person whom somebody else has locked, or whose links are just being written,
// is left out of the result, with all its customers; the caller tries those
// again later. So two transactions never decide for one person at the same time,
// and never wait for each other (one-budget). A customer that was never looked
// for has nothing to lock.
func (l *Links) LockAll(ctx context.Context, tx Querier, refs []Ref) (map[Ref]Person, error) {
	persons, _, err := readPersons(ctx, tx, refs)
	if err != nil {
		return nil, err
	}
	locked, err := lockPersons(ctx, tx, persons)
	if err != nil {
		return nil, err
	}
	// Read again: meanwhile links may have moved to other contacts. Those that
	// are locked cannot any more.
	persons, rows, err := readPersons(ctx, tx, refs)
	if err != nil {
		return nil, err
	}
	for ref, p := range persons {
		for _, r := range append(p.Others, ref) {
			if rows[r] && !locked[r] {
				delete(persons, ref)
				break
			}
		}
	}
	return persons, nil
}

// lockPersons locks what it can of the persons' links, and tells what it could.
// The first link of each person comes before the others, so that of two
// transactions that want a person one gets it, and not each a part.
func lockPersons(ctx context.Context, tx Querier, persons map[Ref]Person) (map[Ref]bool, error) {
	locked := make(map[Ref]bool, len(persons))
	var first, rest []Ref
	for ref, p := range persons {
		first = append(first, p.first(ref))
	}
	if err := lockLinks(ctx, tx, first, locked); err != nil {
		return nil, err
	}
	for ref, p := range persons {
		if len(p.Others) > 0 && locked[p.first(ref)] {
			rest = append(append(rest, ref), p.Others...)
		}
	}
	if len(rest) == 0 {
		return locked, nil
	}
	return locked, lockLinks(ctx, tx, rest, locked)
}

func (p Person) first(own Ref) Ref {
	for _, r := range p.Others {
		if r.Account < own.Account || r.Account == own.Account && r.Customer < own.Customer {
			own = r
		}
	}
	return own
}

func lockLinks(ctx context.Context, tx Querier, refs []Ref, locked map[Ref]bool) error {
	accounts, ids := columnsOf(refs)
	rows, err := tx.Query(ctx, `
		select l.account_id, l.customer_id
		from (select distinct account_id, customer_id from unnest($1::int[], $2::bigint[]) as a (account_id, customer_id)) wanted
		join dunlin.links l using (account_id, customer_id)
		order by 1, 2
		for update of l skip locked`, accounts, ids)
	if err != nil {
		return fmt.Errorf("lock %d links: %w", len(refs), err)
	}
	var r Ref
	if _, err := pgx.ForEachRow(rows, []any{&r.Account, &r.Customer}, func() error { locked[r] = true; return nil }); err != nil {
		return fmt.Errorf("lock %d links: %w", len(refs), err)
	}
	return nil
}

// readPersons also tells which customers have a link at all, of those that were
// asked for and everybody who is the same contact as one of them.
func readPersons(ctx context.Context, q Querier, refs []Ref) (map[Ref]Person, map[Ref]bool, error) {
	accounts, ids := columnsOf(refs)
	rows, err := q.Query(ctx, `
		with asked as (select * from unnest($1::int[], $2::bigint[]) as a (account_id, customer_id)),
		     contacts as (select distinct l.contact_id from asked join dunlin.links l using (account_id, customer_id) where l.contact_id is not null),
		     rows as (select account_id, customer_id from asked
		              union select l.account_id, l.customer_id from contacts join dunlin.links l using (contact_id))
		select `+linkColumns+` from rows join dunlin.links l using (account_id, customer_id)
		order by 1, 2`, accounts, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("read the persons of %d customers: %w", len(refs), err)
	}
	links, err := pgx.CollectRows(rows, scanLink)
	if err != nil {
		return nil, nil, fmt.Errorf("read the persons of %d customers: %w", len(refs), err)
	}
	exists := make(map[Ref]bool, len(links))
	sharing := map[string][]Ref{} // by contact
	byRef := make(map[Ref]Link, len(links))
	for _, link := range links {
		exists[link.Ref()], byRef[link.Ref()] = true, link
		if link.ContactID != "" {
			sharing[link.ContactID] = append(sharing[link.ContactID], link.Ref())
		}
	}
	persons := make(map[Ref]Person, len(refs))
	for _, ref := range refs {
		p := Person{Link: Link{Account: ref.Account, Customer: ref.Customer, State: None}}
		if exists[ref] {
			p.Link = byRef[ref]
		}
		for _, other := range sharing[p.ContactID] {
			if other != ref {
				p.Others = append(p.Others, other)
			}
		}
		persons[ref] = p
	}
	return persons, exists, nil
}
