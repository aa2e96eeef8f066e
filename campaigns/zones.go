package campaigns

import (
	_ "embed"
	"strings"
	"sync"
	"time"

	"github.com/dunlin/dunlin/workspace"
)

//go:embed countries.txt
var countriesText string

//go:embed regions.txt
var regionsText string

// A Place is what is known about where a person lives, the finest first.
type Place struct {
	Zone                            string // IANA name from the contact's own attribute
	Country, Region                 string // of Stripe's billing address: alpha-2 and state
	LocationCountry, LocationRegion string // of Intercom's location
}

// Zones are the time zones a person may live in; empty when nothing is known.
// One zone of the contact's own counts for more than Stripe's address, and that
// for more than Intercom's location. Where a country has several zones and
// nothing finer is known, all of them are returned, the one most of its people
// live in first.
func (p Place) Zones() []*time.Location {
	if z, err := workspace.LoadZone(p.Zone); err == nil {
		return []*time.Location{z}
	}
	if zones := zonesOf(p.Country, p.Region); len(zones) > 0 {
		return zones
	}
	return zonesOf(p.LocationCountry, p.LocationRegion)
}

func zonesOf(country, region string) []*time.Location {
	t := zoneTables()
	country = strings.ToUpper(strings.TrimSpace(country))
	region = strings.ToLower(strings.TrimSpace(region))
	region = strings.TrimPrefix(region, strings.ToLower(country)+"-") // as ISO 3166-2 writes it: US-CA
	if zones := t.regions[country+"|"+region]; len(zones) > 0 {
		return zones
	}
	return t.countries[country]
}

type tables struct{ countries, regions map[string][]*time.Location }

// zoneTables parses the embedded tables once. A name this machine's tzdata does
// not know is left out; a test holds the tables to the linked tzdata.
var zoneTables = sync.OnceValue(func() tables {
	t := tables{map[string][]*time.Location{}, map[string][]*time.Location{}}
	for line := range rows(countriesText) {
		f := strings.Fields(line)
		t.countries[f[0]] = locations(f[1:])
	}
	for line := range rows(regionsText) {
		f := strings.Split(line, "|")
		zones := locations(strings.Fields(f[3]))
		t.regions[f[0]+"|"+strings.ToLower(f[1])] = zones
		t.regions[f[0]+"|"+strings.ToLower(f[2])] = zones
	}
	return t
})

func rows(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line != "" && line[0] != '#' && !yield(line) {
				return
			}
		}
	}
}

func locations(names []string) []*time.Location {
	var out []*time.Location
	for _, n := range names {
		if z, err := time.LoadLocation(n); err == nil {
			out = append(out, z)
		}
	}
	return out
}
