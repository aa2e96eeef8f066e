package intercom

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// begin starts a transaction that may not wait for anybody.
func begin(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if _, err := tx.Exec(t.Context(), `set local lock_timeout = '1ms'`); err != nil {
		t.Fatal(err)
	}
	return tx
}

// free locks persons and returns those that were.
func free(t *testing.T, tx pgx.Tx, refs ...Ref) []Ref {
	t.Helper()
	persons, err := new(Links).LockAll(t.Context(), tx, refs)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(refs), func(r Ref) bool { _, ok := persons[r]; return !ok })
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	put(t, pool, 1, 1, "c1")
	put(t, pool, 1, 2, "")
	put(t, pool, 2, 9, "c1")
	put(t, pool, 2, 8, "c8")
	for what, read := range map[string]func(context.Context, Querier, []Ref) (map[Ref]Person, error){
		"ReadAll": new(Links).ReadAll, "LockAll": new(Links).LockAll,
	} {
		persons, err := read(t.Context(), pool, []Ref{{1, 1}, {1, 2}, {1, 3}, {2, 9}, {1, 1}})
		if err != nil {
			t.Fatal(err)
		}
		got := map[Ref][]Ref{}
		for ref, p := range persons {
			if got[ref] = p.Others; p.Ref() != ref || p.CheckedAt.IsZero() != (ref == Ref{1, 3}) {
				t.Errorf("%s: person of %v is %+v", what, ref, p)
			}
		}
		want := map[Ref][]Ref{{1, 1}: {{2, 9}}, {1, 2}: nil, {1, 3}: nil, {2, 9}: {{1, 1}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the same persons (-want +got)\n%s", what, diff)
		}
	}
}

// one-budget: whoever is locked by somebody else is left out, with every other
// customer that is the same person, and nobody waits.
func TestLockAll_LeavesOutTheBusy(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	put(t, pool, 1, 1, "c1")
	put(t, pool, 2, 9, "c1")
	put(t, pool, 1, 3, "c3")
	put(t, pool, 1, 4, "")
	all := []Ref{{1, 1}, {2, 9}, {1, 3}, {1, 4}, {1, 5}}

	first, second := begin(t, pool), begin(t, pool)
	if diff := cmp.Diff([]Ref{{1, 1}}, free(t, first, Ref{1, 1})); diff != "" {
		t.Errorf("the first (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]Ref{{1, 3}, {1, 4}, {1, 5}}, free(t, second, all...)); diff != "" {
		t.Errorf("the second, meanwhile (-want +got)\n%s", diff)
	}
	// Each wants what the other has: with locks that wait, a deadlock.
	if diff := cmp.Diff([]Ref{{1, 1}, {2, 9}, {1, 5}}, free(t, first, all...)); diff != "" {
		t.Errorf("the first again (-want +got)\n%s", diff)
	}
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, free(t, second, all...)); diff != "" {
		t.Errorf("after the end of the first (-want +got)\n%s", diff)
	}
}

// A link that is just being written is busy, whether it comes or goes.
func TestLockAll_LeavesOutMovingLinks(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	put(t, pool, 1, 1, "c1")
	put(t, pool, 1, 2, "c2")
	mover, claim := begin(t, pool), begin(t, pool)
	if _, err := mover.Exec(t.Context(), `update dunlin.links set contact_id = 'c2' where customer_id = 1`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Ref{{1, 2}}, free(t, claim, Ref{1, 1}, Ref{1, 2})); diff != "" {
		t.Errorf("while it moves (-want +got)\n%s", diff)
	}
	if err := mover.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := begin(t, pool)
	if got := free(t, other, Ref{1, 1}); len(got) != 0 {
		t.Errorf("its new contact is locked by another, yet %v is free", got)
	}
	// The other got hold of one of its two links; neither has the person.
	if got := free(t, claim, Ref{1, 1}, Ref{1, 2}); len(got) != 0 {
		t.Errorf("half of it is locked by another, yet %v is free", got)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Ref{{1, 1}, {1, 2}}, free(t, claim, Ref{1, 1}, Ref{1, 2})); diff != "" {
		t.Errorf("after it moved (-want +got)\n%s", diff)
	}
}

// one-budget: of many at once, no two ever hold one person, nobody waits, and
// there are no deadlocks.
func TestLockAll_HoldsEachPersonOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	var all []Ref
	for i := range int64(12) {
		put(t, pool, 1, i, "c"+string(rune('a'+i/3))) // four persons of three customers
		all = append(all, Ref{1, i})
	}
	var mu sync.Mutex
	held := map[string]int{}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := range 15 {
				asked := slices.Concat(all[(worker*5+round)%12:], all[:(worker*5+round)%12])
				if round%2 == 1 {
					slices.Reverse(asked)
				}
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					if _, err := tx.Exec(t.Context(), `set local lock_timeout = '1ms'`); err != nil {
						return err
					}
					persons, err := new(Links).LockAll(t.Context(), tx, asked[:5])
					mine := map[string]bool{}
					for _, p := range persons {
						mine[p.ContactID] = true
					}
					mu.Lock()
					for contact := range mine {
						if held[contact]++; held[contact] > 1 {
							t.Errorf("%s is held twice", contact)
						}
					}
					mu.Unlock()
					_, sleepErr := tx.Exec(t.Context(), `select pg_sleep(0.001)`)
					mu.Lock()
					for contact := range mine {
						held[contact]--
					}
					mu.Unlock()
					if err != nil {
						return err
					}
					return sleepErr
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Who resolves waits for who decides, in one order, and both get through.
func TestStore_DoesNotDeadlockWithLocks(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	var links []Link
	var all []Ref
	for i := range int64(6) {
		put(t, pool, 1, i, "c1")
		links = append(links, Link{Account: 1, Customer: i, State: Linked, ContactID: "c1", Role: "user", CheckedAt: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)})
		all = append(all, Ref{1, i})
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			mine := slices.Clone(links)
			for range 15 {
				slices.Reverse(mine)
				if err := store(t.Context(), pool, mine...); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 15 {
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					_, err := new(Links).LockAll(t.Context(), tx, all)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
