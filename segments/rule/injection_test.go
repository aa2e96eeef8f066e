package rule_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/segments/rule"
)

// injections are sources that were not written in good faith, or were torn. They
// are one a line, quoted as Go does, so that the tests of the SQL compiler can
// read them too.
func injections(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/injections.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		source, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("injections.txt:%d: %v", i+1, err)
		}
		out = append(out, source)
	}
	return out
}

// large are those that are too long for the file.
func large() map[string]string {
	times := strings.Repeat
	return map[string]string{
		"a megabyte": "plan = '" + times("a", 1<<20) + "'", "a megabyte of é": times("é", 1<<19), "a megabyte of quotes": times("'", 1<<20),
		"a megabyte of words": times("deleted or ", 1<<17), "a megabyte of NUL": times("\x00", 1<<20),
		"10,000 parentheses": times("(", 10_000) + "deleted" + times(")", 10_000), "10,000 opening": times("(", 10_000),
		"10,000 closing": times(")", 10_000), "10,000 not": times("not ", 10_000) + "deleted", "10,000 !": times("!", 10_000) + "deleted",
		"4,000 exists": times("exists (invoices where ", 4000), "4,000 aggregates": times("count(invoices where ", 4000),
		"exists in exists": times("exists (invoices where ", 60) + "deleted" + times(")", 60),
		"2,000 sets":       "exists (invoices)" + times(" or exists (invoices)", 2000), "10,000 brackets": times("[", 10_000),
		"10,000 and": times("and ", 10_000), "10,000 conditions": "deleted" + times(" or deleted", 5_000),
		"a long list": "quantity in (1" + times(",1", 5_000) + ")", "a long number": "quantity = 1" + times("0", 10_000),
		"many decimals": "quantity = 0." + times("0", 10_000) + "1", "a long name": times("a", 50_000) + " = 1",
		"a long collection": "count(" + times("a", 50_000) + ") = 1", "a long segment": "in segment '" + times("a", 50_000) + "'",
		"many steps": "card_expires_at < today()" + times(" + 1 day", 1000), "many minus": "quantity = " + times("- ", 1000) + "1",
		"a long line": "deleted and " + times("deleted and ", 300) + "planx = 'a'", "like of percents": "name like '" + times("%", 2000) + "x'",
		"like of a%": "name like '" + times("a%", 2000) + "b'", "combining marks": "plan = 'a" + times("\u0301", 2000) + "'",
		"dots": times("a.", 10_000), "a thousand double quotes": times("\"a\" = ", 1000), "a thousand comments": times("/* ", 1000),
	}
}

// Hostile sources end in a rule or in diagnostics, soon, and a rule can be asked
// (closed-language).
func TestInjection(t *testing.T) {
	t.Parallel()
	sources := injections(t)
	if len(sources) < 60 {
		t.Errorf("only %d sources", len(sources))
	}
	for i, source := range sources {
		t.Run("line "+strconv.Itoa(i+1), func(t *testing.T) {
			t.Parallel()
			checkSource(t, source)
		})
	}
	for name, source := range large() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkSource(t, source)
			if _, err := rule.New(source, attributes, "usd"); err != nil {
				if text := explain(err); len(text) > 10*1000 {
					t.Errorf("%d bytes of explanation", len(text))
				}
			}
		})
	}
}

func FuzzNew(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.test")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range strings.Split(string(data), "\n=== ")[1:] {
			_, rest, _ := strings.Cut(part, "\n")
			source, _, _ := strings.Cut(rest, "\n--- ")
			f.Add(source)
		}
	}
	for _, source := range injections(f) {
		f.Add(source)
	}
	f.Fuzz(checkSource)
}

// checkSource holds what is true of every source: no panic, faults in order and
// inside the source, and a tree that survives being formatted.
func checkSource(t *testing.T, source string) {
	r, err := rule.New(source, attributes, "usd")
	if err != nil {
		checkFaults(t, source, err)
	} else {
		checkRule(t, r)
	}
	tree, err := rule.Parse(source)
	if err != nil {
		checkFaults(t, source, err)
		return
	}
	formatted := rule.Format(tree)
	again, err := rule.Parse(formatted)
	if len(formatted) > rule.MaxLength {
		return
	}
	if err != nil {
		t.Fatalf("the canonical form of %q is no rule: %q\n%s", source, formatted, explain(err))
	}
	if diff := cmp.Diff(tree, again, sameTree); diff != "" {
		t.Fatalf("Parse(Format(tree)) is another tree\n%q\n%q\n%s", source, formatted, diff)
	}
}

// checkRule asks a rule everything once.
func checkRule(t *testing.T, r *rule.Rule) {
	t.Helper()
	env := rule.Env{Now: time.Unix(1_800_000_000, 0), Currency: "usd"}
	later := env
	later.Now = env.Now.Add(time.Hour)
	for _, c := range []values{{}, readCustomer(t, anna)} {
		if got := r.Explain(c, env).True; got != r.Eval(c, env) {
			t.Fatalf("%q: Explain says %t", r.Source(), got)
		}
		r.NextChange(c, env, later.Now)
	}
	r.Crossings(env, later)
}

func checkFaults(t *testing.T, source string, err error) {
	t.Helper()
	var e *rule.Error
	if !errors.As(err, &e) || len(e.Diagnostics) == 0 || len(e.Diagnostics) > 10 {
		t.Fatalf("%q gives %#v", source, err)
	}
	last := 0
	for _, d := range e.Diagnostics {
		if d.Span.Start < last || d.Span.End < d.Span.Start || d.Span.End > len(source) {
			t.Fatalf("%q: span %v of %q", source, d.Span, d.Msg)
		}
		if d.Msg == "" || strings.HasSuffix(d.Msg, ".") || strings.ContainsAny(d.Msg+d.Hint, "\n\x00") {
			t.Fatalf("%q: message %q, hint %q", source, d.Msg, d.Hint)
		}
		last = d.Span.Start
	}
	text := e.Explain()
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\u202e") {
		t.Fatalf("Explain of %q is not fit to print: %q", source, text)
	}
	_ = e.Error()
}
