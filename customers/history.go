package customers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments/rule"
)

// ErrBefore says that nothing is known of a customer at an instant, because it
// was mirrored later.
var ErrBefore = errors.New("the customer was not known then")

// remember keeps what changes undo: of each customer whose picture is another
// now, the values it had.
func remember(ctx context.Context, tx pgx.Tx, account int, outcomes []*outcome, now time.Time) error {
	type line struct {
		Customer int64                      `json:"customer_id"`
		Was      map[string]json.RawMessage `json:"was"`
	}
	var lines []line
	for _, o := range outcomes {
		if o.was == nil {
			continue
		}
		was, err := undo(o.was.Picture, o.is)
		if err != nil {
			return fmt.Errorf("keep what customer %d was: %w", o.customer, err)
		}
		if len(was) > 0 {
			lines = append(lines, line{o.customer, was})
		}
	}
	if len(lines) == 0 {
		return nil
	}
	document, err := json.Marshal(lines)
	if err == nil {
		_, err = tx.Exec(ctx, `
			insert into dunlin.customer_history (account_id, customer_id, changed_at, was)
			select $1, r.customer_id, $2, r.was
			from json_to_recordset($3) as r (customer_id bigint, was jsonb)`, account, now, document)
	}
	if err != nil {
		return fmt.Errorf("keep what customers were: %w", err)
	}
	return nil
}

// undo is what a picture was in which it is another now.
func undo(was, is Picture) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	put := func(name string, v any) error {
		raw, err := marshal(v)
		values[name] = raw
		return err
	}
	for i, a := range catalog {
		if same(was.values[i], is.values[i]) {
			continue
		}
		if err := put(a.Name, was.values[i]); err != nil {
			return nil, err
		}
	}
	for name, texts := range map[string][2]string{"card_id": {was.CardID, is.CardID}, "state": {was.State, is.State}} {
		if texts[0] == texts[1] {
			continue
		}
		if err := put(name, texts[0]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// LoadAt reads the picture that a customer had at an instant of business time:
// after the changes of that instant. It fails with [ErrNotFound], and with
// [ErrBefore] when the customer was mirrored later. An attribute that the catalog
// got since is as it is now.
func LoadAt(ctx context.Context, q Querier, ref Ref, at time.Time) (Picture, error) {
	p := Picture{Ref: ref, values: make([]any, len(catalog))}
	var later bool
	var since *time.Time
	var undone []map[string]json.RawMessage
	c := newCells([]any{&p.Customer, &p.StripeID, &p.CardID, &p.State}, catalogAttributes)
	// One statement, so that the picture and its changes are of one instant.
	err := q.QueryRow(ctx, `
		select `+columns+`, c.known_since > $3, case when isfinite(c.known_since) then c.known_since end, coalesce((
			select jsonb_agg(h.was order by h.history_id desc) from dunlin.customer_history h
			where h.account_id = c.account_id and h.customer_id = c.customer_id and h.changed_at > $3), '[]')
		from dunlin.customers c
		where c.account_id = $1 and c.customer_id = $2`, ref.Account, ref.Customer, at).Scan(append(c.targets, &later, &since, &undone)...)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = ErrNotFound
	case err == nil && later && since != nil:
		err = fmt.Errorf("%w: it is known since %s", ErrBefore, since.UTC().Format(time.RFC3339))
	case err == nil && later:
		err = ErrBefore // it has not been projected since changes are kept
	case err == nil:
		err = c.values(p.values)
	}
	for _, was := range undone {
		if err == nil {
			err = p.restore(was)
		}
	}
	if err != nil {
		return Picture{}, fmt.Errorf("load customer %d as of %s: %w", ref.Customer, at.UTC().Format(time.RFC3339), err)
	}
	return p, nil
}

// restore puts values of before back. Names that the catalog does not have any
// more are left out.
func (p *Picture) restore(was map[string]json.RawMessage) (err error) {
	for name, raw := range was {
		switch i, known := byName[name]; {
		case name == "card_id":
			err = json.Unmarshal(raw, &p.CardID)
		case name == "state":
			err = json.Unmarshal(raw, &p.State)
		case known:
			p.values[i], err = unmarshalValue(catalog[i].Type, raw)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// unmarshalValue reads what marshal wrote.
func unmarshalValue(t rule.Type, raw json.RawMessage) (any, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	switch t {
	case rule.Boolean:
		return string(raw) == "true", nil
	case rule.Number:
		return rule.ParseDecimal(string(raw))
	case rule.MapType:
		var m map[string]string
		err := json.Unmarshal(raw, &m)
		return m, err
	case rule.ListType:
		list := []string{}
		err := json.Unmarshal(raw, &list)
		return list, err
	case rule.MoneyType:
		var m struct{ Amount, Currency string }
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		amount, err := rule.ParseDecimal(m.Amount)
		return rule.Money{Amount: amount, Currency: m.Currency}, err
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	switch t {
	case rule.DateType:
		return rule.ParseDate(s)
	case rule.InstantType:
		at, err := time.Parse(time.RFC3339Nano, s)
		return at.UTC(), err
	}
	return s, nil
}
