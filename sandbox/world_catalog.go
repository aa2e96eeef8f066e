package sandbox

import (
	"encoding/json"
	"strings"
)

// currency is what one currency's customers pay: the monthly price of each
// product in minor units (Stripe: yen have none, facts 1.8). A year costs ten
// months.
type currency struct {
	code   string
	prices [5]int64 // in the order of productNames
}

var productNames = [5]string{"Starter", "Pro", "Team", "Business", "Extra storage"}

const (
	starter = iota
	pro
	team
	business
	extraStorage // only ever a second item
)

var currencies = []currency{
	{"usd", [5]int64{900, 4900, 12900, 39900, 500}},
	{"eur", [5]int64{900, 4500, 11900, 36900, 500}},
	{"gbp", [5]int64{700, 3900, 10500, 32900, 400}},
	{"jpy", [5]int64{1200, 6900, 18900, 58000, 700}},
}

// product is what the merchant sells.
type product struct {
	cached
	id, name     string
	created      int64
	changed      int64 // when it last changed; zero: never
	archived     bool
	defaultPrice *price
}

// price is one way to pay for a product.
type price struct {
	cached
	id       string
	product  *product
	currency string
	interval string // month or year
	amount   int64  // of one unit, minor units
	created  int64
	active   bool
	plan     json.RawMessage // the same, as the plan that old payloads still carry
}

func (p *price) months() int {
	if p.interval == "year" {
		return 12
	}
	return 1
}

// monthly is what one unit is worth a month, for comparing prices of one currency.
func (p *price) monthly() float64 { return float64(p.amount) / float64(p.months()) }

// catalog is the merchant's products and prices.
type catalog struct {
	products []*product // oldest first
	prices   []*price   // oldest first
	byKey    map[string]*price
	old      *price // an archived price of Pro: whoever has it keeps it
}

// newCatalog makes the products and prices; they are older than any customer.
// Prices are given in the order in which they were created.
func newCatalog(d dice, created int64) *catalog {
	c := &catalog{byKey: map[string]*price{}}
	for i, name := range productNames {
		c.products = append(c.products, &product{id: d.id("prod_", "product/"+name, 14), name: name, created: created + int64(i)*step})
	}
	at := created + day
	add := func(key string, p *product, currency, interval string, amount int64, active bool) *price {
		made := &price{id: d.id("price_1", "price/"+key, 23), product: p, currency: currency, interval: interval,
			amount: amount, created: at, active: active}
		made.plan = mustJSON(planShape(made))
		c.prices = append(c.prices, made)
		at += step
		return made
	}
	c.old = add("old/Pro", c.products[pro], "usd", "month", 4400, false)
	for _, cur := range currencies {
		for i, p := range c.products {
			for _, interval := range []string{"month", "year"} {
				amount := cur.prices[i]
				if interval == "year" {
					amount *= 10
				}
				key := priceKey(i, cur.code, interval)
				c.byKey[key] = add(key, p, cur.code, interval, amount, true)
				if p.defaultPrice == nil {
					p.defaultPrice = c.byKey[key]
				}
			}
		}
	}
	return c
}

func priceKey(product int, currency, interval string) string {
	return productNames[product] + "/" + currency + "/" + interval
}

func (c *catalog) price(product int, currency, interval string) *price {
	return c.byKey[priceKey(product, currency, interval)]
}

// decimals is how many decimals an amount in minor units has, among the
// merchant's currencies.
func decimals(currency string) int {
	if currency == "jpy" {
		return 0
	}
	return 2
}

// moneyText writes an amount of minor units the way people read it: "49.00 usd".
func moneyText(amount int64, currency string) string {
	digits := decimals(currency)
	s := itoa(amount)
	if digits > 0 {
		for len(s) <= digits {
			s = "0" + s
		}
		s = s[:len(s)-digits] + "." + s[len(s)-digits:]
	}
	return s + " " + strings.ToLower(currency)
}
