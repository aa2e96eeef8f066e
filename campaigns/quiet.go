package campaigns

import (
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/dunlin/dunlin/workspace"
)

// QuietHours is when a customer is left alone, by the clock and the calendar on
// the customer's wall. The zero span and no days are never quiet.
type QuietHours struct {
	Span workspace.QuietSpan
	Days workspace.QuietDays
	Zone *time.Location
}

// NextAllowed returns the first instant, not before t, at which contact is
// allowed: t itself when it is not quiet. Waits differ on nights when the clocks
// change, and a wall time that comes twice counts both times. ok is false when
// there is none within the [horizon].
func (q QuietHours) NextAllowed(t time.Time) (at time.Time, ok bool) {
	return nextAllowed([]QuietHours{q}, t)
}

// horizon is how far ahead an allowed instant is looked for: over a year, so
// that no list of holidays is longer.
const horizon = 400 * 24 * time.Hour

// until is how far the quiet around t surely reaches: to the end of the hours or
// of the day, or to where the clock on the wall changes. ok is false when t is
// not quiet.
func (q QuietHours) until(t time.Time) (end time.Time, ok bool) {
	offset := offsetAt(t, q.Zone)
	wall := t.UTC().Add(time.Duration(offset) * time.Second) // shows what the wall does, and asks the zone only once
	hour, minute, second := wall.Clock()
	m := hour*60 + minute
	var left int // minutes
	switch {
	case q.Days.Includes(wall):
		left = 24*60 - m
	case q.Span.Includes(m):
		left = (q.Span.To - m + 24*60) % (24 * 60)
	default:
		return t, false
	}
	into := time.Duration(second)*time.Second + time.Duration(wall.Nanosecond())
	return steady(t, t.Add(time.Duration(left)*time.Minute-into), offset, q.Zone), true
}

// steady cuts a stretch of some days where the zone's offset, which it has at
// its beginning, changes: from there the clock on the wall is another. Go's
// Time.ZoneBounds would be shorter, but on the last day of a leap year it can
// return an end that lies in the past.
func steady(from, to time.Time, offset int, zone *time.Location) time.Time {
	if offsetAt(to, zone) == offset {
		return to
	}
	// Clocks change on whole seconds.
	start := from.Truncate(time.Second)
	n := sort.Search(int(to.Sub(start)/time.Second), func(i int) bool {
		return offsetAt(start.Add(time.Duration(i)*time.Second), zone) != offset
	})
	return start.Add(time.Duration(n) * time.Second)
}

// offsetAt is how many seconds the zone's clocks are ahead of UTC.
func offsetAt(t time.Time, zone *time.Location) int {
	_, seconds := t.In(zone).Zone()
	return seconds
}

// narrowHours is the quiet of somebody of whom no zone is known: contact only
// between 11:00 and 16:00 of the workspace.
var narrowHours = workspace.QuietSpan{From: 16 * 60, To: 11 * 60}

// leastAllowed is how much of a day must be left for a country with several
// zones to be treated as if somebody lived in all of them.
const leastAllowed = 4 * time.Hour

// quietHours are all the quiet hours that hold for a person (decent-hours):
// those of each zone they may live in, or, when those leave too little of the
// day, of the zone most people of the country live in. When nothing is known
// the narrow hours of the workspace are added to its own.
func quietHours(s workspace.Settings, zones []*time.Location, now time.Time) []QuietHours {
	if len(zones) == 0 {
		return []QuietHours{{s.Quiet, s.QuietDays, s.Zone}, {Span: narrowHours, Zone: s.Zone}}
	}
	if len(zones) > 1 && allowedPerDay(s.Quiet, zones, now) < leastAllowed {
		zones = zones[:1]
	}
	all := make([]QuietHours, 0, len(zones))
	for _, z := range zones {
		all = append(all, QuietHours{s.Quiet, s.QuietDays, z})
	}
	return all
}

// allowedPerDay is how much of a day the span leaves in all zones at once, with
// the offsets they have at t. Quiet days are left out: they say nothing about
// the day after.
func allowedPerDay(span workspace.QuietSpan, zones []*time.Location, t time.Time) time.Duration {
	const day = 24 * 60
	var offsets []int // in minutes
	for _, z := range zones {
		if o := offsetAt(t, z)/60 + day; !slices.Contains(offsets, o) {
			offsets = append(offsets, o)
		}
	}
	allowed := 0
	for m := range day {
		if !slices.ContainsFunc(offsets, func(o int) bool { return span.Includes((m + o) % day) }) {
			allowed++
		}
	}
	return time.Duration(allowed) * time.Minute
}

// quietDays are the days from one instant to another, both included, that are
// quiet as a whole for somebody: dates, with the weekday's name where that makes
// them quiet. Each is there once, in order.
func quietDays(all []QuietHours, from, to time.Time) (days []string) {
	found := map[string]string{}
	for _, q := range all {
		year, month, day := from.In(q.Zone).Date()
		last := to.In(q.Zone).Format(time.DateOnly)
		for wall := time.Date(year, month, day, 0, 0, 0, 0, time.UTC); wall.Format(time.DateOnly) <= last; wall = wall.AddDate(0, 0, 1) {
			date := wall.Format(time.DateOnly)
			switch {
			case q.Days.Weekdays[wall.Weekday()]:
				found[date] = wall.Format("Monday 2006-01-02")
			case q.Days.Includes(wall):
				found[date] = date
			}
		}
	}
	for _, date := range slices.Sorted(maps.Keys(found)) {
		days = append(days, found[date])
	}
	return days
}

func anyQuiet(all []QuietHours, t time.Time) bool {
	for _, q := range all {
		if _, quiet := q.until(t); quiet {
			return true
		}
	}
	return false
}

// nextAllowed is the first instant, not before t, that is quiet for none; ok is
// false when there is none within the [horizon]. It jumps from one end of quiet
// to the next, so a long holiday costs a step for each of its days.
func nextAllowed(all []QuietHours, t time.Time) (at time.Time, ok bool) {
	for at = t; at.Sub(t) < horizon; {
		next := at
		for _, q := range all {
			next, _ = q.until(next)
		}
		if next.Equal(at) {
			return at, true
		}
		at = next
	}
	return at, false
}
