package campaigns

import (
	"slices"
	"strings"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// A Verdict is what to do with a due delivery.
type Verdict string

// The verdicts.
const (
	Send Verdict = "send" // claim it and make the call
	Wait Verdict = "wait" // decide again at Until
	Skip Verdict = "skip" // never; the enrollment goes on
	Stop Verdict = "stop" // never, and the enrollment ends

	failing Verdict = "fail"   // it cannot be done: no verdict of [Decide], but of what follows it
	settled Verdict = "settle" // what became of an outcome that was not known, or failed: the same
)

// How long a named wait lasts before it is decided again, when nothing better
// is known. Whoever ends the wait (a resume, a tick) asks earlier.
const (
	recheckSoon    = time.Minute
	recheckNews    = 5 * time.Minute
	recheckSlow    = time.Hour
	recheckContact = 12 * time.Hour // somebody has to appear at Intercom, or to be merged
)

// newsLost is how long a stored event may wait to be applied before an expired
// delivery ends without it: its account has no key any more, say, and nobody is
// at it. The delivery would not be sent, whatever the event says.
const newsLost = 24 * time.Hour

// contactFresh is how old what we know of a contact may be when a message is
// claimed: older, and Intercom is asked again first.
const contactFresh = 15 * time.Minute

// A Contact is what Intercom says of the person, as far as a decision needs it.
type Contact struct {
	State    string // linked, none or ambiguous; empty: Intercom was never asked
	ID       string
	Role     string // user or lead
	Email    string
	Language string // as in "de" or "pt-BR"; empty: not known
	OptOut   string // why it may not be contacted; empty when it may
	Place    Place
	Others   []customers.Ref // the other customers who are the same contact
	Checked  time.Time       // business time
}

// A Hold is a reason not to bother a customer.
type Hold struct {
	Reason Reason    // OnHold, Promised or Disputed
	Until  time.Time // zero: until somebody lifts it, or it ends by itself
}

// A Situation is everything a decision depends on. It is read afresh each time.
type Situation struct {
	Now        time.Time
	Settings   workspace.Settings
	DryRun     bool
	NoIntercom bool // no token: contacts cannot be looked up

	Stopped      bool // dunlin stop
	Paused       bool // the campaign
	SegmentWaits bool // for somebody to accept an unusual change
	Enrolled     bool // the enrollment is active
	NeverExit    bool
	Member       bool          // of the campaign's segment, by its rule, now
	SameEpisode  bool          // what the enrollment is about is still so
	Goal         bool          // what the campaign wants is true
	Unapplied    time.Time     // since then a stored Stripe event of the customer waits to be applied; zero: none does
	DataAge      time.Duration // of the account's data
	NoOlderThan  time.Duration // 0: however old
	Holds        []Hold
	HeldOut      bool // nothing is done to the person, to compare

	Step      Step
	Condition bool       // of the step's if
	Scheduled *time.Time // the step's time; nil while its anchor is missing
	Expires   *time.Time // not after this
	Waited    Reason     // what it has waited for since the last decision; empty: for nothing

	Contact  Contact
	Contacts []time.Time // when the person was contacted, as far as the budget reaches back, in order
	Rival    bool        // another message for the person is due, and ranks higher
}

// A Decision is the verdict on one delivery at one instant.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Until   time.Time // for Wait
}

// Decide answers one question: what about this delivery now? It is pure.
//
// What ends an enrollment comes first, then what ends the delivery, then what
// makes it wait; a wait never outlasts the delivery's expiry.
func Decide(s Situation) Decision {
	switch {
	case !s.Enrolled:
		return Decision{Verdict: Skip, Reason: Ended}
	case !s.Unapplied.IsZero() && s.expired() && s.newsWaits() > newsLost:
		return Decision{Verdict: Skip, Reason: Unapplied}
	case !s.Unapplied.IsZero():
		return s.wait(Unapplied, s.newsLook())
	case s.SegmentWaits && s.expired():
		return Decision{Verdict: Skip, Reason: SegmentWaits}
	case s.SegmentWaits: // whether it is a member cannot be trusted
		return s.wait(SegmentWaits, s.Now.Add(recheckSlow))
	case s.Goal:
		return Decision{Verdict: Stop, Reason: GoalReached}
	case !s.SameEpisode && !s.NeverExit:
		return Decision{Verdict: Stop, Reason: EpisodeOver}
	case !s.Member && !s.NeverExit && s.expired():
		return Decision{Verdict: Skip, Reason: LeftSegment}
	case !s.Member && !s.NeverExit: // the segment's next evaluation ends the enrollment; if it finds a member, none has left
		return s.wait(LeftSegment, s.Now.Add(recheckSlow))
	case s.Step.Name == "":
		return Decision{Verdict: Skip, Reason: StepGone}
	case s.Scheduled == nil:
		return Decision{Verdict: Wait, Reason: AnchorMissing, Until: s.Now.Add(recheckSlow)}
	case s.Scheduled.After(s.Now):
		return Decision{Verdict: Wait, Reason: NotYet, Until: *s.Scheduled}
	case s.expired():
		return Decision{Verdict: Skip, Reason: s.expiredBecause()}
	case s.NoOlderThan > 0 && s.DataAge > s.NoOlderThan: // before the condition, which would skip the step for good by what has changed since
		return s.wait(DataOld, s.Now.Add(recheckSoon))
	case !s.Condition:
		return Decision{Verdict: Skip, Reason: ConditionFalse}
	case s.Stopped:
		return s.wait(Stopped, s.Now.Add(recheckSlow))
	case s.Paused:
		return s.wait(Paused, s.Now.Add(recheckSlow))
	}
	if d, held := s.held(); held {
		return d
	}
	if !s.needsContact() {
		if d, waits := s.tested(); waits {
			return d
		}
		return s.send()
	}
	if d, waits := s.contactable(); waits {
		return d
	}
	if !s.Step.Contact {
		return s.send()
	}
	if s.Contact.OptOut != "" {
		return Decision{Verdict: Skip, Reason: OptedOut}
	}
	if d, waits := s.quiet(); waits {
		return d
	}
	if d, waits := s.overBudget(); waits {
		return d
	}
	return s.send()
}

// held waits for the hold that lasts longest. A colleague's task is held by what
// somebody said about the customer, not by a dispute, which may need one.
func (s Situation) held() (Decision, bool) {
	var longest *Hold
	for i := range s.Holds {
		h := &s.Holds[i]
		over := !h.Until.IsZero() && !h.Until.After(s.Now)
		if over || h.Reason == Disputed && !s.Step.Contact {
			continue
		}
		if longest == nil || !longest.Until.IsZero() && (h.Until.IsZero() || h.Until.After(longest.Until)) {
			longest = h
		}
	}
	switch {
	case longest == nil:
		return Decision{}, false
	case longest.Until.IsZero():
		return s.wait(longest.Reason, s.Now.Add(recheckSlow)), true
	}
	return s.wait(longest.Reason, longest.Until), true
}

// needsContact reports whether the step is about a contact of Intercom's. A task
// does without one, as a row of ours, and so does an address that is called about
// the customer, unless the call is to reach them.
func (s Situation) needsContact() bool {
	return s.Step.Contact || s.Step.Action != Task && s.Step.Action != Webhook
}

// contactable waits until it is known who the contact is.
func (s Situation) contactable() (Decision, bool) {
	switch {
	case s.DryRun && s.NoIntercom: // nobody to ask about the contact
		return Decision{Verdict: Skip, Reason: DryRun}, true
	case s.stale():
		return s.wait(ContactStale, s.Now.Add(recheckSoon)), true
	case s.Contact.State == "none":
		return s.wait(NoContact, s.Now.Add(recheckContact)), true
	case s.Contact.State == "ambiguous":
		return s.wait(AmbiguousContact, s.Now.Add(recheckContact)), true
	case s.testOnly():
		return s.wait(TestOnly, s.Now.Add(recheckSlow)), true
	}
	return Decision{}, false
}

// tested waits with what needs no contact while only test contacts receive: who
// tries a campaign out does not mean their colleagues, or their other programs, to
// have everybody on their hands. Whom it is about has to be known then.
func (s Situation) tested() (Decision, bool) {
	switch {
	case len(s.Settings.TestContacts) == 0, s.DryRun && s.NoIntercom:
		return Decision{}, false
	case s.stale():
		return s.wait(ContactStale, s.Now.Add(recheckSoon)), true
	case s.testOnly():
		return s.wait(TestOnly, s.Now.Add(recheckSlow)), true
	}
	return Decision{}, false
}

// stale reports whether Intercom has to be asked about the contact again.
func (s Situation) stale() bool {
	return s.Contact.State == "" || s.Now.Sub(s.Contact.Checked) > contactFresh
}

// quiet waits for a decent hour (decent-hours).
func (s Situation) quiet() (Decision, bool) {
	zones := s.Contact.Place.Zones()
	if len(zones) == 0 && s.Settings.HoldUnknownZone {
		return s.wait(ZoneUnknown, s.Now.Add(recheckSlow)), true
	}
	at, ok := nextAllowed(quietHours(s.Settings, zones, s.Now), s.Now)
	switch {
	case !ok:
		return s.wait(QuietNow, s.Now.Add(recheckSlow)), true
	case at.After(s.Now):
		return s.wait(QuietNow, at), true
	}
	return Decision{}, false
}

// overBudget waits while the person has had enough, or another message goes
// first (one-budget).
func (s Situation) overBudget() (Decision, bool) {
	why, until := budget(s.Settings.Budget, s.Contacts, s.Now)
	switch {
	case until.After(s.Now):
		return s.wait(why, until), true
	case s.Rival:
		return s.wait(Outranked, s.Now.Add(recheckSoon)), true
	}
	return Decision{}, false
}

// send is the end of a decision in favor.
func (s Situation) send() Decision {
	switch {
	case s.DryRun:
		return Decision{Verdict: Skip, Reason: DryRun}
	case s.HeldOut:
		return Decision{Verdict: Skip, Reason: HeldOut}
	}
	return Decision{Verdict: Send}
}

// wait ends no later than the delivery does, so that it is then skipped with
// the reason it waited for.
func (s Situation) wait(why Reason, until time.Time) Decision {
	if s.Expires != nil && until.After(*s.Expires) {
		until = *s.Expires
	}
	if !until.After(s.Now) { // expired while waiting for news: decide on them first
		until = s.newsLook()
	}
	return Decision{Verdict: Wait, Reason: why, Until: until}
}

// newsWaits is for how long the customer's news have waited to be applied.
func (s Situation) newsWaits() time.Duration { return s.Now.Sub(s.Unapplied) }

// newsLook is when to look for the news again: the longer they have waited, the
// later, up to a bound that does no harm when everything is known a minute after
// a long time away.
func (s Situation) newsLook() time.Time {
	return s.Now.Add(min(max(s.newsWaits(), recheckSoon), recheckNews))
}

func (s Situation) expired() bool { return s.Expires != nil && !s.Now.Before(*s.Expires) }

// expiredBecause names what stood in the way, which is worth more to the reader
// than "expired".
func (s Situation) expiredBecause() Reason {
	switch s.Waited {
	case "", NotYet, ReentryWait:
		return Expired
	}
	return s.Waited
}

func (s Situation) testOnly() bool {
	return len(s.Settings.TestContacts) > 0 &&
		!slices.Contains(s.Settings.TestContacts, strings.ToLower(s.Contact.ID)) &&
		!slices.Contains(s.Settings.TestContacts, strings.ToLower(s.Contact.Email))
}
