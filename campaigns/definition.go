package campaigns

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// Known is what a definition may refer to.
type Known struct {
	Segments []string
	Plans    []string // at Stripe; nil: any
	Settings workspace.Settings
	Stored   bool // it was checked when it was stored; what it refers to is not checked again
}

// catalog is what rules may name: any segment in what was checked when it was
// stored.
func (k Known) catalog() rule.Catalog {
	if k.Stored {
		return segments.Known{}
	}
	return segments.Known{Names: append([]string{}, k.Segments...), Plans: k.Plans}
}

// Parse reads a campaign document and checks all that can be checked without a
// customer: names, rules, templates, teams, offsets.
func Parse(doc workspace.Document, known Known) (Definition, workspace.Faults) {
	var faults workspace.Faults
	d := Definition{Name: doc.Name}
	m := doc.Mapping(&faults)
	if m == nil {
		return d, faults
	}
	m.Text("kind", true)
	m.Text("name", true)
	d.Trigger = parseTrigger(m)
	d.Segment = parseSegment(m, known, d.Trigger == "")
	d.Episode = parseEpisode(m, d.Trigger)
	d.EnrollExisting = m.Choice("existing", d.Trigger == "", "ignore", "enroll").Value == "enroll"
	if d.Trigger != "" && d.EnrollExisting {
		m.Add(m.Text("existing", true).Fault("take it out", "what happened before the campaign starts enrolls nobody"))
	}
	d.NeverExit = m.Choice("exit", false, "when member leaves", "never").Value == "never"
	d.Anchor = parseAnchor(m)
	d.parseGoal(m, known)
	d.parseManners(m)
	for _, s := range m.Maps("steps") {
		step := parseStep(s, known)
		if _, twice := d.Step(step.Name); twice && step.Name != "" {
			m.Add(s.Here().Fault("step names are identities; give this one its own", "there are two steps named %q", step.Name))
		}
		d.Steps = append(d.Steps, step)
	}
	if len(d.Steps) == 0 && len(faults) == 0 {
		m.Add(m.Here().Fault("add a list \"steps:\" with at least one entry", "the campaign has no steps"))
	}
	m.Done()
	faults.Sort()
	return d, faults
}

func parseTrigger(m *workspace.Mapping) string {
	f := m.Text("trigger", false)
	if !f.Set {
		return ""
	}
	kinds := customers.EventKinds()
	if !slices.Contains(kinds, f.Value) {
		hint := "events: " + strings.Join(kinds, ", ")
		if near := workspace.Nearest(f.Value, kinds); near != "" {
			hint = "did you mean \"" + near + "\"?"
		}
		m.Add(f.Fault(hint, "there is no event %q", f.Value))
	}
	return f.Value
}

func parseSegment(m *workspace.Mapping, known Known, required bool) string {
	f := m.Text("segment", required)
	if !f.Set {
		return ""
	}
	if !known.Stored && !slices.Contains(known.Segments, f.Value) {
		hint := "define it in the same files (kind: segment), or see dunlin segments list"
		if near := workspace.Nearest(f.Value, known.Segments); near != "" {
			hint = "did you mean \"" + near + "\"?"
		}
		m.Add(f.Fault(hint, "there is no segment %q", f.Value))
	}
	return f.Value
}

var everyDays = regexp.MustCompile(`^every ([1-9][0-9]{0,3}) days?$`)

func parseEpisode(m *workspace.Mapping, trigger string) Episode {
	f := m.Text("episode", trigger == "")
	switch x := everyDays.FindStringSubmatch(f.Value); {
	case trigger != "" && f.Set:
		m.Add(f.Fault("take it out", "with a trigger each event is an episode of its own"))
		return Episode{}
	case trigger != "":
		return Episode{Kind: EpisodeEvent}
	case !f.Set:
		return Episode{}
	case slices.Contains([]EpisodeKind{EpisodeEntry, EpisodeCard, EpisodeInvoice, EpisodeSubscription}, EpisodeKind(f.Value)):
		return Episode{Kind: EpisodeKind(f.Value)}
	case x != nil:
		n, _ := strconv.Atoi(x[1])
		return Episode{Kind: EpisodeEvery, Every: n}
	}
	m.Add(f.Fault("use entry, card, invoice, subscription or every N days", "%q is not an episode", f.Value))
	return Episode{}
}

// parseAnchor reads the attribute that offsets count from: a date or an instant.
func parseAnchor(m *workspace.Mapping) string {
	f := m.Text("anchor", false)
	if !f.Set {
		return ""
	}
	a, ok := customers.Attributes.Attribute(f.Value)
	switch {
	case !ok:
		var times []string
		for _, a := range customers.Attributes.Attributes() {
			if a.Type == rule.DateType || a.Type == rule.InstantType {
				times = append(times, a.Name)
			}
		}
		hint := "dates and instants: " + strings.Join(times, ", ")
		if near := workspace.Nearest(f.Value, times); near != "" {
			hint = "did you mean \"" + near + "\"?"
		}
		m.Add(f.Fault(hint, "unknown attribute %q", f.Value))
	case a.Type != rule.DateType && a.Type != rule.InstantType:
		m.Add(f.Fault("", "%s is neither a date nor an instant, so no step can count from it", a.Name))
	}
	return a.Name
}

// parseGoal reads what counts as success, and for how long.
func (d *Definition) parseGoal(m *workspace.Mapping, known Known) {
	if f := m.Text("goal", false); f.Set {
		d.Goal = parseRule(m, f, known)
	}
	d.GoalWithin = 45 * 24 * time.Hour
	if f := m.Text("goal_within", false); f.Set {
		if !m.Has("goal") {
			m.Add(f.Fault("add a goal, or take it out", "there is no goal to reach within %s", f.Value))
		}
		if d.GoalWithin = length(duration(m, "goal_within", true)); d.GoalWithin <= 0 {
			m.Add(f.Fault("write it as in \"45 days\"", "a goal cannot be reached within %q", f.Value))
		}
	}
}

// parseManners reads how the campaign behaves beside others, and when data or
// answers are missing.
func (d *Definition) parseManners(m *workspace.Mapping) {
	d.Priority = m.Number("priority", 50, 0, 100)
	d.Holdout = m.Percent("holdout", 0, 90)
	d.NoOlderThan = 15 * time.Minute
	if m.Has("data_no_older_than") {
		d.NoOlderThan = length(duration(m, "data_no_older_than", true))
		if f := m.Text("data_no_older_than", true); f.Set && d.NoOlderThan < 5*time.Minute {
			m.Add(f.Fault("write at least \"5 minutes\"", "Stripe is asked for what was missed every five minutes, so data is often older than %q", f.Value))
		}
	}
	d.Resend = m.Choice("on_unknown", false, "ask", "resend").Value == "resend"
	d.CatchUp = CatchUp(m.Choice("catch_up", false, string(CatchUpLatest), string(CatchUpAll), string(CatchUpNone)).Value)
	d.ReenterAfter = ReenterAfter
	if f := m.Text("reenter_after", false); f.Set {
		d.ReenterAfter = length(duration(m, "reenter_after", true))
		switch {
		case d.Episode.Kind != EpisodeEntry && d.Episode.Kind != "":
			m.Add(f.Fault("take it out", "reenter_after belongs to episode: entry"))
		case d.ReenterAfter < 0:
			m.Add(f.Fault("write it as in \"7 days\"", "nobody can come back %q after", f.Value))
		}
	}
}

func parseRule(m *workspace.Mapping, f workspace.Field, known Known) *rule.Rule {
	r, err := rule.New(f.Value, known.catalog(), known.Settings.Currency)
	if err != nil {
		for _, x := range f.RuleFaults(err) {
			m.Add(x)
		}
	}
	return r
}

func duration(m *workspace.Mapping, key string, required bool) rule.Duration {
	f := m.Text(key, required)
	if !f.Set {
		return rule.Duration{}
	}
	d, err := rule.ParseDuration(f.Value)
	switch {
	case err != nil:
		m.Add(f.Fault("write it as in \"3 days\" or \"-21 days\"", "%q is not a duration", f.Value))
	case d.Unit == rule.Month || d.Unit == rule.Year:
		m.Add(f.Fault("write it in days or weeks", "months and years differ in length, so a step cannot be %q away", f.Value))
	}
	return d
}

// length is a step's duration as a span of time: its units are all exact.
func length(d rule.Duration) time.Duration {
	return d.AddTo(time.Unix(0, 0)).Sub(time.Unix(0, 0))
}
