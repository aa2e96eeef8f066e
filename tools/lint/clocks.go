package main

import (
	"go/ast"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// clocks holds the two clocks apart. Business time is an argument: a decision
// that reads the machine's clock cannot be tested, nor run in the sandbox, whose
// time is virtual. Machine time is Postgres' clock_timestamp().
var clocks = &analysis.Analyzer{
	Name: "clocks",
	Doc:  "report time.Now where decisions are made, and time.Sleep everywhere",
	Run:  runClocks,
}

// timekeepers are the directories that may read the machine's clock: they start
// the product and set its Clock, keep a virtual one, or talk to a vendor.
var timekeepers = []string{"cmd/", "sandbox", "internal/", "intercom", "tools/"}

func runClocks(pass *analysis.Pass) (any, error) {
	for _, file := range pass.Files {
		name := pass.Fset.Position(file.FileStart).Filename
		test := strings.HasSuffix(name, "_test.go")
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr) // not the function as a value: that is how a Clock is set
			if !ok {
				return true
			}
			switch callee(pass, call) {
			case "time.Sleep":
				pass.Reportf(call.Pos(), "time.Sleep: wait for what you wait for")
			case "time.Now":
				if !test && !keepsTime(pass.Pkg.Path()) {
					pass.Reportf(call.Pos(), "time.Now: business time is the Clock, an argument; machine time is clock_timestamp()")
				}
			}
			return true
		})
	}
	return nil, nil
}

func keepsTime(pkg string) bool {
	dir := strings.TrimPrefix(pkg, "github.com/dunlin/dunlin/")
	for _, prefix := range timekeepers {
		if strings.HasPrefix(dir, prefix) {
			return true
		}
	}
	return false
}
