package sandbox

import (
	"sync/atomic"
	"time"
)

// A Clock is virtual time: it stands still until somebody sets it. It is safe
// for concurrent use. The zero value stands at the Unix epoch.
type Clock struct {
	nanos atomic.Int64
}

// Now returns the virtual instant, in UTC.
func (c *Clock) Now() time.Time { return time.Unix(0, c.nanos.Load()).UTC() }

// set moves the clock, in either direction; callers see to it that it is forward.
func (c *Clock) set(t time.Time) { c.nanos.Store(t.UnixNano()) }

// step is the grid of the merchant's life: whatever happens, happens on the hour,
// so that a driver who jumps from event to event jumps few times.
const step int64 = 60 * 60

const (
	hour int64 = 3600
	day  int64 = 24 * hour
)

// onGrid returns the first instant of the grid at or after the Unix second s.
func onGrid(s int64) int64 { return (s + step - 1) / step * step }

// monthsAfter returns the Unix second n calendar months after anchor, in UTC,
// the day clamped to the month's end as Stripe does with billing anchors.
func monthsAfter(anchor int64, n int) int64 {
	t := time.Unix(anchor, 0).UTC()
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1).Unix()
}
