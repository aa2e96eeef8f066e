package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An intercomTicketType is a form for tickets. There is none at first: whoever
// wants tickets makes one (5.2).
type intercomTicketType struct {
	id, name, description, category, icon string
	internal                              bool
	attributes                            []*intercomTicketAttribute
	created, updated                      time.Time
}

type intercomTicketAttribute struct {
	id, name, description, dataType string
	required, requiredForContacts   bool
	visible, visibleToContacts      bool
	multiline, own                  bool // own: Intercom's, there from the start
	items                           []intercomListItem
	order                           int
	created                         time.Time
}

type intercomListItem struct{ ID, Name string }

// An intercomState is a ticket's state; the workspace has the four of a new one,
// common to all types.
type intercomState struct{ id, category, internal, external string }

var intercomStates = []intercomState{
	{"8321", "submitted", "Submitted", "Submitted"},
	{"8322", "in_progress", "In progress", "In progress"},
	{"8323", "waiting_on_customer", "Waiting on customer", "Waiting on you"},
	{"8324", "resolved", "Resolved", "Resolved"},
}

func (s intercomState) json() map[string]any {
	return map[string]any{
		"type": "ticket_state", "id": s.id, "category": s.category,
		"internal_label": s.internal, "external_label": s.external,
	}
}

func (i *Intercom) getTicketStates(intercomCall) intercomAnswer {
	types := make([]any, 0, len(i.ticketTypes))
	for _, t := range i.ticketTypes {
		types = append(types, map[string]any{
			"type": "ticket_type", "id": t.id, "name": t.name, "description": t.description, "icon": t.icon,
			"archived": false, "is_internal": t.internal, "category": t.category,
		})
	}
	data := make([]any, 0, len(intercomStates))
	for _, state := range intercomStates {
		detailed := state.json()
		detailed["archived"], detailed["ticket_types"] = false, map[string]any{"type": "list", "data": types}
		data = append(data, detailed)
	}
	return intercomOK(map[string]any{"type": "list", "data": data})
}

func (i *Intercom) getTicketTypes(intercomCall) intercomAnswer {
	data := make([]any, 0, len(i.ticketTypes))
	for _, t := range i.ticketTypes {
		data = append(data, t.json())
	}
	return intercomOK(map[string]any{"type": "list", "data": data})
}

// postTicketType makes a type with its two own attributes, title and description.
func (i *Intercom) postTicketType(c intercomCall) intercomAnswer {
	var request struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Category    string `json:"category"`
		Icon        string `json:"icon"`
		Internal    bool   `json:"is_internal"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	if strings.TrimSpace(request.Name) == "" {
		return intercomError(http.StatusBadRequest, "parameter_not_found", "name is a required parameter")
	}
	if request.Category == "" {
		request.Category = "Customer"
	}
	if !slices.Contains([]string{"Customer", "Back-office", "Tracker"}, request.Category) {
		return intercomError(http.StatusBadRequest, "parameter_invalid", "category must be one of: Customer, Back-office, Tracker")
	}
	if request.Icon == "" {
		request.Icon = "🎟️"
	}
	now := i.now()
	t := &intercomTicketType{
		id: i.nextID("ticket type"), name: request.Name, description: request.Description, category: request.Category,
		icon: request.Icon, internal: request.Internal, created: now, updated: now,
	}
	for _, name := range []string{"_default_title_", "_default_description_"} {
		t.attributes = append(t.attributes, &intercomTicketAttribute{
			id: i.nextID("attribute"), name: name, dataType: "string", visible: true, visibleToContacts: true,
			multiline: name == "_default_description_", own: true, order: len(t.attributes), created: now,
		})
	}
	i.ticketTypes = append(i.ticketTypes, t)
	return intercomOK(t.json())
}

// postTicketTypeAttribute adds an attribute to a type; a list's items get ids,
// by which tickets name them (5.3).
func (i *Intercom) postTicketTypeAttribute(c intercomCall) intercomAnswer {
	t := i.ticketType(c.vars[0])
	if t == nil {
		return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
	}
	var request struct {
		Name              string `json:"name"`
		Description       string `json:"description"`
		DataType          string `json:"data_type"`
		Required          bool   `json:"required_to_create"`
		RequiredContacts  bool   `json:"required_to_create_for_contacts"`
		Visible           *bool  `json:"visible_on_create"`
		VisibleToContacts *bool  `json:"visible_to_contacts"`
		Multiline         bool   `json:"multiline"`
		ListItems         string `json:"list_items"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	for _, required := range []struct{ name, value string }{{"name", request.Name}, {"description", request.Description}, {"data_type", request.DataType}} {
		if required.value == "" {
			return intercomError(http.StatusBadRequest, "parameter_not_found", required.name+" is a required parameter")
		}
	}
	switch {
	case !slices.Contains([]string{"string", "list", "integer", "decimal", "boolean", "datetime", "files"}, request.DataType):
		return intercomError(http.StatusBadRequest, "parameter_invalid", "Data Type isn't an option")
	case t.attribute(request.Name) != nil:
		return intercomError(http.StatusBadRequest, "parameter_invalid", fmt.Sprintf("An attribute named '%s' already exists", request.Name))
	case request.DataType == "list" && request.ListItems == "":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "list_items is required for a list")
	}
	now := i.now()
	a := &intercomTicketAttribute{
		id: i.nextID("attribute"), name: request.Name, description: request.Description, dataType: request.DataType,
		required: request.Required, requiredForContacts: request.RequiredContacts,
		visible:           request.Visible == nil || *request.Visible,
		visibleToContacts: request.VisibleToContacts == nil || *request.VisibleToContacts,
		multiline:         request.Multiline, order: len(t.attributes), created: now,
	}
	if a.dataType == "list" {
		for n, name := range strings.Split(request.ListItems, ",") {
			id, _ := strconv.Atoi(a.id)
			a.items = append(a.items, intercomListItem{ID: fmt.Sprintf("5a0d0b0c-0000-4000-9000-%06x%06x", id, n), Name: strings.TrimSpace(name)})
		}
	}
	t.attributes = append(t.attributes, a)
	t.updated = now
	return intercomOK(a.json(t))
}

func (i *Intercom) ticketType(id string) *intercomTicketType {
	at := slices.IndexFunc(i.ticketTypes, func(t *intercomTicketType) bool { return t.id == id })
	if at < 0 {
		return nil
	}
	return i.ticketTypes[at]
}

func (t *intercomTicketType) attribute(name string) *intercomTicketAttribute {
	at := slices.IndexFunc(t.attributes, func(a *intercomTicketAttribute) bool { return a.name == name })
	if at < 0 {
		return nil
	}
	return t.attributes[at]
}

// json is a type as the 2.16 example has it: the list of attributes is under
// data, where the schema says ticket_type_attributes.
func (t *intercomTicketType) json() map[string]any {
	attributes := make([]any, 0, len(t.attributes))
	for _, a := range t.attributes {
		attributes = append(attributes, a.json(t))
	}
	states := make([]any, 0, len(intercomStates))
	for _, state := range intercomStates {
		states = append(states, state.json())
	}
	return map[string]any{
		"type": "ticket_type", "id": t.id, "name": t.name, "description": t.description, "icon": t.icon, "category": t.category,
		"workspace_id": IntercomWorkspace, "archived": false, "is_internal": t.internal,
		"created_at": t.created.Unix(), "updated_at": t.updated.Unix(),
		"ticket_type_attributes": map[string]any{"type": "list", "data": attributes},
		"ticket_states":          map[string]any{"type": "list", "data": states},
	}
}

func (a *intercomTicketAttribute) json(t *intercomTicketType) map[string]any {
	typeID, _ := strconv.Atoi(t.id)
	var options any
	switch a.dataType {
	case "string":
		options = map[string]any{"multiline": a.multiline}
	case "list":
		items := make([]any, 0, len(a.items))
		for _, item := range a.items {
			items = append(items, map[string]any{"id": item.ID, "name": item.Name})
		}
		options = map[string]any{"list_items": items}
	default:
		options = map[string]any{}
	}
	return map[string]any{
		"type": "ticket_type_attribute", "id": a.id, "workspace_id": IntercomWorkspace, "name": a.name, "description": a.description,
		"data_type": a.dataType, "input_options": options, "order": a.order,
		"required_to_create": a.required, "required_to_create_for_contacts": a.requiredForContacts,
		"visible_on_create": a.visible, "visible_to_contacts": a.visibleToContacts, "default": a.own,
		"ticket_type_id": typeID, "archived": false, "created_at": a.created.Unix(), "updated_at": a.created.Unix(),
	}
}

// refuse says why an attribute cannot hold a value; empty when it can. A list
// takes the id of an item (5.3).
func (a *intercomTicketAttribute) refuse(value any) string {
	fits := value == nil
	switch value := value.(type) {
	case string:
		switch a.dataType {
		case "string":
			fits = true
		case "list":
			fits = slices.ContainsFunc(a.items, func(item intercomListItem) bool { return item.ID == value })
		case "datetime":
			_, err := time.Parse(time.RFC3339, value)
			fits = err == nil
		}
	case bool:
		fits = a.dataType == "boolean"
	case json.Number:
		_, err := value.Int64()
		fits = a.dataType == "decimal" || err == nil && (a.dataType == "integer" || a.dataType == "datetime")
	}
	if fits {
		return ""
	}
	return fmt.Sprintf("Invalid value for ticket attribute '%s'", a.name)
}
