package customers

import (
	"cmp"
	"slices"

	"github.com/dunlin/dunlin/segments/rule"
)

// A fraction is an exact amount a month: a third of a quarter's price has no
// end as a decimal. The zero value is zero.
type fraction struct {
	num rule.Decimal
	den int64 // positive; 0 in the zero value, which stands for 1
}

var one = rule.NewDecimal(1, 0)

func (f fraction) denominator() rule.Decimal { return rule.NewDecimal(max(f.den, 1), 0) }

func (f fraction) cmp(g fraction) int {
	return f.num.Mul(g.denominator()).Cmp(g.num.Mul(f.denominator()))
}

// sum adds fractions and rounds once, at the end.
func sum(fractions []fraction, places int) rule.Decimal {
	num, den := rule.Decimal{}, one
	for _, f := range fractions {
		if f.den <= 1 && den.Equal(one) {
			num = num.Add(f.num)
			continue
		}
		num = num.Mul(f.denominator()).Add(f.num.Mul(den))
		den = den.Mul(f.denominator())
	}
	if den.Equal(one) {
		return num.Round(places)
	}
	return num.Quo(den, places)
}

// monthly spreads an amount per interval over months. A year has 12 months, 52
// weeks and 365 days; Stripe does not publish its own factors for weeks and
// days.
func monthly(amount rule.Decimal, r *recurring) (fraction, bool) {
	count := max(r.IntervalCount, 1)
	if count > 10_000 {
		return fraction{}, false
	}
	times := func(n int64) rule.Decimal { return amount.Mul(rule.NewDecimal(n, 0)) }
	switch r.Interval {
	case "month":
		return fraction{amount, count}, true
	case "year":
		return fraction{amount, 12 * count}, true
	case "week":
		return fraction{times(52), 12 * count}, true
	case "day":
		return fraction{times(365), 12 * count}, true
	}
	return fraction{}, false
}

// A flow is what a subscription bills, whatever its status.
type flow struct {
	net     []fraction // a month, in the subscription's currency, after forever coupons
	total   fraction   // of net, for comparing
	known   bool       // false when a licensed price or a coupon cannot be told
	metered bool       // usage comes on top
}

// flow follows Stripe's definition of recurring revenue: licensed prices only,
// by quantity; metered and one-time prices and taxes left out; a coupon counts
// only when it lasts forever. Item discounts come off first, then the
// subscription's or, without one, the customer's. An amount off comes off once
// per invoice. What a coupon takes off that Stripe names by id only, as it does
// when there are several, is not known, and so the whole is not.
func (s *sources) flow(sub *subscription) flow {
	type bill struct {
		every recurring
		total rule.Decimal
	}
	f := flow{known: true}
	var bills []bill // one for each rhythm; nearly always one
	for i := range sub.Items.Data {
		it := &sub.Items.Data[i]
		if it.Price.Recurring == nil {
			continue
		}
		if it.Price.metered() {
			f.metered = true
			continue
		}
		amount, ok := s.amount(sub, it)
		if !ok {
			f.known = false
			continue
		}
		f.known = f.known && !namedOnly(it.Discounts)
		amount = takeOff(amount, it.Discounts, sub.Currency)
		every := recurring{Interval: it.Price.Recurring.Interval, IntervalCount: max(it.Price.Recurring.IntervalCount, 1)}
		at := slices.IndexFunc(bills, func(b bill) bool { return b.every == every })
		if at < 0 {
			at, bills = len(bills), append(bills, bill{every: every})
		}
		bills[at].total = bills[at].total.Add(amount)
	}

	discounts := s.discounts(sub)
	f.known = f.known && (sub.Discount != nil || !namedOnly(sub.Discounts))
	slices.SortFunc(bills, func(a, b bill) int { // amounts off come off the most frequent bill
		return cmp.Or(cmp.Compare(a.every.days(), b.every.days()), cmp.Compare(a.every.Interval, b.every.Interval))
	})
	for i, b := range bills {
		if i > 0 {
			discounts = onlyPercent(discounts)
		}
		m, ok := monthly(takeOff(b.total, discounts, sub.Currency), &b.every)
		if !ok {
			f.known = false
			continue
		}
		f.net = append(f.net, m)
	}
	f.total = fraction{num: sum(f.net, 12)}
	return f
}

// discounts are those of the whole subscription: its own override the
// customer's.
func (s *sources) discounts(sub *subscription) []discount {
	switch {
	case slices.ContainsFunc(sub.Discounts, func(d discount) bool { return d.Coupon != nil }):
		return sub.Discounts
	case sub.Discount != nil:
		return []discount{*sub.Discount}
	case len(sub.Discounts) > 0 || s.customer.Discount == nil:
		return nil
	}
	return []discount{*s.customer.Discount}
}

// namedOnly tells that some of the discounts are known by id and nothing else.
func namedOnly(discounts []discount) bool {
	return slices.ContainsFunc(discounts, func(d discount) bool { return d.Coupon == nil })
}

func onlyPercent(discounts []discount) []discount {
	return slices.DeleteFunc(slices.Clone(discounts), func(d discount) bool { return d.Coupon == nil || d.Coupon.PercentOff == nil })
}

// takeOff applies the coupons that last forever, in order, never below zero.
func takeOff(amount rule.Decimal, discounts []discount, in string) rule.Decimal {
	for _, d := range discounts {
		c := d.Coupon
		switch {
		case c == nil || c.Duration != "forever":
			continue
		case c.PercentOff != nil:
			amount = amount.Sub(amount.Mul(c.PercentOff.Decimal).Mul(rule.NewDecimal(1, 2)))
		case c.AmountOff != nil && in != "" && currency(c.Currency) == in:
			amount = amount.Sub(rule.FromMinor(*c.AmountOff, in).Amount)
		}
		if amount.Sign() < 0 {
			amount = rule.Decimal{}
		}
	}
	return amount
}

func (r recurring) days() int64 {
	switch r.Interval {
	case "day":
		return r.IntervalCount
	case "week":
		return 7 * r.IntervalCount
	case "month":
		return 30 * r.IntervalCount
	}
	return 365 * r.IntervalCount
}

// metered prices are billed by usage, which nobody knows beforehand.
func (p *price) metered() bool { return p.Recurring != nil && p.Recurring.UsageType == "metered" }

// amount is what a licensed item bills each interval, in major units of the
// subscription's currency: unit price × billed units, or by tiers.
func (s *sources) amount(sub *subscription, it *item) (rule.Decimal, bool) {
	t, ok := s.tariff(sub, it.Price)
	if !ok {
		return rule.Decimal{}, false
	}
	quantity := int64(1)
	if it.Quantity != nil {
		quantity = *it.Quantity
	}
	if tr := it.Price.TransformQuantity; tr != nil && tr.DivideBy > 0 {
		packages := quantity / tr.DivideBy
		if tr.Round == "up" && quantity%tr.DivideBy > 0 {
			packages++
		}
		quantity = packages
	}
	if unit, ok := t.unit(); ok {
		return toMajor(unit.Mul(rule.NewDecimal(quantity, 0)), sub.Currency), true
	}
	if total, ok := byTiers(t.Tiers, it.Price.TiersMode, quantity); ok {
		return toMajor(total, sub.Currency), true
	}
	return rule.Decimal{}, false
}

// tariff is a price's tariff in the subscription's currency. A price of several
// currencies is sent with its own one; the others are on the shelf, and tiers
// too, where Stripe was asked for them.
func (s *sources) tariff(sub *subscription, p *price) (tariff, bool) {
	shelf := s.shelf.prices[p.ID]
	if sub.Currency == "" {
		return tariff{}, false
	}
	if p.Currency == sub.Currency {
		t := p.tariff
		if _, ok := t.unit(); !ok && t.Tiers == nil && currency(shelf.Currency) == sub.Currency {
			t.Tiers = shelf.Tiers
		}
		return t, true
	}
	for _, options := range []map[string]tariff{p.CurrencyOptions, shelf.CurrencyOptions} {
		if t, ok := options[sub.Currency]; ok {
			return t, true
		}
	}
	return tariff{}, false
}

// unit is the price of one unit in minor units, which sub-cent prices have only
// as decimal text; false when there is none, as for tiers.
func (t tariff) unit() (rule.Decimal, bool) { return minor(t.UnitAmount, t.UnitAmountDecimal) }

func minor(whole *int64, exact *decimal) (rule.Decimal, bool) {
	switch {
	case exact != nil:
		return exact.Decimal, true
	case whole != nil:
		return rule.NewDecimal(*whole, 0), true
	}
	return rule.Decimal{}, false
}

// byTiers is the price of a quantity in minor units. Volume: all units at the
// tier of the total. Graduated: each unit at its own tier. Each tier that is
// used adds its flat amount.
func byTiers(tiers []tier, mode string, quantity int64) (rule.Decimal, bool) {
	var total rule.Decimal
	if quantity == 0 {
		return total, len(tiers) > 0
	}
	from := int64(0)
	for _, t := range tiers {
		last := t.UpTo == nil || quantity <= *t.UpTo
		units := quantity
		if mode != "volume" {
			if !last {
				units = *t.UpTo
			}
			units -= from
		}
		if last || mode != "volume" {
			unit, _ := minor(t.UnitAmount, t.UnitAmountDecimal)
			flat, _ := minor(t.FlatAmount, t.FlatAmountDecimal)
			total = total.Add(unit.Mul(rule.NewDecimal(units, 0))).Add(flat)
		}
		if last {
			return total, true
		}
		from = *t.UpTo
	}
	return rule.Decimal{}, false // no tier reaches that far
}

// toMajor turns minor units into major ones, as Stripe's API counts them in
// this currency.
func toMajor(minor rule.Decimal, currency string) rule.Decimal {
	return minor.Mul(minorUnit[rule.MinorUnits(currency)])
}

// minorUnit is a minor unit of a currency by its number of decimals.
var minorUnit = [...]rule.Decimal{one, rule.NewDecimal(1, 1), rule.NewDecimal(1, 2), rule.NewDecimal(1, 3)}
