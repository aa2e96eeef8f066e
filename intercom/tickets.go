package intercom

import (
	"context"
	"strings"
)

// BackOffice is the category of tickets that customers never see.
const BackOffice = "Back-office"

// Every ticket type has these two attributes.
const (
	titleAttribute       = "_default_title_"
	descriptionAttribute = "_default_description_"
)

// A TicketType is a kind of ticket.
type TicketType struct {
	ID, Name   string
	Category   string // Customer, Back-office or Tracker
	Archived   bool
	Attributes []TicketAttribute
}

// A TicketAttribute is a field of a ticket type.
type TicketAttribute struct {
	ID, Name string
	DataType string // string, list, integer, decimal, boolean, datetime or files
	Required bool   // a ticket cannot be created without it
	Archived bool
}

type ticketAttributeJSON struct {
	ID       text `json:"id"`
	Name     text `json:"name"`
	DataType text `json:"data_type"`
	Required flag `json:"required_to_create"`
	Archived flag `json:"archived"`
}

func (j ticketAttributeJSON) attribute() TicketAttribute {
	return TicketAttribute{
		ID: string(j.ID), Name: string(j.Name), DataType: string(j.DataType),
		Required: bool(j.Required), Archived: bool(j.Archived),
	}
}

type ticketTypeJSON struct {
	ID         text `json:"id"`
	Name       text `json:"name"`
	Category   text `json:"category"`
	Archived   flag `json:"archived"`
	Attributes struct {
		Data []ticketAttributeJSON `json:"data"`
	} `json:"ticket_type_attributes"`
}

func (j ticketTypeJSON) ticketType() TicketType {
	t := TicketType{ID: string(j.ID), Name: string(j.Name), Category: string(j.Category), Archived: bool(j.Archived)}
	for _, a := range j.Attributes.Data {
		t.Attributes = append(t.Attributes, a.attribute())
	}
	return t
}

// TicketTypes returns all ticket types of the workspace, archived ones included.
func (c *Client) TicketTypes(ctx context.Context) ([]TicketType, error) {
	var out struct {
		Data []ticketTypeJSON `json:"data"`
	}
	if err := c.do(ctx, call{op: "GET /ticket_types", path: []string{"ticket_types"}, out: &out}); err != nil {
		return nil, err
	}
	types := make([]TicketType, len(out.Data))
	for i, j := range out.Data {
		types[i] = j.ticketType()
	}
	return types, nil
}

// CreateTicketType creates a back-office ticket type, once. Intercom does not
// mind two of the same name, so look at [Client.TicketTypes] first.
func (c *Client) CreateTicketType(ctx context.Context, name, description string) (TicketType, error) {
	const op = "POST /ticket_types"
	if strings.TrimSpace(name) == "" {
		return TicketType{}, wrong(op, "the ticket type has no name")
	}
	var out ticketTypeJSON
	err := c.do(ctx, call{
		op: op, kind: once, path: []string{"ticket_types"},
		body: map[string]any{"name": name, "description": description, "category": BackOffice},
		out:  &out, ok: func() bool { return out.ID != "" },
	})
	if err != nil {
		return TicketType{}, err
	}
	return out.ticketType(), nil
}

// CreateTicketTypeAttribute adds an optional text attribute, hidden from
// customers, to a ticket type, once.
func (c *Client) CreateTicketTypeAttribute(ctx context.Context, typeID, name, description string) (TicketAttribute, error) {
	const op = "POST /ticket_types/{id}/attributes"
	if typeID == "" || strings.TrimSpace(name) == "" {
		return TicketAttribute{}, wrong(op, "the ticket type has no id, or the attribute no name")
	}
	var out ticketAttributeJSON
	err := c.do(ctx, call{
		op: op, kind: once, path: []string{"ticket_types", typeID, "attributes"},
		body: map[string]any{
			"name": name, "description": description, "data_type": "string",
			"required_to_create": false, "required_to_create_for_contacts": false,
			"visible_on_create": false, "visible_to_contacts": false,
		},
		out: &out, ok: func() bool { return out.ID != "" },
	})
	if err != nil {
		return TicketAttribute{}, err
	}
	return out.attribute(), nil
}

// A TicketState is a state that tickets of some types can be in.
type TicketState struct {
	ID       string
	Category string // submitted, in_progress, waiting_on_customer or resolved
	Label    string // what colleagues see
	Archived bool
}

type ticketStateJSON struct {
	ID       text `json:"id"`
	Category text `json:"category"`
	Label    text `json:"internal_label"`
	Archived flag `json:"archived"`
}

func (j ticketStateJSON) state() TicketState {
	return TicketState{ID: string(j.ID), Category: string(j.Category), Label: string(j.Label), Archived: bool(j.Archived)}
}

// TicketStates returns all ticket states of the workspace.
func (c *Client) TicketStates(ctx context.Context) ([]TicketState, error) {
	var out struct {
		Data []ticketStateJSON `json:"data"`
	}
	if err := c.do(ctx, call{op: "GET /ticket_states", path: []string{"ticket_states"}, out: &out}); err != nil {
		return nil, err
	}
	states := make([]TicketState, len(out.Data))
	for i, j := range out.Data {
		states[i] = j.state()
	}
	return states, nil
}

// A Ticket is a ticket to be created, about one contact.
type Ticket struct {
	Type               string // id of the ticket type
	Contact            string // id; never an e-mail address, which would create a contact
	Title, Description string
	Reference          string // ours, by which the ticket can be found again
	ReferenceAttribute string // the name of the attribute that holds it; see [Objects]
	Team               string // id of the team it is assigned to; empty: nobody
}

// CreateTicket creates a ticket once and returns its id, which is not the number
// that people see. It does not wait for pacing: see [Client.Wait]. After an
// Unknown error the ticket may exist, and carries the reference if it does.
func (c *Client) CreateTicket(ctx context.Context, t Ticket) (string, error) {
	const op = "POST /tickets"
	switch {
	case t.Type == "":
		return "", wrong(op, "there is no ticket type; run dunlin intercom setup")
	case t.Contact == "":
		return "", wrong(op, "the contact has no id")
	case strings.TrimSpace(t.Title) == "":
		return "", wrong(op, "the ticket has no title")
	case t.Reference != "" && t.ReferenceAttribute == "":
		return "", wrong(op, "there is no attribute for the reference; run dunlin intercom setup")
	}
	attributes := map[string]string{titleAttribute: t.Title, descriptionAttribute: t.Description}
	if t.Reference != "" {
		attributes[t.ReferenceAttribute] = t.Reference
	}
	body := map[string]any{
		"ticket_type_id":    t.Type,
		"contacts":          []map[string]string{{"id": t.Contact}},
		"ticket_attributes": attributes,
	}
	if t.Team != "" {
		body["assignment"] = map[string]string{"team_assignee_id": t.Team}
	}
	var out struct {
		ID text `json:"id"`
	}
	err := c.do(ctx, call{
		op: op, kind: once, path: []string{"tickets"},
		body: body, out: &out, ok: func() bool { return out.ID != "" },
	})
	if err != nil {
		return "", err
	}
	return string(out.ID), nil
}

// A TicketStatus is where an existing ticket stands.
type TicketStatus struct {
	ID         string
	Number     string // what people see; not for the API
	Type       string // id of its type
	State      TicketState
	Open       bool
	Admin      string            // id of the teammate it is assigned to; empty: nobody
	Team       string            // id of the team; empty: none
	Contacts   []string          // ids
	Attributes map[string]string // text attributes by name, title and description among them
}

// Ticket returns where a ticket stands. [Gone] reports that it was deleted.
func (c *Client) Ticket(ctx context.Context, id string) (TicketStatus, error) {
	const op = "GET /tickets/{id}"
	if id == "" {
		return TicketStatus{}, wrong(op, "the ticket has no id")
	}
	var out struct {
		ID     text            `json:"id"`
		Number text            `json:"ticket_id"`
		State  ticketStateJSON `json:"ticket_state"`
		Type   struct {
			ID text `json:"id"`
		} `json:"ticket_type"`
		Open     flag `json:"open"`
		Admin    text `json:"admin_assignee_id"`
		Team     text `json:"team_assignee_id"`
		Contacts struct {
			Contacts []struct {
				ID text `json:"id"`
			} `json:"contacts"`
		} `json:"contacts"`
		Attributes map[string]any `json:"ticket_attributes"`
	}
	err := c.do(ctx, call{op: op, path: []string{"tickets", id}, out: &out, ok: func() bool { return out.ID != "" }})
	if err != nil {
		return TicketStatus{}, err
	}
	t := TicketStatus{
		ID: string(out.ID), Number: string(out.Number), Type: string(out.Type.ID),
		State: out.State.state(), Open: bool(out.Open),
		Admin: idOrNone(out.Admin), Team: idOrNone(out.Team),
		Attributes: map[string]string{},
	}
	for _, contact := range out.Contacts.Contacts {
		t.Contacts = append(t.Contacts, string(contact.ID))
	}
	for name, v := range out.Attributes {
		if s, ok := v.(string); ok {
			t.Attributes[name] = s
		}
	}
	return t, nil
}
