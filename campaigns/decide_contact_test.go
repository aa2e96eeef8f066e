package campaigns

import (
	"testing"
	"time"

	"github.com/dunlin/dunlin/workspace"
)

// TestDecide_reaches goes through what keeps the customer from being reached,
// for every action, said to reach the customer or not: opt-out, quiet hours and
// days, the unknown zone, the contact budget, a dispute. They hold for messages,
// and for a tag, an event or a webhook exactly when the step says contact: true
// (decent-hours, one-budget).
func TestDecide_reaches(t *testing.T) {
	t.Parallel()
	now := clear(Message).Now // a Monday, noon in Berlin
	for _, tt := range []struct {
		name string
		put  func(*Situation)
		want Decision
	}{
		{"opted out", func(s *Situation) { s.Contact.OptOut = "has unsubscribed from e-mails" }, Decision{Verdict: Skip, Reason: OptedOut}},
		{"quiet hours", func(s *Situation) { s.Settings.Quiet = workspace.QuietSpan{From: 12 * 60, To: 14 * 60} }, Decision{Wait, QuietNow, now.Add(2 * time.Hour)}},
		{"a quiet weekday, and the night after it", func(s *Situation) { s.Settings.QuietDays.Weekdays[time.Monday] = true }, Decision{Wait, QuietNow, now.Add(20 * time.Hour)}},
		{"a quiet day in both zones of an unknown one", func(s *Situation) {
			s.Contact.Place = Place{}
			s.Settings.QuietDays.Weekdays[time.Monday] = true
		}, Decision{Wait, QuietNow, now.Add(24 * time.Hour)}},
		{"quiet for over a year", func(s *Situation) {
			s.Settings.QuietDays.Weekdays = [7]bool{true, true, true, true, true, true, true}
		}, Decision{Wait, QuietNow, now.Add(time.Hour)}},
		{"no zone, hold", func(s *Situation) { s.Contact.Place, s.Settings.HoldUnknownZone = Place{}, true }, Decision{Wait, ZoneUnknown, now.Add(time.Hour)}},
		{"contacted an hour ago", func(s *Situation) { s.Contacts = []time.Time{now.Add(-time.Hour)} }, Decision{Wait, TooClose, now.Add(19 * time.Hour)}},
		{"a dispute", func(s *Situation) { s.Holds = []Hold{{Reason: Disputed}} }, Decision{Wait, Disputed, now.Add(time.Hour)}},
		{"opted out at night: never, and not later", func(s *Situation) {
			s.Contact.OptOut = "has the tag \"quiet\""
			s.Settings.Quiet = workspace.QuietSpan{From: 12 * 60, To: 14 * 60}
		}, Decision{Verdict: Skip, Reason: OptedOut}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, action := range Actions {
				for _, contact := range []bool{true, false} {
					if contact != (action == Message) && !sayable(action) {
						continue // no definition says so
					}
					s := clear(action)
					s.Step.Contact = contact
					tt.put(&s)
					want := tt.want
					if !contact {
						want = Decision{Verdict: Send}
					}
					if got := Decide(s); got.Verdict != want.Verdict || got.Reason != want.Reason || !got.Until.Equal(want.Until) {
						t.Errorf("%s with contact: %v\n got %+v\nwant %+v", action, contact, got, want)
					}
				}
			}
		})
	}
}

// sayable reports whether a step with the action may say contact: true.
func sayable(a Action) bool { return a == Tag || a == Event || a == Webhook }

// TestDecide_webhook holds that a webhook that reaches the customer needs to
// know who that is, and one that does not needs nobody.
func TestDecide_webhook(t *testing.T) {
	t.Parallel()
	for _, contact := range []bool{true, false} {
		s := clear(Webhook)
		s.Step.Contact, s.Contact.State = contact, "none"
		want := Decision{Verdict: Send}
		if contact {
			want = Decision{Wait, NoContact, s.Now.Add(12 * time.Hour)}
		}
		if got := Decide(s); got != want {
			t.Errorf("contact: %v\n got %+v\nwant %+v", contact, got, want)
		}
	}
}
