package sandbox

import (
	"testing"
	"time"
)

func judgeTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestWall_Quiet(t *testing.T) {
	t.Parallel()
	berlin := Contact{Timezone: "Europe/Berlin"}
	tests := []struct {
		name     string
		contact  Contact
		resident Resident
		at       Location
		time     string
		want     bool
	}{
		{"21:00 is quiet", berlin, Resident{}, Location{}, "2026-03-02T21:00:00+01:00", true},
		{"a minute earlier is not", berlin, Resident{}, Location{}, "2026-03-02T20:59:59+01:00", false},
		{"08:00 is not", berlin, Resident{}, Location{}, "2026-03-02T08:00:00+01:00", false},
		{"a minute earlier is", berlin, Resident{}, Location{}, "2026-03-02T07:59:59+01:00", true},
		{"clocks go forward: 08:00 is an hour sooner", berlin, Resident{}, Location{}, "2026-03-29T06:00:00Z", false},
		{"clocks go forward: the day before", berlin, Resident{}, Location{}, "2026-03-28T06:00:00Z", true},
		{"clocks go back: 07:00", berlin, Resident{}, Location{}, "2026-10-25T06:00:00Z", true},
		{"clocks go back: 08:00", berlin, Resident{}, Location{}, "2026-10-25T07:00:00Z", false},

		{"own zone before the address", Contact{Timezone: "Asia/Tokyo"}, Resident{Country: "DE"}, Location{}, "2026-03-02T12:00:00Z", true},
		{"a zone that is none is passed over", Contact{Timezone: "Mars/Base"}, Resident{Country: "DE"}, Location{}, "2026-03-02T12:00:00Z", false},
		{"Local is no zone", Contact{Timezone: "Local"}, Resident{Country: "JP"}, Location{}, "2026-03-02T12:00:00Z", true},
		{"address before location", Contact{}, Resident{Country: "JP"}, Location{Country: "DE"}, "2026-03-02T12:00:00Z", true},
		{"location", Contact{}, Resident{}, Location{Country: "jp"}, "2026-03-02T12:00:00Z", true},
		{"state by code", Contact{}, Resident{Country: "US", State: "HI"}, Location{}, "2026-03-03T06:00:00Z", false},
		{"state by name", Contact{}, Resident{}, Location{Country: "US", Region: "Hawaii"}, "2026-03-03T06:00:00Z", false},
		{"no state: any zone of the country", Contact{}, Resident{Country: "US"}, Location{}, "2026-03-03T06:00:00Z", true},
		{"no state: decent in all zones", Contact{}, Resident{Country: "US", State: "??"}, Location{}, "2026-03-02T20:00:00Z", false},
		{"Canary Islands keep Spain an hour longer", Contact{}, Resident{Country: "ES"}, Location{}, "2026-03-02T07:30:00Z", true},

		{"nowhere: 11:00 at home", Contact{}, Resident{}, Location{}, "2026-03-02T11:00:00+01:00", false},
		{"nowhere: before", Contact{}, Resident{}, Location{}, "2026-03-02T10:59:00+01:00", true},
		{"nowhere: 16:00", Contact{}, Resident{}, Location{}, "2026-03-02T16:00:00+01:00", true},
		{"nowhere: summer", Contact{}, Resident{}, Location{}, "2026-07-02T09:00:00Z", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := wallOf(tt.contact, tt.resident, tt.at)
			if got := w.quiet(judgeTime(t, tt.time)); got != tt.want {
				t.Errorf("quiet at %s, %s\n got %v\nwant %v", tt.time, w.describe(judgeTime(t, tt.time)), got, tt.want)
			}
		})
	}
}

// A country that is too wide is judged by the zone of most of its people.
func TestWall_TooManyZones(t *testing.T) {
	t.Parallel()
	var w wall
	for _, name := range []string{"Europe/London", "Asia/Tokyo", "Pacific/Honolulu"} {
		zone, ok := nightZone(name)
		if !ok {
			t.Fatal(name)
		}
		w.zones = append(w.zones, zone)
	}
	at := judgeTime(t, "2026-03-02T12:00:00Z") // 21:00 in Tokyo, 02:00 in Honolulu
	if w.quiet(at) {
		t.Errorf("quiet at noon in London, with %s left", w.decentAround(at))
	}
}

// The judge must know every place the world puts people in.
func TestWall_KnowsTheWorld(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		for _, w := range []wall{
			wallOf(Contact{}, Resident{Country: p.country, State: p.state}, Location{}),
			wallOf(Contact{}, Resident{}, Location{Country: p.country, Region: p.region}),
		} {
			if w.unknown != "" || len(w.zones) == 0 {
				t.Errorf("%s %s: unknown to the judge", p.country, p.state)
				continue
			}
			if p.state != "" && (len(w.zones) != 1 || w.zones[0].String() != p.zone) {
				t.Errorf("%s %s\n got %v\nwant %s", p.country, p.state, w.zones, p.zone)
			}
		}
	}
	if w := wallOf(Contact{}, Resident{Country: "XX"}, Location{}); w.unknown != "XX" {
		t.Errorf("a country the table lacks is not reported: %+v", w)
	}
}
