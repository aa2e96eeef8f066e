package intercom

import "context"

// A question is who one customer is at Intercom.
type question struct {
	Customer
	known Link // as it was stored last

	// The answer.
	state   State
	contact Contact // when Linked
	refused string  // when None: why Intercom makes no contact
	err     error   // there is no answer

	creating string // the claim that is held while a contact is made; empty: none
	link     Link
}

// find answers questions with one search, and a second one for those whose
// contact turned out not to fit any more. Its own error spoils all of them.
func (l *Links) find(ctx context.Context, asked []*question, s Settings) error {
	var first wanted
	for _, a := range asked {
		if a.known.State == Linked {
			first.ids = append(first.ids, a.known.ContactID)
		}
		if !a.isUser() {
			first.add(a.Customer, s)
		}
	}
	found, err := l.read(ctx, first)
	if err != nil {
		return err
	}

	var second wanted
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
			second.add(a.Customer, s)
			again = append(again, a)
		default:
			a.contact, a.state = match(found.list, a.Customer, s)
		}
	}
	if len(again) == 0 {
		return nil
	}
	more, err := l.client.search(ctx, second)
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

// read searches, unless all there is to find is one contact by its id: that is
// read as it is now, at no more cost.
func (l *Links) read(ctx context.Context, by wanted) (*crowd, error) {
	found := &crowd{byID: map[string]Contact{}}
	if by.ids = distinct(by.ids); by.size() == 1 && len(by.ids) == 1 {
		return found, nil
	}
	contacts, err := l.client.search(ctx, by)
	if err != nil {
		return nil, err
	}
	found.add(contacts...)
	return found, nil
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
