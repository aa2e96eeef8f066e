package workspace

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// at is the place of the bytes [start, end) of the field's value in the file.
// Where the value's text cannot be found again in the file's, because it was
// written with escapes, it is the field's start.
func (f Field) at(source string, start, end int) Fault {
	start, end = min(start, len(source)), min(end, len(source))
	line, column, ok := f.find(source, start)
	if !ok {
		return f.Fault("", "")
	}
	span, _, _ := strings.Cut(source[start:max(start, end)], "\n")
	return f.doc.fault(line, column, utf8.RuneCountInString(span), "", "")
}

// find walks the file's text and the value's side by side up to the value's byte
// offset; line and column are the file's.
func (f Field) find(source string, offset int) (line, column int, ok bool) {
	c := cursor{lines: strings.Split(f.doc.Source, "\n"), line: f.node.Line - 1, column: f.node.Column - 1}
	switch style := f.node.Style; {
	case style&yaml.LiteralStyle != 0:
		return f.inLiteral(c, source, offset)
	case style&yaml.FoldedStyle != 0:
		c.line, c.column = c.line+1, 0
		c.blank()
		trimmed := strings.TrimLeftFunc(source, unicode.IsSpace)
		source, offset = trimmed, max(0, offset-(len(source)-len(trimmed)))
	default:
		c.properties()
		if style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			c.column++
		}
	}
	for i, r := range source {
		folded := unicode.IsSpace(r)
		if i > offset || i == offset && !folded {
			break
		}
		if folded {
			if i == 0 || !unicode.IsSpace(rune(source[i-1])) {
				c.blank()
			}
			continue
		}
		switch at := c.rune(); {
		case at == '\\' && f.node.Style&yaml.DoubleQuotedStyle != 0, at != r:
			return 0, 0, false
		case at == '\'' && f.node.Style&yaml.SingleQuotedStyle != 0:
			c.column++ // written twice
		}
		c.column++
	}
	return f.doc.Line + c.line, c.column + 1, true
}

// inLiteral finds a place in a block whose lines are the value's, indented.
func (f Field) inLiteral(c cursor, source string, offset int) (line, column int, ok bool) {
	before := source[:offset]
	lineStart := strings.LastIndexByte(before, '\n') + 1
	text, _, _ := strings.Cut(source[lineStart:], "\n")
	c.line += 1 + strings.Count(before, "\n")
	if c.line >= len(c.lines) {
		return 0, 0, false
	}
	raw := strings.TrimRight(c.lines[c.line], "\r")
	if !strings.HasSuffix(raw, text) {
		return 0, 0, false
	}
	indent := utf8.RuneCountInString(raw) - utf8.RuneCountInString(text)
	return f.doc.Line + c.line, indent + utf8.RuneCountInString(source[lineStart:offset]) + 1, true
}

// A cursor is a place in a document's lines, counted from 0, in characters.
type cursor struct {
	lines        []string
	line, column int
}

// rune is the character at the cursor; a line break at the end of a line, 0 at
// the end of the text.
func (c *cursor) rune() rune {
	if c.line >= len(c.lines) {
		return 0
	}
	n := 0
	for _, r := range c.lines[c.line] {
		if n == c.column {
			return r
		}
		n++
	}
	return '\n'
}

// blank passes over white space and line breaks.
func (c *cursor) blank() {
	for {
		switch r := c.rune(); {
		case r == '\n':
			c.line, c.column = c.line+1, 0
		case r != 0 && unicode.IsSpace(r):
			c.column++
		default:
			return
		}
	}
}

// properties passes over the anchor and the tag before a value.
func (c *cursor) properties() {
	for r := c.rune(); r == '&' || r == '!'; r = c.rune() {
		for r = c.rune(); r != 0 && !unicode.IsSpace(r); r = c.rune() {
			c.column++
		}
		c.blank()
	}
}
