package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

type customerCmd struct {
	Show customerShowCmd `cmd:"" help:"Everything known of one customer: attributes, segments, deliveries."`
}

type customerShowCmd struct {
	ID string `arg:"" help:"The customer's id at Stripe (cus_…)."`
}

// shownCustomer is the answer of dunlin customers show --json.
type shownCustomer struct {
	Account    string            `json:"account"`
	Attributes customers.Picture `json:"attributes"`
	Segments   []string          `json:"segments"`
}

// Run shows a customer of every account that has one by that id.
func (c customerShowCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		accounts, err := accountsOf(ctx, db, c.ID)
		if err != nil {
			return err
		}
		for _, x := range accounts {
			if err := a.showCustomer(ctx, db, x.ID, x.Name, c.ID); err != nil {
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

func (a *app) showCustomer(ctx context.Context, db *database, account int, name, id string) error {
	ref, err := customers.Find(ctx, db.Pool, account, id)
	if err != nil {
		return err
	}
	picture, err := customers.Load(ctx, db.Pool, ref)
	if err != nil {
		return err
	}
	in, err := segments.Of(ctx, db.Pool, ref)
	if err != nil {
		return err
	}
	if a.json {
		return a.line(shownCustomer{name, picture, orEmpty(in)})
	}
	fmt.Fprintf(a.out, "%s in account %s\n", id, name)
	for _, attribute := range customers.Attributes.Attributes() {
		value := picture.Value(attribute.Name)
		if value == nil {
			continue
		}
		fmt.Fprintf(a.out, "  %-30s %s\n", attribute.Name, plain(value))
	}
	fmt.Fprintf(a.out, "  %-30s %s\n", "segments", strings.Join(in, ", "))
	return (deliveriesCmd{Customer: id, Limit: 20}).list(ctx, a, db)
}

// plain is a value for people.
func plain(v any) string {
	if s, ok := v.(fmt.Stringer); ok {
		return s.String()
	}
	if m, ok := v.(map[string]string); ok {
		b, _ := json.Marshal(m)
		return string(b)
	}
	return fmt.Sprint(v)
}
