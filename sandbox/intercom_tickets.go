package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An intercomTicket is work for a teammate, about one contact.
type intercomTicket struct {
	id, number  string // number is the one people see, no id for the API
	of          *intercomTicketType
	attributes  map[string]any
	state       intercomState
	previous    string // id of the state before
	contact     *intercomContact
	admin, team string // ids; empty: nobody
	open        bool
	shared      bool
	snoozed     time.Time
	parts       []map[string]any
	created     time.Time
	updated     time.Time
	order       int
}

// postTicket makes a ticket (5.3). It takes exactly one contact, by id: by e-mail
// Intercom would make a contact of an unknown address, which nobody wants here.
func (i *Intercom) postTicket(c intercomCall) intercomAnswer {
	var request struct {
		Type     intercomID `json:"ticket_type_id"`
		Contacts []struct {
			ID         string `json:"id"`
			ExternalID string `json:"external_id"`
			Email      string `json:"email"`
		} `json:"contacts"`
		Attributes map[string]any `json:"ticket_attributes"`
		Assignment struct {
			Admin intercomID `json:"admin_assignee_id"`
			Team  intercomID `json:"team_assignee_id"`
		} `json:"assignment"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	t := i.ticketType(string(request.Type))
	switch {
	case request.Type == "":
		return intercomError(http.StatusBadRequest, "parameter_not_found", "ticket_type_id is a required parameter")
	case t == nil:
		return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
	case len(request.Contacts) != 1:
		return intercomError(http.StatusBadRequest, "parameter_invalid", "contacts must hold exactly one contact")
	case request.Contacts[0].ID == "":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "this sandbox takes a ticket's contact by id only")
	}
	contact, missing := i.reachable(request.Contacts[0].ID)
	if contact == nil {
		return missing
	}
	if refusal := t.refuse(request.Attributes); refusal != "" {
		return intercomError(http.StatusBadRequest, "parameter_invalid", refusal)
	}
	for _, a := range t.attributes {
		if value := request.Attributes[a.name]; a.required && (value == nil || value == "") {
			return intercomError(http.StatusBadRequest, "parameter_invalid", "Missing required ticket attributes")
		}
	}
	admin, team := intercomNobody(request.Assignment.Admin), intercomNobody(request.Assignment.Team)
	if admin != "" && !intercomIsAdmin(admin) || team != "" && !intercomIsTeam(team) {
		return intercomError(http.StatusNotFound, "assignee_not_found", "Assignee not found")
	}

	now := i.now()
	ticket := &intercomTicket{
		id: i.nextID("ticket"), number: i.nextID("ticket number"), of: t, attributes: map[string]any{},
		state: intercomStates[0], contact: contact, admin: admin, team: team, open: true,
		created: now, updated: now, order: len(i.tickets),
	}
	ticket.set(request.Attributes)
	i.tickets = append(i.tickets, ticket)
	title, description := ticket.text("_default_title_"), ticket.text("_default_description_")
	i.accepted = append(i.accepted, Accepted{
		At: now, Kind: "ticket", Contact: contact.id, ID: ticket.id, Title: title,
		Text: strings.TrimSpace(title + "\n" + intercomPlain(description)), Reference: ticket.reference(),
	})
	return intercomOK(ticket.json())
}

// refuse says why a type's tickets cannot have these attributes; empty when they can.
func (t *intercomTicketType) refuse(attributes map[string]any) string {
	var unknown []string
	for name, value := range attributes {
		a := t.attribute(name)
		if a == nil {
			unknown = append(unknown, name)
			continue
		}
		if refusal := a.refuse(value); refusal != "" {
			return refusal
		}
	}
	if len(unknown) == 0 {
		return ""
	}
	slices.Sort(unknown)
	return "Extra attributes provided that are not found on ticket type: " + strings.Join(unknown, ", ")
}

// intercomNobody turns the id that means nobody into none.
func intercomNobody(id intercomID) string {
	if id == "0" {
		return ""
	}
	return string(id)
}

// set takes over attributes; null clears.
func (k *intercomTicket) set(attributes map[string]any) {
	for name, value := range attributes {
		k.attributes[name] = value
		if value == nil {
			delete(k.attributes, name)
		}
	}
}

func (k *intercomTicket) text(attribute string) string {
	text, _ := k.attributes[attribute].(string)
	return text
}

// reference is the first of a ticket's own texts that has a value: what the app
// that made it can find it by (5.6).
func (k *intercomTicket) reference() string {
	for _, a := range k.of.attributes {
		if a.dataType == "string" && !strings.HasPrefix(a.name, "_default_") && k.text(a.name) != "" {
			return k.text(a.name)
		}
	}
	return ""
}

func (i *Intercom) ticket(id string) (*intercomTicket, intercomAnswer) {
	at := slices.IndexFunc(i.tickets, func(k *intercomTicket) bool { return k.id == id })
	if at < 0 {
		return nil, intercomError(http.StatusNotFound, "ticket_not_found", "Ticket not found")
	}
	return i.tickets[at], intercomAnswer{}
}

func (i *Intercom) getTicket(c intercomCall) intercomAnswer {
	ticket, missing := i.ticket(c.vars[0])
	if ticket == nil {
		return missing
	}
	return intercomOK(ticket.json())
}

// putTicket changes a ticket (5.4). The assignee is flat here, an admin or a
// team, and "0" clears both. Resolving closes.
func (i *Intercom) putTicket(c intercomCall) intercomAnswer {
	ticket, missing := i.ticket(c.vars[0])
	if ticket == nil {
		return missing
	}
	var change struct {
		Attributes map[string]any `json:"ticket_attributes"`
		State      intercomID     `json:"ticket_state_id"`
		Open       *bool          `json:"open"`
		Shared     *bool          `json:"is_shared"`
		Snoozed    *int64         `json:"snoozed_until"`
		Admin      intercomID     `json:"admin_id"`
		Assignee   *intercomID    `json:"assignee_id"`
	}
	if answer, ok := c.decode(&change); !ok {
		return answer
	}
	if refusal := ticket.of.refuse(change.Attributes); refusal != "" {
		return intercomError(http.StatusBadRequest, "parameter_invalid", refusal)
	}
	state := slices.IndexFunc(intercomStates, func(s intercomState) bool { return s.id == string(change.State) })
	if change.State != "" && state < 0 {
		return intercomError(http.StatusBadRequest, "ticket_state_id_invalid", "Ticket state id is not valid or is not associated with the ticket type")
	}
	if change.Admin != "" && !intercomIsAdmin(string(change.Admin)) {
		return intercomError(http.StatusNotFound, "assignee_not_found", "Assignee not found")
	}
	if change.Assignee != nil {
		switch id := intercomNobody(*change.Assignee); {
		case id == "":
			ticket.admin, ticket.team = "", ""
		case intercomIsAdmin(id):
			ticket.admin = id
		case intercomIsTeam(id):
			ticket.team = id
		default:
			return intercomError(http.StatusNotFound, "assignee_not_found", "Assignee not found")
		}
	}

	ticket.set(change.Attributes)
	ticket.updated = i.now()
	if state >= 0 {
		ticket.previous, ticket.state = ticket.state.id, intercomStates[state]
		ticket.open = ticket.state.category != "resolved"
		ticket.parts = append(ticket.parts, i.ticketPart("ticket_state_updated_by_admin", ticket.state.category))
	}
	if change.Open != nil {
		ticket.open = *change.Open
	}
	if change.Shared != nil {
		ticket.shared = *change.Shared
	}
	if change.Snoozed != nil {
		ticket.snoozed = time.Unix(*change.Snoozed, 0)
	}
	return intercomOK(ticket.json())
}

func (i *Intercom) ticketPart(kind, state string) map[string]any {
	now := i.now().Unix()
	admin := intercomAdmin()
	return map[string]any{
		"type": "ticket_part", "id": i.nextID("part"), "part_type": kind, "ticket_state": state,
		"created_at": now, "updated_at": now, "attachments": []any{}, "redacted": false,
		"author": map[string]any{"type": "admin", "id": admin["id"], "name": admin["name"], "email": admin["email"]},
	}
}

func (k *intercomTicket) json() map[string]any {
	parts := k.parts
	if parts == nil {
		parts = []map[string]any{}
	}
	out := map[string]any{
		"type": "ticket", "id": k.id, "ticket_id": k.number, "category": k.of.category, "ticket_attributes": k.attributes,
		"ticket_state": k.state.json(), "ticket_type": k.of.json(), "contacts": intercomContactList(k.contact),
		"admin_assignee_id": intercomAssignee(k.admin), "team_assignee_id": intercomAssignee(k.team),
		"created_at": k.created.Unix(), "updated_at": k.updated.Unix(), "open": k.open,
		"linked_objects": map[string]any{"type": "list", "data": []any{}, "total_count": 0, "has_more": false},
		"ticket_parts":   map[string]any{"type": "ticket_part.list", "ticket_parts": parts, "total_count": len(parts)},
		"is_shared":      k.shared, "previous_ticket_state_id": intercomText(k.previous),
	}
	if !k.snoozed.IsZero() {
		out["snoozed_until"] = k.snoozed.Unix()
	}
	return out
}

// intercomAssignee is an assignee in an answer: a number, zero for nobody (5.3).
func intercomAssignee(id string) int {
	number, _ := strconv.Atoi(id)
	return number
}

// searchTickets answers POST /tickets/search (5.6).
func (i *Intercom) searchTickets(c intercomCall) intercomAnswer {
	var search intercomSearch
	if answer, ok := c.decode(&search); !ok {
		return answer
	}
	query, err := intercomCompile(search.Query, 0, i.ticketKind)
	if err != nil {
		return *intercomRefused("parameter_invalid", err.Error())
	}
	var found []*intercomTicket
	for _, ticket := range i.tickets {
		if i.searchable(ticket.created) && query.matches(ticket.lookup, i.zone) {
			found = append(found, ticket)
		}
	}
	if refusal := intercomSorted(found, search, (*intercomTicket).lookup, func(k *intercomTicket) int { return k.order }, i.ticketKind); refusal != nil {
		return *refusal
	}
	page, pages, refusal := intercomPage(found, func(k *intercomTicket) string { return k.id }, search.Pagination, 20, search.of("tickets"))
	if refusal != nil {
		return *refusal
	}
	data := make([]any, 0, len(page))
	for _, ticket := range page {
		data = append(data, ticket.json())
	}
	return intercomOK(map[string]any{"type": "ticket.list", "tickets": data, "total_count": len(found), "pages": pages})
}

func (i *Intercom) ticketKind(field string) intercomKind {
	if id, ok := strings.CutPrefix(field, "ticket_attribute."); ok {
		for _, t := range i.ticketTypes {
			for _, a := range t.attributes {
				if a.id == id {
					return a.kind()
				}
			}
		}
		return 0
	}
	switch field {
	case "id", "category", "ticket_type_id", "contact_ids", "teammate_ids", "admin_assignee_id", "team_assignee_id", "state":
		return intercomExactKind
	case "title", "description":
		return intercomFoldedKind
	case "open":
		return intercomTruthKind
	case "created_at", "updated_at", "snoozed_until":
		return intercomDateKind
	}
	return 0
}

func (a *intercomTicketAttribute) kind() intercomKind {
	switch a.dataType {
	case "integer":
		return intercomNumberKind
	case "boolean":
		return intercomTruthKind
	case "string", "list":
		return intercomExactKind
	}
	return intercomFoldedKind
}

// lookup returns the values a ticket has for a searchable field. Categories have
// other names here than in the ticket (5.6).
func (k *intercomTicket) lookup(field string) []string {
	if id, ok := strings.CutPrefix(field, "ticket_attribute."); ok {
		for _, a := range k.of.attributes {
			if value, has := k.attributes[a.name]; has && a.id == id {
				return []string{fmt.Sprint(value)}
			}
		}
		return nil
	}
	switch field {
	case "id":
		return []string{k.id}
	case "category":
		return []string{map[string]string{"Customer": "request", "Back-office": "task", "Tracker": "tracker"}[k.of.category]}
	case "ticket_type_id":
		return []string{k.of.id}
	case "contact_ids":
		return []string{k.contact.id}
	case "teammate_ids":
		return intercomOne(k.admin)
	case "admin_assignee_id":
		return []string{strconv.Itoa(intercomAssignee(k.admin))}
	case "team_assignee_id":
		return []string{strconv.Itoa(intercomAssignee(k.team))}
	case "state":
		return []string{k.state.category}
	case "title":
		return intercomOne(k.text("_default_title_"))
	case "description":
		return intercomOne(k.text("_default_description_"))
	case "open":
		return []string{strconv.FormatBool(k.open)}
	case "created_at":
		return intercomInstant(k.created)
	case "updated_at":
		return intercomInstant(k.updated)
	case "snoozed_until":
		return intercomInstant(k.snoozed)
	}
	return nil
}
