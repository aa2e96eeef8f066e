package campaigns

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// arithmetic is what a decision's reason was reckoned from, for people; empty
// when the reason says it all. Times are those of the zone.
func (v *Verdicted) arithmetic(zone *time.Location) string {
	in := &v.inputs
	switch v.Reason {
	case QuietNow, ZoneUnknown:
		if in.Quiet != nil {
			return in.Quiet.words()
		}
	case BudgetSpent, TooClose:
		if in.Budget != nil {
			return in.Budget.words(v.At, v.Reason, zone)
		}
	case Unapplied:
		if in.Unapplied != nil {
			return "since " + minute(in.Unapplied, zone)
		}
	case DataOld:
		return fmt.Sprintf("it is %s old, and may be %s", lasting(in.DataAge), lasting(in.NoOlderThan))
	case NotYet:
		return "its time is " + minute(in.Scheduled, zone)
	case Expired:
		return "its time was " + minute(in.Scheduled, zone) + ", and it was of use until " + minute(in.Expires, zone)
	case OnHold, Promised, Disputed:
		for _, h := range in.Holds {
			if h.Reason == v.Reason && h.Until != nil {
				return "until " + minute(h.Until, zone)
			}
		}
		return "until somebody lifts it, or it ends by itself"
	case OptedOut, NoContact:
		return in.Contact.OptOut
	case HeldOut:
		if in.Holdout != nil {
			return fmt.Sprintf("as are %d%% of the persons", in.Holdout.Percent)
		}
	case ContactStale:
		if in.Contact.Checked != nil {
			return "asked last at " + minute(in.Contact.Checked, zone)
		}
		return "never asked yet"
	case ConditionFalse, LeftSegment, GoalReached:
		return in.saidValues()
	case "":
		return in.favor(v.At, zone)
	}
	return ""
}

// favor is what was looked at before a step that reaches the customer was sent.
func (in *inputs) favor(at time.Time, zone *time.Location) string {
	var said []string
	if in.Quiet != nil {
		said = append(said, "outside "+in.Quiet.words())
	}
	if in.Budget != nil {
		said = append(said, in.Budget.words(at, "", zone))
	}
	return strings.Join(said, "; ")
}

func (q *quietInput) words() string {
	from := map[string]string{
		"contact": "the contact's own zone", "billing address": "by the billing address", "location": "by the location at Intercom",
		"unknown": "nothing tells the zone",
	}[q.From]
	return strings.Join(append(slices.Clone(q.Spans), q.Days...), " and ") + " (" + from + ")"
}

// words are the contacts that count, and when there is room again.
func (b *budgetInput) words(at time.Time, why Reason, zone *time.Location) string {
	var counted []string
	for _, c := range b.Contacts {
		if b.Cap == 0 || at.Sub(c) < time.Duration(b.Within)*time.Second {
			counted = append(counted, minute(&c, zone))
		}
	}
	var said string
	switch {
	case why == TooClose:
		said = fmt.Sprintf("contacts are %s apart, and the last was at %s", lasting(b.Apart), minute(&b.Contacts[len(b.Contacts)-1], zone))
	case b.Cap == 0:
		return "no contact budget"
	default:
		said = fmt.Sprintf("%d of %d contacts in %s", len(counted), b.Cap, lasting(b.Within))
		if len(counted) > 0 {
			said += ": " + strings.Join(counted, ", ")
		}
	}
	if b.Free != nil {
		said += "; there is room from " + minute(b.Free, zone)
	}
	return said
}

// saidValues are the values that the log keeps, by name.
func (in *inputs) saidValues() string {
	var values map[string]any
	if json.Unmarshal(in.Values, &values) != nil {
		return "" // there are none
	}
	var said []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		said = append(said, name+" is "+saidValue(values[name]))
	}
	return strings.Join(said, ", ")
}

func saidValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "missing"
	case map[string]any:
		return fmt.Sprint(v["amount"], " ", v["currency"])
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = saidValue(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		if _, err := time.Parse(time.DateOnly, v[:min(len(v), len(time.DateOnly))]); err == nil {
			return v
		}
		return "'" + v + "'"
	}
	return fmt.Sprint(v)
}

// toChange is what ends a wait or would have made another decision, for people:
// until is when it is decided again. Empty: nothing that anybody can do.
func (a *Answer) toChange(t *Taken) string {
	zone := a.settings.Zone
	var in inputs
	until := t.DueAt
	if last := t.last(); last != nil {
		in = last.inputs
	}
	if t.State == "planned" && until != nil && !until.After(a.At) && !slices.Contains(notLeaving, Reason(t.Reason)) {
		return "a worker takes it, which is due since " + minute(until, zone) + "; see dunlin doctor when that takes long"
	}
	switch Reason(t.Reason) {
	case QuietNow:
		return "its quiet hours end at " + minute(until, zone) + in.quietEnd(until)
	case BudgetSpent, TooClose:
		return "there is room in the contact budget from " + minute(until, zone)
	case Outranked:
		return "the message that goes first is sent, or is not needed any more"
	case NotYet, ReentryWait, "":
		return "its time comes at " + minute(until, zone)
	case AnchorMissing:
		return a.definition.Anchor + " gets a value"
	case OnHold:
		return "somebody lifts the hold"
	case Promised:
		return "the promise is over at " + minute(until, zone)
	case Disputed:
		return "the dispute is closed"
	case Stopped:
		return "dunlin resume"
	case Paused:
		return "dunlin campaigns resume " + a.Campaign
	case SegmentWaits:
		return "dunlin segments accept " + a.definition.Segment
	case LeftSegment:
		return "the rule of segment " + a.definition.Segment + " is true of them again when the segment is evaluated next; else the enrollment ends then"
	case Unapplied:
		return "the news from Stripe is applied; when that takes long, dunlin doctor says what keeps it, as an account without its key does"
	case DataOld:
		return "Stripe is heard of again; see dunlin doctor"
	case TestOnly:
		return "the contact is among the workspace's test_contacts, or that list is empty"
	case ZoneUnknown:
		return "the contact's time zone, the billing address or Intercom's location is known, or the workspace has unknown_zone: narrow"
	case NoContact:
		return "a contact at Intercom has the customer's e-mail address"
	case AmbiguousContact:
		return "only one contact at Intercom has the customer's e-mail address"
	case ContactStale, IntercomAway:
		return "Intercom answers; see dunlin doctor"
	case WebhookFails:
		return "the webhook's secret is set, and its address takes the call; the detail says what is wrong"
	case Unreadable:
		return "dunlin apply of the campaign and its segment"
	case Undecided:
		return "what dunlin's log says of it is mended: look for \"delivery not decided\""
	case OptedOut:
		return "the contact wants messages again (" + in.Contact.OptOut + ")"
	case ConditionFalse:
		if short := lacking(t.If); len(short) > 0 {
			return "if this had been so: " + either(short, "and")
		}
	case HeldOut:
		return "nothing: who is in the holdout stays there"
	case DryRun:
		return "DRY_RUN is not set"
	case Superseded, TooLate:
		return "an enrollment before the step's time"
	case Expired:
		return "a longer expires in the campaign"
	case NoClearAnswer, WorkerLost, NotFound, Untraceable:
		return fmt.Sprintf("somebody looks in Intercom: dunlin deliveries settle %s %s %s --sent (or --not-sent)", a.Customer, a.Campaign, t.Step)
	case CallRefused, Unrenderable:
		return fmt.Sprintf("its cause is mended: dunlin deliveries retry %s %s %s", a.Customer, a.Campaign, t.Step)
	}
	return ""
}

// quietEnd tells the end of quiet hours by the clock on the customer's wall, when
// there is only one.
func (in *inputs) quietEnd(until *time.Time) string {
	if in.Quiet == nil || len(in.Quiet.Spans) != 1 || until == nil {
		return ""
	}
	_, name, _ := strings.Cut(in.Quiet.Spans[0], " ")
	zone, err := time.LoadLocation(name)
	if err != nil {
		return ""
	}
	return " (" + until.In(zone).Format("15:04") + " " + name + ")"
}

// lacking are the conditions for want of which a rule is false: those of an
// "and" that are false, and of an "or" any one.
func lacking(x *rule.Explained) (out []string) {
	switch {
	case x == nil || x.True:
		return nil
	case x.Word == "and":
		for _, p := range x.Parts {
			out = append(out, lacking(p)...)
		}
		return out
	case x.Word == "or":
		for _, p := range x.Parts {
			out = append(out, either(lacking(p), "and"))
		}
		return []string{either(out, "or")}
	}
	has := x.Value
	if x.Word == "not" && has == "" && len(x.Parts) == 1 {
		has = x.Parts[0].Value
	}
	if x.Bound != "" {
		has = strings.TrimPrefix(has+"; "+x.Bound, "; ")
	}
	if has == "" {
		return []string{x.Text}
	}
	return []string{x.Text + " (" + has + ")"}
}

// either joins conditions by a word.
func either(list []string, word string) string { return strings.Join(list, " "+word+" ") }

// minute is an instant for people, to the minute.
func minute(t *time.Time, zone *time.Location) string {
	if t == nil {
		return "an unknown time"
	}
	return t.In(zone).Format("2006-01-02 15:04")
}

// lasting is a span of whole seconds for people, in the largest unit that is
// exact.
func lasting(seconds int64) string {
	for _, u := range []struct {
		name string
		of   int64
	}{{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}} {
		if n := seconds / u.of; seconds%u.of == 0 && n != 0 {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "0 seconds"
}
