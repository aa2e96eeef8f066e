package campaigns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// A Preview is what a campaign would say to one customer, were everything as it
// is now. It is made by the code that fills in what is sent.
type Preview struct {
	Campaign string `json:"campaign"`
	Version  int    `json:"version"` // 0: not stored yet
	Customer string `json:"customer"`

	Contact  string     `json:"contact"`  // linked, none, ambiguous, or unknown: Intercom was never asked
	Language string     `json:"language"` // the contact's; empty: not known
	Zones    []string   `json:"zones"`    // the customer may live in, the likeliest first; texts are by its clock
	Segment  string     `json:"segment"`
	Member   bool       `json:"member"`   // by the segment's rule, now
	Enrolled *time.Time `json:"enrolled"` // when the enrollment under way began; null: times are as if it began now
	Episode  string     `json:"episode"`  // of that enrollment
	HeldOut  bool       `json:"held_out"` // nothing would be done, to compare
	Steps    []Foreseen `json:"steps"`    // in the order of the definition
}

// A Foreseen step is what one step would do.
type Foreseen struct {
	Step      string     `json:"step"`
	Action    Action     `json:"action"`
	Offset    string     `json:"at"`     // from the anchor, as in -21 days
	Due       *time.Time `json:"due"`    // null: its anchor has no value
	Passed    bool       `json:"passed"` // that time had passed when the enrollment began
	Skipped   Reason     `json:"skipped,omitempty"`
	QuietTill *time.Time `json:"quiet_until"` // it is quiet where the customer lives when it is due, and it waits until then
	If        string     `json:"if,omitempty"`
	Condition *bool      `json:"condition"` // whether the if holds now; null: there is none
	Does      string     `json:"does,omitempty"`
	Says      []Said     `json:"says"`
	Languages []string   `json:"languages"` // its texts are written in; empty: there is one wording
	own       *time.Time // due, had the enrollment begun in time
}

// Said is a content, or why there is none.
type Said struct {
	Content
	Gets  bool   `json:"gets"`            // it is the variant this person gets
	Fault string `json:"fault,omitempty"` // why the text cannot be filled in for this customer
}

// A Previewing says what to preview and against what.
type Previewing struct {
	Definition Definition
	Settings   workspace.Settings
	Parents    segments.Parents // the rules of all segments, by name
	Step       string           // only this one; empty: all
	Language   string           // in place of the contact's; empty: the contact's
}

// InForce is the definition of a campaign that new enrollments get.
func (s *Store) InForce(ctx context.Context, q customers.Querier, settings workspace.Settings, name string) (Definition, error) {
	var version int
	err := q.QueryRow(ctx, `select version from dunlin.campaigns where name = $1`, name).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return Definition{}, fmt.Errorf("campaign %q: %w", name, workspace.ErrNotFound)
	}
	if err != nil {
		return Definition{}, fmt.Errorf("load campaign %q: %w", name, err)
	}
	return s.definition(ctx, q, settings, name, version)
}

// Preview fills in the steps of a campaign for a customer. It claims nothing and
// asks Intercom nothing: the contact is as it was found last.
func (s *Store) Preview(ctx context.Context, tx pgx.Tx, p Previewing, ref customers.Ref, now time.Time) (Preview, error) {
	d := p.Definition
	picture, err := customers.Load(ctx, tx, ref)
	if err != nil {
		return Preview{}, err
	}
	contacts, err := s.Contacts(ctx, tx, []customers.Ref{ref}, false)
	if err != nil {
		return Preview{}, err
	}
	contact := contacts[ref]
	contact.Place.Country, _ = picture.Value("country").(string)
	contact.Place.Region = picture.State
	if p.Language != "" {
		contact.Language = p.Language
	}
	who := person(contact, ref)
	out := Preview{
		Campaign: d.Name, Version: d.Version, Customer: picture.StripeID, Contact: contact.State, Language: contact.Language,
		Segment: d.Segment, HeldOut: heldOut(d.Name, who, d.Holdout), Zones: []string{}, Steps: []Foreseen{},
	}
	if out.Contact == "" {
		out.Contact = "unknown"
	}
	for _, z := range contact.Place.Zones() {
		out.Zones = append(out.Zones, z.String())
	}
	startsAt := now
	err = tx.QueryRow(ctx, `
		select starts_at, episode from dunlin.enrollments
		where account_id = $1 and customer_id = $2 and campaign = $3 and state = 'active'
		order by enrolled_at desc limit 1`, ref.Account, ref.Customer, d.Name).Scan(&startsAt, &out.Episode)
	switch {
	case err == nil:
		out.Enrolled = utc(&startsAt)
	case !errors.Is(err, pgx.ErrNoRows):
		return Preview{}, fmt.Errorf("read enrollment: %w", err)
	}
	asking := asked{tx, p.Parents, segments.Env(p.Settings, now), ref}
	if out.Member, err = asking.member(ctx, d.Segment); err != nil {
		return Preview{}, err
	}
	for _, step := range d.Steps {
		x := step.foresee(d, picture, startsAt, p.Settings.Zone)
		if step.If != nil {
			holds, err := asking.holds(ctx, step.If)
			if err != nil {
				return Preview{}, fmt.Errorf("if of step %q: %w", step.Name, err)
			}
			x.Condition = &holds
		}
		if x.Due != nil && step.Contact {
			if wait, quiet := (Situation{Now: *x.Due, Settings: p.Settings, Contact: contact}).quiet(); quiet {
				x.QuietTill = utc(&wait.Until)
			}
		}
		x.Says = step.says(d.Name, who, picture, contact, p.Settings)
		out.Steps = append(out.Steps, x)
	}
	catchUp(d.CatchUp, out.Steps, startsAt)
	if p.Step != "" {
		out.Steps = slices.DeleteFunc(out.Steps, func(x Foreseen) bool { return x.Step != p.Step })
	}
	return out, nil
}

// asked answers rules about one customer.
type asked struct {
	tx      pgx.Tx
	parents segments.Parents
	env     rule.Env
	ref     customers.Ref
}

func (a asked) holds(ctx context.Context, r *rule.Rule) (bool, error) {
	if name := a.parents.Missing(r); name != "" {
		return false, fmt.Errorf("it names segment %q, whose own rule cannot be evaluated: %w", name, segments.ErrRule)
	}
	holds, err := segments.HoldsFor(ctx, a.tx, r, a.parents, a.env, []customers.Ref{a.ref})
	return holds[a.ref], err
}

// member reports whether a segment's rule holds; of no segment everybody is one.
func (a asked) member(ctx context.Context, segment string) (bool, error) {
	if segment == "" {
		return true, nil
	}
	r := a.parents[segment]
	if r == nil {
		return false, fmt.Errorf("segment %q: %w", segment, segments.ErrRule)
	}
	return a.holds(ctx, r)
}

// foresee is what a step is and when.
func (s Step) foresee(d Definition, v rule.Values, startsAt time.Time, zone *time.Location) Foreseen {
	x := Foreseen{Step: s.Name, Action: s.Action, Offset: s.At.String(), Due: utc(schedule(d, s, v, startsAt, startsAt, zone)), Does: s.does(), Languages: s.languages()}
	if s.If != nil {
		x.If = s.If.Source()
	}
	if d.Anchor != "" {
		x.own = schedule(d, s, v, startsAt, time.Time{}, zone)
	} else {
		own := startsAt.Add(length(s.At))
		x.own = &own
	}
	x.Passed = x.own != nil && x.own.Before(startsAt)
	return x
}

// utc is an instant as JSON has it; nil stays nil.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC()
	return &at
}

// does names what has no text of its own.
func (s Step) does() string {
	switch s.Action {
	case Tag, Untag:
		return s.Tag
	case Event:
		return s.Event
	case Webhook:
		return s.URL
	case Message:
		return string(s.Channel)
	case Task:
		return s.Team
	}
	return ""
}

// languages are all that any of the step's texts is written in.
func (s Step) languages() []string {
	out := []string{}
	add := func(t Text) {
		for _, l := range t.Languages() {
			if !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	add(s.Title)
	add(s.Body)
	for _, v := range s.Variants {
		add(v.Subject)
		add(v.Body)
	}
	for _, v := range s.Values {
		add(v.Text)
	}
	return out
}

// says fills in each variant.
func (s Step) says(campaign, who string, picture customers.Picture, contact Contact, settings workspace.Settings) []Said {
	out := []Said{}
	variants := s.Variants
	gets := ""
	switch {
	case len(variants) > 0:
		gets = s.variant(campaign, who).Name
	case s.Title.Written() || s.Body.Written() || len(s.Values) > 0:
		variants = []Variant{{}}
	}
	for _, v := range variants {
		content, err := s.render(v, picture, contact, settings)
		x := Said{Content: content, Gets: v.Name == gets}
		if err != nil {
			x.Fault = err.Error()
		}
		out = append(out, x)
	}
	return out
}

// catchUp marks the steps that an enrollment would skip, because their time had
// come when it began at startsAt, as enrolling does. A step whose condition is not
// met takes nobody's place.
func catchUp(how CatchUp, steps []Foreseen, startsAt time.Time) {
	var latest time.Time
	late := func(x Foreseen) bool { return x.own != nil && !x.own.After(startsAt) }
	for _, x := range steps {
		if unmet := x.Condition != nil && !*x.Condition; late(x) && !unmet && x.own.After(latest) {
			latest = *x.own
		}
	}
	for i, x := range steps {
		switch {
		case how == CatchUpLatest && late(x) && x.own.Before(latest):
			steps[i].Skipped = Superseded
		case how == CatchUpNone && x.Passed:
			steps[i].Skipped = TooLate
		}
	}
}
