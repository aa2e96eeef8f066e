package sandbox

import "time"

// A Contact is a person as Intercom knows them, and what decides when it is
// night where they live. It is the sandbox's own knowledge: the judge reads it.
type Contact struct {
	ID       string // 24 hex digits
	Customer string // the Stripe customer (cus_…) behind it; empty for a bystander
	Email    string
	Role     string // user or lead
	Timezone string // the contact's own custom attribute, an IANA name; may be empty
	OptedOut bool   // carries the opt-out tag, the opt-out attribute, or has unsubscribed
}

// A State is what is true of one customer's billing from one instant on. The
// world appends one whenever something in it changes, in order of At.
type State struct {
	At   time.Time
	Told time.Time // when the last webhook of this change was answered 2xx; zero: never, or backfilled

	Deleted       bool
	Delinquent    bool
	Subscriptions []SubscriptionState
	Open          []OpenInvoice // status open, amount remaining above zero
	Card          *CardState    // the card Stripe would charge next; nil when there is none
}

// A SubscriptionState is one subscription with its only or main item.
type SubscriptionState struct {
	ID, Status, Plan string // Plan is the product's name
	Amount           int64  // of one unit, in the currency's minor unit
	Quantity         int64
	Currency         string
	Interval         string // month or year
}

// An OpenInvoice is money the customer owes.
type OpenInvoice struct {
	ID        string
	Remaining int64
	Currency  string
}

// A CardState is a card as the networks know it.
type CardState struct {
	PaymentMethod     string
	Brand, Last4      string // Brand in Title Case
	ExpMonth, ExpYear int
}

// A Resident is one customer of the merchant: who they are, and everything that
// ever happened to their billing, oldest first.
type Resident struct {
	Customer string // cus_…
	Name     string
	Country  string // of the billing address, alpha-2; may be empty
	State    string // of the billing address; may be empty
	Contacts []Contact
	History  []State
}

// An Accepted is one request that changed something at Intercom and got a 2xx
// (or would have, had the answer not been lost).
type Accepted struct {
	At        time.Time // virtual
	Kind      string    // message, ticket, note, event, tag, untag or attributes
	Contact   string    // Intercom's id
	ID        string    // Intercom's id of what was made or changed; empty of an event, which has none
	Text      string    // what a person sees: without markup a message's text, a ticket's title and description, a note; a tag's name; an event's name, and a line for each of its values; lines of attributes
	Title     string    // a ticket's title, an e-mail's subject
	Reference string    // what it carries to be found by: a message's or note's last words "ref …", a ticket's own text; empty: nothing
	Again     bool      // a tag the contact already had, or an event of the same second: nothing changed
}

// silent says whether a request changed a contact and told nobody anything.
func (a Accepted) silent() bool {
	return a.Kind == "tag" || a.Kind == "untag" || a.Kind == "attributes"
}
