// Package campaigns decides who is contacted, when and why, and keeps the record
// of it.
//
// A campaign is a [Definition]: steps for the members of a segment. A customer
// passes through it in an enrollment, one for each episode; each step of an
// enrollment is a delivery, which ends sent, skipped, failed or unknown, with a
// reason.
//
//		tick   ── Follow ──▶ enrollments and planned deliveries, and their ends
//		due    ── Poke   ──▶ keys of deliveries for the workers, in batches
//		claim  ── Claim  ──▶ [Decide], under the persons' locks: the lease, or what waits, is skipped or stops
//		call   ── Record ──▶ sent, failed or unknown, fenced by the claim's token
//		doubt  ── SettleDoubt ──▶ sent, a person's turn, or planned again
//
//	  - one-contact: the constraint deliveries_one_contact allows one delivery for
//	    each account, customer, campaign, episode and step name; only a planned one
//	    can be claimed, and one that was claimed and not heard of again becomes
//	    unknown. It is looked for at Intercom, and planned again only when a person
//	    says that it is not there, or its campaign says on_unknown: resend.
//	  - nothing-lost: a delivery is planned with a time or a named thing it waits
//	    for, or it is in a terminal state with a reason. Losing every job loses no
//	    delivery: Poke finds it again when its lease runs out.
//	  - decent-hours: nothing that reaches the customer is claimed inside their
//	    quiet hours and days.
//	  - no-stale-contact: Claim reads membership, goal, conditions, holds, opt-out,
//	    stops, data age and unapplied events again in the transaction that claims.
//	  - one-budget: what reaches a person counts from its claim on, whichever of
//	    their customers, campaigns and channels it was; only one transaction at a
//	    time decides for a person.
//	  - no-surprise-blast: storing a definition starts nothing; an enrollment stays
//	    on the version it began with.
//	  - every-why: each decision is logged with what it was made of.
//
// The package makes no calls and asks no clock: now is an argument.
package campaigns

import (
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// An Action is what a step does.
type Action string

// The actions.
const (
	Message    Action = "message"    // in-app or e-mail, to the contact
	Task       Action = "task"       // follow-up for a colleague
	Tag        Action = "tag"        // a tag on the contact
	Untag      Action = "untag"      // a tag taken off the contact
	Event      Action = "event"      // an event of the contact, which may start something at Intercom
	Note       Action = "note"       // for colleagues, on the contact
	Attributes Action = "attributes" // values written to the contact
	Webhook    Action = "webhook"    // a signed call of somebody else's address
)

// Actions are all of them.
var Actions = []Action{Message, Task, Tag, Untag, Event, Note, Attributes, Webhook}

// A Definition is one version of a campaign, as its file says.
type Definition struct {
	Name    string
	Version int    // 0: not stored yet
	Segment string // whose members are enrolled; with a trigger, who may be; empty: everybody
	Trigger string // a kind of domain event that enrolls; empty: joining the segment does
	Episode Episode
	Anchor  string // attribute that step offsets count from; empty: the enrollment's start

	EnrollExisting bool // members at the first start are enrolled; else they are passed over
	NeverExit      bool // leaving the segment does not end an enrollment

	Goal       *rule.Rule    // nil: none. Reaching it ends the enrollment and is the conversion
	GoalWithin time.Duration // of enrollment: reached later, it does not count

	Priority     int           // 0 to 100: between campaigns that want to write to one person
	Holdout      int           // percent of the persons to whom nothing is done, to compare with
	NoOlderThan  time.Duration // of the account's data, for a claim; 0: however old
	Resend       bool          // on_unknown: resend, chosen by hand: a message may arrive twice
	CatchUp      CatchUp       // of the steps whose time has passed at enrollment
	ReenterAfter time.Duration // after the end of an enrollment, until the steps of the next entry begin
	Steps        []Step
}

// CatchUp is what becomes of steps whose time has passed at enrollment.
type CatchUp string

// The ways to catch up.
const (
	CatchUpLatest CatchUp = "latest" // the latest is done at once, the others are skipped
	CatchUpAll    CatchUp = "all"    // all are due at once
	CatchUpNone   CatchUp = "none"   // all are skipped
)

// A Step is one thing a campaign does. Its name is its identity: across versions
// it means the same.
type Step struct {
	Name    string
	At      rule.Duration // from the anchor; may be negative
	If      *rule.Rule    // nil: always
	Expires rule.Duration // after its time it is skipped instead of done
	Action  Action
	Contact bool // it reaches the customer: quiet hours, opt-outs and the contact budget hold. Messages always do

	Channel   Channel
	Sender    int64     // message, note: Intercom admin; 0: the workspace's sender
	Traceable bool      // message: opens a conversation, so that a lost answer can be looked up
	Plain     bool      // e-mail: without Intercom's layout
	Variants  []Variant // message: one, or several between which persons are divided

	Title  Text   // task
	Body   Text   // task, note
	Team   string // task: one of the workspace's teams
	Due    rule.Duration
	Tag    string  // tag, untag
	Event  string  // event: its name
	Values []Value // event: metadata; attributes: what is written
	URL    string  // webhook
	Secret string  // webhook: name of the environment variable that holds the key it is signed with
}

// A Channel is how a message reaches the contact.
type Channel string

// The channels.
const (
	InApp Channel = "inapp"
	Email Channel = "email"
)

// A Variant is one wording of a message. Who gets which is decided once for each
// person and campaign.
type Variant struct {
	Name    string // empty: the only one
	Weight  int
	Subject Text // e-mail
	Body    Text // HTML
}

// A Value is a name and the text that becomes its value.
type Value struct {
	Name string
	Text Text
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

// The episodes.
const (
	EpisodeEntry        EpisodeKind = "entry"        // each time the customer joins the segment
	EpisodeCard         EpisodeKind = "card"         // each card, which is a payment method and an expiry
	EpisodeInvoice      EpisodeKind = "invoice"      // each open invoice that is overdue
	EpisodeSubscription EpisodeKind = "subscription" // each subscription that has not ended
	EpisodeEvery        EpisodeKind = "every"        // at most once in so many days
	EpisodeEvent        EpisodeKind = "event"        // each domain event: of campaigns with a trigger
)

// ReenterAfter is how long after the end of an enrollment the steps of the next
// entry begin at the earliest, unless a campaign says otherwise, so that a
// customer who flaps in and out of a segment is not written to each time.
const ReenterAfter = 7 * 24 * time.Hour
