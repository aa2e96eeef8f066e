package campaigns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// A DeliveryName is how people name a delivery.
type DeliveryName struct {
	Customer string // id at Stripe
	Campaign string
	Step     string
	Account  string // empty: whichever has the customer
	Episode  string // empty: the only one in question
}

// A Settlement is what a person says of a delivery whose outcome is unknown.
type Settlement struct {
	Sent       bool
	ExternalID string // Intercom's id of what was made; needed for a task that has a ticket, else optional
	By         string
}

// SettleUnknown settles a delivery whose outcome is unknown, whether it is still
// looked for or not: it is sent, or planned again and decided afresh, and out of
// the contact budget (one-budget). It says what was, not what shall be: what is too
// late by now is not sent. What people said is kept in the decision log.
// Errors are for people.
func SettleUnknown(ctx context.Context, tx pgx.Tx, name DeliveryName, s Settlement, now time.Time) (Key, error) {
	x, err := name.pick(ctx, tx, "unknown", "there is nothing to settle")
	switch {
	case err != nil:
		return Key{}, err
	case !s.Sent:
		return x.key, planAgain(ctx, tx, x.key, said{SaidNotSent, s.By}, now)
	case x.action == Task && s.ExternalID == "":
		return Key{}, fmt.Errorf("step %q of campaign %q is a task: say which ticket it became, with --id", name.Step, name.Campaign)
	}
	err = found(ctx, tx, x.key, s.ExternalID, "settled by "+s.By, said{SaidSent, s.By}, now)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "tasks_ticket_id" {
		return Key{}, fmt.Errorf("ticket %s belongs to another task; see dunlin tasks --all", s.ExternalID)
	}
	if err != nil {
		return Key{}, fmt.Errorf("settle delivery: %w", err)
	}
	return x.key, nil
}

// RetryFailed plans a failed delivery again: it is decided afresh, and not too late
// because its cause took long to be mended. Errors are for people.
func RetryFailed(ctx context.Context, tx pgx.Tx, name DeliveryName, by string, now time.Time) (Key, error) {
	x, err := name.pick(ctx, tx, "failed", "there is nothing to try again")
	if err != nil {
		return Key{}, err
	}
	if x.enrollment == "exited" {
		return Key{}, fmt.Errorf("the enrollment of %s in campaign %q has ended: %s; its steps would be skipped", name.Customer, name.Campaign, x.ended.Words())
	}
	return x.key, planAgain(ctx, tx, x.key, said{TriedAgain, by}, now)
}

// A named delivery is one that a [DeliveryName] fits.
type named struct {
	key        Key
	account    string
	action     Action
	state      string
	enrollment string // its state
	ended      Reason // why; empty unless it was ended
}

// pick finds the one delivery of a name that is in a state, and locks it. An error
// says what there is instead, or how to tell several apart.
func (n DeliveryName) pick(ctx context.Context, tx pgx.Tx, state, otherwise string) (named, error) {
	rows, err := tx.Query(ctx, `
		select d.account_id, d.customer_id, d.campaign, d.episode, d.step, a.name, d.action, d.state, e.state, coalesce(e.reason, '')
		from dunlin.deliveries d
		join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
		join dunlin.customers c using (account_id, customer_id)
		join dunlin.accounts a using (account_id)
		where c.stripe_id = @customer and d.campaign = @campaign and d.step = @step
		  and (@account = '' or a.name = @account) and (@episode = '' or d.episode = @episode)
		order by a.name, e.enrolled_at, d.episode`,
		pgx.StrictNamedArgs{"customer": n.Customer, "campaign": n.Campaign, "step": n.Step, "account": n.Account, "episode": n.Episode})
	if err != nil {
		return named{}, fmt.Errorf("find delivery: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (x named, err error) {
		err = r.Scan(&x.key.Account, &x.key.Customer, &x.key.Campaign, &x.key.Episode, &x.key.Step, &x.account, &x.action, &x.state, &x.enrollment, &x.ended)
		return x, err
	})
	if err != nil {
		return named{}, fmt.Errorf("find delivery: %w", err)
	}
	what := fmt.Sprintf("step %q of campaign %q for %s", n.Step, n.Campaign, n.Customer)
	if len(all) == 0 {
		return named{}, fmt.Errorf("%s: %w; see dunlin deliveries --customer %s", what, workspace.ErrNotFound, n.Customer)
	}
	var fit []named
	var states, ways []string
	for _, x := range all {
		states = append(states, x.state)
		if x.state == state {
			fit = append(fit, x)
			ways = append(ways, fmt.Sprintf("--account %s --episode '%s'", x.account, x.key.Episode))
		}
	}
	switch len(fit) {
	case 0:
		return named{}, fmt.Errorf("%s is %s, not %s: %s", what, strings.Join(states, " and "), state, otherwise)
	case 1:
		still, err := lockDelivery(ctx, tx, fit[0].key, `state = @state`, "state", state)
		if err == nil && !still {
			err = fmt.Errorf("%s has just changed; look at it again: dunlin why %s %s", what, n.Customer, n.Campaign)
		}
		return fit[0], err
	}
	return named{}, fmt.Errorf("%s is %s more than once; say which one: %s", what, state, strings.Join(ways, ", or "))
}

// Doubts counts the deliveries whose outcome is unknown: those that are looked for
// at Intercom, of them those for more than an hour, which Intercom does not answer,
// and those that wait for a person.
func Doubts(ctx context.Context, q customers.Querier) (looking, stuck, asking int64, err error) {
	err = q.QueryRow(ctx, `
		select count(*) filter (where look_at is not null),
		       count(*) filter (where look_at is not null and doubted_at < clock_timestamp() - interval '1 hour'),
		       count(*) filter (where look_at is null)
		from dunlin.deliveries where state = 'unknown'`).Scan(&looking, &stuck, &asking)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("count unknown deliveries: %w", err)
	}
	return looking, stuck, asking, nil
}
