package customers

// The derivations of what a customer owes, invoice by invoice.

// oldestOpenInvoiceDueAt is missing when every open invoice is charged
// automatically: Stripe gives those no due date.
func (s *sources) oldestOpenInvoiceDueAt() any {
	return s.firstOfOpen(func(inv *invoice) int64 { return inv.DueDate })
}

// nextPaymentAttemptAt is about what is owed already; next_charge_at also knows
// drafts and the renewal to come.
func (s *sources) nextPaymentAttemptAt() any {
	return s.firstOfOpen(func(inv *invoice) int64 {
		if inv.CollectionMethod == "send_invoice" {
			return 0
		}
		return inv.NextPaymentAttempt
	})
}

// firstOfOpen is the earliest of a time that open invoices have, as a value.
func (s *sources) firstOfOpen(second func(*invoice) int64) any {
	var first any
	earliest := int64(0)
	for i := range s.invoices {
		inv := &s.invoices[i]
		if !inv.isOpen() {
			continue
		}
		if at := instant(second(inv)); at != nil && (first == nil || second(inv) < earliest) {
			first, earliest = at, second(inv)
		}
	}
	return first
}

// invoiceAttemptCount is that of the newest open invoice that Stripe has tried
// to charge: 0 when it has tried none of them, missing when none is open.
func (s *sources) invoiceAttemptCount() any {
	var newest *invoice
	for i := range s.invoices {
		inv := &s.invoices[i]
		if !inv.isOpen() {
			continue
		}
		tried, before := orZero(inv.AttemptCount) > 0, newest != nil && orZero(newest.AttemptCount) > 0
		if newest == nil || tried && !before || tried == before && newer(inv.Created, inv.ID, newest.Created, newest.ID) {
			newest = inv
		}
	}
	if newest == nil {
		return nil
	}
	return exact(orZero(newest.AttemptCount))
}
