package campaigns

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/workspace"
)

// worded is a text in some languages, each of which says its own name.
func worded(t testing.TB, languages ...string) Text {
	t.Helper()
	var x Text
	for _, l := range languages {
		x.languages, x.templates = append(x.languages, l), append(x.templates, parsed(t, l, false))
	}
	return x
}

func TestText_In(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ written, wanted, want string }{
		{"en de", "de", "de"},
		{"en de", "de-AT", "de"},
		{"en de", "DE_at", "de"},
		{"en de de-at", "de-AT", "de-at"},
		{"en de de-at", "de-CH", "de"},
		{"en pt-br", "pt", "pt-br"},
		{"en pt-br", "pt-PT", "pt-br"},
		{"en en-gb", "en-AU", "en"},
		{"en zh-hant", "zh-TW", "zh-hant"},
		{"en zh-hant", "zh-CN", "en"},
		{"en zh", "zh-TW", "en"},
		{"en nb", "no", "nb"},
		{"en no", "nb", "no"},
		{"en he", "iw", "he"},
		{"en da", "nb", "en"},
		{"en ru", "uk", "en"},
		{"en de", "fr", "en"},
		{"en de", "fr de", "de"},
		{"en de", "fr it", "en"},
		{"de en", "", "de"},
		{"de en", "klingon", "de"},
		{"de en", "x' or 1=1", "de"},
		{"de", "en", "de"},
	} {
		text := worded(t, strings.Fields(tt.written)...)
		wanted := strings.Fields(tt.wanted)
		if strings.Contains(tt.wanted, "'") {
			wanted = []string{tt.wanted}
		}
		if _, got := text.In(wanted...); got != tt.want {
			t.Errorf("%s for %q\n got %s\nwant %s", tt.written, tt.wanted, got, tt.want)
		}
	}
}

// TestText_faults holds that what is wrong in any language or variant is shown
// in its own line.
func TestText_faults(t *testing.T) {
	t.Parallel()
	_, faults := parse(t, `kind: campaign
name: c
segment: delinquent
existing: enroll
episode: entry
steps:
  - name: a
    at: 1 day
    message:
      channel: inapp
      variants:
        - name: short
          body:
            en: "Hi {{ customer.frist_name }}"
            de: |
              Hallo {{ customer.first_name }},
              bis {{ customer.card_expires_at | dat }}.
            EN: again
        - name: long
          body:
            german: Hallo
            xx: "{{ customer.card_expires_at | date: '%B' }}"
            fr: >
              Bonjour,
              vous {% if customer.mrr > 3 %}payez{% endif %}
  - name: b
    at: 2 days
    message:
      channel: inapp
      body: {}
`, known())
	want := strings.TrimLeft(`
c.yaml:14:24: unknown attribute "frist_name"
              en: "Hi {{ customer.frist_name }}"
                         ^^^^^^^^^^^^^^^^^^^
  did you mean "first_name"?
c.yaml:17:49: unknown filter "dat"
                bis {{ customer.card_expires_at | dat }}.
                                                  ^^^
  did you mean "date"?
c.yaml:18:13: "EN" is there twice
              EN: again
              ^^
  keep one of them
c.yaml:21:13: "german" is not a language
              german: Hallo
              ^^^^^^
  write it as in en, de or pt-br
c.yaml:22:13: "xx" is not a language
              xx: "{{ customer.card_expires_at | date: '%B' }}"
              ^^
  write it as in en, de or pt-br
c.yaml:25:26: a text cannot compare customer.mrr: it is money
                vous {% if customer.mrr > 3 %}payez{% endif %}
                           ^^^^^^^^^^^^^^^^
  decide in the step's "if", as in "if: mrr > 100 usd"; {% if customer.mrr %} asks whether there is one
c.yaml:30:13: "body" says nothing
        body: {}
              ^
  write a line for each language, as in en: Hi
`, "\n")
	if diff := cmp.Diff(want, faults.Explain()); diff != "" {
		t.Errorf("faults (-want +got)\n%s", diff)
	}
}

func TestText_spells(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{{ customer.card_expires_at | date: "%-d %B" }}`:     `the names of months and weekdays in "gd" are not known`,
		`{{ customer.card_expires_at | date: "%d.%m.%Y" }}`:   "",
		`{{ customer.card_expires_at }} {{ customer.mrr }} B`: "",
	} {
		_, faults := parse(t, "kind: campaign\nname: c\nsegment: delinquent\nexisting: enroll\nepisode: entry\nsteps:\n  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      body:\n        gd: '"+body+"'\n", known())
		if got := faults.Explain(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
}

// TestSettings_language holds that the workspace's language is that of texts
// which do not say theirs.
func TestSettings_language(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{"": "en", "language: de\n": "de", "language: pt-BR\n": "pt-br"} {
		s, faults := workspace.ParseSettings(document(t, "kind: workspace\nzone: UTC\ncurrency: usd\n"+source))
		if len(faults) > 0 || s.Language != want {
			t.Errorf("%s\n got %q (%s)\nwant %q", source, s.Language, faults.Explain(), want)
		}
	}
	if _, faults := workspace.ParseSettings(document(t, "kind: workspace\nzone: UTC\ncurrency: usd\nlanguage: German!\n")); !strings.Contains(faults.Explain(), "is not a language") {
		t.Errorf("no language\n got %s\nwant a fault", faults.Explain())
	}
}
