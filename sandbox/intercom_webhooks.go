package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// intercomPostTimeout is what Intercom waits for an answer (6). Machine time.
const intercomPostTimeout = 5 * time.Second

// An intercomNotification is news on its way to the app.
type intercomNotification struct {
	topic string
	body  []byte
	tries int
}

// SendWebhooksTo makes url the endpoint of the app's notifications about tickets
// from now on, signed with its client secret; an empty url ends them. They wait
// for [Intercom.PostWebhooks].
func (i *Intercom) SendWebhooksTo(url, secret string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hook, i.hookSecret = url, secret
}

// notify puts news of a ticket into the outbox. Ids of assignees are texts here,
// unlike in answers.
func (i *Intercom) notify(topic string, ticket *intercomTicket) {
	if i.hook == "" {
		return
	}
	item := ticket.json()
	item["admin_assignee_id"], item["team_assignee_id"] = ticket.admin, ticket.team
	i.serial["notification"]++
	now := i.now().Unix()
	body, err := json.Marshal(map[string]any{
		"type": "notification_event", "id": fmt.Sprintf("notif_00000000-0000-4000-8000-%012x", i.serial["notification"]),
		"topic": topic, "app_id": IntercomWorkspace, "created_at": now, "first_sent_at": now, "delivered_at": 0,
		"delivery_attempts": 1, "delivery_status": "pending", "self": nil, "links": map[string]any{},
		"data": map[string]any{"type": "notification_event_data", "item": item},
	})
	if err != nil {
		panic("sandbox: encode a notification: " + err.Error())
	}
	i.outbox = append(i.outbox, intercomNotification{topic: topic, body: body})
}

// PostWebhooks posts what waits, the newest first, since Intercom promises no
// order, and what DoubleWebhooks doubles twice. What was not answered 2xx is
// posted once more by the next call, and then never again. It returns how many
// were answered.
func (i *Intercom) PostWebhooks(ctx context.Context) (int, error) {
	i.mu.Lock()
	waiting, url, secret, double := i.outbox, i.hook, i.hookSecret, i.DoubleWebhooks
	i.outbox = nil
	i.mu.Unlock()
	slices.Reverse(waiting)
	if double {
		waiting = slices.Concat(waiting, waiting)
	}
	answered := 0
	var again []intercomNotification
	for _, n := range waiting {
		taken, err := postIntercom(ctx, url, secret, n.body)
		if err != nil {
			return answered, err
		}
		if taken {
			answered++
		} else if n.tries++; n.tries < 2 {
			again = append(again, n)
		}
	}
	slices.Reverse(again)
	i.mu.Lock()
	i.outbox = append(again, i.outbox...)
	i.mu.Unlock()
	return answered, ctx.Err()
}

var intercomPostman = &http.Client{Timeout: intercomPostTimeout}

// postIntercom posts one notification and reports whether it was answered 2xx.
// The error is about the address.
func postIntercom(ctx context.Context, url, secret string, body []byte) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("post a notification of Intercom's: %w", err)
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	request.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "intercom-parrot-service-client/1.0")
	response, err := intercomPostman.Do(request)
	if err != nil {
		return false, nil //nolint:nilerr // nobody answered: that is what is reported
	}
	defer response.Body.Close() //nolint:errcheck // nothing of it is read
	return response.StatusCode/100 == 2, nil
}
