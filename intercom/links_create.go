package intercom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// create makes the contact of a customer that has none, as a user with the
// company's own id, or with the customer's id at Stripe where the company has
// none. Doing it again finds what is there: Intercom answers 409 and names it.
//
// Two customers of one address get one contact. Intercom would make two, and its
// search shows neither for minutes; so whoever makes one holds a claim on the
// address until the link is stored, and looks among our links first.
//
// Nobody gets a contact whose old one was archived, or blocked.
func (l *Links) create(ctx context.Context, q Querier, a *question, s Settings) error {
	id := a.StripeID
	if s.ExternalIDs {
		id = a.ExternalID
	}
	if a.StripeID == "" || id == "" || a.Email == "" {
		return nil
	}
	if err := claimCreation(ctx, q, a); err != nil {
		return err
	}
	if err := l.shared(ctx, q, a, s); err != nil || a.state != None {
		return err
	}
	contact, err := l.client.createContact(ctx, newContact{Role: "user", ExternalID: id, Email: a.Email, Name: a.Name})
	var e *Error
	switch {
	case err == nil:
		a.contact, a.state = contact, Linked
		return nil
	case errors.As(err, &e) && e.Code == "not_restorable":
		a.refused = blocked
		return nil
	case errors.As(err, &e) && e.Status == http.StatusConflict:
		return l.existing(ctx, a, s, e)
	}
	return err
}

// shared looks for a contact among those that other customers of the address are
// linked to.
func (l *Links) shared(ctx context.Context, q Querier, a *question, s Settings) error {
	rows, err := q.Query(ctx, `
		select distinct contact_id from dunlin.links
		where lower(email) = lower($1) and contact_id is not null
		order by 1 limit 10`, a.Email)
	if err != nil {
		return fmt.Errorf("look for links of the same address: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for links of the same address: %w", err)
	}
	var contacts []Contact
	for _, id := range ids {
		contact, there, err := l.reread(ctx, id)
		if err != nil {
			return err
		}
		if there {
			contacts = append(contacts, contact)
		}
	}
	a.contact, a.state = match(contacts, a.Customer, s)
	return nil
}

// existing reads the contact that is in the way of a new one. An archived one
// cannot be read, and leaves the customer without.
func (l *Links) existing(ctx context.Context, a *question, s Settings, conflict *Error) error {
	id := conflictID.FindStringSubmatch(conflict.Message)
	if id == nil {
		return conflict
	}
	contact, there, err := l.reread(ctx, id[1])
	if err != nil {
		return err
	}
	if !there {
		a.refused = archived
		return nil
	}
	a.contact, a.state = match([]Contact{contact}, a.Customer, s)
	return nil
}

// archived is why a customer without a contact gets none.
const archived = "its contact was archived at Intercom"

// conflictID is where Intercom names the contact that is in the way: "A contact
// matching those details already exists with id=6762f0d01bb69f9f2193bb7d".
var conflictID = regexp.MustCompile(`\bid=([0-9A-Za-z_-]+)`)

// newContact is the body of a creation.
type newContact struct {
	Role       string `json:"role"`
	ExternalID string `json:"external_id"`
	Email      string `json:"email"`
	Name       string `json:"name,omitempty"`
}

// createContact may be repeated: the second time is a conflict, which names what
// the first one made.
func (c *Client) createContact(ctx context.Context, n newContact) (Contact, error) {
	var out contactJSON
	err := c.do(ctx, call{
		op: "POST /contacts", kind: idempotent, path: []string{"contacts"},
		body: n, out: &out, ok: func() bool { return out.ID != "" },
	})
	return out.contact(), err
}

// creationLease is how long a claim on an address outlives a process that dies
// with it: longer than a creation takes with all its repetitions. Machine time.
const creationLease = "5 minutes"

// claimCreation claims the customer's address, as a hash, for the time in which
// its contact is made.
func claimCreation(ctx context.Context, q Querier, a *question) error {
	sum := sha256.Sum256([]byte(strings.ToLower(a.Email)))
	key := hex.EncodeToString(sum[:])
	tag, err := q.Exec(ctx, `
		insert into dunlin.contact_creations as c (address, leased_until) values ($1, clock_timestamp() + $2::interval)
		on conflict (address) do update set leased_until = excluded.leased_until
		where c.leased_until < clock_timestamp()`, key, creationLease)
	if err != nil {
		return fmt.Errorf("claim the creation of a contact: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return &Error{Op: "POST /contacts", Outcome: OutcomeNotSent, Message: "a contact of the same address is being made; try again in a moment"}
	}
	a.creating = key
	return nil
}

func releaseCreations(ctx context.Context, q Querier, asked []*question) error {
	var keys []string
	for _, a := range asked {
		if a.creating != "" {
			keys = append(keys, a.creating)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if _, err := q.Exec(ctx, `delete from dunlin.contact_creations where address = any ($1)`, keys); err != nil {
		return fmt.Errorf("release the creation of contacts: %w", err)
	}
	return nil
}
