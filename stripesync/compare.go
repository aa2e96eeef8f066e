package stripesync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	compareBack  = 48 * time.Hour // objects made since then are compared with the lists; products and prices of any age
	comparePages = 20             // of each list at most

	// Of each class so many older objects are read one by one: more where Stripe
	// allows more reads.
	leastSampled, mostSampled, sampledPer = 5, 100, 1000
)

// A Comparison is what comparing the mirror with Stripe found of one class.
type Comparison struct {
	Class    string
	Compared int      // objects
	Differed int      // of them: not in the mirror, or other than at Stripe; repaired
	IDs      []string // of those that differed, at most ten
}

// Compare catches up, and then compares the mirror with Stripe: every object made
// in the last two days, every product and price up to comparePages, and some of
// the older objects, picked at random. What
// differs is repaired and logged: an event that Stripe never sent, or a bug
// (honest-mirror). A class that cannot be read does not keep the others from being
// compared and noted. It finds nothing while another process compares the account.
func (s *Sync) Compare(ctx context.Context) ([]Comparison, error) {
	if ready, err := s.Ready(ctx); err != nil || !ready {
		return nil, err
	}
	unlock, err := s.lockSession(ctx, compareSpace)
	if errors.Is(err, ErrRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare with Stripe: %w", err)
	}
	defer unlock()
	if _, err := s.catchUpAfter(ctx); err != nil {
		return nil, err
	}
	for {
		if n, err := s.Apply(ctx); err != nil {
			return nil, fmt.Errorf("compare with Stripe: %w", err)
		} else if n == 0 {
			break
		}
	}
	defer s.recordReads(ctx)
	use, err := s.Reads(ctx)
	if err != nil {
		return nil, err
	}
	sample := min(max(int(use.Allowed/sampledPer), leastSampled), mostSampled)
	var found []Comparison
	var faults []error
	for _, class := range classes {
		c, err := s.compareClass(ctx, class, sample)
		if err != nil {
			faults = append(faults, fmt.Errorf("compare %s with Stripe: %w", class, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		found = append(found, c)
		if c.Differed > 0 {
			s.logger.Error("the mirror differed from Stripe and is repaired", "account", s.name, "class", c.Class, "compared", c.Compared, "differed", c.Differed, "ids", c.IDs)
		}
	}
	return found, errors.Join(append(faults, s.recordComparisons(ctx, found))...)
}

func (s *Sync) recordComparisons(ctx context.Context, found []Comparison) error {
	batch := &pgx.Batch{}
	now := s.now()
	for _, c := range found {
		batch.Queue(`
			insert into dunlin.stripe_comparisons (account_id, compared_at, class, compared, differed) values ($1, $2, $3, $4, $5)
			on conflict do nothing`, s.account, now, c.Class, c.Compared, c.Differed)
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("record the comparison with Stripe: %w", err)
	}
	return nil
}

func (s *Sync) compareClass(ctx context.Context, class class, sample int) (Comparison, error) {
	c := Comparison{Class: string(class)}
	now := s.now()
	for _, l := range lists {
		if l.class != class {
			continue
		}
		p := &part{list: l, from: now.Add(-compareBack), until: now}
		if class.shared() { // everybody depends on them, and they are few
			p.from = time.Time{}
		}
		for range comparePages {
			page, err := s.readPage(ctx, run{}, p)
			if err != nil {
				return c, err
			}
			if err := s.repair(ctx, &c, page.rows); err != nil {
				return c, err
			}
			if p.cursor = page.last; !page.more {
				break
			}
		}
	}
	rows, err := s.sample(ctx, class, sample)
	if err != nil {
		return c, err
	}
	return c, s.repair(ctx, &c, rows)
}

// sample reads some objects of the mirror from Stripe, picked at random. One that
// Stripe does not have any more is gone.
func (s *Sync) sample(ctx context.Context, of class, n int) ([]row, error) {
	sql, prefix := sampleSQL(of)
	rows, err := s.pool.Query(ctx, sql, s.account, n, prefix)
	if err != nil {
		return nil, fmt.Errorf("pick objects: %w", err)
	}
	var fetches []fetch
	r := ref{class: of}
	_, err = pgx.ForEachRow(rows, []any{&r.customer, &r.id}, func() error {
		fetches = append(fetches, fetch{ref: r, source: of == paymentMethodClass && !strings.HasPrefix(r.id, "pm_")})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("pick objects: %w", err)
	}
	return s.reread(ctx, fetches)
}

// sampleSQL picks the next objects after random ids, after the last one the first:
// two probes of the primary key for each object, however many there are.
func sampleSQL(of class) (sql, prefix string) {
	columns, key, order := "'' as customer, id", "id", "id"
	prefix = map[class]string{customerClass: "cus_", productClass: "prod_", priceClass: "price_"}[of]
	if of.owned() {
		columns, key, order, prefix = "customer, id", "customer", "customer, id", "cus_"
	}
	from := "(select " + columns + " from " + of.table() + " o where account_id = $1 and not deleted"
	if of == paymentMethodClass {
		// The legacy cards of a deleted customer cannot be read any more.
		from += " and not exists (select from dunlin.stripe_customers c where c.account_id = o.account_id and c.id = o.customer and c.deleted)"
	}
	return `
		select distinct m.customer, m.id
		from (select $3 || substr(translate(encode(decode(md5(random()::text || i), 'hex'), 'base64'), '+/=', ''), 1, 6) as after from generate_series(1, $2) i) u
		cross join lateral (` +
		from + " and " + key + " > u.after order by " + order + " limit 1) union all " +
		from + " order by " + order + " limit 1) limit 1) m", prefix
}

// repair compares what Stripe has just said with the mirror, and writes what
// differs. What an event explains that is applied meanwhile is no difference.
func (s *Sync) repair(ctx context.Context, c *Comparison, rows []row) error {
	for _, r := range rows {
		if string(r.class) == c.Class {
			c.Compared++
		}
	}
	wrong := rows
	for _, leave := range []func(context.Context, []row) ([]row, error){s.differing, s.unexplained, s.differing} {
		var err error
		if wrong, err = leave(ctx, wrong); err != nil || len(wrong) == 0 {
			return err
		}
	}
	for _, r := range wrong {
		if string(r.class) == c.Class {
			if c.Differed++; len(c.IDs) < 10 {
				c.IDs = append(c.IDs, r.id)
			}
		}
	}
	if err := s.storeRead(ctx, wrong); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return nil
}

// differing leaves out what the mirror has, or has something of that may be newer.
func (s *Sync) differing(ctx context.Context, rows []row) ([]row, error) {
	var refs []ref
	for _, r := range rows {
		refs = append(refs, r.ref)
	}
	have, err := s.read(ctx, s.pool, refs)
	if err != nil {
		return nil, err
	}
	var wrong []row
	for _, r := range rows {
		h := have[r.ref]
		same := h.found && h.deleted == r.deleted && (r.raw == nil || sameObject(r.class, h.raw, r.raw))
		if !same && (!r.asOf.Before(h.asOf.Add(margin)) || r.asOf.Equal(h.asOf)) {
			wrong = append(wrong, r)
		}
	}
	return wrong, nil
}

// unexplained leaves out the objects of which an event is stored that is not
// applied yet.
func (s *Sync) unexplained(ctx context.Context, rows []row) ([]row, error) {
	var classes, ids []string
	for _, r := range rows {
		classes, ids = append(classes, string(r.class)), append(ids, r.id)
	}
	told, err := s.pool.Query(ctx, `
		select distinct e.class, e.object_id from dunlin.stripe_events e
		where e.account_id = $1 and e.state = 'stored' and (e.class, e.object_id) in (select * from unnest($2::text[], $3::text[]))`, s.account, classes, ids)
	if err != nil {
		return nil, fmt.Errorf("look for unapplied events: %w", err)
	}
	var class, id string
	_, err = pgx.ForEachRow(told, []any{&class, &id}, func() error {
		rows = slices.DeleteFunc(rows, func(r row) bool { return string(r.class) == class && r.id == id })
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for unapplied events: %w", err)
	}
	return rows, nil
}

// sameObject reports whether two texts are one object, expanded or not.
func sameObject(class class, a, b []byte) bool {
	if sameJSON(a, b) {
		return true
	}
	x, errX := unexpanded(class, a)
	y, errY := unexpanded(class, b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// untold are fields that Stripe changes without an event, and that nobody reads.
var untold = map[class][]string{
	customerClass: {"next_invoice_sequence"},
}

// unexpanded decodes an object with ids in place of the objects expanded in it and
// without what no event tells, its numbers digit for digit.
func unexpanded(of class, raw []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	for _, field := range untold[of] {
		delete(object, field)
	}
	for _, field := range expands[of] {
		at, path := object, strings.Split(field, ".")
		for _, step := range path[:len(path)-1] {
			at, _ = at[step].(map[string]any)
		}
		last := path[len(path)-1]
		if inner, ok := at[last].(map[string]any); ok && inner["id"] != nil {
			at[last] = inner["id"]
		}
	}
	return object, nil
}

// LastCompared is what the latest comparison found, by class.
func (s *Sync) LastCompared(ctx context.Context) (at time.Time, found []Comparison, err error) {
	rows, err := s.pool.Query(ctx, `
		select compared_at, class, compared, differed from dunlin.stripe_comparisons
		where account_id = $1 and compared_at = (select max(compared_at) from dunlin.stripe_comparisons where account_id = $1)`, s.account)
	if err != nil {
		return at, nil, fmt.Errorf("read the last comparison with Stripe: %w", err)
	}
	var c Comparison
	_, err = pgx.ForEachRow(rows, []any{&at, &c.Class, &c.Compared, &c.Differed}, func() error {
		found = append(found, c)
		return nil
	})
	if err != nil {
		return at, nil, fmt.Errorf("read the last comparison with Stripe: %w", err)
	}
	slices.SortFunc(found, func(a, b Comparison) int { return strings.Compare(a.Class, b.Class) })
	return at.UTC(), found, nil
}
