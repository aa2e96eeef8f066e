package campaigns

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// office works from nine to five on weekdays.
func office(t testing.TB, zone string) workingTime {
	t.Helper()
	return workingTime{Rota: workspace.Settings{Zone: mustZone(t, zone)}.Rota("")}
}

func TestWorkingTime_add(t *testing.T) {
	t.Parallel()
	berlin := office(t, "Europe/Berlin")
	off := berlin
	off.Holiday = func(d rule.Date) bool {
		return d == rule.Date{Year: 2026, Month: 12, Day: 25} || d.Day == 1 && d.Month == 1
	}
	night := berlin
	night.From, night.To, night.Weekdays = 0, 24*60, [7]bool{true, true, true, true, true, true, true}
	early := night
	early.From, early.To = 2*60+30, 4*60
	never := berlin
	never.Holiday = func(rule.Date) bool { return true }
	samoa := office(t, "Pacific/Apia")
	for _, tt := range []struct {
		name          string
		w             workingTime
		at, due, want string
	}{
		{"two days", berlin, "2026-03-02T11:15:30+01:00", "2 days", "2026-03-04T11:15:30+01:00"},
		{"over a weekend", berlin, "2026-03-05T11:00:00+01:00", "2 days", "2026-03-09T11:00:00+01:00"},
		{"opened in the evening, from the morning", berlin, "2026-03-05T19:00:00+01:00", "1 day", "2026-03-09T09:00:00+01:00"},
		{"opened on a Saturday, from Monday", berlin, "2026-03-07T12:00:00+01:00", "1 day", "2026-03-10T09:00:00+01:00"},
		{"opened at the end of the hours", berlin, "2026-03-02T17:00:00+01:00", "0 days", "2026-03-03T09:00:00+01:00"},
		{"at once", berlin, "2026-03-02T11:00:00+01:00", "0 days", "2026-03-02T11:00:00+01:00"},
		{"another's noon", berlin, "2026-03-02T12:00:00Z", "1 day", "2026-03-03T13:00:00+01:00"},
		{"hours of one day", berlin, "2026-03-02T10:00:00+01:00", "7 hours", "2026-03-02T17:00:00+01:00"},
		{"hours over a night", berlin, "2026-03-02T16:00:00+01:00", "2 hours", "2026-03-03T10:00:00+01:00"},
		{"hours over a weekend", berlin, "2026-03-06T16:30:00+01:00", "90 minutes", "2026-03-09T10:00:00+01:00"},
		{"hours from time off", berlin, "2026-03-07T16:30:00+01:00", "1 hour", "2026-03-09T10:00:00+01:00"},
		{"days over the change of clocks", berlin, "2026-03-27T11:00:00+01:00", "1 day", "2026-03-30T11:00:00+02:00"},
		{"hours over the change of clocks", berlin, "2026-10-23T16:00:00+02:00", "2 hours", "2026-10-26T10:00:00+01:00"},
		{"a day of 23 hours", night, "2026-03-29T00:00:00+01:00", "24 hours", "2026-03-30T01:00:00+02:00"},
		{"a day of 25 hours", night, "2026-10-25T00:00:00+02:00", "24 hours", "2026-10-25T23:00:00+01:00"},
		{"round the clock", night, "2026-03-28T12:00:00+01:00", "1 day", "2026-03-29T12:00:00+02:00"},
		{"hours that begin in the hour left out", early, "2026-03-29T00:00:00+01:00", "30 minutes", "2026-03-29T04:00:00+02:00"},
		{"a time of day that is left out", early, "2026-03-28T02:45:00+01:00", "1 day", "2026-03-29T03:45:00+02:00"},
		{"a holiday", off, "2026-12-24T12:00:00+01:00", "1 day", "2026-12-28T12:00:00+01:00"},
		{"the end of a year", off, "2026-12-31T16:00:00+01:00", "2 hours", "2027-01-04T10:00:00+01:00"},
		{"a week", berlin, "2026-03-02T11:00:00+01:00", "1 week", "2026-03-09T11:00:00+01:00"},
		{"a month that ends on a Sunday", berlin, "2026-04-03T11:00:00+02:00", "1 month", "2026-05-04T09:00:00+02:00"},
		{"a team that is never there", never, "2026-03-02T11:00:00+01:00", "2 days", "2026-03-04T11:00:00+01:00"},
		{"a Friday that a zone leaves out", samoa, "2011-12-29T11:00:00-10:00", "1 day", "2012-01-02T11:00:00+14:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			due, err := rule.ParseDuration(tt.due)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := tt.w.add(mustTime(t, tt.at), due), mustTime(t, tt.want); !got.Equal(want) {
				t.Errorf("%s and %s\n got %s\nwant %s", tt.at, tt.due, got.In(tt.w.Zone), want)
			}
		})
	}
}

// TestWorkingTime_properties holds, in zones with odd clocks, that a due date is
// never before its time, within working hours, later when the task or its due is
// later, and so much working time away.
func TestWorkingTime_properties(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca"}
	rapid.Check(t, func(t *rapid.T) {
		w := workingTime{Rota: workspace.Settings{Zone: time.UTC}.Rota("")}
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		w.Zone = zone
		w.From = rapid.IntRange(0, 24*60-2).Draw(t, "from")
		w.To = rapid.IntRange(w.From+1, 24*60).Draw(t, "to")
		for d := range w.Weekdays {
			w.Weekdays[d] = rapid.Bool().Draw(t, "works")
		}
		w.Weekdays[rapid.IntRange(0, 6).Draw(t, "day")] = true
		free := rapid.IntRange(0, 31).Draw(t, "holiday")
		w.Holiday = func(d rule.Date) bool { return d.Day == free }

		at := time.Unix(rapid.Int64Range(1_290_000_000, 1_900_000_000).Draw(t, "at"), 0)
		unit := rapid.SampledFrom([]rule.Unit{rule.Minute, rule.Hour, rule.Day, rule.Week}).Draw(t, "unit")
		n := rapid.IntRange(0, 20).Draw(t, "n")
		got := w.add(at, rule.Duration{N: n, Unit: unit})

		if got.Before(at) {
			t.Fatalf("due %s\nbefore %s", got, at)
		}
		from, to, ok := w.hours(rule.DateOf(got, zone))
		midnight := got.Equal(rule.DateOf(got, zone).In(zone)) // the end of the hours of the day before
		if within := ok && !got.Before(from) && !got.After(to); !within && !midnight {
			t.Fatalf("due %s\nwhich is off (%s to %s)", got.In(zone), from, to)
		}
		if more := w.add(at, rule.Duration{N: n + 1, Unit: unit}); more.Before(got) {
			t.Fatalf("due %s\nand with one more %s", got, more)
		}
		if later := w.add(at.Add(37*time.Minute), rule.Duration{N: n, Unit: unit}); later.Before(got) {
			t.Fatalf("due %s\nand when opened later %s", got.In(zone), later.In(zone))
		}
		if worked := w.between(at, got); unit <= rule.Hour && worked != length(rule.Duration{N: n, Unit: unit}) {
			t.Fatalf("from %s to %s\n got %s of work\nwant %d of unit %s", at.In(zone), got.In(zone), worked, n, unit)
		}
	})
}

// between is how much working time lies between two instants.
func (w workingTime) between(a, b time.Time) (sum time.Duration) {
	for day := rule.DateOf(a, w.Zone); !day.After(rule.DateOf(b, w.Zone)); day = day.AddDays(1) {
		from, to, ok := w.hours(day)
		if from.Before(a) {
			from = a
		}
		if to.After(b) {
			to = b
		}
		if ok && from.Before(to) {
			sum += to.Sub(from)
		}
	}
	return sum
}
