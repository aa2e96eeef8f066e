package customers

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// A row is one object of the mirror.
type row struct {
	id      string
	raw     []byte
	asOf    time.Time
	deleted bool
	picked  bool // raw holds no more than the fields we read
}

// A record is all that the mirror holds of one customer.
type record struct {
	self          []row // one, or none when the mirror does not have the customer
	subscriptions []row
	invoices      []row
	charges       []row
	methods       []row
	refunds       []row
	disputes      []row
	items         []row // of subscriptions with more than ten
}

// A shelf is what customers have in common: the account, products, and prices
// for what a subscription's own copy of its price leaves out.
type shelf struct {
	account  string // its name in dunlin.accounts
	products map[string]product
	prices   map[string]shelfPrice
}

type shelfPrice struct {
	price
	asOf time.Time
}

// A fault is a mirror row that could not be understood.
type fault struct {
	class, id string
	err       error
}

func (f fault) Error() string { return fmt.Sprintf("%s %s: %v", f.class, f.id, f.err) }

// sources is one customer's record, decoded, with the choices that several
// attributes share made once.
type sources struct {
	customer      customer
	asOf          time.Time // of the customer's mirror row
	subscriptions []subscription
	invoices      []invoice
	charges       []charge
	methods       map[string]method
	refunds       []refund
	disputes      []dispute
	shelf         shelf

	items   []subscriptionItem // of all subscriptions, one for each id
	primary *subscription      // nil without subscriptions
	item    *item              // of the primary subscription; nil without items
	method  *method            // what Stripe would charge next; nil when none is set or known
	cards   []method           // that the customer holds, by id
	charged *charge            // the newest that brought money
	paid    payments
	failed  failures
	events  []event
	money   string // the customer's currency; empty when unknown
}

// decode reads a record. It is nil when the customer itself is not in the
// mirror or cannot be understood; other rows that cannot be are left out. Both
// are reported.
func decode(r record) (*sources, []fault) {
	if len(r.self) == 0 {
		return nil, nil
	}
	self := r.self[0]
	s := &sources{methods: make(map[string]method, len(r.methods))}
	if err := unmarshal(self, customerFields, &s.customer); err != nil {
		return nil, []fault{{"customer", self.id, err}}
	}
	s.customer.ID, s.asOf = self.id, self.asOf
	s.customer.Deleted = s.customer.Deleted || self.deleted

	var faults []fault
	read := func(class string, rows []row, one func(row) error) {
		for _, r := range rows {
			if err := one(r); err != nil {
				faults = append(faults, fault{class, r.id, err})
			}
		}
	}
	items := map[string][]item{}
	read("subscription item", live(r.items), func(r row) error {
		one := item{}
		if err := unmarshal(r, itemFields, &one); err != nil {
			return err
		}
		one.ID = r.id
		items[one.Subscription] = append(items[one.Subscription], one)
		return nil
	})
	read("subscription", r.subscriptions, func(r row) error {
		sub := subscription{asOf: r.asOf}
		if err := unmarshal(r, subscriptionFields, &sub); err != nil {
			return err
		}
		sub.ID = r.id
		// Deleting a customer cancels what it subscribes to at once; a
		// subscription that is no longer there is not billed either.
		if (s.customer.Deleted || r.deleted) && sub.Status != "incomplete_expired" {
			sub.Status = "canceled"
		}
		if sub.Items.HasMore {
			sub.Items.Data = allItems(sub.Items.Data, items[sub.ID])
		}
		sub.normalise()
		s.subscriptions = append(s.subscriptions, sub)
		return nil
	})
	read("invoice", live(r.invoices), func(r row) error {
		inv := invoice{}
		if err := unmarshal(r, invoiceFields, &inv); err != nil {
			return err
		}
		inv.ID, inv.Currency = r.id, currency(inv.Currency)
		s.invoices = append(s.invoices, inv)
		return nil
	})
	read("charge", r.charges, func(r row) error {
		ch := charge{}
		if err := unmarshal(r, chargeFields, &ch); err != nil {
			return err
		}
		ch.ID, ch.Currency = r.id, currency(ch.Currency)
		s.charges = append(s.charges, ch)
		return nil
	})
	read("payment method", r.methods, func(r row) error {
		m := method{asOf: r.asOf}
		if err := unmarshal(r, methodFields, &m); err != nil {
			return err
		}
		m.ID, m.detached = r.id, r.deleted
		s.methods[r.id] = m
		return nil
	})
	read("refund", live(r.refunds), func(r row) error {
		one := refund{}
		if err := unmarshal(r, refundFields, &one); err != nil {
			return err
		}
		one.ID, one.Currency = r.id, currency(one.Currency)
		s.refunds = append(s.refunds, one)
		return nil
	})
	read("dispute", live(r.disputes), func(r row) error {
		one := dispute{}
		if err := unmarshal(r, disputeFields, &one); err != nil {
			return err
		}
		one.ID, one.Currency = r.id, currency(one.Currency)
		s.disputes = append(s.disputes, one)
		return nil
	})
	return s, faults
}

// allItems are those that Stripe puts inside a subscription, the first ten, and
// those that were read for it one page after another, each once.
func allItems(inside, listed []item) []item {
	all := slices.Clone(listed)
	for _, it := range inside {
		if !slices.ContainsFunc(listed, func(o item) bool { return o.ID == it.ID }) {
			all = append(all, it)
		}
	}
	return all
}

// live leaves out deleted rows: of invoices only drafts can be deleted, refunds
// and disputes never.
func live(rows []row) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.deleted })
}

// normalise reads older and newer shapes as those of 2023-10-16.
func (sub *subscription) normalise() {
	items := sub.Items.Data[:0]
	for _, it := range sub.Items.Data {
		if it.Price == nil && it.Plan != nil {
			it.Price = it.Plan.asPrice()
		}
		if it.Price == nil || it.Deleted {
			continue
		}
		it.ID, it.Price.Currency = clean(it.ID), currency(it.Price.Currency)
		items = append(items, it)
	}
	sub.Items.Data = items
	sub.Currency = currency(sub.Currency)
	if sub.Currency == "" && len(items) > 0 {
		sub.Currency = items[0].Price.Currency
	}
}

// resolve makes the choices, with what is on the shelf.
func (s *sources) resolve(shelf shelf) {
	s.shelf = shelf
	for i := range s.subscriptions {
		sub := &s.subscriptions[i]
		sub.main, sub.flow = s.chooseItem(sub), s.flow(sub)
		for j := range sub.Items.Data {
			it := &sub.Items.Data[j]
			it.name, it.cost = s.planOf(sub, it), s.planPriceOf(sub, it)
		}
	}
	s.items = s.gatherItems()
	s.primary = s.choosePrimary()
	if s.primary != nil {
		s.item = s.primary.main
	}
	for i := range s.charges {
		if c := &s.charges[i]; c.isMoney() && (s.charged == nil || newer(c.Created, c.ID, s.charged.Created, s.charged.ID)) {
			s.charged = c
		}
	}
	s.paid = s.countPayments()
	s.failed = s.countFailures()
	s.method = s.chooseMethod()
	s.cards = s.gatherCards()
	s.events = s.gatherEvents()
	s.money = s.chooseCurrency()
}

// gatherItems lists the items of all subscriptions. Stripe gives an id once; of
// two items with one id that of the newer subscription counts, and what has
// none cannot be told apart.
func (s *sources) gatherItems() (items []subscriptionItem) {
	place := make(map[string]int)
	for i := range s.subscriptions {
		sub := &s.subscriptions[i]
		for j := range sub.Items.Data {
			it := &sub.Items.Data[j]
			at, twice := place[it.ID]
			switch {
			case it.ID == "":
			case !twice:
				place[it.ID] = len(items)
				items = append(items, subscriptionItem{it, sub})
			case newer(sub.Created, sub.ID, items[at].of.Created, items[at].of.ID):
				items[at] = subscriptionItem{it, sub}
			}
		}
	}
	return items
}

// choosePrimary picks the subscription that plan and friends speak of: the
// best status, then the highest amount a month, then the newest, then by id. A
// canceled one can so never hide an active one. Amounts decide only when all
// contenders have one currency and a known amount.
func (s *sources) choosePrimary() *subscription {
	best := -1
	var contenders []*subscription
	for i := range s.subscriptions {
		sub := &s.subscriptions[i]
		switch r := rank(sub.Status); {
		case best < 0 || r < best:
			best, contenders = r, append(contenders[:0], sub)
		case r == best:
			contenders = append(contenders, sub)
		}
	}
	if len(contenders) == 0 {
		return nil
	}
	comparable := true
	for _, sub := range contenders {
		comparable = comparable && sub.Currency == contenders[0].Currency && sub.flow.known
	}
	return slices.MinFunc(contenders, func(a, b *subscription) int {
		byAmount := 0
		if comparable {
			byAmount = b.flow.total.cmp(a.flow.total)
		}
		return cmp.Or(byAmount, cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID))
	})
}

// rank orders statuses, best first. One we do not know comes before canceled.
func rank(status string) int {
	if i := slices.Index(subscriptionStatuses, status); i >= 0 {
		return 2 * i
	}
	return 2*slices.Index(subscriptionStatuses, "canceled") - 1
}

// ended tells that nothing will be billed for the subscription any more.
func (sub *subscription) ended() bool {
	return sub.Status == "canceled" || sub.Status == "incomplete_expired"
}

// chooseItem picks the item that plan and friends speak of: the licensed one
// with the highest amount a month; one whose amount is known before one whose
// is not, metered ones after those, one-time prices last.
func (s *sources) chooseItem(sub *subscription) *item {
	switch len(sub.Items.Data) {
	case 0:
		return nil
	case 1:
		return &sub.Items.Data[0]
	}
	type candidate struct {
		item  *item
		kind  int
		gross fraction
	}
	var candidates []candidate
	for i := range sub.Items.Data {
		it := &sub.Items.Data[i]
		c := candidate{item: it, kind: 1}
		switch {
		case it.Price.Recurring == nil:
			c.kind = 3
		case it.Price.metered():
			c.kind = 2
		default:
			if amount, ok := s.amount(sub, it); ok {
				if c.gross, ok = monthly(amount, it.Price.Recurring); ok {
					c.kind = 0
				}
			}
		}
		candidates = append(candidates, c)
	}
	return slices.MinFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), b.gross.cmp(a.gross),
			cmp.Compare(a.item.Created, b.item.Created), cmp.Compare(a.item.ID, b.item.ID))
	}).item
}

// chooseCurrency: a customer is billed in one currency at a time, but not
// always was.
func (s *sources) chooseCurrency() string {
	if s.primary != nil && s.primary.Currency != "" {
		return s.primary.Currency
	}
	if c := currency(s.customer.Currency); c != "" {
		return c
	}
	if s.charged != nil && s.charged.Currency != "" {
		return s.charged.Currency
	}
	if inv := s.newestInvoice(func(inv *invoice) bool { return inv.Currency != "" }); inv != nil {
		return inv.Currency
	}
	return ""
}

func (s *sources) newestInvoice(fits func(*invoice) bool) (newest *invoice) {
	for i := range s.invoices {
		if inv := &s.invoices[i]; fits(inv) && (newest == nil || newer(inv.Created, inv.ID, newest.Created, newest.ID)) {
			newest = inv
		}
	}
	return newest
}

// newer orders objects by creation, ties by id.
func newer(created int64, id string, thanCreated int64, thanID string) bool {
	return cmp.Or(cmp.Compare(created, thanCreated), cmp.Compare(id, thanID)) > 0
}

// isMoney tells a charge that brought money: succeeded and captured. An
// authorised charge says succeeded, too, before it is captured.
func (c *charge) isMoney() bool {
	return c.Status == "succeeded" && (c.Captured == nil || *c.Captured) && c.Currency != ""
}

// captured is what the charge brought, in minor units, before refunds.
func (c *charge) captured() int64 {
	if c.AmountCaptured != nil {
		return *c.AmountCaptured
	}
	return orZero(c.Amount)
}

// currency is an ISO code in small letters, or empty for what is none.
func currency(code string) string {
	if len(code) != 3 {
		return ""
	}
	b := []byte(code)
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c < 'a' || c > 'z':
			return ""
		}
	}
	return string(b)
}

// amountOf is an amount in minor units as money; missing without a currency.
func amountOf(minor int64, currency string) any {
	if currency == "" {
		return nil
	}
	return rule.FromMinor(minor, currency)
}
