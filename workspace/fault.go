package workspace

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode"

	"github.com/dunlin/dunlin/segments/rule"
)

// A Fault says what is wrong with one place in a definition file.
type Fault struct {
	File         string
	Line, Column int    // from 1; the column counts characters
	Msg          string // lower case, no full stop, names in %q
	Hint         string // a likely repair; empty when there is none
	Excerpt      string // the line at fault; empty when there is nothing to show
	Width        int    // how many characters of it
}

// Faults is everything wrong with a set of definitions, in file order.
type Faults []Fault

// Error is one line, for logs.
func (f Faults) Error() string {
	if len(f) == 0 {
		return "no faults"
	}
	s := fmt.Sprintf("%s:%d:%d: %s", f[0].File, f[0].Line, f[0].Column, f[0].Msg)
	if len(f) > 1 {
		s += fmt.Sprintf(" (and %d more)", len(f)-1)
	}
	return s
}

// Explain is for people: each fault with its place, the line, a caret and a
// repair.
func (f Faults) Explain() string {
	var b strings.Builder
	for _, x := range f {
		fmt.Fprintf(&b, "%s:%d:%d: %s\n", x.File, x.Line, x.Column, x.Msg)
		if x.Excerpt != "" {
			line, column, width := clip(x.Excerpt, x.Column, max(x.Width, 1))
			fmt.Fprintf(&b, "  %s\n  %s%s\n", line, blank(line, column-1), strings.Repeat("^", width))
		}
		if x.Hint != "" {
			fmt.Fprintf(&b, "  %s\n", x.Hint)
		}
	}
	return b.String()
}

// Sort puts faults in file order.
func (f Faults) Sort() {
	sort.SliceStable(f, func(i, j int) bool {
		a, b := f[i], f[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
}

// maxShown bounds how much of a line is shown, in characters.
const maxShown = 160

// clip makes a line fit for a terminal: the part around the fault when it is
// long, and a replacement for what cannot be printed.
func clip(line string, column, width int) (string, int, int) {
	shown := []rune(line)
	for i, r := range shown {
		if r != '\t' && !unicode.IsPrint(r) {
			shown[i] = unicode.ReplacementChar
		}
	}
	if len(shown) <= maxShown {
		return string(shown), column, width
	}
	width = min(width, maxShown/2)
	from := max(0, min(column-1, len(shown))-maxShown/4)
	to := min(len(shown), from+maxShown)
	out := string(shown[from:to])
	if to < len(shown) {
		out += "…"
	}
	if from > 0 {
		out, column = "…"+out, column+1
	}
	return out, column - from, width
}

// blank is the space under the first n characters of line, with its tabs kept
// so that a caret lands where it should.
func blank(line string, n int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
		if i >= n {
			break
		}
		if r == '\t' {
			b.WriteRune('\t')
		} else {
			b.WriteRune(' ')
		}
	}
	return b.String()
}

// ruleFaults turns what is wrong with a rule inside a definition into faults at
// the file's own lines and columns.
func ruleFaults(f Field, err error) Faults {
	var re *rule.Error
	if !errors.As(err, &re) {
		return Faults{f.Fault("", "%s", err.Error())}
	}
	var out Faults
	for _, d := range re.Diagnostics {
		x := f.at(re.Source, d.Span.Start, d.Span.End)
		x.Msg, x.Hint = d.Msg, d.Hint
		out = append(out, x)
	}
	return out
}

// Nearest is the candidate closest to name, when one is close enough to be a
// slip of the fingers; else empty.
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", len(name)/3+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of single-letter edits between a and b.
func distance(a, b string) int {
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j]+cost, prev[j+1]+1, row[j]+1)
		}
		prev = row
	}
	return prev[len(b)]
}
