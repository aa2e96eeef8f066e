// Package customers is the billing picture of a customer: one typed value for
// each attribute of the catalog, and its collections, one element for each
// subscription, subscription item, invoice, charge and card, derived from the
// Stripe objects in the mirror.
//
//	changed, err := customers.Project(ctx, tx, account, []string{"cus_1"}, now)
//	ref, err := customers.Find(ctx, pool, account, "cus_1")
//	picture, err := customers.Load(ctx, pool, ref)
//	picture.Value("plan_price") // rule.Money, or nil when it is missing
//	whole, err := customers.LoadCustomer(ctx, pool, ref)
//	whole.Elements("invoices")[0].Value("due_at") // time.Time, or nil
//
// [Attributes] is the catalog as data: what a rule may name, of which type, and
// from which Stripe field it comes. [Project] reads the mirror, derives, and
// writes what changed; whoever writes a customer's mirror rows takes [Lock]
// first. [Load] reads a picture back, [LoadCustomer] the elements too.
//
//   - No projection reads a clock: pictures and elements are functions of the
//     mirror, and what changes with time alone is an instant or a date that rules
//     compare.
//   - The order of rows and events does not matter, and projecting twice
//     changes nothing the second time.
//   - Amounts are exact decimals; amounts of different currencies are never
//     added or compared (honest-money).
//   - Null is not zero: what Stripe does not know is a missing value.
//   - A mirror row that cannot be understood contributes nothing and is logged
//     by class and id; it stops nobody else's projection.
//   - Writes that change nothing a rule can read leave no trace in
//     changed_customers; those that do are told by catalog name.
//
// Stripe's JSON is decoded into small structs of this package, because the
// structs of stripe-go lose nulls and hold decimal amounts as floats.
package customers
