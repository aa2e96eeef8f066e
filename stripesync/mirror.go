package stripesync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

// A row is what is to be written about one object. Without raw it only says that
// the object is gone: the mirror keeps what it last was.
type row struct {
	ref
	raw     []byte
	asOf    time.Time
	deleted bool
}

// write upserts rows, the newest as_of winning, and of equal ones the later
// write: they were decided about, against what the mirror has. The caller holds
// the lock of the customers they belong to. Rows of one object are reduced to the
// newest first.
func (s *Sync) write(ctx context.Context, tx pgx.Tx, rows []row) error {
	return s.writeNewer(ctx, tx, rows, 0)
}

// writeRead is write for what was read from Stripe whatever the mirror has. Within
// the margin it may have been read before the change that the mirror knows of by
// an event, so that the mirror's stays: of a change since then an event tells.
func (s *Sync) writeRead(ctx context.Context, tx pgx.Tx, rows []row) error {
	return s.writeNewer(ctx, tx, rows, margin)
}

// writeNewer upserts rows that are newer than the mirror's by so much or more, or
// of the same instant.
func (s *Sync) writeNewer(ctx context.Context, tx pgx.Tx, rows []row, by time.Duration) error {
	rows = newestOf(rows)
	batch := &pgx.Batch{}
	for _, class := range classes {
		var whole, gone []row
		for _, r := range rows {
			switch {
			case r.class != class:
			case r.raw == nil:
				gone = append(gone, r)
			default:
				whole = append(whole, r)
			}
		}
		s.queueUpsert(batch, class, whole, by)
		s.queueGone(batch, class, gone, by)
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write %d objects: %w", len(rows), err)
	}
	return nil
}

// newestOf keeps one row for each object that has JSON, and one for each that is
// gone, in the order in which rows are locked.
func newestOf(rows []row) []row {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(
			cmp.Compare(a.class, b.class), cmp.Compare(a.customer, b.customer), cmp.Compare(a.id, b.id),
			compareBool(a.raw == nil, b.raw == nil), b.asOf.Compare(a.asOf),
		)
	})
	return slices.CompactFunc(rows, func(a, b row) bool { return a.ref == b.ref && (a.raw == nil) == (b.raw == nil) })
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (s *Sync) queueUpsert(batch *pgx.Batch, class class, rows []row, by time.Duration) {
	if len(rows) == 0 {
		return
	}
	key, columns, from := "account_id, id", "", ""
	if class.owned() {
		key, columns, from = "account_id, customer, id", "customer, ", "u.customer, "
	}
	batch.Queue(`
		insert into `+class.table()+` as m (account_id, `+columns+`id, raw, as_of, deleted)
		select @account, `+from+`u.id, u.raw::json, u.as_of, u.deleted
		from unnest(@customers::text[], @ids::text[], @raws::text[], @as_ofs::timestamptz[], @deleted::boolean[])
			as u (customer, id, raw, as_of, deleted)
		order by u.customer, u.id
		on conflict (`+key+`) do update
		set raw = excluded.raw, as_of = excluded.as_of, deleted = excluded.deleted
		where excluded.as_of >= m.as_of + @by::interval or excluded.as_of = m.as_of`, s.newerArgs(rows, by))
	if class == chargeClass || class == invoiceClass {
		// A guest's charge can be given a customer: its first row goes.
		batch.Queue(`
			delete from `+class.table()+` m
			using unnest(@customers::text[], @ids::text[], @raws::text[], @as_ofs::timestamptz[], @deleted::boolean[])
				as u (customer, id, raw, as_of, deleted)
			where m.account_id = @account and m.customer = '' and m.id = u.id and u.customer <> ''`, s.rowArgs(rows))
	}
}

func (s *Sync) queueGone(batch *pgx.Batch, class class, rows []row, by time.Duration) {
	if len(rows) == 0 {
		return
	}
	same := "m.id = u.id"
	if class.owned() {
		same = "m.customer = u.customer and m.id = u.id"
	}
	batch.Queue(`
		update `+class.table()+` m set deleted = true, as_of = u.as_of
		from unnest(@customers::text[], @ids::text[], @raws::text[], @as_ofs::timestamptz[], @deleted::boolean[])
			as u (customer, id, raw, as_of, deleted)
		where m.account_id = @account and `+same+` and (u.as_of >= m.as_of + @by::interval or u.as_of = m.as_of)`, s.newerArgs(rows, by))
}

func (s *Sync) rowArgs(rows []row) pgx.StrictNamedArgs {
	n := len(rows)
	owners, ids, raws := make([]string, n), make([]string, n), make([]string, n)
	asOfs, deleted := make([]time.Time, n), make([]bool, n)
	for i, r := range rows {
		owners[i], ids[i], raws[i], asOfs[i], deleted[i] = r.customer, r.id, string(r.raw), r.asOf, r.deleted
	}
	return pgx.StrictNamedArgs{
		"account": s.account, "customers": owners, "ids": ids, "raws": raws, "as_ofs": asOfs, "deleted": deleted,
	}
}

func (s *Sync) newerArgs(rows []row, by time.Duration) pgx.StrictNamedArgs {
	args := s.rowArgs(rows)
	args["by"] = by
	return args
}

// sender is what a pool and a transaction share.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// read returns what the mirror has of these objects. Objects it does not have
// are left out.
func (s *Sync) read(ctx context.Context, q sender, refs []ref) (map[ref]held, error) {
	found := make(map[ref]held, len(refs))
	batch := &pgx.Batch{}
	for _, class := range classes {
		var owners, ids []string
		for _, r := range refs {
			if r.class == class {
				owners, ids = append(owners, r.customer), append(ids, r.id)
			}
		}
		if ids == nil {
			continue
		}
		same := "m.id = u.id"
		if class.owned() {
			same = "m.customer = u.customer and m.id = u.id"
		}
		batch.Queue(`
			select u.customer, m.id, m.raw::text, m.as_of, m.deleted
			from unnest($2::text[], $3::text[]) as u (customer, id)
			join `+class.table()+` m on m.account_id = $1 and `+same,
			s.account, owners, ids).Query(func(rows pgx.Rows) error {
			r, h := ref{class: class}, held{found: true}
			var raw string
			_, err := pgx.ForEachRow(rows, []any{&r.customer, &r.id, &raw, &h.asOf, &h.deleted}, func() error {
				h.raw = []byte(raw)
				found[r] = h
				return nil
			})
			return err
		})
	}
	if batch.Len() == 0 {
		return found, nil
	}
	if err := q.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("read the mirror: %w", err)
	}
	return found, nil
}

// owners lists the customers whose picture these rows are part of, sorted.
func owners(rows []row) []string {
	var ids []string
	for _, r := range rows {
		switch {
		case r.class == customerClass:
			ids = append(ids, r.id)
		case r.class.owned() && r.customer != "":
			ids = append(ids, r.customer)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// project brings customers in line with the mirror and tells the tick, in the
// transaction that wrote them. Before the first full sync is in the mirror it
// does nothing: the end of the backfill projects everybody. The share lock makes
// that end wait for this transaction, so nobody falls between the two.
func (s *Sync) project(ctx context.Context, tx pgx.Tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if !s.mirrored.Load() {
		var mirrored bool
		err := tx.QueryRow(ctx, `
			select mirrored_at is not null from dunlin.accounts where account_id = $1 for share`,
			s.account).Scan(&mirrored)
		if err != nil {
			return fmt.Errorf("look how far account %q is mirrored: %w", s.name, err)
		}
		if !mirrored {
			return nil
		}
		s.mirrored.Store(true) // it never goes back
	}
	changed, err := customers.Project(ctx, tx, s.account, ids, s.now())
	if err != nil || changed == 0 {
		return err
	}
	return s.pokeTick(ctx, tx)
}
