package main

import (
	"testing"

	"github.com/kisielk/errcheck/errcheck"
	"golang.org/x/tools/go/analysis/analysistest"
)

func TestErrcheck(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), except(errcheck.Analyzer, tests, harmless), "b")
}

func TestClocks(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), clocks, "a", "github.com/dunlin/dunlin/cmd/dunlin")
}
