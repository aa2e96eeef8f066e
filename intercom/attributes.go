package intercom

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// An Attribute is a custom attribute that contacts can have in this workspace.
type Attribute struct {
	ID, Name string
	Type     string // string, integer, float, boolean, date or options
	Writable bool   // by us
}

// ContactAttributes returns the names of the custom attributes that contacts can
// have in this workspace, archived ones left out.
func (c *Client) ContactAttributes(ctx context.Context) ([]string, error) {
	attributes, err := c.attributes(ctx)
	var names []string
	for _, a := range attributes {
		names = append(names, a.Name)
	}
	return names, err
}

func (c *Client) attributes(ctx context.Context) ([]Attribute, error) {
	var out struct {
		Data []struct {
			attributeJSON
			Custom   flag `json:"custom"`
			Archived flag `json:"archived"`
		} `json:"data"`
	}
	err := c.do(ctx, call{op: "GET /data_attributes", path: []string{"data_attributes"}, query: "model=contact", out: &out})
	if err != nil {
		return nil, err
	}
	var attributes []Attribute
	for _, a := range out.Data {
		if bool(a.Custom) && !bool(a.Archived) {
			attributes = append(attributes, a.attribute())
		}
	}
	return attributes, nil
}

type attributeJSON struct {
	ID       text  `json:"id"`
	Name     text  `json:"name"`
	Type     text  `json:"data_type"`
	Writable *flag `json:"api_writable"`
}

func (j attributeJSON) attribute() Attribute {
	return Attribute{ID: string(j.ID), Name: string(j.Name), Type: string(j.Type), Writable: j.Writable == nil || bool(*j.Writable)}
}

// createAttribute makes an attribute of contacts. Intercom refuses a second
// one of the same name, so the call is repeated when its outcome is in doubt.
func (c *Client) createAttribute(ctx context.Context, name, kind string) (Attribute, error) {
	const op = "POST /data_attributes"
	var out attributeJSON
	err := c.do(ctx, call{
		op: op, kind: idempotent, path: []string{"data_attributes"},
		body: map[string]any{"name": name, "model": "contact", "data_type": kind, "description": "Written by Dunlin."},
		out:  &out, ok: func() bool { return out.ID != "" },
	})
	if err != nil {
		return Attribute{}, err
	}
	return out.attribute(), nil
}

// findOrCreateAttribute returns the attribute of that name among those listed,
// whatever its type, else makes it with the type it is to have. A refusal means that somebody else has just made it, or that
// the name is taken in a way the list does not show; the list tells which.
func (c *Client) findOrCreateAttribute(ctx context.Context, name, kind string, listed []Attribute) (Attribute, error) {
	const op = "POST /data_attributes"
	if strings.TrimSpace(name) == "" {
		return Attribute{}, wrong(op, "the attribute has no name")
	}
	if a, ok := named(listed, name); ok {
		return a, nil
	}
	created, err := c.createAttribute(ctx, name, kind)
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest {
		return created, err
	}
	listed, listErr := c.attributes(ctx)
	if listErr != nil {
		return Attribute{}, listErr
	}
	if a, ok := named(listed, name); ok {
		return a, nil
	}
	return Attribute{}, err
}

func named(attributes []Attribute, name string) (Attribute, bool) {
	for _, a := range attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

// SetAttributes writes custom attributes of a contact and leaves its others as
// they are. Each must exist: see [AttributesNamed]. A value is a string of at
// most 255 characters, a bool, a [json.Number] (of a date: Unix seconds), or nil,
// which clears. Writing the same again changes nothing, so the call is repeated
// when its outcome is in doubt.
func (c *Client) SetAttributes(ctx context.Context, contactID string, values map[string]any) error {
	const op = "PUT /contacts/{id}"
	switch {
	case contactID == "":
		return wrong(op, "the contact has no id")
	case len(values) == 0:
		return wrong(op, "there is nothing to write")
	}
	return c.do(ctx, call{
		op: op, kind: idempotent, path: []string{"contacts", contactID},
		body: map[string]any{"custom_attributes": values},
	})
}
