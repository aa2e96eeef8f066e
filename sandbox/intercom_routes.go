package sandbox

import (
	"net/http"
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
	intercomPost("/data_attributes", (*Intercom).postDataAttribute),

	intercomGet("/tags", (*Intercom).getTags),
	intercomPost("/tags", (*Intercom).postTag),
	intercomPost("/contacts", (*Intercom).postContact),
	intercomPost("/contacts/search", (*Intercom).searchContacts),
	intercomGet("/contacts/find_by_external_id/{}", (*Intercom).getContactByExternalID),
	intercomGet("/contacts/{}", (*Intercom).getContact),
	{http.MethodPut, intercomPath("/contacts/{}"), (*Intercom).putContact},
	intercomGet("/contacts/{}/tags", (*Intercom).getContactTags),
	intercomPost("/contacts/{}/tags", (*Intercom).postContactTag),
	{http.MethodDelete, intercomPath("/contacts/{}/tags/{}"), (*Intercom).deleteContactTag},
	intercomGet("/contacts/{}/notes", (*Intercom).getNotes),
	intercomPost("/contacts/{}/notes", (*Intercom).postNote),

	intercomGet("/events", (*Intercom).getEvents),
	intercomPost("/events", (*Intercom).postEvent),

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
	intercomPost("/tickets/{}/reply", (*Intercom).postTicketReply),
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
