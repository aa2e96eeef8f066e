package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// A HoldRow is a line of dunlin holds.
type HoldRow struct {
	ID       *int64     `json:"id"` // null: a dispute
	Kind     HoldKind   `json:"kind"`
	StripeID string     `json:"customer"` // on which it was set
	Account  string     `json:"account"`
	Reason   string     `json:"reason"` // of a dispute: its id and status at Stripe
	SetBy    *string    `json:"set_by"` // null: a dispute
	SetAt    time.Time  `json:"set_at"`
	Until    *time.Time `json:"until"` // null: until it is lifted, or the dispute is decided
	LiftedBy *string    `json:"lifted_by"`
	LiftedAt *time.Time `json:"lifted_at"`
}

// A HoldFilter says which holds to list.
type HoldFilter struct {
	Customer string // of Stripe: those that hold it, also when they were set on another customer of its contact; empty: all
	All      bool   // those that are over, too, but for disputes
}

// Holds lists holds and open disputes, the newest first.
func Holds(ctx context.Context, q customers.Querier, f HoldFilter, now time.Time) ([]HoldRow, error) {
	rows, err := q.Query(ctx, `
		with named as (select account_id, customer_id from dunlin.customers where stripe_id = @customer),
		held as (
			select account_id, customer_id from named
			union
			select o.account_id, o.customer_id
			from named n join dunlin.links l using (account_id, customer_id) join dunlin.links o on o.contact_id = l.contact_id),
		listed as (
			select account_id, customer_id, hold_id, kind, reason, set_by, set_at, until, lifted_by, lifted_at
			from dunlin.holds
			where (@all or `+inForce+`) and (@customer = '' or (account_id, customer_id) in (select * from held))
			union all
			select account_id, customer_id, null, 'dispute', id || ' ' || status, null, created_at, null, null, null
			from dunlin.disputes
			where status = any(@open) and (@customer = '' or (account_id, customer_id) in (select * from named)))
		select x.hold_id, x.kind, c.stripe_id, a.name, x.reason, x.set_by, x.set_at, x.until, x.lifted_by, x.lifted_at
		from listed x join dunlin.customers c using (account_id, customer_id) join dunlin.accounts a using (account_id)
		order by x.set_at desc, x.hold_id desc nulls last, c.stripe_id, x.reason`,
		pgx.StrictNamedArgs{"customer": f.Customer, "all": f.All, "open": openDisputes, "now": now})
	if err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[HoldRow])
	if err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	for i := range list {
		h := &list[i]
		h.SetAt, h.Until, h.LiftedAt = h.SetAt.UTC(), inUTC(h.Until), inUTC(h.LiftedAt)
	}
	return list, nil
}
