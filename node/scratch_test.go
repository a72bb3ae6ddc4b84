package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/internal/vfs"
)

func TestScratchOfTheDeadGoesAndOfTheLivingStays(t *testing.T) {
	temp := t.TempDir()
	living, err := newScratch(vfs.OS, temp, "run", quiet())
	if err != nil {
		t.Fatal(err)
	}
	dead, err := newScratch(vfs.OS, temp, "executor", quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.lock.Close(); err != nil { // as the end of its process does
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(temp, "run-of-somebody-else"), 0o777); err != nil {
		t.Fatal(err)
	}
	sweepScratch(vfs.OS, temp, time.Now().Add(-time.Hour), quiet())
	if _, err := os.Stat(dead.dir); err != nil {
		t.Errorf("scratch that is not old yet: %v", err)
	}
	sweepScratch(vfs.OS, temp, time.Now().Add(time.Hour), quiet())
	if _, err := os.Stat(dead.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("scratch of a dead process stayed: %v", err)
	}
	for _, dir := range []string{living.dir, filepath.Join(temp, "run-of-somebody-else")} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%s was removed: %v", dir, err)
		}
	}
	if err := living.remove(); err != nil {
		t.Fatal(err)
	}
}
