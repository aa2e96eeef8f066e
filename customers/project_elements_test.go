package customers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/segments/rule"
)

// loadWhole reads a customer with everything.
func loadWhole(t testing.TB, q Querier, account int, stripeID string) Whole {
	t.Helper()
	ref, err := Find(t.Context(), q, account, stripeID)
	if err != nil {
		t.Fatal(err)
	}
	w, err := LoadCustomer(t.Context(), q, ref)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// elementDifferences compares what was derived with what was loaded.
func elementDifferences(t testing.TB, m mirror, w Whole) (lines []string) {
	t.Helper()
	for _, c := range collections {
		derived := map[string]Element{}
		for _, e := range m.elements(t, c.Name) {
			derived[e.Value("id").(string)] = e
		}
		var before rule.Values
		for _, got := range w.Elements(c.Name) {
			id := got.Value("id").(string)
			want, ok := derived[id]
			delete(derived, id)
			if !ok && strings.HasPrefix(id, cardUpdated) {
				continue // follows from what was, not from the mirror
			}
			if !ok {
				lines = append(lines, fmt.Sprintf("%s %s: should not be there", c.Name, id))
				continue
			}
			for i, f := range c.Fields {
				if v := got.Value(f.Name); !same(v, want.values[i]) {
					lines = append(lines, fmt.Sprintf("%s %s: %s: got %s, want %s", c.Name, id, f.Name, showValue(v), showValue(want.values[i])))
				}
			}
			if before != nil && byCreation(before, got) >= 0 {
				lines = append(lines, fmt.Sprintf("%s: %s comes before %s", c.Name, before.Value("id"), id))
			}
			before = got
		}
		for id := range derived {
			lines = append(lines, fmt.Sprintf("%s %s: is not there", c.Name, id))
		}
	}
	return lines
}

func byCreation(a, b rule.Values) int {
	at := func(v rule.Values) time.Time { return v.Value("created_at").(time.Time) }
	if n := at(a).Compare(at(b)); n != 0 {
		return n
	}
	return strings.Compare(a.Value("id").(string), b.Value("id").(string))
}

func TestProject_ElementsAreWhatWasDerived(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	odd := mirror{
		customer: `{"id":"cus_odd"}`,
		invoices: []string{
			`{"id":"in_b","currency":"usd","total":-5,"number":"tab\t, line\nand \\N","metadata":{"k\t\\":"\"\n\u0000é"}}`,
			`{"id":"in_B","currency":"kwd","total":1230,"created":253402300799}`, `{"id":"in_É","currency":"jpy","total":9223372036854775807}`,
		},
		charges:       []string{`{"id":"ch_1","description":"\\N","failure_message":"\u0000"}`, `{"id":"ch_2","description":"\r\n"}`},
		subscriptions: []string{`{"id":"sub_1","items":{"data":[{"id":"si_1","price":{}}]}}`},
	}
	for name, m := range map[string]mirror{"cus_full": fullMirror("cus_full"), "cus_bare": {customer: `{"id":"cus_bare"}`}, "cus_odd": odd} {
		t.Run(name, func(t *testing.T) {
			storeMirror(t, pool, account, name, m)
			projectAll(t, pool, account, name)
			w := loadWhole(t, pool, account, name)
			if lines := elementDifferences(t, m, w); len(lines) > 0 {
				t.Errorf("elements came back otherwise:\n%s", strings.Join(lines, "\n"))
			}
			if diff := differences(load(t, pool, account, name), w.Picture); diff != nil || w.StripeID != name || w.Account != account {
				t.Errorf("another picture came with them: %v", diff)
			}
		})
	}
	if _, err := LoadCustomer(t.Context(), pool, Ref{account, 1 << 40}); !errors.Is(err, ErrNotFound) {
		t.Errorf("LoadCustomer\n got %v\nwant %v", err, ErrNotFound)
	}
}

func TestProject_TellsWhatChangedInCollections(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	m := mirror{customer: `{"id":"cus_1"}`}
	step := func(name string, change func(), want ...string) {
		t.Helper()
		change()
		storeMirror(t, pool, account, "cus_1", m)
		n := projectAll(t, pool, account, "cus_1")
		var got []string
		for _, names := range news(t, pool, account) {
			got = append(got, names...)
		}
		if diff := cmp.Diff(want, got); diff != "" || n != min(len(want), 1) {
			t.Errorf("%s: told of %d customers (-want +got):\n%s", name, n, diff)
		}
		if lines := elementDifferences(t, m, loadWhole(t, pool, account, "cus_1")); len(lines) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(lines, "\n"))
		}
	}
	draft := func(more string) string { return `{"id":"in_1","status":"draft","currency":"usd"` + more + `}` }
	step("a new customer is everything", func() {}, "*")
	step("a first invoice", func() { m.invoices = []string{draft(``)} }, "currency", "mrr", "lifetime_spend", "open_invoice_amount", "account_balance", "invoices")
	step("the same again", func() {})
	step("a field that nobody reads", func() { m.invoices[0] = draft(`,"footer":"Thanks"`) })
	step("two fields, in catalog order", func() { m.invoices[0] = draft(`,"due_date":1790000000,"total":0`) }, "invoices.total", "invoices.due_at")
	step("zero becomes missing", func() { m.invoices[0] = draft(`,"due_date":1790000000`) }, "invoices.total")
	step("metadata", func() { m.invoices[0] = draft(`,"due_date":1790000000,"metadata":{"a":"b"}`) }, "invoices.metadata")
	step("one comes, one changes", func() {
		m.invoices = []string{draft(`,"due_date":1790000001,"metadata":{"a":"b"}`), `{"id":"in_2","currency":"usd","status":"draft"}`}
	}, "invoices", "invoices.due_at")
	step("deleted", func() { m.invoices[1] = "deleted:" + m.invoices[1] }, "invoices")
	step("a charge", func() { m.charges = []string{`{"id":"ch_1","status":"failed"}`} }, "failed_payment_count", "charges")
	step("disputed", func() { m.charges[0] = `{"id":"ch_1","status":"failed","disputed":true}` }, "charges.disputed")
	step("a subscription with two items", func() {
		m.subscriptions = []string{subJSON("sub_1", "incomplete", "", itemJSON("si_1", priceJSON("p", "usd", "100", "month", ""), ""), itemJSON("si_2", priceJSON("q", "usd", "50", "month", ""), ""))}
	}, "subscription_status", "subscription_period_start_at", "subscription_period_end_at", "subscription_count", "plan", "plan_price", "plan_interval", "plan_interval_count",
		"quantity", "plans", "collection_paused", "subscriptions", "subscription_items", "events")
	step("less of the smaller one", func() {
		m.subscriptions[0] = strings.Replace(m.subscriptions[0], `"unit_amount_decimal":"50"`, `"unit_amount_decimal":"40"`, 1)
	},
		"subscription_items.plan_price")
	step("it goes", func() {
		m.subscriptions = []string{subJSON("sub_1", "incomplete", "", itemJSON("si_1", priceJSON("p", "usd", "100", "month", ""), ""))}
	}, "plans", "subscription_items")
	step("another takes its place", func() { m.subscriptions[0] = strings.Replace(m.subscriptions[0], "si_1", "si_9", 1) }, "subscription_items")
	step("a card", func() { m.methods = []string{walletPM("pm_1")} }, "cards")
	step("its network renews it", func() { m.methods[0] = strings.Replace(m.methods[0], `"exp_year":2028`, `"exp_year":2032`, 1) }, "cards.expires_at")
	step("it becomes the default", func() { m.customer = `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_1"}}` },
		"card_brand", "card_last4", "card_expires_at", "card_wallet", "card_updated_at", "payment_method_type", "card_id", "cards.is_default")
	step("a link is no card", func() { m.methods = append(m.methods, `{"id":"pm_2","object":"payment_method","type":"link"}`) })
	step("detached", func() { m.methods[0] = "deleted:" + m.methods[0] },
		"card_brand", "card_last4", "card_expires_at", "card_wallet", "card_updated_at", "payment_method_type", "card_id", "cards")
}

// Rows that did not change are not written, whatever happened beside them.
func TestProject_UnchangedElementsAreNotWritten(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	m := fullMirror("cus_1")
	storeMirror(t, pool, account, "cus_1", m)
	projectAll(t, pool, account, "cus_1")
	version := func(id string) (v string) {
		if err := pool.QueryRow(t.Context(), `select xmin::text from dunlin.invoices where id = $1`, id).Scan(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	one, two := version("in_cus_1"), version("in_2cus_1")
	m.invoices[0] = strings.Replace(m.invoices[0], `"open"`, `"paid"`, 1)
	storeMirror(t, pool, account, "cus_1", m)
	projectAll(t, pool, account, "cus_1")
	if version("in_cus_1") == one || version("in_2cus_1") != two {
		t.Errorf("versions were %s and %s, are %s and %s; want only the first to change", one, two, version("in_cus_1"), version("in_2cus_1"))
	}
}

// A row that somebody else wrote, or an older Dunlin, is made ours; only what
// differs is news.
func TestProject_ForeignElements(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	m := fullMirror("cus_1")
	storeMirror(t, pool, account, "cus_1", m)
	projectAll(t, pool, account, "cus_1")
	news(t, pool, account)
	for _, sql := range []string{
		`update dunlin.invoices set fingerprint = 0`,
		`update dunlin.charges set fingerprint = 0, status = 'pending' where id = 'ch_cus_1'`,
		`insert into dunlin.charges (account_id, customer_id, id, created_at) select account_id, customer_id, 'ch_alien', now() from dunlin.customers`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	projectAll(t, pool, account, "cus_1")
	if diff := cmp.Diff([][]string{{"charges", "charges.status"}}, news(t, pool, account)); diff != "" {
		t.Errorf("changed_customers (-want +got):\n%s", diff)
	}
	if lines := elementDifferences(t, m, loadWhole(t, pool, account, "cus_1")); len(lines) > 0 {
		t.Errorf("elements:\n%s", strings.Join(lines, "\n"))
	}
	if n := projectAll(t, pool, account, "cus_1"); n != 0 {
		t.Errorf("projected again: %d changed", n)
	}
}

// The same ids in two accounts, and of two customers, are different elements.
func TestProject_ElementsAreTheirCustomers(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	for i, id := range []string{"cus_1", "cus_2"} {
		storeMirror(t, pool, account, id, mirror{customer: `{"id":"` + id + `"}`, charges: []string{fmt.Sprintf(`{"id":"ch_1","currency":"usd","amount":%d}`, i)}})
	}
	projectAll(t, pool, account, "cus_1", "cus_2")
	storeMirror(t, pool, account, "cus_2", mirror{customer: `{"id":"cus_2"}`, charges: []string{`{"id":"ch_1","currency":"usd","amount":100}`}})
	projectAll(t, pool, account, "cus_1", "cus_2")
	for id, want := range map[string]string{"cus_1": "0.00 usd", "cus_2": "1.00 usd"} {
		if got := showValue(loadWhole(t, pool, account, id).Elements("charges")[0].Value("amount")); got != want {
			t.Errorf("%s\n got %s\nwant %s", id, got, want)
		}
	}
}

// Some customers have thousands of charges.
func TestProject_ManyElements(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	const size = 5000
	store(t, pool, account, "stripe_customers", "", `{"id":"cus_1"}`)
	if _, err := pool.Exec(t.Context(), `
		insert into dunlin.stripe_charges (account_id, customer, id, raw, as_of)
		select $1, 'cus_1', 'ch_' || n, json_build_object('id', 'ch_' || n, 'amount', n, 'currency', 'usd', 'created', 1790000000 + n), now()
		from generate_series(1, $2::int) n`, account, size); err != nil {
		t.Fatal(err)
	}
	projectAll(t, pool, account, "cus_1")
	charges := loadWhole(t, pool, account, "cus_1").Elements("charges")
	if len(charges) != size || showValue(charges[size-1].Value("id")) != fmt.Sprint("ch_", size) {
		t.Errorf("%d charges, want %d, oldest first", len(charges), size)
	}
	if _, err := pool.Exec(t.Context(), `update dunlin.stripe_charges set raw = json_build_object('id', id, 'amount', 5)`); err != nil {
		t.Fatal(err)
	}
	news(t, pool, account)
	if n := projectAll(t, pool, account, "cus_1"); n != 1 {
		t.Errorf("changed\n got %d\nwant 1", n)
	}
	if diff := cmp.Diff([][]string{{"charges.created_at", "charges.amount", "charges.currency"}}, news(t, pool, account)); diff != "" {
		t.Errorf("changed_customers (-want +got):\n%s", diff)
	}
}

func TestWhole_JSON(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	storeMirror(t, pool, account, "cus_1", mirror{customer: `{"id":"cus_1"}`, invoices: []string{
		`{"id":"in_2","status":"open","currency":"usd","total":4900,"attempt_count":2,"due_date":1790000000,"created":1780000000,"metadata":{"a":"b"}}`, `{"id":"in_1"}`,
	}})
	projectAll(t, pool, account, "cus_1")
	got, err := json.Marshal(loadWhole(t, pool, account, "cus_1"))
	if err != nil {
		t.Fatal(err)
	}
	nulls := `"finalized_at":null,"paid_at":null,"next_payment_attempt_at":null`
	want := `,"card_id":null,"state":null,"subscriptions":[],"subscription_items":[],"invoices":[` +
		`{"id":"in_1","created_at":"1970-01-01T00:00:00Z","number":null,"status":null,"currency":null,"total":null,"amount_due":null,"amount_paid":null,` +
		`"amount_remaining":null,"due_at":null,` + nulls + `,"attempt_count":null,"collection_method":null,"billing_reason":null,"subscription":null,"metadata":{}},` +
		`{"id":"in_2","created_at":"2026-05-28T20:26:40Z","number":null,"status":"open","currency":"usd","total":{"amount":"49.00","currency":"usd"},"amount_due":null,"amount_paid":null,` +
		`"amount_remaining":null,"due_at":"2026-09-21T14:13:20Z",` + nulls + `,"attempt_count":2,"collection_method":null,"billing_reason":null,"subscription":null,"metadata":{"a":"b"}}` +
		`],"charges":[],"cards":[],"refunds":[],"disputes":[],"events":[` +
		`{"id":"invoice_created:in_2","created_at":"2026-05-28T20:26:40Z","type":"invoice_created","object":"in_2","amount":null}]}`
	if !json.Valid(got) || !strings.HasSuffix(string(got), want) || !strings.HasPrefix(string(got), `{"stripe_id":"cus_1","account":"shop","livemode":null,"created_at":null,"email":null,`) {
		t.Errorf("MarshalJSON\n got %s\nwant %s", got, want)
	}
	if raw, err := json.Marshal(Whole{}); err != nil || !strings.HasSuffix(string(raw), `"invoices":[],"charges":[],"cards":[],"refunds":[],"disputes":[],"events":[]}`) {
		t.Errorf("the zero value\n got %s, %v", raw, err)
	}
	if got := (Whole{}).Elements("invoices"); got != nil {
		t.Errorf("elements of the zero value\n got %v", got)
	}
}
