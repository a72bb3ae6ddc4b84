// Command sluice is the one binary of Sluice: it runs jobs in its own process, is the coordinator or
// an executor of a cluster, and talks to one.
//
// Each verb is a thin layer: it reads flags, environment and job file, calls the packages that do the
// work, and shows what they said.
package main

import (
	"os"

	"github.com/sluice-engine/sluice/dataset/codec"
)

func main() {
	// Before any goroutine opens a Parquet file, see codec.RegisterFast.
	codec.RegisterFast()
	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	os.Exit(a.run(os.Args[1:]))
}
