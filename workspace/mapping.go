package workspace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A Mapping reads the keys of one YAML mapping strictly. Ask it for each key
// that may be there, then call Done, which reports the keys nobody asked for.
type Mapping struct {
	doc    *Document
	node   *yaml.Node
	faults *Faults
	asked  []string
	better map[string]Fault // keys that are not known here, and what to say of them
}

// A Field is the value of a key and the place where it stands.
type Field struct {
	Value string
	Set   bool // the key is there
	doc   *Document
	node  *yaml.Node
}

// Mapping is the document's own mapping; nil, with a fault, when it is
// something else.
func (d *Document) Mapping(faults *Faults) *Mapping {
	return mappingOf(d, d.root, faults, "a definition")
}

func mappingOf(d *Document, n *yaml.Node, faults *Faults, what string) *Mapping {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		*faults = append(*faults, Field{doc: d, node: n}.Fault("write it as lines of \"key: value\"", "%s is a list of keys and values", what))
		return nil
	}
	m := &Mapping{doc: d, node: n, faults: faults}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			m.add(Field{doc: d, node: key}.Fault("keep one of them", "%q is there twice", key.Value))
		}
		seen[key.Value] = true
	}
	return m
}

func (m *Mapping) add(f Fault) { *m.faults = append(*m.faults, f) }

// find returns the value node of a key, and remembers that the key is known.
func (m *Mapping) find(key string) *yaml.Node {
	if !slices.Contains(m.asked, key) {
		m.asked = append(m.asked, key)
	}
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		if m.node.Content[i].Value == key {
			return m.node.Content[i+1]
		}
	}
	return nil
}

// Has reports whether a key is there, whatever its value.
func (m *Mapping) Has(key string) bool { return m.find(key) != nil }

// Plain reports whether a key is there with a value that is neither a list nor a
// mapping.
func (m *Mapping) Plain(key string) bool {
	n := m.find(key)
	return n != nil && n.Kind == yaml.ScalarNode
}

// Here is the place of the mapping itself, for faults about what is missing.
func (m *Mapping) Here() Field { return Field{doc: m.doc, node: m.node} }

// Text reads a scalar. A required key that is missing or empty is a fault.
func (m *Mapping) Text(key string, required bool) Field {
	n := m.find(key)
	if n == nil {
		if required {
			m.add(m.Here().Fault(fmt.Sprintf("add \"%s: …\"", key), "%q is missing", key))
		}
		return Field{doc: m.doc, node: m.node}
	}
	f := Field{Value: n.Value, Set: true, doc: m.doc, node: n}
	if n.Kind != yaml.ScalarNode {
		m.add(f.Fault(fmt.Sprintf("write it as in \"%s: …\"", key), "%q is one value, not a list", key))
		return Field{doc: m.doc, node: n}
	}
	if required && strings.TrimSpace(n.Value) == "" {
		m.add(f.Fault(fmt.Sprintf("write it as in \"%s: …\"", key), "%q is empty", key))
		f.Set = false
	}
	return f
}

// Choice reads a scalar that is one of a few words. When the key is missing and
// not required the value is the first word.
func (m *Mapping) Choice(key string, required bool, words ...string) Field {
	if required && !m.Has(key) {
		m.add(m.Here().Fault(fmt.Sprintf("add \"%s: %s\"", key, strings.Join(words, fmt.Sprintf("\" or \"%s: ", key))), "%q is missing", key))
		return m.Here()
	}
	f := m.Text(key, required)
	if !f.Set {
		if !required {
			f.Value = words[0]
		}
		return f
	}
	if !slices.Contains(words, f.Value) {
		hint := "use " + strings.Join(words, ", ")
		if near := Nearest(f.Value, words); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		m.add(f.Fault(hint, "%s cannot be %q", key, f.Value))
		f.Set = false
	}
	return f
}

// Map reads a mapping below a key; nil when it is not there.
func (m *Mapping) Map(key string) *Mapping {
	n := m.find(key)
	if n == nil {
		return nil
	}
	return mappingOf(m.doc, n, m.faults, fmt.Sprintf("%q", key))
}

// Texts reads a list of scalars, or one scalar.
func (m *Mapping) Texts(key string) []Field {
	n := m.find(key)
	if n == nil {
		return nil
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var out []Field
	for _, x := range nodes {
		f := Field{Value: x.Value, Set: true, doc: m.doc, node: x}
		if x.Kind != yaml.ScalarNode {
			m.add(f.Fault("", "%q is a list of plain values", key))
			continue
		}
		out = append(out, f)
	}
	return out
}

// Maps reads a list of mappings.
func (m *Mapping) Maps(key string) []*Mapping {
	n := m.find(key)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		m.add(Field{doc: m.doc, node: n}.Fault("start each entry with \"- \"", "%q is a list", key))
		return nil
	}
	var out []*Mapping
	for _, x := range n.Content {
		if e := mappingOf(m.doc, x, m.faults, fmt.Sprintf("an entry of %q", key)); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// Pairs reads the keys and values of a free mapping, in file order.
func (m *Mapping) Pairs() (keys, values []Field) {
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		k, v := m.node.Content[i], m.node.Content[i+1]
		m.asked = append(m.asked, k.Value)
		keys = append(keys, Field{Value: k.Value, Set: true, doc: m.doc, node: k})
		value := Field{Value: v.Value, Set: v.Kind == yaml.ScalarNode, doc: m.doc, node: v}
		if !value.Set {
			m.add(value.Fault("", "%q is one value, not a list", k.Value))
			value.Value = ""
		}
		values = append(values, value)
	}
	return keys, values
}

// Keys are the names of a free mapping, in file order. Read each by its name.
func (m *Mapping) Keys() (names []string) {
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		names = append(names, m.node.Content[i].Value)
	}
	return names
}

// Key is the place where a key of a free mapping stands.
func (m *Mapping) Key(name string) Field {
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		if k := m.node.Content[i]; k.Value == name {
			return Field{Value: name, Set: true, doc: m.doc, node: k}
		}
	}
	return m.Here()
}

// Number reads an optional whole number between two others.
func (m *Mapping) Number(key string, fallback, least, most int) int {
	return m.bounded(key, "", fallback, least, most)
}

// Percent reads an optional share, as in 10%, as a whole number of percent.
func (m *Mapping) Percent(key string, fallback, most int) int {
	return m.bounded(key, "%", fallback, 0, most)
}

func (m *Mapping) bounded(key, unit string, fallback, least, most int) int {
	f := m.Text(key, false)
	if !f.Set {
		return fallback
	}
	digits, ok := strings.CutSuffix(strings.TrimSpace(f.Value), unit)
	n, err := strconv.Atoi(strings.TrimSpace(digits))
	fits := err == nil && n >= least && n <= most
	switch {
	case fits && ok:
		return n
	case fits:
		m.add(f.Fault(fmt.Sprintf("did you mean \"%d%s\"?", n, unit), "%s cannot be %q", key, f.Value))
	default:
		m.add(f.Fault(fmt.Sprintf("write a whole number from %d%s to %d%s", least, unit, most, unit), "%s cannot be %q", key, f.Value))
	}
	return fallback
}

// Later names keys that the language has and this version does not know how to
// obey: they are refused by name, never ignored.
func (m *Mapping) Later(keys ...string) {
	m.instead(keys, "%q is not supported yet", "take it out; this version would ignore it")
}

// Elsewhere names keys that people put here and that belong somewhere else.
func (m *Mapping) Elsewhere(hint string, keys ...string) {
	m.instead(keys, "%q stands in the wrong place", hint)
}

func (m *Mapping) instead(keys []string, format, hint string) {
	if m.better == nil {
		m.better = map[string]Fault{}
	}
	for _, key := range keys {
		m.better[key] = Fault{Msg: fmt.Sprintf(format, key), Hint: hint}
	}
}

// Done reports every key that was not asked for.
func (m *Mapping) Done() {
	for i := 0; i+1 < len(m.node.Content); i += 2 {
		key := m.node.Content[i]
		f := Field{doc: m.doc, node: key}
		better, ok := m.better[key.Value]
		switch {
		case slices.Contains(m.asked, key.Value):
		case ok:
			m.add(f.Fault(better.Hint, "%s", better.Msg))
		default:
			hint := "known here: " + strings.Join(m.asked, ", ")
			if near := Nearest(key.Value, m.asked); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			m.add(f.Fault(hint, "unknown key %q", key.Value))
		}
	}
}

// Add reports a fault found by whoever reads the field.
func (m *Mapping) Add(f Fault) { m.add(f) }

// Fault is a fault at the field.
func (f Field) Fault(hint, format string, args ...any) Fault {
	width := utf8.RuneCountInString(f.node.Value)
	if f.node.Kind != yaml.ScalarNode || f.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		width = 1
	}
	return f.doc.fault(f.doc.Line+f.node.Line-1, f.node.Column, width, fmt.Sprintf(format, args...), hint)
}

// FaultAt is a fault at the bytes [start, end) of the field's value.
func (f Field) FaultAt(start, end int, hint, format string, args ...any) Fault {
	x := f.at(f.Value, start, end)
	x.Msg, x.Hint = fmt.Sprintf(format, args...), hint
	return x
}

// RuleFaults places what [rule.New] said about the field's value.
func (f Field) RuleFaults(err error) Faults { return ruleFaults(f, err) }
