package intercom

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
)

// TestChangeTicket: a ticket is resolved, given to somebody, snoozed and noted, as
// Intercom describes the calls.
func TestChangeTicket(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	fake := sandbox.NewIntercom(func() time.Time { return now }, "dG9rOmFiYw==")
	contact := strings.Repeat("a", 24)
	fake.AddContact(sandbox.Contact{ID: contact, Email: "ann@example.com", Role: "user"})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	c := newTestClient(t, server.URL, func(cfg *Config) { cfg.Token = "dG9rOmFiYw==" })
	pool := pgtest.New(t)
	ctx := t.Context()
	objects, err := Setup(ctx, c, pool, now)
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.CreateTicket(ctx, Ticket{Type: objects.TicketType, Contact: contact, Title: "Call", Admin: sandbox.IntercomAdmin, Team: sandbox.IntercomTeamBilling})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := c.Ticket(ctx, id)
	if err != nil || seen.Admin != sandbox.IntercomAdmin || seen.Team != sandbox.IntercomTeamBilling || seen.Resolved() || !seen.Updated.Equal(now) {
		t.Fatalf("opened\n got %+v (%v)", seen, err)
	}
	for range 2 { // the second time it is remembered
		state, err := TicketStateFor(ctx, c, pool, true, now)
		if err != nil || state != "8324" {
			t.Errorf("a state that is resolved\n got %q (%v)\nwant 8324", state, err)
		}
	}
	if open, err := TicketStateFor(ctx, c, pool, false, now); err != nil || open != "8321" {
		t.Errorf("a state to be worked on\n got %q (%v)\nwant 8321", open, err)
	}
	until := now.Add(24 * time.Hour)
	now = now.Add(time.Minute)
	seen, err = c.ChangeTicket(ctx, id, TicketChange{State: "8324", Assignee: sandbox.IntercomTeamRenewal, Snoozed: until, Admin: sandbox.IntercomAdmin})
	if err != nil || !seen.Resolved() || seen.Team != sandbox.IntercomTeamRenewal || !seen.Snoozed.Equal(until) || !seen.Updated.Equal(now) {
		t.Errorf("changed\n got %+v (%v)", seen, err)
	}
	if err := c.NoteTicket(ctx, id, sandbox.IntercomAdmin, "<p>the customer has paid</p>", "dunlin-1-2"); err != nil {
		t.Fatal(err)
	}
	if seen, err = c.Ticket(ctx, id); err != nil || !seen.Noted("dunlin-1-2") || seen.Noted("dunlin-1") {
		t.Errorf("noted\n got %q (%v)", seen.Parts, err)
	}
	for what, err := range map[string]error{
		"nothing to change": second(c.ChangeTicket(ctx, id, TicketChange{Admin: "1"})), "no ticket": second(c.ChangeTicket(ctx, "", TicketChange{State: "8324"})),
		"an unknown state": second(c.ChangeTicket(ctx, id, TicketChange{State: "1"})), "an empty note": c.NoteTicket(ctx, id, "1", " ", "r"),
		"nobody's note": c.NoteTicket(ctx, id, "", "x", "r"),
	} {
		if !Refused(err) {
			t.Errorf("%s\n got %v\nwant it refused", what, err)
		}
	}
	if err := ForgetTicketStates(ctx, pool); err != nil {
		t.Fatal(err)
	}
	var remembered int
	if err := pool.QueryRow(ctx, `select count(*) from dunlin.intercom_objects where name like 'ticket_state:%'`).Scan(&remembered); err != nil || remembered != 0 {
		t.Errorf("forgotten\n got %d (%v)", remembered, err)
	}
}

func second[T any](_ T, err error) error { return err }
