package campaigns

import (
	"time"

	"github.com/dunlin/dunlin/workspace"
)

// QuietHours is the daily span in which a customer is left alone, by the clock
// on the customer's wall.
type QuietHours struct {
	workspace.QuietSpan
	Zone *time.Location
}

// quiet reports whether t lies inside.
func (q QuietHours) quiet(t time.Time) bool {
	local := t.In(q.Zone)
	m := local.Hour()*60 + local.Minute()
	if q.From <= q.To {
		return q.From <= m && m < q.To
	}
	return m >= q.From || m < q.To
}

// NextAllowed returns the first instant, not before t, at which contact is
// allowed: t itself when it is not quiet. Waits differ on nights when the clocks
// change, and a wall time that comes twice counts both times.
func (q QuietHours) NextAllowed(t time.Time) time.Time {
	for q.quiet(t) {
		local := t.In(q.Zone)
		minutes := q.To - local.Hour()*60 - local.Minute()
		if minutes < 0 {
			minutes += 24 * 60
		}
		into := time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
		end := t.Add(time.Duration(minutes)*time.Minute - into)
		if _, change := local.ZoneBounds(); !change.IsZero() && end.After(change) {
			end = change // from there the clock on the wall is another
		}
		t = end
	}
	return t
}

// unknownZone is the span left to somebody of whom no zone is known: contact
// only between 11:00 and 16:00 of the workspace.
var unknownZone = workspace.QuietSpan{From: 16 * 60, To: 11 * 60}

// leastAllowed is how much of a day must be left for a country with several
// zones to be treated as if somebody lived in all of them.
const leastAllowed = 4 * time.Hour

// quietHours are all the quiet hours that hold for a person (decent-hours):
// those of each zone they may live in, or, when those leave too little of the
// day, of the zone most people of the country live in. When nothing is known
// the narrow hours of the workspace are added to its own.
func quietHours(s workspace.Settings, zones []*time.Location, now time.Time) []QuietHours {
	if len(zones) == 0 {
		return []QuietHours{{s.Quiet, s.Zone}, {unknownZone, s.Zone}}
	}
	var all []QuietHours
	for _, z := range zones {
		all = append(all, QuietHours{s.Quiet, z})
	}
	if len(all) > 1 && allowedPerDay(all, now) < leastAllowed {
		return all[:1]
	}
	return all
}

func allowedPerDay(all []QuietHours, from time.Time) time.Duration {
	const step = 15 * time.Minute
	var allowed time.Duration
	for t := from; t.Before(from.Add(24 * time.Hour)); t = t.Add(step) {
		if !anyQuiet(all, t) {
			allowed += step
		}
	}
	return allowed
}

func anyQuiet(all []QuietHours, t time.Time) bool {
	for _, q := range all {
		if q.quiet(t) {
			return true
		}
	}
	return false
}

// nextAllowed is the first instant, not before t, that is quiet for none. It
// gives up after a week, which only spans that cover the whole day can reach,
// and returns ok false.
func nextAllowed(all []QuietHours, t time.Time) (at time.Time, ok bool) {
	at = t
	for at.Before(t.Add(7 * 24 * time.Hour)) {
		next := at
		for _, q := range all {
			next = q.NextAllowed(next)
		}
		if next.Equal(at) {
			return at, true
		}
		at = next
	}
	return at, false
}
