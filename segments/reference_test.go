package segments_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// docs/rules.md is what the catalog and the language say; -update writes it.
func TestReference_IsThePage(t *testing.T) {
	t.Parallel()
	const file = "../docs/rules.md"
	want := segments.Reference(customers.Attributes)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/rules.md is not what the catalog says; go test ./segments -run Reference -update\n%s", cmp.Diff(string(got), want))
	}
}

var (
	ruleBlock = regexp.MustCompile("(?ms)^```rule\n(.*?)^```$")
	textBlock = regexp.MustCompile("(?ms)^```text\n(.*?)^```$")
	stepIf    = regexp.MustCompile(`(?m)^ +if: (.+)$`)
	emptyLine = regexp.MustCompile(`\n[ \t]*\n`)
)

// Whatever a page shows as a rule, somebody will copy.
func TestReference_RulesOfThePagesCheck(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	found := 0
	for _, file := range append(pages, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "```rule") != len(ruleBlock.FindAllString(string(text), -1)) {
			t.Errorf("%s: a block of rules is not closed at the beginning of a line", file)
		}
		for _, block := range ruleBlock.FindAllStringSubmatch(string(text), -1) {
			for _, source := range emptyLine.Split(strings.TrimSpace(block[1]), -1) {
				found++
				checkShown(t, file, source)
			}
		}
	}
	if found < 60 {
		t.Errorf("found %d rules, fewer than the pages have", found)
	}
}

// checkShown checks a rule that a page shows. Its bare amounts are for any
// workspace, and its segments the reader's.
func checkShown(t *testing.T, file, source string) {
	t.Helper()
	r, err := rule.New(source, segments.Known{}, "usd")
	if err != nil {
		t.Errorf("%s shows a rule that is wrong:\n%s", file, err.(*rule.Error).Explain())
		return
	}
	if _, err := segments.Compile(r, rule.Env{}, nil); err != nil {
		t.Errorf("%s shows a rule that has no SQL:\n%s\n%v", file, source, err)
	}
}

func TestReference_RulesOfTheExamplesCheck(t *testing.T) {
	t.Parallel()
	docs, err := workspace.ReadFiles([]string{"../examples"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	known := segments.Known{Names: []string{}}
	for _, d := range docs {
		if d.Kind == "segment" {
			known.Names = append(known.Names, d.Name)
		}
	}
	if len(known.Names) == 0 {
		t.Error("found no segments")
	}
	for _, d := range docs {
		if d.Kind != "segment" {
			continue
		}
		s, faults := segments.Parse(d, known, "usd")
		if len(faults) > 0 {
			t.Errorf("segment %s\n%v", d.Name, faults)
		} else {
			checkShown(t, d.File, s.Rule.Source())
		}
	}
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conditions := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range stepIf.FindAllStringSubmatch(string(text), -1) {
			conditions++
			checkShown(t, file, found[1])
		}
	}
	if conditions == 0 {
		t.Error("found no step with a condition")
	}
}

// The page leaves nothing out.
func TestReference_NamesEverything(t *testing.T) {
	t.Parallel()
	page := segments.Reference(customers.Attributes)
	has := func(what, text string) {
		t.Helper()
		if !strings.Contains(page, text) {
			t.Errorf("the page has no %s %s", what, text)
		}
	}
	for _, a := range customers.Attributes.Attributes() {
		has("attribute", "\n| `"+a.Name+"` | "+a.Type.String())
		has("help", a.Help)
	}
	for _, c := range customers.Attributes.Collections() {
		has("collection", "\n### "+c.Name+"\n")
		_, section, _ := strings.Cut(page, "\n### "+c.Name+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		for _, f := range c.Fields {
			if !strings.Contains(section, "\n| `"+f.Name+"` | "+f.Type.String()) {
				t.Errorf("the page has no field %s.%s", c.Name, f.Name)
			}
			for _, v := range f.Values {
				has("value of "+c.Name+"."+f.Name, "`"+v+"`")
			}
		}
	}
	_, grammar, _ := strings.Cut(page, "\n## Grammar\n")
	for _, word := range rule.Reserved() {
		has("reserved word", "`"+word+"`")
		singular := strings.TrimSuffix(word, "s")
		if !strings.Contains(grammar, `"`+word+`"`) && !(strings.Contains(grammar, `"`+singular+`"`) && slices.Contains(rule.Reserved(), singular)) {
			t.Errorf("the grammar has no %q", word)
		}
	}
	for op := rule.Equal; op <= rule.After; op++ {
		has("operator", "`"+op.String()+"`")
	}
	for op := rule.Like; op <= rule.EndsWith; op++ {
		has("operator", "`"+op.String()+"`")
	}
	for what := rule.Null; what <= rule.False; what++ {
		has("operator", "`is "+what.String()+"`")
	}
}

// What is shown as an answer to a mistake is one.
func TestReference_MistakesAreMistakes(t *testing.T) {
	t.Parallel()
	page := segments.Reference(customers.Attributes)
	_, section, _ := strings.Cut(page, "\n## What Dunlin says")
	section, _, _ = strings.Cut(section, "\n## ")
	said := textBlock.FindAllStringSubmatch(section, -1)
	if len(said) < 8 {
		t.Errorf("%d answers\n%s", len(said), section)
	}
	for _, s := range said {
		if !strings.HasPrefix(s[1], "rule:1:") {
			t.Errorf("no mistake\n%s", s[1])
		}
	}
}

// The operators' table comes from the checker; that it has the columns and marks
// one expects says that the samples it is made of are what they should be.
func TestReference_OperatorsAndTypes(t *testing.T) {
	t.Parallel()
	page := segments.Reference(columns)
	for _, want := range []string{
		"| operator | text | number | money | true or false | date | point in time | list | metadata |",
		"| `=` `!=` `<>` | yes | yes | yes | yes | yes | yes | – | yes |",
		"| `<` `<=` `>` `>=` | – | yes | yes | – | yes | yes | – | – |",
		"| `contains` | yes | – | – | – | – | – | yes | yes |",
		"| `within next …` `within last …` | – | – | – | – | yes | yes | – | – |",
		"| by itself, or behind `not` | – | – | – | yes | – | – | – | – |",
		"| `is null` `is set` | yes | yes | yes | yes | yes | yes | yes | yes |",
		"| `now() - 72 hours` | – | – | – | – | – | yes | – |",
		"| `sum` | – | yes | yes | – | – | – | – |",
		" contains 'Pro'\n\nnot (",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("want the line %s\n%s", want, page[:4000])
		}
	}
}

// The two limits that are not constants another package can read.
func TestReference_LimitsOfDays(t *testing.T) {
	t.Parallel()
	for source, right := range map[string]bool{
		"card_expires_at > date '1900-01-01'": true, "card_expires_at > date '1899-12-31'": false,
		"card_expires_at < date '2999-12-31'": true, "card_expires_at < date '3000-01-01'": false,
		"card_expires_at within next 100 years": true, "card_expires_at within next 101 years": false,
	} {
		if _, err := rule.New(source, customers.Attributes, "usd"); (err == nil) != right {
			t.Errorf("%s\n got %v\nwant right: %t", source, err, right)
		}
	}
}

// Checker, completion and page take their words from the catalog.
func TestReference_CatalogHasHelpForEverything(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	entry := func(of string, a rule.Attribute) {
		if a.Help == "" || a.From == "" || strings.Contains(a.Help, "\n") || strings.HasSuffix(a.Help, ".") {
			t.Errorf("%s%s: help %q from %q", of, a.Name, a.Help, a.From)
		}
		if a.Name != strings.ToLower(a.Name) || rule.IsReserved(a.Name) || seen[of+a.Name] {
			t.Errorf("%s%s is no name for a rule", of, a.Name)
		}
		seen[of+a.Name] = true
	}
	for _, a := range customers.Attributes.Attributes() {
		entry("", a)
	}
	for _, c := range customers.Attributes.Collections() {
		if c.Help == "" || c.From == "" || c.One == "" {
			t.Errorf("%s: help %q from %q, one is %q", c.Name, c.Help, c.From, c.One)
		}
		if rule.IsReserved(c.Name) || seen[c.Name] {
			t.Errorf("%s is no name for a collection", c.Name)
		}
		for _, f := range c.Fields {
			entry(fmt.Sprintf("%s.", c.Name), f)
		}
	}
}
