package workspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// found is a document without its tree.
type found struct {
	Line       int
	Kind, Name string
}

func summary(docs []workspace.Document) []found {
	var out []found
	for _, d := range docs {
		out = append(out, found{d.Line, d.Kind, d.Name})
	}
	return out
}

const segment = "kind: segment\nname: %s\nrule: delinquent\n"

func TestParse_documents(t *testing.T) {
	t.Parallel()
	a, b := fmt.Sprintf(segment, "a"), fmt.Sprintf(segment, "b")
	both := []found{{1, "segment", "a"}, {5, "segment", "b"}}
	for _, tt := range []struct {
		name, source string
		want         []found
	}{
		{"nothing", "", nil},
		{"white space", " \n\n  \n", nil},
		{"comments only", "# a\n# b\n---\n# c\n", nil},
		{"null", "~\n---\nnull\n---\n", nil},
		{"one", a, both[:1]},
		{"no line break at the end", strings.TrimSuffix(a, "\n"), both[:1]},
		{"two", a + "---\n" + b, both},
		{"separators around", "---\n" + a + "---\n---\n" + b + "---\n", []found{{2, "segment", "a"}, {7, "segment", "b"}}},
		{"comment beside the separator", a + "--- # next\n" + b, both},
		{"end marker", a + "...\n" + b, both},
		{"Windows", strings.ReplaceAll(a+"---\n"+b, "\n", "\r\n"), both},
		{"byte order mark", "\uFEFF" + a + "---\n" + b, both},
		{"separator inside a block is text", a + "description: |\n  ---\n  ...\n" + "---\n" + b, []found{{1, "segment", "a"}, {8, "segment", "b"}}},
		{"dashes that separate nothing", "---- \n", nil},
		{"comments before", "# x\n\n" + a, both[:1]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			docs, faults := workspace.Parse("f.yaml", []byte(tt.source))
			if tt.name == "dashes that separate nothing" {
				if len(faults) != 1 {
					t.Errorf("faults\n got %s\nwant one", faults.Explain())
				}
				return
			}
			if len(faults) > 0 {
				t.Fatalf("faults\n got %s\nwant none", faults.Explain())
			}
			if diff := cmp.Diff(tt.want, summary(docs)); diff != "" {
				t.Errorf("documents (-want +got)\n%s", diff)
			}
			for _, d := range docs {
				again, faults := workspace.Parse("again", []byte(d.Source))
				if len(faults) > 0 || len(again) != 1 || again[0].Name != d.Name {
					t.Errorf("the source of %s does not parse to itself: %v %s", d.Name, summary(again), faults.Explain())
				}
			}
		})
	}
}

// TestParse_losesNothing holds that what a file says beyond its first document
// is read or refused, however it is separated.
func TestParse_losesNothing(t *testing.T) {
	t.Parallel()
	a := fmt.Sprintf(segment, "a")
	for _, tt := range []struct{ name, source, want string }{
		{"on the separator", a + "--- {kind: segment, name: b, rule: deleted}\n", "f.yaml:4:5: a definition begins in the line below \"---\""},
		{"on the end marker", a + "... kind: segment\n", "f.yaml:4:5: a definition begins in the line below \"...\""},
		{"old Macintosh", strings.ReplaceAll(a+"---\n"+a, "\n", "\r"), "f.yaml:1:1: there is more than one definition here"},
		{"old Macintosh, broken", strings.ReplaceAll(a+"---\n'x", "\n", "\r"), "f.yaml:1:1: not valid YAML"},
		{"UTF-16", "\xff\xfek\x00i\x00n\x00d\x00:\x00", "f.yaml:1:1: not text in UTF-8"},
		{"Latin-1", a + "description: Gr\xf6\xdfe\n", "f.yaml:4:1: not text in UTF-8"},
		{"NUL", a + "# \x00\n", "f.yaml:4:1: not text in UTF-8"},
		{"control characters", "kind: \x1b[31mred\n", "f.yaml:1:1: not valid YAML: control characters are not allowed"},
		{"two mappings", "{kind: segment, name: a, rule: x}\n{kind: segment, name: b, rule: x}\n", "f.yaml:1:1: there is more than one definition here"},
		{"a directive", "%YAML 1.2\n---\n" + a, "f.yaml:1:1: not valid YAML"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, faults := workspace.Parse("f.yaml", []byte(tt.source))
			if got := faults.Explain(); !strings.Contains(got, tt.want) {
				t.Errorf("faults\n got %s\nwant %s", got, tt.want)
			}
			if strings.ContainsAny(faults.Explain(), "\x00\x1b\r") {
				t.Errorf("control characters reach the terminal: %q", faults.Explain())
			}
		})
	}
}

func TestParse_binaryJunk(t *testing.T) {
	t.Parallel()
	elf := append([]byte("\x7fELF\x02\x01\x01"), bytes.Repeat([]byte{0, 0x90, 0xfe}, 4000)...)
	if _, faults := workspace.Parse("junk", elf); len(faults) != 1 || faults[0].Line != 1 {
		t.Errorf("faults\n got %s\nwant one in line 1", faults.Explain())
	}
	for _, deep := range []string{strings.Repeat("[", 1<<19), strings.Repeat("{a: ", 1<<17), strings.Repeat("- ", 1<<18), strings.Repeat("? ", 1<<18)} {
		if _, faults := workspace.Parse("deep", []byte(deep)); len(faults) == 0 {
			t.Errorf("%.20s… was taken for a definition", deep)
		}
	}
	bomb := "kind: workspace\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	if got := explain("bomb", []byte(bomb)); !strings.Contains(got, `unknown key "a"`) {
		t.Errorf("a bomb of aliases\n got %.300s\nwant unknown keys", got)
	}
	if got := explain("self", []byte("kind: workspace\nzone: UTC\ncurrency: usd\nteams: &t {x: *t}\nopt_out: &o\n  tag: *o\n")); !strings.Contains(got, `unknown key "x"`) {
		t.Errorf("a mapping that holds itself\n got %s", got)
	}
}

// TestExplain_longLine holds that one long line does not flood the terminal, and
// that the caret stays below the fault.
func TestExplain_longLine(t *testing.T) {
	t.Parallel()
	source := "{kind: segment, name: a, rule: deleted, " + strings.Repeat("description: x, ", 1) + "junk: \"" + strings.Repeat("é", 50_000) + "\", zzz: 1}\n"
	docs, _ := workspace.Parse("f.yaml", []byte(source))
	_, faults := segments.Parse(docs[0], segments.Known{}, "usd")
	got := strings.Split(faults.Explain(), "\n")
	for i, line := range got {
		if n := len([]rune(line)); n > 200 {
			t.Errorf("line %d is %d characters long", i, n)
		}
		if caret := strings.Index(line, "^"); caret >= 0 {
			above := []rune(got[i-1])[caret : caret+strings.Count(line, "^")]
			if s := string(above); s != "junk" && s != "zzz" {
				t.Errorf("the carets are below %q", s)
			}
		}
	}
}

func TestExplain_tabs(t *testing.T) {
	t.Parallel()
	got := explain("f.yaml", []byte("kind: segment\nname: s\nrule: |\n  plan\t=\t'x' and\tplann = 'y'\n"))
	want := lines("f.yaml:4:18: unknown attribute \"plann\"", "  "+"  plan\t=\t'x' and\tplann = 'y'", "  "+"      \t \t       \t^^^^^", "  did you mean \"plan\"?")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRuleFaults_place holds that a fault in a rule is placed at the very word,
// whatever the style of the scalar it stands in.
func TestRuleFaults_place(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"deleted", "plan = 'Größe'", "email is null", "not delinquent", "zzz_unknown is set", "plan in ('a''b', 'c')"}), 1, 6).Draw(rt, "conditions")
		words = append(words, "zzz_unknown is null")
		eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "eol")
		indent := strings.Repeat(" ", rapid.IntRange(1, 5).Draw(rt, "indent"))
		style := rapid.SampledFrom([]string{"|", "|-", ">", ">+", "'", `"`, ""}).Draw(rt, "style")
		var b strings.Builder
		for i, w := range words {
			if i > 0 {
				b.WriteString(rapid.SampledFrom([]string{" and ", "  and ", " and" + eol + indent, eol + indent + "and ", eol + eol + indent + "and\t"}).Draw(rt, "joint"))
			}
			b.WriteString(w)
		}
		value := b.String()
		switch style {
		case "'":
			value = "'" + strings.ReplaceAll(value, "'", "''") + "'"
		case `"`:
			value = `"` + value + `"`
		case "":
		default:
			value = style + eol + rapid.SampledFrom([]string{"", eol}).Draw(rt, "blank line") + indent + value
		}
		head := rapid.SampledFrom([]string{"", "# comment" + eol, "---" + eol, "kind: segment" + eol + "name: o" + eol + "rule: deleted" + eol + "---" + eol}).Draw(rt, "head")
		source := head + "kind: segment" + eol + "name: s" + eol + "rule: " + value + eol
		docs, faults := workspace.Parse("f", []byte(source))
		if len(faults) > 0 {
			rt.Fatalf("%s\n%s", source, faults.Explain())
		}
		_, faults = segments.Parse(docs[len(docs)-1], segments.Known{}, "usd")
		if len(faults) == 0 {
			rt.Fatalf("no fault in\n%s", source)
		}
		all := strings.Split(source, "\n")
		for _, f := range faults {
			if f.Line < 1 || f.Line > len(all) {
				rt.Fatalf("line %d of %d", f.Line, len(all))
			}
			line := []rune(all[f.Line-1])
			if f.Column+f.Width-1 > len(line) || string(line[f.Column-1:f.Column-1+f.Width]) != "zzz_unknown" {
				rt.Fatalf("%d:%d is not zzz_unknown in\n%s", f.Line, f.Column, source)
			}
		}
	})
}

func TestReadFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("set/b.yaml", fmt.Sprintf(segment, "b"))
	write("set/a.yml", fmt.Sprintf(segment, "a"))
	write("set/deep/c.yaml", fmt.Sprintf(segment, "c"))
	write("set/notes.txt", "not a definition: [")
	write("none/readme.md", "x")
	good := write("good.yaml", fmt.Sprintf(segment, "good"))
	wrong := write("wrong.yaml", "kind: segmnt\n---\nname: x\n")
	also := write("also.yaml", "kind: [\n")
	full := "# " + strings.Repeat("x", 1<<20-3) + "\n"
	exact, over := write("exact.yaml", full), write("over.yaml", full+"\n")

	t.Run("a folder, in name order", func(t *testing.T) {
		t.Parallel()
		docs, err := workspace.ReadFiles([]string{filepath.Join(dir, "set"), good}, nil)
		var names []string
		for _, d := range docs {
			names = append(names, d.Name)
		}
		if diff := cmp.Diff([]string{"a", "b", "c", "good"}, names); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	})
	t.Run("standard input", func(t *testing.T) {
		t.Parallel()
		docs, err := workspace.ReadFiles([]string{"-"}, strings.NewReader(fmt.Sprintf(segment, "in")))
		if err != nil || len(docs) != 1 || docs[0].File != "standard input" {
			t.Errorf("got %v %v", summary(docs), err)
		}
	})
	t.Run("faults of all files at once, and no document", func(t *testing.T) {
		t.Parallel()
		docs, err := workspace.ReadFiles([]string{good, wrong, also}, nil)
		var faults workspace.Faults
		if !errors.As(err, &faults) || len(faults) != 4 || docs != nil {
			t.Fatalf("got %v, %d documents\nwant four faults and none", err, len(docs))
		}
		if got := faults.Error(); strings.Contains(got, "\n") || !strings.Contains(got, "(and 3 more)") {
			t.Errorf("Error is one line for logs\n got %q", got)
		}
	})
	t.Run("exactly 1 MiB", func(t *testing.T) {
		t.Parallel()
		if docs, err := workspace.ReadFiles([]string{exact}, nil); err != nil || len(docs) != 0 {
			t.Errorf("got %v %v", summary(docs), err)
		}
	})
	for name, tt := range map[string]struct {
		paths []string
		want  string
	}{
		"a byte more":          {[]string{over}, "larger than 1 MiB; split it"},
		"endless input":        {[]string{"-"}, "larger than 1 MiB"},
		"missing":              {[]string{filepath.Join(dir, "nope.yaml")}, "nope.yaml"},
		"a folder without any": {[]string{filepath.Join(dir, "none")}, "no .yaml file in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := workspace.ReadFiles(tt.paths, zeros{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
			if name == "missing" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v\nwant fs.ErrNotExist", err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"enroll", "ignore", "entry", "card"}
	for name, want := range map[string]string{"enrol": "enroll", "ENROLL": "enroll", "ingore": "ignore", "crad": "card", "": "", "zebra": "", "payment": "", "cárd": "card"} {
		if got := workspace.Nearest(name, words); got != want {
			t.Errorf("Nearest(%q)\n got %q\nwant %q", name, got, want)
		}
	}
}
