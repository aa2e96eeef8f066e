package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/workspace"
)

// CompareArgs pokes for the nightly comparison of one account's mirror with
// Stripe.
type CompareArgs struct {
	Account string `json:"account"`
}

// Kind is the job's name in River.
func (CompareArgs) Kind() string { return "compare" }

// InsertOpts says where it is queued. It is not retried: the next one comes soon.
func (CompareArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueFeed, MaxAttempts: 1}
}

// compareHour is when the night's comparison is due, by the workspace's clock.
const compareHour = 3

type compareWorker struct {
	river.WorkerDefaults[CompareArgs]
	Config
}

// Timeout is that of a few hundred reads, no faster than Stripe allows.
func (w *compareWorker) Timeout(*river.Job[CompareArgs]) time.Duration { return 30 * time.Minute }

// Work compares once a night. The first one is due in the night after the first
// sync.
func (w *compareWorker) Work(ctx context.Context, job *river.Job[CompareArgs]) error {
	s := account(w.Stripe, job.Args.Account)
	if s == nil {
		return river.JobCancel(fmt.Errorf("no Stripe account %q is set up here", job.Args.Account))
	}
	settings, err := workspace.Load(ctx, w.Pool)
	if err != nil {
		return err
	}
	feed, err := s.Feed(ctx)
	if err != nil {
		return err
	}
	last := feed.Compared
	if last.IsZero() {
		last = feed.Synced
	}
	if last.IsZero() || !last.Before(lastNight(w.Now(), settings.Zone)) {
		return nil
	}
	found, err := s.Compare(ctx)
	for _, c := range found {
		w.Logger.Info("compared with Stripe", slog.String("account", s.Name()), slog.String("class", c.Class), slog.Int("compared", c.Compared), slog.Int("differed", c.Differed))
	}
	return err
}

// lastNight is the latest compareHour that has passed.
func lastNight(now time.Time, zone *time.Location) time.Time {
	now = now.In(zone)
	night := time.Date(now.Year(), now.Month(), now.Day(), compareHour, 0, 0, 0, zone)
	if night.After(now) {
		night = time.Date(now.Year(), now.Month(), now.Day()-1, compareHour, 0, 0, 0, zone)
	}
	return night
}
