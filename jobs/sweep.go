package jobs

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// SweepArgs pokes for a look at everything that may have been lost on the way.
type SweepArgs struct{}

// Kind is the job's name in River.
func (SweepArgs) Kind() string { return "sweep" }

// InsertOpts says where it is queued.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueTick, MaxAttempts: 1}
}

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]
	Config
	poker *Poker
}

// Work settles claims whose worker died, and pokes for whatever the tables hold
// that no job is on its way for (nothing-lost): due deliveries, unknown ones to be
// looked for, stored events,
// accounts that were never synced to the end, or whose events have a gap.
func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepArgs]) error {
	now := w.Now()
	lapsed, err := w.Campaigns.Sweep(ctx, now)
	if err != nil {
		return err
	}
	if lapsed > 0 {
		w.Logger.Warn("claims lapsed: their outcome is unknown", slog.Int64("deliveries", lapsed))
	}
	if _, err := w.poker.AllDue(ctx, w.Pool, now); err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, w.Pool, func(tx pgx.Tx) error {
		if err := w.poker.Reconcile(ctx, tx); err != nil {
			return err
		}
		for _, s := range w.Stripe {
			if err := w.pokeAccount(ctx, tx, s.Account(), s.Name()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, dropped, err := w.Campaigns.KeepDecisions(ctx, now)
	if dropped > 0 {
		w.Logger.Info("the decision log is older than it is kept: dropped", slog.Int("months", dropped))
	}
	return err
}

func (w *sweepWorker) pokeAccount(ctx context.Context, tx pgx.Tx, id int, name string) error {
	var stored, unready bool
	err := tx.QueryRow(ctx, `
		select exists (select from dunlin.stripe_events where account_id = $1 and state = 'stored'
		               and (leased_until is null or leased_until < clock_timestamp())),
		       exists (select from dunlin.accounts where account_id = $1 and (ready_at is null or resync is not null))`, id).Scan(&stored, &unready)
	if err != nil {
		return fmt.Errorf("look for stored events: %w", err)
	}
	if stored {
		if err := w.poker.Apply(ctx, tx, name); err != nil {
			return err
		}
	}
	if unready {
		return w.poker.Sync(ctx, tx, name)
	}
	return nil
}
