package rule

import (
	"database/sql/driver"
	"fmt"
	"math/big"
	"strings"
)

// maxDecimalText bounds what ParseDecimal reads, so that hostile input cannot
// make it build a number of a million digits.
const maxDecimalText = 1000

// A Decimal is an exact decimal number: no float ever touches it, because
// sub-cent prices such as 0.000381 exist and sums of cents must come out even.
// It is immutable, and the zero value is 0. Compare with Cmp or Equal, not ==.
type Decimal struct {
	unscaled *big.Int // nil is 0
	scale    int      // digits after the point; never negative, never more than needed
}

// NewDecimal returns unscaled / 10^scale. A negative scale multiplies.
func NewDecimal(unscaled int64, scale int) Decimal {
	n := big.NewInt(unscaled)
	if scale < 0 {
		return Decimal{unscaled: n.Mul(n, pow10(-scale))}
	}
	return normal(n, scale)
}

// ParseDecimal reads plain digits with an optional sign and point: "-12.50".
// Exponents, separators and spaces are refused.
func ParseDecimal(s string) (Decimal, error) {
	bad := func() (Decimal, error) {
		return Decimal{}, fmt.Errorf("%q is not a decimal number", clip(s, 40))
	}
	if len(s) > maxDecimalText {
		return bad()
	}
	digits := s
	if strings.HasPrefix(digits, "-") || strings.HasPrefix(digits, "+") {
		digits = digits[1:]
	}
	whole, fraction, point := strings.Cut(digits, ".")
	if !allDigits(whole) || (point && !allDigits(fraction)) {
		return bad()
	}
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return bad()
	}
	if s[0] == '-' {
		n.Neg(n)
	}
	return normal(n, len(fraction)), nil
}

// Cmp returns -1, 0 or +1 as d is less than, equal to or greater than e.
func (d Decimal) Cmp(e Decimal) int {
	a, b, _ := align(d, e)
	return a.Cmp(b)
}

// Equal says whether d and e are the same number: 1.50 equals 1.5.
func (d Decimal) Equal(e Decimal) bool { return d.Cmp(e) == 0 }

// Sign returns -1, 0 or +1.
func (d Decimal) Sign() int { return d.int().Sign() }

// IsZero says whether d is 0.
func (d Decimal) IsZero() bool { return d.Sign() == 0 }

// Add returns d + e, exactly.
func (d Decimal) Add(e Decimal) Decimal {
	a, b, scale := align(d, e)
	return normal(new(big.Int).Add(a, b), scale)
}

// Sub returns d - e, exactly.
func (d Decimal) Sub(e Decimal) Decimal { return d.Add(e.Neg()) }

// Mul returns d · e, exactly.
func (d Decimal) Mul(e Decimal) Decimal {
	return normal(new(big.Int).Mul(d.int(), e.int()), d.scale+e.scale)
}

// Neg returns -d.
func (d Decimal) Neg() Decimal {
	return Decimal{unscaled: new(big.Int).Neg(d.int()), scale: d.scale}
}

// Quo returns d / e to the given number of decimals, half to even. Like the
// division of integers it panics when e is 0.
func (d Decimal) Quo(e Decimal, places int) Decimal {
	if e.IsZero() {
		panic("rule: decimal division by zero")
	}
	places = max(places, 0)
	// d/e = (dn · 10^(es+places)) / (en · 10^ds) / 10^places
	num := new(big.Int).Mul(d.int(), pow10(e.scale+places))
	den := new(big.Int).Mul(e.int(), pow10(d.scale))
	return normal(quoHalfEven(num, den), places)
}

// quoHalfAway returns d / n, which is positive, to the given number of decimals,
// half away from zero.
func (d Decimal) quoHalfAway(n int64, places int) Decimal {
	num, den := new(big.Int).Abs(d.int()), big.NewInt(2*n)
	num.Mul(num, pow10(places)).Mul(num, big.NewInt(2))
	unit := pow10(d.scale)
	num.Add(num, new(big.Int).Mul(unit, big.NewInt(n)))
	num.Quo(num, den.Mul(den, unit))
	if d.Sign() < 0 {
		num.Neg(num)
	}
	return normal(num, places)
}

// Round returns d to the given number of decimals, half to even.
func (d Decimal) Round(places int) Decimal {
	places = max(places, 0)
	if d.scale <= places {
		return d
	}
	return normal(quoHalfEven(d.int(), pow10(d.scale-places)), places)
}

// Int64 returns d when it is a whole number that fits.
func (d Decimal) Int64() (int64, bool) {
	if d.scale != 0 || !d.int().IsInt64() {
		return 0, false
	}
	return d.int().Int64(), true
}

// String returns plain digits, without exponent and without trailing zeros.
func (d Decimal) String() string { return d.digits(d.scale) }

// Fixed returns d rounded half to even and written with exactly places decimals.
func (d Decimal) Fixed(places int) string {
	places = max(places, 0)
	return d.Round(places).digits(places)
}

// MarshalText is String, so that JSON carries decimals as text.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDecimal.
func (d *Decimal) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDecimal(string(text))
	return err
}

// Value lets drivers send a Decimal as the text of a numeric.
func (d Decimal) Value() (driver.Value, error) { return d.String(), nil }

// Scan reads the text or whole number that a driver has for a numeric.
func (d *Decimal) Scan(src any) (err error) {
	switch v := src.(type) {
	case string:
		*d, err = ParseDecimal(v)
	case []byte:
		*d, err = ParseDecimal(string(v))
	case int64:
		*d = NewDecimal(v, 0)
	default:
		err = fmt.Errorf("cannot read %T as a decimal number", src)
	}
	return err
}

// digits writes d with the given number of decimals, at least as many as it has.
func (d Decimal) digits(places int) string {
	n := new(big.Int).Abs(d.int())
	n.Mul(n, pow10(places-d.scale))
	s := n.String()
	if places > 0 {
		if pad := places + 1 - len(s); pad > 0 {
			s = strings.Repeat("0", pad) + s
		}
		s = s[:len(s)-places] + "." + s[len(s)-places:]
	}
	if d.Sign() < 0 {
		s = "-" + s
	}
	return s
}

func (d Decimal) int() *big.Int {
	if d.unscaled == nil {
		return new(big.Int)
	}
	return d.unscaled
}

// normal owns n and takes trailing zeros off, so that a number has one form.
func normal(n *big.Int, scale int) Decimal {
	if n.Sign() == 0 {
		return Decimal{}
	}
	ten, digit, rest := big.NewInt(10), new(big.Int), new(big.Int)
	for scale > 0 {
		digit.QuoRem(n, ten, rest)
		if rest.Sign() != 0 {
			break
		}
		n.Set(digit)
		scale--
	}
	return Decimal{unscaled: n, scale: scale}
}

func align(d, e Decimal) (a, b *big.Int, scale int) {
	a, b, scale = d.int(), e.int(), max(d.scale, e.scale)
	if d.scale < scale {
		a = new(big.Int).Mul(a, pow10(scale-d.scale))
	}
	if e.scale < scale {
		b = new(big.Int).Mul(b, pow10(scale-e.scale))
	}
	return a, b, scale
}

func quoHalfEven(num, den *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(num, den, new(big.Int))
	twice := new(big.Int).Lsh(r.Abs(r), 1)
	half := twice.CmpAbs(den)
	if half > 0 || (half == 0 && q.Bit(0) == 1) {
		away := int64(num.Sign() * den.Sign())
		q.Add(q, big.NewInt(away))
	}
	return q
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// clip shortens what people typed, for messages that quote it.
func clip(s string, limit int) string {
	count := 0
	for i := range s {
		if count == limit {
			return s[:i] + "…"
		}
		count++
	}
	return s
}
