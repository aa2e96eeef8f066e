package campaigns

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

// An htmlPlace follows the author's HTML up to where a value stands, so that the
// value is written as that place needs it. Each branch of a condition must end
// where it begins, so that the place does not hang on which is taken. The nil
// place is no HTML at all.
type htmlPlace struct {
	in     placeKind
	quote  byte   // of an attribute's value
	tag    string // lower case
	attr   string // lower case
	prefix string // of an attribute's value, up to here
	closer string // what ends the text of script, style and the like
	outer  []htmlPlace
}

type placeKind int

const (
	inText placeKind = iota
	inTagName
	inTag // between attributes
	inAttr
	afterAttr // before = or the next attribute
	beforeValue
	inQuoted
	inUnquoted
	inComment
	inScript // text that is not for reading
)

// scripted are the elements whose text is a program or rules.
var scripted = []string{"script", "style"}

// linking are the attributes whose value is an address.
var linking = []string{"action", "background", "cite", "data", "formaction", "href", "longdesc", "manifest", "ping", "poster", "src", "usemap", "xlink:href"}

// read goes on through a piece of what the author wrote.
func (h *htmlPlace) read(text string) {
	for i := 0; h != nil && i < len(text); i++ {
		h.step(text[i], text[i:])
	}
}

func (h *htmlPlace) step(c byte, rest string) {
	space := c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	switch h.in {
	case inText:
		switch {
		case strings.HasPrefix(rest, "<!--"):
			h.in, h.prefix = inComment, ""
		case c == '<' && len(rest) > 1 && (rest[1] == '/' || rest[1] == '!' || rest[1]|0x20 >= 'a' && rest[1]|0x20 <= 'z'):
			h.in, h.tag = inTagName, ""
		case c == '<' && len(rest) == 1: // a value may follow
			h.in, h.tag = inTagName, ""
		}
	case inTagName:
		switch {
		case c == '>':
			h.close()
		case c == '/' && h.tag == "":
			h.tag = "/" // it ends an element
		case space || c == '/':
			h.in, h.attr = inTag, ""
		case letter || c >= '0' && c <= '9' || c == '-' || c == ':':
			h.tag += strings.ToLower(string(c))
		}
	case inTag, afterAttr:
		switch {
		case c == '>':
			h.close()
		case c == '=' && h.in == afterAttr:
			h.in = beforeValue
		case !space && c != '/':
			h.in, h.attr = inAttr, strings.ToLower(string(c))
		}
	case inAttr:
		switch {
		case c == '>':
			h.close()
		case c == '=':
			h.in = beforeValue
		case space:
			h.in = afterAttr
		default:
			h.attr += strings.ToLower(string(c))
		}
	case beforeValue:
		switch {
		case space:
		case c == '"' || c == '\'':
			h.in, h.quote, h.prefix = inQuoted, c, ""
		case c == '>':
			h.close()
		default:
			h.in, h.prefix = inUnquoted, string(c)
		}
	case inQuoted:
		if c == h.quote {
			h.in = inTag
		} else {
			h.prefix += string(c)
		}
	case inUnquoted:
		if c == '>' {
			h.close()
		} else if space {
			h.in = inTag
		}
	case inComment:
		if h.prefix += string(c); strings.HasSuffix(h.prefix, "-->") || strings.HasSuffix(h.prefix, "--!>") {
			h.in = inText
		}
	case inScript:
		if c == '<' && len(rest) > len(h.closer) && strings.EqualFold(rest[:len(h.closer)], h.closer) {
			h.in, h.tag = inTagName, ""
		}
	}
}

// close is the end of a tag.
func (h *htmlPlace) close() {
	h.in, h.attr = inText, ""
	if slices.Contains(scripted, h.tag) {
		h.in, h.closer = inScript, "</"+h.tag
	}
}

// branch goes on through a tag of Liquid, and reports whether the branch that it
// ends was whole.
func (h *htmlPlace) branch(name string) bool {
	if h == nil {
		return true
	}
	switch name {
	case "if", "unless", "case", "for", "tablerow", "capture":
		h.outer = append(h.outer, *h)
		if name == "capture" { // it is written elsewhere
			*h = htmlPlace{outer: h.outer}
		}
	case "elsif", "else", "when", "endif", "endunless", "endcase", "endfor", "endtablerow", "endcapture":
		n := len(h.outer) - 1
		if n < 0 {
			return true // Liquid has words for it
		}
		began, ended := h.outer[n], *h
		outer := h.outer
		if strings.HasPrefix(name, "end") {
			outer = outer[:n]
		}
		*h = began // what stands in a branch may not be written
		h.outer = outer
		if name == "endcapture" {
			return ended.in == inText
		}
		return began.context() == ended.context()
	}
	return true
}

// context is a place as far as it matters to a value: all places inside a tag
// that are not the value of an attribute in quotes are alike.
func (h htmlPlace) context() htmlContext {
	switch h.in {
	case inTagName, inTag, inAttr, afterAttr, beforeValue, inUnquoted:
		return htmlContext{in: inTag}
	case inQuoted:
		return htmlContext{h.in, h.quote, h.attr}
	}
	return htmlContext{in: h.in}
}

type htmlContext struct {
	in    placeKind
	quote byte
	attr  string
}

// value is the end of a value: something stands there now.
func (h *htmlPlace) value() {
	switch h.in {
	case inQuoted:
		h.prefix += "x"
	case beforeValue:
		h.in = inUnquoted
	}
}

// filter names what makes a value safe where it stands, else what is wrong with
// its standing there.
func (h *htmlPlace) filter() (name, fault, hint string) {
	switch h.in {
	case inText, inComment:
		return "_text", "", ""
	case beforeValue, inUnquoted:
		return "", "the value of " + h.attr + " has no quotes", `write it as in href="{{ customer.metadata.page }}"`
	case inScript:
		return "", "a value cannot stand inside <" + h.tag + ">", "put it into the text"
	case inQuoted:
		return h.attribute()
	}
	return "", "a value cannot stand here inside a tag", "put it into the text, or into the value of an attribute in quotes"
}

// attribute is filter for the value of an attribute.
func (h *htmlPlace) attribute() (name, fault, hint string) {
	switch {
	case strings.HasPrefix(h.attr, "on") || h.attr == "style" || h.attr == "srcdoc" || h.attr == "srcset":
		return "", "a value cannot stand in the attribute " + h.attr, "put it into the text"
	case !slices.Contains(linking, h.attr):
		return "_attr", "", ""
	}
	prefix := html.UnescapeString(h.prefix)
	switch {
	case strings.TrimSpace(prefix) == "":
		return "_url", "", ""
	case !harmless(prefix):
		return "", "a value cannot stand in an address that begins like this", "begin it with https://"
	case !strings.ContainsAny(prefix, ":/?#"):
		return "", "a value stands in the first word of an address", "begin it with https://"
	}
	return "_attr", "", ""
}

// harmless reports whether following an address can do no more than open it: it
// is on the same site, or of a scheme for pages, mail and telephone.
func harmless(address string) bool {
	address = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f { // which browsers pass over
			return -1
		}
		return r
	}, address)
	scheme, _, absolute := strings.Cut(address, ":")
	if !absolute || strings.ContainsAny(scheme, "/?#") {
		return true
	}
	return slices.Contains([]string{"http", "https", "mailto", "tel"}, strings.ToLower(scheme))
}

// markup is text that was made HTML already, by the author or by a filter.
type markup string

// safeText writes a value as HTML.
func safeText(value any) any {
	switch v := value.(type) {
	case nil, markup:
		return v
	case []any:
		var all strings.Builder
		for _, x := range v {
			all.WriteString(plainText(safeText(x)))
		}
		return markup(all.String())
	}
	return markup(html.EscapeString(plainText(value)))
}

// safeAttribute writes a value into an attribute's value. What is HTML already
// loses its markup there.
func safeAttribute(value any) any {
	if m, ok := value.(markup); ok {
		value = html.UnescapeString(markupTag.ReplaceAllString(string(m), ""))
	}
	if value == nil {
		return nil
	}
	return markup(html.EscapeString(plainText(value)))
}

var markupTag = regexp.MustCompile(`<[^>]*>`)

// safeAddress writes an address, or # in place of one that would be run.
func safeAddress(value any) any {
	v := safeAttribute(value)
	if !harmless(html.UnescapeString(plainText(v))) {
		return markup("#")
	}
	return v
}
