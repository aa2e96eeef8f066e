package stripesync

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	ana      = `{"id":"cus_1","object":"customer", "name":"Ana","default_source":null,"invoice_settings":{"default_payment_method":null}}`
	anaMaria = `{"id":"cus_1","object":"customer", "name":"Ana Maria","default_source":null,"invoice_settings":{"default_payment_method":null}}`
)

const path1 = "/v1/customers/cus_1"

func TestApply_payloadOfOurVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_1", "customer.created", noon, ana)
	w.apply()
	w.want(customer("cus_1"), ana, false)
	if got := w.mirror(customer("cus_1")).asOf; !got.Equal(noon) {
		t.Errorf("as_of\n got %s\nwant the event's created %s", got, noon)
	}
	w.tell("evt_2", "customer.updated", noon.Add(3*time.Second), anaMaria)
	w.apply()
	w.want(customer("cus_1"), anaMaria, false)
	if asked := w.stripe.requests(); len(asked) != 0 {
		t.Errorf("requests\n got %q\nwant none", asked)
	}
	if got := w.fate("evt_2"); got != "applied" {
		t.Errorf("evt_2\n got %s\nwant applied", got)
	}
	if n := w.one(`select count(*) from dunlin.stripe_events where settled_at = $1`, noon); n != 2 {
		t.Errorf("settled at the Clock's now\n got %d\nwant 2", n)
	}
}

func TestApply_tieIsRefetchedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stripe.put("/v1/customers", anaMaria)
	w.clock.add(time.Minute)
	w.tell("evt_1", "customer.created", noon, ana)
	w.tell("evt_2", "customer.updated", noon, `{"id":"cus_1","name":"An"}`)
	w.tell("evt_3", "customer.discount.created", noon, `{"id":"di_1","customer":"cus_1"}`)
	w.apply()
	w.want(customer("cus_1"), anaMaria, false)
	want := []string{path1 + "?expand[0]=default_source&expand[1]=invoice_settings.default_payment_method"}
	if asked := w.stripe.requests(); !slices.Equal(asked, want) {
		t.Errorf("requests\n got %q\nwant %q", asked, want)
	}
	for _, id := range []string{"evt_1", "evt_2", "evt_3"} {
		if got := w.fate(id); got != "refetched" {
			t.Errorf("%s\n got %s\nwant refetched", id, got)
		}
	}
	if got, want := w.mirror(customer("cus_1")).asOf, noon.Add(time.Minute); !got.Equal(want) {
		t.Errorf("as_of\n got %s\nwant the instant of the request %s", got, want)
	}
	if got := w.Counts().Requests; got != 1 {
		t.Errorf("counted requests\n got %d\nwant 1", got)
	}
}

func TestApply_updatedBeforeCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_2", "customer.updated", noon.Add(10*time.Second), anaMaria)
	w.apply()
	w.tell("evt_1", "customer.created", noon, ana)
	w.apply()
	w.want(customer("cus_1"), anaMaria, false)
	if got := w.fate("evt_1"); got != "applied" {
		t.Errorf("evt_1\n got %s\nwant applied: what it told is in the mirror, and passed", got)
	}
}

func TestApply_foreignVersionIsRefetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stripe.put("/v1/customers", anaMaria)
	w.tellVersion("2020-08-27", "evt_1", "customer.updated", noon, ana)
	w.apply()
	w.want(customer("cus_1"), anaMaria, false)
}

func TestApply_deletedCustomer(t *testing.T) {
	t.Parallel()
	const stub = `{"id":"cus_1","object":"customer","deleted":true}`
	t.Run("the event has the last object", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.tell("evt_1", "customer.deleted", noon, ana)
		w.apply()
		w.want(customer("cus_1"), ana, true)
	})
	t.Run("a late update does not bring it back", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.stripe.serve(path1, stub)
		w.tell("evt_2", "customer.deleted", noon, anaMaria)
		w.apply()
		w.tell("evt_1", "customer.updated", noon, ana)
		w.apply()
		w.want(customer("cus_1"), anaMaria, true)
	})
	t.Run("an older update after a read that found a stub", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.stripe.serve(path1, stub)
		w.tellVersion("2020-08-27", "evt_2", "customer.deleted", noon, anaMaria)
		w.apply()
		w.tell("evt_1", "customer.updated", noon, ana)
		w.apply()
		w.want(customer("cus_1"), anaMaria, true)
	})
	t.Run("a hint that found a stub", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.stripe.serve(path1, stub)
		w.tell("evt_1", "customer.discount.deleted", noon, `{"id":"di_1","customer":"cus_1"}`)
		w.apply()
		w.want(customer("cus_1"), stub, true)
	})
	t.Run("read again it is only a stub: the last object is kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.tell("evt_1", "customer.created", noon, ana)
		w.apply()
		w.stripe.serve(path1, stub)
		w.tellVersion("2020-08-27", "evt_2", "customer.updated", noon.Add(time.Minute), anaMaria)
		w.apply()
		w.want(customer("cus_1"), ana, true)
	})
}

func TestApply_missingAtStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_1", "product.created", noon, `{"id":"prod_1","name":"Pro"}`)
	w.apply()
	w.tell("evt_2", "product.updated", noon, `{"id":"prod_1","name":"Pro 2"}`)
	w.tell("evt_3", "product.updated", noon, `{"id":"prod_2"}`)
	w.tellVersion("", "evt_4", "product.updated", noon, `{"id":"prod_3"}`)
	w.tell("evt_5", "charge.dispute.created", noon, `{"id":"dp_1","charge":"ch_1"}`)
	w.apply()
	w.want(ref{productClass, "", "prod_1"}, `{"id":"prod_1","name":"Pro"}`, true)
	w.want(ref{productClass, "", "prod_2"}, `{"id":"prod_2"}`, false)
	if got := w.fate("evt_2"); got != "refetched" {
		t.Errorf("evt_2\n got %s\nwant refetched", got)
	}
	w.want(ref{productClass, "", "prod_3"}, `{"id":"prod_3"}`, true)
	if got := w.fate("evt_5"); !strings.HasPrefix(got, "ignored: Stripe does not have the object any more") {
		t.Errorf("evt_5\n got %s\nwant ignored with a note", got)
	}
}

func TestApply_deletedObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := []struct {
		eventType, object, previous string
		ref                         ref
	}{
		{"invoice.deleted", `{"id":"in_1","customer":"cus_1"}`, "", ref{invoiceClass, "cus_1", "in_1"}},
		{"product.deleted", `{"id":"prod_1"}`, "", ref{productClass, "", "prod_1"}},
		{"price.deleted", `{"id":"price_1"}`, "", ref{priceClass, "", "price_1"}},
		{"customer.source.deleted", `{"id":"card_1","customer":"cus_1"}`, "", ref{paymentMethodClass, "cus_1", "card_1"}},
		{"payment_method.detached", `{"id":"pm_1","customer":null}`, `{"customer":"cus_1"}`, ref{paymentMethodClass, "cus_1", "pm_1"}},
	}
	for i, tt := range tests {
		w.tell(fmt.Sprint("evt_", i), tt.eventType, noon, tt.object, slices.DeleteFunc([]string{tt.previous}, func(s string) bool { return s == "" })...)
	}
	w.apply()
	for _, tt := range tests {
		w.want(tt.ref, tt.object, true)
	}
	w.tell("evt_9", "customer.subscription.deleted", noon, `{"id":"sub_1","customer":"cus_1","status":"canceled"}`)
	w.apply()
	w.want(ref{subscriptionClass, "cus_1", "sub_1"}, `{"id":"sub_1","customer":"cus_1","status":"canceled"}`, false)
}

func TestApply_detachedWhenReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const detached = `{"id":"pm_1","object":"payment_method","customer":null,"card":{"last4":"4242"}}`
	w.stripe.serve("/v1/payment_methods/pm_1", detached)
	w.tellVersion("2020-08-27", "evt_1", "payment_method.detached", noon, `{"id":"pm_1","customer":null}`, `{"customer":"cus_1"}`)
	w.apply()
	w.want(ref{paymentMethodClass, "cus_1", "pm_1"}, detached, true)
}

// A dispute or a refund changes its charge, too, and only the charge says whose
// it is: both are read, in one request.
func TestApply_disputesAndRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		path, eventType, id string
		class               class
		charge              string
	}{
		{"/v1/disputes/dp_1", "charge.dispute.created", "dp_1", disputeClass, `{"id":"ch_1","object":"charge","customer":"cus_1","disputed":true}`},
		{"/v1/refunds/re_2", "charge.refund.updated", "re_2", refundClass, `{"id":"ch_2","object":"charge","customer":"cus_1","amount_refunded":5}`},
		{"/v1/refunds/re_3", "refund.created", "re_3", refundClass, `{"id":"ch_3","object":"charge","customer":"cus_2","amount_refunded":7}`},
	} {
		whole := fmt.Sprintf(`{"id":%q,"status":"pending","charge":%s}`, tt.id, tt.charge)
		w.stripe.serve(tt.path, whole)
		w.stripe.requests()
		w.tell("evt_"+tt.id, tt.eventType, noon, fmt.Sprintf(`{"id":%q,"status":"pending","charge":"ch"}`, tt.id))
		w.apply()
		h, err := readHead([]byte(tt.charge))
		if err != nil {
			t.Fatal(err)
		}
		w.want(ref{tt.class, h.customer, tt.id}, whole, false)
		w.want(ref{chargeClass, h.customer, h.id}, tt.charge, false)
		if asked := w.stripe.requests(); len(asked) != 1 {
			t.Errorf("%s\n got requests %q\nwant one", tt.eventType, asked)
		}
	}
}

// Of an ordinary refund Stripe tells only that its charge was refunded: the
// refunds of the charge are read.
func TestApply_chargeRefunded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const charge = `{"id":"ch_1","object":"charge","customer":"cus_1","amount_refunded":5}`
	const refund = `{"id":"re_1","object":"refund","amount":5,"charge":{"id":"ch_1","object":"charge","customer":"cus_1"}}`
	w.stripe.put("/v1/refunds", refund)
	w.tell("evt_1", "charge.refunded", noon, charge)
	w.apply()
	w.want(ref{refundClass, "cus_1", "re_1"}, refund, false)
	w.want(ref{chargeClass, "cus_1", "ch_1"}, charge, false)

	w.stripe.failWith(func(*http.Request) (int, string) { return http.StatusForbidden, `{"error":{"message":"no"}}` })
	w.tell("evt_2", "charge.refunded", noon.Add(time.Minute), charge)
	w.apply()
	if got := w.fate("evt_2"); !strings.Contains(got, "stored: ") || !strings.Contains(got, "refunds") {
		t.Errorf("refunds that cannot be read\n got %s\nwant the event to wait and to say why", got)
	}
}

func TestApply_guestChargeGetsACustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_1", "charge.succeeded", noon, `{"id":"ch_1","customer":null}`)
	w.apply()
	w.want(ref{chargeClass, "", "ch_1"}, `{"id":"ch_1","customer":null}`, false)
	w.tell("evt_2", "charge.updated", noon.Add(time.Minute), `{"id":"ch_1","customer":"cus_1"}`)
	w.apply()
	w.want(ref{chargeClass, "cus_1", "ch_1"}, `{"id":"ch_1","customer":"cus_1"}`, false)
	if n := w.one(`select count(*) from dunlin.stripe_charges`); n != 1 {
		t.Errorf("charges\n got %d rows\nwant 1", n)
	}
}

func TestApply_namedPaymentMethodIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const (
		method = `{"id":"pm_1","object":"payment_method","customer":"cus_1"}`
		card   = `{"id":"card_1","object":"card","customer":"cus_1"}`
	)
	w.stripe.serve("/v1/payment_methods/pm_1", method)
	w.stripe.serve("/v1/customers/cus_1/sources/card_1", card)
	w.tell("evt_1", "customer.updated", noon, `{"id":"cus_1","default_source":"card_1","invoice_settings":{"default_payment_method":null}}`)
	w.tell("evt_2", "customer.subscription.updated", noon, `{"id":"sub_1","customer":"cus_1","default_payment_method":"pm_1"}`)
	w.apply()
	w.want(ref{paymentMethodClass, "cus_1", "pm_1"}, method, false)
	w.want(ref{paymentMethodClass, "cus_1", "card_1"}, card, false)
	if asked := w.stripe.requests(); len(asked) != 2 {
		t.Errorf("requests\n got %q\nwant the two payment methods", asked)
	}
	w.tell("evt_3", "customer.subscription.updated", noon.Add(time.Minute), `{"id":"sub_1","customer":"cus_1","default_payment_method":"pm_1","x":1}`)
	w.apply()
	if asked := w.stripe.requests(); len(asked) != 0 {
		t.Errorf("requests when it is there already\n got %q\nwant none", asked)
	}
}

func TestApply_ignored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_1", "checkout.session.completed", noon, `{"id":"cs_1"}`)
	w.tell("evt_2", "invoice.upcoming", noon, `{"customer":"cus_1"}`)
	w.tell("evt_3", "customer.updated", noon, `[1]`)
	w.tell("evt_4", "customer.subscription.updated", noon, `{"id":"sub_1"}`)
	w.apply()
	for id, want := range map[string]string{
		"evt_1": "ignored",
		"evt_2": "ignored",
		"evt_3": "ignored: the event's object is unreadable: it is no JSON object",
		"evt_4": "ignored: the event's object belongs to no customer",
	} {
		if got := w.fate(id); got != want {
			t.Errorf("%s\n got %s\nwant %s", id, got, want)
		}
	}
}

// A dispute or a refund that was told of and is not applied is its charge's
// customer's news, however it came, and whenever the charge did; nobody else's.
func TestUnapplied_disputesAndRefunds(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"dispute", "refund"} {
		kinds := map[string][3]string{ // type, path, object
			"dispute": {"charge.dispute.created", "/v1/disputes", `{"id":"it_1","object":"dispute","status":"needs_response","charge":"ch_1"}`},
			"refund":  {"charge.refund.updated", "/v1/refunds", `{"id":"it_1","object":"refund","status":"failed","charge":"ch_1"}`},
		}
		x := kinds[class]
		for _, way := range []string{"webhook", "catch-up"} {
			t.Run(class+" by "+way, func(t *testing.T) {
				t.Parallel()
				w := syncedWorld(t)
				w.stripe.put("/v1/customers", `{"id":"cus_2"}`)
				waits := func(when string, want bool) {
					t.Helper()
					since, err := Unapplied(t.Context(), w.pool, w.account, []string{"cus_1", "cus_2"})
					if _, got := since["cus_1"]; err != nil || got != want || len(since) > 1 || got && !since["cus_1"].Equal(w.clock.Now()) {
						t.Errorf("%s, news wait\n got %v (%v)\nwant of cus_1 %v", when, since, err, want)
					}
				}
				w.stripe.failWith(func(r *http.Request) (int, string) {
					if strings.HasPrefix(r.URL.Path, x[1]) {
						return http.StatusForbidden, `{"error":{"message":"no"}}`
					}
					return 0, ""
				})
				if way == "webhook" {
					w.tell("evt_1", x[0], noon, x[2])
				} else {
					w.happened("evt_1", x[0], noon, x[2])
					w.catchUp()
				}
				waits("before the charge was told of", false)
				w.tell("evt_2", "charge.succeeded", noon, `{"id":"ch_1","object":"charge","customer":"cus_1"}`)
				waits("when the charge is told of", true)
				w.apply()
				if got := w.fate("evt_1"); !strings.HasPrefix(got, "stored: ") || w.fate("evt_2") != "applied" {
					t.Fatalf("fates\n got %s and %s\nwant the charge applied", got, w.fate("evt_2"))
				}
				waits("when the charge is in the mirror", true)
				w.exec(`update dunlin.stripe_events set leased_until = null`)
				w.stripe.failWith(nil)
				w.stripe.put(x[1], strings.Replace(x[2], `"ch_1"`, `{"id":"ch_1","object":"charge","customer":"cus_1"}`, 1))
				w.apply()
				waits("when it is applied", false)
			})
		}
	}
}

// A refetch that fails for now leaves its events stored, with the fault, and
// everybody else proceeds.
func TestApply_refetchFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	w.stripe.put("/v1/customers", `{"id":"cus_2"}`)
	w.stripe.failWith(func(r *http.Request) (int, string) {
		if r.URL.Path == path1 {
			return http.StatusTooManyRequests, `{"error":{"message":"slow down"}}`
		}
		return 0, ""
	})
	w.tellVersion("", "evt_1", "customer.updated", noon, ana)
	w.tellVersion("", "evt_2", "customer.updated", noon, `{"id":"cus_2"}`)
	w.tell("evt_3", "customer.subscription.updated", noon, `{"id":"sub_1","customer":"cus_1"}`)
	told := w.clock.Now()
	w.clock.add(time.Minute)
	w.tellVersion("", "evt_4", "customer.updated", noon, ana)
	w.clock.add(-time.Minute)
	w.apply()
	if got, want := w.fate("evt_1"), "stored: Stripe limits the rate of GET /v1/customers/cus_1 (429): slow down (tried 2 times)"; got != want {
		t.Errorf("evt_1\n got %s\nwant %s", got, want)
	}
	for _, id := range []string{"evt_2", "evt_3"} {
		if got := w.fate(id); !strings.HasSuffix(got, "ed") || got == "stored" {
			t.Errorf("%s\n got %s\nwant it settled", id, got)
		}
	}
	waits, err := unapplied(w, "cus_1")
	if err != nil || !waits {
		t.Errorf("cus_1 has an unapplied event\n got %v %v\nwant true", waits, err)
	}
	if since, err := Unapplied(t.Context(), w.pool, w.account, []string{"cus_1", "cus_2"}); err != nil || len(since) != 1 || !since["cus_1"].Equal(told) {
		t.Errorf("since when news wait\n got %v %v\nwant cus_1: %v", since, err, told)
	}
	waits, err = unapplied(w, "cus_2")
	if err != nil || waits {
		t.Errorf("cus_2 has an unapplied event\n got %v %v\nwant false", waits, err)
	}

	w.stripe.failWith(nil)
	w.apply()
	if got := w.fate("evt_1"); !strings.HasPrefix(got, "stored") {
		t.Errorf("during the backoff\n got %s\nwant stored", got)
	}
	w.lapse()
	w.apply()
	if got := w.fate("evt_1"); got != "refetched" {
		t.Errorf("after the backoff\n got %s\nwant refetched", got)
	}
	w.want(customer("cus_1"), ana, false)
}

// An event that Postgres refuses to apply holds up no other customer.
func TestApply_poisonedEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`create function refuse() returns trigger language plpgsql as
		$$ begin if new.id = 'cus_3' then raise exception 'cursed'; end if; return new; end $$`)
	w.exec(`create trigger refuse before insert on dunlin.stripe_customers for each row execute function refuse()`)
	for i := range 9 {
		w.tell(fmt.Sprint("evt_", i), "customer.created", noon, fmt.Sprintf(`{"id":"cus_%d"}`, i))
	}
	w.apply()
	for i := range 9 {
		got := w.fate(fmt.Sprint("evt_", i))
		if i == 3 && (!strings.HasPrefix(got, "stored") || !strings.Contains(got, "cursed")) {
			t.Errorf("evt_3\n got %s\nwant stored with the fault", got)
		}
		if i != 3 && got != "applied" {
			t.Errorf("evt_%d\n got %s\nwant applied", i, got)
		}
	}
	w.exec(`drop trigger refuse on dunlin.stripe_customers`)
	w.lapse()
	w.apply()
	if got, n := w.fate("evt_3"), w.one(`select attempts from dunlin.stripe_events where id = 'evt_3'`); got != "applied" || n != 2 {
		t.Errorf("evt_3\n got %s after %d attempts\nwant applied after 2", got, n)
	}
}

// Whoever subscribes is projected again when the product changes, in the end of
// which the event is settled.
func TestApply_productTouchesItsSubscribers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_1", "customer.created", noon, ana)
	w.tell("evt_2", "product.created", noon, `{"id":"prod_1","object":"product","name":"Pro"}`)
	w.tell("evt_3", "customer.subscription.created", noon, subscription("active"))
	w.apply()
	w.exec(`update dunlin.accounts set mirrored_at = $1`, noon)
	w.tell("evt_4", "customer.updated", noon.Add(time.Minute), anaMaria)
	w.apply()
	if n := w.one(`select count(*) from dunlin.customers where plan = 'Pro'`); n != 1 {
		t.Fatalf("customers on Pro\n got %d\nwant 1", n)
	}
	_, before := w.pokes()
	w.tell("evt_5", "product.updated", noon.Add(time.Minute), `{"id":"prod_1","object":"product","name":"Pro Plus"}`)
	w.apply()
	if n := w.one(`select count(*) from dunlin.customers where plan = 'Pro Plus'`); n != 1 {
		t.Errorf("customers on Pro Plus\n got %d\nwant 1", n)
	}
	if _, after := w.pokes(); after != before+1 {
		t.Errorf("pokes of the tick\n got %d\nwant 1", after-before)
	}
	if got := w.fate("evt_5"); got != "applied" {
		t.Errorf("evt_5\n got %s\nwant applied", got)
	}
}

func subscription(status string) string {
	return `{"id":"sub_1","object":"subscription","customer":"cus_1","status":"` + status + `","created":1700000000,"currency":"usd",
	"items":{"object":"list","data":[{"id":"si_1","quantity":1,"price":{"id":"price_1","product":"prod_1","unit_amount":4900,
	"unit_amount_decimal":"4900","currency":"usd","type":"recurring","recurring":{"interval":"month","interval_count":1,"usage_type":"licensed"}}}]}}`
}

func TestApply_nothingIsProjectedBeforeTheFirstSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_1", "customer.created", noon, ana)
	w.apply()
	if n := w.one(`select count(*) from dunlin.customers`); n != 0 {
		t.Errorf("projected customers\n got %d\nwant 0", n)
	}
}

// Several workers share a backlog: every event is settled once, by one of them.
func TestApply_severalWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const people, each = 40, 20
	for i := range people * each {
		w.tell(fmt.Sprint("evt_", i), "customer.updated", noon.Add(time.Duration(i)*time.Second),
			fmt.Sprintf(`{"id":"cus_%d","n":%d}`, i%people, i/people))
	}
	settled := make([]int, 4)
	var workers sync.WaitGroup
	for i := range settled {
		workers.Go(func() {
			for {
				n, err := w.Apply(t.Context())
				if err != nil {
					t.Error(err)
				}
				if settled[i] += n; n == 0 {
					return
				}
			}
		})
	}
	workers.Wait()
	w.apply() // what one left because another had the object
	if n := w.one(`select count(*) from dunlin.stripe_events where state = 'applied'`); n != people*each {
		t.Errorf("applied\n got %d\nwant %d", n, people*each)
	}
	for i := range people {
		id := fmt.Sprint("cus_", i)
		w.want(customer(id), fmt.Sprintf(`{"id":"%s","n":%d}`, id, each-1), false)
	}
}

func TestApply_brokenOffGivesItsLeasesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell("evt_1", "customer.created", noon, ana)
	w.exec(`alter table dunlin.stripe_customers rename to away`)
	if _, err := w.Apply(t.Context()); err == nil {
		t.Fatal("Apply without its table succeeded")
	}
	w.exec(`alter table dunlin.away rename to stripe_customers`)
	w.apply()
	if got := w.fate("evt_1"); got != "applied" {
		t.Errorf("evt_1\n got %s\nwant applied", got)
	}
}

// Two events of one second, one with each of two workers: the one that settles
// last must not put back what the other has replaced.
func TestApply_decidedAboutWhatIsNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.tell("evt_0", "customer.created", noon, ana)
	w.apply()
	later := noon.Add(time.Minute)
	w.clock.add(2 * time.Minute)
	w.tell("evt_1", "customer.updated", later, `{"id":"cus_1","name":"An"}`)

	slow, err := w.lease(ctx)
	if err != nil || len(slow) != 1 {
		t.Fatalf("lease\n got %d events, %v\nwant 1", len(slow), err)
	}
	subjects := gather(slow)
	have, err := w.read(ctx, w.pool, []ref{customer("cus_1")})
	if err != nil {
		t.Fatal(err)
	}
	subjects[0].have = have[customer("cus_1")]
	if v, _ := decide(subjects[0].news, subjects[0].have); v != payload {
		t.Fatalf("decide\n got %s\nwant payload", v)
	}
	subjects[0].use(0)

	// Meanwhile another worker has another event of the same second.
	w.exec(`update dunlin.stripe_customers set raw = $1, as_of = $2`, anaMaria, later)
	if n, err := w.settle(ctx, subjects); n != 0 || err != nil {
		t.Fatalf("settle\n got %d, %v\nwant 0: it decided about what is no more", n, err)
	}
	w.want(customer("cus_1"), anaMaria, false)
	if got := w.fate("evt_1"); got != "stored" {
		t.Errorf("evt_1\n got %s\nwant stored", got)
	}

	// Decided anew it is a tie, and Stripe is asked.
	w.stripe.put("/v1/customers", anaMaria)
	w.apply()
	if got := w.fate("evt_1"); got != "refetched" {
		t.Errorf("evt_1\n got %s\nwant refetched", got)
	}
}

// However many workers look at once, the stored events of one object are with
// one of them.
func TestApply_leasesOfOneObjectAreWithOneWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for round := range 20 {
		for n := range 4 {
			w.tell(fmt.Sprintf("evt_%d_%d", round, n), "customer.updated", noon, ana)
		}
		w.exec(`update dunlin.stripe_events set leased_until = null where settled_at is null`)
		var held [4]int
		var wait sync.WaitGroup
		for i := range held {
			wait.Go(func() {
				events, err := w.leaseFrom(t.Context(), "")
				if err != nil {
					t.Error(err)
				}
				held[i] = len(events)
			})
			if i%2 == 0 { // an event arrives while they look
				w.tell(fmt.Sprintf("evt_%d_late_%d", round, i), "customer.updated", noon, ana)
			}
		}
		wait.Wait()
		with := 0
		for _, n := range held {
			if n > 0 {
				with++
			}
		}
		if with > 1 {
			t.Fatalf("round %d: workers with events of one object\n got %d %v\nwant 1", round, with, held)
		}
		w.exec(`update dunlin.stripe_events set state = 'ignored', settled_at = now(), leased_until = null where settled_at is null`)
	}
}
