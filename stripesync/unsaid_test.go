package stripesync

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// unwritten is a subscription of 100 usd as lists and events have it, which name
// several coupons, and those of items, by id only.
func unwritten(own, items string) string {
	return fmt.Sprintf(`{"id":"sub_1","object":"subscription","customer":"cus_1","status":"active","currency":"usd","discount":null,"discounts":[%s],"items":{"object":"list","has_more":false,"data":[{"id":"si_1","object":"subscription_item","quantity":1,"discounts":[%s],"price":{"id":"price_1","currency":"usd","unit_amount":10000,"unit_amount_decimal":"10000","recurring":{"interval":"month","interval_count":1,"usage_type":"licensed"}}}]}}`, own, items)
}

func percentOff(id string, percent int) string {
	return fmt.Sprintf(`{"id":"%s","object":"discount","coupon":{"id":"C%s","object":"coupon","duration":"forever","percent_off":%d}}`, id, id, percent)
}

// A subscription whose coupons Stripe names by id is read once more, whichever
// way it comes, and so its revenue is known.
func TestUnsaid_discounts(t *testing.T) {
	t.Parallel()
	const named, both = `"di_1","di_2"`, "?expand[0]=default_payment_method&expand[1]=default_source&expand[2]=discounts&expand[3]=items.data.discounts"
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	w.stripe.put("/v1/subscriptions", unwritten(named, ""))
	w.stripe.serve("/v1/subscriptions/sub_1", unwritten(percentOff("di_1", 10)+","+percentOff("di_2", 50), ""))
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	check := func(when string, mrr, reads int) {
		t.Helper()
		if n := w.one(`select coalesce(mrr::int, -1) from dunlin.customers`); n != mrr {
			t.Errorf("%s: mrr\n got %d\nwant %d", when, n, mrr)
		}
		asked := slices.DeleteFunc(w.stripe.requests(), func(r string) bool { return !strings.HasPrefix(r, "/v1/subscriptions/sub_1") })
		if len(asked) != reads || reads > 0 && asked[len(asked)-1] != "/v1/subscriptions/sub_1"+both {
			t.Errorf("%s: reads\n got %q\nwant %d of %s", when, asked, reads, both)
		}
	}
	check("listed", 45, 1)

	w.stripe.serve("/v1/subscriptions/sub_1", unwritten("", percentOff("di_3", 20)))
	w.clock.add(time.Hour)
	w.tell("evt_1", "customer.subscription.updated", noon.Add(time.Hour), unwritten("", `"di_3"`))
	w.apply()
	check("told of", 80, 1)

	w.clock.add(time.Hour)
	w.tell("evt_2", "customer.subscription.updated", noon.Add(2*time.Hour), unwritten("", ""))
	w.apply()
	check("without any", 100, 0)

	w.stripe.put("/v1/subscriptions", unwritten(named, ""))
	w.stripe.serve("/v1/subscriptions/sub_1", unwritten(percentOff("di_1", 10)+","+percentOff("di_2", 50), ""))
	w.clock.add(24 * time.Hour)
	if found := w.compare()["subscriptions"]; found.Differed != 1 {
		t.Errorf("Compare with coupons that no event told\n got %+v\nwant one difference", found)
	}
	if found := w.compare()["subscriptions"]; found.Differed != 0 {
		t.Errorf("Compare once more\n got %+v\nwant no difference", found)
	}
}

// Stripe expands the tiers and currencies of a price where it is asked to, and
// never in events: those are read.
func TestUnsaid_prices(t *testing.T) {
	t.Parallel()
	const price = `{"id":"price_1","object":"price","active":true,"product":"prod_1","currency":"usd","billing_scheme":"tiered","tiers_mode":"volume"%s}`
	const expanded = `,"tiers":[{"up_to":null,"unit_amount":%d}],"currency_options":{"usd":{}}`
	whole := func(amount int) string { return fmt.Sprintf(price, fmt.Sprintf(expanded, amount)) }
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	w.stripe.put("/v1/prices", whole(100))
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r := ref{class: priceClass, id: "price_1"}
	w.want(r, whole(100), false)

	w.clock.add(time.Hour)
	w.stripe.serve("/v1/prices/price_1", whole(200))
	w.tell("evt_1", "price.updated", noon.Add(time.Hour), fmt.Sprintf(price, ""))
	w.apply()
	w.want(r, whole(200), false)
	if asked := w.stripe.requests(); asked[len(asked)-1] != "/v1/prices/price_1?expand[0]=tiers&expand[1]=currency_options" {
		t.Errorf("requests\n got %q\nwant the price with what is expanded last", asked)
	}
}
