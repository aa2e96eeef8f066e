package main

import (
	"context"
	"time"

	"github.com/dunlin/dunlin/segments"
)

type tickCmd struct {
	Now string `help:"Evaluate at this instant (RFC 3339), roll back and report." placeholder:"T"`
}

// Run ticks once.
func (c tickCmd) Run(ctx context.Context, a *app) error {
	var at time.Time
	if c.Now != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, c.Now); err != nil {
			return usagef("--now is %q; write an instant such as 2026-03-01T09:00:00Z", c.Now)
		}
	}
	return a.withProduct(ctx, func(p *product) error {
		if c.Now == "" {
			at = p.Now()
		}
		t, err := p.tickOut(ctx, at, c.Now != "")
		if err != nil {
			return err
		}
		if a.json {
			return a.line(map[string]any{"tick": t.ID, "at": t.At.UTC(), "joined": t.Joined, "left": t.Left, "changed": len(t.Changed), "rolled_back": c.Now != ""})
		}
		a.say("at %s: %s joined, %d left, %s had changed", t.At.UTC().Format(time.RFC3339), plural(t.Joined, "customer"), t.Left, plural(len(t.Changed), "customer"))
		if c.Now != "" {
			a.say("rolled back: nothing was written")
		}
		return nil
	})
}

// tickOut ticks until no list is unfinished, or rehearses one tick that does it
// all, and adds up.
func (p *product) tickOut(ctx context.Context, at time.Time, rehearse bool) (segments.Tick, error) {
	if rehearse {
		return p.ticker.Rehearse(ctx, at)
	}
	sum, err := p.ticker.Tick(ctx)
	for t := sum; err == nil && t.More; {
		if t, err = p.ticker.Tick(ctx); err == nil {
			sum.ID, sum.At, sum.Joined, sum.Left = t.ID, t.At, sum.Joined+t.Joined, sum.Left+t.Left
		}
	}
	return sum, err
}
