package campaigns

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/workspace"
)

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func mustTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestQuietHours_NextAllowed(t *testing.T) {
	t.Parallel()
	night, lunch := workspace.QuietSpan{From: 22 * 60, To: 8 * 60}, workspace.QuietSpan{From: 12 * 60, To: 13 * 60}
	for _, tt := range []struct {
		name     string
		span     workspace.QuietSpan
		zone     string
		at, want string
	}{
		{"before midnight, tomorrow", night, "Europe/Berlin", "2026-06-01T23:30:00+02:00", "2026-06-02T08:00:00+02:00"},
		{"after midnight, today", night, "Europe/Berlin", "2026-06-02T00:00:00+02:00", "2026-06-02T08:00:00+02:00"},
		{"start is quiet", night, "Europe/Berlin", "2026-06-01T22:00:00+02:00", "2026-06-02T08:00:00+02:00"},
		{"just before the start", night, "Europe/Berlin", "2026-06-01T21:59:59+02:00", "2026-06-01T21:59:59+02:00"},
		{"just before the end", night, "Europe/Berlin", "2026-06-02T07:59:59+02:00", "2026-06-02T08:00:00+02:00"},
		{"end is allowed", night, "Europe/Berlin", "2026-06-02T08:00:00+02:00", "2026-06-02T08:00:00+02:00"},
		{"seconds stay as they are by day", night, "Europe/Berlin", "2026-06-02T12:34:56+02:00", "2026-06-02T12:34:56+02:00"},
		{"clocks go back", night, "Europe/Berlin", "2026-10-25T01:00:00+02:00", "2026-10-25T08:00:00+01:00"},
		{"clocks go forward", night, "Europe/Berlin", "2026-03-29T01:00:00+01:00", "2026-03-29T08:00:00+02:00"},
		{"the end is a time that is left out", workspace.QuietSpan{From: 22 * 60, To: 2*60 + 30}, "Europe/Berlin", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"the end comes twice: the first counts", workspace.QuietSpan{From: 22 * 60, To: 2*60 + 30}, "Europe/Berlin", "2026-10-25T01:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"and is over when it comes again", workspace.QuietSpan{From: 22 * 60, To: 2*60 + 30}, "Europe/Berlin", "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"},
		{"the evening comes twice", workspace.QuietSpan{From: 23*60 + 30, To: 8 * 60}, "America/Asuncion", "2024-03-23T23:45:00-03:00", "2024-03-23T23:00:00-04:00"},
		{"not over midnight", lunch, "Asia/Kathmandu", "2026-06-01T12:30:00+05:45", "2026-06-01T13:00:00+05:45"},
		{"after lunch", lunch, "Asia/Kathmandu", "2026-06-01T23:59:00+05:45", "2026-06-01T23:59:00+05:45"},
		{"from midnight", workspace.QuietSpan{From: 0, To: 8 * 60}, "UTC", "2026-06-01T00:00:00Z", "2026-06-01T08:00:00Z"},
		{"to midnight", workspace.QuietSpan{From: 20 * 60, To: 0}, "UTC", "2026-06-01T20:00:00Z", "2026-06-02T00:00:00Z"},
		{"equal ends: never quiet", workspace.QuietSpan{From: 480, To: 480}, "UTC", "2026-06-01T08:00:00Z", "2026-06-01T08:00:00Z"},
		{"zero: never quiet", workspace.QuietSpan{}, "UTC", "2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z"},
		{"the end of a year", night, "Pacific/Kiritimati", "2026-12-31T23:00:00+14:00", "2027-01-01T08:00:00+14:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := QuietHours{tt.span, mustZone(t, tt.zone)}
			if got, want := q.NextAllowed(mustTime(t, tt.at)), mustTime(t, tt.want); !got.Equal(want) {
				t.Errorf("NextAllowed(%s)\n got %s\nwant %s", tt.at, got.In(q.Zone), want)
			}
		})
	}
}

// everyZone is every zone of the tables and the odd ones beside them.
func everyZone() []string {
	names := map[string]bool{
		"UTC": true, "Europe/London": true, "Asia/Kolkata": true, "Australia/Lord_Howe": true, "America/St_Johns": true, "Pacific/Chatham": true,
		"Pacific/Marquesas": true, "Antarctica/Troll": true, "Africa/Casablanca": true, "America/Scoresbysund": true, "Etc/GMT+12": true, "Asia/Calcutta": true,
	}
	for line := range rows(countriesText) {
		for _, n := range strings.Fields(line)[1:] {
			names[n] = true
		}
	}
	for line := range rows(regionsText) {
		for _, n := range strings.Fields(strings.Split(line, "|")[3]) {
			names[n] = true
		}
	}
	var out []string
	for n := range names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// changes are the instants from 2020 to 2030 at which a zone's clock changes.
func changes(z *time.Location) []time.Time {
	var out []time.Time
	for at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() <= 2030; {
		_, end := at.In(z).ZoneBounds()
		if end.IsZero() || end.Year() > 2030 {
			break
		}
		out, at = append(out, end.UTC()), end
	}
	return out
}

// checkNextAllowed holds what NextAllowed says against the clock on the wall:
// not before t, not quiet, and nothing earlier would have done (decent-hours).
func checkNextAllowed(t interface {
	Helper()
	Fatalf(string, ...any)
}, q QuietHours, at time.Time) {
	t.Helper()
	got := q.NextAllowed(at)
	quiet := func(x time.Time) bool { // told apart from QuietHours.quiet on purpose
		hour, minute, _ := x.In(q.Zone).Clock()
		sinceFrom, length := (hour*60+minute-q.From+1440)%1440, (q.To-q.From+1440)%1440
		return sinceFrom < length
	}
	if got.Before(at) || quiet(got) {
		t.Fatalf("%s %+v: NextAllowed(%s) = %s is before or quiet", q.Zone, q.QuietSpan, at.In(q.Zone), got.In(q.Zone))
	}
	if got.Equal(at) {
		return
	}
	for x := at; x.Before(got); x = x.Truncate(time.Minute).Add(time.Minute) {
		if !quiet(x) {
			t.Fatalf("%s %+v: NextAllowed(%s) = %s, but %s is allowed", q.Zone, q.QuietSpan, at.In(q.Zone), got.In(q.Zone), x.In(q.Zone))
		}
	}
}

func TestNextAllowed_everyClockChange(t *testing.T) {
	t.Parallel()
	spans := []workspace.QuietSpan{{From: 21 * 60, To: 8 * 60}, {From: 22 * 60, To: 2*60 + 30}, {From: 23*60 + 30, To: 45}, {From: 60, To: 2 * 60}, {From: 30, To: 23*60 + 59}}
	zones := everyZone()
	if len(zones) < 400 {
		t.Fatalf("only %d zones", len(zones))
	}
	// Zones that change alike are the same test.
	seen := map[string]bool{}
	for _, name := range zones {
		z := mustZone(t, name)
		for _, change := range changes(z) {
			key := change.In(z).Format("15:04 -0700") + change.Add(-time.Second).In(z).Format("15:04 -0700")
			if seen[key] {
				continue
			}
			seen[key] = true
			for _, span := range spans {
				for minutes := -26 * 60; minutes <= 26*60; minutes += 53 {
					checkNextAllowed(t, QuietHours{span, z}, change.Add(time.Duration(minutes)*time.Minute))
				}
				for minutes := -70; minutes <= 70; minutes += 5 {
					checkNextAllowed(t, QuietHours{span, z}, change.Add(time.Duration(minutes)*time.Minute+17*time.Second))
				}
			}
		}
	}
}

func TestNextAllowed_anywhere(t *testing.T) {
	t.Parallel()
	zones := everyZone()
	rapid.Check(t, func(rt *rapid.T) {
		z := mustZone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		at := time.Unix(rapid.Int64Range(1577836800, 1924991999).Draw(rt, "at"), rapid.Int64Range(0, 999_999_999).Draw(rt, "ns"))
		if near := changes(z); len(near) > 0 && rapid.Bool().Draw(rt, "near a change") {
			at = rapid.SampledFrom(near).Draw(rt, "change").Add(time.Duration(rapid.Int64Range(-1500*60, 1500*60).Draw(rt, "seconds")) * time.Second)
		}
		span := workspace.QuietSpan{From: rapid.IntRange(0, 1439).Draw(rt, "from"), To: rapid.IntRange(0, 1439).Draw(rt, "to")}
		checkNextAllowed(rt, QuietHours{span, z}, at)
	})
}

// TestNextAllowed_several holds that the instant found for several zones is
// decent in all of them.
func TestNextAllowed_several(t *testing.T) {
	t.Parallel()
	countries := []string{"US", "CA", "AU", "BR", "MX", "ES", "PT", "CL", "ID", "KZ", "DE", "NZ"}
	rapid.Check(t, func(rt *rapid.T) {
		country := rapid.SampledFrom(countries).Draw(rt, "country")
		s := workspace.Defaults()
		s.Quiet = workspace.QuietSpan{From: rapid.IntRange(18*60, 23*60).Draw(rt, "from"), To: rapid.IntRange(6*60, 9*60).Draw(rt, "to")}
		now := time.Unix(rapid.Int64Range(1577836800, 1924991999).Draw(rt, "now"), 0)
		zones := Place{Country: country}.Zones()
		all := quietHours(s, zones, now)
		if len(all) != len(zones) && len(all) != 1 {
			rt.Fatalf("%d of %d zones", len(all), len(zones))
		}
		at, ok := nextAllowed(all, now)
		if !ok || at.Before(now) || at.Sub(now) > 26*time.Hour {
			rt.Fatalf("%s at %s: %s %v", country, now, at, ok)
		}
		for _, q := range all {
			if q.quiet(at) {
				rt.Fatalf("%s: %s is quiet in %s", country, at, q.Zone)
			}
		}
	})
}

func TestQuietHours_wideCountries(t *testing.T) {
	t.Parallel()
	now := mustTime(t, "2026-06-01T12:00:00Z")
	for country, want := range map[string]string{"RU": "Europe/Moscow", "AQ": "Antarctica/McMurdo", "US": "", "CA": "", "AU": "", "BR": "", "DE": ""} {
		zones := Place{Country: country}.Zones()
		all := quietHours(workspace.Defaults(), zones, now)
		if want == "" && len(all) != len(zones) {
			t.Errorf("%s\n got %d of its %d zones\nwant all", country, len(all), len(zones))
		}
		if want != "" && (len(all) != 1 || all[0].Zone.String() != want) {
			t.Errorf("%s\n got %v\nwant only %s", country, all, want)
		}
		if country == "RU" {
			if left := allowedPerDay([]QuietHours{all[0]}, now); left < leastAllowed {
				t.Errorf("its main zone leaves %s", left)
			}
		}
	}
}

// TestUnknownZone holds that who lives nobody knows where is left alone at least
// as much as somebody who lives where the workspace is (decent-hours).
func TestUnknownZone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := workspace.Defaults()
		s.Zone = mustZone(t, rapid.SampledFrom(everyZone()).Draw(rt, "zone"))
		s.Quiet = workspace.QuietSpan{From: rapid.IntRange(0, 1439).Draw(rt, "from"), To: rapid.IntRange(0, 1439).Draw(rt, "to")}
		at := time.Unix(rapid.Int64Range(1577836800, 1924991999).Draw(rt, "at"), 0)
		narrow, normal := quietHours(s, nil, at), quietHours(s, []*time.Location{s.Zone}, at)
		if anyQuiet(normal, at) && !anyQuiet(narrow, at) {
			rt.Fatalf("%s is quiet for who lives there, and not for who may", at.In(s.Zone))
		}
		if hour := at.In(s.Zone).Hour(); (hour < 11 || hour >= 16) && !anyQuiet(narrow, at) {
			rt.Fatalf("%s is outside 11:00-16:00", at.In(s.Zone))
		}
	})
	s := workspace.Defaults()
	s.Quiet = workspace.QuietSpan{From: 10 * 60, To: 17 * 60}
	if at, ok := nextAllowed(quietHours(s, nil, mustTime(t, "2026-06-01T12:00:00Z")), mustTime(t, "2026-06-01T12:00:00Z")); ok {
		t.Errorf("quiet by day and narrow\n got %s\nwant never", at)
	}
}

// TestZoneTables holds the tables to the linked tzdata: a name it does not know
// would leave a customer in the wrong hours.
func TestZoneTables(t *testing.T) {
	t.Parallel()
	for _, name := range everyZone() {
		if _, err := workspace.LoadZone(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	countries := 0
	for line := range rows(countriesText) {
		f := strings.Fields(line)
		countries++
		if got := zoneTables().countries[f[0]]; len(got) != len(f)-1 || len(got) == 0 {
			t.Errorf("%s\n got %d zones\nwant %d", f[0], len(got), len(f)-1)
		}
		if len(f[0]) != 2 || f[0] != strings.ToUpper(f[0]) {
			t.Errorf("%q is not a country", f[0])
		}
	}
	if countries != len(zoneTables().countries) || countries < 240 {
		t.Errorf("%d lines, %d countries", countries, len(zoneTables().countries))
	}
	regions := map[string]string{}
	for line := range rows(regionsText) {
		f := strings.Split(line, "|")
		if len(f) != 4 || len(strings.Fields(f[3])) == 0 {
			t.Fatalf("%q is not country|code|name|zones", line)
		}
		for _, key := range []string{f[0] + "|" + strings.ToLower(f[1]), f[0] + "|" + strings.ToLower(f[2])} {
			if before, twice := regions[key]; twice && before != f[3] {
				t.Errorf("%s is there twice: %s and %s", key, before, f[3])
			}
			regions[key] = f[3]
			if got := zoneTables().regions[key]; len(got) != len(strings.Fields(f[3])) {
				t.Errorf("%s\n got %d zones\nwant %s", key, len(got), f[3])
			}
		}
		of := zoneTables().countries[f[0]]
		for _, z := range zoneTables().regions[f[0]+"|"+strings.ToLower(f[1])] {
			if !slices.ContainsFunc(of, func(c *time.Location) bool { return c.String() == z.String() }) {
				t.Errorf("%s of %s is no zone of its country", z, f[2])
			}
		}
	}
}

func TestPlace_Zones(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		place Place
		want  string
	}{
		{"nothing known", Place{}, ""},
		{"own zone before all", Place{Zone: "Asia/Tokyo", Country: "DE", LocationCountry: "FR"}, "Asia/Tokyo"},
		{"an own zone that is none", Place{Zone: "Somewhere/Else", Country: "DE"}, "Europe/Berlin Europe/Busingen"},
		{"the machine's zone is nobody's", Place{Zone: "Local", Country: "JP"}, "Asia/Tokyo"},
		{"Stripe before Intercom", Place{Country: "JP", LocationCountry: "FR"}, "Asia/Tokyo"},
		{"Intercom at last", Place{LocationCountry: "FR"}, "Europe/Paris"},
		{"a country nobody knows", Place{Country: "ZZ", LocationCountry: "FR"}, "Europe/Paris"},
		{"a state by code", Place{Country: "US", Region: "CA"}, "America/Los_Angeles"},
		{"a state by name, in any case", Place{Country: "us", Region: " caLIFornia "}, "America/Los_Angeles"},
		{"a state of another country", Place{Country: "JP", Region: "CA"}, "Asia/Tokyo"},
		{"a state with two zones", Place{Country: "US", Region: "FL"}, "America/New_York America/Chicago"},
		{"Intercom's region is of Intercom's country", Place{LocationCountry: "US", LocationRegion: "Texas"}, "America/Chicago America/Denver"},
		{"a region without a country", Place{Region: "CA"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, z := range tt.place.Zones() {
				got = append(got, z.String())
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("%+v\n got %s\nwant %s", tt.place, s, tt.want)
			}
		})
	}
	if got := (Place{Country: "US", Region: "Atlantis"}).Zones(); len(got) < 20 || got[0].String() != "America/New_York" {
		t.Errorf("a state nobody knows\n got %v\nwant all of the country, the main one first", got)
	}
}
