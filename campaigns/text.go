package campaigns

import (
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/dunlin/dunlin/workspace"
)

// A Text is a template in each language somebody wrote it in. The zero value is
// no text.
type Text struct {
	languages []string // lower case, as in "en" or "pt-br"; "" alone: it has one wording
	templates []*Template
}

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
	seen := map[string]bool{}
	for _, name := range x.Keys() {
		tag := strings.ToLower(name)
		_, err := language.Parse(tag)
		switch {
		case err != nil || strings.Contains(tag, "_"):
			x.Add(x.Key(name).Fault("write it as in en, de or pt-br", "%q is not a language", name))
		case seen[tag]:
			x.Add(x.Key(name).Fault("keep one of them", "%q is there twice", name))
		}
		seen[tag] = true
		one := template(x, name, true, html)
		if one == nil {
			continue
		}
		if one.spells && err == nil && localeOf(tag).calendar == nil {
			x.Add(x.Text(name, true).Fault("write dates with digits, as in date: \"%d.%m.%Y\"", "the names of months and weekdays in %q are not known", name))
		}
		t.languages, t.templates = append(t.languages, tag), append(t.templates, one)
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
	t, faults := NewTemplate(f.Value, html)
	for _, x := range faults {
		fault := f.Fault(x.Hint, "%s", x.Msg)
		if x.End > x.Start {
			fault = f.FaultAt(x.Start, x.End, x.Hint, "%s", x.Msg)
		}
		m.Add(fault)
	}
	return t
}

// Written reports whether there is a text.
func (t Text) Written() bool { return len(t.templates) > 0 }

// Languages are those it is written in, in the order of the file; none when it
// has one wording for all.
func (t Text) Languages() []string {
	if slices.Equal(t.languages, []string{""}) {
		return nil
	}
	return t.languages
}

// In is the wording for the first of some languages that there is one for, and
// its language: empty of the only wording. For "de-AT" that is de-at, else de,
// else de of another region; when none fits, the wording that was written first.
func (t Text) In(wanted ...string) (*Template, string) {
	for _, w := range wanted {
		tag, err := language.Parse(strings.ToLower(w))
		if err != nil {
			continue
		}
		for p := tag; p != language.Und; p = p.Parent() {
			if i := t.index(func(l language.Tag) bool { return l == p }); i >= 0 {
				return t.templates[i], t.languages[i]
			}
		}
		base, script := written(tag)
		if i := t.index(func(l language.Tag) bool { b, s := written(l); return b == base && s == script }); i >= 0 {
			return t.templates[i], t.languages[i]
		}
	}
	return t.templates[0], t.languages[0]
}

func (t Text) index(is func(language.Tag) bool) int {
	return slices.IndexFunc(t.languages, func(l string) bool {
		tag, err := language.Parse(l)
		return err == nil && is(tag)
	})
}

// written is a language and its script: Chinese in one is not for readers of the
// other. Norwegian has two names.
func written(t language.Tag) (language.Base, language.Script) {
	base, _ := t.Base()
	script, _ := t.Script()
	if base.String() == "no" {
		base = language.MustParseBase("nb")
	}
	return base, script
}
