package jobs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/campaigns"
)

// hook serves a receiver of webhooks and lets the worker reach it.
func hook(t *testing.T, d *deliverWorker, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	d.Webhooks = WebhookClient(true)
	d.Webhooks.Transport.(*http.Transport).TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
	d.Getenv = func(name string) string {
		return map[string]string{"CRM_SECRET": "whsec"}[name]
	}
	return s.URL
}

// TestWebhook: what a receiver gets, and how it can tell that it is from us, and
// whether it had it before.
func TestWebhook(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	w.exec(`update dunlin.customers set account = 'main'`)
	type request struct {
		method string
		header http.Header
		body   []byte
	}
	got := make(chan request, 1)
	url := hook(t, d, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Method + " " + r.URL.String(), r.Header, body}
		rw.WriteHeader(http.StatusNoContent)
	})
	d.Intercom = nil // a webhook has no need of it
	c := w.claimed(campaigns.Webhook, func(c *campaigns.Claim) { c.URL = url + "/dunlin?key=1" })
	if o := d.call(t.Context(), c); o.Result != campaigns.Accepted || o.Detail != "" {
		t.Fatalf("outcome %+v", o)
	}
	r := <-got
	var body map[string]any
	if err := json.Unmarshal(r.body, &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"delivery": "k7f3qz", "account": "main", "customer": "cus_ann0", "contact": w.contact(0), "campaign": "dunning", "step": "step", "episode": "1",
		"at": "2026-03-02T12:00:00Z", "values": map[string]any{"open": "49.00 USD"},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got)\n%s", diff)
	}
	mac := hmac.New(sha256.New, []byte("whsec"))
	stamp := strconv.FormatInt(noon.Unix(), 10)
	mac.Write(append([]byte(stamp+"."), r.body...))
	headers := map[string]string{
		"Idempotency-Key": "k7f3qz", "Content-Type": "application/json",
		"Dunlin-Signature": "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil)),
	}
	for name, want := range headers {
		if r.header.Get(name) != want {
			t.Errorf("%s\n got %q\nwant %q", name, r.header.Get(name), want)
		}
	}
	if r.method != "POST /dunlin?key=1" {
		t.Errorf("asked %s", r.method)
	}
}

// TestWebhook_answers: what is no for good is refused; all doubt is a reason to
// call again, with growing rests, and in the end it is unclear.
func TestWebhook_answers(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	url := hook(t, d, func(rw http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		rw.Header().Set("Location", "/200")
		rw.WriteHeader(status)
	})
	tests := []struct {
		answer  string
		attempt int
		want    campaigns.Result
		retry   time.Duration
	}{
		{"202", 1, campaigns.Accepted, 0},
		{"307", 1, campaigns.Refused, 0}, // a redirect is not followed
		{"400", 1, campaigns.Refused, 0},
		{"410", 8, campaigns.Refused, 0},
		{"401", 1, campaigns.NotDone, 30 * time.Second}, // the secret may be set in a moment
		{"404", 8, campaigns.Refused, 0},
		{"409", 1, campaigns.NotDone, 30 * time.Second},
		{"429", 2, campaigns.NotDone, time.Minute},
		{"500", 3, campaigns.NotDone, 2 * time.Minute},
		{"503", 7, campaigns.NotDone, 32 * time.Minute},
		{"503", 8, campaigns.Unclear, 0},
		{"nothing", 1, campaigns.NotDone, 30 * time.Second},
		{"nothing", 8, campaigns.Unclear, 0},
	}
	for _, tt := range tests {
		o := d.call(t.Context(), w.claimed(campaigns.Webhook, func(c *campaigns.Claim) {
			c.URL, c.Attempt = url+"/"+tt.answer, 20 // of which only answers count
			c.Failure, c.Failures = campaigns.AddressFailing, tt.attempt-1
		}))
		if o.Result != tt.want || o.Retry != tt.retry || (o.Detail == "") != (o.Result == campaigns.Accepted) || strings.Contains(o.Detail, url) {
			t.Errorf("%s to attempt %d\n got %+v\nwant %s, %s", tt.answer, tt.attempt, o, tt.want, tt.retry)
		}
	}
}

func TestWebhook_noSecret(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	url := hook(t, d, func(http.ResponseWriter, *http.Request) { t.Error("called without a signature") })
	for name, getenv := range map[string]func(string) string{"unset": d.Getenv, "no environment": nil} {
		d.Getenv = getenv
		o := d.call(t.Context(), w.claimed(campaigns.Webhook, func(c *campaigns.Claim) { c.URL, c.Secret = url, "OTHER_SECRET" }))
		if o.Result != campaigns.NotDone || !strings.Contains(o.Detail, "OTHER_SECRET is not set") {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestWebhook_private: no definition reaches into our own network, by whatever
// name.
func TestWebhook_private(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	url := hook(t, d, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	d.Webhooks = nil
	for _, address := range []string{url, strings.Replace(url, "127.0.0.1", "localhost", 1)} {
		o := d.call(t.Context(), w.claimed(campaigns.Webhook, func(c *campaigns.Claim) { c.URL = address }))
		if o.Result != campaigns.Refused || !strings.Contains(o.Detail, "WEBHOOKS_PRIVATE") {
			t.Errorf("%s: %+v", address, o)
		}
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1:248:1893:25c8:1946]:443": true,
		"127.0.0.1:443": false, "10.0.0.1:443": false, "172.16.0.1:443": false, "192.168.1.1:443": false, "169.254.169.254:80": false,
		"100.64.0.1:443": false, "0.0.0.0:443": false, "224.0.0.1:443": false, "255.255.255.255:443": false, "198.18.0.1:443": false,
		"[::1]:443": false, "[::]:443": false, "[fd00::1]:443": false, "[fe80::1%eth0]:443": false, "[::ffff:10.0.0.1]:443": false,
		"[64:ff9b::a00:1]:443": false, "[2002:a00:1::]:443": false, "example.com:443": false, "": false,
	}
	for address, want := range tests {
		if got := public(address); got != want {
			t.Errorf("public(%q)\n got %v\nwant %v", address, got, want)
		}
	}
}
