package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// eventsApart gives each event among the claims a second that no other event of
// its contact has, because Intercom takes two of one contact, name and second for
// one (facts/intercom.md 1.8), and says nothing. It is that of the delivery's first
// claim, so that an event which was repeated is still one; or the next that is
// free. The lock on the person keeps others from taking it meanwhile.
func eventsApart(ctx context.Context, tx pgx.Tx, claims []Claim) error {
	type second struct {
		contact string
		at      int64 // Unix
	}
	var contacts []string
	var since time.Time
	for _, c := range claims {
		if c.Action != Event {
			continue
		}
		if contacts = append(contacts, c.ContactID); since.IsZero() || c.At.Before(since) {
			since = c.At
		}
	}
	if len(contacts) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		select account_id, customer_id, campaign, episode, step, contact_id, claimed_at from dunlin.deliveries
		where contact_id = any(@contacts) and action = @event and claimed_at >= @since`,
		pgx.StrictNamedArgs{"contacts": contacts, "event": Event, "since": since.Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("read the events of contacts: %w", err)
	}
	taken := map[second]Key{}
	var k Key
	var contact string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&k.Account, &k.Customer, &k.Campaign, &k.Episode, &k.Step, &contact, &at}, func() error {
		taken[second{contact, at.Unix()}] = k
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the events of contacts: %w", err)
	}
	for i := range claims {
		c := &claims[i]
		if c.Action != Event {
			continue
		}
		for {
			s := second{c.ContactID, c.At.Unix()}
			if of, ok := taken[s]; !ok || of == c.Key {
				taken[s] = c.Key
				break
			}
			c.At = c.At.Truncate(time.Second).Add(time.Second)
		}
	}
	return nil
}
