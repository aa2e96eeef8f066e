package segments_test

import (
	"strings"

	"github.com/dunlin/dunlin/segments/rule"
)

// catalog is what the tests' rules may name.
type catalog struct {
	attributes  []rule.Attribute
	collections []rule.Collection
	segments    []string
}

// columns is a catalog whose attributes are columns of dunlin.customers, and
// whose collections are tables; newTable adds what is missing there.
var columns = &catalog{
	attributes: append([]rule.Attribute{
		{Name: "stripe_id", Type: rule.Text},
		{Name: "email", Type: rule.Text},
		{Name: "created_at", Type: rule.InstantType},
		{Name: "delinquent", Type: rule.Boolean},
		{Name: "subscription_status", Type: rule.Text},
	}, everyType...),
	collections: []rule.Collection{
		{Name: "subscriptions", One: "a subscription", Fields: elementFields(
			rule.Attribute{Name: "status", Type: rule.Text},
			rule.Attribute{Name: "plan", Type: rule.Text},
			rule.Attribute{Name: "mrr", Type: rule.MoneyType},
			rule.Attribute{Name: "quantity", Type: rule.Number},
			rule.Attribute{Name: "trial_ends_at", Type: rule.InstantType},
			rule.Attribute{Name: "metadata", Type: rule.MapType},
		)},
		{Name: "invoices", One: "an invoice", Fields: elementFields(
			rule.Attribute{Name: "status", Type: rule.Text},
			rule.Attribute{Name: "amount_due", Type: rule.MoneyType},
			rule.Attribute{Name: "amount_remaining", Type: rule.MoneyType},
			rule.Attribute{Name: "due_at", Type: rule.InstantType},
			rule.Attribute{Name: "attempt_count", Type: rule.Number},
			rule.Attribute{Name: "metadata", Type: rule.MapType},
		)},
		{Name: "charges", One: "a charge", Fields: elementFields(
			rule.Attribute{Name: "status", Type: rule.Text},
			rule.Attribute{Name: "amount", Type: rule.MoneyType},
			rule.Attribute{Name: "failure_code", Type: rule.Text},
			rule.Attribute{Name: "refunded", Type: rule.Boolean},
			rule.Attribute{Name: "settles_on", Type: rule.DateType},
		)},
		{Name: "things", One: "a thing", Fields: elementFields(everyType...)},
	},
	segments: []string{"vip", "trial users"},
}

// everyType has attributes of every type. Customers have them, and so have
// things, a collection that only tests know: what can be asked of a customer can
// be asked of an element, too.
var everyType = []rule.Attribute{
	{Name: "name", Type: rule.Text},
	{Name: "metadata", Type: rule.MapType},
	{Name: "deleted", Type: rule.Boolean},
	{Name: "livemode", Type: rule.Boolean},
	{Name: "plan", Type: rule.Text},
	{Name: "plans", Type: rule.ListType},
	{Name: "plan_price", Type: rule.MoneyType},
	{Name: "plan_interval_count", Type: rule.Number},
	{Name: "quantity", Type: rule.Number},
	{Name: "mrr", Type: rule.MoneyType},
	{Name: "card_expires_at", Type: rule.DateType},
	{Name: "last_charge_at", Type: rule.InstantType},
	{Name: "next_charge_at", Type: rule.InstantType},
	{Name: "open_invoice_count", Type: rule.Number},
}

func elementFields(more ...rule.Attribute) []rule.Attribute {
	return append([]rule.Attribute{{Name: "id", Type: rule.Text}, {Name: "created_at", Type: rule.InstantType}}, more...)
}

func (c *catalog) Attribute(name string) (rule.Attribute, bool) {
	return attributeOf(c.attributes, strings.ToLower(name))
}

func attributeOf(list []rule.Attribute, name string) (rule.Attribute, bool) {
	for _, a := range list {
		if a.Name == name || a.Name == strings.TrimPrefix(name, "stripe_") {
			return a, true
		}
	}
	return rule.Attribute{}, false
}

func (c *catalog) Attributes() []rule.Attribute { return c.attributes }

func (c *catalog) Collection(name string) (rule.Collection, bool) {
	for _, x := range c.collections {
		if strings.EqualFold(x.Name, name) {
			return x, true
		}
	}
	return rule.Collection{}, false
}

func (c *catalog) Collections() []rule.Collection { return c.collections }

func (c *catalog) Segments() []string { return c.segments }
