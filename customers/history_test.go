package customers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// Of any sequence of mirrors, the picture of each instant is what was projected
// then: every type of value comes back, and what was missing is missing.
func TestLoadAt(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		id := fmt.Sprintf("cus_%d", n)
		var pictures []Picture
		var ref Ref
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			for i := range rapid.IntRange(1, 5).Draw(r, "changes") {
				m := drawMirror(r, id)
				storeMirror(t, tx, account, id, m)
				if _, err := Project(t.Context(), tx, account, []string{id}, projected.Add(time.Duration(i)*time.Hour)); err != nil {
					return err
				}
				pictures = append(pictures, load(t, tx, account, id))
			}
			ref = pictures[0].Ref
			for i, want := range pictures {
				for _, later := range []time.Duration{0, time.Hour - time.Microsecond} {
					at := projected.Add(time.Duration(i)*time.Hour + later)
					got, err := LoadAt(t.Context(), tx, ref, at)
					if err != nil {
						return err
					}
					if names := differences(want, got); len(names) > 0 || got.State != want.State || got.StripeID != want.StripeID {
						r.Fatalf("picture %d of %d as of %s: other values of %v", i, len(pictures), at, names)
					}
				}
			}
			_, err := LoadAt(t.Context(), tx, ref, projected.Add(-time.Second))
			if !errors.Is(err, ErrBefore) {
				r.Fatalf("before the first one\n got %v\nwant %v", err, ErrBefore)
			}
			return nil
		})
		if err != nil {
			r.Fatal(err)
		}
	})
	if _, err := LoadAt(t.Context(), pool, Ref{account, 1 << 40}, projected); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nobody\n got %v\nwant %v", err, ErrNotFound)
	}
}
