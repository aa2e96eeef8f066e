package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"
)

// has says which of the keys an object has.
func has(o map[string]any, keys ...string) (found []string) {
	for _, key := range keys {
		if _, ok := o[key]; ok {
			found = append(found, key)
		}
	}
	return found
}

// An endpoint pinned to a later version gets events in it; the list of events and
// the API stay in the account's own (facts 1.2, 2.2).
func TestVersions_pinnedEndpoint(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Seed: 11, Customers: 100, WebhookVersion: APIVersionBasil})
	if err != nil {
		t.Fatal(err)
	}
	e := newEndpoint(t, s)
	e.anyVersion = true
	live(t, s, 8)
	seen := map[string]int{}
	for id, ev := range e.taken {
		made := s.world.byID[id].(*event)
		if ev.APIVersion != APIVersionBasil || !strings.Contains(string(made.raw()), `"api_version":"2023-10-16"`) {
			t.Fatalf("%s was posted in %s, and made as %.90s", id, ev.APIVersion, made.raw())
		}
		o := ev.Data.Object
		kind := o["object"].(string)
		seen[kind]++
		switch kind {
		case "subscription":
			item := o["items"].(map[string]any)["data"].([]any)[0].(map[string]any)
			if gone := has(o, "current_period_start", "current_period_end"); gone != nil || item["current_period_end"] == nil || item["current_period_start"] == nil {
				t.Errorf("a subscription has %v, its item %v", gone, item)
			}
			if gone := has(ev.Data.PreviousAttributes, "current_period_start", "current_period_end"); gone != nil {
				t.Errorf("previous attributes have %v", gone)
			}
			if made.previous != nil && strings.Contains(string(made.previous), "current_period_end") && ev.Data.PreviousAttributes["items"] == nil {
				t.Errorf("a new period does not show in %v", ev.Data.PreviousAttributes)
			}
		case "invoice":
			gone := has(o, "subscription", "paid", "charge", "payment_intent", "tax", "discount")
			parent, _ := o["parent"].(map[string]any)
			details, _ := parent["subscription_details"].(map[string]any)
			if gone != nil || details["subscription"] == nil {
				t.Errorf("an invoice has %v and the parent %v", gone, parent)
			}
			line := o["lines"].(map[string]any)["data"].([]any)[0].(map[string]any)
			if gone := has(line, "price", "plan", "subscription"); gone != nil || line["pricing"] == nil {
				t.Errorf("a line has %v: %v", gone, line)
			}
			if gone := has(ev.Data.PreviousAttributes, "paid", "charge"); gone != nil {
				t.Errorf("previous attributes have %v", gone)
			}
		case "charge":
			if gone := has(o, "invoice"); gone != nil {
				t.Errorf("a charge has %v", gone)
			}
		}
	}
	for _, kind := range []string{"subscription", "invoice", "charge", "customer"} {
		if seen[kind] == 0 {
			t.Errorf("no event of a %s", kind)
		}
	}
	// What stripe-go v76 makes of it: no error, and a period that reads as zero.
	for _, ev := range e.taken {
		if ev.Type != "customer.subscription.updated" {
			continue
		}
		var sub stripe.Subscription
		if err := json.Unmarshal(ev.Data.Raw, &sub); err != nil || sub.CurrentPeriodEnd != 0 || sub.ID == "" {
			t.Errorf("stripe-go reads period end %d, %v", sub.CurrentPeriodEnd, err)
		}
		break
	}
}

func TestVersions_account(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 11, 60)
	e := newEndpoint(t, s) // unpinned
	e.anyVersion = true
	live(t, s, 3)
	before := len(e.order)
	if err := s.SetAPIVersion(APIVersionBasil); err != nil {
		t.Fatal(err)
	}
	live(t, s, 3)
	for n, id := range e.order {
		want := APIVersion
		if n >= before {
			want = APIVersionBasil
		}
		_, listed := get(t, s, "/v1/events/"+id)
		if e.taken[id].APIVersion != want || listed["api_version"] != want {
			t.Fatalf("event %d of %d, after %d\n got %s, listed as %v\nwant %s", n, len(e.order), before, e.taken[id].APIVersion, listed["api_version"], want)
		}
	}
	if before == 0 || before == len(e.order) {
		t.Fatalf("%d events before the upgrade of %d", before, len(e.order))
	}
	id := s.world.subscriptions[0].id
	for version, want := range map[string][]string{"": nil, APIVersionBasil: nil, APIVersion: {"current_period_end"}} {
		r := httptest.NewRequest(http.MethodGet, "/v1/subscriptions?status=all&limit=100", nil)
		r.Header.Set("Authorization", "Bearer "+StripeKey)
		if version != "" {
			r.Header.Set("Stripe-Version", version)
		}
		w := httptest.NewRecorder()
		s.Stripe().ServeHTTP(w, r)
		var list struct{ Data []map[string]any }
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(list.Data, func(o map[string]any) bool { return o["id"] == id })
		if got := has(list.Data[at], "current_period_end"); !slices.Equal(got, want) {
			t.Errorf("a request in version %q\n got %v\nwant %v", version, got, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/v1/customers", nil)
	r.Header.Set("Authorization", "Bearer "+StripeKey)
	r.Header.Set("Stripe-Version", "2019-01-01")
	w := httptest.NewRecorder()
	if s.Stripe().ServeHTTP(w, r); w.Code != 400 {
		t.Errorf("a version nobody has: %d", w.Code)
	}
}

func TestOverlay(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, before, after string }{
		{"scalars", `{"a":1,"b":"x","c":null}`, `{"a":2,"b":"x","c":true}`},
		{"inside an object", `{"o":{"a":1,"b":2}}`, `{"o":{"a":3,"b":2}}`},
		{"an object with an id", `{"plan":{"id":"a","x":1}}`, `{"plan":{"id":"b","x":1}}`},
		{"an array", `{"l":[1,2]}`, `{"l":[3]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changed := previousAttributes(json.RawMessage(tt.before), json.RawMessage(tt.after))
			if diff := cmp.Diff(tt.before, string(overlay(json.RawMessage(tt.after), changed))); diff != "" {
				t.Errorf("what it was before (-want +got):\n%s", diff)
			}
		})
	}
}
