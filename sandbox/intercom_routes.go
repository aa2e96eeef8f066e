package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// An intercomRoute is one call of the API.
type intercomRoute struct {
	method string
	path   []string // {} stands for one variable part
	serve  func(*Intercom, intercomCall) intercomAnswer
}

// intercomRoutes is everything this Intercom answers; the rest is a 404.
var intercomRoutes = []intercomRoute{
	intercomGet("/me", (*Intercom).getMe),
	intercomGet("/admins", (*Intercom).getAdmins),
	intercomGet("/teams", (*Intercom).getTeams),
	intercomGet("/data_attributes", (*Intercom).getDataAttributes),

	intercomGet("/tags", (*Intercom).getTags),
	intercomPost("/tags", (*Intercom).postTag),
	intercomPost("/contacts/search", (*Intercom).searchContacts),
	intercomGet("/contacts/find_by_external_id/{}", (*Intercom).getContactByExternalID),
	intercomGet("/contacts/{}", (*Intercom).getContact),
	{http.MethodPut, intercomPath("/contacts/{}"), (*Intercom).putContact},
	intercomGet("/contacts/{}/tags", (*Intercom).getContactTags),
	intercomPost("/contacts/{}/tags", (*Intercom).postContactTag),
	{http.MethodDelete, intercomPath("/contacts/{}/tags/{}"), (*Intercom).deleteContactTag},
	intercomGet("/contacts/{}/notes", (*Intercom).getNotes),
	intercomPost("/contacts/{}/notes", (*Intercom).postNote),

	intercomPost("/messages", (*Intercom).postMessage),
	intercomPost("/conversations/search", (*Intercom).searchConversations),
	intercomGet("/conversations/{}", (*Intercom).getConversation),

	intercomGet("/ticket_types", (*Intercom).getTicketTypes),
	intercomPost("/ticket_types", (*Intercom).postTicketType),
	intercomPost("/ticket_types/{}/attributes", (*Intercom).postTicketTypeAttribute),
	intercomGet("/ticket_states", (*Intercom).getTicketStates),
	intercomPost("/tickets", (*Intercom).postTicket),
	intercomPost("/tickets/search", (*Intercom).searchTickets),
	intercomGet("/tickets/{}", (*Intercom).getTicket),
	{http.MethodPut, intercomPath("/tickets/{}"), (*Intercom).putTicket},
}

func intercomGet(path string, serve func(*Intercom, intercomCall) intercomAnswer) intercomRoute {
	return intercomRoute{http.MethodGet, intercomPath(path), serve}
}

func intercomPost(path string, serve func(*Intercom, intercomCall) intercomAnswer) intercomRoute {
	return intercomRoute{http.MethodPost, intercomPath(path), serve}
}

func intercomPath(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

func (r intercomRoute) match(method string, parts []string) (vars []string, ok bool) {
	if method != r.method || len(parts) != len(r.path) {
		return nil, false
	}
	for n, part := range r.path {
		switch {
		case part == "{}":
			vars = append(vars, parts[n])
		case part != parts[n]:
			return nil, false
		}
	}
	return vars, true
}

// getMe proves a token and tells the workspace (1.2).
func (i *Intercom) getMe(intercomCall) intercomAnswer {
	me := intercomAdmin()
	me["avatar"] = map[string]any{"type": "avatar", "image_url": nil}
	me["email_verified"] = true
	me["app"] = map[string]any{
		"type": "app", "id_code": IntercomWorkspace, "name": "Sandbox", "created_at": 1700000000, "secure": false,
		"identity_verification": false, "timezone": IntercomZone, "region": "EU",
	}
	return intercomOK(me)
}

// intercomAdmin is the one teammate, as lists of admins and authors show them (4.11).
func intercomAdmin() map[string]any {
	return map[string]any{
		"type": "admin", "id": IntercomAdmin, "name": "Mira Engel", "email": "success@example.com", "job_title": "Customer Success",
		"away_mode_enabled": false, "away_mode_reassign": false, "has_inbox_seat": true, "team_ids": []int{8201, 8202}, "avatar": nil,
	}
}

func intercomIsAdmin(id string) bool { return id == IntercomAdmin }
func intercomIsTeam(id string) bool  { return id == IntercomTeamRenewal || id == IntercomTeamBilling }

func (i *Intercom) getAdmins(intercomCall) intercomAnswer {
	return intercomOK(map[string]any{"type": "admin.list", "admins": []any{intercomAdmin()}})
}

func (i *Intercom) getTeams(intercomCall) intercomAnswer {
	team := func(id, name string) map[string]any {
		return map[string]any{
			"type": "team", "id": id, "name": name, "admin_ids": []int{991267716},
			"distribution_method": "manual", "assignment_limit": nil,
		}
	}
	return intercomOK(map[string]any{"type": "team.list", "teams": []any{
		team(IntercomTeamRenewal, "Renewals"), team(IntercomTeamBilling, "Billing"),
	}})
}

// An intercomAttribute is a contact attribute that may be written; any other
// name is refused (4.5).
type intercomAttribute struct {
	id          int
	name, label string
	dataType    string
}

var intercomAttributes = []intercomAttribute{
	{7, IntercomTimezone, "Time zone", "string"},
	{8, IntercomOptOut, "No billing messages", "boolean"},
}

func intercomFindAttribute(name string) (intercomAttribute, bool) {
	at := slices.IndexFunc(intercomAttributes, func(a intercomAttribute) bool { return a.name == name })
	if at < 0 {
		return intercomAttribute{}, false
	}
	return intercomAttributes[at], true
}

// getDataAttributes lists contacts' attributes: a few of Intercom's own, which
// have no id, and the workspace's (4.6).
func (i *Intercom) getDataAttributes(c intercomCall) intercomAnswer {
	data := []any{}
	add := func(a intercomAttribute, custom bool) {
		attribute := map[string]any{
			"type": "data_attribute", "model": "contact", "name": a.name, "full_name": a.name, "label": a.label,
			"description": "", "data_type": a.dataType, "api_writable": true, "messenger_writable": false,
			"ui_writable": custom, "custom": custom, "archived": false,
		}
		if custom {
			attribute["id"], attribute["full_name"], attribute["admin_id"] = a.id, "custom_attributes."+a.name, IntercomAdmin
			attribute["created_at"], attribute["updated_at"] = 1700000000, 1700000000
		}
		data = append(data, attribute)
	}
	switch model := c.URL.Query().Get("model"); model {
	case "", "contact":
		for _, own := range []intercomAttribute{
			{name: "name", label: "Name", dataType: "string"}, {name: "email", label: "Email", dataType: "string"},
			{name: "external_id", label: "User ID", dataType: "string"}, {name: "created_at", label: "Signed up", dataType: "date"},
		} {
			add(own, false)
		}
		for _, custom := range intercomAttributes {
			add(custom, true)
		}
	case "company": // this workspace keeps none
	case "conversation":
		return intercomError(http.StatusUnprocessableEntity, "parameter_invalid",
			"model=conversation is no longer supported. Use GET /conversations/attributes instead")
	default:
		return intercomError(http.StatusBadRequest, "parameter_invalid", "The Data Attribute model field must be either contact or company")
	}
	return intercomOK(map[string]any{"type": "list", "data": data})
}

// intercomSeconds is an instant as Intercom writes it; zero is null.
func intercomSeconds(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Unix()
}

// intercomText is text as Intercom writes it; empty is null.
func intercomText(s string) any {
	if s == "" {
		return nil
	}
	return s
}
