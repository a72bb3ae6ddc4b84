package node

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/sluice-engine/sluice/coordinator"
	"github.com/sluice-engine/sluice/executor"
	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/internal/version"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// EmbeddedOptions of a job that runs in one process.
type EmbeddedOptions struct {
	// TempDirs hold scratch and the journal; the first one is used. Empty: DefaultTempDir.
	TempDirs []string
	Threads  int   // at least 1
	Slots    int   // map tasks at a time; 0 = 1. A fused job with a shuffle has one task and uses one slot
	Memory   int64 // bytes the process may use
	// Execution is how the job runs; empty means fused.
	Execution model.Execution
	Logger    *slog.Logger
}

// RunEmbedded runs one job in this process: the coordinator and the executor of a cluster, a session
// that is a pair of channels, and a journal on disk. watch sees every state of the job; it may be nil.
//
// When ctx ends the job is cancelled, and the returned status says so. Whatever happens, nothing of
// the job is left in the temporary directory or beside the output when RunEmbedded returns.
func RunEmbedded(ctx context.Context, o EmbeddedOptions, spec model.JobSpec, watch func(model.JobStatus)) (st model.JobStatus, err error) {
	temp := DefaultTempDir()
	if len(o.TempDirs) > 0 {
		temp = o.TempDirs[0]
	}
	scratch, err := newScratch(vfs.OS, temp, "run", o.Logger)
	if err != nil {
		return st, model.Failf(model.ReasonUser, "%w", err)
	}
	defer func() { err = errors.Join(err, scratch.remove()) }()
	if o.Execution == "" {
		o.Execution = model.ExecutionFused
	}
	if o.Execution == model.ExecutionFused && !spec.NoShuffle {
		o.Slots = 1
	}
	limitMemory(o.Memory)
	log, err := journal.Open(filepath.Join(scratch.dir, "journal.db"))
	if err != nil {
		return st, err
	}
	co, err := coordinator.New(coordinator.Config{
		Log: log, Work: newWork(vfs.OS, nil, o.Threads, o.Execution), Logger: o.Logger,
	})
	if err != nil {
		return st, errors.Join(err, log.Close())
	}
	return runJob(ctx, o, scratch.dir, co, spec, watch)
}

// backend adds what only a listening coordinator needs.
type backend struct {
	*coordinator.Coordinator
	discovery transport.Discovery
}

// Discover implements transport.SessionBackend.
func (b backend) Discover(context.Context) (transport.Discovery, error) { return b.discovery, nil }

// runJob runs coordinator and executor until the job has ended.
func runJob(ctx context.Context, o EmbeddedOptions, dir string, co *coordinator.Coordinator, spec model.JobSpec, watch func(model.JobStatus)) (st model.JobStatus, err error) {
	all, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	var coErr, exErr error
	coDone := make(chan struct{})
	wg.Go(func() { defer close(coDone); coErr = co.Run(all) })
	pipe := transport.NewPipe(backend{Coordinator: co, discovery: transport.Discovery{Version: version.Version}})
	defer func() {
		stop()
		err = errors.Join(err, pipe.Close())
		wg.Wait()
		for _, e := range []error{coErr, exErr} {
			if e != nil && !errors.Is(e, context.Canceled) {
				err = errors.Join(err, e)
			}
		}
	}()
	hostID, err := transport.HostID()
	if err != nil {
		return st, err
	}
	ex, err := executor.New(executor.Config{
		ID: "embedded", FS: vfs.OS, Dir: filepath.Join(dir, "scratch"), HostID: hostID, Addr: "embedded",
		Threads: o.Threads, Slots: max(o.Slots, 1), Memory: o.Memory / attemptShare, Log: o.Logger,
		Open: func(ctx context.Context) (executor.Session, error) { return pipe.OpenSession(ctx) },
		Run:  runAttempts(vfs.OS, "embedded", hostID, nil, false, o.Logger),
	})
	if err != nil {
		return st, err
	}
	exCtx, stopExecutor := context.WithCancel(all)
	defer stopExecutor()
	wg.Go(func() { exErr = ex.Run(exCtx) })
	if err := co.AwaitExecutor(all); err != nil {
		return st, err
	}
	id, err := co.Submit(all, spec)
	if err != nil {
		return st, err
	}
	cancelled := context.AfterFunc(ctx, func() {
		if cerr := co.Cancel(all, id, "interrupted"); cerr != nil {
			o.Logger.Warn("cancelling the job", "error", cerr)
		}
	})
	defer cancelled()
	err = co.Watch(all, id, func(s model.JobStatus) error {
		st = s
		if watch != nil {
			watch(s)
		}
		return nil
	})
	return st, err
}
