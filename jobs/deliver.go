package jobs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
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
	// together is how many deliveries a job is for: decided, claimed and called for at
	// the same time. As many of each job may become unknown when the process is killed.
	together = 50

	// promptly is how soon pacing lets calls leave that need not wait. Machine time.
	promptly = 50 * time.Millisecond

	// startWithin is how soon after its claim a call must begin, and be sent within
	// five seconds, because a permit that has run out may take two to be had again;
	// later, the claim is given back. Machine time.
	startWithin = 3 * time.Second

	// recordWithin is how long after a claim its outcome is tried to be recorded:
	// less than the claim's lease. Machine time.
	recordWithin = 110 * time.Second

	// retryAfter is how long a delivery rests after a call that surely did nothing.
	retryAfter = 30 * time.Second

	// undecidedAfter is how long a delivery rests that could not be decided.
	undecidedAfter = 5 * time.Minute

	// busyAfter is how soon deliveries are looked at again that somebody else was at.
	busyAfter = time.Second

	// askWithin bounds the questions about the contacts of a job. Machine time.
	askWithin = 40 * time.Second

	// stripeWithin bounds the question to Stripe what else has happened: with the
	// one about the contacts less than a job may last, so that what waits is named.
	// The job that catches up for its own sake has more time. Machine time.
	stripeWithin = 20 * time.Second

	// linkFresh is how old what is stored of a contact may be before Intercom is
	// asked again; less than what a decision puts up with.
	linkFresh = 10 * time.Minute
)

type deliverWorker struct {
	river.WorkerDefaults[DeliverArgs]
	Config
	poker *Poker
}

// Work decides its deliveries and makes at most one call for each that reaches
// somebody. A claim is committed before its call leaves, so a crash in between
// leaves a claimed delivery whose lease runs out; the sweep turns it into
// unknown, and nobody calls again before Intercom was searched (one-contact).
//
// What pacing lets leave at once is claimed when it is decided. What has to wait
// for pacing is decided again by its claim. What somebody else is at gets a job of
// its own: of this one's others some may have to rest.
func (w *deliverWorker) Work(ctx context.Context, job *river.Job[DeliverArgs]) error {
	urgently := job.Priority == urgent
	permits, err := w.permitsNow(ctx, len(job.Args.Keys), urgently)
	if err != nil {
		return err
	}
	var rest remaining
	var calls underway
	err = rest.after(w.deliver(ctx, job.Args.Keys, permits, w.Intercom == nil, &calls))
	if err == nil || ofOne(err) {
		again, failed := w.helped(ctx, rest.stale, rest.old)
		err = errors.Join(err, failed, rest.after(w.deliver(ctx, again, 0, true, &calls)))
	}
	err = errors.Join(err, calls.ended())
	for len(rest.ready) > 0 && (err == nil || ofOne(err)) {
		permits, refused := w.permits(ctx, len(rest.ready), urgently)
		if refused != nil {
			err = errors.Join(err, refused)
			break
		}
		some := rest.ready[:permits]
		rest.ready = rest.ready[permits:]
		err = errors.Join(err, rest.after(w.deliver(ctx, some, permits, true, &calls)), calls.ended())
	}
	if len(rest.busy) > 0 {
		err = errors.Join(err, w.poker.again(ctx, rest.busy, job.Priority, busyAfter))
	}
	return err
}

// underway are calls that are made side by side.
type underway struct {
	sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// ended waits for them, and returns what failed since it was asked last.
func (u *underway) ended() error {
	u.Wait()
	errs := u.errs
	u.errs = nil
	return errors.Join(errs...)
}

// remaining are the deliveries of a job that are not settled yet.
type remaining struct{ ready, stale, old, busy []campaigns.Key }

// after adds what a batch left, also beside an error, which it returns.
func (r *remaining) after(b campaigns.Batch, err error) error {
	r.ready, r.busy = append(r.ready, b.Ready...), append(r.busy, b.Busy...)
	r.stale, r.old = append(r.stale, b.Stale...), append(r.old, b.Old...)
	return err
}

// helped asks Intercom about the contacts, and Stripe what else has happened, on
// which decisions hang, and returns what can be decided now.
func (w *deliverWorker) helped(ctx context.Context, stale, old []campaigns.Key) (again []campaigns.Key, err error) {
	again, err = w.ask(ctx, stale)
	w.catchUp(ctx, old)
	return append(again, old...), err
}

// undecided lets a delivery rest that cannot be decided: whoever asks why is told
// that, and the log has the error.
func (w *deliverWorker) undecided(ctx context.Context, one []campaigns.Key, err error) error {
	w.Logger.Error("delivery not decided", slog.Any("delivery", one[0]), slog.Any("error", err))
	return w.Campaigns.Postpone(ctx, one, campaigns.Undecided, "", undecidedAfter)
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
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(several.Unwrap(), func(e error) bool { return !ofOne(e) })
	}
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		switch refusal.Code[:2] {
		case "08", "40", "53", "57", "58", "XX": // connection, races, resources, operator, system, internal
			return false
		}
		return true
	}
	var connect *pgconn.ConnectError
	var network *net.OpError
	lost := errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
	late := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
	return err != nil && !lost && !late
}

// catchUp asks Stripe what has happened in the accounts of deliveries that wait
// for news. When that fails, or takes long, they go on waiting, named.
func (w *deliverWorker) catchUp(ctx context.Context, keys []campaigns.Key) {
	asked := map[int]bool{}
	for _, k := range keys {
		asked[k.Account] = true
	}
	asking, cancel := context.WithTimeout(ctx, orDefault(w.StripeWithin, stripeWithin))
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range w.Stripe {
		if !asked[s.Account()] {
			continue
		}
		wg.Go(func() {
			if _, err := s.CatchUp(asking); err != nil {
				w.Logger.Warn("deliveries wait for news from Stripe", "account", s.Name(), "error", err)
			}
		})
	}
	wg.Wait()
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
	return known, w.Campaigns.Postpone(context.WithoutCancel(ctx), unread, campaigns.IntercomAway, why, retryAfter)
}

// permits waits for pacing and returns how many calls may leave, up to n.
func (w *deliverWorker) permits(ctx context.Context, n int, urgently bool) (int, error) {
	n = min(n, w.callsOfJob())
	if w.Intercom == nil {
		return n, nil
	}
	return w.Intercom.Take(ctx, n, urgently)
}

// permitsNow is how many calls may leave without waiting.
func (w *deliverWorker) permitsNow(ctx context.Context, n int, urgently bool) (int, error) {
	now, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	permits, err := w.permits(now, n, urgently)
	if err != nil && now.Err() != nil && ctx.Err() == nil {
		return 0, nil
	}
	return permits, err
}

// deliver claims up to so many deliveries and begins their calls, each of which
// records what became of it. One whose claim fails does not hold the others up; of
// the batch that is returned beside an error each part holds.
func (w *deliverWorker) deliver(ctx context.Context, keys []campaigns.Key, permits int, final bool, calls *underway) (out campaigns.Batch, err error) {
	// One transaction: lock the persons, decide afresh, claim with a lease and a
	// token. What must wait, stop or be skipped is recorded there, too.
	w.Failpoint("before_claim")
	err = orEach(keys, func(some []campaigns.Key) error {
		b, err := w.Campaigns.Claim(ctx, some, w.Now(), permits-len(out.Claims), final)
		if len(some) == 1 && ofOne(err) {
			return w.undecided(ctx, some, err)
		}
		//lint:ignore clocks machine time: how long this process took
		claimed := time.Now()
		for _, c := range b.Claims {
			calls.Go(func() {
				if err := w.callAndRecord(ctx, c, claimed); err != nil {
					calls.mu.Lock()
					defer calls.mu.Unlock()
					calls.errs = append(calls.errs, err)
				}
			})
		}
		out.Claims, out.Ready = append(out.Claims, b.Claims...), append(out.Ready, b.Ready...)
		out.Stale, out.Old, out.Busy = append(out.Stale, b.Stale...), append(out.Old, b.Old...), append(out.Busy, b.Busy...)
		return err
	})
	if w.Intercom != nil {
		if unused := permits - ofIntercom(out.Claims); unused > 0 {
			w.Intercom.GiveBack(unused)
		}
	}
	return out, err
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
	if w.Intercom != nil && claim.Action != campaigns.Webhook {
		defer w.giveBackUnspent(ctx)
	}
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

// giveBackUnspent gives back the permit of a claim for which nobody was called.
func (w *deliverWorker) giveBackUnspent(ctx context.Context) {
	if !intercom.Spent(ctx) {
		w.Intercom.GiveBack(1)
	}
}
