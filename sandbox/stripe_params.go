package sandbox

import (
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// params are the query parameters of a request, read the way Stripe reads them:
// "expand[]", "expand[0]" and repetition are all one list, "created[gte]" is a bound.
type params struct {
	plain   map[string]string
	lists   map[string][]string
	bounds  map[string]span
	expand  []string
	seen    []string          // base names, sorted
	named   map[string]string // metadata
	limit   int
	from    string // starting_after
	until   string // ending_before
	written map[string]string
}

// span is a range of Unix seconds, both ends included.
type span struct{ from, to int64 }

const forever = int64(1) << 60

func parseParams(q url.Values) (*params, *stripeError) {
	p := &params{plain: map[string]string{}, lists: map[string][]string{}, bounds: map[string]span{}, named: map[string]string{}, limit: 10, written: map[string]string{}}
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { // expand[10] after expand[9]
		if len(keys[i]) != len(keys[j]) {
			return len(keys[i]) < len(keys[j])
		}
		return keys[i] < keys[j]
	})
	for _, k := range keys {
		base, sub, nested := strings.Cut(k, "[")
		sub = strings.TrimSuffix(sub, "]")
		p.seen = append(p.seen, base)
		p.written[base] = k
		switch _, err := strconv.Atoi(sub); {
		case !nested && isList(base):
			return nil, badRequest("", k, "Invalid array")
		case !nested:
			p.plain[base] = q.Get(k)
			if at, err := strconv.ParseInt(q.Get(k), 10, 64); err == nil && isTime(base) {
				p.bounds[base] = span{at, at}
			}
		case sub == "" || err == nil:
			p.lists[base] = append(p.lists[base], q[k]...)
			if !isList(base) {
				return nil, badRequest("", k, "Invalid string: %s", strings.Join(q[k], ", "))
			}
		case base == "metadata":
			p.named[sub] = q.Get(k)
		default:
			if !isTime(base) {
				return nil, badRequest("parameter_unknown", k, "Received unknown parameter: %s", k)
			}
			if err := p.bound(base, sub, k, q.Get(k)); err != nil {
				return nil, err
			}
		}
	}
	p.expand = p.lists["expand"]
	p.from, p.until = p.plain["starting_after"], p.plain["ending_before"]
	if p.from != "" && p.until != "" {
		return nil, badRequest("", "ending_before", "Received both starting_after and ending_before parameters. Please pass in only one.")
	}
	return p, p.readLimit()
}

func isTime(name string) bool {
	return name == "created" || name == "due_date" || name == "current_period_start" || name == "current_period_end"
}

func isList(name string) bool {
	return name == "expand" || name == "ids" || name == "types" || name == "lookup_keys" || name == "enabled_events"
}

func (p *params) bound(base, op, key, value string) *stripeError {
	at, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return badRequest("parameter_invalid_integer", key, "Invalid integer: %s", value)
	}
	s, ok := p.bounds[base]
	if !ok {
		s = span{-forever, forever}
	}
	switch op {
	case "gte":
		s.from = max(s.from, at)
	case "gt":
		s.from = max(s.from, at+1)
	case "lte":
		s.to = min(s.to, at)
	case "lt":
		s.to = min(s.to, at-1)
	default:
		return badRequest("parameter_unknown", key, "Received unknown parameter: %s", key)
	}
	p.bounds[base] = s
	return nil
}

func (p *params) readLimit() *stripeError {
	text, ok := p.plain["limit"]
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return badRequest("parameter_invalid_integer", "limit", "Invalid integer: %s", text)
	case n < 1:
		return badRequest("parameter_invalid_integer", "limit", "This value must be greater than or equal to 1.")
	case n > 100:
		return badRequest("parameter_invalid_integer", "limit", "This value must be less than or equal to 100 (it currently is '%d').", n)
	}
	p.limit = n
	return nil
}

// only refuses every parameter that is not among names.
func (p *params) only(names ...string) *stripeError {
	for _, name := range p.seen {
		if !slices.Contains(names, name) {
			return badRequest("parameter_unknown", p.written[name], "Received unknown parameter: %s", p.written[name])
		}
	}
	return nil
}

// flag reads a boolean parameter; ok says whether it was given.
func (p *params) flag(name string) (value, ok bool, err *stripeError) {
	switch text, given := p.plain[name]; {
	case !given:
		return false, false, nil
	case text == "true":
		return true, true, nil
	case text == "false":
		return false, true, nil
	default:
		return false, false, badRequest("", name, "Invalid boolean: %s", text)
	}
}

// span returns the bounds given for a time, everything when there are none.
func (p *params) span(name string) (span, *stripeError) {
	s, ok := p.bounds[name]
	if !ok {
		s = span{-forever, forever}
		if text, given := p.plain[name]; given {
			return s, badRequest("parameter_invalid_integer", name, "Invalid integer: %s", text)
		}
	}
	return s, nil
}
