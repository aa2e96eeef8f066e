package stripesync

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/dunlin/dunlin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	testKey    = "sk_test_key"
	testSecret = "whsec_one"
)

// noon is when most tests take place.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// A testClock is a Clock that is moved by hand.
type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A fakeStripe serves objects by path, as they were put, and lists of them.
type fakeStripe struct {
	*httptest.Server
	clock *testClock

	mu      sync.Mutex
	objects map[string][]byte            // by path
	lists   map[string][]json.RawMessage // by path, newest first
	asked   []string                     // path?query of every request
	fail    func(r *http.Request) (status int, body string)
}

func newFakeStripe(t testing.TB, clock *testClock) *fakeStripe {
	f := &fakeStripe{clock: clock, objects: map[string][]byte{}, lists: map[string][]json.RawMessage{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeStripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Date", f.clock.Now().UTC().Format(http.TimeFormat))
	f.asked = append(f.asked, r.URL.RequestURI())
	if f.fail != nil {
		if status, body := f.fail(r); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
	}
	if r.Header.Get("Authorization") != "Bearer "+testKey {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: sk_****"}}`)
		return
	}
	if body, ok := f.objects[r.URL.Path]; ok {
		_, _ = w.Write(body)
		return
	}
	if r.URL.Path == eventsPath || r.URL.Path == itemsPath {
		f.serveList(w, r)
		return
	}
	for _, l := range lists {
		if l.path == r.URL.Path {
			f.serveList(w, r)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(w, `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such object: '%s'"}}`, r.URL.Path)
}

func (f *fakeStripe) serveList(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, _ := strconv.Atoi(query.Get("limit"))
	after := query.Get("starting_after")
	var data []json.RawMessage
	more, begun := false, after == ""
	for _, raw := range f.lists[r.URL.Path] {
		h, _ := readHead(raw)
		switch {
		case !begun:
			begun = h.id == after
		case !within(query, h.created):
		case query.Has("subscription") && !strings.Contains(string(raw), `"subscription":"`+query.Get("subscription")+`"`):
		case r.URL.Path == "/v1/prices" && strings.Contains(string(raw), `"active":false`) == (query.Get("active") == "true"):
		case len(data) == limit:
			more = true
		default:
			data = append(data, raw)
		}
	}
	if !begun {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"type":"invalid_request_error","code":"resource_missing","param":"starting_after","message":"No such object: '%s'"}}`, after)
		return
	}
	// Not through an encoder, which would compact the objects.
	var body bytes.Buffer
	fmt.Fprintf(&body, "{\n  \"object\": \"list\",\n  \"has_more\": %v,\n  \"data\": [", more)
	for i, raw := range data {
		if i > 0 {
			body.WriteString(",\n    ")
		}
		body.Write(raw)
	}
	body.WriteString("]\n}\n")
	_, _ = w.Write(body.Bytes())
}

// within tells whether a list request's range of created has an instant in it.
func within(query url.Values, created time.Time) bool {
	for bound, in := range map[string]func(at, bound int64) bool{
		"created[gte]": func(at, bound int64) bool { return at >= bound },
		"created[lt]":  func(at, bound int64) bool { return at < bound },
	} {
		second, err := strconv.ParseInt(query.Get(bound), 10, 64)
		if err == nil && !created.IsZero() && !in(created.Unix(), second) {
			return false
		}
	}
	return true
}

// put makes an object known at its path and at the front of its list.
func (f *fakeStripe) put(list, object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := readHead([]byte(object))
	if err != nil {
		panic(err)
	}
	path := list + "/" + h.id
	if _, known := f.objects[path]; !known {
		f.lists[list] = append([]json.RawMessage{json.RawMessage(object)}, f.lists[list]...)
	}
	f.objects[path] = []byte(object)
}

// serve makes an object known at a path only.
func (f *fakeStripe) serve(path, object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[path] = []byte(object)
}

func (f *fakeStripe) failWith(fail func(r *http.Request) (int, string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// requests returns the requests since the last call.
func (f *fakeStripe) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

// A world is a Sync with a Stripe and a database of its own.
type world struct {
	*Sync
	t      testing.TB
	clock  *testClock
	stripe *fakeStripe
	log    *bytes.Buffer

	mu            sync.Mutex
	applies, tick int // pokes
}

func newWorld(t testing.TB) *world {
	clock := &testClock{t: noon}
	return newWorldOn(t, pgtest.New(t), clock, newFakeStripe(t, clock), "main")
}

func newWorldOn(t testing.TB, pool *pgxpool.Pool, clock *testClock, stripe *fakeStripe, account string) *world {
	t.Helper()
	w := &world{t: t, clock: clock, stripe: stripe, log: &bytes.Buffer{}}
	s, err := New(t.Context(), Config{
		Pool: pool, Account: account, Key: testKey, BaseURL: stripe.URL, Secrets: []string{testSecret, "whsec_two"},
		Now: clock.Now, Readers: 1,
		Logger:    slog.New(slog.NewTextHandler(&lockedWriter{w: w.log}, nil)),
		PokeApply: func(context.Context, pgx.Tx) error { w.count(&w.applies); return nil },
		PokeTick:  func(context.Context, pgx.Tx) error { w.count(&w.tick); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stripe.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	s.owner.known = true // else every first request would be another; the guard has tests of its own
	w.Sync = s
	t.Cleanup(s.Close)
	return w
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (w *world) count(n *int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
}

func (w *world) pokes() (applies, ticks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applies, w.tick
}

// deliver posts a body, signed now by the first secret.
func (w *world) deliver(body string) *httptest.ResponseRecorder {
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{
		Payload: []byte(body), Secret: testSecret, Timestamp: w.clock.Now(),
	})
	return w.post(body, signed.Header)
}

func (w *world) post(body, signature string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/webhooks/stripe/main", strings.NewReader(body))
	if signature != "" {
		r.Header.Set("Stripe-Signature", signature)
	}
	answer := httptest.NewRecorder()
	w.Handler().ServeHTTP(answer, r)
	return answer
}

// tell delivers an event about an object and fails unless it is stored.
func (w *world) tell(id, eventType string, created time.Time, object string, more ...string) {
	w.t.Helper()
	w.tellVersion(ourVersion, id, eventType, created, object, more...)
}

func (w *world) tellVersion(version, id, eventType string, created time.Time, object string, more ...string) {
	w.t.Helper()
	if answer := w.deliver(eventJSON(version, id, eventType, created, object, more...)); answer.Code != http.StatusOK {
		w.t.Fatalf("%s: answer %d %s", eventType, answer.Code, answer.Body)
	}
}

func eventJSON(version, id, eventType string, created time.Time, object string, previous ...string) string {
	before := ""
	if len(previous) > 0 {
		before = `, "previous_attributes": ` + previous[0]
	}
	return fmt.Sprintf(`{"id": %q, "object": "event", "api_version": %q, "created": %d, "type": %q, "livemode": false,
  "data": {"object": %s%s}}`, id, version, created.Unix(), eventType, object, before)
}

// apply applies until nothing is due.
func (w *world) apply() {
	w.t.Helper()
	for {
		settled, err := w.Apply(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if settled == 0 {
			return
		}
	}
}

// lapse lets every lease and backoff run out.
func (w *world) lapse() {
	w.t.Helper()
	w.exec(`update dunlin.stripe_events set leased_until = null where state = 'stored'`)
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// mirror returns what the mirror has of an object.
func (w *world) mirror(r ref) held {
	w.t.Helper()
	found, err := w.read(w.t.Context(), w.pool, []ref{r})
	if err != nil {
		w.t.Fatal(err)
	}
	return found[r]
}

// fate is what became of an event.
func (w *world) fate(id string) string {
	w.t.Helper()
	var state, fault string
	err := w.pool.QueryRow(w.t.Context(), `
		select state, coalesce(fault, '') from dunlin.stripe_events where account_id = $1 and id = $2`,
		w.account, id).Scan(&state, &fault)
	if err != nil {
		w.t.Fatalf("event %s: %v", id, err)
	}
	if fault != "" {
		return state + ": " + fault
	}
	return state
}

func (w *world) one(sql string, args ...any) int {
	w.t.Helper()
	var n int
	if err := w.pool.QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) events() int {
	return w.one(`select count(*) from dunlin.stripe_events where account_id = $1`, w.account)
}

// want compares what the mirror has of an object with bytes.
func (w *world) want(r ref, raw string, deleted bool) {
	w.t.Helper()
	got := w.mirror(r)
	if string(got.raw) != raw || got.deleted != deleted {
		w.t.Errorf("mirror of %s %s\n got %s deleted=%v\nwant %s deleted=%v", r.class, r.id, got.raw, got.deleted, raw, deleted)
	}
}

func customer(id string) ref { return ref{customerClass, id, id} }

// unapplied reports whether news of a customer wait.
func unapplied(w *world, id string) (bool, error) {
	waits, err := Unapplied(w.t.Context(), w.pool, w.account, []string{id})
	return !waits[id].IsZero(), err
}
