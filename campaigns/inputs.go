package campaigns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// inputs are what a decision was made of, as the log keeps them. What is left out
// is false, empty or not known; of a step that does not reach the customer, quiet
// hours and budget are left out, too. Spans are whole seconds, instants UTC.
type inputs struct {
	Action    Action     `json:"action,omitempty"`
	Scheduled *time.Time `json:"scheduled_at,omitempty"`
	Expires   *time.Time `json:"expires_at,omitempty"`
	Waited    Reason     `json:"waited,omitempty"` // for what, until this decision

	Enrolled    bool `json:"enrolled"`
	Member      bool `json:"member"`
	NeverExit   bool `json:"never_exit,omitempty"`
	SameEpisode bool `json:"same_episode"`
	Goal        bool `json:"goal"`
	Condition   bool `json:"condition"`

	Stopped      bool `json:"stopped,omitempty"`
	Paused       bool `json:"paused,omitempty"`
	SegmentWaits bool `json:"segment_waits,omitempty"`
	DryRun       bool `json:"dry_run,omitempty"`
	NoIntercom   bool `json:"no_intercom,omitempty"`
	Rival        bool `json:"rival,omitempty"`

	Unapplied   *time.Time    `json:"unapplied_since,omitempty"`
	DataAge     int64         `json:"data_age"`
	NoOlderThan int64         `json:"data_no_older_than,omitempty"`
	Holds       []holdInput   `json:"holds,omitempty"`
	Contact     contactInput  `json:"contact"`
	Quiet       *quietInput   `json:"quiet_hours,omitempty"`
	Budget      *budgetInput  `json:"contact_budget,omitempty"`
	Holdout     *holdoutInput `json:"holdout,omitempty"`
	Variant     string        `json:"variant,omitempty"`

	By string `json:"by,omitempty"` // of what people say afterwards: who

	Values json.RawMessage `json:"values,omitempty"` // of the attributes that the rules mention
}

type holdInput struct {
	Reason Reason     `json:"reason"`
	Until  *time.Time `json:"until,omitempty"`
}

// A contactInput says which contact it was, and nothing of who that is.
type contactInput struct {
	State   string     `json:"state,omitempty"`
	ID      string     `json:"id,omitempty"`
	Role    string     `json:"role,omitempty"`
	OptOut  string     `json:"opt_out,omitempty"`
	Checked *time.Time `json:"checked_at,omitempty"`
}

// A quietInput is the quiet hours that were looked at.
type quietInput struct {
	Spans []string   `json:"spans"`           // each with its zone, as in "21:00-08:00 Europe/Berlin"
	Days  []string   `json:"days,omitempty"`  // quiet ones until the end, as in "Sunday 2026-03-08" and "2026-12-25"
	From  string     `json:"zone_from"`       // what told the zone
	Until *time.Time `json:"until,omitempty"` // when all of them end; none: it was not quiet
}

// A budgetInput is the arithmetic of the contact budget.
type budgetInput struct {
	Cap      int         `json:"contacts"` // 0: any number
	Within   int64       `json:"within,omitempty"`
	Apart    int64       `json:"apart,omitempty"`
	Contacts []time.Time `json:"counted"` // in order
	Free     *time.Time  `json:"free_at,omitempty"`
}

type holdoutInput struct {
	Percent int  `json:"percent"`
	HeldOut bool `json:"held_out"`
}

func (d *Decided) inputs() inputs {
	in := d.Situation.inputs()
	if d.Holdout > 0 || d.Situation.HeldOut {
		in.Holdout = &holdoutInput{d.Holdout, d.Situation.HeldOut}
	}
	in.Variant = d.Variant
	in.Values = valuesOf(d.Picture, d.Mentions)
	return in
}

func (s *Situation) inputs() inputs {
	in := inputs{
		Action: s.Step.Action, Scheduled: inUTC(s.Scheduled), Expires: inUTC(s.Expires), Waited: s.Waited,
		Enrolled: s.Enrolled, Member: s.Member, NeverExit: s.NeverExit, SameEpisode: s.SameEpisode, Goal: s.Goal, Condition: s.Condition,
		Stopped: s.Stopped, Paused: s.Paused, SegmentWaits: s.SegmentWaits, Unapplied: orNil(s.Unapplied),
		DryRun: s.DryRun, NoIntercom: s.NoIntercom, Rival: s.Rival,
		DataAge: wholeSeconds(s.DataAge), NoOlderThan: wholeSeconds(s.NoOlderThan),
		Contact: contactInput{State: s.Contact.State, ID: s.Contact.ID, Role: s.Contact.Role, OptOut: s.Contact.OptOut, Checked: orNil(s.Contact.Checked)},
	}
	for _, h := range s.Holds {
		in.Holds = append(in.Holds, holdInput{h.Reason, orNil(h.Until)})
	}
	if s.Step.Contact {
		in.Quiet, in.Budget = s.quietInput(), s.budgetInput()
	}
	return in
}

func (s *Situation) quietInput() *quietInput {
	zones := s.Contact.Place.Zones()
	in := &quietInput{Spans: []string{}, From: s.Contact.Place.toldBy()}
	all := quietHours(s.Settings, zones, s.Now)
	for _, q := range all {
		in.Spans = append(in.Spans, timeOfDay(q.Span.From)+"-"+timeOfDay(q.Span.To)+" "+q.Zone.String())
	}
	at, ok := nextAllowed(all, s.Now)
	switch {
	case !ok: // there is no end, so the days would be endless, too
		in.Days = quietDays(all, s.Now, s.Now)
	case at.After(s.Now):
		in.Days, in.Until = quietDays(all, s.Now, at), inUTC(&at)
	}
	return in
}

// toldBy says what of a place its zones come from.
func (p Place) toldBy() string {
	switch _, err := workspace.LoadZone(p.Zone); {
	case err == nil:
		return "contact"
	case len(zonesOf(p.Country, p.Region)) > 0:
		return "billing address"
	case len(zonesOf(p.LocationCountry, p.LocationRegion)) > 0:
		return "location"
	}
	return "unknown"
}

func (s *Situation) budgetInput() *budgetInput {
	b := s.Settings.Budget
	in := &budgetInput{Cap: b.Contacts, Within: wholeSeconds(b.Within), Apart: wholeSeconds(b.Apart), Contacts: make([]time.Time, len(s.Contacts))}
	for i, at := range s.Contacts {
		in.Contacts[i] = at.UTC()
	}
	if _, free := budget(b, s.Contacts, s.Now); free.After(s.Now) {
		in.Free = inUTC(&free)
	}
	return in
}

// longestValue is how much of a text the log keeps.
const longestValue = 120

// valuesOf is one object of the values that rules mention, as customers show has
// them. Whatever may tell who the customer is stays out: the name, the address,
// and every text that holds one.
func valuesOf(p customers.Picture, mentions []mention) json.RawMessage {
	if len(mentions) == 0 {
		return nil
	}
	b := bytes.NewBuffer(make([]byte, 0, 256))
	b.WriteByte('{')
	for _, m := range mentions {
		raw, err := m.json(p)
		if err != nil || bytes.IndexByte(raw, '@') >= 0 {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(m.label)
		b.WriteByte(':')
		b.Write(raw)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// timeOfDay is a time of day, from minutes since midnight.
func timeOfDay(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// orNil is an instant, nil for the zero one.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return inUTC(&t)
}

// shorten cuts a text that is too long for the log.
func shorten(s string) string {
	if len(s) <= longestValue {
		return s
	}
	return strings.ToValidUTF8(s[:longestValue], "") + "…"
}
