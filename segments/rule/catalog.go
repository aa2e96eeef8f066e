package rule

import (
	"slices"
	"strings"
	"time"
)

// A Type is the type of a value in a rule.
type Type int

// The types. Invalid is the type of what failed to check; it agrees with every
// other, so that one slip is one message. A MapType is asked by key.
const (
	Invalid     Type = iota
	Text             // string
	Number           // Decimal, without a unit the language knows
	MoneyType        // Money
	Boolean          // bool
	DateType         // Date
	InstantType      // time.Time
	ListType         // []string
	MapType          // map[string]string
)

// String returns the type in the user's words.
func (t Type) String() string { return typeNames[t] }

var typeNames = [...]string{
	"invalid", "text", "number", "money", "true or false", "date", "point in time", "list", "metadata",
}

// An Attribute is one typed value of a customer, as the catalog describes it.
type Attribute struct {
	Name   string // canonical, lower case
	Type   Type
	Values []string // the known values of an enumeration; nil when any text goes
	Help   string   // one line
	From   string   // the Stripe field it comes from
	Unit   string   // what a number counts; empty when there is nothing to say
}

// A Collection is a kind of thing that a customer has several of, such as
// invoices. One of them is an element.
type Collection struct {
	Name   string      // canonical, lower case, plural
	One    string      // an element, with its article: "an invoice"
	Help   string      // one line
	From   string      // the Stripe object it comes from
	Fields []Attribute // among them id, a text, and created_at, an instant; neither is ever missing
}

// Field finds a field by its name in any case.
func (c Collection) Field(name string) (Attribute, bool) {
	for _, f := range c.Fields {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return Attribute{}, false
}

// A Catalog says what a rule may name (closed-language). It must not change
// while a rule is checked.
type Catalog interface {
	// Attribute finds an attribute by its name in any case, with or without the
	// prefix stripe_.
	Attribute(name string) (Attribute, bool)
	// Attributes returns all of them in the catalog's order.
	Attributes() []Attribute
	// Collection finds a collection by its name in any case.
	Collection(name string) (Collection, bool)
	// Collections returns all of them in the catalog's order.
	Collections() []Collection
	// Segments returns the names that in segment may use; nil: any.
	Segments() []string
}

// Values are the values of one customer, or of one element, by canonical name:
// nil when missing, else string, Decimal, Money, bool, Date, time.Time, []string
// or map[string]string according to the attribute's type.
type Values interface {
	Value(name string) any
}

// A Customer is what a rule is asked about.
type Customer interface {
	Values
	// Elements returns the customer's elements of a collection, in any order.
	Elements(collection string) []Values
	// InSegment says whether the customer is a member of a segment.
	InSegment(name string) bool
}

// An Env is what a rule depends on besides the customer.
type Env struct {
	Now      time.Time      // the instant of the evaluation, taken to the microsecond
	Zone     *time.Location // the workspace's; nil is UTC
	Currency string         // the workspace's, for bare numbers beside money
}

// A Rule is a tree whose names and types were checked against a catalog. It is
// immutable and may be used by several goroutines.
type Rule struct {
	tree     *Tree
	attrs    map[*Ref]Attribute // of the customer, or of the element inside where
	fields   map[*Set]Attribute // what an aggregate is over
	reads    []string
	segments []string
}

// New parses and checks source; its *Error holds the faults of both, so that
// people see all of them at once. Currency is the workspace's, for hints.
func New(source string, c Catalog, currency string) (*Rule, error) {
	t, faults := parse(source)
	r, faults := check(t, c, currency, faults)
	if len(faults) > 0 {
		return nil, newError(source, faults)
	}
	return r, nil
}

// Check types t against the catalog. Its error is an *Error.
func Check(t *Tree, c Catalog, currency string) (*Rule, error) {
	r, faults := check(t, c, currency, nil)
	if len(faults) > 0 {
		return nil, newError(t.Source, faults)
	}
	return r, nil
}

// Source returns the rule as it was written.
func (r *Rule) Source() string { return r.tree.Source }

// Tree returns the rule's tree, which must not be changed.
func (r *Rule) Tree() *Tree { return r.tree }

// Reads returns what the rule's truth for one customer depends on besides time
// and other segments, sorted: attributes by canonical name, fields of
// collections as in invoices.status, and a collection by its own name, because
// elements come and go.
func (r *Rule) Reads() []string { return slices.Clone(r.reads) }

// Segments returns the segments that the rule names, sorted.
func (r *Rule) Segments() []string { return slices.Clone(r.segments) }

// Resolve returns the attribute that ref, a node of this rule's tree, names:
// inside where the element's field, unless it was written customer.name.
func (r *Rule) Resolve(ref *Ref) Attribute { return r.attrs[ref] }

// Field returns the field that an aggregate is over; the zero value for count
// and exists.
func (r *Rule) Field(s *Set) Attribute { return r.fields[s] }

// TypeOf returns the type of v, a node of this rule's tree. A bare number is a
// Number even beside money.
func (r *Rule) TypeOf(v Value) Type {
	switch v := v.(type) {
	case *Ref:
		return refType(v, r.attrs[v])
	case *Aggregate:
		if v.Func == "count" {
			return Number
		}
		return r.fields[v.Set].Type
	}
	return literalType(v)
}

func refType(ref *Ref, a Attribute) Type {
	if ref.HasKey && a.Type == MapType {
		return Text
	}
	return a.Type
}

func literalType(v Value) Type {
	switch v := v.(type) {
	case *TextLit:
		return Text
	case *NumberLit:
		if v.Currency != "" {
			return MoneyType
		}
		return Number
	case *BoolLit:
		return Boolean
	case *TimestampLit:
		return InstantType
	case *Moment:
		if v.Base == Now {
			return InstantType
		}
		return DateType
	}
	return Invalid
}
