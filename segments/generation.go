package segments

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// A generation is one list of a segment's members, made by one version of its
// rule. Every tick keeps the one in force exact, and beside it the one that is
// being built, of which nobody is told before it is complete.
type generation struct {
	ID       int
	Version  int
	Source   string     // the version's rule
	rule     *rule.Rule // nil when it does not check
	Zone     string     // the workspace's, as is the currency
	Currency string
	Ready    []int     // accounts, sorted
	Why      string    // it was built
	Opened   time.Time // business time
	Members  int64
	Passed   customers.Ref // while it is built: up to this customer everybody has been looked at
	Missed   string        // why it must be built anew; empty when it is exact
	MissedAt time.Time     // the last instant as of which it was exact
}

// beyond is after every customer.
var beyond = customers.Ref{Account: math.MaxInt32, Customer: math.MaxInt64}

// A state is what a tick knows of one segment.
type state struct {
	Stored
	rule       *rule.Rule // nil when it does not check
	live       *generation
	building   *generation
	replaced   int           // the generation before live, while told is not beyond; 0: none
	told       customers.Ref // up to this customer joins and leaves have been told
	usual      usual
	accepted   bool      // an unusual change, since the last tick
	expects    time.Time // one, accepted when it was applied
	flipped    bool      // in this tick
	exactAt    time.Time // then: the instant as of which the list before was exact
	come, gone int64     // in this tick, of the list in force
	byTime     int64     // of them, by how many members time alone made it grow
	hadFault   string    // at the last tick
}

// before is the list that g is to replace; 0 when there is none.
func (s *state) before(g *generation) int {
	if s.live == nil || s.live == g {
		return 0
	}
	return s.live.ID
}

// members is how many are in force.
func (s *state) members() int64 {
	if s.live == nil {
		return 0
	}
	return s.live.Members
}

// states reads every segment with its generations.
func states(ctx context.Context, tx pgx.Tx) ([]*state, error) {
	rows, err := tx.Query(ctx, `
		select `+storedSQL+`,
		       coalesce(s.replaced, 0), coalesce(s.told_account, $1), coalesce(s.told_customer, $2),
		       coalesce(s.usual, 0), coalesce(s.usual_at, '0001-01-01Z'), s.accepted, coalesce(s.expects_until, '0001-01-01Z')
		`+storedFrom+` order by s.name`, beyond.Account, beyond.Customer)
	if err != nil {
		return nil, fmt.Errorf("load segments: %w", err)
	}
	byName := map[string]*state{}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*state, error) {
		s := &state{}
		err := row.Scan(append(s.Stored.targets(), &s.replaced, &s.told.Account, &s.told.Customer, &s.usual.members, &s.usual.at, &s.accepted, &s.expects)...)
		byName[s.Name] = s
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("load segments: %w", err)
	}
	rows, err = tx.Query(ctx, `
		select g.segment, g.state = 'live', g.generation, g.version, v.rule, g.zone, g.currency, g.accounts, g.why, g.opened_at, g.members,
		       g.passed_account, g.passed_customer, coalesce(g.missed, ''), coalesce(g.missed_at, '0001-01-01Z')
		from dunlin.generations g join dunlin.segment_versions v on v.name = g.segment and v.version = g.version
		where g.state <> 'old'`)
	if err != nil {
		return nil, fmt.Errorf("load lists: %w", err)
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*generation, error) {
		var segment string
		var live bool
		g := &generation{}
		err := row.Scan(&segment, &live, &g.ID, &g.Version, &g.Source, &g.Zone, &g.Currency, &g.Ready, &g.Why, &g.Opened, &g.Members,
			&g.Passed.Account, &g.Passed.Customer, &g.Missed, &g.MissedAt)
		if s := byName[segment]; s != nil && live {
			s.live = g
		} else if s != nil {
			s.building = g
		}
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("load lists: %w", err)
	}
	return list, nil
}

// open begins a list.
func (e *evaluation) open(ctx context.Context, s *state, why string) error {
	g := &generation{
		Version: s.Version, Source: s.Source, rule: s.rule, Zone: e.env.Zone.String(), Currency: e.env.Currency, Ready: e.ready,
		Why: why, Opened: e.tick.At,
	}
	err := e.tx.QueryRow(ctx, `
		insert into dunlin.generations (segment, version, zone, currency, accounts, why, opened_at)
		values ($1, $2, $3, $4, $5, $6, $7) returning generation`,
		s.Name, g.Version, g.Zone, g.Currency, g.Ready, g.Why, g.Opened).Scan(&g.ID)
	if err != nil {
		return fmt.Errorf("begin a list: %w", err)
	}
	s.building = g
	return nil
}

// giveUp ends the building of a list that is not wanted any more.
func (e *evaluation) giveUp(ctx context.Context, s *state) error {
	if _, err := e.tx.Exec(ctx, `update dunlin.generations set state = 'old' where generation = $1`, s.building.ID); err != nil {
		return fmt.Errorf("give a list up: %w", err)
	}
	s.building = nil
	return nil
}

// miss notes that changes have passed a list by.
func (e *evaluation) miss(ctx context.Context, g *generation, why string) error {
	if g.Missed != "" {
		return nil
	}
	g.Missed, g.MissedAt = why, e.was.Now
	if _, err := e.tx.Exec(ctx, `update dunlin.generations set missed = $2, missed_at = $3 where generation = $1`, g.ID, why, e.was.Now); err != nil {
		return fmt.Errorf("note what a list has missed: %w", err)
	}
	return nil
}

// pass takes the next customers into the list that is being built, as many as
// the tick still may.
func (e *evaluation) pass(ctx context.Context, s *state) error {
	g := s.building
	for g.Passed != beyond && e.budget > 0 {
		in, n, err := e.nextStretch(ctx, g.Passed, `dunlin.customers where true`)
		if err != nil {
			return err
		}
		if n == 0 {
			return e.recordPass(ctx, g, beyond)
		}
		if _, err := e.amongAll(ctx, s, g, in, silent); err != nil {
			return err
		}
		e.budget -= n
		if err := e.recordPass(ctx, g, in.end()); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) recordPass(ctx context.Context, g *generation, upTo customers.Ref) error {
	g.Passed, g.Missed = upTo, ""
	_, err := e.tx.Exec(ctx, `
		update dunlin.generations set passed_account = $2, passed_customer = $3, missed = null, missed_at = null where generation = $1`,
		g.ID, upTo.Account, upTo.Customer)
	if err != nil {
		return fmt.Errorf("record the pass: %w", err)
	}
	return nil
}

// nextStretch returns the customers that follow after one, as many as the tick
// still may look at, and how many they are. From is a table and a condition of
// ours.
func (e *evaluation) nextStretch(ctx context.Context, after customers.Ref, from string, args ...any) (in stretch, n int, err error) {
	err = e.tx.QueryRow(ctx, `
		with next as (
			select account_id from `+from+` and (account_id, customer_id) > ($1, $2)
			order by account_id, customer_id limit 1),
		stretch as (
			select customer_id from `+from+` and account_id = (select account_id from next)
			  and customer_id > case when (select account_id from next) = $1 then $2 else 0 end
			order by customer_id limit $3)
		select coalesce((select account_id from next), 0), coalesce(max(customer_id), 0), count(*) from stretch`,
		append([]any{after.Account, after.Customer, e.budget}, args...)...).Scan(&in.account, &in.upTo, &n)
	if err != nil {
		return in, 0, fmt.Errorf("find the next customers: %w", err)
	}
	if in.account == after.Account {
		in.after = after.Customer
	}
	if n < e.budget {
		in.upTo = beyond.Customer
	}
	return in, n, nil
}

// nextTold returns the customers of whom nobody has been told yet and who are in
// either list, and how many they are at least.
func (e *evaluation) nextTold(ctx context.Context, s *state) (in stretch, n int, err error) {
	const members = `dunlin.members where generation = $4`
	if in, n, err = e.nextStretch(ctx, s.told, members, s.live.ID); err != nil {
		return in, n, err
	}
	old, m, err := e.nextStretch(ctx, s.told, members, s.replaced)
	switch {
	case err != nil, m == 0:
		return in, n, err
	case n == 0 || old.account < in.account:
		return old, m, nil
	case old.account == in.account:
		in.upTo = min(in.upTo, old.upTo)
	}
	return in, max(n, m), nil
}

// flip puts the list that was built in force. Joins and leaves against the one
// before it are told from the first customer on.
func (e *evaluation) flip(ctx context.Context, s *state) error {
	before := s.live
	if before != nil {
		s.replaced, s.exactAt = before.ID, e.was.Now
		if before.Missed != "" {
			s.exactAt = before.MissedAt
		}
		if _, err := e.tx.Exec(ctx, `update dunlin.generations set state = 'old' where generation = $1`, before.ID); err != nil {
			return fmt.Errorf("replace a list: %w", err)
		}
	}
	s.live, s.building, s.told = s.building, nil, customers.Ref{}
	_, err := e.tx.Exec(ctx, `
		with live as (update dunlin.generations set state = 'live' where generation = $2)
		update dunlin.segments set generation = $2, replaced = nullif($3, 0), told_account = 0, told_customer = 0,
		       evaluated_at = $4, audited_at = $4, drift = 0
		where name = $1`, s.Name, s.live.ID, s.replaced, e.tick.At)
	if err != nil {
		return fmt.Errorf("put a list in force: %w", err)
	}
	s.flipped = true
	return nil
}

// tell logs the difference between the list in force and the one before it, for
// the next customers of either, as many as the tick still may.
func (e *evaluation) tell(ctx context.Context, s *state) error {
	if s.told == beyond {
		return nil
	}
	for e.budget > 0 && s.told != beyond {
		in, n, err := e.nextTold(ctx, s)
		if err != nil {
			return err
		}
		if n == 0 {
			s.told = beyond
			break
		}
		m, err := e.between(ctx, s, in)
		if err != nil {
			return err
		}
		if s.flipped {
			e.moved[s.Name] = append(e.moved[s.Name], m.refs()...)
			for _, x := range m.who {
				e.rebuilt[x.Ref] = true
			}
		}
		s.told = in.end()
		e.budget -= n
	}
	// Who is told of later has no names yet for the segments that depend on it.
	e.replaced[s.Name] = s.flipped && s.told != beyond
	e.tick.More = e.tick.More || s.told != beyond
	_, err := e.tx.Exec(ctx, `
		update dunlin.segments set
			told_account = case when $4 then null else $2::int end, told_customer = case when $4 then null else $3::bigint end,
			replaced = case when $4 then null else replaced end
		where name = $1`, s.Name, s.told.Account, s.told.Customer, s.told == beyond)
	if err != nil {
		return fmt.Errorf("record who was told of: %w", err)
	}
	return nil
}

// sweep deletes lists that nobody needs any more, so many rows at a time.
func (e *evaluation) sweep(ctx context.Context) error {
	rows, err := e.tx.Query(ctx, `
		select generation from dunlin.generations g
		where state = 'old' and not exists (select from dunlin.segments s where s.replaced = g.generation) order by generation`)
	if err != nil {
		return fmt.Errorf("find old lists: %w", err)
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("find old lists: %w", err)
	}
	for _, id := range old {
		if e.budget <= 0 {
			e.tick.More = true
			return nil
		}
		tag, err := e.tx.Exec(ctx, `
			delete from dunlin.members where ctid = any(array(select ctid from dunlin.members where generation = $1 limit $2))`, id, e.budget)
		if err != nil {
			return fmt.Errorf("delete an old list: %w", err)
		}
		if n := int(tag.RowsAffected()); n >= e.budget {
			e.budget, e.tick.More = 0, true
			return nil
		} else {
			e.budget -= n
		}
		if _, err := e.tx.Exec(ctx, `delete from dunlin.generations where generation = $1`, id); err != nil {
			return fmt.Errorf("delete an old list: %w", err)
		}
	}
	return nil
}
