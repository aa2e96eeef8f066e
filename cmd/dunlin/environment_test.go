package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadEnvironment_accounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		want    []stripeAccount
	}{
		{"nothing set: main, without a key", nil, []stripeAccount{{Name: "main", Primary: true}}},
		{
			"the plain names", []string{"STRIPE_API_KEY=k1", "STRIPE_WEBHOOK_SECRET=a, b,"},
			[]stripeAccount{{Name: "main", Key: "k1", Secrets: []string{"a", "b"}, Primary: true}},
		},
		{
			"the primary one by its own names", []string{"STRIPE_API_KEY_MAIN=k1", "STRIPE_WEBHOOK_SECRET_MAIN=a"},
			[]stripeAccount{{Name: "main", Key: "k1", Secrets: []string{"a"}, Primary: true}},
		},
		{
			"the first is the primary one", []string{
				"STRIPE_ACCOUNTS=eu, main,us-test", "STRIPE_API_KEY=k1", "STRIPE_WEBHOOK_SECRET=a", "STRIPE_API_KEY_MAIN=k2",
				"STRIPE_API_KEY_US_TEST=k3", "STRIPE_WEBHOOK_SECRET_US_TEST=c,d",
			},
			[]stripeAccount{
				{Name: "eu", Key: "k1", Secrets: []string{"a"}, Primary: true}, {Name: "main", Key: "k2"},
				{Name: "us-test", Key: "k3", Secrets: []string{"c", "d"}},
			},
		},
		{"both names of the primary one, the same", []string{"STRIPE_API_KEY=k1", "STRIPE_API_KEY_MAIN=k1"}, []stripeAccount{{Name: "main", Key: "k1", Primary: true}}},
		{"an empty variable is none", []string{"STRIPE_API_KEY_OLD=", "STRIPE_ACCOUNTS="}, []stripeAccount{{Name: "main", Primary: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := readEnvironment(tt.environ)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, e.accounts()); diff != "" {
				t.Errorf("accounts (-want +got)\n%s", diff)
			}
		})
	}
}

func TestReadEnvironment_accountFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		want    string // every message, one a line
	}{
		{"a name that is none", []string{"STRIPE_ACCOUNTS=main,EU,-x"}, `STRIPE_ACCOUNTS has "EU" in it; a name is lower-case letters, digits, - and _, begins with a letter or digit, and has at most 40
STRIPE_ACCOUNTS has "-x" in it; a name is lower-case letters, digits, - and _, begins with a letter or digit, and has at most 40`},
		{"an empty name", []string{"STRIPE_ACCOUNTS=main,"}, `STRIPE_ACCOUNTS is "main," and has an empty name in it; write names with commas between, such as main,eu`},
		{"a name twice", []string{"STRIPE_ACCOUNTS=eu,main,eu"}, `STRIPE_ACCOUNTS has "eu" in it twice; write it once`},
		{"two names for one variable", []string{"STRIPE_ACCOUNTS=main,us-test,us_test"}, `STRIPE_ACCOUNTS has "us-test" and "us_test" in it, and both would read STRIPE_API_KEY_US_TEST; rename one of them`},
		{
			"a variable of no account", []string{"STRIPE_API_KEY=k1", "STRIPE_API_KEY_UE=k2", "STRIPE_WEBHOOK_SECRET_UE=w", "STRIPE_ACCOUNTS=main,eu"},
			`STRIPE_API_KEY_UE is set and no account is called ue; add it, STRIPE_ACCOUNTS=main,eu,ue, or unset the variable
STRIPE_WEBHOOK_SECRET_UE is set and no account is called ue; add it, STRIPE_ACCOUNTS=main,eu,ue, or unset the variable`,
		},
		{
			"one key for two accounts", []string{"STRIPE_ACCOUNTS=main,eu", "STRIPE_API_KEY=sk_live_1", "STRIPE_API_KEY_EU=sk_live_1"},
			"accounts main and eu have the same key: every customer would be there twice; give each the key of its own Stripe account, or take one out of STRIPE_ACCOUNTS",
		},
		{
			"two keys for one account", []string{"STRIPE_API_KEY=k1", "STRIPE_API_KEY_MAIN=k2"},
			"STRIPE_API_KEY and STRIPE_API_KEY_MAIN are both of account main, the primary one, and differ; unset one of them",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := readEnvironment(tt.environ)
			if err == nil || err.Error() != tt.want {
				t.Errorf("readEnvironment\n got %v\nwant %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "sk_live") {
				t.Errorf("a key is in the message\n got %v\nwant none", err)
			}
		})
	}
}

// TestSync_accounts: each account is synced with its own key, and one that fails
// keeps no other from it.
func TestSync_accounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, args string
		keys       []string
		status     int
		says       []string
		ready      string // names of the accounts that are synced
	}{
		{"all of them", "sync", []string{"sk_test_1", "sk_test_2", "sk_test_3"}, exitDone, []string{"account main is in sync", "account eu is in sync", "account test is in sync"}, "eu main test"},
		{
			"one fails", "sync", []string{"sk_test_1", "sk_test_bad", "sk_test_3"}, exitFailed,
			[]string{"account eu: ", "account main is in sync", "account test is in sync", "1 account not in sync: eu"}, "main test",
		},
		{"only one", "sync --account eu", []string{"sk_test_bad", "sk_test_2", ""}, exitDone, []string{"account eu is in sync"}, "eu"},
		{"only one, and it fails", "sync --account main", []string{"sk_test_bad", "sk_test_2", ""}, exitFailed, []string{"Stripe does not accept the API key"}, ""},
		{"one has no key", "sync", []string{"sk_test_1", "", "sk_test_3"}, exitUsage, []string{"STRIPE_API_KEY_EU is not set"}, ""},
		{"that one has no key", "sync --account eu", []string{"sk_test_1", "", "sk_test_3"}, exitUsage, []string{"STRIPE_API_KEY_EU is not set"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stripe := newStubbornStripe(t, time.Now)
			for _, path := range []string{"products", "prices", "customers", "subscriptions", "invoices", "charges", "events"} {
				stripe.answer("sk_test_bad", "GET /v1/"+path, `401 {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}`)
			}
			environ, pool := on(t, "STRIPE_API_BASE="+stripe.URL, "STRIPE_ACCOUNTS=main,eu,test",
				"STRIPE_API_KEY="+tt.keys[0], "STRIPE_API_KEY_EU="+tt.keys[1], "STRIPE_API_KEY_TEST="+tt.keys[2])
			p := dunlin(t, environ, "", strings.Fields(tt.args)...)
			if p.status != tt.status {
				t.Errorf("%s\n got status %d: %s\nwant %d", tt.args, p.status, p.errs, tt.status)
			}
			for _, want := range tt.says {
				if !strings.Contains(p.errs, want) {
					t.Errorf("%s\n got %s\nwant %q", tt.args, p.errs, want)
				}
			}
			if tt.status == exitUsage {
				return // the database was not opened
			}
			var ready string
			if err := pool.QueryRow(t.Context(), `select coalesce(string_agg(name, ' ' order by name), '') from dunlin.accounts where ready_at is not null`).Scan(&ready); err != nil {
				t.Fatal(err)
			}
			if ready != tt.ready {
				t.Errorf("accounts that are ready\n got %q\nwant %q", ready, tt.ready)
			}
		})
	}
}
