package intercom

import (
	"strconv"
	"strings"
	"time"
)

// match picks the contact that an e-mail address stands for among those a search
// found. Intercom lets several contacts share an address. One user wins over
// any leads; several users, or several leads and no user, are ambiguous, and
// then nobody is contacted rather than the wrong person.
func match(contacts []Contact, email string) (Contact, State) {
	var users, leads []Contact
	for _, c := range contacts {
		switch {
		case !sameEmail(c.Email, email):
		case c.Role == "user":
			users = append(users, c)
		case c.Role == "lead":
			leads = append(leads, c)
		}
	}
	for _, candidates := range [][]Contact{users, leads} {
		switch len(candidates) {
		case 0:
			continue
		case 1:
			return candidates[0], Linked
		}
		return Contact{}, Ambiguous
	}
	return Contact{}, None
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
