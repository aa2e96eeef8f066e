package sandbox

import (
	"net/http"
	"strings"
)

// postTicketReply writes what a teammate has to say into a ticket (5.5): a note,
// since comments would go to a customer who cannot see a back-office ticket.
func (i *Intercom) postTicketReply(c intercomCall) intercomAnswer {
	ticket, missing := i.ticket(c.vars[0])
	if ticket == nil {
		return missing
	}
	var reply struct {
		MessageType string     `json:"message_type"`
		Type        string     `json:"type"`
		Admin       intercomID `json:"admin_id"`
		Body        string     `json:"body"`
	}
	if answer, ok := c.decode(&reply); !ok {
		return answer
	}
	switch {
	case reply.Type != "admin" && ticket.of.category == "Back-office":
		return intercomError(http.StatusBadRequest, "parameter_mismatch", "User replies are not allowed on Backoffice tickets")
	case reply.MessageType != "note":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "this sandbox takes notes in tickets only")
	case !intercomIsAdmin(string(reply.Admin)):
		return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
	case strings.TrimSpace(reply.Body) == "":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "Body is required")
	}
	part := i.ticketPart("note", "")
	part["body"] = reply.Body
	delete(part, "ticket_state")
	ticket.parts = append(ticket.parts, part)
	ticket.updated = i.now()
	i.notify("ticket.note.created", ticket)
	return intercomOK(part)
}
