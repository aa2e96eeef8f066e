package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
)

// mustNew makes a sandbox with that many customers.
func mustNew(t testing.TB, seed int64, customers int) *Sandbox {
	t.Helper()
	s, err := New(Config{Seed: seed, Customers: customers})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return s
}

// live advances from event to event for that many days.
func live(t testing.TB, s *Sandbox, days int) (all Happened) {
	t.Helper()
	for end := s.Now().AddDate(0, 0, days); s.Now().Before(end); {
		to := s.Next()
		if to.After(end) {
			to = end
		}
		h, err := s.Advance(context.Background(), to)
		if err != nil {
			t.Fatalf("Advance(%s): %v", to, err)
		}
		all.Events += h.Events
		all.Lines = append(all.Lines, h.Lines...)
		all.Undelivered = h.Undelivered
	}
	return all
}

// stripeClient is the real client, pointed at the sandbox over HTTP.
func stripeClient(t testing.TB, s *Sandbox) *client.API {
	t.Helper()
	server := httptest.NewServer(s.Stripe())
	t.Cleanup(server.Close)
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(server.URL), HTTPClient: server.Client(), MaxNetworkRetries: stripe.Int64(0), LeveledLogger: &stripe.LeveledLogger{}})
	api := &client.API{}
	api.Init(StripeKey, &stripe.Backends{API: backend, Connect: backend, Uploads: backend})
	return api
}

// get asks the Stripe half for a path and returns the status and the answer.
func get(t testing.TB, s *Sandbox, path string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+StripeKey)
	w := httptest.NewRecorder()
	s.Stripe().ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("GET %s: the answer is not JSON: %v", path, err)
	}
	return w.Code, body
}

// fetch follows has_more through a whole list and returns its objects' ids.
func fetch(t testing.TB, s *Sandbox, path string, q url.Values) (ids []string) {
	t.Helper()
	for {
		code, body := get(t, s, path+"?"+q.Encode())
		if code != 200 {
			t.Fatalf("GET %s?%s: status %d: %v", path, q.Encode(), code, body)
		}
		for _, o := range body["data"].([]any) {
			ids = append(ids, o.(map[string]any)["id"].(string))
		}
		if body["has_more"] != true {
			return ids
		}
		q.Set("starting_after", ids[len(ids)-1])
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Customers: -1, Start: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)})
	want := "the sandbox cannot have -1 customers; give a number above zero, or 0 for 2000\n" +
		"the sandbox cannot start in the year 1900; give one between 2001 and 2200"
	if err == nil || err.Error() != want {
		t.Errorf("New with two faults\n got %v\nwant %v", err, want)
	}
}

func TestAdvance_refusesThePast(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 1, 5)
	if _, err := s.Advance(context.Background(), s.Now().Add(-time.Second)); err == nil {
		t.Error("Advance into the past succeeded")
	}
	at := s.Now().Add(7 * time.Minute)
	if _, err := s.Advance(context.Background(), at); err != nil || !s.Now().Equal(at) {
		t.Errorf("Advance off the grid\n got %s, %v\nwant %s", s.Now(), err, at)
	}
}

func TestMonthsAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		anchor string
		n      int
		want   string
	}{
		{"2026-01-31T10:15:00Z", 1, "2026-02-28T10:15:00Z"},
		{"2026-01-31T10:15:00Z", 2, "2026-03-31T10:15:00Z"},
		{"2024-02-29T00:00:00Z", 12, "2025-02-28T00:00:00Z"},
		{"2026-12-15T23:45:00Z", 1, "2027-01-15T23:45:00Z"},
		{"2026-03-30T06:00:00Z", -1, "2026-02-28T06:00:00Z"},
	}
	for _, tt := range tests {
		anchor, _ := time.Parse(time.RFC3339, tt.anchor)
		if got := time.Unix(monthsAfter(anchor.Unix(), tt.n), 0).UTC().Format(time.RFC3339); got != tt.want {
			t.Errorf("%s and %d months\n got %s\nwant %s", tt.anchor, tt.n, got, tt.want)
		}
	}
}

func TestDice(t *testing.T) {
	t.Parallel()
	d, other := dice(1), dice(2)
	if d.id("cus_", "a", 14) == other.id("cus_", "a", 14) || d.id("cus_", "a", 14) == d.id("cus_", "b", 14) {
		t.Error("ids do not depend on seed and entity")
	}
	sum, buckets := 0.0, [10]int{}
	for n := range 20000 {
		x := d.unit("customer/"+itoa(int64(n)), "life", 0)
		sum += x
		buckets[int(x*10)]++
	}
	if mean := sum / 20000; mean < 0.49 || mean > 0.51 {
		t.Errorf("mean of 20000 throws is %v, want about 0.5", mean)
	}
	for n, count := range buckets {
		if count < 1800 || count > 2200 {
			t.Errorf("bucket %d holds %d of 20000 throws, want about 2000", n, count)
		}
	}
}

func TestMoneyText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		amount   int64
		currency string
		want     string
	}{{4900, "usd", "49.00 usd"}, {5, "eur", "0.05 eur"}, {6900, "jpy", "6900 jpy"}, {0, "gbp", "0.00 gbp"}} {
		if got := moneyText(tt.amount, tt.currency); got != tt.want {
			t.Errorf("moneyText(%d, %s)\n got %s\nwant %s", tt.amount, tt.currency, got, tt.want)
		}
	}
}
