package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// A TaskRow is a task as customer success sees it.
type TaskRow struct {
	ID           int64      `json:"id"`
	StripeID     string     `json:"customer"`
	Campaign     string     `json:"campaign"`
	Title        string     `json:"title"`
	Body         string     `json:"body"`
	Team         string     `json:"team"`
	Owner        *int64     `json:"owner"` // Intercom admin; null: it waits in the team's queue
	State        string     `json:"state"`
	DoneBecause  *string    `json:"done_because"`
	Amount       *string    `json:"-"`
	Currency     *string    `json:"-"`
	OpenedAt     time.Time  `json:"opened_at"`
	AssignedAt   *time.Time `json:"assigned_at"`
	DueAt        time.Time  `json:"due_at"`
	SnoozedUntil *time.Time `json:"snoozed_until"`
	DoneAt       *time.Time `json:"done_at"`
	TicketID     *string    `json:"ticket"`
	Detail       *string    `json:"detail"` // what Intercom said when it could not be told
}

// A TaskFilter says which tasks to list; the zero value lists what is to be done
// now: the open ones that are not snoozed.
type TaskFilter struct {
	Now   time.Time
	All   bool   // those that are snoozed or done, too
	Team  string // empty: all teams
	Owner int64  // 0: whoever owns them
}

// Tasks lists tasks, the open ones first, the one with the most money at risk
// first. Money of several currencies is not compared: each currency has its own
// order (honest-money).
func Tasks(ctx context.Context, q customers.Querier, f TaskFilter) ([]TaskRow, error) {
	rows, err := q.Query(ctx, `
		select t.task_id, c.stripe_id, t.campaign, t.title, t.body, t.team, t.owner, t.state, t.done_because,
		       t.money_at_risk::text, t.money_at_risk_currency, t.opened_at, t.assigned_at, t.due_at, t.snoozed_until, t.done_at, t.ticket_id, t.detail
		from dunlin.tasks t join dunlin.customers c using (account_id, customer_id)
		where (@all or t.state = 'open' and (t.snoozed_until is null or t.snoozed_until <= @now))
		  and (@team = '' or t.team = @team) and (@owner::bigint = 0 or t.owner = @owner)
		order by t.state desc, t.money_at_risk_currency nulls last, t.money_at_risk desc nulls last, t.due_at, t.task_id`,
		pgx.StrictNamedArgs{"now": f.Now, "all": f.All, "team": f.Team, "owner": f.Owner})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TaskRow])
}

// Stands is where a task stands, in a word: open, late, snoozed, or why it is
// done.
func (t TaskRow) Stands(now time.Time) string {
	switch {
	case t.State == "done" && t.DoneBecause != nil:
		return *t.DoneBecause
	case t.State == "done":
		return "done"
	case t.SnoozedUntil != nil && t.SnoozedUntil.After(now):
		return "snoozed"
	case t.DueAt.Before(now):
		return "late"
	}
	return "open"
}
