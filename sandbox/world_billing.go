package sandbox

// Renewal, collection and dunning, on Stripe's schedule: a draft at the period's
// end, finalized and charged an hour later; after a decline three retries, 3, 5
// and 7 days after the one before; then unpaid or canceled (facts 1.6, 6.1, 6.2).

var retryAfter = [...]int64{3 * day, 5 * day, 7 * day}

// expectRenewal schedules the end of the subscription's current period.
func (w *world) expectRenewal(s *subscription) {
	end := s.end
	w.later(end, s.customer, func() {
		if s.live() && !s.customer.deleted && s.end == end {
			w.renew(s)
		}
	})
}

// setPeriod moves the subscription to the n-th period after its anchor.
func (s *subscription) setPeriod(n int) {
	s.period = n
	months := s.items[0].price.months()
	s.start, s.end = monthsAfter(s.anchor, n*months), monthsAfter(s.anchor, (n+1)*months)
}

// renew begins the next period with a draft invoice, or ends a subscription that
// was to end here. While a subscription is unpaid its drafts stay drafts.
func (w *world) renew(s *subscription) {
	c := s.customer
	if s.cancelAtPeriodEnd {
		w.change(c, func() {
			w.cancel(s, s.reason)
			w.say("ended", c.called()+"'s "+s.items[0].price.product.name+" subscription ended as they had asked")
		})
		return
	}
	w.change(c, func() {
		i := w.draft(s, s.end, "subscription_cycle")
		i.collecting = s.status != "unpaid"
		if !i.collecting {
			i.next = 0
		}
		w.emit("invoice.created", c, i, nil)
		w.updated("customer.subscription.updated", c, s, func() {
			s.setPeriod(s.period + 1)
			s.latest = i
		})
		if i.collecting {
			w.later(w.now+hour, c, func() { w.finalize(i) })
		}
	})
	w.expectRenewal(s)
	w.expectLife(s)
}

// draft makes an invoice for the subscription's items; nobody is told yet.
func (w *world) draft(s *subscription, start int64, reason string) *invoice {
	c := s.customer
	key := s.key + "/invoice/" + itoa(start) + "/" + reason
	i := &invoice{id: w.id("in_1", key, 23), customer: c, sub: s, currency: c.currency, status: "draft", reason: reason,
		created: w.now, start: start, end: monthsAfter(start, s.items[0].price.months()), next: w.now + hour, collecting: true}
	for n, it := range s.items {
		i.lines = append(i.lines, line{id: w.id("il_1", key+"/"+itoa(int64(n)), 23), price: it.price, quantity: it.quantity, item: it.id})
	}
	i.total = s.total()
	w.addInvoice(i)
	return i
}

// finalize opens the invoice an hour after it was drafted and charges it.
func (w *world) finalize(i *invoice) {
	c := i.customer
	if i.status != "draft" || !i.collecting || c.deleted || !i.sub.live() {
		return
	}
	w.change(c, func() {
		w.openInvoice(i)
		if w.try(i) {
			w.settle(i)
			w.say("renewed", c.called()+" paid "+moneyText(i.total, i.currency)+" for "+i.lines[0].price.product.name)
			return
		}
		w.updated("invoice.updated", c, i, func() { w.missed(i) })
		w.emit("invoice.payment_failed", c, i, nil)
		w.updated("customer.subscription.updated", c, i.sub, func() { i.sub.status = "past_due" })
		w.delinquent(c, true)
		w.expectCure(i)
	})
}

func (w *world) openInvoice(i *invoice) {
	w.edit(i, func() {
		i.customer.nextSequence++
		i.number = i.customer.prefix() + "-" + pad4(i.customer.nextSequence)
		i.status, i.finalizedAt = "open", w.now
	})
	i.customer.touch() // next_invoice_sequence; Stripe tells of it with the next change
	w.emit("invoice.finalized", i.customer, i, nil)
}

func pad4(n int) string {
	s := itoa(int64(n))
	for len(s) < 4 {
		s = "0" + s
	}
	return s
}

// try charges what Stripe would charge and says whether that went well. Without
// any payment method there is no charge at all.
func (w *world) try(i *invoice) bool {
	c := i.customer
	m := c.pays(i.sub)
	if m == nil {
		i.last, i.hard = nil, true
		w.say("declined", c.called()+"'s payment of "+moneyText(i.total, i.currency)+" failed: there is no card")
		return false
	}
	decline := w.decline(m, i)
	w.charge(i, m, decline)
	i.last, i.hard = m, isHard(decline)
	if decline != "" {
		w.say("declined", c.called()+"'s payment of "+moneyText(i.total, i.currency)+" was declined ("+decline+")")
	}
	return decline == ""
}

// charge records one attempt to take the invoice's money.
func (w *world) charge(i *invoice, m *method, decline string) {
	ch := &charge{id: w.id("ch_3", i.id+"/charge/"+itoa(int64(i.charges)), 23), customer: i.customer, invoice: i, method: *m,
		amount: i.total, created: w.now, failure: decline}
	i.charges++
	w.addCharge(ch)
	typ := "charge.succeeded"
	if decline != "" {
		typ = "charge.failed"
	}
	w.emit(typ, i.customer, ch, nil)
	i.charge = ch
	w.expectTrouble(ch)
}

// missed counts a failed attempt and schedules the next one, if there is one.
func (w *world) missed(i *invoice) {
	i.attempts++
	i.next, i.collecting = 0, false
	if i.attempts <= len(retryAfter) {
		i.next, i.collecting = w.now+retryAfter[i.attempts-1], true
		w.later(i.next, i.customer, func() { w.retry(i) })
	}
}

// retry is one of Stripe's scheduled retries. After a hard decline it is not
// executed while the card is the same: the count rises, there is no charge.
func (w *world) retry(i *invoice) {
	c, s := i.customer, i.sub
	if i.status != "open" || !i.collecting || c.deleted || !s.live() {
		return
	}
	w.change(c, func() {
		executed := !i.hard || c.pays(s) != i.last
		if executed && w.try(i) {
			i.attempts++
			w.settle(i)
			w.say("recovered", "Stripe's retry worked: "+c.called()+" paid "+moneyText(i.total, i.currency))
			return
		}
		w.updated("invoice.updated", c, i, func() { w.missed(i) })
		if executed {
			w.emit("invoice.payment_failed", c, i, nil)
			w.delinquent(c, true)
		}
		if i.next == 0 {
			w.giveUp(s)
		}
	})
}

// giveUp is what happens after the last retry: two subscriptions in three become
// unpaid, the third is canceled, and the invoice stays open.
func (w *world) giveUp(s *subscription) {
	c := s.customer
	if w.chance(1.0/3, s.id, "canceled by dunning", s.period) {
		w.cancel(s, "payment_failed")
		w.say("ended", c.called()+"'s "+s.items[0].price.product.name+" subscription was canceled after the last retry")
		return
	}
	w.updated("customer.subscription.updated", c, s, func() { s.status = "unpaid" })
	w.say("unpaid", c.called()+"'s "+s.items[0].price.product.name+" subscription is unpaid after the last retry")
}

// settle marks an invoice paid and tells what follows: the subscription is
// active again once nothing of it is open, and paying any invoice ends
// delinquency (facts 1.6).
func (w *world) settle(i *invoice) {
	c, s := i.customer, i.sub
	w.updated("invoice.updated", c, i, func() {
		if i.attempts == 0 {
			i.attempts = 1
		}
		i.status, i.paidAt, i.next, i.collecting = "paid", w.now, 0, false
	})
	w.emit("invoice.paid", c, i, nil)
	w.emit("invoice.payment_succeeded", c, i, nil)
	if (s.status == "past_due" || s.status == "unpaid") && !s.owes() {
		w.updated("customer.subscription.updated", c, s, func() { s.status = "active" })
	}
	w.delinquent(c, false)
}

func (s *subscription) owes() bool {
	for _, i := range s.customer.invoices {
		if i.sub == s && i.status == "open" {
			return true
		}
	}
	return false
}

func (w *world) delinquent(c *customer, is bool) {
	if c.delinquent != is {
		w.updated("customer.updated", c, c, func() { c.delinquent = is })
	}
}

// cancel ends a subscription now. Its open invoices stay open; nobody collects them.
func (w *world) cancel(s *subscription, reason string) {
	w.edit(s, func() {
		s.status, s.endedAt, s.reason = "canceled", w.now, reason
		if s.canceledAt == 0 {
			s.canceledAt = w.now
		}
	})
	w.emit("customer.subscription.deleted", s.customer, s, nil)
	for _, i := range s.customer.invoices {
		if i.sub == s && i.collecting && i.status != "paid" {
			w.updated("invoice.updated", s.customer, i, func() { i.collecting, i.next = false, 0 })
		}
	}
}
