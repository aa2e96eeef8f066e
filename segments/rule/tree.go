package rule

import "time"

// A Tree is a rule as it was written: parsed, not yet checked against a catalog.
// It is immutable once Parse has returned it.
type Tree struct {
	Source string
	Root   Expr
}

// An Expr is a condition: true or false for one customer.
type Expr interface {
	Span() Span
	expr()
}

// A Value is one side of a comparison.
type Value interface {
	Span() Span
	value()
}

// at is the place of a node. It is embedded, so that every node knows its own.
type at struct{ span Span }

// Span returns the node's place in the source, without enclosing parentheses.
func (a at) Span() Span { return a.span }

// Conditions. And and Or have at least two operands, and none of their own kind:
// (a and b) and c is a and b and c.
type (
	And struct {
		at
		List []Expr
	}
	Or struct {
		at
		List []Expr
	}
	Not struct {
		at
		X Expr
	}
	// Exists asks whether the set has an element.
	Exists struct {
		at
		Set *Set
	}
	InSegment struct {
		at
		Segment string
	}
	Compare struct {
		at
		Left  Value
		Op    Op
		Right Value
	}
	// Between includes both ends.
	Between struct {
		at
		X, Low, High Value
		Not          bool
	}
	In struct {
		at
		X    Value
		List []Value // literals
		Not  bool
	}
	Match struct {
		at
		X       Value
		Op      MatchOp
		Pattern string
		Not     bool
		pattern Span
	}
	Is struct {
		at
		X    Value
		What What
		Not  bool
	}
	Within struct {
		at
		X    Value
		Last bool // last, not next
		For  Duration
		Not  bool
	}
	// Truth is a boolean attribute by itself.
	Truth struct {
		at
		X Value
	}
	// badExpr is where a condition could not be read; the fault is reported.
	badExpr struct{ at }
	// adjective is the where of a set with words before its collection, as in
	// exists (open invoices). Like the next two it is reported, and the checker,
	// who knows the catalog, may say it better.
	adjective struct {
		at
		of    string // exists, or the aggregate
		words []string
		rest  Expr // what stands behind where; nil without one
		fault Diagnostic
	}
	// possession is has paid, or no charges.
	possession struct {
		at
		not   bool
		words []string
		where bool // a where follows
		fault Diagnostic
	}
	// window is a condition and a span of time without an attribute, as in
	// status = 'failed' within last 30 days.
	window struct {
		at
		x      Expr
		within string
		fault  Diagnostic
	}
)

// Values.
type (
	// Ref names an attribute, or one key of a map attribute.
	Ref struct {
		at
		Customer bool   // written customer.name
		Name     string // lower case, a stripe_ prefix kept
		Key      string // of metadata['key']
		HasKey   bool
	}
	Aggregate struct {
		at
		Func string // count, sum, min, max, avg, latest, earliest
		Set  *Set
	}
	TextLit struct {
		at
		Text string
	}
	// NumberLit is a number, or an amount when it has a currency.
	NumberLit struct {
		at
		Number   Decimal
		Currency string // lower case; empty for a bare number
	}
	BoolLit struct {
		at
		Bool bool
	}
	// TimestampLit is an instant, in whole microseconds.
	TimestampLit struct {
		at
		Time time.Time // in the offset it was written with
	}
	// Moment is now(), today() or a date, moved by steps from left to right. A
	// date without steps is the literal date '…'.
	Moment struct {
		at
		Base  Base
		Date  Date // when Base is OnDate
		Steps []Duration
	}
	// qualified is table.field, which no rule has. The parser has reported it; the
	// checker may know better what was meant.
	qualified struct {
		at
		table, field string
	}
	// badValue stands where a value could not be read; the fault is reported.
	badValue struct{ at }
)

// A Set is the elements of a collection for which Where is true. Inside Where a
// bare name is the element's field.
type Set struct {
	at
	Collection string // lower case
	Field      string // lower case; empty when there is none
	Where      Expr   // nil for all elements
	name       Span   // of the collection, and the field if there is one
}

// An Op is how Compare compares.
type Op int

// The comparisons. Before and After are Less and Greater of points in time.
const (
	Equal Op = iota
	NotEqual
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	Before
	After
)

var opText = [...]string{"=", "!=", "<", "<=", ">", ">=", "before", "after"}

// String returns the operator as Format writes it.
func (o Op) String() string { return opText[o] }

// A MatchOp is how Match looks at text.
type MatchOp int

// The matches. Like and ILike take % for any text and _ for one character, with
// a backslash before a %, _ or backslash that is meant literally. The others
// take their argument literally; Contains on a list means an element.
const (
	Like MatchOp = iota
	ILike
	Contains
	StartsWith
	EndsWith
)

var matchText = [...]string{"like", "ilike", "contains", "starts with", "ends with"}

// String returns the operator as Format writes it.
func (o MatchOp) String() string { return matchText[o] }

// What is the thing Is asks for.
type What int

// Null is a missing value, Present any other.
const (
	Null What = iota
	Present
	True
	False
)

var whatText = [...]string{"null", "set", "true", "false"}

// String returns the word as Format writes it.
func (w What) String() string { return whatText[w] }

// A Base is what a Moment starts from.
type Base int

// The bases. Now is an instant; Today and OnDate are days.
const (
	Now Base = iota
	Today
	OnDate
)

func (*And) expr()        {}
func (*Or) expr()         {}
func (*Not) expr()        {}
func (*Exists) expr()     {}
func (*InSegment) expr()  {}
func (*Compare) expr()    {}
func (*Between) expr()    {}
func (*In) expr()         {}
func (*Match) expr()      {}
func (*Is) expr()         {}
func (*Within) expr()     {}
func (*Truth) expr()      {}
func (*badExpr) expr()    {}
func (*adjective) expr()  {}
func (*possession) expr() {}
func (*window) expr()     {}

func (*Ref) value()          {}
func (*Aggregate) value()    {}
func (*TextLit) value()      {}
func (*NumberLit) value()    {}
func (*BoolLit) value()      {}
func (*TimestampLit) value() {}
func (*Moment) value()       {}
func (*badValue) value()     {}
func (*qualified) value()    {}
