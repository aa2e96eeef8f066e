package stripesync

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// happened puts an event into Stripe's list, as told of nobody.
func (w *world) happened(id, eventType string, created time.Time, object string) {
	w.stripe.put(eventsPath, eventJSON(ourVersion, id, eventType, created, object))
}

func (w *world) catchUp() Caught {
	w.t.Helper()
	caught, err := w.CatchUp(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return caught
}

func syncedWorld(t *testing.T) *world {
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// nothing-lost: what no webhook brought is in Stripe's list of events.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour)
	w.happened("evt_lost", "customer.updated", noon.Add(10*time.Minute), anaMaria)
	w.happened("evt_told", "customer.updated", noon.Add(20*time.Minute), anaMaria)
	w.happened("evt_other", "payout.paid", noon.Add(30*time.Minute), `{"id":"po_1","object":"payout"}`)
	w.tell("evt_told", "customer.updated", noon.Add(20*time.Minute), anaMaria)

	caught := w.catchUp()
	if caught.Events != 2 || caught.Lost != 1 || caught.Gap {
		t.Errorf("CatchUp\n got %+v\nwant two events, one of them lost", caught)
	}
	if want := noon.Add(time.Hour - feedLate); !caught.Until.Equal(want) {
		t.Errorf("known until\n got %s\nwant %s", caught.Until, want)
	}
	if n := w.events(); n != 2 {
		t.Errorf("stored\n got %d\nwant 2: what is not mirrored is left", n)
	}
	w.apply()
	w.want(customer("cus_1"), anaMaria, false)

	// An event whose webhook may be on its way is stored, and not lost.
	w.happened("evt_now", "customer.updated", w.clock.Now().Add(-time.Second), anaMaria)
	if caught := w.catchUp(); caught.Lost != 0 || w.events() != 3 {
		t.Errorf("with an event of now\n got %+v and %d stored\nwant none lost and three stored", caught, w.events())
	}

	// What the list showed late is found by the next one.
	w.happened("evt_late", "customer.updated", noon.Add(time.Hour-90*time.Second), anaMaria)
	if caught := w.catchUp(); caught.Lost != 1 {
		t.Errorf("the next CatchUp\n got %+v\nwant the event that came late", caught)
	}
	if caught := w.catchUp(); caught.Lost != 0 {
		t.Errorf("a third\n got %+v\nwant nothing lost", caught)
	}
}

func TestCatchUp_beforeTheFirstSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if caught := w.catchUp(); !caught.Until.IsZero() || len(w.stripe.requests()) != 0 {
		t.Errorf("CatchUp\n got %+v\nwant nothing known and nothing asked", caught)
	}
}

// Broken off, it goes on from the slice it was at.
func TestCatchUp_goesOn(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(3 * 24 * time.Hour)
	for i := range 72 {
		w.happened(fmt.Sprintf("evt_%d", i), "customer.updated", noon.Add(time.Duration(i)*time.Hour), anaMaria)
	}
	asked := 0
	w.stripe.failWith(func(*http.Request) (int, string) {
		if asked++; asked > 6 {
			return http.StatusForbidden, `{"error":{"message":"not now"}}`
		}
		return 0, ""
	})
	if _, err := w.CatchUp(t.Context()); err == nil || !strings.Contains(err.Error(), "read permission on events") {
		t.Fatalf("CatchUp\n got %v\nwant the refusal", err)
	}
	feed, err := w.Feed(t.Context())
	if err != nil || !feed.Until.After(noon.Add(12*time.Hour)) || !feed.Until.Before(noon.Add(48*time.Hour)) {
		t.Fatalf("known until\n got %s %v\nwant the slices that were read", feed.Until, err)
	}
	w.stripe.failWith(nil)
	w.stripe.requests()
	w.catchUp()
	for _, request := range w.stripe.requests() {
		if strings.Contains(request, fmt.Sprint("created[gte]=", noon.Add(-feedAgain).Unix())) {
			t.Errorf("read again from the beginning: %s", request)
		}
	}
	if n := w.events(); n != 72 {
		t.Errorf("stored\n got %d\nwant 72", n)
	}
}

func TestCatchUp_manyPages(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour)
	for i := range 250 {
		w.happened(fmt.Sprintf("evt_%d", i), "customer.updated", noon.Add(time.Duration(i)*time.Second), anaMaria)
	}
	if caught := w.catchUp(); caught.Lost != 250 {
		t.Errorf("CatchUp\n got %+v\nwant 250 lost", caught)
	}
}

// honest-mirror: events that are older than Stripe's list are lost, so the lists
// are read again, and until they are the data's age shows it.
func TestCatchUp_gap(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.stripe.lists["/v1/customers"][0] = []byte(anaMaria)
	w.exec(`insert into dunlin.stripe_customers (account_id, id, raw, as_of) values ($1, 'cus_gone', '{"id":"cus_gone"}', $2)`, w.account, noon)
	w.stripe.serve("/v1/customers/cus_gone", `{"id":"cus_gone","object":"customer","deleted":true}`) // and nobody heard of it
	w.clock.add(31 * 24 * time.Hour)
	if caught := w.catchUp(); !caught.Gap {
		t.Fatalf("CatchUp\n got %+v\nwant a gap", caught)
	}
	feed, err := w.Feed(t.Context())
	if err != nil || !feed.Known().Equal(noon) || !strings.Contains(feed.Resync, "30 days") {
		t.Errorf("Feed\n got %+v %v\nwant nothing known since noon, and why", feed, err)
	}
	if ready, err := w.Ready(t.Context()); err != nil || !ready {
		t.Errorf("Ready\n got %v %v\nwant true: the lists stay as they are", ready, err)
	}
	behind := func() bool {
		t.Helper()
		waits, err := unapplied(w, "cus_1")
		if err != nil {
			t.Fatal(err)
		}
		return waits
	}
	if !behind() {
		t.Error("nobody waits for what is lost (no-stale-contact)")
	}
	if since, err := Unapplied(t.Context(), w.pool, w.account, []string{"cus_1"}); err != nil || !since["cus_1"].Equal(noon) {
		t.Errorf("what is lost is waited for since\n got %v %v\nwant %v", since, err, noon)
	}
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if behind() {
		t.Error("somebody waits although the lists were read again")
	}
	w.want(customer("cus_1"), anaMaria, false)
	if !w.mirror(customer("cus_gone")).deleted {
		t.Error("a customer that was deleted meanwhile is not marked so")
	}
	if caught := w.catchUp(); caught.Gap || !caught.Until.After(noon.Add(30*24*time.Hour)) {
		t.Errorf("afterwards\n got %+v\nwant no gap", caught)
	}
}

func TestFeed_known(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour)
	w.tell("evt_1", "customer.updated", noon.Add(5*time.Minute), anaMaria)
	w.catchUp()
	feed, err := w.Feed(t.Context())
	if err != nil || feed.Waiting != 1 || !feed.Known().Equal(noon.Add(5*time.Minute)) {
		t.Errorf("with an event that waits\n got %+v %v\nwant known until that event", feed, err)
	}
	w.apply()
	if feed, err = w.Feed(t.Context()); err != nil || !feed.Known().Equal(feed.Until) {
		t.Errorf("applied\n got %+v %v\nwant known as far as caught up", feed, err)
	}
}
