package sandbox

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"
)

func withLife(t *testing.T, seed int64, customers int, life Life) *Sandbox {
	t.Helper()
	s, err := New(Config{Seed: seed, Customers: customers, Life: life})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLife_refunds(t *testing.T) {
	t.Parallel()
	s := withLife(t, 41, 150, Life{Refunds: 0.2})
	e := newEndpoint(t, s)
	live(t, s, 10)
	w, api := s.world, stripeClient(t, s)
	seen, parts := 0, 0
	it := api.Refunds.List(&stripe.RefundListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(20)}})
	for ; it.Next(); seen++ {
		got := it.Refund()
		want := w.byID[got.ID].(*refund)
		if got.Amount != want.amount || got.Charge.ID != want.charge.id || got.Status != "succeeded" || got.Created != want.created {
			t.Fatalf("refund %+v\nwant %+v", got, want)
		}
		_, charge := get(t, s, "/v1/charges/"+want.charge.id+"?expand[]=refunds")
		whole := want.amount == want.charge.amount
		if !whole {
			parts++
		}
		back := charge["refunds"].(map[string]any)["data"].([]any)
		if charge["amount_refunded"] != float64(want.amount) || charge["refunded"] != whole || len(back) != 1 {
			t.Errorf("the charge of a refund of %d: %v %v %v", want.amount, charge["amount_refunded"], charge["refunded"], back)
		}
		if ids := fetch(t, s, "/v1/refunds", url.Values{"charge": {want.charge.id}}); !slices.Equal(ids, []string{got.ID}) {
			t.Errorf("refunds of a charge: %v", ids)
		}
	}
	if it.Err() != nil || seen != len(w.refunds) || seen < 30 || parts == 0 || parts == seen {
		t.Errorf("%d refunds of %d, %d in part, %v", seen, len(w.refunds), parts, it.Err())
	}
	middle := w.refunds[len(w.refunds)/2]
	newer := fetch(t, s, "/v1/refunds", url.Values{"created[gt]": {itoa(middle.created)}})
	older := fetch(t, s, "/v1/refunds", url.Values{"created[lte]": {itoa(middle.created)}})
	if len(newer)+len(older) != len(w.refunds) || len(newer) == 0 || newer[0] != w.refunds[len(w.refunds)-1].id {
		t.Errorf("%d and %d refunds around an instant, of %d", len(newer), len(older), len(w.refunds))
	}
	told := 0
	for _, ev := range e.taken {
		if ev.Type != "charge.refunded" {
			continue
		}
		told++
		if was, ok := ev.Data.PreviousAttributes["amount_refunded"]; !ok || was != float64(0) || ev.Data.Object["amount_refunded"] == float64(0) {
			t.Errorf("%s says it was %v", ev.ID, ev.Data.PreviousAttributes)
		}
	}
	if told == 0 {
		t.Error("no charge.refunded")
	}
	for _, path := range []string{"/v1/refunds/re_nobody", "/v1/disputes/dp_nobody"} {
		if status, _ := get(t, s, path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _ := get(t, s, "/v1/refunds?charge=ch_nobody"); status != 400 {
		t.Errorf("refunds of a charge that is not there: %d", status)
	}
}

func TestLife_disputes(t *testing.T) {
	t.Parallel()
	s := withLife(t, 42, 150, Life{Disputes: 0.2})
	e := newEndpoint(t, s)
	live(t, s, 12)
	w, api := s.world, stripeClient(t, s)
	statuses := map[stripe.DisputeStatus]int{}
	it := api.Disputes.List(&stripe.DisputeListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(20)}})
	seen := 0
	for ; it.Next(); seen++ {
		got := it.Dispute()
		want := w.byID[got.ID].(*dispute)
		statuses[got.Status]++
		_, charge := get(t, s, "/v1/charges/"+got.Charge.ID)
		if got.Amount != want.amount || string(got.Status) != want.status || charge["disputed"] != true || charge["amount_refunded"] != float64(0) {
			t.Fatalf("dispute %+v\nwant %+v of %v", got, want, charge)
		}
	}
	if it.Err() != nil || seen != len(w.disputes) || statuses["won"] == 0 || statuses["lost"] < statuses["won"] || statuses["needs_response"] == 0 {
		t.Errorf("%d disputes of %d: %v, %v", seen, len(w.disputes), statuses, it.Err())
	}
	types := map[string]int{}
	for _, ev := range e.taken {
		if strings.HasPrefix(string(ev.Type), "charge.dispute.") {
			types[string(ev.Type)]++
			if ev.Data.Object["object"] != "dispute" {
				t.Errorf("%s is about %v", ev.Type, ev.Data.Object["object"])
			}
		}
	}
	if types["charge.dispute.created"] == 0 || types["charge.dispute.created"] != types["charge.dispute.funds_withdrawn"] ||
		types["charge.dispute.closed"] <= types["charge.dispute.funds_reinstated"] || types["charge.dispute.funds_reinstated"] == 0 {
		t.Errorf("events of disputes: %v", types)
	}
}

func TestLife_deletions(t *testing.T) {
	t.Parallel()
	s := withLife(t, 43, 150, Life{Deletions: 0.5})
	e := newEndpoint(t, s)
	live(t, s, 10)
	deleted := 0
	for _, ev := range e.taken {
		if ev.Type != "customer.deleted" {
			continue
		}
		deleted++
		id := ev.Data.Object["id"].(string)
		if _, flagged := ev.Data.Object["deleted"]; flagged || ev.Data.Object["invoice_settings"] == nil {
			t.Errorf("customer.deleted carries %v", ev.Data.Object)
		}
		if status, body := get(t, s, "/v1/customers/"+id); status != 200 || len(body) != 3 || body["deleted"] != true {
			t.Errorf("retrieve of a deleted customer: %d %v", status, body)
		}
		for _, sub := range s.world.byID[id].(*customer).subs {
			if sub.live() {
				t.Errorf("%s of a deleted customer is %s", sub.id, sub.status)
			}
		}
	}
	if deleted < 5 {
		t.Errorf("%d customers were deleted", deleted)
	}
}

func TestLife_catalog(t *testing.T) {
	t.Parallel()
	s := withLife(t, 44, 40, Life{CatalogChanges: 6 * time.Hour})
	e := newEndpoint(t, s)
	live(t, s, 5)
	changed := map[string]int{}
	for _, ev := range e.taken {
		if kind := ev.Data.Object["object"]; kind == "price" || kind == "product" {
			changed[string(ev.Type)]++
			if was, ok := ev.Data.PreviousAttributes["active"]; !ok || was == ev.Data.Object["active"] {
				t.Errorf("%s: it was %v and is %v", ev.Type, ev.Data.PreviousAttributes, ev.Data.Object["active"])
			}
		}
	}
	if changed["price.updated"] < 10 || changed["product.updated"] < 5 {
		t.Errorf("changes of the catalog: %v", changed)
	}
	for _, class := range []string{"prices", "products"} {
		active := fetch(t, s, "/v1/"+class, url.Values{"active": {"true"}, "limit": {"100"}})
		archived := fetch(t, s, "/v1/"+class, url.Values{"active": {"false"}, "limit": {"100"}})
		for _, id := range slices.Concat(active, archived) {
			if _, body := get(t, s, "/v1/"+class+"/"+id); body["active"] != slices.Contains(active, id) {
				t.Errorf("%s is %v", id, body["active"])
			}
		}
		if len(archived) == 0 || len(active) == 0 {
			t.Errorf("%d active and %d archived %s", len(active), len(archived), class)
		}
	}
}

// What Life adds is beside the life, not instead of it: whoever was to sign up,
// pay or be declined is and does.
func TestLife_movesNothingElse(t *testing.T) {
	t.Parallel()
	lines := func(life Life) (texts []string) {
		for _, line := range live(t, withLife(t, 45, 150, life), 10).Lines {
			if line.Kind != "refunded" && line.Kind != "disputed" {
				texts = append(texts, line.At.Format(time.RFC3339)+" "+line.Text)
			}
		}
		slices.Sort(texts)
		return texts
	}
	if diff := cmp.Diff(lines(Life{}), lines(Life{Refunds: 0.3, Disputes: 0.3, CatalogChanges: 24 * time.Hour})); diff != "" {
		t.Errorf("lines (-without +with):\n%s", diff)
	}
}
