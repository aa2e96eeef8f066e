package intercom

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
)

var setupAt = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// creations counts what was created among the requests.
func creations(asked []string) int {
	n := 0
	for _, a := range asked {
		if strings.HasPrefix(a, "POST /ticket_types") {
			n++
		}
	}
	return n
}

func TestSetup_CreatesOnce(t *testing.T) {
	t.Parallel()
	f, pool := newFake(), pgtest.New(t)
	c := newTestClient(t, f.serve(t))
	if got, err := ReadObjects(t.Context(), pool); err != nil || got.Ready() {
		t.Errorf("before: %+v, %v", got, err)
	}
	first, err := Setup(t.Context(), c, pool, setupAt)
	if err != nil || !first.Ready() || first.ReferenceAttribute != "Dunlin reference" {
		t.Fatalf("first time: %+v, %v", first, err)
	}
	if n := creations(f.since()); n != 2 {
		t.Errorf("the first time created %d things, want 2", n)
	}
	again, err := Setup(t.Context(), c, pool, setupAt)
	if err != nil || again != first {
		t.Errorf("second time: %+v, %v", again, err)
	}
	if n := creations(f.since()); n != 0 {
		t.Errorf("the second time created %d things", n)
	}
	if got, err := ReadObjects(t.Context(), pool); err != nil || got != first {
		t.Errorf("stored: %+v, %v", got, err)
	}

	// Colleagues rename both: setup follows, and the new name is used.
	f.do(func() {
		f.types[0]["name"] = "Dunning"
		attribute(f, first.Reference)["name"] = "Ref"
	})
	renamed, err := Setup(t.Context(), c, pool, setupAt)
	want := Objects{TicketType: first.TicketType, Reference: first.Reference, ReferenceAttribute: "Ref"}
	if diff := cmp.Diff(want, renamed); err != nil || diff != "" {
		t.Errorf("renamed: %v (-want +got)\n%s", err, diff)
	}

	// Another database finds what is there by name instead.
	f.do(func() {
		f.types[0]["name"], attribute(f, first.Reference)["name"] = TicketTypeName, ReferenceAttributeName
	})
	other, err := Setup(t.Context(), c, pgtest.New(t), setupAt)
	if err != nil || other != first {
		t.Errorf("from another database: %+v, %v", other, err)
	}

	// The type is archived: a new one takes its place.
	f.do(func() { f.types[0]["archived"] = true })
	anew, err := Setup(t.Context(), c, pool, setupAt)
	if err != nil || anew.TicketType == first.TicketType || !anew.Ready() {
		t.Errorf("after archiving: %+v, %v", anew, err)
	}
}

func attribute(f *fake, id string) map[string]any {
	for _, k := range f.types {
		for _, a := range k["ticket_type_attributes"].(map[string]any)["data"].([]any) {
			if a.(map[string]any)["id"] == id {
				return a.(map[string]any)
			}
		}
	}
	return map[string]any{}
}

func TestSetup_SurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	f, pool := newFake(), pgtest.New(t)
	f.lose = true
	got, err := Setup(t.Context(), newTestClient(t, f.serve(t)), pool, setupAt)
	if err != nil || !got.Ready() {
		t.Fatalf("got %+v, %v", got, err)
	}
	if n := creations(f.since()); n != 2 {
		t.Errorf("created %d things, want 2", n)
	}
}

func TestSetup_BySeveralPeopleAtOnce(t *testing.T) {
	t.Parallel()
	f, pool := newFake(), pgtest.New(t)
	base := f.serve(t)
	results := make([]Objects, 5)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			var err error
			if results[i], err = Setup(t.Context(), newTestClient(t, base), pool, setupAt); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	settled, err := Setup(t.Context(), newTestClient(t, base), pool, setupAt)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range results {
		if got != settled {
			t.Errorf("person %d uses %+v, the others %+v", i, got, settled)
		}
	}
}

func TestSetup_RefusesATypeThatCustomersSee(t *testing.T) {
	t.Parallel()
	f, pool := newFake(), pgtest.New(t)
	f.types = []map[string]any{{"id": "9", "name": TicketTypeName, "category": "Customer", "archived": false}}
	_, err := Setup(t.Context(), newTestClient(t, f.serve(t)), pool, setupAt)
	if err == nil || !strings.Contains(err.Error(), "customers may see") {
		t.Errorf("got %v", err)
	}
	// Nor is a stored id trusted when it is another workspace's.
	if err := storeObject(t.Context(), pool, ticketTypeRow, "9", TicketTypeName, setupAt); err != nil {
		t.Fatal(err)
	}
	if _, err := Setup(t.Context(), newTestClient(t, f.serve(t)), pool, setupAt); err == nil {
		t.Error("accepted a stored type that customers see")
	}
}

func TestTagNamed(t *testing.T) {
	t.Parallel()
	f, pool := newFake(), pgtest.New(t)
	c := newTestClient(t, f.serve(t))
	for _, name := range []string{"Card-Expired", " card-expired "} {
		id, err := TagNamed(t.Context(), c, pool, name, setupAt)
		if err != nil || id != "71" {
			t.Errorf("%q: %q, %v", name, id, err)
		}
	}
	if asked := f.since(); len(asked) != 1 {
		t.Errorf("asked %v", asked)
	}
	f.do(func() { f.tags = nil })
	if err := ForgetTag(t.Context(), pool, "card-expired"); err != nil {
		t.Fatal(err)
	}
	if id, err := TagNamed(t.Context(), c, pool, "card-expired", setupAt); err != nil || id != "72" {
		t.Errorf("after it was deleted: %q, %v", id, err)
	}
}

// findings is what Check says, one line each: a mark and the words.
func findings(t *testing.T, found []Finding) string {
	t.Helper()
	var b strings.Builder
	for _, f := range found {
		if f.OK != (f.Fix == "") {
			t.Errorf("a finding is good or has a repair: %+v", f)
		}
		mark := "bad  "
		if f.OK {
			mark = "good "
		}
		b.WriteString(mark + f.What + "\n")
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	t.Parallel()
	f, pool := newFake(), pgtest.New(t)
	c := newTestClient(t, f.serve(t))
	want := Expected{Sender: "991267716", Teams: map[string]string{"renewals": "8201", "billing": "8202"}, Settings: settings}

	got := findings(t, Check(t.Context(), c, pool, want))
	if diff := cmp.Diff(`good Intercom accepts the access token (workspace abc, hosted in EU, zone Europe/Berlin)
good calls go to 127.0.0.1
good the sender admin:991267716 is a teammate with an inbox seat
bad  the team billing (8202) does not exist at Intercom
good the team renewals is Intercom's team "Renewals"
bad  follow-up tickets have not been set up
bad  the opt-out tag "No-Billing-Messages" does not exist at Intercom, so nobody is opted out by it
bad  the opt-out attribute "billing_messages_off" does not exist at Intercom (names respect case)
bad  the time zone attribute "timezone" does not exist at Intercom (names respect case)
`, got); diff != "" {
		t.Errorf("a fresh workspace (-want +got)\n%s", diff)
	}

	o, err := Setup(t.Context(), c, pool, setupAt)
	if err != nil {
		t.Fatal(err)
	}
	f.do(func() {
		f.tags = []Tag{{"7", "no-billing-messages"}}
		f.attrs = []string{"billing_messages_off", "timezone"}
	})
	delete(want.Teams, "billing")
	want.Owners = map[string][]int64{"renewals": {991267716}}
	if got := findings(t, Check(t.Context(), c, pool, want)); strings.Contains(got, "bad") {
		t.Errorf("a workspace in order\n%s", got)
	}

	tests := []struct {
		name   string
		change func()
		want   string
	}{
		{"an owner who is gone", func() { want.Owners["renewals"] = []int64{991267716, 6} }, "bad  admin:6, an owner of team renewals, is not a teammate of this workspace"},
		{"no seat", func() { want.Sender = "5" }, "bad  the sender admin:5 has no inbox seat, so replies reach nobody"},
		{"no such teammate", func() { want.Sender = "6" }, "bad  the sender admin:6 is not a teammate of this workspace"},
		{"no sender", func() { want.Sender = "" }, "bad  no teammate is set as sender of messages"},
		{"renamed attribute", func() { f.do(func() { attribute(f, o.Reference)["name"] = "Ref" }) }, `bad  the attribute "Dunlin reference" is called "Ref" now`},
		{"archived attribute", func() { f.do(func() { attribute(f, o.Reference)["archived"] = true }) }, `bad  the attribute "Dunlin reference" was deleted or archived at Intercom`},
		{"archived type", func() { f.do(func() { f.types[0]["archived"] = true }) }, "bad  the ticket type of follow-up tasks was deleted or archived at Intercom"},
		{"token refused", func() { f.do(func() { f.unwell = true }) }, "bad  could not see whether Intercom accepts the access token: intercom: GET /me: 403 forbidden: No (request req-1)"},
	}
	for _, tt := range tests { // each on top of the one before
		tt.change()
		if got := findings(t, Check(t.Context(), c, pool, want)); !strings.Contains(got, tt.want+"\n") {
			t.Errorf("%s\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestCheckRegion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		host, region string
		ok           bool
	}{
		{"api.intercom.io", "US", true}, {"api.eu.intercom.io", "EU", true}, {"api.au.intercom.io", "au", true},
		{"api.intercom.io", "EU", false}, {"api.eu.intercom.io", "US", false},
		{"127.0.0.1", "EU", true}, {"api.intercom.io", "", true}, {"api.intercom.io", "MARS", true},
	}
	for _, tt := range tests {
		got := checkRegion(tt.host, tt.region)
		if got.OK != tt.ok {
			t.Errorf("%s for a workspace in %s: %+v", tt.host, tt.region, got)
		}
	}
}
