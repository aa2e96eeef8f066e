package campaigns

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var errRollback = errors.New("rolled back")

func (w *world) rehearse(name string, at time.Time) (r Rehearsal) {
	w.t.Helper()
	err := pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) (err error) {
		if r, err = w.store.Rehearse(w.t.Context(), tx, name, 2, at); err == nil {
			err = errRollback
		}
		return err
	})
	if !errors.Is(err, errRollback) {
		w.t.Fatal(err)
	}
	return r
}

// TestRehearse holds that a rehearsal tells what starting then does, and leaves
// nothing behind (no-surprise-blast).
func TestRehearse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	evening := noon.Add(10 * time.Hour) // 22:00 in London
	card := map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 20)}
	late := map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 3), "mrr": "500", "mrr_currency": "usd"}
	far := map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.June, 20), "country": "AU"}
	names := map[string]map[string]any{"card": card, "late": late, "far": far, "unlinked": card, "unread": card}
	ids := map[string]int64{}
	for _, name := range []string{"card", "late", "far", "unlinked", "unread"} {
		id := w.customer(name, names[name])
		ids[name] = id
		w.join(id, "carded", noon)
		if name != "unread" {
			w.link(id, "C"+name, evening)
		}
	}
	w.exec(`update dunlin.links set state = 'none', contact_id = null where customer_id = $1`, ids["unlinked"])
	w.campaign("c", onCard, `{name: nudge, at: -21 days, message: {channel: inapp, body: 'Hi {{ customer.name }}'}}`, `{name: mark, at: -21 days, tag: x}`,
		`{name: call, at: -5 days, if: mrr >= 200 usd, task: {title: t, body: b, team: billing, due: 1 day}}`)

	before := w.dump()
	r := w.rehearse("c", evening)
	if w.dump() != before || w.count(`select count(*) from dunlin.campaigns where state <> 'draft'`) != 0 || w.count(`select count(*) from dunlin.campaign_states`) != 0 {
		t.Error("a rehearsal left something behind")
	}
	want(t, "started", r.Start, Start{Campaign: "c", Version: 1, Members: 5, Enrolled: 5})
	want(t, "steps", r.Steps, []RehearsedStep{
		{Step: "nudge", Action: Message, Now: 3, Later: 1, Passed: 1, Due: []Outlook{{Wait, QuietNow, 2}, {Wait, NoContact, 1}}},
		{Step: "mark", Action: Tag, Now: 3, Later: 1, Passed: 1, Due: []Outlook{{Send, "", 2}, {Wait, NoContact, 1}}},
		{Step: "call", Action: Task, Now: 1, Month: 3, Later: 1, Due: []Outlook{{Send, "", 1}}},
	})
	if r.Decided != 7 || r.Unread != 2 || len(r.Sample) != 2 {
		t.Errorf("decided, unread and sample\n got %d, %d, %d\nwant 7, 2, 2", r.Decided, r.Unread, len(r.Sample))
	}
	if p := r.Sample[0]; p.Customer != "cus_card" || p.Account != "main" || p.Enrolled != nil || len(p.Steps) != 3 || p.Steps[0].Says[0].Body != "Hi card" || p.Steps[0].QuietTill == nil {
		t.Errorf("sample\n got %+v", p)
	}

	// In earnest it is so.
	want(t, "started", w.start("c", evening), r.Start)
	w.link(ids["unread"], "Cunread", evening)
	w.exec(`update dunlin.links set checked_at = $1`, evening)
	w.work(evening)
	want(t, "the first", w.settled(ids["card"]), []string{"call planned -", "mark sent -", "nudge planned quiet_hours"})
	want(t, "without a contact", w.settled(ids["unlinked"]), []string{"call planned -", "mark planned no_contact", "nudge planned no_contact"})
}

// TestRehearse_nobody holds that a campaign which passes over the members there
// are still shows what it would say.
func TestRehearse_nobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.join(id, "owing", noon)
	w.campaign("c", "segment: owing\nepisode: entry\nexisting: ignore", nudge)
	r := w.rehearse("c", noon)
	if r.Enrolled != 0 || r.Passed != 1 || r.Decided != 0 || len(r.Sample) != 1 || r.Sample[0].Customer != "cus_ann" || r.Sample[0].Enrolled != nil {
		t.Errorf("rehearsed\n got %+v\nwant one passed over, and shown", r)
	}
}
