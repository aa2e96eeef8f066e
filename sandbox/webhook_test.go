package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

// endpoint takes webhooks, checks each with stripe-go, and answers what it is told.
type endpoint struct {
	*httptest.Server
	t      *testing.T
	s      *Sandbox
	mu     sync.Mutex
	refuse func(id string, attempt int) bool
	tries  map[string]int
	taken  map[string]stripe.Event
	order  []string

	anyVersion bool // events may have a version that stripe-go does not expect
}

func newEndpoint(t *testing.T, s *Sandbox) *endpoint {
	e := &endpoint{t: t, s: s, tries: map[string]int{}, taken: map[string]stripe.Event{}}
	e.Server = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.Close)
	s.SendWebhooksTo(e.URL + "/webhooks/stripe/sandbox")
	return e
}

func (e *endpoint) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	// The signature's age is by the virtual clock, which the wall clock knows nothing of.
	ev, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), WebhookSecret, webhook.ConstructEventOptions{IgnoreTolerance: true, IgnoreAPIVersionMismatch: e.anyVersion})
	if err != nil {
		e.t.Errorf("a webhook that stripe-go refuses: %v", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tries[ev.ID]++
	if e.refuse != nil && e.refuse(ev.ID, e.tries[ev.ID]) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	e.taken[ev.ID] = ev
	e.order = append(e.order, ev.ID)
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 11, 100)
	e := newEndpoint(t, s)
	happened := live(t, s, 6)
	if happened.Undelivered != 0 || len(e.taken) != happened.Events || happened.Events == 0 {
		t.Fatalf("%d events, %d taken, %d undelivered", happened.Events, len(e.taken), happened.Undelivered)
	}
	for id, ev := range e.taken {
		made := s.world.byID[id].(*event)
		var object map[string]any
		if err := json.Unmarshal(made.object, &object); err != nil || ev.Created != made.created || string(ev.Type) != made.typ || ev.PendingWebhooks != 1 {
			t.Fatalf("event %+v\nwant %s", ev, made.raw())
		}
		if made.pending != 0 {
			t.Errorf("%s was delivered and is pending", id)
		}
	}
	told := 0
	for _, r := range s.Residents() {
		for n, state := range r.History {
			switch {
			case n == 0 && state.At.Before(s.Now().AddDate(0, 0, -6).Add(time.Second)):
				if !state.Told.IsZero() {
					t.Errorf("%s: the initial state was told at %s", r.Customer, state.Told)
				}
			case state.Told.Before(state.At):
				t.Errorf("%s: a state of %s was told at %s", r.Customer, state.At, state.Told)
			default:
				told++
			}
		}
	}
	if told == 0 {
		t.Error("no state was told")
	}
}

func TestWebhooks_orderIsNobodys(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 12, 1)
	var events []letter
	for n := range 40 {
		events = append(events, letter{event: &event{id: "evt_" + itoa(int64(n))}, to: &webhookEndpoint{}})
	}
	shuffle(s.world.dice, events)
	again := append([]letter(nil), events...)
	again[0], again[20] = again[20], again[0]
	shuffle(s.world.dice, again)
	moved := 0
	for n := range events {
		if events[n] != again[n] {
			t.Fatal("the order depends on how the events came")
		}
		if events[n].event.id != "evt_"+itoa(int64(n)) {
			moved++
		}
	}
	if moved < 30 {
		t.Errorf("only %d of 40 events moved", moved)
	}
}

func TestWebhooks_insist(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 13, 60)
	e := newEndpoint(t, s)
	e.refuse = func(_ string, attempt int) bool { return attempt <= 2 } // at once again
	first := advanceToEvents(t, s)
	if first.Undelivered != 0 || len(e.taken) != first.Events {
		t.Fatalf("refused twice: %d of %d taken, %d undelivered", len(e.taken), first.Events, first.Undelivered)
	}
	e.refuse = func(string, int) bool { return true } // an outage
	second := advanceToEvents(t, s)
	if second.Undelivered != second.Events {
		t.Fatalf("refused always: %d of %d undelivered", second.Undelivered, second.Events)
	}
	if _, body := get(t, s, "/v1/events?delivery_success=false&limit=100"); len(body["data"].([]any)) != min(100, second.Events) {
		t.Errorf("%d events on the list of undelivered ones, want %d", len(body["data"].([]any)), second.Events)
	}
	e.refuse = nil
	third, err := s.Advance(context.Background(), s.Now().Add(time.Minute))
	if err != nil || third.Undelivered != 0 || len(e.taken) != first.Events+second.Events+third.Events {
		t.Errorf("after the outage: %d taken, %d undelivered, %v", len(e.taken), third.Undelivered, err)
	}
}

func TestWebhooks_nobodyThere(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 14, 60)
	e := newEndpoint(t, s)
	e.Close()
	h := advanceToEvents(t, s)
	if h.Undelivered != h.Events {
		t.Errorf("%d of %d undelivered at a closed port", h.Undelivered, h.Events)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Advance(ctx, s.Now()); err == nil {
		t.Error("Advance with a context that is done succeeded")
	}
}

// advanceToEvents advances until something happens.
func advanceToEvents(t *testing.T, s *Sandbox) Happened {
	t.Helper()
	for range 1000 {
		h, err := s.Advance(context.Background(), s.Next())
		if err != nil {
			t.Fatal(err)
		}
		if h.Events > 0 {
			return h
		}
	}
	t.Fatal("nothing ever happens")
	return Happened{}
}
