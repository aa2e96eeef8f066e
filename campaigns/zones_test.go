package campaigns

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/workspace"
)

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
		if f[0] == "US" && slices.Contains([]string{"PR", "VI", "GU", "MP", "AS"}, f[1]) {
			of = zoneTables().countries[f[1]] // countries of their own, in the tables
		}
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
		{"a state as ISO 3166-2 writes it", Place{Country: "US", Region: "us-ca"}, "America/Los_Angeles"},
		{"a territory", Place{Country: "US", Region: "Guam"}, "Pacific/Guam"},
		{"far from Moscow", Place{Country: "RU", Region: "Primorsky Krai"}, "Asia/Vladivostok"},
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
