package segments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

// customer is one customer's values by attribute; nil or absent is missing.
// Under the name of a collection stand its elements, []customer, and under in
// the names of the segments that he is a member of, []string.
type customer map[string]any

func (c customer) Value(name string) any { return c[name] }

func (c customer) Elements(collection string) []rule.Values {
	list, _ := c[collection].([]customer)
	out := make([]rule.Values, len(list))
	for i, e := range list {
		out[i] = e
	}
	return out
}

func (c customer) InSegment(name string) bool {
	list, _ := c["in"].([]string)
	return slices.Contains(list, name)
}

// table is dunlin.customers and the tables of the collections, with the columns
// that only the tests' catalog has, and with every column free to be null.
type table struct {
	pool        *pgxpool.Pool
	account     int
	generations map[string]int // by segment: the one in force
}

func newTable(t testing.TB) *table {
	t.Helper()
	ctx := context.Background()
	tab := &table{pool: pgtest.New(t), generations: map[string]int{}}
	// Ids whose own order is not that of their bytes, where Postgres can do that.
	var collation string
	err := tab.pool.QueryRow(ctx, `select coalesce(max(collname), 'C') from pg_collation where collname = 'und-x-icu'`).Scan(&collation)
	if err != nil {
		t.Fatal(err)
	}
	tab.exec(t, fmt.Sprintf(`create table dunlin.things (account_id int not null, customer_id bigint not null, id text collate %q not null,
		created_at timestamptz not null, primary key (account_id, customer_id, id))`, collation))
	tab.exec(t, columnsOf("customers", columns.attributes))
	for _, c := range columns.collections {
		tab.exec(t, columnsOf(c.Name, c.Fields[2:]))
	}
	err = tab.pool.QueryRow(ctx, `insert into dunlin.accounts (name, created_at) values ('live', now()) returning account_id`).Scan(&tab.account)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range columns.segments {
		tab.addSegment(t, name)
	}
	return tab
}

func (tab *table) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := tab.pool.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// columnsOf adds the columns that a table lacks, and lets all of them be null.
func columnsOf(name string, attrs []rule.Attribute) string {
	types := map[rule.Type]string{
		rule.Text: "text", rule.Number: "numeric", rule.MoneyType: "numeric", rule.Boolean: "boolean",
		rule.DateType: "date", rule.InstantType: "timestamptz", rule.ListType: "text[]", rule.MapType: "jsonb",
	}
	var add, null []string
	for _, a := range attrs {
		add = append(add, "add column if not exists "+a.Name+" "+types[a.Type])
		if a.Type == rule.MoneyType {
			add = append(add, "add column if not exists "+a.Name+"_currency text")
		}
		if a.Type != rule.MapType && a.Name != "stripe_id" {
			null = append(null, "alter column "+a.Name+" drop not null")
		}
	}
	table := "alter table dunlin." + name + " "
	return table + strings.Join(add, ", ") + ";" + table + strings.Join(null, ", ")
}

// addSegment adds a segment with a generation in force, and one in the making.
func (tab *table) addSegment(t testing.TB, name string) {
	t.Helper()
	tab.exec(t, `insert into dunlin.segments (name, version) values ($1, 1)`, name)
	var generation int
	for _, state := range []string{"building", "live"} {
		err := tab.pool.QueryRow(context.Background(), `insert into dunlin.generations (segment, version, zone, currency, accounts, state, why, opened_at)
			values ($1, 1, 'UTC', 'usd', '{}', $2, 'new', now()) returning generation`, name, state).Scan(&generation)
		if err != nil {
			t.Fatal(err)
		}
	}
	tab.exec(t, `update dunlin.segments set generation = $2 where name = $1`, name, generation)
	tab.generations[name] = generation
}

// insert adds a customer under a name, which becomes its stripe_id.
func (tab *table) insert(t testing.TB, name string, c customer) {
	t.Helper()
	c["stripe_id"] = name
	row := rowOf(t, columns.attributes, c)
	row["account_id"], row["projected_at"] = tab.account, time.Unix(0, 0)
	sql, args := built(t, sq.Insert("dunlin.customers").SetMap(row).Suffix("returning customer_id"))
	var id int64
	if err := tab.pool.QueryRow(context.Background(), sql, args...).Scan(&id); err != nil {
		t.Fatalf("insert %v: %v", row, err)
	}
	batch := &pgx.Batch{}
	for _, collection := range columns.collections {
		list, _ := c[collection.Name].([]customer)
		for _, e := range list {
			row := rowOf(t, collection.Fields, e)
			row["account_id"], row["customer_id"] = tab.account, id
			sql, args := built(t, sq.Insert("dunlin."+collection.Name).SetMap(row))
			batch.Queue(sql, args...)
		}
	}
	for segment, generation := range tab.generations {
		if !c.InSegment(segment) {
			generation-- // the one in the making, which does not count
		}
		batch.Queue(`insert into dunlin.members (account_id, customer_id, generation, joined_at) values ($1, $2, $3, now())`, tab.account, id, generation)
	}
	if err := tab.pool.SendBatch(context.Background(), batch).Close(); err != nil {
		t.Fatalf("insert %v: %v", c, err)
	}
}

func built(t testing.TB, b sq.InsertBuilder) (string, []any) {
	t.Helper()
	sql, args, err := b.PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		t.Fatal(err)
	}
	return sql, args
}

// rowOf returns values by column; what is missing is null, whatever the column's
// default says.
func rowOf(t testing.TB, attrs []rule.Attribute, c customer) map[string]any {
	t.Helper()
	row := map[string]any{}
	for _, a := range attrs {
		switch v := c[a.Name].(type) {
		case nil:
			if a.Type != rule.MapType {
				row[a.Name] = nil
			}
		case rule.Decimal:
			row[a.Name] = v.String()
		case rule.Money:
			row[a.Name], row[a.Name+"_currency"] = v.Amount.String(), v.Currency
		case rule.Date:
			row[a.Name] = v.String()
		case map[string]string:
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			row[a.Name] = string(data)
		default:
			row[a.Name] = v
		}
	}
	return row
}

// members returns whom Postgres finds.
func (tab *table) members(t testing.TB, r *rule.Rule, env rule.Env, parents segments.Parents) []string {
	t.Helper()
	cond, err := segments.Compile(r, env, parents)
	if err != nil {
		t.Fatalf("%s: %v", r.Source(), err)
	}
	sql, args, err := sq.Select("c.stripe_id").From("dunlin.customers c").Where(sq.Eq{"c.account_id": tab.account}).Where(cond).
		OrderBy(`c.stripe_id collate "C"`).PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		t.Fatalf("%s: %v", r.Source(), err)
	}
	rows, err := tab.pool.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatalf("%s\n%s\n%v", r.Source(), sql, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s\n%s\n%v", r.Source(), sql, err)
	}
	return names
}
