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
		p, err := set.plan(ctx, db.Pool)
		if err != nil {
			return err
		}
		if err := a.showChanges(p.changes); err != nil {
			return err
		}
		return a.showMoves(p)
	})
}

// A plan is what apply would do, and what the next ticks would do then.
type plan struct {
	changes   []definitionChange
	workspace *plannedWorkspace // nil: it changes nothing for anybody
	segments  []plannedSegment
	campaigns []plannedCampaign
}

// plan applies the set in a transaction that is not committed.
func (set definitionSet) plan(ctx context.Context, pool *pgxpool.Pool) (out plan, err error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return plan{}, fmt.Errorf("plan: %w", err)
	}
	out.changes, err = set.apply(ctx, tx, time.Now())
	if rerr := tx.Rollback(ctx); err == nil && rerr != nil {
		err = rerr
	}
	if err != nil {
		return plan{}, err
	}
	stored, err := set.otherRules(ctx, pool)
	if err != nil {
		return plan{}, err
	}
	for _, c := range out.changes {
		if c.Kind == "campaign" {
			i := slices.IndexFunc(set.parsed, func(d campaigns.Definition) bool { return d.Name == c.Name })
			out.campaigns = append(out.campaigns, plannedCampaign{
				Kind: c.Kind, Name: c.Name, State: c.edit.State, Rescoped: c.edit.Rescoped,
				Enroll: c.edit.Enrolled, PassOver: c.edit.Passed, definition: set.parsed[i],
			})
		}
	}
	if set.released {
		w := plannedWorkspace{Kind: "workspace", Name: set.settings.Name}
		if w.Planned, err = campaigns.CountPlanned(ctx, pool); err != nil {
			return plan{}, err
		}
		out.workspace = &w
	}
	out.segments, err = set.previews(ctx, pool)
	for i := range out.segments {
		s := &out.segments[i]
		s.changed = stored[s.Name] || set.meansOther || set.names(s.Name, stored)
	}
	return out, err
}

// otherRules are the segments of the set that would be evaluated otherwise than those
// in force.
func (set definitionSet) otherRules(ctx context.Context, pool *pgxpool.Pool) (map[string]bool, error) {
	inForce, err := segments.List(ctx, pool)
	if err != nil {
		return nil, err
	}
	other := map[string]bool{}
	for _, s := range set.segments {
		other[s.Name] = !slices.ContainsFunc(inForce, func(old segments.Stored) bool {
			return old.Name == s.Name && strings.TrimSpace(old.Source) == strings.TrimSpace(s.Rule.Source()) && old.Evaluate == s.Evaluate
		})
	}
	return other, nil
}

// reaches reports whether anybody hears something because of the change itself:
// campaigns that have been started enroll more customers, or steps are not
// only test contacts' any more (no-surprise-blast).
func (p plan) reaches() bool {
	return p.workspace != nil && p.workspace.Planned > 0 ||
		slices.ContainsFunc(p.segments, plannedSegment.enrolls) || slices.ContainsFunc(p.campaigns, plannedCampaign.enrolls)
}

// A plannedWorkspace is the workspace's line of a plan.
type plannedWorkspace struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Planned int64  `json:"planned"` // steps, which test_contacts do not keep from anybody any more
}

// String is the line for people.
func (p plannedWorkspace) String() string {
	return fmt.Sprintf("workspace %s: %s planned, and not only for test contacts any more", p.Name, plural(p.Planned, "step"))
}

// A plannedCampaign is one campaign's line of a plan.
type plannedCampaign struct {
	Kind     string          `json:"kind"`
	Name     string          `json:"name"`
	State    campaigns.State `json:"state"`
	Rescoped bool            `json:"rescoped"`  // it has been started, and would enroll others than before
	Enroll   int64           `json:"enroll"`    // of them, at once
	PassOver int64           `json:"pass_over"` // of them

	definition campaigns.Definition
}

func (p plannedCampaign) enrolls() bool { return p.Enroll > 0 }

// String is the line for people.
func (p plannedCampaign) String() string {
	line := fmt.Sprintf("campaign %s: %s for %s", p.Name, plural(len(p.definition.Steps), "step"), p.definition.Audience())
	switch {
	case p.State == campaigns.Draft:
		return line + "; starts only with dunlin campaigns start " + p.Name
	case !p.Rescoped:
		return fmt.Sprintf("%s; it is %s: who is enrolled stays on the version they began with", line, p.State)
	case p.definition.Trigger != "":
		line += fmt.Sprintf("; it is %s, and would enroll by what happens from now on", p.State)
	default:
		line += fmt.Sprintf("; it is %s, and would enroll %d of them at once", p.State, p.Enroll)
		if p.PassOver > 0 {
			line += fmt.Sprintf(", and pass over %d", p.PassOver)
		}
	}
	return line + "\n  because its segment, episode or trigger changes; nobody is enrolled twice in the same episode"
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

	changed bool // by the set; else its members have changed by themselves since the last tick
}

func (p plannedSegment) enrolls() bool { return p.changed && p.Enter > 0 && len(p.Campaigns) > 0 }

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
		p := plannedSegment{"segment", s.Name, c.Members, c.Enter, c.Leave, c.EnterSample, c.LeaveSample, orEmpty(started[s.Name]), false, false}
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
	for _, name := range slices.Sorted(maps.Keys(set.parents)) {
		if r := set.parents[name]; r != nil && !moves[name] && (set.meansOther || set.names(name, moves)) {
			out = append(out, segments.Segment{Name: name, Rule: r})
		}
	}
	return out
}

// showMoves shows whom the segments and campaigns of a plan would move.
func (a *app) showMoves(p plan) error {
	var lines []fmt.Stringer
	if p.workspace != nil {
		lines = append(lines, p.workspace)
	}
	for _, s := range p.segments {
		lines = append(lines, s)
	}
	for _, c := range p.campaigns {
		lines = append(lines, c)
	}
	for _, line := range lines {
		if !a.json {
			a.say("%s", line)
			continue
		}
		if err := a.line(line); err != nil {
			return err
		}
	}
	return nil
}

// names reports whether the members of a segment follow from one of some.
func (set definitionSet) names(segment string, some map[string]bool) bool {
	return slices.ContainsFunc(set.parents.Names(segment), func(p string) bool { return some[p] || set.names(p, some) })
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
func (set definitionSet) accept(planned []plannedSegment, names []string) (accepted []string, err error) {
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
