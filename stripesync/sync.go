// Package stripesync keeps the mirror: one row per Stripe object of an account,
// its JSON byte for byte as Stripe sent it.
//
//	sync, err := stripesync.New(ctx, stripesync.Config{Pool: pool, Account: "main", Key: key, Secrets: secrets})
//	mux.Handle("POST /webhooks/stripe/main", sync.Handler()) // stores events
//	err = sync.Backfill(ctx, report)                         // reads the lists, once or again
//	settled, err := sync.Apply(ctx)                          // brings stored events into the mirror
//
// Objects come in by lists and by events, and both end in one upsert: the newest
// wins, by an instant of Stripe's clock. Whoever is touched is projected into
// the customers package in the same transaction.
//
//   - A delivery is answered 2xx only when its event is durable; while Postgres
//     is away the answer is 503, except to invoice.created, which holds up
//     customers' invoices (safe-webhooks).
//   - A backfill that stopped half-way never looks finished: mirrored_at and
//     ready_at of the account are set after the last object (honest-mirror).
//   - The order in which events arrive, and how often, does not change what the
//     mirror holds in the end.
//   - No request to Stripe is made inside a transaction.
//   - An event that cannot be applied stays stored with its fault, is tried
//     again, and holds up nobody else.
package stripesync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/customers"
)

// Config says which Stripe account is mirrored, and where.
type Config struct {
	Pool    *pgxpool.Pool
	Account string   // the {account} of /webhooks/stripe/{account}. Required.
	Key     string   // Stripe's secret or restricted API key. Required.
	BaseURL string   // where Stripe's API is. Empty: https://api.stripe.com.
	Secrets []string // signing secrets of the endpoint, two while one is rolled. Empty: every delivery is answered 503.

	Now    func() time.Time // the Clock. Nil: time.Now.
	Logger *slog.Logger     // nil: nothing is logged
	HTTP   *http.Client     // to Stripe. Nil: a client that gives up after 30 seconds.

	// PokeApply is called in the transaction that stored events, PokeTick in the
	// one that changed customers. Nil: nobody is poked.
	PokeApply func(ctx context.Context, tx pgx.Tx) error
	PokeTick  func(ctx context.Context, tx pgx.Tx) error
}

// A Sync mirrors one Stripe account. It is safe for concurrent use, and any
// number of processes may have one for the same account.
type Sync struct {
	pool      *pgxpool.Pool
	account   int
	name      string
	secrets   []string
	now       func() time.Time
	logger    *slog.Logger
	pokeApply func(ctx context.Context, tx pgx.Tx) error
	pokeTick  func(ctx context.Context, tx pgx.Tx) error

	stripe *client
	inbox  *inbox
	counts counts

	from     atomic.Pointer[string] // the customer at whom Apply takes its next batch
	mirrored atomic.Bool            // the account's mirrored_at was seen set
}

// New checks the Config and makes sure that the account has its row. The error
// holds everything that is wrong with the Config.
func New(ctx context.Context, config Config) (*Sync, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Sync{
		pool:      config.Pool,
		name:      config.Account,
		secrets:   config.Secrets,
		now:       config.Now,
		logger:    config.Logger,
		pokeApply: config.PokeApply,
		pokeTick:  config.PokeTick,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	nobody := func(context.Context, pgx.Tx) error { return nil }
	if s.pokeApply == nil {
		s.pokeApply = nobody
	}
	if s.pokeTick == nil {
		s.pokeTick = nobody
	}
	s.stripe = newClient(config.Key, config.BaseURL, config.HTTP, s.now, &s.counts.requests)
	s.inbox = &inbox{store: s.store, wait: storeTimeout}
	if err := s.ensureAccount(ctx); err != nil {
		return nil, fmt.Errorf("register account %q: %w", config.Account, err)
	}
	return s, nil
}

func (c Config) check() error {
	var faults []error
	if c.Pool == nil {
		faults = append(faults, errors.New("stripesync: no database pool"))
	}
	if c.Account == "" {
		faults = append(faults, errors.New("stripesync: the account has no name"))
	}
	if c.Key == "" {
		faults = append(faults, errors.New("the Stripe API key is missing; set STRIPE_API_KEY"))
	}
	for _, secret := range c.Secrets {
		if secret == "" {
			faults = append(faults, errors.New("a webhook secret is empty; STRIPE_WEBHOOK_SECRET is one secret, or two separated by a comma"))
		}
	}
	return errors.Join(faults...)
}

func (s *Sync) ensureAccount(ctx context.Context) error {
	const find = `select account_id from dunlin.accounts where name = $1`
	err := s.pool.QueryRow(ctx, find, s.name).Scan(&s.account)
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	_, err = s.pool.Exec(ctx, `
		insert into dunlin.accounts (name, created_at) values ($1, $2)
		on conflict (name) do nothing`, s.name, s.now())
	if err != nil {
		return err
	}
	return s.pool.QueryRow(ctx, find, s.name).Scan(&s.account)
}

// Close refuses further deliveries with 503 and returns when those under way
// are stored. It does not close the pool.
func (s *Sync) Close() { s.inbox.close() }

// Account is the account_id of every row this Sync writes.
func (s *Sync) Account() int { return s.account }

// Name is the account's name, as in /webhooks/stripe/{account}.
func (s *Sync) Name() string { return s.name }

// Ready reports whether every customer of the account is mirrored and projected,
// so that segments may be evaluated (honest-mirror).
func (s *Sync) Ready(ctx context.Context) (bool, error) {
	var ready bool
	err := s.pool.QueryRow(ctx,
		`select ready_at is not null from dunlin.accounts where account_id = $1`, s.account).Scan(&ready)
	if err != nil {
		return false, fmt.Errorf("look whether account %q is ready: %w", s.name, err)
	}
	return ready, nil
}

// Unapplied reports whether what is known of this customer is behind the mirror,
// or the mirror behind what Stripe has told: an event that may change the customer
// is stored and not applied, or the account's customers are being projected again,
// so that invoices and charges may be missing (honest-mirror). Events that name no
// customer (disputes, refunds) do not count.
func Unapplied(ctx context.Context, q customers.Querier, account int, stripeID string) (bool, error) {
	var waits bool
	err := q.QueryRow(ctx, `
		select exists (
			select from dunlin.stripe_events
			where account_id = $1 and customer = $2 and state = 'stored' and class <> '')
		or exists (select from dunlin.accounts where account_id = $1 and ready_at is null and mirrored_at is not null)`,
		account, stripeID).Scan(&waits)
	if err != nil {
		return false, fmt.Errorf("look for unapplied events of customer %q: %w", stripeID, err)
	}
	return waits, nil
}

// CheckKey asks Stripe whose key it is and returns the account's id. The error
// says what is wrong with the key. A restricted key may work for the sync and
// still be refused here.
func (s *Sync) CheckKey(ctx context.Context) (string, error) {
	got, err := s.stripe.get(ctx, "/v1/account", nil, 1)
	if err != nil {
		return "", err
	}
	head, err := readHead(got.raw)
	if err != nil {
		return "", fmt.Errorf("read Stripe's answer to GET /v1/account: %w", err)
	}
	return head.id, nil
}

// Counts says what this Sync did since the process started.
type Counts struct {
	Requests   int64 // GETs sent to Stripe, retries included; they count against the account's read allocation
	Stored     int64 // events stored for the first time
	Duplicates int64 // deliveries of an event that was stored already
	Refused    int64 // deliveries answered 4xx
	Turned     int64 // deliveries answered 503, to come again
	Unstored   int64 // invoice.created answered 200 although it could not be stored
}

type counts struct{ requests, stored, duplicates, refused, turned, unstored atomic.Int64 }

// Counts returns the counters.
func (s *Sync) Counts() Counts {
	c := &s.counts
	return Counts{
		Requests: c.requests.Load(), Stored: c.stored.Load(), Duplicates: c.duplicates.Load(),
		Refused: c.refused.Load(), Turned: c.turned.Load(), Unstored: c.unstored.Load(),
	}
}
