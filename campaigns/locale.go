package campaigns

import (
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-playground/locales"
	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"github.com/dunlin/dunlin/segments/rule"
)

// A locale is how money and dates are written for somebody. The neutral one, of
// the empty tag and of languages nobody here knows, writes for machines and for
// everybody alike: 49.00 USD and 2026-03-31.
type locale struct {
	tag      language.Tag
	calendar locales.Translator // nil: neutral

	group, decimal, minus string
	first, further        int // digits in the group before the decimals, and in those before it
	least                 int // digits that must stand before the first separator
	symbol                position
}

// A position is where the symbol of a currency stands.
type position int

const (
	behind       position = iota // 49,00 €
	before                       // $49.00
	beforeSpaced                 // € 49,00
)

// positions are the languages and regions where the symbol does not stand
// behind the amount; others are as their parent is.
var positions = map[string]position{
	"en": before, "en-150": behind, "en-AT": beforeSpaced, "en-CH": beforeSpaced, "en-NL": beforeSpaced,
	"de-AT": beforeSpaced, "de-CH": beforeSpaced, "de-LI": beforeSpaced, "it-CH": beforeSpaced,
	"es-419": before, "es-AR": beforeSpaced, "es-CO": beforeSpaced, "es-PY": beforeSpaced, "es-UY": beforeSpaced,
	"pt": beforeSpaced, "pt-PT": behind, "nl": beforeSpaced, "id": beforeSpaced, "ms": beforeSpaced,
	"hi": before, "ja": before, "ko": before, "th": before, "tr": before, "zh": before, "zh-Hant": before,
}

// least are the languages and regions that write 1234 but 12.345 (CLDR's
// minimumGroupingDigits, which golang.org/x/text leaves out). Others are as their
// parent is, or group from four digits on.
var least = map[string]int{
	"bg": 2, "es": 2, "es-419": 1, "et": 2, "hu": 2, "it": 2, "lv": 2, "pl": 2, "pt-PT": 2, "pt-AO": 1, "ru-UA": 2, "sl": 2,
}

// noBreak keeps an amount and its currency on one line.
const noBreak = "\u00a0"

var knownLocales sync.Map // tag → *locale

// localeOf is the locale of a BCP 47 tag, as in "de-AT". Its form comes from
// CLDR: separators and symbols from golang.org/x/text, names and the form of
// dates from go-playground/locales, which would write money wrongly and as a
// float.
func localeOf(tag string) *locale {
	if l, ok := knownLocales.Load(tag); ok {
		return l.(*locale)
	}
	l := newLocale(tag)
	knownLocales.Store(tag, l)
	return l
}

func newLocale(tag string) *locale {
	t, err := language.Parse(tag)
	if err != nil {
		return &locale{}
	}
	calendar, ok := nearest(calendars, calendarTag(t))
	if !ok {
		return &locale{}
	}
	l := &locale{tag: t, calendar: calendar, least: 1}
	l.symbol, _ = nearest(positions, t)
	if n, ok := nearest(least, t); ok {
		l.least = n
	}
	l.separators()
	return l
}

// nearest is what a table has of a tag, else of the nearest of its parents.
func nearest[T any](table map[string]T, tag language.Tag) (found T, ok bool) {
	for ; tag != language.Und; tag = tag.Parent() {
		if found, ok = table[tag.String()]; ok {
			return found, true
		}
	}
	return found, false
}

// separators reads how numbers are written off a number that has everything.
func (l *locale) separators() {
	digits, _ := l.tag.SetTypeForKey("nu", "latn")
	sample := message.NewPrinter(digits).Sprint(number.Decimal(-123456789.5))
	m := writtenNumber.FindStringSubmatch(sample)
	if m == nil {
		l.minus, l.decimal = "-", "."
		return
	}
	l.minus, l.decimal = m[1], m[4]
	l.group, l.first, l.further = m[2], 3, 3
	if strings.HasPrefix(strings.TrimPrefix(sample, l.minus), "12"+l.group+"34"+l.group) {
		l.further = 2
	}
}

var writtenNumber = regexp.MustCompile(`^(\D+)\d+(\D*)\d+\D*(?:\d+(\D*))?789(\D+)5$`)

// money writes an amount exactly, digit for digit, with as many decimals as
// [rule.Money] prints.
func (l *locale) money(m rule.Money) string {
	digits, code, _ := strings.Cut(strings.ToUpper(m.String()), " ")
	if l.calendar == nil {
		return digits + " " + code
	}
	minus := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		digits, minus = rest, l.minus
	}
	whole, fraction, point := strings.Cut(digits, ".")
	amount := l.grouped(whole)
	if point {
		amount += l.decimal + fraction
	}
	symbol := code
	if unit, err := currency.ParseISO(code); err == nil {
		symbol = message.NewPrinter(l.tag).Sprint(currency.Symbol(unit))
	}
	switch {
	case l.symbol == behind:
		return minus + amount + noBreak + symbol
	case l.symbol == beforeSpaced || unicode.IsLetter([]rune(symbol)[len([]rune(symbol))-1]):
		return minus + symbol + noBreak + amount
	}
	return minus + symbol + amount
}

// grouped puts the separators into the digits before the decimals.
func (l *locale) grouped(whole string) string {
	if l.first == 0 || len(whole) < l.first+l.least {
		return whole
	}
	at := len(whole) - l.first
	out := whole[at:]
	for ; at > l.further; at -= l.further {
		out = whole[at-l.further:at] + l.group + out
	}
	return whole[:at] + l.group + out
}

// date writes a day out, by the calendar of t's own zone.
func (l *locale) date(t time.Time) string {
	if l.calendar == nil {
		return t.Format(time.DateOnly)
	}
	return l.calendar.FmtDateLong(t)
}

var nameDirective = regexp.MustCompile(`%([-0^#_]*)([BbhAa%])`)

// named puts the names of t's month and weekday into a format of strftime.
func (l *locale) named(format string, t time.Time) string {
	if l.calendar == nil {
		return format
	}
	return nameDirective.ReplaceAllStringFunc(format, func(directive string) string {
		m := nameDirective.FindStringSubmatch(directive)
		var name string
		switch m[2] {
		case "B":
			name = l.calendar.MonthWide(t.Month())
		case "b", "h":
			name = l.calendar.MonthAbbreviated(t.Month())
		case "A":
			name = l.calendar.WeekdayWide(t.Weekday())
		case "a":
			name = l.calendar.WeekdayAbbreviated(t.Weekday())
		default:
			return directive
		}
		if strings.Contains(m[1], "^") {
			name = strings.ToUpper(name)
		}
		return name
	})
}

// refine adds the region to a language that has none: that of the contact's own
// language tag when it is the same language, else the customer's country. So a
// text in English gives dates as they are written in Britain to a Briton.
func refine(wording, contact, country string) string {
	t, err := language.Parse(wording)
	if err != nil {
		return wording
	}
	if _, _, region := t.Raw(); region != (language.Region{}) {
		return t.String()
	}
	base, script, _ := t.Raw()
	var region language.Region
	if c, err := language.Parse(contact); err == nil {
		if b, _, r := c.Raw(); b == base {
			region = r
		}
	}
	if region == (language.Region{}) {
		if region, err = language.ParseRegion(country); err != nil || !region.IsCountry() {
			return t.String()
		}
	}
	refined, err := language.Compose(base, script, region)
	if err != nil {
		return t.String()
	}
	return refined.String()
}
