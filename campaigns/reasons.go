package campaigns

// A Reason says why, in a word that reports count.
type Reason string

// Reasons to skip and to stop.
const (
	LeftSegment    Reason = "left_segment"     // no longer a member
	EpisodeOver    Reason = "episode_over"     // another card took its place, the invoice is not open any more
	GoalReached    Reason = "goal"             // what the campaign wants has happened
	Ended          Reason = "enrollment_ended" // the enrollment ended before
	Superseded     Reason = "superseded"       // a later step was due already at enrollment
	TooLate        Reason = "too_late"         // catch_up: none, and its time had passed at enrollment
	AlreadyMember  Reason = "already_member"   // existing: ignore, or enrolled about something else before an edit
	EventTooOld    Reason = "event_too_old"    // the trigger: it was heard of, or could be followed, too late
	Expired        Reason = "expired"          // it could not happen in time
	ConditionFalse Reason = "condition_false"  // the step's if
	OptedOut       Reason = "opted_out"        // the contact does not want messages
	HeldOut        Reason = "holdout"          // it would have been done, but for the comparison with those to whom it is
	DryRun         Reason = "dry_run"          // DRY_RUN: decided, not sent
	StepGone       Reason = "step_gone"        // the version has no such step
)

// Reasons to wait. What waits until it expires is skipped with the same reason.
const (
	NotYet           Reason = "not_yet"           // its time has not come
	ReentryWait      Reason = "reentry_wait"      // back too soon after the last enrollment
	AnchorMissing    Reason = "anchor_missing"    // the attribute it counts from has no value
	QuietNow         Reason = "quiet_hours"       // it is night, or the like, where they live
	BudgetSpent      Reason = "contact_budget"    // the person has been contacted often enough
	TooClose         Reason = "just_contacted"    // the person was contacted a short while ago
	Outranked        Reason = "outranked"         // another message for the person goes first
	OnHold           Reason = "on_hold"           // somebody said: leave this customer alone
	Promised         Reason = "promise_to_pay"    // the customer has promised to pay by then
	Disputed         Reason = "dispute_open"      // the customer disputes a charge
	Stopped          Reason = "stopped"           // dunlin stop
	Paused           Reason = "campaign_paused"   // dunlin campaigns pause
	SegmentWaits     Reason = "segment_waits"     // its unusual change, for somebody to accept it
	Unapplied        Reason = "unapplied_event"   // news from Stripe about this customer is not in yet
	DataOld          Reason = "data_too_old"      // Stripe has not been heard of for longer than data_no_older_than
	TestOnly         Reason = "test_contacts"     // only test contacts receive for now
	ZoneUnknown      Reason = "zone_unknown"      // unknown_zone: hold
	NoContact        Reason = "no_contact"        // nobody at Intercom has the e-mail address
	AmbiguousContact Reason = "ambiguous_contact" // several have it
	ContactStale     Reason = "contact_unread"    // Intercom was not asked about the contact yet
	Unreadable       Reason = "unreadable"        // its stored definition, or its segment's, does not check any more
	Undecided        Reason = "undecided"         // deciding it fails, and not those beside it: a fault of ours
	IntercomAway     Reason = "intercom_refuses"  // token, plan or limit: nothing can be sent now
	WebhookFails     Reason = "webhook_fails"     // its secret is not set, or its address says no, or nothing
)

// Reasons to fail, and not to know.
const (
	CallRefused   Reason = "refused"         // Intercom did not do it and would not
	NoClearAnswer Reason = "no_clear_answer" // it may have been done
	WorkerLost    Reason = "worker_lost"     // claimed, and never heard of again
	NotFound      Reason = "not_found"       // it may have been done, and Intercom was searched in vain: a person has to say
	Untraceable   Reason = "untraceable"     // it may have been done, and leaves nothing to look for: a person has to say
	Unrenderable  Reason = "template"        // the text has no meaning for this customer
)

// What became of an outcome that was not known, or failed, as the decision log has
// it. Besides these it is left to a person, with the reason.
const (
	FoundThere  Reason = "found"         // Intercom has it
	SentAgain   Reason = "resend"        // it may have been done, and on_unknown: resend was followed
	SaidSent    Reason = "said_sent"     // somebody says that it was done
	SaidNotSent Reason = "said_not_sent" // somebody says that it was not
	TriedAgain  Reason = "retry"         // it had failed, and somebody wants it to be tried again
)

var inWords = map[Reason]string{
	LeftSegment:      "left the segment",
	EpisodeOver:      "what it was about is over: another card, a paid invoice, an ended subscription",
	GoalReached:      "the goal was reached",
	TooLate:          "its time had passed before enrollment",
	HeldOut:          "in the holdout: would have been done",
	BudgetSpent:      "the contact budget is spent",
	TooClose:         "was contacted a short while ago",
	Outranked:        "another message goes first",
	OnHold:           "on hold",
	Promised:         "has promised to pay",
	Disputed:         "disputes a charge",
	DataOld:          "Stripe has not been heard of for too long",
	Ended:            "the enrollment had ended",
	Superseded:       "a later step was already due",
	AlreadyMember:    "was a member when the campaign was started or edited, or under way in it by then",
	EventTooOld:      "the event was more than 7 days old when it could be followed",
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
	Undecided:        "deciding it fails: dunlin's log says how",
	IntercomAway:     "Intercom accepts nothing from us now",
	WebhookFails:     "its webhook could not be called, or its address does not take it",
	CallRefused:      "refused by Intercom",
	NoClearAnswer:    "sent, perhaps: Intercom gave no clear answer, and is being searched",
	WorkerLost:       "sent, perhaps: the worker died while it was sending; Intercom is being searched",
	NotFound:         "sent, perhaps: it was not found at Intercom; somebody has to settle it",
	Untraceable:      "sent, perhaps: it leaves nothing to be found by; somebody has to settle it",
	FoundThere:       "found at Intercom",
	SentAgain:        "not found at Intercom: to be sent again, as on_unknown says",
	SaidSent:         "settled as sent",
	SaidNotSent:      "settled as not sent: decided afresh",
	TriedAgain:       "failed, and to be tried again: decided afresh",
	Unrenderable:     "the text could not be filled in for this customer",
}

// Words is the reason for people.
func (r Reason) Words() string {
	if w, ok := inWords[r]; ok {
		return w
	}
	return string(r)
}
