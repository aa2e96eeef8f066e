package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
)

type campaignsMoveCmd struct {
	Name     string `arg:"" help:"A campaign."`
	Customer string `help:"Only this customer (cus_…)."`
	DryRun   bool   `help:"Tell what would change; move nothing."`
}

func (campaignsMoveCmd) Help() string {
	return "A new version is for enrollments that begin later; this moves those under way to it. Steps of the same name keep what came of them, and what is planned follows the new times. Steps that are gone are skipped, new ones are planned as for an enrollment that begins now."
}

// Run moves, or tells what moving would do. A customer's id may be one of
// several accounts: then it moves each.
func (c campaignsMoveCmd) Run(ctx context.Context, a *app) error {
	return a.withProduct(ctx, func(p *product) error {
		only := []*customers.Ref{nil}
		if c.Customer != "" {
			accounts, err := accountsOf(ctx, &database{Pool: p.Pool}, c.Customer)
			if err != nil {
				return err
			}
			only = nil
			for _, x := range accounts {
				ref, err := customers.Find(ctx, p.Pool, x.ID, c.Customer)
				if err != nil {
					return err
				}
				only = append(only, &ref)
			}
		}
		var moves []campaigns.Move
		err := p.tryOut(ctx, c.DryRun, func(tx pgx.Tx) error {
			for _, ref := range only {
				m, err := p.campaigns.Move(ctx, tx, c.Name, ref, time.Now())
				if err != nil {
					return err
				}
				moves = append(moves, m)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, m := range moves {
			if err := a.showMove(m, c.DryRun); err != nil {
				return err
			}
		}
		return nil
	})
}

// tryOut does something in a transaction and lets work follow it, or, dry, rolls
// it back.
func (p *product) tryOut(ctx context.Context, dry bool, f func(pgx.Tx) error) error {
	tx, err := p.Pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := f(tx); err != nil || dry {
		return err
	}
	if err := p.poker.Tick(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (a *app) showMove(m campaigns.Move, dry bool) error {
	if a.json {
		return a.line(m)
	}
	verb := "moved"
	if dry {
		verb = "would be moved"
	}
	a.say("campaign %s: %s %s to version %d", m.Campaign, plural(m.Moved, "enrollment"), verb, m.Version)
	if m.Moved == 0 {
		return nil
	}
	for _, s := range m.Steps {
		var parts []string
		for _, x := range []struct {
			n    int64
			what string
		}{
			{s.Planned, "new"}, {s.Retimed, "at another time"}, {s.Unchanged, "planned as before"}, {s.Passed, "skipped, their time has passed"},
			{s.Done, "had their turn"}, {s.Gone, "skipped, the step is gone"},
		} {
			if x.n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
			}
		}
		if len(parts) > 0 {
			fmt.Fprintf(a.out, "%s: %s\n", s.Step, strings.Join(parts, "; "))
		}
	}
	return nil
}
