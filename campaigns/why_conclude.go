package campaigns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// neverEnrolled says why there is no enrollment, the first obstacle first, and
// what would remove it.
func (a *Answer) neverEnrolled(ctx context.Context, tx pgx.Tx, ref customers.Ref) error {
	because := func(why, change string) {
		a.Because = append(a.Because, why)
		if change != "" {
			a.Change = append(a.Change, change)
		}
	}
	zone := a.settings.Zone
	switch {
	case a.Version == 0:
		because("the campaign was not stored yet", "")
		return nil
	case a.StartedAt == nil && a.past:
		because("the campaign was not started yet", "")
	case a.StartedAt == nil:
		because("the campaign is a draft: nobody has started it", "dunlin campaigns start "+a.Campaign)
	case a.State == Halted && a.past:
		because("the campaign was paused, and enrolled nobody", "")
	case a.State == Halted:
		because("the campaign is paused, and enrolls nobody", "dunlin campaigns resume "+a.Campaign)
	}
	if a.waits != "" {
		because("segment "+a.definition.Segment+" has changed unusually, and enrolls nobody until somebody accepts that", "dunlin segments accept "+a.definition.Segment)
	}
	if s := a.Segment; s != nil {
		switch {
		case a.unready && !s.Member:
			because("the customers of account "+a.Account+" are not all here: nobody of it joins a segment before it is synced; see dunlin doctor", "")
		case s.Until != "" && !s.Member:
			because("not a member of segment "+s.Segment+": "+s.Until, "")
		case s.Until != "":
			because("a member of segment "+s.Segment+" whose rule is false now: "+s.Until, "")
		case !s.Member && s.True: // only of the past: the ticks had not seen it
			because("not a member of segment "+s.Segment+" yet: no tick had seen that its rule is true", "")
		case !s.Member:
			because("not a member of segment "+s.Segment, "")
		}
		if !s.True {
			for _, c := range lacking(s.Rule) {
				a.Change = append(a.Change, "if this were so: "+c)
			}
		}
		if s.Changes != nil {
			a.Change = append(a.Change, fmt.Sprintf("time alone makes the rule of %s %t at %s", s.Segment, !s.True, minute(s.Changes, zone)))
		}
	}
	if len(a.Because) > 0 || a.definition.Name == "" {
		return nil
	}
	if a.Trigger != "" {
		why, change, err := a.untriggered(ctx, tx, ref)
		because(why, change)
		return err
	}
	why, change, err := a.noEpisode(ctx, tx, ref)
	because(why, change)
	return err
}

// untriggered says why no event has enrolled the customer.
func (a *Answer) untriggered(ctx context.Context, tx pgx.Tx, ref customers.Ref) (why, change string, err error) {
	var last *time.Time
	err = tx.QueryRow(ctx, `
		select max(created_at) from dunlin.events
		where account_id = $1 and customer_id = $2 and type = $3 and created_at <= $4`, ref.Account, ref.Customer, a.Trigger, a.At).Scan(&last)
	if err != nil {
		return "", "", fmt.Errorf("read events: %w", err)
	}
	if last == nil {
		return "no event " + a.Trigger + " has happened", "", nil
	}
	why, another := "the last event "+a.Trigger+" was at "+minute(last, a.settings.Zone), "another event "+a.Trigger
	switch {
	case a.scopedAt != nil && !a.scopedAt.Equal(*a.StartedAt) && last.Before(*a.scopedAt):
		return why + ", before the campaign was edited to be about others", another, nil
	case last.Before(*a.StartedAt):
		return why + ", before the campaign was started", another, nil
	case a.At.Sub(*last) >= eventsWithin:
		return why + ": too long ago, it enrolls within 7 days", another, nil
	}
	return why + "; the next tick sees to it", "", nil
}

// noEpisode says why a member is not enrolled.
func (a *Answer) noEpisode(ctx context.Context, tx pgx.Tx, ref customers.Ref) (why, change string, err error) {
	p, err := a.picture(ctx, tx, ref)
	if errors.Is(err, customers.ErrBefore) {
		return "a member, and what of is not known", "", nil
	}
	if err != nil {
		return "", "", err
	}
	switch d := a.definition; {
	case a.Segment != nil && a.Segment.Since != nil && a.Segment.Since.Before(*a.StartedAt) && !d.EnrollExisting:
		return "was a member before the campaign was started, and it passes those over (existing: ignore)", "another join of segment " + d.Segment, nil
	case d.Episode.Kind == EpisodeCard && cardEpisode(p) == "":
		return "there is no card with an expiry, and each card is an episode", "a card", nil
	case d.Episode.Kind == EpisodeInvoice:
		return "no open invoice is overdue, and each one is an episode", "an invoice that falls due", nil
	case d.Episode.Kind == EpisodeSubscription:
		return "there is no subscription that has not ended, and each one is an episode", "a subscription", nil
	}
	return "a member; the next tick enrolls", "", nil
}

// conclude sums up: the newest enrollment decides, and in it what reached the
// customer before what waits, and that before what ended.
func (a *Answer) conclude() {
	if len(a.Enrollments) == 0 {
		a.Summary = "Not enrolled"
		if len(a.Because) > 0 {
			a.Summary += ": " + a.Because[0]
		}
		a.Summary += "."
		return
	}
	var reached *Taken
	for i := range a.Enrollments {
		for j := range a.Enrollments[i].Steps {
			if t := &a.Enrollments[i].Steps[j]; t.Contacts && (t.State == "sent" || t.State == "unknown") {
				reached = t
			}
		}
	}
	newest := &a.Enrollments[len(a.Enrollments)-1]
	a.Contacted = reached != nil
	a.Summary = a.sum(reached, newest)
	if a.again {
		a.Summary += fmt.Sprintf(" A member with the same %s, and each %[1]s is taken up once.", a.once())
	}
	switch {
	case newest.State != "active":
		a.afterTheEnd(newest)
	case a.State == Halted:
		a.Change = append(a.Change, "dunlin campaigns resume "+a.Campaign)
	case a.StoppedAt != nil:
		a.Change = append(a.Change, "dunlin resume")
	}
	for i := range newest.Steps {
		t := &newest.Steps[i]
		if t.State == "sent" || t.State == "claimed" || t.State == "failed" && newest.State == "exited" || Reason(t.Reason) == Paused && a.State == Halted || Reason(t.Reason) == Stopped && a.StoppedAt != nil {
			continue
		}
		if newest.State != "active" && t.Reason == newest.Reason { // it ended with the enrollment
			continue
		}
		if change := a.toChange(t); change != "" {
			a.Change = append(a.Change, t.Step+": "+change)
		}
	}
	if newest.State == "active" && a.Segment != nil && a.Segment.Changes != nil && !a.definition.NeverExit {
		a.Change = append(a.Change, fmt.Sprintf("time alone makes the rule of %s %t at %s", a.Segment.Segment, !a.Segment.True, minute(a.Segment.Changes, a.settings.Zone)))
	}
}

// afterTheEnd says what would begin another enrollment.
func (a *Answer) afterTheEnd(p *Passage) {
	if s := a.Segment; s != nil && Reason(p.Reason) == LeftSegment && !s.Member {
		for _, c := range lacking(s.Rule) {
			a.Change = append(a.Change, "if this were so: "+c)
		}
		if s.Changes != nil {
			a.Change = append(a.Change, fmt.Sprintf("time alone makes the rule of %s %t at %s", s.Segment, !s.True, minute(s.Changes, a.settings.Zone)))
		}
	}
	switch once, reason := a.once(), Reason(p.Reason); {
	case once != "" && (a.again || reason == LeftSegment || reason == EpisodeOver || reason == AlreadyMember):
		a.Change = append(a.Change, "another "+once+", while a member: each is taken up once")
	case reason == AlreadyMember:
		a.Change = append(a.Change, "another join of segment "+a.definition.Segment)
	case reason == EventTooOld:
		a.Change = append(a.Change, "another event "+a.Trigger)
	}
}

// once is what the campaign takes up once and never again, in a word: a card, an
// invoice or a subscription. Empty: it counts entries, days or events.
func (a *Answer) once() string {
	switch k := a.definition.Episode.Kind; k {
	case EpisodeCard, EpisodeInvoice, EpisodeSubscription:
		return string(k)
	}
	return ""
}

// readAgain looks whether somebody whose enrollments have ended is a member, and
// not enrolled again because there is nothing new to be enrolled about.
func (a *Answer) readAgain(ctx context.Context, tx pgx.Tx, ref customers.Ref) error {
	if a.once() == "" || a.Segment == nil || !a.Segment.Member || len(a.Enrollments) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, p := range a.Enrollments {
		if p.State == "active" || p.State == "finished" && p.EndedAt != nil && (a.Segment.Since == nil || !a.Segment.Since.After(*p.EndedAt)) {
			return nil // under way, or a member ever since
		}
		known[p.Episode] = true
	}
	now, err := a.episodes(ctx, tx, ref)
	a.again = len(now) > 0 && !slices.ContainsFunc(now, func(episode string) bool { return !known[episode] })
	return err
}

// episodes are what a member would be enrolled about; none where it is not known.
func (a *Answer) episodes(ctx context.Context, tx pgx.Tx, ref customers.Ref) (list []string, err error) {
	args := pgx.StrictNamedArgs{"account": ref.Account, "customer": ref.Customer}
	var sql string
	switch kind := a.definition.Episode.Kind; {
	case kind == EpisodeCard:
		p, err := a.picture(ctx, tx, ref)
		if errors.Is(err, customers.ErrBefore) {
			return nil, nil
		}
		if card := cardEpisode(p); err == nil && card != "" {
			list = append(list, card)
		}
		return list, err
	case a.past: // which were open then is not kept
		return nil, nil
	case kind == EpisodeInvoice:
		args["at"] = a.At
		sql = `select i.id from dunlin.invoices i where i.account_id = @account and i.customer_id = @customer and ` + overdueInvoiceSQL
	default:
		sql = `select s.id from dunlin.subscriptions s where s.account_id = @account and s.customer_id = @customer and ` + openSubscriptionSQL
	}
	rows, err := tx.Query(ctx, sql, args)
	if err == nil {
		list, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("read episodes: %w", err)
	}
	return list, nil
}

// picture is the customer as of the instant that is asked about.
func (a *Answer) picture(ctx context.Context, tx pgx.Tx, ref customers.Ref) (customers.Picture, error) {
	if a.past {
		return customers.LoadAt(ctx, tx, ref, a.At)
	}
	return customers.Load(ctx, tx, ref)
}

// sum is the sentence that answers first.
func (a *Answer) sum(reached *Taken, newest *Passage) string {
	zone := a.settings.Zone
	claimed := func() string { return minute(cmp.Or(reached.ClaimedAt, reached.EndedAt), zone) }
	switch {
	case reached != nil && reached.State == "unknown":
		return fmt.Sprintf("Contacted, perhaps: step %s at %s; Intercom gave no clear answer.", reached.Step, claimed())
	case reached != nil:
		return fmt.Sprintf("Contacted: step %s at %s.", reached.Step, claimed())
	}
	var ended *Taken
	for i := range newest.Steps {
		t := &newest.Steps[i]
		switch {
		case t.State == "planned" && t.DueAt != nil && !t.DueAt.After(a.At):
			return fmt.Sprintf("Not contacted yet: step %s is due since %s.", t.Step, minute(t.DueAt, zone))
		case t.State == "planned" && t.Reason == "":
			return fmt.Sprintf("Not contacted yet: step %s is planned for %s.", t.Step, minute(t.DueAt, zone))
		case t.State == "planned":
			return fmt.Sprintf("Not contacted yet: step %s waits (%s) until %s.", t.Step, t.Words, minute(t.DueAt, zone))
		case t.State == "claimed":
			return fmt.Sprintf("Not contacted yet: step %s is under way.", t.Step)
		}
		if ended == nil || ended.EndedAt == nil || t.EndedAt != nil && !t.EndedAt.Before(*ended.EndedAt) {
			ended = t
		}
	}
	switch {
	case newest.Words != "":
		return fmt.Sprintf("Not contacted: the enrollment ended at %s (%s).", minute(newest.EndedAt, zone), newest.Words)
	case ended != nil && ended.Words != "":
		return fmt.Sprintf("Not contacted: step %s was %s (%s).", ended.Step, ended.State, ended.Words)
	case ended != nil:
		return fmt.Sprintf("Not contacted: step %s was %s.", ended.Step, ended.State)
	}
	return "Not contacted: the enrollment has no steps."
}
