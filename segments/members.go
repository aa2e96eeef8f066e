package segments

import (
	"cmp"
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// Membership is written and told of by the statements of this file, and only in
// a tick. Each compares a list with what it should be, or with the one before it,
// among some customers, and logs the difference for those who have been told of:
// a list that is being built is silent, and after it has taken the place of
// another it is told from the first customer on.
//
// Lists grow fast, and Postgres plans by what it last knew of them. So nothing
// here is a join between lists, which can turn out to read one of them once for
// every row of the other: each is a probe by key, or a difference of sets.

// silent tells of nobody.
var silent = customers.Ref{}

// A move is what a statement changed, and of how much of it the log tells.
type move struct {
	joined, left         int64
	toldJoined, toldLeft int64
	who                  []moved // when it was asked for
}

// A moved customer joined or left.
type moved struct {
	customers.Ref
	joined bool
}

// amongRefs looks at these customers one by one, each by its keys: what it costs
// depends on how many they are, and not on how many customers or members there
// are. Who was a member of the list before keeps the instant of joining.
func (e *evaluation) amongRefs(ctx context.Context, s *state, g *generation, refs []customers.Ref, told customers.Ref) (move, error) {
	cond, err := compileProbe(g.rule, e.env)
	if err != nil {
		return move{}, err
	}
	accounts, ids := Columns(refs)
	args := []any{g.ID, cond, g.Ready, accounts, ids, g.ID, e.joinedAt(s, g)}
	m, err := e.change(ctx, s.Name, kept, sq.Expr(`
		with seen as materialized (
			select w.account_id, w.customer_id,
			       (select m.ctid from dunlin.members m
			        where m.account_id = w.account_id and m.customer_id = w.customer_id and m.generation = ?) as was,
			       coalesce((select ? from (
			           select * from dunlin.customers c
			           where c.account_id = w.account_id and c.customer_id = w.customer_id and c.account_id = any(?)
			           offset 0) c), false) as is_in
			from unnest(?::int[], ?::bigint[]) as w (account_id, customer_id)),
		gone as (
			delete from dunlin.members where ctid = any(array(select was from seen where was is not null and not is_in))
			returning account_id, customer_id),
		come as (
			insert into dunlin.members (account_id, customer_id, generation, joined_at)
			select x.account_id, x.customer_id, ?, ? from seen x where was is null and is_in
			returning account_id, customer_id),
		`+loggedSQL, append(args, e.logArgs(s.Name, g.ID, told, true)...)...))
	g.Members += m.joined - m.left
	return m, err
}

// A stretch is customers of one account: those after one, up to and including
// another. The zero value is everybody. It is no comparison of pairs, of which
// Postgres cannot tell how many customers they leave.
type stretch struct {
	account     int
	after, upTo int64
}

func (s stretch) of(alias string) sq.Sqlizer {
	if s.account == 0 {
		return sq.Expr("true")
	}
	return sq.Expr(fmt.Sprintf(`%[1]s.account_id = ? and %[1]s.customer_id > ? and %[1]s.customer_id <= ?`, alias), s.account, s.after, s.upTo)
}

// end is the stretch's last customer.
func (s stretch) end() customers.Ref { return customers.Ref{Account: s.account, Customer: s.upTo} }

// amongAll does the same for every customer of a stretch, at once.
func (e *evaluation) amongAll(ctx context.Context, s *state, g *generation, in stretch, told customers.Ref) (move, error) {
	cond, err := Compile(g.rule, e.env, nil)
	if err != nil {
		return move{}, err
	}
	args := []any{in.of("c"), g.Ready, cond, g.ID, in.of("m"), g.ID, g.ID, e.joinedAt(s, g)}
	m, err := e.change(ctx, s.Name, anew, sq.Expr(`
		with is_in as materialized (
			select c.account_id, c.customer_id from dunlin.customers c
			where ? and c.account_id = any(?) and (?)),
		gone as (
			delete from dunlin.members where ctid = any(array(
				select (select m.ctid from dunlin.members m
				        where m.account_id = x.account_id and m.customer_id = x.customer_id and m.generation = ?)
				from (
					select m.account_id, m.customer_id from dunlin.members m where ? and m.generation = ?
					except all
					select account_id, customer_id from is_in) x))
			returning account_id, customer_id),
		come as (
			insert into dunlin.members (account_id, customer_id, generation, joined_at)
			select x.account_id, x.customer_id, ?, ? from is_in x
			on conflict do nothing
			returning account_id, customer_id),
		`+loggedSQL, append(args, e.logArgs(s.Name, g.ID, told, e.parents[s.Name])...)...))
	g.Members += m.joined - m.left
	return m, err
}

// joinedAt is since when customer x is in list g: who is a member of the list
// before keeps the instant of joining.
func (e *evaluation) joinedAt(s *state, g *generation) sq.Sqlizer {
	before := s.before(g)
	if before == 0 {
		return sq.Expr(`?::timestamptz`, e.tick.At)
	}
	return sq.Expr(`coalesce((
		       select o.joined_at from dunlin.members o
		       where o.account_id = x.account_id and o.customer_id = x.customer_id and o.generation = ?), ?::timestamptz)`, before, e.tick.At)
}

// between compares the list in force with the one before it, and changes
// neither.
func (e *evaluation) between(ctx context.Context, s *state, in stretch) (move, error) {
	args := []any{in.of("m"), s.live.ID, in.of("m"), s.replaced}
	args = append(args, in.of("m"), s.replaced, in.of("m"), s.live.ID)
	const keys = `select m.account_id, m.customer_id from dunlin.members m where ? and m.generation = ?`
	return e.change(ctx, s.Name, anew, sq.Expr(`
		with come as (`+keys+` except all `+keys+`),
		     gone as (`+keys+` except all `+keys+`),
		`+loggedSQL, append(args, e.logArgs(s.Name, 0, beyond, e.parents[s.Name])...)...))
}

// loggedSQL ends a statement that has made come and gone: it logs them, keeps
// count, and returns a move.
const loggedSQL = `
		args (segment, generation, tick_id, at, told_account, told_customer, named) as (
			values (?::text, ?::int, ?::bigint, ?::timestamptz, ?::int, ?::bigint, ?::boolean)),
		moved as (
			select account_id, customer_id, 'join' as change from come
			union all
			select account_id, customer_id, 'leave' from gone),
		logged as (
			insert into dunlin.membership_log (account_id, customer_id, segment, tick_id, change, at)
			select x.account_id, x.customer_id, args.segment, args.tick_id, x.change, args.at
			from moved x cross join args
			where (x.account_id, x.customer_id) <= (args.told_account, args.told_customer)
			on conflict (account_id, customer_id, segment, tick_id) do update set change = excluded.change
			returning change),
		counts as (
			select (select count(*) from come) as joined, (select count(*) from gone) as gone,
			       (select count(*) from logged where change = 'join') as told_joined, (select count(*) from logged where change = 'leave') as told_left),
		counted as (
			update dunlin.generations g set members = g.members + counts.joined - counts.gone
			from counts, args where g.generation = args.generation and counts.joined <> counts.gone)
		select counts.*,
		       case when named then (select coalesce(array_agg(account_id), '{}') from moved) end,
		       case when named then (select coalesce(array_agg(customer_id), '{}') from moved) end,
		       case when named then (select coalesce(array_agg(change = 'join'), '{}') from moved) end
		from counts, args`

// logArgs are those of loggedSQL.
func (e *evaluation) logArgs(segment string, generation int, told customers.Ref, named bool) []any {
	return []any{segment, generation, e.tick.ID, e.tick.At, told.Account, told.Customer, named}
}

// A planning is how often Postgres plans a statement.
type planning int

const (
	// Each time: a plan that was made while the tables were small would read them
	// whole.
	anew planning = iota
	// Once for each connection and rule: what only probes by key has one good plan,
	// whatever the sizes of the tables.
	kept
)

// probeSQL makes plans be of probes, and be kept; afterProbeSQL ends that.
const (
	probeSQL      = `select set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`
	afterProbeSQL = `select set_config('enable_seqscan', 'on', true), set_config('plan_cache_mode', 'auto', true)`
)

// change runs a statement that ends in loggedSQL, and adds up what it told.
func (e *evaluation) change(ctx context.Context, segment string, plan planning, query sq.Sqlizer) (m move, err error) {
	sql, args, err := query.ToSql()
	if err != nil {
		return m, fmt.Errorf("compile: %w", err)
	}
	if sql, err = sq.Dollar.ReplacePlaceholders(sql); err != nil {
		return m, fmt.Errorf("compile: %w", err)
	}
	var accounts []int
	var ids []int64
	var joins []bool
	into := []any{&m.joined, &m.left, &m.toldJoined, &m.toldLeft, &accounts, &ids, &joins}
	if plan == kept {
		batch := &pgx.Batch{}
		batch.Queue(probeSQL)
		batch.Queue(sql, args...).QueryRow(func(row pgx.Row) error { return row.Scan(into...) })
		batch.Queue(afterProbeSQL)
		err = e.tx.SendBatch(ctx, batch).Close()
	} else {
		err = e.tx.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...).Scan(into...)
	}
	if err != nil {
		return m, fmt.Errorf("write members: %w", err)
	}
	for i := range ids {
		m.who = append(m.who, moved{customers.Ref{Account: accounts[i], Customer: ids[i]}, joins[i]})
	}
	e.tick.Joined, e.tick.Left = e.tick.Joined+m.toldJoined, e.tick.Left+m.toldLeft
	if n := m.toldJoined + m.toldLeft; n > 0 {
		e.tick.Moved[segment] += n
	}
	return m, nil
}

// refs are who moved.
func (m move) refs() []customers.Ref {
	refs := make([]customers.Ref, len(m.who))
	for i, x := range m.who {
		refs[i] = x.Ref
	}
	return refs
}

// byTime is by how much the list grew, or shrank, by customers of whom there is
// no news and whom no other list moved that was built anew: time alone has.
func (e *evaluation) byTime(m move) (grown int64) {
	for _, x := range m.who {
		if _, told := e.news.place[x.Ref]; told || e.rebuilt[x.Ref] {
			continue
		}
		if x.joined {
			grown++
		} else {
			grown--
		}
	}
	return grown
}

// Columns are customers as two arrays, for unnest.
func Columns(refs []customers.Ref) (accounts []int, ids []int64) {
	accounts, ids = make([]int, len(refs)), make([]int64, len(refs))
	for i, r := range refs {
		accounts[i], ids[i] = r.Account, r.Customer
	}
	return accounts, ids
}

// compare orders customers by their keys.
func compare(a, b customers.Ref) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Customer, b.Customer))
}
