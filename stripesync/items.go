package stripesync

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

const itemsPath = "/v1/subscription_items"

// itemsOf are all items of a subscription that has more than Stripe puts inside
// it, and those of the mirror that are gone.
func (s *Sync) itemsOf(ctx context.Context, subscription row) (rows []row, err error) {
	known, err := s.knownItems(ctx, subscription.ref)
	if err != nil {
		return nil, err
	}
	for cursor, more := "", true; more; {
		p := &stripe.SubscriptionItemListParams{
			ListParams: stripe.ListParams{Limit: stripe.Int64(pageSize)}, Subscription: stripe.String(subscription.id),
		}
		if cursor != "" {
			p.StartingAfter = stripe.String(cursor)
		}
		query := &form.Values{}
		form.AppendTo(query, p)
		got, err := s.stripe.get(ctx, itemsPath, query, 2)
		if missing(err) {
			return nil, nil // with its subscription, since it was listed
		}
		if err != nil {
			return nil, err
		}
		body, err := readList(itemsPath, got.raw)
		if err != nil {
			return nil, err
		}
		for _, raw := range body.Data {
			h, err := readHead(raw)
			if err != nil || h.id == "" {
				return nil, fmt.Errorf("GET %s: an object in the answer has no id", itemsPath)
			}
			cursor = h.id
			known = slices.DeleteFunc(known, func(id string) bool { return id == h.id })
			rows = append(rows, row{ref: ref{itemClass, subscription.customer, h.id}, raw: raw, asOf: got.asOf})
		}
		if more = body.HasMore && len(body.Data) > 0; !more {
			for _, id := range known {
				rows = append(rows, row{ref: ref{itemClass, subscription.customer, id}, asOf: got.asOf, deleted: true})
			}
		}
	}
	return rows, nil
}

// knownItems are the ids of the items that the mirror has of a subscription.
func (s *Sync) knownItems(ctx context.Context, subscription ref) ([]string, error) {
	rows, err := s.pool.Query(ctx, `
		select id from dunlin.stripe_subscription_items
		where account_id = $1 and customer = $2 and raw ->> 'subscription' = $3 and not deleted`, s.account, subscription.customer, subscription.id)
	if err != nil {
		return nil, fmt.Errorf("read the items of subscription %q: %w", subscription.id, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the items of subscription %q: %w", subscription.id, err)
	}
	return ids, nil
}
