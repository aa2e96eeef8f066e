package segments_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// curious is a pool whose transactions try to write before they end.
type curious struct {
	*pgxpool.Pool
	asked *[]error
}

func (c curious) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	tx, err := c.Pool.BeginTx(ctx, o)
	return curiousTx{tx, c.asked}, err
}

type curiousTx struct {
	pgx.Tx
	asked *[]error
}

// Commit writes first, which must fail.
func (c curiousTx) Commit(ctx context.Context) error {
	_, err := c.Exec(ctx, `delete from dunlin.customers`)
	*c.asked = append(*c.asked, err)
	return c.Rollback(ctx)
}

// TestAsking_readsOnly holds that whatever a rule became, Postgres would not let
// it write (closed-language).
func TestAsking_readsOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crowd(3, "delinquent", "true")
	var asked []error
	asking := f.ask()
	asking.DB = curious{f.pool, &asked}
	s := f.parse("x", "delinquent")
	n, err := asking.Count(t.Context(), s.Rule)
	if err != nil || n != 3 {
		t.Errorf("count\n got %d (%v)\nwant 3", n, err)
	}
	if _, err := asking.Sample(t.Context(), s.Rule, 2); err != nil {
		t.Error(err)
	}
	if _, err := asking.Preview(t.Context(), s); err != nil {
		t.Error(err)
	}
	same(t, "questions", len(asked), 3)
	for _, err := range asked {
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "25006" {
			t.Errorf("a write in the transaction of a question\n got %v\nwant read_only_sql_transaction", err)
		}
	}
	same(t, "customers left", f.count(`select count(*) from dunlin.customers`), 3)
}

func TestAsking_Sample(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := f.newAccount("other", true)
	hidden := f.newAccount("hidden", false)
	for _, name := range []string{"c", "a", "b"} {
		f.customer(f.account, name, map[string]any{"delinquent": true})
	}
	f.customer(other, "0", map[string]any{"delinquent": true})
	f.customer(hidden, "1", map[string]any{"delinquent": true})
	for limit, want := range map[int]string{0: "", 1: "cus_a", 3: "cus_a cus_b cus_c", 9: "cus_a cus_b cus_c cus_0"} {
		ids, err := f.ask().Sample(t.Context(), f.parse("x", "delinquent").Rule, limit)
		if err != nil {
			t.Error(err)
		}
		same(t, fmt.Sprint("a sample of ", limit), strings.Join(ids, " "), want)
	}
}

// heavy is a fixture, and a rule about it that takes Postgres some time to plan,
// and long to answer.
func heavy(t *testing.T) (*fixture, segments.Segment) {
	t.Helper()
	f := newFixture(t)
	f.exec(`
		insert into dunlin.customers (account_id, stripe_id, projected_at, plan)
		select $1, 'cus_' || n, $2, 'Pro' from generate_series(1, 4000) n`, f.account, monday)
	f.exec(`
		insert into dunlin.charges (account_id, customer_id, id, created_at, status, amount, amount_currency)
		select account_id, customer_id, 'ch_' || i, $1::timestamptz - i * interval '1 day', 'failed', i, 'usd'
		from dunlin.customers, generate_series(1, 15) i`, monday)
	f.exec(`analyze`)
	var parts []string
	for i := range 12 {
		parts = append(parts, fmt.Sprintf("sum(charges.amount where description not ilike '%%%d%%' and created_at within last %d days) >= 0 usd", i, i+20))
	}
	return f, f.parse("heavy", strings.Join(parts, " and "))
}

// TestAsking_givesUp holds that a rule that takes too long is given up, and that
// whoever asked is told what to do, wherever in the question the time ran out.
func TestAsking_givesUp(t *testing.T) {
	t.Parallel()
	f, s := heavy(t)
	for _, most := range []float64{-1, 0} {
		for _, timeout := range []time.Duration{time.Millisecond, 3 * time.Millisecond, 20 * time.Millisecond} {
			asking := f.ask()
			asking.Timeout, asking.MaxCost = timeout, most
			_, count := asking.Count(t.Context(), s.Rule)
			_, sample := asking.Sample(t.Context(), s.Rule, 4000)
			_, preview := asking.Preview(t.Context(), s)
			for what, err := range map[string]error{"count": count, "sample": sample, `preview segment "heavy"`: preview} {
				if want := what + ": the rule took longer than " + timeout.String() + " and was given up; narrow it"; err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("within %s, cost %.0f\n got %v\nwant %s", timeout, most, err, want)
				}
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	asking := f.ask()
	asking.MaxCost = -1
	if _, err := asking.Count(ctx, s.Rule); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's own time ran out\n got %v\nwant the context's error", err)
	}
}

// TestAsking_shortTimeout holds that no time is too short to bound a question.
func TestAsking_shortTimeout(t *testing.T) {
	t.Parallel()
	f, s := heavy(t)
	asking := f.ask()
	asking.Timeout, asking.MaxCost = 100*time.Microsecond, -1
	if n, err := asking.Count(t.Context(), s.Rule); err == nil {
		t.Errorf("within %s\n got %d, without an error\nwant it given up", asking.Timeout, n)
	}
}

func TestAsking_tooDear(t *testing.T) {
	t.Parallel()
	f, s := heavy(t)
	asking := f.ask()
	asking.MaxCost = 100
	_, count := asking.Count(t.Context(), s.Rule)
	_, sample := asking.Sample(t.Context(), s.Rule, 4000)
	_, preview := asking.Preview(t.Context(), s)
	for what, err := range map[string]error{"count": count, "sample": sample, "preview": preview} {
		var dear *segments.TooDear
		if !errors.As(err, &dear) || dear.Cost <= 100 || dear.Max != 100 || !strings.Contains(err.Error(), "was not run") || !strings.Contains(err.Error(), "narrow it") {
			t.Errorf("%s\n got %v\nwant that it is too dear, and what to do", what, err)
		}
	}
	for _, most := range []float64{0, -1} {
		asking.MaxCost = most
		if n, err := asking.Count(t.Context(), f.parse("x", "plan = 'Pro'").Rule); err != nil || n != 4000 {
			t.Errorf("at most %.0f\n got %d (%v)\nwant 4000", most, n, err)
		}
	}
	same(t, "in words", (&segments.TooDear{Cost: 123.4e6, Max: 50e6}).Error(),
		"the rule would take too long to answer and was not run (Postgres reckons 123 million, and 50 is the limit); narrow it, for instance by a condition on an attribute beside the collections")
}

// TestAsking_projecting holds that nobody is told that half of the customers are
// gone while an account is projected again (honest-mirror).
func TestAsking_projecting(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.newAccount("never", false)
	f.crowd(6, "delinquent", "true")
	s := f.parse("owing", "delinquent")
	if n, err := f.ask().Count(t.Context(), s.Rule); err != nil || n != 6 {
		t.Errorf("beside an account that was never ready\n got %d (%v)\nwant 6", n, err)
	}
	f.save(s)
	f.settle()
	f.exec(`update dunlin.accounts set ready_at = null where name = 'main'`)
	_, count := f.ask().Count(t.Context(), s.Rule)
	_, sample := f.ask().Sample(t.Context(), s.Rule, 1)
	_, preview := f.ask().Preview(t.Context(), s)
	for what, err := range map[string]error{"count": count, "sample": sample, "preview": preview} {
		if err == nil || !strings.Contains(err.Error(), `account "main" are being projected again`) || !strings.Contains(err.Error(), "dunlin doctor") {
			t.Errorf("%s\n got %v\nwant a refusal that says why", what, err)
		}
	}
	f.exec(`update dunlin.accounts set ready_at = $1 where name = 'main'`, f.now)
	if n, err := f.ask().Count(t.Context(), s.Rule); err != nil || n != 6 {
		t.Errorf("when it is done\n got %d (%v)\nwant 6", n, err)
	}
}

// named loads a stored segment with the rules that its own names.
func (f *fixture) named(name string) segments.Segment {
	f.t.Helper()
	s, err := segments.Load(f.t.Context(), f.pool, name, "usd")
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) about(s segments.Segment) segments.Asking {
	asking := f.ask()
	asking.Parents = s.Parents
	return asking
}

// TestAsking_now holds that a question about a rule with in segment is about
// this moment, and not about the members of the last tick.
func TestAsking_now(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"owing", "mid"}
	f.crowd(6, "delinquent, plan", "n <= 2, case when n <= 4 then 'Pro' end")
	f.edit("owing", "delinquent")
	f.edit("mid", "in segment 'owing' or plan is null")
	f.edit("child", "in segment 'mid' and not in segment 'owing'")
	f.settle()
	same(t, "members", []string{f.members("owing"), f.members("mid"), f.members("child")}, []string{"001 002", "001 002 005 006", "005 006"})
	f.exec(`update dunlin.customers set delinquent = not delinquent`) // no tick has seen it
	child := f.named("child")
	ids, err := f.about(child).Sample(t.Context(), child.Rule, 9)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "now", strings.Join(ids, " "), "")
	f.exec(`update dunlin.customers set plan = null where stripe_id in ('cus_001', 'cus_003')`)
	if ids, err = f.about(child).Sample(t.Context(), child.Rule, 9); err != nil {
		t.Fatal(err)
	}
	same(t, "now", strings.Join(ids, " "), "cus_001")
	c, err := f.about(child).Preview(t.Context(), child)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "preview", c, segments.Change{Enter: 1, Leave: 2, EnterSample: []string{"cus_001"}, LeaveSample: []string{"cus_005", "cus_006"}, Members: 2, Built: true})
	for name, want := range map[string]bool{"001": true, "002": false, "003": false, "005": false} {
		ref := customers.Ref{Account: f.account, Customer: int64(f.count(`select customer_id from dunlin.customers where stripe_id = 'cus_' || $1`, name))}
		if got, err := segments.HoldsFor(t.Context(), f.pool, child.Rule, child.Parents, f.env(), []customers.Ref{ref}); err != nil || got[ref] != want {
			t.Errorf("of %s\n got %v (%v)\nwant %v", name, got, err, want)
		}
		answer, err := f.about(child).Explain(t.Context(), f.pool, child, ref)
		if err != nil || answer.True != want {
			t.Errorf("explain %s\n got %v (%v)\nwant %v", name, answer.True, err, want)
		}
	}
	f.settle()
	same(t, "the tick agrees", f.members("child"), "005 006") // nobody told it
	f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{*}' from dunlin.customers`)
	f.settle()
	same(t, "with the news", f.members("child"), "001")
}

// TestAsking_brokenParent holds that a question about a segment without a rule
// that checks has an error that names it.
func TestAsking_brokenParent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"broken"}
	f.crowd(2, "delinquent", "true")
	f.edit("broken", "delinquent")
	f.edit("child", "in segment 'broken'")
	f.settle()
	f.exec(`update dunlin.segment_versions set rule = 'colour = 3' where name = 'broken'`)
	if _, err := segments.Load(t.Context(), f.pool, "child", "usd"); err == nil || !strings.Contains(err.Error(), `names segment "broken", whose own rule cannot be evaluated`) {
		t.Errorf("load\n got %v", err)
	}
	_, parents, err := segments.LoadKnown(t.Context(), f.pool, "usd")
	if err != nil {
		t.Fatal(err)
	}
	asking := f.ask()
	asking.Parents = parents
	if _, err := asking.Count(t.Context(), f.parse("x", "in segment 'broken'").Rule); err == nil || !strings.Contains(err.Error(), `segment "broken"`) {
		t.Errorf("count\n got %v\nwant an error that names it", err)
	}
	if n, err := asking.Count(t.Context(), f.parse("x", "delinquent").Rule); err != nil || n != 2 {
		t.Errorf("count of what does not name it\n got %d (%v)", n, err)
	}
}

// explained is the answer about one customer by name.
func (f *fixture) explained(segment, name string) segments.Answer {
	f.t.Helper()
	s := f.named(segment)
	ref, err := customers.Find(f.t.Context(), f.pool, f.account, "cus_"+name)
	if err != nil {
		f.t.Fatal(err)
	}
	a, err := f.about(s).Explain(f.t.Context(), f.pool, s, ref)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// TestExplain_changes holds that the instant an Answer names is the one at which
// a tick lets the customer in or out, also through other segments.
func TestExplain_changes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"soon", "past"}
	at := func(d time.Duration) *time.Time { return new(monday.Add(d)) }
	f.customer(f.account, "a", map[string]any{"next_charge_at": *at(5 * time.Hour), "plan": "Pro", "last_charge_at": *at(-time.Hour)})
	f.customer(f.account, "b", map[string]any{"next_charge_at": *at(5 * time.Hour)})
	f.edit("soon", "next_charge_at within next 2 hours")
	f.edit("past", "last_charge_at before now() - 4 hours")
	f.edit("own", "next_charge_at <= now() + 30 minutes")
	f.edit("child", "plan = 'Pro' and in segment 'soon'")
	f.edit("both", "in segment 'soon' and in segment 'past'")
	f.settle()
	for _, tt := range []struct {
		segment, name string
		want          *time.Time
	}{
		{"soon", "a", at(3 * time.Hour)},
		{"past", "a", at(3*time.Hour + time.Microsecond)},
		{"past", "b", nil},
		{"own", "b", at(4*time.Hour + 30*time.Minute)},
		{"child", "a", at(3 * time.Hour)},
		{"child", "b", nil}, // it has no plan: that it is soon changes nothing
		{"both", "a", at(3*time.Hour + time.Microsecond)},
		{"both", "b", nil},
	} {
		got := f.explained(tt.segment, tt.name)
		if (got.Changes == nil) != (tt.want == nil) || got.Changes != nil && !got.Changes.Equal(*tt.want) {
			t.Errorf("when time alone changes %s for %s\n got %v\nwant %v", tt.segment, tt.name, got.Changes, tt.want)
		}
		if got.Changes == nil || got.Member {
			continue
		}
		then := f.env()
		for _, at := range []time.Time{got.Changes.Add(-time.Microsecond), *got.Changes} {
			then.Now = at
			s := f.named(tt.segment)
			ref, err := customers.Find(t.Context(), f.pool, f.account, "cus_"+tt.name)
			if err != nil {
				t.Fatal(err)
			}
			holds, err := segments.HoldsFor(t.Context(), f.pool, s.Rule, s.Parents, then, []customers.Ref{ref})
			in := holds[ref]
			if want := at.Equal(*got.Changes); err != nil || in != want {
				t.Errorf("%s of %s at %s\n got %v (%v)\nwant %v", tt.segment, tt.name, at, in, err, want)
			}
		}
	}
}

// TestExplain_agrees holds that what a member is told is the tick's own answer.
func TestExplain_agrees(t *testing.T) {
	t.Parallel()
	f := busy(t, 60)
	for _, s := range rowsRules {
		members := " " + f.members(s.name) + " "
		for n := 1; n <= 60; n += 7 {
			name := fmt.Sprintf("%05d", n)
			a := f.explained(s.name, name)
			in := strings.Contains(members, " "+name+" ")
			if a.Member != in || a.True != in || a.Rule.True != in || (a.Since != nil) != in {
				t.Errorf("%s of %s\n got member %v, true %v, %v\nwant %v", name, s.name, a.Member, a.True, a.Since, in)
			}
		}
	}
}

// expect says, as apply --accept does, that the next change may be of any size.
func (f *fixture) expect(name string) {
	f.t.Helper()
	if err := pgx.BeginFunc(f.t.Context(), f.pool, func(tx pgx.Tx) error { return segments.Expect(f.t.Context(), tx, name, f.now) }); err != nil {
		f.t.Fatal(err)
	}
}

// TestExpect_dependents holds that a change which somebody has accepted makes
// nobody wait, in however many ticks it comes, and that the next one does.
func TestExpect_dependents(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		chunk int
		busy  bool // somebody leaves while the list is being built
	}{{0, false}, {0, true}, {7, false}, {7, true}} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			t.Parallel()
			f := banded(t)
			f.names = []string{"owing"}
			f.edit("child", "in segment 'owing'")
			f.settle()
			f.chunk = tt.chunk
			f.edit("owing", "delinquent and plan = 'x'")
			f.expect("owing")
			f.expect("child")
			if tt.busy {
				f.put("030", "delinquent", false)
			}
			f.settle()
			same(t, "members", f.members("owing")+f.members("child"), "")
			same(t, "nobody waits", f.waiting(), "map[]")
			f.exec(`update dunlin.customers set plan = 'x'`)
			f.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{plan}' from dunlin.customers`)
			f.settle()
			same(t, "the next time", f.waiting(), "map[child:true owing:true]")
		})
	}
}

// TestWatch_editDoesNotAccept holds that an edit ends no wait that it is not
// about: whoever edits was shown who enters and leaves compared with the members
// there are, and nobody has looked at the jump that made the campaigns wait
// (no-surprise-blast).
func TestWatch_editDoesNotAccept(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*fixture){
		"a small edit": func(f *fixture) { f.edit("owing", "delinquent and stripe_id != 'cus_nobody'") },
		"another zone": func(f *fixture) {
			f.exec(`insert into dunlin.workspace values (2, $1, $2)`, "kind: workspace\nzone: Europe/Berlin\ncurrency: usd\nunusual_change: {customers: 5, share: 20%}\n", f.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := banded(t)
			f.owing(5)
			f.next()
			same(t, "before it", f.waiting(), "map[owing:true]")
			edit(f)
			c, err := f.ask().Preview(t.Context(), f.parse("owing", "delinquent and stripe_id != 'cus_nobody'"))
			if err != nil || c.Enter+c.Leave != 0 {
				t.Fatalf("the preview\n got %+v (%v)\nwant that nobody moves", c, err)
			}
			f.settle()
			if f.waiting() != "map[owing:true]" {
				t.Errorf("after %s that moves nobody\n got %s\nwant that it still waits: 30 became 5, and nobody has accepted it", name, f.waiting())
			}
		})
	}
}

// TestLoadKnown holds what rules may name.
func TestLoadKnown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"a", "b"}
	f.edit("a", "delinquent")
	f.edit("b", "in segment 'a' and plan = 'Gone'")
	known, parents, err := segments.LoadKnown(t.Context(), f.pool, "usd")
	if err != nil || parents["a"] == nil || parents["b"] == nil || known.Plans != nil {
		t.Fatalf("got %+v, %v (%v)\nwant both, and any plan", known, parents, err)
	}
	f.exec(`insert into dunlin.stripe_prices (account_id, id, raw, as_of) values ($1, 'price_1', '{"nickname": "Pro"}', $2), ($1, 'price_2', '{"product": "prod_1"}', $2)`, f.account, monday)
	known, parents, err = segments.LoadKnown(t.Context(), f.pool, "usd")
	if err != nil || parents["b"] == nil {
		t.Errorf("a plan that has gone from Stripe\n got %v (%v)\nwant the rule of b", parents, err)
	}
	same(t, "plans", known.Plans, []string{"Pro", "price_2"})
	if _, err := rule.New("plan = 'Proo'", known, "usd"); err == nil || !strings.Contains(err.Error(), "Proo") {
		t.Errorf("an unknown plan\n got %v", err)
	}
	if _, err := rule.New("exists (subscriptions where plan = 'Proo')", known, "usd"); err == nil || !strings.Contains(err.Error(), "Proo") {
		t.Errorf("an unknown plan of a subscription\n got %v", err)
	}
	f.edit("a", "in segment 'b'") // which apply refuses
	for _, name := range []string{"a", "b"} {
		if _, err := segments.Load(t.Context(), f.pool, name, "usd"); !errors.Is(err, workspace.ErrNotFound) || !strings.Contains(err.Error(), "cannot be evaluated") {
			t.Errorf("%s, of two that name each other\n got %v\nwant that it cannot be evaluated", name, err)
		}
	}
}
