package stripesync

import (
	"errors"
	"fmt"
	"go/build"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEventTypes: an endpoint of ours listens to exactly those types of
// stripe-go's version that an object of the mirror is found for.
func TestEventTypes(t *testing.T) {
	t.Parallel()
	library, err := build.Import("github.com/stripe/stripe-go/v76", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(library.Dir, "event.go"))
	if err != nil {
		t.Fatal(err)
	}
	var placed []string
	for _, found := range regexp.MustCompile(`EventType = "([a-z_.]+)"`).FindAllStringSubmatch(string(source), -1) {
		if class, _ := classOf(found[1]); class != "" {
			placed = append(placed, found[1])
		}
	}
	if len(placed) < 40 {
		t.Fatalf("types of stripe-go that are placed\n got %d\nwant more: its source is not read rightly", len(placed))
	}
	listened := EventTypes()
	slices.Sort(placed)
	slices.Sort(listened)
	if diff := cmp.Diff(placed, listened); diff != "" {
		t.Errorf("types listened to (-placed by classOf +listened to)\n%s", diff)
	}
}

func TestEndpoint_Missing(t *testing.T) {
	t.Parallel()
	few := slices.DeleteFunc(EventTypes(), func(t string) bool { return strings.HasPrefix(t, "price.") })
	tests := []struct {
		name  string
		types []string
		want  []string
	}{
		{"all", EventTypes(), []string{}},
		{"more than all", append(EventTypes(), "payout.paid"), []string{}},
		{"a star is everything", []string{"*"}, nil},
		{"some are missing", few, []string{"price.created", "price.deleted", "price.updated"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Endpoint{Types: tt.types}.Missing()); diff != "" {
				t.Errorf("Missing (-want +got)\n%s", diff)
			}
		})
	}
}

func endpointsJSON(endpoints ...string) string {
	return `{"object": "list", "has_more": false, "data": [` + strings.Join(endpoints, ", ") + `]}`
}

func endpointWith(id, url, version, status string, types ...string) string {
	return fmt.Sprintf(`{"id": %q, "object": "webhook_endpoint", "api_version": %s, "created": 1772000000, "enabled_events": ["%s"], "livemode": false, "status": %q, "url": %q}`,
		id, version, strings.Join(types, `", "`), status, url)
}

const hookURL = "https://dunlin.example.com/webhooks/stripe/main"

func TestSync_CreateEndpoint(t *testing.T) {
	t.Parallel()
	f := newOperatorStripe(t)
	elsewhere := endpointWith("we_other", "https://other.example.com/hook", "null", "enabled", "*")
	off := endpointWith("we_off", hookURL, "null", "disabled", "*")
	f.answer("GET /v1/webhook_endpoints", 200, endpointsJSON(elsewhere, off))
	f.answer("POST /v1/webhook_endpoints", 200, `{"id": "we_1", "object": "webhook_endpoint", "api_version": "2023-10-16", "created": 1772000000,
		"enabled_events": ["charge.failed"], "livemode": true, "status": "enabled", "url": "`+hookURL+`", "secret": "whsec_new"}`)
	made, err := f.sync.CreateEndpoint(t.Context(), hookURL)
	if err != nil {
		t.Fatal(err)
	}
	want := Endpoint{
		ID: "we_1", URL: hookURL, Version: "2023-10-16", Types: []string{"charge.failed"}, Enabled: true, Live: true,
		Created: time.Unix(1772000000, 0).UTC(), Secret: "whsec_new",
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("endpoint (-want +got)\n%s", diff)
	}
	posts := f.posts()
	if len(posts) != 1 {
		t.Fatalf("posts\n got %d\nwant 1", len(posts))
	}
	form := posts[0].form
	if form.Get("url") != hookURL || form.Get("api_version") != "2023-10-16" || !strings.Contains(form.Get("description"), "main") {
		t.Errorf("form\n got url %q, api_version %q, description %q\nwant the endpoint's", form.Get("url"), form.Get("api_version"), form.Get("description"))
	}
	var sent []string
	for i := 0; form.Has(fmt.Sprintf("enabled_events[%d]", i)); i++ {
		sent = append(sent, form.Get(fmt.Sprintf("enabled_events[%d]", i)))
	}
	if diff := cmp.Diff(EventTypes(), sent); diff != "" {
		t.Errorf("enabled_events (-want +got)\n%s", diff)
	}
}

func TestSync_CreateEndpoint_exists(t *testing.T) {
	t.Parallel()
	all := EventTypes()
	tests := []struct {
		name, there, want string
	}{
		{
			"as it should be", endpointWith("we_1", strings.Replace(hookURL, "dunlin", "Dunlin", 1), `"2023-10-16"`, "enabled", all...),
			"endpoint we_1 sends to https://Dunlin.example.com/webhooks/stripe/main already, so none was made; it is as it should be",
		},
		{
			"not pinned", endpointWith("we_1", hookURL, "null", "enabled", "*"),
			"endpoint we_1 sends to " + hookURL + " already, so none was made; but its API version is the account's own instead of 2023-10-16, which cannot be changed",
		},
		{
			"types are missing", endpointWith("we_1", hookURL, `"2023-10-16"`, "enabled", all[2:]...),
			"endpoint we_1 sends to " + hookURL + " already, so none was made; but it does not listen to charge.captured, charge.expired",
		},
		{
			"both", endpointWith("we_1", hookURL, `"2024-04-10"`, "enabled", all[1:]...),
			"endpoint we_1 sends to " + hookURL + " already, so none was made; but its API version is 2024-04-10 instead of 2023-10-16, which cannot be changed, and it does not listen to charge.captured",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newOperatorStripe(t)
			f.answer("GET /v1/webhook_endpoints", 200, endpointsJSON(tt.there))
			_, err := f.sync.CreateEndpoint(t.Context(), hookURL)
			var exists *EndpointExistsError
			if !errors.As(err, &exists) || err.Error() != tt.want {
				t.Errorf("CreateEndpoint\n got %v\nwant %s", err, tt.want)
			}
			if n := len(f.posts()); n != 0 {
				t.Errorf("posts\n got %d\nwant none", n)
			}
		})
	}
}

// A repeated post has one idempotency key, so that Stripe makes one endpoint.
func TestSync_CreateEndpoint_again(t *testing.T) {
	t.Parallel()
	f := newOperatorStripe(t)
	f.answer("GET /v1/webhook_endpoints", 200, endpointsJSON())
	f.answer("POST /v1/webhook_endpoints", 500, `{"error": {"type": "api_error", "message": "Something went wrong"}}`)
	_, err := f.sync.CreateEndpoint(t.Context(), hookURL)
	const want = "Stripe answered 500 to POST /v1/webhook_endpoints: Something went wrong (tried 3 times); it may have been done all the same, look in Stripe's dashboard"
	if err == nil || err.Error() != want {
		t.Errorf("CreateEndpoint\n got %v\nwant %s", err, want)
	}
	posts := f.posts()
	if len(posts) != 3 || posts[0].key == "" || posts[0].key != posts[1].key || posts[1].key != posts[2].key {
		t.Errorf("posts\n got %v\nwant three with one idempotency key", posts)
	}
}

func TestSync_CreateEndpoint_refused(t *testing.T) {
	t.Parallel()
	f := newOperatorStripe(t)
	f.answer("GET /v1/webhook_endpoints", 200, endpointsJSON())
	f.answer("POST /v1/webhook_endpoints", http.StatusForbidden, denied("rak_webhook_write"))
	_, err := f.sync.CreateEndpoint(t.Context(), hookURL)
	const want = "the API key may not write webhook endpoints (403); give it the permission rak_webhook_write in Stripe's dashboard, if only for now"
	if err == nil || err.Error() != want {
		t.Errorf("CreateEndpoint\n got %v\nwant %s", err, want)
	}
	if n := len(f.posts()); n != 1 {
		t.Errorf("posts\n got %d\nwant 1: the same post would be refused again", n)
	}
}

func TestSync_Endpoints_pages(t *testing.T) {
	t.Parallel()
	f := newOperatorStripe(t)
	f.answer("GET /v1/webhook_endpoints", 200, strings.Replace(endpointsJSON(endpointWith("we_1", hookURL, "null", "enabled", "*")), `"has_more": false`, `"has_more": true`, 1))
	f.answer("GET /v1/webhook_endpoints?limit=100&starting_after=we_1", 200, endpointsJSON(endpointWith("we_2", hookURL, "null", "disabled", "*")))
	all, err := f.sync.Endpoints(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != "we_1" || all[1].ID != "we_2" || !all[0].Enabled || all[1].Enabled {
		t.Errorf("Endpoints\n got %v, %v\nwant we_1, and we_2 disabled", all, err)
	}
}
