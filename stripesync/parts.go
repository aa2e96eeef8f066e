package stripesync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
)

const (
	readers = 32 // parts read side by side: at 150 ms a page and as much to write it, as fast as Stripe lets us
	writers = 4  // pages written at the same time

	narrowest = time.Hour // a part that spans less is not divided any more
)

// A part is what one reader reads of a list: the objects made within a span of
// time, newest first.
type part struct {
	list
	number  int
	from    time.Time // made then or later; zero: as far back as there is anything
	until   time.Time // made before; zero: until the run's start, inclusive
	cursor  string
	objects int64
	reached time.Time // when the last object that was read was made; zero: not known
}

// end is up to where the part has not been read yet, newest first.
func (p *part) end(run run) time.Time {
	switch {
	case !p.reached.IsZero():
		return p.reached
	case !p.until.IsZero():
		return p.until
	}
	return run.started
}

// cuts divide a span into so many pieces at most, newest first, so that others
// read what is older: the instants between them. There are none when the span is
// too narrow for that, or it is not known how far it goes back.
func cuts(from, reached time.Time, pieces int) (at []time.Time) {
	if from.IsZero() || reached.IsZero() {
		return nil
	}
	span := reached.Sub(from)
	pieces = min(pieces, int(span/narrowest))
	for i := 1; i < pieces; i++ {
		at = append(at, reached.Add(-span/time.Duration(pieces)*time.Duration(i)).Truncate(time.Second))
	}
	return at
}

// A reading is a run whose lists are being read.
type reading struct {
	*Sync
	run    run
	report func(Progress)
	writes chan struct{} // a place for each writer

	mu       sync.Mutex
	changed  *sync.Cond
	waiting  []*part
	busy     map[*part]bool
	idle     int // readers without a part
	classes  map[string]*classReading
	order    []string // of classes
	stopping error    // why nobody goes on
}

// A classReading is how far one list is.
type classReading struct {
	objects int64
	left    int       // parts that are not finished
	last    int       // the highest number of a part
	oldest  time.Time // nothing was made before; zero: not known
	fault   error
}

// readLists reads what is left of the lists. It returns when all of it is in the
// mirror, or nobody can go on.
func (s *Sync) readLists(ctx context.Context, run run, report func(Progress)) error {
	parts, classes, err := s.loadParts(ctx, run)
	if err != nil {
		return err
	}
	r := &reading{
		Sync: s, run: run, report: report, writes: make(chan struct{}, writers),
		waiting: parts, busy: map[*part]bool{}, classes: classes,
	}
	for _, l := range lists {
		if classes[l.name] != nil {
			r.order = append(r.order, l.name)
		}
	}
	r.changed = sync.NewCond(&r.mu)
	var workers sync.WaitGroup
	for range s.readers {
		workers.Go(func() {
			for p := r.take(); p != nil; p = r.take() {
				r.done(p, r.read(ctx, p))
			}
		})
	}
	workers.Wait()
	return r.outcome()
}

// loadParts reads what the run has before it and behind it.
func (s *Sync) loadParts(ctx context.Context, run run) (parts []*part, classes map[string]*classReading, err error) {
	rows, err := s.pool.Query(ctx, `
		select class, part, coalesce(made_from, '0001-01-01Z'), coalesce(made_until, '0001-01-01Z'), cursor, objects, finished_at is not null
		from dunlin.sync_progress
		where account_id = $1 and run_id = $2 and class <> $3
		order by class, part`, s.account, run.id, attributes)
	if err != nil {
		return nil, nil, fmt.Errorf("read the progress of the sync: %w", err)
	}
	classes = map[string]*classReading{}
	var name string
	var finished bool
	p := part{}
	_, err = pgx.ForEachRow(rows, []any{&name, &p.number, &p.from, &p.until, &p.cursor, &p.objects, &finished}, func() error {
		at := slices.IndexFunc(lists, func(l list) bool { return l.name == name })
		if at < 0 {
			return nil // of a version that read other lists
		}
		c := classes[name]
		if c == nil {
			c = &classReading{}
			classes[name] = c
		}
		c.objects, c.last = c.objects+p.objects, max(c.last, p.number)
		if !p.from.IsZero() && (c.oldest.IsZero() || p.from.Before(c.oldest)) {
			c.oldest = p.from
		}
		if !finished {
			one := p
			one.list = lists[at]
			c.left++
			parts = append(parts, &one)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the progress of the sync: %w", err)
	}
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(rank(a.list), rank(b.list)) })
	return parts, classes, nil
}

// take returns the next part, waiting while others may hand over some of theirs;
// nil when nothing is left or nobody goes on.
func (r *reading) take() *part {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle++
	for len(r.waiting) == 0 && len(r.busy) > 0 && r.stopping == nil {
		r.changed.Wait()
	}
	if len(r.waiting) == 0 || r.stopping != nil {
		return nil
	}
	r.idle--
	p := r.waiting[0]
	r.waiting = r.waiting[1:]
	r.busy[p] = true
	return p
}

// done notes what became of a part. When its class cannot be read the other parts
// of it are left.
func (r *reading) done(p *part, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.changed.Broadcast()
	delete(r.busy, p)
	if err == nil {
		return
	}
	c := r.classes[p.name]
	if c.fault == nil {
		c.fault = err
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(o *part) bool { return o.name == p.name })
	var refused *refusal
	if errors.Is(err, ErrRunning) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &refused) && refused.status == http.StatusUnauthorized {
		r.stopping = err
	}
}

// outcome names the classes that are incomplete.
func (r *reading) outcome() error {
	var first string
	var others []string
	for _, name := range r.order {
		switch c := r.classes[name]; {
		case c.left == 0:
		case first == "" && c.fault != nil:
			first = name
		default:
			others = append(others, name)
		}
	}
	switch {
	case first == "" && len(others) == 0:
		return nil
	case first == "":
		return fmt.Errorf("the sync stopped before the end of %s; run it again to go on from there", strings.Join(others, ", "))
	}
	c := r.classes[first]
	if len(others) > 0 {
		return fmt.Errorf("sync of %s stopped after %d, incomplete are also %s; run it again to go on from there: %w", first, c.objects, strings.Join(others, ", "), c.fault)
	}
	return fmt.Errorf("sync of %s stopped after %d; run it again to go on from there: %w", first, c.objects, c.fault)
}

// read reads a part to its end. After each page it hands over what is older when
// readers have nothing to do.
func (r *reading) read(ctx context.Context, p *part) error {
	restarted := false
	for more := true; more; {
		if err := r.halted(p); err != nil {
			return err
		}
		page, err := r.readPage(ctx, r.run, p)
		var refused *refusal
		if errors.As(err, &refused) && refused.param == "starting_after" && !restarted {
			// The object at the cursor is gone: from the start, once.
			restarted = true
			if err := r.restart(ctx, p); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		more = page.more
		if err := r.store(ctx, p, page); err != nil {
			return err
		}
		r.recordSome(ctx)
		if more && p.from.IsZero() && !p.reached.IsZero() && r.readers > 1 {
			oldest, err := r.oldest(ctx, p)
			if err != nil {
				return err
			}
			r.mu.Lock()
			p.from = oldest
			r.mu.Unlock()
		}
	}
	return nil
}

// halted is why a reader that has a part stops.
func (r *reading) halted(p *part) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.stopping, r.classes[p.name].fault)
}

// oldest is an instant before which nothing of the list was made, found in a few
// requests, each sixteen times as far back.
func (r *reading) oldest(ctx context.Context, p *part) (time.Time, error) {
	const farthest = 20 * 365 * 24 * time.Hour // Stripe is younger
	for back := 16 * max(r.run.started.Sub(p.reached), time.Minute); back < farthest; back *= 16 {
		until := r.run.started.Add(-back).Truncate(time.Second)
		got, err := r.stripe.get(ctx, p.path, p.values(time.Time{}, until, r.run, "", 1), pageTries)
		if err != nil {
			return time.Time{}, err
		}
		body, err := readList(p.path, got.raw)
		if err != nil {
			return time.Time{}, err
		}
		if len(body.Data) == 0 {
			return until, nil
		}
	}
	return r.run.started.Add(-farthest).Truncate(time.Second), nil
}

// store writes a page, hands over what somebody else can read, and reports.
func (r *reading) store(ctx context.Context, p *part, page page) error {
	var handed []*part
	if page.more {
		handed = r.divide(p, page.oldest)
	}
	r.writes <- struct{}{}
	err := r.storeOne(ctx, p, page, handed)
	<-r.writes
	if err != nil {
		return err
	}
	if page.last != "" {
		p.cursor = page.last
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	p.reached = page.oldest
	c := r.classes[p.name]
	p.objects, c.objects = p.objects+int64(page.n), c.objects+int64(page.n)
	if !p.from.IsZero() && (c.oldest.IsZero() || p.from.Before(c.oldest)) {
		c.oldest = p.from
	}
	if !page.more {
		c.left--
		p.reached = p.from
	}
	if len(handed) > 0 {
		p.from = handed[0].until
		c.left += len(handed)
		r.waiting = append(r.waiting, handed...)
		r.changed.Broadcast()
	}
	r.report(r.progress(p.name))
	return nil
}

// storeOne writes a page. Customers whose own pages were projected before that of
// a product that is another now are projected once more.
func (r *reading) storeOne(ctx context.Context, p *part, page page, handed []*part) error {
	var others []row
	if r.run.ready && p.class.shared() {
		var err error
		if others, err = r.differing(ctx, page.rows); err != nil {
			return err
		}
	}
	if err := r.storePage(ctx, r.run, p, page, handed); err != nil {
		return err
	}
	return r.projectSubscribers(ctx, sharedIn(others))
}

// divide makes parts of what is left before the instant that has been reached, for
// the readers that are idle, until as many read this list as read the others:
// Stripe limits each list by itself.
func (r *reading) divide(p *part, reached time.Time) (handed []*part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle == 0 || len(r.waiting) > 0 {
		return nil
	}
	reading := map[string]int{}
	for o := range r.busy {
		reading[o.name]++
	}
	share := (len(r.busy) + r.idle) / len(reading)
	c := r.classes[p.name]
	at := cuts(p.from, reached, 1+min(r.idle, share-reading[p.name]))
	for i, until := range at {
		from := p.from
		if i+1 < len(at) {
			from = at[i+1]
		}
		c.last++
		handed = append(handed, &part{list: p.list, number: c.last, from: from, until: until})
	}
	return handed
}

// progress is what a page of a class leads to. The caller holds the lock.
func (r *reading) progress(class string) Progress {
	out := Progress{Class: class, Steps: len(lists) + 1, Share: 1}
	for _, name := range r.order {
		c := r.classes[name]
		out.Sum += c.objects
		if c.left == 0 {
			continue
		}
		out.Share = min(out.Share, r.share(name))
	}
	c := r.classes[class]
	out.Objects, out.Done = c.objects, c.left == 0
	out.Step = 1 + slices.IndexFunc(lists, func(l list) bool { return l.name == class })
	return out
}

// share is how much of the time a list goes back over has been read.
func (r *reading) share(class string) float64 {
	c := r.classes[class]
	whole := r.run.started.Sub(c.oldest)
	if c.oldest.IsZero() || whole <= 0 {
		return 0
	}
	var left time.Duration
	add := func(p *part) {
		if p.name == class && !p.from.IsZero() {
			left += max(p.end(r.run).Sub(p.from), 0)
		}
	}
	for p := range r.busy {
		add(p)
	}
	for _, p := range r.waiting {
		add(p)
	}
	return min(max(1-float64(left)/float64(whole), 0), 1)
}

// restart begins a part anew.
func (r *reading) restart(ctx context.Context, p *part) error {
	_, err := r.pool.Exec(ctx, `
		update dunlin.sync_progress set cursor = '', objects = 0
		where account_id = $1 and run_id = $2 and class = $3 and part = $4`, r.account, r.run.id, p.name, p.number)
	if err != nil {
		return fmt.Errorf("start %s again: %w", p.name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.classes[p.name].objects -= p.objects
	p.cursor, p.objects, p.reached = "", 0, time.Time{}
	return nil
}

// storePage writes one page, its cursor, and the parts that are handed over, in one
// transaction. It fails when the cursor is not the one the page was read from.
func (s *Sync) storePage(ctx context.Context, run run, p *part, page page, handed []*part) error {
	touched := owners(page.rows)
	from := p.from
	if len(handed) > 0 {
		from = handed[0].until
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update dunlin.sync_progress
			set cursor = case when @last = '' then cursor else @last end, objects = objects + @n,
				finished_at = case when @more then null else @now::timestamptz end, made_from = nullif(@from, '0001-01-01Z'::timestamptz)
			where account_id = @account and run_id = @run and class = @class and part = @part and cursor = @before and finished_at is null`,
			pgx.StrictNamedArgs{
				"account": s.account, "run": run.id, "class": p.name, "part": p.number, "before": p.cursor,
				"last": page.last, "n": page.n, "more": page.more, "now": s.now(), "from": from,
			})
		if err == nil && tag.RowsAffected() == 0 {
			return ErrRunning
		}
		for _, h := range handed {
			if err == nil {
				_, err = tx.Exec(ctx, `
					insert into dunlin.sync_progress (account_id, run_id, class, part, made_from, made_until)
					values ($1, $2, $3, $4, $5, $6)`, s.account, run.id, p.name, h.number, h.from, h.until)
			}
		}
		if err != nil {
			return err
		}
		if err := customers.Lock(ctx, tx, s.account, touched); err != nil {
			return err
		}
		if err := s.writeRead(ctx, tx, page.rows); err != nil {
			return err
		}
		if !run.ready {
			return nil
		}
		return s.project(ctx, tx, touched)
	})
}
