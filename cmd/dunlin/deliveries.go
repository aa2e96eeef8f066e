package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/workspace"
)

type deliveriesCmd struct {
	List   deliveriesListCmd   `cmd:"" default:"withargs" help:"What was sent, skipped, or waits, and why."`
	Settle deliveriesSettleCmd `cmd:"" help:"Say whether a delivery whose outcome is unknown was sent."`
	Retry  deliveriesRetryCmd  `cmd:"" help:"Let a failed delivery be decided afresh."`
}

type deliveriesListCmd struct {
	Customer string `help:"Only this customer (cus_…)."`
	Campaign string `help:"Only this campaign."`
	State    string `help:"Only this state." enum:"planned,claimed,sent,skipped,failed,unknown," default:""`
	Limit    int    `help:"At most so many, the newest first." default:"100"`
}

// Run lists deliveries.
func (c deliveriesListCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error { return c.list(ctx, a, db) })
}

func (c deliveriesListCmd) list(ctx context.Context, a *app, db *database) error {
	settings, err := workspace.Load(ctx, db.Pool)
	if err != nil {
		return err
	}
	rows, err := campaigns.Deliveries(ctx, db.Pool, campaigns.DeliveryFilter{Customer: c.Customer, Campaign: c.Campaign, State: c.State, Limit: c.Limit})
	if err != nil {
		return err
	}
	return list(a, rows, "CUSTOMER CAMPAIGN STEP ACTION STATE WHEN WHY", func(d campaigns.Delivery) []string {
		at, why := d.EndedAt, ""
		if d.State == "planned" {
			at = d.DueAt
		}
		if d.Reason != nil {
			why = campaigns.Reason(*d.Reason).Words()
		}
		return []string{d.StripeID, d.Campaign, d.Step, d.Action, d.State, when(at, settings.Zone), why}
	})
}

// deliveryArgs name one delivery, and who speaks.
type deliveryArgs struct {
	Customer string `arg:"" help:"The customer's id at Stripe (cus_…)."`
	Campaign string `arg:"" help:"A campaign."`
	Step     string `arg:"" help:"One of its steps."`
	Episode  string `help:"Which, when there are several." placeholder:"TEXT"`
	Account  string `help:"The Stripe account, when several have the customer." placeholder:"NAME"`
	By       string `help:"Who says so; your login name when left out." placeholder:"NAME"`
}

func (d deliveryArgs) name() campaigns.DeliveryName {
	return campaigns.DeliveryName{Customer: d.Customer, Campaign: d.Campaign, Step: d.Step, Account: d.Account, Episode: d.Episode}
}

type deliveriesSettleCmd struct {
	deliveryArgs
	Sent    bool   `help:"Intercom has it." xor:"outcome" required:""`
	NotSent bool   `help:"Intercom does not have it: it is decided afresh, and may be sent." xor:"outcome" required:""`
	ID      string `help:"With --sent, Intercom's id of the message, note or ticket." placeholder:"ID"`
}

func (deliveriesSettleCmd) Help() string {
	return "Look in Intercom first, at the contact's conversations and notes, or for the ticket. After --not-sent the step is decided like any other that is due: it is skipped when it is too late by now or there is no reason for it any more."
}

// Run settles a delivery whose outcome is unknown.
func (c deliveriesSettleCmd) Run(ctx context.Context, a *app) error {
	by, err := whoever(c.By)
	if err != nil {
		return err
	}
	if c.NotSent && c.ID != "" {
		return usagef("--id names what Intercom has; leave it out with --not-sent")
	}
	state := "planned"
	if c.Sent {
		state = "sent"
	}
	return c.change(ctx, a, state, func(tx pgx.Tx, now time.Time) (campaigns.Key, error) {
		return campaigns.SettleUnknown(ctx, tx, c.name(), campaigns.Settlement{Sent: c.Sent, ExternalID: c.ID, By: by}, now)
	})
}

type deliveriesRetryCmd struct{ deliveryArgs }

func (deliveriesRetryCmd) Help() string {
	return "Mend first what made it fail: the reason is in dunlin why. The step is then decided like any other that is due: its time is now, and its expires counts from now, however long ago it failed."
}

// Run lets a failed delivery be decided afresh.
func (c deliveriesRetryCmd) Run(ctx context.Context, a *app) error {
	by, err := whoever(c.By)
	if err != nil {
		return err
	}
	return c.change(ctx, a, "planned", func(tx pgx.Tx, now time.Time) (campaigns.Key, error) {
		return campaigns.RetryFailed(ctx, tx, c.name(), by, now)
	})
}

// changedDelivery is the answer of settle and retry with --json.
type changedDelivery struct {
	Customer string `json:"customer"`
	Campaign string `json:"campaign"`
	Episode  string `json:"episode"`
	Step     string `json:"step"`
	State    string `json:"state"`
}

// change does something to a delivery, and says in which state it is now.
func (d deliveryArgs) change(ctx context.Context, a *app, state string, f func(pgx.Tx, time.Time) (campaigns.Key, error)) error {
	return a.withDatabase(ctx, func(db *database) error {
		var key campaigns.Key
		err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) (err error) {
			key, err = f(tx, time.Now())
			return err
		})
		if err != nil {
			return err
		}
		if state == "planned" {
			a.say("step %s of campaign %s for %s is decided afresh; what becomes of it: dunlin why %s %s", d.Step, d.Campaign, d.Customer, d.Customer, d.Campaign)
		} else {
			a.say("step %s of campaign %s for %s is sent", d.Step, d.Campaign, d.Customer)
		}
		if !a.json {
			return nil
		}
		return a.line(changedDelivery{d.Customer, d.Campaign, key.Episode, d.Step, state})
	})
}
