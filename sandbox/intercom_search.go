package sandbox

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The query language of /contacts/search, /conversations/search and
// /tickets/search (4.4, 3, 5.6): a filter, or AND/OR of up to 15 filters or
// groups, two levels deep.

const (
	intercomGroupLimit = 15
	intercomDepthLimit = 2
	intercomPageLimit  = 150
)

// An intercomKind is what a field's operators and comparison depend on.
type intercomKind int

const (
	intercomExactKind  intercomKind = iota + 1 // text, case matters
	intercomFoldedKind                         // text, case does not matter
	intercomWordsKind                          // text searched by one whole word (2.5)
	intercomTruthKind                          // boolean
	intercomNumberKind                         // integer
	intercomDateKind                           // seconds
	intercomDayKind                            // seconds, compared by day of the workspace's zone (4.4)
	intercomTagKind                            // a tag's id
)

// intercomOperators are the operators of each kind. A conversation's > and <
// include equality (2.5).
var intercomOperators = map[intercomKind][]string{
	intercomExactKind:  {"=", "!=", "IN", "NIN", "~", "!~", "^", "$"},
	intercomFoldedKind: {"=", "!=", "IN", "NIN", "~", "!~", "^", "$"},
	intercomWordsKind:  {"=", "!=", "~", "!~"},
	intercomTruthKind:  {"=", "!=", "IN", "NIN"},
	intercomNumberKind: {"=", "!=", "IN", "NIN", "<", ">", "<=", ">="},
	intercomDateKind:   {"=", "!=", "IN", "NIN", "<", ">", "<=", ">="},
	intercomDayKind:    {"=", "<", ">"},
	intercomTagKind:    {"=", "!="},
}

// An intercomQuery is a checked query: a group when operator is AND or OR,
// otherwise one filter.
type intercomQuery struct {
	operator string
	parts    []intercomQuery
	field    string
	kind     intercomKind
	values   []string // text; of one value but for IN and NIN; none for null
}

// An intercomSearch is the body of a search.
type intercomSearch struct {
	Query json.RawMessage `json:"query"`
	Sort  struct {
		Field string `json:"field"`
		Order string `json:"order"`
	} `json:"sort"`
	Pagination intercomPaging `json:"pagination"`
}

type intercomPaging struct {
	PerPage       intercomID `json:"per_page"`
	StartingAfter string     `json:"starting_after"`
}

// intercomCompile checks a query against the fields of a class.
func intercomCompile(raw json.RawMessage, depth int, kind func(field string) intercomKind) (intercomQuery, error) {
	var node struct {
		Field    string          `json:"field"`
		Operator string          `json:"operator"`
		Value    json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &node); err != nil {
		return intercomQuery{}, fmt.Errorf("invalid query: %w", err)
	}
	if node.Operator == "AND" || node.Operator == "OR" {
		var parts []json.RawMessage
		if err := json.Unmarshal(node.Value, &parts); err != nil || len(parts) == 0 {
			return intercomQuery{}, fmt.Errorf("value of %s must be an array of filters", node.Operator)
		}
		if depth >= intercomDepthLimit {
			return intercomQuery{}, fmt.Errorf("filters can be nested %d deep at most", intercomDepthLimit)
		}
		if len(parts) > intercomGroupLimit {
			return intercomQuery{}, fmt.Errorf("%d filters in one group; %d at most", len(parts), intercomGroupLimit)
		}
		group := intercomQuery{operator: node.Operator}
		for _, part := range parts {
			query, err := intercomCompile(part, depth+1, kind)
			if err != nil {
				return intercomQuery{}, err
			}
			group.parts = append(group.parts, query)
		}
		return group, nil
	}
	filter := intercomQuery{operator: node.Operator, field: node.Field, kind: kind(node.Field)}
	if filter.kind == 0 {
		return intercomQuery{}, fmt.Errorf("invalid field '%s'", node.Field)
	}
	if !slices.Contains(intercomOperators[filter.kind], node.Operator) {
		return intercomQuery{}, fmt.Errorf("invalid operator '%s' for field '%s'", node.Operator, node.Field)
	}
	var err error
	filter.values, err = intercomValues(node.Value, node.Operator, filter.kind)
	if err != nil {
		return intercomQuery{}, fmt.Errorf("field '%s': %w", node.Field, err)
	}
	return filter, nil
}

// intercomValues reads a filter's value: text, number, boolean or null, and for
// IN and NIN an array of them.
func intercomValues(raw json.RawMessage, operator string, kind intercomKind) ([]string, error) {
	var value any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("invalid value: %w", err)
	}
	all, list := value.([]any)
	switch many := operator == "IN" || operator == "NIN"; {
	case many != list:
		return nil, fmt.Errorf("operator '%s' does not take %s", operator, raw)
	case !many && value == nil:
		return nil, nil
	case !many:
		all = []any{value}
	}
	values := make([]string, 0, len(all))
	for _, one := range all {
		text := fmt.Sprint(one)
		switch kind {
		case intercomNumberKind, intercomDateKind, intercomDayKind:
			if _, err := strconv.ParseInt(text, 10, 64); err != nil {
				return nil, fmt.Errorf("'%s' is not a whole number", text)
			}
		case intercomTruthKind:
			if text != "true" && text != "false" {
				return nil, fmt.Errorf("'%s' is neither true nor false", text)
			}
		}
		values = append(values, text)
	}
	return values, nil
}

// matches answers a query for one object, whose fields have none, one or several
// values each.
func (q intercomQuery) matches(object func(field string) []string, zone *time.Location) bool {
	switch q.operator {
	case "AND":
		return !slices.ContainsFunc(q.parts, func(part intercomQuery) bool { return !part.matches(object, zone) })
	case "OR":
		return slices.ContainsFunc(q.parts, func(part intercomQuery) bool { return part.matches(object, zone) })
	case "!=", "NIN", "!~":
		return !q.any(map[string]string{"!=": "=", "NIN": "=", "!~": "~"}[q.operator], object(q.field), zone)
	case "IN":
		return q.any("=", object(q.field), zone)
	}
	return q.any(q.operator, object(q.field), zone)
}

// any says whether some value of the object compares with some of the filter's.
func (q intercomQuery) any(operator string, has []string, zone *time.Location) bool {
	if len(q.values) == 0 { // = null
		return len(has) == 0
	}
	for _, left := range has {
		for _, right := range q.values {
			if q.kind.compare(operator, left, right, zone) {
				return true
			}
		}
	}
	return false
}

func (k intercomKind) compare(operator, left, right string, zone *time.Location) bool {
	switch k {
	case intercomNumberKind, intercomDateKind, intercomDayKind:
		l, _ := strconv.ParseInt(left, 10, 64)
		r, _ := strconv.ParseInt(right, 10, 64)
		if k == intercomDayKind {
			l, r = intercomDay(l, zone), intercomDay(r, zone)
		}
		switch operator {
		case "=":
			return l == r
		case "<":
			return l < r || k == intercomDateKind && l == r
		case ">":
			return l > r || k == intercomDateKind && l == r
		case "<=":
			return l <= r
		}
		return l >= r
	case intercomWordsKind:
		// One whole word, never a phrase (2.5).
		if operator == "=" {
			return slices.ContainsFunc(intercomWords(left), func(word string) bool { return strings.EqualFold(word, right) })
		}
	case intercomExactKind, intercomTruthKind, intercomTagKind:
		if operator == "=" {
			return left == right
		}
	}
	left, right = strings.ToLower(left), strings.ToLower(right)
	switch operator {
	case "~":
		return strings.Contains(left, right)
	case "^":
		return strings.HasPrefix(left, right)
	case "$":
		return strings.HasSuffix(left, right)
	}
	return left == right
}

// intercomDay is the day of an instant in the workspace's zone, as a number that
// grows by one a day.
func intercomDay(seconds int64, zone *time.Location) int64 {
	year, month, day := time.Unix(seconds, 0).In(zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

func intercomWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' })
}

// intercomRefused is a 400 for a search that cannot be run.
func intercomRefused(code, message string) *intercomAnswer {
	answer := intercomError(http.StatusBadRequest, code, message)
	return &answer
}

// intercomSorted orders what a search found: by created_at, newest first, unless
// it says otherwise. An order other than ascending and descending is refused.
func intercomSorted[T any](found []T, search intercomSearch, lookup func(T, string) []string, number func(T) int, kind func(string) intercomKind) *intercomAnswer {
	field, order := cmp.Or(search.Sort.Field, "created_at"), cmp.Or(search.Sort.Order, "descending")
	if order != "ascending" && order != "descending" {
		return intercomRefused("invalid_sort_order", fmt.Sprintf("Invalid sort order '%s'. Must be one of: ascending, descending", order))
	}
	if kind(field) == 0 {
		return intercomRefused("invalid_field", fmt.Sprintf("Invalid sort field '%s'", field))
	}
	numeric := slices.Contains([]intercomKind{intercomDateKind, intercomDayKind, intercomNumberKind}, kind(field))
	type keyed struct {
		key    string
		object T
	}
	all := make([]keyed, len(found))
	for n, object := range found {
		all[n].object = object
		if values := lookup(object, field); len(values) > 0 {
			all[n].key = strings.ToLower(values[0])
			if numeric {
				all[n].key = fmt.Sprintf("%20s", values[0])
			}
		}
	}
	slices.SortFunc(all, func(a, b keyed) int {
		by := cmp.Or(strings.Compare(a.key, b.key), number(a.object)-number(b.object))
		if order == "descending" {
			by = -by
		}
		return by
	})
	for n := range all {
		found[n] = all[n].object
	}
	return nil
}

// of names a search, for its cursors: another query's are refused.
func (s intercomSearch) of(class string) string {
	return strings.Join([]string{class, string(s.Query), s.Sort.Field, s.Sort.Order}, "\x00")
}

// intercomPage cuts one page out of all that was found, and says where the next
// one starts (1.9). A cursor is opaque and belongs to its query.
func intercomPage[T any](all []T, id func(T) string, paging intercomPaging, standard int, query string) ([]T, map[string]any, *intercomAnswer) {
	size := standard
	if paging.PerPage != "" {
		n, err := strconv.Atoi(string(paging.PerPage))
		if err != nil || n < 1 || n > intercomPageLimit {
			return nil, nil, intercomRefused("parameter_invalid", fmt.Sprintf("per_page must be between 1 and %d", intercomPageLimit))
		}
		size = n
	}
	hash := fnv.New64a()
	hash.Write([]byte(query)) //nolint:errcheck // never fails
	seal := strconv.FormatUint(hash.Sum64(), 36)
	start := 0
	if paging.StartingAfter != "" {
		cursor, err := base64.RawURLEncoding.DecodeString(paging.StartingAfter)
		after, ok := strings.CutPrefix(string(cursor), seal+" ")
		at := slices.IndexFunc(all, func(object T) bool { return id(object) == after })
		if err != nil || !ok || at < 0 {
			return nil, nil, intercomRefused("parameter_invalid", "starting_after is not a cursor of this search")
		}
		start = at + 1
	}
	end := min(start+size, len(all))
	pages := map[string]any{
		"type": "pages", "page": start/size + 1, "per_page": size, "total_pages": (len(all) + size - 1) / size,
	}
	if end < len(all) {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(seal + " " + id(all[end-1])))
		pages["next"] = map[string]any{"per_page": size, "starting_after": cursor}
	}
	return all[start:end], pages, nil
}
