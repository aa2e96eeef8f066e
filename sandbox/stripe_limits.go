package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// StripeLimits are requests in each second of machine time, as Stripe limits
// them (facts 2.7): 100 and 25 for a live account. Zero means no limit.
type StripeLimits struct {
	Account  int // all requests
	Endpoint int // of one method and path, whatever ids are in it
}

func (l StripeLimits) check() error {
	if l.Account < 0 || l.Endpoint < 0 {
		return fmt.Errorf("the sandbox's StripeLimits are %d and %d requests a second; give numbers above zero, or 0 for no limit", l.Account, l.Endpoint)
	}
	return nil
}

// StripeAnswers counts what the Stripe half has answered so far.
type StripeAnswers struct {
	ByStatus   map[int]int    // 0: no whole answer, because of a reset, a hang, a cut, or a client that left
	ByReason   map[string]int // the 429s by their Stripe-Rate-Limited-Reason; those without one are lock_timeout
	ByEndpoint map[string]int // all requests: "GET /v1/customers/{id}"
}

// counters is the part of a server that counts; its owner has the lock.
type counters struct {
	StripeAnswers
	second  int64 // of machine time, the one whose requests are counted
	account int
	of      map[string]int // by endpoint
}

func newCounters() counters {
	return counters{StripeAnswers: StripeAnswers{ByStatus: map[int]int{}, ByReason: map[string]int{}, ByEndpoint: map[string]int{}}, of: map[string]int{}}
}

// count notes one answer.
func (s *stripeServer) count(r *http.Request, status int, reason string) {
	s.own.Lock()
	defer s.own.Unlock()
	s.counted.ByStatus[status]++
	s.counted.ByEndpoint[endpointOf(r)]++
	if reason != "" {
		s.counted.ByReason[reason]++
	}
}

func (s *stripeServer) answers() StripeAnswers {
	s.own.Lock()
	defer s.own.Unlock()
	c := s.counted
	return StripeAnswers{ByStatus: maps.Clone(c.ByStatus), ByReason: maps.Clone(c.ByReason), ByEndpoint: maps.Clone(c.ByEndpoint)}
}

// pace counts one request against the second it falls in, and returns why it is
// refused; a refused request does not count. Whoever keeps to the limits in every
// span of a second is never refused.
func (s *stripeServer) pace(r *http.Request) (reason string) {
	s.own.Lock()
	defer s.own.Unlock()
	c := &s.counted
	if now := s.machine().Unix(); now != c.second {
		c.second, c.account = now, 0
		clear(c.of)
	}
	endpoint := endpointOf(r)
	switch {
	case s.limits.Account > 0 && c.account >= s.limits.Account:
		return "global-rate"
	case s.limits.Endpoint > 0 && c.of[endpoint] >= s.limits.Endpoint:
		return "endpoint-rate"
	}
	c.account++
	c.of[endpoint]++
	return ""
}

// endpointOf is a request's method and path without the ids in it.
func endpointOf(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // v1, class, id, class, id
	for n := 2; n < len(parts); n += 2 {
		parts[n] = "{id}"
	}
	return r.Method + " /" + strings.Join(parts, "/")
}

// permissions are the names that the permissions of a restricted key have, by
// the class of what is asked for.
var permissions = map[string]string{
	"customers": "customer", "subscriptions": "subscription", "subscription_items": "subscription", "products": "product", "prices": "plan",
	"invoices": "invoice", "charges": "charge", "refunds": "charge", "disputes": "dispute", "events": "event",
	"payment_methods": "payment_method", "sources": "source", "webhook_endpoints": "webhook", "account": "account",
}

// checkForbidden reports every class that the Stripe half does not have.
func checkForbidden(classes []string) error {
	var faults []error
	for _, class := range classes {
		if permissions[class] == "" {
			faults = append(faults, fmt.Errorf("the sandbox's StripeForbidden names %q, which the sandbox does not have; give classes as in paths: customers, charges, payment_methods", class))
		}
	}
	return errors.Join(faults...)
}

// permit refuses what the key, a restricted one, may not have (facts 2.7).
func (s *stripeServer) permit(method, class string) *stripeError {
	if !s.forbidden[class] {
		return nil
	}
	right := "rak_" + permissions[class] + "_read"
	if method != http.MethodGet {
		right = "rak_" + permissions[class] + "_write"
	}
	return &stripeError{status: http.StatusForbidden, typ: "invalid_request_error", message: fmt.Sprintf(
		"The provided key '%s' does not have the required permissions for this endpoint on account '%s'. Having the '%s' permission would allow this request to continue.",
		redact(s.key), s.world.accountID(), right)}
}
