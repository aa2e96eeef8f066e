package campaigns

import (
	"cmp"
	"context"
	"encoding/json"
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

// passages are the enrollments with their steps, as they stood at the instant.
func (a *Answer) passages(ctx context.Context, tx pgx.Tx, ref customers.Ref) ([]Passage, error) {
	rows, err := tx.Query(ctx, `
		select e.episode, coalesce(m.version, e.version), e.state, coalesce(e.reason, ''), '', e.enrolled_at, e.starts_at, e.ended_at, e.held_out, e.goal_at, null
		from dunlin.enrollments e
		left join lateral (
			select m.version from dunlin.enrollment_moves m
			where m.account_id = e.account_id and m.customer_id = e.customer_id and m.campaign = e.campaign and m.episode = e.episode and m.moved_at > $4
			order by m.moved_at limit 1) m on true
		where e.account_id = $1 and e.customer_id = $2 and e.campaign = $3 and e.enrolled_at <= $4
		order by coalesce(e.anchored_at, e.enrolled_at), e.enrolled_at, e.episode`, ref.Account, ref.Customer, a.Campaign, a.At)
	if err != nil {
		return nil, fmt.Errorf("read enrollments: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Passage])
	if err != nil {
		return nil, fmt.Errorf("read enrollments: %w", err)
	}
	places := map[string]int{}
	for i := range list {
		p := &list[i]
		p.Steps = []Taken{}
		p.EnrolledAt, p.StartsAt, p.EndedAt, p.GoalAt = p.EnrolledAt.UTC(), p.StartsAt.UTC(), inUTC(p.EndedAt), inUTC(p.GoalAt)
		if p.EndedAt != nil && p.EndedAt.After(a.At) {
			p.State, p.Reason, p.EndedAt = "active", "", nil
		}
		if p.GoalAt != nil && p.GoalAt.After(a.At) {
			p.GoalAt = nil
		}
		if p.Reason != "" {
			p.Words = Reason(p.Reason).Words()
		}
		places[p.Episode] = i
	}
	rows, err = tx.Query(ctx, `
		select episode, step, action, state, coalesce(reason, ''), coalesce(variant, ''), coalesce(detail, ''), contacts or action = 'message',
		       scheduled_at, due_at, expires_at, claimed_at, ended_at
		from dunlin.deliveries
		where account_id = $1 and customer_id = $2 and campaign = $3
		order by step`, ref.Account, ref.Customer, a.Campaign)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	var episode string
	var d Taken
	_, err = pgx.ForEachRow(rows, []any{&episode, &d.Step, &d.Action, &d.State, &d.Reason, &d.Variant, &d.Detail, &d.Contacts,
		&d.ScheduledAt, &d.DueAt, &d.ExpiresAt, &d.ClaimedAt, &d.EndedAt}, func() error {
		if i, ok := places[episode]; ok {
			list[i].Steps = append(list[i].Steps, d.at(a.At))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	for i := range list {
		d, err := definitionOf(ctx, tx, a.settings, a.Campaign, list[i].Version)
		if err != nil && !errors.As(err, &unreadable{}) {
			return nil, err
		}
		if err == nil {
			list[i].Steps = slices.DeleteFunc(list[i].Steps, d.lacks)
		}
		slices.SortStableFunc(list[i].Steps, d.inOrder)
	}
	return list, nil
}

// lacks reports of a step that waits for its turn that the version does not have
// it: another one brought it, later than the instant that is asked about.
func (d *Definition) lacks(t Taken) bool {
	_, has := d.Step(t.Step)
	return !has && t.State == "planned"
}

// inOrder compares steps by their times, those without one last, and then by
// their places in the campaign.
func (d *Definition) inOrder(x, y Taken) int {
	place := func(t Taken) int {
		return slices.IndexFunc(d.Steps, func(s Step) bool { return s.Name == t.Step })
	}
	switch {
	case x.ScheduledAt == nil && y.ScheduledAt != nil:
		return 1
	case x.ScheduledAt != nil && y.ScheduledAt == nil:
		return -1
	case x.ScheduledAt != nil && !x.ScheduledAt.Equal(*y.ScheduledAt):
		return x.ScheduledAt.Compare(*y.ScheduledAt)
	}
	return cmp.Compare(place(x), place(y))
}

// at is a delivery as it stood at an instant, as far as its row tells.
func (t Taken) at(at time.Time) Taken {
	t.ScheduledAt, t.DueAt, t.ExpiresAt = inUTC(t.ScheduledAt), inUTC(t.DueAt), inUTC(t.ExpiresAt)
	t.ClaimedAt, t.EndedAt, t.Decisions = inUTC(t.ClaimedAt), inUTC(t.EndedAt), []Verdicted{}
	later := func(x *time.Time) bool { return x != nil && x.After(at) }
	switch {
	case later(t.ClaimedAt) || t.ClaimedAt == nil && later(t.EndedAt):
		t.State, t.Reason, t.Detail, t.ClaimedAt, t.EndedAt = "planned", "", "", nil, nil
	case later(t.EndedAt):
		t.State, t.Reason, t.Detail, t.EndedAt = "claimed", "", "", nil
	}
	if t.State != "planned" {
		t.DueAt = nil
	}
	if t.Reason != "" {
		t.Words = Reason(t.Reason).Words()
	}
	return t
}

// readDecisions reads the log up to the instant, and tells each line in words.
func (a *Answer) readDecisions(ctx context.Context, tx pgx.Tx, ref customers.Ref) error {
	rows, err := tx.Query(ctx, `
		select episode, step, decided_at, verdict, coalesce(reason, ''), until, version, inputs
		from dunlin.decisions
		where account_id = $1 and customer_id = $2 and campaign = $3 and decided_at <= $4
		order by decided_at, decision_id`, ref.Account, ref.Customer, a.Campaign, a.At)
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	var episode, step string
	var v Verdicted
	_, err = pgx.ForEachRow(rows, []any{&episode, &step, &v.At, &v.Verdict, &v.Reason, &v.Until, &v.Version, &v.Inputs}, func() error {
		line := v
		line.At, line.Until, line.Inputs, line.inputs = v.At.UTC(), inUTC(v.Until), append(json.RawMessage{}, v.Inputs...), inputs{}
		if err := json.Unmarshal(line.Inputs, &line.inputs); err != nil {
			return fmt.Errorf("inputs of step %q: %w", step, err)
		}
		line.Words, line.Arithmetic = line.Reason.Words(), line.arithmetic(a.settings.Zone)
		switch {
		case line.Verdict == Send:
			line.Words = "nothing stood against it"
		case line.inputs.By != "":
			line.Words += ", by " + line.inputs.By
		}
		if t := a.taken(episode, step); t != nil {
			t.Decisions = append(t.Decisions, line)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	return a.settleSteps(ctx, tx, ref)
}

func (a *Answer) taken(episode, step string) *Taken {
	for i := range a.Enrollments {
		if a.Enrollments[i].Episode != episode {
			continue
		}
		for j := range a.Enrollments[i].Steps {
			if a.Enrollments[i].Steps[j].Step == step {
				return &a.Enrollments[i].Steps[j]
			}
		}
	}
	return nil
}

// settleSteps takes what a step waited for at a past instant from the log, which
// its row does not tell any more, and asks again about conditions that were not
// met.
func (a *Answer) settleSteps(ctx context.Context, tx pgx.Tx, ref customers.Ref) error {
	for i := range a.Enrollments {
		p := &a.Enrollments[i]
		for j := range p.Steps {
			t := &p.Steps[j]
			last := t.last()
			if a.past && t.State == "planned" {
				t.Reason, t.Words, t.DueAt = "", "", t.ScheduledAt
				if last != nil && last.Verdict == Wait {
					t.Reason, t.Words, t.DueAt = string(last.Reason), last.Words, last.Until
				}
			}
			if Reason(t.Reason) != ConditionFalse || last == nil {
				continue
			}
			if err := a.askCondition(ctx, tx, ref, t, last.Version, last.At); err != nil {
				return err
			}
		}
	}
	return nil
}

// askCondition explains a step's if as of the decision that found it false.
func (a *Answer) askCondition(ctx context.Context, tx pgx.Tx, ref customers.Ref, t *Taken, version int, at time.Time) error {
	d, err := definitionOf(ctx, tx, a.settings, a.Campaign, version)
	if errors.As(err, &unreadable{}) {
		return nil // the values that the log keeps are all that can be told
	}
	if err != nil {
		return err
	}
	step, _ := d.Step(t.Step)
	if step.If == nil {
		return nil
	}
	s := segments.Segment{Rule: step.If, Parents: segments.Parents{}}
	if d.Segment != "" && len(step.If.Segments()) > 0 {
		of, err := segments.LoadAt(ctx, tx, d.Segment, a.settings.Currency, at)
		var fault *rule.Error
		if errors.As(err, &fault) || errors.Is(err, workspace.ErrNotFound) || err == nil && of.Parents.Missing(step.If) != "" {
			return nil
		}
		if err != nil {
			return err
		}
		s.Parents = of.Parents
	}
	answer, err := a.ask(ctx, tx, s, ref, at, true)
	t.If = answer.Rule
	return err
}

// last is the newest decision, nil when there is none.
func (t *Taken) last() *Verdicted {
	if len(t.Decisions) == 0 {
		return nil
	}
	return &t.Decisions[len(t.Decisions)-1]
}
