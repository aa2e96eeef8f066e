package rule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/segments/rule"
)

// Every rule that the checker accepts is true or false for every customer, and
// not is its complement.
func TestEval_TwoValued(t *testing.T) {
	t.Parallel()
	trues, sets := 0, 0
	all := draws(3000)
	for _, d := range all {
		got := mustNew(t, d.source).Eval(d.customer, d.env)
		if mustNew(t, "not ("+d.source+")").Eval(d.customer, d.env) == got {
			t.Fatalf("%s\nand its complement are both %t", d.source, got)
		}
		if got {
			trues++
		}
		if strings.Contains(d.source, " where ") {
			sets++
		}
	}
	if trues < len(all)/4 || trues > len(all)*3/4 || sets < len(all)/4 {
		t.Errorf("of %d rules %d are true and %d have a where; the test says little", len(all), trues, sets)
	}
	t.Logf("of %d rules %d are true, %d have a where", len(all), trues, sets)
}

// Formatting changes neither the tree nor the answer.
func TestFormat_KeepsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, d := range draws(1000) {
		r := mustNew(t, d.source)
		text := rule.Format(r.Tree())
		again := mustNew(t, text)
		if diff := cmp.Diff(r.Tree(), again.Tree(), sameTree); diff != "" {
			t.Fatalf("Parse(Format(tree)) is another tree\n%s\n%s\n%s", d.source, text, diff)
		}
		if r.Eval(d.customer, d.env) != again.Eval(d.customer, d.env) {
			t.Fatalf("%s\nhas another answer than\n%s", d.source, text)
		}
	}
}

// Between two instants no answer changes but those of the owners of a value that
// a bound has passed. This is what makes looking only at them exact
// (exact-membership).
func TestRule_Crossings_CoverEveryFlip(t *testing.T) {
	t.Parallel()
	flips, inSets, onBound := 0, 0, 0
	all := draws(12000)
	for _, d := range all {
		r := mustNew(t, d.source)
		if r.Eval(d.customer, d.env) == r.Eval(d.customer, d.later) {
			continue
		}
		flips++
		crossed, on, collection := covers(r.Crossings(d.env, d.later), d.customer)
		if !crossed {
			t.Fatalf("%s\nflips between %s and %s in %s\nand no crossing covers it: %v\n%v",
				d.source, d.env.Now, d.later.Now, d.env.Zone, r.Crossings(d.env, d.later), d.customer)
		}
		if on {
			onBound++
		}
		if collection {
			inSets++
		}
	}
	if flips < 700 || inSets < 200 || onBound < 400 {
		t.Errorf("of %d rules %d flipped, %d by an element, %d with a value on an end; the test says little", len(all), flips, inSets, onBound)
	}
	t.Logf("of %d rules %d flipped, %d by an element, %d with a value on an end", len(all), flips, inSets, onBound)
}

// covers says whether some crossing covers a value of the customer, and whether
// one is exactly at an end, and whether one is an element's.
func covers(list []rule.Crossing, c values) (covered, on, collection bool) {
	for _, x := range list {
		owners := []values{c}
		if x.Collection != "" {
			owners, _ = c[x.Collection].([]values)
		}
		for _, o := range owners {
			from, to := compareBound(x.From, o[x.Name]), compareBound(x.To, o[x.Name])
			if o[x.Name] == nil || from > 0 || to < 0 {
				continue
			}
			covered, on, collection = true, on || from == 0 || to == 0, collection || x.Collection != ""
		}
	}
	return covered, on, collection
}

func compareBound(b rule.Bound, v any) int {
	switch v := v.(type) {
	case rule.Date:
		return b.Date.Compare(v)
	case time.Time:
		return b.Instant.Compare(v)
	}
	return 0
}

func TestRule_Crossings(t *testing.T) {
	t.Parallel()
	was := rule.Env{Now: mustTime(t, "2026-11-22T22:00:00Z"), Zone: mustZone(t, "Europe/Berlin")}
	is := was
	is.Now = was.Now.Add(2 * time.Hour)
	tests := []struct{ source, want string }{
		{"card_expires_at < today()", "card_expires_at 2026-11-22 2026-11-23"},
		{"card_expires_at < today() or today() > card_expires_at", "card_expires_at 2026-11-22 2026-11-23"},
		{"card_expires_at < date '2026-11-23' and plan = 'Pro'", ""},
		{"next_charge_at < now() - 1 hour", "next_charge_at 2026-11-22T21:00:00Z 2026-11-22T23:00:00Z"},
		{"next_charge_at = today()", "next_charge_at 2026-11-21T23:00:00Z 2026-11-23T23:00:00Z"},
		{"card_expires_at within next 1 day", "card_expires_at 2026-11-22 2026-11-23; card_expires_at 2026-11-23 2026-11-24"},
		{"exists (invoices where due_at < now())", "invoices.due_at 2026-11-22T22:00:00Z 2026-11-23T00:00:00Z"},
		{"exists (invoices where customer.next_charge_at < now())", "next_charge_at 2026-11-22T22:00:00Z 2026-11-23T00:00:00Z"},
		{"max(Invoices.Due_at where created_at > now() - 1 day) <= today()",
			"invoices.created_at 2026-11-21T22:00:00Z 2026-11-22T00:00:00Z; invoices.due_at 2026-11-21T23:00:00Z 2026-11-23T23:00:00Z"},
		{"today() between card_expires_at and max(charges.settles_on)",
			"card_expires_at 2026-11-22 2026-11-23; charges.settles_on 2026-11-22 2026-11-23"},
	}
	for _, tt := range tests {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			var parts []string
			for _, c := range mustNew(t, tt.source).Crossings(was, is) {
				name := strings.TrimPrefix(c.Collection+"."+c.Name, ".")
				parts = append(parts, name+" "+showBound(c.From)+" "+showBound(c.To))
			}
			if got := strings.Join(parts, "; "); got != tt.want {
				t.Errorf("Crossings\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func showBound(b rule.Bound) string {
	if b.IsDate() {
		return b.Date.String()
	}
	return b.Instant.Format(time.RFC3339Nano)
}
