package jobs

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/workspace"
)

// stopsAt stops Dunlin while the first call of a kind is under way.
func stopsAt(w **world, method, path string) func(*http.Request) sandbox.Fault {
	var once sync.Once
	return func(r *http.Request) sandbox.Fault {
		if r.Method == method && strings.Contains(r.URL.Path, path) {
			once.Do(func() {
				if err := workspace.Stop(context.WithoutCancel(r.Context()), (*w).Pool, noon); err != nil {
					(*w).t.Error(err)
				}
			})
		}
		return sandbox.Fault{}
	}
}

// goOn lifts the stop.
func (w *world) goOn() {
	w.t.Helper()
	w.tx(func(tx pgx.Tx) error {
		if _, err := workspace.Resume(w.t.Context(), tx, noon); err != nil {
			return err
		}
		return campaigns.Awaken(w.t.Context(), tx, campaigns.Stopped, noon)
	})
}

// TestStop_betweenClaims holds that dunlin stop ends a batch that is under way:
// what was claimed is finished, and nothing more is claimed. Afterwards everybody
// gets theirs once (nothing-lost, one-contact).
func TestStop_betweenClaims(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, aTag, stopsAt(&w, http.MethodPost, "/tags"))
	w.owing(2 * together)
	w.start()
	batch := deliverJob(w.keys()...)
	work := func() {
		if err := w.worker().Work(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	work()
	var sent, waiting int
	w.scan(&sent, `select count(*) from dunlin.deliveries where state = 'sent'`)
	w.scan(&waiting, `select count(*) from dunlin.deliveries where state = 'planned' and reason = 'stopped'`)
	if sent == 0 || sent > together || sent+waiting != 2*together {
		t.Errorf("stopped in the middle\n got %d sent and %d waiting\nwant at most %d, and the others", sent, waiting, together)
	}
	work()
	if n := len(w.intercom.Accepted()); n != sent {
		t.Errorf("worked while stopped\n got %d accepted\nwant %d", n, sent)
	}
	w.goOn()
	work()
	w.scan(&sent, `select count(*) from dunlin.deliveries where state = 'sent'`)
	if n := len(w.intercom.Accepted()); n != 2*together || sent != n {
		t.Errorf("after the resume\n got %d accepted and %d sent\nwant %d", n, sent, 2*together)
	}
}

// TestStop_import holds that dunlin stop ends a round of the import at once, and
// that the round goes on where it was.
func TestStop_import(t *testing.T) {
	t.Parallel()
	var w *world
	w = newImport(t, 30, stopsAt(&w, http.MethodPut, "/contacts/"))
	if err := w.importRound(); err != nil {
		t.Fatal(err)
	}
	n := len(w.intercom.Accepted())
	if n == 0 || n > importAtOnce {
		t.Errorf("stopped in the middle\n got %d written\nwant at most %d", n, importAtOnce)
	}
	if err := w.importRound(); err != nil || len(w.intercom.Accepted()) != n {
		t.Errorf("while stopped\n got %d written, %v\nwant %d", len(w.intercom.Accepted()), err, n)
	}
	w.goOn()
	if err := w.importRound(); err != nil {
		t.Fatal(err)
	}
	if got := len(w.intercom.Accepted()); got != 30 {
		t.Errorf("after the resume\n got %d written\nwant 30", got)
	}
}
