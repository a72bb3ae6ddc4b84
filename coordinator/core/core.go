package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/scheduler"
)

// Core is the coordinator's state. Its durable part changes only through Apply, live and in a
// replay alike, so a replay of the journal gives the same state; sessions, leases and progress are
// volatile and start anew.
//
// It must not be used by several goroutines at once. After New, call Apply for every entry of the
// journal, then Recovered once, then Handle.
type Core struct {
	cfg Config
	now time.Time // never goes back
	// skew is added to the shell's clock: a journal may end later than that clock says, when it was set
	// back or belongs to another machine.
	skew time.Duration

	jobs  map[model.JobID]*job
	order []*job // in the order they were submitted
	sched *scheduler.Scheduler

	executors map[model.ExecutorID]*executor
	lost      []model.ExecutorID // in the order they were lost, each once
	noneSince time.Time          // since when no executor is alive; zero while one is

	out     []Action
	changed map[model.JobID]bool
}

// New returns a core without jobs and executors.
func New(c Config) *Core {
	return &Core{
		cfg:       c.withDefaults(),
		jobs:      map[model.JobID]*job{},
		sched:     scheduler.New(),
		executors: map[model.ExecutorID]*executor{},
		changed:   map[model.JobID]bool{},
	}
}

// Handle takes in an event and returns what must be done about it, in order: see Action. An event that
// says nothing new, or that comes from an incarnation that is lost, leads to no action or to a
// Refused message; it is never an error.
func (c *Core) Handle(now time.Time, e Event) []Action {
	c.advanceTo(now)
	switch e := e.(type) {
	case Submit:
		c.submit(e)
	case Planned:
		c.planned(e)
	case PlanFailed:
		c.planFailed(e)
	case Cancel:
		c.cancel(e)
	case Register:
		c.register(e)
	case StreamBroken:
		c.streamBroken(e)
	case Heartbeat:
		c.heartbeat(e)
	case Suspected:
		c.suspected(e)
	case Leaving:
		c.leaving(e)
	case MapFinished:
		c.mapFinished(e)
	case WriteFinished:
		c.writeFinished(e)
	case AttemptFailed:
		c.attemptFailed(e)
	case PublishDone:
		c.publishDone(e)
	case PublishFailed:
		c.publishFailed(e)
	case Tick:
		c.tick()
	}
	return c.settle()
}

// Recovered goes on after the last entry of a journal was applied: jobs that were being planned are
// planned again, publishes take the step that comes next, and every executor that the journal
// knows has a whole lease to come back.
func (c *Core) Recovered(now time.Time) []Action {
	c.skew = max(0, c.now.Sub(now))
	c.now = now.Add(c.skew)
	for _, x := range c.sortedExecutors() {
		if x.alive {
			x.leaseUntil = c.now.Add(c.cfg.Lease)
			x.brokenUntil = x.leaseUntil
		}
	}
	for _, j := range c.order {
		switch {
		case j.state.Terminal():
		case j.state == model.JobPlanning && j.stopping == nil:
			c.askPlan(j)
		case j.state == model.JobRunning && j.stopping == nil:
			if len(j.stages) == 0 {
				c.advance(j)
			}
		default:
			c.restartPublish(j)
		}
	}
	return c.settle()
}

// advanceTo moves time on. When nothing was heard for much longer than a lease it was this process
// that slept (a laptop lid, a stopped container): every lease starts anew, for nobody had a chance
// to renew it.
func (c *Core) advanceTo(now time.Time) {
	now = now.Add(c.skew)
	if !now.After(c.now) {
		return
	}
	slept := !c.now.IsZero() && now.Sub(c.now) > 2*c.cfg.Lease
	c.now = now
	if !slept {
		return
	}
	for _, x := range c.executors {
		if x.session != 0 {
			x.leaseUntil = now.Add(c.cfg.Lease)
		}
	}
}

// settle carries out what the scheduler proposes until it proposes nothing, then takes the
// publish steps that are due, and returns all actions.
func (c *Core) settle() []Action {
	c.watchExecutors()
	for {
		proposals := c.sched.Decide(c.now)
		if len(proposals) == 0 {
			break
		}
		for _, p := range proposals {
			c.accept(p)
		}
	}
	for _, j := range slices.Clone(c.order) { // a job that ends may push an older one out
		c.carryOut(j)
	}
	for _, j := range c.order {
		if c.changed[j.id] {
			c.emit(JobChanged{Job: j.id})
		}
	}
	clear(c.changed)
	out := c.out
	c.out = nil
	return out
}

func (c *Core) accept(p scheduler.Action) {
	switch p := p.(type) {
	case scheduler.Launch:
		c.launch(p)
	case scheduler.Revoke:
		c.send(p.On, Revoke{Attempt: p.Attempt})
	case scheduler.LoseOutputs:
		c.loseOutputs(p.Attempts, "the executor that held them is lost")
	case scheduler.StageDone:
		if j := c.jobs[p.Stage.Job]; j != nil {
			c.advance(j)
		}
	case scheduler.FailJob:
		c.failJob(p)
	}
}

func (c *Core) emit(a Action) { c.out = append(c.out, a) }

// append makes an entry durable: it applies it and asks the shell to write it.
//
// The entry is of our own making, so it always applies. If it does not, going on would write a
// journal that cannot be replayed: the process must stop, and the shell's restart replays what is good.
func (c *Core) append(e Entry) {
	e.Version, e.Now = Version, c.now
	if err := c.Apply(e); err != nil {
		panic(fmt.Sprintf("core: an entry of its own making does not apply: %v", err))
	}
	c.emit(Append{Entry: e})
}

// tick lets leases, grace periods and pauses run out.
func (c *Core) tick() {
	for _, x := range c.sortedExecutors() {
		switch {
		case !x.alive:
		case x.session == 0 && !c.now.Before(x.brokenUntil):
			c.lose(x, "its stream broke and it did not come back in time")
		case !c.now.Before(x.leaseUntil):
			c.lose(x, fmt.Sprintf("it was not heard for %v", c.cfg.Lease))
		}
	}
	for _, j := range c.order {
		c.retryPublish(j)
	}
}

// NextDeadline returns when the next Tick is needed; ok is false when nothing is waited for. It may be in
// the past, if the Tick is late.
func (c *Core) NextDeadline() (at time.Time, ok bool) {
	at, ok = c.sched.Deadline(c.now)
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	for _, x := range c.executors {
		switch {
		case !x.alive:
		case x.session == 0 && x.brokenUntil.Before(x.leaseUntil):
			sooner(x.brokenUntil)
		default:
			sooner(x.leaseUntil)
		}
	}
	for _, j := range c.order {
		if t, waits := j.pub.Deadline(); waits && !j.state.Terminal() {
			sooner(t)
		}
		if t, waits := c.noExecutorDeadline(j); waits {
			sooner(t)
		}
	}
	return at.Add(-c.skew), ok
}

// Job returns a job's status.
func (c *Core) Job(id model.JobID) (model.JobStatus, bool) {
	j := c.jobs[id]
	if j == nil {
		return model.JobStatus{}, false
	}
	return c.status(j), true
}

// Jobs returns the status of all jobs that are remembered, in the order they were submitted.
func (c *Core) Jobs() []model.JobStatus {
	out := make([]model.JobStatus, 0, len(c.order))
	for _, j := range c.order {
		out = append(out, c.status(j))
	}
	return out
}

// Conf returns what every task of a job must know; ok is false before it is planned.
func (c *Core) Conf(id model.JobID) (model.JobConf, bool) {
	j := c.jobs[id]
	if j == nil || j.conf.StagingDir == "" {
		return model.JobConf{}, false
	}
	return j.conf, true
}

// forget drops the oldest ended jobs beyond the limit.
func (c *Core) forget() {
	ended := 0
	for _, j := range c.order {
		if j.state.Terminal() {
			ended++
		}
	}
	for ended > maxEndedJobs {
		i := slices.IndexFunc(c.order, func(j *job) bool { return j.state.Terminal() })
		delete(c.jobs, c.order[i].id)
		c.order = slices.Delete(c.order, i, i+1)
		ended--
	}
}
