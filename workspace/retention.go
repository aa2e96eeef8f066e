package workspace

import "github.com/dunlin/dunlin/segments/rule"

// parseRetention reads how long is kept what only looks back:
//
//	retention: {decisions: 24 months}
func (s *Settings) parseRetention(m *Mapping) {
	r := m.Map("retention")
	if r == nil {
		return
	}
	if f := r.Text("decisions", false); f.Set {
		d, err := rule.ParseDuration(f.Value)
		months := int(d.N)
		if d.Unit == rule.Year {
			months *= 12
		}
		switch {
		case err != nil || d.Unit != rule.Month && d.Unit != rule.Year:
			r.Add(f.Fault("write it as in \"24 months\" or \"2 years\"", "decisions cannot be kept for %q", f.Value))
		case months < 1 || months > 120:
			r.Add(f.Fault("write 1 month to 10 years", "decisions cannot be kept for %q", f.Value))
		default:
			s.KeepDecisions = months
		}
	}
	r.Later("history", "events", "membership")
	r.Done()
}
