package rule

// A mover is a bound of a rule that moves with time, and the column whose values
// it passes.
type mover struct {
	collection string // empty for an attribute of the customer
	column     Attribute
	moment     *Moment
}

// at is where the bound stands.
func (m mover) at(env Env) Bound {
	b, _ := BoundOf(m.moment, env)
	return b
}

// movers returns the moving bounds of the rule, in its order. A minimum, a
// maximum, a latest or an earliest time equals the time of some element, so the
// column of an aggregate is that of the elements.
func (r *Rule) movers() []mover {
	w := moverWalk{rule: r}
	w.expr(r.tree.Root, "")
	return w.found
}

type moverWalk struct {
	rule  *Rule
	found []mover
}

// expr walks e, which is inside the where of a collection unless that is empty.
func (w *moverWalk) expr(e Expr, inside string) {
	switch e := e.(type) {
	case *And:
		for _, x := range e.List {
			w.expr(x, inside)
		}
	case *Or:
		for _, x := range e.List {
			w.expr(x, inside)
		}
	case *Not:
		w.expr(e.X, inside)
	case *Exists:
		w.set(e.Set)
	case *Compare:
		w.values(e.Left, e.Right)
		w.pair(e.Left, e.Right, inside)
		w.pair(e.Right, e.Left, inside)
	case *Between:
		w.values(e.X, e.Low, e.High)
		for _, end := range []Value{e.Low, e.High} {
			w.pair(e.X, end, inside)
			w.pair(end, e.X, inside)
		}
	case *In:
		w.values(e.X) // a list holds fixed values
	case *Match:
		w.values(e.X)
	case *Is:
		w.values(e.X)
	case *Truth:
		w.values(e.X)
	case *Within:
		w.values(e.X)
		from, to := e.ends(w.rule.TypeOf(e.X))
		w.pair(e.X, from, inside)
		w.pair(e.X, to, inside)
	}
}

func (w *moverWalk) set(s *Set) {
	if s.Where != nil {
		w.expr(s.Where, s.Collection)
	}
}

// values walks the sets of aggregates.
func (w *moverWalk) values(list ...Value) {
	for _, v := range list {
		if a, ok := v.(*Aggregate); ok {
			w.set(a.Set)
		}
	}
}

// pair notes that bound, if it is one that moves, passes the values of v.
func (w *moverWalk) pair(v, bound Value, inside string) {
	m, ok := bound.(*Moment)
	if !ok || m.Base == OnDate {
		return
	}
	switch v := v.(type) {
	case *Ref:
		if v.Customer {
			inside = ""
		}
		w.found = append(w.found, mover{inside, w.rule.Resolve(v), m})
	case *Aggregate:
		w.found = append(w.found, mover{v.Set.Collection, w.rule.Field(v.Set), m})
	}
}
