package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
)

// ReconcileArgs pokes for a look at Intercom, for what may have been done there.
type ReconcileArgs struct{}

// Kind is the job's name in River.
func (ReconcileArgs) Kind() string { return "reconcile" }

// InsertOpts says where it is queued. It is not retried: the next sweep pokes again.
func (ReconcileArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueReconcile, MaxAttempts: 1}
}

// Reconcile pokes for a look at Intercom when one is due.
func (p *Poker) Reconcile(ctx context.Context, tx pgx.Tx) error {
	var due bool
	err := tx.QueryRow(ctx, `select exists (select from dunlin.deliveries where state = 'unknown' and look_at <= clock_timestamp())`).Scan(&due)
	if err != nil {
		return fmt.Errorf("look for unknown deliveries: %w", err)
	}
	if !due {
		return nil
	}
	return p.insert(ctx, tx, ReconcileArgs{})
}

const (
	looksAtOnce = 8                // beside each other
	looksWithin = 60 * time.Second // machine time, until the next job goes on
)

type reconcileWorker struct {
	river.WorkerDefaults[ReconcileArgs]
	Config
}

// Work looks for the deliveries whose outcome is unknown, as often as their
// schedule says, and records what it finds (one-contact). Looking does nothing at
// Intercom, so it may be done again, and each look waits its turn like other calls.
func (w *reconcileWorker) Work(ctx context.Context, _ *river.Job[ReconcileArgs]) error {
	if w.Intercom == nil || w.Campaigns.DryRun {
		return nil // what has left before is looked for by whoever may send
	}
	ctx, cancel := context.WithTimeout(ctx, looksWithin)
	defer cancel()
	for ctx.Err() == nil {
		doubts, err := w.Campaigns.TakeDoubts(ctx, looksAtOnce)
		if err != nil || len(doubts) == 0 {
			return err
		}
		failed := make([]error, len(doubts))
		var wg sync.WaitGroup
		for i, d := range doubts {
			wg.Go(func() { failed[i] = w.reconcile(ctx, d) })
		}
		wg.Wait()
		if err := errors.Join(failed...); err != nil {
			return err
		}
	}
	return nil
}

// reconcile makes one look and records it. A look that Intercom did not answer does
// not count; the error is of our own database.
func (w *reconcileWorker) reconcile(ctx context.Context, d campaigns.Doubt) error {
	id, err := w.look(ctx, d)
	ctx = context.WithoutCancel(ctx)
	var e *intercom.Error
	if errors.As(err, &e) {
		w.Logger.Warn("unknown delivery not looked for", slog.Any("delivery", d.Key), slog.Any("error", err))
		return w.Campaigns.PutOffLook(ctx, d, err.Error())
	}
	if err != nil {
		return err
	}
	settling, err := w.Campaigns.SettleDoubt(ctx, d, id, w.Now())
	if err == nil && settling != "" {
		w.Logger.Info("unknown delivery looked for", slog.Any("delivery", d.Key), slog.String("result", string(settling)))
	}
	return err
}

// look returns Intercom's id of what a claim may have made, empty when it is not
// there or left nothing to be found by.
func (w *reconcileWorker) look(ctx context.Context, d campaigns.Doubt) (string, error) {
	switch d.Trace {
	case campaigns.TraceMessage:
		return w.Intercom.FindMessage(ctx, d.ContactID, d.Reference, d.Since)
	case campaigns.TraceNote:
		id, err := w.Intercom.FindNote(ctx, d.ContactID, d.Reference, d.Since)
		if intercom.Gone(err) {
			return "", nil // with the contact, its notes
		}
		return id, err
	case campaigns.TraceTicket:
		objects, err := intercom.ReadObjects(ctx, w.Pool)
		if err != nil {
			return "", err
		}
		return w.Intercom.FindTicket(ctx, objects.Reference, d.Reference)
	}
	return "", nil
}
