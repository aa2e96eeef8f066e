package campaigns

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// Nothing is sent because of an edit alone (no-surprise-blast): whoever a started
// campaign is for now is enrolled or passed over as at its start, and counted.
func TestSave_ofAStartedCampaign(t *testing.T) {
	t.Parallel()
	const ignored = "segment: owing\nepisode: entry\nexisting: ignore"
	for _, tt := range []struct {
		name, from, to string
		steps          []string
		want           Edit
		enrolled       int64 // by the tick after it
	}{
		{"other texts", ignored, ignored, []string{nudge, mark}, Edit{}, 0},
		{"another segment", ignored, "segment: carded\nepisode: entry\nexisting: ignore", []string{nudge}, Edit{Rescoped: true, Passed: 3}, 0},
		{"another episode", ignored, "segment: owing\nepisode: card\nexisting: ignore", []string{nudge}, Edit{Rescoped: true, Passed: 3}, 0},
		{"a trigger", ignored, "trigger: charge_failed", []string{nudge}, Edit{Rescoped: true, Passed: 3}, 0},
		{"another segment, whose members are meant", ignored, "segment: carded\nepisode: entry\nexisting: enroll", []string{nudge}, Edit{Rescoped: true, Enrolled: 3}, 0},
		{"the same members are meant now", ignored, onEntry, []string{nudge}, Edit{}, 0},
		{"more often", "segment: owing\nepisode: every 90 days\nexisting: enroll", "segment: owing\nepisode: every 1 day\nexisting: enroll", []string{nudge}, Edit{Rescoped: true, Enrolled: 3}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, who := range []string{"a", "b", "c"} {
				id := w.customer(who, map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 31)})
				w.join(id, "owing", noon.Add(-30*day))
				w.join(id, "carded", noon.Add(-20*day))
				w.exec(`insert into dunlin.events (account_id, customer_id, id, type, object, created_at) values ($1, $2, 'e', 'charge_failed', 'e', $3)`, w.account, id, noon.Add(day))
			}
			w.campaign("c", tt.from, nudge)
			w.start("c", noon)
			at := noon.Add(2 * day)
			if n := w.enroll(at); n != 0 {
				t.Fatalf("before the edit\n got %d enrolled\nwant none", n)
			}
			got := w.edit("c", tt.to, at, tt.steps...)
			want := tt.want
			want.Campaign, want.State, want.Stored = "c", Running, true
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("edited (-want +got)\n%s", diff)
			}
			if n := w.enroll(at.Add(time.Hour)); n != tt.enrolled {
				t.Errorf("by the tick after the edit\n got %d enrolled\nwant %d", n, tt.enrolled)
			}
		})
	}
}

// Who is in a paused campaign's new scope is enrolled when it goes on, and an edit
// that would pass over members nobody knows yet is refused.
func TestSave_whoIsNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join(w.customer("ann", nil), "carded", noon)
	w.campaign("c", onEntry, nudge)
	w.start("c", noon)
	w.tx(func(tx pgx.Tx) error { return Pause(t.Context(), tx, "c", noon) })
	if got := w.edit("c", "segment: carded\nepisode: entry\nexisting: enroll", noon, nudge); !got.Rescoped || !got.Later || got.Enrolled != 0 {
		t.Errorf("edited while it was paused\n got %+v\nwant that they are enrolled later", got)
	}
	w.exec(`update dunlin.generations set version = version - 1 where generation = (select generation from dunlin.segments where name = 'owing')`)
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := w.saveCampaign(tx, "c", "segment: owing\nepisode: entry\nexisting: ignore", noon, nudge)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "apply the segment first") {
		t.Errorf("an edit that passes over members who are not known\n got %v\nwant it refused", err)
	}
}

// edit stores a definition and says what that did.
func (w *world) edit(name, head string, at time.Time, steps ...string) (e Edit) {
	w.t.Helper()
	w.tx(func(tx pgx.Tx) (err error) {
		e, err = w.saveCampaign(tx, name, head, at, steps...)
		return err
	})
	return e
}
