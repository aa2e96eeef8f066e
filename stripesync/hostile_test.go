package stripesync

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// readCustomers reads a page of customers as they are now, and returns how to
// write it.
func (w *world) readCustomers() (store func()) {
	w.t.Helper()
	p := &part{list: lists[3]}
	w.exec(`insert into dunlin.sync_runs (account_id, started_at) values ($1, $2)`, w.account, w.clock.Now())
	r := run{started: w.clock.Now(), id: int64(w.one(`select max(run_id) from dunlin.sync_runs`))}
	w.exec(`insert into dunlin.sync_progress (account_id, run_id, class) values ($1, $2, 'customers')`, w.account, r.id)
	page, err := w.readPage(w.t.Context(), r, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.t.Helper()
		if err := w.storePage(w.t.Context(), r, p, page, nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A page that was read in the second of a change, and before it, does not undo
// the event that told of the change while the page waited to be written.
func TestBackfill_pageReadBeforeAnEventOfTheSameSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stripe.put("/v1/customers", ana)
	w.clock.add(300 * time.Millisecond)
	store := w.readCustomers() // at 0.3 s
	w.clock.add(300 * time.Millisecond)
	w.stripe.serve("/v1/customers/cus_1", anaMaria)
	w.tell("evt_1", "customer.updated", noon, anaMaria) // at 0.6 s
	w.apply()
	w.want(customer("cus_1"), anaMaria, false)
	store()
	w.want(customer("cus_1"), anaMaria, false)

	// One that was read well after it is written.
	w.clock.add(time.Minute)
	w.stripe.lists["/v1/customers"][0] = []byte(ana)
	w.readCustomers()()
	w.want(customer("cus_1"), ana, false)
}

// A comparison that read in the second of a change, and before it, does not take
// what the event told for a difference.
func TestCompare_readBeforeAnEventOfTheSameSecond(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour + 300*time.Millisecond)
	p := &part{list: lists[3]}
	page, err := w.readPage(t.Context(), run{started: w.clock.Now()}, p)
	if err != nil {
		t.Fatal(err)
	}
	w.stripe.serve("/v1/customers/cus_1", anaMaria)
	w.tell("evt_1", "customer.updated", noon.Add(time.Hour), anaMaria)
	w.apply()
	c := Comparison{Class: string(customerClass)}
	if err := w.repair(t.Context(), &c, page.rows); err != nil {
		t.Fatal(err)
	}
	if c.Differed != 0 {
		t.Errorf("repair\n got %+v\nwant no difference", c)
	}
	w.want(customer("cus_1"), anaMaria, false)
}

// A class that cannot be compared does not keep the others from being compared
// and noted: a comparison that is never noted is due again at once.
func TestCompare_oneClassRefused(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour)
	w.stripe.failWith(func(r *http.Request) (int, string) {
		if strings.HasPrefix(r.URL.Path, "/v1/disputes") {
			return http.StatusForbidden, `{"error":{"message":"not yours"}}`
		}
		return 0, ""
	})
	if _, err := w.Compare(t.Context()); err == nil || !strings.Contains(err.Error(), "read permission on disputes") {
		t.Errorf("Compare\n got %v\nwant the refusal", err)
	}
	at, found, err := w.LastCompared(t.Context())
	if err != nil || !at.Equal(w.clock.Now()) || len(found) != len(classes)-1 {
		t.Errorf("LastCompared\n got %s %+v %v\nwant all but disputes, now", at, found, err)
	}
}

// One process at a time compares an account: twice the reads find nothing more.
func TestCompare_oneAtATime(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour)
	other := newWorldOn(t, w.pool, w.clock, w.stripe, "main")
	var second []Comparison
	var err error
	inside := false
	w.stripe.failWith(func(r *http.Request) (int, string) {
		if !inside && r.URL.Path == "/v1/charges" {
			inside = true
			w.stripe.mu.Unlock() // the handler holds it
			second, err = other.Compare(context.Background())
			w.stripe.mu.Lock()
		}
		return 0, ""
	})
	w.compare()
	if !inside || err != nil || second != nil {
		t.Errorf("a second Compare beside the first\n got %+v %v\nwant nothing: it is under way", second, err)
	}
}

// A sync that took longer than Stripe keeps its events has a gap of its own: what
// changed after a page was read is in no list of events any more.
func TestBackfill_longerThanStripeKeepsEvents(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour)
	moved := false
	if err := w.Backfill(t.Context(), func(Progress) {
		if !moved {
			moved = true
			w.clock.add(35 * 24 * time.Hour)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if caught := w.catchUp(); !caught.Gap {
		t.Errorf("CatchUp\n got %+v\nwant the gap since the sync began", caught)
	}
}

// What Stripe does not have any more is gone, however wrong our clock is.
func TestReplace_goneByStripesClock(t *testing.T) {
	t.Parallel()
	late := &testClock{t: noon}
	w := newWorldOn(t, pgtest.New(t), late, newFakeStripe(t, &testClock{t: noon.Add(time.Hour)}), "main")
	w.stripe.put("/v1/invoices", `{"id":"in_1","object":"invoice","customer":"cus_1","status":"draft"}`)
	if err := w.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.stripe.clock.add(time.Minute)
	late.add(time.Minute)
	delete(w.stripe.objects, "/v1/invoices/in_1")
	draft := ref{invoiceClass, "cus_1", "in_1"}
	if err := w.replace(t.Context(), []fetch{{ref: draft}}); err != nil {
		t.Fatal(err)
	}
	if !w.mirror(draft).deleted {
		t.Error("the draft that Stripe does not have is not marked deleted")
	}
}

// A sync needs no connection of the pool for as long as it lasts: with as many
// accounts as connections all of them would wait for ever.
func TestBackfill_smallPool(t *testing.T) {
	t.Parallel()
	config := pgtest.New(t).Config()
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	clock := &testClock{t: noon}
	w := newWorldOn(t, pool, clock, newFakeStripe(t, clock), "main")
	merchant(w.stripe, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Backfill(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CatchUp(ctx); err != nil {
		t.Error(err)
	}
}

// A sync that is killed has counted nearly all of its reads.
func TestBackfill_countsReadsAsItGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 150 {
		w.stripe.put("/v1/subscriptions", fmt.Sprintf(`{"id":"sub_%d","object":"subscription","customer":"cus_1","items":{"data":[],"has_more":true}}`, i))
	}
	halfway := 0
	if err := w.Backfill(t.Context(), func(p Progress) {
		if p.Class == "invoices" {
			halfway = w.one(`select coalesce(sum(reads), 0) from dunlin.stripe_reads where account_id = $1`, w.account)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if halfway < 100 {
		t.Errorf("reads counted half-way\n got %d\nwant the hundred and more that were sent", halfway)
	}
}

// Many charges refunded at once are read side by side: one after another they
// would not be read before the batch's time is over, nor what others wait for.
func TestApply_manyRefunds(t *testing.T) {
	t.Parallel()
	w := syncedWorld(t)
	w.clock.add(time.Hour)
	together, inside := make(chan struct{}), 0
	w.stripe.failWith(func(r *http.Request) (int, string) {
		if r.URL.Path != "/v1/refunds" {
			return 0, ""
		}
		if inside++; inside == 2 {
			close(together)
		}
		w.stripe.mu.Unlock() // the handler holds it
		defer w.stripe.mu.Lock()
		select {
		case <-together:
		case <-time.After(10 * time.Second):
		}
		return 0, ""
	})
	for i := range 3 {
		w.tell(fmt.Sprintf("evt_%d", i), "charge.refunded", noon.Add(time.Hour),
			fmt.Sprintf(`{"id":"ch_%d","object":"charge","customer":"cus_1","status":"succeeded","refunded":true}`, i))
	}
	w.apply()
	select {
	case <-together:
	default:
		t.Error("the refunds of three charges were read one after another")
	}
	for i := range 3 {
		if got := w.fate(fmt.Sprintf("evt_%d", i)); got != "applied" {
			t.Errorf("evt_%d\n got %s\nwant applied", i, got)
		}
	}
}

// Whoever subscribes is projected again when a product turns out to be another,
// however that is found: a comparison that repairs the mirror alone would leave
// the wrong plan where rules read it.
func TestCompare_productTouchesItsSubscribers(t *testing.T) {
	t.Parallel()
	for name, find := range map[string]func(w *world){
		"compared": func(w *world) { w.compare() },
		"read again": func(w *world) { // and the customers' page before the product's
			product := part{list: lists[0]}
			w.readLater(product)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stripe.put("/v1/customers", ana)
			w.stripe.put("/v1/products", `{"id":"prod_1","object":"product","name":"Pro"}`)
			w.stripe.put("/v1/subscriptions", subscription("active"))
			if err := w.Backfill(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			const renamed = `{"id":"prod_1","object":"product","name":"Pro Plus"}`
			w.stripe.lists["/v1/products"][0] = []byte(renamed)
			w.stripe.serve("/v1/products/prod_1", renamed)
			w.clock.add(time.Hour)
			find(w)
			w.want(ref{productClass, "", "prod_1"}, renamed, false)
			if n := w.one(`select count(*) from dunlin.customers where plan = 'Pro Plus'`); n != 1 {
				t.Errorf("customers on Pro Plus\n got %d\nwant 1", n)
			}
		})
	}
}

// readLater reads one page of a later run and writes it.
func (w *world) readLater(p part) {
	w.t.Helper()
	run, err := w.openRun(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := w.readPage(w.t.Context(), run, &p)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := (&reading{Sync: w.Sync, run: run}).storeOne(w.t.Context(), &p, page, nil); err != nil {
		w.t.Fatal(err)
	}
}
