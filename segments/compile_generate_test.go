package segments_test

import (
	"math/rand/v2"
	"strings"
)

// The values that rules and customers share, few enough to meet. The more often
// one is listed, the more often it is drawn.
var (
	texts = []string{"Pro", "Pro", "Pro", "Pro", "Pro", "Pro", "Pro", "Pro", "Pro", "pro", "PRO 50%", "Pro_x", `Pr\o`, "Größe", "", "O'Brien?", "Team"}
	likes = []string{"Pro%", "%o", "P_o", `%\%`, `Pro\_%`, `Pr\\o`, "%ö%", "_____", "%", "pRO%", "GRÖßE", "gr__E"}
	parts = []string{"Pro", "Pro", "Pro", "o", "o", "%", "_", `\`, "'", "ö", "T"}
	// amounts of several currencies, sub-cent prices, zero and less
	amounts    = []string{"20 usd", "20 usd", "20.00 eur", "49 usd", "49 usd", "49 usd", "49 usd", "49 usd", "0.000381 usd", "2000 jpy", "-5 usd", "0 usd", "200 usd"}
	numbers    = []string{"0", "1", "2", "2.5", "3", "-1", "2147483648", "0.1"}
	keys       = []string{"tier", "it's?"}
	statuses   = []string{"open", "paid", "failed"}
	spans      = []string{"0 days", "1 day", "30 days", "1 week", "1 month", "3 months", "1 year"}
	shortSpans = []string{"36 hours", "90 minutes", "24 hours"}
)

// A kind is a construct of the language and how one of it is written.
type kind struct {
	name  string
	write func(r *rand.Rand) string
}

// A predicate is one leaf of a rule. It is an example of several constructs when
// it has an aggregate in it.
type predicate struct {
	kinds  []string
	source string
}

type generated struct {
	source     string
	predicates []predicate
}

// genRule is one of a series, in which every kind comes up again and again.
func genRule(r *rand.Rand, i int) generated {
	var g generated
	g.source = genSource(r, 2, func() string {
		p := genPredicate(r, i)
		i = r.IntN(1 << 20)
		g.predicates = append(g.predicates, p)
		return p.source
	})
	return g
}

// genPredicate is by turns about the customer, about an element, about an
// aggregate in the place of an attribute, and about the rest of sets.
func genPredicate(r *rand.Rand, i int) predicate {
	k := kinds[i/4%len(kinds)]
	switch i % 4 {
	case 0:
		return predicate{[]string{k.name}, k.write(r)}
	case 1:
		return predicate{[]string{"where " + k.name}, "exists (things where " + k.write(r) + ")"}
	case 2:
		for {
			if source, names, ok := aggregated(r, k.write(r)); ok {
				return predicate{append(names, "aggregate in "+k.name), source}
			}
			k = oneOf(r, kinds) // metadata and lists have no aggregates
		}
	}
	k = setKinds[i/4%len(setKinds)]
	return predicate{[]string{k.name}, k.write(r)}
}

// genSource joins leaves with and, or and not.
func genSource(r *rand.Rand, depth int, leaf func() string) string {
	shape := 0
	if depth > 0 {
		shape = r.IntN(6)
	}
	switch shape {
	case 3:
		return "(" + genSource(r, depth-1, leaf) + " and " + genSource(r, depth-1, leaf) + ")"
	case 4:
		return "(" + genSource(r, depth-1, leaf) + " or " + genSource(r, depth-1, leaf) + ")"
	case 5:
		return "not (" + genSource(r, depth-1, leaf) + ")"
	}
	return leaf()
}

var kinds = []kind{
	{"text =", func(r *rand.Rand) string { return one(r, "plan", "name", "metadata['tier']") + " = " + text(r) }},
	{"text !=", func(r *rand.Rand) string { return one(r, "plan", "metadata['it''s?']") + " != " + text(r) }},
	{"text = text", func(r *rand.Rand) string { return one(r, "plan = name", "name = metadata['tier']") }},
	{"text in", func(r *rand.Rand) string {
		return "plan in (" + literals(r, func() string { return text(r) }) + ")"
	}},
	{"text not in", func(r *rand.Rand) string {
		return "plan not in (" + literals(r, func() string { return text(r) }) + ")"
	}},
	{"like", func(r *rand.Rand) string { return "plan like " + quoted(one(r, likes...)) }},
	{"not like", func(r *rand.Rand) string { return "name not like " + quoted(one(r, likes...)) }},
	{"ilike", func(r *rand.Rand) string { return "name ilike " + quoted(one(r, likes...)) }},
	{"contains", func(r *rand.Rand) string { return "name contains " + quoted(one(r, parts...)) }},
	{"starts with", func(r *rand.Rand) string {
		return "plan starts with " + quoted(one(r, "P", "Pr", "p", "T", "Gr", `Pr\`))
	}},
	{"ends with", func(r *rand.Rand) string {
		return "plan ends with " + quoted(one(r, "o", "o", "o", "%", "x", "e", "?", `\o`))
	}},
	{"metadata matches", func(r *rand.Rand) string { return "metadata['tier'] ilike " + quoted(one(r, likes...)) }},
	{"list contains", func(r *rand.Rand) string { return "plans contains " + text(r) }},
	{"list not contains", func(r *rand.Rand) string { return "plans not contains " + text(r) }},
	{"is null", func(r *rand.Rand) string { return anything(r) + " is null" }},
	{"is set", func(r *rand.Rand) string { return anything(r) + " is set" }},
	{"is not null", func(r *rand.Rand) string { return anything(r) + " is not null" }},
	{"boolean", func(r *rand.Rand) string { return one(r, "deleted", "livemode") }},
	{"boolean is", func(r *rand.Rand) string {
		return one(r, "deleted", "livemode") + " is " + one(r, "true", "false", "not true", "not false")
	}},
	{"boolean =", func(r *rand.Rand) string {
		return "livemode " + one(r, "=", "!=") + " " + one(r, "true", "false", "deleted")
	}},
	{"boolean in", func(r *rand.Rand) string { return "livemode in (" + one(r, "true", "false", "false, true") + ")" }},
	{"money compared", func(r *rand.Rand) string {
		return one(r, "plan_price", "mrr") + " " + order(r) + " " + one(r, amounts...)
	}},
	{"money !=", func(r *rand.Rand) string {
		return "plan_price != " + one(r, "49 usd", "49 usd", "20 usd", one(r, amounts...))
	}},
	{"money with a bare number", func(r *rand.Rand) string {
		return "plan_price " + order(r) + " " + one(r, "20", "49", "-5", "0.000381")
	}},
	{"money on the right", func(r *rand.Rand) string { return one(r, amounts...) + " " + order(r) + " plan_price" }},
	{"money with money", func(r *rand.Rand) string { return "plan_price " + order(r) + " mrr" }},
	{"money between", func(r *rand.Rand) string {
		return "plan_price " + one(r, "", "not ") + "between " + one(r, "20 usd and 49 usd", "-5 and 20", "0.000381 and 200", "1 eur and 20 eur", "1 jpy and 2000 jpy")
	}},
	{"money between attributes", func(r *rand.Rand) string {
		return one(r, "plan_price between 0 and mrr", "mrr between plan_price and 200 usd", "20 usd between plan_price and mrr", "mrr between plan_price and plan_price")
	}},
	{"money in", func(r *rand.Rand) string {
		return "plan_price " + one(r, "", "not ") + "in (" + one(r, "20 usd, 20 eur", "49 usd, 2000 jpy, 0 usd", "20, 49", "0.000381 usd") + ")"
	}},
	{"number compared", func(r *rand.Rand) string {
		return one(r, "quantity", "plan_interval_count", "open_invoice_count") + " " + order(r) + " " + one(r, numbers...)
	}},
	{"number with number", func(r *rand.Rand) string { return "quantity " + order(r) + " open_invoice_count" }},
	{"number between", func(r *rand.Rand) string {
		return "quantity " + one(r, "", "not ") + "between " + one(r, "1 and 2.5", "0 and 2147483648", "-1 and open_invoice_count")
	}},
	{"number in", func(r *rand.Rand) string {
		return one(r, "quantity", "open_invoice_count") + " in (" + one(r, "1, 2, 3", "2.5, 3, 0.1, 1", "0, 1, 2147483648", "2.5, 0, 2") + ")"
	}},
	{"date compared", func(r *rand.Rand) string { return "card_expires_at " + order(r) + " " + day(r) }},
	{"date before or after", func(r *rand.Rand) string { return "card_expires_at " + one(r, "before", "after") + " " + day(r) }},
	{"date on the right", func(r *rand.Rand) string { return day(r) + " " + order(r) + " card_expires_at" }},
	{"date between", func(r *rand.Rand) string {
		return "card_expires_at " + one(r, "", "not ") + "between today() - " + one(r, spans...) + " and " + one(r, "today()", "today() + 30 days", "today() + 1 month")
	}},
	{"date in", func(r *rand.Rand) string {
		return "card_expires_at " + one(r, "", "not ") + "in (" + one(r, "date '2026-03-15'", "date '2024-02-29', date '2026-12-31', date '2026-01-31'") + ")"
	}},
	{"date within", func(r *rand.Rand) string {
		return "card_expires_at " + one(r, "", "not ") + "within " + one(r, "next", "last") + " " + one(r, spans...)
	}},
	{"instant with now", func(r *rand.Rand) string { return "last_charge_at " + order(r) + " " + moment(r) }},
	{"instant before or after", func(r *rand.Rand) string {
		return "next_charge_at " + one(r, "before", "after") + " " + one(r, moment(r), day(r))
	}},
	{"instant on the right", func(r *rand.Rand) string { return moment(r) + " " + order(r) + " next_charge_at" }},
	{"instant with a timestamp", func(r *rand.Rand) string {
		return "last_charge_at " + order(r) + " timestamp '" + one(r, "2026-03-15T12:00:00Z", "2026-03-29T02:59:59.999999+02:00", "2018-11-04T03:00:00Z") + "'"
	}},
	{"instant with a day", func(r *rand.Rand) string {
		return one(r, "last_charge_at", "next_charge_at") + " " + order(r) + " " + day(r)
	}},
	{"instant on a day", func(r *rand.Rand) string { return "last_charge_at " + one(r, "=", "!=") + " " + day(r) }},
	{"instant with instant", func(r *rand.Rand) string { return "last_charge_at " + order(r) + " next_charge_at" }},
	{"instant between", func(r *rand.Rand) string {
		return "last_charge_at " + one(r, "", "not ") + "between " + one(r, "today()", "now()", "date '2018-01-01'", "today() - 1 month") + " and " + one(r, "now() + 1 month", "today() + 30 days", "next_charge_at", "card_expires_at")
	}},
	{"instant in", func(r *rand.Rand) string {
		return "last_charge_at " + one(r, "", "not ") + "in (" + one(r, "date '2026-03-15', date '2018-11-04'", "timestamp '2026-03-15T12:00:00Z', date '2026-01-31'", "timestamp '2026-01-31T00:00:00Z'") + ")"
	}},
	{"instant within", func(r *rand.Rand) string {
		return one(r, "last_charge_at", "next_charge_at") + " " + one(r, "", "not ") + "within " + one(r, "next", "last") + " " + one(r, append(shortSpans, spans[1:]...)...)
	}},
	{"date with instant", func(r *rand.Rand) string {
		return one(r, "card_expires_at "+order(r)+" last_charge_at", "last_charge_at "+order(r)+" card_expires_at")
	}},
}

func one(r *rand.Rand, of ...string) string { return oneOf(r, of) }

func oneOf[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

func text(r *rand.Rand) string { return quoted(one(r, texts...)) }

func order(r *rand.Rand) string { return one(r, "=", "!=", "<", "<=", ">", ">=") }

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func literals(r *rand.Rand, item func() string) string {
	items := []string{item()}
	for range r.IntN(3) {
		items = append(items, item())
	}
	return strings.Join(items, ", ")
}

func anything(r *rand.Rand) string {
	return one(r, "plan", "plan_price", "livemode", "plans", "card_expires_at", "last_charge_at", "quantity", "metadata['tier']", "metadata['it''s?']")
}

func day(r *rand.Rand) string {
	return one(r, "today()", "date '2026-03-15'", "date '2024-02-29'", "today() + "+one(r, spans...), "today() - "+one(r, spans...))
}

func moment(r *rand.Rand) string {
	return one(r, "now()", "now() + "+one(r, spans...), "now() - "+one(r, spans...), "now() - "+one(r, shortSpans...))
}
