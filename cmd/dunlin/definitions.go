package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

type definitionFiles struct {
	Files []string `short:"f" required:"" help:"Definition files or folders; - is standard input." placeholder:"PATH" sep:"none" name:"file"`
	More  []string `arg:"" optional:"" help:"More of them." name:"path"`
}

type planCmd struct{ definitionFiles }

func (planCmd) Help() string {
	return "Checks everything, and shows what apply would store and who would enter and leave each segment. Stores nothing."
}

// Run plans.
func (c planCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		set, err := c.read(ctx, db.Pool, a.in)
		if err != nil {
			return err
		}
		return set.plan(ctx, a, db.Pool)
	})
}

type applyCmd struct{ definitionFiles }

func (applyCmd) Help() string {
	return "Stores definitions as new versions, all of them or, when anything is wrong, none. It starts nothing: see dunlin campaigns start."
}

// Run stores.
func (c applyCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		set, err := c.read(ctx, db.Pool, a.in)
		if err != nil {
			return err
		}
		changes, err := set.apply(ctx, db.Pool, time.Now())
		if err != nil {
			return err
		}
		return a.showChanges(changes)
	})
}

type exportCmd struct{}

// Run prints every definition in force, as it was written, ready to be applied
// again.
func (exportCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		var sources []string
		source, err := workspace.Source(ctx, db.Pool)
		if err != nil {
			return err
		}
		if source != "" {
			sources = append(sources, source)
		}
		segs, err := segments.List(ctx, db.Pool)
		if err != nil {
			return err
		}
		for _, s := range segs {
			sources = append(sources, segmentYAML(s))
		}
		camps, err := campaigns.List(ctx, db.Pool)
		if err != nil {
			return err
		}
		for _, c := range camps {
			source, err := campaigns.Source(ctx, db.Pool, c.Name)
			if err != nil {
				return err
			}
			sources = append(sources, source)
		}
		for i, s := range sources {
			if i > 0 {
				fmt.Fprintln(a.out, "---")
			}
			fmt.Fprintln(a.out, strings.TrimSpace(s))
		}
		return nil
	})
}

func segmentYAML(s segments.Stored) string {
	var b strings.Builder
	fmt.Fprintf(&b, "kind: segment\nname: %s\n", s.Name)
	if s.Description != "" {
		fmt.Fprintf(&b, "description: %q\n", s.Description)
	}
	b.WriteString("rule: |\n")
	for line := range strings.Lines(strings.TrimSpace(s.Source)) {
		b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

// A definitionSet is a set of definitions that has been checked as a whole.
type definitionSet struct {
	workspace *workspace.Document
	settings  workspace.Settings // those of the set, else those in force
	segments  []segments.Segment
	campaigns []workspace.Document
	parsed    []campaigns.Definition
}

// read reads and checks a set against itself and what is in force.
func (c definitionFiles) read(ctx context.Context, q workspace.Querier, in io.Reader) (definitionSet, error) {
	docs, err := workspace.ReadFiles(append(c.Files, c.More...), in)
	if err != nil {
		var faults workspace.Faults
		if !errors.As(err, &faults) {
			err = &usageError{err}
		}
		return definitionSet{}, err
	}
	return checkDefinitions(ctx, q, docs)
}

func checkDefinitions(ctx context.Context, q workspace.Querier, docs []workspace.Document) (definitionSet, error) {
	settings, err := workspace.Load(ctx, q)
	if err != nil {
		return definitionSet{}, err
	}
	set := definitionSet{settings: settings}
	var faults workspace.Faults
	seen := map[string]workspace.Document{}
	for _, d := range docs {
		key := d.Kind + " " + d.Name
		if d.Kind == "workspace" {
			key = d.Kind
		}
		if first, twice := seen[key]; twice {
			faults = append(faults, workspace.Fault{File: d.File, Line: d.Line, Column: 1, Msg: key + " is defined twice",
				Hint: fmt.Sprintf("the other one is at %s:%d", first.File, first.Line)})
		}
		seen[key] = d
		if d.Kind == "workspace" {
			s, f := workspace.ParseSettings(d)
			faults = append(faults, f...)
			set.workspace, set.settings = &d, s
		}
	}
	known := campaigns.Known{Settings: set.settings}
	stored, err := segments.List(ctx, q)
	if err != nil {
		return definitionSet{}, err
	}
	for _, s := range stored {
		known.Segments = append(known.Segments, s.Name)
	}
	for _, d := range docs {
		if d.Kind == "segment" {
			s, f := segments.Parse(d, set.settings.Currency)
			faults = append(faults, f...)
			set.segments = append(set.segments, s)
			known.Segments = append(known.Segments, d.Name)
		}
	}
	for _, d := range docs {
		if d.Kind == "campaign" {
			x, f := campaigns.Parse(d, known)
			faults = append(faults, f...)
			set.campaigns, set.parsed = append(set.campaigns, d), append(set.parsed, x)
		}
	}
	if len(faults) > 0 {
		faults.Sort()
		return definitionSet{}, faults
	}
	return set, nil
}

// A definitionChange is what apply did with one definition.
type definitionChange struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Change string `json:"change"` // stored or unchanged
}

// apply stores the whole set in one transaction.
func (set definitionSet) apply(ctx context.Context, db interface {
	Begin(context.Context) (pgx.Tx, error)
}, now time.Time) ([]definitionChange, error) {
	var changes []definitionChange
	note := func(kind, name string, stored bool, err error) error {
		change := "unchanged"
		if stored {
			change = "stored"
		}
		changes = append(changes, definitionChange{kind, name, change})
		return err
	}
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if set.workspace != nil {
			stored, err := workspace.Save(ctx, tx, *set.workspace, now)
			if err := note("workspace", set.settings.Name, stored, err); err != nil {
				return err
			}
		}
		for _, s := range set.segments {
			stored, err := segments.Save(ctx, tx, s, now)
			if err := note("segment", s.Name, stored, err); err != nil {
				return err
			}
		}
		for _, d := range set.campaigns {
			stored, err := campaigns.Save(ctx, tx, d, now)
			if err := note("campaign", d.Name, stored, err); err != nil {
				return err
			}
		}
		return nil
	})
	return changes, err
}

func (a *app) showChanges(changes []definitionChange) error {
	return list(a, changes, "KIND NAME CHANGE", func(c definitionChange) []string {
		return []string{c.Kind, c.Name, c.Change}
	})
}

// A plannedSegment is one segment's line of a plan.
type plannedSegment struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Enter  int64    `json:"enter"`
	Leave  int64    `json:"leave"`
	Sample []string `json:"enter_sample"`
	Gone   []string `json:"leave_sample"`
}

// plan shows what apply would store, and what the next tick would then do.
func (set definitionSet) plan(ctx context.Context, a *app, db interface {
	workspace.Querier
	Begin(context.Context) (pgx.Tx, error)
}) error {
	// The changes are what apply says in a transaction that is not committed.
	tx, err := db.Begin(ctx)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	changes, err := set.apply(ctx, tx, time.Now())
	if rerr := tx.Rollback(ctx); err == nil && rerr != nil {
		err = rerr
	}
	if err != nil {
		return err
	}
	if err := a.showChanges(changes); err != nil {
		return err
	}
	env := segments.Env(set.settings, time.Now())
	for _, s := range set.segments {
		c, err := segments.Preview(ctx, db, s, env)
		if err != nil {
			return err
		}
		if a.json {
			if err := a.line(plannedSegment{"segment", s.Name, c.Enter, c.Leave, c.EnterSample, c.LeaveSample}); err != nil {
				return err
			}
			continue
		}
		a.say("segment %s: %s would enter%s, %d would leave%s", s.Name, plural(c.Enter, "customer"), sample(c.EnterSample), c.Leave, sample(c.LeaveSample))
	}
	for _, d := range set.parsed {
		a.say("campaign %s: %s for members of %s; starts only with dunlin campaigns start %s", d.Name, plural(len(d.Steps), "step"), d.Segment, d.Name)
	}
	return nil
}

func sample(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return " (" + strings.Join(ids, ", ") + " …)"
}
