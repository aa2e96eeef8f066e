package rule

// A Crossing is a span of values that a bound of a rule passed over as time
// went on. Of the customers whom nothing else touched, only the owners of a
// value in the span can have another answer than before (exact-membership).
type Crossing struct {
	Collection string // empty for an attribute of the customer
	Name       string // the attribute's or field's
	From, To   Bound  // both included; days for a date, instants for an instant
}

// Crossings returns the spans that the rule's moving bounds passed over between
// two instants, without duplicates. The zones of both are the same. A minimum, a
// maximum, a latest or an earliest time equals the time of some element, so the
// owners of elements cover it.
func (r *Rule) Crossings(was, is Env) []Crossing {
	if is.Now.Before(was.Now) {
		was, is = is, was
	}
	seen := map[Crossing]bool{}
	var found []Crossing
	for _, m := range r.movers() {
		from, to := m.at(was), m.at(is)
		if from.Date == to.Date && from.Instant.Equal(to.Instant) {
			continue
		}
		if m.column.Type == InstantType && from.IsDate() {
			// An instant is compared with a day by the instants at which the day
			// begins and ends.
			from, to = Bound{Instant: from.Date.In(is.Zone)}, Bound{Instant: to.Date.AddDays(1).In(is.Zone)}
		}
		c := Crossing{Collection: m.collection, Name: m.column.Name, From: from, To: to}
		if !seen[c] {
			seen[c] = true
			found = append(found, c)
		}
	}
	return found
}
