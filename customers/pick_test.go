package customers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecode: nothing that a row can hold makes a projection panic, and picking
// fields first decodes what decoding everything does.
func FuzzDecode(f *testing.F) {
	m := fullMirror("cus_1")
	for _, raws := range [][]string{{m.customer}, m.subscriptions, m.invoices, m.charges, m.methods, {
		`{"id":5}`, `[]`, `null`, `"x"`, `{"metadata":[1]}`, `{"metadata":{"a":{"b":null}}}`, `{"items":{"data":[{"price":{"currency":"usd","recurring":{"interval":"day","interval_count":-1},"unit_amount":9223372036854775807},"quantity":9223372036854775807}]},"status":"active"}`,
		`{"items":{"data":[null,{"plan":{}},{"price":{"product":7}}]}}`, `{"discounts":[null,"di",{"coupon":"c"},{"coupon":{"duration":"forever","percent_off":-1e5}}]}`,
		`{"items":{"data":[{"price":{"currency":"usd","recurring":{"interval":"month"},"transform_quantity":{"divide_by":0},"tiers":[{"up_to":0},{"up_to":-5}]}}]}}`,
		`{"type":"card","created":-1,"card":{"exp_month":2,"exp_year":9999,"wallet":{"type":"\u0000"},"country":"é"},"metadata":{"a":1}}`, `{"type":"card","card":{"wallet":"x"}}`,
		`{"status":"failed","outcome":{"reason":"\u0000"},"created":9223372036854775807}`, `{"status":"paid","paid_out_of_band":true,"amount_due":9223372036854775807,"currency":"usd"}`,
		`{"discount":{"coupon":"\u0000","end":-1},"sources":{"data":[{"id":"x","object":"card"},"y"]},"default_source":{"object":"card"},"livemode":null}`,
		`{"exp_month":13,"exp_year":-1,"object":"card"}`, `{"created":-1,"status":"open","amount_remaining":1,"currency":"USD","next_payment_attempt":9e15}`,
	}} {
		for _, raw := range raws {
			f.Add([]byte(raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rows := []row{{id: "x", raw: raw}}
		for _, r := range []record{
			{self: rows}, {self: rowsOf(`{"id":"cus_1","currency":"usd"}`), subscriptions: rows, invoices: rows, charges: rows, methods: rows},
		} {
			if s, _ := decode(r); s != nil {
				p := s.picture(shelf{})
				if _, err := recordset([]Picture{p}); err != nil {
					t.Fatal(err)
				}
				for _, w := range s.compare(nil).write {
					c := collections[w.collection]
					if got, want := bytes.Count(w.line, []byte{'\t'})+1, len(elementColumns(&c)); got != want || bytes.ContainsAny(w.line, "\n\r\x00") {
						t.Fatalf("%s: %d columns, want %d: %q", c.Name, got, want, w.line)
					}
				}
			}
		}
		if !json.Valid(raw) || string(bytes.TrimSpace(raw)) == "null" || bytes.Contains(raw, []byte(`\u`)) {
			return
		}
		var whole, picked invoice
		if json.Unmarshal(raw, &whole) == nil && !foldsKeys(raw, invoiceFields) {
			if err := unmarshal(row{raw: raw}, invoiceFields, &picked); err != nil {
				t.Fatalf("picked: %v", err)
			}
			if diff := cmp.Diff(fmt.Sprintf("%+v", whole), fmt.Sprintf("%+v", picked)); diff != "" && !reflect.DeepEqual(whole, picked) {
				t.Errorf("decoding all (-) and picked (+):\n%s", diff)
			}
		}
	})
}

// foldsKeys tells that an object has a key in capitals, which encoding/json
// takes for ours and Stripe never sends.
func foldsKeys(raw []byte, fields wanted) bool {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return false
	}
	for key, raw := range object {
		inside, known := fields[key]
		if known && inside != nil && foldsKeys(raw, inside) {
			return true
		}
		if !known {
			for name := range fields {
				if bytes.EqualFold([]byte(key), []byte(name)) {
					return true
				}
			}
		}
	}
	return false
}
