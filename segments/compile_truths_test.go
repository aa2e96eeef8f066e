package segments_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dunlin/dunlin/segments/rule"
)

// The truths that the evaluator is held to hold in Postgres, too.
func TestCompile_Truths(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("rule/testdata/truths.txt")
	if err != nil {
		t.Fatal(err)
	}
	tab := newTable(t)
	env := rule.Env{Currency: "usd"}
	name, count := "", 0
	for i, line := range strings.Split(string(data), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "at":
			at, zone, _ := strings.Cut(rest, " in ")
			env.Now, env.Zone = mustTime(t, at), mustZone(t, zone)
		case "customer":
			name = fmt.Sprintf("cus_%d", i)
			tab.insert(t, name, readCustomer(t, rest))
		case "true", "false":
			count++
			for _, not := range []bool{false, true} {
				source := rest
				if not {
					source = "not (" + rest + ")"
				}
				got := slices.Contains(tab.members(t, mustRule(t, source), env, nil), name)
				if want := (word == "true") != not; got != want {
					t.Errorf("truths.txt:%d: %s\n got %t\nwant %t", i+1, source, got, want)
				}
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d truths", count)
	}
}

// Whatever hostile source parses says about a customer in Postgres what it says
// in Go, and does nothing else.
func TestCompile_Injections(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("rule/testdata/injections.txt")
	if err != nil {
		t.Fatal(err)
	}
	tab := newTable(t)
	env := rule.Env{Now: mustTime(t, "2026-03-15T12:00:00Z"), Zone: mustZone(t, "Europe/Berlin"), Currency: "usd"}
	c := genCustomer(random(0, 0), []rule.Env{env})
	tab.insert(t, "cus_1", c)
	lines, ran := 0, 0
	for i, line := range strings.Split(string(data), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		source, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("injections.txt:%d: %v", i+1, err)
		}
		lines++
		r, err := rule.New(source, columns, "usd")
		if err != nil {
			continue
		}
		ran++
		if got, want := len(tab.members(t, r, env, nil)) == 1, r.Eval(c, env); got != want {
			t.Errorf("injections.txt:%d: %s\nPostgres %t\n    Eval %t", i+1, source, got, want)
		}
	}
	if names := tab.members(t, mustRule(t, "stripe_id is set"), env, nil); len(names) != 1 {
		t.Errorf("customers afterwards: %v", names)
	}
	t.Logf("%d of %d sources are rules", ran, lines)
}

func readCustomer(t *testing.T, text string) customer {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out := customer{}
	for _, c := range columns.collections {
		var list []map[string]json.RawMessage
		unmarshal(t, raw[c.Name], &list)
		delete(raw, c.Name)
		var elements []customer
		for _, e := range list {
			elements = append(elements, readValues(t, e, c.Fields))
		}
		out[c.Name] = elements
	}
	var in []string
	unmarshal(t, raw["in"], &in)
	delete(raw, "in")
	maps.Copy(out, readValues(t, raw, columns.attributes))
	out["in"] = in
	return out
}

func readValues(t *testing.T, raw map[string]json.RawMessage, attrs []rule.Attribute) customer {
	t.Helper()
	out := customer{}
	for name, v := range raw {
		a, ok := attributeOf(attrs, name)
		if !ok {
			t.Fatalf("no attribute or field %q", name)
		}
		if value := readValue(t, v, a.Type); value != nil {
			out[name] = value
		}
	}
	return out
}

func readValue(t *testing.T, v json.RawMessage, typ rule.Type) any {
	t.Helper()
	if string(v) == "null" {
		return nil
	}
	switch typ {
	case rule.Boolean:
		return string(v) == "true"
	case rule.ListType:
		list := []string{}
		unmarshal(t, v, &list)
		return list
	case rule.MapType:
		m := map[string]string{}
		unmarshal(t, v, &m)
		return m
	}
	var s string
	unmarshal(t, v, &s)
	switch typ {
	case rule.Number:
		return decimal(s)
	case rule.MoneyType:
		amount, currency, _ := strings.Cut(s, " ")
		return rule.Money{Amount: decimal(amount), Currency: currency}
	case rule.DateType:
		day, err := rule.ParseDate(s)
		if err != nil {
			t.Fatal(err)
		}
		return day
	case rule.InstantType:
		return mustTime(t, s)
	}
	return s
}

// unmarshal leaves to alone when there is nothing.
func unmarshal(t *testing.T, data json.RawMessage, to any) {
	t.Helper()
	if data == nil {
		return
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}
