package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestIntercom_Webhooks: news of tickets is posted signed, the newest first, and
// once more when it was not taken.
func TestIntercom_Webhooks(t *testing.T) {
	t.Parallel()
	var topics, signatures, ids []string
	status := http.StatusOK
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var n struct {
			ID, Topic string
			Data      struct {
				Item struct {
					ID    string
					Admin string `json:"admin_assignee_id"`
				}
			}
		}
		if err != nil || json.Unmarshal(body, &n) != nil || n.Data.Item.ID == "" {
			t.Errorf("got %s (%v)", body, err)
		}
		topics, ids, signatures = append(topics, n.Topic), append(ids, n.ID), append(signatures, r.Header.Get("X-Hub-Signature"))
		w.WriteHeader(status)
	}))
	t.Cleanup(hook.Close)
	c := newIntercomClient(t)
	post := func() int {
		t.Helper()
		topics, ids = nil, nil
		n, err := c.PostWebhooks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	kind := c.do("POST", "/ticket_types", `{"name":"Follow-up","category":"Back-office"}`).text("id")
	ticket := func() string {
		return "/tickets/" + c.do("POST", "/tickets", `{"ticket_type_id":"`+kind+`","contacts":[{"id":"`+contactID(1)+`"}],"ticket_attributes":{"_default_title_":"Call"}}`).text("id")
	}
	silent := ticket()
	c.do("PUT", silent, `{"ticket_state_id":"8324"}`)
	wantEqual(t, "nobody wants to know", post(), 0)

	c.SendWebhooksTo(hook.URL, IntercomSecret)
	path := ticket()
	c.do("PUT", path, `{"ticket_state_id":"8324"}`)
	c.do("PUT", path, `{"assignee_id":"991267716","snoozed_until":1772446000}`)
	c.do("POST", path+"/reply", `{"message_type":"note","type":"admin","admin_id":"991267716","body":"done"}`)
	status = http.StatusServiceUnavailable
	wantEqual(t, "not taken", post(), 0)
	wantEqual(t, "topics", strings.Join(topics, " "),
		"ticket.note.created ticket.admin.assigned ticket.admin.snoozed ticket.resolved ticket.state.updated ticket.created")
	first := strings.Join(ids, " ")
	status, c.DoubleWebhooks = http.StatusOK, true
	wantEqual(t, "once more, and twice", post(), 12)
	wantEqual(t, "the same", strings.Join(ids, " "), first+" "+first)
	wantEqual(t, "and never again", post(), 0)
	for _, s := range signatures {
		if !strings.HasPrefix(s, "sha1=") || len(s) != len("sha1=")+40 {
			t.Errorf("signature\n got %q", s)
		}
	}
}
