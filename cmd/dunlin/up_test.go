package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// stripeEvent is an event of Stripe's list: a customer was made, so long ago.
func stripeEvent(id, customer string, ago time.Duration) string {
	return fmt.Sprintf(`{"id": %q, "object": "event", "type": "customer.created", "created": %d, "api_version": "2023-10-16",
		"data": {"object": {"id": %q, "object": "customer", "email": "anna@example.com"}}}`, id, time.Now().Add(-ago).Unix(), customer)
}

func stripeList(t *testing.T, objects ...string) string {
	t.Helper()
	body := `{"object": "list", "has_more": false, "data": [` + strings.Join(objects, ", ") + `]}`
	if !json.Valid([]byte(body)) {
		t.Fatalf("not JSON: %s", body)
	}
	return body
}

// TestWorkOnce_accounts: an account that cannot be read is named, and the others
// are worked for. What no webhook brought comes from Stripe's list of events, and
// nobody waits for the events of an account that is not set up.
func TestWorkOnce_accounts(t *testing.T) {
	t.Parallel()
	stripe := newStubbornStripe(t, time.Now)
	environ, pool := on(t, "STRIPE_API_BASE="+stripe.URL, "DRY_RUN=true", "STRIPE_ACCOUNTS=bad,good,broken",
		"STRIPE_API_KEY=sk_test_bad", "STRIPE_API_KEY_GOOD=sk_test_good", "STRIPE_API_KEY_BROKEN=sk_test_broken")
	stripe.answer("sk_test_bad", "GET /v1/account", `401 {"error": {"message": "Invalid API Key provided"}}`)
	stripe.answer("sk_test_broken", "GET /v1/invoices", `403 {"error": {"message": "no permission"}}`)
	stripe.answer("sk_test_good", "GET /v1/customers", stripeList(t, `{"id": "cus_1", "object": "customer", "created": 1}`))
	work := func() printed {
		t.Helper()
		p := dunlin(t, environ, "", "work", "--once")
		for _, want := range []string{"account bad: ", "Stripe does not accept the API key", "account broken: ", "read permission on invoices"} {
			if p.status != exitFailed || !strings.Contains(p.errs, want) {
				t.Errorf("work --once\n got status %d: %s\nwant 1, and %q", p.status, p.errs, want)
			}
		}
		if strings.Contains(p.errs, "account good: ") {
			t.Errorf("work --once\n got %s\nwant no fault of good", p.errs)
		}
		return p
	}
	known := func(customer string) int {
		return count(t, pool, `select count(*) from dunlin.customers join dunlin.accounts a using (account_id) where a.name = 'good' and dunlin.customers.stripe_id = $1`, customer)
	}
	work()
	if known("cus_1") != 1 || count(t, pool, `select count(*) from dunlin.ticks`) == 0 {
		t.Error("the good account was not synced, or nobody ticked")
	}

	execSQL(t, pool, `insert into dunlin.accounts (name, created_at) values ('old', now())`)
	execSQL(t, pool, `
		insert into dunlin.stripe_events (account_id, customer, id, type, api_version, class, object_id, created, raw, received_at)
		select account_id, '', 'evt_old', 'customer.updated', '', '', '', now(), '{}', now() from dunlin.accounts where name = 'old'`)
	stripe.answer("sk_test_good", "GET /v1/events", stripeList(t, stripeEvent("evt_1", "cus_2", 90*time.Second)))
	work()
	if known("cus_2") != 1 {
		t.Error("what no webhook brought was not caught up with, or not applied")
	}
}

// TestWorkOnce_gap: after longer than Stripe keeps its events, the lists are read
// again.
func TestWorkOnce_gap(t *testing.T) {
	t.Parallel()
	stripe := newStubbornStripe(t, time.Now)
	environ, pool := on(t, "STRIPE_API_BASE="+stripe.URL, "DRY_RUN=true", "STRIPE_API_KEY=sk_test_1")
	ok(t, environ, "", "work", "--once")
	execSQL(t, pool, `update dunlin.accounts set feed_until = now() - interval '31 days'`)
	stripe.answer("sk_test_1", "GET /v1/customers", stripeList(t, `{"id": "cus_1", "object": "customer", "created": 1}`))
	p := dunlin(t, environ, "", "work", "--once")
	if p.status != exitDone || count(t, pool, `select count(*) from dunlin.customers where stripe_id = 'cus_1'`) != 1 {
		t.Errorf("work --once\n got status %d: %s\nwant 0, and the lists read again", p.status, p.errs)
	}
}

// TestHear: before jobs start, what happened meanwhile is stored, so that claims
// wait for it (no-stale-contact).
func TestHear(t *testing.T) {
	t.Parallel()
	stripe := newStubbornStripe(t, time.Now)
	environ, pool := on(t, "STRIPE_API_BASE="+stripe.URL, "DRY_RUN=true", "STRIPE_API_KEY=sk_test_1")
	ok(t, environ, "", "work", "--once")
	env, err := readEnvironment(environ)
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire(t.Context(), wiring{Pool: pool, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	stripe.answer("sk_test_1", "GET /v1/events", stripeList(t, stripeEvent("evt_1", "cus_1", 90*time.Second)))
	p.hear(t.Context())
	if n := count(t, pool, `select count(*) from dunlin.stripe_events where id = 'evt_1' and state = 'stored'`); n != 1 {
		t.Errorf("stored\n got %d\nwant 1", n)
	}
}
