package campaigns

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/workspace"
)

func TestAssign(t *testing.T) {
	t.Parallel()
	early, late := noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	for _, tt := range []struct {
		name   string
		loads  []load
		atMost int
		former int64
		want   int64
	}{
		{"nobody", nil, 0, 0, 0},
		{"the first of equals", []load{{Owner: 3}, {Owner: 1}, {Owner: 2}}, 0, 0, 3},
		{"the fewest today", []load{{Owner: 1, Today: 2}, {Owner: 2, Today: 1, Open: 9}}, 0, 0, 2},
		{"then the fewest open", []load{{Owner: 1, Today: 1, Open: 2, Last: early}, {Owner: 2, Today: 1, Open: 1, Last: late}}, 0, 0, 2},
		{"then who waited longest", []load{{Owner: 1, Last: late}, {Owner: 2, Last: early}}, 0, 0, 2},
		{"who never had one before all", []load{{Owner: 1, Last: early}, {Owner: 2}}, 0, 0, 2},
		{"who had the customer before", []load{{Owner: 1, Today: 9, Open: 9}, {Owner: 2}}, 0, 1, 1},
		{"who is of the team no more", []load{{Owner: 1}, {Owner: 2}}, 0, 7, 1},
		{"who had the customer before has enough", []load{{Owner: 1, Today: 2}, {Owner: 2, Today: 1}}, 2, 1, 2},
		{"all have enough", []load{{Owner: 1, Today: 2}, {Owner: 2, Today: 3}}, 2, 1, 0},
		{"what is open does not count in the cap", []load{{Owner: 1, Today: 1, Open: 50}}, 2, 0, 1},
	} {
		if got := assign(tt.loads, tt.atMost, tt.former); got != tt.want {
			t.Errorf("%s\n got %d\nwant %d", tt.name, got, tt.want)
		}
	}
}

// queue says who owns the tasks, by money at risk, the most first; "-" waits.
func (w *world) queue() string {
	w.t.Helper()
	var s string
	w.row(&s, `select string_agg(concat_ws(':', money_at_risk::text, coalesce(owner::text, '-')), ' ' order by money_at_risk desc) from dunlin.tasks`)
	return s
}

func (w *world) handOut(at time.Time) int {
	w.t.Helper()
	n, err := w.store.HandOut(w.t.Context(), at)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestHandOut: above the cap of a day tasks wait, and go the next working day to
// whoever has room, the most money first.
func TestHandOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(rota)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	friday := noon.Add(4 * day)
	for _, id := range w.owed(friday, 10, 20, 30, 40, 70, 60, 50) {
		w.task(id, friday)
	}
	want(t, "two each, in the order they came", w.queue(), "70:- 60:- 50:- 40:2 30:1 20:2 10:1")
	want(t, "no more today", w.handOut(friday.Add(time.Hour)), 0)
	want(t, "nor on a Saturday", w.handOut(friday.Add(day)), 0)
	saturday := w.owed(friday.Add(day), 80)[0]
	w.task(saturday, friday.Add(day))
	want(t, "on Monday", w.handOut(friday.Add(3*day)), 4)
	want(t, "the most money first", w.queue(), "80:1 70:2 60:1 50:2 40:2 30:1 20:2 10:1")

	// What somebody has put back at Intercom is not handed out again.
	w.exec(`update dunlin.tasks set owner = null where money_at_risk = 80`)
	want(t, "put back", w.handOut(friday.Add(4*day)), 0)
}

// TestHandOut_currencies holds honest-money: the first of each currency go before
// the second ones, however the numbers compare.
func TestHandOut_currencies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings("kind: workspace\nzone: UTC\ncurrency: usd\nintercom: {sender: admin:7}\nteams: {billing: {owners: admin:1, cap: 2}}\n")
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	sunday := noon.Add(-day)
	for i, amount := range []string{"9 usd", "8 usd", "5000 jpy"} {
		var n, currency string
		fmt.Sscan(amount, &n, &currency)
		id := w.customer(fmt.Sprint("x", i), map[string]any{"open_invoice_amount": n, "open_invoice_amount_currency": currency})
		w.join(id, "owing", sunday)
		w.enroll(sunday)
		w.task(id, sunday)
	}
	want(t, "given", w.handOut(noon), 2)
	want(t, "one of each", w.queue(), "5000:1 9:1 8:-")
}

// TestHandOut_atOnce: several who assign at the same time do not exceed the cap.
func TestHandOut_atOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(rota)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	for _, id := range w.owed(noon.Add(-day), 1, 2, 3, 4, 5, 6, 7, 8) {
		w.task(id, noon.Add(-day))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := w.store.HandOut(context.WithoutCancel(t.Context()), noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want(t, "two each", w.queue(), "8:1 7:2 6:1 5:2 4:- 3:- 2:- 1:-")
}

// TestOwner_sticky: who had a customer's task gets the next one.
func TestOwner_sticky(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(rota)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	ids := w.owed(noon, 10, 20, 30)
	w.task(ids[0], noon)
	w.tx(func(tx pgx.Tx) error {
		settings := team(workspaceOf(t, rota), "billing")
		owner, err := w.store.ownerFor(t.Context(), tx, settings, "billing", Key{Account: w.account, Customer: ids[0]}, noon)
		if err != nil || owner == nil || *owner != 1 {
			t.Errorf("the same customer\n got %v (%v)\nwant 1", owner, err)
		}
		owner, err = w.store.ownerFor(t.Context(), tx, settings, "billing", Key{Account: w.account, Customer: ids[1]}, noon)
		if err != nil || owner == nil || *owner != 2 {
			t.Errorf("another customer\n got %v (%v)\nwant 2", owner, err)
		}
		return nil
	})
}

func workspaceOf(t *testing.T, source string) workspace.Settings {
	t.Helper()
	s, faults := workspace.ParseSettings(document(t, source))
	if len(faults) > 0 {
		t.Fatal(faults.Explain())
	}
	return s
}

// TestHandOut_beforeRows: whoever assigns tasks waits for the others before it
// holds any task, so that a claim which opens one again does not wait in a ring
// with it.
func TestHandOut_beforeRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(rota)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	sunday := noon.Add(-day)
	task := w.task(w.owed(sunday, 10)[0], sunday) // it waits for Monday
	handedOut := make(chan error, 1)
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		if err := assigning(t.Context(), tx); err != nil {
			return err
		}
		go func() {
			_, err := w.store.HandOut(context.WithoutCancel(t.Context()), noon)
			handedOut <- err
		}()
		look := time.NewTicker(5 * time.Millisecond)
		defer look.Stop()
		for waits := false; !waits; {
			<-look.C
			w.row(&waits, `
				select exists (select from pg_locks where locktype = 'advisory' and not granted
				                 and database = (select oid from pg_database where datname = current_database()))`)
		}
		_, err := tx.Exec(t.Context(), `update dunlin.tasks set owner = 2, assigned_at = $2 where task_id = $1`, task, noon)
		return err
	})
	if err != nil {
		t.Errorf("a claim: %v", err)
	}
	if err := <-handedOut; err != nil {
		t.Errorf("handing out: %v", err)
	}
	want(t, "assigned by the claim", w.queue(), "10:2")
}
