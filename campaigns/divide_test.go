package campaigns

import (
	"fmt"
	"math"
	"testing"

	"github.com/dunlin/dunlin/customers"
)

// people is how many persons the shares are measured over. They are the same each
// time, so these tests cannot fail by chance.
const people = 100_000

func everybody(yield func(string) bool) {
	for i := range people {
		if !yield(person(Contact{}, customers.Ref{Account: 1 + i%3, Customer: int64(i)})) {
			return
		}
	}
}

func TestPerson(t *testing.T) {
	t.Parallel()
	a, b := customers.Ref{Account: 1, Customer: 23}, customers.Ref{Account: 12, Customer: 3}
	if person(Contact{}, a) == person(Contact{}, b) {
		t.Error("two customers are one person")
	}
	if c := (Contact{ID: "C1"}); person(c, a) != person(c, b) {
		t.Error("two customers of one contact are two persons")
	}
	if person(Contact{ID: "1/23"}, b) == person(Contact{}, a) {
		t.Error("a contact and a customer of the same name are one person")
	}
}

func TestHeldOut(t *testing.T) {
	t.Parallel()
	const campaigns = 4
	percents := []int{0, 1, 10, 50, 90}
	var held [campaigns][90 + 1]int
	both := 0 // in the ten percent of two campaigns
	for p := range everybody {
		var tenth [campaigns]bool
		for c := range campaigns {
			name := fmt.Sprintf("campaign-%d", c)
			smaller := false
			for _, percent := range percents {
				out := heldOut(name, p, percent)
				if out {
					held[c][percent]++
				} else if smaller {
					t.Fatalf("%s is held out of %s by a smaller holdout and not by %d%%", p, name, percent)
				}
				smaller = out
			}
			tenth[c] = heldOut(name, p, 10)
		}
		if tenth[0] && tenth[1] {
			both++
		}
	}
	for c := range campaigns {
		for _, percent := range percents {
			if got := float64(held[c][percent]) * 100 / people; math.Abs(got-float64(percent)) > 0.5 {
				t.Errorf("campaign %d holds out\n got %.2f%%\nwant %d%%", c, got, percent)
			}
		}
	}
	// Independent: a tenth of a tenth, within four standard deviations.
	if got := float64(both); math.Abs(got-people/100) > 4*math.Sqrt(people*0.01*0.99) {
		t.Errorf("held out of two campaigns\n got %v\nwant about %v", got, people/100)
	}
}

func wordings(named ...any) (s Step) {
	for i := 0; i < len(named); i += 2 {
		s.Variants = append(s.Variants, Variant{Name: named[i].(string), Weight: named[i+1].(int)})
	}
	return s
}

func TestVariant_shares(t *testing.T) {
	t.Parallel()
	for _, s := range []Step{wordings("", 1), wordings("a", 1, "b", 1), wordings("a", 3, "b", 1), wordings("a", 1, "b", 1000), wordings("a", 50, "b", 30, "c", 20)} {
		total := 0
		for _, v := range s.Variants {
			total += v.Weight
		}
		got, square := map[string]int{}, 0.0
		for p := range everybody {
			got[s.variant("c", p).Name]++
		}
		for _, v := range s.Variants {
			want := people * float64(v.Weight) / float64(total)
			if off := math.Abs(float64(got[v.Name]) - want); off > people/100 {
				t.Errorf("%q of %+v\n got %d\nwant %.0f", v.Name, s.Variants, got[v.Name], want)
			}
			square += (float64(got[v.Name]) - want) * (float64(got[v.Name]) - want) / want
		}
		if square > 13.8 { // chi-square with two degrees of freedom, p = 0.001
			t.Errorf("%+v are too far from their weights: chi-square %.1f", s.Variants, square)
		}
	}
}

// TestVariant_sticky holds that nobody changes from one wording to another
// without need.
func TestVariant_sticky(t *testing.T) {
	t.Parallel()
	two, three := wordings("a", 1, "b", 1), wordings("a", 1, "b", 1, "c", 1)
	grown, turned := wordings("a", 2, "b", 1), wordings("b", 1, "a", 1)
	moved := 0
	for p := range everybody {
		before := two.variant("c", p).Name
		if now := turned.variant("c", p).Name; now != before {
			t.Fatalf("%s gets %q for %q because of the order", p, now, before)
		}
		if now := three.variant("c", p).Name; now != before {
			moved++
			if now != "c" {
				t.Fatalf("%s gets %q for %q because there is c", p, now, before)
			}
		}
		if now := grown.variant("c", p).Name; now != before && now != "a" {
			t.Fatalf("%s gets %q for %q because a has grown", p, now, before)
		}
	}
	if got := float64(moved) / people; math.Abs(got-1.0/3) > 0.01 {
		t.Errorf("changed because of a third variant\n got %.3f\nwant a third", got)
	}
}

// TestVariant_independent holds that the halves of one campaign say nothing of
// those of another, nor of who is held out.
func TestVariant_independent(t *testing.T) {
	t.Parallel()
	s := wordings("a", 1, "b", 1)
	var cells [2][2][2]int
	index := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	for p := range everybody {
		cells[index(s.variant("one", p).Name == "a")][index(s.variant("two", p).Name == "a")][index(heldOut("one", p, 50))]++
	}
	square, want := 0.0, float64(people)/8
	for _, x := range cells {
		for _, y := range x {
			for _, n := range y {
				square += (float64(n) - want) * (float64(n) - want) / want
			}
		}
	}
	if square > 24.3 { // chi-square with seven degrees of freedom, p = 0.001
		t.Errorf("%v depend on each other: chi-square %.1f", cells, square)
	}
}
