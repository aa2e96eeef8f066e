package rule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dunlin/dunlin/segments/rule"
)

// attributes is a catalog of every type, like the product's but small.
var attributes = catalog{
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
}

type catalog []rule.Attribute

func (c catalog) Attribute(name string) (rule.Attribute, bool) {
	name = strings.ToLower(name)
	for _, a := range c {
		if a.Name == name || a.Name == strings.TrimPrefix(name, "stripe_") {
			return a, true
		}
	}
	return rule.Attribute{}, false
}

func (c catalog) Attributes() []rule.Attribute { return c }

// values is one customer.
type values map[string]any

func (v values) Value(name string) any { return v[name] }

// sameTree compares trees by meaning: places do not count.
var sameTree = cmp.Options{
	cmpopts.IgnoreFields(rule.Tree{}, "Source"),
	cmp.FilterPath(func(p cmp.Path) bool {
		f, ok := p.Last().(cmp.StructField)
		return ok && (f.Name() == "at" || f.Name() == "pattern" || f.Name() == "span")
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
