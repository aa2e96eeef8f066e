package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// searchContacts answers POST /contacts/search (4.4). E-mails compare regardless
// of case, which Intercom leaves undocumented; what is archived, merged, or newer
// than the lag is left out.
func (i *Intercom) searchContacts(c intercomCall) intercomAnswer {
	var search intercomSearch
	if answer, ok := c.decode(&search); !ok {
		return answer
	}
	query, err := intercomCompile(search.Query, 0, i.contactKind)
	if err != nil {
		return *intercomRefused("parameter_invalid", err.Error())
	}
	var found []*intercomContact
	for _, contact := range i.candidates(query) {
		if contact.there() && i.searchable(contact.created) && query.matches(contact.lookup, i.zone) {
			found = append(found, contact)
		}
	}
	if refusal := intercomSorted(found, search, (*intercomContact).lookup, func(c *intercomContact) int { return c.number }, i.contactKind); refusal != nil {
		return *refusal
	}
	page, pages, refusal := intercomPage(found, func(c *intercomContact) string { return c.id }, search.Pagination, 50, search.of("contacts"))
	if refusal != nil {
		return *refusal
	}
	data := make([]any, 0, len(page))
	for _, contact := range page {
		data = append(data, contact.json())
	}
	return intercomOK(map[string]any{"type": "list", "data": data, "total_count": len(found), "pages": pages})
}

// searchable says whether something made at an instant has reached the index.
func (i *Intercom) searchable(created time.Time) bool {
	return !i.now().Before(created.Add(i.SearchLag))
}

// candidates returns contacts among which are all that match, so that a search by
// e-mail or id does not read everybody.
func (i *Intercom) candidates(q intercomQuery) []*intercomContact {
	keys, ok := q.keys()
	if !ok {
		return i.contactOrder
	}
	seen := map[*intercomContact]bool{}
	var found []*intercomContact
	for _, key := range keys {
		contacts := i.byEmail[strings.ToLower(key)]
		if contact := i.contacts[key]; contact != nil {
			contacts = []*intercomContact{contact}
		}
		for _, contact := range contacts {
			if !seen[contact] {
				seen[contact] = true
				found = append(found, contact)
			}
		}
	}
	return found
}

// keys returns addresses and ids of which a match must have one, if the query has
// such.
func (q intercomQuery) keys() ([]string, bool) {
	switch q.operator {
	case "AND":
		for _, part := range q.parts {
			if keys, ok := part.keys(); ok {
				return keys, true
			}
		}
		return nil, false
	case "OR":
		var all []string
		for _, part := range q.parts {
			keys, ok := part.keys()
			if !ok {
				return nil, false
			}
			all = append(all, keys...)
		}
		return all, true
	}
	one := (q.field == "email" || q.field == "id") && (q.operator == "=" || q.operator == "IN") && len(q.values) > 0
	return q.values, one
}

// intercomContactFields are the fields a contact can be searched by; those this
// Intercom never sets are missing on everybody.
var intercomContactFields = map[string]intercomKind{
	"id": intercomExactKind, "role": intercomExactKind, "external_id": intercomExactKind, "owner_id": intercomExactKind,
	"name": intercomFoldedKind, "email": intercomFoldedKind, "email_domain": intercomFoldedKind, "phone": intercomFoldedKind, "formatted_phone": intercomFoldedKind,
	"created_at": intercomDayKind, "signed_up_at": intercomDayKind, "updated_at": intercomDayKind, "last_seen_at": intercomDayKind, "last_contacted_at": intercomDayKind,
	"last_replied_at": intercomDayKind, "last_email_opened_at": intercomDayKind, "last_email_clicked_at": intercomDayKind,
	"language_override": intercomFoldedKind, "browser": intercomFoldedKind, "browser_language": intercomFoldedKind, "os": intercomFoldedKind,
	"location.country": intercomFoldedKind, "location.region": intercomFoldedKind, "location.city": intercomFoldedKind,
	"unsubscribed_from_emails": intercomTruthKind, "marked_email_as_spam": intercomTruthKind, "has_hard_bounced": intercomTruthKind,
	"tag_id": intercomTagKind,
}

func (i *Intercom) contactKind(field string) intercomKind {
	if name, ok := strings.CutPrefix(field, "custom_attributes."); ok {
		attribute := i.attribute(name)
		if attribute == nil || attribute.model != "contact" {
			return 0
		}
		switch attribute.dataType {
		case "boolean":
			return intercomTruthKind
		case "integer":
			return intercomNumberKind
		case "date":
			return intercomDayKind
		}
		return intercomFoldedKind
	}
	return intercomContactFields[field]
}

// lookup returns the values a contact has for a searchable field.
func (c *intercomContact) lookup(field string) []string {
	if name, ok := strings.CutPrefix(field, "custom_attributes."); ok {
		if value, ok := c.attributes[name]; ok {
			return []string{fmt.Sprint(value)}
		}
		return nil
	}
	switch field {
	case "id":
		return []string{c.id}
	case "role":
		return []string{c.role}
	case "external_id":
		return intercomOne(c.externalID)
	case "owner_id":
		return intercomOne(c.owner)
	case "name":
		return intercomOne(c.name)
	case "email":
		return intercomOne(c.email)
	case "email_domain":
		_, domain, _ := strings.Cut(c.email, "@")
		return intercomOne(domain)
	case "phone", "formatted_phone":
		return intercomOne(c.phone)
	case "created_at":
		return intercomInstant(c.created)
	case "signed_up_at":
		return intercomInstant(c.signedUp)
	case "updated_at":
		return intercomInstant(c.updated)
	case "last_seen_at":
		return intercomInstant(c.lastSeen)
	case "last_contacted_at":
		return intercomInstant(c.lastContacted)
	case "language_override":
		return intercomOne(c.chosen)
	case "browser_language":
		return intercomOne(c.browser)
	case "location.country":
		return intercomOne(intercomCountryName(c.country))
	case "location.region":
		return intercomOne(c.region)
	case "unsubscribed_from_emails":
		return []string{strconv.FormatBool(c.unsubscribed)}
	case "marked_email_as_spam", "has_hard_bounced":
		return []string{"false"}
	case "tag_id":
		ids := make([]string, 0, len(c.tags))
		for _, tag := range c.tags {
			ids = append(ids, tag.id)
		}
		return ids
	}
	return nil
}

func intercomOne(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func intercomInstant(t time.Time) []string {
	if t.IsZero() {
		return nil
	}
	return []string{strconv.FormatInt(t.Unix(), 10)}
}

// intercomCountries are names as Intercom's location carries them beside the code.
var intercomCountries = []struct{ code, name string }{
	{"AE", "United Arab Emirates"}, {"AU", "Australia"}, {"BR", "Brazil"}, {"CA", "Canada"}, {"DE", "Germany"}, {"ES", "Spain"},
	{"FR", "France"}, {"GB", "United Kingdom"}, {"IN", "India"}, {"IT", "Italy"}, {"JP", "Japan"}, {"MX", "Mexico"},
	{"NL", "Netherlands"}, {"NZ", "New Zealand"}, {"PL", "Poland"}, {"PT", "Portugal"}, {"SE", "Sweden"}, {"SG", "Singapore"},
	{"US", "United States"}, {"ZA", "South Africa"},
}

// intercomCountryName is a country's name, or the code of one not in the list.
func intercomCountryName(code string) string {
	at := slices.IndexFunc(intercomCountries, func(c struct{ code, name string }) bool { return c.code == code })
	if at < 0 {
		return code
	}
	return intercomCountries[at].name
}
