package customers

import "testing"

// asDefault is a customer whose default payment method is the one given.
func asDefault(id string, methods ...string) mirror {
	return mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":"` + id + `"}}`, methods: methods}
}

func TestProjection_Method(t *testing.T) {
	t.Parallel()
	noCard := missing("card_brand card_last4 card_expires_at card_wallet card_updated_at card_id")
	kind := func(of string, more map[string]string) map[string]string {
		return with(map[string]string{"payment_method_type": of}, more)
	}
	method := func(kind, more string) mirror {
		return asDefault("pm_1", `{"id":"pm_1","object":"payment_method","created":1770000000,"type":"`+kind+`"`+more+`}`)
	}
	checkDerivations(t, []derivation{
		{"none is set", mirror{methods: []string{walletPM("pm_1")}}, kind("missing", noCard)},
		{"a card in a wallet", asDefault("pm_1", walletPM("pm_1")), map[string]string{"payment_method_type": "card", "card_wallet": "apple_pay", "card_updated_at": "2026-02-02T02:40:00Z"}},
		{"a card that was typed in", method("card", `,"card":{"brand":"visa","last4":"4242","exp_month":2,"exp_year":2028,"wallet":null}`), map[string]string{"card_wallet": "missing", "card_last4": "4242"}},
		{"a wallet we do not know is kept as sent", method("card", `,"card":{"wallet":{"type":"new_pay"}}`), map[string]string{"card_wallet": "new_pay"}},
		{"a new expiry of the same card does not move card_updated_at: Stripe does not say when", method("card", `,"card":{"exp_month":2,"exp_year":2032}`), map[string]string{"card_updated_at": "2026-02-02T02:40:00Z", "card_expires_at": "2032-02-29"}},
		{"link has no expiry: missing, never 1970", method("link", `,"link":{"email":"a@example.com"}`), kind("link", noCard)},
		{"SEPA has none", method("sepa_debit", `,"sepa_debit":{"last4":"3000"}`), kind("sepa_debit", noCard)},
		{"ACH has none", method("us_bank_account", `,"us_bank_account":{"last4":"6789"}`), kind("us_bank_account", noCard)},
		{"a type we do not know is kept as sent", method("new_method", ""), kind("new_method", noCard)},
		{"a legacy card does not say when it was saved, and calls Google Pay android_pay", mirror{customer: `{"id":"cus_1","default_source":"card_1"}`,
			methods: []string{`{"id":"card_1","object":"card","brand":"Visa","last4":"4242","exp_month":2,"exp_year":2028,"tokenization_method":"android_pay"}`}},
			map[string]string{"payment_method_type": "card", "card_wallet": "google_pay", "card_updated_at": "missing", "card_expires_at": "2028-02-29"}},
		{"a legacy source does", mirror{customer: `{"id":"cus_1","default_source":"src_1"}`,
			methods: []string{`{"id":"src_1","object":"source","type":"card","created":1770000000,"card":{"brand":"Visa","last4":"4242","exp_month":2,"exp_year":2028}}`}},
			map[string]string{"payment_method_type": "card", "card_wallet": "missing", "card_updated_at": "2026-02-02T02:40:00Z"}},
		{"a legacy bank account", mirror{customer: `{"id":"cus_1","default_source":"ba_1"}`, methods: []string{`{"id":"ba_1","object":"bank_account","last4":"6789"}`}}, kind("bank_account", noCard)},
		{"a default nobody knows", asDefault("pm_1"), kind("missing", noCard)},
	})
}

func TestElements_Cards(t *testing.T) {
	t.Parallel()
	legacy := `{"id":"card_1","object":"card","brand":"American Express","last4":"0005","exp_month":12,"exp_year":2027,"funding":"credit","country":"us","tokenization_method":"apple_pay"}`
	source := `{"id":"src_1","object":"source","type":"card","created":1770000000,"card":{"brand":"Visa","last4":"1881","exp_month":6,"exp_year":2027}}`
	sub := func(more string) []string { return []string{subJSON("sub_1", "active", more)} }
	of := func(id, isDefault string) map[string]string {
		return map[string]string{"id": id, "is_default": isDefault}
	}
	checkElements(t, "cards", []elementCase{
		{"none", mirror{}, nil},
		{"a bare one: null is not zero, and what cannot be missing is the epoch", mirror{methods: []string{`{"id":"pm_1","type":"card","card":{}}`}}, []map[string]string{
			with(missing("brand last4 expires_at wallet funding country"), map[string]string{"id": "pm_1", "created_at": "1970-01-01T00:00:00Z", "is_default": "false", "metadata": "map[]"})}},
		{"nulls", mirror{methods: []string{`{"id":"pm_1","type":"card","created":null,"metadata":null,"card":{"brand":null,"last4":null,"exp_month":null,"exp_year":null,"wallet":null,"funding":null,"country":null}}`}}, []map[string]string{
			missing("brand last4 expires_at wallet funding country")}},
		{"all of it", asDefault("pm_1", walletPM("pm_1")), []map[string]string{{
			"id": "pm_1", "created_at": "2026-02-02T02:40:00Z", "brand": "Visa", "last4": "4242", "expires_at": "2028-02-29", "is_default": "true",
			"wallet": "apple_pay", "funding": "debit", "country": "FR", "metadata": "map[label:blue]",
		}}},
		{"a legacy card and a source beside a payment method, spelled as one", mirror{customer: `{"id":"cus_1","default_source":"card_1"}`, methods: []string{legacy, walletPM("pm_1"), source}}, []map[string]string{
			{"id": "card_1", "brand": "American Express", "expires_at": "2027-12-31", "wallet": "apple_pay", "country": "US", "created_at": "1970-01-01T00:00:00Z", "is_default": "true"},
			of("pm_1", "false"), {"id": "src_1", "brand": "Visa", "funding": "missing", "is_default": "false"}}},
		{"links, debits, bank accounts and other sources are no cards", mirror{methods: []string{
			`{"id":"pm_1","type":"link"}`, `{"id":"pm_2","type":"sepa_debit","sepa_debit":{"last4":"3000"}}`, `{"id":"pm_3","type":"us_bank_account"}`,
			`{"id":"ba_1","object":"bank_account","last4":"6789"}`, `{"id":"src_1","object":"source","type":"ach_credit_transfer"}`}}, nil},
		{"a detached one is held no longer, even as a default", asDefault("pm_1", "deleted:"+walletPM("pm_1"), cardPM("pm_2", "")), []map[string]string{of("pm_2", "false")}},
		{"attached and no default: nothing is charged", mirror{methods: []string{cardPM("pm_1", "")}}, []map[string]string{of("pm_1", "false")}},
		{"the subscription's own card shadows the customer's default", mirror{customer: asDefault("pm_1").customer, subscriptions: sub(`,"default_payment_method":"pm_2"`), methods: []string{cardPM("pm_1", ""), cardPM("pm_2", "")}},
			[]map[string]string{of("pm_1", "false"), of("pm_2", "true")}},
		{"a link is the default: no card is", asDefault("pm_2", cardPM("pm_1", ""), `{"id":"pm_2","type":"link"}`), []map[string]string{of("pm_1", "false")}},
		{"sent inside the customer, not yet in the mirror", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":` + walletPM("pm_1") + `},"default_source":` + legacy + `,"sources":{"data":[` + legacy + `,` + source + `]}}`},
			[]map[string]string{of("card_1", "false"), of("pm_1", "true"), of("src_1", "false")}},
		{"sent inside the subscription", mirror{subscriptions: sub(`,"default_payment_method":` + walletPM("pm_1"))}, []map[string]string{of("pm_1", "true")}},
		{"sent inside the customer, detached since", mirror{customer: `{"id":"cus_1","sources":{"data":[` + legacy + `]}}`, methods: []string{"deleted:" + legacy}}, nil},
		{"a brand and a funding we do not know are kept", mirror{methods: []string{`{"id":"pm_1","type":"card","card":{"brand":"cartes_bancaires","funding":"new_money","country":"somewhere"}}`}},
			[]map[string]string{{"brand": "Cartes Bancaires", "funding": "new_money", "country": "missing"}}},
	})
}
