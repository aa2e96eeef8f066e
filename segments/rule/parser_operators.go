package rule

import "slices"

// What follows the left side of a predicate, by operator.

func (p *parser) compare(x Value, op Op) (Expr, bool) {
	t := p.peek()
	switch {
	case p.isWord("null"):
		p.advance()
		if _, ok := x.(*qualified); ok { // what is said about that comes first
			what := Null
			if op == NotEqual {
				what = Present
			}
			return &Is{at{x.Span().to(t.span)}, x, what, false}, true
		}
		p.report(equalsNull(x.Span().to(t.span), p.text(x.Span()), op))
		return &badExpr{at{x.Span().to(t.span)}}, true
	case p.isSymbol("(") && (op == Equal || op == NotEqual):
		in, ok := p.in(x, op == NotEqual)
		if ok {
			p.report(equalsList(in.Span(), op, in))
			return &badExpr{at{in.Span()}}, true
		}
		return nil, false
	}
	right, ok := p.value()
	if !ok {
		return nil, false
	}
	if ref, steps := p.shift(right); steps != nil {
		p.report(shiftedAttribute(ref.Span().to(steps[len(steps)-1].span), p.text(ref.Span()), ""))
		return &badExpr{at{x.Span().to(right.Span())}}, true
	}
	return &Compare{at{x.Span().to(right.Span())}, x, op, right}, true
}

func (p *parser) between(x Value, not bool) (Expr, bool) {
	low, ok := p.value()
	if !ok {
		return nil, false
	}
	if !p.isWord("and") {
		p.fail(betweenNeedsAnd(p.peek().span, p.text(low.Span())))
		return nil, false
	}
	p.advance()
	high, ok := p.value()
	if !ok {
		return nil, false
	}
	return &Between{at{x.Span().to(high.Span())}, x, low, high, not}, true
}

func (p *parser) in(x Value, not bool) (Expr, bool) {
	t := p.peek()
	switch {
	case p.isWord("segment"):
		p.advance()
		p.fail(segmentOfValue(t.span, segmentWritten(not, p.peek())))
		return nil, false
	case !p.isSymbol("("):
		p.fail(inNeedsList(t.span, p.shown(t)))
		return nil, false
	}
	p.advance()
	if p.isSymbol(")") {
		p.fail(emptyList(t.span.to(p.peek().span)))
		return nil, false
	}
	var list []Value
	for {
		v, ok := p.value()
		if !ok {
			return nil, false
		}
		if len(list) == MaxListItems {
			p.stop(tooManyItems(v.Span()))
			return nil, false
		}
		list = append(list, p.fixed(v))
		if p.isSymbol(",") {
			p.advance()
			continue
		}
		end := p.peek()
		if !p.isSymbol(")") {
			p.fail(listNeedsComma(end.span, p.shown(end), p.ended(), t.span))
			return nil, false
		}
		p.advance()
		return &In{at{x.Span().to(end.span)}, x, list, not}, true
	}
}

// fixed lets only literals into a list.
func (p *parser) fixed(v Value) Value {
	switch v := v.(type) {
	case *Aggregate:
		p.report(listOfAggregates(v.Span()))
		return &badValue{at{v.Span()}}
	case *Ref:
		p.report(listOfNames(v.Span(), p.text(v.Span())))
		return &badValue{at{v.Span()}}
	case *Moment:
		if v.Base != OnDate || len(v.Steps) > 0 {
			p.report(listOfMoments(v.Span()))
			return &badValue{at{v.Span()}}
		}
	}
	return v
}

func (p *parser) match(x Value, not bool, op token) (Expr, bool) {
	kind := map[string]MatchOp{
		"like": Like, "ilike": ILike, "contains": Contains, "starts": StartsWith, "ends": EndsWith,
	}[op.text]
	if kind == StartsWith || kind == EndsWith {
		if !p.isWord("with") {
			p.fail(wantWith(op.span, op.text))
			return nil, false
		}
		p.advance()
	}
	t := p.peek()
	if t.kind != tokText {
		p.fail(wantText(t.span, "text in single quotes behind "+kind.String(), kind.String()+" "+quote(p.bareWord(t))))
		return nil, false
	}
	p.advance()
	span := x.Span().to(t.span)
	if t.bad {
		return &badExpr{at{span}}, true
	}
	return &Match{at{span}, x, kind, t.text, not, t.span}, true
}

func (p *parser) is(x Value) (Expr, bool) {
	is := p.tokens[p.pos-1].span
	not := false
	if p.isWord("not") {
		p.advance()
		not = true
	}
	t := p.peek()
	if isOperator(t) && t.text != "not" && t.text != "is" {
		e, ok := p.behindIs(x, not, t)
		if _, bad := e.(*badExpr); ok && !bad {
			p.report(isBeforeOperator(is, t.text, e))
		}
		return e, ok
	}
	what, ok := map[string]What{"null": Null, "set": Present, "true": True, "false": False}[t.text]
	if t.kind != tokWord || !ok {
		p.fail(wantIs(t, p.shown(t), not))
		return nil, false
	}
	p.advance()
	return &Is{at{x.Span().to(t.span)}, x, what, not}, true
}

// behindIs reads an operator that has an is before it. Comparisons have no not
// of their own.
func (p *parser) behindIs(x Value, not bool, t token) (Expr, bool) {
	_, compares := comparisons[t.text]
	e, ok := p.behind(x, not && !compares, t)
	c, compared := e.(*Compare)
	switch {
	case !not || !compared:
		return e, ok
	case c.Op == Equal:
		c.Op = NotEqual
		return c, ok
	}
	return &Not{c.at, c}, ok
}

// isOperator says whether t is what follows a value.
func isOperator(t token) bool {
	switch t.kind {
	case tokSymbol:
		return isComparison(t.text)
	case tokWord:
		return t.text == "starts" || t.text == "ends" || slices.Contains(operatorWords, t.text)
	}
	return false
}

func (p *parser) within(x Value, not bool) (Expr, bool) {
	t := p.peek()
	if !p.isWord("next") && !p.isWord("last") {
		p.fail(wantNextOrLast(t.span, p.durationText()))
		return nil, false
	}
	p.advance()
	d, end, ok := p.duration("within " + t.text)
	if !ok {
		return nil, false
	}
	return &Within{at{x.Span().to(end)}, x, t.text == "last", d, not}, true
}
