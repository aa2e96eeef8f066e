package rule_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/google/go-cmp/cmp"
)

// anna has a card that lasts, two open invoices of three, and four charges.
const anna = `{"plan": "Pro", "mrr": "100.00 usd", "card_expires_at": "2026-12-31", "deleted": false, "plans": ["Pro", "Team"],
"next_charge_at": "2026-11-30T08:00:00Z", "in": ["vip"],
"invoices": [{"id": "in_1", "created_at": "2026-09-01T00:00:00Z", "status": "paid", "amount_due": "100.00 usd"},
  {"id": "in_2", "created_at": "2026-10-01T00:00:00Z", "status": "open", "amount_due": "120.00 usd"},
  {"id": "in_3", "created_at": "2026-11-01T00:00:00Z", "status": "open", "amount_due": "50.00 usd"}],
"charges": [{"id": "ch_1", "created_at": "2026-10-01T00:00:00Z", "status": "failed"},
  {"id": "ch_2", "created_at": "2026-11-21T00:00:00Z", "status": "failed"},
  {"id": "ch_3", "created_at": "2026-11-22T00:00:00Z", "status": "failed"},
  {"id": "ch_4", "created_at": "2026-11-22T01:00:00Z", "status": "succeeded"}]}`

func november(t testing.TB) rule.Env {
	return rule.Env{Now: mustTime(t, "2026-11-22T12:00:00Z"), Zone: mustZone(t, "Europe/Berlin"), Currency: "usd"}
}

func TestRule_Explain(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, source, want string }{
		{"a predicate", "plan = 'Pro'", "" +
			"yes  plan = 'Pro'  plan is 'Pro'\n"},
		{"missing, with a bound", "last_charge_at < now() - 1 hour", "" +
			"no   last_charge_at < now() - 1 hour  last_charge_at is missing; now() - 1 hour is 2026-11-22T12:00:00+01:00\n"},
		{"the tree", "card_expires_at within next 30 days and not (plan = 'Team' or deleted) and in segment 'trial users'", "" +
			"no   and\n" +
			"no     card_expires_at within next 30 days  card_expires_at is 2026-12-31; today() + 30 days is 2026-12-22\n" +
			"yes    not\n" +
			"no       or\n" +
			"no         plan = 'Team'                    plan is 'Pro'\n" +
			"no         deleted                          deleted is false\n" +
			"no     in segment 'trial users'             the customer is not in it\n"},
		{"sets", "exists (invoices where status = 'open') and count(charges where status = 'failed' and created_at within last 30 days) >= 2 and sum(subscriptions.mrr) = 0 and latest(invoices.amount_due) > mrr", "" +
			"no   and\n" +
			"yes    exists (invoices where status = 'open')  2 of 3 invoices\n" +
			"yes    count(charges where status = 'failed' and created_at within last 30 days) >= 2  " +
			"count(charges where …) is 2 (2 of 4 charges); now() - 30 days is 2026-10-23T14:00:00+02:00\n" +
			"yes    sum(subscriptions.mrr) = 0               sum(subscriptions.mrr) is 0 (0 subscriptions)\n" +
			"no     latest(invoices.amount_due) > mrr        latest(invoices.amount_due) is 50.00 usd (3 invoices), mrr is 100.00 usd\n"},
		{"several bounds", "card_expires_at between today() - 3 days and today() + 1 month or plans contains 'Max' or in segment 'vip'", "" +
			"yes  or\n" +
			"no     card_expires_at between today() - 3 days and today() + 1 month  card_expires_at is 2026-12-31; " +
			"today() - 3 days is 2026-11-19, today() + 1 month is 2026-12-22\n" +
			"no     plans contains 'Max'  plans is ['Pro', 'Team']\n" +
			"yes    in segment 'vip'      the customer is in it\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := mustNew(t, tt.source).Explain(readCustomer(t, anna), november(t)).String()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Explain (-want +got)\n%s\n%s", diff, got)
			}
		})
	}
}

func TestExplained_JSON(t *testing.T) {
	t.Parallel()
	x := mustNew(t, "not card_expires_at < today()").Explain(readCustomer(t, anna), november(t))
	got, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"text":"not card_expires_at \u003c today()","word":"not","true":true,"parts":[{"text":"card_expires_at \u003c today()",` +
		`"true":false,"value":"card_expires_at is 2026-12-31","bound":"today() is 2026-11-22"}]}`
	if string(got) != want {
		t.Errorf("JSON\n got %s\nwant %s", got, want)
	}
}

// What Explain says of the whole, and of every part, is what Eval says.
func TestRule_Explain_AgreesWithEval(t *testing.T) {
	t.Parallel()
	for _, d := range draws(500) {
		var agree func(x *rule.Explained)
		agree = func(x *rule.Explained) {
			if got := mustNew(t, x.Text).Eval(d.customer, d.env); got != x.True {
				t.Fatalf("%s\n got %t\nwant %t", x.Text, x.True, got)
			}
			for _, p := range x.Parts {
				agree(p)
			}
		}
		x := mustNew(t, d.source).Explain(d.customer, d.env)
		agree(x)
		if lines := strings.Count(x.String(), "\n"); lines < 1 {
			t.Fatalf("%s\n%d lines", d.source, lines)
		}
	}
}

func ExampleExplained_String() {
	r, err := rule.New("card_expires_at within next 30 days and not deleted", attributes, "usd")
	if err != nil {
		fmt.Println(err)
		return
	}
	customer := values{"card_expires_at": rule.Date{Year: 2026, Month: time.December, Day: 31}, "deleted": false}
	fmt.Print(r.Explain(customer, rule.Env{Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}))
	// Output:
	// no   and
	// no     card_expires_at within next 30 days  card_expires_at is 2026-12-31; today() + 30 days is 2026-12-22
	// yes    not
	// no       deleted                            deleted is false
}
