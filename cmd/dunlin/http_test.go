package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
)

// ask serves the product's HTTP half one request.
func ask(t testing.TB, p *product, method, path, body string, signature ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for _, s := range signature {
		r.Header.Set("Stripe-Signature", s)
	}
	w := httptest.NewRecorder()
	p.handler().ServeHTTP(w, r)
	answer, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result().StatusCode, string(answer)
}

func TestHandler(t *testing.T) {
	t.Parallel()
	db := connected(t, pgtest.URL(t))
	p, err := wire(t.Context(), wiring{
		Pool: db.Pool, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Env: environment{StripeKey: "sk_test_1", StripeBase: "http://127.0.0.1:1", StripeSecrets: []string{sandbox.WebhookSecret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const hook = "/webhooks/stripe/main"
	event := `{"id":"evt_1","object":"event","type":"customer.updated","created":1771230000,"api_version":"2023-10-16","livemode":false,"data":{"object":{"id":"cus_1","object":"customer"}}}`
	sign := func(body, secret string, at time.Time) string {
		return webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: secret, Timestamp: at}).Header
	}
	good := sign(event, sandbox.WebhookSecret, time.Now())
	tests := []struct {
		name, method, path, body string
		signature                []string
		status                   int
		stored                   int
	}{
		{"no signature", "POST", hook, event, nil, 400, 0},
		{"nonsense for a signature", "POST", hook, event, []string{"v1=abc"}, 400, 0},
		{"another secret", "POST", hook, event, []string{sign(event, "whsec_other", time.Now())}, 400, 0},
		{"an old signature", "POST", hook, event, []string{sign(event, sandbox.WebhookSecret, time.Now().Add(-time.Hour))}, 400, 0},
		{"another body", "POST", hook, event + " ", []string{good}, 400, 0},
		{"not JSON, well signed", "POST", hook, "hello", []string{sign("hello", sandbox.WebhookSecret, time.Now())}, 400, 0},
		{"too large", "POST", hook, strings.Repeat("x", 1<<20+1), []string{good}, 413, 0},
		{"not posted", "GET", hook, "", nil, 405, 0},
		{"no such account", "POST", "/webhooks/stripe/other", event, []string{good}, 404, 0},
		{"a notification, and no secret to check it with", "POST", "/webhooks/intercom", "{}", nil, 503, 0},
		{"Intercom tries the address", "HEAD", "/webhooks/intercom", "", nil, 200, 0},
		{"alive", "GET", "/healthz", "", nil, 200, 0},
		{"ready", "GET", "/readyz", "", nil, 200, 0},
		{"well signed", "POST", hook, event, []string{good}, 200, 1},
		{"once more", "POST", hook, event, []string{good}, 200, 1},
	}
	for _, tt := range tests { // in order: what is stored adds up
		status, answer := ask(t, p, tt.method, tt.path, tt.body, tt.signature...)
		stored := count(t, db.Pool, `select count(*) from dunlin.stripe_events`)
		if status != tt.status || stored != tt.stored {
			t.Errorf("%s\n got %d %q, %d events stored\nwant %d, %d events stored", tt.name, status, answer, stored, tt.status, tt.stored)
		}
	}

	db.Pool.Close() // from here on the database is away
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if status, answer := ask(t, p, "GET", path, ""); status != want {
			t.Errorf("%s without a database\n got %d %q\nwant %d", path, status, answer, want)
		}
	}
	later := strings.Replace(event, "evt_1", "evt_2", 1)
	if status, _ := ask(t, p, "POST", hook, later, sign(later, sandbox.WebhookSecret, time.Now())); status != http.StatusServiceUnavailable {
		t.Errorf("a webhook without a database\n got %d\nwant 503", status)
	}
	created := strings.Replace(later, "customer.updated", "invoice.created", 1)
	if status, _ := ask(t, p, "POST", hook, created, sign(created, sandbox.WebhookSecret, time.Now())); status != http.StatusOK {
		t.Errorf("invoice.created without a database\n got %d\nwant 200: a refusal holds up the customer's invoice", status)
	}
	for _, s := range p.stripe {
		s.Close()
	}
}

func TestReadyz_notMigrated(t *testing.T) {
	t.Parallel()
	db := connected(t, pgtest.URL(t))
	execSQL(t, db.Pool, `delete from river.river_migration where version = (select max(version) from river.river_migration)`)
	p := &product{wiring: wiring{Pool: db.Pool}}
	if status, answer := ask(t, p, "GET", "/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(answer, "run dunlin migrate") {
		t.Errorf("/readyz\n got %d %q\nwant 503 that says to run dunlin migrate", status, answer)
	}
}

// TestHandler_accounts: each account has its own path and its own secrets, and
// what comes is stored under its name.
func TestHandler_accounts(t *testing.T) {
	t.Parallel()
	db := connected(t, pgtest.URL(t))
	p, err := wire(t.Context(), wiring{
		Pool: db.Pool, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Env: environment{
			StripePrimary: "eu", StripeKey: "sk_test_1", StripeBase: "http://127.0.0.1:1", StripeSecrets: []string{"whsec_eu"},
			StripeOthers: []stripeAccount{{Name: "test", Key: "sk_test_2", Secrets: []string{"whsec_old", "whsec_new"}}, {Name: "keyless"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	const event = `{"id":"evt_1","object":"event","type":"customer.updated","created":1771230000,"api_version":"2023-10-16","livemode":false,"data":{"object":{"id":"cus_1","object":"customer"}}}`
	tests := []struct {
		name, account, secret string
		status                int
		stored                string // accounts of the events stored so far
	}{
		{"another account's secret", "eu", "whsec_new", 400, ""},
		{"its own", "eu", "whsec_eu", 200, "eu"},
		{"the same event of another account", "test", "whsec_new", 200, "eu test"},
		{"while a secret is rolled", "test", "whsec_old", 200, "eu test"},
		{"an account without a key", "keyless", "whsec_eu", 404, "eu test"},
		{"main is no account here", "main", "whsec_eu", 404, "eu test"},
	}
	for _, tt := range tests { // in order: what is stored adds up
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(event), Secret: tt.secret, Timestamp: time.Now()})
		status, answer := ask(t, p, "POST", "/webhooks/stripe/"+tt.account, event, signed.Header)
		var stored string
		err := db.QueryRow(t.Context(), `select coalesce(string_agg(name, ' ' order by name), '') from dunlin.stripe_events join dunlin.accounts using (account_id)`).Scan(&stored)
		if err != nil {
			t.Fatal(err)
		}
		if status != tt.status || stored != tt.stored {
			t.Errorf("%s\n got %d %q, stored for %q\nwant %d, stored for %q", tt.name, status, answer, stored, tt.status, tt.stored)
		}
	}
	for _, s := range p.stripe {
		s.Close()
	}
}
