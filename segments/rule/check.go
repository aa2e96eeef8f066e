package rule

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// check types a tree. Where the parser or a name failed, the type is Invalid and
// nothing more is said about it.
//
// It adds to the parser's faults, and says some of them again in better words.
func check(t *Tree, c Catalog, currency string, faults []Diagnostic) (*Rule, []Diagnostic) {
	k := &checker{faults: faults, src: t.Source, catalog: c, currency: strings.ToLower(currency),
		attrs: map[*Ref]Attribute{}, fields: map[*Set]Attribute{}, read: map[string]struct{}{}, segments: map[string]struct{}{}}
	k.expr(t.Root)
	return &Rule{tree: t, attrs: k.attrs, fields: k.fields,
		reads: slices.Sorted(maps.Keys(k.read)), segments: slices.Sorted(maps.Keys(k.segments))}, k.faults
}

type checker struct {
	src      string
	catalog  Catalog
	currency string
	attrs    map[*Ref]Attribute
	fields   map[*Set]Attribute
	read     map[string]struct{}
	segments map[string]struct{}
	inside   *Collection // of the where that is being checked; nil outside
	checking Expr        // the condition whose names are being looked up
	also     string      // what hints repeat behind that condition; see window
	sets     int
	faults   []Diagnostic
}

func (k *checker) report(d Diagnostic) { k.faults = append(k.faults, d) }

// instead puts a better message in place of one of the parser's. One that the
// parser took for an echo stays unsaid.
func (k *checker) instead(old, better Diagnostic) {
	if i := slices.Index(k.faults, old); i >= 0 {
		k.faults[i] = better
	}
}

func (k *checker) text(v interface{ Span() Span }) string { return k.src[v.Span().Start:v.Span().End] }

func (k *checker) expr(e Expr) {
	k.checking = e
	switch e := e.(type) {
	case *And:
		for _, x := range e.List {
			k.expr(x)
		}
	case *Or:
		for _, x := range e.List {
			k.expr(x)
		}
	case *Not:
		k.expr(e.X)
	case *Exists:
		k.set("exists", e.Set)
	case *InSegment:
		k.inSegment(e)
	case *Compare:
		k.compare(e)
	case *Between:
		k.between(e)
	case *In:
		k.in(e)
	case *Match:
		k.match(e)
	case *Is:
		t := k.typeOf(e.X, Invalid)
		if k.constant(e.span, t, e.X) {
			return
		}
		if a, ok := e.X.(*Aggregate); ok && a.Func == "count" && t != Invalid && (e.What == Null || e.What == Present) {
			k.report(countNeverMissing(e.span, k.text(a), a, (e.What == Null) != e.Not))
			return
		}
		if (e.What == True || e.What == False) && t != Boolean && t != Invalid {
			k.report(isNeedsBoolean(e.span, k.text(e.X), t, e))
		}
	case *Within:
		k.within(e)
	case *possession:
		k.possession(e)
	case *window:
		k.window(e)
	case *Truth:
		t := k.typeOf(e.X, Invalid)
		if !k.constant(e.span, t, e.X) && t != Boolean && t != Invalid {
			k.report(notACondition(e.span, k.text(e.X), t, e.X))
		}
	}
}

// typeOf returns a value's type and reports what is wrong with it by itself.
// Beside is the type of the other side of a comparison, when that is known.
func (k *checker) typeOf(v Value, beside Type) Type {
	switch v := v.(type) {
	case *Ref:
		return k.ref(v, beside)
	case *Aggregate:
		return k.aggregate(v)
	case *qualified:
		k.qualified(v)
	case *Moment:
		if v.Base != Now {
			for _, d := range v.Steps {
				if !d.wholeDays() {
					k.report(dateMovedByHours(v.span, d, formatMoment(inDays(v))))
					return Invalid
				}
			}
		}
	}
	return literalType(v)
}

// constant reports a predicate that reads no attribute: it would be true for
// everybody or nobody, and is a mistake.
func (k *checker) constant(s Span, t Type, values ...Value) bool {
	for _, v := range values {
		if reads(v) {
			return false
		}
	}
	if t != Invalid {
		k.report(aboutNobody(s, k.attributeIn(values)))
	}
	return true
}

// attributeIn finds the name of an attribute that was written as text.
func (k *checker) attributeIn(values []Value) string {
	for _, v := range values {
		if lit, ok := v.(*TextLit); ok {
			if a, ok := k.catalog.Attribute(lit.Text); ok {
				return a.Name
			}
		}
	}
	return ""
}

func reads(v Value) bool {
	switch v.(type) {
	case *Ref, *Aggregate, *qualified, *badValue:
		return true
	}
	return false
}

func (k *checker) compare(e *Compare) {
	lt := k.typeOf(e.Left, Invalid)
	rt := k.typeOf(e.Right, lt)
	if lt == Invalid || rt == Invalid || k.constant(e.span, lt, e.Left, e.Right) {
		return
	}
	k.agree(e.span, e.Left, lt, e.Op, e.Right, rt)
}

// agree reports, at s, why left cannot be compared with right, and says whether
// it can. One of the two reads an attribute.
func (k *checker) agree(s Span, left Value, lt Type, op Op, right Value, rt Type) bool {
	if !reads(left) || lt == Number && rt == MoneyType && isBare(left) {
		left, lt, right, rt, op = right, rt, left, lt, op.mirrored()
	}
	fault := func(d Diagnostic) bool {
		k.report(d)
		return false
	}
	times := func(t Type) bool { return t == DateType || t == InstantType }
	switch {
	case (op == Before || op == After) && !times(lt):
		return fault(orderOfTimesOnly(s, k.text(left), lt, op))
	case lt == ListType || rt == ListType:
		return fault(listCompared(s, k.text(left), lt, k.text(right), rt))
	case lt == MoneyType && rt == Number && isBare(right):
		if k.currency == "" {
			return fault(needsCurrency(right.Span(), k.text(right)))
		}
		return true
	case lt == DateType && rt == InstantType && !reads(right):
		return fault(dateWithInstant(s, k.text(left), right))
	case times(lt) && times(rt):
		return true
	case lt != rt:
		return fault(k.mismatch(s, left, lt, op, right, rt))
	case lt == Text && op.ordered():
		return fault(noOrder(s, k.text(left), lt, op, left, right))
	case lt == Boolean && op.ordered():
		return fault(noOrder(s, k.text(left), lt, op, left, right))
	case lt == Text:
		return k.known(left, right)
	}
	return true
}

// known reports a text that an enumeration does not have.
func (k *checker) known(left, right Value) bool {
	lit, ok := right.(*TextLit)
	if !ok {
		return true
	}
	values := k.valuesOf(left)
	if len(values) == 0 || slices.Contains(values, lit.Text) {
		return true
	}
	k.report(unknownValue(lit.span, lit.Text, k.text(left), values))
	return false
}

// valuesOf returns the values of an enumeration; nil for anything else.
func (k *checker) valuesOf(v Value) []string {
	switch v := v.(type) {
	case *Ref:
		if !v.HasKey {
			return k.attrs[v].Values
		}
	case *Aggregate:
		return k.fields[v.Set].Values
	}
	return nil
}

func (k *checker) between(e *Between) {
	t := k.typeOf(e.X, Invalid)
	low, high := k.typeOf(e.Low, t), k.typeOf(e.High, t)
	if t == Invalid || k.constant(e.span, t, e.X, e.Low, e.High) {
		return
	}
	for _, end := range []struct {
		v Value
		t Type
	}{{e.Low, low}, {e.High, high}} {
		if end.t == Invalid || !reads(e.X) && !reads(end.v) {
			continue
		}
		if !k.agree(e.span, e.X, t, LessOrEqual, end.v, end.t) {
			return
		}
	}
	if low != Invalid && high != Invalid {
		k.ends(e)
	}
}

// ends reports bounds that leave nothing between them, or only by accident.
func (k *checker) ends(e *Between) {
	low, lowIs := e.Low.(*NumberLit)
	high, highIs := e.High.(*NumberLit)
	if lowIs && highIs {
		switch {
		case low.Currency == "" && high.Currency != "":
			k.report(mixedCurrency(low.span, k.text(low), k.text(high), high.Currency))
		case low.Currency != "" && high.Currency == "":
			k.report(mixedCurrency(high.span, k.text(high), k.text(low), low.Currency))
		case low.Currency != high.Currency:
			k.report(twoCurrencies(e.span, low.Currency, high.Currency))
		case low.Number.Cmp(high.Number) > 0:
			k.report(endsReversed(e.span, k.text(low), k.text(high)))
		}
		return
	}
	if reversedTimes(e.Low, e.High) {
		k.report(endsReversed(e.span, k.text(e.Low), k.text(e.High)))
	}
}

// reversedTimes says whether low is after high on every day of a year. What
// depends on the length of the month is left alone.
func reversedTimes(low, high Value) bool {
	for month := range 12 {
		env := Env{Now: time.Date(2026, time.Month(month+1), 29, 12, 0, 0, 0, time.UTC)}
		a, ok := BoundOf(low, env)
		b, ok2 := BoundOf(high, env)
		if !ok || !ok2 || a.IsDate() != b.IsDate() || sameBase(low) != sameBase(high) {
			return false
		}
		if a.Date.Compare(b.Date) <= 0 && !a.Instant.After(b.Instant) {
			return false
		}
	}
	return true
}

// sameBase groups the values whose distance does not change with the clock.
func sameBase(v Value) Base {
	if m, ok := v.(*Moment); ok {
		return m.Base
	}
	return OnDate
}

func (k *checker) in(e *In) {
	t := k.typeOf(e.X, Invalid)
	if k.constant(e.span, t, e.X) {
		return
	}
	if t == ListType {
		k.report(listInList(e.span, k.text(e.X), e))
		return
	}
	currency := ""
	for _, v := range e.List {
		if n, ok := v.(*NumberLit); ok && n.Currency != "" {
			currency = n.Currency
			break
		}
	}
	for _, v := range e.List {
		it := k.typeOf(v, t)
		if t == Invalid || it == Invalid {
			continue
		}
		if n, ok := v.(*NumberLit); ok && t == MoneyType && n.Currency == "" && currency != "" {
			k.report(mixedCurrency(n.span, k.text(n), "another value of the list", currency))
			continue
		}
		k.agree(v.Span(), e.X, t, Equal, v, it)
	}
}

func (k *checker) match(e *Match) {
	t := k.typeOf(e.X, Invalid)
	if k.constant(e.span, t, e.X) {
		return
	}
	switch {
	case t == ListType && e.Op != Contains:
		k.report(listMatched(e.span, k.text(e.X), e.Op))
	case t != Text && t != ListType && t != Invalid:
		k.report(matchNeedsText(e.span, k.text(e.X), t, e.Op))
	case e.Pattern == "" && t != ListType:
		k.report(emptyPattern(e.pattern, k.text(e.X), e.Op))
	case e.Op == Like || e.Op == ILike:
		if !escapesWell(e.Pattern) {
			k.report(strayBackslash(e.pattern))
		} else if strings.ContainsAny(e.Pattern, "*?") && !strings.ContainsAny(e.Pattern, "%_") {
			k.report(otherWildcards(e.pattern, e))
		}
	}
}

// escapesWell says whether every backslash of a pattern precedes what it can
// escape, so that no two implementations need to agree about the rest.
func escapesWell(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '\\' {
			continue
		}
		i++
		if i == len(pattern) || !strings.ContainsRune(`%_\`, rune(pattern[i])) {
			return false
		}
	}
	return true
}

func (k *checker) within(e *Within) {
	t := k.typeOf(e.X, Invalid)
	if k.constant(e.span, t, e.X) || t == Invalid {
		return
	}
	switch {
	case t != DateType && t != InstantType:
		k.report(withinNeedsTime(e.span, k.text(e.X), t, e))
	case t == DateType && !e.For.wholeDays():
		k.report(dateMovedByHours(e.span, e.For, direction(e)+" "+e.For.inDays().String()))
	}
}

// isKey says whether v is one key of metadata.
func isKey(v Value) bool {
	ref, ok := v.(*Ref)
	return ok && ref.HasKey
}

// isBare says whether v is a number without a currency.
func isBare(v Value) bool {
	n, ok := v.(*NumberLit)
	return ok && n.Currency == ""
}

// ordered says whether the operator asks which of two is more.
func (o Op) ordered() bool { return o != Equal && o != NotEqual }

// mirrored returns the operator with its sides exchanged.
func (o Op) mirrored() Op {
	return [...]Op{Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual, After, Before}[o]
}
