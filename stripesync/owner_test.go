package stripesync

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// restarted is the world's account in another process, with another key.
func (w *world) restarted(keyName string) *world {
	w.t.Helper()
	other := newWorldOn(w.t, w.pool, w.clock, w.stripe, w.name)
	other.Sync.stripe.keyName = keyName
	other.owner.known = false
	return other
}

func (w *world) pinned() (id string) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), `select coalesce(stripe_id, '') from dunlin.accounts where account_id = $1`, w.account).Scan(&id); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// A name stands for one Stripe account: nothing is read into its mirror with the
// key of another.
func TestOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.owner.known = false
	w.stripe.put("/v1/customers", ana)
	w.stripe.serve(accountPath, `{"id":"acct_1","object":"account"}`)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.clock.add(time.Hour)
	w.happened("evt_1", "customer.updated", noon.Add(time.Minute), anaMaria)
	w.catchUp()
	w.apply()
	if got := w.pinned(); got != "acct_1" {
		t.Errorf("pinned\n got %q\nwant acct_1", got)
	}
	if n := strings.Count(strings.Join(w.stripe.requests(), "\n"), accountPath); n != 1 {
		t.Errorf("asked whose the key is\n got %d times\nwant once", n)
	}

	same := w.restarted("STRIPE_API_KEY_EU")
	same.catchUp()

	before, feed := w.events(), w.one(`select extract(epoch from feed_until)::int from dunlin.accounts`)
	w.stripe.serve(accountPath, `{"id":"acct_2","object":"account"}`)
	w.happened("evt_2", "customer.created", w.clock.Now(), `{"id":"cus_2","object":"customer"}`)
	w.stripe.put("/v1/customers", `{"id":"cus_2","object":"customer"}`)
	w.clock.add(time.Hour)
	other := w.restarted("STRIPE_API_KEY_EU")
	const want = `the key in STRIPE_API_KEY_EU is of the Stripe account acct_2, and account "main" is acct_1; put a key of acct_1 there, or give acct_2 a name of its own in STRIPE_ACCOUNTS`
	w.stripe.requests()
	_, caught := other.CatchUp(t.Context())
	for what, err := range map[string]error{"CatchUp": caught, "Backfill": other.Backfill(t.Context(), nil)} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant it to end with: %s", what, err, want)
		}
	}
	if asked := w.stripe.requests(); len(asked) != 1 {
		t.Errorf("requests\n got %q\nwant one, for whose the key is", asked)
	}
	if w.events() != before || w.one(`select extract(epoch from feed_until)::int from dunlin.accounts`) != feed || w.mirror(customer("cus_2")).found {
		t.Error("something of another Stripe account was written")
	}
	if got := w.pinned(); got != "acct_1" {
		t.Errorf("pinned\n got %q\nwant acct_1 still", got)
	}
}

// A key that may not ask whose it is passes; one that Stripe did not answer for is
// asked about again.
func TestOwner_notTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		passes bool
	}{
		{"not allowed", http.StatusForbidden, true},
		{"not known there", http.StatusNotFound, true},
		{"a bad day of Stripe's", http.StatusInternalServerError, false},
		{"a wrong key", http.StatusUnauthorized, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, pgtest.New(t), &testClock{t: noon}, newFakeStripe(t, &testClock{t: noon}), "main")
			w.owner.known = false
			w.stripe.serve(accountPath, `{"id":"acct_1","object":"account"}`)
			w.stripe.failWith(func(r *http.Request) (int, string) {
				if r.URL.Path == accountPath {
					return tt.status, `{"error":{"message":"no"}}`
				}
				return 0, ""
			})
			if err := w.Backfill(t.Context(), nil); (err == nil) != tt.passes {
				t.Errorf("Backfill\n got %v\nwant it to pass: %v", err, tt.passes)
			}
			w.stripe.failWith(nil)
			if err := w.Backfill(t.Context(), nil); err != nil {
				t.Errorf("Backfill later\n got %v\nwant no error", err)
			}
			want := "acct_1"
			if tt.passes {
				want = "" // once in a process
			}
			if got := w.pinned(); got != want {
				t.Errorf("pinned\n got %q\nwant %q", got, want)
			}
		})
	}
}

// What is wrong with an account names what was set for it.
func TestMessages_nameTheVariables(t *testing.T) {
	t.Parallel()
	_, err := New(t.Context(), Config{KeyName: "STRIPE_API_KEY_EU", SecretName: "STRIPE_WEBHOOK_SECRET_EU", Secrets: []string{""}})
	for _, want := range []string{"set STRIPE_API_KEY_EU", "STRIPE_WEBHOOK_SECRET_EU is one secret"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New\n got %v\nwant %q", err, want)
		}
	}
	clock := &testClock{t: noon}
	stripe := newFakeStripe(t, clock)
	s, err := New(t.Context(), Config{
		Pool: pgtest.New(t), Account: "eu", Key: "sk_test_wrong", BaseURL: stripe.URL, Now: clock.Now, Secrets: []string{testSecret},
		KeyName: "STRIPE_API_KEY_EU", SecretName: "STRIPE_WEBHOOK_SECRET_EU",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Backfill(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "check STRIPE_API_KEY_EU") {
		t.Errorf("a wrong key\n got %v\nwant it to name STRIPE_API_KEY_EU", err)
	}
	w := &world{Sync: s, t: t, clock: clock, stripe: stripe}
	forged := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(updated), Secret: "whsec_other", Timestamp: noon})
	if answer := w.post(updated, forged.Header); !strings.Contains(answer.Body.String(), "compare STRIPE_WEBHOOK_SECRET_EU with") {
		t.Errorf("a wrong signature\n got %s\nwant it to name STRIPE_WEBHOOK_SECRET_EU", answer.Body)
	}
	s.secrets = nil
	if answer := w.deliver(updated); !strings.Contains(answer.Body.String(), "set STRIPE_WEBHOOK_SECRET_EU") {
		t.Errorf("no secret\n got %s\nwant it to name STRIPE_WEBHOOK_SECRET_EU", answer.Body)
	}
}
