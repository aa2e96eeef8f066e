package customers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments/rule"
)

// Pictures are written many at once, as one JSON document that Postgres types
// by the table's own row type: numbers reach numeric digit for digit.

var insertSQL = func() string {
	to, from := strings.Join(written, ", "), "r."+strings.Join(written, ", r.")
	return `
		with fresh as (
			insert into dunlin.customers (account_id, projected_at, known_since, stripe_id, ` + to + `)
			select $1, $2, $2, r.stripe_id, ` + from + `
			from json_populate_recordset(null::dunlin.customers, $3) r
			returning customer_id, stripe_id
		),
		told as (
			insert into dunlin.changed_customers (account_id, customer_id, attributes)
			select $1, customer_id, array['` + everything + `'] from fresh
		)
		select customer_id, stripe_id from fresh`
}()

var updateSQL = func() string {
	var set strings.Builder
	for _, column := range written {
		set.WriteString(", " + column + " = r." + column)
	}
	return `
		update dunlin.customers c
		set projected_at = $2, known_since = least(c.known_since, $2)` + set.String() + `
		from json_populate_recordset(null::dunlin.customers, $3) r
		where c.account_id = $1 and c.customer_id = r.customer_id`
}()

// written are the columns that a projection sets, besides keys and projected_at.
var written = func() []string {
	var list []string
	for _, a := range catalog {
		if a.Name == "stripe_id" {
			continue
		}
		list = append(list, a.Name)
		if a.Type == rule.MoneyType {
			list = append(list, a.Name+"_currency")
		}
	}
	return append(list, "card_id", "state")
}()

// insertPictures tells their news, too. It returns the new customers by their
// ids at Stripe.
func insertPictures(ctx context.Context, tx pgx.Tx, account int, pictures []Picture, now time.Time) (map[string]int64, error) {
	if len(pictures) == 0 {
		return nil, nil
	}
	document, err := recordset(pictures)
	if err != nil {
		return nil, fmt.Errorf("write new pictures: %w", err)
	}
	rows, err := tx.Query(ctx, insertSQL, account, now, document)
	if err != nil {
		return nil, fmt.Errorf("write new pictures: %w", err)
	}
	keys := make(map[string]int64, len(pictures))
	var customer int64
	var stripeID string
	_, err = pgx.ForEachRow(rows, []any{&customer, &stripeID}, func() error { keys[stripeID] = customer; return nil })
	if err != nil {
		return nil, fmt.Errorf("write new pictures: %w", err)
	}
	return keys, nil
}

func updatePictures(ctx context.Context, tx pgx.Tx, account int, pictures []Picture, now time.Time) error {
	if len(pictures) == 0 {
		return nil
	}
	document, err := recordset(pictures)
	if err == nil {
		// Planned each time: a plan cached while the table was small would read
		// all of the account's customers.
		_, err = tx.Exec(ctx, updateSQL, pgx.QueryExecModeCacheDescribe, account, now, document)
	}
	if err != nil {
		return fmt.Errorf("write changed pictures: %w", err)
	}
	return nil
}

// A change is news of one customer.
type change struct {
	customer   int64
	attributes []string
}

// tell appends news for the tick.
func tell(ctx context.Context, tx pgx.Tx, account int, news []change) error {
	if len(news) == 0 {
		return nil
	}
	type line struct {
		Customer   int64    `json:"customer_id"`
		Attributes []string `json:"attributes"`
	}
	lines := make([]line, len(news))
	for i, n := range news {
		lines[i] = line{n.customer, n.attributes}
	}
	document, err := json.Marshal(lines)
	if err == nil {
		_, err = tx.Exec(ctx, `
			insert into dunlin.changed_customers (account_id, customer_id, attributes)
			select $1, r.customer_id, r.attributes
			from json_to_recordset($2) as r (customer_id bigint, attributes text[])`, account, document)
	}
	if err != nil {
		return fmt.Errorf("tell what changed: %w", err)
	}
	return nil
}

// recordset writes pictures as the JSON that the statements above read: one
// object each, its keys the columns, missing ones absent.
func recordset(pictures []Picture) ([]byte, error) {
	b := bytes.NewBufferString("[")
	for i, p := range pictures {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, `{"customer_id":%d`, p.Customer)
		column := func(name string, v any) error {
			if v == nil {
				return nil
			}
			raw, err := marshal(v)
			b.WriteString(`,"` + name + `":`)
			b.Write(raw)
			return err
		}
		for j, a := range catalog {
			v := p.values[j]
			if m, ok := v.(rule.Money); ok {
				if err := column(a.Name+"_currency", m.Currency); err != nil {
					return nil, err
				}
				v = m.Amount
			}
			if err := column(a.Name, v); err != nil {
				return nil, err
			}
		}
		if err := column("card_id", text(p.CardID)); err != nil {
			return nil, err
		}
		if err := column("state", text(p.State)); err != nil {
			return nil, err
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}
