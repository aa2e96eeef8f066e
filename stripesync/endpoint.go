package stripesync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// Version is the API version that an endpoint has to be pinned to. An endpoint
// that is not pinned sends the account's own version, which may change any day.
const Version = ourVersion

// eventTypes is what an endpoint of ours listens to: the types of API version
// 2023-10-16 that tell of something mirrored. plan.* says what price.* says,
// invoice.upcoming has no id, and a coupon comes with the discount that holds it.
var eventTypes = []string{
	"charge.captured", "charge.expired", "charge.failed", "charge.pending", "charge.refunded", "charge.succeeded", "charge.updated",
	"charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
	"charge.refund.updated", "refund.created", "refund.updated",
	"customer.created", "customer.deleted", "customer.updated",
	"customer.discount.created", "customer.discount.deleted", "customer.discount.updated",
	"customer.source.created", "customer.source.deleted", "customer.source.expiring", "customer.source.updated",
	"customer.subscription.created", "customer.subscription.deleted", "customer.subscription.paused",
	"customer.subscription.pending_update_applied", "customer.subscription.pending_update_expired",
	"customer.subscription.resumed", "customer.subscription.trial_will_end", "customer.subscription.updated",
	"invoice.created", "invoice.deleted", "invoice.finalization_failed", "invoice.finalized", "invoice.marked_uncollectible",
	"invoice.paid", "invoice.payment_action_required", "invoice.payment_failed", "invoice.payment_succeeded",
	"invoice.sent", "invoice.updated", "invoice.voided",
	"payment_method.attached", "payment_method.automatically_updated", "payment_method.detached", "payment_method.updated",
	"price.created", "price.deleted", "price.updated",
	"product.created", "product.deleted", "product.updated",
}

// EventTypes are the types of events that an endpoint has to listen to.
func EventTypes() []string { return slices.Clone(eventTypes) }

// An Endpoint is where Stripe sends the account's events.
type Endpoint struct {
	ID      string
	URL     string
	Version string // the API version its events are in; empty when it is not pinned
	Types   []string
	Enabled bool
	Live    bool
	Created time.Time // by Stripe's clock
	Secret  string    // signs its deliveries; told only by [Sync.CreateEndpoint]
}

// Missing are the types it does not listen to and should.
func (e Endpoint) Missing() []string {
	if slices.Contains(e.Types, "*") {
		return nil
	}
	return slices.DeleteFunc(EventTypes(), func(t string) bool { return slices.Contains(e.Types, t) })
}

// Pinned reports whether its events are in the version that needs no reading
// again.
func (e Endpoint) Pinned() bool { return e.Version == Version }

// Endpoints are the account's endpoints, enabled or not, in Stripe's order.
func (s *Sync) Endpoints(ctx context.Context) ([]Endpoint, error) {
	var found []Endpoint
	for after := ""; ; {
		query := &form.Values{}
		query.Add("limit", "100")
		if after != "" {
			query.Add("starting_after", after)
		}
		got, err := s.ask(ctx, http.MethodGet, endpointsPath, query, "")
		if err != nil {
			return nil, fmt.Errorf("list the webhook endpoints: %w", err)
		}
		var page struct {
			Data    []endpointJSON `json:"data"`
			HasMore bool           `json:"has_more"`
		}
		if err := json.Unmarshal(got.raw, &page); err != nil {
			return nil, fmt.Errorf("list the webhook endpoints: Stripe's answer is unreadable: %w", err)
		}
		for _, e := range page.Data {
			found = append(found, e.endpoint())
		}
		if !page.HasMore || len(page.Data) == 0 {
			return found, nil
		}
		after = page.Data[len(page.Data)-1].ID
	}
}

const endpointsPath = "/v1/webhook_endpoints"

type endpointJSON struct {
	ID      string   `json:"id"`
	URL     string   `json:"url"`
	Version string   `json:"api_version"`
	Types   []string `json:"enabled_events"`
	Status  string   `json:"status"`
	Live    bool     `json:"livemode"`
	Created int64    `json:"created"` // seconds
	Secret  string   `json:"secret"`
}

func (e endpointJSON) endpoint() Endpoint {
	return Endpoint{
		ID: e.ID, URL: e.URL, Version: e.Version, Types: e.Types, Enabled: e.Status == "enabled", Live: e.Live,
		Created: time.Unix(e.Created, 0).UTC(), Secret: e.Secret,
	}
}

// An EndpointExistsError is an enabled endpoint with the URL of the one that was
// to be made. A second one would send every event twice.
type EndpointExistsError struct{ Endpoint Endpoint }

// Error says which it is, and what differs from the one that was to be made.
func (e *EndpointExistsError) Error() string {
	at := fmt.Sprintf("endpoint %s sends to %s already, so none was made", e.Endpoint.ID, e.Endpoint.URL)
	missing := e.Endpoint.Missing()
	switch {
	case !e.Endpoint.Pinned() && len(missing) > 0:
		return fmt.Sprintf("%s; but its API version is %s instead of %s, which cannot be changed, and it does not listen to %s",
			at, cmp.Or(e.Endpoint.Version, "the account's own"), Version, strings.Join(missing, ", "))
	case !e.Endpoint.Pinned():
		return fmt.Sprintf("%s; but its API version is %s instead of %s, which cannot be changed",
			at, cmp.Or(e.Endpoint.Version, "the account's own"), Version)
	case len(missing) > 0:
		return fmt.Sprintf("%s; but it does not listen to %s", at, strings.Join(missing, ", "))
	}
	return at + "; it is as it should be"
}

// CreateEndpoint makes an endpoint at Stripe, pinned to [Version] and listening
// to [EventTypes]. Its Secret is told this once. It fails with an
// [EndpointExistsError] when an enabled one has the URL.
func (s *Sync) CreateEndpoint(ctx context.Context, at string) (Endpoint, error) {
	there, err := s.Endpoints(ctx)
	if err != nil {
		return Endpoint{}, err
	}
	for _, e := range there {
		if e.Enabled && sameURL(e.URL, at) {
			return Endpoint{}, &EndpointExistsError{e}
		}
	}
	types := make([]*string, len(eventTypes))
	for i, t := range eventTypes {
		types[i] = stripe.String(t)
	}
	values := &form.Values{}
	form.AppendTo(values, &stripe.WebhookEndpointParams{
		URL: stripe.String(at), APIVersion: stripe.String(Version), EnabledEvents: types,
		Description: stripe.String("Dunlin, account " + s.name),
	})
	got, err := s.post(ctx, endpointsPath, values)
	if err != nil {
		return Endpoint{}, err
	}
	var made endpointJSON
	if err := json.Unmarshal(got.raw, &made); err != nil || made.Secret == "" {
		return Endpoint{}, errors.New("make a webhook endpoint: Stripe's answer has no signing secret; look for the endpoint in Stripe's dashboard, which can reveal it")
	}
	return made.endpoint(), nil
}

// post writes once, however often it has to be sent: with one idempotency key
// for all tries Stripe answers a repeated request as it did the first time.
func (s *Sync) post(ctx context.Context, path string, values *form.Values) (reply, error) {
	const tries = 3
	key := stripe.NewIdempotencyKey()
	for try := 1; ; try++ {
		got, err := s.ask(ctx, http.MethodPost, path, values, key)
		if err == nil || ctx.Err() != nil || !again(err) {
			return got, err
		}
		if try == tries {
			return reply{}, fmt.Errorf("%w (tried %d times); it may have been done all the same, look in Stripe's dashboard", err, tries)
		}
		if err := s.stripe.pause(ctx, backoff(try)); err != nil {
			return reply{}, err
		}
	}
}

// sameURL reports whether two URLs lead to the same place.
func sameURL(a, b string) bool {
	x, err := url.Parse(a)
	y, err2 := url.Parse(b)
	if err != nil || err2 != nil {
		return a == b
	}
	return strings.EqualFold(x.Scheme, y.Scheme) && strings.EqualFold(x.Host, y.Host) && x.Path == y.Path && x.RawQuery == y.RawQuery
}
