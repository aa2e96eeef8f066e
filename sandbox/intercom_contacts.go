package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A contactSeed is a contact as the world makes one.
type contactSeed struct {
	Contact
	Name, ExternalID string
	LocationCountry  string // alpha-2, of Intercom's location; may be empty
	LocationRegion   string // as the world writes states; may be empty
	OptOutBy         string // tag, attribute, unsubscribed, or empty
}

// An intercomContact is a person in this Intercom.
type intercomContact struct {
	id, externalID   string
	role, email      string
	name, phone      string
	owner            string
	country, region  string
	chosen, browser  string // languages
	unsubscribed     bool
	attributes       map[string]any
	tags             []*intercomTag
	notes            []*intercomNote
	created, updated time.Time
	signedUp         time.Time
	lastSeen         time.Time
	lastContacted    time.Time
	archived         bool
	blocked          bool
	mergedInto       string
	number           int // order of arrival
}

// addContact makes a contact without a request, created now.
func (i *Intercom) addContact(seed contactSeed) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	c := &intercomContact{
		id: seed.ID, externalID: seed.ExternalID, role: seed.Role, email: seed.Email, name: seed.Name,
		country: strings.ToUpper(seed.LocationCountry), region: seed.LocationRegion,
		unsubscribed: seed.OptOutBy == "unsubscribed",
		attributes:   map[string]any{},
		created:      now, updated: now, signedUp: now,
		number: len(i.contactOrder),
	}
	if seed.Timezone != "" {
		c.attributes[IntercomTimezone] = seed.Timezone
	}
	switch seed.OptOutBy {
	case "attribute":
		c.attributes[IntercomOptOut] = true
	case "tag":
		c.tags = append(c.tags, i.tags[0])
	}
	i.contacts[c.id] = c
	i.contactOrder = append(i.contactOrder, c)
	i.indexEmail(c)
}

// AddContact makes a contact without a request, for tests of a client. Opted out
// means unsubscribed from e-mails.
func (i *Intercom) AddContact(c Contact) {
	seed := contactSeed{Contact: c}
	if c.OptedOut {
		seed.OptOutBy = "unsubscribed"
	}
	i.addContact(seed)
}

// Archive hides a contact: reads answer 404, searches leave it out, messages to
// it are refused (4.3).
func (i *Intercom) Archive(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.contacts[id]; c != nil {
		c.archived = true
	}
}

// Merge makes one contact part of another, which has its notes from then on:
// reads of it answer 410 with a Link to the other, searches leave it out (4.3).
func (i *Intercom) Merge(from, into string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.contacts[from]; c != nil {
		c.mergedInto = into
		if survivor := i.contacts[into]; survivor != nil {
			survivor.notes = append(survivor.notes, c.notes...)
			c.notes = nil
		}
	}
}

// Locations returns where Intercom thinks its contacts are, by contact id, those
// without a location left out. A judge needs it to know when it is night.
func (i *Intercom) Locations() map[string]Location {
	i.mu.Lock()
	defer i.mu.Unlock()
	locations := map[string]Location{}
	for id, c := range i.contacts {
		if c.country != "" {
			locations[id] = Location{Country: c.country, Region: c.region}
		}
	}
	return locations
}

func (i *Intercom) indexEmail(c *intercomContact) {
	if key := strings.ToLower(c.email); key != "" {
		i.byEmail[key] = append(i.byEmail[key], c)
	}
}

func (i *Intercom) unindexEmail(c *intercomContact) {
	key := strings.ToLower(c.email)
	i.byEmail[key] = slices.DeleteFunc(i.byEmail[key], func(other *intercomContact) bool { return other == c })
}

// there says whether a contact can be read, searched and written to.
func (c *intercomContact) there() bool { return c != nil && !c.archived && c.mergedInto == "" }

// find returns a contact, or the answer for one that is not there: 410 with the
// canonical contact after a merge, else 404 (4.3).
func (i *Intercom) find(id string) (*intercomContact, intercomAnswer) {
	c := i.contacts[id]
	if c != nil && c.mergedInto != "" {
		gone := intercomError(http.StatusGone, "contact_merged", "This contact has been merged. See the 'Link' header for the canonical contact.")
		gone.header = http.Header{"Link": {fmt.Sprintf(`</contacts/%s>; rel="canonical"`, c.mergedInto)}}
		return nil, gone
	}
	if !c.there() {
		return nil, intercomError(http.StatusNotFound, "not_found", "User Not Found")
	}
	return c, intercomAnswer{}
}

func (i *Intercom) getContact(c intercomCall) intercomAnswer {
	contact, missing := i.find(c.vars[0])
	if contact == nil {
		return missing
	}
	return intercomOK(contact.json())
}

// getContactByExternalID finds users only, as leads have no such id (4.3).
func (i *Intercom) getContactByExternalID(c intercomCall) intercomAnswer {
	for _, contact := range i.contactOrder {
		if contact.externalID == c.vars[0] && contact.role == "user" {
			found, missing := i.find(contact.id)
			if found == nil {
				return missing
			}
			return intercomOK(found.json())
		}
	}
	return intercomError(http.StatusNotFound, "not_found", "User Not Found")
}

// putContact changes what the body names and leaves the rest (4.3).
func (i *Intercom) putContact(c intercomCall) intercomAnswer {
	contact, missing := i.find(c.vars[0])
	if contact == nil {
		return missing
	}
	var change struct {
		Role         *string        `json:"role"`
		ExternalID   *string        `json:"external_id"`
		Email        *string        `json:"email"`
		Name         *string        `json:"name"`
		Phone        *string        `json:"phone"`
		Owner        *intercomID    `json:"owner_id"`
		Unsubscribed *bool          `json:"unsubscribed_from_emails"`
		Custom       map[string]any `json:"custom_attributes"`
	}
	if answer, ok := c.decode(&change); !ok {
		return answer
	}
	if change.Role != nil && *change.Role != contact.role {
		if *change.Role != "user" {
			return intercomError(http.StatusBadRequest, "client_error", "Contact with user role can't be converted to a lead")
		}
		contact.role = "user"
	}
	if change.ExternalID != nil {
		for _, other := range i.contactOrder {
			if other != contact && other.externalID != "" && other.externalID == *change.ExternalID {
				return intercomError(http.StatusConflict, "conflict", "A contact matching those details already exists with id="+other.id)
			}
		}
	}
	if change.Owner != nil && *change.Owner != "" && !intercomIsAdmin(string(*change.Owner)) {
		return intercomError(http.StatusBadRequest, "parameter_invalid", "The owner specified is not a member of the workspace")
	}
	for name, value := range change.Custom {
		if refusal := i.checkAttribute(name, value); refusal != "" {
			return intercomError(http.StatusBadRequest, "parameter_invalid", refusal)
		}
	}

	set := func(field *string, value *string) {
		if value != nil {
			*field = *value
		}
	}
	if change.Email != nil {
		i.unindexEmail(contact)
		contact.email = *change.Email
		i.indexEmail(contact)
	}
	set(&contact.externalID, change.ExternalID)
	set(&contact.name, change.Name)
	set(&contact.phone, change.Phone)
	set(&contact.owner, (*string)(change.Owner))
	if change.Unsubscribed != nil {
		contact.unsubscribed = *change.Unsubscribed
	}
	for name, value := range change.Custom {
		if value == nil {
			delete(contact.attributes, name) // null clears
			continue
		}
		contact.attributes[name] = value
	}
	contact.updated = i.now()
	if len(change.Custom) > 0 {
		i.accepted = append(i.accepted, Accepted{At: contact.updated, Kind: "attributes", Contact: contact.id, ID: contact.id, Text: intercomPairs(change.Custom)})
	}
	return intercomOK(contact.json())
}

// intercomContactNulls are the fields of a contact that this Intercom never sets.
var intercomContactNulls = strings.Fields(`avatar last_replied_at last_email_opened_at last_email_clicked_at
	browser browser_version os
	android_app_name android_app_version android_device android_os_version android_sdk_version android_last_seen_at
	ios_app_name ios_app_version ios_device ios_os_version ios_sdk_version ios_last_seen_at
	utm_campaign utm_content utm_medium utm_source utm_term referrer enabled_push_messaging`)

// json is a contact with every key of the 2.16 example (4.1). There is no time
// zone in it but the custom attribute.
func (c *intercomContact) json() map[string]any {
	out := make(map[string]any, 64)
	for _, name := range intercomContactNulls {
		out[name] = nil
	}
	_, domain, _ := strings.Cut(c.email, "@")
	out["type"], out["id"], out["workspace_id"] = "contact", c.id, IntercomWorkspace
	out["external_id"], out["role"] = intercomText(c.externalID), c.role
	out["email"], out["email_domain"] = intercomText(c.email), intercomText(strings.ToLower(domain))
	out["name"], out["phone"], out["owner_id"] = intercomText(c.name), intercomText(c.phone), intercomText(c.owner)
	out["has_hard_bounced"], out["marked_email_as_spam"] = false, false
	out["unsubscribed_from_emails"] = c.unsubscribed
	out["language_override"], out["browser_language"] = intercomText(c.chosen), intercomText(c.browser)
	out["created_at"], out["updated_at"] = intercomSeconds(c.created), intercomSeconds(c.updated)
	out["signed_up_at"], out["last_seen_at"] = intercomSeconds(c.signedUp), intercomSeconds(c.lastSeen)
	out["last_contacted_at"] = intercomSeconds(c.lastContacted)
	out["location"] = map[string]any{
		"type": "location", "country": intercomText(intercomCountryName(c.country)), "region": intercomText(c.region), "city": nil,
		"country_code": intercomText(c.country), "continent_code": nil,
	}
	out["custom_attributes"] = c.attributes
	out["social_profiles"] = map[string]any{"type": "list", "data": []any{}}

	tags := make([]any, 0, len(c.tags))
	for _, tag := range c.tags {
		tags = append(tags, map[string]any{"type": "tag", "id": tag.id, "url": "/tags/" + tag.id})
	}
	notes := make([]any, 0, len(c.notes))
	for _, note := range c.notes {
		notes = append(notes, map[string]any{"type": "note", "id": note.id, "url": "/notes/" + note.id})
	}
	out["tags"], out["notes"] = c.part("tags", tags), c.part("notes", notes)
	out["companies"] = c.part("companies", nil)
	out["opted_out_subscription_types"] = c.part("subscriptions", nil)
	out["opted_in_subscription_types"] = c.part("subscriptions", nil)
	return out
}

// part is a list inside a contact: ten entries at most, and where the rest is (1.9).
func (c *intercomContact) part(name string, all []any) map[string]any {
	shown := all[:min(len(all), 10)]
	if shown == nil {
		shown = []any{}
	}
	return map[string]any{
		"type": "list", "data": shown, "url": "/contacts/" + c.id + "/" + name,
		"total_count": len(all), "has_more": len(all) > len(shown),
	}
}
