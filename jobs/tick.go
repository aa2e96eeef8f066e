package jobs

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/segments"
)

// TickArgs pokes for one tick.
type TickArgs struct{}

// Kind is the job's name in River.
func (TickArgs) Kind() string { return "tick" }

// InsertOpts says where it is queued. A tick that failed is not tried again: the
// next one does its work.
func (TickArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueTick, MaxAttempts: 1}
}

type tickWorker struct {
	river.WorkerDefaults[TickArgs]
	Config
}

// Work ticks, unless another tick has seen everything there is to see.
func (w *tickWorker) Work(ctx context.Context, _ *river.Job[TickArgs]) error {
	last, err := segments.LastTick(ctx, w.Pool)
	if err != nil {
		return err
	}
	unfinished, err := segments.Unfinished(ctx, w.Pool)
	if err != nil {
		return err
	}
	if !unfinished && !w.Now().After(last) {
		return nil
	}
	tick, err := w.Ticker.Tick(ctx)
	if err != nil {
		return err
	}
	w.Logger.Debug("ticked", slog.Int64("tick", tick.ID), slog.Time("at", tick.At),
		slog.Int64("joined", tick.Joined), slog.Int64("left", tick.Left))
	return nil
}

// AfterTick is what follows from a tick, in its transaction: enrollments, their
// ends, pokes for everything due at the tick's instant, and the next tick when
// this one has not finished a list.
func AfterTick(store *campaigns.Store, poker *Poker) func(context.Context, pgx.Tx, segments.Tick) error {
	return func(ctx context.Context, tx pgx.Tx, t segments.Tick) error {
		if _, err := store.Follow(ctx, tx, t); err != nil {
			return err
		}
		if t.More {
			if err := poker.Tick(ctx, tx); err != nil {
				return err
			}
		}
		_, err := poker.Due(ctx, tx, t.At)
		return err
	}
}
