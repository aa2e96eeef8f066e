package campaigns

import (
	"slices"
	"strings"

	"github.com/go-playground/locales"
	"github.com/go-playground/locales/ar"
	"github.com/go-playground/locales/ar_IQ"
	"github.com/go-playground/locales/ar_JO"
	"github.com/go-playground/locales/ar_LB"
	"github.com/go-playground/locales/ar_PS"
	"github.com/go-playground/locales/ar_SY"
	"github.com/go-playground/locales/bg"
	"github.com/go-playground/locales/ca"
	"github.com/go-playground/locales/cs"
	"github.com/go-playground/locales/da"
	"github.com/go-playground/locales/de"
	"github.com/go-playground/locales/de_AT"
	"github.com/go-playground/locales/de_IT"
	"github.com/go-playground/locales/el"
	"github.com/go-playground/locales/en"
	"github.com/go-playground/locales/en_001"
	"github.com/go-playground/locales/en_CA"
	"github.com/go-playground/locales/es"
	"github.com/go-playground/locales/et"
	"github.com/go-playground/locales/fi"
	"github.com/go-playground/locales/fr"
	"github.com/go-playground/locales/he"
	"github.com/go-playground/locales/hi"
	"github.com/go-playground/locales/hr"
	"github.com/go-playground/locales/hu"
	"github.com/go-playground/locales/id"
	"github.com/go-playground/locales/it"
	"github.com/go-playground/locales/ja"
	"github.com/go-playground/locales/ko"
	"github.com/go-playground/locales/lt"
	"github.com/go-playground/locales/lv"
	"github.com/go-playground/locales/ms"
	"github.com/go-playground/locales/nb"
	"github.com/go-playground/locales/nl"
	"github.com/go-playground/locales/pl"
	"github.com/go-playground/locales/pt"
	"github.com/go-playground/locales/pt_PT"
	"github.com/go-playground/locales/ro"
	"github.com/go-playground/locales/ru"
	"github.com/go-playground/locales/sk"
	"github.com/go-playground/locales/sl"
	"github.com/go-playground/locales/sr"
	"github.com/go-playground/locales/sr_Latn"
	"github.com/go-playground/locales/sv"
	"github.com/go-playground/locales/th"
	"github.com/go-playground/locales/tr"
	"github.com/go-playground/locales/uk"
	"github.com/go-playground/locales/vi"
	"github.com/go-playground/locales/zh"
	"github.com/go-playground/locales/zh_Hant"
	"golang.org/x/text/language"
)

// dayFirst are the regions in which CLDR has begun to write English as in en-001,
// 31 March 2026, since the version that golang.org/x/text knows. In any other that
// English has no variant for, such as Japan, it is written as it is by itself.
var dayFirst = strings.Fields("AE CZ EE ES FR GE HU ID IT LT LV MV NO PL PT RO SK UA")

// calendarTag is the tag whose dates are those of a tag. The language alone says
// the words and their order; a region does where the language has a variant for it.
func calendarTag(t language.Tag) language.Tag {
	if base, _, region := t.Raw(); base.String() == "en" && slices.Contains(dayFirst, region.String()) {
		return language.MustParse("en-001")
	}
	return t
}

// calendars are the languages in which dates can be written out, by the BCP 47
// tag of the names: months, weekdays and the long form of a date. Any other tag
// stands for the nearest of its parents, as de-DE for de and en-GB for en-001.
var calendars = map[string]locales.Translator{
	"ar":      ar.New(),
	"ar-IQ":   ar_IQ.New(),
	"ar-JO":   ar_JO.New(),
	"ar-LB":   ar_LB.New(),
	"ar-PS":   ar_PS.New(),
	"ar-SY":   ar_SY.New(),
	"bg":      bg.New(),
	"ca":      ca.New(),
	"cs":      cs.New(),
	"da":      da.New(),
	"de":      de.New(),
	"de-AT":   de_AT.New(),
	"de-IT":   de_IT.New(),
	"el":      el.New(),
	"en":      en.New(),
	"en-001":  en_001.New(),
	"en-CA":   en_CA.New(),
	"es":      es.New(),
	"et":      et.New(),
	"fi":      fi.New(),
	"fr":      fr.New(),
	"he":      he.New(),
	"hi":      hi.New(),
	"hr":      hr.New(),
	"hu":      hu.New(),
	"id":      id.New(),
	"it":      it.New(),
	"ja":      ja.New(),
	"ko":      ko.New(),
	"lt":      lt.New(),
	"lv":      lv.New(),
	"ms":      ms.New(),
	"nb":      nb.New(),
	"nl":      nl.New(),
	"pl":      pl.New(),
	"pt":      pt.New(),
	"pt-PT":   pt_PT.New(),
	"ro":      ro.New(),
	"ru":      ru.New(),
	"sk":      sk.New(),
	"sl":      sl.New(),
	"sr":      sr.New(),
	"sr-Latn": sr_Latn.New(),
	"sv":      sv.New(),
	"th":      th.New(),
	"tr":      tr.New(),
	"uk":      uk.New(),
	"vi":      vi.New(),
	"zh":      zh.New(),
	"zh-Hant": zh_Hant.New(),
}
