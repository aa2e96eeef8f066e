package customers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin/dunlin/segments/rule"
)

// The structs below hold what the attributes need of Stripe's objects of API
// version 2023-10-16. Absent and null fields keep the zero value; a pointer
// stands where null is not zero. Older and newer shapes are read where that
// costs a line.

type customer struct {
	ID              string   `json:"id"`
	Deleted         bool     `json:"deleted"`
	Created         int64    `json:"created"`
	Livemode        *bool    `json:"livemode"` // absent in the stub of a deleted customer, as most are
	Name            string   `json:"name"`
	Email           string   `json:"email"`
	Currency        string   `json:"currency"` // null until the first invoice or subscription
	Balance         int64    `json:"balance"`  // negative is credit
	Delinquent      bool     `json:"delinquent"`
	Address         *address `json:"address"`
	Metadata        metadata `json:"metadata"`
	DefaultSource   ref      `json:"default_source"`
	InvoiceSettings struct {
		DefaultPaymentMethod ref `json:"default_payment_method"`
	} `json:"invoice_settings"`
	Sources struct { // only when expanded
		Data []ref `json:"data"`
	} `json:"sources"`
	Discount *discount `json:"discount"`
}

type address struct {
	Country string `json:"country"`
	State   string `json:"state"`
}

type subscription struct {
	ID                   string     `json:"id"`
	Status               string     `json:"status"`
	Currency             string     `json:"currency"`
	Created              int64      `json:"created"`
	CurrentPeriodStart   int64      `json:"current_period_start"`
	CurrentPeriodEnd     int64      `json:"current_period_end"`
	TrialEnd             int64      `json:"trial_end"`
	CancelAt             int64      `json:"cancel_at"`
	CancelAtPeriodEnd    bool       `json:"cancel_at_period_end"`
	CanceledAt           int64      `json:"canceled_at"` // when it was asked for, not when it took effect
	EndedAt              int64      `json:"ended_at"`
	CollectionMethod     string     `json:"collection_method"`
	DefaultPaymentMethod ref        `json:"default_payment_method"`
	DefaultSource        ref        `json:"default_source"`
	Discount             *discount  `json:"discount"`  // null when there are several
	Discounts            []discount `json:"discounts"` // ids unless expanded
	PauseCollection      *struct {
		Behavior string `json:"behavior"`
	} `json:"pause_collection"`
	CancellationDetails struct {
		Reason string `json:"reason"`
	} `json:"cancellation_details"`
	Items struct {
		Data    []item `json:"data"`
		HasMore bool   `json:"has_more"`
	} `json:"items"`
	Metadata metadata `json:"metadata"`

	asOf time.Time // of the mirror row

	// Chosen and worked out by resolve.
	main *item // the item that plan and friends speak of; nil without items
	flow flow
}

// A subscriptionItem is an item with the subscription it is part of.
type subscriptionItem struct {
	*item
	of *subscription
}

type item struct {
	ID                 string     `json:"id"`
	Subscription       string     `json:"subscription"`
	Created            int64      `json:"created"`
	Deleted            bool       `json:"deleted"`
	Quantity           *int64     `json:"quantity"` // absent when metered
	Price              *price     `json:"price"`
	Plan               *plan      `json:"plan"` // what prices were called before 2020
	Discounts          []discount `json:"discounts"`
	CurrentPeriodStart int64      `json:"current_period_start"` // here since API version 2025-03-31
	CurrentPeriodEnd   int64      `json:"current_period_end"`

	// Worked out by resolve, for several attributes and fields.
	name, cost any // plan and plan_price, or nil when missing
}

type price struct {
	ID        string     `json:"id"`
	Nickname  string     `json:"nickname"`
	Product   ref        `json:"product"`
	Currency  string     `json:"currency"`
	Recurring *recurring `json:"recurring"` // null for a one-time price
	tariff
	TiersMode         string            `json:"tiers_mode"`
	TransformQuantity *transform        `json:"transform_quantity"`
	CurrencyOptions   map[string]tariff `json:"currency_options"` // only when expanded
}

type recurring struct {
	Interval      string `json:"interval"`
	IntervalCount int64  `json:"interval_count"`
	UsageType     string `json:"usage_type"`
}

// A tariff is what a price costs in one currency, in minor units. Unit amounts
// are null for tiered prices, and the integer one for sub-cent prices too.
type tariff struct {
	UnitAmount        *int64   `json:"unit_amount"`
	UnitAmountDecimal *decimal `json:"unit_amount_decimal"`
	Tiers             []tier   `json:"tiers"` // only when expanded
}

type tier struct {
	UpTo              *int64   `json:"up_to"` // null is without end
	UnitAmount        *int64   `json:"unit_amount"`
	UnitAmountDecimal *decimal `json:"unit_amount_decimal"`
	FlatAmount        *int64   `json:"flat_amount"`
	FlatAmountDecimal *decimal `json:"flat_amount_decimal"`
}

type transform struct {
	DivideBy int64  `json:"divide_by"`
	Round    string `json:"round"`
}

type plan struct {
	ID             string     `json:"id"`
	Nickname       string     `json:"nickname"`
	Product        ref        `json:"product"`
	Currency       string     `json:"currency"`
	Interval       string     `json:"interval"`
	IntervalCount  int64      `json:"interval_count"`
	UsageType      string     `json:"usage_type"`
	Amount         *int64     `json:"amount"`
	AmountDecimal  *decimal   `json:"amount_decimal"`
	Tiers          []tier     `json:"tiers"`
	TiersMode      string     `json:"tiers_mode"`
	TransformUsage *transform `json:"transform_usage"`
}

// asPrice says the same in today's words.
func (p *plan) asPrice() *price {
	return &price{
		ID: p.ID, Nickname: p.Nickname, Product: p.Product, Currency: p.Currency,
		Recurring: &recurring{Interval: p.Interval, IntervalCount: p.IntervalCount, UsageType: p.UsageType},
		tariff:    tariff{UnitAmount: p.Amount, UnitAmountDecimal: p.AmountDecimal, Tiers: p.Tiers},
		TiersMode: p.TiersMode, TransformQuantity: p.TransformUsage,
	}
}

// A discount that Stripe sent as an id alone has no coupon: nobody can tell
// what it takes off.
type discount struct {
	Coupon *coupon `json:"coupon"`
	End    int64   `json:"end"` // null when it comes off one invoice, or of all
}

type coupon struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Duration   string   `json:"duration"`
	PercentOff *decimal `json:"percent_off"`
	AmountOff  *int64   `json:"amount_off"`
	Currency   string   `json:"currency"`
}

type product struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type invoice struct {
	ID                 string   `json:"id"`
	Number             string   `json:"number"` // null until it is finalized
	Status             string   `json:"status"`
	Currency           string   `json:"currency"`
	Created            int64    `json:"created"`
	Total              *int64   `json:"total"`
	AmountDue          *int64   `json:"amount_due"`
	AmountPaid         *int64   `json:"amount_paid"`
	AmountRemaining    *int64   `json:"amount_remaining"`
	CollectionMethod   string   `json:"collection_method"`
	DueDate            int64    `json:"due_date"`             // null when it is charged automatically
	NextPaymentAttempt int64    `json:"next_payment_attempt"` // null when Stripe will not try by itself
	AttemptCount       *int64   `json:"attempt_count"`
	PaidOutOfBand      bool     `json:"paid_out_of_band"`
	BillingReason      string   `json:"billing_reason"`
	Subscription       ref      `json:"subscription"`
	CustomerAddress    *address `json:"customer_address"`
	StatusTransitions  struct {
		FinalizedAt int64 `json:"finalized_at"`
		PaidAt      int64 `json:"paid_at"`
	} `json:"status_transitions"`
	Metadata metadata `json:"metadata"`
}

type charge struct {
	ID             string `json:"id"`
	Status         string `json:"status"`
	Captured       *bool  `json:"captured"`
	Refunded       *bool  `json:"refunded"`
	Disputed       *bool  `json:"disputed"`
	Currency       string `json:"currency"`
	Created        int64  `json:"created"`
	Amount         *int64 `json:"amount"`
	AmountCaptured *int64 `json:"amount_captured"` // absent before 2020
	AmountRefunded *int64 `json:"amount_refunded"`
	FailureCode    string `json:"failure_code"`
	FailureMessage string `json:"failure_message"`
	Outcome        struct {
		Reason string `json:"reason"` // failure_code often says card_declined and no more
	} `json:"outcome"`
	Description          string `json:"description"`
	Invoice              ref    `json:"invoice"`
	PaymentMethodDetails struct {
		Type string `json:"type"`
	} `json:"payment_method_details"`
	Source struct { // what came before payment methods
		Object string `json:"object"`
		Type   string `json:"type"`
	} `json:"source"`
	Metadata metadata `json:"metadata"`
}

type refund struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Reason   string `json:"reason"`
	Currency string `json:"currency"`
	Created  int64  `json:"created"`
	Amount   *int64 `json:"amount"`
	Charge   ref    `json:"charge"`
}

type dispute struct {
	ID              string `json:"id"`
	Status          string `json:"status"`
	Reason          string `json:"reason"`
	Currency        string `json:"currency"`
	Created         int64  `json:"created"`
	Amount          *int64 `json:"amount"`
	Charge          ref    `json:"charge"`
	EvidenceDetails struct {
		DueBy int64 `json:"due_by"`
	} `json:"evidence_details"`
}

// A method is a payment method, or what came before them: a card_, src_ or ba_
// object. Legacy cards have the card's fields at the top.
type method struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Type    string `json:"type"`
	Created int64  `json:"created"` // absent in legacy cards
	Card    *card  `json:"card"`
	card
	BillingDetails struct {
		Address *address `json:"address"`
	} `json:"billing_details"`
	Owner struct {
		Address *address `json:"address"`
	} `json:"owner"`
	AddressCountry string   `json:"address_country"`
	AddressState   string   `json:"address_state"`
	Metadata       metadata `json:"metadata"`

	detached bool      // of the mirror row: the customer has it no longer
	asOf     time.Time // of the mirror row; zero for one that came inside another object
}

type card struct {
	Brand    string `json:"brand"`
	Last4    string `json:"last4"`
	ExpMonth int    `json:"exp_month"`
	ExpYear  int    `json:"exp_year"`
	Funding  string `json:"funding"`
	Country  string `json:"country"` // of the bank, not of the customer
	Wallet   struct {
		Type string `json:"type"`
	} `json:"wallet"`
	TokenizationMethod string `json:"tokenization_method"` // of legacy cards: the wallet
}

// A ref points at another object: an id, and the object itself where Stripe
// was asked to expand it.
type ref struct {
	ID  string
	Raw json.RawMessage // nil unless expanded
}

func (r *ref) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b): // as all ids are
		r.ID = string(b[1 : len(b)-1])
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, &r.ID)
	case b[0] == '{':
		var object struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(b, &object); err != nil {
			return err
		}
		r.ID, r.Raw = object.ID, bytes.Clone(b)
		return nil
	}
	return fmt.Errorf("a reference is neither an id nor an object")
}

func (d *discount) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return nil
	}
	type plain discount
	return json.Unmarshal(b, (*plain)(d))
}

func (c *coupon) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &c.ID)
	}
	type plain coupon
	return json.Unmarshal(b, (*plain)(c))
}

// A decimal is an exact number that Stripe sends as text ("0.0381") or, as in
// percent_off, as a number.
type decimal struct{ rule.Decimal }

func (d *decimal) UnmarshalJSON(b []byte) error {
	if string(b) == "null" { // inside an array or a map; fields handle null themselves
		return nil
	}
	s := strings.Trim(string(b), `"`)
	if len(s) > 40 {
		return fmt.Errorf("a decimal of %d characters", len(s))
	}
	var err error
	d.Decimal, err = rule.ParseDecimal(s)
	return err
}

// Metadata holds text; what is none is kept as the JSON it is.
type metadata map[string]string

func (m *metadata) UnmarshalJSON(b []byte) error {
	if string(b) == "{}" || string(b) == "null" { // most are
		return nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*m = make(metadata, len(raw))
	for k, v := range raw {
		if string(v) == "null" {
			continue
		}
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			s = string(v)
		}
		(*m)[clean(k)] = clean(s)
	}
	return nil
}

// clean drops NUL characters, which JSON can hold and Postgres' text cannot.
func clean(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "")
}

// orZero is a number that is nothing when it is missing.
func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// text is s as a value: missing when empty.
func text(s string) any {
	if s = clean(s); s == "" {
		return nil
	}
	return s
}

// instant is Stripe's Unix second as a value. Null and absent decode to 0,
// which no object of Stripe's has; what has no four-digit year is no time.
func instant(second int64) any {
	if second <= 0 || second >= 253402300800 {
		return nil
	}
	return time.Unix(second, 0).UTC()
}
