package campaigns

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments"
)

// TestFollow_isEnough holds that looking only at the customers a tick names does
// all that looking at everyone would.
func TestFollow_isEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("entry", onEntry, nudge, `{name: later, at: 1 day, tag: x}`)
	w.campaign("card", onCard, `{name: early, at: -20 days, tag: a}`, `{name: late, at: -2 days, tag: b}`)
	w.campaign("anchored", "segment: owing\nepisode: entry\nexisting: enroll\nanchor: next_charge_at", `{name: a, at: -1 day, tag: a}`, `{name: b, at: 1 day, tag: b}`)
	w.campaign("staying", onCard+"\nexit: never", mark)
	for _, name := range []string{"entry", "card", "anchored", "staying"} {
		w.start(name, noon)
	}
	rapid.Check(t, func(rt *rapid.T) {
		w.exec(`truncate dunlin.customers, dunlin.changed_customers, dunlin.ticks, dunlin.members, dunlin.membership_log, dunlin.enrollments, dunlin.deliveries, dunlin.tasks`)
		w.exec(`update dunlin.generations set members = 0`)
		now := noon
		ticker := &segments.Ticker{Pool: w.pool, Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)}
		ticker.After = func(ctx context.Context, tx pgx.Tx, tick segments.Tick) error {
			_, err := w.store.Follow(ctx, tx, tick)
			return err
		}
		var ids []int64
		for i := range rapid.IntRange(1, 6).Draw(rt, "customers") {
			ids = append(ids, w.customer(fmt.Sprint(i), nil))
		}
		narrow := false
		for range rapid.IntRange(2, 6).Draw(rt, "ticks") {
			for _, id := range ids {
				if rapid.IntRange(0, 2).Draw(rt, "changes") != 0 {
					continue
				}
				card := rapid.SampledFrom([]string{"", "pm_1", "pm_2"}).Draw(rt, "card")
				w.exec(`update dunlin.customers set delinquent = $2, card_id = nullif($3, ''), card_expires_at = case when $3 <> '' then $4::date end, next_charge_at = $5 where customer_id = $1`,
					id, rapid.Bool().Draw(rt, "delinquent"), card, noon.AddDate(0, 0, rapid.IntRange(-5, 40).Draw(rt, "expires")),
					rapid.SampledFrom([]*time.Time{nil, new(noon.Add(day)), new(noon.Add(5 * day))}).Draw(rt, "next charge"))
				w.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) values ($1, $2, '{*}')`, w.account, id)
			}
			tick, err := ticker.Tick(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			narrow = narrow || !tick.Everyone
			before := w.dump()
			if n := w.enroll(now); n != 0 || w.dump() != before {
				rt.Fatalf("everyone: %d more (-followed +everyone)\n%s", n, cmp.Diff(before, w.dump()))
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(rt, "minutes")) * time.Minute)
		}
		if !narrow {
			rt.Fatal("no tick looked at the named customers only")
		}
	})
}
