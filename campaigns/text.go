package campaigns

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dunlin/dunlin/workspace"
)

// A Text is a template in each language somebody wrote it in. The zero value is
// no text.
type Text struct {
	languages []string // lower case, as in "en" or "pt-br"; "" alone: it has one wording
	templates []*Template
}

var languageTag = regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8})?$`)

// text reads one template, or one for each language:
//
//	body: Hi {{ customer.first_name }}
//	body: {en: "Hi …", de: "Hallo …"}
func text(m *workspace.Mapping, key string, required, html bool) (t Text) {
	if !m.Has(key) || m.Plain(key) {
		if x := template(m, key, required, html); x != nil {
			return Text{[]string{""}, []*Template{x}}
		}
		return t
	}
	x := m.Map(key)
	if x == nil {
		return t
	}
	for _, name := range x.Keys() {
		language := strings.ToLower(name)
		if !languageTag.MatchString(language) {
			x.Add(x.Text(name, false).Fault("write it as in en, de or pt-br", "%q is not a language", name))
		}
		if one := template(x, name, true, html); one != nil {
			t.languages, t.templates = append(t.languages, language), append(t.templates, one)
		}
	}
	if len(t.templates) == 0 {
		x.Add(x.Here().Fault("write a line for each language, as in en: Hi", "%q says nothing", key))
	}
	return t
}

func template(m *workspace.Mapping, key string, required, html bool) *Template {
	f := m.Text(key, required)
	if !f.Set {
		return nil
	}
	t, err := NewTemplate(f.Value, html)
	if err != nil {
		m.Add(f.Fault(err.Hint, "%s", err.Msg))
	}
	return t
}

// Written reports whether there is a text.
func (t Text) Written() bool { return len(t.templates) > 0 }

// In is the wording for a language, as in "de-AT": that one, else its language
// without the region, else the first that was written.
func (t Text) In(language string) *Template {
	language = strings.ToLower(strings.ReplaceAll(language, "_", "-"))
	base, _, _ := strings.Cut(language, "-")
	for _, l := range []string{language, base} {
		if i := slices.Index(t.languages, l); i >= 0 {
			return t.templates[i]
		}
	}
	return t.templates[0]
}
