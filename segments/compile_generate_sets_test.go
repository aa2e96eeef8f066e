package segments_test

import (
	"math/rand/v2"
	"slices"

	"github.com/dunlin/dunlin/segments/rule"
)

// functions are the aggregates that take a type.
var functions = map[rule.Type][]string{
	rule.Text:        {"latest", "earliest"},
	rule.Boolean:     {"latest", "earliest"},
	rule.Number:      {"count", "sum", "avg", "avg", "min", "max", "latest", "earliest"},
	rule.MoneyType:   {"sum", "avg", "min", "max", "latest", "earliest"},
	rule.DateType:    {"min", "max", "latest", "earliest"},
	rule.InstantType: {"min", "max", "latest", "earliest"},
}

// setKinds are what is not a kind of predicate inside where, nor one with an
// aggregate in the place of an attribute.
var setKinds = []kind{
	{"exists", func(r *rand.Rand) string {
		return "exists (" + one(r, "things", "invoices", "charges", "subscriptions") + ")"
	}},
	{"not exists", func(r *rand.Rand) string { return "not exists (" + set(r, "things", "") + ")" }},
	{"exists where and, or, not", func(r *rand.Rand) string {
		return "exists (things where " + genSource(r, 2, func() string { return element(r) }) + ")"
	}},
	{"not exists where and, or, not", func(r *rand.Rand) string {
		return "not exists (things where " + genSource(r, 2, func() string { return element(r) }) + ")"
	}},
	{"exists of invoices", func(r *rand.Rand) string {
		return "exists (invoices where status = " + quoted(one(r, statuses...)) + " and " + one(r, "amount_due >= 20 usd", "attempt_count > 1", "due_at < now()", "due_at is null", "amount_remaining != customer.mrr") + ")"
	}},
	{"exists of charges", func(r *rand.Rand) string {
		return "exists (charges where " + one(r, "refunded", "not refunded and settles_on <= today()", "status = 'failed' and created_at within last 30 days", "amount > 0 and failure_code is null") + ")"
	}},
	{"exists of subscriptions", func(r *rand.Rand) string {
		return "exists (subscriptions where " + one(r, "plan = customer.plan", "trial_ends_at within next 30 days", "metadata['tier'] is set and quantity >= 1", "mrr between 0 and 49") + ")"
	}},
	{"count is any", func(r *rand.Rand) string {
		return "count(" + set(r, "things", "") + ") " + one(r, "> 0", ">= 1", "!= 0")
	}},
	{"count is none", func(r *rand.Rand) string {
		return one(r, "0 = count(", "1 > count(", "0 >= count(") + set(r, one(r, "things", "charges"), "") + ")"
	}},
	{"count of others", func(r *rand.Rand) string {
		return "count(" + one(r, "invoices", "charges where not refunded", "subscriptions where plan != 'Pro'") + ") " + order(r) + " " + one(r, "2", "3", "count(things)", "open_invoice_count")
	}},
	{"sum of money, one currency", func(r *rand.Rand) string {
		return one(r, "sum(things.mrr where mrr ", "sum(things.plan_price where plan_price ", "sum(invoices.amount_due where amount_due ") +
			one(r, "> 0 usd) ", "between 0 and 100) ", "!= 2000 jpy) ") + order(r) + " " + one(r, "20 usd", "49", "0 usd", "69.000381 usd", "mrr")
	}},
	{"sum of money with a sum", func(r *rand.Rand) string {
		return one(r, "sum(things.mrr)", "sum(charges.amount where amount >= 0 usd)") + " " + order(r) + " " + one(r, "sum(things.plan_price)", "sum(subscriptions.mrr where mrr > 0)")
	}},
	{"sum of money between sums", func(r *rand.Rand) string {
		return one(r, "sum(things.mrr)", "20 usd", "0", "mrr") + one(r, " between ", " not between ") + "sum(charges.amount where amount < 20 usd) and sum(things.mrr where mrr > 0 usd)"
	}},
	{"avg of money, one currency", func(r *rand.Rand) string {
		return "avg(things.mrr where mrr > " + one(r, "-10 usd", "0") + ") " + order(r) + " " + one(r, "20 usd", "49", "34.5 usd", "16.333460333333")
	}},
	{"several currencies", func(r *rand.Rand) string {
		return one(r, "sum", "min", "max", "avg") + "(" + one(r, "things.mrr", "charges.amount", "invoices.amount_remaining where amount_remaining is set") + ") is " + one(r, "null", "set")
	}},
	{"latest with earliest", func(r *rand.Rand) string {
		field := one(r, "plan", "mrr", "quantity", "deleted", "card_expires_at", "last_charge_at")
		return "latest(" + set(r, "things", field) + ") " + one(r, "=", "!=") + " earliest(things." + field + ")"
	}},
	{"latest of others", func(r *rand.Rand) string {
		return one(r, "latest(charges.refunded)", "earliest(charges.refunded) is not true", "latest(invoices.status) = 'paid'", "latest(charges.settles_on) <= today()",
			"earliest(subscriptions.plan) in ('Pro', 'Team', 'pro')", "latest(invoices.amount_due) >= 20 usd", "max(invoices.attempt_count) >= 2", "latest(charges.created_at) < now()")
	}},
	{"customer's text", besideCustomer("plan = customer.plan", "name != customer.name", "metadata['tier'] = customer.metadata['tier']", "customer.plan in ('Pro', 'pro')", "customer.name contains 'o'")},
	{"customer's money", besideCustomer("plan_price >= customer.mrr", "mrr between 0 and customer.plan_price", "customer.mrr > 20 usd", "customer.plan_price != plan_price")},
	{"customer's number", besideCustomer("quantity > customer.open_invoice_count", "customer.quantity <= plan_interval_count", "quantity between customer.open_invoice_count and 3")},
	{"customer's boolean", besideCustomer("customer.deleted", "livemode = customer.livemode", "customer.livemode is not true")},
	{"customer's date", besideCustomer("card_expires_at <= customer.card_expires_at", "customer.card_expires_at within next 30 days", "card_expires_at not between today() and customer.card_expires_at")},
	{"customer's instant", besideCustomer("last_charge_at < customer.last_charge_at", "customer.next_charge_at >= created_at", "customer.last_charge_at after now() - 1 month")},
	{"customer's date with an instant", besideCustomer("last_charge_at < customer.card_expires_at", "card_expires_at >= customer.next_charge_at")},
	{"customer's is null", besideCustomer("customer.plan is null", "customer.mrr is set", "customer.metadata['tier'] is null")},
	{"customer's in an aggregate", func(r *rand.Rand) string {
		return one(r, "count(things where plan = customer.plan) >= 1", "count(things where quantity >= customer.quantity) > 1", "sum(things.mrr where mrr >= customer.mrr) > plan_price",
			"latest(things.last_charge_at where last_charge_at < customer.next_charge_at) < next_charge_at", "max(things.quantity where deleted = customer.deleted) between open_invoice_count and quantity")
	}},
	{"in segment", func(r *rand.Rand) string { return "in segment " + quoted(one(r, columns.segments...)) }},
	{"not in segment", func(r *rand.Rand) string { return "not in segment " + quoted(one(r, columns.segments...)) }},
}

// besideCustomer is a kind with one of these conditions about element and customer.
func besideCustomer(conditions ...string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return "exists (things where " + one(r, conditions...) + ")" }
}

// element is a condition about one thing.
func element(r *rand.Rand) string { return oneOf(r, kinds).write(r) }

// set is a collection, or a field of it, of which things have a where in one of
// three cases.
func set(r *rand.Rand, collection, field string) string {
	out := collection
	if field != "" {
		out += "." + field
	}
	if collection == "things" && r.IntN(3) == 0 {
		out += " where " + element(r)
	}
	return out
}

// aggregated puts aggregates of things in the place of one or more attributes,
// and returns what they are; ok is false when there is no such attribute.
func aggregated(r *rand.Rand, source string) (out string, names []string, ok bool) {
	tree, err := rule.Parse(source)
	if err != nil {
		panic(err)
	}
	refs := slices.DeleteFunc(refsOf(tree.Root), func(ref *rule.Ref) bool {
		return functions[typeOf(ref)] == nil
	})
	if len(refs) == 0 {
		return "", nil, false
	}
	slices.SortFunc(refs, func(a, b *rule.Ref) int { return b.Span().Start - a.Span().Start })
	always := r.IntN(len(refs))
	for i, ref := range refs {
		if i != always && r.IntN(2) == 0 {
			continue
		}
		typ := typeOf(ref)
		function := one(r, functions[typ]...)
		field := ref.Name
		names = append(names, function+" of "+typ.String())
		if function == "count" {
			field, names[len(names)-1] = "", "count"
		}
		source = source[:ref.Span().Start] + function + "(" + set(r, "things", field) + ")" + source[ref.Span().End:]
	}
	return source, names, true
}

func typeOf(ref *rule.Ref) rule.Type {
	a, _ := attributeOf(everyType, ref.Name)
	return a.Type
}

// refsOf returns the attributes in a predicate.
func refsOf(e rule.Expr) []*rule.Ref {
	var values []rule.Value
	switch e := e.(type) {
	case *rule.Compare:
		values = []rule.Value{e.Left, e.Right}
	case *rule.Between:
		values = []rule.Value{e.X, e.Low, e.High}
	case *rule.In:
		values = []rule.Value{e.X}
	case *rule.Match:
		values = []rule.Value{e.X}
	case *rule.Is:
		values = []rule.Value{e.X}
	case *rule.Within:
		values = []rule.Value{e.X}
	case *rule.Truth:
		values = []rule.Value{e.X}
	}
	var refs []*rule.Ref
	for _, v := range values {
		if ref, ok := v.(*rule.Ref); ok {
			refs = append(refs, ref)
		}
	}
	return refs
}

// kindNames are all constructs that a run must have tried.
func kindNames() []string {
	names := []string{"count"}
	for _, k := range kinds {
		names = append(names, k.name, "where "+k.name)
		if !slices.Contains(noAggregate, k.name) {
			names = append(names, "aggregate in "+k.name)
		}
	}
	for _, k := range setKinds {
		names = append(names, k.name)
	}
	for typ, list := range functions {
		for _, f := range list {
			if f != "count" {
				names = append(names, f+" of "+typ.String())
			}
		}
	}
	slices.Sort(names)
	return names
}

// noAggregate are the kinds that are about metadata or a list.
var noAggregate = []string{"metadata matches", "list contains", "list not contains"}
