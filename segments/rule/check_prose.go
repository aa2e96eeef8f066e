package rule

import (
	"slices"
	"strings"
)

// What the checker finds in the catalog for what the parser could only guess.

// adjective says how a set is narrowed that has words before its collection. It
// says whether it has reported all there is to say about the set.
func (k *checker) adjective(e *adjective, s *Set) bool {
	c, ok := k.collectionLike(s.Collection)
	words := e.words
	if !ok { // invoices open
		if c, ok = k.collectionLike(words[0]); ok {
			words = append(slices.Clone(words[1:]), s.Collection)
		}
	}
	if !ok {
		k.instead(e.fault, k.unknownCollection(e.of, s))
		return true
	}
	k.instead(e.fault, adjectiveMeant(e, c, s.Field, described(c, words)))
	return c.Name != s.Collection
}

// described returns the condition that an element of c is what words say: a
// value of an enumeration, or a field that is true or false.
func described(c Collection, words []string) Expr {
	word := strings.Join(words, "_")
	for _, f := range c.Fields {
		ref := &Ref{Name: f.Name}
		switch {
		case slices.Contains(f.Values, word):
			return &Compare{Left: ref, Op: Equal, Right: &TextLit{Text: word}}
		case f.Type == Boolean && f.Name == word:
			return &Truth{X: ref}
		}
	}
	return nil
}

// possession says what has paid, or has no charges, could be.
func (k *checker) possession(e *possession) {
	if k.inside != nil {
		k.instead(e.fault, possessionInsideWhere(e))
		return
	}
	last := len(e.words) - 1
	if a, ok := k.catalog.Attribute(strings.Join(e.words, "_")); ok {
		k.instead(e.fault, attributePossessed(e, a))
		return
	}
	if c, ok := k.collectionLike(e.words[last]); ok {
		k.instead(e.fault, elementsPossessed(e, c, described(c, e.words[:last]), last > 0))
		return
	}
	for _, words := range [][]string{e.words, e.words[:last]} {
		for _, c := range k.catalog.Collections() {
			if where := described(c, words); where != nil {
				k.instead(e.fault, elementsPossessed(e, c, where, true))
				return
			}
		}
	}
	var attributes, collections []string
	for _, a := range k.catalog.Attributes() {
		attributes = append(attributes, a.Name)
	}
	for _, c := range k.catalog.Collections() {
		collections = append(collections, c.Name)
	}
	if near := akin(strings.Join(e.words, "_"), attributes); len(near) > 0 {
		a, _ := k.catalog.Attribute(near[0])
		k.instead(e.fault, attributePossessed(e, a))
	} else {
		k.instead(e.fault, nothingPossessed(e, collections))
	}
}

// window says where a span of time belongs that stands behind a condition. A
// repair of that condition includes it; otherwise it has its own.
func (k *checker) window(w *window) {
	said := false
	for _, v := range operands(w.x) {
		q, ok := v.(*qualified)
		said = said || ok
		if ok && k.inside == nil {
			_, ok = k.collectionLike(q.table)
			said = said && ok
		}
		if _, ok := v.(*Aggregate); ok {
			k.expr(w.x)
			return // the parser's repair is the right one
		}
	}
	before := len(k.faults)
	k.also = timed(w.within)
	k.expr(w.x)
	k.also = ""
	switch at := slices.Index(k.faults, w.fault); {
	case at < 0:
	case said || len(k.faults) > before:
		k.faults = slices.Delete(k.faults, at, at+1)
	case k.inside == nil:
		k.faults[at] = windowOfCustomer(w, k.attributesOf(InstantType))
	case strings.HasPrefix(w.within, "within next"):
		var times []string
		for _, f := range k.inside.Fields {
			if (f.Type == InstantType || f.Type == DateType) && f.Name != "created_at" {
				times = append(times, f.Name)
			}
		}
		k.faults[at] = windowOfElement(w, times)
	}
}

// having returns the collections with a field of that name.
func (k *checker) having(name string) []Collection {
	var out []Collection
	for _, c := range k.catalog.Collections() {
		if _, ok := c.Field(name); ok {
			out = append(out, c)
		}
	}
	return out
}

// fieldOfCollections is for a name that is no attribute but a field. When the
// value beside it belongs to an enumeration, that tells which is meant.
func (k *checker) fieldOfCollections(ref *Ref) (Diagnostic, bool) {
	having := k.having(ref.Name)
	if len(having) == 0 || ref.Customer || k.inside != nil || ref.Name == "id" {
		return Diagnostic{}, false
	}
	var near []string
	if !strings.Contains(ref.Name, "_") { // as in status; of two words the field is what was meant
		for _, a := range k.catalog.Attributes() {
			if k.takes(a) {
				near = append(near, a.Name)
			}
		}
		near = akin(ref.Name, near)
	}
	fit := slices.DeleteFunc(slices.Clone(having), func(c Collection) bool {
		f, _ := c.Field(ref.Name)
		return !k.takes(f)
	})
	if len(fit) > 0 {
		having = fit
	}
	f, _ := having[0].Field(ref.Name)
	write := "exists (" + having[0].Name + " where " + k.narrowed(ref.span, formatValue(ref)) + ")"
	if !k.alone(ref) && f.Type != MapType {
		write = "latest(" + having[0].Name + "." + f.Name + ")"
	}
	return fieldOfSeveral(ref.span, k.text(ref), having, write, near), true
}

// fieldAkin returns how to ask for the field that a name is like in all its
// words; empty when there is none, or several.
func (k *checker) fieldAkin(ref *Ref) string {
	for _, c := range k.catalog.Collections() {
		var names []string
		for _, f := range c.Fields {
			names = append(names, f.Name)
		}
		if near := akin(ref.Name, names); len(near) == 1 && covers(near[0], ref.Name) && k.alone(ref) {
			return "exists (" + c.Name + " where " + k.narrowed(ref.span, near[0]) + "), if that is meant"
		}
	}
	return ""
}

// takes says whether the condition that is being checked names only values that
// an attribute can have.
func (k *checker) takes(a Attribute) bool {
	c, ok := k.checking.(*Compare)
	if !ok || len(a.Values) == 0 {
		return true
	}
	lit, ok := c.Right.(*TextLit)
	return !ok || slices.Contains(a.Values, lit.Text)
}
