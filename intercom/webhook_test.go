package intercom

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/internal/pgtest"
)

const hookSecret = "client_secret"

func sign(body, secret string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha1=" + hex.EncodeToString(mac.Sum(nil))
}

// posted is a notification about a ticket, as Intercom writes one: assignees are
// texts, and instants may be.
func posted(id, topic, created, item string) string {
	return `{"type":"notification_event","id":` + id + `,"topic":"` + topic + `","app_id":"x","created_at":` + created + `,
		"data":{"type":"notification_event_data","item":` + item + `},"delivery_attempts":1}`
}

const postedTicket = `{"type":"ticket","id":"626","ticket_id":33,"ticket_state":{"id":8324,"category":"resolved"},"ticket_type":{"id":67},
	"admin_assignee_id":"991267716","team_assignee_id":"0","open":false,"updated_at":"2026-03-02T12:00:05.000Z","snoozed_until":null}`

// TestWebhooks holds safe-webhooks: what is answered 2xx is durable, once, and
// was signed.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	pokes := 0
	var broken error
	h := &Webhooks{
		Pool: pool, Secret: hookSecret, Now: func() time.Time { return time.Unix(1772452810, 0) }, Logger: logger(io.Discard),
		Stored: func(context.Context, pgx.Tx) error { pokes++; return broken },
	}
	good := posted(`"notif_1"`, "ticket.state.updated", "1772452805", postedTicket)
	part := posted(`"notif_2"`, "ticket.note.created", "1772452806", `{"type":"ticket_part","id":"9","ticket":`+postedTicket+`}`)
	for _, tt := range []struct {
		name, method, body, signature string
		status, stored                int
	}{
		{"no signature", "POST", good, "", 400, 0},
		{"another secret", "POST", good, sign(good, "other"), 400, 0},
		{"another body", "POST", good + " ", sign(good, hookSecret), 400, 0},
		{"another hash", "POST", good, strings.Replace(sign(good, hookSecret), "sha1=", "sha256=", 1), 400, 0},
		{"part of the signature", "POST", good, sign(good, hookSecret)[:20], 400, 0},
		{"no hash", "POST", good, "sha1=", 400, 0},
		{"not JSON", "POST", "{", sign("{", hookSecret), 400, 0},
		{"another's JSON", "POST", `{"id":"evt_1"}`, sign(`{"id":"evt_1"}`, hookSecret), 400, 0},
		{"too large", "POST", strings.Repeat(" ", maxNotification+1), "", 413, 0},
		{"the address is tried", "HEAD", "", "", 200, 0},
		{"read", "GET", "", "", 405, 0},
		{"a ping", "POST", posted("null", "ping", "1772452805", `{"type":"ping","message":"hi"}`), "sign", 200, 0},
		{"of a conversation", "POST", posted(`"notif_9"`, "conversation.user.replied", "1772452805", `{"type":"conversation","id":"1"}`), "sign", 200, 0},
		{"a ticket without an id", "POST", posted(`"notif_9"`, "ticket.created", "1772452805", `{"type":"ticket"}`), "sign", 400, 0},
		{"without an instant", "POST", posted(`"notif_9"`, "ticket.created", "null", postedTicket), "sign", 400, 0},
		{"without an id of its own", "POST", posted(`null`, "ticket.created", "1772452805", postedTicket), "sign", 400, 0},
		{"good", "POST", good, "sign", 200, 1},
		{"twice", "POST", good, "sign", 200, 1},
		{"in a part", "POST", part, "sign", 200, 2},
	} {
		if tt.signature == "sign" {
			tt.signature = sign(tt.body, hookSecret)
		}
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "/webhooks/intercom", strings.NewReader(tt.body))
		r.Header.Set("X-Hub-Signature", tt.signature)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var stored int
		if err := pool.QueryRow(t.Context(), `select count(*) from dunlin.intercom_news`).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if w.Code != tt.status || stored != tt.stored {
			t.Errorf("%s\n got %d, %d stored: %s\nwant %d, %d stored", tt.name, w.Code, stored, w.Body, tt.status, tt.stored)
		}
	}
	if pokes != 2 {
		t.Errorf("pokes\n got %d\nwant one for each that is new", pokes)
	}

	// What was not stored is not answered 2xx.
	third := posted(`"notif_3"`, "ticket.resolved", "1772452807", postedTicket)
	for what, change := range map[string]func(){"no poke": func() { broken = errors.New("no") }, "no secret": func() { h.Secret = "" }} {
		change()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/intercom", strings.NewReader(third))
		r.Header.Set("X-Hub-Signature", sign(third, hookSecret))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s\n got %d\nwant 503", what, w.Code)
		}
		h.Secret, broken = hookSecret, nil
	}

	take := func(now time.Time) (news []News) {
		t.Helper()
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
			news, err = TakeNews(t.Context(), tx, now, 10)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return news
	}
	now := time.Unix(1772452810, 0)
	news := take(now)
	if len(news) != 2 || len(take(now)) != 0 {
		t.Fatalf("taken, each once\n got %+v", news)
	}
	want := TicketStatus{
		ID: "626", Number: "33", Type: "67", State: TicketState{ID: "8324", Category: "resolved"}, Admin: "991267716",
		Updated: time.Date(2026, 3, 2, 12, 0, 5, 0, time.UTC), Attributes: map[string]string{},
	}
	for i, n := range news {
		if diff := cmp.Diff(want, n.Ticket); diff != "" || !n.At.Equal(time.Unix(1772452805+int64(i), 0)) || !n.Ticket.Resolved() {
			t.Errorf("%s at %s (-want +got)\n%s", n.Topic, n.At, diff)
		}
	}
	take(now.Add(keepNews + time.Hour))
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from dunlin.intercom_news`).Scan(&left); err != nil || left != 0 {
		t.Errorf("forgotten after a while\n got %d (%v)\nwant 0", left, err)
	}
}
