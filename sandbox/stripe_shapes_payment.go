package sandbox

import "encoding/json"

type billingShape struct {
	Address addressShape `json:"address"`
	Email   *string      `json:"email"`
	Name    *string      `json:"name"`
	Phone   unset        `json:"phone"`
}

func (m *method) billing() billingShape {
	b := billingShape{Email: orNull(m.customer.email), Name: orNull(m.customer.name)}
	if a := m.customer.addressShape(); a != nil {
		b.Address = *a
	}
	return b
}

type checksShape struct {
	Line1  unset  `json:"address_line1_check"`
	Postal unset  `json:"address_postal_code_check"`
	CVC    string `json:"cvc_check"`
}

type walletShape struct {
	ApplePay     struct{} `json:"apple_pay"`
	DynamicLast4 string   `json:"dynamic_last4"`
	Type         string   `json:"type"`
}

func (m *method) walletShape() *walletShape {
	if !m.wallet {
		return nil
	}
	return &walletShape{DynamicLast4: m.last4, Type: "apple_pay"}
}

type cardDetails struct {
	Brand         string      `json:"brand"`
	Checks        checksShape `json:"checks"`
	Country       string      `json:"country"`
	DisplayBrand  string      `json:"display_brand"`
	ExpMonth      int         `json:"exp_month"`
	ExpYear       int         `json:"exp_year"`
	Fingerprint   string      `json:"fingerprint"`
	Funding       string      `json:"funding"`
	GeneratedFrom unset       `json:"generated_from"`
	Last4         string      `json:"last4"`
	Networks      struct {
		Available []string `json:"available"`
		Preferred unset    `json:"preferred"`
	} `json:"networks"`
	ThreeDSecureUsage struct {
		Supported bool `json:"supported"`
	} `json:"three_d_secure_usage"`
	Wallet *walletShape `json:"wallet"`
}

type methodShape struct {
	ID             string            `json:"id"`
	Object         string            `json:"object"`
	BillingDetails billingShape      `json:"billing_details"`
	Card           *cardDetails      `json:"card,omitempty"`
	Created        int64             `json:"created"`
	Customer       *string           `json:"customer"`
	Link           *linkDetails      `json:"link,omitempty"`
	Livemode       bool              `json:"livemode"`
	Metadata       map[string]string `json:"metadata"`
	SEPADebit      *sepaDetails      `json:"sepa_debit,omitempty"`
	Type           string            `json:"type"`
}

type linkDetails struct {
	Email *string `json:"email"`
}

type sepaDetails struct {
	BankCode      string `json:"bank_code"`
	BranchCode    string `json:"branch_code"`
	Country       string `json:"country"`
	Fingerprint   string `json:"fingerprint"`
	GeneratedFrom struct {
		Charge       unset `json:"charge"`
		SetupAttempt unset `json:"setup_attempt"`
	} `json:"generated_from"`
	Last4 string `json:"last4"`
}

// raw is the payment method, or for a legacy card the card object: what its id
// stands for as a default source and in customer.source.* events.
func (m *method) raw() json.RawMessage {
	if m.body == nil {
		if m.legacy {
			m.body = m.card()
		} else {
			m.body = m.paymentMethod()
		}
	}
	return m.body
}

// paymentMethod is the modern shape, in which the payment methods of a customer
// show legacy cards too, under their card_ ids (facts 1.5).
func (m *method) paymentMethod() json.RawMessage {
	s := methodShape{ID: m.id, Object: "payment_method", BillingDetails: m.billing(), Created: m.created, Metadata: map[string]string{}, Type: m.kind}
	if m.attached {
		s.Customer = &m.customer.id
	}
	switch m.kind {
	case "card":
		c := &cardDetails{Brand: m.brand, Checks: checksShape{CVC: "pass"}, Country: m.country, DisplayBrand: displayBrand(m.brand),
			ExpMonth: m.month, ExpYear: m.year, Fingerprint: m.fingerprint, Funding: "credit", Last4: m.last4, Wallet: m.walletShape()}
		c.Networks.Available = []string{m.brand}
		c.ThreeDSecureUsage.Supported = true
		s.Card = c
	case "link":
		s.Link = &linkDetails{Email: orNull(m.customer.email)}
	case "sepa_debit":
		s.SEPADebit = &sepaDetails{BankCode: "37040044", Country: m.country, Fingerprint: m.fingerprint, Last4: m.last4}
	}
	return mustJSON(s)
}

type cardShape struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	AddressCity        unset             `json:"address_city"`
	AddressCountry     *string           `json:"address_country"`
	AddressLine1       unset             `json:"address_line1"`
	AddressLine1Check  unset             `json:"address_line1_check"`
	AddressLine2       unset             `json:"address_line2"`
	AddressState       *string           `json:"address_state"`
	AddressZip         unset             `json:"address_zip"`
	AddressZipCheck    unset             `json:"address_zip_check"`
	Brand              string            `json:"brand"`
	Country            string            `json:"country"`
	Customer           string            `json:"customer"`
	CVCCheck           string            `json:"cvc_check"`
	DynamicLast4       unset             `json:"dynamic_last4"`
	ExpMonth           int               `json:"exp_month"`
	ExpYear            int               `json:"exp_year"`
	Fingerprint        string            `json:"fingerprint"`
	Funding            string            `json:"funding"`
	Last4              string            `json:"last4"`
	Metadata           map[string]string `json:"metadata"`
	Name               *string           `json:"name"`
	TokenizationMethod unset             `json:"tokenization_method"`
}

func (m *method) card() json.RawMessage {
	s := cardShape{ID: m.id, Object: "card", Brand: titleBrand(m.brand), Country: m.country, Customer: m.customer.id, CVCCheck: "pass",
		ExpMonth: m.month, ExpYear: m.year, Fingerprint: m.fingerprint, Funding: "credit", Last4: m.last4,
		Metadata: map[string]string{}, Name: orNull(m.customer.name)}
	if a := m.customer.addressShape(); a != nil {
		s.AddressCountry, s.AddressState = a.Country, a.State
	}
	return mustJSON(s)
}

// titleBrand is a brand in the spelling of legacy cards.
func titleBrand(brand string) string {
	switch brand {
	case "visa":
		return "Visa"
	case "mastercard":
		return "MasterCard"
	case "amex":
		return "American Express"
	case "discover":
		return "Discover"
	case "jcb":
		return "JCB"
	}
	return "Unknown"
}

// displayBrand is the third spelling (facts 1.5).
func displayBrand(brand string) string {
	if brand == "amex" {
		return "american_express"
	}
	return brand
}

type outcomeShape struct {
	NetworkStatus string  `json:"network_status"`
	Reason        *string `json:"reason"`
	RiskLevel     string  `json:"risk_level"`
	RiskScore     int     `json:"risk_score"`
	SellerMessage string  `json:"seller_message"`
	Type          string  `json:"type"`
}

type statusShape struct {
	Status string `json:"status"`
}

type chargeCard struct {
	AmountAuthorized         *int64      `json:"amount_authorized"`
	Brand                    string      `json:"brand"`
	Checks                   checksShape `json:"checks"`
	Country                  string      `json:"country"`
	ExpMonth                 int         `json:"exp_month"`
	ExpYear                  int         `json:"exp_year"`
	ExtendedAuthorization    statusShape `json:"extended_authorization"`
	Fingerprint              string      `json:"fingerprint"`
	Funding                  string      `json:"funding"`
	IncrementalAuthorization statusShape `json:"incremental_authorization"`
	Installments             unset       `json:"installments"`
	Last4                    string      `json:"last4"`
	Mandate                  unset       `json:"mandate"`
	Multicapture             statusShape `json:"multicapture"`
	Network                  string      `json:"network"`
	NetworkToken             struct {
		Used bool `json:"used"`
	} `json:"network_token"`
	Overcapture struct {
		Maximum int64  `json:"maximum_amount_capturable"`
		Status  string `json:"status"`
	} `json:"overcapture"`
	ThreeDSecure unset        `json:"three_d_secure"`
	Wallet       *walletShape `json:"wallet"`
}

type chargeMethod struct {
	Card      *chargeCard  `json:"card,omitempty"`
	Link      *struct{}    `json:"link,omitempty"`
	SEPADebit *sepaDetails `json:"sepa_debit,omitempty"`
	Type      string       `json:"type"`
}

type chargeShape struct {
	ID                            string            `json:"id"`
	Object                        string            `json:"object"`
	Amount                        int64             `json:"amount"`
	AmountCaptured                int64             `json:"amount_captured"`
	AmountRefunded                int64             `json:"amount_refunded"`
	Application                   unset             `json:"application"`
	ApplicationFee                unset             `json:"application_fee"`
	ApplicationFeeAmount          unset             `json:"application_fee_amount"`
	BalanceTransaction            *string           `json:"balance_transaction"`
	BillingDetails                billingShape      `json:"billing_details"`
	CalculatedStatementDescriptor string            `json:"calculated_statement_descriptor"`
	Captured                      bool              `json:"captured"`
	Created                       int64             `json:"created"`
	Currency                      string            `json:"currency"`
	Customer                      string            `json:"customer"`
	Description                   string            `json:"description"`
	Disputed                      bool              `json:"disputed"`
	FailureBalanceTransaction     unset             `json:"failure_balance_transaction"`
	FailureCode                   *string           `json:"failure_code"`
	FailureMessage                *string           `json:"failure_message"`
	FraudDetails                  struct{}          `json:"fraud_details"`
	Invoice                       string            `json:"invoice"`
	Livemode                      bool              `json:"livemode"`
	Metadata                      map[string]string `json:"metadata"`
	OnBehalfOf                    unset             `json:"on_behalf_of"`
	Outcome                       outcomeShape      `json:"outcome"`
	Paid                          bool              `json:"paid"`
	PaymentIntent                 string            `json:"payment_intent"`
	PaymentMethod                 string            `json:"payment_method"`
	PaymentMethodDetails          chargeMethod      `json:"payment_method_details"`
	ReceiptEmail                  unset             `json:"receipt_email"`
	ReceiptNumber                 unset             `json:"receipt_number"`
	ReceiptURL                    *string           `json:"receipt_url"`
	Refunded                      bool              `json:"refunded"`
	Review                        unset             `json:"review"`
	Shipping                      unset             `json:"shipping"`
	SourceTransfer                unset             `json:"source_transfer"`
	StatementDescriptor           unset             `json:"statement_descriptor"`
	StatementDescriptorSuffix     unset             `json:"statement_descriptor_suffix"`
	Status                        string            `json:"status"`
	TransferData                  unset             `json:"transfer_data"`
	TransferGroup                 unset             `json:"transfer_group"`
}

func (c *charge) raw() json.RawMessage {
	if c.body == nil {
		s := chargeShape{ID: c.id, Object: "charge", Amount: c.amount, AmountRefunded: c.refunded, Disputed: c.disputed,
			Refunded: c.refunded > 0 && c.refunded == c.amount, BillingDetails: c.method.billing(),
			CalculatedStatementDescriptor: "DUNLIN SANDBOX", Created: c.created, Currency: c.invoice.currency, Customer: c.customer.id,
			Description: "Subscription update", Invoice: c.invoice.id, Metadata: map[string]string{},
			PaymentIntent: c.invoice.intent(), PaymentMethod: c.method.id, PaymentMethodDetails: c.method.charged(c.amount)}
		if c.invoice.reason == "subscription_create" {
			s.Description = "Subscription creation"
		}
		if c.failure == "" {
			s.AmountCaptured, s.Captured, s.Paid, s.Status = c.amount, true, true, "succeeded"
			s.BalanceTransaction = orNull("txn_" + c.id[len("ch_"):])
			s.ReceiptURL = orNull("https://pay.example.com/receipts/" + c.id)
			s.Outcome = outcomeShape{NetworkStatus: "approved_by_network", RiskLevel: "normal", RiskScore: 12,
				SellerMessage: "Payment complete.", Type: "authorized"}
		} else {
			s.Status = "failed"
			code, message := failureWords(c.failure)
			s.FailureCode, s.FailureMessage = &code, &message
			s.Outcome = outcomeShape{NetworkStatus: "declined_by_network", Reason: &c.failure, RiskLevel: "normal", RiskScore: 12,
				SellerMessage: "The bank returned the decline code `" + c.failure + "`.", Type: "issuer_declined"}
		}
		c.body = mustJSON(s)
	}
	return c.body
}

func (m *method) charged(amount int64) chargeMethod {
	d := chargeMethod{Type: m.kind}
	switch m.kind {
	case "card":
		c := &chargeCard{AmountAuthorized: &amount, Brand: m.brand, Checks: checksShape{CVC: "pass"}, Country: m.country, ExpMonth: m.month,
			ExpYear: m.year, ExtendedAuthorization: statusShape{"disabled"}, Fingerprint: m.fingerprint, Funding: "credit",
			IncrementalAuthorization: statusShape{"unavailable"}, Last4: m.last4, Multicapture: statusShape{"unavailable"},
			Network: m.brand, Wallet: m.walletShape()}
		c.Overcapture.Maximum, c.Overcapture.Status = amount, "unavailable"
		d.Card = c
	case "link":
		d.Link = &struct{}{}
	case "sepa_debit":
		d.SEPADebit = &sepaDetails{BankCode: "37040044", Country: m.country, Fingerprint: m.fingerprint, Last4: m.last4}
	}
	return d
}

// failureWords turns a decline code into Charge.failure_code and its message:
// the code is often just card_declined, the reason is in the outcome (facts 6.2).
func failureWords(decline string) (code, message string) {
	switch decline {
	case "expired_card":
		return "expired_card", "Your card has expired."
	case "insufficient_funds":
		return "card_declined", "Your card has insufficient funds."
	}
	return "card_declined", "Your card was declined."
}
