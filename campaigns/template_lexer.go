package campaigns

import (
	"regexp"
	"strings"

	"github.com/osteele/liquid/parser"
)

// A piece is a part of a template as Liquid divides it: text, an output
// {{ args }} or a tag {% name args %}.
type piece struct {
	parser.Token
	at     int // where it begins in the template, in bytes
	argsAt int
}

// pieces divides a template, and marks what stands between raw and endraw as
// text. What stands in comments is left out: nobody sees it.
func pieces(source string) (all []piece) {
	at, inside := 0, ""
	for _, token := range parser.Scan(source, parser.SourceLoc{}, nil) {
		if token.Type == parser.TrimLeftTokenType || token.Type == parser.TrimRightTokenType {
			continue
		}
		p := piece{Token: token, at: at}
		at += len(token.Source)
		name := strings.Index(token.Source, token.Name) + len(token.Name)
		p.argsAt = p.at + name + strings.Index(token.Source[name:], token.Args)
		switch {
		case inside != "" && token.Type == parser.TagTokenType && token.Name == "end"+inside:
			inside = ""
		case inside == "comment":
			continue
		case inside == "raw":
			p.Type = parser.TextTokenType
		case token.Type == parser.TagTokenType && (token.Name == "raw" || token.Name == "comment"):
			inside = token.Name
		}
		all = append(all, p)
	}
	return all
}

// A wordKind is a kind of word in what stands between the braces.
type wordKind int

const (
	punctuation wordKind = iota // one of | , : ( ) [ ] = ..
	relation                    // == != < > <= >= contains
	literal
	name     // of a variable; also and, or, in, reversed
	part     // .name
	keyword  // name: before the arguments of a filter or a loop
	filtered // the name of a filter, after |
)

// A word is the smallest part of an expression.
type word struct {
	kind wordKind
	text string // a name without what stands around it; a literal as it is written
	at   int    // where it begins in the template, in bytes
	end  int
}

var wordPattern = regexp.MustCompile(`"[^"]*"|'[^']*'|\.\.|\.[A-Za-z_][\w-]*\??|-?\d+(?:\.\d+)?|[A-Za-z_][\w-]*\??:?|==|!=|<>|>=|<=|\S`)

// words divides an expression of Liquid as its own lexer does.
func words(args string, at int) (all []word) {
	for _, m := range wordPattern.FindAllStringIndex(args, -1) {
		w := word{text: args[m[0]:m[1]], at: at + m[0], end: at + m[1]}
		after := len(all) > 0 && all[len(all)-1].kind == punctuation && all[len(all)-1].text == "|"
		switch c := w.text[0]; {
		case c == '"' || c == '\'' || c >= '0' && c <= '9' || c == '-' && len(w.text) > 1, w.text == "true", w.text == "false", w.text == "nil":
			w.kind = literal
		case c == '.' && w.text != "..":
			w.kind, w.text = part, w.text[1:]
		case strings.ContainsRune("=!<>", rune(c)) && w.text != "=", w.text == "contains":
			w.kind = relation
		case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			w.kind = name
			if rest, ok := strings.CutSuffix(w.text, ":"); ok {
				w.kind, w.text = keyword, rest
			}
			if after {
				w.kind = filtered
			}
		}
		all = append(all, w)
	}
	return all
}
