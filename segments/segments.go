// Package segments knows which customers are in which segment.
//
// A segment is a name and a rule ([rule.Rule]); [Compile] turns the rule into
// SQL over the customers table. A [Ticker] evaluates all segments at one
// instant, in one transaction: it writes who joined and who left, and lets its
// caller act on that before it commits.
//
//   - exact-membership: after a tick at an instant, the members of a segment are
//     exactly the customers for whom the rule is true at that instant, over
//     everything the tick's snapshot saw.
//   - The instant of a tick is never before that of the tick before it.
//   - honest-mirror: customers of an account whose first sync has not finished
//     are in no segment.
//   - A stored rule is its source, in immutable versions; the newest is in force.
package segments

import (
	"time"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// A Segment is a definition: a name and the rule that says who is in it.
type Segment struct {
	Name        string
	Version     int // 0: not stored yet
	Description string
	Rule        *rule.Rule
	Parents     Parents // rules of the segments that Rule names, when it was loaded
	Evaluate    string  // its schedule, as in "every 1 day at 06:00"; empty: with every tick
	Waits       string  // why its campaigns wait; empty when they do not
}

// Parse reads a segment document. The rule is checked against the catalog;
// currency is the workspace's, for bare numbers beside money.
func Parse(d workspace.Document, known Known, currency string) (Segment, workspace.Faults) {
	var faults workspace.Faults
	m := d.Mapping(&faults)
	if m == nil {
		return Segment{}, faults
	}
	s := Segment{Name: d.Name}
	m.Text("kind", true)
	m.Text("name", true)
	s.Description = m.Text("description", false).Value
	if f := m.Text("rule", true); f.Set {
		r, err := rule.New(f.Value, known, currency)
		if err != nil {
			faults = append(faults, f.RuleFaults(err)...)
		}
		s.Rule = r
	}
	if f := m.Text("evaluate", false); f.Set {
		s.Evaluate = f.Value
		if _, err := parseSchedule(f.Value); err != nil {
			m.Add(f.Fault("write every 6 hours, or every 1 day at 06:00; leave it out to evaluate with every tick", "%q is no schedule", f.Value))
		}
	}
	m.Done()
	faults.Sort()
	return s, faults
}

// Env is what a rule's moving bounds need, at one instant.
func Env(s workspace.Settings, now time.Time) rule.Env {
	return rule.Env{Now: now, Zone: s.Zone, Currency: s.Currency}
}
