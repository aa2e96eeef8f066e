package intercom

import (
	"context"
	"strconv"
	"strings"
)

// messageType is what in-app messages are called on the wire. The schema lists
// in_app; the description's examples, its responses and Intercom's own clients
// all say inapp, and both are said to be accepted.
const messageType = "inapp"

// A Message is a message from a teammate to one contact: in-app, or an e-mail
// when it has a subject.
type Message struct {
	From string // the teammate's id, digits
	To   string // the contact's id
	Role string // the contact's role: user or lead
	Body string // HTML or plain text; with a Reference HTML

	Subject string // of an e-mail; empty: in-app
	Plain   bool   // e-mail: without Intercom's layout

	// Traceable opens a conversation at once, without waiting for a reply. It is
	// the only trace of a message that can be looked for when an answer was lost,
	// and colleagues see it in their inbox. In-app only.
	Traceable bool

	// Reference of a traceable message is what [Client.FindMessage] finds it by. It
	// is written below the text, see [marked]. Empty: nothing is.
	Reference string
}

// CreateMessage posts a message once and returns its id, which is not the id of
// a conversation. It does not wait for pacing: see [Client.Wait]. Two calls are
// two messages, so after an Unknown error it must not simply be called again.
func (c *Client) CreateMessage(ctx context.Context, m Message) (string, error) {
	const op = "POST /messages"
	from, err := strconv.ParseInt(m.From, 10, 64)
	switch {
	case err != nil || from <= 0:
		return "", wrong(op, "the sender is not the id of a teammate, which is a number")
	case m.To == "":
		return "", wrong(op, "the recipient has no id")
	case m.Role != "user" && m.Role != "lead":
		return "", wrong(op, "the recipient is neither a user nor a lead")
	case strings.TrimSpace(m.Body) == "":
		return "", wrong(op, "the message is empty")
	case m.Subject != "" && m.Traceable:
		return "", wrong(op, "an e-mail opens no conversation before it is answered")
	}
	type party struct {
		Type string `json:"type"`
		ID   any    `json:"id"`
	}
	body := struct {
		MessageType  string `json:"message_type"`
		Subject      string `json:"subject,omitempty"`
		Template     string `json:"template,omitempty"`
		Body         string `json:"body"`
		From         party  `json:"from"`
		To           party  `json:"to"`
		Conversation bool   `json:"create_conversation_without_contact_reply,omitempty"`
	}{messageType, m.Subject, "", m.Body, party{"admin", from}, party{m.Role, m.To}, m.Traceable}
	if m.Subject != "" {
		body.MessageType, body.Template = "email", "personal"
		if m.Plain {
			body.Template = "plain"
		}
	}
	if m.Traceable {
		body.Body = marked(m.Body, m.Reference)
	}

	var out struct {
		ID text `json:"id"`
	}
	err = c.do(ctx, call{
		op: op, kind: once, path: []string{"messages"},
		body: body, out: &out, ok: func() bool { return out.ID != "" },
	})
	if err != nil {
		return "", err
	}
	return string(out.ID), nil
}
