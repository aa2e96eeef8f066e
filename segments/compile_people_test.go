package segments_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// whole are the columns of integers.
var whole = []string{"plan_interval_count", "open_invoice_count", "attempt_count"}

// A drawer draws values from what the rules ask for.
type drawer struct {
	r       *rand.Rand
	env     rule.Env // at whose bounds times stand
	amounts []string
}

// genCustomer has up to five elements of each collection. What three in
// four customers have is all in one currency.
func genCustomer(r *rand.Rand, envs []rule.Env) customer {
	d := drawer{r, oneOf(r, envs), amounts}
	if r.IntN(4) > 0 {
		d.amounts = slices.DeleteFunc(slices.Clone(amounts), func(a string) bool { return !strings.HasSuffix(a, " usd") })
	}
	c := d.values(everyType)
	for _, collection := range columns.collections {
		c[collection.Name] = d.elements(collection)
	}
	c["in"] = slices.DeleteFunc(slices.Clone(columns.segments), func(string) bool { return r.IntN(2) == 0 })
	return c
}

// elements share few instants of creation, so that ids decide about the newest.
func (d drawer) elements(collection rule.Collection) []customer {
	var list []customer
	for i := range d.r.IntN(6) {
		e := d.values(collection.Fields[2:])
		e["id"] = fmt.Sprintf("%s_%d", one(d.r, "a", "B", "é", "Z", "~"), i)
		e["created_at"] = d.value(rule.Attribute{Type: rule.InstantType})
		if d.r.IntN(2) == 0 {
			e["created_at"] = d.env.Now.Truncate(time.Microsecond)
		}
		list = append(list, e)
	}
	return list
}

// values leaves out one in six.
func (d drawer) values(attrs []rule.Attribute) customer {
	out := customer{}
	for _, a := range attrs {
		if d.r.IntN(6) > 0 {
			out[a.Name] = d.value(a)
		}
	}
	return out
}

func (d drawer) value(a rule.Attribute) any {
	switch a.Type {
	case rule.Text:
		if a.Name == "status" {
			return one(d.r, statuses...)
		}
		return one(d.r, texts...)
	case rule.Number:
		if slices.Contains(whole, a.Name) {
			return decimal(one(d.r, "0", "1", "2", "3", "-1"))
		}
		return decimal(one(d.r, numbers...))
	case rule.MoneyType:
		amount, currency, _ := strings.Cut(one(d.r, d.amounts...), " ")
		return rule.Money{Amount: decimal(amount), Currency: currency}
	case rule.Boolean:
		return d.r.IntN(2) == 0
	case rule.ListType:
		list := make([]string, d.r.IntN(5))
		for i := range list {
			list[i] = one(d.r, texts...)
		}
		return list
	case rule.MapType:
		m := map[string]string{}
		for _, key := range keys {
			if d.r.IntN(4) > 0 {
				m[key] = one(d.r, texts...)
			}
		}
		return m
	case rule.DateType:
		return genBound(d.r, "today()", d.env).Date.AddDays(d.r.IntN(3) - 1)
	}
	at := genBound(d.r, "now()", d.env).Instant
	if d.r.IntN(2) == 0 {
		at = genBound(d.r, "today()", d.env).Date.In(d.env.Zone)
	}
	return at.Add(time.Duration(d.r.IntN(3)-1) * time.Microsecond)
}

// genBound is where a moment of the rules stands in one of the instants.
func genBound(r *rand.Rand, base string, env rule.Env) rule.Bound {
	tree, err := rule.Parse(fmt.Sprintf("x < %s %s", base, one(r, "", "+ "+one(r, spans...), "- "+one(r, spans...))))
	if err != nil {
		panic(err)
	}
	b, _ := rule.BoundOf(tree.Root.(*rule.Compare).Right, env)
	return b
}

func decimal(s string) rule.Decimal {
	d, err := rule.ParseDecimal(s)
	if err != nil {
		panic(err)
	}
	return d
}
