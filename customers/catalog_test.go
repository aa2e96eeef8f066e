package customers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
	for i := range catalog {
		if catalog[i].derive == nil {
			t.Errorf("%s has no derivation", catalog[i].Name)
		}
	}
	checkEntries(t, "", Attributes.Attributes())
	Attributes.Attributes()[0].Name = "changed"
	if Attributes.Attributes()[0].Name != "stripe_id" {
		t.Error("a caller can change the catalog")
	}
}

func checkEntries(t *testing.T, of string, list []rule.Attribute) {
	t.Helper()
	seen := map[string]bool{}
	for _, a := range list {
		name := of + a.Name
		switch {
		case rule.IsReserved(a.Name):
			t.Errorf("%s is a word of the rule language", name)
		case seen[a.Name]:
			t.Errorf("%s is there twice", name)
		case a.Name != strings.ToLower(a.Name) || a.Type == rule.Invalid:
			t.Errorf("%s is half an entry: %+v", name, a)
		case a.Help == "" || strings.ContainsAny(a.Help, "\n") || a.From == "":
			t.Errorf("%s lacks its line of help or its source: %+v", name, a)
		case a.Type == rule.MoneyType && a.Unit == "":
			t.Errorf("%s is an amount without a unit", name)
		}
		seen[a.Name] = true
	}
}

func TestCatalog_Collections(t *testing.T) {
	t.Parallel()
	var got []string
	for _, c := range Attributes.Collections() {
		got = append(got, c.Name)
		checkEntries(t, c.Name+".", c.Fields)
		_, isAttribute := Attributes.Attribute(c.Name)
		switch {
		case rule.IsReserved(c.Name) || isAttribute:
			t.Errorf("%s is a name that means something else", c.Name)
		case c.One == "" || c.Help == "" || c.From == "":
			t.Errorf("%s is half an entry: %+v", c.Name, c)
		case c.Fields[0].Name != "id" || c.Fields[0].Type != rule.Text:
			t.Errorf("the first field of %s is no id: %+v", c.Name, c.Fields[0])
		case c.Fields[1].Name != "created_at" || c.Fields[1].Type != rule.InstantType:
			t.Errorf("the second field of %s is no created_at: %+v", c.Name, c.Fields[1])
		case len(c.Fields) > 64:
			t.Errorf("%s has %d fields, and collectionNews 64 bits", c.Name, len(c.Fields))
		}
		if found, ok := Attributes.Collection(strings.ToUpper(c.Name)); !ok || found.Name != c.Name {
			t.Errorf("Collection(%q)\n got %q, %t", strings.ToUpper(c.Name), found.Name, ok)
		}
	}
	if want := []string{"subscriptions", "subscription_items", "invoices", "charges", "cards", "refunds", "disputes", "events"}; !slices.Equal(got, want) {
		t.Errorf("collections\n got %v\nwant %v", got, want)
	}
	if _, ok := Attributes.Collection("payments"); ok {
		t.Error("there is a collection of payments")
	}
	Attributes.Collections()[0].Fields[2].Values[0] = "changed"
	if Attributes.Collections()[0].Fields[2].Values[0] != "active" {
		t.Error("a caller can change the catalog")
	}
}

func TestCatalog_AgreesWithTheTables(t *testing.T) {
	t.Parallel()
	pool, _ := newAccount(t)
	check := func(table string, number func(name string) string, list []rule.Attribute, others map[string]string) {
		t.Helper()
		types := map[rule.Type]string{
			rule.Text: "text", rule.MoneyType: "numeric", rule.Boolean: "boolean", rule.DateType: "date",
			rule.InstantType: "timestamp with time zone", rule.MapType: "jsonb", rule.ListType: "ARRAY",
		}
		for _, a := range list {
			others[a.Name] = types[a.Type]
			if a.Type == rule.Number {
				others[a.Name] = number(a.Name)
			}
			if a.Type == rule.MoneyType {
				others[a.Name+"_currency"] = "text"
			}
		}
		if diff := cmp.Diff(others, columnsOf(t, pool, table)); diff != "" {
			t.Errorf("dunlin.%s (-catalog +table):\n%s", table, diff)
		}
	}
	counted := func(name string) string { // Stripe's own numbers have no bound
		if name == "quantity" || name == "invoice_attempt_count" {
			return "numeric"
		}
		return "integer"
	}
	check("customers", counted, Attributes.Attributes(), map[string]string{ // what is no attribute
		"account_id": "integer", "customer_id": "bigint", "card_id": "text", "state": "text", "projected_at": "timestamp with time zone",
		"known_since": "timestamp with time zone",
	})
	for _, c := range Attributes.Collections() {
		check(c.Name, func(string) string { return "numeric" }, c.Fields, map[string]string{"account_id": "integer", "customer_id": "bigint", "fingerprint": "bigint"})
		var collation string
		if err := pool.QueryRow(t.Context(), `
			select collation_name from information_schema.columns
			where table_schema = 'dunlin' and table_name = $1 and column_name = 'id'`, c.Name).Scan(&collation); err != nil || collation != "C" {
			t.Errorf("dunlin.%s.id is collated by %q (%v); ties are broken by bytes", c.Name, collation, err)
		}
	}
}

// The view for analysts shows what there is of a customer, and of the account its
// name.
func TestCatalog_TheViewShowsEverything(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	if diff := cmp.Diff(columnsOf(t, pool, "customers"), columnsOf(t, pool, "customer_attributes")); diff != "" {
		t.Errorf("dunlin.customer_attributes (-table +view):\n%s", diff)
	}
	if _, err := pool.Exec(t.Context(), `insert into dunlin.customers (account_id, stripe_id, projected_at) values ($1, 'cus_before', now())`, account); err != nil {
		t.Fatal(err)
	}
	var name string
	if err := pool.QueryRow(t.Context(), `select account from dunlin.customer_attributes`).Scan(&name); err != nil || name != "shop" {
		t.Errorf("account of a customer who has not been projected again\n got %q, %v\nwant \"shop\"", name, err)
	}
}

func columnsOf(t *testing.T, pool *pgxpool.Pool, table string) map[string]string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		select column_name, data_type from information_schema.columns
		where table_schema = 'dunlin' and table_name = $1`, table)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var name, dataType string
	if _, err := pgx.ForEachRow(rows, []any{&name, &dataType}, func() error { got[name] = dataType; return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// A tick finds whose dates and instants its bounds have passed by index, and a
// preview amounts (DESIGN.md section 8).
func TestCatalog_Indexes(t *testing.T) {
	t.Parallel()
	pool, _ := newAccount(t)
	rows, err := pool.Query(t.Context(), `
		select c.relname || ': ' || regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '')
		from pg_index i join pg_class c on c.oid = i.indrelid
		where c.relnamespace = 'dunlin'::regnamespace and not i.indisunique and i.indisvalid`)
	if err != nil {
		t.Fatal(err)
	}
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	check := func(table string, list []rule.Attribute) {
		for _, a := range list {
			var want string
			switch a.Type {
			case rule.DateType, rule.InstantType:
				want = table + ": btree (" + a.Name + ") INCLUDE (account_id, customer_id)"
			case rule.MoneyType:
				want = table + ": btree (" + a.Name + "_currency, " + a.Name + ")"
				if table != "customers" {
					continue
				}
			default:
				continue
			}
			partial := want + " WHERE (" + a.Name + " IS NOT NULL)"
			if !slices.Contains(have, want) && !slices.Contains(have, partial) {
				t.Errorf("%s.%s has no index of its own: want %s", table, a.Name, want)
			}
		}
	}
	check("customers", Attributes.Attributes())
	for _, c := range Attributes.Collections() {
		check(c.Name, c.Fields)
	}
}

// A range implies that a column is not null, so a partial index serves it, with
// arguments in a plan made for any of them, too.
func TestCatalog_IndexesServeRanges(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	ctx := t.Context()
	for _, sql := range []string{
		fmt.Sprintf(`insert into dunlin.invoices (account_id, customer_id, id, created_at, due_at)
			select %d, n, 'in_' || n, now(), case when n %% 50 = 0 then 'epoch'::timestamptz + n * interval '1 hour' end from generate_series(1, 20000) n`, account),
		`vacuum analyze dunlin.invoices`,
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, sql := range []string{
		`set plan_cache_mode = force_generic_plan`,
		`prepare owners (timestamptz, timestamptz) as
			select account_id, customer_id from dunlin.invoices where due_at >= $1 and due_at <= $2`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.Query(ctx, `explain execute owners ('epoch', '1970-01-05')`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if whole := strings.Join(plan, "\n"); !strings.Contains(whole, "invoices_due_at_account_id_customer_id_idx") {
		t.Errorf("plan of a range:\n%s", whole)
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
