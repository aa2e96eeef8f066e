package intercom

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
)

// Attributes are found, else made, once, also when the answer was lost, and
// written as their types say.
func TestAttributesNamed(t *testing.T) {
	t.Parallel()
	b, pool := newInbox(t), pgtest.New(t)
	b.fail(func(r *http.Request) sandbox.Fault { // the first attempt to make one is carried out, and answered 502
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/data_attributes") {
			return sandbox.Fault{Kind: sandbox.FaultStatus, Status: 502, Process: true}
		}
		return sandbox.Fault{}
	})
	names := []string{sandbox.IntercomOptOut, "dunning_stage"}
	if _, err := AttributesNamed(t.Context(), b.Client, pool, names, b.now); !Unknown(err) {
		t.Fatalf("answers were lost: %v", err)
	}
	b.fail(nil)
	want := map[string]Attribute{
		sandbox.IntercomOptOut: {ID: "8", Name: sandbox.IntercomOptOut, Type: "boolean", Writable: true},
		"dunning_stage":        {ID: "37", Name: "dunning_stage", Type: "string", Writable: true},
	}
	for _, when := range []string{"asked", "remembered"} {
		before := b.Requests()
		got, err := AttributesNamed(t.Context(), b.Client, pool, names, b.now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", when, diff)
		}
		if when == "remembered" && b.Requests() != before {
			t.Errorf("%s: %d requests", when, b.Requests()-before)
		}
	}
	if err := b.SetAttributes(t.Context(), ana, map[string]any{sandbox.IntercomOptOut: false, "dunning_stage": "first"}); err != nil {
		t.Fatal(err)
	}
	contact, err := b.Contact(t.Context(), ana)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{sandbox.IntercomOptOut: false, "dunning_stage": "first"}, contact.Attributes); diff != "" {
		t.Errorf("written (-want +got)\n%s", diff)
	}

	if err := ForgetAttributes(t.Context(), pool, names); err != nil {
		t.Fatal(err)
	}
	before := b.Requests()
	if _, err := AttributesNamed(t.Context(), b.Client, pool, names, b.now); err != nil || b.Requests() != before+1 {
		t.Errorf("forgotten: %d requests, %v", b.Requests()-before, err)
	}
}

// A name that cannot be had is refused, with Intercom's words.
func TestAttributesNamed_taken(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			answer(w, 400, envelope("parameter_invalid", "You already have 'stage' in your company data. To save this as new people data, use a different name."))
		default:
			answer(w, 200, `{"data":[{"id":1,"name":"score","data_type":"integer","custom":true,"api_writable":false},
				{"id":2,"name":"stage","data_type":"string","custom":true,"archived":true}]}`)
		}
	})
	c := newTestClient(t, base)
	for name, want := range map[string]string{"stage": "use a different name", "score": "cannot be written by apps", " ": "no name"} {
		_, err := AttributesNamed(t.Context(), c, pool, []string{name}, c.now())
		if !Refused(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q\n got %v\nwant a refusal that says %q", name, err, want)
		}
	}
}

// An event of a user is one however often it is posted; a number keeps its type.
func TestCreateEvent_again(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	e := Event{Contact: ana, Role: "user", Name: "card-expiring", At: b.now, Metadata: []Datum{{"attempts", json.Number("3")}}}
	b.lose()
	if err := b.CreateEvent(t.Context(), e); !Unknown(err) {
		t.Errorf("answers were lost: %v", err)
	}
	b.fail(nil)
	if err := b.CreateEvent(t.Context(), e); err != nil {
		t.Error(err)
	}
	kept := 0
	for _, a := range b.Accepted() {
		if !a.Again {
			kept++
		}
	}
	if n := len(b.Accepted()); kept != 1 || n != maxAttempts+1 {
		t.Errorf("%d requests, %d events; want %d and 1", n, kept, maxAttempts+1)
	}
}
