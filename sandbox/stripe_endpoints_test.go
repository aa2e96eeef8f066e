package sandbox

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

func TestEndpoints_client(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 1, 5)
	api := stripeClient(t, s)
	made, err := api.WebhookEndpoints.New(&stripe.WebhookEndpointParams{
		URL: stripe.String("https://dunlin.example.com/webhooks/stripe/main"), APIVersion: stripe.String(APIVersion),
		Description: stripe.String("made by a test"), EnabledEvents: stripe.StringSlice([]string{"invoice.paid", "customer.updated"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.ID, "we_") || !strings.HasPrefix(made.Secret, "whsec_") || made.APIVersion != APIVersion || made.Status != "enabled" ||
		made.Created != s.Now().Unix() || !cmp.Equal(made.EnabledEvents, []string{"invoice.paid", "customer.updated"}) {
		t.Errorf("made %+v", made)
	}
	read, err := api.WebhookEndpoints.Get(made.ID, nil)
	if err != nil || read.Secret != "" || read.URL != made.URL || read.Description != "made by a test" {
		t.Errorf("read %+v, %v", read, err)
	}
	update := &stripe.WebhookEndpointParams{EnabledEvents: stripe.StringSlice([]string{"*"}), Disabled: stripe.Bool(true)}
	update.AddMetadata("owner", "billing")
	changed, err := api.WebhookEndpoints.Update(made.ID, update)
	if err != nil || changed.Status != "disabled" || !cmp.Equal(changed.EnabledEvents, []string{"*"}) || changed.URL != made.URL || changed.Metadata["owner"] != "billing" {
		t.Errorf("changed %+v, %v", changed, err)
	}
	s.SendWebhooksTo("http://127.0.0.1:1/hook") // the merchant's own is on the list, too
	it, found := api.WebhookEndpoints.List(&stripe.WebhookEndpointListParams{}), 0
	for ; it.Next(); found++ {
		if it.WebhookEndpoint().Secret != "" {
			t.Error("the list shows a secret")
		}
	}
	if it.Err() != nil || found != 2 {
		t.Errorf("%d endpoints, %v", found, it.Err())
	}
	gone, err := api.WebhookEndpoints.Del(made.ID, nil)
	if err != nil || !gone.Deleted {
		t.Errorf("deleted %+v, %v", gone, err)
	}
	if status, _ := get(t, s, "/v1/webhook_endpoints/"+made.ID); status != 404 {
		t.Errorf("after it was deleted: %d", status)
	}
	_, err = api.WebhookEndpoints.Del(made.ID, nil)
	if fault, ok := err.(*stripe.Error); !ok || fault.HTTPStatusCode != 404 || fault.Code != "resource_missing" {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestEndpoints_refusals(t *testing.T) {
	t.Parallel()
	const good = "url=http://127.0.0.1/hook&enabled_events[0]=*"
	tests := []struct{ name, form, param string }{
		{"no url", "enabled_events[0]=*", "url"},
		{"a url that is none", "url=dunlin&enabled_events[0]=*", "url"},
		{"no events", "url=http://127.0.0.1/hook", "enabled_events"},
		{"events that are no list", "url=http://127.0.0.1/hook&enabled_events=*", "enabled_events"},
		{"a type that is none", "url=http://127.0.0.1/hook&enabled_events[0]=*&enabled_events[1]=invoice.*", "enabled_events[1]"},
		{"a version that is none", good + "&api_version=2001-01-01", "api_version"},
		{"disabled from the start", good + "&disabled=true", "disabled"},
		{"what nobody knows", good + "&colour=red", "colour"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mustNew(t, 1, 2)
			server := httptest.NewServer(s.Stripe())
			defer server.Close()
			answer, body, err := asked(t, context.Background(), server, http.MethodPost, "/v1/webhook_endpoints", tt.form)
			if err != nil || answer.StatusCode != 400 || !strings.Contains(body, `"param":"`+tt.param+`"`) {
				t.Errorf("%v: %s", err, body)
			}
			if len(s.world.endpoints) != 0 {
				t.Error("an endpoint was made")
			}
		})
	}
	s := mustNew(t, 1, 2)
	for range maxEndpoints {
		s.world.addEndpoint(1)
	}
	server := httptest.NewServer(s.Stripe())
	defer server.Close()
	if answer, _, err := asked(t, context.Background(), server, http.MethodPost, "/v1/webhook_endpoints", good); err != nil || answer.StatusCode != 400 {
		t.Errorf("the endpoint after the last one: %v %v", answer, err)
	}
}

// An endpoint made over HTTP gets what it asked for, signed with its own secret
// and in its own version, beside the merchant's.
func TestEndpoints_delivery(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 11, 100)
	own := newEndpoint(t, s)
	var mu sync.Mutex
	var secret string
	var taken []stripe.Event
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		ev, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), secret,
			webhook.ConstructEventOptions{IgnoreTolerance: true, IgnoreAPIVersionMismatch: true})
		if err != nil {
			t.Errorf("a webhook that stripe-go refuses: %v", err)
		}
		taken = append(taken, ev)
	}))
	defer other.Close()
	api := stripeClient(t, s)
	made, err := api.WebhookEndpoints.New(&stripe.WebhookEndpointParams{URL: stripe.String(other.URL), APIVersion: stripe.String(APIVersionBasil),
		EnabledEvents: stripe.StringSlice([]string{"invoice.paid"})})
	if err != nil {
		t.Fatal(err)
	}
	secret = made.Secret
	happened := live(t, s, 5)
	paid := 0
	for _, ev := range own.taken {
		if ev.Type == "invoice.paid" {
			paid++
			if ev.PendingWebhooks < 1 || s.world.byID[ev.ID].(*event).pending != 0 {
				t.Errorf("%s has %d pending webhooks, then %d", ev.ID, ev.PendingWebhooks, s.world.byID[ev.ID].(*event).pending)
			}
		}
	}
	if len(own.taken) != happened.Events || len(taken) != paid || paid == 0 {
		t.Errorf("the merchant's endpoint took %d of %d events, the other %d of %d", len(own.taken), happened.Events, len(taken), paid)
	}
	for _, ev := range taken {
		if ev.Type != "invoice.paid" || ev.APIVersion != APIVersionBasil {
			t.Errorf("the other took a %s in version %s", ev.Type, ev.APIVersion)
		}
	}
	if _, err := api.WebhookEndpoints.Update(made.ID, &stripe.WebhookEndpointParams{Disabled: stripe.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	before := len(taken)
	if h := live(t, s, 2); h.Undelivered != 0 || len(taken) != before {
		t.Errorf("a disabled endpoint took %d more, %d undelivered", len(taken)-before, h.Undelivered)
	}
}
