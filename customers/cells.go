package customers

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dunlin/dunlin/segments/rule"
)

// columns reads a picture from dunlin.customers c, in the order in which cells
// take it.
var columns = "c.customer_id, c.stripe_id, coalesce(c.card_id, ''), coalesce(c.state, ''), " + cellColumns("c", catalogAttributes)

// cellColumns reads values of a table, in the order in which cells take them.
// Numbers come as text, which is exact.
func cellColumns(table string, attributes []rule.Attribute) string {
	var list []string
	for _, a := range attributes {
		column := table + "." + a.Name
		switch a.Type {
		case rule.Number:
			list = append(list, column+"::text")
		case rule.MoneyType:
			list = append(list, column+"::text", column+"_currency")
		default:
			list = append(list, column)
		}
	}
	return strings.Join(list, ", ")
}

// cells are what one row is scanned into, used again for each row.
type cells struct {
	attributes []rule.Attribute
	targets    []any
	read       []func() (any, error) // one for each attribute
}

// newCells scans the head first, then the attributes.
func newCells(head []any, attributes []rule.Attribute) *cells {
	c := &cells{attributes: attributes, targets: head}
	for _, a := range attributes {
		targets, read := cellOf(a.Type)
		c.targets, c.read = append(c.targets, targets...), append(c.read, read)
	}
	return c
}

// values reads what was scanned.
func (c *cells) values(into []any) error {
	for i, read := range c.read {
		v, err := read()
		if err != nil {
			return fmt.Errorf("%s: %w", c.attributes[i].Name, err)
		}
		into[i] = v
	}
	return nil
}

// cellOf returns where to scan an attribute of this type, and how to read the
// value from there.
func cellOf(t rule.Type) (targets []any, read func() (any, error)) {
	switch t {
	case rule.Number:
		var n pgtype.Text
		return []any{&n}, func() (any, error) {
			if !n.Valid {
				return nil, nil
			}
			return rule.ParseDecimal(n.String)
		}
	case rule.MoneyType:
		var amount, currency pgtype.Text
		return []any{&amount, &currency}, func() (any, error) {
			if !amount.Valid || !currency.Valid {
				return nil, nil
			}
			d, err := rule.ParseDecimal(amount.String)
			return rule.Money{Amount: d, Currency: currency.String}, err
		}
	case rule.Boolean:
		var b pgtype.Bool
		return []any{&b}, func() (any, error) { return present(b.Valid, b.Bool), nil }
	case rule.DateType:
		var d pgtype.Date
		return []any{&d}, func() (any, error) {
			return present(d.Valid, rule.Date{Year: d.Time.Year(), Month: d.Time.Month(), Day: d.Time.Day()}), nil
		}
	case rule.InstantType:
		var i pgtype.Timestamptz
		return []any{&i}, func() (any, error) { return present(i.Valid, i.Time.UTC()), nil }
	case rule.MapType:
		var m map[string]string
		return []any{&m}, func() (any, error) {
			read := m
			m = nil // the next row must not share it
			return present(read != nil, read), nil
		}
	case rule.ListType:
		var l []string
		return []any{&l}, func() (any, error) {
			read := l
			l = nil
			return present(read != nil, read), nil
		}
	}
	var s pgtype.Text
	return []any{&s}, func() (any, error) { return present(s.Valid, s.String), nil }
}

func present(ok bool, v any) any {
	if !ok {
		return nil
	}
	return v
}

// readPictures reads rows of columns and closes them.
func readPictures(rows pgx.Rows, account int) ([]Picture, error) {
	var head Picture
	c := newCells([]any{&head.Customer, &head.StripeID, &head.CardID, &head.State}, catalogAttributes)
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (Picture, error) {
		if err := r.Scan(c.targets...); err != nil {
			return Picture{}, err
		}
		p := head
		p.Account, p.values = account, make([]any, len(catalog))
		return p, c.values(p.values)
	})
}
