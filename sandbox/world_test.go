package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// eventLog is every event the sandbox still has, as JSON.
func eventLog(s *Sandbox) (all []string) {
	for _, e := range s.world.events {
		all = append(all, string(e.raw()))
	}
	return all
}

// TestLife_sameSeed lives one life in jumps from event to event and in hours: the
// two are the same, and another seed's is another.
func TestLife_sameSeed(t *testing.T) {
	t.Parallel()
	a, b, other := mustNew(t, 21, 80), mustNew(t, 21, 80), mustNew(t, 22, 80)
	live(t, a, 20)
	for range 20 * 24 {
		if _, err := b.Advance(context.Background(), b.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	live(t, other, 20)
	if diff := cmp.Diff(eventLog(a), eventLog(b)); diff != "" {
		t.Errorf("events of the same seed (-jumps +hours):\n%s", diff)
	}
	if diff := cmp.Diff(a.Residents(), b.Residents()); diff != "" {
		t.Errorf("residents of the same seed (-jumps +hours):\n%s", diff)
	}
	if slices.Equal(eventLog(a), eventLog(other)) || cmp.Equal(a.Residents(), other.Residents()) {
		t.Error("another seed lives the same life")
	}
}

// TestLife_small lives 30 days with 150 customers, all of whom are healthy books
// at every hour.
func TestLife_small(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 23, 150)
	from := s.Now()
	types, kinds := map[string]int{}, map[string]int{}
	for end := from.AddDate(0, 0, 30); s.Now().Before(end); {
		h, err := s.Advance(context.Background(), s.Next())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range h.Lines {
			kinds[l.Kind]++
		}
		audit(t, s)
	}
	for _, e := range s.world.events {
		if e.created%step != 0 {
			t.Errorf("%s happened off the grid, at %d", e.typ, e.created)
		}
		if e.created > from.Unix() {
			types[e.typ]++
		}
	}
	for _, typ := range []string{"invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded", "invoice.payment_failed",
		"invoice.updated", "charge.succeeded", "charge.failed", "customer.subscription.updated", "customer.updated", "customer.created",
		"customer.subscription.created", "payment_method.attached", "payment_method.automatically_updated"} {
		if types[typ] == 0 {
			t.Errorf("no %s in 30 days: %v", typ, types)
		}
	}
	for _, kind := range []string{"renewed", "declined", "recovered", "card", "new"} {
		if kinds[kind] == 0 {
			t.Errorf("nothing of kind %q in 30 days: %v", kind, kinds)
		}
	}
}

// audit checks that the books agree with each other and with the histories.
func audit(t *testing.T, s *Sandbox) {
	t.Helper()
	w := s.world
	for _, c := range w.customers {
		for _, sub := range c.subs {
			if owes := sub.owes(); owes && sub.status == "active" || !owes && sub.status == "past_due" {
				t.Fatalf("%s: %s is %s while it owes: %v", s.Now(), sub.id, sub.status, owes)
			}
			if sub.live() && !c.deleted && (w.now < sub.start || w.now >= sub.end) {
				t.Fatalf("%s: %s is outside its period", s.Now(), sub.id)
			}
			if c.deleted && sub.live() {
				t.Fatalf("%s: %s outlived its customer", s.Now(), sub.id)
			}
		}
		last := c.history[len(c.history)-1].State
		if !same(last, w.state(c)) {
			t.Fatalf("%s: the history of %s does not end with what is true\n got %+v\nwant %+v", s.Now(), c.id, last, w.state(c))
		}
	}
}

// TestLife_histories checks that histories are in order and hold no state twice.
func TestLife_histories(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 24, 120)
	start := s.Now()
	live(t, s, 40)
	cards := 0
	for _, r := range s.Residents() {
		for n, state := range r.History {
			if n == 0 {
				continue
			}
			if !state.At.After(r.History[n-1].At) || state.At.Before(start) {
				t.Errorf("%s: state %d at %s follows %s", r.Customer, n, state.At, r.History[n-1].At)
			}
			if !cmp.Equal(state.Card, r.History[n-1].Card) {
				cards++
			}
		}
	}
	if cards == 0 {
		t.Error("nobody's card ever changed")
	}
}

// TestCard_whichStripeCharges: the subscription's own default, the customer's,
// the legacy source; never the next level while one is set.
func TestCard_whichStripeCharges(t *testing.T) {
	t.Parallel()
	w := mustNew(t, 25, 20).world
	c := w.customers[0]
	s := c.primary()
	card := func(id string) *method {
		return &method{id: id, kind: "card", brand: "amex", month: 1, year: 2030, customer: c}
	}
	own, pm, source := card("pm_own"), card("pm_customer"), card("card_source")
	debit := &method{id: "pm_debit", kind: "sepa_debit", customer: c}
	tests := []struct {
		name            string
		own, pm, source *method
		want            string
	}{
		{"own default first", own, pm, source, "pm_own"},
		{"then the customer's", nil, pm, source, "pm_customer"},
		{"then the legacy source", nil, nil, source, "card_source"},
		{"nothing", nil, nil, nil, ""},
		{"a debit hides the card behind it", debit, pm, nil, ""},
	}
	for _, tt := range tests {
		s.own, c.defaultPM, c.source = tt.own, tt.pm, tt.source
		got := ""
		if state := w.state(c); state.Card != nil {
			got = state.Card.PaymentMethod
			if state.Card.Brand != "American Express" {
				t.Errorf("%s: brand %q", tt.name, state.Card.Brand)
			}
		}
		if got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// TestDunning follows invoices whose card is gone for good: three retries that
// are not executed, then unpaid or canceled, with a single charge.
func TestDunning_hardDecline(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 26, 60)
	w := s.world
	c := settled(t, w, func(c *customer) bool { // nor will this customer put it right unasked
		s := c.subs[0]
		next := w.id("in_1", s.key+"/invoice/"+itoa(s.end)+"/subscription_cycle", 23)
		return !w.chance(0.12, next, "cures", 1)
	})
	sub := c.subs[0]
	w.change(c, func() { c.pays(sub).dead = "lost_card" })
	at := w.now
	renewed := sub.end
	w.runUntil(renewed + hour)
	i := sub.latest
	if i.status != "open" || sub.status != "past_due" || !c.delinquent || i.attempts != 1 || i.next != renewed+hour+3*day {
		t.Fatalf("an hour after the renewal (at %d from %d): invoice %+v", renewed, at, i)
	}
	charges := len(c.charges)
	w.runUntil(renewed + hour + 15*day)
	if i.attempts != 4 || i.next != 0 || i.charges != 1 || len(c.charges) != charges {
		t.Errorf("after the last retry: %d attempts, next %d, %d charges", i.attempts, i.next, i.charges)
	}
	if sub.status != "unpaid" && sub.status != "canceled" {
		t.Errorf("after the last retry the subscription is %s", sub.status)
	}
	w.now += day
	w.settleUp(c)
	if i.status != "paid" || c.delinquent || sub.status == "unpaid" || c.pays(nil).dead != "" {
		t.Errorf("after paying: invoice %s, subscription %s, delinquent %v", i.status, sub.status, c.delinquent)
	}
}

// settled finds somebody with one monthly subscription in good order who pays by card.
func settled(t *testing.T, w *world, also func(*customer) bool) *customer {
	t.Helper()
	for _, c := range w.customers {
		if len(c.subs) == 1 && c.subs[0].status == "active" && c.subs[0].items[0].price.interval == "month" && !c.subs[0].cancelAtPeriodEnd &&
			c.defaultPM != nil && c.defaultPM.kind == "card" && c.subs[0].own == nil && len(c.open()) == 0 && len(c.contacts) > 0 &&
			!c.defaultPM.expired(w.now+60*day) && w.unit(c.subs[0].id, "life", c.subs[0].period) > 0.05 && w.unit(c.subs[0].id, "life", c.subs[0].period+1) > 0.05 && also(c) {
			return c
		}
	}
	t.Fatal("there is nobody of that kind")
	return nil
}

// TestPeople_react: about the given share of those who are written to act, and
// what they do does not depend on the order in which words arrived.
func TestPeople_react(t *testing.T) {
	t.Parallel()
	recovered := func(reverse bool, kind, text string) (acted, asked int, log []string) {
		s := mustNew(t, 27, 200)
		w := s.world
		var accepted []Accepted
		for _, c := range w.customers {
			if len(c.contacts) == 0 || c.deleted || len(c.subs) == 0 || c.subs[0].status != "active" || len(c.open()) > 0 {
				continue
			}
			i := c.subs[0].latest
			if i == nil || i.status != "paid" {
				continue
			}
			i.status = "open" // as if the last payment had failed
			i.touch()
			asked++
			accepted = append(accepted, Accepted{At: s.Now(), Kind: kind, Contact: c.contacts[0].ID, Text: text})
		}
		if reverse {
			slices.Reverse(accepted)
		}
		w.hear(accepted)
		w.runUntil(w.now + 41*hour)
		for _, e := range w.events {
			log = append(log, string(e.raw()))
		}
		for _, a := range accepted {
			if len(w.byContact[a.Contact].open()) == 0 {
				acted++
			}
		}
		return acted, asked, log
	}
	for _, tt := range []struct {
		kind, text string
		low, high  float64
	}{
		{"message", "Hi Ana, your last payment of 49.00 usd did not go through.", 0.25, 0.45},
		{"message", "Hi Ana, 49.00 usd is still open.", 0.25, 0.45},
		{"ticket", "Call Ana about an unpaid invoice", 0.50, 0.70},
		{"message", "Hi Ana, you pay 49.00 usd a month for Pro.", 0, 0.02},
		{"tag", "unpaid", 0, 0.02},
	} {
		t.Run(tt.kind+" "+tt.text, func(t *testing.T) {
			t.Parallel()
			acted, asked, log := recovered(false, tt.kind, tt.text)
			if share := float64(acted) / float64(asked); share < tt.low || share > tt.high {
				t.Errorf("%d of %d acted, want between %v and %v", acted, asked, tt.low, tt.high)
			}
			_, _, again := recovered(true, tt.kind, tt.text)
			if !slices.Equal(log, again) {
				t.Error("the order of arrival changed what happened")
			}
		})
	}
}

// TestPeople_hearFromIntercom sends messages over HTTP and waits for what people
// do: some of them pay.
func TestPeople_hearFromIntercom(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 30, 300)
	asked := map[string]bool{}
	for _, r := range s.Residents() {
		state := r.History[0]
		if len(state.Open) == 0 || state.Deleted || len(r.Contacts) == 0 {
			continue
		}
		asked[r.Customer] = true
		body := fmt.Sprintf(`{"message_type":"inapp","body":"Your last payment did not go through.","from":{"type":"admin","id":991267716},"to":{"type":%q,"id":%q}}`, r.Contacts[0].Role, r.Contacts[0].ID)
		q := httptest.NewRequest(http.MethodPost, "/messages", strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+IntercomToken)
		q.Header.Set("Accept", "application/json")
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Intercom-Version", "2.16")
		w := httptest.NewRecorder()
		if s.Intercom().ServeHTTP(w, q); w.Code != 200 {
			t.Fatalf("POST /messages: %d %s", w.Code, w.Body)
		}
	}
	live(t, s, 2)
	paid := 0
	for _, r := range s.Residents() {
		if asked[r.Customer] && len(r.History[len(r.History)-1].Open) == 0 {
			paid++
		}
	}
	if paid < len(asked)/5 || len(s.Accepted()) != len(asked) || s.IntercomRequests() != len(asked) {
		t.Errorf("%d of %d who were asked paid; %d accepted in %d requests", paid, len(asked), len(s.Accepted()), s.IntercomRequests())
	}
}

func TestPeople_replaceCard(t *testing.T) {
	t.Parallel()
	w := mustNew(t, 28, 100).world
	w.addEndpoint(w.now)
	c := settled(t, w, func(*customer) bool { return true })
	sub, old := c.subs[0], c.defaultPM
	w.edit(sub, func() { sub.own = old })
	w.edit(old, func() { e := expiryAt(w.now); old.month, old.year = e.month, e.year })
	w.remember(c)
	w.now += step
	before := len(w.events)
	w.refresh(c)
	var types []string
	for _, e := range w.events[before:] {
		types = append(types, e.typ)
	}
	want := []string{"payment_method.attached", "customer.updated", "customer.subscription.updated"}
	if got := types[:min(3, len(types))]; !slices.Equal(got, want) {
		t.Errorf("events of a new card\n got %v\nwant %v", types, want)
	}
	state := w.state(c)
	if state.Card == nil || state.Card.PaymentMethod == old.id || sub.own != c.defaultPM {
		t.Errorf("the card is still %+v", state.Card)
	}
	if last := c.history[len(c.history)-1]; last.waiting != len(w.events)-before {
		t.Errorf("the state waits for %d webhooks of %d", last.waiting, len(w.events)-before)
	}
	count := len(w.events)
	if w.refresh(c); len(w.events) != count {
		t.Error("a good card was replaced")
	}
}

// TestPopulation checks the shares that the demo's stories need.
func TestPopulation(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 29, 1000)
	w := s.world
	count := map[string]int{}
	soon := time.Unix(w.now, 0).AddDate(0, 0, 75).Unix()
	for _, c := range w.customers {
		note := func(name string, is bool) {
			if is {
				count[name]++
			}
		}
		m := c.pays(c.primary())
		note("expiring within 75 days", m != nil && m.kind == "card" && !m.expired(w.now) && m.expiry() <= soon)
		note("legacy card", c.source != nil)
		note("no expiry", m != nil && m.kind != "card")
		note("no card", m == nil)
		note("deleted", c.deleted)
		note("two subscriptions", len(c.subs) == 2)
		note("two items", len(c.subs) > 0 && len(c.subs[0].items) == 2)
		note("no contact", len(c.contacts) == 0)
		note("two contacts", len(c.contacts) == 2)
		note("country known", c.address)
		for _, contact := range c.contacts {
			note("lead", contact.Role == "lead")
			note("opted out", contact.OptedOut)
			note("zone known", contact.Timezone != "")
			note("spelled otherwise", contact.Email != c.email && strings.EqualFold(contact.Email, c.email))
		}
	}
	for _, tt := range []struct {
		name      string
		low, high int
	}{
		{"expiring within 75 days", 135, 231}, {"legacy card", 36, 110}, {"no expiry", 9, 44}, {"no card", 4, 33}, {"deleted", 1, 33},
		{"two subscriptions", 22, 60}, {"two items", 31, 77}, {"no contact", 18, 44}, {"two contacts", 6, 27}, {"country known", 738, 968},
		{"lead", 18, 49}, {"opted out", 10, 33}, {"zone known", 238, 368}, {"spelled otherwise", 36, 88},
	} {
		if n := count[tt.name]; n < tt.low || n > tt.high {
			t.Errorf("%s: %d of 1000, want %d to %d", tt.name, n, tt.low, tt.high)
		}
	}
}

// BenchmarkLife is 45 days of 2,000 customers without anybody listening.
func BenchmarkLife(b *testing.B) {
	for b.Loop() {
		s := mustNew(b, 1, 2000)
		start := s.Now().Unix()
		h := live(b, s, 45)
		failed, hits := map[string]bool{}, map[string]int{}
		for _, i := range s.world.invoices {
			for _, c := range i.customer.charges {
				if c.invoice == i && c.failure != "" && c.created > start {
					failed[i.id] = true
				}
			}
		}
		for _, l := range h.Lines {
			hits[l.Kind]++
		}
		b.ReportMetric(float64(h.Events), "events")
		b.ReportMetric(float64(len(failed)), "failed-renewals")
		b.ReportMetric(float64(hits["card"]), "card-changes")
	}
}

func ExampleSandbox() {
	s, err := New(Config{Seed: 1, Customers: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	happened, err := s.Advance(context.Background(), s.Now().AddDate(0, 0, 45))
	fmt.Println(s.Now().Format(time.DateOnly), happened.Events > 0, err)
	// Output: 2026-04-02 true <nil>
}
