package intercom

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin/dunlin/sandbox"
)

// ana is a contact of the tests' Intercom.
const ana = "6762f23b1bb6000000000001"

// An inbox is an Intercom whose clock a test moves, with one contact.
type inbox struct {
	*sandbox.Intercom
	*Client
	now    time.Time
	faults atomic.Pointer[func(*http.Request) sandbox.Fault]
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	b := &inbox{now: time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)}
	b.Intercom = sandbox.NewIntercom(func() time.Time { return b.now }, testToken)
	b.Intercom.AddContact(sandbox.Contact{ID: ana, Email: "ana@example.com", Role: "user"})
	b.Faults = func(r *http.Request) sandbox.Fault {
		if how := b.faults.Load(); how != nil && *how != nil {
			return (*how)(r)
		}
		return sandbox.Fault{}
	}
	server := httptest.NewServer(b.Intercom)
	t.Cleanup(server.Close)
	b.Client = newTestClient(t, server.URL)
	return b
}

// lose lets every write be carried out and its answer get lost.
func (b *inbox) lose() {
	b.fail(func(r *http.Request) sandbox.Fault {
		if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/search") {
			return sandbox.Fault{Kind: sandbox.FaultReset, Process: true}
		}
		return sandbox.Fault{}
	})
}

// fail says what goes wrong from now on; nil: nothing.
func (b *inbox) fail(how func(*http.Request) sandbox.Fault) { b.faults.Store(&how) }

// What was done although its answer was lost is found by its reference, once the
// index has it; what was not done is not.
func TestFind(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	b.SearchLag = 3 * time.Minute
	kind, err := b.CreateTicketType(t.Context(), TicketTypeName, "")
	if err != nil {
		t.Fatal(err)
	}
	attribute, err := b.CreateTicketTypeAttribute(t.Context(), kind.ID, ReferenceAttributeName, "d")
	if err != nil {
		t.Fatal(err)
	}
	began := b.now
	b.lose()
	traces := map[string]struct {
		lags bool
		send func(reference string) error
		find func(reference string) (string, error)
	}{
		"message": {true, func(reference string) error {
			_, err := b.CreateMessage(t.Context(), Message{From: sandboxSender, To: ana, Role: "user", Body: "<p>Hi</p>", Traceable: true, Reference: reference})
			return err
		}, func(reference string) (string, error) { return b.FindMessage(t.Context(), ana, reference, began) }},
		"ticket": {true, func(reference string) error {
			_, err := b.CreateTicket(t.Context(), Ticket{Type: kind.ID, Contact: ana, Title: "Call", Reference: reference, ReferenceAttribute: attribute.Name})
			return err
		}, func(reference string) (string, error) {
			return b.FindTicket(t.Context(), attribute.ID, reference)
		}},
		"note": {false, func(reference string) error {
			_, err := b.CreateNote(t.Context(), Note{Contact: ana, Body: "<p>Hi</p>", Reference: reference})
			return err
		}, func(reference string) (string, error) { return b.FindNote(t.Context(), ana, reference, began) }},
	}
	for kind, x := range traces {
		if err := x.send("k7"); !Unknown(err) {
			t.Errorf("%s: its answer was lost, and it says %v", kind, err)
		}
		id, err := x.find("k7")
		if err != nil || (id == "") != x.lags {
			t.Errorf("%s, at once: found %q, %v; in an index that lags: %v", kind, id, err, x.lags)
		}
	}
	b.now = b.now.Add(3 * time.Minute)
	for kind, x := range traces {
		want := ""
		for _, a := range b.Accepted() {
			if a.Kind == kind {
				want = a.ID
			}
		}
		if id, err := x.find("k7"); err != nil || id != want || want == "" {
			t.Errorf("%s, later\n got %q, %v\nwant %q", kind, id, err, want)
		}
		if id, err := x.find("k"); err != nil || id != "" {
			t.Errorf("%s, another reference: found %q, %v", kind, id, err)
		}
		if id, err := x.find(""); !errors.Is(err, ErrNoTrace) || id != "" {
			t.Errorf("%s, no reference: found %q, %v", kind, id, err)
		}
	}
}

// What is not traceable leaves nothing to find.
func TestFind_untraceable(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	if _, err := b.CreateMessage(t.Context(), Message{From: sandboxSender, To: ana, Role: "user", Body: "Hi", Reference: "k7"}); err != nil {
		t.Fatal(err)
	}
	if id, err := b.FindMessage(t.Context(), ana, "k7", b.now); err != nil || id != "" {
		t.Errorf("found %q, %v", id, err)
	}
}

// A contact that was merged after the message left takes its trace along.
func TestFind_merged(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	survivor := strings.Repeat("d", 24)
	b.Intercom.AddContact(sandbox.Contact{ID: survivor, Role: "user"})
	id, err := b.CreateMessage(t.Context(), Message{From: sandboxSender, To: ana, Role: "user", Body: "<p>Hi</p>", Traceable: true, Reference: "k7"})
	if err != nil {
		t.Fatal(err)
	}
	note, err := b.CreateNote(t.Context(), Note{Contact: ana, Body: "<p>Hi</p>", Reference: "k7"})
	if err != nil {
		t.Fatal(err)
	}
	b.Merge(ana, survivor)
	for _, contact := range []string{ana, survivor} {
		if got, err := b.FindNote(t.Context(), contact, "k7", b.now); err != nil || got != note {
			t.Errorf("the note, under %s\n got %q, %v\nwant %q", contact, got, err, note)
		}
		if got, err := b.FindMessage(t.Context(), contact, "k7", b.now); err != nil || got != id {
			t.Errorf("under %s\n got %q, %v\nwant %q", contact, got, err, id)
		}
	}
	if got, err := b.FindNote(t.Context(), strings.Repeat("e", 24), "k7", b.now); !Gone(err) || got != "" {
		t.Errorf("of nobody\n got %q, %v\nwant that the contact is gone", got, err)
	}
}

// All pages are read before something is called not found, and pages that do not
// end are no such answer.
func TestFind_pages(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	for n := range searchPage + 1 {
		if _, err := b.CreateNote(t.Context(), Note{Contact: ana, Body: "<p>Hi</p>", Reference: fmt.Sprint("n", n)}); err != nil {
			t.Fatal(err)
		}
	}
	if id, err := b.FindNote(t.Context(), ana, "n0", b.now); err != nil || id == "" {
		t.Errorf("on the second page: found %q, %v", id, err)
	}
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"data":[],"pages":{"next":{"starting_after":"same"}}}`)
	})
	if id, err := newTestClient(t, base).FindNote(t.Context(), ana, "n0", b.now); err == nil {
		t.Errorf("pages without end: found %q", id)
	}
}
