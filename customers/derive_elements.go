package customers

import (
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// The derivations of the collections' catalogs that are more than a field of
// Stripe's object.

// A minorAmount is money as Stripe states it. It is what a derivation returns
// where exact decimals would cost too much: most elements have not changed.
type minorAmount struct {
	minor    int64
	currency string
}

// exact turns what a derivation of a field returned into what rules read.
func exact(v any) any {
	switch v := v.(type) {
	case minorAmount:
		return rule.FromMinor(v.minor, v.currency)
	case int64:
		return rule.NewDecimal(v, 0)
	}
	return v
}

func minorOf(minor *int64, currency string) any {
	if minor == nil || currency == "" {
		return nil
	}
	return minorAmount{*minor, currency}
}

func number(n *int64) any {
	if n == nil {
		return nil
	}
	return *n
}

func boolean(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

var epoch any = time.Unix(0, 0).UTC()

// creation is never missing: without it, it is the epoch.
func creation(second int64) any {
	if at := instant(second); at != nil {
		return at
	}
	return epoch
}

// units are the item's quantity; metered ones have none.
func (it *item) units() any {
	if it == nil {
		return nil
	}
	return number(it.Quantity)
}

// mrr is the subscription's part of the customer's.
func (sub *subscription) mrr() any {
	switch {
	case sub.Currency == "":
		return nil
	case !sub.recurs():
		return minorAmount{0, sub.Currency}
	case !sub.flow.known:
		return nil
	}
	return rule.Money{Amount: sum(sub.flow.net, rule.MinorUnits(sub.Currency)), Currency: sub.Currency}
}

// itemMRR is the item's part of its subscription's mrr. An amount off the whole
// subscription is off no item, so the items' sum is then the larger.
func (s *sources) itemMRR(it *subscriptionItem) any {
	in := it.of.Currency
	switch {
	case in == "":
		return nil
	case !it.of.recurs() || it.Price.Recurring == nil || it.Price.metered():
		return minorAmount{0, in}
	}
	amount, ok := s.amount(it.of, it.item)
	if !ok {
		return nil
	}
	amount = takeOff(takeOff(amount, it.Discounts, in), onlyPercent(s.discounts(it.of)), in)
	m, ok := monthly(amount, it.Price.Recurring)
	if !ok {
		return nil
	}
	return rule.Money{Amount: sum([]fraction{m}, rule.MinorUnits(in)), Currency: in}
}

// cancelsAt is when the subscription will end by a cancellation that was asked
// for: on a date, else with the period. What has ended keeps Stripe's fields,
// and will not end again.
func (sub *subscription) cancelsAt() int64 {
	switch {
	case sub.ended():
		return 0
	case sub.CancelAt == 0 && sub.CancelAtPeriodEnd:
		return sub.periodEnd()
	}
	return sub.CancelAt
}

// taken is what the charge took, before refunds. Before 2020 Stripe did not say
// so: all of it, or nothing.
func (c *charge) taken() *int64 {
	switch {
	case c.AmountCaptured != nil:
		return c.AmountCaptured
	case c.Status == "succeeded" && (c.Captured == nil || *c.Captured):
		return c.Amount
	case c.Status == "":
		return nil
	}
	return new(int64)
}

// methodType is the kind of payment method. Before there were any, the source
// said it: a card, or a source of some type.
func (c *charge) methodType() any {
	switch {
	case c.PaymentMethodDetails.Type != "":
		return text(c.PaymentMethodDetails.Type)
	case c.Source.Object == "source":
		return text(c.Source.Type)
	}
	return text(c.Source.Object)
}
