package jobs

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/workspace"
)

// newImport is a world of n customers with the import switched on.
func newImport(t *testing.T, n int, faults func(*http.Request) sandbox.Fault) *world {
	t.Helper()
	w := newWorld(t, aTag, faults)
	w.switchImport(true)
	w.owing(n)
	return w
}

func (w *world) switchImport(on bool) {
	w.t.Helper()
	w.save(fmt.Sprintf("kind: workspace\nzone: UTC\ncurrency: usd\nintercom: {sender: admin:1, import: %t}\n", on),
		func(tx pgx.Tx, d workspace.Document) error {
			_, err := workspace.Save(w.t.Context(), tx, d, noon)
			return err
		})
}

// importRound works as a job would, whether or not the pause is over.
func (w *world) importRound() error {
	w.t.Helper()
	w.exec(`update dunlin.imports set next_at = null`)
	return (&importWorker{Config: w.Config}).Work(w.t.Context(), &river.Job[ImportArgs]{})
}

// imported is what Intercom accepted since the last time, in no order.
func (w *world) imported(from *int) []string {
	all := w.intercom.Accepted()
	var out []string
	for _, a := range all[*from:] {
		out = append(out, strings.Join([]string{a.Kind, a.Contact[18:], strings.NewReplacer("\n", ", ", "<nil>", "").Replace(a.Text)}, " "))
	}
	*from = len(all)
	slices.Sort(out)
	return out
}

func (w *world) happened(customer int, kind, object string, at time.Time, amount any) {
	w.t.Helper()
	w.exec(`
		insert into dunlin.events (account_id, customer_id, id, created_at, type, object, amount, amount_currency)
		select account_id, customer_id, $2 || ':' || $3, $4, $2, $3, $5, case when $5::numeric is not null then 'usd' end
		from dunlin.customers where stripe_id = $1`, fmt.Sprintf("cus_ann%d", customer), kind, object, at, amount)
}

func TestImport_WritesWhatChanged(t *testing.T) {
	t.Parallel()
	w := newImport(t, 2, nil)
	w.exec(`update dunlin.customers set plan = 'Pro', plan_price = 49.90, plan_price_currency = 'usd', plan_interval = 'month', plan_interval_count = 1,
		subscription_status = 'active', card_brand = 'Visa', card_expires_at = '2026-07-31', last_charge_at = '2026-02-01T00:00:05Z' where stripe_id = 'cus_ann0'`)
	from := 0
	round := func(what string, want ...string) {
		t.Helper()
		if err := w.importRound(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, w.imported(&from)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	const others = "stripe_account_balance: , stripe_card_brand: , stripe_card_expires_at: , stripe_deleted: false, stripe_delinquent: true, stripe_id: cus_ann1, stripe_last_charge_amount: , stripe_last_charge_at: , stripe_plan: , stripe_plan_interval: , stripe_plan_interval_count: , stripe_plan_price: , stripe_subscription_period_start_at: , stripe_subscription_status: "
	round("at first",
		"attributes abc000 stripe_account_balance: , stripe_card_brand: Visa, stripe_card_expires_at: 1785456000, stripe_deleted: false, stripe_delinquent: true, stripe_id: cus_ann0, stripe_last_charge_amount: , stripe_last_charge_at: 1769904005, stripe_plan: Pro, stripe_plan_interval: month, stripe_plan_interval_count: 1, stripe_plan_price: 49.9, stripe_subscription_period_start_at: , stripe_subscription_status: active",
		"attributes abc001 "+others)
	round("nothing changed")

	// A picture that is projected again, with nothing in it that is imported.
	w.exec(`update dunlin.customers set mrr = 5, mrr_currency = 'usd', projected_at = $1`, noon.Add(time.Minute))
	round("nothing changed that is imported")

	w.exec(`update dunlin.customers set delinquent = false, projected_at = $1 where stripe_id = 'cus_ann1'`, noon.Add(time.Hour))
	round("one changed", "attributes abc001 "+strings.Replace(others, "delinquent: true", "delinquent: false", 1))

	w.switchImport(false)
	w.exec(`update dunlin.customers set delinquent = true, projected_at = $1 where stripe_id = 'cus_ann1'`, noon.Add(2*time.Hour))
	round("switched off")
	w.switchImport(true)
	w.exec(`update dunlin.customers set deleted = true, projected_at = $1 where stripe_id = 'cus_ann0'`, noon.Add(3*time.Hour))
	if err := w.importRound(); err != nil {
		t.Fatal(err)
	}
	if got := w.imported(&from); len(got) != 2 || !strings.Contains(got[0], "stripe_deleted: true") {
		t.Errorf("switched on again\n got %q", got)
	}
}

// Two customers are one contact: it carries the one who pays, whoever comes first.
func TestImport_OneOfSeveralCustomers(t *testing.T) {
	t.Parallel()
	w := newImport(t, 1, nil)
	w.exec(`insert into dunlin.customers (account_id, stripe_id, email, projected_at, subscription_status)
		values ($1, 'cus_old', 'ANN0@example.com', $2, 'canceled'), ($1, 'cus_pays', 'ann0@example.com', $2, 'active')`, w.account, noon)
	from := 0
	for range 2 {
		if err := w.importRound(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.imported(&from); len(got) != 1 || !strings.Contains(got[0], "stripe_id: cus_pays") {
		t.Errorf("written\n got %q\nwant cus_pays, once", got)
	}
	w.exec(`update dunlin.customers set deleted = true, projected_at = $1 where stripe_id = 'cus_pays'`, noon.Add(time.Minute))
	for range 2 {
		if err := w.importRound(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.imported(&from); len(got) != 1 || !strings.Contains(got[0], "stripe_id: cus_old") {
		t.Errorf("after it was deleted\n got %q\nwant cus_old, once", got)
	}
}

func TestImport_SendsEventsOnce(t *testing.T) {
	t.Parallel()
	w := newImport(t, 2, nil)
	at := noon
	w.Now = func() time.Time { return at }
	w.happened(0, "charged", "ch_before", noon.Add(-time.Second), 10)
	w.happened(0, "charge_failed", "ch_1", noon, "49.90")
	w.happened(0, "payment_recovered", "in_1", noon, 10) // none of Intercom's
	w.happened(0, "created_subscription", "sub_later", noon.Add(time.Hour), nil)
	from := 0
	events := func() []string {
		t.Helper()
		if err := w.importRound(); err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(w.imported(&from), func(s string) bool { return !strings.HasPrefix(s, "event") })
	}
	want := []string{"event abc000 charge_failed, amount: 4990 usd, stripe_object: ch_1"}
	if diff := cmp.Diff(want, events()); diff != "" {
		t.Errorf("at first (-want +got)\n%s", diff)
	}
	if got := events(); len(got) != 0 {
		t.Errorf("again: %q", got)
	}

	at = noon.Add(2 * time.Hour)
	w.happened(1, "deleted_subscription", "sub_2", noon.Add(time.Minute), nil) // came late
	want = []string{"event abc000 created_subscription, stripe_object: sub_later", "event abc001 deleted_subscription, stripe_object: sub_2"}
	if diff := cmp.Diff(want, events()); diff != "" {
		t.Errorf("later (-want +got)\n%s", diff)
	}

	at = noon.Add(8 * 24 * time.Hour)
	w.happened(1, "charged", "ch_old", noon.Add(time.Hour), 1)
	if got := events(); len(got) != 0 {
		t.Errorf("what is a week old was sent: %q", got)
	}
}

// Intercom takes events of one contact, name and second for one; invoices of
// several subscriptions are made in one second.
func TestImport_EventsOfOneSecond(t *testing.T) {
	t.Parallel()
	w := newImport(t, 2, nil)
	at := noon
	w.Now = func() time.Time { return at }
	from := 0
	events := func() (out []string) {
		t.Helper()
		if err := w.importRound(); err != nil {
			t.Fatal(err)
		}
		for _, a := range w.intercom.Accepted()[from:] {
			if a.Kind == "event" {
				_, object, _ := strings.Cut(a.Text, "stripe_object: ")
				out = append(out, fmt.Sprintf("%s, again: %t", object, a.Again))
			}
		}
		from = len(w.intercom.Accepted())
		slices.Sort(out)
		return out
	}
	if got := events(); len(got) != 0 {
		t.Errorf("when it was switched on: %q", got)
	}
	at = noon.Add(2 * time.Second)
	w.happened(0, "invoice_created", "in_0", noon.Add(-time.Second), nil) // before that
	w.happened(0, "invoice_created", "in_1", noon, nil)
	w.happened(0, "charged", "ch_1", noon, nil)
	w.happened(0, "invoice_created", "in_2", noon.Add(time.Millisecond), nil)
	w.happened(0, "invoice_created", "in_3", noon.Add(time.Second), nil)
	w.happened(1, "invoice_created", "in_4", noon, nil)
	w.happened(0, "invoice_created", "in_5", noon.Add(2*time.Second), nil)
	if diff := cmp.Diff([]string{"ch_1, again: false", "in_1, again: false", "in_2, again: false", "in_3, again: false", "in_4, again: false"}, events()); diff != "" {
		t.Errorf("sent (-want +got)\n%s", diff)
	}
	if got := events(); len(got) != 0 {
		t.Errorf("ahead of its time: %q", got)
	}
	at = at.Add(time.Second)
	if diff := cmp.Diff([]string{"in_5, again: false"}, events()); diff != "" {
		t.Errorf("a second later (-want +got)\n%s", diff)
	}
}

// A round that breaks off goes on where it was, and does nothing twice.
func TestImport_GoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	w := newImport(t, 1, func(r *http.Request) sandbox.Fault {
		if broken.Load() && r.Method == http.MethodPut {
			return sandbox.Fault{Kind: sandbox.FaultStatus, Status: http.StatusForbidden}
		}
		return sandbox.Fault{}
	})
	if err := w.importRound(); err == nil {
		t.Error("a refusal that concerns everybody is no error")
	}
	if stopped := workspace.Stop(t.Context(), w.Pool, noon); stopped != nil {
		t.Fatal(stopped)
	}
	broken.Store(false)
	from := 0
	if err := w.importRound(); err != nil || len(w.imported(&from)) != 0 {
		t.Errorf("while Dunlin is stopped: %v", err)
	}
	if _, err := workspace.Resume(t.Context(), w.Pool, noon); err != nil {
		t.Fatal(err)
	}
	if err := w.importRound(); err != nil {
		t.Fatal(err)
	}
	if got := w.imported(&from); len(got) != 1 {
		t.Errorf("afterwards\n got %q\nwant one", got)
	}
}

// A contact that is gone is looked for again, and its successor written.
func TestImport_FollowsTheContact(t *testing.T) {
	t.Parallel()
	w := newImport(t, 1, nil)
	from := 0
	if err := w.importRound(); err != nil {
		t.Fatal(err)
	}
	w.imported(&from)
	w.intercom.AddContact(sandbox.Contact{ID: w.contact(7), Email: "ann0@example.com", Role: "user"})
	w.intercom.Archive(w.contact(0))
	w.exec(`update dunlin.customers set delinquent = false, projected_at = $1`, noon.Add(time.Minute))
	for range 2 {
		if err := w.importRound(); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.imported(&from); len(got) != 1 || !strings.HasPrefix(got[0], "attributes abc007") {
		t.Errorf("written\n got %q", got)
	}
}

// While there are test contacts, nobody else is written to.
func TestImport_KeepsToTestContacts(t *testing.T) {
	t.Parallel()
	w := newImport(t, 3, nil)
	w.save("kind: workspace\nzone: UTC\ncurrency: usd\ntest_contacts: [Ann1@example.com, "+w.contact(2)+"]\nintercom: {sender: admin:1, import: true}\n",
		func(tx pgx.Tx, d workspace.Document) error {
			_, err := workspace.Save(t.Context(), tx, d, noon)
			return err
		})
	for i := range 3 {
		w.happened(i, "charged", fmt.Sprintf("ch_%d", i), noon, nil)
	}
	if err := w.importRound(); err != nil {
		t.Fatal(err)
	}
	var got []string
	from := 0
	for _, s := range w.imported(&from) {
		got = append(got, strings.Join(strings.Fields(s)[:2], " "))
	}
	want := []string{"attributes abc001", "attributes abc002", "event abc001", "event abc002"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("written (-want +got)\n%s", diff)
	}
}

// Intercom does not tell a lead's events apart: one whose answer was lost is not
// sent again, and a user's is.
func TestImport_SendsALeadsEventAtMostOnce(t *testing.T) {
	t.Parallel()
	var lost atomic.Bool
	lost.Store(true)
	w := newImport(t, 1, func(r *http.Request) sandbox.Fault {
		if lost.Load() && r.URL.Path == "/events" {
			return sandbox.Fault{Kind: sandbox.FaultReset, Process: true}
		}
		return sandbox.Fault{}
	})
	w.exec(`insert into dunlin.customers (account_id, stripe_id, email, projected_at) values ($1, 'cus_ann1', 'lead@example.com', $2)`, w.account, noon)
	w.intercom.AddContact(sandbox.Contact{ID: w.contact(1), Email: "lead@example.com", Role: "lead"})
	w.happened(1, "charged", "ch_lead", noon, nil)
	if err := w.importRound(); err == nil {
		t.Error("a lost answer is no error")
	}
	lost.Store(false)
	w.happened(0, "charged", "ch_user", noon, nil)
	for range 2 {
		if err := w.importRound(); err != nil {
			t.Fatal(err)
		}
	}
	from := 0
	events := slices.DeleteFunc(w.imported(&from), func(s string) bool { return !strings.HasPrefix(s, "event") })
	if diff := cmp.Diff([]string{"event abc000 charged, stripe_object: ch_user", "event abc001 charged, stripe_object: ch_lead"}, events); diff != "" {
		t.Errorf("sent (-want +got)\n%s", diff)
	}
}

// Somebody who has a round keeps it, until the lease ends; a round that is done
// pauses.
func TestTakeImport(t *testing.T) {
	t.Parallel()
	w := newImport(t, 0, nil)
	take := func(want bool) intercom.ImportRound {
		t.Helper()
		r, ok, err := intercom.TakeImport(t.Context(), w.Pool, noon)
		if err != nil || ok != want {
			t.Errorf("taken: %t, %v, want %t", ok, err, want)
		}
		return r
	}
	first := take(true)
	take(false)
	first.After, first.EventAt, first.AtEvents = intercom.Ref{Account: 1, Customer: 7}, noon, true
	if err := intercom.SaveImport(t.Context(), w.Pool, first); err != nil {
		t.Fatal(err)
	}
	take(false)
	w.exec(`update dunlin.imports set leased_until = clock_timestamp() - interval '1 second'`)
	if got := take(true); got.After != first.After || !got.AtEvents || !got.EventAt.Equal(noon) || !got.Since.Equal(noon) {
		t.Errorf("goes on at %+v", got)
	}
	if err := intercom.LeaveImport(t.Context(), w.Pool, first); err != nil {
		t.Fatal(err)
	}
	take(true)
	if err := intercom.FinishImport(t.Context(), w.Pool, time.Hour); err != nil {
		t.Fatal(err)
	}
	take(false)
	w.exec(`update dunlin.imports set next_at = clock_timestamp()`)
	if got := take(true); got.After != (intercom.Ref{}) || got.AtEvents || !got.EventAt.IsZero() {
		t.Errorf("the next round begins at %+v", got)
	}
}

func TestReadyImport_SaysWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := newImport(t, 0, nil)
	if _, err := intercom.AttributesNamed(t.Context(), w.Intercom, w.Pool, []string{"stripe_plan_price"}, noon); err != nil {
		t.Fatal(err)
	}
	writable, trouble, err := intercom.ReadyImport(t.Context(), w.Intercom)
	if err != nil || len(writable) != 13 || len(trouble) != 1 || !strings.Contains(trouble[0], `"stripe_plan_price" is of type string`) {
		t.Errorf("%d writable, trouble %q, %v", len(writable), trouble, err)
	}
}
