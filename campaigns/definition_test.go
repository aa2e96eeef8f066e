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

// wrong are definitions with what is wrong in them; body replaces the steps.
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
	{"months and years", "", "  - {name: a, at: 1 month, tag: x}\n  - {name: b, at: 1 day, expires: 1 year, tag: x}\n"},
	{"spans that are none", "", "  - {name: a, at: 1 day, expires: -3 days, tag: x}\n  - {name: b, at: 1 day, expires: 0 days, tag: x}\n  - name: c\n    at: 1 day\n    task: {title: t, body: b, team: renewals, due: -1 day}\n"},
	{"bad episode", "episode: cards\n", "  - {name: a, at: 1 day, tag: x}\n"},
	{"episodes of a later version", "episode: invoice\n", "  - {name: a, at: 1 day, tag: x}\n"},
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
	{"email is not there yet", "", "  - name: a\n    at: 1 day\n    message: {channel: email, subject: Hi, body: hi}\n"},
	{"keys of later versions", "goal: mrr > 3\ngoal_within: 45 days\npriority: 50\nholdout: 10%\ndata_no_older_than: 15 minutes\non_unknown: ask\ncatch_up: all\nreenter_after: 1 day\n",
		"  - name: a\n    at: 1 day\n    tag: x\n    untag: y\n    event: z\n    note: n\n    attributes: {a: b}\n    webhook: https://example.com\n    contact: true\n  - name: b\n    at: 1 day\n    message: {channel: inapp, traceable: true, body: hi}\n"},
	{"wrong sender", "", "  - name: a\n    at: 1 day\n    message: {channel: inapp, from: '991267716', body: hi}\n  - name: b\n    at: 1 day\n    message: {channel: inapp, from: admin:0, body: hi}\n"},
	{"wrong rule in if", "", "  - name: a\n    at: 1 day\n    if: plan > 3 and card_expire_at within next 30 days\n    tag: x\n  - name: b\n    at: 1 day\n    if: |\n      not deleted\n      and mrr >= 200 usdd\n    tag: x\n"},
	{"nothing but a name", "-", ""},
}

func TestParse_wrong(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	for _, tt := range wrong {
		source := "kind: campaign\nname: wrong\n"
		if tt.head != "-" {
			defaults := map[string]string{"segment": "delinquent", "episode": "entry", "existing": "enroll"}
			for _, key := range []string{"segment", "episode", "existing"} {
				if !strings.Contains("\n"+tt.head, "\n"+key+":") && !strings.Contains(tt.head, "exsisting") {
					source += key + ": " + defaults[key] + "\n"
				}
			}
			source += tt.head + "steps:\n" + tt.steps
		}
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
	var got []string
	for _, c := range campaigns {
		line := fmt.Sprintf("%s: %s %s/%d anchor=%q existing=%v", c.Name, c.Segment, c.Episode.Kind, c.Episode.Every, c.Anchor, c.EnrollExisting)
		for _, s := range c.Steps {
			line += fmt.Sprintf("; %s %s %s expires %s", s.Name, s.At, s.Action, s.Expires)
		}
		got = append(got, line)
	}
	want := []string{
		`annual-offer: monthly-mid-band every/90 anchor="" existing=true; offer 2 days message expires 3 days; mark 3 days tag expires 3 days`,
		`card-expiring: cards-expiring-soon card/0 anchor="card_expires_at" existing=true; nudge -21 days message expires 3 days; call -5 days task expires 3 days; mark 1 day tag expires 3 days`,
		`payment-failed: delinquent entry/0 anchor="" existing=true; nudge 0 days message expires 3 days; second-nudge 4 days message expires 3 days; follow-up 7 days task expires 3 days`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestParse_stored holds that a stored version still parses when what it refers
// to is gone: who is enrolled goes on.
func TestParse_stored(t *testing.T) {
	t.Parallel()
	source := "kind: campaign\nname: c\nsegment: gone\nepisode: entry\nexisting: ignore\nsteps:\n  - {name: a, at: 1 day, task: {title: t, body: b, team: gone, due: 1 day}}\n  - {name: b, at: 1 day, message: {channel: inapp, body: b}}\n"
	if _, faults := parse(t, source, Known{Settings: workspace.Defaults()}); len(faults) != 3 {
		t.Errorf("before it is stored\n got %s\nwant three faults", faults.Explain())
	}
	if _, faults := parse(t, source, Known{Settings: workspace.Defaults(), Stored: true}); len(faults) != 0 {
		t.Errorf("stored\n got %s\nwant none", faults.Explain())
	}
}
