package intercom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Categories of ticket states that a ticket is put into.
const (
	submittedCategory = "submitted"
	resolvedCategory  = "resolved"
)

// A TicketChange is what is to be different about a ticket. The zero value of a
// field leaves it as it is.
type TicketChange struct {
	State    string    // id of a state of the ticket's type; see [TicketStateFor]
	Assignee string    // id of a teammate or a team
	Snoozed  time.Time // until when; whole seconds
	Admin    string    // id of the teammate in whose name it is done
}

// ChangeTicket changes a ticket and returns where it stands then. Doing it twice
// is doing it once.
func (c *Client) ChangeTicket(ctx context.Context, id string, change TicketChange) (TicketStatus, error) {
	const op = "PUT /tickets/{id}"
	body := map[string]any{}
	if change.State != "" {
		body["ticket_state_id"] = change.State
	}
	if change.Assignee != "" {
		body["assignee_id"] = change.Assignee // flat here, unlike in a new ticket
	}
	if !change.Snoozed.IsZero() {
		body["snoozed_until"] = change.Snoozed.Unix()
	}
	switch {
	case id == "":
		return TicketStatus{}, wrong(op, "the ticket has no id")
	case len(body) == 0:
		return TicketStatus{}, wrong(op, "nothing is to be changed")
	}
	if change.Admin != "" {
		body["admin_id"] = json.Number(change.Admin) // a number here, unlike in a note
	}
	var out ticketJSON
	err := c.do(ctx, call{
		op: op, kind: idempotent, path: []string{"tickets", id},
		body: body, out: &out, ok: func() bool { return out.ID != "" },
	})
	if err != nil {
		return TicketStatus{}, err
	}
	return out.status(), nil
}

// NoteTicket writes a note for colleagues into a ticket, once. It carries the
// reference, by which [TicketStatus.Noted] finds it.
func (c *Client) NoteTicket(ctx context.Context, id, admin, html, reference string) error {
	const op = "POST /tickets/{id}/reply"
	switch {
	case id == "" || admin == "":
		return wrong(op, "the ticket or the teammate who writes has no id")
	case strings.TrimSpace(html) == "":
		return wrong(op, "the note is empty")
	}
	return c.do(ctx, call{
		op: op, kind: once, path: []string{"tickets", id, "reply"},
		body: map[string]any{"message_type": "note", "type": "admin", "admin_id": admin, "body": marked(html, reference)},
	})
}

// Noted reports whether a note that carries the reference is there.
func (t TicketStatus) Noted(reference string) bool {
	for _, part := range t.Parts {
		if carries(part, reference) {
			return true
		}
	}
	return false
}

// TicketStateFor returns the id of the state that follow-up tickets are put into:
// one of the workspace that is resolved, or one that is to be worked on. It is
// remembered in the database. It may talk to Intercom, so q must not be a
// transaction.
func TicketStateFor(ctx context.Context, client *Client, q Querier, resolved bool, now time.Time) (string, error) {
	category := submittedCategory
	if resolved {
		category = resolvedCategory
	}
	var id string
	err := q.QueryRow(ctx, `select id from dunlin.intercom_objects where name = $1`, stateRow+category).Scan(&id)
	if err == nil || !errors.Is(err, pgx.ErrNoRows) {
		return id, err
	}
	objects, err := ReadObjects(ctx, q)
	if err != nil {
		return "", err
	}
	states, err := client.TicketStates(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range states {
		if s.Category == category && !s.Archived && s.of(objects.TicketType) {
			return s.ID, storeObject(ctx, q, stateRow+category, s.ID, s.Label, now)
		}
	}
	return "", wrong("GET /ticket_states", fmt.Sprintf("the ticket type of follow-ups has no state that is %s; add one in Intercom's ticket settings", category))
}

// ForgetTicketStates drops what [TicketStateFor] remembers. Call it when Intercom
// refuses a state: it was archived, or taken from the type.
func ForgetTicketStates(ctx context.Context, q Querier) error {
	if _, err := q.Exec(ctx, `delete from dunlin.intercom_objects where name like $1 || '%'`, stateRow); err != nil {
		return fmt.Errorf("forget the ticket states at Intercom: %w", err)
	}
	return nil
}
