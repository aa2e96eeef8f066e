package rule_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

// odd are zones that ever did something odd: changes at midnight or across it,
// skipped days, half-hour summer time, winter time below standard time.
var odd = []string{"UTC", "Europe/Berlin", "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia", "Pacific/Kwajalein",
	"Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "Antarctica/Troll", "Pacific/Kiritimati", "Asia/Gaza"}

// zones are the odd ones and all others that this machine can list.
func zones(t testing.TB) []*time.Location {
	t.Helper()
	names := slices.Clone(odd)
	for _, root := range []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo"} {
		_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			name := strings.TrimPrefix(path, root+"/")
			if err == nil && !d.IsDir() && strings.Contains(name, "/") && !strings.HasPrefix(name, "posix") && !strings.HasPrefix(name, "right") {
				names = append(names, name)
			}
			return nil
		})
	}
	var all []*time.Location
	for _, name := range names {
		if zone, err := time.LoadLocation(name); err == nil {
			all = append(all, zone)
		}
	}
	return all
}

// genInstant prefers the hours around changes of the zone's offset, month ends
// and leap days, where calendars are difficult.
func genInstant(t *rapid.T, zone *time.Location) time.Time {
	at := time.Unix(rapid.Int64Range(0, 4_102_444_800).Draw(t, "second"), 0).In(zone) // 1970 to 2100
	switch rapid.IntRange(0, 3).Draw(t, "near") {
	case 0:
		if _, end := at.ZoneBounds(); !end.IsZero() {
			at = end
		}
	case 1:
		at = time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, zone)
	case 2:
		at = time.Date(at.Year(), 2, 29, 0, 0, 0, 0, zone)
	}
	return at.Add(time.Duration(rapid.Int64Range(-int64(3*time.Hour), int64(3*time.Hour)).Draw(t, "off")))
}

// As time goes on, no bound ever goes back.
func TestBoundOf_NeverDecreases(t *testing.T) {
	t.Parallel()
	all := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(all).Draw(t, "zone")
		m := &rule.Moment{Base: rapid.SampledFrom([]rule.Base{rule.Now, rule.Today}).Draw(t, "base")}
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			d := genDuration(t)
			if m.Base == rule.Today {
				d.Unit = max(d.Unit, rule.Day)
			}
			if rapid.Bool().Draw(t, "back") {
				d = d.Neg()
			}
			m.Steps = append(m.Steps, d)
		}
		t0 := genInstant(t, zone)
		t1 := t0.Add(time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "later")))
		a, _ := rule.BoundOf(m, rule.Env{Now: t0, Zone: zone})
		b, _ := rule.BoundOf(m, rule.Env{Now: t1, Zone: zone})
		if b.Date.Before(a.Date) || b.Instant.Before(a.Instant) {
			t.Fatalf("%v in %s at %s and %s\n got %v and %v", m.Steps, zone, t0, t1, a, b)
		}
	})
}

// An instant is on or after a day exactly when it is not before the day begins:
// the evaluator asks the one, the compiler the other.
func TestDateOf_AgreesWithIn(t *testing.T) {
	t.Parallel()
	all := zones(t)
	check := func(t interface{ Fatalf(string, ...any) }, zone *time.Location, at time.Time, off int) {
		day := rule.DateOf(at, zone).AddDays(off)
		onOrAfter := !rule.DateOf(at, zone).Before(day)
		if begun := !at.Before(day.In(zone)); begun != onOrAfter {
			t.Fatalf("%s in %s and %s\nDateOf %s\n    In %s", at, zone, day, rule.DateOf(at, zone), day.In(zone))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			zone := rapid.SampledFrom(all).Draw(t, "zone")
			check(t, zone, genInstant(t, zone), rapid.IntRange(-1, 1).Draw(t, "off"))
		}
	})
	// Around every change of the odd zones; the last days of leap years are where
	// Go's own zone arithmetic is shaky.
	for _, zone := range all[:len(odd)] {
		at := time.Unix(0, 0)
		for at.Year() < 2045 {
			at = at.Add(24 * time.Hour)
			changed := at.In(zone).Hour() != at.Add(-24*time.Hour).In(zone).Hour()
			if lastDay := at.UTC().YearDay() == 366; !changed && !lastDay {
				continue
			}
			for h := -50; h <= 26; h += 2 {
				near := at.Add(time.Duration(h) * time.Hour)
				for _, us := range []time.Duration{-time.Microsecond, 0, 30 * time.Minute, time.Hour} {
					check(t, zone, near.Truncate(time.Hour).Add(us), h/2&1)
				}
			}
		}
	}
}

func TestWindowOf(t *testing.T) {
	t.Parallel()
	env := rule.Env{Now: mustTime(t, "2026-03-15T22:30:00.1234567Z"), Zone: mustZone(t, "Asia/Tokyo")}
	tests := []struct {
		name    string
		w       rule.Within
		subject rule.Type
		from    string
		to      string
	}{
		{"a date, next", rule.Within{For: rule.Duration{N: 30, Unit: rule.Day}}, rule.DateType, "2026-03-16", "2026-04-15"},
		{"a date, last", rule.Within{For: rule.Duration{N: 1, Unit: rule.Month}, Last: true}, rule.DateType, "2026-02-16", "2026-03-16"},
		{"an instant, next", rule.Within{For: rule.Duration{N: 2, Unit: rule.Hour}}, rule.InstantType, "2026-03-15T22:30:00.123456Z", "2026-03-16T00:30:00.123456Z"},
		{"an instant, last", rule.Within{For: rule.Duration{N: 1, Unit: rule.Week}, Last: true}, rule.InstantType, "2026-03-08T22:30:00.123456Z", "2026-03-15T22:30:00.123456Z"},
	}
	show := func(b rule.Bound) string {
		if b.IsDate() {
			return b.Date.String()
		}
		return b.Instant.Format(time.RFC3339Nano)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, to := rule.WindowOf(&tt.w, tt.subject, env)
			if show(from) != tt.from || show(to) != tt.to {
				t.Errorf("WindowOf\n got %s to %s\nwant %s to %s", show(from), show(to), tt.from, tt.to)
			}
		})
	}
}
