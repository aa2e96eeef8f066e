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
	triggered := m.Has("trigger")
	if triggered {
		d.Trigger = parseTrigger(m, known)
	}
	d.Segment = parseSegment(m, known, !triggered)
	d.Episode = parseEpisode(m, triggered)
	d.parseBounds(m, triggered)
	d.Anchor = parseAnchor(m, triggered)
	d.parseGoal(m, known)
	d.parseManners(m)
	d.parseSteps(m, known)
	if len(d.Steps) == 0 && (len(faults) == 0 || !m.Has("steps")) {
		m.Add(m.Here().Fault("add a list \"steps:\" with at least one entry", "the campaign has no steps"))
	}
	m.Elsewhere("it belongs to a step: put it below \"steps:\"", "at", "if", "expires", "message", "task", "tag", "untag", "event", "note", "attributes", "webhook", "contact")
	m.Elsewhere("it belongs to the workspace (kind: workspace)", "contact_budget", "quiet_hours", "unknown_zone", "opt_out", "test_contacts", "zone", "currency", "teams")
	m.Elsewhere("a rule makes a segment (kind: segment); the campaign names it, as in \"segment: vip\"", "rule")
	m.Done()
	faults.Sort()
	return d, faults
}

// Audience says for people whom a campaign enrolls.
func (d *Definition) Audience() string {
	who := "members of " + d.Segment
	switch {
	case d.Trigger == "":
		return who
	case d.Segment == "":
		who = "every customer"
	}
	return who + " at each " + d.Trigger
}

func parseTrigger(m *workspace.Mapping, known Known) string {
	f := m.Text("trigger", true)
	if kinds := customers.EventKinds(); f.Set && !known.Stored && !slices.Contains(kinds, f.Value) {
		hint := "events: " + strings.Join(kinds, ", ")
		if near := nearEvent(f.Value, kinds); near != "" {
			hint = "did you mean \"" + near + "\"?"
		}
		m.Add(f.Fault(hint, "there is no event %q", f.Value))
	}
	return f.Value
}

var (
	letters  = regexp.MustCompile(`[a-z]+`)
	sameWord = map[string]string{"payment": "charge", "succeeded": "charged", "canceled": "deleted", "cancelled": "deleted", "refund": "refunded"}
)

// nearEvent is the event somebody means who writes it the way Stripe does, as in
// customer.subscription.deleted, or with a slip of the fingers.
func nearEvent(name string, kinds []string) string {
	var written []string
	for _, w := range letters.FindAllString(strings.ToLower(name), -1) {
		written = append(written, w, sameWord[w])
	}
	best := ""
	for _, kind := range kinds {
		missing := slices.ContainsFunc(strings.Split(kind, "_"), func(w string) bool { return !slices.Contains(written, w) })
		if !missing && len(kind) > len(best) {
			best = kind
		}
	}
	if best != "" {
		return best
	}
	return workspace.Nearest(name, kinds)
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

func parseEpisode(m *workspace.Mapping, triggered bool) Episode {
	f := m.Text("episode", !triggered)
	switch x := everyDays.FindStringSubmatch(f.Value); {
	case triggered && f.Set:
		m.Add(f.Fault("take it out", "with a trigger each event is an episode of its own"))
		fallthrough
	case triggered:
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

// parseBounds reads whom the campaign takes at its start, and when it lets go.
func (d *Definition) parseBounds(m *workspace.Mapping, triggered bool) {
	existing := m.Choice("existing", !triggered, "ignore", "enroll")
	d.EnrollExisting = existing.Value == "enroll"
	if triggered && existing.Set {
		m.Add(existing.Fault("take it out", "with a trigger only what happens from the start on enrolls"))
	}
	exit := m.Choice("exit", false, "when member leaves", "never")
	d.NeverExit = exit.Value == "never"
	if triggered && exit.Set && !m.Has("segment") {
		m.Add(exit.Fault("take it out, or add a segment", "there is no segment to leave"))
	}
}

// parseAnchor reads the attribute that offsets count from: a date or an instant.
func parseAnchor(m *workspace.Mapping, triggered bool) string {
	f := m.Text("anchor", false)
	if !f.Set {
		return ""
	}
	if triggered {
		m.Add(f.Fault("take it out", "with a trigger steps count from the event"))
		return ""
	}
	var times []string
	for _, a := range customers.Attributes.Attributes() {
		if a.Type == rule.DateType || a.Type == rule.InstantType {
			times = append(times, a.Name)
		}
	}
	hint := "dates and instants: " + strings.Join(times, ", ")
	a, ok := customers.Attributes.Attribute(f.Value)
	switch {
	case !ok:
		if near := workspace.Nearest(f.Value, times); near != "" {
			hint = "did you mean \"" + near + "\"?"
		}
		m.Add(f.Fault(hint, "unknown attribute %q", f.Value))
	case a.Type != rule.DateType && a.Type != rule.InstantType:
		m.Add(f.Fault(hint, "%s is neither a date nor an instant, so no step can count from it", a.Name))
	}
	return a.Name
}

// parseGoal reads what counts as success, and for how long.
func (d *Definition) parseGoal(m *workspace.Mapping, known Known) {
	if f := m.Text("goal", false); f.Set {
		d.Goal = parseRule(m, f, known)
	}
	d.GoalWithin = 45 * 24 * time.Hour
	f, within, ok := span(m, "goal_within")
	switch {
	case !f.Set:
	case !m.Has("goal"):
		m.Add(f.Fault("add a goal, or take it out", "there is no goal to reach within %s", f.Value))
	case ok && within <= 0:
		m.Add(f.Fault("write it as in \"45 days\"", "a goal cannot be reached within %q", f.Value))
	case ok:
		d.GoalWithin = within
	}
}

// leastAge is how often Stripe is asked for what its webhooks did not bring: data
// is often that old though nothing is wrong.
const leastAge = 5 * time.Minute

// parseManners reads how the campaign behaves beside others, and when data or
// answers are missing.
func (d *Definition) parseManners(m *workspace.Mapping) {
	d.Priority = m.Number("priority", 50, 0, 100)
	d.Holdout = m.Percent("holdout", 0, 90)
	d.NoOlderThan = 15 * time.Minute
	if f, age, ok := span(m, "data_no_older_than"); ok {
		d.NoOlderThan = age
		if age < leastAge {
			m.Add(f.Fault("write at least \"5 minutes\"", "Stripe is asked for what was missed every five minutes, so data is often older than %q", f.Value))
		}
	}
	d.Resend = m.Choice("on_unknown", false, "ask", "resend").Value == "resend"
	d.CatchUp = CatchUp(m.Choice("catch_up", false, string(CatchUpLatest), string(CatchUpAll), string(CatchUpNone)).Value)
	d.ReenterAfter = ReenterAfter
	f, pause, ok := span(m, "reenter_after")
	switch {
	case !f.Set:
	case d.Episode.Kind != EpisodeEntry && d.Episode.Kind != "":
		m.Add(f.Fault("take it out, or write episode: entry", "reenter_after says when a member who left may come back, which only episode: entry asks"))
	case ok && pause < 0:
		m.Add(f.Fault("write it as in \"7 days\"", "nobody can come back %q after", f.Value))
	case ok:
		d.ReenterAfter = pause
	}
}

func (d *Definition) parseSteps(m *workspace.Mapping, known Known) {
	for _, s := range m.Maps("steps") {
		step := parseStep(s, known)
		if step.At.N < 0 && !m.Has("anchor") && !known.Stored {
			s.Add(s.Text("at", true).Fault("take out the minus, or add an anchor to count from, as in \"anchor: card_expires_at\"", "without an anchor steps count from the enrollment, and nothing happens before it"))
		}
		if _, twice := d.Step(step.Name); twice && step.Name != "" {
			m.Add(s.Here().Fault("step names are identities; give this one its own", "there are two steps named %q", step.Name))
		}
		d.Steps = append(d.Steps, step)
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

// dashes are what word processors make of a minus.
var dashes = strings.NewReplacer("–", "-", "—", "-", "−", "-")

// duration reads a length of time; ok is false when it is not there or wrong.
func duration(m *workspace.Mapping, key string, required bool) (f workspace.Field, d rule.Duration, ok bool) {
	f = m.Text(key, required)
	if !f.Set {
		return f, d, false
	}
	d, err := rule.ParseDuration(f.Value)
	switch {
	case err != nil:
		hint := "write it as in \"3 days\" or \"6 hours\""
		plain := dashes.Replace(f.Value)
		_, notNumber := strconv.Atoi(f.Value)
		switch _, other := rule.ParseDuration(plain); {
		case notNumber == nil:
			hint = "add the unit, as in \"" + f.Value + " days\""
		case other == nil:
			hint = "did you mean \"" + plain + "\"? This is a dash, and no minus"
		case key == "at":
			hint += ", or \"-21 days\" for before the anchor"
		}
		m.Add(f.Fault(hint, "%q is not a duration", f.Value))
	case d.Unit == rule.Month || d.Unit == rule.Year:
		m.Add(f.Fault("write it in days or weeks", "months and years differ in length, so %q is no exact time", f.Value))
	default:
		return f, d, true
	}
	return f, rule.Duration{}, false
}

// span reads an optional length of time.
func span(m *workspace.Mapping, key string) (workspace.Field, time.Duration, bool) {
	f, d, ok := duration(m, key, false)
	return f, length(d), ok
}

// length is a duration as a span of time: its units are all exact.
func length(d rule.Duration) time.Duration {
	return d.AddTo(time.Unix(0, 0)).Sub(time.Unix(0, 0))
}
