package jobs

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/stripesync"
)

// mirrored gives the world a Stripe account, synced, whose webhooks reach nobody.
func (w *world) mirrored() *sandbox.Sandbox {
	w.t.Helper()
	merchant, err := sandbox.New(sandbox.Config{Seed: 19, Customers: 40, Start: noon})
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewServer(merchant.Stripe())
	w.t.Cleanup(server.Close)
	w.stripe, w.Now = server, merchant.Now
	s, err := stripesync.New(w.t.Context(), stripesync.Config{
		Pool: w.Pool, Account: "shop", Key: sandbox.StripeKey, BaseURL: server.URL, Now: merchant.Now,
		PokeApply: func(ctx context.Context, tx pgx.Tx) error { return w.poker.Apply(ctx, tx, "shop") },
		PokeTick:  w.poker.Tick,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	if err := s.Backfill(w.t.Context(), nil); err != nil {
		w.t.Fatal(err)
	}
	w.Stripe = append(w.Stripe, s)
	return merchant
}

// nothing-lost: without a single webhook, what happened at Stripe is applied; and
// at night the mirror is compared with Stripe, once.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	merchant := w.mirrored()
	if _, err := merchant.Advance(t.Context(), noon.Add(40*time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.FeedEvery = time.Second
	w.run()
	w.until("events are stored and applied", `
		select count(*) > 10 and bool_and(state <> 'stored') from dunlin.stripe_events`)
	w.until("one comparison", `select count(distinct compared_at) = 1 from dunlin.stripe_comparisons`)
	if _, found, err := w.Stripe[0].LastCompared(t.Context()); err != nil || len(found) == 0 || slices.ContainsFunc(found, func(c stripesync.Comparison) bool { return c.Differed > 0 }) {
		t.Errorf("compared\n got %+v %v\nwant no difference", found, err)
	}
	w.until("known until now", `select feed_until > $1 from dunlin.accounts where name = 'shop'`, noon.Add(39*time.Hour))
}

// After an outage longer than Stripe keeps its events the lists are read again.
func TestCatchUp_gap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	merchant := w.mirrored()
	if _, err := merchant.Advance(t.Context(), noon.AddDate(0, 0, 35)); err != nil {
		t.Fatal(err)
	}
	w.FeedEvery = time.Second
	w.run()
	w.until("a second sync", `select count(*) filter (where finished_at is not null) = 2 from dunlin.sync_runs`)
	w.until("known again", `select feed_until > $1 and resync is null from dunlin.accounts where name = 'shop'`, noon.AddDate(0, 0, 34))
}

func TestLastNight(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for now, want := range map[string]string{
		"2026-03-02T01:59:59Z": "2026-03-01T02:00:00Z",
		"2026-03-02T02:00:00Z": "2026-03-02T02:00:00Z",
		"2026-03-29T12:00:00Z": "2026-03-29T01:00:00Z", // the night in which clocks went forward
	} {
		at, _ := time.Parse(time.RFC3339, now)
		if got := lastNight(at, berlin).UTC().Format(time.RFC3339); got != want {
			t.Errorf("last night at %s\n got %s\nwant %s", now, got, want)
		}
	}
}
