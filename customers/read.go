package customers

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// readRecords reads the mirror and the current pictures of these customers, in
// one round trip. Records are in the order of ids. The laterals with their
// offset make one index probe for each customer, always: a plan that was cached
// while the tables were small would otherwise read them whole.
func readRecords(ctx context.Context, tx pgx.Tx, account int, ids []string) ([]record, map[string]Picture, error) {
	records := make([]record, len(ids))
	place := make(map[string]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	current := make(map[string]Picture, len(ids))

	batch := &pgx.Batch{}
	read := func(table, customer string, fields map[string]bool, rowsOf func(*record) *[]row) {
		batch.Queue(`
			select wanted.id, r.*
			from unnest($2::text[]) as wanted (id)
			cross join lateral (
				select id, raw, as_of, deleted from dunlin.`+table+`
				where account_id = $1 and `+customer+` = wanted.id
				offset 0
			) r`, account, ids).Query(func(rows pgx.Rows) error {
			var owner string
			var r row
			_, err := pgx.ForEachRow(rows, []any{&owner, &r.id, &r.raw, &r.asOf, &r.deleted}, func() error {
				if picked, ok := pick(r.raw, fields); ok { // some customers have thousands of charges
					r.raw = picked
				}
				to := rowsOf(&records[place[owner]])
				*to = append(*to, r)
				r.raw = nil
				return nil
			})
			return err
		})
	}
	read("stripe_customers", "id", customerFields, func(r *record) *[]row { return &r.self })
	read("stripe_subscriptions", "customer", subscriptionFields, func(r *record) *[]row { return &r.subscriptions })
	read("stripe_invoices", "customer", invoiceFields, func(r *record) *[]row { return &r.invoices })
	read("stripe_charges", "customer", chargeFields, func(r *record) *[]row { return &r.charges })
	read("stripe_payment_methods", "customer", methodFields, func(r *record) *[]row { return &r.methods })
	batch.Queue(`
		select c.*
		from unnest($2::text[]) as wanted (id)
		cross join lateral (
			select `+columns+` from dunlin.customers c
			where c.account_id = $1 and c.stripe_id = wanted.id
			offset 0
		) c`, account, ids).Query(func(rows pgx.Rows) error {
		pictures, err := readPictures(rows, account)
		for _, p := range pictures {
			current[p.StripeID] = p
		}
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, fmt.Errorf("read the mirror: %w", err)
	}
	return records, current, nil
}

// readShelf reads the products and prices that these customers' subscriptions
// name.
func readShelf(ctx context.Context, tx pgx.Tx, account int, all []*sources) (shelf, error) {
	s := shelf{products: map[string]product{}, prices: map[string]shelfPrice{}}
	for _, customer := range all {
		if customer == nil {
			continue
		}
		for _, sub := range customer.subscriptions {
			for _, it := range sub.Items.Data {
				s.prices[it.Price.ID] = shelfPrice{}
				s.products[it.Price.Product.ID] = product{}
			}
		}
	}
	batch := &pgx.Batch{}
	read := func(table string, ids []string, one func(row) error) {
		batch.Queue(`select id, raw, as_of from dunlin.`+table+` where account_id = $1 and id = any($2)`, account, ids).
			Query(func(rows pgx.Rows) error {
				var r row
				_, err := pgx.ForEachRow(rows, []any{&r.id, &r.raw, &r.asOf}, func() error {
					if err := one(r); err != nil {
						slog.WarnContext(ctx, "mirror row not understood", "account_id", account, "class", table, "id", r.id, "error", err)
					}
					return nil
				})
				return err
			})
	}
	read("stripe_products", slices.Sorted(maps.Keys(s.products)), func(r row) error {
		var p product
		if err := json.Unmarshal(r.raw, &p); err != nil {
			return err
		}
		s.products[r.id] = p
		return nil
	})
	read("stripe_prices", slices.Sorted(maps.Keys(s.prices)), func(r row) error {
		p := shelfPrice{asOf: r.asOf}
		if err := json.Unmarshal(r.raw, &p.price); err != nil {
			return err
		}
		s.prices[r.id] = p
		return nil
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return shelf{}, fmt.Errorf("read products and prices: %w", err)
	}
	return s, nil
}
