package jobs

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
)

const (
	webhookWithin = 20 * time.Second // from dialling to the answer's last byte. Machine time.
	webhookAnswer = 64 << 10         // bytes of an answer that are read, and thrown away

	// maxWebhook is how often an address is called that does not answer, or asks to
	// be called later; what was not called does not count: within about an hour, each rest twice as long as the last.
	maxWebhook = 8
)

// A webhookBody is what an address is told. Its fields only grow in number.
type webhookBody struct {
	Delivery string            `json:"delivery"` // the same in every attempt, as in the header Idempotency-Key
	Account  string            `json:"account"`
	Customer string            `json:"customer"` // cus_…
	Contact  *string           `json:"contact"`  // at Intercom
	Campaign string            `json:"campaign"`
	Step     string            `json:"step"`
	Episode  string            `json:"episode"`
	At       time.Time         `json:"at"` // of the decision
	Values   map[string]string `json:"values"`
}

// webhook calls the address of a webhook step. A call without a clear answer is
// made again: receivers can drop repeats by their Idempotency-Key. Without one
// after the last attempt it is unclear.
func (w *deliverWorker) webhook(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	o := campaigns.Outcome{Result: campaigns.NotDone, Retry: retryAfter}
	secret := ""
	if w.Getenv != nil {
		secret = w.Getenv(c.Secret)
	}
	if secret == "" {
		o.Detail = c.Secret + " is not set; set it to the secret of the webhook, or name another variable in the step"
		return o
	}
	customer, err := customers.Load(ctx, w.Pool, customers.Ref{Account: c.Key.Account, Customer: c.Key.Customer})
	if err != nil {
		o.Detail = "the customer could not be read"
		return o
	}
	body, err := json.Marshal(webhookOf(c, customer))
	if err != nil {
		return campaigns.Outcome{Result: campaigns.Refused, Detail: "the webhook cannot be written as JSON"}
	}
	status, err := w.post(ctx, c, body, secret)
	attempt := c.Failed(campaigns.AddressFailing) + 1
	o = webhookOutcome(status, attempt)
	if errors.Is(err, errPrivate) {
		o.Result = campaigns.Refused
	}
	switch {
	case err != nil:
		o.Detail = "the address was not reached, or did not answer: " + cause(err)
	case o.Result != campaigns.Accepted:
		o.Detail = fmt.Sprintf("the address answered %d", status)
	}
	if o.Result != campaigns.Accepted {
		w.Logger.Warn("webhook failed", slog.Any("delivery", c.Key), slog.String("result", string(o.Result)), slog.Int("status", status), slog.Int("attempt", attempt))
	}
	return o
}

func webhookOf(c campaigns.Claim, customer customers.Picture) webhookBody {
	b := webhookBody{
		Delivery: c.Reference, Customer: customer.StripeID, Campaign: c.Key.Campaign, Step: c.Key.Step, Episode: c.Key.Episode,
		At: c.At.UTC(), Values: map[string]string{},
	}
	b.Account, _ = customer.Value("account").(string)
	if c.ContactID != "" {
		b.Contact = &c.ContactID
	}
	for _, v := range c.Values {
		b.Values[v.Name] = v.Value
	}
	return b
}

// post makes the request. The signature's age is business time.
func (w *deliverWorker) post(ctx context.Context, c campaigns.Claim, body []byte, secret string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, webhookWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "dunlin (+https://github.com/dunlin/dunlin)")
	r.Header.Set("Idempotency-Key", c.Reference)
	r.Header.Set("Dunlin-Signature", sign(body, secret, w.Now()))

	client := publicWebhooks
	if w.Webhooks != nil {
		client = w.Webhooks
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, webhookAnswer)) // so that the connection can be used again
	return resp.StatusCode, nil
}

// sign is a signature over the instant and the body, in the manner of Stripe's:
// "t=1772452800,v1=…", the latter HMAC-SHA256 in hexadecimal of "1772452800.{…}".
func sign(body []byte, secret string, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// webhookOutcome reads an answer; a status of 0 is none. What may pass is tried
// again: a receiver may be in the middle of a deployment, or lack our secret yet.
func webhookOutcome(status, attempt int) campaigns.Outcome {
	last := campaigns.Refused
	switch {
	case status >= 200 && status <= 299:
		return campaigns.Outcome{Result: campaigns.Accepted}
	case status == 0, status == http.StatusRequestTimeout, status >= 500:
		last = campaigns.Unclear
	case !passing[status]:
		return campaigns.Outcome{Result: campaigns.Refused}
	}
	if attempt >= maxWebhook {
		return campaigns.Outcome{Result: last}
	}
	return campaigns.Outcome{Result: campaigns.NotDone, Retry: retryAfter << (attempt - 1), Failure: campaigns.AddressFailing}
}

// passing are answers that say no, and perhaps not for long.
var passing = map[int]bool{
	http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusNotFound: true,
	http.StatusConflict: true, http.StatusTooEarly: true, http.StatusTooManyRequests: true,
}

// cause is what went wrong, without the address, which may hold a key.
func cause(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// errPrivate refuses an address that is not one of the public internet.
var errPrivate = errors.New("the address is private: webhooks go to the public internet unless WEBHOOKS_PRIVATE=true")

var publicWebhooks = WebhookClient(false)

// WebhookClient returns a client for the addresses of webhook steps. It follows
// no redirects and goes through no proxy, because either would choose another
// address. Without private it connects to public addresses only, whatever a name
// resolves to, so that no definition can reach into our own network.
func WebhookClient(private bool) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if !private {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			if !public(address) {
				return errPrivate
			}
			return nil
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 20 * time.Second, MaxIdleConnsPerHost: 8,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
