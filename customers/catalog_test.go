package customers

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments/rule"
)

func TestCatalog_HasWhatIntercomImports(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"stripe_id", "stripe_account_balance", "stripe_delinquent", "stripe_deleted", "stripe_plan", "stripe_plan_price",
		"stripe_plan_interval", "stripe_plan_interval_count", "stripe_subscription_period_start_at", "stripe_subscription_status",
		"stripe_card_expires_at", "stripe_card_brand", "stripe_last_charge_amount", "stripe_last_charge_at",
	} {
		a, ok := Attributes.Attribute(name)
		if want := strings.TrimPrefix(name, "stripe_"); !ok || a.Name != want && a.Name != name {
			t.Errorf("Attribute(%q)\n got %q, %t\nwant %q", name, a.Name, ok, want)
		}
	}
}

func TestCatalog_NamesIgnoreCaseAndPrefix(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, want string }{
		{"plan", "plan"}, {"Plan_Price", "plan_price"}, {"STRIPE_PLAN", "plan"}, {"stripe_mrr", "mrr"},
		{"Stripe_Id", "stripe_id"}, {"id", "stripe_id"},
		{"card_id", ""}, {"state", ""}, {"", ""}, {"stripe_", ""}, {"plan_pricee", ""},
	}
	for _, tt := range tests {
		if a, _ := Attributes.Attribute(tt.name); a.Name != tt.want {
			t.Errorf("Attribute(%q)\n got %q\nwant %q", tt.name, a.Name, tt.want)
		}
	}
}

// Checker, completion and reference page read the catalog: no entry may leave
// them without words.
func TestCatalog_IsComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i, a := range Attributes.Attributes() {
		switch {
		case rule.IsReserved(a.Name):
			t.Errorf("%s is a word of the rule language", a.Name)
		case seen[a.Name]:
			t.Errorf("%s is there twice", a.Name)
		case a.Name != strings.ToLower(a.Name) || a.Type == rule.Invalid || catalog[i].derive == nil:
			t.Errorf("%s is half an entry: %+v", a.Name, a)
		case a.Help == "" || strings.ContainsAny(a.Help, "\n") || a.From == "":
			t.Errorf("%s lacks its line of help or its source: %+v", a.Name, a)
		case a.Type == rule.MoneyType && a.Unit == "":
			t.Errorf("%s is an amount without a unit", a.Name)
		}
		seen[a.Name] = true
	}
	Attributes.Attributes()[0].Name = "changed"
	if Attributes.Attributes()[0].Name != "stripe_id" {
		t.Error("a caller can change the catalog")
	}
}

func TestCatalog_AgreesWithTheTable(t *testing.T) {
	t.Parallel()
	pool, _ := newAccount(t)
	rows, err := pool.Query(t.Context(), `
		select column_name, data_type from information_schema.columns
		where table_schema = 'dunlin' and table_name = 'customers'`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var name, dataType string
	if _, err := pgx.ForEachRow(rows, []any{&name, &dataType}, func() error { got[name] = dataType; return nil }); err != nil {
		t.Fatal(err)
	}

	want := map[string]string{ // what is no attribute
		"account_id": "integer", "customer_id": "bigint", "card_id": "text", "state": "text", "projected_at": "timestamp with time zone",
	}
	types := map[rule.Type]string{
		rule.Text: "text", rule.Number: "integer", rule.MoneyType: "numeric", rule.Boolean: "boolean", rule.DateType: "date",
		rule.InstantType: "timestamp with time zone", rule.MapType: "jsonb", rule.ListType: "ARRAY",
	}
	for _, a := range Attributes.Attributes() {
		want[a.Name] = types[a.Type]
		if a.Type == rule.MoneyType {
			want[a.Name+"_currency"] = "text"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dunlin.customers (-catalog +table):\n%s", diff)
	}
}

// Enumerations are closed: a rule that names another value is refused.
func TestCatalog_Enumerations(t *testing.T) {
	t.Parallel()
	var got []string
	for _, a := range Attributes.Attributes() {
		if len(a.Values) > 0 {
			got = append(got, a.Name)
		}
	}
	slices.Sort(got)
	if want := []string{"card_brand", "plan_interval", "subscription_status"}; !slices.Equal(got, want) {
		t.Errorf("enumerations\n got %v\nwant %v", got, want)
	}
}
