package sandbox

import (
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An intercomConversation is what a message leaves behind in the inbox when it
// was asked to.
type intercomConversation struct {
	id, source, sourceType string // source is the message's id
	subject, body          string
	contact                *intercomContact
	created                time.Time
	number                 int
}

// postMessage sends one message to one contact (2). Nothing is de-duplicated:
// the same request twice is two messages. Its id is no conversation's; a
// conversation is made only when create_conversation_without_contact_reply asks
// for it, and the answer does not name it (2.2, 2.3).
func (i *Intercom) postMessage(c intercomCall) intercomAnswer {
	var request struct {
		MessageType string          `json:"message_type"`
		Subject     string          `json:"subject"`
		Body        string          `json:"body"`
		Template    string          `json:"template"`
		From        *intercomPerson `json:"from"`
		To          json.RawMessage `json:"to"`
		Converse    bool            `json:"create_conversation_without_contact_reply"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	kind := request.MessageType
	switch {
	case kind == "in_app": // the schema's spelling; answers always say inapp (2.1)
		kind = "inapp"
	case kind != "inapp" && kind != "email":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "message_type must be one of: inapp, email")
	}
	switch {
	case strings.TrimSpace(request.Body) == "":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "Body is required")
	case kind == "email" && request.Subject == "":
		return intercomError(http.StatusUnprocessableEntity, "parameter_not_found", "No subject supplied for email message")
	case kind == "email" && request.Template != "plain" && request.Template != "personal":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "template must be one of: plain, personal")
	case request.From == nil || request.From.Type != "admin" || request.From.ID == "":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "from must be an admin with an id")
	case !intercomIsAdmin(string(request.From.ID)):
		return intercomError(http.StatusNotFound, "admin_not_found", "Admin not found")
	}
	contact, refusal := i.recipient(request.To)
	if contact == nil {
		return refusal
	}
	if kind == "email" && contact.unsubscribed {
		return intercomError(http.StatusForbidden, "", "This user is unsubscribed from emails") // in-app is sent all the same (2.4)
	}

	now := i.now()
	id := i.nextID("message")
	contact.lastContacted, contact.updated = now, now
	if request.Converse {
		i.conversations = append(i.conversations, &intercomConversation{
			id: i.nextID("conversation"), source: id, sourceType: map[string]string{"inapp": "conversation", "email": "email"}[kind],
			subject: request.Subject, body: request.Body, contact: contact, created: now, number: len(i.conversations),
		})
	}
	text := intercomPlain(request.Body)
	i.accepted = append(i.accepted, Accepted{
		At: now, Kind: "message", Contact: contact.id, ID: id, Title: request.Subject, Text: text, Reference: intercomReference(text),
	})
	return intercomOK(map[string]any{
		"type": "admin_message", "id": id, "created_at": now.Unix(), "subject": request.Subject, "body": request.Body,
		"message_type": kind, "owner": intercomAdmin(),
	})
}

// An intercomPerson is who a message is from or to.
type intercomPerson struct {
	Type   string     `json:"type"`
	ID     intercomID `json:"id"`
	UserID string     `json:"user_id"`
	Email  string     `json:"email"`
}

// recipient finds whom a message is for: one person, by id, or a user by
// external id or by an e-mail only one user has. A type other than the contact's
// role finds nobody, as do contacts that are gone or too new (2.1, 2.4).
func (i *Intercom) recipient(raw json.RawMessage) (*intercomContact, intercomAnswer) {
	var to intercomPerson
	if err := json.Unmarshal(raw, &to); err != nil {
		var several []intercomPerson
		if err := json.Unmarshal(raw, &several); err != nil || len(several) != 1 {
			return nil, intercomError(http.StatusBadRequest, "parameter_invalid", "to must be one recipient")
		}
		to = several[0]
	}
	if to.Type != "user" && to.Type != "lead" {
		return nil, intercomError(http.StatusBadRequest, "parameter_invalid", "type of to must be one of: user, lead")
	}
	var found []*intercomContact
	switch {
	case to.ID != "":
		if contact := i.contacts[string(to.ID)]; contact != nil {
			found = append(found, contact)
		}
	case to.UserID != "":
		for _, contact := range i.contactOrder {
			if contact.externalID == to.UserID {
				found = append(found, contact)
			}
		}
	case to.Email != "" && to.Type == "user": // a lead never (node#226)
		found = slices.Clone(i.byEmail[strings.ToLower(to.Email)])
	}
	found = slices.DeleteFunc(found, func(contact *intercomContact) bool {
		return !contact.there() || contact.role != to.Type || i.now().Before(contact.created.Add(i.MessageLag))
	})
	switch len(found) {
	case 0:
		return nil, intercomError(http.StatusNotFound, "not_found", "User Not Found")
	case 1:
		return found[0], intercomAnswer{}
	}
	return nil, intercomError(http.StatusConflict, "conflict", "Multiple existing users match this email address - must be more specific using user_id")
}

// intercomPlain is what a person reads of HTML: tags become spaces between
// blocks and nothing inside a line, entities their characters.
func intercomPlain(body string) string {
	var out strings.Builder
	for body != "" {
		text, rest, found := strings.Cut(body, "<")
		out.WriteString(text)
		if !found {
			break
		}
		tag, after, closed := strings.Cut(rest, ">")
		if !closed { // no tag after all
			out.WriteString("<" + rest)
			break
		}
		switch name := strings.ToLower(strings.Trim(tag, "/ ")); {
		case name == "br", name == "p", name == "div", name == "li", strings.HasPrefix(name, "h"):
			out.WriteByte(' ')
		}
		body = after
	}
	return strings.Join(strings.Fields(html.UnescapeString(out.String())), " ")
}

// lastReference is how a text ends that carries something to be found by (2.5).
var lastReference = regexp.MustCompile(`\bref ([A-Za-z0-9_-]+)$`)

// intercomReference is the reference below a plain text; empty: it has none.
func intercomReference(text string) string {
	if words := lastReference.FindStringSubmatch(text); words != nil {
		return words[1]
	}
	return ""
}

// getConversation returns one conversation with its parts, of which there are
// none before anybody answers (3).
func (i *Intercom) getConversation(c intercomCall) intercomAnswer {
	for _, conversation := range i.conversations {
		if conversation.id == c.vars[0] {
			out := conversation.json()
			out["conversation_parts"] = map[string]any{"type": "conversation_part.list", "conversation_parts": []any{}, "total_count": 0}
			if c.URL.Query().Get("display_as") == "plaintext" {
				out["source"].(map[string]any)["body"] = intercomPlain(conversation.body)
			}
			return intercomOK(out)
		}
	}
	return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
}

func (v *intercomConversation) json() map[string]any {
	admin := intercomAdmin()
	return map[string]any{
		"type": "conversation", "id": v.id, "title": nil, "created_at": v.created.Unix(), "updated_at": v.created.Unix(),
		"waiting_since": nil, "snoozed_until": nil, "open": true, "state": "open", "read": false, "priority": "none",
		"admin_assignee_id": 0, "team_assignee_id": 0,
		"tags":                map[string]any{"type": "tag.list", "tags": []any{}},
		"conversation_rating": nil,
		"source": map[string]any{
			"type": v.sourceType, "id": v.source, "delivered_as": "admin_initiated", "subject": v.subject, "body": v.body,
			"author":      map[string]any{"type": "admin", "id": admin["id"], "name": admin["name"], "email": admin["email"]},
			"attachments": []any{}, "url": nil, "redacted": false,
		},
		"contacts":  intercomContactList(v.contact),
		"teammates": nil, "custom_attributes": map[string]any{}, "first_contact_reply": nil, "sla_applied": nil, "statistics": nil,
		"linked_objects":        map[string]any{"type": "list", "data": []any{}, "total_count": 0, "has_more": false},
		"ai_agent_participated": false, "ai_agent": nil,
	}
}

func intercomContactList(c *intercomContact) map[string]any {
	return map[string]any{"type": "contact.list", "contacts": []any{
		map[string]any{"type": "contact", "id": c.id, "external_id": intercomText(c.externalID)},
	}}
}

// searchConversations answers POST /conversations/search (3), without parts.
func (i *Intercom) searchConversations(c intercomCall) intercomAnswer {
	var search intercomSearch
	if answer, ok := c.decode(&search); !ok {
		return answer
	}
	query, err := intercomCompile(search.Query, 0, intercomConversationKind)
	if err != nil {
		return *intercomRefused("parameter_invalid", err.Error())
	}
	var found []*intercomConversation
	for _, conversation := range i.conversations {
		if i.searchable(conversation.created) && query.matches(conversation.lookup, i.zone) {
			found = append(found, conversation)
		}
	}
	if refusal := intercomSorted(found, search, (*intercomConversation).lookup, func(v *intercomConversation) int { return v.number }, intercomConversationKind); refusal != nil {
		return *refusal
	}
	page, pages, refusal := intercomPage(found, func(v *intercomConversation) string { return v.id }, search.Pagination, 20, search.of("conversations"))
	if refusal != nil {
		return *refusal
	}
	data := make([]any, 0, len(page))
	for _, conversation := range page {
		data = append(data, conversation.json())
	}
	return intercomOK(map[string]any{"type": "conversation.list", "conversations": data, "total_count": len(found), "pages": pages})
}

func intercomConversationKind(field string) intercomKind {
	switch field {
	case "id", "source.id", "source.type", "source.delivered_as", "source.author.id", "source.author.type",
		"contact_ids", "teammate_ids", "admin_assignee_id", "team_assignee_id", "state", "priority", "tag_ids":
		return intercomExactKind
	case "source.subject", "source.url", "source.author.name", "source.author.email", "channel_initiated":
		return intercomFoldedKind
	case "source.body":
		return intercomWordsKind
	case "open", "read":
		return intercomTruthKind
	case "created_at", "updated_at", "waiting_since", "snoozed_until":
		return intercomDateKind
	}
	return 0
}

// lookup returns the values a conversation has for a searchable field.
func (v *intercomConversation) lookup(field string) []string {
	switch field {
	case "id":
		return []string{v.id}
	case "created_at", "updated_at":
		return []string{strconv.FormatInt(v.created.Unix(), 10)}
	case "source.id":
		return []string{v.source}
	case "source.type":
		return []string{v.sourceType}
	case "source.delivered_as":
		return []string{"admin_initiated"}
	case "source.subject":
		return intercomOne(v.subject)
	case "source.body":
		return []string{intercomPlain(v.body)}
	case "source.author.type":
		return []string{"admin"}
	case "source.author.id":
		return []string{IntercomAdmin}
	case "source.author.name", "source.author.email":
		return []string{intercomAdmin()[strings.TrimPrefix(field, "source.author.")].(string)}
	case "contact_ids":
		return []string{v.contact.id}
	case "admin_assignee_id", "team_assignee_id":
		return []string{"0"}
	case "open":
		return []string{"true"}
	case "read":
		return []string{"false"}
	case "state":
		return []string{"open"}
	case "priority":
		return []string{"none"}
	}
	return nil
}
