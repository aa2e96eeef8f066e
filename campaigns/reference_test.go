package campaigns

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

var (
	fenced    = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	knownHere = regexp.MustCompile(`known here: (.*)`)
)

// TestReference_shows holds that what docs/campaigns.md shows can be applied.
func TestReference_shows(t *testing.T) {
	t.Parallel()
	found := 0
	for _, block := range fenced.FindAllStringSubmatch(reference(t), -1) {
		if !strings.HasPrefix(block[1], "kind:") {
			continue
		}
		docs, faults := workspace.Parse("docs/campaigns.md", []byte(block[1]))
		for _, d := range docs {
			found++
			var more workspace.Faults
			switch d.Kind {
			case "workspace":
				_, more = workspace.ParseSettings(d)
			case "campaign":
				_, more = Parse(d, known())
			}
			faults = append(faults, more...)
		}
		if len(faults) > 0 {
			t.Error(faults.Explain())
		}
	}
	if found < 2 {
		t.Errorf("%d definitions shown, want at least a workspace and a campaign", found)
	}
}

// TestReference_keys holds that every key a definition can have is in the
// reference, and every event that can trigger.
func TestReference_keys(t *testing.T) {
	t.Parallel()
	text := reference(t)
	words := customers.EventKinds()
	// An unknown key is answered with those that are known.
	for _, source := range []string{
		definition("zzzzzzzzzzzzzz: 1\n", "  - {name: a, at: 1 day, tag: x, zzzzzzzzzzzzzz: 1}\n"),
		definition("", "  - {name: a, at: 1 day, message: {channel: email, subject: s, body: b, zzzzzzzzzzzzzz: 1}}\n"),
		definition("", "  - {name: a, at: 1 day, task: {zzzzzzzzzzzzzz: 1}}\n  - {name: b, at: 1 day, event: {zzzzzzzzzzzzzz: 1}}\n  - {name: c, at: 1 day, note: {zzzzzzzzzzzzzz: 1}}\n  - {name: d, at: 1 day, webhook: {zzzzzzzzzzzzzz: 1}}\n"),
	} {
		_, faults := parse(t, source, known())
		for _, x := range faults {
			if m := knownHere.FindStringSubmatch(x.Hint); m != nil {
				words = append(words, strings.Split(m[1], ", ")...)
			}
		}
	}
	if len(words) < 50 {
		t.Fatalf("only %d keys: %q", len(words), words)
	}
	for _, w := range words {
		if !regexp.MustCompile("`" + w + "[`:]").MatchString(text) {
			t.Errorf("docs/campaigns.md says nothing of %q", w)
		}
	}
}

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/campaigns.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
