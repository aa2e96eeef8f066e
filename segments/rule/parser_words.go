package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the parser says. Each message is one function, so that the wording can be
// read, and changed, in one place.

func emptyRule() Diagnostic {
	return Diagnostic{Msg: "the rule is empty", Hint: "write a condition, for example subscription_status = 'active'"}
}

func tooDeep(s Span) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("conditions are nested more than %d deep", MaxDepth), "take out parentheses that change nothing"}
}

func tooManyPredicates(s Span) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("a rule has at most %d comparisons", MaxPredicates),
		"put values of one attribute into a list: plan in ('a', 'b', …)"}
}

func tooManyItems(s Span) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("a list has at most %d values", MaxListItems),
		"give these customers a metadata key in Stripe and ask for that"}
}

func tooManySteps(s Span) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("a point in time is moved at most %d times", MaxSteps), "add the durations up"}
}

func wantValue(t token, shown string, start bool, after token) Diagnostic {
	if start {
		d := Diagnostic{t.span, "expected a condition, found " + shown, ""}
		switch {
		case t.kind == tokEOF:
			d.Msg = "the rule ends where a condition is expected"
			d.Hint = "write the missing condition, or delete the word before it"
		case t.text == "and" || t.text == "or":
			d.Msg = fmt.Sprintf("%q joins two conditions, and here one is missing", t.text)
			d.Hint = "delete it, or write the missing condition"
		case t.text == "last" && after.text == "(":
			d.Hint = "the newest element's is written latest(…)"
		case t.text == "where":
			d.Hint = "a rule is what follows where; leave the word out"
		case t.kind == tokWord && IsReserved(t.text):
			d.Hint = t.text + " is a word of the language"
		case t.text == ")":
			d.Hint = "write a condition before it, as in status = 'open'"
		case t.kind == tokSymbol && isComparison(t.text):
			d.Hint = "name the attribute to compare, as in plan = 'Pro'"
		}
		return d
	}
	d := Diagnostic{t.span, "expected a value, found " + shown, ""}
	switch {
	case t.kind == tokEOF:
		d.Msg = "the rule ends where a value is expected"
	case t.text == "null":
		d.Hint = "a missing value is asked for with is null"
	case t.text == "+" && after.kind == tokNumber:
		d.Hint = "write the number without a plus"
	case t.text == "." && after.kind == tokNumber:
		d.Hint = "write 0." + after.text
	case t.kind == tokSymbol && isComparison(t.text):
		d.Hint = "the comparisons are =, !=, <, <=, > and >="
	case t.kind == tokWord && (t.text == "next" || t.text == "last"):
		d.Hint = "write within " + t.text + ", as in within " + t.text + " 30 days"
	case t.kind == tokWord && IsReserved(t.text) && t.text != "and" && t.text != "or":
		d.Hint = fmt.Sprintf("%s is a word of the language; if it is meant as text, write %s", t.text, quote(t.text))
	}
	return d
}

func wantComparison(t token, shown, left string) Diagnostic {
	d := Diagnostic{t.span, fmt.Sprintf("expected a comparison behind %q, found %s", clip(left, 40), shown),
		"it can be =, !=, <, <=, >, >=, between, in, like, is, within, before or after"}
	switch {
	case sqlWords[strings.ToLower(left)] || left == "case" || left == "if":
		d.Msg = fmt.Sprintf("a rule is only a condition, and does not start with %q", left)
		d.Hint = "write the condition by itself, as in plan = 'Pro' and not deleted"
	case possessive[strings.ToLower(left)]:
		d.Msg = fmt.Sprintf("%q is not a word of rules", left)
		d.Hint = "a condition starts with the attribute, as in plan = 'Pro', or with exists"
	case t.text == "last" || t.text == "next":
		d.Hint = "write within " + t.text
	case t.kind == tokWord && borrowedWords[t.text] != "":
		d.Hint = "write " + borrowedWords[t.text]
	case t.kind == tokWord:
		if near, ok := nearest(t.text, operatorWords); ok {
			d.Hint = fmt.Sprintf("did you mean %q?", near)
		}
	case t.kind == tokText || t.kind == tokNumber:
		d.Hint = "write = between them"
	case t.kind == tokSymbol && strings.Contains("+-*/%", t.text):
		d.Msg, d.Hint = "rules do not calculate", "compare the attribute with a number instead"
	case t.text == ",":
		d.Hint = "several values go into a list: plan in ('a', 'b')"
	}
	return d
}

func notNeedsOperator(s Span, next token, left string) Diagnostic {
	d := Diagnostic{s.to(next.span), "behind a value, not is followed by between, in, like, ilike, contains, starts with, ends with or within", ""}
	switch {
	case next.text == "=":
		d.Hint = "write " + left + " != …"
	case next.text == "null" || next.text == "set":
		d.Hint = "write " + left + " is not " + next.text
	case next.text == "before" || next.text == "after" || isComparison(next.text):
		d.Hint = fmt.Sprintf("write not %s %s …", left, next.text)
	}
	return d
}

// wantAndOr: before and after are the tokens around t.
func wantAndOr(t token, shown string, before, after token) Diagnostic {
	d := Diagnostic{t.span, `expected "and" or "or" before ` + shown, "join conditions with and or or"}
	switch {
	case joiners[t.text] != "":
		d.Hint = fmt.Sprintf("write %s instead of %s", joiners[t.text], t.text)
	case t.text == "where":
		d.Hint = "where stands only in the parentheses of exists, count and the like; join conditions with and"
	case t.text == "," && before.kind == tokNumber && after.kind == tokNumber && before.span.End+1 == after.span.Start:
		d.Msg, d.Hint = "a comma stands only between the values of a list", fmt.Sprintf("write the number as %s.%s", before.text, after.text)
		if len(after.text) == 3 {
			d.Hint = fmt.Sprintf("a number has no separators: write %s%s", before.text, after.text)
		}
	case t.text == ",":
		d.Msg, d.Hint = "a comma stands only between the values of a list", "join conditions with and or or; a number has no separators: write 1000"
	case t.kind == tokText || t.kind == tokNumber:
		d.Hint = "several values go into a list: plan in ('a', 'b')"
	case t.kind == tokSymbol && strings.Contains("+-*/%", t.text):
		d.Msg, d.Hint = "rules do not calculate", "only now(), today() and date '…' can be moved, by a duration"
	}
	return d
}

func equalsNull(s Span, left string, op Op) Diagnostic {
	is := "is null"
	if op == NotEqual {
		is = "is set"
	}
	return Diagnostic{s, "nothing equals null", fmt.Sprintf("write %s %s", left, is)}
}

func equalsList(s Span, op Op, e Expr) Diagnostic {
	return Diagnostic{s, op.String() + " compares with one value, and this is a list", "write " + formatExpr(e)}
}

func betweenNeedsAnd(s Span, low string) Diagnostic {
	return Diagnostic{s, "between needs two values with and between them", fmt.Sprintf("write between %s and …", low)}
}

func inNeedsLeft(s Span) Diagnostic {
	return Diagnostic{s, "nothing stands before in", "write an attribute in (…), or in segment '…'"}
}

func inNeedsList(s Span, shown string) Diagnostic {
	return Diagnostic{s, "expected a list in parentheses behind in, found " + shown, "write in ('a', 'b')"}
}

func emptyList(s Span) Diagnostic {
	return Diagnostic{s, "the list is empty, so nothing is in it", "write at least one value"}
}

func listNeedsComma(s Span, shown string, ended bool, open Span) Diagnostic {
	if ended {
		return unclosedGroup(open)
	}
	return Diagnostic{s, "expected a comma or a closing parenthesis in the list, found " + shown, "values are separated by commas: ('a', 'b')"}
}

func listOfNames(s Span, text string) Diagnostic {
	return Diagnostic{s, "a list holds fixed values, not attributes", "if this is text, write " + quote(clip(text, 60))}
}

func listOfAggregates(s Span) Diagnostic {
	return Diagnostic{s, "a list holds fixed values, and this one is worked out for each customer", "compare with =, joined by or"}
}

func listOfMoments(s Span) Diagnostic {
	return Diagnostic{s, "a list holds fixed values, and this one moves with time", "compare with =, joined by or"}
}

func wantWith(s Span, word string) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("%q is followed by with", word), fmt.Sprintf("write %s with '…'", word)}
}

func wantIs(t token, shown string, not bool) Diagnostic {
	d := Diagnostic{t.span, "is asks for null, set, true or false, not for " + shown, "to compare with a value, write ="}
	switch {
	case t.text == "(":
		d.Hint = "for one of several values, write in (…)"
	case !not && borrowedWords[t.text] != "":
		d.Hint = "leave out is, and write " + borrowedWords[t.text]
	case t.text == "empty" || t.text == "blank" || t.text == "missing" || t.text == "unknown" || t.text == "none":
		d.Hint = "write is null"
	case not:
		d.Hint = "to compare with a value, write !="
	}
	if not {
		d.Hint = strings.NewReplacer("write in (…)", "write not in (…)", "is null", "is set").Replace(d.Hint)
	}
	return d
}

// wantNextOrLast: rest is the duration that stands there, if one does.
func wantNextOrLast(s Span, rest string) Diagnostic {
	d := Diagnostic{s, "within is followed by next or last", "write within next 30 days"}
	if rest != "" {
		d.Hint = fmt.Sprintf("write within next %s, or within last %s", rest, rest)
	}
	return d
}

func wantText(s Span, what, example string) Diagnostic {
	return Diagnostic{s, "expected " + what, "write " + example}
}

func wantName(s Span, shown string) Diagnostic {
	return Diagnostic{s, "expected a name behind the dot, found " + shown, ""}
}

func wantBracket(s Span, shown string) Diagnostic {
	return Diagnostic{s, "expected ] behind the key, found " + shown, ""}
}

func emptyKey(s Span) Diagnostic {
	return Diagnostic{s, "the key is empty", "write the name of a metadata key"}
}

func unclosedGroup(s Span) Diagnostic {
	return Diagnostic{s, "this parenthesis is not closed", "add ) where it should end"}
}

func strayParenthesis(s Span) Diagnostic {
	return Diagnostic{s, "this parenthesis closes nothing", "delete it, or open one before"}
}

func groupedValue(s Span) Diagnostic {
	return Diagnostic{s, "parentheses hold a condition, not one side of a comparison", "delete them"}
}

func strayDuration(s Span, text string) Diagnostic {
	return Diagnostic{s, "a duration is not a value to compare with",
		fmt.Sprintf("write within next %s, within last %s, or now() - %s", text, text, text)}
}

func wantDuration(s Span, behind string) Diagnostic {
	return Diagnostic{s, "expected a duration behind " + behind, "write a whole number and a unit, as in 30 days"}
}

func wantUnit(s Span, number string) Diagnostic {
	return Diagnostic{s, number + " has no unit of time", fmt.Sprintf("write %s days; the units are %s", number, unitList())}
}

// shortUnits are units as people abbreviate them; m could be two.
var shortUnits = map[string]Unit{
	"min": Minute, "mins": Minute, "h": Hour, "hr": Hour, "hrs": Hour, "d": Day, "w": Week, "wk": Week, "wks": Week,
	"mo": Month, "mos": Month, "mon": Month, "mth": Month, "y": Year, "yr": Year, "yrs": Year,
}

func unknownUnit(s Span, word, number string) Diagnostic {
	var units []string
	for _, u := range unitNames {
		units = append(units, u+"s")
	}
	hint := "the units are " + unitList()
	if u, ok := shortUnits[strings.ToLower(word)]; ok {
		hint = fmt.Sprintf("write %s %ss", number, u)
	} else if near, ok := nearest(word, units); ok && len(word) > 2 {
		hint = fmt.Sprintf("did you mean \"%s %s\"?", number, near)
	}
	return Diagnostic{s, fmt.Sprintf("unknown unit of time %s", quoteName(clip(word, 40))), hint}
}

func wholeDuration(s Span, number string, u Unit) Diagnostic {
	d := Diagnostic{s, "a duration is a whole number of units", ""}
	if u > Minute {
		d.Hint = fmt.Sprintf("write %s %ss as a number of %ss", number, u, u-1)
	}
	return d
}

func longDuration(s Span) Diagnostic {
	return Diagnostic{s, "a duration is at most a hundred years", ""}
}

func clockNeedsParentheses(s Span, word string) Diagnostic {
	return Diagnostic{s, word + " is followed by parentheses", "write " + word + "()"}
}

func clockTakesNothing(s Span, word string) Diagnostic {
	return Diagnostic{s, word + "() takes nothing in its parentheses", "write " + word + "()"}
}

func unknownCurrency(s Span, word, number string) Diagnostic {
	known := map[string]string{
		"dollar": "usd", "dollars": "usd", "bucks": "usd", "euro": "eur", "euros": "eur", "pound": "gbp", "pounds": "gbp", "yen": "jpy",
	}
	d := Diagnostic{s, "unknown currency " + quoteName(clip(word, 40)), fmt.Sprintf("write a currency's three letters, as in %s usd", number)}
	common := append([]string{"usd", "eur", "gbp", "jpy", "chf", "cad", "aud"}, currencies...)
	if code := known[word]; code != "" {
		d.Hint = fmt.Sprintf("write %s %s", number, code)
	} else if near, ok := nearest(word, common); ok {
		d.Hint = fmt.Sprintf("did you mean \"%s %s\"?", number, near)
	}
	return d
}

func badDate(s Span, text string) Diagnostic {
	text = clip(strings.TrimSpace(text), 40)
	d := Diagnostic{s, quoteName(text) + " is not a date", "a date is written year-month-day, as in date '2026-01-31'"}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '/' || r == '-' || r == ' ' })
	var n [3]int
	for i := range min(len(parts), 3) {
		n[i], _ = strconv.Atoi(parts[i])
	}
	if len(parts) != 3 {
		return d
	}
	var found []Date
	for _, c := range [][3]int{{n[0], n[1], n[2]}, {n[0], n[2], n[1]}, {n[2], n[1], n[0]}, {n[2], n[0], n[1]}} {
		day, err := ParseDate(Date{c[0], time.Month(c[1]), c[2]}.String())
		if err == nil && day.Year >= firstYear && day.Year <= lastYear && !slices.Contains(found, day) {
			found = append(found, day)
		}
	}
	switch dots := strings.Contains(text, "."); {
	case len(found) == 1, len(found) > 1 && (dots || n[0] >= firstYear):
		d.Hint = fmt.Sprintf("write date '%s': year, month, day", found[0])
	case len(found) > 1:
		d.Hint = fmt.Sprintf("write date '%s' or date '%s': year, month, day", found[0], found[1])
	case n[0] >= firstYear && n[0] <= lastYear && n[1] >= 1 && n[1] <= 12:
		month := Date{n[0], time.Month(n[1]), 1}
		d.Msg = quoteName(text) + " is not a day of the calendar"
		d.Hint = fmt.Sprintf("%s %d has %d days", month.Month, month.Year, month.AddMonths(1).AddDays(-1).Day)
	}
	return d
}

// bareDate is for a date in digits alone. When it could be two days, badDate
// has a hint for both.
func bareDate(s Span, text string) Diagnostic {
	d := Diagnostic{s, "a day is written as text behind the word date", fmt.Sprintf("write date '%s'", text)}
	if _, err := ParseDate(text); err != nil {
		d.Hint = badDate(s, text).Hint
	}
	return d
}

func currencyFirst(s Span, currency, number string) Diagnostic {
	return Diagnostic{s, "the currency stands behind the amount", fmt.Sprintf("write %s %s", number, currency)}
}

func yearOutOfRange(s Span, year int) Diagnostic {
	return Diagnostic{s, fmt.Sprintf("the year %d is not between %d and %d", year, firstYear, lastYear), ""}
}

func badTimestamp(s Span, text string) Diagnostic {
	d := Diagnostic{s, quoteName(clip(text, 40)) + " is not a time with an offset", "write timestamp '2026-01-31T10:00:00Z', or +02:00 in place of Z"}
	if _, ok := parseTimestamp(text + "Z"); ok {
		d.Hint = fmt.Sprintf("say in which offset: timestamp '%sZ' is UTC, '%s+02:00' is two hours ahead", text, text)
	} else if day, err := ParseDate(text); err == nil {
		d.Hint = fmt.Sprintf("for the whole day, write date '%s'", day)
	}
	return d
}

func shiftedTimestamp(s Span) Diagnostic {
	return Diagnostic{s, "a timestamp is not moved by a duration", "write the time you mean; now(), today() and date '…' can be moved"}
}

func shiftedAttribute(s Span, name, turned string) Diagnostic {
	d := Diagnostic{s, name + " cannot be moved by a duration", "move the other side instead, as in " + name + " < today() + 30 days"}
	if turned != "" {
		d.Hint = "move the other side instead: " + turned
	}
	return d
}

func customerNeedsName(s Span, in bool) Diagnostic {
	hint := "write the attribute by itself"
	if in {
		hint = "if a segment is meant, write in segment '…' by itself"
	}
	return Diagnostic{s, "customer is followed by a dot and an attribute", hint}
}

// quoteName quotes a piece of source in a message.
func quoteName(s string) string { return fmt.Sprintf("%q", s) }
