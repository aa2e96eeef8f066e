package rule

import (
	"fmt"
	"strings"
)

// What the parser says about sets, segments and functions.

// example is how the function of a set is written.
func example(of string) string {
	switch of {
	case "exists":
		return "exists (invoices where …)"
	case "count":
		return "count(invoices where …)"
	}
	return of + "(invoices.amount_due where …)"
}

func setNeedsParentheses(s Span, of string) Diagnostic {
	return Diagnostic{s, of + " is followed by a collection in parentheses", "write " + example(of)}
}

func wantCollection(t token, shown, of string) Diagnostic {
	d := Diagnostic{t.span, "expected a collection, found " + shown, "write " + example(of)}
	if t.text == "customer" {
		d.Hint = "a collection is the customer's own: " + d.Hint
	}
	return d
}

// unclosedSet: next stands where the set should end.
func unclosedSet(next token, shown string, set *Set, of string) Diagnostic {
	d := Diagnostic{next.span, "expected ) behind the collection, found " + shown, ""}
	switch {
	case set.Where != nil && joiners[next.text] != "":
		d.Hint = fmt.Sprintf("write %s instead of %s", joiners[next.text], next.text)
	case set.Where != nil:
		d.Hint = "close the parenthesis, or join conditions with and or or"
	case next.text == ",":
		d.Hint = "a field stands behind its collection and a dot: " + example("sum")
	case next.text == "and" || next.text == "or":
		d.Hint = fmt.Sprintf("conditions on the elements follow where: write %s where …", formatSet(set))
	case next.kind == tokWord:
		d.Hint = fmt.Sprintf("conditions on the elements follow where: write %s where %s …", formatSet(set), next.text)
	default:
		d.Hint = "write " + example(of)
	}
	return d
}

// fieldOfSet: the checker, which knows the fields, says it better.
func fieldOfSet(s *Set, of string) Diagnostic {
	if s.Field == "" {
		return Diagnostic{s.name, of + " needs a field of " + s.Collection, fmt.Sprintf("write %s(%s.amount_due …)", of, s.Collection)}
	}
	bare := *s
	bare.Field = ""
	hint := "write count(" + formatSet(&bare) + ")"
	if of == "exists" {
		hint = formatExpr(&Exists{Set: &bare})
	}
	return Diagnostic{s.name, fmt.Sprintf("%s looks at whole elements and takes no field", of), "write " + strings.TrimPrefix(hint, "write ")}
}

// conditionCompared: what is next is the value that e was compared with.
func conditionCompared(s Span, e Expr, next token) Diagnostic {
	d := Diagnostic{s, "exists is true or false by itself and not compared", "write " + formatExpr(e) + ", or not " + formatExpr(e)}
	if exists, ok := e.(*Exists); !ok {
		d.Msg = "in segment is true or false by itself and not compared"
	} else if next.kind == tokNumber {
		d.Hint = "to count them, write count(" + formatSet(exists.Set) + ")"
	}
	return d
}

// segmentOfValue: write is the condition without the value.
func segmentOfValue(s Span, write string) Diagnostic {
	return Diagnostic{s, "a value is not in a segment; a customer is", "write " + write + " as a condition by itself"}
}

// segmentOfCustomer: write is the condition without what stands before it.
func segmentOfCustomer(s Span, write string) Diagnostic {
	return Diagnostic{s, "in segment stands by itself: a rule is about the customer already", "write " + write}
}

func segmentWithoutIn(s Span, write string) Diagnostic {
	return Diagnostic{s, `expected a condition, found "segment"`, "write " + write}
}

// segmentWritten is how membership of the segment that name quotes is written.
func segmentWritten(not bool, name token) string {
	write := "in segment "
	if not {
		write = "not in segment "
	}
	if name.kind == tokText && !name.bad {
		return write + quote(clip(name.text, 60))
	}
	return write + "'…'"
}

// wantSegment: meant is the condition with the name that follows, if one does.
func wantSegment(t token, meant string) Diagnostic {
	d := wantText(t.span, "the segment's name in single quotes", "in segment 'vip'")
	switch {
	case t.text == "(":
		d.Hint = "name one at a time: write in segment 'vip' or in segment '…'"
	case t.text == "is" || t.text == "not" || t.kind == tokSymbol && isComparison(t.text):
		d.Hint = "write " + meant
	case t.kind == tokWord && !IsReserved(t.text):
		d.Hint = "write in segment " + quote(t.text)
	}
	return d
}

// otherFunctions are what other languages call ours.
var otherFunctions = map[string]string{
	"any": "exists", "some": "exists", "exist": "exists", "has": "exists", "len": "count", "length": "count", "size": "count",
	"total": "sum", "average": "avg", "mean": "avg", "newest": "latest", "oldest": "earliest", "first": "earliest", "maximum": "max",
	"minimum": "min", "largest": "max", "smallest": "min",
}

func unknownFunction(s Span, name string) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("there is no function %s", quoteName(clip(name, 40))),
		"rules have now(), today(), exists, count, sum, min, max, avg, latest and earliest"}
	switch name = strings.ToLower(name); name {
	case "lower", "upper":
		d.Hint = "to ignore case, write ilike"
	case "current_date", "curdate":
		d.Hint = "write today()"
	default:
		if of := otherFunctions[name]; of != "" {
			d.Hint = "write " + example(of)
		} else if of, ok := nearest(name, append([]string{"exists"}, aggregates...)); ok {
			d.Hint = fmt.Sprintf("did you mean %q?", of)
		}
	}
	return d
}

// qualifiedName: the checker, which knows the collections, may say it better.
func qualifiedName(v *qualified) Diagnostic {
	d := Diagnostic{v.span, fmt.Sprintf("an attribute stands by itself, without %q before it", clip(v.table, 40)+"."), "write " + strings.ToLower(v.field)}
	if strings.TrimPrefix(v.table, "stripe_") == "metadata" {
		d.Msg = "metadata is asked by key, in brackets"
		d.Hint = fmt.Sprintf("write metadata[%s]", quote(v.field))
	}
	return d
}

// whereMissing: the condition has been read as if where stood before it.
func whereMissing(s Span, set *Set, of string) Diagnostic {
	return Diagnostic{s, "conditions on the elements follow where", "write " + formatFunction(of, set)}
}

// wordsBefore: the checker, which knows the values, says it better.
func wordsBefore(s Span, set *Set, e *adjective) Diagnostic {
	bare := *set
	bare.Where = &badExpr{}
	return Diagnostic{s, fmt.Sprintf("%s is followed by a collection, with nothing before its name", e.of), "write " + formatFunction(e.of, &bare)}
}

// possessed: the checker, which knows the collections, says it better.
func possessed(s Span, word string, not bool) Diagnostic {
	d := Diagnostic{s, quoteName(word) + " is not a word of rules; what a customer has is asked for by exists", "write exists (invoices where …)"}
	if not {
		d.Hint = "write not exists (invoices where …)"
	}
	return d
}

// windowAlone is for a span of time that is said of no attribute.
func windowAlone(s Span, within string, e Expr) Diagnostic {
	d := Diagnostic{s, "within asks about a time, and none is named before it", "name it, joined by and: and " + timed(within)}
	if _, ok := e.(*InSegment); ok {
		d.Hint = "in segment is about now; name a time, joined by and: and … " + within
	}
	c, ok := e.(*Compare)
	if !ok {
		return d
	}
	timed := *c
	left, inLeft := c.Left.(*Aggregate)
	right, inRight := c.Right.(*Aggregate)
	switch {
	case inLeft:
		timed.Left = &Aggregate{left.at, left.Func, timedSet(left.Set, within)}
	case inRight:
		timed.Right = &Aggregate{right.at, right.Func, timedSet(right.Set, within)}
	default:
		return d
	}
	d.Hint = "put it into the parentheses: write " + formatExpr(&timed)
	return d
}

func windowBehindSet(s Span, set *Set, within string) Diagnostic {
	return Diagnostic{s, "within asks about a time, and none is named before it",
		"put it into the parentheses: write " + formatFunction("exists", timedSet(set, within))}
}

// timed guesses what was meant to be within a span of time: of what is to come,
// that is not when it was made.
func timed(within string) string {
	if strings.HasPrefix(within, "within next") {
		return "… " + within
	}
	return "created_at " + within
}

// timedSet narrows a set, for a hint, to what was made within a span of time.
func timedSet(set *Set, within string) *Set {
	out := *set
	time := &Truth{X: &Ref{Name: timed(within)}}
	if out.Where == nil {
		out.Where = time
	} else {
		out.Where = &And{List: []Expr{out.Where, time}}
	}
	return &out
}

// isBeforeOperator: e is the condition without is.
func isBeforeOperator(s Span, operator string, e Expr) Diagnostic {
	return Diagnostic{s, operator + " stands behind the name without is", "write " + formatExpr(e)}
}
