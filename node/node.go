// Package node wires whole processes from their parts: a coordinator that listens, an executor that
// serves its blocks, and both in one process for a job that needs no cluster.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

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
