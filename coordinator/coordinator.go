// Package coordinator is the shell around coordinator/core: one goroutine owns the core and moves
// events in and actions out; around it are the journal, the sessions of executors, the goroutines that
// plan and publish, and the callers of the jobs API.
package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// Log is the journal: durable when Append returns. internal/journal is one; a replicated log is
// another.
type Log interface {
	Append(entries ...[]byte) error
	Replay(fn func(index uint64, entry []byte) error) error
	Close() error
}

// Work is what the coordinator has done outside its loop. Its methods may be called concurrently, for
// one job one at a time.
type Work interface {
	// Plan lists the input, reads footers, claims the output and plans. slots is how many map tasks
	// can run at a time. After an error nothing is left behind.
	Plan(ctx context.Context, job core.PlanJob, slots int) (plan.Job, error)
	// Publish carries out one step. After StepCleanup the claim is gone.
	Publish(ctx context.Context, step core.PublishStepKind, args core.PublishArgs) (core.PublishResult, error)
	// Adopt takes the claims of jobs again that a journal brought back.
	Adopt(ctx context.Context, conf model.JobConf) error
	// Close lets go of what is held without ending it.
	Close() error
}

// Config of a coordinator.
type Config struct {
	Core core.Config
	Log  Log
	Work Work
	// Now is the clock; nil is time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// inboxSize is how many events may wait; senders block beyond it.
const inboxSize = 1024

// maxBatch is how many waiting events are handled before their entries are made durable together.
const maxBatch = 256

// ErrStopped says that the coordinator's loop has ended.
var ErrStopped = errors.New("the coordinator has stopped")

// Coordinator runs jobs. Its methods may be called from any goroutine while Run runs.
type Coordinator struct {
	c     Config
	core  *core.Core // owned by Run's goroutine
	inbox chan request
	// recovered is the work that Recovered asked for before Run began.
	recovered []core.Action
	plans     map[model.JobID]context.CancelFunc // plans under way; owned by Run's goroutine

	stopped  chan struct{} // closed when Run's loop ended
	work     context.Context
	stopWork context.CancelFunc
	workers  sync.WaitGroup

	mu       sync.Mutex // guards the maps; never held during I/O
	sessions map[uint64]*session
	next     uint64
	watchers map[model.JobID]map[chan struct{}]bool
}

// request is an event, or a look at the core. Its functions are called in the loop's goroutine.
type request struct {
	event core.Event
	look  func(*core.Core)  // called after the event was handled
	saw   func(core.Action) // called with every action that the event led to
	done  chan struct{}     // closed when the event's entries are durable
}

// New replays the journal. Call Run once, and Close if Run is never called.
func New(c Config) (*Coordinator, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.Core.Validate(); err != nil {
		return nil, err
	}
	co := &Coordinator{
		plans: map[model.JobID]context.CancelFunc{},
		c:     c, core: core.New(c.Core), inbox: make(chan request, inboxSize), stopped: make(chan struct{}),
		sessions: map[uint64]*session{}, watchers: map[model.JobID]map[chan struct{}]bool{},
	}
	co.work, co.stopWork = context.WithCancel(context.Background())
	n := 0
	err := c.Log.Replay(func(_ uint64, b []byte) error {
		var e core.Entry
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		n++
		return co.core.Apply(e)
	})
	if err != nil {
		co.stopWork()
		return nil, err
	}
	if n > 0 {
		co.recovered = co.core.Recovered(c.Now())
		c.Logger.Info("journal replayed", "entries", n)
	}
	return co, nil
}

// Run handles events until ctx ends or the journal fails. When it returns nothing of the coordinator
// runs any more; the journal is closed.
func (co *Coordinator) Run(ctx context.Context) error {
	err := co.adopt(ctx)
	if err == nil {
		err = co.loop(ctx)
	}
	close(co.stopped)
	co.stopWork()
	co.closeSessions()
	co.workers.Wait()
	return errors.Join(err, co.c.Work.Close(), co.c.Log.Close())
}

// adopt takes the claims of the jobs that a journal brought back.
func (co *Coordinator) adopt(ctx context.Context) error {
	for _, j := range co.core.Jobs() {
		conf, planned := co.core.Conf(j.Job)
		if j.State.Terminal() || !planned {
			continue
		}
		if err := co.c.Work.Adopt(ctx, conf); err != nil {
			return fmt.Errorf("job %s: %w", j.Job, err)
		}
	}
	return nil
}

func (co *Coordinator) loop(ctx context.Context) error {
	if err := co.perform(co.recovered); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var first request
		select {
		case <-ctx.Done():
			return ctx.Err()
		case first = <-co.inbox:
		case <-timer.C:
			first = request{event: core.Tick{}}
		}
		if err := co.batch(first); err != nil {
			return fmt.Errorf("the coordinator cannot go on: %w", err)
		}
		co.arm(timer)
	}
}

// arm sets the timer to the core's next deadline.
func (co *Coordinator) arm(t *time.Timer) {
	at, ok := co.core.NextDeadline()
	if !ok {
		t.Stop()
		return
	}
	t.Reset(max(at.Sub(co.c.Now()), time.Millisecond))
}

// batch handles a request and those that wait behind it, makes their entries durable together, and
// then carries the other actions out.
func (co *Coordinator) batch(first request) error {
	var actions []core.Action
	var done []chan struct{}
	for r, n := first, 0; ; n++ {
		if r.event != nil {
			led := co.core.Handle(co.c.Now(), r.event)
			actions = append(actions, led...)
			if r.saw != nil {
				for _, a := range led {
					r.saw(a)
				}
			}
		}
		if r.look != nil {
			r.look(co.core)
		}
		if r.done != nil {
			done = append(done, r.done)
		}
		if n == maxBatch {
			break
		}
		select {
		case r = <-co.inbox:
			continue
		default:
		}
		break
	}
	if err := co.perform(actions); err != nil {
		return err // who waits is told by the end of the loop
	}
	for _, d := range done {
		close(d)
	}
	return nil
}

// perform makes the entries durable, then carries out the effects in order.
func (co *Coordinator) perform(actions []core.Action) error {
	var entries [][]byte
	for _, a := range actions {
		if ap, ok := a.(core.Append); ok {
			b, err := json.Marshal(ap.Entry)
			if err != nil {
				return err
			}
			entries = append(entries, b)
		}
	}
	if err := co.c.Log.Append(entries...); err != nil {
		return err
	}
	for _, a := range actions {
		switch a := a.(type) {
		case core.PlanJob:
			co.plan(a)
		case core.StopPlan:
			if stop := co.plans[a.Job]; stop != nil {
				stop()
			}
		case core.PublishStep:
			co.publish(a)
		case core.Send:
			co.send(a)
		case core.JobChanged:
			co.wake(a.Job)
		}
	}
	return nil
}

// plan runs planning in a goroutine of its own.
func (co *Coordinator) plan(a core.PlanJob) {
	slots := 0
	for _, e := range co.core.Executors() {
		if e.State == stateAlive {
			slots += e.Slots
		}
	}
	ctx, stop := context.WithCancel(co.work)
	co.plans[a.Job] = stop
	co.workers.Go(func() {
		defer stop()
		p, err := co.c.Work.Plan(ctx, a, max(slots, 1))
		answer := core.Event(core.Planned{Job: a.Job, Plan: p})
		if err != nil {
			answer = core.PlanFailed{Job: a.Job, Failure: *model.AsFailure(err, model.ReasonInternal)}
		}
		co.tellAnd(answer, func(*core.Core) { delete(co.plans, a.Job) })
	})
}

func (co *Coordinator) publish(a core.PublishStep) {
	co.workers.Go(func() {
		res, err := co.c.Work.Publish(co.work, a.Step, a.Args)
		if err != nil {
			co.c.Logger.Warn("publish step failed", "job", a.Job, "step", a.Step, "error", err)
			co.tell(core.PublishFailed{Job: a.Job, Step: a.Step, Failure: *model.AsFailure(err, model.ReasonIO)})
			return
		}
		co.tell(core.PublishDone{Job: a.Job, Step: a.Step, Result: res})
	})
}

// tell queues an event from a goroutine of the coordinator itself. When the loop has ended, the event
// is lost, as in a crash.
func (co *Coordinator) tell(e core.Event) { co.tellAnd(e, nil) }

// tellAnd is tell with something to do in the loop's goroutine once the event was handled.
func (co *Coordinator) tellAnd(e core.Event, then func(*core.Core)) {
	select {
	case co.inbox <- request{event: e, look: then}:
	case <-co.stopped:
	}
}

// ask queues a request and waits until its entries are durable.
func (co *Coordinator) ask(ctx context.Context, r request) error {
	done := make(chan struct{})
	r.done = done
	select {
	case co.inbox <- r:
	case <-co.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-co.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Suspect passes on that gossip has given an executor up.
func (co *Coordinator) Suspect(e model.ExecutorID) { co.tell(core.Suspected{Executor: e}) }
