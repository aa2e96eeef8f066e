package campaigns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

func want(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func (w *world) startError(name string) error {
	w.t.Helper()
	return pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := w.store.Start(w.t.Context(), tx, name, noon)
		return err
	})
}

func TestStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.customer("a", nil), w.customer("b", nil)
	w.join(a, "owing", noon.Add(-day))
	w.campaign("all-in", onEntry, nudge)
	w.campaign("new-only", "segment: owing\nepisode: entry\nexisting: ignore", nudge)
	w.campaign("draft", onEntry, nudge)

	want(t, "started", w.start("all-in", noon), Start{Campaign: "all-in", Version: 1, Members: 1, Enrolled: 1})
	want(t, "started, passing over", w.start("new-only", noon), Start{Campaign: "new-only", Version: 1, Members: 1, Passed: 1})
	w.join(b, "owing", noon.Add(time.Minute))
	if n := w.enroll(noon.Add(time.Minute)); n != 2 {
		t.Errorf("enrolled with the next tick\n got %d\nwant 2", n)
	}
	entry := "[entry 2026-03-01T12:00:00Z]"
	want(t, "a", w.enrollments(a), []string{"all-in " + entry + " v1 active -", "new-only " + entry + " v1 exited already_member"})
	want(t, "a is contacted once", w.rows(a), []string{"all-in/nudge planned - 0s"})
	want(t, "b", w.rows(b), []string{"all-in/nudge planned - 1m0s", "new-only/nudge planned - 1m0s"})

	for name, text := range map[string]string{"all-in": "is running already", "none": "not found"} {
		if err := w.startError(name); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("start %s\n got %v\nwant %s", name, err, text)
		}
	}
	if err := w.startError("none"); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	w.tx(func(tx pgx.Tx) error { return Pause(t.Context(), tx, "all-in", noon) })
	if err := w.startError("all-in"); err == nil || !strings.Contains(err.Error(), "dunlin campaigns resume all-in") {
		t.Errorf("start what is paused\n got %v", err)
	}
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { return Pause(t.Context(), tx, "draft", noon) })
	if err == nil || !strings.Contains(err.Error(), `campaign "draft" is draft, not running`) {
		t.Errorf("pause a draft\n got %v", err)
	}
}

// TestStart_beforeTheFirstTick holds that passing over the members there are
// needs a segment that knows its members: else the first tick would make all of
// them new ones (no-surprise-blast).
func TestStart_beforeTheFirstTick(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`update dunlin.generations set missed = 'many changes'`)
	w.campaign("new-only", "segment: owing\nepisode: entry\nexisting: ignore", nudge)
	if err := w.startError("new-only"); err == nil || !strings.Contains(err.Error(), "dunlin tick") {
		t.Errorf("started before its segment was evaluated\n got %v\nwant an error with the repair", err)
	}
	w.exec(`update dunlin.generations set missed = null`)
	w.exec(`update dunlin.segments set waits = 'empty'`)
	if err := w.startError("new-only"); err == nil || !strings.Contains(err.Error(), "dunlin segments accept owing") {
		t.Errorf("started while its segment waits\n got %v\nwant an error with the repair", err)
	}
	w.exec(`update dunlin.segments set waits = null`)
	if err := w.startError("new-only"); err != nil {
		t.Error(err)
	}
}

func TestStore_lists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", nil)
	w.join(id, "owing", noon)
	w.campaign("one", onEntry, nudge, mark)
	w.campaign("two", onEntry, nudge)
	w.start("one", noon)
	list, err := List(t.Context(), w.pool)
	if err != nil {
		t.Fatal(err)
	}
	at := list[0].StartedAt
	if at == nil || !at.Equal(noon) {
		t.Fatalf("started at %v", at)
	}
	want(t, "list", list, []Listed{{Name: "one", Version: 1, State: Running, StartedAt: at, Active: 1, Enrolled: 1, Waiting: 2}, {Name: "two", Version: 1, State: Draft}})
	source, err := Source(t.Context(), w.pool, "one")
	if err != nil || !strings.HasPrefix(source, "kind: campaign\nname: one\n") {
		t.Errorf("source\n got %q %v", source, err)
	}
	if _, err := Source(t.Context(), w.pool, "none"); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("source of none\n got %v", err)
	}
	if _, err := NewStore(Config{}); err == nil || !strings.Contains(err.Error(), "Pool") || !strings.Contains(err.Error(), "Unapplied") {
		t.Errorf("NewStore of nothing\n got %v\nwant all that is missing", err)
	}
}

func TestEnroll_entry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", nil)
	w.campaign("c", onEntry, nudge, `{name: later, at: 3 days, tag: x}`)
	w.start("c", noon)
	w.join(id, "owing", noon)
	w.enroll(noon)
	want(t, "joined", w.rows(id), []string{"c/nudge planned - 0s", "c/later planned - 72h0m0s"})
	for range 3 {
		before := w.dump()
		if n := w.enroll(noon.Add(time.Minute)); n != 0 || w.dump() != before {
			t.Errorf("enrolled again: %d\n%s", n, cmp.Diff(before, w.dump()))
		}
	}
	w.leave(id, "owing")
	w.enroll(noon.Add(time.Hour))
	want(t, "left", w.rows(id), []string{"c/nudge skipped left_segment 0s", "c/later skipped left_segment 72h0m0s"})
	want(t, "ended", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 exited left_segment"})

	// Back two days later: it waits for a week to pass since the end, and says so.
	w.join(id, "owing", noon.Add(2*day))
	w.enroll(noon.Add(2 * day))
	want(t, "re-entry", w.rows(id)[2:], []string{"c/nudge planned reentry_wait 169h0m0s", "c/later planned reentry_wait 241h0m0s"})
	w.leave(id, "owing")
	w.enroll(noon.Add(3 * day))
	w.join(id, "owing", noon.Add(30*day))
	w.enroll(noon.Add(30 * day))
	want(t, "re-entry after long", w.rows(id)[4:], []string{"c/nudge planned - 720h0m0s", "c/later planned - 792h0m0s"})
}

// TestEnroll_reentryAfterTheEnd holds that flapping is flapping, too, when the
// last time went through all of its steps.
func TestEnroll_reentryAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", nil)
	w.join(id, "owing", noon)
	w.campaign("c", onEntry, nudge)
	w.start("c", noon)
	w.link(id, "C1", noon)
	c, ok := w.claim(w.key(id, "c", "nudge"), noon)
	if !ok || !w.record(c, Outcome{Result: Accepted, ExternalID: "m1"}, noon) {
		t.Fatal("not sent")
	}
	want(t, "finished", w.enrollments(id), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
	w.leave(id, "owing")
	w.enroll(noon.Add(time.Hour))
	w.join(id, "owing", noon.Add(2*time.Hour))
	w.enroll(noon.Add(2 * time.Hour))
	want(t, "back an hour later", w.rows(id), []string{"c/nudge sent - 0s", "c/nudge planned reentry_wait 168h0m0s"})
}

func TestEnroll_card(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 31)})
	none := w.customer("none", nil)
	w.join(id, "carded", noon)
	w.join(none, "carded", noon)
	w.campaign("c", onCard, `{name: early, at: -60 days, tag: a}`, `{name: nudge, at: -29 days, tag: b}`, `{name: tie, at: -29 days, tag: c}`, `{name: last, at: 1 day, tag: d}`)
	w.start("c", noon)
	want(t, "no card, no episode", w.enrollments(none), []string{})
	want(t, "of the steps that have passed only the latest, ties and all", w.rows(id), []string{
		"c/early skipped superseded 0s", "c/nudge planned - 0s", "c/tie planned - 0s", "c/last planned - 708h0m0s",
	})
	d := w.delivery(w.key(id, "c", "nudge"))
	if !d.ScheduledAt.Equal(noon) || !d.ExpiresAt.Equal(noon.Add(3*day)) {
		t.Errorf("caught up\n got %s until %s\nwant from the enrollment on", d.ScheduledAt, d.ExpiresAt)
	}
	if d := w.delivery(w.key(id, "c", "early")); d.EndedAt == nil || !d.EndedAt.Equal(noon) {
		t.Errorf("superseded at %v", d.EndedAt)
	}

	// Another expiry is another card; so is another payment method.
	w.exec(`update dunlin.customers set card_expires_at = '2029-05-31' where customer_id = $1`, id)
	w.enroll(noon.Add(time.Hour))
	w.enroll(noon.Add(2 * time.Hour))
	w.exec(`update dunlin.customers set card_id = 'pm_2' where customer_id = $1`, id)
	w.enroll(noon.Add(3 * time.Hour))
	want(t, "cards", w.enrollments(id), []string{"c [pm_1 2026-03-31] v1 exited episode_over", "c [pm_1 2029-05-31] v1 exited episode_over", "c [pm_2 2029-05-31] v1 active -"})
	want(t, "steps of the first", w.rows(id)[:4], []string{
		"c/early skipped superseded 0s", "c/nudge skipped episode_over 0s", "c/tie skipped episode_over 0s", "c/last skipped episode_over 708h0m0s",
	})

	// The first card comes back: its episode is over for good.
	w.exec(`update dunlin.customers set card_id = 'pm_1', card_expires_at = '2026-03-31' where customer_id = $1`, id)
	w.enroll(noon.Add(4 * time.Hour))
	if got := w.enrollments(id); len(got) != 3 || got[2] != "c [pm_2 2029-05-31] v1 exited episode_over" {
		t.Errorf("the first card again\n got %s\nwant no fourth enrollment", strings.Join(got, "\n"))
	}
}

// TestEnroll_dateStyle holds that a card's episode does not hang on how the
// server writes dates.
func TestEnroll_dateStyle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 31)})
	w.join(id, "carded", noon)
	w.campaign("c", onCard, mark)
	w.start("c", noon)
	w.tx(func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `set local datestyle = 'German, DMY'`); err != nil {
			return err
		}
		_, err := w.store.Enroll(t.Context(), tx, noon)
		return err
	})
	want(t, "after a tick on another date style", w.enrollments(id), []string{"c [pm_1 2026-03-31] v1 active -"})
}

func TestEnroll_every(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", nil)
	w.join(id, "owing", noon)
	w.campaign("c", "segment: owing\nepisode: every 30 days\nexisting: enroll", mark)
	w.start("c", noon)
	for _, at := range []time.Duration{day, 30*day - time.Second} {
		if n := w.enroll(noon.Add(at)); n != 0 {
			t.Errorf("enrolled again after %s", at)
		}
	}
	w.leave(id, "owing")
	w.enroll(noon.Add(20 * day))
	w.join(id, "owing", noon.Add(21*day))
	w.enroll(noon.Add(21 * day))
	want(t, "leaving does not shorten it", len(w.enrollments(id)), 1)
	if n := w.enroll(noon.Add(30 * day)); n != 1 {
		t.Errorf("after 30 days\n got %d\nwant 1", n)
	}
	if n := w.enroll(noon.Add(30 * day)); n != 0 {
		t.Errorf("twice at one instant\n got %d", n)
	}
	want(t, "enrollments", w.enrollments(id), []string{"c [from 2026-03-02T12:00:00Z] v1 exited left_segment", "c [from 2026-04-01T12:00:00Z] v1 active -"})
}

func TestEnroll_neverExit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 31)})
	w.join(id, "carded", noon)
	w.campaign("c", onCard+"\nexit: never", mark)
	w.start("c", noon)
	w.leave(id, "carded")
	w.exec(`update dunlin.customers set card_id = 'pm_2' where customer_id = $1`, id)
	w.enroll(noon.Add(time.Hour))
	want(t, "stays", w.enrollments(id), []string{"c [pm_1 2026-03-31] v1 active -"})
}

func TestEnroll_anchorComesAndMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", nil)
	w.join(id, "owing", noon)
	w.campaign("c", "segment: owing\nepisode: entry\nexisting: enroll\nanchor: next_charge_at", `{name: a, at: -1 day, tag: a}`, `{name: b, at: 2 days, tag: b}`)
	w.start("c", noon)
	want(t, "without an anchor", w.rows(id), []string{"c/a planned - 0s", "c/b planned - 0s"})
	k := w.key(id, "c", "a")
	if d := w.delivery(k); d.ScheduledAt != nil || d.ExpiresAt != nil {
		t.Errorf("scheduled at %v until %v without an anchor", d.ScheduledAt, d.ExpiresAt)
	}
	if _, ok := w.claim(k, noon); ok {
		t.Error("claimed without an anchor")
	}
	want(t, "it is named", w.rows(id), []string{"c/b planned - 0s", "c/a planned anchor_missing 1h0m0s"})

	w.exec(`update dunlin.customers set next_charge_at = $2 where customer_id = $1`, id, noon.Add(5*day))
	w.enroll(noon.Add(time.Minute))
	want(t, "the anchor has come", w.rows(id), []string{"c/a planned - 96h0m0s", "c/b planned - 168h0m0s"})
	if d := w.delivery(k); !d.ExpiresAt.Equal(noon.Add(7 * day)) {
		t.Errorf("expires\n got %s", d.ExpiresAt)
	}
	before := w.dump()
	w.enroll(noon.Add(2 * time.Minute))
	want(t, "nothing moved", w.dump(), before)

	w.exec(`update dunlin.customers set next_charge_at = $2 where customer_id = $1`, id, noon.Add(9*day))
	w.enroll(noon.Add(3 * time.Minute))
	want(t, "moved away", w.rows(id), []string{"c/a planned - 192h0m0s", "c/b planned - 264h0m0s"})
	w.exec(`update dunlin.customers set next_charge_at = null where customer_id = $1`, id)
	w.enroll(noon.Add(4 * time.Minute))
	if _, ok := w.claim(k, noon.Add(8*day)); ok {
		t.Error("claimed although the anchor has gone")
	}
	w.exec(`update dunlin.customers set next_charge_at = $2 where customer_id = $1`, id, noon.Add(day))
	w.enroll(noon.Add(5 * time.Minute))
	want(t, "moved near: not before the start", w.rows(id), []string{"c/a planned - 0s", "c/b planned - 72h0m0s"})
}

// TestEnroll_anchorComesLate holds that an anchor which comes, or moves, so that
// several steps have passed does not make all of them due at once.
func TestEnroll_anchorComesLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	head := "segment: owing\nepisode: entry\nexisting: enroll\nanchor: next_charge_at"
	steps := []string{`{name: a, at: -21 days, tag: a}`, `{name: b, at: -5 days, tag: b}`, `{name: tie, at: -5 days, tag: b}`, `{name: c, at: 1 day, tag: c}`}
	came, moved := w.customer("came", nil), w.customer("moved", map[string]any{"next_charge_at": noon.Add(60 * day)})
	w.join(came, "owing", noon)
	w.join(moved, "owing", noon)
	w.campaign("c", head, steps...)
	w.start("c", noon)
	w.exec(`update dunlin.customers set next_charge_at = $1`, noon.Add(2*day))
	w.enroll(noon.Add(day))
	for _, id := range []int64{came, moved} {
		want(t, "only the latest that has passed", w.rows(id), []string{
			"c/a skipped superseded 0s", "c/b planned - 0s", "c/tie planned - 0s", "c/c planned - 72h0m0s",
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.customer("a", nil), w.customer("b", nil)
	w.join(a, "owing", noon)
	w.campaign("c", onEntry, call)
	w.start("c", noon)
	w.tx(func(tx pgx.Tx) error { return Pause(t.Context(), tx, "c", noon) })
	w.join(b, "owing", noon.Add(time.Minute))
	if n := w.enroll(noon.Add(time.Minute)); n != 0 {
		t.Errorf("a paused campaign enrolled %d", n)
	}
	k := w.key(a, "c", "call")
	if _, ok := w.claim(k, noon.Add(time.Minute)); ok {
		t.Error("claimed in a paused campaign")
	}
	want(t, "waits for the resume", w.rows(a), []string{"c/call planned campaign_paused 1h1m0s"})
	w.tx(func(tx pgx.Tx) error {
		r, err := w.store.Resume(t.Context(), tx, "c", noon.Add(2*time.Minute))
		want(t, "resumed", r, Resumption{Campaign: "c", Woken: 1, Enrolled: 1})
		return err
	})
	want(t, "due at once", w.rows(a), []string{"c/call planned campaign_paused 2m0s"})
	want(t, "who joined meanwhile", w.rows(b), []string{"c/call planned - 2m0s"})
	if _, ok := w.claim(k, noon.Add(2*time.Minute)); ok {
		t.Error("a task without a contact is claimed")
	}
	w.wantDelivery(k, "sent -")
	if n := w.enroll(noon.Add(3 * time.Minute)); n != 0 {
		t.Errorf("enrolled by the next tick\n got %d\nwant none", n)
	}

	// Of any instant it can be told (every-why).
	w.since(noon.Add(-day))
	w.exec(`update dunlin.campaign_versions set created_at = $1`, noon.Add(-time.Hour))
	w.exec(`update dunlin.segment_versions set created_at = $1`, noon.Add(-time.Hour))
	now := noon.Add(time.Hour)
	for at, state := range map[time.Duration]State{-time.Minute: Draft, 30 * time.Second: Halted, 90 * time.Second: Halted, 2 * time.Minute: Running} {
		if got := w.why(b, now, noon.Add(at)); got.State != state {
			t.Errorf("at %s\n got %q: %s\nwant %q", at, got.State, got.Summary, state)
		}
	}
	if got := w.why(b, now, noon.Add(90*time.Second)); !strings.Contains(got.Summary, "the campaign was paused, and enrolled nobody") {
		t.Errorf("why not enrolled while it was paused\n got %s", got.Summary)
	}
}

// TestVersions holds that who is enrolled stays on the version it began with, its
// times and texts with it (no-surprise-blast).
func TestVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.customer("a", nil), w.customer("b", nil)
	w.join(a, "owing", noon)
	text := func(s string) string {
		return `{name: second, at: 2 days, message: {channel: inapp, body: ` + s + `}}`
	}
	if !w.campaign("c", onEntry, mark, text("old")) || w.campaign("c", onEntry, mark, text("old")) {
		t.Error("the same text is the same version")
	}
	w.start("c", noon)
	w.campaign("c", onEntry, mark, strings.ReplaceAll(text("new"), "2 days", "1 day"), `{name: third, at: 1 day, tag: x}`)
	w.join(b, "owing", noon)
	w.enroll(noon)
	want(t, "on the old one", w.rows(a), []string{"c/mark planned - 0s", "c/second planned - 48h0m0s"})
	want(t, "on the new one", w.rows(b), []string{"c/mark planned - 0s", "c/second planned - 24h0m0s", "c/third planned - 24h0m0s"})
	for id, body := range map[int64]string{a: "old", b: "new"} {
		w.link(id, fmt.Sprint("C", id), noon.Add(2*day))
		c, ok := w.claim(w.key(id, "c", "second"), noon.Add(2*day))
		if !ok || c.Body != body {
			t.Errorf("claimed %v with text %q\nwant %q", ok, c.Body, body)
		}
	}

	// The old version ends its enrollments by its own segment.
	w.campaign("c", strings.Replace(onEntry, "owing", "carded", 1), mark)
	w.enroll(noon.Add(time.Hour))
	want(t, "still there", w.enrollments(a), []string{"c [entry 2026-03-02T12:00:00Z] v1 active -"})
	w.leave(a, "owing")
	w.enroll(noon.Add(2 * time.Hour))
	want(t, "gone", w.enrollments(a), []string{"c [entry 2026-03-02T12:00:00Z] v1 exited left_segment"})
}

// TestVersions_rolledBack holds that a version that was never committed is not
// remembered.
func TestVersions_rolledBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", nil)
	w.join(id, "owing", noon)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.saveCampaign(tx, "c", onEntry, noon, `{name: never, at: 0 days, tag: x}`); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Start(t.Context(), tx, "c", noon); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.campaign("c", onEntry, mark)
	w.start("c", noon)
	want(t, "steps of the version that is there", w.rows(id), []string{"c/mark planned - 0s"})
}

// TestEnroll_brokenVersion holds that a stored version which no longer parses
// holds up its own campaign and no other, and no tick.
func TestEnroll_brokenVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("a", nil)
	w.campaign("broken", onEntry, mark)
	w.campaign("sound", onEntry, mark)
	w.start("broken", noon)
	w.start("sound", noon)
	w.exec(`update dunlin.campaign_versions set source = replace(source, 'tag: marked', 'gat: marked') where name = 'broken'`)
	w.store = w.newStore(false)
	w.join(id, "owing", noon)
	w.enroll(noon)
	want(t, "enrolled", w.enrollments(id), []string{"sound [entry 2026-03-02T12:00:00Z] v1 active -"})
}

// TestSchedule holds that Postgres and Go reckon the same times, for dates and
// instants, in zones whose clocks change at midnight.
func TestSchedule(t *testing.T) {
	t.Parallel()
	dates := []string{
		"2026-03-29", "2026-10-25", "2026-07-01", "2024-02-29", // Europe
		"2023-03-12", "2023-11-05", // America; Havana's midnight is left out, and comes twice
		"2018-11-04", "2019-02-17", // São Paulo
		"2023-03-26", "2023-10-29", "2023-04-28", "2023-10-27", // the Azores, Beirut, Cairo
		"2024-03-24", "2024-10-06", "2022-09-11", "2023-09-03", "2023-04-02", // Asunción, Santiago
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/Havana", "America/Sao_Paulo", "Atlantic/Azores", "Asia/Beirut", "Africa/Cairo", "America/Asuncion", "America/Santiago", "Asia/Kathmandu", "Pacific/Kiritimati", "Australia/Lord_Howe"} {
		t.Run(strings.ReplaceAll(zone, "/", " "), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settings(strings.Replace(settingsUTC, "zone: UTC", "zone: "+zone, 1))
			start := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
			w.campaign("by-date", onCard, `{name: before, at: -36 hours, tag: a}`, `{name: on, at: 0 days, tag: b}`, `{name: after, at: 2 weeks, tag: c}`)
			w.campaign("by-instant", "segment: carded\nepisode: entry\nexisting: enroll\nanchor: next_charge_at", `{name: before, at: -90 minutes, tag: a}`, `{name: after, at: 40 days, tag: c}`)
			w.campaign("by-start", "segment: carded\nepisode: entry\nexisting: enroll", `{name: after, at: 9 days, tag: c}`)
			for i, d := range dates {
				day, err := time.Parse(time.DateOnly, d)
				if err != nil {
					t.Fatal(err)
				}
				id := w.customer(fmt.Sprint(i), map[string]any{"card_id": "pm", "card_expires_at": day, "next_charge_at": day.Add(90*time.Minute + 123456*time.Microsecond)})
				w.join(id, "carded", start)
			}
			for _, name := range []string{"by-date", "by-instant", "by-start"} {
				w.start(name, start)
			}
			settings, err := workspace.Load(t.Context(), w.pool)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"by-date", "by-instant", "by-start"} {
				d, err := w.store.definition(t.Context(), w.pool, settings, name, 1)
				if err != nil {
					t.Fatal(err)
				}
				all, err := Deliveries(t.Context(), w.pool, DeliveryFilter{Campaign: name, Limit: 1000})
				if err != nil || len(all) != len(dates)*len(d.Steps) {
					t.Fatalf("%d deliveries (%v)", len(all), err)
				}
				for _, x := range all {
					ref, err := customers.Find(t.Context(), w.pool, w.account, x.StripeID)
					if err != nil {
						t.Fatal(err)
					}
					p, err := customers.Load(t.Context(), w.pool, ref)
					if err != nil {
						t.Fatal(err)
					}
					step, _ := d.Step(x.Step)
					if at := schedule(d, step, p, start, start, settings.Zone); at == nil || !at.Equal(*x.ScheduledAt) {
						t.Errorf("%s %s of %v\nPostgres %s\n      Go %s", name, x.Step, p.Value("card_expires_at"), x.ScheduledAt.In(settings.Zone), at.In(settings.Zone))
					}
				}
			}
			before := w.dump()
			w.enroll(start)
			want(t, "a tick moves nothing", w.dump(), before)
		})
	}
	if at := schedule(Definition{Anchor: "next_charge_at"}, Step{}, customers.Picture{}, noon, noon, time.UTC); at != nil {
		t.Errorf("without an anchor\n got %s", at)
	}
	if at := schedule(Definition{Anchor: "card_expires_at"}, Step{}, customers.NewPicture(customers.Ref{}, "", "", map[string]any{"card_expires_at": rule.Date{Year: 2020, Month: 1, Day: 1}}), noon, noon, time.UTC); !at.Equal(noon) {
		t.Errorf("before the start\n got %s", at)
	}
}

// TestEnroll_trigger: each event enrolls once, whoever is a member of the segment
// if there is one, and steps count from the event, even if it is heard of late.
func TestEnroll_trigger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, other := w.customer("ann", nil), w.customer("bob", map[string]any{"delinquent": false})
	w.join(id, "owing", noon)
	happened := func(customer int64, event string, at time.Time) {
		w.exec(`insert into dunlin.events (account_id, customer_id, id, type, object, created_at) values ($1, $2, $3, 'charge_failed', $3, $4)`,
			w.account, customer, event, at)
	}
	happened(id, "charge_failed:before", noon.Add(-time.Hour))
	w.campaign("all", "trigger: charge_failed", `{name: now, at: 0 days, tag: a}`, `{name: soon, at: 1 day, tag: b}`, `{name: later, at: 3 days, tag: c}`)
	w.campaign("members", "trigger: charge_failed\nsegment: owing", mark)
	w.start("all", noon)
	w.start("members", noon)
	if n := w.enroll(noon.Add(time.Minute)); n != 0 {
		t.Errorf("what happened before the start\n got %d enrolled\nwant none", n)
	}

	happened(id, "charge_failed:ch_1", noon.Add(time.Hour))
	happened(other, "charge_failed:ch_2", noon.Add(time.Hour))
	at := noon.Add(time.Hour + 26*time.Hour) // a day and two hours after it
	if n := w.enroll(at); n != 3 {
		t.Errorf("two events, one of a member\n got %d enrolled\nwant 3", n)
	}
	if n := w.enroll(at.Add(time.Minute)); n != 0 {
		t.Errorf("the same events again\n got %d enrolled\nwant none", n)
	}
	key := func(step string) Key { return Key{w.account, id, "all", "charge_failed:ch_1", step} }
	w.wantDelivery(key("now"), "skipped superseded")
	w.wantDelivery(key("soon"), "planned -")
	if d := w.delivery(key("soon")); !d.DueAt.Equal(at) {
		t.Errorf("the latest of what has passed\n got due %s\nwant at once", d.DueAt)
	}
	if d, want := w.delivery(key("later")), noon.Add(time.Hour+3*day); !d.DueAt.Equal(want) {
		t.Errorf("a later step\n got due %s\nwant %s, from the event on", d.DueAt, want)
	}
	w.link(id, "C1", noon.Add(time.Hour+3*day))
	if _, ok := w.claim(key("later"), noon.Add(time.Hour+3*day)); !ok {
		t.Errorf("at its time\n got %+v\nwant it claimed", w.delivery(key("later")))
	}
}

// TestEnroll_triggerTooOld: who could not be enrolled within a week of the event is
// passed over with that reason, whatever kept us (nothing-lost), and why says so.
func TestEnroll_triggerTooOld(t *testing.T) {
	t.Parallel()
	const seven = 7 * day
	first, second := noon.Add(time.Hour), noon.Add(2*day)
	now := noon.Add(9 * day)
	follow := func(w *world, tick segments.Tick) {
		t.Helper()
		w.tx(func(tx pgx.Tx) error { _, err := w.store.Follow(t.Context(), tx, tick); return err })
	}
	for _, tt := range []struct {
		name  string
		catch func(w *world, id int64) // up
		want  []string
	}{
		{"a pause is over", func(w *world, _ int64) {
			w.tx(func(tx pgx.Tx) error { return Pause(t.Context(), tx, "c", noon.Add(time.Minute)) })
			w.tx(func(tx pgx.Tx) error {
				r, err := w.store.Resume(t.Context(), tx, "c", now)
				want(t, "enrolled", r.Enrolled, int64(1))
				return err
			})
		}, nil},
		{"the segment waited", func(w *world, _ int64) {
			w.exec(`update dunlin.segments set waits = 'x' where name = 'owing'`)
			w.enroll(noon.Add(3 * day))
			w.exec(`update dunlin.segments set waits = null where name = 'owing'`)
			follow(w, segments.Tick{At: now, Since: now.Add(-time.Minute), Whole: map[string]bool{"owing": true}})
		}, nil},
		{"the news come late", func(w *world, id int64) {
			follow(w, segments.Tick{At: now, Since: now.Add(-time.Minute), Changed: []customers.Ref{{Account: w.account, Customer: id}}})
		}, nil},
		{"nobody was at work", func(w *world, _ int64) {
			follow(w, segments.Tick{At: now, Since: noon.Add(time.Minute), Everyone: true})
		}, nil},
		{"as each hour: only what is young is looked at", func(w *world, _ int64) {
			follow(w, segments.Tick{At: now, Since: now.Add(-time.Minute), NewHour: true})
		}, []string{"c [charge_failed:ch_2] v1 active -"}},
		{"no member yet when the event was young", func(w *world, id int64) {
			w.leave(id, "owing")
			w.join(id, "owing", first.Add(seven+time.Minute))
			w.enroll(now)
		}, []string{"c [charge_failed:ch_2] v1 active -"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.customer("ann", nil)
			w.join(id, "owing", noon)
			w.campaign("c", "trigger: charge_failed\nsegment: owing", mark)
			w.start("c", noon)
			w.exec(`insert into dunlin.events (account_id, customer_id, id, type, object, created_at) values
				($1, $2, 'charge_failed:ch_1', 'charge_failed', 'ch_1', $3), ($1, $2, 'charge_failed:ch_2', 'charge_failed', 'ch_2', $4)`,
				w.account, id, first, second.Add(time.Minute))
			tt.catch(w, id)
			if tt.want == nil {
				tt.want = []string{"c [charge_failed:ch_1] v1 exited event_too_old", "c [charge_failed:ch_2] v1 active -"}
			}
			want(t, "enrollments", w.enrollments(id), tt.want)
			want(t, "deliveries", w.rows(id), []string{"c/mark planned - 216h0m0s"})
		})
	}
}

// TestEnroll_invoices: each open invoice that is overdue is an episode, which ends
// when it is paid, whatever becomes of the others.
func TestEnroll_invoices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.join(id, "owing", noon)
	w.link(id, "C1", noon)
	invoice := func(name, status string, due any, attempts int) {
		w.exec(`insert into dunlin.invoices (account_id, customer_id, id, created_at, status, amount_remaining, amount_remaining_currency, due_at, attempt_count)
			values ($1, $2, $3, $4, $5, 10, 'usd', $6, $7)`, w.account, id, name, noon.Add(-10*day), status, due, attempts)
	}
	invoice("in_due", "open", noon.Add(-day), 0)
	invoice("in_failed", "open", nil, 2)
	invoice("in_fresh", "open", nil, 0)
	invoice("in_later", "open", noon.Add(2*day), 0)
	invoice("in_paid", "paid", noon.Add(-day), 1)
	w.campaign("c", "segment: owing\nepisode: invoice\nexisting: enroll", mark)
	w.start("c", noon)
	want(t, "overdue", w.enrollments(id), []string{"c [in_due] v1 active -", "c [in_failed] v1 active -"})
	w.exec(`update dunlin.invoices set status = 'paid', amount_remaining = 0 where id = 'in_due'`)
	k := Key{w.account, id, "c", "in_due", "mark"}
	if _, ok := w.claim(k, noon); ok {
		t.Error("claimed for an invoice that is paid")
	}
	w.wantDelivery(k, "skipped episode_over")
	w.enroll(noon.Add(2 * day))
	want(t, "two days on", w.enrollments(id), []string{"c [in_due] v1 exited episode_over", "c [in_failed] v1 active -", "c [in_later] v1 active -"})
}

// Who was passed over at the start has not been written to: back in the segment,
// they do not wait as who has.
func TestEnroll_joinsAgainAfterItWasPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.join(id, "owing", noon.Add(-day))
	w.campaign("c", "segment: owing\nepisode: entry\nexisting: ignore", mark)
	w.start("c", noon)
	w.leave(id, "owing")
	w.enroll(noon.Add(day))
	w.join(id, "owing", noon.Add(2*day))
	w.enroll(noon.Add(2 * day))
	want(t, "steps", w.rows(id), []string{"c/mark planned - 48h0m0s"})
}
