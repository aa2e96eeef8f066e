package workspace

import (
	"strings"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// A QuietSpan is a daily span of quiet, in minutes since local midnight. It
// includes From, excludes To, and crosses midnight when To is before From. When
// the two are equal there is no quiet.
type QuietSpan struct{ From, To int }

// Includes reports whether a minute since local midnight is quiet.
func (q QuietSpan) Includes(minute int) bool {
	if q.From <= q.To {
		return q.From <= minute && minute < q.To
	}
	return minute >= q.From || minute < q.To
}

// QuietDays are days of quiet, whole ones, by the calendar on the customer's
// wall. The zero value is none.
type QuietDays struct {
	Weekdays [7]bool     // by time.Weekday
	Dates    []rule.Date // with year 0: each year's
}

// Includes reports whether the day that wall shows, in its own zone, is quiet.
func (q QuietDays) Includes(wall time.Time) bool {
	if q.Weekdays[wall.Weekday()] {
		return true
	}
	if len(q.Dates) == 0 {
		return false
	}
	year, month, day := wall.Date()
	for _, d := range q.Dates {
		if d.Day == day && d.Month == month && (d.Year == year || d.Year == 0) {
			return true
		}
	}
	return false
}

// parseQuiet reads quiet_hours:
//
//	quiet_hours: {from: "21:00", to: "08:00", weekdays: [saturday, sunday], dates: [12-25, 2026-05-01]}
//
// The hours come together, and are as before when both are left out.
func (s *Settings) parseQuiet(m *Mapping) {
	q := m.Map("quiet_hours")
	if q == nil {
		return
	}
	if q.Has("from") || q.Has("to") || !q.Has("weekdays") && !q.Has("dates") {
		s.Quiet = QuietSpan{From: q.timeOfDay("from"), To: q.timeOfDay("to")}
	}
	s.QuietDays = QuietDays{Weekdays: parseWeekdays(q), Dates: parseDates(q)}
	q.Done()
}

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"} // by time.Weekday

func parseWeekdays(q *Mapping) (days [7]bool) {
	fields := q.Texts("weekdays")
	for _, f := range fields {
		n := -1
		for i, name := range weekdays {
			if strings.EqualFold(f.Value, name) {
				n = i
			}
		}
		if n >= 0 {
			days[n] = true
			continue
		}
		hint := "weekdays: " + strings.Join(weekdays, ", ")
		if near := Nearest(f.Value, weekdays); near != "" {
			hint = "did you mean \"" + near + "\"?"
		}
		q.Add(f.Fault(hint, "%q is not a weekday", f.Value))
	}
	if days == [7]bool{true, true, true, true, true, true, true} {
		q.Add(fields[0].Fault("leave one out; dunlin stop is what holds everything back", "with seven quiet weekdays no message ever goes out"))
	}
	return days
}

func parseDates(q *Mapping) (dates []rule.Date) {
	for _, f := range q.Texts("dates") {
		full, yearly := f.Value, len(f.Value) == len("12-25")
		if yearly {
			full = "2000-" + f.Value // a leap year: 29 February is quiet when there is one
		}
		d, err := rule.ParseDate(full)
		if err != nil {
			q.Add(f.Fault("write \"12-25\" for each year's, or \"2026-12-25\" for one", "%q is not a day", f.Value))
			continue
		}
		if yearly {
			d.Year = 0
		}
		dates = append(dates, d)
	}
	return dates
}
