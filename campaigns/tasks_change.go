package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// A Beginner begins transactions: a pool, or a transaction for one inside it.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Why a task is done. Besides these it is done with what ended its enrollment.
const (
	doneByHand   = "done"      // dunlin tasks done
	doneContact  = "contacted" // the same, and the customer was spoken to
	doneAtTicket = "ticket"    // its ticket was resolved at Intercom
)

// DoneTask marks a task as done; its ticket is resolved afterwards. A task that
// was done by contacting the customer counts in the person's contact budget from
// now on (one-budget). Doing it twice is doing it once.
func DoneTask(ctx context.Context, db Beginner, id int64, contacted bool, now time.Time) error {
	return changeTask(ctx, db, id, func(tx pgx.Tx) error {
		because := doneByHand
		if contacted {
			because = doneContact
		}
		err := tx.QueryRow(ctx, `
			update dunlin.tasks set state = 'done', done_at = coalesce(done_at, $2),
			       done_because = case when done_because is null or $3 = 'contacted' then $3 else done_because end
			where task_id = $1 returning task_id`, id, now, because).Scan(&id)
		if err != nil {
			return err
		}
		if contacted {
			_, err := tx.Exec(ctx, `
				update dunlin.deliveries d set contacted_at = coalesce(d.contacted_at, $2), contact_id = coalesce(d.contact_id, l.contact_id)
				from dunlin.tasks t left join dunlin.links l using (account_id, customer_id)
				where t.task_id = $1 and d.account_id = t.account_id and d.customer_id = t.customer_id and d.campaign = t.campaign
				  and d.episode = t.episode and d.step = t.step`, id, now)
			if err != nil {
				return err
			}
		}
		return finishAfter(ctx, tx, []int64{id}, now)
	})
}

// SnoozeTask hides an open task until an instant, kept to the second as at
// Intercom.
func SnoozeTask(ctx context.Context, db Beginner, id int64, until time.Time) error {
	return changeTask(ctx, db, id, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			update dunlin.tasks set snoozed_until = $2 where task_id = $1 and state = 'open' returning task_id`,
			id, until.Truncate(time.Second)).Scan(&id)
	})
}

// ReopenTask opens a task that is done, or wakes one that is snoozed. It stays
// open until somebody does it, whatever ended its enrollment before.
func ReopenTask(ctx context.Context, db Beginner, id int64) error {
	return changeTask(ctx, db, id, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			update dunlin.tasks set state = 'open', stays = true,
			       done_at = null, done_because = null, snoozed_until = null, ask_at = null
			where task_id = $1 returning task_id`, id).Scan(&id)
	})
}

func changeTask(ctx context.Context, db Beginner, id int64, change func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := lockEnrollmentOf(ctx, tx, `task_id`, id); err != nil {
			return err
		}
		return change(tx)
	})
	if none(err) {
		return fmt.Errorf("open task %d: %w; see dunlin tasks", id, workspace.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("change task %d: %w", id, err)
	}
	return nil
}

// lockEnrollmentOf locks the enrollment of a task before the task itself is, as a
// tick and a claim do, so that none of them holds what another waits for.
func lockEnrollmentOf(ctx context.Context, tx pgx.Tx, column string, value any) error {
	_, err := tx.Exec(ctx, `
		select from dunlin.enrollments e join dunlin.tasks t using (account_id, customer_id, campaign, episode)
		where t.`+pgx.Identifier{column}.Sanitize()+` = $1 for update of e`, value)
	if err != nil {
		return fmt.Errorf("lock enrollment: %w", err)
	}
	return nil
}

// closeTasks closes the open tasks of enrollments that have ended with the reason
// they were made for: the customer has left the segment, reached the goal, or the
// episode is over. It looks at the customers a tick names, set-based, and runs in
// the tick's transaction after enrollments were ended; their tickets are resolved
// afterwards, with a note that says why. It returns how many it closed.
func closeTasks(ctx context.Context, tx pgx.Tx, t segments.Tick) (int64, error) {
	reasons, words := []string{}, []string{}
	for reason, w := range inWords {
		reasons, words = append(reasons, string(reason)), append(words, w)
	}
	accounts, ids := segments.Columns(t.Changed)
	tag, err := tx.Exec(ctx, `
		with over as (
			select t.task_id, e.reason
			from dunlin.tasks t join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
			where t.state = 'open' and e.state = 'exited' and not t.stays
			  and (@everyone or (t.account_id, t.customer_id) in (
				select * from unnest(@accounts::int[], @customers::bigint[])
				union all
				select account_id, customer_id from dunlin.membership_log where tick_id = @tick))
			order by t.task_id for update of t)
		update dunlin.tasks t set state = 'done', done_at = @at, done_because = o.reason,
		       note = 'Closed by Dunlin: ' || coalesce(w.words, o.reason) || '.', notes = notes + 1
		from over o left join unnest(@reasons::text[], @words::text[]) as w (reason, words) on w.reason = o.reason
		where t.task_id = o.task_id`,
		pgx.StrictNamedArgs{
			"at": t.At, "everyone": t.Everyone || len(t.Whole) > 0, "accounts": accounts, "customers": ids, "tick": t.ID,
			"reasons": reasons, "words": words,
		})
	if err != nil {
		return 0, fmt.Errorf("close tasks: %w", err)
	}
	return tag.RowsAffected(), nil
}

// CloseTasks closes the tasks of everybody whose enrollment has ended, for what
// no tick ended: a claim that found the customer recovered, or a task written
// while the tick ran (nothing-lost).
func (s *Store) CloseTasks(ctx context.Context, now time.Time) (closed int64, err error) {
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		closed, err = closeTasks(ctx, tx, segments.Tick{At: now, Everyone: true})
		return err
	})
	return closed, err
}
