package customers

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

// An elementCase is one odd case: what the mirror holds, and the fields of
// interest of the elements, as people write them, in the order of the rows.
type elementCase struct {
	name   string
	mirror mirror
	want   []map[string]string
}

func checkElements(t *testing.T, collection string, tests []elementCase) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tt.mirror.elements(t, collection)
			if len(got) != len(tt.want) {
				t.Fatalf("%s\n got %d\nwant %d", collection, len(got), len(tt.want))
			}
			for i, want := range tt.want {
				for name, want := range want {
					if _, ok := got[i].of.place[name]; !ok {
						t.Errorf("%s has no field %s", collection, name)
					}
					if got := showValue(got[i].Value(name)); got != want {
						t.Errorf("%s %d: %s\n got %s\nwant %s", collection, i, name, got, want)
					}
				}
			}
		})
	}
}

// missing are fields that are all missing.
func missing(names string) map[string]string {
	want := map[string]string{}
	for _, name := range strings.Fields(names) {
		want[name] = "missing"
	}
	return want
}

func with(want map[string]string, more map[string]string) map[string]string {
	for k, v := range more {
		want[k] = v
	}
	return want
}

func TestElements_Subscriptions(t *testing.T) {
	t.Parallel()
	one := func(status, more string, items ...string) mirror {
		return mirror{subscriptions: []string{subJSON("sub_1", status, more, items...)}}
	}
	price := func(currency, amount, every, more string) string {
		return itemJSON("si_1", priceJSON("price_1", currency, amount, every, more), "")
	}
	checkElements(t, "subscriptions", []elementCase{
		{"none", mirror{}, nil},
		{"a bare one: null is not zero", mirror{subscriptions: []string{`{"id":"sub_1"}`}}, []map[string]string{
			with(missing(`status plan plan_price plan_interval plan_interval_count quantity mrr currency period_start_at period_end_at
				trial_ends_at cancels_at canceled_at cancellation_reason collection_method`), map[string]string{
				"id": "sub_1", "created_at": "1970-01-01T00:00:00Z", "collection_paused": "false", "metadata": "map[]",
			})}},
		{"nulls", mirror{subscriptions: []string{`{"id":"sub_1","created":null,"status":null,"currency":null,"trial_end":null,"cancel_at":null,
			"canceled_at":null,"cancellation_details":null,"collection_method":null,"pause_collection":null,"metadata":null,"items":null}`}}, []map[string]string{
			with(missing("status currency mrr trial_ends_at cancels_at canceled_at cancellation_reason collection_method"), map[string]string{
				"created_at": "1970-01-01T00:00:00Z", "collection_paused": "false", "metadata": "map[]",
			})}},
		{"all of it", one("active", `,"currency":"EUR","trial_end":1789000000,"canceled_at":1790000500,"cancel_at_period_end":true,
			"cancellation_details":{"reason":"cancellation_requested","comment":null},"pause_collection":{"behavior":"keep_as_draft"},"metadata":{"seat":"window"}`,
			itemJSON("si_1", priceJSON("price_1", "eur", "9000", "month/3", `,"nickname":"Pro"`), `,"quantity":4`)), []map[string]string{{
			"id": "sub_1", "created_at": "2023-11-14T22:13:20Z", "status": "active", "plan": "Pro", "plan_price": "90.00 eur", "plan_interval": "month",
			"plan_interval_count": "3", "quantity": "4", "mrr": "120.00 eur", "currency": "eur", "period_start_at": "2026-09-21T14:13:20Z",
			"period_end_at": "2026-10-21T14:13:20Z", "trial_ends_at": "2026-09-10T00:26:40Z", "cancels_at": "2026-10-21T14:13:20Z", "canceled_at": "2026-09-21T14:21:40Z",
			"cancellation_reason": "cancellation_requested", "collection_method": "charge_automatically", "collection_paused": "true", "metadata": "map[seat:window]",
		}}},
		{"cancels on a date", one("active", `,"cancel_at":1791000000,"cancel_at_period_end":false`, price("usd", "100", "month", "")),
			[]map[string]string{{"cancels_at": "2026-10-03T04:00:00Z", "canceled_at": "missing"}}},
		{"what has ended does not cancel again", one("canceled", `,"cancel_at":1791000000,"cancel_at_period_end":true,"canceled_at":1790000500`, price("usd", "100", "month", "")),
			[]map[string]string{{"cancels_at": "missing", "canceled_at": "2026-09-21T14:21:40Z", "mrr": "0.00 usd", "plan_price": "1.00 usd"}}},
		{"yen have no cents", one("active", `,"currency":"jpy"`, price("jpy", "4900", "month", "")), []map[string]string{{"plan_price": "4900 jpy", "mrr": "4900 jpy"}}},
		{"dinars have three decimals", one("active", `,"currency":"kwd"`, price("kwd", "4900", "month", "")), []map[string]string{{"plan_price": "4.900 kwd", "mrr": "4.900 kwd"}}},
		{"sub-cent", one("active", "", price("usd", "null", "month", `,"unit_amount_decimal":"0.0381"`)), []map[string]string{{"plan_price": "0.000381 usd", "mrr": "0.00 usd"}}},
		{"free is zero", one("active", "", price("usd", "0", "month", "")), []map[string]string{{"plan_price": "0.00 usd", "mrr": "0.00 usd"}}},
		{"tiered is unknown", one("active", `,"currency":"usd"`, price("usd", "null", "month", "")), []map[string]string{{"plan_price": "missing", "mrr": "missing", "plan": "price_1"}}},
		{"tiered and canceled brings nothing", one("canceled", `,"currency":"usd"`, price("usd", "null", "month", "")), []map[string]string{{"mrr": "0.00 usd"}}},
		{"a trial brings nothing yet", one("trialing", "", price("usd", "100", "month", "")), []map[string]string{{"mrr": "0.00 usd", "plan_price": "1.00 usd"}}},
		{"voided while paused", one("active", `,"pause_collection":{"behavior":"void"}`, price("usd", "100", "month", "")), []map[string]string{{"mrr": "0.00 usd", "collection_paused": "true"}}},
		{"metered has no quantity", one("active", "", `{"id":"si_1","price":{"id":"p","currency":"usd","unit_amount":5,"recurring":{"interval":"month","interval_count":1,"usage_type":"metered"}}}`),
			[]map[string]string{{"quantity": "missing", "mrr": "0.00 usd", "plan_price": "0.05 usd"}}},
		{"several items: the plan is the largest, mrr all", one("active", "",
			itemJSON("si_1", priceJSON("small", "usd", "100", "month", ""), `,"quantity":7`), itemJSON("si_2", priceJSON("large", "usd", "120000", "year", ""), "")),
			[]map[string]string{{"plan": "large", "plan_interval": "year", "quantity": "1", "mrr": "107.00 usd"}}},
		{"a plan of before 2020", mirror{subscriptions: []string{`{"id":"sub_1","status":"active","items":{"data":[{"id":"si_1","quantity":2,
			"plan":{"id":"gold","nickname":"Gold","amount":1200,"currency":"usd","interval":"year","interval_count":1,"usage_type":"licensed"}}]}}`}},
			[]map[string]string{{"plan": "Gold", "plan_price": "12.00 usd", "mrr": "2.00 usd", "currency": "usd", "quantity": "2"}}},
		{"period on the items, as API versions since 2025 have it", mirror{subscriptions: []string{`{"id":"sub_1","status":"active","currency":"usd","cancel_at_period_end":true,"items":{"data":[` +
			itemJSON("si_1", priceJSON("p", "usd", "100", "month", ""), `,"current_period_start":1790000000,"current_period_end":1792592000`) + `]}}`}},
			[]map[string]string{{"period_start_at": "2026-09-21T14:13:20Z", "period_end_at": "2026-10-21T14:13:20Z", "cancels_at": "2026-10-21T14:13:20Z"}}},
		{"an unknown status is kept as sent", one("something_new", ""), []map[string]string{{"status": "something_new"}}},
		{"of a deleted customer", mirror{customer: `deleted:{"id":"cus_1"}`, subscriptions: []string{monthlySub("sub_1", "usd", "100", ""), subJSON("sub_2", "incomplete_expired", "")}},
			[]map[string]string{{"status": "canceled", "mrr": "0.00 usd"}, {"status": "incomplete_expired"}}},
		{"gone", mirror{subscriptions: []string{"deleted:" + monthlySub("sub_1", "usd", "100", "")}}, []map[string]string{{"status": "canceled"}}},
		{"of several, each has its own plan", mirror{subscriptions: []string{monthlySub("sub_1", "usd", "100", ""), monthlySub("sub_2", "eur", "200", "")}},
			[]map[string]string{{"plan": "price_sub_1", "mrr": "1.00 usd"}, {"plan": "price_sub_2", "mrr": "2.00 eur"}}},
	})
}

func TestElements_SubscriptionItems(t *testing.T) {
	t.Parallel()
	usd := func(id, amount string) string { return priceJSON(id, "usd", amount, "month", "") }
	forever := func(coupon string) string {
		return `,"discount":{"coupon":{"duration":"forever",` + coupon + `}}`
	}
	checkElements(t, "subscription_items", []elementCase{
		{"a bare one", mirror{subscriptions: []string{`{"id":"sub_1","items":{"data":[{"id":"si_1","price":{}}]}}`}}, []map[string]string{
			with(missing("status plan plan_price plan_interval plan_interval_count quantity mrr product price"), map[string]string{
				"id": "si_1", "created_at": "1970-01-01T00:00:00Z", "subscription": "sub_1", "metered": "false",
			})}},
		{"several, one of them metered, one once", mirror{subscriptions: []string{subJSON("sub_1", "past_due", "",
			itemJSON("si_1", priceJSON("price_1", "usd", "1200", "year", `,"nickname":"Base"`), `,"quantity":3`),
			`{"id":"si_2","created":1700000001,"price":{"id":"price_2","product":{"id":"prod_2","name":"Usage"},"currency":"usd","unit_amount":null,"unit_amount_decimal":"0.0381","recurring":{"interval":"month","interval_count":1,"usage_type":"metered"}}}`,
			itemJSON("si_3", priceJSON("price_3", "usd", "500", "month", `,"recurring":null`), ""))}}, []map[string]string{
			{
				"id": "si_1", "created_at": "2023-11-14T22:13:20Z", "subscription": "sub_1", "status": "past_due", "plan": "Base", "plan_price": "12.00 usd", "plan_interval": "year",
				"plan_interval_count": "1", "quantity": "3", "mrr": "3.00 usd", "product": "prod_1", "price": "price_1", "metered": "false",
			},
			{"id": "si_2", "plan": "Usage", "plan_price": "0.000381 usd", "quantity": "missing", "mrr": "0.00 usd", "product": "prod_2", "metered": "true"},
			{"id": "si_3", "plan_interval": "missing", "plan_interval_count": "missing", "mrr": "0.00 usd", "metered": "false"},
		}},
		{"tiered is unknown", mirror{subscriptions: []string{subJSON("sub_1", "active", `,"currency":"usd"`, itemJSON("si_1", usd("p", "null"), ""), itemJSON("si_2", usd("q", "100"), ""))}},
			[]map[string]string{{"plan_price": "missing", "mrr": "missing"}, {"mrr": "1.00 usd"}}},
		{"percentages off come off each item", mirror{subscriptions: []string{subJSON("sub_1", "active", forever(`"percent_off":25`), itemJSON("si_1", usd("p", "1000"), ""), itemJSON("si_2", usd("q", "400"), ""))}},
			[]map[string]string{{"mrr": "7.50 usd"}, {"mrr": "3.00 usd"}}},
		{"an amount off the whole is off no item", mirror{subscriptions: []string{subJSON("sub_1", "active", forever(`"amount_off":300,"currency":"usd"`), itemJSON("si_1", usd("p", "1000"), ""))}},
			[]map[string]string{{"mrr": "10.00 usd"}}},
		{"an amount off the item is", mirror{subscriptions: []string{subJSON("sub_1", "active", "", itemJSON("si_1", usd("p", "1000"), `,"discounts":[{"coupon":{"duration":"forever","amount_off":300,"currency":"usd"}}]`))}},
			[]map[string]string{{"mrr": "7.00 usd"}}},
		{"yen", mirror{subscriptions: []string{subJSON("sub_1", "active", "", itemJSON("si_1", priceJSON("p", "jpy", "1000", "month/3", ""), ""))}},
			[]map[string]string{{"mrr": "333 jpy", "plan_price": "1000 jpy"}}},
		{"canceled", mirror{subscriptions: []string{subJSON("sub_1", "canceled", "", itemJSON("si_1", usd("p", "null"), ""))}}, []map[string]string{{"status": "canceled", "mrr": "0.00 usd"}}},
		{"a plan of before 2020", mirror{subscriptions: []string{`{"id":"sub_1","status":"active","items":{"data":[{"id":"si_1","quantity":2,
			"plan":{"id":"gold","amount":1000,"currency":"usd","interval":"week","interval_count":2,"usage_type":"licensed","product":"prod_1"}}]}}`}},
			[]map[string]string{{"plan": "gold", "price": "gold", "product": "prod_1", "plan_interval": "week", "plan_interval_count": "2", "mrr": "43.33 usd"}}},
		{"removed from its subscription, or without an id", mirror{subscriptions: []string{subJSON("sub_1", "active", "", itemJSON("si_1", usd("p", "100"), `,"deleted":true`), itemJSON("", usd("p", "100"), ""))}}, nil},
		{"an id twice: that of the newer subscription", mirror{subscriptions: []string{
			subJSON("sub_1", "canceled", "", itemJSON("si_1", usd("p", "100"), "")), subJSON("sub_2", "active", `,"created":1800000000`, itemJSON("si_1", usd("q", "100"), ""))}},
			[]map[string]string{{"subscription": "sub_2", "price": "q"}}},
	})
}

func TestElements_Invoices(t *testing.T) {
	t.Parallel()
	checkElements(t, "invoices", []elementCase{
		{"a bare one: null is not zero", mirror{invoices: []string{`{"id":"in_1"}`}}, []map[string]string{
			with(missing(`number status currency total amount_due amount_paid amount_remaining due_at finalized_at paid_at next_payment_attempt_at
				attempt_count collection_method billing_reason subscription`), map[string]string{
				"id": "in_1", "created_at": "1970-01-01T00:00:00Z", "metadata": "map[]",
			})}},
		{"nulls", mirror{invoices: []string{`{"id":"in_1","number":null,"status":null,"currency":"usd","total":null,"amount_due":null,"due_date":null,
			"status_transitions":{"finalized_at":null,"paid_at":null},"next_payment_attempt":null,"attempt_count":null,"subscription":null,"metadata":null}`}}, []map[string]string{
			with(missing("number status total amount_due due_at finalized_at paid_at next_payment_attempt_at attempt_count subscription"), map[string]string{"metadata": "map[]"})}},
		{"zeros are zeros", mirror{invoices: []string{`{"id":"in_1","currency":"usd","total":0,"amount_due":0,"amount_paid":0,"amount_remaining":0,"attempt_count":0}`}}, []map[string]string{
			{"total": "0.00 usd", "amount_due": "0.00 usd", "amount_paid": "0.00 usd", "amount_remaining": "0.00 usd", "attempt_count": "0"}}},
		{"all of it", mirror{invoices: []string{`{"id":"in_1","created":1790000000,"number":"A-0001","status":"paid","currency":"USD","total":10050,"amount_due":10000,
			"amount_paid":9999,"amount_remaining":1,"due_date":1790086400,"status_transitions":{"finalized_at":1790003600,"paid_at":1790007200,"voided_at":null},
			"next_payment_attempt":1790259200,"attempt_count":2,"collection_method":"send_invoice","billing_reason":"subscription_cycle",
			"subscription":{"id":"sub_1","object":"subscription"},"metadata":{"order":"7"}}`}}, []map[string]string{{
			"id": "in_1", "created_at": "2026-09-21T14:13:20Z", "number": "A-0001", "status": "paid", "currency": "usd", "total": "100.50 usd", "amount_due": "100.00 usd",
			"amount_paid": "99.99 usd", "amount_remaining": "0.01 usd", "due_at": "2026-09-22T14:13:20Z", "finalized_at": "2026-09-21T15:13:20Z", "paid_at": "2026-09-21T16:13:20Z",
			"next_payment_attempt_at": "2026-09-24T14:13:20Z", "attempt_count": "2", "collection_method": "send_invoice", "billing_reason": "subscription_cycle",
			"subscription": "sub_1", "metadata": "map[order:7]",
		}}},
		{"a credit", mirror{invoices: []string{`{"id":"in_1","currency":"usd","total":-5}`}}, []map[string]string{{"total": "-0.05 usd"}}},
		{"yen, dinars, krónur", mirror{invoices: []string{`{"id":"in_1","currency":"jpy","total":500}`, `{"id":"in_2","currency":"bhd","total":-1500}`, `{"id":"in_3","currency":"isk","total":500}`}},
			[]map[string]string{{"total": "500 jpy"}, {"total": "-1.500 bhd"}, {"total": "5 isk"}}},
		{"an amount without a currency", mirror{invoices: []string{`{"id":"in_1","total":500}`}}, []map[string]string{{"total": "missing"}}},
		{"a deleted draft is none", mirror{invoices: []string{`deleted:{"id":"in_1","status":"draft"}`, `{"id":"in_2","status":"draft"}`}}, []map[string]string{{"id": "in_2"}}},
	})
}

func TestElements_Charges(t *testing.T) {
	t.Parallel()
	checkElements(t, "charges", []elementCase{
		{"a bare one: null is not zero", mirror{charges: []string{`{"id":"ch_1"}`}}, []map[string]string{
			with(missing(`status amount amount_captured amount_refunded currency captured refunded disputed failure_code failure_message
				payment_method_type invoice description`), map[string]string{"id": "ch_1", "created_at": "1970-01-01T00:00:00Z", "metadata": "map[]"})}},
		{"nulls", mirror{charges: []string{`{"id":"ch_1","status":null,"currency":"usd","amount":null,"captured":null,"disputed":null,"failure_code":null,
			"payment_method_details":null,"source":null,"invoice":null,"description":null,"metadata":null}`}}, []map[string]string{
			missing("status amount amount_captured captured refunded disputed failure_code payment_method_type invoice description")}},
		{"all of it", mirror{charges: []string{`{"id":"ch_1","created":1790000000,"status":"failed","currency":"usd","amount":14700,"amount_captured":0,"amount_refunded":0,
			"captured":false,"refunded":false,"disputed":true,"failure_code":"card_declined","failure_message":"Your card was\ndeclined.\t\\ Sorry",
			"payment_method_details":{"card":{"type":"no"},"type":"card"},"invoice":"in_1","description":"Order 7","metadata":{"order":"7"}}`}}, []map[string]string{{
			"id": "ch_1", "created_at": "2026-09-21T14:13:20Z", "status": "failed", "currency": "usd", "amount": "147.00 usd", "amount_captured": "0.00 usd", "amount_refunded": "0.00 usd",
			"captured": "false", "refunded": "false", "disputed": "true", "failure_code": "card_declined", "failure_message": "Your card was\ndeclined.\t\\ Sorry",
			"payment_method_type": "card", "invoice": "in_1", "description": "Order 7", "metadata": "map[order:7]",
		}}},
		{"before amount_captured: all, or nothing", mirror{charges: []string{
			`{"id":"ch_1","status":"succeeded","currency":"usd","amount":500,"captured":true}`, `{"id":"ch_2","status":"succeeded","currency":"usd","amount":500,"captured":false}`,
			`{"id":"ch_3","status":"failed","currency":"usd","amount":500}`,
		}}, []map[string]string{{"amount_captured": "5.00 usd"}, {"amount_captured": "0.00 usd"}, {"amount_captured": "0.00 usd"}}},
		{"a refund in part", mirror{charges: []string{`{"id":"ch_1","currency":"jpy","amount":500,"amount_refunded":100,"refunded":false}`}}, []map[string]string{{"amount_refunded": "100 jpy", "refunded": "false"}}},
		{"a legacy card, a source", mirror{charges: []string{`{"id":"ch_1","source":{"object":"card","brand":"Visa"}}`, `{"id":"ch_2","source":{"object":"source","type":"sepa_debit"}}`}},
			[]map[string]string{{"payment_method_type": "card"}, {"payment_method_type": "sepa_debit"}}},
	})
}

// A line holds what COPY reads, each value bare: a date, too, which Postgres would
// forgive in quotes.
func TestAppendFields(t *testing.T) {
	t.Parallel()
	m := asDefault("pm_1", walletPM("pm_1"))
	s, _ := decode(m.record())
	s.resolve(m.shelf(t))
	var got []string
	for _, w := range s.compare(nil).write {
		got = append(got, string(w.line))
	}
	want := "pm_1\t2026-02-02T02:40:00Z\tVisa\t4242\t2028-02-29\ttrue\tapple_pay\tdebit\tFR\t" + `{"label":"blue"}`
	if len(got) != 1 || got[0] != want {
		t.Errorf("lines\n got %q\nwant %q", got, want)
	}
}

// What is written without big numbers is what a decimal would be.
func TestAppendMinor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := minorAmount{rapid.Int64().Draw(r, "amount"), rapid.SampledFrom([]string{"usd", "jpy", "kwd", "isk", "zzz"}).Draw(r, "currency")}
		if rapid.Bool().Draw(r, "small") {
			m.minor %= 2000
		}
		want := rule.FromMinor(m.minor, m.currency).Amount.String()
		if got := string(appendMinor(nil, m)); got != want {
			r.Fatalf("appendMinor(%d %s)\n got %s\nwant %s", m.minor, m.currency, got, want)
		}
	})
}
