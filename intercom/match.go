package intercom

import (
	"strconv"
	"strings"
	"time"
)

// match picks the contact that a customer is among those a search found.
//
// The company's own id decides where there is one; it is unique among users.
// Else the e-mail address does, which Intercom lets several contacts share: one
// user wins over any leads; several users, or several leads and no user, are
// ambiguous, and then nobody is contacted rather than the wrong person.
func match(contacts []Contact, c Customer, s Settings) (Contact, State) {
	for _, id := range c.externals(s) {
		if contact, state := only(contacts, func(x Contact) bool { return x.Role == "user" && x.ExternalID == id }); state != None {
			return contact, state
		}
	}
	for _, role := range []string{"user", "lead"} {
		if contact, state := only(contacts, func(x Contact) bool { return x.Role == role && fits(x, c) }); state != None {
			return contact, state
		}
	}
	return Contact{}, None
}

// only returns the one contact for which is holds.
func only(contacts []Contact, is func(Contact) bool) (found Contact, state State) {
	state = None
	for _, c := range contacts {
		switch {
		case !is(c):
		case state == Linked:
			return Contact{}, Ambiguous
		default:
			found, state = c, Linked
		}
	}
	return found, state
}

// externals are the ids by which a user is the customer, the surest first: the
// company's own, and the one that [Links] gives to the contacts it makes.
func (c Customer) externals(s Settings) []string {
	var ids []string
	if c.ExternalID != "" {
		ids = append(ids, c.ExternalID)
	}
	if s.Create && !s.ExternalIDs && c.StripeID != "" {
		ids = append(ids, c.StripeID)
	}
	return ids
}

// fits reports whether a contact is the customer by its address. A user with
// another of the company's ids is somebody else, who shares the address.
func fits(x Contact, c Customer) bool {
	another := x.Role == "user" && c.ExternalID != "" && x.ExternalID != "" && x.ExternalID != c.ExternalID
	return sameEmail(x.Email, c.Email) && !another
}

// settled reports that a contact need not be looked for again: by the surest
// sign there can be, it is the customer.
func settled(x Contact, c Customer, s Settings) bool {
	if x.Role != "user" {
		return false
	}
	if ids := c.externals(s); len(ids) > 0 && x.ExternalID == ids[0] {
		return true
	}
	return c.ExternalID == "" && fits(x, c)
}

// sameEmail compares addresses regardless of case. No address equals none.
func sameEmail(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	return a != "" && strings.EqualFold(a, b)
}

// optedOut says why a contact must not be written to, all reasons joined, and
// nothing when it may. Tags are the ids of all the contact's tags, optOut that
// of the opt-out tag, empty when the workspace has no such tag.
func optedOut(c Contact, tags []string, optOut string, s Settings) string {
	var reasons []string
	if c.Blocked {
		reasons = append(reasons, blocked)
	}
	if optOut != "" {
		for _, id := range tags {
			if id == optOut {
				reasons = append(reasons, "has the tag "+strconv.Quote(s.OptOutTag))
				break
			}
		}
	}
	if s.OptOutAttribute != "" && truthy(c.Attributes[s.OptOutAttribute]) {
		reasons = append(reasons, "has "+strconv.Quote(s.OptOutAttribute)+" set")
	}
	if c.Unsubscribed {
		reasons = append(reasons, "has unsubscribed from e-mails")
	}
	return strings.Join(reasons, "; ")
}

// blocked is why nobody writes to a contact that a teammate has blocked.
const blocked = "is blocked at Intercom"

// truthy reads an attribute as an opt-out. Whoever wrote anything but a plain no
// into it meant something by it, so that counts as yes.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "", "false", "f", "no", "n", "off", "0":
			return false
		}
		return true
	}
	return true
}

// zone returns the IANA name in an attribute, and the empty text when it holds
// none. "Local" would be this machine's zone, and is refused.
func zone(c Contact, attribute string) string {
	name, _ := c.Attributes[attribute].(string)
	name = strings.TrimSpace(name)
	if attribute == "" || name == "" || name == "Local" {
		return ""
	}
	if _, err := time.LoadLocation(name); err != nil {
		return ""
	}
	return name
}
