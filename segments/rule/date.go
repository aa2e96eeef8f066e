package rule

import (
	"cmp"
	"fmt"
	"sort"
	"time"
)

// A Date is a day of the calendar, without a zone. The zero value is no date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads YYYY-MM-DD and refuses days that no calendar has.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date such as 2026-01-31", clip(s, 40))
	}
	return civil(t), nil
}

// DateOf returns the day on which t falls in zone; a nil zone is UTC.
//
// It never decreases as t goes on. Where clocks are set back across midnight
// (Newfoundland did so until 2011) a raw local date would return to yesterday
// for an hour; here the new day, once begun, stays. Date.In agrees:
// DateOf(t, z) is not before d exactly when t is not before d.In(z).
func DateOf(t time.Time, zone *time.Location) Date {
	zone = orUTC(zone)
	day := civil(t.In(zone))
	if offsetAt(t, zone) == offsetAt(t.Add(-zoneReach), zone) {
		return day
	}
	for next := day.AddDays(1); !t.Before(next.In(zone)); next = day.AddDays(1) {
		day = next
	}
	return day
}

// In returns the first instant of the day in zone; a nil zone is UTC. That is
// not always midnight: some zones skip it when their clocks go forward.
//
// It asks only for offsets. Go's Time.ZoneBounds would be shorter, but on the
// last day of a leap year it can return an end that lies in the past.
func (d Date) In(zone *time.Location) time.Time {
	zone = orUTC(zone)
	midnight := time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)
	from, until := midnight.Add(-zoneReach), midnight.Add(zoneReach)
	if offset := offsetAt(from, zone); offset == offsetAt(midnight, zone) && offset == offsetAt(until, zone) {
		return midnight.Add(-offset)
	}
	for from.Before(until) {
		// [from, to) is a stretch of one offset.
		offset, to := offsetAt(from, zone), from.Add(time.Hour)
		if offsetAt(to, zone) != offset {
			same := sort.Search(int(time.Hour/time.Second), func(s int) bool {
				return offsetAt(from.Add(time.Duration(s)*time.Second), zone) != offset
			})
			to = from.Add(time.Duration(same) * time.Second)
		}
		first := midnight.Add(-offset)
		if first.Before(from) {
			first = from
		}
		if first.Before(to) {
			return first
		}
		from = to
	}
	return until
}

// zoneReach is longer than any offset from UTC and any change of one.
const zoneReach = 26 * time.Hour

// offsetAt returns how far zone's clocks are ahead of UTC at t.
func offsetAt(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// AddDays returns the date n days later; n may be negative.
func (d Date) AddDays(n int) Date {
	return civil(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC))
}

// AddMonths returns the same day n months later, or that month's last day when
// it has no such day: 31 January plus one month is 28 or 29 February.
func (d Date) AddMonths(n int) Date {
	first := time.Date(d.Year, d.Month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	return Date{Year: first.Year(), Month: first.Month(), Day: min(d.Day, daysIn(first))}
}

// Compare returns -1, 0 or +1 as d is before, equal to or after e.
func (d Date) Compare(e Date) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// Before says whether d is an earlier day than e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// After says whether d is a later day than e.
func (d Date) After(e Date) bool { return d.Compare(e) > 0 }

// IsZero says whether d is no date at all.
func (d Date) IsZero() bool { return d == Date{} }

// String returns YYYY-MM-DD.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// MarshalText is String.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDate.
func (d *Date) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDate(string(text))
	return err
}

// civil returns the date on the calendar of t's own location.
func civil(t time.Time) Date {
	y, m, d := t.Date()
	return Date{Year: y, Month: m, Day: d}
}

func daysIn(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}
