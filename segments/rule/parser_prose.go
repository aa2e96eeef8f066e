package rule

// What people write as they would say it, and no rule can be. Each is read as
// far as it can be understood, reported, and repaired.

// memberOf reads customer is not in segment 'vip', with or without customer. It
// returns nil when something else stands there.
func (p *parser) memberOf() Expr {
	start, i := p.peek(), p.pos
	word := func(w string) bool {
		found := p.tokens[i].kind == tokWord && p.tokens[i].text == w
		if found {
			i++
		}
		return found
	}
	customer, is := word("customer"), word("is")
	not := word("not")
	if !customer && !is || !word("in") || !word("segment") {
		return nil
	}
	name := p.tokens[i]
	for p.pos < i {
		p.advance()
	}
	if name.kind == tokText {
		p.advance()
	}
	span := start.span.to(p.tokens[p.pos-1].span)
	if !name.bad {
		p.report(segmentOfCustomer(span, segmentWritten(not, name)))
	}
	return &badExpr{at{span}}
}

// segmentMeant looks a few tokens ahead for the name of a segment, and returns
// how one asks for it.
func (p *parser) segmentMeant() string {
	not := false
	for _, t := range p.tokens[p.pos:min(p.pos+5, len(p.tokens))] {
		switch {
		case t.kind == tokText:
			return segmentWritten(not, t)
		case t.text == "and" || t.text == "or":
			return segmentWritten(not, token{})
		}
		not = not || t.text == "not" || t.text == "!="
	}
	return segmentWritten(not, token{})
}

// possession reads has paid, has no charges, or no open invoices. It returns nil
// when something else stands there.
func (p *parser) possession() Expr {
	start, i := p.peek(), p.pos
	if p.isWord("customer") {
		i++
	}
	verb := p.tokens[i]
	if verb.kind != tokWord || !possessive[verb.text] {
		return nil
	}
	e := &possession{not: verb.text == "no" || verb.text == "without"}
	for i++; p.tokens[i].kind == tokWord; i++ {
		word := p.tokens[i].text
		if deny := word == "no" || word == "not" || word == "never"; deny {
			e.not = true
		} else if word != "a" && word != "an" && word != "any" && word != "the" {
			break
		}
	}
	words := p.wordsAhead(i)
	end := p.tokens[i+len(words)]
	if len(words) == 0 || end.kind != tokEOF && end.text != "and" && end.text != "or" && end.text != ")" && end.text != "where" {
		return nil
	}
	for _, t := range words {
		e.words = append(e.words, t.text)
	}
	e.where = end.kind == tokWord && end.text == "where"
	e.span = start.span.to(words[len(words)-1].span)
	e.fault = possessed(e.span, p.text(verb.span), e.not)
	p.fail(e.fault)
	p.skip()
	return e
}

// windowed reads a span of time behind a condition that is complete without it.
func (p *parser) windowed(e Expr) Expr {
	start := p.peek().span
	within, end, ok := p.windowAhead()
	if !ok {
		return e
	}
	span := start.to(end)
	w := &window{at{e.Span().to(end)}, e, within, windowAlone(span, within, e)}
	p.report(w.fault)
	return w
}

// windowAhead reads within last 30 days, in last 30 days, or last 30 days alone.
func (p *parser) windowAhead() (within string, end Span, ok bool) {
	i := p.pos
	if t := p.tokens[i]; t.kind == tokWord && (t.text == "within" || t.text == "in" || t.text == "during") {
		i++
	}
	which := p.tokens[i]
	number, unit := p.tokens[min(i+1, len(p.tokens)-1)], p.tokens[min(i+2, len(p.tokens)-1)]
	_, known := parseUnit(unit.text)
	if p.stopped || which.kind != tokWord || which.text != "last" && which.text != "next" || number.kind != tokNumber || !known {
		return "", Span{}, false
	}
	for p.pos <= i {
		p.advance()
	}
	d, end, ok := p.duration("within " + which.text)
	return "within " + which.text + " " + d.String(), end, ok
}
