package customers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func TestProject_LoadGivesTheSameValues(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	for name, m := range map[string]mirror{
		"cus_full": fullMirror("cus_full"),
		"cus_bare": {customer: `{"id":"cus_bare"}`},
		"cus_nul":  {customer: `{"id":"cus_nul","name":"A\u0000nn Lee","metadata":{"k\u0000":"v\u0000"},"address":{"country":"US","state":"C\u0000A"}}`},
		"cus_jpy":  {customer: `{"id":"cus_jpy"}`, charges: []string{chargeJSON("ch_j", "succeeded", "jpy", 1234567890123, 0, 1780000000, "")}},
	} {
		t.Run(name, func(t *testing.T) {
			storeMirror(t, pool, account, name, m)
			if n := projectAll(t, pool, account, name); n != 1 {
				t.Errorf("changed\n got %d\nwant 1", n)
			}
			want, got := m.picture(t), load(t, pool, account, name)
			for i, a := range catalog {
				if !same(got.values[i], want.values[i]) {
					t.Errorf("%s\n got %s\nwant %s", a.Name, show(got, a.Name), show(want, a.Name))
				}
				if want.values[i] == nil && name == "cus_full" {
					t.Errorf("%s is missing, and tests nothing here", a.Name)
				}
			}
			if got.CardID != want.CardID || got.State != want.State || got.StripeID != name || got.Account != account {
				t.Errorf("loaded\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestProject_TellsTheTickWhatChanged(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	m := fullMirror("cus_1")
	step := func(name string, change func(*mirror), wantChanged int, want ...[]string) {
		t.Helper()
		change(&m)
		storeMirror(t, pool, account, "cus_1", m)
		if n := projectAll(t, pool, account, "cus_1"); n != wantChanged {
			t.Errorf("%s: changed\n got %d\nwant %d", name, n, wantChanged)
		}
		if diff := cmp.Diff(want, news(t, pool, account)); diff != "" {
			t.Errorf("%s: changed_customers (-want +got):\n%s", name, diff)
		}
	}
	replace := func(s *string, old, new string) {
		if !strings.Contains(*s, old) {
			t.Fatalf("nothing to replace: %s", old)
		}
		*s = strings.Replace(*s, old, new, 1)
	}

	step("a new customer is everything", func(*mirror) {}, 1, []string{"*"})
	step("the same again leaves no trace", func(*mirror) {}, 0)
	step("a field that nobody reads", func(m *mirror) {
		replace(&m.customer, `"object":"customer"`, `"object":"customer","invoice_prefix":"X"`)
	}, 0)
	step("two attributes, in catalog order", func(m *mirror) { replace(&m.customer, "Jane Doe", "Joan Doe") }, 1, []string{"name", "first_name"})
	step("the same amount written differently", func(m *mirror) { replace(&m.subscriptions[0], "4900.0381", "4900.03810") }, 0)
	step("metadata", func(m *mirror) { replace(&m.customer, `"tier":"pro"`, `"tier":"team"`) }, 1, []string{"metadata"})
	step("another card that looks the same", func(m *mirror) {
		m.methods = append(m.methods, walletPM("pm_new"))
		replace(&m.customer, "pm_cus_1", "pm_new")
	}, 1, []string{"card_id", "cards", "cards.is_default", "events"})
	step("a value goes missing", func(m *mirror) { replace(&m.customer, `"email":"Jane@Example.com"`, `"email":null`) }, 1, []string{"email"})
	step("the state alone is written without news", func(m *mirror) { replace(&m.customer, `"state":"CA"`, `"state":"NY"`) }, 0)
	if got := load(t, pool, account, "cus_1").State; got != "NY" {
		t.Errorf("state\n got %q\nwant \"NY\"", got)
	}
	step("a product's new name", func(m *mirror) { replace(&m.products[0], "Team", "Crew") }, 1, []string{"plan", "plans", "subscriptions.plan", "subscription_items.plan"})
	step("an invoice is paid", func(m *mirror) { m.invoices[0] = invoiceJSON("in_cus_1", "paid", "usd", 0, "") }, 1,
		[]string{"open_invoice_amount", "open_invoice_count", "oldest_open_invoice_due_at", "invoice_attempt_count", "next_payment_attempt_at", "next_charge_at",
			"invoices.status", "invoices.amount_remaining", "invoices.due_at", "invoices.next_payment_attempt_at", "invoices.attempt_count"})
	step("deleted", func(m *mirror) { m.customer = "deleted:" + m.customer }, 1,
		[]string{"deleted", "subscription_status", "subscription_count", "plans", "mrr", "cancels_at", "coupon", "coupon_ends_at", "next_charge_at",
			"subscriptions.status", "subscriptions.mrr", "subscriptions.cancels_at", "subscription_items.status", "subscription_items.mrr", "events"})
}

// Writes that change nothing leave the row itself alone, too.
func TestProject_UnchangedRowsAreNotWritten(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	storeMirror(t, pool, account, "cus_1", fullMirror("cus_1"))
	version := func() (v string) {
		if err := pool.QueryRow(t.Context(), `select xmin::text || ' ' || projected_at from dunlin.customers`).Scan(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	projectAll(t, pool, account, "cus_1")
	before := version()
	projectAll(t, pool, account, "cus_1", "cus_1", "", "cus_unknown")
	if after := version(); after != before {
		t.Errorf("the row was written again: %s, then %s", before, after)
	}
}

func TestProject_LeavesOut(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	store(t, pool, account, "stripe_invoices", "cus_early", invoiceJSON("in_1", "open", "usd", 100, ""))
	if n := projectAll(t, pool, account, "cus_early", "cus_nobody"); n != 0 {
		t.Errorf("changed\n got %d\nwant 0: neither has a mirror row", n)
	}
	store(t, pool, account, "stripe_customers", "", `{"id":"cus_early"}`)
	projectAll(t, pool, account, "cus_early")
	if got := show(load(t, pool, account, "cus_early"), "open_invoice_count"); got != "1" {
		t.Errorf("open_invoice_count\n got %s\nwant 1: the invoice was there first", got)
	}
	if _, err := Find(t.Context(), pool, account, "cus_nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Find\n got %v\nwant %v", err, ErrNotFound)
	}
	if _, err := Load(t.Context(), pool, Ref{account, 1 << 40}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load\n got %v\nwant %v", err, ErrNotFound)
	}
}

func TestProject_MalformedRowsStopNobody(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	m := fullMirror("cus_1")
	storeMirror(t, pool, account, "cus_1", m)
	storeMirror(t, pool, account, "cus_2", fullMirror("cus_2"))
	projectAll(t, pool, account, "cus_1", "cus_2")
	news(t, pool, account)

	store(t, pool, account, "stripe_subscriptions", "cus_1", `{"id":"sub_bad","status":{"not":"a status"}}`)
	store(t, pool, account, "stripe_charges", "cus_1", `{"id":"ch_bad","amount":"many"}`)
	store(t, pool, account, "stripe_invoices", "cus_1", `{"id":"in_bad","amount_remaining":1e99}`)
	store(t, pool, account, "stripe_payment_methods", "cus_1", `{"id":"pm_bad","card":[]}`)
	store(t, pool, account, "stripe_prices", "", `{"id":"price_1","unit_amount":"x"}`)
	if n := projectAll(t, pool, account, "cus_1", "cus_2"); n != 0 {
		t.Errorf("rows that say nothing changed %d customers: %v", n, news(t, pool, account))
	}

	if _, err := pool.Exec(t.Context(), `update dunlin.stripe_customers set raw = '[]' where id = 'cus_1'`); err != nil {
		t.Fatal(err)
	}
	store(t, pool, account, "stripe_charges", "cus_2", chargeJSON("ch_3", "succeeded", "usd", 1, 0, 1790000001, ""))
	if n := projectAll(t, pool, account, "cus_1", "cus_2"); n != 1 {
		t.Errorf("changed\n got %d\nwant 1: cus_2 alone", n)
	}
	if got := show(load(t, pool, account, "cus_1"), "name"); got != "Jane Doe" {
		t.Errorf("name\n got %s\nwant Jane Doe, as it was", got)
	}
}

func TestProject_AccountsAreApart(t *testing.T) {
	t.Parallel()
	pool, first := newAccount(t)
	var second int
	if err := pool.QueryRow(t.Context(), `insert into dunlin.accounts (name, created_at) values ('test', now()) returning account_id`).Scan(&second); err != nil {
		t.Fatal(err)
	}
	storeMirror(t, pool, first, "cus_1", fullMirror("cus_1"))
	storeMirror(t, pool, second, "cus_1", mirror{customer: `{"id":"cus_1","name":"Somebody Else"}`})
	projectAll(t, pool, first, "cus_1")
	projectAll(t, pool, second, "cus_1")
	if a, b := show(load(t, pool, first, "cus_1"), "plan"), show(load(t, pool, second, "cus_1"), "plan"); a != "Team" || b != "missing" {
		t.Errorf("plans are %s and %s, want Team and missing", a, b)
	}
}

func TestProject_ManyChunks(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	var ids []string
	for i := range 2*chunk + 7 {
		id := fmt.Sprintf("cus_%05d", i)
		ids = append(ids, id)
	}
	if _, err := pool.Exec(t.Context(), `
		insert into dunlin.stripe_customers (account_id, id, raw, as_of)
		select $1, id, json_build_object('id', id), now() from unnest($2::text[]) id`, account, ids); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(ids)
	if n := projectAll(t, pool, account, ids...); n != len(ids) {
		t.Errorf("changed\n got %d\nwant %d", n, len(ids))
	}
	if n := projectAll(t, pool, account, ids...); n != 0 {
		t.Errorf("changed again\n got %d\nwant 0", n)
	}
}

// Two transactions write the same customer: the second waits, sees what the
// first wrote, and neither's change is lost.
func TestLock_Serialises(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	storeMirror(t, pool, account, "cus_1", mirror{customer: `{"id":"cus_1","currency":"usd"}`})
	projectAll(t, pool, account, "cus_1")
	news(t, pool, account)
	ctx := t.Context()

	first, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Rollback(context.WithoutCancel(ctx)) }()
	if err := Lock(ctx, first, account, []string{"cus_1", "cus_2"}); err != nil {
		t.Fatal(err)
	}
	store(t, first, account, "stripe_invoices", "cus_1", invoiceJSON("in_1", "open", "usd", 100, ""))

	second := make(chan error, 1)
	var pid int
	started := make(chan struct{})
	go func() {
		second <- pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, `select pg_backend_pid()`).Scan(&pid); err != nil {
				return err
			}
			close(started)
			if err := Lock(ctx, tx, account, []string{"cus_2", "cus_1", "cus_3"}); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `
				insert into dunlin.stripe_invoices (account_id, customer, id, raw, as_of)
				values ($1, 'cus_1', 'in_2', $2, now())`, account, invoiceJSON("in_2", "open", "usd", 20, "")); err != nil {
				return err
			}
			_, err := Project(ctx, tx, account, []string{"cus_1"}, projected)
			return err
		})
	}()
	<-started
	waitUntilBlocked(t, pool, pid)
	if _, err := Project(ctx, first, account, []string{"cus_1"}, projected); err != nil {
		t.Fatal(err)
	}
	if err := first.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}

	p := load(t, pool, account, "cus_1")
	if got, want := show(p, "open_invoice_amount"), "1.20 usd"; got != want {
		t.Errorf("open_invoice_amount\n got %s\nwant %s", got, want)
	}
	invoiced := []string{"open_invoice_amount", "open_invoice_count", "invoice_attempt_count", "invoices", "events"}
	then := []string{"open_invoice_amount", "open_invoice_count", "invoices", "events"}
	if diff := cmp.Diff([][]string{invoiced, then}, news(t, pool, account)); diff != "" {
		t.Errorf("changed_customers (-want +got):\n%s", diff)
	}
}

// waitUntilBlocked returns when a backend waits for an advisory lock.
func waitUntilBlocked(t *testing.T, q Querier, pid int) {
	t.Helper()
	for ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second); ; {
		var blocked bool
		err := q.QueryRow(ctx, `select exists (select from pg_locks where pid = $1 and locktype = 'advisory' and not granted)`, pid).Scan(&blocked)
		if err != nil {
			cancel()
			t.Fatalf("the second transaction never waited: %v", err)
		}
		if blocked {
			cancel()
			return
		}
	}
}

func TestSubscribersOf(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	for _, id := range []string{"cus_b", "cus_a"} {
		storeMirror(t, pool, account, id, fullMirror(id))
	}
	storeMirror(t, pool, account, "cus_c", mirror{customer: `{"id":"cus_c"}`, subscriptions: []string{
		subJSON("sub_c", "active", "", itemJSON("si", strings.ReplaceAll(priceJSON("price_10", "usd", "1", "month", ""), "prod_1", "prod_10"), ""))}})
	for _, tt := range []struct{ ids, want []string }{
		{[]string{"prod_1"}, []string{"cus_a", "cus_b"}},
		{[]string{"price_10"}, []string{"cus_c"}},
		{[]string{"prod_1", "price_10"}, []string{"cus_a", "cus_b", "cus_c"}},
		{[]string{"prod_9"}, nil},
	} {
		got, err := SubscribersOf(t.Context(), pool, account, tt.ids)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("SubscribersOf(%v)\n got %v\nwant %v", tt.ids, got, tt.want)
		}
	}
}

// BenchmarkProject is a first projection, one that finds nothing new, and such
// as webhooks cause, where one invoice changed; of customers with a
// subscription, six invoices and six charges each.
func BenchmarkProject(b *testing.B) {
	const size = 4 * chunk
	pool, account := newAccount(b)
	ids := seed(b, pool, account, size)
	for name, fresh := range map[string]bool{"first": true, "again": false} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if fresh {
					b.StopTimer()
					if _, err := pool.Exec(b.Context(), `truncate dunlin.customers, dunlin.changed_customers, dunlin.subscriptions, dunlin.subscription_items, dunlin.invoices, dunlin.charges, dunlin.cards cascade`); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				for part := range slices.Chunk(ids, chunk) {
					projectAll(b, pool, account, part...)
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "customers/s")
		})
	}
	for _, together := range []int{1, 20} {
		b.Run(fmt.Sprintf("paid, %d together", together), func(b *testing.B) {
			status := []string{"open", "paid"}
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				if _, err := pool.Exec(b.Context(), `
					update dunlin.stripe_invoices set raw = replace(raw::text, '"status":"'||$1||'"', '"status":"'||$2||'"')::json
					where customer < 'cus_000100' and id like '%0'`, status[(i+1)%2], status[i%2]); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				for part := range slices.Chunk(ids[:100], together) {
					projectAll(b, pool, account, part...)
				}
			}
			b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "customers/s")
		})
	}
}

// seed fills the mirror with customers whose objects have the size of Stripe's:
// 0.6 to 4 kB each.
func seed(b *testing.B, q Querier, account, size int) (ids []string) {
	padding := func(n int) string {
		var fields strings.Builder
		for i := range n / 40 {
			fmt.Fprintf(&fields, `,"some_other_field_%02d":"value %012d"`, i, i)
		}
		return fields.String()
	}
	type object struct {
		ID       string          `json:"id"`
		Customer string          `json:"customer"`
		Raw      json.RawMessage `json:"raw"`
	}
	tables := map[string][]object{}
	add := func(table, customer, raw string) {
		for _, r := range rowsOf(raw) {
			tables[table] = append(tables[table], object{r.id, customer, r.raw})
		}
	}
	pad := func(raw string, n int) string { return strings.TrimSuffix(raw, "}") + padding(n) + "}" }
	for i := range size {
		id := fmt.Sprintf("cus_%06d", i)
		ids = append(ids, id)
		m := fullMirror(id)
		add("stripe_customers", id, pad(m.customer, 600))
		add("stripe_subscriptions", id, pad(m.subscriptions[0], 2500))
		add("stripe_payment_methods", id, pad(m.methods[0], 500))
		for j := range 6 {
			add("stripe_invoices", id, pad(invoiceJSON(fmt.Sprintf("in_%s_%d", id, j), "paid", "usd", 0, ""), 3500))
			add("stripe_charges", id, pad(chargeJSON(fmt.Sprintf("ch_%s_%d", id, j), "succeeded", "usd", 14700, 0, 1780000000+j, ""), 2200))
		}
	}
	for table, objects := range tables {
		for part := range slices.Chunk(objects, 2000) {
			document, err := json.Marshal(part)
			if err != nil {
				b.Fatal(err)
			}
			owner := "customer, "
			if table == "stripe_customers" {
				owner = ""
			}
			if _, err := q.Exec(b.Context(), `
				insert into dunlin.`+table+` (account_id, `+owner+`id, raw, as_of)
				select $1, `+owner+`id, raw, now() from json_to_recordset($2) as r (id text, customer text, raw json)`, account, document); err != nil {
				b.Fatal(err)
			}
		}
	}
	if _, err := q.Exec(b.Context(), `analyze`); err != nil {
		b.Fatal(err)
	}
	return ids
}

// One customer is projected by plans that are kept: planning would cost more
// than running them.
func TestProject_PlansAreKept(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	storeMirror(t, pool, account, "cus_1", fullMirror("cus_1"))
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		for range 20 {
			if _, err := Project(t.Context(), tx, account, []string{"cus_1"}, projected); err != nil {
				return err
			}
		}
		var kept, anew int
		err := tx.QueryRow(t.Context(), `
			select count(*) filter (where generic_plans > 10), count(*) filter (where custom_plans > 10)
			from pg_prepared_statements where statement like '%wanted%' and statement not like '%pg_prepared%'`).Scan(&kept, &anew)
		if kept != 10 || anew != 0 {
			t.Errorf("%d statements have a plan that is kept, %d are planned each time; want 10 and none", kept, anew)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
