package intercom

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// ImportedAttributes are what Intercom's own Stripe import keeps of a customer,
// under its names and with its types. Amounts are in major units, instants in
// Unix seconds, a card's expiry is midnight UTC of its last good day.
var ImportedAttributes = []Attribute{
	{Name: "stripe_id", Type: "string"},
	{Name: "stripe_account_balance", Type: "float"},
	{Name: "stripe_delinquent", Type: "boolean"},
	{Name: "stripe_deleted", Type: "boolean"},
	{Name: "stripe_plan", Type: "string"},
	{Name: "stripe_plan_price", Type: "float"},
	{Name: "stripe_plan_interval", Type: "string"},
	{Name: "stripe_plan_interval_count", Type: "integer"},
	{Name: "stripe_subscription_period_start_at", Type: "date"},
	{Name: "stripe_subscription_status", Type: "string"},
	{Name: "stripe_card_expires_at", Type: "date"},
	{Name: "stripe_card_brand", Type: "string"},
	{Name: "stripe_last_charge_amount", Type: "float"},
	{Name: "stripe_last_charge_at", Type: "date"},
}

// ImportedEvents are the events that Intercom's own Stripe import sends.
var ImportedEvents = []string{"invoice_created", "created_subscription", "charged", "charge_refunded", "charge_failed", "deleted_subscription"}

// takes are the types that hold a value of another.
var takes = map[string][]string{"integer": {"integer", "float"}, "date": {"date", "datetime"}}

// ReadyImport finds or creates [ImportedAttributes] at Intercom. It returns the
// names of those that can be written, and says what is wrong with the others.
func ReadyImport(ctx context.Context, client *Client) (writable, trouble []string, err error) {
	listed, err := client.attributes(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, want := range ImportedAttributes {
		a, err := client.findOrCreateAttribute(ctx, want.Name, want.Type, listed)
		if err != nil {
			return nil, nil, err
		}
		if f := unfit(a, want); !f.OK {
			trouble = append(trouble, f.What+"; "+f.Fix)
			continue
		}
		writable = append(writable, want.Name)
	}
	return writable, trouble, nil
}

// unfit says why an attribute cannot hold what is imported.
func unfit(a, want Attribute) Finding {
	switch {
	case !a.Writable:
		return Finding{
			What: fmt.Sprintf("the attribute %q cannot be written by apps, and is not imported", want.Name),
			Fix:  "disconnect Intercom's own Stripe import, or archive the attribute",
		}
	case a.Type != want.Type && !slices.Contains(takes[want.Type], a.Type):
		return Finding{
			What: fmt.Sprintf("the attribute %q is of type %s, cannot hold a %s, and is not imported", want.Name, a.Type, want.Type),
			Fix:  "archive the attribute at Intercom; the import makes it anew",
		}
	}
	return Finding{OK: true}
}

// An ImportRound is how far a round through all customers, and then through the
// events of late, has come.
type ImportRound struct {
	Since    time.Time // business time: when the import was switched on
	AtEvents bool      // the customers are done
	After    Ref       // it goes on after this customer, or after this event
	EventAt  time.Time // business time; zero: from the beginning
	EventID  string
}

// TakeImport takes the round that is due, beginning one where there was none:
// the import is on since now then. It is not ok while somebody else is at it,
// and between rounds.
func TakeImport(ctx context.Context, q Querier, now time.Time) (r ImportRound, ok bool, err error) {
	if _, err := q.Exec(ctx, `insert into dunlin.imports (since) values ($1) on conflict do nothing`, now); err != nil {
		return r, false, fmt.Errorf("begin to import: %w", err)
	}
	var at *time.Time
	err = q.QueryRow(ctx, `
		update dunlin.imports set next_at = null, leased_until = clock_timestamp() + interval '2 minutes'
		where (leased_until is null or leased_until < clock_timestamp()) and (next_at is null or next_at <= clock_timestamp())
		returning since, at_events, account_id, customer_id, event_at, event_id`).
		Scan(&r.Since, &r.AtEvents, &r.After.Account, &r.After.Customer, &at, &r.EventID)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return r, false, nil
	case err != nil:
		return r, false, fmt.Errorf("take the import's round: %w", err)
	case at != nil:
		r.EventAt = *at
	}
	return r, true, nil
}

// SaveImport remembers how far a round has come, and goes on with it.
func SaveImport(ctx context.Context, q Querier, r ImportRound) error {
	return saveImport(ctx, q, r, `leased_until = clock_timestamp() + interval '2 minutes'`)
}

// LeaveImport remembers how far a round has come, and leaves it to whoever takes
// it next.
func LeaveImport(ctx context.Context, q Querier, r ImportRound) error {
	return saveImport(ctx, q, r, `leased_until = null`)
}

// FinishImport ends a round. The next one begins after a while.
func FinishImport(ctx context.Context, q Querier, pause time.Duration) error {
	return saveImport(ctx, q, ImportRound{}, fmt.Sprintf(`leased_until = null, next_at = clock_timestamp() + interval '%d milliseconds'`, pause.Milliseconds()))
}

func saveImport(ctx context.Context, q Querier, r ImportRound, lease string) error {
	var at *time.Time
	if !r.EventAt.IsZero() {
		at = &r.EventAt
	}
	_, err := q.Exec(ctx, `
		update dunlin.imports set at_events = @events, account_id = @account, customer_id = @customer,
			event_at = @at, event_id = @id, `+lease, pgx.StrictNamedArgs{
		"events": r.AtEvents, "account": r.After.Account, "customer": r.After.Customer, "at": at, "id": r.EventID,
	})
	if err != nil {
		return fmt.Errorf("save the import's round: %w", err)
	}
	return nil
}

// EndImport forgets everything of the import, which was switched off. When it is
// switched on again, all is written anew, and events count from then.
func EndImport(ctx context.Context, q Querier) error {
	_, err := q.Exec(ctx, `
		with ended as (delete from dunlin.imports returning one),
		     customers as (delete from dunlin.imported_customers where exists (select from ended))
		delete from dunlin.imported_events where exists (select from ended)`)
	if err != nil {
		return fmt.Errorf("end the import: %w", err)
	}
	return nil
}

// Imported remembers that a contact carries these attributes of a customer, and
// no longer those of another. An empty fingerprint says that they were refused.
func Imported(ctx context.Context, q Querier, r Ref, contact string, fingerprint []byte, projected time.Time) error {
	_, err := q.Exec(ctx, `
		with others as (delete from dunlin.imported_customers
		                where contact_id = @contact and (account_id, customer_id) <> (@account, @customer))
		insert into dunlin.imported_customers (account_id, customer_id, contact_id, fingerprint, projected_at)
		values (@account, @customer, @contact, @fingerprint, @projected)
		on conflict (account_id, customer_id) do update set
			contact_id = excluded.contact_id, fingerprint = excluded.fingerprint, projected_at = excluded.projected_at`,
		pgx.StrictNamedArgs{"account": r.Account, "customer": r.Customer, "contact": contact, "fingerprint": fingerprint, "projected": projected})
	if err != nil {
		return fmt.Errorf("remember what was written of customer %d of account %d: %w", r.Customer, r.Account, err)
	}
	return nil
}

// ImportedEvent remembers that an event was sent, or why it was not and will not
// be; a later word replaces an earlier one.
func ImportedEvent(ctx context.Context, q Querier, r Ref, id string, created time.Time, refused string) error {
	_, err := q.Exec(ctx, `
		insert into dunlin.imported_events (account_id, customer_id, id, created_at, refused)
		values (@account, @customer, @id, @created, nullif(@refused, ''))
		on conflict (account_id, customer_id, id) do update set refused = excluded.refused`,
		pgx.StrictNamedArgs{"account": r.Account, "customer": r.Customer, "id": id, "created": created, "refused": refused})
	if err != nil {
		return fmt.Errorf("remember the event %s of customer %d of account %d: %w", id, r.Customer, r.Account, err)
	}
	return nil
}

// ForgetEvent takes back what ImportedEvent remembered, of an event that surely
// was not sent.
func ForgetEvent(ctx context.Context, q Querier, r Ref, id string) error {
	_, err := q.Exec(ctx, `delete from dunlin.imported_events where account_id = $1 and customer_id = $2 and id = $3`, r.Account, r.Customer, id)
	if err != nil {
		return fmt.Errorf("forget the event %s of customer %d of account %d: %w", id, r.Customer, r.Account, err)
	}
	return nil
}

// SweepImport drops what is remembered of events from before an instant, which
// are not looked at any more.
func SweepImport(ctx context.Context, q Querier, before time.Time) error {
	if _, err := q.Exec(ctx, `delete from dunlin.imported_events where created_at < $1`, before); err != nil {
		return fmt.Errorf("sweep imported events: %w", err)
	}
	return nil
}
