package sandbox

import (
	"cmp"
	"slices"
)

// newWorld makes a merchant with that many customers and lets them live the four
// months before start, by the same rules as everything after: so there are
// invoices paid and open, retries half-way, subscriptions ended and unpaid.
func newWorld(c Config, start int64, welcome func(contactSeed)) *world {
	customers := c.Customers
	w := &world{dice: dice(uint64(c.Seed)), start: start, now: start - pastDays*day, byID: map[string]entity{},
		byContact: map[string]*customer{}, newcomers: customers, settled: customers, welcome: welcome,
		version: c.APIVersion, life: c.Life, merchant: &customer{n: -1, key: "merchant"}}
	w.catalog = newCatalog(w.dice, onGrid(w.now-1500*day))
	for _, p := range w.catalog.products {
		w.byID[p.id] = p
	}
	for _, p := range w.catalog.prices {
		w.byID[p.id] = p
	}
	var old []*customer
	for n := range customers {
		c := w.newCustomer(n)
		born := onGrid(start - int64(float64(day)*(2+900*w.unit(c.key, "age", 0))))
		if born > w.now {
			w.later(born, c, func() { w.signUp(c) })
			continue
		}
		c.created = born
		old = append(old, c)
	}
	slices.SortStableFunc(old, func(a, b *customer) int { return cmp.Compare(a.created, b.created) })
	w.settle4Months(old)
	w.runUntil(start)
	for _, c := range w.customers {
		c.history = []record{{State: w.state(c)}}
	}
	// Contacts are made in the order of the customers, now: Intercom's clock stands at start.
	for n, c := range w.customers {
		w.introduce(c)
		if n%50 == 49 {
			w.bystander(n)
		}
	}
	w.expectSignUp()
	w.expectCatalogChange(0)
	w.lines = nil
	return w
}

// settle4Months gives those who were customers before the world began what they
// had then: payment methods, subscriptions and the last invoice of each, paid.
func (w *world) settle4Months(old []*customer) {
	var subs []*subscription
	for _, c := range old {
		w.addCustomer(c)
		kind := w.equip(c)
		count := 1
		switch {
		case kind == "prospect":
			count = 0
		case w.chance(0.04, c.key, "two subscriptions", 0):
			count = 2
		}
		for n := range count {
			created := min(w.now, onGrid(c.created+int64(n)*day*int64(1+w.pick(40, c.key, "second subscription", 0))))
			s := w.makeSubscription(c, n, created)
			if c.defaultPM != nil && w.chance(0.12, c.key, "own default", 0) {
				s.own = c.defaultPM
			}
			subs = append(subs, s)
		}
	}
	slices.SortStableFunc(subs, func(a, b *subscription) int { return cmp.Compare(a.created, b.created) })
	for _, s := range subs {
		w.addSubscription(s)
	}
	slices.SortStableFunc(subs, func(a, b *subscription) int { return cmp.Compare(a.start, b.start) })
	now := w.now
	for _, s := range subs {
		w.lastPaid(s)
	}
	w.now = now
	for _, s := range subs {
		w.expectRenewal(s)
		w.expectLife(s)
	}
}

// lastPaid makes the invoice of the current period, paid in time; the clock is
// back at the period's start while it does. The draft was opened an hour later,
// or at once when that would be after the world began.
func (w *world) lastPaid(s *subscription) {
	began := w.now
	w.now = s.start
	reason := "subscription_cycle"
	if s.start == s.created {
		reason = "subscription_create"
	}
	i := w.draft(s, s.start, reason)
	w.now = min(s.start+hour, max(began, s.start))
	w.openInvoice(i)
	if m := s.customer.pays(s); m != nil {
		w.charge(i, m, "")
	}
	i.status, i.paidAt, i.attempts, i.next, i.collecting = "paid", w.now, 1, 0, false
	i.touch()
	s.latest = i
	w.now = began
}

// newCustomer makes the n-th customer, of whom nobody has heard yet.
func (w *world) newCustomer(n int) *customer {
	c := &customer{n: n, key: "customer/" + itoa(int64(n))}
	c.id = w.id("cus_", c.key, 14)
	c.place = placeOf(w.dice, c.key)
	c.address = w.chance(0.85, c.key, "address", 0)
	if w.chance(0.12, c.key, "no state", 0) {
		c.place.state = ""
	}
	c.currency = c.place.currency
	c.name = personName(w.dice, c.key)
	c.email = personEmail(c.name, n)
	if w.chance(0.02, c.key, "no name", 0) {
		c.name = ""
	}
	return c
}

// equip gives a customer the payment method they have always had, and says what
// they are: "prospect" for the few that have neither card nor subscription.
func (w *world) equip(c *customer) string {
	kind, legacy := "card", false
	switch x := w.unit(c.key, "pays by", 0); {
	case x < 0.010:
		return "prospect"
	case x < 0.015:
		return "cardless"
	case x < 0.032 || x < 0.060 && c.currency == "eur":
		kind = "link"
		if c.currency == "eur" {
			kind = "sepa_debit"
		}
	case x < 0.13:
		legacy = true
	}
	m := w.newMethod(c, kind, legacy, w.firstExpiry(c))
	m.attached, m.created = true, c.created
	if legacy {
		c.source = m
	} else {
		c.defaultPM = m
	}
	w.expectNewCard(c, m)
	return kind
}

// firstExpiry is when the card expires that a customer has at the start: for 18
// in 100 at the end of the month of the start or of the two after, for a few it
// already has, for the others later.
func (w *world) firstExpiry(c *customer) expiry {
	if w.now > w.start {
		return w.freshExpiry(c)
	}
	switch x := w.unit(c.key, "expires", 0); {
	case x < 0.02 && w.now <= w.start-pastDays*day:
		return expiryAt(w.start).months(-1 - w.pick(2, c.key, "expired", 0))
	case x < 0.21:
		return expiryAt(w.start).months(w.pick(3, c.key, "expires soon", 0))
	}
	return expiryAt(w.start).months(3 + w.pick(45, c.key, "expires later", 0))
}

// makeSubscription makes the customer's n-th subscription, created then and now
// in the period that the clock says.
func (w *world) makeSubscription(c *customer, n int, created int64) *subscription {
	key := c.key + "/subscription/" + itoa(int64(n))
	s := &subscription{key: key, id: w.id("sub_1", key, 23), customer: c, status: "active", created: created, anchor: created}
	interval := "month"
	if w.chance(0.22, key, "yearly", 0) {
		interval = "year"
	}
	plan := w.planOf(key)
	if n > 0 && plan == w.planOf(c.key+"/subscription/0") { // nobody subscribes to the same twice
		plan = (plan + 1) % extraStorage
	}
	p := w.catalog.price(plan, c.currency, interval)
	if plan == pro && c.currency == "usd" && interval == "month" && created < w.start-300*day && w.chance(0.25, key, "old price", 0) {
		p = w.catalog.old
	}
	quantity := int64(1)
	if plan != starter && w.chance(0.12, key, "several", 0) {
		quantity = int64(2 + w.pick(10, key, "how many", 0))
	}
	s.items = []*item{{id: w.id("si_", key+"/0", 14), price: p, quantity: quantity, created: created}}
	if w.chance(0.05, key, "two items", 0) && !w.chance(0.04, c.key, "two subscriptions", 0) { // one oddity at a time
		s.items = append(s.items, &item{id: w.id("si_", key+"/1", 14), price: w.catalog.price(extraStorage, c.currency, interval), quantity: 1, created: created})
	}
	n = 0
	for monthsAfter(s.anchor, (n+1)*p.months()) <= w.now {
		n++
	}
	s.setPeriod(n)
	return s
}

func (w *world) planOf(key string) int {
	switch x := w.unit(key, "plan", 0); {
	case x < 0.22:
		return starter
	case x < 0.67:
		return pro
	case x < 0.90:
		return team
	}
	return business
}
