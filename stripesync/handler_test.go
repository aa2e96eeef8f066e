package stripesync

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stripe/stripe-go/v76/webhook"
)

var updated = eventJSON(ourVersion, "evt_1", "customer.updated", noon, `{"id":"cus_1", "object":"customer","name":"A \"\\u00e9\" \\\\"}`)

func sign(body, secret string, at time.Time) string {
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(webhook.ComputeSignature(at, []byte(body), secret)))
}

func TestHandler_storesBytesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		if got := w.deliver(updated).Code; got != http.StatusOK {
			t.Fatalf("answer\n got %d\nwant 200", got)
		}
	}
	var raw, state string
	var received time.Time
	err := w.pool.QueryRow(t.Context(), `select raw::text, state, received_at from dunlin.stripe_events`).Scan(&raw, &state, &received)
	if err != nil {
		t.Fatal(err)
	}
	if raw != updated || state != "stored" || !received.Equal(noon) {
		t.Errorf("stored\n got %s %s %s\nwant %s stored %s", raw, state, received, updated, noon)
	}
	if got, want := w.Counts(), (Counts{Stored: 1, Duplicates: 2}); got != want {
		t.Errorf("counts\n got %+v\nwant %+v", got, want)
	}
	if applies, _ := w.pokes(); applies != 1 {
		t.Errorf("pokes\n got %d\nwant 1: a duplicate is no news", applies)
	}
}

func TestHandler_refuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := sign(updated, testSecret, noon)
	tests := []struct {
		name, body, signature string
		status                int
		says                  string
	}{
		{"no signature", updated, "", 400, "missing"},
		{"unreadable signature", updated, "v1", 400, "unreadable"},
		{"a time that is no number", updated, "t=x,v1=00", 400, "unreadable"},
		{"only the test scheme", updated, strings.Replace(good, "v1=", "v0=", 1), 400, "unreadable"},
		{"another's secret", updated, sign(updated, "whsec_three", noon), 400, "STRIPE_WEBHOOK_SECRET"},
		{"a changed body", strings.Replace(updated, "cus_1", "cus_2", 1), good, 400, "STRIPE_WEBHOOK_SECRET"},
		{"a changed time", updated, strings.Replace(good, "t=", "t=1", 1), 400, "STRIPE_WEBHOOK_SECRET"},
		{"five minutes and a second old", updated, sign(updated, testSecret, noon.Add(-301*time.Second)), 400, "old"},
		{"not JSON", "hello", sign("hello", testSecret, noon), 400, "not the JSON of a Stripe event"},
		{"not an event", `{"id":"cus_1"}`, sign(`{"id":"cus_1"}`, testSecret, noon), 400, "no id or no type"},
		{"no time", `{"id":"evt_1","type":"x"}`, sign(`{"id":"evt_1","type":"x"}`, testSecret, noon), 400, "created"},
		{"not UTF-8", "\xff", sign("\xff", testSecret, noon), 400, "UTF-8"},
		{"oversized", strings.Repeat(" ", maxBody+1), good, 413, "1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := w.post(tt.body, tt.signature)
			said := strings.TrimSuffix(answer.Body.String(), "\n")
			if answer.Code != tt.status || !strings.Contains(said, tt.says) || strings.Contains(said, "\n") {
				t.Errorf("answer\n got %d %q\nwant %d, one line with %q", answer.Code, said, tt.status, tt.says)
			}
		})
	}
	if n := w.events(); n != 0 {
		t.Errorf("stored\n got %d events\nwant none", n)
	}
	if got, want := w.Counts().Refused, int64(len(tests)); got != want {
		t.Errorf("refused\n got %d\nwant %d", got, want)
	}
}

func TestHandler_accepts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := []struct{ name, signature string }{
		{"the first secret", sign(updated, testSecret, noon)},
		{"the second secret", sign(updated, "whsec_two", noon)},
		{"one of several signatures", "t=" + fmt.Sprint(noon.Unix()) + ",v0=ab,v1=" + strings.Repeat("00", 32) + ",v1=" +
			hex.EncodeToString(webhook.ComputeSignature(noon, []byte(updated), testSecret))},
		{"exactly five minutes old", sign(updated, testSecret, noon.Add(-5*time.Minute))},
		{"from the future, as stripe-go does", sign(updated, testSecret, noon.Add(time.Hour))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if answer := w.post(updated, tt.signature); answer.Code != http.StatusOK {
				t.Errorf("answer\n got %d %s\nwant 200", answer.Code, answer.Body)
			}
		})
	}
}

// The signature's age is by the Clock, which a sandbox may have set to any year.
func TestHandler_ageIsByTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	signature := sign(updated, testSecret, noon)
	w.clock.add(6 * time.Minute)
	if got := w.post(updated, signature).Code; got != http.StatusBadRequest {
		t.Errorf("six minutes later\n got %d\nwant 400", got)
	}
	if got := w.deliver(updated).Code; got != http.StatusOK {
		t.Errorf("signed again\n got %d\nwant 200", got)
	}
}

func TestHandler_otherMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	answer := httptest.NewRecorder()
	w.Handler().ServeHTTP(answer, r)
	if answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != "POST" {
		t.Errorf("GET\n got %d Allow %q\nwant 405 Allow POST", answer.Code, answer.Header().Get("Allow"))
	}
}

func TestHandler_withoutSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secrets = nil
	if answer := w.deliver(updated); answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "STRIPE_WEBHOOK_SECRET") {
		t.Errorf("answer\n got %d %s\nwant 503 that names STRIPE_WEBHOOK_SECRET", answer.Code, answer.Body)
	}
}

// safe-webhooks: while Postgres is away the answer is 503, except to
// invoice.created.
func TestHandler_databaseAway(t *testing.T) {
	t.Parallel()
	created := eventJSON(ourVersion, "evt_2", "invoice.created", noon, `{"id":"in_1","customer":"cus_1"}`)
	tests := []struct {
		name string
		away func(t *testing.T, w *world)
	}{
		{"gone", func(t *testing.T, w *world) {
			config, err := pgxpool.ParseConfig("postgres://127.0.0.1:1/none")
			if err != nil {
				t.Fatal(err)
			}
			w.pool = openPool(t, config)
		}},
		{"silent", func(t *testing.T, w *world) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
			config, err := pgxpool.ParseConfig("postgres://" + listener.Addr().String() + "/none?sslmode=disable")
			if err != nil {
				t.Fatal(err)
			}
			w.pool = openPool(t, config)
			w.inbox.wait = 50 * time.Millisecond
		}},
		{"stopping", func(_ *testing.T, w *world) { w.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.away(t, w)
			if got := w.deliver(updated).Code; got != http.StatusServiceUnavailable {
				t.Errorf("customer.updated\n got %d\nwant 503", got)
			}
			if got := w.deliver(created).Code; got != http.StatusOK {
				t.Errorf("invoice.created\n got %d\nwant 200", got)
			}
			if got, want := w.Counts(), (Counts{Turned: 1, Unstored: 1}); got != want {
				t.Errorf("counts\n got %+v\nwant %+v", got, want)
			}
			if !strings.Contains(w.log.String(), "invoice.created answered without being stored") || !strings.Contains(w.log.String(), "evt_2") {
				t.Errorf("the log does not say that evt_2 was not stored:\n%s", w.log)
			}
		})
	}
}

func openPool(t *testing.T, config *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// A poke that fails must not turn events away: they are durable, and swept.
func TestHandler_pokeFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pokeApply = func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into no_such_table values (1)`)
		return err
	}
	if got := w.deliver(updated).Code; got != http.StatusOK || w.events() != 1 {
		t.Errorf("answer %d with %d events stored, want 200 with 1", got, w.events())
	}
}

// Requests that arrive together share inserts, and one that Postgres refuses
// turns away nobody else.
func TestHandler_sharedInsert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`create function refuse() returns trigger language plpgsql as
		$$ begin if new.id = 'evt_bad' then raise exception 'no' using errcode = '22000'; end if; return new; end $$`)
	w.exec(`create trigger refuse before insert on dunlin.stripe_events for each row execute function refuse()`)

	const n = 400
	codes := make([]int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			id := fmt.Sprintf("evt_%d", i)
			if i == 77 {
				id = "evt_bad"
			}
			codes[i] = w.deliver(eventJSON(ourVersion, id, "customer.updated", noon, `{"id":"cus_1"}`)).Code
		})
	}
	all.Wait()
	for i, code := range codes {
		if want := map[bool]int{true: 400, false: 200}[i == 77]; code != want {
			t.Fatalf("answer %d\n got %d\nwant %d", i, code, want)
		}
	}
	if got := w.events(); got != n-1 {
		t.Errorf("stored\n got %d\nwant %d", got, n-1)
	}
}

// No answer leaves before its event is durable, and a caller who has gone does
// not hold up the others.
func TestInbox(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan int, 8), make(chan error)
	b := &inbox{wait: time.Minute, store: func(_ context.Context, batch []event) []error {
		begun <- len(batch)
		errs := make([]error, len(batch))
		err := <-goOn
		for i := range errs {
			errs[i] = err
		}
		return errs
	}}
	answers := make(chan error, 8)
	put := func(ctx context.Context, id string) { answers <- b.put(ctx, event{ID: id}) }

	go put(t.Context(), "first")
	if n := <-begun; n != 1 {
		t.Fatalf("first insert: %d events, want 1", n)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	put(gone, "second")
	if err := <-answers; !errors.Is(err, context.Canceled) {
		t.Fatalf("who has gone\n got %v\nwant canceled", err)
	}
	queued := make(chan struct{})
	go func() {
		w := &waiting{event: event{ID: "third"}, done: make(chan error, 1)}
		_ = b.enqueue(w)
		close(queued)
		answers <- <-w.done
	}()
	<-queued
	select {
	case err := <-answers:
		t.Fatalf("an answer left before its event was durable: %v", err)
	default:
	}
	goOn <- nil
	if err := <-answers; err != nil {
		t.Errorf("first\n got %v\nwant nil", err)
	}
	if n := <-begun; n != 2 {
		t.Errorf("second insert: %d events, want 2 that gathered", n)
	}
	broken := errors.New("broken")
	goOn <- broken
	if err := <-answers; !errors.Is(err, broken) {
		t.Errorf("third\n got %v\nwant %v", err, broken)
	}
	b.close()
	if err := b.put(t.Context(), event{}); !errors.Is(err, errClosed) {
		t.Errorf("after close\n got %v\nwant %v", err, errClosed)
	}
}

func TestInbox_isBounded(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	b := &inbox{wait: time.Minute, store: func(_ context.Context, batch []event) []error {
		<-stop
		return make([]error, len(batch))
	}}
	var err error
	n := 0
	for ; err == nil && n <= maxQueued+maxShared; n++ {
		err = b.enqueue(&waiting{done: make(chan error, 1)})
	}
	if !errors.Is(err, errQueueFull) {
		t.Errorf("after %d events\n got %v\nwant %v", n, err, errQueueFull)
	}
	close(stop)
	b.close()

	big := &inbox{wait: time.Minute, store: b.store, busy: true}
	big.bytes = maxQueuedBytes
	if err := big.enqueue(&waiting{event: event{Raw: bytes.Repeat([]byte("x"), 10)}}); !errors.Is(err, errQueueFull) {
		t.Errorf("by size\n got %v\nwant %v", err, errQueueFull)
	}
}
