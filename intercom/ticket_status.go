package intercom

import (
	"context"
	"time"
)

// A TicketStatus is where an existing ticket stands.
type TicketStatus struct {
	ID         string
	Number     string // what people see; not for the API
	Type       string // id of its type
	State      TicketState
	Open       bool
	Admin      string            // id of the teammate it is assigned to; empty: nobody
	Team       string            // id of the team; empty: none
	Snoozed    time.Time         // until when; zero: it is not snoozed
	Updated    time.Time         // Intercom's clock, whole seconds; zero: not stated
	Contacts   []string          // ids
	Attributes map[string]string // text attributes by name, title and description among them
	Parts      []string          // what was written in it, HTML, as far as Intercom shows
}

// Resolved reports whether its work is done.
func (t TicketStatus) Resolved() bool { return t.State.Category == resolvedCategory }

// ticketJSON is a ticket as answers and notifications have it.
type ticketJSON struct {
	ID     text            `json:"id"`
	Number text            `json:"ticket_id"`
	State  ticketStateJSON `json:"ticket_state"`
	Type   struct {
		ID text `json:"id"`
	} `json:"ticket_type"`
	Open     flag    `json:"open"`
	Admin    text    `json:"admin_assignee_id"`
	Team     text    `json:"team_assignee_id"`
	Snoozed  instant `json:"snoozed_until"`
	Updated  instant `json:"updated_at"`
	Contacts struct {
		Contacts []struct {
			ID text `json:"id"`
		} `json:"contacts"`
	} `json:"contacts"`
	Attributes map[string]any `json:"ticket_attributes"`
	Parts      struct {
		Parts []struct {
			Body text `json:"body"`
		} `json:"ticket_parts"`
	} `json:"ticket_parts"`
}

func (j ticketJSON) status() TicketStatus {
	t := TicketStatus{
		ID: string(j.ID), Number: string(j.Number), Type: string(j.Type.ID),
		State: j.State.state(), Open: bool(j.Open),
		Admin: idOrNone(j.Admin), Team: idOrNone(j.Team),
		Snoozed: time.Time(j.Snoozed), Updated: time.Time(j.Updated),
		Attributes: map[string]string{},
	}
	for _, contact := range j.Contacts.Contacts {
		t.Contacts = append(t.Contacts, string(contact.ID))
	}
	for name, v := range j.Attributes {
		if s, ok := v.(string); ok {
			t.Attributes[name] = s
		}
	}
	for _, part := range j.Parts.Parts {
		if part.Body != "" {
			t.Parts = append(t.Parts, string(part.Body))
		}
	}
	return t
}

// Ticket returns where a ticket stands. [Gone] reports that it was deleted.
func (c *Client) Ticket(ctx context.Context, id string) (TicketStatus, error) {
	const op = "GET /tickets/{id}"
	if id == "" {
		return TicketStatus{}, wrong(op, "the ticket has no id")
	}
	var out ticketJSON
	err := c.do(ctx, call{op: op, path: []string{"tickets", id}, out: &out, ok: func() bool { return out.ID != "" }})
	if err != nil {
		return TicketStatus{}, err
	}
	return out.status(), nil
}
