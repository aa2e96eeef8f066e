package intercom

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// millis is n milliseconds after some window began.
func millis(n int) time.Time {
	return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
}

// told is a sight of the window that began at 0: so many calls of a
// thousand used, seen at n milliseconds.
func told(used, n int) sight {
	return sight{reset: millis(10_000).Unix(), limit: 1000, used: used, ends: millis(10_000), sent: millis(n)}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	// all takes whatever may be taken at one.
	all := func(w *window, n int, urgent bool) (sum int) {
		for {
			got, _ := w.grant(millis(n), 1000, urgent)
			if got == 0 {
				return sum
			}
			sum += got
		}
	}
	known := func(used int) *window {
		w := newWindow(millis(0))
		w.learn(told(used, 1), millis(1))
		return &w
	}
	type want struct {
		taken int
		wait  time.Duration // of who comes next
	}
	tests := []struct {
		name string
		run  func() (w *window, at int, taken int)
		want want
	}{
		{"scouts leave first", func() (*window, int, int) {
			w := newWindow(millis(0))
			return &w, 0, all(&w, 0, false)
		}, want{documented / 100, askAgain}},
		{"more scouts each second, while nobody answers", func() (*window, int, int) {
			w := newWindow(millis(0))
			all(&w, 0, false)
			return &w, 2000, all(&w, 2000, false)
		}, want{2 * (documented / 100), askAgain}},
		{"what an answer states is believed", func() (*window, int, int) {
			w := known(1)
			return w, 2, all(w, 2, false)
		}, want{1000 - 20 - 20 - 1, 10_048 * time.Millisecond}},
		{"what scouts may still use counts", func() (*window, int, int) {
			w := newWindow(millis(0))
			all(&w, 0, false) // 16
			w.learn(told(3, 1), millis(1))
			return &w, 2, all(&w, 2, false)
		}, want{1000 - 40 - 16, 10_048 * time.Millisecond}},
		{"a share is kept for urgent calls", func() (*window, int, int) {
			w := known(0)
			all(w, 2, false)
			return w, 2, all(w, 2, true)
		}, want{20, 10_048 * time.Millisecond}},
		{"others who use the app are counted", func() (*window, int, int) {
			w := known(0)
			w.grant(millis(2), 50, false)
			w.learn(told(900, 3), millis(3))
			w.learn(told(600, 3), millis(3)) // overtaken on its way
			return w, 4, all(w, 4, false)
		}, want{60, 10_046 * time.Millisecond}},
		{"nothing leaves just before the end", func() (*window, int, int) {
			w := known(0)
			return w, 9950, all(w, 9950, false)
		}, want{0, 100 * time.Millisecond}},
		{"the next window is scouted", func() (*window, int, int) {
			w := known(900)
			w.turn(millis(10_050))
			return w, 10_050, all(w, 10_050, false)
		}, want{10, askAgain}},
		{"a window that ended early is left when an answer tells of the next", func() (*window, int, int) {
			w := known(950)
			next := told(2, 9100)
			next.reset, next.ends = next.reset+10, millis(19_000)
			w.learn(next, millis(9100))
			return w, 9100, all(w, 9100, false)
		}, want{958, 9950 * time.Millisecond}},
		{"a window that goes on is gone back to", func() (*window, int, int) {
			w := known(900)
			w.turn(millis(10_050))
			w.grant(millis(10_051), 5, false)
			late := told(901, 10_052)
			late.ends = millis(10_900)
			w.learn(late, millis(10_053))
			return w, 10_053, all(w, 10_053, false)
		}, want{59, 897 * time.Millisecond}},
		{"late answers of a window that is over teach nothing", func() (*window, int, int) {
			w := known(900)
			w.turn(millis(10_050))
			w.learn(told(940, 9990), millis(10_060))
			return w, 10_060, all(w, 10_060, false)
		}, want{10, askAgain}},
		{"the end is what the best answer says", func() (*window, int, int) {
			w := known(0)
			for _, ms := range []int{10_900, 10_400, 10_800} {
				s := told(960, 3)
				s.ends = millis(ms - 500)
				w.learn(s, millis(3))
			}
			return w, 3, all(w, 3, false)
		}, want{0, 9947 * time.Millisecond}},
		{"answers without limits leave the documented one", func() (*window, int, int) {
			w := newWindow(millis(0))
			w.learn(sight{plain: true, sent: millis(1)}, millis(1))
			return &w, 2, all(&w, 2, false)
		}, want{documented - 33 - 33, 10_048 * time.Millisecond}},
		{"a 429 stops all", func() (*window, int, int) {
			w := known(0)
			w.learn(sight{blocked: millis(7000)}, millis(3))
			return w, 3, all(w, 3, true)
		}, want{0, 6997 * time.Millisecond}},
		{"a 429 stops all for a minute at most", func() (*window, int, int) {
			w := known(0)
			w.learn(sight{blocked: millis(3_600_000)}, millis(3))
			return w, 3, all(w, 3, true)
		}, want{0, time.Minute}},
		{"a 429 while there was room halves the next window", func() (*window, int, int) {
			w := known(100)
			for range 3 { // several calls met it
				w.learn(sight{blocked: millis(7000), pressed: true}, millis(3))
			}
			next := told(0, 10_060)
			next.reset, next.ends = next.reset+10, millis(20_000)
			w.turn(millis(10_050))
			w.learn(next, millis(10_060))
			return w, 10_060, all(w, 10_060, false)
		}, want{480, 9990 * time.Millisecond}},
		{"and what it took comes back", func() (*window, int, int) {
			w := known(100)
			w.learn(sight{blocked: millis(7000), pressed: true}, millis(3))
			for range 3 {
				w.next()
			}
			return w, 8000, all(w, 8000, false)
		}, want{960, 2050 * time.Millisecond}},
		{"what goes back can be taken again", func() (*window, int, int) {
			w := known(0)
			all(w, 2, false)
			w.restore(w.number, 7)
			w.restore(w.number-1, 100) // of a window that is over
			return w, 2, all(w, 2, false)
		}, want{7, 10_048 * time.Millisecond}},
		{"a small limit is used whole", func() (*window, int, int) {
			w := newWindow(millis(0))
			s := told(0, 1)
			s.limit = 5
			w.learn(s, millis(1))
			return &w, 2, all(&w, 2, false)
		}, want{5, 10_048 * time.Millisecond}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, at, taken := tt.run()
			_, wait := w.grant(millis(at), 1, false)
			if tt.name == "a 429 stops all" || tt.name == "a 429 stops all for a minute at most" {
				_, wait = w.grant(millis(at), 1, true)
			}
			if got := (want{taken, wait}); got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// The fewer are left, the fewer one process gets.
func TestWindow_SharesTheRest(t *testing.T) {
	t.Parallel()
	w := newWindow(millis(0))
	w.learn(told(560, 1), millis(1)) // of 960
	var got []int
	for range 5 {
		n, _ := w.grant(millis(2), 50, false)
		got = append(got, n)
	}
	if diff := cmp.Diff([]int{50, 43, 38, 33, 29}, got); diff != "" {
		t.Errorf("shares (-want +got)\n%s", diff)
	}
}

func TestReadSight(t *testing.T) {
	t.Parallel()
	now, sent := millis(2500), millis(2400)
	second := millis(0).Unix()
	h := func(fields ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(fields); i += 2 {
			h.Set(fields[i], fields[i+1])
		}
		return h
	}
	limits := func(ahead int64, more ...string) http.Header {
		return h(append([]string{"X-RateLimit-Limit", "167", "X-RateLimit-Remaining", "160", "X-RateLimit-Reset", itoa(second + ahead)}, more...)...)
	}
	date := func(ms int) string { return millis(ms).Format(http.TimeFormat) }
	tests := []struct {
		name   string
		header http.Header
		status int
		want   sight
	}{
		{"all headers", limits(10, "Date", date(2000)), 200, sight{reset: second + 10, limit: 167, used: 7, ends: millis(10_500), sent: sent}},
		{"a clock three hours ahead", limits(10_810, "Date", date(10_802_000)), 200, sight{reset: second + 10_810, limit: 167, used: 7, ends: millis(10_500), sent: sent}},
		{"no date", limits(10), 200, sight{reset: second + 10, limit: 167, used: 7, ends: millis(10_500), sent: sent}},
		{"ends in this second", limits(2, "Date", date(2000)), 200, sight{reset: second + 2, limit: 167, used: 7, ends: millis(3500), sent: sent}},
		{"ends in a quarter of an hour", limits(900, "Date", date(2000)), 200, sight{reset: second + 900, limit: 167, used: 7, ends: millis(62_500), sent: sent}},
		{"ended last year", limits(-30_000_000, "Date", date(2000)), 200, sight{plain: true, sent: sent}},
		{"no limits", h("Date", date(2000)), 200, sight{plain: true, sent: sent}},
		{"no limits, and refused", h("Date", date(2000)), 401, sight{sent: sent}},
		{"nonsense", h("X-RateLimit-Limit", "-5", "X-RateLimit-Remaining", "many", "X-RateLimit-Reset", "soon"), 200, sight{plain: true, sent: sent}},
		{"more left than there are", h("X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "9", "X-RateLimit-Reset", itoa(second+10), "Date", date(2000)), 200,
			sight{reset: second + 10, limit: 5, used: 0, ends: millis(10_500), sent: sent}},
		{"429", limits(10, "Date", date(2000)), 429, sight{reset: second + 10, limit: 167, used: 7, ends: millis(10_500), sent: sent, blocked: millis(10_500), pressed: true}},
		{"429 of a used-up limit", h("X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", itoa(second+10), "Date", date(2000)), 429,
			sight{reset: second + 10, limit: 5, used: 5, ends: millis(10_500), sent: sent, blocked: millis(10_500)}},
		{"429 without headers", h(), 429, sight{sent: sent, blocked: millis(12_500)}},
		{"429 with Retry-After", h("Retry-After", "3"), 429, sight{sent: sent, blocked: millis(5500)}},
		{"429 with a long Retry-After", h("Retry-After", "7200"), 429, sight{sent: sent, blocked: millis(62_500)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, readSight(tt.header, tt.status, sent, now), cmp.AllowUnexported(sight{})); diff != "" {
				t.Errorf("sight (-want +got)\n%s", diff)
			}
		})
	}
}
