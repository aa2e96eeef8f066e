package campaigns

import (
	"slices"
	"strings"
	"time"

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
)

// A Reason says why, in a word that reports count.
type Reason string

// Reasons to skip, to stop and to wait.
const (
	LeftSegment      Reason = "left_segment"      // no longer a member
	EpisodeOver      Reason = "episode_over"      // another card took its place
	Ended            Reason = "enrollment_ended"  // the enrollment ended before
	Superseded       Reason = "superseded"        // a later step was due already at enrollment
	AlreadyMember    Reason = "already_member"    // existing: ignore
	Expired          Reason = "expired"           // it could not happen in time
	ConditionFalse   Reason = "condition_false"   // the step's if
	OptedOut         Reason = "opted_out"         // the contact does not want messages
	NoContact        Reason = "no_contact"        // nobody at Intercom has the e-mail address
	AmbiguousContact Reason = "ambiguous_contact" // several have it
	DryRun           Reason = "dry_run"           // DRY_RUN: decided, not sent
	StepGone         Reason = "step_gone"         // the version has no such step

	NotYet        Reason = "not_yet"          // its time has not come
	ReentryWait   Reason = "reentry_wait"     // back too soon after the last enrollment
	AnchorMissing Reason = "anchor_missing"   // the attribute it counts from has no value
	QuietNow      Reason = "quiet_hours"      // it is night, or the like, where they live
	Stopped       Reason = "stopped"          // dunlin stop
	Paused        Reason = "campaign_paused"  // dunlin campaigns pause
	SegmentWaits  Reason = "segment_waits"    // its unusual change, for somebody to accept it
	Unapplied     Reason = "unapplied_event"  // news from Stripe about this customer is not in yet
	TestOnly      Reason = "test_contacts"    // only test contacts receive for now
	ZoneUnknown   Reason = "zone_unknown"     // unknown_zone: hold
	ContactStale  Reason = "contact_unread"   // Intercom was not asked about the contact yet
	Unreadable    Reason = "unreadable"       // its stored definition, or its segment's, does not check any more
	IntercomAway  Reason = "intercom_refuses" // token, plan or limit: nothing can be sent now
)

// Reasons to fail, and not to know.
const (
	CallRefused   Reason = "refused"         // Intercom did not do it and would not
	NoClearAnswer Reason = "no_clear_answer" // it may have been done
	WorkerLost    Reason = "worker_lost"     // claimed, and never heard of again
	Unrenderable  Reason = "template"        // the text has no meaning for this customer
)

// How long a named wait lasts before it is decided again, when nothing better
// is known. Whoever ends the wait (a resume, a tick) asks earlier.
const (
	recheckSoon    = time.Minute
	recheckSlow    = time.Hour
	recheckContact = 12 * time.Hour // somebody has to appear at Intercom, or to be merged
)

// contactFresh is how old what we know of a contact may be when a message is
// claimed: older, and Intercom is asked again first.
const contactFresh = 15 * time.Minute

// A Contact is what Intercom says of the person, as far as a decision needs it.
type Contact struct {
	State   string // linked, none or ambiguous; empty: Intercom was never asked
	ID      string
	Role    string // user or lead
	Email   string
	OptOut  string // why it may not be contacted; empty when it may
	Place   Place
	Checked time.Time // business time
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
	Member       bool // of the campaign's segment, by its rule, now
	SameEpisode  bool // the card the enrollment is about is still the card
	Unapplied    bool // a stored Stripe event of the customer waits to be applied

	Step      Step
	Condition bool       // of the step's if
	Scheduled *time.Time // the step's time; nil while its anchor is missing
	Expires   *time.Time // not after this

	Contact Contact
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
	case s.Unapplied:
		return s.wait(Unapplied, s.Now.Add(recheckSoon))
	case s.SegmentWaits && s.Expires != nil && !s.Now.Before(*s.Expires):
		return Decision{Verdict: Skip, Reason: SegmentWaits}
	case s.SegmentWaits: // whether it is a member cannot be trusted
		return s.wait(SegmentWaits, s.Now.Add(recheckSlow))
	case !s.SameEpisode && !s.NeverExit:
		return Decision{Verdict: Stop, Reason: EpisodeOver}
	case !s.Member && !s.NeverExit:
		return Decision{Verdict: Stop, Reason: LeftSegment}
	case s.Step.Name == "":
		return Decision{Verdict: Skip, Reason: StepGone}
	case s.Scheduled == nil:
		return Decision{Verdict: Wait, Reason: AnchorMissing, Until: s.Now.Add(recheckSlow)}
	case s.Scheduled.After(s.Now):
		return Decision{Verdict: Wait, Reason: NotYet, Until: *s.Scheduled}
	case s.Expires != nil && !s.Now.Before(*s.Expires):
		return Decision{Verdict: Skip, Reason: s.expiredBecause()}
	case !s.Condition:
		return Decision{Verdict: Skip, Reason: ConditionFalse}
	case s.Stopped:
		return s.wait(Stopped, s.Now.Add(recheckSlow))
	case s.Paused:
		return s.wait(Paused, s.Now.Add(recheckSlow))
	}
	if s.Step.Action == Task {
		return s.send() // for a colleague: a ticket when there is a contact, else a row of ours
	}
	switch {
	case s.DryRun && s.NoIntercom: // nobody to ask about the contact
		return Decision{Verdict: Skip, Reason: DryRun}
	case s.Contact.State == "" || s.Now.Sub(s.Contact.Checked) > contactFresh:
		return s.wait(ContactStale, s.Now.Add(recheckSoon))
	case s.Contact.State == "none":
		return s.wait(NoContact, s.Now.Add(recheckContact))
	case s.Contact.State == "ambiguous":
		return s.wait(AmbiguousContact, s.Now.Add(recheckContact))
	case s.testOnly():
		return s.wait(TestOnly, s.Now.Add(recheckSlow))
	case s.Step.Action == Tag:
		return s.send()
	case s.Contact.OptOut != "":
		return Decision{Verdict: Skip, Reason: OptedOut}
	}
	zones := s.Contact.Place.Zones()
	if len(zones) == 0 && s.Settings.HoldUnknownZone {
		return s.wait(ZoneUnknown, s.Now.Add(recheckSlow))
	}
	at, ok := nextAllowed(quietHours(s.Settings, zones, s.Now), s.Now)
	switch {
	case !ok:
		return s.wait(QuietNow, s.Now.Add(recheckSlow))
	case at.After(s.Now):
		return s.wait(QuietNow, at)
	}
	return s.send()
}

func (s Situation) send() Decision {
	if s.DryRun {
		return Decision{Verdict: Skip, Reason: DryRun}
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
		until = s.Now.Add(recheckSoon)
	}
	return Decision{Verdict: Wait, Reason: why, Until: until}
}

// expiredBecause names what stood in the way where that is worth more to the
// reader than "expired".
func (s Situation) expiredBecause() Reason {
	if s.Step.Action == Task {
		return Expired
	}
	switch s.Contact.State {
	case "none":
		return NoContact
	case "ambiguous":
		return AmbiguousContact
	}
	return Expired
}

func (s Situation) testOnly() bool {
	return len(s.Settings.TestContacts) > 0 &&
		!slices.Contains(s.Settings.TestContacts, strings.ToLower(s.Contact.ID)) &&
		!slices.Contains(s.Settings.TestContacts, strings.ToLower(s.Contact.Email))
}

var inWords = map[Reason]string{
	LeftSegment:      "left the segment",
	EpisodeOver:      "the card was replaced",
	Ended:            "the enrollment had ended",
	Superseded:       "a later step was already due",
	AlreadyMember:    "was a member before the campaign started",
	Expired:          "too late to be of use",
	ConditionFalse:   "the step's condition was not met",
	OptedOut:         "does not want messages",
	NoContact:        "no contact at Intercom with this e-mail address",
	AmbiguousContact: "several contacts at Intercom with this e-mail address",
	DryRun:           "DRY_RUN: decided, not sent",
	StepGone:         "the campaign version has no such step",
	NotYet:           "its time has not come",
	ReentryWait:      "back in the segment soon after the last time",
	AnchorMissing:    "the date it counts from is missing",
	QuietNow:         "quiet hours",
	Stopped:          "dunlin is stopped",
	Paused:           "the campaign is paused",
	SegmentWaits:     "its segment changed unusually, and somebody has to accept that",
	Unapplied:        "news from Stripe is not in yet",
	TestOnly:         "only test contacts receive for now",
	ZoneUnknown:      "time zone unknown",
	ContactStale:     "asking Intercom about the contact",
	Unreadable:       "the stored campaign or its segment has a fault: apply it again",
	IntercomAway:     "Intercom accepts nothing from us now",
	CallRefused:      "refused by Intercom",
	NoClearAnswer:    "sent, perhaps: Intercom gave no clear answer",
	WorkerLost:       "sent, perhaps: the worker died while it was sending",
	Unrenderable:     "the text could not be filled in for this customer",
}

// Words is the reason for people.
func (r Reason) Words() string {
	if w, ok := inWords[r]; ok {
		return w
	}
	return string(r)
}
