package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/jobs"
	"github.com/dunlin/dunlin/stripesync"
)

type upCmd struct{}

func (upCmd) Help() string {
	return "Serves webhooks and works jobs in one process. Needs STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET and INTERCOM_ACCESS_TOKEN (or DRY_RUN=true)."
}

// Run serves and works until it is told to stop.
func (upCmd) Run(ctx context.Context, a *app) error {
	if err := a.env.missing("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "INTERCOM_ACCESS_TOKEN"); err != nil {
		return err
	}
	return a.withProduct(ctx, func(p *product) error {
		p.hear(ctx)
		if err := p.startJobs(ctx); err != nil {
			return err
		}
		return errors.Join(p.listen(ctx), p.stopJobs(ctx))
	})
}

type serveCmd struct{}

// Run serves until it is told to stop.
func (serveCmd) Run(ctx context.Context, a *app) error {
	if err := a.env.missing("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"); err != nil {
		return err
	}
	return a.withProduct(ctx, func(p *product) error {
		err := p.listen(ctx)
		for _, s := range p.stripe {
			s.Close()
		}
		return err
	})
}

type workCmd struct {
	Once bool `help:"Catch up, tick, drain and exit."`
}

// Run works jobs until it is told to stop, or, with --once, until none is left.
func (c workCmd) Run(ctx context.Context, a *app) error {
	if err := a.env.missing("STRIPE_API_KEY", "INTERCOM_ACCESS_TOKEN"); err != nil {
		return err
	}
	return a.withProduct(ctx, func(p *product) error {
		if c.Once {
			return p.workOnce(ctx)
		}
		p.hear(ctx)
		if err := p.startJobs(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return p.stopJobs(ctx)
	})
}

// withProduct opens the database, wires the product as the environment says and
// leaves cleanly.
func (a *app) withProduct(ctx context.Context, f func(*product) error) error {
	return a.withDatabase(ctx, func(db *database) error {
		p, err := wire(ctx, wiring{Pool: db.Pool, Logger: a.logger, Now: time.Now, Env: a.env, TickEvery: a.env.TickEvery})
		if err != nil {
			return err
		}
		if p.Env.DryRun {
			a.logger.Warn("DRY_RUN: everything is decided and recorded, nothing is sent")
		}
		return f(p)
	})
}

// hearFor is how long a start waits for what Stripe has told meanwhile.
const hearFor = time.Minute

// hear stores what happened at Stripe while nobody listened, before anybody is
// written to: claims wait for events that are stored and not applied
// (no-stale-contact). When Stripe is out of reach the work begins all the same,
// and catches up later.
func (p *product) hear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hearFor)
	defer cancel()
	for _, s := range p.stripe {
		if _, err := s.CatchUp(ctx); err != nil {
			p.Logger.Warn("what happened at Stripe meanwhile is not known yet", slog.String("account", s.Name()), slog.Any("error", err))
		}
	}
}

func (p *product) listen(ctx context.Context) error {
	listener, err := net.Listen("tcp", p.Env.ListenAddr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; set LISTEN_ADDR to a free address", p.Env.ListenAddr, err)
	}
	p.Logger.Info("listening", slog.String("address", listener.Addr().String()))
	return serveHTTP(ctx, listener, p.handler(), p.Logger)
}

// workOnce does what there is to do now and ends: for cron. Work that waits for
// a later time stays for the next run. An account that cannot be read does not
// keep the others from being worked for, and is named in the error.
func (p *product) workOnce(ctx context.Context) error {
	var faults []error
	for _, s := range p.stripe {
		if err := p.follow(ctx, s); err != nil {
			faults = append(faults, fmt.Errorf("account %s: %w", s.Name(), err))
		}
		if ctx.Err() != nil {
			return errors.Join(faults...)
		}
	}
	if err := p.startJobs(ctx); err != nil {
		return errors.Join(append(faults, err)...)
	}
	return errors.Join(append(faults, p.drain(ctx), p.stopJobs(ctx))...)
}

// follow reads from Stripe what an account lacks. What another process is already
// reading is left to it.
func (p *product) follow(ctx context.Context, s *stripesync.Sync) error {
	_, err := follow(ctx, s, false, func(why string) error {
		p.Logger.Info("sync", slog.String("account", s.Name()), slog.String("why", why))
		return s.Backfill(ctx, nil)
	})
	if errors.Is(err, stripesync.ErrRunning) {
		return nil
	}
	return err
}

// drain waits until the tables hold nothing that could be done now, asking for
// ticks and sweeps on the way.
func (p *product) drain(ctx context.Context) error {
	const patience = 5 * time.Minute // without progress
	last, since := jobs.Pending{Events: -1}, time.Now()
	var accounts []string
	for _, s := range p.stripe {
		accounts = append(accounts, s.Name())
	}
	for first := true; ; first = false {
		now := p.Now()
		if err := p.pokeAll(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
		pending, err := jobs.ReadPendingOf(ctx, p.Pool, now, accounts)
		if err != nil {
			return err
		}
		if pending.None() && !first {
			return nil
		}
		pending.NextDue = nil
		if pending != last {
			last, since = pending, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("stuck: %d events, %d changes, %d due and %d claimed deliveries have not moved for %s; see dunlin doctor",
				pending.Events, pending.Changes, pending.Due, pending.Claimed, patience)
		}
	}
}

func (p *product) pokeAll(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := p.poker.Tick(ctx, tx); err != nil {
			return err
		}
		return p.poker.Sweep(ctx, tx)
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
