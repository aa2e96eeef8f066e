package sandbox

import "encoding/json"

// The shapes are those of API version 2023-10-16: every key is there, null where
// nothing is set. Keys that version leaves out unless they are expanded
// (customer.sources, charge.refunds …: facts 1.5) are left out here too.

// unset is a key that is always null in the sandbox.
type unset = *struct{}

// list is Stripe's envelope of a list.
type list struct {
	Object  string            `json:"object"`
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
	URL     string            `json:"url"`
}

func newList(url string, data []json.RawMessage, more bool) list {
	if data == nil {
		data = []json.RawMessage{}
	}
	return list{Object: "list", Data: data, HasMore: more, URL: url}
}

// orNull returns nil for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// ref is the id of a payment method, or null.
func ref(m *method) *string {
	if m == nil {
		return nil
	}
	return &m.id
}

type addressShape struct {
	City       *string `json:"city"`
	Country    *string `json:"country"`
	Line1      *string `json:"line1"`
	Line2      unset   `json:"line2"`
	PostalCode *string `json:"postal_code"`
	State      *string `json:"state"`
}

func (c *customer) addressShape() *addressShape {
	if !c.address {
		return nil
	}
	return &addressShape{City: &c.place.city, Country: &c.place.country, State: orNull(c.place.state)}
}

type customerShape struct {
	ID              string        `json:"id"`
	Object          string        `json:"object"`
	Address         *addressShape `json:"address"`
	Balance         int64         `json:"balance"`
	Created         int64         `json:"created"`
	Currency        *string       `json:"currency"`
	DefaultSource   *string       `json:"default_source"`
	Delinquent      bool          `json:"delinquent"`
	Description     unset         `json:"description"`
	Discount        unset         `json:"discount"`
	Email           *string       `json:"email"`
	InvoicePrefix   string        `json:"invoice_prefix"`
	InvoiceSettings struct {
		CustomFields         unset   `json:"custom_fields"`
		DefaultPaymentMethod *string `json:"default_payment_method"`
		Footer               unset   `json:"footer"`
		RenderingOptions     unset   `json:"rendering_options"`
	} `json:"invoice_settings"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	Name                *string           `json:"name"`
	NextInvoiceSequence int               `json:"next_invoice_sequence"`
	Phone               unset             `json:"phone"`
	PreferredLocales    []string          `json:"preferred_locales"`
	Shipping            unset             `json:"shipping"`
	TaxExempt           string            `json:"tax_exempt"`
	TestClock           unset             `json:"test_clock"`
}

func (c *customer) raw() json.RawMessage {
	if c.body == nil {
		s := customerShape{ID: c.id, Object: "customer", Address: c.addressShape(), Created: c.created,
			DefaultSource: ref(c.source), Delinquent: c.delinquent, Email: orNull(c.email), InvoicePrefix: c.prefix(),
			Metadata: map[string]string{"user_id": itoa(int64(1000 + c.n))}, Name: orNull(c.name),
			NextInvoiceSequence: c.nextSequence + 1, PreferredLocales: []string{}, TaxExempt: "none"}
		if len(c.subs) > 0 { // a customer has no currency before the first subscription or invoice
			s.Currency = &c.currency
		}
		s.InvoiceSettings.DefaultPaymentMethod = ref(c.defaultPM)
		c.body = mustJSON(s)
	}
	return c.body
}

// prefix begins the numbers of the customer's invoices.
func (c *customer) prefix() string {
	return "D" + c.id[len("cus_"):len("cus_")+7]
}

// deletedStub is what a retrieve of a deleted customer answers (facts 1.2).
func (c *customer) deletedStub() json.RawMessage {
	return mustJSON(struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Deleted bool   `json:"deleted"`
	}{c.id, "customer", true})
}

type productShape struct {
	ID                  string            `json:"id"`
	Object              string            `json:"object"`
	Active              bool              `json:"active"`
	Created             int64             `json:"created"`
	DefaultPrice        *string           `json:"default_price"`
	Description         unset             `json:"description"`
	Features            []string          `json:"features"`
	Images              []string          `json:"images"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	Name                string            `json:"name"`
	PackageDimensions   unset             `json:"package_dimensions"`
	Shippable           unset             `json:"shippable"`
	StatementDescriptor unset             `json:"statement_descriptor"`
	TaxCode             unset             `json:"tax_code"`
	Type                string            `json:"type"`
	UnitLabel           unset             `json:"unit_label"`
	Updated             int64             `json:"updated"`
	URL                 unset             `json:"url"`
}

func (p *product) raw() json.RawMessage {
	if p.body == nil {
		s := productShape{ID: p.id, Object: "product", Active: !p.archived, Created: p.created, Features: []string{}, Images: []string{},
			Metadata: map[string]string{}, Name: p.name, Type: "service", Updated: max(p.created, p.changed)}
		if p.defaultPrice != nil {
			s.DefaultPrice = &p.defaultPrice.id
		}
		p.body = mustJSON(s)
	}
	return p.body
}

type recurringShape struct {
	AggregateUsage  unset  `json:"aggregate_usage"`
	Interval        string `json:"interval"`
	IntervalCount   int    `json:"interval_count"`
	TrialPeriodDays unset  `json:"trial_period_days"`
	UsageType       string `json:"usage_type"`
}

type priceShape struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	Active            bool              `json:"active"`
	BillingScheme     string            `json:"billing_scheme"`
	Created           int64             `json:"created"`
	Currency          string            `json:"currency"`
	CustomUnitAmount  unset             `json:"custom_unit_amount"`
	Livemode          bool              `json:"livemode"`
	LookupKey         unset             `json:"lookup_key"`
	Metadata          map[string]string `json:"metadata"`
	Nickname          unset             `json:"nickname"`
	Product           string            `json:"product"`
	Recurring         recurringShape    `json:"recurring"`
	TaxBehavior       string            `json:"tax_behavior"`
	TiersMode         unset             `json:"tiers_mode"`
	TransformQuantity unset             `json:"transform_quantity"`
	Type              string            `json:"type"`
	UnitAmount        int64             `json:"unit_amount"`
	UnitAmountDecimal string            `json:"unit_amount_decimal"`
}

// A currencyOption is what a price costs in one currency, its own among them.
type currencyOption struct {
	CustomUnitAmount  unset  `json:"custom_unit_amount"`
	TaxBehavior       string `json:"tax_behavior"`
	UnitAmount        int64  `json:"unit_amount"`
	UnitAmountDecimal string `json:"unit_amount_decimal"`
}

func (p *price) raw() json.RawMessage {
	if p.body == nil {
		p.body = mustJSON(priceShape{ID: p.id, Object: "price", Active: p.active, BillingScheme: "per_unit", Created: p.created,
			Currency: p.currency, Metadata: map[string]string{}, Product: p.product.id,
			Recurring:   recurringShape{Interval: p.interval, IntervalCount: 1, UsageType: "licensed"},
			TaxBehavior: "unspecified", Type: "recurring", UnitAmount: p.amount, UnitAmountDecimal: itoa(p.amount)})
	}
	return p.body
}

type planShapeJSON struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	Active          bool              `json:"active"`
	AggregateUsage  unset             `json:"aggregate_usage"`
	Amount          int64             `json:"amount"`
	AmountDecimal   string            `json:"amount_decimal"`
	BillingScheme   string            `json:"billing_scheme"`
	Created         int64             `json:"created"`
	Currency        string            `json:"currency"`
	Interval        string            `json:"interval"`
	IntervalCount   int               `json:"interval_count"`
	Livemode        bool              `json:"livemode"`
	Metadata        map[string]string `json:"metadata"`
	Nickname        unset             `json:"nickname"`
	Product         string            `json:"product"`
	TiersMode       unset             `json:"tiers_mode"`
	TransformUsage  unset             `json:"transform_usage"`
	TrialPeriodDays unset             `json:"trial_period_days"`
	UsageType       string            `json:"usage_type"`
}

// planShape is a price in the older words that subscriptions, their items and
// invoice lines still carry beside it (facts 1.1).
func planShape(p *price) planShapeJSON {
	return planShapeJSON{ID: p.id, Object: "plan", Active: p.active, Amount: p.amount, AmountDecimal: itoa(p.amount), BillingScheme: "per_unit",
		Created: p.created, Currency: p.currency, Interval: p.interval, IntervalCount: 1, Metadata: map[string]string{},
		Product: p.product.id, UsageType: "licensed"}
}
