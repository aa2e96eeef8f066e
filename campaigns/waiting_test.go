package campaigns

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
)

const bandedUTC = settingsUTC + "unusual_change: {customers: 5, share: 20%}\n"

// tick evaluates at an instant and lets the campaigns follow.
func (w *world) tick(at time.Time) segments.Tick {
	w.t.Helper()
	ticker := &segments.Ticker{Pool: w.pool, Now: func() time.Time { return at }, Logger: slog.New(slog.DiscardHandler)}
	ticker.After = func(ctx context.Context, tx pgx.Tx, tick segments.Tick) error {
		_, err := w.store.Follow(ctx, tx, tick)
		return err
	}
	tick, err := ticker.Tick(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return tick
}

// change sets columns of customers, as an SQL list, and tells the tick of them.
func (w *world) change(ids []int64, set string, attributes ...string) {
	w.t.Helper()
	w.exec(`update dunlin.customers set `+set+` where customer_id = any($1)`, ids)
	w.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select $1, id, $3 from unnest($2::bigint[]) id`, w.account, ids, attributes)
}

func (w *world) accept(segment string, at time.Time) {
	w.t.Helper()
	w.tx(func(tx pgx.Tx) error {
		if err := segments.Accept(w.t.Context(), tx, segment); err != nil {
			return err
		}
		return Awaken(w.t.Context(), tx, SegmentWaits, at)
	})
}

func (w *world) waits(segment string) (waits bool) {
	w.t.Helper()
	w.row(&waits, `select waits is not null from dunlin.segments where name = $1`, segment)
	return waits
}

func (w *world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	w.row(&n, sql, args...)
	return n
}

// crowd is a world with twenty linked customers who owe, enrolled in everything
// that was started, and a band of five customers and a fifth.
func crowd(t *testing.T, start ...string) (*world, []int64) {
	t.Helper()
	w := newWorld(t)
	w.settings(bandedUTC)
	var ids []int64
	for i := range 20 {
		id := w.customer(fmt.Sprintf("%02d", i), nil)
		w.link(id, fmt.Sprint("C", i), noon.Add(time.Hour)) // asked late enough for the whole test
		ids = append(ids, id)
	}
	w.change(ids, "delinquent = true", "*")
	w.campaign("leaving", onEntry, nudge, call, `{name: later, at: 1 day, tag: x}`)
	w.campaign("never", onEntry+"\nexit: never", mark, call)
	w.campaign("draft", onEntry, nudge)
	w.campaign("late", "segment: owing\nepisode: entry\nexisting: ignore", nudge)
	w.tick(noon)
	for _, name := range start {
		if s := w.start(name, noon); s.Enrolled != 20 {
			t.Fatalf("start\n got %+v\nwant 20 enrolled", s)
		}
	}
	w.tick(noon.Add(time.Second))
	if w.waits("owing") {
		t.Fatal("it waits before anything happened")
	}
	return w, ids
}

// TestWaiting holds that while a segment waits nobody is enrolled, ended,
// contacted or skipped, and that with the tick after it was accepted everything
// follows once (no-surprise-blast, nothing-lost).
func TestWaiting(t *testing.T) {
	t.Parallel()
	w, ids := crowd(t, "leaving", "never")
	gone, stay := ids[:15], ids[15:]
	news := w.customer("new", nil)
	w.link(news, "Cnew", noon.Add(time.Hour))
	before := w.dump()

	w.change(gone, "delinquent = false", "delinquent")
	w.change([]int64{news}, "delinquent = true", "*")
	at := noon.Add(time.Minute)
	tick := w.tick(at)
	if !w.waits("owing") || tick.Left != 15 || tick.Joined != 1 {
		t.Fatalf("twenty members became six\n got %+v, waits %v\nwant that it waits, and its members are exact", tick, w.waits("owing"))
	}
	for _, later := range []time.Duration{0, time.Minute, time.Hour, 13 * time.Hour} { // another hour, another day
		w.tick(at.Add(later))
		if n := w.enroll(at.Add(later)); n != 0 || w.dump() != before {
			t.Fatalf("while it waits, %s later\n got %d enrolled and changes\nwant none", later, n)
		}
	}
	for _, name := range []string{"draft", "late"} {
		if err := w.startError(name); err == nil || !strings.Contains(err.Error(), "dunlin segments accept owing") {
			t.Errorf("start %s while it waits\n got %v\nwant a refusal with the repair", name, err)
		}
	}

	at = noon.Add(2 * time.Minute)
	for _, id := range []int64{gone[0], stay[0]} {
		for _, step := range []string{"leaving nudge", "leaving call", "never mark", "never call"} {
			name, step, _ := strings.Cut(step, " ")
			k := w.key(id, name, step)
			if c, ok := w.consider(k, at); !ok || c.Verdict != Wait || c.Reason != SegmentWaits {
				t.Errorf("%s of %s considered\n got %+v\nwant that it waits for its segment", step, name, c)
			}
			if _, ok := w.claim(k, at); ok {
				t.Errorf("%s of %s was claimed", step, name)
			}
			w.wantDelivery(k, "planned segment_waits")
		}
	}
	// It waits for somebody, but not until it is of no use any more.
	k, late := w.key(stay[1], "leaving", "nudge"), noon.Add(10*day)
	if _, ok := w.claim(k, late); ok {
		t.Error("claimed")
	}
	w.wantDelivery(k, "skipped segment_waits")
	if n := w.count(`select count(*) from dunlin.tasks`) + w.count(`select count(*) from dunlin.deliveries where state <> 'planned'`) - 1; n != 0 {
		t.Errorf("while it waits\n got %d tasks, and deliveries that are not planned\nwant none", n)
	}

	at = noon.Add(14 * time.Hour)
	w.accept("owing", at)
	if tick := w.tick(at); !tick.Whole["owing"] || tick.Everyone {
		t.Errorf("the tick after it was accepted\n got %+v\nwant all members of the segment, and not everybody", tick)
	}
	for _, id := range gone {
		want(t, "who left", w.states(id), []string{"leaving exited left_segment", "never active -"})
	}
	for _, id := range stay {
		want(t, "who stayed", w.states(id), []string{"leaving active -", "never active -"})
	}
	want(t, "who joined", w.states(news), []string{"leaving active -", "never active -"})
	if n := w.count(`select count(*) from dunlin.deliveries where campaign = 'leaving' and state = 'planned' and customer_id = any($1)`, gone); n != 0 {
		t.Errorf("of who left\n got %d deliveries planned\nwant none", n)
	}
	settled := w.dump()
	w.tick(at.Add(time.Minute))
	if w.enroll(at.Add(time.Minute)) != 0 || w.dump() != settled {
		t.Error("a tick later something follows again")
	}
	if _, ok := w.claim(w.key(stay[0], "never", "call"), at); !ok {
		t.Error("a task was not claimed after it was accepted")
	}
	if _, ok := w.claim(w.key(gone[0], "leaving", "nudge"), at); ok {
		t.Error("who left was claimed")
	}
}

// states are the campaigns of a customer, with state and reason.
func (w *world) states(id int64) (lines []string) {
	w.t.Helper()
	for _, e := range w.enrollments(id) {
		f := strings.Fields(e)
		lines = append(lines, f[0]+" "+strings.Join(f[len(f)-2:], " "))
	}
	return lines
}

// TestWaiting_acceptedBeforeTheTick holds that a worker which is faster than the
// tick decides by the rule.
func TestWaiting_acceptedBeforeTheTick(t *testing.T) {
	t.Parallel()
	w, ids := crowd(t, "leaving")
	w.change(ids[:15], "delinquent = false", "delinquent")
	w.tick(noon.Add(time.Minute))
	at := noon.Add(2 * time.Minute)
	w.accept("owing", at)
	if _, ok := w.claim(w.key(ids[0], "leaving", "call"), at); ok {
		t.Error("who left was claimed")
	}
	w.wantDelivery(w.key(ids[0], "leaving", "call"), "planned left_segment")
	if _, ok := w.claim(w.key(ids[19], "leaving", "call"), at); !ok {
		t.Error("who stayed was not claimed")
	}
	w.tick(at.Add(time.Second))
	want(t, "who left", w.states(ids[0]), []string{"leaving exited left_segment"})
	want(t, "the others who left", w.states(ids[14]), []string{"leaving exited left_segment"})
}

// TestWaiting_healed holds that nobody is contacted twice because a segment
// emptied by mistake, was filled again, and was accepted then: the enrollments
// never ended, and there is nothing new about who is back (one-contact,
// no-surprise-blast).
func TestWaiting_healed(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]string{"leaving": "nudge", "never": "mark"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ids := crowd(t, name)
			w.change(ids, "delinquent = false", "delinquent")
			w.tick(noon.Add(time.Minute))
			w.change(ids, "delinquent = true", "delinquent")
			w.tick(noon.Add(2 * time.Minute))
			if !w.waits("owing") {
				t.Fatal("it does not wait")
			}
			at := noon.Add(3 * time.Minute)
			w.accept("owing", at)
			w.tick(at)
			contacts := 0
			for _, k := range w.poke(at, 1000) {
				if k.Customer != ids[0] || k.Step != step {
					continue
				}
				if c, ok := w.claim(k, at); ok {
					w.record(c, Outcome{Result: Accepted, ExternalID: k.Episode}, at)
					contacts++
				}
			}
			if contacts != 1 {
				t.Errorf("accepted when all were back: how often one customer is contacted\n got %d, of the enrollments %q\nwant 1", contacts, w.enrollments(ids[0]))
			}
		})
	}
}

// TestWaiting_cards holds that another card, while the segment waits, ends and
// begins nothing, and does so when it is accepted.
func TestWaiting_cards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(bandedUTC)
	var ids []int64
	for i := range 20 {
		ids = append(ids, w.customer(fmt.Sprint(i), nil))
	}
	w.change(ids, "card_id = 'pm_1', card_expires_at = '2026-03-20'", "*")
	w.campaign("card", onCard, `{name: early, at: -20 days, tag: a}`)
	w.tick(noon)
	w.start("card", noon)
	w.tick(noon.Add(time.Second))
	w.change(ids[:12], "card_id = null, card_expires_at = null", "card_id", "card_expires_at")
	w.change(ids[12:14], "card_id = 'pm_2'", "card_id")
	w.change(ids[14:15], "card_expires_at = '2026-03-30'", "card_expires_at")
	before := w.dump()
	at := noon.Add(time.Minute)
	w.tick(at)
	if !w.waits("carded") || w.dump() != before {
		t.Fatalf("while it waits (%v)\n got changes\nwant none", w.waits("carded"))
	}
	for _, id := range []int64{ids[0], ids[12], ids[14], ids[19]} {
		k := w.key(id, "card", "early")
		if _, ok := w.claim(k, at); ok {
			t.Error("claimed")
		}
		w.wantDelivery(k, "planned segment_waits")
	}
	w.accept("carded", at)
	w.tick(at.Add(time.Minute))
	first := "card [pm_1 2026-03-20] v1 "
	want(t, "without a card", w.enrollments(ids[0]), []string{first + "exited left_segment"})
	want(t, "another card", w.enrollments(ids[12]), []string{first + "exited episode_over", "card [pm_2 2026-03-20] v1 active -"})
	want(t, "another expiry", w.enrollments(ids[14]), []string{first + "exited episode_over", "card [pm_1 2026-03-30] v1 active -"})
	want(t, "the same card", w.enrollments(ids[19]), []string{first + "active -"})
}

// TestFollow_episodeLines holds that a member's other card enrolls again where
// the card is the episode, and nowhere else, in a tick that looks at no more than
// the customers it names.
func TestFollow_episodeLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	card := map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 20)}
	changed, expiry, invoice, email, still := w.customer("changed", card), w.customer("expiry", card), w.customer("invoice", card), w.customer("email", card), w.customer("still", card)
	all := []int64{changed, expiry, invoice, email, still}
	w.change(all, "delinquent = true", "*")
	w.campaign("card", onCard, `{name: early, at: -20 days, tag: a}`)
	w.campaign("card-never", onCard+"\nexit: never", `{name: early, at: -20 days, tag: a}`)
	w.campaign("entry", "segment: carded\nepisode: entry\nexisting: enroll", mark)
	w.campaign("every", "segment: carded\nepisode: every 1 day\nexisting: enroll", mark)
	w.campaign("elsewhere", onEntry, mark)
	w.campaign("paused", onCard, `{name: early, at: -20 days, tag: a}`)
	w.tick(noon)
	for _, name := range []string{"card", "card-never", "entry", "every", "elsewhere", "paused"} {
		w.start(name, noon)
	}
	w.tx(func(tx pgx.Tx) error { return Pause(t.Context(), tx, "paused", noon) })
	w.tick(noon.Add(time.Second))
	w.change([]int64{changed}, "card_id = 'pm_2'", "card_id")
	w.change([]int64{expiry}, "card_expires_at = '2027-03-20'", "card_expires_at")
	w.change([]int64{invoice}, "open_invoice_count = 1", "invoices.status")
	w.change([]int64{email}, "email = 'new@example.com'", "email")
	tick := w.tick(noon.Add(time.Minute))
	lines := w.count(`select count(*) from dunlin.membership_log where tick_id = $1 and change = 'episode' and segment = 'carded'`, tick.ID)
	if tick.Everyone || len(tick.Whole) > 0 || tick.Joined+tick.Left != 0 || lines != 3 || tick.Moved["carded"] != 3 {
		t.Errorf("the tick\n got %+v, %d lines of episodes\nwant 3, and nobody who came or went", tick, lines)
	}
	const one, day1 = "[pm_1 2026-03-20] v1 ", "[entry 2026-03-02T12:00:00Z] v1 active -"
	rest := func(second string) []string {
		out := []string{"card " + one + "active -", "card-never " + one + "active -", "elsewhere " + day1, "entry " + day1, "every [from 2026-03-02T12:00:00Z] v1 active -", "paused " + one + "active -"}
		if second != "" {
			out[0], out[5] = "card "+one+"exited episode_over", "paused "+one+"exited episode_over"
			out = append(out, "card "+second+" v1 active -", "card-never "+second+" v1 active -")
		}
		return out
	}
	want(t, "another card", w.enrollments(changed), rest("[pm_2 2026-03-20]"))
	want(t, "another expiry", w.enrollments(expiry), rest("[pm_1 2027-03-20]"))
	for _, id := range []int64{invoice, email, still} {
		want(t, "no other card", w.enrollments(id), rest(""))
	}
	before := w.dump()
	w.tick(noon.Add(2 * time.Minute))
	if w.enroll(noon.Add(2*time.Minute)) != 0 || w.dump() != before {
		t.Error("a tick later something follows again")
	}

	// Back to the first card, which has had its enrollment.
	w.change([]int64{changed}, "card_id = 'pm_1'", "card_id")
	w.tick(noon.Add(3 * time.Minute))
	if n := w.count(`select count(*) from dunlin.enrollments where customer_id = $1 and campaign = 'card' and state = 'active'`, changed); n != 0 {
		t.Errorf("back to a card of before\n got %d active\nwant none (one-contact)", n)
	}
}

// TestClaim_ifInSegment holds that a step's condition may name segments, which
// are asked at this moment, and that one whose rule does not check is waited for.
func TestClaim_ifInSegment(t *testing.T) {
	t.Parallel()
	const step = `{name: nudge, at: 0 days, if: "in segment 'carded' and not in segment 'all'", tag: x}`
	world := func(t *testing.T) (*world, Key, int64) {
		w := newWorld(t)
		w.segment("all", "in segment 'carded' and email = 'nobody'")
		id := w.customer("ann", nil)
		w.join(id, "owing", noon)
		w.link(id, "C1", noon.Add(recheckSlow)) // asked late enough for the whole test
		w.campaign("c", onEntry, step)
		w.start("c", noon)
		return w, w.key(id, "c", "nudge"), id
	}
	t.Run("true now, a member of no list yet", func(t *testing.T) {
		t.Parallel()
		w, k, id := world(t)
		w.exec(`update dunlin.customers set card_expires_at = '2027-01-01' where customer_id = $1`, id)
		if _, ok := w.claim(k, noon); !ok {
			t.Error("not claimed")
		}
	})
	t.Run("false now, a member of a list", func(t *testing.T) {
		t.Parallel()
		w, k, id := world(t)
		w.join(id, "carded", noon)
		if _, ok := w.claim(k, noon); ok {
			t.Error("claimed")
		}
		w.wantDelivery(k, "skipped condition_false")
	})
	for name, wrong := range map[string]string{"broken": "colour = 3", "coming back to itself": "in segment 'all'"} {
		for _, segment := range []string{"carded", "all"} {
			t.Run(segment+" "+name, func(t *testing.T) {
				t.Parallel()
				w, k, id := world(t)
				w.exec(`update dunlin.customers set card_expires_at = '2027-01-01' where customer_id = $1`, id)
				w.exec(`update dunlin.segment_versions set rule = $2 where name = $1`, segment, wrong)
				if c, ok := w.consider(k, noon); !ok || c.Verdict != Wait || c.Reason != Unreadable {
					t.Errorf("considered\n got %+v\nwant a wait that is named", c)
				}
				if _, ok := w.claim(k, noon); ok {
					t.Error("claimed")
				}
				w.wantDelivery(k, "planned unreadable")
				w.exec(`update dunlin.segment_versions set rule = case name when 'carded' then 'card_expires_at is set' else 'deleted' end where name = $1`, segment)
				if _, ok := w.claim(k, noon.Add(recheckSlow)); !ok {
					t.Errorf("when it is mended\n got %+v\nwant it claimed", w.delivery(k))
				}
			})
		}
	}
	t.Run("the campaign's own segment names a broken one", func(t *testing.T) {
		t.Parallel()
		w, k, _ := world(t)
		w.exec(`update dunlin.segment_versions set rule = 'delinquent and not in segment ''all''' where name = 'owing'`)
		w.exec(`update dunlin.segment_versions set rule = 'colour = 3' where name = 'all'`)
		if _, ok := w.claim(k, noon); ok {
			t.Error("claimed")
		}
		w.wantDelivery(k, "planned unreadable")
	})
	t.Run("segments named too often", func(t *testing.T) {
		t.Parallel()
		w, k, _ := world(t)
		// Each of these may be stored: no rule names more than two hundred.
		w.segment("s0", "not deleted")
		for i := 1; i <= 6; i++ {
			w.segment(fmt.Sprint("s", i), fmt.Sprintf("in segment 's%d' and in segment 's%d'", i-1, i-1))
		}
		w.exec(`update dunlin.campaign_versions set source = replace(source, $1, $2)`, "in segment 'carded' and not in segment 'all'", "in segment 's6' and in segment 's6'")
		if _, ok, err := claimOne(t.Context(), w.store, k, noon); ok || err != nil {
			t.Errorf("claim\n got %v (%v)\nwant a wait that is named", ok, err)
		}
		w.wantDelivery(k, "planned unreadable")
	})
}

// TestWaiting_others holds that the wait of one segment is nobody else's, and
// that what its enrollments count from is followed when it ends.
func TestWaiting_others(t *testing.T) {
	t.Parallel()
	w, ids := crowd(t)
	w.change(ids, "card_id = 'pm_1', card_expires_at = '2026-03-20', next_charge_at = '2026-03-10T12:00:00Z'", "card_id", "card_expires_at", "next_charge_at")
	w.campaign("card", onCard, `{name: early, at: -5 days, tag: a}`)
	w.campaign("anchored", onEntry+"\nanchor: next_charge_at", `{name: before, at: -1 day, tag: a}`)
	w.exec(`update dunlin.segments set usual = 20 where name = 'carded'`) // as if it had been so for long
	w.tick(noon.Add(2 * time.Second))
	w.start("card", noon.Add(2*time.Second))
	w.start("anchored", noon.Add(2*time.Second))

	stay := ids[19]
	w.change(ids[:15], "delinquent = false", "delinquent")
	w.change(ids[17:], "next_charge_at = '2026-03-12T12:00:00Z'", "next_charge_at")
	w.change(ids[:2], "card_id = null, card_expires_at = null", "card_id", "card_expires_at")
	w.tick(noon.Add(time.Minute))
	if !w.waits("owing") || w.waits("carded") {
		t.Fatalf("waiting\n got owing %v, carded %v\nwant owing alone", w.waits("owing"), w.waits("carded"))
	}
	want(t, "who left both", w.states(ids[0]), []string{"anchored active -", "card exited left_segment"})
	want(t, "who stayed", w.rows(stay), []string{"anchored/before planned - 168h0m0s", "card/early planned - 300h0m0s"})
	k := w.key(ids[3], "card", "early")
	if _, ok := w.claim(k, noon.Add(300*time.Hour)); ok {
		t.Error("claimed, though nobody asked Intercom lately")
	}
	w.wantDelivery(k, "planned contact_unread")

	at := noon.Add(2 * time.Minute)
	w.accept("owing", at)
	w.tick(at)
	want(t, "who left, accepted", w.states(ids[0]), []string{"anchored exited left_segment", "card exited left_segment"})
	want(t, "who stayed, accepted", w.rows(stay), []string{"anchored/before planned - 216h0m0s", "card/early planned - 300h0m0s"})
}
