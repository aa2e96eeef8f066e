package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An oddCase is one customer in which Stripe's data is not what one would expect:
// a file of testdata/customers_odd. What is shown was worked out by hand from the
// objects, so -update does not rewrite it.
type oddCase struct {
	Reason     string                       `json:"reason"`     // why that is right
	Shown      map[string]any               `json:"shown"`      // attributes that the case is about
	Stripe     map[string][]json.RawMessage `json:"stripe"`     // by the list that has them, or what one object is read by; one customer
	Afterwards []string                     `json:"afterwards"` // types of events about the customer, after the lists were read
}

// TestCustomersShow_odd: each odd customer comes in by Stripe's lists and events
// and is shown as it should be.
func TestCustomersShow_odd(t *testing.T) {
	t.Parallel()
	cases := oddCases(t)
	stripe := newListingStripe(t)
	var told []string
	for name, c := range cases {
		for list, objects := range c.Stripe {
			stripe.lists["/v1/"+list] = append(stripe.lists["/v1/"+list], objects...)
		}
		for i, eventType := range c.Afterwards {
			told = append(told, fmt.Sprintf(`{"id": "evt_%s_%d", "object": "event", "type": %q, "created": %d, "api_version": "2023-10-16", "data": {"object": %s}}`,
				name, i, eventType, time.Now().Add(-90*time.Second).Unix(), c.Stripe["customers"][0]))
		}
	}
	environ, _ := on(t, "STRIPE_API_BASE="+stripe.URL, "STRIPE_API_KEY=sk_test_1")

	stripe.behind.Store(int64(10 * time.Minute)) // the lists are read before the events happen
	ok(t, environ, "", "sync")
	stripe.behind.Store(0)
	for _, event := range told {
		stripe.lists["/v1/events"] = append(stripe.lists["/v1/events"], json.RawMessage(event))
	}
	ok(t, environ, "", "sync")

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var customer struct{ ID string }
			if err := json.Unmarshal(c.Stripe["customers"][0], &customer); err != nil {
				t.Fatal(err)
			}
			var shown struct {
				Attributes map[string]any `json:"attributes"`
			}
			out := ok(t, environ, "", "customers", "show", "--json", customer.ID)
			if err := exact([]byte(out)).Decode(&shown); err != nil {
				t.Fatalf("%v in\n%s", err, out)
			}
			got := map[string]any{}
			for attribute := range c.Shown {
				value, known := shown.Attributes[attribute]
				if !known {
					t.Errorf("%s\n got no attribute of that name\nwant one", attribute)
				}
				got[attribute] = value
			}
			if diff := cmp.Diff(c.Shown, got); diff != "" {
				t.Errorf("customers show %s (-want +got)\n%s\n%s", customer.ID, diff, c.Reason)
			}
		})
	}
}

// oddCases reads the cases by name, and makes sure that none is empty and that no
// two share an object.
func oddCases(t *testing.T) map[string]oddCase {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "customers_odd", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in testdata/customers_odd: %v", err)
	}
	cases, of := map[string]oddCase{}, map[string]string{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var c oddCase
		dec := exact(raw)
		dec.DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if c.Reason == "" || len(c.Shown) == 0 || len(c.Stripe["customers"]) != 1 {
			t.Fatalf("%s has no reason, shows nothing or is not about one customer", path)
		}
		for list, objects := range c.Stripe {
			for _, object := range objects {
				var has struct{ ID string }
				if err := json.Unmarshal(object, &has); err != nil || has.ID == "" {
					t.Fatalf("%s: an object of %s has no id: %v", path, list, err)
				}
				if other, taken := of[list+has.ID]; taken {
					t.Fatalf("%s: %s is in %s, too", path, has.ID, other)
				}
				of[list+has.ID] = path
			}
		}
		cases[strings.TrimSuffix(filepath.Base(path), ".json")] = c
	}
	return cases
}

// exact reads JSON without making floats of its numbers.
func exact(raw []byte) *json.Decoder {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec
}

// A listingStripe has an account's lists, and leaves out what Stripe leaves out
// unless it is asked for: canceled subscriptions, archived prices, and the inside
// of objects that can be expanded, for which it refuses a request instead.
type listingStripe struct {
	*httptest.Server
	lists  map[string][]json.RawMessage // by path; not changed while somebody reads
	behind atomic.Int64                 // its clock behind ours, in nanoseconds
}

func newListingStripe(t *testing.T) *listingStripe {
	s := &listingStripe{lists: map[string][]json.RawMessage{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// expanded is what the objects of the cases have inside, by list.
var expanded = map[string][]string{
	"/v1/prices":        {"data.tiers", "data.currency_options"},
	"/v1/customers":     {"data.default_source", "data.invoice_settings.default_payment_method"},
	"/v1/subscriptions": {"data.default_payment_method", "data.default_source"},
	"/v1/refunds":       {"data.charge"},
	"/v1/disputes":      {"data.charge"},
}

func (s *listingStripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(-time.Duration(s.behind.Load())).UTC().Format(http.TimeFormat))
	if r.URL.Path == "/v1/account" {
		_, _ = io.WriteString(w, `{"id": "acct_odd", "object": "account"}`)
		return
	}
	query := r.URL.Query()
	var asked []string
	for i := 0; query.Has(fmt.Sprintf("expand[%d]", i)); i++ {
		asked = append(asked, query.Get(fmt.Sprintf("expand[%d]", i)))
	}
	if strings.HasPrefix(r.URL.Path, "/v1/subscriptions/") {
		one := s.lists[r.URL.Path]
		if len(one) != 1 || !slices.Contains(asked, "discounts") || !slices.Contains(asked, "items.data.discounts") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error": {"message": "%s is asked for, with %s expanded"}}`, r.URL.Path, asked)
			return
		}
		_, _ = w.Write(one[0])
		return
	}
	for _, field := range expanded[r.URL.Path] {
		if !slices.Contains(asked, field) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error": {"message": "%s is not asked for"}}`, field)
			return
		}
	}
	var data []string
	for _, object := range s.lists[r.URL.Path] {
		var is struct {
			Status, Subscription string
			Active               *bool
		}
		_ = json.Unmarshal(object, &is) // a field of another type is not of these lists
		switch {
		case r.URL.Path == "/v1/subscriptions" && is.Status == "canceled" && query.Get("status") != "all":
		case r.URL.Path == "/v1/subscription_items" && is.Subscription != query.Get("subscription"):
		case is.Active != nil && fmt.Sprint(*is.Active) != query.Get("active"):
		default:
			data = append(data, string(object))
		}
	}
	fmt.Fprintf(w, `{"object": "list", "has_more": false, "data": [%s]}`, strings.Join(data, ", "))
}
