package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

type segmentsAuditCmd struct {
	Names []string `arg:"" optional:"" name:"name" help:"Segments; none means all."`
}

// Run audits. Drift is a bug of ours, and fails.
func (c segmentsAuditCmd) Run(ctx context.Context, a *app) error {
	return a.withProduct(ctx, func(p *product) error {
		if err := p.knowSegments(ctx, c.Names); err != nil {
			return err
		}
		if _, err := p.tickOut(ctx, p.Now(), false); err != nil {
			return err
		}
		audits, err := p.ticker.Audit(ctx, c.Names...)
		if err != nil {
			return err
		}
		var drift int64
		for _, x := range audits {
			drift += x.Missing + x.Surplus
		}
		err = list(a, audits, "SEGMENT MEMBERS MISSING SURPLUS", func(x segments.Audit) []string {
			return []string{x.Segment, strconv.FormatInt(x.Members, 10), strconv.FormatInt(x.Missing, 10), strconv.FormatInt(x.Surplus, 10)}
		})
		if err == nil && drift > 0 {
			err = fmt.Errorf("membership had drifted by %s; it is repaired, and it is a bug: please report it with the segment's rule", plural(drift, "customer"))
		}
		return err
	})
}

// knowSegments refuses names that are no segment's.
func (p *product) knowSegments(ctx context.Context, names []string) error {
	stored, err := segments.List(ctx, p.Pool)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(stored, func(s segments.Stored) bool { return s.Name == name }) {
			return fmt.Errorf("segment %q: %w; see dunlin segments list", name, workspace.ErrNotFound)
		}
	}
	return nil
}

type segmentsAcceptCmd struct {
	Name string `arg:"" help:"A segment whose campaigns wait."`
}

// Run accepts: with the next tick the campaigns follow the members as they are.
func (c segmentsAcceptCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
			if err := segments.Accept(ctx, tx, c.Name); err != nil {
				return err
			}
			return campaigns.Awaken(ctx, tx, campaigns.SegmentWaits, time.Now())
		})
		if err != nil {
			return err
		}
		a.say("the change of %s is accepted; with the next tick its campaigns go on", c.Name)
		return nil
	})
}
