package campaigns

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/render"
	liquidvalues "github.com/osteele/liquid/values"
)

// filters are those a text may use; the others of the library are for debugging.
var filters = strings.Fields(`abs amount append capitalize ceil compact concat currency date default divided_by downcase escape escape_once first floor
	join json last lstrip map minus modulo newline_to_br plus prepend remove remove_first replace replace_first reverse round rstrip size
	slice sort sort_natural split strip strip_html strip_newlines times truncate truncatewords uniq upcase url_decode url_encode`)

// engine is Liquid with our own filters. What begins with an underscore is put
// into a template when it is prepared; nobody can write it.
var engine = newEngine()

func newEngine() *liquid.Engine {
	e := liquid.NewEngine()
	e.RegisterFilter("_text", safeText)
	e.RegisterFilter("_attr", safeAttribute)
	e.RegisterFilter("_url", safeAddress)
	e.RegisterFilter("_date", date)
	e.RegisterFilter("amount", func(value any) any {
		if a, ok := value.(amount); ok {
			digits, _, _ := strings.Cut(a.Money.String(), " ")
			return digits
		}
		return value
	})
	e.RegisterFilter("currency", func(value any) any {
		if a, ok := value.(amount); ok {
			return strings.ToUpper(a.Currency)
		}
		return value
	})
	e.RegisterFilter("escape", func(value any) any { return safeText(value) })
	e.RegisterFilter("escape_once", func(s string) any { return markup(html.EscapeString(html.UnescapeString(s))) })
	e.RegisterFilter("newline_to_br", func(value any) any {
		return markup(strings.ReplaceAll(plainText(safeText(value)), "\n", "<br />"))
	})
	e.RegisterBlock("_capture", capture)
	return e
}

// capture keeps what stands inside as the markup it is: the values in it have
// been made safe where they were written.
func capture(ctx render.Context) (string, error) {
	var b bytes.Buffer
	if err := ctx.RenderChildren(&b); err != nil {
		return "", err
	}
	ctx.Set(strings.TrimSpace(ctx.TagArgs()), markup(b.String()))
	return "", nil
}

// spelled finds a format that gives a month or a weekday by its name.
var spelled = regexp.MustCompile(`%[-0^#_]*[BbhAa]`)

// date writes a date in a format of strftime with the locale's names, or without
// a format as the locale writes dates out. A text is read as a date.
func date(value any, in any, format func(string) string) (any, error) {
	m, _ := in.(manner)
	var at time.Time
	switch v := value.(type) {
	case nil:
		return nil, nil
	case moment:
		at = v.Time
	default:
		s := strings.TrimSpace(plainText(v))
		if s == "" {
			return nil, nil
		}
		if s == "now" || s == "today" {
			return nil, errors.New("a text has no clock")
		}
		var err error
		if at, err = liquidvalues.ParseDate(s); err != nil {
			return nil, errors.New("that is no date")
		}
	}
	f := format("")
	if f == "" {
		return m.date(at), nil
	}
	return strftime.RenderString(liquid.Bindings{"value": at, "format": m.named(f, at)})
}

// strftime is the filter date of standard Liquid.
var strftime = func() *liquid.Template {
	t, err := liquid.NewEngine().ParseString(`{{ value | date: format }}`)
	if err != nil {
		panic(err)
	}
	return t
}()

// plainText is a value as Liquid writes it.
func plainText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case markup:
		return string(v)
	case []byte:
		return string(v)
	case []any:
		var all strings.Builder
		for _, x := range v {
			all.WriteString(plainText(x))
		}
		return all.String()
	}
	return fmt.Sprint(value)
}
