package sandbox

import "encoding/json"

type taxShape struct {
	Enabled   bool  `json:"enabled"`
	Liability unset `json:"liability"`
}

type itemShape struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	BillingThresholds unset             `json:"billing_thresholds"`
	Created           int64             `json:"created"`
	Discounts         []string          `json:"discounts"`
	Metadata          map[string]string `json:"metadata"`
	Plan              json.RawMessage   `json:"plan"`
	Price             json.RawMessage   `json:"price"`
	Quantity          int64             `json:"quantity"`
	Subscription      string            `json:"subscription"`
	TaxRates          []string          `json:"tax_rates"`
}

func (s *subscription) itemShapes() []json.RawMessage {
	var data []json.RawMessage
	for _, i := range s.items {
		data = append(data, mustJSON(itemShape{ID: i.id, Object: "subscription_item", Created: i.created, Discounts: []string{}, Metadata: map[string]string{},
			Plan: i.price.plan, Price: i.price.raw(), Quantity: i.quantity, Subscription: s.id, TaxRates: []string{}}))
	}
	return data
}

type subscriptionShape struct {
	ID                        string   `json:"id"`
	Object                    string   `json:"object"`
	Application               unset    `json:"application"`
	ApplicationFeePercent     unset    `json:"application_fee_percent"`
	AutomaticTax              taxShape `json:"automatic_tax"`
	BillingCycleAnchor        int64    `json:"billing_cycle_anchor"`
	BillingCycleAnchorConfig  unset    `json:"billing_cycle_anchor_config"`
	BillingThresholds         unset    `json:"billing_thresholds"`
	CancelAt                  *int64   `json:"cancel_at"`
	CancelAtPeriodEnd         bool     `json:"cancel_at_period_end"`
	CanceledAt                *int64   `json:"canceled_at"`
	CancellationDetailsObject struct {
		Comment  unset   `json:"comment"`
		Feedback *string `json:"feedback"`
		Reason   *string `json:"reason"`
	} `json:"cancellation_details"`
	CollectionMethod              string            `json:"collection_method"`
	Created                       int64             `json:"created"`
	Currency                      string            `json:"currency"`
	CurrentPeriodEnd              int64             `json:"current_period_end"`
	CurrentPeriodStart            int64             `json:"current_period_start"`
	Customer                      string            `json:"customer"`
	DaysUntilDue                  unset             `json:"days_until_due"`
	DefaultPaymentMethod          *string           `json:"default_payment_method"`
	DefaultSource                 unset             `json:"default_source"`
	DefaultTaxRates               []string          `json:"default_tax_rates"`
	Description                   unset             `json:"description"`
	Discount                      unset             `json:"discount"`
	Discounts                     []string          `json:"discounts"`
	EndedAt                       *int64            `json:"ended_at"`
	Items                         list              `json:"items"`
	LatestInvoice                 *string           `json:"latest_invoice"`
	Livemode                      bool              `json:"livemode"`
	Metadata                      map[string]string `json:"metadata"`
	NextPendingInvoiceItemInvoice unset             `json:"next_pending_invoice_item_invoice"`
	OnBehalfOf                    unset             `json:"on_behalf_of"`
	PauseCollection               unset             `json:"pause_collection"`
	PaymentSettings               paymentSettings   `json:"payment_settings"`
	PendingInvoiceItemInterval    unset             `json:"pending_invoice_item_interval"`
	PendingSetupIntent            unset             `json:"pending_setup_intent"`
	PendingUpdate                 unset             `json:"pending_update"`
	Plan                          json.RawMessage   `json:"plan"`
	Quantity                      *int64            `json:"quantity"`
	Schedule                      unset             `json:"schedule"`
	StartDate                     int64             `json:"start_date"`
	Status                        string            `json:"status"`
	TestClock                     unset             `json:"test_clock"`
	TransferData                  unset             `json:"transfer_data"`
	TrialEnd                      unset             `json:"trial_end"`
	TrialSettings                 trialSettings     `json:"trial_settings"`
	TrialStart                    unset             `json:"trial_start"`
}

type paymentSettings struct {
	PaymentMethodOptions     unset  `json:"payment_method_options"`
	PaymentMethodTypes       unset  `json:"payment_method_types"`
	SaveDefaultPaymentMethod string `json:"save_default_payment_method"`
}

type trialSettings struct {
	EndBehavior struct {
		MissingPaymentMethod string `json:"missing_payment_method"`
	} `json:"end_behavior"`
}

// raw is the subscription. With one item the older words plan and quantity are
// filled, with several they are null (facts 1.1).
func (s *subscription) raw() json.RawMessage {
	if s.body == nil {
		j := subscriptionShape{ID: s.id, Object: "subscription", BillingCycleAnchor: s.anchor,
			CancelAtPeriodEnd: s.cancelAtPeriodEnd, CanceledAt: orNull(s.canceledAt), CollectionMethod: "charge_automatically",
			Created: s.created, Currency: s.customer.currency, CurrentPeriodEnd: s.end, CurrentPeriodStart: s.start,
			Customer: s.customer.id, DefaultPaymentMethod: ref(s.own), DefaultTaxRates: []string{}, Discounts: []string{}, EndedAt: orNull(s.endedAt),
			Items:    newList("/v1/subscription_items?subscription="+s.id, s.itemShapes(), false),
			Metadata: map[string]string{}, PaymentSettings: paymentSettings{SaveDefaultPaymentMethod: "off"},
			Plan: json.RawMessage("null"), StartDate: s.created, Status: s.status}
		if s.cancelAtPeriodEnd && s.endedAt == 0 {
			j.CancelAt = orNull(s.end)
		}
		if s.latest != nil {
			j.LatestInvoice = &s.latest.id
		}
		if len(s.items) == 1 {
			j.Plan, j.Quantity = s.items[0].price.plan, &s.items[0].quantity
		}
		j.CancellationDetailsObject.Reason = orNull(s.reason)
		j.CancellationDetailsObject.Feedback = orNull(s.feedback)
		j.TrialSettings.EndBehavior.MissingPaymentMethod = "create_invoice"
		s.body = mustJSON(j)
	}
	return s.body
}

type periodShape struct {
	End   int64 `json:"end"`
	Start int64 `json:"start"`
}

type lineShape struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	AmountExcludingTax int64             `json:"amount_excluding_tax"`
	Currency           string            `json:"currency"`
	Description        string            `json:"description"`
	DiscountAmounts    []string          `json:"discount_amounts"`
	Discountable       bool              `json:"discountable"`
	Discounts          []string          `json:"discounts"`
	Invoice            string            `json:"invoice"`
	Livemode           bool              `json:"livemode"`
	Metadata           map[string]string `json:"metadata"`
	Period             periodShape       `json:"period"`
	Plan               json.RawMessage   `json:"plan"`
	Price              json.RawMessage   `json:"price"`
	Proration          bool              `json:"proration"`
	ProrationDetails   struct {
		CreditedItems unset `json:"credited_items"`
	} `json:"proration_details"`
	Quantity               int64    `json:"quantity"`
	Subscription           string   `json:"subscription"`
	SubscriptionItem       string   `json:"subscription_item"`
	TaxAmounts             []string `json:"tax_amounts"`
	TaxRates               []string `json:"tax_rates"`
	Type                   string   `json:"type"`
	UnitAmountExcludingTax string   `json:"unit_amount_excluding_tax"`
}

func (i *invoice) lineShapes() []json.RawMessage {
	var data []json.RawMessage
	for _, l := range i.lines {
		amount := l.price.amount * l.quantity
		data = append(data, mustJSON(lineShape{ID: l.id, Object: "line_item", Amount: amount, AmountExcludingTax: amount, Currency: i.currency,
			Description:     itoa(l.quantity) + " × " + l.price.product.name + " (at " + moneyText(l.price.amount, i.currency) + " / " + l.price.interval + ")",
			DiscountAmounts: []string{}, Discountable: true, Discounts: []string{}, Invoice: i.id, Metadata: map[string]string{},
			Period: periodShape{End: i.end, Start: i.start}, Plan: l.price.plan, Price: l.price.raw(), Quantity: l.quantity,
			Subscription: i.sub.id, SubscriptionItem: l.item, TaxAmounts: []string{}, TaxRates: []string{}, Type: "subscription",
			UnitAmountExcludingTax: itoa(l.price.amount)}))
	}
	return data
}

type invoiceShape struct {
	ID                   string  `json:"id"`
	Object               string  `json:"object"`
	AccountCountry       string  `json:"account_country"`
	AccountName          string  `json:"account_name"`
	AccountTaxIDs        unset   `json:"account_tax_ids"`
	AmountDue            int64   `json:"amount_due"`
	AmountPaid           int64   `json:"amount_paid"`
	AmountRemaining      int64   `json:"amount_remaining"`
	AmountShipping       int64   `json:"amount_shipping"`
	Application          unset   `json:"application"`
	ApplicationFeeAmount unset   `json:"application_fee_amount"`
	AttemptCount         int     `json:"attempt_count"`
	Attempted            bool    `json:"attempted"`
	AutoAdvance          bool    `json:"auto_advance"`
	AutomaticTax         invTax  `json:"automatic_tax"`
	BillingReason        string  `json:"billing_reason"`
	Charge               *string `json:"charge"`
	CollectionMethod     string  `json:"collection_method"`
	Created              int64   `json:"created"`
	Currency             string  `json:"currency"`
	CustomFields         unset   `json:"custom_fields"`

	Customer             string        `json:"customer"`
	CustomerAddress      *addressShape `json:"customer_address"`
	CustomerEmail        *string       `json:"customer_email"`
	CustomerName         *string       `json:"customer_name"`
	CustomerPhone        unset         `json:"customer_phone"`
	CustomerShipping     unset         `json:"customer_shipping"`
	CustomerTaxExempt    string        `json:"customer_tax_exempt"`
	CustomerTaxIDs       []string      `json:"customer_tax_ids"`
	DefaultPaymentMethod unset         `json:"default_payment_method"`
	DefaultSource        unset         `json:"default_source"`
	DefaultTaxRates      []string      `json:"default_tax_rates"`
	Description          unset         `json:"description"`
	Discount             unset         `json:"discount"`
	Discounts            []string      `json:"discounts"`
	DueDate              unset         `json:"due_date"`
	EffectiveAt          *int64        `json:"effective_at"`
	EndingBalance        *int64        `json:"ending_balance"`
	Footer               unset         `json:"footer"`
	FromInvoice          unset         `json:"from_invoice"`
	HostedInvoiceURL     *string       `json:"hosted_invoice_url"`
	InvoicePDF           *string       `json:"invoice_pdf"`
	Issuer               issuerShape   `json:"issuer"`

	LastFinalizationError        unset             `json:"last_finalization_error"`
	LatestRevision               unset             `json:"latest_revision"`
	Lines                        list              `json:"lines"`
	Livemode                     bool              `json:"livemode"`
	Metadata                     map[string]string `json:"metadata"`
	NextPaymentAttempt           *int64            `json:"next_payment_attempt"`
	Number                       *string           `json:"number"`
	OnBehalfOf                   unset             `json:"on_behalf_of"`
	Paid                         bool              `json:"paid"`
	PaidOutOfBand                bool              `json:"paid_out_of_band"`
	PaymentIntent                *string           `json:"payment_intent"`
	PaymentSettings              invPayment        `json:"payment_settings"`
	PeriodEnd                    int64             `json:"period_end"`
	PeriodStart                  int64             `json:"period_start"`
	PostPaymentCreditNotesAmount int64             `json:"post_payment_credit_notes_amount"`
	PrePaymentCreditNotesAmount  int64             `json:"pre_payment_credit_notes_amount"`
	Quote                        unset             `json:"quote"`
	ReceiptNumber                unset             `json:"receipt_number"`
	Rendering                    unset             `json:"rendering"`
	ShippingCost                 unset             `json:"shipping_cost"`
	ShippingDetails              unset             `json:"shipping_details"`
	StartingBalance              int64             `json:"starting_balance"`
	StatementDescriptor          unset             `json:"statement_descriptor"`
	Status                       string            `json:"status"`
	StatusTransitions            transitions       `json:"status_transitions"`
	Subscription                 string            `json:"subscription"`
	SubscriptionDetails          invSubscription   `json:"subscription_details"`
	Subtotal                     int64             `json:"subtotal"`
	SubtotalExcludingTax         int64             `json:"subtotal_excluding_tax"`
	Tax                          unset             `json:"tax"`
	TestClock                    unset             `json:"test_clock"`
	Total                        int64             `json:"total"`
	TotalDiscountAmounts         []string          `json:"total_discount_amounts"`
	TotalExcludingTax            int64             `json:"total_excluding_tax"`
	TotalTaxAmounts              []string          `json:"total_tax_amounts"`
	TransferData                 unset             `json:"transfer_data"`
	WebhooksDeliveredAt          *int64            `json:"webhooks_delivered_at"`
}

type invTax struct {
	Enabled   bool  `json:"enabled"`
	Liability unset `json:"liability"`
	Status    unset `json:"status"`
}

type issuerShape struct {
	Type string `json:"type"`
}

type invPayment struct {
	DefaultMandate       unset `json:"default_mandate"`
	PaymentMethodOptions unset `json:"payment_method_options"`
	PaymentMethodTypes   unset `json:"payment_method_types"`
}

type invSubscription struct {
	Metadata map[string]string `json:"metadata"`
}

type transitions struct {
	FinalizedAt           *int64 `json:"finalized_at"`
	MarkedUncollectibleAt unset  `json:"marked_uncollectible_at"`
	PaidAt                *int64 `json:"paid_at"`
	VoidedAt              unset  `json:"voided_at"`
}

// intent is the id of the payment intent: there is one from finalization on.
func (i *invoice) intent() string { return "pi_" + i.id[len("in_"):] }

// before is when the period began that the invoice closes: period_start is about
// the past one, its lines are about the next. A first invoice closes none.
func (i *invoice) before() int64 {
	if i.reason != "subscription_cycle" {
		return i.start
	}
	return monthsAfter(i.start, -i.lines[0].price.months())
}

func (i *invoice) remaining() int64 {
	if i.status == "paid" {
		return 0
	}
	return i.total
}

func (i *invoice) raw() json.RawMessage {
	if i.body == nil {
		c := i.customer
		j := invoiceShape{ID: i.id, Object: "invoice", AccountCountry: "DE", AccountName: "Dunlin sandbox", AmountDue: i.total,
			AmountPaid: i.total - i.remaining(), AmountRemaining: i.remaining(), AttemptCount: i.attempts, Attempted: i.attempts > 0,
			AutoAdvance: i.collecting, BillingReason: i.reason, CollectionMethod: "charge_automatically", Created: i.created,
			Currency: i.currency, Customer: c.id, CustomerAddress: c.addressShape(), CustomerEmail: orNull(c.email),
			CustomerName: orNull(c.name), CustomerTaxExempt: "none", CustomerTaxIDs: []string{}, DefaultTaxRates: []string{},
			Discounts: []string{}, EffectiveAt: orNull(i.finalizedAt), Issuer: issuerShape{"self"},
			Lines:    newList("/v1/invoices/"+i.id+"/lines", i.lineShapes(), false),
			Metadata: map[string]string{}, NextPaymentAttempt: orNull(i.next), Number: orNull(i.number), Paid: i.status == "paid",
			PeriodEnd: i.start, PeriodStart: i.before(), Status: i.status,
			StatusTransitions: transitions{FinalizedAt: orNull(i.finalizedAt), PaidAt: orNull(i.paidAt)}, Subscription: i.sub.id,
			SubscriptionDetails: invSubscription{map[string]string{}}, Subtotal: i.total, SubtotalExcludingTax: i.total, Total: i.total,
			TotalDiscountAmounts: []string{}, TotalExcludingTax: i.total, TotalTaxAmounts: []string{}}
		if i.charge != nil {
			j.Charge = &i.charge.id
		}
		if i.status != "draft" { // nobody can pay a draft: no number, page or intent yet (facts 1.1)
			j.HostedInvoiceURL = orNull("https://invoice.example.com/i/" + i.id)
			j.InvoicePDF = orNull("https://invoice.example.com/i/" + i.id + "/pdf")
			j.PaymentIntent = orNull(i.intent())
			j.EndingBalance = new(int64)
			j.WebhooksDeliveredAt = &i.created
		}
		i.body = mustJSON(j)
	}
	return i.body
}
