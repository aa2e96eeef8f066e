package sandbox

import (
	"errors"
	"fmt"
	"time"
)

// Life is what the merchant's life has beyond the usual. The zero value is
// nothing; what a seed leads to otherwise stays the same.
type Life struct {
	Refunds   float64 // share of the successful charges that are given back, in part or whole, within weeks
	Disputes  float64 // share of the successful charges of cards that are disputed
	Deletions float64 // share of the periods of subscriptions in which the customer is deleted, from the start on

	// CatalogChanges is how often the merchant archives a price or a product, or
	// takes it up again; in whole hours, virtual time. Zero means never.
	CatalogChanges time.Duration
}

func (l Life) check() error {
	var faults []error
	for _, s := range []share{{"Refunds", l.Refunds}, {"Disputes", l.Disputes}, {"Deletions", l.Deletions}} {
		faults = append(faults, s.check("Life"))
	}
	if l.CatalogChanges < 0 {
		faults = append(faults, fmt.Errorf("the sandbox's Life.CatalogChanges is %s; give zero or more", l.CatalogChanges))
	}
	return errors.Join(faults...)
}

// expectCatalogChange schedules the n-th change of the catalog after the start.
// Subscriptions and invoices keep the price as it was when they last changed.
func (w *world) expectCatalogChange(n int) {
	if w.life.CatalogChanges == 0 {
		return
	}
	w.later(onGrid(w.now+int64(w.life.CatalogChanges/time.Second)), w.merchant, func() {
		w.byCall(w.merchant)
		if n%3 == 2 {
			p := w.catalog.products[w.pick(len(w.catalog.products), "catalog", "product", n)]
			w.updated("product.updated", w.merchant, p, func() { p.archived, p.changed = !p.archived, w.now })
		} else {
			p := w.catalog.prices[w.pick(len(w.catalog.prices), "catalog", "price", n)]
			w.updated("price.updated", w.merchant, p, func() {
				p.active = !p.active
				p.plan = mustJSON(planShape(p))
			})
		}
		w.request = ""
		w.expectCatalogChange(n + 1)
	})
}

// expectDeletion decides, once a period, whether the customer will be deleted in
// what is left of it.
func (w *world) expectDeletion(s *subscription) {
	from := max(onGrid(w.now+day), w.start+step)
	if s.end <= from || !w.chance(w.life.Deletions, s.id, "deleted", s.period) {
		return
	}
	w.later(w.between(from, s.end, s.id, "deleted at", s.period), s.customer, func() {
		if !s.customer.deleted {
			w.leave(s.customer)
		}
	})
}

// expectTrouble decides whether a charge will be given back or disputed.
func (w *world) expectTrouble(c *charge) {
	if c.failure != "" {
		return
	}
	from := onGrid(max(w.now, w.start-pastDays*day) + day)
	if w.chance(w.life.Refunds, c.id, "refunded", 0) {
		w.later(w.between(from, from+20*day, c.id, "refunded at", 0), c.customer, func() { w.refund(c) })
	}
	if c.method.kind == "card" && w.chance(w.life.Disputes, c.id, "disputed", 0) {
		w.later(w.between(from, from+25*day, c.id, "disputed at", 0), c.customer, func() { w.dispute(c) })
	}
}

// refund gives a charge back: two in five only a part of it. Of one that is in
// dispute nothing can be given back.
func (w *world) refund(c *charge) {
	if c.disputed {
		return
	}
	amount := c.amount
	if w.chance(0.4, c.id, "in part", 0) {
		amount = max(1, amount/2)
	}
	w.change(c.customer, func() {
		w.byCall(c.customer)
		r := &refund{id: w.id("re_3", c.id+"/refund", 23), charge: c, amount: amount, created: w.now}
		w.refunds = append(w.refunds, r)
		w.byID[r.id] = r
		w.updated("charge.refunded", c.customer, c, func() {
			c.refunds = append(c.refunds, r)
			c.refunded += amount
		})
		w.say("refunded", c.customer.called()+" was given back "+moneyText(amount, c.invoice.currency))
	})
}

// dispute has a bank take the money of a charge back; weeks later it is decided,
// one time in three for the merchant. Only the dispute's own events tell of it.
func (w *world) dispute(c *charge) {
	if c.refunded > 0 {
		return
	}
	d := &dispute{id: w.id("dp_1", c.id+"/dispute", 23), charge: c, amount: c.amount, created: w.now, status: "needs_response"}
	w.change(c.customer, func() {
		w.disputes = append(w.disputes, d)
		w.byID[d.id] = d
		w.edit(c, func() { c.disputed = true })
		w.emit("charge.dispute.created", c.customer, d, nil)
		w.emit("charge.dispute.funds_withdrawn", c.customer, d, nil)
		w.say("disputed", c.customer.called()+" disputes "+moneyText(c.amount, c.invoice.currency))
	})
	w.later(w.between(onGrid(w.now+5*day), w.now+30*day, d.id, "closed at", 0), c.customer, func() {
		won := w.chance(1.0/3, d.id, "won", 0)
		w.change(c.customer, func() {
			w.edit(d, func() {
				d.status = "lost"
				if won {
					d.status = "won"
				}
			})
			w.emit("charge.dispute.closed", c.customer, d, nil)
			if won {
				w.emit("charge.dispute.funds_reinstated", c.customer, d, nil)
			}
		})
	})
}
