// Package stripesync keeps the mirror: one row per Stripe object of an account,
// its JSON byte for byte as Stripe sent it.
//
//	sync, err := stripesync.New(ctx, stripesync.Config{Pool: pool, Account: "main", Key: key, Secrets: secrets})
//	mux.Handle("POST /webhooks/stripe/main", sync.Handler()) // stores events
//	err = sync.Backfill(ctx, report)                         // reads the lists, once or again
//	settled, err := sync.Apply(ctx)                          // brings stored events into the mirror
//	caught, err := sync.CatchUp(ctx)                         // stores the events that webhooks lost
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
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
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

	KeyName    string // what the operator set Key with, for messages. Empty: STRIPE_API_KEY.
	SecretName string // and Secrets. Empty: STRIPE_WEBHOOK_SECRET.

	Now    func() time.Time // the Clock. Nil: time.Now.
	Logger *slog.Logger     // nil: nothing is logged
	HTTP   *http.Client     // to Stripe. Nil: a client that gives up after 30 seconds.
	Limits Limits           // of requests. Zero: Stripe's, and with a BaseURL none.

	Readers int // parts of lists that a backfill reads side by side. Zero: 32.

	// PokeApply is called in the transaction that stored events, or, when that
	// follows another closely, soon after several of them; PokeTick in the
	// one that changed customers. Nil: nobody is poked.
	PokeApply func(ctx context.Context, tx pgx.Tx) error
	PokeTick  func(ctx context.Context, tx pgx.Tx) error
}

// A Sync mirrors one Stripe account. It is safe for concurrent use, and any
// number of processes may have one for the same account.
type Sync struct {
	pool    *pgxpool.Pool
	account int
	name    string
	secrets []string
	now     func() time.Time
	logger  *slog.Logger

	secretName string

	pokeApply func(ctx context.Context, tx pgx.Tx) error
	pokeTick  func(ctx context.Context, tx pgx.Tx) error
	readers   int

	stripe *client
	inbox  *inbox
	poker  *poker
	counts counts
	reads  reads
	owner  owner

	closing func() // ends what the poker puts off

	from     atomic.Pointer[string] // the customer at whom Apply takes its next batch
	mirrored atomic.Bool            // the account's mirrored_at was seen set
}

// New checks the Config and makes sure that the account has its row. The error
// holds everything that is wrong with the Config.
func New(ctx context.Context, config Config) (*Sync, error) {
	config.KeyName, config.SecretName = cmp.Or(config.KeyName, "STRIPE_API_KEY"), cmp.Or(config.SecretName, "STRIPE_WEBHOOK_SECRET")
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

		secretName: config.SecretName,
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
	if s.readers = config.Readers; s.readers == 0 {
		s.readers = readers
	}
	limits := config.Limits
	if limits == (Limits{}) && config.BaseURL == "" {
		limits = StripesLimits(config.Key)
	}
	s.stripe = newClient(config.Key, config.KeyName, config.BaseURL, config.HTTP, s.now, limits, &s.counts.requests)
	s.stripe.allowed = s.checkOwner
	s.inbox = &inbox{store: s.store, wait: storeTimeout}
	closed, closing := context.WithCancel(context.Background())
	s.poker, s.closing = &poker{later: s.pokeLater, closed: closed.Done()}, closing
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
		faults = append(faults, fmt.Errorf("the Stripe API key is missing; set %s", c.KeyName))
	}
	for _, secret := range c.Secrets {
		if secret == "" {
			faults = append(faults, fmt.Errorf("a webhook secret is empty; %s is one secret, or two separated by a comma", c.SecretName))
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
// are stored and asked for to be applied. It does not close the pool.
func (s *Sync) Close() {
	s.inbox.close()
	s.closing()
	s.poker.work.Wait()
}

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

// Unapplied returns the customers, by Stripe id, of whom less is known than
// Stripe has told, or of whom the mirror knows more: an event that may change the
// customer is stored and not applied, the account's customers are being projected
// again, so that invoices and charges may be missing, or events are lost for good
// and the lists have not been read again yet (honest-mirror). An event about a
// dispute or a refund is its charge's customer's, as soon as the mirror has the
// charge: until then the charge's own event waits, or has not been heard of. It
// tells since when: the first such event came, or everything was known.
func Unapplied(ctx context.Context, q customers.Querier, account int, stripeIDs []string) (map[string]time.Time, error) {
	rows, err := q.Query(ctx, `
		select w.id, least(e.since, d.since, a.since)
		from unnest($2::text[]) as w (id)
		cross join lateral (
			select min(received_at) as since from dunlin.stripe_events
			where account_id = $1 and customer = w.id and state = 'stored' and class <> '') e
		cross join lateral (
			select min(o.since) as since
			from (
				select id from dunlin.stripe_charges
				where account_id = $1 and customer = w.id
				  -- Mostly there are none, and nobody's charges need be looked at.
				  and (select true from dunlin.stripe_events where account_id = $1 and charge is not null and state = 'stored' limit 1)
				offset 0) c
			cross join lateral (
				select min(received_at) as since from dunlin.stripe_events
				where account_id = $1 and charge = c.id and state = 'stored') o) d
		left join (
			select coalesce(feed_until, mirrored_at, created_at) as since from dunlin.accounts
			where account_id = $1 and (ready_at is null and mirrored_at is not null or resync is not null)) a on true
		where e.since is not null or d.since is not null or a.since is not null`,
		account, stripeIDs)
	if err != nil {
		return nil, fmt.Errorf("look for unapplied events of account %d: %w", account, err)
	}
	waits := map[string]time.Time{}
	var id string
	var since time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &since}, func() error { waits[id] = since; return nil }); err != nil {
		return nil, fmt.Errorf("look for unapplied events of account %d: %w", account, err)
	}
	return waits, nil
}

// AsOf returns for each account the instant, in business time, up to which all
// that happened at Stripe is known: webhooks can be lost, and what they brought
// is no proof that nothing else happened, so it is the end of the last catch-up,
// or the start of the first sync.
func AsOf(ctx context.Context, q customers.Querier) (map[int]time.Time, error) {
	rows, err := q.Query(ctx, `select account_id, feed_until from dunlin.accounts where feed_until is not null`)
	if err != nil {
		return nil, fmt.Errorf("read how old the data is: %w", err)
	}
	asOf := map[int]time.Time{}
	var account int
	var until time.Time
	if _, err := pgx.ForEachRow(rows, []any{&account, &until}, func() error { asOf[account] = until; return nil }); err != nil {
		return nil, fmt.Errorf("read how old the data is: %w", err)
	}
	return asOf, nil
}

// owner is what is known of whose key the process has.
type owner struct {
	mu    sync.Mutex
	known bool  // Stripe was asked
	fault error // the key is of another Stripe account
}

// checkOwner fails when the key is of another Stripe account than the one that the
// account's name stands for, and lets the name stand for the key's account when
// it stands for none. Stripe is asked once in the life of the process. A key that
// may not ask whose it is passes.
func (s *Sync) checkOwner(ctx context.Context, tries int) error {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	if s.owner.known {
		return s.owner.fault
	}
	got, err := s.stripe.read(ctx, accountPath, nil, tries)
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.status != http.StatusUnauthorized && !transient(err):
		s.owner.known = true
		return nil
	case err != nil:
		return err
	}
	has, _ := readAccount(got.raw)
	if has == "" {
		return fmt.Errorf("GET %s: the answer has no id", accountPath)
	}
	var pinned string
	err = s.pool.QueryRow(ctx, `
		update dunlin.accounts set stripe_id = coalesce(stripe_id, $2) where account_id = $1
		returning stripe_id`, s.account, has).Scan(&pinned)
	if err != nil {
		return fmt.Errorf("note that account %q is %s at Stripe: %w", s.name, has, err)
	}
	if s.owner.known = true; pinned != has {
		s.owner.fault = fmt.Errorf("the key in %s is of the Stripe account %s, and account %q is %s; put a key of %s there, or give %s a name of its own in STRIPE_ACCOUNTS",
			s.stripe.keyName, has, s.name, pinned, pinned, has)
	}
	return s.owner.fault
}

// accountPath is where a key is told whose it is.
const accountPath = "/v1/account"

// Running reports whether a process is reading the lists of an account, by name.
func Running(ctx context.Context, q customers.Querier, account string) (bool, error) {
	var running bool
	err := q.QueryRow(ctx, `
		select exists (
			select from pg_locks l join dunlin.accounts a on l.objid = a.account_id
			where a.name = $1 and l.locktype = 'advisory' and l.classid = $2 and l.objsubid = 2 and l.granted
			and l.database = (select oid from pg_database where datname = current_database()))`, account, int64(syncSpace)).Scan(&running)
	if err != nil {
		return false, fmt.Errorf("look whether account %q is being synced: %w", account, err)
	}
	return running, nil
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
