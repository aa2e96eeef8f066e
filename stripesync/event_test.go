package stripesync

import (
	"strings"
	"testing"
)

func TestPlace(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, eventType, data string
		want                  ref
		change                change
		note                  string
	}{
		{"customer", "customer.updated", `{"object":{"id":"cus_1"}}`, ref{customerClass, "cus_1", "cus_1"}, whole, ""},
		{"customer deleted", "customer.deleted", `{"object":{"id":"cus_1"}}`, ref{customerClass, "cus_1", "cus_1"}, removal, ""},
		{"discount", "customer.discount.created", `{"object":{"id":"di_1","customer":"cus_1"}}`, ref{customerClass, "cus_1", "cus_1"}, hint, ""},
		{"discount of nobody", "customer.discount.created", `{"object":{"id":"di_1","customer":null}}`, ref{}, whole, "no id"},
		{"source", "customer.source.expiring", `{"object":{"id":"card_1","customer":"cus_1"}}`, ref{paymentMethodClass, "cus_1", "card_1"}, whole, ""},
		{"source deleted", "customer.source.deleted", `{"object":{"id":"card_1","customer":"cus_1"}}`, ref{paymentMethodClass, "cus_1", "card_1"}, removal, ""},
		{"subscription", "customer.subscription.trial_will_end", `{"object":{"id":"sub_1","customer":"cus_1"}}`, ref{subscriptionClass, "cus_1", "sub_1"}, whole, ""},
		{"subscription, customer expanded", "customer.subscription.updated", `{"object":{"id":"sub_1","customer":{"id":"cus_1"}}}`, ref{subscriptionClass, "cus_1", "sub_1"}, whole, ""},
		{"subscription deleted can be read", "customer.subscription.deleted", `{"object":{"id":"sub_1","customer":"cus_1"}}`, ref{subscriptionClass, "cus_1", "sub_1"}, whole, ""},
		{"subscription of nobody", "customer.subscription.updated", `{"object":{"id":"sub_1"}}`, ref{}, whole, "no customer"},
		{"payment method", "payment_method.automatically_updated", `{"object":{"id":"pm_1","customer":"cus_1"}}`, ref{paymentMethodClass, "cus_1", "pm_1"}, whole, ""},
		{"detached payment method", "payment_method.detached", `{"object":{"id":"pm_1","customer":null},"previous_attributes":{"customer":"cus_1"}}`, ref{paymentMethodClass, "cus_1", "pm_1"}, removal, ""},
		{"detached from nobody", "payment_method.detached", `{"object":{"id":"pm_1","customer":null}}`, ref{}, whole, "no customer"},
		{"invoice", "invoice.paid", `{"object":{"id":"in_1","customer":"cus_1"}}`, ref{invoiceClass, "cus_1", "in_1"}, whole, ""},
		{"invoice deleted", "invoice.deleted", `{"object":{"id":"in_1","customer":"cus_1"}}`, ref{invoiceClass, "cus_1", "in_1"}, removal, ""},
		{"upcoming invoice", "invoice.upcoming", `{"object":{"customer":"cus_1"}}`, ref{}, whole, ""},
		{"invoice without id", "invoice.updated", `{"object":{"customer":"cus_1"}}`, ref{}, whole, "no id"},
		{"invoice item", "invoiceitem.created", `{"object":{"id":"ii_1"}}`, ref{}, whole, ""},
		{"charge", "charge.refunded", `{"object":{"id":"ch_1","customer":"cus_1"}}`, ref{chargeClass, "cus_1", "ch_1"}, whole, ""},
		{"a guest's charge", "charge.succeeded", `{"object":{"id":"ch_1","customer":null}}`, ref{chargeClass, "", "ch_1"}, whole, ""},
		{"dispute", "charge.dispute.created", `{"object":{"id":"dp_1","charge":"ch_1"}}`, ref{disputeClass, "", "dp_1"}, hint, ""},
		{"refund of a charge", "charge.refund.updated", `{"object":{"id":"re_1","charge":"ch_1"}}`, ref{refundClass, "", "re_1"}, hint, ""},
		{"refund of no charge", "refund.created", `{"object":{"id":"re_1","charge":null}}`, ref{refundClass, "", "re_1"}, hint, ""},
		{"product", "product.updated", `{"object":{"id":"prod_1"}}`, ref{productClass, "", "prod_1"}, whole, ""},
		{"product deleted", "product.deleted", `{"object":{"id":"prod_1"}}`, ref{productClass, "", "prod_1"}, removal, ""},
		{"price deleted", "price.deleted", `{"object":{"id":"price_1"}}`, ref{priceClass, "", "price_1"}, removal, ""},
		{"plans are told by prices", "plan.updated", `{"object":{"id":"gold"}}`, ref{}, whole, ""},
		{"not mirrored", "checkout.session.completed", `{"object":{"id":"cs_1"}}`, ref{}, whole, ""},
		{"data is text", "customer.updated", `"x"`, ref{}, whole, "no JSON object"},
		{"object is a list", "customer.updated", `{"object":[]}`, ref{}, whole, "unreadable"},
		{"id is a number", "customer.updated", `{"object":{"id":7}}`, ref{}, whole, "no id"},
		{"id is longer than any index takes", "customer.updated", `{"object":{"id":"` + strings.Repeat("x", 9000) + `"}}`, ref{}, whole, "no id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := place(tt.eventType, []byte(tt.data))
			if got.ref != tt.want || got.change != tt.change || !strings.Contains(got.note, tt.note) || (tt.note == "") != (got.note == "") {
				t.Errorf("place\n got %+v change %d note %q\nwant %+v change %d note %q", got.ref, got.change, got.note, tt.want, tt.change, tt.note)
			}
		})
	}
}

// FuzzReadEvent: whatever Stripe's secret was used on, reading it does not panic,
// and what is taken can be stored.
func FuzzReadEvent(f *testing.F) {
	f.Add(eventJSON(ourVersion, "evt_1", "customer.updated", noon, `{"id":"cus_1"}`))
	f.Add(eventJSON(ourVersion, "evt_1", "payment_method.detached", noon, `{"id":"pm_1","customer":null}`, `{"customer":"cus_1"}`))
	f.Add(`{"id":"evt_1","type":"charge.dispute.created","created":1,"data":null}`)
	f.Add(`{"id":{"id":{}},"type":"x","created":1e99}`)
	f.Add("{\"id\":\"a\\u0000b\",\"type\":\"x\",\"created\":1}")
	f.Fuzz(func(t *testing.T, body string) {
		e, err := readEvent([]byte(body))
		if err != nil {
			return
		}
		for _, text := range []string{e.ID, e.Type, e.APIVersion, e.Customer, e.Class, e.ObjectID} {
			if strings.ContainsRune(text, 0) || len(text) > maxID {
				t.Errorf("%q cannot be a key", text)
			}
		}
		if e.ID == "" || e.Type == "" || e.Created.Unix() <= 0 || (e.Class == "") != (e.ObjectID == "") {
			t.Errorf("incomplete event %+v", e)
		}
	})
}
