package intercom

import "time"

const (
	span         = 10 * time.Second       // of a window of which no answer has told
	documented   = 1667                   // calls in a window until an answer states the limit: 10,000 a minute
	travel       = 100 * time.Millisecond // no permit is used so shortly before its window ends
	slack        = 50 * time.Millisecond  // after its end until the next window is tried
	scoutEvery   = time.Second            // until an answer tells of the window
	askAgain     = 50 * time.Millisecond  // whether an answer has told of it
	maxClosed    = time.Minute            // that one 429 can stop us, whatever its headers say
	sameWindow   = 1                      // seconds by which the names of one window may differ
	leastAdvance = 10 * time.Millisecond  // by which a better estimate of the end is worth writing
)

// A window is one span of Intercom's counting and how much of it is used. It is
// decided on without a clock: now is the machine time of whoever keeps it.
//
// Intercom's headers tell the end of a window in whole seconds, and only in
// answers. So ends is never before the true end but may be up to a second after
// it, and a window of which no answer has told yet is only scouted: one call in
// a hundred may leave each second, and what they are answered opens the rest.
//
// The limit is the app's. That of the workspace, which all its apps share, is in
// no header: it is met as a 429 although the app's own limit leaves room. Each
// window with such a 429 halves what we use of the next.
type window struct {
	number  int64     // from 1; permits are good for the window they were taken in
	reset   int64     // the X-RateLimit-Reset of the newest window told of; 0: none
	known   bool      // an answer has told of this window
	allowed int       // calls in a window
	used    int       // of them: leased, or used as Intercom says when that is more
	percent int       // of what is allowed that we use: less than 100 after a 429 that the limit does not explain
	pressed int64     // number of the window that had such a 429 last; 0: none
	ends    time.Time // when known is false: a guess, one span after it began
	blocked time.Time // no call before then
}

func newWindow(now time.Time) window {
	return window{number: 1, allowed: documented, percent: 100, ends: now.Add(span)}
}

// A sight is what answers have told, by the clock of the process that read them.
// The zero value is nothing.
type sight struct {
	plain   bool      // an answer was good and stated no limits
	reset   int64     // name of the newest window told of; 0: none
	limit   int       // calls in it
	used    int       // of them, at least
	ends    time.Time // of it, at the latest
	sent    time.Time // when the last call went out that was told of it
	blocked time.Time // after a 429; zero: there was none
	pressed bool      // there was a 429 although the app's own limit left room
}

// add takes over what another answer has told.
func (s *sight) add(o sight) {
	s.plain, s.pressed = s.plain || o.plain, s.pressed || o.pressed
	if o.blocked.After(s.blocked) {
		s.blocked = o.blocked
	}
	switch {
	case o.reset == 0 || o.reset < s.reset-sameWindow:
	case s.reset == 0 || o.reset > s.reset+sameWindow:
		s.reset, s.limit, s.used, s.ends, s.sent = o.reset, o.limit, o.used, o.ends, o.sent
	default:
		s.reset, s.limit, s.used = max(s.reset, o.reset), o.limit, max(s.used, o.used)
		if o.ends.Before(s.ends) {
			s.ends = o.ends
		}
		if o.sent.After(s.sent) {
			s.sent = o.sent
		}
	}
}

// at is the sight by another clock, which shows now when this one shows local.
func (s sight) at(now, local time.Time) sight {
	for _, t := range []*time.Time{&s.ends, &s.sent, &s.blocked} {
		if !t.IsZero() {
			*t = now.Add(t.Sub(local))
		}
	}
	return s
}

// learn takes over what answers have told.
func (w *window) learn(s sight, now time.Time) {
	if s.blocked.After(w.blocked) {
		w.blocked = s.blocked
		if latest := now.Add(maxClosed); w.blocked.After(latest) {
			w.blocked = latest
		}
	}
	if s.pressed && w.pressed != w.number {
		w.percent, w.pressed = max(1, w.percent/2), w.number
	}
	switch {
	case s.reset == 0:
		w.known = w.known || s.plain && w.reset == 0
	case s.reset > w.reset+sameWindow:
		if w.known { // it ended sooner than was thought
			w.next()
		}
		w.reset, w.known, w.ends = s.reset, true, s.ends
		w.allowed, w.used = s.limit, max(w.used, s.used)
	case s.reset < w.reset-sameWindow: // late, and of a window that is over
	case w.known:
		w.allowed, w.used = s.limit, max(w.used, s.used)
		if s.ends.Before(w.ends.Add(-leastAdvance)) {
			w.ends = s.ends
		}
	case s.sent.After(w.began()): // the window that was thought over is not
		w.known, w.ends = true, s.ends
		w.allowed, w.used = s.limit, max(w.used, s.used)
	}
}

// turn begins the next window when this one is over.
func (w *window) turn(now time.Time) {
	if now.Before(w.ends.Add(slack)) {
		return
	}
	w.next()
	w.known, w.ends = false, now.Add(span)
}

// next counts anew. What a 429 has taken away comes back by steps of a half.
func (w *window) next() {
	if w.pressed != w.number {
		w.percent = min(100, w.percent*3/2+1)
	}
	w.number, w.used = w.number+1, 0
}

// began is when a window of which no answer has told was thought to begin.
func (w *window) began() time.Time { return w.ends.Add(-span) }

// grant leases up to want permits, or none and how long to wait before asking
// again. The fewer are left, the smaller are the shares, so that what several
// processes hold unused stays small beside it.
func (w *window) grant(now time.Time, want int, urgent bool) (int, time.Duration) {
	if w.blocked.After(now) {
		return 0, w.blocked.Sub(now)
	}
	left := w.room(now, urgent) - w.used
	switch over := w.ends.Add(slack).Sub(now); {
	case w.known && (left <= 0 || over <= travel+slack):
		return 0, over
	case left <= 0:
		return 0, askAgain
	}
	n := min(want, max(1, left/8))
	w.used += n
	return n, 0
}

// divide leases permits for urgent calls and for ordinary ones, or returns how long
// to wait when there are none for either.
func (w *window) divide(now time.Time, urgent, ordinary int) (n int, pause time.Duration) {
	for _, q := range []struct {
		want   int
		urgent bool
	}{{urgent, true}, {ordinary, false}} {
		if q.want > 0 {
			got, wait := w.grant(now, q.want, q.urgent)
			n += got
			pause = wait
		}
	}
	if n > 0 {
		pause = 0
	}
	return n, pause
}

// room is how many calls of the window may be used. One in fifty is left alone,
// for calls that are counted in another window than they were thought to be and
// for whoever else uses the app; another one in fifty is kept for urgent work.
func (w *window) room(now time.Time, urgent bool) int {
	kept := w.allowed / 50
	room := w.allowed - kept
	if !urgent {
		room -= kept
	}
	room = max(1, room*w.percent/100)
	if !w.known {
		scouts := max(1, w.allowed/100) * (1 + int(now.Sub(w.began())/scoutEvery))
		room = min(room, scouts)
	}
	return room
}

// restore gives back permits of a window that nobody used.
func (w *window) restore(number int64, n int) {
	if number == w.number {
		w.used = max(0, w.used-n)
	}
}
