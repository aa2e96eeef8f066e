package rule_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

// Parse(Format(tree)) is tree, for every construct of the grammar.
func TestFormat_RoundTrip(t *testing.T) {
	t.Parallel()
	gen := trees()
	rapid.Check(t, func(t *rapid.T) {
		tree := gen.Draw(t, "tree")
		source := rule.Format(tree)
		again, err := rule.Parse(source)
		if err != nil {
			t.Fatalf("Parse(Format(tree))\n%s\n%s", source, explain(err))
		}
		if diff := cmp.Diff(tree, again, sameTree); diff != "" {
			t.Fatalf("Parse(Format(tree)) is another tree\n%s\n%s", source, diff)
		}
		if twice := rule.Format(again); twice != source {
			t.Fatalf("Format is not stable\n got %s\nwant %s", twice, source)
		}
	})
}

func FuzzParse(f *testing.F) {
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
	for _, hostile := range hostiles() {
		if len(hostile.source) < 1000 {
			f.Add(hostile.source)
		}
	}
	f.Fuzz(checkSource)
}

// checkSource holds what is true of every source: no panic, faults in order and
// inside the source, and a tree that survives being formatted.
func checkSource(t *testing.T, source string) {
	if _, err := rule.New(source, attributes, "usd"); err != nil {
		checkFaults(t, source, err)
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

// Any tokens in any order end in a tree or in diagnostics.
func TestParse_AnyTokens(t *testing.T) {
	t.Parallel()
	words := append(rule.Reserved(), "plan", "mrr", "card_expires_at", "plans", "metadata", "deleted", "usd", "invoices", "x",
		"'text'", "''", "'", "\"", "3", "3.5", "20 usd", "30 days", "(", ")", "(", ")", "[", "]", ",", ".", "=", "!=", "<", "<=", ">", "+", "-", "*", "\n",
		"and", "or", "and", "not", "plan = 'Pro'", "deleted", "date '2026-01-01'", "now()", "today()")
	rapid.Check(t, func(r *rapid.T) {
		checkSource(t, strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 25).Draw(r, "words"), " "))
	})
}

type hostile struct{ name, source string }

// hostiles are sources that were not written in good faith, or were torn.
func hostiles() []hostile {
	deep := strings.Repeat
	return []hostile{
		{"nothing", ""}, {"spaces", "  \n\t "}, {"NUL", "plan = 'a\x00b'"}, {"NUL outside text", "plan\x00 = 'a'"},
		{"invalid UTF-8", "plan = '\xff\xfe'"}, {"torn UTF-8", "plan = 'é"[:9]}, {"invalid UTF-8 outside text", "plan \xc3 = 'a'"},
		{"surrogate", "plan = '\xed\xa0\x80'"}, {"a megabyte", "plan = '" + deep("a", 1<<20) + "'"},
		{"a megabyte of é", deep("é", 1<<19)}, {"a megabyte of quotes", deep("'", 1<<20)},
		{"10,000 parentheses", deep("(", 10_000) + "deleted" + deep(")", 10_000)}, {"10,000 opening", deep("(", 10_000)},
		{"10,000 closing", deep(")", 10_000)}, {"10,000 not", deep("not ", 10_000) + "deleted"},
		{"10,000 exists", deep("exists (a where ", 4000)}, {"10,000 brackets", deep("[", 10_000)},
		{"10,000 and", deep("and ", 10_000)}, {"10,000 conditions", "deleted" + deep(" or deleted", 5_000)},
		{"a long list", "quantity in (1" + deep(",1", 5_000) + ")"}, {"a long number", "quantity = 1" + deep("0", 10_000)},
		{"many decimals", "quantity = 0." + deep("0", 10_000) + "1"}, {"a long name", deep("a", 50_000) + " = 1"},
		{"many steps", "card_expires_at < today()" + deep(" + 1 day", 1000)}, {"many minus", "quantity = " + deep("- ", 1000) + "1"},
		{"a long line", "deleted and " + deep("deleted and ", 300) + "planx = 'a'"},
		{"stacked query", "plan = 'a'; drop table customers"}, {"comment", "plan = 'a' -- '"}, {"block comment", "plan = 'a' /* ' */"},
		{"union", "plan = 'a' union select 1"}, {"always true", "plan = 'a' or 1=1"}, {"always true in text", "plan = '' or ''=''"},
		{"placeholder", "plan = $1"}, {"placeholder in text", "plan = '$1'"}, {"question mark", "plan = ?"},
		{"question marks in text", "plan = '?' and name like '%??%'"}, {"question mark in a key", "metadata['?'] = '?'"},
		{"backslash quote", `plan = '\' or deleted --'`}, {"dollar quotes", "plan = $$a$$"}, {"escape string", `plan = E'\x41'`},
		{"quoted name", `"plan" = 'a'`}, {"backticks", "`plan` = 'a'"}, {"schema", "dunlin.customers.plan = 'a'"},
		{"a table", "pg_catalog.pg_user = 'a'"}, {"a function", "pg_sleep(10) = 1"}, {"a cast", "plan::text = 'a'"},
		{"a subselect", "plan = (select 'a')"}, {"a subselect in in", "plan in (select plan)"}, {"case", "case when deleted then true end"},
		{"a column we do not offer", "customer_id = 1"}, {"row", "c = c"}, {"star", "* = *"}, {"semicolons", ";;;;"},
		{"Cyrillic а", "plаn = 'a'"}, {"full width", "ｐｌａｎ = 'a'"}, {"full width equals", "plan ＝ 'a'"}, {"full width quote", "plan = ＇a＇"},
		{"right-to-left override", "plan = 'a\u202e' or deleted"}, {"right-to-left outside text", "plan \u202e= 'a'"},
		{"zero width", "pl\u200ban = 'a'"}, {"no-break space", "plan\u00a0= 'a'"}, {"byte order mark", "\ufeffplan = 'a'"},
		{"escape codes", "plan = '\x1b[31m' and plam = 'a'"}, {"a bell", "plan \a= 'a'"}, {"combining marks", "plan = 'a" + deep("\u0301", 200) + "'"},
		{"long s", "planſ = 'a'"}, {"Kelvin sign", "\u212a = 'a'"}, {"Turkish i", "deleted ıs true"}, {"emoji", "plan = 😀"},
		{"percent signs", "plan = '%s %d %!' and planx = '%s'"}, {"like of percents", "name like '" + deep("%", 2000) + "x'"},
		{"replacement character", "plan = '\uFFFD'"}, {"a line break in text", "plan = 'a\nb'"}, {"windows line ends", "plan = 'a'\r\nand deleted\r\n"},
		{"old mac line ends", "plan = 'a'\rand deleted"}, {"unicode line end", "plan = 'a'\u2028and deleted"},
	}
}

func TestNew_Hostile(t *testing.T) {
	t.Parallel()
	if n := len(hostiles()); n < 60 {
		t.Fatalf("only %d hostile sources", n)
	}
	for _, tt := range hostiles() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkSource(t, tt.source)
			if _, err := rule.New(tt.source, attributes, "usd"); err != nil {
				if text := explain(err); len(text) > 10*1000 {
					t.Errorf("%d bytes of explanation", len(text))
				}
			}
		})
	}
}

func TestNew_Limits(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("(", n) + "deleted" + strings.Repeat(")", n) }
	predicates := func(n int) string { return "deleted" + strings.Repeat(" or deleted", n-1) }
	list := func(n int) string { return "quantity in (1" + strings.Repeat(", 1", n-1) + ")" }
	steps := func(n int) string { return "card_expires_at < today()" + strings.Repeat(" + 1 day", n) }
	long := func(n int) string { return "deleted" + strings.Repeat(" ", n-len("deleted")) }
	tests := []struct {
		name, within, beyond, want string
	}{
		{"length", long(rule.MaxLength), long(rule.MaxLength + 1), "the rule is longer than 65536 bytes"},
		{"depth", nested(rule.MaxDepth), nested(rule.MaxDepth + 1), "conditions are nested more than 64 deep"},
		{"predicates", predicates(rule.MaxPredicates), predicates(rule.MaxPredicates + 1), "a rule has at most 500 comparisons"},
		{"list", list(rule.MaxListItems), list(rule.MaxListItems + 1), "a list has at most 1000 values"},
		{"steps", steps(rule.MaxSteps), steps(rule.MaxSteps + 1), "a point in time is moved at most 8 times"},
		{"number", "quantity = " + strings.Repeat("1", 40), "quantity = " + strings.Repeat("1", 41), "a number has at most 40 digits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := rule.New(tt.within, attributes, "usd"); err != nil {
				t.Errorf("at the limit\n got %v\nwant a rule", err)
			}
			_, err := rule.New(tt.beyond, attributes, "usd")
			var e *rule.Error
			if !errors.As(err, &e) || len(e.Diagnostics) != 1 || e.Diagnostics[0].Msg != tt.want {
				t.Errorf("beyond the limit\n got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestError_Explain_LongLine(t *testing.T) {
	t.Parallel()
	_, err := rule.New(strings.Repeat("deleted or ", 100)+"nothing = 1"+strings.Repeat(" or deleted", 100), attributes, "usd")
	lines := strings.Split(explain(err), "\n")
	if len(lines) < 3 || utf8.RuneCountInString(lines[1]) > 170 {
		t.Fatalf("Explain\n%s", explain(err))
	}
	at := strings.Index(lines[2], "^")
	if got := string([]rune(lines[1])[at : at+strings.Count(lines[2], "^")]); got != "nothing" {
		t.Errorf("carets\n got %q\nwant %q\n%s", got, "nothing", explain(err))
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	words := rule.Reserved()
	if !slices.IsSorted(words) {
		t.Error("the reserved words are not sorted")
	}
	for _, w := range words {
		if !rule.IsReserved(strings.ToUpper(w)) {
			t.Errorf("%s is not reserved in capitals", w)
		}
		if _, err := rule.Parse(w + " is set"); err == nil && w != "true" && w != "false" {
			t.Errorf("%q can be an attribute", w)
		}
	}
	for _, a := range attributes {
		if rule.IsReserved(a.Name) {
			t.Errorf("attribute %q is a word of the language", a.Name)
		}
	}
}

func ExampleError_Explain() {
	_, err := rule.New("plan > 3 and card_expire_at within next 30 days", attributes, "usd")
	fmt.Print(err.(*rule.Error).Explain())
	// Output:
	// rule:1:1: plan is text and cannot be compared with a number
	//   plan > 3 and card_expire_at within next 30 days
	//   ^^^^^^^^
	// rule:1:14: unknown attribute "card_expire_at"
	//   plan > 3 and card_expire_at within next 30 days
	//                ^^^^^^^^^^^^^^
	//   did you mean "card_expires_at"?
}
