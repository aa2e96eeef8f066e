package customers

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Querier is what a pool, a connection and a transaction share.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// ErrNotFound says that no customer has this id in this account: it may be
// unknown at Stripe, or not projected yet.
var ErrNotFound = errors.New("no such customer")

// Find looks a customer up by its id at Stripe. It fails with [ErrNotFound].
func Find(ctx context.Context, q Querier, account int, stripeID string) (Ref, error) {
	ref := Ref{Account: account}
	err := q.QueryRow(ctx, `
		select customer_id from dunlin.customers
		where account_id = $1 and stripe_id = $2`, account, clean(stripeID)).Scan(&ref.Customer)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Ref{}, fmt.Errorf("find customer %q: %w", stripeID, err)
	}
	return ref, nil
}

// Load reads a customer's picture. It fails with [ErrNotFound].
func Load(ctx context.Context, q Querier, ref Ref) (Picture, error) {
	found, err := LoadAll(ctx, q, []Ref{ref})
	if err != nil {
		return Picture{}, err
	}
	p, ok := found[ref]
	if !ok {
		return Picture{}, fmt.Errorf("load customer %d: %w", ref.Customer, ErrNotFound)
	}
	return p, nil
}

// LoadAll reads the pictures of customers; who is not there is left out.
func LoadAll(ctx context.Context, q Querier, refs []Ref) (map[Ref]Picture, error) {
	byAccount := map[int][]int64{}
	for _, r := range refs {
		byAccount[r.Account] = append(byAccount[r.Account], r.Customer)
	}
	found := make(map[Ref]Picture, len(refs))
	for account, ids := range byAccount {
		rows, err := q.Query(ctx, `
			select `+columns+` from unnest($2::bigint[]) as wanted (customer_id)
			cross join lateral (
				select * from dunlin.customers c
				where c.account_id = $1 and c.customer_id = wanted.customer_id
				offset 0) c`, account, ids)
		if err != nil {
			return nil, fmt.Errorf("load customers: %w", err)
		}
		pictures, err := readPictures(rows, account)
		if err != nil {
			return nil, fmt.Errorf("load customers: %w", err)
		}
		for _, p := range pictures {
			found[p.Ref] = p
		}
	}
	return found, nil
}

// StripeIDs returns the ids at Stripe of customers of an account, by ours.
func StripeIDs(ctx context.Context, q Querier, account int, ids []int64) (map[int64]string, error) {
	rows, err := q.Query(ctx, `
		select c.customer_id, c.stripe_id from unnest($2::bigint[]) as wanted (customer_id)
		cross join lateral (
			select customer_id, stripe_id from dunlin.customers c
			where c.account_id = $1 and c.customer_id = wanted.customer_id
			offset 0) c`, account, ids)
	if err != nil {
		return nil, fmt.Errorf("read the ids of customers: %w", err)
	}
	found := make(map[int64]string, len(ids))
	var id int64
	var stripeID string
	if _, err := pgx.ForEachRow(rows, []any{&id, &stripeID}, func() error { found[id] = stripeID; return nil }); err != nil {
		return nil, fmt.Errorf("read the ids of customers: %w", err)
	}
	return found, nil
}

// SubscribersOf lists, by Stripe id, the customers with a subscription that
// names one of these products or prices: a product's name is part of their
// picture, so they are projected again when it changes. It reads every
// subscription of the account, which is fit for what is as rare.
func SubscribersOf(ctx context.Context, q Querier, account int, ids []string) ([]string, error) {
	rows, err := q.Query(ctx, `
		select distinct s.customer
		from dunlin.stripe_subscriptions s
		where s.account_id = $1
		and exists (select from unnest($2::text[]) id where strpos(s.raw::text, '"' || id || '"') > 0)
		order by s.customer`, account, ids)
	if err != nil {
		return nil, fmt.Errorf("find the subscribers of %v: %w", ids, err)
	}
	subscribers, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find the subscribers of %v: %w", ids, err)
	}
	return subscribers, nil
}
