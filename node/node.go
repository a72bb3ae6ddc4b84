// Package node wires whole processes from their parts: a coordinator that listens, an executor that
// serves its blocks, and both in one process for a job that needs no cluster.
package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-engine/sluice/executor"
	"github.com/sluice-engine/sluice/executor/runner"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/fetch"
)

// DefaultTempDir is where scratch and journals go when nothing else is said: the same in every run of
// a user, so that a later process finds them.
func DefaultTempDir() string {
	return fmt.Sprintf("/var/tmp/sluice-%d", os.Getuid())
}

// runDir makes a directory of this process's own below a temporary directory.
func runDir(fsys vfs.FS, temp, kind string) (string, error) {
	if err := fsys.MkdirAll(temp); err != nil {
		return "", fmt.Errorf("--temp-dir %s: %w", temp, err)
	}
	dir := filepath.Join(temp, kind+"-"+randomName())
	if err := fsys.Mkdir(dir); err != nil {
		return "", fmt.Errorf("--temp-dir %s: %w", temp, err)
	}
	return dir, nil
}

func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return time.Now().UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:])
}

// limitMemory tells the garbage collector what the process may use. The budget is what Sluice accounts
// for; a sixteenth of it is left for what it does not.
func limitMemory(memory int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory - memory/16)
	}
}

// attemptShare is how much of the memory limit attempts may account for: the rest is the Go runtime,
// buffers of the transport, footers and garbage that was not collected yet.
const attemptShare = 2

// runAttempts returns the function by which an executor runs attempts.
func runAttempts(fsys vfs.FS, id model.ExecutorID, hostID string, dial func(context.Context, string) (grpc.ClientConnInterface, error), remote bool, log *slog.Logger) executor.RunFunc {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return func(ctx context.Context, dir string, memory int64, a model.Assignment, progress func(model.Progress)) (executor.Result, error) {
		res, err := runner.Run(ctx, runner.Env{
			FS: fsys, ScratchDir: dir, MemoryBytes: memory, Executor: id, Host: host,
			Fetch:    fetch.Options{FS: fsys, HostID: hostID, Dial: dial, Remote: remote},
			Progress: progress, Log: log,
		}, a)
		return executor.Result{Map: res.Map, Write: res.Write}, err
	}
}
