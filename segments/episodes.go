package segments

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// episodes logs the members whose card or invoices changed: what makes another
// enrollment of theirs legitimate may be there now, or may be gone. Who joined in
// this tick is logged as that, and who was not told of joining is not logged.
func (e *evaluation) episodes(ctx context.Context, s *state) error {
	if e.begun == nil {
		e.begun = e.news.refs[:0:0]
		for i, names := range e.news.names {
			if slices.ContainsFunc(names, beginsEpisode) {
				e.begun = append(e.begun, e.news.refs[i])
			}
		}
	}
	if len(e.begun) == 0 {
		return nil
	}
	accounts, ids := Columns(e.begun)
	tag, err := e.tx.Exec(ctx, `
		insert into dunlin.membership_log (account_id, customer_id, segment, tick_id, change, at)
		select w.account_id, w.customer_id, $3, $4, 'episode', $5
		from unnest($1::int[], $2::bigint[]) as w (account_id, customer_id)
		where (w.account_id, w.customer_id) <= ($7, $8)
		  and (select true from dunlin.members m where m.account_id = w.account_id and m.customer_id = w.customer_id and m.generation = $6)
		on conflict do nothing`, accounts, ids, s.Name, e.tick.ID, e.tick.At, s.live.ID, s.told.Account, s.told.Customer)
	if err != nil {
		return fmt.Errorf("log episodes: %w", err)
	}
	if n := tag.RowsAffected(); n > 0 {
		e.tick.Moved[s.Name] += n
	}
	return nil
}

// beginsEpisode says whether a name of the news is about the card that makes an
// episode, or about invoices.
func beginsEpisode(name string) bool {
	return name == everything || name == "card_id" || name == "card_expires_at" || name == "invoices" || strings.HasPrefix(name, "invoices.")
}
