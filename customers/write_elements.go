package customers

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments/rule"
)

// A collectionNews is what happened to one customer's elements of a collection.
type collectionNews struct {
	moved  bool   // elements came or went
	fields uint64 // a bit for each field, by place, that changed in some element
}

// elementNews is what happened to one customer's elements, by collection.
type elementNews []collectionNews

// names are the catalog's: invoices when some came or went, invoices.status when
// that of one that stayed is another.
func (n elementNews) names() (names []string) {
	for i, c := range n {
		if c.moved {
			names = append(names, collections[i].Name)
		}
		for j, f := range collections[i].Fields {
			if c.fields>>j&1 == 1 {
				names = append(names, collections[i].Name+"."+f.Name)
			}
		}
	}
	return names
}

// elementColumns are a collection's columns, in the order of COPY's line.
func elementColumns(c *collection) (list []string) {
	for _, f := range c.Fields {
		list = append(list, f.Name)
		if f.Type == rule.MoneyType {
			list = append(list, f.Name+"_currency")
		}
	}
	return list
}

// writeElements makes rows what the deltas say, and returns the news of each
// customer. A changed row is deleted, which tells what it was, and comes again
// with the new ones: an update would touch as many indexes, and COPY is what
// Postgres reads fastest.
func writeElements(ctx context.Context, tx pgx.Tx, account int, deltas []elementDelta) (map[int64]elementNews, error) {
	news := make(map[int64]elementNews, len(deltas))
	for i := range deltas {
		d := &deltas[i]
		if d.empty() {
			continue
		}
		n := make(elementNews, len(collections))
		for _, w := range d.write {
			n[w.collection].moved = n[w.collection].moved || !w.known
		}
		for _, g := range d.gone {
			n[g.collection].moved = true
		}
		news[d.customer] = n
	}
	for i := range collections {
		if err := takeElements(ctx, tx, account, i, deltas, news); err != nil {
			return nil, fmt.Errorf("write %s: %w", collections[i].Name, err)
		}
		if err := putElements(ctx, tx, account, i, deltas); err != nil {
			return nil, fmt.Errorf("write %s: %w", collections[i].Name, err)
		}
	}
	return news, nil
}

var takeSQL = func() (list []string) {
	for i := range collections {
		c := &collections[i]
		list = append(list, `
			delete from dunlin.`+c.Name+` e
			using unnest($2::bigint[], $3::text[]) as k (customer_id, id)
			where e.account_id = $1 and e.customer_id = k.customer_id and e.id = k.id
			returning e.customer_id, `+cellColumns("e", c.Fields))
	}
	return list
}()

// takeElements deletes the rows of one collection that are gone or not as they
// were, and notes in which fields the latter changed.
func takeElements(ctx context.Context, tx pgx.Tx, account, collection int, deltas []elementDelta, news map[int64]elementNews) error {
	type key struct {
		customer int64
		id       string
	}
	type now struct {
		sources *sources
		at      int
	}
	var owners []int64
	var ids []string
	changed := map[key]now{}
	for _, d := range deltas {
		for _, w := range d.write {
			if w.collection == collection && w.known {
				owners, ids = append(owners, d.customer), append(ids, w.id)
				changed[key{d.customer, w.id}] = now{d.sources, w.at}
			}
		}
		for _, g := range d.gone {
			if g.collection == collection {
				owners, ids = append(owners, d.customer), append(ids, g.id)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}

	// Planned each time, as updatePictures is.
	rows, err := tx.Query(ctx, takeSQL[collection], pgx.QueryExecModeCacheDescribe, account, owners, ids)
	if err != nil {
		return err
	}
	c := &collections[collection]
	var owner int64
	cells := newCells([]any{&owner}, c.Fields)
	was, is := make([]any, len(c.Fields)), make([]any, len(c.Fields))
	_, err = pgx.ForEachRow(rows, cells.targets, func() error {
		if err := cells.values(was); err != nil {
			return err
		}
		id, _ := was[0].(string)
		n, ok := changed[key{owner, id}]
		if !ok {
			return nil // gone
		}
		c.derive(n.sources, n.at, is)
		for i := range is {
			if !same(was[i], exact(is[i])) {
				news[owner][collection].fields |= 1 << i
			}
		}
		return nil
	})
	return err
}

var putSQL = func() (list []string) {
	for i := range collections {
		c := &collections[i]
		list = append(list, `copy dunlin.`+c.Name+` (account_id, customer_id, fingerprint, `+strings.Join(elementColumns(c), ", ")+`) from stdin`)
	}
	return list
}()

// putElements writes the rows of one collection that are new or were taken.
func putElements(ctx context.Context, tx pgx.Tx, account, collection int, deltas []elementDelta) error {
	var document []byte
	for i := range deltas {
		d := &deltas[i]
		for _, w := range d.write {
			if w.collection != collection {
				continue
			}
			document = append(strconv.AppendInt(document, int64(account), 10), '\t')
			document = append(strconv.AppendInt(document, d.customer, 10), '\t')
			document = append(strconv.AppendInt(document, w.print, 10), '\t')
			document = append(append(document, w.line...), '\n')
		}
	}
	if document == nil {
		return nil
	}
	_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(document), putSQL[collection])
	return err
}
