package sandbox

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStripeLimits(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Seed: 1, Customers: 5, StripeLimits: StripeLimits{Account: 5, Endpoint: 3}})
	if err != nil {
		t.Fatal(err)
	}
	machine := time.Unix(1_700_000_000, 0)
	s.stripe.machine = func() time.Time { return machine }
	ask := func(path string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+StripeKey)
		w := httptest.NewRecorder()
		s.Stripe().ServeHTTP(w, r)
		return http.StatusText(w.Code) + " " + w.Header().Get("Stripe-Rate-Limited-Reason")
	}
	const ok, endpoint, account = "OK ", "Too Many Requests endpoint-rate", "Too Many Requests global-rate"
	a, b := s.world.customers[0].id, s.world.customers[1].id
	var got []string
	for _, path := range []string{"/v1/customers/" + a, "/v1/customers/" + b, "/v1/customers/" + a, "/v1/customers/" + b, "/v1/customers", "/v1/products", "/v1/prices"} {
		got = append(got, ask(path))
	}
	machine = machine.Add(time.Second)
	got = append(got, ask("/v1/customers/"+a))
	if diff := cmp.Diff([]string{ok, ok, ok, endpoint, ok, ok, account, ok}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	counts := s.StripeAnswers()
	want := StripeAnswers{ByStatus: map[int]int{200: 6, 429: 2}, ByReason: map[string]int{"endpoint-rate": 1, "global-rate": 1},
		ByEndpoint: map[string]int{"GET /v1/customers/{id}": 5, "GET /v1/customers": 1, "GET /v1/products": 1, "GET /v1/prices": 1}}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestStripe_restrictedKey(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Seed: 1, Customers: 5, StripeForbidden: []string{"charges", "payment_methods"}})
	if err != nil {
		t.Fatal(err)
	}
	c := s.world.customers[0].id
	for path, want := range map[string]int{"/v1/charges": 403, "/v1/charges/ch_1": 403, "/v1/customers/" + c + "/payment_methods": 403, "/v1/customers": 200, "/v1/events": 200} {
		status, body := get(t, s, path)
		if status != want {
			t.Errorf("%s\n got %d: %v\nwant %d", path, status, body, want)
		}
	}
	_, body := get(t, s, "/v1/charges")
	text := "The provided key '" + redact(StripeKey) + "' does not have the required permissions for this endpoint on account '" +
		s.world.accountID() + "'. Having the 'rak_charge_read' permission would allow this request to continue."
	if diff := cmp.Diff(map[string]any{"error": map[string]any{"type": "invalid_request_error", "message": text}}, body); diff != "" {
		t.Errorf("the refusal (-want +got):\n%s", diff)
	}
}
