package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

const (
	postConnections = 16               // deliveries under way at once
	postTimeout     = 10 * time.Second // machine time, for one attempt
	postAttempts    = 4                // in one call; what is left waits for the next
)

// postman delivers events to one endpoint, signed with its secret.
type postman struct {
	clock  *Clock
	secret string
	client *http.Client
}

func newPostman(clock *Clock, secret string) *postman {
	return &postman{clock: clock, secret: secret, client: &http.Client{
		Timeout:       postTimeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: postConnections, MaxConnsPerHost: postConnections, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // 3xx is a failure (facts 2.2)
	}}
}

// parcel is one event on its way.
type parcel struct {
	event *event
	body  []byte
	at    time.Time // when it was answered 2xx; zero: it was not
}

// shuffle puts events in an order that is nobody's: Stripe guarantees none. It is
// the same order for the same events.
func shuffle(d dice, events []*event) {
	slices.SortFunc(events, func(a, b *event) int {
		return cmp.Or(cmp.Compare(d.bits(a.id, "post", 0), d.bits(b.id, "post", 0)), cmp.Compare(a.id, b.id))
	})
}

// deliver posts the parcels, a few at a time, and returns when each was answered
// 2xx or has failed often enough for now, or ctx ended.
func (p *postman) deliver(ctx context.Context, url string, parcels []parcel) error {
	var wait sync.WaitGroup
	next := make(chan *parcel)
	for range min(postConnections, len(parcels)) {
		wait.Go(func() {
			for one := range next {
				p.insist(ctx, url, one)
			}
		})
	}
	for n := range parcels {
		if ctx.Err() != nil {
			break
		}
		next <- &parcels[n]
	}
	close(next)
	wait.Wait()
	return ctx.Err()
}

// insist tries one delivery until it is answered 2xx.
func (p *postman) insist(ctx context.Context, url string, one *parcel) {
	for range postAttempts {
		if ctx.Err() != nil {
			return
		}
		if p.post(ctx, url, one.body) == nil {
			one.at = p.clock.Now()
			return
		}
	}
}

// post makes one attempt. Time and signature are new in each (facts 2.3).
func (p *postman) post(ctx context.Context, url string, body []byte) error {
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: p.secret, Timestamp: p.clock.Now()})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	r.Header.Set("Stripe-Signature", signed.Header)
	answer, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection is used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the endpoint answered %s", answer.Status)
	}
	return nil
}
