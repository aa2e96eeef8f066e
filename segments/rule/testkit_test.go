package rule_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dunlin/dunlin/segments/rule"
)

// attributes is a catalog of every type, like the product's but small.
var attributes = &catalog{
	attributes: []rule.Attribute{
		{Name: "stripe_id", Type: rule.Text},
		{Name: "email", Type: rule.Text},
		{Name: "name", Type: rule.Text},
		{Name: "currency", Type: rule.Text},
		{Name: "metadata", Type: rule.MapType},
		{Name: "deleted", Type: rule.Boolean},
		{Name: "delinquent", Type: rule.Boolean},
		{Name: "livemode", Type: rule.Boolean},
		{Name: "plan", Type: rule.Text},
		{Name: "plans", Type: rule.ListType},
		{Name: "plan_price", Type: rule.MoneyType},
		{Name: "plan_interval", Type: rule.Text, Values: []string{"day", "week", "month", "year"}},
		{Name: "quantity", Type: rule.Number},
		{Name: "subscription_status", Type: rule.Text, Values: []string{
			"active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"}},
		{Name: "mrr", Type: rule.MoneyType},
		{Name: "card_expires_at", Type: rule.DateType},
		{Name: "card_brand", Type: rule.Text},
		{Name: "last_charge_at", Type: rule.InstantType},
		{Name: "created_at", Type: rule.InstantType},
		{Name: "next_charge_at", Type: rule.InstantType},
		{Name: "open_invoice_amount", Type: rule.MoneyType},
		{Name: "open_invoice_count", Type: rule.Number, Unit: "invoices"},
	},
	collections: []rule.Collection{
		{Name: "subscriptions", One: "a subscription", Fields: []rule.Attribute{
			{Name: "id", Type: rule.Text},
			{Name: "created_at", Type: rule.InstantType},
			{Name: "status", Type: rule.Text, Values: []string{
				"active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"}},
			{Name: "plan", Type: rule.Text},
			{Name: "mrr", Type: rule.MoneyType},
			{Name: "quantity", Type: rule.Number},
			{Name: "trial_ends_at", Type: rule.InstantType},
			{Name: "collection_method", Type: rule.Text},
			{Name: "metadata", Type: rule.MapType},
		}},
		{Name: "invoices", One: "an invoice", Fields: []rule.Attribute{
			{Name: "id", Type: rule.Text},
			{Name: "created_at", Type: rule.InstantType},
			{Name: "status", Type: rule.Text, Values: []string{"draft", "open", "paid", "uncollectible", "void"}},
			{Name: "amount_due", Type: rule.MoneyType},
			{Name: "amount_remaining", Type: rule.MoneyType},
			{Name: "due_at", Type: rule.InstantType},
			{Name: "attempt_count", Type: rule.Number},
			{Name: "collection_method", Type: rule.Text},
			{Name: "metadata", Type: rule.MapType},
		}},
		{Name: "charges", One: "a charge", Fields: []rule.Attribute{
			{Name: "id", Type: rule.Text},
			{Name: "created_at", Type: rule.InstantType},
			{Name: "status", Type: rule.Text, Values: []string{"succeeded", "pending", "failed"}},
			{Name: "amount", Type: rule.MoneyType},
			{Name: "failure_code", Type: rule.Text},
			{Name: "refunded", Type: rule.Boolean},
			{Name: "settles_on", Type: rule.DateType},
		}},
	},
	segments: []string{"vip", "trial users"},
}

// product is attributes with an enumeration of the plans, as a workspace that
// knows its own prices has it.
var product = attributes.with(rule.Attribute{Name: "plan", Type: rule.Text, Values: []string{"Pro", "Team", "Starter"}})

type catalog struct {
	attributes  []rule.Attribute
	collections []rule.Collection
	segments    []string
}

// with returns the catalog with a in place of its attribute of that name.
func (c *catalog) with(a rule.Attribute) *catalog {
	out := *c
	out.attributes = slices.Clone(c.attributes)
	out.attributes[slices.IndexFunc(out.attributes, func(b rule.Attribute) bool { return a.Name == b.Name })] = a
	return &out
}

func (c *catalog) Attribute(name string) (rule.Attribute, bool) {
	name = strings.ToLower(name)
	for _, a := range c.attributes {
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

// values is one customer, or one element of a customer. A customer's elements
// are []values under the collection's name, its segments a []string under "in".
type values map[string]any

func (v values) Value(name string) any { return v[name] }

func (v values) Elements(collection string) []rule.Values {
	list, _ := v[collection].([]values)
	out := make([]rule.Values, len(list))
	for i, x := range list {
		out[i] = x
	}
	return out
}

func (v values) InSegment(name string) bool {
	in, _ := v["in"].([]string)
	return slices.Contains(in, name)
}

// sameTree compares trees by meaning: places do not count.
var sameTree = cmp.Options{
	cmpopts.IgnoreFields(rule.Tree{}, "Source"),
	cmp.FilterPath(func(p cmp.Path) bool {
		f, ok := p.Last().(cmp.StructField)
		return ok && (slices.Contains([]string{"at", "pattern", "span", "name"}, f.Name()))
	}, cmp.Ignore()),
	cmpopts.EquateEmpty(),
}

func mustNew(t testing.TB, source string) *rule.Rule {
	t.Helper()
	r, err := rule.New(source, attributes, "usd")
	if err != nil {
		t.Fatalf("New(%q)\n%s", source, explain(err))
	}
	return r
}

func explain(err error) string {
	if e, ok := err.(*rule.Error); ok {
		return e.Explain()
	}
	return err.Error()
}

func mustTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func dec(t testing.TB, s string) rule.Decimal {
	t.Helper()
	d, err := rule.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func money(t testing.TB, s string) rule.Money {
	t.Helper()
	amount, currency, _ := strings.Cut(s, " ")
	return rule.Money{Amount: dec(t, amount), Currency: currency}
}
