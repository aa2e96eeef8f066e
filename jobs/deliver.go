package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/workspace"
)

// DeliverArgs pokes one delivery. It carries the identity and no facts: by the
// time it runs the customer may have paid, and Claim reads everything again.
type DeliverArgs struct {
	campaigns.Key
}

// Kind is the job's name in River.
func (DeliverArgs) Kind() string { return "deliver" }

// InsertOpts says where it is queued.
func (DeliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueDeliver, MaxAttempts: 3}
}

// Failpoints around a delivery, in the order in which they are passed.
var Failpoints = []string{"before_claim", "after_claim", "before_call", "after_call", "before_record", "after_record"}

// startWithin is how soon after its claim a call must begin; later, the claim
// is given back. Machine time.
const startWithin = 5 * time.Second

// retryAfter is how long a delivery rests after a call that surely did nothing.
const retryAfter = 30 * time.Second

// linkFresh is how old what is stored of a contact may be before Intercom is
// asked again; less than what a decision puts up with.
const linkFresh = 10 * time.Minute

type deliverWorker struct {
	river.WorkerDefaults[DeliverArgs]
	Config
}

// Work makes at most one call that reaches somebody. The claim is committed
// before the call leaves, so a crash in between leaves a claimed delivery whose
// lease runs out; the sweep turns it into unknown, and nobody calls again
// (one-contact).
func (w *deliverWorker) Work(ctx context.Context, job *river.Job[DeliverArgs]) error {
	key := job.Args.Key
	ready, err := w.ready(ctx, key)
	if err != nil || !ready {
		return err
	}

	// One transaction: lock the person, decide afresh, claim with a lease and a
	// token. A delivery that must wait, stop or be skipped is recorded there too.
	w.Failpoint("before_claim")
	claim, ok, err := w.Campaigns.Claim(ctx, key, w.Now())
	if err != nil || !ok {
		return err
	}
	//lint:ignore clocks machine time: how long this process took
	claimed := time.Now()
	w.Failpoint("after_claim")

	// From here on the process must try to learn and record the outcome, even
	// while it is being stopped.
	ctx = context.WithoutCancel(ctx)
	outcome := campaigns.Outcome{Result: campaigns.NotDone, Detail: "the call did not start in time", Retry: retryAfter}
	if time.Since(claimed) < startWithin {
		w.Failpoint("before_call")
		outcome = w.call(ctx, claim)
		w.Failpoint("after_call")
	}

	w.Failpoint("before_record")
	written, err := w.Campaigns.Record(ctx, claim, outcome, w.Now())
	w.Failpoint("after_record")
	if err == nil && !written {
		w.Logger.Warn("outcome came after another was recorded", slog.Any("delivery", key), slog.String("result", string(outcome.Result)))
	}
	return err
}

// ready asks Intercom about the contact when the decision hangs on it, and waits
// for pacing. Nothing is claimed yet, so all of it may take its time.
func (w *deliverWorker) ready(ctx context.Context, key campaigns.Key) (bool, error) {
	c, err := w.Campaigns.Consider(ctx, key, w.Now())
	if err != nil || c.Settled || w.Intercom == nil {
		return err == nil && !c.Settled, err
	}
	if c.AskFirst {
		settings, err := workspace.Load(ctx, w.Pool)
		if err != nil {
			return false, err
		}
		_, err = w.Links.Resolve(ctx, w.Pool, intercom.Customer{Account: key.Account, ID: key.Customer, Email: c.Email}, LinkSettings(settings), linkFresh)
		if err != nil {
			return false, w.postpone(ctx, key, err)
		}
	}
	if c.Verdict == campaigns.Send || c.AskFirst {
		if err := w.Intercom.Wait(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (w *deliverWorker) postpone(ctx context.Context, key campaigns.Key, err error) error {
	var e *intercom.Error
	if !errors.As(err, &e) {
		return err
	}
	w.Logger.Warn("contact not read", slog.Any("delivery", key), slog.Any("error", e))
	return w.Campaigns.Postpone(ctx, key, e.Error(), retryAfter)
}

// LinkSettings are the workspace's settings as far as links go.
func LinkSettings(s workspace.Settings) intercom.Settings {
	return intercom.Settings{OptOutTag: s.OptOutTag, OptOutAttribute: s.OptOutAttribute, TimezoneAttribute: s.TimezoneAttribute}
}
