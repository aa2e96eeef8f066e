package rule

import (
	"fmt"
	"slices"
	"strings"
)

// What the checker says about rules that are written as one would say them, and
// about names that belong elsewhere.

// adjectiveMeant: where is what the words before the collection say; nil when no
// field of c does.
func adjectiveMeant(e *adjective, c Collection, field string, where Expr) Diagnostic {
	d := Diagnostic{e.fault.Span, e.fault.Msg, ""}
	set := &Set{Collection: c.Name, Field: field, Where: where}
	switch {
	case len(e.words) == 1 && (e.words[0] == "no" || e.words[0] == "zero"):
		d.Hint = "write not " + formatFunction("exists", &Set{Collection: c.Name, Where: e.rest})
		return d
	case len(e.words) == 1 && (e.words[0] == "some" || e.words[0] == "a" || e.words[0] == "an" || e.words[0] == "the"):
		set.Where = e.rest
	case where == nil:
		set.Where = &badExpr{}
	case e.rest != nil:
		set.Where = &And{List: []Expr{where, e.rest}}
	}
	d.Hint = "write " + formatFunction(e.of, set)
	if where == nil && set.Where != e.rest {
		d.Hint += enumerationOf(c)
	}
	return d
}

// enumerationOf shows what a condition on c could be.
func enumerationOf(c Collection) string {
	for _, f := range c.Fields {
		if len(f.Values) > 0 {
			return fmt.Sprintf("; %s can be %s", f.Name, listOf(clipList(f.Values, 20), "or"))
		}
	}
	return ""
}

// elementsPossessed: where says which elements of c; nil when the words could
// not be understood, or there are none.
func elementsPossessed(e *possession, c Collection, where Expr, words bool) Diagnostic {
	d := Diagnostic{e.fault.Span, e.fault.Msg, ""}
	set := &Set{Collection: c.Name, Where: where}
	switch {
	case where == nil && (words || e.where):
		set.Where = &badExpr{}
	case e.where:
		set.Where = &And{List: []Expr{where, &badExpr{}}}
	}
	d.Hint = "write " + denied(e.not) + formatFunction("exists", set)
	if words && where == nil {
		d.Hint += enumerationOf(c)
	}
	return d
}

func attributePossessed(e *possession, a Attribute) Diagnostic {
	d := Diagnostic{e.fault.Span, fmt.Sprintf("a condition starts with the attribute: %s", a.Name), "write " + a.Name + " is set"}
	switch {
	case a.Type == Boolean:
		d.Hint = "write " + denied(e.not) + a.Name
	case a.Type == MapType:
		d.Hint = fmt.Sprintf("write %s['key'] is set", a.Name)
	case e.not:
		d.Hint = "write " + a.Name + " is null"
	}
	return d
}

// nothingPossessed is for words that the catalog does not know.
func nothingPossessed(e *possession, collections []string) Diagnostic {
	d := e.fault
	if len(collections) > 0 {
		d.Hint = fmt.Sprintf("write %sexists (%s where …); the collections are %s", denied(e.not), collections[0], listOf(collections, "and"))
	}
	return d
}

func possessionInsideWhere(e *possession) Diagnostic {
	return Diagnostic{e.fault.Span, "inside where a condition starts with a field", "write it as in status = 'open'"}
}

func denied(not bool) string {
	if not {
		return "not "
	}
	return ""
}

// windowOfCustomer: times are attributes that within could ask about.
func windowOfCustomer(w *window, times []string) Diagnostic {
	d := Diagnostic{w.fault.Span, w.fault.Msg, ""}
	if len(times) == 0 {
		return d
	}
	_, direction, _ := strings.Cut(w.within, " ")
	likely := max(slices.IndexFunc(times, func(name string) bool { return strings.HasPrefix(name, direction[:4]+"_") }), 0) // last_ or next_
	d.Hint = fmt.Sprintf("name it, joined by and, as in and %s %s", times[likely], w.within)
	return d
}

// windowOfElement: times are fields that can be in the time to come.
func windowOfElement(w *window, times []string) Diagnostic {
	d := w.fault
	if len(times) > 0 {
		d.Hint = fmt.Sprintf("name it, joined by and, as in and %s %s", times[0], w.within)
	}
	if len(times) > 1 {
		d.Hint += "; it can be " + listOf(times, "or")
	}
	return d
}

// fieldOfSeveral: write is how one asks for it, near the attributes that have it
// among their words.
func fieldOfSeveral(s Span, name string, having []Collection, write string, near []string) Diagnostic {
	d := Diagnostic{s, "unknown attribute " + quoteName(clip(name, 60)), ""}
	d.Hint = fmt.Sprintf("%s have it: write %s", firstThree(having), write)
	if len(near) > 0 {
		d.Hint = fmt.Sprintf("%s %s have %s, too: write %s", didYouMean(near), firstThree(having), name, write)
	}
	return d
}

// firstThree names up to three collections.
func firstThree(list []Collection) string {
	var names []string
	for _, c := range list[:min(len(list), 3)] {
		names = append(names, c.Name)
	}
	if len(list) > 3 {
		names = append(names, "others")
	}
	return listOf(names, "and")
}
