package rule_test

import (
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"49.00", "49"}, {"0049.50", "49.5"}, {"+3", "3"}, {"-0.05", "-0.05"}, {"0.000381", "0.000381"},
		{"12345678901234567890.123456789", "12345678901234567890.123456789"},
		{"", "!"}, {"-", "!"}, {".5", "!"}, {"5.", "!"}, {"1e5", "!"}, {"1,000", "!"}, {" 1", "!"}, {"0x10", "!"}, {"1.2.3", "!"}, {"--1", "!"}, {"NaN", "!"}, {"١", "!"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			d, err := rule.ParseDecimal(tt.in)
			got := d.String()
			if err != nil {
				got = "!"
			}
			if got != tt.want {
				t.Errorf("ParseDecimal(%q)\n got %s\nwant %s", tt.in, got, tt.want)
			}
		})
	}
}

// Decimal agrees with exact rational arithmetic, and has one form per number.
func TestDecimal_Arithmetic(t *testing.T) {
	t.Parallel()
	gen := rapid.Custom(func(t *rapid.T) rule.Decimal {
		return rule.NewDecimal(rapid.Int64().Draw(t, "unscaled"), rapid.IntRange(-3, 12).Draw(t, "scale"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		ra, rb := ratOf(a), ratOf(b)
		for _, c := range []struct {
			op   string
			got  rule.Decimal
			want *big.Rat
		}{
			{"+", a.Add(b), new(big.Rat).Add(ra, rb)},
			{"-", a.Sub(b), new(big.Rat).Sub(ra, rb)},
			{"·", a.Mul(b), new(big.Rat).Mul(ra, rb)},
			{"neg", a.Neg(), new(big.Rat).Neg(ra)},
		} {
			if ratOf(c.got).Cmp(c.want) != 0 {
				t.Fatalf("%s %s %s\n got %s\nwant %s", a, c.op, b, c.got, c.want)
			}
		}
		if got, want := a.Cmp(b), ra.Cmp(rb); got != want {
			t.Fatalf("%s <=> %s\n got %d\nwant %d", a, b, got, want)
		}
		if again, err := rule.ParseDecimal(a.String()); err != nil || !again.Equal(a) || again.String() != a.String() {
			t.Fatalf("ParseDecimal(%s)\n got %s, %v", a, again, err)
		}
		places := rapid.IntRange(0, 6).Draw(t, "places")
		if !b.IsZero() {
			// Half to even: within half a unit, and even when exactly half.
			q := a.Quo(b, places)
			err := new(big.Rat).Sub(ratOf(q), new(big.Rat).Quo(ra, rb))
			half := ratOf(rule.NewDecimal(5, places+1))
			if c := new(big.Rat).Abs(err).Cmp(half); c > 0 {
				t.Fatalf("%s / %s to %d places\n got %s", a, b, places, q)
			} else if c == 0 && !q.Mul(rule.NewDecimal(5, 1-places)).Round(0).Equal(q.Mul(rule.NewDecimal(5, 1-places))) {
				t.Fatalf("%s / %s to %d places\n got %s, want the even neighbour", a, b, places, q)
			}
		}
	})
}

func ratOf(d rule.Decimal) *big.Rat {
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		panic(d.String())
	}
	return r
}

func TestDecimal_Rounding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in     string
		places int
		want   string
	}{
		{"0.5", 0, "0"}, {"1.5", 0, "2"}, {"2.5", 0, "2"}, {"-0.5", 0, "0"}, {"-1.5", 0, "-2"}, {"-2.5", 0, "-2"}, {"2.51", 0, "3"},
		{"0.125", 2, "0.12"}, {"0.135", 2, "0.14"}, {"49", 2, "49.00"}, {"-0.004", 2, "0.00"}, {"0.045", 1, "0.0"}, {"1", -1, "1"},
	}
	for _, tt := range tests {
		if got := dec(t, tt.in).Fixed(tt.places); got != tt.want {
			t.Errorf("%s to %d places\n got %s\nwant %s", tt.in, tt.places, got, tt.want)
		}
	}
	if got := dec(t, "1").Quo(dec(t, "3"), 5).String(); got != "0.33333" {
		t.Errorf("1 / 3\n got %s\nwant 0.33333", got)
	}
	if got := dec(t, "-1").Quo(dec(t, "8"), 2).String(); got != "-0.12" {
		t.Errorf("-1 / 8\n got %s\nwant -0.12", got)
	}
	var zero rule.Decimal
	if !zero.Equal(dec(t, "0.00")) || zero.String() != "0" || zero.Fixed(2) != "0.00" || zero.Sign() != 0 {
		t.Error("the zero value is not 0")
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	tests := []struct {
		minor    int64
		currency string
		want     string
	}{
		{4900, "usd", "49.00 usd"}, {4900, "USD", "49.00 usd"}, {-5, "eur", "-0.05 eur"}, {4900, "jpy", "4900 jpy"}, {4900, "kwd", "4.900 kwd"},
		{500, "isk", "5 isk"}, {550, "isk", "5.5 isk"}, {100, "ugx", "1 ugx"}, {100, "huf", "1.00 huf"}, {0, "krw", "0 krw"},
	}
	for _, tt := range tests {
		m := rule.FromMinor(tt.minor, tt.currency)
		if got := m.String(); got != tt.want {
			t.Errorf("FromMinor(%d, %q)\n got %s\nwant %s", tt.minor, tt.currency, got, tt.want)
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again rule.Money
		if err := json.Unmarshal(data, &again); err != nil || !again.Equal(m) {
			t.Errorf("JSON of %s\n got %s, %v", m, again, err)
		}
	}
	data, _ := json.Marshal(rule.FromMinor(4900, "usd"))
	if got, want := string(data), `{"amount":"49.00","currency":"usd"}`; got != want {
		t.Errorf("JSON\n got %s\nwant %s", got, want)
	}
	if got := (rule.Money{Amount: dec(t, "0.000381"), Currency: "usd"}).String(); got != "0.000381 usd" {
		t.Errorf("a sub-cent price\n got %s\nwant 0.000381 usd", got)
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	day := func(s string) rule.Date {
		d, err := rule.ParseDate(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	steps := []struct {
		from string
		d    rule.Duration
		want string
	}{
		{"2026-01-31", rule.Duration{N: 1, Unit: rule.Month}, "2026-02-28"},
		{"2024-01-31", rule.Duration{N: 1, Unit: rule.Month}, "2024-02-29"},
		{"2024-02-29", rule.Duration{N: 1, Unit: rule.Year}, "2025-02-28"},
		{"2024-02-29", rule.Duration{N: -4, Unit: rule.Year}, "2020-02-29"},
		{"2026-03-31", rule.Duration{N: -1, Unit: rule.Month}, "2026-02-28"},
		{"2026-01-15", rule.Duration{N: -13, Unit: rule.Month}, "2024-12-15"},
		{"2026-12-31", rule.Duration{N: 1, Unit: rule.Day}, "2027-01-01"},
		{"2026-03-01", rule.Duration{N: -1, Unit: rule.Week}, "2026-02-22"},
	}
	for _, tt := range steps {
		if got := tt.d.AddToDate(day(tt.from)).String(); got != tt.want {
			t.Errorf("%s + %s\n got %s\nwant %s", tt.from, tt.d, got, tt.want)
		}
	}
	for _, bad := range []string{"", "2026-2-3", "2026-02-30", "31.12.2026", "2026-12-31T00:00:00Z", "0000-00-00"} {
		if d, err := rule.ParseDate(bad); err == nil {
			t.Errorf("ParseDate(%q)\n got %s\nwant an error", bad, d)
		}
	}
	starts := []struct{ day, zone, want string }{
		{"2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z"},
		{"2026-03-30", "Europe/Berlin", "2026-03-29T22:00:00Z"},
		{"2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"}, // 00:00 was skipped
		{"2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z"},
		{"2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"},     // a day that never was
		{"2010-11-07", "America/St_Johns", "2010-11-07T02:30:00Z"}, // set back from 00:01 to 23:01
		{"2026-01-01", "Pacific/Kiritimati", "2025-12-31T10:00:00Z"},
	}
	for _, tt := range starts {
		if got := day(tt.day).In(mustZone(t, tt.zone)).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s in %s\n got %s\nwant %s", tt.day, tt.zone, got, tt.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"-21 days", "-21 days"}, {"3 days", "3 days"}, {"+1 day", "1 day"}, {"1 days", "1 day"}, {"0 days", "0 days"}, {"2 WEEKS", "2 weeks"},
		{" - 5  minutes ", "-5 minutes"}, {"3days", "3 days"}, {"-1 month", "-1 month"}, {"100 years", "100 years"},
		{"", "!"}, {"3", "!"}, {"days", "!"}, {"3 dayss", "!"}, {"1.5 days", "!"}, {"--3 days", "!"}, {"101 years", "!"}, {"99999999999999999999 days", "!"}, {"3 s", "!"},
	}
	for _, tt := range tests {
		d, err := rule.ParseDuration(tt.in)
		got := d.String()
		if err != nil {
			got = "!"
		}
		if got != tt.want {
			t.Errorf("ParseDuration(%q)\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestDuration_AddTo(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, d, want string }{
		{"2026-03-28T12:00:00+01:00", "1 day", "2026-03-29T11:00:00Z"}, // 24 hours, whatever clocks do
		{"2026-01-31T10:00:00Z", "1 month", "2026-02-28T23:59:59.999999Z"},
		{"2026-01-28T10:00:00Z", "1 month", "2026-02-28T10:00:00Z"},
		{"2026-03-31T10:00:00Z", "-1 month", "2026-02-28T23:59:59.999999Z"},
		{"2024-02-29T10:00:00Z", "1 year", "2025-02-28T23:59:59.999999Z"},
		{"2026-01-01T00:30:00+01:00", "1 month", "2026-01-31T23:30:00Z"}, // stepped in UTC: from 31 December
		{"2026-01-01T00:00:00Z", "-90 minutes", "2025-12-31T22:30:00Z"},
		{"2026-01-01T00:00:00Z", "2 weeks", "2026-01-15T00:00:00Z"},
	}
	for _, tt := range tests {
		d, err := rule.ParseDuration(tt.d)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.AddTo(mustTime(t, tt.from)).Format(time.RFC3339Nano); got != tt.want {
			t.Errorf("%s + %s\n got %s\nwant %s", tt.from, tt.d, got, tt.want)
		}
	}
}
