// Package examples holds segments and campaigns ready to use; the demo runs
// them, and people copy them.
package examples

import "embed"

// Files are the definitions.
//
//go:embed *.yaml
var Files embed.FS
