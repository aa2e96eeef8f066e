package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
)

// chased is a stocked database with three segments and a campaign that runs.
func chased(t testing.TB) ([]string, *pgxpool.Pool) {
	t.Helper()
	environ, pool := stocked(t)
	apply(t, environ, segment("owing", "delinquent")+segment("child", "in segment 'owing' and plan = 'Pro'")+segment("dear", "mrr > 15")+waitingCampaigns)
	ok(t, environ, "", "campaigns", "start", "chase")
	return environ, pool
}

// versions are what is stored.
func versions(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	var s string
	err := pool.QueryRow(t.Context(), `
		select coalesce((select string_agg(s::text, E'\n' order by s::text) from dunlin.segments s), '') ||
		       coalesce((select string_agg(v::text, E'\n' order by v::text) from dunlin.segment_versions v), '') ||
		       coalesce((select string_agg(v::text, E'\n' order by v::text) from dunlin.campaign_versions v), '') ||
		       coalesce((select string_agg(w::text, E'\n' order by w::text) from dunlin.workspace w), '') ||
		       (select count(*) from dunlin.enrollments) || ' ' || (select count(*) from dunlin.membership_log) || ' ' || (select count(*) from dunlin.generations)`).Scan(&s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPlan(t *testing.T) {
	t.Parallel()
	environ, pool := chased(t)
	before := versions(t, pool)
	plan := func(source string) string {
		p := dunlin(t, environ, source, "plan", "-f", "-")
		if p.status != exitDone {
			t.Fatalf("plan\n got status %d\n%s\nwant 0", p.status, p.errs)
		}
		return p.out + p.errs
	}
	var all strings.Builder
	for _, x := range []struct{ title, source string }{
		{"nothing new", segment("owing", "delinquent")},
		{"small", segment("owing", "delinquent or mrr > 18")},
		{"turned round", segment("owing", "not delinquent")},
		{"parent and child, of which it is in the files, too", segment("owing", "delinquent and mrr < 12") + segment("child", "in segment 'owing' and mrr > 2")},
		{"a new one of everybody, and one of a new parent", segment("new", "in segment 'newer' and not deleted") + segment("newer", "mrr is set")},
		{"another currency, which no customer has", strings.Replace(bandedWorkspace, "usd", "eur", 1)},
		{"a wider band", strings.Replace(bandedWorkspace, "customers: 5", "customers: 50", 1) + "---\n" + segment("owing", "not delinquent")},
	} {
		fmt.Fprintf(&all, "# %s\n%s\n", x.title, plan(x.source))
	}
	golden(t, "plan_edits.txt", all.String())
	if got := versions(t, pool); got != before {
		t.Errorf("after plans (-before +after)\n%s", cmp.Diff(before, got))
	}

	p := dunlin(t, environ, segment("owing", "not delinquent"), "plan", "--json", "-f", "-")
	golden(t, "plan_edits.json", p.out)
	if p.status != exitDone || p.errs != "" {
		t.Errorf("plan --json\n got status %d, %q on standard error\nwant 0 and nothing", p.status, p.errs)
	}
}

// TestApply_enrolls: nobody real is enrolled because of an edit alone; who would be
// is told first (no-surprise-blast).
func TestApply_enrolls(t *testing.T) {
	t.Parallel()
	environ, pool := chased(t)
	real := append(slices.Clone(environ), "INTERCOM_API_BASE=https://api.intercom.io")
	rescoped := strings.Replace(waitingCampaigns, "segment: owing", "segment: dear", 1)
	wider := segment("owing", "delinquent or mrr > 18")
	before := versions(t, pool)
	var all strings.Builder
	for _, x := range []struct{ title, source string }{
		{"a wider segment", wider}, {"another segment", rescoped},
	} {
		p := dunlin(t, real, x.source, "apply", "-f", "-")
		fmt.Fprintf(&all, "# %s\n%s%s\n", x.title, p.out, p.errs)
		if p.status != exitUsage || versions(t, pool) != before {
			t.Errorf("%s\n got %+v\nwant status 2, and nothing stored", x.title, p)
		}
	}
	execSQL(t, pool, `update dunlin.customers set delinquent = true where stripe_id = 'cus_13'`) // and no tick has seen it
	for _, x := range []struct{ title, source string }{
		{"what is stored", segment("owing", "delinquent") + waitingCampaigns},
		{"other texts", strings.Replace(waitingCampaigns, "steps:", "holdout: 1%\nsteps:", 1)},
		{"a description, while somebody joins", strings.Replace(segment("owing", "delinquent"), "rule:", "description: who owes\nrule:", 1)},
		{"a narrower segment", segment("dear", "mrr > 16")},
	} {
		if p := dunlin(t, real, x.source, "apply", "-f", "-"); p.status != exitDone {
			t.Errorf("%s\n got %+v\nwant it stored", x.title, p)
		}
	}
	ok(t, environ, "", "tick")
	fmt.Fprintf(&all, "# plan\n%s", func() string { p := dunlin(t, real, rescoped, "plan", "-f", "-"); return p.out + p.errs }())
	golden(t, "apply_enrolls.txt", all.String())
	if p := dunlin(t, real, wider+rescoped, "apply", "--yes", "-f", "-"); p.status != exitDone {
		t.Errorf("apply --yes\n got %+v\nwant it stored", p)
	}
	if n := count(t, pool, `select count(*) from dunlin.enrollments where state = 'active'`); n != 16 {
		t.Errorf("enrolled\n got %d\nwant 16: 12 before, and 4 who are not among them", n)
	}
}

// TestApply_unusual: an unusual change is stored only by somebody who says so,
// and then makes nobody wait (no-surprise-blast).
func TestApply_unusual(t *testing.T) {
	t.Parallel()
	const turned = "not delinquent"
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		before := versions(t, pool)
		set := segment("owing", turned) + segment("fresh", "deleted") + strings.Replace(waitingCampaigns, "chase", "more", 1)
		for _, more := range [][]string{nil, {"--accept", "child"}, {"--accept", "dear", "--json"}} {
			p := dunlin(t, environ, set, append([]string{"apply", "-f", "-"}, more...)...)
			if p.status != exitFailed || p.out != "" || !strings.Contains(p.errs, "nothing was stored") || !strings.Contains(p.errs, "--accept owing") || !strings.Contains(p.errs, "enrolled in chase") {
				t.Errorf("apply %v\n got %+v\nwant status 1, and how to accept it", more, p)
			}
		}
		if got := versions(t, pool); got != before {
			t.Errorf("after it was refused (-before +after)\n%s", cmp.Diff(before, got))
		}
	})
	t.Run("accepted", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		p := dunlin(t, environ, segment("owing", turned), "apply", "-f", "-", "--accept", "owing")
		if p.status != exitFailed || !strings.Contains(p.errs, "--accept child") {
			t.Errorf("what depends on it moves unusually, too\n got %+v\nwant that it has to be accepted", p)
		}
		apply(t, environ, segment("owing", turned), "--accept", "owing", "--accept", "child")
		ok(t, environ, "", "tick")
		list := ok(t, environ, "", "segments", "list")
		if strings.Contains(list, "WAIT") {
			t.Errorf("after the ticks\n got %s\nwant nobody waiting", list)
		}
		if n, m := count(t, pool, `select count(*) from dunlin.enrollments where state = 'active'`), count(t, pool, `select count(*) from dunlin.enrollments where reason = 'left_segment'`); n != 8 || m != 12 {
			t.Errorf("enrolled\n got %d, and %d who left\nwant 8 and 12", n, m)
		}
	})
	t.Run("accepted, and a jump after it", func(t *testing.T) {
		t.Parallel()
		environ, pool := stocked(t)
		apply(t, environ, segment("owing", "delinquent")+segment("follower", "in segment 'owing'"))
		apply(t, environ, segment("owing", turned), "--accept", "owing", "--accept", "follower")
		ok(t, environ, "", "tick")
		execSQL(t, pool, `update dunlin.customers set delinquent = true`)
		changed(t, pool)
		ok(t, environ, "", "tick")
		if list := ok(t, environ, "", "segments", "list"); strings.Count(list, "CAMPAIGNS WAIT: 8 members became 0") != 2 {
			t.Errorf("both emptied, after what was accepted had come\n got %s\nwant that the campaigns of both wait", list)
		}
	})
	t.Run("small", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		apply(t, environ, segment("owing", "delinquent or mrr > 18"))
		if n := count(t, pool, `select count(*) from dunlin.enrollments where state = 'active'`); n != 14 || strings.Contains(ok(t, environ, "", "segments", "list"), "WAIT") {
			t.Errorf("two more\n got %d enrolled\nwant 14, nobody waiting", n)
		}
	})
	t.Run("new", func(t *testing.T) {
		t.Parallel()
		environ, _ := chased(t)
		apply(t, environ, segment("everybody", "not deleted"))
		apply(t, environ, segment("everybody", "not deleted and mrr is set"))
		if list := ok(t, environ, "", "segments", "list"); strings.Contains(list, "WAIT") || !strings.Contains(list, "everybody  2        20") {
			t.Errorf("a new one of everybody\n got %s\nwant 20 members, nobody waiting", list)
		}
	})
	t.Run("currency", func(t *testing.T) {
		t.Parallel()
		environ, pool := stocked(t)
		apply(t, environ, segment("rich", "mrr > 1"))
		eur := strings.Replace(bandedWorkspace, "usd", "eur", 1)
		p := dunlin(t, environ, eur, "apply", "-f", "-")
		if p.status != exitFailed || !strings.Contains(p.errs, "--accept rich") || count(t, pool, `select count(*) from dunlin.workspace`) != 1 {
			t.Errorf("another currency\n got %+v\nwant it refused", p)
		}
		apply(t, environ, eur, "--accept", "rich")
		if list := ok(t, environ, "", "segments", "list"); strings.Contains(list, "WAIT") || !strings.Contains(list, "rich     1        0") {
			t.Errorf("accepted\n got %s\nwant no members, nobody waiting", list)
		}
	})
	t.Run("the first workspace", func(t *testing.T) {
		t.Parallel()
		environ, pool := stocked(t)
		execSQL(t, pool, `truncate dunlin.workspace`)
		execSQL(t, pool, `
			insert into dunlin.customers (account_id, stripe_id, projected_at, mrr, mrr_currency)
			select account_id, 'cus_x' || n, now(), 9, 'usd' from dunlin.accounts, generate_series(1, 150) n`)
		apply(t, environ, segment("rich", "mrr > 1"))
		eur := "kind: workspace\nzone: UTC\ncurrency: eur\n"
		if p := dunlin(t, environ, eur, "plan", "-f", "-"); !strings.Contains(p.errs, "segment rich: 0 customers would enter, 169 would leave") {
			t.Errorf("plan of a workspace where the defaults were in force\n got %+v\nwant that everybody would leave rich", p)
		}
		if p := dunlin(t, environ, eur, "apply", "-f", "-"); p.status != exitFailed || !strings.Contains(p.errs, "--accept rich") {
			t.Errorf("apply\n got %+v\nwant it refused", p)
		}
	})
	t.Run("in the same set as a wider band", func(t *testing.T) {
		t.Parallel()
		environ, _ := chased(t)
		apply(t, environ, strings.Replace(bandedWorkspace, "customers: 5", "customers: 50", 1)+"---\n"+segment("owing", turned))
		if list := ok(t, environ, "", "segments", "list"); strings.Contains(list, "WAIT") {
			t.Errorf("got %s\nwant nobody waiting", list)
		}
	})
}

// TestApply_zoneThatWillNotDo: rules that the workspace's zone makes impossible to
// evaluate are refused, those of campaigns too, and so is a zone that does that to
// what is stored. What came to be stored all the same is told by doctor.
func TestApply_zoneThatWillNotDo(t *testing.T) {
	t.Parallel()
	cet := strings.Replace(bandedWorkspace, "UTC", "CET", 1)
	const both, zone = "card_expires_at < next_charge_at", `the workspace's zone "CET" cannot be used`
	goal := strings.Replace(waitingCampaigns, "existing:", "goal: "+both+"\nexisting:", 1)
	asked := strings.Replace(waitingCampaigns, "tag:", "if: "+both+", tag:", 1)
	refused := func(t *testing.T, environ []string, source string, want ...string) {
		t.Helper()
		for _, command := range []string{"plan", "apply"} {
			p := dunlin(t, environ, source, command, "-f", "-")
			if p.status != exitUsage || strings.Count(p.errs, zone) != len(want) {
				t.Errorf("%s\n got %+v\nwant status %d and %d faults", command, p, exitUsage, len(want))
			}
			for _, w := range want {
				if !strings.Contains(p.errs, w) {
					t.Errorf("%s\n got %s\nwant %s", command, p.errs, w)
				}
			}
		}
	}
	t.Run("with the rules", func(t *testing.T) {
		t.Parallel()
		environ, pool := stocked(t)
		refused(t, environ, cet+"---\n"+segment("owing", both)+goal, "segment owing: the rule", "campaign chase: goal: the rule")
		refused(t, environ, cet+"---\n"+segment("owing", "delinquent")+asked, "campaign chase: if of step mark: the rule")
		ok(t, environ, segment("owing", "delinquent")+goal, "apply", "-f", "-")
		execSQL(t, pool, `insert into dunlin.workspace select max(version) + 1, replace(min(source), 'UTC', 'CET'), now() from dunlin.workspace`)
		refused(t, environ, asked, "campaign chase: if of step mark: the rule")
		if p := dunlin(t, environ, "", "doctor"); !strings.Contains(p.out, "what chase has to do waits: goal: the rule cannot be evaluated: "+zone) {
			t.Errorf("doctor\n got %s\nwant it to name the goal", p.out)
		}
	})
	t.Run("with rules that are stored", func(t *testing.T) {
		t.Parallel()
		environ, _ := stocked(t)
		apply(t, environ, segment("owing", both)+segment("child", "in segment 'owing'")+segment("other", "delinquent")+goal)
		refused(t, environ, cet, "segment owing, which is stored: the rule", "campaign chase, which is stored: goal: the rule")
		refused(t, environ, cet+"---\n"+segment("owing", "delinquent"), "campaign chase, which is stored: goal: the rule")
		apply(t, environ, cet+"---\n"+segment("owing", "deleted")+waitingCampaigns)
	})
}

// TestApply_acceptsNothing: to accept a change that there is none of is no
// permission for a jump to come (no-surprise-blast).
func TestApply_acceptsNothing(t *testing.T) {
	t.Parallel()
	jump := func(t *testing.T, environ []string, pool *pgxpool.Pool) {
		t.Helper()
		ok(t, environ, "", "tick")
		execSQL(t, pool, `update dunlin.customers set delinquent = false`)
		changed(t, pool)
		ok(t, environ, "", "tick")
		if list := ok(t, environ, "", "segments", "list"); !strings.Contains(list, "CAMPAIGNS WAIT: 12 members became 0") {
			t.Errorf("a segment emptied by itself\n got %s\nwant that its campaigns wait", list)
		}
	}
	t.Run("an unchanged definition", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		ok(t, environ, segment("owing", "delinquent"), "apply", "-f", "-", "--accept", "owing")
		jump(t, environ, pool)
	})
	t.Run("a change that moves nobody", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		ok(t, environ, segment("owing", "delinquent and not deleted"), "apply", "-f", "-", "--accept", "owing")
		jump(t, environ, pool)
	})
	t.Run("another description", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		ok(t, environ, "kind: segment\nname: owing\ndescription: who owes\nrule: |\n  delinquent\n", "apply", "-f", "-", "--accept", "owing")
		jump(t, environ, pool)
	})
	t.Run("of another segment", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		ok(t, environ, segment("dear", "mrr > 14"), "apply", "-f", "-", "--accept", "dear", "--accept", "owing")
		jump(t, environ, pool)
	})
	t.Run("no such segment", func(t *testing.T) {
		t.Parallel()
		environ, pool := chased(t)
		p := dunlin(t, environ, segment("dear", "mrr > 14"), "apply", "-f", "-", "--accept", "owning")
		if p.status == exitDone || !strings.Contains(p.errs, `"owning"`) || count(t, pool, `select version from dunlin.segments where name = 'dear'`) != 1 {
			t.Errorf("apply --accept owning\n got %+v\nwant a failure that names it, and nothing stored", p)
		}
	})
}

// TestApply_whileWaiting: an edit that was shown to move nobody does not let
// campaigns act on a jump that nobody has accepted (no-surprise-blast).
func TestApply_whileWaiting(t *testing.T) {
	t.Parallel()
	environ, pool := chased(t)
	execSQL(t, pool, `update dunlin.customers set delinquent = true`)
	changed(t, pool)
	ok(t, environ, "", "tick")
	if list := ok(t, environ, "", "segments", "list"); !strings.Contains(list, "CAMPAIGNS WAIT: 12 members became 20") {
		t.Fatalf("got %s\nwant that its campaigns wait", list)
	}
	edit := segment("owing", "delinquent and not deleted")
	if p := dunlin(t, environ, edit, "plan", "-f", "-"); !strings.Contains(p.errs, "segment owing: 0 customers would enter, 0 would leave; 20 members now") || strings.Contains(p.errs, "enrolled") {
		t.Errorf("plan\n got %s\nwant that nobody moves", p.errs)
	}
	apply(t, environ, edit)
	if n := count(t, pool, `select count(*) from dunlin.enrollments`); n != 12 {
		t.Errorf("after an edit that moves nobody\n got %d enrolled\nwant 12: that it became 20 was not accepted by anybody", n)
	}
}

// TestDefinitions_cycles: rules that come back to themselves are refused, with
// the place.
func TestDefinitions_cycles(t *testing.T) {
	t.Parallel()
	environ, pool := chased(t)
	before := versions(t, pool)
	dir := t.TempDir()
	write := func(name, source string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.TrimSuffix(source, "---\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	free := "kind: segment\nname: free\nrule: not deleted\n---\n"
	for _, tt := range []struct {
		name, path string
		want       []string
	}{
		{"itself", write("a.yaml", free+segment("loop", "in segment 'loop'")), []string{"a.yaml:5:1: ", "loop → loop"}},
		{"with what is stored", write("b.yaml", free+segment("owing", "delinquent and not in segment 'child'")), []string{"b.yaml:5:1: ", "owing → child → owing"}},
		{"among the files", write("c.yaml", segment("x", "in segment 'y'")+segment("y", "in segment 'z'")+segment("z", "not in segment 'x'")), []string{"c.yaml:1:1: ", "x → y → z → x", "c.yaml:6:1: ", "c.yaml:11:1: "}},
		{"unknown parent", write("d.yaml", segment("x", "in segment 'chld'")), []string{"d.yaml:4:3: ", `did you mean 'child'?`}},
	} {
		for _, command := range []string{"plan", "apply"} {
			p := dunlin(t, environ, "", command, "-f", tt.path)
			if p.status != exitUsage || p.out != "" {
				t.Errorf("%s: %s\n got status %d, %q\nwant 2 and nothing", tt.name, command, p.status, p.out)
			}
			for _, want := range tt.want {
				if !strings.Contains(p.errs, want) {
					t.Errorf("%s: %s\n got %s\nwant %s", tt.name, command, p.errs, want)
				}
			}
		}
	}
	if got := versions(t, pool); got != before {
		t.Errorf("after it was refused (-before +after)\n%s", cmp.Diff(before, got))
	}
	// What was a cycle with the stored rule is none with the one beside it.
	both := segment("owing", "delinquent and not in segment 'child'") + segment("child", "plan = 'Pro'")
	if p := dunlin(t, environ, both, "plan", "-f", "-"); p.status != exitDone {
		t.Errorf("turned round\n got %+v\nwant a plan", p)
	}
}

// TestExport_isApplied: however a definition was written, export | apply changes
// nothing.
func TestExport_isApplied(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"a block":             segment("s", "delinquent\n  and plan = 'Pro'"),
		"plain":               "kind: segment\nname: s\nrule: delinquent\n",
		"quoted":              "kind: segment\nname: s\nrule: \"delinquent and\\n  plan = 'Pro'\"\n",
		"folded":              "kind: segment\nname: s\nrule: >\n  delinquent\n  and plan = 'Pro'\n",
		"empty lines":         "kind: segment\nname: s\nrule: |\n\n  delinquent\n\n    and plan = 'Pro'\n\n",
		"space at the ends":   "kind: segment\nname: s\nrule: \"  delinquent \\n and plan = 'Pro'  \"\n",
		"kept line ends":      "kind: segment\nname: s\nrule: |+\n  delinquent\n\n\n",
		"Windows":             "kind: segment\r\nname: s\r\nrule: |\r\n  delinquent\r\n  and plan = 'Pro'\r\n",
		"a tab":               "kind: segment\nname: s\nrule: \"delinquent and\\tplan = 'a\\tb'\"\n",
		"a schedule":          "kind: segment\nname: s\nevaluate: every 1 day at 06:00\nrule: |\n  delinquent\n",
		"a quoted schedule":   "kind: segment\nname: s\nevaluate: 'every 6 hours'\nrule: |\n  delinquent\n",
		"a description":       "kind: segment\nname: s\ndescription: 'Says \"when\": it''s due — 20% ☂ #1'\nrule: |\n  delinquent\n",
		"a long description":  "kind: segment\nname: s\ndescription: |\n  Two lines,\n  of \\ words.\nrule: |\n  delinquent\n",
		"an invisible letter": "kind: segment\nname: s\ndescription: \"a\\u200bb\\u00a0c\\U0001F600\\x07\"\nrule: |\n  delinquent\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ, pool := on(t)
			ok(t, environ, source, "apply", "-f", "-")
			exported := ok(t, environ, "", "export")
			p := dunlin(t, environ, exported, "apply", "--json", "-f", "-")
			if p.status != exitDone || !strings.Contains(p.out, `"unchanged"`) || count(t, pool, `select max(version) from dunlin.segments`) != 1 {
				t.Errorf("export | apply -f -\n got %+v\nof %s\nwant unchanged", p, exported)
			}
			if again := ok(t, environ, "", "export"); again != exported {
				t.Errorf("a second export differs (-first +second)\n%s", cmp.Diff(exported, again))
			}
		})
	}
}

// TestPlan_brokenParent: a definition that names a segment whose own rule does
// not check is a wrong definition, or at least says so.
func TestPlan_brokenParent(t *testing.T) {
	t.Parallel()
	environ, pool := chased(t)
	execSQL(t, pool, `update dunlin.segment_versions set rule = 'colour = 3' where name = 'owing'`)
	p := dunlin(t, environ, segment("x", "in segment 'owing'"), "plan", "-f", "-")
	if p.status == exitDone || !strings.Contains(p.errs, `"owing"`) {
		t.Errorf("plan of a child\n got %+v\nwant a failure that names the parent", p)
	}
	p = dunlin(t, environ, segment("y", "mrr > 1"), "plan", "-f", "-")
	if p.status != exitDone {
		t.Errorf("plan of what has nothing to do with it\n got %+v\nwant a plan", p)
	}
	// The repair, by which all that depends on it can be evaluated again.
	p = dunlin(t, environ, segment("owing", "delinquent"), "plan", "-f", "-")
	if p.status != exitDone || !strings.Contains(p.errs, "segment child: ") {
		t.Errorf("plan of the repair\n got %+v\nwant it, with what depends on it", p)
	}
	apply(t, environ, segment("owing", "delinquent"))
	if list := ok(t, environ, "", "segments", "list"); strings.Contains(list, "NOT EVALUATED") || strings.Contains(list, "WAIT") {
		t.Errorf("after the repair\n got %s", list)
	}
}
