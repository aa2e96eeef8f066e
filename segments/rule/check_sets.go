package rule

import "slices"

// set checks what exists or an aggregate is over; ok is false when the
// collection or the field is not known.
func (k *checker) set(of string, s *Set) (ok bool) {
	if k.inside != nil {
		k.report(setInsideWhere(s.span))
		return false
	}
	if k.sets++; k.sets == MaxSets+1 {
		k.report(tooManySets(s.span))
	}
	c, ok := k.catalog.Collection(s.Collection)
	where := s.Where
	if before, found := where.(*adjective); found {
		if where = before.rest; k.adjective(before, s) {
			return false
		}
	}
	if !ok {
		k.sayOnce(of, s, k.unknownCollection(of, s))
		return false
	}
	k.read[c.Name] = struct{}{}
	ok = k.field(of, s, c)
	if where != nil {
		outer := k.checking
		k.inside = &c
		k.expr(where)
		k.inside, k.checking = nil, outer
	}
	return ok
}

// field checks what stands behind the collection's dot. The parser has seen
// whether anything should.
func (k *checker) field(of string, s *Set, c Collection) bool {
	whole := of == "exists" || of == "count"
	if f, ok := c.Field(s.Field); ok && whole && f.Type == Boolean && s.Where == nil {
		narrowed := Set{Collection: c.Name, Where: &Truth{X: &Ref{Name: f.Name}}}
		k.instead(fieldOfSet(s, of), whereMissing(s.name, &narrowed, of))
	}
	if whole || s.Field == "" {
		if !whole {
			k.instead(fieldOfSet(s, of), k.needsField(of, s, c))
		}
		return whole
	}
	f, ok := c.Field(s.Field)
	if !ok {
		k.report(k.unknownField(s.name, c, &Ref{Name: s.Field}, Invalid))
		return false
	}
	k.fields[s] = f
	k.read[c.Name+"."+f.Name] = struct{}{}
	if of == "latest" || of == "earliest" {
		k.read[c.Name+".created_at"] = struct{}{}
	}
	return true
}

// sayOnce reports d, in place of what the parser said about the same set.
func (k *checker) sayOnce(of string, s *Set, d Diagnostic) {
	if whole := of == "exists" || of == "count"; whole == (s.Field != "") {
		k.instead(fieldOfSet(s, of), d)
		return
	}
	k.report(d)
}

// aggregate returns an aggregate's type. Sums and averages are of numbers and
// money; the smallest and the largest also of times.
func (k *checker) aggregate(a *Aggregate) Type {
	if !k.set(a.Func, a.Set) {
		return Invalid
	}
	if a.Func == "count" {
		return Number
	}
	f := k.fields[a.Set]
	if !aggregable(a.Func, f.Type) {
		k.report(k.cannotAggregate(a, f))
		return Invalid
	}
	return f.Type
}

// aggregable says whether a function can be over fields of a type.
func aggregable(of string, t Type) bool {
	switch of {
	case "sum", "avg":
		return t == Number || t == MoneyType
	case "min", "max":
		return t == Number || t == MoneyType || t == DateType || t == InstantType
	}
	return t != ListType && t != MapType
}

func (k *checker) inSegment(e *InSegment) {
	if k.inside != nil {
		k.report(segmentInsideWhere(e.span))
		return
	}
	if names := k.catalog.Segments(); names != nil && !slices.Contains(names, e.Segment) {
		k.report(unknownSegment(e.span, e.Segment, names))
		return
	}
	k.segments[e.Segment] = struct{}{}
}
