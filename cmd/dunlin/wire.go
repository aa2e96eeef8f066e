package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/jobs"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/stripesync"
	"github.com/dunlin/dunlin/workspace"
)

// wiring is what the product is made of; who starts it differs in nothing else.
type wiring struct {
	Pool   *pgxpool.Pool
	Logger *slog.Logger
	Now    workspace.Clock
	Env    environment

	Deliverers                                int
	TickGap, TickEvery, SweepEvery, FeedEvery time.Duration
	PollEvery                                 time.Duration
	LookAfter                                 []time.Duration // see campaigns.Config
	Failpoint                                 func(string)
	IntercomHTTP                              *http.Client // nil: the client's own
}

// product is everything, wired and not yet started.
type product struct {
	wiring
	poker     *jobs.Poker
	stripe    []*stripesync.Sync // one for each account that has a key
	ticker    *segments.Ticker
	campaigns *campaigns.Store
	intercom  *intercom.Client // nil without a token
	links     *intercom.Links
	jobs      *river.Client[pgx.Tx]
}

// wire makes the product. The one place where its parts meet.
func wire(ctx context.Context, w wiring) (*product, error) {
	p := &product{wiring: w}
	var err error
	if p.poker, err = jobs.NewPoker(w.Pool); err != nil {
		return nil, err
	}
	if err := p.wireStripe(ctx); err != nil {
		return nil, err
	}
	if err := p.wireIntercom(ctx); err != nil {
		return nil, err
	}
	p.campaigns, err = campaigns.NewStore(campaigns.Config{
		Pool: w.Pool, Logger: w.Logger, DryRun: w.Env.DryRun, NoIntercom: p.intercom == nil, LookAfter: w.LookAfter,
		Contacts: p.contacts,
		Unapplied: func(ctx context.Context, tx pgx.Tx, account int, stripeIDs []string) (map[string]time.Time, error) {
			return stripesync.Unapplied(ctx, tx, account, stripeIDs)
		},
		AsOf: func(ctx context.Context, tx pgx.Tx) (map[int]time.Time, error) { return stripesync.AsOf(ctx, tx) },
	})
	if err != nil {
		return nil, err
	}
	p.ticker = &segments.Ticker{Pool: w.Pool, Now: w.Now, Logger: w.Logger, After: jobs.AfterTick(p.campaigns, p.poker)}
	p.jobs, err = jobs.New(jobs.Config{
		Pool: w.Pool, Logger: w.Logger, Now: w.Now, Stripe: p.stripe, Ticker: p.ticker, Campaigns: p.campaigns,
		Intercom: p.intercom, Links: p.links, Deliverers: w.Deliverers,
		Webhooks: jobs.WebhookClient(w.Env.PrivateWebhooks), Getenv: os.Getenv,
		TickGap: w.TickGap, TickEvery: w.TickEvery, SweepEvery: w.SweepEvery, FeedEvery: w.FeedEvery, PollEvery: w.PollEvery, Failpoint: w.Failpoint,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// wireStripe wires every account that has a key, the primary one first.
func (p *product) wireStripe(ctx context.Context) error {
	for _, a := range p.Env.accounts() {
		if a.Key == "" {
			continue
		}
		s, err := stripesync.New(ctx, stripesync.Config{
			Pool: p.Pool, Account: a.Name, Key: a.Key, BaseURL: p.Env.StripeBase, Secrets: a.Secrets, KeyName: a.keyVar(), SecretName: a.secretVar(),
			Now: p.Now, Logger: p.Logger,
			PokeApply: func(ctx context.Context, tx pgx.Tx) error { return p.poker.Apply(ctx, tx, a.Name) },
			PokeTick:  p.pokeTick,
		})
		if err != nil {
			return err
		}
		p.stripe = append(p.stripe, s)
	}
	return nil
}

// stripeOf is the wired account of a name, nil when it has no key.
func (p *product) stripeOf(account string) *stripesync.Sync {
	for _, s := range p.stripe {
		if s.Name() == account {
			return s
		}
	}
	return nil
}

// pokeTick lets a tick follow news at once, unless ticks come only when asked
// for.
func (p *product) pokeTick(ctx context.Context, tx pgx.Tx) error {
	if p.TickEvery < 0 {
		return nil
	}
	return p.poker.Tick(ctx, tx)
}

func (p *product) wireIntercom(ctx context.Context) error {
	if p.Env.IntercomToken == "" {
		p.links = intercom.NewLinks(nil) // what is stored can be read; nothing is looked up
		return nil
	}
	base := p.Env.IntercomBase
	if base == "" {
		settings, err := workspace.Load(ctx, p.Pool)
		if err != nil {
			return err
		}
		base = intercomHosts[settings.Region]
	}
	client, err := intercom.New(intercom.Config{BaseURL: base, Token: p.Env.IntercomToken, HTTP: p.IntercomHTTP, Now: p.Now, Logger: p.Logger, Pool: p.Pool})
	if err != nil {
		return err
	}
	p.intercom, p.links = client, intercom.NewLinks(client)
	return nil
}

// intercomHosts are Intercom's regional hosts.
var intercomHosts = map[string]string{
	"us": "https://api.intercom.io", "eu": "https://api.eu.intercom.io", "au": "https://api.au.intercom.io",
}

// contacts returns what is stored of the contacts that customers are, and under
// lock locks the persons.
func (p *product) contacts(ctx context.Context, tx pgx.Tx, refs []customers.Ref, lock bool) (map[customers.Ref]campaigns.Contact, error) {
	asked := make([]intercom.Ref, len(refs))
	for i, r := range refs {
		asked[i] = intercom.Ref(r)
	}
	read := p.links.ReadAll
	if lock {
		read = p.links.LockAll
	}
	persons, err := read(ctx, tx, asked)
	if err != nil {
		return nil, err
	}
	out := make(map[customers.Ref]campaigns.Contact, len(persons))
	for r, l := range persons {
		c := campaigns.Contact{
			ID: l.ContactID, Role: l.Role, Email: l.Email, Language: l.Language, OptOut: l.OptedOut, Checked: l.CheckedAt,
			Place: campaigns.Place{Zone: l.Timezone, LocationCountry: l.Country, LocationRegion: l.Region},
		}
		if !l.CheckedAt.IsZero() {
			c.State = string(l.State)
		}
		for _, o := range l.Others {
			c.Others = append(c.Others, customers.Ref(o))
		}
		out[customers.Ref(r)] = c
	}
	return out, nil
}

// startJobs starts the workers. Stop them with stopJobs.
func (p *product) startJobs(ctx context.Context) error {
	if err := p.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}
	return nil
}

// stopJobs lets what is under way finish, within limits.
func (p *product) stopJobs(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 90*time.Second)
	defer cancel()
	err := p.jobs.Stop(ctx)
	for _, s := range p.stripe {
		s.Close()
	}
	if err != nil {
		return errors.Join(errors.New("jobs did not stop in time; what they held is found again by the next worker"), err)
	}
	return nil
}
