package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/stripesync"
	"github.com/dunlin/dunlin/workspace"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// noon is a Monday, in nobody's quiet hours.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

const token = "intercom_test"

// A world is the workers on a database of their own, with an Intercom on
// loopback HTTP. Business time stands at noon.
type world struct {
	Config
	t        *testing.T
	intercom *sandbox.Intercom
	server   *httptest.Server
	stripe   *httptest.Server // of mirrored; nil: there is none
	poker    *Poker
	account  int
}

// newWorld has one campaign of one step for members of owing: a message, a task
// or a tag.
func newWorld(t *testing.T, step string, faults func(*http.Request) sandbox.Fault) *world {
	t.Helper()
	now := func() time.Time { return noon }
	w := &world{t: t, intercom: sandbox.NewIntercom(now, token)}
	w.intercom.Faults = faults
	w.server = httptest.NewServer(w.intercom)
	t.Cleanup(w.server.Close)

	pool := pgtest.New(t)
	logger := slog.New(slog.DiscardHandler)
	client, err := intercom.New(intercom.Config{BaseURL: w.server.URL, Token: token, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	links := intercom.NewLinks(client)
	store, err := campaigns.NewStore(campaigns.Config{
		Pool: pool, Logger: logger,
		Contacts: func(ctx context.Context, tx pgx.Tx, refs []customers.Ref, lock bool) (map[customers.Ref]campaigns.Contact, error) {
			asked := make([]intercom.Ref, len(refs))
			for i, r := range refs {
				asked[i] = intercom.Ref(r)
			}
			read := links.ReadAll
			if lock {
				read = links.LockAll
			}
			persons, err := read(ctx, tx, asked)
			out := map[customers.Ref]campaigns.Contact{}
			for r, l := range persons {
				c := campaigns.Contact{ID: l.ContactID, Role: l.Role, Email: l.Email, OptOut: l.OptedOut, Checked: l.CheckedAt}
				if !l.CheckedAt.IsZero() {
					c.State = string(l.State)
				}
				out[customers.Ref(r)] = c
			}
			return out, err
		},
		Unapplied: func(ctx context.Context, tx pgx.Tx, account int, stripeIDs []string) (map[string]time.Time, error) {
			return stripesync.Unapplied(ctx, tx, account, stripeIDs)
		},
		AsOf: func(ctx context.Context, tx pgx.Tx) (map[int]time.Time, error) { return stripesync.AsOf(ctx, tx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.poker, err = NewPoker(pool); err != nil {
		t.Fatal(err)
	}
	w.Config = Config{
		Pool: pool, Logger: logger, Now: now, Campaigns: store, Intercom: client, Links: links,
		Ticker:    &segments.Ticker{Pool: pool, Now: now, Logger: logger, After: AfterTick(store, w.poker)},
		TickEvery: -1, SweepEvery: -1, FeedEvery: -1, PollEvery: 20 * time.Millisecond, Failpoint: func(string) {},
	}

	w.scan(&w.account, `insert into dunlin.accounts (name, created_at, mirrored_at, ready_at, feed_until) values ('main', $1, $1, $1, $2) returning account_id`, noon.Add(-time.Hour), noon.AddDate(1, 0, 0))
	w.save("kind: workspace\nzone: UTC\ncurrency: usd\nquiet_hours: {from: \"21:00\", to: \"08:00\"}\nintercom: {sender: admin:"+sandbox.IntercomAdmin+"}\nteams: {billing: \""+sandbox.IntercomTeamBilling+"\"}\n",
		func(tx pgx.Tx, d workspace.Document) error {
			_, err := workspace.Save(t.Context(), tx, d, noon)
			return err
		})
	w.save("kind: segment\nname: owing\nrule: delinquent\n", func(tx pgx.Tx, d workspace.Document) error {
		s, faults := segments.Parse(d, segments.Known{}, "usd")
		if len(faults) > 0 {
			return faults
		}
		_, err := segments.Save(t.Context(), tx, s, noon)
		return err
	})
	w.save("kind: campaign\nname: dunning\nsegment: owing\nepisode: entry\nexisting: enroll\nsteps:\n  - "+step+"\n", func(tx pgx.Tx, d workspace.Document) error {
		_, err := campaigns.Save(t.Context(), tx, d, noon)
		return err
	})
	return w
}

const (
	aMessage = `{name: nudge, at: 0 days, message: {channel: inapp, body: 'Hi {{ customer.name }}'}}`
	aTask    = `{name: call, at: 0 days, task: {title: 'Call {{ customer.name }}', body: b, team: billing, due: 1 day}}`
	aTag     = `{name: mark, at: 0 days, tag: marked}`
)

func (w *world) save(source string, f func(pgx.Tx, workspace.Document) error) {
	w.t.Helper()
	docs, faults := workspace.Parse("test", []byte(source))
	if len(faults) > 0 || len(docs) != 1 {
		w.t.Fatalf("%d documents\n%s", len(docs), faults.Explain())
	}
	w.tx(func(tx pgx.Tx) error { return f(tx, docs[0]) })
}

func (w *world) tx(f func(pgx.Tx) error) {
	w.t.Helper()
	if err := pgx.BeginFunc(w.t.Context(), w.Pool, f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) scan(into any, sql string, args ...any) {
	w.t.Helper()
	if err := w.Pool.QueryRow(w.t.Context(), sql, args...).Scan(into); err != nil {
		w.t.Fatal(err)
	}
}

// owing makes n customers who owe us, each a contact of Intercom.
func (w *world) owing(n int) {
	w.t.Helper()
	for i := range n {
		name := fmt.Sprintf("ann%d", i)
		w.exec(`
			insert into dunlin.customers (account_id, stripe_id, name, first_name, email, country, delinquent, projected_at)
			values ($1, $2, $3, $3, $4, 'GB', true, $5)`, w.account, "cus_"+name, name, name+"@example.com", noon)
		w.intercom.AddContact(sandbox.Contact{ID: w.contact(i), Email: name + "@example.com", Role: "user"})
	}
}

func (w *world) contact(i int) string { return fmt.Sprintf("%024x", 0xabc000+i) }

// linked makes the customer of a delivery a contact of whom Intercom was asked at
// an instant.
func (w *world) linked(key campaigns.Key, contact string, at time.Time) {
	w.t.Helper()
	w.exec(`insert into dunlin.links (account_id, customer_id, state, contact_id, role, email, checked_at) values ($1, $2, 'linked', $3, 'user', 'ann0@example.com', $4)`,
		key.Account, key.Customer, contact, at)
}

// start ticks and starts the campaign; nothing works yet.
func (w *world) start() {
	w.t.Helper()
	if _, err := w.Ticker.Tick(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.tx(func(tx pgx.Tx) error {
		_, err := w.Campaigns.Start(w.t.Context(), tx, "dunning", noon)
		return err
	})
}

// keys are all deliveries.
func (w *world) keys() []campaigns.Key {
	w.t.Helper()
	rows, err := w.Pool.Query(w.t.Context(), `select account_id, customer_id, campaign, episode, step from dunlin.deliveries order by 2`)
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[campaigns.Key])
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// deliver works one delivery as a job would.
func (w *world) deliver(key campaigns.Key) {
	w.t.Helper()
	if err := w.try(key); err != nil {
		w.t.Fatal(err)
	}
}

// worker is that of deliver jobs.
func (w *world) worker() *deliverWorker {
	w.t.Helper()
	poker, err := NewPoker(w.Pool)
	if err != nil {
		w.t.Fatal(err)
	}
	return &deliverWorker{Config: w.Config, poker: poker}
}

func (w *world) try(key campaigns.Key) error {
	return w.worker().Work(w.t.Context(), deliverJob(key))
}

// stands says how a delivery stands: state, reason and number of claims.
func (w *world) stands(key campaigns.Key) string {
	w.t.Helper()
	var s string
	w.scan(&s, `select concat_ws(' ', state, coalesce(reason, '-'), attempts) from dunlin.deliveries where customer_id = $1`, key.Customer)
	return s
}

// only answers requests to one path with a fault, and no other.
func only(path string, fault sandbox.Fault) func(*http.Request) sandbox.Fault {
	return func(r *http.Request) sandbox.Fault {
		if strings.HasSuffix(r.URL.Path, path) && r.Method == http.MethodPost {
			return fault
		}
		return sandbox.Fault{}
	}
}

// until waits for a condition of the tables.
func (w *world) until(what, sql string, args ...any) {
	w.t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(30 * time.Second)
	for there := false; !there; w.scan(&there, sql, args...) {
		select {
		case <-look.C:
		case <-deadline:
			w.t.Fatalf("never came: %s", what)
		}
	}
}

// run starts the workers until the test ends.
func (w *world) run() *river.Client[pgx.Tx] {
	w.t.Helper()
	client, err := New(w.Config)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := client.Start(context.WithoutCancel(w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := client.Stop(ctx); err != nil {
			w.t.Error(err)
		}
	})
	return client
}

func deliverJob(keys ...campaigns.Key) *river.Job[DeliverArgs] {
	return &river.Job[DeliverArgs]{JobRow: &rivertype.JobRow{Priority: urgent}, Args: DeliverArgs{Keys: keys}}
}
