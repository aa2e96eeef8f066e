package sandbox

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEvents_list compares filters of the list of events with the events there
// are, in every page and newest first.
func TestEvents_list(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 8, 120)
	live(t, s, 6)
	w := s.world
	middle := w.events[len(w.events)/2].created
	var twenty url.Values = map[string][]string{"types[]": {"invoice.paid", "customer.updated"}}
	for n := range 18 {
		twenty.Add("types[]", "never.happens_"+strings.Repeat("a", n))
	}
	tests := []struct {
		name string
		q    url.Values
		keep func(*event) bool
	}{
		{"all", nil, func(*event) bool { return true }},
		{"from", url.Values{"created[gte]": {itoa(middle)}}, func(e *event) bool { return e.created >= middle }},
		{"after", url.Values{"created[gt]": {itoa(middle)}}, func(e *event) bool { return e.created > middle }},
		{"until", url.Values{"created[lte]": {itoa(middle)}}, func(e *event) bool { return e.created <= middle }},
		{"before", url.Values{"created[lt]": {itoa(middle)}}, func(e *event) bool { return e.created < middle }},
		{"at", url.Values{"created": {itoa(middle)}}, func(e *event) bool { return e.created == middle }},
		{"a type", url.Values{"type": {"charge.failed"}}, func(e *event) bool { return e.typ == "charge.failed" }},
		{"a family", url.Values{"type": {"invoice.*"}}, func(e *event) bool { return strings.HasPrefix(e.typ, "invoice.") }},
		{"twenty types", twenty, func(e *event) bool { return e.typ == "invoice.paid" || e.typ == "customer.updated" }},
		{"undelivered", url.Values{"delivery_success": {"false"}}, func(e *event) bool { return e.pending > 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, e := range slices.Backward(w.events) {
				if e.created >= s.Now().Unix()-eventsDays*day && tt.keep(e) {
					want = append(want, e.id)
				}
			}
			for _, limit := range []string{"13", "100"} {
				q := url.Values{"limit": {limit}}
				for name, values := range tt.q {
					q[name] = values
				}
				if diff := cmp.Diff(want, fetch(t, s, "/v1/events", q)); diff != "" {
					t.Errorf("by %s (-want +got):\n%s", limit, diff)
				}
			}
		})
	}
	for _, query := range []string{twenty.Encode() + "&types[]=one.too_many", "type=a.b&types[]=c.d", "limit=101", "starting_after=evt_nobody"} {
		if status, body := get(t, s, "/v1/events?"+query); status != 400 {
			t.Errorf("%s: %d %v", query, status, body)
		}
	}
}

// A cursor that walks forward finds what happened since, a page at a time, each
// newest first; one that is older than Stripe remembers is refused.
func TestEvents_forward(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 8, 120)
	live(t, s, 2)
	cursor := s.world.events[len(s.world.events)-1]
	known := len(s.world.events)
	live(t, s, 3)
	var got []string
	for at, more := cursor.id, true; more; {
		_, body := get(t, s, "/v1/events?limit=10&ending_before="+at)
		more = body["has_more"] == true
		page := body["data"].([]any)
		for _, o := range slices.Backward(page) {
			got = append(got, o.(map[string]any)["id"].(string))
		}
		if len(page) > 0 {
			at = got[len(got)-1]
		}
	}
	var want []string
	for _, e := range s.world.events[known:] {
		want = append(want, e.id)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 20 {
		t.Errorf("%d events since the cursor (-want +got):\n%s", len(want), diff)
	}
	if _, err := s.Advance(context.Background(), s.Now().AddDate(0, 0, 31)); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, s, "/v1/events?ending_before="+cursor.id); status != 400 {
		t.Errorf("a cursor older than 30 days: %d %v", status, body)
	}
}

func TestEvents_lag(t *testing.T) {
	t.Parallel()
	s := mustNew(t, 8, 120)
	if err := s.Misbehave(Misbehaviour{EventsLag: 90 * time.Second}); err != nil {
		t.Fatal(err)
	}
	advanceToEvents(t, s)
	newest := s.world.events[len(s.world.events)-1]
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {89 * time.Second, false}, {90 * time.Second, true}} {
		at := time.Unix(newest.created, 0).Add(tt.after)
		if _, err := s.Advance(context.Background(), at); err != nil {
			t.Fatal(err)
		}
		ids := fetch(t, s, "/v1/events", url.Values{"limit": {"100"}, "created[gte]": {itoa(newest.created - day)}})
		if got := slices.Contains(ids, newest.id); got != tt.want {
			t.Errorf("an event of %s ago is on the list: %t, want %t", tt.after, got, tt.want)
		}
	}
	if status, _ := get(t, s, "/v1/events/"+newest.id); status != 200 {
		t.Errorf("retrieve: %d", status)
	}
}
