package main

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The customers of a benchmark are made in Postgres, each from a hash of its
// number: the same on every run, and the first ones the same at every size.

// drawSQL is a number below k, by customer and by purpose.
const drawSQL = `
create function pg_temp.draw(n bigint, purpose int, k int) returns int language sql immutable parallel safe
as 'select ((hashint8extended(n, purpose) & 9223372036854775807) % k)::int'`

// Instants are spread to the second, so that every bound passes over about the
// same number of values in any minute. 2,592,000 seconds are thirty days.
const customersSQL = `
insert into dunlin.customers (
	account_id, customer_id, stripe_id, email, name, first_name, country, currency, metadata, deleted, delinquent, account_balance, account_balance_currency,
	plan, plan_price, plan_price_currency, plan_interval, plan_interval_count, subscription_status, subscription_period_start_at, mrr, mrr_currency,
	card_brand, card_last4, card_expires_at, last_charge_amount, last_charge_amount_currency, last_charge_at, lifetime_spend, lifetime_spend_currency,
	open_invoice_amount, open_invoice_amount_currency, open_invoice_count, next_charge_at, card_id, state, projected_at) overriding system value
with drawn as (
	select n,
		(array['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Niklaus'])[1 + pg_temp.draw(n, 1, 7)] as first_name,
		(array['US', 'US', 'DE', 'GB', 'FR', 'NL', 'ES', 'SE'])[1 + pg_temp.draw(n, 2, 8)] as country,
		(array['usd', 'usd', 'usd', 'usd', 'usd', 'usd', 'eur', 'eur', 'eur', 'gbp'])[1 + pg_temp.draw(n, 3, 10)] as currency,
		pg_temp.draw(n, 4, 1000) as status, pg_temp.draw(n, 5, 10000) as plan, pg_temp.draw(n, 6, 100) as interval,
		1 + pg_temp.draw(n, 7, 10) * pg_temp.draw(n, 8, 10) / 20 as quantity
	from generate_series(1, $2::bigint) n),
priced as (
	select *,
		case when status < 740 then 'active' when status < 800 then 'past_due' when status < 840 then 'trialing'
			when status < 842 then 'unpaid' when status < 850 then 'paused' else 'canceled' end as subscription_status,
		case when plan < 5 then 'Legacy' when plan < 4500 then 'Starter' when plan < 7500 then 'Pro' when plan < 9400 then 'Team'
			when plan < 9980 then 'Business' else 'Enterprise' end as plan_name,
		case when plan < 5 then 9 when plan < 4500 then 19 when plan < 7500 then 49 when plan < 9400 then 99
			when plan < 9980 then 249 else 4900 end * case when interval < 80 then 1 else 10 end::numeric as price,
		case when interval < 80 then 'month' else 'year' end as plan_interval
	from drawn)
select $1::int, n, 'cus_' || lpad(to_hex(n), 14, '0'), lower(first_name) || n || '@example.com', first_name || ' Lovelace ' || n, first_name, country, currency,
	case pg_temp.draw(n, 9, 10) when 0 then '{"tier": "gold", "source": "ads"}' when 1 then '{"tier": "silver"}' else '{}' end::jsonb,
	pg_temp.draw(n, 10, 100) = 0, status between 740 and 799 and pg_temp.draw(n, 11, 3) > 0, case when pg_temp.draw(n, 12, 20) = 0 then -10 else 0 end, currency,
	plan_name, price, currency, plan_interval, 1, subscription_status, $3::timestamptz - pg_temp.draw(n, 13, 2592000) * interval '1 second',
	case when status < 800 then round(price * quantity / case plan_interval when 'month' then 1 else 12 end, 2) else 0 end, currency,
	(array['Visa', 'Visa', 'MasterCard', 'American Express'])[1 + pg_temp.draw(n, 14, 4)], lpad(pg_temp.draw(n, 15, 10000)::text, 4, '0'),
	(date_trunc('month', $3::timestamptz) + (pg_temp.draw(n, 16, 48) - 11) * interval '1 month')::date - 1,
	price * quantity, currency, $3::timestamptz - pg_temp.draw(n, 17, 5184000) * interval '1 second', price * quantity * (1 + pg_temp.draw(n, 18, 24)), currency,
	case when pg_temp.draw(n, 19, 100) < 6 then price * quantity end, case when pg_temp.draw(n, 19, 100) < 6 then currency end,
	case when pg_temp.draw(n, 19, 100) < 6 then 1 else 0 end,
	case when status < 840 then $3::timestamptz + pg_temp.draw(n, 20, 2592000) * interval '1 second' end,
	'pm_' || n, case country when 'US' then (array['CA', 'NY', 'TX'])[1 + pg_temp.draw(n, 21, 3)] end, $3
from priced`

var elementsSQL = []string{`
insert into dunlin.subscriptions (
	account_id, customer_id, id, created_at, status, plan, plan_price, plan_price_currency, plan_interval, plan_interval_count, quantity, mrr, mrr_currency, currency,
	period_start_at, period_end_at, trial_ends_at, cancels_at, canceled_at, cancellation_reason, collection_method, collection_paused, metadata)
select account_id, customer_id, 'sub_' || customer_id, subscription_period_start_at - interval '200 days', subscription_status, plan, plan_price, currency, plan_interval, 1,
	1 + pg_temp.draw(customer_id, 30, 10), mrr, mrr_currency, currency, subscription_period_start_at,
	coalesce(next_charge_at, $1::timestamptz + pg_temp.draw(customer_id, 31, 2592000) * interval '1 second'),
	case subscription_status when 'trialing' then next_charge_at end,
	case when subscription_status = 'active' and pg_temp.draw(customer_id, 32, 100) < 3 then $1::timestamptz + pg_temp.draw(customer_id, 33, 5184000) * interval '1 second' end,
	case when subscription_status = 'canceled' then $1::timestamptz - pg_temp.draw(customer_id, 34, 5184000) * interval '1 second' end,
	case when subscription_status = 'canceled' then 'cancellation_requested' end, 'charge_automatically', false, '{}'
from dunlin.customers`, `
insert into dunlin.subscription_items (
	account_id, customer_id, id, created_at, subscription, status, plan, plan_price, plan_price_currency, plan_interval, plan_interval_count,
	quantity, mrr, mrr_currency, product, price, metered)
select account_id, customer_id, 'si_' || customer_id, created_at, id, status, plan, plan_price, currency, plan_interval, 1,
	quantity, mrr, mrr_currency, 'prod_' || plan, 'price_' || plan || plan_interval, false
from dunlin.subscriptions where created_at <= $1`, `
insert into dunlin.invoices (
	account_id, customer_id, id, created_at, number, status, currency, total, total_currency, amount_due, amount_due_currency, amount_paid, amount_paid_currency,
	amount_remaining, amount_remaining_currency, due_at, finalized_at, paid_at, next_payment_attempt_at, attempt_count, collection_method, billing_reason, subscription, metadata)
select account_id, customer_id, 'in_' || customer_id || '_' || k, created_at, 'N-' || customer_id || '-' || k, status, currency, amount, currency, amount, currency,
	case status when 'paid' then amount else 0 end, currency, case status when 'open' then amount else 0 end, currency,
	$1::timestamptz + (pg_temp.draw(customer_id * 2 + k, 40, 5184000) - 2592000) * interval '1 second', created_at + interval '1 hour',
	case status when 'paid' then created_at + pg_temp.draw(customer_id * 2 + k, 41, 2592000) * interval '0.1 second' end,
	case status when 'open' then $1::timestamptz + pg_temp.draw(customer_id * 2 + k, 42, 864000) * interval '1 second' end,
	1, 'charge_automatically', 'subscription_cycle', 'sub_' || customer_id, '{}'
from (
	select account_id, customer_id, k, currency, last_charge_amount as amount,
		$1::timestamptz - pg_temp.draw(customer_id * 2 + k, 43, 5184000) * interval '1 second' as created_at,
		case when k = 0 and open_invoice_count > 0 then 'open' when pg_temp.draw(customer_id * 2 + k, 44, 50) = 0 then 'void' else 'paid' end as status
	from dunlin.customers, lateral generate_series(0, pg_temp.draw(customer_id, 45, 2)) k) x`, `
insert into dunlin.charges (
	account_id, customer_id, id, created_at, status, amount, amount_currency, amount_captured, amount_captured_currency, amount_refunded, amount_refunded_currency,
	currency, captured, refunded, disputed, failure_code, failure_message, payment_method_type, invoice, description, metadata)
select account_id, customer_id, 'ch_' || customer_id || '_' || k, created_at, status, amount, currency, case status when 'succeeded' then amount else 0 end, currency,
	case when pg_temp.draw(customer_id * 2 + k, 50, 50) = 0 then amount else 0 end, currency, currency, status = 'succeeded', pg_temp.draw(customer_id * 2 + k, 50, 50) = 0,
	pg_temp.draw(customer_id * 2 + k, 51, 1000) = 0, case status when 'failed' then 'card_declined' end, case status when 'failed' then 'Your card was declined.' end,
	'card', 'in_' || customer_id || '_0', 'Subscription update', '{}'
from (
	select account_id, customer_id, k, currency, last_charge_amount as amount,
		case k when 0 then last_charge_at else $1::timestamptz - pg_temp.draw(customer_id * 2 + k, 52, 5184000) * interval '1 second' end as created_at,
		case when pg_temp.draw(customer_id * 2 + k, 53, 100) < 5 then 'failed' when pg_temp.draw(customer_id * 2 + k, 53, 100) < 6 then 'pending' else 'succeeded' end as status
	from dunlin.customers, generate_series(0, 1) k) x`}

// fill makes the customers of one ready account, with or without the elements of
// their collections. Secondary indexes come after the rows, which is faster.
func (w *benchWorld) fill(elements bool) {
	began := time.Now()
	conn, err := w.db.Acquire(w.Context())
	w.check(err)
	defer conn.Release()
	f := filling{w, conn}
	f.do(`set synchronous_commit = off`) // for the filling, and this connection, alone
	f.do(`set maintenance_work_mem = '512MB'`)
	f.do(drawSQL)
	indexes := f.dropIndexes()
	f.insert(elements)
	w.progress("%s: %d indexes", w.name, len(indexes))
	for _, create := range indexes {
		f.do(create)
	}
	f.do(`vacuum analyze`)
	f.do(`checkpoint`)
	f.do(`reset synchronous_commit`)
	var size string
	w.row(&size, `select pg_size_pretty(pg_database_size(current_database()))`)
	w.progress("%s: %s customers, %s, in %s", w.name, thousands(w.size), size, time.Since(began).Round(time.Second))
}

// A filling has a connection to itself, for what is set on it.
type filling struct {
	*benchWorld
	conn *pgxpool.Conn
}

func (f filling) do(sql string, args ...any) {
	f.Helper()
	_, err := f.conn.Exec(f.Context(), sql, args...)
	f.check(err)
}

// dropIndexes drops those that no constraint needs, and returns how to make them
// again.
func (f filling) dropIndexes() (creates []string) {
	rows, err := f.conn.Query(f.Context(), `
		select indexdef, format('drop index %I.%I', schemaname, indexname) from pg_indexes
		where schemaname = 'dunlin' and tablename in ('customers', 'subscriptions', 'subscription_items', 'invoices', 'charges')
		  and not exists (select from pg_constraint where conname = indexname)
		order by indexname`)
	f.check(err)
	var create, drop string
	var drops []string
	_, err = pgx.ForEachRow(rows, []any{&create, &drop}, func() error {
		creates, drops = append(creates, create), append(drops, drop)
		return nil
	})
	f.check(err)
	for _, drop := range drops {
		f.do(drop)
	}
	return creates
}

func (f filling) insert(elements bool) {
	var account int
	f.row(&account, `insert into dunlin.accounts (name, created_at, mirrored_at, ready_at) values ($1, $2, $2, $2) returning account_id`, accountName, f.now)
	if account != 1 {
		f.Fatalf("the account is %d; the rules written by hand say 1", account)
	}
	f.do(customersSQL, account, f.size, f.now)
	f.do(`select setval(pg_get_serial_sequence('dunlin.customers', 'customer_id'), $1)`, f.size)
	if !elements {
		return
	}
	for _, sql := range elementsSQL {
		table, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(sql), "insert into "), " ")
		f.progress("%s: %s", f.name, table)
		f.do(sql, f.now)
	}
}
