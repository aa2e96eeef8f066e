package intercom

import (
	"context"
	"errors"
	"net/http"
)

// A question is who one customer is at Intercom.
type question struct {
	Customer
	known Link // as it was stored last

	// The answer.
	state   State
	contact Contact // when Linked
	refused string  // when None: why Intercom makes no contact, or finds none
	err     error   // there is no answer

	creating string // the claim that is held while a contact is made; empty: none
	link     Link
}

// find answers questions with one search, and a second one for those whose
// contact turned out not to fit any more. Its own error spoils all of them.
func (l *Links) find(ctx context.Context, asked []*question, s Settings) error {
	found := &crowd{byID: map[string]Contact{}}
	contacts, err := l.search(ctx, asked, func(a *question, by *wanted) {
		if a.known.State == Linked {
			by.ids = append(by.ids, a.known.ContactID)
		}
		if !a.isUser() {
			by.add(a.Customer, s)
		}
	})
	if err != nil {
		return err
	}
	found.add(contacts...)

	var again []*question
	for _, a := range asked {
		contact, there := found.byID[a.known.ContactID], false
		if a.known.State == Linked && contact.ID == "" {
			contact, there, a.err = l.reread(ctx, a.known.ContactID)
		} else {
			there = contact.ID != ""
		}
		if there {
			found.add(contact)
		}
		switch {
		case a.err != nil:
		case a.isUser() && there && settled(contact, a.Customer, s):
			a.contact, a.state = contact, Linked
		case a.isUser():
			again = append(again, a)
		default:
			a.contact, a.state = match(found.list, a.Customer, s)
		}
	}
	if len(again) == 0 {
		return nil
	}
	more, err := l.search(ctx, again, func(a *question, by *wanted) { by.add(a.Customer, s) })
	if err != nil {
		for _, a := range again {
			a.err = err
		}
		return nil
	}
	found.add(more...)
	for _, a := range again {
		a.contact, a.state = match(found.list, a.Customer, s)
	}
	return nil
}

// isUser reports that the customer was linked to a user. Leads are always looked
// for again, because a user with the same address may have appeared, and wins.
func (a *question) isUser() bool { return a.known.State == Linked && a.known.Role == "user" }

func (l *wanted) add(c Customer, s Settings) {
	l.externals = append(l.externals, c.externals(s)...)
	l.emails = append(l.emails, c.Email)
}

// A crowd is contacts, each once.
type crowd struct {
	list []Contact
	byID map[string]Contact
}

func (c *crowd) add(contacts ...Contact) {
	for _, contact := range contacts {
		if _, ok := c.byID[contact.ID]; !ok {
			c.list = append(c.list, contact)
			c.byID[contact.ID] = contact
		}
	}
}

// search searches for what questions want, unless that is one contact by its id:
// it is read as it is now, at no more cost. What Intercom refuses to search for
// is searched for by halves, until the question at fault is alone, and is told so.
func (l *Links) search(ctx context.Context, asked []*question, want func(*question, *wanted)) ([]Contact, error) {
	var by wanted
	for _, a := range asked {
		want(a, &by)
	}
	if by.ids = distinct(by.ids); by.size() == 1 && len(by.ids) == 1 {
		return nil, nil
	}
	contacts, err := l.client.search(ctx, by)
	switch {
	case !unsearchable(err):
		return contacts, err
	case len(asked) > 1:
		half := len(asked) / 2
		first, err := l.search(ctx, asked[:half], want)
		if err != nil {
			return nil, err
		}
		second, err := l.search(ctx, asked[half:], want)
		return append(first, second...), err
	}
	if _, always := l.client.search(ctx, by.harmless()); always != nil {
		return nil, err // it is no fault of the customer's
	}
	asked[0].refused = "it cannot be looked for at Intercom: " + err.Error()
	return nil, nil
}

// unsearchable reports that Intercom refuses to search for a value as it is.
func unsearchable(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity)
}

// harmless asks for the same fields, and for values that Intercom can always
// search for.
func (l wanted) harmless() (by wanted) {
	if len(l.ids) > 0 {
		by.ids = []string{"000000000000000000000000"}
	}
	if len(l.externals) > 0 {
		by.externals = []string{"nobody"}
	}
	if len(l.emails) > 0 {
		by.emails = []string{"nobody@example.com"}
	}
	return by
}

// reread reads a contact that a search did not show: it may be too new for
// that, or merged into another, which is then returned, or gone.
func (l *Links) reread(ctx context.Context, id string) (Contact, bool, error) {
	contact, err := l.client.Contact(ctx, id)
	switch {
	case Gone(err):
		return Contact{}, false, nil
	case err != nil:
		return Contact{}, false, err
	}
	return contact, true, nil
}
