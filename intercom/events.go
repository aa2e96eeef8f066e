package intercom

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// An Event is something that a contact did or that happened to them. It may start
// a workflow or a series at Intercom, which may write to the contact.
type Event struct {
	Contact  string // id
	Role     string // the contact's role: user or lead
	Name     string
	At       time.Time // to the second; the same in every attempt
	Metadata []Datum   // ten at most; in this order, because Intercom drops what comes later
}

// A Datum is a name and its value: a string, a [json.Number], or [Money]. A
// number whose name ends in _date is an instant, in Unix seconds.
type Datum struct {
	Name  string
	Value any
}

// Money in an event's metadata is in cents.
type Money struct {
	Cents    int64  `json:"amount"`
	Currency string `json:"currency"` // ISO 4217, lower case
}

// maxMetadata is how many values of an event Intercom keeps.
const maxMetadata = 10

// CreateEvent records an event. Intercom takes two with the same contact, name
// and second for one and answers both alike, so the call is repeated when its
// outcome is in doubt, and may be made again with the same At. It knows the
// contact by the external id, which leads do not have: of a lead an event is
// posted once, and two calls may be two events.
func (c *Client) CreateEvent(ctx context.Context, e Event) error {
	const op = "POST /events"
	switch {
	case e.Contact == "":
		return wrong(op, "the contact has no id")
	case strings.TrimSpace(e.Name) == "":
		return wrong(op, "the event has no name")
	case e.At.IsZero():
		return wrong(op, "the event has no time")
	case len(e.Metadata) > maxMetadata:
		return wrong(op, "the event has more than 10 values, and Intercom would drop the rest")
	}
	kind := idempotent
	if e.Role != "user" {
		kind = once
	}
	body := struct {
		Name     string   `json:"event_name"`
		At       int64    `json:"created_at"`
		Contact  string   `json:"id"`
		Metadata metadata `json:"metadata,omitempty"`
	}{e.Name, e.At.Unix(), e.Contact, e.Metadata}
	return c.do(ctx, call{op: op, kind: kind, path: []string{"events"}, body: body})
}

// metadata is an object that keeps its order.
type metadata []Datum

// MarshalJSON writes the object.
func (m metadata) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, d := range m {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(d.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(d.Value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}
