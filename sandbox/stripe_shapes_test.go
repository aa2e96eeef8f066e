package sandbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// differences lists the keys by which two JSON objects differ, descending where
// both have an object: "-" for a key that ours lacks, "+" for one only ours has.
func differences(path string, ours, theirs map[string]any) (all []string) {
	for k, their := range theirs {
		here := strings.TrimPrefix(path+"."+k, ".")
		our, ok := ours[k]
		if !ok {
			all = append(all, "-"+here)
			continue
		}
		a, okA := our.(map[string]any)
		b, okB := their.(map[string]any)
		if okA && okB && k != "metadata" {
			all = append(all, differences(here, a, b)...)
		}
		if la, lb := firstOf(our), firstOf(their); la != nil && lb != nil {
			all = append(all, differences(here+"[]", la, lb)...)
		}
	}
	for k := range ours {
		if _, ok := theirs[k]; !ok {
			all = append(all, "+"+strings.TrimPrefix(path+"."+k, "."))
		}
	}
	return all
}

func firstOf(v any) map[string]any {
	if all, ok := v.([]any); ok && len(all) > 0 {
		o, _ := all[0].(map[string]any)
		return o
	}
	return nil
}

// allowed are differences from Stripe's reference objects that are meant, each
// by the end of its path and with its reason.
var allowed = []struct{ end, why string }{
	{"-refunds", "on charges only when expanded, since 2022-11-15"},
	{"-invoice_item", "the reference line is of an invoice item, ours are of subscriptions"},
	{"+subscription_item", "lines of subscriptions have it"},
	{"+plan", "subscriptions, items and lines still carry it beside price"},
	{"+quantity", "a subscription with one item carries it"},
	{"+discounts", "stripe-go v76.25 reads it from subscriptions and items"},
	{"+trial_period_days", "recurring prices carry it"},
	{"+type", "products of this version carry it"},
}

func isAllowed(difference string) bool {
	at := strings.LastIndex(difference, ".") + 1
	last := difference[:1] + strings.TrimPrefix(difference[at:], difference[:1])
	for _, a := range allowed {
		if a.end == last {
			return true
		}
	}
	return false
}

// TestShapes compares the keys of our objects with those of Stripe's reference
// objects of this version, where a checkout has them beside it.
func TestShapes(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "..", "shared", "fixtures", "stripe", "openapi-2023-10-16")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("Stripe's reference objects are not beside this checkout (%s); the shapes are compared where they are", folder)
	}
	s, err := New(Config{Seed: 3, Customers: 300, Life: Life{Refunds: 0.1, Disputes: 0.1}})
	if err != nil {
		t.Fatal(err)
	}
	w := s.world
	sub, inv, ch := w.subscriptions[0], w.invoices[0], w.charges[0]
	objects := map[string]json.RawMessage{
		"customer": w.customers[0].raw(), "deleted_customer": w.customers[0].deletedStub(), "product": w.catalog.products[0].raw(),
		"price": w.catalog.prices[0].raw(), "plan": w.catalog.prices[0].plan, "subscription": sub.raw(), "subscription_item": sub.itemShapes()[0],
		"invoice": inv.raw(), "line_item": inv.lineShapes()[0], "charge": ch.raw(), "payment_method": nil, "card": nil, "event": nil,
		"refund": nil, "dispute": w.disputes[0].raw(), "webhook_endpoint": w.addEndpoint(w.now).raw(),
	}
	for _, r := range w.refunds {
		if r.charge.method.kind == "card" {
			objects["refund"] = r.raw()
		}
	}
	for _, c := range w.customers {
		for _, m := range c.methods {
			if m.legacy {
				objects["card"] = m.raw()
			} else if m.kind == "card" {
				objects["payment_method"] = m.raw()
			}
		}
	}
	for _, e := range w.events {
		if e.previous == nil {
			objects["event"] = []byte(strings.Replace(string(e.raw()), string(e.object), "{}", 1)) // its object is of another class
		}
	}
	for class, raw := range objects {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(filepath.Join(folder, class+".json"))
			if err != nil {
				t.Fatalf("read the reference object: %v", err)
			}
			var ours, theirs map[string]any
			if err := json.Unmarshal(raw, &ours); err != nil {
				t.Fatalf("our %s: %v", class, err)
			}
			if err := json.Unmarshal(body, &theirs); err != nil {
				t.Fatalf("the reference %s: %v", class, err)
			}
			if class == "event" {
				ours["data"], theirs["data"] = nil, nil
			}
			found := differences("", ours, theirs)
			slices.Sort(found)
			for _, d := range found {
				if !isAllowed(d) {
					t.Errorf("%s (- ours lacks it, + only ours has it)", d)
				}
			}
		})
	}
}

func TestPreviousAttributes(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, before, after, want string }{
		{"nothing", `{"a":1}`, `{"a":1}`, ``},
		{"a scalar", `{"a":1,"b":2}`, `{"a":3,"b":2}`, `{"a":1}`},
		{"inside an object", `{"card":{"exp_month":1,"last4":"1"}}`, `{"card":{"exp_month":2,"last4":"1"}}`, `{"card":{"exp_month":1}}`},
		{"from null", `{"s":{"pm":null}}`, `{"s":{"pm":"pm_1"}}`, `{"s":{"pm":null}}`},
		{"an array whole", `{"a":[1,2]}`, `{"a":[1,3]}`, `{"a":[1,2]}`},
		{"an object with an id whole", `{"plan":{"id":"a","x":1}}`, `{"plan":{"id":"b","x":1}}`, `{"plan":{"id":"a","x":1}}`},
		{"a new key", `{"metadata":{}}`, `{"metadata":{"k":"v"}}`, `{"metadata":{"k":null}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(previousAttributes(json.RawMessage(tt.before), json.RawMessage(tt.after))); got != tt.want {
				t.Errorf("previousAttributes\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}
