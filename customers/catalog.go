package customers

import (
	"slices"
	"strings"

	"github.com/dunlin/dunlin/segments/rule"
)

// An attribute is one entry of the catalog: what people see of it, and how it
// is derived.
type attribute struct {
	rule.Attribute
	derive func(*sources) any // a value of the attribute's type, or nil when missing
}

// The eight statuses of a subscription, best first: the order in which the
// primary subscription is chosen. An unknown status is kept as Stripe sent it.
var subscriptionStatuses = []string{
	"active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired",
}

const major = "major units, with their currency"

// catalog is in the order in which people are shown it. Each attribute has a
// column of its name in dunlin.customers, money a second one, name_currency.
var catalog = []attribute{
	// Who it is.
	{rule.Attribute{
		Name: "stripe_id", Type: rule.Text, From: "customer.id",
		Help: "the customer's id at Stripe, cus_…",
	}, (*sources).stripeID},
	{rule.Attribute{
		Name: "account", Type: rule.Text, From: "dunlin.accounts.name",
		Help: "name of the connected Stripe account the customer is in",
	}, (*sources).account},
	{rule.Attribute{
		Name: "livemode", Type: rule.Boolean, From: "customer.livemode",
		Help: "a customer of live mode, not of test mode; missing for some that were deleted",
	}, (*sources).livemode},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "customer.created",
		Help: "when the customer was made at Stripe; missing for some that were deleted",
	}, (*sources).createdAt},
	{rule.Attribute{
		Name: "email", Type: rule.Text, From: "customer.email",
		Help: "e-mail address, as written at Stripe",
	}, (*sources).email},
	{rule.Attribute{
		Name: "name", Type: rule.Text, From: "customer.name",
		Help: "full name of the person or the business",
	}, (*sources).name},
	{rule.Attribute{
		Name: "first_name", Type: rule.Text, From: "customer.name",
		Help: "first word of the name, after titles; missing for initials and for businesses (Inc, GmbH …)",
	}, (*sources).firstName},
	{rule.Attribute{
		Name: "country", Type: rule.Text, Unit: "ISO 3166 alpha-2", From: "customer.address, payment_method.billing_details.address, invoice.customer_address, card.address_country",
		Help: "billing country in two capital letters: of the customer, else of the card, else of the newest invoice",
	}, (*sources).country},
	{rule.Attribute{
		Name: "currency", Type: rule.Text, Unit: "ISO 4217", From: "subscription.currency, customer.currency",
		Help: "the customer's currency in small letters: of the primary subscription, else of the customer, else of the newest payment or invoice",
	}, (*sources).currencyValue},
	{rule.Attribute{
		Name: "metadata", Type: rule.MapType, From: "customer.metadata",
		Help: "the customer's metadata at Stripe, one text per key: metadata['tier']",
	}, (*sources).metadata},
	{rule.Attribute{
		Name: "deleted", Type: rule.Boolean, From: "customer.deleted",
		Help: "the customer was deleted at Stripe",
	}, (*sources).deleted},

	// What they subscribe to.
	{rule.Attribute{
		Name: "subscription_status", Type: rule.Text, Values: subscriptionStatuses, From: "subscription.status",
		Help: "status of the primary subscription: the best status, then the highest amount a month, then the newest",
	}, (*sources).subscriptionStatus},
	{rule.Attribute{
		Name: "subscription_period_start_at", Type: rule.InstantType, From: "subscription.current_period_start",
		Help: "when the primary subscription's current period began",
	}, (*sources).periodStart},
	{rule.Attribute{
		Name: "subscription_period_end_at", Type: rule.InstantType, From: "subscription.current_period_end",
		Help: "when the primary subscription's current period ends: its renewal, unless it is canceled before",
	}, (*sources).periodEnd},
	{rule.Attribute{
		Name: "subscription_count", Type: rule.Number, Unit: "subscriptions", From: "subscription.status",
		Help: "number of subscriptions that have not ended: neither canceled nor incomplete_expired",
	}, (*sources).subscriptionCount},
	{rule.Attribute{
		Name: "plan", Type: rule.Text, From: "price.nickname, product.name, price.id",
		Help: "name of the primary subscription's price: its nickname, else its product's name, else its id",
	}, (*sources).plan},
	{rule.Attribute{
		Name: "plan_price", Type: rule.MoneyType, Unit: major, From: "price.unit_amount_decimal",
		Help: "price of one unit of the plan, before quantity and discounts; missing for tiered prices",
	}, (*sources).planPrice},
	{rule.Attribute{
		Name: "plan_interval", Type: rule.Text, Values: intervals, From: "price.recurring.interval",
		Help: "how often the plan is billed: day, week, month or year",
	}, (*sources).planInterval},
	{rule.Attribute{
		Name: "plan_interval_count", Type: rule.Number, Unit: "intervals", From: "price.recurring.interval_count",
		Help: "number of intervals between two bills: 3 with month means quarterly",
	}, (*sources).planIntervalCount},
	{rule.Attribute{
		Name: "quantity", Type: rule.Number, Unit: "units of the plan", From: "subscription_item.quantity",
		Help: "how many units of the plan are subscribed to, such as seats; missing for metered prices",
	}, (*sources).quantity},
	{rule.Attribute{
		Name: "plans", Type: rule.ListType, From: "subscription.items",
		Help: "names, as in plan, of every price of the subscriptions that have not ended; an empty list without any",
	}, (*sources).plans},
	{rule.Attribute{
		Name: "mrr", Type: rule.MoneyType, Unit: major + ", a month", From: "subscription.items",
		Help: "monthly recurring revenue of active and past_due subscriptions, less coupons that last forever; metered prices and, with several currencies, all but the customer's left out; missing while what a price or a coupon amounts to is unknown, as the tiers of a price in a second currency are",
	}, (*sources).mrr},
	{rule.Attribute{
		Name: "trial_ends_at", Type: rule.InstantType, From: "subscription.trial_end",
		Help: "when the primary subscription's trial ends or ended; missing without a trial",
	}, (*sources).trialEndsAt},
	{rule.Attribute{
		Name: "cancels_at", Type: rule.InstantType, From: "subscription.cancel_at, cancel_at_period_end",
		Help: "when a cancellation that was asked for will end the primary subscription; missing without one, and once it has ended",
	}, (*sources).cancelsAt},
	{rule.Attribute{
		Name: "canceled_at", Type: rule.InstantType, From: "subscription.canceled_at",
		Help: "when the primary subscription's cancellation was asked for; it may go on until cancels_at",
	}, (*sources).canceledAt},
	{rule.Attribute{
		Name: "cancellation_reason", Type: rule.Text, From: "subscription.cancellation_details.reason",
		Help: "why the primary subscription was canceled: cancellation_requested, payment_failed or payment_disputed",
	}, (*sources).cancellationReason},
	{rule.Attribute{
		Name: "collection_paused", Type: rule.Boolean, From: "subscription.pause_collection",
		Help: "collecting payments for the primary subscription is paused; its status stays active meanwhile",
	}, (*sources).collectionPaused},
	{rule.Attribute{
		Name: "coupon", Type: rule.Text, From: "subscription.discount.coupon, customer.discount.coupon",
		Help: "name, else id, of the coupon that applies: the primary subscription's, which overrides the customer's; the first of several; coupons of single items left out",
	}, (*sources).coupon},
	{rule.Attribute{
		Name: "coupon_ends_at", Type: rule.InstantType, From: "discount.end",
		Help: "when the coupon that applies ends; missing for coupons that last forever or come off once",
	}, (*sources).couponEndsAt},

	// The card that Stripe would charge next.
	{rule.Attribute{
		Name: "card_brand", Type: rule.Text, Values: cardBrands, From: "payment_method.card.brand",
		Help: "brand of the card Stripe would charge next, such as 'Visa'; missing when that is no card",
	}, (*sources).cardBrand},
	{rule.Attribute{
		Name: "card_last4", Type: rule.Text, From: "payment_method.card.last4",
		Help: "last four digits of the card Stripe would charge next",
	}, (*sources).cardLast4},
	{rule.Attribute{
		Name: "card_expires_at", Type: rule.DateType, From: "payment_method.card.exp_month, exp_year",
		Help: "last day on which the card Stripe would charge next is good: the end of its month",
	}, (*sources).cardExpiresAt},
	{rule.Attribute{
		Name: "card_wallet", Type: rule.Text, From: "payment_method.card.wallet.type",
		Help: "wallet that the card Stripe would charge next is in, such as 'apple_pay' or 'google_pay'; missing for a card that was typed in",
	}, (*sources).cardWallet},
	{rule.Attribute{
		Name: "card_updated_at", Type: rule.InstantType, From: "payment_method.created",
		Help: "when the card Stripe would charge next was saved; a new expiry of the same card, or choosing one saved before, does not move it; missing for cards of before payment methods",
	}, (*sources).cardUpdatedAt},
	{rule.Attribute{
		Name: "payment_method_type", Type: rule.Text, From: "payment_method.type",
		Help: "kind of payment method Stripe would charge next: card, link, sepa_debit, us_bank_account …",
	}, (*sources).methodType},

	// What they paid.
	{rule.Attribute{
		Name: "last_charge_amount", Type: rule.MoneyType, Unit: major, From: "charge.amount_captured",
		Help: "amount of the newest successful, captured charge, before refunds",
	}, (*sources).lastChargeAmount},
	{rule.Attribute{
		Name: "last_charge_at", Type: rule.InstantType, From: "charge.created",
		Help: "when the newest successful, captured charge was made",
	}, (*sources).lastChargeAt},
	{rule.Attribute{
		Name: "lifetime_spend", Type: rule.MoneyType, Unit: major, From: "charge.amount_captured, charge.amount_refunded",
		Help: "all successful, captured charges less refunds; with several currencies only those in the customer's currency",
	}, (*sources).lifetimeSpend},
	{rule.Attribute{
		Name: "payment_count", Type: rule.Number, Unit: "payments", From: "charge.captured, invoice.paid_out_of_band",
		Help: "number of payments, ever and in any currency: successful, captured charges, refunded ones too, and invoices marked as paid outside Stripe",
	}, (*sources).paymentCount},
	{rule.Attribute{
		Name: "last_payment_at", Type: rule.InstantType, From: "charge.created, invoice.status_transitions.paid_at",
		Help: "when the newest payment came; unlike last_charge_at, an invoice marked as paid outside Stripe counts",
	}, (*sources).lastPaymentAt},
	{rule.Attribute{
		Name: "last_payment_amount", Type: rule.MoneyType, Unit: major, From: "charge.amount_captured, invoice.amount_paid",
		Help: "amount of the newest payment, before refunds; unlike last_charge_amount, an invoice marked as paid outside Stripe counts",
	}, (*sources).lastPaymentAmount},
	{rule.Attribute{
		Name: "failed_payment_count", Type: rule.Number, Unit: "charges", From: "charge.status",
		Help: "number of charges that failed since the newest payment, or ever without one: 0 again after a payment",
	}, (*sources).failedPaymentCount},
	{rule.Attribute{
		Name: "last_failure_at", Type: rule.InstantType, From: "charge.created",
		Help: "when the newest failed charge was made, whatever was paid since",
	}, (*sources).lastFailureAt},
	{rule.Attribute{
		Name: "last_failure_reason", Type: rule.Text, From: "charge.outcome.reason, charge.failure_code",
		Help: "why the newest failed charge failed, such as 'insufficient_funds' or 'expired_card', whatever was paid since",
	}, (*sources).lastFailureReason},

	// What they owe.
	{rule.Attribute{
		Name: "open_invoice_amount", Type: rule.MoneyType, Unit: major, From: "invoice.amount_remaining",
		Help: "what remains to be paid on open invoices, drafts left out; with several currencies only those in the customer's currency",
	}, (*sources).openInvoiceAmount},
	{rule.Attribute{
		Name: "open_invoice_count", Type: rule.Number, Unit: "invoices", From: "invoice.status",
		Help: "number of open invoices on which something remains to be paid, drafts left out",
	}, (*sources).openInvoiceCount},
	{rule.Attribute{
		Name: "oldest_open_invoice_due_at", Type: rule.InstantType, From: "invoice.due_date",
		Help: "earliest due date of open invoices; invoices that are charged automatically have none",
	}, (*sources).oldestOpenInvoiceDueAt},
	{rule.Attribute{
		Name: "invoice_attempt_count", Type: rule.Number, Unit: "attempts", From: "invoice.attempt_count",
		Help: "how often Stripe has tried to charge the newest open invoice it has tried; 0 when it has tried none, missing when none is open",
	}, (*sources).invoiceAttemptCount},
	{rule.Attribute{
		Name: "next_payment_attempt_at", Type: rule.InstantType, From: "invoice.next_payment_attempt",
		Help: "when Stripe will next try to charge an open invoice by itself; missing when it will not",
	}, (*sources).nextPaymentAttemptAt},
	{rule.Attribute{
		Name: "next_charge_at", Type: rule.InstantType, From: "invoice.next_payment_attempt, subscription.current_period_end",
		Help: "when Stripe will next charge by itself: the next attempt on an invoice or the primary subscription's renewal, whichever is first",
	}, (*sources).nextChargeAt},
	{rule.Attribute{
		Name: "delinquent", Type: rule.Boolean, From: "customer.delinquent",
		Help: "Stripe's flag: the latest change on any invoice was a failed or overdue payment; subscription_status is the surer sign",
	}, (*sources).delinquent},
	{rule.Attribute{
		Name: "account_balance", Type: rule.MoneyType, Unit: major, From: "customer.balance",
		Help: "balance kept at Stripe: negative is credit the customer has, positive is added to the next invoice; open invoices are not in it",
	}, (*sources).accountBalance},
}

// Attributes is the catalog that rules are checked against.
var Attributes rule.Catalog = attributes{}

type attributes struct{}

// catalogAttributes are the catalog without its derivations.
var catalogAttributes = func() (list []rule.Attribute) {
	for _, a := range catalog {
		list = append(list, a.Attribute)
	}
	return list
}()

// byName finds an attribute's place in the catalog by its canonical name.
var byName = func() map[string]int {
	m := make(map[string]int, len(catalog))
	for i, a := range catalog {
		m[a.Name] = i
	}
	return m
}()

// everything is what changes with a new customer.
const everything = "*"

// Attribute finds an attribute by its name in any case, with or without the
// stripe_ that Intercom's own Stripe import puts before it.
func (attributes) Attribute(name string) (rule.Attribute, bool) {
	const prefix = "stripe_"
	name = strings.ToLower(name)
	for _, n := range []string{name, strings.TrimPrefix(name, prefix), prefix + name} {
		if i, ok := byName[n]; ok {
			return catalog[i].Attribute, true
		}
	}
	return rule.Attribute{}, false
}

// Attributes lists the catalog, grouped for people. The slice is the caller's.
func (attributes) Attributes() []rule.Attribute {
	return cloned(catalogAttributes)
}

// cloned shares nothing with the catalog, which a caller could change.
func cloned(list []rule.Attribute) []rule.Attribute {
	list = slices.Clone(list)
	for i := range list {
		list[i].Values = slices.Clone(list[i].Values)
	}
	return list
}

// Segments says that in segment may use any name: which segments there are, their
// own package knows.
func (attributes) Segments() []string { return nil }
