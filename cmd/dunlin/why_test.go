package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// asked is a database with a campaign that has begun: cus_01 to cus_12 owe and
// are enrolled, and of cus_01 something was decided.
func asked(t testing.TB) ([]string, *pgxpool.Pool) {
	t.Helper()
	environ, pool := stocked(t)
	apply(t, environ, segment("owing", "delinquent and plan != 'Free' or mrr between 1 usd and 3 usd")+`kind: campaign
name: dunning
segment: owing
episode: entry
existing: enroll
goal: not delinquent
steps:
  - {name: nudge, at: 0 days, message: {channel: inapp, from: "admin:7", body: "Hi {{ customer.name }}"}}
  - {name: mark, at: 5 days, tag: owing}
---
kind: campaign
name: draft
segment: owing
episode: entry
existing: ignore
steps:
  - {name: mark, at: 0 days, tag: owing}
`)
	ok(t, environ, "", "campaigns", "start", "dunning")
	ago := func(days int) string { return time.Now().AddDate(0, 0, -days).UTC().Format(time.RFC3339) }
	execSQL(t, pool, `
		insert into dunlin.decisions (account_id, customer_id, campaign, episode, step, decided_at, verdict, reason, until, version, inputs)
		select e.account_id, e.customer_id, e.campaign, e.episode, 'nudge', e.enrolled_at + n * interval '1 microsecond', 'wait',
		       (array['quiet_hours', 'contact_budget'])[n], now() + interval '1 day', e.version, $1
		from dunlin.enrollments e join dunlin.customers c using (account_id, customer_id), generate_series(1, 2) n
		where c.stripe_id = 'cus_01'`, `{
			"action": "message", "enrolled": true, "member": true, "same_episode": true, "goal": false, "condition": true, "data_age": 3,
			"contact": {"state": "linked", "id": "C1"},
			"quiet_hours": {"spans": ["21:00-08:00 Europe/Berlin"], "zone_from": "contact", "until": "`+ago(-1)+`"},
			"contact_budget": {"contacts": 3, "within": 604800, "apart": 72000, "free_at": "`+ago(-1)+`", "counted": ["`+ago(3)+`", "`+ago(2)+`", "`+ago(1)+`"]},
			"values": {"plan": "Pro", "delinquent": true}}`)
	execSQL(t, pool, `
		update dunlin.deliveries d set reason = 'contact_budget', due_at = now() + interval '1 day' from dunlin.customers c
		where c.customer_id = d.customer_id and c.stripe_id = 'cus_01' and d.step = 'nudge'`)
	return environ, pool
}

// TestWhy holds every-why for people.
func TestWhy(t *testing.T) {
	t.Parallel()
	environ, pool := asked(t)
	var all strings.Builder
	for _, args := range []string{"cus_01 dunning", "cus_15 dunning", "cus_03 draft", "cus_01 dunning --at 2020-03-01T09:00:00Z"} {
		fmt.Fprintf(&all, "$ dunlin why %s\n%s\n", args, timeless(ok(t, environ, "", append([]string{"why"}, strings.Fields(args)...)...)))
	}
	golden(t, "why.txt", all.String())

	one := objects(t, ok(t, environ, "", "why", "--json", "cus_01", "dunning"))
	if len(one) != 1 || one[0]["account"] != "main" || one[0]["contacted"] != false || len(one[0]["enrollments"].([]any)) != 1 {
		t.Errorf("why --json\n got %v\nwant one enrollment of one account", one)
	}
	never := ok(t, environ, "", "why", "--json", "cus_15", "dunning")
	if o := objects(t, never)[0]; fmt.Sprint(o["enrollments"]) != "[]" || len(o["because"].([]any)) != 1 || o["segment"].(map[string]any)["member"] != false {
		t.Errorf("why --json of somebody who was never enrolled\n got %v", o)
	}
	if strings.Contains(all.String()+never, "erson ") || strings.Contains(all.String()+never, "@") {
		t.Error("why tells a name or an address")
	}

	execSQL(t, pool, `insert into dunlin.accounts (name, created_at) values ('also', now())`)
	execSQL(t, pool, `insert into dunlin.customers (account_id, stripe_id, projected_at) select account_id, 'cus_01', now() from dunlin.accounts where name = 'also'`)
	two := objects(t, ok(t, environ, "", "why", "--json", "cus_01", "dunning"))
	if len(two) != 2 || two[0]["account"] != "also" || !strings.Contains(fmt.Sprint(two[0]["because"]), "before it is synced") {
		t.Errorf("of an account that is not synced\n got %v", two)
	}
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"cus_none dunning", exitFailed, "it may not be synced yet"},
		{"cus_02 none", exitFailed, "see dunlin campaigns list"},
		{"cus_02 dunning --at yesterday", exitUsage, "--at"},
		{"cus_02 dunning --at 2999-01-01T00:00:00Z", exitUsage, "has not come yet"},
		{"cus_02", exitUsage, "campaign"},
	} {
		p := dunlin(t, environ, "", append([]string{"why"}, strings.Fields(tt.args)...)...)
		if p.status != tt.status || p.out != "" || !strings.Contains(p.errs, tt.want) {
			t.Errorf("why %s\n got %+v\nwant %d, %q", tt.args, p, tt.status, tt.want)
		}
	}
}
