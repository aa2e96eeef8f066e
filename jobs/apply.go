package jobs

import (
	"context"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/dunlin/dunlin/stripesync"
)

// ApplyArgs pokes for the stored events of one account.
type ApplyArgs struct {
	Account string `json:"account"`
}

// Kind is the job's name in River.
func (ApplyArgs) Kind() string { return "apply" }

// InsertOpts says where it is queued.
func (ApplyArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueApply, MaxAttempts: 3}
}

type applyWorker struct {
	river.WorkerDefaults[ApplyArgs]
	Config
	poker *Poker
}

// Work applies batches until none is left. Events that fail stay stored with a
// fault and a lease, and the sweep pokes for them again.
func (w *applyWorker) Work(ctx context.Context, job *river.Job[ApplyArgs]) error {
	s := account(w.Stripe, job.Args.Account)
	if s == nil {
		return river.JobCancel(fmt.Errorf("no Stripe account %q is set up here", job.Args.Account))
	}
	for {
		n, err := s.Apply(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}

func account(all []*stripesync.Sync, name string) *stripesync.Sync {
	for _, s := range all {
		if s.Name() == name {
			return s
		}
	}
	return nil
}
