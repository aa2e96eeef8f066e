package customers

import "github.com/dunlin/dunlin/segments/rule"

var (
	refundStatuses  = []string{"pending", "requires_action", "succeeded", "failed", "canceled"}
	disputeStatuses = []string{
		"warning_needs_response", "warning_under_review", "warning_closed", "needs_response", "under_review", "won", "lost",
	}
)

var refundCatalog = []field[refund]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "refund.id",
		Help: "the refund's id at Stripe, re_…",
	}, func(_ *sources, r *refund) any { return r.ID }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "refund.created",
		Help: "when the money was given back, or was to be",
	}, func(_ *sources, r *refund) any { return creation(r.Created) }},
	{rule.Attribute{
		Name: "amount", Type: rule.MoneyType, Unit: major, From: "refund.amount",
		Help: "amount given back",
	}, func(_ *sources, r *refund) any { return minorOf(r.Amount, r.Currency) }},
	{rule.Attribute{
		Name: "status", Type: rule.Text, Values: refundStatuses, From: "refund.status",
		Help: "how it went: pending, requires_action, succeeded, failed or canceled",
	}, func(_ *sources, r *refund) any { return text(r.Status) }},
	{rule.Attribute{
		Name: "reason", Type: rule.Text, From: "refund.reason",
		Help: "why: duplicate, fraudulent or requested_by_customer; missing when nobody said",
	}, func(_ *sources, r *refund) any { return text(r.Reason) }},
	{rule.Attribute{
		Name: "charge", Type: rule.Text, From: "refund.charge",
		Help: "id of the charge whose money it is, ch_…",
	}, func(_ *sources, r *refund) any { return text(r.Charge.ID) }},
}

var disputeCatalog = []field[dispute]{
	{rule.Attribute{
		Name: "id", Type: rule.Text, From: "dispute.id",
		Help: "the dispute's id at Stripe, dp_…",
	}, func(_ *sources, d *dispute) any { return d.ID }},
	{rule.Attribute{
		Name: "created_at", Type: rule.InstantType, From: "dispute.created",
		Help: "when the dispute was opened",
	}, func(_ *sources, d *dispute) any { return creation(d.Created) }},
	{rule.Attribute{
		Name: "amount", Type: rule.MoneyType, Unit: major, From: "dispute.amount",
		Help: "amount that is contested",
	}, func(_ *sources, d *dispute) any { return minorOf(d.Amount, d.Currency) }},
	{rule.Attribute{
		Name: "status", Type: rule.Text, Values: disputeStatuses, From: "dispute.status",
		Help: "where it stands: needs_response, under_review, won, lost, or a warning_… before it is one",
	}, func(_ *sources, d *dispute) any { return text(d.Status) }},
	{rule.Attribute{
		Name: "reason", Type: rule.Text, From: "dispute.reason",
		Help: "why, in the bank's words: fraudulent, product_not_received, duplicate …",
	}, func(_ *sources, d *dispute) any { return text(d.Reason) }},
	{rule.Attribute{
		Name: "evidence_due_at", Type: rule.InstantType, From: "dispute.evidence_details.due_by",
		Help: "until when the merchant may answer; missing when the bank does not wait for that",
	}, func(_ *sources, d *dispute) any { return instant(d.EvidenceDetails.DueBy) }},
	{rule.Attribute{
		Name: "charge", Type: rule.Text, From: "dispute.charge",
		Help: "id of the charge that is contested, ch_…",
	}, func(_ *sources, d *dispute) any { return text(d.Charge.ID) }},
}
