package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// exemptTables do not grow with customers, each for its reason. All others have
// a key that leads with account and customer, so that they can be partitioned or
// distributed by it.
var exemptTables = map[string]string{
	"accounts":           "a handful: connected Stripe accounts",
	"sync_runs":          "one for each backfill",
	"sync_progress":      "one for each class of object in a backfill",
	"stripe_products":    "the merchant's catalog, not their customers",
	"stripe_prices":      "the merchant's catalog, not their customers",
	"stripe_reads":       "one for each account and month",
	"stripe_comparisons": "one for each class and night",
	"segments":           "definitions",
	"segment_versions":   "definitions",
	"generations":        "a few for each segment: lists of members, swept when replaced",
	"ticks":              "grows with time, one for each evaluation",
	"workspace":          "versions of the settings",
	"stops":              "one for each time somebody pulled the cord",
	"campaigns":          "definitions",
	"campaign_versions":  "definitions",
	"campaign_states":    "one for each start, pause and resume",
	"intercom_objects":   "names of things at Intercom that were set up once",
	"intercom_news":      "an inbox: what was taken is forgotten after days",
	"intercom_windows":   "one for each token",
	"contact_creations":  "a handful: addresses for which a contact is being made",
	"imports":            "one row",
	"schema_migrations":  "goose's: one for each migration",
}

// customerTables are those in which the object's id is the customer.
var customerTables = []string{"stripe_customers"}

// zoneless are columns that somebody else made as timestamp, without a zone.
var zoneless = map[string]string{
	"schema_migrations.tstamp": "goose's",
}

// A table is what the catalog knows of one table of schema dunlin.
type table struct {
	Name    string
	Keys    [][]string // columns of the primary key and of each full unique index
	Columns []column
	Foreign int // keys to other tables
}

type column struct{ Name, Type string }

// checkTables returns a line for each rule that a table breaks.
func checkTables(tables []table) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, tab := range tables {
		if _, ok := exemptTables[tab.Name]; !ok && !slices.ContainsFunc(tab.Keys, func(key []string) bool { return leads(tab.Name, key) }) {
			fault("dunlin.%s has no key that begins with (account_id, customer_id); give it one, or a reason in exemptTables", tab.Name)
		}
		for _, c := range tab.Columns {
			name := tab.Name + "." + c.Name
			switch c.Type {
			case "timestamp without time zone", "time without time zone", "time with time zone":
				if _, ok := zoneless[name]; !ok {
					fault("dunlin.%s is a %s; only timestamptz and date", name, c.Type)
				}
			case "real", "double precision", "money":
				fault("dunlin.%s is a %s; no float touches money, and nothing else here is inexact either (honest-money)", name, c.Type)
			}
			if c.Name == "raw" && c.Type != "json" {
				fault("dunlin.%s is %s; only json keeps what Stripe sent byte for byte", name, c.Type)
			}
		}
		if strings.HasPrefix(tab.Name, "stripe_") && tab.Foreign > 0 {
			fault("dunlin.%s has a foreign key; Stripe's events come in any order", tab.Name)
		}
	}
	for name := range exemptTables {
		if !slices.ContainsFunc(tables, func(tab table) bool { return tab.Name == name }) {
			fault("exemptTables names dunlin.%s, which there is not", name)
		}
	}
	return faults
}

func leads(table string, key []string) bool {
	if len(key) < 2 || key[0] != "account_id" {
		return false
	}
	return key[1] == "customer_id" || key[1] == "customer" || key[1] == "id" && slices.Contains(customerTables, table)
}

func readTables(t *testing.T, pool *pgxpool.Pool) []table {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		select c.relname::text as name,
		       coalesce((select jsonb_agg((select jsonb_agg(a.attname order by k.n)
		                                   from unnest(i.indkey::int2[]) with ordinality as k (attnum, n)
		                                   join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum))
		                 from pg_index i
		                 where i.indrelid = c.oid and i.indisunique and i.indpred is null and i.indexprs is null), '[]') as keys,
		       (select jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, null)) order by a.attnum)
		        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
		       (select count(*) from pg_constraint f where f.conrelid = c.oid and f.contype = 'f') as "foreign"
		from pg_class c
		where c.relnamespace = 'dunlin'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
		order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByName[table])
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) < 10 {
		t.Fatalf("only %d tables found", len(tables))
	}
	return tables
}

func TestTables(t *testing.T) {
	t.Parallel()
	report(t, checkTables(readTables(t, pgtest.New(t))))
}

func TestCheckTables(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for _, sql := range []string{
		`create table dunlin.good (account_id int, customer_id bigint, n int, at timestamptz, day date, primary key (account_id, customer_id, n))`,
		`create table dunlin.good_too (id int primary key, account_id int, customer text, unique (account_id, customer))`,
		`create table dunlin.bad_key (account_id int, id text, primary key (account_id, id))`,
		`create table dunlin.bad_order (account_id int, customer_id bigint, primary key (customer_id, account_id))`,
		`create table dunlin.bad_partial (account_id int, customer_id bigint, done boolean)`,
		`create unique index on dunlin.bad_partial (account_id, customer_id) where done`,
		`create table dunlin.bad_types (account_id int, customer_id bigint, at timestamp, amount float8, raw jsonb, primary key (account_id, customer_id))`,
		`create table dunlin.stripe_bad (account_id int references dunlin.accounts, customer text, primary key (account_id, customer))`,
		`create table dunlin.good_parts (account_id int, customer_id bigint, at timestamptz, primary key (account_id, customer_id, at)) partition by range (at)`,
		`create table dunlin.good_parts_1 partition of dunlin.good_parts default`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	tables := slices.DeleteFunc(readTables(t, pool), func(tab table) bool {
		_, exempt := exemptTables[tab.Name]
		return !exempt && !strings.Contains(tab.Name, "good") && !strings.Contains(tab.Name, "bad")
	})
	wantFaults(t, checkTables(tables),
		"bad_key has no key", "bad_order has no key", "bad_partial has no key",
		"bad_types.at is a timestamp", "bad_types.amount is a double precision", "bad_types.raw is jsonb",
		"stripe_bad has a foreign key")
}
