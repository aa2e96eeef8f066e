package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// A Delivery is one row of what was sent, skipped, or waits.
type Delivery struct {
	StripeID    string     `json:"customer"`
	Campaign    string     `json:"campaign"`
	Episode     string     `json:"episode"`
	Step        string     `json:"step"`
	Action      string     `json:"action"`
	State       string     `json:"state"`
	Reason      *string    `json:"reason"`
	ScheduledAt *time.Time `json:"scheduled_at"`
	DueAt       *time.Time `json:"due_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	ClaimedAt   *time.Time `json:"claimed_at"`
	EndedAt     *time.Time `json:"ended_at"`
	ContactID   *string    `json:"contact"`
	ExternalID  *string    `json:"external_id"`
	Detail      *string    `json:"detail"`
}

// WaitForNews counts the deliveries of an account, by name, that wait for stored
// news from Stripe to be applied.
func WaitForNews(ctx context.Context, q customers.Querier, account string) (n int64, err error) {
	err = q.QueryRow(ctx, `
		select count(*) from dunlin.deliveries join dunlin.accounts using (account_id)
		where name = $1 and state = 'planned' and reason = $2`, account, Unapplied).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count deliveries that wait for news: %w", err)
	}
	return n, nil
}

// CountPlanned counts the deliveries that are planned, whatever they wait for.
func CountPlanned(ctx context.Context, q customers.Querier) (n int64, err error) {
	if err := q.QueryRow(ctx, `select count(*) from dunlin.deliveries where state = 'planned'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count planned deliveries: %w", err)
	}
	return n, nil
}

// A DeliveryFilter says which deliveries to list; an empty field does not
// narrow.
type DeliveryFilter struct {
	Customer, Campaign, State string
	Limit                     int
}

// Deliveries lists deliveries, the most recently ended or next due first.
func Deliveries(ctx context.Context, q customers.Querier, f DeliveryFilter) ([]Delivery, error) {
	rows, err := q.Query(ctx, `
		select c.stripe_id, d.campaign, d.episode, d.step, d.action, d.state, d.reason, d.scheduled_at, d.due_at, d.expires_at,
		       d.claimed_at, d.ended_at, d.contact_id, d.external_id, d.detail
		from dunlin.deliveries d join dunlin.customers c using (account_id, customer_id)
		where (@customer = '' or c.stripe_id = @customer) and (@campaign = '' or d.campaign = @campaign)
		  and (@state = '' or d.state = @state)
		order by coalesce(d.ended_at, d.due_at) desc, c.stripe_id, d.campaign, d.episode, d.step
		limit @limit`,
		pgx.StrictNamedArgs{"customer": f.Customer, "campaign": f.Campaign, "state": f.State, "limit": f.Limit})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Delivery])
}
