package campaigns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// HoldKind is where a hold comes from.
type HoldKind string

// The kinds of holds. What somebody said holds the whole person: the customer
// and all others that are the same contact. A dispute is about one charge, and
// holds its customer alone.
const (
	HoldManual  HoldKind = "manual"  // somebody said: leave this customer alone
	HoldPromise HoldKind = "promise" // the customer has promised to pay by then
	HoldDispute HoldKind = "dispute" // a charge is disputed, until the bank has decided; nobody sets or lifts it
)

// reason is what a delivery waits for while a hold of this kind is in force.
func (k HoldKind) reason() Reason {
	switch k {
	case HoldPromise:
		return Promised
	case HoldDispute:
		return Disputed
	}
	return OnHold
}

// openDisputes are Stripe's statuses of disputes that are not decided: inquiries
// (warning_…) and those in which money was taken.
var openDisputes = []string{"warning_needs_response", "warning_under_review", "needs_response", "under_review"}

// A NewHold is a hold to be set. A promise that is set takes the place of the
// one before; manual holds stand beside each other, and all have to end.
type NewHold struct {
	Ref    customers.Ref
	Kind   HoldKind  // HoldManual or HoldPromise
	Reason string    // for colleagues; the customer never sees it
	By     string    // who sets it
	Until  time.Time // excluded; zero: until it is lifted
}

// Check says what is wrong with a hold, in words for whoever sets it.
func (h NewHold) Check(now time.Time) error {
	switch {
	case h.Kind != HoldManual && h.Kind != HoldPromise:
		return fmt.Errorf("a %s hold cannot be set", h.Kind)
	case strings.TrimSpace(h.Reason) == "":
		return errors.New("a hold without a reason helps nobody later: say why")
	case strings.TrimSpace(h.By) == "":
		return errors.New("nobody is named who sets the hold")
	case h.Kind == HoldPromise && h.Until.IsZero():
		return errors.New("a promise to pay has a day: say until when")
	case !h.Until.IsZero() && !h.Until.After(now):
		return fmt.Errorf("the hold would be over already: it ends %s", h.Until.Format(time.RFC3339))
	}
	return nil
}

// SetHold says what a hold that was set holds.
type SetHold struct {
	ID     int64
	Others int64 // other customers of the same contact, which it holds, too
}

// Set sets the hold. When its transaction has committed, nothing of the person is
// claimed any more: it waits for claims that are being decided
// (no-stale-contact).
func (h NewHold) Set(ctx context.Context, tx pgx.Tx, now time.Time) (SetHold, error) {
	var set SetHold
	if err := h.Check(now); err != nil {
		return set, err
	}
	size, err := lockPerson(ctx, tx, h.Ref)
	if err != nil {
		return set, err
	}
	set.Others = size - 1
	var until *time.Time
	if !h.Until.IsZero() {
		until = &h.Until
	}
	err = tx.QueryRow(ctx, `
		with replaced as (
			update dunlin.holds set lifted_at = @now, lifted_by = @by
			where account_id = @account and customer_id = @customer and kind = @kind and kind = 'promise' and `+inForce+`)
		insert into dunlin.holds (account_id, customer_id, kind, reason, set_by, set_at, until)
		values (@account, @customer, @kind, @reason, @by, @now, @until) returning hold_id`,
		pgx.StrictNamedArgs{
			"account": h.Ref.Account, "customer": h.Ref.Customer, "kind": h.Kind, "reason": h.Reason, "by": h.By, "now": now, "until": until,
		}).Scan(&set.ID)
	if err != nil {
		return set, fmt.Errorf("set hold of customer %d: %w", h.Ref.Customer, err)
	}
	if h.Kind == HoldPromise { // the one before may have been for longer
		_, err = awakenHeld(ctx, tx, h.Ref, now)
	}
	return set, err
}

// LiftHold ends a hold, and lets what waited for it be decided afresh. It
// returns how many steps that are, and fails when the hold is over already.
func LiftHold(ctx context.Context, tx pgx.Tx, id int64, by string, now time.Time) (woken int64, err error) {
	var ref customers.Ref
	var until, lifted *time.Time
	err = tx.QueryRow(ctx, `select account_id, customer_id, until, lifted_at from dunlin.holds where hold_id = $1`, id).
		Scan(&ref.Account, &ref.Customer, &until, &lifted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, fmt.Errorf("hold %d: %w", id, workspace.ErrNotFound)
	case err != nil:
		return 0, fmt.Errorf("read hold %d: %w", id, err)
	case lifted != nil:
		return 0, fmt.Errorf("hold %d was lifted before, on %s", id, lifted.UTC().Format(time.RFC3339))
	case until != nil && !until.After(now):
		return 0, fmt.Errorf("hold %d is over since %s", id, until.UTC().Format(time.RFC3339))
	}
	_, woken, err = lift(ctx, tx, ref, &id, by, now)
	return woken, err
}

// LiftHolds ends all holds that were set on a customer, and lets what waited for
// them be decided afresh. It returns how many holds and steps that are.
func LiftHolds(ctx context.Context, tx pgx.Tx, ref customers.Ref, by string, now time.Time) (lifted, woken int64, err error) {
	return lift(ctx, tx, ref, nil, by, now)
}

func lift(ctx context.Context, tx pgx.Tx, ref customers.Ref, id *int64, by string, now time.Time) (lifted, woken int64, err error) {
	if _, err := lockPerson(ctx, tx, ref); err != nil {
		return 0, 0, err
	}
	tag, err := tx.Exec(ctx, `
		update dunlin.holds set lifted_at = @now, lifted_by = @by
		where account_id = @account and customer_id = @customer and hold_id = coalesce(@id, hold_id) and `+inForce,
		pgx.StrictNamedArgs{"account": ref.Account, "customer": ref.Customer, "id": id, "by": by, "now": now})
	if err != nil {
		return 0, 0, fmt.Errorf("lift holds of customer %d: %w", ref.Customer, err)
	}
	if tag.RowsAffected() == 0 {
		return 0, 0, nil
	}
	woken, err = awakenHeld(ctx, tx, ref, now)
	return tag.RowsAffected(), woken, err
}

// inForce is true of a hold that holds at @now.
const inForce = `lifted_at is null and (until is null or until > @now)`

// personOf are a customer and all others that are the same contact.
const personOf = `
	select @account::int as account_id, @customer::bigint as customer_id
	union
	select o.account_id, o.customer_id from dunlin.links l join dunlin.links o on o.contact_id = l.contact_id
	where l.account_id = @account and l.customer_id = @customer`

// lockPerson makes whoever decides for the person wait, as a claim does, and
// returns how many customers the person is. A customer without a link has
// nothing to lock, and no message.
func lockPerson(ctx context.Context, tx pgx.Tx, ref customers.Ref) (size int64, err error) {
	args := pgx.StrictNamedArgs{"account": ref.Account, "customer": ref.Customer}
	_, err = tx.Exec(ctx, `
		select from dunlin.links where (account_id, customer_id) in (`+personOf+`)
		order by account_id, customer_id for update`, args)
	if err == nil {
		err = tx.QueryRow(ctx, `select count(*) from (`+personOf+`) p`, args).Scan(&size)
	}
	if err != nil {
		return 0, fmt.Errorf("lock person of customer %d: %w", ref.Customer, err)
	}
	return size, nil
}

// awakenHeld lets what waits for a hold of the person be decided afresh
// (nothing-lost). What another hold still holds waits again.
func awakenHeld(ctx context.Context, tx pgx.Tx, ref customers.Ref, now time.Time) (int64, error) {
	tag, err := tx.Exec(ctx, `
		update dunlin.deliveries set due_at = @now, poked_until = null
		where (account_id, customer_id) in (`+personOf+`) and state = 'planned' and reason = any(@reasons)`,
		pgx.StrictNamedArgs{"account": ref.Account, "customer": ref.Customer, "reasons": []Reason{OnHold, Promised}, "now": now})
	if err != nil {
		return 0, fmt.Errorf("awaken deliveries of customer %d: %w", ref.Customer, err)
	}
	return tag.RowsAffected(), nil
}

// awakenDisputed lets what waits for a dispute be decided afresh when its customer
// has none any more, of the customers a tick names, in the tick's transaction
// (nothing-lost).
func awakenDisputed(ctx context.Context, tx pgx.Tx, t segments.Tick) error {
	args := pgx.NamedArgs{"at": t.At, "reason": Disputed, "open": openDisputes}
	among := `(d.account_id, d.customer_id) in (select * from unnest(@accounts::int[], @customers::bigint[]))`
	if t.Everyone { // a wait for a dispute is an hour at most, and the index is by time
		among = `d.due_at <= @at::timestamptz + @soon::interval`
		args["soon"] = 2 * recheckSlow
	} else {
		args["accounts"], args["customers"] = segments.Columns(t.Changed)
	}
	// The enrollments first, as everybody does. One that a claim is at is left to the
	// hour that the delivery waits at most.
	_, err := tx.Exec(ctx, `
		with over as (
			select d.account_id, d.customer_id, d.campaign, d.episode, d.step
			from dunlin.deliveries d join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
			where `+among+` and d.state = 'planned' and d.reason = @reason and d.due_at > @at
			  and not exists (select from dunlin.disputes o where o.account_id = d.account_id and o.customer_id = d.customer_id and o.status = any(@open))
			for update of e skip locked)
		update dunlin.deliveries d set due_at = @at, poked_until = null
		from over k where `+sameDelivery("d")+` and d.state = 'planned' and d.reason = @reason`, args)
	if err != nil {
		return fmt.Errorf("awaken deliveries after disputes: %w", err)
	}
	return nil
}

// holdsAmong are the holds in force of each of the customers that has any: those
// set on the person, and its own open disputes.
func holdsAmong(ctx context.Context, q customers.Querier, refs []customers.Ref, now time.Time) (map[customers.Ref][]Hold, error) {
	accounts, ids := make([]int, len(refs)), make([]int64, len(refs))
	for i, r := range refs {
		accounts[i], ids[i] = r.Account, r.Customer
	}
	rows, err := q.Query(ctx, `
		with asked as materialized (
			select distinct account_id, customer_id from unnest(@accounts::int[], @customers::bigint[]) a (account_id, customer_id)),
		persons as (
			select account_id, customer_id, account_id as held_account, customer_id as held_customer from asked
			union
			select o.account_id, o.customer_id, a.account_id, a.customer_id
			from asked a
			join dunlin.links l on l.account_id = a.account_id and l.customer_id = a.customer_id
			join dunlin.links o on o.contact_id = l.contact_id)
		select p.held_account, p.held_customer, h.kind, h.until
		from persons p join dunlin.holds h using (account_id, customer_id)
		where `+inForce+`
		union all
		select a.account_id, a.customer_id, 'dispute', null
		from asked a
		where exists (select from dunlin.disputes d
		              where d.account_id = a.account_id and d.customer_id = a.customer_id and d.status = any(@open))
		order by 1, 2, 3, 4`,
		pgx.StrictNamedArgs{"accounts": accounts, "customers": ids, "open": openDisputes, "now": now})
	if err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	var ref customers.Ref
	var kind HoldKind
	var until *time.Time
	held := map[customers.Ref][]Hold{}
	_, err = pgx.ForEachRow(rows, []any{&ref.Account, &ref.Customer, &kind, &until}, func() error {
		h := Hold{Reason: kind.reason()}
		if until != nil {
			h.Until = *until
		}
		held[ref] = append(held[ref], h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	return held, nil
}
