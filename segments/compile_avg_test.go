package segments_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin/dunlin/segments/rule"
)

// Averages are exact to rule.AvgPlaces decimals, in Postgres as in Go, however
// many digits the values have. The third opinion is math/big's.
func TestCompile_AvgIsExact(t *testing.T) {
	t.Parallel()
	lists := [][]string{
		{"0.0000000000005"}, {"-0.0000000000005"}, // halves
		{"0.00000000000049999999999999999999999999"}, {"0.000000000001", "0.000000000002"}, {"-0.000000000001", "-0.000000000002"},
		{"0.0000000000015", "0.0000000000015"},
		{"1", "1", "0"}, {"-1", "-1", "0"}, {"20", "49", "0.000381"},
		{"99999999999999999999999999.5", "0"}, {"1", "-99999999999999999999999999", "3"},
	}
	for i := range 60 {
		r := random(1, i)
		list := make([]string, 1+r.IntN(7))
		for j := range list {
			list[j] = digits(r)
		}
		lists = append(lists, list)
	}
	tab := newTable(t)
	env := rule.Env{Now: mustTime(t, "2026-03-15T12:00:00Z"), Currency: "usd"}
	var people []customer
	for i, list := range lists {
		c := customer{}
		for j, n := range list {
			c["things"] = append(elementsOf([]customer{c}, "things"), customer{
				"id": fmt.Sprint(j), "created_at": env.Now, "quantity": decimal(n), "mrr": rule.Money{Amount: decimal(n), Currency: "usd"}})
		}
		tab.insert(t, fmt.Sprintf("cus_%03d", i), c)
		people = append(people, c)
	}
	for i, list := range lists {
		sum := new(big.Rat)
		for _, n := range list {
			v, _ := new(big.Rat).SetString(n)
			sum.Add(sum, v)
		}
		want := sum.Quo(sum, big.NewRat(int64(len(list)), 1)).FloatString(rule.AvgPlaces)
		for _, source := range []string{"avg(things.quantity) = " + want, "avg(things.mrr) = " + want + " usd"} {
			r := mustRule(t, source)
			if !slices.Contains(tab.members(t, r, env, nil), fmt.Sprintf("cus_%03d", i)) {
				t.Errorf("Postgres: the average of %s is not %s", strings.Join(list, ", "), want)
			}
			if !r.Eval(people[i], env) {
				t.Errorf("Eval: the average of %s is not %s", strings.Join(list, ", "), want)
			}
		}
	}
}

// digits is a number of up to 18 digits before the point and 18 behind it.
func digits(r *rand.Rand) string {
	whole, fraction := fmt.Sprint(r.Uint64()), fmt.Sprint(r.Uint64())
	s := whole[:1+r.IntN(18)] + "." + fraction[:1+r.IntN(18)]
	if r.IntN(2) == 0 {
		return "-" + s
	}
	return s
}
