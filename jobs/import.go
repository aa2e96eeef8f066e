package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/workspace"
)

// ImportArgs pokes for a look at what contacts do not carry yet of their
// customers' attributes and events.
type ImportArgs struct{}

// Kind is the job's name in River.
func (ImportArgs) Kind() string { return "import" }

// InsertOpts says where it is queued. It is not retried: the next one comes soon.
func (ImportArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueImport, MaxAttempts: 1}
}

const (
	importPage   = 200             // customers, or events, that are looked at together
	importCalls  = 2000            // of one job, about: a fifth of Intercom's limit while jobs come each minute
	importAtOnce = 8               // calls
	importPause  = 5 * time.Minute // between the beginnings of two rounds, at least; machine time
	importAsk    = 24 * time.Hour  // how old a link may be; business time
	importLate   = 7 * 24 * time.Hour
	maxImportNo  = 10 // refusals in one job: more, and the fault is ours
)

type importWorker struct {
	river.WorkerDefaults[ImportArgs]
	Config
}

// Timeout is well above what so many calls take.
func (w *importWorker) Timeout(*river.Job[ImportArgs]) time.Duration { return 10 * time.Minute }

// Work goes on with the round through all customers, and then through the events
// of the last seven days, and does what is left to do for each. A round that is
// broken off goes on where it was; what it does twice is done once, since
// attributes are written whole and Intercom knows an event by its second.
func (w *importWorker) Work(ctx context.Context, _ *river.Job[ImportArgs]) error {
	settings, err := workspace.Load(ctx, w.Pool)
	if err != nil {
		return err
	}
	if !settings.Import {
		return intercom.EndImport(ctx, w.Pool)
	}
	stopped, err := workspace.Stopped(ctx, w.Pool)
	if err != nil || stopped || w.Intercom == nil || w.Campaigns.DryRun {
		return err
	}
	round, ok, err := intercom.TakeImport(ctx, w.Pool, w.Now())
	if err != nil || !ok {
		return err
	}
	run := &importRun{importWorker: w, settings: settings, round: round, now: w.Now()}
	if err = run.work(ctx); errors.Is(err, errStopped) {
		err = nil // the next job goes on where this one was, after dunlin resume
	}
	if run.done && err == nil {
		return intercom.FinishImport(ctx, w.Pool, importPause)
	}
	return errors.Join(err, intercom.LeaveImport(context.WithoutCancel(ctx), w.Pool, run.round))
}

// An importRun is one job's part of a round.
type importRun struct {
	*importWorker
	settings workspace.Settings
	round    intercom.ImportRound
	now      time.Time // business time
	writable []string  // attributes
	done     bool      // the round is

	mu    sync.Mutex
	calls int
	noes  int
}

// work does page after page. A page that fails is done again.
func (r *importRun) work(ctx context.Context) error {
	var trouble []string
	var err error
	if r.writable, trouble, err = intercom.ReadyImport(ctx, r.Intercom); err != nil {
		return err
	}
	for _, t := range trouble {
		r.Logger.Warn("attribute not imported", slog.String("reason", t))
	}
	for r.calls < importCalls {
		page := r.customers
		if r.round.AtEvents {
			page = r.events
		}
		if err := page(ctx); err != nil || r.done {
			return err
		}
		if err := intercom.SaveImport(ctx, r.Pool, r.round); err != nil {
			return err
		}
	}
	return nil
}

// mayWrite reports whether a contact is one that receives anything at all.
func (r *importRun) mayWrite(contact, email string) bool {
	only := r.settings.TestContacts
	return len(only) == 0 || slices.Contains(only, strings.ToLower(contact)) || slices.Contains(only, strings.ToLower(email))
}

// errStopped breaks a round off: dunlin stop is at once.
var errStopped = errors.New("dunlin is stopped")

// each does something for each of n, a few at once, until one fails, or until
// nothing is to leave any more: then the calls under way are finished.
func (r *importRun) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var halted atomic.Bool
	var wg sync.WaitGroup
	for range min(n, importAtOnce) {
		wg.Go(func() {
			for i := range next {
				stopped, err := workspace.Stopped(ctx, r.Pool)
				if stopped {
					halted.Store(true)
					continue
				}
				if err == nil {
					err = do(ctx, i)
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil || halted.Load() {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	if err := context.Cause(ctx); err != nil || !halted.Load() {
		return err
	}
	return errStopped
}

// called counts a call and judges how it went. An answer that concerns this
// contact only is refused; anything else breaks the job off.
func (r *importRun) called(err error, attrs ...any) (refused bool, fatal error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	var e *intercom.Error
	if err == nil {
		return false, nil
	}
	if !errors.As(err, &e) || !intercom.Refused(err) || e.Status == 401 || e.Status == 403 || e.Status == 429 {
		return false, err
	}
	if r.noes++; r.noes > maxImportNo {
		return false, err
	}
	r.Logger.Warn("not imported", append(attrs, slog.Any("error", err))...)
	return true, nil
}
