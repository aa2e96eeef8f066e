package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The life of the tests: three customers in Berlin, one for each example.
//
//   - cus_card: a card good until 31 March, 399 dollars a month at stake.
//   - cus_owes: owes an invoice from 5 March until 20 March, 12:00.
//   - cus_year: pays 49 dollars a month for Pro; marked for the offer.
const (
	judgeFrom  = "2026-02-16T06:00:00Z"
	judgeUntil = "2026-04-10T06:00:00Z"

	cardNudge   = "Hi Ana, the Visa card ending 4242 expires on 31 March. Please update it before then, so that nothing is interrupted. ref k7f3qz"
	cardCall    = "Card of Ana expires\nThe Visa card ending 4242 expires on 31 March 2026; 399.00 usd a month depend on it."
	failNudge   = "Hi Bo, your last payment of 399.00 usd did not go through. You can update your card in the billing settings; we will try again by ourselves."
	failSecond  = "Hi Bo, 399.00 usd is still open. If anything is in the way, just answer here and we will sort it out."
	failCall    = "Call Bo about an unpaid invoice\n399.00 usd open on 1 invoice(s); two messages went unanswered."
	annualWords = "Hi there, you pay 49.00 usd a month for Pro. Billed once a year it would cost two months less. Shall we switch you over?"
)

// A scene builds a case to be judged.
type scene struct {
	t *testing.T
	Case
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, Case: Case{From: judgeTime(t, judgeFrom), Until: judgeTime(t, judgeUntil)}}
	start := "2026-02-01T00:00:00Z"
	business := SubscriptionState{ID: "sub_1", Status: "active", Plan: "Business", Amount: 399_00, Quantity: 1, Currency: "usd", Interval: "month"}
	pro := SubscriptionState{ID: "sub_1", Status: "active", Plan: "Pro", Amount: 49_00, Quantity: 1, Currency: "usd", Interval: "month"}
	late := business
	late.Status = "past_due"
	far := &CardState{PaymentMethod: "pm_far", Brand: "Visa", Last4: "1111", ExpMonth: 12, ExpYear: 2030}
	s.resident("card", State{At: judgeTime(t, start), Subscriptions: []SubscriptionState{business}, Card: visa("pm_1", 3)})
	s.resident("owes",
		State{At: judgeTime(t, start), Subscriptions: []SubscriptionState{business}, Card: far},
		s.told("2026-03-05T09:00:00Z", State{Subscriptions: []SubscriptionState{late}, Card: far, Delinquent: true, Open: []OpenInvoice{{ID: "in_1", Remaining: 399_00, Currency: "usd"}}}),
		s.told("2026-03-20T12:00:00Z", State{Subscriptions: []SubscriptionState{business}, Card: far}))
	s.resident("year", State{At: judgeTime(t, start), Subscriptions: []SubscriptionState{pro}, Card: far})

	s.accept("2026-03-10T07:00:00Z", "message", "card", cardNudge)
	s.accept("2026-03-25T23:00:00Z", "ticket", "card", cardCall)
	s.accept("2026-03-31T22:00:00Z", "tag", "card", "card-expired")
	s.accept("2026-03-05T09:00:00Z", "message", "owes", failNudge)
	s.accept("2026-03-09T09:00:00Z", "message", "owes", failSecond)
	s.accept("2026-03-12T09:00:00Z", "ticket", "owes", failCall)
	s.accept("2026-02-18T07:00:00Z", "message", "year", annualWords)
	s.accept("2026-02-19T06:00:00Z", "tag", "year", "annual-offer")
	return s
}

func visa(id string, month int) *CardState {
	return &CardState{PaymentMethod: id, Brand: "Visa", Last4: "4242", ExpMonth: month, ExpYear: 2026}
}

// told is a state from an instant on, of which the product was told at once.
func (s *scene) told(at string, state State) State {
	state.At = judgeTime(s.t, at)
	state.Told = state.At
	return state
}

func (s *scene) resident(name string, history ...State) {
	s.Residents = append(s.Residents, Resident{
		Customer: "cus_" + name, Country: "DE", History: history,
		Contacts: []Contact{{ID: name, Customer: "cus_" + name, Role: "user"}},
	})
}

// of returns a resident to change.
func (s *scene) of(name string) *Resident {
	s.t.Helper()
	n := slices.IndexFunc(s.Residents, func(r Resident) bool { return r.Customer == "cus_"+name })
	return &s.Residents[n]
}

// excused lets the product have a reason for a step of somebody whom it took up at
// an instant.
func (s *scene) excused(name, campaign, step, since string) {
	s.t.Helper()
	s.Reasons = append(s.Reasons, Reason{Due{"cus_" + name, campaign, step}, "no contact", judgeTime(s.t, since)})
}

// then changes a resident from an instant on, told at once.
func (s *scene) then(name, at string, change func(*State)) {
	s.t.Helper()
	r := s.of(name)
	state := r.History[len(r.History)-1]
	state.Subscriptions = slices.Clone(state.Subscriptions)
	change(&state)
	r.History = append(r.History, s.told(at, state))
}

func (s *scene) accept(at, kind, contact, text string) {
	s.t.Helper()
	title, _, _ := strings.Cut(text, "\n")
	if kind != "ticket" {
		title = ""
	}
	s.Accepted = append(s.Accepted, Accepted{
		At: judgeTime(s.t, at), Kind: kind, Contact: contact, ID: fmt.Sprint(len(s.Accepted) + 1), Text: text, Title: title,
	})
}

// unsend takes back what a contact got with these words.
func (s *scene) unsend(contact, words string) {
	s.t.Helper()
	before := len(s.Accepted)
	s.Accepted = slices.DeleteFunc(s.Accepted, func(a Accepted) bool { return a.Contact == contact && strings.Contains(a.Text, words) })
	if len(s.Accepted) == before {
		s.t.Fatalf("nothing to %s says %q", contact, words)
	}
}

func (s *scene) shift(contact, words, at string) {
	s.t.Helper()
	for n, a := range s.Accepted {
		if a.Contact == contact && strings.Contains(a.Text, words) {
			s.Accepted[n].At = judgeTime(s.t, at)
			return
		}
	}
	s.t.Fatalf("nothing to %s says %q", contact, words)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	type counts struct{ duplicates, quiet, recovered, forgotten int }
	tests := []struct {
		name   string
		change func(*scene)
		want   counts
		detail string // in one of the lines; empty: there are none
	}{
		{"clean", func(s *scene) {}, counts{}, ""},

		// Duplicates.
		{"the same message twice", func(s *scene) { s.accept("2026-03-12T10:00:00Z", "message", "card", cardNudge) },
			counts{duplicates: 1}, "duplicate: message 9 (card-expiring/nudge) to cus_card's contact card repeats 1 of 2026-03-10T07:00:00Z"},
		{"the same step in other words", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "message", "card", strings.Replace(cardNudge, "Ana", "you", 1))
		}, counts{duplicates: 1}, "duplicate"},
		{"three times is two too many", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "message", "card", cardNudge)
			s.accept("2026-03-13T10:00:00Z", "message", "card", cardNudge)
		}, counts{duplicates: 2}, "duplicate"},
		{"the same ticket twice", func(s *scene) { s.accept("2026-03-13T09:00:00Z", "ticket", "owes", failCall) },
			counts{duplicates: 1}, "payment-failed/follow-up"},
		{"a tag that was there already", func(s *scene) {
			s.accept("2026-04-01T10:00:00Z", "tag", "card", "card-expired")
			s.Accepted[len(s.Accepted)-1].Again = true
		}, counts{}, ""},
		{"a tag that was gone", func(s *scene) { s.accept("2026-04-01T10:00:00Z", "tag", "card", "card-expired") },
			counts{duplicates: 1}, "card-expiring/mark"},
		{"somebody else's tag", func(s *scene) { s.accept("2026-04-01T10:00:00Z", "tag", "card", "vip") }, counts{}, ""},
		{"the same reference in another text, much later", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "note", "year", "Called. ref k7")
			s.accept("2026-04-02T10:00:00Z", "note", "year", "Called again. ref k7")
			for n := range s.Accepted[8:] {
				s.Accepted[8+n].Reference = "k7"
			}
		}, counts{duplicates: 1}, "duplicate: note 10 (unknown) to cus_year's contact year has the reference k7 of 9"},
		{"an event that was there already", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "event", "year", "offered")
			s.accept("2026-03-12T10:00:00Z", "event", "year", "offered")
			s.Accepted[len(s.Accepted)-1].Again = true
		}, counts{}, "unrecognised"},
		{"the same event twice", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "event", "year", "offered")
			s.accept("2026-03-12T10:00:01Z", "event", "year", "offered")
		}, counts{duplicates: 1}, "duplicate"},
		{"attributes twice, and a tag taken off", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "attributes", "year", "stage: 1")
			s.accept("2026-03-12T10:00:01Z", "attributes", "year", "stage: 1")
			s.accept("2026-03-12T10:00:01Z", "untag", "year", "annual-offer")
		}, counts{}, ""},
		{"two contacts of one person", func(s *scene) {
			s.of("card").Contacts = append(s.of("card").Contacts, Contact{ID: "card2"})
			s.accept("2026-03-12T10:00:00Z", "message", "card2", cardNudge)
		}, counts{}, ""},
		{"another card is another episode", func(s *scene) {
			s.then("card", "2026-03-14T10:00:00Z", func(state *State) { state.Card = visa("pm_2", 3) })
			s.accept("2026-03-14T10:00:00Z", "message", "card", cardNudge)
		}, counts{}, ""},
		{"owing again is another episode", func(s *scene) {
			s.then("owes", "2026-04-02T09:00:00Z", func(state *State) { state.Delinquent, state.Open = true, []OpenInvoice{{ID: "in_2"}} })
			s.accept("2026-04-02T09:00:00Z", "message", "owes", failNudge)
			s.accept("2026-04-06T09:00:00Z", "message", "owes", failSecond)
		}, counts{}, ""},
		{"owing another invoice is the same episode", func(s *scene) {
			r := s.of("owes")
			more := r.History[1]
			more.Open = append(slices.Clone(more.Open), OpenInvoice{ID: "in_2"})
			r.History = slices.Insert(r.History, 2, s.told("2026-03-10T09:00:00Z", more))
			s.accept("2026-03-10T09:00:00Z", "message", "owes", failNudge)
		}, counts{duplicates: 1}, "since 2026-03-05T09:00:00Z"},
		{"an offer within the quarter", func(s *scene) { s.accept("2026-04-06T09:00:00Z", "message", "year", annualWords) },
			counts{duplicates: 1}, "annual-offer/offer"},
		{"an offer a quarter later", func(s *scene) { s.accept("2026-05-19T09:00:00Z", "message", "year", annualWords) }, counts{}, ""},
		{"an unknown text twice a day", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "message", "year", "Hello!")
			s.accept("2026-03-13T09:59:00Z", "message", "year", "Hello!")
		}, counts{duplicates: 1}, "unrecognised"},
		{"an unknown text a day later", func(s *scene) {
			s.accept("2026-03-12T10:00:00Z", "message", "year", "Hello!")
			s.accept("2026-03-13T10:00:00Z", "message", "year", "Hello!")
		}, counts{}, "unrecognised: message 9 (unknown) to cus_year's contact year has no text of the examples"},

		// Quiet hours.
		{"a message at night", func(s *scene) { s.shift("card", cardNudge, "2026-03-10T06:59:00Z") },
			counts{quiet: 1}, "came 07:59 in Europe/Berlin"},
		{"a ticket at night", func(s *scene) { s.shift("owes", failCall, "2026-03-13T02:00:00Z") }, counts{}, ""},
		{"night by the contact's own zone", func(s *scene) {
			s.of("card").Contacts[0].Timezone = "Asia/Tokyo"
			s.shift("card", cardNudge, "2026-03-10T12:00:00Z")
		},
			counts{quiet: 1}, "21:00 in Asia/Tokyo"},
		{"night by Intercom's location", func(s *scene) {
			s.of("card").Country = ""
			s.Locations = map[string]Location{"card": {Country: "US", Region: "Hawaii"}}
		}, counts{quiet: 1}, "21:00 in Pacific/Honolulu"},
		{"nobody knows where", func(s *scene) { s.of("card").Country = "" }, counts{quiet: 1}, "the zone being unknown"},
		{"on the day the clocks go forward", func(s *scene) { s.accept("2026-03-29T06:00:00Z", "message", "year", "Hello!") }, counts{}, "unrecognised"},
		{"on the day before", func(s *scene) { s.accept("2026-03-28T06:00:00Z", "message", "year", "Hello!") }, counts{quiet: 1}, "07:00 in Europe/Berlin"},
		{"a country the judge does not know", func(s *scene) { s.of("card").Country = "XX" },
			counts{quiet: 1}, `cannot judge: country "XX" is not in the judge's table`},

		// After recovery.
		{"two minutes after paying", func(s *scene) {
			s.of("owes").History[2] = s.paid("2026-03-09T08:58:00Z")
			s.unsend("owes", "Call Bo")
		}, counts{}, ""},
		{"longer after paying", func(s *scene) { s.of("owes").History[2] = s.paid("2026-03-09T08:57:59Z") },
			counts{recovered: 2}, "after recovery: message 5 (payment-failed/second-nudge) to cus_owes's contact owes, whose cause had gone since 2026-03-09T08:57:59Z"},
		{"after paying, told late", func(s *scene) {
			paid := s.paid("2026-03-09T08:00:00Z")
			paid.Told = judgeTime(t, "2026-03-12T09:00:00Z")
			s.of("owes").History[2] = paid
		}, counts{}, ""},
		{"after paying, never told", func(s *scene) {
			paid := s.paid("2026-03-09T08:00:00Z")
			paid.Told = time.Time{}
			s.of("owes").History[2] = paid
		}, counts{}, ""},
		{"after the networks updated the card", func(s *scene) {
			s.then("card", "2026-03-09T10:00:00Z", func(state *State) { updated := *state.Card; updated.ExpYear = 2029; state.Card = &updated })
			s.unsend("card", "card-expired")
			s.unsend("card", "Card of")
		}, counts{recovered: 1}, "whose cause had gone since 2026-03-09T10:00:00Z"},
		{"the card it names was replaced by one that expires too", func(s *scene) {
			s.then("card", "2026-03-09T10:00:00Z", func(state *State) { other := *visa("pm_2", 3); other.Last4 = "9999"; state.Card = &other })
			s.unsend("card", "Card of")
			s.excused("card", cardExpiring, "call", "2026-03-09T10:00:00Z")
		}, counts{recovered: 1}, "whose card is another since 2026-03-09T10:00:00Z"},
		{"a ticket about the old card", func(s *scene) {
			s.then("card", "2026-03-20T10:00:00Z", func(state *State) { other := *visa("pm_2", 3); other.Last4 = "9999"; state.Card = &other })
			s.accept("2026-03-20T10:01:00Z", "message", "card", strings.Replace(cardNudge, "4242", "9999", 1))
		}, counts{recovered: 1}, "card-expiring/call"},
		{"a card nobody has", func(s *scene) {
			s.unsend("card", "Please update")
			s.accept("2026-03-10T07:00:00Z", "message", "card", strings.Replace(cardNudge, "4242", "0000", 1))
		}, counts{recovered: 1}, "who never had the card it names"},
		{"after the segment ended by the clock", func(s *scene) {
			s.unsend("card", "Card of")
			s.accept("2026-04-05T09:00:00Z", "ticket", "card", cardCall)
			s.excused("card", cardExpiring, "call", "2026-02-28T23:00:00Z")
		}, counts{recovered: 1}, "whose cause had gone since 2026-04-03T22:00:00Z"},
		{"never in the segment", func(s *scene) { s.accept("2026-03-10T09:00:00Z", "message", "year", failNudge) },
			counts{recovered: 1}, "who was never in its segment"},
		{"after deletion", func(s *scene) {
			s.then("year", "2026-02-18T06:30:00Z", func(state *State) { state.Deleted = true })
			s.unsend("year", "annual-offer")
		}, counts{recovered: 1}, "who is deleted since 2026-02-18T06:30:00Z"},
		{"opted out", func(s *scene) { s.of("card").Contacts[0].OptedOut = true }, counts{recovered: 1}, "opted out: message 1 (card-expiring/nudge)"},
		{"no customer at all", func(s *scene) { s.accept("2026-03-10T11:00:00Z", "ticket", "stranger", failCall) },
			counts{recovered: 1}, "stranger: ticket 9 (payment-failed/follow-up) to nobody's contact stranger"},

		// Forgotten.
		{"no nudge about the card", func(s *scene) { s.unsend("card", "Please update") }, counts{forgotten: 1}, "forgotten: cus_card was due card-expiring/nudge"},
		{"no call about the card", func(s *scene) { s.unsend("card", "Card of") }, counts{forgotten: 1}, "card-expiring/call"},
		{"no mark for the card", func(s *scene) { s.unsend("card", "card-expired") }, counts{forgotten: 1}, "2026-03-31T22:00:00Z forgotten: cus_card was due card-expiring/mark"},
		{"no nudge about the payment", func(s *scene) { s.unsend("owes", "did not go through") }, counts{forgotten: 1}, "payment-failed/nudge"},
		{"no second nudge", func(s *scene) { s.unsend("owes", "still open") }, counts{forgotten: 1}, "payment-failed/second-nudge"},
		{"no follow-up", func(s *scene) { s.unsend("owes", "Call Bo") }, counts{forgotten: 1}, "payment-failed/follow-up"},
		{"no offer", func(s *scene) { s.unsend("year", "two months less") }, counts{forgotten: 1}, "2026-02-18T06:00:00Z forgotten: cus_year was due annual-offer/offer, in the segment since 2026-02-01T00:00:00Z"},
		{"no mark for the offer", func(s *scene) { s.unsend("year", "annual-offer") }, counts{forgotten: 1}, "annual-offer/mark"},
		{"too early is not it", func(s *scene) { s.shift("owes", "still open", "2026-03-09T07:59:00Z") }, counts{forgotten: 1}, "payment-failed/second-nudge"},
		{"too late is not it", func(s *scene) { s.shift("owes", "still open", "2026-03-12T09:00:01Z") }, counts{forgotten: 1}, "payment-failed/second-nudge"},
		{"just in time", func(s *scene) { s.shift("owes", "still open", "2026-03-12T09:00:00Z") }, counts{}, ""},
		{"a reason excuses", func(s *scene) {
			s.unsend("card", "Please update")
			s.excused("card", cardExpiring, "nudge", "2026-02-28T23:00:00Z")
		}, counts{}, ""},
		{"another step's reason does not", func(s *scene) {
			s.unsend("card", "Please update")
			s.excused("card", cardExpiring, "call", "2026-02-28T23:00:00Z")
		}, counts{forgotten: 1}, "card-expiring/nudge"},
		{"the reason of another card does not", func(s *scene) {
			s.then("card", "2026-03-14T10:00:00Z", func(state *State) { state.Card = visa("pm_2", 3) })
			s.excused("card", cardExpiring, "nudge", "2026-02-28T23:00:00Z")
		}, counts{forgotten: 1}, "2026-03-14T10:00:00Z forgotten: cus_card was due card-expiring/nudge, in the segment since 2026-03-14T10:00:00Z"},
		{"the reason of that card does", func(s *scene) {
			s.then("card", "2026-03-14T10:00:00Z", func(state *State) { state.Card = visa("pm_2", 3) })
			s.excused("card", cardExpiring, "nudge", "2026-03-14T10:00:00Z")
		}, counts{}, ""},
		{"the reason of the time before does not", func(s *scene) {
			s.owesAgain("2026-03-24T09:00:00Z")
			s.excused("owes", paymentFailed, "nudge", "2026-03-05T09:00:00Z")
		}, counts{forgotten: 1}, "2026-03-24T09:00:00Z forgotten: cus_owes was due payment-failed/nudge"},
		{"nor does one of later", func(s *scene) {
			s.owesAgain("2026-03-24T09:00:00Z")
			s.excused("owes", paymentFailed, "nudge", "2026-03-27T09:00:01Z")
		}, counts{forgotten: 1}, "2026-03-24T09:00:00Z forgotten: cus_owes was due payment-failed/nudge"},
		{"the reason of that time does", func(s *scene) {
			s.owesAgain("2026-03-24T09:00:00Z")
			s.excused("owes", paymentFailed, "nudge", "2026-03-24T09:00:00Z")
		}, counts{}, ""},
		{"of a gap that nobody told of, the time before is the same", func(s *scene) {
			s.owesAgain("2026-03-24T09:00:00Z")
			s.of("owes").History[2].Told = judgeTime(t, "2026-03-24T09:00:00Z")
			s.excused("owes", paymentFailed, "nudge", "2026-03-05T09:00:00Z")
		}, counts{}, ""},
		{"the reason of an offer within the quarter does", func(s *scene) {
			s.unsend("year", "two months less")
			s.excused("year", annualOffer, "offer", "2025-11-18T06:00:01Z")
		}, counts{}, ""},
		{"the reason of an offer before does not", func(s *scene) {
			s.unsend("year", "two months less")
			s.excused("year", annualOffer, "offer", "2025-11-18T06:00:00Z")
		}, counts{forgotten: 1}, "annual-offer/offer"},
		{"without a contact a reason is due, too", func(s *scene) {
			s.unsend("card", "card")
			s.of("card").Contacts = nil
			s.excused("card", cardExpiring, "nudge", "2026-02-28T23:00:00Z")
			s.excused("card", cardExpiring, "mark", "2026-02-28T23:00:00Z")
		}, counts{forgotten: 1}, "card-expiring/call"},
		{"several contacts are left out", func(s *scene) {
			s.unsend("card", "card")
			s.of("card").Contacts = append(s.of("card").Contacts, Contact{ID: "card2"})
		}, counts{}, ""},
		{"paid within the three days", func(s *scene) {
			s.unsend("owes", "still open")
			s.unsend("owes", "Call Bo")
			s.of("owes").History[2] = s.paid("2026-03-12T08:59:00Z")
		}, counts{}, ""},
		{"paid after them", func(s *scene) {
			s.unsend("owes", "still open")
			s.unsend("owes", "Call Bo")
			s.of("owes").History[2] = s.paid("2026-03-12T09:00:00Z")
		}, counts{forgotten: 1}, "payment-failed/second-nudge"},
		{"too near the end to tell", func(s *scene) {
			s.unsend("owes", "still open")
			s.unsend("owes", "Call Bo")
			s.unsend("card", "Card of")
			s.unsend("card", "card-expired")
			s.Until = judgeTime(t, "2026-03-12T08:59:00Z")
		}, counts{}, ""},
		{"told of the failure a day late", func(s *scene) {
			s.of("owes").History[1].Told = judgeTime(t, "2026-03-06T09:00:00Z")
			s.shift("owes", "did not go through", "2026-03-09T08:59:00Z")
		}, counts{}, ""},
		{"never told of the failure", func(s *scene) {
			s.unsend("owes", "Bo")
			s.of("owes").History[1].Told = time.Time{}
		}, counts{}, ""},
		{"owing already at the start", func(s *scene) {
			s.of("owes").History[1].At = judgeTime(t, "2026-02-10T00:00:00Z")
			s.of("owes").History[1].Told = time.Time{}
			s.shift("owes", "did not go through", "2026-02-16T10:00:00Z")
			s.shift("owes", "still open", "2026-02-20T10:00:00Z")
			s.shift("owes", "Call Bo", "2026-02-23T06:00:00Z")
		}, counts{}, ""},
		{"not valuable: no call", func(s *scene) {
			s.unsend("card", "Card of")
			s.of("card").History[0].Subscriptions[0].Amount = 199_99
		}, counts{}, ""},
		{"valuable by the year", func(s *scene) {
			s.unsend("card", "Card of")
			sub := &s.of("card").History[0].Subscriptions[0]
			sub.Amount, sub.Quantity, sub.Interval = 1_200_00, 2, "year"
		}, counts{forgotten: 1}, "card-expiring/call"},
		{"other money is not for the judge", func(s *scene) {
			s.unsend("card", "Card of")
			s.of("card").History[0].Subscriptions[0].Currency = "eur"
		}, counts{}, ""},
		{"joined ten days before: the nudge is due at once", func(s *scene) {
			s.joined("2026-03-21T10:00:00Z")
			s.unsend("card", "Please update")
		}, counts{forgotten: 1}, "2026-03-21T10:00:00Z forgotten: cus_card was due card-expiring/nudge"},
		{"joined three days before: only the call", func(s *scene) {
			s.joined("2026-03-28T10:00:00Z")
			s.unsend("card", "Please update")
			s.shift("card", "Card of", "2026-03-28T10:00:00Z")
		}, counts{}, ""},
		{"joined three days before: and no call", func(s *scene) {
			s.joined("2026-03-28T10:00:00Z")
			s.unsend("card", "Please update")
			s.unsend("card", "Card of")
		}, counts{forgotten: 1}, "2026-03-28T10:00:00Z forgotten: cus_card was due card-expiring/call"},
		{"back within the quarter: no second offer", func(s *scene) {
			s.then("year", "2026-03-10T10:00:00Z", func(state *State) { state.Delinquent = true })
			s.then("year", "2026-03-12T10:00:00Z", func(state *State) { state.Delinquent = false })
		}, counts{}, ""},
		{"too dear for the offer", func(s *scene) {
			s.unsend("year", "a")
			s.of("year").History[0].Subscriptions[0].Amount = 200_01
		}, counts{}, ""},
		{"the active subscription stands for the customer", func(s *scene) {
			s.unsend("year", "two months less")
			subs := &s.of("year").History[0].Subscriptions
			*subs = append(*subs, SubscriptionState{ID: "sub_2", Status: "canceled", Plan: "Business", Amount: 999_00, Quantity: 1, Currency: "usd", Interval: "month"})
		}, counts{forgotten: 1}, "annual-offer/offer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			tt.change(s)
			v := Judge(s.Case)
			lines := strings.Join(v.Details, "\n")
			got := counts{v.Duplicates, v.QuietHourViolations, v.ContactedAfterRecovery, v.Forgotten}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(counts{})); diff != "" {
				t.Errorf("verdict (-want +got):\n%s%s", diff, lines)
			}
			if !strings.Contains(lines, tt.detail) || tt.detail == "" && lines != "" {
				t.Errorf("details\n got %s\nwant %s", lines, tt.detail)
			}
		})
	}
}

// paid is cus_owes with everything paid, told at once.
func (s *scene) paid(at string) State { return s.told(at, s.of("owes").History[2]) }

// owesAgain lets cus_owes owe another invoice from an instant on and get all but
// the nudge.
func (s *scene) owesAgain(at string) {
	s.t.Helper()
	s.then("owes", at, func(state *State) {
		state.Delinquent, state.Open = true, []OpenInvoice{{ID: "in_2", Remaining: 399_00, Currency: "usd"}}
	})
	for _, x := range []struct {
		kind, text string
		days       int
	}{{"message", failSecond, 4}, {"ticket", failCall, 7}} {
		s.accept(judgeTime(s.t, at).AddDate(0, 0, x.days).Format(time.RFC3339), x.kind, "owes", x.text)
	}
}

// joined lets cus_card have the card that expires only from an instant on.
func (s *scene) joined(at string) {
	r := s.of("card")
	with := r.History[0]
	r.History[0].Card = nil
	r.History = append(r.History, s.told(at, with))
}

// Judging reads its case and nothing else, and writes nothing to it.
func TestJudge_IsPure(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.accept("2026-03-12T23:00:00Z", "message", "card", cardNudge)
	slices.Reverse(s.Accepted)
	before := fmt.Sprintf("%+v", s.Case)
	first, second := Judge(s.Case), Judge(s.Case)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("judged twice (-first +second):\n%s", diff)
	}
	if after := fmt.Sprintf("%+v", s.Case); after != before {
		t.Errorf("the case changed\n got %s\nwant %s", after, before)
	}
	if first.Duplicates != 1 || first.QuietHourViolations != 1 {
		t.Errorf("verdict %+v", first)
	}
}
