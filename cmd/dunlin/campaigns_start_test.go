package main

import (
	"slices"
	"strings"
	"testing"
)

const launched = `kind: segment
name: expiring
rule: card_expires_at is set
---
kind: campaign
name: card
segment: expiring
episode: card
existing: enroll
anchor: card_expires_at
steps:
  - name: seen
    at: -36000 days
    tag: seen
  - name: nudge
    at: -21 days
    message: {channel: inapp, body: "{{ customer.name }}: {{ customer.card_expires_at }}"}
  - name: call
    at: -5 days
    if: mrr >= 2 usd
    task: {title: t, body: b, team: renewals, due: 2 days}
`

// TestCampaignsStart holds that a first start where messages reach people shows
// who would hear what and when, and waits for a yes (no-surprise-blast).
func TestCampaignsStart(t *testing.T) {
	t.Parallel()
	environ, pool := stocked(t)
	execSQL(t, pool, `update dunlin.customers set card_id = 'pm_1', card_expires_at = '2099-03-31', country = 'AT' where stripe_id in ('cus_01', 'cus_02', 'cus_03')`)
	ok(t, environ, bandedWorkspace+"teams: {renewals: \"8201\"}\nintercom: {sender: admin:7}\ntest_contacts: [person2@example.com]\n", "apply", "-f", "-")
	apply(t, environ, launched)
	real := append(slices.Clone(environ), "INTERCOM_API_BASE=https://api.intercom.io")
	refused := dunlin(t, real, "", "campaigns", "start", "card")
	if refused.status != exitUsage || !strings.Contains(refused.errs, "it was not started; if this is what you want: dunlin campaigns start --yes card") {
		t.Errorf("start against real keys\n got %+v\nwant a dry run and a refusal", refused)
	}
	golden(t, "campaigns_start.txt", timeless(refused.errs+refused.out))
	dry := dunlin(t, environ, "", "campaigns", "start", "--dry-run", "card")
	if dry.status != exitDone || dry.out != refused.out {
		t.Errorf("--dry-run\n got %+v\nwant what the refusal shows", dry)
	}
	if o := objects(t, ok(t, environ, "", "campaigns", "start", "--dry-run", "--json", "card")); len(o) != 1 || o[0]["enrolled"] != 3.0 || len(o[0]["sample"].([]any)) != 3 || o[0]["test_contacts"] != 1.0 {
		t.Errorf("--dry-run --json\n got %v", o)
	}
	if n := count(t, pool, `select (select count(*) from dunlin.enrollments) + (select count(*) from dunlin.campaigns where state <> 'draft')`); n != 0 {
		t.Errorf("after dry runs\n got %d enrollments and campaigns started\nwant none", n)
	}
	if p := dunlin(t, real, "", "campaigns", "start", "--yes", "card"); p.status != exitDone || !strings.Contains(p.errs, "of 3 members, 3 enrolled") {
		t.Errorf("start --yes\n got %+v", p)
	}

	// Without test_contacts all hear of it who were not meant at first.
	everybody := bandedWorkspace + "teams: {renewals: \"8201\"}\nintercom: {sender: admin:7}\n"
	if p := dunlin(t, real, everybody, "apply", "-f", "-"); p.status != exitUsage || !strings.Contains(p.errs, "steps planned, and not only for test contacts any more") {
		t.Errorf("taking test_contacts out\n got %+v\nwant status 2, and how many waited", p)
	}
	if p := dunlin(t, real, everybody, "apply", "--yes", "-f", "-"); p.status != exitDone {
		t.Errorf("apply --yes\n got %+v", p)
	}

	// A new version is for enrollments that begin later, until they are moved.
	ok(t, environ, strings.Replace(launched, "-5 days", "-7 days", 1)+"  - {name: last, at: +3 days, tag: over}\n", "apply", "-f", "-")
	var all strings.Builder
	for _, args := range []string{"--dry-run card", "--customer cus_01 card", "card", "card"} {
		p := dunlin(t, environ, "", append([]string{"campaigns", "move"}, strings.Fields(args)...)...)
		all.WriteString("$ dunlin campaigns move " + args + "\n" + p.errs + p.out + "\n")
	}
	golden(t, "campaigns_move.txt", all.String())
	if n := count(t, pool, `select count(*) from dunlin.enrollments where version = 2`); n != 3 {
		t.Errorf("moved\n got %d\nwant 3", n)
	}
	for args, want := range map[string]string{
		"move none":                     `campaign "none": not found`,
		"move --customer cus_none card": `customer "cus_none"`,
		"start --dry-run card":          "is running already",
	} {
		if p := dunlin(t, environ, "", append([]string{"campaigns"}, strings.Fields(args)...)...); p.status != exitFailed || !strings.Contains(p.errs, want) {
			t.Errorf("campaigns %s\n got %+v\nwant %s", args, p, want)
		}
	}
}

func TestReachesPeople(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		vars string
		want bool
	}{
		{"", true}, // workers may have a token
		{"INTERCOM_ACCESS_TOKEN=x", true},
		{"INTERCOM_ACCESS_TOKEN=x DRY_RUN=true", true},
		{"INTERCOM_ACCESS_TOKEN=x INTERCOM_API_BASE=http://127.0.0.1:8000", false},
		{"INTERCOM_ACCESS_TOKEN=x INTERCOM_API_BASE=http://localhost:8000", false},
		{"INTERCOM_ACCESS_TOKEN=x INTERCOM_API_BASE=http://[::1]:8000", false},
		{"INTERCOM_ACCESS_TOKEN=x INTERCOM_API_BASE=https://api.eu.intercom.io", true},
	} {
		e, err := readEnvironment(strings.Fields(tt.vars))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.reachesPeople(); got != tt.want {
			t.Errorf("with %q\n got %v\nwant %v", tt.vars, got, tt.want)
		}
	}
}
