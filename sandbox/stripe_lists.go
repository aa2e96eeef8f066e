package sandbox

import (
	"cmp"
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"time"
)

// view answers requests from the world as it is at one virtual instant. Whoever
// has one holds the lock.
type view struct {
	world *world
	now   int64
}

// listParams are the lists the sandbox has, each with the filters it honours;
// any other parameter is refused, as Stripe refuses what it does not know.
var listParams = map[string][]string{
	"customers":          {"created", "email"},
	"subscriptions":      {"created", "customer", "price", "status", "collection_method", "current_period_start", "current_period_end"},
	"products":           {"active", "created", "ids"},
	"prices":             {"active", "created", "currency", "product", "type", "lookup_keys"},
	"invoices":           {"created", "customer", "subscription", "status", "collection_method"},
	"charges":            {"created", "customer", "payment_intent"},
	"events":             {"created", "type", "types", "delivery_success"},
	"subscription_items": {"subscription"},
	"refunds":            {"created", "charge", "payment_intent"},
	"disputes":           {"created", "charge", "payment_intent"},
	"webhook_endpoints":  {},
}

// filter says whether an object is on the list that was asked for.
type filter[T any] func(T) bool

// list answers one page of a class, newest first.
func (v *view) list(class string, p *params) ([]byte, *stripeError) {
	if err := p.only(append([]string{"limit", "starting_after", "ending_before", "expand"}, listParams[class]...)...); err != nil {
		return nil, err
	}
	created, err := p.span("created")
	if err != nil {
		return nil, err
	}
	w := v.world
	switch class {
	case "customers":
		return page(v, class, w.customers, created, p, func(c *customer) bool {
			return !c.deleted && p.is("email", c.email)
		})
	case "subscriptions":
		return v.subscriptions(created, p)
	case "products":
		active, filtered, err := p.flag("active")
		if err != nil {
			return nil, err
		}
		return page(v, class, w.catalog.products, created, p, func(o *product) bool {
			return (!filtered || active != o.archived) && p.among("ids", o.id)
		})
	case "prices":
		active, filtered, err := p.flag("active")
		if err != nil {
			return nil, err
		}
		return page(v, class, w.catalog.prices, created, p, func(o *price) bool { // the default is only active ones (facts 1.4)
			return o.active == (active || !filtered) && p.is("currency", o.currency) && p.is("product", o.product.id) &&
				p.is("type", "recurring") && p.among("lookup_keys", "")
		})
	case "invoices":
		return v.invoices(created, p)
	case "charges":
		from := w.charges
		if id := p.plain["customer"]; id != "" {
			c, err := v.customerOf(id)
			if err != nil {
				return nil, err
			}
			from = c.charges
		}
		return page(v, class, from, created, p, func(o *charge) bool { return p.is("payment_intent", o.invoice.intent()) })
	case "events":
		return v.events(created, p)
	case "refunds":
		return v.refunds(created, p)
	case "disputes":
		return v.disputes(created, p)
	case "webhook_endpoints":
		return page(v, class, w.endpoints, created, p, func(*webhookEndpoint) bool { return true })
	}
	return v.items(p)
}

// is says whether a plain filter, if given, has that value.
func (p *params) is(name, value string) bool {
	want, given := p.plain[name]
	return !given || want == value
}

// among says whether a list filter, if given, holds that value.
func (p *params) among(name, value string) bool {
	want, given := p.lists[name]
	return !given || slices.Contains(want, value)
}

// customerOf finds the customer a parameter names.
func (v *view) customerOf(id string) (*customer, *stripeError) {
	c, ok := v.world.byID[id].(*customer)
	if !ok {
		return nil, missing(400, "customer", "customer", id)
	}
	return c, nil
}

// subscriptions leaves canceled ones out unless a status asks for them (facts
// 1.3); status=canceled and all include those of deleted customers.
func (v *view) subscriptions(created span, p *params) ([]byte, *stripeError) {
	from := v.world.subscriptions
	if id := p.plain["customer"]; id != "" {
		c, err := v.customerOf(id)
		if err != nil {
			return nil, err
		}
		from = c.subs
	}
	status, given := p.plain["status"]
	statuses := []string{"active", "past_due", "unpaid", "canceled", "incomplete", "incomplete_expired", "trialing", "paused", "all", "ended"}
	if given && !slices.Contains(statuses, status) {
		return nil, badRequest("", "status", "Invalid status: must be one of %s", strings.Join(statuses, ", "))
	}
	starts, err := p.span("current_period_start")
	if err != nil {
		return nil, err
	}
	ends, err := p.span("current_period_end")
	if err != nil {
		return nil, err
	}
	return page(v, "subscriptions", from, created, p, func(s *subscription) bool {
		switch {
		case !given && !s.live(), status == "ended" && s.live():
			return false
		case given && status != "all" && status != "ended" && status != s.status:
			return false
		}
		priced := slices.ContainsFunc(s.items, func(i *item) bool { return p.is("price", i.price.id) })
		return priced && starts.holds(s.start) && ends.holds(s.end) && p.is("collection_method", "charge_automatically")
	})
}

func (v *view) invoices(created span, p *params) ([]byte, *stripeError) {
	from := v.world.invoices
	if id := p.plain["customer"]; id != "" {
		c, err := v.customerOf(id)
		if err != nil {
			return nil, err
		}
		from = c.invoices
	}
	if id := p.plain["subscription"]; id != "" {
		s, ok := v.world.byID[id].(*subscription)
		if !ok {
			return nil, missing(400, "subscription", "subscription", id)
		}
		if p.plain["customer"] == "" {
			from = s.customer.invoices
		}
	}
	return page(v, "invoices", from, created, p, func(i *invoice) bool {
		return p.is("status", i.status) && p.is("subscription", i.sub.id) && p.is("collection_method", "charge_automatically")
	})
}

// events shows the last 30 days, but for what is too new to be on the list yet;
// types[] takes up to 20 names, delivery_success=false are those some endpoint has
// not taken (facts 2.6).
func (v *view) events(created span, p *params) ([]byte, *stripeError) {
	if len(p.lists["types"]) > 20 {
		return nil, badRequest("", "types", "Array types exceeded maximum 20 allowed elements.")
	}
	if p.plain["type"] != "" && len(p.lists["types"]) > 0 {
		return nil, badRequest("", "type", "You may only specify one of these parameters: type, types.")
	}
	delivered, filtered, err := p.flag("delivery_success")
	if err != nil {
		return nil, err
	}
	created.from = max(created.from, v.now-eventsDays*day)
	if lag := int64(v.world.upset.EventsLag / time.Second); lag > 0 {
		created.to = min(created.to, v.now-lag)
	}
	return page(v, "events", v.world.events, created, p, func(e *event) bool {
		if filtered && delivered != (e.pending == 0) {
			return false
		}
		return p.among("types", e.typ) && matchesType(p.plain["type"], e.typ)
	})
}

// matchesType lets a type end in a star: "invoice.*".
func matchesType(want, typ string) bool {
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(typ, prefix)
	}
	return want == "" || want == typ
}

func (s span) holds(at int64) bool { return s.from <= at && at <= s.to }

// listed is an object of a list: it knows when it was created.
type listed interface {
	entity
	born() int64
}

func (c *customer) born() int64     { return c.created }
func (s *subscription) born() int64 { return s.created }
func (p *product) born() int64      { return p.created }
func (p *price) born() int64        { return p.created }
func (i *invoice) born() int64      { return i.created }
func (c *charge) born() int64       { return c.created }
func (e *event) born() int64        { return e.created }

// page cuts one page out of all, which is in order of creation and only ever
// grows at its end. The cursor is found by its instant and then by itself among
// those of the same second, never by walking from the front. With ending_before
// it is the page just before the cursor, still newest first.
func page[T listed](v *view, class string, all []T, created span, p *params, keep filter[T]) ([]byte, *stripeError) {
	low := sort.Search(len(all), func(i int) bool { return all[i].born() >= created.from })
	high := sort.Search(len(all), func(i int) bool { return all[i].born() > created.to }) // one past
	if p.from != "" {
		at, err := position(v, class, all, p.from, "starting_after")
		if err != nil {
			return nil, err
		}
		high = min(high, at)
	}
	var found []T
	more := false
	if p.until != "" {
		at, err := position(v, class, all, p.until, "ending_before")
		if err != nil {
			return nil, err
		}
		for i := max(low, at+1); i < high; i++ {
			if keep(all[i]) {
				if len(found) == p.limit {
					more = true
					break
				}
				found = append(found, all[i])
			}
		}
		slices.Reverse(found)
	} else {
		for i := high - 1; i >= low; i-- {
			if keep(all[i]) {
				if len(found) == p.limit {
					more = true
					break
				}
				found = append(found, all[i])
			}
		}
	}
	raws := make([]json.RawMessage, 0, len(found))
	for _, o := range found {
		raws = append(raws, o.raw())
	}
	return v.expandAll(writeList("/v1/"+class, raws, more), p.expand)
}

// position finds the cursor in all. An object that the filters leave out, or that
// has been deleted, is a good cursor all the same.
func position[T listed](v *view, class string, all []T, id, param string) (int, *stripeError) {
	o, ok := v.world.byID[id].(T)
	if !ok || class == "events" && o.born() < v.now-eventsDays*day {
		return 0, missing(400, singular[class], param, id)
	}
	at, _ := slices.BinarySearchFunc(all, o.born(), func(o T, born int64) int { return cmp.Compare(o.born(), born) })
	for ; at < len(all) && all[at].born() == o.born(); at++ {
		if all[at].ident() == id {
			return at, nil
		}
	}
	return 0, missing(400, singular[class], param, id)
}

// writeList joins objects that are JSON already, without reading them again.
func writeList(url string, data []json.RawMessage, more bool) json.RawMessage {
	size := 100
	for _, d := range data {
		size += len(d) + 1
	}
	b := append(make([]byte, 0, size), `{"object":"list","data":[`...)
	for n, d := range data {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, d...)
	}
	b = append(b, `],"has_more":`...)
	if more {
		b = append(b, "true"...)
	} else {
		b = append(b, "false"...)
	}
	b = append(b, `,"url":"`+url+`"}`...)
	return b
}

// items lists the items of one subscription: they are never more than two, so
// there is one page.
func (v *view) items(p *params) ([]byte, *stripeError) {
	id := p.plain["subscription"]
	if id == "" {
		return nil, badRequest("parameter_missing", "subscription", "Missing required param: subscription.")
	}
	s, ok := v.world.byID[id].(*subscription)
	if !ok {
		return nil, missing(400, "subscription", "subscription", id)
	}
	return v.expandAll(v.short("/v1/subscription_items", s.itemShapes(), func(n int) string { return s.items[n].id }, p), p.expand)
}

// customerMethods lists a customer's payment methods, legacy cards among them in
// the modern shape (facts 1.5), newest first.
func (v *view) customerMethods(id string, p *params) ([]byte, *stripeError) {
	if err := p.only("limit", "starting_after", "ending_before", "expand", "type"); err != nil {
		return nil, err
	}
	c, ok := v.world.byID[id].(*customer)
	if !ok || c.deleted {
		return nil, missing(404, "customer", "customer", id)
	}
	var raws []json.RawMessage
	var ids []string
	for _, m := range slices.Backward(c.methods) {
		if m.attached && p.is("type", m.kind) {
			raws, ids = append(raws, m.paymentMethod()), append(ids, m.id)
		}
	}
	return v.expandAll(v.short("/v1/customers/"+id+"/payment_methods", raws, func(n int) string { return ids[n] }, p), p.expand)
}

// short pages a handful of objects, given in the order of the list.
func (v *view) short(url string, raws []json.RawMessage, ident func(int) string, p *params) json.RawMessage {
	from, to := 0, len(raws)
	for n := range raws {
		switch ident(n) {
		case p.from:
			from = n + 1
		case p.until:
			to = n
		}
	}
	if p.until != "" && to-from > p.limit {
		from = to - p.limit
		return writeList(url, raws[from:to], true)
	}
	more := to-from > p.limit
	return writeList(url, raws[from:min(to, from+p.limit)], more)
}
