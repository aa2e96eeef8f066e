package intercom

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// readSight is what one answer tells: its headers and status, read now, of a call
// that was sent then. Answers without limits, such as those to a bad token, tell
// little.
func readSight(h http.Header, status int, sent, now time.Time) sight {
	s := sight{sent: sent}
	limit, err := strconv.Atoi(h.Get("X-RateLimit-Limit"))
	left, lerr := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	if reset, ends, ok := readReset(h, now); ok && err == nil && lerr == nil && limit > 0 {
		s.reset, s.ends, s.limit, s.used = reset, ends, limit, min(max(limit-left, 0), limit)
	}
	s.plain = s.reset == 0 && status >= 200 && status <= 299
	if status != http.StatusTooManyRequests {
		return s
	}
	s.pressed = s.used < s.limit
	d, stated := retryAfter(h)
	switch {
	case stated:
		s.blocked = now.Add(d)
	case s.reset != 0:
		s.blocked = s.ends
	default:
		s.blocked = now.Add(span)
	}
	if latest := now.Add(maxClosed); s.blocked.After(latest) {
		s.blocked = latest
	}
	return s
}

// readReset reads which window an answer belongs to, and when it ends at the
// latest, by our clock. The header is a second on Intercom's clock; the answer's
// Date says what that clock showed, cut to the second, so that the difference is
// too large by up to a second and never too small. A window that ends in this very
// second was rounded down. Without a Date the clocks are taken to agree.
func readReset(h http.Header, now time.Time) (int64, time.Time, bool) {
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || reset <= 0 {
		return 0, time.Time{}, false
	}
	shown, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		shown = now.Truncate(time.Second)
	}
	left := time.Unix(reset, 0).Sub(shown)
	if left < -maxClosed || left > time.Hour {
		return 0, time.Time{}, false
	}
	return reset, now.Add(min(max(left, time.Second), maxClosed)), true
}

// retryAfter reads a Retry-After in seconds. Intercom documents none; its own
// clients honour one.
func retryAfter(h http.Header) (time.Duration, bool) {
	seconds, err := strconv.Atoi(strings.TrimSpace(h.Get("Retry-After")))
	if err != nil || seconds <= 0 {
		return 0, false
	}
	return time.Duration(min(seconds, int(maxClosed/time.Second))) * time.Second, true
}
