package segments_test

import (
	"context"
	"strings"
	"testing"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

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
		{"not plan not in ('Pro', 'Team')", "(plan)"},
		{"not (card_expires_at not within next 30 days or exists (invoices))", "(card_expires_at)"},
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
		if plan := explained(t, conn, "pg_temp.customers c", mustRule(t, tt.rule), env); !strings.Contains(plan, "Index Cond") {
			t.Errorf("%s\n%s", tt.rule, plan)
		}
		if _, err := conn.Exec(ctx, "drop table pg_temp.customers"); err != nil {
			t.Fatal(err)
		}
	}
}

// A tick asks about few customers of many: elements are found by their key, and
// a set's negation is an anti-join.
func TestCompile_UsesKeysOfSets(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tab := newTable(t)
	env := rule.Env{Now: mustTime(t, "2026-03-28T12:00:00Z"), Zone: mustZone(t, "Europe/Berlin"), Currency: "usd"}
	tab.exec(t, `insert into dunlin.customers (account_id, stripe_id, projected_at) select $1, 'cus_' || n, now() from generate_series(1, 5000) n`, tab.account)
	for _, name := range []string{"invoices", "charges"} {
		tab.exec(t, `insert into dunlin.`+name+` (account_id, customer_id, id, created_at)
			select account_id, customer_id, 'x_' || customer_id || '_' || n, now() from dunlin.customers, generate_series(1, 4) n`)
	}
	tab.exec(t, `insert into dunlin.members (account_id, customer_id, generation, joined_at)
		select account_id, customer_id, $1, now() from dunlin.customers where customer_id % 2 = 0`, tab.generations["vip"])
	tab.exec(t, "analyze")
	tests := []struct{ rule, join string }{
		{"exists (invoices where status is null)", "Nested Loop Semi Join"},
		{"not exists (invoices where status = 'open')", "Nested Loop Anti Join"},
		{"not (plan = 'Pro' or exists (invoices))", "Nested Loop Anti Join"},
		{"count(invoices where status = 'open') = 0", "Nested Loop Anti Join"},
		{"plan is null and count(invoices) > 2", "SubPlan"},
		{"sum(invoices.amount_due) > 20 usd", "SubPlan"},
		{"latest(charges.status) = 'failed'", "SubPlan"},
		{"sum(invoices.amount_due) != sum(charges.amount)", "SubPlan"},
		{"in segment 'vip'", "Nested Loop"}, // a member is listed once
		{"not in segment 'vip'", "Nested Loop Anti Join"},
	}
	const byKey = "(account_id = customers.account_id) AND (customer_id = customers.customer_id))"
	conn, err := tab.pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, tt := range tests {
		candidates := "(select * from dunlin.customers where customer_id = any(array[3, 1415, 926])) c"
		plan := explained(t, conn, candidates, mustRule(t, tt.rule), env)
		if !strings.Contains(plan, tt.join) || !strings.Contains(plan, byKey) {
			t.Errorf("%s\nwant a %s by key\n%s", tt.rule, tt.join, plan)
		}
	}
}

func explained(t *testing.T, conn *pgxpool.Conn, table string, r *rule.Rule, env rule.Env) string {
	t.Helper()
	cond, err := segments.Compile(r, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	sql, args, err := sq.Select("1").From(table).Where(cond).Prefix("explain").PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s\n%v", sql, err)
	}
	return sql + "\n" + strings.Join(plan, "\n")
}
