package customers

import (
	"strings"

	"github.com/dunlin/dunlin/segments/rule"
)

// A collection is one entry of the catalog of collections: what people see of
// it, and how its elements are derived. Its elements are rows of the table of
// its name in schema dunlin, with a column for each field, as in
// dunlin.customers.
type collection struct {
	rule.Collection
	place map[string]int // of a field in Fields, by name

	// count is how many elements the sources hold, and derive makes the values of
	// one of them, in the order of Fields. They are as derivations return them:
	// see exact.
	count  func(*sources) int
	derive func(s *sources, at int, into []any)
}

// A field is one entry of a collection's catalog. Derive returns a value of the
// field's type, or nil when it is missing; an amount may be a minorAmount and a
// number an int64, which cost less than what rules compare.
type field[T any] struct {
	rule.Attribute
	derive func(*sources, *T) any
}

// collect makes a collection of what the sources hold several of.
func collect[T any](about rule.Collection, elements func(*sources) []T, fields []field[T]) collection {
	c := collection{Collection: about, place: make(map[string]int, len(fields))}
	for i, f := range fields {
		c.Fields = append(c.Fields, f.Attribute)
		c.place[f.Name] = i
	}
	c.count = func(s *sources) int { return len(elements(s)) }
	c.derive = func(s *sources, at int, into []any) {
		element := &elements(s)[at]
		for i := range fields {
			into[i] = fields[i].derive(s, element)
		}
	}
	return c
}

var (
	intervals         = []string{"day", "week", "month", "year"}
	collectionMethods = []string{"charge_automatically", "send_invoice"}
)

// collections are in the order in which people are shown them. The first field
// of each is its id, the second created_at; neither is ever missing.
var collections = []collection{
	collect(rule.Collection{
		Name: "subscriptions", One: "a subscription", From: "subscription",
		Help: "all subscriptions of the customer, past ones too; those of a deleted customer count as canceled",
	}, func(s *sources) []subscription { return s.subscriptions }, subscriptionCatalog),
	collect(rule.Collection{
		Name: "subscription_items", One: "a subscription item", From: "subscription.items",
		Help: "the lines of all subscriptions, one for each price that is subscribed to",
	}, func(s *sources) []subscriptionItem { return s.items }, itemCatalog),
	collect(rule.Collection{
		Name: "invoices", One: "an invoice", From: "invoice",
		Help: "all invoices of the customer; deleted drafts left out",
	}, func(s *sources) []invoice { return s.invoices }, invoiceCatalog),
	collect(rule.Collection{
		Name: "charges", One: "a charge", From: "charge",
		Help: "all attempts to take money from the customer, failed ones too",
	}, func(s *sources) []charge { return s.charges }, chargeCatalog),
	collect(rule.Collection{
		Name: "cards", One: "a card", From: "payment_method, card, source",
		Help: "the cards the customer has saved at Stripe, those in wallets too; detached ones, links and bank accounts left out",
	}, func(s *sources) []method { return s.cards }, cardCatalog),
	collect(rule.Collection{
		Name: "refunds", One: "a refund", From: "refund",
		Help: "money given back, one for each time; those that failed or were canceled too",
	}, func(s *sources) []refund { return s.refunds }, refundCatalog),
	collect(rule.Collection{
		Name: "disputes", One: "a dispute", From: "dispute",
		Help: "charges that the customer contested at their bank, also called chargebacks",
	}, func(s *sources) []dispute { return s.disputes }, disputeCatalog),
	collect(rule.Collection{
		Name: "events", One: "an event", From: "invoice, subscription, charge, refund, payment_method",
		Help: "what happened to the customer, each once, however often Stripe told of it",
	}, func(s *sources) []event { return s.events }, eventCatalog),
}

// collectionPlace finds a collection by its canonical name.
var collectionPlace = func() map[string]int {
	m := make(map[string]int, len(collections))
	for i, c := range collections {
		m[c.Name] = i
	}
	return m
}()

// widest is the number of fields of the collection that has the most.
var widest = func() (n int) {
	for _, c := range collections {
		n = max(n, len(c.Fields))
	}
	return n
}()

var subscriptionCatalog = []field[subscription]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "subscription.id",
		Help: "the subscription's id at Stripe, sub_…",
	}, func(_ *sources, sub *subscription) any { return sub.ID }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "subscription.created",
		Help: "when the subscription was made",
	}, func(_ *sources, sub *subscription) any { return creation(sub.Created) }},
	{rule.Attribute{
		Name: "status", Type: rule.Text, Values: subscriptionStatuses, From: "subscription.status",
		Help: "where the subscription stands: active, trialing, past_due, canceled …",
	}, func(_ *sources, sub *subscription) any { return text(sub.Status) }},
	{rule.Attribute{
		Name: "plan", Type: rule.Text, From: "price.nickname, product.name, price.id",
		Help: "name of the subscription's main price: its nickname, else its product's name, else its id",
	}, func(_ *sources, sub *subscription) any { return sub.main.plan() }},
	{rule.Attribute{
		Name: "plan_price", Type: rule.MoneyType, Unit: major, From: "price.unit_amount_decimal",
		Help: "price of one unit of the plan, before quantity and discounts; missing for tiered prices",
	}, func(_ *sources, sub *subscription) any { return sub.main.planPrice() }},
	{rule.Attribute{
		Name: "plan_interval", Type: rule.Text, Values: intervals, From: "price.recurring.interval",
		Help: "how often the plan is billed: day, week, month or year",
	}, func(_ *sources, sub *subscription) any { return sub.main.interval() }},
	{rule.Attribute{
		Name: "plan_interval_count", Type: rule.Number, Unit: "intervals", From: "price.recurring.interval_count",
		Help: "number of intervals between two bills: 3 with month means quarterly",
	}, func(_ *sources, sub *subscription) any { return sub.main.intervalCount() }},
	{rule.Attribute{
		Name: "quantity", Type: rule.Number, Unit: "units of the plan", From: "subscription_item.quantity",
		Help: "how many units of the plan are subscribed to, such as seats; missing for metered prices",
	}, func(_ *sources, sub *subscription) any { return sub.main.units() }},
	{rule.Attribute{
		Name: "mrr", Type: rule.MoneyType, Unit: major + ", a month", From: "subscription.items",
		Help: "monthly recurring revenue, less coupons that last forever, metered prices left out; 0 unless active or past_due; missing when a tiered price is unknown",
	}, func(_ *sources, sub *subscription) any { return sub.mrr() }},
	{rule.Attribute{
		Name: "currency", Type: rule.Text, Unit: "ISO 4217", From: "subscription.currency",
		Help: "currency the subscription is billed in, in small letters: 'usd'",
	}, func(_ *sources, sub *subscription) any { return text(sub.Currency) }},
	{rule.Attribute{
		Name: "period_start_at", Type: rule.InstantType, From: "subscription.current_period_start",
		Help: "when the current billing period began",
	}, func(_ *sources, sub *subscription) any { return instant(sub.periodStart()) }},
	{rule.Attribute{
		Name: "period_end_at", Type: rule.InstantType, From: "subscription.current_period_end",
		Help: "when the current billing period ends: the renewal, unless it is canceled before",
	}, func(_ *sources, sub *subscription) any { return instant(sub.periodEnd()) }},
	{rule.Attribute{
		Name: "trial_ends_at", Type: rule.InstantType, From: "subscription.trial_end",
		Help: "when the trial ends or ended; missing without a trial",
	}, func(_ *sources, sub *subscription) any { return instant(sub.TrialEnd) }},
	{rule.Attribute{
		Name: "cancels_at", Type: rule.InstantType, From: "subscription.cancel_at, cancel_at_period_end",
		Help: "when a cancellation that was asked for will take effect; missing without one, and once the subscription has ended",
	}, func(_ *sources, sub *subscription) any { return instant(sub.cancelsAt()) }},
	{rule.Attribute{
		Name: "canceled_at", Type: rule.InstantType, From: "subscription.canceled_at",
		Help: "when the cancellation was asked for; the subscription may go on until cancels_at",
	}, func(_ *sources, sub *subscription) any { return instant(sub.CanceledAt) }},
	{rule.Attribute{
		Name: "cancellation_reason", Type: rule.Text, From: "subscription.cancellation_details.reason",
		Help: "why it was canceled: cancellation_requested, payment_failed or payment_disputed",
	}, func(_ *sources, sub *subscription) any { return text(sub.CancellationDetails.Reason) }},
	{rule.Attribute{
		Name: "collection_method", Type: rule.Text, Values: collectionMethods, From: "subscription.collection_method",
		Help: "charge_automatically, or send_invoice when the customer pays invoices by hand",
	}, func(_ *sources, sub *subscription) any { return text(sub.CollectionMethod) }},
	{rule.Attribute{
		Name: "collection_paused", Type: rule.Boolean, From: "subscription.pause_collection",
		Help: "collecting payments is paused; the status stays active meanwhile",
	}, func(_ *sources, sub *subscription) any { return sub.PauseCollection != nil }},
	{rule.Attribute{
		Name: "metadata", Type: rule.MapType, From: "subscription.metadata",
		Help: "the subscription's metadata at Stripe, one text per key: metadata['tier']",
	}, func(_ *sources, sub *subscription) any { return map[string]string(sub.Metadata) }},
}

var itemCatalog = []field[subscriptionItem]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "subscription_item.id",
		Help: "the item's id at Stripe, si_…",
	}, func(_ *sources, it *subscriptionItem) any { return it.ID }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "subscription_item.created",
		Help: "when the item was added to its subscription",
	}, func(_ *sources, it *subscriptionItem) any { return creation(it.Created) }},
	{rule.Attribute{
		Name: "subscription", Type: rule.Text, From: "subscription.id",
		Help: "id of the subscription the item is part of, sub_…",
	}, func(_ *sources, it *subscriptionItem) any { return text(it.of.ID) }},
	{rule.Attribute{
		Name: "status", Type: rule.Text, Values: subscriptionStatuses, From: "subscription.status",
		Help: "where the item's subscription stands: active, trialing, past_due, canceled …",
	}, func(_ *sources, it *subscriptionItem) any { return text(it.of.Status) }},
	{rule.Attribute{
		Name: "plan", Type: rule.Text, From: "price.nickname, product.name, price.id",
		Help: "name of the item's price: its nickname, else its product's name, else its id",
	}, func(_ *sources, it *subscriptionItem) any { return it.plan() }},
	{rule.Attribute{
		Name: "plan_price", Type: rule.MoneyType, Unit: major, From: "price.unit_amount_decimal",
		Help: "price of one unit, before quantity and discounts; missing for tiered prices",
	}, func(_ *sources, it *subscriptionItem) any { return it.planPrice() }},
	{rule.Attribute{
		Name: "plan_interval", Type: rule.Text, Values: intervals, From: "price.recurring.interval",
		Help: "how often the item is billed: day, week, month or year",
	}, func(_ *sources, it *subscriptionItem) any { return it.interval() }},
	{rule.Attribute{
		Name: "plan_interval_count", Type: rule.Number, Unit: "intervals", From: "price.recurring.interval_count",
		Help: "number of intervals between two bills: 3 with month means quarterly",
	}, func(_ *sources, it *subscriptionItem) any { return it.intervalCount() }},
	{rule.Attribute{
		Name: "quantity", Type: rule.Number, Unit: "units of the price", From: "subscription_item.quantity",
		Help: "how many units are subscribed to, such as seats; missing for metered prices",
	}, func(_ *sources, it *subscriptionItem) any { return it.units() }},
	{rule.Attribute{
		Name: "mrr", Type: rule.MoneyType, Unit: major + ", a month", From: "subscription_item.price, quantity",
		Help: "monthly recurring revenue of the item, less percentages off that last forever; 0 when metered, or unless active or past_due; missing when a tiered price is unknown",
	}, func(s *sources, it *subscriptionItem) any { return s.itemMRR(it) }},
	{rule.Attribute{
		Name: "product", Type: rule.Text, From: "price.product",
		Help: "id of the item's product at Stripe, prod_…",
	}, func(_ *sources, it *subscriptionItem) any { return text(it.Price.Product.ID) }},
	{rule.Attribute{
		Name: "price", Type: rule.Text, From: "price.id",
		Help: "id of the item's price at Stripe, price_…",
	}, func(_ *sources, it *subscriptionItem) any { return text(it.Price.ID) }},
	{rule.Attribute{
		Name: "metered", Type: rule.Boolean, From: "price.recurring.usage_type",
		Help: "the item is billed by usage, after the fact",
	}, func(_ *sources, it *subscriptionItem) any { return it.Price.metered() }},
}

var invoiceCatalog = []field[invoice]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "invoice.id",
		Help: "the invoice's id at Stripe, in_…",
	}, func(_ *sources, inv *invoice) any { return inv.ID }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "invoice.created",
		Help: "when the invoice was made, as a draft",
	}, func(_ *sources, inv *invoice) any { return creation(inv.Created) }},
	{rule.Attribute{
		Name: "number", Type: rule.Text, From: "invoice.number",
		Help: "the number printed on the invoice; missing until it is finalized",
	}, func(_ *sources, inv *invoice) any { return text(inv.Number) }},
	{rule.Attribute{
		Name: "status", Type: rule.Text, Values: []string{"draft", "open", "paid", "uncollectible", "void"}, From: "invoice.status",
		Help: "where the invoice stands: draft, open (to be paid), paid, uncollectible (written off) or void (taken back)",
	}, func(_ *sources, inv *invoice) any { return text(inv.Status) }},
	{rule.Attribute{
		Name: "currency", Type: rule.Text, Unit: "ISO 4217", From: "invoice.currency",
		Help: "the invoice's currency in small letters: 'usd'",
	}, func(_ *sources, inv *invoice) any { return text(inv.Currency) }},
	{rule.Attribute{
		Name: "total", Type: rule.MoneyType, Unit: major, From: "invoice.total",
		Help: "total after discounts and taxes; below 0 for a credit",
	}, func(_ *sources, inv *invoice) any { return minorOf(inv.Total, inv.Currency) }},
	{rule.Attribute{
		Name: "amount_due", Type: rule.MoneyType, Unit: major, From: "invoice.amount_due",
		Help: "what there was to pay: the total less the customer's balance",
	}, func(_ *sources, inv *invoice) any { return minorOf(inv.AmountDue, inv.Currency) }},
	{rule.Attribute{
		Name: "amount_paid", Type: rule.MoneyType, Unit: major, From: "invoice.amount_paid",
		Help: "what has been paid",
	}, func(_ *sources, inv *invoice) any { return minorOf(inv.AmountPaid, inv.Currency) }},
	{rule.Attribute{
		Name: "amount_remaining", Type: rule.MoneyType, Unit: major, From: "invoice.amount_remaining",
		Help: "what remains to be paid",
	}, func(_ *sources, inv *invoice) any { return minorOf(inv.AmountRemaining, inv.Currency) }},
	{rule.Attribute{
		Name: "due_at", Type: rule.InstantType, From: "invoice.due_date",
		Help: "when payment is due; missing for invoices that are charged automatically",
	}, func(_ *sources, inv *invoice) any { return instant(inv.DueDate) }},
	{rule.Attribute{
		Name: "finalized_at", Type: rule.InstantType, From: "invoice.status_transitions.finalized_at",
		Help: "when the draft became an open invoice",
	}, func(_ *sources, inv *invoice) any { return instant(inv.StatusTransitions.FinalizedAt) }},
	{rule.Attribute{
		Name: "paid_at", Type: rule.InstantType, From: "invoice.status_transitions.paid_at",
		Help: "when the invoice was paid",
	}, func(_ *sources, inv *invoice) any { return instant(inv.StatusTransitions.PaidAt) }},
	{rule.Attribute{
		Name: "next_payment_attempt_at", Type: rule.InstantType, From: "invoice.next_payment_attempt",
		Help: "when Stripe will try to charge it next; missing when it will not",
	}, func(_ *sources, inv *invoice) any { return instant(inv.NextPaymentAttempt) }},
	{rule.Attribute{
		Name: "attempt_count", Type: rule.Number, Unit: "attempts", From: "invoice.attempt_count",
		Help: "how often Stripe has tried to charge it by itself; a planned attempt counts even when it made no charge",
	}, func(_ *sources, inv *invoice) any { return number(inv.AttemptCount) }},
	{rule.Attribute{
		Name: "collection_method", Type: rule.Text, Values: collectionMethods, From: "invoice.collection_method",
		Help: "charge_automatically, or send_invoice when the customer pays it by hand",
	}, func(_ *sources, inv *invoice) any { return text(inv.CollectionMethod) }},
	{rule.Attribute{
		Name: "billing_reason", Type: rule.Text, From: "invoice.billing_reason",
		Help: "what the invoice is for: subscription_create, subscription_cycle (a renewal), subscription_update, manual …",
	}, func(_ *sources, inv *invoice) any { return text(inv.BillingReason) }},
	{rule.Attribute{
		Name: "subscription", Type: rule.Text, From: "invoice.subscription",
		Help: "id of the subscription it bills, sub_…; missing for one-off invoices",
	}, func(_ *sources, inv *invoice) any { return text(inv.Subscription.ID) }},
	{rule.Attribute{
		Name: "metadata", Type: rule.MapType, From: "invoice.metadata",
		Help: "the invoice's metadata at Stripe, one text per key: metadata['order']",
	}, func(_ *sources, inv *invoice) any { return map[string]string(inv.Metadata) }},
}

var chargeCatalog = []field[charge]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "charge.id",
		Help: "the charge's id at Stripe, ch_…",
	}, func(_ *sources, c *charge) any { return c.ID }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "charge.created",
		Help: "when the charge was attempted",
	}, func(_ *sources, c *charge) any { return creation(c.Created) }},
	{rule.Attribute{
		Name: "status", Type: rule.Text, Values: []string{"succeeded", "pending", "failed"}, From: "charge.status",
		Help: "how it went: succeeded, pending or failed; succeeded money has arrived only if captured, too",
	}, func(_ *sources, c *charge) any { return text(c.Status) }},
	{rule.Attribute{
		Name: "amount", Type: rule.MoneyType, Unit: major, From: "charge.amount",
		Help: "amount that was to be taken",
	}, func(_ *sources, c *charge) any { return minorOf(c.Amount, c.Currency) }},
	{rule.Attribute{
		Name: "amount_captured", Type: rule.MoneyType, Unit: major, From: "charge.amount_captured",
		Help: "amount that was taken, before refunds",
	}, func(_ *sources, c *charge) any { return minorOf(c.taken(), c.Currency) }},
	{rule.Attribute{
		Name: "amount_refunded", Type: rule.MoneyType, Unit: major, From: "charge.amount_refunded",
		Help: "amount that was given back, in part or whole",
	}, func(_ *sources, c *charge) any { return minorOf(c.AmountRefunded, c.Currency) }},
	{rule.Attribute{
		Name: "currency", Type: rule.Text, Unit: "ISO 4217", From: "charge.currency",
		Help: "the charge's currency in small letters: 'usd'",
	}, func(_ *sources, c *charge) any { return text(c.Currency) }},
	{rule.Attribute{
		Name: "captured", Type: rule.Boolean, From: "charge.captured",
		Help: "the money was taken, not only reserved",
	}, func(_ *sources, c *charge) any { return boolean(c.Captured) }},
	{rule.Attribute{
		Name: "refunded", Type: rule.Boolean, From: "charge.refunded",
		Help: "all of it was given back; a refund in part shows in amount_refunded only",
	}, func(_ *sources, c *charge) any { return boolean(c.Refunded) }},
	{rule.Attribute{
		Name: "disputed", Type: rule.Boolean, From: "charge.disputed",
		Help: "the customer disputed the charge with their bank",
	}, func(_ *sources, c *charge) any { return boolean(c.Disputed) }},
	{rule.Attribute{
		Name: "failure_code", Type: rule.Text, From: "charge.failure_code",
		Help: "Stripe's code for why it failed, such as 'card_declined' or 'expired_card'",
	}, func(_ *sources, c *charge) any { return text(c.FailureCode) }},
	{rule.Attribute{
		Name: "failure_message", Type: rule.Text, From: "charge.failure_message",
		Help: "why it failed, in a sentence of Stripe's",
	}, func(_ *sources, c *charge) any { return text(c.FailureMessage) }},
	{rule.Attribute{
		Name: "payment_method_type", Type: rule.Text, From: "charge.payment_method_details.type, charge.source",
		Help: "what was charged: card, link, sepa_debit, us_bank_account …",
	}, func(_ *sources, c *charge) any { return c.methodType() }},
	{rule.Attribute{
		Name: "invoice", Type: rule.Text, From: "charge.invoice",
		Help: "id of the invoice it was to pay, in_…; missing for one-off charges",
	}, func(_ *sources, c *charge) any { return text(c.Invoice.ID) }},
	{rule.Attribute{
		Name: "description", Type: rule.Text, From: "charge.description",
		Help: "what the charge was described as",
	}, func(_ *sources, c *charge) any { return text(c.Description) }},
	{rule.Attribute{
		Name: "metadata", Type: rule.MapType, From: "charge.metadata",
		Help: "the charge's metadata at Stripe, one text per key: metadata['order']",
	}, func(_ *sources, c *charge) any { return map[string]string(c.Metadata) }},
}

// Collection finds a collection by its name in any case.
func (attributes) Collection(name string) (rule.Collection, bool) {
	if i, ok := collectionPlace[strings.ToLower(name)]; ok {
		return collections[i].Collection, true
	}
	return rule.Collection{}, false
}

// Collections lists the collections, grouped for people. The slices are the
// caller's.
func (attributes) Collections() []rule.Collection {
	list := make([]rule.Collection, len(collections))
	for i, c := range collections {
		list[i] = c.Collection
		list[i].Fields = cloned(c.Fields)
	}
	return list
}
