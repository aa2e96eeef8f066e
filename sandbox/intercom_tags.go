package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// An intercomTag is a word on contacts.
type intercomTag struct{ id, name string }

func (t *intercomTag) json() map[string]any {
	return map[string]any{"type": "tag", "id": t.id, "name": t.name}
}

func (i *Intercom) getTags(intercomCall) intercomAnswer { return intercomOK(intercomTagList(i.tags)) }

func intercomTagList(tags []*intercomTag) map[string]any {
	data := make([]any, 0, len(tags))
	for _, tag := range tags {
		data = append(data, tag.json())
	}
	return map[string]any{"type": "list", "data": data}
}

// postTag finds a tag by name, regardless of case, or makes it; with an id it
// renames (4.7). Tagging many people at once is refused.
func (i *Intercom) postTag(c intercomCall) intercomAnswer {
	var request struct {
		ID               intercomID `json:"id"`
		Name             string     `json:"name"`
		Users, Companies []any
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	if strings.TrimSpace(request.Name) == "" || request.Users != nil || request.Companies != nil {
		return intercomError(http.StatusBadRequest, "parameter_invalid", "invalid tag parameters")
	}
	if request.ID != "" {
		tag := i.tag(string(request.ID))
		if tag == nil {
			return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
		}
		tag.name = request.Name
		return intercomOK(tag.json())
	}
	for _, tag := range i.tags {
		if strings.EqualFold(tag.name, request.Name) {
			return intercomOK(tag.json())
		}
	}
	tag := &intercomTag{id: i.nextID("tag"), name: request.Name}
	i.tags = append(i.tags, tag)
	return intercomOK(tag.json())
}

func (i *Intercom) tag(id string) *intercomTag {
	at := slices.IndexFunc(i.tags, func(tag *intercomTag) bool { return tag.id == id })
	if at < 0 {
		return nil
	}
	return i.tags[at]
}

// reachable returns a contact for calls below it, which know no 410.
func (i *Intercom) reachable(id string) (*intercomContact, intercomAnswer) {
	if c := i.contacts[id]; c.there() {
		return c, intercomAnswer{}
	}
	return nil, intercomError(http.StatusNotFound, "not_found", "User Not Found")
}

func (i *Intercom) getContactTags(c intercomCall) intercomAnswer {
	contact, missing := i.reachable(c.vars[0])
	if contact == nil {
		return missing
	}
	return intercomOK(intercomTagList(contact.tags))
}

// postContactTag attaches a tag. A tag that is there already is attached again
// without an error (4.7; 1.8 takes it for set semantics).
func (i *Intercom) postContactTag(c intercomCall) intercomAnswer {
	contact, missing := i.reachable(c.vars[0])
	if contact == nil {
		return missing
	}
	var request struct {
		ID intercomID `json:"id"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	tag := i.tag(string(request.ID))
	if tag == nil {
		return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
	}
	now, again := i.now(), slices.Contains(contact.tags, tag)
	if !again {
		contact.tags = append(contact.tags, tag)
		contact.updated = now
	}
	i.accepted = append(i.accepted, Accepted{At: now, Kind: "tag", Contact: contact.id, ID: tag.id, Text: tag.name, Again: again})
	return intercomOK(tag.applied(now))
}

func (t *intercomTag) applied(at time.Time) map[string]any {
	out := t.json()
	out["applied_at"], out["applied_by"] = intercomSeconds(at), map[string]any{"type": "admin", "id": IntercomAdmin}
	return out
}

func (i *Intercom) deleteContactTag(c intercomCall) intercomAnswer {
	contact, missing := i.reachable(c.vars[0])
	if contact == nil {
		return missing
	}
	tag := i.tag(c.vars[1])
	if tag == nil || !slices.Contains(contact.tags, tag) {
		return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
	}
	contact.tags = slices.DeleteFunc(contact.tags, func(other *intercomTag) bool { return other == tag })
	contact.updated = i.now()
	i.accepted = append(i.accepted, Accepted{At: contact.updated, Kind: "untag", Contact: contact.id, ID: tag.id, Text: tag.name})
	return intercomOK(tag.applied(contact.updated))
}
