package rule

import (
	"fmt"
	"slices"
	"strings"
)

// What the checker says about sets and segments.

func (k *checker) unknownCollection(of string, s *Set) Diagnostic {
	var names, having []string
	for _, c := range k.catalog.Collections() {
		names = append(names, c.Name)
		if _, ok := c.Field(s.Collection); ok {
			having = append(having, c.Name)
		}
	}
	d := Diagnostic{s.name, "unknown collection " + quoteName(clip(s.Collection, 60)), "the collections are " + listOf(names, "and")}
	_, attribute := k.catalog.Attribute(s.Collection)
	like, one := k.collectionLike(s.Collection)
	guess, near := nearest(s.Collection, names)
	switch {
	case len(names) == 0:
		d.Hint = ""
	case one:
		d.Hint = fmt.Sprintf("did you mean %q?", like.Name)
	case near:
		d.Hint = fmt.Sprintf("did you mean %q?", guess)
	case len(having) > 0 && s.Field == "" && of != "exists" && of != "count":
		d.Hint = fmt.Sprintf("it is a field of %s: write %s(%s.%s)", listOf(having, "and"), of, having[0], s.Collection)
	case attribute:
		d.Hint = fmt.Sprintf("%s is an attribute of the customer; write it by itself", s.Collection)
	}
	return d
}

// needsField says which fields a function could be over.
func (k *checker) needsField(of string, s *Set, c Collection) Diagnostic {
	var fit []string
	for _, f := range c.Fields {
		if aggregable(of, f.Type) && f.Name != "id" {
			fit = append(fit, f.Name)
		}
	}
	d := Diagnostic{s.name, of + " needs a field of " + c.Name, ""}
	if len(fit) == 0 {
		return d
	}
	likely := max(slices.IndexFunc(fit, func(name string) bool { f, _ := c.Field(name); return f.Type == MoneyType }), 0)
	d.Hint = fmt.Sprintf("write %s(%s.%s …)", of, c.Name, fit[likely])
	if s.Where != nil {
		d.Hint = "write " + formatFunction(of, &Set{Collection: c.Name, Field: fit[likely], Where: s.Where})
	}
	if len(fit) > 1 {
		d.Hint += "; it can be " + listOf(fit, "or")
	}
	return d
}

// unknownField says that c has no field of that name, and which it may be.
func (k *checker) unknownField(s Span, c Collection, ref *Ref, beside Type) Diagnostic {
	var names []string
	for _, f := range c.Fields {
		names = append(names, f.Name)
	}
	near := akin(ref.Name, names)
	_, bare := k.checking.(*Truth)
	said := described(c, []string{strings.ToLower(ref.Name)})
	d := Diagnostic{s, fmt.Sprintf("%s has no %s", c.One, quoteName(clip(ref.Name, 60))), ""}
	guess, slip := nearest(ref.Name, names)
	having := k.having(ref.Name)
	a, customers := k.catalog.Attribute(ref.Name)
	of := *ref
	of.Customer, of.Name = true, a.Name
	switch {
	case customers && k.inside != nil:
		d.Hint = "the customer's is written " + formatValue(&of)
	case customers:
		d.Hint = fmt.Sprintf("the customer has one: write %s by itself", a.Name)
	case bare && said != nil:
		d.Hint = "write " + formatExpr(said)
	case slip && (len(near) < 2 || slips(ref.Name, guess) < 3):
		d.Hint = fmt.Sprintf("did you mean %q?", guess)
	case len(having) > 0 && k.inside != nil && (len(near) == 0 || strings.Contains(ref.Name, "_")):
		d.Hint = fmt.Sprintf("%s have it: write exists (%s where %s), outside of these parentheses",
			firstThree(having), having[0].Name, k.narrowed(s, strings.ToLower(ref.Name)))
	case len(near) > 0:
		d.Hint = didYouMean(near)
	default:
		d.Hint = "it has " + listOf(clipList(names, 30), "and")
	}
	if beside == Text && !ref.HasKey && !customers {
		slip = slip && len(near) < 2
		literal := quote(clip(k.text(ref), 60))
		if slip {
			d.Hint = fmt.Sprintf("did you mean %q, or the text %s?", guess, literal)
		} else {
			d.Hint = "if this is text, write " + literal
		}
	}
	return d
}

// fieldOutside says how to ask for a field of some element; with is the
// condition as it would read inside where.
func fieldOutside(s Span, c Collection, f Attribute, with string) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("a customer has several %s, so %s belongs inside a where", c.Name, f.Name),
		fmt.Sprintf("write exists (%s where %s)", c.Name, with)}
}

// fieldBeside is for a field beside another value of the customer.
func fieldBeside(s Span, c Collection, f Attribute) Diagnostic {
	others := []string{"earliest"}
	for _, of := range []string{"min", "max", "sum"} {
		if aggregable(of, f.Type) {
			others = append(others, of)
		}
	}
	return Diagnostic{s, fmt.Sprintf("a customer has several %s, so there is more than one %s", c.Name, f.Name),
		fmt.Sprintf("say which: write latest(%s.%s), or %s", c.Name, f.Name, listOf(others, "or"))}
}

func otherCollection(s Span, inside, c Collection) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("this where looks at %s, and cannot look at %s too", inside.One, c.Name),
		"put the second condition beside the first one, outside the parentheses, joined by and"}
}

// collectionAlone: with is the condition with a count in the name's place.
func collectionAlone(s Span, c Collection, name, with string) Diagnostic {
	hint := fmt.Sprintf("write exists (%s)", c.Name)
	if with != "" && with != "count("+c.Name+")" {
		hint = fmt.Sprintf("write %s, or exists (%s where …)", with, c.Name)
	}
	return Diagnostic{s, fmt.Sprintf("%s is a collection, of which a customer has none, one or several", quoteName(name)), hint}
}

func (k *checker) cannotAggregate(a *Aggregate, f Attribute) Diagnostic {
	what := map[string]string{
		"sum": "adds numbers and amounts of money", "avg": "is of numbers and amounts of money",
		"min": "compares numbers, amounts and times", "max": "compares numbers, amounts and times",
		"latest": "is of one value", "earliest": "is of one value",
	}[a.Func]
	d := Diagnostic{a.span, fmt.Sprintf("%s is %s, and %s %s", f.Name, f.Type.a(), a.Func, what), ""}
	if f.Type == MapType {
		d.Msg = fmt.Sprintf("%s holds many values, and %s %s", f.Name, a.Func, what)
	}
	switch {
	case (a.Func == "sum" || a.Func == "avg") && (f.Type == DateType || f.Type == InstantType):
		d.Hint = fmt.Sprintf("use min, max, latest or earliest: latest(%s.%s)", a.Set.Collection, f.Name)
	case a.Func == "sum" && f.Type == Boolean:
		d.Hint = fmt.Sprintf("to count them, write count(%s where %s)", a.Set.Collection, f.Name)
	case f.Type == MapType:
		d.Hint = fmt.Sprintf("ask inside a where: exists (%s where %s['key'] = '…')", a.Set.Collection, f.Name)
	case f.Type == Text || f.Type == Boolean:
		d.Hint = fmt.Sprintf("the newest one's is latest(%s.%s)", a.Set.Collection, f.Name)
	}
	return d
}

func setInsideWhere(s Span) Diagnostic {
	return Diagnostic{s, "a where looks at one element, and cannot look at a collection again",
		"put the second condition beside the first one, outside the parentheses, joined by and"}
}

func segmentInsideWhere(s Span) Diagnostic {
	return Diagnostic{s, "in segment is about the customer, and a where about one element",
		"put it outside the parentheses, joined by and"}
}

func tooManySets(s Span) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("a rule looks at collections at most %d times", MaxSets),
		"split it in two segments, and name one in the other: in segment 'name'"}
}

func unknownSegment(s Span, name string, names []string) Diagnostic {
	d := Diagnostic{s, "there is no segment " + quoteName(clip(name, 60)), ""}
	switch guess, ok := nearest(name, names); {
	case ok:
		d.Hint = fmt.Sprintf("did you mean %s?", quote(guess))
	case len(names) > 0:
		d.Hint = "the segments are " + listOf(clipList(names, 20), "and")
	default:
		d.Hint = "define it first, or in the same files"
	}
	return d
}
