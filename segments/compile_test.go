package segments_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var update = flag.Bool("update", false, "rewrite testdata")

func mustRule(t testing.TB, source string) *rule.Rule {
	t.Helper()
	r, err := rule.New(source, columns, "usd")
	if err != nil {
		t.Fatalf("%s\n%s", source, err.(*rule.Error).Explain())
	}
	return r
}

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func mustTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// The corpus: each rule with its whole SQL and its arguments as JSON, compiled
// at one instant in Berlin.
//
//	=== name
//	rule
//	--- sql
//	condition
//	--- args
//	one a line
func TestCompile_Corpus(t *testing.T) {
	t.Parallel()
	env := rule.Env{Now: mustTime(t, "2026-03-28T12:00:00Z"), Zone: mustZone(t, "Europe/Berlin"), Currency: "usd"}
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split("\n"+string(data), "\n=== ")
		out := strings.TrimPrefix(parts[0], "\n") + "\n"
		for _, part := range parts[1:] {
			name, rest, _ := strings.Cut(part, "\n")
			source, want, _ := strings.Cut(rest, "\n--- ")
			source = strings.TrimSpace(source)
			want = "--- " + strings.TrimRight(want, "\n")
			got := "--- sql\n" + compiled(t, source, env)
			if !*update && got != want {
				t.Errorf("%s: %s\n%s", file, name, cmp.Diff(want, got))
			}
			out += fmt.Sprintf("=== %s\n%s\n%s\n\n", name, source, got)
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.TrimRight(out, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func compiled(t *testing.T, source string, env rule.Env) string {
	t.Helper()
	cond, err := segments.Compile(mustRule(t, source), env, nil)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	sql, args, err := cond.ToSql()
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	if got := strings.Count(sql, "?"); got != len(args) {
		t.Errorf("%s\n%s\n%d placeholders for %d arguments", source, sql, got, len(args))
	}
	if numbered, err := sq.Dollar.ReplacePlaceholders(sql); err != nil || strings.Contains(numbered, "?") {
		t.Errorf("%s: %s, %v", source, numbered, err)
	}
	out := sql + "\n--- args"
	for _, a := range args {
		var text strings.Builder
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(a); err != nil {
			t.Fatal(err)
		}
		out += "\n" + strings.TrimSpace(text.String())
	}
	return out
}

// Nothing that somebody wrote is in the SQL: it is all arguments.
func TestCompile_ValuesAreArguments(t *testing.T) {
	t.Parallel()
	env := rule.Env{Now: mustTime(t, "2026-03-28T12:00:00Z"), Zone: time.UTC, Currency: "usd"}
	for _, evil := range []string{"?", "$1", "x'; drop table customers; --", `\`, "%", "{a,b}", `"`, "::int", "\u2028"} {
		text := "'zz" + strings.ReplaceAll(evil, "'", "''") + "'"
		for _, source := range []string{
			"plan = " + text, "plan in (" + text + ", 'b')", "plan contains " + text, "plan starts with " + text, "metadata[" + text + "] = " + text, "plans contains " + text,
			"exists (things where plan = " + text + ")", "count(invoices where metadata[" + text + "] = customer.metadata[" + text + "]) > 1", "latest(charges.status) contains " + text,
		} {
			cond, err := segments.Compile(mustRule(t, source), env, nil)
			if err != nil {
				t.Fatal(err)
			}
			sql, args, err := sq.Select("1").From("dunlin.customers c").Where(cond).PlaceholderFormat(sq.Dollar).ToSql()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(sql, "zz") || strings.Contains(sql, "?") || strings.Count(sql, "$") != len(args) {
				t.Errorf("%s\n%s\n%v", source, sql, args)
			}
		}
	}
}

func TestCompile_Refuses(t *testing.T) {
	t.Parallel()
	if _, err := segments.Compile(nil, rule.Env{}, nil); err == nil {
		t.Error("no rule: want an error")
	}
	r, err := rule.New("x = 'a'", renamed{columns}, "usd")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := segments.Compile(r, rule.Env{}, nil); err == nil {
		t.Error("a name that is no column: want an error")
	}
	// CET is an abbreviation without summer time to Postgres, and a zone to Go.
	both := mustRule(t, "card_expires_at < next_charge_at")
	if _, err := segments.Compile(both, rule.Env{Zone: mustZone(t, "CET")}, nil); err == nil {
		t.Error("a zone that Postgres reads otherwise: want an error")
	}
	if _, err := segments.Compile(mustRule(t, "next_charge_at < today()"), rule.Env{Zone: mustZone(t, "CET")}, nil); err != nil {
		t.Errorf("a day that Go works out: %v", err)
	}
	vip, trial := mustRule(t, "in segment 'vip'"), mustRule(t, "not in segment 'trial users'")
	if _, err := segments.Compile(vip, rule.Env{}, segments.Parents{"trial users": trial}); err == nil {
		t.Error("a segment without a rule: want an error")
	}
	if _, err := segments.Compile(vip, rule.Env{}, segments.Parents{"vip": trial, "trial users": vip}); err == nil {
		t.Error("segments that name each other: want an error")
	}
}

// renamed finds every name, and calls it as no column can be called.
type renamed struct{ *catalog }

func (r renamed) Attribute(string) (rule.Attribute, bool) {
	return rule.Attribute{Name: "plan;", Type: rule.Text}, true
}

// BenchmarkCompile parses, checks and compiles a rule of ten predicates.
func BenchmarkCompile(b *testing.B) {
	source := `card_expires_at within next 30 days and subscription_status in ('active', 'past_due')
and plan_price between 20 usd and 200 usd and not deleted and (mrr >= 200 usd or quantity > 10)
and plan like 'Pro%' and metadata['tier'] = 'pro' and last_charge_at > now() - 30 days and email is set`
	env := rule.Env{Now: time.Unix(1_800_000_000, 0), Zone: mustZone(b, "Europe/Berlin"), Currency: "usd"}
	for b.Loop() {
		r, err := rule.New(source, columns, "usd")
		if err != nil {
			b.Fatal(err)
		}
		cond, err := segments.Compile(r, env, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := cond.ToSql(); err != nil {
			b.Fatal(err)
		}
	}
}
