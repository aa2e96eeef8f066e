package segments_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

var soak = flag.Duration("soak", 0, "how much longer to look for disagreements; zero is a few seconds' worth")

// Random rules over random customers: Postgres and the evaluator agree on every
// one. Instants and dates are drawn exactly on, just before and just after the
// bounds that the rules have. What was drawn is the same in every run.
func TestCompile_AgreesWithEval(t *testing.T) {
	t.Parallel()
	a := agreement{envs: instants(t), uses: map[string]int{}, trues: map[string]int{}}
	until := time.Now().Add(*soak)
	for seed := 0; seed == 0 || time.Now().Before(until) && !t.Failed(); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { a.round(t, seed) })
	}
	if a.triples < 20_000 || a.on < 300 || a.beside < 300 {
		t.Errorf("%d triples, %d values on a bound, %d one step beside it", a.triples, a.on, a.beside)
	}
	for _, name := range kindNames() {
		share := 100 * float64(a.trues[name]) / float64(max(a.uses[name], 1))
		t.Logf("%-44s true in %5.1f %% of %6d uses", name, share, a.uses[name])
		if share < 10 || share > 90 {
			t.Errorf("%s was true in %.1f %% of %d uses; the test says little about it", name, share, a.uses[name])
		}
	}
	t.Logf("%d rules, %d triples, %d values on a bound, %d one step beside it", a.rules, a.triples, a.on, a.beside)
}

// An agreement is what was tried so far.
type agreement struct {
	envs                       []rule.Env
	rules, triples, on, beside int
	uses, trues                map[string]int // by kind
}

// round tries rules on customers, all new for a new seed.
func (a *agreement) round(t *testing.T, seed int) {
	const rules, customers = 1000, 100
	tab := newTable(t)
	people := map[string]customer{}
	for i := range customers {
		c := genCustomer(random(seed, i), a.envs)
		name := fmt.Sprintf("cus_%03d", i)
		tab.insert(t, name, c)
		people[name] = c
	}
	for i := range rules {
		r := random(seed, customers+i)
		g := genRule(r, i)
		checked := mustRule(t, g.source)
		a.rules++
		for _, env := range []rule.Env{a.envs[i%len(a.envs)], a.envs[(i*7+3)%len(a.envs)]} {
			a.try(t, tab, checked, env, nil, people)
			if len(checked.Segments()) > 0 {
				a.try(t, tab, checked, env, genParents(t, r), people)
			}
			a.tally(t, g, people, env)
		}
	}
}

// random is the same in every run.
func random(seed, i int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), uint64(i))) }

// try compares with the evaluator.
func (a *agreement) try(t *testing.T, tab *table, r *rule.Rule, env rule.Env, parents segments.Parents, people map[string]customer) {
	t.Helper()
	var want []string
	for _, name := range slices.Sorted(maps.Keys(people)) {
		a.triples++
		var c rule.Customer = people[name]
		if parents != nil {
			c = ruled{people[name], parents, env}
		}
		if r.Eval(c, env) {
			want = append(want, name)
		}
	}
	if got := tab.members(t, r, env, parents); !slices.Equal(got, want) {
		t.Errorf("%s\nat %s in %s\n SQL finds %v\nEval finds %v", r.Source(), env.Now.Format(time.RFC3339Nano), env.Zone, got, want)
		for name, parent := range parents {
			t.Logf("%q is %s", name, parent.Source())
		}
	}
}

// ruled is a customer who is in a segment when its rule is true.
type ruled struct {
	customer
	parents segments.Parents
	env     rule.Env
}

func (r ruled) InSegment(name string) bool { return r.parents[name].Eval(r, r.env) }

// genParents are rules of the segments, of which one names the other.
func genParents(t *testing.T, r *rand.Rand) segments.Parents {
	t.Helper()
	vip := genSource(r, 1, func() string { return element(r) })
	other := one(r, "in segment 'vip' and ", "not in segment 'vip' or ", "not (in segment 'vip' and in segment 'vip') and ") + element(r)
	return segments.Parents{"vip": mustRule(t, vip), "trial users": mustRule(t, other)}
}

// tally notes of how many customers each predicate is true, and how many values
// stand where its bounds do.
func (a *agreement) tally(t *testing.T, g generated, people map[string]customer, env rule.Env) {
	for _, p := range g.predicates {
		r := mustRule(t, p.source)
		on, beside := boundaries(r, people, env)
		a.on, a.beside = a.on+on, a.beside+beside
		trues := 0
		for _, c := range people {
			if r.Eval(c, env) {
				trues++
			}
		}
		for _, name := range p.kinds {
			a.uses[name] += len(people)
			a.trues[name] += trues
		}
	}
}

// boundaries counts the values that are exactly where the predicate's moving
// bound stands, and those a microsecond or a day beside it: of the customers, or
// of the elements when it is about a collection.
func boundaries(r *rule.Rule, people map[string]customer, env rule.Env) (on, beside int) {
	root, owners := r.Tree().Root, slices.Collect(maps.Values(people))
	if e, ok := root.(*rule.Exists); ok {
		root, owners = e.Set.Where, elementsOf(owners, e.Set.Collection)
	}
	var subject rule.Value
	var bounds []rule.Bound
	switch e := root.(type) {
	case *rule.Compare:
		left, right := e.Left, e.Right
		if _, ok := rule.BoundOf(left, env); ok {
			left, right = right, left
		}
		subject = left
		if b, ok := rule.BoundOf(right, env); ok {
			bounds = append(bounds, b)
		}
	case *rule.Within:
		subject = e.X
		from, to := rule.WindowOf(e, r.TypeOf(subject), env)
		bounds = append(bounds, from, to)
	}
	for _, bound := range bounds {
		name, of := "", owners
		switch v := subject.(type) {
		case *rule.Ref:
			name = v.Name
		case *rule.Aggregate:
			name, of = v.Set.Field, elementsOf(owners, v.Set.Collection)
		}
		o, b := atBound(name, bound, of, env)
		on, beside = on+o, beside+b
	}
	return on, beside
}

func elementsOf(owners []customer, collection string) []customer {
	var all []customer
	for _, c := range owners {
		list, _ := c[collection].([]customer)
		all = append(all, list...)
	}
	return all
}

func atBound(name string, bound rule.Bound, owners []customer, env rule.Env) (on, beside int) {
	for _, c := range owners {
		switch v := c[name].(type) {
		case time.Time:
			distances := []time.Duration{v.Sub(bound.Instant)}
			if bound.IsDate() {
				distances = []time.Duration{v.Sub(bound.Date.In(env.Zone)), v.Sub(bound.Date.AddDays(1).In(env.Zone))}
			}
			for _, d := range distances {
				switch d {
				case 0:
					on++
				case time.Microsecond, -time.Microsecond:
					beside++
				}
			}
		case rule.Date:
			switch v {
			case bound.Date:
				on++
			case bound.Date.AddDays(1), bound.Date.AddDays(-1):
				beside++
			}
		}
	}
	return on, beside
}

// instants are where the rules are evaluated: leap days, month ends, days with
// 23, 24.5 and 25 hours, a midnight that was skipped, and far east and west.
func instants(t *testing.T) []rule.Env {
	t.Helper()
	var envs []rule.Env
	for _, s := range []struct{ at, zone string }{
		{"2026-03-15T12:00:00Z", "Europe/Berlin"},
		{"2026-03-29T00:59:59.999999Z", "Europe/Berlin"},
		{"2026-10-25T01:30:00Z", "Europe/Berlin"},
		{"2026-11-01T06:00:00.000001Z", "America/New_York"},
		{"2024-02-29T23:30:00Z", "Asia/Kathmandu"},
		{"2026-01-31T00:00:00Z", "Pacific/Kiritimati"},
		{"2018-11-04T03:00:00Z", "America/Sao_Paulo"},
		{"2026-04-04T15:00:00Z", "Australia/Lord_Howe"},
		{"2028-12-31T20:15:00Z", "UTC"},
		{"2026-12-31T23:59:59.999999Z", "America/Adak"},
	} {
		envs = append(envs, rule.Env{Now: mustTime(t, s.at), Zone: mustZone(t, s.zone), Currency: "usd"})
	}
	return envs
}
