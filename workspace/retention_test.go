package workspace_test

import (
	"strings"
	"testing"

	"github.com/dunlin/dunlin/workspace"
)

func TestParseSettings_retention(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		written string
		months  int
		fault   string
	}{
		{"", 24, ""},
		{"retention: {decisions: 6 months}", 6, ""},
		{"retention: {decisions: 2 years}", 24, ""},
		{"retention: {decisions: 90 days}", 24, `write it as in "24 months"`},
		{"retention: {decisions: forever}", 24, `write it as in "24 months"`},
		{"retention: {decisions: 0 months}", 24, "write 1 month to 10 years"},
		{"retention: {decisions: -1 month}", 24, "write 1 month to 10 years"},
		{"retention: {decisions: 11 years}", 24, "write 1 month to 10 years"},
		{"retention: {history: 1 year}", 24, `"history" is not supported yet`},
		{"retention: {decision: 1 year}", 24, `did you mean "decisions"?`},
	} {
		t.Run(tt.written, func(t *testing.T) {
			t.Parallel()
			docs, faults := workspace.Parse("w.yaml", []byte("kind: workspace\nzone: UTC\ncurrency: usd\n"+tt.written+"\n"))
			if len(faults) > 0 {
				t.Fatal(faults.Explain())
			}
			s, faults := workspace.ParseSettings(docs[0])
			if got := faults.Explain(); s.KeepDecisions != tt.months || (tt.fault == "") != (got == "") || !strings.Contains(got, tt.fault) {
				t.Errorf("%s\n got %d months, %s\nwant %d, %q", tt.written, s.KeepDecisions, got, tt.months, tt.fault)
			}
		})
	}
}
