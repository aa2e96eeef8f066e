// Command lint checks Dunlin's code, beside gofmt and go vet. It takes the flags
// of staticcheck, packages as go build does, and
//
//	//lint:ignore CHECK reason
//
// on the line before, for the exception. Linters are few; each is here for a
// fault that has a price in this product.
package main

import (
	"os"

	"codeberg.org/polyfloyd/go-errorlint/errorlint"
	"github.com/kisielk/errcheck/errcheck"
	"golang.org/x/tools/go/analysis"
	"honnef.co/go/tools/lintcmd"
	"honnef.co/go/tools/simple"
	"honnef.co/go/tools/staticcheck"
	"honnef.co/go/tools/stylecheck"
	"honnef.co/go/tools/unused"
)

func main() {
	cmd := lintcmd.NewCommand("lint")
	cmd.ParseFlags(os.Args[1:])

	cmd.AddAnalyzers(staticcheck.Analyzers...) // bugs, misused libraries, deprecated calls
	cmd.AddAnalyzers(simple.Analyzers...)      // code that says it twice
	cmd.AddAnalyzers(stylecheck.Analyzers...)  // among them the form of errors, which people read
	cmd.AddAnalyzers(unused.Analyzer)          // what nobody calls is not in the tree
	cmd.AddBareAnalyzers(
		// A lost error here is a customer contacted twice, or never.
		except(errcheck.Analyzer, tests, harmless),
		// Errors are wrapped, so == and type assertions miss them.
		except(errorlint.NewAnalyzer(), tests),
		clocks,
	)
	cmd.Run()
}

// except is the analyzer without the reports that one of the filters drops.
func except(a *analysis.Analyzer, drop ...func(*analysis.Pass, analysis.Diagnostic) bool) *analysis.Analyzer {
	wrapped := *a
	wrapped.Run = func(pass *analysis.Pass) (any, error) {
		report := pass.Report
		filtered := *pass
		filtered.Report = func(d analysis.Diagnostic) {
			for _, f := range drop {
				if f(pass, d) {
					return
				}
			}
			report(d)
		}
		return a.Run(&filtered)
	}
	return &wrapped
}
