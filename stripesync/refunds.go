package stripesync

import (
	"context"
	"sync"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// refunded is the only event that Stripe's API of 2023-10-16 sends for an
// ordinary refund, and its payload is the charge (facts/stripe.md 2.1).
const refunded = "charge.refunded"

// readRefunds adds the refunds of charges that were refunded, read side by side:
// a merchant may refund many at once, and a batch has little time. A charge whose
// refunds cannot be read now waits.
func (s *Sync) readRefunds(ctx context.Context, subjects []*subject) {
	places := make(chan struct{}, fetchers)
	var workers sync.WaitGroup
	for _, sub := range subjects {
		told := false
		for _, n := range sub.news {
			told = told || n.eventType == refunded
		}
		if !told || sub.err != nil || sub.state == "ignored" {
			continue
		}
		places <- struct{}{}
		workers.Go(func() {
			defer func() { <-places }()
			rows, err := s.refundsOf(ctx, sub.id)
			sub.rows, sub.err = append(sub.rows, rows...), err
		})
	}
	workers.Wait()
}

// refundsOf are the refunds of a charge; more than a page of them there are not.
// The charge expanded in them is left out: the event has it.
func (s *Sync) refundsOf(ctx context.Context, charge string) ([]row, error) {
	query := &form.Values{}
	form.AppendTo(query, &stripe.RefundListParams{
		ListParams: stripe.ListParams{Limit: stripe.Int64(pageSize)}, Charge: stripe.String(charge), Expand: inData(expands[refundClass]),
	})
	got, err := s.stripe.get(ctx, "/v1/refunds", query, 2)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	body, err := readList("/v1/refunds", got.raw)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, raw := range body.Data {
		h, err := readHead(raw)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{ref: ref{refundClass, h.customer, h.id}, raw: raw, asOf: got.asOf})
	}
	return rows, nil
}
