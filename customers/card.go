package customers

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/dunlin/dunlin/segments/rule"
)

// cardBrands are the brands as legacy cards spell them, which is how Intercom
// shows them, too.
var cardBrands = []string{
	"American Express", "Diners Club", "Discover", "Eftpos Australia", "JCB", "MasterCard", "UnionPay", "Visa", "Unknown",
}

// brand spells a card's brand one way. Payment methods say amex where legacy
// cards say American Express; a brand we do not know keeps its words.
func brand(s string) any {
	s = clean(s)
	switch strings.ToLower(s) {
	case "":
		return nil
	case "amex":
		return "American Express"
	case "diners":
		return "Diners Club"
	case "eftpos_au":
		return "Eftpos Australia"
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return r == '_' || unicode.IsSpace(r) })
	if len(words) == 0 {
		return nil
	}
	joined := strings.Join(words, " ")
	for _, b := range cardBrands {
		if strings.EqualFold(b, joined) {
			return b
		}
	}
	for i, w := range words {
		r := []rune(w)
		r[0] = unicode.ToTitle(r[0])
		words[i] = string(r)
	}
	return strings.Join(words, " ")
}

// expiry is the last day of a card's month: a card is good through that whole
// day. It is missing for what is no month.
func (c *card) expiry() any {
	if c.ExpMonth < 1 || c.ExpMonth > 12 || c.ExpYear < 1970 || c.ExpYear > 9999 {
		return nil
	}
	last := time.Date(c.ExpYear, time.Month(c.ExpMonth)+1, 0, 0, 0, 0, 0, time.UTC)
	return rule.Date{Year: last.Year(), Month: last.Month(), Day: last.Day()}
}

// wallet is the wallet that the card is in, as payment methods spell it.
func (c *card) wallet() any {
	switch {
	case c.Wallet.Type != "":
		return text(c.Wallet.Type)
	case c.TokenizationMethod == "android_pay":
		return "google_pay"
	}
	return text(c.TokenizationMethod)
}

// kind is the type of the payment method; of a card or a bank account from
// before there were any, what it is.
func (m *method) kind() any {
	switch {
	case m == nil:
		return nil
	case m.Object == "card" || m.Object == "bank_account":
		return m.Object
	}
	return text(m.Type)
}

// chooseMethod finds what Stripe would charge next, in Stripe's own order: the
// subscription's default payment method, its default source, the customer's
// default payment method, its default source. Stripe stays on the first that is
// set: a subscription's own card shadows a newer default of the customer. The
// order holds for the primary subscription unless it has ended. A method that
// was detached cannot be charged and is passed over; merely being attached
// makes none a default.
func (s *sources) chooseMethod() *method {
	var order []ref
	if s.primary != nil && !s.primary.ended() {
		order = append(order, s.primary.DefaultPaymentMethod, s.primary.DefaultSource)
	}
	order = append(order, s.customer.InvoiceSettings.DefaultPaymentMethod, s.customer.DefaultSource)
	for _, r := range order {
		if r.ID == "" {
			continue
		}
		m, ok := s.lookup(r)
		if ok && m.detached {
			continue
		}
		if !ok {
			return nil // it would be charged, and we know nothing of it
		}
		return &m
	}
	return nil
}

// lookup finds a method's details: in the mirror by id, else where the object
// was sent expanded.
func (s *sources) lookup(r ref) (method, bool) {
	if m, ok := s.methods[r.ID]; ok {
		return m, true
	}
	var m method
	if r.Raw != nil && json.Unmarshal(r.Raw, &m) == nil {
		return m, true
	}
	for _, source := range s.customer.Sources.Data {
		if source.ID == r.ID && source.Raw != nil && json.Unmarshal(source.Raw, &m) == nil {
			return m, true
		}
	}
	return method{}, false
}

// asCard is the method's card: of a payment method or source of type card,
// wallets included, or the legacy card itself. Link, debits and the like have
// none.
func (m *method) asCard() *card {
	switch {
	case m == nil:
		return nil
	case m.Object == "card":
		return &m.card
	case m.Type == "card":
		return m.Card
	}
	return nil
}

// billingAddress is the address the method was given with.
func (m *method) billingAddress() *address {
	switch {
	case m == nil:
		return nil
	case m.BillingDetails.Address != nil:
		return m.BillingDetails.Address
	}
	return m.Owner.Address
}

// place is the customer's billing country and, from the same address, the
// state as Stripe has it. A card's own country is its bank's and says nothing.
func (s *sources) place() (country, state any) {
	inv := s.newestInvoice(func(inv *invoice) bool { return alpha2(inv.CustomerAddress) != "" })
	addresses := []*address{s.customer.Address, s.method.billingAddress()}
	if inv != nil {
		addresses = append(addresses, inv.CustomerAddress)
	}
	if s.method != nil {
		addresses = append(addresses, &address{Country: s.method.AddressCountry, State: s.method.AddressState})
	}
	for _, a := range addresses {
		if c := alpha2(a); c != "" {
			return c, text(a.State)
		}
	}
	return nil, nil
}

// alpha2 is an address' country in two capital letters; legacy cards can hold
// anything else, which is no country.
func alpha2(a *address) string {
	if a == nil || len(a.Country) != 2 {
		return ""
	}
	c := strings.ToUpper(a.Country)
	if c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' {
		return ""
	}
	return c
}
