package campaigns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

func (w *world) ref(id int64) customers.Ref { return customers.Ref{Account: w.account, Customer: id} }

func (w *world) hold(id int64, kind HoldKind, until, at time.Time) SetHold {
	w.t.Helper()
	var set SetHold
	w.tx(func(tx pgx.Tx) (err error) {
		set, err = NewHold{Ref: w.ref(id), Kind: kind, Reason: "said so on the phone", By: "ann", Until: until}.Set(w.t.Context(), tx, at)
		return err
	})
	return set
}

func (w *world) dispute(id int64, name, status string) {
	w.t.Helper()
	w.exec(`
		insert into dunlin.disputes (account_id, customer_id, id, created_at, status) values ($1, $2, $3, $4, $5)
		on conflict (account_id, customer_id, id) do update set status = excluded.status`, w.account, id, name, noon, status)
}

// held are the holds of a customer, from noon.
func (w *world) held(id int64, at time.Time) []string {
	w.t.Helper()
	found, err := holdsAmong(w.t.Context(), w.pool, []customers.Ref{w.ref(id)}, at)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, h := range found[w.ref(id)] {
		until := "lifted"
		if !h.Until.IsZero() {
			until = h.Until.Sub(noon).String()
		}
		out = append(out, fmt.Sprintf("%s until %s", h.Reason, until))
	}
	return out
}

func (w *world) wantHeld(what string, id int64, at time.Time, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.held(id, at)); diff != "" {
		w.t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestHoldsAmong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bea, her, dan := w.customer("ann", nil), w.customer("bea", nil), w.customer("bea2", nil), w.customer("dan", nil)
	w.link(ann, "c1", noon)
	w.link(bea, "c2", noon)
	w.link(her, "c2", noon) // the same person as bea

	w.wantHeld("nothing said", ann, noon)
	w.hold(ann, HoldManual, noon.Add(day), noon)
	w.wantHeld("a manual hold", ann, noon.Add(day-1), "on_hold until 24h0m0s")
	w.wantHeld("at its end", ann, noon.Add(day))
	w.wantHeld("another person", bea, noon)

	if got := w.hold(bea, HoldPromise, noon.Add(5*day), noon); got.Others != 1 {
		t.Errorf("a hold of one of two customers of a person\n got %d others\nwant 1", got.Others)
	}
	w.hold(bea, HoldManual, time.Time{}, noon)
	both := []string{"on_hold until lifted", "promise_to_pay until 120h0m0s"}
	w.wantHeld("both kinds", bea, noon, both...)
	w.wantHeld("the same person's other customer", her, noon, both...)

	if got := w.hold(dan, HoldManual, time.Time{}, noon); got.Others != 0 {
		t.Errorf("a customer without a link\n got %d others\nwant none", got.Others)
	}
	w.wantHeld("a customer without a link", dan, noon, "on_hold until lifted")

	for _, status := range []string{"warning_needs_response", "warning_under_review", "needs_response", "under_review", "won", "lost", "warning_closed", "prevented"} {
		w.dispute(her, "dp_1", status)
		want := both
		if strings.HasSuffix(status, "response") || strings.HasSuffix(status, "review") {
			want = []string{"dispute_open until lifted", both[0], both[1]}
		}
		w.wantHeld("a dispute that is "+status, her, noon, want...)
		w.wantHeld("a dispute of another customer of the person", bea, noon, both...)
	}

	// All at once is the same as one by one.
	w.dispute(ann, "dp_1", "needs_response")
	w.dispute(ann, "dp_2", "under_review")
	refs := []customers.Ref{w.ref(dan), w.ref(ann), w.ref(her), w.ref(bea), w.ref(ann)}
	all, err := holdsAmong(t.Context(), w.pool, refs, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refs {
		alone, err := holdsAmong(t.Context(), w.pool, []customers.Ref{r}, noon)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(alone[r], all[r]); diff != "" || len(all[r]) == 0 {
			t.Errorf("customer %d among others (-alone +among)\n%s", r.Customer, diff)
		}
	}
	if none, err := holdsAmong(t.Context(), w.pool, nil, noon); err != nil || len(none) != 0 {
		t.Errorf("nobody\n got %v, %v\nwant nothing", none, err)
	}
}

// TestHold_promise holds that the newest promise counts, and that manual holds
// stand beside each other.
func TestHold_promise(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.customer("ann", nil)
	w.hold(ann, HoldPromise, noon.Add(9*day), noon)
	w.hold(ann, HoldPromise, noon.Add(2*day), noon.Add(time.Hour))
	w.wantHeld("a promise for an earlier day", ann, noon.Add(time.Hour), "promise_to_pay until 48h0m0s")
	w.hold(ann, HoldManual, noon.Add(3*day), noon)
	w.hold(ann, HoldManual, noon.Add(1*day), noon)
	w.wantHeld("two manual holds", ann, noon, "on_hold until 24h0m0s", "on_hold until 72h0m0s", "promise_to_pay until 48h0m0s")
	w.wantHeld("a broken promise is over", ann, noon.Add(2*day), "on_hold until 72h0m0s")
}

// TestHold_lift holds that what waited for a hold is decided afresh when it is
// lifted or gets shorter, for all customers of the person and for nobody else
// (nothing-lost).
func TestHold_lift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, her, bea := w.customer("ann", nil), w.customer("ann2", nil), w.customer("bea", nil)
	w.link(ann, "c1", noon)
	w.link(her, "c1", noon)
	w.link(bea, "c2", noon)
	for _, id := range []int64{ann, her, bea} {
		w.join(id, "owing", noon)
	}
	w.campaign("dun", onEntry, nudge, call, mark)
	w.start("dun", noon)
	waiting := func() {
		w.t.Helper()
		w.exec(`update dunlin.deliveries set reason = case step when 'nudge' then 'on_hold' when 'call' then 'promise_to_pay' else 'quiet_hours' end,
			due_at = $1, poked_until = clock_timestamp() + interval '1 hour'`, noon.Add(9*day))
	}
	due := func() (steps []string) {
		w.t.Helper()
		rows, err := w.pool.Query(t.Context(), `
			select c.name || ' ' || d.step from dunlin.deliveries d join dunlin.customers c using (account_id, customer_id)
			where d.due_at = $1 and d.poked_until is null order by 1`, noon.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		steps, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return steps
	}
	hers := []string{"ann call", "ann nudge", "ann2 call", "ann2 nudge"}
	lift := func(f func(tx pgx.Tx) (int64, error)) {
		w.t.Helper()
		waiting()
		w.tx(func(tx pgx.Tx) error {
			if n, err := f(tx); err != nil || n != 4 {
				t.Errorf("woken\n got %d, %v\nwant 4", n, err)
			}
			return nil
		})
		if diff := cmp.Diff(hers, due()); diff != "" {
			t.Errorf("due (-want +got)\n%s", diff)
		}
	}

	set := w.hold(ann, HoldManual, time.Time{}, noon)
	lift(func(tx pgx.Tx) (int64, error) { return LiftHold(t.Context(), tx, set.ID, "bob", noon.Add(time.Hour)) })
	w.wantHeld("lifted", her, noon.Add(time.Hour))

	w.hold(ann, HoldManual, time.Time{}, noon)
	w.hold(ann, HoldPromise, noon.Add(9*day), noon)
	w.hold(her, HoldManual, noon.Add(9*day), noon)
	lift(func(tx pgx.Tx) (int64, error) {
		lifted, woken, err := LiftHolds(t.Context(), tx, w.ref(ann), "bob", noon.Add(time.Hour))
		if lifted != 2 {
			t.Errorf("lifted\n got %d\nwant 2", lifted)
		}
		return woken, err
	})
	w.wantHeld("what was set on her other customer stays", ann, noon.Add(time.Hour), "on_hold until 216h0m0s")

	waiting()
	w.hold(ann, HoldManual, noon.Add(2*day), noon.Add(time.Hour))
	if got := due(); len(got) > 0 {
		t.Errorf("a longer hold wakes\n got %v\nwant nobody", got)
	}
	w.hold(ann, HoldPromise, noon.Add(2*day), noon.Add(time.Hour))
	if diff := cmp.Diff(hers, due()); diff != "" {
		t.Errorf("a new promise (-want +got)\n%s", diff)
	}
}

// TestHold_disputeCloses holds that what waited for a dispute is decided afresh
// by the tick that learns of its end, and not an hour later (nothing-lost).
func TestHold_disputeCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.segment("owing", "delinquent")
	closed, open, quiet := w.customer("closed", nil), w.customer("open", nil), w.customer("quiet", nil)
	everyone := []int64{closed, open, quiet}
	w.campaign("c", onEntry, nudge)
	w.start("c", noon)
	for _, id := range everyone {
		w.join(id, "owing", noon)
		w.link(id, fmt.Sprintf("C%d", id), noon)
		w.dispute(id, "dp_1", "needs_response")
	}
	w.enroll(noon)
	for _, id := range everyone {
		w.claim(w.key(id, "c", "nudge"), noon)
	}
	w.exec(`update dunlin.deliveries set reason = 'quiet_hours' where customer_id = $1`, quiet)
	waits := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, id := range everyone {
			got = append(got, w.rows(id)...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	waits("while the disputes are open", "c/nudge planned dispute_open 1h0m0s", "c/nudge planned dispute_open 1h0m0s", "c/nudge planned quiet_hours 1h0m0s")

	w.dispute(open, "dp_1", "won")
	w.dispute(open, "dp_2", "under_review")
	w.dispute(closed, "dp_1", "lost")
	w.dispute(quiet, "dp_1", "won")
	w.tx(func(tx pgx.Tx) error {
		_, err := w.store.Follow(t.Context(), tx, segments.Tick{At: noon.Add(time.Minute)})
		return err
	})
	waits("a tick that names nobody", "c/nudge planned dispute_open 1h0m0s", "c/nudge planned dispute_open 1h0m0s", "c/nudge planned quiet_hours 1h0m0s")
	for n, tick := range []segments.Tick{{Changed: []customers.Ref{w.ref(closed), w.ref(open), w.ref(quiet)}}, {Everyone: true}} {
		tick.At = noon.Add(time.Duration(n+2) * time.Minute)
		w.exec(`update dunlin.deliveries set due_at = $1`, noon.Add(time.Hour))
		w.tx(func(tx pgx.Tx) error {
			_, err := w.store.Follow(t.Context(), tx, tick)
			return err
		})
		waits("after one was closed", "c/nudge planned dispute_open "+tick.At.Sub(noon).String(), "c/nudge planned dispute_open 1h0m0s", "c/nudge planned quiet_hours 1h0m0s")
	}
	if _, ok := w.claim(w.key(closed, "c", "nudge"), noon.Add(3*time.Minute)); !ok {
		t.Error("after the dispute was closed it is not claimed")
	}
}

func TestHold_refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.customer("ann", nil)
	good := NewHold{Ref: w.ref(ann), Kind: HoldManual, Reason: "r", By: "ann", Until: noon.Add(1)}
	if err := good.Check(noon); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*NewHold){
		"cannot be set":  func(h *NewHold) { h.Kind = HoldDispute },
		"say why":        func(h *NewHold) { h.Reason = " " },
		"nobody":         func(h *NewHold) { h.By = "" },
		"until when":     func(h *NewHold) { h.Kind, h.Until = HoldPromise, time.Time{} },
		"over already":   func(h *NewHold) { h.Until = noon },
		"it ends 2026-0": func(h *NewHold) { h.Until = noon.Add(-day) },
	} {
		h := good
		change(&h)
		err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { _, err := h.Set(t.Context(), tx, noon); return err })
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v\n got %v\nwant %s", h, err, name)
		}
	}

	set := w.hold(ann, HoldManual, noon.Add(day), noon)
	again := func(id int64, at time.Time) error {
		return pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { _, err := LiftHold(t.Context(), tx, id, "bob", at); return err })
	}
	if err := again(set.ID+1, noon); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("no such hold\n got %v", err)
	}
	if err := again(set.ID, noon.Add(day)); err == nil || !strings.Contains(err.Error(), "is over since 2026-03-03T12:00:00Z") {
		t.Errorf("over\n got %v", err)
	}
	if err := again(set.ID, noon); err != nil {
		t.Error(err)
	}
	if err := again(set.ID, noon); err == nil || !strings.Contains(err.Error(), "was lifted before") {
		t.Errorf("twice\n got %v", err)
	}

	for constraint, sql := range map[string]string{
		"holds_ends_later":   `insert into dunlin.holds (account_id, customer_id, kind, reason, set_by, set_at, until) values (1, 1, 'manual', 'r', 'a', '2026-01-02Z', '2026-01-02Z')`,
		"holds_promise_ends": `insert into dunlin.holds (account_id, customer_id, kind, reason, set_by, set_at) values (1, 1, 'promise', 'r', 'a', '2026-01-02Z')`,
	} {
		var pg *pgconn.PgError
		if _, err := w.pool.Exec(t.Context(), sql); !errors.As(err, &pg) || pg.ConstraintName != constraint {
			t.Errorf("%s\n got %v", constraint, err)
		}
	}
}

// TestHold_claimsWait holds that a hold waits for whoever decides for the
// person, and is seen by who decides after it (no-stale-contact).
func TestHold_claimsWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, her := w.customer("ann", nil), w.customer("ann2", nil)
	w.link(ann, "c1", noon)
	w.link(her, "c1", noon)
	claiming, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readContacts(t.Context(), claiming, []customers.Ref{w.ref(her)}, true); err != nil { // as a claim for her other customer begins
		t.Fatal(err)
	}
	var pg *pgconn.PgError
	err = pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `set local lock_timeout = '50ms'`); err != nil {
			return err
		}
		_, err := NewHold{Ref: w.ref(ann), Kind: HoldManual, Reason: "r", By: "ann"}.Set(t.Context(), tx, noon)
		return err
	})
	if !errors.As(err, &pg) || pg.Code != "55P03" {
		t.Errorf("a hold while a claim is decided\n got %v\nwant it to wait", err)
	}
	if err := claiming.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.hold(ann, HoldManual, time.Time{}, noon)
	w.wantHeld("after the claim", her, noon, "on_hold until lifted")
}

func TestHolds_list(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, her, bea := w.customer("ann", nil), w.customer("ann2", nil), w.customer("bea", nil)
	w.link(ann, "c1", noon)
	w.link(her, "c1", noon)
	w.hold(ann, HoldManual, noon.Add(day), noon)
	lifted := w.hold(ann, HoldPromise, noon.Add(9*day), noon.Add(1*time.Minute))
	w.tx(func(tx pgx.Tx) error {
		_, err := LiftHold(t.Context(), tx, lifted.ID, "bob", noon.Add(2*time.Minute))
		return err
	})
	w.hold(bea, HoldManual, time.Time{}, noon.Add(3*time.Minute))
	w.dispute(her, "dp_1", "needs_response")
	w.dispute(her, "dp_2", "won")
	list := func(f HoldFilter, at time.Time) []string {
		t.Helper()
		rows, err := Holds(t.Context(), w.pool, f, at)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, h := range rows {
			out = append(out, fmt.Sprintf("%s %s %s", h.StripeID, h.Kind, h.Reason))
			if h.LiftedAt != nil {
				out[len(out)-1] += " lifted by " + *h.LiftedBy
			}
		}
		return out
	}
	const phone = "said so on the phone"
	for _, tt := range []struct {
		name string
		f    HoldFilter
		at   time.Time
		want []string
	}{
		{"in force", HoldFilter{}, noon, []string{"cus_bea manual " + phone, "cus_ann manual " + phone, "cus_ann2 dispute dp_1 needs_response"}},
		{"in force a day later", HoldFilter{}, noon.Add(day), []string{"cus_bea manual " + phone, "cus_ann2 dispute dp_1 needs_response"}},
		{"all", HoldFilter{All: true}, noon.Add(day), []string{
			"cus_bea manual " + phone, "cus_ann promise " + phone + " lifted by bob", "cus_ann manual " + phone, "cus_ann2 dispute dp_1 needs_response",
		}},
		{"of one", HoldFilter{Customer: "cus_ann"}, noon, []string{"cus_ann manual " + phone}},
		{"of another customer of the person", HoldFilter{Customer: "cus_ann2"}, noon, []string{"cus_ann manual " + phone, "cus_ann2 dispute dp_1 needs_response"}},
		{"of nobody", HoldFilter{Customer: "cus_none"}, noon, nil},
	} {
		if diff := cmp.Diff(tt.want, list(tt.f, tt.at)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

// TestDecide_holds goes through holds that are in force together: the one that
// ends last is named, and a colleague's task does not wait for a dispute.
func TestDecide_holds(t *testing.T) {
	t.Parallel()
	now := clear(Message).Now
	in := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for _, tt := range []struct {
		name   string
		action Action
		holds  []Hold
		want   Decision
	}{
		{"none", Message, nil, Decision{Verdict: Send}},
		{"until a day", Message, []Hold{{OnHold, in(5)}}, Decision{Wait, OnHold, in(5)}},
		{"until it is lifted", Message, []Hold{{OnHold, time.Time{}}}, Decision{Wait, OnHold, in(1)}},
		{"over at this very instant", Message, []Hold{{Promised, now}}, Decision{Verdict: Send}},
		{"the longest", Message, []Hold{{OnHold, in(5)}, {Promised, in(7)}, {OnHold, in(6)}}, Decision{Wait, Promised, in(7)}},
		{"no end is the longest", Message, []Hold{{Promised, in(7)}, {Disputed, time.Time{}}, {OnHold, in(9)}}, Decision{Wait, Disputed, in(1)}},
		{"beyond its expiry: until then", Message, []Hold{{Promised, in(100)}}, Decision{Wait, Promised, in(48)}},
		{"a task", Task, []Hold{{Promised, in(7)}}, Decision{Wait, Promised, in(7)}},
		{"a task and a dispute", Task, []Hold{{Disputed, time.Time{}}}, Decision{Verdict: Send}},
		{"a tag and a dispute", Tag, []Hold{{Disputed, time.Time{}}}, Decision{Verdict: Send}},
		{"a tag", Tag, []Hold{{OnHold, in(2)}}, Decision{Wait, OnHold, in(2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := clear(tt.action)
			s.Holds = tt.holds
			if got := Decide(s); got.Verdict != tt.want.Verdict || got.Reason != tt.want.Reason || !got.Until.Equal(tt.want.Until) {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
	s := clear(Message)
	s.Holds, s.Waited, s.Expires = []Hold{{Promised, in(100)}}, Promised, &now
	if got := Decide(s); got != (Decision{Verdict: Skip, Reason: Promised}) {
		t.Errorf("held until it expired\n got %+v\nwant it skipped for that", got)
	}
}
