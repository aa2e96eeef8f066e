package segments

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin/dunlin/segments/rule"
)

// referenceText is the page with holes; what fills them is worked out from the
// catalog and the language, so that it cannot be wrong about them.
//
//go:embed reference.md.tmpl
var referenceText string

// Reference returns docs/rules.md: the rule language, and everything of a
// catalog that a rule can name, for those who write rules. Which operator goes
// with which type is found out by checking a rule with it, and what is said
// about mistakes by making them.
func Reference(catalog rule.Catalog) string {
	w := referenceWriter{catalog}
	page := template.Must(template.New("reference").Funcs(template.FuncMap{
		"operators":  w.operators,
		"beside":     w.beside,
		"functions":  w.functions,
		"attributes": w.attributes,
		"fields":     func(c rule.Collection) string { return entries(c.Fields) },
		"sentence":   sentence,
		"reserved":   func() string { return codes(rule.Reserved()) },
		"wrong":      w.wrong,
		"listNamed":  w.listNamed,
	}).Parse(referenceText))
	var b strings.Builder
	err := page.Execute(&b, map[string]any{
		"Collections": catalog.Collections(),
		"Kilobytes":   rule.MaxLength >> 10, "Depth": rule.MaxDepth, "Predicates": rule.MaxPredicates,
		"ListItems": rule.MaxListItems, "Steps": rule.MaxSteps, "Sets": rule.MaxSets,
	})
	if err != nil { // a hole that nothing fills: the test of the page fails first
		panic("segments: the reference page: " + err.Error())
	}
	return b.String()
}

type referenceWriter struct{ catalog rule.Catalog }

// A sample is a value of some type as a rule writes it.
type sample struct {
	typ   rule.Type
	name  string // of the attribute or field, with a key when it is asked by key
	in    string // the rule around a predicate, with %s in its place
	value string // something to compare it with
}

// sampleValues are what a value of each type can be compared with.
var sampleValues = map[rule.Type]string{
	rule.Text: `'x'`, rule.Number: `1`, rule.MoneyType: `20 usd`, rule.Boolean: `true`, rule.DateType: `date '2026-01-31'`,
	rule.InstantType: `timestamp '2026-01-31T10:00:00Z'`, rule.ListType: `'x'`, rule.MapType: `'x'`,
}

// samples has one of each type that the catalog has, in the order of types.
func (w referenceWriter) samples() (list []sample) {
	for t := rule.Text; t <= rule.MapType; t++ {
		if s, ok := sampleOf(t, w.catalog.Attributes(), "%s"); ok {
			list = append(list, s)
			continue
		}
		for _, c := range w.catalog.Collections() {
			if s, ok := sampleOf(t, c.Fields, "exists ("+c.Name+" where %s)"); ok {
				list = append(list, s)
				break
			}
		}
	}
	return list
}

func sampleOf(t rule.Type, from []rule.Attribute, in string) (sample, bool) {
	i := slices.IndexFunc(from, func(a rule.Attribute) bool { return a.Type == t && a.Values == nil })
	if i < 0 {
		return sample{}, false
	}
	s := sample{t, from[i].Name, in, sampleValues[t]}
	if t == rule.MapType {
		s.name += "['key']"
	}
	return s, true
}

// checks says whether the language takes a rule.
func (w referenceWriter) checks(source string) bool {
	_, err := rule.New(source, w.catalog, "usd")
	return err == nil
}

// operatorRows are the operators as the page names them and as a rule uses them,
// behind a value (%[1]s) and with another one (%[2]s).
var operatorRows = [][2]string{
	{"`=` `!=` `<>`", "%[1]s = %[2]s and %[1]s != %[2]s and %[1]s <> %[2]s"},
	{"`<` `<=` `>` `>=`", "%[1]s < %[2]s and %[1]s <= %[2]s and %[1]s > %[2]s and %[1]s >= %[2]s"},
	{"`between … and …`", "%[1]s between %[2]s and %[2]s and %[1]s not between %[2]s and %[2]s"},
	{"`in (…)`", "%[1]s in (%[2]s) and %[1]s not in (%[2]s)"},
	{"`like` `ilike`", "%[1]s like 'x%%' and %[1]s not like 'x%%' and %[1]s ilike 'x%%' and %[1]s not ilike 'x%%'"},
	{"`contains`", "%[1]s contains 'x' and %[1]s not contains 'x'"},
	{"`starts with` `ends with`", "%[1]s starts with 'x' and %[1]s ends with 'x' and %[1]s not starts with 'x' and %[1]s not ends with 'x'"},
	{"`within next …` `within last …`", "%[1]s within next 30 days and %[1]s not within last 30 days"},
	{"`before` `after`", "%[1]s before %[2]s and %[1]s after %[2]s"},
	{"`is true` `is false`", "%[1]s is true and %[1]s is false and %[1]s is not true and %[1]s is not false"},
	{"by itself, or behind `not`", "%[1]s and not %[1]s"},
	{"`is null` `is set`", "%[1]s is null and %[1]s is set and %[1]s is not null and %[1]s is not set"},
}

// operators is the table of operators and types.
func (w referenceWriter) operators() string {
	t := table{head: []string{"operator"}}
	samples := w.samples()
	for _, s := range samples {
		t.head = append(t.head, s.typ.String())
	}
	for _, op := range operatorRows {
		row := []string{op[0]}
		for _, s := range samples {
			row = append(row, mark(w.checks(fmt.Sprintf(s.in, fill(op[1], s.name, s.value)))))
		}
		t.rows = append(t.rows, row)
	}
	return t.String()
}

// fill puts values into a pattern that need not use both.
func fill(pattern, name, value string) string {
	return strings.NewReplacer("%[1]s", name, "%[2]s", value, "%%", "%").Replace(pattern)
}

// besideRows are what a value can be compared with.
var besideRows = []string{
	"'Pro'", "3", "20 usd", "true", "date '2026-01-31'", "today() + 30 days", "timestamp '2026-01-31T10:00:00Z'", "now() - 72 hours",
}

// beside is the table of types and of what may stand on the other side.
func (w referenceWriter) beside() string {
	t := table{head: []string{"compared with"}}
	var samples []sample
	for _, s := range w.samples() {
		if s.typ != rule.ListType {
			samples, t.head = append(samples, s), append(t.head, s.typ.String())
		}
	}
	for _, v := range besideRows {
		row := []string{"`" + v + "`"}
		for _, s := range samples {
			row = append(row, mark(w.checks(fmt.Sprintf(s.in, s.name+" = "+v))))
		}
		t.rows = append(t.rows, row)
	}
	return t.String()
}

// functions is the table of functions and the types of fields they work on.
func (w referenceWriter) functions() string {
	t := table{head: []string{"function"}}
	type field struct{ collection, name string }
	var over []field
	for typ := rule.Text; typ <= rule.MapType; typ++ {
	collections:
		for _, c := range w.catalog.Collections() {
			for _, f := range c.Fields {
				if f.Type == typ {
					over, t.head = append(over, field{c.Name, f.Name}), append(t.head, typ.String())
					break collections
				}
			}
		}
	}
	for _, of := range []string{"sum", "min", "max", "avg", "latest", "earliest"} {
		row := []string{"`" + of + "`"}
		for _, f := range over {
			row = append(row, mark(w.checks(fmt.Sprintf("%s(%s.%s) is set", of, f.collection, f.name))))
		}
		t.rows = append(t.rows, row)
	}
	return t.String()
}

func mark(yes bool) string {
	if yes {
		return "yes"
	}
	return "–"
}

// attributes is the table of a customer's attributes.
func (w referenceWriter) attributes() string { return entries(w.catalog.Attributes()) }

func entries(list []rule.Attribute) string {
	t := table{head: []string{"name", "type", "meaning", "from Stripe"}}
	for _, a := range list {
		typ, help := a.Type.String(), a.Help
		if a.Unit != "" && a.Type != rule.MoneyType { // what an amount is, the page says once
			typ += " (" + a.Unit + ")"
		}
		if len(a.Values) > 0 {
			help += "; one of " + codes(a.Values)
		}
		t.rows = append(t.rows, []string{"`" + a.Name + "`", typ, help, "`" + strings.ReplaceAll(a.From, ", ", "`, `") + "`"})
	}
	return t.String()
}

// wrong makes a mistake and returns what is said about it.
func (w referenceWriter) wrong(source string) string {
	_, err := rule.New(source, w.catalog, "usd")
	var e *rule.Error
	if errors.As(err, &e) {
		return strings.TrimRight(e.Explain(), "\n")
	}
	return "this rule is right: " + source
}

// listNamed returns a list attribute, or nothing when there is none.
func (w referenceWriter) listNamed() string {
	s, _ := sampleOf(rule.ListType, w.catalog.Attributes(), "%s")
	return s.name
}

// sentence makes one of a line of help.
func sentence(help string) string {
	first, size := utf8.DecodeRuneInString(help)
	return string(unicode.ToUpper(first)) + help[size:] + "."
}

func codes(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

// A table is one of Markdown's.
type table struct {
	head []string
	rows [][]string
}

// String draws it, without a line break at its end.
func (t table) String() string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + strings.ReplaceAll(c, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	line(t.head)
	b.WriteString("|" + strings.Repeat("---|", len(t.head)) + "\n")
	for _, r := range t.rows {
		line(r)
	}
	return strings.TrimRight(b.String(), "\n")
}
