package campaigns

import (
	"archive/zip"
	"fmt"
	"go/build"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// linkedZones are all zones of the tzdata that is linked in (time/tzdata is made
// of this very file), whatever the machine has installed.
func linkedZones(t *testing.T) (zones []*time.Location) {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join(build.Default.GOROOT, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		zone, err := time.LoadLocationFromTZData(f.Name, data)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone)
	}
	return zones
}

// A clockChange is where a zone's clock changes: another offset from At on.
type clockChange struct {
	At            time.Time
	Before, After int // seconds ahead of UTC
}

// clockChanges are a zone's changes in the years from first to last. No zone
// changes its clocks to and fro within a week.
func clockChanges(zone *time.Location, first, last int) (found []clockChange) {
	at, end := time.Date(first, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(last+1, 1, 1, 0, 0, 0, 0, time.UTC)
	for before := offsetAt(at, zone); at.Before(end); {
		next := at.Add(7 * 24 * time.Hour)
		after := offsetAt(next, zone)
		if before != after {
			found = append(found, clockChange{steady(at, next, before, zone), before, after})
		}
		at, before = next, after
	}
	return found
}

// A wall is what the clock and the calendar in a zone show, minute by minute.
type wall struct {
	start   time.Time // a whole minute
	minutes []int     // since local midnight
	days    []rule.Date
}

func wallOf(zone *time.Location, start time.Time, n int) wall {
	w := wall{start: start.Truncate(time.Minute)}
	for i := range n {
		local := w.start.Add(time.Duration(i) * time.Minute).In(zone)
		year, month, day := local.Date()
		hour, minute, _ := local.Clock()
		w.minutes, w.days = append(w.minutes, hour*60+minute), append(w.days, rule.Date{Year: year, Month: month, Day: day})
	}
	return w
}

// nextAllowed is, for each minute, the first minute from it on that is not
// quiet; len(minutes) where none is on the wall. It is the slow and plain way to
// say what QuietHours.NextAllowed says.
func (w wall) nextAllowed(span workspace.QuietSpan, quietDays ...rule.Date) []int {
	next := make([]int, len(w.minutes)+1)
	next[len(w.minutes)] = len(w.minutes)
	for i := len(w.minutes) - 1; i >= 0; i-- {
		sinceFrom, length := (w.minutes[i]-span.From+1440)%1440, (span.To-span.From+1440)%1440
		next[i] = i
		quiet := sinceFrom < length
		for _, d := range quietDays {
			quiet = quiet || w.days[i] == d
		}
		if quiet {
			next[i] = next[i+1]
		}
	}
	return next
}

// TestNextAllowed_everyClockChange goes through all zones of the world and all
// changes of their clocks in twelve years, and holds NextAllowed against the
// wall: never before t, never quiet, and nothing earlier would have done
// (decent-hours). Zones that change alike at one instant are one test.
func TestNextAllowed_everyClockChange(t *testing.T) {
	t.Parallel()
	const before, after = 28 * 60, 58 * 60 // minutes around a change
	spans := []workspace.QuietSpan{
		{From: 21 * 60, To: 8 * 60}, {From: 22 * 60, To: 2*60 + 30}, {From: 23*60 + 30, To: 45}, {From: 60, To: 2 * 60}, {From: 30, To: 23*60 + 59}, {},
	}
	zones := linkedZones(t)
	if len(zones) < 590 {
		t.Fatalf("only %d zones", len(zones))
	}
	seen := map[string]bool{}
	for _, zone := range zones {
		for _, change := range clockChanges(zone, 2018, 2029) {
			key := fmt.Sprint(change)
			if seen[key] {
				continue
			}
			seen[key] = true
			w := wallOf(zone, change.At.Add(-before*time.Minute), before+after)
			on := w.days[before] // the day on the wall when it has changed
			for i, span := range spans {
				q := QuietHours{Span: span, Zone: zone}
				var days []rule.Date
				if i%2 == 1 { // a quiet day of a year, and one of each year's, around the change
					days = []rule.Date{on, on.AddDays(1)}
					q.Days.Dates = []rule.Date{on, {Month: days[1].Month, Day: days[1].Day}}
				}
				checkWall(t, w, q, w.nextAllowed(span, days...), before)
			}
		}
	}
	if len(seen) < 700 {
		t.Errorf("only %d changes", len(seen))
	}
}

// checkWall compares NextAllowed with the wall: at each minute of an hour
// on both sides of a change, inside the minute, too, and now and then at all
// others.
func checkWall(t *testing.T, w wall, q QuietHours, next []int, change int) {
	t.Helper()
	for i := 0; i < len(w.minutes); i++ {
		if (i < change-65 || i > change+65) && i%37 != 0 {
			continue
		}
		for _, into := range []time.Duration{0, 17*time.Second + 1} {
			at := w.start.Add(time.Duration(i)*time.Minute + into)
			want := at
			switch n := next[i]; {
			case n == len(w.minutes):
				continue // beyond what we see of the wall
			case n > i:
				want = w.start.Add(time.Duration(n) * time.Minute)
			}
			if got, ok := q.NextAllowed(at); !ok || !got.Equal(want) {
				t.Fatalf("%s %+v %v: NextAllowed(%s)\n got %s, %v\nwant %s", q.Zone, q.Span, q.Days.Dates, at.In(q.Zone), got.In(q.Zone), ok, want.In(q.Zone))
			}
		}
	}
}
