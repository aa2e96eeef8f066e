package campaigns

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// maxGoals is how many enrollments are asked for at once.
const maxGoals = 5000

// followGoals notes the goals that were reached, of the customers a tick names:
// under way, an enrollment ends with that; after its last step it still counts as
// long as the campaign says.
func (s *Store) followGoals(ctx context.Context, tx pgx.Tx, settings workspace.Settings, t segments.Tick) error {
	if !t.Everyone && len(t.Changed) == 0 && len(t.Moved) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `
		update dunlin.enrollments set goal_until = null
		where goal_until is not null and goal_at is null and goal_until <= $1 and $2`, t.At, t.Everyone); err != nil {
		return fmt.Errorf("end the look-out for goals: %w", err)
	}
	open, err := s.definitions(ctx, tx, settings, `
		select v.name, v.version, v.source from dunlin.campaign_versions v
		cross join lateral (
			select from dunlin.enrollments e
			where e.campaign = v.name and e.version = v.version and e.goal_until is not null and e.goal_at is null limit 1) e
		order by v.name, v.version`)
	if err != nil {
		return err
	}
	for _, d := range open {
		if d.Goal == nil {
			continue
		}
		err := reachGoals(ctx, tx, d, settings, t)
		if errors.Is(err, workspace.ErrNotFound) || errors.Is(err, segments.ErrRule) {
			// Claims wait for it, named. It must not hold up the others, nor the tick.
			s.Logger.Error("goal not evaluated", "campaign", d.Name, "version", d.Version, "error", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("campaign %q: %w", d.Name, err)
		}
	}
	return nil
}

func reachGoals(ctx context.Context, tx pgx.Tx, d Definition, settings workspace.Settings, t segments.Tick) error {
	rows, err := tx.Query(ctx, `
		select e.account_id, e.customer_id, e.campaign, e.episode, '' from dunlin.enrollments e
		where e.campaign = @campaign and e.version = @version and e.goal_until > @at and e.goal_at is null and `+amongSQL(t, d, "e")+`
		order by e.account_id, e.customer_id, e.episode`,
		amongArgs(t, pgx.NamedArgs{"campaign": d.Name, "version": d.Version, "segment": d.Segment, "at": t.At}))
	if err != nil {
		return fmt.Errorf("look for goals: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
	if err != nil || len(keys) == 0 {
		return err
	}
	parents, err := segments.ParentsOf(ctx, tx, d.Goal, settings.Currency)
	if err != nil {
		return err
	}
	for len(keys) > 0 {
		some := keys[:min(len(keys), maxGoals)]
		keys = keys[len(some):]
		holds, err := segments.HoldsFor(ctx, tx, d.Goal, parents, segments.Env(settings, t.At), refsOf(some))
		if err != nil {
			return err
		}
		var reached []Key
		for _, k := range some {
			if holds[k.Ref()] {
				reached = append(reached, k)
			}
		}
		if err := reachGoal(ctx, tx, reached, t); err != nil {
			return err
		}
	}
	return nil
}

func reachGoal(ctx context.Context, tx pgx.Tx, keys []Key, t segments.Tick) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		with reached as (
			update dunlin.enrollments e set goal_at = @at,
			       state = case e.state when 'active' then 'exited' else e.state end,
			       reason = case e.state when 'active' then @goal else e.reason end,
			       ended_at = coalesce(e.ended_at, @at)
			from `+keysSQL+` where `+sameEnrollment("e")+`)
		update dunlin.deliveries d set state = 'skipped', reason = @goal, ended_at = @at, decided_at = @at
		from `+keysSQL+` where `+sameEnrollment("d")+` and d.state = 'planned'`,
		columns(keys, pgx.StrictNamedArgs{"at": t.At, "goal": GoalReached}))
	if err != nil {
		return fmt.Errorf("note goals: %w", err)
	}
	return nil
}
