package customers

import (
	"strings"
	"testing"
)

func TestProjection_Plan(t *testing.T) {
	t.Parallel()
	sub := func(price string) []string {
		return []string{subJSON("sub_1", "active", "", itemJSON("si", price, ""))}
	}
	checkDerivations(t, []derivation{
		{"the price's nickname", mirror{subscriptions: sub(priceJSON("price_1", "usd", "4900", "month", `,"nickname":"Pro"`)), products: []string{`{"id":"prod_1","name":"Product"}`}},
			map[string]string{"plan": "Pro", "plan_interval": "month", "plan_interval_count": "1"}},
		{"else the product's name", mirror{subscriptions: sub(priceJSON("price_1", "usd", "4900", "month", "")), products: []string{`{"id":"prod_1","name":"Product"}`}},
			map[string]string{"plan": "Product"}},
		{"else the name of the expanded product", mirror{subscriptions: sub(priceJSON("price_1", "usd", "4900", "month", `,"product":{"id":"prod_1","name":"Expanded"}`))},
			map[string]string{"plan": "Expanded"}},
		{"else the price's id", mirror{subscriptions: sub(priceJSON("price_1", "usd", "4900", "month", ""))}, map[string]string{"plan": "price_1"}},
		{"a nickname given since", mirror{subscriptions: sub(priceJSON("price_1", "usd", "4900", "month", `,"nickname":"Old"`)), prices: []string{`{"id":"price_1","nickname":"New"}`}},
			map[string]string{"plan": "New"}},
		{"exact price", mirror{subscriptions: sub(priceJSON("p", "usd", "4999", "month", ""))}, map[string]string{"plan_price": "49.99 usd"}},
		{"a free price is zero, not missing", mirror{subscriptions: sub(priceJSON("p", "usd", "0", "month", ""))}, map[string]string{"plan_price": "0.00 usd", "mrr": "0.00 usd"}},
		{"sub-cent", mirror{subscriptions: sub(priceJSON("p", "usd", "null", "month", `,"unit_amount_decimal":"0.0381"`))}, map[string]string{"plan_price": "0.000381 usd"}},
		{"without the decimal field, as before 2020", mirror{subscriptions: sub(`{"id":"p","currency":"usd","unit_amount":4900,"recurring":{"interval":"month","interval_count":1}}`)},
			map[string]string{"plan_price": "49.00 usd", "mrr": "49.00 usd"}},
		{"quarterly", mirror{subscriptions: sub(priceJSON("p", "usd", "9000", "month/3", ""))},
			map[string]string{"plan_interval": "month", "plan_interval_count": "3", "plan_price": "90.00 usd", "mrr": "30.00 usd"}},
		{"tiered has no unit price", mirror{subscriptions: sub(priceJSON("p", "usd", "null", "month", `,"billing_scheme":"tiered","tiers_mode":"graduated"`))},
			map[string]string{"plan_price": "missing", "mrr": "missing", "plan": "p"}},
		{"metered has one, and no place in mrr", mirror{subscriptions: sub(`{"id":"p","currency":"usd","unit_amount":null,"unit_amount_decimal":"0.0381","billing_scheme":"per_unit","recurring":{"interval":"month","interval_count":1,"usage_type":"metered"}}`)},
			map[string]string{"plan_price": "0.000381 usd", "mrr": "0.00 usd"}},
		{"what prices were called before 2020", mirror{subscriptions: []string{`{"id":"sub_1","status":"active","created":1700000000,"items":{"data":[{"id":"si","quantity":2,
			"plan":{"id":"gold","nickname":"Gold","amount":1000,"currency":"usd","interval":"year","interval_count":1,"usage_type":"licensed","product":"prod_1"}}]}}`}},
			map[string]string{"plan": "Gold", "plan_price": "10.00 usd", "plan_interval": "year", "mrr": "1.67 usd", "currency": "usd"}},
		{"no items", mirror{subscriptions: []string{subJSON("sub_1", "active", `,"currency":"usd"`)}},
			map[string]string{"plan": "missing", "plan_price": "missing", "mrr": "0.00 usd", "subscription_status": "active"}},
		{"a price of several currencies, in the customer's", mirror{
			subscriptions: []string{subJSON("sub_1", "active", `,"currency":"eur"`, itemJSON("si", priceJSON("p", "usd", "5000", "month", ""), ""))},
			prices:        []string{`{"id":"p","currency":"usd","unit_amount":5000,"currency_options":{"eur":{"unit_amount":4500,"unit_amount_decimal":"4500"}}}`},
		}, map[string]string{"plan_price": "45.00 eur", "mrr": "45.00 eur", "currency": "eur"}},
		{"a price of another currency, options unknown", mirror{
			subscriptions: []string{subJSON("sub_1", "active", `,"currency":"eur"`, itemJSON("si", priceJSON("p", "usd", "5000", "month", ""), ""))},
		}, map[string]string{"plan_price": "missing", "mrr": "missing", "currency": "eur"}},
	})
}

func TestProjection_PrimaryItem(t *testing.T) {
	t.Parallel()
	metered := `{"id":"p_metered","currency":"usd","unit_amount":1,"unit_amount_decimal":"1","recurring":{"interval":"month","interval_count":1,"usage_type":"metered"}}`
	once := `{"id":"p_once","currency":"usd","unit_amount":99900,"unit_amount_decimal":"99900","recurring":null,"type":"one_time"}`
	tiered := priceJSON("p_tiered", "usd", "null", "month", `,"billing_scheme":"tiered"`)
	one := func(items ...string) mirror {
		return mirror{subscriptions: []string{subJSON("sub_1", "active", "", items...)}}
	}
	checkDerivations(t, []derivation{
		{"the highest amount a month, by quantity", one(
			itemJSON("si_a", priceJSON("p_seat", "usd", "1000", "month", ""), `,"quantity":12`), itemJSON("si_b", priceJSON("p_base", "usd", "9900", "month", ""), "")),
			map[string]string{"plan": "p_seat", "plan_price": "10.00 usd", "mrr": "219.00 usd"}},
		{"licensed before metered", one(itemJSON("si_a", metered, ""), itemJSON("si_b", priceJSON("p_base", "usd", "0", "month", ""), "")), map[string]string{"plan": "p_base"}},
		{"known before tiered", one(itemJSON("si_a", tiered, ""), itemJSON("si_b", priceJSON("p_base", "usd", "100", "month", ""), "")), map[string]string{"plan": "p_base", "mrr": "missing"}},
		{"tiered before metered", one(itemJSON("si_a", metered, ""), itemJSON("si_b", tiered, "")), map[string]string{"plan": "p_tiered"}},
		{"one-time prices last, and outside mrr", one(itemJSON("si_a", once, ""), itemJSON("si_b", metered, "")), map[string]string{"plan": "p_metered", "mrr": "0.00 usd"}},
		{"ties: the older item", one(
			itemJSON("si_a", priceJSON("p_new", "usd", "100", "month", ""), `,"created":1700000009`), itemJSON("si_b", priceJSON("p_old", "usd", "100", "month", ""), "")),
			map[string]string{"plan": "p_old"}},
		{"a deleted item is none", one(itemJSON("si_a", priceJSON("p_gone", "usd", "900", "month", ""), `,"deleted":true`), itemJSON("si_b", priceJSON("p_here", "usd", "100", "month", ""), "")),
			map[string]string{"plan": "p_here", "mrr": "1.00 usd"}},
	})
}

func TestProjection_MRR(t *testing.T) {
	t.Parallel()
	of := func(price, itemMore, subMore string) mirror {
		return mirror{subscriptions: []string{subJSON("sub_1", "active", subMore, itemJSON("si", price, itemMore))}}
	}
	hundred := priceJSON("p", "usd", "10000", "month", "")
	coupon := func(duration, off string) string { return `{"coupon":{"duration":"` + duration + `",` + off + `}}` }
	status := func(s string) mirror {
		return mirror{subscriptions: []string{subJSON("sub_1", s, "", itemJSON("si", hundred, ""))}}
	}
	tiers := `,"billing_scheme":"tiered","tiers_mode":"%s","tiers":[
		{"up_to":5,"unit_amount":1000,"unit_amount_decimal":"1000","flat_amount":null},
		{"up_to":10,"unit_amount":800,"unit_amount_decimal":"800","flat_amount":500},
		{"up_to":null,"unit_amount":null,"unit_amount_decimal":"50.5","flat_amount":null}]`
	tier := func(mode, quantity string) mirror {
		return of(priceJSON("p", "usd", "null", "month", strings.Replace(tiers, "%s", mode, 1)), `,"quantity":`+quantity, "")
	}
	checkDerivations(t, []derivation{
		{"active counts", status("active"), map[string]string{"mrr": "100.00 usd"}},
		{"past_due counts", status("past_due"), map[string]string{"mrr": "100.00 usd"}},
		{"trialing does not", status("trialing"), map[string]string{"mrr": "0.00 usd"}},
		{"unpaid does not", status("unpaid"), map[string]string{"mrr": "0.00 usd"}},
		{"paused does not", status("paused"), map[string]string{"mrr": "0.00 usd"}},
		{"canceled does not", status("canceled"), map[string]string{"mrr": "0.00 usd"}},
		{"incomplete does not", status("incomplete"), map[string]string{"mrr": "0.00 usd"}},
		{"a cancellation to come still counts", of(hundred, "", `,"cancel_at_period_end":true`), map[string]string{"mrr": "100.00 usd"}},
		{"collection paused by voiding does not count", of(hundred, "", `,"pause_collection":{"behavior":"void"}`), map[string]string{"mrr": "0.00 usd"}},
		{"collection paused by keeping drafts counts", of(hundred, "", `,"pause_collection":{"behavior":"keep_as_draft"}`), map[string]string{"mrr": "100.00 usd"}},
		{"yearly", of(priceJSON("p", "usd", "120000", "year", ""), "", ""), map[string]string{"mrr": "100.00 usd"}},
		{"every two years", of(priceJSON("p", "usd", "240000", "year/2", ""), "", ""), map[string]string{"mrr": "100.00 usd"}},
		{"weekly", of(priceJSON("p", "usd", "1200", "week", ""), "", ""), map[string]string{"mrr": "52.00 usd"}},
		{"daily", of(priceJSON("p", "usd", "1200", "day", ""), "", ""), map[string]string{"mrr": "365.00 usd"}},
		{"every 30 days", of(priceJSON("p", "usd", "36000", "day/30", ""), "", ""), map[string]string{"mrr": "365.00 usd"}},
		{"quantity", of(hundred, `,"quantity":3`, ""), map[string]string{"mrr": "300.00 usd", "plan_price": "100.00 usd"}},
		{"quantity 0", of(hundred, `,"quantity":0`, ""), map[string]string{"mrr": "0.00 usd"}},
		{"packages round up", of(priceJSON("p", "usd", "1000", "month", `,"transform_quantity":{"divide_by":5,"round":"up"}`), `,"quantity":11`, ""), map[string]string{"mrr": "30.00 usd"}},
		{"packages round down", of(priceJSON("p", "usd", "1000", "month", `,"transform_quantity":{"divide_by":5,"round":"down"}`), `,"quantity":14`, ""), map[string]string{"mrr": "20.00 usd"}},
		{"thirds are rounded once, at the end", mirror{subscriptions: []string{
			subJSON("sub_1", "active", "", itemJSON("si", priceJSON("p", "usd", "100", "month/3", ""), "")),
			subJSON("sub_2", "active", "", itemJSON("si", priceJSON("p", "usd", "100", "month/3", ""), "")),
			subJSON("sub_3", "active", "", itemJSON("si", priceJSON("p", "usd", "100", "month/3", ""), "")),
		}}, map[string]string{"mrr": "1.00 usd"}},
		{"sub-cent by quantity", of(priceJSON("p", "usd", "null", "month", `,"unit_amount_decimal":"0.5"`), `,"quantity":1001`, ""), map[string]string{"mrr": "5.00 usd", "plan_price": "0.005 usd"}},
		{"several subscriptions add up", mirror{subscriptions: []string{monthlySub("sub_1", "usd", "1000", ""), monthlySub("sub_2", "usd", "500", "")}}, map[string]string{"mrr": "15.00 usd"}},
		{"currencies are never added", mirror{customer: `{"id":"cus_1","currency":"eur"}`, subscriptions: []string{
			monthlySub("sub_1", "usd", "1000", ""), monthlySub("sub_2", "eur", "500", `,"created":1600000000`)}}, map[string]string{"mrr": "10.00 usd", "currency": "usd"}},
		{"a free plan in another currency is no second currency", mirror{subscriptions: []string{
			monthlySub("sub_1", "usd", "0", ""), monthlySub("sub_2", "eur", "500", `,"created":1600000000`)}}, map[string]string{"mrr": "5.00 eur"}},
		{"zero decimals", of(priceJSON("p", "jpy", "1000", "year", ""), "", ""), map[string]string{"mrr": "83 jpy", "plan_price": "1000 jpy"}},
		{"three decimals", of(priceJSON("p", "kwd", "10500", "month", ""), "", ""), map[string]string{"mrr": "10.500 kwd"}},

		{"a percentage forever", of(hundred, "", `,"discount":`+coupon("forever", `"percent_off":25.5`)), map[string]string{"mrr": "74.50 usd"}},
		{"once does not count", of(hundred, "", `,"discount":`+coupon("once", `"percent_off":50`)), map[string]string{"mrr": "100.00 usd"}},
		{"repeating does not count", of(hundred, "", `,"discount":`+coupon("repeating", `"percent_off":50`)), map[string]string{"mrr": "100.00 usd"}},
		{"an amount off, once per invoice", mirror{subscriptions: []string{subJSON("sub_1", "active", `,"discount":`+coupon("forever", `"percent_off":null,"amount_off":3000,"currency":"usd"`),
			itemJSON("si_1", hundred, ""), itemJSON("si_2", hundred, ""))}}, map[string]string{"mrr": "170.00 usd"}},
		{"an amount off in another currency", of(hundred, "", `,"discount":`+coupon("forever", `"amount_off":3000,"currency":"eur"`)), map[string]string{"mrr": "100.00 usd"}},
		{"an amount off a year", of(priceJSON("p", "usd", "120000", "year", ""), "", `,"discount":`+coupon("forever", `"amount_off":12000,"currency":"usd"`)), map[string]string{"mrr": "90.00 usd"}},
		{"never below zero", of(hundred, "", `,"discount":`+coupon("forever", `"amount_off":30000,"currency":"usd"`)), map[string]string{"mrr": "0.00 usd"}},
		{"the subscription's discount overrides the customer's", mirror{customer: `{"id":"cus_1","discount":` + coupon("forever", `"percent_off":50`) + `}`,
			subscriptions: []string{monthlySub("sub_1", "usd", "10000", `,"discount":`+coupon("forever", `"percent_off":10`))}}, map[string]string{"mrr": "90.00 usd"}},
		{"the customer's discount", mirror{customer: `{"id":"cus_1","discount":` + coupon("forever", `"percent_off":50`) + `}`,
			subscriptions: []string{monthlySub("sub_1", "usd", "10000", "")}}, map[string]string{"mrr": "50.00 usd"}},
		{"several discounts, expanded", of(hundred, "", `,"discounts":[`+coupon("forever", `"percent_off":10`)+`,`+coupon("forever", `"amount_off":1000,"currency":"usd"`)+`]`), map[string]string{"mrr": "80.00 usd"}},
		{"discounts by id are not known", of(hundred, "", `,"discounts":["di_1","di_2"]`), map[string]string{"mrr": "missing"}},
		{"item discounts come first", of(hundred, `,"discounts":[`+coupon("forever", `"amount_off":2000,"currency":"usd"`)+`]`, `,"discount":`+coupon("forever", `"percent_off":50`)), map[string]string{"mrr": "40.00 usd"}},

		{"graduated tiers, first", tier("graduated", "5"), map[string]string{"mrr": "50.00 usd"}},
		{"graduated tiers, second with its flat amount", tier("graduated", "7"), map[string]string{"mrr": "71.00 usd"}},
		{"graduated tiers, without end", tier("graduated", "12"), map[string]string{"mrr": "96.01 usd"}},
		{"volume tiers", tier("volume", "7"), map[string]string{"mrr": "61.00 usd"}},
		{"volume tiers, without end", tier("volume", "20"), map[string]string{"mrr": "10.10 usd"}},
		{"no units, no tier", tier("graduated", "0"), map[string]string{"mrr": "0.00 usd"}},
	})
}

func TestProjection_Charges(t *testing.T) {
	t.Parallel()
	const usd = `{"id":"cus_1","currency":"usd"}`
	checkDerivations(t, []derivation{
		{"none", mirror{customer: usd}, map[string]string{"lifetime_spend": "0.00 usd", "last_charge_amount": "missing", "last_charge_at": "missing"}},
		{"the newest, whatever the order", mirror{charges: []string{
			chargeJSON("ch_2", "succeeded", "usd", 2000, 0, 1780000000, ""), chargeJSON("ch_1", "succeeded", "usd", 1000, 0, 1700000000, "")}},
			map[string]string{"last_charge_amount": "20.00 usd", "last_charge_at": "2026-05-28T20:26:40Z", "lifetime_spend": "30.00 usd", "currency": "usd"}},
		{"ties by id", mirror{charges: []string{
			chargeJSON("ch_b", "succeeded", "usd", 2000, 0, 1700000000, ""), chargeJSON("ch_a", "succeeded", "usd", 1000, 0, 1700000000, "")}}, map[string]string{"last_charge_amount": "20.00 usd"}},
		{"failed is no money", mirror{customer: usd, charges: []string{chargeJSON("ch_1", "failed", "usd", 2000, 0, 1780000000, `,"captured":false`)}}, map[string]string{"last_charge_at": "missing", "lifetime_spend": "0.00 usd"}},
		{"pending is no money yet", mirror{customer: usd, charges: []string{chargeJSON("ch_1", "pending", "usd", 2000, 0, 1780000000, "")}}, map[string]string{"last_charge_at": "missing", "lifetime_spend": "0.00 usd"}},
		{"uncaptured is no money, though it says succeeded and paid", mirror{customer: usd, charges: []string{chargeJSON("ch_1", "succeeded", "usd", 2000, 0, 1780000000, `,"captured":false,"amount_captured":0`)}},
			map[string]string{"last_charge_at": "missing", "lifetime_spend": "0.00 usd"}},
		{"captured in part", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "usd", 2000, 0, 1780000000, `,"amount_captured":1500`)}}, map[string]string{"last_charge_amount": "15.00 usd", "lifetime_spend": "15.00 usd"}},
		{"refunded in part", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "usd", 2000, 500, 1780000000, `,"refunded":false`)}}, map[string]string{"last_charge_amount": "20.00 usd", "lifetime_spend": "15.00 usd"}},
		{"refunded in full", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "usd", 2000, 2000, 1780000000, `,"refunded":true`)}}, map[string]string{"lifetime_spend": "0.00 usd"}},
		{"disputed still counts", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "usd", 2000, 0, 1780000000, `,"disputed":true`)}}, map[string]string{"lifetime_spend": "20.00 usd"}},
		{"without amount_captured, as before 2020", mirror{charges: []string{`{"id":"ch_1","status":"succeeded","captured":true,"currency":"usd","amount":900,"created":1500000000}`}}, map[string]string{"lifetime_spend": "9.00 usd"}},
		{"several currencies: the customer's", mirror{customer: usd, charges: []string{
			chargeJSON("ch_1", "succeeded", "usd", 2000, 0, 1700000000, ""), chargeJSON("ch_2", "succeeded", "eur", 900, 0, 1780000000, "")}},
			map[string]string{"lifetime_spend": "20.00 usd", "last_charge_amount": "9.00 eur"}},
		{"one currency, not the customer's", mirror{customer: usd, charges: []string{chargeJSON("ch_2", "succeeded", "eur", 900, 0, 1780000000, "")}}, map[string]string{"lifetime_spend": "9.00 eur", "currency": "usd"}},
		{"zero-decimal yen", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "jpy", 2000, 0, 1780000000, "")}}, map[string]string{"lifetime_spend": "2000 jpy"}},
		{"krónur have two decimals in the API", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "isk", 50000, 0, 1780000000, "")}}, map[string]string{"lifetime_spend": "500 isk"}},
		{"shillings of Uganda, too", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "ugx", 50000, 0, 1780000000, "")}}, map[string]string{"lifetime_spend": "500 ugx"}},
		{"three-decimal dinars", mirror{charges: []string{chargeJSON("ch_1", "succeeded", "bhd", 5130, 0, 1780000000, "")}}, map[string]string{"last_charge_amount": "5.130 bhd"}},
	})
}

func TestProjection_Balance(t *testing.T) {
	t.Parallel()
	checkDerivations(t, []derivation{
		{"negative is credit", mirror{customer: `{"id":"cus_1","currency":"usd","balance":-1250}`}, map[string]string{"account_balance": "-12.50 usd"}},
		{"positive is owed", mirror{customer: `{"id":"cus_1","currency":"jpy","balance":1250}`}, map[string]string{"account_balance": "1250 jpy"}},
		{"zero", mirror{customer: `{"id":"cus_1","currency":"usd","balance":0}`}, map[string]string{"account_balance": "0.00 usd"}},
		{"in the customer's own currency, not the subscription's", mirror{customer: `{"id":"cus_1","currency":"eur","balance":-100}`, subscriptions: []string{monthlySub("sub_1", "usd", "100", "")}},
			map[string]string{"account_balance": "-1.00 eur", "currency": "usd"}},
		{"delinquent", mirror{customer: `{"id":"cus_1","delinquent":true}`}, map[string]string{"delinquent": "true"}},
	})
}

func TestProjection_Invoices(t *testing.T) {
	t.Parallel()
	const usd = `{"id":"cus_1","currency":"usd"}`
	open := func(id string, remaining int, more string) string {
		return invoiceJSON(id, "open", "usd", remaining, more)
	}
	checkDerivations(t, []derivation{
		{"none", mirror{customer: usd}, map[string]string{"open_invoice_count": "0", "open_invoice_amount": "0.00 usd"}},
		{"open ones add up, by what remains", mirror{invoices: []string{open("in_1", 4900, `,"amount_due":9900`), open("in_2", 100, "")}}, map[string]string{"open_invoice_count": "2", "open_invoice_amount": "50.00 usd"}},
		{"other statuses are not open", mirror{customer: usd, invoices: []string{
			invoiceJSON("in_1", "draft", "usd", 100, ""), invoiceJSON("in_2", "paid", "usd", 0, ""), invoiceJSON("in_3", "void", "usd", 100, ""),
			invoiceJSON("in_4", "uncollectible", "usd", 100, ""), invoiceJSON("in_5", "", "usd", 100, "")}}, map[string]string{"open_invoice_count": "0", "open_invoice_amount": "0.00 usd"}},
		{"nothing remains: not open for us", mirror{invoices: []string{open("in_1", 0, "")}}, map[string]string{"open_invoice_count": "0"}},
		{"a deleted draft", mirror{invoices: []string{"deleted:" + open("in_1", 100, "")}}, map[string]string{"open_invoice_count": "0"}},
		{"by invoice counts, too", mirror{invoices: []string{open("in_1", 100, `,"collection_method":"send_invoice","due_date":1790000000`)}}, map[string]string{"open_invoice_count": "1", "next_charge_at": "missing"}},
		{"several currencies: the customer's amount, everybody's count", mirror{customer: usd, invoices: []string{open("in_1", 100, ""), invoiceJSON("in_2", "open", "eur", 900, "")}},
			map[string]string{"open_invoice_count": "2", "open_invoice_amount": "1.00 usd"}},
		{"another currency only", mirror{customer: usd, invoices: []string{invoiceJSON("in_2", "open", "eur", 900, "")}}, map[string]string{"open_invoice_amount": "9.00 eur"}},
		{"several currencies, none the customer's", mirror{customer: usd, invoices: []string{invoiceJSON("in_1", "open", "gbp", 900, ""), invoiceJSON("in_2", "open", "eur", 900, "")}},
			map[string]string{"open_invoice_amount": "missing", "open_invoice_count": "2"}},
	})
}

func TestProjection_NextCharge(t *testing.T) {
	t.Parallel()
	const renewal, attempt = "2026-10-21T14:13:20Z", "2026-09-24T14:13:20Z"
	retry := func(status, more string) []string {
		return []string{invoiceJSON("in_1", status, "usd", 4900, `,"next_payment_attempt":1790259200`+more)}
	}
	sub := func(status, more string) []string {
		return []string{subJSON("sub_1", status, more, itemJSON("si", priceJSON("p", "usd", "4900", "month", ""), ""))}
	}
	checkDerivations(t, []derivation{
		{"the renewal", mirror{subscriptions: sub("active", "")}, map[string]string{"next_charge_at": renewal}},
		{"of a trial: its end", mirror{subscriptions: sub("trialing", "")}, map[string]string{"next_charge_at": renewal}},
		{"a retry before the renewal", mirror{subscriptions: sub("past_due", ""), invoices: retry("open", "")}, map[string]string{"next_charge_at": attempt}},
		{"retries are over: the renewal", mirror{subscriptions: sub("past_due", ""), invoices: []string{invoiceJSON("in_1", "open", "usd", 4900, "")}}, map[string]string{"next_charge_at": renewal}},
		{"a draft that is about to be charged", mirror{subscriptions: sub("active", ""), invoices: retry("draft", "")}, map[string]string{"next_charge_at": attempt}},
		{"a paid invoice is done", mirror{subscriptions: sub("active", ""), invoices: retry("paid", "")}, map[string]string{"next_charge_at": renewal}},
		{"the first of several attempts", mirror{invoices: []string{
			invoiceJSON("in_1", "open", "usd", 1, `,"next_payment_attempt":1790500000,"created":1`), invoiceJSON("in_2", "open", "usd", 1, `,"next_payment_attempt":1790259200,"created":2`)}}, map[string]string{"next_charge_at": attempt}},
		{"a retry after the renewal", mirror{subscriptions: sub("past_due", `,"current_period_end":1790259200`), invoices: []string{invoiceJSON("in_1", "open", "usd", 1, `,"next_payment_attempt":1790500000`)}}, map[string]string{"next_charge_at": attempt}},
		{"canceled at the period's end", mirror{subscriptions: sub("active", `,"cancel_at_period_end":true`)}, map[string]string{"next_charge_at": "missing"}},
		{"canceled on a date before", mirror{subscriptions: sub("active", `,"cancel_at":1791000000`)}, map[string]string{"next_charge_at": "missing"}},
		{"canceled on a date after", mirror{subscriptions: sub("active", `,"cancel_at":1799000000`)}, map[string]string{"next_charge_at": renewal}},
		{"collection is paused", mirror{subscriptions: sub("active", `,"pause_collection":{"behavior":"keep_as_draft"}`)}, map[string]string{"next_charge_at": "missing"}},
		{"paid by invoice", mirror{subscriptions: sub("active", `,"collection_method":"send_invoice"`)}, map[string]string{"next_charge_at": "missing"}},
		{"unpaid is not charged", mirror{subscriptions: sub("unpaid", "")}, map[string]string{"next_charge_at": "missing"}},
		{"a free plan is not charged", mirror{subscriptions: []string{monthlySub("sub_1", "usd", "0", "")}}, map[string]string{"next_charge_at": "missing"}},
		{"free with usage on top is", mirror{subscriptions: []string{subJSON("sub_1", "active", "", itemJSON("si_1", priceJSON("p", "usd", "0", "month", ""), ""),
			itemJSON("si_2", `{"id":"m","currency":"usd","unit_amount":1,"recurring":{"interval":"month","interval_count":1,"usage_type":"metered"}}`, ""))}}, map[string]string{"next_charge_at": renewal}},
	})
}
