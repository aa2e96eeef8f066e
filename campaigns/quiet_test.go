package campaigns

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
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
		{"the last day of a leap year", night, "Europe/Berlin", "2040-12-31T23:00:00+01:00", "2041-01-01T08:00:00+01:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkNext(t, QuietHours{Span: tt.span, Zone: mustZone(t, tt.zone)}, tt.at, tt.want)
		})
	}
}

// checkNext compares NextAllowed with what is wanted; empty: never.
func checkNext(t *testing.T, q QuietHours, at, want string) {
	t.Helper()
	got, ok := q.NextAllowed(mustTime(t, at))
	if ok != (want != "") || ok && !got.Equal(mustTime(t, want)) {
		t.Errorf("NextAllowed(%s)\n got %s, %v\nwant %s", at, got.In(q.Zone), ok, want)
	}
}

// TestQuietHours_days holds that quiet days are whole days of the calendar on
// the customer's wall, whatever its clock does (decent-hours).
func TestQuietHours_days(t *testing.T) {
	t.Parallel()
	night := workspace.QuietSpan{From: 21 * 60, To: 8 * 60}
	weekend := workspace.QuietDays{Weekdays: [7]bool{time.Saturday: true, time.Sunday: true}}
	week := workspace.QuietDays{Weekdays: [7]bool{true, true, true, true, true, true, true}}
	on := func(dates ...string) (q workspace.QuietDays) {
		for _, s := range dates {
			d, err := rule.ParseDate(s)
			if err != nil {
				t.Fatal(err)
			}
			q.Dates = append(q.Dates, d)
		}
		return q
	}
	yearly := workspace.QuietDays{Dates: []rule.Date{{Month: time.December, Day: 25}, {Month: time.December, Day: 26}, {Month: time.February, Day: 29}}}
	saturday := workspace.QuietDays{Weekdays: [7]bool{time.Saturday: true}}
	var holidays workspace.QuietDays
	for d := (rule.Date{Year: 2026, Month: time.March, Day: 1}); len(holidays.Dates) < 395; d = d.AddDays(1) {
		holidays.Dates = append(holidays.Dates, d)
	}
	for _, tt := range []struct {
		name     string
		span     workspace.QuietSpan
		days     workspace.QuietDays
		zone     string
		at, want string
	}{
		{"a weekend, from Friday night to Monday morning", night, weekend, "Europe/Berlin", "2026-03-06T22:00:00+01:00", "2026-03-09T08:00:00+01:00"},
		{"Saturday noon", night, weekend, "Europe/Berlin", "2026-03-07T12:00:00+01:00", "2026-03-09T08:00:00+01:00"},
		{"Friday noon is not the weekend", night, weekend, "Europe/Berlin", "2026-03-06T12:00:00+01:00", "2026-03-06T12:00:00+01:00"},
		{"Saturday there, Friday here", night, weekend, "Pacific/Auckland", "2026-03-06T20:00:00Z", "2026-03-09T08:00:00+13:00"},
		{"without hours it ends at midnight", workspace.QuietSpan{}, weekend, "UTC", "2026-03-08T23:59:59Z", "2026-03-09T00:00:00Z"},
		{"each year's days", night, yearly, "UTC", "2031-12-24T21:00:00Z", "2031-12-27T08:00:00Z"},
		{"29 February, when there is one", night, yearly, "UTC", "2028-02-29T12:00:00Z", "2028-03-01T08:00:00Z"},
		{"and when there is none", night, yearly, "UTC", "2027-03-01T12:00:00Z", "2027-03-01T12:00:00Z"},
		{"one year's day", night, on("2026-05-01"), "UTC", "2026-05-01T09:00:00Z", "2026-05-02T08:00:00Z"},
		{"and not the next year's", night, on("2026-05-01"), "UTC", "2027-05-01T09:00:00Z", "2027-05-01T09:00:00Z"},
		{"over a year of holidays", night, holidays, "America/New_York", "2026-03-01T12:00:00-05:00", "2027-03-31T08:00:00-04:00"},
		{"every weekday", night, week, "Europe/Berlin", "2026-03-02T12:00:00+01:00", ""},
		{"a day that is left out", workspace.QuietSpan{}, on("2011-12-30"), "Pacific/Apia", "2011-12-29T23:00:00-10:00", "2011-12-29T23:00:00-10:00"},
		{"a quiet day before the one that is left out", workspace.QuietSpan{}, on("2011-12-29"), "Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00"},
		{"a midnight that is left out", workspace.QuietSpan{}, saturday, "America/Sao_Paulo", "2018-11-03T12:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"a midnight that is left out, hours from then on", workspace.QuietSpan{From: 0, To: 30}, saturday, "Asia/Beirut", "2024-03-30T12:00:00+02:00", "2024-03-31T01:00:00+03:00"},
		{"a last hour that comes twice", workspace.QuietSpan{}, saturday, "Asia/Beirut", "2024-10-26T12:00:00+03:00", "2024-10-27T00:00:00+02:00"},
		{"half an hour that comes twice", workspace.QuietSpan{From: 90, To: 120}, workspace.QuietDays{}, "Australia/Lord_Howe", "2026-04-05T01:45:00+11:00", "2026-04-05T02:00:00+10:30"},
		{"half an hour that is left out", workspace.QuietSpan{From: 60, To: 135}, workspace.QuietDays{}, "Australia/Lord_Howe", "2026-10-04T01:30:00+10:30", "2026-10-04T02:30:00+11:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkNext(t, QuietHours{tt.span, tt.days, mustZone(t, tt.zone)}, tt.at, tt.want)
		})
	}
}

// drawQuiet draws hours and days of quiet, with an allowed weekday at least.
func drawQuiet(t *rapid.T) (workspace.QuietSpan, workspace.QuietDays) {
	span := workspace.QuietSpan{From: rapid.IntRange(0, 1439).Draw(t, "from"), To: rapid.IntRange(0, 1439).Draw(t, "to")}
	var days workspace.QuietDays
	for range rapid.IntRange(0, 6).Draw(t, "weekdays") {
		days.Weekdays[rapid.IntRange(0, 5).Draw(t, "weekday")] = true // never a Saturday
	}
	for range rapid.IntRange(0, 4).Draw(t, "dates") {
		days.Dates = append(days.Dates, rule.Date{
			Year:  rapid.SampledFrom([]int{0, 2024, 2025, 2026}).Draw(t, "year"),
			Month: time.Month(rapid.IntRange(1, 12).Draw(t, "month")), Day: rapid.IntRange(1, 31).Draw(t, "day"),
		})
	}
	return span, days
}

// quietOnTheWall tells quiet from the wall of one zone, apart from
// QuietHours.until on purpose.
func quietOnTheWall(q QuietHours, t time.Time) bool {
	local := t.In(q.Zone)
	sinceFrom, length := (local.Hour()*60+local.Minute()-q.Span.From+1440)%1440, (q.Span.To-q.Span.From+1440)%1440
	return sinceFrom < length || q.Days.Includes(local)
}

// TestNextAllowed_anywhere holds what is found against the walls, minute by
// minute: not before t, not quiet, and nothing earlier would have done; for one
// zone and for all of a country (decent-hours).
func TestNextAllowed_anywhere(t *testing.T) {
	t.Parallel()
	zones := everyZone()
	countries := []string{"US", "CA", "AU", "BR", "MX", "ES", "PT", "CL", "ID", "KZ", "DE", "NZ", "AQ"}
	rapid.Check(t, func(rt *rapid.T) {
		s := workspace.Defaults()
		s.Quiet, s.QuietDays = drawQuiet(rt)
		at := time.Unix(rapid.Int64Range(1577836800, 1924991999).Draw(rt, "at"), rapid.Int64Range(0, 999_999_999).Draw(rt, "ns"))
		places := Place{Zone: rapid.SampledFrom(zones).Draw(rt, "zone")}
		if rapid.Bool().Draw(rt, "of a country") {
			places = Place{Country: rapid.SampledFrom(countries).Draw(rt, "country")}
		}
		all := quietHours(s, places.Zones(), at)
		quiet := func(t time.Time) bool {
			return slices.ContainsFunc(all, func(q QuietHours) bool { return quietOnTheWall(q, t) })
		}
		got, ok := nextAllowed(all, at)
		if !ok {
			// Who has no allowed minute in any week has none at all: four hours of the
			// day are left in all zones at once, or the zone is alone.
			if allowedPerDay(s.Quiet, []*time.Location{all[0].Zone}, at) > leastAllowed && s.QuietDays.Weekdays == [7]bool{} {
				rt.Fatalf("%+v: never", s.Quiet)
			}
			return
		}
		if got.Before(at) || quiet(got) {
			rt.Fatalf("%+v: nextAllowed(%s) = %s is before or quiet", all[0], at, got)
		}
		earlier := at
		for range 4 * 1440 { // what it passes over at first, and at last
			if !earlier.Before(got) {
				return
			}
			if !quiet(earlier) {
				rt.Fatalf("%+v: nextAllowed(%s) = %s, but %s is allowed", all[0], at, got, earlier)
			}
			earlier = earlier.Truncate(time.Minute).Add(time.Minute)
		}
		for range 2 * 1440 {
			if earlier = got.Add(-time.Minute); earlier.Before(at) {
				return
			}
			if !quiet(earlier) {
				rt.Fatalf("%+v: nextAllowed(%s) = %s, but %s is allowed", all[0], at, got, earlier)
			}
			got = earlier
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
	}
}

// TestUnknownZone holds that who lives nobody knows where is left alone at least
// as much as somebody who lives where the workspace is (decent-hours).
func TestUnknownZone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := workspace.Defaults()
		s.Zone = mustZone(t, rapid.SampledFrom(everyZone()).Draw(rt, "zone"))
		s.Quiet, s.QuietDays = drawQuiet(rt)
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

// TestQuietDays holds that a day is named where somebody's wall shows it.
func TestQuietDays(t *testing.T) {
	t.Parallel()
	free := workspace.QuietDays{Weekdays: [7]bool{time.Sunday: true}, Dates: []rule.Date{{Month: time.December, Day: 25}, {Year: 2026, Month: time.December, Day: 28}}}
	for _, tt := range []struct {
		name, from, to string
		zones          []string
		want           []string
	}{
		{"none", "2026-12-21T20:00:00Z", "2026-12-22T08:00:00Z", []string{"UTC"}, nil},
		{"weekdays and dates, the first and the last too", "2026-12-25T00:00:00Z", "2026-12-28T23:59:59Z", []string{"UTC"}, []string{"2026-12-25", "Sunday 2026-12-27", "2026-12-28"}},
		{"one year's date in another", "2027-12-28T00:00:00Z", "2027-12-28T12:00:00Z", []string{"UTC"}, nil},
		{"by the wall", "2026-12-24T12:00:00Z", "2026-12-24T13:00:00Z", []string{"Pacific/Auckland"}, []string{"2026-12-25"}},
		{"by any wall, once", "2026-12-27T09:00:00Z", "2026-12-28T08:00:00Z", []string{"Pacific/Honolulu", "UTC"}, []string{"Sunday 2026-12-27", "2026-12-28"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var all []QuietHours
			for _, z := range tt.zones {
				all = append(all, QuietHours{Days: free, Zone: mustZone(t, z)})
			}
			if got := quietDays(all, mustTime(t, tt.from), mustTime(t, tt.to)); !slices.Equal(got, tt.want) {
				t.Errorf("quietDays\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}
