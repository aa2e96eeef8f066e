package customers

import "github.com/dunlin/dunlin/segments/rule"

// A payment is money that arrived: by a charge, or past Stripe for an invoice
// that somebody marked as paid out of band. An invoice that Stripe calls paid is
// none by itself: a credit balance, a trial or a coupon pays invoices, too.
// Refunds and disputes do not undo a payment. Its zero value is none.
type payment struct {
	at       int64 // Unix second
	id       string
	minor    int64 // before refunds, more than zero
	currency string
}

// payments are all of a customer's, whatever their currencies.
type payments struct {
	count int64
	last  payment
}

func (p *payments) add(one payment) {
	if one.minor <= 0 || one.currency == "" {
		return
	}
	if p.count == 0 || newer(one.at, one.id, p.last.at, p.last.id) {
		p.last = one
	}
	p.count++
}

func (s *sources) countPayments() (p payments) {
	for i := range s.charges {
		if c := &s.charges[i]; c.isMoney() {
			p.add(payment{c.Created, c.ID, c.captured(), c.Currency})
		}
	}
	for i := range s.invoices {
		if inv := &s.invoices[i]; inv.Status == "paid" && inv.PaidOutOfBand {
			p.add(inv.outOfBand())
		}
	}
	return p
}

// outOfBand is the payment that Stripe did not see. Where Stripe says that
// nothing was paid, what was due has been.
func (inv *invoice) outOfBand() payment {
	p := payment{inv.StatusTransitions.PaidAt, inv.ID, orZero(inv.AmountPaid), inv.Currency}
	if p.at == 0 {
		p.at = inv.Created
	}
	if p.minor == 0 {
		p.minor = orZero(inv.AmountDue)
	}
	return p
}

// failures are the charges that failed.
type failures struct {
	count int64   // later than the last payment
	last  *charge // ever; nil when none failed
}

// countFailures counts charges, which were really attempted. Stripe raises an
// invoice's attempt_count also for a retry that it planned and did not make.
func (s *sources) countFailures() (f failures) {
	for i := range s.charges {
		c := &s.charges[i]
		if c.Status != "failed" {
			continue
		}
		if s.paid.count == 0 || c.Created > s.paid.last.at {
			f.count++
		}
		if f.last == nil || newer(c.Created, c.ID, f.last.Created, f.last.ID) {
			f.last = c
		}
	}
	return f
}

func (s *sources) paymentCount() any { return rule.NewDecimal(s.paid.count, 0) }

func (s *sources) lastPaymentAt() any { return instant(s.paid.last.at) }

func (s *sources) lastPaymentAmount() any { return amountOf(s.paid.last.minor, s.paid.last.currency) }

func (s *sources) failedPaymentCount() any { return rule.NewDecimal(s.failed.count, 0) }

func (s *sources) lastFailureAt() any {
	if s.failed.last == nil {
		return nil
	}
	return instant(s.failed.last.Created)
}

func (s *sources) lastFailureReason() any {
	if s.failed.last == nil {
		return nil
	}
	if reason := text(s.failed.last.Outcome.Reason); reason != nil {
		return reason
	}
	return text(s.failed.last.FailureCode)
}
