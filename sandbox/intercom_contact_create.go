package sandbox

import (
	"fmt"
	"net/http"
	"strings"
)

// postContact makes a contact, a user unless it says otherwise. One that is
// there already, even archived, is in the way: 409 names it; a user whom a
// teammate blocked cannot come back (4.2).
func (i *Intercom) postContact(c intercomCall) intercomAnswer {
	var request struct {
		Role         string         `json:"role"`
		ExternalID   string         `json:"external_id"`
		Email        string         `json:"email"`
		Verified     bool           `json:"email_verified"`
		Name         string         `json:"name"`
		Phone        string         `json:"phone"`
		Owner        intercomID     `json:"owner_id"`
		Unsubscribed bool           `json:"unsubscribed_from_emails"`
		Custom       map[string]any `json:"custom_attributes"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	switch {
	case request.Email == "" && request.ExternalID == "" && request.Role == "":
		return intercomError(http.StatusBadRequest, "parameter_not_found", "one of email, external_id and role is required")
	case request.Role != "" && request.Role != "user" && request.Role != "lead":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "role must be user or lead")
	case request.Verified && request.Email == "":
		return intercomError(http.StatusBadRequest, "parameter_invalid", "email_verified needs an email")
	case request.Owner != "" && !intercomIsAdmin(string(request.Owner)):
		return intercomError(http.StatusBadRequest, "parameter_invalid", "The owner specified is not a member of the workspace")
	}
	for name, value := range request.Custom {
		if refusal := i.checkAttribute(name, value); refusal != "" {
			return intercomError(http.StatusBadRequest, "parameter_invalid", refusal)
		}
	}
	contact := &intercomContact{
		role: request.Role, externalID: request.ExternalID, email: request.Email, name: request.Name, phone: request.Phone,
		owner: string(request.Owner), unsubscribed: request.Unsubscribed, attributes: map[string]any{}, number: len(i.contactOrder),
	}
	if contact.role == "" {
		contact.role = "user"
	}
	if other := i.inTheWay(contact); other != nil {
		switch {
		case other.blocked:
			return intercomError(http.StatusBadRequest, "not_restorable", "User has been blocked and is not restorable")
		case other.archived:
			return intercomError(http.StatusConflict, "conflict", "An archived contact matching those details already exists with id="+other.id)
		}
		return intercomError(http.StatusConflict, "conflict", "A contact matching those details already exists with id="+other.id)
	}
	for name, value := range request.Custom {
		if value != nil {
			contact.attributes[name] = value
		}
	}
	i.serial["contact"]++
	contact.id = fmt.Sprintf("6a%022x", i.serial["contact"])
	contact.created = i.now()
	contact.updated = contact.created
	i.contacts[contact.id] = contact
	i.contactOrder = append(i.contactOrder, contact)
	i.indexEmail(contact)
	return intercomOK(contact.json())
}

// inTheWay finds a contact that a new one would repeat. External ids are unique;
// users may share an address when both have an id of their own, and leads may in
// any case.
func (i *Intercom) inTheWay(contact *intercomContact) *intercomContact {
	for _, other := range i.contactOrder {
		if other.mergedInto == "" && contact.externalID != "" && other.externalID == contact.externalID {
			return other
		}
	}
	for _, other := range i.byEmail[strings.ToLower(contact.email)] {
		apart := contact.externalID != "" && other.externalID != ""
		if other.mergedInto == "" && contact.role == "user" && other.role == "user" && !apart {
			return other
		}
	}
	return nil
}

// Block is what a teammate does to somebody who is not to come back: nobody can
// write to the contact, and no other of its address or id can be made.
func (i *Intercom) Block(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.contacts[id]; c != nil {
		c.blocked, c.archived = true, true
	}
}

// SetLanguage sets the language that a contact chose, and its browser's; either
// may be empty (4.1).
func (i *Intercom) SetLanguage(id, chosen, browser string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.contacts[id]; c != nil {
		c.chosen, c.browser = chosen, browser
	}
}

// SetExternalID gives a user the company's own id.
func (i *Intercom) SetExternalID(id, external string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.contacts[id]; c != nil {
		c.externalID = external
	}
}
