package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestIntercom_PostMessage(t *testing.T) {
	t.Parallel()
	// with is an in-app message whose fields are replaced, as "name=JSON".
	with := func(to string, changes ...string) string {
		fields := map[string]json.RawMessage{
			"message_type": json.RawMessage(`"inapp"`), "body": json.RawMessage(`"<p>Hi</p>"`),
			"from": json.RawMessage(`{"type":"admin","id":"991267716"}`), "to": json.RawMessage(to),
		}
		for _, change := range changes {
			name, value, _ := strings.Cut(change, "=")
			fields[name] = json.RawMessage(value)
		}
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	ana, bo := `{"type":"user","id":"`+contactID(1)+`"}`, `{"type":"lead","id":"`+contactID(2)+`"}`
	tests := []struct{ name, body, want string }{
		{"in-app to a user", with(ana), "200 <nil> <nil>"},
		{"one recipient in an array", with("[" + ana + "]"), "200 <nil> <nil>"},
		{"the schema's spelling", with(ana, `message_type="in_app"`), "200 <nil> <nil>"},
		{"user by external id", with(`{"type":"user","user_id":"70"}`), "200 <nil> <nil>"},
		{"in-app to someone unsubscribed", with(bo), "200 <nil> <nil>"},
		{"several recipients", with("[" + ana + "," + bo + "]"), "400 parameter_invalid to must be one recipient"},
		{"null body", with(ana, `body=null`), "400 parameter_invalid Body is required"},
		{"empty body", with(ana, `body=""`), "400 parameter_invalid Body is required"},
		{"sms", with(ana, `message_type="sms"`), "400 parameter_invalid message_type must be one of: inapp, email"},
		{"nobody", with(`{"type":"user","id":"` + contactID(9) + `"}`), "404 not_found User Not Found"},
		{"a lead called a user", with(`{"type":"user","id":"` + contactID(2) + `"}`), "404 not_found User Not Found"},
		{"a lead by e-mail", with(`{"type":"lead","email":"bo@example.com"}`), "404 not_found User Not Found"},
		{"two users by e-mail", with(`{"type":"user","email":"cy@example.com"}`), "409 conflict Multiple existing users match this email address - must be more specific using user_id"},
		{"unknown admin", with(ana, `from={"type":"admin","id":5}`), "404 admin_not_found Admin not found"},
		{"no sender", with(ana, `from=null`), "400 parameter_invalid from must be an admin with an id"},
		{"e-mail", with(ana, `message_type="email"`, `subject="Card"`, `template="plain"`), "200 <nil> <nil>"},
		{"e-mail without a subject", with(ana, `message_type="email"`, `template="plain"`), "422 parameter_not_found No subject supplied for email message"},
		{"e-mail without a template", with(ana, `message_type="email"`, `subject="Card"`), "400 parameter_invalid template must be one of: plain, personal"},
		{"e-mail to someone unsubscribed", with(bo, `message_type="email"`, `subject="Card"`, `template="plain"`), "403  This user is unsubscribed from emails"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newIntercomClient(t)
			got := c.do("POST", "/messages", tt.body)
			wantEqual(t, "answer", got.fault(), tt.want)
			wantEqual(t, "accepted", len(c.Accepted()) == 1, got.status == 200)
		})
	}
}

func TestIntercom_MessagesAndConversations(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	body := message(contactID(1), `<p>Hi Ana,</p><p>you owe us&nbsp;5 &lt; 6 k7f3qz.</p>`)
	first, second := c.do("POST", "/messages", body), c.do("POST", "/messages", body)
	if first.text("id") == second.text("id") {
		t.Error("two posts are one message")
	}
	wantEqual(t, "answer", first.text("type")+" "+first.text("message_type")+" "+first.text("created_at"), "admin_message inapp 1772442000")
	wantEqual(t, "what a person sees", c.Accepted()[0].Text, "Hi Ana, you owe us 5 < 6 k7f3qz.")
	wantEqual(t, "contacted", c.do("GET", "/contacts/"+contactID(1), "").text("last_contacted_at"), "1772442000")
	wantEqual(t, "no conversation is left", c.search("conversations", `{"field":"contact_ids","operator":"=","value":"`+contactID(1)+`"}`), "0")

	third := c.do("POST", "/messages", strings.Replace(body, `{`, `{"create_conversation_without_contact_reply":true,`, 1))
	wantEqual(t, "the answer names no conversation", third.at("conversation_id"), nil)
	for query, want := range map[string]string{
		`{"operator":"AND","value":[{"field":"contact_ids","operator":"=","value":"` + contactID(1) + `"},{"field":"source.author.id","operator":"=","value":"991267716"},{"field":"created_at","operator":">","value":1772442000},{"field":"source.body","operator":"=","value":"K7F3QZ"}]}`: "1",
		`{"field":"source.id","operator":"=","value":"` + third.text("id") + `"}`:  "1",
		`{"field":"source.delivered_as","operator":"=","value":"admin_initiated"}`: "1",
		`{"field":"source.body","operator":"=","value":"owe us"}`:                  "0", // one word, never a phrase
		`{"field":"created_at","operator":">","value":1772442001}`:                 "0",
		`{"field":"contact_ids","operator":"IN","value":["` + contactID(2) + `"]}`: "0",
	} {
		wantEqual(t, query, c.search("conversations", query), want)
	}
	id := c.do("POST", "/conversations/search", `{"query":{"field":"source.id","operator":"=","value":"`+third.text("id")+`"}}`).text("conversations.0.id")
	got := c.do("GET", "/conversations/"+id+"?display_as=plaintext", "")
	wantEqual(t, "source", got.text("source.id")+" "+got.text("source.body"), third.text("id")+" Hi Ana, you owe us 5 < 6 k7f3qz.")
	wantEqual(t, "a message's id is no conversation's", c.do("GET", "/conversations/"+third.text("id"), "").fault(), "404 not_found Resource Not Found")
}

func TestIntercom_NewContactCannotBeMessagedYet(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t, func(i *Intercom) { i.MessageLag = time.Minute })
	wantEqual(t, "at once", c.do("POST", "/messages", message(contactID(1), "hello")).status, 404)
	c.clock.set(c.clock.Now().Add(time.Minute))
	wantEqual(t, "a minute later", c.do("POST", "/messages", message(contactID(1), "hello")).status, 200)
}

// search returns how many objects of a class match a query.
func (c *intercomClient) search(class, query string) string {
	c.t.Helper()
	return c.do("POST", "/"+class+"/search", `{"query":`+query+`}`).text("total_count")
}

// setUpTickets makes a back-office type with a required reference and returns its
// id and the attribute's.
func (c *intercomClient) setUpTickets() (typeID, reference string) {
	c.t.Helper()
	typeID = c.do("POST", "/ticket_types", `{"name":"Billing follow-up","category":"Back-office","description":"Dunning"}`).text("id")
	reference = c.do("POST", "/ticket_types/"+typeID+"/attributes", `{"name":"Reference","description":"Key","data_type":"string","required_to_create":true}`).text("id")
	return typeID, reference
}

func TestIntercom_Tickets(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	wantEqual(t, "types at first", len(c.do("GET", "/ticket_types", "").at("data").([]any)), 0)
	typeID, reference := c.setUpTickets()
	c.do("POST", "/ticket_types/"+typeID+"/attributes", `{"name":"Risk","description":"How much","data_type":"list","list_items":"low, high"}`)
	listed := c.do("GET", "/ticket_types", "")
	wantEqual(t, "attributes", len(listed.at("data.0.ticket_type_attributes.data").([]any)), 4)
	high := listed.text("data.0.ticket_type_attributes.data.3.input_options.list_items.1.id")

	ticket := func(contacts, attributes string) string {
		return fmt.Sprintf(`{"ticket_type_id":%s,"contacts":%s,"ticket_attributes":{"_default_title_":"Call Ana","_default_description_":"<p>She owes us.</p>"%s},"assignment":{"team_assignee_id":"8202"}}`, typeID, contacts, attributes)
	}
	ana := `[{"id":"` + contactID(1) + `"}]`
	for _, tt := range []struct{ name, body, want string }{
		{"no contact", ticket("[]", `,"Reference":"r1"`), "400 parameter_invalid contacts must hold exactly one contact"},
		{"two contacts", ticket(`[{"id":"`+contactID(1)+`"},{"id":"`+contactID(2)+`"}]`, `,"Reference":"r1"`), "400 parameter_invalid contacts must hold exactly one contact"},
		{"by e-mail", ticket(`[{"email":"ana@example.com"}]`, `,"Reference":"r1"`), "400 parameter_invalid this sandbox takes a ticket's contact by id only"},
		{"unknown contact", ticket(`[{"id":"`+contactID(9)+`"}]`, `,"Reference":"r1"`), "404 not_found User Not Found"},
		{"unknown attribute", ticket(ana, `,"Reference":"r1","Mood":"good"`), "400 parameter_invalid Extra attributes provided that are not found on ticket type: Mood"},
		{"required attribute", ticket(ana, ``), "400 parameter_invalid Missing required ticket attributes"},
		{"list by name", ticket(ana, `,"Reference":"r1","Risk":"high"`), "400 parameter_invalid Invalid value for ticket attribute 'Risk'"},
		{"unknown team", strings.Replace(ticket(ana, `,"Reference":"r1"`), "8202", "1", 1), "404 assignee_not_found Assignee not found"},
		{"unknown type", `{"ticket_type_id":"1","contacts":` + ana + `}`, "404 not_found Resource Not Found"},
		{"no type", `{"contacts":` + ana + `}`, "400 parameter_not_found ticket_type_id is a required parameter"},
	} {
		wantEqual(t, tt.name, c.do("POST", "/tickets", tt.body).fault(), tt.want)
	}
	wantEqual(t, "accepted", len(c.Accepted()), 0)

	made := c.do("POST", "/tickets", ticket(ana, `,"Reference":"r1","Risk":"`+high+`"`))
	wantEqual(t, "made", spaced(made.status, made.at("category"), made.at("team_assignee_id"), made.at("ticket_state.category")), "200 Back-office 8202 submitted")
	wantEqual(t, "log", c.Accepted(), []Accepted{{
		At: c.clock.Now(), Kind: "ticket", Contact: contactID(1), ID: made.text("id"), Title: "Call Ana", Text: "Call Ana\nShe owes us.", Reference: "r1",
	}})
	for query, want := range map[string]string{
		`{"field":"ticket_attribute.` + reference + `","operator":"=","value":"r1"}`: "1",
		`{"field":"ticket_attribute.` + reference + `","operator":"=","value":"r2"}`: "0",
		`{"operator":"AND","value":[{"field":"contact_ids","operator":"=","value":"` + contactID(1) + `"},{"field":"ticket_type_id","operator":"=","value":"` + typeID + `"},{"field":"created_at","operator":">=","value":1772442000}]}`: "1",
		`{"field":"category","operator":"=","value":"task"}`:         "1",
		`{"field":"created_at","operator":"<=","value":1772441999}`:  "0",
		`{"field":"team_assignee_id","operator":"=","value":"8202"}`: "1",
		`{"field":"state","operator":"!=","value":"resolved"}`:       "1",
	} {
		wantEqual(t, query, c.search("tickets", query), want)
	}

	path := "/tickets/" + made.text("id")
	wantEqual(t, "wrong state", c.do("PUT", path, `{"ticket_state_id":"1"}`).fault(), "400 ticket_state_id_invalid Ticket state id is not valid or is not associated with the ticket type")
	wantEqual(t, "wrong assignee", c.do("PUT", path, `{"assignee_id":"1"}`).fault(), "404 assignee_not_found Assignee not found")
	c.clock.set(c.clock.Now().Add(time.Hour))
	done := c.do("PUT", path, `{"ticket_state_id":"8324","assignee_id":"991267716","admin_id":991267716,"ticket_attributes":{"Risk":null}}`)
	wantEqual(t, "resolved", spaced(done.at("ticket_state.category"), done.at("open"), done.at("admin_assignee_id"), done.at("updated_at"), done.at("ticket_attributes.Risk"), done.at("previous_ticket_state_id")),
		"resolved false 991267716 1772445600 <nil> 8321")
	wantEqual(t, "read", c.do("GET", path, "").text("ticket_state.category"), "resolved")
	wantEqual(t, "its number is no id", c.do("GET", "/tickets/"+made.text("ticket_id"), "").fault(), "404 ticket_not_found Ticket not found")
	wantEqual(t, "states", len(c.do("GET", "/ticket_states", "").at("data").([]any)), 4)
}

func TestIntercom_Faults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fault    Fault
		accepted int
		check    func(*testing.T, *http.Response, error)
	}{
		{"reset before processing", Fault{Kind: FaultReset}, 0, wantReset},
		{"processed, then reset", Fault{Kind: FaultReset, Process: true}, 1, wantReset},
		{"hangs", Fault{Kind: FaultHang}, 0, wantHangUp},
		{"processed, then hangs", Fault{Kind: FaultHang, Process: true}, 1, wantHangUp},
		{"cut off", Fault{Kind: FaultTruncate}, 1, func(t *testing.T, response *http.Response, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("reading a cut-off answer: %v", err)
			}
		}},
		{"429 with headers", Fault{Kind: FaultStatus, Status: 429, Headers: true}, 0, wantStatus(429, "0", "rate_limit_exceeded")},
		{"429 without headers", Fault{Kind: FaultStatus, Status: 429}, 0, wantStatus(429, "", "rate_limit_exceeded")},
		{"500", Fault{Kind: FaultStatus, Status: 500, NullID: true}, 0, wantStatus(500, "", `"request_id":null`)},
		{"processed, then 500", Fault{Kind: FaultStatus, Status: 500, Process: true}, 1, wantStatus(500, "", "server_error")},
		{"502 of the edge", Fault{Kind: FaultStatus, Status: 502, HTML: true}, 0, wantStatus(502, "", "<h1>Bad Gateway</h1>")},
		{"503 and nothing", Fault{Kind: FaultStatus, Status: 503, NoAnswer: true}, 0, wantStatus(503, "", "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan string, 1)
			c := newIntercomClient(t, func(i *Intercom) {
				i.Faults = func(r *http.Request) Fault {
					body, _ := io.ReadAll(r.Body)
					seen <- string(body)
					return tt.fault
				}
			})
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			body := message(contactID(1), "hello")
			go func() {
				wantEqual(t, "the hook reads the body", <-seen, body)
				for tt.fault.Kind == FaultHang && len(c.Accepted()) < tt.accepted {
					runtime.Gosched()
				}
				if tt.fault.Kind == FaultHang {
					hangUp()
				}
				close(seen)
			}()
			response, err := c.http.Do(c.request("POST", "/messages", body).WithContext(ctx))
			if err == nil {
				defer response.Body.Close()
			}
			tt.check(t, response, err)
			wantEqual(t, "accepted", len(c.Accepted()), tt.accepted)
			<-seen
			wantEqual(t, "requests", c.Requests(), 1)
		})
	}
}

func wantReset(t *testing.T, _ *http.Response, err error) {
	t.Helper()
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want a reset connection", err)
	}
}

func wantHangUp(t *testing.T, _ *http.Response, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the client to have hung up", err)
	}
}

func wantStatus(status int, remaining, text string) func(*testing.T, *http.Response, error) {
	return func(t *testing.T, response *http.Response, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "status", response.StatusCode, status)
		wantEqual(t, "remaining", response.Header.Get("X-RateLimit-Remaining"), remaining)
		if !strings.Contains(string(body), text) || text == "" && len(body) > 0 {
			t.Errorf("body\n got %s\nwant %s", body, text)
		}
	}
}

func TestIntercom_MetaLists(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	me := c.do("GET", "/me", "")
	wantEqual(t, "me", spaced(me.at("id"), me.at("has_inbox_seat"), me.at("app.id_code"), me.at("app.timezone")), "991267716 true sandbox1 Europe/Berlin")
	wantEqual(t, "admin", c.do("GET", "/admins", "").text("admins.0.id"), "991267716")
	teams := c.do("GET", "/teams", "")
	wantEqual(t, "teams", teams.text("teams.0.id")+teams.text("teams.0.name")+teams.text("teams.1.id")+teams.text("teams.1.name"), "8201Renewals8202Billing")
	wantEqual(t, "attributes", c.do("GET", "/data_attributes?model=contact", "").text("data.4.full_name"), "custom_attributes.timezone")
	wantEqual(t, "attributes of conversations", c.do("GET", "/data_attributes?model=conversation", "").status, 422)
}
