package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// An event is one line of go test -json; see go doc test2json. Lines of a failed
// build have an ImportPath instead of a Package.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

type test struct{ pkg, name string }

// A run collects what the summary needs.
type run struct {
	out     io.Writer
	output  map[test]*strings.Builder // of tests that have not ended
	skipped []string                  // package.Test: reason
	slow    []event                   // ended packages
	passed  int
	failed  int // tests, packages and builds
}

// report copies a readable form of in to out, and says whether all is well.
func report(in io.Reader, out io.Writer, allow []*regexp.Regexp) (ok bool, err error) {
	r := run{out: out, output: map[test]*strings.Builder{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
	}
	return r.summary(allow), nil
}

func (r *run) line(line []byte) {
	var e event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil || e.Action == "" {
		_, _ = r.out.Write(line)
		return
	}
	key := test{e.Package, e.Test}
	switch e.Action {
	case "output", "build-output":
		r.take(e, key)
	case "pass":
		delete(r.output, key)
		r.end(e)
		if e.Test != "" {
			r.passed++
		}
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, fmt.Sprintf("%s.%s: %s", e.Package, e.Test, reason(r.output[key])))
		}
		delete(r.output, key)
	case "fail", "build-fail":
		r.failed++
		r.flush(key)
		r.end(e)
	}
}

// take keeps the output of a test until it has ended, because only failed ones
// are shown, and passes on that of packages and builds.
func (r *run) take(e event, key test) {
	if e.Test == "" {
		// The package's own: the lines ok, FAIL and ?, and panics outside of tests.
		if e.Output != "PASS\n" {
			fmt.Fprint(r.out, e.Output)
		}
		return
	}
	if strings.HasPrefix(e.Output, "=== ") {
		return // RUN, PAUSE, CONT, NAME
	}
	if r.output[key] == nil {
		r.output[key] = &strings.Builder{}
	}
	r.output[key].WriteString(e.Output)
}

func (r *run) flush(key test) {
	if b := r.output[key]; b != nil {
		fmt.Fprint(r.out, b.String())
		delete(r.output, key)
	}
}

func (r *run) end(e event) {
	if e.Test == "" && e.Package != "" {
		r.slow = append(r.slow, e)
		// Of tests that never ended: the package panicked, or ran out of time.
		var unfinished []test
		for key := range r.output {
			if key.pkg == e.Package {
				unfinished = append(unfinished, key)
			}
		}
		slices.SortFunc(unfinished, func(a, b test) int { return strings.Compare(a.name, b.name) })
		for _, key := range unfinished {
			r.flush(key)
		}
	}
}

// place is what the testing package writes before each line of a log.
var place = regexp.MustCompile(`^\s*[\w.]+\.go:\d+: `)

// reason is what a skipped test logged, in one line.
func reason(output *strings.Builder) string {
	if output == nil {
		return "no reason given"
	}
	var words []string
	for line := range strings.Lines(output.String()) {
		if strings.Contains(line, "--- SKIP") {
			continue
		}
		if line = strings.TrimSpace(place.ReplaceAllString(line, "")); line != "" {
			words = append(words, line)
		}
	}
	if len(words) == 0 {
		return "no reason given"
	}
	return strings.Join(words, " ")
}

func (r *run) summary(allow []*regexp.Regexp) (ok bool) {
	slices.SortStableFunc(r.slow, func(a, b event) int { return int(1000 * (b.Elapsed - a.Elapsed)) })
	fmt.Fprintf(r.out, "\n%d tests passed, %d skipped, %d failed; the slowest packages:\n", r.passed, len(r.skipped), r.failed)
	for _, e := range r.slow[:min(5, len(r.slow))] {
		fmt.Fprintf(r.out, "  %6.1fs  %s\n", e.Elapsed, e.Package)
	}
	ok = r.failed == 0
	for _, skip := range r.skipped {
		allowed := slices.ContainsFunc(allow, func(re *regexp.Regexp) bool { return re.MatchString(skip) })
		if !allowed {
			ok = false
		}
		fmt.Fprintf(r.out, "%s %s\n", map[bool]string{true: "skipped (allowed)", false: "SKIPPED (not allowed)"}[allowed], skip)
	}
	if r.passed == 0 {
		fmt.Fprintln(r.out, "no test ran")
		ok = false
	}
	return ok
}
