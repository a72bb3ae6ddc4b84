// Package version says which build of Sluice this is.
package version

import "runtime"

// Version and Commit are set by the linker (-X, see the Makefile's build
// target) from git. A binary that was built in another way keeps the defaults.
var (
	// Version is the nearest git tag, with the distance from it, or "dev".
	Version = "dev"
	// Commit is the full hash of the commit that was built, or "unknown".
	Commit = "unknown"
)

// String is the line that `sluice version` prints: version, commit, the Go
// release and the platform the binary was built for.
func String() string {
	return "sluice " + Version + " (" + Commit + ", " +
		runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}
