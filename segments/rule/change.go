package rule

import (
	"slices"
	"sort"
	"time"
)

// NextChange returns the earliest instant after env.Now, up to and including
// until, at which time alone gives the rule another answer than it has at
// env.Now: the customer stays as it is, and so do its segments. Ok is false when
// there is none. Instants are whole microseconds.
//
// It is exact. An answer depends on time only through whether a moving bound is
// before, on or after a value, so it can change only at the first instant at
// which a bound reaches a value, or passes it.
func (r *Rule) NextChange(c Customer, env Env, until time.Time) (at time.Time, ok bool) {
	first, last := now(env).UnixMicro(), until.Truncate(time.Microsecond).UnixMicro()
	var steps []int64
	for _, m := range r.movers() {
		for _, v := range m.values(c) {
			steps = append(steps, reaches(m, v, env, first, last)...)
		}
	}
	slices.Sort(steps)
	answer := r.Eval(c, env)
	for _, step := range slices.Compact(steps) {
		then := env
		then.Now = time.UnixMicro(step).UTC()
		if r.Eval(c, then) != answer {
			return then.Now, true
		}
	}
	return time.Time{}, false
}

// values returns what the mover's bound can pass of a customer.
func (m mover) values(c Customer) []any {
	owners := []Values{c}
	if m.collection != "" {
		owners = c.Elements(m.collection)
	}
	var out []any
	for _, o := range owners {
		if v := typed(m.column, "", o); v != nil {
			out = append(out, v)
		}
	}
	return out
}

// reaches returns the first microseconds after first, up to last, at which the
// mover's bound is at least v, and more than v. Bounds never decrease, so a
// binary search finds them.
func reaches(m mover, v any, env Env, first, last int64) []int64 {
	e := evaluator{env: env}
	order := func(micro int64) int {
		then := env
		then.Now = time.UnixMicro(micro)
		var bound any
		if b := m.at(then); b.IsDate() {
			bound = b.Date
		} else {
			bound = b.Instant
		}
		o, _ := e.order(bound, v)
		return o
	}
	if last <= first || order(first) == order(last) {
		return nil
	}
	var out []int64
	for _, least := range []int{0, 1} {
		step := first + 1 + int64(sort.Search(int(last-first), func(i int) bool { return order(first+1+int64(i)) >= least }))
		if step <= last {
			out = append(out, step)
		}
	}
	return out
}
