package rule

// Parse turns source into a tree. Its error is an *Error with every fault of
// grammar it could tell apart; a fault is never reported twice as its own echo.
func Parse(source string) (*Tree, error) {
	t, faults := parse(source)
	if len(faults) > 0 {
		return nil, newError(source, faults)
	}
	return t, nil
}

// parse returns a tree even for a source with faults: what could not be read is
// a badExpr or a badValue in it, so that the rest can still be checked.
func parse(source string) (*Tree, []Diagnostic) {
	l := lex(source)
	p := &parser{src: source, tokens: l.tokens, broken: l.broken}
	if len(l.tokens) == 1 {
		if len(l.faults) == 0 {
			p.report(emptyRule())
		}
		return &Tree{Source: source, Root: &badExpr{}}, append(l.faults, p.faults...)
	}
	root := p.rule()
	for !p.ended() {
		p.unexpected()
		p.skip()
		if !p.ended() {
			p.advance() // a stray ")", or the "and" that joins the next condition
			if !p.ended() {
				p.rule()
			}
		}
	}
	return &Tree{Source: source, Root: root}, append(l.faults, p.faults...)
}

// echoes is how many tokens must be read in order after a fault before another
// is believed to be a fault of its own.
const echoes = 3

type parser struct {
	src        string
	tokens     []token
	pos        int
	faults     []Diagnostic
	broken     int // see lexer.broken
	quiet      int // tokens left during which faults are taken for echoes
	depth      int
	predicates int
	stopped    bool // a limit was passed: the rest is not read
}

// rule = and {"or" and}
func (p *parser) rule() Expr {
	list := p.operands("or", p.and, func(e Expr) []Expr {
		if or, ok := e.(*Or); ok {
			return or.List
		}
		return []Expr{e}
	})
	if len(list) == 1 {
		return list[0]
	}
	return &Or{at{list[0].Span().to(list[len(list)-1].Span())}, list}
}

// and = not {"and" not}
func (p *parser) and() Expr {
	list := p.operands("and", p.not, func(e Expr) []Expr {
		if and, ok := e.(*And); ok {
			return and.List
		}
		return []Expr{e}
	})
	if len(list) == 1 {
		return list[0]
	}
	return &And{at{list[0].Span().to(list[len(list)-1].Span())}, list}
}

func (p *parser) operands(word string, operand func() Expr, flat func(Expr) []Expr) []Expr {
	list := flat(operand())
	for p.isWord(word) {
		p.advance()
		list = append(list, flat(operand())...)
	}
	return list
}

// not = "not" not | primary
func (p *parser) not() Expr {
	t := p.peek()
	if !p.isWord("not") {
		return p.primary()
	}
	if !p.enter(t) {
		return &badExpr{at{t.span}}
	}
	defer p.leave()
	p.advance()
	x := p.not()
	return &Not{at{t.span.to(x.Span())}, x}
}

// primary = "(" rule ")" | "exists" "(" set ")" | "in" "segment" string | predicate
func (p *parser) primary() Expr {
	t := p.peek()
	switch {
	case p.isSymbol("("):
		return p.group()
	case p.isWord("segment"):
		p.countPredicate(t)
		p.fail(segmentWithoutIn(t.span, p.segmentMeant()))
		return p.bad(t)
	case p.isWord("exists"):
		p.countPredicate(t)
		p.advance()
		set, end, ok := p.set("exists")
		if !ok {
			return p.bad(t)
		}
		return p.setEnded(&Exists{at{t.span.to(end)}, set})
	case p.isWord("in"):
		p.countPredicate(t)
		p.advance()
		if !p.isWord("segment") {
			p.fail(inNeedsLeft(t.span))
			return p.bad(t)
		}
		p.advance()
		name := p.peek()
		if name.kind != tokText {
			p.fail(wantSegment(name, p.segmentMeant()))
			return p.bad(t)
		}
		p.advance()
		if name.bad {
			return &badExpr{at{t.span.to(name.span)}}
		}
		return p.setEnded(&InSegment{at{t.span.to(name.span)}, name.text})
	}
	p.countPredicate(t)
	if e := p.memberOf(); e != nil {
		return e
	}
	if e := p.possession(); e != nil {
		return e
	}
	return p.predicate()
}

func (p *parser) group() Expr {
	open := p.peek()
	if !p.enter(open) {
		return &badExpr{at{open.span}}
	}
	defer p.leave()
	p.advance()
	x := p.rule()
	if !p.isSymbol(")") {
		if p.ended() {
			p.fail(unclosedGroup(open.span))
			return x
		}
		p.unexpected()
		p.skip()
		for p.isWord("and") || p.isWord("or") { // read on for the faults in it
			p.advance()
			p.rule()
			if !p.isSymbol(")") {
				p.skip()
			}
		}
		if !p.isSymbol(")") {
			return &badExpr{at{open.span}}
		}
	}
	p.advance()
	if t := p.peek(); t.kind == tokSymbol && isComparison(t.text) {
		p.fail(groupedValue(open.span.to(t.span)))
		return p.bad(open)
	}
	return x
}

// predicate is everything that starts with a value.
func (p *parser) predicate() Expr {
	start := p.peek()
	x, ok := p.value()
	if !ok {
		return p.bad(start)
	}
	if ref, steps := p.shift(x); steps != nil {
		return p.shifted(ref, steps)
	}
	t := p.peek()
	not := false
	if p.isWord("not") {
		p.advance()
		not = true
	}
	e, ok := p.behind(x, not, p.peek())
	switch {
	case !ok:
		return p.bad(start)
	case e != nil:
		return p.windowed(e)
	case not:
		p.fail(notNeedsOperator(t.span, p.peek(), p.text(x.Span())))
		return p.bad(start)
	case !p.atConditionEnd():
		if !t.bad {
			p.fail(wantComparison(t, p.shown(t), p.text(x.Span())))
		}
		return p.bad(start)
	}
	return &Truth{at{x.Span()}, x}
}

// behind reads the operator t and what follows it. It returns nil and true when
// t is no operator.
func (p *parser) behind(x Value, not bool, t token) (Expr, bool) {
	if t.kind == tokSymbol {
		if op, ok := comparisons[t.text]; ok && !not {
			p.advance()
			return p.compare(x, op)
		}
		return nil, true
	}
	if t.kind != tokWord {
		return nil, true
	}
	switch t.text {
	case "between":
		p.advance()
		return p.between(x, not)
	case "in":
		p.advance()
		return p.in(x, not)
	case "like", "ilike", "contains", "starts", "ends":
		p.advance()
		return p.match(x, not, t)
	case "within":
		p.advance()
		return p.within(x, not)
	case "is":
		if !not {
			p.advance()
			return p.is(x)
		}
	case "before", "after":
		if !not {
			p.advance()
			return p.compare(x, comparisons[t.text])
		}
	}
	return nil, true
}

var comparisons = map[string]Op{
	"=": Equal, "!=": NotEqual, "<": Less, "<=": LessOrEqual, ">": Greater, ">=": GreaterOrEqual,
	"before": Before, "after": After,
}

func isComparison(symbol string) bool {
	_, ok := comparisons[symbol]
	return ok
}
