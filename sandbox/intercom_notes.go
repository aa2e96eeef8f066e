package sandbox

import (
	"html"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An intercomNote is what teammates read about a contact, and nobody else.
type intercomNote struct {
	id, body string
	created  time.Time
}

// postNote writes a note for teammates; its text comes back as a paragraph (4.8).
func (i *Intercom) postNote(c intercomCall) intercomAnswer {
	contact, missing := i.reachable(c.vars[0])
	if contact == nil {
		return missing
	}
	var request struct {
		Body    string     `json:"body"`
		AdminID intercomID `json:"admin_id"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	switch {
	case request.AdminID != "" && !intercomIsAdmin(string(request.AdminID)):
		return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
	case strings.TrimSpace(request.Body) == "":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "Body is required")
	}
	body := request.Body
	if !strings.HasPrefix(body, "<") {
		body = "<p>" + html.EscapeString(body) + "</p>"
	}
	note := &intercomNote{id: i.nextID("note"), body: body, created: i.now()}
	contact.notes = append(contact.notes, note)
	contact.updated = note.created
	text := intercomPlain(body)
	i.accepted = append(i.accepted, Accepted{At: note.created, Kind: "note", Contact: contact.id, ID: note.id, Text: text, Reference: intercomReference(text)})
	return intercomOK(note.json(contact))
}

func (n *intercomNote) json(c *intercomContact) map[string]any {
	return map[string]any{
		"type": "note", "id": n.id, "created_at": intercomSeconds(n.created), "body": n.body,
		"contact": map[string]any{"type": "contact", "id": c.id}, "author": intercomAdmin(),
	}
}

// getNotes lists a contact's notes, newest first, page by page.
func (i *Intercom) getNotes(c intercomCall) intercomAnswer {
	contact, missing := i.reachable(c.vars[0])
	if contact == nil {
		return missing
	}
	notes := slices.Clone(contact.notes)
	slices.Reverse(notes)
	query := c.URL.Query()
	page, pages, refusal := intercomPage(notes, func(n *intercomNote) string { return n.id },
		intercomPaging{PerPage: intercomID(query.Get("per_page")), StartingAfter: query.Get("starting_after")}, 50, "notes "+contact.id)
	if refusal != nil {
		return *refusal
	}
	data := make([]any, 0, len(page))
	for _, note := range page {
		data = append(data, note.json(contact))
	}
	return intercomOK(map[string]any{"type": "list", "data": data, "total_count": len(notes), "pages": pages})
}
