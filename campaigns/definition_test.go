package campaigns

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { pgtest.Main(m) }

// known is what the definitions of the tests may refer to.
func known() Known {
	s := workspace.Defaults()
	s.Sender, s.Teams = 7, map[string]string{"renewals": "8201", "billing": "8202"}
	return Known{Segments: []string{"cards-expiring-soon", "delinquent"}, Settings: s}
}

// parse reads one campaign, whatever is wrong with it.
func parse(t testing.TB, source string, known Known) (Definition, workspace.Faults) {
	t.Helper()
	docs, faults := workspace.Parse("c.yaml", []byte(source))
	if len(faults) > 0 {
		return Definition{}, faults
	}
	if len(docs) != 1 {
		t.Fatalf("%d documents in\n%s", len(docs), source)
	}
	return Parse(docs[0], known)
}

const oneStep = "  - {name: a, at: 1 day, tag: x}\n"

// wrong are definitions with what is wrong in them: keys of the campaign and its
// steps. What is required and not in head is added; a head that begins with "-"
// is all there is.
var wrong = []struct{ name, head, steps string }{
	{"unknown key", "exsisting: enroll\nepisode: entry\n", "  - name: a\n    at: 1 day\n    tag: x\n"},
	{"unknown keys deep down", "", "  - name: a\n    at: 1 day\n    wen: mrr > 3\n    message:\n      chanel: inapp\n      channel: inapp\n      body: hi\n      colour: red\n"},
	{"unknown segment, near", "segment: cards-expiring-son\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"unknown segment, far", "segment: vip\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"unknown attribute in a text", "", "  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      body: Hi {{ customer.frist_name }}\n"},
	{"unknown variable in a text", "", "  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      body: Hi {{ user.name }}\n  - name: b\n    at: 1 day\n    message: {channel: inapp, body: \"Hi {{ name }}\"}\n"},
	{"unknown filter", "", "  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      body: |\n        Hi {{ customer.name | upcas }}\n"},
	{"unclosed tag", "", "  - name: a\n    at: 1 day\n    message: {channel: inapp, body: 'Hi {{ customer.name'}\n  - name: b\n    at: 1 day\n    message: {channel: inapp, body: 'Hi { customer.name }}'}\n  - name: c\n    at: 1 day\n    message: {channel: inapp, body: '{% if customer.name %}Hi'}\n"},
	{"hostile texts", "", "  - name: a\n    at: 1 day\n    message: {channel: inapp, body: '{% include \"../../../../etc/passwd\" %}'}\n  - name: b\n    at: 1 day\n    message: {channel: inapp, body: '{% for i in (1..1000000000) %}x{% endfor %}'}\n  - name: c\n    at: 1 day\n    message: {channel: inapp, body: '{{ customer }}'}\n"},
	{"bad offsets", "", "  - {name: a, at: soon, tag: x}\n  - {name: b, at: 3, tag: x}\n  - {name: c, at: 1.5 days, tag: x}\n  - {name: d, tag: x}\n  - {name: e, at: '', tag: x}\n"},
	{"dashes for a minus", "anchor: card_expires_at\n", "  - {name: a, at: –21 days, tag: x}\n  - {name: b, at: 21 days before, tag: x}\n"},
	{"a team by its id", "", "  - name: a\n    at: 1 day\n    task: {title: t, body: b, team: 8201, due: 1 day}\n"},
	{"quotes of a word processor", "", "  - name: a\n    at: 1 day\n    if: plan = ‘Pro’\n    message:\n      channel: inapp\n      body: |\n        Hi {{ customer.first_name | default: “there” }}\n"},
	{"months and years", "", "  - {name: a, at: 1 month, tag: x}\n  - {name: b, at: 1 day, expires: 1 year, tag: x}\n"},
	{"spans that are none", "", "  - {name: a, at: 1 day, expires: -3 days, tag: x}\n  - {name: b, at: 1 day, expires: 0 days, tag: x}\n  - name: c\n    at: 1 day\n    task: {title: t, body: b, team: renewals, due: -1 day}\n"},
	{"bad episode", "episode: cards\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"every nought days", "episode: every 0 days\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"bad existing and exit", "existing: all\nexit: when member leave\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"bad anchors", "anchor: card_expire_at\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"an anchor that is no time", "anchor: mrr\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"an empty anchor", "anchor:\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"unknown team", "", "  - name: a\n    at: 1 day\n    task: {title: t, body: b, team: renewal, due: 1 day}\n"},
	{"a task without its parts", "", "  - name: a\n    at: 1 day\n    task: {}\n"},
	{"two actions", "", "  - name: a\n    at: 1 day\n    tag: x\n    message: {channel: inapp, body: hi}\n"},
	{"no action", "", "  - name: a\n    at: 1 day\n"},
	{"actions of the wrong shape", "", "  - name: a\n    at: 1 day\n    message: hi\n  - name: b\n    at: 1 day\n    tag: [x]\n  - name: c\n    at: 1 day\n    tag:\n"},
	{"two steps of one name", "", "  - {name: a, at: 1 day, tag: x}\n  - {name: a, at: 2 days, tag: y}\n"},
	{"no steps", "", ""},
	{"steps that are no list", "", "  name: a\n"},
	{"a step without a name", "", "  - {at: 1 day, tag: x}\n  - just words\n"},
	{"an e-mail without a subject", "", "  - name: a\n    at: 1 day\n    message: {channel: email, body: hi}\n"},
	{"a subject in the app", "", "  - name: a\n    at: 1 day\n    message: {channel: inapp, subject: Hi, body: hi}\n"},
	{"what only e-mails or only in-app messages have", "", "  - name: a\n    at: 1 day\n    message: {channel: email, traceable: true, subject: Hi, body: hi}\n  - name: b\n    at: 1 day\n    message: {channel: inapp, template: plain, body: hi}\n"},
	{"channels there are not", "", "  - name: a\n    at: 1 day\n    message: {channel: sms, subject: Hi, body: hi}\n  - name: b\n    at: 1 day\n    message: {channel: in-app, body: hi}\n  - name: c\n    at: 1 day\n    message: {body: hi}\n"},
	{"goals that are no rules", "goal: paid\n", oneStep},
	{"an empty goal", "goal:\n", oneStep},
	{"a goal in the wrong currency", "goal: mrr > 3 usdollar\n", oneStep},
	{"a time for no goal", "goal_within: 45 days\n", oneStep},
	{"times for a goal", "goal: mrr > 3 usd\ngoal_within: 0 days\n", oneStep},
	{"a time for a goal in months", "goal: mrr > 3 usd\ngoal_within: 2 months\n", oneStep},
	{"a time for a goal without a unit", "goal: mrr > 3 usd\ngoal_within: 45\n", oneStep},
	{"priority beyond the scale", "priority: 101\n", oneStep},
	{"priority in words", "priority: high\n", oneStep},
	{"everybody held out", "holdout: 100%\n", oneStep},
	{"a holdout without its sign", "holdout: 10\n", oneStep},
	{"a holdout of half a percent", "holdout: 0.5%\n", oneStep},
	{"data fresher than it gets", "data_no_older_than: 1 minute\n", oneStep},
	{"data of the future", "data_no_older_than: -15 minutes\n", oneStep},
	{"data age in words", "data_no_older_than: fresh\n", oneStep},
	{"words that are no choice", "on_unknown: retry\ncatch_up: last\n", oneStep},
	{"coming back, but not by entry", "episode: card\nreenter_after: 7 days\n", oneStep},
	{"coming back before leaving", "reenter_after: -7 days\n", oneStep},
	{"coming back in a while", "reenter_after: [7 days]\n", oneStep},
	{"an event of Stripe's name", "-trigger: customer.subscription.deleted\n", oneStep},
	{"an event in other words", "-trigger: invoice.payment_failed\n", oneStep},
	{"an event with a slip", "-trigger: first_paymnet\n", oneStep},
	{"an event there is not", "-trigger: birthday\n", oneStep},
	{"an empty trigger", "-trigger:\n", oneStep},
	{"what a trigger excludes", "-trigger: first_payment\nepisode: entry\nexisting: enroll\nexit: never\nanchor: created_at\nreenter_after: 7 days\n", "  - {name: a, at: -1 day, tag: x}\n"},
	{"before the enrollment", "", "  - {name: a, at: -3 days, tag: x}\n"},
	{"variants beside a body", "", "  - name: a\n    at: 1 day\n    message:\n      channel: email\n      subject: Hi\n      body: hi\n      variants:\n        - {name: x, subject: Hi, body: hi}\n        - {name: y, subject: Ho, body: hi}\n"},
	{"variants that are none", "", "  - name: a\n    at: 1 day\n    message: {channel: inapp, variants: []}\n  - name: b\n    at: 1 day\n    message:\n      channel: inapp\n      variants:\n        - {name: x, body: hi}\n  - name: c\n    at: 1 day\n    message:\n      channel: inapp\n      variants: {x: hi, y: ho}\n"},
	{"variants alike", "", "  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      variants:\n        - {name: x, body: hi}\n        - {name: x, body: ho}\n        - {name: z, body: hi}\n        - {body: hey}\n"},
	{"weights", "", "  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      variants:\n        - {name: x, weight: 0, body: hi}\n        - {name: y, weight: 50%, body: ho}\n        - {name: z, weight: 1001, body: hu, colour: red}\n"},
	{"languages there are not", "", "  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      body:\n        english: Hi\n        de_DE: Hallo\n"},
	{"no language at all", "", "  - name: a\n    at: 1 day\n    message: {channel: inapp, body: {}}\n  - name: b\n    at: 1 day\n    message: {channel: inapp, body: {en: Hi, de: }}\n  - name: c\n    at: 1 day\n    message: {channel: inapp, body: [Hi]}\n"},
	{"a text in half the languages", "", "  - name: a\n    at: 1 day\n    message:\n      channel: email\n      subject: {en: Hi, de: Hallo}\n      body: {en: Your card expires}\n  - name: b\n    at: 1 day\n    task:\n      title: {en: Call}\n      body: {de: Karte}\n      team: billing\n      due: 1 day\n"},
	{"a contact where there is none", "", "  - name: a\n    at: 1 day\n    contact: false\n    message: {channel: inapp, body: hi}\n  - name: b\n    at: 1 day\n    contact: true\n    task: {title: t, body: b, team: billing, due: 1 day}\n  - name: c\n    at: 1 day\n    contact: yes\n    tag: x\n"},
	{"events of the wrong shape", "", "  - name: a\n    at: 1 day\n    event: card-expired\n  - name: b\n    at: 1 day\n    event: {metadata: {}}\n  - name: c\n    at: 1 day\n    event:\n      name: many\n      metadata: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, j: 10, k: 11}\n"},
	{"attributes of the wrong shape", "", "  - name: a\n    at: 1 day\n    attributes: card-expired\n  - name: b\n    at: 1 day\n    attributes: {}\n  - name: c\n    at: 1 day\n    attributes: {stripe.plan: Pro, plan: '{{ customer.pln }}'}\n"},
	{"notes of the wrong shape", "", "  - name: a\n    at: 1 day\n    note:\n  - name: b\n    at: 1 day\n    note: {from: admin:7}\n"},
	{"addresses that are not safe", "", "  - name: a\n    at: 1 day\n    webhook: {url: 'http://example.com/dunlin', secret: CRM_SECRET}\n  - name: b\n    at: 1 day\n    webhook: {url: example.com, secret: CRM_SECRET}\n  - name: c\n    at: 1 day\n    webhook: {url: 'https://ann:secret@example.com', secret: CRM_SECRET}\n  - name: d\n    at: 1 day\n    webhook: https://example.com\n"},
	{"secrets that are the secret", "", "  - name: a\n    at: 1 day\n    webhook: {url: 'https://example.com', secret: whsec_8d1f}\n  - name: b\n    at: 1 day\n    webhook: {url: 'https://example.com'}\n"},
	{"names that are filled in for nobody", "", "  - {name: a, at: 1 day, tag: 'plan-{{ customer.plan }}'}\n  - name: b\n    at: 1 day\n    event: {name: 'to {{ customer.plan }}'}\n  - name: c\n    at: 1 day\n    webhook: {url: 'https://example.com/{{ customer.stripe_id }}', secret: CRM_SECRET}\n"},
	{"a name too long for a key", "", "  - name: " + strings.Repeat("very-", 20) + "long\n    at: 1 day\n    tag: x\n"},
	{"keys a level too high", "", "  - name: a\n    at: 1 day\n    message:\n    channel: inapp\n    body: hi\n"},
	{"keys a level too low", "", "  - name: a\n    at: 1 day\n    message:\n      channel: inapp\n      body: hi\n      if: mrr > 3 usd\n      contact: true\n"},
	{"keys of another place", "rule: mrr > 3 usd\ncontact_budget: none\nmessage: hi\n", "  - {name: a, at: 1 day, tag: x, goal: mrr > 3 usd}\n"},
	{"things that stand for one step", "", "  - name: a\n    at: 1 day\n    tag: x\n    untag: y\n    note: n\n"},
	{"wrong sender", "", "  - name: a\n    at: 1 day\n    message: {channel: inapp, from: '991267716', body: hi}\n  - name: b\n    at: 1 day\n    message: {channel: inapp, from: admin:0, body: hi}\n"},
	{"wrong rule in if", "", "  - name: a\n    at: 1 day\n    if: plan > 3 and card_expire_at within next 30 days\n    tag: x\n  - name: b\n    at: 1 day\n    if: |\n      not deleted\n      and mrr >= 200 usdd\n    tag: x\n"},
	{"nothing but a name", "-", "-"},
}

// definition is a campaign with these keys and steps.
func definition(head, steps string) string {
	source := "kind: campaign\nname: wrong\n"
	keys, alone := strings.CutPrefix(head, "-")
	for _, line := range []string{"segment: delinquent\n", "episode: entry\n", "existing: enroll\n"} {
		key, _, _ := strings.Cut(line, " ")
		if !alone && !strings.Contains("\n"+keys, "\n"+key) && !strings.Contains(keys, "exsisting") {
			source += line
		}
	}
	if steps == "-" {
		return source + keys
	}
	return source + keys + "steps:\n" + steps
}

func TestParse_wrong(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	for _, tt := range wrong {
		source := definition(tt.head, tt.steps)
		k := known()
		_, faults := parse(t, source, k)
		if len(faults) == 0 {
			t.Errorf("%s: no fault in\n%s", tt.name, source)
		}
		fmt.Fprintf(&got, "## %s\n%s\n", tt.name, faults.Explain())
	}
	k := known()
	k.Settings.Sender = 0
	_, faults := parse(t, "kind: campaign\nname: c\nsegment: delinquent\nepisode: entry\nexisting: ignore\nsteps:\n  - name: a\n    at: 1 day\n    message: {channel: inapp, body: hi}\n", k)
	fmt.Fprintf(&got, "## nobody sends\n%s", faults.Explain())
	golden(t, "wrong", got.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", file, diff)
	}
}

// TestParse_examples holds that the examples say what they mean, together.
func TestParse_examples(t *testing.T) {
	t.Parallel()
	docs, err := workspace.ReadFiles([]string{"../examples"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := Known{}
	var campaigns []Definition
	for _, d := range docs {
		var faults workspace.Faults
		switch d.Kind {
		case "workspace":
			k.Settings, faults = workspace.ParseSettings(d)
		}
		if len(faults) > 0 {
			t.Fatal(faults.Explain())
		}
	}
	for _, d := range docs {
		if d.Kind == "segment" {
			s, faults := segments.Parse(d, segments.Known{}, k.Settings.Currency)
			if len(faults) > 0 {
				t.Fatal(faults.Explain())
			}
			k.Segments = append(k.Segments, s.Name)
		}
	}
	for _, d := range docs {
		if d.Kind == "campaign" {
			c, faults := Parse(d, k)
			if len(faults) > 0 {
				t.Fatal(faults.Explain())
			}
			campaigns = append(campaigns, c)
		}
	}
	var got bytes.Buffer
	for _, c := range campaigns {
		got.WriteString(summary(c) + "\n")
	}
	golden(t, "examples", got.Bytes())
}

// TestParse_stored holds that a stored version still parses when what it refers
// to is gone, and when it was stored before some faults were known: who is
// enrolled goes on.
func TestParse_stored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, source string
		before       int // faults before it is stored
	}{
		{"what it refers to is gone", "segment: gone\nepisode: entry\nexisting: ignore\nsteps:\n  - {name: a, at: 1 day, task: {title: t, body: b, team: gone, due: 1 day}}\n  - {name: b, at: 1 day, message: {channel: inapp, body: b}}\n  - {name: c, at: 1 day, note: b}\n", 4},
		{"an event that is gone", "trigger: gone\nsteps:\n  - {name: a, at: 1 day, tag: x}\n", 1},
		{"before the enrollment", definition("", "  - {name: a, at: -3 days, tag: x}\n"), 1},
		{"a long name", definition("", "  - {name: "+strings.Repeat("a", 200)+", at: 3 days, tag: x}\n"), 1},
		{"a tag with braces", definition("", "  - {name: a, at: 3 days, tag: '{{ customer.plan }}'}\n"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source := tt.source
			if !strings.HasPrefix(source, "kind:") {
				source = "kind: campaign\nname: c\n" + source
			}
			k := Known{Segments: []string{"delinquent"}, Settings: workspace.Defaults()}
			if _, faults := parse(t, source, k); len(faults) != tt.before {
				t.Errorf("before it is stored\n got %s\nwant %d faults", faults.Explain(), tt.before)
			}
			if _, faults := parse(t, source, Known{Settings: workspace.Defaults(), Stored: true}); len(faults) != 0 {
				t.Errorf("stored\n got %s\nwant none", faults.Explain())
			}
		})
	}
}
