package workspace_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

func TestParseSettings_quietHours(t *testing.T) {
	t.Parallel()
	hours := workspace.Defaults().Quiet
	weekend := [7]bool{time.Saturday: true, time.Sunday: true}
	for _, tt := range []struct {
		name, source string
		hours        workspace.QuietSpan
		days         workspace.QuietDays
	}{
		{"left out", "unknown_zone: narrow", hours, workspace.QuietDays{}},
		{"hours alone", `quiet_hours: {from: "22:30", to: 7:00}`, workspace.QuietSpan{From: 22*60 + 30, To: 7 * 60}, workspace.QuietDays{}},
		{"no quiet hours, and a quiet weekend", `quiet_hours: {from: "0:00", to: "0:00", weekdays: [saturday, SUNDAY]}`, workspace.QuietSpan{}, workspace.QuietDays{Weekdays: weekend}},
		{"one weekday keeps the hours as they are", `quiet_hours: {weekdays: sunday}`, hours, workspace.QuietDays{Weekdays: [7]bool{time.Sunday: true}}},
		{"twice is once", `quiet_hours: {weekdays: [sunday, saturday, sunday]}`, hours, workspace.QuietDays{Weekdays: weekend}},
		{"dates of each year and of one, quoted or not", `quiet_hours: {dates: [12-25, "01-01", 02-29, 2026-05-01, "2026-12-24"]}`, hours, workspace.QuietDays{Dates: []rule.Date{
			{Month: time.December, Day: 25}, {Month: time.January, Day: 1}, {Month: time.February, Day: 29},
			{Year: 2026, Month: time.May, Day: 1}, {Year: 2026, Month: time.December, Day: 24},
		}}},
		{"empty lists", `quiet_hours: {weekdays: [], dates: []}`, hours, workspace.QuietDays{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, faults := workspace.ParseSettings(settingsDoc(t, lines("kind: workspace", "zone: UTC", "currency: usd", tt.source)))
			if len(faults) > 0 {
				t.Fatal(faults.Explain())
			}
			if diff := cmp.Diff([]any{tt.hours, tt.days}, []any{s.Quiet, s.QuietDays}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestQuietDays_Includes(t *testing.T) {
	t.Parallel()
	q := workspace.QuietDays{
		Weekdays: [7]bool{time.Sunday: true},
		Dates:    []rule.Date{{Month: time.December, Day: 25}, {Month: time.February, Day: 29}, {Year: 2026, Month: time.May, Day: 1}},
	}
	auckland, err := time.LoadLocation("Pacific/Auckland")
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"2026-03-01T00:00:00Z": true,  // a Sunday
		"2026-03-01T23:59:59Z": true,  // to its end
		"2026-03-02T00:00:00Z": false, // and not on Monday
		"2026-12-25T12:00:00Z": true,  // each year
		"2031-12-25T12:00:00Z": true,
		"2026-05-01T12:00:00Z": true, // one year's
		"2027-05-01T12:00:00Z": false,
		"2028-02-29T12:00:00Z": true,
		"2027-02-28T12:00:00Z": true, // a Sunday, by chance
		"2029-02-28T12:00:00Z": false,
		"2029-03-01T12:00:00Z": false,
	} {
		local, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Includes(local); got != want {
			t.Errorf("Includes(%s)\n got %v\nwant %v", at, got, want)
		}
	}
	// It is Sunday on the wall in Auckland while it is Saturday in Greenwich.
	saturday := time.Date(2026, time.March, 7, 18, 0, 0, 0, time.UTC)
	if q.Includes(saturday) || !q.Includes(saturday.In(auckland)) {
		t.Errorf("%s\n got %v there and %v in Greenwich\nwant true and false", saturday, q.Includes(saturday.In(auckland)), q.Includes(saturday))
	}
}
