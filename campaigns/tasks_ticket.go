package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Ticket is what is seen of a task's ticket at Intercom. Instants are whole
// seconds, as Intercom has them.
type Ticket struct {
	ID       string
	Resolved bool
	Owner    int64     // Intercom admin; 0: nobody
	Snoozed  time.Time // zero: it is not
	At       time.Time // Intercom's clock: when the ticket was last changed
	Asked    bool      // Intercom was asked; false: a notification said so, which may be late
}

// held is a task as far as its ticket goes: what it says itself, and what is
// known of the ticket.
type held struct {
	Done    bool
	Owner   int64 // 0: nobody
	Snoozed time.Time
	Known   Ticket
}

// A Telling is what a ticket has to be told: where the task differs from it.
type Telling struct {
	State   bool // the ticket's state is not the task's
	Done    bool // the task is: resolve it; else open it
	Owner   int64
	Snoozed time.Time
}

// Nothing reports that there is nothing to tell.
func (t Telling) Nothing() bool { return !t.State && t.Owner == 0 && t.Snoozed.IsZero() }

// telling is where a task differs from what is known of its ticket. An owner or a
// snooze that was taken away here is not taken away there.
func (h held) telling() Telling {
	t := Telling{State: h.Done != h.Known.Resolved, Done: h.Done}
	if h.Owner != h.Known.Owner {
		t.Owner = h.Owner
	}
	if !h.Snoozed.Equal(h.Known.Snoozed) {
		t.Snoozed = h.Snoozed
	}
	return t
}

// follow takes over what colleagues changed at Intercom: where the ticket as seen
// differs from what was known of it. What it says only because we told it so
// differs in nothing, which is why no echo comes back. Of old news nothing is
// taken; of a notification from the very second of what is known it cannot be
// told which was first, so Intercom has to be asked.
func (h held) follow(seen Ticket) (out held, ask bool) {
	if seen.At.Before(h.Known.At) {
		return h, false
	}
	differs := seen.Resolved != h.Known.Resolved || seen.Owner != h.Known.Owner || !seen.Snoozed.Equal(h.Known.Snoozed)
	if !seen.Asked && differs && seen.At.Equal(h.Known.At) {
		return h, true
	}
	out = h
	if seen.Resolved != h.Known.Resolved {
		out.Done = seen.Resolved
	}
	if seen.Owner != h.Known.Owner {
		out.Owner = seen.Owner
	}
	if !seen.Snoozed.Equal(h.Known.Snoozed) {
		out.Snoozed = seen.Snoozed
	}
	out.Known = seen
	return out, false
}

// FollowTicket records what is seen of a ticket, and changes its task where
// colleagues changed the ticket. Told is what they were told a moment ago, so
// that the ticket says it too: nothing when nobody was. It returns what the
// ticket still has to be told; a ticket of no task of ours is none of our
// business.
func (s *Store) FollowTicket(ctx context.Context, tx pgx.Tx, seen Ticket, told Telling, now time.Time) (Telling, error) {
	if err := lockEnrollmentOf(ctx, tx, `ticket_id`, seen.ID); err != nil {
		return Telling{}, err
	}
	var id int64
	var h held
	var owner, knownOwner *int64
	var snoozed, knownSnoozed, at *time.Time
	err := tx.QueryRow(ctx, `
		select task_id, state = 'done', owner, snoozed_until, ticket_resolved, ticket_owner, ticket_snoozed_until, ticket_at
		from dunlin.tasks where ticket_id = $1 for update`, seen.ID).
		Scan(&id, &h.Done, &owner, &snoozed, &h.Known.Resolved, &knownOwner, &knownSnoozed, &at)
	if none(err) {
		return Telling{}, nil
	}
	if err != nil {
		return Telling{}, fmt.Errorf("follow ticket %s: %w", seen.ID, err)
	}
	h.Owner, h.Known.Owner = orZero(owner), orZero(knownOwner)
	h.Snoozed, h.Known.Snoozed, h.Known.At = orZero(snoozed), orZero(knownSnoozed), orZero(at)

	next, ask := h.known(told).follow(seen)
	every := askEvery
	if next.Done {
		every = askDone
	}
	_, err = tx.Exec(ctx, `
		update dunlin.tasks set
		       done_at = case when not @done then null when state = 'open' then @now else done_at end,
		       done_because = case when not @done then null when state = 'open' then @because else done_because end,
		       stays = stays or state = 'done' and not @done,
		       state = case when @done then 'done' else 'open' end,
		       assigned_at = case when @owner::bigint is distinct from owner then @now else assigned_at end,
		       owner = @owner, snoozed_until = @snoozed,
		       ticket_resolved = @ticket_resolved, ticket_owner = @ticket_owner, ticket_snoozed_until = @ticket_snoozed, ticket_at = @ticket_at,
		       ask_at = case when @ask then null when @asked then @now::timestamptz + @every::interval else ask_at end
		where task_id = @id`,
		pgx.StrictNamedArgs{
			"id": id, "now": now, "because": doneAtTicket, "done": next.Done, "owner": orNull(next.Owner), "snoozed": orNull(next.Snoozed),
			"ticket_resolved": next.Known.Resolved, "ticket_owner": orNull(next.Known.Owner), "ticket_snoozed": orNull(next.Known.Snoozed),
			"ticket_at": orNull(next.Known.At), "ask": ask, "asked": seen.Asked, "every": every,
		})
	if err != nil {
		return Telling{}, fmt.Errorf("follow ticket %s: %w", seen.ID, err)
	}
	if next.Done && !h.Done {
		err = finishAfter(ctx, tx, []int64{id}, now)
	}
	return next.telling(), err
}

// known takes what a ticket was told for known of it.
func (h held) known(told Telling) held {
	if told.State {
		h.Known.Resolved = told.Done
	}
	if told.Owner != 0 {
		h.Known.Owner = told.Owner
	}
	if !told.Snoozed.IsZero() {
		h.Known.Snoozed = told.Snoozed
	}
	return h
}

func orZero[T any](v *T) (out T) {
	if v != nil {
		out = *v
	}
	return out
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
