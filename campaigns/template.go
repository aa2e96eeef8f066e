package campaigns

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/render"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// A Template is a text in Liquid that may mention attributes of the customer,
// as in {{ customer.card_brand }}. In HTML every value is escaped, so what a
// customer writes as a name cannot become markup.
type Template struct {
	source   string
	html     bool
	template *liquid.Template
}

// A TemplateError says what is wrong with a template.
type TemplateError struct{ Msg, Hint string }

func (e *TemplateError) Error() string { return e.Msg }

// maxTemplate bounds a template and what it renders to, in bytes.
const maxTemplate = 64 << 10

var (
	engine   = newEngine()
	strict   = newEngine()
	raw      = regexp.MustCompile(`(?s)\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}`)
	mentions = regexp.MustCompile(`(?s)\{\{.*?\}\}|\{%.*?%\}`)
	variable = regexp.MustCompile(`(?:^|[^.\w'"])([a-z_]\w*)\.([a-zA-Z_]\w*)`)
	whole    = regexp.MustCompile(`(?:^|[^.\w])customer\s*(?:[^.\[\w\s]|$)`)
	metadata = regexp.MustCompile(`\bcustomer\.(?:stripe_)?metadata(?:\.\w+|\[[^\]]*\])`)
	counted  = regexp.MustCompile(`\([^()]*\.\.`)
	loop     = regexp.MustCompile(`^\{%-?\s*(end)?(?:for|tablerow)\b`)
)

func init() { strict.StrictVariables() }

func newEngine() *liquid.Engine {
	e := liquid.NewEngine()
	e.RegisterFilter("date", date)
	// What a customer wrote is escaped already.
	e.RegisterFilter("escape", func(s string) string { return html.EscapeString(html.UnescapeString(s)) })
	e.RegisterFilter("url_decode", func(string) (string, error) {
		return "", errors.New("it would undo the escaping of what customers wrote")
	})
	e.RegisterTag("include", func(render.Context) (string, error) {
		return "", errors.New("a text cannot include files")
	})
	return e
}

// plainDate is the filter of standard Liquid, which takes a missing value for
// the first of January of the year one.
var plainDate = func() *liquid.Template {
	t, err := liquid.NewEngine().ParseString(`{{ value | date: format }}`)
	if err != nil {
		panic(err)
	}
	return t
}()

func date(value any, format func(string) string) (any, error) {
	switch value {
	case nil, "":
		return nil, nil
	case "now", "today":
		return nil, errors.New("a text has no clock")
	}
	return plainDate.RenderString(liquid.Bindings{"value": value, "format": format("%-d %B %Y")})
}

// NewTemplate parses a template, refuses attributes the catalog does not have,
// and renders it once for a made-up customer, so that an unknown filter is found
// before anybody is written to.
func NewTemplate(source string, asHTML bool) (*Template, *TemplateError) {
	if len(source) > maxTemplate {
		return nil, &TemplateError{Msg: "the text is longer than 64 KiB"}
	}
	if err := checkMentions(raw.ReplaceAllString(source, "")); err != nil {
		return nil, err
	}
	parsed, err := engine.ParseString(source)
	if err != nil {
		return nil, explainLiquid(err)
	}
	t := &Template{source: source, html: asHTML, template: parsed}
	// A key of the metadata may be there or not; all else must be.
	checked, err := strict.ParseString(metadata.ReplaceAllString(source, "customer.email"))
	if err != nil {
		return nil, explainLiquid(err)
	}
	for _, x := range []*Template{{template: checked, html: asHTML}, t} {
		if _, err := x.Render(sample{}, time.UTC); err != nil {
			return nil, explainLiquid(err)
		}
	}
	return t, nil
}

// checkMentions reads the tags of a template without running them.
func checkMentions(source string) *TemplateError {
	depth := 0
	for _, tag := range mentions.FindAllString(source, -1) {
		plain := unquoted(tag)
		if m := loop.FindStringSubmatch(tag); m != nil && m[1] == "" {
			depth++
		} else if m != nil {
			depth--
		}
		switch {
		case depth > 1:
			return &TemplateError{Msg: "a loop stands inside a loop", Hint: "one loop at a time"}
		case counted.MatchString(plain):
			return &TemplateError{Msg: fmt.Sprintf("a text cannot count: %s", tag), Hint: "a loop goes through a list, as in {% for x in customer.metadata %}"}
		case whole.MatchString(plain):
			return &TemplateError{Msg: fmt.Sprintf("%s mentions the whole customer", tag), Hint: "mention one attribute, as in {{ customer.email }}"}
		}
		for _, v := range variable.FindAllStringSubmatch(plain, -1) {
			if v[1] == "forloop" {
				continue
			}
			if v[1] != "customer" {
				return &TemplateError{Msg: fmt.Sprintf("unknown variable %q", v[1]+"."+v[2]), Hint: "a text can mention attributes, as in {{ customer.email }}"}
			}
			if a, ok := customers.Attributes.Attribute(v[2]); !ok || strings.TrimPrefix(v[2], "stripe_") != strings.TrimPrefix(a.Name, "stripe_") {
				return &TemplateError{Msg: fmt.Sprintf("unknown attribute %q", v[2]), Hint: nearAttribute(v[2])}
			}
		}
	}
	rest := mentions.ReplaceAllString(source, "")
	for _, brace := range []string{"{{", "{%", "}}", "%}"} {
		if at := strings.Index(rest, brace); at >= 0 {
			return &TemplateError{Msg: fmt.Sprintf("%q has no partner", brace), Hint: "an attribute stands between {{ and }}, a condition between {% and %}"}
		}
	}
	return nil
}

var (
	undefinedVariable = regexp.MustCompile(`undefined variable in (.*)`)
	undefinedFilter   = regexp.MustCompile(`undefined filter "(.*?)"`)
	filters           = strings.Fields(`abs append capitalize ceil compact concat date default divided_by downcase escape escape_once first floor
		join last lstrip map minus modulo newline_to_br plus prepend remove remove_first replace replace_first reverse round rstrip size
		slice sort split strip strip_html strip_newlines times truncate truncatewords uniq upcase url_encode`)
)

// explainLiquid turns an error of the template language into one for the author.
func explainLiquid(err error) *TemplateError {
	msg := strings.TrimPrefix(err.Error(), "Liquid error: ")
	if m := undefinedVariable.FindStringSubmatch(msg); m != nil {
		return &TemplateError{Msg: "unknown variable in " + m[1], Hint: "a text can mention attributes, as in {{ customer.email }}"}
	}
	if m := undefinedFilter.FindStringSubmatch(msg); m != nil {
		hint := "known filters: " + strings.Join(filters, ", ")
		if near := workspace.Nearest(m[1], filters); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return &TemplateError{Msg: fmt.Sprintf("unknown filter %q", m[1]), Hint: hint}
	}
	return &TemplateError{Msg: "the text cannot be filled in: " + msg, Hint: "check what stands between {{ and }}, and between {% and %}"}
}

// unquoted blanks what stands in quotes inside a tag.
func unquoted(tag string) string {
	return quoted.ReplaceAllString(tag, `""`)
}

var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)

func nearAttribute(name string) string {
	var names []string
	for _, a := range customers.Attributes.Attributes() {
		names = append(names, a.Name)
	}
	if near := workspace.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "docs/rules.md lists them"
}

// Render fills in a customer. Dates and instants are by the clock of zone; money
// reads as in "49.00 USD"; a missing value is empty, or what the default filter
// says.
func (t *Template) Render(v rule.Values, zone *time.Location) (text string, err error) {
	defer func() {
		if r := recover(); r != nil { // some filters panic on odd arguments
			cause, _, _ := strings.Cut(fmt.Sprint(r), "\n")
			err = errors.New(cause)
		}
	}()
	customer := map[string]any{}
	for _, a := range customers.Attributes.Attributes() {
		x := liquidValue(v.Value(a.Name), zone, t.html)
		customer[a.Name] = x
		customer["stripe_"+a.Name] = x
	}
	customer["stripe_id"] = liquidValue(v.Value("stripe_id"), zone, t.html)
	var out bounded
	if err := t.template.FRender(&out, liquid.Bindings{"customer": customer}); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

// bounded collects a text until it gets too long.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplate {
		return 0, errors.New("it becomes longer than 64 KiB")
	}
	return b.Builder.Write(p)
}

func (b *bounded) WriteString(s string) (int, error) { return b.Write([]byte(s)) }

func liquidValue(v any, zone *time.Location, asHTML bool) any {
	text := func(s string) string {
		if asHTML {
			return html.EscapeString(s)
		}
		return s
	}
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return text(v)
	case rule.Decimal:
		if n, ok := v.Int64(); ok { // a number, so that a text can ask whether it is more than one
			return n
		}
		return v.String()
	case rule.Money:
		return strings.ToUpper(v.String())
	case rule.Date:
		return v.In(zone).In(zone) // the instant the day begins, and shown by the clock of the zone
	case time.Time:
		return v.In(zone)
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = text(s)
		}
		return out
	case map[string]string:
		out := map[string]any{}
		for k, s := range v {
			out[text(k)] = text(s)
		}
		return out
	}
	return v
}

// sample is a made-up customer who has every attribute.
type sample struct{}

func (sample) Value(name string) any {
	a, _ := customers.Attributes.Attribute(name)
	switch a.Type {
	case rule.Text:
		if len(a.Values) > 0 {
			return a.Values[0]
		}
		return "sample"
	case rule.Number:
		return rule.NewDecimal(1, 0)
	case rule.MoneyType:
		return rule.FromMinor(4900, "usd")
	case rule.Boolean:
		return false
	case rule.DateType:
		return rule.Date{Year: 2026, Month: time.March, Day: 31}
	case rule.InstantType:
		return time.Date(2026, time.March, 31, 12, 0, 0, 0, time.UTC)
	case rule.ListType:
		return []string{"sample"}
	case rule.MapType:
		return map[string]string{"sample": "sample"}
	}
	return nil
}
