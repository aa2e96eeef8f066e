package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// openTask writes the task of a claim, or finds the one an earlier attempt
// wrote, and returns its id. The money at risk is what is open, else what the
// customer pays a month.
func (s *Store) openTask(ctx context.Context, tx pgx.Tx, x situated, c Claim, now time.Time) (int64, error) {
	var amount, currency *string
	for _, name := range []string{"open_invoice_amount", "mrr"} {
		if m, ok := x.picture.Value(name).(rule.Money); ok && m.Amount.Sign() > 0 {
			a := m.Amount.String()
			amount, currency = &a, &m.Currency
			break
		}
	}
	args := pgx.NamedArgs(c.Key.args("title", c.Title, "body", c.Body, "team", x.Step.Team, "amount", amount, "currency", currency,
		"now", now, "due", now.Add(length(x.Step.Due))))
	var id int64
	err := tx.QueryRow(ctx, `
		insert into dunlin.tasks (account_id, customer_id, campaign, episode, step, title, body, team,
		                          money_at_risk, money_at_risk_currency, opened_at, due_at)
		values (@account, @customer, @campaign, @episode, @step, @title, @body, @team, @amount::text::numeric, @currency, @now, @due)
		on conflict (account_id, customer_id, campaign, episode, step) do update set title = excluded.title
		returning task_id`, args).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("open task: %w", err)
	}
	return id, nil
}

// A TaskRow is a task as customer success sees it.
type TaskRow struct {
	ID           int64      `json:"id"`
	StripeID     string     `json:"customer"`
	Campaign     string     `json:"campaign"`
	Title        string     `json:"title"`
	Body         string     `json:"body"`
	Team         string     `json:"team"`
	State        string     `json:"state"`
	Amount       *string    `json:"-"`
	Currency     *string    `json:"-"`
	OpenedAt     time.Time  `json:"opened_at"`
	DueAt        time.Time  `json:"due_at"`
	SnoozedUntil *time.Time `json:"snoozed_until"`
	TicketID     *string    `json:"ticket"`
}

// Tasks lists the open tasks that are not snoozed at now, or all of them and the
// done ones last, the one with the most money at risk first; money of several currencies is not
// compared, so each currency has its own order.
func Tasks(ctx context.Context, q customers.Querier, now time.Time, all bool) ([]TaskRow, error) {
	rows, err := q.Query(ctx, `
		select t.task_id, c.stripe_id, t.campaign, t.title, t.body, t.team, t.state, t.money_at_risk::text, t.money_at_risk_currency,
		       t.opened_at, t.due_at, t.snoozed_until, t.ticket_id
		from dunlin.tasks t join dunlin.customers c using (account_id, customer_id)
		where $2 or (t.state = 'open' and (t.snoozed_until is null or t.snoozed_until <= $1))
		order by t.state desc, t.money_at_risk_currency nulls last, t.money_at_risk desc nulls last, t.due_at, t.task_id`, now, all)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TaskRow])
}

// DoneTask marks a task as done.
func DoneTask(ctx context.Context, q customers.Querier, id int64, now time.Time) error {
	return changeTask(ctx, q, id, `update dunlin.tasks set state = 'done', done_at = coalesce(done_at, $2) where task_id = $1 returning task_id`, now)
}

// SnoozeTask hides a task until an instant.
func SnoozeTask(ctx context.Context, q customers.Querier, id int64, until time.Time) error {
	return changeTask(ctx, q, id, `update dunlin.tasks set snoozed_until = $2 where task_id = $1 and state = 'open' returning task_id`, until)
}

func changeTask(ctx context.Context, q customers.Querier, id int64, sql string, at time.Time) error {
	err := q.QueryRow(ctx, sql, id, at).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("open task %d: %w; see dunlin tasks", id, workspace.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("change task %d: %w", id, err)
	}
	return nil
}
