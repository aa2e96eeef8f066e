package campaigns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// Config is what a Store needs from its surroundings.
type Config struct {
	Pool   *pgxpool.Pool
	Logger *slog.Logger
	DryRun bool // decide and record, send nothing

	// NoIntercom says that contacts cannot be looked up: there is no token. With
	// DryRun, deliveries then end without the decisions that hang on a contact.
	NoIntercom bool

	// Contacts returns what is stored of the contacts that customers are; it makes
	// no calls. With lock it locks the persons' rows until tx ends, without
	// waiting: customers whose person somebody else has locked are left out.
	Contacts func(ctx context.Context, tx pgx.Tx, refs []customers.Ref, lock bool) (map[customers.Ref]Contact, error)

	// Unapplied returns which of an account's customers, by Stripe id, have a
	// stored Stripe event that waits to be applied, and since when.
	Unapplied func(ctx context.Context, tx pgx.Tx, account int, stripeIDs []string) (map[string]time.Time, error)

	// AsOf returns for each account the instant up to which all that happened at
	// Stripe is known.
	AsOf func(ctx context.Context, tx pgx.Tx) (map[int]time.Time, error)

	// LookAfter is when what may have been done is looked for at Intercom, in
	// order, from the moment at which that became unknown. Machine time. Nil means
	// the package's LookAfter; the last of them should not be earlier than its last.
	LookAfter []time.Duration
}

// A Store keeps definitions, enrollments, deliveries and tasks.
type Store struct {
	Config
	mu     sync.Mutex
	parsed map[versionKey]Definition
}

// A versionKey holds the source, too: a version is immutable once it is
// committed, and one that was rolled back gives its number to another.
type versionKey struct {
	name, currency, source string
	version                int
}

// NewStore returns a store, or every reason why it cannot work.
func NewStore(c Config) (*Store, error) {
	var errs []error
	if c.Pool == nil {
		errs = append(errs, errors.New("campaigns: Pool is not set"))
	}
	if c.Contacts == nil || c.Unapplied == nil || c.AsOf == nil {
		errs = append(errs, errors.New("campaigns: Contacts, Unapplied and AsOf are needed to claim"))
	}
	if len(c.LookAfter) == 0 {
		c.LookAfter = LookAfter
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{Config: c, parsed: map[versionKey]Definition{}}, errors.Join(errs...)
}

// State is whether a campaign contacts anybody.
type State string

// A campaign is stored as a draft and contacts nobody until it is started.
const (
	Draft   State = "draft"
	Running State = "running"
	Halted  State = "paused"
)

// A Listed campaign is a line of dunlin campaigns list.
type Listed struct {
	Name      string     `json:"name"`
	Version   int        `json:"version"`
	State     State      `json:"state"`
	StartedAt *time.Time `json:"started_at"`
	Active    int64      `json:"active"`   // enrollments under way
	Behind    int64      `json:"behind"`   // of them, on an older version: dunlin campaigns move
	Enrolled  int64      `json:"enrolled"` // enrollments ever
	Sent      int64      `json:"sent"`
	Waiting   int64      `json:"waiting"` // deliveries planned
	Unknown   int64      `json:"unknown"`
}

// List returns every campaign, by name.
func List(ctx context.Context, q customers.Querier) ([]Listed, error) {
	rows, err := q.Query(ctx, `
		select c.name, c.version, c.state, c.started_at,
		       coalesce(e.active, 0), coalesce(e.behind, 0), coalesce(e.enrolled, 0), coalesce(d.sent, 0), coalesce(d.waiting, 0), coalesce(d.unknown, 0)
		from dunlin.campaigns c
		left join (select e.campaign, count(*) filter (where e.state = 'active') as active,
		                  count(*) filter (where e.state = 'active' and e.version <> c.version) as behind, count(*) as enrolled
		           from dunlin.enrollments e join dunlin.campaigns c on c.name = e.campaign group by 1) e on e.campaign = c.name
		left join (select campaign, count(*) filter (where state = 'sent') as sent,
		                  count(*) filter (where state in ('planned', 'claimed')) as waiting,
		                  count(*) filter (where state = 'unknown') as unknown
		           from dunlin.deliveries group by 1) d on d.campaign = c.name
		order by c.name`)
	if err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Listed])
}

// Source is the definition in force as it was written.
func Source(ctx context.Context, q customers.Querier, name string) (string, error) {
	var source string
	err := q.QueryRow(ctx, `
		select v.source from dunlin.campaigns c join dunlin.campaign_versions v using (name, version)
		where c.name = $1`, name).Scan(&source)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("campaign %q: %w", name, workspace.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("load campaign %q: %w", name, err)
	}
	return source, nil
}

// Following returns the started campaigns of each segment, by name. One whose
// definition this binary does not understand is left out.
func Following(ctx context.Context, q customers.Querier, settings workspace.Settings) (map[string][]string, error) {
	list, err := listInForce(ctx, q, settings, `c.state <> 'draft'`)
	if err != nil {
		return nil, fmt.Errorf("list started campaigns: %w", err)
	}
	out := map[string][]string{}
	for _, d := range list {
		out[d.Segment] = append(out[d.Segment], d.Name)
	}
	return out, nil
}

// InForce returns the definition in force of every campaign, by name. One that
// this binary does not understand is left out.
func InForce(ctx context.Context, q customers.Querier, settings workspace.Settings) ([]Definition, error) {
	list, err := listInForce(ctx, q, settings, `true`)
	if err != nil {
		return nil, fmt.Errorf("list the campaigns in force: %w", err)
	}
	return list, nil
}

func listInForce(ctx context.Context, q customers.Querier, settings workspace.Settings, which string) ([]Definition, error) {
	rows, err := q.Query(ctx, `
		select v.source from dunlin.campaigns c join dunlin.campaign_versions v using (name, version)
		where `+which+` order by c.name`)
	if err != nil {
		return nil, err
	}
	sources, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var out []Definition
	for _, source := range sources {
		docs, faults := workspace.Parse("campaign", []byte(source))
		if len(faults) > 0 || len(docs) != 1 {
			continue
		}
		if d, faults := Parse(docs[0], Known{Settings: settings, Stored: true}); len(faults) == 0 {
			out = append(out, d)
		}
	}
	return out, nil
}

// running are the definitions in force of the campaigns that enroll.
func (s *Store) running(ctx context.Context, tx pgx.Tx, settings workspace.Settings) ([]Definition, error) {
	return s.definitions(ctx, tx, settings, `
		select v.name, v.version, v.source
		from dunlin.campaigns c join dunlin.campaign_versions v using (name, version)
		where c.state = 'running' order by v.name`)
}

// activeVersions are the definitions that somebody is enrolled in.
func (s *Store) activeVersions(ctx context.Context, tx pgx.Tx, settings workspace.Settings) ([]Definition, error) {
	return s.definitions(ctx, tx, settings, `
		select v.name, v.version, v.source from dunlin.campaign_versions v
		cross join lateral (
			select from dunlin.enrollments e where e.campaign = v.name and e.version = v.version and e.state = 'active' limit 1) e
		order by v.name, v.version`)
}

// unreadable is a stored definition that this binary does not understand, or
// what it needs is not there: it was stored by another.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// definition is one version of one campaign.
func (s *Store) definition(ctx context.Context, q customers.Querier, settings workspace.Settings, name string, version int) (Definition, error) {
	list, err := readStored(ctx, q, `select name, version, source from dunlin.campaign_versions where name = $1 and version = $2`, name, version)
	if err != nil {
		return Definition{}, err
	}
	if len(list) == 0 {
		return Definition{}, fmt.Errorf("campaign %q version %d: %w", name, version, workspace.ErrNotFound)
	}
	return s.parse(list[0], settings)
}

// definitions are those a query finds. One that is unreadable is left out and
// said so: it must not hold up the others, nor the tick.
func (s *Store) definitions(ctx context.Context, q customers.Querier, settings workspace.Settings, query string, args ...any) ([]Definition, error) {
	list, err := readStored(ctx, q, query, args...)
	if err != nil {
		return nil, err
	}
	var out []Definition
	for _, f := range list {
		d, err := s.parse(f, settings)
		if err != nil {
			s.Logger.Error("campaign not evaluated", "campaign", f.Name, "version", f.Version, "error", err)
			continue
		}
		out = append(out, d)
	}
	return out, nil
}

// A stored version as the table has it.
type stored struct {
	Name    string
	Version int
	Source  string
}

func readStored(ctx context.Context, q customers.Querier, query string, args ...any) ([]stored, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("load campaigns: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	if err != nil {
		return nil, fmt.Errorf("load campaigns: %w", err)
	}
	return list, nil
}

func (s *Store) parse(f stored, settings workspace.Settings) (Definition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := versionKey{f.Name, settings.Currency, f.Source, f.Version}
	if d, ok := s.parsed[key]; ok {
		return d, nil
	}
	d, err := f.definition(settings)
	if err != nil {
		return Definition{}, err
	}
	s.parsed[key] = d
	return d, nil
}

// definition reads what is stored; its error is [unreadable].
func (f stored) definition(settings workspace.Settings) (Definition, error) {
	docs, faults := workspace.Parse(fmt.Sprintf("campaign %s version %d", f.Name, f.Version), []byte(f.Source))
	if len(faults) > 0 || len(docs) != 1 {
		return Definition{}, unreadable{fmt.Errorf("stored campaign %q version %d does not parse: %w", f.Name, f.Version, faults)}
	}
	d, faults := Parse(docs[0], Known{Settings: settings, Stored: true})
	if len(faults) > 0 {
		return Definition{}, unreadable{fmt.Errorf("stored campaign %q version %d: %w", f.Name, f.Version, faults)}
	}
	d.Version = f.Version
	return d, nil
}
