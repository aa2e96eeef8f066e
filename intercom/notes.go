package intercom

import (
	"context"
	"strings"
)

// A Note is a remark about a contact that teammates read and nobody else.
type Note struct {
	Contact   string // id
	Admin     string // id of the teammate who writes it; empty: whom the token speaks for
	Body      string // HTML
	Reference string // what [Client.FindNote] finds it by, written below the text; empty: nothing is
}

// CreateNote writes a note once and returns its id. It does not wait for pacing:
// see [Client.Wait]. After an Unknown error the note may be there, and carries
// the reference if it is.
func (c *Client) CreateNote(ctx context.Context, n Note) (string, error) {
	const op = "POST /contacts/{id}/notes"
	switch {
	case n.Contact == "":
		return "", wrong(op, "the contact has no id")
	case strings.TrimSpace(n.Body) == "":
		return "", wrong(op, "the note is empty")
	}
	body := map[string]string{"body": marked(n.Body, n.Reference)}
	if n.Admin != "" {
		body["admin_id"] = n.Admin
	}
	var out struct {
		ID text `json:"id"`
	}
	err := c.do(ctx, call{
		op: op, kind: once, path: []string{"contacts", n.Contact, "notes"},
		body: body, out: &out, ok: func() bool { return out.ID != "" },
	})
	if err != nil {
		return "", err
	}
	return string(out.ID), nil
}
