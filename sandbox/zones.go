package sandbox

import (
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the judge must know the night on any machine
)

// The judge's own knowledge of where it is night, written by hand for the
// countries the world's people live in, so that it shares no mistake with
// whoever is judged. The hours are those of the examples' settings.
const (
	quietFrom, quietTo   = 21 * 60, 8 * 60 // minutes since local midnight; the first is quiet, the second is not
	narrowFrom, narrowTo = 11 * 60, 16 * 60
	homeZone             = "Europe/Berlin"

	// With fewer hours left a day, all zones of a country are too much to ask.
	decentEnough = 4 * time.Hour
)

// A Location is where Intercom thinks a contact is.
type Location struct {
	Country string // alpha-2
	Region  string // a state's code or name; may be empty
}

// nightCountries lists the zones of each country as tzdata's zone.tab has them,
// the one in which most people live first.
var nightCountries = map[string]string{
	"AE": "Asia/Dubai",
	"AU": `Australia/Sydney Australia/Melbourne Australia/Brisbane Australia/Perth Australia/Adelaide Australia/Hobart
		Australia/Darwin Australia/Broken_Hill Australia/Lindeman Australia/Eucla Australia/Lord_Howe Antarctica/Macquarie`,
	"BR": `America/Sao_Paulo America/Bahia America/Fortaleza America/Recife America/Maceio America/Belem America/Araguaina
		America/Santarem America/Manaus America/Cuiaba America/Campo_Grande America/Porto_Velho America/Boa_Vista
		America/Rio_Branco America/Eirunepe America/Noronha`,
	"CA": `America/Toronto America/Vancouver America/Edmonton America/Winnipeg America/Halifax America/Regina America/St_Johns
		America/Moncton America/Glace_Bay America/Goose_Bay America/Blanc-Sablon America/Atikokan America/Iqaluit
		America/Rankin_Inlet America/Resolute America/Cambridge_Bay America/Inuvik America/Swift_Current America/Creston
		America/Dawson_Creek America/Fort_Nelson America/Whitehorse America/Dawson`,
	"DE": "Europe/Berlin Europe/Busingen",
	"ES": "Europe/Madrid Africa/Ceuta Atlantic/Canary",
	"FR": "Europe/Paris",
	"GB": "Europe/London",
	"IN": "Asia/Kolkata",
	"IT": "Europe/Rome",
	"JP": "Asia/Tokyo",
	"MX": `America/Mexico_City America/Monterrey America/Merida America/Cancun America/Chihuahua America/Ciudad_Juarez
		America/Ojinaga America/Matamoros America/Mazatlan America/Bahia_Banderas America/Hermosillo America/Tijuana`,
	"NL": "Europe/Amsterdam",
	"NZ": "Pacific/Auckland Pacific/Chatham",
	"PL": "Europe/Warsaw",
	"PT": "Europe/Lisbon Atlantic/Madeira Atlantic/Azores",
	"SE": "Europe/Stockholm",
	"SG": "Asia/Singapore",
	"US": `America/New_York America/Chicago America/Los_Angeles America/Denver America/Phoenix America/Detroit
		America/Indiana/Indianapolis America/Indiana/Knox America/Indiana/Marengo America/Indiana/Petersburg
		America/Indiana/Tell_City America/Indiana/Vevay America/Indiana/Vincennes America/Indiana/Winamac
		America/Kentucky/Louisville America/Kentucky/Monticello America/Menominee America/North_Dakota/Beulah
		America/North_Dakota/Center America/North_Dakota/New_Salem America/Boise America/Anchorage America/Juneau
		America/Sitka America/Metlakatla America/Nome America/Yakutat America/Adak Pacific/Honolulu`,
	"ZA": "Africa/Johannesburg",
}

// nightStates are states that lie in one zone, by "country code" and by
// "country name" in lower case. Stripe has codes, Intercom has names.
var nightStates = func() map[string]string {
	out := map[string]string{}
	for zone, states := range map[string]string{
		"America/New_York":    "US NY New York,US MA Massachusetts,US GA Georgia",
		"America/Chicago":     "US IL Illinois,US MN Minnesota",
		"America/Denver":      "US CO Colorado",
		"America/Phoenix":     "US AZ Arizona",
		"America/Los_Angeles": "US CA California,US WA Washington",
		"Pacific/Honolulu":    "US HI Hawaii",
		"Australia/Sydney":    "AU NSW New South Wales",
		"Australia/Melbourne": "AU VIC Victoria",
		"Australia/Brisbane":  "AU QLD Queensland",
		"Australia/Perth":     "AU WA Western Australia",
		"America/Toronto":     "CA QC Quebec",
		"America/Edmonton":    "CA AB Alberta",
		"America/Winnipeg":    "CA MB Manitoba",
		"America/Sao_Paulo":   "BR SP São Paulo,BR RJ Rio de Janeiro",
	} {
		for state := range strings.SplitSeq(states, ",") {
			words := strings.SplitN(state, " ", 3)
			out[nightState(words[0], words[1])] = zone
			out[nightState(words[0], words[2])] = zone
		}
	}
	return out
}()

func nightState(country, state string) string {
	return strings.ToLower(strings.TrimSpace(country) + " " + strings.TrimSpace(state))
}

// A wall is where somebody's clock hangs, as far as the data determine it.
type wall struct {
	zones   []*time.Location // all in which it may hang; none: unknown
	unknown string           // a country the table does not have: the judge's own fault
}

// wallOf determines where a contact's clock hangs: by the contact's own time
// zone, the billing address, Intercom's location, in this order.
func wallOf(c Contact, r Resident, at Location) wall {
	if zone, ok := nightZone(c.Timezone); ok {
		return wall{zones: []*time.Location{zone}}
	}
	for _, where := range []Location{{r.Country, r.State}, at} {
		country := strings.ToUpper(strings.TrimSpace(where.Country))
		if country == "" {
			continue
		}
		names, ok := nightStates[nightState(country, where.Region)]
		if !ok {
			names, ok = nightCountries[country]
		}
		if !ok {
			return wall{unknown: country}
		}
		var w wall
		for name := range strings.FieldsSeq(names) {
			zone, ok := nightZone(name)
			if !ok {
				panic("sandbox: the judge's table has no zone " + name)
			}
			w.zones = append(w.zones, zone)
		}
		return w
	}
	return wall{}
}

// quiet says whether a message at t comes at a bad hour. Somebody with several
// possible zones is left alone while it is night in any of them, if that leaves
// four hours a day; somebody with none is written to only around noon at home.
func (w wall) quiet(t time.Time) bool {
	if len(w.zones) == 0 {
		home, _ := nightZone(homeZone)
		m := minuteOfDay(t, home)
		return m < narrowFrom || m >= narrowTo
	}
	if len(w.zones) > 1 && w.decentAround(t) < decentEnough {
		return nightIn(t, w.zones[0])
	}
	return w.nightSomewhere(t)
}

func (w wall) nightSomewhere(t time.Time) bool {
	return slices.ContainsFunc(w.zones, func(zone *time.Location) bool { return nightIn(t, zone) })
}

// decentAround is how much of the day around t is decent in all zones, by
// quarters of an hour.
func (w wall) decentAround(t time.Time) (sum time.Duration) {
	const quarter = 15 * time.Minute
	for at := t.Add(-12 * time.Hour); at.Before(t.Add(12 * time.Hour)); at = at.Add(quarter) {
		if !w.nightSomewhere(at) {
			sum += quarter
		}
	}
	return sum
}

func nightIn(t time.Time, zone *time.Location) bool {
	m := minuteOfDay(t, zone)
	return m >= quietFrom || m < quietTo
}

func minuteOfDay(t time.Time, zone *time.Location) int {
	local := t.In(zone)
	return local.Hour()*60 + local.Minute()
}

var nightZones sync.Map // name -> *time.Location

// nightZone loads a zone by its IANA name.
func nightZone(name string) (*time.Location, bool) {
	if name == "" || name == "Local" { // which LoadLocation takes, and which are no zones
		return nil, false
	}
	if zone, ok := nightZones.Load(name); ok {
		return zone.(*time.Location), true
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	nightZones.Store(name, zone)
	return zone, true
}
