package campaigns

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/workspace"
)

// steps are all that a step can be: each action, and those that may reach the
// customer also as one that does.
func steps() (list []Step) {
	for _, a := range Actions {
		list = append(list, Step{Name: "nudge", Action: a, Contact: a == Message})
		if a == Tag || a == Event || a == Webhook {
			list = append(list, Step{Name: "nudge", Action: a, Contact: true})
		}
	}
	return list
}

// clear is a situation in which nothing stands in the way of an action: Monday
// noon in Berlin.
func clear(action Action) Situation {
	return clearFor(Step{Name: "nudge", Action: action, Contact: action == Message})
}

func clearFor(step Step) Situation {
	now := time.Date(2026, time.March, 2, 11, 0, 0, 0, time.UTC)
	scheduled, expires := now.Add(-time.Hour), now.Add(48*time.Hour)
	return Situation{
		Now: now, Settings: workspace.Defaults(), Enrolled: true, Member: true, SameEpisode: true, Condition: true,
		DataAge: 4 * time.Minute, NoOlderThan: 15 * time.Minute, Step: step, Scheduled: &scheduled, Expires: &expires,
		Contact: Contact{State: "linked", ID: "C1", Role: "user", Email: "a@example.com", Place: Place{Country: "DE"}, Checked: now.Add(-time.Minute)},
	}
}

// Whom an obstacle stops.
func every(Step) bool      { return true }
func reaching(s Step) bool { return s.Contact }

func needingContact(s Step) bool { return s.Contact || s.Action != Task && s.Action != Webhook }

// contacted adds contacts of the person, so long before now.
func contacted(s *Situation, ago ...time.Duration) {
	list := slices.Clone(s.Contacts)
	for _, d := range ago {
		list = append(list, s.Now.Add(-d))
	}
	slices.SortFunc(list, time.Time.Compare)
	s.Contacts = list
}

func hold(s *Situation, why Reason, until time.Duration) {
	h := Hold{Reason: why}
	if until > 0 {
		h.Until = s.Now.Add(until)
	}
	s.Holds = append(slices.Clone(s.Holds), h)
}

type obstacle struct {
	reason  Reason
	verdict Verdict
	until   time.Duration   // from now, for Wait
	stops   func(Step) bool // which steps
	put     func(*Situation)
}

// obstacles are what can stand in the way, what weighs most first.
var obstacles = []obstacle{
	{Ended, Skip, 0, every, func(s *Situation) { s.Enrolled = false }},
	{Unapplied, Wait, time.Minute, every, func(s *Situation) { s.Unapplied = s.Now }},
	{SegmentWaits, Wait, time.Hour, every, func(s *Situation) { s.SegmentWaits = true }},
	{GoalReached, Stop, 0, every, func(s *Situation) { s.Goal = true }},
	{EpisodeOver, Stop, 0, every, func(s *Situation) { s.SameEpisode = false }},
	{LeftSegment, Wait, time.Hour, every, func(s *Situation) { s.Member = false }},
	{StepGone, Skip, 0, every, func(s *Situation) { s.Step.Name = "" }},
	{AnchorMissing, Wait, time.Hour, every, func(s *Situation) { s.Scheduled, s.Expires = nil, nil }},
	{NotYet, Wait, 3 * time.Hour, every, func(s *Situation) {
		if s.Scheduled != nil {
			at := s.Now.Add(3 * time.Hour)
			s.Scheduled = &at
		}
	}},
	{Expired, Skip, 0, every, func(s *Situation) {
		if s.Expires != nil {
			at := s.Now
			s.Expires = &at
		}
	}},
	{DataOld, Wait, time.Minute, every, func(s *Situation) { s.NoOlderThan, s.DataAge = time.Hour, time.Hour+1 }},
	{ConditionFalse, Skip, 0, every, func(s *Situation) { s.Condition = false }},
	{Stopped, Wait, time.Hour, every, func(s *Situation) { s.Stopped = true }},
	{Paused, Wait, time.Hour, every, func(s *Situation) { s.Paused = true }},
	{OnHold, Wait, time.Hour, every, func(s *Situation) { hold(s, OnHold, 0) }},
	{Promised, Wait, 30 * time.Hour, every, func(s *Situation) { hold(s, Promised, 30*time.Hour) }},
	{Disputed, Wait, 20 * time.Hour, reaching, func(s *Situation) { hold(s, Disputed, 20*time.Hour) }},
	{ContactStale, Wait, time.Minute, needingContact, func(s *Situation) { s.Contact.Checked = s.Now.Add(-contactFresh - time.Second) }},
	{NoContact, Wait, 12 * time.Hour, needingContact, func(s *Situation) { s.Contact.State = "none" }},
	{TestOnly, Wait, time.Hour, every, func(s *Situation) { s.Settings.TestContacts = []string{"b@example.com"} }},
	{OptedOut, Skip, 0, reaching, func(s *Situation) { s.Contact.OptOut = "tag quiet" }},
	{QuietNow, Wait, 10 * time.Hour, reaching, func(s *Situation) { s.Settings.Quiet = workspace.QuietSpan{From: 11 * 60, To: 22 * 60} }},
	{BudgetSpent, Wait, 4 * 24 * time.Hour, reaching, func(s *Situation) { contacted(s, 72*time.Hour, 48*time.Hour, 24*time.Hour) }},
	{TooClose, Wait, 19 * time.Hour, reaching, func(s *Situation) { contacted(s, time.Hour) }},
	{Outranked, Wait, time.Minute, reaching, func(s *Situation) { s.Rival = true }},
	{DryRun, Skip, 0, every, func(s *Situation) { s.DryRun = true }},
	{HeldOut, Skip, 0, every, func(s *Situation) { s.HeldOut = true }},
}

// undone are obstacles of less weight that cannot be put together with one of
// more: they would take back what it says.
var undone = map[Reason][]Reason{AnchorMissing: {NotYet}, SegmentWaits: {Expired}, LeftSegment: {Expired}}

// TestDecide_precedence puts each obstacle before all that weigh less: the reason
// is always the heaviest that holds for the step.
func TestDecide_precedence(t *testing.T) {
	t.Parallel()
	for _, step := range steps() {
		name := fmt.Sprintf("%s, contact %v", step.Action, step.Contact)
		if got := Decide(clearFor(step)); got != (Decision{Verdict: Send}) {
			t.Errorf("%s with nothing in the way\n got %+v\nwant send", name, got)
		}
		for i, o := range obstacles {
			if !o.stops(step) {
				s := clearFor(step)
				o.put(&s)
				if got := Decide(s); got != (Decision{Verdict: Send}) {
					t.Errorf("%s with %s\n got %+v\nwant send", name, o.reason, got)
				}
				continue
			}
			for _, alone := range []bool{true, false} {
				s := clearFor(step)
				for _, less := range slices.Backward(obstacles[i+1:]) {
					if !alone && less.reason != AnchorMissing && !slices.Contains(undone[o.reason], less.reason) {
						less.put(&s)
					}
				}
				o.put(&s)
				got := Decide(s)
				want := Decision{Verdict: o.verdict, Reason: o.reason}
				if o.verdict == Wait {
					want.Until = s.Now.Add(o.until)
					if s.Expires != nil && want.Until.After(*s.Expires) && s.Expires.After(s.Now) {
						want.Until = *s.Expires
					}
				}
				if got.Verdict != want.Verdict || got.Reason != want.Reason || !got.Until.Equal(want.Until) {
					t.Errorf("%s with %s, alone %v\n got %+v\nwant %+v", name, o.reason, alone, got, want)
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
		{"a task of a test contact", Task, func(s *Situation) { s.Settings.TestContacts = []string{"c1"} }, Decision{Verdict: Send}},
		{"a task of who is no contact, beside test contacts", Task, func(s *Situation) {
			s.Settings.TestContacts, s.Contact.State, s.Contact.ID = []string{"c1"}, "none", ""
		}, Decision{Wait, TestOnly, clear(Task).Now.Add(time.Hour)}},
		{"a webhook about who is no contact, beside test contacts", Webhook, func(s *Situation) {
			s.Settings.TestContacts, s.Contact.State, s.Contact.ID = []string{"c1"}, "none", ""
		}, Decision{Wait, TestOnly, clear(Webhook).Now.Add(time.Hour)}},
		{"a task beside test contacts, and Intercom not asked yet", Task, func(s *Situation) {
			s.Settings.TestContacts, s.Contact = []string{"c1"}, Contact{}
		}, Decision{Wait, ContactStale, clear(Task).Now.Add(time.Minute)}},
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
		{"a segment that waits until it is too late", Tag, func(s *Situation) { s.SegmentWaits, s.Expires = true, &s.Now }, Decision{Verdict: Skip, Reason: SegmentWaits}},
		{"the goal ends it for who may stay on, too", Message, func(s *Situation) { s.Goal, s.NeverExit = true, true }, Decision{Verdict: Stop, Reason: GoalReached}},
		{"the goal says more than having left", Message, func(s *Situation) { s.Goal, s.Member = true, false }, Decision{Verdict: Stop, Reason: GoalReached}},
		{"data just young enough", Message, func(s *Situation) { s.DataAge = s.NoOlderThan }, Decision{Verdict: Send}},
		{"data of any age", Message, func(s *Situation) { s.DataAge, s.NoOlderThan = 1000*time.Hour, 0 }, Decision{Verdict: Send}},
		{"a hold that ends at this instant", Message, func(s *Situation) { s.Holds = []Hold{{OnHold, s.Now}} }, Decision{Verdict: Send}},
		{"a hold that ended", Message, func(s *Situation) { s.Holds = []Hold{{Promised, s.Now.Add(-time.Hour)}} }, Decision{Verdict: Send}},
		{"a hold for a nanosecond", Task, func(s *Situation) { hold(s, Promised, 1) }, Decision{Wait, Promised, clear(Task).Now.Add(1)}},
		{"the longest of several holds", Message, func(s *Situation) {
			hold(s, OnHold, time.Hour)
			hold(s, Promised, 5*time.Hour)
			hold(s, Disputed, 3*time.Hour)
		}, Decision{Wait, Promised, clear(Message).Now.Add(5 * time.Hour)}},
		{"no end is longer than any", Message, func(s *Situation) {
			hold(s, Promised, 40*time.Hour)
			hold(s, Disputed, 0)
			hold(s, OnHold, 47*time.Hour)
		}, Decision{Wait, Disputed, clear(Message).Now.Add(time.Hour)}},
		{"a dispute needs a colleague", Task, func(s *Situation) { hold(s, Disputed, 0) }, Decision{Verdict: Send}},
		{"a dispute that a shorter promise goes with", Task, func(s *Situation) {
			hold(s, Disputed, 0)
			hold(s, Promised, time.Hour)
		}, Decision{Wait, Promised, clear(Task).Now.Add(time.Hour)}},
		{"held until after it expires: until then", Message, func(s *Situation) { hold(s, Promised, 100*time.Hour) }, Decision{Wait, Promised, clear(Message).Now.Add(48 * time.Hour)}},
		{"expired on hold", Message, func(s *Situation) { s.Expires, s.Waited = &s.Now, OnHold }, Decision{Verdict: Skip, Reason: OnHold}},
		{"expired over the budget", Message, func(s *Situation) { s.Expires, s.Waited = &s.Now, BudgetSpent }, Decision{Verdict: Skip, Reason: BudgetSpent}},
		{"came back, and expired", Message, func(s *Situation) { s.Expires, s.Waited = &s.Now, ReentryWait }, Decision{Verdict: Skip, Reason: Expired}},
		{"no budget at all", Message, func(s *Situation) {
			s.Settings.Budget = workspace.Budget{}
			contacted(s, 3, 2, 1, 0)
		}, Decision{Verdict: Send}},
		{"room again at this instant", Message, func(s *Situation) { contacted(s, 7*24*time.Hour, 48*time.Hour, 20*time.Hour) }, Decision{Verdict: Send}},
		{"no task for who is held out", Task, func(s *Situation) { s.HeldOut = true }, Decision{Verdict: Skip, Reason: HeldOut}},
		{"who is held out has the same waits", Message, func(s *Situation) { s.HeldOut, s.Rival = true, true }, Decision{Wait, Outranked, clear(Message).Now.Add(time.Minute)}},
		{"a webhook of nobody's contact", Webhook, func(s *Situation) { s.Contact = Contact{} }, Decision{Verdict: Send}},
		{"a webhook that reaches the customer", Webhook, func(s *Situation) { s.Contact, s.Step.Contact = Contact{}, true }, Decision{Wait, ContactStale, clear(Webhook).Now.Add(time.Minute)}},
		{"a dry run with nobody to ask", Message, func(s *Situation) { s.DryRun, s.NoIntercom, s.Contact = true, true, Contact{} }, Decision{Verdict: Skip, Reason: DryRun}},
		{"a dry run of a task with nobody to ask", Task, func(s *Situation) { s.DryRun, s.NoIntercom, s.Contact = true, true, Contact{} }, Decision{Verdict: Skip, Reason: DryRun}},
		{"news that comes after it expired", Message, func(s *Situation) { s.Unapplied = s.Now; at := s.Now.Add(-time.Hour); s.Expires = &at }, Decision{Wait, Unapplied, clear(Message).Now.Add(time.Minute)}},
		{"news that nobody applied for a while", Message, func(s *Situation) { s.Unapplied = s.Now.Add(-3 * time.Minute) }, Decision{Wait, Unapplied, clear(Message).Now.Add(3 * time.Minute)}},
		{"news that nobody applies", Message, func(s *Situation) { s.Unapplied = s.Now.Add(-9 * day) }, Decision{Wait, Unapplied, clear(Message).Now.Add(5 * time.Minute)}},
		{"news that nobody applies, after it expired", Message, func(s *Situation) { s.Unapplied = s.Now.Add(-2 * day); at := s.Now.Add(-time.Hour); s.Expires = &at }, Decision{Verdict: Skip, Reason: Unapplied}},
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

// drawSituation is any situation, in which most things are well.
func drawSituation(rt *rapid.T) Situation {
	countries := []string{"", "DE", "US", "RU", "AU", "JP", "ZZ"}
	// rapid likes the ends of a range; what is rare lies between them.
	flag := func(name string) bool { return rapid.IntRange(0, 29).Draw(rt, name) == 7 }
	s := clearFor(rapid.SampledFrom(steps()).Draw(rt, "step"))
	s.Now = time.Unix(rapid.Int64Range(1577836800, 1924991999).Draw(rt, "now"), 0).UTC()
	ago := func(name string, unit time.Duration, least, most int) time.Time {
		return s.Now.Add(-unit * time.Duration(rapid.IntRange(least, most).Draw(rt, name)))
	}
	s.DryRun, s.NoIntercom, s.Stopped, s.Paused = flag("dry run"), flag("no intercom"), flag("stopped"), flag("paused")
	if flag("unapplied") {
		s.Unapplied = ago("news", time.Minute, 0, 3000)
	}
	s.SegmentWaits, s.HeldOut, s.Rival = flag("segment waits"), flag("held out"), flag("rival")
	s.NeverExit, s.Goal = flag("never exit"), flag("goal")
	s.Enrolled, s.Member, s.SameEpisode, s.Condition = !flag("ended"), !flag("left"), !flag("other episode"), !flag("condition")
	s.DataAge = time.Duration(rapid.IntRange(0, 17).Draw(rt, "data age")) * time.Minute
	s.Scheduled, s.Expires = nil, nil
	if !flag("no anchor") {
		at := ago("scheduled", time.Hour, 0, 30)
		if flag("not yet") {
			at = s.Now.Add(5 * time.Hour)
		}
		expires := at.Add(time.Duration(rapid.IntRange(20, 100).Draw(rt, "expires")) * time.Hour)
		s.Scheduled, s.Expires = &at, &expires
	}
	for range rapid.IntRange(0, 2).Draw(rt, "holds") {
		h := Hold{Reason: rapid.SampledFrom([]Reason{OnHold, Promised, Disputed}).Draw(rt, "hold")}
		if rapid.Bool().Draw(rt, "has an end") {
			h.Until = ago("ended", time.Hour, -50, 50)
		}
		s.Holds = append(s.Holds, h)
	}
	s.Settings.Budget = workspace.Budget{Contacts: rapid.IntRange(0, 3).Draw(rt, "contacts"), Within: 48 * time.Hour, Apart: time.Duration(rapid.IntRange(0, 10).Draw(rt, "apart")) * time.Hour}
	for range rapid.IntRange(0, 4).Draw(rt, "contacted") {
		contacted(&s, s.Now.Sub(ago("contact", time.Hour, 0, 60)))
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
	s.Contact.Checked = ago("checked", time.Minute, 0, 18)
	s.Contact.Place = Place{Country: rapid.SampledFrom(countries).Draw(rt, "country")}
	return s
}

// manySituations draws a thousand.
func manySituations(t *testing.T, check func(*rapid.T, Situation)) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			check(rt, drawSituation(rt))
		}
	})
}

// TestDecide_always holds what is true of every decision, whatever the situation.
func TestDecide_always(t *testing.T) {
	t.Parallel()
	manySituations(t, func(rt *rapid.T, s Situation) {
		holds, contacts := slices.Clone(s.Holds), slices.Clone(s.Contacts)
		d := Decide(s)
		if again := Decide(s); again != d || !slices.Equal(s.Holds, holds) || !slices.Equal(s.Contacts, contacts) {
			rt.Fatalf("asked twice\n got %+v\nthen %+v", d, again)
		}
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
			if (d.Verdict == Stop) != slices.Contains([]Reason{GoalReached, EpisodeOver}, d.Reason) {
				rt.Fatalf("%+v", d)
			}
		case Send:
			if why := against(s); why != "" {
				rt.Fatalf("sent all the same, against %s: %+v", why, s)
			}
		default:
			rt.Fatalf("%+v", d)
		}
	})
}

// against names a promise that a send in this situation breaks; it is Decide once
// more, one promise at a time and without an order.
func against(s Situation) string {
	held := func(h Hold) bool {
		return (h.Until.IsZero() || h.Until.After(s.Now)) && (s.Step.Contact || h.Reason != Disputed)
	}
	switch {
	case s.Stopped || s.Paused || s.DryRun:
		return "a stop"
	case s.HeldOut:
		return "the holdout"
	case !s.Unapplied.IsZero(), s.SegmentWaits, !s.Enrolled, s.Goal, !s.NeverExit && !(s.Member && s.SameEpisode), !s.Condition, s.DataAge > s.NoOlderThan:
		return "no-stale-contact"
	case s.Scheduled == nil || s.Scheduled.After(s.Now) || !s.Now.Before(*s.Expires):
		return "its time"
	case slices.ContainsFunc(s.Holds, held):
		return "a hold"
	case needingContact(s.Step) && (s.Contact.State != "linked" || len(s.Settings.TestContacts) > 0 || s.Now.Sub(s.Contact.Checked) > contactFresh):
		return "whom it is for"
	case !needingContact(s.Step) && len(s.Settings.TestContacts) > 0:
		return "the test contacts"
	case !s.Step.Contact:
		return ""
	case s.Contact.OptOut != "":
		return "the opt-out"
	case anyQuiet(quietHours(s.Settings, s.Contact.Place.Zones(), s.Now), s.Now):
		return "decent-hours"
	case len(s.Contact.Place.Zones()) == 0 && s.Settings.HoldUnknownZone:
		return "unknown_zone"
	case !room(s.Settings.Budget, s.Contacts, s.Now) || s.Rival:
		return "one-budget"
	}
	return ""
}

// TestDecide_worse holds that one obstacle more never makes anybody send who
// would not have.
func TestDecide_worse(t *testing.T) {
	t.Parallel()
	manySituations(t, func(rt *rapid.T, s Situation) {
		before := Decide(s)
		o := obstacles[rapid.IntRange(0, len(obstacles)-1).Draw(rt, "obstacle")]
		if o.reason == QuietNow {
			return // its hours are others, not more
		}
		o.put(&s)
		if after := Decide(s); after.Verdict == Send && before.Verdict != Send {
			rt.Fatalf("with %s, too\n got %+v\nwas %+v", o.reason, after, before)
		}
	})
}

// TestDecide_ends holds that whoever decides again when a wait is over comes to
// an end, no later than the delivery expires (nothing-lost).
func TestDecide_ends(t *testing.T) {
	t.Parallel()
	manySituations(t, func(rt *rapid.T, s Situation) {
		lost := s.Expires // what expired waits for news, and at last does without
		if !s.Unapplied.IsZero() && s.Expires != nil {
			at := s.Unapplied.Add(newsLost + recheckNews)
			if at.After(*lost) {
				lost = &at
			}
		}
		if s.Scheduled == nil {
			return // lasts until there is an anchor
		}
		for d := Decide(s); d.Verdict == Wait; d = Decide(s) {
			if !s.Now.Before(*lost) {
				rt.Fatalf("at %s it still waits for %s, which expired at %s", s.Now, d.Reason, s.Expires)
			}
			s.Now, s.Waited = d.Until, d.Reason
		}
	})
}

func TestReason_Words(t *testing.T) {
	t.Parallel()
	if got := Reason("no_such").Words(); got != "no_such" {
		t.Errorf("got %q", got)
	}
}
