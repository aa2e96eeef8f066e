package workspace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Settings are the whole workspace's. The zero value is not usable; start from
// [Defaults] or [ParseSettings].
type Settings struct {
	Version int // 0: nothing was applied yet, these are the defaults
	Name    string

	Zone     *time.Location // for days, dates and working time
	Currency string         // lower-case ISO code: what a bare number beside money means
	Language string         // of texts that do not say theirs, as in "en" or "pt-br"; lower case

	Budget Budget

	Quiet             QuietSpan // by the clock on the customer's wall
	QuietDays         QuietDays // by the calendar beside it
	HoldUnknownZone   bool      // no message at all while the zone is unknown; false: 11:00-16:00 of Zone
	TimezoneAttribute string    // Intercom contact attribute with an IANA name; empty: none

	OptOutTag       string   // Intercom tag that means: leave me alone; empty: none
	OptOutAttribute string   // Intercom contact attribute, true when opted out; empty: none
	TestContacts    []string // Intercom contact ids or e-mail addresses; when not empty, only they receive

	// A segment that changes, unedited, by more than so many customers and so much
	// of its members makes its campaigns wait.
	UnusualCustomers int64
	UnusualShare     int64 // percent

	KeepDecisions int // months that the decision log is kept

	Sender int64  // Intercom admin in whose name messages go out; 0: none yet
	Region string // us, eu or au

	ExternalID     string // key of a customer's metadata at Stripe that holds its id at Intercom; empty: none
	CreateContacts bool   // a customer without a contact gets one
	Import         bool   // contacts carry what Intercom's own Stripe import would write

	Teams map[string]string // our name of a team → Intercom's id; "" while unknown
	Rotas map[string]Rota   // of the teams that say how they work; ask [Settings.Rota]
}

// A Budget is how much contact one person gets, whatever the campaigns and
// channels (one-budget).
type Budget struct {
	Contacts int           // at most so many within the window; 0: any number
	Within   time.Duration // rolling: it has no calendar days at whose end it could double
	Apart    time.Duration // between two: of several messages that wait for one person, one at a time goes out
}

// Defaults are in force until somebody applies a workspace: decent, and silent
// in Intercom's name because no sender is set.
func Defaults() Settings {
	return Settings{
		Zone: time.UTC, Currency: "usd", Language: "en",
		Budget: Budget{Contacts: 3, Within: 7 * 24 * time.Hour, Apart: 20 * time.Hour},
		Quiet:  QuietSpan{From: 21 * 60, To: 8 * 60},
		Region: "us", TimezoneAttribute: "timezone",
		UnusualCustomers: 100, UnusualShare: 50,
		KeepDecisions: 24,
		Teams:         map[string]string{},
	}
}

// ParseSettings reads a workspace document.
func ParseSettings(d Document) (Settings, Faults) {
	s := Defaults()
	var faults Faults
	m := d.Mapping(&faults)
	if m == nil {
		return s, faults
	}
	m.Text("kind", true)
	s.Name = m.Text("name", false).Value
	if f := m.Text("zone", true); f.Set {
		zone, err := LoadZone(f.Value)
		if err != nil {
			m.Add(f.Fault("use a name such as Europe/Berlin or America/New_York", "%q is not a time zone", f.Value))
		} else {
			s.Zone = zone
		}
	}
	if f := m.Text("currency", true); f.Set {
		s.Currency = strings.ToLower(f.Value)
		if !currencyCode.MatchString(s.Currency) {
			m.Add(f.Fault("use an ISO code such as usd or eur", "%q is not a currency", f.Value))
		}
	}
	if f := m.Text("language", false); f.Set {
		s.Language = strings.ToLower(f.Value)
		if !languageTag.MatchString(s.Language) {
			m.Add(f.Fault("write it as in en, de or pt-br", "%q is not a language", f.Value))
		}
	}
	s.parseQuiet(m)
	s.HoldUnknownZone = m.Choice("unknown_zone", false, "narrow", "hold").Value == "hold"
	if f := m.Text("timezone_attribute", false); f.Set {
		s.TimezoneAttribute = f.Value
	}
	s.Budget = parseBudget(m, s.Budget)
	if o := m.Map("opt_out"); o != nil {
		s.OptOutTag = o.Text("tag", false).Value
		s.OptOutAttribute = o.Text("attribute", false).Value
		o.Done()
	}
	for _, f := range m.Texts("test_contacts") {
		if strings.TrimSpace(f.Value) == "" {
			m.Add(f.Fault("take it out; an empty list [] means that everybody receives", "a test contact is empty"))
		}
		s.TestContacts = append(s.TestContacts, strings.ToLower(f.Value))
	}
	if u := m.Map("unusual_change"); u != nil {
		s.UnusualCustomers = u.number("customers", s.UnusualCustomers, number, "a number, as in 100")
		s.UnusualShare = u.number("share", s.UnusualShare, percent, "a share of the members, as in 50%")
		u.Done()
	}
	s.parseIntercom(m)
	s.parseTeams(m)
	s.parseRetention(m)
	m.Elsewhere("Stripe accounts are named in the environment, beside their secrets: set STRIPE_ACCOUNTS", "stripe")
	m.Elsewhere("each campaign has its own: write it there", "holdout")
	m.Done()
	faults.Sort()
	return s, faults
}

var (
	currencyCode = regexp.MustCompile(`^[a-z]{3}$`)
	languageTag  = regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}$`)
	digits       = regexp.MustCompile(`^[0-9]{1,18}$`)
	number       = regexp.MustCompile(`^([0-9]{1,9})$`)
	percent      = regexp.MustCompile(`^([0-9]{1,5}) ?%$`)
	clockTime    = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9])$`)
)

// LoadZone is time.LoadLocation without the names that mean "this machine".
func LoadZone(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("%q is not a time zone", name)
	}
	return time.LoadLocation(name)
}

// number reads the digits of an optional value that has the given form.
func (m *Mapping) number(key string, fallback int64, form *regexp.Regexp, hint string) int64 {
	f := m.Text(key, false)
	if !f.Set {
		return fallback
	}
	x := form.FindStringSubmatch(f.Value)
	if x == nil {
		m.Add(f.Fault("write "+hint, "%q cannot be read", f.Value))
		return fallback
	}
	n, _ := strconv.ParseInt(x[1], 10, 64)
	return n
}

func (m *Mapping) timeOfDay(key string) int {
	f := m.Text(key, true)
	if !f.Set {
		return 0
	}
	x := clockTime.FindStringSubmatch(f.Value)
	if x == nil {
		m.Add(f.Fault("write it in quotes, as in \"21:00\"", "%q is not a time of day", f.Value))
		return 0
	}
	h, _ := strconv.Atoi(x[1])
	minutes, _ := strconv.Atoi(x[2])
	return h*60 + minutes
}

// parseAdmin reads admin:ID, the way a sender is written.
func parseAdmin(m *Mapping, f Field) int64 {
	id, ok := strings.CutPrefix(f.Value, "admin:")
	n, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil || !digits.MatchString(id) || n == 0 {
		m.Add(f.Fault("write admin: and the id of an Intercom teammate, as in admin:991267716", "%q is not a sender", f.Value))
		return 0
	}
	return n
}

// Sender reads a sender (admin:ID) below a key of a campaign's message; 0 when
// it is not there.
func (m *Mapping) Sender(key string) int64 {
	f := m.Text(key, false)
	if !f.Set {
		return 0
	}
	return parseAdmin(m, f)
}
