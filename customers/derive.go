package customers

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin/dunlin/segments/rule"
)

// The derivations of the catalog. Each returns a value of its attribute's type,
// or nil when the value is missing.

func (s *sources) stripeID() any      { return text(s.customer.ID) }
func (s *sources) email() any         { return text(s.customer.Email) }
func (s *sources) name() any          { return text(strings.TrimSpace(s.customer.Name)) }
func (s *sources) currencyValue() any { return text(s.money) }
func (s *sources) deleted() any       { return s.customer.Deleted }
func (s *sources) account() any       { return text(s.shelf.account) }
func (s *sources) livemode() any      { return boolean(s.customer.Livemode) }
func (s *sources) createdAt() any     { return instant(s.customer.Created) }
func (s *sources) delinquent() any    { return s.customer.Delinquent }

func (s *sources) country() any {
	country, _ := s.place()
	return country
}

func (s *sources) metadata() any { return s.customer.Metadata.value() }

// value is never missing: what has no metadata has an empty map of it.
func (m metadata) value() any {
	if m == nil {
		return map[string]string{}
	}
	return map[string]string(m)
}

// Words before a first name, and words that end the name of a business. Both
// are compared in small letters without dots.
var (
	titles     = words("mr mrs ms miss mx dr prof sir dame herr frau mme mlle monsieur madame")
	businesses = words("inc llc llp ltd limited corp corporation co company gmbh mbh ag kg ohg ug se sa sas sarl srl sl spa bv nv oy ab as aps plc pty pte pvt kk")
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		set[w] = true
	}
	return set
}

// firstName is the word to greet somebody with. A greeting that is wrong is
// worse than none, so it is missing for initials, for a title with a single
// word after it, for names with digits or an @, and for what looks like a
// business. "Doe, Jane" is Jane.
func (s *sources) firstName() any {
	plain := func(w string) string { return strings.ToLower(strings.Trim(strings.ReplaceAll(w, ".", ""), ",")) }
	name := clean(s.customer.Name)
	if strings.ContainsFunc(name, func(r rune) bool { return r == '@' || unicode.IsDigit(r) }) {
		return nil
	}
	all := strings.Fields(name)
	if len(all) == 0 || len(all) > 1 && businesses[plain(all[len(all)-1])] {
		return nil
	}
	if _, after, ok := strings.Cut(name, ","); ok {
		if rest := strings.Fields(after); len(rest) > 0 {
			all = rest
		}
	}
	titled := false
	for len(all) > 0 && titles[plain(all[0])] {
		all, titled = all[1:], true
	}
	if len(all) == 0 || titled && len(all) == 1 {
		return nil
	}
	first := strings.Trim(all[0], ",")
	if utf8.RuneCountInString(strings.Trim(first, ".")) < 2 || strings.Contains(first, ".") {
		return nil
	}
	return first
}

func (s *sources) subscriptionStatus() any {
	if s.primary == nil {
		return nil
	}
	return text(s.primary.Status)
}

func (s *sources) periodStart() any { return instant(s.primary.periodStart()) }

// The period is on the items since API version 2025-03-31.
func (sub *subscription) periodStart() int64 {
	switch {
	case sub == nil:
		return 0
	case sub.CurrentPeriodStart == 0 && sub.main != nil:
		return sub.main.CurrentPeriodStart
	}
	return sub.CurrentPeriodStart
}

func (sub *subscription) periodEnd() int64 {
	switch {
	case sub == nil:
		return 0
	case sub.CurrentPeriodEnd == 0 && sub.main != nil:
		return sub.main.CurrentPeriodEnd
	}
	return sub.CurrentPeriodEnd
}

func (s *sources) plan() any              { return s.item.plan() }
func (s *sources) planPrice() any         { return s.item.planPrice() }
func (s *sources) planInterval() any      { return s.item.interval() }
func (s *sources) planIntervalCount() any { return s.item.intervalCount() }

func (it *item) plan() any {
	if it == nil {
		return nil
	}
	return it.name
}

func (it *item) planPrice() any {
	if it == nil {
		return nil
	}
	return it.cost
}

// planOf is a name for people. A nickname or a product's name can change while
// the subscription keeps its old copy of the price, so the newer copy counts.
func (s *sources) planOf(sub *subscription, it *item) any {
	p := it.Price
	nickname, productID := p.Nickname, p.Product.ID
	if newer, ok := s.shelf.prices[p.ID]; ok && newer.asOf.After(sub.asOf) {
		nickname = newer.Nickname
	}
	if t := text(nickname); t != nil {
		return t
	}
	if t := text(s.shelf.products[productID].Name); t != nil {
		return t
	}
	if t := text(p.Product.expandedName()); t != nil {
		return t
	}
	return text(p.ID)
}

func (s *sources) planPriceOf(sub *subscription, it *item) any {
	t, ok := s.tariff(sub, it.Price)
	if !ok {
		return nil
	}
	unit, ok := t.unit()
	if !ok {
		return nil
	}
	return rule.Money{Amount: toMajor(unit, sub.Currency), Currency: sub.Currency}
}

func (it *item) interval() any {
	if it == nil || it.Price.Recurring == nil {
		return nil
	}
	return text(it.Price.Recurring.Interval)
}

func (it *item) intervalCount() any {
	if it == nil || it.Price.Recurring == nil {
		return nil
	}
	n := it.Price.Recurring.IntervalCount
	if n < 1 || n > 10_000 {
		return nil
	}
	return rule.NewDecimal(n, 0)
}

// mrr is Stripe's definition. A cancellation at the period's end still counts
// until then; an invoice that collection's pause voids does not.
func (s *sources) mrr() any {
	t := totals{}
	for i := range s.subscriptions {
		sub := &s.subscriptions[i]
		if !sub.recurs() {
			continue
		}
		if !sub.flow.known {
			return nil
		}
		if sub.flow.total.num.Sign() > 0 {
			t.addFractions(sub.flow.net, sub.Currency)
		}
	}
	return t.in(s.money)
}

// recurs tells that what the subscription bills is recurring revenue.
func (sub *subscription) recurs() bool {
	return (sub.Status == "active" || sub.Status == "past_due") && (sub.PauseCollection == nil || sub.PauseCollection.Behavior != "void")
}

// totals hold amounts, one for each currency.
type totals []total

type total struct {
	currency  string
	minor     int64
	fractions []fraction // besides
}

func (t *totals) of(currency string) *total {
	for i := range *t {
		if (*t)[i].currency == currency {
			return &(*t)[i]
		}
	}
	*t = append(*t, total{currency: currency})
	return &(*t)[len(*t)-1]
}

func (t *totals) add(minor int64, currency string) {
	if currency == "" || minor == 0 {
		return
	}
	to := t.of(currency)
	if sum := to.minor + minor; (sum > to.minor) == (minor > 0) {
		to.minor = sum
		return
	}
	to.fractions = append(to.fractions, fraction{num: rule.FromMinor(minor, currency).Amount}) // it would not fit
}

func (t *totals) addFractions(f []fraction, currency string) {
	to := t.of(currency)
	to.fractions = append(to.fractions, f...)
}

// in is the total in the one currency there is or, when there are several, in
// the customer's: the others are left out, never converted. Nothing at all is
// zero in the customer's currency. It is missing when that is unknown.
func (t totals) in(customers string) any {
	if len(t) == 1 {
		customers = t[0].currency
	}
	if customers == "" {
		return nil
	}
	at := slices.IndexFunc(t, func(one total) bool { return one.currency == customers })
	switch {
	case at < 0 && len(t) > 1:
		return nil
	case at < 0:
		return rule.Money{Currency: customers}
	}
	money := rule.FromMinor(t[at].minor, customers)
	if t[at].fractions != nil {
		money.Amount = sum(append(t[at].fractions, fraction{num: money.Amount}), rule.MinorUnits(customers))
	}
	return money
}

func (s *sources) cardBrand() any {
	if c := s.method.asCard(); c != nil {
		return brand(c.Brand)
	}
	return nil
}

func (s *sources) cardLast4() any {
	if c := s.method.asCard(); c != nil {
		return text(c.Last4)
	}
	return nil
}

func (s *sources) cardExpiresAt() any {
	if c := s.method.asCard(); c != nil {
		return c.expiry()
	}
	return nil
}

func (s *sources) cardWallet() any {
	if c := s.method.asCard(); c != nil {
		return c.wallet()
	}
	return nil
}

// cardUpdatedAt is when the card was saved. The mirror holds objects as they
// are, not when a default was chosen or an expiry renewed; who replaces a card at
// Stripe saves a new one, nearly always, and then this is that instant.
func (s *sources) cardUpdatedAt() any {
	if s.method.asCard() != nil {
		return instant(s.method.Created)
	}
	return nil
}

func (s *sources) methodType() any { return s.method.kind() }

// cardID is not an attribute: it is the payment method behind the card, which
// tells one card's episode from another's.
func (s *sources) cardID() any {
	if s.method.asCard() != nil {
		return text(s.method.ID)
	}
	return nil
}

// state is not an attribute: quiet hours need it in countries of many zones.
func (s *sources) state() any {
	_, state := s.place()
	return state
}

func (s *sources) lastChargeAmount() any {
	if s.charged == nil {
		return nil
	}
	return amountOf(s.charged.captured(), s.charged.Currency)
}

func (s *sources) lastChargeAt() any {
	if s.charged == nil {
		return nil
	}
	return instant(s.charged.Created)
}

// lifetimeSpend counts cash: charges, not invoices, which can be paid out of a
// balance or out of band. Money lost to a dispute is still counted.
func (s *sources) lifetimeSpend() any {
	t := totals{}
	for i := range s.charges {
		if c := &s.charges[i]; c.isMoney() {
			t.add(c.captured(), c.Currency)
			t.add(-orZero(c.AmountRefunded), c.Currency)
		}
	}
	return t.in(s.money)
}

// isOpen tells an invoice on which something remains to be paid. One that was
// finalised a minute ago counts, too.
func (inv *invoice) isOpen() bool { return inv.Status == "open" && orZero(inv.AmountRemaining) > 0 }

func (s *sources) openInvoiceAmount() any {
	t := totals{}
	for i := range s.invoices {
		if inv := &s.invoices[i]; inv.isOpen() {
			t.add(orZero(inv.AmountRemaining), inv.Currency)
		}
	}
	return t.in(s.money)
}

func (s *sources) openInvoiceCount() any {
	n := int64(0)
	for i := range s.invoices {
		if s.invoices[i].isOpen() {
			n++
		}
	}
	return rule.NewDecimal(n, 0)
}

// nextChargeAt is the first of what Stripe will charge by itself: attempts on
// invoices that are open or about to be, and the primary subscription's
// renewal. A renewal charges nothing when the subscription is billed by
// invoice, ends first, is free, or has its collection paused.
func (s *sources) nextChargeAt() any {
	var next int64
	consider := func(second int64) {
		if instant(second) != nil && (next == 0 || second < next) {
			next = second
		}
	}
	for i := range s.invoices {
		inv := &s.invoices[i]
		if (inv.isOpen() || inv.Status == "draft" && orZero(inv.AmountRemaining) > 0) && inv.CollectionMethod != "send_invoice" {
			consider(inv.NextPaymentAttempt)
		}
	}
	if s.primary != nil && s.primary.renews() {
		consider(s.primary.periodEnd())
	}
	return instant(next)
}

func (sub *subscription) renews() bool {
	switch {
	case sub.Status != "active" && sub.Status != "trialing" && sub.Status != "past_due",
		sub.CollectionMethod == "send_invoice",
		sub.PauseCollection != nil,
		sub.CancelAtPeriodEnd,
		sub.CancelAt != 0 && sub.CancelAt <= sub.periodEnd():
		return false
	}
	return !sub.flow.known || sub.flow.metered || sub.flow.total.num.Sign() > 0
}

// accountBalance keeps Stripe's sign: negative is credit.
func (s *sources) accountBalance() any {
	if c := currency(s.customer.Currency); c != "" {
		return amountOf(s.customer.Balance, c)
	}
	return amountOf(s.customer.Balance, s.money)
}

func (r ref) expandedName() string {
	if r.Raw == nil {
		return ""
	}
	var p product
	if err := json.Unmarshal(r.Raw, &p); err != nil {
		return ""
	}
	return p.Name
}
