package customers

import (
	"context"
	"fmt"
	"time"
)

// ChargesSince counts the account's charges made since an instant, failed ones
// included: what Stripe measures its read allocation by.
func ChargesSince(ctx context.Context, q Querier, account int, since time.Time) (n int64, err error) {
	err = q.QueryRow(ctx, `select count(*) from dunlin.charges where account_id = $1 and created_at >= $2`, account, since).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count charges: %w", err)
	}
	return n, nil
}
