package workspace_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// FuzzParse holds that no file makes the reader panic, and that every fault is
// in the file and fit for a terminal.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "../examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, s := range []string{"\uFEFF", "---", "...", "--- x", "a: *a", "? ? ?", "kind: workspace\nzone: !!binary x\n", "kind: !!int workspace", "&a kind: *a", "!!map [kind]", "\r\n---\r", "kind: \"a\\\n  b\"", "{kind: workspace, teams: {? [a] : b}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, faults := workspace.Parse("f", data)
		for _, d := range docs {
			switch d.Kind {
			case "workspace":
				s, more := workspace.ParseSettings(d)
				if s.Zone == nil || len(more) == 0 && (len(s.Currency) != 3 || s.Sender < 0) {
					t.Errorf("settings without a zone, a currency or with sender %d", s.Sender)
				}
				faults = append(faults, more...)
			case "segment":
				s, more := segments.Parse(d, segments.Known{}, "usd")
				if len(more) == 0 && s.Rule == nil {
					t.Error("a segment without a rule and without a fault")
				}
				faults = append(faults, more...)
			}
			again, more := workspace.Parse("again", []byte(d.Source))
			if len(more) > 0 || len(again) != 1 || again[0].Name != d.Name || again[0].Kind != d.Kind {
				t.Errorf("the source of %q does not parse to itself: %s", d.Name, more.Explain())
			}
		}
		last := 1 + strings.Count(string(data), "\n")
		for _, x := range faults {
			if x.Line < 1 || x.Line > last || x.Column < 1 || x.Width < 0 {
				t.Errorf("%d:%d is not in a file of %d lines: %s", x.Line, x.Column, last, x.Msg)
			}
		}
		if s := faults.Explain(); strings.ContainsRune(s, 0x1b) || strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
			t.Errorf("not fit for a terminal: %q", s)
		}
	})
}
