package customers

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/jackc/pgx/v5"
)

// lockSpace keeps customers' locks apart from other advisory locks of two
// numbers: "dunC".
const lockSpace = 0x64756e43

// Lock makes this transaction the only one to write these customers' mirror
// rows and pictures, until it ends. Locks are taken in one order, so that two
// transactions cannot wait for each other, provided each asks for all its
// customers at once, before it writes. Asking again for some of them is free.
//
// The transaction must be read committed, Postgres' default: what the previous
// holder wrote is seen by the statements that follow. Two customers can share a
// lock, which costs a wait and nothing else.
func Lock(ctx context.Context, tx pgx.Tx, account int, stripeIDs []string) error {
	keys := make([]int32, len(stripeIDs))
	for i, id := range stripeIDs {
		h := fnv.New32a()
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], uint64(account))
		h.Write(number[:])
		h.Write([]byte(id))
		keys[i] = int32(h.Sum32())
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `
		select pg_advisory_xact_lock($1, key)
		from unnest($2::int[]) with ordinality as k (key, position)
		order by position`, int32(lockSpace), keys); err != nil {
		return fmt.Errorf("lock %d customers: %w", len(stripeIDs), err)
	}
	return nil
}
