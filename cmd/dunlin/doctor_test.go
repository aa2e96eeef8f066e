package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/stripesync"
)

// TestDoctor_stripe prints what doctor says of Stripe accounts in one state after
// the other.
func TestDoctor_stripe(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	const denial = `403 {"error": {"type": "invalid_request_error", "message": "The provided key 'rk_live_****' does not have the required permissions for this endpoint on account 'acct_1'. Having the '%s' permission would allow this request to continue."}}`
	const hook = "https://dunlin.example.com/webhooks/stripe/"
	one := environment{StripeKey: "rk_live_1", StripeSecrets: []string{"whsec_1"}}
	synced := `update dunlin.accounts set mirrored_at = '2026-03-01Z', ready_at = '2026-03-01Z', feed_until = '2026-03-02T11:55:00Z'`
	event := func(id, ago, state, fault string) string {
		return fmt.Sprintf(`
			insert into dunlin.stripe_events (account_id, customer, id, type, api_version, class, object_id, created, raw, received_at, state, fault)
			select account_id, 'cus_1', '%s', 'customer.updated', '2023-10-16', 'customers', 'cus_1', at, '{}', at, '%s', nullif('%s', '')
			from dunlin.accounts, (select timestamptz '2026-03-02T12:00:00Z' - interval '%s' as at) w where name = 'main'`, id, state, fault, ago)
	}
	tests := []struct {
		name    string
		env     environment
		arrange func(s *stubbornStripe)
		sql     []string
	}{
		{"nothing is set", environment{}, nil, nil},
		{"a key and nothing else", environment{StripeKey: "sk_test_1"}, nil, nil},
		{"all is well", one, func(s *stubbornStripe) {
			s.answer("rk_live_1", "GET /v1/account", `{"id": "acct_1", "settings": {"dashboard": {"display_name": "Acme"}}}`)
			s.endpoint("rk_live_1", "we_elsewhere", "https://other.example.com", "", "*")
			s.endpoint("rk_live_1", "we_bad", hook+"main", "2020-08-27", "charge.failed")
			s.endpoint("rk_live_1", "we_good", hook+"main", stripesync.Version, stripesync.EventTypes()...)
		}, []string{synced, event("evt_1", "3 minutes", "applied", "")}},
		{"the key lacks permissions, and may not ask whose it is", one, func(s *stubbornStripe) {
			s.answer("rk_live_1", "GET /v1/account", fmt.Sprintf(denial, "rak_accounts_kyc_basic_read"))
			s.answer("rk_live_1", "GET /v1/charges", fmt.Sprintf(denial, "rak_charge_read"))
			s.answer("rk_live_1", "GET /v1/prices", fmt.Sprintf(denial, "rak_plan_read"))
			s.answer("rk_live_1", "GET /v1/disputes", `500 {"error": {"type": "api_error", "message": "Something went wrong"}}`)
			s.answer("rk_live_1", "GET /v1/webhook_endpoints", fmt.Sprintf(denial, "rak_webhook_read"))
		}, []string{synced, event("evt_1", "26 hours", "applied", "")}},
		{"the endpoint is wrong, and an event was lost", one, func(s *stubbornStripe) {
			s.endpoint("rk_live_1", "we_1", hook+"main", "2024-04-10", stripesync.EventTypes()[3:]...)
			s.answer("rk_live_1", "GET /v1/events", `{"object": "list", "has_more": false, "data": [{"id": "evt_lost", "object": "event", "type": "charge.failed",
				"created": 1772448000, "api_version": "2023-10-16", "data": {"object": {"id": "ch_1", "object": "charge", "customer": "cus_1"}}}]}`)
		}, []string{synced, event("evt_1", "5 days", "applied", "")}},
		{"the endpoint is disabled, and the mirror is of another account", one, func(s *stubbornStripe) {
			s.endpoints["rk_live_1"] = []string{stubbornEndpoint("we_1", hook+"main", stripesync.Version, "disabled", stripesync.EventTypes(), "")}
			s.answer("rk_live_1", "GET /v1/customers/cus_1", `404 {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such customer: 'cus_1'"}}`)
		}, []string{
			synced, event("evt_1", "10 seconds", "applied", ""),
			`insert into dunlin.stripe_customers (account_id, id, raw, as_of) select account_id, 'cus_1', '{}', '2026-03-01Z' from dunlin.accounts`,
		}},
		{"the key is not accepted, and the first sync stopped", one, func(s *stubbornStripe) {
			s.answer("rk_live_1", "GET /v1/account", `401 {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: rk_live_*"}}`)
		}, []string{
			`insert into dunlin.sync_runs (account_id, started_at) select account_id, '2026-03-01Z' from dunlin.accounts`,
			`insert into dunlin.sync_progress (account_id, run_id, class, objects) select account_id, run_id, class, objects from dunlin.sync_runs, (values ('charges', 0), ('invoices', 1200)) c (class, objects)`,
		}},
		{"Stripe is out of reach, and events are stuck", environment{StripeKey: "sk_live_1", StripeSecrets: []string{"whsec_1"}, StripeBase: "http://127.0.0.1:1"}, nil, []string{
			synced,
			event("evt_1", "1 hour", "stored", "Stripe answered 500 to GET /v1/subscriptions/sub_1"),
			event("evt_2", "2 hours", "stored", "the event has no id"),
			event("evt_3", "3 hours", "stored", "the event has no id"),
			event("evt_4", "20 minutes", "stored", ""),
		}},
		{"the key is of another Stripe account than the name", one, func(s *stubbornStripe) {
			s.endpoint("rk_live_1", "we_1", hook+"main", stripesync.Version, "*")
		}, []string{synced, `update dunlin.accounts set stripe_id = 'acct_old', feed_until = '2026-03-02T10:00:00Z'`}},
		{"events are lost, and most reads are used", one, func(s *stubbornStripe) {
			s.endpoint("rk_live_1", "we_1", hook+"main", stripesync.Version, "*")
		}, []string{
			synced, `update dunlin.accounts set feed_until = '2026-01-20T10:00:00Z', resync = 'nothing was heard of Stripe from 2026-01-20T10:00:00Z to 2026-03-02T12:00:00Z, and Stripe keeps its events for 30 days'`,
			`insert into dunlin.stripe_reads (account_id, month, reads) select account_id, '2026-03-01', 8100 from dunlin.accounts`,
		}},
		{"an event waits for long, and the mirror differed", one, func(s *stubbornStripe) {
			s.endpoint("rk_live_1", "we_1", hook+"main", stripesync.Version, "*")
		}, []string{
			synced, event("evt_1", "2 hours", "stored", ""),
			`insert into dunlin.stripe_comparisons (account_id, compared_at, class, compared, differed)
			select account_id, timestamptz '2026-03-01T03:00:00Z', 'charges', 9, 9 from dunlin.accounts union all
			select account_id, '2026-03-02T03:00:00Z', class, compared, differed from dunlin.accounts, (values ('charges', 200, 1), ('customers', 40, 0), ('payment_methods', 20, 3)) c (class, compared, differed)`,
		}},
		{"compared, and nothing differed", one, func(s *stubbornStripe) {
			s.endpoint("rk_live_1", "we_1", hook+"main", stripesync.Version, "*")
		}, []string{
			synced, `insert into dunlin.stripe_comparisons (account_id, compared_at, class, compared, differed)
			select account_id, '2026-03-02T03:00:00Z', class, compared, 0 from dunlin.accounts, (values ('charges', 200), ('customers', 1040)) c (class, compared)`,
		}},
		{"two accounts with keys of one, a third without, and one that is left", environment{
			StripePrimary: "main", StripeKey: "rk_live_1", StripeSecrets: []string{"whsec_1"},
			StripeOthers: []stripeAccount{{Name: "eu", Key: "rk_live_2"}, {Name: "us-test"}},
		}, func(s *stubbornStripe) {
			s.answer("rk_live_1", "GET /v1/account", `{"id": "acct_1"}`)
			s.answer("rk_live_2", "GET /v1/account", `{"id": "acct_1"}`)
			s.endpoint("rk_live_1", "we_1", hook+"main", stripesync.Version, "*")
			s.endpoint("rk_live_1", "we_2", hook+"eu", stripesync.Version, "*")
			s.endpoint("rk_live_2", "we_1", hook+"main", stripesync.Version, "*")
			s.endpoint("rk_live_2", "we_2", hook+"eu", stripesync.Version, "*")
		}, []string{
			`insert into dunlin.accounts (name, created_at) values ('old', '2026-01-01Z'), ('us-test', '2026-01-01Z')`, synced,
			`begin; insert into dunlin.campaigns (name, version) values ('c', 1);
			insert into dunlin.campaign_versions (name, version, source, created_at) values ('c', 1, '', '2026-01-01Z'); commit`,
			`insert into dunlin.enrollments (account_id, customer_id, campaign, episode, version, state, enrolled_at, starts_at)
			select account_id, n, 'c', '1', 1, 'active', '2026-03-01Z', '2026-03-01Z' from dunlin.accounts, generate_series(1, case name when 'old' then 3 else 1 end) n`,
			`insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, state, reason)
			select account_id, customer_id, campaign, episode, 'nudge', 'message', 'planned', 'unapplied_event' from dunlin.enrollments`,
			event("evt_1", "10 seconds", "applied", ""), event("evt_2", "5 seconds", "stored", ""),
		}},
	}
	shown := make([]string, len(tests))
	t.Run("states", func(t *testing.T) {
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				stripe := newStubbornStripe(t, func() time.Time { return noon })
				if tt.arrange != nil {
					tt.arrange(stripe)
				}
				if tt.env.StripeBase == "" {
					tt.env.StripeBase = stripe.URL
				}
				db := connected(t, pgtest.URL(t))
				p, err := wire(t.Context(), wiring{Pool: db.Pool, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }, Env: tt.env})
				if err != nil {
					t.Fatal(err)
				}
				for _, sql := range tt.sql {
					execSQL(t, db.Pool, sql)
				}
				found, err := p.examineStripe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				a, out, _ := quiet(false)
				err = a.tell(found)
				if wrong := strings.Contains(out.String(), "MEND"); wrong != errors.Is(err, errSilent) {
					t.Errorf("doctor fails\n got %v\nwant it to exactly when something is to be mended:\n%s", err, out)
				}
				shown[i] = fmt.Sprintf("== %s\n%s\n", tt.name, out)
			})
		}
	})
	golden(t, "doctor_stripe.txt", strings.Join(shown, ""))
}

func TestAccountExam_clock(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		skew time.Duration // of Stripe's clock ahead of ours
		want string
	}{
		{"in step", 0, "ok   this machine's clock agrees with Stripe's"},
		{"nearly", -10 * time.Second, "ok   this machine's clock agrees with Stripe's"},
		{"slow", 11 * time.Second, "WARN this machine's clock is 11s behind Stripe's"},
		{"fast", -5 * time.Minute, "WARN this machine's clock is 5m0s ahead of Stripe's"},
		{"far too slow", 301 * time.Second, "MEND this machine's clock is 5m1s behind Stripe's: what is due is done too late"},
		{"far too fast", -2 * time.Hour, "MEND this machine's clock is 2h0m0s ahead of Stripe's: webhooks are refused, because their signatures seem too old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := &accountExam{account: stripeAccount{Name: "main"}}
			x.tellClock(tt.skew)
			mark := map[[2]bool]string{{true, false}: "ok   ", {true, true}: "WARN ", {false, false}: "MEND "}[[2]bool{x.found[0].OK, x.found[0].Warn}]
			if got := mark + strings.TrimPrefix(x.found[0].What, "account main: "); got != tt.want {
				t.Errorf("tellClock(%s)\n got %s\nwant %s", tt.skew, got, tt.want)
			}
		})
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 47 * time.Hour: "47h", 50 * time.Hour: "2 days",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s)\n got %s\nwant %s", d, got, want)
		}
	}
}

// TestApp_tell: what is JSON has every field, and MEND alone fails.
func TestApp_tell(t *testing.T) {
	t.Parallel()
	a, out, _ := quiet(true)
	if err := a.tell([]finding{{OK: true, Topic: "stripe", What: "well"}, {OK: true, Warn: true, Topic: "stripe", What: "so so", Fix: "look"}}); err != nil {
		t.Errorf("nothing to mend\n got %v\nwant no error", err)
	}
	const want = `{"ok":true,"warn":false,"topic":"stripe","what":"well"}
{"ok":true,"warn":true,"topic":"stripe","what":"so so","fix":"look"}
`
	if out.String() != want {
		t.Errorf("findings\n got %s\nwant %s", out, want)
	}
	if err := a.tell([]finding{{Topic: "stripe", What: "ill"}}); err == nil {
		t.Error("something to mend\n got no error\nwant one")
	}
}
