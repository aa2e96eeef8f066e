package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin/dunlin/sandbox"
)

// A source is a Stripe account of any size that nobody ever made: its objects
// are those of one customer of the sandbox, again and again with other ids. It is
// made to be faster than whoever reads it.
type source struct {
	*httptest.Server
	lists     map[string]*sourceList // by path
	delay     time.Duration          // of each answer
	perSecond float64                // requests that each list allows; zero: any number

	requests atomic.Int64
	refused  atomic.Int64 // answers 429
}

// A sourceList has n objects, the newest of which were made last.
type sourceList struct {
	n, each int // objects, and of each customer
	object  template
	first   time.Time
	step    time.Duration

	mu      sync.Mutex
	bucket  float64
	watched time.Time
}

// A template is an object's JSON, cut where its ids and its created are.
type template struct {
	pieces [][]byte
	what   []byte // after each piece but the last: c the customer's number, o the object's, t the instant
}

var sourceIDs = regexp.MustCompile(`"(cus|pm|card|sub|si|in|il|ch|pi|txn|seti|src)_[A-Za-z0-9]+|"created":\s*\d+`)

func newTemplate(raw []byte) template {
	raw = bytes.TrimSpace(raw)
	t, from := template{}, 0
	for _, at := range sourceIDs.FindAllIndex(raw, -1) {
		match := string(raw[at[0]:at[1]])
		if strings.HasPrefix(match, `"created"`) {
			t.pieces, t.what = append(t.pieces, append(bytes.Clone(raw[from:at[0]]), `"created":`...)), append(t.what, 't')
		} else {
			kind := byte('o')
			switch prefix, _, _ := strings.Cut(match[1:], "_"); prefix {
			case "cus", "pm", "card", "sub", "si", "src", "seti":
				kind = 'c'
			}
			t.pieces, t.what = append(t.pieces, append(bytes.Clone(raw[from:at[1]]), 'n')), append(t.what, kind)
		}
		from = at[1]
	}
	t.pieces = append(t.pieces, raw[from:])
	return t
}

func (t template) write(b []byte, customer, object int, at int64) []byte {
	for i, what := range t.what {
		b = append(b, t.pieces[i]...)
		switch what {
		case 'c':
			b = strconv.AppendInt(b, int64(customer), 10)
		case 'o':
			b = strconv.AppendInt(b, int64(object), 10)
		case 't':
			b = strconv.AppendInt(b, at, 10)
		}
	}
	return append(b, t.pieces[len(t.pieces)-1]...)
}

func (l *sourceList) at(i int) int64 { return l.first.Add(time.Duration(i) * l.step).Unix() }

// write is the object of a number.
func (l *sourceList) write(b []byte, i int) []byte { return l.object.write(b, i/l.each, i, l.at(i)) }

// newSource has so many customers with a subscription, two invoices and two
// charges each, made in the two years before now.
func (f *figures) newSource(customers int, now time.Time) *source {
	s := &source{lists: map[string]*sourceList{}}
	templates := f.sandboxObjects()
	for path, each := range map[string]int{"/v1/customers": 1, "/v1/subscriptions": 1, "/v1/invoices": 2, "/v1/charges": 2} {
		n := customers * each
		s.lists[path] = &sourceList{n: n, each: each, object: newTemplate(templates[path]), first: now.AddDate(-2, 0, 0), step: now.Sub(now.AddDate(-2, 0, 0)) / time.Duration(n+1)}
	}
	for _, path := range []string{"/v1/products", "/v1/prices", "/v1/refunds", "/v1/disputes", "/v1/events"} {
		s.lists[path] = &sourceList{each: 1, first: now, step: time.Second}
	}
	s.Server = httptest.NewServer(s)
	f.Cleanup(s.Close)
	return s
}

// sandboxObjects are the objects of one customer of a sandbox, as it lists them.
func (f *figures) sandboxObjects() map[string][]byte {
	world, err := sandbox.New(sandbox.Config{Seed: 1, Customers: 50})
	f.check(err)
	server := httptest.NewServer(world.Stripe())
	defer server.Close()
	first := func(path, query string) []byte {
		r, err := http.NewRequestWithContext(f.Context(), http.MethodGet, server.URL+path+"?limit=1&"+query, nil)
		f.check(err)
		r.SetBasicAuth(sandbox.StripeKey, "")
		answer, err := http.DefaultClient.Do(r)
		f.check(err)
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		f.check(err)
		var list struct{ Data []json.RawMessage }
		f.check(json.Unmarshal(raw, &list))
		if len(list.Data) != 1 {
			f.Fatalf("GET %s of the sandbox\n got %s\nwant one object", path, raw)
		}
		return list.Data[0]
	}
	subscription := first("/v1/subscriptions", "status=active&expand[]=data.default_payment_method")
	var head struct{ Customer string }
	f.check(json.Unmarshal(subscription, &head))
	of := "customer=" + head.Customer
	var customer []byte
	r, err := http.NewRequestWithContext(f.Context(), http.MethodGet, server.URL+"/v1/customers/"+head.Customer+"?expand[]=invoice_settings.default_payment_method", nil)
	f.check(err)
	r.SetBasicAuth(sandbox.StripeKey, "")
	answer, err := http.DefaultClient.Do(r)
	f.check(err)
	defer answer.Body.Close()
	customer, err = io.ReadAll(answer.Body)
	f.check(err)
	return map[string][]byte{
		"/v1/customers": customer, "/v1/subscriptions": subscription,
		"/v1/invoices": first("/v1/invoices", of), "/v1/charges": first("/v1/charges", of),
	}
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	l := s.lists[r.URL.Path]
	if l == nil {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":{"code":"resource_missing","message":"No such object"}}`)
		return
	}
	if !l.allows(s.perSecond) {
		s.refused.Add(1)
		w.Header().Set("Stripe-Rate-Limited-Reason", "endpoint-rate")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"error":{"code":"rate_limit","message":"Request rate limit exceeded"}}`)
		return
	}
	if s.delay > 0 {
		timer := time.NewTimer(s.delay)
		defer timer.Stop()
		<-timer.C
	}
	_, _ = w.Write(l.page(r.URL.Query()))
}

// allows is a bucket of one second's requests.
func (l *sourceList) allows(perSecond float64) bool {
	if perSecond == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.watched.IsZero() {
		l.bucket = perSecond
	} else {
		l.bucket = min(perSecond, l.bucket+now.Sub(l.watched).Seconds()*perSecond)
	}
	l.watched = now
	if l.bucket < 1 {
		return false
	}
	l.bucket--
	return true
}

func (l *sourceList) page(query url.Values) []byte {
	number := func(name string, fallback int) int {
		if n, err := strconv.Atoi(query.Get(name)); err == nil {
			return n
		}
		return fallback
	}
	// The objects from low on and before high were made in the range that is asked for.
	index := func(second int) int {
		after := time.Unix(int64(second), 0).Sub(l.first)
		switch {
		case after <= 0:
			return 0
		case after > time.Duration(l.n)*l.step:
			return l.n
		}
		return int((after + l.step - 1) / l.step)
	}
	low, high := 0, l.n
	if l.n > 0 {
		low = index(number("created[gte]", 0))
		high = min(index(number("created[lt]", 1<<40)), index(number("created[lte]", 1<<40)+1))
	}
	if after := query.Get("starting_after"); after != "" {
		_, text, _ := strings.Cut(after[strings.LastIndexByte(after, 'n'):], "n")
		n, _ := strconv.Atoi(text)
		high = min(high, n)
	}
	limit := number("limit", 10)
	b := make([]byte, 0, limit*4096)
	b = append(b, fmt.Sprintf(`{"object":"list","has_more":%v,"data":[`, high-low > limit)...)
	for i := high - 1; i >= max(low, high-limit); i-- {
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = l.write(b, i)
	}
	return append(b, "]}"...)
}
