package customers

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// chunk is how many customers are read, derived and written at once.
const chunk = 500

// Project brings these customers' pictures in line with the mirror: it takes
// their [Lock], reads their mirror rows as the transaction sees them, derives
// every attribute, and writes the pictures that differ, with projected_at now
// (business time; nothing is derived from it). It returns the number of
// customers of whom changed_customers was told: those with another value of an
// attribute, by catalog name, or another card, as card_id. A new customer names
// the whole catalog. A change of the state of their address alone is written
// without news, because no rule can read it.
//
// A customer without a mirror row is left out, and so is one whose row cannot be
// understood: its picture stays as it was. Nothing is ever deleted. What could
// not be understood is logged by class and id through the default logger.
func Project(ctx context.Context, tx pgx.Tx, account int, stripeIDs []string, now time.Time) (changed int, err error) {
	ids := slices.Clone(stripeIDs)
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
	if err := Lock(ctx, tx, account, ids); err != nil {
		return 0, err
	}
	for part := range slices.Chunk(ids, chunk) {
		n, err := projectChunk(ctx, tx, account, part, now)
		if err != nil {
			return changed, fmt.Errorf("project %d customers: %w", len(part), err)
		}
		changed += n
	}
	return changed, nil
}

func projectChunk(ctx context.Context, tx pgx.Tx, account int, ids []string, now time.Time) (int, error) {
	records, current, err := readRecords(ctx, tx, account, ids)
	if err != nil {
		return 0, err
	}
	all := decodeAll(ctx, account, records)
	shelf, err := readShelf(ctx, tx, account, all)
	if err != nil {
		return 0, err
	}

	var fresh, updated []Picture
	var news []change
	for i, id := range ids {
		if all[i] == nil {
			continue
		}
		p := all[i].picture(shelf)
		p.Account, p.StripeID = account, id
		was, known := current[id]
		if !known {
			fresh = append(fresh, p)
			continue
		}
		p.Ref = was.Ref
		attributes := differences(was, p)
		if len(attributes) > 0 || was.State != p.State {
			updated = append(updated, p)
		}
		if len(attributes) > 0 {
			news = append(news, change{was.Customer, attributes})
		}
	}
	if err := insertPictures(ctx, tx, account, fresh, now); err != nil {
		return 0, err
	}
	if err := updatePictures(ctx, tx, account, updated, now); err != nil {
		return 0, err
	}
	return len(fresh) + len(news), tell(ctx, tx, account, news)
}

// decodeAll decodes the records side by side and logs what cannot be
// understood. A customer that cannot be is nil, as is one without a row.
func decodeAll(ctx context.Context, account int, records []record) []*sources {
	all := make([]*sources, len(records))
	faults := make([][]fault, len(records))
	workers := min(runtime.GOMAXPROCS(0), len(records))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(records); i += workers {
				all[i], faults[i] = decode(records[i])
			}
		})
	}
	wg.Wait()
	for _, f := range slices.Concat(faults...) {
		slog.WarnContext(ctx, "mirror row not understood", "account_id", account, "class", f.class, "id", f.id, "error", f.err)
	}
	return all
}

// picture resolves and derives.
func (s *sources) picture(shelf shelf) Picture {
	s.resolve(shelf)
	p := Picture{StripeID: s.customer.ID, values: project(s)}
	p.CardID, _ = s.cardID().(string)
	p.State, _ = s.state().(string)
	return p
}

// differences names what a rule or an episode can read and is no longer the
// same.
func differences(was, is Picture) (attributes []string) {
	for i, a := range catalog {
		if !same(was.values[i], is.values[i]) {
			attributes = append(attributes, a.Name)
		}
	}
	if was.CardID != is.CardID {
		attributes = append(attributes, "card_id")
	}
	return attributes
}
