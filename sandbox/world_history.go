package sandbox

import (
	"slices"
	"time"
)

// record is one state of a customer's history and how much of it is still to be
// told: its events whose webhooks nobody has answered 2xx yet.
type record struct {
	State
	waiting int
}

// remember appends the customer's state when the change under way altered it,
// and ties the change's events to it. Of several changes at one instant only
// what they led to is kept: it is what was true from that instant on.
func (w *world) remember(c *customer) {
	if w.now < w.start {
		return
	}
	now := w.state(c)
	if n := len(c.history); n > 0 && same(c.history[n-1].State, now) {
		return
	}
	if n := len(c.history); n > 0 && c.history[n-1].At.Equal(now.At) {
		c.history[n-1].State = now
	} else {
		c.history = append(c.history, record{State: now})
	}
	last := len(c.history)
	for _, e := range w.changing {
		if e.pending > 0 && e.record == 0 {
			e.record = last
			c.history[last-1].waiting++
		}
	}
}

// told notes that one endpoint has answered an event's webhook 2xx, at a virtual
// instant. The event is told when all have that want it.
func (w *world) told(e *event, at time.Time) {
	if e.pending--; e.pending > 0 || e.record == 0 {
		return
	}
	r := &e.customer.history[e.record-1]
	if r.waiting--; r.waiting == 0 {
		r.Told = at
	}
}

// state is what is true of the customer now.
func (w *world) state(c *customer) State {
	s := State{At: time.Unix(w.now, 0).UTC(), Deleted: c.deleted, Delinquent: c.delinquent}
	for _, sub := range c.subs { // oldest first
		main := sub.items[0]
		s.Subscriptions = append(s.Subscriptions, SubscriptionState{ID: sub.id, Status: sub.status, Plan: main.price.product.name,
			Amount: main.price.amount, Quantity: main.quantity, Currency: c.currency, Interval: main.price.interval})
	}
	for _, i := range c.open() {
		s.Open = append(s.Open, OpenInvoice{ID: i.id, Remaining: i.remaining(), Currency: i.currency})
	}
	if m := c.pays(c.primary()); m != nil && m.kind == "card" {
		s.Card = &CardState{PaymentMethod: m.id, Brand: titleBrand(m.brand), Last4: m.last4, ExpMonth: m.month, ExpYear: m.year}
	}
	return s
}

// same compares what two states say, whenever it became true.
func same(a, b State) bool {
	if (a.Card == nil) != (b.Card == nil) || a.Card != nil && *a.Card != *b.Card {
		return false
	}
	return a.Deleted == b.Deleted && a.Delinquent == b.Delinquent &&
		slices.Equal(a.Subscriptions, b.Subscriptions) && slices.Equal(a.Open, b.Open)
}

// resident copies what the judge may know of a customer.
func (c *customer) resident() Resident {
	r := Resident{Customer: c.id, Name: c.name, Contacts: slices.Clone(c.contacts)}
	if c.address {
		r.Country, r.State = c.place.country, c.place.state
	}
	for _, h := range c.history {
		r.History = append(r.History, h.State)
	}
	return r
}
