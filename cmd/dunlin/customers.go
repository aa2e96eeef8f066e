package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

type customerCmd struct {
	Show customerShowCmd `cmd:"" help:"Everything known of one customer: attributes, segments, deliveries."`
}

type customerShowCmd struct {
	ID string `arg:"" help:"The customer's id at Stripe (cus_…)."`
	At string `help:"The attributes as they were at this instant (RFC 3339)." placeholder:"T"`
}

// shownCustomer is the answer of dunlin customers show --json. Of a past instant
// it has attributes alone; the others are null.
type shownCustomer struct {
	Account    string            `json:"account"`
	At         *time.Time        `json:"at,omitempty"`
	Attributes customers.Picture `json:"attributes"`
	Segments   []string          `json:"segments"`
	Events     []rule.Values     `json:"events"` // oldest first
}

// Run shows a customer of every account that has one by that id.
func (c customerShowCmd) Run(ctx context.Context, a *app) error {
	var at time.Time
	if c.At != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, c.At); err != nil {
			return usagef("--at is %q; write an instant such as 2026-03-01T09:00:00Z", c.At)
		}
	}
	return a.withDatabase(ctx, func(db *database) error {
		accounts, err := accountsOf(ctx, db, c.ID)
		if err != nil {
			return err
		}
		for _, x := range accounts {
			ref, err := customers.Find(ctx, db.Pool, x.ID, c.ID)
			if err != nil {
				return err
			}
			if at.IsZero() {
				err = a.showCustomer(ctx, db, ref, x.Name, c.ID)
			} else {
				err = a.showCustomerAt(ctx, db, ref, x.Name, at)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// An account is one of Stripe's that we mirror.
type account struct {
	ID   int
	Name string
}

// accountsOf returns the accounts that have a customer of this id, at least one.
func accountsOf(ctx context.Context, db *database, id string) ([]account, error) {
	rows, err := db.Query(ctx, `
		select a.account_id, a.name from dunlin.accounts a join dunlin.customers c using (account_id)
		where c.stripe_id = $1 order by a.name`, id)
	if err != nil {
		return nil, fmt.Errorf("find customer: %w", err)
	}
	accounts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[account])
	if err != nil {
		return nil, fmt.Errorf("find customer: %w", err)
	}
	if len(accounts) == 0 {
		return nil, fmt.Errorf("customer %q: %w; it may not be synced yet: see dunlin doctor", id, workspace.ErrNotFound)
	}
	return accounts, nil
}

// shownEvents is how many of a customer's events people are shown.
const shownEvents = 10

func (a *app) showCustomer(ctx context.Context, db *database, ref customers.Ref, name, id string) error {
	whole, err := customers.LoadCustomer(ctx, db.Pool, ref)
	if err != nil {
		return err
	}
	in, err := segments.Of(ctx, db.Pool, ref)
	if err != nil {
		return err
	}
	events := whole.Elements("events")
	if a.json {
		return a.line(shownCustomer{Account: name, Attributes: whole.Picture, Segments: orEmpty(in), Events: orEmpty(events)})
	}
	a.showAttributes(whole.Picture, name)
	fmt.Fprintf(a.out, "  %-30s %s\n", "segments", strings.Join(in, ", "))
	if earlier := len(events) - shownEvents; earlier > 0 {
		fmt.Fprintf(a.out, "%s, and %d earlier\n", plural(shownEvents, "event"), earlier)
		events = events[earlier:]
	}
	for _, e := range events {
		at, _ := e.Value("created_at").(time.Time)
		line := fmt.Sprintf("  %-30s %s", at.Format(time.RFC3339), plain(e.Value("type")))
		for _, more := range []string{"amount", "object"} {
			if v := e.Value(more); v != nil {
				line += " " + plain(v)
			}
		}
		fmt.Fprintln(a.out, line)
	}
	return (deliveriesListCmd{Customer: id, Limit: 20}).list(ctx, a, db)
}

func (a *app) showCustomerAt(ctx context.Context, db *database, ref customers.Ref, name string, at time.Time) error {
	picture, err := customers.LoadAt(ctx, db.Pool, ref, at)
	if err != nil {
		return err
	}
	if a.json {
		at = at.UTC()
		return a.line(shownCustomer{Account: name, At: &at, Attributes: picture})
	}
	a.showAttributes(picture, name+" at "+at.UTC().Format(time.RFC3339))
	return nil
}

func (a *app) showAttributes(picture customers.Picture, where string) {
	fmt.Fprintf(a.out, "%s in account %s\n", picture.StripeID, where)
	for _, attribute := range customers.Attributes.Attributes() {
		if value := picture.Value(attribute.Name); value != nil {
			fmt.Fprintf(a.out, "  %-30s %s\n", attribute.Name, plain(value))
		}
	}
}

// plain is a value for people.
func plain(v any) string {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case fmt.Stringer:
		return v.String()
	case []string:
		return strings.Join(v, ", ")
	case map[string]string:
		b, _ := json.Marshal(v)
		return string(b)
	}
	return fmt.Sprint(v)
}
