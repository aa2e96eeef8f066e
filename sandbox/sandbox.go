// Package sandbox is a Stripe and an Intercom to try Dunlin against, and a
// merchant whose customers live in virtual time.
//
//	s, err := sandbox.New(sandbox.Config{Seed: 1, Customers: 2000})
//	go http.Serve(stripeListener, s.Stripe())     // loopback HTTP
//	go http.Serve(intercomListener, s.Intercom())
//	s.SendWebhooksTo("http://127.0.0.1:8080/webhooks/stripe/sandbox")
//	for s.Now().Before(end) {
//		happened, err := s.Advance(ctx, s.Next())
//		…
//	}
//
// The merchant has customers in many zones and four currencies. Subscriptions
// renew, cards are declined, expire and are renewed by their networks, Stripe
// retries, people end, leave and sign up, and some of those who are written to
// about a card or a payment do something about it. [Residents] and [Accepted] are
// the truth that a judge compares with what a product did.
//
// It promises:
//
//   - The same seed is the same life. All chance is a hash of the seed and of what
//     it is about, so neither the order nor the concurrency of requests matters.
//   - Time stands still between calls of Advance. Nothing sleeps, and nothing goes
//     on after a call returned but the HTTP that somebody else serves.
//   - Events happen on the hour of the virtual clock. Those of one
//     change share one second, and their webhooks come in no particular order.
//   - Webhooks are signed with virtual time; what was not answered 2xx is posted
//     again, at once and at each later Advance, until it is.
//   - Objects have the keys of Stripe's API version 2023-10-16, null where unset.
//   - Nothing goes wrong unless the [Config] asks for it: [StripeFault] and
//     [Misbehaviour] for the Stripe half, [StripeLimits] for its limits.
//
// The Stripe half answers lists and retrieves of customers, subscriptions and
// their items, products, prices, invoices, charges, refunds, disputes, events,
// payment methods and webhook endpoints, and the account; over HTTP only webhook
// endpoints can be changed. Left out are trials, metered and tiered prices,
// coupons, taxes, prorations, invoices sent for manual payment, test clocks, 3-D
// Secure, the objects behind payment intents and balance transactions (their ids
// are there), and search. A direct debit is paid at once instead of after days.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// The secrets of a sandbox that was not given any. They open nothing else.
const (
	StripeKey     = "sk_test_dunlin_sandbox"
	WebhookSecret = "whsec_dunlin_sandbox"
	IntercomToken = "intercom_dunlin_sandbox"

	// IntercomSecret is the client secret that notifications are signed with.
	IntercomSecret = "intercom_secret_dunlin_sandbox"
)

// Config says which life to live.
type Config struct {
	Seed      int64
	Customers int       // at the start; zero means 2,000
	Start     time.Time // rounded up to an hour; zero means 2026-02-16 06:00 UTC

	StripeKey     string // empty means [StripeKey]
	WebhookSecret string // empty means [WebhookSecret]
	IntercomToken string // empty means [IntercomToken]

	Life Life // what happens beyond the usual; zero: nothing

	// APIVersion is the account's own version: of its events, and of requests and
	// endpoints that name none. WebhookVersion pins the endpoint of
	// SendWebhooksTo; empty leaves it unpinned. [APIVersion] or [APIVersionBasil];
	// an empty APIVersion is the former.
	APIVersion, WebhookVersion string

	// StripeFaults is asked about every request to the Stripe half before it is
	// looked at, and may read its body. It is called concurrently and without
	// locks; what it lets pass may still meet Misbehaviour. Nil: no faults.
	StripeFaults func(r *http.Request) StripeFault

	Misbehaviour    Misbehaviour // zero: none; [Sandbox.Misbehave] changes it
	StripeLimits    StripeLimits // zero: none
	StripeForbidden []string     // classes that the key may not have, as in paths: 403
}

// A Line says in a marketer's words what happened to a customer. Kind is one of
// new, renewed, declined, recovered, unpaid, card, plan, ends, stays, ended,
// deleted; refunded and disputed only where [Life] has them.
type Line struct {
	At         time.Time
	Kind, Text string
}

// Happened is what one Advance led to.
type Happened struct {
	Events      int    // Stripe events made
	Lines       []Line // in order
	Undelivered int    // webhooks not answered 2xx yet, older ones included
	Held        int    // webhooks that Misbehaviour holds back for later
}

// A Sandbox is one merchant with their Stripe account and Intercom workspace. It
// is safe for concurrent use.
type Sandbox struct {
	clock    *Clock
	intercom *Intercom
	stripe   *stripeServer
	postman  *postman

	advancing sync.Mutex // one Advance at a time
	mu        sync.Mutex // guards what follows
	world     *world
	heard     int              // accepted requests that people have reacted to
	endpoint  *webhookEndpoint // of SendWebhooksTo; nil: none
	secret    string           // of that endpoint
	pinned    string           // its version
}

// New makes a sandbox whose clock stands at Start. The merchant has four months
// behind them; nobody was told of those.
func New(c Config) (*Sandbox, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Customers == 0 {
		c.Customers = 2000
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 2, 16, 6, 0, 0, 0, time.UTC)
	}
	orDefault(&c.StripeKey, StripeKey)
	orDefault(&c.WebhookSecret, WebhookSecret)
	orDefault(&c.IntercomToken, IntercomToken)
	orDefault(&c.APIVersion, APIVersion)

	start := onGrid(c.Start.Unix())
	s := &Sandbox{clock: &Clock{}, secret: c.WebhookSecret, pinned: c.WebhookVersion}
	s.clock.set(time.Unix(start, 0))
	s.intercom = newIntercom(s.clock, c.IntercomToken)
	s.world = newWorld(c, start, s.intercom.addContact)
	s.world.upset = c.Misbehaviour
	s.stripe = newStripeServer(c, s.clock, &s.mu, s.world)
	s.postman = newPostman(s.clock)
	return s, nil
}

// check reports all that is wrong with c.
func (c Config) check() error {
	var faults []error
	if c.Customers < 0 {
		faults = append(faults, fmt.Errorf("the sandbox cannot have %d customers; give a number above zero, or 0 for 2000", c.Customers))
	}
	if !c.Start.IsZero() && (c.Start.Year() < 2001 || c.Start.Year() > 2200) {
		faults = append(faults, fmt.Errorf("the sandbox cannot start in the year %d; give one between 2001 and 2200", c.Start.Year()))
	}
	for _, version := range []string{c.APIVersion, c.WebhookVersion} {
		if version != "" {
			faults = append(faults, checkVersion(version))
		}
	}
	return errors.Join(append(faults, c.Life.check(), c.Misbehaviour.check(), c.StripeLimits.check(), checkForbidden(c.StripeForbidden))...)
}

func checkVersion(version string) error {
	if knownVersion(version) {
		return nil
	}
	return fmt.Errorf("the sandbox does not have Stripe's API version %q; give %s or %s", version, APIVersion, APIVersionBasil)
}

func orDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// Now is the virtual instant.
func (s *Sandbox) Now() time.Time { return s.clock.Now() }

// Stripe serves the Stripe account under /v1/.
func (s *Sandbox) Stripe() http.Handler { return s.stripe }

// Intercom serves the Intercom workspace.
func (s *Sandbox) Intercom() http.Handler { return s.intercom.Handler() }

// SendWebhooksTo makes url the endpoint of all events from now on, beside those
// made over HTTP; an empty url removes it, and what was on its way is lost, as at
// Stripe. Call it once the product has begun its backfill: what happened before is
// in the lists.
func (s *Sandbox) SendWebhooksTo(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.endpoint; e != nil && (url == "" || e.gone) {
		s.world.removeEndpoint(e)
		s.endpoint = nil
	}
	if url == "" {
		return
	}
	if s.endpoint == nil {
		s.endpoint = s.world.addEndpoint(s.clock.Now().Unix())
		s.endpoint.secret, s.endpoint.version = s.secret, s.pinned
	}
	s.endpoint.url = url
	s.endpoint.touch()
}

// SendIntercomWebhooksTo makes url the endpoint of Intercom's notifications about
// tickets, which Advance posts; an empty url ends them.
func (s *Sandbox) SendIntercomWebhooksTo(url string) { s.intercom.SendWebhooksTo(url, IntercomSecret) }

// Misbehave changes how often Stripe goes wrong, from now on. What was dropped
// stays so; what waits is posted when the new Misbehaviour would: with the zero
// value, by the next Advance.
func (s *Sandbox) Misbehave(m Misbehaviour) error {
	if err := m.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.upset = m
	s.stripe.misbehave(m)
	return nil
}

// SetAPIVersion gives the account another version, as an upgrade does: what is
// made from now on has it. See [Config].
func (s *Sandbox) SetAPIVersion(version string) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.version = version
	return nil
}

// Next is the next instant at which something may happen. There always is one.
func (s *Sandbox) Next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listen()
	return time.Unix(s.world.next(), 0).UTC()
}

// listen lets people react to what has reached them since they last looked.
func (s *Sandbox) listen() {
	accepted := s.intercom.acceptedSince(s.heard)
	s.heard += len(accepted)
	s.world.hear(accepted)
}

// Advance moves the clock forward to to, lets everything until then happen in
// order, each event at its own instant, and posts the webhooks that are due. It
// returns when each was answered 2xx or has failed several times; those are posted again by
// the next Advance. The error is about the arguments: to before Now, or ctx done.
func (s *Sandbox) Advance(ctx context.Context, to time.Time) (Happened, error) {
	s.advancing.Lock()
	defer s.advancing.Unlock()
	if now := s.clock.Now(); to.Before(now) {
		return Happened{}, fmt.Errorf("advance the sandbox to %s: it is already %s", to.UTC().Format(time.RFC3339), now.Format(time.RFC3339))
	}
	parcels, happened := s.live(to)
	err := s.postman.deliver(ctx, parcels)
	happened.Undelivered = s.answered(parcels)
	if err == nil {
		_, err = s.intercom.PostWebhooks(ctx)
	}
	return happened, err
}

// live sets the clock, lets the world run, and takes what is to be posted.
func (s *Sandbox) live(to time.Time) ([]parcel, Happened) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.world
	s.listen()
	s.clock.set(to)
	before := w.emitted
	w.runUntil(to.Unix())
	w.forget()
	happened := Happened{Events: w.emitted - before, Lines: w.lines}
	w.lines = nil
	due := w.takeDue()
	happened.Held = len(w.outbox)
	parcels := make([]parcel, len(due))
	for n, l := range due {
		parcels[n] = l.parcel()
	}
	return parcels, happened
}

// answered records which deliveries arrived and keeps the others, but for those
// whose endpoint was removed meanwhile.
func (s *Sandbox) answered(parcels []parcel) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parcels {
		switch {
		case p.at.IsZero() && p.to.takes():
			s.world.outbox = append(s.world.outbox, p.letter)
			left++
		case !p.at.IsZero() && p.copy == 0:
			s.world.told(p.event, p.at)
		}
	}
	return left
}

// Residents copies every customer there ever was, with the whole history of each,
// oldest customer first. A state's Subscriptions are oldest first.
func (s *Sandbox) Residents() []Resident {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Resident, 0, len(s.world.customers))
	for _, c := range s.world.customers {
		all = append(all, c.resident())
	}
	return all
}

// StripeRequests and IntercomRequests count all requests served so far.
func (s *Sandbox) StripeRequests() int { return int(s.stripe.requests.Load()) }

// StripeAnswers copies the counts of what the Stripe half has answered so far.
func (s *Sandbox) StripeAnswers() StripeAnswers { return s.stripe.answers() }

// IntercomRequests: see StripeRequests.
func (s *Sandbox) IntercomRequests() int { return s.intercom.Requests() }

// Accepted copies what Intercom has accepted, in order of arrival.
func (s *Sandbox) Accepted() []Accepted { return s.intercom.Accepted() }
