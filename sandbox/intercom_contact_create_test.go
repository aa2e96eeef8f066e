package sandbox

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestIntercom_CreateContact(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t)
	c.Archive(contactID(3))
	c.Block(contactID(4))
	c.AddContact(Contact{ID: contactID(5), Email: "merged@example.com", Role: "user"})
	c.Merge(contactID(5), contactID(1))
	for _, tt := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"new", `{"external_id":"cus_9","email":"dee@example.com","name":"Dee"}`, http.StatusOK, ""},
		{"again", `{"external_id":"cus_9","email":"other@example.com"}`, http.StatusConflict, "exists with id=6a"},
		{"the same address, another id", `{"external_id":"cus_10","email":"dee@example.com"}`, http.StatusOK, ""},
		{"the same address in capitals, no id", `{"email":"DEE@example.com"}`, http.StatusConflict, "A contact matching those details already exists with id=6a"},
		{"the address of a lead", `{"external_id":"cus_11","email":"bo@example.com"}`, http.StatusOK, ""},
		{"an archived one", `{"external_id":"cus_12","email":"cy@example.com"}`, http.StatusConflict, "An archived contact matching those details already exists with id=" + contactID(3)},
		{"a merged one", `{"external_id":"cus_13","email":"merged@example.com"}`, http.StatusOK, ""},
		{"nothing", `{"name":"Dee"}`, http.StatusBadRequest, "required"},
		{"verified nothing", `{"external_id":"1","email_verified":true}`, http.StatusBadRequest, "email_verified"},
		{"an attribute that does not exist", `{"external_id":"cus_14","custom_attributes":{"x":1}}`, http.StatusBadRequest, "does not exist"},
	} {
		got := c.do("POST", "/contacts", tt.body)
		if got.status != tt.status || !strings.Contains(got.fault(), tt.says) {
			t.Errorf("%s\n got %d %s\nwant %d %s", tt.name, got.status, got.fault(), tt.status, tt.says)
		}
	}
	c.Block(contactID(3))
	if got := c.do("POST", "/contacts", `{"email":"cy@example.com"}`); !strings.Contains(got.fault(), "not_restorable") {
		t.Errorf("a blocked one: %s", got.fault())
	}
}

// What was just made can be read, and is found by searches later.
func TestIntercom_CreatedContactsAreFoundLater(t *testing.T) {
	t.Parallel()
	c := newIntercomClient(t, func(i *Intercom) { i.SearchLag = 2 * time.Minute })
	id := c.do("POST", "/contacts", `{"external_id":"cus_9","email":"dee@example.com"}`).text("id")
	c.SetLanguage(id, "de", "en-US")
	if got := c.do("GET", "/contacts/"+id, ""); got.text("language_override") != "de" || got.text("browser_language") != "en-US" {
		t.Errorf("languages of %v", got.body)
	}
	search := func() string {
		return c.do("POST", "/contacts/search", `{"query":{"operator":"OR","value":[{"field":"external_id","operator":"IN","value":["cus_9"]},{"field":"id","operator":"IN","value":["`+id+`"]}]}}`).text("total_count")
	}
	if got := search(); got != "0" {
		t.Errorf("found at once: %s", got)
	}
	c.clock.set(c.clock.Now().Add(2 * time.Minute))
	if got := search(); got != "1" {
		t.Errorf("found later: %s", got)
	}
}
