package customers

import "testing"

func TestProjection_Payments(t *testing.T) {
	t.Parallel()
	charge := func(id, status, currency string, amount, created int, more string) string {
		return chargeJSON(id, status, currency, amount, 0, created, more)
	}
	paid := func(id, more string) string { return invoiceJSON(id, "paid", "usd", 0, more) }
	const outOfBand = `,"paid_out_of_band":true,"amount_due":9900,"amount_paid":9900,"status_transitions":{"paid_at":1790007200}`
	none := map[string]string{"payment_count": "0", "last_payment_at": "missing", "last_payment_amount": "missing"}
	checkDerivations(t, []derivation{
		{"none", mirror{}, none},
		{"a charge", mirror{charges: []string{charge("ch_1", "succeeded", "usd", 4900, 1780000000, "")}},
			map[string]string{"payment_count": "1", "last_payment_at": "2026-05-28T20:26:40Z", "last_payment_amount": "49.00 usd"}},
		{"failed, pending (SEPA, ACH), and authorised only: no money yet", mirror{charges: []string{
			charge("ch_1", "failed", "usd", 4900, 1780000000, ""), charge("ch_2", "pending", "usd", 4900, 1780000000, ""),
			charge("ch_3", "succeeded", "usd", 4900, 1780000000, `,"captured":false,"amount_captured":0`)}}, none},
		{"nothing captured is no payment", mirror{charges: []string{charge("ch_1", "succeeded", "usd", 0, 1780000000, "")}}, none},
		{"captured in part", mirror{charges: []string{charge("ch_1", "succeeded", "usd", 4900, 1780000000, `,"amount_captured":1500`)}}, map[string]string{"last_payment_amount": "15.00 usd"}},
		{"refunds and disputes do not undo it", mirror{charges: []string{
			chargeJSON("ch_1", "succeeded", "usd", 4900, 4900, 1780000000, `,"refunded":true`), chargeJSON("ch_2", "succeeded", "usd", 100, 0, 1770000000, `,"disputed":true`)}},
			map[string]string{"payment_count": "2", "last_payment_amount": "49.00 usd", "lifetime_spend": "1.00 usd"}},
		{"all currencies count, the newest is shown in its own", mirror{customer: `{"id":"cus_1","currency":"usd"}`, charges: []string{
			charge("ch_1", "succeeded", "usd", 4900, 1770000000, ""), charge("ch_2", "succeeded", "jpy", 4900, 1780000000, "")}},
			map[string]string{"payment_count": "2", "last_payment_amount": "4900 jpy"}},
		{"krónur and shillings have two decimals in the API", mirror{charges: []string{charge("ch_1", "succeeded", "isk", 50000, 1780000000, ""), charge("ch_2", "succeeded", "ugx", 70000, 1780000001, "")}},
			map[string]string{"last_payment_amount": "700 ugx"}},
		{"dinars have three", mirror{charges: []string{charge("ch_1", "succeeded", "kwd", 5130, 1780000000, "")}}, map[string]string{"last_payment_amount": "5.130 kwd"}},
		{"ties by id, whatever the order", mirror{charges: []string{charge("ch_b", "succeeded", "usd", 2, 1780000000, ""), charge("ch_a", "succeeded", "usd", 1, 1780000000, "")}}, map[string]string{"last_payment_amount": "0.02 usd"}},

		{"an invoice paid out of band is money, though no charge", mirror{invoices: []string{paid("in_1", outOfBand)}, charges: []string{charge("ch_1", "succeeded", "usd", 4900, 1780000000, "")}},
			map[string]string{"payment_count": "2", "last_payment_at": "2026-09-21T16:13:20Z", "last_payment_amount": "99.00 usd", "last_charge_at": "2026-05-28T20:26:40Z", "last_charge_amount": "49.00 usd", "lifetime_spend": "49.00 usd"}},
		{"a newer charge than it", mirror{invoices: []string{paid("in_1", outOfBand)}, charges: []string{charge("ch_1", "succeeded", "usd", 4900, 1791000000, "")}},
			map[string]string{"payment_count": "2", "last_payment_amount": "49.00 usd"}},
		{"what was due, where nothing is said to be paid", mirror{invoices: []string{paid("in_1", `,"paid_out_of_band":true,"amount_due":9900,"amount_paid":0`)}},
			map[string]string{"payment_count": "1", "last_payment_at": "2026-09-21T14:13:20Z", "last_payment_amount": "99.00 usd"}},
		{"the charge of a paid invoice is not counted twice", mirror{invoices: []string{paid("in_1", `,"amount_due":4900,"amount_paid":4900,"charge":"ch_1"`)}, charges: []string{charge("ch_1", "succeeded", "usd", 4900, 1780000000, `,"invoice":"in_1"`)}},
			map[string]string{"payment_count": "1"}},
		{"the invoice of a trial, one paid from the balance, a credit: paid, and no payment", mirror{invoices: []string{
			paid("in_1", `,"billing_reason":"subscription_create","total":0,"amount_due":0,"amount_paid":0`),
			paid("in_2", `,"total":4900,"amount_due":0,"amount_paid":0,"starting_balance":-4900`), paid("in_3", `,"total":-4900,"amount_due":0,"amount_paid":0,"paid_out_of_band":true`)}}, none},
		{"out of band and void since", mirror{invoices: []string{invoiceJSON("in_1", "void", "usd", 0, outOfBand)}}, none},
	})
}

func TestProjection_Failures(t *testing.T) {
	t.Parallel()
	failed := func(id string, created int, more string) string {
		return chargeJSON(id, "failed", "usd", 4900, 0, created, more)
	}
	money := chargeJSON("ch_m", "succeeded", "usd", 4900, 0, 1780000000, "")
	checkDerivations(t, []derivation{
		{"none", mirror{}, map[string]string{"failed_payment_count": "0", "last_failure_at": "missing", "last_failure_reason": "missing"}},
		{"without a payment, ever", mirror{charges: []string{failed("ch_1", 1770000000, ""), failed("ch_2", 1780000000, "")}}, map[string]string{"failed_payment_count": "2", "last_failure_at": "2026-05-28T20:26:40Z"}},
		{"since the newest payment", mirror{charges: []string{failed("ch_1", 1770000000, ""), money, failed("ch_2", 1790000000, ""), failed("ch_3", 1790000001, "")}},
			map[string]string{"failed_payment_count": "2", "last_failure_at": "2026-09-21T14:13:21Z"}},
		{"paid: the count is 0, what failed last is still told", mirror{charges: []string{failed("ch_1", 1770000000, `,"outcome":{"reason":"expired_card"}`), money}},
			map[string]string{"failed_payment_count": "0", "last_failure_at": "2026-02-02T02:40:00Z", "last_failure_reason": "expired_card"}},
		{"in the second of the payment: it was paid", mirror{charges: []string{failed("ch_z", 1780000000, ""), money}}, map[string]string{"failed_payment_count": "0"}},
		{"paid out of band", mirror{charges: []string{failed("ch_1", 1790000000, "")}, invoices: []string{invoiceJSON("in_1", "paid", "usd", 0, `,"paid_out_of_band":true,"amount_paid":4900,"status_transitions":{"paid_at":1790007200}`)}},
			map[string]string{"failed_payment_count": "0"}},
		{"a refund of the payment brings no failure back", mirror{charges: []string{failed("ch_1", 1770000000, ""), chargeJSON("ch_m", "succeeded", "usd", 4900, 4900, 1780000000, "")}}, map[string]string{"failed_payment_count": "0"}},
		{"money that is not captured does not reset it", mirror{charges: []string{failed("ch_1", 1770000000, ""), chargeJSON("ch_m", "succeeded", "usd", 4900, 0, 1780000000, `,"captured":false`)}}, map[string]string{"failed_payment_count": "1"}},
		{"attempts that Stripe planned and did not make are no failures", mirror{charges: []string{failed("ch_1", 1790000000, "")}, invoices: []string{invoiceJSON("in_1", "open", "usd", 4900, `,"attempt_count":4`)}},
			map[string]string{"failed_payment_count": "1", "invoice_attempt_count": "4"}},
		{"the bank's reason before Stripe's code, which says card_declined for most", mirror{charges: []string{failed("ch_1", 1790000000, `,"outcome":{"reason":"insufficient_funds"},"failure_code":"card_declined"`)}}, map[string]string{"last_failure_reason": "insufficient_funds"}},
		{"else the code, as for debits", mirror{charges: []string{failed("ch_1", 1790000000, `,"outcome":{"reason":null},"failure_code":"debit_not_authorized"`)}}, map[string]string{"last_failure_reason": "debit_not_authorized"}},
		{"without an outcome", mirror{charges: []string{failed("ch_1", 1790000000, `,"outcome":null,"failure_code":"expired_card"`)}}, map[string]string{"last_failure_reason": "expired_card"}},
		{"the newest says nothing: an older reason is not its", mirror{charges: []string{failed("ch_1", 1770000000, `,"failure_code":"expired_card"`), failed("ch_2", 1790000000, "")}}, map[string]string{"last_failure_reason": "missing"}},
	})
}

func TestProjection_Dunning(t *testing.T) {
	t.Parallel()
	open := func(id, more string) string { return invoiceJSON(id, "open", "usd", 4900, more) }
	checkDerivations(t, []derivation{
		{"none", mirror{}, missing("oldest_open_invoice_due_at invoice_attempt_count next_payment_attempt_at")},
		{"charged automatically: no due date", mirror{invoices: []string{open("in_1", `,"due_date":null,"attempt_count":1,"next_payment_attempt":1790259200`)}},
			map[string]string{"oldest_open_invoice_due_at": "missing", "invoice_attempt_count": "1", "next_payment_attempt_at": "2026-09-24T14:13:20Z"}},
		{"the earliest due date, not that of the oldest invoice", mirror{invoices: []string{
			open("in_1", `,"created":1,"due_date":1790259200`), open("in_2", `,"created":2,"due_date":1790086400`), open("in_3", "")}}, map[string]string{"oldest_open_invoice_due_at": "2026-09-22T14:13:20Z"}},
		{"what is paid, void, written off or a draft is not due", mirror{invoices: []string{
			invoiceJSON("in_1", "paid", "usd", 0, `,"due_date":1790086400`), invoiceJSON("in_2", "void", "usd", 4900, `,"due_date":1790086400`),
			invoiceJSON("in_3", "uncollectible", "usd", 4900, `,"due_date":1790086400,"attempt_count":8`), invoiceJSON("in_4", "draft", "usd", 4900, `,"due_date":1790086400,"next_payment_attempt":1790259200`),
			invoiceJSON("in_5", "open", "usd", 0, `,"due_date":1790086400`)}}, missing("oldest_open_invoice_due_at invoice_attempt_count next_payment_attempt_at")},
		{"by invoice: due, and Stripe will not try", mirror{invoices: []string{open("in_1", `,"collection_method":"send_invoice","due_date":1790086400,"attempt_count":0,"next_payment_attempt":1790259200`)}},
			map[string]string{"oldest_open_invoice_due_at": "2026-09-22T14:13:20Z", "invoice_attempt_count": "0", "next_payment_attempt_at": "missing"}},
		{"retries are over: null is no attempt in 1970", mirror{invoices: []string{open("in_1", `,"attempt_count":8`)}}, map[string]string{"invoice_attempt_count": "8", "next_payment_attempt_at": "missing"}},
		{"the first of several attempts", mirror{invoices: []string{open("in_1", `,"next_payment_attempt":1790500000`), open("in_2", `,"next_payment_attempt":1790259200`)}}, map[string]string{"next_payment_attempt_at": "2026-09-24T14:13:20Z"}},
		{"attempts of the newest that was tried: a new invoice has none yet", mirror{invoices: []string{
			open("in_1", `,"created":1,"attempt_count":8`), open("in_2", `,"created":2,"attempt_count":3`), open("in_3", `,"created":3,"attempt_count":0`)}}, map[string]string{"invoice_attempt_count": "3"}},
		{"whatever the order", mirror{invoices: []string{
			open("in_3", `,"created":3,"attempt_count":0`), open("in_1", `,"created":1,"attempt_count":8`), open("in_2", `,"created":2,"attempt_count":3`)}}, map[string]string{"invoice_attempt_count": "3"}},
		{"not known is not tried", mirror{invoices: []string{open("in_1", `,"attempt_count":null`)}}, map[string]string{"invoice_attempt_count": "0"}},
		{"a renewal to come is no attempt on what is open", mirror{subscriptions: []string{monthlySub("sub_1", "usd", "4900", "")}, invoices: []string{open("in_1", "")}},
			map[string]string{"next_payment_attempt_at": "missing", "next_charge_at": "2026-10-21T14:13:20Z"}},
	})
}
