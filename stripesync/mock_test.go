package stripesync

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/form"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// stripeMock is the version whose specification is API 2023-10-16.
const stripeMock = "github.com/stripe/stripe-mock@v0.183.0"

// stripe-mock checks requests against Stripe's specification: it refuses unknown
// parameters. It must accept every request of a sync, and every kind
// of refetch.
func TestRequests_stripeMock(t *testing.T) {
	t.Parallel()
	mock := startMock(t)
	clock := &testClock{t: noon}
	w := newWorldOn(t, pgtest.New(t), clock, newFakeStripe(t, clock), "main")
	s, err := New(t.Context(), Config{Pool: w.pool, Account: "mock", Key: testKey, BaseURL: mock, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backfill(t.Context(), nil); err != nil {
		t.Errorf("backfill: %v", err)
	}
	if n := w.one(`select count(*) from dunlin.stripe_payment_methods where account_id = $1`, s.account); n == 0 {
		t.Error("the expands brought no payment method")
	}
	for _, l := range lists {
		query := l.values(time.Time{}, time.Time{}, run{started: noon}, "obj_1", pageSize) // the second page
		if _, err := s.stripe.get(t.Context(), l.path, query, 1); err != nil {
			t.Errorf("%s, second page: %v", l.name, err)
		}
	}
	for _, f := range []fetch{
		{ref: customer("cus_1")},
		{ref: ref{subscriptionClass, "cus_1", "sub_1"}},
		{ref: ref{invoiceClass, "cus_1", "in_1"}},
		{ref: ref{chargeClass, "cus_1", "ch_1"}},
		{ref: ref{productClass, "", "prod_1"}},
		{ref: ref{priceClass, "", "price_1"}},
		{ref: ref{paymentMethodClass, "cus_1", "pm_1"}},
		{ref: ref{paymentMethodClass, "cus_1", "card_1"}, source: true},
	} {
		got := s.fetch(t.Context(), f)
		if got.err != nil || got.raw == nil {
			t.Errorf("%s %s: %q %v", f.class, f.id, got.raw, got.err)
		}
	}

	// The mock does refuse what the specification does not have.
	unknown := &form.Values{}
	unknown.Add("no_such_parameter", "1")
	if _, err := s.stripe.get(t.Context(), "/v1/customers", unknown, 1); err == nil {
		t.Error("an unknown parameter was accepted: this test shows nothing")
	}
	// Stripe itself allows four levels, data among them; the mock does not count.
	for _, l := range lists {
		for _, value := range regexp.MustCompile(`expand\[\d+\]=([^&]*)`).FindAllStringSubmatch(l.values(time.Time{}, time.Time{}, run{started: noon}, "", pageSize).Encode(), -1) {
			if levels := strings.Count(value[1], ".") + 1; levels > 4 {
				t.Errorf("%s expands %s\n got %d levels\nwant at most 4", l.name, value[1], levels)
			}
		}
	}
}

// startMock builds and starts stripe-mock and returns its address. The test is
// skipped when the module cannot be downloaded.
func startMock(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "go", "install", stripeMock)
	install.Dir = dir
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-buildvcs=false")
	if out, err := install.CombinedOutput(); err != nil {
		for _, offline := range []string{"dial tcp", "no such host", "i/o timeout", "module lookup disabled", "connection refused"} {
			if bytes.Contains(out, []byte(offline)) {
				t.Skipf("%s cannot be downloaded from here: %s", stripeMock, offline)
			}
		}
		t.Fatalf("go install %s: %v\n%s", stripeMock, err, out)
	}

	addresses := [2]string{}
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses[i] = listener.Addr().String()
		_ = listener.Close()
	}
	// Both, or it takes a fixed port on all interfaces for the other one.
	var out bytes.Buffer
	mock := exec.CommandContext(t.Context(), filepath.Join(dir, "stripe-mock"), "-http-addr", addresses[0], "-https-addr", addresses[1])
	mock.Stdout, mock.Stderr = &out, &out
	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mock.Process.Kill(); _ = mock.Wait() })
	url := "http://" + addresses[0]
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			return url
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("stripe-mock does not answer: %v\n%s", err, out.String())
		}
	}
}
