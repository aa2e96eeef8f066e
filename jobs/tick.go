package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// quiet is how old, in business time, the last tick is at least when nothing but
// the clock asks for another.
const quiet = time.Second

// Work ticks, unless another tick has seen everything there is to see. Changes
// that come one by one share a tick: it waits until the one before is TickGap
// ago, and of the pokes that came meanwhile only the newest waits with it.
func (w *tickWorker) Work(ctx context.Context, job *river.Job[TickArgs]) error {
	last, err := segments.LastTick(ctx, w.Pool)
	if err != nil {
		return err
	}
	work, err := segments.LookForWork(ctx, w.Pool)
	if err != nil {
		return err
	}
	switch {
	case work.Lists:
	case !work.News && w.Now().Sub(last) < quiet:
		return nil
	case work.News && work.Since < w.TickGap:
		if newer, err := w.newer(ctx, job.ID); err != nil || newer {
			return err // which sees what this one would have seen
		}
		if err := pause(ctx, w.TickGap-work.Since); err != nil {
			return err
		}
	}
	tick, err := w.Ticker.Tick(ctx)
	if err != nil {
		return err
	}
	w.Logger.Debug("ticked", slog.Int64("tick", tick.ID), slog.Time("at", tick.At),
		slog.Int64("joined", tick.Joined), slog.Int64("left", tick.Left))
	return nil
}

// newer reports whether another poke waits behind this one.
func (w *tickWorker) newer(ctx context.Context, id int64) (yes bool, err error) {
	err = w.Pool.QueryRow(ctx, `
		select exists (select from `+Schema+`.river_job where kind = $1 and state = 'available' and id > $2)`, TickArgs{}.Kind(), id).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for newer ticks: %w", err)
	}
	return yes, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serializationFailure is Postgres' code for a row that changed since the snapshot.
const serializationFailure = "40001"

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
		// Within the tick, whose snapshot is older than what others have poked for
		// since, that can fail; the tick stands all the same.
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := poker.Due(ctx, tx, t.At)
			return err
		})
		var refusal *pgconn.PgError
		if errors.As(err, &refusal) && refusal.Code == serializationFailure {
			return poker.Sweep(ctx, tx)
		}
		return err
	}
}
