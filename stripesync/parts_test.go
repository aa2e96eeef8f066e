package stripesync

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// older fills a Stripe with invoices and charges made over three years, most of
// them lately, newest first as Stripe lists them.
func older(f *fakeStripe, people, charges int, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 1))
	at := noon.AddDate(-3, 0, 0)
	step := noon.Sub(at) / time.Duration(charges+1)
	for i := range people {
		f.put("/v1/customers", customerN(i))
	}
	for i := range charges {
		who := dice.IntN(people)
		second := at.Add(step * time.Duration(i)).Unix()
		f.put("/v1/charges", fmt.Sprintf(`{"id":"ch_%d","object":"charge","customer":"cus_%d","status":"succeeded","created":%d}`, i, who, second))
		if i%3 == 0 {
			f.put("/v1/invoices", fmt.Sprintf(`{"id":"in_%d","object":"invoice","customer":"cus_%d","status":"paid","created":%d}`, i, who, second))
		}
	}
}

func newWideWorld(t *testing.T, readers int) *world {
	w := newWorld(t)
	w.readers = readers
	return w
}

// The parts of a list are read by several readers, each object once.
func TestBackfill_divides(t *testing.T) {
	t.Parallel()
	w := newWideWorld(t, 8)
	older(w.stripe, 20, 3000, 1)
	var last Progress
	shares := 0
	err := w.Backfill(t.Context(), func(p Progress) {
		if p.Share > 0 && p.Share < 1 {
			shares++
		}
		last = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := w.one(`select count(*) from dunlin.sync_progress where class = 'charges'`); n < 4 {
		t.Errorf("parts of the charges\n got %d\nwant several", n)
	}
	if n := w.one(`select sum(objects)::int from dunlin.sync_progress where class = 'charges'`); n != 3000 {
		t.Errorf("charges counted\n got %d\nwant 3000, each once", n)
	}
	for table, want := range map[string]int{"stripe_charges": 3000, "stripe_invoices": 1000, "stripe_customers": 20, "charges": 3000} {
		if got := w.one(`select count(*) from dunlin.` + table); got != want {
			t.Errorf("%s\n got %d rows\nwant %d", table, got, want)
		}
	}
	if n := w.one(`select count(*) from dunlin.sync_progress where finished_at is null`); n != 0 {
		t.Errorf("parts that are not finished\n got %d\nwant none", n)
	}
	if shares == 0 || last.Class != attributes || !last.Done || last.Share != 1 {
		t.Errorf("progress\n got %d shares on the way and %+v last\nwant some, and all of the attributes", shares, last)
	}
}

// Cuts are whole seconds within the span, newest first, and no piece is narrower
// than anybody would divide.
func TestCuts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		span   time.Duration
		pieces int
		want   int
	}{
		{2*narrowest - time.Second, 8, 0}, {2 * narrowest, 8, 1}, {8 * narrowest, 8, 7}, {8*narrowest - 1, 8, 6},
		{20 * 365 * 24 * time.Hour, 32, 31}, {1000 * narrowest, 2, 1}, {1000 * narrowest, 1, 0}, {1000 * narrowest, -3, 0}, {-time.Hour, 4, 0},
	} {
		from := noon.Add(7 * time.Millisecond)
		at := cuts(from, from.Add(c.span), c.pieces)
		if len(at) != c.want {
			t.Errorf("cuts of %s into %d\n got %d\nwant %d", c.span, c.pieces, len(at), c.want)
		}
		until := from.Add(c.span)
		for _, cut := range append(at, from) {
			if until.Sub(cut) < narrowest-time.Second && len(at) > 0 || !cut.Equal(from) && cut.Nanosecond() != 0 {
				t.Errorf("cuts of %s into %d\n got %s before %s\nwant whole seconds, an hour apart", c.span, c.pieces, cut, until)
			}
			until = cut
		}
	}
	if at := append(cuts(time.Time{}, noon, 4), cuts(noon, time.Time{}, 4)...); at != nil {
		t.Errorf("cuts without an end\n got %v\nwant none", at)
	}
}

// honest-mirror: read by several readers and broken off again and again, a run
// leaves no gap, wherever that was.
func TestBackfill_dividedAndBrokenOff(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWideWorld(t, 6)
			older(w.stripe, 10, 1500, seed)
			dice := rand.New(rand.NewPCG(seed, 2))
			broken := 0
			for {
				ctx, stop := context.WithCancel(t.Context())
				var left atomic.Int64
				left.Store(1 + dice.Int64N(15))
				w.stripe.failWith(func(r *http.Request) (int, string) {
					if r.URL.Path != eventsPath && left.Add(-1) < 0 {
						stop() // as if the process ended with requests under way
					}
					return 0, ""
				})
				err := w.Backfill(ctx, nil)
				stop()
				if err == nil {
					break
				}
				if ready, err := w.Ready(t.Context()); err != nil || ready {
					t.Fatalf("ready half-way: %v %v", ready, err)
				}
				if broken++; broken > 1000 {
					t.Fatal(err)
				}
			}
			if broken == 0 {
				t.Error("no run was broken off")
			}
			for table, want := range map[string]int{"stripe_charges": 1500, "stripe_invoices": 500, "stripe_customers": 10, "charges": 1500} {
				if got := w.one(`select count(*) from dunlin.` + table); got != want {
					t.Errorf("%s after %d interruptions\n got %d rows\nwant %d", table, broken, got, want)
				}
			}
			if n := w.one(`select sum(objects)::int from dunlin.sync_progress where class = 'charges'`); n != 1500 {
				t.Errorf("charges counted\n got %d\nwant 1500, each once", n)
			}
		})
	}
}

// A class that the key may not read keeps nobody else from being read, and is
// named (honest-mirror).
func TestBackfill_oneClassFails(t *testing.T) {
	t.Parallel()
	w := newWideWorld(t, 4)
	merchant(w.stripe, 5)
	w.stripe.failWith(func(r *http.Request) (int, string) {
		if r.URL.Path == "/v1/invoices" {
			return http.StatusForbidden, `{"error":{"message":"no permission"}}`
		}
		return 0, ""
	})
	err := w.Backfill(t.Context(), nil)
	var refused *refusal
	if !errors.As(err, &refused) || refused.path != "/v1/invoices" {
		t.Fatalf("Backfill\n got %v\nwant the refusal of the invoices", err)
	}
	const want = "sync of invoices stopped after 0; run it again to go on from there: the Stripe API key may not read invoices (403): no permission; give the restricted key read permission on invoices"
	if err.Error() != want {
		t.Errorf("error\n got %s\nwant %s", err, want)
	}
	if n := w.one(`select count(*) from dunlin.stripe_charges`); n != 6 {
		t.Errorf("charges\n got %d\nwant 6, read all the same", n)
	}
	if ready, _ := w.Ready(t.Context()); ready {
		t.Error("the account is ready without its invoices")
	}
}
