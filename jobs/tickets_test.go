package jobs

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/workspace"
)

const clientSecret = "client_secret_test"

// A desk is a world with one task whose ticket is open at Intercom, and an
// endpoint for notifications. Its business clock can be moved.
type desk struct {
	*world
	now    time.Time
	hook   string
	ticket string // id at Intercom
}

// newDesk opens a task as a claim does: the row first, the ticket second.
func newDesk(t *testing.T, faults func(*http.Request) sandbox.Fault) *desk {
	t.Helper()
	d := &desk{now: noon}
	d.world = newWorld(t, aTask, faults)
	clock := func() time.Time { return d.now }
	d.intercom = sandbox.NewIntercom(clock, token)
	d.intercom.Faults = faults
	server := httptest.NewServer(d.intercom)
	t.Cleanup(server.Close)
	client, err := intercom.New(intercom.Config{BaseURL: server.URL, Token: token, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	d.Intercom, d.Links, d.Now = client, intercom.NewLinks(client), clock
	hooks := httptest.NewServer(&intercom.Webhooks{Pool: d.Pool, Secret: clientSecret, Now: clock, Logger: slog.New(slog.DiscardHandler), Stored: d.poker.Tickets})
	t.Cleanup(hooks.Close)
	d.hook = hooks.URL

	objects, err := intercom.Setup(t.Context(), client, d.Pool, noon)
	if err != nil {
		t.Fatal(err)
	}
	d.owing(1)
	d.start()
	d.ticket, err = client.CreateTicket(t.Context(), intercom.Ticket{
		Type: objects.TicketType, Contact: d.contact(0), Title: "Call", Description: "b", Team: sandbox.IntercomTeamBilling,
		Reference: "dunlin-1", ReferenceAttribute: objects.ReferenceAttribute,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.exec(`
		insert into dunlin.tasks (account_id, customer_id, campaign, episode, step, title, body, team, opened_at, due_at, ticket_id)
		select account_id, customer_id, campaign, episode, step, 'Call', 'b', 'billing', $1, $1, $2 from dunlin.deliveries`, noon, d.ticket)
	d.exec(`update dunlin.deliveries set state = 'sent', contact_id = $1, external_id = $2`, d.contact(0), d.ticket)
	d.intercom.SendWebhooksTo(d.hook, clientSecret)
	return d
}

// work is one look at tasks and tickets.
func (d *desk) work() {
	d.t.Helper()
	if err := (&ticketsWorker{Config: d.Config}).Work(d.t.Context(), &river.Job[TicketsArgs]{}); err != nil {
		d.t.Fatal(err)
	}
}

// colleague changes the ticket at Intercom.
func (d *desk) colleague(change intercom.TicketChange) {
	d.t.Helper()
	if _, err := d.Intercom.ChangeTicket(d.t.Context(), d.ticket, change); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) post() int {
	d.t.Helper()
	n, err := d.intercom.PostWebhooks(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// wants compares the task and its ticket: each "open" or "done", then the owner.
func (d *desk) wants(what, want string) {
	d.t.Helper()
	var ours string
	d.scan(&ours, `select concat_ws(' ', state, done_because, owner) from dunlin.tasks`)
	seen, err := d.Intercom.Ticket(d.t.Context(), d.ticket)
	if err != nil {
		d.t.Fatal(err)
	}
	theirs := "open"
	if seen.Resolved() {
		theirs = "done"
	}
	if got := strings.TrimSpace(fmt.Sprintf("%s | %s %s", ours, theirs, seen.Admin)); got != want {
		d.t.Errorf("%s\n got %s\nwant %s", what, got, want)
	}
}

const (
	stateOpen     = "8321" // the sandbox's
	stateResolved = "8324"
)

func TestTickets_doneHere(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.work()
	d.wants("nothing happened", "open | open")
	if err := campaigns.DoneTask(t.Context(), d.Pool, 1, false, d.now); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(time.Minute)
	d.work()
	d.wants("resolved there", "done done | done")

	// The echo comes twice and in disorder, and changes nothing.
	d.intercom.DoubleWebhooks = true
	if n := d.post(); n != 4 {
		t.Errorf("notifications\n got %d\nwant 4: two, each twice", n)
	}
	requests := d.intercom.Requests()
	d.work()
	if n := d.intercom.Requests() - requests; n != 0 {
		t.Errorf("an echo led to %d calls", n)
	}
	d.wants("echo", "done done | done")

	if err := campaigns.ReopenTask(t.Context(), d.Pool, 1); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(time.Minute)
	d.work()
	d.wants("opened again there", "open | open")
}

func TestTickets_doneThere(t *testing.T) {
	t.Parallel()
	for name, lossy := range map[string]bool{"webhook": false, "the webhook is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			d.work()
			d.now = d.now.Add(16 * time.Minute)
			d.colleague(intercom.TicketChange{Assignee: sandbox.IntercomAdmin})
			d.colleague(intercom.TicketChange{State: stateResolved})
			if lossy {
				d.intercom.SendWebhooksTo("", "")
			} else if d.post() == 0 {
				t.Error("no notification was taken")
			}
			d.work()
			d.wants("done here", "done ticket "+sandbox.IntercomAdmin+" | done "+sandbox.IntercomAdmin)
			d.now = d.now.Add(time.Minute)
			d.colleague(intercom.TicketChange{State: stateOpen})
			if lossy {
				d.work()
				d.wants("nobody has looked yet", "done ticket "+sandbox.IntercomAdmin+" | open "+sandbox.IntercomAdmin)
				d.now = d.now.Add(6 * time.Hour)
			} else {
				d.post()
			}
			d.work()
			d.wants("opened again there", "open "+sandbox.IntercomAdmin+" | open "+sandbox.IntercomAdmin)
		})
	}
}

// TestTickets_closed: a customer who recovers closes the task, and the ticket
// says why, once, although answers are lost.
func TestTickets_closed(t *testing.T) {
	t.Parallel()
	lost := 0
	d := newDesk(t, func(r *http.Request) sandbox.Fault {
		if strings.HasSuffix(r.URL.Path, "/reply") && lost == 0 {
			lost++
			return sandbox.Fault{Kind: sandbox.FaultReset, Process: true}
		}
		return sandbox.Fault{}
	})
	d.exec(`update dunlin.enrollments set state = 'exited', reason = 'left_segment', ended_at = $1`, d.now)
	d.now = d.now.Add(time.Minute)
	d.work()
	d.wants("resolved", "done left_segment | done")
	d.exec(`update dunlin.tasks set leased_until = null`) // its rest after the lost answer
	d.work()
	seen, err := d.Intercom.Ticket(t.Context(), d.ticket)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Parts) != 1 || !strings.Contains(seen.Parts[0], "left the segment") || lost != 1 {
		t.Errorf("notes\n got %q\nwant one that says why", seen.Parts)
	}
	var untold int
	d.scan(&untold, `select count(*) from dunlin.tasks where untold`)
	if untold != 0 {
		t.Errorf("%d still to be told", untold)
	}
}

// TestTickets_owner: who a task is handed out to owns the ticket; one whom
// Intercom does not know keeps it here, and nothing is repeated for ever.
func TestTickets_owner(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string]string{
		sandbox.IntercomAdmin: "open " + sandbox.IntercomAdmin + " | open " + sandbox.IntercomAdmin,
		"5":                   "open 5 | open",
	} {
		t.Run(owner, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			d.save("kind: workspace\nzone: UTC\ncurrency: usd\nintercom: {sender: admin:"+sandbox.IntercomAdmin+"}\nteams: {billing: {owners: admin:"+owner+"}}\n",
				func(tx pgx.Tx, doc workspace.Document) error {
					_, err := workspace.Save(t.Context(), tx, doc, noon)
					return err
				})
			d.work()
			d.wants("handed out", want)
			var detail string
			d.scan(&detail, `select coalesce(detail, '') from dunlin.tasks`)
			if strings.Contains(detail, "assignee_not_found") != (owner == "5") {
				t.Errorf("what people see\n got %q", detail)
			}
		})
	}
}

func TestTickets_deletedOrRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		ticket bool // the task keeps it
	}{{"deleted", 404, false}, {"no permission", 403, true}, {"away", 503, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			d.intercom.Faults = func(r *http.Request) sandbox.Fault {
				if strings.Contains(r.URL.Path, "/tickets/") {
					return sandbox.Fault{Kind: sandbox.FaultStatus, Status: tt.status}
				}
				return sandbox.Fault{}
			}
			d.work()
			requests := d.intercom.Requests()
			d.work()
			if n := d.intercom.Requests() - requests; n != 0 && tt.ticket {
				t.Errorf("asked again at once, %d times", n)
			}
			var kept bool
			var detail string
			d.scan(&kept, `select ticket_id is not null from dunlin.tasks`)
			d.scan(&detail, `select coalesce(detail, '') from dunlin.tasks`)
			if kept != tt.ticket || detail == "" {
				t.Errorf("the ticket is kept: %v, %q\nwant %v, and a word about it", kept, detail, tt.ticket)
			}
		})
	}
}

// TestTickets_notAboutTheTicket: a change or a note that is answered 404 may be so
// for the teammate's sake; a ticket that can be read is there.
func TestTickets_notAboutTheTicket(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/reply", "/tickets/"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			if err := campaigns.DoneTask(t.Context(), d.Pool, 1, false, d.now); err != nil {
				t.Fatal(err)
			}
			d.exec(`update dunlin.tasks set note = 'Paid.', notes = notes + 1`)
			d.intercom.Faults = func(r *http.Request) sandbox.Fault {
				if r.Method != http.MethodGet && strings.Contains(r.URL.Path, path) {
					return sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404}
				}
				return sandbox.Fault{}
			}
			d.work()
			var kept bool
			var detail string
			d.scan(&kept, `select ticket_id is not null and untold from dunlin.tasks`)
			d.scan(&detail, `select coalesce(detail, '') from dunlin.tasks`)
			if !kept || !strings.Contains(detail, "404") {
				t.Errorf("the ticket is kept, and still to be told: %v, %q\nwant true, and what Intercom said", kept, detail)
			}
			d.intercom.Faults = nil
			d.exec(`update dunlin.tasks set leased_until = null`) // its rest after the refusal
			d.work()
			seen, err := d.Intercom.Ticket(t.Context(), d.ticket)
			if err != nil || !seen.Resolved() || len(seen.Parts) != 1 {
				t.Errorf("afterwards\n got %+v, %v\nwant it resolved, with a note", seen, err)
			}
		})
	}
}

// TestTickets_stopped: dunlin stop holds back what would leave, and no news.
func TestTickets_stopped(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.now = d.now.Add(time.Minute)
	d.colleague(intercom.TicketChange{Assignee: sandbox.IntercomAdmin})
	d.post()
	d.exec(`insert into dunlin.stops (stopped_at) values ($1)`, noon)
	if err := campaigns.DoneTask(t.Context(), d.Pool, 1, false, d.now); err != nil {
		t.Fatal(err)
	}
	d.work()
	d.wants("stopped", "done done "+sandbox.IntercomAdmin+" | open "+sandbox.IntercomAdmin)
	d.exec(`update dunlin.stops set lifted_at = $1`, d.now)
	d.work()
	d.wants("resumed", "done done "+sandbox.IntercomAdmin+" | done "+sandbox.IntercomAdmin)
}

// TestTickets_noteMerged: where the contact was merged into another since, that
// one gets the note.
func TestTickets_noteMerged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	survivor := strings.Repeat("d", 24)
	d.intercom.AddContact(sandbox.Contact{ID: survivor, Role: "user"})
	d.exec(`update dunlin.tasks set ticket_id = null`)
	d.exec(`update dunlin.deliveries set external_id = null`)
	d.intercom.Merge(d.contact(0), survivor)
	d.work()
	var notes []string
	for _, a := range d.intercom.Accepted() {
		if a.Kind == "note" {
			notes = append(notes, a.Contact)
		}
	}
	if len(notes) != 1 || notes[0] != survivor {
		t.Errorf("notes on\n got %q\nwant one, on %s", notes, survivor)
	}
}

// TestTickets_noteInstead: where there are no tickets the contact gets a note,
// once, and the task stays ours.
func TestTickets_noteInstead(t *testing.T) {
	t.Parallel()
	lost := 0
	d := newDesk(t, func(r *http.Request) sandbox.Fault {
		if strings.HasSuffix(r.URL.Path, "/notes") && r.Method == http.MethodPost && lost == 0 {
			lost++
			return sandbox.Fault{Kind: sandbox.FaultReset, Process: true}
		}
		return sandbox.Fault{}
	})
	d.exec(`update dunlin.tasks set ticket_id = null, title = 'Call <Ann>'`)
	d.exec(`update dunlin.deliveries set external_id = null`)
	d.work()
	d.exec(`update dunlin.tasks set leased_until = null`)
	d.work()
	d.work()
	var notes []string
	for _, a := range d.intercom.Accepted() {
		if a.Kind == "note" {
			notes = append(notes, a.Text)
		}
	}
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "Call <Ann> b") || lost != 1 {
		t.Errorf("notes\n got %q\nwant one with the task's text", notes)
	}
}

// TestTickets_job: a notification alone gets the work done.
func TestTickets_job(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.work()
	d.now = d.now.Add(time.Minute)
	d.colleague(intercom.TicketChange{State: stateResolved})
	d.SweepEvery = -1
	d.run()
	d.post()
	d.until("the task is done", `select state = 'done' from dunlin.tasks`)
}

// TestTickets_wholeWay: a step opens a task with an owner and its ticket; the
// customer pays; the tick closes the task, and the ticket is resolved.
func TestTickets_wholeWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, aTask, nil)
	ctx := t.Context()
	w.exec(`update dunlin.accounts set feed_until = $1`, noon.AddDate(1, 0, 0))
	w.save("kind: workspace\nzone: UTC\ncurrency: usd\nintercom: {sender: admin:"+sandbox.IntercomAdmin+"}\nteams: {billing: {id: \""+sandbox.IntercomTeamBilling+"\", owners: admin:"+sandbox.IntercomAdmin+"}}\n",
		func(tx pgx.Tx, d workspace.Document) error {
			_, err := workspace.Save(ctx, tx, d, noon)
			return err
		})
	if _, err := intercom.Setup(ctx, w.Intercom, w.Pool, noon); err != nil {
		t.Fatal(err)
	}
	w.owing(1)
	w.start()
	key := w.keys()[0]
	if _, err := w.Links.Resolve(ctx, w.Pool, intercom.Customer{Account: key.Account, ID: key.Customer, Email: "ann0@example.com"}, intercom.Settings{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	w.deliver(key)
	var ticket string
	w.scan(&ticket, `select coalesce(ticket_id, '') from dunlin.tasks`)
	seen, err := w.Intercom.Ticket(ctx, ticket)
	if err != nil || seen.Admin != sandbox.IntercomAdmin || seen.Team != sandbox.IntercomTeamBilling {
		t.Fatalf("opened\n got %+v (%v)\nwant it with its owner and team", seen, err)
	}
	work := func() int {
		t.Helper()
		before := w.intercom.Requests()
		if err := (&ticketsWorker{Config: w.Config}).Work(ctx, &river.Job[TicketsArgs]{}); err != nil {
			t.Fatal(err)
		}
		return w.intercom.Requests() - before
	}
	if n := work(); n != 0 {
		t.Errorf("there is nothing to tell\n got %d calls", n)
	}

	w.exec(`update dunlin.customers set delinquent = false`)
	w.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{delinquent}' from dunlin.customers`)
	if _, err := w.Ticker.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	var because string
	w.scan(&because, `select coalesce(done_because, state) from dunlin.tasks`)
	if because != "left_segment" {
		t.Fatalf("after the tick\n got %s\nwant left_segment", because)
	}
	work()
	if seen, err = w.Intercom.Ticket(ctx, ticket); err != nil || !seen.Resolved() || len(seen.Parts) != 1 {
		t.Errorf("afterwards\n got %+v (%v)\nwant it resolved, with a note", seen, err)
	}
	if n := work(); n != 0 {
		t.Errorf("and nothing more\n got %d calls", n)
	}
}
