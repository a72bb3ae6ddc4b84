package coordinator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/internal/transport"
	"github.com/sluice-engine/sluice/model"
)

// stateAlive is the state of an executor that takes tasks.
const stateAlive = "alive"

// watchEvery is how often a watcher sees the progress of running attempts, which wakes nobody.
const watchEvery = 250 * time.Millisecond

// NewJobID makes an id that sorts by time and is unique.
func NewJobID(now time.Time) model.JobID {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return model.JobID(now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:]))
}

// Submit starts a job and returns its id. A job with the same name and key is not started again: its
// id is returned.
func (co *Coordinator) Submit(ctx context.Context, spec model.JobSpec) (model.JobID, error) {
	spec.Normalize()
	if err := spec.Validate(); err != nil {
		return "", &model.Failure{Reason: model.ReasonUser, Message: err.Error()}
	}
	job := NewJobID(co.c.Now())
	asked := core.Submit{Job: job, UUID: uuid.NewString(), Spec: spec}
	err := co.ask(ctx, request{event: asked, saw: func(a core.Action) {
		if s, ok := a.(core.Submitted); ok && s.Asked == asked.Job {
			job = s.Job
		}
	}})
	return job, err
}

// Job returns the state of a job.
func (co *Coordinator) Job(ctx context.Context, id model.JobID) (model.JobStatus, error) {
	var st model.JobStatus
	var ok bool
	if err := co.ask(ctx, request{look: func(c *core.Core) { st, ok = c.Job(id) }}); err != nil {
		return st, err
	}
	if !ok {
		return st, fmt.Errorf("%w: %q (sluice get jobs lists them)", transport.ErrNoJob, id)
	}
	return st, nil
}

// Jobs returns every job, oldest first.
func (co *Coordinator) Jobs(ctx context.Context) (js []model.JobStatus, err error) {
	err = co.ask(ctx, request{look: func(c *core.Core) { js = c.Jobs() }})
	return js, err
}

// Executors returns every executor that is known.
func (co *Coordinator) Executors(ctx context.Context) (es []model.ExecutorStatus, err error) {
	err = co.ask(ctx, request{look: func(c *core.Core) { es = c.Executors() }})
	return es, err
}

// Cancel ends a job. It is an error when it cannot be ended any more: it is over, or past its commit
// point.
func (co *Coordinator) Cancel(ctx context.Context, id model.JobID, reason string) error {
	if _, err := co.Job(ctx, id); err != nil {
		return err
	}
	var refused error
	err := co.ask(ctx, request{event: core.Cancel{Job: id, Reason: reason}, saw: func(a core.Action) {
		if c, ok := a.(core.CancelAnswer); ok && c.Job == id && !c.Accepted {
			refused = fmt.Errorf("job %s was not cancelled: %s", id, c.Why)
		}
	}})
	return errors.Join(err, refused)
}

// Watch calls fn with the state of a job whenever it changed, the terminal state last.
func (co *Coordinator) Watch(ctx context.Context, id model.JobID, fn func(model.JobStatus) error) error {
	changed := make(chan struct{}, 1)
	co.mu.Lock()
	if co.watchers[id] == nil {
		co.watchers[id] = map[chan struct{}]bool{}
	}
	co.watchers[id][changed] = true
	co.mu.Unlock()
	defer func() {
		co.mu.Lock()
		delete(co.watchers[id], changed)
		if len(co.watchers[id]) == 0 {
			delete(co.watchers, id)
		}
		co.mu.Unlock()
	}()
	poll := time.NewTicker(watchEvery)
	defer poll.Stop()
	for {
		st, err := co.Job(ctx, id)
		if err != nil {
			return err
		}
		if err := fn(st); err != nil || st.State.Terminal() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-co.stopped:
			return ErrStopped
		case <-changed:
		case <-poll.C:
		}
	}
}

func (co *Coordinator) wake(id model.JobID) {
	co.mu.Lock()
	defer co.mu.Unlock()
	for ch := range co.watchers[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// AwaitExecutor returns when an executor is there that takes tasks.
func (co *Coordinator) AwaitExecutor(ctx context.Context) error {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		es, err := co.Executors(ctx)
		if err != nil {
			return err
		}
		for _, e := range es {
			if e.State == stateAlive {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}
