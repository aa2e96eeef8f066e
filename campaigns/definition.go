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

// defaultExpires is how long after its time a step is still worth doing.
var defaultExpires = mustDuration("3 days")

func mustDuration(s string) rule.Duration {
	d, err := rule.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
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
	if f := m.Text("segment", true); f.Set {
		d.Segment = f.Value
		if !known.Stored && !slices.Contains(known.Segments, f.Value) {
			hint := "define it in the same files (kind: segment), or see dunlin segments list"
			if near := workspace.Nearest(f.Value, known.Segments); near != "" {
				hint = "did you mean \"" + near + "\"?"
			}
			m.Add(f.Fault(hint, "there is no segment %q", f.Value))
		}
	}
	d.Episode = parseEpisode(m)
	d.EnrollExisting = m.Choice("existing", true, "enroll", "ignore").Value == "enroll"
	d.NeverExit = m.Choice("exit", false, "when member leaves", "never").Value == "never"
	d.Anchor = parseAnchor(m)
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
	m.Later("goal", "goal_within", "priority", "holdout", "data_no_older_than", "on_unknown", "catch_up", "reenter_after", "variants", "trigger", "languages")
	m.Done()
	faults.Sort()
	return d, faults
}

var everyDays = regexp.MustCompile(`^every ([1-9][0-9]{0,3}) days?$`)

func parseEpisode(m *workspace.Mapping) Episode {
	f := m.Text("episode", true)
	if !f.Set {
		return Episode{}
	}
	switch x := everyDays.FindStringSubmatch(f.Value); {
	case f.Value == "entry", f.Value == "card":
		return Episode{Kind: EpisodeKind(f.Value)}
	case x != nil:
		n, _ := strconv.Atoi(x[1])
		return Episode{Kind: EpisodeEvery, Every: n}
	case f.Value == "invoice", f.Value == "subscription":
		m.Add(f.Fault("use entry, card or every N days", "episode %q is not supported yet", f.Value))
	default:
		m.Add(f.Fault("use entry, card or every N days", "%q is not an episode", f.Value))
	}
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

func parseStep(m *workspace.Mapping, known Known) Step {
	s := Step{Name: m.Text("name", true).Value, Expires: defaultExpires}
	s.At = duration(m, "at", true)
	if f := m.Text("if", false); f.Set {
		r, err := rule.New(f.Value, known.catalog(), known.Settings.Currency)
		if err != nil {
			for _, x := range f.RuleFaults(err) {
				m.Add(x)
			}
		}
		s.If = r
	}
	if f := m.Text("expires", false); f.Set {
		s.Expires = duration(m, "expires", true)
		if d, err := rule.ParseDuration(f.Value); err == nil && d.N <= 0 {
			m.Add(f.Fault("write how long after its time it is still of use, as in \"3 days\"", "a step that expires after %q never happens", f.Value))
		}
	}
	actions := 0
	for _, key := range []string{"message", "task", "tag"} {
		if m.Has(key) {
			actions++
		}
	}
	if x := m.Map("message"); x != nil {
		s.Action = Message
		if ch := x.Choice("channel", true, "inapp", "email"); ch.Value == "email" {
			x.Add(ch.Fault("use inapp", "channel \"email\" is not supported yet"))
		}
		s.Sender = x.Sender("from")
		if s.Sender == 0 && known.Settings.Sender == 0 && !known.Stored {
			x.Add(x.Here().Fault("add \"from: admin:ID\" here, or \"intercom: {sender: admin:ID}\" to the workspace", "the message has no sender"))
		}
		s.Body = template(x, "body", true)
		x.Later("traceable", "subject", "template", "languages")
		x.Done()
	}
	if x := m.Map("task"); x != nil {
		s.Action = Task
		s.Title = template(x, "title", false)
		s.Body = template(x, "body", false)
		if s.Due = duration(x, "due", true); s.Due.N < 0 {
			x.Add(x.Text("due", true).Fault("", "a task cannot be due before it is opened"))
		}
		if f := x.Text("team", true); f.Set {
			s.Team = f.Value
			if _, ok := known.Settings.Teams[f.Value]; !ok && !known.Stored {
				x.Add(f.Fault("add it to \"teams:\" of the workspace", "there is no team %q", f.Value))
			}
		}
		x.Done()
	}
	if f := m.Text("tag", false); f.Set {
		s.Action, s.Tag = Tag, strings.TrimSpace(f.Value)
		if s.Tag == "" {
			m.Add(f.Fault("", "the tag is empty"))
		}
	}
	m.Later("untag", "event", "note", "attributes", "webhook", "contact", "variants")
	m.Done()
	if actions != 1 && s.Name != "" {
		m.Add(m.Here().Fault("give it one of message, task, tag", "step %q does %d things; a step does one", s.Name, actions))
	}
	return s
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

func template(m *workspace.Mapping, key string, html bool) *Template {
	f := m.Text(key, true)
	if !f.Set {
		return nil
	}
	t, err := NewTemplate(f.Value, html)
	if err != nil {
		m.Add(f.Fault(err.Hint, "%s", err.Msg))
	}
	return t
}
