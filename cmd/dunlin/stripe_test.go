package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin/dunlin/stripesync"
)

// A stubbornStripe has several accounts, told apart by their keys, with endpoints
// and nothing else in them, and answers as it was told to.
type stubbornStripe struct {
	*httptest.Server
	now func() time.Time

	mu        sync.Mutex
	answers   map[string]string // "key METHOD /path": a body, or "403 body"
	endpoints map[string][]string
}

func newStubbornStripe(t testing.TB, now func() time.Time) *stubbornStripe {
	s := &stubbornStripe{now: now, answers: map[string]string{}, endpoints: map[string][]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stubbornStripe) answer(key, request, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[key+" "+request] = answer
}

// endpoint gives the account an enabled endpoint.
func (s *stubbornStripe) endpoint(key, id, url, version string, types ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints[key] = append(s.endpoints[key], stubbornEndpoint(id, url, version, "enabled", types, ""))
}

func stubbornEndpoint(id, url, version, status string, types []string, secret string) string {
	return fmt.Sprintf(`{"id": %q, "object": "webhook_endpoint", "api_version": %q, "created": 1772000000, "enabled_events": ["%s"], "livemode": false, "status": %q, "url": %q, "secret": %q}`,
		id, version, strings.Join(types, `", "`), status, url, secret)
}

func (s *stubbornStripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	request := r.Method + " " + r.URL.Path
	answer, told := s.answers[key+" "+request]
	if status, body, found := strings.Cut(answer, " "); told && found && len(status) == 3 {
		w.WriteHeader(map[string]int{"401": 401, "403": 403, "404": 404, "500": 500}[status])
		answer = body
	}
	switch {
	case told || answer != "":
	case request == "GET /v1/account":
		answer = fmt.Sprintf(`{"id": "acct_%s", "object": "account"}`, key)
	case request == "POST /v1/webhook_endpoints":
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var types []string
		for i := 0; r.PostForm.Has(fmt.Sprintf("enabled_events[%d]", i)); i++ {
			types = append(types, r.PostForm.Get(fmt.Sprintf("enabled_events[%d]", i)))
		}
		made := func(secret string) string {
			return stubbornEndpoint("we_new", r.PostForm.Get("url"), r.PostForm.Get("api_version"), "enabled", types, secret)
		}
		s.endpoints[key] = append(s.endpoints[key], made(""))
		answer = made("whsec_told_once")
	case request == "GET /v1/webhook_endpoints":
		answer = fmt.Sprintf(`{"object": "list", "has_more": false, "data": [%s]}`, strings.Join(s.endpoints[key], ", "))
	default:
		answer = `{"object": "list", "has_more": false, "data": []}`
	}
	_, _ = io.WriteString(w, answer)
}

func TestStripeEndpoint(t *testing.T) {
	t.Parallel()
	stripe := newStubbornStripe(t, time.Now)
	environ, _ := on(t, "STRIPE_API_BASE="+stripe.URL, "STRIPE_ACCOUNTS=main,eu", "STRIPE_API_KEY=sk_test_1", "STRIPE_API_KEY_EU=sk_test_2", "STRIPE_WEBHOOK_SECRET=whsec_old")
	stripe.endpoint("sk_test_2", "we_elsewhere", "https://other.example.com/hook", "2020-08-27", "*")
	const host = "https://dunlin.example.com"
	var shown strings.Builder
	for _, command := range []string{
		"stripe endpoint list",
		"stripe endpoint create --url " + host,
		"stripe endpoint create --url " + host + "/webhooks/stripe/main",
		"stripe endpoint create --account eu --url " + host + "/webhooks/stripe/eu/",
		"stripe endpoint list",
		"stripe endpoint list --account main --json",
	} {
		p := dunlin(t, environ, "", strings.Fields(command)...)
		fmt.Fprintf(&shown, "$ dunlin %s\n%s", command, p.out)
		for line := range strings.Lines(p.errs) {
			if !strings.HasPrefix(line, "time=") {
				shown.WriteString("# " + line)
			}
		}
		fmt.Fprintf(&shown, "status %d\n\n", p.status)
	}
	golden(t, "stripe_endpoint.txt", shown.String())

	made := objects(t, ok(t, environ, "", "stripe", "endpoint", "create", "--json", "--account", "eu", "--url", host+"/before/webhooks/stripe/eu"))
	if made[0]["secret"] != "whsec_told_once" || made[0]["variable"] != "STRIPE_WEBHOOK_SECRET_EU" || made[0]["api_version"] != stripesync.Version ||
		len(made[0]["enabled_events"].([]any)) != len(stripesync.EventTypes()) {
		t.Errorf("stripe endpoint create --json\n got %v\nwant its secret, the variable for it, the version and all types", made[0])
	}
}

func TestStripeEndpoint_wrong(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, args, want string }{
		{"no https", "--url http://dunlin.example.com/webhooks/stripe/main", "is not https"},
		{"no address", "--url dunlin.example.com", "is no address that Stripe can send to; write one such as https://dunlin.example.com/webhooks/stripe/main"},
		{"a password in it", "--url https://a:b@dunlin.example.com", "is no address"},
		{"another path", "--url https://dunlin.example.com/hooks", "does not end in /webhooks/stripe/main"},
		{"the path of another account", "--account eu --url https://dunlin.example.com/webhooks/stripe/main", "does not end in /webhooks/stripe/eu"},
		{"no such account", "--account us --url https://dunlin.example.com", `there is no account "us"; there are "main", "eu" (STRIPE_ACCOUNTS)`},
		{"no key", "--account eu --url https://dunlin.example.com", "STRIPE_API_KEY_EU is not set"},
		{"no url", "", "missing flags: --url"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			environ := []string{"DATABASE_URL=postgres://nowhere", "STRIPE_ACCOUNTS=main,eu", "STRIPE_API_KEY=sk_test_1"}
			p := dunlin(t, environ, "", append([]string{"stripe", "endpoint", "create"}, strings.Fields(tt.args)...)...)
			if p.status != exitUsage || !strings.Contains(p.errs, tt.want) {
				t.Errorf("stripe endpoint create %s\n got status %d: %s\nwant 2 and %q", tt.args, p.status, p.errs, tt.want)
			}
		})
	}
}

func TestEndpointURL(t *testing.T) {
	t.Parallel()
	account := stripeAccount{Name: "main", Primary: true}
	tests := []struct{ name, raw, want string }{
		{"completed", "https://dunlin.example.com", "https://dunlin.example.com/webhooks/stripe/main"},
		{"completed behind a slash", "https://dunlin.example.com/", "https://dunlin.example.com/webhooks/stripe/main"},
		{"kept", "https://example.com/dunlin/webhooks/stripe/main?x=1", "https://example.com/dunlin/webhooks/stripe/main?x=1"},
		{"here", "http://localhost:8080", "http://localhost:8080/webhooks/stripe/main"},
		{"here by address", "http://[::1]:8080", "http://[::1]:8080/webhooks/stripe/main"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := endpointURL(tt.raw, account)
			if err != nil || got != tt.want {
				t.Errorf("endpointURL(%s)\n got %s, %v\nwant %s", tt.raw, got, err, tt.want)
			}
		})
	}
}

// The operators' page names every type for whoever makes an endpoint by hand.
func TestEventTypes_documented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, eventType := range stripesync.EventTypes() {
		at := strings.LastIndex(eventType, ".") + 1
		named := false
		for line := range strings.Lines(string(page)) {
			family, names, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
			named = named || strings.Contains(names, "`"+eventType+"`") ||
				strings.Contains(family, "`"+eventType[:at]+"`") && strings.Contains(names, "`"+eventType[at:]+"`")
		}
		if !named {
			t.Errorf("docs/operators.md\n got no %s\nwant it among the types of an endpoint", eventType)
		}
	}
}
