package jobs

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/sandbox"
)

const (
	aTraced = `{name: nudge, at: 0 days, message: {channel: inapp, traceable: true, body: 'Hi {{ customer.name }}'}}`
	aNote   = `{name: remark, at: 0 days, note: 'owes us'}`
)

// doubtful is a world in which the one delivery's call went wrong in a way that
// tells nothing; afterwards Intercom answers again, unless later says otherwise.
func doubtful(t *testing.T, step, path string, fault sandbox.Fault) (*world, campaigns.Key) {
	t.Helper()
	var well atomic.Bool
	w := newWorld(t, step, func(r *http.Request) sandbox.Fault {
		if well.Load() {
			return sandbox.Fault{}
		}
		return only(path, fault)(r)
	})
	if _, err := intercom.Setup(t.Context(), w.Intercom, w.Pool, noon); err != nil {
		t.Fatal(err)
	}
	w.owing(1)
	w.start()
	key := w.keys()[0]
	person := intercom.Customer{Account: key.Account, ID: key.Customer, Email: "ann0@example.com"}
	if _, err := w.Links.Resolve(t.Context(), w.Pool, person, intercom.Settings{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	w.deliver(key)
	well.Store(true)
	if got, want := w.stands(key), "unknown no_clear_answer 1"; got != want {
		t.Fatalf("after the call\n got %q\nwant %q", got, want)
	}
	return w, key
}

// resends changes the campaign's on_unknown, as if it had always been so.
func (w *world) resends() {
	w.t.Helper()
	w.exec(`update dunlin.campaign_versions set source = replace(source, 'episode: entry', E'episode: entry\non_unknown: resend')`)
}

// age lets machine time pass for what is unknown.
func (w *world) age(by time.Duration) {
	w.t.Helper()
	w.exec(`update dunlin.deliveries set doubted_at = doubted_at - $1::interval, look_at = look_at - $1::interval where state = 'unknown'`, by)
}

// reconcile works as a job would.
func (w *world) reconcile() {
	w.t.Helper()
	if err := (&reconcileWorker{Config: w.Config}).Work(w.t.Context(), &river.Job[ReconcileArgs]{}); err != nil {
		w.t.Fatal(err)
	}
}

// looks are all looks of the schedule, at their times.
func (w *world) looks() {
	w.t.Helper()
	before := time.Duration(0)
	for _, at := range campaigns.LookAfter {
		w.age(at - before)
		w.reconcile()
		before = at
	}
}

// TestReconcile holds one-contact where the answer is lost: what Intercom has is
// found and sent, once; what it does not have is left to a person, or resent once.
func TestReconcile(t *testing.T) {
	t.Parallel()
	reset := sandbox.Fault{Kind: sandbox.FaultReset}
	lost := sandbox.Fault{Kind: sandbox.FaultReset, Process: true}
	away := sandbox.Fault{Kind: sandbox.FaultStatus, Status: 503}
	for _, tt := range []struct {
		name, step, path string
		fault            sandbox.Fault
		resend           bool
		want             string
		accepted         int // after the looks, and whatever they lead to
	}{
		{"a message, accepted", aTraced, "/messages", lost, false, "sent - 1", 1},
		{"a message, accepted, would be resent", aTraced, "/messages", lost, true, "sent - 1", 1},
		{"a message, its answer cut off", aTraced, "/messages", sandbox.Fault{Kind: sandbox.FaultTruncate}, false, "sent - 1", 1},
		{"a message, 500 after it was accepted", aTraced, "/messages", sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Process: true}, false, "sent - 1", 1},
		{"a message, not accepted", aTraced, "/messages", reset, false, "unknown not_found 1", 0},
		{"a message, not accepted, resent", aTraced, "/messages", away, true, "sent - 2", 1},
		{"untraceable, accepted", aMessage, "/messages", lost, false, "unknown untraceable 1", 1},
		{"untraceable, accepted, resent: the exception", aMessage, "/messages", lost, true, "sent - 2", 2},
		{"a ticket, accepted", aTask, "/tickets", lost, false, "sent - 1", 1},
		{"a ticket, not accepted, resent", aTask, "/tickets", reset, true, "sent - 2", 1},
		{"a note, accepted", aNote, "/notes", lost, false, "sent - 1", 1},
		{"a note, not accepted", aNote, "/notes", reset, false, "unknown not_found 1", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, key := doubtful(t, tt.step, tt.path, tt.fault)
			if tt.resend {
				w.resends()
			}
			w.looks()
			w.deliver(key) // finds nothing to do, unless it is planned again
			w.looks()
			accepted := w.intercom.Accepted()
			if got := w.stands(key); got != tt.want || len(accepted) != tt.accepted {
				t.Errorf("after the looks\n got %q, %d accepted\nwant %q, %d", got, len(accepted), tt.want, tt.accepted)
			}
			var external, ticket string
			w.scan(&external, `select coalesce(external_id, '') from dunlin.deliveries`)
			w.scan(&ticket, `select coalesce((select ticket_id from dunlin.tasks), '')`)
			if strings.HasPrefix(tt.want, "sent") && external != accepted[len(accepted)-1].ID || ticket != "" && ticket != external {
				t.Errorf("external_id %q, ticket %q\nof %+v", external, ticket, accepted)
			}
		})
	}
}

// TestReconcile_noteMerged: a note is found although its contact was merged into
// another before anybody looked, and not written a second time.
func TestReconcile_noteMerged(t *testing.T) {
	t.Parallel()
	w, key := doubtful(t, aNote, "/notes", sandbox.Fault{Kind: sandbox.FaultReset, Process: true})
	w.resends()
	survivor := strings.Repeat("d", 24)
	w.intercom.AddContact(sandbox.Contact{ID: survivor, Role: "user"})
	w.intercom.Merge(w.contact(0), survivor)
	w.looks()
	w.deliver(key)
	if got, want := w.stands(key), "sent - 1"; got != want || len(w.intercom.Accepted()) != 1 {
		t.Errorf("after the looks\n got %q, %d accepted\nwant %q, 1", got, len(w.intercom.Accepted()), want)
	}
}

// TestReconcile_lag: what is not in Intercom's index yet is not missing.
func TestReconcile_lag(t *testing.T) {
	t.Parallel()
	for _, step := range []struct{ name, step, path string }{{"message", aTraced, "/messages"}, {"ticket", aTask, "/tickets"}} {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			w, key := doubtful(t, step.step, step.path, sandbox.Fault{Kind: sandbox.FaultReset, Process: true})
			w.resends()
			w.intercom.SearchLag = time.Hour
			before := time.Duration(0)
			for _, at := range campaigns.LookAfter[:4] {
				w.age(at - before)
				w.reconcile()
				before = at
				if got, want := w.stands(key), "unknown no_clear_answer 1"; got != want {
					t.Errorf("after the look at %s\n got %q\nwant %q", at, got, want)
				}
			}
			w.intercom.SearchLag = 0
			w.age(campaigns.LookAfter[4] - before)
			w.reconcile()
			if got, want := w.stands(key), "sent - 1"; got != want || len(w.intercom.Accepted()) != 1 {
				t.Errorf("once it is in the index\n got %q, %d accepted\nwant %q, 1", got, len(w.intercom.Accepted()), want)
			}
		})
	}
}

// TestReconcile_away: looks that Intercom does not answer do not count, however
// long that takes.
func TestReconcile_away(t *testing.T) {
	t.Parallel()
	w, key := doubtful(t, aTraced, "/messages", sandbox.Fault{Kind: sandbox.FaultReset, Process: true})
	w.resends()
	var err error
	client := w.Intercom
	if w.Intercom, err = intercom.New(intercom.Config{BaseURL: "http://127.0.0.1:1", Token: token}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.age(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // it would be repeated for minutes
		if err := (&reconcileWorker{Config: w.Config}).Work(ctx, &river.Job[ReconcileArgs]{}); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		cancel()
		if got, want := w.stands(key), "unknown no_clear_answer 1"; got != want {
			t.Errorf("while Intercom is away\n got %q\nwant %q", got, want)
		}
	}
	w.Intercom = client
	w.age(time.Hour)
	w.reconcile()
	if got, want := w.stands(key), "sent - 1"; got != want {
		t.Errorf("once it is back\n got %q\nwant %q", got, want)
	}
}

// TestReconcile_processes: several processes do not look for the same at once, and
// the look of one that was killed is made by another.
func TestReconcile_processes(t *testing.T) {
	t.Parallel()
	w, key := doubtful(t, aTraced, "/messages", sandbox.Fault{Kind: sandbox.FaultReset, Process: true})
	w.age(campaigns.LookAfter[0])
	killed, err := w.Campaigns.TakeDoubts(t.Context(), 10) // and never settled
	if err != nil || len(killed) != 1 {
		t.Fatalf("taken\n got %d, %v\nwant 1", len(killed), err)
	}
	before := w.intercom.Requests()
	w.reconcile()
	if n := w.intercom.Requests() - before; n != 0 {
		t.Errorf("requests while another looks\n got %d\nwant none", n)
	}
	w.age(3 * time.Minute)
	var processes sync.WaitGroup
	for range 2 {
		processes.Go(w.reconcile)
	}
	processes.Wait()
	if n := w.intercom.Requests() - before; n != 1 {
		t.Errorf("requests of two processes\n got %d\nwant 1", n)
	}
	if got, want := w.stands(key), "sent - 1"; got != want {
		t.Errorf("after the kill\n got %q\nwant %q", got, want)
	}
}

// TestReconcile_sweep: the sweep pokes for looks that are due, and without a poke
// nothing is lost (nothing-lost).
func TestReconcile_sweep(t *testing.T) {
	t.Parallel()
	w, key := doubtful(t, aTraced, "/messages", sandbox.Fault{Kind: sandbox.FaultReset, Process: true})
	if _, _, err := w.Campaigns.KeepDecisions(t.Context(), noon); err != nil { // else the sweep makes partitions meanwhile
		t.Fatal(err)
	}
	w.run()
	w.age(campaigns.LookAfter[0])
	w.tx(func(tx pgx.Tx) error { return w.poker.Sweep(t.Context(), tx) })
	w.until("it is found", `select state = 'sent' from dunlin.deliveries where customer_id = $1`, key.Customer)
	if n := len(w.intercom.Accepted()); n != 1 {
		t.Errorf("accepted\n got %d\nwant 1", n)
	}
}

// TestReconcile_dryRun: a process that sends nothing settles nothing.
func TestReconcile_dryRun(t *testing.T) {
	t.Parallel()
	w, key := doubtful(t, aMessage, "/messages", sandbox.Fault{Kind: sandbox.FaultReset})
	w.resends()
	w.age(time.Hour)
	w.Campaigns.DryRun = true
	w.reconcile()
	w.Campaigns.DryRun, w.Intercom = false, nil
	w.reconcile()
	if got, want := w.stands(key), "unknown no_clear_answer 1"; got != want {
		t.Errorf("with DRY_RUN, and without a token\n got %q\nwant %q", got, want)
	}
}
