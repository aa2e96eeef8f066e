package campaigns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// due is a world with one customer who is linked and enrolled, and whose first
// step is due at noon.
func due(t *testing.T, steps ...string) (*world, int64) {
	t.Helper()
	w := newWorld(t)
	id := w.customer("ann", map[string]any{"open_invoice_amount": "49.00", "open_invoice_amount_currency": "usd"})
	w.join(id, "owing", noon)
	w.link(id, "C1", noon)
	w.campaign("c", onEntry, steps...)
	w.start("c", noon)
	return w, id
}

func (w *world) poke(at time.Time, limit int) []Key {
	w.t.Helper()
	var due Due
	w.tx(func(tx pgx.Tx) (err error) {
		due, err = Poke(w.t.Context(), tx, at, limit)
		return err
	})
	return append(due.Urgent, due.Released...)
}

func TestPoke(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge, mark, `{name: later, at: 1 hour, tag: x}`)
	other := w.customer("other", nil)
	w.join(other, "owing", noon)
	w.enroll(noon)
	if got := w.poke(noon.Add(-time.Second), 10); len(got) != 0 {
		t.Errorf("before the time\n got %v", got)
	}
	first := w.poke(noon, 3)
	second := w.poke(noon, 10)
	if len(first) != 3 || len(second) != 1 || len(w.poke(noon, 10)) != 0 {
		t.Errorf("poked %d, %d and again\nwant 3, 1 and none", len(first), len(second))
	}
	seen := map[Key]bool{}
	for _, k := range append(first, second...) {
		seen[k] = true
	}
	if len(seen) != 4 || !seen[w.key(id, "c", "nudge")] {
		t.Errorf("poked %v", seen)
	}

	// Losing every job loses nothing: when the poke's lease has run out it is
	// found again (nothing-lost). Leases are machine time.
	w.exec(`update dunlin.deliveries set poked_until = clock_timestamp() - interval '1 second'`)
	if got := w.poke(noon, 10); len(got) != 4 {
		t.Errorf("after the lease\n got %d\nwant 4", len(got))
	}

	// What another transaction holds is left to it.
	w.exec(`update dunlin.deliveries set poked_until = null`)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	mine, err := Poke(t.Context(), tx, noon, 2)
	if err != nil || len(mine.Urgent) != 2 || len(w.poke(noon, 10)) != 2 {
		t.Errorf("two pokers at once\n got %d (%v)\nwant 2 each", len(mine.Urgent), err)
	}
}

// TestClaim_once holds one-contact: however many workers try, one claims.
func TestClaim_once(t *testing.T) {
	t.Parallel()
	for name, linked := range map[string]bool{"linked": true, "a task of ours": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, id := due(t, nudge, call)
			step := "nudge"
			if !linked {
				step = "call"
			}
			k := w.key(id, "c", step)
			var claims, attempts atomic.Int32
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					c, ok, err := claimOne(context.WithoutCancel(t.Context()), w.store, k, noon)
					if err != nil {
						t.Error(err)
					}
					if ok {
						claims.Add(1)
						attempts.Add(int32(c.Attempt))
					}
				})
			}
			wg.Wait()
			if claims.Load() != 1 || attempts.Load() != 1 {
				t.Errorf("%d claims, %d attempts\nwant 1 and 1 (one-contact)", claims.Load(), attempts.Load())
			}
			w.wantDelivery(k, "claimed -")
		})
	}
}

// TestClaim_dataAge holds no-stale-contact for the data themselves: what is older
// than the campaign puts up with is for Stripe to say first, and where Stripe cannot
// be asked, or has been, the delivery waits, named.
func TestClaim_dataAge(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge)
	k := w.key(id, "c", "nudge")
	known := func(until time.Time) {
		t.Helper()
		w.exec(`update dunlin.accounts set feed_until = $1`, until)
	}
	claim := func(final bool) Batch {
		t.Helper()
		b, err := w.store.Claim(t.Context(), []Key{k}, noon, 1, final)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}

	known(noon.Add(-15*time.Minute - time.Second))
	before := w.dump()
	if diff := cmp.Diff(Batch{Old: []Key{k}}, claim(false), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("while Stripe can be asked (-want +got)\n%s", diff)
	}
	if after := w.dump(); after != before {
		t.Errorf("while Stripe can be asked\n got %s\nwant nothing recorded\n%s", after, before)
	}
	if diff := cmp.Diff(Batch{}, claim(true), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("when it cannot (-want +got)\n%s", diff)
	}
	want(t, "when it cannot", w.rows(id), []string{"c/nudge planned data_too_old 1m0s"})

	w.exec(`update dunlin.deliveries set due_at = $1`, noon)
	known(noon.Add(-15 * time.Minute))
	if b := claim(false); len(b.Claims) != 1 {
		t.Errorf("data just young enough\n got %+v\nwant a claim", b)
	}
}

// TestClaim_onePerson holds that claims of customers linked to one contact never
// happen at the same time: the second is told that somebody is at it, and decides
// on what the first one left behind.
func TestClaim_onePerson(t *testing.T) {
	t.Parallel()
	w, a := due(t, nudge)
	b := w.customer("bob", nil)
	w.join(b, "owing", noon)
	w.link(b, "C1", noon)
	w.enroll(noon)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := readContacts(t.Context(), tx, []customers.Ref{{Account: w.account, Customer: a}}, true); err != nil {
		t.Fatal(err)
	}
	k := w.key(b, "c", "nudge")
	got, err := w.store.Claim(t.Context(), []Key{k}, noon, 1, true)
	if err != nil || len(got.Claims) != 0 || len(got.Busy) != 1 || got.Busy[0] != k {
		t.Errorf("while another has the person\n got %+v (%v)\nwant it busy", got, err)
	}
	w.wantDelivery(k, "planned -")
	if _, err := tx.Exec(t.Context(), `update dunlin.links set opted_out = 'said so' where contact_id = 'C1'`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.claim(k, noon); ok {
		t.Error("claimed on what it read before it had the lock")
	}
	w.wantDelivery(k, "skipped opted_out")
}

func TestClaim_message(t *testing.T) {
	t.Parallel()
	w, id := due(t, `{name: nudge, at: 0 days, message: {channel: inapp, from: admin:9, body: 'Hi {{ customer.name }}, {{ customer.open_invoice_amount }}'}}`)
	w.exec(`update dunlin.customers set name = '<b>Ann</b>'`)
	k := w.key(id, "c", "nudge")
	c, ok := w.claim(k, noon)
	if !ok || c.Token == "" || len(c.Reference) != 10 {
		t.Fatalf("got %+v %v", c, ok)
	}
	c.Token, c.Reference = "", ""
	want(t, "claim", c, Claim{Key: k, Attempt: 1, At: noon, Action: Message, Channel: InApp, ContactID: "C1", Role: "user", Sender: 9, Body: "Hi &lt;b&gt;Ann&lt;/b&gt;, US$49.00"})
	d := w.delivery(k)
	if d.ContactID == nil || *d.ContactID != "C1" || d.ClaimedAt == nil || !d.ClaimedAt.Equal(noon) {
		t.Errorf("got %+v", d)
	}
	if _, ok := w.claim(k, noon); ok {
		t.Error("claimed twice")
	}
	if _, ok := w.claim(Key{Account: w.account, Customer: id, Campaign: "c", Episode: "entry never", Step: "nudge"}, noon); ok {
		t.Error("claimed what is not there")
	}
}

// TestClaim_readsAgain holds no-stale-contact: whatever changed since the step
// was planned is seen by the claim, ticked or not.
func TestClaim_readsAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, change, want string
		tag                bool
	}{
		{"nothing changed", `select 1`, "claimed -", false},
		{"who has just paid", `update dunlin.customers set delinquent = false`, "planned left_segment", false},
		{"a member by the tick, not by the rule", `update dunlin.customers set deleted = true`, "planned left_segment", false},
		{"a tag for who has just paid", `update dunlin.customers set delinquent = false`, "planned left_segment", true},
		{"the condition", `update dunlin.customers set plan = 'Pro'`, "skipped condition_false", false},
		{"news that wait", `insert into dunlin.stripe_events (account_id, customer, id, type, api_version, class, object_id, created, raw, received_at)
			select account_id, stripe_id, 'evt_1', 'invoice.paid', '', 'invoice', 'in_1', projected_at, '{}', projected_at from dunlin.customers`, "planned unapplied_event", false},
		{"somebody else's news", `insert into dunlin.stripe_events (account_id, customer, id, type, api_version, class, object_id, created, raw, received_at)
			select account_id, 'cus_other', 'evt_1', 'invoice.paid', '', 'invoice', 'in_1', projected_at, '{}', projected_at from dunlin.customers`, "claimed -", false},
		{"opted out", `update dunlin.links set opted_out = 'tag'`, "skipped opted_out", false},
		{"a tag is no message", `update dunlin.links set opted_out = 'tag'`, "claimed -", true},
		{"stopped", `insert into dunlin.stops (stopped_at) values (now())`, "planned stopped", false},
		{"stopped and lifted", `insert into dunlin.stops (stopped_at, lifted_at) values (now(), now())`, "claimed -", false},
		{"paused", `update dunlin.campaigns set state = 'paused'`, "planned campaign_paused", false},
		{"no contact", `update dunlin.links set state = 'none', contact_id = null`, "planned no_contact", false},
		{"several contacts", `update dunlin.links set state = 'ambiguous', contact_id = null`, "planned ambiguous_contact", false},
		{"never asked", `delete from dunlin.links`, "planned contact_unread", false},
		{"asked long ago", `update dunlin.links set checked_at = checked_at - interval '16 minutes'`, "planned contact_unread", false},
		{"where it is night", `update dunlin.links set timezone = 'Pacific/Auckland'`, "planned quiet_hours", false},
		{"where nobody knows", `update dunlin.customers set country = null`, "claimed -", false},
		{"the segment's rule", `update dunlin.segment_versions set rule = 'deleted' where name = 'owing'`, "planned left_segment", false},
		{"a rule that does not check any more", `update dunlin.segment_versions set rule = 'delinqent' where name = 'owing'`, "planned unreadable", false},
		{"a campaign that does not parse any more", `update dunlin.campaign_versions set source = source || E'gaol: x\n'`, "planned unreadable", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			step := `{name: s, at: 0 days, if: plan is null, message: {channel: inapp, body: hi}}`
			if tt.tag {
				step = `{name: s, at: 0 days, if: plan is null, tag: x}`
			}
			w, id := due(t, step, `{name: later, at: 5 days, tag: y}`)
			w.exec(tt.change)
			k := w.key(id, "c", "s")
			considered, _ := w.consider(k, noon)
			before := w.dump()
			_, ok := w.claim(k, noon)
			if claimed := strings.HasPrefix(tt.want, "claimed"); ok != claimed || (considered.Verdict == Send) != claimed {
				t.Errorf("claimed %v, considered %+v", ok, considered)
			}
			if w.dump() == before {
				t.Error("the decision left no trace")
			}
			w.wantDelivery(k, tt.want)
			want(t, "enrollment", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 active -"})
			if d := w.delivery(k); d.State == "planned" && !d.DueAt.After(noon) {
				t.Errorf("waits until %s, which is not after now", d.DueAt)
			}
		})
	}
}

// TestClaim_leftBetweenEvaluations: a claim sees that somebody has left, before
// the segment was evaluated again. That ends the enrollment; who is back by then
// has not left, and is not forgotten (nothing-lost).
func TestClaim_leftBetweenEvaluations(t *testing.T) {
	t.Parallel()
	const paid, owes = `update dunlin.customers set delinquent = false`, `update dunlin.customers set delinquent = true`
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		w, id := due(t, mark)
		k := w.key(id, "c", "mark")
		w.exec(paid)
		w.claim(k, noon)
		w.wantDelivery(k, "planned left_segment")
		w.leave(id, "owing")
		w.enroll(noon.Add(time.Minute))
		w.wantDelivery(k, "skipped left_segment")
		want(t, "enrollment", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 exited left_segment"})
	})
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		w, id := due(t, mark)
		k := w.key(id, "c", "mark")
		w.exec(paid)
		w.claim(k, noon)
		w.exec(owes) // the next invoice fails
		w.enroll(noon.Add(time.Hour))
		w.exec(`update dunlin.links set checked_at = $1`, noon.Add(time.Hour))
		if _, ok := w.claim(k, noon.Add(time.Hour)); !ok {
			w.wantDelivery(k, "claimed -")
		}
	})
	t.Run("never evaluated again", func(t *testing.T) {
		t.Parallel()
		w, id := due(t, mark)
		k := w.key(id, "c", "mark")
		w.exec(paid)
		w.claim(k, noon.Add(4*day))
		w.wantDelivery(k, "skipped left_segment")
	})
}

func TestClaim_cardReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 2)})
	w.join(id, "carded", noon)
	w.link(id, "C1", noon)
	w.campaign("c", onCard, nudge)
	w.start("c", noon)
	w.exec(`update dunlin.customers set card_id = 'pm_2'`)
	k := w.key(id, "c", "nudge")
	if _, ok := w.claim(k, noon); ok {
		t.Error("claimed for a card that is gone")
	}
	w.wantDelivery(k, "skipped episode_over")
	if n := w.enroll(noon.Add(time.Minute)); n != 1 {
		t.Errorf("the new card\n got %d enrollments\nwant 1", n)
	}
}

// TestClaim_settles holds that what is not to be sent is recorded, and that what Intercom
// or Stripe can still help with is handed back first.
func TestClaim_settles(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge, call, `{name: later, at: 1 day, tag: y}`, `{name: never, at: 0 days, if: plan is set, tag: z}`)
	keys := []Key{w.key(id, "c", "nudge"), w.key(id, "c", "call"), w.key(id, "c", "later"), w.key(id, "c", "never")}
	settle := func(at time.Time, final bool, want Batch) {
		t.Helper()
		got, err := w.store.Claim(t.Context(), keys, at, 0, final)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("at %s, final %v (-want +got)\n%s", at, final, diff)
		}
	}
	w.exec(`update dunlin.deliveries set due_at = $1, scheduled_at = $1 where step in ('nudge', 'call', 'never')`, noon)
	settle(noon, false, Batch{Ready: keys[:2]})
	w.wantDelivery(keys[3], "skipped condition_false")
	w.wantDelivery(keys[2], "planned -")

	// With an old link Intercom is asked; about a task, too, whose ticket hangs on it.
	settle(noon.Add(16*time.Minute), false, Batch{Stale: keys[:2]})
	w.wantDelivery(keys[0], "planned -")
	settle(noon.Add(16*time.Minute), true, Batch{Ready: keys[1:2]})
	w.wantDelivery(keys[0], "planned contact_unread")

	w.exec(`update dunlin.links set checked_at = $1`, noon.Add(time.Hour))
	w.exec(`update dunlin.accounts set feed_until = $1`, noon)
	settle(noon.Add(time.Hour), false, Batch{Old: keys[:2]})
	settle(noon.Add(time.Hour), true, Batch{})
	w.wantDelivery(keys[0], "planned data_too_old")
	w.wantDelivery(keys[1], "planned data_too_old")

	w.exec(`update dunlin.accounts set feed_until = $1`, noon.Add(time.Hour))
	settle(noon.Add(time.Hour+time.Minute), false, Batch{Ready: keys[:2]})
	w.exec(`insert into dunlin.stops (stopped_at) values (now())`)
	settle(noon.Add(time.Hour+time.Minute), false, Batch{})
	w.wantDelivery(keys[0], "planned stopped")
}

// TestClaim_atMost holds that what is allowed is claimed, and the others stay as
// they were, to be decided again.
func TestClaim_atMost(t *testing.T) {
	t.Parallel()
	w, id := due(t, mark, `{name: more, at: 0 days, tag: y}`, `{name: never, at: 0 days, if: plan is set, tag: z}`)
	keys := []Key{w.key(id, "c", "mark"), w.key(id, "c", "more"), w.key(id, "c", "never")}
	got, err := w.store.Claim(t.Context(), keys, noon, 1, false)
	if err != nil || len(got.Claims) != 1 || got.Claims[0].Key != keys[0] {
		t.Fatalf("of three, at most one\n got %+v (%v)\nwant %v claimed", got, err, keys[0])
	}
	want(t, "left", got.Ready, keys[1:2])
	w.wantDelivery(keys[1], "planned -")
	w.wantDelivery(keys[2], "skipped condition_false")
	if got, err = w.store.Claim(t.Context(), keys, noon, 2, false); err != nil || len(got.Claims) != 1 || got.Claims[0].Key != keys[1] {
		t.Errorf("the others\n got %+v (%v)\nwant %v claimed", got, err, keys[1])
	}
}

func TestClaim_dryRun(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge, call, mark)
	w.store = w.newStore(true)
	for _, step := range []string{"nudge", "call", "mark"} {
		k := w.key(id, "c", step)
		if _, ok := w.claim(k, noon); ok {
			t.Errorf("%s claimed although DRY_RUN is set", step)
		}
		w.wantDelivery(k, "skipped dry_run")
	}
	want(t, "the enrollment is finished", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
	if tasks, err := Tasks(t.Context(), w.pool, TaskFilter{Now: noon, All: true}); err != nil || len(tasks) != 0 {
		t.Errorf("tasks\n got %d (%v)", len(tasks), err)
	}
}

func TestClaim_waitsAndExpires(t *testing.T) {
	t.Parallel()
	w, id := due(t, `{name: nudge, at: 0 days, expires: 2 days, message: {channel: inapp, body: hi}}`, `{name: end, at: 9 days, tag: x}`)
	k := w.key(id, "c", "nudge")
	w.exec(`update dunlin.links set state = 'none', contact_id = null`)
	for at := noon; at.Before(noon.Add(2 * day)); {
		if _, ok := w.claim(k, at); ok {
			t.Fatal("claimed without a contact")
		}
		w.wantDelivery(k, "planned no_contact")
		next := *w.delivery(k).DueAt
		if !next.After(at) || next.After(noon.Add(2*day)) {
			t.Fatalf("at %s it waits until %s", at, next)
		}
		at = next
		w.exec(`update dunlin.links set checked_at = $1`, at)
	}
	w.claim(k, noon.Add(2*day))
	w.wantDelivery(k, "skipped no_contact")
	w.claim(w.key(id, "c", "end"), noon.Add(13*day))
	w.wantDelivery(w.key(id, "c", "end"), "skipped expired")

	w, id = due(t, nudge)
	k = w.key(id, "c", "nudge")
	w.exec(`update dunlin.links set checked_at = $1`, noon.Add(3*day))
	w.claim(k, noon.Add(3*day))
	w.wantDelivery(k, "skipped expired")
	want(t, "and the enrollment is finished", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
}

func TestAwaken(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge, mark)
	ctx := t.Context()
	if err := workspace.Stop(ctx, w.pool, noon); err != nil {
		t.Fatal(err)
	}
	k := w.key(id, "c", "nudge")
	w.claim(k, noon)
	w.wantDelivery(k, "planned stopped")
	if got := w.poke(noon.Add(time.Minute), 10); len(got) != 1 {
		t.Errorf("poked while stopped\n got %d\nwant only the one not decided yet", len(got))
	}
	if _, err := workspace.Resume(ctx, w.pool, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.tx(func(tx pgx.Tx) error { return Awaken(ctx, tx, Stopped, noon.Add(time.Minute)) })
	if got := w.poke(noon.Add(time.Minute), 10); len(got) != 1 || got[0] != k {
		t.Errorf("poked after the stop was lifted\n got %v\nwant %v", got, k)
	}
	if _, ok := w.claim(k, noon.Add(time.Minute)); !ok {
		t.Error("not claimed after the stop was lifted")
	}
}

func TestClaim_textThatCannotBeFilledIn(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge)
	w.exec(`update dunlin.customers set name = repeat('<', 60000)`)
	k := w.key(id, "c", "nudge")
	if _, ok := w.claim(k, noon); ok {
		t.Error("claimed without a text")
	}
	w.wantDelivery(k, "failed template")
	if d := w.delivery(k); d.Detail == nil || !strings.Contains(*d.Detail, "64 KiB") {
		t.Errorf("detail\n got %v", d.Detail)
	}
	want(t, "enrollment", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
}

func TestRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		outcome  Outcome
		want     string
		finished string
	}{
		{Outcome{Result: Accepted, ExternalID: "m1"}, "sent -", "finished"},
		{Outcome{Result: Refused, Detail: "gone"}, "failed refused", "finished"},
		{Outcome{Result: Unclear, Detail: "timeout"}, "unknown no_clear_answer", "finished"},
		{Outcome{Result: NotDone, Detail: "429", Retry: time.Minute}, "planned intercom_refuses", "active"},
	} {
		t.Run(string(tt.outcome.Result), func(t *testing.T) {
			t.Parallel()
			w, id := due(t, nudge)
			k := w.key(id, "c", "nudge")
			c, ok := w.claim(k, noon)
			if !ok {
				t.Fatal("not claimed")
			}
			stranger := c
			stranger.Token = "another attempt"
			if w.record(stranger, tt.outcome, noon) {
				t.Error("a wrong token was believed")
			}
			w.wantDelivery(k, "claimed -")
			if !w.record(c, tt.outcome, noon.Add(time.Second)) {
				t.Error("the claim's own token was refused")
			}
			w.wantDelivery(k, tt.want)
			want(t, "enrollment", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 " + tt.finished + " -"})
			d := w.delivery(k)
			if tt.outcome.Result != NotDone && (d.EndedAt == nil || !d.EndedAt.Equal(noon.Add(time.Second))) {
				t.Errorf("ended at %v", d.EndedAt)
			}
			if tt.outcome.ExternalID != "" && *d.ExternalID != tt.outcome.ExternalID {
				t.Errorf("external id %q", *d.ExternalID)
			}
			settled := tt.outcome.Result == Accepted || tt.outcome.Result == Refused
			if again := w.record(c, Outcome{Result: Accepted, ExternalID: "m2"}, noon.Add(time.Hour)); again == (settled || tt.outcome.Result == NotDone) {
				t.Errorf("another truth afterwards was written: %v", again)
			}
		})
	}
	w, id := due(t, nudge)
	c, _ := w.claim(w.key(id, "c", "nudge"), noon)
	if _, err := w.store.Record(t.Context(), c, Outcome{Result: "maybe"}, noon); err == nil {
		t.Error("an unknown result was recorded")
	}
}

// TestRelease holds that a call which surely did nothing gives the claim back, at
// once and to a new token.
func TestRelease(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge)
	k := w.key(id, "c", "nudge")
	first, _ := w.claim(k, noon)
	w.record(first, Outcome{Result: NotDone, Detail: "429", Retry: time.Hour}, noon)
	if got := w.poke(noon, 10); len(got) != 0 {
		t.Errorf("poked before the pause was over: %v", got)
	}
	w.exec(`update dunlin.deliveries set poked_until = clock_timestamp() - interval '1 second'`)
	if got := w.poke(noon, 10); len(got) != 1 {
		t.Errorf("poked after the pause\n got %v", got)
	}
	second, ok := w.claim(k, noon)
	if !ok || second.Attempt != 2 || second.Token == first.Token {
		t.Fatalf("claimed again\n got %+v %v", second, ok)
	}
	if w.record(first, Outcome{Result: Accepted}, noon) || w.record(first, Outcome{Result: NotDone}, noon) {
		t.Error("the first attempt spoke for the second")
	}
	if !w.record(second, Outcome{Result: Accepted, ExternalID: "m1"}, noon) {
		t.Error("the second attempt was refused")
	}
	if err := w.store.Postpone(t.Context(), []Key{k}, IntercomAway, "away", time.Hour); err != nil {
		t.Fatal(err)
	}
	w.wantDelivery(k, "sent -")

	w, id = due(t, nudge)
	k = w.key(id, "c", "nudge")
	if err := w.store.Postpone(t.Context(), []Key{k}, IntercomAway, "Intercom is away", time.Hour); err != nil {
		t.Fatal(err)
	}
	w.wantDelivery(k, "planned intercom_refuses")
	if got := w.poke(noon, 10); len(got) != 0 {
		t.Errorf("poked while postponed: %v", got)
	}
}

// TestRecord_webhook: a webhook that was not taken says so, and not that Intercom
// is at fault; and what mends it is said while it is due.
func TestRecord_webhook(t *testing.T) {
	t.Parallel()
	w, id := due(t, hook)
	k := w.key(id, "c", "hook")
	for range 2 {
		c, ok := w.claim(k, noon)
		if !ok {
			t.Fatal("not claimed")
		}
		w.record(c, Outcome{Result: NotDone, Detail: "HOOK_KEY is not set", Retry: time.Minute}, noon)
	}
	w.wantDelivery(k, "planned webhook_fails")
	a := w.why(id, noon, time.Time{})
	step := a.Enrollments[0].Steps[0]
	if len(step.Decisions) != 1 {
		t.Errorf("the decision to send, taken twice\n got %+v\nwant it once", step.Decisions)
	}
	want(t, "words", step.Words, "its webhook could not be called, or its address does not take it")
	want(t, "what would change it", a.Change, []string{"hook: the webhook's secret is set, and its address takes the call; the detail says what is wrong"})
	w.claim(k, noon.Add(4*day))
	w.wantDelivery(k, "skipped webhook_fails")
}

// TestSweep holds one-contact after a crash between claim and record: what may
// have reached somebody is unknown, for good; a tag is set again.
func TestSweep(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge, call, mark)
	claims := map[string]Claim{}
	for _, step := range []string{"nudge", "call", "mark"} {
		c, ok := w.claim(w.key(id, "c", step), noon)
		if !ok {
			t.Fatalf("%s not claimed", step)
		}
		claims[step] = c
	}
	sweep := func(at time.Time) int64 {
		n, err := w.store.Sweep(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := sweep(noon.Add(100 * day)); n != 0 {
		t.Errorf("swept %d claims whose lease holds; business time is no lease", n)
	}
	w.exec(`update dunlin.deliveries set leased_until = clock_timestamp() - interval '1 second'`)
	if n := sweep(noon.Add(time.Minute)); n != 3 {
		t.Errorf("swept\n got %d\nwant 3", n)
	}
	w.wantDelivery(claims["nudge"].Key, "unknown worker_lost")
	w.wantDelivery(claims["call"].Key, "unknown worker_lost")
	w.wantDelivery(claims["mark"].Key, "planned -")
	for _, step := range []string{"nudge", "call"} {
		if _, ok := w.claim(claims[step].Key, noon.Add(time.Minute)); ok {
			t.Errorf("%s claimed again (one-contact)", step)
		}
	}
	if got := w.poke(noon.Add(time.Minute), 10); len(got) != 1 || got[0].Step != "mark" {
		t.Errorf("poked\n got %v\nwant the tag", got)
	}
	again, ok := w.claim(claims["mark"].Key, noon.Add(time.Minute))
	if !ok || w.record(claims["mark"], Outcome{Result: Accepted}, noon) || !w.record(again, Outcome{Result: Accepted}, noon) {
		t.Error("the tag's second attempt")
	}
	want(t, "only the task is left to do", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 active -"})

	// The worker was not dead, only slow: what it learned resolves the unknown.
	if w.record(claims["nudge"], Outcome{Result: NotDone}, noon) {
		t.Error("an unknown one was planned again")
	}
	if !w.record(claims["nudge"], Outcome{Result: Accepted, ExternalID: "m1"}, noon.Add(time.Hour)) {
		t.Error("a late answer was refused")
	}
	w.wantDelivery(claims["nudge"].Key, "sent -")
}

// TestSweep_finishes holds that an enrollment whose last step ends unknown ends
// with it.
func TestSweep_finishes(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge)
	w.claim(w.key(id, "c", "nudge"), noon)
	w.exec(`update dunlin.deliveries set leased_until = clock_timestamp() - interval '1 second'`)
	if _, err := w.store.Sweep(t.Context(), noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	want(t, "enrollment", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
}

// TestEnd_whileClaimed holds that leaving does not undo a call on its way, and
// that nothing follows it.
func TestEnd_whileClaimed(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge, `{name: later, at: 1 day, tag: x}`)
	c, _ := w.claim(w.key(id, "c", "nudge"), noon)
	w.leave(id, "owing")
	w.enroll(noon.Add(time.Minute))
	w.wantDelivery(c.Key, "claimed -")
	w.wantDelivery(w.key(id, "c", "later"), "skipped left_segment")
	if !w.record(c, Outcome{Result: NotDone}, noon.Add(time.Minute)) {
		t.Fatal("not released")
	}
	w.exec(`update dunlin.deliveries set poked_until = null`)
	if _, ok := w.claim(c.Key, noon.Add(2*time.Minute)); ok {
		t.Error("claimed after the enrollment had ended")
	}
	w.wantDelivery(c.Key, "skipped enrollment_ended")
	want(t, "enrollment", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 exited left_segment"})
}

// TestOneContact holds the constraint by its name: a second row for the same
// step of the same episode cannot be.
func TestOneContact(t *testing.T) {
	t.Parallel()
	w, _ := due(t, nudge)
	_, err := w.pool.Exec(t.Context(), `
		insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, state)
		select account_id, customer_id, campaign, episode, step, action, 'planned' from dunlin.deliveries`)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.ConstraintName != "deliveries_one_contact" {
		t.Errorf("got %v\nwant deliveries_one_contact", err)
	}
	_, err = w.pool.Exec(t.Context(), `update dunlin.deliveries set state = 'on its way'`)
	if !errors.As(err, &pg) || pg.Code != "23514" {
		t.Errorf("a state that is none\n got %v", err)
	}
}

func TestDeliveries_filter(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge, mark)
	w.claim(w.key(id, "c", "nudge"), noon)
	for f, n := range map[DeliveryFilter]int{
		{Limit: 10}: 2, {Limit: 1}: 1, {Customer: "cus_ann", Limit: 10}: 2, {Customer: "cus_none", Limit: 10}: 0,
		{State: "claimed", Limit: 10}: 1, {Campaign: "c", State: "planned", Limit: 10}: 1, {Campaign: "d", Limit: 10}: 0,
	} {
		got, err := Deliveries(t.Context(), w.pool, f)
		if err != nil || len(got) != n {
			t.Errorf("%+v\n got %d (%v)\nwant %d", f, len(got), err, n)
		}
	}
}

// TestConcurrent lets many workers claim, record, sweep, tick and poke at once:
// nobody is contacted twice, and everything ends or waits with a name.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(settingsUTC + "contact_budget: none\n")
	w.campaign("c", onEntry, nudge, call, mark, `{name: more, at: 0 days, message: {channel: inapp, body: more}}`)
	const people = 12
	for i := range people {
		id := w.customer(fmt.Sprint("p", i), nil)
		w.join(id, "owing", noon)
		w.link(id, fmt.Sprint("C", i/2), noon) // two customers each are one person
	}
	w.start("c", noon)
	ctx := context.WithoutCancel(t.Context())
	var mu sync.Mutex
	calls := map[Key]int{}
	var wg sync.WaitGroup
	work := func(now time.Time, lost bool) (poked int) {
		var due Due
		err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) (err error) {
			due, err = Poke(ctx, tx, now, 7)
			return err
		})
		keys := append(due.Urgent, due.Released...)
		for _, k := range keys {
			c, ok, e := claimOne(ctx, w.store, k, now)
			err = errors.Join(err, e)
			if !ok {
				continue
			}
			mu.Lock()
			calls[k]++
			mu.Unlock()
			if !lost {
				_, e = w.store.Record(ctx, c, Outcome{Result: Accepted, ExternalID: c.Token}, now)
				err = errors.Join(err, e)
			}
		}
		_, e := w.store.Sweep(ctx, now)
		err = errors.Join(err, e, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			_, err := w.store.Enroll(ctx, tx, now)
			return err
		}))
		if err != nil {
			t.Error(err)
		}
		return len(keys)
	}
	for n := range 8 {
		wg.Go(func() {
			for round := range 16 {
				work(noon.Add(time.Duration(round+1)*time.Minute), (n+round)%5 == 0) // what one message gives way to another for goes a minute later
			}
		})
	}
	wg.Wait()
	// What somebody else was at when it was poked would be looked at again in a second.
	later := noon.Add(time.Hour)
	for {
		w.exec(`update dunlin.deliveries set poked_until = null where state = 'planned'`)
		w.exec(`update dunlin.links set checked_at = $1`, later)
		if work(later, false) == 0 {
			break
		}
		later = later.Add(time.Minute)
	}
	for k, n := range calls {
		if n > 1 {
			t.Errorf("%+v was called %d times (one-contact)", k, n)
		}
	}
	if len(calls) != people*4 {
		t.Errorf("%d calls\nwant %d", len(calls), people*4)
	}
	w.exec(`update dunlin.deliveries set leased_until = clock_timestamp() - interval '1 second' where state = 'claimed'`)
	if _, err := w.store.Sweep(ctx, noon); err != nil {
		t.Fatal(err)
	}
	var lost int
	w.row(&lost, `select count(*) from dunlin.deliveries where state = 'claimed' or state = 'planned' and action <> 'tag'`)
	if lost != 0 {
		t.Errorf("%d deliveries neither ended nor wait (nothing-lost)", lost)
	}
}

// TestClaim_stopsAtOnce holds that workers which find out at the same moment that
// somebody left do not get in each other's way, link or no link.
func TestClaim_stopsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("c", onEntry, nudge, call, mark, `{name: more, at: 0 days, tag: more}`)
	var ids []int64
	for i := range 15 {
		id := w.customer(fmt.Sprint("p", i), nil)
		w.join(id, "owing", noon)
		ids = append(ids, id)
	}
	w.start("c", noon)
	w.exec(`update dunlin.customers set delinquent = false`)
	w.exec(`delete from dunlin.members`)
	ctx := context.WithoutCancel(t.Context())
	var wg sync.WaitGroup
	for _, id := range ids {
		for _, step := range []string{"nudge", "call", "mark", "more"} {
			k := w.key(id, "c", step)
			wg.Go(func() {
				if _, ok, err := claimOne(ctx, w.store, k, noon); err != nil || ok {
					t.Errorf("claimed %v: %v", ok, err)
				}
			})
		}
	}
	for range 3 {
		wg.Go(func() {
			err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
				_, err := w.store.Enroll(ctx, tx, noon)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestSweep_events holds one-contact for what may start something at Intercom: of a
// user a second event of the same instant is none, of a lead it is another.
func TestSweep_events(t *testing.T) {
	t.Parallel()
	w, id := due(t, `{name: tell, at: 0 days, event: {name: reminded}}`)
	lead := w.customer("lee", nil)
	w.join(lead, "owing", noon)
	w.link(lead, "C2", noon)
	w.exec(`update dunlin.links set role = 'lead' where contact_id = 'C2'`)
	w.enroll(noon)
	first, _ := w.claim(w.key(id, "c", "tell"), noon)
	w.claim(w.key(lead, "c", "tell"), noon)
	w.exec(`update dunlin.deliveries set leased_until = clock_timestamp() - interval '1 second'`)
	if _, err := w.store.Sweep(t.Context(), noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.wantDelivery(w.key(lead, "c", "tell"), "unknown worker_lost")
	again, ok := w.claim(w.key(id, "c", "tell"), noon.Add(time.Minute))
	if !ok || !again.At.Equal(first.At) || again.Reference != first.Reference {
		t.Errorf("of a user\n got %v at %s\nwant it claimed again, at %s as before", ok, again.At, first.At)
	}
}

// TestClaim_eventsApart: Intercom takes two events of one contact, name and second
// for one, so each has a second of its own, which no attempt changes.
func TestClaim_eventsApart(t *testing.T) {
	t.Parallel()
	const tell, again = `{name: tell, at: 0 days, event: {name: reminded}}`, `{name: again, at: 0 days, event: {name: reminded}}`
	w, ann := due(t, tell, again)
	twin := w.customer("ann2", nil) // the same person
	w.link(twin, "C1", noon)
	bob := w.customer("bob", nil)
	w.link(bob, "C2", noon)
	for _, id := range []int64{twin, bob} {
		w.join(id, "owing", noon)
	}
	w.enroll(noon)
	keys := map[string]Key{
		"ann": w.key(ann, "c", "tell"), "ann again": w.key(ann, "c", "again"), "twin": w.key(twin, "c", "tell"),
		"bob": w.key(bob, "c", "tell"), "twin again": w.key(twin, "c", "again"),
	}
	// claim returns how many seconds after noon the events of some claims are.
	claim := func(at time.Time, names ...string) (seconds []int64) {
		t.Helper()
		for _, name := range names {
			w.exec(`update dunlin.deliveries set due_at = $2 where customer_id = $1`, keys[name].Customer, noon)
		}
		var batch []Key
		for _, name := range names {
			batch = append(batch, keys[name])
		}
		got, err := w.store.Claim(t.Context(), batch, at, len(batch), true)
		if err != nil || len(got.Claims) != len(batch) {
			t.Fatalf("got %+v, %v", got, err)
		}
		for _, c := range got.Claims {
			seconds = append(seconds, c.At.Unix()-noon.Unix())
		}
		return seconds
	}
	lapse := func() {
		t.Helper()
		w.exec(`update dunlin.deliveries set leased_until = clock_timestamp() - interval '1 second'`)
		if _, err := w.store.Sweep(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "of one contact in one batch", claim(noon.Add(700*time.Millisecond), "ann", "ann again", "bob"), []int64{0, 1, 0})
	want(t, "of the same contact in the next batch", claim(noon.Add(800*time.Millisecond), "twin"), []int64{2})
	lapse()
	want(t, "claimed again", claim(noon.Add(time.Second), "twin again", "twin", "ann again", "ann", "bob"), []int64{3, 2, 1, 0, 0})

	// A contact that was merged into another has that one's seconds.
	lapse()
	w.link(bob, "C1", noon)
	want(t, "merged", claim(noon.Add(time.Minute), "bob"), []int64{4})
	lapse()
	want(t, "merged, and claimed again", claim(noon.Add(2*time.Minute), "bob", "ann"), []int64{4, 0})
}
