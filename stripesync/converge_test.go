package stripesync

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// Whatever the order in which events arrive, however often, in however many
// batches, and whatever versions they have: in the end the mirror is what Stripe
// would answer now.
func TestApply_converges(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		clock := &testClock{t: noon}
		stripe := newFakeStripe(t, clock)
		defer stripe.Close()
		w := newWorldOn(t, pool, clock, stripe, fmt.Sprint("life ", checks))

		// A life: objects change, some changes within one second.
		type told struct{ id, eventType, version, object, previous string }
		var events []told
		var created []time.Time
		truth := map[ref]string{}
		gone := map[ref]bool{}
		at := noon
		for i := range rapid.IntRange(1, 14).Draw(rt, "changes") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 2, 3, 30}).Draw(rt, "after")) * time.Second)
			n := rapid.IntRange(1, 3).Draw(rt, "object")
			version := rapid.SampledFrom([]string{ourVersion, ourVersion, ourVersion, "2020-08-27"}).Draw(rt, "version")
			e := told{id: fmt.Sprintf("evt_%d_%d", checks, i), version: version}
			var r ref
			switch rapid.SampledFrom([]string{"customer", "subscription", "method"}).Draw(rt, "class") {
			case "customer":
				r = customer(fmt.Sprint("cus_", n))
				e.eventType, e.object = "customer.updated", fmt.Sprintf(`{"id":"%s","object":"customer","n":%d}`, r.id, i)
				if rapid.IntRange(0, 5).Draw(rt, "deleted") == 0 {
					e.eventType = "customer.deleted"
				}
			case "subscription":
				r = ref{subscriptionClass, "cus_1", fmt.Sprint("sub_", n)}
				e.eventType, e.object = "customer.subscription.updated", fmt.Sprintf(`{"id":"%s","customer":"cus_1","n":%d}`, r.id, i)
			case "method":
				r = ref{paymentMethodClass, "cus_1", fmt.Sprint("pm_", n)}
				e.eventType, e.object = "payment_method.updated", fmt.Sprintf(`{"id":"%s","customer":"cus_1","n":%d}`, r.id, i)
				if rapid.IntRange(0, 5).Draw(rt, "detached") == 0 {
					e.eventType, e.previous = "payment_method.detached", `{"customer":"cus_1"}`
					e.object = fmt.Sprintf(`{"id":"%s","customer":null,"n":%d}`, r.id, i)
				}
			}
			if gone[r] {
				continue // nothing happens to what is gone
			}
			path := "/v1/" + string(r.class) + "/" + r.id
			stripe.serve(path, e.object)
			truth[r] = e.object
			switch e.eventType {
			case "customer.deleted":
				gone[r] = true
				stripe.serve(path, fmt.Sprintf(`{"id":"%s","object":"customer","deleted":true}`, r.id))
			case "payment_method.detached":
				gone[r] = true
			}
			events, created = append(events, e), append(created, at)
		}
		clock.add(at.Sub(noon) + time.Duration(rapid.IntRange(0, 60).Draw(rt, "delay"))*time.Second)

		// Their arrival: shuffled, some twice, applied now and then.
		order := rapid.Permutation(indexes(len(events))).Draw(rt, "order")
		for _, again := range rapid.SliceOfN(rapid.IntRange(0, max(len(events)-1, 0)), 0, 4).Draw(rt, "again") {
			if len(events) > 0 {
				order = append(order, again)
			}
		}
		for _, i := range order {
			e := events[i]
			previous := slices.DeleteFunc([]string{e.previous}, func(s string) bool { return s == "" })
			w.tellVersion(e.version, e.id, e.eventType, created[i], e.object, previous...)
			if rapid.Bool().Draw(rt, "apply") {
				w.apply()
			}
		}
		w.apply()

		for r, object := range truth {
			got := w.mirror(r)
			if got.deleted != gone[r] {
				rt.Errorf("%s %s deleted\n got %v\nwant %v", r.class, r.id, got.deleted, gone[r])
			}
			if lastRaw := gone[r] && r.class == customerClass; !lastRaw && string(got.raw) != object {
				rt.Errorf("%s %s\n got %s\nwant %s", r.class, r.id, got.raw, object)
			}
		}
		if n := w.one(`select count(*) from dunlin.stripe_events where account_id = $1 and state = 'stored'`, w.account); n != 0 {
			rt.Errorf("unsettled events\n got %d\nwant none", n)
		}
	})
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func TestSameJSON(t *testing.T) {
	t.Parallel()
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(ana), "    ", "  "); err != nil {
		t.Fatal(err)
	}
	if !sameJSON([]byte(ana), indented.Bytes()) {
		t.Error("an indented copy is another object")
	}
	if sameJSON([]byte(ana), []byte(anaMaria)) {
		t.Error("two objects are one")
	}
	if sameJSON([]byte("{"), []byte("[")) {
		t.Error("two broken texts are one object")
	}
}
