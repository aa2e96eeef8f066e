package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An intercomEvent is something that happened to a contact (4.9).
type intercomEvent struct {
	contact  *intercomContact
	name     string
	at       int64 // seconds, as the request says
	metadata map[string]any
}

const (
	intercomEventKeys = 10                  // of metadata; more are dropped
	intercomEventDays = 90 * 24 * time.Hour // as far back as a list goes
)

// postEvent records an event and answers 202 with nothing in it. A second one of
// the same user, name and second is dropped, and answered alike. Intercom knows
// users by their external id there, and leads have none: theirs are all kept.
func (i *Intercom) postEvent(c intercomCall) intercomAnswer {
	var request struct {
		Name     string           `json:"event_name"`
		At       *json.Number     `json:"created_at"`
		ID       string           `json:"id"`
		UserID   string           `json:"user_id"`
		Email    string           `json:"email"`
		Metadata intercomMetadata `json:"metadata"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	if request.Name == "" || request.At == nil || request.ID == "" && request.UserID == "" && request.Email == "" {
		return intercomError(http.StatusBadRequest, "parameter_not_found", "event_name, created_at and one of id, user_id and email are required")
	}
	at, err := request.At.Int64()
	if err != nil {
		return intercomError(http.StatusBadRequest, "parameter_invalid", "created_at must be a Unix timestamp in seconds")
	}
	if request.Metadata.nested {
		return intercomError(http.StatusBadRequest, "parameter_invalid", "metadata must not be nested, but for links and amounts of money")
	}
	contact, refusal := i.eventContact(request.ID, request.UserID, request.Email)
	if contact == nil {
		return refusal
	}
	event := &intercomEvent{contact: contact, name: request.Name, at: at, metadata: request.Metadata.values}
	again := contact.role == "user" && slices.ContainsFunc(i.events, func(e *intercomEvent) bool {
		return e.contact == contact && e.name == event.name && e.at == at
	})
	if !again {
		i.events = append(i.events, event)
	}
	i.accepted = append(i.accepted, Accepted{
		At: i.now(), Kind: "event", Contact: contact.id, Text: strings.TrimSpace(event.name + "\n" + intercomPairs(event.metadata)), Again: again,
	})
	return intercomAnswer{status: http.StatusAccepted}
}

// eventContact finds whom an event is about: a lead by id only.
func (i *Intercom) eventContact(id, external, email string) (*intercomContact, intercomAnswer) {
	var found []*intercomContact
	switch {
	case id != "":
		if contact := i.contacts[id]; contact != nil {
			found = append(found, contact)
		}
	default:
		for _, contact := range i.contactOrder {
			if contact.role == "user" && (external != "" && contact.externalID == external || external == "" && strings.EqualFold(contact.email, email)) {
				found = append(found, contact)
			}
		}
	}
	found = slices.DeleteFunc(found, func(c *intercomContact) bool { return !c.there() })
	switch len(found) {
	case 0:
		return nil, intercomError(http.StatusNotFound, "not_found", "User Not Found")
	case 1:
		return found[0], intercomAnswer{}
	}
	return nil, intercomError(http.StatusConflict, "conflict", "Multiple existing users match this email address - must be more specific using user_id")
}

// intercomMetadata keeps the first ten keys of an object.
type intercomMetadata struct {
	values map[string]any
	nested bool // a value is neither plain, nor a link, nor money
}

// UnmarshalJSON reads an object key by key: which ones are dropped depends on
// their order.
func (m *intercomMetadata) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return fmt.Errorf("metadata is no object")
	}
	m.values = map[string]any{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		switch inside := value.(type) {
		case []any:
			m.nested = true
		case map[string]any:
			_, link := inside["url"]
			_, money := inside["currency"]
			m.nested = m.nested || !link && !money
			if money {
				value = fmt.Sprint(inside["amount"], " ", inside["currency"])
			}
		}
		if len(m.values) < intercomEventKeys {
			m.values[name.(string)] = value
		}
	}
	return nil
}

// getEvents lists a user's events of the last 90 days, newest first, or with
// summary=true counts them by name.
func (i *Intercom) getEvents(c intercomCall) intercomAnswer {
	query := c.URL.Query()
	if query.Get("type") != "user" {
		return intercomError(http.StatusBadRequest, "parameter_invalid", "type must be user")
	}
	contact, refusal := i.eventContact(query.Get("intercom_user_id"), query.Get("user_id"), query.Get("email"))
	if contact == nil {
		return refusal
	}
	if contact.role != "user" {
		return intercomError(http.StatusNotFound, "not_found", "User Not Found")
	}
	oldest := i.now().Add(-intercomEventDays).Unix()
	var found []*intercomEvent
	for _, e := range i.events {
		if e.contact == contact && e.at >= oldest {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b *intercomEvent) int { return cmp.Compare(b.at, a.at) })
	events := []any{}
	if summary, _ := strconv.ParseBool(query.Get("summary")); summary {
		events = intercomSummary(found)
	} else {
		for _, e := range found {
			events = append(events, e.json())
		}
	}
	return intercomOK(map[string]any{
		"type": "event.summary", "events": events, "pages": map[string]any{},
		"email": contact.email, "intercom_user_id": contact.id, "user_id": contact.externalID,
	})
}

func (e *intercomEvent) json() map[string]any {
	return map[string]any{
		"type": "event", "event_name": e.name, "created_at": e.at, "intercom_user_id": e.contact.id,
		"user_id": e.contact.externalID, "email": e.contact.email, "metadata": e.metadata,
	}
}

// intercomSummary counts events, newest first, by name.
func intercomSummary(events []*intercomEvent) []any {
	byName := map[string]map[string]any{}
	out := []any{}
	for _, e := range events {
		at := time.Unix(e.at, 0).UTC().Format("2006-01-02T15:04:05.000+00:00")
		line := byName[e.name]
		if line == nil {
			line = map[string]any{"name": e.name, "last": at, "count": 0}
			byName[e.name] = line
			out = append(out, line)
		}
		line["first"], line["count"] = at, line["count"].(int)+1
	}
	return out
}
