package rule

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	tokEOF kind = iota
	tokWord
	tokText
	tokNumber
	tokSymbol // ( ) [ ] , . + - and the comparisons; * / % only to be refused
)

// A token is one word of the source. A bad one stands for something the lexer
// has already reported; the parser takes it without another message.
type token struct {
	kind kind
	span Span
	text string // a word in lower case, a text without its quotes
	bad  bool
}

type lexer struct {
	src    string
	pos    int
	tokens []token
	faults []Diagnostic
	broken int // from here on parse faults are echoes of an unclosed text; -1 when there is none
}

// lex cuts the source into tokens, the last of which is tokEOF, and reports what
// no rule may contain.
func lex(src string) *lexer {
	l := &lexer{src: src, broken: -1, tokens: make([]token, 0, len(src)/4+1)}
	if l.acceptable() {
		for l.pos < len(l.src) {
			l.next()
		}
	}
	l.tokens = append(l.tokens, token{kind: tokEOF, span: Span{len(src), len(src)}})
	return l
}

// acceptable refuses a source that cannot be read character by character.
func (l *lexer) acceptable() bool {
	switch {
	case len(l.src) > MaxLength:
		at := MaxLength
		for !utf8.RuneStart(l.src[at]) && at > MaxLength-utf8.UTFMax {
			at--
		}
		l.fault(Span{at, at}, fmt.Sprintf("the rule is longer than %d bytes", MaxLength),
			"keep lists of customers out of rules: give them a metadata key in Stripe and ask for that")
		return false
	case strings.IndexByte(l.src, 0) >= 0:
		at := strings.IndexByte(l.src, 0)
		l.fault(Span{at, at + 1}, "a rule cannot contain a NUL character", "delete it")
		return false
	case !utf8.ValidString(l.src):
		for i, r := range l.src {
			if r == utf8.RuneError && !strings.HasPrefix(l.src[i:], "\uFFFD") {
				l.fault(Span{i, i + 1}, "this is not valid UTF-8 text", "save the rule as UTF-8 and type this character again")
				return false
			}
		}
	}
	return true
}

func (l *lexer) next() {
	start, c := l.pos, l.src[l.pos]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		l.pos++
	case c == '\'':
		l.text()
	case c == '"':
		l.quoted('"', '"')
	case isDigit(c):
		l.number()
	case isLetter(c):
		for l.pos < len(l.src) && (isLetter(l.src[l.pos]) || isDigit(l.src[l.pos])) {
			l.pos++
		}
		if r, _ := utf8.DecodeRuneInString(l.src[l.pos:]); r >= utf8.RuneSelf && unicode.IsLetter(r) {
			l.foreign(start)
			return
		}
		l.emit(tokWord, start, strings.ToLower(l.src[start:l.pos]))
	default:
		l.symbol()
	}
}

func (l *lexer) symbol() {
	start := l.pos
	rest := l.src[start:]
	for _, s := range []struct{ written, means, hint string }{
		{"<=", "<=", ""}, {">=", ">=", ""}, {"<>", "!=", ""}, {"!=", "!=", ""},
		{"==", "=", "write ="}, {"=<", "<=", "write <="}, {"=>", ">=", "write >="},
		{"&&", "and", "write and"}, {"||", "or", "write or"}, {"!", "not", "write not"},
		{"≠", "!=", "write !="}, {"≤", "<=", "write <="}, {"≥", ">=", "write >="},
	} {
		if !strings.HasPrefix(rest, s.written) {
			continue
		}
		l.pos += len(s.written)
		if s.hint != "" {
			l.fault(Span{start, l.pos}, fmt.Sprintf("%q is not an operator of rules", s.written), s.hint)
		}
		if isLetter(s.means[0]) {
			l.emit(tokWord, start, s.means)
		} else {
			l.emit(tokSymbol, start, s.means)
		}
		return
	}
	switch {
	case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "/*"), rest[0] == '#':
		l.pos = l.lineEnd(start)
		l.fault(Span{start, l.pos}, "a rule has no comments", "say it in the segment's description")
	case strings.IndexByte("()[],.+-=<>*/%", rest[0]) >= 0:
		l.pos++
		l.emit(tokSymbol, start, rest[:1])
	default:
		l.stray()
	}
}

// stray reports a character that has no meaning and goes on behind it.
func (l *lexer) stray() {
	start := l.pos
	r, size := utf8.DecodeRuneInString(l.src[start:])
	if unicode.IsLetter(r) {
		l.foreign(start)
		return
	}
	l.pos += size
	span := Span{start, l.pos}
	switch {
	case r == '“' || r == '”' || r == '„':
		l.pos = start
		l.quoted(r, '”', '“', '"')
	case r == '‘' || r == '’' || r == '‚':
		l.pos = start
		l.quoted(r, '’', '‘', '\'')
	case r == '$' || r == '€' || r == '£' || r == '¥':
		hint := "write the currency behind the amount, as in 20 usd"
		if code := map[rune]string{'€': "eur", '£': "gbp", '¥': "jpy"}[r]; code != "" {
			hint = "write the currency behind the amount, as in 20 " + code
		}
		l.fault(span, fmt.Sprintf("%q is not part of the language", r), hint)
	case r == ';':
		l.fault(span, "a rule is one condition and does not end in a semicolon", "delete it")
	case r == '`':
		l.fault(span, "names are written without quotes", "delete it")
	case unicode.IsSpace(r) || !unicode.IsPrint(r):
		l.fault(span, fmt.Sprintf("an invisible character (%U) does not belong here", r), "replace it by an ordinary space")
	default:
		l.fault(span, fmt.Sprintf("%q is not part of the language", r), "")
	}
}

// foreign takes a word with letters that no name has, which is often one letter
// of another alphabet that looks like a Latin one.
func (l *lexer) foreign(start int) {
	var odd rune
	for l.pos < len(l.src) {
		r, size := utf8.DecodeRuneInString(l.src[l.pos:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '_' {
			break
		}
		if odd == 0 && r >= utf8.RuneSelf {
			odd = r
		}
		l.pos += size
	}
	l.fault(Span{start, l.pos}, fmt.Sprintf("%q is not a letter that names have (%U)", odd, odd),
		"type the name again, in plain letters a to z; text goes in single quotes")
	l.emitBad(tokWord, start)
}

func (l *lexer) number() {
	start := l.pos
	l.digits()
	if l.pos+1 < len(l.src) && l.src[l.pos] == '.' && isDigit(l.src[l.pos+1]) {
		l.pos++
		l.digits()
	}
	if l.pos-start > maxDigits {
		l.fault(Span{start, l.pos}, fmt.Sprintf("a number has at most %d digits", maxDigits), "")
		l.emitBad(tokNumber, start)
		return
	}
	l.emit(tokNumber, start, l.src[start:l.pos])
}

func (l *lexer) digits() {
	for l.pos < len(l.src) && isDigit(l.src[l.pos]) {
		l.pos++
	}
}

// text takes 'text', where two single quotes are one. Text ends on its line, so
// that a forgotten quote does not swallow the rest of the rule.
func (l *lexer) text() {
	start := l.pos
	var b strings.Builder
	for i := start + 1; i < len(l.src) && l.src[i] != '\n' && l.src[i] != '\r'; i++ {
		if l.src[i] != '\'' {
			b.WriteByte(l.src[i])
			continue
		}
		if i+1 < len(l.src) && l.src[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		l.pos = i + 1
		l.emit(tokText, start, b.String())
		return
	}
	l.unclosed(start)
}

// unclosed reports a text without its closing quote. When an earlier text of the
// line runs straight into a letter, the quote is more likely missing there.
func (l *lexer) unclosed(start int) {
	end := l.lineEnd(start)
	at := len(l.tokens)
	if i := at - 1; i >= 0 {
		for i > 0 && l.tokens[i].kind != tokText {
			i--
		}
		t := l.tokens[i]
		if t.kind == tokText && !strings.Contains(l.src[t.span.Start:start], "\n") && isLetter(l.src[t.span.End]) {
			at, start = i, t.span.Start
		}
	}
	hint := "write " + closed(l.src[start:end])
	if at < len(l.tokens) {
		if t := l.tokens[at]; t.text != "" && isLetter(t.text[len(t.text)-1]) {
			word := l.src[t.span.End:]
			word = word[:len(word)-len(strings.TrimLeftFunc(word, unicode.IsLetter))]
			hint = fmt.Sprintf("if the quote belongs to the text, write it twice: '%s''%s'", t.text, word)
		}
	}
	l.tokens = l.tokens[:at]
	l.fault(Span{start, start + 1}, "the text that starts here has no closing quote", hint)
	l.broken = start
	l.pos = end
	l.emitBad(tokText, start)
}

// closed guesses where the text at the start of rest was meant to end.
func closed(rest string) string {
	end := len(rest)
	for _, stop := range []string{" and ", " or ", ",", ")", " = "} {
		if i := strings.Index(rest, stop); i > 0 && i < end {
			end = i
		}
	}
	return "'" + clip(strings.TrimSpace(strings.Trim(rest[:end], "'")), 40) + "'"
}

// quoted takes text in quotes that are not the language's.
func (l *lexer) quoted(open rune, closers ...rune) {
	start := l.pos
	body := start + utf8.RuneLen(open)
	end := l.lineEnd(start)
	l.pos = end
	text := l.src[body:end]
	for i, r := range text {
		for _, c := range closers {
			if r == c && l.pos == end {
				l.pos = body + i + utf8.RuneLen(c)
				text = text[:i]
			}
		}
		if l.pos != end {
			break
		}
	}
	l.fault(Span{start, l.pos}, "text is written in single quotes",
		"write "+quote(clip(strings.TrimSpace(text), 60)))
	l.emitBad(tokText, start)
}

func (l *lexer) lineEnd(from int) int {
	if i := strings.IndexAny(l.src[from:], "\r\n"); i >= 0 {
		return from + i
	}
	return len(l.src)
}

func (l *lexer) emit(k kind, start int, text string) {
	l.tokens = append(l.tokens, token{kind: k, span: Span{start, l.pos}, text: text})
}

func (l *lexer) emitBad(k kind, start int) {
	l.tokens = append(l.tokens, token{kind: k, span: Span{start, l.pos}, bad: true})
}

func (l *lexer) fault(s Span, msg, hint string) {
	l.faults = append(l.faults, Diagnostic{Span: s, Msg: msg, Hint: hint})
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
