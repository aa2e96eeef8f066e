package intercom

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each call, what it asks, and what it makes of an answer whose ids are numbers
// where they should be text, and whose gaps are null.
func TestClient_Calls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		call   func(context.Context, *Client) (any, error)
		answer string
		asked  string // method, path and query
		body   string // JSON; empty: none
		want   any
	}{
		{
			name: "me",
			call: func(ctx context.Context, c *Client) (any, error) { return c.Me(ctx) },
			answer: `{"type":"admin","id":991267459,"email":"a@b.c","has_inbox_seat":true,
				"app":{"type":"app","id_code":"abc123","timezone":"America/Los_Angeles","region":"US"}}`,
			asked: "GET /me",
			want:  Identity{AdminID: "991267459", Seat: true, AppID: "abc123", Timezone: "America/Los_Angeles", Region: "US"},
		},
		{
			name:   "admins",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Admins(ctx) },
			answer: `{"type":"admin.list","admins":[{"id":"1","has_inbox_seat":true,"away_mode_enabled":null},{"id":2,"has_inbox_seat":false,"away_mode_enabled":true}]}`,
			asked:  "GET /admins",
			want:   []Admin{{ID: "1", Seat: true}, {ID: "2", Away: true}},
		},
		{
			name:   "teams",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Teams(ctx) },
			answer: `{"type":"team.list","teams":[{"type":"team","id":"8201","name":"Renewals","admin_ids":[1]}]}`,
			asked:  "GET /teams",
			want:   []Team{{"8201", "Renewals"}},
		},
		{
			name:   "tags",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Tags(ctx) },
			answer: `{"type":"list","data":[{"type":"tag","id":"80","name":"VIP"},{"id":81,"name":null}]}`,
			asked:  "GET /tags",
			want:   []Tag{{"80", "VIP"}, {"81", ""}},
		},
		{
			name:   "create tag",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.CreateTag(ctx, "card-expired") },
			answer: `{"type":"tag","id":"105","name":"card-expired"}`,
			asked:  "POST /tags", body: `{"name":"card-expired"}`,
			want: "105",
		},
		{
			name:   "tag contact",
			call:   func(ctx context.Context, c *Client) (any, error) { return nil, c.TagContact(ctx, "6762f0", "105") },
			answer: `{"type":"tag","id":"105","name":"card-expired"}`,
			asked:  "POST /contacts/6762f0/tags", body: `{"id":"105"}`,
		},
		{
			name:   "tags of a contact",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.ContactTags(ctx, "6762f0") },
			answer: `{"type":"list","data":[{"type":"tag","id":"80","name":"VIP"}]}`,
			asked:  "GET /contacts/6762f0/tags",
			want:   []Tag{{"80", "VIP"}},
		},
		{
			name: "contact",
			call: func(ctx context.Context, c *Client) (any, error) { return c.Contact(ctx, "6762f0") },
			answer: `{"type":"contact","id":"6762f0","role":"user","email":"Ana@X.io","name":"Ana","owner_id":7,"unsubscribed_from_emails":true,
				"custom_attributes":{"timezone":"Europe/Lisbon","seats":3},
				"location":{"type":"location","country":"Portugal","region":"Lisboa","city":null,"country_code":"PRT"},
				"tags":{"type":"list","data":[{"type":"tag","id":"80"}],"total_count":11,"has_more":true}}`,
			asked: "GET /contacts/6762f0",
			want: Contact{
				ID: "6762f0", Role: "user", Email: "Ana@X.io", Unsubscribed: true,
				Attributes: map[string]any{"timezone": "Europe/Lisbon", "seats": 3.0},
				TagIDs:     []string{"80"}, MoreTags: true,
				Location: Location{Country: "Portugal", CountryCode: "PRT", Region: "Lisboa"},
			},
		},
		{
			name:   "contact of nulls",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.Contact(ctx, "6762f0") },
			answer: `{"id":"6762f0","role":"lead","email":null,"unsubscribed_from_emails":null,"custom_attributes":null,"location":null,"tags":null}`,
			asked:  "GET /contacts/6762f0",
			want:   Contact{ID: "6762f0", Role: "lead", MoreTags: true},
		},
		{
			name: "search",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.SearchContacts(ctx, []string{" Ana@X.io "})
			},
			answer: `{"type":"list","data":[{"id":"6762f0","role":"user","email":"ana@x.io","tags":{"data":[],"has_more":false}}],"total_count":1,"pages":{"type":"pages","next":null}}`,
			asked:  "POST /contacts/search",
			body: `{"query":{"operator":"OR","value":[{"field":"email","operator":"IN","value":["Ana@X.io","ana@x.io"]}]},
				"sort":{"field":"created_at","order":"descending"},"pagination":{"per_page":150}}`,
			want: []Contact{{ID: "6762f0", Role: "user", Email: "ana@x.io"}},
		},
		{
			name: "contact attributes",
			call: func(ctx context.Context, c *Client) (any, error) { return c.ContactAttributes(ctx) },
			answer: `{"type":"list","data":[{"name":"email","custom":false},{"id":1,"name":"timezone","custom":true,"archived":false},
				{"id":2,"name":"old","custom":true,"archived":true}]}`,
			asked: "GET /data_attributes?model=contact",
			want:  []string{"timezone"},
		},
		{
			name: "message",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateMessage(ctx, Message{From: "991267716", To: "6762f0", Role: "user", Body: "<p>Hi & bye</p>"})
			},
			answer: `{"type":"admin_message","id":19,"created_at":1734537786,"body":"x","message_type":"inapp","owner":{"id":"991267716"}}`,
			asked:  "POST /messages",
			body:   `{"message_type":"inapp","body":"<p>Hi & bye</p>","from":{"type":"admin","id":991267716},"to":{"type":"user","id":"6762f0"}}`,
			want:   "19",
		},
		{
			name: "traceable message to a lead",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateMessage(ctx, Message{From: "991267716", To: "6762f0", Role: "lead", Body: "Hi", Traceable: true})
			},
			answer: `{"type":"admin_message","id":"20","created_at":1,"body":"x","message_type":"inapp","conversation_id":"7"}`,
			asked:  "POST /messages",
			body: `{"message_type":"inapp","body":"Hi","from":{"type":"admin","id":991267716},"to":{"type":"lead","id":"6762f0"},
				"create_conversation_without_contact_reply":true}`,
			want: "20",
		},
		{
			name: "traceable message with a reference",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateMessage(ctx, Message{From: "991267716", To: "6762f0", Role: "user", Body: "<p>Hi</p>", Traceable: true, Reference: "k7f3qz"})
			},
			answer: `{"type":"admin_message","id":"21"}`,
			asked:  "POST /messages",
			body: `{"message_type":"inapp","body":"<p>Hi</p><p>ref k7f3qz</p>","from":{"type":"admin","id":991267716},"to":{"type":"user","id":"6762f0"},
				"create_conversation_without_contact_reply":true}`,
			want: "21",
		},
		{
			name: "reference of a message that leaves no trace",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateMessage(ctx, Message{From: "991267716", To: "6762f0", Role: "user", Body: "<p>Hi</p>", Reference: "k7f3qz"})
			},
			answer: `{"type":"admin_message","id":"22"}`,
			asked:  "POST /messages",
			body:   `{"message_type":"inapp","body":"<p>Hi</p>","from":{"type":"admin","id":991267716},"to":{"type":"user","id":"6762f0"}}`,
			want:   "22",
		},
		{
			name: "e-mail",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateMessage(ctx, Message{From: "991267716", To: "6762f0", Role: "user", Subject: "Your card", Body: "<p>Hi</p>"})
			},
			answer: `{"type":"admin_message","id":"23","message_type":"email"}`,
			asked:  "POST /messages",
			body: `{"message_type":"email","subject":"Your card","template":"personal","body":"<p>Hi</p>","from":{"type":"admin","id":991267716},
				"to":{"type":"user","id":"6762f0"}}`,
			want: "23",
		},
		{
			name: "plain e-mail",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateMessage(ctx, Message{From: "991267716", To: "6762f0", Role: "user", Subject: "Your card", Plain: true, Body: "Hi"})
			},
			answer: `{"type":"admin_message","id":"24"}`,
			asked:  "POST /messages",
			body: `{"message_type":"email","subject":"Your card","template":"plain","body":"Hi","from":{"type":"admin","id":991267716},
				"to":{"type":"user","id":"6762f0"}}`,
			want: "24",
		},
		{
			name:   "untag contact",
			call:   func(ctx context.Context, c *Client) (any, error) { return nil, c.UntagContact(ctx, "6762f0", "105") },
			answer: `{"type":"tag","id":"105","name":"card-expired"}`,
			asked:  "DELETE /contacts/6762f0/tags/105",
		},
		{
			name: "event",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.CreateEvent(ctx, Event{
					Contact: "6762f0", Role: "user", Name: "card-expiring", At: time.Unix(1772452800, 999),
					Metadata: []Datum{{"plan", "Pro"}, {"attempts", json.Number("3")}, {"open", Money{4900, "usd"}}, {"expires_date", json.Number("1774915200")}},
				})
			},
			asked: "POST /events",
			body: `{"event_name":"card-expiring","created_at":1772452800,"id":"6762f0",
				"metadata":{"plan":"Pro","attempts":3,"open":{"amount":4900,"currency":"usd"},"expires_date":1774915200}}`,
		},
		{
			name: "event without values",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.CreateEvent(ctx, Event{Contact: "6762f0", Role: "lead", Name: "card-expiring", At: time.Unix(1772452800, 0)})
			},
			asked: "POST /events", body: `{"event_name":"card-expiring","created_at":1772452800,"id":"6762f0"}`,
		},
		{
			name: "note",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateNote(ctx, Note{Contact: "6762f0", Admin: "991267716", Body: "<p>Owes 49.00 USD</p>", Reference: "k7f3qz"})
			},
			answer: `{"type":"note","id":31,"body":"<p>x</p>"}`,
			asked:  "POST /contacts/6762f0/notes",
			body:   `{"admin_id":"991267716","body":"<p>Owes 49.00 USD</p><p>ref k7f3qz</p>"}`,
			want:   "31",
		},
		{
			name: "set attributes",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.SetAttributes(ctx, "6762f0", map[string]any{"dunning_stage": "first", "attempts": json.Number("3"), "old": nil})
			},
			answer: `{"type":"contact","id":"6762f0"}`,
			asked:  "PUT /contacts/6762f0", body: `{"custom_attributes":{"dunning_stage":"first","attempts":3,"old":null}}`,
		},
		{
			name: "find message",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.FindMessage(ctx, "6762f0", "k7", time.Unix(1772452800, 0))
			},
			answer: `{"type":"conversation.list","conversations":[{"id":"5","source":{"id":"402","body":"<p>ref k77</p>"}},{"id":6,"source":{"id":403,"body":"<p>Hi</p><p>ref k7</p>"}}],"pages":{"next":null}}`,
			asked:  "POST /conversations/search",
			body: `{"query":{"operator":"AND","value":[{"operator":"AND","value":[{"field":"created_at","operator":">","value":1772452200}]},
				{"operator":"OR","value":[{"field":"contact_ids","operator":"=","value":"6762f0"},{"field":"source.body","operator":"=","value":"k7"}]}]},
				"pagination":{"per_page":150}}`,
			want: "403",
		},
		{
			name: "find ticket",
			call: func(ctx context.Context, c *Client) (any, error) { return c.FindTicket(ctx, "157", "dunlin-7") },
			answer: `{"type":"ticket.list","tickets":[{"id":"625","ticket_attributes":{"Dunlin reference":"dunlin-77","n":7}},
				{"id":"626","ticket_attributes":{"Dunlin reference":"dunlin-7"}}],"pages":{}}`,
			asked: "POST /tickets/search",
			body: `{"query":{"operator":"AND","value":[{"field":"ticket_attribute.157","operator":"=","value":"dunlin-7"}]},
				"pagination":{"per_page":150}}`,
			want: "626",
		},
		{
			name: "find note",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.FindNote(ctx, "6762f0", "k7", time.Unix(1772452800, 0))
			},
			answer: `{"type":"list","data":[{"id":"30","created_at":1,"body":"<p>ref k7</p>"},{"id":31,"created_at":1772452799,"body":"<p>Hi</p>\n<p>ref k7</p>"}]}`,
			asked:  "GET /contacts/6762f0/notes?per_page=150",
			want:   "31",
		},
		{
			name: "ticket types",
			call: func(ctx context.Context, c *Client) (any, error) { return c.TicketTypes(ctx) },
			answer: `{"type":"list","data":[{"type":"ticket_type","id":67,"name":"Bug","category":"Customer","archived":false,
				"ticket_type_attributes":{"type":"list","data":[{"id":165,"name":"_default_title_","data_type":"string","required_to_create":null,"input_options":null}]}},
				{"id":"68","name":"Old","category":"Back-office","archived":true,"ticket_type_attributes":null}]}`,
			asked: "GET /ticket_types",
			want: []TicketType{
				{ID: "67", Name: "Bug", Category: "Customer", Attributes: []TicketAttribute{{ID: "165", Name: "_default_title_", DataType: "string"}}},
				{ID: "68", Name: "Old", Category: BackOffice, Archived: true},
			},
		},
		{
			name:   "create ticket type",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.CreateTicketType(ctx, "Follow-up", "Why") },
			answer: `{"type":"ticket_type","id":"70","name":"Follow-up","category":"Back-office"}`,
			asked:  "POST /ticket_types", body: `{"name":"Follow-up","description":"Why","category":"Back-office"}`,
			want: TicketType{ID: "70", Name: "Follow-up", Category: BackOffice},
		},
		{
			name: "create attribute",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateTicketTypeAttribute(ctx, "70", "Reference", "Why")
			},
			answer: `{"type":"ticket_type_attribute","id":"157","name":"Reference","data_type":"string","required_to_create":false}`,
			asked:  "POST /ticket_types/70/attributes",
			body: `{"name":"Reference","description":"Why","data_type":"string","required_to_create":false,"required_to_create_for_contacts":false,
				"visible_on_create":false,"visible_to_contacts":false}`,
			want: TicketAttribute{ID: "157", Name: "Reference", DataType: "string"},
		},
		{
			name:   "ticket states",
			call:   func(ctx context.Context, c *Client) (any, error) { return c.TicketStates(ctx) },
			answer: `{"type":"list","data":[{"id":"8269","category":"submitted","internal_label":"Submitted","external_label":"Sent","archived":false}]}`,
			asked:  "GET /ticket_states",
			want:   []TicketState{{ID: "8269", Category: "submitted", Label: "Submitted"}},
		},
		{
			name: "create ticket",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateTicket(ctx, Ticket{
					Type: "70", Contact: "6762f0", Title: "Call Ana", Description: "49.00 usd open",
					Reference: "1/2/payment-failed", ReferenceAttribute: "Dunlin reference", Team: "8202",
				})
			},
			answer: `{"type":"ticket","id":"626","ticket_id":"33"}`,
			asked:  "POST /tickets",
			body: `{"ticket_type_id":"70","contacts":[{"id":"6762f0"}],
				"ticket_attributes":{"_default_title_":"Call Ana","_default_description_":"49.00 usd open","Dunlin reference":"1/2/payment-failed"},
				"assignment":{"team_assignee_id":"8202"}}`,
			want: "626",
		},
		{
			name: "create bare ticket",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.CreateTicket(ctx, Ticket{Type: "70", Contact: "6762f0", Title: "Call"})
			},
			answer: `{"type":"ticket","id":626}`,
			asked:  "POST /tickets",
			body:   `{"ticket_type_id":"70","contacts":[{"id":"6762f0"}],"ticket_attributes":{"_default_title_":"Call","_default_description_":""}}`,
			want:   "626",
		},
		{
			name: "ticket",
			call: func(ctx context.Context, c *Client) (any, error) { return c.Ticket(ctx, "626") },
			answer: `{"type":"ticket","id":"626","ticket_id":"33","ticket_attributes":{"_default_title_":"Call","n":3},
				"ticket_state":{"id":"8481","category":"resolved","internal_label":"Done"},"ticket_type":{"id":"70"},
				"contacts":{"contacts":[{"id":"6762f0"}]},"admin_assignee_id":0,"team_assignee_id":"8202","open":false,"snoozed_until":null}`,
			asked: "GET /tickets/626",
			want: TicketStatus{
				ID: "626", Number: "33", Type: "70", State: TicketState{ID: "8481", Category: "resolved", Label: "Done"},
				Team: "8202", Contacts: []string{"6762f0"}, Attributes: map[string]string{"_default_title_": "Call"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen requests
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				seen.note(r)
				answer(w, http.StatusOK, tt.answer)
			})
			got, err := tt.call(t.Context(), newTestClient(t, base))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got)\n%s", diff)
			}
			if seen.count() != 1 {
				t.Fatalf("made %d requests, want 1", seen.count())
			}
			r := seen.all()[0]
			if asked := strings.TrimSuffix(r.Method+" "+r.Path+"?"+r.Query, "?"); asked != tt.asked {
				t.Errorf("asked\n got %s\nwant %s", asked, tt.asked)
			}
			checkHeaders(t, r.Header, tt.body != "")
			if diff := cmp.Diff(decoded(t, tt.body), decoded(t, r.Body)); diff != "" {
				t.Errorf("body (-want +got)\n%s", diff)
			}
		})
	}
}

func checkHeaders(t *testing.T, h http.Header, body bool) {
	t.Helper()
	want := map[string]string{
		"Authorization": "Bearer " + testToken, "Accept": "application/json", "Intercom-Version": "2.16",
		"User-Agent": userAgent, "Content-Type": "",
	}
	if body {
		want["Content-Type"] = "application/json"
	}
	for name, value := range want {
		if h.Get(name) != value {
			t.Errorf("%s\n got %q\nwant %q", name, h.Get(name), value)
		}
	}
}

func decoded(t *testing.T, s string) any {
	t.Helper()
	if s == "" {
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return v
}

// What is wrong before it leaves is refused, and nothing leaves.
func TestClient_RefusesWrongCalls(t *testing.T) {
	t.Parallel()
	message := Message{From: "991267716", To: "6762f0", Role: "user", Body: "Hi"}
	ticket := Ticket{Type: "70", Contact: "6762f0", Title: "Call"}
	with := func(f func(*Message)) func(context.Context, *Client) error {
		m := message
		f(&m)
		return func(ctx context.Context, c *Client) error { _, err := c.CreateMessage(ctx, m); return err }
	}
	about := func(f func(*Ticket)) func(context.Context, *Client) error {
		k := ticket
		f(&k)
		return func(ctx context.Context, c *Client) error { _, err := c.CreateTicket(ctx, k); return err }
	}
	attributes := func(id string, values map[string]any) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { return c.SetAttributes(ctx, id, values) }
	}
	event := func(e Event) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { return c.CreateEvent(ctx, e) }
	}
	note := func(n Note) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { _, err := c.CreateNote(ctx, n); return err }
	}
	at := time.Unix(1772452800, 0)
	tests := []struct {
		name string
		call func(context.Context, *Client) error
	}{
		{"traceable e-mail", with(func(m *Message) { m.Subject, m.Traceable = "Hi", true })},
		{"event of nobody", event(Event{Name: "x", At: at})},
		{"event without a name", event(Event{Contact: "6762f0", At: at})},
		{"event without a time", event(Event{Contact: "6762f0", Name: "x"})},
		{"event of eleven values", event(Event{Contact: "6762f0", Name: "x", At: at, Metadata: make([]Datum, 11)})},
		{"note about nobody", note(Note{Body: "x"})},
		{"empty note", note(Note{Contact: "6762f0", Body: " "})},
		{"attributes of nobody", attributes("", map[string]any{"a": "b"})},
		{"no attributes", attributes("6762f0", nil)},
		{"nobody untagged", func(ctx context.Context, c *Client) error { return c.UntagContact(ctx, "", "1") }},
		{"message of nobody looked for", func(ctx context.Context, c *Client) error { _, err := c.FindMessage(ctx, "", "k7", at); return err }},
		{"note about nobody looked for", func(ctx context.Context, c *Client) error { _, err := c.FindNote(ctx, "", "k7", at); return err }},
		{"ticket looked for before setup", func(ctx context.Context, c *Client) error { _, err := c.FindTicket(ctx, "", "k7"); return err }},
		{"message from a name", with(func(m *Message) { m.From = "ana" })},
		{"message from nobody", with(func(m *Message) { m.From = "" })},
		{"message to nobody", with(func(m *Message) { m.To = "" })},
		{"message to a visitor", with(func(m *Message) { m.Role = "visitor" })},
		{"empty message", with(func(m *Message) { m.Body = " \n" })},
		{"ticket of no type", about(func(k *Ticket) { k.Type = "" })},
		{"ticket about nobody", about(func(k *Ticket) { k.Contact = "" })},
		{"ticket without a title", about(func(k *Ticket) { k.Title = "" })},
		{"reference without an attribute", about(func(k *Ticket) { k.Reference = "x" })},
		{"contact without an id", func(ctx context.Context, c *Client) error { _, err := c.Contact(ctx, ""); return err }},
		{"tags of nobody", func(ctx context.Context, c *Client) error { _, err := c.ContactTags(ctx, ""); return err }},
		{"tag without a name", func(ctx context.Context, c *Client) error { _, err := c.CreateTag(ctx, " "); return err }},
		{"tag for nobody", func(ctx context.Context, c *Client) error { return c.TagContact(ctx, "", "1") }},
		{"ticket without an id", func(ctx context.Context, c *Client) error { _, err := c.Ticket(ctx, ""); return err }},
		{"type without a name", func(ctx context.Context, c *Client) error { _, err := c.CreateTicketType(ctx, "", ""); return err }},
		{"attribute of no type", func(ctx context.Context, c *Client) error {
			_, err := c.CreateTicketTypeAttribute(ctx, "", "x", "")
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen requests
			base := serve(t, func(w http.ResponseWriter, r *http.Request) { seen.note(r); answer(w, 200, `{"id":"1"}`) })
			err := tt.call(t.Context(), newTestClient(t, base))
			if !Refused(err) || Unknown(err) || NotSent(err) {
				t.Errorf("want a refusal, got %v", err)
			}
			if seen.count() != 0 {
				t.Errorf("%d requests left", seen.count())
			}
		})
	}
}
