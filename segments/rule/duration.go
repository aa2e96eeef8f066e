package rule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Unit is what a Duration counts.
type Unit int

// The units of the language, shortest first.
const (
	Minute Unit = iota
	Hour
	Day
	Week
	Month
	Year
)

var unitNames = [...]string{"minute", "hour", "day", "week", "month", "year"}

// A hundred years, in each unit: the longest duration of the language.
var unitLimits = [...]int{52_560_000, 876_000, 36_500, 5_200, 1_200, 100}

// String returns the unit in the singular.
func (u Unit) String() string { return unitNames[u] }

// A Duration is a number of units, such as 30 days. N may be negative or 0; the
// zero value is 0 minutes.
type Duration struct {
	N    int
	Unit Unit
}

// ParseDuration reads "3 days", "-21 days" or "+1 day". The unit may be singular
// or plural whatever the number, and case is ignored.
func ParseDuration(s string) (Duration, error) {
	rest := strings.TrimSpace(s)
	sign := 1
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		if rest[0] == '-' {
			sign = -1
		}
		rest = strings.TrimSpace(rest[1:])
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	word := strings.TrimSpace(rest[digits:])
	if digits == 0 || word == "" {
		return Duration{}, fmt.Errorf("%q is not a duration such as \"3 days\"", clip(s, 40))
	}
	unit, ok := parseUnit(word)
	if !ok {
		return Duration{}, fmt.Errorf("%q is not a unit of time; the units are %s", clip(word, 40), unitList())
	}
	n, err := strconv.Atoi(rest[:digits])
	if err != nil || n > unitLimits[unit] {
		return Duration{}, fmt.Errorf("%q is longer than a hundred years", clip(s, 40))
	}
	return Duration{N: sign * n, Unit: unit}, nil
}

// AddTo returns t moved by d, in UTC. Minutes, hours, days and weeks are exact
// multiples (a day is 24 hours). Months and years step on the calendar in UTC;
// when the month reached has no such day, the result is the last microsecond of
// that month. Keeping the time of day instead would let 29 January 01:00 plus a
// month come before 28 January 23:00 plus a month; like this, a later t never
// gives an earlier result.
func (d Duration) AddTo(t time.Time) time.Time {
	t = t.UTC()
	switch d.Unit {
	case Minute:
		return t.Add(time.Duration(d.N) * time.Minute)
	case Hour:
		return t.Add(time.Duration(d.N) * time.Hour)
	case Day:
		return t.Add(time.Duration(d.N) * 24 * time.Hour)
	case Week:
		return t.Add(time.Duration(d.N) * 7 * 24 * time.Hour)
	}
	first := time.Date(t.Year(), t.Month()+time.Month(d.months()), 1, 0, 0, 0, 0, time.UTC)
	if t.Day() > daysIn(first) {
		return first.AddDate(0, 1, 0).Add(-time.Microsecond)
	}
	return time.Date(first.Year(), first.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// AddToDate returns day moved by d on the calendar. It must not be asked with
// minutes or hours, by which a date cannot move; the checker sees to that.
func (d Duration) AddToDate(day Date) Date {
	switch d.Unit {
	case Day:
		return day.AddDays(d.N)
	case Week:
		return day.AddDays(7 * d.N)
	case Month, Year:
		return day.AddMonths(d.months())
	}
	panic("rule: a date moved by " + d.String())
}

// String returns "3 days", "1 day" or "-21 days".
func (d Duration) String() string {
	s := strconv.Itoa(d.N) + " " + d.Unit.String()
	if d.N != 1 && d.N != -1 {
		s += "s"
	}
	return s
}

// Neg returns the same time in the other direction.
func (d Duration) Neg() Duration { return Duration{N: -d.N, Unit: d.Unit} }

func (d Duration) months() int {
	if d.Unit == Year {
		return 12 * d.N
	}
	return d.N
}

// wholeDays says whether a date can move by d.
func (d Duration) wholeDays() bool { return d.Unit >= Day }

func parseUnit(word string) (Unit, bool) {
	word = strings.TrimSuffix(strings.ToLower(word), "s")
	for i, name := range unitNames {
		if word == name {
			return Unit(i), true
		}
	}
	return 0, false
}

func unitList() string {
	return "minutes, hours, days, weeks, months and years"
}

// inDays returns the moment with its hours and minutes rounded up to days.
func inDays(m *Moment) *Moment {
	out := *m
	out.Steps = nil
	for _, d := range m.Steps {
		out.Steps = append(out.Steps, d.inDays())
	}
	return &out
}

// inDays rounds hours and minutes up to days, away from zero.
func (d Duration) inDays() Duration {
	if d.wholeDays() {
		return d
	}
	day := map[Unit]int{Minute: 24 * 60, Hour: 24}[d.Unit]
	if d.N < 0 {
		return Duration{N: (d.N - day + 1) / day, Unit: Day}
	}
	return Duration{N: (d.N + day - 1) / day, Unit: Day}
}
