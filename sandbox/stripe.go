package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stripeServer is the merchant's Stripe account over HTTP. It only reads, but for
// webhook endpoints: what else changes the account is the merchant's life. One
// lock, shared with [Sandbox], guards the world.
type stripeServer struct {
	clock     *Clock
	machine   func() time.Time // real: what rate limits are counted in
	key       string
	forbidden map[string]bool // classes the key may not have
	limits    StripeLimits
	requests  atomic.Int64
	named     atomic.Int64 // answers so far, for their request ids

	mu    *sync.Mutex
	world *world
	done  map[string]repeat // what was changed over HTTP, by idempotency key

	own     sync.Mutex // guards what follows; nobody waits for the other lock while holding it
	faults  func(*http.Request) StripeFault
	upset   Misbehaviour
	asked   map[string]int // requests by method and URL, since the last change of upset
	counted counters
}

func newStripeServer(c Config, clock *Clock, mu *sync.Mutex, w *world) *stripeServer {
	s := &stripeServer{clock: clock, machine: time.Now, key: c.StripeKey, forbidden: map[string]bool{}, limits: c.StripeLimits, mu: mu, world: w,
		faults: c.StripeFaults, upset: c.Misbehaviour, asked: map[string]int{}, counted: newCounters(), done: map[string]repeat{}}
	for _, class := range c.StripeForbidden {
		s.forbidden[class] = true
	}
	return s
}

// repeat is a change that was made, in case its answer was lost and the client
// asks once more with the same idempotency key.
type repeat struct {
	request string
	answer  stripeAnswer
}

// stripeAnswer is one answer. The reason is that of a 429, for the counters.
type stripeAnswer struct {
	status int
	body   []byte
	header http.Header
	reason string
}

// stripeError is Stripe's error envelope.
type stripeError struct {
	status  int
	typ     string
	code    string
	param   string
	message string
}

func (e *stripeError) Error() string { return e.message }

// badRequest is a 400 about one parameter.
func badRequest(code, param, format string, args ...any) *stripeError {
	return &stripeError{status: 400, typ: "invalid_request_error", code: code, param: param, message: fmt.Sprintf(format, args...)}
}

// missing is what Stripe says of an id it does not know: 404 in a path, 400 in a
// parameter.
func missing(status int, class, param, id string) *stripeError {
	return &stripeError{status: status, typ: "invalid_request_error", code: "resource_missing", param: param,
		message: fmt.Sprintf("No such %s: '%s'", class, id)}
}

// stripeBodyLimit is far above any request the sandbox understands.
const stripeBodyLimit = 1 << 20

// ServeHTTP answers one request, or spoils the answer as faults and chance say.
func (s *stripeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, stripeBodyLimit))
	if err != nil {
		s.write(w, r, s.refused(&stripeError{status: 413, typ: "invalid_request_error", message: "The request is too large, or broke off."}))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := s.fault(r)
	if !rest(r, fault.Delay) {
		s.count(r, 0, "")
		panic(http.ErrAbortHandler)
	}
	if fault.Kind != FaultNone {
		s.spoil(w, r, body, fault)
		return
	}
	s.write(w, r, s.process(r, body))
}

func (s *stripeServer) write(w http.ResponseWriter, r *http.Request, answer stripeAnswer) {
	s.count(r, answer.status, answer.reason)
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body) // the client may be gone; there is nobody to tell
}

// headed is an answer with the headers every answer has.
func (s *stripeServer) headed(status int, version string, body []byte) stripeAnswer {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Date", s.clock.Now().Format(http.TimeFormat)) // virtual: whoever corrects their clock by it lives in our time
	h.Set("Request-Id", s.world.id("req_", "http/"+strconv.FormatInt(s.named.Add(1), 10), 14))
	h.Set("Stripe-Version", version)
	return stripeAnswer{status: status, body: body, header: h}
}

func (s *stripeServer) refused(err *stripeError) stripeAnswer {
	return s.headed(err.status, APIVersion, mustJSON(map[string]any{"error": err.envelope()}))
}

func (e *stripeError) envelope() map[string]string {
	m := map[string]string{"message": e.message, "type": e.typ}
	if e.code != "" {
		m["code"] = e.code
		m["doc_url"] = "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(e.code, "_", "-")
	}
	if e.param != "" {
		m["param"] = e.param
	}
	return m
}

// process checks one request in Stripe's order and carries it out: each change
// once, however often it comes with the same Idempotency-Key.
func (s *stripeServer) process(r *http.Request, body []byte) stripeAnswer {
	if err := s.authorize(r); err != nil {
		return s.refused(err)
	}
	if reason := s.pace(r); reason != "" {
		return s.tooMany(reason)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	version := r.Header.Get("Stripe-Version")
	if version == "" {
		version = s.world.version
	}
	if !knownVersion(version) {
		return s.refused(badRequest("", "", "Invalid Stripe API version: %s. The sandbox speaks only %s and %s.", version, APIVersion, APIVersionBasil))
	}
	key, request := r.Header.Get("Idempotency-Key"), r.Method+" "+r.URL.Path+" "+string(body)
	if r.Method != http.MethodPost {
		key = ""
	}
	if before, ok := s.done[key]; ok {
		if before.request != request {
			return s.refused(&stripeError{status: 400, typ: "idempotency_error", message: "Keys for idempotent requests can only be used with the same parameters they were first used with."})
		}
		again := s.headed(before.answer.status, version, before.answer.body)
		again.header.Set("Idempotent-Replayed", "true")
		return again
	}
	raw, err := s.answer(r, body)
	if err != nil {
		return s.refused(err)
	}
	answer := s.headed(http.StatusOK, version, inVersion(version, raw))
	if key != "" {
		s.done[key] = repeat{request, answer}
	}
	return answer
}

// answer routes one request. Its caller holds the lock.
func (s *stripeServer) answer(r *http.Request, body []byte) ([]byte, *stripeError) {
	unknown := &stripeError{status: 404, typ: "invalid_request_error", message: fmt.Sprintf(
		"Unrecognized request URL (%s: %s). The sandbox answers what its documentation lists.", r.Method, r.URL.Path)}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return nil, unknown
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	class := parts[0]
	if len(parts) > 2 {
		class = parts[2]
	}
	if err := s.permit(r.Method, class); err != nil {
		return nil, err
	}
	v := &view{world: s.world, now: s.clock.Now().Unix()}
	if class == "webhook_endpoints" && (r.Method == http.MethodPost && len(parts) < 3 || r.Method == http.MethodDelete && len(parts) == 2) {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, badRequest("", "", "The body is not a form: %v", err)
		}
		return v.changeEndpoint(r.Method, parts, form)
	}
	if r.Method != http.MethodGet {
		return nil, unknown
	}
	p, err := parseParams(r.URL.Query())
	if err != nil {
		return nil, err
	}
	switch {
	case len(parts) == 1 && parts[0] == "account":
		return v.account(p)
	case len(parts) == 1 && listParams[parts[0]] != nil:
		return v.list(parts[0], p)
	case len(parts) == 2 && singular[parts[0]] != "":
		return v.retrieve(parts[0], parts[1], p)
	case len(parts) == 3 && parts[0] == "customers" && class == "payment_methods":
		return v.customerMethods(parts[1], p)
	case len(parts) == 4 && parts[0] == "customers" && class == "payment_methods":
		return v.retrieve("payment_methods", parts[3], p)
	case len(parts) == 4 && parts[0] == "customers" && class == "sources":
		return v.customerSource(parts[1], parts[3], p)
	}
	return nil, unknown
}

// authorize takes the key as Bearer token or as the user of Basic.
func (s *stripeServer) authorize(r *http.Request) *stripeError {
	key, _, basic := r.BasicAuth()
	if !basic {
		key, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	switch {
	case key == "":
		return &stripeError{status: 401, typ: "invalid_request_error", message: "You did not provide an API key. " +
			"You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."}
	case key != s.key:
		return &stripeError{status: 401, typ: "invalid_request_error", message: "Invalid API Key provided: " + redact(key)}
	}
	return nil
}

func redact(key string) string {
	if len(key) <= 12 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

// account is the merchant's own account, in the keys that clients read.
func (v *view) account(p *params) ([]byte, *stripeError) {
	if err := p.only("expand"); err != nil {
		return nil, err
	}
	return mustJSON(map[string]any{
		"id": v.world.accountID(), "object": "account", "business_profile": map[string]any{"name": "Dunlin sandbox", "url": nil, "mcc": nil},
		"business_type": "company", "capabilities": map[string]any{"card_payments": "active", "transfers": "active"},
		"charges_enabled": true, "country": "DE", "created": v.world.catalog.products[0].created, "default_currency": "usd",
		"details_submitted": true, "email": "owner@example.com", "metadata": map[string]any{}, "payouts_enabled": true,
		"settings": map[string]any{"dashboard": map[string]any{"display_name": "Dunlin sandbox", "timezone": "Europe/Berlin"}}, "type": "standard",
	}), nil
}

func (w *world) accountID() string { return w.id("acct_1", "account", 15) }

// singular is the word for one object of a class that can be retrieved by id.
var singular = map[string]string{
	"customers": "customer", "subscriptions": "subscription", "products": "product", "prices": "price", "invoices": "invoice",
	"charges": "charge", "events": "event", "payment_methods": "PaymentMethod", "subscription_items": "subscription_item",
	"refunds": "refund", "disputes": "dispute", "webhook_endpoints": "webhook endpoint",
}

// retrieve answers one object. A deleted customer is a stub (facts 1.2); a
// canceled subscription is still there.
func (v *view) retrieve(class, id string, p *params) ([]byte, *stripeError) {
	if err := p.only("expand"); err != nil {
		return nil, err
	}
	var raw json.RawMessage
	switch o := v.world.byID[id].(type) {
	case *customer:
		if class == "customers" && o.deleted {
			return o.deletedStub(), nil
		}
		raw = v.rawOf(class, "customers", o)
	case *subscription:
		raw = v.rawOf(class, "subscriptions", o)
	case *product:
		raw = v.rawOf(class, "products", o)
	case *price:
		raw = v.rawOf(class, "prices", o)
	case *invoice:
		raw = v.rawOf(class, "invoices", o)
	case *charge:
		raw = v.rawOf(class, "charges", o)
	case *refund:
		raw = v.rawOf(class, "refunds", o)
	case *dispute:
		raw = v.rawOf(class, "disputes", o)
	case *webhookEndpoint:
		raw = v.rawOf(class, "webhook_endpoints", o)
	case *event:
		if o.created >= v.now-eventsDays*day {
			raw = v.rawOf(class, "events", o)
		}
	case *method:
		if class == "payment_methods" {
			raw = o.paymentMethod()
		}
	}
	if raw == nil {
		return nil, missing(404, singular[class], "id", id)
	}
	return v.expandAll(raw, p.expand)
}

func (v *view) rawOf(class, want string, o entity) json.RawMessage {
	if class != want {
		return nil
	}
	return o.raw()
}

// customerSource answers a customer's legacy card as the card object it is.
func (v *view) customerSource(customerID, id string, p *params) ([]byte, *stripeError) {
	if err := p.only("expand"); err != nil {
		return nil, err
	}
	c, ok := v.world.byID[customerID].(*customer)
	if !ok || c.deleted {
		return nil, missing(404, "customer", "customer", customerID)
	}
	m, ok := v.world.byID[id].(*method)
	if !ok || !m.legacy || m.customer != c {
		return nil, missing(404, "source", "id", id)
	}
	return v.expandAll(m.raw(), p.expand)
}
