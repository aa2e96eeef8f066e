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

// Project brings these customers in line with the mirror: it takes their [Lock],
// reads their mirror rows as the transaction sees them, derives every attribute
// and element, and writes the pictures and elements that differ, pictures with
// projected_at now (business time; nothing is derived from it). It returns the
// number of customers of whom changed_customers was told, by catalog name: those
// with another value of an attribute, or another card, as card_id; with elements
// that came or went, as invoices; with another value of an element's field, as
// invoices.status. A new customer is told of as '*' alone. A change of the state
// of their address alone is written without news, because no rule can read it.
//
// A customer without a mirror row is left out, and so is one whose row cannot be
// understood: it stays as it was. No customer is ever deleted. What could not be
// understood is logged by class and id through the default logger.
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

	outcomes := deriveAll(all, ids, shelf, current)
	fresh, err := writePictures(ctx, tx, account, outcomes, now)
	if err != nil {
		return 0, err
	}
	return tellAll(ctx, tx, account, outcomes, fresh)
}

// An outcome is one customer, derived, beside what it was.
type outcome struct {
	was *projection // nil for a new customer
	is  Picture
	elementDelta
	attributes []string // that changed
}

// deriveAll derives what could be decoded and compares it with the last
// projections.
func deriveAll(all []*sources, ids []string, shelf shelf, current []*projection) []*outcome {
	outcomes := make([]*outcome, len(all))
	inParallel(len(all), func(i int) {
		if all[i] == nil {
			return
		}
		o := &outcome{was: current[i], is: all[i].picture(shelf)}
		outcomes[i] = o
		o.is.StripeID = ids[i]
		if o.was == nil {
			o.elementDelta = all[i].compare(nil)
			return
		}
		o.elementDelta = all[i].compare(o.was.elements)
		o.is.Ref, o.customer = o.was.Ref, o.was.Customer
		o.attributes = differences(o.was.Picture, o.is)
		if e := all[i].updatedCard(o.was.Picture, o.is); e != nil {
			o.remember(e, o.was.elements)
		}
	})
	return slices.DeleteFunc(outcomes, func(o *outcome) bool { return o == nil })
}

// writePictures inserts and updates, and tells the news of new customers, whose
// number it returns. Afterwards every outcome knows its customer.
func writePictures(ctx context.Context, tx pgx.Tx, account int, outcomes []*outcome, now time.Time) (fresh int, err error) {
	var inserts, updates []Picture
	for _, o := range outcomes {
		switch {
		case o.was == nil:
			inserts = append(inserts, o.is)
		case len(o.attributes) > 0 || o.was.State != o.is.State:
			updates = append(updates, o.is)
		}
	}
	keys, err := insertPictures(ctx, tx, account, inserts, now)
	if err != nil {
		return 0, err
	}
	for _, o := range outcomes {
		if o.was == nil {
			o.customer = keys[o.is.StripeID]
		}
	}
	if err := updatePictures(ctx, tx, account, updates, now); err != nil {
		return 0, err
	}
	return len(inserts), remember(ctx, tx, account, outcomes, now)
}

// tellAll writes the elements and then the news of customers that are not new.
// It returns how many customers there was news of, new ones included.
func tellAll(ctx context.Context, tx pgx.Tx, account int, outcomes []*outcome, fresh int) (int, error) {
	var deltas []elementDelta
	for _, o := range outcomes {
		if !o.empty() {
			deltas = append(deltas, o.elementDelta)
		}
	}
	elements, err := writeElements(ctx, tx, account, deltas)
	if err != nil {
		return 0, err
	}
	var news []change
	for _, o := range outcomes {
		if o.was == nil {
			continue
		}
		if names := append(o.attributes, elements[o.customer].names()...); len(names) > 0 {
			news = append(news, change{o.customer, names})
		}
	}
	return fresh + len(news), tell(ctx, tx, account, news)
}

// decodeAll decodes the records side by side and logs what cannot be
// understood. A customer that cannot be is nil, as is one without a row.
func decodeAll(ctx context.Context, account int, records []record) []*sources {
	all := make([]*sources, len(records))
	faults := make([][]fault, len(records))
	inParallel(len(records), func(i int) { all[i], faults[i] = decode(records[i]) })
	for _, f := range slices.Concat(faults...) {
		slog.WarnContext(ctx, "mirror row not understood", "account_id", account, "class", f.class, "id", f.id, "error", f.err)
	}
	return all
}

// inParallel calls f for each number below n, on all cores.
func inParallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
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
