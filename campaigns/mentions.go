package campaigns

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

// A mention is an attribute that a rule reads, or one key of a map.
type mention struct {
	name, key string
	hasKey    bool
	label     []byte // what stands for it in JSON, as in "plan" or "metadata['tier']", quoted
}

// personal attributes say who the customer is.
var personal = []string{"email", "name", "first_name"}

// mentionedBy returns the attributes that rules and those of the segments they name
// read of the customer, each once, in the order of the rules, but for the
// personal ones and keys that are addresses. A nil rule mentions nothing.
func mentionedBy(parents segments.Parents, rules ...*rule.Rule) []mention {
	m := mentioned{parents: parents, seen: map[string]bool{}, visited: map[string]bool{}}
	for _, r := range rules {
		m.rule(r)
	}
	return m.found
}

type mentioned struct {
	parents segments.Parents
	seen    map[string]bool // labels
	visited map[string]bool // segments
	found   []mention
	of      *rule.Rule
}

func (m *mentioned) rule(r *rule.Rule) {
	if r == nil {
		return
	}
	outer := m.of
	m.of = r
	m.expr(r.Tree().Root, false)
	m.of = outer
}

func (m *mentioned) expr(x rule.Expr, inside bool) {
	switch x := x.(type) {
	case *rule.And:
		for _, y := range x.List {
			m.expr(y, inside)
		}
	case *rule.Or:
		for _, y := range x.List {
			m.expr(y, inside)
		}
	case *rule.Not:
		m.expr(x.X, inside)
	case *rule.Exists:
		m.set(x.Set)
	case *rule.InSegment:
		if !m.visited[x.Segment] {
			m.visited[x.Segment] = true
			m.rule(m.parents[x.Segment])
		}
	case *rule.Compare:
		m.values(inside, x.Left, x.Right)
	case *rule.Between:
		m.values(inside, x.X, x.Low, x.High)
	case *rule.In:
		m.values(inside, x.X)
	case *rule.Match:
		m.values(inside, x.X)
	case *rule.Is:
		m.values(inside, x.X)
	case *rule.Within:
		m.values(inside, x.X)
	case *rule.Truth:
		m.values(inside, x.X)
	}
}

func (m *mentioned) set(s *rule.Set) {
	if s.Where != nil {
		m.expr(s.Where, true)
	}
}

func (m *mentioned) values(inside bool, list ...rule.Value) {
	for _, v := range list {
		switch v := v.(type) {
		case *rule.Aggregate:
			m.set(v.Set)
		case *rule.Ref:
			if !inside || v.Customer {
				m.add(m.of.Resolve(v).Name, v.Key, v.HasKey)
			}
		}
	}
}

func (m *mentioned) add(name, key string, hasKey bool) {
	label := name
	if hasKey {
		label += "['" + strings.ReplaceAll(key, "'", "''") + "']"
	}
	if m.seen[label] || slices.Contains(personal, name) || strings.Contains(label, "@") {
		return
	}
	m.seen[label] = true
	quoted, _ := json.Marshal(label) // of a text it cannot fail
	m.found = append(m.found, mention{name, key, hasKey, quoted})
}

// json is the value of what is mentioned.
func (m mention) json(p customers.Picture) ([]byte, error) {
	var text string
	switch v := p.Value(m.name).(type) {
	case map[string]string:
		value, ok := v[m.key]
		if !ok || !m.hasKey { // never the whole map: it may say anything
			return []byte("null"), nil
		}
		text = value
	case string:
		text = v
	default:
		return p.JSON(m.name)
	}
	return json.Marshal(shorten(text))
}
