package campaigns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allKeys has every key of a campaign, as the design shows it, and every action.
const allKeys = `kind: campaign
name: card-expiring
segment: cards-expiring-soon
episode: card              # entry | card | invoice | subscription | every 30 days
existing: enroll           # members when it starts: enroll | ignore
anchor: card_expires_at
exit: when member leaves
goal: card_expires_at > today() + 30 days and subscription_status in ('active', 'past_due')
goal_within: 30 days
priority: 70
holdout: 10%
data_no_older_than: 20 minutes
on_unknown: resend
catch_up: all
steps:
  - name: nudge
    at: -21 days
    message:
      channel: inapp
      from: admin:991267716
      traceable: true
      body: |
        <p>Hi {{ customer.first_name | default: "there" }}, the {{ customer.card_brand }} card ending {{ customer.card_last4 }} expires on {{ customer.card_expires_at | date: "%-d %B" }}.</p>
  - name: mail
    at: -14 days
    expires: 1 day
    message:
      channel: email
      template: plain
      variants:
        - name: short
          weight: 3
          subject: {en: Your card, de: Ihre Karte}
          body: {en: It expires., de: Sie läuft ab.}
        - name: long
          subject: Your card
          body: It expires soon.
  - name: call
    at: -5 days
    if: mrr >= 200 usd
    task: { title: "Card of {{ customer.name }} expires", team: renewals, due: 2 days, body: "…" }
  - {name: mark, at: +1 day, tag: card-expired}
  - {name: unmark, at: 2 days, untag: card-expired}
  - name: tell
    at: 3 days
    contact: true
    event: {name: card-expired, metadata: {plan: "{{ customer.plan }}", brand: "{{ customer.card_brand }}"}}
  - {name: jot, at: 4 days, note: "Told {{ customer.email }}"}
  - {name: sign, at: 5 days, note: {from: admin:5, body: Told}}
  - {name: write, at: 6 days, attributes: {card_state: expired}}
  - name: call-crm
    at: 7 days
    webhook: {url: "https://example.com/dunlin", secret: CRM_SECRET}
`

// summary is all of a definition that its source says.
func summary(d Definition) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: segment=%q trigger=%q episode=%s/%d anchor=%q existing=%v never-exit=%v\n", d.Name, d.Segment, d.Trigger, d.Episode.Kind, d.Episode.Every, d.Anchor, d.EnrollExisting, d.NeverExit)
	goal := "none"
	if d.Goal != nil {
		goal = d.Goal.Source()
	}
	fmt.Fprintf(&b, "goal=%s within=%s priority=%d holdout=%d older=%s resend=%v catch-up=%s reenter=%s\n", goal, d.GoalWithin, d.Priority, d.Holdout, d.NoOlderThan, d.Resend, d.CatchUp, d.ReenterAfter)
	for _, s := range d.Steps {
		fmt.Fprintf(&b, "%s %s %s expires=%s contact=%v", s.Name, s.At, s.Action, s.Expires, s.Contact)
		if s.If != nil {
			fmt.Fprintf(&b, " if=%s", s.If.Source())
		}
		if s.Action == Message {
			fmt.Fprintf(&b, " %s traceable=%v plain=%v", s.Channel, s.Traceable, s.Plain)
		}
		if s.Sender != 0 {
			fmt.Fprintf(&b, " from=%d", s.Sender)
		}
		for _, v := range s.Variants {
			fmt.Fprintf(&b, " variant=%q*%d subject=%v body=%v", v.Name, v.Weight, v.Subject.languages, v.Body.languages)
		}
		for _, v := range s.Values {
			fmt.Fprintf(&b, " %s", v.Name)
		}
		for _, word := range []string{s.Team, s.Tag, s.Event, s.URL, s.Secret} {
			if word != "" {
				fmt.Fprintf(&b, " %s", word)
			}
		}
		if s.Action == Task {
			fmt.Fprintf(&b, " due=%s title=%v body=%v", s.Due, s.Title.Written(), s.Body.Written())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestParse_whole holds that each key means what it says, and what is left out
// what the reference says.
func TestParse_whole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, want string }{
		{"every key", allKeys, `card-expiring: segment="cards-expiring-soon" trigger="" episode=card/0 anchor="card_expires_at" existing=true never-exit=false
goal=card_expires_at > today() + 30 days and subscription_status in ('active', 'past_due') within=720h0m0s priority=70 holdout=10 older=20m0s resend=true catch-up=all reenter=168h0m0s
nudge -21 days message expires=3 days contact=true inapp traceable=true plain=false from=991267716 variant=""*1 subject=[] body=[]
mail -14 days message expires=1 day contact=true email traceable=false plain=true variant="short"*3 subject=[en de] body=[en de] variant="long"*1 subject=[] body=[]
call -5 days task expires=3 days contact=false if=mrr >= 200 usd renewals due=2 days title=true body=true
mark 1 day tag expires=3 days contact=false card-expired
unmark 2 days untag expires=3 days contact=false card-expired
tell 3 days event expires=3 days contact=true plan brand card-expired
jot 4 days note expires=3 days contact=false
sign 5 days note expires=3 days contact=false from=5
write 6 days attributes expires=3 days contact=false card_state
call-crm 7 days webhook expires=3 days contact=false https://example.com/dunlin CRM_SECRET
`},
		{"no key too many", definition("", oneStep), `wrong: segment="delinquent" trigger="" episode=entry/0 anchor="" existing=true never-exit=false
goal=none within=1080h0m0s priority=50 holdout=0 older=15m0s resend=false catch-up=latest reenter=168h0m0s
a 1 day tag expires=3 days contact=false x
`},
		{"coming back", definition("existing: ignore\nexit: never\ncatch_up: none\nreenter_after: 0 days\n", oneStep), `wrong: segment="delinquent" trigger="" episode=entry/0 anchor="" existing=false never-exit=true
goal=none within=1080h0m0s priority=50 holdout=0 older=15m0s resend=false catch-up=none reenter=0s
a 1 day tag expires=3 days contact=false x
`},
		{"a trigger", definition("-trigger: first_payment\n", oneStep), `wrong: segment="" trigger="first_payment" episode=event/0 anchor="" existing=false never-exit=false
goal=none within=1080h0m0s priority=50 holdout=0 older=15m0s resend=false catch-up=latest reenter=168h0m0s
a 1 day tag expires=3 days contact=false x
`},
		{"a trigger among members", definition("-segment: delinquent\ntrigger: charge_failed\nexit: never\nholdout: 0%\npriority: 0\n", oneStep), `wrong: segment="delinquent" trigger="charge_failed" episode=event/0 anchor="" existing=false never-exit=true
goal=none within=1080h0m0s priority=0 holdout=0 older=15m0s resend=false catch-up=latest reenter=168h0m0s
a 1 day tag expires=3 days contact=false x
`},
		{"at the edges", definition("episode: every 9999 days\nholdout: 90%\npriority: 100\ndata_no_older_than: 5 minutes\n", oneStep), `wrong: segment="delinquent" trigger="" episode=every/9999 anchor="" existing=true never-exit=false
goal=none within=1080h0m0s priority=100 holdout=90 older=5m0s resend=false catch-up=latest reenter=168h0m0s
a 1 day tag expires=3 days contact=false x
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, faults := parse(t, tt.source, known())
			if len(faults) > 0 {
				t.Fatal(faults.Explain())
			}
			got := summary(d)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
