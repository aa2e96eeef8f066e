package stripesync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// An operatorStripe answers what it was told to, else an empty list, and keeps
// what was posted.
type operatorStripe struct {
	sync  *Sync
	clock *testClock // Dunlin's

	mu      sync.Mutex
	ahead   time.Duration // how far its clock is ahead
	answers map[string]operatorAnswer
	posted  []operatorPost
}

type operatorAnswer struct {
	status int
	body   string
}

type operatorPost struct {
	key  string // idempotency
	form url.Values
}

func newOperatorStripe(t testing.TB) *operatorStripe { return newOperatorStripeFor(t, "rk_live_key") }

func newOperatorStripeFor(t testing.TB, key string) *operatorStripe {
	t.Helper()
	f := &operatorStripe{clock: &testClock{t: noon}, answers: map[string]operatorAnswer{}}
	f.answer("GET /v1/account", 200, `{"id": "acct_1", "object": "account", "settings": {"dashboard": {"display_name": "Acme"}}}`)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s, err := New(t.Context(), Config{Pool: pgtest.New(t), Account: "main", Key: key, BaseURL: server.URL, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s.stripe.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	t.Cleanup(s.Close)
	f.sync = s
	return f
}

// answer says what a request gets: "GET /v1/charges", or with its query to be
// told apart from others.
func (f *operatorStripe) answer(request string, status int, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[request] = operatorAnswer{status, body}
}

func (f *operatorStripe) posts() []operatorPost {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posted
}

func (f *operatorStripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Date", f.clock.Now().Add(f.ahead).UTC().Format(http.TimeFormat))
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.posted = append(f.posted, operatorPost{r.Header.Get("Idempotency-Key"), r.PostForm})
	}
	query, _ := url.QueryUnescape(r.URL.RequestURI())
	for _, request := range []string{r.Method + " " + query, r.Method + " " + r.URL.Path} {
		if a, ok := f.answers[request]; ok {
			w.WriteHeader(a.status)
			_, _ = io.WriteString(w, a.body)
			return
		}
	}
	_, _ = io.WriteString(w, `{"object": "list", "data": [], "has_more": false}`)
}

// denied is how Stripe refuses a restricted key.
func denied(permission string) string {
	return fmt.Sprintf(`{"error": {"type": "invalid_request_error", "message": "The provided key 'rk_live_*****gbeftZ' does not have the required permissions for this endpoint on account 'acct_1'. Having the '%s' permission would allow this request to continue."}}`, permission)
}

var readable = []string{
	"customers", "payment methods", "subscriptions", "invoices", "charges", "refunds", "disputes", "products", "prices", "events",
}

func TestSync_Check(t *testing.T) {
	t.Parallel()
	const expanded = "GET /v1/customers?limit=1&expand[0]=data.default_source&expand[1]=data.invoice_settings.default_payment_method"
	without := func(names ...string) []string {
		var left []string
		for _, r := range readable {
			if !strings.Contains(strings.Join(names, ","), r) {
				left = append(left, r)
			}
		}
		return left
	}
	tests := []struct {
		name, key string
		arrange   func(f *operatorStripe)
		want      Checkup
	}{
		{"all is well", "rk_live_key", func(*operatorStripe) {}, Checkup{Mode: "live", Restricted: true, ID: "acct_1", Title: "Acme", Readable: readable}},
		{"a test key that may everything", "sk_test_key", func(*operatorStripe) {}, Checkup{Mode: "test", ID: "acct_1", Title: "Acme", Readable: readable}},
		{"a key of another kind", "key", func(*operatorStripe) {}, Checkup{ID: "acct_1", Title: "Acme", Readable: readable}},
		{"it may not ask whose it is", "rk_test_key", func(f *operatorStripe) {
			f.answer("GET /v1/account", 403, denied("rak_accounts_kyc_basic_read"))
		}, Checkup{Mode: "test", Restricted: true, Readable: readable}},
		{"permissions are missing", "rk_live_key", func(f *operatorStripe) {
			f.answer("GET /v1/invoices", 403, denied("rak_invoice_read"))
			f.answer("GET /v1/charges", 403, denied("rak_charge_read"))
			f.answer("GET /v1/refunds", 403, denied("rak_charge_read"))
		}, Checkup{
			Mode: "live", Restricted: true, ID: "acct_1", Title: "Acme", Readable: without("invoices", "charges", "refunds"),
			Denied: []Permission{{"Invoices", "rak_invoice_read"}, {"Charges and Refunds", "rak_charge_read"}},
		}},
		{"cards alone are missing", "rk_live_key", func(f *operatorStripe) {
			f.answer(expanded, 403, denied("rak_payment_method_read"))
		}, Checkup{
			Mode: "live", Restricted: true, ID: "acct_1", Title: "Acme", Readable: without("payment methods"),
			Denied: []Permission{{"Payment Methods", "rak_payment_method_read"}},
		}},
		{"their clock is ahead", "rk_live_key", func(f *operatorStripe) { f.ahead = 42 * time.Second },
			Checkup{Mode: "live", Restricted: true, ID: "acct_1", Title: "Acme", Readable: readable, Skew: 42 * time.Second}},
		{"their clock is behind", "rk_live_key", func(f *operatorStripe) { f.ahead = -6 * time.Minute },
			Checkup{Mode: "live", Restricted: true, ID: "acct_1", Title: "Acme", Readable: readable, Skew: time.Second - 6*time.Minute}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newOperatorStripeFor(t, tt.key)
			tt.arrange(f)
			got, err := f.sync.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("Check (-want +got)\n%s", diff)
			}
		})
	}
}

func TestSync_Check_refused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		arrange func(f *operatorStripe)
		status  int
		want    string
	}{
		{"a wrong key", func(f *operatorStripe) {
			f.answer("GET /v1/account", 401, `{"error": {"type": "invalid_request_error", "message": "Expired API Key provided: rk_live_****"}}`)
		}, 401, "Stripe does not accept the API key (401): Expired API Key provided: rk_live_****"},
		{"not Stripe who answers", func(f *operatorStripe) { f.answer("GET /v1/account", 200, "<html>anna@example.com</html>") }, 0,
			"GET /v1/account: the answer is cut short or not Stripe's JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newOperatorStripe(t)
			tt.arrange(f)
			_, err := f.sync.Check(t.Context())
			var asked *AskError
			if !errors.As(err, &asked) || asked.Status != tt.status || err.Error() != tt.want {
				t.Errorf("Check\n got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestSync_Check_unsure(t *testing.T) {
	t.Parallel()
	f := newOperatorStripe(t)
	f.answer("GET /v1/prices", 500, `{"error": {"type": "api_error", "message": "Something went wrong"}}`)
	got, err := f.sync.Check(t.Context())
	if err != nil || len(got.Unsure) != 1 || got.Unsure[0].Error() != "Stripe answered 500 to GET /v1/prices: Something went wrong" {
		t.Errorf("Check\n got %v, %v\nwant one answer that was none", got.Unsure, err)
	}
}

func TestSync_Check_stranger(t *testing.T) {
	t.Parallel()
	f := newOperatorStripe(t)
	_, err := f.sync.pool.Exec(t.Context(), `
		insert into dunlin.stripe_customers (account_id, id, raw, as_of) values ($1, 'cus_1', '{}', $2)`, f.sync.account, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, body, want string
		status           int
	}{
		{"a customer of the account", `{"id": "cus_1", "object": "customer"}`, "", 200},
		{"a deleted one is still known", `{"id": "cus_1", "object": "customer", "deleted": true}`, "", 200},
		{"nobody of the account", `{"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such customer: 'cus_1'"}}`, "cus_1", 404},
	} { // in order, on one database
		f.answer("GET /v1/customers/cus_1", tt.status, tt.body)
		got, err := f.sync.Check(t.Context())
		if err != nil || got.Stranger != tt.want {
			t.Errorf("%s\n got %q, %v\nwant %q", tt.name, got.Stranger, err, tt.want)
		}
	}
}

func TestAskError_Permission(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, said, want string }{
		{"as Stripe says it", "on account 'acct_1'. Having the 'rak_subscription_read' permission would allow this request to continue.", "rak_subscription_read"},
		{"as it says it of late", `Enabling "Prices Read" ('plan_read') permissions on this key would allow this request to continue.`, "rak_plan_read"},
		{"not named", "The provided key 'rk_live_***' does not have the required permissions for this endpoint.", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := (&AskError{Said: tt.said}).Permission(); got != tt.want {
				t.Errorf("Permission\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSync_Unheard(t *testing.T) {
	t.Parallel()
	f := newOperatorStripe(t)
	object := `{"id": "cus_1", "object": "customer"}`
	heard := eventJSON(Version, "evt_heard", "customer.updated", noon.Add(-20*time.Minute), object)
	lost := eventJSON(Version, "evt_lost", "customer.updated", noon.Add(-30*time.Minute), object)
	other := eventJSON(Version, "evt_payout", "payout.paid", noon.Add(-10*time.Minute), `{"id": "po_1", "object": "payout"}`)
	e, err := readEvent([]byte(heard))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.sync.inbox.put(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	unheard := func(since time.Time) string {
		t.Helper()
		told, ok, err := f.sync.Unheard(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if ok == (told.ID == "") {
			t.Errorf("Unheard\n got %v with ok %v\nwant an event exactly when ok", told, ok)
		}
		return told.ID
	}
	since := noon.Add(-time.Hour)
	list := func(events ...string) string { return endpointsJSON(events...) }
	request := fmt.Sprintf("GET /v1/events?limit=20&created[gt]=%d&created[lte]=%d", since.Unix(), noon.Add(-heardWithin).Unix())
	f.answer(request, 200, list(other, heard))
	if got := unheard(since); got != "" {
		t.Errorf("everything of ours was heard\n got %q\nwant none", got)
	}
	f.answer(request, 200, list(other, heard, lost))
	if got := unheard(since); got != "evt_lost" {
		t.Errorf("an event is not stored\n got %q\nwant evt_lost", got)
	}
	if got := unheard(noon.Add(-time.Minute)); got != "" {
		t.Errorf("an endpoint of a minute ago\n got %q\nwant none: what is under way may still come", got)
	}
}

func TestSync_Backlog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got, err := w.Backlog(t.Context()); err != nil || got.Waiting != 0 || got.Oldest != nil || len(got.Faults) != 0 {
		t.Errorf("Backlog before the first event\n got %v, %v\nwant nothing", got, err)
	}
	for i := range 5 {
		w.tell(fmt.Sprintf("evt_%d", i), "customer.updated", noon, fmt.Sprintf(`{"id": "cus_%d", "object": "customer"}`, i))
		w.clock.add(time.Minute)
	}
	w.exec(`update dunlin.stripe_events set state = 'applied' where id = 'evt_0'`)
	w.exec(`update dunlin.stripe_events set fault = 'no luck' where id in ('evt_1', 'evt_2')`)
	w.exec(`update dunlin.stripe_events set fault = 'bad luck' where id = 'evt_3'`)
	oldest := noon.Add(4 * time.Minute)
	want := Backlog{Waiting: 1, Oldest: &oldest, Faults: []Fault{{"no luck", 2}, {"bad luck", 1}}}
	got, err := w.Backlog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Backlog (-want +got)\n%s", diff)
	}
}

func TestSync_Unfinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	classes := func() string {
		t.Helper()
		left, err := w.Unfinished(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range left {
			names = append(names, fmt.Sprintf("%s %d", p.Class, p.Objects))
		}
		return strings.Join(names, ", ")
	}
	if got := classes(); got != "" {
		t.Errorf("before a sync\n got %q\nwant none", got)
	}
	w.exec(`insert into dunlin.sync_runs (account_id, started_at) values ($1, $2)`, w.account, noon)
	w.exec(`
		insert into dunlin.sync_progress (account_id, run_id, class, objects, finished_at)
		select account_id, run_id, class, objects, case when class = 'products' then started_at end
		from dunlin.sync_runs, (values ('attributes', 0), ('charges', 7), ('customers', 12), ('products', 3)) c (class, objects)`)
	if got, want := classes(), "customers 12, charges 7, attributes 0"; got != want {
		t.Errorf("a sync that stopped\n got %q\nwant %q", got, want)
	}
	w.exec(`update dunlin.sync_runs set finished_at = started_at`)
	if got := classes(); got != "" {
		t.Errorf("after it was finished\n got %q\nwant none", got)
	}
}
