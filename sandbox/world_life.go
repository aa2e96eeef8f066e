package sandbox

import "strings"

// What people do of their own accord: end, change plan, leave for good, put
// things right without a word, and sign up.

// expectLife decides, once a period, whether the customer will do something in it.
func (w *world) expectLife(s *subscription) {
	end := s.end
	then := func(purpose string, f func()) {
		w.later(w.between(onGrid(w.now+day), end-day, s.id, purpose, s.period), s.customer, func() {
			if s.status == "active" && !s.customer.deleted && s.end == end {
				f()
			}
		})
	}
	w.expectDeletion(s)
	switch x := w.unit(s.id, "life", s.period); {
	case x < 0.020:
		then("ends", func() { w.endAtPeriodEnd(s) })
	case x < 0.035:
		then("changes plan", func() { w.changePlan(s) })
	case x < 0.039:
		then("leaves", func() { w.leave(s.customer) })
	}
}

var feedbacks = []string{"too_expensive", "missing_features", "switched_service", "unused", "too_complex", "other"}

// endAtPeriodEnd asks for the end of a subscription; some think better of it.
func (w *world) endAtPeriodEnd(s *subscription) {
	c := s.customer
	if s.cancelAtPeriodEnd {
		return
	}
	w.change(c, func() {
		w.byCall(c)
		w.updated("customer.subscription.updated", c, s, func() {
			s.cancelAtPeriodEnd, s.canceledAt = true, w.now
			s.reason, s.feedback = "cancellation_requested", feedbacks[w.pick(len(feedbacks), s.id, "feedback", s.period)]
		})
		w.say("ends", c.called()+" asked to end "+s.items[0].price.product.name+" at the end of the period")
	})
	if !w.chance(0.15, s.id, "stays after all", s.period) {
		return
	}
	w.later(w.between(onGrid(w.now+day), s.end, s.id, "stays at", s.period), c, func() {
		if !s.cancelAtPeriodEnd || !s.live() {
			return
		}
		w.change(c, func() {
			w.byCall(c)
			w.updated("customer.subscription.updated", c, s, func() {
				s.cancelAtPeriodEnd, s.canceledAt, s.reason, s.feedback = false, 0, "", ""
			})
			w.say("stays", c.called()+" stays after all")
		})
	})
}

// changePlan moves the main item one plan up or down, from the next invoice on.
func (w *world) changePlan(s *subscription) {
	c, main := s.customer, s.items[0]
	to := 0
	for n, p := range w.catalog.products {
		if p == main.price.product {
			to = n
		}
	}
	if to == business || to > starter && w.chance(0.35, s.id, "downgrade", s.period) {
		to--
	} else {
		to++
	}
	w.switchPrice(s, w.catalog.price(to, c.currency, main.price.interval))
}

func (w *world) switchPrice(s *subscription, p *price) {
	c := s.customer
	was := s.items[0].price
	w.change(c, func() {
		w.byCall(c)
		w.updated("customer.subscription.updated", c, s, func() { s.items[0].price = p })
		w.say("plan", c.called()+" changed from "+was.product.name+" to "+p.product.name)
	})
}

// leave deletes the customer: that cancels what they have at once and cannot be
// undone. The event carries the whole customer and no deleted flag (facts 1.2, 1.6).
func (w *world) leave(c *customer) {
	w.change(c, func() {
		w.byCall(c)
		for _, s := range c.subs {
			if s.live() {
				w.cancel(s, "cancellation_requested")
			}
		}
		w.emit("customer.deleted", c, c, nil)
		c.deleted = true
		w.say("deleted", c.called()+" was deleted")
	})
}

// expectCure has some put a failed payment right without a word. Before the start
// more did: there was somebody who telephoned.
func (w *world) expectCure(i *invoice) {
	p := 0.12
	if w.now < w.start {
		p = 0.45
	}
	if !w.chance(p, i.id, "cures", i.attempts) {
		return
	}
	w.later(w.between(onGrid(w.now+3*hour), w.now+70*hour, i.id, "cures at", i.attempts), i.customer, func() {
		w.settleUp(i.customer)
	})
}

// expectNewCard has some replace a card that is about to expire by themselves.
func (w *world) expectNewCard(c *customer, m *method) {
	if m.kind != "card" || !w.chance(0.08, m.id, "replaced unasked", 0) {
		return
	}
	end := m.expiry()
	from := onGrid(max(end-28*day, w.now+step))
	if end <= from {
		return
	}
	w.later(w.between(from, end, m.id, "replaced unasked at", 0), c, func() {
		if c.deleted || c.pays(c.primary()) != m || m.expiry() != end {
			return
		}
		w.change(c, func() {
			w.byCall(c)
			w.replaceCard(c)
			w.say("card", c.called()+" put in a new card before the old one expired")
		})
	})
}

// settleUp is a person paying what is open: with the card they have when it is
// good and they care to, else with a new one. One payment, one change.
func (w *world) settleUp(c *customer) {
	open := c.open()
	if c.deleted || len(open) == 0 {
		return
	}
	w.change(c, func() {
		w.byCall(c)
		m := c.pays(c.primary())
		good := m != nil && m.kind == "card" && m.dead == "" && !m.expired(w.now)
		if !good || !w.chance(0.35, open[0].id, "pays with the same card", 0) {
			w.replaceCard(c)
		}
		for _, i := range open {
			w.charge(i, c.pays(i.sub), "")
			w.settle(i)
			w.say("recovered", c.called()+" paid "+moneyText(i.total, i.currency)+" after all")
		}
	})
}

// expectSignUp has the next newcomer come, at a pace that fits the merchant's
// size; each newcomer brings the next.
func (w *world) expectSignUp() {
	gap := float64(day) / (1.5 * float64(max(w.settled, 20)) / 2000)
	c := w.newCustomer(w.newcomers)
	w.newcomers++
	w.later(onGrid(w.now+int64(gap*(0.3+1.4*w.unit(c.key, "gap", 0)))), c, func() {
		w.signUp(c)
		w.say("new", c.called()+" signed up for "+c.subs[0].items[0].price.product.name)
		w.introduce(c)
		w.expectSignUp()
	})
}

// signUp creates the customer, their card and their subscription, and takes the
// first payment: all in one second, as a checkout does. The subscription is born
// incomplete and becomes active when the payment is through.
func (w *world) signUp(c *customer) {
	w.change(c, func() {
		w.byCall(c)
		c.created = w.now
		w.addCustomer(c)
		w.emit("customer.created", c, c, nil)
		m := w.newMethod(c, "card", false, w.firstExpiry(c))
		w.attach(c, m)
		w.expectNewCard(c, m)
		var s *subscription
		w.updated("customer.updated", c, c, func() { // the customer has a currency now
			s = w.makeSubscription(c, 0, w.now)
			s.status = "incomplete"
			w.addSubscription(s)
		})
		i := w.draft(s, w.now, "subscription_create")
		i.next = 0
		s.latest = i
		w.emit("customer.subscription.created", c, s, nil)
		w.emit("invoice.created", c, i, nil)
		w.openInvoice(i)
		w.charge(i, m, "")
		w.settle(i)
		w.updated("customer.subscription.updated", c, s, func() { s.status = "active" })
		w.expectRenewal(s)
		w.expectLife(s)
	})
}

// introduce makes the customer's contacts at Intercom.
func (w *world) introduce(c *customer) {
	if c.email == "" || w.chance(0.03, c.key, "no contact", 0) {
		return
	}
	seeds := 1
	if w.chance(0.015, c.key, "two contacts", 0) {
		seeds = 2
	}
	for n := range seeds {
		key := c.key + "/contact/" + itoa(int64(n))
		seed := contactSeed{Contact: Contact{ID: w.hex(key, 24), Customer: c.id, Email: c.email, Role: "user"}}
		if w.chance(0.06, key, "other case", 0) {
			seed.Email = otherCase(c.email)
		}
		if w.chance(0.03, key, "lead", 0) {
			seed.Role = "lead"
		}
		if w.chance(0.3, c.key, "timezone", 0) {
			seed.Timezone = c.place.zone
		}
		if w.chance(0.5, c.key, "location", 0) {
			seed.LocationCountry, seed.LocationRegion = c.place.country, c.place.region
		}
		if w.chance(0.02, c.key, "opted out", 0) {
			seed.OptedOut = true
			seed.OptOutBy = []string{"tag", "attribute", "unsubscribed"}[w.pick(3, c.key, "opted out by", 0)]
		}
		c.contacts = append(c.contacts, seed.Contact)
		w.byContact[seed.ID] = c
		w.welcome(seed)
	}
}

// bystander makes a contact that is nobody's customer.
func (w *world) bystander(n int) {
	key := "bystander/" + itoa(int64(n))
	name := personName(w.dice, key)
	w.welcome(contactSeed{Contact: Contact{ID: w.hex(key, 24), Role: "lead", Email: "visitor." + strings.ToLower(strings.ReplaceAll(name, " ", ".")) + itoa(int64(n)) + "@example.com"}})
}
