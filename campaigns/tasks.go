package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments/rule"
)

// relapse is how long after a task is done a customer who is back gets the same
// task opened again, with its ticket, instead of a second one.
const relapse = 14 * 24 * time.Hour

// openTask writes the task of a claim and returns its id. It is the one that an
// earlier attempt wrote; or the former one of the same step, done within the
// last two weeks for an earlier episode, which goes over to this one and is open
// again; or a new one. It gets an owner at once if somebody of the team has room
// today. It runs in the claim's transaction; afterwards [keptTask] says what the
// claim has to know of it.
func (s *Store) openTask(ctx context.Context, tx pgx.Tx, x *situated, c Claim, now time.Time) (int64, error) {
	week := team(x.Settings, x.Step.Team)
	if week.assigns(now) {
		if err := assigning(ctx, tx); err != nil {
			return 0, err
		}
	}
	owner, err := s.ownerFor(ctx, tx, week, x.Step.Team, c.Key, now)
	if err != nil {
		return 0, err
	}
	amount, currency := moneyAtRisk(x.picture)
	args := c.Key.args("title", c.Title, "body", c.Body, "team", x.Step.Team, "amount", amount, "currency", currency,
		"now", now, "due", week.add(now, x.Step.Due), "owner", owner, "relapse", now.Add(-relapse), "note", "Open again: "+c.Title+". "+c.Body)
	var id int64
	err = tx.QueryRow(ctx, `
		with former as (
			select task_id, episode from dunlin.tasks
			where account_id = @account and customer_id = @customer and campaign = @campaign and step = @step
			  and (episode = @episode or state = 'done' and done_at > @relapse)
			order by episode = @episode desc, done_at desc limit 1 for update),
		again as (
			update dunlin.tasks t set
			       episode = @episode, title = @title, body = @body, team = @team, money_at_risk = @amount::text::numeric, money_at_risk_currency = @currency,
			       state = 'open', stays = false, opened_at = @now, due_at = @due, done_at = null, done_because = null, snoozed_until = null,
			       owner = @owner::bigint, assigned_at = case when @owner::bigint is not null then @now::timestamptz end,
			       note = case when ticket_id is not null then @note end, notes = notes + 1, contact_note = null
			from former f where t.task_id = f.task_id and f.episode <> @episode),
		fresh as (
			insert into dunlin.tasks (account_id, customer_id, campaign, episode, step, title, body, team, money_at_risk, money_at_risk_currency,
			                          opened_at, due_at, owner, assigned_at)
			select @account::int, @customer::bigint, @campaign::text, @episode::text, @step::text, @title::text, @body::text, @team::text,
			       @amount::text::numeric, @currency::text, @now::timestamptz, @due::timestamptz, @owner::bigint, case when @owner::bigint is not null then @now::timestamptz end
			where not exists (select from former)
			returning task_id)
		select task_id from former union all select task_id from fresh`, args).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("open task: %w", err)
	}
	return id, nil
}

// moneyAtRisk is what is open, else what the customer pays a month; nil when
// neither is known.
func moneyAtRisk(v rule.Values) (amount, currency *string) {
	for _, name := range []string{"open_invoice_amount", "mrr"} {
		if m, ok := v.Value(name).(rule.Money); ok && m.Amount.Sign() > 0 {
			a := m.Amount.String()
			return &a, &m.Currency
		}
	}
	return nil, nil
}

// keptTask is what a claim has to know of its task: the Intercom admin who owns
// it, 0 while nobody does, and the ticket it has already, if it was open before.
// With a ticket the delivery is complete: nothing is posted a second time
// (one-contact), and the ticket is told what changed like any other.
func keptTask(ctx context.Context, tx pgx.Tx, id int64) (owner int64, ticket string, err error) {
	err = tx.QueryRow(ctx, `select coalesce(owner, 0), coalesce(ticket_id, '') from dunlin.tasks where task_id = $1`, id).Scan(&owner, &ticket)
	if err != nil {
		return 0, "", fmt.Errorf("read task %d: %w", id, err)
	}
	return owner, ticket, nil
}

// ticketOpened records the ticket that was opened for a claim's task, with the
// owner it was given there.
func ticketOpened(ctx context.Context, tx pgx.Tx, key Key, ticket string, owner int64, now time.Time) error {
	_, err := tx.Exec(ctx, `update dunlin.tasks set ticket_id = @ticket, ticket_owner = nullif(@owner::bigint, 0), ask_at = @ask where `+oneDelivery,
		key.args("ticket", ticket, "owner", owner, "ask", now.Add(askEvery)))
	if err != nil {
		return fmt.Errorf("record ticket: %w", err)
	}
	return nil
}

// noOpenTask holds of an enrollment e that has no task to be done. One that has
// is under way: it ends with its reason, and its tasks with it.
const noOpenTask = `not exists (
	select from dunlin.tasks open
	where open.account_id = e.account_id and open.customer_id = e.customer_id and open.campaign = e.campaign and open.episode = e.episode
	  and open.state = 'open')`

// finishAfter ends the enrollments of tasks that were the last to be done.
func finishAfter(ctx context.Context, tx pgx.Tx, tasks []int64, now time.Time) error {
	_, err := tx.Exec(ctx, `
		with last as (
			select e.account_id, e.customer_id, e.campaign, e.episode
			from dunlin.tasks t join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
			where t.task_id = any (@tasks) and e.state = 'active' and `+noOpenTask+`
			  and not exists (
				select from dunlin.deliveries d
				where d.account_id = e.account_id and d.customer_id = e.customer_id and d.campaign = e.campaign and d.episode = e.episode
				  and d.state in ('planned', 'claimed'))
			order by e.account_id, e.customer_id, e.campaign, e.episode
			for update of e)
		update dunlin.enrollments e set state = 'finished', ended_at = @now from last
		where e.account_id = last.account_id and e.customer_id = last.customer_id and e.campaign = last.campaign and e.episode = last.episode`,
		pgx.StrictNamedArgs{"tasks": tasks, "now": now})
	if err != nil {
		return fmt.Errorf("finish enrollments after tasks: %w", err)
	}
	return nil
}

// none reports that a query found no row.
func none(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
