package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

const previewed = `kind: segment
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
  - name: early
    at: -36000 days
    tag: seen
  - name: nudge
    at: -21 days
    message:
      channel: email
      from: admin:7
      variants:
        - name: short
          subject: { en: "Your card, {{ customer.name }}", de: "Deine Karte, {{ customer.name }}" }
          body: &short
            en: <p>It expires on {{ customer.card_expires_at }}.</p>
            de: |
              <p>Hallo {{ customer.first_name | default: customer.name }},</p>
              <p>sie läuft am {{ customer.card_expires_at | date: "%-d. %B" }} ab. Es geht um {{ customer.mrr }}.</p>
        - name: long
          subject: { en: "Card", de: "Karte" }
          body: *short
  - name: call
    at: -5 days
    if: mrr >= 200 usd
    task:
      title: "{{ customer.name }}: {{ customer.mrr }} a month"
      team: renewals
      due: 2 days
      body: "Until {{ customer.card_expires_at }}."
  - name: write
    at: +1 day
    attributes:
      at_risk: "{{ customer.mrr | amount }}"
      card_ends: "{{ customer.card_expires_at }}"
  - name: picture
    at: +2 days
    note: "{{ customer.metadata.story }}"
`

// previewable is a database with a campaign and customers to preview it for.
func previewable(t testing.TB) ([]string, *pgxpool.Pool) {
	t.Helper()
	environ, pool := stocked(t)
	execSQL(t, pool, `
		update dunlin.customers set card_expires_at = '2099-03-31', country = 'AT', mrr = 1249.5, mrr_currency = 'eur', name = '<b>Ann', metadata = jsonb_build_object('story', repeat('x', 70000))
		where stripe_id = 'cus_01'`)
	execSQL(t, pool, `update dunlin.customers set card_expires_at = '2020-03-31', mrr = 300, country = 'DE' where stripe_id = 'cus_02'`)
	execSQL(t, pool, `
		insert into dunlin.links (account_id, customer_id, state, contact_id, role, timezone, checked_at)
		select account_id, customer_id, 'linked', 'C1', 'user', 'Europe/Vienna', now() from dunlin.customers where stripe_id = 'cus_01'`)
	ok(t, environ, bandedWorkspace+"intercom: {sender: admin:7}\nteams: {renewals: \"8201\"}\n", "apply", "-f", "-")
	return environ, pool
}

func TestCampaignsPreview(t *testing.T) {
	t.Parallel()
	environ, pool := previewable(t)
	var all strings.Builder
	show := func(in, args string) {
		t.Helper()
		all.WriteString("$ dunlin campaigns preview " + args + "\n" + ok(t, environ, in, append([]string{"campaigns", "preview"}, strings.Fields(args)...)...) + "\n")
	}
	show(previewed, "-f - card cus_01 --language de")
	if n := count(t, pool, `select count(*) from dunlin.campaigns`); n != 0 {
		t.Errorf("campaigns after a preview of a file\n got %d\nwant none", n)
	}
	apply(t, environ, previewed)
	show("", "card cus_01 --step nudge")
	show("", "card cus_02")
	show("", "card cus_03 --step call")
	golden(t, "campaigns_preview.txt", all.String())
	golden(t, "campaigns_preview.json", ok(t, environ, "", "campaigns", "preview", "card", "cus_01", "--step", "nudge", "--language", "de-CH", "--json"))

	execSQL(t, pool, `insert into dunlin.enrollments (account_id, customer_id, campaign, episode, version, state, enrolled_at, starts_at)
		select account_id, customer_id, 'card', 'pm_1 2020-03-31', 1, 'active', '2020-01-01', '2020-01-01' from dunlin.customers where stripe_id = 'cus_02'`)
	if out := ok(t, environ, "", "campaigns", "preview", "card", "cus_02", "--step", "nudge"); !strings.Contains(out, "Enrolled since 2020-01-01 00:00.") || !strings.Contains(out, "due 2020-03-10 00:00 UTC") {
		t.Errorf("of an enrollment under way\n got %s\nwant its own times", out)
	}
	if n := count(t, pool, `select count(*) from dunlin.deliveries`); n != 0 {
		t.Errorf("deliveries after previews\n got %d\nwant none", n)
	}

	for args, want := range map[string]string{
		"card cus_none":             `customer "cus_none"`,
		"crad cus_01":               `campaign "crad": not found; see dunlin campaigns list, or give its file by -f`,
		"card cus_01 --step nugde":  `campaign "card" has no step "nugde"; did you mean "nudge"?`,
		"other cus_01 -f -":         `the files define no campaign "other"`,
		"card cus_01 --file /no/pe": "/no/pe",
	} {
		p := dunlin(t, environ, previewed, append([]string{"campaigns", "preview"}, strings.Fields(args)...)...)
		if p.status == exitDone || p.out != "" || !strings.Contains(p.errs, want) {
			t.Errorf("preview %s\n got %+v\nwant %s", args, p, want)
		}
	}
	if p := dunlin(t, environ, strings.Replace(previewed, "customer.mrr }} a month", "customer.mmr }} a month", 1), "campaigns", "preview", "-f", "-", "card", "cus_01"); p.status != exitUsage || !strings.Contains(p.errs, `did you mean "mrr"?`) {
		t.Errorf("a wrong text\n got %+v\nwant it explained", p)
	}
}
