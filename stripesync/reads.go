package stripesync

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin/dunlin/customers"
)

// Stripe allows an account 500 GETs for each transaction of the last thirty days
// on average, and at least 10,000 a month (facts/stripe.md 2.7).
const (
	leastAllowed   = 10_000
	readsPerCharge = 500
	saveFrom       = 80               // percent of what is allowed: from here on we save reads
	lookAgain      = 10 * time.Minute // at how much is allowed, which takes counting charges
)

// reads counts GETs in Postgres, where all processes of an account add theirs.
type reads struct {
	mu       sync.Mutex
	recorded int64 // of the process's count
	looked   time.Time
	saving   atomic.Bool
}

// ReadUse is how much of an account's read allocation is used.
type ReadUse struct {
	Month   time.Time // the first of it, in UTC
	Reads   int64     // GETs of this month
	Allowed int64     // by Stripe, of a month
}

// Saving says that objects are no longer read where an event's payload will do.
func (u ReadUse) Saving() bool { return u.Reads*100 >= u.Allowed*saveFrom }

// recordReads adds what was read since it was called last. A count that is lost
// costs nothing but exactness, so failing is a line in the log.
func (s *Sync) recordReads(ctx context.Context) {
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	count := s.counts.requests.Load()
	n := count - s.reads.recorded
	if n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		insert into dunlin.stripe_reads as r (account_id, month, reads) values ($1, date_trunc('month', $2::timestamptz at time zone 'UTC'), $3)
		on conflict (account_id, month) do update set reads = r.reads + excluded.reads`, s.account, s.now(), n)
	if err != nil {
		s.logger.Warn("reads not counted", "account", s.name, "reads", n, "error", err)
		return
	}
	s.reads.recorded = count
	now := s.now()
	if now.Sub(s.reads.looked) < lookAgain {
		return
	}
	s.reads.looked = now
	use, err := s.Reads(ctx)
	if err != nil {
		s.logger.Warn("reads not compared with what Stripe allows", "account", s.name, "error", err)
		return
	}
	if was := s.reads.saving.Swap(use.Saving()); !was && use.Saving() {
		s.logger.Warn("most of Stripe's read allocation is used: events' payloads are trusted more", "account", s.name, "reads", use.Reads, "allowed", use.Allowed)
	}
}

// recordSome records reads when there are many to be recorded, so that a sync of
// hours that is killed has counted nearly all of its own.
func (s *Sync) recordSome(ctx context.Context) {
	const many = 100
	s.reads.mu.Lock()
	n := s.counts.requests.Load() - s.reads.recorded
	s.reads.mu.Unlock()
	if n >= many {
		s.recordReads(ctx)
	}
}

// Reads is this month's use of the account's read allocation.
func (s *Sync) Reads(ctx context.Context) (ReadUse, error) {
	now := s.now()
	charges, err := customers.ChargesSince(ctx, s.pool, s.account, now.AddDate(0, 0, -30))
	if err != nil {
		return ReadUse{}, err
	}
	u := ReadUse{Allowed: max(leastAllowed, charges*readsPerCharge)}
	err = s.pool.QueryRow(ctx, `
		select m.month, coalesce((select reads from dunlin.stripe_reads r where r.account_id = $1 and r.month = m.month), 0)
		from (select date_trunc('month', $2::timestamptz at time zone 'UTC')::date as month) m`, s.account, now).Scan(&u.Month, &u.Reads)
	if err != nil {
		return ReadUse{}, fmt.Errorf("read the use of the read allocation: %w", err)
	}
	return u, nil
}
