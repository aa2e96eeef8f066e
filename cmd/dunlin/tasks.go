package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

type tasksCmd struct {
	List   tasksListCmd   `cmd:"" default:"withargs" help:"Open tasks, the most money at risk first."`
	Done   tasksDoneCmd   `cmd:"" help:"Mark a task as done."`
	Snooze tasksSnoozeCmd `cmd:"" help:"Hide a task until a day or an instant."`
	Reopen tasksReopenCmd `cmd:"" help:"Open a task again, or wake it."`
}

type tasksListCmd struct {
	All   bool   `help:"Done and snoozed ones too."`
	Team  string `help:"Only those of a team." placeholder:"TEAM"`
	Owner string `help:"Only those of an Intercom teammate: admin:ID." placeholder:"ADMIN"`
}

// listedTask is a task as --json shows it.
type listedTask struct {
	campaigns.TaskRow
	MoneyAtRisk *moneyJSON `json:"money_at_risk"`
}

// Run lists tasks.
func (c tasksListCmd) Run(ctx context.Context, a *app) error {
	filter := campaigns.TaskFilter{Now: time.Now(), All: c.All, Team: c.Team}
	if c.Owner != "" {
		id, err := strconv.ParseInt(strings.TrimPrefix(c.Owner, "admin:"), 10, 64)
		if err != nil || id <= 0 {
			return usagef("--owner is %q; write admin: and the id of an Intercom teammate, as in admin:991267716", c.Owner)
		}
		filter.Owner = id
	}
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		if _, ok := settings.Teams[c.Team]; c.Team != "" && !ok {
			a.say("the workspace has no team %q now", c.Team)
		}
		found, err := campaigns.Tasks(ctx, db.Pool, filter)
		if err != nil {
			return err
		}
		var rows []listedTask
		for _, t := range found {
			row := listedTask{TaskRow: t}
			if t.Amount != nil && t.Currency != nil {
				row.MoneyAtRisk = &moneyJSON{*t.Amount, *t.Currency}
			}
			rows = append(rows, row)
		}
		return list(a, rows, "ID STATE DUE AT-RISK TEAM OWNER TICKET CUSTOMER TITLE", func(t listedTask) []string {
			money, ticket, owner := "-", "-", "waits"
			if t.MoneyAtRisk != nil {
				money = t.MoneyAtRisk.Amount + " " + t.MoneyAtRisk.Currency
			}
			if t.TicketID != nil {
				ticket = *t.TicketID
			}
			if t.Owner != nil {
				owner = "admin:" + strconv.FormatInt(*t.Owner, 10)
			}
			return []string{strconv.FormatInt(t.ID, 10), t.Stands(filter.Now), when(&t.DueAt, settings.Zone), money, t.Team, owner, ticket, t.StripeID, t.Title}
		})
	})
}

type tasksDoneCmd struct {
	ID        int64 `arg:"" help:"The task's number."`
	Contacted bool  `help:"The customer was spoken to: it counts in the contact budget."`
}

// Run marks a task as done.
func (c tasksDoneCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		if err := campaigns.DoneTask(ctx, db.Pool, c.ID, c.Contacted, time.Now()); err != nil {
			return err
		}
		a.say("task %d is done", c.ID)
		return nil
	})
}

type tasksSnoozeCmd struct {
	ID    int64  `arg:"" help:"The task's number."`
	Until string `arg:"" help:"A day (2026-03-05) or an instant (2026-03-05T14:00:00+01:00)."`
}

// Run hides a task for a while.
func (c tasksSnoozeCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		until, err := time.Parse(time.RFC3339, c.Until)
		if day, wrong := rule.ParseDate(c.Until); wrong == nil {
			until, err = day.In(settings.Zone), nil
		}
		if err != nil {
			return usagef("%q is neither a day nor an instant; write it as in 2026-03-05 or 2026-03-05T14:00:00+01:00", c.Until)
		}
		if now := time.Now(); !until.After(now) || until.After(now.AddDate(1, 0, 0)) {
			return usagef("%s is in the past or more than a year away; give another", c.Until)
		}
		if err := campaigns.SnoozeTask(ctx, db.Pool, c.ID, until); err != nil {
			return err
		}
		a.say("task %d comes back on %s", c.ID, when(&until, settings.Zone))
		return nil
	})
}

type tasksReopenCmd struct {
	ID int64 `arg:"" help:"The task's number."`
}

// Run opens a task again.
func (c tasksReopenCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		if err := campaigns.ReopenTask(ctx, db.Pool, c.ID); err != nil {
			return err
		}
		a.say("task %d is open, until somebody does it", c.ID)
		return nil
	})
}
