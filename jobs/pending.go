package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin/dunlin/workspace"
)

// Pending is the work that our tables hold at an instant.
type Pending struct {
	Events  int64      `json:"events"`  // stored, not applied
	Changes int64      `json:"changes"` // not seen by a tick
	Lists   int64      `json:"lists"`   // of members, being built or told of
	Due     int64      `json:"due"`     // deliveries to be decided now
	Claimed int64      `json:"claimed"` // deliveries under way
	NextDue *time.Time `json:"next_due"`
	Ticked  *time.Time `json:"ticked"` // instant of the last tick
}

// None reports that nothing is left to do at the instant.
func (p Pending) None() bool { return p.Events+p.Changes+p.Lists+p.Due+p.Claimed == 0 }

// ReadPending counts the work there is at an instant, and when the next delivery
// after it is due.
func ReadPending(ctx context.Context, q workspace.Querier, now time.Time) (Pending, error) {
	return readPending(ctx, q, now, nil)
}

// ReadPendingOf is ReadPending without the events of accounts other than these, by
// name: nobody applies those of an account that is not set up any more.
func ReadPendingOf(ctx context.Context, q workspace.Querier, now time.Time, accounts []string) (Pending, error) {
	if accounts == nil {
		accounts = []string{}
	}
	return readPending(ctx, q, now, accounts)
}

// readPending counts the events of all accounts when none are given.
func readPending(ctx context.Context, q workspace.Querier, now time.Time, accounts []string) (Pending, error) {
	var p Pending
	err := q.QueryRow(ctx, `
		select (select count(*) from dunlin.stripe_events where state = 'stored'
		        and ($2::text[] is null or account_id in (select account_id from dunlin.accounts where name = any ($2)))),
		       (select count(*) from dunlin.changed_customers),
		       (select count(*) from dunlin.generations where state <> 'live') + (select count(*) from dunlin.segments where told_customer is not null),
		       (select count(*) from dunlin.deliveries where state = 'planned' and due_at <= $1),
		       (select count(*) from dunlin.deliveries where state = 'claimed'),
		       (select min(due_at) from dunlin.deliveries where state = 'planned' and due_at > $1),
		       (select max(at) from dunlin.ticks)`, now, accounts).
		Scan(&p.Events, &p.Changes, &p.Lists, &p.Due, &p.Claimed, &p.NextDue, &p.Ticked)
	if err != nil {
		return p, fmt.Errorf("count pending work: %w", err)
	}
	return p, nil
}
