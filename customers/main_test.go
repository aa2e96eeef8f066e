package customers

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var projected = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// newAccount makes a database with one account.
func newAccount(t testing.TB) (*pgxpool.Pool, int) {
	t.Helper()
	pool := pgtest.New(t)
	var account int
	if err := pool.QueryRow(t.Context(), `
		insert into dunlin.accounts (name, created_at) values ('shop', $1) returning account_id`, projected).Scan(&account); err != nil {
		t.Fatal(err)
	}
	return pool, account
}

// store writes rows of one class as stripesync would; the newest stays.
func store(t testing.TB, q Querier, account int, table, customer string, raws ...string) {
	t.Helper()
	for _, r := range rowsOf(raws...) {
		owner, key := "customer, ", "account_id, customer, id"
		args := []any{account, r.id, string(r.raw), r.asOf, r.deleted}
		value := ""
		switch table {
		case "stripe_customers", "stripe_products", "stripe_prices":
			owner, key = "", "account_id, id"
		default:
			value, args = "$6, ", append(args, customer)
		}
		if _, err := q.Exec(t.Context(), `
			insert into dunlin.`+table+` (account_id, `+owner+`id, raw, as_of, deleted)
			values ($1, `+value+`$2, $3, $4, $5)
			on conflict (`+key+`) do update set raw = excluded.raw, as_of = excluded.as_of, deleted = excluded.deleted`, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// storeMirror writes everything of one customer.
func storeMirror(t testing.TB, q Querier, account int, customer string, m mirror) {
	t.Helper()
	store(t, q, account, "stripe_customers", customer, m.customer)
	store(t, q, account, "stripe_subscriptions", customer, m.subscriptions...)
	store(t, q, account, "stripe_invoices", customer, m.invoices...)
	store(t, q, account, "stripe_charges", customer, m.charges...)
	store(t, q, account, "stripe_payment_methods", customer, m.methods...)
	store(t, q, account, "stripe_refunds", customer, m.refunds...)
	store(t, q, account, "stripe_disputes", customer, m.disputes...)
	store(t, q, account, "stripe_products", customer, m.products...)
	store(t, q, account, "stripe_prices", customer, m.prices...)
}

// projectAll runs one projection in its own transaction.
func projectAll(t testing.TB, pool *pgxpool.Pool, account int, ids ...string) (changed int) {
	t.Helper()
	if err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) (err error) {
		changed, err = Project(t.Context(), tx, account, ids, projected)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return changed
}

func load(t testing.TB, q Querier, account int, stripeID string) Picture {
	t.Helper()
	ref, err := Find(t.Context(), q, account, stripeID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Load(t.Context(), q, ref)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// news takes what changed_customers was told, as the tick does, oldest first.
func news(t testing.TB, q Querier, account int) (all [][]string) {
	t.Helper()
	rows, err := q.Query(t.Context(), `
		with taken as (delete from dunlin.changed_customers where account_id = $1 returning change_id, attributes)
		select attributes from taken order by change_id`, account)
	if err != nil {
		t.Fatal(err)
	}
	all, err = pgx.AppendRows(all, rows, pgx.RowTo[[]string])
	if err != nil {
		t.Fatal(err)
	}
	return all // nil without news
}

// fullMirror is a customer of whom every attribute is known.
func fullMirror(id string) mirror {
	sub := "sub_" + id
	return mirror{
		customer: `{"id":"` + id + `","object":"customer","name":"Jane Doe","email":"Jane@Example.com","currency":"usd","balance":-1250,
			"delinquent":true,"livemode":true,"created":1600000000,"address":{"country":"US","state":"CA"},"metadata":{"tier":"pro","quote":"\"<&\u2028"},
			"invoice_settings":{"default_payment_method":"pm_` + id + `"}}`,
		subscriptions: []string{subJSON(sub, "past_due", `,"currency":"usd","trial_end":1760000000,"cancel_at":1799000000,"canceled_at":1780000001,
			"cancellation_details":{"reason":"cancellation_requested"},"discount":{"coupon":{"id":"SPRING","name":"Spring","duration":"repeating","percent_off":10},"end":1795000000}`, itemJSON("si", priceJSON("price_1", "usd", "null", "month/3", `,"unit_amount_decimal":"4900.0381"`), `,"quantity":3`))},
		invoices: []string{invoiceJSON("in_"+id, "open", "usd", 14700, `,"next_payment_attempt":1790259200,"due_date":1790086400,"attempt_count":2`), invoiceJSON("in_2"+id, "paid", "usd", 0, "")},
		charges:  []string{chargeJSON("ch_"+id, "succeeded", "usd", 14700, 100, 1780000000, ""), chargeJSON("ch_2"+id, "failed", "usd", 14700, 0, 1790000000, `,"outcome":{"reason":"insufficient_funds"},"failure_code":"card_declined"`)},
		methods:  []string{walletPM("pm_" + id)},
		products: []string{`{"id":"prod_1","object":"product","name":"Team"}`},
	}
}
