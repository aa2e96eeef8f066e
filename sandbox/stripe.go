package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// stripeServer is the merchant's Stripe account over HTTP. It only reads: what
// changes the account is the merchant's life. One lock, shared with [Sandbox],
// guards the world.
type stripeServer struct {
	clock    *Clock
	key      string
	mu       *sync.Mutex
	world    *world
	requests atomic.Int64
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

func (s *stripeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Date", s.clock.Now().Format(http.TimeFormat)) // virtual: whoever corrects their clock by it lives in our time
	h.Set("Request-Id", s.world.id("req_", "http/"+strconv.FormatInt(n, 10), 14))
	h.Set("Stripe-Version", APIVersion)

	body, err := s.answer(r)
	if err != nil {
		body = mustJSON(map[string]any{"error": err.envelope()})
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(err.status)
	} else {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	_, _ = w.Write(body)
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

// answer routes one request.
func (s *stripeServer) answer(r *http.Request) ([]byte, *stripeError) {
	if err := s.authorize(r); err != nil {
		return nil, err
	}
	if v := r.Header.Get("Stripe-Version"); v != "" && v != APIVersion {
		return nil, badRequest("", "", "Invalid Stripe API version: %s. The sandbox speaks only %s.", v, APIVersion)
	}
	unknown := &stripeError{status: 404, typ: "invalid_request_error", message: fmt.Sprintf(
		"Unrecognized request URL (%s: %s). The sandbox answers GET of the objects its documentation lists.", r.Method, r.URL.Path)}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok || r.Method != http.MethodGet {
		return nil, unknown
	}
	p, err := parseParams(r.URL.Query())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &view{world: s.world, now: s.clock.Now().Unix()}
	switch parts := strings.Split(strings.TrimSuffix(path, "/"), "/"); {
	case len(parts) == 1 && parts[0] == "account":
		return v.account(p)
	case len(parts) == 1 && listParams[parts[0]] != nil:
		return v.list(parts[0], p)
	case len(parts) == 2 && singular[parts[0]] != "":
		return v.retrieve(parts[0], parts[1], p)
	case len(parts) == 3 && parts[0] == "customers" && parts[2] == "payment_methods":
		return v.customerMethods(parts[1], p)
	case len(parts) == 4 && parts[0] == "customers" && parts[2] == "payment_methods":
		return v.retrieve("payment_methods", parts[3], p)
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
