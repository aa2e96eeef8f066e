package stripesync

import (
	"context"
	"testing"
	"time"
)

func TestReads(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	use, err := w.Reads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (ReadUse{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), w.Counts().Requests, leastAllowed}); use != want || use.Reads == 0 || use.Saving() {
		t.Errorf("after a sync\n got %+v\nwant %+v", use, want)
	}
	// Another process of the account, and another month.
	other := newWorldOn(t, w.pool, w.clock, w.stripe, "main")
	other.clock.add(time.Minute)
	other.catchUp()
	if after, err := w.Reads(t.Context()); err != nil || after.Reads != use.Reads+other.Counts().Requests {
		t.Errorf("with another process's\n got %+v %v\nwant %d reads", after, err, use.Reads+other.Counts().Requests)
	}
	w.clock.add(40 * 24 * time.Hour)
	if next, err := w.Reads(t.Context()); err != nil || next.Reads != 0 {
		t.Errorf("a month later\n got %+v %v\nwant none", next, err)
	}
}

// When most of what Stripe allows is used, a payload of ours is used where it is
// not certain to be the newest, and nothing is read for it.
func TestReads_saved(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.exec(`update dunlin.stripe_reads set reads = $1`, leastAllowed*saveFrom/100)
	w.clock.add(2 * lookAgain)
	w.catchUp()
	w.stripe.requests()
	w.tell("evt_1", "customer.created", noon, ana)
	w.tell("evt_2", "customer.updated", noon, anaMaria)
	w.apply()
	if asked := w.stripe.requests(); len(asked) != 0 {
		t.Errorf("requests\n got %q\nwant none", asked)
	}
	w.want(customer("cus_1"), anaMaria, false)
	if got := w.fate("evt_2"); got != "applied" {
		t.Errorf("event\n got %s\nwant applied", got)
	}
	// What no payload tells is read all the same.
	w.tellVersion("2025-03-31.basil", "evt_3", "customer.updated", noon.Add(time.Minute), `{"id":"cus_1","object":"customer"}`)
	w.apply()
	if asked := w.stripe.requests(); len(asked) != 1 {
		t.Errorf("requests for another version\n got %q\nwant one", asked)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]Limits{
		"sk_live_1": {97, 24.25}, "rk_live_1": {97, 24.25}, "sk_test_1": {24.25, 24.25}, "rk_test_1": {24.25, 24.25},
	} {
		if got := StripesLimits(key); got != want {
			t.Errorf("limits of %s\n got %v\nwant %v", key, got, want)
		}
	}
	p := newPace(Limits{Account: 40, Endpoint: 20})
	p.limited("/v1/customers/cus_1", "endpoint-rate")
	p.limited("/v1/customers", "endpoint-rate") // within the same second: the same news
	if got := p.endpoint("/v1/customers").limiter.Limit(); got != 10 {
		t.Errorf("a limited endpoint\n got %v a second\nwant 10", got)
	}
	if got := p.endpoint("/v1/charges").limiter.Limit(); got != 20 {
		t.Errorf("another endpoint\n got %v a second\nwant 20", got)
	}
	p.limited("/v1/charges", "") // a lock, not the rate
	p.limited("/v1/charges", "global-rate")
	if got := p.account.limiter.Limit(); got != 20 {
		t.Errorf("a limited account\n got %v a second\nwant 20", got)
	}
	if got := p.endpoint("/v1/charges").limiter.Limit(); got != 20 {
		t.Errorf("the endpoint it was met at\n got %v a second\nwant 20", got)
	}
	p.account.changed = p.account.changed.Add(-2 * recovery)
	if err := p.wait(t.Context(), "/v1/charges"); err != nil || p.account.limiter.Limit() != 30 {
		t.Errorf("after a while\n got %v a second, %v\nwant 30", p.account.limiter.Limit(), err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := p.wait(ctx, "/v1/charges"); err == nil {
		t.Error("a request was sent for a ctx that has ended")
	}
}
