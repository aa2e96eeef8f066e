package customers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// eventsOf are a customer's events, one to a line: id, instant, amount.
func eventsOf(w Whole) (lines []string) {
	for _, e := range w.Elements("events") {
		line := fmt.Sprint(e.Value("id"), " ", e.Value("created_at").(time.Time).Unix())
		if m := e.Value("amount"); m != nil {
			line += " " + showValue(m)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

func TestEvents(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	for name, tt := range map[string]struct {
		mirror mirror
		want   []string
	}{
		"a charge that failed, and one that did not": {
			mirror{charges: []string{
				`{"id":"ch_1","status":"failed","currency":"usd","amount":4900,"created":100}`,
				`{"id":"ch_2","status":"succeeded","captured":true,"currency":"usd","amount":4900,"amount_captured":4900,"created":200}`,
			}},
			[]string{"charge_failed:ch_1 100 49.00 usd", "charged:ch_2 200 49.00 usd", "first_payment:CUS 200 49.00 usd"},
		},
		"an authorization is no charge": {
			mirror{charges: []string{`{"id":"ch_1","status":"succeeded","captured":false,"currency":"usd","amount":4900,"created":100}`}}, nil,
		},
		"an invoice that was paid after its charge had failed": {
			mirror{
				invoices: []string{`{"id":"in_1","status":"paid","currency":"jpy","amount_due":500,"amount_paid":500,"created":50,"status_transitions":{"paid_at":300}}`},
				charges:  []string{`{"id":"ch_1","status":"failed","currency":"jpy","amount":500,"created":100,"invoice":"in_1"}`},
			},
			[]string{"charge_failed:ch_1 100 500 jpy", "invoice_created:in_1 50 500 jpy", "payment_recovered:in_1 300 500 jpy"},
		},
		"one that is still open, and one that was paid at once": {
			mirror{
				invoices: []string{
					`{"id":"in_1","status":"open","currency":"usd","amount_due":500,"created":50}`,
					`{"id":"in_2","status":"paid","currency":"usd","amount_due":500,"amount_paid":500,"created":60,"status_transitions":{"paid_at":61}}`,
				},
				charges: []string{`{"id":"ch_1","status":"failed","currency":"usd","amount":500,"created":100,"invoice":"in_1"}`},
			},
			[]string{"charge_failed:ch_1 100 5.00 usd", "invoice_created:in_1 50 5.00 usd", "invoice_created:in_2 60 5.00 usd"},
		},
		"two refunds of one charge, and one that came to nothing": {
			mirror{refunds: []string{
				`{"id":"re_1","status":"succeeded","currency":"usd","amount":100,"created":10,"charge":"ch_1"}`,
				`{"id":"re_2","status":"pending","currency":"usd","amount":200,"created":20,"charge":"ch_1"}`,
				`{"id":"re_3","status":"failed","currency":"usd","amount":200,"created":30,"charge":"ch_1"}`,
			}},
			[]string{"charge_refunded:re_1 10 1.00 usd", "charge_refunded:re_2 20 2.00 usd"},
		},
		"a trial of two weeks, one of a day, and one that was canceled before its notice": {
			mirror{subscriptions: []string{
				subJSON("sub_1", "active", `,"created":1000000,"trial_end":2209600`),
				subJSON("sub_2", "active", `,"created":1000000,"trial_end":1086400`),
				subJSON("sub_3", "canceled", `,"created":1000000,"trial_end":2209600,"ended_at":1000500`),
			}},
			[]string{
				"created_subscription:sub_1 1000000", "created_subscription:sub_2 1000000", "created_subscription:sub_3 1000000",
				"deleted_subscription:sub_3 1000500", "trial_will_end:sub_1 1950400", "trial_will_end:sub_2 1000000",
			},
		},
		"a payment that never began is no deletion": {
			mirror{subscriptions: []string{subJSON("sub_1", "incomplete_expired", `,"created":1000,"ended_at":2000`)}},
			[]string{"created_subscription:sub_1 1000"},
		},
		"a draft that was deleted": {mirror{invoices: []string{`deleted:{"id":"in_1","status":"draft","created":50}`}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := "cus_" + strings.ReplaceAll(name, " ", "_")
			tt.mirror.customer = fmt.Sprintf(`{"id":%q}`, id)
			storeMirror(t, pool, account, id, tt.mirror)
			for range 2 { // once each, however often
				projectAll(t, pool, account, id)
			}
			want := slices.Clone(tt.want)
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "CUS", id)
			}
			if got := eventsOf(loadWhole(t, pool, account, id)); !slices.Equal(got, want) {
				t.Errorf("events\n got %q\nwant %q", got, want)
			}
		})
	}
}

// A card that changed is an event of its own, once, and stays when the card
// changes again; a first card is none.
func TestEvents_cardUpdated(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	step := func(name, method string, want ...string) {
		t.Helper()
		m := mirror{
			customer: `{"id":"cus_1","invoice_settings":{"default_payment_method":"pm_1"}}`,
		}
		if method != "" {
			m.methods = []string{method}
		}
		storeMirror(t, pool, account, "cus_1", m)
		projectAll(t, pool, account, "cus_1")
		projectAll(t, pool, account, "cus_1")
		var got []string
		for _, e := range loadWhole(t, pool, account, "cus_1").Elements("events") {
			got = append(got, e.Value("id").(string))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", name, got, want)
		}
	}
	method := func(year int) string {
		return fmt.Sprintf(`{"id":"pm_1","type":"card","card":{"brand":"visa","last4":"4242","exp_month":5,"exp_year":%d}}`, year)
	}
	step("no card", "")
	step("a first card", method(2027))
	step("renewed", method(2030), "card_updated:pm_1 2030-05-31")
	step("back", method(2027), "card_updated:pm_1 2027-05-31", "card_updated:pm_1 2030-05-31")
	step("and forth", method(2030), "card_updated:pm_1 2027-05-31", "card_updated:pm_1 2030-05-31")
}

// The old card may go before the new one is there.
func TestEvents_cardDetachedFirst(t *testing.T) {
	t.Parallel()
	pool, account := newAccount(t)
	step := func(chosen string, methods []string, want ...string) {
		t.Helper()
		storeMirror(t, pool, account, "cus_1", mirror{customer: fmt.Sprintf(`{"id":"cus_1","invoice_settings":{"default_payment_method":%s}}`, chosen), methods: methods})
		projectAll(t, pool, account, "cus_1")
		var got []string
		for _, e := range loadWhole(t, pool, account, "cus_1").Elements("events") {
			got = append(got, e.Value("id").(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("with %s chosen\n got %q\nwant %q", chosen, got, want)
		}
	}
	step(`"pm_1"`, []string{cardPM("pm_1", "")})
	step(`null`, []string{"deleted:" + cardPM("pm_1", "")})
	step(`"pm_2"`, []string{"deleted:" + cardPM("pm_1", ""), walletPM("pm_2")}, "card_updated:pm_2 2028-02-29")
}
