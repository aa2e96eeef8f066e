package stripesync

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// manyItems makes a subscription with so many items, of which Stripe puts ten
// inside it, whose raw JSON it returns.
func (f *fakeStripe) manyItems(n int) string {
	var inside []string
	f.lists[itemsPath] = nil
	for i := range n {
		item := fmt.Sprintf(`{"id":"si_%02d","object":"subscription_item","subscription":"sub_1","quantity":1,"price":{"id":"price_%d","currency":"usd","unit_amount":100,"unit_amount_decimal":"100","recurring":{"interval":"month","interval_count":1,"usage_type":"licensed"}}}`, i, i)
		if i < 10 {
			inside = append(inside, item)
		}
		f.lists[itemsPath] = append(f.lists[itemsPath], []byte(item))
	}
	return fmt.Sprintf(`{"id":"sub_1","object":"subscription","customer":"cus_1","status":"active","currency":"usd","items":{"object":"list","data":[%s],"has_more":%v}}`,
		strings.Join(inside, ","), n > 10)
}

// Stripe puts ten items inside a subscription; those that follow are read page by
// page, by a list as by an event, and count like the others.
func TestItems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	w.stripe.put("/v1/subscriptions", w.stripe.manyItems(230))
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	check := func(when string, mirrored, items, mrr int) {
		t.Helper()
		if n := w.one(`select count(*) from dunlin.stripe_subscription_items where not deleted`); n != mirrored {
			t.Errorf("%s: items in the mirror\n got %d\nwant %d", when, n, mirrored)
		}
		if n := w.one(`select count(*) from dunlin.subscription_items`); n != items {
			t.Errorf("%s: items of the customer\n got %d\nwant %d", when, n, items)
		}
		if n := w.one(`select mrr::int from dunlin.customers`); n != mrr {
			t.Errorf("%s: mrr\n got %d\nwant %d", when, n, mrr)
		}
	}
	check("synced", 230, 230, 230)

	w.tell("evt_1", "customer.subscription.updated", noon.Add(time.Minute), w.stripe.manyItems(120))
	w.apply()
	check("less of them", 120, 120, 120)

	w.tell("evt_2", "customer.subscription.updated", noon.Add(2*time.Minute), w.stripe.manyItems(3))
	w.apply()
	check("so few that they fit", 120, 3, 3)
}
