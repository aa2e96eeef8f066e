package stripesync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// A client reads from Stripe. It uses stripe-go's transport and parameters, and
// none of its structs: those lose nulls and turn money into floats.
type client struct {
	backend stripe.Backend
	key     string
	keyName string // what the operator set the key with
	now     func() time.Time
	pace    *pace
	pause   func(ctx context.Context, d time.Duration) error

	// allowed is asked before each request of get, with as many tries as that has.
	allowed func(ctx context.Context, tries int) error
}

func newClient(key, keyName, baseURL string, base *http.Client, now func() time.Time, limits Limits, requests *atomic.Int64) *client {
	if base == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 2*fetchers + readers
		base = &http.Client{Timeout: 30 * time.Second, Transport: transport}
	}
	counted := *base
	counted.Transport = &meter{base: cmp.Or(base.Transport, http.DefaultTransport), requests: requests}
	return &client{
		backend: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
			HTTPClient:        &counted,
			LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
			MaxNetworkRetries: stripe.Int64(0), // stripe-go never retries a plain 429: we do it all
			URL:               stripe.String(cmp.Or(baseURL, stripe.APIURL)),
		}),
		key:     key,
		keyName: keyName,
		now:     now,
		pace:    newPace(limits),
		pause:   pause,
		allowed: func(context.Context, int) error { return nil },
	}
}

// An answer is a body of Stripe's, and the instant it is true at.
type answer struct {
	raw  []byte    // nil when Stripe refused
	asOf time.Time // Stripe's clock, when the request was sent
}

// get reads one path, no faster than Stripe allows, up to so many times while
// Stripe is limiting, failing or out of reach. The error is a *refusal when Stripe
// answered. Nothing is read with the key of another Stripe account.
func (c *client) get(ctx context.Context, path string, query *form.Values, tries int) (answer, error) {
	if err := c.allowed(ctx, tries); err != nil {
		return answer{}, err
	}
	return c.read(ctx, path, query, tries)
}

func (c *client) read(ctx context.Context, path string, query *form.Values, tries int) (answer, error) {
	for try := 1; ; try++ {
		if err := c.pace.wait(ctx, path); err != nil {
			return answer{}, err
		}
		got, after, err := c.once(ctx, path, query)
		if err == nil || try == tries || ctx.Err() != nil || !transient(err) {
			if err != nil && try > 1 {
				err = fmt.Errorf("%w (tried %d times)", err, try)
			}
			return got, err
		}
		if err := c.pause(ctx, max(backoff(try), after)); err != nil {
			return answer{}, err
		}
	}
}

func (c *client) once(ctx context.Context, path string, query *form.Values) (answer, time.Duration, error) {
	x := &exchange{}
	params := &stripe.Params{Context: context.WithValue(ctx, exchangeKey{}, x)}
	var body struct{ stripe.APIResource }
	sent := c.now()
	err := c.backend.CallRaw(http.MethodGet, path, c.key, query, params, &body)
	if x.status == http.StatusTooManyRequests {
		c.pace.limited(path, x.limit)
	}
	got := answer{asOf: stripeInstant(sent, c.now(), x.date)}
	if err != nil {
		return got, x.retryAfter, c.explain(path, x.status, err)
	}
	got.raw = bytes.TrimSpace(body.LastResponse.RawJSON)
	return got, 0, nil
}

// stripeInstant puts the instant a request was sent into Stripe's clock, moving
// it no further than the Date header of the answer makes certain: Date is cut to
// whole seconds and was written between sent and received. A zero date moves
// nothing. Microseconds are what Postgres keeps.
func stripeInstant(sent, received, date time.Time) time.Time {
	at := sent
	if !date.IsZero() {
		if behind := date.Sub(received); behind > 0 {
			at = sent.Add(behind)
		} else if ahead := sent.Sub(date.Add(time.Second)); ahead > 0 {
			at = sent.Add(-ahead)
		}
	}
	return at.Truncate(time.Microsecond).UTC()
}

// backoff is half a second, doubling to half a minute, each by half at random.
func backoff(try int) time.Duration {
	d := min(500*time.Millisecond<<min(try-1, 10), 30*time.Second)
	return d/2 + rand.N(d)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A refusal is Stripe's answer that we may not have something, or not now.
type refusal struct {
	path   string
	status int
	code   string // Stripe's, such as resource_missing
	param  string // the parameter it is about
	said   string // Stripe's message
	key    string // what the operator set the key with
}

// Error says what to do about it, for whoever holds the key.
func (r *refusal) Error() string {
	what := strings.Split(strings.TrimPrefix(r.path, "/v1/"), "/")[0]
	switch r.status {
	case http.StatusUnauthorized:
		return fmt.Sprintf("Stripe does not accept the API key (401): %s; check %s", r.said, r.key)
	case http.StatusForbidden:
		return fmt.Sprintf("the Stripe API key may not read %s (403): %s; give the restricted key read permission on %s", what, r.said, what)
	case http.StatusTooManyRequests:
		return fmt.Sprintf("Stripe limits the rate of GET %s (429): %s", r.path, r.said)
	}
	return fmt.Sprintf("Stripe answered %d to GET %s: %s", r.status, r.path, r.said)
}

// explain turns an error of stripe-go into a refusal, if Stripe answered at all.
// stripe-go quotes an answer that it cannot read: that is left out, because it
// may hold a customer's address.
func (c *client) explain(path string, status int, err error) error {
	var said *stripe.Error
	switch {
	case errors.As(err, &said):
		return &refusal{path, said.HTTPStatusCode, string(said.Code), said.Param, cmp.Or(said.Msg, "no reason given"), c.keyName}
	case status >= 400:
		return &refusal{path: path, status: status, said: "no reason given", key: c.keyName}
	case status != 0:
		return fmt.Errorf("GET %s: the answer is cut short or not Stripe's JSON", path)
	}
	return fmt.Errorf("GET %s: %w", path, err)
}

// transient reports whether the same request may succeed later: Stripe limited
// it, failed or was out of reach.
func transient(err error) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return true
	}
	return r.status == http.StatusConflict || r.status == http.StatusTooManyRequests || r.status >= 500
}

// missing reports whether Stripe has no such object, or has it no more.
func missing(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusNotFound && r.code == string(stripe.ErrorCodeResourceMissing)
}

// An exchange is what the transport noticed about one request.
type exchange struct {
	status     int // 0 when there was no answer
	date       time.Time
	retryAfter time.Duration // at most a minute
	limit      string        // which limit a 429 is about; empty for none of the rate
}

type exchangeKey struct{}

// A meter counts requests and reads the headers that stripe-go keeps to itself.
type meter struct {
	base     http.RoundTripper
	requests *atomic.Int64
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.requests.Add(1)
	response, err := m.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		x.status, x.limit = response.StatusCode, response.Header.Get("Stripe-Rate-Limited-Reason")
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			x.date = date
		}
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			x.retryAfter = min(time.Duration(seconds)*time.Second, time.Minute)
		}
	}
	return response, nil
}
