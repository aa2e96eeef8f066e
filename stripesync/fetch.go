package stripesync

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v76/form"
)

const (
	fetchers     = 8                // objects read from Stripe at the same time, by one batch of events
	fetchTimeout = 20 * time.Second // for all that a batch reads; less than a lease
)

// A fetch is one object to be read from Stripe.
type fetch struct {
	ref
	source    bool // a legacy card or source
	discounts bool // of a subscription, with its coupons
}

// A read is what came of a fetch.
type read struct {
	raw  []byte    // nil when Stripe does not have the object any more
	stub []byte    // all that Stripe still says of a deleted one; may be nil
	asOf time.Time // Stripe's clock
	head head
	err  error
}

// path is where an object is retrieved. Expands are those of the lists, so that
// the row does not depend on how it came in; coupons are what withUnsaid adds.
func (f fetch) path() (string, *form.Values) {
	id := url.PathEscape(f.id)
	if f.class == paymentMethodClass && f.source && !strings.HasPrefix(f.id, "pm_") {
		return "/v1/customers/" + url.PathEscape(f.customer) + "/sources/" + id, nil
	}
	var query *form.Values
	fields := expands[f.class]
	if f.discounts {
		fields = append(slices.Clone(fields), "discounts", "items.data.discounts")
	}
	if fields != nil {
		query = expand("", fields)
	}
	return "/v1/" + string(f.class) + "/" + id, query
}

// expands are what Stripe is asked to write out inside an object.
var expands = map[class][]string{
	customerClass:     {"default_source", "invoice_settings.default_payment_method"},
	subscriptionClass: {"default_payment_method", "default_source"},
	refundClass:       {"charge"}, // says whose it is
	disputeClass:      {"charge"},
	// A price of tiers has no amount without them, and each price but one currency
	// (facts/stripe.md 1.4). Stripe does not expand the tiers of other currencies.
	priceClass: {"tiers", "currency_options"},
}

func expand(prefix string, fields []string) *form.Values {
	values := &form.Values{}
	for i, field := range fields {
		values.Add("expand["+strconv.Itoa(i)+"]", prefix+field)
	}
	return values
}

// fetchAll reads objects side by side, each once, with no transaction open.
// Stripe limiting or failing is tried once more; after that the events wait.
func (s *Sync) fetchAll(ctx context.Context, fetches []fetch) map[fetch]read {
	wanted := make(chan fetch)
	reads := make(map[fetch]read, len(fetches))
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(fetchers, len(fetches)) {
		workers.Go(func() {
			for f := range wanted {
				got := s.fetch(ctx, f)
				mu.Lock()
				reads[f] = got
				mu.Unlock()
			}
		})
	}
	seen := make(map[fetch]bool, len(fetches))
	for _, f := range fetches {
		if !seen[f] {
			seen[f] = true
			wanted <- f
		}
	}
	close(wanted)
	workers.Wait()
	return reads
}

func (s *Sync) fetch(ctx context.Context, f fetch) read {
	if err := ctx.Err(); err != nil {
		return read{err: err}
	}
	path, query := f.path()
	got, err := s.stripe.get(ctx, path, query, 2)
	if missing(err) {
		return read{asOf: got.asOf}
	}
	if err != nil {
		return read{err: err}
	}
	h, err := readHead(got.raw)
	if err != nil {
		return read{err: err}
	}
	if h.deleted { // {id, object, deleted}
		return read{stub: got.raw, asOf: got.asOf, head: h}
	}
	return read{raw: got.raw, asOf: got.asOf, head: h}
}
