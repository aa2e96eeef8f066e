package intercom

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A State says whether a customer is known at Intercom.
type State string

const (
	Linked    State = "linked"    // to exactly one contact
	None      State = "none"      // no contact has the customer's e-mail address
	Ambiguous State = "ambiguous" // several do
)

// A Link is which contact a customer is, and what we need to know of that
// contact before we write to it. Everything but the state and CheckedAt is empty
// unless the state is Linked.
type Link struct {
	Account   int
	Customer  int64
	State     State
	ContactID string
	Role      string    // user or lead
	Email     string    // the customer's address when it was checked; set in every state
	Timezone  string    // an IANA name, from the contact's attribute
	Country   string    // alpha-2, from Intercom's location
	Region    string    // a name, from Intercom's location
	OptedOut  string    // why it must not be contacted; empty: it may be
	CheckedAt time.Time // business time; zero: never
}

// A Customer is whom to link.
type Customer struct {
	Account int
	ID      int64
	Email   string // as the billing data has it; empty: there is nobody to find
}

// Settings are the workspace's, as far as links go. An empty one is off.
type Settings struct {
	OptOutTag         string // name of the tag of contacts that want no messages, in any case
	OptOutAttribute   string // name of a custom attribute that says the same when set
	TimezoneAttribute string // name of a custom attribute that holds an IANA zone
}

// A Querier is what a pool, a connection and a transaction have in common.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Links finds and keeps which contact each customer is. It is safe for
// concurrent use; use one for a process, since it remembers the workspace's tags.
type Links struct {
	client *Client

	mu     sync.Mutex
	tags   map[string]string // ids by name in lower case
	tagsAt time.Time         // business time; zero: never read
}

// NewLinks returns the links that client can resolve.
func NewLinks(client *Client) *Links { return &Links{client: client} }

// Resolve returns a customer's link: the stored one when it was checked less
// than maxAge ago (business time) for the same e-mail address, else a fresh one,
// which it stores. A linked user is read again by its id, following merges, and
// looked for anew when it is gone or has another address now; everybody else is
// looked for by address.
//
// It talks to Intercom, so q must not be a transaction. When that fails the
// error is an [*Error] and the stored link stays as it is.
func (l *Links) Resolve(ctx context.Context, q Querier, c Customer, s Settings, maxAge time.Duration) (Link, error) {
	now := l.client.now()
	c.Email = strings.TrimSpace(c.Email)
	stored, err := readLink(ctx, q, c.Account, c.ID)
	if err != nil {
		return Link{}, err
	}
	if stored.fresh(c.Email, now, maxAge) {
		return stored, nil
	}

	link := Link{Account: c.Account, Customer: c.ID, State: None, Email: c.Email, CheckedAt: now}
	contact, state, err := l.find(ctx, stored, c.Email)
	if err != nil {
		return Link{}, fmt.Errorf("link customer %d of account %d: %w", c.ID, c.Account, err)
	}
	link.State = state
	if state == Linked {
		reason, err := l.optedOut(ctx, contact, s, now, maxAge)
		if err != nil {
			return Link{}, fmt.Errorf("link customer %d of account %d: %w", c.ID, c.Account, err)
		}
		link.ContactID, link.Role, link.OptedOut = contact.ID, contact.Role, reason
		link.Timezone = zone(contact, s.TimezoneAttribute)
		link.Country, link.Region = alpha2(contact.Location), contact.Location.Region
	}
	if err := store(ctx, q, link); err != nil {
		return Link{}, err
	}
	return link, nil
}

func (l Link) fresh(email string, now time.Time, maxAge time.Duration) bool {
	same := l.Email == email || sameEmail(l.Email, email)
	return !l.CheckedAt.IsZero() && same && now.Sub(l.CheckedAt) < maxAge
}

// find asks Intercom who the customer is. Leads are always looked for again,
// because a user with the same address may have appeared, and wins.
func (l *Links) find(ctx context.Context, stored Link, email string) (Contact, State, error) {
	if email == "" {
		return Contact{}, None, nil
	}
	if stored.State == Linked && stored.Role == "user" {
		contact, err := l.client.Contact(ctx, stored.ContactID)
		switch {
		case err == nil && contact.Role == "user" && sameEmail(contact.Email, email):
			return contact, Linked, nil
		case err != nil && !Gone(err):
			return Contact{}, "", err
		}
	}
	contacts, err := l.client.SearchContacts(ctx, []string{email})
	if err != nil {
		return Contact{}, "", err
	}
	contact, state := match(contacts, email)
	return contact, state, nil
}

// optedOut reads the rest of the contact's tags only when there is an opt-out
// tag to look for.
func (l *Links) optedOut(ctx context.Context, c Contact, s Settings, now time.Time, maxAge time.Duration) (string, error) {
	tag, err := l.optOutTag(ctx, s.OptOutTag, now, maxAge)
	if err != nil {
		return "", err
	}
	tags := c.TagIDs
	if tag != "" && c.MoreTags {
		all, err := l.client.ContactTags(ctx, c.ID)
		if err != nil {
			return "", err
		}
		for _, t := range all {
			tags = append(tags, t.ID)
		}
	}
	return optedOut(c, tags, tag, s), nil
}

// optOutTag returns the id of the opt-out tag, and the empty text when the
// workspace has no tag of that name: then nobody can carry it. What it knows is
// no older than the links it is used for.
func (l *Links) optOutTag(ctx context.Context, name string, now time.Time, maxAge time.Duration) (string, error) {
	if name == "" {
		return "", nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tagsAt.IsZero() || now.Sub(l.tagsAt) >= maxAge {
		tags, err := l.client.Tags(ctx)
		if err != nil {
			return "", err
		}
		l.tags, l.tagsAt = make(map[string]string, len(tags)), now
		for _, t := range tags {
			l.tags[strings.ToLower(t.Name)] = t.ID
		}
	}
	return l.tags[strings.ToLower(name)], nil
}

const linkColumns = `account_id, customer_id, state, coalesce(contact_id, ''), coalesce(role, ''), coalesce(email, ''),
	coalesce(timezone, ''), coalesce(country, ''), coalesce(region, ''), coalesce(opted_out, ''), checked_at`

func scanLink(row pgx.CollectableRow) (Link, error) {
	var l Link
	err := row.Scan(&l.Account, &l.Customer, &l.State, &l.ContactID, &l.Role, &l.Email,
		&l.Timezone, &l.Country, &l.Region, &l.OptedOut, &l.CheckedAt)
	return l, err
}

// Stored returns a customer's link as it was last checked, without asking
// Intercom. A customer that was never looked for has the state None and a zero
// CheckedAt.
func (l *Links) Stored(ctx context.Context, q Querier, account int, customer int64) (Link, error) {
	return readLink(ctx, q, account, customer)
}

func readLink(ctx context.Context, q Querier, account int, customer int64) (Link, error) {
	rows, err := q.Query(ctx, `select `+linkColumns+` from dunlin.links where account_id = $1 and customer_id = $2`, account, customer)
	if err == nil {
		var link Link
		if link, err = pgx.CollectExactlyOneRow(rows, scanLink); err == nil {
			return link, nil
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return Link{Account: account, Customer: customer, State: None}, nil
	}
	return Link{}, fmt.Errorf("read the link of customer %d of account %d: %w", customer, account, err)
}

// store writes a link unless a newer one is there.
func store(ctx context.Context, q Querier, l Link) error {
	_, err := q.Exec(ctx, `
		insert into dunlin.links as l
			(account_id, customer_id, state, contact_id, role, email, timezone, country, region, opted_out, checked_at)
		values (@account, @customer, @state, nullif(@contact, ''), nullif(@role, ''), nullif(@email, ''),
			nullif(@timezone, ''), nullif(@country, ''), nullif(@region, ''), nullif(@opted_out, ''), @checked_at)
		on conflict (account_id, customer_id) do update set
			state = excluded.state, contact_id = excluded.contact_id, role = excluded.role, email = excluded.email,
			timezone = excluded.timezone, country = excluded.country, region = excluded.region,
			opted_out = excluded.opted_out, checked_at = excluded.checked_at
		where l.checked_at <= excluded.checked_at`,
		pgx.StrictNamedArgs{
			"account": l.Account, "customer": l.Customer, "state": string(l.State), "contact": l.ContactID, "role": l.Role,
			"email": l.Email, "timezone": l.Timezone, "country": l.Country, "region": l.Region,
			"opted_out": l.OptedOut, "checked_at": l.CheckedAt,
		})
	if err != nil {
		return fmt.Errorf("store the link of customer %d of account %d: %w", l.Customer, l.Account, err)
	}
	return nil
}

// Lock locks the person a customer is, until tx ends, and returns the customer's
// link. It locks the links of every customer that is the same contact, in one
// order, so that whoever decides for one of them waits for whoever decides for
// another. A customer without a link has nothing to lock; its link has the state
// None and a zero CheckedAt.
func (l *Links) Lock(ctx context.Context, tx Querier, account int, customer int64) (Link, error) {
	for {
		seen, err := readLink(ctx, tx, account, customer)
		if err != nil || seen.CheckedAt.IsZero() {
			return seen, err
		}
		rows, err := tx.Query(ctx, `
			select `+linkColumns+` from dunlin.links
			where (account_id = $1 and customer_id = $2) or contact_id = nullif($3, '')
			order by account_id, customer_id
			for update`, account, customer, seen.ContactID)
		if err != nil {
			return Link{}, fmt.Errorf("lock the links of customer %d of account %d: %w", customer, account, err)
		}
		locked, err := pgx.CollectRows(rows, scanLink)
		if err != nil {
			return Link{}, fmt.Errorf("lock the links of customer %d of account %d: %w", customer, account, err)
		}
		for _, link := range locked {
			if link.Account == account && link.Customer == customer && link.ContactID == seen.ContactID {
				return link, nil
			}
		}
		// It was linked to another contact in between: lock that one's rows. Its
		// own row, locked by now, cannot change again.
	}
}
