package version

import (
	"runtime"
	"strings"
	"testing"
)

// The line must carry what a bug report needs: all four facts.
func TestStringNamesTheBuild(t *testing.T) {
	line := String()
	for _, want := range []string{Version, Commit, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH} {
		if !strings.Contains(line, want) {
			t.Errorf("version line %q does not contain %q", line, want)
		}
	}
	if strings.Contains(line, "\n") {
		t.Errorf("version line %q is more than one line", line)
	}
}
