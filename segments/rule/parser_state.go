package rule

// How the parser reads tokens, and how it goes on after a fault.

func (p *parser) peek() token {
	if p.stopped {
		return p.tokens[len(p.tokens)-1]
	}
	return p.tokens[p.pos]
}

// after returns the token behind the next one.
func (p *parser) after() token {
	return p.tokens[min(p.pos+1, len(p.tokens)-1)]
}

func (p *parser) advance() {
	if p.pos < len(p.tokens)-1 {
		p.pos++
	}
	p.quiet = max(p.quiet-1, 0)
}

func (p *parser) ended() bool { return p.peek().kind == tokEOF }

func (p *parser) isWord(w string) bool {
	t := p.peek()
	return t.kind == tokWord && t.text == w
}

func (p *parser) isSymbol(s string) bool {
	t := p.peek()
	return t.kind == tokSymbol && t.text == s
}

// atConditionEnd says whether a condition may end before the next token.
func (p *parser) atConditionEnd() bool {
	return p.ended() || p.isWord("and") || p.isWord("or") || p.isSymbol(")")
}

// report adds a fault that does not stop the parser from understanding the rest.
func (p *parser) report(d Diagnostic) {
	if !p.stopped && (p.broken < 0 || d.Span.Start < p.broken) {
		p.faults = append(p.faults, d)
	}
}

// fail adds a fault after which the parser has lost its place, unless it is an
// echo of the one before.
func (p *parser) fail(d Diagnostic) {
	if p.quiet == 0 {
		p.report(d)
	}
	p.quiet = echoes
}

// stop adds a fault and reads no further.
func (p *parser) stop(d Diagnostic) {
	p.report(d)
	p.stopped = true
}

// unexpected reports the next token, which follows a complete condition.
func (p *parser) unexpected() {
	t := p.peek()
	switch {
	case p.isSymbol(")"):
		p.fail(strayParenthesis(t.span))
	case !t.bad:
		p.fail(wantAndOr(t, p.shown(t), p.tokens[max(p.pos-1, 0)], p.after()))
	}
}

// bad skips the rest of the condition that started at t.
func (p *parser) bad(t token) Expr {
	p.skip()
	return &badExpr{at{t.span}}
}

// skip moves to the next place where a condition can end.
func (p *parser) skip() {
	for depth := 0; !p.ended(); p.pos++ {
		if depth == 0 && p.atConditionEnd() {
			return
		}
		if p.isSymbol("(") {
			depth++
		} else if p.isSymbol(")") {
			depth--
		}
	}
}

func (p *parser) enter(t token) bool {
	p.depth++
	if p.depth > MaxDepth {
		p.stop(tooDeep(t.span))
		p.depth--
		return false
	}
	return true
}

func (p *parser) leave() { p.depth-- }

// countPredicate counts one more predicate.
func (p *parser) countPredicate(t token) {
	p.predicates++
	if p.predicates > MaxPredicates {
		p.stop(tooManyPredicates(t.span))
	}
}

// text returns the source of a place.
func (p *parser) text(s Span) string { return p.src[s.Start:s.End] }

// shown is how a message names a token.
func (p *parser) shown(t token) string {
	switch t.kind {
	case tokEOF:
		return "the end of the rule"
	case tokText:
		return clip(p.text(t.span), 40)
	}
	return quoteName(clip(p.text(t.span), 40))
}

// bareWord is what somebody probably meant to put in quotes.
func (p *parser) bareWord(t token) string {
	if t.kind == tokWord && !IsReserved(t.text) || t.kind == tokNumber {
		return clip(p.text(t.span), 40)
	}
	return "…"
}
