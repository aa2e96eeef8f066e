package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
)

type campaignsCmd struct {
	List   campaignsListCmd   `cmd:"" default:"1" help:"Every campaign, and how it stands."`
	Show   campaignsShowCmd   `cmd:"" help:"A campaign's definition in force."`
	Start  campaignsStartCmd  `cmd:"" help:"Start a campaign that was applied."`
	Pause  campaignsPauseCmd  `cmd:"" help:"Make a campaign wait; nobody new is enrolled."`
	Resume campaignsResumeCmd `cmd:"" help:"Let a paused campaign go on."`

	Move    campaignsMoveCmd    `cmd:"" help:"Move enrollments that are under way to the version in force."`
	Preview campaignsPreviewCmd `cmd:"" help:"What a campaign would say to a customer, and when; sends nothing."`
}

type campaignsListCmd struct{}

// Run lists.
func (campaignsListCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		rows, err := campaigns.List(ctx, db.Pool)
		if err != nil {
			return err
		}
		return list(a, rows, "CAMPAIGN VERSION STATE ENROLLED ACTIVE BEHIND SENT WAITING UNKNOWN", func(c campaigns.Listed) []string {
			n := func(i int64) string { return strconv.FormatInt(i, 10) }
			return []string{c.Name, strconv.Itoa(c.Version), string(c.State), n(c.Enrolled), n(c.Active), n(c.Behind), n(c.Sent), n(c.Waiting), n(c.Unknown)}
		})
	})
}

type campaignsShowCmd struct {
	Name string `arg:"" help:"A campaign."`
}

// Run prints the definition as it was written.
func (c campaignsShowCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		source, err := campaigns.Source(ctx, db.Pool, c.Name)
		if err != nil {
			return err
		}
		if a.json {
			return a.line(map[string]string{"name": c.Name, "source": source})
		}
		fmt.Fprint(a.out, source)
		return nil
	})
}

type campaignsPauseCmd struct {
	Name string `arg:"" help:"A campaign."`
}

// Run pauses.
func (c campaignsPauseCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error { return campaigns.Pause(ctx, tx, c.Name, time.Now()) })
		switch {
		case err != nil:
			return err
		case a.json:
			return a.line(map[string]any{"campaign": c.Name, "state": campaigns.Halted})
		}
		a.say("campaign %s is paused: what it has planned waits, and nobody new is enrolled", c.Name)
		return nil
	})
}

type campaignsResumeCmd struct {
	Name string `arg:"" help:"A campaign."`
}

// Run resumes.
func (c campaignsResumeCmd) Run(ctx context.Context, a *app) error {
	return a.withProduct(ctx, func(p *product) error {
		var r campaigns.Resumption
		err := p.tryOut(ctx, false, func(tx pgx.Tx) (err error) {
			r, err = p.campaigns.Resume(ctx, tx, c.Name, time.Now())
			return err
		})
		switch {
		case err != nil:
			return err
		case a.json:
			return a.line(r)
		}
		a.say("campaign %s goes on: %s decided afresh; of those who joined meanwhile, %s enrolled", c.Name, plural(r.Woken, "step"), plural(r.Enrolled, "customer"))
		return nil
	})
}
