package segments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

// customer is one customer's values by attribute; nil or absent is missing.
type customer map[string]any

func (c customer) Value(name string) any { return c[name] }

// table is dunlin.customers with the columns that only the tests' catalog has,
// and with every column free to be null.
type table struct {
	pool    *pgxpool.Pool
	account int
}

func newTable(t *testing.T) *table {
	t.Helper()
	ctx := context.Background()
	tab := &table{pool: pgtest.New(t)}
	_, err := tab.pool.Exec(ctx, `
		alter table dunlin.customers add column livemode boolean, add column plans text[], add column quantity numeric,
			alter column deleted drop not null, alter column delinquent drop not null, alter column open_invoice_count drop not null`)
	if err != nil {
		t.Fatal(err)
	}
	err = tab.pool.QueryRow(ctx, `insert into dunlin.accounts (name, created_at) values ('live', now()) returning account_id`).Scan(&tab.account)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// insert adds a customer under a name, which becomes its stripe_id.
func (tab *table) insert(t *testing.T, name string, c customer) {
	t.Helper()
	c["stripe_id"] = name
	row := map[string]any{"account_id": tab.account, "projected_at": time.Unix(0, 0), "deleted": nil, "delinquent": nil, "open_invoice_count": nil}
	for attr, v := range c {
		switch v := v.(type) {
		case rule.Decimal:
			row[attr] = v.String()
		case rule.Money:
			row[attr], row[attr+"_currency"] = v.Amount.String(), v.Currency
		case rule.Date:
			row[attr] = v.String()
		case map[string]string:
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			row[attr] = string(data)
		default:
			row[attr] = v
		}
	}
	sql, args, err := sq.Insert("dunlin.customers").SetMap(row).PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tab.pool.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("insert %v: %v", row, err)
	}
}

// members returns whom Postgres finds.
func (tab *table) members(t *testing.T, r *rule.Rule, env rule.Env) []string {
	t.Helper()
	cond, err := segments.Compile(r, env)
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

// The truths that the evaluator is held to hold in Postgres, too.
func TestCompile_Truths(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("rule/testdata/truths.txt")
	if err != nil {
		t.Fatal(err)
	}
	tab := newTable(t)
	env := rule.Env{Currency: "usd"}
	name, count := "", 0
	for i, line := range strings.Split(string(data), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "at":
			at, zone, _ := strings.Cut(rest, " in ")
			env.Now, env.Zone = mustTime(t, at), mustZone(t, zone)
		case "customer":
			name = fmt.Sprintf("cus_%d", i)
			tab.insert(t, name, readCustomer(t, rest))
		case "true", "false":
			count++
			for _, not := range []bool{false, true} {
				source := rest
				if not {
					source = "not (" + rest + ")"
				}
				got := slices.Contains(tab.members(t, mustRule(t, source), env), name)
				if want := (word == "true") != not; got != want {
					t.Errorf("truths.txt:%d: %s\n got %t\nwant %t", i+1, source, got, want)
				}
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d truths", count)
	}
}

func readCustomer(t *testing.T, text string) customer {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out := customer{}
	for name, v := range raw {
		a, ok := columns.Attribute(name)
		if !ok {
			t.Fatalf("no attribute %q", name)
		}
		var s string
		var err error
		switch a.Type {
		case rule.Boolean:
			out[name] = string(v) == "true"
			continue
		case rule.ListType:
			var list []string
			err = json.Unmarshal(v, &list)
			out[name] = list
		case rule.MapType:
			var m map[string]string
			err = json.Unmarshal(v, &m)
			out[name] = m
		default:
			err = json.Unmarshal(v, &s)
			out[name] = s
		}
		switch a.Type {
		case rule.Number:
			out[name], err = rule.ParseDecimal(s)
		case rule.MoneyType:
			amount, currency, _ := strings.Cut(s, " ")
			var d rule.Decimal
			d, err = rule.ParseDecimal(amount)
			out[name] = rule.Money{Amount: d, Currency: currency}
		case rule.DateType:
			out[name], err = rule.ParseDate(s)
		case rule.InstantType:
			out[name] = mustTime(t, s)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return out
}

// Random rules over random customers: Postgres and the evaluator agree on every
// one. Instants and dates are drawn exactly on, just before and just after the
// bounds that the rules have. What was drawn is the same in every run.
func TestCompile_AgreesWithEval(t *testing.T) {
	t.Parallel()
	const rules, customers = 500, 250
	tab := newTable(t)
	envs := instants(t)
	people := map[string]customer{}
	for i := range customers {
		c := rapid.Custom(func(t *rapid.T) customer { return genCustomer(t, envs) }).Example(i)
		name := fmt.Sprintf("cus_%03d", i)
		tab.insert(t, name, c)
		people[name] = c
	}
	uses, trues := map[string]int{}, map[string]int{}
	triples, onBound, besideBound := 0, 0, 0
	for i := range rules {
		g := rapid.Custom(genRule).Example(i)
		r := mustRule(t, g.source)
		for _, env := range []rule.Env{envs[i%len(envs)], envs[(i*7+3)%len(envs)]} {
			var want []string
			for _, name := range slices.Sorted(maps.Keys(people)) {
				triples++
				if r.Eval(people[name], env) {
					want = append(want, name)
				}
			}
			if got := tab.members(t, r, env); !slices.Equal(got, want) {
				t.Errorf("%s\nat %s in %s\n SQL finds %v\nEval finds %v", g.source, env.Now.Format(time.RFC3339Nano), env.Zone, got, want)
			}
			for _, p := range g.predicates {
				single := mustRule(t, p.source)
				on, beside := boundaries(single, people, env)
				onBound, besideBound = onBound+on, besideBound+beside
				for _, c := range people {
					uses[p.kind]++
					if single.Eval(c, env) {
						trues[p.kind]++
					}
				}
			}
		}
	}
	if triples < 2000 || onBound < 300 || besideBound < 300 {
		t.Errorf("%d triples, %d values on a bound, %d one step beside it", triples, onBound, besideBound)
	}
	for _, kind := range kinds {
		share := 100 * float64(trues[kind.name]) / float64(max(uses[kind.name], 1))
		t.Logf("%-36s true in %5.1f %% of %6d uses", kind.name, share, uses[kind.name])
		if share < 5 || share > 95 {
			t.Errorf("%s was true in %.1f %% of %d uses; the test says little about it", kind.name, share, uses[kind.name])
		}
	}
	t.Logf("%d rules, %d triples, %d values on a bound, %d one step beside it", rules, triples, onBound, besideBound)
}

// boundaries counts the customers whose value is exactly where the predicate's
// moving bound stands, and those a microsecond or a day beside it.
func boundaries(r *rule.Rule, people map[string]customer, env rule.Env) (on, beside int) {
	var ref *rule.Ref
	var bounds []rule.Bound
	switch e := r.Tree().Root.(type) {
	case *rule.Compare:
		left, right := e.Left, e.Right
		if _, ok := right.(*rule.Ref); ok {
			left, right = right, left
		}
		ref, _ = left.(*rule.Ref)
		if b, ok := rule.BoundOf(right, env); ok {
			bounds = append(bounds, b)
		}
	case *rule.Within:
		ref = e.X.(*rule.Ref)
		from, to := rule.WindowOf(e, r.TypeOf(ref), env)
		bounds = append(bounds, from, to)
	}
	for _, bound := range bounds {
		o, b := atBound(ref.Name, bound, people, env)
		on, beside = on+o, beside+b
	}
	return on, beside
}

func atBound(name string, bound rule.Bound, people map[string]customer, env rule.Env) (on, beside int) {
	for _, c := range people {
		switch v := c[name].(type) {
		case time.Time:
			distances := []time.Duration{v.Sub(bound.Instant)}
			if bound.IsDate() {
				distances = []time.Duration{v.Sub(bound.Date.In(env.Zone)), v.Sub(bound.Date.AddDays(1).In(env.Zone))}
			}
			for _, d := range distances {
				switch d {
				case 0:
					on++
				case time.Microsecond, -time.Microsecond:
					beside++
				}
			}
		case rule.Date:
			switch v {
			case bound.Date:
				on++
			case bound.Date.AddDays(1), bound.Date.AddDays(-1):
				beside++
			}
		}
	}
	return on, beside
}

// instants are where the rules are evaluated: leap days, month ends, days with
// 23, 24.5 and 25 hours, a midnight that was skipped, and far east and west.
func instants(t *testing.T) []rule.Env {
	t.Helper()
	var envs []rule.Env
	for _, s := range []struct{ at, zone string }{
		{"2026-03-15T12:00:00Z", "Europe/Berlin"},
		{"2026-03-29T00:59:59.999999Z", "Europe/Berlin"},
		{"2026-10-25T01:30:00Z", "Europe/Berlin"},
		{"2026-11-01T06:00:00.000001Z", "America/New_York"},
		{"2024-02-29T23:30:00Z", "Asia/Kathmandu"},
		{"2026-01-31T00:00:00Z", "Pacific/Kiritimati"},
		{"2018-11-04T03:00:00Z", "America/Sao_Paulo"},
		{"2026-04-04T15:00:00Z", "Australia/Lord_Howe"},
		{"2028-12-31T20:15:00Z", "UTC"},
		{"2026-12-31T23:59:59.999999Z", "America/Adak"},
	} {
		envs = append(envs, rule.Env{Now: mustTime(t, s.at), Zone: mustZone(t, s.zone), Currency: "usd"})
	}
	return envs
}

// Positive predicates stay plain, so that an index can serve them.
func TestCompile_UsesIndexes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tab := newTable(t)
	env := rule.Env{Now: mustTime(t, "2026-03-28T12:00:00Z"), Zone: mustZone(t, "Europe/Berlin"), Currency: "usd"}
	tests := []struct{ rule, index string }{
		{"card_expires_at within next 30 days", "(card_expires_at)"},
		{"today() < card_expires_at", "(card_expires_at)"},
		{"next_charge_at = today()", "(next_charge_at)"},
		{"next_charge_at within last 2 hours and not deleted", "(next_charge_at)"},
		{"not (plan != 'Pro' or deleted)", "(plan)"},
		{"plan in ('Pro', 'Team')", "(plan)"},
		{"plan starts with 'Pro'", "(plan text_pattern_ops)"},
		{"email ilike 'ann@%'", `(lower(email collate "C"))`},
		{"mrr between 20 and 200", "(mrr_currency, mrr)"},
		{"open_invoice_count >= 2", "(open_invoice_count)"},
		{"plans contains 'Pro'", "using gin (plans)"},
	}
	conn, err := tab.pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "set enable_seqscan = off"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		// Only the index in question exists, and no primary key to scan instead.
		_, err := conn.Exec(ctx, "create table pg_temp.customers (like dunlin.customers); create index helpful on pg_temp.customers "+tt.index)
		if err != nil {
			t.Fatal(err)
		}
		cond, err := segments.Compile(mustRule(t, tt.rule), env)
		if err != nil {
			t.Fatal(err)
		}
		sql, args, err := sq.Select("1").From("pg_temp.customers c").Where(cond).Prefix("explain").PlaceholderFormat(sq.Dollar).ToSql()
		if err != nil {
			t.Fatal(err)
		}
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); !strings.Contains(text, "Index Cond") {
			t.Errorf("%s\n%s\n%s", tt.rule, sql, text)
		}
		if _, err := conn.Exec(ctx, "drop table pg_temp.customers"); err != nil {
			t.Fatal(err)
		}
	}
}
