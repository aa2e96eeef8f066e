package stripesync

import (
	"fmt"
	"testing"
	"time"
)

// comparisons is what differed, by class.
func (w *world) compare() map[string]Comparison {
	w.t.Helper()
	found, err := w.Compare(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]Comparison{}
	for _, c := range found {
		out[c.Class] = c
	}
	return out
}

// honest-mirror: a difference that no event explains is found and repaired.
func TestCompare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	for i := range 3 {
		w.stripe.serve(fmt.Sprintf("/v1/payment_methods/pm_%d", i), methodN(i))
		w.stripe.serve(fmt.Sprintf("/v1/customers/cus_%d/sources/card_%d", i, i), fmt.Sprintf(`{"id": "card_%d",  "object":"card","customer":"cus_%d"}`, i, i))
	}
	recent := noon.Add(-time.Hour).Unix()
	w.stripe.put("/v1/charges", fmt.Sprintf(`{"id":"ch_new","object":"charge","customer":"cus_1","status":"succeeded","created":%d}`, recent))
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.clock.add(time.Minute)
	for class, c := range w.compare() {
		if c.Differed != 0 {
			t.Errorf("%s after a sync\n got %+v\nwant no difference", class, c)
		}
	}

	w.exec(`update dunlin.stripe_charges set raw = '{"id":"ch_new","object":"charge","customer":"cus_1","status":"failed"}' where id = 'ch_new'`)
	w.exec(`delete from dunlin.stripe_invoices where id = 'in_2'`)
	w.exec(`update dunlin.stripe_subscriptions set raw = '{"id":"sub_1","object":"subscription","customer":"cus_1","status":"canceled"}' where id = 'sub_1'`)
	w.clock.add(time.Minute)
	found := w.compare()
	for class, want := range map[string]string{"charges": "ch_new", "invoices": "in_2"} {
		if c := found[class]; c.Differed != 1 || len(c.IDs) != 1 || c.IDs[0] != want {
			t.Errorf("%s\n got %+v\nwant %s to differ", class, c, want)
		}
	}
	w.want(ref{chargeClass, "cus_1", "ch_new"}, fmt.Sprintf(`{"id":"ch_new","object":"charge","customer":"cus_1","status":"succeeded","created":%d}`, recent), false)
	w.want(ref{invoiceClass, "cus_2", "in_2"}, `{"id":"in_2","object":"invoice","customer":"cus_2","status":"paid"}`, false)
	if n := w.one(`select count(*) from dunlin.charges where id = 'ch_new' and status = 'succeeded'`); n != 1 {
		t.Error("the repaired charge was not projected")
	}
	at, last, err := w.LastCompared(t.Context())
	if err != nil || !at.Equal(w.clock.Now()) || len(last) != len(classes) {
		t.Errorf("LastCompared\n got %s %+v %v\nwant what was found now", at, last, err)
	}
}

// What events have told before the comparison is no difference, and neither is
// an object that came by event, without the expansions of a list.
func TestCompare_eventsFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	merchant(w.stripe, 3)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.clock.add(time.Hour)
	const expanded = `{"id":"cus_1","object":"customer","email":"new@example.com","invoice_settings":{"default_payment_method":{"id":"pm_1","object":"payment_method","customer":"cus_1"}}}`
	const told = `{"id":"cus_1","object":"customer","email":"new@example.com","invoice_settings":{"default_payment_method":"pm_1"}}`
	for _, other := range []string{"cus_0", "cus_2"} { // only cus_1 is left to be picked
		w.exec(`update dunlin.stripe_customers set deleted = true where id = $1`, other)
	}
	w.stripe.serve("/v1/customers/cus_1", expanded)
	w.happened("evt_1", "customer.updated", noon.Add(10*time.Minute), told)
	if c := w.compare()["customers"]; c.Differed != 0 || c.Compared == 0 {
		t.Errorf("customers\n got %+v\nwant some compared and none to differ", c)
	}
	w.want(customer("cus_1"), told, false)
}

func TestCompare_gone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	w.stripe.put("/v1/charges", `{"id":"ch_1","object":"charge","customer":"cus_1","status":"succeeded"}`)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.clock.add(time.Hour)
	w.stripe.serve("/v1/customers/cus_1", `{"id":"cus_1","object":"customer","deleted":true}`)
	w.stripe.lists["/v1/customers"] = nil
	if c := w.compare()["customers"]; c.Compared != 1 || c.Differed != 1 {
		t.Errorf("customers\n got %+v\nwant the deleted one to differ", c)
	}
	if !w.mirror(customer("cus_1")).deleted {
		t.Error("the customer is not marked deleted")
	}
}
