package sandbox

import (
	"fmt"
	"strings"
	"testing"
)

func TestIntercom_Notes(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	path := "/contacts/" + contactID(1) + "/notes"
	wantEqual(t, "body", c.do("POST", path, `{"body":"call <them>","admin_id":"991267716"}`).text("body"), "<p>call &lt;them&gt;</p>")
	wantEqual(t, "no body", c.do("POST", path, `{}`).fault(), "400 parameter_invalid Body is required")
	wantEqual(t, "unknown admin", c.do("POST", path, `{"body":"x","admin_id":"1"}`).fault(), "404 not_found Resource Not Found")
	wantEqual(t, "unknown contact", c.do("POST", "/contacts/x/notes", `{"body":"x"}`).fault(), "404 not_found User Not Found")
	c.do("POST", path, `{"body":"second"}`)
	list := c.do("GET", path+"?per_page=1", "")
	wantEqual(t, "newest first", list.text("data.0.body")+" "+list.text("total_count"), "<p>second</p> 2")
	wantEqual(t, "next page", c.do("GET", path+"?per_page=1&starting_after="+list.text("pages.next.starting_after"), "").text("data.0.body"), "<p>call &lt;them&gt;</p>")

	text := `<p>Promised to pay on Friday.</p><p>ref k7f3qz</p>`
	made := c.do("POST", path, fmt.Sprintf(`{"body":%q}`, text))
	wantEqual(t, "log", c.Accepted()[2:], []Accepted{{
		At: c.clock.Now(), Kind: "note", Contact: contactID(1), ID: made.text("id"), Text: "Promised to pay on Friday. ref k7f3qz", Reference: "k7f3qz",
	}})
}

func TestIntercom_Events(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	event := func(who string, changes ...string) string {
		body := `{"event_name":"card-expiring","created_at":1772442000,` + who + `,"metadata":{"plan":"Pro","amount":{"amount":4900,"currency":"usd"},"attempts":3}}`
		return strings.NewReplacer(changes...).Replace(body)
	}
	ana, bo := `"id":"`+contactID(1)+`"`, `"id":"`+contactID(2)+`"`
	for _, tt := range []struct{ name, body, want string }{
		{"of nobody", event(`"id":"` + contactID(9) + `"`), "404 not_found User Not Found"},
		{"of a lead by e-mail", event(`"email":"bo@example.com"`), "404 not_found User Not Found"},
		{"of two users by e-mail", event(`"email":"cy@example.com"`), "409 conflict Multiple existing users match this email address - must be more specific using user_id"},
		{"of no one", event(`"x":1`), "400 parameter_not_found event_name, created_at and one of id, user_id and email are required"},
		{"no time", event(ana, `"created_at":1772442000,`, ``), "400 parameter_not_found event_name, created_at and one of id, user_id and email are required"},
		{"nested", event(ana, `"Pro"`, `{"name":"Pro"}`), "400 parameter_invalid metadata must not be nested, but for links and amounts of money"},
	} {
		wantEqual(t, tt.name, c.do("POST", "/events", tt.body).fault(), tt.want)
	}
	wantEqual(t, "accepted", len(c.Accepted()), 0)

	for _, body := range []string{event(ana), event(ana), event(`"user_id":"70"`), event(ana, "1772442000", "1772442001"), event(bo), event(bo)} {
		got := c.do("POST", "/events", body)
		wantEqual(t, "answer", spaced(got.status, got.body), "202 <nil>")
	}
	var again []bool
	for _, a := range c.Accepted() {
		again = append(again, a.Again)
	}
	wantEqual(t, "the same user and second are one event, a lead's are not", again, []bool{false, true, true, false, false, false})
	wantEqual(t, "log", c.Accepted()[0], Accepted{
		At: c.clock.Now(), Kind: "event", Contact: contactID(1), Text: "card-expiring\namount: 4900 usd\nattempts: 3\nplan: Pro",
	})

	list := c.do("GET", "/events?type=user&intercom_user_id="+contactID(1), "")
	wantEqual(t, "list", spaced(len(list.at("events").([]any)), list.at("events.0.created_at"), list.at("events.1.metadata.plan")), "2 1772442001 Pro")
	summary := c.do("GET", "/events?type=user&user_id=70&summary=true", "")
	wantEqual(t, "summary", spaced(summary.at("events.0.name"), summary.at("events.0.count"), summary.at("events.0.first")), "card-expiring 2 2026-03-02T09:00:00.000+00:00")
	wantEqual(t, "a lead has no list", c.do("GET", "/events?type=user&intercom_user_id="+contactID(2), "").status, 404)

	many := make([]string, 12)
	for n := range many {
		many[n] = fmt.Sprintf(`"k%02d":%d`, n, n)
	}
	c.do("POST", "/events", event(bo, `"plan":"Pro"`, strings.Join(many, ",")))
	wantEqual(t, "ten keys are kept", strings.Count(c.Accepted()[6].Text, "\n"), 10)
}

func TestIntercom_DataAttributes(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	for _, tt := range []struct{ name, body, want string }{
		{"text", `{"name":"dunning_stage","model":"contact","data_type":"string"}`, "200 <nil> <nil>"},
		{"again", `{"name":"dunning_stage","model":"contact","data_type":"string"}`, "400 parameter_invalid You already have 'dunning_stage' in your company data. To save this as new people data, use a different name."},
		{"of another model", `{"name":"dunning_stage","model":"company","data_type":"string"}`, "400 parameter_invalid You already have 'dunning_stage' in your company data. To save this as new company data, use a different name."},
		{"a number", `{"name":"failed payments","model":"contact","data_type":"integer"}`, "200 <nil> <nil>"},
		{"no such type", `{"name":"x","model":"contact","data_type":"mithril"}`, "400 parameter_invalid Data Type isn't an option"},
		{"no such model", `{"name":"x","model":"ticket","data_type":"string"}`, "400 parameter_invalid The Data Attribute model field must be either contact or company"},
		{"a dot", `{"name":"a.b","model":"contact","data_type":"string"}`, "400 parameter_invalid Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens"},
		{"one option", `{"name":"x","model":"contact","data_type":"options","options":[{"value":"1"}]}`, "400 parameter_invalid Options isn't an array"},
		{"a company's", `{"name":"seats","model":"company","data_type":"integer"}`, "200 <nil> <nil>"},
	} {
		wantEqual(t, tt.name, c.do("POST", "/data_attributes", tt.body).fault(), tt.want)
	}
	put := func(values string) string {
		return c.do("PUT", "/contacts/"+contactID(2), `{"custom_attributes":`+values+`}`).fault()
	}
	wantEqual(t, "written", put(`{"dunning_stage":"first","failed payments":2}`), "200 <nil> <nil>")
	wantEqual(t, "wrong type", put(`{"failed payments":"2"}`), "400 parameter_invalid Custom attribute 'failed payments' is not of type integer")
	wantEqual(t, "a company's", put(`{"seats":2}`), "400 parameter_invalid Custom attribute 'seats' does not exist")
	wantEqual(t, "found", c.search("contacts", `{"field":"custom_attributes.failed payments","operator":">","value":1}`), "1")
	wantEqual(t, "log", c.Accepted(), []Accepted{{
		At: c.clock.Now(), Kind: "attributes", Contact: contactID(2), ID: contactID(2), Text: "dunning_stage: first\nfailed payments: 2",
	}})
}
