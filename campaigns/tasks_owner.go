package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// team is when a team works. The dates on which the workspace is quiet are its
// holidays; the days of the week are its own.
func team(s workspace.Settings, name string) workingTime {
	free := workspace.QuietDays{Dates: s.QuietDays.Dates}
	return workingTime{Rota: s.Rota(name), Holiday: func(d rule.Date) bool {
		return free.Includes(time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC))
	}}
}

// A load is how much one owner has on their hands.
type load struct {
	Owner int64
	Open  int       // tasks to be done
	Today int       // tasks given to them today, done or not
	Last  time.Time // when they were last given one; zero: never
}

// assign picks who gets a task: whoever had a task of this customer before, else
// the one who was given the fewest today, then has the fewest open, then has
// waited longest; of equals the first. Nobody gets more than atMost in a day
// (0: any number). 0: nobody has room, and the task waits.
func assign(loads []load, atMost int, former int64) int64 {
	room := slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return atMost > 0 && l.Today >= atMost })
	if len(room) == 0 {
		return 0
	}
	if slices.ContainsFunc(room, func(l load) bool { return l.Owner == former }) {
		return former
	}
	return slices.MinFunc(room, func(a, b load) int {
		return cmp.Or(cmp.Compare(a.Today, b.Today), cmp.Compare(a.Open, b.Open), a.Last.Compare(b.Last))
	}).Owner
}

// assigns reports whether somebody of the team could be given a task now.
func (w workingTime) assigns(now time.Time) bool {
	_, works := w.today(now)
	return works && len(w.Owners) > 0
}

// ownerFor picks the owner of a customer's task, while [assigning] holds; nil while
// it has to wait, on a day off or because nobody has room today.
func (s *Store) ownerFor(ctx context.Context, tx pgx.Tx, week workingTime, team string, key Key, now time.Time) (*int64, error) {
	if !week.assigns(now) {
		return nil, nil
	}
	loads, err := loads(ctx, tx, week, now)
	if err != nil {
		return nil, err
	}
	var former int64
	err = tx.QueryRow(ctx, `
		select owner from dunlin.tasks where account_id = $1 and customer_id = $2 and team = $3 and owner is not null
		order by assigned_at desc limit 1`, key.Account, key.Customer, team).Scan(&former)
	if err != nil && !none(err) {
		return nil, fmt.Errorf("find the customer's owner: %w", err)
	}
	if owner := assign(loads, week.Cap, former); owner != 0 {
		return &owner, nil
	}
	return nil, nil
}

// assigning holds that until the transaction ends nobody else assigns, of whatever
// team: so no cap is exceeded by two at once. It comes before any lock of a task,
// so that those who assign do not wait in a ring.
func assigning(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('dunlin: tasks are assigned'))`); err != nil {
		return fmt.Errorf("assign tasks: %w", err)
	}
	return nil
}

// loads are those of a team's owners, in the order of the settings.
func loads(ctx context.Context, tx pgx.Tx, week workingTime, now time.Time) ([]load, error) {
	day, _ := week.today(now)
	rows, err := tx.Query(ctx, `
		select o.owner,
		       (select count(*) from dunlin.tasks t where t.owner = o.owner and t.state = 'open'),
		       (select count(*) from dunlin.tasks t where t.owner = o.owner and t.assigned_at >= @today),
		       (select max(t.assigned_at) from dunlin.tasks t where t.owner = o.owner)
		from unnest(@owners::bigint[]) with ordinality as o (owner, place) order by o.place`,
		pgx.StrictNamedArgs{"owners": week.Owners, "today": day.In(week.Zone)})
	if err != nil {
		return nil, fmt.Errorf("count the tasks of owners: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (l load, err error) {
		var last *time.Time
		if err = r.Scan(&l.Owner, &l.Open, &l.Today, &last); last != nil {
			l.Last = *last
		}
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("count the tasks of owners: %w", err)
	}
	return out, nil
}

// HandOut gives the tasks that wait in the queues of teams to those who have room
// today, the most money first. Money of several currencies is not compared: the
// first of each currency go before the second ones (honest-money). It returns how
// many found an owner. A task that somebody has put back at Intercom stays there.
func (s *Store) HandOut(ctx context.Context, now time.Time) (given int, err error) {
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		if err := assigning(ctx, tx); err != nil {
			return err
		}
		settings, err := workspace.Load(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			select distinct team from dunlin.tasks
			where state = 'open' and owner is null and assigned_at is null order by team`)
		if err != nil {
			return err
		}
		teams, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range teams {
			n, err := s.handOut(ctx, tx, team(settings, name), name, now)
			if err != nil {
				return fmt.Errorf("team %q: %w", name, err)
			}
			given += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("hand tasks out: %w", err)
	}
	return given, nil
}

// handOutAtMost bounds one look at a team's queue; the next look goes on.
const handOutAtMost = 500

func (s *Store) handOut(ctx context.Context, tx pgx.Tx, week workingTime, team string, now time.Time) (given int, err error) {
	// A row that somebody else is about to change is left to the next look: so this
	// waits for nobody while it holds rows.
	rows, err := tx.Query(ctx, `
		with waiting as (
			select task_id, row_number() over (partition by money_at_risk_currency order by money_at_risk desc nulls last, opened_at, task_id) as place
			from dunlin.tasks
			where team = $1 and state = 'open' and owner is null and assigned_at is null and (snoozed_until is null or snoozed_until <= $2))
		select t.task_id, t.account_id, t.customer_id from dunlin.tasks t join waiting using (task_id)
		where t.state = 'open' and t.owner is null and t.assigned_at is null
		order by place, t.money_at_risk_currency nulls last limit $3 for update of t skip locked`, team, now, handOutAtMost)
	if err != nil {
		return 0, err
	}
	type waiting struct {
		ID       int64
		Account  int
		Customer int64
	}
	queue, err := pgx.CollectRows(rows, pgx.RowToStructByPos[waiting])
	if err != nil {
		return 0, err
	}
	for _, t := range queue {
		owner, err := s.ownerFor(ctx, tx, week, team, Key{Account: t.Account, Customer: t.Customer}, now)
		if err != nil {
			return 0, err
		}
		if owner == nil {
			return given, nil // a day off, or all have enough for today
		}
		if _, err := tx.Exec(ctx, `update dunlin.tasks set owner = $2, assigned_at = $3 where task_id = $1`, t.ID, *owner, now); err != nil {
			return 0, err
		}
		given++
	}
	return given, nil
}
