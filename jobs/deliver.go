package jobs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/workspace"
)

// DeliverArgs pokes some deliveries that are due. It carries their identities and
// no facts: by the time it runs a customer may have paid, and Claim reads
// everything again.
type DeliverArgs struct {
	Keys []campaigns.Key `json:"keys"`
}

// Kind is the job's name in River.
func (DeliverArgs) Kind() string { return "deliver" }

// InsertOpts says where it is queued.
func (DeliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueDeliver, MaxAttempts: 3}
}

// Failpoints around a delivery, in the order in which they are passed.
var Failpoints = []string{"before_claim", "after_claim", "before_call", "after_call", "before_record", "after_record"}

const (
	// poked is how many deliveries a job is for.
	poked = 50

	// together is how many deliveries a worker claims and calls for at the same time,
	// at most: as many become unknown when the process is killed.
	together = 25

	// startWithin is how soon after its claim a call must begin, and be sent within
	// five seconds, because a permit that has run out may take two to be had again;
	// later, the claim is given back. Machine time.
	startWithin = 3 * time.Second

	// recordWithin is how long after a claim its outcome is tried to be recorded:
	// less than the claim's lease. Machine time.
	recordWithin = 110 * time.Second

	// retryAfter is how long a delivery rests after a call that surely did nothing.
	retryAfter = 30 * time.Second

	// busyAfter is how soon deliveries are looked at again that somebody else was at.
	busyAfter = time.Second

	// askWithin bounds the questions about the contacts of a job. Machine time.
	askWithin = 40 * time.Second

	// linkFresh is how old what is stored of a contact may be before Intercom is
	// asked again; less than what a decision puts up with.
	linkFresh = 10 * time.Minute
)

type deliverWorker struct {
	river.WorkerDefaults[DeliverArgs]
	Config
}

// Work decides its deliveries and makes at most one call for each that reaches
// somebody. A claim is committed before its call leaves, so a crash in between
// leaves a claimed delivery whose lease runs out; the sweep turns it into
// unknown, and nobody calls again before Intercom was searched (one-contact).
func (w *deliverWorker) Work(ctx context.Context, job *river.Job[DeliverArgs]) error {
	ready, busy, err := w.settle(ctx, job.Args.Keys)
	for len(ready) > 0 && (err == nil || ofOne(err)) {
		some, refused := w.permitted(ctx, ready, job.Priority == urgent)
		if refused != nil {
			return errors.Join(err, refused)
		}
		ready = ready[len(some):]
		others, failed := w.deliver(ctx, some)
		busy, err = append(busy, others...), errors.Join(err, failed)
	}
	if err == nil && len(busy) > 0 {
		return river.JobSnooze(busyAfter) // what is settled by then is not due any more
	}
	return err
}

// settle decides what can be decided without a call that reaches somebody, and
// returns what is to be claimed, also beside an error. Where the verdict hangs on
// contacts of whom nothing fresh is known Intercom is asked about them first, and
// where the data is old Stripe what else has happened.
func (w *deliverWorker) settle(ctx context.Context, keys []campaigns.Key) (ready, busy []campaigns.Key, err error) {
	first, err := w.decide(ctx, keys, w.Intercom == nil)
	again, failed := w.ask(ctx, first.Stale)
	w.catchUp(ctx, first.Old)
	again = append(again, first.Old...)
	second, undecided := w.decide(ctx, again, true)
	return append(first.Ready, second.Ready...), append(first.Busy, second.Busy...), errors.Join(err, failed, undecided)
}

// decide is [campaigns.Store.Settle]; of what it returns beside an error each part
// holds.
func (w *deliverWorker) decide(ctx context.Context, keys []campaigns.Key, final bool) (out campaigns.Settled, err error) {
	err = orEach(keys, func(some []campaigns.Key) error {
		s, err := w.Campaigns.Settle(ctx, some, w.Now(), final)
		out.Ready, out.Stale = append(out.Ready, s.Ready...), append(out.Stale, s.Stale...)
		out.Old, out.Busy = append(out.Old, s.Old...), append(out.Busy, s.Busy...)
		return err
	})
	return out, err
}

// orEach does something to all deliveries at once. Where that fails, for the sake
// of one of them perhaps, it does it to each alone, so that one at fault does not
// hold the others up.
func orEach(keys []campaigns.Key, do func([]campaigns.Key) error) error {
	if len(keys) == 0 {
		return nil
	}
	err := do(keys)
	if len(keys) == 1 || !ofOne(err) {
		return err
	}
	var errs []error
	for _, k := range keys {
		err := do([]campaigns.Key{k})
		if errs = append(errs, err); err != nil && !ofOne(err) {
			break
		}
	}
	return errors.Join(errs...)
}

// ofOne reports whether an error may be about one delivery of several: Postgres
// was reached, lacks nothing, and nobody was in the way.
func ofOne(err error) bool {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		switch refusal.Code[:2] {
		case "08", "40", "53", "57", "58", "XX": // connection, races, resources, operator, system, internal
			return false
		}
		return true
	}
	var connect *pgconn.ConnectError
	lost := errors.As(err, &connect) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
	late := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
	return err != nil && !lost && !late
}

// catchUp asks Stripe what has happened in the accounts of deliveries that wait
// for news. When that fails they go on waiting, named.
func (w *deliverWorker) catchUp(ctx context.Context, keys []campaigns.Key) {
	asked := map[int]bool{}
	for _, k := range keys {
		asked[k.Account] = true
	}
	for _, s := range w.Stripe {
		if !asked[s.Account()] {
			continue
		}
		if _, err := s.CatchUp(ctx); err != nil {
			w.Logger.Warn("deliveries wait for news from Stripe", "account", s.Name(), "error", err)
		}
	}
}

// ask asks Intercom about the contacts of deliveries. It returns those of whose
// contacts something is known now; the others wait, named.
func (w *deliverWorker) ask(ctx context.Context, keys []campaigns.Key) (known []campaigns.Key, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	settings, err := workspace.Load(ctx, w.Pool)
	if err != nil {
		return nil, err
	}
	var refs []customers.Ref
	for _, k := range keys {
		refs = append(refs, k.Ref())
	}
	pictures, err := customers.LoadAll(ctx, w.Pool, refs)
	if err != nil {
		return nil, err
	}
	var list []intercom.Customer
	for _, p := range pictures {
		list = append(list, LinkCustomer(p, settings))
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	found, err := w.Links.ResolveAll(asking, w.Pool, list, Linking(settings, w.Campaigns.DryRun), linkFresh)
	var e *intercom.Error
	if err != nil && !errors.As(err, &e) && asking.Err() == nil {
		return nil, err
	}
	var unread []campaigns.Key
	for _, k := range keys {
		if _, ok := found[intercom.Ref(k.Ref())]; ok {
			known = append(known, k)
		} else {
			unread = append(unread, k)
		}
	}
	if len(unread) == 0 {
		return known, nil
	}
	w.Logger.Warn("contacts not read", slog.Int("deliveries", len(unread)), slog.Any("error", err))
	why := "Intercom did not say who the contact is"
	if err != nil {
		why = err.Error()
	}
	return known, w.Campaigns.Postpone(context.WithoutCancel(ctx), unread, why, retryAfter)
}

// permitted waits for pacing and returns as many of the deliveries as may be
// called for.
func (w *deliverWorker) permitted(ctx context.Context, ready []campaigns.Key, urgently bool) ([]campaigns.Key, error) {
	some := ready[:min(len(ready), w.together())]
	if w.Intercom == nil {
		return some, nil
	}
	n, err := w.Intercom.Take(ctx, len(some), urgently)
	return some[:n], err
}

// deliver claims deliveries, makes their calls side by side and records what
// became of each. One whose claim fails does not hold the others up.
func (w *deliverWorker) deliver(ctx context.Context, keys []campaigns.Key) (busy []campaigns.Key, err error) {
	// One transaction: lock the persons, decide afresh, claim with a lease and a
	// token. What must wait, stop or be skipped is recorded there, too.
	w.Failpoint("before_claim")
	var claimed time.Time // the first of them
	var claims []campaigns.Claim
	err = orEach(keys, func(some []campaigns.Key) error {
		c, others, err := w.Campaigns.Claim(ctx, some, w.Now())
		if claimed.IsZero() && err == nil {
			//lint:ignore clocks machine time: how long this process took
			claimed = time.Now()
		}
		claims, busy = append(claims, c...), append(busy, others...)
		return err
	})
	if w.Intercom != nil {
		if unused := len(keys) - ofIntercom(claims); unused > 0 {
			w.Intercom.GiveBack(unused)
		}
	}
	var calls sync.WaitGroup
	errs := make([]error, len(claims))
	for i, c := range claims {
		calls.Go(func() { errs[i] = w.callAndRecord(ctx, c, claimed) })
	}
	calls.Wait()
	return busy, errors.Join(append(errs, err)...)
}

// ofIntercom is how many claims call Intercom.
func ofIntercom(claims []campaigns.Claim) (n int) {
	for _, c := range claims {
		if c.Action != campaigns.Webhook {
			n++
		}
	}
	return n
}

// record writes what became of a claim, and tries again while its lease lasts: what
// is known must not become unknown because Postgres was away for a moment. The
// claim's token makes that harmless.
func (w *deliverWorker) record(ctx context.Context, c campaigns.Claim, o campaigns.Outcome, claimed time.Time) (written bool, err error) {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		written, err = w.Campaigns.Record(ctx, c, o, w.Now())
		if err == nil || time.Since(claimed)+wait > recordWithin {
			return written, err
		}
		w.Logger.Warn("outcome not recorded yet", slog.Any("delivery", c.Key), slog.Any("error", err))
		if err := pause(ctx, wait); err != nil {
			return false, err
		}
	}
}

// callAndRecord makes the call of a claim. From here on the process must try to
// learn and record the outcome, even while it is being stopped.
func (w *deliverWorker) callAndRecord(ctx context.Context, claim campaigns.Claim, claimed time.Time) error {
	w.Failpoint("after_claim")
	ctx = intercom.WithPermit(context.WithoutCancel(ctx))
	outcome := campaigns.Outcome{Result: campaigns.NotDone, Detail: "the call did not start in time", Retry: retryAfter}
	if time.Since(claimed) < startWithin {
		w.Failpoint("before_call")
		outcome = w.call(ctx, claim)
		w.Failpoint("after_call")
	}

	w.Failpoint("before_record")
	written, err := w.record(ctx, claim, outcome, claimed)
	w.Failpoint("after_record")
	if err == nil && !written {
		w.Logger.Warn("outcome came after another was recorded", slog.Any("delivery", claim.Key), slog.String("result", string(outcome.Result)))
	}
	return err
}
