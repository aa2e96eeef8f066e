package stripesync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/migrations"
)

// merchant fills a Stripe with a small business: so many customers, each with a
// card, a subscription, an invoice and a charge.
func merchant(f *fakeStripe, people int) {
	f.put("/v1/products", `{"id":"prod_1","object":"product","name":"Pro"}`)
	f.put("/v1/prices", `{"id":"price_1","object":"price","active":true,"product":"prod_1"}`)
	f.put("/v1/prices", `{"id":"price_0","object":"price","active":false,"product":"prod_1"}`)
	for i := range people {
		f.put("/v1/customers", customerN(i))
		f.put("/v1/subscriptions", fmt.Sprintf(`{"id":"sub_%d","object":"subscription","customer":"cus_%d","status":"active",
      "default_payment_method":null,"default_source":{"id": "card_%d",  "object":"card","customer":"cus_%d"},"items":{"data":[]}}`, i, i, i, i))
		f.put("/v1/invoices", fmt.Sprintf(`{"id":"in_%d","object":"invoice","customer":"cus_%d","status":"paid"}`, i, i))
		f.put("/v1/charges", fmt.Sprintf(`{"id":"ch_%d","object":"charge","customer":"cus_%d","status":"succeeded"}`, i, i))
	}
	f.put("/v1/charges", `{"id":"ch_guest","object":"charge","customer":null,"status":"succeeded"}`)
}

func methodN(i int) string {
	return fmt.Sprintf(`{"id":"pm_%d", "object": "payment_method","customer":"cus_%d","type":"card",
         "card":{"brand":"visa","last4":"42\u0034%d","exp_month":5,"exp_year":2027}}`, i, i, i%10)
}

func customerN(i int) string {
	return fmt.Sprintf(`{
      "id": "cus_%d", "object": "customer", "email": "p%d@example.com", "created": 1700000000,
      "default_source": null,
      "invoice_settings": {"default_payment_method": %s}
    }`, i, i, methodN(i))
}

func TestBackfill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const people = 130
	merchant(w.stripe, people)
	var said []string
	err := w.Backfill(t.Context(), func(p Progress) {
		said = append(said, fmt.Sprintf("%d/%d %s %d %v", p.Step, p.Steps, p.Class, p.Objects, p.Done))
	})
	if err != nil {
		t.Fatal(err)
	}
	w.want(customer("cus_7"), customerN(7), false)
	w.want(ref{paymentMethodClass, "cus_7", "pm_7"}, methodN(7), false)
	w.want(ref{paymentMethodClass, "cus_7", "card_7"}, `{"id": "card_7",  "object":"card","customer":"cus_7"}`, false)
	w.want(ref{chargeClass, "", "ch_guest"}, `{"id":"ch_guest","object":"charge","customer":null,"status":"succeeded"}`, false)
	for table, want := range map[string]int{
		"stripe_products": 1, "stripe_prices": 2, "stripe_customers": people, "stripe_subscriptions": people,
		"stripe_invoices": people, "stripe_charges": people + 1, "stripe_payment_methods": 2 * people, "customers": people,
	} {
		if got := w.one(`select count(*) from dunlin.` + table); got != want {
			t.Errorf("%s\n got %d rows\nwant %d", table, got, want)
		}
	}
	got := strings.Join(said, "\n")
	want := `1/10 products 1 true
2/10 prices 1 true
3/10 archived prices 1 true
4/10 customers 100 false
4/10 customers 130 true
5/10 subscriptions 100 false
5/10 subscriptions 130 true
6/10 invoices 100 false
6/10 invoices 130 true
7/10 charges 100 false
7/10 charges 131 true
8/10 refunds 0 true
9/10 disputes 0 true
10/10 attributes 130 false
10/10 attributes 130 true`
	if got != want {
		t.Errorf("progress\n got %s\nwant %s", got, want)
	}
	if n := w.one(`select count(*) from dunlin.sync_progress where finished_at is not null and account_id = $1`, w.account); n != 10 {
		t.Errorf("finished parts\n got %d\nwant 10", n)
	}
	if ready, err := w.Ready(t.Context()); err != nil || !ready {
		t.Errorf("Ready\n got %v %v\nwant true", ready, err)
	}
}

func TestBackfill_requests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 101)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	until := fmt.Sprint("created[lte]=", noon.Unix())
	want := []string{
		"/v1/events?limit=1",
		"/v1/products?limit=100&" + until,
		"/v1/prices?limit=100&active=true&" + until + "&expand[0]=data.tiers&expand[1]=data.currency_options",
		"/v1/prices?limit=100&active=false&" + until + "&expand[0]=data.tiers&expand[1]=data.currency_options",
		"/v1/customers?limit=100&" + until + "&expand[0]=data.default_source&expand[1]=data.invoice_settings.default_payment_method",
		"/v1/customers?limit=100&starting_after=cus_1&" + until + "&expand[0]=data.default_source&expand[1]=data.invoice_settings.default_payment_method",
		"/v1/subscriptions?limit=100&" + until + "&expand[0]=data.default_payment_method&expand[1]=data.default_source&status=all",
	}
	for i, asked := range w.stripe.requests() {
		if i < len(want) && asked != want[i] {
			t.Errorf("request %d\n got %s\nwant %s", i, asked, want[i])
		}
	}
}

// honest-mirror: broken off at any page, a run goes on from there, and the
// account is not ready before the end.
func TestBackfill_resumesAtEveryPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 250)
	whole := newWorldOn(t, w.pool, w.clock, w.stripe, "whole")
	if err := whole.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	pages := len(w.stripe.requests())

	broken := 0
	for runs := 1; ; runs++ {
		served := 0
		w.stripe.failWith(func(*http.Request) (int, string) {
			if served++; served > 1 { // one page for each run
				return http.StatusForbidden, `{"error":{"message":"not now"}}`
			}
			return 0, ""
		})
		err := w.Backfill(t.Context(), nil)
		if err == nil {
			break
		}
		if broken++; broken > pages {
			t.Fatalf("after %d runs: %v", runs, err)
		}
		if ready, err := w.Ready(t.Context()); err != nil || ready {
			t.Fatalf("ready half-way: %v %v", ready, err)
		}
		if n := w.one(`select count(*) from dunlin.accounts where account_id = $1 and mirrored_at is not null`, w.account); n != 0 {
			t.Fatal("mirrored half-way")
		}
	}
	if broken != pages-1 {
		t.Errorf("runs broken off\n got %d\nwant %d, each a page further", broken, pages-1)
	}
	if n := w.one(`select count(*) from dunlin.sync_runs where account_id = $1`, w.account); n != 1 {
		t.Errorf("runs\n got %d\nwant 1, taken up again", n)
	}
	for _, class := range classes {
		key := "id"
		if class.owned() {
			key = "customer, id"
		}
		missing := w.one(`select count(*) from (
			select `+key+`, raw::text from `+class.table()+` where account_id = $1
			except select `+key+`, raw::text from `+class.table()+` where account_id = $2) as x`, whole.account, w.account)
		if missing != 0 {
			t.Errorf("%s\n got %d objects less than an unbroken run", class, missing)
		}
	}
	if n := w.one(`select count(*) from dunlin.customers where account_id = $1`, w.account); n != 250 {
		t.Errorf("projected\n got %d\nwant 250", n)
	}
}

func TestBackfill_projectionIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, projectChunk+20)
	ctx, stop := context.WithCancel(t.Context())
	err := w.Backfill(ctx, func(p Progress) {
		if p.Class == attributes {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("broken off\n got %v\nwant canceled", err)
	}
	w.stripe.requests()
	var first Progress
	if err := w.Backfill(t.Context(), func(p Progress) {
		if first.Class == "" {
			first = p
		}
	}); err != nil {
		t.Fatal(err)
	}
	if asked := w.stripe.requests(); len(asked) != 0 {
		t.Errorf("requests\n got %q\nwant none: every list is there", asked)
	}
	if first.Objects != projectChunk+20 {
		t.Errorf("first report\n got %+v\nwant the %d customers that were left, after the chunk before", first, 20)
	}
}

// A webhook that comes during the backfill is newer than the page that follows.
func TestBackfill_doesNotUndoEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	w.tell("evt_1", "customer.updated", noon.Add(time.Minute), anaMaria)
	w.apply()
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.want(customer("cus_1"), anaMaria, false)
}

// A later full sync repairs what webhooks lost and projects it page by page.
func TestBackfill_again(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	_, before := w.pokes()
	w.clock.add(time.Hour)
	w.stripe.lists["/v1/customers"][0] = []byte(strings.Replace(customerN(2), "p2@", "new@", 1))
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := w.one(`select count(*) from dunlin.customers where email = 'new@example.com'`); n != 1 {
		t.Errorf("projected\n got %d\nwant 1", n)
	}
	if _, after := w.pokes(); after != before+1 {
		t.Errorf("pokes of the tick\n got %d\nwant 1: one page changed somebody", after-before)
	}
	if n := w.one(`select count(*) from dunlin.sync_runs where finished_at is not null`); n != 2 {
		t.Errorf("finished runs\n got %d\nwant 2", n)
	}
}

func TestBackfill_staleRunStartsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	w.stripe.failWith(func(r *http.Request) (int, string) {
		if r.URL.Path == "/v1/charges" {
			return http.StatusForbidden, `{"error":{"message":"no"}}`
		}
		return 0, ""
	})
	if err := w.Backfill(t.Context(), nil); err == nil {
		t.Fatal("no error")
	}
	w.stripe.failWith(nil)
	w.clock.add(staleAfter)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := w.one(`select count(*) from dunlin.sync_runs`); n != 2 {
		t.Errorf("runs\n got %d\nwant 2", n)
	}
}

func TestBackfill_oneAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	tried := false
	err := w.Backfill(t.Context(), func(Progress) {
		if tried {
			return
		}
		tried = true
		other := newWorldOn(t, w.pool, w.clock, w.stripe, "main")
		if err := other.Backfill(t.Context(), nil); !errors.Is(err, ErrRunning) {
			t.Errorf("a second sync\n got %v\nwant %v", err, ErrRunning)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Errorf("afterwards\n got %v\nwant none", err)
	}
}

func TestBackfill_limitsAndFaultsAreRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	n := 0
	w.stripe.failWith(func(r *http.Request) (int, string) {
		if r.URL.Path == eventsPath {
			return 0, "" // what time it is
		}
		n++
		switch n % 4 {
		case 1:
			return http.StatusTooManyRequests, `{"error":{"type":"invalid_request_error","code":"rate_limit","message":"slow"}}`
		case 2:
			return http.StatusBadGateway, `<html>bad gateway</html>`
		case 3:
			return http.StatusOK, `{"data": [{"id":`
		}
		return 0, ""
	})
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Counts().Requests, int64(1+4*len(lists)); got != want {
		t.Errorf("requests\n got %d\nwant %d, retries included", got, want)
	}
}

func TestBackfill_errorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		says   []string
	}{
		{"wrong key", 401, `{"error":{"message":"Invalid API Key provided: sk_****"}}`, []string{"sync of products stopped", "401", "STRIPE_API_KEY"}},
		{"missing permission", 403, `{"error":{"message":"The provided key does not have the required permissions"}}`, []string{"403", "read permission on products"}},
		{"limited for too long", 429, `{"error":{"message":"slow"}}`, []string{"429", "tried 8 times", "run it again to go on"}},
		{"not Stripe", 404, `<html>`, []string{"Stripe answered 404 to GET /v1/products"}},
		{"not JSON", 200, `<html>`, []string{"GET /v1/products", "not Stripe's JSON"}},
		{"a list without ids", 200, `{"data":[{}]}`, []string{"has no id"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stripe.failWith(func(*http.Request) (int, string) { return tt.status, tt.body })
			err := w.Backfill(t.Context(), nil)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error\n got %s\nwant it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), testKey) {
				t.Errorf("error is not one line without the key: %s", err)
			}
		})
	}
}

// The object at the cursor may be deleted between two runs.
func TestBackfill_cursorIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 120)
	ctx, stop := context.WithCancel(t.Context())
	_ = w.Backfill(ctx, func(p Progress) {
		if p.Class == "customers" {
			stop()
		}
	})
	w.exec(`update dunlin.sync_progress set cursor = 'cus_gone' where class = 'customers'`)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := w.one(`select objects from dunlin.sync_progress where class = 'customers'`); n != 120 {
		t.Errorf("customers\n got %d\nwant 120, read from the start", n)
	}
}

// Events applied while everybody is being projected are projected too.
func TestBackfill_eventsDuringProjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	told := false
	err := w.Backfill(t.Context(), func(p Progress) {
		if p.Class != attributes || told {
			return
		}
		told = true
		w.tell("evt_1", "customer.updated", noon.Add(time.Minute), `{"id":"cus_1","email":"late@example.com"}`)
		w.apply()
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := w.one(`select count(*) from dunlin.customers where email = 'late@example.com'`); n != 1 {
		t.Errorf("projected\n got %d\nwant 1", n)
	}
}

// upgrade does to a database what migration 0007 does to one that was in use.
func upgrade(t *testing.T, w *world) {
	t.Helper()
	text, err := migrations.Files.ReadFile("0007_collections.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, statements, ok := strings.Cut(string(text), "-- Customers of before have no elements yet")
	if !ok {
		t.Fatal("0007_collections.sql has no such part")
	}
	w.exec("--" + statements)
}

// honest-mirror: a database that was synced before there were collections is
// not ready until they are filled, and they are filled from the mirror, however
// long ago that was.
func TestBackfill_afterTheUpgradeToCollections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 130)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.clock.add(2 * staleAfter)
	for _, table := range []string{"subscriptions", "subscription_items", "invoices", "charges"} {
		w.exec(`delete from dunlin.` + table)
	}
	w.exec(`delete from dunlin.changed_customers`)
	upgrade(t, w)
	if ready, err := w.Ready(t.Context()); err != nil || ready {
		t.Fatalf("Ready after the upgrade\n got %v %v\nwant false", ready, err)
	}
	// Events that come now are projected, elements and all.
	w.tell("evt_1", "invoice.updated", w.clock.Now(), `{"id":"in_7","object":"invoice","customer":"cus_7","status":"void"}`)
	w.apply()
	if n := w.one(`select count(*) from dunlin.invoices where status = 'void'`); n != 1 {
		t.Errorf("invoices of an event\n got %d\nwant 1", n)
	}

	w.stripe.requests()
	_, before := w.pokes()
	var said []string
	report := func(p Progress) {
		said = append(said, fmt.Sprintf("%d/%d %s %d %v", p.Step, p.Steps, p.Class, p.Objects, p.Done))
	}
	if err := w.Backfill(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	if asked := w.stripe.requests(); len(asked) != 0 {
		t.Errorf("requests\n got %q\nwant none: every list is there", asked)
	}
	if got, want := strings.Join(said, "\n"), "10/10 attributes 130 false\n10/10 attributes 130 true"; got != want {
		t.Errorf("progress\n got %s\nwant %s", got, want)
	}
	if ready, err := w.Ready(t.Context()); err != nil || !ready {
		t.Errorf("Ready\n got %v %v\nwant true", ready, err)
	}
	for _, table := range []string{"subscriptions", "invoices", "charges"} {
		if n := w.one(`select count(*) from dunlin.` + table); n != 130 {
			t.Errorf("%s\n got %d\nwant 130", table, n)
		}
	}
	if n := w.one(`select count(distinct customer_id) from dunlin.changed_customers where attributes @> '{subscriptions,charges}'`); n != 130 {
		t.Errorf("customers told of\n got %d\nwant 130", n)
	}
	if _, after := w.pokes(); after != before+1 {
		t.Errorf("pokes of the tick\n got %d\nwant 1", after-before)
	}

	// A later sync is a whole one again.
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if asked := w.stripe.requests(); len(asked) < len(lists) {
		t.Errorf("requests of a later sync\n got %q\nwant one for each list", asked)
	}
}

// A first projection that the upgrade interrupts starts again from the first
// customer, and still reads no list twice.
func TestBackfill_upgradedWhileProjecting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, projectChunk+20)
	ctx, stop := context.WithCancel(t.Context())
	_ = w.Backfill(ctx, func(p Progress) {
		if p.Class == attributes {
			stop()
		}
	})
	w.exec(`delete from dunlin.charges`)
	upgrade(t, w)
	w.stripe.requests()
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if asked := w.stripe.requests(); len(asked) != 0 {
		t.Errorf("requests\n got %q\nwant none", asked)
	}
	if n := w.one(`select count(*) from dunlin.charges`); n != projectChunk+20 {
		t.Errorf("charges\n got %d\nwant %d", n, projectChunk+20)
	}
	if n := w.one(`select count(*) from dunlin.sync_runs`); n != 1 {
		t.Errorf("runs\n got %d\nwant 1, taken up again", n)
	}
}

// An account that never was ready has nothing to project again.
func TestBackfill_upgradedBeforeTheFirstSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	upgrade(t, w)
	if n := w.one(`select count(*) from dunlin.sync_runs`); n != 0 {
		t.Errorf("runs\n got %d\nwant none", n)
	}
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := w.one(`select count(*) from dunlin.charges`); n != 3 {
		t.Errorf("charges\n got %d\nwant 3", n)
	}
}

func TestNew_reportsEverythingWrong(t *testing.T) {
	t.Parallel()
	_, err := New(t.Context(), Config{Secrets: []string{""}})
	for _, want := range []string{"database", "account", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error\n got %v\nwant it to name %s", err, want)
		}
	}
}
