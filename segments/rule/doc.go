// Package rule is the language in which segments are written.
//
//	plan in ('pro', 'team') and card_expires_at within next 30 days
//
// A rule is a boolean expression over one customer. [Parse] turns source into a
// tree, [Check] types the tree against a [Catalog], [Format] prints it
// canonically, and [Rule.Eval] answers it for one customer at one instant. [New]
// parses and checks in one go and reports the faults of both.
//
//   - A rule names nothing that the Catalog did not offer it.
//   - Every rule is true or false, never unknown: not (p) is p's complement.
//   - Parse(Format(tree)) is tree again.
//   - A moving bound, such as today() + 30 days, never decreases as time goes on.
//   - Source of any kind, hostile or torn, ends in a tree or in diagnostics.
//
// The package does no I/O and asks no clock: "now" is an argument of Eval.
//
// # Missing values
//
// A predicate on a missing value is false. !=, not in, not like, not between,
// not within and not … are exact complements, so plan != 'Pro' is true for
// customers without a plan. is null and is set ask for presence; empty text and
// an empty list are present. x is true, x is false and a bare x are all false
// when x is missing.
//
// # Money
//
// An amount compares only with amounts of its own currency; with another one
// every comparison is false, and != true. A bare number beside money has the
// workspace's currency. In one between or one list, bare numbers and amounts
// with a currency do not mix. A list may name several currencies, and means any
// of these amounts.
//
// # Days and instants
//
// A date is a day without a zone. It compares with dates, today() and date '…',
// and never with now() or a timestamp. An instant compares with instants, now()
// and a timestamp, or with a date of any kind, and then it is its own local date
// in the workspace's zone that is compared:
//
//	x =  date '2026-03-01'    x falls on that day
//	x <  date '2026-03-01'    x is before that day begins; before is the same
//	x <= date '2026-03-01'    x is before the next day begins
//	x >  date '2026-03-01'    x is when the next day begins, or later; after is the same
//	x >= date '2026-03-01'    x is when that day begins, or later
//	x between d and e         from the beginning of d to the end of e
//
// A day begins at the first instant that has its date, which is not midnight
// where clocks skip it ([Date.In]); where clocks are set back across midnight,
// the new day is not left again ([DateOf]). [WindowOf] says what within means,
// and [Duration.AddTo] how now() moves by months.
//
// # Text
//
// = and like respect case, and ilike folds the letters A to Z only. In a pattern
// % is any text, _ one character, and a backslash makes a %, _ or backslash
// literal. contains, starts with and ends with take their text literally and
// respect case. contains on a list asks for an element.
//
// # Sets
//
// exists (invoices where …) asks whether the customer has such an element, and
// count, sum, min, max, avg, latest and earliest work one value out of the
// elements. Inside where a bare name is the element's field and customer.name
// the customer's attribute; sets and segments stay outside. A where holds for
// one element at a time: two conditions in one where are about the same invoice.
//
//   - Of nothing, count and sum are 0, the sum of amounts in any currency; the
//     others are missing.
//   - What is missing does not count in a sum, min, max or avg. Of amounts in
//     several currencies all four are missing (honest-money).
//   - avg is rounded to twelve decimals ([AvgPlaces]), half away from zero.
//   - latest(c.f) is f of the newest element, whether f is there or not; of
//     elements with the same created_at the one whose id is greater, byte by byte.
//
// # As time goes on
//
// [Rule.Crossings] says whose answers can have changed between two instants,
// [Rule.NextChange] when one customer's will, and [Rule.Explain] why it is what
// it is.
package rule
