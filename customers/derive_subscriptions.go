package customers

import (
	"slices"

	"github.com/dunlin/dunlin/segments/rule"
)

// The derivations of what a customer subscribes to, beyond the plan. Most speak
// of the primary subscription and are missing without one.

func (s *sources) quantity() any { return exact(s.item.units()) }

func (s *sources) periodEnd() any { return instant(s.primary.periodEnd()) }

// subscriptionCount counts what has not ended, incomplete and unpaid ones too:
// Stripe may still bill them.
func (s *sources) subscriptionCount() any {
	n := int64(0)
	for i := range s.subscriptions {
		if !s.subscriptions[i].ended() {
			n++
		}
	}
	return rule.NewDecimal(n, 0)
}

// plans are the names of everything that is subscribed to, each once and sorted,
// so that neither the order of rows nor a second seat is news. It is never
// missing: nothing is an empty list.
func (s *sources) plans() any {
	names := []string{}
	for i := range s.subscriptions {
		sub := &s.subscriptions[i]
		if sub.ended() {
			continue
		}
		for j := range sub.Items.Data {
			if name, ok := sub.Items.Data[j].name.(string); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Stripe keeps the end of a trial when the trial is over.
func (s *sources) trialEndsAt() any {
	if s.primary == nil {
		return nil
	}
	return instant(s.primary.TrialEnd)
}

func (s *sources) cancelsAt() any {
	if s.primary == nil {
		return nil
	}
	return instant(s.primary.cancelsAt())
}

func (s *sources) canceledAt() any {
	if s.primary == nil {
		return nil
	}
	return instant(s.primary.CanceledAt)
}

func (s *sources) cancellationReason() any {
	if s.primary == nil {
		return nil
	}
	return text(s.primary.CancellationDetails.Reason)
}

// collectionPaused is not the status paused, which a trial without a payment
// method ends in: while collection is paused the status stays active.
func (s *sources) collectionPaused() any {
	if s.primary == nil {
		return nil
	}
	return s.primary.PauseCollection != nil
}

// applied is the discount that the primary subscription's next invoice will
// have: its own, which overrides the customer's, or the customer's. Of several
// it is the first. It is nil when Stripe named the subscription's own by id only:
// the customer's does not apply then either. Discounts of single items are left
// out.
func (s *sources) applied() *discount {
	if s.primary == nil || s.primary.ended() {
		if d := s.customer.Discount; d != nil && d.Coupon != nil {
			return d
		}
		return nil
	}
	discounts := s.discounts(s.primary)
	for i := range discounts {
		if discounts[i].Coupon != nil {
			return &discounts[i]
		}
	}
	return nil
}

func (s *sources) coupon() any {
	d := s.applied()
	if d == nil {
		return nil
	}
	if name := text(d.Coupon.Name); name != nil {
		return name
	}
	return text(d.Coupon.ID)
}

func (s *sources) couponEndsAt() any {
	d := s.applied()
	if d == nil {
		return nil
	}
	return instant(d.End)
}
