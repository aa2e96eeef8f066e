package customers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// A mirror is what the mirror holds of one customer, written by hand. A text
// that begins with "deleted:" is a row that is marked so.
type mirror struct {
	customer      string // the default is {"id":"cus_1"}
	subscriptions []string
	invoices      []string
	charges       []string
	methods       []string
	refunds       []string
	disputes      []string
	products      []string
	prices        []string
}

var mirrored = time.Unix(1_790_000_000, 0).UTC()

func (m mirror) record() record {
	if m.customer == "" {
		m.customer = `{"id":"cus_1"}`
	}
	return record{
		self: rowsOf(m.customer), subscriptions: rowsOf(m.subscriptions...), invoices: rowsOf(m.invoices...),
		charges: rowsOf(m.charges...), methods: rowsOf(m.methods...), refunds: rowsOf(m.refunds...), disputes: rowsOf(m.disputes...),
	}
}

func rowsOf(raws ...string) (rows []row) {
	for i, raw := range raws {
		raw, deleted := strings.CutPrefix(raw, "deleted:")
		var object struct {
			ID string `json:"id"`
		}
		if json.Unmarshal([]byte(raw), &object) != nil || object.ID == "" {
			object.ID = fmt.Sprintf("junk_%d", i)
		}
		rows = append(rows, row{id: object.ID, raw: []byte(raw), asOf: mirrored, deleted: deleted})
	}
	return rows
}

func (m mirror) shelf(t testing.TB) shelf {
	s := shelf{account: "shop", products: map[string]product{}, prices: map[string]shelfPrice{}}
	for _, r := range rowsOf(m.products...) {
		var p product
		if err := json.Unmarshal(r.raw, &p); err != nil {
			t.Fatal(err)
		}
		s.products[r.id] = p
	}
	for _, r := range rowsOf(m.prices...) {
		p := shelfPrice{asOf: r.asOf.Add(time.Hour)} // newer than the subscription
		if err := json.Unmarshal(r.raw, &p.price); err != nil {
			t.Fatal(err)
		}
		s.prices[r.id] = p
	}
	return s
}

// picture derives, and fails the test on a fault.
func (m mirror) picture(t testing.TB) Picture {
	t.Helper()
	s, faults := decode(m.record())
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	return s.picture(m.shelf(t))
}

// sources decodes and resolves, and fails the test on a fault.
func (m mirror) sources(t testing.TB) *sources {
	t.Helper()
	s, faults := decode(m.record())
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	s.resolve(m.shelf(t))
	return s
}

// elements derives those of a collection, as rules read them.
func (m mirror) elements(t testing.TB, name string) (elements []Element) {
	t.Helper()
	s := m.sources(t)
	c := &collections[collectionPlace[name]]
	for at := range c.count(s) {
		e := Element{of: c, values: make([]any, len(c.Fields))}
		c.derive(s, at, e.values)
		for i, v := range e.values {
			e.values[i] = exact(v)
		}
		elements = append(elements, e)
	}
	return elements
}

// show writes an attribute's value, or that of card_id and state, as people
// would.
func show(p Picture, name string) string {
	switch name {
	case "card_id":
		return showValue(text(p.CardID))
	case "state":
		return showValue(text(p.State))
	}
	return showValue(p.Value(name))
}

func showValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "missing"
	case rule.Money:
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return fmt.Sprint(v)
}

// price is a price in JSON; more are further fields, each with its comma in
// front.
func priceJSON(id, currency, amount, every, more string) string {
	interval, count, ok := strings.Cut(every, "/")
	if !ok {
		count = "1"
	}
	return fmt.Sprintf(`{"id":%q,"object":"price","currency":%q,"unit_amount":%s,"unit_amount_decimal":%s,"nickname":null,
		"product":"prod_1","recurring":{"interval":%q,"interval_count":%s,"usage_type":"licensed"}%s}`,
		id, currency, amount, quoteUnlessNull(amount), interval, count, more)
}

func quoteUnlessNull(s string) string {
	if s == "null" {
		return s
	}
	return `"` + s + `"`
}

func itemJSON(id, price, more string) string {
	return fmt.Sprintf(`{"id":%q,"created":1700000000,"quantity":1,"price":%s%s}`, id, price, more)
}

func subJSON(id, status, more string, items ...string) string {
	return fmt.Sprintf(`{"id":%q,"object":"subscription","status":%q,"created":1700000000,
		"current_period_start":1790000000,"current_period_end":1792592000,"cancel_at":null,"cancel_at_period_end":false,
		"collection_method":"charge_automatically","discount":null,"pause_collection":null,
		"items":{"object":"list","data":[%s]}%s}`, id, status, strings.Join(items, ","), more)
}

// monthlySub is an active subscription of one monthly price.
func monthlySub(id, currency, amount, more string) string {
	return subJSON(id, "active", more, itemJSON("si_"+id, priceJSON("price_"+id, currency, amount, "month", ""), ""))
}

func cardPM(id, more string) string {
	return fmt.Sprintf(`{"id":%q,"object":"payment_method","type":"card",
		"card":{"brand":"visa","last4":"4242","exp_month":2,"exp_year":2028,"country":"FR"},"billing_details":{"address":null}%s}`, id, more)
}

// walletPM is a card that is all a card can be.
func walletPM(id string) string {
	return fmt.Sprintf(`{"id":%q,"object":"payment_method","type":"card","created":1770000000,"metadata":{"label":"blue"},
		"card":{"brand":"visa","last4":"4242","exp_month":2,"exp_year":2028,"country":"FR","funding":"debit","wallet":{"type":"apple_pay"}},"billing_details":{"address":null}}`, id)
}

func invoiceJSON(id, status, currency string, remaining int, more string) string {
	return fmt.Sprintf(`{"id":%q,"object":"invoice","status":%q,"currency":%q,"amount_remaining":%d,"created":1790000000,
		"collection_method":"charge_automatically","next_payment_attempt":null,"customer_address":null%s}`, id, status, currency, remaining, more)
}

func chargeJSON(id, status, currency string, amount, refunded, created int, more string) string {
	return fmt.Sprintf(`{"id":%q,"object":"charge","status":%q,"currency":%q,"amount":%d,"amount_captured":%d,"amount_refunded":%d,
		"captured":true,"paid":true,"created":%d%s}`, id, status, currency, amount, amount, refunded, created, more)
}
