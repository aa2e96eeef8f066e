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
		`{"stripe_id":"cus_1"`, `"email":"Jane@Example.com"`, `"name":"Jane Doe"`, `"first_name":"Jane"`, `"country":"US"`, `"currency":"usd"`,
		`"metadata":{"quote":"\"\u003c\u0026\u2028","tier":"pro"}`, `"deleted":false`,
		`"subscription_status":"past_due"`, `"subscription_period_start_at":"2026-09-21T14:13:20Z"`, `"plan":"Team"`,
		`"plan_price":{"amount":"49.000381","currency":"usd"}`, `"plan_interval":"month"`, `"plan_interval_count":3`, `"mrr":{"amount":"49.00","currency":"usd"}`,
		`"card_brand":"Visa"`, `"card_last4":"4242"`, `"card_expires_at":"2028-02-29"`,
		`"last_charge_amount":{"amount":"147.00","currency":"usd"}`, `"last_charge_at":"2026-05-28T20:26:40Z"`, `"lifetime_spend":{"amount":"146.00","currency":"usd"}`,
		`"open_invoice_amount":{"amount":"147.00","currency":"usd"}`, `"open_invoice_count":1`, `"next_charge_at":"2026-09-24T14:13:20Z"`,
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
