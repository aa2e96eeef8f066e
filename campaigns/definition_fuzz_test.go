package campaigns

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dunlin/dunlin/workspace"
)

// FuzzParse holds that no definition makes the reader panic, that a definition
// without a fault has all that a decision relies on and is the same when it is
// read from the store, and that every fault is in the file and fit for a
// terminal.
func FuzzParse(f *testing.F) {
	for _, tt := range wrong {
		f.Add(definition(tt.head, tt.steps))
	}
	examples, err := workspace.ReadFiles([]string{"../examples"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, d := range examples {
		f.Add(d.Source)
	}
	for _, s := range []string{
		allKeys, "kind: campaign\nname: a\nsteps: [&a {name: a, at: 1 day, message: *a}]\n",
		"kind: campaign\nname: a\nsteps:\n - name: a\n   at: 1 day\n   message:\n     channel: inapp\n     variants: [*x, {}, &x {name: y}]\n",
		"kind: campaign\nname: a\nholdout: 99999999999999999999%\npriority: 0x10\ngoal_within: 999999999 days\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		docs, _ := workspace.Parse("f", []byte(source))
		for _, doc := range docs {
			if doc.Kind != "campaign" {
				continue
			}
			d, faults := Parse(doc, known())
			last := 1 + strings.Count(source, "\n")
			for _, x := range faults {
				if x.Line < 1 || x.Line > last || x.Column < 1 || x.Width < 0 || x.Msg == "" {
					t.Errorf("%d:%d is not in a file of %d lines: %s", x.Line, x.Column, last, x.Msg)
				}
			}
			if s := faults.Explain(); strings.ContainsRune(s, 0x1b) || strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
				t.Errorf("not fit for a terminal: %q", s)
			}
			k := known()
			k.Stored = true
			stored, more := Parse(doc, k)
			if len(faults) > 0 {
				continue
			}
			if len(more) > 0 || summary(stored) != summary(d) {
				t.Errorf("read from the store it is another\n got %s%s\nwant %s", more.Explain(), summary(stored), summary(d))
			}
			sound(t, d)
		}
	})
}

// sound checks what whoever decides and delivers takes for granted.
func sound(t *testing.T, d Definition) {
	t.Helper()
	if len(d.Steps) == 0 || d.Episode.Kind == "" || d.Segment == "" && d.Trigger == "" ||
		d.GoalWithin <= 0 || d.NoOlderThan < leastAge || d.Holdout < 0 || d.Holdout > 90 || d.ReenterAfter < 0 {
		t.Errorf("not sound: %s", summary(d))
	}
	for _, s := range d.Steps {
		if s.Name == "" || s.Action == "" || length(s.Expires) <= 0 || s.Contact && (s.Action == Task || s.Action == Note) {
			t.Errorf("not sound: %s", summary(d))
		}
		if (s.Action == Message) != (len(s.Variants) > 0) {
			t.Errorf("%s has %d variants", s.Action, len(s.Variants))
		}
		for _, v := range s.Variants {
			if v.Weight < 1 || !v.Body.Written() || v.Subject.Written() != (s.Channel == Email) {
				t.Errorf("not sound: %s", summary(d))
			}
		}
	}
}
