package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/stripesync"
)

// CatchUpArgs pokes for a look at Stripe's list of events of one account.
type CatchUpArgs struct {
	Account string `json:"account"`
}

// Kind is the job's name in River.
func (CatchUpArgs) Kind() string { return "catch_up" }

// InsertOpts says where it is queued. It is not retried: the next one comes soon.
func (CatchUpArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueFeed, MaxAttempts: 1}
}

type catchUpWorker struct {
	river.WorkerDefaults[CatchUpArgs]
	Config
	poker *Poker
}

// Timeout is that of a catch-up after some weeks.
func (w *catchUpWorker) Timeout(*river.Job[CatchUpArgs]) time.Duration { return time.Hour }

// Work stores what no webhook brought (nothing-lost), as often as the account's
// read allocation allows. When events are lost for good it pokes for a sync.
func (w *catchUpWorker) Work(ctx context.Context, job *river.Job[CatchUpArgs]) error {
	s := account(w.Stripe, job.Args.Account)
	if s == nil {
		return river.JobCancel(fmt.Errorf("no Stripe account %q is set up here", job.Args.Account))
	}
	feed, err := s.Feed(ctx)
	if err != nil {
		return err
	}
	if feed.Resync == "" {
		if w.Now().Sub(feed.Until) < stripesync.CatchUpAtMost {
			return nil
		}
		use, err := s.Reads(ctx)
		if err != nil || w.Now().Sub(feed.Until) < use.CatchUpEvery() {
			return err
		}
		caught, err := s.CatchUp(ctx)
		if err != nil || !caught.Gap {
			return err
		}
	}
	return pgx.BeginFunc(ctx, w.Pool, func(tx pgx.Tx) error { return w.poker.Sync(ctx, tx, s.Name()) })
}
