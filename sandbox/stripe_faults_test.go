package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asked is one request over HTTP: its answer, or how it failed.
func asked(t testing.TB, ctx context.Context, server *httptest.Server, method, path, body string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+StripeKey)
	r.Header.Set("Idempotency-Key", "once")
	answer, err := server.Client().Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, string(text), err
}

func TestStripeFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  StripeFault
		status int    // 0: none
		reason string // Stripe-Rate-Limited-Reason
		holds  string // of the body
		counts string // as a reason of a 429
	}{
		{"none", StripeFault{}, 200, "", `"object":"list"`, ""},
		{"slow", StripeFault{Delay: time.Millisecond}, 200, "", `"object":"list"`, ""},
		{"429 of a rate", StripeFault{Kind: FaultStatus, Status: 429, Reason: "endpoint-rate"}, 429, "endpoint-rate", `"code":"rate_limit"`, "endpoint-rate"},
		{"429 of a lock", StripeFault{Kind: FaultStatus, Status: 429}, 429, "", `"code":"lock_timeout"`, "lock_timeout"},
		{"500", StripeFault{Kind: FaultStatus, Status: 500}, 500, "", `"type":"api_error"`, ""},
		{"503 of the edge", StripeFault{Kind: FaultStatus, Status: 503, HTML: true}, 503, "", "<h1>Service Unavailable</h1>", ""},
		{"reset", StripeFault{Kind: FaultReset}, 0, "", "", ""},
		{"hang", StripeFault{Kind: FaultHang}, 0, "", "", ""},
		{"too slow", StripeFault{Delay: time.Hour}, 0, "", "", ""},
		{"truncated", StripeFault{Kind: FaultTruncate}, 0, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			silent := tt.fault.Kind == FaultHang || tt.fault.Delay > time.Minute
			s, err := New(Config{Seed: 1, Customers: 20, StripeFaults: func(*http.Request) StripeFault {
				if silent {
					cancel() // the client gives up
				}
				return tt.fault
			}})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(s.Stripe())
			answer, body, err := asked(t, ctx, server, http.MethodGet, "/v1/customers", "")
			server.Close() // when every request is over
			switch {
			case silent:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("a client that gave up: %v", err)
				}
			case tt.fault.Kind == FaultReset:
				if !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a reset connection: %v", err)
				}
			case tt.fault.Kind == FaultTruncate:
				if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
					t.Errorf("a body cut off: %d bytes, %v", len(body), err)
				}
			default:
				if err != nil || answer.StatusCode != tt.status || !strings.Contains(body, tt.holds) || answer.Header.Get("Stripe-Rate-Limited-Reason") != tt.reason {
					t.Fatalf("%v, %v: %.200s", answer, err, body)
				}
				if named := answer.Header.Get("Request-Id") != ""; named == (tt.counts == "lock_timeout" || tt.fault.HTML) {
					t.Errorf("Request-Id is %q", answer.Header.Get("Request-Id"))
				}
			}
			counts := s.StripeAnswers()
			if counts.ByStatus[tt.status] != 1 || counts.ByEndpoint["GET /v1/customers"] != 1 || tt.counts != "" && counts.ByReason[tt.counts] != 1 {
				t.Errorf("counted %+v", counts)
			}
		})
	}
}

// A reset after the request was carried out leaves an endpoint that its maker
// does not know of; asking again with the same key does not make a second one.
func TestStripeFaults_process(t *testing.T) {
	t.Parallel()
	var once sync.Once
	s, err := New(Config{Seed: 1, Customers: 2, StripeFaults: func(*http.Request) (fault StripeFault) {
		once.Do(func() { fault = StripeFault{Kind: FaultReset, Process: true} })
		return fault
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Stripe())
	defer server.Close()
	const form = "url=http%3A%2F%2F127.0.0.1%2Fhook&enabled_events[0]=*"
	if _, _, err := asked(t, context.Background(), server, http.MethodPost, "/v1/webhook_endpoints", form); err == nil {
		t.Fatal("the reset was answered")
	}
	answer, body, err := asked(t, context.Background(), server, http.MethodPost, "/v1/webhook_endpoints", form)
	if err != nil || answer.StatusCode != 200 || answer.Header.Get("Idempotent-Replayed") != "true" || !strings.Contains(body, `"secret":"whsec_`) {
		t.Errorf("asked again: %v %v %s", answer, err, body)
	}
	if n := len(s.world.endpoints); n != 1 {
		t.Errorf("endpoints\n got %d\nwant 1", n)
	}
	if answer, body, _ := asked(t, context.Background(), server, http.MethodPost, "/v1/webhook_endpoints", form+"&description=other"); answer.StatusCode != 400 || !strings.Contains(body, `"type":"idempotency_error"`) {
		t.Errorf("another request with the same key: %d %s", answer.StatusCode, body)
	}
}

// fates asks for pages in a loop and returns what came of each request.
func fates(t *testing.T, s *Sandbox, n int) (all []string) {
	t.Helper()
	for range n {
		r := httptest.NewRequest(http.MethodGet, "/v1/products?limit=1", nil)
		r.Header.Set("Authorization", "Bearer "+StripeKey)
		w := httptest.NewRecorder()
		func() {
			defer func() {
				if gone := recover(); gone != nil {
					w.Code = 0
				}
			}()
			s.Stripe().ServeHTTP(w, r)
		}()
		all = append(all, http.StatusText(w.Code)+" "+w.Header().Get("Stripe-Rate-Limited-Reason"))
	}
	return all
}

func TestMisbehaviour_requests(t *testing.T) {
	t.Parallel()
	m := Misbehaviour{Seed: 5, RateLimited: 0.2, LockTimeouts: 0.1, Failures: 0.1, Unavailable: 0.1, Resets: 0.1, Truncated: 0.1}
	mustMisbehave := func(seed int64) *Sandbox {
		s := mustNew(t, 1, 2)
		m.Seed = seed
		if err := s.Misbehave(m); err != nil {
			t.Fatal(err)
		}
		return s
	}
	const asks = 2000
	s := mustMisbehave(5)
	first := fates(t, s, asks)
	if diff := cmp.Diff(first, fates(t, mustMisbehave(5), asks)); diff != "" {
		t.Errorf("the same requests met other fates (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, fates(t, mustMisbehave(6), asks)) {
		t.Error("another seed is the same fate")
	}
	counts := s.StripeAnswers()
	for status, want := range map[int]float64{200: 0.3, 429: 0.3, 500: 0.1, 503: 0.1, 0: 0.2} {
		if got := float64(counts.ByStatus[status]) / asks; got < want-0.04 || got > want+0.04 {
			t.Errorf("share of status %d\n got %v\nwant %v", status, got, want)
		}
	}
	if len(counts.ByReason) != len(rateReasons)+1 || s.StripeRequests() != asks {
		t.Errorf("reasons %v in %d requests", counts.ByReason, s.StripeRequests())
	}
	if err := s.Misbehave(Misbehaviour{}); err != nil {
		t.Fatal(err)
	}
	for _, fate := range fates(t, s, 100) {
		if fate != "OK " {
			t.Fatalf("after it was over: %s", fate)
		}
	}
}

func TestMisbehaviour_refusals(t *testing.T) {
	t.Parallel()
	_, err := New(Config{APIVersion: "2019-01-01", WebhookVersion: "1", Life: Life{Refunds: 2}, StripeLimits: StripeLimits{Account: -1},
		Misbehaviour: Misbehaviour{Failures: 0.7, Resets: 0.7, Dropped: -1, Latency: -time.Second}, StripeForbidden: []string{"unicorns"}})
	want := `the sandbox does not have Stripe's API version "2019-01-01"; give 2023-10-16 or 2025-03-31.basil
the sandbox does not have Stripe's API version "1"; give 2023-10-16 or 2025-03-31.basil
the sandbox's Life.Refunds is 2; give a share from 0 to 1
the sandbox's Misbehaviour.Dropped is -1; give a share from 0 to 1
the shares of requests in the sandbox's Misbehaviour add up to 1.4; give shares of 1 together at most
the sandbox's Misbehaviour.Latency is -1s; give zero or more
the sandbox's StripeLimits are -1 and 0 requests a second; give numbers above zero, or 0 for no limit
the sandbox's StripeForbidden names "unicorns", which the sandbox does not have; give classes as in paths: customers, charges, payment_methods`
	if err == nil || err.Error() != want {
		t.Errorf("New with many faults\n got %v\nwant %v", err, want)
	}
	s := mustNew(t, 1, 2)
	if s.Misbehave(Misbehaviour{Twins: 3}) == nil || s.SetAPIVersion("") == nil {
		t.Error("a share of 3, or no version, was accepted")
	}
}
