package workspace

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Rota is how a team works: who of it gets tasks, how many in a day, and when
// the team is there.
type Rota struct {
	Owners   []int64        // Intercom admins; empty: tasks stay with the team, and nobody is named
	Cap      int            // tasks that one owner is given in a working day; 0: any number
	From, To int            // working hours, in minutes since local midnight; From is before To
	Weekdays [7]bool        // by time.Weekday: those on which the team works; at least one
	Zone     *time.Location // of hours and days
}

// Rota is how a team works. A team that says nothing, or is not known any more,
// works on weekdays from nine to five in the workspace's zone, and names nobody.
func (s Settings) Rota(team string) Rota {
	if r, ok := s.Rotas[team]; ok {
		return r
	}
	return usualRota(s.Zone)
}

func usualRota(zone *time.Location) Rota {
	r := Rota{From: 9 * 60, To: 17 * 60, Zone: zone}
	for day := time.Monday; day <= time.Friday; day++ {
		r.Weekdays[day] = true
	}
	return r
}

// parseTeams reads the teams: each is the id of an Intercom team, or says how it
// works as well:
//
//	teams:
//	  billing: "8202"
//	  renewals: {id: "8201", owners: [admin:991267716], cap: 10, hours: "09:00-17:00", weekdays: [monday, friday], zone: Europe/Berlin}
func (s *Settings) parseTeams(m *Mapping) {
	t := m.Map("teams")
	if t == nil {
		return
	}
	for _, name := range t.Keys() {
		x, id := t, name
		if !t.Plain(name) {
			if x, id = t.Map(name), "id"; x == nil {
				continue
			}
		}
		f := x.Text(id, false)
		if f.Value != "" && !digits.MatchString(f.Value) {
			x.Add(f.Fault("use the id that dunlin doctor lists", "%q is not the id of an Intercom team", f.Value))
		}
		s.Teams[name] = f.Value
		if x != t {
			if s.Rotas == nil {
				s.Rotas = map[string]Rota{}
			}
			s.Rotas[name] = parseRota(x, s.Zone)
			x.Done()
		}
	}
	t.Done()
}

var hoursForm = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9]) ?- ?([01]?[0-9]|2[0-4]):([0-5][0-9])$`)

func parseRota(m *Mapping, zone *time.Location) Rota {
	r := usualRota(zone)
	for _, f := range m.Texts("owners") {
		owner := parseAdmin(m, f)
		if owner != 0 && slices.Contains(r.Owners, owner) {
			m.Add(f.Fault("keep one of them", "%s is there twice", f.Value))
		}
		r.Owners = append(r.Owners, owner)
	}
	r.Cap = m.Number("cap", 0, 1, 1000)
	if m.Has("cap") && len(r.Owners) == 0 {
		m.Add(m.Text("cap", false).Fault("add owners: [admin:ID], or take it out", "a cap for each owner needs owners"))
	}
	if f := m.Text("hours", false); f.Set {
		x := hoursForm.FindStringSubmatch(f.Value)
		if x != nil {
			r.From, r.To = minutes(x[1], x[2]), minutes(x[3], x[4])
		}
		if x == nil || r.From >= r.To || r.To > 24*60 {
			m.Add(f.Fault("write from and until of one day, as in \"09:00-17:00\"", "%q are no working hours", f.Value))
		}
	}
	if m.Has("weekdays") {
		r.Weekdays = parseWorkdays(m, "weekdays")
	}
	if f := m.Text("zone", false); f.Set {
		own, err := LoadZone(f.Value)
		if err != nil {
			m.Add(f.Fault("use a name such as Europe/Berlin or America/New_York", "%q is not a time zone", f.Value))
		} else {
			r.Zone = own
		}
	}
	return r
}

func minutes(hour, minute string) int {
	h, _ := strconv.Atoi(hour) // digits: the form says so
	m, _ := strconv.Atoi(minute)
	return h*60 + m
}

// parseWorkdays reads a list of days by name; none is a fault.
func parseWorkdays(m *Mapping, key string) (days [7]bool) {
	list := m.Texts(key)
	for _, f := range list {
		day := slices.Index(weekdays, strings.ToLower(strings.TrimSpace(f.Value)))
		if day < 0 {
			hint := "weekdays: " + strings.Join(weekdays, ", ")
			if near := Nearest(f.Value, weekdays); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			m.Add(f.Fault(hint, "%q is not a weekday", f.Value))
			continue
		}
		days[day] = true
	}
	if len(list) == 0 {
		m.Add(m.Here().Fault("name at least one day, as in [monday]", "%q names no day", key))
	}
	return days
}
