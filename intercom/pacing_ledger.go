package intercom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A ledger keeps the window of an app.
type ledger interface {
	// change lets f change the window, in one step for everybody who shares it.
	// Its clock shows now when this process's shows local, or a little later. F
	// may be called several times, each on a fresh copy; the last one counts.
	change(ctx context.Context, f func(w *window, now, local time.Time)) error
}

// A private ledger is one process's own, by its own clock.
type private struct {
	mu sync.Mutex
	w  window
}

func (l *private) change(_ context.Context, f func(w *window, now, local time.Time)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.w.number == 0 {
		l.w = newWindow(now)
	}
	f(&l.w, now, now)
	return nil
}

// A shared ledger is a row in Postgres, by Postgres' clock. No lock is held from
// reading to writing: a change is written if nobody has written meanwhile, and
// is worked out again otherwise. A process that stops in between stops nobody.
type shared struct {
	pool *pgxpool.Pool
	app  string
}

// appOf names an app in a workspace without giving its token away. Another token
// is another app: when one is exchanged, old and new count apart until every
// process has the new one.
func appOf(base *url.URL, token string) string {
	sum := sha256.Sum256([]byte(base.Host + "\n" + token))
	return hex.EncodeToString(sum[:8])
}

func (l shared) change(ctx context.Context, f func(w *window, now, local time.Time)) error {
	for {
		local := time.Now()
		w, revision, now, err := l.load(ctx)
		if err != nil {
			return fmt.Errorf("read intercom's rate limit: %w", err)
		}
		before := w
		f(&w, now, local)
		if w == before {
			return nil
		}
		saved, err := l.save(ctx, w, revision)
		if err != nil {
			return fmt.Errorf("write intercom's rate limit: %w", err)
		}
		if saved {
			return nil
		}
	}
}

func (l shared) load(ctx context.Context) (w window, revision int64, now time.Time, err error) {
	var blocked *time.Time
	for {
		err = l.pool.QueryRow(ctx, `
			select revision, number, reset, known, allowed, used, percent, pressed, ends_at, blocked_until, clock_timestamp()
			from dunlin.intercom_windows where app = $1`, l.app).
			Scan(&revision, &w.number, &w.reset, &w.known, &w.allowed, &w.used, &w.percent, &w.pressed, &w.ends, &blocked, &now)
		if blocked != nil {
			w.blocked = *blocked
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return w, revision, now, err
		}
		first := newWindow(time.Time{})
		_, err = l.pool.Exec(ctx, `
			insert into dunlin.intercom_windows (app, revision, number, reset, known, allowed, used, percent, pressed, ends_at)
			values ($1, 1, $2, 0, false, $3, 0, $4, 0, clock_timestamp() + $5) on conflict do nothing`,
			l.app, first.number, first.allowed, first.percent, span)
		if err != nil {
			return w, revision, now, err
		}
	}
}

func (l shared) save(ctx context.Context, w window, revision int64) (bool, error) {
	var blocked *time.Time
	if !w.blocked.IsZero() {
		blocked = &w.blocked
	}
	tag, err := l.pool.Exec(ctx, `
		update dunlin.intercom_windows
		set revision = revision + 1, number = @number, reset = @reset, known = @known, allowed = @allowed, used = @used,
		    percent = @percent, pressed = @pressed, ends_at = @ends, blocked_until = @blocked
		where app = @app and revision = @revision`,
		pgx.StrictNamedArgs{
			"app": l.app, "revision": revision, "number": w.number, "reset": w.reset, "known": w.known,
			"allowed": w.allowed, "used": w.used,
			"percent": w.percent, "pressed": w.pressed, "ends": w.ends, "blocked": blocked,
		})
	return tag.RowsAffected() == 1, err
}
