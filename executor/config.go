// Package executor is the process that does the work: it keeps one session with the coordinator, runs
// the attempts it is given, and serves the blocks that its map attempts wrote.
//
// It is the shell around executor/runner: goroutines, lifecycles and retries live here, the work of
// an attempt does not.
package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// Session is one stream to the coordinator. Send and Recv may be called from one goroutine each at a
// time; after an error the session is over and Close must still be called.
type Session interface {
	Send(core.Event) error
	Recv() (core.Message, error)
	Close() error
}

// Config of an executor.
type Config struct {
	ID model.ExecutorID
	// Open opens a session with whoever leads the cluster. It is called again after every loss.
	Open func(ctx context.Context) (Session, error)
	// Run runs one attempt: executor/runner.Run with everything it needs.
	Run RunFunc
	FS  vfs.FS
	// Dir is this process's own scratch directory; map outputs lie below it, by job.
	Dir string
	// Addr is the block server as others reach it, host:port.
	Addr   string
	HostID string
	// Threads is how many threads attempts may use at a time: too few leave cores idle, too many
	// fight for them. Slots is how many map attempts share them.
	Threads int
	Slots   int
	Memory  int64 // bytes for all attempts together
	Log     *slog.Logger
	// Up is told when a session begins and when it ends; it may be nil.
	Up func(bool)
}

// RunFunc runs an attempt. dir is the scratch directory of its job, in which it has a directory named
// by the attempt for its own; memory is its share of the budget in bytes. The error is a
// *model.Failure where the reason is known.
type RunFunc func(ctx context.Context, dir string, memory int64, a model.Assignment, progress func(model.Progress)) (Result, error)

// Result is what a finished attempt hands over: one of the two is set.
type Result struct {
	Map   *model.MapOutput
	Write *model.WriteOutput
}

// Validate reports what is missing.
func (c *Config) Validate() error {
	switch {
	case c.ID == "":
		return errors.New("executor: no id")
	case c.Open == nil || c.Run == nil || c.FS == nil || c.Log == nil:
		return errors.New("executor: incomplete configuration")
	case c.Dir == "":
		return errors.New("executor: no scratch directory")
	case c.Threads < 1:
		return fmt.Errorf("executor: %d threads: want at least 1", c.Threads)
	case c.Slots < 1 || c.Slots > c.Threads:
		return fmt.Errorf("executor: %d slots: want 1 to the number of threads, %d", c.Slots, c.Threads)
	case c.Memory < 64<<20:
		return fmt.Errorf("executor: %s of memory: want at least 64MiB", model.Size(c.Memory))
	}
	return nil
}

// reconnectDelays are waited, each with jitter, between attempts to reach the coordinator; the last
// one again and again. The first is short: a coordinator that was restarted is back at once.
var reconnectDelays = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}
