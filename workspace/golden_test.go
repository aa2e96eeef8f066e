package workspace_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestFaults_golden holds what people are shown of each definition in testdata:
// whole, with places, carets and repairs.
func TestFaults_golden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 15 {
		t.Fatalf("found %d definitions in testdata (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := explain(filepath.Base(file), data)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", golden, diff)
			}
		})
	}
}

// explain reads a file as plan does, as far as the workspace and its segments.
func explain(file string, data []byte) string {
	docs, faults := workspace.Parse(file, data)
	for _, d := range docs {
		switch d.Kind {
		case "workspace":
			_, f := workspace.ParseSettings(d)
			faults = append(faults, f...)
		case "segment":
			_, f := segments.Parse(d, segments.Known{}, "usd")
			faults = append(faults, f...)
		}
	}
	faults.Sort()
	return faults.Explain()
}

// lines makes the sources of table tests readable.
func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }
