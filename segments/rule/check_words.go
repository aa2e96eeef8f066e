package rule

import (
	"fmt"
	"slices"
	"strings"
)

// What the checker says. Each message is one function, so that the wording can
// be read, and changed, in one place.

// a returns a type with its article, as in "plan is text".
func (t Type) a() string {
	switch t {
	case Number, DateType, InstantType, ListType:
		return "a " + t.String()
	case MoneyType:
		return "an amount of money"
	}
	return t.String()
}

// unknownName is what is known about a name that no attribute has.
type unknownName struct {
	at      Span
	name    string   // as written
	guess   string   // what it is a slip of
	literal string   // it, in quotes, when text stands beside it
	near    []string // the attributes that have it among their words
	others  []string // some that there are
	instead string   // how it is said
}

func (u unknownName) say() Diagnostic {
	d := Diagnostic{u.at, "unknown attribute " + quoteName(clip(u.name, 60)), ""}
	switch {
	case u.instead != "":
		d.Hint = "write " + u.instead
	case u.guess != "" && u.literal != "":
		d.Hint = fmt.Sprintf("did you mean %q, or the text %s?", u.guess, u.literal)
	case u.guess != "":
		d.Hint = fmt.Sprintf("did you mean %q?", u.guess)
	case u.literal != "":
		d.Hint = "if this is text, write " + u.literal
	case len(u.near) > 0:
		d.Hint = didYouMean(u.near)
	case len(u.others) > 0:
		d.Hint = "there are, among others, " + listOf(u.others, "and")
	}
	return d
}

func currencyColumn(s Span, name, money string) Diagnostic {
	return Diagnostic{s, "unknown attribute " + quoteName(name), fmt.Sprintf("%s has its currency with it: write %s > 20 usd", money, money)}
}

func customerOutsideWhere(s Span, name string) Diagnostic {
	return Diagnostic{s, "customer. is needed only inside where", "write " + name}
}

func mapNeedsKey(s Span, name string) Diagnostic {
	return Diagnostic{s, name + " is asked by key", fmt.Sprintf("write %s['key']", name)}
}

func noKeys(s Span, name string, t Type) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("%s is %s and has no keys", name, t.a()), "write " + name}
}

// aboutNobody: quoted is an attribute whose name was written as text, if any.
func aboutNobody(s Span, quoted string) Diagnostic {
	d := Diagnostic{s, "this compares no attribute, so it is the same for every customer", "name the attribute to look at"}
	if quoted != "" {
		d.Hint = "names stand without quotes: write " + quoted
	}
	return d
}

func notACondition(s Span, name string, t Type, v Value) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is %s and not a condition by itself", name, t.a()),
		fmt.Sprintf("compare it with a value, or write %s is set", name)}
	a, ok := v.(*Aggregate)
	switch {
	case ok && a.Func == "count": // it is always set
		d.Hint = "compare it with a number, or write " + formatExpr(&Exists{Set: a.Set})
	case ok && a.Func == "sum":
		d.Hint = "compare it with a value, as in " + name + " > 0"
	}
	return d
}

func isNeedsBoolean(s Span, name string, t Type, e *Is) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is %s, neither true nor false", name, t.a()), ""}
	if t == Text {
		op := Equal
		if e.Not {
			op = NotEqual
		}
		d.Hint = fmt.Sprintf("if it holds the text, write %s %s %s", name, op, quote(e.What.String()))
	}
	return d
}

func noOrder(s Span, name string, t Type, op Op, left, right Value) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is %s, which has no order for %s", name, t.a(), op), ""}
	if t == Boolean {
		d.Hint = fmt.Sprintf("write %s, or not %s", name, name)
	}
	if t == Text {
		d.Hint = "text is compared with =, !=, in, like, contains, starts with and ends with"
	}
	if lit, ok := right.(*TextLit); ok && isKey(left) {
		if _, err := ParseDecimal(lit.Text); err == nil {
			d.Hint = metadataIsText(name, lit.Text)
		}
	}
	return d
}

func orderOfTimesOnly(s Span, name string, t Type, op Op) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is %s, and %s compares dates and points in time", name, t.a(), op), ""}
	if t == Number || t == MoneyType {
		symbol := map[Op]Op{Before: Less, After: Greater}[op]
		d.Hint = fmt.Sprintf("write %s instead of %s", symbol, op)
	}
	return d
}

func needsCurrency(s Span, number string) Diagnostic {
	return Diagnostic{s, number + " needs a currency", fmt.Sprintf("write %s usd", number)}
}

func mixedCurrency(s Span, number, other, currency string) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("%s has no currency, and %s has", number, other), fmt.Sprintf("write %s %s", number, currency)}
}

func twoCurrencies(s Span, low, high string) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("no amount lies between one in %s and one in %s", low, high),
		"use one currency for both; for several, join one between for each by or"}
}

func endsReversed(s Span, low, high string) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("nothing lies between %s and %s", low, high), fmt.Sprintf("write between %s and %s", high, low)}
}

func unknownValue(s Span, text, name string, values []string) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is never %s", name, quoteName(clip(text, 40))), ""}
	known := "the values are " + listOf(clipList(values, 20), "and")
	if near, ok := nearest(text, values); ok {
		known = fmt.Sprintf("did you mean %s? %s", quote(near), known)
	}
	d.Hint = known
	return d
}

func listCompared(s Span, left string, lt Type, right string, rt Type) Diagnostic {
	name, other := left, right
	if lt != ListType {
		name, other = right, left
	}
	d := Diagnostic{s, fmt.Sprintf("%s is a list and is not compared as a whole", name), ""}
	if lt != rt {
		d.Hint = fmt.Sprintf("write %s contains %s", name, other)
	}
	return d
}

func listInList(s Span, name string, e *In) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is a list, and in looks for one value", name), fmt.Sprintf("write %s contains '…'", name)}
	var parts []string
	for _, v := range e.List {
		if lit, ok := v.(*TextLit); ok && len(parts) < 3 {
			parts = append(parts, fmt.Sprintf("%s contains %s", name, quote(lit.Text)))
		}
	}
	if len(parts) == len(e.List) {
		d.Hint = "write " + strings.Join(parts, " or ")
	}
	return d
}

func listMatched(s Span, name string, op MatchOp) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("%s is a list, and %s looks at one text", name, op), fmt.Sprintf("write %s contains '…' for a whole element", name)}
}

func matchNeedsText(s Span, name string, t Type, op MatchOp) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is %s, and %s looks at text", name, t.a(), op), "compare it with =, <, > or between"}
	switch t {
	case Boolean:
		d.Hint = fmt.Sprintf("write %s or not %s", name, name)
	case DateType, InstantType:
		d.Hint = "compare it with a date, as in " + name + " >= date '2026-01-31'"
	}
	return d
}

func emptyPattern(s Span, name string, op MatchOp) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s needs some text to look for", op), fmt.Sprintf("for any text at all, write %s is set", name)}
	if op == Like || op == ILike {
		d.Hint = fmt.Sprintf("for empty text, write %s = ''", name)
	}
	return d
}

// otherWildcards is for a pattern with the stars of file names and no wildcard.
func otherWildcards(s Span, e *Match) Diagnostic {
	real := "*"
	if !strings.Contains(e.Pattern, real) {
		real = "?"
	}
	pattern := strings.NewReplacer("*", "%", "?", "_").Replace(e.Pattern)
	return Diagnostic{s, "in a pattern % is any text and _ one character",
		fmt.Sprintf("write %s %s; for a real %s, write contains '%s'", e.Op, quote(clip(pattern, 60)), real, real)}
}

func strayBackslash(s Span) Diagnostic {
	return Diagnostic{s, `a backslash in a pattern stands before %, _ or another backslash`, `write \\ for one backslash`}
}

func withinNeedsTime(s Span, name string, t Type, e *Within) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is %s, and within looks at dates and points in time", name, t.a()),
		"name one of those, as in created_at within last 30 days"}
	if a, ok := e.X.(*Aggregate); ok && (t == Number || t == MoneyType) {
		timed := formatFunction(a.Func, timedSet(a.Set, direction(e)+" "+e.For.String()))
		d.Hint = "put it into the parentheses: write " + timed + " > …"
	}
	return d
}

// dateMovedByHours: days is what was written, in days.
func dateMovedByHours(s Span, d Duration, days string) Diagnostic {
	return Diagnostic{s, "a date moves by whole days, not by " + d.Unit.String() + "s", "write " + days}
}

func countNeverMissing(s Span, name string, a *Aggregate, missing bool) Diagnostic {
	d := Diagnostic{s, name + " is never missing, but 0 of nothing, so this is the same for every customer", "write " + formatFunction("exists", a.Set)}
	if missing {
		d.Hint = "write not " + formatFunction("exists", a.Set)
	}
	return d
}

// metadataIsText: number is what it was compared with, without quotes.
func metadataIsText(name, number string) string {
	return fmt.Sprintf("metadata is always text, and numbers in it cannot be compared: write %s = '%s', or in ('%s', …)", name, number, number)
}

// dateWithInstant: right is now() or a timestamp.
func dateWithInstant(s Span, name string, right Value) Diagnostic {
	d := Diagnostic{s, fmt.Sprintf("%s is a date, without a time of day, and cannot be compared with a point in time", name), ""}
	switch v := right.(type) {
	case *TimestampLit:
		d.Hint = fmt.Sprintf("write date '%s'", civil(v.Time))
	case *Moment:
		today := *v
		today.Base = Today
		if slices.ContainsFunc(today.Steps, func(d Duration) bool { return !d.wholeDays() }) {
			today.Steps = nil
		}
		d.Hint = "write " + formatMoment(&today)
	}
	return d
}

// mismatch says that two types have nothing to compare, and what may have been
// meant. Left reads an attribute.
func (k *checker) mismatch(s Span, left Value, lt Type, op Op, right Value, rt Type) Diagnostic {
	other := rt.a()
	if reads(right) {
		other = fmt.Sprintf("%s, which is %s", k.text(right), rt.a())
	}
	d := Diagnostic{s, fmt.Sprintf("%s is %s and cannot be compared with %s", k.text(left), lt.a(), other), ""}
	switch lit := right.(type) {
	case *TextLit:
		d.Hint = textMeant(lt, lit.Text)
	case *NumberLit:
		switch {
		case len(k.valuesOf(left)) > 0:
			d.Hint = "the values are " + listOf(clipList(k.valuesOf(left), 20), "and")
		case lt == Text && !op.ordered():
			d.Hint = "write " + quote(k.text(lit))
		case isKey(left):
			d.Hint = metadataIsText(k.text(left), k.text(lit))
		case lt == Number:
			d.Hint = "it has no currency: write " + lit.Number.String()
		case lt == Boolean:
			d.Hint = "write true or false"
		case (lt == DateType || lt == InstantType) && lit.Currency == "":
			d.Hint = fmt.Sprintf("for days from today, write %s within next %s days", k.text(left), lit.Number)
		}
	case *BoolLit:
		if lt == Text {
			d.Hint = "write " + quote(formatValue(lit))
		}
	case *Moment:
		if lt == Text && lit.Base == OnDate && len(lit.Steps) == 0 {
			d.Hint = "write " + quote(lit.Date.String())
		}
	}
	return d
}

// textMeant guesses what a text beside something that is no text was meant to be.
func textMeant(beside Type, text string) string {
	text = strings.TrimSpace(text)
	number, currency, spaced := strings.Cut(text, " ")
	_, err := ParseDecimal(number)
	day, dayErr := ParseDate(text)
	_, isTime := parseTimestamp(text)
	switch beside {
	case Number, MoneyType:
		if err == nil && (!spaced || beside == MoneyType && isCurrency(strings.ToLower(currency))) {
			return "write " + text + " without quotes"
		}
		if beside == MoneyType {
			return "write an amount without quotes, as in 20 usd"
		}
		return "write a number without quotes"
	case Boolean:
		if strings.EqualFold(text, "true") || strings.EqualFold(text, "false") {
			return "write " + strings.ToLower(text) + " without quotes"
		}
		return "write true or false"
	case DateType, InstantType:
		switch {
		case dayErr == nil:
			return fmt.Sprintf("write date '%s'", day)
		case isTime && beside == InstantType:
			return "write timestamp " + quote(text)
		case strings.ContainsAny(text, "0123456789"):
			if hint := badDate(Span{}, text).Hint; strings.HasPrefix(hint, "write date") {
				return hint
			}
		}
		return "write a date as date '2026-01-31', or use today()"
	}
	return ""
}

// didYouMean quotes one name, and lists several.
func didYouMean(names []string) string {
	if len(names) == 1 {
		return fmt.Sprintf("did you mean %q?", names[0])
	}
	return "did you mean " + listOf(names, "or") + "?"
}

// listOf writes a, b and c.
func listOf(words []string, last string) string {
	if n := len(words) - 1; n > 0 {
		return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
	}
	return strings.Join(words, "")
}

func clipList(words []string, limit int) []string {
	if len(words) > limit {
		return append(slices.Clone(words[:limit]), "…")
	}
	return words
}
