package segments_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

func TestUnusual(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		customers, share, before, after int64
		want                            bool
	}{
		{100, 50, 1000, 1000, false},
		{100, 50, 1000, 501, false},
		{100, 50, 1000, 500, false}, // half is not more than half
		{100, 50, 1000, 499, true},
		{100, 50, 1000, 0, true},
		{100, 50, 1000, 1500, false},
		{100, 50, 1000, 1501, true},
		{100, 50, 100, 0, false}, // a hundred are not more than a hundred
		{100, 50, 101, 0, true},
		{100, 50, 0, 100, false},
		{100, 50, 0, 101, true},
		{100, 50, 10, 110, false},
		{100, 50, 10, 111, true},
		{0, 0, 10, 10, false},
		{0, 0, 10, 11, true},
		{0, 100, 10, 0, false},
		{0, 100, 10, 21, true},
		{5, 10, 100, 94, false},
		{5, 10, 50, 44, true},
	} {
		s := workspace.Settings{UnusualCustomers: tt.customers, UnusualShare: tt.share}
		if got := segments.Unusual(s, tt.before, tt.after); got != tt.want {
			t.Errorf("more than %d customers and %d%%: from %d to %d\n got %v\nwant %v", tt.customers, tt.share, tt.before, tt.after, got, tt.want)
		}
	}
}

// banded is a fixture with 40 customers of whom 30 owe, and a band of more than
// 5 customers and 20%.
func banded(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.exec(`insert into dunlin.workspace values (1, $1, $2)`, "kind: workspace\nzone: UTC\ncurrency: usd\nunusual_change: {customers: 5, share: 20%}\n", f.now)
	f.crowd(40, "delinquent", "n <= 30")
	f.edit("owing", "delinquent")
	f.settle()
	return f
}

// owing makes so many customers owe, the first.
func (f *fixture) owing(n int) {
	f.t.Helper()
	f.exec(`
		with w as (update dunlin.customers set delinquent = customer_id <= $1 where delinquent <> (customer_id <= $1) returning account_id, customer_id)
		insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{delinquent}' from w`, n)
}

func (f *fixture) waiting() string {
	f.t.Helper()
	w, err := segments.Waiting(f.t.Context(), f.pool)
	if err != nil {
		f.t.Fatal(err)
	}
	return fmt.Sprint(w)
}

func (f *fixture) accept(name string) error {
	return pgx.BeginFunc(f.t.Context(), f.pool, func(tx pgx.Tx) error { return segments.Accept(f.t.Context(), tx, name) })
}

// TestWatch_waits holds that a segment that empties, or balloons, makes its
// campaigns wait until somebody accepts it, and that its members are exact.
func TestWatch_waits(t *testing.T) {
	t.Parallel()
	for _, to := range []int{0, 23, 37, 40} {
		t.Run(fmt.Sprint("to ", to), func(t *testing.T) {
			t.Parallel()
			f := banded(t)
			same(t, "a new list", []string{f.waiting(), f.stored("owing").Waits}, []string{"map[]", ""})
			if err := f.accept("owing"); err == nil || !strings.Contains(err.Error(), `"owing" does not wait`) {
				t.Errorf("accepting nothing\n got %v", err)
			}
			f.now = monday.Add(30 * time.Minute)
			f.owing(to)
			f.tick()
			says := fmt.Sprintf("30 members became %d at 2026-03-02 12:30", to)
			if s := f.stored("owing"); !strings.Contains(s.Waits, says) || s.Members != int64(to) || f.waiting() != "map[owing:true]" {
				t.Errorf("to %d\n got %q, %d members\nwant %q", to, s.Waits, s.Members, says)
			}
			f.owing(30) // back, which does not end it
			if tick := f.next(); tick.Whole["owing"] || f.stored("owing").Waits == "" {
				t.Errorf("before somebody accepts it\n got %+v", tick)
			}
			if err := f.accept("owing"); err != nil {
				t.Fatal(err)
			}
			if work, err := segments.LookForWork(t.Context(), f.pool); err != nil || !work.Lists {
				t.Errorf("accepted, which a tick has to follow\n got %v (%v)", work, err)
			}
			tick := f.next()
			same(t, "accepted", []any{tick.Whole, f.waiting(), f.stored("owing").Waits}, []any{map[string]bool{"owing": true}, "map[]", ""})
			if tick = f.next(); len(tick.Whole) > 0 {
				t.Errorf("a tick later\n got %+v\nwant nothing whole", tick)
			}
			f.owing(20)
			f.next()
			same(t, "the next time", strings.Contains(f.stored("owing").Waits, "30 members became 20"), true)
		})
	}
}

// TestWatch_adds holds that a jump in several ticks is one, and that growth over
// days is none.
func TestWatch_adds(t *testing.T) {
	t.Parallel()
	t.Run("a jump in steps", func(t *testing.T) {
		t.Parallel()
		f := banded(t)
		for i, n := range []int{27, 25, 24} {
			f.owing(n)
			f.next()
			same(t, fmt.Sprint("step ", i), f.stored("owing").Waits, "")
		}
		f.owing(23)
		f.next()
		same(t, "more than a fifth", strings.Contains(f.stored("owing").Waits, "30 members became 23"), true)
	})
	t.Run("over days", func(t *testing.T) {
		t.Parallel()
		f := banded(t)
		for _, n := range []int{27, 24, 21, 18, 15, 12, 9, 6, 3, 0, 4, 8, 12} {
			f.now = f.now.Add(12 * time.Hour)
			f.owing(n)
			f.tick()
			same(t, fmt.Sprint("at ", n), f.stored("owing").Waits, "")
		}
	})
	t.Run("after a quiet day", func(t *testing.T) {
		t.Parallel()
		f := banded(t)
		f.now = f.now.Add(24 * time.Hour)
		f.owing(10)
		f.tick()
		same(t, "compared with the last number", strings.Contains(f.stored("owing").Waits, "30 members became 10"), true)
	})
	t.Run("after a slow change", func(t *testing.T) {
		t.Parallel()
		f := banded(t)
		f.now = f.now.Add(30 * time.Minute)
		f.owing(25)
		f.tick()
		f.now = f.now.Add(5 * time.Hour)
		f.tick()
		f.now = f.now.Add(5 * time.Hour)
		f.owing(20)
		f.tick()
		same(t, "compared with the number of an hour ago", f.stored("owing").Waits, "")
	})
}

// TestWatch_edits holds that nobody is asked about what an edit does.
func TestWatch_edits(t *testing.T) {
	t.Parallel()
	f := banded(t)
	f.edit("owing", "not delinquent and stripe_id = 'cus_031'")
	f.settle()
	same(t, "edited", []string{f.members("owing"), f.stored("owing").Waits}, []string{"031", ""})
	f.edit("owing", "delinquent")
	f.chunk = 7
	f.settle()
	same(t, "and back, in chunks", f.stored("owing").Waits, "")
	f.owing(10)
	f.next()
	same(t, "but a jump after it", strings.Contains(f.stored("owing").Waits, "30 members became 10"), true)
}

// TestWatch_parents holds that a jump of a parent is one of its child, too.
func TestWatch_parents(t *testing.T) {
	t.Parallel()
	f := banded(t)
	f.names = []string{"owing"}
	f.edit("child", "in segment 'owing'")
	f.settle()
	f.edit("owing", "delinquent and plan = 'x'")
	f.settle()
	same(t, "edited", []string{f.stored("owing").Waits, f.members("child")}, []string{"", ""})
	same(t, "what nobody was shown", strings.Contains(f.stored("child").Waits, "30 members became 0"), true)
}

func TestAccept_unknown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.accept("none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("got %v", err)
	}
}

// TestAudit_repairs holds that an audit finds what is wrong in a list, repairs
// and logs it, and says so to operators without names of people.
func TestAudit_repairs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"owing"}
	f.crowd(10, "delinquent, email", "n <= 5, 'person' || n || '@example.com'")
	f.edit("owing", "delinquent")
	f.edit("child", "not in segment 'owing'")
	f.settle()
	f.exec(`delete from dunlin.members m using dunlin.segments s where s.generation = m.generation and s.name = 'owing' and customer_id in (1, 2)`)
	f.exec(`insert into dunlin.members (account_id, customer_id, generation, joined_at) select $1, 9, generation, $2 from dunlin.segments where name = 'owing'`, f.account, f.now)
	f.exec(`delete from dunlin.membership_log`)

	var out bytes.Buffer
	ticker := f.ticker()
	ticker.Logger = slog.New(slog.NewTextHandler(&out, nil))
	moved := ""
	ticker.After = func(ctx context.Context, tx pgx.Tx, tick segments.Tick) error {
		moved = fmt.Sprint(tick.Moved, tick.Joined, tick.Left)
		return nil
	}
	f.now = f.now.Add(time.Second)
	audits, err := ticker.Audit(t.Context(), "owing")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the report", audits, []segments.Audit{{Segment: "owing", Members: 5, Missing: 2, Surplus: 1}})
	same(t, "repaired", []string{f.members("owing"), f.log("owing"), moved}, []string{"001 002 003 004 005", "+001 +002 -009", "map[owing:3] 2 1"})
	same(t, "the child was right", []string{f.members("child"), f.log("child")}, []string{"006 007 008 009 010", ""})
	s := f.stored("owing")
	same(t, "what is stored", []any{s.Drift, s.Members, s.AuditedAt.Equal(f.now)}, []any{int64(3), int64(5), true})
	if line := out.String(); strings.Count(line, "level=ERROR") != 1 || !strings.Contains(line, "missing=2") || !strings.Contains(line, "surplus=1") ||
		!strings.Contains(line, "segment=owing") || strings.Contains(line, "person") || strings.Contains(line, "cus_") {
		t.Errorf("the log\n got %s\nwant one error, without names of people", line)
	}
	out.Reset()
	f.now = f.now.Add(time.Second)
	audits, err = ticker.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "again, of all", audits, []segments.Audit{{Segment: "owing", Members: 5}, {Segment: "child", Members: 5}})
	same(t, "nothing to say", out.String(), "")
}

// TestAudit_unasked holds that each list is audited daily, one in a tick.
func TestAudit_unasked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(10, "delinquent", "n <= 5")
	f.edit("a", "delinquent")
	f.edit("b", "not delinquent")
	f.edit("scheduled", "delinquent")
	f.exec(`update dunlin.segment_versions set evaluate = 'every 9 days at 00:00' where name = 'scheduled'`)
	f.settle()
	f.exec(`delete from dunlin.members where customer_id in (1, 6)`)
	f.now = monday.Add(24 * time.Hour)
	if tick := f.tick(); len(tick.Audits) != 0 {
		t.Errorf("within a day of its list\n got %+v", tick.Audits)
	}
	for _, want := range []string{"a", "b", ""} {
		tick := f.next()
		got := ""
		for _, a := range tick.Audits {
			got += a.Segment
		}
		same(t, "audited", got, want)
	}
	same(t, "repaired", []string{f.members("a"), f.members("b"), f.members("scheduled")}, []string{"001 002 003 004 005", "006 007 008 009 010", "002 003 004 005"})
	for _, name := range []string{"a", "b"} {
		same(t, "members of "+name, f.stored(name).Members, int64(5))
	}
}

// TestAudit_whileBuilding holds that a list that is being built, or told of, is
// left out.
func TestAudit_whileBuilding(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(10, "delinquent", "n <= 5")
	f.edit("s", "delinquent")
	f.settle()
	f.chunk = 3
	f.edit("s", "not delinquent")
	f.next()
	audit := func() (n int) {
		f.now = f.now.Add(time.Second)
		audits, err := f.ticker().Audit(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range audits {
			same(t, "drift", a.Missing+a.Surplus, int64(0))
		}
		return len(audits)
	}
	same(t, "while it is built", audit(), 0)
	for more := true; more; {
		audit()
		more = f.next().More
	}
	same(t, "then", audit(), 1)
	f.tidy()
}

// TestWatch_time holds that what time alone moves is no jump, at once or in a
// list that is built anew, also in a segment that names the one it moves in; and
// that what data moves at the same time is.
func TestWatch_time(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(*fixture){
		"one by one": func(*fixture) {},
		"built anew": func(f *fixture) {
			f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{*}' from dunlin.customers, generate_series(1, 2000)`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := banded(t)
			f.names = []string{"past"}
			f.exec(`update dunlin.customers set next_charge_at = $1`, monday.Add(3*time.Hour))
			f.edit("past", "next_charge_at < now()")
			f.edit("child", "not in segment 'past'")
			f.edit("owing-past", "delinquent and next_charge_at < now()")
			f.settle()
			f.now = monday.Add(4 * time.Hour)
			build(f)
			f.settle()
			same(t, "members", []int64{f.stored("past").Members, f.stored("child").Members, f.stored("owing-past").Members}, []int64{f.stored("past").Members, 0, 30})
			waiting := f.waiting()
			if name == "one by one" {
				same(t, "time alone", waiting, "map[]")
			} else if strings.Contains(waiting, "past:") {
				t.Errorf("time alone, built anew\n got %s\nwant neither past nor owing-past", waiting)
			}
			f.owing(2)
			f.next()
			same(t, "and data", strings.Contains(f.stored("owing-past").Waits, "30 members became 2"), true)
		})
	}
}
