package sandbox

import "time"

// hardDeclines are declines after which Stripe does not try the same card again
// (facts 6.1).
var hardDeclines = []string{"lost_card", "stolen_card", "pickup_card", "transaction_not_allowed"}

func isHard(decline string) bool {
	for _, h := range hardDeclines {
		if decline == h {
			return true
		}
	}
	return false
}

// expiry of a card: a month and a year.
type expiry struct{ month, year int }

func expiryAt(t int64) expiry {
	at := time.Unix(t, 0).UTC()
	return expiry{int(at.Month()), at.Year()}
}

func (e expiry) months(n int) expiry {
	m := e.year*12 + e.month - 1 + n
	return expiry{m%12 + 1, m / 12}
}

// newMethod makes the customer's next payment method. It is not attached yet.
func (w *world) newMethod(c *customer, kind string, legacy bool, exp expiry) *method {
	key := c.key + "/card/" + itoa(int64(c.cards))
	c.cards++
	prefix := "pm_1"
	if legacy {
		prefix = "card_1"
	}
	m := &method{id: w.id(prefix, key, 23), kind: kind, legacy: legacy, customer: c, country: c.place.country,
		fingerprint: w.id("", key+"/number", 16), last4: w.digits(key, "last4", 0, 4), created: w.now}
	if kind == "card" {
		m.brand = []string{"visa", "visa", "visa", "visa", "mastercard", "mastercard", "mastercard", "amex", "discover", "jcb"}[w.pick(10, key, "brand", 0)]
		m.month, m.year = exp.month, exp.year
		m.wallet = !legacy && w.chance(0.05, key, "wallet", 0)
		w.expectNetworkUpdate(m)
	}
	c.methods = append(c.methods, m)
	w.byID[m.id] = m
	return m
}

// freshExpiry is the expiry of a card somebody has just got.
func (w *world) freshExpiry(c *customer) expiry {
	return expiryAt(w.now).months(20 + w.pick(40, c.key, "fresh expiry", c.cards))
}

// expectNetworkUpdate decides whether the card's network will renew it by itself
// in the last 25 days before it expires, as networks do for most (facts 6.4). The
// sandbox starts with the cards its configuration speaks of: nothing of the kind
// happens before.
func (w *world) expectNetworkUpdate(m *method) {
	if !w.chance(0.6, m.id, "network update", m.year) {
		return
	}
	end := m.expiry()
	from := max(end-25*day, w.start+step, w.now+step)
	if end <= from {
		return
	}
	was := expiry{m.month, m.year}
	w.later(w.between(onGrid(from), end, m.id, "network update at", m.year), m.customer, func() {
		if m.attached && m.dead == "" && was == (expiry{m.month, m.year}) && !m.customer.deleted {
			w.networkUpdate(m)
		}
	})
}

// networkUpdate renews a card in place: a later expiry and, for some, a new
// number. Payment methods tell by payment_method.automatically_updated, legacy
// cards by customer.source.updated.
func (w *world) networkUpdate(m *method) {
	c := m.customer
	typ := "payment_method.automatically_updated"
	if m.legacy {
		typ = "customer.source.updated"
	}
	w.change(c, func() {
		w.updated(typ, c, m, func() {
			was := m.year
			exp := expiry{m.month, m.year}.months(36 + w.pick(25, m.id, "renewed", was))
			m.month, m.year = exp.month, exp.year
			if w.chance(0.4, m.id, "new number", was) {
				m.last4 = w.digits(m.id, "last4", was, 4)
				m.fingerprint = w.id("", m.id+"/number/"+itoa(int64(was)), 16)
			}
		})
		w.say("card", c.called()+"'s card was renewed by its network: it ends in "+m.last4+" and expires "+itoa(int64(m.month))+"/"+itoa(int64(m.year)))
	})
	w.expectNetworkUpdate(m)
}

// decline says how an attempt to charge m goes: empty for success, else the
// decline code. The n-th charge of one invoice has always the same fate with
// the same card. A card that is gone for good stays so.
func (w *world) decline(m *method, i *invoice) string {
	if m.dead != "" {
		return m.dead
	}
	throw := func(purpose string) float64 { return w.unit(i.id+m.id, purpose, i.charges) }
	retry := i.charges > 0 && i.last == m // somebody whose account was empty may have been paid since
	switch {
	case m.expired(w.now):
		p := 0.6
		if retry {
			p = 0.85
		}
		if throw("expired") < p {
			return "expired_card"
		}
	case retry:
		if throw("retry") < 0.65 {
			return "insufficient_funds"
		}
	case m.kind != "card":
		if throw("debit") < 0.03 {
			return "insufficient_funds"
		}
	case throw("declined") < 0.095:
		if throw("hard") < 0.2 {
			m.dead = hardDeclines[w.pick(len(hardDeclines), m.id, "hard decline", 0)]
			return m.dead
		}
		return []string{"insufficient_funds", "insufficient_funds", "insufficient_funds", "insufficient_funds", "generic_decline"}[w.pick(5, i.id+m.id, "soft", i.charges)]
	}
	return ""
}

// attach makes a new payment method the one Stripe will charge: the customer's
// default, and the default of every subscription that had its own.
func (w *world) attach(c *customer, m *method) {
	m.attached = true
	m.touch()
	w.emit("payment_method.attached", c, m, nil)
	w.updated("customer.updated", c, c, func() { c.defaultPM = m })
	for _, s := range c.subs {
		if s.own != nil && s.live() {
			w.updated("customer.subscription.updated", c, s, func() { s.own = m })
		}
	}
}

// detach takes a payment method away: the event is the only place that still
// knows whose it was (facts 2.4).
func (w *world) detach(c *customer, m *method) {
	if m.legacy || !m.attached || c.pays(nil) == m {
		return
	}
	previous := w.edit(m, func() { m.attached = false })
	w.emit("payment_method.detached", c, m, previous)
	for n, other := range c.methods {
		if other == m {
			c.methods = append(c.methods[:n:n], c.methods[n+1:]...)
			break
		}
	}
}

// replaceCard is a person putting in a new card. Some take the old one out.
func (w *world) replaceCard(c *customer) {
	old := c.pays(c.primary())
	m := w.newMethod(c, "card", false, w.freshExpiry(c))
	w.attach(c, m)
	if old != nil && w.chance(0.3, m.id, "detach the old one", 0) {
		w.detach(c, old)
	}
}
