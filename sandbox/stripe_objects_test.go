package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var expands = map[string]string{
	"customers":     "?expand[]=default_source&expand[]=invoice_settings.default_payment_method",
	"subscriptions": "?expand[]=default_payment_method&expand[]=default_source",
	"prices":        "?expand[]=tiers&expand[]=currency_options",
}

// Objects are what the API answers, byte for byte.
func TestObjects_answers(t *testing.T) {
	t.Parallel()
	s := withLife(t, 46, 80, Life{Refunds: 0.1, Disputes: 0.1, Deletions: 0.2})
	live(t, s, 6)
	for _, expanded := range []bool{false, true} {
		classes := map[string]int{}
		for _, o := range s.Objects(expanded) {
			path := "/v1/" + o.Class + "/" + o.ID
			if expanded {
				path += expands[o.Class]
			}
			if o.Class == "payment_methods" && o.ID[0] == 'c' { // a legacy card is a source
				path = "/v1/customers/" + o.Customer + "/sources/" + o.ID
				if s.world.byID[o.Customer].(*customer).deleted {
					continue
				}
			}
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Authorization", "Bearer "+StripeKey)
			w := httptest.NewRecorder()
			s.Stripe().ServeHTTP(w, r)
			if w.Code != 200 || w.Body.String() != string(o.Raw) {
				t.Errorf("%s: %d\n got %s\nwant %s", path, w.Code, o.Raw, w.Body)
			}
			classes[o.Class]++
			if o.Deleted {
				classes["deleted "+o.Class]++
			}
		}
		for _, class := range []string{"customers", "subscriptions", "invoices", "charges", "payment_methods", "products", "prices", "refunds", "disputes", "deleted customers", "deleted payment_methods"} {
			if classes[class] == 0 {
				t.Errorf("no %s among %v", class, classes)
			}
		}
	}
}

// TestObjects_told follows the events of a week: what the last one said of an
// object is what the account holds, but for what is known to change untold, and
// for a charge in dispute, of which its dispute tells.
func TestObjects_told(t *testing.T) {
	t.Parallel()
	s := withLife(t, 47, 60, Life{Refunds: 0.1, Disputes: 0.1, Deletions: 0.1, CatalogChanges: 12 * time.Hour})
	before := map[string]json.RawMessage{}
	for _, o := range s.Objects(false) {
		before[o.ID] = o.Raw
	}
	known := len(s.world.events)
	live(t, s, 7)
	said, disputed := before, map[string]bool{}
	for _, e := range s.world.events[known:] {
		var o struct{ ID, Object, Charge string }
		if err := json.Unmarshal(e.object, &o); err != nil {
			t.Fatal(err)
		}
		if o.Object == "dispute" {
			disputed[o.Charge] = true
		}
		said[o.ID] = e.object
	}
	compared := 0
	for _, o := range s.Objects(false) {
		if o.Deleted && o.Class == "customers" || o.Class == "refunds" { // charge.refunded tells of the charge
			continue
		}
		untold := Untold[o.Class]
		if disputed[o.ID] {
			untold = []string{"disputed"}
		}
		var now, then map[string]any
		if json.Unmarshal(o.Raw, &now) != nil || json.Unmarshal(said[o.ID], &then) != nil {
			t.Errorf("%s %s was never told of: %s", o.Class, o.ID, o.Raw)
			continue
		}
		for name := range now {
			if !slices.Contains(untold, name) && !cmp.Equal(now[name], then[name]) {
				t.Errorf("%s of %s is %v and was told as %v", name, o.ID, now[name], then[name])
			}
		}
		compared++
	}
	if compared < 400 {
		t.Errorf("%d objects compared", compared)
	}
}
