package rule

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDiagnostics is how many faults one Error reports.
const maxDiagnostics = 10

// maxShownLine is the longest source line that Explain prints whole, in
// characters; of a longer one it prints the part around the fault.
const maxShownLine = 160

// A Span is a half-open range of bytes in a source. The zero value is the empty range at its start.
type Span struct{ Start, End int }

func (s Span) to(end Span) Span { return Span{s.Start, max(s.End, end.End)} }

// A Diagnostic says what is wrong with one place in a rule.
type Diagnostic struct {
	Span Span   // half-open range of bytes in the source
	Msg  string // lower case, no full stop, names in %q
	Hint string // a likely repair; empty when there is none
}

// Error holds everything wrong with one rule, in source order, up to ten faults.
// It is never empty. Its Error method is one line, for logs; people are shown
// [Error.Explain].
type Error struct {
	Source      string
	Diagnostics []Diagnostic
}

func newError(source string, ds []Diagnostic) *Error {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int { return a.Span.Start - b.Span.Start })
	if len(ds) > maxDiagnostics {
		ds = ds[:maxDiagnostics]
	}
	for i := range ds { // they quote the source
		ds[i].Msg, ds[i].Hint = oneLine(ds[i].Msg), oneLine(ds[i].Hint)
	}
	return &Error{Source: source, Diagnostics: ds}
}

// Error returns the first fault and how many follow.
func (e *Error) Error() string {
	d := e.Diagnostics[0]
	line, column := e.Position(d)
	s := fmt.Sprintf("rule:%d:%d: %s", line, column, d.Msg)
	switch n := len(e.Diagnostics) - 1; n {
	case 0:
		return s
	case 1:
		return s + " (and 1 more fault)"
	default:
		return fmt.Sprintf("%s (and %d more faults)", s, n)
	}
}

// Position returns the line and column at which d starts, in characters from 1.
func (e *Error) Position(d Diagnostic) (line, column int) {
	before := e.Source[:d.Span.Start]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

// Explain returns every fault with its place, the line it is in, carets under
// it, and the repair where there is one. It ends with a line break.
func (e *Error) Explain() string {
	var b strings.Builder
	for _, d := range e.Diagnostics {
		line, column := e.Position(d)
		text, carets := e.excerpt(d.Span)
		fmt.Fprintf(&b, "rule:%d:%d: %s\n", line, column, d.Msg)
		if text != "" {
			fmt.Fprintf(&b, "  %s\n  %s\n", text, carets)
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "  %s\n", d.Hint)
		}
	}
	return b.String()
}

// excerpt returns the line in which s starts and the carets that mark s in it,
// up to the line's end. Tabs are copied, so that the carets stay below; what
// cannot be printed, or would turn the text's direction, shows as a replacement
// character.
func (e *Error) excerpt(s Span) (text, carets string) {
	start := strings.LastIndexByte(e.Source[:s.Start], '\n') + 1
	line, _, _ := strings.Cut(e.Source[start:], "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", ""
	}
	from, to := min(s.Start-start, len(line)), min(s.End-start, len(line))
	head, body, tail := printable(line[:from]), printable(line[from:to]), printable(line[to:])
	if total := len(head) + len(body) + len(tail); total > maxShownLine {
		if keep := maxShownLine / 3; len(head) > keep {
			head = append([]rune{'…'}, head[len(head)-keep:]...)
		}
		if keep := maxShownLine / 3; len(body) > keep {
			body, tail = body[:keep], nil
		}
		if keep := maxShownLine - len(head) - len(body); len(tail) > keep {
			tail = tail[:keep]
		}
		if to < len(line) {
			tail = append(tail, '…')
		}
	}
	pad := make([]rune, len(head))
	for i, r := range head {
		pad[i] = ' '
		if r == '\t' {
			pad[i] = '\t'
		}
	}
	text = string(head) + string(body) + string(tail)
	return text, string(pad) + strings.Repeat("^", max(len(body), 1))
}

// oneLine makes a message that quotes the source fit for a terminal.
func oneLine(s string) string {
	return string(printable(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ").Replace(s)))
}

func printable(s string) []rune {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r != '\t' && !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		out = append(out, r)
	}
	return out
}
