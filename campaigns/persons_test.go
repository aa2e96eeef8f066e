package campaigns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin/dunlin/customers"
)

// TestClaim_budget holds one-budget: what reaches a person counts, whichever of
// their customers and campaigns it was for, unknowns included, on a rolling
// window; what is over it waits with that reason, and goes when there is room.
func TestClaim_budget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(settingsUTC + "contact_budget: {contacts: 2, within: 7 days, apart: 1 day}\n")
	a, b := w.customer("ann", nil), w.customer("ann2", nil)
	for _, id := range []int64{a, b} {
		w.join(id, "owing", noon)
		w.link(id, "C1", noon)
	}
	message := func(name string, days int) string {
		return fmt.Sprintf("{name: %s, at: %d days, expires: 10 days, message: {channel: inapp, body: hi}}", name, days)
	}
	w.campaign("one", onEntry, message("first", 0), message("third", 2), `{name: mark, at: 2 days, tag: x}`)
	w.campaign("two", onEntry, message("second", 1))
	w.start("one", noon)
	claim := func(id int64, campaign, step string, at time.Time, stands string) {
		t.Helper()
		w.exec(`update dunlin.links set checked_at = $1`, at)
		k := w.key(id, campaign, step)
		if c, ok := w.claim(k, at); ok {
			w.record(c, Outcome{Result: Accepted, ExternalID: step}, at)
		}
		w.wantDelivery(k, stands)
	}
	claim(a, "one", "first", noon, "sent -")
	claim(b, "one", "first", noon, "planned just_contacted") // another customer, the same person
	w.start("two", noon)
	// A day later the two that wait compete: the older one goes.
	at := noon.Add(day)
	claim(a, "two", "second", at, "planned outranked")
	claim(b, "one", "first", at, "sent -")
	at = noon.Add(2 * day)
	claim(a, "one", "third", at, "planned contact_budget")
	if got, want := *w.delivery(w.key(a, "one", "third")).DueAt, noon.Add(7*day); !got.Equal(want) {
		t.Errorf("over the budget\n got due %s\nwant %s, when the first contact leaves the window", got, want)
	}
	claim(a, "one", "mark", at, "sent -") // reaches nobody
	claim(b, "two", "second", at, "planned contact_budget")
	w.exec(`update dunlin.deliveries set due_at = $1 where state = 'planned'`, noon.Add(7*day))
	claim(b, "one", "third", noon.Add(7*day), "planned outranked")
	claim(a, "two", "second", noon.Add(7*day), "sent -")
	claim(b, "two", "second", noon.Add(11*day), "skipped contact_budget") // it has waited for its whole time
}

// TestClaim_budgetTogether: several workers that claim for one person at the same
// time, in any batches, do not spend the budget twice (one-budget).
func TestClaim_budgetTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(settingsUTC + "contact_budget: {contacts: 1, within: 7 days, apart: 0 days}\n")
	var keys []Key
	w.campaign("c", onEntry, nudge, `{name: more, at: 0 days, message: {channel: inapp, body: more}}`)
	for i := range 6 {
		id := w.customer(fmt.Sprint("p", i), nil)
		w.join(id, "owing", noon)
		w.link(id, fmt.Sprint("C", i%2), noon)
	}
	w.start("c", noon)
	keys = append(keys, w.poke(noon, 100)...)
	ctx := context.WithoutCancel(t.Context())
	var mu sync.Mutex
	claimed := map[string]int{}
	var workers sync.WaitGroup
	for n := range 6 {
		workers.Go(func() {
			mine := slices.Clone(keys)
			slices.SortFunc(mine, func(a, b Key) int { return (n%3 - 1) * a.compare(b) })
			for len(mine) > 0 {
				b, err := w.store.Claim(ctx, mine, noon, len(mine), true)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range b.Claims {
					claimed[c.ContactID]++
				}
				mu.Unlock()
				mine = b.Busy
			}
		})
	}
	workers.Wait()
	if claimed["C0"] != 1 || claimed["C1"] != 1 {
		t.Errorf("claimed by contact\n got %v\nwant one each", claimed)
	}
}

// TestClaim_priority: of two messages for one person the campaign of the higher
// priority goes first, whichever is older.
func TestClaim_priority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.join(id, "owing", noon)
	w.campaign("low", onEntry, `{name: old, at: 0 days, message: {channel: inapp, body: hi}}`)
	w.campaign("high", onEntry+"\npriority: 90", `{name: new, at: 1 hour, message: {channel: inapp, body: hi}}`)
	w.start("low", noon)
	w.start("high", noon)
	at := noon.Add(time.Hour)
	w.link(id, "C1", at)
	b, err := w.store.Claim(t.Context(), []Key{w.key(id, "low", "old"), w.key(id, "high", "new")}, at, 2, true)
	if err != nil || len(b.Busy) > 0 || len(b.Claims) != 1 || b.Claims[0].Key.Campaign != "high" {
		t.Errorf("both due\n got %+v (%v)\nwant the one of high", b, err)
	}
	w.wantDelivery(w.key(id, "low", "old"), "planned outranked")
}

// TestClaim_awayTogether: of two messages for one person that waited for Intercom
// and are claimed in one batch only the first goes (one-budget). To others they
// are no rivals as long as they wait.
func TestClaim_awayTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, twin := w.customer("ann", nil), w.customer("twin", nil)
	for _, name := range []string{"a", "b"} {
		w.campaign(name, onEntry, `{name: hi, at: 0 days, message: {channel: inapp, body: hi}}`)
		w.start(name, noon)
	}
	w.join(ann, "owing", noon)
	w.join(twin, "owing", noon)
	w.enroll(noon)
	w.link(ann, "C1", noon)
	w.link(twin, "C1", noon)
	keys := []Key{w.key(ann, "a", "hi"), w.key(twin, "b", "hi"), w.key(ann, "b", "hi"), w.key(twin, "a", "hi")}
	if err := w.store.Postpone(t.Context(), keys, IntercomAway, "", 0); err != nil {
		t.Fatal(err)
	}
	b, err := w.store.Claim(t.Context(), keys, noon, len(keys), true)
	if err != nil || len(b.Claims) != 1 {
		t.Errorf("claimed together\n got %+v (%v)\nwant one", b, err)
	}
	waiting := 0
	w.row(&waiting, `select count(*) from dunlin.deliveries where state = 'planned' and reason = 'outranked'`)
	if waiting != 3 {
		t.Errorf("outranked\n got %d\nwant 3", waiting)
	}
}

// TestClaim_rivalUndecided: a message that cannot be decided takes nobody's turn, or
// the others of its person would wait for it until they expire.
func TestClaim_rivalUndecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.join(id, "owing", noon)
	w.link(id, "C1", noon)
	w.campaign("high", onEntry+"\npriority: 90", nudge)
	w.campaign("low", onEntry, nudge)
	w.start("high", noon)
	w.start("low", noon)
	low := w.key(id, "low", "nudge")
	if _, ok := w.claim(low, noon); ok {
		t.Error("claimed beside a message that goes first")
	}
	w.wantDelivery(low, "planned outranked")
	if err := w.store.Postpone(t.Context(), []Key{w.key(id, "high", "nudge")}, Undecided, "", time.Hour); err != nil {
		t.Fatal(err)
	}
	at := noon.Add(recheckSoon)
	if _, ok := w.claim(low, at); !ok {
		w.wantDelivery(low, "claimed -")
	}
}

// TestClaim_holdout: to part of the persons nothing is done, and it is noted when
// it would have been; the same part each time.
func TestClaim_holdout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("c", onEntry+"\nholdout: 50%", nudge, call, mark)
	const people = 40
	ids := map[int64]string{}
	for i := range people {
		id := w.customer(fmt.Sprint("p", i), nil)
		w.join(id, "owing", noon)
		w.link(id, fmt.Sprint("C", i), noon)
		ids[id] = fmt.Sprint("C", i)
	}
	w.start("c", noon)
	out := 0
	for id, contact := range ids {
		held := heldOut("c", "contact "+contact, 50)
		if held {
			out++
		}
		for _, step := range []string{"nudge", "call", "mark"} {
			k := w.key(id, "c", step)
			_, ok := w.claim(k, noon)
			if ok == held {
				t.Errorf("%s of %s\n got claimed %v\nwant %v", step, contact, ok, !held)
			}
			if d := w.delivery(k); held && (d.State != "skipped" || *d.Reason != string(HeldOut) || d.ClaimedAt == nil || !d.ClaimedAt.Equal(noon)) {
				t.Errorf("%s of %s\n got %+v\nwant it skipped as holdout, with when it would have been done", step, contact, d)
			}
		}
		var noted bool
		w.row(&noted, `select held_out from dunlin.enrollments where customer_id = $1`, id)
		if noted != held {
			t.Errorf("%s: the enrollment says %v", contact, noted)
		}
	}
	if out < people/4 || out > people*3/4 {
		t.Errorf("%d of %d are held out", out, people)
	}
	// Linked to somebody else meanwhile, a customer stays where it was decided.
	w.exec(`update dunlin.enrollments set held_out = true, state = 'active'`)
	w.exec(`update dunlin.deliveries set state = 'planned', due_at = $1`, noon)
	for id := range ids {
		if _, ok := w.claim(w.key(id, "c", "mark"), noon); ok {
			t.Error("the holdout changed within an enrollment")
		}
	}
}

// TestGoal: reaching it ends the enrollment, at the next tick or at the claim, and
// after the last step it still counts, for as long as the campaign says.
func TestGoal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := map[string]int64{}
	for _, name := range []string{"ticked", "claimed", "after", "late"} {
		ids[name] = w.customer(name, map[string]any{"plan": "Basic"})
		w.join(ids[name], "owing", noon)
		w.link(ids[name], "C-"+name, noon)
	}
	w.campaign("c", onEntry+"\ngoal: plan = 'Pro'\ngoal_within: 10 days", `{name: mark, at: 0 days, tag: x}`)
	w.start("c", noon)
	upgrade := func(name string) {
		w.exec(`update dunlin.customers set plan = 'Pro' where customer_id = $1`, ids[name])
	}
	stands := func(name, want string) {
		t.Helper()
		var got string
		w.row(&got, `select concat_ws(' ', state, reason, goal_at at time zone 'UTC') from dunlin.enrollments where customer_id = $1`, ids[name])
		if got != want {
			t.Errorf("%s\n got %q\nwant %q", name, got, want)
		}
	}
	upgrade("ticked")
	w.enroll(noon.Add(time.Hour))
	stands("ticked", "exited goal 2026-03-02 13:00:00")
	w.wantDelivery(w.key(ids["ticked"], "c", "mark"), "skipped goal")

	upgrade("claimed")
	if _, ok := w.claim(w.key(ids["claimed"], "c", "mark"), noon); ok {
		t.Error("claimed although the goal is reached")
	}
	stands("claimed", "exited goal 2026-03-02 12:00:00")

	for _, name := range []string{"after", "late"} {
		c, ok := w.claim(w.key(ids[name], "c", "mark"), noon)
		if !ok || !w.record(c, Outcome{Result: Accepted}, noon) {
			t.Fatalf("%s was not sent", name)
		}
		stands(name, "finished")
	}
	upgrade("after")
	w.enroll(noon.Add(9 * day))
	stands("after", "finished 2026-03-11 12:00:00")
	upgrade("late")
	w.enroll(noon.Add(10 * day))
	stands("late", "finished")
}

// TestGoal_cannotBeEvaluated: a goal for which the workspace's zone is none, as after
// another was applied by an older binary, holds up its own campaign and no other.
func TestGoal_cannotBeEvaluated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", map[string]any{"card_expires_at": date26(time.March, 31), "next_charge_at": noon})
	w.join(id, "owing", noon)
	w.link(id, "C-ann", noon)
	w.campaign("c", onEntry+"\ngoal: card_expires_at < next_charge_at", mark)
	w.campaign("other", onEntry, mark)
	w.start("c", noon)
	w.settings(strings.Replace(settingsUTC, "zone: UTC", "zone: CET", 1))
	w.start("other", noon)
	w.enroll(noon.Add(time.Minute))
	if _, ok := w.claim(w.key(id, "c", "mark"), noon.Add(time.Minute)); ok {
		t.Error("claimed although nobody can tell whether the goal is reached")
	}
	w.wantDelivery(w.key(id, "c", "mark"), "planned unreadable")
	if _, ok := w.claim(w.key(id, "other", "mark"), noon.Add(time.Minute)); !ok {
		t.Error("the other campaign's delivery was not claimed")
	}
	w.settings(settingsUTC)
	w.link(id, "C-ann", noon.Add(2*time.Hour))
	if _, ok := w.claim(w.key(id, "c", "mark"), noon.Add(2*time.Hour)); !ok {
		t.Errorf("in a zone that will do\n got %+v\nwant it claimed", w.delivery(w.key(id, "c", "mark")))
	}
}

// TestSituations_gone: a customer whose row is gone is an error, and no decision.
func TestSituations_gone(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge)
	w.exec(`delete from dunlin.customers`)
	if _, err := w.store.Claim(t.Context(), []Key{w.key(id, "c", "nudge")}, noon, 1, true); !errors.Is(err, customers.ErrNotFound) {
		t.Errorf("got %v\nwant that there is no such customer", err)
	}
}
