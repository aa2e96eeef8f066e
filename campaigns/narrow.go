package campaigns

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// Narrow says whom the narrow hours of an unknown zone concern.
type Narrow struct {
	Linked    int64 // customers that are a contact
	Unknown   int64 // those of them of whom no zone is known
	Contacted int64 // deliveries that reached these in the time asked for
	Waiting   int64 // those that wait for the narrow hours now, or for a zone
}

// NarrowHours counts customers of whom no zone is known, and what was decided
// under the narrow hours: since an instant, and now (decent-hours).
func NarrowHours(ctx context.Context, q customers.Querier, since time.Time) (Narrow, error) {
	rows, err := q.Query(ctx, `
		with linked as (
			select l.account_id, l.customer_id,
			       l.timezone is null
			       and not coalesce(upper(btrim(c.country)) = any(@known), false)
			       and not coalesce(upper(btrim(l.country)) = any(@known), false) as unknown
			from dunlin.links l join dunlin.customers c using (account_id, customer_id)
			where l.state = 'linked')
		select count(*), count(*) filter (where unknown),
		       (select count(*) from linked join dunlin.deliveries d using (account_id, customer_id)
		        where unknown and d.contacted_at >= @since and d.state in ('claimed', 'sent', 'unknown')),
		       (select count(*) from linked join dunlin.deliveries d using (account_id, customer_id)
		        where unknown and d.state = 'planned' and d.reason = any(@waits))
		from linked`,
		pgx.StrictNamedArgs{"known": slices.Collect(maps.Keys(zoneTables().countries)), "since": since, "waits": []Reason{QuietNow, ZoneUnknown}})
	if err != nil {
		return Narrow{}, fmt.Errorf("count contacts without a zone: %w", err)
	}
	n, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Narrow])
	if err != nil {
		return Narrow{}, fmt.Errorf("count contacts without a zone: %w", err)
	}
	return n, nil
}
