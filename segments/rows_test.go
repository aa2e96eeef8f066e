package segments_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/segments"
)

// rowsRules use attributes, time and sets; each segment but the last two is
// about customers alone.
var rowsRules = []struct{ name, rule string }{
	{"owing", "delinquent"},
	{"pro", "plan in ('Pro', 'Team') and metadata['tier'] = 'gold'"},
	{"soon", "next_charge_at within next 3 hours"},
	{"card", "card_expires_at between today() - 3 days and today() + 30 days"},
	{"overdue", "exists (invoices where status = 'open' and due_at < now())"},
	{"failed", "count(charges where status = 'failed' and created_at within last 30 days) >= 2"},
	{"spent", "sum(charges.amount where status = 'succeeded') > 100 usd"},
	{"latest", "latest(invoices.status) = 'open' and max(invoices.due_at) before now() + 2 days"},
	{"child", "in segment 'overdue' and not in segment 'soon'"},
	{"rest", "not in segment 'child' and not in segment 'pro'"},
}

// busy is a fixture with so many customers, of whom the last 20 have something
// in the next hours and all others in some years, and with the lists of all
// segments built.
func busy(t *testing.T, customers int) *fixture {
	t.Helper()
	f := newFixture(t)
	for _, s := range rowsRules {
		f.names = append(f.names, s.name)
	}
	f.exec(`
		insert into dunlin.customers (account_id, stripe_id, projected_at, delinquent, plan, metadata, next_charge_at, card_expires_at)
		select $1, 'cus_' || to_char(n, 'FM00000'), $2, ($3 - n) % 9 = 0, case ($3 - n) % 3 when 0 then 'Pro' when 1 then 'Free' end, '{"tier": "gold"}',
		       $2::timestamptz + case when n > $3 - 20 then ($3 - n) * interval '10 minutes' + interval '3 hours' else interval '2 years' + n * interval '1 second' end,
		       '2029-01-01'::date + (n % 300)::int
		from generate_series(1, $3::int) n`, f.account, monday, customers)
	f.exec(`
		insert into dunlin.invoices (account_id, customer_id, id, created_at, status, due_at)
		select account_id, customer_id, 'in_' || i, $1::timestamptz - i * interval '50 days', case when i = 1 then 'open' else 'paid' end,
		       case when customer_id > $2 - 20 then $1::timestamptz + ($2 - customer_id) * interval '10 minutes' else $1::timestamptz + interval '3 years' end
		from dunlin.customers, generate_series(1, 2) i`, monday, customers)
	f.exec(`
		insert into dunlin.charges (account_id, customer_id, id, created_at, status, amount, amount_currency)
		select account_id, customer_id, 'ch_' || i, $1::timestamptz - interval '60 days' - i * interval '3 days', case when i = 1 then 'failed' else 'succeeded' end, 60, 'usd'
		from dunlin.customers, generate_series(1, 3) i`, monday)
	f.exec(`analyze`)
	for _, s := range rowsRules {
		f.edit(s.name, s.rule)
	}
	f.settle()
	f.exec(`analyze`)
	return f
}

// A reading is how many rows of each table one tick examined.
type reading struct {
	tick   segments.Tick
	tables map[string]int64
	total  int64
}

// examine ticks, and counts the rows that the tick's transaction has read. It
// does so on a connection of its own, because what others of the same connection
// have read may not have been put down yet.
func (f *fixture) examine() reading {
	f.t.Helper()
	r := reading{tables: map[string]int64{}}
	pool, err := pgxpool.NewWithConfig(f.t.Context(), f.pool.Config())
	if err != nil {
		f.t.Fatal(err)
	}
	defer pool.Close()
	ticker := f.ticker()
	ticker.Pool = pool
	ticker.After = func(ctx context.Context, tx pgx.Tx, _ segments.Tick) error {
		rows, err := tx.Query(ctx, `
			select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
			from pg_stat_xact_user_tables where schemaname = 'dunlin' and coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) > 0`)
		if err != nil {
			return err
		}
		var table string
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&table, &n}, func() error { r.tables[table] = n; r.total += n; return nil })
		return err
	}
	if r.tick, err = ticker.Tick(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return r
}

// work makes the same happen among many customers and among few, and returns
// what each tick examined.
func (f *fixture) work(customers int) (list []reading) {
	f.t.Helper()
	last := func(n int) string { return fmt.Sprintf("%05d", customers-n) }
	f.now = f.now.Add(time.Second)
	list = append(list, f.examine()) // nothing happened
	f.now = monday.Add(95 * time.Minute)
	list = append(list, f.examine()) // bounds passed ten customers
	f.put(last(1), "delinquent", true)
	f.put(last(2), "plan", "Team")
	f.put(last(3), "metadata", map[string]string{"tier": "tin"})
	f.put(last(4), "email", "x@example.com")
	f.exec(`
		with w as (update dunlin.invoices set status = 'paid' where customer_id > $1 - 10 and status = 'open' returning account_id, customer_id)
		insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{invoices.status}' from w`, customers)
	f.exec(`
		with w as (insert into dunlin.charges (account_id, customer_id, id, created_at, status, amount, amount_currency)
			select account_id, customer_id, 'ch_x', $1, 'failed', 10, 'usd' from dunlin.customers where customer_id > $2 - 10 returning account_id, customer_id)
		insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{charges}' from w`, f.now, customers)
	f.now = f.now.Add(time.Second)
	list = append(list, f.examine()) // changes
	f.now = f.now.Add(time.Second)
	return append(list, f.examine()) // nothing
}

// TestTick_rowsExamined holds that what a tick reads grows with changes and
// boundaries, and not with customers.
func TestTick_rowsExamined(t *testing.T) {
	t.Parallel()
	few, many := busy(t, 300).work(300), busy(t, 20_000).work(20_000)
	for i, what := range []string{"nothing happened", "bounds pass", "changes", "nothing happened again"} {
		a, b := few[i], many[i]
		if a.tick.Joined != b.tick.Joined || a.tick.Left != b.tick.Left {
			t.Errorf("%s: the same does not happen\n%+v\n%+v", what, a.tick, b.tick)
		}
		t.Logf("%s: %d rows among 300 customers, %d among 20,000; %d joined, %d left", what, a.total, b.total, b.tick.Joined, b.tick.Left)
		if float64(b.total) > 1.2*float64(a.total) {
			t.Errorf("%s: rows examined\n among    300: %d %v\n among 20,000: %d %v", what, a.total, a.tables, b.total, b.tables)
		}
		if strings.HasPrefix(what, "nothing") && b.total > 150 {
			t.Errorf("%s: rows examined\n got %d %v\nwant a handful", what, b.total, b.tables)
		}
	}
	if most := many[1].total + many[2].total; most > 2000 {
		t.Errorf("a bound that passes 30 customers and 24 changes examine %d rows of 10 segments", most)
	}
	if moved := many[1].tick.Joined + many[1].tick.Left; moved < 10 {
		t.Errorf("bounds moved only %d", moved)
	}
	if moved := many[2].tick.Joined + many[2].tick.Left; moved < 10 {
		t.Errorf("changes moved only %d", moved)
	}
}

// TestTick_rowsOfUnreadNews holds that a change of what no rule reads looks at no
// customer, and that of one rule only at that one's candidates.
func TestTick_rowsOfUnreadNews(t *testing.T) {
	t.Parallel()
	f := busy(t, 300)
	tables := []string{"customers", "invoices", "charges", "subscriptions"}
	for _, name := range []string{"email", "name", "invoices.attempt_count", "subscriptions", "charges.captured"} {
		f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, array[$1] from dunlin.customers where customer_id < 50`, name)
		f.now = f.now.Add(time.Second)
		r := f.examine()
		for _, table := range tables {
			if n := r.tables[table]; n > 0 {
				t.Errorf("%s, which no rule reads: %d rows of %s examined", name, n, table)
			}
		}
		same(t, name+" is consumed", f.count(`select count(*) from dunlin.changed_customers`), 0)
	}
	f.put("00007", "delinquent", true)
	f.now = f.now.Add(time.Second)
	r := f.examine()
	if r.tables["customers"] != 1 || r.tables["invoices"]+r.tables["charges"] != 0 {
		t.Errorf("what one rule reads of one customer\n got %v\nwant one row of customers", r.tables)
	}
}

// TestTick_rowsOfDependents holds that a move wakes the segments that name the
// one in which it happened, and no others.
func TestTick_rowsOfDependents(t *testing.T) {
	t.Parallel()
	f := busy(t, 300)
	for _, tt := range []struct {
		name, column string
		value        any
		customers    int64
	}{
		{"of a segment that nobody names", "delinquent", true, 1},
		{"of a parent", "plan", "Team", 2}, // pro, then rest
		{"of a parent that does not move", "plan", "Pro", 1},
	} {
		if tt.value == "Pro" {
			f.put("00004", "plan", "Team")
			f.now = f.now.Add(time.Second)
			f.tick()
		}
		f.put("00004", tt.column, tt.value)
		f.now = f.now.Add(time.Second)
		if r := f.examine(); r.tables["customers"] != tt.customers {
			t.Errorf("a change %s: rows of customers examined\n got %d of %v, %v\nwant %d", tt.name, r.tables["customers"], r.tables, r.tick.Moved, tt.customers)
		}
	}
}
