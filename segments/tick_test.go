package segments_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

func TestTick_joinsAndLeaves(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.customer(f.account, "a", map[string]any{"delinquent": true})
	b := f.customer(f.account, "b", nil)
	f.save(f.parse("owing", "delinquent"))
	f.save(f.parse("fine", "not delinquent"))

	first := f.tick()
	same(t, "first", []int64{first.Joined, first.Left}, []int64{2, 0})
	same(t, "moved", first.Moved, map[string]int64{"owing": 1, "fine": 1})
	same(t, "members", f.members("owing")+"/"+f.members("fine"), "a/b")

	f.now = f.now.Add(time.Minute)
	again := f.tick()
	same(t, "nothing changed", []int64{again.Joined, again.Left, int64(len(again.Moved))}, []int64{0, 0, 0})

	f.now = f.now.Add(time.Minute)
	f.set(a, "delinquent", false)
	f.set(b, "delinquent", true)
	second := f.tick()
	same(t, "both moved", []int64{second.Joined, second.Left}, []int64{2, 2})
	same(t, "log", f.log("owing")+" / "+f.log("fine"), "+a -a +b / +b +a -b")
	var joined, left int
	var finished *time.Time
	if err := f.pool.QueryRow(t.Context(), `select joined, left_, finished_at from dunlin.ticks where tick_id = $1`, second.ID).Scan(&joined, &left, &finished); err != nil {
		t.Fatal(err)
	}
	if joined != 2 || left != 2 || finished == nil {
		t.Errorf("the tick's row\n got %d %d %v", joined, left, finished)
	}
	var at time.Time
	f.row(&at, `select joined_at from dunlin.members join dunlin.segments using (generation) where customer_id = $1 and name = 'owing'`, b)
	if !at.Equal(f.now) {
		t.Errorf("joined at\n got %s\nwant the tick's instant", at)
	}
}

// TestTick_boundary holds that a rule about time flips when its bound passes,
// without anybody touching the customer, and to the minute.
func TestTick_boundary(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "card", map[string]any{"card_expires_at": time.Date(2026, time.March, 5, 0, 0, 0, 0, time.UTC)})
	f.customer(f.account, "charge", map[string]any{"next_charge_at": monday.Add(90 * time.Minute)})
	f.save(f.parse("soon", "next_charge_at within next 1 hour"))
	f.save(f.parse("card", "card_expires_at within next 2 days"))
	for _, step := range []struct {
		at         time.Duration
		soon, card string
	}{
		{0, "", ""}, {29 * time.Minute, "", ""}, {30 * time.Minute, "charge", ""}, {31 * time.Minute, "charge", ""}, {90*time.Minute - time.Second, "charge", ""},
		{90 * time.Minute, "", ""}, {12*time.Hour - time.Second, "", ""}, {12 * time.Hour, "", "card"}, {84*time.Hour - time.Second, "", "card"}, {84 * time.Hour, "", ""},
	} {
		f.now = monday.Add(step.at)
		f.tick()
		same(t, fmt.Sprint("after ", step.at), []string{f.members("soon"), f.members("card")}, []string{step.soon, step.card})
	}
}

func TestTick_neverGoesBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "a", map[string]any{"next_charge_at": monday.Add(-time.Minute)})
	f.save(f.parse("past", "next_charge_at < now()"))
	if at, err := segments.LastTick(t.Context(), f.pool); err != nil || !at.IsZero() {
		t.Errorf("before the first\n got %s (%v)", at, err)
	}
	f.tick()
	f.now = monday.Add(-time.Hour)
	if tick := f.tick(); !tick.At.Equal(monday) {
		t.Errorf("with a clock that is behind\n got %s\nwant %s", tick.At, monday)
	}
	same(t, "nobody leaves for it", f.log("past"), "+a")
	if at, err := segments.LastTick(t.Context(), f.pool); err != nil || !at.Equal(monday) {
		t.Errorf("last\n got %s (%v)", at, err)
	}
}

// TestTick_unreadyAccounts holds honest-mirror: nobody joins because half the
// data is there.
func TestTick_unreadyAccounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.newAccount("other", false)
	f.customer(f.account, "a", nil)
	f.customer(other, "b", nil)
	f.save(f.parse("all", "not deleted"))
	f.tick()
	same(t, "only who is ready", f.members("all"), "a")
	f.now = f.now.Add(time.Minute)
	f.exec(`update dunlin.accounts set ready_at = $1`, f.now)
	f.tick()
	same(t, "ready, without any news", f.members("all"), "a b")
}

func TestTick_brokenRule(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.customer(f.account, "a", map[string]any{"delinquent": true})
	f.save(f.parse("broken", "delinquent"))
	f.save(f.parse("sound", "delinquent"))
	f.tick()
	f.exec(`update dunlin.segment_versions set rule = 'delinqent' where name = 'broken'`)
	f.now = f.now.Add(time.Minute)
	f.set(a, "delinquent", false)
	f.tick()
	same(t, "keeps its members; the others are not held up", []string{f.members("broken"), f.members("sound")}, []string{"a", ""})
	list, err := segments.List(t.Context(), f.pool)
	if err != nil || !strings.Contains(list[0].Fault, `unknown attribute "delinqent"`) || list[1].Fault != "" || !list[0].EvaluatedAt.Equal(monday) {
		t.Errorf("list\n got %+v (%v)\nwant the fault", list, err)
	}
	if _, err := segments.Load(t.Context(), f.pool, "broken", "usd"); err == nil {
		t.Error("a broken rule was loaded")
	}
	f.exec(`update dunlin.segment_versions set rule = 'delinquent' where name = 'broken'`)
	f.now = f.now.Add(time.Minute)
	f.tick()
	list, err = segments.List(t.Context(), f.pool)
	if err != nil || list[0].Fault != "" || f.members("broken") != "" {
		t.Errorf("repaired, without any news\n got %+v (%v), members %q", list[0], err, f.members("broken"))
	}
}

// TestTick_zoneThatWillNotDo holds that a rule which the workspace's zone makes
// impossible to evaluate keeps its members and holds up nobody, and that it has the
// members it should have when the zone is another.
func TestTick_zoneThatWillNotDo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"both", "owing"}
	expired := map[string]any{"card_expires_at": "2026-01-31", "next_charge_at": monday, "delinquent": true}
	a := f.customer(f.account, "a", expired)
	f.save(f.parse("both", "card_expires_at < next_charge_at"))
	f.save(f.parse("child", "in segment 'both'"))
	f.save(f.parse("owing", "delinquent"))
	f.settle()
	f.exec(`insert into dunlin.workspace values (1, E'kind: workspace\nzone: CET\ncurrency: usd\n', $1)`, f.now)
	f.set(a, "delinquent", false)
	f.set(a, "card_expires_at", "2027-01-31")
	f.customer(f.account, "b", expired)
	f.settle()
	same(t, "keeps its members; the others are not held up", []string{f.members("both"), f.members("child"), f.members("owing")}, []string{"a", "a", "b"})
	if got := f.stored("both").Fault; !strings.Contains(got, `zone "CET"`) || f.stored("child").Fault != "" || f.stored("owing").Fault != "" {
		t.Errorf("faults\n got %q, %q and %q\nwant one of both, with the zone", got, f.stored("child").Fault, f.stored("owing").Fault)
	}
	f.exec(`insert into dunlin.workspace values (2, E'kind: workspace\nzone: Europe/Berlin\ncurrency: usd\n', $1)`, f.now)
	f.settle()
	same(t, "in another zone", []string{f.members("both"), f.members("child"), f.stored("both").Fault}, []string{"b", "b", ""})
}

// TestTick_newVersion holds that a changed rule, or what a bare number means, is
// seen without any news of customers.
func TestTick_newVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "pro", map[string]any{"plan": "Pro", "mrr": "100", "mrr_currency": "usd"})
	f.customer(f.account, "team", map[string]any{"plan": "Team", "mrr": "100", "mrr_currency": "eur"})
	f.save(f.parse("p", "plan = 'Pro'"))
	f.save(f.parse("m", "mrr > 50"))
	f.tick()
	same(t, "first", f.members("p")+"/"+f.members("m"), "pro/pro")
	f.now = f.now.Add(time.Minute)
	f.save(f.parse("p", "plan = 'Team'"))
	f.tick()
	same(t, "another rule", f.members("p")+" "+f.log("p"), "team +pro -pro +team")
	f.exec(`insert into dunlin.workspace values (1, E'kind: workspace\nzone: UTC\ncurrency: eur\n', $1)`, monday)
	f.now = f.now.Add(time.Minute)
	f.tick()
	same(t, "another currency", f.members("m"), "team")
}

func TestRehearse_leavesNoTrace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "a", map[string]any{"next_charge_at": monday.Add(48 * time.Hour)})
	f.save(f.parse("past", "next_charge_at < now()"))
	f.tick()
	f.changed(f.account, 1)
	dump := func() (s string) {
		f.row(&s, `select (select string_agg(x::text, ',') from dunlin.ticks x) || (select string_agg(x::text, ',') from dunlin.segments x) ||
			coalesce((select string_agg(x::text, ',') from dunlin.members x), '') || coalesce((select string_agg(x::text, ',') from dunlin.membership_log x), '') ||
			(select string_agg(x::text, ',') from dunlin.changed_customers x)`)
		return s
	}
	before := dump()
	ticker := f.ticker()
	seen := ""
	ticker.After = func(ctx context.Context, tx pgx.Tx, tick segments.Tick) error {
		return tx.QueryRow(ctx, `select coalesce(string_agg(change, ' '), '') from dunlin.membership_log where tick_id = $1`, tick.ID).Scan(&seen)
	}
	for _, at := range []time.Time{monday.Add(72 * time.Hour), monday.Add(-72 * time.Hour)} {
		tick, err := ticker.Rehearse(t.Context(), at)
		if at.After(monday) && (err != nil || tick.Joined != 1 || !tick.At.Equal(at) || seen != "join") {
			t.Errorf("rehearsal\n got %+v, After saw %q (%v)", tick, seen, err)
		}
		if at.Before(monday) && (err != nil || tick.Joined != 0 || !tick.At.Equal(at) || seen != "") {
			t.Errorf("rehearsal of the past\n got %+v (%v)", tick, err)
		}
		same(t, "no trace", dump(), before)
	}
}

func TestTick_after(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "a", map[string]any{"delinquent": true})
	f.save(f.parse("owing", "delinquent"))
	ticker := f.ticker()
	boom := errors.New("boom")
	ticker.After = func(context.Context, pgx.Tx, segments.Tick) error { return boom }
	if _, err := ticker.Tick(t.Context()); !errors.Is(err, boom) {
		t.Errorf("got %v\nwant what After said", err)
	}
	var ticks, news int
	f.row(&ticks, `select count(*) from dunlin.ticks`)
	f.row(&news, `select count(*) from dunlin.changed_customers`)
	same(t, "all of it is undone", fmt.Sprintf("%d %d %s", ticks, news, f.members("owing")), "0 1 ")

	var got segments.Tick
	ticker.After = func(ctx context.Context, tx pgx.Tx, tick segments.Tick) error {
		got = tick
		var n int
		if err := tx.QueryRow(ctx, `select count(*) from dunlin.members`).Scan(&n); err != nil || n != 1 {
			return fmt.Errorf("After sees %d members: %w", n, err)
		}
		return nil
	}
	tick, err := ticker.Tick(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "After is told", []int64{got.ID, got.Joined}, []int64{tick.ID, 1})
}

// TestTick_news holds that the news is consumed once, names each customer once,
// and that too much of it means everyone.
func TestTick_news(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.customer(f.account, "a", nil)
	f.changed(f.account, a)
	f.changed(f.account, a)
	f.save(f.parse("owing", "delinquent"))
	same(t, "each once", f.tick().Changed, []customers.Ref{{Account: f.account, Customer: a}})
	f.now = f.now.Add(time.Minute)
	if tick := f.tick(); len(tick.Changed) != 0 || tick.Everyone {
		t.Errorf("consumed\n got %+v", tick)
	}
	f.now = f.now.Add(time.Hour)
	if tick := f.tick(); !tick.NewHour || tick.Everyone {
		t.Errorf("an hour began\n got %+v\nwant NewHour, and not Everyone", tick)
	}
	f.now = f.now.Add(24 * time.Hour)
	if tick := f.tick(); !tick.NewHour || !tick.Everyone {
		t.Errorf("a day began\n got %+v\nwant NewHour and Everyone", tick)
	}
	f.exec(`insert into dunlin.customers (account_id, stripe_id, projected_at, delinquent) select $1, 'cus_' || n, $2, true from generate_series(1, 6000) n`, f.account, monday)
	f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{*}' from dunlin.customers`)
	f.now = f.now.Add(time.Minute)
	if tick := f.tick(); tick.Joined != 6000 || tick.Everyone {
		t.Errorf("much news\n got %d joins, everyone %v\nwant 6000", tick.Joined, tick.Everyone)
	}
	f.exec(`update dunlin.customers set delinquent = false`)
	f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{delinquent}' from dunlin.customers, generate_series(1, 9)`)
	f.now = f.now.Add(time.Minute)
	if tick := f.tick(); tick.Left != 6000 || !tick.Everyone || len(tick.Changed) != 0 {
		t.Errorf("more than a tick reads\n got %d leaves, everyone %v\nwant 6000", tick.Left, tick.Everyone)
	}
	var left int
	f.row(&left, `select count(*) from dunlin.changed_customers`)
	same(t, "all of it is consumed", left, 0)
}

// TestTick_atOnce holds that ticks of several processes wait for each other and
// agree.
func TestTick_atOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.save(f.parse("owing", "delinquent"))
	for i := range 20 {
		f.customer(f.account, fmt.Sprint(i), map[string]any{"delinquent": true})
	}
	ctx := context.WithoutCancel(t.Context())
	var mu sync.Mutex
	var joined int64
	inside, most := 0, 0
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			ticker := &segments.Ticker{Pool: f.pool, Now: func() time.Time { return monday.Add(time.Duration(n) * time.Second) }, Logger: f.ticker().Logger}
			ticker.After = func(context.Context, pgx.Tx, segments.Tick) error {
				mu.Lock()
				defer mu.Unlock()
				inside++
				most = max(most, inside)
				inside--
				return nil
			}
			for range 3 {
				tick, err := ticker.Tick(ctx)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				joined += tick.Joined
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	same(t, "each joined once", []int64{joined, int64(most)}, []int64{20, 1})
	var backwards, rows int
	f.row(&backwards, `select count(*) from (select at < lag(at) over (order by tick_id) as back from dunlin.ticks) x where back`)
	f.row(&rows, `select count(*) from dunlin.membership_log`)
	same(t, "instants never go back, the log says each once", []int{backwards, rows}, []int{0, 20})
}

// TestTick_exactMembership holds exact-membership against the reference
// evaluator, over customers that change or do not, and a clock that goes on by
// seconds or days; the log adds up to the members.
func TestTick_exactMembership(t *testing.T) {
	t.Parallel()
	rules := map[string]string{
		"owing":    "delinquent and not deleted",
		"not-pro":  "plan != 'Pro'",
		"soon":     "next_charge_at within next 3 hours",
		"card":     "card_expires_at between today() - 3 days and today() + 30 days",
		"rich":     "mrr >= 50 usd or open_invoice_count > 1",
		"tier":     "metadata['tier'] = 'gold' and email is not null",
		"long-ago": "last_charge_at before now() - 1 day or last_charge_at is null",
	}
	f := newFixture(t)
	parsed := map[string]*rule.Rule{}
	for name, source := range rules {
		parsed[name] = f.parse(name, source).Rule
	}
	rapid.Check(t, func(rt *rapid.T) {
		f.t, f.now = failer{t, rt}, monday
		f.exec(`truncate dunlin.customers, dunlin.changed_customers, dunlin.segments, dunlin.segment_versions, dunlin.generations, dunlin.ticks, dunlin.members, dunlin.membership_log`)
		for name := range rules {
			f.save(segments.Segment{Name: name, Rule: parsed[name]})
		}
		set := func(id int64) {
			maybe := func(name string, v any) any {
				if rapid.IntRange(0, 2).Draw(rt, name+" missing") == 0 {
					return nil
				}
				return v
			}
			f.exec(`update dunlin.customers set delinquent = $2, deleted = $3, plan = $4, next_charge_at = $5, card_expires_at = $6, mrr = $7::text::numeric, mrr_currency = $8,
				open_invoice_count = $9, metadata = $10, email = $11, last_charge_at = $12 where customer_id = $1`, id,
				rapid.Bool().Draw(rt, "delinquent"), rapid.Bool().Draw(rt, "deleted"),
				maybe("plan", rapid.SampledFrom([]string{"Pro", "Team", "pro"}).Draw(rt, "plan")),
				maybe("next charge", monday.Add(time.Duration(rapid.IntRange(-300, 3000).Draw(rt, "minutes"))*time.Minute)),
				maybe("card", monday.AddDate(0, 0, rapid.IntRange(-6, 40).Draw(rt, "days"))),
				rapid.SampledFrom([]string{"49.99", "50", "500"}).Draw(rt, "mrr"), rapid.SampledFrom([]string{"usd", "eur"}).Draw(rt, "currency"),
				rapid.IntRange(0, 3).Draw(rt, "invoices"), map[string]string{"tier": rapid.SampledFrom([]string{"gold", "tin"}).Draw(rt, "tier")},
				maybe("email", "x@example.com"), maybe("last charge", monday.Add(-time.Duration(rapid.IntRange(0, 60).Draw(rt, "hours"))*time.Hour)))
			f.changed(f.account, id)
		}
		var ids []int64
		for i := range rapid.IntRange(1, 8).Draw(rt, "customers") {
			id := f.customer(f.account, fmt.Sprint(i), nil)
			set(id)
			ids = append(ids, id)
		}
		for range rapid.IntRange(1, 5).Draw(rt, "ticks") {
			f.tick()
			var pictures []customers.Picture
			for _, id := range ids {
				p, err := customers.Load(t.Context(), f.pool, customers.Ref{Account: f.account, Customer: id})
				if err != nil {
					rt.Fatal(err)
				}
				pictures = append(pictures, p)
			}
			one := rapid.SampledFrom(slices.Sorted(maps.Keys(rules))).Draw(rt, "held")
			for name, source := range rules {
				r := parsed[name]
				var want []string
				for i, p := range pictures {
					in := r.Eval(alone{p}, f.env())
					if in {
						want = append(want, fmt.Sprint(i))
					}
					if name != one {
						continue
					}
					if holds, err := segments.HoldsFor(t.Context(), f.pool, r, nil, f.env(), []customers.Ref{p.Ref}); err != nil || holds[p.Ref] != in {
						rt.Fatalf("Holds(%s) of %d\n got %v (%v)", source, i, holds, err)
					}
				}
				if got := f.members(name); got != strings.Join(want, " ") {
					rt.Fatalf("%s at %s\n got %s\nwant %s", source, f.now, got, want)
				}
			}
			var drift int
			f.row(&drift, `
				select count(*) from (
					select segment, customer_id, sum(case change when 'join' then 1 else -1 end) as n from dunlin.membership_log where change <> 'episode' group by 1, 2
				) l full join (select s.name as segment, m.customer_id, m.joined_at from dunlin.members m join dunlin.segments s using (generation)) m using (segment, customer_id)
				where coalesce(l.n, 0) <> (m.joined_at is not null)::int`)
			if drift != 0 {
				rt.Fatalf("the log does not add up to the members")
			}
			f.now = f.now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Minute, time.Hour, 26 * time.Hour}).Draw(rt, "later"))
			for _, id := range ids {
				if rapid.IntRange(0, 3).Draw(rt, "changes") == 0 {
					set(id)
				}
			}
		}
	})
}

// alone is a customer without elements, in no segment.
type alone struct{ customers.Picture }

func (alone) Elements(string) []rule.Values { return nil }
func (alone) InSegment(string) bool         { return false }

// A failer fails a property with the case that broke it.
type failer struct {
	*testing.T
	rt *rapid.T
}

func (f failer) Fatal(args ...any) { f.rt.Fatal(args...) }
