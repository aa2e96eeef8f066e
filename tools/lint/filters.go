package main

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// tests drops what is in test files: a test that goes on after an error fails in
// the next line.
func tests(pass *analysis.Pass, d analysis.Diagnostic) bool {
	return strings.HasSuffix(pass.Fset.Position(d.Pos).Filename, "_test.go")
}

// harmlessCalls may lose their error, by full name.
var harmlessCalls = []string{
	// To a terminal, a buffer or a response: there is nobody left to tell.
	"fmt.Fprint", "fmt.Fprintf", "fmt.Fprintln", "(net/http.ResponseWriter).Write",
	// Of what was read. Who writes a file checks Close by hand.
	"(*os.File).Close", "(io.Closer).Close", "(net.Conn).Close", "(net.Listener).Close",
	// The server notices by itself.
	"(*github.com/jackc/pgx/v5.Conn).Close", "(github.com/jackc/pgx/v5.Tx).Rollback",
	// Removing what is in the way; who needs it gone finds out.
	"os.Remove", "os.RemoveAll",
}

// harmless drops what errcheck says of harmlessCalls.
func harmless(pass *analysis.Pass, d analysis.Diagnostic) bool {
	for _, file := range pass.Files {
		if d.Pos < file.FileStart || d.Pos >= file.FileEnd {
			continue
		}
		// errcheck points at the name or at the closing of the call; the innermost
		// call around that is the one.
		var innermost *ast.CallExpr
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && call.Pos() <= d.Pos && d.Pos < call.End() {
				innermost = call
			}
			return true
		})
		return innermost != nil && slices.Contains(harmlessCalls, callee(pass, innermost))
	}
	return false
}

func callee(pass *analysis.Pass, call *ast.CallExpr) string {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	fn, ok := pass.TypesInfo.Uses[sel.Sel].(*types.Func)
	if !ok {
		return ""
	}
	return fn.FullName()
}
