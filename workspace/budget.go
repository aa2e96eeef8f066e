package workspace

import (
	"fmt"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// parseBudget reads contact_budget:
//
//	contact_budget: {contacts: 3, within: 7 days, apart: 20 hours}
//	contact_budget: none
//
// What is left out is as in [Defaults].
func parseBudget(m *Mapping, defaults Budget) Budget {
	if !m.Has("contact_budget") {
		return defaults
	}
	if m.Plain("contact_budget") {
		if f := m.Text("contact_budget", true); f.Value != "none" {
			m.Add(f.Fault("write {contacts: 3, within: 7 days}, or none", "%q is not a contact budget", f.Value))
		}
		return Budget{}
	}
	b := m.Map("contact_budget")
	if b == nil {
		return defaults
	}
	out := Budget{
		Contacts: b.Number("contacts", defaults.Contacts, 0, 1000),
		Within:   b.span("within", defaults.Within),
		Apart:    b.span("apart", defaults.Apart),
	}
	contacts, within := b.Text("contacts", false), b.Text("within", false)
	switch {
	case contacts.Set && out.Contacts == 0:
		b.Add(contacts.Fault("write \"contact_budget: none\" for no budget, or dunlin stop to send nothing", "a budget of 0 contacts can mean two things"))
	case within.Set && out.Within <= 0:
		b.Add(within.Fault("write the window, as in \"7 days\"", "a window of %q holds nothing", within.Value))
	case !out.fits():
		b.Add(m.Key("contact_budget").Fault(
			fmt.Sprintf("write fewer contacts, a longer window, or \"apart: %s\"", hours((out.Within/time.Duration(out.Contacts+1)).Truncate(time.Hour))),
			"%d contacts that are %s apart do not fit into %s", out.Contacts, hours(out.Apart), hours(out.Within)))
	}
	b.Done()
	return out
}

// fits reports whether so many contacts can come so far apart within the window.
// Where they cannot, the budget is smaller than it says.
func (b Budget) fits() bool {
	return b.Apart <= 0 || int64(b.Contacts-1) < int64((b.Within+b.Apart-1)/b.Apart)
}

// hours is a span of time for people, in the largest unit that is exact.
func hours(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}} {
		if n := d / u.length; n > 1 && d%u.length == 0 {
			return fmt.Sprintf("%d %s", n, u.name)
		}
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

// span reads an optional span of time in units that are all exact.
func (m *Mapping) span(key string, fallback time.Duration) time.Duration {
	f := m.Text(key, false)
	if !f.Set {
		return fallback
	}
	d, err := rule.ParseDuration(f.Value)
	if err != nil || d.N < 0 || d.Unit == rule.Month || d.Unit == rule.Year {
		m.add(f.Fault("write it as in \"7 days\" or \"20 hours\"; months and years differ in length", "%q is not a span of time", f.Value))
		return fallback
	}
	return d.AddTo(time.Unix(0, 0)).Sub(time.Unix(0, 0))
}
