package core

import (
	"fmt"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/scheduler"
)

// launch gives an attempt to an executor. The entry comes first: an attempt that runs somewhere is
// always one that the journal knows.
func (c *Core) launch(p scheduler.Launch) {
	task := p.Attempt.Task
	j := c.jobs[task.Job]
	c.append(Entry{AttemptStarted: &AttemptStarted{Attempt: p.Attempt, On: p.On, Threads: p.Threads}})
	a := model.Assignment{
		Attempt: p.Attempt,
		Spec:    model.TaskSpec{Task: task, Kind: j.shapes[task.Stage].Kind},
		Conf:    j.conf,
		Threads: p.Threads,
	}
	if a.Spec.Kind == model.TaskReduce {
		a.Spec.Range = &j.stages[task.Stage].ranges[task.Index]
		needs := j.shapes[task.Stage].Needs
		if len(needs) == 1 {
			a.Sources = c.sources(j.stages[needs[0]])
		} else {
			for _, n := range needs {
				a.Sources = append(a.Sources, c.sources(j.stages[n])...)
			}
		}
	} else {
		a.Spec.Split = &j.splits[task.Index]
	}
	c.send(p.On, Assign{Assignment: a})
}

// sources lists where the outputs of a stage are, in task order. The list is shared between
// assignments and never changed.
func (c *Core) sources(st *stage) []model.MapSource {
	if st.sources != nil {
		return st.sources
	}
	for i := range st.tasks {
		r := st.tasks[i].result()
		if r == nil {
			continue
		}
		x := c.executors[r.holder.Executor]
		st.sources = append(st.sources, model.MapSource{
			Attempt: r.output.Attempt, Holder: r.holder, Addr: x.addr, HostID: x.hostID, Segments: r.output.Segments,
		})
	}
	return st.sources
}

// reporter returns the executor of a report, or refuses a report from an incarnation that is lost.
func (c *Core) reporter(on model.Incarnation) *executor {
	x := c.living(on)
	if x == nil {
		c.send(on, Refused{Why: fmt.Sprintf("incarnation %s is lost: register anew", on)})
	}
	return x
}

// mapFinished commits a map task's first output. An attempt whose incarnation was lost may bring its
// output under the executor's next one: the output is as good.
func (c *Core) mapFinished(e MapFinished) {
	x := c.reporter(e.Incarnation)
	if x == nil {
		return
	}
	id := e.Output.Attempt
	a, ok := c.sched.Attempt(id)
	j := c.jobs[id.Task.Job]
	switch {
	case ok && a.Committed:
		return // told twice
	case !ok || a.On.Executor != x.id || a.TaskDone,
		a.State != scheduler.AttemptRunning && a.State != scheduler.AttemptLost,
		j.shapes[id.Task.Stage].Kind != model.TaskMap:
		c.discard(x, id, map[model.JobID]bool{})
		return
	}
	st := j.stages[id.Task.Stage]
	if r := st.result(id); r != nil && r.bad {
		c.discard(x, id, map[model.JobID]bool{})
		return
	}
	if err := checkMapOutput(j, &e.Output); err != nil {
		c.badReport(x, id, a, err)
		return
	}
	out := e.Output
	parts := cutSizes(e.Output)
	if st.tasks[id.Task.Index].sized {
		parts, out.Buckets, out.Hot = nil, nil, nil
	}
	for i := range parts {
		c.append(Entry{SizesPart: &parts[i]})
		out.Buckets, out.Hot = nil, nil
	}
	c.append(Entry{MapCommitted: &MapCommitted{On: e.Incarnation, Output: out}})
}

// writeFinished commits the first report of a task whose files are staged. Unlike a map output it is
// taken only from the incarnation that was given the attempt: a zombie's staged files may be gone.
func (c *Core) writeFinished(e WriteFinished) {
	x := c.reporter(e.Incarnation)
	if x == nil {
		return
	}
	id := e.Output.Attempt
	a, ok := c.sched.Attempt(id)
	j := c.jobs[id.Task.Job]
	switch {
	case ok && a.Committed, !ok && j != nil && j.hasCommitted(id):
		return // told twice
	case !ok || a.On != e.Incarnation || a.State != scheduler.AttemptRunning || j.shapes[id.Task.Stage].Kind == model.TaskMap:
		c.discard(x, id, map[model.JobID]bool{})
		return
	}
	if o := &e.Output; o.Files < 0 || o.Rows < 0 || o.Bytes < 0 || o.InRows < 0 || len(o.Hot) > model.MaxHotKeys || len(o.Sizes) > 64 {
		c.badReport(x, id, a, fmt.Errorf("negative counts, or more than %d hot keys", model.MaxHotKeys))
		return
	}
	c.append(Entry{TaskCommitted: &TaskCommitted{On: e.Incarnation, Output: e.Output}})
}

func (c *Core) badReport(x *executor, id model.AttemptID, a scheduler.Attempt, err error) {
	if a.State != scheduler.AttemptRunning {
		return
	}
	c.append(Entry{AttemptFailed: &AttemptFailure{Attempt: id, Failure: *model.Failf(model.ReasonInternal,
		"the report of attempt %s on executor %s does not add up: %v", id, x.id, err)}})
	c.discard(x, id, map[model.JobID]bool{})
}

// checkMapOutput refuses a report that reduce planning could not work with.
func checkMapOutput(j *job, o *model.MapOutput) error {
	var rows int64
	buckets := uint64(j.conf.Partitioning.NumBuckets())
	for i, b := range o.Buckets {
		switch {
		case uint64(b.Bucket) >= buckets:
			return fmt.Errorf("bucket %d of %d", b.Bucket, buckets)
		case i > 0 && b.Bucket <= o.Buckets[i-1].Bucket:
			return fmt.Errorf("bucket %d after %d", b.Bucket, o.Buckets[i-1].Bucket)
		case b.Rows <= 0 || b.Bytes < 0:
			return fmt.Errorf("bucket %d with %d rows in %d bytes", b.Bucket, b.Rows, b.Bytes)
		}
		rows += b.Rows
	}
	if rows != o.Rows || o.InRows < 0 || o.Bytes < 0 {
		return fmt.Errorf("%d rows in buckets, %d in all", rows, o.Rows)
	}
	for _, v := range o.Hot {
		if uint64(v.Key.Bucket) >= buckets || v.Rows < 0 || v.Bytes < 0 {
			return fmt.Errorf("hot value %s with %d rows in %d bytes", v.Key, v.Rows, v.Bytes)
		}
	}
	return nil
}

func (c *Core) attemptFailed(e AttemptFailed) {
	x := c.reporter(e.Incarnation)
	if x == nil {
		return
	}
	a, ok := c.sched.Attempt(e.Attempt)
	if !ok || a.On != e.Incarnation || a.State != scheduler.AttemptRunning {
		return
	}
	f := e.Failure
	f.Message = cut(f.Message, maxFailureText)
	if f.Fetch != nil {
		fetch := *f.Fetch
		fetch.Cause = cut(fetch.Cause, maxFailureText)
		f.Fetch = &fetch
	}
	c.append(Entry{AttemptFailed: &AttemptFailure{Attempt: e.Attempt, Failure: f}})
	if f.Reason == model.ReasonFetchFailed && f.Fetch != nil {
		c.fetchFailed(e.Attempt, f.Fetch)
	}
}

// fetchFailed loses the output that could not be read, unless the books have moved on: another
// attempt is the result now, or another incarnation has it. A holder whose stream is broken too is
// lost at once: two witnesses agree.
func (c *Core) fetchFailed(reader model.AttemptID, f *model.FetchFailed) {
	source, ok := c.sched.Attempt(f.Attempt)
	if !ok || !source.Committed || source.Holder != f.Holder || f.Attempt.Task.Job != reader.Task.Job {
		return
	}
	c.append(Entry{OutputsLost: &OutputsLost{
		Attempts: []model.AttemptID{f.Attempt},
		Bad:      true,
		Why:      fmt.Sprintf("attempt %s could not read it from %s: %s", reader, f.Holder, f.Cause),
	}})
	if x := c.living(f.Holder); x != nil && x.session == 0 && x.registered {
		c.lose(x, "its stream is broken and its map outputs cannot be read")
	}
}

// loseOutputs takes outputs out of the books; their tasks run again.
func (c *Core) loseOutputs(ids []model.AttemptID, why string) {
	for _, list := range pieces(ids, func(id model.AttemptID) int { return 2*chunkJSON + textJSON(string(id.Task.Job)) }) {
		c.append(Entry{OutputsLost: &OutputsLost{Attempts: list, Why: why}})
	}
}

// forgetJob tells every executor that a job is over.
func (c *Core) forgetJob(j *job) {
	for _, x := range c.sortedExecutors() {
		if x.alive {
			c.send(x.incarnation(), ForgetJob{Job: j.id})
		}
	}
}

// result returns the map output that counts now, or nil.
func (t *taskResult) result() *mapResult {
	if t.current < 0 {
		return nil
	}
	return &t.outputs[t.current]
}

// result returns what a map attempt once reported, or nil.
func (st *stage) result(id model.AttemptID) *mapResult {
	outputs := st.tasks[id.Task.Index].outputs
	for i := range outputs {
		if outputs[i].output.Attempt == id {
			return &outputs[i]
		}
	}
	return nil
}

// hasCommitted reports whether the attempt is the result of a writing task, also after the job's
// tasks are over.
func (j *job) hasCommitted(id model.AttemptID) bool {
	if s := id.Task.Stage; s < 0 || s >= len(j.stages) || id.Task.Index < 0 || id.Task.Index >= len(j.stages[s].tasks) {
		return false
	}
	w := j.stages[id.Task.Stage].tasks[id.Task.Index].write
	return w != nil && w.Attempt == id
}
