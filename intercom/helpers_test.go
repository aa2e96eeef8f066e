package intercom

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/dunlin/dunlin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const testToken = "dG9rOnNlY3JldA=="

// newTestClient returns a client that talks to base, repeats without waiting,
// and has each of its requests checked against Intercom's OpenAPI description.
func newTestClient(t testing.TB, base string, change ...func(*Config)) *Client {
	t.Helper()
	_, _ = spec() // now: loading it must not take a request's time
	cfg := Config{BaseURL: base, Token: testToken, HTTP: &http.Client{Transport: checked{t, transport()}}}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.backoff = func(int) time.Duration { return time.Microsecond }
	return c
}

// serve starts an Intercom that answers with h.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// answer writes one JSON answer.
func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func envelope(code, message string) string {
	raw, _ := json.Marshal(map[string]any{
		"type": "error.list", "request_id": "req-1",
		"errors": []map[string]string{{"code": code, "message": message}},
	})
	return string(raw)
}

// specPath is Intercom's OpenAPI description of version 2.16, which is not part
// of this repository.
var specPath = filepath.Join("..", "..", "shared", "specs", "intercom-2.16.yaml")

var spec = sync.OnceValues(func() (routers.Router, error) {
	if _, err := os.Stat(specPath); err != nil {
		return nil, nil
	}
	doc, err := openapi3.NewLoader().LoadFromFile(specPath)
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: DefaultBaseURL}}
	return gorillamux.NewRouter(doc) // the document as a whole is not valid OpenAPI
})

// TestSpec says plainly when the other tests' requests went unchecked.
func TestSpec(t *testing.T) {
	t.Parallel()
	router, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	if router == nil {
		t.Skipf("requests are not checked against Intercom's OpenAPI description: %s is not there", specPath)
	}
}

// deviations are where we knowingly send what the description does not allow.
var deviations = []struct{ op, field, sent, described, reason string }{
	{
		"createMessage", "message_type", "inapp", "in_app",
		"the enumeration says in_app; the description's examples and answers and Intercom's own clients say inapp",
	},
}

// tolerated are parts of what we send that the description wrongly refuses: the
// operation, and what the complaint has in it.
var tolerated = []struct{ op, complaint, reason string }{
	{"createNote", `parameter "contact_id" in path`, "typed integer; contacts' ids are 24 hexadecimal digits, as in its own examples"},
	{"createDataEvent", `Error at "/metadata/`, "texts only; the operation's own description has numbers, dates, links and money"},
}

// checked is a transport that refuses requests the description does not allow.
type checked struct {
	t    testing.TB
	next http.RoundTripper
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	c.check(r)
	return c.next.RoundTrip(r)
}

func (c checked) check(r *http.Request) {
	router, err := spec()
	if err != nil || router == nil {
		return
	}
	u := *r.URL
	u.Scheme, u.Host = "https", "api.intercom.io"
	probe := &http.Request{Method: r.Method, URL: &u, Host: u.Host, Header: r.Header.Clone()}
	var raw []byte
	if r.GetBody != nil {
		body, _ := r.GetBody()
		raw, _ = io.ReadAll(body)
	}
	route, params, err := router.FindRoute(probe.WithContext(r.Context()))
	if err != nil {
		c.t.Errorf("%s %s is not in Intercom's description: %v", r.Method, r.URL.Path, err)
		return
	}
	for _, d := range deviations {
		if d.op == route.Operation.OperationID {
			raw = bytes.ReplaceAll(raw, []byte(`"`+d.field+`":"`+d.sent+`"`), []byte(`"`+d.field+`":"`+d.described+`"`))
		}
	}
	probe.Body = io.NopCloser(bytes.NewReader(raw))
	probe.ContentLength = int64(len(raw))
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: probe, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	for _, x := range tolerated {
		if err != nil && x.op == route.Operation.OperationID && strings.Contains(err.Error(), x.complaint) {
			return
		}
	}
	if err != nil {
		c.t.Errorf("%s %s does not match Intercom's description: %v\nbody %s", r.Method, r.URL.Path, err, raw)
	}
}

// requests remembers what a server was asked.
type requests struct {
	mu   sync.Mutex
	seen []request
}

type request struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

func (q *requests) note(r *http.Request) request {
	raw, _ := io.ReadAll(r.Body)
	n := request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: string(raw), Header: r.Header.Clone()}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen = append(q.seen, n)
	return n
}

func (q *requests) all() []request {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]request(nil), q.seen...)
}

func (q *requests) count() int { return len(q.all()) }

func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
