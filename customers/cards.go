package customers

import (
	"slices"
	"strings"

	"github.com/dunlin/dunlin/segments/rule"
)

var fundings = []string{"credit", "debit", "prepaid", "unknown"}

// cardCatalog is about payment methods of type card, and the cards and sources
// that came before them.
var cardCatalog = []field[method]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "payment_method.id",
		Help: "id at Stripe of the payment method, pm_…, or of a card from before there were any, card_… or src_…",
	}, func(_ *sources, m *method) any { return m.ID }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "payment_method.created",
		Help: "when the card was saved at Stripe; 1970-01-01 for a card_…, of which Stripe does not say it",
	}, func(_ *sources, m *method) any { return creation(m.Created) }},
	{rule.Attribute{
		Name: "brand", Type: rule.Text, Values: cardBrands, From: "payment_method.card.brand",
		Help: "brand of the card, such as 'Visa' or 'American Express'",
	}, func(_ *sources, m *method) any { return brand(m.asCard().Brand) }},
	{rule.Attribute{
		Name: "last4", Type: rule.Text, From: "payment_method.card.last4",
		Help: "last four digits of the card",
	}, func(_ *sources, m *method) any { return text(m.asCard().Last4) }},
	{rule.Attribute{
		Name: "expires_at", Type: rule.DateType, From: "payment_method.card.exp_month, exp_year",
		Help: "last day on which the card is good: the end of its month",
	}, func(_ *sources, m *method) any { return m.asCard().expiry() }},
	{rule.Attribute{
		Name: "is_default", Type: rule.Boolean, From: "subscription.default_payment_method, customer.invoice_settings.default_payment_method",
		Help: "it is the card Stripe would charge next, of which card_brand and friends speak",
	}, func(s *sources, m *method) any { return s.method.asCard() != nil && clean(s.method.ID) == m.ID }},
	{rule.Attribute{
		Name: "wallet", Type: rule.Text, From: "payment_method.card.wallet.type",
		Help: "the wallet the card is in, such as 'apple_pay' or 'google_pay'; missing for a card that was typed in",
	}, func(_ *sources, m *method) any { return m.asCard().wallet() }},
	{rule.Attribute{
		Name: "funding", Type: rule.Text, Values: fundings, From: "payment_method.card.funding",
		Help: "where its money comes from: credit, debit, prepaid or unknown",
	}, func(_ *sources, m *method) any { return text(m.asCard().Funding) }},
	{rule.Attribute{
		Name: "country", Type: rule.Text, Unit: "ISO 3166 alpha-2", From: "payment_method.card.country",
		Help: "country of the bank that gave out the card, in two capital letters; the customer's is customer.country",
	}, func(_ *sources, m *method) any { return text(alpha2(&address{Country: m.asCard().Country})) }},
	{rule.Attribute{
		Name: "metadata", Type: rule.MapType, From: "payment_method.metadata",
		Help: "the payment method's metadata at Stripe, one text per key: metadata['label']",
	}, func(_ *sources, m *method) any { return map[string]string(m.Metadata) }},
}

// gatherCards lists the cards that the customer holds, each once: those of the
// mirror's rows, and those that came inside other objects and have no row yet,
// first of all the one that card_brand and friends speak of. A card that was
// detached is held no longer.
func (s *sources) gatherCards() (cards []method) {
	for _, m := range s.methods {
		if !m.detached && m.asCard() != nil {
			cards = append(cards, m)
		}
	}
	inside := func(m method) {
		m.ID = clean(m.ID)
		_, mirrored := s.methods[m.ID]
		if mirrored || m.ID == "" || m.asCard() == nil || slices.ContainsFunc(cards, func(c method) bool { return c.ID == m.ID }) {
			return
		}
		cards = append(cards, m)
	}
	if s.method != nil {
		inside(*s.method)
	}
	for _, r := range append(slices.Clip(s.customer.Sources.Data), s.customer.InvoiceSettings.DefaultPaymentMethod, s.customer.DefaultSource) {
		if r.Raw == nil {
			continue
		}
		if m, ok := s.lookup(r); ok {
			inside(m)
		}
	}
	slices.SortFunc(cards, func(a, b method) int { return strings.Compare(a.ID, b.ID) })
	return cards
}
