package intercom

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A fake is as much of Intercom as links and setup need, and lets a test change
// everything under them. Its search is as exact as Intercom's may be.
type fake struct {
	mu       sync.Mutex
	contacts map[string]map[string]any // by id
	merged   map[string]string         // old id to new
	unseen   map[string]bool           // ids that search does not show yet
	archived map[string]bool           // ids of contacts that only stand in the way
	sick     map[string]bool           // ids of contacts that cannot be read
	hated    map[string]bool           // values that a search is refused for; "*": any search is
	blocked  bool                      // whoever is created was blocked before
	tags     []Tag
	more     map[string][]string // ids of a contact's further tags
	types    []map[string]any
	admins   string // JSON
	region   string
	attrs    []string // names of custom attributes
	unwell   bool     // answers 403 to everything
	lose     bool     // creates, and answers 500
	asked    []string // method and path of each request
	next     int
}

func newFake() *fake {
	return &fake{
		contacts: map[string]map[string]any{}, merged: map[string]string{}, unseen: map[string]bool{}, archived: map[string]bool{}, sick: map[string]bool{}, hated: map[string]bool{}, more: map[string][]string{},
		admins: `{"id":"991267716","has_inbox_seat":true},{"id":"5","has_inbox_seat":false}`, region: "EU", next: 70,
	}
}

// contact adds a contact; fields are alternating names and values.
func (f *fake) contact(id, role, email string, fields ...any) {
	c := map[string]any{
		"type": "contact", "id": id, "role": role, "email": email, "custom_attributes": map[string]any{},
		"tags": map[string]any{"type": "list", "data": []any{}, "total_count": 0, "has_more": false},
	}
	for i := 0; i < len(fields); i += 2 {
		c[fields[i].(string)] = fields[i+1]
	}
	f.do(func() { f.contacts[id] = c })
}

func (f *fake) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// since returns what was asked since the last time.
func (f *fake) since() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

func (f *fake) serve(t testing.TB) string { return serve(t, f.ServeHTTP) }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	if f.unwell {
		answer(w, 403, envelope("forbidden", "No"))
		return
	}
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch route := r.Method + " " + part[0]; {
	case route == "GET me":
		answer(w, 200, fmt.Sprintf(`{"id":"991267716","app":{"id_code":"abc","timezone":"Europe/Berlin","region":%q}}`, f.region))
	case route == "GET admins":
		answer(w, 200, `{"admins":[`+f.admins+`]}`)
	case route == "GET teams":
		answer(w, 200, `{"teams":[{"id":"8201","name":"Renewals"}]}`)
	case route == "GET data_attributes":
		var data []map[string]any
		for _, name := range f.attrs {
			data = append(data, map[string]any{"name": name, "custom": true})
		}
		reply(w, map[string]any{"data": data})
	case route == "GET tags":
		reply(w, map[string]any{"data": f.tagList(func(Tag) bool { return true })})
	case route == "POST tags":
		var q struct{ Name string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		for _, t := range f.tags {
			if strings.EqualFold(t.Name, q.Name) {
				reply(w, map[string]any{"id": t.ID, "name": t.Name})
				return
			}
		}
		f.tags = append(f.tags, Tag{f.id(), q.Name})
		reply(w, map[string]any{"id": f.tags[len(f.tags)-1].ID, "name": q.Name})
	case route == "GET ticket_types":
		reply(w, map[string]any{"type": "list", "data": f.types})
	case route == "POST ticket_types":
		f.createTicketThing(w, r, part)
	case r.URL.Path == "/contacts/search":
		f.search(w, r)
	case r.Method+" "+r.URL.Path == "POST /contacts":
		f.createContact(w, r)
	case route == "GET contacts" && len(part) == 3:
		reply(w, map[string]any{"data": f.tagList(func(t Tag) bool { return slices.Contains(f.more[part[1]], t.ID) })})
	case route == "GET contacts":
		f.show(w, part[1])
	default:
		answer(w, 404, envelope("not_found", "Resource Not Found"))
	}
}

func reply(w http.ResponseWriter, v any) {
	raw, _ := json.Marshal(v)
	answer(w, 200, string(raw))
}

func (f *fake) id() string {
	f.next++
	return fmt.Sprint(f.next)
}

func (f *fake) tagList(keep func(Tag) bool) []map[string]any {
	list := []map[string]any{}
	for _, t := range f.tags {
		if keep(t) {
			list = append(list, map[string]any{"type": "tag", "id": t.ID, "name": t.Name})
		}
	}
	return list
}

func (f *fake) show(w http.ResponseWriter, id string) {
	if to, ok := f.merged[id]; ok {
		w.Header().Set("Link", `</contacts/`+to+`>; rel="canonical"`)
		answer(w, 410, envelope("contact_merged", "This contact has been merged."))
		return
	}
	if f.sick[id] {
		answer(w, 500, "<html>")
		return
	}
	c, ok := f.contacts[id]
	if !ok || f.archived[id] {
		answer(w, 404, envelope("not_found", "User Not Found"))
		return
	}
	reply(w, c)
}

func (f *fake) search(w http.ResponseWriter, r *http.Request) {
	var q searchRequest
	_ = json.NewDecoder(r.Body).Decode(&q)
	for _, by := range q.Query.Value {
		values, _ := by.Value.([]any)
		if f.hated["*"] || slices.ContainsFunc(values, func(v any) bool { s, _ := v.(string); return f.hated[s] }) {
			answer(w, 400, envelope("parameter_invalid", "Value is invalid for "+by.Field))
			return
		}
	}
	var found []any
	for id, c := range f.contacts {
		_, gone := f.merged[id]
		if !gone && !f.unseen[id] && !f.archived[id] && slices.ContainsFunc(q.Query.Value, func(by searchFilter) bool {
			values, _ := by.Value.([]any)
			return slices.Contains(values, c[by.Field])
		}) {
			found = append(found, c)
		}
	}
	reply(w, map[string]any{"type": "list", "data": found, "total_count": len(found), "pages": map[string]any{"type": "pages"}})
}

// createContact refuses a second user of one external id. What it makes is not
// shown by searches.
func (f *fake) createContact(w http.ResponseWriter, r *http.Request) {
	c := map[string]any{"type": "contact", "custom_attributes": map[string]any{}, "tags": map[string]any{"type": "list", "data": []any{}, "total_count": 0}}
	_ = json.NewDecoder(r.Body).Decode(&c)
	if f.blocked {
		answer(w, 400, envelope("not_restorable", "User was blocked"))
		return
	}
	for id, other := range f.contacts {
		if other["external_id"] == c["external_id"] {
			answer(w, 409, envelope("conflict", "A contact matching those details already exists with id="+id))
			return
		}
	}
	id := "made" + f.id()
	c["id"] = id
	f.contacts[id], f.unseen[id] = c, true
	if f.lose {
		answer(w, 500, "<html>")
		return
	}
	reply(w, c)
}

// createTicketThing creates a ticket type, or an attribute of one.
func (f *fake) createTicketThing(w http.ResponseWriter, r *http.Request, part []string) {
	thing := map[string]any{}
	_ = json.NewDecoder(r.Body).Decode(&thing)
	thing["id"], thing["archived"] = f.id(), false
	if len(part) == 1 {
		thing["ticket_type_attributes"] = map[string]any{"data": []any{
			map[string]any{"id": f.id(), "name": "_default_title_", "data_type": "string", "required_to_create": true},
		}}
		f.types = append(f.types, thing)
	} else {
		for _, k := range f.types {
			if k["id"] == part[1] {
				list := k["ticket_type_attributes"].(map[string]any)
				list["data"] = append(list["data"].([]any), thing)
			}
		}
	}
	if f.lose {
		answer(w, 500, "<html>")
		return
	}
	reply(w, thing)
}
