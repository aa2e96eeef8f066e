package sandbox

import (
	"slices"
	"time"
)

const (
	judgeDay = 24 * time.Hour

	// lateness is how late a step may happen before it lapses (the examples' expires).
	lateness = 3 * judgeDay

	// annualEpisode is "episode: every 90 days".
	annualEpisode = 90 * judgeDay
)

// judgeRecoveries looks for contacts that had lost their cause when they were
// accepted, more than two minutes after the product was told.
func (j *judge) judgeRecoveries() {
	count := &j.verdict.ContactedAfterRecovery
	for n := range j.sent {
		s := &j.sent[n]
		if s.silent() {
			continue
		}
		if s.life == nil {
			j.found(count, s.At, "stranger: %s, who is no customer", s)
			continue
		}
		if s.Kind == "message" && s.life.contact(s.Contact).OptedOut {
			j.found(count, s.At, "opted out: %s", s)
		}
		if why, since := s.lostCause(); why != "" {
			j.found(count, s.At, "after recovery: %s, %s since %s", s, why, since.UTC().Format(time.RFC3339))
		}
	}
}

// lostCause says why a request should not have been made, and since when the
// product could know; empty: it was right, or nobody had been told in time.
func (s *sent) lostCause() (why string, since time.Time) {
	knew := func(told time.Time) bool { return !told.IsZero() && s.At.After(told.Add(toldGrace)) }

	states, now := s.life.History, s.life.at(s.At)
	if now < 0 {
		return "a customer who did not exist yet", s.At
	}
	if states[now].Deleted {
		first := now
		for first > 0 && states[first-1].Deleted {
			first--
		}
		if since := told(states[first]); knew(since) {
			return "who is deleted", since
		}
		return "", time.Time{}
	}
	if s.about.campaign != cardExpiring && s.about.campaign != paymentFailed {
		return "", time.Time{}
	}
	stay, in, any := s.life.during(s.about.campaign, s.At)
	switch {
	case !any:
		return "who was never in its segment", s.At
	case !in && knew(stay.left):
		return "whose cause had gone", stay.left
	case !in || s.about.card == nil || s.about.card.names(states[now].Card):
		return "", time.Time{}
	}
	for n := now - 1; n >= 0; n-- {
		if s.about.card.names(states[n].Card) {
			if since := told(states[n+1]); knew(since) {
				return "whose card is another", since
			}
			return "", time.Time{}
		}
	}
	return "who never had the card it names", s.At
}

// judgeForgotten works out who was due what, and looks for it.
func (j *judge) judgeForgotten() {
	for _, l := range j.lives {
		if len(l.Contacts) > 1 {
			continue
		}
		j.expectCardExpiring(l)
		j.expectPaymentFailed(l)
		j.expectAnnualOffer(l)
	}
}

// enrolled is when the product enrolled somebody for a stay: at the start of the
// campaigns, or on joining. Delay is by how much it was told late.
func (j *judge) enrolled(s stay) (at time.Time, delay time.Duration, ok bool) {
	switch {
	case !s.to.After(j.From):
		return at, 0, false
	case !s.from.After(j.From):
		return j.From, max(0, s.joined.Sub(j.From)), true
	case s.joined.IsZero():
		return at, 0, false // nobody told it
	}
	return s.from, s.joined.Sub(s.from), true
}

// expectCardExpiring: at enrollment only the latest of the steps whose time has
// passed is kept, and is due at once; the others at their time. A card is
// contacted about once, however often its owner comes and goes.
func (j *judge) expectCardExpiring(l *life) {
	seen, since := map[string]bool{}, map[string]time.Time{}
	for _, s := range l.stays[cardExpiring] {
		if _, ok := since[s.episode]; !ok {
			since[s.episode] = s.from
		}
		at, delay, ok := j.enrolled(s)
		if !ok || seen[s.episode] {
			continue
		}
		seen[s.episode] = true
		card := l.History[l.at(at)].Card
		steps := []struct {
			name string
			at   time.Time
		}{
			{"nudge", cardDay(card, 0).Add(-21 * judgeDay)},
			{"call", cardDay(card, 0).Add(-5 * judgeDay)},
			{"mark", cardDay(card, 0).Add(1 * judgeDay)},
		}
		for n, step := range steps {
			due := step.at
			if !at.Before(due) {
				if n+1 < len(steps) && !at.Before(steps[n+1].at) {
					continue
				}
				due = at
			}
			if step.name == "call" && !l.valuableFrom(due, due.Add(delay+lateness)) {
				continue
			}
			j.expect(l, Due{l.Customer, cardExpiring, step.name}, s, since[s.episode], due, delay)
		}
	}
}

// valuableFrom says whether the customer was valuable all the time.
func (l *life) valuableFrom(from, to time.Time) bool {
	for n := max(0, l.at(from)); n < len(l.History) && l.History[n].At.Before(to); n++ {
		if !valuable(l.History[n]) {
			return false
		}
	}
	return true
}

// expectPaymentFailed: each entry is an episode. Who was told of none between two of
// the world's has seen one.
func (j *judge) expectPaymentFailed(l *life) {
	var since, left time.Time
	for n, s := range l.stays[paymentFailed] {
		if n == 0 || !left.IsZero() && left.Before(s.joined) {
			since = s.from
		}
		left = s.left
		at, delay, ok := j.enrolled(s)
		if !ok {
			continue
		}
		for _, step := range []struct {
			name  string
			after time.Duration
		}{{"nudge", 0}, {"second-nudge", 4 * judgeDay}, {"follow-up", 7 * judgeDay}} {
			j.expect(l, Due{l.Customer, paymentFailed, step.name}, s, since, at.Add(step.after), delay)
		}
	}
}

// expectAnnualOffer: whoever comes back within 90 days is in the same episode,
// of which the first enrollment was the only one.
func (j *judge) expectAnnualOffer(l *life) {
	var last time.Time
	for _, s := range l.stays[annualOffer] {
		at, delay, ok := j.enrolled(s)
		if !ok || !last.IsZero() && at.Sub(last) < annualEpisode {
			continue
		}
		last = at
		since := at.Add(time.Nanosecond - annualEpisode)
		j.expect(l, Due{l.Customer, annualOffer, "offer"}, s, since, at.Add(2*judgeDay), delay)
		j.expect(l, Due{l.Customer, annualOffer, "mark"}, s, since, at.Add(3*judgeDay), delay)
	}
}

// expect looks for one step that was due at an instant. It must have been
// accepted by one of the customer's contacts within three days, if the customer
// stayed that long and the judge can see that far. A reason excuses it that is of
// the same episode, which began at since.
func (j *judge) expect(l *life, what Due, s stay, since, due time.Time, delay time.Duration) {
	lapses := due.Add(delay + lateness)
	ofIt := func(at time.Time) bool { return !at.Before(since) && !at.After(lapses) }
	if lapses.After(j.Until) || s.to.Before(lapses) || slices.ContainsFunc(j.excuses[what], ofIt) {
		return
	}
	// An hour early is forgiven: on the days when the clocks change "21 days before
	// a date" has two readings.
	for _, got := range l.sent {
		if got.about.campaign == what.Campaign && got.about.step == what.Step && !got.At.Before(due.Add(-time.Hour)) && !got.At.After(lapses) {
			return
		}
	}
	j.found(&j.verdict.Forgotten, due, "forgotten: %s was due %s/%s, in the segment since %s", what.Customer, what.Campaign, what.Step, s.from.UTC().Format(time.RFC3339))
}
