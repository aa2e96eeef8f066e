package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

type segmentsExplainCmd struct {
	Name     string `arg:"" help:"A segment."`
	Customer string `arg:"" help:"The customer's id at Stripe (cus_…)."`
}

// Run explains a customer of every account that has one by that id.
func (c segmentsExplainCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		s, err := segments.Load(ctx, db.Pool, c.Name, settings.Currency)
		if errors.Is(err, workspace.ErrNotFound) {
			return fmt.Errorf("%w; see dunlin segments list", err)
		}
		if err != nil {
			return err
		}
		accounts, err := accountsOf(ctx, db, c.Customer)
		if err != nil {
			return err
		}
		asking := segments.Asking{DB: db.Pool, Env: segments.Env(settings, time.Now()), Parents: s.Parents}
		for _, x := range accounts {
			ref, err := customers.Find(ctx, db.Pool, x.ID, c.Customer)
			if err != nil {
				return err
			}
			answer, err := asking.Explain(ctx, db.Pool, s, ref)
			if err != nil {
				return err
			}
			if err := a.showAnswer(answer, x.Name, settings.Zone); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) showAnswer(x segments.Answer, account string, zone *time.Location) error {
	if a.json {
		return a.line(struct {
			Account string `json:"account"`
			segments.Answer
		}{account, x})
	}
	in := "is not in " + x.Segment
	if x.Member {
		in = "is in " + x.Segment + " since " + when(x.Since, zone)
	}
	fmt.Fprintf(a.out, "%s (account %s) %s.\n", x.Customer, account, in)
	if x.Until != "" {
		fmt.Fprintf(a.out, "At this moment its rule is %t; %s.\n", x.True, x.Until)
	}
	fmt.Fprintf(a.out, "\n%s\n", x.Rule)
	if x.Changes == nil {
		fmt.Fprintln(a.out, "Time alone does not change that within two years.")
		return nil
	}
	fmt.Fprintf(a.out, "Time alone changes that at %s.\n", when(x.Changes, zone))
	return nil
}
