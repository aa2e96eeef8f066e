package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

type definitionFiles struct {
	Files []string `short:"f" required:"" help:"Definition files or folders; - is standard input." placeholder:"PATH" sep:"none" name:"file"`
	More  []string `arg:"" optional:"" help:"More of them." name:"path"`
}

type applyCmd struct {
	definitionFiles
	Accept []string `help:"Store this segment's change although it is unusually large; may be given several times." placeholder:"SEGMENT"`
	Yes    bool     `short:"y" help:"Store it, though more real contacts are reached by that."`
}

func (applyCmd) Help() string {
	return "Stores definitions as new versions, all of them or, when anything is wrong, none. It starts nothing: see dunlin campaigns start. Where a change makes a campaign that runs enroll more customers, or ends that only test contacts receive, and contacts are real, it tells for whom, and stores with --yes."
}

// Run stores.
func (c applyCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		set, err := c.read(ctx, db.Pool, a.in)
		if err != nil {
			return err
		}
		p, err := set.plan(ctx, db.Pool)
		if err != nil {
			return err
		}
		if set.accepted, err = set.accept(p.segments, c.Accept); err != nil {
			return err
		}
		if !c.Yes && p.reaches() && a.env.reachesPeople() {
			if err := a.showMoves(p); err != nil {
				return err
			}
			return usagef("this would reach real contacts, so nothing was stored; if it is what you want, the same with --yes")
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
	if s.Evaluate != "" {
		fmt.Fprintf(&b, "evaluate: %s\n", s.Evaluate)
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
	parents   segments.Parents // the rules of the set, else those in force
	plans     []string         // at Stripe

	accepted   []string // segments whose unusual change is meant
	meansOther bool     // the set changes the zone or the currency
	released   bool     // the set ends that only test contacts receive
	campaigns  []workspace.Document
	parsed     []campaigns.Definition
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
			set.released = len(settings.TestContacts) > 0 && len(s.TestContacts) == 0
			set.meansOther = s.Zone.String() != settings.Zone.String() || s.Currency != settings.Currency
		}
	}
	more, err := set.readSegments(ctx, q, docs)
	if err != nil {
		return definitionSet{}, err
	}
	faults = append(faults, more...)
	known := campaigns.Known{Settings: set.settings, Segments: slices.Sorted(maps.Keys(set.parents)), Plans: set.plans}
	for _, d := range docs {
		if d.Kind == "campaign" {
			x, f := campaigns.Parse(d, known)
			faults = append(faults, f...)
			set.campaigns, set.parsed = append(set.campaigns, d), append(set.parsed, x)
		}
	}
	if len(faults) == 0 {
		if faults, err = set.stranded(ctx, q); err != nil {
			return definitionSet{}, err
		}
		faults = append(faults, set.uncompilable(docs)...)
	}
	if len(faults) > 0 {
		faults.Sort()
		return definitionSet{}, faults
	}
	return set, nil
}

// uncompilable finds the rules that check and are too much all the same, such as
// those that come to name hundreds of segments, or that the zone makes impossible.
func (set definitionSet) uncompilable(docs []workspace.Document) (faults workspace.Faults) {
	env := segments.Env(set.settings, time.Now())
	at := map[string]workspace.Document{}
	for _, d := range docs {
		at[d.Kind+" "+d.Name] = d
	}
	for _, s := range set.segments {
		if err := compile(s.Rule, env, set.parents); err != nil {
			d := at["segment "+s.Name]
			faults = append(faults, workspace.Fault{File: d.File, Line: d.Line, Column: 1, Msg: "segment " + s.Name + ": " + err.Error()})
		}
	}
	for _, c := range set.parsed {
		d := at["campaign "+c.Name]
		for _, err := range compileRules(c, env, set.parents) {
			faults = append(faults, workspace.Fault{File: d.File, Line: d.Line, Column: 1, Msg: "campaign " + c.Name + ": " + err.Error()})
		}
	}
	return faults
}

// stranded finds what is stored, and stays as it is, that could not be evaluated
// any more with the settings of the set.
func (set definitionSet) stranded(ctx context.Context, q workspace.Querier) (faults workspace.Faults, err error) {
	if set.workspace == nil || !set.meansOther {
		return nil, nil
	}
	env := segments.Env(set.settings, time.Now())
	note := func(what string, err error) {
		faults = append(faults, workspace.Fault{File: set.workspace.File, Line: set.workspace.Line, Column: 1, Msg: what + ", which is stored: " + err.Error(),
			Hint: "or apply it with another rule in the same set"})
	}
	for _, name := range slices.Sorted(maps.Keys(set.parents)) {
		again := slices.ContainsFunc(set.segments, func(s segments.Segment) bool { return s.Name == name })
		if err := compile(set.parents[name], env, nil); err != nil && !again {
			note("segment "+name, err)
		}
	}
	list, err := campaigns.InForce(ctx, q, set.settings)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if slices.ContainsFunc(set.parsed, func(d campaigns.Definition) bool { return d.Name == c.Name }) {
			continue
		}
		for _, err := range compileRules(c, env, nil) {
			note("campaign "+c.Name, err)
		}
	}
	return faults, nil
}

// compileRules says what is wrong with the rules of a campaign.
func compileRules(c campaigns.Definition, env rule.Env, parents segments.Parents) (errs []error) {
	for _, step := range c.Steps {
		if err := compile(step.If, env, parents); err != nil {
			errs = append(errs, fmt.Errorf("if of step %s: %w", step.Name, err))
		}
	}
	if err := compile(c.Goal, env, parents); err != nil {
		errs = append(errs, fmt.Errorf("goal: %w", err))
	}
	return errs
}

// compile fails when a rule, if there is one, cannot be evaluated. Without parents
// those of the segments that it names are not looked at.
func compile(r *rule.Rule, env rule.Env, parents segments.Parents) error {
	if r == nil || parents != nil && parents.Missing(r) != "" {
		return nil // which is the fault of the other segment, and may be mended first
	}
	_, err := segments.Compile(r, env, parents)
	return err
}

// readSegments checks the segments of a set with the names of all there will be,
// and refuses rules that come back to themselves.
func (set *definitionSet) readSegments(ctx context.Context, q workspace.Querier, docs []workspace.Document) (workspace.Faults, error) {
	known, parents, err := segments.LoadKnown(ctx, q, set.settings.Currency)
	if err != nil {
		return nil, err
	}
	set.parents, set.plans = parents, known.Plans
	for _, d := range docs {
		if d.Kind == "segment" {
			known.Names = append(known.Names, d.Name)
		}
	}
	var faults workspace.Faults
	for _, d := range docs {
		if d.Kind != "segment" {
			continue
		}
		s, f := segments.Parse(d, known, set.settings.Currency)
		faults = append(faults, f...)
		set.segments = append(set.segments, s)
		parents[s.Name] = s.Rule
	}
	for _, d := range docs {
		if d.Kind != "segment" {
			continue
		}
		if way := segments.Cycle(d.Name, parents.Names); way != "" {
			faults = append(faults, workspace.Fault{File: d.File, Line: d.Line, Column: 1,
				Msg: "the rule of segment " + d.Name + " comes back to itself: " + way, Hint: "take one in segment out of it"})
		}
	}
	return faults, nil
}

// A definitionChange is what apply did with one definition.
type definitionChange struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Change string `json:"change"` // stored or unchanged

	edit campaigns.Edit // of a campaign
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
		changes = append(changes, definitionChange{Kind: kind, Name: name, Change: change})
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
			edit, err := campaigns.Save(ctx, tx, d, now)
			if err := note("campaign", d.Name, edit.Stored, err); err != nil {
				return err
			}
			changes[len(changes)-1].edit = edit
		}
		for _, name := range set.accepted {
			if err := segments.Expect(ctx, tx, name, now); err != nil {
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
