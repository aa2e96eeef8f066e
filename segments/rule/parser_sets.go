package rule

// set = collection ["." field] ["where" rule], in parentheses. It returns the
// place of the closing one, too.
func (p *parser) set(of string) (*Set, Span, bool) {
	open := p.peek()
	if !p.isSymbol("(") {
		p.fail(setNeedsParentheses(open.span, of))
		return nil, open.span, false
	}
	if !p.enter(open) {
		return nil, open.span, false
	}
	defer p.leave()
	p.advance()
	s, ok := p.collection(of)
	if !ok {
		return nil, open.span, false
	}
	if p.isWord("where") {
		p.advance()
		s.Where = p.rule()
		s.span = s.span.to(s.Where.Span())
	}
	end := p.peek()
	if !p.isSymbol(")") {
		if p.ended() {
			p.fail(unclosedGroup(open.span))
		} else {
			p.fail(unclosedSet(end, p.shown(end), s, of))
		}
		return nil, open.span, false
	}
	p.advance()
	if counts := of == "exists" || of == "count"; counts == (s.Field != "") {
		p.report(fieldOfSet(s, of))
	}
	return s, end.span, true
}

// collection reads what stands before where.
func (p *parser) collection(of string) (*Set, bool) {
	name := p.peek()
	if name.kind != tokWord || name.bad || IsReserved(name.text) || sqlWords[name.text] && p.after().kind != tokSymbol {
		p.fail(wantCollection(name, p.shown(name), of))
		return nil, false
	}
	p.advance()
	s := &Set{at: at{name.span}, Collection: name.text, name: name.span}
	if !p.isSymbol(".") {
		return s, true
	}
	p.advance()
	field := p.peek()
	if field.kind != tokWord || field.bad || IsReserved(field.text) {
		p.fail(wantName(field.span, p.shown(field)))
		return nil, false
	}
	p.advance()
	s.Field = field.text
	s.name = s.name.to(field.span)
	s.span = s.name
	return s, true
}

// sqlWords are what people who know SQL write first in the parentheses.
var sqlWords = map[string]bool{"select": true, "from": true, "distinct": true, "all": true, "any": true}

// setEnded reports a comparison behind a condition that is true or false already.
func (p *parser) setEnded(e Expr) Expr {
	t := p.peek()
	if t.kind == tokSymbol && isComparison(t.text) || p.isWord("is") {
		p.fail(conditionCompared(e.Span().to(t.span), e, p.after()))
		return p.bad(t)
	}
	return e
}
