package rule

import "strings"

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
	before := p.adjectives()
	s, ok := p.collection(of)
	if !ok {
		return nil, open.span, false
	}
	missing := false
	if p.isWord("where") {
		p.advance()
		s.Where = p.rule()
	} else if missing = p.atCondition(s); missing {
		s.Where = p.rule()
	}
	if s.Where != nil {
		s.span = s.span.to(s.Where.Span())
	}
	end := p.peek()
	if !p.isSymbol(")") {
		if p.ended() {
			p.fail(unclosedGroup(open.span))
		} else if !end.bad {
			p.fail(unclosedSet(end, p.shown(end), s, of))
		}
		return nil, open.span, false
	}
	p.advance()
	switch counts := of == "exists" || of == "count"; {
	case counts == (s.Field != ""):
		p.report(fieldOfSet(s, of))
	case missing && !strings.Contains(formatExpr(s.Where), "…"): // else that is what is wrong
		p.report(whereMissing(s.span, s, of))
	}
	if before != nil {
		e := &adjective{at: at{s.name}, of: of, rest: s.Where}
		for _, t := range before {
			e.words = append(e.words, t.text)
		}
		e.fault = wordsBefore(before[0].span.to(before[len(before)-1].span), s, e)
		p.report(e.fault)
		s.Where = e
	}
	return s, end.span, true
}

// adjectives reads what stands before the collection, as in open invoices.
func (p *parser) adjectives() []token {
	words := p.wordsAhead(p.pos)
	end := p.tokens[p.pos+len(words)]
	if len(words) < 2 || sqlWords[words[0].text] || end.text != ")" && end.text != "where" && end.text != "." {
		return nil
	}
	words = words[:len(words)-1]
	for range words {
		p.advance()
	}
	return words
}

// wordsAhead returns the words from a token on that are none of the language.
func (p *parser) wordsAhead(from int) []token {
	end := from
	for t := p.tokens[end]; t.kind == tokWord && !t.bad && !IsReserved(t.text); t = p.tokens[end] {
		end++
	}
	return p.tokens[from:end]
}

// atCondition says whether a condition follows the collection of s without a
// where. It may have begun with the name behind the collection's dot.
func (p *parser) atCondition(s *Set) bool {
	t, after := p.peek(), p.after()
	if t.kind == tokWord && !t.bad && !IsReserved(t.text) {
		return isOperator(after) || after.text == "["
	}
	if s.Field == "" || !isOperator(t) {
		return false
	}
	p.pos--
	s.Field = ""
	s.name = Span{s.name.Start, s.name.Start + len(s.Collection)}
	s.span = s.name
	return true
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
	exists, ok := e.(*Exists)
	if within, end, found := p.windowAhead(); found {
		if ok {
			p.report(windowBehindSet(t.span.to(end), exists.Set, within))
		} else {
			p.report(windowAlone(t.span.to(end), within, e))
		}
	}
	return e
}
