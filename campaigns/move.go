package campaigns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// A Move is what moving enrollments to another version did, or would do.
type Move struct {
	Campaign string      `json:"campaign"`
	Version  int         `json:"version"` // moved to
	Moved    int64       `json:"moved"`   // enrollments
	Steps    []MovedStep `json:"steps"`   // of the version, in its order, then those that are gone
}

// A MovedStep counts what became of one step.
type MovedStep struct {
	Step      string `json:"step"`
	Planned   int64  `json:"planned"`   // it is new to the enrollment, and planned
	Retimed   int64  `json:"retimed"`   // it was planned, and has another time now
	Unchanged int64  `json:"unchanged"` // it was planned, and is due as before
	Passed    int64  `json:"passed"`    // its time has passed, and catch_up does not keep it: skipped
	Done      int64  `json:"done"`      // it has had its turn, and keeps what came of it
	Gone      int64  `json:"gone"`      // the version does not have it: skipped
}

// Move moves enrollments that are under way to the version in force: all of a
// campaign's, or one customer's. Steps of the same name stay what they are
// (one-contact): what was sent stays sent, what is planned follows the version's
// times. Steps that are gone are skipped. New ones, and those whose time is
// another, are reckoned as at an enrollment that begins now. Nothing is sent by
// this: what is due is decided as ever.
func (s *Store) Move(ctx context.Context, tx pgx.Tx, name string, only *customers.Ref, now time.Time) (Move, error) {
	if err := segments.HoldTicks(ctx, tx); err != nil {
		return Move{}, err
	}
	settings, err := workspace.Load(ctx, tx)
	if err != nil {
		return Move{}, err
	}
	d, err := s.InForce(ctx, tx, settings, name)
	if err != nil {
		return Move{}, err
	}
	args := pgx.NamedArgs{
		"campaign": name, "version": d.Version, "at": now, "zone": settings.Zone.String(), "priority": d.Priority,
		"account": nil, "customer": nil, "goal_within": nil,
		"late": Superseded, "gone": StepGone, "reentry": ReentryWait, "missing": AnchorMissing,
	}
	if only != nil {
		args["account"], args["customer"] = only.Account, only.Customer
	}
	if d.CatchUp == CatchUpNone {
		args["late"] = TooLate
	}
	if d.Goal != nil {
		args["goal_within"] = d.GoalWithin
	}
	addSteps(args, d)
	if err := s.movable(ctx, tx, settings, d, args); err != nil {
		return Move{}, err
	}
	out := Move{Campaign: name, Version: d.Version}
	counts, err := move(ctx, tx, d, args, &out.Moved)
	if err != nil {
		return Move{}, fmt.Errorf("move enrollments of campaign %q: %w", name, err)
	}
	if err := s.leaveBehind(ctx, tx, d, now); err != nil {
		return Move{}, err
	}
	for _, step := range d.Steps {
		out.Steps = append(out.Steps, counts.of(step.Name))
		delete(counts, step.Name)
	}
	for _, step := range slices.Sorted(maps.Keys(counts)) {
		out.Steps = append(out.Steps, counts.of(step))
	}
	return out, nil
}

// leaveBehind ends the enrollments that the version moved to is not for: ticks end
// those of customers who leave a segment, and these never were in it.
func (s *Store) leaveBehind(ctx context.Context, tx pgx.Tx, d Definition, now time.Time) error {
	waiting, err := segments.Waiting(ctx, tx)
	if err != nil || d.NeverExit || waiting[d.Segment] || d.Segment == "" {
		return err
	}
	known, err := membersKnown(ctx, tx, d)
	if err != nil || !known {
		return err // whoever is not in the list that is being built leaves with it
	}
	return end(ctx, tx, d, segments.Tick{At: now, Everyone: true})
}

// toMoveSQL is which enrollments e are to be moved.
const toMoveSQL = `e.campaign = @campaign and e.state = 'active' and e.version <> @version
	and (@account::int is null or e.account_id = @account and e.customer_id = @customer)`

// movable locks what is to be moved, so that what follows sees it as it stands,
// and refuses enrollments that the version would not know: they are about
// something else.
func (s *Store) movable(ctx context.Context, tx pgx.Tx, settings workspace.Settings, d Definition, args pgx.NamedArgs) error {
	rows, err := tx.Query(ctx, `
		with locked as (
			select e.version from dunlin.enrollments e where `+toMoveSQL+`
			order by e.account_id, e.customer_id, e.episode
			for update of e)
		select distinct version from locked order by version`, args)
	if err != nil {
		return fmt.Errorf("lock enrollments of campaign %q: %w", d.Name, err)
	}
	versions, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("lock enrollments of campaign %q: %w", d.Name, err)
	}
	for _, v := range versions {
		was, err := s.definition(ctx, tx, settings, d.Name, v)
		if errors.As(err, &unreadable{}) {
			continue // the version in force mends that
		}
		if err != nil {
			return err
		}
		if was.Episode.Kind != d.Episode.Kind {
			return fmt.Errorf("campaign %q: enrollments of version %d are each about one %s, those of version %d about one %s; they cannot be moved, and end by themselves",
				d.Name, v, was.Episode.Kind, d.Version, d.Episode.Kind)
		}
	}
	return nil
}

// move does it, in two statements: the deliveries, and then the enrollments of
// which nothing is left.
func move(ctx context.Context, tx pgx.Tx, d Definition, args pgx.NamedArgs, moved *int64) (stepCounts, error) {
	const enrollment = "(partition by account_id, customer_id, episode)"
	rows, err := tx.Query(ctx, `
		with moved as (
			update dunlin.enrollments e set version = @version, goal_until = e.enrolled_at + @goal_within::interval
			where `+toMoveSQL+`
			returning e.account_id, e.customer_id, e.episode, e.starts_at, e.anchored_at),
		kept as (
			insert into dunlin.enrollment_moves (account_id, customer_id, campaign, episode, moved_at, version)
			select e.account_id, e.customer_id, e.campaign, e.episode, @at::timestamptz, e.version
			from dunlin.enrollments e where `+toMoveSQL+`
			on conflict do nothing), -- moved twice at an instant: until then it was on the first one
		stands as (
			select x.account_id, x.customer_id, x.episode, x.step, x.state, x.scheduled_at as was, x.not_before,
			       x.state = 'skipped' and x.reason = @gone as gone
			from dunlin.deliveries x join moved using (account_id, customer_id, episode)
			where x.campaign = @campaign),
		timed as (
			select m.account_id, m.customer_id, m.episode, m.starts_at, s.step, s.action, s.contacts, s.expires,
			       x.state, x.was, x.not_before, coalesce(x.gone, true) as fresh, `+anchorSQL(d)+` + s.at as own_time
			from moved m
			join dunlin.customers c using (account_id, customer_id)
			cross join `+stepsSQL+`
			left join stands x using (account_id, customer_id, episode, step)
			-- What was skipped takes nobody's place.
			where x.state is distinct from 'skipped' or x.gone),
		reckoned as (
			select *, greatest(starts_at, @at::timestamptz) as begins,
			       fresh or state = 'planned' and was is distinct from greatest(own_time, starts_at, not_before) as anew,
			       `+lateSQL(d, "greatest(starts_at, @at::timestamptz)", enrollment)+` as late
			from timed),
		again as (
			insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, contacts, priority, state, reason,
			                               scheduled_at, due_at, expires_at, ended_at, not_before)
			select account_id, customer_id, @campaign, episode, step, action, contacts, @priority,
			       case when late then 'skipped' else 'planned' end,
			       case when late then @late::text when own_time is null then @missing::text when starts_at > @at::timestamptz then @reentry::text end,
			       case when own_time is not null then greatest(own_time, begins) end,
			       case when own_time is null then @at::timestamptz else greatest(own_time, begins) end,
			       case when own_time is not null then greatest(own_time, begins) + expires end,
			       case when late then @at::timestamptz end, @at::timestamptz
			from reckoned where anew
			on conflict on constraint deliveries_one_contact do update set
			       action = excluded.action, contacts = excluded.contacts, priority = excluded.priority,
			       state = excluded.state, reason = excluded.reason, scheduled_at = excluded.scheduled_at, due_at = excluded.due_at,
			       expires_at = excluded.expires_at, ended_at = excluded.ended_at, not_before = excluded.not_before, poked_until = null
			where deliveries.state = 'planned' or deliveries.state = 'skipped' and deliveries.reason = @gone),
		as_before as (
			update dunlin.deliveries x set action = r.action, contacts = r.contacts, priority = @priority, expires_at = x.scheduled_at + r.expires
			from reckoned r
			where not r.anew and r.state = 'planned' and x.account_id = r.account_id and x.customer_id = r.customer_id
			  and x.campaign = @campaign and x.episode = r.episode and x.step = r.step and x.state = 'planned'),
		gone as (
			update dunlin.deliveries x set state = 'skipped', reason = @gone, ended_at = @at
			from moved m
			where x.account_id = m.account_id and x.customer_id = m.customer_id and x.campaign = @campaign and x.episode = m.episode
			  and x.state = 'planned' and x.step <> all(@steps::text[])
			returning x.step)
		select '' as step, 'moved' as became, count(*) from moved
		union all
		select step, case when anew and late then 'passed' when fresh then 'planned' when anew then 'retimed'
		                  when state = 'planned' then 'unchanged' else 'done' end, count(*)
		from reckoned group by 1, 2
		union all
		select step, 'done', count(*) from stands where state = 'skipped' and not gone and step = any(@steps::text[]) group by 1
		union all
		select step, 'gone', count(*) from gone group by 1`, args)
	if err != nil {
		return nil, err
	}
	counts := stepCounts{}
	var step, became string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&step, &became, &n}, func() error {
		if became == "moved" {
			*moved = n
			return nil
		}
		counts.add(step, became, n)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `
		update dunlin.enrollments e set state = 'finished', ended_at = @at
		where e.campaign = @campaign and e.version = @version and e.state = 'active' and `+noOpenTask+`
		  and not exists (
			select from dunlin.deliveries d
			where d.account_id = e.account_id and d.customer_id = e.customer_id and d.campaign = e.campaign and d.episode = e.episode
			  and d.state in ('planned', 'claimed'))`, args)
	return counts, err
}

// stepCounts are how many deliveries became what, by step.
type stepCounts map[string]map[string]int64

func (c stepCounts) add(step, became string, n int64) {
	if c[step] == nil {
		c[step] = map[string]int64{}
	}
	c[step][became] += n
}

func (c stepCounts) of(step string) MovedStep {
	n := c[step]
	return MovedStep{
		Step: step, Planned: n["planned"], Retimed: n["retimed"], Unchanged: n["unchanged"],
		Passed: n["passed"], Done: n["done"], Gone: n["gone"],
	}
}
