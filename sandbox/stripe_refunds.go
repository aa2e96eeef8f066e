package sandbox

import (
	"encoding/json"
	"strings"
)

// refund is money of one charge given back.
type refund struct {
	cached
	id      string
	charge  *charge
	amount  int64
	created int64
}

// dispute is a charge that a customer's bank has taken back.
type dispute struct {
	cached
	id      string
	charge  *charge
	amount  int64
	created int64
	status  string // needs_response, won or lost
}

func (r *refund) ident() string  { return r.id }
func (r *refund) born() int64    { return r.created }
func (d *dispute) ident() string { return d.id }
func (d *dispute) born() int64   { return d.created }

type refundShape struct {
	ID                     string            `json:"id"`
	Object                 string            `json:"object"`
	Amount                 int64             `json:"amount"`
	BalanceTransaction     string            `json:"balance_transaction"`
	Charge                 string            `json:"charge"`
	Created                int64             `json:"created"`
	Currency               string            `json:"currency"`
	DestinationDetails     destinationShape  `json:"destination_details"`
	Metadata               map[string]string `json:"metadata"`
	PaymentIntent          string            `json:"payment_intent"`
	Reason                 string            `json:"reason"`
	ReceiptNumber          unset             `json:"receipt_number"`
	SourceTransferReversal unset             `json:"source_transfer_reversal"`
	Status                 string            `json:"status"`
	TransferReversal       unset             `json:"transfer_reversal"`
}

type destinationShape struct {
	Card *destinationCard `json:"card,omitempty"`
	Type string           `json:"type"`
}

type destinationCard struct {
	Type string `json:"type"`
}

func (r *refund) raw() json.RawMessage {
	if r.body == nil {
		s := refundShape{ID: r.id, Object: "refund", Amount: r.amount, BalanceTransaction: "txn_" + r.id[len("re_"):], Charge: r.charge.id,
			Created: r.created, Currency: r.charge.invoice.currency, DestinationDetails: destinationShape{Type: r.charge.method.kind},
			Metadata: map[string]string{}, PaymentIntent: r.charge.invoice.intent(), Reason: "requested_by_customer", Status: "succeeded"}
		if r.charge.method.kind == "card" {
			s.DestinationDetails.Card = &destinationCard{Type: "refund"}
		}
		r.body = mustJSON(s)
	}
	return r.body
}

type disputeShape struct {
	ID                   string            `json:"id"`
	Object               string            `json:"object"`
	Amount               int64             `json:"amount"`
	BalanceTransactions  []string          `json:"balance_transactions"`
	Charge               string            `json:"charge"`
	Created              int64             `json:"created"`
	Currency             string            `json:"currency"`
	Evidence             map[string]unset  `json:"evidence"`
	EvidenceDetails      evidenceShape     `json:"evidence_details"`
	IsChargeRefundable   bool              `json:"is_charge_refundable"`
	Livemode             bool              `json:"livemode"`
	Metadata             map[string]string `json:"metadata"`
	PaymentIntent        string            `json:"payment_intent"`
	PaymentMethodDetails disputedMethod    `json:"payment_method_details"`
	Reason               string            `json:"reason"`
	Status               string            `json:"status"`
}

type evidenceShape struct {
	DueBy           *int64 `json:"due_by"`
	HasEvidence     bool   `json:"has_evidence"`
	PastDue         bool   `json:"past_due"`
	SubmissionCount int    `json:"submission_count"`
}

type disputedMethod struct {
	Card disputedCard `json:"card"`
	Type string       `json:"type"`
}

type disputedCard struct {
	Brand             string `json:"brand"`
	NetworkReasonCode string `json:"network_reason_code"`
}

// noEvidence has the keys of a dispute's evidence: nobody ever gives any.
var noEvidence = func() map[string]unset {
	keys := map[string]unset{}
	for _, key := range strings.Fields(`access_activity_log billing_address cancellation_policy cancellation_policy_disclosure
		cancellation_rebuttal customer_communication customer_email_address customer_name customer_purchase_ip customer_signature
		duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy
		refund_policy_disclosure refund_refusal_explanation service_date service_documentation shipping_address shipping_carrier
		shipping_date shipping_documentation shipping_tracking_number uncategorized_file uncategorized_text`) {
		keys[key] = nil
	}
	return keys
}()

func (d *dispute) raw() json.RawMessage {
	if d.body == nil {
		s := disputeShape{ID: d.id, Object: "dispute", Amount: d.amount, BalanceTransactions: []string{}, Charge: d.charge.id, Created: d.created,
			Currency: d.charge.invoice.currency, Evidence: noEvidence, Metadata: map[string]string{}, PaymentIntent: d.charge.invoice.intent(),
			PaymentMethodDetails: disputedMethod{Card: disputedCard{Brand: d.charge.method.brand, NetworkReasonCode: "10.4"}, Type: "card"},
			Reason:               "fraudulent", Status: d.status}
		if d.status == "needs_response" {
			s.EvidenceDetails.DueBy = orNull(d.created + 9*day)
		}
		d.body = mustJSON(s)
	}
	return d.body
}

// refunds and disputes are listed for the account, a charge or a payment intent.

func (v *view) refunds(created span, p *params) ([]byte, *stripeError) {
	if err := v.chargeOf(p); err != nil {
		return nil, err
	}
	return page(v, "refunds", v.world.refunds, created, p, func(r *refund) bool {
		return p.is("charge", r.charge.id) && p.is("payment_intent", r.charge.invoice.intent())
	})
}

func (v *view) disputes(created span, p *params) ([]byte, *stripeError) {
	if err := v.chargeOf(p); err != nil {
		return nil, err
	}
	return page(v, "disputes", v.world.disputes, created, p, func(d *dispute) bool {
		return p.is("charge", d.charge.id) && p.is("payment_intent", d.charge.invoice.intent())
	})
}

// chargeOf refuses a charge that is not there.
func (v *view) chargeOf(p *params) *stripeError {
	id, given := p.plain["charge"]
	if _, ok := v.world.byID[id].(*charge); given && !ok {
		return missing(400, "charge", "charge", id)
	}
	return nil
}
