package segments

import (
	"slices"
	"strings"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// What Compile puts together: SQL with question marks, and their arguments.

var symbols = map[rule.Op]string{
	rule.Equal: "=", rule.Less: "<", rule.LessOrEqual: "<=", rule.Greater: ">", rule.GreaterOrEqual: ">=",
	rule.Before: "<", rule.After: ">",
}

var mirrored = map[rule.Op]rule.Op{
	rule.Equal: rule.Equal, rule.Less: rule.Greater, rule.LessOrEqual: rule.GreaterOrEqual,
	rule.Greater: rule.Less, rule.GreaterOrEqual: rule.LessOrEqual, rule.Before: rule.After, rule.After: rule.Before,
	rule.NotEqual: rule.NotEqual,
}

func dateArg(d rule.Date) piece { return piece{sql: "?::date", args: []any{d.String()}} }

func instantArg(t time.Time) piece { return piece{sql: "?::timestamptz", args: []any{t.UTC()}} }

func infix(l piece, op string, r piece) piece {
	return piece{sql: l.sql + " " + op + " " + r.sql, args: slices.Concat(l.args, r.args)}
}

// selected is a table of the given columns.
func selected(columns string, from piece) piece {
	return piece{sql: "select " + columns + " from " + from.sql, args: from.args}
}

func commas(list []piece) piece {
	out := list[0]
	for _, p := range list[1:] {
		out = piece{sql: out.sql + ", " + p.sql, args: slices.Concat(out.args, p.args)}
	}
	return out
}

// join puts alternatives or parts of one predicate together, in parentheses when
// there are several.
func join(word string, parts ...piece) piece {
	if len(parts) == 1 {
		return parts[0]
	}
	out := piece{wrapped: true}
	sqls := make([]string, len(parts))
	for i, p := range parts {
		sqls[i] = p.sql
		out.args = append(out.args, p.args...)
	}
	out.sql = "(" + strings.Join(sqls, word) + ")"
	return out
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }

func asciiLower(s string) string {
	b := []byte(s)
	for i, ch := range b {
		if 'A' <= ch && ch <= 'Z' {
			b[i] = ch + 'a' - 'A'
		}
	}
	return string(b)
}

// isColumn guards the one place where a name becomes SQL: the catalog is ours,
// and a name in it is a plain lower-case identifier.
func isColumn(name string) bool {
	for i := range len(name) {
		ch := name[i]
		if ch != '_' && (ch < 'a' || ch > 'z') && (i == 0 || ch < '0' || ch > '9') {
			return false
		}
	}
	return name != ""
}
