package intercom

import (
	"context"
	"slices"
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
	Types    []string // ids of the ticket types that have it; empty: not stated
}

// of reports whether tickets of a type can be in the state.
func (s TicketState) of(ticketType string) bool {
	return len(s.Types) == 0 || slices.Contains(s.Types, ticketType)
}

type ticketStateJSON struct {
	ID       text `json:"id"`
	Category text `json:"category"`
	Label    text `json:"internal_label"`
	Archived flag `json:"archived"`
	Types    struct {
		Data []struct {
			ID text `json:"id"`
		} `json:"data"`
	} `json:"ticket_types"`
}

func (j ticketStateJSON) state() TicketState {
	s := TicketState{ID: string(j.ID), Category: string(j.Category), Label: string(j.Label), Archived: bool(j.Archived)}
	for _, t := range j.Types.Data {
		s.Types = append(s.Types, string(t.ID))
	}
	return s
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
	Admin              string // id of the teammate who owns it; empty: nobody yet
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
	assignment := map[string]string{}
	if t.Team != "" {
		assignment["team_assignee_id"] = t.Team
	}
	if t.Admin != "" {
		assignment["admin_assignee_id"] = t.Admin
	}
	if len(assignment) > 0 {
		body["assignment"] = assignment
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
