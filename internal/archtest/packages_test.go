package archtest

import (
	"fmt"
	"go/ast"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// checkDocs returns a line for each package without a package comment, and for
// each with two: nobody would know which one is right.
func checkDocs(all []source) []string {
	docs := map[string]int{}
	for _, s := range all {
		if s.isTest() {
			continue
		}
		n := docs[s.dir()]
		if s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != "" {
			n++
		}
		docs[s.dir()] = n
	}
	var faults []string
	for dir, n := range docs {
		switch {
		case n == 0:
			faults = append(faults, dir+" has no package comment: what it is for, how to use it, what it promises")
		case n > 1:
			faults = append(faults, fmt.Sprintf("%s has %d package comments", dir, n))
		}
	}
	slices.Sort(faults)
	return faults
}

// checkMains returns a line for each package whose tests use pgtest without
// calling pgtest.Main, which stops the server in the end.
func checkMains(all []source) []string {
	const pgtest = modulePath + "/internal/pgtest"
	uses, calls := map[string]bool{}, map[string]bool{}
	for _, s := range all {
		if !s.isTest() {
			continue
		}
		for _, spec := range s.file.Imports {
			if spec.Path.Value == `"`+pgtest+`"` {
				uses[s.dir()] = true
			}
		}
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "TestMain" && fn.Recv == nil && callsMain(fn) {
				calls[s.dir()] = true
			}
		}
	}
	var faults []string
	for dir := range uses {
		if !calls[dir] {
			faults = append(faults, dir+" uses pgtest and lacks func TestMain(m *testing.M) { pgtest.Main(m) }")
		}
	}
	slices.Sort(faults)
	return faults
}

func callsMain(fn *ast.FuncDecl) (found bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Main" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "pgtest" {
				found = true
			}
		}
		return !found
	})
	return found
}

var migrationName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)

// checkNumbers returns a line for each migration that does not follow the one
// before it: goose would refuse a number that comes late, and skip none.
func checkNumbers(names []string) []string {
	var faults []string
	for i, name := range names {
		m := migrationName.FindStringSubmatch(name)
		switch {
		case m == nil:
			faults = append(faults, fmt.Sprintf("migrations/%s: a migration is called 0001_name.sql", name))
		case m[1] != fmt.Sprintf("%04d", i+1):
			faults = append(faults, fmt.Sprintf("migrations/%s: number %04d is due here", name, i+1))
		}
	}
	return faults
}

func TestPackages_haveDocs(t *testing.T) {
	t.Parallel()
	report(t, checkDocs(mustSources(t)))
}

func TestPackages_stopTheServer(t *testing.T) {
	t.Parallel()
	report(t, checkMains(mustSources(t)))
}

func TestMigrations_areNumbered(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(root(t), "migrations/*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("migrations: %v %v", names, err)
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], "migrations/")
	}
	report(t, checkNumbers(names))
}

func TestCheckDocs(t *testing.T) {
	t.Parallel()
	all, err := sources(fstest.MapFS{
		"good/a.go":      {Data: []byte("// Package good is good.\npackage good\n")},
		"good/b.go":      {Data: []byte("package good\n")},
		"none/a.go":      {Data: []byte("package none\n")},
		"none/a_test.go": {Data: []byte("// Package none is documented where nobody looks.\npackage none\n")},
		"two/a.go":       {Data: []byte("// Package two is one thing.\npackage two\n")},
		"two/b.go":       {Data: []byte("// Package two is another.\npackage two\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFaults(t, checkDocs(all), "none has no package comment", "two has 2 package comments")
}

func TestCheckMains(t *testing.T) {
	t.Parallel()
	const head = "package p\n\nimport \"" + modulePath + "/internal/pgtest\"\n\n"
	all, err := sources(fstest.MapFS{
		"good/a_test.go":    {Data: []byte(head + "func TestA(t *testing.T) { pgtest.New(t) }\n")},
		"good/main_test.go": {Data: []byte(head + "func TestMain(m *testing.M) { pgtest.Main(m) }\n")},
		"none/a_test.go":    {Data: []byte(head + "func TestA(t *testing.T) { pgtest.New(t) }\n")},
		"other/a_test.go":   {Data: []byte(head + "func TestMain(m *testing.M) { os.Exit(m.Run()) }\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFaults(t, checkMains(all), "none uses pgtest", "other uses pgtest")
}

func TestCheckNumbers(t *testing.T) {
	t.Parallel()
	wantFaults(t, checkNumbers([]string{"0001_a.sql", "0002_b.sql"}))
	wantFaults(t, checkNumbers([]string{"0001_a.sql", "0003_b.sql"}), "0003_b.sql: number 0002")
	wantFaults(t, checkNumbers([]string{"0001_a.sql", "0001_b.sql"}), "0001_b.sql: number 0002")
	wantFaults(t, checkNumbers([]string{"1_a.sql"}), "1_a.sql: a migration is called")
}

// wantFaults checks that a checker found exactly these, in order, by their words.
func wantFaults(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("faults\n got %q\nwant %q", got, want)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("fault %d\n got %q\nwant %q", i, got[i], want[i])
		}
	}
}
