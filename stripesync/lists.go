package stripesync

import (
	"slices"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// A list is one of Stripe's lists that a backfill reads.
type list struct {
	name   string // in dunlin.sync_progress
	class  class
	path   string
	params func(p stripe.ListParams, created *stripe.RangeQueryParams) any // stripe-go's parameters
}

// lists is what a backfill reads, in this order. Products and prices come first
// and customers before what they own, so that a glance at a half-full mirror
// makes sense; nothing depends on it.
var lists = []list{
	{"products", productClass, "/v1/products", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.ProductListParams{ListParams: p, CreatedRange: created}
	}},
	{"prices", priceClass, "/v1/prices", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.PriceListParams{ListParams: p, CreatedRange: created, Active: stripe.Bool(true), Expand: inData(expands[priceClass])}
	}},
	// Old subscriptions hang on archived prices, which the plain list leaves out.
	{"archived prices", priceClass, "/v1/prices", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.PriceListParams{ListParams: p, CreatedRange: created, Active: stripe.Bool(false), Expand: inData(expands[priceClass])}
	}},
	{"customers", customerClass, "/v1/customers", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.CustomerListParams{ListParams: p, CreatedRange: created, Expand: inData(expands[customerClass])}
	}},
	// Without status=all the canceled ones are left out.
	{"subscriptions", subscriptionClass, "/v1/subscriptions", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.SubscriptionListParams{
			ListParams: p, CreatedRange: created, Status: stripe.String("all"), Expand: inData(expands[subscriptionClass]),
		}
	}},
	{"invoices", invoiceClass, "/v1/invoices", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.InvoiceListParams{ListParams: p, CreatedRange: created}
	}},
	{"charges", chargeClass, "/v1/charges", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.ChargeListParams{ListParams: p, CreatedRange: created}
	}},
	{"refunds", refundClass, "/v1/refunds", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.RefundListParams{ListParams: p, CreatedRange: created, Expand: inData(expands[refundClass])}
	}},
	{"disputes", disputeClass, "/v1/disputes", func(p stripe.ListParams, created *stripe.RangeQueryParams) any {
		return &stripe.DisputeListParams{ListParams: p, CreatedRange: created, Expand: inData(expands[disputeClass])}
	}},
}

// inData names fields of the objects of a list: the most that Stripe expands is
// four levels, data among them.
func inData(fields []string) []*string {
	expands := make([]*string, len(fields))
	for i, field := range fields {
		expands[i] = stripe.String("data." + field)
	}
	return expands
}

const pageSize = 100 // the most that Stripe gives

// values is the query of one page: what was made from one instant until before
// another, so many after the cursor. A zero from is the beginning, a zero until
// the run's start, inclusive.
func (l list) values(from, until time.Time, run run, cursor string, size int64) *form.Values {
	p := stripe.ListParams{Limit: stripe.Int64(size)}
	if cursor != "" {
		p.StartingAfter = stripe.String(cursor)
	}
	created := &stripe.RangeQueryParams{}
	if !from.IsZero() {
		created.GreaterThanOrEqual = from.Unix()
	}
	if until.IsZero() {
		created.LesserThanOrEqual = run.started.Unix()
	} else {
		created.LesserThan = until.Unix()
	}
	values := &form.Values{}
	form.AppendTo(values, l.params(p, created))
	return values
}

// rank is a list's place among the lists.
func rank(l list) int {
	return slices.IndexFunc(lists, func(o list) bool { return o.name == l.name })
}
