package campaigns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// rota are settings in which billing has two owners, of whom each gets two tasks
// a day.
const rota = `kind: workspace
zone: UTC
currency: usd
intercom: {sender: admin:7}
teams: {billing: {id: "8202", owners: [admin:1, admin:2], cap: 2}}
`

// later keeps an enrollment under way after its task.
const later = `{name: later, at: 30 days, tag: x}`

// owed makes customers who owe so many dollars each, and enrolls them.
func (w *world) owed(at time.Time, amounts ...int) []int64 {
	w.t.Helper()
	var ids []int64
	for _, amount := range amounts {
		id := w.customer(fmt.Sprintf("owes%d", amount), map[string]any{"open_invoice_amount": fmt.Sprint(amount), "open_invoice_amount_currency": "usd"})
		w.join(id, "owing", at)
		w.link(id, fmt.Sprintf("C%d", id), at)
		ids = append(ids, id)
	}
	w.enroll(at)
	return ids
}

// task opens the task of a customer's newest enrollment, as a claim does, and
// calls its delivery sent.
func (w *world) task(id int64, at time.Time) int64 {
	w.t.Helper()
	k := w.key(id, "c", "call")
	var task int64
	w.tx(func(tx pgx.Tx) error {
		ctx := w.t.Context()
		settings, err := workspace.Load(ctx, tx)
		if err != nil {
			return err
		}
		picture, err := customers.Load(ctx, tx, customers.Ref{Account: k.Account, Customer: k.Customer})
		if err != nil {
			return err
		}
		d, err := w.store.definition(ctx, tx, settings, "c", 1)
		if err != nil {
			return err
		}
		step, _ := d.Step("call")
		x := &situated{picture: picture, Situation: Situation{Step: step, Settings: settings}}
		c := Claim{Key: k, Action: Task, Title: "Call", Body: "about the invoice"}
		if task, err = w.store.openTask(ctx, tx, x, c, at); err != nil {
			return err
		}
		again, err := w.store.openTask(ctx, tx, x, c, at)
		if again != task {
			w.t.Errorf("a second attempt\n got task %d\nwant %d", again, task)
		}
		return err
	})
	w.exec(`update dunlin.deliveries set state = 'sent', ended_at = $2, contact_id = 'C' || customer_id where customer_id = $1 and step = 'call' and state = 'planned'`, id, at)
	return task
}

// stands says how a task stands: state, why it is done, and its owner.
func (w *world) stands(task int64) string {
	w.t.Helper()
	var s string
	w.row(&s, `select concat_ws(' ', state, done_because, 'of ' || coalesce(owner::text, 'nobody')) from dunlin.tasks where task_id = $1`, task)
	return s
}

func TestTasks_list(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	ids := w.owed(noon, 49, 5)
	paying := w.customer("paying", map[string]any{"mrr": "300", "mrr_currency": "usd"})
	euro := w.customer("euro", map[string]any{"open_invoice_amount": "7", "open_invoice_amount_currency": "eur"})
	free := w.customer("free", nil)
	for _, x := range []int64{paying, euro, free} {
		w.join(x, "owing", noon)
	}
	w.enroll(noon)
	for _, x := range append(ids, paying, euro, free) {
		w.task(x, noon)
	}
	list := func(f TaskFilter) string {
		t.Helper()
		rows, err := Tasks(t.Context(), w.pool, f)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range rows {
			line := strings.TrimPrefix(r.StripeID, "cus_") + " " + r.Stands(f.Now)
			if r.Amount != nil {
				line += " " + *r.Amount + " " + *r.Currency
			}
			out = append(out, line)
		}
		return strings.Join(out, ", ")
	}
	want(t, "the most at risk first, by currency", list(TaskFilter{Now: noon}),
		"euro open 7 eur, paying open 300 usd, owes49 open 49 usd, owes5 open 5 usd, free open")
	want(t, "of another team", list(TaskFilter{Now: noon, Team: "renewals"}), "")
	want(t, "of an owner", list(TaskFilter{Now: noon, Owner: 5}), "")
	rows, err := Tasks(t.Context(), w.pool, TaskFilter{Now: noon, Team: "billing"})
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	want(t, "due in a working day", rows[0].DueAt.UTC(), noon.Add(day))

	ctx := t.Context()
	if err := SnoozeTask(ctx, w.pool, rows[1].ID, noon.Add(day)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{noon.Add(time.Minute), noon.Add(time.Hour)} { // done twice is done
		if err := DoneTask(ctx, w.pool, rows[0].ID, false, at); err != nil {
			t.Fatal(err)
		}
	}
	var doneAt time.Time
	w.row(&doneAt, `select done_at from dunlin.tasks where task_id = $1`, rows[0].ID)
	want(t, "done the first time", doneAt.UTC(), noon.Add(time.Minute))
	want(t, "open and awake", list(TaskFilter{Now: noon}), "owes49 open 49 usd, owes5 open 5 usd, free open")
	want(t, "late the day after", list(TaskFilter{Now: noon.Add(day + time.Second)}), "paying late 300 usd, owes49 late 49 usd, owes5 late 5 usd, free late")
	want(t, "all, what is done last", list(TaskFilter{Now: noon, All: true}),
		"paying snoozed 300 usd, owes49 open 49 usd, owes5 open 5 usd, free open, euro done 7 eur")
	for _, id := range []int64{rows[0].ID, rows[1].ID} {
		if err := ReopenTask(ctx, w.pool, id); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "opened again, and awake", list(TaskFilter{Now: noon}), "euro open 7 eur, paying open 300 usd, owes49 open 49 usd, owes5 open 5 usd, free open")
	for what, err := range map[string]error{
		"done nothing": DoneTask(ctx, w.pool, 99, false, noon), "snooze nothing": SnoozeTask(ctx, w.pool, 99, noon), "reopen nothing": ReopenTask(ctx, w.pool, 99),
	} {
		if !errors.Is(err, workspace.ErrNotFound) || !strings.Contains(err.Error(), "dunlin tasks") {
			t.Errorf("%s\n got %v", what, err)
		}
	}
}

// TestTasks_contacted holds one-budget: a task that was done by speaking to the
// customer counts for the person.
func TestTasks_contacted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("c", onEntry, call)
	w.start("c", noon)
	ids := w.owed(noon, 49, 5)
	a, b := w.task(ids[0], noon), w.task(ids[1], noon)
	w.exec(`update dunlin.deliveries set contact_id = null where customer_id = $1`, ids[1])
	for id, contacted := range map[int64]bool{a: false, b: true} {
		if err := DoneTask(t.Context(), w.pool, id, contacted, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	w.row(&got, `select string_agg(concat_ws(' ', contact_id, contacted_at at time zone 'UTC'), ', ' order by customer_id) from dunlin.deliveries`)
	want(t, "contacts", got, fmt.Sprintf("C%d, C%d 2026-03-02 13:00:00", ids[0], ids[1]))
	if err := DoneTask(t.Context(), w.pool, a, true, noon.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	want(t, "said later", w.stands(a), "done contacted of nobody")
}

// TestTasks_recovery: a task closes itself when the reason is gone, and the same
// task is open again when the customer is back within two weeks.
func TestTasks_recovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(rota)
	w.campaign("c", onEntry+"\nreenter_after: 1 day", call, later)
	w.start("c", noon)
	id := w.owed(noon, 49)[0]
	task := w.task(id, noon)
	want(t, "open", w.stands(task), "open of 1")
	w.exec(`update dunlin.tasks set ticket_id = 'T1'`)

	w.leave(id, "owing")
	w.enroll(noon.Add(time.Hour))
	want(t, "recovered", w.stands(task), "done left_segment of 1")
	var note string
	w.row(&note, `select note from dunlin.tasks where untold`)
	want(t, "what colleagues read", note, "Closed by Dunlin: left the segment.")

	back := noon.Add(3 * day)
	w.join(id, "owing", back)
	w.enroll(back)
	if again := w.task(id, back); again != task {
		t.Errorf("back within two weeks\n got task %d\nwant the former one, %d", again, task)
	}
	want(t, "relapsed", w.stands(task), "open of 1")
	w.row(&note, `select note from dunlin.tasks where untold`)
	want(t, "what colleagues read", note, "Open again: Call. about the invoice")
	w.tx(func(tx pgx.Tx) error {
		owner, ticket, err := keptTask(t.Context(), tx, task)
		want(t, "owner", owner, int64(1))
		want(t, "ticket", ticket, "T1")
		return err
	})

	// What somebody opened again stays open, whatever ended the enrollment.
	w.leave(id, "owing")
	w.enroll(back.Add(time.Hour))
	for range 2 {
		if _, err := w.store.CloseTasks(t.Context(), back.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := ReopenTask(t.Context(), w.pool, task); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "opened by hand", w.stands(task), "open of 1")
	if err := DoneTask(t.Context(), w.pool, task, false, back.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}

	// Much later it is another task.
	much := back.Add(30 * day)
	w.join(id, "owing", much)
	w.enroll(much)
	if other := w.task(id, much); other == task {
		t.Error("the former task of long ago is open again")
	}
}

// TestTasks_finish: an enrollment is under way until its last task is done.
func TestTasks_finish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("c", onEntry, call)
	w.start("c", noon)
	id := w.owed(noon, 49)[0]
	task := w.task(id, noon)
	episode := w.key(id, "c", "call").Episode
	w.tx(func(tx pgx.Tx) error { return finishAfter(t.Context(), tx, []int64{task}, noon) })
	want(t, "open", w.enrollments(id), []string{"c [" + episode + "] v1 active -"})
	if err := DoneTask(t.Context(), w.pool, task, false, noon); err != nil {
		t.Fatal(err)
	}
	want(t, "done", w.enrollments(id), []string{"c [" + episode + "] v1 finished -"})
}
