package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
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
		rows, err := db.Query(ctx, `
			select a.account_id, a.name from dunlin.accounts a join dunlin.customers c using (account_id)
			where c.stripe_id = $1 order by a.name`, c.ID)
		if err != nil {
			return fmt.Errorf("find customer: %w", err)
		}
		type account struct {
			ID   int
			Name string
		}
		accounts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[account])
		if err != nil {
			return fmt.Errorf("find customer: %w", err)
		}
		if len(accounts) == 0 {
			return fmt.Errorf("customer %q: %w; it may not be synced yet: see dunlin doctor", c.ID, workspace.ErrNotFound)
		}
		for _, x := range accounts {
			if err := a.showCustomer(ctx, db, x.ID, x.Name, c.ID); err != nil {
				return err
			}
		}
		return nil
	})
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
	rows, err := db.Query(ctx, `select segment from dunlin.members where account_id = $1 and customer_id = $2 order by 1`, ref.Account, ref.Customer)
	if err != nil {
		return fmt.Errorf("find segments: %w", err)
	}
	in, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("find segments: %w", err)
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
