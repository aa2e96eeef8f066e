package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// revive gives a step its chance that was superseded by one whose condition then
// was not met: with catch_up: latest that is the latest step with anything to
// say, and without it the customer would be forgotten in silence (nothing-lost).
// It is due at once, and its time to expire counts from now.
func revive(ctx context.Context, tx pgx.Tx, list []decided, now time.Time) error {
	var unmet []decided
	var keys []Key
	for _, d := range list {
		if d.Verdict == Skip && d.Reason == ConditionFalse && d.definition.CatchUp == CatchUpLatest {
			unmet, keys = append(unmet, d), append(keys, d.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	standing, err := readStanding(ctx, tx, keys)
	if err != nil {
		return err
	}
	var revived []Key
	for i, d := range unmet {
		for _, step := range superseded(d.definition, d.key.Step, standing[i]) {
			k := d.key
			k.Step = step
			revived = append(revived, k)
		}
	}
	if len(revived) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, `
		update dunlin.deliveries d set state = 'planned', reason = null, ended_at = null, poked_until = null,
		       scheduled_at = @now, due_at = @now, not_before = @now
		from `+keysSQL+` where `+sameDelivery("d")+` and d.state = 'skipped' and d.reason = @superseded`,
		columns(revived, pgx.StrictNamedArgs{"now": now, "superseded": Superseded}))
	if err != nil {
		return fmt.Errorf("revive superseded steps: %w", err)
	}
	return nil
}

// A stand is where one step of an enrollment stands.
type stand struct {
	State     string
	Reason    Reason
	Scheduled *time.Time // not before the enrollment's start
	Until     time.Time  // it ended then, but not before the enrollment's start
}

// readStanding reads, for each key, the steps of its enrollment, by name.
func readStanding(ctx context.Context, tx pgx.Tx, keys []Key) ([]map[string]stand, error) {
	rows, err := tx.Query(ctx, `
		select k.place, d.step, d.state, coalesce(d.reason, ''), d.scheduled_at, greatest(d.ended_at, e.starts_at)
		from `+keysSQL+`
		join dunlin.enrollments e on `+sameEnrollment("e")+`
		join dunlin.deliveries d on `+sameEnrollment("d"), columns(keys, pgx.StrictNamedArgs{}))
	if err != nil {
		return nil, fmt.Errorf("read superseded steps: %w", err)
	}
	out := make([]map[string]stand, len(keys))
	for i := range out {
		out[i] = map[string]stand{}
	}
	var place int
	var step string
	var x stand
	_, err = pgx.ForEachRow(rows, []any{&place, &step, &x.State, &x.Reason, &x.Scheduled, &x.Until}, func() error {
		out[place-1][step] = x
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read superseded steps: %w", err)
	}
	return out, nil
}

// superseded are the steps that a step whose condition was not met had taken the
// place of: the latest before it, unless one between them had its turn.
func superseded(d Definition, unmet string, standing map[string]stand) (steps []string) {
	last, _ := d.Step(unmet)
	earlier := slices.DeleteFunc(slices.Clone(d.Steps), func(s Step) bool { return length(s.At) > length(last.At) || s.Name == unmet })
	slices.SortStableFunc(earlier, func(a, b Step) int { return cmp.Compare(length(b.At), length(a.At)) })
	var at time.Duration // of those found: ties were superseded together
	for _, s := range earlier {
		x, there := standing[s.Name]
		switch {
		case !there, x.State == "skipped" && x.Reason == ConditionFalse:
			continue
		case len(steps) > 0 && length(s.At) != at:
			return steps
		case x.State != "skipped" || x.Reason != Superseded || !standing[unmet].late(x):
			return steps
		}
		steps, at = append(steps, s.Name), length(s.At)
	}
	return steps
}

// late reports whether the time of a step had come when another was superseded.
func (x stand) late(other stand) bool { return x.Scheduled != nil && !x.Scheduled.After(other.Until) }
