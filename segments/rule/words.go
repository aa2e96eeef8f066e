package rule

import (
	"slices"
	"strings"
)

// The limits of the language. What is beyond them gets a diagnostic.
const (
	MaxLength     = 64 << 10 // of a source, in bytes
	MaxDepth      = 64       // of parentheses, not and where
	MaxPredicates = 500      // comparisons in one rule
	MaxListItems  = 1000     // values of one in (…)
	MaxSteps      = 8        // durations added to one point in time
	MaxSets       = 20       // exists and aggregates in one rule
	maxDigits     = 40       // of a number
	firstYear     = 1900     // of a date in a rule
	lastYear      = 2999
)

// reserved are the words of the language. They are fixed: a word added here
// would break every stored rule that uses it as a name.
var reserved = []string{
	"after", "and", "avg", "before", "between", "contains", "count", "customer", "date", "day", "days",
	"earliest", "ends", "exists", "false", "hour", "hours", "ilike", "in", "is", "last", "latest", "like",
	"max", "min", "minute", "minutes", "month", "months", "next", "not", "now", "null", "or", "segment",
	"set", "starts", "sum", "timestamp", "today", "true", "week", "weeks", "where", "with", "within",
	"year", "years",
}

var reservedSet = setOf(reserved)

// Reserved returns the words that no attribute may be called, sorted.
func Reserved() []string { return slices.Clone(reserved) }

// IsReserved says whether name, in any case, is a word of the language.
func IsReserved(name string) bool {
	_, ok := reservedSet[strings.ToLower(name)]
	return ok
}

// aggregates are the functions over a set. All but count need a field.
var aggregates = []string{"count", "sum", "min", "max", "avg", "latest", "earliest"}

// operatorWords are what can follow a value, for "did you mean".
var operatorWords = []string{
	"between", "contains", "in", "like", "ilike", "starts with", "ends with", "is", "not", "within", "before", "after",
}

// joiners are what people write between two conditions besides and and or.
var joiners = map[string]string{
	"but": "and", "also": "and", "plus": "and", "while": "and", "et": "and", "und": "and",
	"except": "and not", "unless": "and not", "excluding": "and not", "minus": "and not", "nor": "and not",
}

// possessive are the words before what somebody has; no and without deny it.
var possessive = map[string]bool{
	"has": true, "have": true, "had": true, "having": true, "with": true, "without": true, "no": true,
}

// borrowedWords are what other languages call our operators.
var borrowedWords = map[string]string{
	"equals": "=", "equal": "=", "eq": "=", "neq": "!=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=",
	"includes": "contains", "include": "contains", "has": "contains", "matches": "like", "regexp": "like", "rlike": "like",
	"startswith": "starts with", "endswith": "ends with", "isnull": "is null", "notnull": "is set", "exceeds": ">",
	"greater": ">", "more": ">", "larger": ">", "bigger": ">", "higher": ">", "above": ">", "exceeding": ">",
	"less": "<", "fewer": "<", "smaller": "<", "lower": "<", "below": "<", "at": ">= or <=", "than": "> or <",
	"older": "before, as in before now() - 30 days", "newer": "after, as in after now() - 30 days",
	"earlier": "before", "later": "after", "never": "is null", "exactly": "=", "was": "is", "isn": "!=",
	"under": "<", "over": ">", "since": "after", "until": "before", "starting": "starts with", "ending": "ends with",
}
