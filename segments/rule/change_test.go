package rule_test

import (
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

func TestRule_NextChange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source, customer string
		zone, now, until       string
		want                   string // empty: none
	}{
		{"a window opens", "card_expires_at within next 30 days", `{"card_expires_at": "2026-12-31"}`,
			"Europe/Berlin", "2026-11-22T12:00:00Z", "2027-11-22T00:00:00Z", "2026-11-30T23:00:00Z"},
		{"a window closes when the last day of the card is over", "card_expires_at within next 30 days", `{"card_expires_at": "2026-12-31"}`,
			"Europe/Berlin", "2026-12-22T12:00:00Z", "2027-11-22T00:00:00Z", "2026-12-31T23:00:00Z"},
		{"a window stays closed", "card_expires_at within next 30 days", `{"card_expires_at": "2026-12-31"}`,
			"Europe/Berlin", "2027-01-01T00:00:00Z", "2037-01-01T00:00:00Z", ""},
		{"a card that is good today", "card_expires_at >= today()", `{"card_expires_at": "2026-11-22"}`,
			"America/New_York", "2026-11-22T12:00:00Z", "2026-12-22T12:00:00Z", "2026-11-23T05:00:00Z"},
		{"until is included", "card_expires_at >= today()", `{"card_expires_at": "2026-11-22"}`,
			"UTC", "2026-11-22T12:00:00Z", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z"},
		{"not beyond until", "card_expires_at >= today()", `{"card_expires_at": "2026-11-22"}`,
			"UTC", "2026-11-22T12:00:00Z", "2026-11-22T23:59:59.999999Z", ""},
		{"until before now", "card_expires_at >= today()", `{"card_expires_at": "2026-11-22"}`,
			"UTC", "2026-11-22T12:00:00Z", "2026-11-21T00:00:00Z", ""},
		{"the day on which clocks go forward", "card_expires_at < today()", `{"card_expires_at": "2026-03-29"}`,
			"Europe/Berlin", "2026-03-29T12:00:00Z", "2026-04-29T00:00:00Z", "2026-03-29T22:00:00Z"},
		{"the day on which clocks go back", "card_expires_at < today()", `{"card_expires_at": "2026-10-25"}`,
			"Europe/Berlin", "2026-10-25T12:00:00Z", "2026-11-29T00:00:00Z", "2026-10-25T23:00:00Z"},
		{"an instant, exclusive and inclusive", "next_charge_at > now()", `{"next_charge_at": "2026-11-30T08:00:00.5Z"}`,
			"UTC", "2026-11-22T12:00:00Z", "2026-12-22T12:00:00Z", "2026-11-30T08:00:00.5Z"},
		{"a microsecond later", "next_charge_at < now()", `{"next_charge_at": "2026-11-30T08:00:00.5Z"}`,
			"UTC", "2026-11-22T12:00:00Z", "2026-12-22T12:00:00Z", "2026-11-30T08:00:00.500001Z"},
		{"equal for one microsecond", "next_charge_at = now()", `{"next_charge_at": "2026-11-30T08:00:00Z"}`,
			"UTC", "2026-11-22T12:00:00Z", "2026-12-22T12:00:00Z", "2026-11-30T08:00:00Z"},
		{"and no longer", "next_charge_at = now()", `{"next_charge_at": "2026-11-30T08:00:00Z"}`,
			"UTC", "2026-11-30T08:00:00Z", "2026-12-22T12:00:00Z", "2026-11-30T08:00:00.000001Z"},
		{"the same microsecond, later in it", "next_charge_at = now()", `{"next_charge_at": "2026-11-30T08:00:00Z"}`,
			"UTC", "2026-11-30T08:00:00.0000007Z", "2026-12-22T12:00:00Z", "2026-11-30T08:00:00.000001Z"},
		{"days and instants", "next_charge_at <= today()", `{"next_charge_at": "2026-11-30T23:30:00Z"}`,
			"Europe/Berlin", "2026-11-22T12:00:00Z", "2026-12-22T12:00:00Z", "2026-11-30T23:00:00Z"},
		{"an hour that clocks repeat", "last_charge_at within last 1 hour", `{"last_charge_at": "2026-10-25T00:30:00Z"}`,
			"Europe/Berlin", "2026-10-25T00:31:00Z", "2026-12-22T12:00:00Z", "2026-10-25T01:30:00Z"},
		// 29, 30 and 31 January plus a month all are the end of February.
		{"the end of a month", "card_expires_at <= today() + 1 month", `{"card_expires_at": "2027-02-28"}`,
			"UTC", "2027-01-01T00:00:00Z", "2027-03-22T12:00:00Z", "2027-01-28T00:00:00Z"},
		{"and past it", "card_expires_at < today() + 1 month", `{"card_expires_at": "2027-02-28"}`,
			"UTC", "2027-01-28T00:00:00Z", "2027-03-22T12:00:00Z", "2027-02-01T00:00:00Z"},
		{"a leap day", "card_expires_at < today() - 1 year", `{"card_expires_at": "2024-02-29"}`,
			"UTC", "2025-01-28T00:00:00Z", "2027-03-22T12:00:00Z", "2025-03-01T00:00:00Z"},
		{"the second of two changes", "card_expires_at within next 30 days and next_charge_at < now()",
			`{"card_expires_at": "2026-12-31", "next_charge_at": "2026-12-05T00:00:00Z"}`,
			"UTC", "2026-11-22T12:00:00Z", "2027-03-22T12:00:00Z", "2026-12-05T00:00:00.000001Z"},
		{"none when nothing moves", "card_expires_at < date '2026-12-31'", `{"card_expires_at": "2026-12-31"}`,
			"UTC", "2026-11-22T12:00:00Z", "2036-03-22T12:00:00Z", ""},
		{"none when it is missing", "card_expires_at < today()", `{}`, "UTC", "2026-11-22T12:00:00Z", "2036-03-22T12:00:00Z", ""},
		{"a failed charge grows old", "count(charges where status = 'failed' and created_at within last 30 days) >= 2",
			anna, "Europe/Berlin", "2026-11-22T12:00:00Z", "2036-03-22T12:00:00Z", "2026-12-21T00:00:00Z"},
		{"the newest of them", "latest(charges.created_at) < now() - 1 week", anna,
			"Europe/Berlin", "2026-11-22T12:00:00Z", "2036-03-22T12:00:00Z", "2026-11-29T01:00:00.000001Z"},
		{"the newest that is old enough", "latest(charges.status where created_at < now() - 1 day) = 'succeeded'", anna,
			"Europe/Berlin", "2026-11-22T12:00:00Z", "2036-03-22T12:00:00Z", "2026-11-23T01:00:00.000001Z"},
		{"the customer's own, inside where", "exists (invoices where status = 'open' and customer.card_expires_at < today())", anna,
			"Europe/Berlin", "2026-11-22T12:00:00Z", "2036-03-22T12:00:00Z", "2026-12-31T23:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := rule.Env{Now: mustTime(t, tt.now), Zone: mustZone(t, tt.zone), Currency: "usd"}
			at, ok := mustNew(t, tt.source).NextChange(readCustomer(t, tt.customer), env, mustTime(t, tt.until))
			got := ""
			if ok {
				got = at.Format(time.RFC3339Nano)
			}
			if got != tt.want {
				t.Errorf("NextChange of %s\n got %s\nwant %s", tt.source, got, tt.want)
			}
		})
	}
}

// Nothing changes before the instant that NextChange reports, and something does
// at it.
func TestRule_NextChange_IsTheFirst(t *testing.T) {
	t.Parallel()
	changes := 0
	for _, d := range draws(6000) {
		r := mustNew(t, d.source)
		until := d.later.Now
		at, ok := r.NextChange(d.customer, d.env, until)
		answer := r.Eval(d.customer, d.env)
		if ok {
			changes++
			then := d.env
			if then.Now = at; !at.After(d.env.Now) || at.After(until) || r.Eval(d.customer, then) == answer {
				t.Fatalf("%s\nis %t at %s and, says NextChange, changes at %s", d.source, answer, d.env.Now, at)
			}
			until = at.Add(-time.Microsecond)
		}
		for _, then := range between(d.env, until) {
			if r.Eval(d.customer, then) != answer {
				t.Fatalf("%s\nis %t at %s, and not at %s; NextChange says %s %t", d.source, answer, d.env.Now, then.Now, at, ok)
			}
		}
	}
	if changes < 400 {
		t.Errorf("only %d changes", changes)
	}
	t.Logf("%d changes", changes)
}

// between returns instants from env's to until: evenly, closer and closer to the
// end, and where days begin.
func between(env rule.Env, until time.Time) []rule.Env {
	var out []rule.Env
	add := func(at time.Time) {
		then := env
		if then.Now = at; !at.Before(env.Now) && !at.After(until) {
			out = append(out, then)
		}
	}
	span := until.Sub(env.Now)
	for i := range time.Duration(20) {
		add(env.Now.Add(span / 20 * i))
		add(until.Add(-(span >> (2 * i))))
		add(until.Add(-i * time.Microsecond))
		add(rule.DateOf(env.Now, env.Zone).AddDays(int(i)).In(env.Zone))
	}
	add(until)
	return out
}
