package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin/dunlin/stripesync"
)

type syncCmd struct {
	Account string `help:"Only this account." placeholder:"A"`
	Full    bool   `help:"Read everything again, although the first sync is done."`
}

// Run reads each account into the mirror, and applies what is stored.
func (c syncCmd) Run(ctx context.Context, a *app) error {
	if err := a.env.missing("STRIPE_API_KEY"); err != nil {
		return err
	}
	if c.Account != "" && c.Account != accountName {
		return usagef("there is no account %q; there is %q", c.Account, accountName)
	}
	return a.withProduct(ctx, func(p *product) error {
		for _, s := range p.stripe {
			if err := a.syncAccount(ctx, s, c.Full); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) syncAccount(ctx context.Context, s *stripesync.Sync, full bool) error {
	ready, err := s.Ready(ctx)
	if err != nil {
		return err
	}
	if !ready || full {
		err := s.Backfill(ctx, a.progress())
		fmt.Fprintln(a.errs)
		if errors.Is(err, stripesync.ErrRunning) {
			return fmt.Errorf("%w; it is shown by its own process, or goes on in a dunlin up or work", err)
		}
		if err != nil {
			return err
		}
	}
	total := 0
	for {
		n, err := s.Apply(ctx)
		total += n
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	a.say("account %s is in sync; %s applied, %s to Stripe", s.Name(), plural(total, "stored event"), plural(s.Counts().Requests, "request"))
	return nil
}

// progress draws a line that is written over, and tells how fast it goes.
func (a *app) progress() func(stripesync.Progress) {
	start, before, class := time.Now(), int64(0), ""
	return func(p stripesync.Progress) {
		if p.Class != class {
			if class != "" {
				fmt.Fprintln(a.errs)
			}
			class, start, before = p.Class, time.Now(), p.Objects
		}
		rate := float64(p.Objects-before) / max(time.Since(start).Seconds(), 0.001)
		fmt.Fprintf(a.errs, "\r[%d/%d] %-15s %8d objects %6.0f/s ", p.Step, p.Steps, p.Class, p.Objects, rate)
	}
}
