package stripesync

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pokerOf is a poker in the bubble of a test, and how often it asked.
func pokerOf(t *testing.T) (p *poker, asked func() int, closing func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	p = &poker{closed: ctx.Done(), later: func() { n.Add(1) }}
	return p, func() int { synctest.Wait(); return int(n.Load()) }, func() { cancel(); p.work.Wait() }
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestPoker_asksOnceForManyInserts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, asked, closing := pokerOf(t)
		if !p.first() {
			t.Fatal("the first insert did not ask by itself")
		}
		for range 100 {
			if p.first() {
				t.Fatal("an insert that followed closely asked by itself")
			}
			p.stored()
		}
		after(pokeSoon - time.Millisecond)
		if got := asked(); got != 0 {
			t.Errorf("asked too early\n got %d times\nwant 0", got)
		}
		after(time.Millisecond)
		if got := asked(); got != 1 {
			t.Errorf("asked for what had been put off\n got %d times\nwant 1", got)
		}
		p.first()
		p.stored() // while it still waits
		after(2 * pokeSoon)
		if got := asked(); got != 2 {
			t.Errorf("asked again\n got %d times\nwant 2", got)
		}
		after(4 * pokeSoon)
		if got := asked(); got != 2 || !p.first() {
			t.Errorf("after a quiet while\n got %d times\nwant 2, and the next insert asks by itself", got)
		}
		closing()
	})
}

// While events go on arriving, each second has fewer pokes, but never none.
func TestPoker_asksLessOftenTheLongerItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, asked, closing := pokerOf(t)
		p.first()
		for range 1000 {
			p.stored()
			after(time.Millisecond)
		}
		// After 5, 15, 35, 75 and 155 milliseconds, and every 80 from then on.
		if got, want := asked(), 5+(1000-155)/80; got != want {
			t.Errorf("asked in a second\n got %d times\nwant %d", got, want)
		}
		closing()
	})
}

// An insert that was told not to ask may commit when everybody is quiet again: it
// is asked for after that, or nobody would come before the sweep (nothing-lost).
func TestPoker_asksAfterTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, asked, closing := pokerOf(t)
		p.first()
		slow := p.first()
		after(pokeLate)
		if slow || asked() != 0 {
			t.Fatalf("before the commit\n got asked %d times\nwant 0", asked())
		}
		p.stored()
		after(pokeSoon)
		if got := asked(); got != 1 {
			t.Errorf("after the commit\n got %d times\nwant 1", got)
		}
		closing()
	})
}

func TestPoker_closes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, asked, closing := pokerOf(t)
		p.first()
		p.stored()
		began := time.Now()
		closing()
		if got := asked(); got != 1 || time.Since(began) != 0 {
			t.Errorf("at the end\n got %d times after %s\nwant 1 at once", got, time.Since(began))
		}
	})
}
