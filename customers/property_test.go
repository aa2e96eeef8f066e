package customers

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/segments/rule"
)

// drawMirror makes a customer out of few values, so that ties and clashes are
// frequent.
func drawMirror(t *rapid.T, id string) mirror {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	currency := func() string { return one("currency", "usd", "eur", "jpy", "kwd") }
	number := func(label string, upTo int) int { return rapid.IntRange(0, upTo).Draw(t, label) }
	several := func(label string, upTo int, make func(i int) string) (raws []string) {
		for i := range number(label, upTo) {
			raws = append(raws, make(i))
		}
		return raws
	}
	method := func() string { return one("method", `null`, `"pm_0"`, `"pm_1"`, `"card_0"`, `"pm_unknown"`) }
	discount := func() string {
		return one("discount", `null`, `{"coupon":{"id":"A","duration":"forever","percent_off":12.5}}`, `{"coupon":{"id":"B","name":"Spring"},"end":1795000000}`, `{"coupon":"C"}`, `"di_1"`)
	}
	maybe := func(label, raw string) string { return one(label, "", "", raw) }
	country := func() string { return one("country", `null`, `{"country":"DE","state":"BE"}`, `{"country":"us"}`) }

	m := mirror{
		customer: fmt.Sprintf(`{"id":%q,"currency":%s,"balance":%d,"name":%q,"address":%s,"default_source":%s,
			"invoice_settings":{"default_payment_method":%s},"metadata":{"k":"%s"},"discount":%s%s%s}`,
			id, one("customer currency", `null`, `"usd"`, `"eur"`), number("balance", 3)-1, one("name", "", "Jane Doe", "Acme Inc"), country(), method(), method(),
			one("metadata", "", "v", `\u0000`), discount(), maybe("live", `,"livemode":true,"created":1600000000`), maybe("sources", `,"sources":{"data":[`+walletPM("src_0")+`,"card_0"]}`)),
		methods: []string{
			one("first method", cardPM("pm_0", ""), walletPM("pm_0"), "deleted:"+walletPM("pm_0")), cardPM("pm_1", one("kind", "", `,"type":"link"`)),
			`{"id":"card_0","object":"card","brand":"Visa","last4":"1","exp_month":1,"exp_year":2027,"address_country":"FR","tokenization_method":"android_pay"}`,
		}[:number("methods", 3)],
	}
	m.subscriptions = several("subscriptions", 4, func(i int) string {
		in := currency()
		var items []string
		for j := range number("items", 3) {
			items = append(items, itemJSON(fmt.Sprintf("si_%d", j),
				priceJSON(fmt.Sprintf("price_%d", number("price", 3)), in, one("amount", "0", "1000", "1001", "null"), one("every", "month", "month/3", "year", "week", "century"),
					one("usage", "", `,"nickname":"Pro"`, `,"recurring":null`)), fmt.Sprintf(`,"created":%d`, number("item created", 2))))
		}
		return subJSON(fmt.Sprintf("sub_%d", i), one("status", append([]string{"new"}, subscriptionStatuses...)...),
			fmt.Sprintf(`,"currency":%q,"created":%d,"default_payment_method":%s,"cancel_at_period_end":%t,"metadata":{"k":%q},"discount":%s%s%s`, in, number("created", 2), method(), number("cancels", 1) == 1,
				one("metadata", "", "v\n\\N"), discount(), maybe("trial", `,"trial_end":1792592000`), maybe("canceled", `,"canceled_at":1790000500,"cancellation_details":{"reason":"payment_failed"},"pause_collection":{"behavior":"void"}`)), items...)
	})
	m.invoices = several("invoices", 4, func(i int) string {
		return invoiceJSON(fmt.Sprintf("in_%d", i), one("invoice status", "open", "paid", "draft", ""), currency(), number("remaining", 2)*50,
			fmt.Sprintf(`,"created":%d,"customer_address":%s,"next_payment_attempt":%d,"total":%s,"attempt_count":%s%s%s`, number("invoiced", 2), country(), number("attempt", 2)*1000,
				one("total", "null", "0", "-1", "12345"), one("attempts", "null", "0", "4"),
				maybe("due", fmt.Sprintf(`,"due_date":%d`, 1790000000+number("due", 2))), maybe("out of band", `,"paid_out_of_band":true,"amount_paid":700,"status_transitions":{"paid_at":1700000001}`)))
	})
	m.charges = several("charges", 4, func(i int) string {
		return chargeJSON(fmt.Sprintf("ch_%d", i), one("charge status", "succeeded", "failed", "pending"), currency(), 1000, number("refunded", 2)*500, 1700000000+number("charged", 2),
			maybe("outcome", `,"outcome":{"reason":"insufficient_funds"}`)+maybe("code", `,"failure_code":"card_declined"`))
	})
	m.refunds = several("refunds", 3, func(i int) string {
		return fmt.Sprintf(`{"id":"re_%d","object":"refund","amount":%d,"currency":%q,"created":%d,"status":%q,"charge":"ch_%d"%s}`,
			i, number("refund", 2)*100, currency(), 1700000000+number("given back", 2), one("refund status", append([]string{"new"}, refundStatuses...)...), number("of", 3), maybe("why", `,"reason":"duplicate"`))
	})
	m.disputes = several("disputes", 2, func(i int) string {
		return fmt.Sprintf(`{"id":"dp_%d","object":"dispute","amount":500,"currency":%q,"created":1700000000,"status":%q,"charge":%s,"evidence_details":%s}`,
			i, currency(), one("dispute status", disputeStatuses...), one("disputed", `null`, `"ch_1"`, `{"id":"ch_1"}`), one("evidence", `null`, `{"due_by":1701000000}`, `{"due_by":null}`))
	})
	return m
}

// Events come in any order, and so do rows.
func TestProperty_OrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := drawMirror(r, "cus_1")
		want, prints := m.picture(t), fingerprints(t, m)
		shuffle := func(label string, raws []string) []string {
			if len(raws) < 2 {
				return raws
			}
			return rapid.Permutation(raws).Draw(r, label)
		}
		m.subscriptions, m.invoices = shuffle("subscriptions shuffled", m.subscriptions), shuffle("invoices shuffled", m.invoices)
		m.charges, m.methods = shuffle("charges shuffled", m.charges), shuffle("methods shuffled", m.methods)
		m.refunds, m.disputes = shuffle("refunds shuffled", m.refunds), shuffle("disputes shuffled", m.disputes)
		if changed := differences(want, m.picture(t)); len(changed) > 0 {
			r.Fatalf("another order changes %v", changed)
		}
		if got := fingerprints(t, m); !maps.Equal(got, prints) {
			r.Fatalf("another order changes elements from %v to %v", prints, got)
		}
	})
}

// What an attribute says of a collection, the collection says of itself.
func TestProperty_AttributesAgreeWithCollections(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := drawMirror(r, "cus_1")
		p := m.picture(t)
		agree := func(name, want string) {
			if got := show(p, name); got != want {
				r.Errorf("%s\n got %s\nwant %s, as the elements say", name, got, want)
			}
		}

		alive := map[any]bool{"canceled": false, "incomplete_expired": false}
		live := func(e Element) bool { is, known := alive[e.Value("status")]; return is || !known }
		plans, _ := p.Value("plans").([]string)
		subscriptions := 0
		for _, e := range m.elements(t, "subscriptions") {
			if live(e) {
				subscriptions++
			}
		}
		agree("subscription_count", fmt.Sprint(subscriptions))
		for _, e := range m.elements(t, "subscription_items") {
			if plan, ok := e.Value("plan").(string); ok && live(e) && !slices.Contains(plans, plan) {
				r.Errorf("plans are %v, without %s", plans, plan)
			}
		}
		if !slices.IsSorted(plans) || len(slices.Compact(slices.Clone(plans))) < len(plans) {
			r.Errorf("plans are not sorted, or not each once: %v", plans)
		}

		due, attempt := "missing", "missing"
		earlier := func(than *string, v any) {
			if at := showValue(v); v != nil && (*than == "missing" || at < *than) {
				*than = at
			}
		}
		for _, e := range m.elements(t, "invoices") {
			if left, ok := e.Value("amount_remaining").(rule.Money); ok && left.Amount.Sign() > 0 && e.Value("status") == "open" {
				earlier(&due, e.Value("due_at"))
				earlier(&attempt, e.Value("next_payment_attempt_at"))
			}
		}
		agree("oldest_open_invoice_due_at", due)
		agree("next_payment_attempt_at", attempt)

		failure, payment, failures := "", "", 0
		charges := m.elements(t, "charges")
		for _, e := range charges {
			if at := showValue(e.Value("created_at")); e.Value("status") == "failed" {
				failure = max(failure, at)
			} else if e.Value("status") == "succeeded" {
				payment = max(payment, at)
			}
		}
		for _, e := range m.elements(t, "invoices") {
			if paid, ok := e.Value("amount_paid").(rule.Money); ok && paid.Amount.Sign() > 0 && e.Value("status") == "paid" {
				payment = max(payment, showValue(e.Value("paid_at"))) // none but those out of band have the field
			}
		}
		for _, e := range charges {
			if e.Value("status") == "failed" && showValue(e.Value("created_at")) > payment {
				failures++
			}
		}
		agree("last_failure_at", cmp.Or(failure, "missing"))
		agree("last_payment_at", cmp.Or(payment, "missing"))
		agree("failed_payment_count", fmt.Sprint(failures))

		var defaults []string
		for _, e := range m.elements(t, "cards") {
			if e.Value("is_default") == true {
				defaults = append(defaults, showValue(e.Value("id")))
				for _, f := range []string{"brand", "last4", "expires_at", "wallet"} {
					agree("card_"+f, showValue(e.Value(f)))
				}
			}
		}
		agree("card_id", cmp.Or(strings.Join(defaults, " and "), "missing"))
	})
}

// fingerprints are those of all elements.
func fingerprints(t testing.TB, m mirror) map[elementKey]int64 {
	s, _ := decode(m.record())
	s.resolve(m.shelf(t))
	prints := map[elementKey]int64{}
	for _, w := range s.compare(nil).write {
		prints[w.elementKey] = w.print
	}
	return prints
}

// What is written is what was derived, and writing it again changes nothing.
func TestProperty_ProjectingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		id := fmt.Sprintf("cus_%d", n)
		m := drawMirror(r, id)
		var changed [2]int
		var got Whole
		if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			storeMirror(t, tx, account, id, m)
			for i := range changed {
				var err error
				if changed[i], err = Project(t.Context(), tx, account, []string{id}, projected); err != nil {
					return err
				}
			}
			got = loadWhole(t, tx, account, id)
			return nil
		}); err != nil {
			r.Fatal(err)
		}
		if changed != [2]int{1, 0} {
			r.Fatalf("changed %v, want [1 0]", changed)
		}
		if lost := differences(m.picture(t), got.Picture); len(lost) > 0 {
			var lines []string
			for _, name := range lost {
				lines = append(lines, fmt.Sprintf("%s: got %s, want %s", name, show(got.Picture, name), show(m.picture(t), name)))
			}
			r.Fatalf("another picture came back:\n%s", strings.Join(lines, "\n"))
		}
		if lines := elementDifferences(t, m, got); len(lines) > 0 {
			r.Fatalf("other elements came back:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// From any mirror to any other, only what differs is written, and afterwards
// the rows are as if they had been projected for the first time.
func TestProperty_ProjectingAChange(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		id := fmt.Sprintf("cus_%d", n)
		before, after := drawMirror(r, id), drawMirror(r, id)
		for _, kind := range []struct{ before, after *[]string }{
			{&before.subscriptions, &after.subscriptions}, {&before.invoices, &after.invoices}, {&before.charges, &after.charges}, {&before.methods, &after.methods},
			{&before.refunds, &after.refunds}, {&before.disputes, &after.disputes},
		} {
			if gone := len(*kind.after); gone < len(*kind.before) { // those missing stay, deleted
				for _, raw := range (*kind.before)[gone:] {
					*kind.after = append(*kind.after, "deleted:"+strings.TrimPrefix(raw, "deleted:"))
				}
			}
		}
		var got Whole
		var told [][]string
		if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			for _, m := range []mirror{before, after} {
				storeMirror(t, tx, account, id, m)
				if _, err := Project(t.Context(), tx, account, []string{id}, projected); err != nil {
					return err
				}
			}
			told, got = news(t, tx, account), loadWhole(t, tx, account, id)
			return nil
		}); err != nil {
			r.Fatal(err)
		}
		if lines := elementDifferences(t, after, got); len(lines) > 0 {
			r.Fatalf("other elements came back:\n%s", strings.Join(lines, "\n"))
		}
		want := wantNews(t, before, after)
		if len(want) == 0 && len(told) != 1 || len(want) > 0 && (len(told) != 2 || !slices.Equal(told[1], want)) {
			r.Fatalf("news %v, want [*] and %v", told, want)
		}
	})
}

// wantNews compares everything with everything, field by field.
func wantNews(t testing.TB, before, after mirror) []string {
	names := differences(before.picture(t), after.picture(t))
	for _, c := range collections {
		was := map[string]Element{}
		for _, e := range before.elements(t, c.Name) {
			was[e.Value("id").(string)] = e
		}
		moved, changed := false, map[string]bool{}
		for _, e := range after.elements(t, c.Name) {
			id := e.Value("id").(string)
			old, ok := was[id]
			delete(was, id)
			if !ok {
				moved = true
				continue
			}
			for i, f := range c.Fields {
				changed[f.Name] = changed[f.Name] || !same(old.values[i], e.values[i])
			}
		}
		if c.Name == "events" && after.sources(t).updatedCard(before.picture(t), after.picture(t)) != nil {
			moved = true
		}
		if moved || len(was) > 0 {
			names = append(names, c.Name)
		}
		for _, f := range c.Fields {
			if changed[f.Name] {
				names = append(names, c.Name+"."+f.Name)
			}
		}
	}
	return names
}
