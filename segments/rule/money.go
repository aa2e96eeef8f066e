package rule

import (
	"encoding/json"
	"strings"
)

// Money is an amount in major units ("49.00", not 4900) with its lower-case ISO
// 4217 code. Amounts of different currencies are never added or compared.
type Money struct {
	Amount   Decimal
	Currency string
}

// FromMinor turns an amount as Stripe's API states it (4900, "usd") into Money.
func FromMinor(amount int64, currency string) Money {
	currency = strings.ToLower(currency)
	return Money{Amount: NewDecimal(amount, MinorUnits(currency)), Currency: currency}
}

// MinorUnits returns how many decimals Stripe's API hides in an integer amount:
// none for yen, three for dinars, and two for Icelandic krónur and Ugandan
// shillings, which have no coins but which the API states in hundredths.
// (Stripe: currencies, "special cases".) An unknown currency has two.
func MinorUnits(currency string) int {
	switch strings.ToLower(currency) {
	case "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf":
		return 0
	case "bhd", "jod", "kwd", "omr", "tnd":
		return 3
	}
	return 2
}

// Equal says whether both are the same amount of the same currency.
func (m Money) Equal(o Money) bool {
	return m.Currency == o.Currency && m.Amount.Equal(o.Amount)
}

// String returns "49.00 usd": at least the decimals that people expect of the
// currency, and more when the amount has them.
func (m Money) String() string { return m.digits() + " " + m.Currency }

// MarshalJSON returns {"amount":"49.00","currency":"usd"}.
func (m Money) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Amount   string `json:"amount"`
		Currency string `json:"currency"`
	}{m.digits(), m.Currency})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Money) UnmarshalJSON(data []byte) error {
	var raw struct {
		Amount   Decimal `json:"amount"`
		Currency string  `json:"currency"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*m = Money{Amount: raw.Amount, Currency: strings.ToLower(raw.Currency)}
	return nil
}

func (m Money) digits() string {
	return m.Amount.digits(max(m.Amount.scale, usualDecimals(m.Currency)))
}

// usualDecimals is what is printed on an invoice, which for króna and shilling
// is not what the API sends.
func usualDecimals(currency string) int {
	if currency == "isk" || currency == "ugx" {
		return 0
	}
	return MinorUnits(currency)
}

// isCurrency knows the active codes of ISO 4217, without metals and test codes.
func isCurrency(code string) bool {
	_, ok := currencySet[code]
	return ok
}

var (
	currencies = strings.Fields(`
		aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn bzd
		cad cdf chf clp cny cop crc cup cve czk djf dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd
		gnf gtq gyd hkd hnl hrk htg huf idr ils inr iqd irr isk jmd jod jpy kes kgs khr kmf kpw krw kwd kyd
		kzt lak lbp lkr lrd lsl lyd mad mdl mga mkd mmk mnt mop mru mur mvr mwk mxn myr mzn nad ngn nio nok
		npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sdg sek sgd shp sle sll sos
		srd ssp stn svc syp szl thb tjs tmt tnd top try ttd twd tzs uah ugx usd uyu uzs ves vnd vuv wst
		xaf xcd xof xpf yer zar zmw zwl`)
	currencySet = setOf(currencies)
)

func setOf(words []string) map[string]struct{} {
	set := make(map[string]struct{}, len(words))
	for _, w := range words {
		set[w] = struct{}{}
	}
	return set
}
