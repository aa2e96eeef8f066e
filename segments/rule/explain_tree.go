package rule

import (
	"strings"
	"unicode/utf8"
)

// maxTextColumn is how far the column of reasons moves to the right for a long
// part; a longer one pushes its own reason further.
const maxTextColumn = 56

// String draws x as an indented tree, one part a line, for people:
//
//	no   and
//	yes    plan = 'Pro'               plan is 'Pro'
//	no     card_expires_at < today()  card_expires_at is missing; today() is 2026-11-22
//
// It ends with a line break.
func (x *Explained) String() string {
	var lines []explainedLine
	x.lines(0, &lines)
	column := 0
	for _, l := range lines {
		if n := utf8.RuneCountInString(l.text); l.reason != "" && n <= maxTextColumn {
			column = max(column, n)
		}
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.mark + l.text)
		if l.reason != "" {
			b.WriteString(strings.Repeat(" ", max(column-utf8.RuneCountInString(l.text), 0)) + "  " + l.reason)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

type explainedLine struct{ mark, text, reason string }

func (x *Explained) lines(depth int, out *[]explainedLine) {
	l := explainedLine{mark: "no   ", text: strings.Repeat("  ", depth) + oneLine(x.Text)}
	if x.True {
		l.mark = "yes  "
	}
	if x.Word != "" {
		l.text = strings.Repeat("  ", depth) + x.Word
	}
	l.reason = x.Value
	if x.Bound != "" {
		l.reason = strings.TrimPrefix(l.reason+"; "+x.Bound, "; ")
	}
	*out = append(*out, l)
	for _, p := range x.Parts {
		p.lines(depth+1, out)
	}
}
