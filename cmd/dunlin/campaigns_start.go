package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/workspace"
)

type campaignsStartCmd struct {
	Name   string `arg:"" help:"A campaign."`
	DryRun bool   `help:"Tell who would hear what, and when; start nothing."`
	Yes    bool   `short:"y" help:"Start it, though its messages reach real contacts."`
	Sample int    `default:"5" placeholder:"N" help:"Of how many customers to tell what they would read."`
}

func (campaignsStartCmd) Help() string {
	return "Enrolls the present members of its segment, or passes them over, as existing: says; from then on whoever joins is enrolled. Where messages would reach real contacts it tells what --dry-run tells, and starts with --yes."
}

// Run starts a campaign, or tells what starting it would do. The first start
// against real keys is never an accident (no-surprise-blast).
func (c campaignsStartCmd) Run(ctx context.Context, a *app) error {
	return a.withProduct(ctx, func(p *product) error {
		if c.DryRun {
			return c.rehearse(ctx, a, p)
		}
		if !c.Yes && a.env.reachesPeople() {
			if err := c.rehearse(ctx, a, p); err != nil {
				return err
			}
			return usagef("campaign %s would reach real contacts, so it was not started; if this is what you want: dunlin campaigns start --yes %s", c.Name, c.Name)
		}
		var s campaigns.Start
		err := p.tryOut(ctx, false, func(tx pgx.Tx) (err error) {
			s, err = p.campaigns.Start(ctx, tx, c.Name, time.Now())
			return err
		})
		switch {
		case err != nil:
			return err
		case a.json:
			return a.line(s)
		}
		a.say("campaign %s, version %d: of %s, %d enrolled and %d passed over", s.Campaign, s.Version, plural(s.Members, "member"), s.Enrolled, s.Passed)
		return nil
	})
}

// reachesPeople reports whether what is sent may reach anybody: Intercom is not one
// on this machine. The token, and DRY_RUN, are those of the workers that send, which
// nobody knows here.
func (e environment) reachesPeople() bool {
	base, err := url.Parse(e.IntercomBase)
	if err != nil || base.Host == "" {
		return true
	}
	ip := net.ParseIP(base.Hostname())
	return base.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

func (c campaignsStartCmd) rehearse(ctx context.Context, a *app, p *product) error {
	var r campaigns.Rehearsal
	err := p.tryOut(ctx, true, func(tx pgx.Tx) (err error) {
		r, err = p.campaigns.Rehearse(ctx, tx, c.Name, max(c.Sample, 0), time.Now())
		return err
	})
	switch {
	case err != nil:
		return err
	case a.json:
		return a.line(r)
	}
	return a.showRehearsal(r)
}

func (a *app) showRehearsal(r campaigns.Rehearsal) error {
	a.say("campaign %s, version %d: of %s, %d would be enrolled and %d passed over", r.Campaign, r.Version, plural(r.Members, "member"), r.Enrolled, r.Passed)
	if r.TestContacts > 0 {
		a.say("only test contacts receive for now (%d in the workspace's test_contacts); for everybody else every step waits", r.TestContacts)
	}
	if a.env.DryRun {
		a.say("DRY_RUN is set: whatever would be sent is recorded as skipped instead, and never sent later")
	}
	if r.Enrolled > 0 {
		err := list(a, r.Steps, "STEP ACTION NOW <1DAY <7DAYS <30DAYS LATER UNDATED PASSED", func(x campaigns.RehearsedStep) []string {
			cells := []string{x.Step, string(x.Action)}
			for _, n := range []int64{x.Now, x.Day, x.Week, x.Month, x.Later, x.Undated, x.Passed} {
				cells = append(cells, strconv.FormatInt(n, 10))
			}
			return cells
		})
		if err != nil {
			return err
		}
		a.showOutlook(r)
	}
	for i, x := range r.Sample {
		fmt.Fprintf(a.out, "\nSample %d of %d: ", i+1, len(r.Sample))
		what := campaigns.Previewing{Definition: r.Definition, Settings: r.Settings}
		if zone, err := workspace.LoadZone(first(x.Zones)); err == nil {
			what.Settings.Zone = zone // the customer's clock
		}
		if err := a.showPreview(what, x.Preview, x.Account); err != nil {
			return err
		}
	}
	return nil
}

// showOutlook tells what would become of the steps that are due now.
func (a *app) showOutlook(r campaigns.Rehearsal) {
	if r.Decided == 0 {
		return
	}
	var now int64
	fmt.Fprintln(a.out, "\nDue now:")
	for _, x := range r.Steps {
		now += x.Now
		var parts []string
		for _, o := range x.Due {
			parts = append(parts, fmt.Sprintf("%d %s", o.Count, outlookWords(o)))
		}
		if len(parts) > 0 {
			fmt.Fprintf(a.out, "  %s: %s\n", x.Step, strings.Join(parts, ", "))
		}
	}
	if r.Decided < now {
		fmt.Fprintf(a.out, "  Of %d only the first %d were decided.\n", now, r.Decided)
	}
	if r.Unread > 0 {
		fmt.Fprintf(a.out, "  Of %d Intercom has to be asked first whether there is a contact; here it was taken that there is.\n", r.Unread)
	}
}

func outlookWords(o campaigns.Outlook) string {
	switch o.Verdict {
	case campaigns.Send:
		return "done at once"
	case campaigns.Wait:
		return "would wait (" + o.Reason.Words() + ")"
	}
	return "would be skipped (" + o.Reason.Words() + ")"
}

// first is the first of a list, empty when there is none.
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
