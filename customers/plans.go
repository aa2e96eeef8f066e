package customers

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// maxPlans is with how many plans their names are still worth checking.
const maxPlans = 5000

// Plans lists what plan can be, sorted: of every price in the mirror, archived
// ones too, what it is called. It is nil, for any text, while no price is there
// and when they are too many.
func Plans(ctx context.Context, q Querier) ([]string, error) {
	rows, err := q.Query(ctx, `
		with named as (
			select coalesce(nullif(p.raw ->> 'nickname', ''), nullif(o.raw ->> 'name', ''), p.id) as plan
			from dunlin.stripe_prices p
			left join dunlin.stripe_products o on o.account_id = p.account_id
			     and o.id = case json_typeof(p.raw -> 'product') when 'object' then p.raw -> 'product' ->> 'id' else p.raw ->> 'product' end)
		select distinct plan from named order by 1 limit $1`, maxPlans+1)
	if err != nil {
		return nil, fmt.Errorf("list plans: %w", err)
	}
	plans, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list plans: %w", err)
	}
	if len(plans) == 0 || len(plans) > maxPlans {
		return nil, nil
	}
	return plans, nil
}
