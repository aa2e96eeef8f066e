package segments_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

// crowd inserts customers named 001 and on, with columns as expressions of n,
// and the news of them.
func (f *fixture) crowd(n int, columns, values string) {
	f.t.Helper()
	f.exec(`
		with new as (
			insert into dunlin.customers (account_id, stripe_id, projected_at, `+columns+`)
			select $1, 'cus_' || to_char(n, 'FM000'), $2, `+values+` from generate_series(1, $3::int) n returning account_id, customer_id)
		insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{*}' from new`, f.account, f.now, n)
}

// put changes a column of a customer by name, and tells of that column.
func (f *fixture) put(name, column string, value any) {
	f.t.Helper()
	f.exec(`
		with w as (update dunlin.customers set `+column+` = $2 where stripe_id = 'cus_' || $1 returning account_id, customer_id)
		insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, array[$3] from w`, name, value, column)
}

func (f *fixture) edit(name, source string) { f.t.Helper(); f.save(f.parse(name, source)) }

// next is a tick a second later.
func (f *fixture) next() segments.Tick {
	f.t.Helper()
	f.now = f.now.Add(time.Second)
	return f.tick()
}

// settle ticks until no list is being built or told of, and returns how often.
func (f *fixture) settle() (ticks int) {
	f.t.Helper()
	for ticks = 1; f.next().More; ticks++ {
		if ticks > 1000 {
			f.t.Fatal("it never settles")
		}
	}
	f.tidy()
	return ticks
}

// tidy holds that nothing is left of lists that are not in force, and that
// the log of every customer is a join, a leave, a join … which ends with what
// is so now.
func (f *fixture) tidy() {
	f.t.Helper()
	var rest, faults string
	f.row(&rest, `
		select concat_ws('; ', (select string_agg('list of ' || segment || ' is ' || state, ', ') from dunlin.generations where state <> 'live'),
		                 (select string_agg(name || ' is not told of', ', ') from dunlin.segments where told_customer is not null or replaced is not null),
		                 (select count(*) || ' members of no list' from dunlin.members m where not exists (
		                  select from dunlin.segments s where s.generation = m.generation) having count(*) > 0))`)
	same(f.t, "what is left", rest, "")
	f.row(&faults, `
		with moves as (
			select segment, customer_id, tick_id, change, lag(change, 1, 'leave') over w as before, lead(change) over w as after
			from dunlin.membership_log where change <> 'episode' window w as (partition by segment, customer_id order by tick_id)),
		ends as (select segment, customer_id from moves where after is null and change = 'join'),
		lists as (select s.name as segment, m.customer_id from dunlin.members m join dunlin.segments s using (generation))
		select concat_ws('; ',
			(select string_agg(format('%s of customer %s twice in %s', change, customer_id, segment), ', ') from moves where before = change),
			(select string_agg(format('customer %s of %s joined by the log only', customer_id, segment), ', ') from (select * from ends except select * from lists) x),
			(select string_agg(format('customer %s of %s is not in the log', customer_id, segment), ', ') from (select * from lists except select * from ends) x))`)
	same(f.t, "the log", faults, "")
}

// stored is what the store says of a segment.
func (f *fixture) stored(name string) segments.Stored {
	f.t.Helper()
	list, err := segments.List(f.t.Context(), f.pool)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	f.t.Fatal("no segment " + name)
	return segments.Stored{}
}

func (f *fixture) count(sql string, args ...any) (n int) {
	f.t.Helper()
	f.row(&n, sql, args...)
	return n
}

// list is the generation in force.
func (f *fixture) list(name string) (n int) {
	f.t.Helper()
	return f.count(`select coalesce(generation, 0) from dunlin.segments where name = $1`, name)
}

func TestBuild_isSilentUntilComplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.chunk = 7
	f.crowd(100, "delinquent", "n % 2 = 0")
	f.edit("owing", "delinquent")
	ticker := f.ticker()
	told := map[int64]int{}
	most := 0
	ticker.After = func(ctx context.Context, tx pgx.Tx, tick segments.Tick) error {
		rows, err := tx.Query(ctx, `select customer_id from dunlin.membership_log where tick_id = $1 and change = 'join'`, tick.ID)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		for _, id := range ids {
			told[id]++
		}
		most = max(most, len(ids))
		if int64(len(ids)) != tick.Joined || tick.Moved["owing"] != tick.Joined {
			t.Errorf("the log of a tick\n got %d lines\nwant %d, as it says, and %d moves", len(ids), tick.Joined, tick.Moved["owing"])
		}
		return err
	}
	passes, tells := 0, 0
	for more := true; more; {
		f.now = f.now.Add(time.Second)
		tick, err := ticker.Tick(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		more = tick.More
		s := f.stored("owing")
		if s.EvaluatedAt == nil {
			passes++
			same(t, "while it is built", []any{f.members("owing"), f.log("owing"), s.Building, s.Members, tick.More}, []any{"", "", "new", int64(0), true})
			continue
		}
		tells++
		same(t, "once it is complete", []any{len(strings.Fields(f.members("owing"))), s.Building, s.Members}, []any{50, "", int64(50)})
	}
	f.tidy()
	if passes < 13 || passes > 15 || tells < 50/7 || tells > 10 || most > 7 {
		t.Errorf("ticks\n got %d to build and %d to tell, of %d at most\nwant about 14 and 8, of 7", passes, tells, most)
	}
	for id, n := range told {
		if n != 1 {
			t.Errorf("customer %d is told of %d times", id, n)
		}
	}
	same(t, "everybody is told of", len(told), 50)
}

// TestBuild_crashes holds that a tick that fails leaves nothing behind, and that
// whatever it was to do is done by those that follow.
func TestBuild_crashes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.chunk = 6
	f.crowd(40, "delinquent, plan", "n % 2 = 0, case when n % 3 = 0 then 'Pro' end")
	f.edit("owing", "delinquent")
	ticker := f.ticker()
	boom := errors.New("boom")
	dice := rand.New(rand.NewPCG(1, 2))
	crashes := 0
	ticker.After = func(context.Context, pgx.Tx, segments.Tick) error {
		if dice.IntN(2) == 0 {
			crashes++
			return boom
		}
		return nil
	}
	run := func() {
		for more := true; more; {
			f.now = f.now.Add(time.Second)
			if dice.IntN(3) == 0 {
				f.put(fmt.Sprintf("%03d", 1+dice.IntN(40)), "delinquent", dice.IntN(2) == 0)
			}
			tick, err := ticker.Tick(t.Context())
			if err != nil && !errors.Is(err, boom) {
				t.Fatal(err)
			}
			more = err != nil || tick.More
		}
		f.tidy()
	}
	run()
	same(t, "members", len(strings.Fields(f.members("owing"))), f.count(`select count(*) from dunlin.customers where delinquent`))
	f.edit("owing", "plan = 'Pro'")
	run()
	same(t, "members of the next version", len(strings.Fields(f.members("owing"))), 13)
	if crashes < 10 {
		t.Errorf("only %d crashes", crashes)
	}
}

// TestEdit_isADifference holds that an edited segment keeps the members of its
// old version, by its old rule, until the new list is complete; that only who is
// not in both is told of, and that who stays keeps the instant of joining.
func TestEdit_isADifference(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(24, "delinquent, plan", "n % 2 = 0, case when n % 3 = 0 then 'Pro' end")
	f.edit("s", "delinquent")
	f.settle()
	f.exec(`truncate dunlin.membership_log`)
	before := f.list("s")
	f.chunk = 5
	f.edit("s", "plan = 'Pro'")
	f.next()
	f.put("001", "delinquent", true)
	f.put("002", "delinquent", false)
	f.put("003", "plan", nil)
	f.put("021", "plan", nil)
	f.next()
	same(t, "while it is built, by the old rule", f.members("s"), "001 004 006 008 010 012 014 016 018 020 022 024")
	same(t, "and its log", []string{f.log("s"), f.stored("s").Building}, []string{"+001 -002", "edited"})
	for n := 0; f.list("s") == before; n++ {
		f.next()
		if n > 20 {
			t.Fatal("the list is never complete")
		}
	}
	same(t, "the new list", f.members("s"), "006 009 012 015 018 024")
	for f.next().More {
	}
	// Of the log itself, because it was emptied.
	same(t, "the difference", f.log("s"), "+001 -002 -001 -004 -008 +009 -010 -014 +015 -016 -020 -022")
	same(t, "who stays has joined then", f.count(`
		select count(*) from dunlin.segment_members where joined_at = $1 and stripe_id in ('cus_006', 'cus_012', 'cus_018', 'cus_024')`, monday.Add(time.Second)), 4)
}

// TestEdit_staysWhoChanges holds that a member of both versions has not joined
// again because something of theirs changed while the new list was built.
func TestEdit_staysWhoChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(12, "delinquent", "true")
	f.edit("s", "delinquent")
	f.settle()
	f.chunk = 3
	f.edit("s", "delinquent and not (plan = 'x')")
	f.next()
	f.put("001", "plan", "Pro") // passed already
	f.put("012", "plan", "Pro") // not yet
	f.settle()
	same(t, "nobody moved", f.log("s"), "+001 +002 +003 +004 +005 +006 +007 +008 +009 +010 +011 +012")
	same(t, "who joined at the first tick", f.count(`select count(*) from dunlin.segment_members where joined_at = $1`, monday.Add(time.Second)), 12)
}

func TestEdit_backAndForth(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(20, "delinquent, plan", "n % 2 = 0, case when n % 3 = 0 then 'Pro' end")
	f.edit("s", "delinquent")
	f.settle()
	list, log := f.list("s"), f.log("s")
	f.chunk = 4
	f.edit("s", "plan = 'Pro'")
	f.next()
	f.next()
	f.edit("s", "delinquent")
	f.settle()
	same(t, "as it was", []any{f.list("s"), f.log("s"), f.stored("s").Version}, []any{list, log, 3})

	f.edit("s", "plan = 'Pro'")
	f.next()
	f.edit("s", "plan is null")
	f.next()
	f.put("003", "plan", nil)
	f.next()
	f.edit("s", "plan = 'Pro' and not delinquent")
	f.settle()
	same(t, "the last one", f.members("s"), "009 015")
	same(t, "nothing of those between", strings.TrimPrefix(f.log("s"), log), " -002 -004 -006 -008 +009 -010 -012 -014 +015 -016 -018 -020")
}

// tellingHalf has 20 customers, of whom 11 to 20 join and 1 to 10 leave by an
// edit, and of whom half have been told of.
func tellingHalf(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.crowd(20, "delinquent", "n % 2 = 0")
	f.edit("s", "delinquent")
	f.settle()
	f.exec(`truncate dunlin.membership_log`)
	f.chunk = 20
	f.edit("s", "not delinquent")
	f.next()
	same(t, "passed, and nobody told of", []any{f.stored("s").Building, f.log("s")}, []any{"edited", ""})
	f.chunk = 3
	f.next()
	same(t, "complete", f.stored("s").Building, "")
	same(t, "the first are told of", f.log("s"), "+001 -002 +003 -004 +005")
	return f
}

// TestTell_whoMovesMeanwhile holds that who comes and goes before being told of
// is told of by the difference it makes in the end.
func TestTell_whoMovesMeanwhile(t *testing.T) {
	t.Parallel()
	f := tellingHalf(t)
	f.put("001", "delinquent", true)  // joined, told of
	f.put("002", "delinquent", false) // left, told of
	f.put("019", "delinquent", true)  // joined, and is not told of: never did
	f.put("020", "delinquent", false) // left, and is not told of: never did
	f.put("017", "delinquent", true)
	f.chunk = 1
	f.next()
	f.put("017", "delinquent", false) // and joined again
	f.chunk = 5
	for f.next().More {
	}
	same(t, "members", f.members("s"), "002 003 005 007 009 011 013 015 017 020")
	for _, name := range []string{"019", "020"} {
		if strings.Contains(f.log("s"), name) {
			t.Errorf("%s moved and came back before being told of\n got %s", name, f.log("s"))
		}
	}
	same(t, "lines", len(strings.Fields(f.log("s"))), 5+2+13)
}

// TestTell_episodes holds that the log tells of no episode of somebody whose
// joining it has not told of.
func TestTell_episodes(t *testing.T) {
	t.Parallel()
	f := tellingHalf(t)
	f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes)
		select account_id, customer_id, '{invoices}' from dunlin.customers where stripe_id in ('cus_003', 'cus_019')`)
	f.chunk = 1
	f.next()
	if log := f.log("s"); !strings.Contains(log, "~003") || strings.Contains(log, "~019") {
		t.Errorf("episodes\n got %s\nwant that of 003, and not of 019 who has not joined yet", log)
	}
}

// TestTell_beforeAParentIsThere holds that who joined is told of although the
// segment was edited to name one that has no list, and may never have; the
// campaigns of the old version are looked after like any others.
func TestTell_beforeAParentIsThere(t *testing.T) {
	t.Parallel()
	f := tellingHalf(t)
	f.names = []string{"broken"}
	f.edit("broken", "delinquent")
	f.exec(`update dunlin.segment_versions set rule = 'delinqent' where name = 'broken'`)
	f.edit("s", "in segment 'broken'")
	f.exec(`insert into dunlin.workspace values (1, $1, $2)`, "kind: workspace\nzone: UTC\ncurrency: usd\nunusual_change: {customers: 3, share: 20%}\n", f.now)
	for range 10 {
		f.next()
	}
	same(t, "everybody is told of", len(strings.Fields(f.log("s"))), 20)
	f.put("001", "delinquent", true)
	f.put("003", "delinquent", true)
	f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{card_id}' from dunlin.customers where stripe_id = 'cus_005'`)
	f.next()
	same(t, "who leaves, and another card", strings.HasSuffix(f.log("s"), " -001 -003 ~005"), true)
	f.owing(20)
	f.next()
	same(t, "nobody is left, which is unusual", []any{f.members("s"), f.stored("s").Waits != ""}, []any{"", true})
}

func TestEdit_whileTelling(t *testing.T) {
	t.Parallel()
	f := tellingHalf(t)
	f.edit("s", "not delinquent and stripe_id != 'cus_001' and stripe_id != 'cus_019' or stripe_id = 'cus_020'")
	for f.next().More {
	}
	same(t, "members", f.members("s"), "003 005 007 009 011 013 015 017 020")
	log := f.log("s")
	for name, want := range map[string]int{"001": 2, "003": 1, "004": 1, "018": 1} {
		if got := strings.Count(log, name); got != want {
			t.Errorf("lines of %s\n got %d in %s\nwant %d", name, got, log, want)
		}
	}
	same(t, "nothing is left", f.count(`select count(*) from dunlin.generations`), 1)
	same(t, "nor rows", f.count(`select count(*) from dunlin.members`), 9)
}

func TestEdit_descriptionOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(10, "delinquent", "true")
	f.edit("s", "delinquent")
	f.settle()
	list := f.list("s")
	s := f.parse("s", "delinquent")
	s.Description = "who owes"
	f.save(s)
	f.chunk = 2
	if tick := f.next(); tick.More || tick.Joined+tick.Left > 0 {
		t.Errorf("another description\n got %+v\nwant nothing to do", tick)
	}
	same(t, "the same list", []int{f.list("s"), f.count(`select version from dunlin.generations`)}, []int{list, 2})
}

// TestEdit_oldRuleOfOtherSegments holds that the members of an old version stay
// exact when its rule names a segment that the new one does not.
func TestEdit_oldRuleOfOtherSegments(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"z"}
	f.crowd(10, "plan", "case when n < 3 then 'Pro' end")
	f.edit("z", "plan = 'Pro'")
	f.edit("a", "in segment 'z'")
	f.settle()
	f.chunk = 2
	f.edit("a", "delinquent")
	f.next()
	f.put("009", "plan", "Pro")
	f.put("001", "plan", nil)
	f.next()
	same(t, "by the old rule", []string{f.stored("a").Building, f.members("z"), f.members("a")}, []string{"edited", "002 009", "002 009"})
	f.settle()
	same(t, "by the new rule", f.members("a"), "")
}

func TestSettings_buildAnew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(10, "mrr, mrr_currency, next_charge_at", "100, case when n > 5 then 'usd' else 'eur' end, '2026-03-02T23:30:00Z'::timestamptz + (n - 5) * interval '1 hour'")
	f.edit("rich", "mrr > 50")
	f.edit("today", "next_charge_at between today() and today()")
	f.settle()
	same(t, "at first", []string{f.members("rich"), f.members("today")}, []string{"006 007 008 009 010", "001 002 003 004 005"})
	f.chunk = 3
	for i, step := range []struct{ zone, currency, rich, today string }{
		{"UTC", "eur", "001 002 003 004 005", "001 002 003 004 005"},
		{"Europe/Berlin", "eur", "001 002 003 004 005", "001 002 003 004"},
		{"America/New_York", "usd", "006 007 008 009 010", "001 002 003 004 005 006 007 008 009 010"},
	} {
		f.exec(`insert into dunlin.workspace values ($1, $2, $3)`, i+1, fmt.Sprintf("kind: workspace\nzone: %s\ncurrency: %s\n", step.zone, step.currency), f.now)
		if f.settle() < 3 {
			t.Errorf("%s %s\n got one tick\nwant lists that are built anew", step.zone, step.currency)
		}
		same(t, step.zone+" "+step.currency, []string{f.members("rich"), f.members("today")}, []string{step.rich, step.today})
	}
}

func TestAccounts_becomeReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.newAccount("other", false)
	f.crowd(10, "delinquent", "n < 6")
	f.edit("s", "delinquent")
	f.settle()
	for _, name := range []string{"x", "y", "z"} {
		f.customer(other, name, map[string]any{"delinquent": name != "z"})
	}
	f.next()
	f.exec(`update dunlin.accounts set ready_at = $1 where account_id = $2`, f.now, other)
	f.chunk = 4
	f.next()
	f.put("001", "delinquent", false)
	f.next()
	same(t, "the first account goes on", []string{f.members("s"), f.stored("s").Building}, []string{"002 003 004 005", "accounts"})
	f.settle()
	same(t, "both", f.members("s"), "002 003 004 005 x y")
}

// TestAccounts_becomeUnready holds honest-mirror: while the data of an account
// is projected again nobody moves, and what happened meanwhile is not forgotten.
func TestAccounts_becomeUnready(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "a", map[string]any{"delinquent": true})
	f.customer(f.account, "b", nil)
	f.edit("s", "delinquent")
	f.settle()
	f.exec(`update dunlin.accounts set ready_at = null`)
	f.put("a", "delinquent", false)
	f.next()
	f.put("b", "delinquent", true)
	f.next()
	same(t, "nobody moves", []string{f.members("s"), f.log("s")}, []string{"a", "+a"})
	f.exec(`update dunlin.accounts set ready_at = $1`, f.now)
	f.next()
	same(t, "then", []string{f.members("s"), f.log("s")}, []string{"b", "+a -a +b"})
}

// TestAccounts_timeWhileUnready holds that bounds that passed while an account
// was unready are not forgotten.
func TestAccounts_timeWhileUnready(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "a", map[string]any{"next_charge_at": monday.Add(time.Hour)})
	f.edit("past", "next_charge_at < now()")
	f.settle()
	f.exec(`update dunlin.accounts set ready_at = null`)
	f.now = monday.Add(2 * time.Hour)
	f.tick()
	same(t, "nobody moves", f.members("past"), "")
	f.exec(`update dunlin.accounts set ready_at = $1`, f.now)
	f.next()
	same(t, "then", f.members("past"), "a")
}

// TestAccounts_unreadyWhileBuilding is the same for a first list.
func TestAccounts_unreadyWhileBuilding(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(10, "next_charge_at", "'2026-03-02T13:00:00Z'::timestamptz")
	f.edit("past", "next_charge_at < now()")
	f.chunk = 3
	f.next()
	f.exec(`update dunlin.accounts set ready_at = null`)
	f.now = monday.Add(2 * time.Hour)
	f.tick()
	f.exec(`update dunlin.accounts set ready_at = $1`, f.now)
	f.settle()
	same(t, "everybody", len(strings.Fields(f.members("past"))), 10)
}

func TestParents_areBuiltFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"parent", "child"}
	f.crowd(10, "delinquent", "n < 4")
	f.edit("child", "not in segment 'parent'")
	f.edit("grandchild", "in segment 'child'")
	f.edit("parent", "delinquent")
	f.chunk = 4
	for f.list("parent") == 0 {
		f.next()
		if f.list("parent") == 0 {
			same(t, "nobody is in it before it is known who is in those", []any{f.list("child"), f.list("grandchild"), f.log("child")}, []any{0, 0, ""})
		}
	}
	f.settle()
	same(t, "members", []string{f.members("child"), f.members("grandchild")}, []string{"004 005 006 007 008 009 010", "004 005 006 007 008 009 010"})
	same(t, "nobody left", strings.Contains(f.log("child")+f.log("grandchild"), "-"), false)

	// Both levels follow an edit of the parent.
	f.edit("parent", "stripe_id in ('cus_001', 'cus_009')")
	f.settle()
	same(t, "members then", []string{f.members("child"), f.members("grandchild")}, []string{"002 003 004 005 006 007 008 010", "002 003 004 005 006 007 008 010"})
	if log := f.log("grandchild"); strings.Count(log, "009") != 2 || strings.Count(log, "008") != 1 {
		t.Errorf("the log of the grandchild\n got %s\nwant one line of 008, and 009 joining and leaving", log)
	}
}

// TestParents_builtAnewWhileChildIsBuilt holds that a list whose parent was
// replaced while it was built tells of nobody who is not in it.
func TestParents_builtAnewWhileChildIsBuilt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"a-parent"}
	f.crowd(12, "delinquent, plan", "n < 7, case when n > 6 then 'Pro' end")
	f.edit("a-parent", "delinquent")
	f.settle()
	f.chunk = 4
	f.edit("child", "in segment 'a-parent'")
	f.next()
	f.edit("a-parent", "plan = 'Pro'")
	for n := 0; n < 40 && f.next().More; n++ {
	}
	f.tidy()
	same(t, "members", f.members("child"), "007 008 009 010 011 012")
	if log := f.log("child"); strings.Contains(log, "-") || strings.Contains(log, "+001") {
		t.Errorf("the child's log\n got %s\nwant only who is in the parent as edited", log)
	}
}

// TestNews_tooMuchWhileBuilding holds that a list that changes have passed by is
// not put in force: nobody joins for whom the rule is not true.
func TestNews_tooMuchWhileBuilding(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(10, "delinquent", "n < 6")
	f.edit("s", "delinquent")
	f.chunk = 5
	f.next()
	f.exec(`update dunlin.customers set delinquent = not delinquent`)
	f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{delinquent}' from dunlin.customers, generate_series(1, 6000)`)
	f.settle()
	same(t, "members", f.members("s"), "006 007 008 009 010")
	same(t, "only they ever joined", f.log("s"), "+006 +007 +008 +009 +010")
}

// TestTick_besideEdits holds that ticks and those who store definitions, several
// at once, do not fail for each other.
func TestTick_besideEdits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.chunk = 8
	f.crowd(20, "delinquent, plan", "n % 2 = 0, case when n % 3 = 0 then 'Pro' end")
	names := []string{"a", "b", "c", "d"}
	rules := []*rule.Rule{f.parse("x", "delinquent").Rule, f.parse("x", "plan = 'Pro'").Rule, f.parse("x", "not delinquent").Rule}
	for _, name := range names {
		f.edit(name, "delinquent")
	}
	ctx := context.WithoutCancel(t.Context())
	dice := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		done := make(chan error)
		order := dice.Perm(len(names))[:2]
		go func() {
			done <- pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
				for _, i := range order {
					if _, err := segments.Save(ctx, tx, segments.Segment{Name: names[i], Rule: rules[(i+order[0]+order[1])%len(rules)]}, monday); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		f.next()
		if err := <-done; err != nil {
			t.Error("storing:", err)
		}
	}
	f.settle()
	for _, name := range names {
		s := f.stored(name)
		n, err := f.ask().Count(ctx, f.parse("x", strings.TrimSpace(s.Source)).Rule)
		same(t, fmt.Sprint(name, " by ", s.Source, " ", err), s.Members, n)
	}
}

// TestCrossings_tooMany holds that a bound that passes more customers than are
// looked at one by one moves each of them once.
func TestCrossings_tooMany(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"past"}
	f.exec(`insert into dunlin.customers (account_id, stripe_id, projected_at, next_charge_at) select $1, 'cus_' || n, $2, $2::timestamptz + interval '1 hour' from generate_series(1, 20500) n`, f.account, monday)
	f.edit("past", "next_charge_at < now()")
	f.edit("rest", "not in segment 'past'")
	f.settle()
	f.now = monday.Add(2 * time.Hour)
	f.settle()
	same(t, "all moved", []int64{f.stored("past").Members, f.stored("rest").Members}, []int64{20500, 0})
	same(t, "each once", f.count(`select count(*) from dunlin.membership_log where segment = 'past'`), 20500)
	same(t, "and back", f.count(`select count(*) from dunlin.membership_log where segment = 'rest' and change = 'leave'`), 20500)
}

// TestRehearse_buildsWhole holds that a rehearsal says what all the ticks would
// do that the lists still need.
func TestRehearse_buildsWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"owing"}
	f.crowd(40, "delinquent", "n % 2 = 0")
	f.edit("owing", "delinquent")
	f.edit("fine", "not in segment 'owing'")
	f.chunk = 6
	f.next()
	for range 3 {
		tick, err := f.ticker().Rehearse(t.Context(), f.now)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "a rehearsal", []any{tick.Joined, tick.Left, tick.More, tick.Moved}, []any{int64(40), int64(0), false, map[string]int64{"owing": 20, "fine": 20}})
		f.next()
	}
	f.settle()
	same(t, "and the ticks", len(strings.Fields(f.log("owing")+" "+f.log("fine"))), 40)
}

// TestTick_besideEditsInAnotherOrder holds that a tick which waits for somebody
// who stores a definition, and who then waits for the tick, begins again.
func TestTick_besideEditsInAnotherOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(4, "delinquent", "n % 2 = 0")
	f.edit("a", "delinquent")
	f.edit("b", "delinquent")
	ctx := context.WithoutCancel(t.Context())
	done := make(chan error, 1)
	err := pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		if _, err := segments.Save(ctx, tx, f.parse("b", "not delinquent"), monday); err != nil {
			return err
		}
		go func() { _, err := f.ticker().Tick(ctx); done <- err }()
		for f.count(`select count(*) from pg_locks where not granted and pid in (select pid from pg_stat_activity where datname = current_database())`) == 0 {
		}
		_, err := segments.Save(ctx, tx, f.parse("a", "not delinquent"), monday)
		return err
	})
	if tickErr := <-done; err != nil || tickErr != nil {
		t.Errorf("storing b and then a beside a tick\n got %v, and the tick %v\nwant neither to fail", err, tickErr)
	}
}

// TestCycle_isAFault holds that segments that come back to themselves keep their
// members and say the way, and that what others need goes on.
func TestCycle_isAFault(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"a", "b", "c"}
	f.crowd(6, "delinquent", "n < 4")
	f.edit("a", "delinquent")
	f.edit("b", "in segment 'a'")
	f.edit("c", "in segment 'b'")
	f.edit("other", "not delinquent")
	f.settle()
	f.exec(`insert into dunlin.segment_versions (name, version, description, rule, created_at) values ('a', 2, '', 'in segment ''c'' or delinquent', $1)`, f.now)
	f.exec(`update dunlin.segments set version = 2 where name = 'a'`)
	f.put("001", "delinquent", false)
	f.next()
	for name, way := range map[string]string{"a": "a → c → b → a", "b": "b → a → c → b", "c": "c → b → a → c"} {
		if s := f.stored(name); !strings.Contains(s.Fault, way) {
			t.Errorf("%s\n got fault %q\nwant the way %s", name, s.Fault, way)
		}
		same(t, name+" keeps its members", f.members(name), "001 002 003")
	}
	same(t, "the others go on", f.members("other"), "001 004 005 006")
	f.edit("a", "delinquent or plan = 'x'")
	f.settle()
	for _, name := range []string{"a", "b", "c"} {
		same(t, name+" repaired", []string{f.members(name), f.stored(name).Fault}, []string{"002 003", ""})
	}
}

// TestFault_whileBuilding holds that a list misses nothing that happened while
// the rule did not check.
func TestFault_whileBuilding(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"a", "b"}
	f.crowd(10, "delinquent", "true")
	f.edit("b", "plan = 'x'")
	f.settle()
	f.edit("a", "delinquent or in segment 'b'")
	f.chunk = 4
	f.next()
	f.edit("b", "in segment 'a'")
	f.put("001", "delinquent", false)
	f.next()
	same(t, "a fault", f.stored("a").Fault != "", true)
	f.edit("b", "plan = 'x'")
	f.settle()
	same(t, "members", f.members("a"), "002 003 004 005 006 007 008 009 010")
	same(t, "only they ever joined", strings.Contains(f.log("a"), "001"), false)
}

// TestFault_isMended holds that a rule that checks again has the members it
// should have, whatever changed meanwhile.
func TestFault_isMended(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"s"}
	f.crowd(10, "delinquent", "n < 6")
	f.edit("s", "delinquent")
	f.edit("child", "in segment 's'")
	f.settle()
	f.exec(`update dunlin.segment_versions set rule = 'delinqent' where name = 's'`)
	f.put("001", "delinquent", false)
	f.next()
	same(t, "members stay", []string{f.members("s"), f.members("child")}, []string{"001 002 003 004 005", "001 002 003 004 005"})
	if f.stored("s").Fault == "" || f.stored("child").Fault != "" {
		t.Errorf("faults\n got %q and %q\nwant one of s", f.stored("s").Fault, f.stored("child").Fault)
	}
	f.exec(`update dunlin.segment_versions set rule = 'delinquent' where name = 's'`)
	f.chunk = 3
	f.settle()
	same(t, "mended", []string{f.members("s"), f.members("child"), f.stored("s").Fault}, []string{"002 003 004 005", "002 003 004 005", ""})
	same(t, "one left", f.log("child"), "+001 +002 +003 +004 +005 -001")
}
