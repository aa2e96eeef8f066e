package customers

import "testing"

// a derivation is one odd case: what the mirror holds, and what the attributes
// of interest are, as people write them.
type derivation struct {
	name   string
	mirror mirror
	want   map[string]string
}

func checkDerivations(t *testing.T, tests []derivation) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := tt.mirror.picture(t)
			for name, want := range tt.want {
				if got := show(p, name); got != want {
					t.Errorf("%s\n got %s\nwant %s", name, got, want)
				}
			}
		})
	}
}

func TestProjection_Person(t *testing.T) {
	t.Parallel()
	named := func(name string) mirror { return mirror{customer: `{"id":"cus_1","name":"` + name + `"}`} }
	checkDerivations(t, []derivation{
		{"a bare customer has little", mirror{}, map[string]string{
			"stripe_id": "cus_1", "email": "missing", "name": "missing", "first_name": "missing", "country": "missing",
			"currency": "missing", "metadata": "map[]", "deleted": "false", "delinquent": "false",
			"account_balance": "missing", "plan": "missing", "plan_price": "missing", "mrr": "missing",
			"lifetime_spend": "missing", "open_invoice_count": "0", "open_invoice_amount": "missing",
			"next_charge_at": "missing", "card_id": "missing", "state": "missing", "subscription_status": "missing",
		}},
		{"nulls are missing", mirror{customer: `{"id":"cus_1","name":null,"email":null,"currency":null,"address":null,
			"balance":0,"delinquent":null,"default_source":null,"discount":null,"metadata":{},
			"invoice_settings":{"default_payment_method":null}}`}, map[string]string{
			"name": "missing", "email": "missing", "currency": "missing", "delinquent": "false", "account_balance": "missing",
		}},
		{"an empty text is missing", mirror{customer: `{"id":"cus_1","name":"","email":""}`}, map[string]string{"name": "missing", "email": "missing"}},
		{"the case of an e-mail is kept", mirror{customer: `{"id":"cus_1","email":"Jane.Doe@Example.com"}`}, map[string]string{"email": "Jane.Doe@Example.com"}},
		{"metadata", mirror{customer: `{"id":"cus_1","metadata":{"tier":"pro","seats":"5"}}`}, map[string]string{"metadata": "map[seats:5 tier:pro]"}},
		{"a NUL in text is dropped", mirror{customer: `{"id":"cus_1","name":"Ja\u0000ne Doe","metadata":{"a\u0000":"b\u0000c"}}`},
			map[string]string{"name": "Jane Doe", "first_name": "Jane", "metadata": "map[a:bc]"}},

		{"first word", named("Jane van Doe"), map[string]string{"first_name": "Jane"}},
		{"hyphens stay", named("Jean-Luc Picard"), map[string]string{"first_name": "Jean-Luc"}},
		{"a single word", named("Cher"), map[string]string{"first_name": "Cher"}},
		{"a title is no name", named("Dr. Jane Doe"), map[string]string{"first_name": "Jane"}},
		{"a title before a surname", named("Mr Doe"), map[string]string{"first_name": "missing"}},
		{"several titles", named("Prof. Dr. Jane Doe"), map[string]string{"first_name": "Jane"}},
		{"surname first, with a comma", named("Doe, Jane"), map[string]string{"first_name": "Jane"}},
		{"initials", named("J. Doe"), map[string]string{"first_name": "missing"}},
		{"initials without a space", named("J.R. Doe"), map[string]string{"first_name": "missing"}},
		{"a business", named("Acme Rockets GmbH"), map[string]string{"first_name": "missing", "name": "Acme Rockets GmbH"}},
		{"a business with a comma", named("Acme, Inc."), map[string]string{"first_name": "missing"}},
		{"an e-mail for a name", named("jane@example.com"), map[string]string{"first_name": "missing"}},
		{"digits", named("Studio 54"), map[string]string{"first_name": "missing"}},
		{"another script", named("山田 太郎"), map[string]string{"first_name": "山田"}},
	})
}

func TestProjection_Deleted(t *testing.T) {
	t.Parallel()
	checkDerivations(t, []derivation{
		{"what retrieving a deleted customer gives", mirror{customer: `{"id":"cus_1","object":"customer","deleted":true}`},
			map[string]string{"deleted": "true", "stripe_id": "cus_1", "email": "missing"}},
		{"the event carries the last object, the row is marked", mirror{customer: `deleted:{"id":"cus_1","email":"a@example.com"}`},
			map[string]string{"deleted": "true", "email": "a@example.com"}},
		{"deleting cancels its subscriptions", mirror{
			customer:      `deleted:{"id":"cus_1","currency":"usd"}`,
			subscriptions: []string{monthlySub("sub_1", "usd", "4900", "")},
		}, map[string]string{"subscription_status": "canceled", "mrr": "0.00 usd", "plan_price": "49.00 usd", "next_charge_at": "missing"}},
		{"a subscription that is gone is canceled", mirror{subscriptions: []string{"deleted:" + monthlySub("sub_1", "usd", "4900", "")}},
			map[string]string{"subscription_status": "canceled", "mrr": "0.00 usd"}},
	})
}

func TestProjection_PrimarySubscription(t *testing.T) {
	t.Parallel()
	at := func(id, status, created, amount string) string {
		return subJSON(id, status, `,"created":`+created, itemJSON("si", priceJSON("price_"+id, "usd", amount, "month", ""), ""))
	}
	var every []string
	for _, status := range []string{"incomplete_expired", "canceled", "something_new", "incomplete", "paused", "unpaid", "past_due", "trialing", "active"} {
		every = append(every, at("sub_"+status, status, "1700000000", "100"))
	}
	tests := []derivation{
		{"an active one before a newer canceled one", mirror{subscriptions: []string{
			at("sub_a", "active", "1600000000", "100"), at("sub_b", "canceled", "1700000000", "900"),
		}}, map[string]string{"subscription_status": "active", "plan": "price_sub_a"}},
		{"then the highest amount", mirror{subscriptions: []string{
			at("sub_a", "active", "1700000000", "100"), at("sub_b", "active", "1600000000", "900"),
		}}, map[string]string{"plan": "price_sub_b"}},
		{"then the newest", mirror{subscriptions: []string{
			at("sub_b", "active", "1600000000", "100"), at("sub_a", "active", "1700000000", "100"),
		}}, map[string]string{"plan": "price_sub_a"}},
		{"then by id", mirror{subscriptions: []string{
			at("sub_b", "active", "1700000000", "100"), at("sub_a", "active", "1700000000", "100"),
		}}, map[string]string{"plan": "price_sub_a"}},
		{"amounts a month are compared, not prices", mirror{subscriptions: []string{
			monthlySub("sub_m", "usd", "2000", ""),
			subJSON("sub_y", "active", "", itemJSON("si", priceJSON("price_sub_y", "usd", "12000", "year", ""), "")),
		}}, map[string]string{"plan": "price_sub_m"}},
		{"amounts of two currencies are not compared: the newest", mirror{subscriptions: []string{
			at("sub_a", "active", "1700000000", "100"),
			subJSON("sub_b", "active", `,"created":1600000000`, itemJSON("si", priceJSON("price_sub_b", "jpy", "9000", "month", ""), "")),
		}}, map[string]string{"plan": "price_sub_a", "currency": "usd"}},
		{"two trials: the larger", mirror{subscriptions: []string{
			at("sub_a", "trialing", "1700000000", "100"), at("sub_b", "trialing", "1600000000", "900"),
		}}, map[string]string{"plan": "price_sub_b", "mrr": "0.00 usd"}},
		{"an unknown status is kept as sent", mirror{subscriptions: []string{at("sub_a", "something_new", "1700000000", "100")}},
			map[string]string{"subscription_status": "something_new"}},
		{"period", mirror{subscriptions: []string{monthlySub("sub_1", "usd", "100", "")}},
			map[string]string{"subscription_period_start_at": "2026-09-21T14:13:20Z"}},
		{"period on the items, as API versions since 2025 have it", mirror{subscriptions: []string{
			`{"id":"sub_1","status":"active","currency":"usd","items":{"data":[` +
				itemJSON("si", priceJSON("p", "usd", "100", "month", ""), `,"current_period_start":1790000000,"current_period_end":1792592000`) + `]}}`,
		}}, map[string]string{"subscription_period_start_at": "2026-09-21T14:13:20Z", "next_charge_at": "2026-10-21T14:13:20Z"}},
	}
	for n := len(every); n > 0; n-- { // each status yields to all that come after it in the list
		want := []string{"incomplete_expired", "canceled", "something_new", "incomplete", "paused", "unpaid", "past_due", "trialing", "active"}[n-1]
		tests = append(tests, derivation{"rank of " + want, mirror{subscriptions: every[:n]}, map[string]string{"subscription_status": want}})
	}
	checkDerivations(t, tests)
}

func TestProjection_Card(t *testing.T) {
	t.Parallel()
	const customerDefault = `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_customer"},"default_source":"card_customer"}`
	legacy := `{"id":"card_customer","object":"card","brand":"American Express","last4":"0005","exp_month":12,"exp_year":2027,"address_country":"DE","address_state":"BY"}`
	source := `{"id":"src_sub","object":"source","type":"card","card":{"brand":"Visa","last4":"1881","exp_month":6,"exp_year":2027},"owner":{"address":{"country":"NL"}}}`
	other := func(id, last4 string) string {
		return `{"id":"` + id + `","object":"payment_method","type":"card","card":{"brand":"mastercard","last4":"` + last4 + `","exp_month":4,"exp_year":2027},"billing_details":{"address":{"country":"us","state":"CA"}}}`
	}
	methods := []string{other("pm_sub", "1111"), other("pm_customer", "2222"), source, legacy}
	sub := func(status, more string) []string {
		return []string{subJSON("sub_1", status, more, itemJSON("si", priceJSON("p", "usd", "100", "month", ""), ""))}
	}
	all := `,"default_payment_method":"pm_sub","default_source":"src_sub"`
	checkDerivations(t, []derivation{
		{"1: the subscription's payment method", mirror{customer: customerDefault, subscriptions: sub("active", all), methods: methods},
			map[string]string{"card_last4": "1111", "card_brand": "MasterCard", "card_id": "pm_sub", "card_expires_at": "2027-04-30", "country": "US", "state": "CA"}},
		{"2: the subscription's source", mirror{customer: customerDefault, subscriptions: sub("active", `,"default_payment_method":null,"default_source":"src_sub"`), methods: methods},
			map[string]string{"card_last4": "1881", "card_brand": "Visa", "card_id": "src_sub", "country": "NL"}},
		{"3: the customer's payment method", mirror{customer: customerDefault, subscriptions: sub("active", ""), methods: methods},
			map[string]string{"card_last4": "2222", "card_id": "pm_customer"}},
		{"4: the customer's source, a legacy card", mirror{customer: `{"id":"cus_1","default_source":"card_customer"}`, subscriptions: sub("active", ""), methods: methods},
			map[string]string{"card_last4": "0005", "card_brand": "American Express", "card_expires_at": "2027-12-31", "card_id": "card_customer", "country": "DE", "state": "BY"}},
		{"none is set, some are attached", mirror{subscriptions: sub("active", ""), methods: methods},
			map[string]string{"card_last4": "missing", "card_brand": "missing", "card_expires_at": "missing", "card_id": "missing", "country": "missing"}},
		{"a canceled subscription charges nothing", mirror{customer: customerDefault, subscriptions: sub("canceled", all), methods: methods},
			map[string]string{"card_id": "pm_customer"}},
		{"without a subscription", mirror{customer: customerDefault, methods: methods}, map[string]string{"card_id": "pm_customer"}},
		{"an unknown default shadows what is below it", mirror{customer: customerDefault, subscriptions: sub("active", `,"default_payment_method":"pm_unheard_of"`), methods: methods},
			map[string]string{"card_id": "missing", "card_last4": "missing"}},
		{"a detached default is passed over", mirror{customer: customerDefault, subscriptions: sub("active", all), methods: []string{"deleted:" + other("pm_sub", "1111"), other("pm_customer", "2222")}},
			map[string]string{"card_id": "missing"}}, // the subscription's source comes next, and is unknown
		{"a detached customer default", mirror{customer: customerDefault, methods: []string{"deleted:" + other("pm_customer", "2222"), legacy}},
			map[string]string{"card_id": "card_customer"}},

		{"expanded inline", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":` + other("pm_x", "3333") + `}}`},
			map[string]string{"card_id": "pm_x", "card_last4": "3333"}},
		{"the mirror row before the expanded copy", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":` + other("pm_x", "3333") + `}}`, methods: []string{other("pm_x", "4444")}},
			map[string]string{"card_last4": "4444"}},
		{"expanded on the subscription", mirror{subscriptions: sub("active", `,"default_payment_method":`+other("pm_y", "5555"))}, map[string]string{"card_last4": "5555"}},
		{"among expanded sources", mirror{customer: `{"id":"cus_1","default_source":"card_customer","sources":{"data":[` + source + `,` + legacy + `]}}`},
			map[string]string{"card_last4": "0005"}},

		{"link has no card", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_l"}}`,
			methods: []string{`{"id":"pm_l","object":"payment_method","type":"link","link":{"email":"a@example.com"},"billing_details":{"address":{"country":"SE"}}}`}},
			map[string]string{"card_brand": "missing", "card_expires_at": "missing", "card_last4": "missing", "card_id": "missing", "country": "SE"}},
		{"a debit has no card, not even with a last4", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_d"}}`,
			methods: []string{`{"id":"pm_d","object":"payment_method","type":"us_bank_account","us_bank_account":{"last4":"6789"}}`}},
			map[string]string{"card_last4": "missing", "card_id": "missing"}},
		{"a bank account as a source", mirror{customer: `{"id":"cus_1","default_source":"ba_1"}`,
			methods: []string{`{"id":"ba_1","object":"bank_account","last4":"6789","country":"US"}`}},
			map[string]string{"card_last4": "missing", "card_id": "missing", "country": "missing"}},
		{"a wallet is a card", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_w"}}`,
			methods: []string{cardPM("pm_w", `,"wallet":{"type":"apple_pay"}`)}}, map[string]string{"card_last4": "4242"}},
		{"February of a leap year", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_c"}}`, methods: []string{cardPM("pm_c", "")}},
			map[string]string{"card_expires_at": "2028-02-29"}},
		{"an expiry that is no month", mirror{customer: `{"id":"cus_1","default_source":"card_1"}`,
			methods: []string{`{"id":"card_1","object":"card","brand":"Visa","last4":"4242","exp_month":0,"exp_year":0}`}},
			map[string]string{"card_expires_at": "missing", "card_last4": "4242", "card_id": "card_1"}},
		{"the country of the card's bank is not the customer's", mirror{customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_c"}}`, methods: []string{cardPM("pm_c", "")}},
			map[string]string{"country": "missing"}},
	})
}

func TestBrand(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]any{
		"amex": "American Express", "American Express": "American Express", "american_express": "American Express",
		"diners": "Diners Club", "Diners Club": "Diners Club", "discover": "Discover", "Discover": "Discover",
		"eftpos_au": "Eftpos Australia", "Eftpos Australia": "Eftpos Australia", "jcb": "JCB", "JCB": "JCB",
		"mastercard": "MasterCard", "MasterCard": "MasterCard", "Mastercard": "MasterCard",
		"unionpay": "UnionPay", "UnionPay": "UnionPay", "visa": "Visa", "Visa": "Visa",
		"unknown": "Unknown", "Unknown": "Unknown",
		"cartes_bancaires": "Cartes Bancaires", "new brand": "New Brand", "": nil, "_": nil,
	} {
		if got := brand(sent); got != want {
			t.Errorf("brand(%q)\n got %v\nwant %v", sent, got, want)
		}
	}
}

func TestProjection_Country(t *testing.T) {
	t.Parallel()
	const german = `,"customer_address":{"country":"DE","state":"BE"}`
	checkDerivations(t, []derivation{
		{"of the customer", mirror{customer: `{"id":"cus_1","address":{"country":"au","state":"NSW"},"invoice_settings":{"default_payment_method":"pm_1"}}`,
			methods: []string{cardPM("pm_1", `,"billing_details":{"address":{"country":"SE"}}`)}}, map[string]string{"country": "AU", "state": "NSW"}},
		{"an address without a country says nothing", mirror{customer: `{"id":"cus_1","address":{"country":null,"state":"NSW"}}`,
			invoices: []string{invoiceJSON("in_1", "paid", "eur", 0, german)}}, map[string]string{"country": "DE", "state": "BE"}},
		{"of the newest invoice that has one", mirror{invoices: []string{
			invoiceJSON("in_1", "paid", "eur", 0, german+`,"created":1700000000`),
			invoiceJSON("in_2", "paid", "eur", 0, `,"customer_address":{"country":"CH"},"created":1750000000`),
			invoiceJSON("in_3", "paid", "eur", 0, `,"created":1780000000`),
		}}, map[string]string{"country": "CH", "state": "missing"}},
		{"free text is no country", mirror{customer: `{"id":"cus_1","default_source":"card_1"}`,
			methods: []string{`{"id":"card_1","object":"card","brand":"Visa","address_country":"United States"}`}}, map[string]string{"country": "missing"}},
	})
}
