package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/sandbox"
)

func TestDeliver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, step, kind string }{
		{"message", aMessage, "message"}, {"task", aTask, "ticket"}, {"tag", aTag, "tag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.step, nil)
			if _, err := intercom.Setup(t.Context(), w.Intercom, w.Pool, noon); err != nil {
				t.Fatal(err)
			}
			w.owing(1)
			w.start()
			key := w.keys()[0]
			if tt.kind == "ticket" { // a task does not ask who the contact is by itself
				email := intercom.Customer{Account: key.Account, ID: key.Customer, Email: "ann0@example.com"}
				if _, err := w.Links.Resolve(t.Context(), w.Pool, email, intercom.Settings{}, time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			w.deliver(key)
			w.deliver(key) // a poke too many finds nothing to do
			accepted := w.intercom.Accepted()
			if got := w.stands(key); got != "sent - 1" || len(accepted) != 1 || accepted[0].Kind != tt.kind || accepted[0].Contact != w.contact(0) {
				t.Errorf("delivered\n got %q, accepted %+v\nwant \"sent - 1\" and one %s", got, accepted, tt.kind)
			}
			var external string
			w.scan(&external, `select coalesce(external_id, '') from dunlin.deliveries`)
			if tt.kind != "tag" && external != accepted[0].ID {
				t.Errorf("external_id\n got %q\nwant %q", external, accepted[0].ID)
			}
		})
	}
}

// TestDeliver_refused: what Intercom says decides whether, and when, it is asked
// again. Each case is worked until it is settled, five times at most.
func TestDeliver_refused(t *testing.T) {
	t.Parallel()
	status := func(code int) sandbox.Fault { return sandbox.Fault{Kind: sandbox.FaultStatus, Status: code} }
	tests := []struct {
		name     string
		step     string
		path     string
		fault    sandbox.Fault
		first    string // how it stands after the first attempt
		last     string // and after the fifth
		accepted int
	}{
		{"token withdrawn: planned again", aMessage, "/messages", status(401), "planned intercom_refuses 1", "planned intercom_refuses 5", 0},
		{"plan too small: planned again", aMessage, "/messages", status(403), "planned intercom_refuses 1", "planned intercom_refuses 5", 0},
		{"contact gone: thrice, then failed", aMessage, "/messages", status(404), "planned intercom_refuses 1", "failed refused 3", 0},
		{"refused for good: failed", aMessage, "/messages", status(400), "failed refused 1", "failed refused 1", 0},
		{"unprocessable: failed", aTask, "/tickets", status(422), "failed refused 1", "failed refused 1", 0},
		{"server error: unknown", aMessage, "/messages", status(500), "unknown no_clear_answer 1", "unknown no_clear_answer 1", 0},
		{"done, the answer lost: unknown", aMessage, "/messages", sandbox.Fault{Kind: sandbox.FaultReset, Process: true}, "unknown no_clear_answer 1", "unknown no_clear_answer 1", 1},
		{"not done, the connection reset: unknown", aMessage, "/messages", sandbox.Fault{Kind: sandbox.FaultReset}, "unknown no_clear_answer 1", "unknown no_clear_answer 1", 0},
		{"done, the answer cut off: unknown", aTask, "/tickets", sandbox.Fault{Kind: sandbox.FaultTruncate}, "unknown no_clear_answer 1", "unknown no_clear_answer 1", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.step, only(tt.path, tt.fault))
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
			if got := w.stands(key); got != tt.first {
				t.Errorf("after one attempt\n got %q\nwant %q", got, tt.first)
			}
			var rests bool
			w.scan(&rests, `select coalesce(poked_until > clock_timestamp() + interval '20 seconds' and due_at <= $1 and detail <> '', false) from dunlin.deliveries`, noon)
			if again := tt.first[:7] == "planned"; rests != again {
				t.Errorf("due, and named, and left alone for a while\n got %v\nwant %v", rests, again)
			}
			for range 4 {
				w.deliver(key)
			}
			if got := w.stands(key); got != tt.last {
				t.Errorf("after five attempts\n got %q\nwant %q", got, tt.last)
			}
			if got := len(w.intercom.Accepted()); got != tt.accepted {
				t.Errorf("accepted\n got %d\nwant %d", got, tt.accepted)
			}
		})
	}
}

// TestDeliver_countsAnswers: only answers of one kind count towards the last, not
// claims that were given back before their call, nor answers of another kind.
func TestDeliver_countsAnswers(t *testing.T) {
	t.Parallel()
	status := 0
	w := newWorld(t, aMessage, func(r *http.Request) sandbox.Fault {
		return only("/messages", sandbox.Fault{Kind: sandbox.FaultStatus, Status: status})(r)
	})
	w.owing(1)
	w.start()
	key := w.keys()[0]
	w.linked(key, w.contact(0), noon)
	client := w.Intercom
	for i, tt := range []struct {
		status int // 0: no token, so no call
		want   string
	}{
		{0, "planned intercom_refuses 1"}, {0, "planned intercom_refuses 2"}, {0, "planned intercom_refuses 3"},
		{404, "planned intercom_refuses 4"}, {404, "planned intercom_refuses 5"}, {401, "planned intercom_refuses 6"},
		{404, "planned intercom_refuses 7"}, {404, "planned intercom_refuses 8"}, {404, "failed refused 9"},
	} {
		if status, w.Intercom = tt.status, client; status == 0 {
			w.Intercom = nil
		}
		w.deliver(key)
		if got := w.stands(key); got != tt.want {
			t.Errorf("attempt %d, answered %d\n got %q\nwant %q", i+1, tt.status, got, tt.want)
		}
	}

	// Whoever wants it to be tried again wants that as often as the first time.
	w.tx(func(tx pgx.Tx) error {
		_, err := campaigns.RetryFailed(t.Context(), tx, campaigns.DeliveryName{Customer: "cus_ann0", Campaign: "dunning", Step: "nudge"}, "ops", noon)
		return err
	})
	w.deliver(key)
	if got, want := w.stands(key), "planned intercom_refuses 10"; got != want {
		t.Errorf("tried again\n got %q\nwant %q", got, want)
	}
}

// TestDeliver_oneAtFault: what fails for one delivery, to decide or to claim it,
// fails for it alone, which waits, named (nothing-lost).
func TestDeliver_oneAtFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, broken string }{
		{"deciding", `delete from dunlin.customers where stripe_id = 'cus_ann0'`},
		{"claiming", `
			create function dunlin.fault() returns trigger language plpgsql as $$
			begin
				if new.state = 'claimed' and new.customer_id = (select customer_id from dunlin.customers where stripe_id = 'cus_ann0') then
					raise exception 'broken';
				end if;
				return new;
			end $$;
			create trigger fault before update on dunlin.deliveries for each row execute function dunlin.fault()`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, aMessage, nil)
			w.owing(together + 2)
			w.start()
			keys := w.keys()
			w.exec(tt.broken)
			err := w.worker().Work(t.Context(), deliverJob(keys...))
			if err != nil {
				t.Error(err)
			}
			for i, key := range keys {
				want := "sent - 1"
				if i == 0 {
					want = "planned undecided 0"
				}
				if got := w.stands(key); got != want {
					t.Errorf("delivery %d\n got %q\nwant %q", i, got, want)
				}
			}
			if got := len(w.intercom.Accepted()); got != len(keys)-1 {
				t.Errorf("accepted %d\nwant %d", got, len(keys)-1)
			}
		})
	}
}

// TestOfOne: where Postgres is not to be reached, or in trouble, no delivery is
// tried alone.
func TestOfOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{fmt.Errorf("claim deliveries: %w", customers.ErrNotFound), true},
		{fmt.Errorf("claim deliveries: %w", &pgconn.PgError{Code: "23514"}), true},
		{fmt.Errorf("claim deliveries: %w", &pgconn.PgError{Code: "40001"}), false},
		{&pgconn.PgError{Code: "40P01"}, false},
		{&pgconn.PgError{Code: "57P01"}, false},
		{&pgconn.PgError{Code: "53300"}, false},
		{&pgconn.ConnectError{}, false},
		{fmt.Errorf("read deliveries: %w", io.ErrUnexpectedEOF), false},
		{context.Canceled, false},
		{errors.Join(customers.ErrNotFound, &pgconn.PgError{Code: "23514"}), true},
		{errors.Join(&pgconn.PgError{Code: "23514"}, &pgconn.PgError{Code: "57P01"}), false},
		{fmt.Errorf("claim deliveries: %w", &net.OpError{Op: "read", Err: errors.New("reset")}), false},
		{context.DeadlineExceeded, false},
	} {
		if got := ofOne(tt.err); got != tt.want {
			t.Errorf("ofOne(%v)\n got %v\nwant %v", tt.err, got, tt.want)
		}
	}
}

func TestDeliver_limitUsedUp(t *testing.T) {
	t.Parallel()
	// Without headers that say when the window ends nobody calls for ten seconds.
	w := newWorld(t, aMessage, only("/messages", sandbox.Fault{Kind: sandbox.FaultStatus, Status: 429}))
	w.owing(2)
	w.start()
	keys := w.keys()
	w.deliver(keys[0])
	if got, want := w.stands(keys[0]), "planned intercom_refuses 1"; got != want {
		t.Errorf("after a 429\n got %q\nwant %q", got, want)
	}
	var rests bool
	w.scan(&rests, `select poked_until > clock_timestamp() + interval '5 seconds' and poked_until <= clock_timestamp() + interval '11 seconds' from dunlin.deliveries where customer_id = $1`, keys[0].Customer)
	if !rests {
		t.Error("it does not rest until the window ends")
	}
	// Another worker that comes now does not claim: it waits for pacing first.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	before := w.intercom.Requests()
	err := w.worker().Work(ctx, deliverJob(keys[1]))
	if w.intercom.Requests() != before {
		t.Errorf("while the limit is used up\n got %d more requests (%v)\nwant none", w.intercom.Requests()-before, err)
	}
	if got, want := w.stands(keys[1]), "planned intercom_refuses 0"; got != want {
		t.Errorf("the other delivery\n got %q\nwant %q", got, want)
	}
}

func TestDeliver_connectionRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.owing(1)
	w.start()
	key := w.keys()[0]
	person := intercom.Customer{Account: key.Account, ID: key.Customer, Email: "ann0@example.com"}
	if _, err := w.Links.Resolve(t.Context(), w.Pool, person, intercom.Settings{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	// A client that never connected, so that no connection is left over on which
	// bytes might have gone out.
	var err error
	if w.Intercom, err = intercom.New(intercom.Config{BaseURL: w.server.URL, Token: token}); err != nil {
		t.Fatal(err)
	}
	w.server.Close()
	w.deliver(key)
	if got, want := w.stands(key), "planned intercom_refuses 1"; got != want {
		t.Errorf("nobody listens\n got %q\nwant %q", got, want)
	}
}

// TestDeliver_startsLate: a call that does not start soon after its claim is not
// made: the claim is given back, and the delivery decided afresh (no-stale-contact).
func TestDeliver_startsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.owing(1)
	w.start()
	key := w.keys()[0]
	w.linked(key, w.contact(0), noon)
	batch, err := w.Campaigns.Claim(t.Context(), []campaigns.Key{key}, noon, 1, true)
	if err != nil || len(batch.Claims) != 1 {
		t.Fatalf("claimed %+v (%v)", batch, err)
	}
	if err := w.worker().callAndRecord(t.Context(), batch.Claims[0], time.Now().Add(-startWithin)); err != nil {
		t.Fatal(err)
	}
	if got, want := w.stands(key), "planned intercom_refuses 1"; got != want || w.intercom.Requests() > 0 {
		t.Errorf("after a call that was late\n got %q, with %d requests\nwant %q, and none", got, w.intercom.Requests(), want)
	}
	var detail string
	w.scan(&detail, `select detail from dunlin.deliveries where token is null and leased_until is null and poked_until > clock_timestamp()`)
	if want := "the call did not start in time"; detail != want {
		t.Errorf("detail\n got %q\nwant %q", detail, want)
	}
	w.deliver(key)
	if got, want := w.stands(key), "sent - 2"; got != want || len(w.intercom.Accepted()) != 1 {
		t.Errorf("claimed again\n got %q, accepted %+v\nwant %q, and one", got, w.intercom.Accepted(), want)
	}
}

// TestDeliver_contactNotRead: when Intercom cannot be asked who the contact is,
// the delivery waits, named, and is not claimed.
func TestDeliver_contactNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, func(r *http.Request) sandbox.Fault {
		return sandbox.Fault{Kind: sandbox.FaultStatus, Status: 401}
	})
	w.owing(1)
	w.start()
	key := w.keys()[0]
	w.deliver(key)
	if got, want := w.stands(key), "planned intercom_refuses 0"; got != want {
		t.Errorf("the contact cannot be read\n got %q\nwant %q", got, want)
	}
}

// TestDeliver_oldData holds no-stale-contact: where the data are older than the
// campaign puts up with, Stripe's list of events is read before anything is sent,
// and whoever has paid meanwhile hears nothing.
func TestDeliver_oldData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		after    time.Duration // since the data were known
		paid     bool
		first    string // how it stands after one attempt
		last     string // and after the events were applied, and another attempt
		accepted int
	}{
		{"nothing has happened", 20 * time.Minute, false, "sent - 1", "sent - 1", 1},
		{"has paid", 23 * time.Hour, true, "planned unapplied_event 0", "planned left_segment 0", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, aMessage, nil)
			merchant := w.mirrored()
			key := w.outdated(merchant, tt.after, tt.paid)
			w.deliver(key)
			if got := w.stands(key); got != tt.first {
				t.Errorf("at first\n got %q\nwant %q", got, tt.first)
			}
			if err := (&applyWorker{Config: w.Config}).Work(t.Context(), &river.Job[ApplyArgs]{Args: ApplyArgs{Account: "shop"}}); err != nil {
				t.Fatal(err)
			}
			w.exec(`update dunlin.deliveries set due_at = least(due_at, $1)`, merchant.Now())
			w.deliver(key)
			if got := w.stands(key); got != tt.last {
				t.Errorf("in the end\n got %q\nwant %q", got, tt.last)
			}
			if got := len(w.intercom.Accepted()); got != tt.accepted {
				t.Errorf("accepted\n got %d\nwant %d", got, tt.accepted)
			}
		})
	}
}

// TestDeliver_stripeAway: without Stripe's answer what has old data waits, named,
// and its job does not wait as long as a sync would.
func TestDeliver_stripeAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	key := w.outdated(w.mirrored(), 20*time.Minute, false)
	w.stripe.Close()
	w.StripeWithin = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.worker().Work(ctx, deliverJob(key)); err != nil {
		t.Error(err)
	}
	if got, want := w.stands(key), "planned data_too_old 0"; got != want || len(w.intercom.Accepted()) > 0 {
		t.Errorf("while Stripe is away\n got %q, accepted %+v\nwant %q, and nothing", got, w.intercom.Accepted(), want)
	}
}

// outdated lets time pass of which nobody is told, and returns the delivery of
// somebody who owes, as far as we know, and has paid meanwhile or not.
func (w *world) outdated(merchant *sandbox.Sandbox, after time.Duration, paid bool) campaigns.Key {
	w.t.Helper()
	w.start()
	if _, err := merchant.Advance(w.t.Context(), noon.Add(after)); err != nil {
		w.t.Fatal(err)
	}
	owes := map[string]bool{}
	for _, r := range merchant.Residents() {
		if now := r.History[len(r.History)-1]; !now.Deleted {
			owes[r.Customer] = now.Delinquent
		}
	}
	for _, key := range w.keys() {
		var id string
		w.scan(&id, `select stripe_id from dunlin.customers where customer_id = $1`, key.Customer)
		if now, ok := owes[id]; ok && now != paid {
			w.intercom.AddContact(sandbox.Contact{ID: w.contact(0), Role: "user"})
			w.linked(key, w.contact(0), merchant.Now())
			return key
		}
	}
	w.t.Fatal("of this seed there is nobody like that")
	return campaigns.Key{}
}

// TestDeliver_noToken: without a client there is nobody to call, and that is named.
func TestDeliver_noToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aMessage, nil)
	w.owing(1)
	w.start()
	w.Intercom = nil
	key := w.keys()[0]
	w.linked(key, w.contact(0), noon)
	w.deliver(key)
	if got, want := w.stands(key), "planned intercom_refuses 1"; got != want {
		t.Errorf("without a token\n got %q\nwant %q", got, want)
	}
}
