package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/workspace"
)

type tasksCmd struct {
	List   tasksListCmd   `cmd:"" default:"withargs" help:"Open tasks, the most money at risk first."`
	Done   tasksDoneCmd   `cmd:"" help:"Mark a task as done."`
	Snooze tasksSnoozeCmd `cmd:"" help:"Hide a task for some days."`
}

type tasksListCmd struct {
	All bool `help:"Done and snoozed ones too."`
}

// listedTask is a task as --json shows it.
type listedTask struct {
	campaigns.TaskRow
	MoneyAtRisk *moneyJSON `json:"money_at_risk"`
}

// Run lists tasks.
func (c tasksListCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		found, err := campaigns.Tasks(ctx, db.Pool, time.Now(), c.All)
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
		return list(a, rows, "ID DUE AT-RISK TEAM TICKET CUSTOMER TITLE", func(t listedTask) []string {
			money, ticket := "-", "-"
			if t.MoneyAtRisk != nil {
				money = t.MoneyAtRisk.Amount + " " + t.MoneyAtRisk.Currency
			}
			if t.TicketID != nil {
				ticket = *t.TicketID
			}
			return []string{strconv.FormatInt(t.ID, 10), when(&t.DueAt, settings.Zone), money, t.Team, ticket, t.StripeID, t.Title}
		})
	})
}

type tasksDoneCmd struct {
	ID int64 `arg:"" help:"The task's number."`
}

// Run marks a task as done.
func (c tasksDoneCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		if err := campaigns.DoneTask(ctx, db.Pool, c.ID, time.Now()); err != nil {
			return err
		}
		a.say("task %d is done", c.ID)
		return nil
	})
}

type tasksSnoozeCmd struct {
	ID   int64 `arg:"" help:"The task's number."`
	Days int   `help:"For so many days." default:"1"`
}

// Run hides a task for a while.
func (c tasksSnoozeCmd) Run(ctx context.Context, a *app) error {
	if c.Days < 1 || c.Days > 365 {
		return usagef("--days is %d; use 1 to 365", c.Days)
	}
	return a.withDatabase(ctx, func(db *database) error {
		until := time.Now().AddDate(0, 0, c.Days)
		if err := campaigns.SnoozeTask(ctx, db.Pool, c.ID, until); err != nil {
			return err
		}
		a.say("task %d comes back on %s", c.ID, fmt.Sprint(until.Format(time.DateOnly)))
		return nil
	})
}
