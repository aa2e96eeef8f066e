package campaigns

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"

	"github.com/osteele/liquid"

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
	mentions = regexp.MustCompile(`\{[{%][^}]*[}%]\}`)
	variable = regexp.MustCompile(`(?:^|[^.\w'"])([a-z_]\w*)\.([a-zA-Z_]\w*)`)
)

func newEngine() *liquid.Engine {
	e := liquid.NewEngine()
	e.StrictVariables()
	return e
}

// NewTemplate parses a template, refuses attributes the catalog does not have,
// and renders it once for a made-up customer, so that an unknown filter is found
// before anybody is written to.
func NewTemplate(source string, asHTML bool) (*Template, *TemplateError) {
	if len(source) > maxTemplate {
		return nil, &TemplateError{Msg: "the text is longer than 64 KiB"}
	}
	for _, tag := range mentions.FindAllString(source, -1) {
		for _, v := range variable.FindAllStringSubmatch(unquoted(tag), -1) {
			if v[1] == "forloop" {
				continue
			}
			if v[1] != "customer" {
				return nil, &TemplateError{Msg: fmt.Sprintf("unknown variable %q", v[1]+"."+v[2]), Hint: "a text can mention attributes, as in {{ customer.email }}"}
			}
			if _, ok := customers.Attributes.Attribute(v[2]); !ok {
				return nil, &TemplateError{Msg: fmt.Sprintf("unknown attribute %q", v[2]), Hint: nearAttribute(v[2])}
			}
		}
	}
	parsed, err := engine.ParseString(source)
	if err != nil {
		return nil, &TemplateError{Msg: "not a valid template: " + err.Error(), Hint: "check the braces and quotes around {{ … }} and {% … %}"}
	}
	t := &Template{source: source, html: asHTML, template: parsed}
	if _, err := t.Render(sample{}, time.UTC); err != nil {
		return nil, &TemplateError{Msg: "the text cannot be rendered: " + err.Error(), Hint: "check the names of filters; those of standard Liquid are known"}
	}
	return t, nil
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
	return "docs/attributes.md lists them"
}

// Render fills in a customer. Dates and instants are by the clock of zone; money
// reads as in "49.00 USD"; a missing value is empty, or what the default filter
// says.
func (t *Template) Render(v rule.Values, zone *time.Location) (string, error) {
	customer := map[string]any{}
	for _, a := range customers.Attributes.Attributes() {
		x := liquidValue(v.Value(a.Name), zone, t.html)
		customer[a.Name] = x
		customer["stripe_"+a.Name] = x
	}
	customer["stripe_id"] = liquidValue(v.Value("stripe_id"), zone, t.html)
	out, err := t.template.RenderString(liquid.Bindings{"customer": customer})
	if err != nil {
		return "", err
	}
	if len(out) > maxTemplate {
		return "", fmt.Errorf("it renders to more than 64 KiB")
	}
	return strings.TrimSpace(out), nil
}

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
			out[k] = text(s)
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
		return map[string]string{}
	}
	return nil
}
