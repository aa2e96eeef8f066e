package sandbox

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// subject of a word to a customer, as the customer reads it.
type subject string

const (
	aboutNothing subject = ""
	aboutCard    subject = "card"
	aboutPayment subject = "payment"
)

// subjectOf recognises the messages and tickets of the examples by what they say.
func subjectOf(a Accepted) subject {
	text := strings.ToLower(a.Title + " " + a.Text)
	switch {
	case strings.Contains(text, "did not go through"), strings.Contains(text, "still open"), strings.Contains(text, "unpaid"):
		return aboutPayment
	case strings.Contains(text, "card") && strings.Contains(text, "expire"):
		return aboutCard
	}
	return aboutNothing
}

// hear schedules what people do about what reached them. It sorts first: what
// arrived in one instant may arrive in any order, and a life must not depend on it.
func (w *world) hear(accepted []Accepted) {
	accepted = slices.Clone(accepted)
	slices.SortFunc(accepted, func(a, b Accepted) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Contact, b.Contact), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Text, b.Text))
	})
	for _, a := range accepted {
		c, about := w.byContact[a.Contact], subjectOf(a)
		if c == nil || about == aboutNothing || a.Kind == "tag" {
			continue
		}
		w.react(c, a.Kind, about, a)
	}
}

// react has 35 in 100 act on a message and 60 in 100 on a ticket (a colleague has
// called them), one to forty hours later.
func (w *world) react(c *customer, kind string, about subject, a Accepted) {
	p := 0.35
	if kind == "ticket" {
		p = 0.60
	}
	entity := a.Contact + "/" + kind + "/" + string(about) + "/" + a.At.UTC().Format(time.RFC3339)
	if !w.chance(p, entity, "acts", 0) {
		return
	}
	after := time.Duration((1 + 39*w.unit(entity, "after", 0)) * float64(time.Hour))
	at := onGrid(int64(math.Ceil(float64(a.At.Add(after).UnixNano()) / 1e9)))
	w.later(at, c, func() {
		switch about {
		case aboutPayment:
			w.settleUp(c)
		case aboutCard:
			w.refresh(c)
		}
	})
}

// refresh puts in a new card, if the one they have is about to expire or worse,
// and pays what is open.
func (w *world) refresh(c *customer) {
	m := c.pays(c.primary())
	if c.deleted || m == nil || m.kind != "card" || m.dead == "" && m.expiry() > w.now+45*day {
		return
	}
	if p := c.primary(); p == nil || !p.live() {
		return
	}
	w.change(c, func() {
		w.byCall(c)
		w.replaceCard(c)
		w.say("card", c.called()+" put in a new card")
		for _, i := range c.open() {
			w.charge(i, c.pays(i.sub), "")
			w.settle(i)
			w.say("recovered", c.called()+" paid "+moneyText(i.total, i.currency)+" after all")
		}
	})
}
