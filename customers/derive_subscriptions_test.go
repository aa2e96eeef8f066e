package customers

import "testing"

func TestProjection_Customer(t *testing.T) {
	t.Parallel()
	checkDerivations(t, []derivation{
		{"live", mirror{customer: `{"id":"cus_1","livemode":true,"created":1600000000}`}, map[string]string{"account": "shop", "livemode": "true", "created_at": "2020-09-13T12:26:40Z"}},
		{"a test customer: false is not missing", mirror{customer: `{"id":"cus_1","livemode":false}`}, map[string]string{"livemode": "false"}},
		{"the stub of a deleted one says neither: missing, never false and never 1970", mirror{customer: `{"id":"cus_1","object":"customer","deleted":true}`},
			map[string]string{"livemode": "missing", "created_at": "missing", "account": "shop"}},
	})
}

// What is missing of the primary subscription is missing, and what there is of
// nothing is an empty list and 0.
func TestProjection_Subscribed(t *testing.T) {
	t.Parallel()
	usd := func(id, more string) string { return priceJSON(id, "usd", "100", "month", more) }
	one := func(status, more string, items ...string) mirror {
		return mirror{subscriptions: []string{subJSON("sub_1", status, more, items...)}}
	}
	const metered = `{"id":"m","currency":"usd","unit_amount":null,"unit_amount_decimal":"0.0381","nickname":"Usage","recurring":{"interval":"month","interval_count":1,"usage_type":"metered"}}`
	checkDerivations(t, []derivation{
		{"no subscription", mirror{}, with(missing(`quantity subscription_period_end_at trial_ends_at cancels_at canceled_at cancellation_reason
			collection_paused coupon coupon_ends_at`), map[string]string{"subscription_count": "0", "plans": "[]"})},
		{"nulls, which stripe-go reads as 0", mirror{subscriptions: []string{`{"id":"sub_1","status":"active","trial_end":null,"cancel_at":null,"canceled_at":null,
			"cancellation_details":null,"current_period_end":null,"pause_collection":null,"discount":null,"items":null}`}},
			with(missing("quantity subscription_period_end_at trial_ends_at cancels_at canceled_at cancellation_reason coupon coupon_ends_at"),
				map[string]string{"subscription_count": "1", "plans": "[]", "collection_paused": "false"})},

		{"what has ended is not counted, what may yet be billed is", mirror{subscriptions: []string{
			subJSON("sub_1", "canceled", "", itemJSON("si_1", usd("p1", ""), "")), subJSON("sub_2", "incomplete_expired", "", itemJSON("si_2", usd("p2", ""), "")),
			subJSON("sub_3", "unpaid", "", itemJSON("si_3", usd("p3", ""), "")), subJSON("sub_4", "incomplete", "", itemJSON("si_4", usd("p4", ""), "")),
			subJSON("sub_5", "something_new", "", itemJSON("si_5", usd("p5", ""), ""))}}, map[string]string{"subscription_count": "3", "plans": "[p3 p4 p5]"}},
		{"of a deleted customer nothing is left", mirror{customer: `deleted:{"id":"cus_1"}`, subscriptions: []string{monthlySub("sub_1", "usd", "100", "")}},
			map[string]string{"subscription_count": "0", "plans": "[]"}},
		{"the plans of all items of all subscriptions, metered too, each once, sorted", mirror{subscriptions: []string{
			subJSON("sub_1", "active", "", itemJSON("si_1", usd("p1", `,"nickname":"Team"`), ""), itemJSON("si_2", metered, "")),
			subJSON("sub_2", "trialing", "", itemJSON("si_3", usd("p3", `,"nickname":"Team"`), ""), itemJSON("si_4", usd("p4", ""), ""))},
			products: []string{`{"id":"prod_1","name":"Add-on"}`}}, map[string]string{"plans": "[Add-on Team Usage]", "plan": "Team"}},
		{"a plan name from the shelf counts here, too", mirror{subscriptions: []string{monthlySub("sub_1", "usd", "100", "")}, prices: []string{`{"id":"price_sub_1","nickname":"New"}`}},
			map[string]string{"plans": "[New]", "plan": "New"}},

		{"quantity of the primary item, not of all", one("active", "", itemJSON("si_1", usd("p1", ""), `,"quantity":7`), itemJSON("si_2", usd("p2", ""), `,"quantity":3`)), map[string]string{"quantity": "7"}},
		{"quantity as subscribed, before packages", one("active", "", itemJSON("si_1", usd("p1", `,"transform_quantity":{"divide_by":5,"round":"up"}`), `,"quantity":11`)), map[string]string{"quantity": "11"}},
		{"no units are 0", one("active", "", itemJSON("si_1", usd("p1", ""), `,"quantity":0`)), map[string]string{"quantity": "0"}},
		{"metered has none: missing, not 0", one("active", "", `{"id":"si_1","price":`+metered+`}`), map[string]string{"quantity": "missing", "plan": "Usage"}},
		{"of tiers it is known, though the price is not", one("active", "", itemJSON("si_1", priceJSON("p", "usd", "null", "month", `,"billing_scheme":"tiered"`), `,"quantity":12`)),
			map[string]string{"quantity": "12", "plan_price": "missing"}},

		{"the period's end", one("active", ""), map[string]string{"subscription_period_end_at": "2026-10-21T14:13:20Z"}},
		{"on the items, as API versions since 2025 have it", mirror{subscriptions: []string{`{"id":"sub_1","status":"active","cancel_at_period_end":true,"items":{"data":[` +
			itemJSON("si_1", usd("p", ""), `,"current_period_end":1792592000`) + `]}}`}}, map[string]string{"subscription_period_end_at": "2026-10-21T14:13:20Z", "cancels_at": "2026-10-21T14:13:20Z"}},
		{"a trial", one("trialing", `,"trial_end":1792592000`), map[string]string{"trial_ends_at": "2026-10-21T14:13:20Z"}},
		{"Stripe keeps the end of a trial that is over", one("active", `,"trial_end":1789000000`), map[string]string{"trial_ends_at": "2026-09-10T00:26:40Z"}},
		{"another subscription's trial is not the primary's", mirror{subscriptions: []string{subJSON("sub_1", "active", ""), subJSON("sub_2", "trialing", `,"trial_end":1792592000`)}},
			map[string]string{"trial_ends_at": "missing", "subscription_count": "2"}},

		{"canceled_at is when it was asked for, the subscription goes on", one("active", `,"cancel_at_period_end":true,"canceled_at":1790000500,"cancellation_details":{"reason":"cancellation_requested"}`),
			map[string]string{"cancels_at": "2026-10-21T14:13:20Z", "canceled_at": "2026-09-21T14:21:40Z", "cancellation_reason": "cancellation_requested", "subscription_count": "1"}},
		{"a date leaves cancel_at_period_end false", one("active", `,"cancel_at":1799000000`), map[string]string{"cancels_at": "2027-01-03T18:13:20Z"}},
		{"ended by dunning: it will not end again", one("canceled", `,"cancel_at_period_end":true,"canceled_at":1790000500,"cancellation_details":{"reason":"payment_failed"}`),
			map[string]string{"cancels_at": "missing", "canceled_at": "2026-09-21T14:21:40Z", "cancellation_reason": "payment_failed"}},
		{"a reason we do not know is kept as sent", one("canceled", `,"cancellation_details":{"reason":"something_new"}`), map[string]string{"cancellation_reason": "something_new"}},

		{"paused collection leaves the status active", one("active", `,"pause_collection":{"behavior":"keep_as_draft","resumes_at":1792592000}`), map[string]string{"collection_paused": "true", "subscription_status": "active"}},
		{"the status paused is another thing", one("paused", ""), map[string]string{"collection_paused": "false", "subscription_status": "paused"}},
	})
}

func TestProjection_Coupon(t *testing.T) {
	t.Parallel()
	coupon := func(id, more, end string) string {
		return `{"coupon":{"id":"` + id + `"` + more + `},"end":` + end + `}`
	}
	const end = "1795000000"
	spring := coupon("SPRING", `,"name":"Spring","duration":"repeating","percent_off":10`, end)
	loyal := `{"id":"cus_1","discount":` + coupon("LOYAL", `,"duration":"forever","percent_off":5`, "null") + `}`
	of := func(customer, status, more string) mirror {
		return mirror{customer: customer, subscriptions: []string{subJSON("sub_1", status, more)}}
	}
	none := missing("coupon coupon_ends_at")
	checkDerivations(t, []derivation{
		{"none", of("", "active", ""), none},
		{"repeating has an end", of("", "active", `,"discount":`+spring), map[string]string{"coupon": "Spring", "coupon_ends_at": "2026-11-18T11:06:40Z"}},
		{"once has none", of("", "active", `,"discount":`+coupon("ONCE", `,"name":"Once","duration":"once"`, "null")), map[string]string{"coupon": "Once", "coupon_ends_at": "missing"}},
		{"forever has none; without a name the id", of("", "active", `,"discount":`+coupon("LOYAL", `,"name":null,"duration":"forever"`, "null")), map[string]string{"coupon": "LOYAL", "coupon_ends_at": "missing"}},
		{"the customer's", of(loyal, "active", ""), map[string]string{"coupon": "LOYAL"}},
		{"the subscription's overrides the customer's", of(loyal, "active", `,"discount":`+spring), map[string]string{"coupon": "Spring"}},
		{"without a subscription, the customer's", mirror{customer: loyal}, map[string]string{"coupon": "LOYAL"}},
		{"what an ended subscription had applies to nothing", of(loyal, "canceled", `,"discount":`+spring), map[string]string{"coupon": "LOYAL", "coupon_ends_at": "missing"}},
		{"of several the first: discount is null then", of(loyal, "active", `,"discount":null,"discounts":[`+spring+`,`+coupon("TWO", ``, "null")+`]`), map[string]string{"coupon": "Spring", "coupon_ends_at": "2026-11-18T11:06:40Z"}},
		{"by ids only: unknown, and the customer's does not apply", of(loyal, "active", `,"discounts":["di_1","di_2"]`), none},
		{"an item's is not the subscription's", mirror{subscriptions: []string{subJSON("sub_1", "active", "", itemJSON("si_1", priceJSON("p", "usd", "100", "month", ""), `,"discounts":[`+spring+`]`))}}, none},
		{"a coupon by id", of("", "active", `,"discount":{"coupon":"25OFF","end":`+end+`}`), map[string]string{"coupon": "25OFF", "coupon_ends_at": "2026-11-18T11:06:40Z"}},
	})
}
