package customers

import (
	"slices"
	"strings"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// An event is something that happened to a customer. All but one kind follow
// from the mirror: whatever Stripe sent, how often and in which order, an event
// is there once for each object it is about. The six of Intercom's own Stripe
// import have its names (facts/stripe.md 1.1).
type event struct {
	kind     string
	object   string // of Stripe: what it is about
	at       any    // time.Time
	minor    *int64
	currency string
}

// The kinds of events.
const (
	invoiceCreated      = "invoice_created"
	createdSubscription = "created_subscription"
	charged             = "charged"
	chargeRefunded      = "charge_refunded"
	chargeFailed        = "charge_failed"
	deletedSubscription = "deleted_subscription"
	paymentRecovered    = "payment_recovered"
	cardUpdated         = "card_updated"
	trialWillEnd        = "trial_will_end"
	firstPayment        = "first_payment"
)

var eventKinds = []string{
	invoiceCreated, createdSubscription, charged, chargeRefunded, chargeFailed, deletedSubscription,
	paymentRecovered, cardUpdated, trialWillEnd, firstPayment,
}

// EventKinds are the kinds of events, in the order in which docs list them.
func EventKinds() []string { return slices.Clone(eventKinds) }

var eventCatalog = []field[event]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "id",
		Help: "the event's kind and its object: 'charge_failed:ch_…'",
	}, func(_ *sources, e *event) any { return e.id() }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "created, ended_at, status_transitions.paid_at, trial_end",
		Help: "when it happened; of trial_will_end three days before the trial ends, which may lie ahead",
	}, func(_ *sources, e *event) any { return e.at }},
	{rule.Attribute{
		Name: "type", Type: rule.Text, Values: eventKinds, From: "status",
		Help: "what happened: invoice_created, created_subscription, charged, charge_refunded, charge_failed, deleted_subscription, payment_recovered (an invoice was paid after a charge for it had failed), card_updated (another card, or another expiry, than was known before), trial_will_end, first_payment",
	}, func(_ *sources, e *event) any { return e.kind }},
	{rule.Attribute{
		Name: "object", Type: rule.Text, From: "id",
		Help: "id at Stripe of what it is about: an invoice, a subscription, a charge, a refund or a payment method",
	}, func(_ *sources, e *event) any { return text(e.object) }},
	{rule.Attribute{
		Name: "amount", Type: rule.MoneyType, Unit: major, From: "amount_due, amount_captured, amount, amount_paid",
		Help: "the money in question: due, taken, given back, or not to be had; missing for subscriptions, trials and cards",
	}, func(_ *sources, e *event) any { return minorOf(e.minor, e.currency) }},
}

func (e *event) id() string { return e.kind + ":" + e.object }

// gatherEvents lists the events that follow from the mirror.
func (s *sources) gatherEvents() (list []event) {
	add := func(kind, object string, at int64, minor *int64, currency string) {
		if when := instant(at); when != nil && object != "" {
			list = append(list, event{kind, object, when, minor, currency})
		}
	}
	failed := map[string]bool{} // invoices
	var first *charge
	for i := range s.charges {
		c := &s.charges[i]
		switch {
		case c.isMoney():
			taken := c.captured()
			add(charged, c.ID, c.Created, &taken, c.Currency)
			if taken > 0 && (first == nil || newer(first.Created, first.ID, c.Created, c.ID)) {
				first = c
			}
		case c.Status == "failed":
			add(chargeFailed, c.ID, c.Created, c.Amount, c.Currency)
			failed[c.Invoice.ID] = true
		}
	}
	if first != nil {
		taken := first.captured()
		// Named after the customer: there is one, whichever charge it turns out to be.
		add(firstPayment, s.customer.ID, first.Created, &taken, first.Currency)
	}
	for i := range s.invoices {
		inv := &s.invoices[i]
		add(invoiceCreated, inv.ID, inv.Created, inv.AmountDue, inv.Currency)
		if inv.Status == "paid" && inv.ID != "" && failed[inv.ID] {
			add(paymentRecovered, inv.ID, inv.StatusTransitions.PaidAt, inv.AmountPaid, inv.Currency)
		}
	}
	for i := range s.refunds {
		if r := &s.refunds[i]; r.Status != "failed" && r.Status != "canceled" {
			add(chargeRefunded, r.ID, r.Created, r.Amount, r.Currency)
		}
	}
	for i := range s.subscriptions {
		s.subscriptions[i].events(add)
	}
	return list
}

// trialNotice is how long before a trial's end Stripe says so (facts/stripe.md 2.1).
const trialNotice = 3 * 24 * 60 * 60

func (sub *subscription) events(add func(kind, object string, at int64, minor *int64, currency string)) {
	add(createdSubscription, sub.ID, sub.Created, nil, "")
	ended := sub.EndedAt
	if sub.Status == "canceled" {
		if ended == 0 {
			ended = sub.CanceledAt
		}
		add(deletedSubscription, sub.ID, ended, nil, "")
	}
	if sub.TrialEnd > 0 {
		at := max(sub.TrialEnd-trialNotice, sub.Created)
		if ended == 0 || ended > at {
			add(trialWillEnd, sub.ID, at, nil, "")
		}
	}
}

// eventsPlace is the place of the events among the collections.
func eventsPlace() int { return collectionPlace["events"] }

// remembered tells an event that does not follow from the mirror, which holds
// only the card as it is now: it stays when it is not derived again.
func (k elementKey) remembered() bool {
	return k.collection == eventsPlace() && strings.HasPrefix(k.id, cardUpdated+":")
}

// hadCard tells that a card was detached, perhaps before the next one was chosen.
func (s *sources) hadCard() bool {
	for _, m := range s.methods {
		if m.detached && m.asCard() != nil {
			return true
		}
	}
	return false
}

// updatedCard is the event of a customer whose card, or whose card's expiry, is
// another than it was; nil when it is none, or there was no card.
func (s *sources) updatedCard(was, is Picture) *event {
	before, after := was.Value("card_expires_at"), is.Value("card_expires_at")
	switch {
	case is.CardID == "",
		was.CardID == "" && !s.hadCard(),
		was.CardID == is.CardID && (before == nil || after == nil || same(before, after)):
		return nil
	}
	state := is.CardID
	if expiry, ok := after.(rule.Date); ok {
		state += " " + expiry.String()
	}
	at := s.asOf
	if s.method != nil && !s.method.asOf.IsZero() {
		at = s.method.asOf
	}
	return &event{kind: cardUpdated, object: state, at: at.UTC().Truncate(time.Microsecond)}
}
