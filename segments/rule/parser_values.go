package rule

import (
	"fmt"
	"slices"
)

// value = attribute | aggregate | literal | moment
func (p *parser) value() (Value, bool) {
	t := p.peek()
	switch t.kind {
	case tokText:
		p.advance()
		if t.bad {
			return &badValue{at{t.span}}, true
		}
		return &TextLit{at{t.span}, t.text}, true
	case tokNumber:
		return p.number(t.span, false)
	case tokSymbol:
		if t.text == "-" && p.after().kind == tokNumber {
			p.advance()
			return p.number(t.span, true)
		}
	case tokWord:
		if v, ok, known := p.word(t); known {
			return v, ok
		}
	}
	p.fail(wantValue(t, p.shown(t), p.pos == 0 || p.afterJoin(), p.after()))
	return nil, false
}

// afterJoin says whether the next token starts a condition.
func (p *parser) afterJoin() bool {
	if p.pos == 0 {
		return true
	}
	before := p.tokens[p.pos-1]
	return before.text == "and" || before.text == "or" || before.text == "not" || before.text == "(" || before.text == "where"
}

// word reads a value that starts with a word; known is false when none does.
func (p *parser) word(t token) (v Value, ok, known bool) {
	switch {
	case t.bad:
		p.advance()
		return &badValue{at{t.span}}, true, true
	case t.text == "true" || t.text == "false":
		p.advance()
		return &BoolLit{at{t.span}, t.text == "true"}, true, true
	case t.text == "date":
		v, ok = p.date()
	case t.text == "timestamp":
		v, ok = p.timestamp()
	case t.text == "now" || t.text == "today":
		v, ok = p.clock()
	case slices.Contains(aggregates, t.text):
		p.advance()
		var set *Set
		var end Span
		if set, end, ok = p.set(t.text); ok {
			v = &Aggregate{at{t.span.to(end)}, t.text, set}
		}
	case t.text == "customer":
		v, ok = p.customer()
	case !IsReserved(t.text):
		v, ok = p.attribute()
	default:
		return nil, false, false
	}
	return v, ok, true
}

// number reads a number and the currency behind it.
func (p *parser) number(start Span, negative bool) (Value, bool) {
	if v, ok := p.bareDate(); ok {
		return v, true
	}
	t := p.peek()
	p.advance()
	if t.bad {
		return &badValue{at{t.span}}, true
	}
	d, err := ParseDecimal(t.text)
	if err != nil {
		p.report(Diagnostic{Span: t.span, Msg: err.Error()})
		return &badValue{at{t.span}}, true
	}
	if negative {
		d = d.Neg()
	}
	lit := &NumberLit{at{start.to(t.span)}, d, ""}
	word := p.peek()
	if word.kind != tokWord || word.bad {
		return lit, true
	}
	if _, unit := parseUnit(word.text); unit {
		p.fail(strayDuration(lit.span.to(word.span), p.text(lit.span.to(word.span))))
		return nil, false
	}
	if IsReserved(word.text) || borrowedWords[word.text] != "" || joiners[word.text] != "" {
		return lit, true
	}
	p.advance()
	lit.span = lit.span.to(word.span)
	if !isCurrency(word.text) {
		p.report(unknownCurrency(word.span, word.text, p.text(t.span)))
		return &badValue{at{lit.span}}, true
	}
	lit.Currency = word.text
	return lit, true
}

// attribute = name | "metadata" "[" string "]"
func (p *parser) attribute() (Value, bool) {
	t := p.peek()
	p.advance()
	ref := &Ref{at: at{t.span}, Name: t.text}
	if number := p.peek(); number.kind == tokNumber && isCurrency(t.text) {
		p.advance()
		span := t.span.to(number.span)
		p.report(currencyFirst(span, t.text, p.text(number.span)))
		return &badValue{at{span}}, true
	}
	switch {
	case p.isSymbol("."):
		p.advance()
		field := p.peek()
		if field.kind != tokWord {
			p.fail(wantName(field.span, p.shown(field)))
			return nil, false
		}
		p.advance()
		v := &qualified{at{t.span.to(field.span)}, t.text, p.text(field.span)}
		p.report(qualifiedName(v))
		return v, true
	case p.isSymbol("["):
		return p.key(ref)
	case p.isSymbol("("):
		p.report(unknownFunction(t.span, p.text(t.span)))
		p.parentheses()
		return &badValue{at{t.span}}, true
	}
	return ref, true
}

// customer = "customer" "." name
func (p *parser) customer() (Value, bool) {
	t := p.peek()
	p.advance()
	if !p.isSymbol(".") {
		p.fail(customerNeedsName(t.span, p.isWord("in")))
		return nil, false
	}
	p.advance()
	name := p.peek()
	if name.kind != tokWord || IsReserved(name.text) || name.bad {
		p.fail(wantName(name.span, p.shown(name)))
		return nil, false
	}
	p.advance()
	ref := &Ref{at: at{t.span.to(name.span)}, Customer: true, Name: name.text}
	if p.isSymbol("[") {
		return p.key(ref)
	}
	return ref, true
}

func (p *parser) key(ref *Ref) (Value, bool) {
	p.advance()
	t := p.peek()
	if t.kind != tokText {
		p.fail(wantText(t.span, "the key in single quotes", fmt.Sprintf("%s[%s]", ref.Name, quote(p.bareWord(t)))))
		return nil, false
	}
	p.advance()
	end := p.peek()
	if !p.isSymbol("]") {
		p.fail(wantBracket(end.span, p.shown(end)))
		return nil, false
	}
	p.advance()
	ref.span = ref.span.to(end.span)
	ref.Key, ref.HasKey = t.text, true
	switch {
	case t.bad:
		return &badValue{at{ref.span}}, true
	case t.text == "":
		p.report(emptyKey(t.span))
	}
	return ref, true
}

// parentheses skips a balanced pair and what is in it.
func (p *parser) parentheses() {
	for depth := 0; !p.ended(); {
		if p.isSymbol("(") {
			depth++
		} else if p.isSymbol(")") {
			depth--
		}
		p.advance()
		if depth == 0 {
			return
		}
	}
}
