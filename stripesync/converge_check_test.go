package stripesync

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/sandbox"
)

// check compares the database with the sandbox. The comparison of the product's
// own comes last, because it repairs.
func (l *lived) check() {
	told := l.told()
	objects := l.known()
	mirror := l.mirrored()
	l.checkMirror(objects, mirror, told)
	l.checkEvents(told)
	l.checkCustomers(objects, mirror)
	l.checkHappenings(objects)
	l.checkProjection()
	l.checkCompare()
}

// checkAnswered: an event that was answered 2xx is stored, whoever was killed.
func (l *lived) checkAnswered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost []string
	err := l.pool.QueryRow(l.ctx(), `
		select coalesce(array_agg(id), '{}') from unnest($1::text[]) as a (id)
		where not exists (select from dunlin.stripe_events e where e.id = a.id)`, l.answered).Scan(&lost)
	if err != nil {
		l.t.Fatal(err)
	}
	l.report("the answers 2xx", len(l.answered), lost)
	l.answered = nil
}

// known is what the sandbox has, without the customers who were deleted before
// the first sync began: no list and no event tells of them, only what they paid.
func (l *lived) known() []sandbox.Object {
	since := l.since()
	lived := map[string]bool{}
	for _, r := range l.world.Residents() {
		for _, s := range r.History {
			switch {
			case !s.Deleted:
				lived[r.Customer] = true
			case s.At.Before(since):
				lived[r.Customer] = false
			}
		}
	}
	return slices.DeleteFunc(l.world.Objects(true), func(o sandbox.Object) bool {
		return o.Class == "customers" && o.Deleted && !lived[o.ID]
	})
}

// since is when the first sync began.
func (l *lived) since() (at time.Time) {
	if err := l.pool.QueryRow(l.ctx(), `select min(started_at) from dunlin.sync_runs`).Scan(&at); err != nil {
		l.t.Fatal(err)
	}
	return at
}

// mirrored reads every row of the mirror.
func (l *lived) mirrored() map[ref]held {
	out := map[ref]held{}
	for _, class := range classes {
		owner := "''"
		if class.owned() {
			owner = "customer"
		}
		rows, err := l.pool.Query(l.ctx(), `select `+owner+`, id, raw::text, as_of, deleted from `+class.table())
		if err != nil {
			l.t.Fatal(err)
		}
		r, h, raw := ref{class: class}, held{found: true}, ""
		_, err = pgx.ForEachRow(rows, []any{&r.customer, &r.id, &raw, &h.asOf, &h.deleted}, func() error {
			h.raw = []byte(raw)
			out[r] = h
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return out
}

// told is what the sandbox's list of events has since the first sync began, or for
// thirty days, by id.
func (l *lived) told() map[string]event {
	since := l.since()
	out := map[string]event{}
	for cursor, more := "", true; more; {
		r, err := http.NewRequestWithContext(l.ctx(), http.MethodGet, l.stripe.URL+"/v1/events?limit=100"+cursor, nil)
		if err != nil {
			l.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+sandbox.StripeKey)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			l.t.Fatal(err)
		}
		var body listBody
		err = json.NewDecoder(answer.Body).Decode(&body)
		_ = answer.Body.Close()
		if err != nil {
			l.t.Fatal(err)
		}
		for _, raw := range body.Data {
			e, err := readEvent(raw)
			if err != nil {
				l.t.Fatal(err)
			}
			if cursor = "&starting_after=" + e.ID; !e.Created.Before(since) {
				out[e.ID] = e
			}
		}
		more = body.HasMore
	}
	return out
}

// checkMirror: every object is in the mirror as Stripe has it, in one row, and
// nothing else is.
func (l *lived) checkMirror(objects []sandbox.Object, mirror map[ref]held, told map[string]event) {
	named := map[string]bool{} // payment methods that customers or subscriptions name, or an event was about
	for _, o := range objects {
		for _, n := range names(class(o.Class), o.Raw, o.Customer) {
			named[n.id] = true
		}
	}
	for _, e := range told {
		named[e.ObjectID] = true
	}
	var faults []string
	rest := maps.Clone(mirror)
	for _, o := range objects {
		r := ref{class(o.Class), o.Customer, o.ID}
		if r.class == customerClass || !r.class.owned() {
			r.customer = ""
		}
		h := mirror[r]
		delete(rest, r)
		switch {
		case !h.found && r.class == paymentMethodClass && !named[o.ID]:
			// No list shows it.
		case !h.found:
			faults = append(faults, fmt.Sprintf("%s %s of %s is not in the mirror", o.Class, o.ID, o.Customer))
		case r.class == paymentMethodClass && mirror[ref{class: customerClass, id: o.Customer}].deleted && !strings.HasPrefix(o.ID, "pm_"):
			// A legacy card cannot be read once its customer is deleted: who asks then finds it gone.
		case h.deleted != o.Deleted:
			faults = append(faults, fmt.Sprintf("%s %s of %s: deleted\n got %v\nwant %v", o.Class, o.ID, o.Customer, h.deleted, o.Deleted))
		case o.Deleted && r.class == customerClass:
			// The mirror has what it last was, which Stripe says no more.
		default:
			if got, want := l.tellable(r.class, h.raw), l.tellable(r.class, o.Raw); !reflect.DeepEqual(got, want) {
				faults = append(faults, fmt.Sprintf("%s %s of %s, as of %s (-got +want)\n%s", o.Class, o.ID, o.Customer, h.asOf, cmp.Diff(got, want)))
			}
		}
	}
	for r := range rest {
		faults = append(faults, fmt.Sprintf("%s %s of %q is in the mirror and not at Stripe", r.class, r.id, r.customer))
	}
	l.report("the mirror", len(objects), faults)
}

// tellable is an object without what changes untold, ids in place of what is
// expanded.
func (l *lived) tellable(of class, raw []byte) map[string]any {
	object, err := unexpanded(of, raw)
	if err != nil {
		l.t.Fatalf("%s: %v in %s", of, err, raw)
	}
	for _, field := range sandbox.Untold[string(of)] {
		delete(object, field)
	}
	return object
}

// checkEvents: every event about what we mirror is stored once and settled.
// Nothing else is settled here but what Stripe told.
func (l *lived) checkEvents(told map[string]event) {
	rows, err := l.pool.Query(l.ctx(), `select id, state, coalesce(fault, '') from dunlin.stripe_events`)
	if err != nil {
		l.t.Fatal(err)
	}
	var faults []string
	var id, state, fault string
	seen := map[string]bool{}
	_, err = pgx.ForEachRow(rows, []any{&id, &state, &fault}, func() error {
		if seen[id] {
			faults = append(faults, "event "+id+" is stored twice")
		}
		seen[id] = true
		if state == "stored" {
			faults = append(faults, "event "+id+" waits: "+fault)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	for id, e := range told {
		if e.Class != "" && !seen[id] {
			faults = append(faults, fmt.Sprintf("event %s %s of %s is not stored", id, e.Type, e.Created))
		}
	}
	l.report("the events", len(told), faults)
}

// checkCustomers: everybody is projected, with as many elements as the mirror has.
func (l *lived) checkCustomers(objects []sandbox.Object, mirror map[ref]held) {
	var faults []string
	want := map[string]int{}
	for r, h := range mirror {
		if mirror[ref{class: customerClass, id: r.customer}].found && !h.deleted {
			want[string(r.class)]++
		}
	}
	for _, table := range []string{"subscriptions", "invoices", "charges", "refunds", "disputes"} {
		var got int
		if err := l.pool.QueryRow(l.ctx(), `select count(*) from dunlin.`+table).Scan(&got); err != nil {
			l.t.Fatal(err)
		}
		if got != want[table] {
			faults = append(faults, fmt.Sprintf("%s\n got %d\nwant %d, as many as the mirror has", table, got, want[table]))
		}
	}
	rows, err := l.pool.Query(l.ctx(), `select stripe_id, deleted from dunlin.customers`)
	if err != nil {
		l.t.Fatal(err)
	}
	projected := map[string]bool{}
	var id string
	var deleted bool
	if _, err := pgx.ForEachRow(rows, []any{&id, &deleted}, func() error { projected[id] = deleted; return nil }); err != nil {
		l.t.Fatal(err)
	}
	for _, o := range objects {
		if o.Class != "customers" {
			continue
		}
		if got, known := projected[o.ID]; !known || got != o.Deleted {
			faults = append(faults, fmt.Sprintf("customer %s\n got projected=%v deleted=%v\nwant deleted=%v", o.ID, known, got, o.Deleted))
		}
		delete(projected, o.ID)
	}
	for id := range projected {
		faults = append(faults, "customer "+id+" is projected and not at Stripe")
	}
	l.report("the customers", len(objects), faults)
}

// checkHappenings: every event of a customer's that follows from what Stripe has
// is there, once. That a card is another one follows from what was known before.
func (l *lived) checkHappenings(objects []sandbox.Object) {
	want := map[string]int{}
	known := map[string]bool{}
	unpaid := map[string]bool{} // invoices for which a charge failed
	for _, o := range objects {
		known[o.ID] = o.Class == "customers"
	}
	type object struct {
		ID, Status, Invoice string
		Captured            bool
	}
	whole := map[string][]object{}
	for _, o := range objects {
		if !known[o.Customer] {
			continue
		}
		var x object
		if err := json.Unmarshal(o.Raw, &x); err != nil {
			continue // of a class whose fields are others
		}
		whole[o.Class] = append(whole[o.Class], x)
		if o.Class == "charges" && x.Captured && x.Status == "succeeded" {
			want["first_payment:"+o.Customer] = 1
		}
	}
	for _, c := range whole["charges"] {
		switch c.Status {
		case "succeeded":
			want["charged:"+c.ID] = 1
		case "failed":
			want["charge_failed:"+c.ID], unpaid[c.Invoice] = 1, true
		}
	}
	for _, i := range whole["invoices"] {
		want["invoice_created:"+i.ID] = 1
		if i.Status == "paid" && unpaid[i.ID] {
			want["payment_recovered:"+i.ID] = 1
		}
	}
	for _, r := range whole["refunds"] {
		want["charge_refunded:"+r.ID] = 1
	}
	for _, s := range whole["subscriptions"] {
		want["created_subscription:"+s.ID] = 1
		if s.Status == "canceled" {
			want["deleted_subscription:"+s.ID] = 1
		}
	}
	rows, err := l.pool.Query(l.ctx(), `select type || ':' || object, count(*) from dunlin.events where type <> 'card_updated' group by 1`)
	if err != nil {
		l.t.Fatal(err)
	}
	got := map[string]int{}
	var id string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { got[id] = n; return nil }); err != nil {
		l.t.Fatal(err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		l.t.Errorf("what happened to customers (-got +want)\n%s", diff)
	}
}

// checkProjection: projecting everybody again changes nothing.
func (l *lived) checkProjection() {
	p := l.processes[0]
	err := pgx.BeginFunc(l.ctx(), l.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(l.ctx(), `select stripe_id from dunlin.customers order by 1`)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(l.ctx(), `delete from dunlin.changed_customers`); err != nil {
			return err
		}
		changed, err := customers.Project(l.ctx(), tx, p.account, ids, l.world.Now())
		if err == nil && changed != 0 {
			rows, _ := tx.Query(l.ctx(), `select c.stripe_id || ' ' || n.attributes::text from dunlin.changed_customers n join dunlin.customers c using (account_id, customer_id)`)
			news, _ := pgx.CollectRows(rows, pgx.RowTo[string])
			l.report("the projection", len(ids), news)
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// checkCompare: the product's own comparison finds nothing.
func (l *lived) checkCompare() {
	found, err := l.processes[0].Compare(l.ctx())
	if err != nil {
		l.t.Fatal(err)
	}
	var faults []string
	compared := 0
	for _, c := range found {
		if compared += c.Compared; c.Differed > 0 {
			faults = append(faults, fmt.Sprintf("%+v", c))
		}
	}
	if compared == 0 {
		l.t.Error("Compare compared nothing")
	}
	l.report("Compare", compared, faults)
}

// report fails with the first few faults.
func (l *lived) report(what string, of int, faults []string) {
	l.t.Helper()
	slices.Sort(faults)
	if n := len(faults); n > 0 {
		l.t.Errorf("%s: %d faults among %d, such as\n%s", what, n, of, strings.Join(faults[:min(n, 8)], "\n"))
	}
}
