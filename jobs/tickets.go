package jobs

import (
	"context"
	"errors"
	"html"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/workspace"
)

// TicketsArgs pokes for a look at tasks and their tickets.
type TicketsArgs struct{}

// Kind is the job's name in River.
func (TicketsArgs) Kind() string { return "tickets" }

// InsertOpts says where it is queued. It is not retried: the next one comes soon.
func (TicketsArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueTickets, MaxAttempts: 1}
}

// Tickets pokes for a look at tasks and their tickets.
func (p *Poker) Tickets(ctx context.Context, tx pgx.Tx) error {
	return p.insert(ctx, tx, TicketsArgs{})
}

const (
	errandsAtOnce = 8                // tickets looked at and told beside each other
	ticketsWithin = 60 * time.Second // machine time, until the next job goes on
)

type ticketsWorker struct {
	river.WorkerDefaults[TicketsArgs]
	Config
}

// Work takes over what colleagues did at Intercom, closes the tasks of customers
// who have recovered, hands out what waits in the queues of teams, and then tells
// Intercom what changed here. Whatever it does not get to, the next job finds.
func (w *ticketsWorker) Work(ctx context.Context, _ *river.Job[TicketsArgs]) error {
	if err := w.takeNews(ctx); err != nil {
		return err
	}
	if _, err := w.Campaigns.CloseTasks(ctx, w.Now()); err != nil {
		return err
	}
	if _, err := w.Campaigns.HandOut(ctx, w.Now()); err != nil {
		return err
	}
	stopped, err := workspace.Stopped(ctx, w.Pool)
	if err != nil || stopped || w.Intercom == nil || w.Campaigns.DryRun {
		return err // nothing leaves
	}
	ctx, cancel := context.WithTimeout(ctx, ticketsWithin)
	defer cancel()
	admin, err := w.speaker(ctx)
	if err != nil {
		return err
	}
	if err := w.runErrands(ctx, admin); err != nil {
		return err
	}
	return w.noteContacts(ctx, admin)
}

// takeNews follows the notifications that were stored, each once and in its own
// transaction. How new one is says the ticket in it: an answer of Intercom's can
// be compared with that.
func (w *ticketsWorker) takeNews(ctx context.Context) error {
	for {
		taken := 0
		err := pgx.BeginFunc(ctx, w.Pool, func(tx pgx.Tx) error {
			now := w.Now()
			news, err := intercom.TakeNews(ctx, tx, now, 1)
			taken = len(news)
			for _, n := range news {
				if n.Ticket.State.Category == "" {
					continue // it does not say where the ticket stands
				}
				seen := ticket(n.Ticket, false)
				if seen.At.IsZero() {
					seen.At = n.At
				}
				if _, err := w.Campaigns.FollowTicket(ctx, tx, seen, campaigns.Telling{}, now); err != nil {
					return err
				}
			}
			return err
		})
		if err != nil || taken == 0 {
			return err
		}
	}
}

// ticket is what is seen of a ticket, as campaigns know it.
func ticket(t intercom.TicketStatus, asked bool) campaigns.Ticket {
	owner, _ := strconv.ParseInt(t.Admin, 10, 64) // nobody, else a number
	return campaigns.Ticket{ID: t.ID, Resolved: t.Resolved(), Owner: owner, Snoozed: t.Snoozed, At: t.Updated, Asked: asked}
}

// speaker is the teammate in whose name tickets are changed and notes written:
// the workspace's sender, else whom the token speaks for.
func (w *ticketsWorker) speaker(ctx context.Context) (string, error) {
	settings, err := workspace.Load(ctx, w.Pool)
	if err != nil {
		return "", err
	}
	if settings.Sender != 0 {
		return strconv.FormatInt(settings.Sender, 10), nil
	}
	me, err := w.Intercom.Me(ctx)
	return me.AdminID, err
}

// runErrands looks at tickets and tells them, a few beside each other, until none
// is left or time is up.
func (w *ticketsWorker) runErrands(ctx context.Context, admin string) error {
	for ctx.Err() == nil {
		if stopped, err := workspace.Stopped(ctx, w.Pool); err != nil || stopped {
			return err
		}
		errands, err := w.Campaigns.TakeErrands(ctx, w.Now(), errandsAtOnce)
		if err != nil || len(errands) == 0 {
			return err
		}
		failed := make([]error, len(errands))
		var wg sync.WaitGroup
		for i, e := range errands {
			wg.Go(func() { failed[i] = w.run(ctx, e, admin) })
		}
		wg.Wait()
		if err := errors.Join(failed...); err != nil {
			return err
		}
	}
	return nil
}

// run does one errand. What Intercom refuses rests and is tried again; the error
// is of our own database.
func (w *ticketsWorker) run(ctx context.Context, e campaigns.Errand, admin string) error {
	err := w.errand(ctx, e, admin)
	var refused *intercom.Error
	switch {
	case err == nil:
		return w.Campaigns.EndErrand(ctx, e)
	case errors.Is(err, errTicketGone):
		w.Logger.Warn("ticket is gone", slog.Int64("task", e.Task), slog.String("ticket", e.Ticket))
		return w.Campaigns.LoseTicket(ctx, e)
	case !errors.As(err, &refused):
		return err
	}
	w.Logger.Warn("ticket not told", slog.Int64("task", e.Task), slog.String("ticket", e.Ticket), slog.Any("error", err))
	return w.Campaigns.FailErrand(context.WithoutCancel(ctx), e, err.Error())
}

// errTicketGone says that a ticket could not be read because it is not there. Any
// other call about it may be answered 404 for the sake of the teammate, the state
// or the type; then the next errand tells, which reads it again.
var errTicketGone = errors.New("the ticket is gone")

// errand looks at a ticket first, so that what colleagues did wins over what they
// could not have known, then tells it the rest. Both may be done again; the note
// is looked for before it is written.
func (w *ticketsWorker) errand(ctx context.Context, e campaigns.Errand, admin string) error {
	seen, err := w.Intercom.Ticket(ctx, e.Ticket)
	if intercom.Gone(err) {
		return errTicketGone
	}
	if err != nil {
		return err
	}
	tell, err := w.follow(ctx, seen, campaigns.Telling{})
	if err != nil {
		return err
	}
	if !tell.Nothing() {
		if err := w.tell(ctx, e, tell, admin); err != nil {
			return err
		}
	}
	if e.Note == "" || seen.Noted(e.Mark) {
		return nil
	}
	if err := w.Intercom.Wait(ctx); err != nil {
		return err
	}
	return w.Intercom.NoteTicket(ctx, e.Ticket, admin, paragraphs(e.Note), e.Mark)
}

func (w *ticketsWorker) follow(ctx context.Context, seen intercom.TicketStatus, told campaigns.Telling) (tell campaigns.Telling, err error) {
	err = pgx.BeginFunc(ctx, w.Pool, func(tx pgx.Tx) error {
		tell, err = w.Campaigns.FollowTicket(ctx, tx, ticket(seen, true), told, w.Now())
		return err
	})
	return tell, err
}

// tell changes a ticket as its task has changed. An owner whom Intercom does not
// know is left out, and said so: somebody has to correct the teams.
func (w *ticketsWorker) tell(ctx context.Context, e campaigns.Errand, tell campaigns.Telling, admin string) error {
	change := intercom.TicketChange{Snoozed: tell.Snoozed, Admin: admin}
	if tell.Owner != 0 {
		change.Assignee = strconv.FormatInt(tell.Owner, 10)
	}
	if tell.State {
		state, err := intercom.TicketStateFor(ctx, w.Intercom, w.Pool, tell.Done, w.Now())
		if err != nil {
			return err
		}
		change.State = state
	}
	seen, err := w.Intercom.ChangeTicket(ctx, e.Ticket, change)
	if unknownAssignee(err) && (change.State != "" || !change.Snoozed.IsZero()) {
		w.Logger.Error("the owner of a task is no teammate at Intercom; correct owners: of its team", slog.Int64("task", e.Task), slog.Int64("owner", tell.Owner))
		change.Assignee, tell.Owner = "", 0
		seen, err = w.Intercom.ChangeTicket(ctx, e.Ticket, change)
	}
	if code(err) == "ticket_state_id_invalid" {
		if ferr := intercom.ForgetTicketStates(ctx, w.Pool); ferr != nil {
			return ferr
		}
	}
	if err != nil {
		return err
	}
	_, err = w.follow(ctx, seen, tell)
	return err
}

// noteContacts writes the tasks that have no ticket on their contacts, as long as
// there are no tickets to open: before dunlin intercom setup, or on a plan
// without them. The tasks stay ours.
func (w *ticketsWorker) noteContacts(ctx context.Context, admin string) error {
	for ctx.Err() == nil {
		if stopped, err := workspace.Stopped(ctx, w.Pool); err != nil || stopped {
			return err
		}
		notes, err := w.Campaigns.TakeContactNotes(ctx, errandsAtOnce)
		if err != nil || len(notes) == 0 {
			return err
		}
		for _, n := range notes {
			if err := w.noteContact(ctx, n, admin); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *ticketsWorker) noteContact(ctx context.Context, n campaigns.ContactNote, admin string) error {
	contact, err := w.Intercom.Contact(ctx, n.Contact) // or the one it was merged into since
	if intercom.Gone(err) {
		return w.Campaigns.Noted(ctx, n, "") // there is no contact any more to write on
	}
	id := ""
	if err == nil {
		id, err = w.Intercom.FindNote(ctx, contact.ID, n.Mark, n.OpenedAt)
	}
	if err == nil && id == "" {
		if err = w.Intercom.Wait(ctx); err == nil {
			body := "<p><b>" + html.EscapeString(n.Title) + "</b></p>" + paragraphs(n.Body)
			id, err = w.Intercom.CreateNote(ctx, intercom.Note{Contact: contact.ID, Admin: admin, Body: body, Reference: n.Mark})
		}
	}
	var refused *intercom.Error
	if errors.As(err, &refused) {
		w.Logger.Warn("task not noted on its contact", slog.Int64("task", n.Task), slog.Any("error", err))
		return w.Campaigns.FailErrand(context.WithoutCancel(ctx), campaigns.Errand{Task: n.Task}, err.Error())
	}
	if err != nil {
		return err
	}
	return w.Campaigns.Noted(ctx, n, id)
}

// paragraphs is text as HTML.
func paragraphs(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString("<p>" + html.EscapeString(line) + "</p>")
		}
	}
	return b.String()
}

// noTickets reports that a ticket was refused because the workspace has none for
// us, by its plan or the app's permissions. The task then stays ours, and its
// contact gets a note.
func noTickets(err error) bool {
	var e *intercom.Error
	return errors.As(err, &e) && e.Outcome == intercom.OutcomeRefused && e.Status == http.StatusForbidden
}

func unknownAssignee(err error) bool { return code(err) == "assignee_not_found" }

// code is Intercom's for an error, empty when it gave none.
func code(err error) string {
	var e *intercom.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
