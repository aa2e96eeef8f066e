package main

import (
	"context"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

type holdsCmd struct {
	List holdsListCmd `cmd:"" default:"withargs" help:"Who is not to be contacted now, why, and until when."`
	Add  holdsAddCmd  `cmd:"" help:"Leave a customer alone, until a day or until it is lifted."`
	Lift holdsLiftCmd `cmd:"" help:"End a hold, or all that were set on a customer."`
}

type holdsListCmd struct {
	Customer string `arg:"" optional:"" help:"What holds this customer (cus_…)."`
	All      bool   `help:"Those that are over, too."`
}

// Run lists holds and open disputes.
func (c holdsListCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		if c.Customer != "" {
			if _, err := accountsOf(ctx, db, c.Customer); err != nil {
				return err
			}
		}
		rows, err := campaigns.Holds(ctx, db.Pool, campaigns.HoldFilter{Customer: c.Customer, All: c.All}, time.Now())
		if err != nil {
			return err
		}
		return list(a, rows, "ID KIND CUSTOMER SET BY UNTIL REASON", func(h campaigns.HoldRow) []string {
			id, by, until := "-", "-", "lifted"
			if h.ID != nil {
				id, by = strconv.FormatInt(*h.ID, 10), *h.SetBy
			}
			switch {
			case h.LiftedAt != nil:
				until = when(h.LiftedAt, settings.Zone) + ", lifted by " + *h.LiftedBy
			case h.Until != nil:
				until = endsAt(*h.Until, settings.Zone)
			case h.Kind == campaigns.HoldDispute:
				until = "decided"
			}
			return []string{id, string(h.Kind), h.StripeID, when(&h.SetAt, settings.Zone), by, until, h.Reason}
		})
	})
}

type holdsAddCmd struct {
	Customer string `arg:"" help:"The customer's id at Stripe (cus_…)."`
	Reason   string `help:"Why, for colleagues." required:"" placeholder:"TEXT"`
	Until    string `help:"A day, which is included, or an instant (RFC 3339); until it is lifted when left out." placeholder:"WHEN"`
	Promise  bool   `help:"The customer has promised to pay by then."`
	By       string `help:"Who says so; your login name when left out." placeholder:"NAME"`
}

func (holdsAddCmd) Help() string {
	return "No step of any campaign is taken for the customer and all others that are the same Intercom contact. What comes due waits, named, and is skipped when it expires before the hold ends. A promise takes the place of the one before."
}

// addedHold is the answer of dunlin holds add --json.
type addedHold struct {
	ID       int64      `json:"id"`
	StripeID string     `json:"customer"`
	Account  string     `json:"account"`
	Until    *time.Time `json:"until"`
	Others   int64      `json:"others"` // customers of the same contact, held, too
}

// Run sets a hold on the customer in every account that has one by that id.
func (c holdsAddCmd) Run(ctx context.Context, a *app) error {
	by, err := whoever(c.By)
	if err != nil {
		return err
	}
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		now, hold := time.Now(), campaigns.NewHold{Kind: campaigns.HoldManual, Reason: c.Reason, By: by}
		if c.Promise {
			hold.Kind = campaigns.HoldPromise
		}
		if hold.Until, err = parseUntil(c.Until, settings.Zone); err != nil {
			return err
		}
		if err := hold.Check(now); err != nil {
			return &usageError{err}
		}
		var added []addedHold
		err = eachAccount(ctx, db, c.Customer, func(tx pgx.Tx, ref customers.Ref, account string) error {
			hold.Ref = ref
			set, err := hold.Set(ctx, tx, now)
			x := addedHold{ID: set.ID, StripeID: c.Customer, Account: account, Others: set.Others}
			if !hold.Until.IsZero() {
				until := hold.Until.UTC()
				x.Until = &until
			}
			added = append(added, x)
			return err
		})
		if err != nil {
			return err
		}
		for _, x := range added {
			a.say("%s", x.words(settings.Zone))
			if a.json {
				if err := a.line(x); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (x addedHold) words(zone *time.Location) string {
	until := "until dunlin holds lift " + strconv.FormatInt(x.ID, 10)
	if x.Until != nil {
		until = "until " + endsAt(*x.Until, zone)
	}
	words := fmt.Sprintf("%s is left alone %s (hold %d)", x.StripeID, until, x.ID)
	if x.Others > 0 {
		words += ", and so are the contact's " + plural(x.Others, "other customer")
	}
	return words
}

type holdsLiftCmd struct {
	What string `arg:"" name:"id|customer" help:"The hold's number, or a customer's id at Stripe (cus_…)."`
	By   string `help:"Who says so; your login name when left out." placeholder:"NAME"`
}

// Run lifts a hold, or all that were set on a customer, and lets what waited be
// decided afresh.
func (c holdsLiftCmd) Run(ctx context.Context, a *app) error {
	by, err := whoever(c.By)
	if err != nil {
		return err
	}
	return a.withDatabase(ctx, func(db *database) error {
		if id, err := strconv.ParseInt(c.What, 10, 64); err == nil {
			return pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
				woken, err := campaigns.LiftHold(ctx, tx, id, by, time.Now())
				if err == nil {
					a.say("hold %d is lifted; %s decided afresh", id, steps(woken))
				}
				return err
			})
		}
		var lifted, woken int64
		err := eachAccount(ctx, db, c.What, func(tx pgx.Tx, ref customers.Ref, _ string) error {
			holds, steps, err := campaigns.LiftHolds(ctx, tx, ref, by, time.Now())
			lifted, woken = lifted+holds, woken+steps
			return err
		})
		if err != nil {
			return err
		}
		still, err := campaigns.Holds(ctx, db.Pool, campaigns.HoldFilter{Customer: c.What}, time.Now())
		if err != nil {
			return err
		}
		switch {
		case lifted == 0 && len(still) == 0:
			return fmt.Errorf("nothing holds %s", c.What)
		case lifted == 0:
			return fmt.Errorf("no hold was set on %s itself; it is held by %s", c.What, stillHeld(still))
		}
		a.say("%s lifted; %s decided afresh", plural(lifted, "hold"), steps(woken))
		if len(still) > 0 {
			a.say("%s is still held by %s", c.What, stillHeld(still))
		}
		return nil
	})
}

// steps is "1 step is", "2 steps are".
func steps(n int64) string {
	if n == 1 {
		return "1 step is"
	}
	return plural(n, "step") + " are"
}

// stillHeld names what holds a customer beside the holds that were set on it.
func stillHeld(holds []campaigns.HoldRow) string {
	var names []string
	for _, h := range holds {
		if h.ID == nil {
			names = append(names, "the dispute "+h.Reason+" until it is decided")
			continue
		}
		names = append(names, fmt.Sprintf("hold %d, set on %s, which is the same contact", *h.ID, h.StripeID))
	}
	return strings.Join(names, "; ")
}

// eachAccount does something for the customer of this id in each account that
// has one, all in one transaction.
func eachAccount(ctx context.Context, db *database, id string, f func(pgx.Tx, customers.Ref, string) error) error {
	accounts, err := accountsOf(ctx, db, id)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		for _, x := range accounts {
			ref, err := customers.Find(ctx, tx, x.ID, id)
			if err != nil {
				return err
			}
			if err := f(tx, ref, x.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// parseUntil reads the end of a hold: that of a day in the workspace's zone, or
// an instant. The empty text is no end.
func parseUntil(s string, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := rule.ParseDate(s); err == nil {
		return day.AddDays(1).In(zone), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, usagef("--until is %q; write a day such as 2026-03-10, which is included, or an instant such as 2026-03-10T17:00:00+01:00", s)
	}
	return at, nil
}

// endsAt is the end of a hold for people. One that ends with a day is shown with
// that day, not with the midnight after it.
func endsAt(t time.Time, zone *time.Location) string {
	if day := rule.DateOf(t, zone); day.In(zone).Equal(t) {
		return "the end of " + day.AddDays(-1).String()
	}
	return when(&t, zone)
}

// whoever is the name given, else that of the login.
func whoever(name string) (string, error) {
	if name = strings.TrimSpace(name); name != "" {
		return name, nil
	}
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "", usagef("nobody knows your login name on this machine; add --by NAME")
	}
	return u.Username, nil
}
