package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/scheduler"
)

// executor is what is known of an executor process. Durable are only the number of its newest
// incarnation and whether that is lost, as far as entries name it; the rest it tells when it registers.
//
//	alive, session != 0          connected
//	alive, session == 0          its stream broke; lost at brokenUntil
//	!alive                       lost; registering gives the next incarnation
type executor struct {
	id     model.ExecutorID
	number uint64
	alive  bool

	session     uint64 // stays after the loss, until the stream ends, to refuse what comes on it
	registered  bool
	suspect     bool
	leaving     bool
	leaseUntil  time.Time
	brokenUntil time.Time
	lastHeard   time.Time
	addr        string
	hostID      string
	threads     int
	slots       int
	memory      int64
}

func (x *executor) incarnation() model.Incarnation {
	return model.Incarnation{Executor: x.id, Number: x.number}
}

// sortedExecutors returns all executors by id: nothing that goes out may depend on map order.
func (c *Core) sortedExecutors() []*executor {
	return slices.SortedFunc(maps.Values(c.executors), func(a, b *executor) int { return cmp.Compare(a.id, b.id) })
}

// living returns the executor if the incarnation is its newest and is not lost.
func (c *Core) living(on model.Incarnation) *executor {
	x := c.executors[on.Executor]
	if x == nil || !x.alive || x.number != on.Number {
		return nil
	}
	return x
}

// know makes sure that an incarnation named by an entry exists.
func (c *Core) know(on model.Incarnation) {
	x := c.executors[on.Executor]
	if x == nil {
		x = &executor{id: on.Executor}
		c.executors[on.Executor] = x
	}
	if on.Number > x.number {
		x.number, x.alive = on.Number, true
	}
}

// send sends to an incarnation if it has a session.
func (c *Core) send(to model.Incarnation, m Message) {
	if x := c.executors[to.Executor]; x != nil && x.number == to.Number && x.session != 0 {
		c.emit(Send{Session: x.session, Message: m})
	}
}

func (c *Core) register(e Register) {
	if e.Threads < 1 || e.Slots < 1 {
		c.emit(Send{Session: e.Session, Message: Refused{
			Why: fmt.Sprintf("it offers %d threads and %d slots: want at least one of each", e.Threads, e.Slots)}})
		return
	}
	x := c.executors[e.Executor]
	if x == nil {
		x = &executor{id: e.Executor}
		c.executors[e.Executor] = x
	}
	if x.session != 0 && x.session != e.Session {
		c.emit(Send{Session: x.session, Message: Refused{Why: "the executor registered on another stream"}})
		x.session = 0
	}
	if !x.alive || x.number != e.Previous {
		if x.alive {
			x.session = 0
			c.lose(x, "the executor registered anew")
		}
		x.number = max(x.number, e.Previous) + 1
		x.alive = true
	}
	x.session, x.registered, x.suspect, x.leaving = e.Session, true, false, false
	x.addr, x.hostID, x.threads, x.slots, x.memory = e.Addr, e.HostID, e.Threads, e.Slots, e.Memory
	x.lastHeard, x.leaseUntil = c.now, c.now.Add(c.cfg.Lease)
	c.tellScheduler(scheduler.ExecutorUp{On: x.incarnation(), Threads: x.threads, Slots: x.slots})
	c.addressesChanged()
	c.emit(Send{Session: x.session, Message: Registered{Incarnation: x.incarnation(), Lease: c.cfg.Lease}})
	forgotten := map[model.JobID]bool{}
	c.compareRunning(x, e.Running, forgotten)
	for _, h := range e.Held {
		c.offer(x, h, forgotten)
	}
}

// tellScheduler applies a volatile fact, one that is no entry. They cannot be refused: executors
// were checked when they registered.
func (c *Core) tellScheduler(e scheduler.Event) {
	if err := c.sched.Apply(c.now, e); err != nil {
		panic(fmt.Sprintf("core: a fact of its own making was refused: %v", err))
	}
}

// addressesChanged drops lists of sources: an executor may have a new address.
func (c *Core) addressesChanged() {
	for _, j := range c.order {
		for _, st := range j.stages {
			st.sources = nil
		}
	}
}

// compareRunning brings the books and an executor that registered to agree: what it does not run
// went down with a stream, what it should not run is stopped.
func (c *Core) compareRunning(x *executor, running []model.AttemptID, forgotten map[model.JobID]bool) {
	for _, id := range c.sched.Running(x.incarnation()) {
		if !slices.Contains(running, id) {
			c.append(Entry{AttemptFailed: &AttemptFailure{Attempt: id, Failure: model.Failure{
				Reason:  model.ReasonExecutorLost,
				Message: fmt.Sprintf("executor %s came back without it", x.id),
			}}})
		}
	}
	for _, id := range running {
		a, ok := c.sched.Attempt(id)
		if !ok || a.State != scheduler.AttemptRunning || a.On != x.incarnation() {
			c.discard(x, id, forgotten)
		}
	}
}

// discard tells an executor that nobody wants what an attempt makes or made.
func (c *Core) discard(x *executor, id model.AttemptID, forgotten map[model.JobID]bool) {
	job := id.Task.Job
	if j := c.jobs[job]; j != nil && !j.state.Terminal() && j.stopping == nil {
		c.send(x.incarnation(), Revoke{Attempt: id})
		return
	}
	if !forgotten[job] {
		forgotten[job] = true
		c.send(x.incarnation(), ForgetJob{Job: job})
	}
}

// offer takes a map output that an executor has on its disk, if it is missing. An output belongs to
// its attempt, not to an incarnation: whoever has it may serve it.
func (c *Core) offer(x *executor, h HeldOutput, forgotten map[model.JobID]bool) {
	id := h.Attempt
	j := c.jobs[id.Task.Job]
	if j == nil || !j.live() {
		if j == nil || j.state.Terminal() || j.stopping != nil {
			c.discard(x, id, forgotten)
		}
		return
	}
	a, ok := c.sched.Attempt(id)
	switch {
	case !ok || a.On.Executor != x.id:
		c.discard(x, id, forgotten)
	case a.Committed && a.Holder == x.incarnation():
	case a.TaskDone && !a.Committed:
		c.discard(x, id, forgotten)
	default:
		known := j.stages[id.Task.Stage].result(id)
		if known == nil && (a.State == scheduler.AttemptRunning || a.State == scheduler.AttemptLost) {
			return // not reported yet; the report may still come
		}
		if known == nil || known.bad || !sameSegments(known.output.Segments, h.Segments) {
			c.discard(x, id, forgotten)
			return
		}
		out := known.output
		out.Segments = h.Segments
		c.append(Entry{MapCommitted: &MapCommitted{On: x.incarnation(), Output: out}})
	}
}

// sameSegments compares what does not depend on where the files lie.
func sameSegments(a, b []model.Segment) bool {
	return slices.EqualFunc(a, b, func(a, b model.Segment) bool {
		return a.DataBytes == b.DataBytes && a.IndexBytes == b.IndexBytes && a.IndexCRC == b.IndexCRC
	})
}

// lose ends an incarnation. Every way of finding out leads here.
func (c *Core) lose(x *executor, why string) {
	on := x.incarnation()
	c.append(Entry{ExecutorLost: &ExecutorLost{Incarnation: on, Why: why}})
	c.send(on, Refused{Why: why})
}

func (c *Core) streamBroken(e StreamBroken) {
	x := c.executors[e.Incarnation.Executor]
	if x == nil || x.session == 0 || x.session != e.Session {
		return
	}
	x.session = 0
	if !x.alive {
		return
	}
	if x.leaving {
		c.lose(x, "it left")
		return
	}
	x.brokenUntil = c.now.Add(c.cfg.ReconnectGrace)
	c.reopen(x)
}

func (c *Core) heartbeat(e Heartbeat) {
	x := c.living(e.Incarnation)
	if x == nil || x.session != e.Session {
		c.emit(Send{Session: e.Session, Message: Refused{Why: fmt.Sprintf("incarnation %s is lost: register anew", e.Incarnation)}})
		return
	}
	x.lastHeard, x.leaseUntil = c.now, c.now.Add(c.cfg.Lease)
	if x.suspect {
		x.suspect = false
		c.reopen(x)
	}
	for _, p := range e.Progress {
		j := c.jobs[p.Attempt.Task.Job]
		if a, ok := c.sched.Attempt(p.Attempt); j == nil || !ok || a.On != e.Incarnation || a.State != scheduler.AttemptRunning {
			continue
		}
		if j.progress == nil {
			j.progress = map[model.AttemptID]model.Progress{}
		}
		j.progress[p.Attempt] = p
		c.changed[j.id] = true
	}
}

func (c *Core) suspected(e Suspected) {
	if x := c.executors[e.Executor]; x != nil && x.alive {
		x.suspect = true
		c.reopen(x)
	}
}

func (c *Core) leaving(e Leaving) {
	if x := c.living(e.Incarnation); x != nil {
		x.leaving = true
		c.reopen(x)
	}
}

// reopen tells the scheduler whether the executor may get attempts.
func (c *Core) reopen(x *executor) {
	c.tellScheduler(scheduler.ExecutorOpen{On: x.incarnation(), Open: x.session != 0 && !x.suspect && !x.leaving})
}

// watchExecutors fails jobs that waited too long for any executor.
func (c *Core) watchExecutors() {
	c.noneSince = c.whenNone()
	for _, j := range slices.Clone(c.order) {
		at, waits := c.noExecutorDeadline(j)
		if !waits || c.now.Before(at) {
			continue
		}
		c.stop(j, model.JobFailed, model.Failf(model.ReasonNoExecutors,
			"no executor for %v: start some with `sluice executor --coordinator ...` and submit again", c.cfg.NoExecutorGrace))
	}
}

func (c *Core) whenNone() time.Time {
	for _, x := range c.executors {
		if x.alive {
			return time.Time{}
		}
	}
	if c.noneSince.IsZero() {
		return c.now
	}
	return c.noneSince
}

// noExecutorDeadline returns when a job that needs executors fails for want of them.
func (c *Core) noExecutorDeadline(j *job) (time.Time, bool) {
	if c.noneSince.IsZero() || !j.live() {
		return time.Time{}, false
	}
	since := c.noneSince
	if j.running.After(since) {
		since = j.running
	}
	return since.Add(c.cfg.NoExecutorGrace), true
}

// Executors returns what is known of all executors, by id.
func (c *Core) Executors() []model.ExecutorStatus {
	out := make([]model.ExecutorStatus, 0, len(c.executors))
	for _, x := range c.sortedExecutors() {
		s := model.ExecutorStatus{
			Executor: x.id, Incarnation: x.number, State: x.state(), Addr: x.addr, HostID: x.hostID,
			Threads: x.threads, Slots: x.slots, Memory: x.memory, LastHeard: x.lastHeard,
		}
		_, s.Running, s.Outputs = c.sched.Load(x.incarnation())
		out = append(out, s)
	}
	return out
}

func (x *executor) state() string {
	switch {
	case !x.alive:
		return "lost"
	case x.session == 0:
		return "disconnected"
	case x.leaving:
		return "leaving"
	case x.suspect:
		return "suspect"
	}
	return "alive"
}
