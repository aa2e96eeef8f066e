package campaigns

import (
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// money reads "49.00 usd".
func money(t testing.TB, amount, currency string) rule.Money {
	t.Helper()
	d, err := rule.ParseDecimal(amount)
	if err != nil {
		t.Fatal(err)
	}
	return rule.Money{Amount: d, Currency: currency}
}

// TestLocale_money holds that money is written digit for digit (honest-money).
func TestLocale_money(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ locale, amount, currency, want string }{
		{"de", "49", "eur", "49,00\u00a0€"},
		{"de", "1234567.5", "eur", "1.234.567,50\u00a0€"},
		{"de", "-49", "eur", "-49,00\u00a0€"},
		{"de-AT", "1234", "eur", "€\u00a01\u00a0234,00"},
		{"de-CH", "1234", "chf", "CHF\u00a01’234.00"},
		{"en", "49", "usd", "$49.00"},
		{"en-US", "-1049", "usd", "-$1,049.00"},
		{"en", "49", "chf", "CHF\u00a049.00"},
		{"en-GB", "49", "gbp", "£49.00"},
		{"en-GB", "49", "usd", "US$49.00"},
		{"en-CA", "49", "cad", "$49.00"},
		{"en-DE", "1234", "eur", "1.234,00\u00a0€"},
		{"en-IN", "1234567.25", "inr", "₹12,34,567.25"},
		{"en-IN", "123", "inr", "₹123.00"},
		{"en", "4900", "jpy", "¥4,900"},
		{"ja", "4900", "jpy", "￥4,900"},
		{"en", "1234.567", "kwd", "KWD\u00a01,234.567"},
		{"en", "0.000381", "usd", "$0.000381"},
		{"en", "90071992547409930000.01", "usd", "$90,071,992,547,409,930,000.01"},
		{"de", "999", "eur", "999,00\u00a0€"},
		{"de", "1000", "isk", "1.000\u00a0ISK"},
		{"fr", "1234.5", "eur", "1\u00a0234,50\u00a0€"},
		{"fr-CA", "49", "cad", "49,00\u00a0$"},
		{"nl", "49", "eur", "€\u00a049,00"},
		{"pt-BR", "49", "brl", "R$\u00a049,00"},
		{"pt-PT", "49", "eur", "49,00\u00a0€"},
		{"sv", "-49", "sek", "−49,00\u00a0kr"},
		{"pl", "49", "pln", "49,00\u00a0zł"},
		{"es-MX", "1049", "mxn", "$1,049.00"},
		{"es", "1234.5", "eur", "1234,50\u00a0€"},
		{"es-ES", "-9999.99", "eur", "-9999,99\u00a0€"},
		{"es", "12345", "eur", "12.345,00\u00a0€"},
		{"es", "1234567", "eur", "1.234.567,00\u00a0€"},
		{"es", "123", "eur", "123,00\u00a0€"},
		{"es-CL", "1234", "eur", "EUR\u00a01.234,00"},
		{"it", "1234", "eur", "1234,00\u00a0€"},
		{"it-CH", "12345", "chf", "CHF\u00a012’345.00"},
		{"pl", "1234", "pln", "1234,00\u00a0zł"},
		{"pt-BR", "1234", "brl", "R$\u00a01.234,00"},
		{"pt-PT", "1234", "eur", "1234,00\u00a0€"},
		{"pt-PT", "12345", "eur", "12\u00a0345,00\u00a0€"},
		{"pt-AO", "1234", "eur", "1\u00a0234,00\u00a0€"},
		{"en-ES", "1234", "eur", "€1,234.00"},
		{"ar-EG", "1049", "usd", "1,049.00\u00a0US$"},
		{"", "49", "usd", "49.00 USD"},
		{"tlh", "49", "usd", "49.00 USD"},
		{"de", "49", "zzz", "49,00\u00a0ZZZ"},
	} {
		if got := localeOf(tt.locale).money(money(t, tt.amount, tt.currency)); got != tt.want {
			t.Errorf("%s %s in %q\n got %q\nwant %q", tt.amount, tt.currency, tt.locale, got, tt.want)
		}
	}
}

func TestLocale_date(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 31, 14, 5, 0, 0, time.UTC)
	for _, tt := range []struct{ locale, long, format, named string }{
		{"de", "31. März 2026", "%A, %-d. %B", "Dienstag, %-d. März"},
		{"de-AT", "31. März 2026", "%b", "März"},
		{"en", "March 31, 2026", "%^a %b 100%%B", "TUE Mar 100%%B"},
		{"en-GB", "31 March 2026", "%-B", "March"},
		{"fr-CA", "31 mars 2026", "%A", "mardi"},
		{"en-FR", "31 March 2026", "%A", "Tuesday"},
		{"en-DE", "31 March 2026", "%A", "Tuesday"},
		{"en-JP", "March 31, 2026", "%A", "Tuesday"},
		{"en-PR", "March 31, 2026", "%A", "Tuesday"},
		{"fr-US", "31 mars 2026", "%A", "mardi"},
		{"de-FR", "31. März 2026", "%A", "Dienstag"},
		{"ar-LB", "31 آذار 2026", "%A", "الثلاثاء"},
		{"sr-Latn-RS", "31. mart 2026.", "%A", "utorak"},
		{"sr-ME", "31. mart 2026.", "%A", "utorak"},
		{"pl", "31 marca 2026", "%B", "marca"},
		{"zh-TW", "2026年3月31日", "%A", "星期二"},
		{"", "2026-03-31", "%B", "%B"},
		{"tlh", "2026-03-31", "%B", "%B"},
	} {
		l := localeOf(tt.locale)
		if got := l.date(at); got != tt.long {
			t.Errorf("in %q\n got %q\nwant %q", tt.locale, got, tt.long)
		}
		if got := l.named(tt.format, at); got != tt.named {
			t.Errorf("%s in %q\n got %q\nwant %q", tt.format, tt.locale, got, tt.named)
		}
	}
}

func TestRefine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, wording, contact, country, want string }{
		{"the contact's region", "de", "de-AT", "DE", "de-AT"},
		{"the contact's region, as Intercom may write it", "de", "de_CH", "", "de-CH"},
		{"the country", "en", "en", "GB", "en-GB"},
		{"another language of the contact's says nothing", "en", "de-AT", "GB", "en-GB"},
		{"a wording for one region stays", "pt-br", "pt-PT", "PT", "pt-BR"},
		{"nothing known", "en", "", "", "en"},
		{"no country", "en", "", "XX", "en"},
		{"a script stays", "sr-latn", "", "RS", "sr-Latn-RS"},
		{"no language", "", "de-AT", "DE", ""},
	} {
		if got := refine(tt.wording, tt.contact, tt.country); got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// TestCalendars holds that every language in the table can be written in.
func TestCalendars(t *testing.T) {
	t.Parallel()
	for tag := range calendars {
		l := localeOf(tag)
		if l.calendar == nil || l.decimal == "" || l.minus == "" || l.first != 3 {
			t.Errorf("%s\n got %+v\nwant its separators", tag, l)
		}
	}
	for tag := range positions {
		if localeOf(tag).calendar == nil {
			t.Errorf("%s has a place for the symbol, and no calendar", tag)
		}
	}
}
