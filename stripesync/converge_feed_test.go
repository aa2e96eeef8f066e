package stripesync

import (
	"testing"
	"time"
)

// nothing-lost: that the lists are read again is no reason to leave events out.
// No list shows that a payment method is gone.
func TestBackfill_laterLeavesTheFeed(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	const card = `{"id":"pm_1","object":"payment_method","customer":"cus_1","type":"card"}`
	method := ref{paymentMethodClass, "cus_1", "pm_1"}
	w.tell("evt_1", "payment_method.attached", noon.Add(time.Minute), card)
	w.apply()
	w.want(method, card, false)

	const detached = `{"id":"pm_1","object":"payment_method","customer":null,"type":"card"}`
	w.stripe.put(eventsPath, eventJSON(ourVersion, "evt_2", "payment_method.detached", noon.Add(time.Hour), detached, `{"customer":"cus_1"}`))
	w.clock.add(3 * time.Hour)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if caught := w.catchUp(); caught.Lost != 1 {
		t.Errorf("CatchUp after a later sync\n got %+v\nwant the event from before it", caught)
	}
	w.apply()
	w.want(method, detached, true)
}

// A legacy card cannot be read any more once its customer is deleted, which is no
// difference to report every night.
func TestCompare_cardOfADeletedCustomer(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.tell("evt_1", "customer.source.created", noon.Add(time.Minute), `{"id":"card_1","object":"card","customer":"cus_1","last4":"4242"}`)
	w.tell("evt_2", "customer.deleted", noon.Add(time.Hour), ana)
	w.stripe.serve("/v1/customers/cus_1", `{"id":"cus_1","object":"customer","deleted":true}`)
	w.apply()
	w.clock.add(72 * time.Hour)
	if c := w.compare()["payment_methods"]; c.Differed != 0 {
		t.Errorf("Compare\n got %+v\nwant no difference", c)
	}
}
