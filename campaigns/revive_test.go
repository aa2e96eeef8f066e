package campaigns

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

const (
	first  = `{name: a-first, at: -21 days, tag: a}`
	second = `{name: b-second, at: -10 days, if: mrr >= 100 usd, tag: b}`
	third  = `{name: c-third, at: -5 days, if: mrr >= 200 usd, tag: c}`
	fourth = `{name: d-fourth, at: +1 day, if: mrr >= 200 usd, tag: d}`
)

// TestRevive holds that a superseded step gets its chance when the condition of
// the one that took its place is not met (nothing-lost).
func TestRevive(t *testing.T) {
	t.Parallel()
	late := date26(time.March, 5) // first, second and third have passed at noon on the 2nd
	tests := []struct {
		name string
		mrr  string
		head string
		want []string // when nothing is due any more
	}{
		{"the latest has its say", "300", "", []string{"a-first skipped superseded", "b-second skipped superseded", "c-third sent -"}},
		{"the one before it", "150", "", []string{"a-first skipped superseded", "b-second sent -", "c-third skipped condition_false"}},
		{"the first of all", "50", "", []string{"a-first sent -", "b-second skipped condition_false", "c-third skipped condition_false"}},
		{"not with none", "50", "\ncatch_up: none", []string{"a-first skipped too_late", "b-second skipped too_late", "c-third skipped too_late"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.customer("ann", map[string]any{"card_id": "pm_1", "card_expires_at": late, "mrr": tt.mrr, "mrr_currency": "usd"})
			w.join(id, "carded", noon)
			w.link(id, "C1", noon)
			w.campaign("c", onCard+tt.head, first, second, third, fourth)
			w.start("c", noon)
			w.work(noon)
			want(t, "settled", w.settled(id)[:3], tt.want)

			// What comes after has not taken anybody's place: nothing is revived for it.
			then := noon.Add(4 * day)
			w.link(id, "C1", then)
			before := w.count(`select count(*) from dunlin.deliveries where reason = 'superseded'`)
			w.work(then)
			if n := w.count(`select count(*) from dunlin.deliveries where reason = 'superseded'`); n != before {
				t.Errorf("superseded after the last step\n got %d\nwant %d", n, before)
			}
			if n := w.count(`select count(*) from dunlin.enrollments where state = 'finished'`); n != 1 {
				t.Errorf("finished enrollments\n got %d\nwant 1", n)
			}
		})
	}
}

// work claims and sends what is due, until nothing is.
func (w *world) work(at time.Time) {
	w.t.Helper()
	w.workFor(0, at)
}

// workFor does it for one customer; 0 is everybody.
func (w *world) workFor(id int64, at time.Time) {
	w.t.Helper()
	for range 100 {
		rows, err := w.pool.Query(w.t.Context(), `
			select account_id, customer_id, campaign, episode, step from dunlin.deliveries
			where state = 'planned' and due_at <= $1 and $2::bigint in (0, customer_id) order by due_at, step`, at, id)
		if err != nil {
			w.t.Fatal(err)
		}
		keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
		if err != nil {
			w.t.Fatal(err)
		}
		if len(keys) == 0 {
			return
		}
		for _, k := range keys {
			if c, ok := w.claim(k, at); ok {
				w.record(c, Outcome{Result: Accepted}, at)
			}
		}
	}
	w.t.Fatal("there is always something due")
}

// settled are the deliveries of a customer, one line each: step, state and reason,
// by the step's name.
func (w *world) settled(id int64) []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `
		select concat_ws(' ', step, state, coalesce(reason, '-')) from dunlin.deliveries where customer_id = $1 order by campaign, episode, step`, id)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

// TestSuperseded_property holds that what is revived was superseded, is earlier
// than the step that was not to be, and that nothing between them had its turn.
func TestSuperseded_property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var d Definition
		standing := map[string]stand{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			d.Steps = append(d.Steps, Step{Name: name, At: rule.Duration{N: rapid.IntRange(-3, 3).Draw(t, "at"), Unit: rule.Day}})
			state := rapid.SampledFrom([]string{"skipped superseded", "skipped condition_false", "sent -", "planned -", "-"}).Draw(t, "state")
			if state != "-" {
				state, reason, _ := strings.Cut(state, " ")
				standing[name] = stand{State: state, Reason: Reason(reason), Scheduled: &noon, Until: noon}
			}
		}
		standing["e"] = stand{State: "skipped", Reason: ConditionFalse, Scheduled: &noon, Until: noon}
		e, _ := d.Step("e")
		for _, name := range superseded(d, "e", standing) {
			s, _ := d.Step(name)
			if standing[name].Reason != Superseded || length(s.At) > length(e.At) {
				t.Fatalf("%s is revived: %+v", name, standing[name])
			}
			for _, x := range d.Steps {
				between := length(x.At) > length(s.At) && length(x.At) <= length(e.At)
				if y, there := standing[x.Name]; between && there && y.Reason != ConditionFalse {
					t.Fatalf("%s is revived, and %s stands between: %+v", name, x.Name, y)
				}
			}
		}
	})
}
