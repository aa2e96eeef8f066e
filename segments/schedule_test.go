package segments_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// scheduled is a fixture with a segment that is evaluated on a schedule, and 10
// customers of whom 5 owe.
func scheduled(t *testing.T, evaluate, zone, start string) *fixture {
	t.Helper()
	f := newFixture(t)
	f.now = mustTime(t, start)
	f.exec(`insert into dunlin.workspace values (1, $1, $2)`, "kind: workspace\nzone: "+zone+"\ncurrency: usd\n", f.now)
	f.crowd(10, "delinquent", "n <= 5")
	s := f.parse("owing", "delinquent")
	s.Evaluate = evaluate
	f.save(s)
	f.tick()
	same(t, "a first list at once", f.members("owing"), "001 002 003 004 005")
	return f
}

// TestSchedule holds that a segment is evaluated at its times and between them
// not at all: at each of these ticks one more customer owes, and the segment is
// evaluated or is not.
func TestSchedule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, evaluate, zone, start string
		ticks                       []string // with an asterisk when the segment is evaluated
	}{
		{"every 6 hours, from midnight UTC", "every 6 hours", "Europe/Berlin", "2026-03-02T05:00:00Z", []string{
			"2026-03-02T05:59:59.999999Z", "2026-03-02T06:00:00Z *", "2026-03-02T06:00:00.000001Z", "2026-03-02T11:59:59Z",
			"2026-03-02T13:30:00Z *", "2026-03-02T17:59:59Z", "2026-03-02T18:00:00Z *", // late, and the next is not
		}},
		{"missed ones are made up for once", "every 6 hours", "UTC", "2026-03-02T05:00:00Z", []string{
			"2026-03-04T03:00:00Z *", "2026-03-04T03:00:01Z", "2026-03-04T05:59:59Z", "2026-03-04T06:00:00Z *",
		}},
		{"every hour", "every 1 hour", "Asia/Kolkata", "2026-03-02T05:00:00Z", []string{
			"2026-03-02T05:30:00Z", "2026-03-02T06:00:00Z *", "2026-03-02T06:59:59Z", "2026-03-02T07:10:00Z *", "2026-03-02T08:00:00Z *",
		}},
		{"every day in Berlin, whose clocks go forward", "every 1 day at 06:00", "Europe/Berlin", "2026-03-27T12:00:00+01:00", []string{
			"2026-03-28T05:59:59+01:00", "2026-03-28T06:00:00+01:00 *", "2026-03-29T05:59:59+02:00", "2026-03-29T06:00:00+02:00 *", "2026-03-30T05:59:59+02:00", "2026-03-30T06:00:00+02:00 *",
		}},
		{"and back", "every 1 day at 06:00", "Europe/Berlin", "2026-10-23T12:00:00+02:00", []string{
			"2026-10-24T06:00:00+02:00 *", "2026-10-25T05:59:59+01:00", "2026-10-25T06:00:00+01:00 *", "2026-10-26T05:59:59+01:00", "2026-10-26T06:00:00+01:00 *",
		}},
		{"a time that the day leaves out", "every 1 day at 02:30", "Europe/Berlin", "2026-03-28T12:00:00+01:00", []string{
			"2026-03-29T01:59:59+01:00", "2026-03-29T03:30:00+02:00 *", "2026-03-29T04:30:00+02:00", "2026-03-30T02:29:59+02:00", "2026-03-30T02:30:00+02:00 *",
		}},
		{"a time that the day has twice", "every 1 day at 02:30", "Europe/Berlin", "2026-10-24T12:00:00+02:00", []string{
			"2026-10-25T02:29:59+02:00", "2026-10-25T02:30:00+01:00 *", "2026-10-25T12:00:00+01:00", "2026-10-26T02:29:59+01:00", "2026-10-26T02:30:00+01:00 *",
		}},
		{"late ticks shift nothing", "every 1 day at 06:00", "Europe/Berlin", "2026-03-02T07:00:00+01:00", []string{
			"2026-03-03T22:00:00+01:00 *", "2026-03-04T05:59:00+01:00", "2026-03-04T06:00:00+01:00 *", "2026-03-07T05:00:00+01:00 *", "2026-03-07T05:30:00+01:00", "2026-03-07T06:00:00+01:00 *",
		}},
		// Days count from 1 January 1970, so of these the even ones are 2 and 4 March.
		{"every 2 days", "every 2 days at 06:00", "UTC", "2026-03-02T07:00:00Z", []string{
			"2026-03-03T06:00:00Z", "2026-03-04T05:59:59Z", "2026-03-04T06:00:00Z *", "2026-03-05T23:00:00Z", "2026-03-06T06:00:00Z *", "2026-03-09T07:00:00Z *", "2026-03-10T05:00:00Z", "2026-03-10T07:00:00Z *",
		}},
		{"every 2 days, a first list between them", "every 2 days at 06:00", "UTC", "2026-03-03T07:00:00Z", []string{
			"2026-03-03T08:00:00Z", "2026-03-04T05:00:00Z", "2026-03-04T06:00:00Z *",
		}},
		{"every week", "every 7 days at 00:00", "Pacific/Auckland", "2026-03-02T07:00:00Z", []string{
			"2026-03-09T07:00:00Z *", "2026-03-09T08:00:00Z", "2026-03-16T07:00:00Z *",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := scheduled(t, tt.evaluate, tt.zone, tt.start)
			want := f.members("owing")
			all := want
			for i, step := range tt.ticks {
				at, evaluated := strings.CutSuffix(step, " *")
				f.now = mustTime(t, at)
				name := fmt.Sprintf("%03d", 6+i%5)
				f.put(name, "delinquent", i < 5)
				if i < 5 {
					all += " " + name
				} else {
					all = strings.Replace(all, " "+name, "", 1)
				}
				if evaluated {
					want = all
				}
				f.tick()
				same(t, "at "+step, f.members("owing"), want)
			}
			f.tidy()
		})
	}
}

// TestSchedule_inChunks holds that a list that takes several ticks is exact as of
// the last of them, and that the next time is counted from its beginning.
func TestSchedule_inChunks(t *testing.T) {
	t.Parallel()
	f := scheduled(t, "every 6 hours", "UTC", "2026-03-02T05:00:00Z")
	f.chunk = 4
	f.now = mustTime(t, "2026-03-02T11:59:58Z")
	f.tick()
	f.put("001", "delinquent", false) // passed already
	f.put("010", "delinquent", true)
	f.next()
	same(t, "not complete", f.members("owing"), "001 002 003 004 005")
	f.next()
	f.settle()
	same(t, "complete", f.members("owing"), "002 003 004 005 010")
	same(t, "begun before noon, and again after it", f.count(`select count(*) from dunlin.generations where opened_at >= '2026-03-02T12:00:00Z'`), 1)
	same(t, "the log", f.log("owing"), "+001 +002 +003 +004 +005 -001 +010")
}

// TestSchedule_parent holds that a segment which names a scheduled one follows
// its list.
func TestSchedule_parent(t *testing.T) {
	t.Parallel()
	f := scheduled(t, "every 6 hours", "UTC", "2026-03-02T05:00:00Z")
	f.names = []string{"owing"}
	f.edit("child", "not in segment 'owing'")
	f.next()
	f.put("006", "delinquent", true)
	f.next()
	same(t, "between its times", f.members("child"), "006 007 008 009 010")
	f.now = mustTime(t, "2026-03-02T06:00:00Z")
	f.tick()
	same(t, "at its time", []string{f.members("owing"), f.members("child")}, []string{"001 002 003 004 005 006", "007 008 009 010"})
}

// TestSchedule_ends holds that a segment that is evaluated with every tick from
// now on is exact from now on, and one that is not any more stays as it is.
func TestSchedule_ends(t *testing.T) {
	t.Parallel()
	f := scheduled(t, "every 6 hours", "UTC", "2026-03-02T05:00:00Z")
	f.put("006", "delinquent", true)
	f.next()
	s := f.parse("owing", "delinquent")
	f.save(s)
	f.settle()
	same(t, "with every tick", f.members("owing"), "001 002 003 004 005 006")
	f.put("001", "delinquent", false)
	f.next()
	same(t, "and the next", f.members("owing"), "002 003 004 005 006")
	s.Evaluate = "every 2 days at 23:00"
	f.save(s)
	f.put("007", "delinquent", true)
	f.next()
	same(t, "on a schedule again", f.members("owing"), "002 003 004 005 006")
}

// TestSchedule_watch holds that a list that was evaluated on a schedule is
// compared with the one before it.
func TestSchedule_watch(t *testing.T) {
	t.Parallel()
	f := scheduled(t, "every 6 hours", "UTC", "2026-03-02T05:00:00Z")
	f.exec(`insert into dunlin.workspace values (2, $1, $2)`, "kind: workspace\nzone: UTC\ncurrency: usd\nunusual_change: {customers: 2, share: 20%}\n", f.now)
	f.owing(1)
	f.now = f.now.Add(30 * time.Minute)
	f.tick()
	same(t, "between its times", f.stored("owing").Waits, "")
	f.now = f.now.Add(6 * time.Hour)
	f.tick()
	same(t, "at its time", strings.Contains(f.stored("owing").Waits, "5 members became 1"), true)
}
