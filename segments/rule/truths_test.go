package rule_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// testdata/truths.txt is also read by the tests of the SQL compiler.
func TestEval_Truths(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/truths.txt")
	if err != nil {
		t.Fatal(err)
	}
	env := rule.Env{Currency: "usd"}
	var customer values
	count := 0
	for i, line := range strings.Split(string(data), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "", "#":
		case "at":
			at, zone, _ := strings.Cut(rest, " in ")
			env.Now, env.Zone = mustTime(t, at), mustZone(t, zone)
		case "customer":
			customer = readCustomer(t, rest)
		case "true", "false":
			count++
			if got := mustNew(t, rest).Eval(customer, env); got != (word == "true") {
				t.Errorf("truths.txt:%d: %s\n got %t\nwant %s", i+1, rest, got, word)
			}
			if got := mustNew(t, "not ("+rest+")").Eval(customer, env); got != (word == "false") {
				t.Errorf("truths.txt:%d: not (%s)\n got %t", i+1, rest, got)
			}
		default:
			t.Fatalf("truths.txt:%d: %s", i+1, line)
		}
	}
	if count < 100 {
		t.Errorf("only %d truths", count)
	}
}

// readCustomer reads attributes, lists of elements under their collection's
// name, and the segments the customer is in under "in".
func readCustomer(t *testing.T, text string) values {
	t.Helper()
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out := values{}
	for name, v := range raw {
		c, collection := attributes.Collection(name)
		a, attribute := attributes.Attribute(name)
		switch {
		case name == "in":
			out[name] = readList(v)
		case collection:
			out[name] = readElements(t, c, v.([]any))
		case attribute:
			out[name] = readValue(t, a, v)
		default:
			t.Fatalf("no attribute %q", name)
		}
	}
	return out
}

func readElements(t *testing.T, c rule.Collection, list []any) []values {
	t.Helper()
	var out []values
	for _, raw := range list {
		element := values{}
		for name, v := range raw.(map[string]any) {
			f, ok := c.Field(name)
			if !ok {
				t.Fatalf("%s has no %q", c.One, name)
			}
			element[name] = readValue(t, f, v)
		}
		if element["id"] == nil || element["created_at"] == nil {
			t.Fatalf("%s without id or created_at: %v", c.One, raw)
		}
		out = append(out, element)
	}
	return out
}

func readValue(t *testing.T, a rule.Attribute, v any) any {
	t.Helper()
	switch a.Type {
	case rule.Number:
		return dec(t, v.(string))
	case rule.MoneyType:
		return money(t, v.(string))
	case rule.DateType:
		d, err := rule.ParseDate(v.(string))
		if err != nil {
			t.Fatal(err)
		}
		return d
	case rule.InstantType:
		return mustTime(t, v.(string))
	case rule.ListType:
		return readList(v)
	case rule.MapType:
		m := map[string]string{}
		for k, e := range v.(map[string]any) {
			m[k] = e.(string)
		}
		return m
	}
	return v
}

func readList(v any) []string {
	list := []string{}
	for _, e := range v.([]any) {
		list = append(list, e.(string))
	}
	return list
}

// A value of another type than the catalog says is a bug, and a loud one.
func TestEval_WrongType(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a number in place of an amount went unnoticed")
		}
	}()
	mustNew(t, "mrr > 20 usd").Eval(values{"mrr": dec(t, "20")}, rule.Env{Now: time.Unix(0, 0)})
}

func TestRule_Reads(t *testing.T) {
	t.Parallel()
	tests := []struct{ source, reads, segments string }{
		{"stripe_plan = 'Pro' and PLAN is set and (mrr > 3 or not metadata['x'] = 'y') and card_expires_at < next_charge_at",
			"card_expires_at metadata mrr next_charge_at plan", ""},
		{"exists (Invoices)", "invoices", ""},
		{"count(charges) > 3 or exists (invoices where Status = 'open' and customer.stripe_plan = 'Pro')",
			"charges invoices invoices.status plan", ""},
		{"latest(charges.amount where settles_on < today()) > mrr", "charges charges.amount charges.created_at charges.settles_on mrr", ""},
		{"not in segment 'vip' and (in segment 'trial users' or in segment 'vip')", "", "trial users,vip"},
	}
	for _, tt := range tests {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			r := mustNew(t, tt.source)
			if got := strings.Join(r.Reads(), " "); got != tt.reads {
				t.Errorf("Reads\n got %s\nwant %s", got, tt.reads)
			}
			if got := strings.Join(r.Segments(), ","); got != tt.segments {
				t.Errorf("Segments\n got %s\nwant %s", got, tt.segments)
			}
		})
	}
}

// Without a workspace currency a bare number beside money is a fault.
func TestCheck_NoCurrency(t *testing.T) {
	t.Parallel()
	_, err := rule.New("mrr > 20", attributes, "")
	want := "rule:1:7: 20 needs a currency\n  mrr > 20\n        ^^\n  write 20 usd\n"
	if err == nil || explain(err) != want {
		t.Errorf("Explain\n got %v\nwant %s", err, want)
	}
	if _, err := rule.New("mrr > 20 usd and quantity > 20", attributes, ""); err != nil {
		t.Errorf("with a currency\n got %s", explain(err))
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := rule.New(tenPredicates, attributes, "usd"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	r := mustNew(b, tenPredicates)
	env := rule.Env{Now: time.Unix(1_800_000_000, 0), Zone: time.UTC, Currency: "usd"}
	v := values{"subscription_status": "active", "card_expires_at": rule.DateOf(env.Now, nil), "plan_price": rule.FromMinor(4900, "usd")}
	for b.Loop() {
		r.Eval(v, env)
	}
}

const tenPredicates = `card_expires_at within next 30 days and subscription_status in ('active', 'past_due')
and plan_price between 20 usd and 200 usd and not deleted and (mrr >= 200 usd or quantity > 10)
and plan like 'Pro%' and metadata['tier'] = 'pro' and last_charge_at > now() - 30 days and email is set`
