package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/jobs"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

type doctorCmd struct{}

// finding is one thing doctor looked at.
type finding struct {
	OK    bool   `json:"ok"`   // false: to be mended
	Warn  bool   `json:"warn"` // ok, and worth a look
	Topic string `json:"topic"`
	What  string `json:"what"`
	Fix   string `json:"fix,omitempty"`
}

// Run looks at everything it can reach and ends with status 1 when something
// needs mending.
func (doctorCmd) Run(ctx context.Context, a *app) error {
	return a.withProduct(ctx, func(p *product) error {
		found, err := p.examine(ctx)
		if err != nil {
			return err
		}
		return a.tell(found)
	})
}

// tell prints findings, and fails when something is to be mended.
func (a *app) tell(found []finding) error {
	well := true
	for _, f := range found {
		well = well && f.OK
		if a.json {
			if err := a.line(f); err != nil {
				return err
			}
			continue
		}
		mark := "ok  "
		switch {
		case !f.OK:
			mark = "MEND"
		case f.Warn:
			mark = "WARN"
		}
		fmt.Fprintf(a.out, "%s  %-10s %s\n", mark, f.Topic, f.What)
		if f.Fix != "" {
			fmt.Fprintf(a.out, "      %-10s → %s\n", "", f.Fix)
		}
	}
	if !well {
		return errSilent
	}
	return nil
}

// examine makes the findings. The database answered already: it is how we got
// here.
func (p *product) examine(ctx context.Context) ([]finding, error) {
	found := []finding{{OK: true, Topic: "database", What: "answers, and its tables are up to date"}}
	settings, err := workspace.Load(ctx, p.Pool)
	if err != nil {
		return nil, err
	}
	if settings.Version == 0 {
		found = append(found, finding{Topic: "workspace", What: "no workspace was applied: zone UTC, currency usd, no sender",
			Fix: "write a workspace.yaml (see examples/workspace.yaml) and dunlin apply -f it"})
	} else {
		found = append(found, finding{OK: true, Topic: "workspace", What: fmt.Sprintf("version %d, zone %s, currency %s", settings.Version, settings.Zone, settings.Currency)})
	}
	for _, examine := range []func(context.Context) ([]finding, error){p.examineStop, p.examineStripe, p.examineSegments, p.examineCampaigns, p.examineWork, p.examineZones} {
		more, err := examine(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	if p.intercom == nil {
		fix := "set INTERCOM_ACCESS_TOKEN"
		return append(found, finding{OK: p.Env.DryRun, Topic: "intercom", What: "INTERCOM_ACCESS_TOKEN is not set", Fix: fix}), nil
	}
	checks, err := p.intercomFindings(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range checks {
		found = append(found, fromIntercom(c))
	}
	return found, nil
}

func fromIntercom(c intercom.Finding) finding {
	return finding{OK: c.OK, Topic: "intercom", What: c.What, Fix: c.Fix}
}

func (p *product) examineStop(ctx context.Context) ([]finding, error) {
	stopped, err := workspace.Stopped(ctx, p.Pool)
	if err != nil || !stopped {
		return nil, err
	}
	return []finding{{Topic: "stop", What: "dunlin is stopped: nothing leaves", Fix: "dunlin resume"}}, nil
}

func (p *product) examineSegments(ctx context.Context) ([]finding, error) {
	list, err := segments.List(ctx, p.Pool)
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, s := range list {
		if s.Fault != "" {
			found = append(found, finding{Topic: "segments", What: fmt.Sprintf("%s is not evaluated: %s", s.Name, s.Fault), Fix: "mend its rule, or the workspace, and dunlin apply it"})
		}
		if s.Waits != "" {
			found = append(found, finding{Topic: "segments", What: fmt.Sprintf("the campaigns of %s wait: %s", s.Name, s.Waits), Fix: "look at it, and if it is right, dunlin segments accept " + s.Name})
		}
		if s.Drift != 0 {
			found = append(found, finding{Topic: "segments", What: fmt.Sprintf("the last audit of %s repaired %s: a bug of ours", s.Name, plural(s.Drift, "member")), Fix: "report it with the segment's rule"})
		}
	}
	last, err := segments.LastTick(ctx, p.Pool)
	switch {
	case err != nil:
		return nil, err
	case last.IsZero():
		found = append(found, finding{Topic: "ticks", What: "no tick yet", Fix: "run dunlin up, or dunlin work --once from cron"})
	case p.Now().Sub(last) > 10*time.Minute:
		found = append(found, finding{Topic: "ticks", What: fmt.Sprintf("the last tick is %s old", p.Now().Sub(last).Round(time.Second)), Fix: "is dunlin up or dunlin work running?"})
	default:
		found = append(found, finding{OK: true, Topic: "ticks", What: fmt.Sprintf("%s, the last tick is %s old", plural(len(list), "segment"), p.Now().Sub(last).Round(time.Second))})
	}
	return found, nil
}

// examineCampaigns finds the rules of campaigns that cannot be evaluated: what hangs
// on them waits.
func (p *product) examineCampaigns(ctx context.Context) ([]finding, error) {
	settings, err := workspace.Load(ctx, p.Pool)
	if err != nil {
		return nil, err
	}
	list, err := campaigns.InForce(ctx, p.Pool, settings)
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, c := range list {
		for _, err := range compileRules(c, segments.Env(settings, p.Now()), nil) {
			found = append(found, finding{Topic: "campaigns", What: fmt.Sprintf("what %s has to do waits: %v", c.Name, err), Fix: "mend its rule, or the workspace, and dunlin apply it"})
		}
	}
	return found, nil
}

func (p *product) examineWork(ctx context.Context) ([]finding, error) {
	pending, err := jobs.ReadPending(ctx, p.Pool, p.Now())
	if err != nil {
		return nil, err
	}
	looking, stuck, asking, err := campaigns.Doubts(ctx, p.Pool)
	if err != nil {
		return nil, err
	}
	found := []finding{{OK: true, Topic: "work", What: fmt.Sprintf("%d deliveries due, %d under way", pending.Due, pending.Claimed)}}
	if looking > stuck {
		found = append(found, finding{OK: true, Topic: "work", What: fmt.Sprintf("Intercom is being searched for %s of unknown outcome", deliveries(looking-stuck))})
	}
	if stuck > 0 {
		found = append(found, finding{Topic: "work", What: fmt.Sprintf("for more than an hour, %s of unknown outcome could not be looked for at Intercom", deliveries(stuck)),
			Fix: "is dunlin up or dunlin work running? dunlin deliveries --state unknown --json says what Intercom answers (detail)"})
	}
	if asking > 0 {
		found = append(found, finding{Topic: "work", What: fmt.Sprintf("nobody knows whether Intercom has %s", deliveries(asking)),
			Fix: "dunlin deliveries --state unknown; look in Intercom for each, then dunlin deliveries settle CUSTOMER CAMPAIGN STEP --sent (or --not-sent)"})
	}
	return found, nil
}

func deliveries(n int64) string {
	if n == 1 {
		return "1 delivery"
	}
	return fmt.Sprintf("%d deliveries", n)
}
