package rule_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

// A drawn is a rule that the checker accepts, a customer whose times are on and
// beside the rule's bounds, and two instants.
type drawn struct {
	source   string
	customer values
	env      rule.Env
	later    rule.Env
}

// draws returns the first n cases, which are the same in every run.
func draws(n int) []drawn { return allDraws()[:n] }

var allDraws = sync.OnceValue(func() []drawn {
	gen := rapid.Custom(genDrawn).Filter(func(d drawn) bool {
		_, err := rule.New(d.source, attributes, "usd")
		if err != nil && !strings.Contains(err.Error(), "nothing lies between") {
			panic(d.source + "\n" + explain(err)) // the generator is wrong
		}
		return err == nil
	})
	out := make([]drawn, 12000)
	for i := range out {
		out[i] = gen.Example(i)
	}
	return out
})

func genDrawn(t *rapid.T) drawn {
	g := typedGen{T: t, bounds: map[string][]rule.Bound{}, env: rule.Env{Zone: pick(t, berlin, newYork, time.UTC, apia), Currency: "usd"}}
	g.env.Now = genNow(t, g.env.Zone)
	g.later = g.env
	g.later.Now = g.env.Now.Add(pick(t, time.Microsecond, time.Hour, 23*time.Hour, 24*time.Hour, 25*time.Hour, 7*24*time.Hour,
		29*24*time.Hour, 31*24*time.Hour, 370*24*time.Hour, time.Duration(rapid.Int64Range(0, int64(60*24*time.Hour)).Draw(t, "later"))))
	d := drawn{source: g.expr(pick(t, 0, 0, 1, 2)), env: g.env, later: g.later}
	if r, err := rule.New(d.source, attributes, "usd"); err == nil {
		g.reads = r.Reads()
		for _, c := range r.Crossings(d.env, d.later) {
			key := strings.TrimPrefix(c.Collection+"."+c.Name, ".")
			g.bounds[key] = append(g.bounds[key], c.From, c.To)
		}
	}
	d.customer = g.customer()
	return d
}

var berlin, newYork, apia = zone("Europe/Berlin"), zone("America/New_York"), zone("Pacific/Apia")

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

// genNow prefers where calendars are difficult, on the bound and beside it.
func genNow(t *rapid.T, zone *time.Location) time.Time {
	hard := pick(t, "2024-02-28", "2024-02-29", "2025-02-28", "2025-03-01", "2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01",
		"2026-01-29", "2026-01-31", "2026-04-30", "2026-12-31", "2027-01-01", "2011-12-29", "2011-12-31", "2026-11-22")
	day, err := rule.ParseDate(hard)
	if err != nil {
		panic(err)
	}
	return day.In(zone).Add(pick(t, -time.Microsecond, 0, time.Microsecond, time.Hour, 2*time.Hour, 3*time.Hour-time.Microsecond, 12*time.Hour))
}

// pick draws one of the values.
func pick[T any](t *rapid.T, list ...T) T {
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "pick")]
}

type typedGen struct {
	*rapid.T
	env, later rule.Env
	inside     *rule.Collection
	reads      []string
	bounds     map[string][]rule.Bound // of the rule, by column, at both instants
}

// steps are the durations of rules, and of customers' values from now.
var steps = []rule.Duration{
	{Unit: rule.Day}, {N: 1, Unit: rule.Day}, {N: 1, Unit: rule.Week}, {N: 30, Unit: rule.Day}, {N: 1, Unit: rule.Month}, {N: 1, Unit: rule.Year},
	{N: -1, Unit: rule.Day}, {N: -30, Unit: rule.Day}, {N: -1, Unit: rule.Month}, {N: -1, Unit: rule.Year},
}

func (g typedGen) expr(depth int) string {
	if depth == 0 {
		return g.predicate()
	}
	switch pick(g.T, 0, 0, 1, 2, 3) {
	case 1:
		return "(" + g.expr(depth-1) + " and " + g.expr(depth-1) + ")"
	case 2:
		return "(" + g.expr(depth-1) + " or " + g.expr(depth-1) + ")"
	case 3:
		return "not " + g.expr(depth-1)
	}
	return g.predicate()
}

func (g typedGen) predicate() string {
	if g.inside == nil {
		switch pick(g.T, 0, 0, 0, 0, 0, 0, 1, 1, 2) {
		case 1:
			return "exists (" + g.set() + ")"
		case 2:
			return "in segment " + pick(g.T, "'vip'", "'trial users'")
		}
	}
	typ := pick(g.T, rule.DateType, rule.InstantType, rule.DateType, rule.InstantType, rule.DateType, rule.InstantType,
		rule.InstantType, rule.InstantType, rule.Number, rule.MoneyType, rule.Text, rule.Boolean)
	left := g.value(typ)
	if left == "" {
		return pick(g.T, "created_at", "id") + " is set"
	}
	not := pick(g.T, "", "", "not ")
	switch k := rapid.IntRange(0, 12).Draw(g.T, "kind"); {
	case k == 0 && !strings.HasPrefix(left, "count("):
		return left + " is " + not + pick(g.T, "null", "set")
	case typ == rule.Boolean:
		return pick(g.T, left, left+" is "+not+"true", left+" is false", left+" != true")
	case typ == rule.Text && k < 3:
		return left + " " + not + pick(g.T, "like", "contains", "starts with") + " " + pick(g.T, "'a%'", "'a'", "'Pr_'")
	case (typ == rule.DateType || typ == rule.InstantType) && k < 5:
		return left + " " + not + "within " + pick(g.T, "next", "last") + " " + steps[rapid.IntRange(0, 5).Draw(g.T, "for")].String()
	case k == 6 && typ != rule.Text:
		return left + " " + not + "between " + g.right(typ) + " and " + g.right(typ)
	case k == 5:
		return left + " " + not + "in (" + g.literal(typ) + ", " + g.literal(typ) + ")"
	case typ == rule.Text:
		return left + pick(g.T, " = ", " != ") + g.right(typ)
	}
	right := g.right(typ)
	if pick(g.T, 0, 0, 0, 1) == 1 {
		if rapid.Bool().Draw(g.T, "between") {
			return g.right(typ) + " between " + left + " and " + right
		}
		left, right = right, left
	}
	return left + pick(g.T, " = ", " != ", " < ", " <= ", " > ", " >= ") + right
}

// value names something of a type: the element's, the customer's, or worked out
// of elements. It is empty when an element has no such field.
func (g typedGen) value(typ rule.Type) string {
	if g.inside != nil {
		if pick(g.T, 0, 0, 0, 1) == 1 {
			return "customer." + g.name(attributes.attributes, typ)
		}
		return g.name(g.inside.Fields, typ)
	}
	if pick(g.T, 0, 0, 1) == 1 {
		if a := g.aggregate(typ); a != "" {
			return a
		}
	}
	return g.name(attributes.attributes, typ)
}

func (g typedGen) name(list []rule.Attribute, typ rule.Type) string {
	var names []string
	for _, a := range list {
		if a.Type == typ && len(a.Values) == 0 && (typ != rule.Text || a.Name != "id") {
			names = append(names, a.Name)
		}
		if typ == rule.Text && a.Type == rule.MapType {
			names = append(names, a.Name+"['k']")
		}
	}
	if len(names) == 0 {
		return ""
	}
	return pick(g.T, names...)
}

func (g typedGen) aggregate(typ rule.Type) string {
	if typ == rule.Number && rapid.Bool().Draw(g.T, "count") {
		return "count(" + g.set() + ")"
	}
	c := pick(g.T, attributes.collections...)
	field := g.name(c.Fields, typ)
	if field == "" || strings.Contains(field, "[") {
		return ""
	}
	of := []string{"latest", "earliest"}
	switch typ {
	case rule.Number, rule.MoneyType:
		of = []string{"latest", "earliest", "min", "max", "sum", "avg"}
	case rule.DateType, rule.InstantType:
		of = []string{"latest", "earliest", "min", "max"}
	}
	return pick(g.T, of...) + "(" + g.where(c, c.Name+"."+field) + ")"
}

func (g typedGen) set() string {
	c := pick(g.T, attributes.collections...)
	return g.where(c, c.Name)
}

func (g typedGen) where(c rule.Collection, what string) string {
	if pick(g.T, 0, 1, 1) == 0 {
		return what
	}
	g.inside = &c
	return what + " where " + g.expr(1)
}

// right is what stands beside a value of a type.
func (g typedGen) right(typ rule.Type) string {
	switch pick(g.T, 0, 0, 0, 1) {
	case 1:
		if v := g.value(typ); v != "" {
			return v
		}
	}
	step := steps[rapid.IntRange(0, len(steps)-1).Draw(g.T, "step")]
	sign := " + "
	if step.N < 0 {
		step, sign = step.Neg(), " - "
	}
	base := "today()"
	if typ == rule.InstantType {
		base = pick(g.T, "now()", "now()", "today()")
	}
	switch {
	case typ != rule.DateType && typ != rule.InstantType:
		return g.literal(typ)
	}
	return base + sign + step.String()
}

func (g typedGen) literal(typ rule.Type) string {
	switch typ {
	case rule.Number:
		return pick(g.T, "0", "1", "2", "2.5")
	case rule.MoneyType:
		return pick(g.T, "20 usd", "0 usd", "20 eur", "5 usd")
	case rule.Boolean:
		return pick(g.T, "true", "false")
	case rule.Text:
		return pick(g.T, "'a'", "'ab'", "'Pro'", "''")
	}
	return "date " + pick(g.T, "'2026-03-29'", "'2024-02-29'", "'2026-12-31'")
}

// customer has values for all that the rule reads; some are missing.
func (g typedGen) customer() values {
	out := values{}
	for _, name := range g.reads {
		a, attribute := attributes.Attribute(name)
		c, collection := attributes.Collection(name)
		switch {
		case attribute:
			g.give(out, a, a.Name)
		case collection:
			out[name] = g.elements(c)
		}
	}
	if rapid.Bool().Draw(g.T, "vip") {
		out["in"] = []string{"vip"}
	}
	return out
}

func (g typedGen) elements(c rule.Collection) []values {
	var list []values
	for i := range rapid.IntRange(0, 3).Draw(g.T, "elements") {
		x := values{}
		for _, f := range c.Fields {
			if column := c.Name + "." + f.Name; slices.Contains(g.reads, column) {
				g.give(x, f, column)
			}
		}
		x["id"] = fmt.Sprintf("%s_%d", c.Name, i)
		x["created_at"] = g.instant(c.Name + ".created_at")
		list = append(list, x)
	}
	return list
}

func (g typedGen) give(out values, a rule.Attribute, column string) {
	if pick(g.T, 0, 0, 0, 0, 0, 1) == 1 {
		return
	}
	switch a.Type {
	case rule.Text:
		out[a.Name] = pick(g.T, "a", "ab", "Pro", "")
		if a.Values != nil {
			out[a.Name] = pick(g.T, a.Values...)
		}
	case rule.Number:
		out[a.Name] = rule.NewDecimal(pick[int64](g.T, 0, 1, 2, 25), 0)
	case rule.MoneyType:
		out[a.Name] = rule.FromMinor(pick[int64](g.T, 0, 500, 2000, 2001), pick(g.T, "usd", "usd", "usd", "eur"))
	case rule.Boolean:
		out[a.Name] = rapid.Bool().Draw(g.T, "bool")
	case rule.DateType:
		day := rule.DateOf(g.instant(""), g.env.Zone)
		if list := g.bounds[column]; len(list) > 0 && rapid.Bool().Draw(g.T, "bound") {
			day = pick(g.T, list...).Date
		}
		out[a.Name] = day.AddDays(pick(g.T, -1, 0, 0, 1))
	case rule.InstantType:
		out[a.Name] = g.instant(column)
	case rule.ListType:
		out[a.Name] = []string{"a", "ab"}
	case rule.MapType:
		out[a.Name] = map[string]string{"k": pick(g.T, "a", "ab")}
	}
}

// instant is exactly on, or one microsecond beside, a bound of the column that
// the rule has at one of the two instants, or some rule could have.
func (g typedGen) instant(column string) time.Time {
	beside := pick(g.T, -time.Microsecond, 0, 0, time.Microsecond, time.Hour)
	if list := g.bounds[column]; len(list) > 0 && pick(g.T, true, true, false) {
		return pick(g.T, list...).Instant.Add(beside)
	}
	env := pick(g.T, g.env, g.later)
	m := &rule.Moment{Base: pick(g.T, rule.Now, rule.Now, rule.Today), Steps: []rule.Duration{pick(g.T, steps...)}}
	b, _ := rule.BoundOf(m, env)
	at := b.Instant
	if b.IsDate() {
		at = b.Date.AddDays(pick(g.T, 0, 1)).In(env.Zone)
	}
	return at.Add(beside)
}
