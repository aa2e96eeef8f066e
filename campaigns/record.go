package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// An Outcome is what became of a claimed call.
type Outcome struct {
	Result     Result
	ExternalID string        // Intercom's id of what was made
	Detail     string        // what Intercom said, without names or addresses
	Retry      time.Duration // for NotDone: machine time until the next attempt
}

// A Result is what is known of a call.
type Result string

// The results.
const (
	Accepted Result = "accepted" // Intercom did it
	Refused  Result = "refused"  // Intercom did not and would not: final
	NotDone  Result = "not_done" // surely not done, for a reason that may pass: planned again
	Unclear  Result = "unclear"  // it may have been done: unknown, and never tried again
)

// Record writes what became of a claim. It is fenced by the claim's token: only
// the attempt that holds it, or held it until its lease lapsed, may say. It
// reports whether it did; false means another truth was recorded before.
func (s *Store) Record(ctx context.Context, c Claim, o Outcome, now time.Time) (bool, error) {
	var state, reason string
	switch o.Result {
	case Accepted:
		state = "sent"
	case Refused:
		state, reason = "failed", string(CallRefused)
	case Unclear:
		state, reason = "unknown", string(NoClearAnswer)
	case NotDone:
		return s.release(ctx, c, o)
	default:
		return false, fmt.Errorf("record delivery: no such result %q", o.Result)
	}
	written := false
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update dunlin.deliveries set state = @state, reason = nullif(@reason, ''), ended_at = @now,
			       external_id = nullif(@external, ''), detail = nullif(@detail, ''), leased_until = null
			where `+oneDelivery+` and token = md5(@token)::uuid and state in ('claimed', 'unknown')`,
			c.Key.args("state", state, "reason", reason, "now", now, "external", o.ExternalID, "detail", o.Detail, "token", c.Token))
		if err != nil {
			return err
		}
		if written = tag.RowsAffected() > 0; !written {
			return nil
		}
		if c.Action == Task && o.ExternalID != "" {
			if _, err := tx.Exec(ctx, `update dunlin.tasks set ticket_id = @ticket where `+oneDelivery, c.Key.args("ticket", o.ExternalID)); err != nil {
				return err
			}
		}
		return finish(ctx, tx, c.Key, now)
	})
	if err != nil {
		return false, fmt.Errorf("record delivery: %w", err)
	}
	return written, nil
}

// release gives a claim back: the call surely did nothing. The delivery is
// planned again and decided afresh when its poke's lease runs out. The task row
// of a task stays; the next claim finds it.
func (s *Store) release(ctx context.Context, c Claim, o Outcome) (bool, error) {
	tag, err := s.Pool.Exec(ctx, `
		update dunlin.deliveries set state = 'planned', reason = @reason, detail = nullif(@detail, ''), token = null, leased_until = null,
		       poked_until = clock_timestamp() + @retry::interval
		where `+oneDelivery+` and token = md5(@token)::uuid and state = 'claimed'`,
		c.Key.args("reason", IntercomAway, "detail", o.Detail, "retry", o.Retry, "token", c.Token))
	if err != nil {
		return false, fmt.Errorf("release delivery: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// Postpone makes a delivery that could not even be decided (Intercom could not
// be asked about the contact) wait, named, and be poked again after retry
// (machine time).
func (s *Store) Postpone(ctx context.Context, key Key, detail string, retry time.Duration) error {
	_, err := s.Pool.Exec(ctx, `
		update dunlin.deliveries set reason = @reason, detail = nullif(@detail, ''), poked_until = clock_timestamp() + @retry::interval
		where `+oneDelivery+` and state = 'planned'`,
		key.args("reason", IntercomAway, "detail", detail, "retry", retry))
	if err != nil {
		return fmt.Errorf("postpone delivery: %w", err)
	}
	return nil
}

// sent ends a delivery whose effect is complete without a call.
func sent(ctx context.Context, tx pgx.Tx, key Key, now time.Time, detail string) error {
	_, err := tx.Exec(ctx, `
		update dunlin.deliveries set state = 'sent', reason = null, detail = @detail, claimed_at = @now, decided_at = @now, ended_at = @now
		where `+oneDelivery, key.args("now", now, "detail", detail))
	if err != nil {
		return fmt.Errorf("record delivery: %w", err)
	}
	return finish(ctx, tx, key, now)
}

// fail ends a delivery that can never be made, such as one whose text does not
// render.
func fail(ctx context.Context, tx pgx.Tx, key Key, now time.Time, detail string) error {
	_, err := tx.Exec(ctx, `
		update dunlin.deliveries set state = 'failed', reason = 'template', detail = @detail, decided_at = @now, ended_at = @now
		where `+oneDelivery, key.args("now", now, "detail", detail))
	if err != nil {
		return fmt.Errorf("record failure: %w", err)
	}
	return finish(ctx, tx, key, now)
}

// finish ends the enrollment when none of its deliveries is left.
func finish(ctx context.Context, tx pgx.Tx, key Key, now time.Time) error {
	_, err := tx.Exec(ctx, `
		update dunlin.enrollments e set state = 'finished', ended_at = @now
		where e.account_id = @account and e.customer_id = @customer and e.campaign = @campaign and e.episode = @episode and e.state = 'active'
		  and not exists (
			select from dunlin.deliveries d
			where d.account_id = e.account_id and d.customer_id = e.customer_id and d.campaign = e.campaign and d.episode = e.episode
			  and d.state in ('planned', 'claimed'))`, key.argsWithoutStep("now", now))
	if err != nil {
		return fmt.Errorf("finish enrollment: %w", err)
	}
	return nil
}

// Sweep settles claims whose lease has run out: the worker died between claim
// and record. What may have reached somebody becomes unknown and is not tried
// again (one-contact); a tag, which can be set twice without harm, is planned
// again. It returns how many it found.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int64, error) {
	var swept []Key
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			update dunlin.deliveries set
			       state = case when action = 'tag' then 'planned' else 'unknown' end,
			       reason = case when action = 'tag' then null else 'worker_lost' end,
			       ended_at = case when action = 'tag' then null else $1::timestamptz end,
			       token = case when action = 'tag' then null else token end,
			       leased_until = null, poked_until = null
			where state = 'claimed' and leased_until < clock_timestamp()
			returning account_id, customer_id, campaign, episode, step`, now)
		if err != nil {
			return err
		}
		if swept, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Key]); err != nil {
			return err
		}
		slices.SortFunc(swept, func(a, b Key) int { // in the order in which a tick takes them
			return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Customer, b.Customer), cmp.Compare(a.Episode, b.Episode))
		})
		for _, key := range swept {
			if err := finish(ctx, tx, key, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("sweep deliveries: %w", err)
	}
	return int64(len(swept)), nil
}

// pokeLease is how long a job that was inserted for a delivery is believed to
// be on its way. Machine time.
const pokeLease = 2 * time.Minute

// Poke takes up to limit deliveries that are due and that no job is on its way
// for, and returns them for jobs to be inserted in the same transaction.
func Poke(ctx context.Context, tx pgx.Tx, now time.Time, limit int) ([]Key, error) {
	rows, err := tx.Query(ctx, `
		with due as (
			select account_id, customer_id, campaign, episode, step from dunlin.deliveries
			where state = 'planned' and due_at <= @now and (poked_until is null or poked_until < clock_timestamp())
			order by due_at limit @limit for update skip locked)
		update dunlin.deliveries d set poked_until = clock_timestamp() + @lease::interval
		from due where d.account_id = due.account_id and d.customer_id = due.customer_id and d.campaign = due.campaign
		  and d.episode = due.episode and d.step = due.step
		returning d.account_id, d.customer_id, d.campaign, d.episode, d.step`,
		pgx.StrictNamedArgs{"now": now, "limit": limit, "lease": pokeLease})
	if err != nil {
		return nil, fmt.Errorf("find due deliveries: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
	if err != nil {
		return nil, fmt.Errorf("find due deliveries: %w", err)
	}
	return keys, nil
}
