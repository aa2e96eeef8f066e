package sandbox

import (
	"cmp"
	"encoding/json"
	"slices"
)

// An Object is one thing the Stripe account holds, as a retrieve answers it.
type Object struct {
	Class    string // customers, subscriptions, invoices, charges, refunds, disputes, payment_methods, products or prices
	ID       string
	Customer string // whose it is, or was; empty for products and prices
	Deleted  bool   // a customer who was deleted: Raw is the stub; a payment method that was detached
	Raw      json.RawMessage
}

// Untold are the fields, by class, that change without an event that says so, as
// at Stripe: a mirror has them as they were when it last read the object.
var Untold = map[string][]string{
	"customers": {"next_invoice_sequence"},
}

// Objects returns everything the account holds now, by class and id, in the
// account's shapes of 2023-10-16. Expanded, customers come with default_source and
// invoice_settings.default_payment_method, subscriptions with
// default_payment_method and default_source, and prices with tiers and
// currency_options; otherwise as events have them, with ids or without.
// What is expanded changes by its own events, not by those of what holds it. A
// legacy card is among the payment methods as the card object that it is.
func (s *Sandbox) Objects(expanded bool) []Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &view{world: s.world, now: s.clock.Now().Unix()}
	var all []Object
	for _, o := range s.world.byID {
		if one, ok := v.object(o, expanded); ok {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b Object) int { return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.ID, b.ID)) })
	return all
}

// object is one entity as an Object; false for the classes that no mirror has.
func (v *view) object(o entity, expanded bool) (Object, bool) {
	one := Object{ID: o.ident()}
	var paths []string
	switch o := o.(type) {
	case *customer:
		one.Class, one.Customer, one.Deleted = "customers", o.id, o.deleted
		if o.deleted {
			one.Raw = o.deletedStub()
			return one, true
		}
		paths = []string{"default_source", "invoice_settings.default_payment_method"}
	case *subscription:
		one.Class, one.Customer = "subscriptions", o.customer.id
		paths = []string{"default_payment_method", "default_source"}
	case *invoice:
		one.Class, one.Customer = "invoices", o.customer.id
	case *charge:
		one.Class, one.Customer = "charges", o.customer.id
	case *refund:
		one.Class, one.Customer = "refunds", o.charge.customer.id
	case *dispute:
		one.Class, one.Customer = "disputes", o.charge.customer.id
	case *method:
		one.Class, one.Customer, one.Deleted = "payment_methods", o.customer.id, !o.attached
	case *product:
		one.Class = "products"
	case *price:
		one.Class = "prices"
		paths = []string{"tiers", "currency_options"}
	default:
		return Object{}, false
	}
	one.Raw = o.raw()
	if expanded {
		grown, err := v.expandAll(one.Raw, paths)
		if err != nil {
			panic("sandbox: expand " + one.ID + ": " + err.message) // these paths are always there
		}
		one.Raw = grown
	}
	return one, true
}
