// Package campaigns decides who is contacted, when and why, and keeps the record
// of it.
//
// A campaign is a [Definition]: steps for the members of a segment. A customer
// passes through it in an enrollment, one for each episode; each step of an
// enrollment is a delivery, which ends sent, skipped, failed or unknown, with a
// reason.
//
//		joins ── Enroll ──▶ enrollments and planned deliveries
//		due   ── Poke   ──▶ keys of deliveries for the workers
//		claim ── Claim  ──▶ [Decide] under the person's lock: send, wait, skip or stop
//		call  ── Record ──▶ sent, failed or unknown, fenced by the claim's token
//
//	  - one-contact: the constraint deliveries_one_contact allows one delivery for
//	    each account, customer, campaign, episode and step name; only a planned one
//	    can be claimed, and one that was claimed and not heard of again becomes
//	    unknown and is never claimed again.
//	  - nothing-lost: a delivery is planned with a time or a named thing it waits
//	    for, or it is in a terminal state with a reason. Losing every job loses no
//	    delivery: Poke finds it again when its lease runs out.
//	  - decent-hours: no message is claimed inside the quiet hours of the customer.
//	  - no-stale-contact: Claim reads membership, conditions, opt-out, stops and
//	    unapplied events again in the transaction that claims.
//	  - no-surprise-blast: storing a definition starts nothing; an enrollment stays
//	    on the version it began with.
//
// The package makes no calls and asks no clock: now is an argument.
package campaigns

import (
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// An Action is what a step does.
type Action string

// The actions of this version.
const (
	Message Action = "message" // an in-app message to the contact
	Task    Action = "task"    // follow-up for a colleague
	Tag     Action = "tag"     // a tag on the contact
)

// A Definition is one version of a campaign, as its file says.
type Definition struct {
	Name    string
	Version int // 0: not stored yet
	Segment string
	Episode Episode
	Anchor  string // attribute that step offsets count from; empty: the enrollment's start

	EnrollExisting bool // members at the first start are enrolled; else they are passed over
	NeverExit      bool // leaving the segment does not end an enrollment

	Steps []Step
}

// A Step is one thing a campaign does. Its name is its identity: across versions
// it means the same.
type Step struct {
	Name    string
	At      rule.Duration // from the anchor; may be negative
	If      *rule.Rule    // nil: always
	Expires rule.Duration // after its time it is skipped instead of done
	Action  Action

	Sender int64     // message: Intercom admin; 0: the workspace's sender
	Body   *Template // message: HTML; task: text
	Title  *Template // task
	Team   string    // task: one of the workspace's teams
	Due    rule.Duration
	Tag    string
}

// Step finds a step by name.
func (d *Definition) Step(name string) (Step, bool) {
	for _, s := range d.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return Step{}, false
}

// A Key is the identity of a delivery; it is all that a job carries.
type Key struct {
	Account  int    `json:"account"`
	Customer int64  `json:"customer"`
	Campaign string `json:"campaign"`
	Episode  string `json:"episode"`
	Step     string `json:"step"`
}

// An Episode is what makes a second enrollment in one campaign legitimate.
type Episode struct {
	Kind  EpisodeKind
	Every int // days, for EpisodeEvery
}

// EpisodeKind says what an episode is.
type EpisodeKind string

// The episodes of this version.
const (
	EpisodeEntry EpisodeKind = "entry" // each time the customer joins the segment
	EpisodeCard  EpisodeKind = "card"  // each card, which is a payment method and an expiry
	EpisodeEvery EpisodeKind = "every" // at most once in so many days
)

// ReenterAfter is how long after the end of an enrollment the steps of the next
// entry begin at the earliest, so that a customer who flaps in and out of a
// segment is not written to each time.
const ReenterAfter = 7 * 24 * time.Hour
