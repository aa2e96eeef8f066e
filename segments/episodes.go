package segments

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// episodes logs the members whose card or invoices changed, of every segment:
// what makes another enrollment of theirs legitimate may be there now, or may be
// gone. Who joined in this tick is logged as that, and who was not told of
// joining is not logged.
func (e *evaluation) episodes(ctx context.Context) error {
	var begun []customers.Ref
	for i, names := range e.news.names {
		if slices.ContainsFunc(names, beginsEpisode) {
			begun = append(begun, e.news.refs[i])
		}
	}
	if len(begun) == 0 {
		return nil
	}
	accounts, ids := Columns(begun)
	rows, err := e.tx.Query(ctx, `
		with logged as (
			insert into dunlin.membership_log (account_id, customer_id, segment, tick_id, change, at)
			select m.account_id, m.customer_id, s.name, $3, 'episode', $4
			from unnest($1::int[], $2::bigint[]) as w (account_id, customer_id)
			cross join lateral (
				select m.* from dunlin.members m where m.account_id = w.account_id and m.customer_id = w.customer_id offset 0) m
			join dunlin.segments s using (generation)
			where s.told_customer is null or (m.account_id, m.customer_id) <= (s.told_account, s.told_customer)
			on conflict do nothing
			returning segment)
		select segment, count(*) from logged group by segment`, accounts, ids, e.tick.ID, e.tick.At)
	if err != nil {
		return fmt.Errorf("log episodes: %w", err)
	}
	var segment string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&segment, &n}, func() error { e.tick.Moved[segment] += n; return nil }); err != nil {
		return fmt.Errorf("log episodes: %w", err)
	}
	return nil
}

// beginsEpisode says whether a name of the news is about what can make an episode:
// the card, invoices, or a subscription that came or went.
func beginsEpisode(name string) bool {
	return name == everything || name == "card_id" || name == "card_expires_at" || name == "invoices" ||
		name == "subscriptions" || name == "subscriptions.status" || strings.HasPrefix(name, "invoices.")
}
