package b

import (
	"fmt"
	"os"
)

func lose(f *os.File) {
	f.Sync() // want `unchecked error`
	f.Close()
	defer f.Close()
	fmt.Fprintln(f)
	fmt.Fprintln(f, f.Sync())
	func() { os.Chdir("/") }() // want `unchecked error`
}
