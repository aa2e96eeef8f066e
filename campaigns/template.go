package campaigns

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/osteele/liquid"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// A Template is a text in Liquid that may mention attributes of the customer,
// as in {{ customer.card_brand }}. In HTML every value is escaped where it is
// written, so what a customer writes as a name can become neither markup nor an
// address that runs; and nothing a customer writes is read as Liquid.
type Template struct {
	source     string
	spells     bool // it gives months or weekdays by their names
	attributes []string
	template   *liquid.Template
}

// maxTemplate bounds a template and what it renders to, in bytes.
const maxTemplate = 64 << 10

// NewTemplate parses a template and refuses whatever would fail, or mean
// nothing, for some customer: unknown variables, attributes and filters,
// comparisons Liquid has no answer to, values where HTML has no safe place for
// them. It fills the text in for a made-up customer and for one of whom nothing
// is known.
func NewTemplate(source string, asHTML bool) (*Template, []*TemplateError) {
	if len(source) > maxTemplate {
		return nil, []*TemplateError{{Msg: "the text is longer than 64 KiB"}}
	}
	c := check(source, asHTML)
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	whole := alone{c.prepared.String(), 0, 0}
	t := &Template{source: source, spells: c.spells, attributes: slices.Sorted(maps.Keys(c.attributes))}
	for _, x := range append(c.alone, whole) {
		var err error
		if t.template, err = parseLiquid(x.source); err != nil {
			fault := explainLiquid(source, err)
			if x != whole {
				fault.Start, fault.End = x.at, x.end
			}
			return nil, []*TemplateError{fault}
		}
		for _, v := range []rule.Values{sample{}, nobody{}} {
			if _, err := t.Render(v, time.UTC, "en"); err != nil {
				fault := explainLiquid(source, err)
				fault.Start, fault.End = x.at, x.end
				return nil, []*TemplateError{fault}
			}
		}
	}
	return t, nil
}

// parseLiquid hands a prepared template to Liquid, which panics over some numbers.
func parseLiquid(prepared string) (t *liquid.Template, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New(oneLine(r))
		}
	}()
	t, failed := engine.ParseString(prepared)
	if failed != nil { // its nil is not error's
		return nil, failed
	}
	return t, nil
}

func oneLine(panicked any) string {
	cause, _, _ := strings.Cut(fmt.Sprint(panicked), "\n")
	return cause
}

// Render fills in a customer. Dates and money are written as in the locale, a
// BCP 47 tag such as "de-AT"; the empty one writes 2026-03-31 and 49.00 USD.
// Instants are by the clock of zone. A missing value is empty, or what the
// filter default says.
func (t *Template) Render(v rule.Values, zone *time.Location, locale string) (text string, err error) {
	defer func() {
		if r := recover(); r != nil { // some filters panic on odd arguments
			err = errors.New(oneLine(r))
		}
	}()
	m := manner{localeOf(locale), zone}
	customer := map[string]any{}
	for _, name := range t.attributes {
		a, _ := customers.Attributes.Attribute(name)
		customer[name] = m.value(v.Value(a.Name))
	}
	var out bounded
	if err := t.template.FRender(&out, liquid.Bindings{"customer": customer, "_in": m}); err != nil {
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

var (
	liquidPlace   = regexp.MustCompile(`(?s) in \{[{%].*$`)
	liquidApplied = regexp.MustCompile(`error applying filter "_?(\w+)" \("(.*)"\)`)
)

// explainLiquid turns an error of the template language into one for the author.
func explainLiquid(source string, err error) *TemplateError {
	msg := strings.TrimPrefix(liquidPlace.ReplaceAllString(err.Error(), ""), "Liquid error: ")
	if _, after, ok := strings.Cut(msg, "): "); ok && strings.HasPrefix(msg, "Liquid error (line ") {
		msg = after
	}
	if m := liquidApplied.FindStringSubmatch(msg); m != nil {
		msg = fmt.Sprintf("filter %q: %s", m[1], m[2])
	}
	fault := &TemplateError{Msg: "the text cannot be filled in: " + strings.ReplaceAll(msg, "_capture", "capture"), Hint: "check what stands between {{ and }}, and between {% and %}"}
	var placed interface{ LineNumber() int }
	if errors.As(err, &placed) {
		lines := strings.SplitAfter(source, "\n")
		for i := range min(placed.LineNumber(), len(lines)-1) {
			fault.Start += len(lines[i])
		}
		fault.End = fault.Start + len(strings.TrimRight(lines[min(placed.LineNumber(), len(lines)-1)], "\r\n"))
	}
	return fault
}
