package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/stripesync"
)

// SyncArgs pokes for the backfill of one account.
type SyncArgs struct {
	Account string `json:"account"`
}

// Kind is the job's name in River.
func (SyncArgs) Kind() string { return "sync" }

// InsertOpts says where it is queued. It is not retried: the sweep pokes again,
// and the backfill goes on where it stopped.
func (SyncArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueSync, MaxAttempts: 1}
}

type syncWorker struct {
	river.WorkerDefaults[SyncArgs]
	Config
}

// Timeout is none: a large account takes hours. One backfill runs at a time,
// whoever was poked, and it goes on where a killed one stopped.
func (w *syncWorker) Timeout(*river.Job[SyncArgs]) time.Duration { return -1 }

// Work runs the backfill unless the account has one behind it and no gap since.
func (w *syncWorker) Work(ctx context.Context, job *river.Job[SyncArgs]) error {
	s := account(w.Stripe, job.Args.Account)
	if s == nil {
		return river.JobCancel(fmt.Errorf("no Stripe account %q is set up here", job.Args.Account))
	}
	ready, err := s.Ready(ctx)
	if err != nil {
		return err
	}
	feed, err := s.Feed(ctx)
	if err != nil || ready && feed.Resync == "" {
		return err
	}
	var last time.Time // machine time
	err = s.Backfill(ctx, func(p stripesync.Progress) {
		if time.Since(last) > 10*time.Second {
			//lint:ignore clocks machine time: a line in the log now and then
			last = time.Now()
			w.Logger.Info("backfill", slog.String("account", s.Name()), slog.Any("progress", p))
		}
	})
	if errors.Is(err, stripesync.ErrRunning) {
		return nil
	}
	return err
}
