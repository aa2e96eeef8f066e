package sandbox

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"
)

func TestStripe_keys(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 1, 3)
	tests := []struct {
		name string
		set  func(*http.Request)
		want int
	}{
		{"bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+StripeKey) }, 200},
		{"basic", func(r *http.Request) { r.SetBasicAuth(StripeKey, "") }, 200},
		{"none", func(*http.Request) {}, 401},
		{"another", func(r *http.Request) { r.Header.Set("Authorization", "Bearer sk_test_of_somebody_else") }, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/v1/customers", nil)
			tt.set(r)
			w := httptest.NewRecorder()
			s.Stripe().ServeHTTP(w, r)
			if w.Code != tt.want || tt.want == 401 && !strings.Contains(w.Body.String(), `"type":"invalid_request_error"`) {
				t.Errorf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
			if got, want := w.Header().Get("Date"), "Mon, 16 Feb 2026 06:00:00 GMT"; got != want {
				t.Errorf("Date\n got %s\nwant %s", got, want)
			}
			if w.Header().Get("Stripe-Version") != APIVersion || !strings.HasPrefix(w.Header().Get("Request-Id"), "req_") {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

func TestStripe_refusals(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 1, 20)
	cus := s.world.customers[0].id
	tests := []struct {
		path        string
		status      int
		code, param string
	}{
		{"/v1/customers?limit=101", 400, "parameter_invalid_integer", "limit"},
		{"/v1/customers?limit=0", 400, "parameter_invalid_integer", "limit"},
		{"/v1/customers?limit=ten", 400, "parameter_invalid_integer", "limit"},
		{"/v1/customers?colour=red", 400, "parameter_unknown", "colour"},
		{"/v1/customers?created[near]=1", 400, "parameter_unknown", "created[near]"},
		{"/v1/customers?created[gte]=today", 400, "parameter_invalid_integer", "created[gte]"},
		{"/v1/customers?starting_after=cus_nobody", 400, "resource_missing", "starting_after"},
		{"/v1/customers?starting_after=" + cus + "&ending_before=" + cus, 400, "", "ending_before"},
		{"/v1/customers?expand=data.default_source", 400, "", "expand"},
		{"/v1/customers?expand[]=data.email", 400, "", "expand"},
		{"/v1/customers?expand[]=data.nothing", 400, "", "expand"},
		{"/v1/customers/cus_nobody", 404, "resource_missing", "id"},
		{"/v1/customers/" + cus + "?limit=3", 400, "parameter_unknown", "limit"},
		{"/v1/subscriptions/" + cus, 404, "resource_missing", "id"},
		{"/v1/subscriptions?status=asleep", 400, "", "status"},
		{"/v1/subscriptions?expand[]=data.items.data.price.product", 400, "property_expansion_max_depth", "expand"},
		{"/v1/invoices?customer=cus_nobody", 400, "resource_missing", "customer"},
		{"/v1/subscription_items", 400, "parameter_missing", "subscription"},
		{"/v1/prices?active=perhaps", 400, "", "active"},
		{"/v1/unicorns", 404, "", ""},
		{"/v2/customers", 404, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			status, body := get(t, s, tt.path)
			fault, _ := body["error"].(map[string]any)
			if status != tt.status || fault["type"] != "invalid_request_error" || fault["message"] == "" {
				t.Fatalf("status %d, want %d: %v", status, tt.status, body)
			}
			code, _ := fault["code"].(string)
			param, _ := fault["param"].(string)
			if code != tt.code || param != tt.param {
				t.Errorf("code and param\n got %q, %q\nwant %q, %q", code, param, tt.code, tt.param)
			}
		})
	}
}

// TestStripe_pages reads lists in pages of several sizes, forwards and backwards,
// and each time finds every object once, newest first.
func TestStripe_pages(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 2, 150)
	live(t, s, 3)
	w := s.world
	expected := map[string][]string{}
	for _, c := range w.customers {
		if !c.deleted {
			expected["/v1/customers"] = append(expected["/v1/customers"], c.id)
		}
	}
	for _, o := range w.subscriptions {
		expected["/v1/subscriptions?status=all"] = append(expected["/v1/subscriptions?status=all"], o.id)
		if o.status != "canceled" {
			expected["/v1/subscriptions"] = append(expected["/v1/subscriptions"], o.id)
		}
	}
	for _, o := range w.invoices {
		expected["/v1/invoices"] = append(expected["/v1/invoices"], o.id)
		if o.status == "open" {
			expected["/v1/invoices?status=open"] = append(expected["/v1/invoices?status=open"], o.id)
		}
	}
	for _, o := range w.charges {
		expected["/v1/charges"] = append(expected["/v1/charges"], o.id)
	}
	for _, o := range w.catalog.prices {
		if o.active {
			expected["/v1/prices"] = append(expected["/v1/prices"], o.id)
		}
	}
	for _, e := range w.events {
		if e.created >= s.Now().Unix()-eventsDays*day {
			expected["/v1/events"] = append(expected["/v1/events"], e.id)
		}
	}
	for path, want := range expected {
		slices.Reverse(want)
		for _, limit := range []string{"7", "100"} {
			t.Run(path+" by "+limit, func(t *testing.T) {
				t.Parallel()
				base, query, _ := strings.Cut(path, "?")
				q, _ := url.ParseQuery(query)
				q.Set("limit", limit)
				if diff := cmp.Diff(want, fetch(t, s, base, q)); diff != "" {
					t.Errorf("ids (-want +got):\n%s", diff)
				}
				q.Del("starting_after")
				q.Set("ending_before", want[len(want)-1])
				var back []string
				for {
					_, body := get(t, s, base+"?"+q.Encode())
					var ids []string
					for _, o := range body["data"].([]any) {
						ids = append(ids, o.(map[string]any)["id"].(string))
					}
					back = append(ids, back...)
					if body["has_more"] != true {
						break
					}
					q.Set("ending_before", ids[0])
				}
				if diff := cmp.Diff(want[:len(want)-1], back); diff != "" {
					t.Errorf("backwards (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestStripe_filters(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 4, 100)
	w := s.world
	var canceled *subscription
	for _, o := range w.subscriptions {
		if o.status == "canceled" {
			canceled = o
		}
	}
	if canceled == nil {
		t.Fatal("nobody has a canceled subscription")
	}
	c := canceled.customer
	if ids := fetch(t, s, "/v1/subscriptions", url.Values{"customer": {c.id}}); slices.Contains(ids, canceled.id) {
		t.Error("a canceled subscription is on the list without a status")
	}
	if ids := fetch(t, s, "/v1/subscriptions", url.Values{"customer": {c.id}, "status": {"all"}}); !slices.Contains(ids, canceled.id) {
		t.Error("a canceled subscription is not on the list with status=all")
	}
	if ids := fetch(t, s, "/v1/invoices", url.Values{"subscription": {canceled.id}}); len(ids) == 0 {
		t.Error("a canceled subscription has no invoices")
	}
	if got, want := len(fetch(t, s, "/v1/charges", url.Values{"customer": {c.id}})), len(c.charges); got != want {
		t.Errorf("charges of a customer\n got %d\nwant %d", got, want)
	}
	if ids := fetch(t, s, "/v1/prices", url.Values{"active": {"false"}}); !slices.Equal(ids, []string{w.catalog.old.id}) {
		t.Errorf("archived prices\n got %v\nwant %v", ids, w.catalog.old.id)
	}
	if ids := fetch(t, s, "/v1/products", url.Values{"ids[]": {w.catalog.products[1].id}}); !slices.Equal(ids, []string{w.catalog.products[1].id}) {
		t.Errorf("products by id: %v", ids)
	}
	at := w.invoices[len(w.invoices)/2].created
	later := fetch(t, s, "/v1/invoices", url.Values{"limit": {"100"}, "created[gte]": {itoa(at)}})
	sooner := fetch(t, s, "/v1/invoices", url.Values{"limit": {"100"}, "created[lt]": {itoa(at)}})
	if len(later)+len(sooner) != len(w.invoices) || len(later) == 0 || len(sooner) == 0 {
		t.Errorf("invoices from and before %d: %d and %d of %d", at, len(later), len(sooner), len(w.invoices))
	}
	paid := fetch(t, s, "/v1/events", url.Values{"limit": {"100"}, "types[]": {"invoice.paid", "charge.failed"}})
	for _, id := range paid {
		if typ := w.byID[id].(*event).typ; typ != "invoice.paid" && typ != "charge.failed" {
			t.Errorf("event %s is a %s", id, typ)
		}
	}
	if len(paid) == 0 {
		t.Error("no events of two types")
	}
}

func TestStripe_expands(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 5, 60)
	_, body := get(t, s, "/v1/customers?limit=100&expand[]=data.default_source&expand[]=data.invoice_settings.default_payment_method&expand[]=data.sources")
	cards, methods := 0, 0
	for _, o := range body["data"].([]any) {
		c := o.(map[string]any)
		switch source := c["default_source"].(type) {
		case map[string]any:
			cards++
			if source["object"] != "card" || source["customer"] != c["id"] {
				t.Errorf("default source %v", source)
			}
			if len(c["sources"].(map[string]any)["data"].([]any)) != 1 {
				t.Errorf("sources %v", c["sources"])
			}
		case string:
			t.Errorf("default source %q is not expanded", source)
		}
		switch m := c["invoice_settings"].(map[string]any)["default_payment_method"].(type) {
		case map[string]any:
			methods++
		case string:
			t.Errorf("default payment method %q is not expanded", m)
		}
	}
	if cards == 0 || methods == 0 {
		t.Errorf("%d cards and %d payment methods expanded", cards, methods)
	}
	sub := s.world.subscriptions[0]
	_, one := get(t, s, "/v1/subscriptions/"+sub.id+"?expand[]=items.data.price.product&expand[]=latest_invoice.charge&expand[]=customer")
	price := one["items"].(map[string]any)["data"].([]any)[0].(map[string]any)["price"].(map[string]any)
	if got := price["product"].(map[string]any)["name"]; got != sub.items[0].price.product.name {
		t.Errorf("product four levels down: %v", got)
	}
	if got := one["latest_invoice"].(map[string]any)["charge"].(map[string]any)["object"]; got != "charge" {
		t.Errorf("charge of the latest invoice: %v", got)
	}
}

func TestStripe_deletedCustomer(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 6, 30)
	c := s.world.customers[3]
	s.world.leave(c)
	_, body := get(t, s, "/v1/customers/"+c.id)
	if diff := cmp.Diff(map[string]any{"id": c.id, "object": "customer", "deleted": true}, body); diff != "" {
		t.Errorf("retrieve (-want +got):\n%s", diff)
	}
	if slices.Contains(fetch(t, s, "/v1/customers", url.Values{"limit": {"100"}}), c.id) {
		t.Error("a deleted customer is on the list")
	}
	if got := fetch(t, s, "/v1/subscriptions", url.Values{"customer": {c.id}, "status": {"canceled"}}); len(got) != len(c.subs) {
		t.Errorf("canceled subscriptions of a deleted customer\n got %v\nwant %d", got, len(c.subs))
	}
	for _, e := range s.world.events {
		if e.typ == "customer.deleted" && e.customer == c && (strings.Contains(string(e.object), `"deleted"`) || !strings.Contains(string(e.object), `"invoice_settings"`)) {
			t.Errorf("customer.deleted does not carry the whole customer: %s", e.object)
		}
	}
}

// TestStripe_client reads everything with stripe-go's own iterators, more than a
// page of each, and compares fields with the world.
func TestStripe_client(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 7, 130)
	live(t, s, 8)
	api, w := stripeClient(t, s), s.world

	seen := 0
	customers := &stripe.CustomerListParams{}
	customers.Limit = stripe.Int64(50)
	customers.AddExpand("data.invoice_settings.default_payment_method")
	customers.AddExpand("data.default_source")
	it := api.Customers.List(customers)
	for ; it.Next(); seen++ {
		got := it.Customer()
		want, _ := w.byID[got.ID].(*customer)
		if want == nil || got.Email != want.email || got.Name != want.name || got.Created != want.created || got.Delinquent != want.delinquent {
			t.Fatalf("customer %+v\nwant %+v", got, want)
		}
		if m := want.defaultPM; m != nil && m.kind == "card" && (got.InvoiceSettings.DefaultPaymentMethod.Card == nil ||
			got.InvoiceSettings.DefaultPaymentMethod.Card.ExpMonth != int64(m.month) || got.InvoiceSettings.DefaultPaymentMethod.Card.Last4 != m.last4) {
			t.Errorf("default payment method of %s: %+v", got.ID, got.InvoiceSettings.DefaultPaymentMethod)
		}
		if m := want.source; m != nil && (got.DefaultSource.Card == nil || got.DefaultSource.Card.ExpYear != int64(m.year)) {
			t.Errorf("default source of %s: %+v", got.ID, got.DefaultSource)
		}
	}
	if it.Err() != nil || seen <= 110 {
		t.Errorf("%d customers, %v", seen, it.Err())
	}

	seen = 0
	subs := api.Subscriptions.List(&stripe.SubscriptionListParams{Status: stripe.String("all"), ListParams: stripe.ListParams{Limit: stripe.Int64(100)}})
	for ; subs.Next(); seen++ {
		got := subs.Subscription()
		want := w.byID[got.ID].(*subscription)
		if string(got.Status) != want.status || got.CurrentPeriodEnd != want.end || got.Items.Data[0].Price.UnitAmount != want.items[0].price.amount ||
			got.Items.Data[0].Price.Recurring == nil || got.Customer.ID != want.customer.id || got.Items.Data[0].Quantity != want.items[0].quantity {
			t.Fatalf("subscription %+v\nwant %+v", got, want)
		}
	}
	if subs.Err() != nil || seen != len(w.subscriptions) {
		t.Errorf("%d subscriptions of %d, %v", seen, len(w.subscriptions), subs.Err())
	}

	seen = 0
	invoices := api.Invoices.List(&stripe.InvoiceListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(100)}})
	for ; invoices.Next(); seen++ {
		got := invoices.Invoice()
		want := w.byID[got.ID].(*invoice)
		if string(got.Status) != want.status || got.AmountRemaining != want.remaining() || got.Total != want.total || got.AttemptCount != int64(want.attempts) ||
			got.Subscription.ID != want.sub.id || len(got.Lines.Data) != len(want.lines) || got.Paid != (want.status == "paid") {
			t.Fatalf("invoice %+v\nwant %+v", got, want)
		}
	}
	if invoices.Err() != nil || seen != len(w.invoices) {
		t.Errorf("%d invoices of %d, %v", seen, len(w.invoices), invoices.Err())
	}

	seen = 0
	failed := 0
	charges := api.Charges.List(&stripe.ChargeListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(100)}})
	for ; charges.Next(); seen++ {
		got := charges.Charge()
		want := w.byID[got.ID].(*charge)
		if got.Amount != want.amount || got.Invoice.ID != want.invoice.id || got.Paid != (want.failure == "") {
			t.Fatalf("charge %+v\nwant %+v", got, want)
		}
		if want.failure != "" {
			failed++
			if got.Outcome.Reason != want.failure || got.FailureMessage == "" || got.AmountCaptured != 0 {
				t.Errorf("failed charge %+v", got)
			}
		}
	}
	if charges.Err() != nil || seen != len(w.charges) || failed == 0 {
		t.Errorf("%d charges of %d, %d failed, %v", seen, len(w.charges), failed, charges.Err())
	}

	seen = 0
	events := api.Events.List(&stripe.EventListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(100)}})
	last := int64(forever)
	for ; events.Next(); seen++ {
		got := events.Event()
		if got.Created > last || got.APIVersion != APIVersion || got.Data.Object["id"] == nil {
			t.Fatalf("event %+v", got)
		}
		last = got.Created
		if updated := strings.HasSuffix(string(got.Type), "updated"); updated != (len(got.Data.PreviousAttributes) > 0) && got.Type != "payment_method.detached" {
			t.Errorf("%s has previous attributes %v", got.Type, got.Data.PreviousAttributes)
		}
	}
	if events.Err() != nil || seen <= 100 {
		t.Errorf("%d events, %v", seen, events.Err())
	}

	sub := w.subscriptions[0]
	items := api.SubscriptionItems.List(&stripe.SubscriptionItemListParams{Subscription: stripe.String(sub.id)})
	if !items.Next() || items.SubscriptionItem().ID != sub.items[0].id {
		t.Errorf("items of %s: %v", sub.id, items.Err())
	}
	for _, c := range w.customers {
		if c.source == nil || c.deleted {
			continue
		}
		list := api.Customers.ListPaymentMethods(&stripe.CustomerListPaymentMethodsParams{Customer: stripe.String(c.id)})
		if !list.Next() || list.Err() != nil {
			t.Errorf("payment methods of %s: %v", c.id, list.Err())
		}
		pm, err := api.PaymentMethods.Get(c.source.id, nil)
		if err != nil || pm.Card.Brand != stripe.PaymentMethodCardBrand(c.source.brand) {
			t.Errorf("legacy card as a payment method: %+v, %v", pm, err)
		}
		break
	}
	account, err := api.Accounts.Get()
	if err != nil || !strings.HasPrefix(account.ID, "acct_") {
		t.Errorf("account %+v, %v", account, err)
	}
	if s.StripeRequests() < 20 {
		t.Errorf("%d requests counted", s.StripeRequests())
	}
}

func TestStripe_eventsAreForgotten(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 8, 40)
	old := s.world.events[len(s.world.events)-1]
	if _, err := s.Advance(context.Background(), s.Now().Add(31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, s, "/v1/events/"+old.id); status != 404 {
		t.Errorf("an event of 31 days ago: status %d, want 404", status)
	}
	if ids := fetch(t, s, "/v1/events", url.Values{"limit": {"100"}, "created[lt]": {itoa(s.Now().Unix() - eventsDays*day)}}); len(ids) != 0 {
		t.Errorf("%d events older than 30 days", len(ids))
	}
}
