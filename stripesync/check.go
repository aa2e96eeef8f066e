package stripesync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v76/form"
)

// A Checkup is what Stripe says about the account's key.
type Checkup struct {
	Mode       string // live or test, by the key's prefix; empty when it has neither
	Restricted bool   // the key has permissions of its own
	ID         string // of the Stripe account, acct_…; empty when the key may not ask for it
	Title      string // the Stripe account's name; may be empty
	Pinned     string // the Stripe account that the account's name stands for; empty: none yet

	Skew     time.Duration // how far Stripe's clock is ahead of ours for certain; behind when negative
	Readable []string      // of what the sync reads
	Denied   []Permission  // the key lacks these
	Unsure   []error       // Stripe limited or failed, so that it is not known

	// Stranger is a customer of the mirror that the key's account does not have:
	// the key is of another account, or of the other mode. Empty: none was met.
	Stranger string
}

// A Permission is one a restricted key needs.
type Permission struct {
	Resource string // in the words of Stripe's dashboard, such as Charges and Refunds
	Name     string // Stripe's name of it, such as rak_charge_read
}

// permissions are what a key has to be allowed to read, and how that is tried.
var permissions = []struct {
	Permission
	what  string // in a sentence
	path  string
	query []string // names and values
}{
	{Permission{"Customers", "rak_customer_read"}, "customers", "/v1/customers", nil},
	{Permission{"Payment Methods", "rak_payment_method_read"}, "payment methods", "/v1/customers", expandedCustomers()},
	{Permission{"Subscriptions", "rak_subscription_read"}, "subscriptions", "/v1/subscriptions", []string{"status", "all"}},
	{Permission{"Invoices", "rak_invoice_read"}, "invoices", "/v1/invoices", nil},
	{Permission{"Charges and Refunds", "rak_charge_read"}, "charges", "/v1/charges", nil},
	{Permission{"Charges and Refunds", "rak_charge_read"}, "refunds", "/v1/refunds", nil},
	{Permission{"Disputes", "rak_dispute_read"}, "disputes", "/v1/disputes", nil},
	{Permission{"Products", "rak_product_read"}, "products", "/v1/products", nil},
	{Permission{"Prices", "rak_plan_read"}, "prices", "/v1/prices", nil},
	{Permission{"Events", "rak_event_read"}, "events", "/v1/events", nil},
}

func expandedCustomers() []string {
	var query []string
	for i, e := range expands[customerClass] {
		query = append(query, "expand["+strconv.Itoa(i)+"]", "data."+e)
	}
	return query
}

// Check asks Stripe whose key it is, how late it is there, and for one object of
// everything the sync reads. It fails when Stripe is out of reach or does not
// accept the key, with an [AskError].
func (s *Sync) Check(ctx context.Context) (Checkup, error) {
	defer s.recordReads(ctx)
	c := Checkup{}
	c.Mode, c.Restricted = keyMode(s.stripe.key)
	got, err := s.ask(ctx, http.MethodGet, accountPath, nil, "")
	var refused *AskError
	if errors.As(err, &refused) && (refused.Status == 0 || refused.Status == http.StatusUnauthorized) {
		return c, err
	}
	if err != nil && refused.Status != http.StatusForbidden {
		c.Unsure = append(c.Unsure, err)
	}
	if err == nil {
		c.ID, c.Title = readAccount(got.raw)
	}
	c.Skew = got.skew
	for _, p := range permissions {
		if slices.Contains(c.Denied, p.Permission) {
			continue
		}
		query := &form.Values{}
		query.Add("limit", "1")
		for pair := range slices.Chunk(p.query, 2) {
			query.Add(pair[0], pair[1])
		}
		_, err := s.ask(ctx, http.MethodGet, p.path, query, "")
		switch {
		case err == nil:
			c.Readable = append(c.Readable, p.what)
		case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
			c.Denied = append(c.Denied, p.Permission)
		case refused.Status == 0:
			return c, err
		default:
			c.Unsure = append(c.Unsure, err)
		}
	}
	err = s.pool.QueryRow(ctx, `select coalesce(stripe_id, '') from dunlin.accounts where account_id = $1`, s.account).Scan(&c.Pinned)
	if err != nil {
		return c, fmt.Errorf("look which Stripe account %q is: %w", s.name, err)
	}
	if c.Stranger, err = s.stranger(ctx); err != nil && !errors.As(err, &refused) {
		return c, err
	}
	return c, nil
}

// keyMode reads a key's prefix.
func keyMode(key string) (mode string, restricted bool) {
	kind, rest, _ := strings.Cut(key, "_")
	mode, _, _ = strings.Cut(rest, "_")
	if mode != "live" && mode != "test" {
		mode = ""
	}
	return mode, kind == "rk"
}

func readAccount(raw []byte) (id, title string) {
	var account struct {
		ID       string `json:"id"`
		Settings struct {
			Dashboard struct {
				DisplayName string `json:"display_name"`
			} `json:"dashboard"`
		} `json:"settings"`
	}
	_ = json.Unmarshal(raw, &account) // what is odd reads as empty
	return account.ID, account.Settings.Dashboard.DisplayName
}

// stranger looks at Stripe for a customer of the mirror. A deleted one is still
// known there.
func (s *Sync) stranger(ctx context.Context) (string, error) {
	var id string
	err := s.pool.QueryRow(ctx, `
		select id from dunlin.stripe_customers where account_id = $1 and not deleted order by id desc limit 1`, s.account).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for a customer of account %q: %w", s.name, err)
	}
	path, _ := fetch{ref: ref{class: customerClass, id: id}}.path()
	_, err = s.ask(ctx, http.MethodGet, path, nil, "")
	var refused *AskError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound && refused.Code == "resource_missing" {
		return id, nil
	}
	return "", err
}

// Unheard returns the newest event that Stripe has, that we mirror the object of,
// and that is not stored although it was made after since and five minutes or
// longer ago. None is not ok.
func (s *Sync) Unheard(ctx context.Context, since time.Time) (told Told, ok bool, err error) {
	until := s.now().Add(-heardWithin)
	if !since.Before(until) {
		return Told{}, false, nil
	}
	defer s.recordReads(ctx)
	query := &form.Values{}
	query.Add("limit", "20")
	query.Add("created[gt]", strconv.FormatInt(since.Unix(), 10))
	query.Add("created[lte]", strconv.FormatInt(until.Unix(), 10))
	got, err := s.ask(ctx, http.MethodGet, "/v1/events", query, "")
	if err != nil {
		return Told{}, false, err
	}
	for _, raw := range listed(got.raw) {
		e, err := readEvent(raw)
		if err != nil || e.Class == "" || !slices.Contains(eventTypes, e.Type) {
			continue
		}
		var stored bool
		err = s.pool.QueryRow(ctx, `
			select exists (select from dunlin.stripe_events where account_id = $1 and customer = $2 and id = $3)`,
			s.account, e.Customer, e.ID).Scan(&stored)
		if err != nil {
			return Told{}, false, fmt.Errorf("look for event %q: %w", e.ID, err)
		}
		if !stored {
			return Told{e.ID, e.Type, e.Created}, true, nil
		}
	}
	return Told{}, false, nil
}

// heardWithin is how long a delivery may take before it counts as not come.
const heardWithin = 5 * time.Minute

// Told is one event, by name.
type Told struct {
	ID, Type string
	Created  time.Time // by Stripe's clock, whole seconds
}

// A Backlog is what is stored of the account's events and not yet applied.
type Backlog struct {
	Waiting int64      // events that nobody has failed to apply yet
	Oldest  *time.Time // when the first of those came
	Faults  []Fault    // why others could not be applied, the most frequent first
}

// A Fault is why events could not be applied.
type Fault struct {
	Reason string
	Events int64
}

// Backlog reads it.
func (s *Sync) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	err := s.pool.QueryRow(ctx, `
		select count(*), min(received_at)
		from dunlin.stripe_events where account_id = $1 and state = 'stored' and fault is null`, s.account).
		Scan(&b.Waiting, &b.Oldest)
	if err != nil {
		return b, fmt.Errorf("look at stored events of account %q: %w", s.name, err)
	}
	rows, err := s.pool.Query(ctx, `
		select fault, count(*) from dunlin.stripe_events
		where account_id = $1 and state = 'stored' and fault is not null
		group by fault order by count(*) desc, fault`, s.account)
	if err == nil {
		b.Faults, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Fault])
	}
	if err != nil {
		return b, fmt.Errorf("look at the faults of stored events of account %q: %w", s.name, err)
	}
	return b, nil
}

// Unfinished returns the classes that the account's last sync has not read to the
// end, with the objects of each so far, in the order of the lists. It is empty when
// the last sync is finished, and when there was none.
func (s *Sync) Unfinished(ctx context.Context) ([]Progress, error) {
	rows, err := s.pool.Query(ctx, `
		select class, sum(p.objects)::bigint from dunlin.sync_progress p join dunlin.sync_runs r using (account_id, run_id)
		where account_id = $1 and r.finished_at is null
		and run_id = (select max(run_id) from dunlin.sync_runs where account_id = $1)
		group by class having bool_or(p.finished_at is null)`, s.account)
	if err != nil {
		return nil, fmt.Errorf("look how far the sync of account %q is: %w", s.name, err)
	}
	left, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Progress, err error) {
		return p, row.Scan(&p.Class, &p.Objects)
	})
	if err != nil {
		return nil, fmt.Errorf("look how far the sync of account %q is: %w", s.name, err)
	}
	place := func(class string) int {
		if i := slices.IndexFunc(lists, func(l list) bool { return l.name == class }); i >= 0 {
			return i
		}
		return len(lists) // what is made of the lists comes after them
	}
	slices.SortStableFunc(left, func(a, b Progress) int { return place(a.Class) - place(b.Class) })
	return left, nil
}
