package customers

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPicture_JSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(fullMirror("cus_1").picture(t))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`{"stripe_id":"cus_1"`, `"account":"shop"`, `"livemode":true`, `"created_at":"2020-09-13T12:26:40Z"`, `"email":"Jane@Example.com"`, `"name":"Jane Doe"`, `"first_name":"Jane"`, `"country":"US"`, `"currency":"usd"`,
		`"metadata":{"quote":"\"\u003c\u0026\u2028","tier":"pro"}`, `"deleted":false`,
		`"subscription_status":"past_due"`, `"subscription_period_start_at":"2026-09-21T14:13:20Z"`, `"subscription_period_end_at":"2026-10-21T14:13:20Z"`,
		`"subscription_count":1`, `"plan":"Team"`,
		`"plan_price":{"amount":"49.000381","currency":"usd"}`, `"plan_interval":"month"`, `"plan_interval_count":3`, `"quantity":3`, `"plans":["Team"]`,
		`"mrr":{"amount":"49.00","currency":"usd"}`, `"trial_ends_at":"2025-10-09T08:53:20Z"`, `"cancels_at":"2027-01-03T18:13:20Z"`, `"canceled_at":"2026-05-28T20:26:41Z"`,
		`"cancellation_reason":"cancellation_requested"`, `"collection_paused":false`, `"coupon":"Spring"`, `"coupon_ends_at":"2026-11-18T11:06:40Z"`,
		`"card_brand":"Visa"`, `"card_last4":"4242"`, `"card_expires_at":"2028-02-29"`, `"card_wallet":"apple_pay"`, `"card_updated_at":"2026-02-02T02:40:00Z"`, `"payment_method_type":"card"`,
		`"last_charge_amount":{"amount":"147.00","currency":"usd"}`, `"last_charge_at":"2026-05-28T20:26:40Z"`, `"lifetime_spend":{"amount":"146.00","currency":"usd"}`,
		`"payment_count":1`, `"last_payment_at":"2026-05-28T20:26:40Z"`, `"last_payment_amount":{"amount":"147.00","currency":"usd"}`,
		`"failed_payment_count":1`, `"last_failure_at":"2026-09-21T14:13:20Z"`, `"last_failure_reason":"insufficient_funds"`,
		`"open_invoice_amount":{"amount":"147.00","currency":"usd"}`, `"open_invoice_count":1`, `"oldest_open_invoice_due_at":"2026-09-22T14:13:20Z"`,
		`"invoice_attempt_count":2`, `"next_payment_attempt_at":"2026-09-24T14:13:20Z"`, `"next_charge_at":"2026-09-24T14:13:20Z"`,
		`"delinquent":true`, `"account_balance":{"amount":"-12.50","currency":"usd"}`, `"card_id":"pm_cus_1"`, `"state":"CA"}`,
	}, ",")
	if string(got) != want {
		t.Errorf("MarshalJSON\n got %s\nwant %s", got, want)
	}
}

func TestPicture_MissingIsNull(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Picture{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(got, &fields); err != nil {
		t.Fatal(err)
	}
	if len(fields) != len(catalog)+2 {
		t.Errorf("%d fields, want %d", len(fields), len(catalog)+2)
	}
	for name, v := range fields {
		if v != nil {
			t.Errorf("%s is %v, want null", name, v)
		}
	}
}

func TestPicture_Values(t *testing.T) {
	t.Parallel()
	p := NewPicture(Ref{1, 2}, "pm_1", "CA", map[string]any{"stripe_id": "cus_1", "plan": "Pro", "no_such_thing": 1})
	if p.StripeID != "cus_1" || p.Value("plan") != "Pro" || p.Value("no_such_thing") != nil || p.Value("mrr") != nil {
		t.Errorf("NewPicture gave %+v", p)
	}
}
