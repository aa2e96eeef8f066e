package campaigns

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/workspace"
)

// clear is a situation in which nothing stands in the way: Monday noon in Berlin.
func clear(action Action) Situation {
	now := time.Date(2026, time.March, 2, 11, 0, 0, 0, time.UTC)
	scheduled, expires := now.Add(-time.Hour), now.Add(48*time.Hour)
	return Situation{
		Now: now, Settings: workspace.Defaults(), Enrolled: true, Member: true, SameEpisode: true, Condition: true,
		Step: Step{Name: "nudge", Action: action, Contact: action == Message}, Scheduled: &scheduled, Expires: &expires,
		Contact: Contact{State: "linked", ID: "C1", Role: "user", Email: "a@example.com", Place: Place{Country: "DE"}, Checked: now.Add(-time.Minute)},
	}
}

// obstacles are what can stand in the way of a message, what weighs most first.
var obstacles = []struct {
	reason  Reason
	verdict Verdict
	until   time.Duration // from now, for Wait
	task    bool          // stands in the way of a task, too
	tag     bool          // of a tag, too
	put     func(*Situation)
}{
	{Ended, Skip, 0, true, true, func(s *Situation) { s.Enrolled = false }},
	{Unapplied, Wait, time.Minute, true, true, func(s *Situation) { s.Unapplied = true }},
	{EpisodeOver, Stop, 0, true, true, func(s *Situation) { s.SameEpisode = false }},
	{LeftSegment, Stop, 0, true, true, func(s *Situation) { s.Member = false }},
	{StepGone, Skip, 0, true, true, func(s *Situation) { s.Step.Name = "" }},
	{AnchorMissing, Wait, time.Hour, true, true, func(s *Situation) { s.Scheduled, s.Expires = nil, nil }},
	{NotYet, Wait, 3 * time.Hour, true, true, func(s *Situation) {
		if s.Scheduled != nil {
			at := s.Now.Add(3 * time.Hour)
			s.Scheduled = &at
		}
	}},
	{Expired, Skip, 0, true, true, func(s *Situation) {
		if s.Expires != nil {
			at := s.Now
			s.Expires = &at
			s.Contact.State = "linked"
		}
	}},
	{ConditionFalse, Skip, 0, true, true, func(s *Situation) { s.Condition = false }},
	{Stopped, Wait, time.Hour, true, true, func(s *Situation) { s.Stopped = true }},
	{Paused, Wait, time.Hour, true, true, func(s *Situation) { s.Paused = true }},
	{ContactStale, Wait, time.Minute, false, true, func(s *Situation) { s.Contact.Checked = s.Now.Add(-contactFresh - time.Second) }},
	{NoContact, Wait, 12 * time.Hour, false, true, func(s *Situation) { s.Contact.State = "none" }},
	{TestOnly, Wait, time.Hour, false, true, func(s *Situation) { s.Settings.TestContacts = []string{"b@example.com"} }},
	{OptedOut, Skip, 0, false, false, func(s *Situation) { s.Contact.OptOut = "tag quiet" }},
	{QuietNow, Wait, 10 * time.Hour, false, false, func(s *Situation) { s.Settings.Quiet = workspace.QuietSpan{From: 11 * 60, To: 22 * 60} }},
	{DryRun, Skip, 0, true, true, func(s *Situation) { s.DryRun = true }},
}

// TestDecide_precedence puts each obstacle before all that weigh less: the reason
// is always the heaviest that holds for the action.
func TestDecide_precedence(t *testing.T) {
	t.Parallel()
	for _, action := range []Action{Message, Task, Tag} {
		if got := Decide(clear(action)); got != (Decision{Verdict: Send}) {
			t.Errorf("%s with nothing in the way\n got %+v\nwant send", action, got)
		}
		for i, o := range obstacles {
			if action == Task && !o.task || action == Tag && !o.tag {
				s := clear(action)
				o.put(&s)
				if got := Decide(s); got.Verdict != Send {
					t.Errorf("%s with %s\n got %+v\nwant send", action, o.reason, got)
				}
				continue
			}
			for _, alone := range []bool{true, false} {
				s := clear(action)
				for j := len(obstacles) - 1; j >= i; j-- {
					// Of what weighs less, an anchor that is missing would undo what
					// this obstacle says of the step's time.
					if j == i || !alone && !(o.reason == AnchorMissing && obstacles[j].reason == NotYet) && obstacles[j].reason != AnchorMissing {
						obstacles[j].put(&s)
					}
				}
				if o.reason == Expired {
					s.Contact.State = "linked"
				}
				got := Decide(s)
				want := Decision{Verdict: o.verdict, Reason: o.reason}
				if o.verdict == Wait {
					want.Until = s.Now.Add(o.until)
					if s.Expires != nil && want.Until.After(*s.Expires) && s.Expires.After(s.Now) {
						want.Until = *s.Expires
					}
				}
				if got.Verdict != want.Verdict || got.Reason != want.Reason || !got.Until.Equal(want.Until) {
					t.Errorf("%s with %s, alone %v\n got %+v\nwant %+v", action, o.reason, alone, got, want)
				}
			}
		}
	}
}

func TestDecide_cases(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		action Action
		change func(*Situation)
		want   Decision
	}{
		{"who may stay on gets it after leaving", Message, func(s *Situation) { s.Member, s.SameEpisode, s.NeverExit = false, false, true }, Decision{Verdict: Send}},
		{"expired for want of a contact", Message, func(s *Situation) { s.Expires, s.Waited = &s.Now, NoContact }, Decision{Verdict: Skip, Reason: NoContact}},
		{"expired between two contacts", Message, func(s *Situation) { s.Expires, s.Waited = &s.Now, AmbiguousContact }, Decision{Verdict: Skip, Reason: AmbiguousContact}},
		{"what waited for its time expires as such", Task, func(s *Situation) { s.Expires, s.Waited = &s.Now, NotYet }, Decision{Verdict: Skip, Reason: Expired}},
		{"a nanosecond before it expires", Message, func(s *Situation) { at := s.Now.Add(1); s.Expires = &at }, Decision{Verdict: Send}},
		{"due at this very instant", Message, func(s *Situation) { s.Scheduled = &s.Now }, Decision{Verdict: Send}},
		{"ambiguous", Message, func(s *Situation) { s.Contact.State = "ambiguous" }, Decision{Wait, AmbiguousContact, clear(Message).Now.Add(12 * time.Hour)}},
		{"a task needs no contact", Task, func(s *Situation) { s.Contact = Contact{} }, Decision{Verdict: Send}},
		{"a task at night", Task, func(s *Situation) { s.Settings.Quiet = workspace.QuietSpan{From: 1, To: 0} }, Decision{Verdict: Send}},
		{"a tag at night, for who opted out", Tag, func(s *Situation) {
			s.Settings.Quiet = workspace.QuietSpan{From: 1, To: 0}
			s.Contact.OptOut = "x"
		}, Decision{Verdict: Send}},
		{"never asked", Message, func(s *Situation) { s.Contact = Contact{} }, Decision{Wait, ContactStale, clear(Message).Now.Add(time.Minute)}},
		{"exactly fresh", Message, func(s *Situation) { s.Contact.Checked = s.Now.Add(-contactFresh) }, Decision{Verdict: Send}},
		{"a test contact by id, in any case", Message, func(s *Situation) { s.Settings.TestContacts = []string{"c1"} }, Decision{Verdict: Send}},
		{"a test contact by address", Message, func(s *Situation) {
			s.Settings.TestContacts, s.Contact.Email = []string{"a@example.com"}, "A@Example.com"
		}, Decision{Verdict: Send}},
		{"zone unknown, narrow, at noon", Message, func(s *Situation) { s.Contact.Place = Place{} }, Decision{Verdict: Send}},
		{"zone unknown, narrow, at ten", Message, func(s *Situation) { s.Contact.Place = Place{}; s.Now = s.Now.Add(-time.Minute); s.Scheduled = &s.Now }, Decision{Wait, QuietNow, clear(Message).Now}},
		{"zone unknown, hold", Message, func(s *Situation) { s.Contact.Place, s.Settings.HoldUnknownZone = Place{}, true }, Decision{Wait, ZoneUnknown, clear(Message).Now.Add(time.Hour)}},
		{"zone known, hold", Message, func(s *Situation) { s.Settings.HoldUnknownZone = true }, Decision{Verdict: Send}},
		{"always quiet", Message, func(s *Situation) {
			s.Contact.Place = Place{}
			s.Settings.Quiet = workspace.QuietSpan{From: 10 * 60, To: 17 * 60}
		}, Decision{Wait, QuietNow, clear(Message).Now.Add(time.Hour)}},
		{"quiet until after it expires: until then", Message, func(s *Situation) {
			s.Settings.Quiet = workspace.QuietSpan{From: 11 * 60, To: 22 * 60}
			at := s.Now.Add(time.Hour)
			s.Expires = &at
		}, Decision{Wait, QuietNow, clear(Message).Now.Add(time.Hour)}},
		{"news that comes after it expired", Message, func(s *Situation) { s.Unapplied = true; at := s.Now.Add(-time.Hour); s.Expires = &at }, Decision{Wait, Unapplied, clear(Message).Now.Add(time.Minute)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := clear(tt.action)
			tt.change(&s)
			got := Decide(s)
			if got.Verdict != tt.want.Verdict || got.Reason != tt.want.Reason || !got.Until.Equal(tt.want.Until) {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestDecide_always holds what is true of every decision, whatever the situation.
func TestDecide_always(t *testing.T) {
	t.Parallel()
	countries := []string{"", "DE", "US", "RU", "AU", "JP", "ZZ"}
	rapid.Check(t, func(rt *rapid.T) {
		flag := func(name string) bool { return rapid.IntRange(0, 5).Draw(rt, name) == 0 }
		s := clear(rapid.SampledFrom([]Action{Message, Task, Tag}).Draw(rt, "action"))
		s.Now = time.Unix(rapid.Int64Range(1577836800, 1924991999).Draw(rt, "now"), 0).UTC()
		s.DryRun, s.Stopped, s.Paused, s.NeverExit, s.Unapplied = flag("dry run"), flag("stopped"), flag("paused"), flag("never exit"), flag("unapplied")
		s.Enrolled, s.Member, s.SameEpisode, s.Condition = !flag("ended"), !flag("left"), !flag("other episode"), !flag("condition")
		s.Scheduled, s.Expires = nil, nil
		if !flag("no anchor") {
			at := s.Now.Add(time.Duration(rapid.IntRange(-100, 20).Draw(rt, "scheduled")) * time.Hour)
			expires := at.Add(time.Duration(rapid.IntRange(1, 100).Draw(rt, "expires")) * time.Hour)
			s.Scheduled, s.Expires = &at, &expires
		}
		s.Settings.Quiet = workspace.QuietSpan{From: rapid.IntRange(0, 1439).Draw(rt, "from"), To: rapid.IntRange(0, 1439).Draw(rt, "to")}
		s.Settings.HoldUnknownZone = flag("hold")
		if flag("test") {
			s.Settings.TestContacts = []string{"x"}
		}
		if flag("opted out") {
			s.Contact.OptOut = "yes"
		}
		s.Contact.State = rapid.SampledFrom([]string{"linked", "linked", "linked", "none", "ambiguous", ""}).Draw(rt, "contact")
		s.Contact.Checked = s.Now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(rt, "age")) * time.Minute)
		s.Contact.Place = Place{Country: rapid.SampledFrom(countries).Draw(rt, "country")}

		d := Decide(s)
		switch d.Verdict {
		case Wait:
			if !d.Until.After(s.Now) {
				rt.Fatalf("waits for %s until %s, which is not after %s", d.Reason, d.Until, s.Now)
			}
			if s.Expires != nil && d.Until.After(*s.Expires) && d.Reason != Unapplied {
				rt.Fatalf("waits for %s until %s, beyond its end %s", d.Reason, d.Until, s.Expires)
			}
			if d.Reason.Words() == string(d.Reason) {
				rt.Fatalf("%q has no words", d.Reason)
			}
		case Skip, Stop:
			if d.Reason == "" || d.Reason.Words() == string(d.Reason) || !d.Until.IsZero() {
				rt.Fatalf("%+v", d)
			}
		case Send:
			if s.Stopped || s.Paused || s.Unapplied || s.DryRun || !s.Enrolled || !s.NeverExit && !(s.Member && s.SameEpisode) || !s.Condition ||
				s.Scheduled == nil || s.Scheduled.After(s.Now) || !s.Now.Before(*s.Expires) {
				rt.Fatalf("sent all the same: %+v", s)
			}
			if s.Step.Action == Message && (s.Contact.OptOut != "" || s.Contact.State != "linked" || len(s.Settings.TestContacts) > 0 || s.Now.Sub(s.Contact.Checked) > contactFresh) {
				rt.Fatalf("sent to %+v", s.Contact)
			}
			if zones := s.Contact.Place.Zones(); s.Step.Action == Message && anyQuiet(quietHours(s.Settings, zones, s.Now), s.Now) {
				rt.Fatalf("sent at night (decent-hours): %s %+v", s.Now, s.Settings.Quiet)
			}
		default:
			rt.Fatalf("%+v", d)
		}
	})
}

func TestReason_Words(t *testing.T) {
	t.Parallel()
	if got := Reason("no_such").Words(); got != "no_such" {
		t.Errorf("got %q", got)
	}
}
