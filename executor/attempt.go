package executor

import (
	"context"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/model"
)

// start runs an attempt in a goroutine of its own. An attempt that runs or finished here already is
// not started again: the coordinator may repeat itself after a restart.
func (e *Executor) start(a model.Assignment) {
	ctx, cancel := context.WithCancel(context.Background())
	e.mu.Lock()
	_, runs := e.running[a.Attempt]
	_, done := e.reports[a.Attempt]
	if runs || done || e.forgotten[a.Attempt.Task.Job] {
		e.mu.Unlock()
		cancel()
		return
	}
	e.running[a.Attempt] = &attempt{cancel: cancel, progress: model.Progress{Attempt: a.Attempt}}
	e.mu.Unlock()
	e.attempts.Go(func() {
		defer cancel()
		e.run(ctx, a)
	})
}

// stopAll cancels what runs; Run calls it when the process ends.
func (e *Executor) stopAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.running {
		a.revoked = true
		a.cancel()
	}
}

// run runs one attempt and queues its report.
func (e *Executor) run(ctx context.Context, a model.Assignment) {
	dir := e.jobDir(a.Attempt.Task.Job)
	log := e.c.Log.With("attempt", a.Attempt.String(), "kind", a.Spec.Kind)
	log.Debug("attempt starts")
	var res Result
	err := e.c.FS.MkdirAll(dir)
	if err == nil {
		res, err = e.c.Run(ctx, dir, e.share(a), a, func(p model.Progress) { e.progress(a.Attempt, p) })
	}
	keep := err == nil && res.Map != nil
	if !keep {
		if rerr := e.c.FS.RemoveAll(e.attemptDir(a.Attempt)); rerr != nil {
			log.Warn("removing the attempt's scratch", "error", rerr)
		}
	}
	e.finish(a.Attempt, res, err)
	switch {
	case err == nil:
		log.Debug("attempt finished")
	case ctx.Err() != nil:
		log.Debug("attempt was stopped", "error", err)
	case model.AsFailure(err, model.ReasonInternal).Reason.Retryable():
		log.Warn("attempt failed", "error", err)
	default:
		// It ends the job, and the job says why: in one process a warning would say it twice.
		log.Info("attempt failed", "error", err)
	}
}

// share is the attempt's part of the memory budget: as much of it as of the threads.
func (e *Executor) share(a model.Assignment) int64 {
	threads := min(max(a.Threads, 1), e.c.Threads)
	return e.c.Memory / int64(e.c.Threads) * int64(threads)
}

func (e *Executor) progress(id model.AttemptID, p model.Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.running[id]; a != nil {
		p.Attempt = id
		a.progress = p
	}
}

// finish books the end of an attempt. A revoked one is not reported, and what it left is removed.
func (e *Executor) finish(id model.AttemptID, res Result, err error) {
	var ev core.Event
	switch {
	case err != nil:
		ev = core.AttemptFailed{Attempt: id, Failure: *model.AsFailure(err, model.ReasonInternal)}
	case res.Map != nil:
		ev = core.MapFinished{Output: *res.Map}
	default:
		ev = core.WriteFinished{Output: *res.Write}
	}
	e.mu.Lock()
	revoked := e.running[id].revoked || e.forgotten[id.Task.Job]
	delete(e.running, id)
	if !revoked {
		e.reports[id] = ev
		e.unsent = append(e.unsent, ev)
		if res.Map != nil && err == nil {
			e.outputs[id] = *res.Map
		}
	}
	e.mu.Unlock()
	if revoked {
		if res.Map != nil {
			e.removeOutput(*res.Map)
		}
		return
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
