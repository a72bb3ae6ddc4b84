// Package runner runs one attempt of a task in the calling goroutine: map, reduce or direct. It is
// what an executor does between getting an assignment and reporting its end, without a network, so
// that a test can call it.
package runner

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/sluice-engine/sluice/internal/parallel"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/fetch"
	"github.com/sluice-engine/sluice/shuffle/read"
	"github.com/sluice-engine/sluice/shuffle/write"
)

// shareToken is the file in the staging directory that proves that coordinator and executor see the
// same output directory.
const shareToken = "share-token.tmp"

// maxTokenBytes is more than any token has.
const maxTokenBytes = 4 << 10

// Env is what an attempt gets from the process it runs in.
type Env struct {
	FS vfs.FS
	// ScratchDir is where map outputs are written: each attempt has a directory of its own below it,
	// named by the attempt. After a map attempt the directory belongs to the caller.
	ScratchDir string
	// MemoryBytes is the attempt's share of the memory budget.
	MemoryBytes int64
	// Executor and Host name this process in error messages.
	Executor model.ExecutorID
	Host     string
	// Fetch says how a reduce attempt reads map outputs.
	Fetch fetch.Options
	// Progress, when set, is called by one goroutine at a time. It must not block.
	Progress func(model.Progress)
	// Log gets the stack of a recovered panic; nil means slog's default.
	Log *slog.Logger
}

// Result is what a finished attempt reports: Map of a map task, Write of the others.
type Result struct {
	Map   *model.MapOutput
	Write *model.WriteOutput
}

// Run runs the attempt. The error is always a *model.Failure, whose reason says what the scheduler
// should make of it; nothing that the attempt wrote is left then. A panic is ReasonInternal, a full
// disk ReasonDiskFull, and every error after ctx was done ReasonKilled.
func Run(ctx context.Context, env Env, a model.Assignment) (Result, error) {
	if env.Log == nil {
		env.Log = slog.Default()
	}
	r := attempt{Env: env, Assignment: a}
	res, err := r.run(ctx)
	if err == nil {
		return res, nil
	}
	var p *parallel.PanicError
	if errors.As(err, &p) {
		env.Log.Error("attempt panicked", "attempt", a.Attempt.String(), "panic", p.Value, "stack", string(p.Stack))
	}
	return Result{}, classify(ctx, a.Attempt, err)
}

// attempt is one assignment with its surroundings.
type attempt struct {
	Env
	model.Assignment
}

func (r *attempt) run(ctx context.Context) (res Result, err error) {
	defer parallel.Recover(&err)
	if err := r.checkShare(); err != nil {
		return Result{}, err
	}
	switch spec := &r.Spec; {
	case spec.Kind == model.TaskMap && spec.Split != nil:
		out, err := r.mapSplit(ctx, func(rows, bytes int64) { r.progress(rows, bytes, 0) })
		return Result{Map: &out}, err
	case spec.Kind == model.TaskReduce && spec.Range != nil:
		out, err := r.reduce(ctx)
		return Result{Write: &out}, err
	case spec.Kind == model.TaskDirect && spec.Split != nil && r.Conf.Execution == model.ExecutionFused:
		out, err := r.fuse(ctx)
		return Result{Write: &out}, err
	case spec.Kind == model.TaskDirect && spec.Split != nil:
		out, err := r.direct(ctx)
		return Result{Write: &out}, err
	}
	return Result{}, model.Failf(model.ReasonInternal, "task %s: a %q task without its split or range", r.Spec.Task, r.Spec.Kind)
}

// checkShare makes sure that what this process stages will be seen by the coordinator.
func (r *attempt) checkShare() error {
	if r.Conf.ShareToken == "" {
		return nil
	}
	token, err := vfs.ReadFile(r.FS, filepath.Join(r.Conf.StagingDir, shareToken), maxTokenBytes)
	if err == nil && bytes.Equal(token, []byte(r.Conf.ShareToken)) {
		return nil
	}
	if err == nil {
		err = errors.New("it holds another token")
	}
	return model.Failf(model.ReasonUser,
		"executor %s on host %s does not see the output directory %s of the coordinator: mount the same directory (%w)",
		r.Executor, r.Host, r.Conf.Out, err)
}

// dir is the attempt's scratch directory.
func (r *attempt) dir() string { return filepath.Join(r.ScratchDir, r.Attempt.String()) }

// mapSplit writes the split's map output. On failure the scratch directory is removed.
func (r *attempt) mapSplit(ctx context.Context, progress func(rows, bytes int64)) (model.MapOutput, error) {
	out, err := write.Run(ctx, write.Config{
		Conf: r.Conf, Split: *r.Spec.Split, Attempt: r.Attempt, FS: r.FS, Dir: r.dir(),
		Threads: r.Threads, MemoryBytes: r.MemoryBytes, Progress: progress,
	})
	if err != nil {
		return model.MapOutput{}, errors.Join(err, r.FS.RemoveAll(r.dir()))
	}
	return out, nil
}

// reduce stages the files of the task's range of partitions.
func (r *attempt) reduce(ctx context.Context) (model.WriteOutput, error) {
	return read.Run(ctx, read.Config{
		Conf: r.Conf, Attempt: r.Attempt, Range: *r.Spec.Range, Sources: r.Sources, FS: r.FS, Fetch: r.Fetch,
		Threads: r.Threads, MemoryBytes: r.MemoryBytes, Progress: r.progress,
	})
}

// direct maps the split and at once reduces what it wrote; the map output is removed at the end.
func (r *attempt) direct(ctx context.Context) (model.WriteOutput, error) {
	var rows, bytes int64
	out, err := r.mapSplit(ctx, func(n, b int64) {
		rows, bytes = n, b
		r.progress(rows, bytes, 0)
	})
	if err != nil {
		return model.WriteOutput{}, err
	}
	const here = "here" // the one source is this process's own disk; nothing is asked of a network
	res, err := read.Run(ctx, read.Config{
		Conf: r.Conf, Attempt: r.Attempt, FS: r.FS, Fetch: fetch.Options{FS: r.FS, HostID: here},
		Range:   model.ReduceRange{Hi: uint32(r.Conf.Partitioning.NumBuckets()), Rows: out.Rows, Bytes: out.Bytes},
		Sources: []model.MapSource{{Attempt: r.Attempt, HostID: here, Segments: out.Segments}},
		Threads: r.Threads, MemoryBytes: r.MemoryBytes,
		Progress: func(_, _, files int64) { r.progress(rows, bytes, files) },
		Drained:  func() error { return r.FS.RemoveAll(r.dir()) },
	})
	if err != nil {
		return model.WriteOutput{}, errors.Join(ownOutput(err), r.FS.RemoveAll(r.dir()))
	}
	res.InRows, res.InBytes, res.Hash, res.EmptyText = out.InRows, out.InBytes, out.Hash, out.EmptyText
	return res, nil
}

// fuse maps the split straight into files.
func (r *attempt) fuse(ctx context.Context) (model.WriteOutput, error) {
	var now struct {
		sync.Mutex // reading and writing report from goroutines of their own
		model.Progress
	}
	report := func(set func(p *model.Progress)) {
		now.Lock()
		defer now.Unlock()
		set(&now.Progress)
		r.progress(now.Rows, now.Bytes, now.Files)
	}
	out, err := write.Fuse(ctx, write.Config{
		Conf: r.Conf, Split: *r.Spec.Split, Attempt: r.Attempt, FS: r.FS, Dir: r.dir(),
		Threads: r.Threads, MemoryBytes: r.MemoryBytes,
		Progress: func(rows, bytes int64) { report(func(p *model.Progress) { p.Rows, p.Bytes = rows, bytes }) },
		Written:  func(_, _, files int64) { report(func(p *model.Progress) { p.Files = files }) },
	})
	if err != nil {
		return model.WriteOutput{}, errors.Join(err, r.FS.RemoveAll(r.dir()))
	}
	return out, nil
}

// ownOutput types a failed fetch of a direct task: no map output of another task is lost, so that
// nothing but this task has to run again.
func ownOutput(err error) error {
	var f *model.Failure
	if !errors.As(err, &f) || f.Reason != model.ReasonFetchFailed {
		return err
	}
	return model.Failf(model.ReasonIO, "reading back the attempt's own map output: %w", err)
}

// progress reports figures of this attempt.
func (r *attempt) progress(rows, bytes, files int64) {
	if r.Progress != nil {
		r.Progress(model.Progress{Attempt: r.Attempt, Rows: rows, Bytes: bytes, Files: files})
	}
}
