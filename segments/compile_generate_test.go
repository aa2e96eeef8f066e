package segments_test

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

// The values that rules and customers share, few enough to meet.
var (
	texts = []string{"Pro", "pro", "PRO 50%", "Pro_x", `Pr\o`, "Größe", "", "O'Brien?", "Team"}
	likes = []string{"Pro%", "%o", "P_o", `%\%`, `Pro\_%`, `Pr\\o`, "%ö%", "_____", "%", "pRO%", "GRÖßE", "gr__E"}
	parts = []string{"Pro", "o", "%", "_", `\`, "'", "ö", "T"}
	// amounts of several currencies, sub-cent prices, zero and less
	amounts    = []string{"20 usd", "20.00 eur", "49 usd", "0.000381 usd", "2000 jpy", "-5 usd", "0 usd", "200 usd"}
	numbers    = []string{"0", "1", "2", "2.5", "3", "-1", "2147483648", "0.1"}
	keys       = []string{"tier", "it's?"}
	spans      = []string{"0 days", "1 day", "30 days", "1 week", "1 month", "3 months", "1 year"}
	shortSpans = []string{"36 hours", "90 minutes", "24 hours"}
)

// A kind is a construct of the language and how one of it is written.
type kind struct {
	name  string
	write func(t *rapid.T) string
}

type predicate struct{ kind, source string }

type generated struct {
	source     string
	predicates []predicate
}

func genRule(t *rapid.T) generated {
	var g generated
	g.source = genSource(t, &g, 3)
	return g
}

func genSource(t *rapid.T, g *generated, depth int) string {
	shape := 0
	if depth > 0 {
		shape = rapid.IntRange(0, 5).Draw(t, "shape")
	}
	switch shape {
	case 3:
		return "(" + genSource(t, g, depth-1) + " and " + genSource(t, g, depth-1) + ")"
	case 4:
		return "(" + genSource(t, g, depth-1) + " or " + genSource(t, g, depth-1) + ")"
	case 5:
		return "not (" + genSource(t, g, depth-1) + ")"
	}
	k := rapid.SampledFrom(kinds).Draw(t, "kind")
	p := predicate{k.name, k.write(t)}
	g.predicates = append(g.predicates, p)
	return p.source
}

var kinds = []kind{
	{"text =", func(t *rapid.T) string { return one(t, "plan", "name", "metadata['tier']") + " = " + text(t) }},
	{"text !=", func(t *rapid.T) string { return one(t, "plan", "metadata['it''s?']") + " != " + text(t) }},
	{"text = text", func(t *rapid.T) string { return one(t, "plan = name", "name = metadata['tier']") }},
	{"text in", func(t *rapid.T) string {
		return "plan in (" + list(t, func() string { return text(t) }) + ")"
	}},
	{"text not in", func(t *rapid.T) string {
		return "plan not in (" + list(t, func() string { return text(t) }) + ")"
	}},
	{"like", func(t *rapid.T) string { return "plan like " + quoted(one(t, likes...)) }},
	{"not like", func(t *rapid.T) string { return "name not like " + quoted(one(t, likes...)) }},
	{"ilike", func(t *rapid.T) string { return "name ilike " + quoted(one(t, likes...)) }},
	{"contains", func(t *rapid.T) string { return "name contains " + quoted(one(t, parts...)) }},
	{"starts with", func(t *rapid.T) string { return "plan starts with " + quoted(one(t, "P", "Pr", "p", "T", "Gr", `Pr\`)) }},
	{"ends with", func(t *rapid.T) string { return "plan ends with " + quoted(one(t, "o", "%", "x", "e", "?", `\o`)) }},
	{"metadata matches", func(t *rapid.T) string { return "metadata['tier'] ilike " + quoted(one(t, likes...)) }},
	{"list contains", func(t *rapid.T) string { return "plans contains " + text(t) }},
	{"list not contains", func(t *rapid.T) string { return "plans not contains " + text(t) }},
	{"is null", func(t *rapid.T) string { return anything(t) + " is null" }},
	{"is set", func(t *rapid.T) string { return anything(t) + " is set" }},
	{"is not null", func(t *rapid.T) string { return anything(t) + " is not null" }},
	{"boolean", func(t *rapid.T) string { return one(t, "deleted", "livemode") }},
	{"boolean is", func(t *rapid.T) string {
		return one(t, "deleted", "livemode") + " is " + one(t, "true", "false", "not true", "not false")
	}},
	{"boolean =", func(t *rapid.T) string {
		return "livemode " + one(t, "=", "!=") + " " + one(t, "true", "false", "deleted")
	}},
	{"boolean in", func(t *rapid.T) string { return "livemode in (" + one(t, "true", "false", "false, true") + ")" }},
	{"money compared", func(t *rapid.T) string {
		return one(t, "plan_price", "mrr") + " " + order(t) + " " + one(t, amounts...)
	}},
	{"money !=", func(t *rapid.T) string { return "plan_price != " + one(t, amounts...) }},
	{"money with a bare number", func(t *rapid.T) string { return "plan_price " + order(t) + " " + one(t, "20", "49", "-5", "0.000381") }},
	{"money on the right", func(t *rapid.T) string { return one(t, amounts...) + " " + order(t) + " plan_price" }},
	{"money with money", func(t *rapid.T) string { return "plan_price " + order(t) + " mrr" }},
	{"money between", func(t *rapid.T) string {
		return "plan_price " + one(t, "", "not ") + "between " + one(t, "20 usd and 49 usd", "-5 and 20", "0.000381 and 200", "1 eur and 20 eur", "1 jpy and 2000 jpy")
	}},
	{"money between attributes", func(t *rapid.T) string {
		return one(t, "plan_price between 0 and mrr", "mrr between plan_price and 200 usd", "20 usd between plan_price and mrr", "mrr between plan_price and plan_price")
	}},
	{"money in", func(t *rapid.T) string {
		return "plan_price " + one(t, "", "not ") + "in (" + one(t, "20 usd, 20 eur", "49 usd, 2000 jpy, 0 usd", "20, 49", "0.000381 usd") + ")"
	}},
	{"number compared", func(t *rapid.T) string {
		return one(t, "quantity", "plan_interval_count", "open_invoice_count") + " " + order(t) + " " + one(t, numbers...)
	}},
	{"number with number", func(t *rapid.T) string { return "quantity " + order(t) + " open_invoice_count" }},
	{"number between", func(t *rapid.T) string {
		return "quantity " + one(t, "", "not ") + "between " + one(t, "1 and 2.5", "0 and 2147483648", "-1 and open_invoice_count")
	}},
	{"number in", func(t *rapid.T) string {
		return one(t, "quantity", "open_invoice_count") + " in (" + one(t, "1, 2", "2.5, 3, 0.1", "0, 2147483648", "2.5, 0") + ")"
	}},
	{"date compared", func(t *rapid.T) string { return "card_expires_at " + order(t) + " " + day(t) }},
	{"date before or after", func(t *rapid.T) string { return "card_expires_at " + one(t, "before", "after") + " " + day(t) }},
	{"date on the right", func(t *rapid.T) string { return day(t) + " " + order(t) + " card_expires_at" }},
	{"date between", func(t *rapid.T) string {
		return "card_expires_at " + one(t, "", "not ") + "between today() - " + one(t, spans...) + " and " + one(t, "today()", "today() + 30 days", "today() + 1 month")
	}},
	{"date in", func(t *rapid.T) string {
		return "card_expires_at " + one(t, "", "not ") + "in (" + one(t, "date '2026-03-15'", "date '2024-02-29', date '2026-12-31', date '2026-01-31'") + ")"
	}},
	{"date within", func(t *rapid.T) string {
		return "card_expires_at " + one(t, "", "not ") + "within " + one(t, "next", "last") + " " + one(t, spans...)
	}},
	{"instant with now", func(t *rapid.T) string { return "last_charge_at " + order(t) + " " + moment(t) }},
	{"instant before or after", func(t *rapid.T) string {
		return "next_charge_at " + one(t, "before", "after") + " " + one(t, moment(t), day(t))
	}},
	{"instant on the right", func(t *rapid.T) string { return moment(t) + " " + order(t) + " next_charge_at" }},
	{"instant with a timestamp", func(t *rapid.T) string {
		return "last_charge_at " + order(t) + " timestamp '" + one(t, "2026-03-15T12:00:00Z", "2026-03-29T02:59:59.999999+02:00", "2018-11-04T03:00:00Z") + "'"
	}},
	{"instant with a day", func(t *rapid.T) string {
		return one(t, "last_charge_at", "next_charge_at") + " " + order(t) + " " + day(t)
	}},
	{"instant on a day", func(t *rapid.T) string { return "last_charge_at " + one(t, "=", "!=") + " " + day(t) }},
	{"instant with instant", func(t *rapid.T) string { return "last_charge_at " + order(t) + " next_charge_at" }},
	{"instant between", func(t *rapid.T) string {
		return "last_charge_at " + one(t, "", "not ") + "between " + one(t, "today()", "now()", "date '2018-01-01'", "today() - 1 month") + " and " + one(t, "now() + 1 month", "today() + 30 days", "next_charge_at", "card_expires_at")
	}},
	{"instant in", func(t *rapid.T) string {
		return "last_charge_at " + one(t, "", "not ") + "in (" + one(t, "date '2026-03-15', date '2018-11-04'", "timestamp '2026-03-15T12:00:00Z', date '2026-01-31'", "timestamp '2026-01-31T00:00:00Z'") + ")"
	}},
	{"instant within", func(t *rapid.T) string {
		return one(t, "last_charge_at", "next_charge_at") + " " + one(t, "", "not ") + "within " + one(t, "next", "last") + " " + one(t, append(shortSpans, spans[1:]...)...)
	}},
	{"date with instant", func(t *rapid.T) string {
		return one(t, "card_expires_at "+order(t)+" last_charge_at", "last_charge_at "+order(t)+" card_expires_at")
	}},
}

func one(t *rapid.T, of ...string) string { return rapid.SampledFrom(of).Draw(t, "one") }

func text(t *rapid.T) string { return quoted(one(t, texts...)) }

func order(t *rapid.T) string { return one(t, "=", "!=", "<", "<=", ">", ">=") }

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func list(t *rapid.T, item func() string) string {
	items := []string{item()}
	for range rapid.IntRange(0, 2).Draw(t, "more") {
		items = append(items, item())
	}
	return strings.Join(items, ", ")
}

func anything(t *rapid.T) string {
	return one(t, "plan", "plan_price", "livemode", "plans", "card_expires_at", "last_charge_at", "quantity", "metadata['tier']", "metadata['it''s?']")
}

func day(t *rapid.T) string {
	return one(t, "today()", "date '2026-03-15'", "date '2024-02-29'", "today() + "+one(t, spans...), "today() - "+one(t, spans...))
}

func moment(t *rapid.T) string {
	return one(t, "now()", "now() + "+one(t, spans...), "now() - "+one(t, spans...), "now() - "+one(t, shortSpans...))
}

// genCustomer draws each value from what the rules ask for; one in six is missing.
func genCustomer(t *rapid.T, envs []rule.Env) customer {
	c := customer{"metadata": map[string]string{}}
	set := func(name string, v func() any) {
		if rapid.IntRange(0, 5).Draw(t, name) > 0 {
			c[name] = v()
		}
	}
	for _, name := range []string{"plan", "name"} {
		set(name, func() any { return one(t, texts...) })
	}
	for _, name := range []string{"plan_price", "mrr"} {
		set(name, func() any {
			amount, currency, _ := strings.Cut(one(t, amounts...), " ")
			return rule.Money{Amount: decimal(amount), Currency: currency}
		})
	}
	set("quantity", func() any { return decimal(one(t, numbers...)) })
	for _, name := range []string{"plan_interval_count", "open_invoice_count"} {
		set(name, func() any { return decimal(one(t, "0", "1", "2", "3", "-1")) })
	}
	for _, name := range []string{"deleted", "livemode"} {
		set(name, func() any { return rapid.Bool().Draw(t, "bool") })
	}
	set("plans", func() any { return rapid.SliceOfN(rapid.SampledFrom(texts), 0, 4).Draw(t, "plans") })
	for _, key := range keys {
		if rapid.IntRange(0, 3).Draw(t, key) > 0 {
			c["metadata"].(map[string]string)[key] = one(t, texts...)
		}
	}
	env := envs[rapid.IntRange(0, 1<<30).Draw(t, "env")%len(envs)]
	set("card_expires_at", func() any {
		return genBound(t, "today()", env).Date.AddDays(rapid.IntRange(-1, 1).Draw(t, "beside"))
	})
	for _, name := range []string{"last_charge_at", "next_charge_at"} {
		set(name, func() any {
			at := genBound(t, "now()", env).Instant
			if rapid.Bool().Draw(t, "a day's edge") {
				at = genBound(t, "today()", env).Date.In(env.Zone)
			}
			return at.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "beside")) * time.Microsecond)
		})
	}
	return c
}

// genBound is where a moment of the rules stands in one of the instants.
func genBound(t *rapid.T, base string, env rule.Env) rule.Bound {
	tree, err := rule.Parse(fmt.Sprintf("x < %s %s", base, one(t, "", "+ "+one(t, spans...), "- "+one(t, spans...))))
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
