package intercom

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	maxNotification = 1 << 20         // bytes; a ticket with its parts is well below
	storeWithin     = 3 * time.Second // Intercom waits five
)

// Webhooks is the way in for what Intercom posts. It keeps news of tickets; the
// rest is answered and dropped.
type Webhooks struct {
	Pool   *pgxpool.Pool
	Secret string // the app's client secret, INTERCOM_CLIENT_SECRET; empty: nothing is taken
	Now    func() time.Time
	Logger *slog.Logger

	// Stored is called in the transaction that stores a notification.
	Stored func(ctx context.Context, tx pgx.Tx) error
}

// ServeHTTP answers one notification:
//
//	200  it is durable, now or since an earlier time, or nobody here wants it
//	400  the signature is wrong, or the body is no notification; nothing is stored
//	405  neither a POST nor a HEAD, by which Intercom tries the address
//	413  the body is larger than 1 MiB
//	503  it could not be stored, or there is no secret to check it with
//
// It is answered once it is durable, and within three seconds (safe-webhooks).
// Intercom tries a second time, a minute later, and then never again: what is
// lost is found by looking at the tickets.
func (h *Webhooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodHead:
		return
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "POST, HEAD")
		http.Error(w, "Intercom's notifications are posted", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotification))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		h.refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB")
		return
	case err != nil:
		h.refuse(w, http.StatusBadRequest, "the body could not be read")
		return
	case h.Secret == "":
		h.refuse(w, http.StatusServiceUnavailable, "this endpoint has no secret; set INTERCOM_CLIENT_SECRET")
		return
	case !signed(body, r.Header.Get("X-Hub-Signature"), h.Secret):
		h.refuse(w, http.StatusBadRequest, "the signature is not that of INTERCOM_CLIENT_SECRET over this body")
		return
	}
	n, wanted, err := readNotification(body)
	if err != nil {
		h.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if !wanted {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeWithin)
	defer cancel()
	if err := h.store(ctx, n); err != nil {
		h.Logger.Error("intercom notification not stored", slog.String("notification", n.ID), slog.Any("error", err))
		http.Error(w, "it could not be stored; send it again", http.StatusServiceUnavailable)
	}
}

func (h *Webhooks) refuse(w http.ResponseWriter, status int, why string) {
	h.Logger.Warn("intercom notification refused", slog.Int("status", status), slog.String("reason", why))
	http.Error(w, why, status)
}

// signed reports whether the header holds "sha1=" and the HMAC of the body, in
// time that does not depend on where they differ.
func signed(body []byte, header, secret string) bool {
	given, err := hex.DecodeString(strings.TrimPrefix(header, "sha1="))
	if err != nil || !strings.HasPrefix(header, "sha1=") {
		return false
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(given, mac.Sum(nil))
}

// notification is one as it was posted.
type notification struct {
	ID      string
	Topic   string
	Created time.Time
	Item    json.RawMessage
}

// readNotification reads the envelope. wanted is false for what is about no
// ticket, a ping among it, which has no id.
func readNotification(body []byte) (n notification, wanted bool, err error) {
	var in struct {
		Type    text    `json:"type"`
		ID      text    `json:"id"`
		Topic   text    `json:"topic"`
		Created instant `json:"created_at"`
		Data    struct {
			Item json.RawMessage `json:"item"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Type != "notification_event" {
		return n, false, errors.New("the body is no notification")
	}
	n = notification{ID: string(in.ID), Topic: string(in.Topic), Created: time.Time(in.Created), Item: in.Data.Item}
	if !strings.HasPrefix(n.Topic, "ticket.") {
		return n, false, nil
	}
	if _, err := n.ticket(); err != nil || n.ID == "" || n.Created.IsZero() {
		return n, false, fmt.Errorf("the notification %s has no id, no instant or no ticket", clip(n.Topic, 64))
	}
	return n, true, nil
}

// ticket is where the ticket stood when the notification was made. Some topics
// have it inside of a part.
func (n notification) ticket() (TicketStatus, error) {
	var in struct {
		ticketJSON
		Ticket *ticketJSON `json:"ticket"`
	}
	if err := json.Unmarshal(n.Item, &in); err != nil {
		return TicketStatus{}, fmt.Errorf("read the ticket of notification %s: %w", n.ID, err)
	}
	j := in.ticketJSON
	if in.Ticket != nil {
		j = *in.Ticket
	}
	if j.ID == "" {
		return TicketStatus{}, fmt.Errorf("notification %s has no ticket", n.ID)
	}
	return j.status(), nil
}

// store keeps a notification once, however often it comes.
func (h *Webhooks) store(ctx context.Context, n notification) error {
	return pgx.BeginFunc(ctx, h.Pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			insert into dunlin.intercom_news (id, topic, created_at, item, stored_at) values ($1, $2, $3, $4::text::json, $5)
			on conflict (id) do nothing`, n.ID, n.Topic, n.Created, string(n.Item), h.Now())
		if err != nil || tag.RowsAffected() == 0 || h.Stored == nil {
			return err
		}
		return h.Stored(ctx, tx)
	})
}

// News is what a notification said of a ticket.
type News struct {
	Topic  string
	At     time.Time // Intercom's clock, whole seconds
	Ticket TicketStatus
}

// TakeNews takes stored notifications, oldest first, at most so many, for the
// caller to act on in the same transaction: they are taken once. What was taken
// more than keepNews ago is forgotten.
func TakeNews(ctx context.Context, tx pgx.Tx, now time.Time, limit int) ([]News, error) {
	if _, err := tx.Exec(ctx, `delete from dunlin.intercom_news where taken_at < $1`, now.Add(-keepNews)); err != nil {
		return nil, fmt.Errorf("forget old notifications: %w", err)
	}
	rows, err := tx.Query(ctx, `
		with waiting as (
			select id from dunlin.intercom_news where taken_at is null
			order by created_at, id limit $2 for update skip locked)
		update dunlin.intercom_news n set taken_at = $1 from waiting where n.id = waiting.id
		returning n.id, n.topic, n.created_at, n.item::text`, now, limit)
	if err != nil {
		return nil, fmt.Errorf("take notifications: %w", err)
	}
	taken, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (n notification, err error) {
		var item string
		err = r.Scan(&n.ID, &n.Topic, &n.Created, &item)
		n.Item = json.RawMessage(item)
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("take notifications: %w", err)
	}
	slices.SortFunc(taken, func(a, b notification) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	news := make([]News, 0, len(taken))
	for _, n := range taken {
		t, err := n.ticket()
		if err != nil {
			return nil, err // it was read before it was stored
		}
		news = append(news, News{Topic: n.Topic, At: n.Created, Ticket: t})
	}
	return news, nil
}

// keepNews is how long a notification that was taken stays to be looked at: much
// longer than Intercom repeats it. Business time.
const keepNews = 3 * 24 * time.Hour
