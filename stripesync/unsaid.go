package stripesync

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
)

// withUnsaid completes subscriptions that Stripe does not write out: with the
// coupons when it names them by id only, and with the items beyond ten
// (facts/stripe.md 1.2, 1.4). What is read for that is counted like any read.
func (s *Sync) withUnsaid(ctx context.Context, rows []row) ([]row, error) {
	rows, err := s.withDiscounts(ctx, rows)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.class != subscriptionClass || r.deleted || !unsaidIn(r.raw).items {
			continue
		}
		items, err := s.itemsOf(ctx, r)
		if err != nil {
			return nil, err
		}
		rows = append(rows, items...)
	}
	return rows, nil
}

// readUnsaid does that for the objects of a batch, side by side. One that cannot be
// completed waits.
func (s *Sync) readUnsaid(ctx context.Context, subjects []*subject) {
	places := make(chan struct{}, fetchers)
	var workers sync.WaitGroup
	for _, sub := range subjects {
		if sub.class != subscriptionClass || sub.err != nil || len(sub.rows) == 0 {
			continue
		}
		places <- struct{}{}
		workers.Go(func() {
			defer func() { <-places }()
			rows, err := s.withUnsaid(ctx, sub.rows)
			if sub.err = err; err == nil {
				sub.rows = rows
			}
		})
	}
	workers.Wait()
}

// withDiscounts reads the subscriptions of which only the ids of coupons are known,
// one by one: lists could expand them, but few subscriptions have several. When
// reads have to be saved they stay unknown.
func (s *Sync) withDiscounts(ctx context.Context, rows []row) ([]row, error) {
	if s.reads.saving.Load() {
		return rows, nil
	}
	var fetches []fetch
	for _, r := range rows {
		if r.class == subscriptionClass && !r.deleted && unsaidIn(r.raw).discounts {
			fetches = append(fetches, fetch{ref: r.ref, discounts: true})
		}
	}
	if len(fetches) == 0 {
		return rows, nil
	}
	reads := s.fetchAll(ctx, fetches)
	for i, r := range rows {
		switch got := reads[fetch{ref: r.ref, discounts: true}]; {
		case got.err != nil:
			return nil, got.err
		case got.raw != nil:
			rows[i].raw, rows[i].asOf = got.raw, later(got.asOf, r.asOf)
		}
	}
	return rows, nil
}

// discounted reports whether an event of the object names coupons by id only.
func (sub *subject) discounted() bool {
	return sub.class == subscriptionClass && slices.ContainsFunc(sub.news, func(n news) bool { return unsaidIn(n.object).discounts })
}

// unsaid is what Stripe left out of a subscription.
type unsaid struct{ items, discounts bool }

func unsaidIn(subscription []byte) unsaid {
	var s struct {
		Discount  json.RawMessage   `json:"discount"`
		Discounts []json.RawMessage `json:"discounts"`
		Items     struct {
			HasMore bool `json:"has_more"`
			Data    []struct {
				Discounts []json.RawMessage `json:"discounts"`
			} `json:"data"`
		} `json:"items"`
	}
	if subscription == nil || json.Unmarshal(subscription, &s) != nil {
		return unsaid{}
	}
	u := unsaid{items: s.Items.HasMore, discounts: !isObject(s.Discount) && namedOnly(s.Discounts)}
	for _, item := range s.Items.Data {
		u.discounts = u.discounts || namedOnly(item.Discounts)
	}
	return u
}

// namedOnly tells that one of the discounts is an id and nothing else.
func namedOnly(discounts []json.RawMessage) bool {
	for _, d := range discounts {
		if !isObject(d) {
			return true
		}
	}
	return false
}
