package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// The rules of the examples' segments, once more by hand. Days are days of the
// workspace, in Berlin.

// never is later than anything that happens.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// A life is one resident and when they were in which segment.
type life struct {
	Resident
	stays map[string][]stay // by the campaign whose segment it is, in order of time
	sent  []*sent
}

// A stay is a maximal interval in one segment and, where the example counts
// episodes by card, with one card.
type stay struct {
	from, to time.Time // half-open
	joined   time.Time // when the product could know: from, or when it was told of it; zero: never told
	left     time.Time // the same for to; zero: never told
	episode  string
}

func newLife(r Resident) *life {
	r.History = slices.Clone(r.History)
	slices.SortStableFunc(r.History, func(a, b State) int { return a.At.Compare(b.At) })
	l := &life{Resident: r}
	l.stays = map[string][]stay{
		cardExpiring: l.staysOf(func(s State) (from, to time.Time, key string, ok bool) {
			if s.Deleted || s.Card == nil || !slices.Contains([]string{"active", "past_due"}, primary(s).Status) {
				return from, to, "", false
			}
			// expires between today - 3 days and today + 30 days
			return cardDay(s.Card, -30), cardDay(s.Card, 4), cardKey(s.Card), true
		}),
		paymentFailed: l.staysOf(always(func(s State) bool {
			status := primary(s).Status
			return (s.Delinquent || status == "past_due" || status == "unpaid") && len(s.Open) > 0 && !s.Deleted
		})),
		annualOffer: l.staysOf(always(func(s State) bool {
			p := primary(s)
			return (p.Plan == "Pro" || p.Plan == "Team") && p.Interval == "month" &&
				p.Currency == "usd" && p.Amount >= 20_00 && p.Amount <= 200_00 &&
				p.Status == "active" && !s.Delinquent && !s.Deleted
		})),
	}
	return l
}

// always makes a rule of one that does not depend on the day.
func always(rule func(State) bool) func(State) (from, to time.Time, key string, ok bool) {
	return func(s State) (from, to time.Time, key string, ok bool) { return time.Time{}, never, "", rule(s) }
}

// staysOf returns when a rule was true. For each state the rule says between
// which instants it is, if at all, and in which episode.
func (l *life) staysOf(rule func(State) (from, to time.Time, key string, ok bool)) []stay {
	var stays []stay
	for n, s := range l.History {
		next := State{At: never, Told: never}
		if n+1 < len(l.History) {
			next = l.History[n+1]
		}
		from, to, key, ok := rule(s)
		now := stay{from: from, to: to, joined: from, left: to, episode: key}
		if !s.At.Before(from) {
			now.from, now.joined = s.At, told(s)
		}
		if !to.Before(next.At) {
			now.to, now.left = next.At, told(next)
		}
		if !ok || !now.from.Before(now.to) {
			continue
		}
		if last := len(stays) - 1; last >= 0 && stays[last].to.Equal(now.from) && stays[last].episode == key {
			stays[last].to, stays[last].left = now.to, now.left
			continue
		}
		stays = append(stays, now)
	}
	return stays
}

// told is when the product could know of a state; zero: it was never told.
func told(s State) time.Time {
	if !s.Told.IsZero() && s.Told.Before(s.At) {
		return s.At
	}
	return s.Told
}

// during returns the stay of an instant, or else the last one before it.
func (l *life) during(campaign string, at time.Time) (found stay, in, any bool) {
	for _, s := range l.stays[campaign] {
		if s.from.After(at) {
			break
		}
		found, in, any = s, at.Before(s.to), true
	}
	return found, in, any
}

// at returns the index of the state at an instant; -1 before the first.
func (l *life) at(t time.Time) int {
	n, exact := slices.BinarySearchFunc(l.History, t, func(s State, t time.Time) int { return s.At.Compare(t) })
	if !exact {
		return n - 1
	}
	for n+1 < len(l.History) && l.History[n+1].At.Equal(t) {
		n++
	}
	return n
}

// episode is what makes a second contact of one campaign legitimate.
func (l *life) episode(campaign string, at time.Time) string {
	switch n := l.at(at); {
	case n < 0:
		return "none"
	case campaign == cardExpiring:
		return cardKey(l.History[n].Card)
	}
	if s, _, any := l.during(campaign, at); any {
		return "since " + s.from.UTC().Format(time.RFC3339)
	}
	return "none"
}

func (l *life) contact(id string) Contact {
	n := slices.IndexFunc(l.Contacts, func(c Contact) bool { return c.ID == id })
	return l.Contacts[n]
}

// cardKey is what makes a card another card.
func cardKey(c *CardState) string {
	if c == nil {
		return "no card"
	}
	return fmt.Sprintf("%s until %d-%02d", c.PaymentMethod, c.ExpYear, c.ExpMonth)
}

// lastDay is the last day on which a card is good, as midnight UTC.
func lastDay(c *CardState) time.Time {
	return time.Date(c.ExpYear, time.Month(c.ExpMonth)+1, 0, 0, 0, 0, 0, time.UTC)
}

// cardDay is the start, in Berlin, of the day n days after a card's last.
func cardDay(c *CardState, n int) time.Time {
	home, _ := nightZone(homeZone)
	year, month, day := lastDay(c).Date()
	return time.Date(year, month, day+n, 0, 0, 0, 0, home)
}

// statusOrder ranks subscriptions; what is not in it comes last.
var statusOrder = []string{"active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled"}

// primary is the subscription that stands for the customer: by status, then the
// highest monthly amount, then the newest, which is the later in the list. With
// none it is the zero value.
func primary(s State) (first SubscriptionState) {
	rank := func(s SubscriptionState) int {
		if n := slices.Index(statusOrder, s.Status); n >= 0 {
			return n
		}
		return len(statusOrder)
	}
	for n, other := range s.Subscriptions {
		if n == 0 || cmp.Or(cmp.Compare(rank(other), rank(first)), cmp.Compare(first.yearly(), other.yearly())) <= 0 {
			first = other
		}
	}
	return first
}

// yearly is what a subscription costs a year, in minor units.
func (s SubscriptionState) yearly() int64 {
	if s.Interval == "month" {
		return s.Amount * s.Quantity * 12
	}
	return s.Amount * s.Quantity
}

// valuable says whether at least 200 dollars a month depend on the customer: the
// licensed dollar amounts of what is active or past due. With other currencies
// among them it is not for the judge to say.
func valuable(s State) bool {
	sum := int64(0)
	for _, sub := range s.Subscriptions {
		if sub.Status != "active" && sub.Status != "past_due" {
			continue
		}
		if sub.Currency != "usd" {
			return false
		}
		sum += sub.yearly()
	}
	return sum >= 200_00*12
}
