package main

import (
	"regexp"
	"strings"
	"testing"
)

const passing = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: chatter\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.123s\n"}
{"Action":"pass","Package":"p","Elapsed":0.123}
`

const skipping = passing + `{"Action":"output","Package":"q","Test":"TestB","Output":"    b_test.go:7: needs ../shared/specs\n"}
{"Action":"output","Package":"q","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"q","Test":"TestB","Elapsed":0}
{"Action":"output","Package":"q","Output":"ok  \tq\t0.2s\n"}
{"Action":"pass","Package":"q","Elapsed":0.2}
`

func TestReport(t *testing.T) {
	t.Parallel()
	shared := []*regexp.Regexp{regexp.MustCompile(`^q\.TestB: needs \.\./shared/`)}
	tests := []struct {
		name, in  string
		allow     []*regexp.Regexp
		ok        bool
		want, not []string
	}{
		{
			name: "quiet about what passed", in: passing, ok: true,
			want: []string{"ok  \tp\t0.123s\n", "1 tests passed, 0 skipped, 0 failed"}, not: []string{"chatter", "PASS"},
		},
		{
			name: "a skip", in: skipping, ok: false,
			want: []string{"SKIPPED (not allowed) q.TestB: needs ../shared/specs\n", "1 skipped"},
		},
		{
			name: "an allowed skip", in: skipping, allow: shared, ok: true,
			want: []string{"skipped (allowed) q.TestB: needs ../shared/specs\n"},
		},
		{
			name: "a skip without a reason",
			in:   passing + `{"Action":"skip","Package":"q","Test":"TestC","Elapsed":0}`, allow: shared, ok: false,
			want: []string{"q.TestC: no reason given"},
		},
		{
			name: "a failure",
			in: passing + `{"Action":"output","Package":"q","Test":"TestB","Output":"    b_test.go:7: got 1\n"}
{"Action":"output","Package":"q","Test":"TestB","Output":"--- FAIL: TestB (0.00s)\n"}
{"Action":"fail","Package":"q","Test":"TestB","Elapsed":0}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.2s\n"}
{"Action":"fail","Package":"q","Elapsed":0.2}
`, ok: false,
			want: []string{"b_test.go:7: got 1\n--- FAIL: TestB", "FAIL\tq"},
		},
		{
			name: "a panic in the middle of a test",
			in: passing + `{"Action":"output","Package":"q","Test":"TestB","Output":"panic: boom\n"}
{"Action":"fail","Package":"q","Elapsed":0.2}
`, ok: false,
			want: []string{"panic: boom\n"},
		},
		{
			name: "a build that failed",
			in: passing + `{"ImportPath":"q [q.test]","Action":"build-output","Output":"./q.go:1:1: syntax error\n"}
{"ImportPath":"q [q.test]","Action":"build-fail"}
`, ok: false,
			want: []string{"syntax error"},
		},
		{
			name: "what make says", in: "setup: installing postgresql (apt-get)\n{braces}\n" + passing, ok: true,
			want: []string{"setup: installing", "{braces}"},
		},
		{name: "nothing at all", in: "make: *** [test] Error 1\n", ok: false, want: []string{"Error 1", "no test ran"}},
		{name: "no newline at the end", in: strings.TrimSpace(passing), ok: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			ok, err := report(strings.NewReader(tt.in), &out, tt.allow)
			if err != nil || ok != tt.ok {
				t.Errorf("report\n got %v (%v)\nwant %v\n%s", ok, err, tt.ok, out.String())
			}
			for _, words := range tt.want {
				if !strings.Contains(out.String(), words) {
					t.Errorf("output\n got %s\nwant some %q", out.String(), words)
				}
			}
			for _, words := range tt.not {
				if strings.Contains(out.String(), words) {
					t.Errorf("output\n got %s\nwant no %q", out.String(), words)
				}
			}
		})
	}
}
