package intercom

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
)

// workspace starts a sandbox of n customers and a client of its Intercom.
func workspace(t *testing.T, n int) (*sandbox.Sandbox, *Client) {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{Seed: 1, Customers: n})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Intercom())
	t.Cleanup(server.Close)
	return s, newTestClient(t, server.URL, func(cfg *Config) { cfg.Token, cfg.Now = sandbox.IntercomToken, s.Now })
}

const sandboxSender = sandbox.IntercomAdmin

// The whole way out, against the sandbox: look, set up, and look again.
func TestSandbox_SetupAndCheck(t *testing.T) {
	t.Parallel()
	s, c := workspace(t, 20)
	pool := pgtest.New(t)
	want := Expected{
		Sender: sandboxSender, Teams: map[string]string{"renewals": sandbox.IntercomTeamRenewal, "billing": sandbox.IntercomTeamBilling},
		Settings: Settings{OptOutTag: sandbox.IntercomOptOutTag, OptOutAttribute: sandbox.IntercomOptOut, TimezoneAttribute: sandbox.IntercomTimezone},
	}
	if got := findings(t, Check(t.Context(), c, pool, want)); strings.Count(got, "bad") != 1 || !strings.Contains(got, "bad  follow-up tickets have not been set up") {
		t.Errorf("before\n%s", got)
	}
	first, err := Setup(t.Context(), c, pool, s.Now())
	if err != nil || !first.Ready() {
		t.Fatalf("set up: %+v, %v", first, err)
	}
	if again, err := Setup(t.Context(), c, pool, s.Now()); err != nil || again != first {
		t.Errorf("set up again: %+v, %v", again, err)
	}
	if got := findings(t, Check(t.Context(), c, pool, want)); strings.Contains(got, "bad") {
		t.Errorf("after\n%s", got)
	}
	if states, err := c.TicketStates(t.Context()); err != nil || len(states) == 0 {
		t.Errorf("ticket states: %v, %v", states, err)
	}
}

func TestSandbox_RefusesAWrongToken(t *testing.T) {
	t.Parallel()
	_, c := workspace(t, 1)
	c.token = "wrong"
	_, err := c.Me(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Status != 401 || !Refused(err) || e.Fix() == "" {
		t.Errorf("got %v", err)
	}
}

// Every customer of the sandbox is linked to the contact the sandbox knows, with
// the opt-out and the zone it knows.
func TestSandbox_LinksEverybody(t *testing.T) {
	t.Parallel()
	s, c := workspace(t, 150)
	pool, links := pgtest.New(t), NewLinks(c)
	settings := Settings{OptOutTag: sandbox.IntercomOptOutTag, OptOutAttribute: sandbox.IntercomOptOut, TimezoneAttribute: sandbox.IntercomTimezone}
	states := map[State]int{}
	for i, r := range s.Residents() {
		want := Link{Account: 1, Customer: int64(i), State: None}
		email, roles := "", map[string]int{}
		for _, contact := range r.Contacts {
			email = contact.Email
			roles[contact.Role]++
		}
		for _, contact := range r.Contacts {
			if contact.Role == "lead" && roles["user"] > 0 {
				continue
			}
			want.ContactID, want.Role, want.Timezone = contact.ID, contact.Role, contact.Timezone
			want.State, want.OptedOut = Linked, ""
			if contact.OptedOut {
				want.OptedOut = "yes"
			}
			if roles[contact.Role] > 1 {
				want = Link{Account: 1, Customer: int64(i), State: Ambiguous}
			}
		}
		got, err := links.Resolve(t.Context(), pool, Customer{Account: 1, ID: int64(i), Email: strings.ToUpper(email)}, settings, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		states[got.State]++
		if got.OptedOut != "" {
			got.OptedOut = "yes"
		}
		got.Email, got.Country, got.Region, got.CheckedAt = "", "", "", time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", r.Customer, diff)
		}
	}
	if states[Linked] == 0 {
		t.Errorf("nobody was linked: %v", states)
	}
	t.Logf("states: %v", states)
}

// A message, a ticket and a tag arrive, each once, and the tag only once even
// when it is attached twice.
func TestSandbox_Deliveries(t *testing.T) {
	t.Parallel()
	s, c := workspace(t, 50)
	pool := pgtest.New(t)
	var to sandbox.Contact
	for _, r := range s.Residents() {
		if len(r.Contacts) == 1 {
			to = r.Contacts[0]
			break
		}
	}
	objects, err := Setup(t.Context(), c, pool, s.Now())
	if err != nil {
		t.Fatal(err)
	}
	message, err := c.CreateMessage(t.Context(), Message{From: sandboxSender, To: to.ID, Role: to.Role, Body: "<p>Hi</p>"})
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := c.CreateTicket(t.Context(), Ticket{
		Type: objects.TicketType, Contact: to.ID, Title: "Call", Description: "about an invoice",
		Reference: "1/2/x", ReferenceAttribute: objects.ReferenceAttribute, Team: sandbox.IntercomTeamBilling,
	})
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.Ticket(t.Context(), ticket)
	if err != nil || status.Attributes[objects.ReferenceAttribute] != "1/2/x" || status.Team != sandbox.IntercomTeamBilling || status.Type != objects.TicketType || !status.Open {
		t.Errorf("ticket: %+v, %v", status, err)
	}
	tag, err := TagNamed(t.Context(), c, pool, "card-expired", s.Now())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.TagContact(t.Context(), to.ID, tag); err != nil {
			t.Fatal(err)
		}
	}
	tags, err := c.ContactTags(t.Context(), to.ID)
	if err != nil || !contains(tags, tag) {
		t.Errorf("tags: %v, %v", tags, err)
	}

	var got []string
	for _, a := range s.Accepted() {
		if a.Contact == to.ID {
			line := a.Kind + " " + a.ID
			if a.Again {
				line += " again"
			}
			got = append(got, line)
		}
	}
	want := []string{"message " + message, "ticket " + ticket, "tag " + tag, "tag " + tag + " again"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accepted (-want +got)\n%s", diff)
	}
}

func contains(tags []Tag, id string) bool {
	for _, t := range tags {
		if t.ID == id {
			return true
		}
	}
	return false
}

// What the sandbox refuses, as Intercom would, is a refusal.
func TestSandbox_Refusals(t *testing.T) {
	t.Parallel()
	_, c := workspace(t, 5)
	nobody := strings.Repeat("0", 24)
	_, err := c.CreateMessage(t.Context(), Message{From: sandboxSender, To: nobody, Role: "user", Body: "Hi"})
	if !Refused(err) || !Gone(err) {
		t.Errorf("message to nobody: %v", err)
	}
	if _, err = c.Contact(t.Context(), nobody); !Gone(err) {
		t.Errorf("contact that is not there: %v", err)
	}
	if err = c.TagContact(t.Context(), nobody, "1"); !Refused(err) || !Gone(err) {
		t.Errorf("tag for nobody: %v", err)
	}
	if _, err = c.CreateTicket(t.Context(), Ticket{Type: "1", Contact: nobody, Title: "Call"}); !Refused(err) {
		t.Errorf("ticket of no type: %v", err)
	}
	if _, err = c.Ticket(t.Context(), "1"); !Gone(err) {
		t.Errorf("ticket that is not there: %v", err)
	}
}

// However an answer is lost: success means done once, refused and not sent mean
// not done, and nothing is ever done twice.
func TestSandbox_OutcomesAreTrue(t *testing.T) {
	t.Parallel()
	faults := map[string]sandbox.Fault{
		"none":               {},
		"reset before":       {Kind: sandbox.FaultReset},
		"reset after":        {Kind: sandbox.FaultReset, Process: true},
		"hang before":        {Kind: sandbox.FaultHang},
		"hang after":         {Kind: sandbox.FaultHang, Process: true},
		"truncated":          {Kind: sandbox.FaultTruncate},
		"500 before":         {Kind: sandbox.FaultStatus, Status: 500},
		"500 after":          {Kind: sandbox.FaultStatus, Status: 500, Process: true, HTML: true},
		"502 after":          {Kind: sandbox.FaultStatus, Status: 502, Process: true, NoAnswer: true},
		"503 before":         {Kind: sandbox.FaultStatus, Status: 503, NullID: true},
		"504 after":          {Kind: sandbox.FaultStatus, Status: 504, Process: true},
		"408 after":          {Kind: sandbox.FaultStatus, Status: 408, Process: true},
		"429 with headers":   {Kind: sandbox.FaultStatus, Status: 429, Headers: true},
		"429 without":        {Kind: sandbox.FaultStatus, Status: 429},
		"403, plan too low":  {Kind: sandbox.FaultStatus, Status: 403},
		"401, token revoked": {Kind: sandbox.FaultStatus, Status: 401},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := workspace(t, 5)
			to := s.Residents()[0].Contacts[0]
			kind, err := c.CreateTicketType(t.Context(), TicketTypeName, "")
			if err != nil {
				t.Fatal(err)
			}
			c.writeTimeout = 200 * time.Millisecond
			s.Intercom().(*sandbox.Intercom).Faults = func(*http.Request) sandbox.Fault { return fault }
			sends := map[string]func() error{
				"note": func() error {
					_, err := c.CreateNote(t.Context(), Note{Contact: to.ID, Body: "Hi"})
					return err
				},
				"event of a lead": func() error {
					return c.CreateEvent(t.Context(), Event{Contact: to.ID, Role: "lead", Name: "seen", At: s.Now()})
				},
				"message": func() error {
					_, err := c.CreateMessage(t.Context(), Message{From: sandboxSender, To: to.ID, Role: to.Role, Body: "Hi"})
					return err
				},
				"ticket": func() error {
					_, err := c.CreateTicket(t.Context(), Ticket{Type: kind.ID, Contact: to.ID, Title: "Call"})
					return err
				},
			}
			for what, send := range sends {
				c.pacer = newPacer(new(private)) // what a 429 closed is open again
				before := len(s.Accepted())
				err := send()
				done := len(s.Accepted()) - before
				if done > 1 {
					t.Errorf("%s: done %d times", what, done)
				}
				if err == nil && done != 1 || (Refused(err) || NotSent(err)) && done != 0 {
					t.Errorf("%s: done %d times, yet it says %q (%v)", what, done, classes(err), err)
				}
			}
		})
	}
}

// A used-up limit holds messages back before they leave: nobody waited for them.
func TestSandbox_RateLimit(t *testing.T) {
	t.Parallel()
	s, c := workspace(t, 5)
	const limit = 20
	s.Intercom().(*sandbox.Intercom).RateLimit = limit
	to := s.Residents()[0].Contacts[0]
	if _, err := c.Me(t.Context()); err != nil { // tells the limit
		t.Fatal(err)
	}
	results := make(chan error, 3*limit)
	for range cap(results) { // in two windows at most
		go func() {
			_, err := c.CreateMessage(t.Context(), Message{From: sandboxSender, To: to.ID, Role: to.Role, Body: "Hi"})
			results <- err
		}()
	}
	sent, held := 0, 0
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			sent++
		case NotSent(err) && RateLimited(err):
			held++
		case RateLimited(err): // on a machine that stands still for seconds
		default:
			t.Errorf("got %v", err)
		}
	}
	if sent < limit-1 || held == 0 || len(s.Accepted()) != sent {
		t.Errorf("%d sent and %d held back of %d, Intercom has %d", sent, held, cap(results), len(s.Accepted()))
	}
}
