package executor

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/model"
)

// Executor runs attempts for a coordinator.
type Executor struct {
	c Config

	mu sync.Mutex // guards what follows; never held during I/O
	// incarnation is 0 until the first registration.
	incarnation uint64
	running     map[model.AttemptID]*attempt
	// outputs are the finished map outputs on this disk, by attempt.
	outputs map[model.AttemptID]model.MapOutput
	// reports are the finished attempts of jobs that still run. The coordinator discards what it
	// knows, so after a lost session all of them are sent again.
	reports map[model.AttemptID]core.Event
	// forgotten are jobs that ended: nothing of them is kept or reported any more.
	forgotten map[model.JobID]bool

	// unsent are the reports that wait to be sent, no more than there are reports.
	unsent []core.Event

	wake     chan struct{} // capacity 1: there may be something unsent
	attempts sync.WaitGroup
}

type attempt struct {
	cancel   context.CancelFunc
	progress model.Progress
	revoked  bool
}

// New returns an executor; Run starts it.
func New(c Config) (*Executor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Executor{
		c:         c,
		running:   map[model.AttemptID]*attempt{},
		outputs:   map[model.AttemptID]model.MapOutput{},
		reports:   map[model.AttemptID]core.Event{},
		forgotten: map[model.JobID]bool{},
		wake:      make(chan struct{}, 1),
	}, nil
}

// Segments is where the block server finds the map output of an attempt.
func (e *Executor) Segments(a model.AttemptID) ([]model.Segment, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	out, ok := e.outputs[a]
	return out.Segments, ok
}

// Run keeps a session until ctx ends, then stops every attempt, waits for them and removes the
// scratch directory. It returns ctx's error, or why it can never work.
func (e *Executor) Run(ctx context.Context) error {
	if err := e.c.FS.MkdirAll(e.c.Dir); err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	err := e.keepSession(work)
	stop()
	e.stopAll()
	e.attempts.Wait()
	return errors.Join(err, e.c.FS.RemoveAll(e.c.Dir))
}

func (e *Executor) keepSession(ctx context.Context) error {
	failures := 0
	for {
		registered, err := e.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if registered {
			failures = 0
		}
		e.c.Log.Warn("no session with the coordinator", "error", err)
		delay := reconnectDelays[min(failures, len(reconnectDelays)-1)]
		failures++
		delay = delay/2 + rand.N(delay)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
	}
}

// session runs one session to its end.
func (e *Executor) session(ctx context.Context) (registered bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := e.c.Open(ctx)
	if err != nil {
		return false, err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Send(e.register()); err != nil {
		return false, err
	}
	first, err := s.Recv()
	if err != nil {
		return false, err
	}
	r, ok := first.(core.Registered)
	if !ok {
		return false, e.handle(ctx, first)
	}
	e.registered(r)
	e.up(true)
	defer e.up(false)
	wg.Go(func() {
		defer cancel()
		if err := e.send(ctx, s, r); err != nil && ctx.Err() == nil {
			e.c.Log.Warn("sending to the coordinator", "error", err)
		}
	})
	stop := context.AfterFunc(ctx, func() {
		if cerr := s.Close(); cerr != nil {
			e.c.Log.Debug("closing the session", "error", cerr)
		}
	})
	defer stop()
	for {
		m, err := s.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the coordinator ended the session")
			}
			return true, err
		}
		if err := e.handle(ctx, m); err != nil {
			return true, err
		}
	}
}

func (e *Executor) up(up bool) {
	if e.c.Up != nil {
		e.c.Up(up)
	}
}

// register says who this is and what it holds. Attempts that finished but whose report may have been
// lost count as running: their reports follow.
func (e *Executor) register() core.Register {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := core.Register{
		Executor: e.c.ID, Previous: e.incarnation, Addr: e.c.Addr, HostID: e.c.HostID,
		Threads: e.c.Threads, Slots: e.c.Slots, Memory: e.c.Memory,
	}
	for id := range e.running {
		r.Running = append(r.Running, id)
	}
	for id := range e.reports {
		r.Running = append(r.Running, id)
	}
	for id, out := range e.outputs {
		r.Held = append(r.Held, core.HeldOutput{Attempt: id, Segments: out.Segments})
	}
	slices.SortFunc(r.Running, compareAttempts)
	slices.SortFunc(r.Held, func(a, b core.HeldOutput) int { return compareAttempts(a.Attempt, b.Attempt) })
	return r
}

func compareAttempts(a, b model.AttemptID) int {
	switch {
	case a.String() < b.String():
		return -1
	case a == b:
		return 0
	}
	return 1
}

// registered takes the incarnation. A new one means that the old was lost: the coordinator has given
// its running attempts to others, so they are stopped; finished outputs stay.
func (e *Executor) registered(r core.Registered) {
	e.mu.Lock()
	fresh := e.incarnation != 0 && e.incarnation != r.Incarnation.Number
	e.incarnation = r.Incarnation.Number
	if fresh {
		for _, a := range e.running {
			a.revoked = true
			a.cancel()
		}
		clear(e.reports)
	}
	e.mu.Unlock()
	e.c.Log.Info("registered", "incarnation", r.Incarnation.String(), "lease", r.Lease)
}

// send passes reports and heartbeats on until the session ends. A new session begins with every report
// of a running job.
func (e *Executor) send(ctx context.Context, s Session, r core.Registered) error {
	e.mu.Lock()
	e.unsent = e.unsent[:0]
	for _, ev := range e.reports {
		e.unsent = append(e.unsent, ev)
	}
	e.mu.Unlock()
	beat := time.NewTicker(max(min(r.Lease/3, time.Second), 10*time.Millisecond))
	defer beat.Stop()
	for {
		for _, ev := range e.takeUnsent() {
			if err := s.Send(stamp(ev, r.Incarnation)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.wake:
		case <-beat.C:
			if err := s.Send(stamp(e.heartbeat(), r.Incarnation)); err != nil {
				return err
			}
		}
	}
}

func (e *Executor) takeUnsent() []core.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	unsent := e.unsent
	e.unsent = nil
	return unsent
}

func (e *Executor) heartbeat() core.Heartbeat {
	e.mu.Lock()
	defer e.mu.Unlock()
	var h core.Heartbeat
	for _, a := range e.running {
		h.Progress = append(h.Progress, a.progress)
	}
	return h
}

// stamp puts the current incarnation on an event.
func stamp(ev core.Event, i model.Incarnation) core.Event {
	switch ev := ev.(type) {
	case core.Heartbeat:
		ev.Incarnation = i
		return ev
	case core.MapFinished:
		ev.Incarnation = i
		return ev
	case core.WriteFinished:
		ev.Incarnation = i
		return ev
	case core.AttemptFailed:
		ev.Incarnation = i
		return ev
	case core.Leaving:
		ev.Incarnation = i
		return ev
	}
	return ev
}

// handle carries out one message. An error ends the session.
func (e *Executor) handle(ctx context.Context, m core.Message) error {
	switch m := m.(type) {
	case core.Assign:
		e.start(m.Assignment)
	case core.Revoke:
		e.revoke(m.Attempt)
	case core.ForgetJob:
		e.forget(m.Job)
	case core.Refused:
		e.mu.Lock()
		e.incarnation = 0
		e.mu.Unlock()
		return errors.New("refused by the coordinator: " + m.Why)
	case core.Registered:
		e.registered(m)
	}
	return nil
}

// revoke stops an attempt. A map output that is finished stays until its job ends: whoever revoked it
// may not know yet that it is offered.
func (e *Executor) revoke(id model.AttemptID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.running[id]; a != nil {
		a.revoked = true
		a.cancel()
	}
	delete(e.reports, id)
}

func (e *Executor) removeOutput(out model.MapOutput) {
	if err := e.c.FS.RemoveAll(e.attemptDir(out.Attempt)); err != nil {
		e.c.Log.Warn("removing a map output", "attempt", out.Attempt.String(), "error", err)
	}
}

// forget drops everything of a job that ended.
func (e *Executor) forget(job model.JobID) {
	e.mu.Lock()
	e.forgotten[job] = true
	for id, a := range e.running {
		if id.Task.Job == job {
			a.revoked = true
			a.cancel()
		}
	}
	for id := range e.outputs {
		if id.Task.Job == job {
			delete(e.outputs, id)
		}
	}
	for id := range e.reports {
		if id.Task.Job == job {
			delete(e.reports, id)
		}
	}
	e.mu.Unlock()
	if err := e.c.FS.RemoveAll(e.jobDir(job)); err != nil && !errors.Is(err, os.ErrNotExist) {
		e.c.Log.Warn("removing a job's scratch", "job", job, "error", err)
	}
}

func (e *Executor) jobDir(job model.JobID) string { return filepath.Join(e.c.Dir, string(job)) }

func (e *Executor) attemptDir(id model.AttemptID) string {
	return filepath.Join(e.jobDir(id.Task.Job), id.String())
}
