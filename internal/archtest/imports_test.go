package archtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// A room is a package, with those below it that have no room of their own. What
// it may import is a prefix: a package of ours by its path in the module, others
// by their import path. The standard library is free to all.
type room struct {
	path   string
	may    []string
	reason string
}

const (
	pgxModule    = "github.com/jackc/pgx/v5"
	yamlModule   = "go.yaml.in/yaml/v3"
	stripeModule = "github.com/stripe/stripe-go/v76"
	riverModule  = "github.com/riverqueue/river"

	anything = "*" // but what is forTests
)

// rooms is the import table of the design, section 4. Imports point down only.
// An arrow that would point up becomes a function in a Config.
var rooms = []room{
	{"segments/rule", nil,
		"the language runs anywhere and is tested without anything"},
	{"workspace", []string{pgxModule, "segments/rule", yamlModule},
		"settings are read by everybody, so they know nobody"},
	{"customers", []string{pgxModule, "segments/rule", "workspace", "internal/jsonpick"},
		"stripe-go loses nulls and uses floats, so raw JSON is decoded into small structs here"},
	{"segments", []string{pgxModule, "segments/rule", "customers", "workspace", "github.com/Masterminds/squirrel", yamlModule},
		"who is in a segment does not depend on what campaigns do about it"},
	{"campaigns", []string{pgxModule, "segments", "segments/rule", "customers", "workspace", "github.com/osteele/liquid", "github.com/go-playground/locales", "golang.org/x/text", yamlModule},
		"decides and records; calling Intercom and queueing are for jobs, so that decisions are testable"},
	{"intercom", []string{pgxModule},
		"a client knows its vendor and nothing of the product"},
	{"stripesync", []string{pgxModule, "customers", "workspace", stripeModule, "golang.org/x/time", "internal/jsonpick"},
		"mirrors Stripe and re-projects customers; what follows from it is a function in its Config"},
	{"migrations", []string{pgxModule, "github.com/pressly/goose/v3", riverModule + "/rivermigrate", riverModule + "/riverdriver"},
		"tables exist before any package that uses them"},
	{"jobs", []string{pgxModule, "segments/rule", "workspace", "customers", "segments", "campaigns", "intercom", "stripesync", "migrations", riverModule},
		"joins the rooms together; the only one that knows River"},
	{"sandbox", []string{pgxModule, stripeModule},
		"a world that shared code with the product would share its mistakes, and its judge would not see them"},
	{"console", []string{pgxModule, "segments", "segments/rule", "campaigns", "customers", "workspace", "jobs", "riverqueue.com/riverui"},
		"shows what the rooms know, and enqueues"},
	{"examples", nil,
		"files to embed"},
	{"cmd/dunlin", []string{anything},
		"wires everything; but not what is for tests"},
	{"internal/pgdev", []string{pgxModule},
		"starts a server and knows nothing of what is in it"},
	{"internal/pgtest", []string{pgxModule, "internal/pgdev", "migrations"},
		"databases for tests of any package, so it imports none of those"},
	{"internal/archtest", nil,
		"has nothing but tests"},
	{"internal/jsonpick", nil,
		"copies bytes and knows no vendor"},
	{"internal/testreport", nil,
		"a filter of CI's"},
}

// exempt are libraries for logging, metrics and tracing, which cross all rooms.
var exempt = []string{
	"github.com/prometheus/client_golang",
	"go.opentelemetry.io/otel",
	"github.com/exaring/otelpgx",
	"github.com/riverqueue/rivercontrib/otelriver",
}

// forTests is what no room may import outside of its tests, unless it says so.
var forTests = []string{
	modulePath + "/internal/pgtest",
	modulePath + "/internal/archtest",
	"github.com/google/go-cmp",
	"pgregory.net/rapid",
	"github.com/getkin/kin-openapi",
}

// checkImports returns a line for each import that leaves the table. Tests may
// import anything.
func checkImports(all []source, rooms []room) []string {
	var faults []string
	for _, s := range all {
		if s.isTest() {
			continue
		}
		r, ok := roomOf(s.dir(), rooms)
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: no room in the import table holds %s; a new directory needs a job that no room there could hold", s.path, s.dir()))
			continue
		}
		for _, spec := range s.file.Imports {
			target, _ := strconv.Unquote(spec.Path.Value) // the parser has unquoted it before
			if !mayImport(r, target, rooms) {
				faults = append(faults, fmt.Sprintf("%s imports %s, and %s may not: %s", s.path, target, r.path, r.reason))
			}
		}
	}
	return faults
}

// roomOf is the room with the longest path that holds the directory.
func roomOf(dir string, rooms []room) (room, bool) {
	var best room
	for _, r := range rooms {
		if within(dir, r.path) && len(r.path) > len(best.path) {
			best = r
		}
	}
	return best, best.path != ""
}

func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func mayImport(r room, target string, rooms []room) bool {
	first, _, _ := strings.Cut(target, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	if slices.Contains(r.may, anything) {
		return !slices.ContainsFunc(forTests, func(prefix string) bool { return within(target, prefix) })
	}
	if own, ok := strings.CutPrefix(target, modulePath+"/"); ok {
		// Having the right to a room is not having it to the rooms inside.
		holder, ok := roomOf(own, rooms)
		return ok && (holder.path == r.path || slices.Contains(r.may, holder.path))
	}
	allowed := slices.Concat(r.may, exempt)
	return slices.ContainsFunc(allowed, func(prefix string) bool { return within(target, prefix) })
}

func TestImports(t *testing.T) {
	t.Parallel()
	report(t, checkImports(mustSources(t), rooms))
}

func TestImports_tableIsSane(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, r := range rooms {
		if slices.Contains(paths, r.path) {
			t.Errorf("%s has two rows", r.path)
		}
		if r.reason == "" {
			t.Errorf("%s has no reason", r.path)
		}
		paths = append(paths, r.path)
	}
	// Down only: no two rooms reach each other, by whatever way.
	for _, r := range rooms {
		if slices.Contains(reach(r.path, nil), r.path) {
			t.Errorf("%s may import itself by way of others", r.path)
		}
	}
}

// reach lists the rooms that a room may import, by way of others included.
func reach(path string, seen []string) []string {
	i := slices.IndexFunc(rooms, func(r room) bool { return r.path == path })
	if i < 0 {
		return seen
	}
	for _, next := range rooms[i].may {
		if !slices.Contains(seen, next) {
			seen = reach(next, append(seen, next))
		}
	}
	return seen
}

func TestCheckImports(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, imports string
		want                string // words of the fault; empty when there is none
	}{
		{"standard library", "segments/rule/parse.go", `"strings"`, ""},
		{"the language wants pgx", "segments/rule/parse.go", pgxModule, "runs anywhere"},
		{"up", "customers/load.go", modulePath + "/segments", "customers may not"},
		{"down", "segments/tick.go", modulePath + "/customers", ""},
		{"into a room inside", "stripesync/apply.go", modulePath + "/segments/rule", "stripesync may not"},
		{"within a room", "sandbox/stripe/list.go", modulePath + "/sandbox/world", ""},
		{"the sandbox shares code", "sandbox/judge/judge.go", modulePath + "/campaigns", "share its mistakes"},
		{"a library of another's", "customers/load.go", stripeModule, "customers may not"},
		{"a package of an allowed library", "stripesync/list.go", stripeModule + "/client", ""},
		{"a name that only begins alike", "jobs/jobs.go", riverModule + "pro", "jobs may not"},
		{"metrics", "segments/rule/metrics.go", "github.com/prometheus/client_golang/prometheus", ""},
		{"anything", "cmd/dunlin/main.go", "example.com/anything", ""},
		{"a library for tests, in the product", "cmd/dunlin/main.go", "github.com/google/go-cmp/cmp", "cmd/dunlin may not"},
		{"what is for tests, in the product", "cmd/dunlin/main.go", modulePath + "/internal/pgtest", "cmd/dunlin may not"},
		{"what is for tests, in tests", "cmd/dunlin/main_test.go", modulePath + "/internal/pgtest", ""},
		{"no room", "util/strings.go", `"strings"`, "no room"},
		{"another module", "tools/tools.go", pgxModule, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{
				tt.path:        {Data: []byte("package p\n\nimport \"" + strings.Trim(tt.imports, `"`) + "\"\n")},
				"tools/go.mod": {},
			}
			all, err := sources(tree)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(checkImports(all, rooms), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%s importing %s\n got %q\nwant %q", tt.path, tt.imports, got, tt.want)
			}
		})
	}
}
