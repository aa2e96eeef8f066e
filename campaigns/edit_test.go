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
		{"a trigger", ignored, "trigger: charge_failed", []string{nudge}, Edit{Rescoped: true}, 0},
		{"another segment, whose members are meant", ignored, "segment: carded\nepisode: entry\nexisting: enroll", []string{nudge}, Edit{Rescoped: true, Enrolled: 3}, 0},
		{"the same members are meant now", ignored, onEntry, []string{nudge}, Edit{}, 0},
		{"more often", "segment: owing\nepisode: every 90 days\nexisting: enroll", "segment: owing\nepisode: every 1 day\nexisting: enroll", []string{nudge}, Edit{Rescoped: true, Passed: 3}, 0}, // they are under way
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

// TestSave_underWay: who is enrolled already does not get the same steps a second
// time because a campaign that runs was edited, nor once they are through.
func TestSave_underWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from, to string
		want           Edit
	}{
		{"another segment", onEntry, "segment: carded\nepisode: entry\nexisting: enroll", Edit{Passed: 1}},
		{"another episode", onEntry, "segment: owing\nepisode: card\nexisting: enroll", Edit{Passed: 1}},
		{"another segment, about the same card", "segment: owing\nepisode: card\nexisting: enroll", "segment: carded\nepisode: card\nexisting: enroll", Edit{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.customer("ann", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 31)})
			w.join(id, "owing", noon.Add(-30*day))
			w.join(id, "carded", noon.Add(-20*day))
			w.campaign("c", tt.from, nudge)
			w.start("c", noon)
			want := tt.want
			want.Campaign, want.State, want.Stored, want.Rescoped = "c", Running, true, true
			if diff := cmp.Diff(want, w.edit("c", tt.to, noon.Add(time.Hour), nudge)); diff != "" {
				t.Errorf("edited (-want +got)\n%s", diff)
			}
			w.enroll(noon.Add(2 * time.Hour))
			w.exec(`update dunlin.enrollments set state = 'finished', ended_at = $1 where state = 'active'`, noon.Add(day))
			w.exec(`update dunlin.deliveries set state = 'sent', ended_at = $1`, noon.Add(day))
			w.enroll(noon.Add(20 * day))
			var planned int
			w.row(&planned, `select count(*) from dunlin.deliveries`)
			if planned != 1 {
				t.Errorf("steps\n got %d\nwant the one there was", planned)
			}
		})
	}
}

// TestSave_anotherTrigger: what happened before the edit enrolls nobody, whenever
// it is heard of.
func TestSave_anotherTrigger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	happened := func(id int64, event string, at time.Time) {
		w.exec(`insert into dunlin.events (account_id, customer_id, id, type, object, created_at) values ($1, $2, $3, 'charge_failed', 'e', $4)`, w.account, id, event, at)
	}
	ann, bob := w.customer("ann", nil), w.customer("bob", nil)
	w.campaign("c", onEntry, mark)
	w.start("c", noon)
	edited := noon.Add(60 * day)
	w.edit("c", "trigger: charge_failed", edited, mark)
	happened(ann, "long ago", noon.Add(day))
	happened(ann, "late", edited.Add(-time.Hour))
	happened(bob, "after", edited.Add(time.Hour))
	if n := w.enroll(edited.Add(2 * time.Hour)); n != 1 {
		t.Errorf("enrolled\n got %d\nwant one", n)
	}
	want(t, "who had it before", w.enrollments(ann), []string{})
	if a := w.why(ann, edited.Add(2*time.Hour), time.Time{}); !strings.Contains(a.Summary, "before the campaign was edited to be about others") {
		t.Errorf("why\n got %s", a.Summary)
	}
}

// An edit whose members nobody knows yet is refused, and so is one whose segment
// waits for somebody.
func TestSave_whoIsNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join(w.customer("ann", nil), "carded", noon)
	w.campaign("c", onEntry, nudge)
	w.start("c", noon)
	for what, tt := range map[string]struct{ sql, want string }{
		"being built": {`update dunlin.generations set version = version - 1 where generation = (select generation from dunlin.segments where name = 'carded')`, "apply the segment first"},
		"waits":       {`update dunlin.segments set waits = 'a jump' where name = 'carded'`, "dunlin segments accept carded"},
	} {
		w.exec(tt.sql)
		err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
			_, err := w.saveCampaign(tx, "c", "segment: carded\nepisode: entry\nexisting: enroll", noon, nudge)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\n got %v\nwant it refused", what, err)
		}
	}
}

// Members of a paused campaign's new scope are enrolled, and wait with the others.
func TestSave_ofAPausedCampaign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 31)})
	w.join(id, "carded", noon)
	w.campaign("c", onEntry, mark)
	w.start("c", noon)
	w.tx(func(tx pgx.Tx) error { return Pause(t.Context(), tx, "c", noon) })
	if got := w.edit("c", "segment: carded\nepisode: entry\nexisting: enroll", noon, mark); got.Enrolled != 1 {
		t.Errorf("edited\n got %+v\nwant one enrolled", got)
	}
	k := w.key(id, "c", "mark")
	w.link(id, "C1", noon)
	w.claim(k, noon)
	w.wantDelivery(k, "planned campaign_paused")
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
