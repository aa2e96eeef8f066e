package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

type campaignsPreviewCmd struct {
	Name     string   `arg:"" help:"A campaign."`
	Customer string   `arg:"" help:"The customer's id at Stripe (cus_…)."`
	Step     string   `help:"Only this step."`
	Language string   `help:"In this language, as in de-AT, in place of the contact's."`
	Files    []string `short:"f" help:"Definition files or folders that are not applied yet; - is standard input." placeholder:"PATH" sep:"none" name:"file"`
}

func (campaignsPreviewCmd) Help() string {
	return "Fills in the texts of a campaign for one customer, by the code that fills in what is sent, and tells when each step would be due. Sends and stores nothing."
}

// Run previews for a customer of every account that has one by that id.
func (c campaignsPreviewCmd) Run(ctx context.Context, a *app) error {
	return a.withProduct(ctx, func(p *product) error {
		what, err := c.what(ctx, a, p)
		if err != nil {
			return err
		}
		accounts, err := accountsOf(ctx, &database{Pool: p.Pool}, c.Customer)
		if err != nil {
			return err
		}
		for _, x := range accounts {
			ref, err := customers.Find(ctx, p.Pool, x.ID, c.Customer)
			if err != nil {
				return err
			}
			tx, err := p.Pool.BeginTx(ctx, pgx.TxOptions{})
			if err != nil {
				return fmt.Errorf("preview campaign: %w", err)
			}
			preview, err := p.campaigns.Preview(ctx, tx, what, ref, time.Now())
			if err := errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))); err != nil {
				return err
			}
			if err := a.showPreview(what, preview, x.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// what is the definition to preview: of the files, else the one in force.
func (c campaignsPreviewCmd) what(ctx context.Context, a *app, p *product) (campaigns.Previewing, error) {
	what := campaigns.Previewing{Step: c.Step, Language: c.Language}
	if len(c.Files) > 0 {
		set, err := (definitionFiles{Files: c.Files}).read(ctx, p.Pool, a.in)
		if err != nil {
			return what, err
		}
		i := slices.IndexFunc(set.parsed, func(d campaigns.Definition) bool { return d.Name == c.Name })
		if i < 0 {
			return what, usagef("the files define no campaign %q", c.Name)
		}
		what.Definition, what.Settings, what.Parents = set.parsed[i], set.settings, set.parents
	} else {
		var err error
		if what.Settings, err = workspace.Load(ctx, p.Pool); err != nil {
			return what, err
		}
		if what.Definition, err = p.campaigns.InForce(ctx, p.Pool, what.Settings, c.Name); errors.Is(err, workspace.ErrNotFound) {
			return what, fmt.Errorf("%w; see dunlin campaigns list, or give its file by -f", err)
		} else if err != nil {
			return what, err
		}
		if _, what.Parents, err = segments.LoadKnown(ctx, p.Pool, what.Settings.Currency); err != nil {
			return what, err
		}
	}
	var names []string
	for _, s := range what.Definition.Steps {
		names = append(names, s.Name)
	}
	if c.Step != "" && !slices.Contains(names, c.Step) {
		hint := "its steps: " + strings.Join(names, ", ")
		if near := workspace.Nearest(c.Step, names); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return what, usagef("campaign %q has no step %q; %s", c.Name, c.Step, hint)
	}
	return what, nil
}

func (a *app) showPreview(what campaigns.Previewing, p campaigns.Preview, account string) error {
	if a.json {
		return a.line(struct {
			Account string `json:"account"`
			campaigns.Preview
		}{account, p})
	}
	version := fmt.Sprintf("version %d", p.Version)
	if p.Version == 0 {
		version = "not applied yet"
	}
	fmt.Fprintf(a.out, "%s (%s) for %s (account %s)\n", p.Campaign, version, p.Customer, account)
	fmt.Fprintf(a.out, "%s\n%s\n", aboutContact(p), aboutEnrollment(p, what.Settings.Zone))
	for _, x := range p.Steps {
		a.showForeseen(x, what)
	}
	return nil
}

// aboutContact is the line about who reads it.
func aboutContact(p campaigns.Preview) string {
	contact := map[string]string{
		"linked": "The contact at Intercom is known", "none": "Intercom has no contact for the customer",
		"ambiguous": "Intercom has several contacts for the customer", "unknown": "Intercom was not asked about the contact yet",
	}[p.Contact]
	language, zone := "language unknown", "time zone unknown"
	if p.Language != "" {
		language = "language " + p.Language
	}
	switch n := len(p.Zones); {
	case n == 1:
		zone = "time zone " + p.Zones[0]
	case n > 1:
		zone = fmt.Sprintf("one of %d time zones, most likely %s", n, p.Zones[0])
	}
	return contact + "; " + language + "; " + zone + "."
}

// aboutEnrollment is the line about whether any of it would be done.
func aboutEnrollment(p campaigns.Preview, zone *time.Location) string {
	line := "Not a member of " + p.Segment + " now; times are as if the customer were enrolled now."
	switch {
	case p.Enrolled != nil:
		line = "Enrolled since " + when(p.Enrolled, zone) + "."
	case p.Segment == "":
		line = "Times are as if the customer were enrolled now."
	case p.Member:
		line = "A member of " + p.Segment + "; times are as if the customer were enrolled now."
	}
	if p.HeldOut {
		line += " In the holdout: nothing is done."
	}
	return line
}

// actionWords are the actions for people; %s is what it does.
var actionWords = map[campaigns.Action]string{
	campaigns.Message: "%s message", campaigns.Task: "task for %s", campaigns.Tag: "tag %s", campaigns.Untag: "untag %s",
	campaigns.Event: "event %s", campaigns.Note: "note%s", campaigns.Attributes: "attributes%s", campaigns.Webhook: "webhook %s",
}

func (a *app) showForeseen(x campaigns.Foreseen, what campaigns.Previewing) {
	does := cmp.Or(map[string]string{"inapp": "in-app", "email": "e-mail"}[x.Does], x.Does)
	anchor, zone := cmp.Or(what.Definition.Anchor, "enrollment"), what.Settings.Zone
	fmt.Fprintf(a.out, "\n%s: %s, %s\n", x.Step, fmt.Sprintf(actionWords[x.Action], does), offset(x.Offset, anchor))
	switch {
	case x.Due == nil:
		fmt.Fprintf(a.out, "  waits: %s has no value\n", anchor)
	case x.Skipped != "":
		fmt.Fprintf(a.out, "  skipped: %s\n", x.Skipped.Words())
	case x.Passed:
		fmt.Fprintln(a.out, "  due at once, for its time had passed")
	default:
		fmt.Fprintf(a.out, "  due %s %s\n", when(x.Due, zone), zone)
	}
	if x.QuietTill != nil && x.Skipped == "" {
		fmt.Fprintf(a.out, "  waits until %s %s: quiet hours where the customer lives\n", when(x.QuietTill, zone), zone)
	}
	if x.Condition != nil {
		fmt.Fprintf(a.out, "  if %s: %s\n", strings.Join(strings.Fields(x.If), " "), map[bool]string{true: "true now", false: "false now, so it would be skipped"}[*x.Condition])
	}
	for _, s := range x.Says {
		a.showSaid(s, x.Languages)
	}
}

// offset is "-21 days" from an anchor in words.
func offset(days, anchor string) string {
	before, negative := strings.CutPrefix(days, "-")
	switch {
	case negative:
		return before + " before " + anchor
	case strings.HasPrefix(days, "0 "):
		return "at " + anchor
	}
	return days + " after " + anchor
}

func (a *app) showSaid(s campaigns.Said, languages []string) {
	var about []string
	if s.Variant != "" {
		variant := "variant " + s.Variant
		if s.Gets {
			variant += ", which this person gets"
		}
		about = append(about, variant)
	}
	if s.Language != "" {
		others := slices.DeleteFunc(slices.Clone(languages), func(l string) bool { return l == s.Language })
		about = append(about, "in "+s.Language)
		if len(others) > 0 {
			about[len(about)-1] += " (there is " + strings.Join(others, ", ") + ")"
		}
	}
	if s.Locale != "" {
		about = append(about, "dates and money as in "+s.Locale+", by the clock of "+s.Zone)
	}
	if len(about) > 0 {
		fmt.Fprintf(a.out, "  %s\n", strings.Join(about, "; "))
	}
	if s.Fault != "" {
		fmt.Fprintf(a.out, "  the text cannot be filled in for this customer: %s\n", s.Fault)
		return
	}
	head := func(name, text string) {
		if text != "" {
			fmt.Fprintf(a.out, "  | %s: %s\n", name, text)
		}
	}
	head("subject", s.Subject)
	head("title", s.Title)
	for _, v := range s.Values {
		fmt.Fprintf(a.out, "  | %s: %s\n", v.Name, v.Value)
	}
	if s.Body != "" {
		for l := range strings.Lines(s.Body) {
			fmt.Fprintf(a.out, "  | %s\n", strings.TrimRight(l, "\n"))
		}
	}
}
