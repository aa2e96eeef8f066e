package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A Case is what the judge reads: the world's own history and what Intercom
// accepted, and nothing of the product but the reasons it recorded.
type Case struct {
	Residents []Resident
	Accepted  []Accepted
	Locations map[string]Location // by contact id: Intercom.Locations

	// The campaigns ran from From, with the members of that instant enrolled,
	// until Until.
	From, Until time.Time

	// Reasons is what the product recorded for those who got nothing.
	Reasons []Reason

	// Budget is how many messages one person may get; the zero value judges none.
	Budget Budget

	// Records is what the product says became of each delivery. Nil: whether the
	// two agree is not judged.
	Records []Record
}

// Case is the sandbox's half of a case: its people, where Intercom thinks they
// are, and what was accepted so far.
func (s *Sandbox) Case(from, until time.Time, reasons []Reason) Case {
	return Case{
		Residents: s.Residents(), Accepted: s.intercom.Accepted(), Locations: s.intercom.Locations(),
		From: from, Until: until, Reasons: reasons,
	}
}

// A Due is one step of an example that one customer was to get.
type Due struct {
	Customer, Campaign, Step string // Campaign is the example's name
}

// A Reason is why somebody did not get a step, or got it late, as the product
// recorded it.
type Reason struct {
	Due
	Why   string
	Since time.Time // when the product took up the customer, of whose steps this was one
}

// A Verdict counts what went wrong. Details has a readable line for each finding
// and for each thing the judge could not judge, in order of time; it names ids
// and never people.
type Verdict struct {
	Duplicates             int
	QuietHourViolations    int
	ContactedAfterRecovery int
	Forgotten              int
	BudgetBreaches         int
	Disagreements          int
	Details                []string
}

// Judge judges one life under the three examples, whose texts and rules it knows
// by heart:
//
//   - Duplicates: the same step to the same contact twice in one episode of the
//     world, and the same reference twice. Tickets count like messages, and so do
//     notes and events; what was there already does not. Of texts it does not
//     know, the same one to the same contact within a day.
//   - QuietHourViolations: messages accepted at night, by the zones that the
//     data determine.
//   - ContactedAfterRecovery: messages and tickets accepted more than two minutes
//     after the product was told that they had lost their cause, because the
//     customer had paid, had another card, or was deleted. Also messages to
//     somebody who opted out, and anything to somebody who is no customer.
//   - Forgotten: customers for whom a step was due and who had its cause for
//     three days, got nothing, and have no reason recorded. A reason excuses what
//     was due in its own episode, and nothing before or after. A customer with
//     several contacts is left out: who is meant is not the world's to say.
//   - BudgetBreaches: messages beyond what the budget of one contact allows in any
//     window of its length, or too soon after the one before. What is counted as
//     a duplicate is not counted again.
//   - Disagreements: messages, tickets and notes that the records call sent and
//     Intercom does not have, or that Intercom has and the records do not know,
//     and tags called sent that were never set. An unknown record stands for one
//     request that may or may not be there.
func Judge(c Case) Verdict {
	j := newJudge(c)
	j.judgeDuplicates()
	j.judgeNights()
	j.judgeRecoveries()
	j.judgeForgotten()
	j.judgeBudgets()
	j.judgeRecords()
	slices.SortStableFunc(j.findings, func(a, b finding) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.line, b.line))
	})
	for _, f := range j.findings {
		j.verdict.Details = append(j.verdict.Details, f.at.UTC().Format(time.RFC3339)+" "+f.line)
	}
	return j.verdict
}

// toldGrace is how long after the 2xx of a webhook a contact that it should have
// stopped is still forgiven, in virtual time.
const toldGrace = 2 * time.Minute

// A judge is one judgement under way.
type judge struct {
	Case
	lives    []*life
	byPerson map[string]*life // by contact id
	excuses  map[Due][]time.Time
	sent     []sent // in order of time
	verdict  Verdict
	findings []finding
}

type finding struct {
	at   time.Time
	line string
}

// A sent is one accepted request and what it is about.
type sent struct {
	Accepted
	about about
	life  *life // nil: of nobody

	repeat  bool // a duplicate
	doubled bool // one of several that are the same
}

func newJudge(c Case) *judge {
	j := &judge{Case: c, byPerson: map[string]*life{}, excuses: map[Due][]time.Time{}}
	for _, r := range c.Residents {
		l := newLife(r)
		j.lives = append(j.lives, l)
		for _, contact := range r.Contacts {
			j.byPerson[contact.ID] = l
		}
	}
	for _, r := range c.Reasons {
		if r.Why != "" {
			j.excuses[r.Due] = append(j.excuses[r.Due], r.Since)
		}
	}
	for _, a := range c.Accepted {
		j.sent = append(j.sent, sent{Accepted: a, about: recognise(a), life: j.byPerson[a.Contact]})
	}
	slices.SortStableFunc(j.sent, func(a, b sent) int { return a.At.Compare(b.At) })
	for n := range j.sent {
		if s := &j.sent[n]; s.life != nil {
			s.life.sent = append(s.life.sent, s)
		}
	}
	return j
}

func (j *judge) note(at time.Time, format string, args ...any) {
	j.findings = append(j.findings, finding{at, fmt.Sprintf(format, args...)})
}

// found counts one finding and says what it is.
func (j *judge) found(count *int, at time.Time, format string, args ...any) {
	*count++
	j.note(at, format, args...)
}

// String says which request it was, by ids.
func (s sent) String() string {
	who := "nobody's"
	if s.life != nil {
		who = s.life.Customer + "'s"
	}
	return fmt.Sprintf("%s %s (%s) to %s contact %s", s.Kind, s.ID, s.about, who, s.Contact)
}

// judgeDuplicates looks for the same step, contact and episode.
func (j *judge) judgeDuplicates() {
	type key struct{ contact, campaign, step, episode, text string }
	last, byReference := map[key]*sent{}, map[string]*sent{}
	for n := range j.sent {
		s := &j.sent[n]
		if s.Reference != "" {
			name := s.Kind + " " + s.Reference
			if before := byReference[name]; before != nil {
				s.repeat, s.doubled, before.doubled = true, true, true
				j.found(&j.verdict.Duplicates, s.At, "duplicate: %s has the reference %s of %s, of %s", s, s.Reference, before.ID, before.At.UTC().Format(time.RFC3339))
				continue
			}
			byReference[name] = s
		}
		k := key{contact: s.Contact, campaign: s.about.campaign, step: s.about.step}
		repeats := func(before *sent) bool { return true }
		switch {
		case s.Again, s.silent() && s.about.campaign == "":
			continue
		case s.about.campaign == "":
			k.text = s.Kind + " " + s.Text
			repeats = func(before *sent) bool { return s.At.Sub(before.At) < 24*time.Hour }
			j.note(s.At, "unrecognised: %s has no text of the examples", s)
		case s.about.campaign == annualOffer:
			repeats = func(before *sent) bool { return s.At.Sub(before.At) < annualEpisode-lateness }
		case s.life != nil:
			k.episode = s.life.episode(s.about.campaign, s.At)
		}
		if before := last[k]; before != nil && repeats(before) {
			s.repeat, s.doubled, before.doubled = true, true, true
			j.found(&j.verdict.Duplicates, s.At, "duplicate: %s repeats %s of %s, episode %q", s, before.ID, before.At.UTC().Format(time.RFC3339), k.episode)
			if k.text == "" {
				continue // an episode begins with its first contact
			}
		}
		last[k] = s
	}
}

// judgeNights looks at the clock on the wall of whoever got a message.
func (j *judge) judgeNights() {
	for n := range j.sent {
		s := &j.sent[n]
		if s.Kind != "message" {
			continue
		}
		var contact Contact
		var resident Resident
		if s.life != nil {
			resident = s.life.Resident
			contact = s.life.contact(s.Contact)
		}
		w := wallOf(contact, resident, j.Locations[s.Contact])
		if w.unknown != "" {
			j.note(s.At, "cannot judge: country %q is not in the judge's table; %s is judged as of nowhere", w.unknown, s)
		}
		if w.quiet(s.At) {
			j.found(&j.verdict.QuietHourViolations, s.At, "quiet hours: %s came %s", s, w.describe(s.At))
		}
	}
}

// describe tells the time on somebody's wall.
func (w wall) describe(t time.Time) string {
	if len(w.zones) == 0 {
		home, _ := nightZone(homeZone)
		return t.In(home).Format("15:04") + " in " + homeZone + ", the zone being unknown"
	}
	zone := w.zones[0]
	if n := slices.IndexFunc(w.zones, func(zone *time.Location) bool { return nightIn(t, zone) }); n >= 0 {
		zone = w.zones[n]
	}
	return fmt.Sprintf("%s in %s, of %d possible zones", t.In(zone).Format("15:04"), zone, len(w.zones))
}
