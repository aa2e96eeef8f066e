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

// postman delivers events to endpoints, signed with the secret of each.
type postman struct {
	clock  *Clock
	client *http.Client
}

func newPostman(clock *Clock) *postman {
	return &postman{clock: clock, client: &http.Client{
		Timeout:       postTimeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: postConnections, MaxConnsPerHost: postConnections, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // 3xx is a failure (facts 2.2)
	}}
}

// letter is one event on its way to one endpoint.
type letter struct {
	event *event
	to    *webhookEndpoint
	copy  int // 1 is the second of an event that is posted twice
}

// post puts an event into the outbox, as often as chance says.
func (w *world) post(e *event, to *webhookEndpoint) {
	if w.upset.webhooks(w.upset.Dropped, e, "dropped "+to.id) {
		return
	}
	w.outbox = append(w.outbox, letter{event: e, to: to})
	if w.upset.webhooks(w.upset.Doubled, e, "doubled "+to.id) {
		w.outbox = append(w.outbox, letter{event: e, to: to, copy: 1})
	}
}

// takeDue takes the letters out that are to be posted now, in an order that is
// nobody's, and leaves those that wait. What is to endpoints that take nothing any
// more is lost.
func (w *world) takeDue() []letter {
	var due, waiting []letter
	for _, l := range w.outbox {
		switch {
		case !l.to.takes():
		case l.event.created+w.upset.held(l) > w.now:
			waiting = append(waiting, l)
		default:
			due = append(due, l)
		}
	}
	w.outbox = waiting
	shuffle(w.dice, due)
	return due
}

// parcel is one attempt to deliver a letter.
type parcel struct {
	letter
	url, secret string
	body        []byte
	at          time.Time // when it was answered 2xx; zero: it was not
}

func (l letter) parcel() parcel {
	version := l.to.version
	if version == "" {
		version = l.event.version
	}
	return parcel{letter: l, url: l.to.url, secret: l.to.secret, body: l.event.render(version, max(1, l.event.pending))}
}

// shuffle puts letters in an order that is nobody's: Stripe guarantees none. It is
// the same order for the same letters.
func shuffle(d dice, letters []letter) {
	slices.SortFunc(letters, func(a, b letter) int {
		return cmp.Or(cmp.Compare(d.bits(a.event.id, "post", a.copy), d.bits(b.event.id, "post", b.copy)),
			cmp.Compare(a.event.id, b.event.id), cmp.Compare(a.copy, b.copy), cmp.Compare(a.to.id, b.to.id))
	})
}

// deliver posts the parcels, a few at a time, and returns when each was answered
// 2xx or has failed often enough for now, or ctx ended.
func (p *postman) deliver(ctx context.Context, parcels []parcel) error {
	var wait sync.WaitGroup
	next := make(chan *parcel)
	for range min(postConnections, len(parcels)) {
		wait.Go(func() {
			for one := range next {
				p.insist(ctx, one)
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
func (p *postman) insist(ctx context.Context, one *parcel) {
	for range postAttempts {
		if ctx.Err() != nil {
			return
		}
		if p.post(ctx, one) == nil {
			one.at = p.clock.Now()
			return
		}
	}
}

// post makes one attempt. Time and signature are new in each (facts 2.3).
func (p *postman) post(ctx context.Context, one *parcel) error {
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: one.body, Secret: one.secret, Timestamp: p.clock.Now()})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, one.url, bytes.NewReader(one.body))
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
