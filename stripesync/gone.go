package stripesync

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// vanishing are the classes whose lists leave out what was deleted. Subscriptions
// stay in theirs, canceled, and charges, refunds and disputes are never deleted.
var vanishing = []class{productClass, priceClass, customerClass, invoiceClass}

// findGone reads, one by one, what the mirror has and no list of the run showed:
// deleted, as a rule, while nobody heard of it.
func (s *Sync) findGone(ctx context.Context, run run) error {
	for _, class := range vanishing {
		customer := "''"
		if class.owned() {
			customer = "customer"
		}
		after := ref{class: class}
		for more := true; more; {
			rows, err := s.pool.Query(ctx, `
				select `+customer+`, id from `+class.table()+`
				where account_id = $1 and not deleted and as_of < $2 and (`+customer+`, id) > ($3, $4)
				order by 1, 2 limit $5`, s.account, run.started, after.customer, after.id, batchSize)
			if err != nil {
				return fmt.Errorf("look for %s: %w", class, err)
			}
			var fetches []fetch
			r := ref{class: class}
			if _, err = pgx.ForEachRow(rows, []any{&r.customer, &r.id}, func() error {
				fetches = append(fetches, fetch{ref: r})
				return nil
			}); err != nil {
				return fmt.Errorf("look for %s: %w", class, err)
			}
			if more = len(fetches) == batchSize; len(fetches) > 0 {
				after = fetches[len(fetches)-1].ref
			}
			if err := s.replace(ctx, fetches); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace reads objects and writes what Stripe says of them now.
func (s *Sync) replace(ctx context.Context, fetches []fetch) error {
	if len(fetches) == 0 {
		return nil
	}
	rows, err := s.reread(ctx, fetches)
	if err != nil {
		return err
	}
	return s.storeRead(ctx, rows)
}

// storeRead writes what was read from Stripe whatever the mirror has, and projects
// whom it is about: owners, and who subscribes to a product or price.
func (s *Sync) storeRead(ctx context.Context, rows []row) error {
	touched := owners(rows)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := customers.Lock(ctx, tx, s.account, touched); err != nil {
			return err
		}
		if err := s.writeRead(ctx, tx, rows); err != nil {
			return err
		}
		return s.project(ctx, tx, touched)
	})
	if err != nil {
		return fmt.Errorf("write %d objects: %w", len(rows), err)
	}
	return s.projectSubscribers(ctx, sharedIn(rows))
}

// reread reads objects that the mirror has. One that Stripe has no more is gone.
func (s *Sync) reread(ctx context.Context, fetches []fetch) (rows []row, err error) {
	for f, got := range s.fetchAll(ctx, fetches) {
		switch {
		case got.err != nil:
			return nil, got.err
		case got.raw == nil:
			rows = append(rows, row{ref: f.ref, asOf: got.asOf, deleted: true})
		default:
			rows = append(rows, row{ref: f.ref, raw: got.raw, asOf: got.asOf,
				deleted: f.class == paymentMethodClass && got.head.customer == ""})
		}
	}
	return s.withUnsaid(ctx, rows)
}
