package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

type whyCmd struct {
	Customer string `arg:"" help:"The customer's id at Stripe (cus_…)."`
	Campaign string `arg:"" help:"A campaign."`
	At       string `help:"As of this instant (RFC 3339)." placeholder:"T"`
}

// Run answers for a customer of every account that has one by that id.
func (c whyCmd) Run(ctx context.Context, a *app) error {
	q := campaigns.Question{Campaign: c.Campaign, Now: time.Now()}
	if c.At != "" {
		var err error
		if q.At, err = time.Parse(time.RFC3339, c.At); err != nil {
			return usagef("--at is %q; write an instant such as 2026-03-01T09:00:00Z", c.At)
		}
		if q.At.After(q.Now) {
			return usagef("--at is %s, which has not come yet; leave it out to ask about now", c.At)
		}
	}
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		accounts, err := accountsOf(ctx, db, c.Customer)
		if err != nil {
			return err
		}
		for _, x := range accounts {
			if q.Ref, err = customers.Find(ctx, db.Pool, x.ID, c.Customer); err != nil {
				return err
			}
			answer, err := campaigns.Explain(ctx, db.Pool, q)
			if errors.Is(err, workspace.ErrNotFound) {
				return fmt.Errorf("%w; see dunlin campaigns list", err)
			}
			if err != nil {
				return err
			}
			if err := a.showWhy(answer, settings.Zone); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) showWhy(x campaigns.Answer, zone *time.Location) error {
	if a.json {
		return a.line(x)
	}
	fmt.Fprintf(a.out, "%s (account %s) and campaign %s, at %s %s\n%s\n", x.Customer, x.Account, x.Campaign, when(&x.At, zone), zone, x.Summary)
	for _, b := range x.Because[min(1, len(x.Because)):] {
		fmt.Fprintf(a.out, "Also: %s.\n", b)
	}
	a.showWhySegment(x, zone)
	a.showWhyCampaign(x, zone)
	for _, p := range x.Enrollments {
		a.showPassage(p, zone)
	}
	a.showLines("What would change it", x.Change)
	a.showLines("What cannot be said", x.Remarks)
	return nil
}

func (a *app) showLines(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(a.out, "\n%s:\n", title)
	for _, l := range lines {
		fmt.Fprintf(a.out, "  - %s\n", l)
	}
}

func (a *app) showWhySegment(x campaigns.Answer, zone *time.Location) {
	s := x.Segment
	if s == nil {
		return
	}
	in := "not in it"
	if s.Member {
		in = "in it since " + when(s.Since, zone)
	}
	fmt.Fprintf(a.out, "\nSegment %s, version %d: %s.", s.Segment, s.Version, in)
	if s.Rule != nil && s.True != s.Member {
		fmt.Fprintf(a.out, " Its rule is %t at that moment.", s.True)
	}
	fmt.Fprintln(a.out)
	if s.Rule != nil {
		fmt.Fprint(a.out, indented(s.Rule.String()))
	}
}

func (a *app) showWhyCampaign(x campaigns.Answer, zone *time.Location) {
	if x.Version == 0 {
		return
	}
	state := "a draft"
	if x.StartedAt != nil {
		state = "started at " + when(x.StartedAt, zone)
	}
	if x.State == campaigns.Halted {
		state += ", paused"
	}
	if x.Trigger != "" {
		state += ", enrolls at each " + x.Trigger
	}
	fmt.Fprintf(a.out, "\nCampaign version %d: %s.\n", x.Version, state)
	if x.StoppedAt != nil {
		fmt.Fprintf(a.out, "Nothing leaves since %s (dunlin stop).\n", when(x.StoppedAt, zone))
	}
}

func (a *app) showPassage(p campaigns.Passage, zone *time.Location) {
	state := p.State
	if p.EndedAt != nil {
		state += " at " + when(p.EndedAt, zone)
	}
	if p.Words != "" {
		state += " (" + p.Words + ")"
	}
	if p.HeldOut != nil && *p.HeldOut {
		state += ", in the holdout"
	}
	fmt.Fprintf(a.out, "\nEnrollment %q, version %d: from %s, %s.\n", p.Episode, p.Version, when(&p.EnrolledAt, zone), state)
	if p.GoalAt != nil {
		fmt.Fprintf(a.out, "  The goal was reached at %s.\n", when(p.GoalAt, zone))
	}
	for _, t := range p.Steps {
		fmt.Fprintf(a.out, "  %s (%s): %s\n", t.Step, t.Action, stepState(t, zone))
		if t.If != nil {
			fmt.Fprint(a.out, indented(indented(t.If.String())))
		}
		for _, d := range t.Decisions {
			fmt.Fprintf(a.out, "    %s\n", decisionLine(d, zone))
		}
	}
}

// stepState is where a step stands, for people.
func stepState(t campaigns.Taken, zone *time.Location) string {
	said := t.State
	switch {
	case t.State == "planned" && t.Reason != "":
		said = "waits until " + when(t.DueAt, zone)
	case t.State == "planned":
		said = "planned for " + when(t.DueAt, zone)
	case t.EndedAt != nil:
		said += " at " + when(t.EndedAt, zone)
	case t.ClaimedAt != nil:
		said += " at " + when(t.ClaimedAt, zone)
	}
	if t.Words != "" {
		said += ": " + t.Words
	}
	if t.Variant != "" {
		said += ", wording " + t.Variant
	}
	if t.Detail != "" {
		said += " (" + t.Detail + ")"
	}
	return said
}

func decisionLine(d campaigns.Verdicted, zone *time.Location) string {
	line := fmt.Sprintf("%s  %-4s  %s", when(&d.At, zone), d.Verdict, d.Words)
	if d.Arithmetic != "" {
		line += ": " + d.Arithmetic
	}
	if d.Until != nil {
		line += "; until " + when(d.Until, zone)
	}
	return line
}

// indented moves every line to the right.
func indented(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("  " + line)
	}
	return b.String()
}
