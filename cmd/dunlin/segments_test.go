package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const bandedWorkspace = "kind: workspace\nzone: UTC\ncurrency: usd\nunusual_change: {customers: 5, share: 20%}\n"

// stocked is a database with a workspace and an account that is ready, with
// twenty customers of whom the first twelve owe.
func stocked(t testing.TB) ([]string, *pgxpool.Pool) {
	t.Helper()
	environ, pool := on(t)
	execSQL(t, pool, `insert into dunlin.accounts (name, created_at, mirrored_at, ready_at) values ('main', now(), now(), now())`)
	execSQL(t, pool, `
		insert into dunlin.customers (account_id, stripe_id, projected_at, email, name, plan, mrr, mrr_currency, delinquent)
		select account_id, 'cus_' || to_char(n, 'FM00'), now(), 'person' || n || '@example.com', 'Person ' || n, case n % 2 when 0 then 'Pro' else 'Free' end, n, 'usd', n <= 12
		from dunlin.accounts, generate_series(1, 20) n`)
	ok(t, environ, bandedWorkspace, "apply", "-f", "-")
	return environ, pool
}

// segment is a definition of one.
func segment(name, rule string) string {
	return fmt.Sprintf("kind: segment\nname: %s\nrule: |\n  %s\n---\n", name, rule)
}

// apply stores definitions and ticks.
func apply(t testing.TB, environ []string, source string, more ...string) {
	t.Helper()
	ok(t, environ, source, append([]string{"apply", "-f", "-"}, more...)...)
	ok(t, environ, "", "tick")
}

// changed tells the next tick of every customer.
func changed(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	execSQL(t, pool, `insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{*}' from dunlin.customers`)
}

var anInstant = regexp.MustCompile(`\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?`)

// timeless puts a word in place of what depends on when the test runs.
func timeless(s string) string { return anInstant.ReplaceAllString(s, "WHEN") }

func TestSegmentsCount(t *testing.T) {
	t.Parallel()
	environ, pool := stocked(t)
	apply(t, environ, segment("owing", "delinquent")+segment("child", "in segment 'owing' and plan = 'Pro'"))
	execSQL(t, pool, `insert into dunlin.stripe_prices (account_id, id, raw, as_of) select account_id, n, json_build_object('nickname', n), now() from dunlin.accounts, unnest(array['Pro', 'Free', 'Team']) n`)
	for _, tt := range []struct {
		name, in, args string
		status         int
		out            string
		errs           []string
	}{
		{"a segment", "", "segments count owing", exitDone, "12\n", nil},
		{"a segment, sampled", "", "segments count owing --sample 2", exitDone, "12\ncus_01\ncus_02\n", nil},
		{"a sample of more than there are", "", "segments count child --sample 99", exitDone, "6\ncus_02\ncus_04\ncus_06\ncus_08\ncus_10\ncus_12\n", nil},
		{"JSON", "", "segments count child --sample 1 --json", exitDone, `{"segment":"child","count":6,"sample":["cus_02"]}` + "\n", nil},
		{"a rule", "", "segments count --rule delinquent --json", exitDone, `{"count":12}` + "\n", nil},
		{"a rule that names a segment", "plan = 'Free' and in segment 'owing'", "segments count --sample 1 --rule -", exitDone, "6\ncus_01\n", nil},
		{"a rule about money", "mrr > 18", "segments count --rule -", exitDone, "2\n", nil},
		{"nobody, sampled", "deleted", "segments count --rule - --sample 3 --json", exitDone, `{"count":0}` + "\n", nil},
		{"both", "", "segments count owing --rule delinquent", exitUsage, "", []string{"name a segment, or give a rule by --rule"}},
		{"neither", "", "segments count", exitUsage, "", []string{"name a segment, or give a rule by --rule"}},
		{"nothing on standard input", "", "segments count --rule -", exitUsage, "", []string{"rule:1:1: "}},
		{"a wrong rule", wrongRule, "segments count --rule -", exitUsage, "", []string{"rule:1:1: ", `did you mean "card_expires_at"?`}},
		{"an unknown plan", "plan = 'Proo' or exists (subscriptions where plan = 'team')", "segments count --rule -", exitUsage, "", []string{"rule:1:8: ", `did you mean 'Pro'?`, `did you mean 'Team'?`}},
		{"an unknown segment", "in segment 'owning'", "segments count --rule -", exitUsage, "", []string{"rule:1:1: ", `did you mean 'owing'?`}},
		{"text that would be SQL", "plan like 'x''; drop table dunlin.customers; --'", "segments count --rule -", exitDone, "0\n", nil},
		{"an unknown name", "", "segments count none", exitFailed, "", []string{`"none"`}},
		{"a negative sample", "", "segments count owing --sample=-1", exitUsage, "", []string{"--sample"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := dunlin(t, environ, tt.in, strings.Fields(tt.args)...)
			if p.status != tt.status || p.out != tt.out {
				t.Errorf("dunlin %s\n got status %d, %q, %q\nwant %d, %q", tt.args, p.status, p.out, p.errs, tt.status, tt.out)
			}
			for _, want := range tt.errs {
				if !strings.Contains(p.errs, want) {
					t.Errorf("dunlin %s\n got %s\nwant %s", tt.args, p.errs, want)
				}
			}
		})
	}
	p := dunlin(t, environ, "plan = 'Proo' and in segment 'owning'", "segments", "count", "--json", "--rule", "-")
	if p.status != exitUsage {
		t.Errorf("a wrong rule, --json\n got status %d\nwant 2", p.status)
	}
	golden(t, "count_wrong.json", p.out)
	if n := count(t, pool, `select count(*) from dunlin.customers`); n != 20 {
		t.Errorf("customers after all that\n got %d\nwant 20", n)
	}

	// Of this moment, whatever the members of the last tick are.
	execSQL(t, pool, `update dunlin.customers set delinquent = stripe_id > 'cus_16'`)
	if got := ok(t, environ, "", "segments", "count", "child", "--sample", "9"); got != "2\ncus_18\ncus_20\n" {
		t.Errorf("before the next tick\n got %q\nwant 18 and 20", got)
	}
	if got := ok(t, environ, "in segment 'child'", "segments", "count", "--rule", "-"); got != "2\n" {
		t.Errorf("before the next tick, by rule\n got %q\nwant 2", got)
	}
	execSQL(t, pool, `update dunlin.accounts set ready_at = null`)
	for _, args := range []string{"segments count owing", "segments count --rule delinquent"} {
		p := dunlin(t, environ, "", strings.Fields(args)...)
		if p.status != exitFailed || p.out != "" || !strings.Contains(p.errs, `account "main" are being projected again`) {
			t.Errorf("%s while the customers are projected again\n got %+v\nwant a refusal", args, p)
		}
	}
}

// explainable is a database with customers worth explaining.
func explainable(t testing.TB) ([]string, *pgxpool.Pool) {
	t.Helper()
	environ, pool := stocked(t)
	execSQL(t, pool, `update dunlin.customers set next_charge_at = date_trunc('second', now()) + interval '40 days' where stripe_id = 'cus_02'`)
	execSQL(t, pool, `
		insert into dunlin.charges (account_id, customer_id, id, created_at, status, amount, amount_currency)
		select account_id, customer_id, 'ch_' || i, now() - i * interval '12 days', case when i < 3 then 'failed' else 'succeeded' end, 10, 'usd'
		from dunlin.customers, generate_series(1, 4) i where stripe_id = 'cus_02'`)
	execSQL(t, pool, `
		insert into dunlin.invoices (account_id, customer_id, id, created_at, status) select account_id, customer_id, 'in_1', now(), 'open' from dunlin.customers where stripe_id = 'cus_01'`)
	apply(t, environ, segment("pro-owing", "plan = 'Pro' and (delinquent or mrr > 100 usd)")+
		segment("soon", "next_charge_at within next 30 days")+
		segment("failing", "count(charges where status = 'failed' and created_at within last 30 days) >= 2 and not exists (invoices where status = 'open')")+
		segment("nested", "in segment 'pro-owing' and not in segment 'soon'")+
		segment("known", "email ends with '@example.com'")+
		"kind: segment\nname: nightly\nevaluate: every 500 days at 03:00\nrule: delinquent\n")
	return environ, pool
}

func TestSegmentsExplain(t *testing.T) {
	t.Parallel()
	environ, pool := explainable(t)
	execSQL(t, pool, `update dunlin.customers set delinquent = false where stripe_id = 'cus_04'`) // no tick has seen it
	execSQL(t, pool, `insert into dunlin.accounts (name, created_at, mirrored_at, ready_at) values ('also', now(), now(), now())`)
	execSQL(t, pool, `insert into dunlin.customers (account_id, stripe_id, projected_at) select account_id, 'cus_12', now() from dunlin.accounts where name = 'also'`)
	var all strings.Builder
	for _, args := range []string{"pro-owing cus_02", "pro-owing cus_01", "pro-owing cus_04", "soon cus_02", "failing cus_02", "failing cus_01", "nested cus_02", "nested cus_20",
		"nightly cus_02", "nightly cus_04", "pro-owing cus_12"} {
		fmt.Fprintf(&all, "$ dunlin segments explain %s\n%s\n", args, timeless(ok(t, environ, "", append([]string{"segments", "explain"}, strings.Fields(args)...)...)))
	}
	golden(t, "explain.txt", all.String())
	if strings.Contains(all.String(), "erson") || strings.Contains(all.String(), "@") {
		t.Error("explain\n got names or addresses\nwant none: no rule names them")
	}
	if out := ok(t, environ, "", "segments", "explain", "known", "cus_02"); !strings.Contains(out, "email is 'person2@example.com'") || strings.Contains(out, "Person") {
		t.Errorf("a rule about the address\n got %s\nwant the address, and no name", out)
	}

	for _, args := range []string{"nested cus_02", "failing cus_01", "soon cus_02"} {
		out := ok(t, environ, "", append([]string{"segments", "explain", "--json"}, strings.Fields(args)...)...)
		o := objects(t, out)
		if len(o) != 1 || strings.Count(out, "\n") != 1 || o[0]["account"] != "main" || o[0]["rule"] == nil || strings.Contains(out, "erson") {
			t.Errorf("explain --json %s\n got %s\nwant one line", args, out)
		}
	}
	one := objects(t, ok(t, environ, "", "segments", "explain", "--json", "soon", "cus_02"))[0]
	var changes time.Time
	if err := pool.QueryRow(t.Context(), `select next_charge_at - interval '720 hours' from dunlin.customers where stripe_id = 'cus_02'`).Scan(&changes); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(one["changes"]); got != changes.UTC().Format(time.RFC3339) || one["since"] != nil || one["member"] != false || one["true"] != false {
		t.Errorf("explain --json soon\n got %v\nwant that it changes at %s", one, changes.UTC())
	}
	if two := objects(t, ok(t, environ, "", "segments", "explain", "--json", "pro-owing", "cus_12")); len(two) != 2 || two[0]["account"] != "also" || two[1]["account"] != "main" || two[0]["member"] != false || two[1]["member"] != true {
		t.Errorf("a customer of two accounts\n got %v\nwant a line for each", two)
	}
	for args, want := range map[string]string{"none cus_02": "see dunlin segments list", "soon cus_none": `customer "cus_none"`, "soon": "customer"} {
		p := dunlin(t, environ, "", append([]string{"segments", "explain"}, strings.Fields(args)...)...)
		if p.status == exitDone || p.out != "" || !strings.Contains(p.errs, want) {
			t.Errorf("explain %s\n got %+v\nwant %q", args, p, want)
		}
	}
}

// TestSegmentsExplain_promises holds that nobody is told that the next tick sees
// to what it will not (every-why).
func TestSegmentsExplain_promises(t *testing.T) {
	t.Parallel()
	explain := func(t *testing.T, environ []string, want string, args ...string) {
		t.Helper()
		ok(t, environ, "", "tick")
		out := ok(t, environ, "", append([]string{"segments", "explain"}, args...)...)
		if strings.Contains(out, "the next tick sees to it") || !strings.Contains(out, want) {
			t.Errorf("after a tick\n got %s\nwant no word of the next tick, but %q", out, want)
		}
	}
	t.Run("an account that was never synced to the end", func(t *testing.T) {
		t.Parallel()
		environ, pool := explainable(t)
		execSQL(t, pool, `insert into dunlin.accounts (name, created_at) values ('new', now())`)
		execSQL(t, pool, `insert into dunlin.customers (account_id, stripe_id, projected_at, delinquent) select account_id, 'cus_new', now(), true from dunlin.accounts where name = 'new'`)
		explain(t, environ, "new", "pro-owing", "cus_new") // plan is missing: false anyway
		execSQL(t, pool, `update dunlin.customers set plan = 'Pro' where stripe_id = 'cus_new'`)
		explain(t, environ, "sync", "pro-owing", "cus_new")
	})
	t.Run("an account that is projected again", func(t *testing.T) {
		t.Parallel()
		environ, pool := explainable(t)
		execSQL(t, pool, `update dunlin.accounts set ready_at = null`)
		execSQL(t, pool, `update dunlin.customers set delinquent = false`)
		changed(t, pool)
		explain(t, environ, "projected again", "pro-owing", "cus_02")
	})
}

func TestSegmentsList_states(t *testing.T) {
	t.Parallel()
	environ, pool := stocked(t)
	apply(t, environ, segment("building", "plan = 'Pro'")+segment("broken", "plan = 'Free'")+segment("drifted", "mrr <= 12")+segment("fine", "mrr > 3")+
		segment("child-of-broken", "in segment 'broken'")+segment("waiting", "delinquent or deleted"))
	// Two members are taken from a list by hand; the audit says so, once.
	if p := dunlin(t, environ, "", "segments", "audit"); p.status != exitDone || strings.Contains(p.errs, "drift") {
		t.Errorf("audit of what is right\n got %+v\nwant status 0", p)
	}
	execSQL(t, pool, `
		delete from dunlin.members m using dunlin.segments s, dunlin.customers c
		where s.generation = m.generation and s.name = 'drifted' and c.customer_id = m.customer_id and c.stripe_id in ('cus_01', 'cus_02')`)
	p := dunlin(t, environ, "", "segments", "audit", "drifted", "fine")
	if p.status != exitFailed || !strings.Contains(p.errs, "membership had drifted by 2 customers; it is repaired") || strings.Contains(p.errs+p.out, "cus_") {
		t.Errorf("audit\n got status %d, %s\nwant 1, that it is repaired, and nobody's id", p.status, p.errs)
	}
	golden(t, "audit.txt", p.out)
	if got := ok(t, environ, "", "segments", "audit", "--json", "drifted"); got != `{"segment":"drifted","members":12,"missing":0,"surplus":0}`+"\n" {
		t.Errorf("audit again\n got %s\nwant no drift", got)
	}
	execSQL(t, pool, `update dunlin.segments set drift = 2 where name = 'drifted'`)

	// Somebody's rule does not check any more; another segment empties.
	execSQL(t, pool, `update dunlin.segment_versions set rule = 'colour = 3' where name = 'broken'`)
	execSQL(t, pool, `update dunlin.customers set delinquent = false`)
	changed(t, pool)
	ok(t, environ, "", "tick")
	execSQL(t, pool, `
		insert into dunlin.generations (segment, version, zone, currency, accounts, why, opened_at)
		select segment, version, zone, currency, accounts, 'edited', now() from dunlin.generations where segment = 'building'`)
	golden(t, "segments_states.txt", timeless(ok(t, environ, "", "segments", "list")))
	golden(t, "segments_states.json", timeless(ok(t, environ, "", "segments", "list", "--json")))
	doctor := dunlin(t, environ, "", "doctor").out
	for _, want := range []string{"broken is not evaluated: ", "the campaigns of waiting wait: 12 members became 0 at ", "dunlin segments accept waiting", "the last audit of drifted repaired 2 members"} {
		if !strings.Contains(doctor, want) {
			t.Errorf("doctor\n got %s\nwant %s", doctor, want)
		}
	}
	// What a question about them says.
	for args, want := range map[string]string{
		"segments count broken":                              "colour",
		"segments count child-of-broken":                     `names segment "broken", whose own rule cannot be evaluated`,
		"segments count --rule in␣segment␣'child-of-broken'": `"broken"`,
		"segments explain child-of-broken cus_01":            `names segment "broken"`,
		"segments explain broken cus_01":                     "colour",
		"segments accept fine":                               `segment "fine" does not wait for anybody`,
		"segments accept none":                               `segment "none"`,
		"segments audit none":                                `"none"`,
		"segments audit drifted none":                        `"none"`,
		"campaigns start --dry-run none":                     `campaign "none"`,
		"segments explain fine cus_01 cus_02":                "cus_02",
		"segments members none":                              `"none"`,
	} {
		var list []string
		for _, f := range strings.Fields(args) {
			list = append(list, strings.ReplaceAll(f, "␣", " "))
		}
		if p := dunlin(t, environ, "", list...); p.status == exitDone || !strings.Contains(p.errs, want) {
			t.Errorf("dunlin %s\n got %+v\nwant a failure with %s", args, p, want)
		}
	}
	if out := ok(t, environ, "", "segments", "members", "broken", "--json"); len(objects(t, out)) != 10 {
		t.Errorf("members of a segment whose rule does not check\n got %s\nwant the ten it had", out)
	}
}

// TestSegmentsList_oneLine holds that a description of several lines is one line
// of the table.
func TestSegmentsList_oneLine(t *testing.T) {
	t.Parallel()
	environ, _ := stocked(t)
	apply(t, environ, "kind: segment\nname: wordy\ndescription: |\n  Owes us.\n  More of it.\nrule: delinquent\n---\n"+segment("plain", "deleted"))
	if out := ok(t, environ, "", "segments", "list"); strings.Count(out, "\n") != 3 {
		t.Errorf("a list of two segments\n got %s\nwant a heading and two lines", out)
	}
}

const waitingCampaigns = `kind: campaign
name: chase
segment: owing
episode: entry
existing: enroll
steps:
  - {name: mark, at: 0 days, tag: seen}
`

// TestSegmentsAccept: a jump makes campaigns wait, accept lets them go on.
func TestSegmentsAccept(t *testing.T) {
	t.Parallel()
	environ, pool := stocked(t)
	apply(t, environ, segment("owing", "delinquent")+waitingCampaigns)
	ok(t, environ, "", "campaigns", "start", "chase")
	active := func() int { return count(t, pool, `select count(*) from dunlin.enrollments where state = 'active'`) }
	execSQL(t, pool, `update dunlin.customers set delinquent = stripe_id > 'cus_11'`)
	changed(t, pool)
	ok(t, environ, "", "tick")
	if got := active(); got != 9 {
		t.Errorf("twelve became nine, which is usual\n got %d enrolled\nwant 9", got)
	}
	execSQL(t, pool, `update dunlin.customers set delinquent = stripe_id = 'cus_20'`)
	changed(t, pool)
	ok(t, environ, "", "tick")
	ok(t, environ, "", "tick")
	list := ok(t, environ, "", "segments", "list")
	if !strings.Contains(list, "CAMPAIGNS WAIT: 12 members became 1 at ") || !strings.Contains(list, "dunlin segments accept owing") || active() != 9 {
		t.Errorf("segments list\n got %s and %d enrolled\nwant that its campaigns wait, and 9", list, active())
	}
	ok(t, environ, strings.Replace(waitingCampaigns, "chase", "more", 1), "apply", "-f", "-")
	if p := dunlin(t, environ, "", "campaigns", "start", "more"); p.status != exitFailed || !strings.Contains(p.errs, "dunlin segments accept owing") {
		t.Errorf("start a campaign while its segment waits\n got %+v\nwant a refusal with the repair", p)
	}
	if p := dunlin(t, environ, "", "segments", "accept", "owing"); p.status != exitDone || p.out != "" || !strings.Contains(p.errs, "the change of owing is accepted") {
		t.Errorf("accept\n got %+v", p)
	}
	if got := active(); got != 9 {
		t.Errorf("before the next tick\n got %d enrolled\nwant 9", got)
	}
	ok(t, environ, "", "tick")
	if got := active(); got != 1 {
		t.Errorf("after it\n got %d enrolled\nwant 1", got)
	}
	if p := dunlin(t, environ, "", "segments", "accept", "owing"); p.status != exitFailed || !strings.Contains(p.errs, "does not wait") {
		t.Errorf("accept again\n got %+v\nwant a failure", p)
	}
	if lines := objects(t, ok(t, environ, "", "segments", "--json")); slices.ContainsFunc(lines, func(o map[string]any) bool { return o["waits"] != nil }) {
		t.Errorf("segments\n got %v\nwant nobody waiting", lines)
	}
}
