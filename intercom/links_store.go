package intercom

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const linkColumns = `l.account_id, l.customer_id, l.state, coalesce(l.contact_id, ''), coalesce(l.role, ''), coalesce(l.email, ''),
	coalesce(l.external_id, ''), coalesce(l.timezone, ''), coalesce(l.country, ''), coalesce(l.region, ''), coalesce(l.language, ''),
	coalesce(l.opted_out, ''), l.checked_at`

func scanLink(row pgx.CollectableRow) (Link, error) {
	var l Link
	err := row.Scan(&l.Account, &l.Customer, &l.State, &l.ContactID, &l.Role, &l.Email, &l.ExternalID,
		&l.Timezone, &l.Country, &l.Region, &l.Language, &l.OptedOut, &l.CheckedAt)
	return l, err
}

// Stored returns a customer's link as it was last checked, without asking
// Intercom. A customer that was never looked for has the state None and a zero
// CheckedAt.
func (l *Links) Stored(ctx context.Context, q Querier, account int, customer int64) (Link, error) {
	ref := Ref{account, customer}
	links, err := readLinks(ctx, q, []Ref{ref})
	return links[ref], err
}

// readLinks returns a link for each of the customers.
func readLinks(ctx context.Context, q Querier, refs []Ref) (map[Ref]Link, error) {
	accounts, ids := columnsOf(refs)
	rows, err := q.Query(ctx, `
		select `+linkColumns+`
		from unnest($1::int[], $2::bigint[]) as asked (account_id, customer_id)
		join dunlin.links l using (account_id, customer_id)`, accounts, ids)
	if err != nil {
		return nil, fmt.Errorf("read the links of %d customers: %w", len(refs), err)
	}
	stored, err := pgx.CollectRows(rows, scanLink)
	if err != nil {
		return nil, fmt.Errorf("read the links of %d customers: %w", len(refs), err)
	}
	links := make(map[Ref]Link, len(refs))
	for _, r := range refs {
		links[r] = Link{Account: r.Account, Customer: r.Customer, State: None}
	}
	for _, link := range stored {
		links[link.Ref()] = link
	}
	return links, nil
}

// columnsOf are customers as the arrays that unnest takes.
func columnsOf(refs []Ref) (accounts []int, customers []int64) {
	accounts, customers = make([]int, len(refs)), make([]int64, len(refs))
	for i, r := range refs {
		accounts[i], customers[i] = r.Account, r.Customer
	}
	return accounts, customers
}

// store writes links in one statement, each unless a newer one is there. It
// locks in the order of customers, as everybody who waits for links does.
func store(ctx context.Context, q Querier, links ...Link) error {
	if len(links) == 0 {
		return nil
	}
	_, err := q.Exec(ctx, `
		insert into dunlin.links as l
			(account_id, customer_id, state, contact_id, role, email, external_id, timezone, country, region, language, opted_out, checked_at)
		select n."Account", n."Customer", n."State", nullif(n."ContactID", ''), nullif(n."Role", ''), nullif(n."Email", ''),
			nullif(n."ExternalID", ''), nullif(n."Timezone", ''), nullif(n."Country", ''), nullif(n."Region", ''),
			nullif(n."Language", ''), nullif(n."OptedOut", ''), n."CheckedAt"
		from jsonb_to_recordset($1) as n ("Account" int, "Customer" bigint, "State" text, "ContactID" text, "Role" text, "Email" text,
			"ExternalID" text, "Timezone" text, "Country" text, "Region" text, "Language" text, "OptedOut" text, "CheckedAt" timestamptz)
		order by 1, 2
		on conflict (account_id, customer_id) do update set
			state = excluded.state, contact_id = excluded.contact_id, role = excluded.role, email = excluded.email,
			external_id = excluded.external_id, timezone = excluded.timezone, country = excluded.country,
			region = excluded.region, language = excluded.language, opted_out = excluded.opted_out, checked_at = excluded.checked_at
		where l.checked_at <= excluded.checked_at`, links)
	if err != nil {
		return fmt.Errorf("store the links of %d customers: %w", len(links), err)
	}
	return nil
}

// Doubt makes the next [Links.ResolveAll] ask Intercom, however fresh the link
// is. Call it when a call to the contact says [Gone]: it was merged, archived or
// deleted since, which the link cannot tell.
func (l *Links) Doubt(ctx context.Context, q Querier, refs ...Ref) error {
	accounts, ids := columnsOf(refs)
	_, err := q.Exec(ctx, `
		update dunlin.links l set checked_at = 'epoch'
		from unnest($1::int[], $2::bigint[]) as doubted (account_id, customer_id)
		where l.account_id = doubted.account_id and l.customer_id = doubted.customer_id`, accounts, ids)
	if err != nil {
		return fmt.Errorf("doubt the links of %d customers: %w", len(refs), err)
	}
	return nil
}
