package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// An Outcome is what became of a claimed call.
type Outcome struct {
	Result     Result
	ExternalID string        // Intercom's id of what was made
	Detail     string        // what Intercom said, without names or addresses
	Retry      time.Duration // for NotDone: machine time until the next attempt
	Failure    Failure       // for NotDone: the answer, of those that are put up with only so often; empty: not one of them
}

// A Failure is an answer that says no, perhaps not for long.
type Failure string

// The failures.
const (
	ContactGone    Failure = "contact_gone"    // merged, archived or deleted
	WeMayNot       Failure = "we_may_not"      // the token, the plan or the app's permissions
	ValuesRefused  Failure = "values_refused"  // of attributes, whose types may have changed
	AddressFailing Failure = "address_failing" // of a webhook: it says no, or nothing
)

// Failed is how many answers in a row, up to this claim, were this failure. Claims
// that were given back without such an answer are no attempts.
func (c Claim) Failed(f Failure) int {
	if c.Failure != f {
		return 0
	}
	return c.Failures
}

// A Result is what is known of a call.
type Result string

// The results.
const (
	Accepted Result = "accepted" // Intercom did it
	Refused  Result = "refused"  // Intercom did not and would not: final
	NotDone  Result = "not_done" // surely not done, for a reason that may pass: planned again
	Unclear  Result = "unclear"  // it may have been done: unknown, looked for, and not tried again blindly
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
		// The enrollment first: of several steps that end at the same time, each one
		// sees those before it, and the last one ends the enrollment.
		if err := lockEnrollment(ctx, tx, c.Key); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			update dunlin.deliveries set state = @state, reason = nullif(@reason, ''), ended_at = @now,
			       external_id = nullif(@external, ''), detail = nullif(@detail, ''), leased_until = null,
			       contacted_at = case when @state <> 'failed' then contacted_at end, looks = 0,
			       doubted_at = case when @state = 'unknown' then clock_timestamp() end,
			       look_at = case when @state = 'unknown' then clock_timestamp() + @look::interval end
			where `+oneDelivery+` and token = md5(@token)::uuid and state in ('claimed', 'unknown')`,
			c.Key.args("state", state, "reason", reason, "now", now, "external", o.ExternalID, "detail", o.Detail, "token", c.Token, "look", s.LookAfter[0]))
		if err != nil {
			return err
		}
		if written = tag.RowsAffected() > 0; !written {
			return nil
		}
		if c.Action == Task && o.ExternalID != "" {
			if err := ticketOpened(ctx, tx, c.Key, o.ExternalID, c.Owner, now); err != nil {
				return err
			}
		}
		return finish(ctx, tx, []Key{c.Key}, now)
	})
	if err != nil {
		return false, fmt.Errorf("record delivery: %w", err)
	}
	return written, nil
}

// lockEnrollment locks the enrollment of a delivery. It comes before the locks of
// its deliveries.
func lockEnrollment(ctx context.Context, tx pgx.Tx, k Key) error {
	_, err := tx.Exec(ctx, `
		select from dunlin.enrollments
		where account_id = @account and customer_id = @customer and campaign = @campaign and episode = @episode
		for update`, k.argsWithoutStep())
	if err != nil {
		return fmt.Errorf("lock enrollment: %w", err)
	}
	return nil
}

// release gives a claim back: the call surely did nothing, or can be repeated. In
// the budget it counts on unless it surely reached nobody (one-budget). The delivery is
// planned again and decided afresh when its poke's lease runs out. The task row
// of a task stays; the next claim finds it.
func (s *Store) release(ctx context.Context, c Claim, o Outcome) (bool, error) {
	why := IntercomAway
	if c.Action == Webhook {
		why = WebhookFails
	}
	tag, err := s.Pool.Exec(ctx, `
		update dunlin.deliveries set state = 'planned', reason = @reason, detail = nullif(@detail, ''), token = null, leased_until = null,
		       contacted_at = case when action = any(@repeatable::text[]) then contacted_at end,
		       failure = coalesce(nullif(@failure::text, ''), failure),
		       failures = case @failure::text when '' then failures when failure then failures + 1 else 1 end,
		       poked_until = clock_timestamp() + @retry::interval
		where `+oneDelivery+` and token = md5(@token)::uuid and state = 'claimed'`,
		c.Key.args("reason", why, "detail", o.Detail, "retry", o.Retry, "token", c.Token, "repeatable", repeatable, "failure", o.Failure))
	if err != nil {
		return false, fmt.Errorf("release delivery: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// Postpone makes deliveries that could not even be decided (Intercom could not be
// asked about the contact, or deciding fails) wait, named, and be poked again after
// retry (machine time).
func (s *Store) Postpone(ctx context.Context, keys []Key, why Reason, detail string, retry time.Duration) error {
	_, err := s.Pool.Exec(ctx, `
		update dunlin.deliveries d set reason = @reason, detail = nullif(@detail, ''), poked_until = clock_timestamp() + @retry::interval
		from `+keysSQL+` where `+sameDelivery("d")+` and d.state = 'planned'`,
		columns(keys, pgx.StrictNamedArgs{"reason": why, "detail": detail, "retry": retry}))
	if err != nil {
		return fmt.Errorf("postpone deliveries: %w", err)
	}
	return nil
}

// sent ends deliveries whose effect is complete without a call.
func sent(ctx context.Context, tx pgx.Tx, keys []Key, details []string, now time.Time) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		with k as materialized (select k.*, w.detail from `+keysSQL+`
			join unnest(@details::text[]) with ordinality as w (detail, place) using (place))
		update dunlin.deliveries d set state = 'sent', reason = null, detail = k.detail, claimed_at = @now, decided_at = @now, ended_at = @now
		from k where `+sameDelivery("d"), columns(keys, pgx.StrictNamedArgs{"details": details, "now": now}))
	if err != nil {
		return fmt.Errorf("record deliveries: %w", err)
	}
	return finish(ctx, tx, keys, now)
}

// finish ends the enrollments of deliveries when none of theirs is left.
func finish(ctx context.Context, tx pgx.Tx, keys []Key, now time.Time) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		update dunlin.enrollments e set state = 'finished', ended_at = @now
		from `+keysSQL+`
		where `+sameEnrollment("e")+` and e.state = 'active' and `+noOpenTask+`
		  and not exists (
			select from dunlin.deliveries d
			where d.account_id = k.account_id and d.customer_id = k.customer_id and d.campaign = k.campaign and d.episode = k.episode
			  and d.state in ('planned', 'claimed'))`, columns(keys, pgx.StrictNamedArgs{"now": now}))
	if err != nil {
		return fmt.Errorf("finish enrollments: %w", err)
	}
	return nil
}

// repeatable are the actions that may be done again without harm: a second time
// changes nothing, or the receiver can tell.
var repeatable = []Action{Tag, Untag, Event, Attributes, Webhook}

// Sweep settles claims whose lease has run out: the worker died between claim
// and record. What may have reached somebody becomes unknown, is looked for, and
// not tried again blindly (one-contact); what can be done twice without harm is planned again. It
// returns how many it found.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int64, error) {
	var swept []Key
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			with lapsed as (
				select d.account_id, d.customer_id, d.campaign, d.episode, d.step, d.action = any(@repeatable::text[])
				       -- Of a lead Intercom keeps every event, also one that it has already.
				       and (d.action <> 'event' or exists (select from dunlin.links l where l.contact_id = d.contact_id and l.role = 'user')) as again
				from dunlin.deliveries d join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
				where d.state = 'claimed' and d.leased_until < clock_timestamp()
				for update of e skip locked)
			update dunlin.deliveries d set
			       state = case when again then 'planned' else 'unknown' end,
			       reason = case when again then null else @lost end,
			       ended_at = case when again then null else @now::timestamptz end,
			       token = case when again then null else token end,
			       doubted_at = case when again then null else clock_timestamp() end,
			       look_at = case when again then null else clock_timestamp() + @look::interval end,
			       looks = 0, leased_until = null, poked_until = null
			from lapsed k
			where `+sameDelivery("d")+` and d.state = 'claimed' and d.leased_until < clock_timestamp()
			returning d.account_id, d.customer_id, d.campaign, d.episode, d.step`,
			pgx.StrictNamedArgs{"now": now, "lost": WorkerLost, "repeatable": repeatable, "look": s.LookAfter[0]})
		if err != nil {
			return err
		}
		if swept, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Key]); err != nil {
			return err
		}
		return finish(ctx, tx, swept, now)
	})
	if err != nil {
		return 0, fmt.Errorf("sweep deliveries: %w", err)
	}
	return int64(len(swept)), nil
}

// pokeLease is how long a job that was inserted for a delivery is believed to
// be on its way. Machine time.
const pokeLease = 2 * time.Minute

// A Due is a batch of deliveries for jobs.
type Due struct {
	Urgent   []Key // their time has come
	Released []Key // they waited for something that ends for many at once: a night, a budget, a stop
}

// Poke takes up to limit deliveries that are due and that no job is on its way
// for, and returns them for jobs to be inserted in the same transaction. What
// belongs to one customer stays together, so that it is decided together.
func Poke(ctx context.Context, tx pgx.Tx, now time.Time, limit int) (Due, error) {
	rows, err := tx.Query(ctx, `
		with due as (
			select account_id, customer_id, campaign, episode, step, reason from dunlin.deliveries
			where state = 'planned' and due_at <= @now and (poked_until is null or poked_until < clock_timestamp())
			order by due_at limit @limit for update skip locked),
		poked as (
			update dunlin.deliveries d set poked_until = clock_timestamp() + @lease::interval
			from due where d.account_id = due.account_id and d.customer_id = due.customer_id and d.campaign = due.campaign
			  and d.episode = due.episode and d.step = due.step)
		select account_id, customer_id, campaign, episode, step, coalesce(reason, '') = any(@released::text[]) from due
		order by account_id, customer_id`,
		pgx.StrictNamedArgs{"now": now, "limit": limit, "lease": pokeLease, "released": releases})
	if err != nil {
		return Due{}, fmt.Errorf("find due deliveries: %w", err)
	}
	var out Due
	var k Key
	var released bool
	_, err = pgx.ForEachRow(rows, []any{&k.Account, &k.Customer, &k.Campaign, &k.Episode, &k.Step, &released}, func() error {
		if released {
			out.Released = append(out.Released, k)
		} else {
			out.Urgent = append(out.Urgent, k)
		}
		return nil
	})
	if err != nil {
		return Due{}, fmt.Errorf("find due deliveries: %w", err)
	}
	return out, nil
}

// releases are the reasons whose end comes for many deliveries at once.
var releases = []Reason{QuietNow, Stopped, Paused, SegmentWaits, DataOld, ZoneUnknown, TestOnly, BudgetSpent, TooClose}
