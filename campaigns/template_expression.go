package campaigns

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// An operand is a value in an expression.
type operand struct {
	kind    rule.Type // Invalid: any
	text    string    // as it is written
	values  []string  // the known ones of an enumeration
	at, end int
	literal bool
}

// expression checks names, filters and comparisons, and returns the type of
// what it says as a whole; Invalid when that is not known.
func (c *checker) expression(list []word) rule.Type {
	var last *operand // what was read just now
	var left *operand // of a comparison
	var compared word // the comparison that waits for its right side
	given := false    // what is read now is given to a filter
	result := rule.Invalid
	for i := 0; i < len(list); {
		w := list[i]
		i++
		var o *operand
		switch w.kind {
		case filtered:
			result, given = c.filter(w, last), true
			continue
		case relation:
			left, last, compared = last, nil, w
			result = rule.Boolean
			continue
		case literal:
			o = literalOperand(w)
		case name:
			switch w.text {
			case "and", "or":
				last, given, result = nil, false, rule.Boolean
				continue
			case "in", "reversed":
				continue
			}
			o, i = c.path(list, i-1)
		case punctuation:
			if w.text == ".." {
				c.add(w.at, w.end, "a loop goes through a list, as in {% for x in customer.metadata %}", "a text cannot count: %s", c.source[list[0].at:list[len(list)-1].end])
			}
			continue
		default:
			continue
		}
		if given {
			continue
		}
		if last == nil && result == rule.Invalid {
			result = o.kind
		}
		if left != nil {
			c.compare(*left, compared, *o)
		}
		last, left = o, nil
	}
	return result
}

// path reads a variable with its parts: customer.card_brand, p[0].
func (c *checker) path(list []word, i int) (*operand, int) {
	root := list[i]
	o := &operand{at: root.at, end: root.end}
	var parts []word
	for i++; i < len(list); i++ {
		if list[i].kind == part {
			parts = append(parts, list[i])
		} else if list[i].kind == punctuation && list[i].text == "[" {
			end := closing(list, i)
			index := list[i+1 : end]
			c.expression(index)
			key := word{kind: punctuation, at: list[i].at}
			if len(index) == 1 && index[0].kind == literal {
				key.kind, key.text = part, strings.Trim(index[0].text, `"'`)
			}
			parts = append(parts, key)
			i = min(end, len(list)-1)
		} else {
			break
		}
		o.end = list[i].end
	}
	o.text = c.source[o.at:o.end]
	if root.text == "customer" {
		c.attribute(o, parts)
		return o, i
	}
	kind, local := c.locals[root.text]
	switch {
	case local && len(parts) == 0:
		o.kind = kind
	case local, root.text == "forloop" && len(c.loops) > 0:
	default:
		hint := "a text can mention attributes, as in {{ customer.email }}"
		if _, ok := customers.Attributes.Attribute(root.text); ok {
			hint = fmt.Sprintf("did you mean customer.%s?", root.text)
		}
		c.add(o.at, o.end, hint, "unknown variable %q", o.text)
	}
	return o, i
}

// closing is where the bracket that opens at i is closed; the end, when it is
// not, for which Liquid has words.
func closing(list []word, i int) int {
	depth := 0
	for ; i < len(list); i++ {
		if list[i].kind != punctuation {
			continue
		}
		switch list[i].text {
		case "[":
			depth++
		case "]":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(list)
}

// attribute checks customer.….
func (c *checker) attribute(o *operand, parts []word) {
	if len(parts) == 0 || parts[0].kind != part {
		c.add(o.at, o.end, "mention one attribute, as in {{ customer.email }}", "%s mentions the whole customer", o.text)
		return
	}
	first := parts[0].text
	a, ok := customers.Attributes.Attribute(first)
	if !ok || strings.TrimPrefix(first, "stripe_") != strings.TrimPrefix(a.Name, "stripe_") {
		c.add(o.at, o.end, nearAttribute(first), "unknown attribute %q", first)
		return
	}
	c.attributes[first] = true
	switch {
	case len(parts) == 1:
		o.kind, o.values = a.Type, a.Values
	case a.Type == rule.MapType && len(parts) == 2:
		o.kind = rule.Text
	case a.Type == rule.ListType && len(parts) == 2:
	case a.Type == rule.MoneyType:
		c.add(o.at, o.end, fmt.Sprintf("write {{ customer.%[1]s | amount }} or {{ customer.%[1]s | currency }}", first), "unknown variable %q", o.text)
	default:
		c.add(o.at, o.end, fmt.Sprintf("write {{ customer.%s }}", first), "unknown variable %q: customer.%s is %s and has no parts", o.text, first, a.Type)
	}
}

func literalOperand(w word) *operand {
	o := &operand{text: w.text, at: w.at, end: w.end, literal: true}
	switch {
	case w.text[0] == '"' || w.text[0] == '\'':
		o.kind = rule.Text
	case w.text == "true", w.text == "false":
		o.kind = rule.Boolean
	case w.text != "nil":
		o.kind = rule.Number
	}
	return o
}

// compare refuses comparisons that Liquid would answer, always with no.
func (c *checker) compare(l operand, op word, r operand) {
	if l.text == "nil" || r.text == "nil" {
		return
	}
	for _, o := range []operand{l, r} {
		switch o.kind {
		case rule.MoneyType, rule.DateType, rule.InstantType:
			c.add(l.at, r.end, fmt.Sprintf("decide in the step's \"if\", as in \"if: mrr > 100 usd\"; {%% if %s %%} asks whether there is one", o.text),
				"a text cannot compare %s: it is %s", o.text, o.kind)
			return
		}
	}
	switch op.text {
	case "contains":
		return
	case "==", "!=", "<>":
		c.equal(l, r)
		return
	}
	for _, o := range []operand{l, r} {
		if o.kind == rule.Number || o.kind == rule.Invalid {
			continue
		}
		hint := "compare numbers, or use =="
		if o.kind == rule.Text && o.literal {
			hint = "take the quotes off a number"
		} else if strings.Contains(o.text, "metadata") {
			hint = "metadata is text, whatever it looks like; use =="
		}
		c.add(l.at, r.end, hint, "%s is %s, and %s compares numbers", o.text, o.kind, op.text)
		return
	}
}

func (c *checker) equal(l, r operand) {
	if l.literal {
		l, r = r, l
	}
	switch {
	case l.kind != rule.Invalid && r.kind != rule.Invalid && l.kind != r.kind:
		hint := ""
		if l.kind == rule.Text && r.kind == rule.Number {
			hint = fmt.Sprintf("write it in quotes: %q", r.text)
		} else if l.kind == rule.Number && r.kind == rule.Text {
			hint = "take the quotes off"
		}
		c.add(l.at, max(l.end, r.end), hint, "%s is %s and never equals %s", l.text, l.kind, r.text)
	case len(l.values) > 0 && r.literal:
		value := strings.Trim(r.text, `"'`)
		if !slices.Contains(l.values, value) {
			hint := "its values: " + strings.Join(l.values, ", ")
			if near := workspace.Nearest(value, l.values); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			c.add(r.at, r.end, hint, "%s is never %s", l.text, r.text)
		}
	}
}

// reckoning are the filters that take numbers.
var reckoning = []string{"abs", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "times"}

// filter checks a filter and what it is given, and returns the type of what it
// makes.
func (c *checker) filter(w word, given *operand) rule.Type {
	filter := w.text
	if !slices.Contains(filters, filter) {
		hint := "known filters: " + strings.Join(filters, ", ")
		if near := workspace.Nearest(filter, filters); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		c.add(w.at, w.at+len(filter), hint, "unknown filter %q", filter)
		return rule.Invalid
	}
	if given == nil {
		return rule.Invalid
	}
	switch {
	case slices.Contains(reckoning, filter) && given.kind != rule.Number && given.kind != rule.Invalid && given.kind != rule.Text:
		c.add(given.at, w.at+len(filter), "", "%q takes a number, and %s is %s", filter, given.text, given.kind)
	case (filter == "amount" || filter == "currency") && given.kind != rule.MoneyType && given.kind != rule.Invalid:
		c.add(given.at, w.at+len(filter), "", "%q takes money, and %s is %s", filter, given.text, given.kind)
	case filter == "date" && (given.kind == rule.MoneyType || given.kind == rule.Number || given.kind == rule.Boolean):
		c.add(given.at, w.at+len(filter), "", "%q takes a date, and %s is %s", filter, given.text, given.kind)
	case filter == "default":
		return given.kind
	}
	given.kind = rule.Invalid // what follows is given what this filter makes
	return rule.Invalid
}

func nearAttribute(name string) string {
	var names []string
	for _, a := range customers.Attributes.Attributes() {
		names = append(names, a.Name)
	}
	if near := workspace.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "docs/rules.md lists them"
}
