package sandbox

import (
	"encoding/json"
	"strconv"
	"time"
)

// cached holds an object as JSON between two changes of it.
type cached struct{ body json.RawMessage }

// touch forgets the JSON: the object is about to change, or has.
func (c *cached) touch() { c.body = nil }

// entity is anything Stripe gives an id: it knows its JSON.
type entity interface {
	ident() string
	raw() json.RawMessage
	touch()
}

// customer is one customer of the merchant. All instants are Unix seconds.
type customer struct {
	cached
	n            int
	key          string // entity of the dice
	id           string
	name, email  string // name may be empty
	place        place
	address      bool // the billing address is known
	currency     string
	created      int64
	delinquent   bool
	deleted      bool
	defaultPM    *method // invoice_settings.default_payment_method
	source       *method // default_source: a legacy card
	methods      []*method
	cards        int // how many cards there ever were: the ordinal of the next
	subs         []*subscription
	invoices     []*invoice
	charges      []*charge
	nextSequence int
	emitted      int // events about this customer so far, for their ids
	contacts     []Contact
	history      []record
}

// method is a payment method, or a legacy card.
type method struct {
	cached
	id          string
	kind        string // card, link or sepa_debit
	legacy      bool   // a card_ object, default_source
	customer    *customer
	attached    bool
	brand       string // as on payment methods: lower case
	last4       string
	fingerprint string
	country     string // of the issuer
	wallet      bool
	month, year int // of expiry; zero when kind is not card
	created     int64
	dead        string // the decline code of a card that will never work again
}

// expired is true once the last day of the month of expiry is over, in UTC.
func (m *method) expired(at int64) bool { return m.kind == "card" && at >= m.expiry() }

// expiry is the instant the card's last month is over.
func (m *method) expiry() int64 {
	return time.Date(m.year, time.Month(m.month)+1, 1, 0, 0, 0, 0, time.UTC).Unix()
}

// subscription is one subscription with one or two items; the first is the main one.
type subscription struct {
	cached
	key                 string
	id                  string
	customer            *customer
	items               []*item
	status              string
	own                 *method // default_payment_method
	created             int64
	anchor              int64 // billing_cycle_anchor
	period              int   // periods since the anchor
	start, end          int64 // current period
	latest              *invoice
	cancelAtPeriodEnd   bool
	canceledAt, endedAt int64
	reason, feedback    string // of the cancellation
}

func (s *subscription) total() (sum int64) {
	for _, i := range s.items {
		sum += i.price.amount * i.quantity
	}
	return sum
}

// monthly is what the subscription is worth a month, for comparing within a customer.
func (s *subscription) monthly() (sum float64) {
	for _, i := range s.items {
		sum += i.price.monthly() * float64(i.quantity)
	}
	return sum
}

// live is true while the subscription has not ended.
func (s *subscription) live() bool { return s.status != "canceled" }

type item struct {
	id       string
	price    *price
	quantity int64
	created  int64
}

// invoice is one bill of one subscription.
type invoice struct {
	cached
	id          string
	customer    *customer
	sub         *subscription
	lines       []line
	total       int64
	currency    string
	status      string // draft, open or paid
	reason      string // billing_reason
	number      string
	created     int64
	start, end  int64 // the period the lines are for
	finalizedAt int64
	paidAt      int64
	attempts    int
	next        int64 // next_payment_attempt; 0: none
	collecting  bool  // auto_advance
	charge      *charge
	charges     int     // how many charges there ever were
	last        *method // what the last charge tried
	hard        bool    // … and it was declined for good
}

type line struct {
	id       string
	price    *price
	quantity int64
	item     string
}

// charge is one attempt to take money, as it went.
type charge struct {
	cached
	id       string
	customer *customer
	invoice  *invoice
	method   method // as it was then
	amount   int64
	created  int64
	failure  string // the decline code; empty when it succeeded
	refunds  []*refund
	refunded int64 // of amount
	disputed bool
}

func (c *customer) ident() string     { return c.id }
func (m *method) ident() string       { return m.id }
func (s *subscription) ident() string { return s.id }
func (i *invoice) ident() string      { return i.id }
func (c *charge) ident() string       { return c.id }
func (p *product) ident() string      { return p.id }
func (p *price) ident() string        { return p.id }

// pays returns what Stripe would charge for s, in Stripe's order (facts 1.5):
// the subscription's own default, the customer's invoice default, the legacy
// default source. It stays on the first that is set. A nil s asks for the customer.
func (c *customer) pays(s *subscription) *method {
	switch {
	case s != nil && s.own != nil:
		return s.own
	case c.defaultPM != nil:
		return c.defaultPM
	}
	return c.source
}

// primary is the subscription that speaks for the customer (facts 1.3): best
// status, then most money a month, then newest, then id. Nil without any.
func (c *customer) primary() *subscription {
	var best *subscription
	for _, s := range c.subs {
		if best == nil || s.before(best) {
			best = s
		}
	}
	return best
}

var statusRank = map[string]int{"active": 0, "past_due": 1, "unpaid": 2, "incomplete": 3, "canceled": 4}

func (s *subscription) before(o *subscription) bool {
	if a, b := statusRank[s.status], statusRank[o.status]; a != b {
		return a < b
	}
	if a, b := s.monthly(), o.monthly(); a != b {
		return a > b
	}
	if s.created != o.created {
		return s.created > o.created
	}
	return s.id < o.id
}

// open returns the customer's open invoices, oldest first.
func (c *customer) open() (open []*invoice) {
	for _, i := range c.invoices {
		if i.status == "open" {
			open = append(open, i)
		}
	}
	return open
}

// called is how people speak of the customer.
func (c *customer) called() string {
	if c.name != "" {
		return c.name
	}
	return c.id
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// mustJSON is for values of our own making, which always have a JSON form.
func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
