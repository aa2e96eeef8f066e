package workspace

import (
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
		Contacts: int(b.number("contacts", int64(defaults.Contacts), number, "how many contacts one person gets, as in 3")),
		Within:   b.span("within", defaults.Within),
		Apart:    b.span("apart", defaults.Apart),
	}
	if f := b.Text("contacts", false); f.Set && out.Contacts == 0 {
		b.Add(f.Fault("write \"contact_budget: none\" for no budget, or dunlin stop to send nothing", "a budget of 0 contacts can mean two things"))
	}
	if f := b.Text("within", false); f.Set && out.Within <= 0 {
		b.Add(f.Fault("write the window, as in \"7 days\"", "a window of %q holds nothing", f.Value))
	}
	b.Done()
	return out
}

// span reads an optional span of time in units that are all exact.
func (m *Mapping) span(key string, fallback time.Duration) time.Duration {
	f := m.Text(key, false)
	if !f.Set {
		return fallback
	}
	d, err := rule.ParseDuration(f.Value)
	if err != nil || d.N < 0 || d.Unit == rule.Month || d.Unit == rule.Year {
		m.Add(f.Fault("write it as in \"7 days\" or \"20 hours\"", "%q is not a span of time", f.Value))
		return fallback
	}
	return d.AddTo(time.Unix(0, 0)).Sub(time.Unix(0, 0))
}
