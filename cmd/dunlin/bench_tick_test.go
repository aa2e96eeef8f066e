package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

const (
	tickRounds = 5
	idleRounds = 15
	maxStep    = 3 * time.Hour // rounds and one more fit into a day
)

// ticks are what ticks of one world took.
type ticks struct {
	name    string
	step    time.Duration // of the clock, between two that have something to do
	busy    []time.Duration
	idle    []time.Duration
	crossed []int // values that bounds passed over, before each busy one
	moved   []int // joins and leaves of each
	wal     []int // bytes
	changed int
}

// ticks measures ticks with customers changed and time gone on, and ticks with
// nothing but a second gone by.
func (w *benchWorld) ticks() ticks {
	t := ticks{name: w.name, step: w.step(), changed: w.sizes.Changed}
	w.busyTick(&t, 0) // reads into the caches what every tick reads
	t.busy, t.crossed, t.moved, t.wal = nil, nil, nil, nil
	for round := range tickRounds {
		w.busyTick(&t, round+1)
	}
	for range idleRounds {
		w.now = w.now.Add(time.Second)
		_, took := w.tick()
		t.idle = append(t.idle, took)
	}
	w.progress("%s: ticks of %s, idle %s, %v values crossed and %v moved in %s each", w.name, ms(median(t.busy)), ms(median(t.idle)), t.crossed, t.moved, t.step)
	return t
}

func (w *benchWorld) tick() (segments.Tick, time.Duration) {
	began := time.Now()
	t, err := w.product.ticker.Tick(w.Context())
	took := time.Since(began)
	w.check(err)
	if t.More {
		w.Fatalf("tick %d has begun a list anew", t.ID)
	}
	return t, took
}

// busyTick changes customers, lets time pass and measures the tick that follows.
func (w *benchWorld) busyTick(t *ticks, round int) {
	moving := w.change(round)
	was := w.now
	w.now = w.now.Add(t.step)
	from := w.written()
	tick, took := w.tick()
	t.busy = append(t.busy, took)
	t.wal = append(t.wal, w.written()-from)
	t.moved = append(t.moved, int(tick.Joined+tick.Left))
	t.crossed = append(t.crossed, w.crossed(was, w.now))
	if got := int(tick.Moved["flagged"] + tick.Moved["high-value"]); len(tick.Changed) != t.changed || got != moving {
		w.Fatalf("tick %d\n got %d changed customers, %d of them moved\nwant %d and %d", tick.ID, len(tick.Changed), got, t.changed, moving)
	}
}

// change updates customers and tells news of it, as a projection does. Half of
// them change sides in one segment, and moving is how many did; the others
// change in what rules read and remain where they are.
func (w *benchWorld) change(round int) (moving int) {
	picked := rand.New(rand.NewPCG(1, uint64(round))).Perm(w.size)[:w.sizes.Changed]
	quarter := func(i int) (ids []int64) {
		for _, n := range picked[i*len(picked)/4 : (i+1)*len(picked)/4] {
			ids = append(ids, int64(n)+1)
		}
		return ids
	}
	changes := []struct{ update, names string }{
		{`update dunlin.customers set delinquent = not delinquent where account_id = 1 and customer_id = any($1)`, `{delinquent}`},
		{`update dunlin.customers set mrr = case when mrr_currency = 'usd' and mrr >= 500 then 40 else 600 end, mrr_currency = 'usd' where account_id = 1 and customer_id = any($1)`, `{mrr}`},
		{`update dunlin.customers set lifetime_spend = lifetime_spend + 0.01, last_charge_amount = last_charge_amount + 0.01 where account_id = 1 and customer_id = any($1)`, `{lifetime_spend,last_charge_amount}`},
		{`update dunlin.charges set amount_refunded = amount_refunded + 0.01 where account_id = 1 and customer_id = any($1)`, `{charges.amount_refunded}`},
	}
	w.check(pgx.BeginFunc(w.Context(), w.db.Pool, func(tx pgx.Tx) error {
		for i, c := range changes {
			if _, err := tx.Exec(w.Context(), c.update, pgx.QueryExecModeCacheDescribe, quarter(i)); err != nil {
				return err
			}
			if _, err := tx.Exec(w.Context(), `insert into dunlin.changed_customers (account_id, customer_id, attributes) select 1, unnest($1::bigint[]), $2::text[]`,
				pgx.QueryExecModeCacheDescribe, quarter(i), c.names); err != nil {
				return err
			}
		}
		return nil
	}))
	w.row(&moving, `select count(*) from dunlin.customers where account_id = 1 and customer_id = any($1) and not deleted`, append(quarter(0), quarter(1)...))
	return moving
}

// step is how long the clock takes to pass over about as many values as
// customers are changed.
func (w *benchWorld) step() time.Duration {
	step := time.Second
	n := w.crossed(w.now, w.now.Add(step))
	for n < w.sizes.Changed && step < maxStep {
		step *= 2
		n = w.crossed(w.now, w.now.Add(step))
	}
	step = time.Duration(float64(step) * float64(w.sizes.Changed) / float64(max(n, 1)))
	return min(maxStep, max(step.Round(time.Second), time.Second))
}

// crossed is how many values the bounds of all rules pass over.
func (w *benchWorld) crossed(was, is time.Time) (sum int) {
	seen := map[rule.Crossing]bool{}
	for _, s := range benchSegments {
		for _, x := range w.rules[s.name].Crossings(w.env(was), w.env(is)) {
			if seen[x] {
				continue
			}
			seen[x] = true
			table := "customers"
			if x.Collection != "" {
				table = x.Collection
			}
			column := pgx.Identifier{x.Name}.Sanitize()
			var n int
			w.row(&n, fmt.Sprintf(`select count(*) from %s where %s >= $1 and %s <= $2`, pgx.Identifier{"dunlin", table}.Sanitize(), column, column), x.From.Instant, x.To.Instant)
			sum += n
		}
	}
	return sum
}

// written is how far the log has been written, in bytes.
func (w *benchWorld) written() (bytes int) {
	w.row(&bytes, `select (pg_current_wal_insert_lsn() - '0/0')::bigint`)
	return bytes
}

// compare prints the figures that compare ticks with each other and with the
// full evaluation at the larger size.
func (f *figures) compare(small, large ticks, full time.Duration) {
	a, b, idle := median(small.busy), median(large.busy), median(large.idle)
	f.figure(fmt.Sprintf("tick, %s changed, about %s boundaries crossed, %d segments: %s customers against %s", thousands(large.changed), thousands(large.changed), len(benchSegments), thousands(f.sizes.Large), thousands(f.sizes.Small)),
		fmt.Sprintf("%s ÷ %s = %.2f", ms(b), ms(a), ratio(b, a)), "at most 1.25", ratio(b, a) <= 1.25)
	f.figure("the same tick, "+thousands(f.sizes.Large)+" customers", ms(b), "under 100 ms", b < 100*time.Millisecond)
	f.figure("full evaluation of all segments against that tick", fmt.Sprintf("%s ÷ %s = %.0f", full.Round(time.Millisecond), ms(b), ratio(full, b)), "at least 50", ratio(full, b) >= 50)
	f.figure("tick with nothing changed, one second on", ms(idle), "under 10 ms", idle < 10*time.Millisecond)
	f.figure("full evaluation against that tick", fmt.Sprintf("%.0f", ratio(full, idle)), "at least 500", ratio(full, idle) >= 500)

	var s strings.Builder
	s.WriteString("## Ticks\n\nThe median counts, after one tick that does not. Half of the changed customers change sides in one segment; the clock's step is chosen so that moving bounds pass over about as many values as customers changed.\n\n")
	s.WriteString("| customers | clock's step | values crossed | joins and leaves | log written, MB | each tick, ms | idle ticks, ms |\n|---|---|---|---|---|---|---|\n")
	for i, t := range []ticks{small, large} {
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s | %s |\n", thousands([]int{f.sizes.Small, f.sizes.Large}[i]), t.step, listed(t.crossed, "%d"), listed(t.moved, "%d"),
			listed(scaled(t.wal, 1e-6), "%.1f"), listed(scaled(t.busy, 1e-6), "%.1f"), listed(scaled(t.idle, 1e-6), "%.1f"))
	}
	f.note("%s", strings.TrimSuffix(s.String(), "\n"))
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func scaled[N int | time.Duration](list []N, by float64) (out []float64) {
	for _, n := range list {
		out = append(out, float64(n)*by)
	}
	return out
}

func listed[T any](list []T, format string) string {
	var words []string
	for _, v := range list {
		words = append(words, fmt.Sprintf(format, v))
	}
	return strings.Join(words, " ")
}

// waitUntil asks every few milliseconds, for at most so long.
func waitUntil(ctx context.Context, every, patience time.Duration, done func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing more came in %s", patience)
		}
		if err := sleep(ctx, every); err != nil {
			return err
		}
	}
}
