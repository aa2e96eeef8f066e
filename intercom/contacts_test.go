package intercom

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestContact_FollowsMerges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		moved map[string]string // id to the Link header of its 410
		want  string            // the contact that comes back; empty: gone
	}{
		{"not merged", nil, "c0"},
		{"once", map[string]string{"c0": `</contacts/c9>; rel="canonical"`}, "c9"},
		{"with a host", map[string]string{"c0": `<https://api.intercom.io/contacts/c9>; rel=canonical`}, "c9"},
		{"three times", map[string]string{
			"c0": `</contacts/c1>; rel="canonical"`, "c1": `</contacts/c2>; rel="canonical"`, "c2": `</contacts/c3>; rel="canonical"`}, "c3"},
		{"in a circle", map[string]string{"c0": `</contacts/c1>; rel="canonical"`, "c1": `</contacts/c0>; rel="canonical"`}, ""},
		{"nowhere", map[string]string{"c0": ""}, ""},
		{"somewhere else", map[string]string{"c0": `</companies/1>; rel="canonical"`}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				id := strings.TrimPrefix(r.URL.Path, "/contacts/")
				if link, ok := tt.moved[id]; ok {
					w.Header().Set("Link", link)
					answer(w, http.StatusGone, envelope("contact_merged", "This contact has been merged."))
					return
				}
				answer(w, 200, `{"id":"`+id+`","role":"user"}`)
			})
			got, err := newTestClient(t, base).Contact(t.Context(), "c0")
			if got.ID != tt.want || (err != nil) != (tt.want == "") {
				t.Fatalf("Contact\n got %q, %v\nwant %q", got.ID, err, tt.want)
			}
			if err != nil && !Gone(err) {
				t.Errorf("Gone is false of %v", err)
			}
		})
	}
}

func TestSearchContacts_BatchesAndPages(t *testing.T) {
	t.Parallel()
	var seen requests
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var q searchRequest
		if err := json.Unmarshal([]byte(seen.note(r).Body), &q); err != nil {
			t.Error(err)
		}
		values, _ := q.Query.Value[0].Value.([]any)
		if len(values) > 50 {
			t.Errorf("%d values in one filter", len(values))
		}
		// Two contacts on two pages for each batch, one of them in all batches.
		if q.Pagination.StartingAfter == "" {
			answer(w, 200, `{"data":[{"id":"always","role":"user","email":"a@x.io"}],"pages":{"next":{"page":2,"starting_after":"cursor"}}}`)
			return
		}
		answer(w, 200, fmt.Sprintf(`{"data":[{"id":"of-%v","role":"user","email":"b@x.io"}],"pages":{"type":"pages"}}`, values[0]))
	})
	var emails []string
	for i := range 60 {
		emails = append(emails, fmt.Sprintf("Person%d@x.io", i), "", " ") // two spellings each
	}
	got, err := newTestClient(t, base).SearchContacts(t.Context(), emails)
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + 3; len(got) != want { // 120 spellings are three batches
		t.Errorf("found %d contacts, want %d", len(got), want)
	}
	if want := 6; seen.count() != want {
		t.Errorf("made %d requests, want %d", seen.count(), want)
	}
}

func TestSearchContacts_OfNobodyAsksNothing(t *testing.T) {
	t.Parallel()
	base := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	got, err := newTestClient(t, base).SearchContacts(t.Context(), []string{"", "  "})
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSearchContacts_StopsWhenPagesDoNotEnd(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"data":[],"pages":{"next":{"starting_after":"again"}}}`)
	})
	if _, err := newTestClient(t, base).SearchContacts(t.Context(), []string{"a@x.io"}); err == nil {
		t.Error("want an error")
	}
}
