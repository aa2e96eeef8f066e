package rule_test

import (
	"errors"
	"fmt"
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
	for _, a := range attributes.attributes {
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
