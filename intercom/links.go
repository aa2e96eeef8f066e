package intercom

import (
	"context"
	"fmt"
	"slices"
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
	None      State = "none"      // no contact is the customer
	Ambiguous State = "ambiguous" // several could be
)

// A Ref is one customer.
type Ref struct {
	Account  int
	Customer int64
}

// A Link is which contact a customer is, and what we need to know of that
// contact before we write to it. Everything but the state, what was looked for
// and CheckedAt is empty unless the state is Linked.
type Link struct {
	Account    int
	Customer   int64
	State      State
	ContactID  string
	Role       string    // user or lead
	Email      string    // the customer's address when it was checked; set in every state
	ExternalID string    // the customer's id at the company when it was checked; set in every state
	Timezone   string    // an IANA name, from the contact's attribute
	Country    string    // alpha-2, from Intercom's location
	Region     string    // a name, from Intercom's location
	Language   string    // as in "de" or "pt-BR"
	OptedOut   string    // why it must not be contacted; empty: it may be. Of None: why no contact can be made, or looked for
	CheckedAt  time.Time // business time; zero: never
}

// Ref is the link's customer.
func (l Link) Ref() Ref { return Ref{l.Account, l.Customer} }

// A Customer is whom to link.
type Customer struct {
	Account    int
	ID         int64
	Email      string // as the billing data has it; empty: nobody is found by it
	ExternalID string // the company's own id, by which its users are known at Intercom; empty: not known
	StripeID   string // cus_…; empty: no contact is made for it
	Name       string // of the contact that is made
}

// Ref is the customer without what it is looked for by.
func (c Customer) Ref() Ref { return Ref{c.Account, c.ID} }

// Settings are the workspace's, as far as links go. An empty one is off.
type Settings struct {
	OptOutTag         string // name of the tag of contacts that want no messages, in any case
	OptOutAttribute   string // name of a custom attribute that says the same when set
	TimezoneAttribute string // name of a custom attribute that holds an IANA zone

	Create      bool // make the contact of a customer who has none
	ExternalIDs bool // customers carry ExternalID; without one, no contact is made
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

// Resolve is [Links.ResolveAll] of one customer.
func (l *Links) Resolve(ctx context.Context, q Querier, c Customer, s Settings, maxAge time.Duration) (Link, error) {
	links, err := l.ResolveAll(ctx, q, []Customer{c}, s, maxAge)
	if err != nil {
		return Link{}, err
	}
	return links[c.Ref()], nil
}

// ResolveAll returns the links of customers: the stored one when it was checked
// less than maxAge ago (business time) for the same e-mail address and the same
// external id, else a fresh one, which it stores. Fifty customers take one
// request as a rule, and one write.
//
//   - A linked user is read again by its id, following merges, and looked for
//     anew when it is gone or does not fit any more. Everybody else is looked for:
//     by external id first, then by address, whatever its case.
//   - Search shows what is new after minutes only. A contact that was linked and
//     that a search does not show is therefore read by its id before it counts
//     as gone.
//   - Archived contacts do not count. Several that fit are ambiguous.
//   - Where the settings say so, a customer without any gets a contact made.
//   - A customer whose address or id Intercom refuses to look for has none, and
//     its link says so; the others of the same request are found.
//
// It talks to Intercom, so q must not be a transaction. When that fails for some
// customers, their stored links stay as they are and they are missing from the
// result; the error, which has an [*Error] in its chain, tells the first.
func (l *Links) ResolveAll(ctx context.Context, q Querier, list []Customer, s Settings, maxAge time.Duration) (map[Ref]Link, error) {
	now := l.client.now()
	known, err := readLinks(ctx, q, refs(list))
	if err != nil {
		return nil, err
	}
	links := make(map[Ref]Link, len(list))
	var stale []*question
	for _, c := range list {
		if _, again := links[c.Ref()]; again {
			continue
		}
		c.Email, c.ExternalID = strings.TrimSpace(c.Email), strings.TrimSpace(c.ExternalID)
		link := known[c.Ref()]
		if !link.fresh(c, now, maxAge) {
			stale = append(stale, &question{Customer: c, known: link})
		}
		links[c.Ref()] = link
	}

	var failed failures
	for batch := range slices.Chunk(stale, maxSearchValues) {
		if err := l.answer(ctx, q, batch, s, now, maxAge); err != nil {
			return nil, err
		}
		for _, a := range batch {
			if links[a.Ref()] = a.link; a.err != nil {
				delete(links, a.Ref())
				failed.add(a.Ref(), a.err)
			}
		}
	}
	return links, failed.err()
}

func refs(list []Customer) []Ref {
	out := make([]Ref, len(list))
	for i, c := range list {
		out[i] = c.Ref()
	}
	return out
}

func (l Link) fresh(c Customer, now time.Time, maxAge time.Duration) bool {
	same := (l.Email == c.Email || sameEmail(l.Email, c.Email)) && l.ExternalID == c.ExternalID
	return !l.CheckedAt.IsZero() && same && now.Sub(l.CheckedAt) < maxAge
}

// answer finds out about some customers and stores what it found.
func (l *Links) answer(ctx context.Context, q Querier, asked []*question, s Settings, now time.Time, maxAge time.Duration) error {
	if err := l.find(ctx, asked, s); err != nil {
		for _, a := range asked {
			a.err = err
		}
		return nil
	}
	var answered []Link
	for _, a := range asked {
		if a.err == nil && a.state == None && a.refused == "" && s.Create {
			a.err = l.create(ctx, q, a, s)
		}
		if a.err == nil {
			a.err = l.describe(ctx, a, s, now, maxAge)
		}
		if a.err == nil {
			answered = append(answered, a.link)
		}
	}
	if err := store(ctx, q, answered...); err != nil {
		return err
	}
	return releaseCreations(ctx, q, asked)
}

// describe makes the link of an answer.
func (l *Links) describe(ctx context.Context, a *question, s Settings, now time.Time, maxAge time.Duration) error {
	a.link = Link{
		Account: a.Account, Customer: a.ID, State: a.state, Email: a.Email, ExternalID: a.ExternalID,
		OptedOut: a.refused, CheckedAt: now,
	}
	if a.state != Linked {
		return nil
	}
	reason, err := l.optedOut(ctx, a.contact, s, now, maxAge)
	if err != nil {
		return err
	}
	a.link.ContactID, a.link.Role, a.link.OptedOut = a.contact.ID, a.contact.Role, reason
	a.link.Timezone, a.link.Language = zone(a.contact, s.TimezoneAttribute), a.contact.Language
	a.link.Country, a.link.Region = alpha2(a.contact.Location), a.contact.Location.Region
	return nil
}

// failures are the customers that could not be asked about.
type failures struct {
	first error
	more  int
}

func (f *failures) add(r Ref, err error) {
	if f.first != nil {
		f.more++
		return
	}
	f.first = fmt.Errorf("link customer %d of account %d: %w", r.Customer, r.Account, err)
}

func (f *failures) err() error {
	if f.more == 0 {
		return f.first
	}
	return fmt.Errorf("%w (and %d more)", f.first, f.more)
}
