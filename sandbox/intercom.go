package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a fresh Intercom holds, so that settings and tests can name it.
const (
	IntercomAdmin       = "991267716" // the one admin, with an inbox seat: whose token it is
	IntercomTeamRenewal = "8201"      // team Renewals
	IntercomTeamBilling = "8202"      // team Billing
	IntercomOptOutTag   = "no-billing-messages"
	IntercomOptOut      = "billing_messages_off" // contact attribute, boolean
	IntercomTimezone    = "timezone"             // contact attribute, an IANA name
	IntercomWorkspace   = "sandbox1"
	IntercomZone        = "Europe/Berlin" // of the workspace: searches cut contacts' dates by its days
)

const (
	intercomBodyLimit   = 1 << 20
	intercomRateWindow  = 10 * time.Second
	intercomRateDefault = 10_000
)

// Intercom is a stateful Intercom, API 2.16, over HTTP: it answers the calls a
// billing campaign makes, with Intercom's shapes, ids, errors and omissions, and
// logs everything it accepted. It has no idempotency: two posts are two messages
// (Intercom: 1.8). Section numbers in its files are those of the Intercom facts.
//
// Webhooks and Canvas are left out, as are companies and subscriptions.
//
// The exported fields are set before the first request is served.
type Intercom struct {
	// Faults is asked about every request before it is looked at, and may read
	// its body. It is called concurrently and without locks. Nil: no faults.
	Faults func(r *http.Request) Fault

	// RateLimit is the number of authenticated requests in each 10-second window
	// of machine time (1.6). Zero means 10,000; -1 means no limit and no headers.
	RateLimit int

	// SearchLag is how long, in virtual time, what is new stays out of searches
	// (4.4: minutes for contacts, unknown for the rest). Zero: not at all.
	SearchLag time.Duration

	// MessageLag is how long, in virtual time, a new contact cannot be sent a
	// message: 404 "User Not Found" (2.4). Zero: not at all.
	MessageLag time.Duration

	// DoubleWebhooks posts every notification twice (6).
	DoubleWebhooks bool

	now     func() time.Time // virtual: what objects carry
	machine func() time.Time // real: what rate limits are counted in
	token   string
	zone    *time.Location

	requests atomic.Int64

	mu       sync.Mutex
	window   int64 // of machine time, the one being counted
	used     int
	versions map[string]int
	accepted []Accepted
	serial   map[string]int64 // last id of each sequence

	contacts      map[string]*intercomContact
	contactOrder  []*intercomContact
	byEmail       map[string][]*intercomContact // by folded e-mail
	attributes    []*intercomAttribute
	tags          []*intercomTag
	events        []*intercomEvent
	conversations []*intercomConversation
	ticketTypes   []*intercomTicketType
	tickets       []*intercomTicket

	hook, hookSecret string // where notifications go; empty: nowhere
	outbox           []intercomNotification
}

// newIntercom returns an empty Intercom whose objects carry the clock's instants.
func newIntercom(clock *Clock, token string) *Intercom { return NewIntercom(clock.Now, token) }

// NewIntercom returns an Intercom without contacts, for tests of a client: now
// stamps what is made, token is the bearer token it takes. The admin, the teams
// and the opt-out tag exist, and no ticket type.
func NewIntercom(now func() time.Time, token string) *Intercom {
	zone, err := time.LoadLocation(IntercomZone)
	if err != nil {
		panic("sandbox: time zones are not linked in: " + err.Error())
	}
	i := &Intercom{
		now: now, machine: time.Now, token: token, zone: zone,
		versions:   map[string]int{},
		contacts:   map[string]*intercomContact{},
		attributes: intercomAttributes(),
		byEmail:    map[string][]*intercomContact{},
		// Each kind of object counts for itself, so that a message's id taken for a
		// conversation's finds nothing (2.2).
		serial: map[string]int64{
			"message": 403_918_345, "conversation": 514, "ticket": 625, "ticket number": 32,
			"tag": 80, "note": 30, "ticket type": 66, "attribute": 164, "data attribute": 36, "request": 0, "part": 174,
		},
	}
	i.tags = []*intercomTag{{id: i.nextID("tag"), name: IntercomOptOutTag}}
	return i
}

// Handler is the Intercom itself, for a server's mux.
func (i *Intercom) Handler() http.Handler { return i }

// Accepted returns what was accepted so far, in order of arrival, including what
// was carried out although its answer was lost.
func (i *Intercom) Accepted() []Accepted { return i.acceptedSince(0) }

// acceptedSince returns what was accepted after the first n.
func (i *Intercom) acceptedSince(n int) []Accepted {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n >= len(i.accepted) {
		return nil
	}
	return slices.Clone(i.accepted[n:])
}

// Requests counts the requests served, refused ones among them.
func (i *Intercom) Requests() int { return int(i.requests.Load()) }

// Versions counts the authenticated requests by their Intercom-Version header;
// "" stands for none, which means the app's own version: a client that cares
// sends it always (1.1).
func (i *Intercom) Versions() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := make(map[string]int, len(i.versions))
	for version, n := range i.versions {
		out[version] = n
	}
	return out
}

// ServeHTTP answers one request, or spoils the answer as Faults says.
func (i *Intercom) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.requests.Add(1)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, intercomBodyLimit))
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			i.write(w, intercomError(http.StatusRequestEntityTooLarge, "client_error", "Request body is too large"))
		}
		return // otherwise the client hung up half-way: nobody is there to answer
	}
	fault := Fault{}
	if i.Faults != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		fault = i.Faults(r)
	}
	if fault.Kind == FaultNone {
		i.write(w, i.process(r, body))
		return
	}
	i.spoil(w, r, body, fault)
}

// An intercomCall is one request that got as far as its route.
type intercomCall struct {
	*http.Request
	vars []string // what the path's {} stand for, in order
	body []byte
}

// An intercomAnswer is a status and the JSON to send with it; nil sends nothing.
type intercomAnswer struct {
	status int
	body   any
	header http.Header
}

func intercomOK(body any) intercomAnswer { return intercomAnswer{status: http.StatusOK, body: body} }

// intercomError is an answer in the error envelope (1.5).
func intercomError(status int, code, message string) intercomAnswer {
	return intercomAnswer{status: status, body: intercomErrors{
		Type: "error.list", Errors: []intercomFault{{Code: code, Message: message}},
	}}
}

type intercomErrors struct {
	Type      string          `json:"type"`
	RequestID *string         `json:"request_id"`
	Errors    []intercomFault `json:"errors"`
}

type intercomFault struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// process checks one request in Intercom's order and carries it out.
func (i *Intercom) process(r *http.Request, body []byte) intercomAnswer {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+i.token {
		return i.named(intercomError(http.StatusUnauthorized, "unauthorized", "Access Token Invalid"))
	}
	header, within := i.pace()
	answer := intercomError(http.StatusTooManyRequests, "rate_limit_exceeded",
		fmt.Sprintf("Exceeded rate limit of %d in 10_seconds", i.rateLimit()))
	if within {
		answer = i.route(r, body)
	}
	if answer.header == nil {
		answer.header = http.Header{}
	}
	for name, values := range header {
		answer.header[name] = values
	}
	return i.named(answer)
}

// route checks the headers of an authenticated request and finds who answers it.
func (i *Intercom) route(r *http.Request, body []byte) intercomAnswer {
	version := r.Header.Get("Intercom-Version")
	i.versions[version]++
	switch {
	case !intercomAcceptable(r.Header.Values("Accept")):
		return intercomError(http.StatusNotAcceptable, "client_error", "The Accept header should send a media type of application/json")
	case version != "" && !slices.Contains(intercomVersions, version):
		return intercomError(http.StatusBadRequest, "intercom_version_invalid", "Requested resource is not available in current API version.")
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for _, route := range intercomRoutes {
		if vars, ok := route.match(r.Method, parts); ok {
			return route.serve(i, intercomCall{Request: r, vars: vars, body: body})
		}
	}
	// A method that a path does not have is a 404, too (1.4).
	return intercomError(http.StatusNotFound, "not_found", "Resource Not Found")
}

// intercomVersions are those of the 2.16 description (1.1).
var intercomVersions = []string{
	"1.0", "1.1", "1.2", "1.3", "1.4",
	"2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9",
	"2.10", "2.11", "2.12", "2.13", "2.14", "2.15", "2.16",
}

// intercomAcceptable says whether JSON may be answered; a missing header is a
// 406 like a wrong one (1.4).
func intercomAcceptable(accept []string) bool {
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "application/json", "application/*", "*/*":
				return true
			}
		}
	}
	return false
}

func (i *Intercom) rateLimit() int {
	if i.RateLimit == 0 {
		return intercomRateDefault
	}
	return i.RateLimit
}

// pace counts one request against the window of machine time it falls in, and
// returns the headers that say so (1.6). A refused request does not count.
func (i *Intercom) pace() (header http.Header, within bool) {
	limit := i.rateLimit()
	if limit < 0 {
		return nil, true
	}
	if window := i.machine().Unix() / int64(intercomRateWindow/time.Second); window != i.window {
		i.window, i.used = window, 0
	}
	within = i.used < limit
	if within {
		i.used++
	}
	return i.rateHeader(limit - i.used), within
}

func (i *Intercom) rateHeader(remaining int) http.Header {
	reset := (i.machine().Unix()/int64(intercomRateWindow/time.Second) + 1) * int64(intercomRateWindow/time.Second)
	header := http.Header{}
	header.Set("X-RateLimit-Limit", strconv.Itoa(i.rateLimit()))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(remaining))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(reset, 10))
	return header
}

// named gives an answer its request id, in the header and in an error's body.
func (i *Intercom) named(answer intercomAnswer) intercomAnswer {
	i.serial["request"]++
	id := fmt.Sprintf("5a0d0b0c-0000-4000-8000-%012x", i.serial["request"])
	if answer.header == nil {
		answer.header = http.Header{}
	}
	answer.header.Set("X-Request-Id", id)
	if failure, ok := answer.body.(intercomErrors); ok {
		failure.RequestID = &id
		answer.body = failure
	}
	return answer
}

// nextID returns the next id of a sequence, in decimal.
func (i *Intercom) nextID(sequence string) string {
	i.serial[sequence]++
	return strconv.FormatInt(i.serial[sequence], 10)
}

func (i *Intercom) write(w http.ResponseWriter, answer intercomAnswer) {
	body := answer.encode()
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.status)
	w.Write(body) //nolint:errcheck // the client may be gone; there is nobody to tell
}

func (a intercomAnswer) encode() []byte {
	if a.body == nil {
		return nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(a.body); err != nil {
		panic("sandbox: encode an answer: " + err.Error())
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// decode reads a JSON body; its answer is meant for a body that is none.
func (c intercomCall) decode(into any) (intercomAnswer, bool) {
	decoder := json.NewDecoder(bytes.NewReader(c.body))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return intercomError(http.StatusBadRequest, "parameter_invalid", "The request body is not what this call takes: "+err.Error()), false
	}
	return intercomAnswer{}, true
}

// An intercomID is an id in a request: Intercom's examples show strings and
// numbers for the same field (2.1, 5.3).
type intercomID string

// UnmarshalJSON takes "12", 12 and null, which is empty.
func (id *intercomID) UnmarshalJSON(data []byte) error {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	switch value := value.(type) {
	case nil:
		*id = ""
	case string:
		*id = intercomID(value)
	case json.Number:
		*id = intercomID(value.String())
	default:
		return fmt.Errorf("an id is a string or a number, not %s", data)
	}
	return nil
}
