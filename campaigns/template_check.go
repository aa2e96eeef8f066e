package campaigns

import (
	"fmt"
	"slices"
	"strings"

	"github.com/osteele/liquid/parser"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// A TemplateError says what is wrong with one place in a template.
type TemplateError struct {
	Msg, Hint  string
	Start, End int // half-open range of bytes in the source
}

func (e *TemplateError) Error() string { return e.Msg }

// A checker reads what stands between the braces without running it, so that
// what is wrong in a branch that nobody has taken yet is found, too.
type checker struct {
	source     string
	html       *htmlPlace // nil: the text is not HTML
	faults     []*TemplateError
	attributes map[string]bool      // which are mentioned, by their names as written
	locals     map[string]rule.Type // variables of the text's own; Invalid: of any type
	loops      []string             // the variables of the loops around
	prepared   strings.Builder      // the template with what makes the output safe
	alone      []alone              // expressions that can be tried by themselves
	spells     bool                 // it gives months or weekdays by their names
}

// An alone is an output that needs nothing but the customer.
type alone struct {
	source  string
	at, end int
}

func check(source string, asHTML bool) *checker {
	c := &checker{source: source, attributes: map[string]bool{}, locals: map[string]rule.Type{}}
	if asHTML {
		c.html = &htmlPlace{}
	}
	raw := false
	for _, p := range pieces(source) {
		switch {
		case p.Type == parser.ObjTokenType:
			c.output(p)
			continue
		case p.Type == parser.TagTokenType:
			raw = p.Name == "raw"
			c.tag(p)
			continue
		}
		if !raw {
			c.braces(p)
		}
		c.html.read(p.Source)
		c.prepared.WriteString(p.Source)
	}
	return c
}

func (c *checker) add(at, end int, hint, format string, args ...any) {
	c.faults = append(c.faults, &TemplateError{Msg: fmt.Sprintf(format, args...), Hint: hint, Start: at, End: end})
}

// braces finds those that Liquid takes for text.
func (c *checker) braces(p piece) {
	for _, brace := range []string{"{{", "{%", "}}", "%}"} {
		if at := strings.Index(p.Source, brace); at >= 0 {
			c.add(p.at+at, p.at+at+2, "an attribute stands between {{ and }} on one line, a condition between {% and %}", "%q has no partner", brace)
			return
		}
	}
}

// output checks {{ … }} and prepares it to be written safely where it stands.
func (c *checker) output(p piece) {
	list := words(p.Args, p.argsAt)
	before, locals := len(c.faults), c.mentionsLocals(list)
	c.expression(list)
	c.whole(list)
	safe := ""
	if c.html != nil {
		var fault, hint string
		if safe, fault, hint = c.html.filter(); fault != "" {
			c.add(p.at, p.at+len(p.Source), hint, "%s", fault)
		}
		c.html.value()
	}
	prepared := c.prepare(p, list)
	if safe != "" {
		prepared = "(" + prepared + ") | " + safe
	}
	open, end := "{{ ", " }}"
	if p.Source[2] == '-' {
		open = "{{- "
	}
	if p.Source[len(p.Source)-3] == '-' {
		end = " -}}"
	}
	c.prepared.WriteString(open + prepared + end)
	if !locals && len(c.faults) == before {
		c.alone = append(c.alone, alone{"{{ " + prepared + " }}", p.at, p.at + len(p.Source)})
	}
}

// prepare hands the locale to the filters that need it.
func (c *checker) prepare(p piece, list []word) string {
	out, from := "", 0
	for _, w := range list {
		if w.kind != filtered || w.text != "date" {
			continue
		}
		out += p.Args[from:w.at-p.argsAt] + "_date: _in"
		from = w.end - p.argsAt
		if strings.HasSuffix(p.Args[:from], ":") {
			out += ","
		}
	}
	c.spells = c.spells || out != "" && spelled.MatchString(p.Args)
	return out + p.Args[from:]
}

// tag checks {% … %}.
func (c *checker) tag(p piece) {
	list := words(p.Args, p.argsAt)
	if !c.html.branch(p.Name) {
		c.add(p.at, p.at+len(p.Source), "keep whole tags, and whole values of attributes, inside it", "what ends here begins a tag of HTML and does not end it, or the other way round")
	}
	switch p.Name {
	case "assign":
		if len(list) > 2 && list[0].kind == name && list[1].text == "=" {
			c.locals[list[0].text] = c.expression(list[2:])
		}
	case "capture":
		if len(list) == 1 {
			c.locals[list[0].text] = rule.Text
		}
	case "for", "tablerow":
		c.loop(p, list)
	case "endfor", "endtablerow":
		if n := len(c.loops); n > 0 {
			delete(c.locals, c.loops[n-1])
			c.loops = c.loops[:n-1]
		}
	case "include":
		c.add(p.at, p.at+len(p.Source), "copy it here", "a text cannot include files")
	default:
		c.expression(list)
	}
	if p.Name == "capture" || p.Name == "endcapture" {
		c.prepared.WriteString(strings.Replace(p.Source, "capture", "_capture", 1))
		return
	}
	if args := c.prepare(p, list); args != p.Args {
		c.prepared.WriteString(p.Source[:p.argsAt-p.at] + args + p.Source[p.argsAt-p.at+len(p.Args):])
		return
	}
	c.prepared.WriteString(p.Source)
}

func (c *checker) loop(p piece, list []word) {
	if len(c.loops) > 0 {
		c.add(p.at, p.at+len(p.Source), "one loop at a time", "a loop stands inside a loop")
	}
	if len(list) < 3 || list[0].kind != name || list[1].text != "in" {
		c.loops = append(c.loops, "")
		return // Liquid has words for it
	}
	c.expression(list[2:])
	c.loops = append(c.loops, list[0].text)
	c.locals[list[0].text] = rule.Invalid
}

// whole refuses an output that is a list or the metadata as they are.
func (c *checker) whole(list []word) {
	if len(list) != 2 || list[0].text != "customer" || list[1].kind != part {
		return
	}
	switch a, _ := customers.Attributes.Attribute(list[1].text); a.Type {
	case rule.ListType:
		c.add(list[0].at, list[1].end, fmt.Sprintf("write {{ customer.%s | join: \", \" }}", list[1].text), "customer.%s is a list", list[1].text)
	case rule.MapType:
		c.add(list[0].at, list[1].end, fmt.Sprintf("write {{ customer.%s.key }}", list[1].text), "customer.%s has many values", list[1].text)
	}
}

// mentionsLocals reports whether an expression is more than the customer's.
func (c *checker) mentionsLocals(list []word) bool {
	return slices.ContainsFunc(list, func(w word) bool {
		_, local := c.locals[w.text]
		return w.kind == name && (local || w.text == "forloop")
	})
}
