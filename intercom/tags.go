package intercom

import (
	"context"
	"strings"
)

// A Tag is a label on contacts.
type Tag struct{ ID, Name string }

type tagList struct {
	Data []struct {
		ID   text `json:"id"`
		Name text `json:"name"`
	} `json:"data"`
}

func (l tagList) tags() []Tag {
	tags := make([]Tag, len(l.Data))
	for i, t := range l.Data {
		tags[i] = Tag{ID: string(t.ID), Name: string(t.Name)}
	}
	return tags
}

// Tags returns all tags of the workspace.
func (c *Client) Tags(ctx context.Context) ([]Tag, error) {
	var out tagList
	if err := c.do(ctx, call{op: "GET /tags", path: []string{"tags"}, out: &out}); err != nil {
		return nil, err
	}
	return out.tags(), nil
}

// CreateTag finds the tag of that name, in any case, or creates it, and returns
// its id.
func (c *Client) CreateTag(ctx context.Context, name string) (string, error) {
	const op = "POST /tags"
	if strings.TrimSpace(name) == "" {
		return "", wrong(op, "the tag has no name")
	}
	var out struct {
		ID text `json:"id"`
	}
	err := c.do(ctx, call{
		op: op, kind: idempotent, path: []string{"tags"},
		body: map[string]any{"name": name},
		out:  &out, ok: func() bool { return out.ID != "" },
	})
	return string(out.ID), err
}

// ContactTags returns all tags of one contact, of which [Contact] holds only
// the first ten.
func (c *Client) ContactTags(ctx context.Context, contactID string) ([]Tag, error) {
	const op = "GET /contacts/{id}/tags"
	if contactID == "" {
		return nil, wrong(op, "the contact has no id")
	}
	var out tagList
	if err := c.do(ctx, call{op: op, path: []string{"contacts", contactID, "tags"}, out: &out}); err != nil {
		return nil, err
	}
	return out.tags(), nil
}

// TagContact attaches a tag to a contact. Attaching it again changes nothing,
// so the call is repeated when its outcome is in doubt.
func (c *Client) TagContact(ctx context.Context, contactID, tagID string) error {
	const op = "POST /contacts/{id}/tags"
	if contactID == "" || tagID == "" {
		return wrong(op, "the contact or the tag has no id")
	}
	return c.do(ctx, call{
		op: op, kind: idempotent, path: []string{"contacts", contactID, "tags"},
		body: map[string]any{"id": tagID},
	})
}

// UntagContact takes a tag off a contact. [Gone] reports that the contact did
// not have it, or is not there itself: Intercom's answer does not tell which, and
// a repeated call may say so of a tag that the first one took off.
func (c *Client) UntagContact(ctx context.Context, contactID, tagID string) error {
	const op = "DELETE /contacts/{id}/tags/{id}"
	if contactID == "" || tagID == "" {
		return wrong(op, "the contact or the tag has no id")
	}
	return c.do(ctx, call{op: op, kind: idempotent, path: []string{"contacts", contactID, "tags", tagID}})
}
