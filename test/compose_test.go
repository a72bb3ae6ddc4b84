package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestComposeCluster runs `make cluster-demo`, the promise of the README, and checks
// what it leaves: a receipt in which every row came out, the same rows on disk, and
// no container. It needs a Docker engine, so it runs only where SLUICE_TEST_DOCKER=1
// asks for it; there, no engine is a failure.
func TestComposeCluster(t *testing.T) {
	if os.Getenv("SLUICE_TEST_DOCKER") != "1" {
		t.Skip("set SLUICE_TEST_DOCKER=1 to run the compose cluster (needs a Docker engine)")
	}
	const rows, files, types = 2_000_000, 200, 500
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeCluster(t, root) })

	output := composeDemo(t, root, rows, files)
	lake := filepath.Join(root, ".cluster", "lake")
	var receipt struct {
		State      string `json:"state"`
		RowsIn     int64  `json:"rows_in"`
		RowsOut    int64  `json:"rows_out"`
		FilesIn    int64  `json:"files_in"`
		Partitions int64  `json:"partitions"`
	}
	text, err := os.ReadFile(filepath.Join(lake, "receipt.json"))
	if err != nil {
		t.Fatalf("%v; the demo printed:\n%s", err, output)
	}
	if err := json.Unmarshal(text, &receipt); err != nil {
		t.Fatalf("receipt.json: %v\n%s", err, text)
	}
	if receipt.State != "succeeded" || receipt.RowsIn != rows || receipt.RowsOut != rows ||
		receipt.FilesIn != files || receipt.Partitions != types {
		t.Errorf("the receipt should say succeeded, %d rows in and out, %d files in, %d partitions; it is\n%s",
			rows, files, types, text)
	}

	// The receipt is Sluice's word; these are the files.
	directories, err := filepath.Glob(filepath.Join(lake, "mart", "type=*"))
	if err != nil || len(directories) != types {
		t.Errorf("%d type= directories in the output, want %d (%v)", len(directories), types, err)
	}
	if _, err := os.Stat(filepath.Join(lake, "mart", "_SUCCESS")); err != nil {
		t.Errorf("the output is not marked complete: %v", err)
	}
	verify := exec.Command(filepath.Join(root, "bin", "image", "sluice"), "verify",
		filepath.Join(lake, "landing"), filepath.Join(lake, "mart"))
	if out, err := verify.CombinedOutput(); err != nil {
		t.Errorf("sluice verify: %v\n%s", err, out)
	}
	noTemporaryFiles(t, filepath.Join(lake, "mart"))

	left, err := exec.Command("docker", "ps", "--all", "--quiet",
		"--filter", "label=com.docker.compose.project=sluice-demo").CombinedOutput()
	if err != nil || strings.TrimSpace(string(left)) != "" {
		t.Errorf("containers that the demo left running: %q (%v)", left, err)
	}
}

// composeDemo runs the target and returns what it printed; a failure ends the test.
func composeDemo(t *testing.T, root string, rows, files int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	demo := exec.CommandContext(ctx, "make", "-C", root, "cluster-demo",
		"DEMO_ROWS="+strconv.Itoa(rows), "DEMO_FILES="+strconv.Itoa(files))
	// Past the deadline the script gets the chance to stop its cluster.
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	demo.WaitDelay = time.Minute
	output, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("make cluster-demo: %v\n%s", errors.Join(err, ctx.Err()), output)
	}
	return string(output)
}

// removeCluster takes down what a failed or interrupted demo left.
func removeCluster(t *testing.T, root string) {
	down := exec.Command(filepath.Join(root, "deploy", "compose.sh"), "down", "-v", "--remove-orphans")
	down.Env = append(os.Environ(), "COMPOSE_PROJECT_NAME=sluice-demo", "SLUICE_PORT=")
	if out, err := down.CombinedOutput(); err != nil && !t.Failed() {
		t.Errorf("stopping the cluster: %v\n%s", err, out)
	}
}

// noTemporaryFiles fails the test for each staged file that a publish left behind.
func noTemporaryFiles(t *testing.T, directory string) {
	t.Helper()
	err := filepath.WalkDir(directory, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".tmp") {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
