// Package examples holds segments and campaigns ready to use. The demo runs those
// of this folder; people copy them, and those of more.
package examples

import "embed"

// Files are the definitions.
//
//go:embed *.yaml
var Files embed.FS
