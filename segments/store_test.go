package segments_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// monday is noon of a day that no rule of these tests cares about.
var monday = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// A fixture is a database of its own with one account that is ready.
type fixture struct {
	t       testing.TB
	pool    *pgxpool.Pool
	account int
	now     time.Time
	names   []string // of segments that rules may name
	chunk   int      // of the ticker
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, pool: pgtest.New(t), now: monday}
	f.account = f.newAccount("main", true)
	return f
}

func (f *fixture) newAccount(name string, ready bool) (id int) {
	f.t.Helper()
	f.row(&id, `insert into dunlin.accounts (name, created_at, ready_at) values ($1, $2::timestamptz, case when $3 then $2::timestamptz end) returning account_id`, name, monday, ready)
	return id
}

func (f *fixture) exec(sql string, args ...any) {
	f.t.Helper()
	if _, err := f.pool.Exec(f.t.Context(), sql, args...); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) row(into any, sql string, args ...any) {
	f.t.Helper()
	if err := f.pool.QueryRow(f.t.Context(), sql, args...).Scan(into); err != nil {
		f.t.Fatal(err)
	}
}

// customer inserts one, with columns set, and the news of it.
func (f *fixture) customer(account int, name string, columns map[string]any) (id int64) {
	f.t.Helper()
	all := map[string]any{"account_id": account, "stripe_id": "cus_" + name, "projected_at": monday}
	maps.Copy(all, columns)
	var names, marks []string
	var args []any
	for i, c := range slices.Sorted(maps.Keys(all)) {
		names, marks, args = append(names, c), append(marks, fmt.Sprintf("$%d", i+1)), append(args, all[c])
	}
	f.row(&id, `insert into dunlin.customers (`+strings.Join(names, ", ")+`) values (`+strings.Join(marks, ", ")+`) returning customer_id`, args...)
	f.changed(account, id)
	return id
}

func (f *fixture) changed(account int, id int64) {
	f.t.Helper()
	f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) values ($1, $2, '{*}')`, account, id)
}

// set changes a column of a customer, and tells.
func (f *fixture) set(id int64, column string, value any) {
	f.t.Helper()
	f.exec(`update dunlin.customers set `+column+` = $2 where customer_id = $1`, id, value)
	f.changed(f.account, id)
}

func (f *fixture) parse(name, source string) segments.Segment {
	f.t.Helper()
	docs, faults := workspace.Parse("s.yaml", []byte("kind: segment\nname: "+name+"\nrule: |\n  "+source+"\n"))
	if len(faults) > 0 {
		f.t.Fatal(faults.Explain())
	}
	s, faults := segments.Parse(docs[0], segments.Known{Names: f.names}, "usd")
	if len(faults) > 0 {
		f.t.Fatal(faults.Explain())
	}
	return s
}

func (f *fixture) save(s segments.Segment) (stored bool) {
	f.t.Helper()
	err := pgx.BeginFunc(f.t.Context(), f.pool, func(tx pgx.Tx) (err error) {
		stored, err = segments.Save(f.t.Context(), tx, s, f.now)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return stored
}

func (f *fixture) ticker() *segments.Ticker {
	return &segments.Ticker{Chunk: f.chunk, Pool: f.pool, Now: func() time.Time { return f.now }, Logger: slog.New(slog.DiscardHandler)}
}

func (f *fixture) tick() segments.Tick {
	f.t.Helper()
	t, err := f.ticker().Tick(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return t
}

// members are the Stripe ids in a segment.
func (f *fixture) members(name string) string {
	f.t.Helper()
	list, err := segments.Members(f.t.Context(), f.pool, name, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for _, m := range list {
		out = append(out, strings.TrimPrefix(m.StripeID, "cus_"))
	}
	return strings.Join(out, " ")
}

// log is who joined (+) and left (-) a segment, in order.
func (f *fixture) log(name string) string {
	f.t.Helper()
	var out string
	f.row(&out, `
		select coalesce(string_agg(case change when 'join' then '+' when 'leave' then '-' else '~' end || substr(c.stripe_id, 5), ' ' order by l.tick_id, c.stripe_id), '')
		from dunlin.membership_log l join dunlin.customers c using (account_id, customer_id) where segment = $1`, name)
	return out
}

func (f *fixture) ask() segments.Asking { return segments.Asking{DB: f.pool, Env: f.env()} }

func (f *fixture) env() rule.Env { return rule.Env{Now: f.now, Zone: time.UTC, Currency: "usd"} }

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestSave_versions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.parse("owing", "delinquent")
	for i, step := range []struct {
		rule, description string
		stored            bool
		version           int
	}{
		{"delinquent", "", true, 1}, {"delinquent", "", false, 1}, {"delinquent", "who owes", true, 2},
		{"delinquent and not deleted", "who owes", true, 3}, {"delinquent and not deleted", "who owes", false, 3}, {"delinquent", "who owes", true, 4},
	} {
		s.Rule, s.Description = f.parse("owing", step.rule).Rule, step.description
		if got := f.save(s); got != step.stored {
			t.Errorf("save %d\n got %v\nwant %v", i, got, step.stored)
		}
		got, err := segments.Load(t.Context(), f.pool, "owing", "usd")
		if err != nil || got.Version != step.version || strings.TrimSpace(got.Rule.Source()) != step.rule || got.Description != step.description {
			t.Errorf("load %d\n got version %d %q %q (%v)\nwant version %d", i, got.Version, got.Rule.Source(), got.Description, err, step.version)
		}
	}
	var versions int
	f.row(&versions, `select count(*) from dunlin.segment_versions`)
	same(t, "every version is kept", versions, 4)
	if _, err := segments.Load(t.Context(), f.pool, "none", "usd"); !errors.Is(err, workspace.ErrNotFound) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("load what is not there\n got %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer(f.account, "a", map[string]any{"delinquent": true})
	f.save(f.parse("b-second", "not delinquent"))
	f.save(f.parse("a-first", "delinquent"))
	list, err := segments.List(t.Context(), f.pool)
	if err != nil || len(list) != 2 || list[0].Name != "a-first" || list[0].EvaluatedAt != nil {
		t.Fatalf("before the first tick\n got %+v (%v)", list, err)
	}
	f.tick()
	list, err = segments.List(t.Context(), f.pool)
	if err != nil || list[0].Members != 1 || list[1].Members != 0 || list[0].EvaluatedAt == nil || !list[0].EvaluatedAt.Equal(monday) || list[0].Fault != "" {
		t.Errorf("after it\n got %+v (%v)", list, err)
	}
}

func TestCountAndPreview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 8 {
		f.customer(f.account, fmt.Sprint(i), map[string]any{"delinquent": i%2 == 0, "plan": "Pro"})
	}
	unready := f.newAccount("unready", false)
	f.customer(unready, "hidden", map[string]any{"delinquent": true, "plan": "Pro"})
	s := f.parse("owing", "delinquent")
	preview := func(s segments.Segment) segments.Change {
		c, err := f.ask().Preview(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	same(t, "before it is stored", preview(s), segments.Change{Enter: 4, EnterSample: []string{"cus_0", "cus_2", "cus_4", "cus_6"}, LeaveSample: []string{}})
	f.save(s)
	f.tick()
	same(t, "as it is", preview(s), segments.Change{EnterSample: []string{}, LeaveSample: []string{}, Members: 4, Built: true})
	same(t, "turned round", preview(f.parse("owing", "not delinquent")), segments.Change{
		Enter: 4, Leave: 4, EnterSample: []string{"cus_1", "cus_3", "cus_5", "cus_7"}, LeaveSample: []string{"cus_0", "cus_2", "cus_4", "cus_6"}, Members: 4, Built: true,
	})
	c := preview(f.parse("owing", "plan = 'Pro' and not (delinquent and stripe_id = 'cus_0')"))
	same(t, "a sample is five at most", []int{int(c.Enter), int(c.Leave), len(preview(f.parse("all", "plan is set")).EnterSample)}, []int{4, 1, 5})
	for source, want := range map[string]int64{"delinquent": 4, "plan = 'Pro'": 8, "plan = 'pro'": 0, "deleted": 0, "stripe_id in ('cus_hidden')": 0} {
		if n, err := f.ask().Count(t.Context(), f.parse("x", source).Rule); err != nil || n != want {
			t.Errorf("count %s\n got %d (%v)\nwant %d", source, n, err, want)
		}
	}
	same(t, "nothing was written", f.members("owing"), "0 2 4 6")
	if list, err := segments.Members(t.Context(), f.pool, "owing", 2); err != nil || len(list) != 2 || list[0].Account != "main" || !list[0].JoinedAt.Equal(monday) {
		t.Errorf("members, two of them\n got %+v (%v)", list, err)
	}
}

func TestParse_sortsFaults(t *testing.T) {
	t.Parallel()
	docs, faults := workspace.Parse("s.yaml", []byte("kind: segment\nzzz: 1\nname: s\nrule: plan > 3\nevaluate: x\n"))
	if len(faults) > 0 {
		t.Fatal(faults.Explain())
	}
	_, faults = segments.Parse(docs[0], segments.Known{}, "usd")
	var lines []int
	for _, x := range faults {
		lines = append(lines, x.Line)
	}
	same(t, "in file order", lines, []int{2, 4, 5})
}

func TestErrors_sayWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, list := segments.List(ctx, f.pool)
	_, count := f.ask().Count(ctx, f.parse("s", "deleted").Rule)
	_, preview := f.ask().Preview(ctx, f.parse("s", "deleted"))
	_, tick := f.ticker().Tick(ctx)
	for what, err := range map[string]error{"list segments": list, "count": count, `preview segment "s"`: preview, "tick": tick} {
		if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), what+": ") {
			t.Errorf("%s\n got %v", what, err)
		}
	}
}
