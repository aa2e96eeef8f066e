package campaigns

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestDoubt_settling holds that nothing counts as not there before the last look,
// ten minutes after the outcome became unknown.
func TestDoubt_settling(t *testing.T) {
	t.Parallel()
	m, s := time.Minute, time.Second
	for _, tt := range []struct {
		name  string
		doubt Doubt
		found bool
		want  Settling
		again time.Duration
	}{
		{"found at once", Doubt{Trace: TraceMessage, Age: 5 * s}, true, Found, 0},
		{"found at last", Doubt{Trace: TraceMessage, Age: time.Hour}, true, Found, 0},
		{"found, and to be resent", Doubt{Trace: TraceMessage, Age: time.Hour, Resend: true}, true, Found, 0},
		{"first look", Doubt{Trace: TraceMessage, Age: 5 * s}, false, LookAgain, 30 * s},
		{"before the first", Doubt{Trace: TraceTicket}, false, LookAgain, 5 * s},
		{"a late second look", Doubt{Trace: TraceNote, Age: 4 * m}, false, LookAgain, 5 * m},
		{"Intercom was away for long", Doubt{Trace: TraceMessage, Age: 9*m + 59*s}, false, LookAgain, 10 * m},
		{"to be resent, too early", Doubt{Trace: TraceMessage, Age: 9*m + 59*s, Resend: true}, false, LookAgain, 10 * m},
		{"last look: a person", Doubt{Trace: TraceMessage, Age: 10 * m}, false, AskPerson, 0},
		{"last look: resend", Doubt{Trace: TraceMessage, Age: 10 * m, Resend: true}, false, SendAgain, 0},
		{"after days without Intercom", Doubt{Trace: TraceTicket, Age: 72 * time.Hour}, false, AskPerson, 0},
		{"nothing to look for: a person, at once", Doubt{}, false, AskPerson, 0},
		{"nothing to look for: resend, at once", Doubt{Resend: true}, false, SendAgain, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, again := tt.doubt.settling(tt.found, LookAfter); got != tt.want || again != tt.again {
				t.Errorf("settling\n got %s %s\nwant %s %s", got, again, tt.want, tt.again)
			}
		})
	}
	if last := LookAfter[len(LookAfter)-1]; last < 10*m {
		t.Errorf("the last look comes after %s\nwant at least ten minutes", last)
	}
}

const (
	traced = `{name: nudge, at: 0 days, message: {channel: inapp, traceable: true, body: 'Hi {{ customer.name }}'}}`
	remark = `{name: remark, at: 0 days, note: 'owes us'}`
	hook   = `{name: hook, at: 0 days, webhook: {url: 'https://hooks.example.com/x', secret: HOOK_KEY}}`
	resend = onEntry + "\non_unknown: resend"
)

// doubtful is a world in which the outcome of a step of a running campaign is
// unknown, and its claim.
func doubtful(t *testing.T, head, step, name string) (*world, Claim) {
	t.Helper()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.join(id, "owing", noon)
	w.link(id, "C1", noon)
	w.campaign("c", head, step)
	w.start("c", noon)
	return w, w.lose(w.key(id, "c", name))
}

// lose claims a delivery, whose answer is then lost.
func (w *world) lose(k Key) Claim {
	w.t.Helper()
	c, ok := w.claim(k, noon)
	if !ok || !w.record(c, Outcome{Result: Unclear, Detail: "timeout"}, noon) {
		w.t.Fatalf("no doubt about %v", k)
	}
	return c
}

// age lets machine time pass for everything that is unknown.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	w.exec(`update dunlin.deliveries set doubted_at = doubted_at - $1::interval, look_at = look_at - $1::interval where state = 'unknown'`, by)
}

func (w *world) doubts() []Doubt {
	w.t.Helper()
	list, err := w.store.TakeDoubts(w.t.Context(), 10)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// look settles the one doubt that is due.
func (w *world) look(externalID string) Settling {
	w.t.Helper()
	list := w.doubts()
	if len(list) != 1 {
		w.t.Fatalf("looks that are due\n got %d\nwant 1", len(list))
	}
	s, err := w.store.SettleDoubt(w.t.Context(), list[0], externalID, noon.Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) settle(n DeliveryName, s Settlement) error {
	w.t.Helper()
	return pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := SettleUnknown(w.t.Context(), tx, n, s, noon.Add(time.Hour))
		return err
	})
}

func (w *world) retry(n DeliveryName, at time.Time) error {
	w.t.Helper()
	return pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := RetryFailed(w.t.Context(), tx, n, "ann", at)
		return err
	})
}

// settlings are what the decision log says besides decisions.
func (w *world) settlings() string {
	w.t.Helper()
	var s string
	w.row(&s, `select coalesce(string_agg(concat_ws(' by ', reason, inputs->>'by'), ', ' order by decision_id), '') from dunlin.decisions where verdict = 'settle'`)
	return s
}

// TestTakeDoubts holds what is looked for, by what, and by one at a time.
func TestTakeDoubts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, head, step, key string
		trace                 Trace
		resend                bool
	}{
		{"a traceable message", onEntry, traced, "nudge", TraceMessage, false},
		{"to be resent", resend, traced, "nudge", TraceMessage, true},
		{"an untraceable message", onEntry, nudge, "nudge", NoTraceLeft, false},
		{"a task", onEntry, call, "call", TraceTicket, false},
		{"a note", onEntry, remark, "remark", TraceNote, false},
		{"a webhook", resend, hook, "hook", NoTraceLeft, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, c := doubtful(t, tt.head, tt.step, tt.key)
			if list := w.doubts(); len(list) != 0 {
				t.Errorf("looked for at once: %+v", list)
			}
			w.age(LookAfter[0])
			list := w.doubts()
			if len(list) != 1 {
				t.Fatalf("due\n got %d\nwant 1", len(list))
			}
			d, reference := list[0], c.Reference
			if tt.trace == NoTraceLeft {
				reference = ""
			}
			if d.Key != c.Key || d.Trace != tt.trace || d.Reference != reference || d.ContactID != c.ContactID || !d.Since.Equal(noon) || d.Resend != tt.resend ||
				d.Age < LookAfter[0] || d.Age > LookAfter[0]+time.Minute {
				t.Errorf("doubt\n got %+v\nwant trace %q, reference %q, contact %q", d, tt.trace, reference, c.ContactID)
			}
			if again := w.doubts(); len(again) != 0 {
				t.Errorf("two look at the same time: %+v", again)
			}
			// A look whose process died is made again when its lease is over.
			w.age(lookLease)
			if again := w.doubts(); len(again) != 1 {
				t.Errorf("after the lease\n got %d\nwant 1", len(again))
			}
		})
	}
}

// TestSettleDoubt_found holds one-contact: what Intercom has is sent and stays so,
// whatever comes late.
func TestSettleDoubt_found(t *testing.T) {
	t.Parallel()
	w, c := doubtful(t, onEntry, traced, "nudge")
	w.age(LookAfter[0])
	if got := w.look("m1"); got != Found {
		t.Errorf("settling\n got %s\nwant %s", got, Found)
	}
	w.wantDelivery(c.Key, "sent -")
	if d := w.delivery(c.Key); d.ExternalID == nil || *d.ExternalID != "m1" || d.Detail == nil {
		t.Errorf("what was found\n got %v, %v", d.ExternalID, d.Detail)
	}
	if w.record(c, Outcome{Result: Unclear}, noon) || w.record(c, Outcome{Result: Accepted, ExternalID: "m1"}, noon) {
		t.Error("a late answer was written over what was found")
	}
	if _, ok := w.claim(c.Key, noon.Add(time.Hour)); ok {
		t.Error("claimed again (one-contact)")
	}
	want(t, "log", w.settlings(), "found")
	want(t, "enrollment", w.enrollments(c.Key.Customer), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
}

// TestSettleDoubt_ask: after the last look it is a person's turn, and a late answer
// still tells.
func TestSettleDoubt_ask(t *testing.T) {
	t.Parallel()
	w, c := doubtful(t, onEntry, traced, "nudge")
	var got []string
	for i, at := range LookAfter {
		w.age(at - append([]time.Duration{0}, LookAfter...)[i])
		got = append(got, string(w.look("")))
		if n := len(w.doubts()); n != 0 {
			t.Errorf("after the look at %s, %d are due at once", at, n)
		}
	}
	want(t, "looks", strings.Join(got, " "), "look_again look_again look_again look_again ask")
	w.wantDelivery(c.Key, "unknown not_found")
	w.age(72 * time.Hour)
	if n := len(w.doubts()); n != 0 {
		t.Errorf("%d looks after the last", n)
	}
	if looking, stuck, asking, err := Doubts(t.Context(), w.pool); looking != 0 || stuck != 0 || asking != 1 || err != nil {
		t.Errorf("doubts\n got %d, %d, %d, %v\nwant one that waits for a person", looking, stuck, asking, err)
	}
	var counts bool
	w.row(&counts, `select contacted_at is not null from dunlin.deliveries`)
	if !counts {
		t.Error("an unknown one does not count in the budget (one-budget)")
	}
	if !w.record(c, Outcome{Result: Accepted, ExternalID: "m1"}, noon) {
		t.Error("a late answer was refused")
	}
	w.wantDelivery(c.Key, "sent -")
	want(t, "log", w.settlings(), "not_found")
}

// TestSettleDoubt_resend: where the campaign says so it is sent again, once, in the
// same enrollment; then a person is asked. No late answer of the first attempt
// speaks for the second.
func TestSettleDoubt_resend(t *testing.T) {
	t.Parallel()
	w, first := doubtful(t, resend, traced, "nudge")
	want(t, "enrollment", w.enrollments(first.Key.Customer), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
	w.age(10 * time.Minute)
	if got := w.look(""); got != SendAgain {
		t.Fatalf("settling\n got %s\nwant %s", got, SendAgain)
	}
	w.wantDelivery(first.Key, "planned -")
	want(t, "enrollment", w.enrollments(first.Key.Customer), []string{"c [entry 2026-03-02T12:00:00Z] v1 active -"})
	if w.record(first, Outcome{Result: Accepted}, noon) {
		t.Error("the first attempt spoke after it was given up")
	}
	second := w.lose(first.Key)
	if second.Attempt != 2 || second.Reference != first.Reference {
		t.Errorf("second attempt\n got %d, %s\nwant 2, %s", second.Attempt, second.Reference, first.Reference)
	}
	if w.record(first, Outcome{Result: Accepted}, noon) {
		t.Error("the first attempt spoke for the second")
	}
	w.age(10 * time.Minute)
	if got := w.look(""); got != AskPerson {
		t.Errorf("after the second attempt\n got %s\nwant %s", got, AskPerson)
	}
	w.wantDelivery(first.Key, "unknown not_found")
	want(t, "log", w.settlings(), "resend, not_found")
}

// TestSettleDoubt_together: two processes look, one of them slow, and a late answer
// comes, all at the same time; one of them settles it.
func TestSettleDoubt_together(t *testing.T) {
	t.Parallel()
	w, c := doubtful(t, resend, traced, "nudge")
	w.age(10 * time.Minute)
	stale := w.doubts()[0]
	w.age(lookLease)
	fresh := w.doubts()[0]
	var wg sync.WaitGroup
	settled := make([]bool, 3)
	for i, f := range []func() (bool, error){
		func() (bool, error) {
			s, err := w.store.SettleDoubt(t.Context(), stale, "", noon)
			return s != "", err
		},
		func() (bool, error) {
			s, err := w.store.SettleDoubt(t.Context(), fresh, "m1", noon)
			return s != "", err
		},
		func() (bool, error) {
			return w.store.Record(t.Context(), c, Outcome{Result: Accepted, ExternalID: "m1"}, noon)
		},
	} {
		wg.Go(func() {
			ours, err := f()
			if err != nil {
				t.Error(err)
			}
			settled[i] = ours
		})
	}
	wg.Wait()
	n := 0
	for _, ours := range settled {
		if ours {
			n++
		}
	}
	if n != 1 {
		t.Errorf("settled by\n got %v\nwant one", settled)
	}
}

// TestPutOffLook: while Intercom does not answer, no look counts.
func TestPutOffLook(t *testing.T) {
	t.Parallel()
	w, c := doubtful(t, resend, traced, "nudge")
	w.age(time.Hour)
	for range 3 {
		d := w.doubts()[0]
		if err := w.store.PutOffLook(t.Context(), d, "503"); err != nil {
			t.Fatal(err)
		}
		w.wantDelivery(c.Key, "unknown no_clear_answer")
		if n := len(w.doubts()); n != 0 {
			t.Errorf("%d looks without a rest", n)
		}
		w.age(lookRest)
	}
	if d := w.delivery(c.Key); *d.Detail != "503" {
		t.Errorf("detail\n got %q\nwant what Intercom said last", *d.Detail)
	}
	if _, stuck, _, err := Doubts(t.Context(), w.pool); stuck != 1 || err != nil {
		t.Errorf("stuck\n got %d, %v\nwant 1", stuck, err)
	}
	if got := w.look("m1"); got != Found {
		t.Errorf("once it answers\n got %s\nwant %s", got, Found)
	}
}

// TestSettleDoubt_task: the ticket that was found is the task's.
func TestSettleDoubt_task(t *testing.T) {
	t.Parallel()
	w, c := doubtful(t, onEntry, call, "call")
	w.age(LookAfter[0])
	if got := w.look("t1"); got != Found {
		t.Fatalf("settling\n got %s\nwant %s", got, Found)
	}
	var ticket string
	w.row(&ticket, `select coalesce(ticket_id, '') from dunlin.tasks`)
	want(t, "ticket", ticket, "t1")
	w.wantDelivery(c.Key, "sent -")
	want(t, "under way until the task is done", w.enrollments(c.Key.Customer), []string{"c [entry 2026-03-02T12:00:00Z] v1 active -"})
}

// TestSettleUnknown holds what people may say, and what is said to them.
func TestSettleUnknown(t *testing.T) {
	t.Parallel()
	ann := func(step string) DeliveryName { return DeliveryName{Customer: "cus_ann", Campaign: "c", Step: step} }
	t.Run("sent", func(t *testing.T) {
		t.Parallel()
		w, c := doubtful(t, onEntry, nudge, "nudge")
		w.age(LookAfter[0])
		if got := w.look(""); got != AskPerson {
			t.Errorf("settling\n got %s\nwant %s", got, AskPerson)
		}
		w.wantDelivery(c.Key, "unknown untraceable")
		if err := w.settle(ann("nudge"), Settlement{Sent: true, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.wantDelivery(c.Key, "sent -")
		want(t, "log", w.settlings(), "untraceable, said_sent by ann")
		err := w.settle(ann("nudge"), Settlement{By: "ann"})
		want(t, "settled twice", fmt.Sprint(err), `step "nudge" of campaign "c" for cus_ann is sent, not unknown: there is nothing to settle`)
	})
	t.Run("not sent", func(t *testing.T) {
		t.Parallel()
		w, c := doubtful(t, onEntry, traced, "nudge")
		looking := func() Doubt { w.age(LookAfter[0]); return w.doubts()[0] }()
		if err := w.settle(ann("nudge"), Settlement{By: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.wantDelivery(c.Key, "planned -")
		var counts bool
		w.row(&counts, `select contacted_at is not null from dunlin.deliveries`)
		if counts {
			t.Error("what was not sent counts in the budget (one-budget)")
		}
		if s, err := w.store.SettleDoubt(t.Context(), looking, "", noon); s != "" || err != nil {
			t.Errorf("a look that was under way: %q, %v", s, err)
		}
		again, ok := w.claim(c.Key, noon.Add(time.Minute))
		if !ok || again.Attempt != 2 || w.record(c, Outcome{Result: Accepted}, noon) || !w.record(again, Outcome{Result: Accepted, ExternalID: "m2"}, noon) {
			t.Errorf("the second attempt\n got %+v", again)
		}
		want(t, "enrollment", w.enrollments(c.Key.Customer), []string{"c [entry 2026-03-02T12:00:00Z] v1 finished -"})
	})
	t.Run("not sent, and of no use any more", func(t *testing.T) {
		t.Parallel()
		w, c := doubtful(t, onEntry, traced, "nudge")
		w.exec(`update dunlin.customers set delinquent = false`)
		if err := w.settle(ann("nudge"), Settlement{By: "ann"}); err != nil {
			t.Fatal(err)
		}
		if _, ok := w.claim(c.Key, noon.Add(time.Hour)); ok {
			t.Error("sent to somebody who has paid (no-stale-contact)")
		}
		w.leave(c.Key.Customer, "owing")
		w.enroll(noon.Add(2 * time.Hour))
		w.wantDelivery(c.Key, "skipped left_segment")
	})
	t.Run("a task needs its ticket", func(t *testing.T) {
		t.Parallel()
		w, c := doubtful(t, onEntry, call, "call")
		w.exec(`insert into dunlin.enrollments select account_id, customer_id, campaign, 'other', version, state, reason, enrolled_at, starts_at from dunlin.enrollments`)
		w.exec(`insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, state) select account_id, customer_id, campaign, 'other', step, action, 'sent' from dunlin.deliveries`)
		w.exec(`insert into dunlin.tasks (account_id, customer_id, campaign, episode, step, title, body, team, opened_at, due_at, ticket_id)
			select account_id, customer_id, campaign, 'other', step, title, body, team, opened_at, due_at, 't9' from dunlin.tasks`)
		want(t, "no ticket", fmt.Sprint(w.settle(ann("call"), Settlement{Sent: true, By: "ann"})),
			`step "call" of campaign "c" is a task: say which ticket it became, with --id`)
		want(t, "another's", fmt.Sprint(w.settle(ann("call"), Settlement{Sent: true, ExternalID: "t9", By: "ann"})), `ticket t9 belongs to another task; see dunlin tasks --all`)
		if err := w.settle(ann("call"), Settlement{Sent: true, ExternalID: "t1", By: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.wantDelivery(c.Key, "sent -")
	})
	t.Run("which one", func(t *testing.T) {
		t.Parallel()
		w, _ := doubtful(t, onEntry, nudge, "nudge")
		w.exec(`insert into dunlin.enrollments select account_id, customer_id, campaign, 'other', version, state, reason, enrolled_at + interval '1 day', starts_at from dunlin.enrollments`)
		w.exec(`insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, state, token, look_at)
			select account_id, customer_id, campaign, 'other', step, action, state, token, look_at from dunlin.deliveries`)
		want(t, "two of them", fmt.Sprint(w.settle(ann("nudge"), Settlement{Sent: true, By: "ann"})),
			`step "nudge" of campaign "c" for cus_ann is unknown more than once; say which one: --account main --episode 'entry 2026-03-02T12:00:00Z', or --account main --episode 'other'`)
		one := ann("nudge")
		one.Account, one.Episode = "main", "other"
		if err := w.settle(one, Settlement{Sent: true, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		want(t, "none", fmt.Sprint(w.settle(ann("call"), Settlement{Sent: true, By: "ann"})),
			`step "call" of campaign "c" for cus_ann: not found; see dunlin deliveries --customer cus_ann`)
	})
}

// TestRetryFailed: a failure is no end that people cannot change, unless the
// enrollment was ended; and it does not count as contact.
func TestRetryFailed(t *testing.T) {
	t.Parallel()
	w, id := due(t, nudge)
	k, name := w.key(id, "c", "nudge"), DeliveryName{Customer: "cus_ann", Campaign: "c", Step: "nudge"}
	want(t, "planned", fmt.Sprint(w.retry(name, noon)), `step "nudge" of campaign "c" for cus_ann is planned, not failed: there is nothing to try again`)
	c, _ := w.claim(k, noon)
	w.record(c, Outcome{Result: Refused, Detail: "400"}, noon)
	var counts bool
	w.row(&counts, `select contacted_at is not null from dunlin.deliveries`)
	if counts {
		t.Error("what Intercom refused counts in the budget (one-budget)")
	}
	if err := w.retry(name, noon); err != nil {
		t.Fatal(err)
	}
	w.wantDelivery(k, "planned -")
	again, ok := w.claim(k, noon.Add(time.Minute))
	if !ok || again.Attempt != 2 {
		t.Fatalf("claimed again\n got %+v, %v", again, ok)
	}
	w.record(again, Outcome{Result: Refused, Detail: "400"}, noon)
	want(t, "log", w.settlings(), "retry by ann")
	w.exec(`update dunlin.enrollments set state = 'exited', reason = 'left_segment'`)
	want(t, "ended", fmt.Sprint(w.retry(name, noon)), `the enrollment of cus_ann in campaign "c" has ended: left the segment; its steps would be skipped`)
}

// TestRetryFailed_late: whoever wants a failure to be tried again is not too late,
// however long its cause took to be mended: its time is then. Whether there is
// still a reason is decided afresh.
func TestRetryFailed_late(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		between string // the failure and the retry
		at      time.Time
		want    string
	}{
		{"at once", "", noon.Add(4 * day), "claimed -"},
		{"nobody at work for days", "", noon.Add(7*day - time.Minute), "claimed -"},
		{"and longer", "", noon.Add(7 * day), "skipped expired"},
		{"it has paid", `update dunlin.customers set delinquent = false`, noon.Add(4 * day), "planned left_segment"},
		{"at night", "", noon.Add(4*day + 10*time.Hour), "planned quiet_hours"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, id := due(t, nudge, `{name: later, at: 9 days, tag: x}`)
			k := w.key(id, "c", "nudge")
			c, _ := w.claim(k, noon)
			w.record(c, Outcome{Result: Refused, Detail: "400"}, noon)
			if tt.between != "" {
				w.exec(tt.between)
			}
			again := noon.Add(4 * day)
			if err := w.retry(DeliveryName{Customer: "cus_ann", Campaign: "c", Step: "nudge"}, again); err != nil {
				t.Fatal(err)
			}
			d := w.delivery(k)
			for what, at := range map[string]struct{ got, want *time.Time }{
				"scheduled": {d.ScheduledAt, &again}, "due": {d.DueAt, &again}, "expires": {d.ExpiresAt, new(again.Add(3 * day))},
			} {
				if !at.got.Equal(*at.want) {
					t.Errorf("%s\n got %s\nwant %s", what, at.got, at.want)
				}
			}
			w.enroll(again) // which leaves its time alone
			w.exec(`update dunlin.links set checked_at = $1`, tt.at)
			w.claim(k, tt.at)
			w.wantDelivery(k, tt.want)
		})
	}
}

// TestSettleUnknown_late: what is not there is decided like any other, by its own
// time: clearing up what is left over sends nobody what was for last week.
func TestSettleUnknown_late(t *testing.T) {
	t.Parallel()
	w, c := doubtful(t, onEntry, nudge, "nudge")
	if err := w.settle(DeliveryName{Customer: "cus_ann", Campaign: "c", Step: "nudge"}, Settlement{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.claim(c.Key, noon.Add(4*day))
	w.wantDelivery(c.Key, "skipped expired")
}
