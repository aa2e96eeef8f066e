package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin/dunlin/stripesync"
)

type syncCmd struct {
	Account string `help:"Only this account." placeholder:"A"`
	Full    bool   `help:"Read everything again, although the first sync is done."`
}

// Run brings each account into the mirror, and applies what is stored. An account
// that fails does not keep the others from being synced.
func (c syncCmd) Run(ctx context.Context, a *app) error {
	accounts := a.env.accounts()
	if c.Account != "" {
		one, err := a.env.account(c.Account)
		if err != nil {
			return err
		}
		if err := one.needsKey(); err != nil {
			return err
		}
		accounts = []stripeAccount{one}
	} else if err := a.env.missing(stripeKeyVar); err != nil {
		return err
	}
	return a.withProduct(ctx, func(p *product) error {
		if len(accounts) == 1 {
			return a.syncAccount(ctx, p.stripeOf(accounts[0].Name), c.Full)
		}
		var failed []string
		for _, account := range accounts {
			err := a.syncAccount(ctx, p.stripeOf(account.Name), c.Full)
			if ctx.Err() != nil {
				return err
			}
			if err != nil {
				a.say("account %s: %v", account.Name, err)
				failed = append(failed, account.Name)
			}
		}
		if len(failed) > 0 {
			return fmt.Errorf("%s not in sync: %s; the reasons are above, and what was read is kept", plural(len(failed), "account"), strings.Join(failed, ", "))
		}
		return nil
	})
}

// syncAccount reads from Stripe what the account lacks, or everything, and applies
// what is stored.
func (a *app) syncAccount(ctx context.Context, s *stripesync.Sync, full bool) error {
	caught, err := follow(ctx, s, full, func(why string) error {
		a.say("account %s: %s", s.Name(), why)
		return a.backfill(ctx, s)
	})
	if err != nil {
		return err
	}
	if caught.Lost > 0 {
		a.say("account %s: %s found that no webhook had brought", s.Name(), plural(caught.Lost, "event"))
	}
	total := 0
	for {
		n, err := s.Apply(ctx)
		total += n
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	a.say("account %s is in sync; %s applied, %s to Stripe", s.Name(), plural(total, "stored event"), plural(s.Counts().Requests, "request"))
	return nil
}

// follow reads the lists of an account when they have to be read, or in full, and
// then what Stripe's list of events has. backfill reads the lists, and is told why.
func follow(ctx context.Context, s *stripesync.Sync, full bool, backfill func(why string) error) (stripesync.Caught, error) {
	ready, err := s.Ready(ctx)
	if err != nil {
		return stripesync.Caught{}, err
	}
	why := ""
	switch {
	case !ready:
		why = "the first sync, or the rest of it"
	case full:
		why = "reading everything again"
	}
	if why != "" {
		if err := backfill(why); err != nil {
			return stripesync.Caught{}, err
		}
	}
	caught, err := s.CatchUp(ctx)
	if err != nil || !caught.Gap {
		return caught, err
	}
	if err := backfill("Stripe keeps its events for 30 days and more is missing; reading everything again"); err != nil {
		return caught, err
	}
	return s.CatchUp(ctx)
}

func (a *app) backfill(ctx context.Context, s *stripesync.Sync) error {
	m := newMeter(a.errs, time.Now)
	err := s.Backfill(ctx, m.draw)
	m.end()
	if errors.Is(err, stripesync.ErrRunning) {
		return fmt.Errorf("%w; it is shown by its own process, or goes on in a dunlin up or work", err)
	}
	return err
}

// How often a meter draws, and how wide.
const (
	drawnEvery = 100 * time.Millisecond // on a terminal
	toldEvery  = 10 * time.Second       // elsewhere
	meterWidth = 79
	barWidth   = 20
)

// A meter shows how far a sync is: on a terminal by a line that is written over,
// elsewhere by a line now and then. Its speed is that of this process: what an
// interrupted sync did before does not count.
type meter struct {
	out      io.Writer
	terminal bool
	now      func() time.Time // machine time

	last     stripesync.Progress // of the phase under way
	drawn    time.Time
	shown    int       // characters on the line that is written over
	pending  bool      // last is not shown yet
	start    time.Time // of the phase: reading lists, then projecting customers
	before   int64     // objects at the start
	marks    []mark    // of late, the oldest first
	underWay []string  // classes that have begun and not ended
	people   int64     // customers there are; 0: not known
}

// A mark is the share that was done at an instant.
type mark struct {
	at    time.Time
	share float64
}

func newMeter(out io.Writer, now func() time.Time) *meter {
	m := &meter{out: out, now: now}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			m.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return m
}

// draw is told of every page.
func (m *meter) draw(p stripesync.Progress) {
	now := m.now()
	if p.Step == p.Steps {
		p.Sum, p.Share = p.Objects, 0
		if m.people > 0 {
			p.Share = min(float64(p.Objects)/float64(m.people), 1)
		}
	}
	if m.start.IsZero() || projecting(p) != projecting(m.last) {
		m.end()
		m.start, m.before, m.marks, m.underWay, m.drawn = now, p.Sum, []mark{{now, p.Share}}, nil, time.Time{}
		if !m.terminal {
			m.drawn = now
		}
	}
	m.last, m.pending = p, true
	m.remember(mark{now, p.Share})
	m.underWay = slices.DeleteFunc(m.underWay, func(c string) bool { return c == p.Class })
	if !p.Done {
		m.underWay = append(m.underWay, p.Class)
		slices.Sort(m.underWay)
	}
	if p.Class == "customers" {
		m.people = p.Objects
	}
	every := toldEvery
	if m.terminal {
		every = drawnEvery
	}
	if now.Sub(m.drawn) >= every {
		m.show(now)
	}
}

// remember keeps a mark for each second of the last quarter of the phase: objects
// lie close together in some times and far apart in others, so that how fast it
// went before says little.
func (m *meter) remember(now mark) {
	if now.at.Sub(m.marks[len(m.marks)-1].at) >= time.Second {
		m.marks = append(m.marks, now)
	}
	late := now.at.Add(-max(now.at.Sub(m.start)/4, toldEvery))
	for len(m.marks) > 1 && !m.marks[1].at.After(late) {
		m.marks = m.marks[1:]
	}
}

func projecting(p stripesync.Progress) bool { return p.Step == p.Steps }

// end shows how a phase ended and leaves its line.
func (m *meter) end() {
	if m.pending {
		m.show(m.now())
	}
	if m.terminal && m.shown > 0 {
		fmt.Fprintln(m.out)
	}
	m.shown = 0
}

func (m *meter) show(now time.Time) {
	line := m.line(now)
	m.drawn, m.pending = now, false
	if !m.terminal {
		fmt.Fprintln(m.out, line)
		return
	}
	if len(line) > meterWidth {
		line = line[:meterWidth-3] + "..."
	}
	fmt.Fprintf(m.out, "\r%-*s", m.shown, line)
	m.shown = len(line)
}

// line is the state of a phase at an instant.
func (m *meter) line(now time.Time) string {
	p := m.last
	rate := float64(p.Sum-m.before) / max(now.Sub(m.start).Seconds(), 0.001)
	what := fmt.Sprintf("%s objects", grouped(p.Sum))
	if projecting(p) {
		what = fmt.Sprintf("%s customers projected", grouped(p.Sum))
	}
	parts := []string{bar(p.Share), what, grouped(int64(rate)) + "/s"}
	if projecting(p) && m.people == 0 {
		parts = parts[1:]
	}
	if left := timeLeft(m.marks[0], mark{now, p.Share}); left != "" && now.Sub(m.start) >= toldEvery {
		parts = append(parts, left+" left")
	}
	if !projecting(p) && len(m.underWay) > 0 {
		parts = append(parts, strings.Join(m.underWay, ", "))
	}
	return strings.Join(parts, "  ")
}

// bar is a share of 0 to 1, drawn.
func bar(share float64) string {
	full := int(share * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f%%", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), 100*share)
}

// timeLeft is how long it takes to the whole at the speed between two marks; empty
// while they say little.
func timeLeft(from, now mark) string {
	const little = 0.002
	gone, done := now.at.Sub(from.at), now.share-from.share
	if done < little || now.share >= 1 || gone < time.Second {
		return ""
	}
	return age(max(time.Duration(float64(gone)*(1-now.share)/done).Round(time.Second), time.Second))
}

// grouped is a whole number with commas between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
