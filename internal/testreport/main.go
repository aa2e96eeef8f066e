// Command testreport makes the output of go test -json readable again, and knows
// what was skipped.
//
//	go test -json ./... | testreport -allow 'needs \.\./shared/'
//
// It prints what go test prints without -v: one line for each package, and the
// output of what failed. Lines that are not JSON pass through. At the end it
// lists the slowest packages and every skipped test with its reason.
//
//   - Its exit code is 1 when a test failed, when a package did not build, and
//     when a test was skipped that no -allow expression matches.
//   - It reads to the end of its input whatever it meets.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
)

// patterns is a flag that may be given more than once.
type patterns []*regexp.Regexp

func (p *patterns) String() string { return fmt.Sprint(*p) }

func (p *patterns) Set(text string) error {
	re, err := regexp.Compile(text)
	if err == nil {
		*p = append(*p, re)
	}
	return err
}

func main() {
	var allow patterns
	flag.Var(&allow, "allow", "a regular expression for skips that are all right, matched against `package.Test: reason`")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "testreport reads go test -json from its standard input and takes no arguments")
		os.Exit(2)
	}
	ok, err := report(os.Stdin, os.Stdout, allow)
	if err != nil {
		fmt.Fprintf(os.Stderr, "testreport: %v\n", err)
		_, _ = io.Copy(io.Discard, os.Stdin) // else go test would die writing, and hide why
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}
