package rule_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/segments/rule"
)

var update = flag.Bool("update", false, "rewrite the corpus in testdata")

// The corpus: each source with its canonical form, or with everything that is
// wrong with it as people are shown it.
//
//	=== name
//	source
//	--- canonical | faults
//	what Format or Explain says
func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, cases := readCorpus(t, string(data))
			var b strings.Builder
			b.WriteString(head)
			for _, c := range cases {
				kind, got := answer(t, c.source, catalogs[filepath.Base(file)])
				want := "--- " + kind + "\n" + got
				if !*update && want != c.want {
					t.Errorf("%s\n%s", c.name, cmp.Diff(c.want, want))
				}
				fmt.Fprintf(&b, "=== %s\n%s\n%s\n", c.name, c.source, want)
			}
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// catalogs are those of the files that are not about attributes.
var catalogs = map[string]*catalog{"people.test": product}

func answer(t *testing.T, source string, c *catalog) (kind, text string) {
	if c == nil {
		c = attributes
	}
	r, err := rule.New(source, c, "usd")
	if err != nil {
		return "faults", explain(err)
	}
	text = rule.Format(r.Tree())
	again, err := rule.New(text, c, "usd")
	if err != nil {
		t.Errorf("the canonical form is no rule: %s\n%s", text, explain(err))
		return "canonical", text
	}
	if diff := cmp.Diff(r.Tree(), again.Tree(), sameTree); diff != "" {
		t.Errorf("Parse(Format(tree)) is another tree\n%s\n%s", text, diff)
	}
	return "canonical", text + "\n"
}

// What people write wrong gets one message each, with a repair.
func TestNew_OneMessageForEachMistake(t *testing.T) {
	t.Parallel()
	for file, c := range map[string]*catalog{"people.test": product, "wrong.test": attributes, "wrong_sets.test": attributes, "wrong_newcomer.test": attributes} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		_, cases := readCorpus(t, string(data))
		for _, tt := range cases {
			var e *rule.Error
			if _, err := rule.New(tt.source, c, "usd"); !errors.As(err, &e) {
				t.Errorf("%s: %s is a rule", file, tt.name)
				continue
			}
			if several := strings.HasPrefix(tt.name, "two ") || file == "wrong.test"; len(e.Diagnostics) != 1 && !several {
				t.Errorf("%s: %s has %d messages\n%s", file, tt.name, len(e.Diagnostics), e.Explain())
			}
			for _, d := range e.Diagnostics {
				// An attribute that is any text leaves nothing to propose.
				if d.Hint == "" && !strings.HasSuffix(d.Msg, "is text and cannot be compared with a number") {
					t.Errorf("%s: %s has no repair\n%s", file, tt.name, e.Explain())
				}
			}
		}
	}
}

type corpusCase struct{ name, source, want string }

func readCorpus(t *testing.T, data string) (head string, cases []corpusCase) {
	t.Helper()
	parts := strings.Split("\n"+data, "\n=== ")
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		source, want, found := strings.Cut(rest, "\n--- ")
		if found {
			want = "--- " + strings.TrimRight(want, "\n") + "\n"
		} else if !*update {
			t.Fatalf("%s has no answer; go test -update writes it", name)
		}
		cases = append(cases, corpusCase{name, strings.TrimRight(source, "\n"), want})
	}
	head = strings.TrimPrefix(parts[0], "\n")
	if head != "" {
		head += "\n"
	}
	return head, cases
}
