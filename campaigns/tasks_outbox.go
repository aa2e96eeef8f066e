package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// askEvery is how often the ticket of an open task is looked at: Intercom
	// tries a notification only twice, so some never come. Business time.
	askEvery = 15 * time.Minute

	// askDone is the same for a task that was done within [relapse]: whether
	// somebody has opened its ticket again. Business time.
	askDone = 6 * time.Hour

	ticketLease = 2 * time.Minute // for a look at a ticket and telling it. Machine time
	ticketRest  = time.Minute     // after the first failure, doubling. Machine time
)

// An Errand is a ticket to be looked at, and told what changed.
type Errand struct {
	Task   int64
	Ticket string
	Note   string // for colleagues, text; empty: none
	Mark   string // what the note carries, to be found by
}

// TakeErrands takes up to so many tickets that have to be told something, or to
// be looked at because their task is open, or was done lately, and nobody looked
// for a while. Until a
// lease ends nobody else takes them; whoever took one ends it with [Store.FollowTicket]
// and [Store.EndErrand], or with [Store.FailErrand].
func (s *Store) TakeErrands(ctx context.Context, now time.Time, limit int) ([]Errand, error) {
	rows, err := s.Pool.Query(ctx, `
		with due as (
			select task_id from dunlin.tasks
			where ticket_id is not null and (untold or (ask_at is null or ask_at <= @now) and (state = 'open' or state = 'done' and done_at > @relapse))
			  and (leased_until is null or leased_until < clock_timestamp())
			order by untold desc, state = 'open' desc, ask_at nulls first, task_id limit @limit for update skip locked)
		update dunlin.tasks t set leased_until = clock_timestamp() + @lease::interval from due where t.task_id = due.task_id
		returning t.task_id, t.ticket_id, coalesce(t.note, ''), 'dunlin-' || t.task_id || '-' || t.notes`,
		pgx.StrictNamedArgs{"now": now, "relapse": now.Add(-relapse), "limit": limit, "lease": ticketLease})
	if err != nil {
		return nil, fmt.Errorf("find tickets to look at: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Errand])
	if err != nil {
		return nil, fmt.Errorf("find tickets to look at: %w", err)
	}
	return out, nil
}

// EndErrand lets the ticket go; its note, if the errand had one, is written.
func (s *Store) EndErrand(ctx context.Context, e Errand) error {
	_, err := s.Pool.Exec(ctx, `
		update dunlin.tasks set leased_until = null, attempts = 0, detail = null,
		       note = case when 'dunlin-' || task_id || '-' || notes = $2 then null else note end
		where task_id = $1`, e.Task, e.Mark)
	if err != nil {
		return fmt.Errorf("end errand of task %d: %w", e.Task, err)
	}
	return nil
}

// FailErrand lets the ticket rest, longer each time, and keeps what Intercom said
// where people see it. Nothing is lost: what it has to be told stays so.
func (s *Store) FailErrand(ctx context.Context, e Errand, detail string) error {
	_, err := s.Pool.Exec(ctx, `
		update dunlin.tasks set attempts = attempts + 1, detail = $2,
		       leased_until = clock_timestamp() + $3::interval * (1 << least(attempts, 6))
		where task_id = $1`, e.Task, detail, ticketRest)
	if err != nil {
		return fmt.Errorf("put off errand of task %d: %w", e.Task, err)
	}
	return nil
}

// LoseTicket records that a task's ticket was deleted at Intercom: the task stays
// ours.
func (s *Store) LoseTicket(ctx context.Context, e Errand) error {
	_, err := s.Pool.Exec(ctx, `
		update dunlin.tasks set ticket_id = null, note = null, leased_until = null, attempts = 0,
		       detail = 'its ticket was deleted at Intercom: the task is kept here'
		where task_id = $1 and ticket_id = $2`, e.Task, e.Ticket)
	if err != nil {
		return fmt.Errorf("part task %d from its ticket: %w", e.Task, err)
	}
	return nil
}

// A ContactNote is a task to be written on its contact as a note, because there
// are no tickets to open.
type ContactNote struct {
	Task        int64
	Contact     string
	Title, Body string
	Mark        string // what the note carries, to be found by
	OpenedAt    time.Time
}

// contactMarkSQL is the mark of a note about task t: another one each time that the
// task is open again after its customer had recovered.
const contactMarkSQL = `'dunlin-' || t.task_id || case when t.notes > 0 then '-' || t.notes else '' end`

// TakeContactNotes takes up to so many open tasks whose delivery is over, with a
// contact and without a ticket. Whoever took one ends it with [Store.Noted] or
// [Store.FailErrand].
func (s *Store) TakeContactNotes(ctx context.Context, limit int) ([]ContactNote, error) {
	rows, err := s.Pool.Query(ctx, `
		with due as (
			select t.task_id, d.contact_id from dunlin.tasks t join dunlin.deliveries d using (account_id, customer_id, campaign, episode, step)
			where t.state = 'open' and t.ticket_id is null and t.contact_note is null
			  and d.state in ('sent', 'failed') and d.contact_id is not null and d.external_id is null
			  and (t.leased_until is null or t.leased_until < clock_timestamp())
			order by t.task_id limit $1 for update of t skip locked)
		update dunlin.tasks t set leased_until = clock_timestamp() + $2::interval from due where t.task_id = due.task_id
		returning t.task_id, due.contact_id, case when t.notes > 0 then 'Open again: ' else '' end || t.title, t.body, `+contactMarkSQL+`, t.opened_at`, limit, ticketLease)
	if err != nil {
		return nil, fmt.Errorf("find tasks to note on contacts: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ContactNote])
	if err != nil {
		return nil, fmt.Errorf("find tasks to note on contacts: %w", err)
	}
	return out, nil
}

// Noted records the note that took the place of a task's ticket; empty: it cannot
// be written. Of a task that is open again meanwhile it was not the last one.
func (s *Store) Noted(ctx context.Context, n ContactNote, id string) error {
	_, err := s.Pool.Exec(ctx, `
		update dunlin.tasks t set contact_note = $2, leased_until = null, attempts = 0, detail = null
		where task_id = $1 and `+contactMarkSQL+` = $3`, n.Task, id, n.Mark)
	if err != nil {
		return fmt.Errorf("record note of task %d: %w", n.Task, err)
	}
	return nil
}
