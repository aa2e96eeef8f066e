package customers

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dunlin/dunlin/internal/jsonpick"
)

// A projection is what is known of a customer from the last time.
type projection struct {
	Picture
	elements map[elementKey]int64 // fingerprints of the rows; nil when there are none
}

// readRecords reads the mirror and the last projections of these customers, in
// one round trip. Both are in the order of ids, which are sorted; what is not
// there is nil. The laterals with their offset make one index probe for each
// customer, always: a plan that was cached while the tables were small would
// otherwise read them whole. Behind a select the array's length is hidden from
// the planner, which would plan anew each time for one that is short.
func readRecords(ctx context.Context, tx pgx.Tx, account int, ids []string) ([]record, []*projection, error) {
	records := make([]record, len(ids))
	current := make([]*projection, len(ids))
	var slab slab

	batch := &pgx.Batch{}
	read := func(table, customer string, fields wanted, rowsOf func(*record) *[]row) {
		batch.Queue(`
			select wanted.place, r.*
			from unnest((select $2::text[])) with ordinality as wanted (id, place)
			cross join lateral (
				select id, raw, as_of, deleted from dunlin.`+table+`
				where account_id = $1 and `+customer+` = wanted.id
				offset 0
			) r`, account, ids).Query(func(rows pgx.Rows) error {
			var place int
			var r row
			var raw pgtype.DriverBytes
			_, err := pgx.ForEachRow(rows, []any{&place, &r.id, &raw, &r.asOf, &r.deleted}, func() error {
				r.raw, r.picked = slab.pick(raw, fields) // some customers have thousands of charges
				to := rowsOf(&records[place-1])
				*to = append(*to, r)
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
	read("stripe_refunds", "customer", refundFields, func(r *record) *[]row { return &r.refunds })
	read("stripe_disputes", "customer", disputeFields, func(r *record) *[]row { return &r.disputes })
	read("stripe_subscription_items", "customer", itemFields, func(r *record) *[]row { return &r.items })
	batch.Queue(`
		select c.*
		from unnest((select $2::text[])) as wanted (id)
		cross join lateral (
			select `+columns+` from dunlin.customers c
			where c.account_id = $1 and c.stripe_id = wanted.id
			offset 0
		) c`, account, ids).Query(func(rows pgx.Rows) error {
		pictures, err := readPictures(rows, account)
		for _, p := range pictures {
			if i, ok := slices.BinarySearch(ids, p.StripeID); ok {
				current[i] = &projection{Picture: p}
			}
		}
		return err
	})
	batch.Queue(fingerprintsSQL, account, ids).Query(func(rows pgx.Rows) error {
		var place int
		var key elementKey
		var print int64
		_, err := pgx.ForEachRow(rows, []any{&place, &key.collection, &key.id, &print}, func() error {
			c := current[place-1]
			switch {
			case c == nil: // made since, by somebody who did not ask for the lock
				return nil
			case c.elements == nil:
				c.elements = make(map[elementKey]int64, 16)
			}
			c.elements[key] = print
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, fmt.Errorf("read the mirror: %w", err)
	}
	return records, current, nil
}

// A slab is memory for what is picked of many rows, taken in large pieces.
type slab struct{ free []byte }

// pick is [jsonpick.Pick], or a copy of all of raw where it makes nothing.
func (s *slab) pick(raw []byte, fields wanted) (picked []byte, ok bool) {
	if cap(s.free) < len(raw) {
		s.free = make([]byte, 0, max(64<<10, len(raw)))
	}
	picked, ok = jsonpick.Append(s.free, raw, fields)
	if !ok {
		picked = append(s.free, raw...)
	}
	s.free = picked[len(picked):]
	return picked[:len(picked):len(picked)], ok
}

// fingerprintsSQL reads what the elements of customers were, collection by
// collection: one index probe for each customer and collection.
var fingerprintsSQL = func() string {
	var union []string
	for i, c := range collections {
		union = append(union, fmt.Sprintf(`
				select %d::int as collection, id, fingerprint from dunlin.%s
				where account_id = $1 and customer_id = c.customer_id`, i, c.Name))
	}
	return `
		select wanted.place, e.*
		from unnest((select $2::text[])) with ordinality as wanted (id, place)
		cross join lateral (
			select customer_id from dunlin.customers
			where account_id = $1 and stripe_id = wanted.id
			offset 0
		) c
		cross join lateral (` + strings.Join(union, `
				union all`) + `
			offset 0
		) e`
}()

// readShelf reads the account's name, and the products and prices that these
// customers' subscriptions name.
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
	batch.Queue(`select name from dunlin.accounts where account_id = $1`, account).
		QueryRow(func(row pgx.Row) error { return row.Scan(&s.account) })
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
		return shelf{}, fmt.Errorf("read the account, products and prices: %w", err)
	}
	return s, nil
}
