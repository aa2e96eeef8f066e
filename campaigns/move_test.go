package campaigns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/customers"
)

func (w *world) move(name string, only *customers.Ref, at time.Time) Move {
	w.t.Helper()
	var out Move
	w.tx(func(tx pgx.Tx) (err error) {
		out, err = w.store.Move(w.t.Context(), tx, name, only, at)
		return err
	})
	return out
}

// TestMove holds that who is enrolled stays on their version until they are
// moved, and that moving keeps what was sent (one-contact, no-surprise-blast).
func TestMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.customer("ann", nil), w.customer("bob", nil)
	for i, id := range []int64{ann, bob} {
		w.join(id, "owing", noon)
		w.link(id, fmt.Sprint("C", i), noon)
	}
	w.campaign("c", onEntry, `{name: sent, at: 0 days, tag: a}`, `{name: gone, at: 4 days, tag: b}`, `{name: later, at: 5 days, tag: c}`, `{name: same, at: 6 days, tag: d}`)
	w.start("c", noon)
	w.work(noon)
	before := w.dump()
	w.campaign("c", onEntry+"\npriority: 80", `{name: sent, at: 1 day, tag: other}`, `{name: early, at: 6 hours, tag: e}`, `{name: late, at: 1 day, tag: f}`,
		`{name: later, at: 7 days, tag: c}`, `{name: same, at: 6 days, contact: true, tag: d}`, `{name: last, at: 9 days, tag: g}`)
	at := noon.Add(2 * day)
	w.enroll(at)
	if got := w.dump(); got != before {
		t.Errorf("with another version stored\n got %s\nwant %s", got, before)
	}

	want(t, "moved", w.move("c", &customers.Ref{Account: w.account, Customer: ann}, at), Move{Campaign: "c", Version: 2, Moved: 1, Steps: []MovedStep{
		{Step: "sent", Done: 1}, {Step: "early", Passed: 1}, {Step: "late", Planned: 1},
		{Step: "later", Retimed: 1}, {Step: "same", Unchanged: 1}, {Step: "last", Planned: 1}, {Step: "gone", Gone: 1},
	}})
	want(t, "enrollment", w.enrollments(ann), []string{"c [entry 2026-03-02T12:00:00Z] v2 active -"})
	want(t, "steps", w.rows(ann), []string{
		"c/sent sent - 0s", "c/early skipped superseded 48h0m0s", "c/late planned - 48h0m0s", "c/gone skipped step_gone 96h0m0s",
		"c/same planned - 144h0m0s", "c/later planned - 168h0m0s", "c/last planned - 216h0m0s",
	})
	want(t, "who was not moved", w.enrollments(bob), []string{"c [entry 2026-03-02T12:00:00Z] v1 active -"})
	if n := w.count(`select count(*) from dunlin.deliveries where customer_id = $1 and step = 'same' and contacts and priority = 80`, ann); n != 1 {
		t.Error("a step that stays does not follow its new priority and manners")
	}

	// What was caught up with is in time from the move on, and is done.
	w.link(ann, "C0", at)
	w.work(at)
	w.wantDelivery(w.key(ann, "c", "late"), "sent -")
	settled := w.dump()
	if m := w.move("c", &customers.Ref{Account: w.account, Customer: ann}, at.Add(time.Hour)); m.Moved != 0 || w.dump() != settled {
		t.Errorf("moved again\n got %+v\nwant nothing moved", m)
	}

	if m := w.move("c", nil, at); m.Moved != 1 || len(w.rows(bob)) != 7 {
		t.Errorf("everybody else\n got %+v, %q\nwant 1", m, w.rows(bob))
	}

	// A step that comes back was never taken; an enrollment with nothing left ends.
	w.campaign("c", onEntry, `{name: sent, at: 0 days, tag: a}`, `{name: gone, at: 4 days, tag: b}`)
	w.move("c", nil, at)
	w.wantDelivery(w.key(ann, "c", "gone"), "planned -")
	w.wantDelivery(w.key(ann, "c", "same"), "skipped step_gone")
	w.campaign("c", onEntry, `{name: sent, at: 0 days, tag: a}`)
	w.move("c", nil, at)
	want(t, "nothing left", w.enrollments(ann), []string{"c [entry 2026-03-02T12:00:00Z] v4 finished -"})

	w.campaign("card", onEntry, `{name: later, at: 5 days, tag: c}`)
	w.start("card", noon)
	w.campaign("card", onCard, `{name: later, at: -5 days, tag: c}`)
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := w.store.Move(t.Context(), tx, "card", nil, at)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "about one entry, those of version 2 about one card") {
		t.Errorf("to another kind of episode\n got %v\nwant a refusal", err)
	}
}

// TestMove_anchor holds that what is planned follows another anchor, and waits,
// named, while that has no value.
func TestMove_anchor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.customer("ann", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 20)})
	bob := w.customer("bob", map[string]any{"card_id": "pm_2", "card_expires_at": date26(time.March, 20), "next_charge_at": noon.Add(3 * day)})
	for _, id := range []int64{ann, bob} {
		w.join(id, "carded", noon)
		w.link(id, fmt.Sprint("C", id), noon)
	}
	w.campaign("c", onCard, `{name: nudge, at: -5 days, tag: a}`)
	w.start("c", noon)
	w.campaign("c", strings.Replace(onCard, "card_expires_at", "next_charge_at", 1), `{name: nudge, at: -5 days, tag: a}`)
	at := noon.Add(time.Hour)
	w.move("c", nil, at)
	want(t, "no such date", w.rows(ann), []string{"c/nudge planned anchor_missing 1h0m0s"})
	want(t, "another date, which has passed", w.rows(bob), []string{"c/nudge planned - 1h0m0s"})
	before := w.dump()
	w.change([]int64{ann, bob}, "email = 'other@example.com'", "email")
	w.enroll(at.Add(time.Minute))
	if got := w.dump(); got != before {
		t.Errorf("with the next tick\n got %s\nwant %s", got, before)
	}
	w.workFor(ann, at)
	w.wantDelivery(w.key(ann, "c", "nudge"), "planned anchor_missing")
	w.link(bob, fmt.Sprint("C", bob), at.Add(2*day))
	w.workFor(bob, at.Add(2*day)) // it expires three days after the move
	w.wantDelivery(w.key(bob, "c", "nudge"), "sent -")
}

// TestMove_underWay holds that moving leaves a call alone that is on its way, also
// of a step that the version does not have (one-contact).
func TestMove_underWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.join(id, "owing", noon)
	w.link(id, "C1", noon)
	w.campaign("c", onEntry, mark, `{name: twice, at: 0 days, tag: b}`)
	w.start("c", noon)
	k, again := w.key(id, "c", "mark"), w.key(id, "c", "twice")
	c, ok := w.claim(k, noon)
	back, too := w.claim(again, noon)
	if !ok || !too {
		t.Fatal("not claimed")
	}
	w.campaign("c", onEntry, `{name: other, at: 1 day, tag: c}`, `{name: twice, at: 2 days, tag: b}`)
	w.move("c", nil, noon)
	want(t, "moved", w.settled(id), []string{"mark claimed -", "other planned -", "twice claimed -"})
	if !w.record(c, Outcome{Result: Accepted, ExternalID: "1"}, noon) {
		t.Error("not recorded")
	}
	w.wantDelivery(k, "sent -")
	// What was not done after all follows the version from then on.
	w.record(back, Outcome{Result: NotDone}, noon)
	if _, ok := w.claim(again, noon); ok {
		t.Error("claimed before its time in the new version")
	}
	w.wantDelivery(again, "planned not_yet")
}

// TestMove_anotherSegment: whoever the version moved to is not for leaves; no tick
// would see them go.
func TestMove_anotherSegment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	card := map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 31)}
	ann, bob := w.customer("ann", nil), w.customer("bob", card)
	w.join(ann, "owing", noon)
	w.join(bob, "owing", noon)
	w.join(bob, "carded", noon)
	w.campaign("c", onEntry, later)
	w.start("c", noon)
	w.edit("c", "segment: carded\nepisode: entry\nexisting: ignore", noon.Add(time.Hour), later)
	w.move("c", nil, noon.Add(2*time.Hour))
	for id, wanted := range map[int64]string{ann: "c exited left_segment", bob: "c active -"} {
		if got := w.states(id); !slices.Contains(got, wanted) {
			t.Errorf("after the move\n got %q\nwant %s", got, wanted)
		}
	}
}

// TestMove_property holds, of any two versions, at any time: what was sent stays,
// what is new is planned or named, nothing is lost (nothing-lost, one-contact),
// and a version with the same steps changes nothing.
func TestMove_property(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		name := fmt.Sprint("c", n)
		steps := func() []string {
			var out []string
			for _, s := range []string{"a", "b", "c", "d"} {
				if at := rapid.IntRange(-1, 4).Draw(rt, s); at >= 0 {
					out = append(out, fmt.Sprintf("{name: %s, at: %d days, tag: x}", s, at))
				}
			}
			return append(out, "{name: z, at: 9 days, tag: x}")
		}
		head := onEntry + "\ncatch_up: " + rapid.SampledFrom([]string{"latest", "all", "none"}).Draw(rt, "catch_up")
		id := w.customer(name, nil)
		w.join(id, "owing", noon)
		w.link(id, "C"+name, noon)
		w.campaign(name, head, steps()...)
		w.start(name, noon)
		sent := noon.Add(time.Duration(rapid.IntRange(0, 4).Draw(rt, "sent")) * day)
		w.link(id, "C"+name, sent)
		w.workFor(id, sent)
		before := w.settled(id)

		second := steps()
		w.campaign(name, head, second...)
		at := sent.Add(time.Duration(rapid.IntRange(0, 5).Draw(rt, "moved")) * day)
		w.move(name, nil, at)
		after := strings.Join(w.settled(id), "\n") + "\n"
		for _, line := range before {
			if step := line[:1]; strings.Contains(line, " sent ") && !strings.Contains(after, line+"\n") {
				rt.Errorf("step %s was sent\n got %s", step, after)
			}
		}
		for _, step := range second {
			if name := step[7:8]; !strings.Contains("\n"+after, "\n"+name+" ") {
				rt.Errorf("step %s of the version moved to is nowhere\n%s", name, after)
			}
		}
		if n := w.count(`select count(*) from dunlin.deliveries where campaign = $1 and (state = 'skipped' and reason is null or state = 'planned' and due_at is null)`, name); n > 0 {
			rt.Errorf("%d deliveries without a reason or a time\n%s", n, after)
		}

		rows := w.rows(id)
		w.campaign(name, head+"\npriority: 60", second...)
		if m := w.move(name, nil, at.Add(time.Hour)); m.Moved != 1 {
			rt.Errorf("moved\n got %+v\nwant 1", m)
		}
		want(t, "moved to a version with the same steps", w.rows(id), rows)
		w.exec(`update dunlin.enrollments set state = 'exited' where campaign = $1`, name)
		w.exec(`update dunlin.campaigns set state = 'paused' where name = $1`, name)
		w.leave(id, "owing")
	})
}
