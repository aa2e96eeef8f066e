package campaigns

import (
	"github.com/go-playground/locales"
	"github.com/go-playground/locales/ar"
	"github.com/go-playground/locales/bg"
	"github.com/go-playground/locales/ca"
	"github.com/go-playground/locales/cs"
	"github.com/go-playground/locales/da"
	"github.com/go-playground/locales/de"
	"github.com/go-playground/locales/de_AT"
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
	"github.com/go-playground/locales/sv"
	"github.com/go-playground/locales/th"
	"github.com/go-playground/locales/tr"
	"github.com/go-playground/locales/uk"
	"github.com/go-playground/locales/vi"
	"github.com/go-playground/locales/zh"
	"github.com/go-playground/locales/zh_Hant"
)

// calendars are the languages in which dates can be written out, by the BCP 47
// tag of the names: months, weekdays and the long form of a date. Any other tag
// stands for the nearest of its parents, as de-DE for de and en-GB for en-001.
var calendars = map[string]locales.Translator{
	"ar":      ar.New(),
	"bg":      bg.New(),
	"ca":      ca.New(),
	"cs":      cs.New(),
	"da":      da.New(),
	"de":      de.New(),
	"de-AT":   de_AT.New(),
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
	"sv":      sv.New(),
	"th":      th.New(),
	"tr":      tr.New(),
	"uk":      uk.New(),
	"vi":      vi.New(),
	"zh":      zh.New(),
	"zh-Hant": zh_Hant.New(),
}
