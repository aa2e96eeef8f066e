package segments

import (
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// Known is the catalog that rules are checked against: the customers' own, with
// what only a workspace knows.
type Known struct {
	Names []string // of segments, for in segment; nil: any
	Plans []string // of the prices at Stripe; nil: any text may be a plan
}

var _ rule.Catalog = Known{}

// Attribute finds an attribute; see [rule.Catalog].
func (k Known) Attribute(name string) (rule.Attribute, bool) {
	a, ok := customers.Attributes.Attribute(name)
	return k.withPlans(a), ok
}

// Attributes lists the attributes.
func (k Known) Attributes() []rule.Attribute { return customers.Attributes.Attributes() }

// Collection finds a collection by its name.
func (k Known) Collection(name string) (rule.Collection, bool) {
	c, ok := customers.Attributes.Collection(name)
	if ok && k.Plans != nil {
		fields := make([]rule.Attribute, len(c.Fields))
		for i, f := range c.Fields {
			fields[i] = k.withPlans(f)
		}
		c.Fields = fields
	}
	return c, ok
}

// Collections lists the collections.
func (k Known) Collections() []rule.Collection { return customers.Attributes.Collections() }

// Segments are the names that in segment may use.
func (k Known) Segments() []string { return k.Names }

// withPlans makes plan an enumeration of the plans there are.
func (k Known) withPlans(a rule.Attribute) rule.Attribute {
	if a.Name == "plan" && a.Type == rule.Text {
		a.Values = k.Plans
	}
	return a
}
