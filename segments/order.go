package segments

import (
	"slices"
	"strings"

	"github.com/dunlin/dunlin/segments/rule"
)

// inOrder puts segments behind those that their rules name, otherwise by name. A
// segment without a rule that checks depends on nobody.
func inOrder(list []*state) []*state {
	byName := map[string]*state{}
	for _, s := range list {
		byName[s.Name] = s
	}
	var out []*state
	seen := map[string]bool{}
	var visit func(*state)
	visit = func(s *state) {
		if s == nil || seen[s.Name] {
			return
		}
		seen[s.Name] = true
		for _, p := range s.names() {
			visit(byName[p])
		}
		out = append(out, s)
	}
	for _, s := range list {
		visit(s)
	}
	return out
}

// names are the segments that its rule names, and the rules of its lists.
func (s *state) names() (names []string) {
	for _, r := range s.rules() {
		names = append(names, r.Segments()...)
	}
	return names
}

// Cycle returns the way on which a segment's rule comes back to it by in
// segment, as a → b → a; empty when it does not. Names says which segments a
// segment's rule names.
func Cycle(segment string, names func(string) []string) string {
	seen := map[string]bool{}
	var visit func(at string, way []string) []string
	visit = func(at string, way []string) []string {
		way = append(slices.Clone(way), at)
		for _, next := range names(at) {
			if next == segment {
				return append(way, next)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if found := visit(next, way); found != nil {
				return found
			}
		}
		return nil
	}
	return strings.Join(visit(segment, nil), " → ")
}

// Missing returns a segment without a rule on which r depends; empty when there
// is none.
func (p Parents) Missing(r *rule.Rule) string {
	for _, name := range r.Segments() {
		if p[name] == nil {
			return name
		}
		if deeper := p.Missing(p[name]); deeper != "" {
			return deeper
		}
	}
	return ""
}

// Names returns the segments that a segment's rule names.
func (p Parents) Names(segment string) []string {
	if r := p[segment]; r != nil {
		return r.Segments()
	}
	return nil
}
