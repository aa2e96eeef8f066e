package customers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments/rule"
)

// Whole is a whole customer: the picture and the elements of every collection.
// [LoadCustomer] makes it; the zero value has no elements.
type Whole struct {
	Picture
	elements [][]rule.Values // by place among collections, oldest first
}

// Elements returns the elements of a collection by its canonical name, oldest
// first: nil when there are none or no such collection. Each is an [Element].
func (w Whole) Elements(collection string) []rule.Values {
	i, ok := collectionPlace[collection]
	if !ok || w.elements == nil {
		return nil
	}
	return w.elements[i]
}

// At is the customer as it was at an instant, as far as that is kept: p, the
// picture of then, with the elements that were made by then, as they are now.
func (w Whole) At(p Picture, at time.Time) Whole {
	then := Whole{Picture: p}
	for _, list := range w.elements {
		n := 0 // they are in the order in which they were made
		for n < len(list) && !madeAfter(list[n], at) {
			n++
		}
		then.elements = append(then.elements, list[:n:n])
	}
	return then
}

func madeAfter(e rule.Values, at time.Time) bool {
	made, ok := e.Value("created_at").(time.Time)
	return ok && made.After(at)
}

// MarshalJSON is the picture's object, then the collections under their names:
// each a list of objects, oldest first, with the fields in catalog order.
func (w Whole) MarshalJSON() ([]byte, error) {
	picture, err := w.Picture.MarshalJSON()
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(bytes.TrimSuffix(picture, []byte("}")))
	for _, c := range collections {
		b.WriteString(`,"` + c.Name + `":[`)
		for i, e := range w.Elements(c.Name) {
			if i > 0 {
				b.WriteByte(',')
			}
			raw, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			b.Write(raw)
		}
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// An Element is one element of a customer's collection.
type Element struct {
	of     *collection
	values []any // in the order of its Fields
}

var _ rule.Values = Element{}

// Value is a field's value by its canonical name, as [Picture.Value].
func (e Element) Value(name string) any {
	if e.of == nil {
		return nil
	}
	i, ok := e.of.place[name]
	if !ok {
		return nil
	}
	return e.values[i]
}

// MarshalJSON is one object, as [Picture.MarshalJSON].
func (e Element) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if e.of != nil {
		for i, f := range e.of.Fields {
			if i > 0 {
				b.WriteByte(',')
			}
			raw, err := marshal(e.values[i])
			if err != nil {
				return nil, err
			}
			b.WriteString(`"` + f.Name + `":`)
			b.Write(raw)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// wholeSQL reads a customer in one statement, so that picture and elements are
// of one instant. Elements come as JSON: a list for each, its values in the
// order of the collection's columns, numbers as text.
var wholeSQL = func() string {
	var lists []string
	for i := range collections {
		c := &collections[i]
		columns := make([]string, 0, len(c.Fields))
		for _, f := range c.Fields {
			columns = append(columns, cellColumns("e", []rule.Attribute{f}))
		}
		lists = append(lists, `
			(select coalesce(json_agg(json_build_array(`+strings.Join(columns, ", ")+`) order by e.created_at, e.id), '[]')
			from dunlin.`+c.Name+` e
			where e.account_id = c.account_id and e.customer_id = c.customer_id)`)
	}
	return `
		select ` + columns + `, ` + strings.Join(lists, ",") + `
		from dunlin.customers c
		where c.account_id = $1 and c.customer_id = $2`
}()

// LoadCustomer reads a customer's picture and all elements, as of one instant.
// It fails with [ErrNotFound].
func LoadCustomer(ctx context.Context, q Querier, ref Ref) (Whole, error) {
	w := Whole{Picture: Picture{Ref: ref, values: make([]any, len(catalog))}}
	c := newCells([]any{&w.Customer, &w.StripeID, &w.CardID, &w.State}, catalogAttributes)
	documents := make([][]byte, len(collections))
	targets := c.targets
	for i := range documents {
		targets = append(targets, &documents[i])
	}
	err := q.QueryRow(ctx, wholeSQL, ref.Account, ref.Customer).Scan(targets...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err == nil {
		err = c.values(w.values)
	}
	for i := range documents {
		if err != nil {
			break
		}
		var elements []rule.Values
		if elements, err = readElements(&collections[i], documents[i]); err == nil {
			w.elements = append(w.elements, elements)
		}
	}
	if err != nil {
		return Whole{}, fmt.Errorf("load customer %d: %w", ref.Customer, err)
	}
	return w, nil
}

// readElements reads the JSON of one collection.
func readElements(c *collection, document []byte) ([]rule.Values, error) {
	var rows [][]json.RawMessage
	if err := json.Unmarshal(document, &rows); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	var elements []rule.Values
	for _, columns := range rows {
		e := Element{of: c, values: make([]any, 0, len(c.Fields))}
		for _, f := range c.Fields {
			n := 1
			if f.Type == rule.MoneyType {
				n = 2
			}
			v, err := readJSON(f.Type, columns[:n])
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", c.Name, f.Name, err)
			}
			e.values, columns = append(e.values, v), columns[n:]
		}
		elements = append(elements, e)
	}
	return elements, nil
}

// readJSON reads a value of a field from its column, money from its two.
func readJSON(t rule.Type, columns []json.RawMessage) (any, error) {
	for _, raw := range columns {
		if string(raw) == "null" {
			return nil, nil
		}
	}
	switch t {
	case rule.Boolean:
		return string(columns[0]) == "true", nil
	case rule.MapType:
		var m map[string]string
		err := json.Unmarshal(columns[0], &m)
		return m, err
	}
	var texts [2]string
	for i, raw := range columns {
		if err := json.Unmarshal(raw, &texts[i]); err != nil {
			return nil, err
		}
	}
	switch t {
	case rule.Number:
		return rule.ParseDecimal(texts[0])
	case rule.MoneyType:
		amount, err := rule.ParseDecimal(texts[0])
		return rule.Money{Amount: amount, Currency: texts[1]}, err
	case rule.DateType:
		return rule.ParseDate(texts[0])
	case rule.InstantType:
		at, err := time.Parse(time.RFC3339Nano, texts[0])
		return at.UTC(), err
	}
	return texts[0], nil
}
