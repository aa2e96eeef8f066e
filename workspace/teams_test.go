package workspace_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/workspace"
)

func TestTeams(t *testing.T) {
	t.Parallel()
	s, faults := workspace.ParseSettings(settingsDoc(t, lines("kind: workspace", "zone: Europe/Berlin", "currency: usd", "teams:", `  billing: "8202"`, "  empty:",
		`  renewals: {id: 8201, owners: [admin:1, admin:2], cap: 10, hours: "8:30 - 24:00", weekdays: [Monday, sunday], zone: America/New_York}`,
		"  support: {owners: admin:3}")))
	if len(faults) > 0 {
		t.Fatal(faults.Explain())
	}
	if diff := cmp.Diff(map[string]string{"billing": "8202", "empty": "", "renewals": "8201", "support": ""}, s.Teams); diff != "" {
		t.Errorf("ids (-want +got)\n%s", diff)
	}
	zones := cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
	berlin, newYork := s.Zone, s.Rota("renewals").Zone
	weekdays := [7]bool{false, true, true, true, true, true, false}
	for team, want := range map[string]workspace.Rota{
		"billing":  {From: 540, To: 1020, Weekdays: weekdays, Zone: berlin},
		"unheard":  {From: 540, To: 1020, Weekdays: weekdays, Zone: berlin},
		"support":  {Owners: []int64{3}, From: 540, To: 1020, Weekdays: weekdays, Zone: berlin},
		"renewals": {Owners: []int64{1, 2}, Cap: 10, From: 510, To: 1440, Weekdays: [7]bool{true, true}, Zone: newYork},
	} {
		if diff := cmp.Diff(want, s.Rota(team), zones); diff != "" {
			t.Errorf("%s (-want +got)\n%s", team, diff)
		}
	}
	if newYork.String() != "America/New_York" {
		t.Errorf("zone\n got %s\nwant America/New_York", newYork)
	}
}

func TestTeams_faults(t *testing.T) {
	t.Parallel()
	for team, want := range map[string]string{
		`{id: Renewals}`:                         `"Renewals" is not the id of an Intercom team`,
		`{owners: [anna]}`:                       `"anna" is not a sender`,
		`{owners: [admin:1, admin:1]}`:           `admin:1 is there twice`,
		`{cap: 3}`:                               `a cap for each owner needs owners`,
		`{owners: [admin:1], cap: 0}`:            `cap cannot be "0"`,
		`{hours: "17:00-09:00"}`:                 `"17:00-09:00" are no working hours`,
		`{hours: "09:00-24:30"}`:                 `"09:00-24:30" are no working hours`,
		`{hours: nine to five}`:                  `"nine to five" are no working hours`,
		`{weekdays: [mon]}`:                      `"mon" is not a weekday`,
		`{weekdays: []}`:                         `"weekdays" names no day`,
		`{zone: Mars}`:                           `"Mars" is not a time zone`,
		`{holidays: [2026-12-25]}`:               `unknown key "holidays"`,
		`[admin:1]`:                              `"renewals" is a list of keys and values`,
		`{id: 8201, hours: "09:00-17:00", x: y}`: `unknown key "x"`,
	} {
		_, faults := workspace.ParseSettings(settingsDoc(t, "kind: workspace\nzone: UTC\ncurrency: usd\nteams:\n  renewals: "+team+"\n"))
		if got := faults.Explain(); len(faults) != 1 || !strings.Contains(got, want) {
			t.Errorf("%s\n got %s\nwant one fault: %s", team, got, want)
		}
	}
}
