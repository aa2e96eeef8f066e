package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

const intercomSpec = "../../shared/specs/intercom-2.16.yaml"

// intercomDeviations are where the description contradicts itself, its own
// examples, or what clients see. Each must be met by the test below.
var intercomDeviations = []struct{ operation, side, contains, reason string }{
	{"createMessage", "request", "/message_type: value is not one of the allowed values",
		"the enum lists in_app; all examples, the SDK and the answers have inapp"},
	{"createNote", "request", "parameter contact_id:", "typed integer; contacts' ids are 24 hex digits"},
	{"createDataEvent", "request", "/metadata/", "texts only; the operation's own description has numbers, dates, links and money"},
	{"lisDataEvents", "request", "parameter filter:", "an object in the query whose parts are parameters of their own"},
	{"searchConversations", "response", "/ai_agent: Value is not nullable", "null in all examples"},
	{"retrieveConversation", "response", "/ai_agent: Value is not nullable", "null in all examples"},
}

// A specTransport validates what passes through it.
type specTransport struct {
	t      *testing.T
	router routers.Router
	next   http.RoundTripper

	mu      sync.Mutex
	met     map[int]bool    // deviations
	visited map[string]bool // method and path of the description, for a 2xx
}

func newSpecTransport(t *testing.T) *specTransport {
	t.Helper()
	raw, err := os.ReadFile(intercomSpec)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there: answers are not checked against Intercom's description", intercomSpec)
	}
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: "http://intercom.test"}}
	doc.Security = nil // TestIntercom_Protocol has tokens
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &specTransport{t: t, router: router, met: map[int]bool{}, visited: map[string]bool{}}
}

// RoundTrip sends a request and checks it and its answer.
func (s *specTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	described := r.Clone(r.Context())
	described.URL = &url.URL{Scheme: "http", Host: "intercom.test", Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	described.Host = "intercom.test"
	described.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		described.Body = http.NoBody
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	response, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body.Close() //nolint:errcheck // read to its end
	response.Body = io.NopCloser(bytes.NewReader(answer))

	s.mu.Lock()
	defer s.mu.Unlock()
	route, vars, err := s.router.FindRoute(described)
	if err != nil {
		s.t.Errorf("%s %s is not in the description: %v", r.Method, r.URL.Path, err)
		return response, nil
	}
	options := &openapi3filter.Options{MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	request := &openapi3filter.RequestValidationInput{Request: described, PathParams: vars, Route: route, Options: options}
	if response.StatusCode < 300 { // requests that are refused are wrong on purpose
		s.visited[route.Method+" "+route.Path] = true
		s.check(route, "request", openapi3filter.ValidateRequest(r.Context(), request), body)
	}
	s.check(route, "response", openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: response.StatusCode, Header: response.Header,
		Body: io.NopCloser(bytes.NewReader(answer)), Options: options,
	}), answer)
	return response, nil
}

// check reports each of an error's parts that is no deviation.
func (s *specTransport) check(route *routers.Route, side string, err error, body []byte) {
	for _, part := range specFaults(err) {
		known := false
		for n, deviation := range intercomDeviations {
			if deviation.operation == route.Operation.OperationID && deviation.side == side && strings.Contains(part, deviation.contains) {
				s.met[n], known = true, true
			}
		}
		if !known {
			s.t.Errorf("%s: the %s is not as described: %s\n%s", route.Operation.OperationID, side, part, body)
		}
	}
}

// specFaults takes an error apart, one line for each place.
func specFaults(err error) (lines []string) {
	var request *openapi3filter.RequestError
	var response *openapi3filter.ResponseError
	switch err := err.(type) { //nolint:errorlint // from the outside in
	case nil:
		return nil
	case openapi3.MultiError:
		for _, part := range err {
			lines = append(lines, specFaults(part)...)
		}
		return lines
	case *openapi3.SchemaError:
		return []string{"/" + strings.Join(err.JSONPointer(), "/") + ": " + err.Reason}
	}
	switch {
	case errors.As(err, &request) && request.Parameter != nil:
		return []string{"parameter " + request.Parameter.Name + ": " + request.Error()}
	case errors.As(err, &request) && request.Err != nil:
		return specFaults(request.Err)
	case errors.As(err, &response) && response.Err != nil:
		return specFaults(response.Err)
	}
	return []string{err.Error()}
}

// TestIntercom_AnswersAreAsDescribed drives every route, well and badly.
func TestIntercom_AnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	spec := newSpecTransport(t)
	c := newIntercomClient(t)
	spec.next, c.http = c.http.Transport, &http.Client{Transport: spec}
	ana := "/contacts/" + contactID(1)
	ok := func(method, path, body string) reply {
		t.Helper()
		got := c.do(method, path, body)
		if got.status >= 300 {
			t.Errorf("%s %s answered %s", method, path, got.fault())
		}
		return got
	}

	for _, path := range []string{"/me", "/admins", "/teams", "/tags", "/data_attributes", "/data_attributes?model=company", ana, ana + "/tags", ana + "/notes", "/contacts/find_by_external_id/70"} {
		ok("GET", path, "")
	}
	ok("PUT", ana, `{"name":"Ana S.","phone":"+49","custom_attributes":{"timezone":"Europe/Paris"}}`)
	ok("POST", "/data_attributes", `{"name":"dunning_stage","model":"contact","data_type":"string","description":"d"}`)
	ok("POST", "/data_attributes", `{"name":"size","model":"company","data_type":"options","options":[{"value":"1-10"},{"value":"11-50"}]}`)
	ok("GET", "/data_attributes", "")
	ok("PUT", ana, `{"custom_attributes":{"dunning_stage":"first"}}`)
	ok("POST", "/contacts", `{"role":"user","external_id":"cus_9","email":"dee@example.com","name":"Dee","custom_attributes":{"dunning_stage":"first"}}`)
	ok("POST", "/events", `{"event_name":"card-expiring","created_at":1772442000,"id":"`+contactID(1)+`","metadata":{"plan":"Pro"}}`)
	ok("POST", "/events", `{"event_name":"card-expiring","created_at":1772442001,"user_id":"70","metadata":{"attempts":3,"amount":{"amount":4900,"currency":"usd"}}}`)
	ok("GET", "/events?type=user&intercom_user_id="+contactID(1), "")
	ok("GET", "/events?type=user&summary=true&email=ana@example.com", "")
	tag := ok("POST", "/tags", `{"name":"card-expired"}`).text("id")
	ok("POST", ana+"/tags", `{"id":"`+tag+`"}`)
	ok("GET", ana+"/tags", "")
	ok("POST", ana+"/notes", `{"body":"called","admin_id":"991267716"}`)
	ok("POST", ana+"/notes", `{"body":"called again"}`)
	ok("GET", ana+"/notes?per_page=1", "")
	ok("GET", ana, "")
	ok("DELETE", ana+"/tags/"+tag, "")
	ok("POST", "/contacts/search", `{"query":{"field":"email","operator":"IN","value":["ana@example.com","cy@example.com"]},"pagination":{"per_page":1}}`)
	ok("POST", "/contacts/search", `{"query":{"operator":"AND","value":[{"field":"role","operator":"=","value":"lead"}]}}`)

	for _, kind := range []string{"inapp", "in_app"} {
		ok("POST", "/messages", strings.Replace(strings.Replace(message(contactID(1), "hello k7f3qz"), "inapp", kind, 1),
			`{`, `{"create_conversation_without_contact_reply":true,`, 1))
	}
	ok("POST", "/messages", strings.Replace(strings.Replace(message(contactID(1), "hello"), "inapp", "email", 1), `{`, `{"subject":"Card","template":"plain",`, 1))
	conversation := ok("POST", "/conversations/search", `{"query":{"field":"source.body","operator":"=","value":"k7f3qz"},"pagination":{"per_page":1}}`).text("conversations.0.id")
	ok("GET", "/conversations/"+conversation, "")

	typeID := ok("POST", "/ticket_types", `{"name":"Follow-up","category":"Back-office","description":"Dunning"}`).text("id")
	for _, kind := range []string{`"string","multiline":true`, `"list","list_items":"low,high"`, `"integer"`, `"boolean"`, `"decimal"`, `"datetime"`} {
		ok("POST", "/ticket_types/"+typeID+"/attributes", fmt.Sprintf(`{"name":"A %s","description":"d","data_type":%s}`, strings.Split(kind, `"`)[1], kind))
	}
	ok("GET", "/ticket_types", "")
	ok("GET", "/ticket_states", "")
	ticket := ok("POST", "/tickets", `{"ticket_type_id":"`+typeID+`","contacts":[{"id":"`+contactID(1)+`"}],
		"ticket_attributes":{"_default_title_":"Call","_default_description_":"now","A string":"r1","A integer":3,"A boolean":true,"A decimal":1.5,"A datetime":"2026-03-02T09:00:00Z"},
		"assignment":{"team_assignee_id":"8202","admin_assignee_id":"991267716"}}`).text("id")
	ok("GET", "/tickets/"+ticket, "")
	ok("PUT", "/tickets/"+ticket, `{"ticket_state_id":"8324","admin_id":991267716,"assignee_id":"8201","snoozed_until":1772446000,"open":false,"is_shared":false}`)
	ok("POST", "/tickets/"+ticket+"/reply", `{"message_type":"note","type":"admin","admin_id":"991267716","body":"<p>done</p>"}`)
	ok("POST", "/tickets/search", `{"query":{"field":"contact_ids","operator":"=","value":"`+contactID(1)+`"}}`)

	// Refusals are described, too.
	c.Merge(contactID(3), contactID(4))
	for _, refused := range []struct{ method, path, body string }{
		{"GET", "/contacts/" + contactID(3), ""}, {"GET", "/contacts/" + contactID(9) + "/tags", ""},
		{"POST", "/contacts/search", `{"query":{"field":"role","operator":"=","value":"user"},"sort":{"order":"desc"}}`},
		{"POST", "/messages", `{"message_type":"inapp"}`}, {"POST", "/messages", strings.Replace(message(contactID(1), "hello"), "inapp", "email", 1)},
		{"POST", ana + "/tags", `{"id":"0"}`}, {"POST", ana + "/notes", `{"body":"x","admin_id":"1"}`}, {"POST", "/tags", `{}`},
		{"PUT", "/tickets/" + ticket, `{"ticket_state_id":"1"}`}, {"PUT", "/tickets/" + ticket, `{"assignee_id":"1"}`},
		{"POST", "/tickets/" + ticket + "/reply", `{"message_type":"comment","type":"user","body":"x"}`},
		{"GET", "/conversations/1", ""}, {"GET", "/data_attributes?model=conversation", ""},
		{"POST", "/data_attributes", `{"name":"dunning_stage","model":"company","data_type":"string"}`},
	} {
		if got := c.do(refused.method, refused.path, refused.body); got.status < 400 {
			t.Errorf("%s %s answered %d", refused.method, refused.path, got.status)
		}
	}
	r := c.request("GET", "/admins", "")
	r.Header.Del("Authorization")
	c.send(r)

	for _, route := range intercomRoutes {
		if !spec.saw(route) {
			t.Errorf("no 2xx of %s /%s was checked", route.method, strings.Join(route.path, "/"))
		}
	}
	for n, deviation := range intercomDeviations {
		if !spec.met[n] {
			t.Errorf("no deviation any more: %s %s: %s", deviation.operation, deviation.side, deviation.reason)
		}
	}
}

// saw says whether a route of ours was visited under any of its parameters' names.
func (s *specTransport) saw(route intercomRoute) bool {
	for visited := range s.visited {
		method, path, _ := strings.Cut(visited, " ")
		parts := intercomPath(path)
		for n, part := range parts {
			if strings.HasPrefix(part, "{") {
				parts[n] = "{}"
			}
		}
		if method == route.method && strings.Join(parts, "/") == strings.Join(route.path, "/") {
			return true
		}
	}
	return false
}
