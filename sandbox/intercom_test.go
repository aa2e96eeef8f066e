package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const intercomTestToken = "token"

// An intercomClient talks to an Intercom over real HTTP.
type intercomClient struct {
	*Intercom
	t     *testing.T
	clock *Clock
	url   string
	http  *http.Client
}

// newIntercomClient serves an Intercom with four contacts: Ana, a user with all
// the world knows of her; Bo, a lead; Cy and Cy again, users with one e-mail.
func newIntercomClient(t *testing.T, configure ...func(*Intercom)) *intercomClient {
	t.Helper()
	clock := &Clock{}
	clock.set(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	i := newIntercom(clock, intercomTestToken)
	for _, f := range configure {
		f(i)
	}
	server := httptest.NewServer(i.Handler())
	t.Cleanup(server.Close)
	c := &intercomClient{Intercom: i, t: t, clock: clock, url: server.URL, http: server.Client()}
	i.addContact(contactSeed{
		Contact: Contact{ID: contactID(1), Customer: "cus_1", Email: "Ana@Example.com", Role: "user", Timezone: "Asia/Tokyo", OptedOut: true},
		Name:    "Ana Silva", ExternalID: "70", LocationCountry: "us", LocationRegion: "New York", OptOutBy: "attribute",
	})
	i.addContact(contactSeed{Contact: Contact{ID: contactID(2), Email: "bo@example.com", Role: "lead"}, OptOutBy: "unsubscribed"})
	i.addContact(contactSeed{Contact: Contact{ID: contactID(3), Email: "cy@example.com", Role: "user"}, OptOutBy: "tag"})
	i.addContact(contactSeed{Contact: Contact{ID: contactID(4), Email: "CY@example.com", Role: "user"}})
	return c
}

func contactID(n int) string { return fmt.Sprintf("6762f23b1bb6%012x", n) }

// A reply is a decoded answer.
type reply struct {
	status int
	header http.Header
	body   any
}

// at follows keys and indexes into a reply: "data.0.id".
func (r reply) at(path string) any {
	value := r.body
	for key := range strings.SplitSeq(path, ".") {
		switch inside := value.(type) {
		case map[string]any:
			value = inside[key]
		case []any:
			n, err := strconv.Atoi(key)
			if err != nil || n >= len(inside) {
				return nil
			}
			value = inside[n]
		default:
			return nil
		}
	}
	return value
}

func (r reply) text(path string) string { return fmt.Sprint(r.at(path)) }

// fault is a reply's status, code and message, as "404 not_found User Not Found".
func (r reply) fault() string {
	return fmt.Sprint(r.status, " ", r.text("errors.0.code"), " ", r.text("errors.0.message"))
}

func (c *intercomClient) request(method, path, body string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+intercomTestToken)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Intercom-Version", "2.16")
	return r
}

func (c *intercomClient) send(r *http.Request) reply {
	c.t.Helper()
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	out := reply{status: response.StatusCode, header: response.Header}
	if len(raw) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&out.body); err != nil {
			c.t.Fatalf("%s %s answered %q: %v", r.Method, r.URL.Path, raw, err)
		}
	}
	return out
}

func (c *intercomClient) do(method, path, body string) reply {
	c.t.Helper()
	return c.send(c.request(method, path, body))
}

// spaced prints values with spaces between them.
func spaced(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

// message is the body of a plain in-app message to a user.
func message(contact, text string) string {
	return fmt.Sprintf(`{"message_type":"inapp","body":%q,"from":{"type":"admin","id":991267716},"to":{"type":"user","id":%q}}`, text, contact)
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestIntercom_Protocol(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*http.Request)
		want   string
	}{
		{"no token", func(r *http.Request) { r.Header.Del("Authorization") }, "401 unauthorized Access Token Invalid"},
		{"wrong token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer nope") }, "401 unauthorized Access Token Invalid"},
		{"no Accept", func(r *http.Request) { r.Header.Del("Accept") }, "406 client_error The Accept header should send a media type of application/json"},
		{"wrong Accept", func(r *http.Request) { r.Header.Set("Accept", "text/html") }, "406 client_error The Accept header should send a media type of application/json"},
		{"any Accept", func(r *http.Request) { r.Header.Set("Accept", "text/html, */*;q=0.1") }, "200 <nil> <nil>"},
		{"unknown version", func(r *http.Request) { r.Header.Set("Intercom-Version", "2.99") }, "400 intercom_version_invalid Requested resource is not available in current API version."},
		{"no version is the app's", func(r *http.Request) { r.Header.Del("Intercom-Version") }, "200 <nil> <nil>"},
		{"unknown path", func(r *http.Request) { r.URL.Path = "/nowhere" }, "404 not_found Resource Not Found"},
		{"method a path lacks", func(r *http.Request) { r.Method = http.MethodPatch }, "404 not_found Resource Not Found"},
		{"oversized body", func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", intercomBodyLimit+1)))
			r.ContentLength = intercomBodyLimit + 1
			r.Method, r.URL.Path = http.MethodPost, "/messages"
		}, "413 client_error Request body is too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newIntercomClient(t)
			r := c.request(http.MethodGet, "/me", "")
			tt.change(r)
			got := c.send(r)
			wantEqual(t, "answer", got.fault(), tt.want)
			if got.status >= 400 && got.status != 413 && got.at("request_id") == nil {
				t.Error("an error without a request_id")
			}
			if has := got.header.Get("X-RateLimit-Limit") != ""; has != (got.status != 401 && got.status != 413) {
				t.Errorf("rate limit headers on a %d: %v", got.status, has)
			}
		})
	}
}

func TestIntercom_RecordsVersions(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	c.do("GET", "/me", "")
	r := c.request("GET", "/me", "")
	r.Header.Del("Intercom-Version")
	c.send(r)
	wantEqual(t, "versions", c.Versions(), map[string]int{"2.16": 1, "": 1})
	wantEqual(t, "requests", c.Requests(), 2)
}

func TestIntercom_RateLimit(t *testing.T) {
	t.Parallel()
	machine := time.Unix(1_700_000_003, 0)
	c := newIntercomClient(t, func(i *Intercom) {
		i.RateLimit = 5
		i.machine = func() time.Time { return machine }
	})
	for n := range 5 {
		got := c.do("GET", "/me", "")
		wantEqual(t, "status", got.status, 200)
		wantEqual(t, "remaining", got.header.Get("X-RateLimit-Remaining"), strconv.Itoa(4-n))
	}
	got := c.do("POST", "/messages", message(contactID(1), "too much"))
	wantEqual(t, "sixth", got.fault(), "429 rate_limit_exceeded Exceeded rate limit of 5 in 10_seconds")
	wantEqual(t, "limit", got.header.Get("X-RateLimit-Limit"), "5")
	wantEqual(t, "remaining", got.header.Get("X-RateLimit-Remaining"), "0")
	wantEqual(t, "reset", got.header.Get("X-RateLimit-Reset"), "1700000010")
	wantEqual(t, "accepted", len(c.Accepted()), 0)

	c.clock.set(c.clock.Now().Add(time.Hour)) // virtual time is no help
	wantEqual(t, "an hour of virtual time later", c.do("GET", "/me", "").status, 429)
	machine = time.Unix(1_700_000_010, 0)
	wantEqual(t, "in the next window", c.do("GET", "/me", "").status, 200)
}

func TestIntercom_Contact(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	ana := c.do("GET", "/contacts/"+contactID(1), "")
	for path, want := range map[string]string{
		"role": "user", "email": "Ana@Example.com", "external_id": "70", "name": "Ana Silva", "custom_attributes.timezone": "Asia/Tokyo",
		"custom_attributes.billing_messages_off": "true", "location.country_code": "US", "location.country": "United States",
		"location.region": "New York", "unsubscribed_from_emails": "false", "created_at": "1772442000",
	} {
		wantEqual(t, path, ana.text(path), want)
	}
	wantEqual(t, "Bo unsubscribed", c.do("GET", "/contacts/"+contactID(2), "").at("unsubscribed_from_emails"), any(true))
	wantEqual(t, "Cy's tag", c.do("GET", "/contacts/"+contactID(3)+"/tags", "").text("data.0.name"), "no-billing-messages")
	wantEqual(t, "nobody", c.do("GET", "/contacts/"+contactID(9), "").fault(), "404 not_found User Not Found")
	wantEqual(t, "by external id", c.do("GET", "/contacts/find_by_external_id/70", "").text("id"), contactID(1))
	wantEqual(t, "locations", c.Locations(), map[string]Location{contactID(1): {Country: "US", Region: "New York"}})

	c.Archive(contactID(2))
	wantEqual(t, "archived", c.do("GET", "/contacts/"+contactID(2), "").fault(), "404 not_found User Not Found")
	c.Merge(contactID(3), contactID(4))
	merged := c.do("GET", "/contacts/"+contactID(3), "")
	wantEqual(t, "merged", merged.status, 410)
	wantEqual(t, "merged code", merged.text("errors.0.code"), "contact_merged")
	wantEqual(t, "canonical", merged.header.Get("Link"), "</contacts/"+contactID(4)+`>; rel="canonical"`)
	got := c.do("POST", "/contacts/search", `{"query":{"field":"email","operator":"=","value":"cy@example.com"}}`)
	wantEqual(t, "search after a merge", got.text("total_count")+" "+got.text("data.0.id"), "1 "+contactID(4))
	wantEqual(t, "message after a merge", c.do("POST", "/messages", message(contactID(3), "hello")).fault(), "404 not_found User Not Found")
}

func TestIntercom_PutContact(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, contact, body, want string }{
		{"attribute", contactID(2), `{"custom_attributes":{"timezone":"Europe/Paris"}}`, "200 <nil> <nil>"},
		{"unknown attribute", contactID(2), `{"custom_attributes":{"mood":"good"}}`, "400 parameter_invalid Custom attribute 'mood' does not exist"},
		{"wrong type", contactID(2), `{"custom_attributes":{"timezone":3}}`, "400 parameter_invalid Custom attribute 'timezone' is not of type string"},
		{"too long", contactID(2), `{"custom_attributes":{"timezone":"` + strings.Repeat("x", 256) + `"}}`, "400 parameter_invalid Custom attribute 'timezone' is too long: 255 characters at most"},
		{"user to lead", contactID(1), `{"role":"lead"}`, "400 client_error Contact with user role can't be converted to a lead"},
		{"external id of another", contactID(3), `{"external_id":"70"}`, "409 conflict A contact matching those details already exists with id=" + contactID(1)},
		{"no JSON", contactID(3), `{`, "400 parameter_invalid The request body is not what this call takes: unexpected EOF"},
		{"nobody", contactID(9), `{}`, "404 not_found User Not Found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newIntercomClient(t)
			wantEqual(t, "answer", c.do("PUT", "/contacts/"+tt.contact, tt.body).fault(), tt.want)
		})
	}
	t.Run("a changed address is found, the old one is not", func(t *testing.T) {
		t.Parallel()
		c := newIntercomClient(t)
		c.do("PUT", "/contacts/"+contactID(2), `{"email":"bo@new.example.com","custom_attributes":{"timezone":"Europe/Paris","billing_messages_off":null}}`)
		for email, want := range map[string]string{"bo@example.com": "0", "BO@new.example.com": "1"} {
			got := c.do("POST", "/contacts/search", fmt.Sprintf(`{"query":{"field":"email","operator":"IN","value":[%q]}}`, email))
			wantEqual(t, email, got.text("total_count"), want)
		}
	})
}

func TestIntercom_SearchContacts(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		return strings.Repeat(`{"field":"role","operator":"=","value":"user"},`, n-1) + `{"field":"role","operator":"=","value":"user"}`
	}
	tests := []struct{ name, body, want string }{
		{"email in a list, any case", `{"query":{"field":"email","operator":"IN","value":["ANA@example.com","bo@example.com"]}}`, "2 1"},
		{"email of two", `{"query":{"field":"email","operator":"=","value":"cy@example.com"}}`, "4 3"},
		{"external id", `{"query":{"field":"external_id","operator":"=","value":"70"}}`, "1"},
		{"and", `{"query":{"operator":"AND","value":[{"field":"role","operator":"=","value":"user"},{"field":"email","operator":"~","value":"cy@"}]}}`, "4 3"},
		{"two levels", `{"query":{"operator":"AND","value":[{"operator":"OR","value":[{"field":"role","operator":"=","value":"lead"},{"field":"external_id","operator":"=","value":"70"}]},{"field":"id","operator":"!=","value":"` + contactID(2) + `"}]}}`, "1"},
		{"null", `{"query":{"field":"external_id","operator":"=","value":null}}`, "4 3 2"},
		{"attribute", `{"query":{"field":"custom_attributes.billing_messages_off","operator":"=","value":true}}`, "1"},
		{"tag", `{"query":{"field":"tag_id","operator":"=","value":"81"}}`, "3"},
		{"dates are whole days: not after", `{"query":{"field":"created_at","operator":">","value":1772442000}}`, ""},
		{"dates are whole days: the same", `{"query":{"field":"created_at","operator":"=","value":1772406000}}`, "4 3 2 1"},
		{"dates have no !=", `{"query":{"field":"created_at","operator":"!=","value":1772406000}}`, "400 parameter_invalid invalid operator '!=' for field 'created_at'"},
		{"ascending", `{"query":{"field":"role","operator":"=","value":"user"},"sort":{"field":"created_at","order":"ascending"}}`, "1 3 4"},
		{"wrong order", `{"query":{"field":"role","operator":"=","value":"user"},"sort":{"order":"desc"}}`, "400 invalid_sort_order Invalid sort order 'desc'. Must be one of: ascending, descending"},
		{"three levels", `{"query":{"operator":"AND","value":[{"operator":"OR","value":[{"operator":"OR","value":[{"field":"role","operator":"=","value":"user"}]}]}]}}`, "400 parameter_invalid filters can be nested 2 deep at most"},
		{"fifteen filters", `{"query":{"operator":"AND","value":[` + many(15) + `]}}`, "4 3 1"},
		{"sixteen filters", `{"query":{"operator":"AND","value":[` + many(16) + `]}}`, "400 parameter_invalid 16 filters in one group; 15 at most"},
		{"unknown field", `{"query":{"field":"shoe_size","operator":"=","value":"43"}}`, "400 parameter_invalid invalid field 'shoe_size'"},
		{"no query", `{}`, "400 parameter_invalid invalid query: unexpected end of JSON input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newIntercomClient(t)
			got := c.do("POST", "/contacts/search", tt.body)
			if got.status != 200 {
				wantEqual(t, "answer", got.fault(), tt.want)
				return
			}
			var ids []string
			for n := range got.at("data").([]any) {
				ids = append(ids, strings.TrimLeft(strings.TrimPrefix(got.text(fmt.Sprintf("data.%d.id", n)), "6762f23b1bb6"), "0"))
			}
			wantEqual(t, "found", strings.Join(ids, " "), tt.want)
		})
	}
}

func TestIntercom_SearchPagesAndLag(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t, func(i *Intercom) { i.SearchLag = 2 * time.Minute })
	const all = `"query":{"field":"role","operator":"IN","value":["user","lead"]},"sort":{"field":"created_at","order":"ascending"}`
	wantEqual(t, "before the lag is over", c.do("POST", "/contacts/search", "{"+all+"}").text("total_count"), "0")
	c.clock.set(c.clock.Now().Add(2 * time.Minute))

	var seen []string
	cursor := "null"
	for range 5 {
		got := c.do("POST", "/contacts/search", fmt.Sprintf(`{%s,"pagination":{"per_page":3,"starting_after":%s}}`, all, cursor))
		wantEqual(t, "total", got.text("total_count")+"/"+got.text("pages.total_pages"), "4/2")
		for n := range got.at("data").([]any) {
			seen = append(seen, got.text(fmt.Sprintf("data.%d.id", n)))
		}
		if got.at("pages.next") == nil {
			break
		}
		cursor = strconv.Quote(got.text("pages.next.starting_after"))
		wantEqual(t, "cursor of another search",
			c.do("POST", "/contacts/search", fmt.Sprintf(`{"query":{"field":"role","operator":"=","value":"user"},"pagination":{"starting_after":%s}}`, cursor)).fault(),
			"400 parameter_invalid starting_after is not a cursor of this search")
	}
	wantEqual(t, "pages", seen, []string{contactID(1), contactID(2), contactID(3), contactID(4)})
	wantEqual(t, "too large a page", c.do("POST", "/contacts/search", "{"+all+`,"pagination":{"per_page":151}}`).status, 400)
}

func TestIntercom_Tags(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	first := c.do("POST", "/tags", `{"name":"card-expired"}`)
	wantEqual(t, "the same in another case", c.do("POST", "/tags", `{"name":"Card-Expired"}`).text("id"), first.text("id"))
	wantEqual(t, "no name", c.do("POST", "/tags", `{}`).fault(), "400 parameter_invalid invalid tag parameters")
	wantEqual(t, "tags", len(c.do("GET", "/tags", "").at("data").([]any)), 2)

	attach := fmt.Sprintf(`{"id":%q}`, first.text("id"))
	for range 2 {
		got := c.do("POST", "/contacts/"+contactID(1)+"/tags", attach)
		wantEqual(t, "attached", got.text("name")+" "+got.text("applied_at"), "card-expired 1772442000")
	}
	wantEqual(t, "unknown tag", c.do("POST", "/contacts/"+contactID(1)+"/tags", `{"id":"999"}`).fault(), "404 not_found Resource Not Found")
	wantEqual(t, "unknown contact", c.do("POST", "/contacts/"+contactID(9)+"/tags", attach).fault(), "404 not_found User Not Found")
	wantEqual(t, "detached", c.do("DELETE", "/contacts/"+contactID(1)+"/tags/"+first.text("id"), "").status, 200)
	wantEqual(t, "detached twice", c.do("DELETE", "/contacts/"+contactID(1)+"/tags/"+first.text("id"), "").status, 404)

	tag := Accepted{At: c.clock.Now(), Kind: "tag", Contact: contactID(1), ID: first.text("id"), Text: "card-expired"}
	again := tag
	again.Again = true
	off := tag
	off.Kind = "untag"
	wantEqual(t, "log", c.Accepted(), []Accepted{tag, again, off})

	for n := range 12 {
		id := c.do("POST", "/tags", fmt.Sprintf(`{"name":"t%d"}`, n)).text("id")
		c.do("POST", "/contacts/"+contactID(1)+"/tags", fmt.Sprintf(`{"id":%q}`, id))
	}
	contact := c.do("GET", "/contacts/"+contactID(1), "")
	wantEqual(t, "a contact shows ten tags", spaced(len(contact.at("tags.data").([]any)), contact.at("tags.total_count"), contact.at("tags.has_more")), "10 12 true")
	wantEqual(t, "its list shows all", len(c.do("GET", "/contacts/"+contactID(1)+"/tags", "").at("data").([]any)), 12)
}

func TestIntercom_AddContact(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	c.AddContact(Contact{ID: contactID(5), Email: "di@example.com", Role: "user", Timezone: "Asia/Tokyo", OptedOut: true})
	got := c.do("GET", "/contacts/"+contactID(5), "")
	wantEqual(t, "contact", spaced(got.at("email"), got.at("custom_attributes.timezone"), got.at("unsubscribed_from_emails")), "di@example.com Asia/Tokyo true")
}
