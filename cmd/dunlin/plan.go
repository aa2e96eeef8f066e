package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

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

// A plannedSegment is one segment's line of a plan.
type plannedSegment struct {
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Members   int64    `json:"members"` // before
	Enter     int64    `json:"enter"`
	Leave     int64    `json:"leave"`
	Sample    []string `json:"enter_sample"`
	Gone      []string `json:"leave_sample"`
	Campaigns []string `json:"campaigns"` // started ones: who enters would be enrolled, who leaves would be let go
	Unusual   bool     `json:"unusual"`   // apply wants it accepted
}

// previews compares each segment of the set with its members, were it evaluated
// now (no-surprise-blast).
func (set definitionSet) previews(ctx context.Context, pool *pgxpool.Pool) ([]plannedSegment, error) {
	started, err := campaigns.Following(ctx, pool, set.settings)
	if err != nil {
		return nil, err
	}
	asking := segments.Asking{DB: pool, Env: segments.Env(set.settings, time.Now()), Parents: set.parents}
	var out []plannedSegment
	for _, s := range set.moved() {
		c, err := asking.Preview(ctx, s)
		if err != nil {
			return nil, err
		}
		p := plannedSegment{"segment", s.Name, c.Members, c.Enter, c.Leave, c.EnterSample, c.LeaveSample, orEmpty(started[s.Name]), false}
		p.Unusual = c.Built && (segments.Unusual(set.settings, c.Members, c.Members+c.Enter) || segments.Unusual(set.settings, c.Members, c.Members-c.Leave))
		out = append(out, p)
	}
	return out, nil
}

// moved are the segments that may get other members: those of the set, those
// that name one of them, and all when what rules mean by a day or a bare number
// changes.
func (set definitionSet) moved() []segments.Segment {
	out := slices.Clone(set.segments)
	moves := map[string]bool{}
	for _, s := range out {
		moves[s.Name] = true
	}
	var names func(name string) bool // whether its members follow from one that moves
	names = func(name string) bool {
		return slices.ContainsFunc(set.parents.Names(name), func(p string) bool { return moves[p] || names(p) })
	}
	for _, name := range slices.Sorted(maps.Keys(set.parents)) {
		if r := set.parents[name]; r != nil && !moves[name] && (set.meansOther || names(name)) {
			out = append(out, segments.Segment{Name: name, Rule: r})
		}
	}
	return out
}

// plan shows what apply would store, and what the next ticks would then do.
func (set definitionSet) plan(ctx context.Context, a *app, pool *pgxpool.Pool) error {
	// The changes are what apply says in a transaction that is not committed.
	tx, err := pool.Begin(ctx)
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
	planned, err := set.previews(ctx, pool)
	if err != nil {
		return err
	}
	for _, p := range planned {
		if a.json {
			if err := a.line(p); err != nil {
				return err
			}
			continue
		}
		a.say("%s", p)
	}
	for _, d := range set.parsed {
		a.say("campaign %s: %s for %s; starts only with dunlin campaigns start %s", d.Name, plural(len(d.Steps), "step"), d.Audience(), d.Name)
	}
	return nil
}

// String is the line for people.
func (p plannedSegment) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "segment %s: %s would enter%s, %d would leave%s; %s now", p.Name,
		plural(p.Enter, "customer"), sample(p.Sample), p.Leave, sample(p.Gone), plural(p.Members, "member"))
	if len(p.Campaigns) > 0 && p.Enter+p.Leave > 0 {
		fmt.Fprintf(&b, "\n  who enters is enrolled in %s; who leaves is let go", strings.Join(p.Campaigns, ", "))
	}
	if p.Unusual {
		fmt.Fprintf(&b, "\n  that is an unusual change: apply stores it only with --accept %s", p.Name)
	}
	return b.String()
}

func sample(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return " (" + strings.Join(ids, ", ") + " …)"
}

// accept stops an apply that would move unusually many customers, unless somebody
// has said that this is meant, and returns the segments of which it is.
func (set definitionSet) accept(ctx context.Context, pool *pgxpool.Pool, names []string) (accepted []string, err error) {
	planned, err := set.previews(ctx, pool)
	if err != nil {
		return nil, err
	}
	known := slices.Sorted(maps.Keys(set.parents))
	for _, name := range names {
		if !slices.Contains(known, name) {
			hint := "see dunlin segments list"
			if near := workspace.Nearest(name, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return nil, usagef("--accept: there is no segment %q; %s", name, hint)
		}
	}
	var refused []string
	for _, p := range planned {
		switch {
		case !p.Unusual:
		case slices.Contains(names, p.Name):
			accepted = append(accepted, p.Name)
		default:
			refused = append(refused, p.String())
		}
	}
	if len(refused) > 0 {
		return nil, fmt.Errorf("nothing was stored\n%s", strings.Join(refused, "\n"))
	}
	return accepted, nil
}
