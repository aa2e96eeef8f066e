package stripesync

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/migrations"
)

// Migration 0010 lets accounts that were synced before there was catch-up read
// events from where their lists were last read, although they are projected again
// meanwhile; and a sync that was broken off reads refunds and disputes, too.
func TestUpgrade_feed(t *testing.T) {
	t.Parallel()
	text, err := migrations.Files.ReadFile("0010_feed.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, accounts, _ := strings.Cut(string(text), "-- Accounts that were synced before catch-up")
	accounts, _, _ = strings.Cut(accounts, "-- A list is read in parts")
	_, broken, ok := strings.Cut(string(text), "-- A sync that was broken off")
	broken, _, _ = strings.Cut(broken, "-- GETs sent")
	if !ok || !strings.Contains(accounts, "update") {
		t.Fatal("0010_feed.sql has no such parts")
	}

	w := newWorld(t)
	merchant(w.stripe, 3)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.clock.add(40 * time.Hour)
	upgrade(t, w) // which leaves a run of the projection alone
	w.exec(`update dunlin.sync_runs set started_at = $1 where finished_at is null`, w.clock.Now())
	w.exec(`insert into dunlin.accounts (name, created_at) values ('broken off', $1), ('new', $1)`, noon)
	w.exec(`insert into dunlin.sync_runs (account_id, started_at) select account_id, $1 from dunlin.accounts where name = 'broken off'`, noon)
	w.exec(`insert into dunlin.sync_progress (account_id, run_id, class) select account_id, run_id, 'charges' from dunlin.sync_runs join dunlin.accounts using (account_id) where name = 'broken off'`)
	w.exec(`update dunlin.accounts set feed_until = null`)
	w.exec("--" + accounts)
	w.exec("--" + broken)

	if n := w.one(`select count(*) from dunlin.accounts where feed_until is not null`); n != 1 {
		t.Errorf("accounts with a feed\n got %d\nwant the one that was synced", n)
	}
	if feed, err := w.Feed(t.Context()); err != nil || !feed.Until.Equal(noon) {
		t.Errorf("known until\n got %s %v\nwant the start of the last sync, %s", feed.Until, err, noon)
	}
	if n := w.one(`select count(*) from dunlin.sync_progress join dunlin.accounts using (account_id) where class in ('refunds', 'disputes') and sync_progress.finished_at is null and name = 'broken off'`); n != 2 {
		t.Errorf("lists that the broken sync reads besides\n got %d\nwant refunds and disputes", n)
	}
	if n := w.one(`select count(*) from dunlin.sync_progress where class in ('refunds', 'disputes') and account_id = $1`, w.account); n != 2 {
		t.Errorf("refunds and disputes of the finished sync\n got %d parts\nwant 2: none is added", n)
	}
	w.happened("evt_1", "customer.created", noon.Add(time.Hour), `{"id":"cus_new","object":"customer"}`)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if caught := w.catchUp(); caught.Lost != 1 {
		t.Errorf("CatchUp after the projection\n got %+v\nwant the event that happened since the sync", caught)
	}
}

// Migration 0024 finds the charges of the events that wait, whatever else they say.
func TestUpgrade_newsOfCharges(t *testing.T) {
	t.Parallel()
	text, err := migrations.Files.ReadFile("0024_news_of_charges.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, update, _ := strings.Cut(string(text), "-- Of those that wait")
	update, _, ok := strings.Cut(update, "create index")
	if !ok {
		t.Fatal("0024_news_of_charges.sql has no such part")
	}
	w := syncedWorld(t)
	w.tell("evt_1", "charge.succeeded", noon, `{"id":"ch_1","object":"charge","customer":"cus_1"}`)
	w.apply()
	w.tell("evt_2", "charge.dispute.created", noon, `{"id":"dp_1","object":"dispute","charge": "ch_1","evidence":"\u0000 \ud800"}`)
	w.tell("evt_3", "charge.dispute.created", noon, `{"id":"dp_2","object":"dispute","charge":null}`)
	w.exec(`update dunlin.stripe_events set charge = null`)
	w.exec("--" + update)
	if waits, err := unapplied(w, "cus_1"); err != nil || !waits {
		t.Errorf("cus_1 has an unapplied event\n got %v %v\nwant true", waits, err)
	}
	if n := w.one(`select count(*) from dunlin.stripe_events where charge is not null`); n != 1 {
		t.Errorf("events with a charge\n got %d\nwant 1", n)
	}
}
