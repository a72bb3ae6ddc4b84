package core

import (
	"errors"
	"fmt"

	"github.com/sluice-engine/sluice/commit"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
	"github.com/sluice-engine/sluice/scheduler"
)

// ErrVersion says that a journal was written by a newer core.
var ErrVersion = errors.New("journal entry of a newer version")

// Apply takes in one durable entry: on a replay those of the journal in their order, live those that
// Handle makes. It is the only way in which the durable state changes. An error means that the
// journal is not one that this core wrote; the core must not be used after it.
func (c *Core) Apply(e Entry) error {
	if e.Version < 1 || e.Version > Version {
		return fmt.Errorf("%w: it has version %d, this sluice knows versions 1 to %d; start the version of sluice that wrote it, or a later one",
			ErrVersion, e.Version, Version)
	}
	if e.Now.After(c.now) {
		c.now = e.Now
	}
	id, kind, err := e.subject()
	if err != nil {
		return err
	}
	var j *job
	if id != "" && e.JobSubmitted == nil {
		if j = c.jobs[id]; j == nil || j.state.Terminal() {
			return fmt.Errorf("journal entry %s: no job %s, or it has ended", kind, id)
		}
	}
	if id != "" {
		c.changed[id] = true
	}
	if err := c.applyTo(j, e); err != nil {
		return fmt.Errorf("journal entry %s: %w", kind, err)
	}
	return nil
}

// subject returns the job that an entry is about ("" for none) and the entry's kind.
func (e *Entry) subject() (job model.JobID, kind string, err error) {
	n := 0
	is := func(set bool, k string, of func() model.JobID) {
		if set {
			n++
			job, kind = of(), k
		}
	}
	is(e.JobSubmitted != nil, "job_submitted", func() model.JobID { return e.JobSubmitted.Job })
	is(e.PlanPart != nil, "plan_part", func() model.JobID { return e.PlanPart.Job })
	is(e.JobPlanned != nil, "job_planned", func() model.JobID { return e.JobPlanned.Job })
	is(e.ReducePart != nil, "reduce_part", func() model.JobID { return e.ReducePart.Stage.Job })
	is(e.StageStarted != nil, "stage_started", func() model.JobID { return e.StageStarted.Stage.Job })
	is(e.AttemptStarted != nil, "attempt_started", func() model.JobID { return e.AttemptStarted.Attempt.Task.Job })
	is(e.AttemptFailed != nil, "attempt_failed", func() model.JobID { return e.AttemptFailed.Attempt.Task.Job })
	is(e.SizesPart != nil, "sizes_part", func() model.JobID { return e.SizesPart.Attempt.Task.Job })
	is(e.MapCommitted != nil, "map_committed", func() model.JobID { return e.MapCommitted.Output.Attempt.Task.Job })
	is(e.TaskCommitted != nil, "task_committed", func() model.JobID { return e.TaskCommitted.Output.Attempt.Task.Job })
	is(e.OutputsLost != nil, "outputs_lost", func() model.JobID {
		if len(e.OutputsLost.Attempts) == 0 {
			return ""
		}
		return e.OutputsLost.Attempts[0].Task.Job
	})
	is(e.ExecutorLost != nil, "executor_lost", func() model.JobID { return "" })
	is(e.PublishMoved != nil, "publish_moved", func() model.JobID { return e.PublishMoved.Job })
	is(e.JobStopping != nil, "job_stopping", func() model.JobID { return e.JobStopping.Job })
	is(e.JobEnded != nil, "job_ended", func() model.JobID { return e.JobEnded.Job })
	if n != 1 {
		return "", "", fmt.Errorf("journal entry with %d facts: want exactly one of those that version %d knows", n, Version)
	}
	return job, kind, nil
}

// Kind names the fact of an entry as its JSON does; "" for an entry without exactly one.
func (e *Entry) Kind() string {
	_, kind, err := e.subject()
	if err != nil {
		return ""
	}
	return kind
}

func (c *Core) applyTo(j *job, e Entry) error {
	switch {
	case e.JobSubmitted != nil:
		return c.applySubmitted(e)
	case e.PlanPart != nil:
		return j.applyPlanPart(e.PlanPart)
	case e.JobPlanned != nil:
		return c.applyPlanned(j, e)
	case e.ReducePart != nil:
		return j.applyReducePart(e.ReducePart)
	case e.StageStarted != nil:
		return c.applyStageStarted(j, e)
	case e.AttemptStarted != nil:
		return c.applyAttemptStarted(j, e)
	case e.AttemptFailed != nil:
		delete(j.progress, e.AttemptFailed.Attempt)
		return c.sched.Apply(e.Now, scheduler.AttemptFailed{Attempt: e.AttemptFailed.Attempt, Failure: e.AttemptFailed.Failure})
	case e.SizesPart != nil:
		return j.applySizesPart(e.SizesPart)
	case e.MapCommitted != nil:
		return c.applyMapCommitted(j, e)
	case e.TaskCommitted != nil:
		return c.applyTaskCommitted(j, e)
	case e.OutputsLost != nil:
		return c.applyOutputsLost(e)
	case e.ExecutorLost != nil:
		return c.applyExecutorLost(e)
	case e.PublishMoved != nil:
		return j.applyPublishMoved(e)
	case e.JobStopping != nil:
		return c.applyStopping(j, e)
	default:
		return c.applyEnded(j, e)
	}
}

func (c *Core) applySubmitted(e Entry) error {
	s := e.JobSubmitted
	if c.jobs[s.Job] != nil {
		return fmt.Errorf("job %s was submitted twice", s.Job)
	}
	j := &job{id: s.Job, uuid: s.UUID, spec: s.Spec, state: model.JobPlanning, submitted: e.Now}
	c.jobs[s.Job] = j
	c.order = append(c.order, j)
	return nil
}

func (j *job) applyPlanPart(p *PlanPart) error {
	if p.Seq == 0 {
		j.parts = planParts{}
	}
	if err := checkSeq("the plan", &j.parts.seq, p.Seq); err != nil {
		return err
	}
	for _, s := range p.Splits {
		if n := len(j.parts.splits); n > 0 && j.parts.splits[n-1].Index == s.Index {
			last := &j.parts.splits[n-1]
			last.Chunks = append(last.Chunks[:len(last.Chunks):len(last.Chunks)], s.Chunks...)
			last.Rows += s.Rows
			last.Bytes += s.Bytes
			continue
		}
		j.parts.splits = append(j.parts.splits, s)
	}
	j.parts.old = append(j.parts.old, p.Old...)
	j.parts.schema = append(j.parts.schema, p.Schema...)
	return nil
}

func (c *Core) applyPlanned(j *job, e Entry) error {
	if j.state != model.JobPlanning {
		return fmt.Errorf("job %s is %s already", j.id, j.state)
	}
	p := e.JobPlanned
	j.conf = p.Conf
	j.conf.InputSchema = j.parts.schema
	j.splits, j.old, j.parts = plan.Fuse(j.conf, j.parts.splits), j.parts.old, planParts{}
	j.inFiles, j.inRows, j.inBytes = p.InputFiles, p.InputRows, p.InputBytes
	j.shapes = shapesOf(j.conf)
	j.state, j.running = model.JobRunning, e.Now
	return c.sched.Apply(e.Now, scheduler.JobStarted{Job: j.id, Shapes: j.shapes})
}

// opening returns the stage that comes next, adding it when its first part comes.
func (j *job) opening(id model.StageID) (*stage, error) {
	n := j.fixedStages()
	if id.Stage != n || n >= len(j.shapes) {
		return nil, fmt.Errorf("stage %s out of turn: %d of %d have started", id, n, len(j.shapes))
	}
	if n == len(j.stages) {
		j.stages = append(j.stages, &stage{kind: j.shapes[n].Kind})
	}
	return j.stages[n], nil
}

func (j *job) applyReducePart(p *ReducePart) error {
	st, err := j.opening(p.Stage)
	if err != nil {
		return err
	}
	if p.Seq == 0 {
		st.ranges = nil
	}
	if err := checkSeq("the ranges of stage "+p.Stage.String(), &st.seq, p.Seq); err != nil {
		return err
	}
	st.ranges = append(st.ranges, p.Ranges...)
	return nil
}

func (c *Core) applyStageStarted(j *job, e Entry) error {
	s := e.StageStarted
	st, err := j.opening(s.Stage)
	if err != nil {
		return err
	}
	var weights []int64
	if st.kind == model.TaskReduce {
		for _, r := range st.ranges {
			weights = append(weights, r.Bytes)
		}
	} else {
		for _, sp := range j.splits {
			weights = append(weights, sp.Bytes)
		}
	}
	if len(weights) != s.Tasks || st.kind != s.Kind {
		return fmt.Errorf("stage %s has %d %s tasks, its parts have %d %s tasks", s.Stage, s.Tasks, s.Kind, len(weights), st.kind)
	}
	st.fixed = true
	st.tasks = make([]taskResult, len(weights))
	for i := range st.tasks {
		st.tasks[i].current = -1
	}
	if err := c.sched.Apply(e.Now, scheduler.StageStarted{Stage: s.Stage, Weights: weights}); err != nil {
		return err
	}
	return c.publishWhenDone(j, e)
}

func (c *Core) applyAttemptStarted(j *job, e Entry) error {
	a := e.AttemptStarted
	c.know(a.On)
	if j.started.IsZero() {
		j.started = e.Now
	}
	return c.sched.Apply(e.Now, scheduler.AttemptStarted{Attempt: a.Attempt, On: a.On, Threads: a.Threads})
}

func (j *job) applySizesPart(p *SizesPart) error {
	if p.Seq == 0 {
		j.sizePart = sizeParts{attempt: p.Attempt}
	}
	if p.Attempt != j.sizePart.attempt {
		return fmt.Errorf("part %d of the sizes of %s follows those of %s", p.Seq, p.Attempt, j.sizePart.attempt)
	}
	if err := checkSeq("the sizes of "+p.Attempt.String(), &j.sizePart.seq, p.Seq); err != nil {
		return err
	}
	j.sizePart.buckets = append(j.sizePart.buckets, p.Buckets...)
	j.sizePart.hot = append(j.sizePart.hot, p.Hot...)
	return nil
}

func (c *Core) applyMapCommitted(j *job, e Entry) error {
	m := e.MapCommitted
	id := m.Output.Attempt
	if err := c.sched.Apply(e.Now, scheduler.Committed{Attempt: id, On: m.On}); err != nil {
		return err
	}
	c.know(m.On)
	delete(j.progress, id)
	st := j.stages[id.Task.Stage]
	t := &st.tasks[id.Task.Index]
	if !t.sized {
		st.sizes.Add(m.Output.Buckets, m.Output.Hot)
		if j.sizePart.attempt == id {
			st.sizes.Add(j.sizePart.buckets, j.sizePart.hot)
		}
		t.sized = true
	}
	j.sizePart = sizeParts{}
	kept := mapResult{output: m.Output, holder: m.On}
	kept.output.Buckets, kept.output.Hot = nil, nil
	st.sources = nil
	if t.current < 0 {
		st.rows += m.Output.InRows
		st.bytes += m.Output.InBytes
	}
	for i := range t.outputs {
		if t.outputs[i].output.Attempt == id {
			t.outputs[i] = kept
			t.current = i
			return nil
		}
	}
	t.outputs = append(t.outputs, kept)
	t.current = len(t.outputs) - 1
	return nil
}

func (c *Core) applyTaskCommitted(j *job, e Entry) error {
	o := e.TaskCommitted.Output
	id := o.Attempt
	if err := c.sched.Apply(e.Now, scheduler.Committed{Attempt: id, On: e.TaskCommitted.On}); err != nil {
		return err
	}
	c.know(e.TaskCommitted.On)
	delete(j.progress, id)
	st := j.stages[id.Task.Stage]
	st.tasks[id.Task.Index].write = &o
	if st.kind == model.TaskDirect {
		st.rows += o.InRows
		st.bytes += o.InBytes
	} else {
		st.rows += o.Rows
		st.bytes += o.Bytes
	}
	st.files += o.Files
	return c.publishWhenDone(j, e)
}

// publishWhenDone moves a job on when its last task is committed and its rows add up; if they do
// not, it stays running and advance fails it.
func (c *Core) publishWhenDone(j *job, e Entry) error {
	n := len(j.stages)
	if n < len(j.shapes) || !j.stages[n-1].fixed || !j.rowsAddUp() {
		return nil
	}
	if k := c.sched.Counts(j.stageID(n - 1)); k.Done < k.Tasks {
		return nil
	}
	if err := c.tasksOver(j, e); err != nil {
		return err
	}
	j.state = model.JobPublishing
	next, err := j.pub.Step(e.Now, commit.Begin{})
	j.next = next
	return err
}

// tasksOver takes a job out of the scheduler and keeps its counts.
func (c *Core) tasksOver(j *job, e Entry) error {
	for n, st := range j.stages {
		if st.counts = c.sched.Counts(j.stageID(n)); st.fixed && st.counts.Tasks > 0 {
			st.counts.Running = 0
			j.retries += st.counts.Retries
		}
	}
	j.progress = nil
	return c.sched.Apply(e.Now, scheduler.JobEnded{Job: j.id})
}

func (c *Core) applyOutputsLost(e Entry) error {
	if err := c.sched.Apply(e.Now, scheduler.OutputsLost{Attempts: e.OutputsLost.Attempts}); err != nil {
		return err
	}
	for _, id := range e.OutputsLost.Attempts {
		st := c.jobs[id.Task.Job].stages[id.Task.Stage]
		t := &st.tasks[id.Task.Index]
		if r := t.result(); r != nil {
			r.bad = e.OutputsLost.Bad
			st.rows -= r.output.InRows
			st.bytes -= r.output.InBytes
		}
		t.current = -1
		st.sources = nil
	}
	return nil
}

func (c *Core) applyExecutorLost(e Entry) error {
	on := e.ExecutorLost.Incarnation
	c.know(on)
	if x := c.executors[on.Executor]; x.number == on.Number {
		x.alive = false
	}
	c.rememberLost(on.Executor)
	return c.sched.Apply(e.Now, scheduler.ExecutorLost{On: on})
}

// rememberLost drops the executors that were lost longest ago, beyond the limit.
func (c *Core) rememberLost(id model.ExecutorID) {
	kept := c.lost[:0]
	for _, other := range c.lost {
		if x := c.executors[other]; other != id && x != nil && !x.alive {
			kept = append(kept, other)
		}
	}
	c.lost = append(kept, id)
	for len(c.lost) > maxLostExecutors {
		delete(c.executors, c.lost[0])
		c.lost = c.lost[1:]
	}
}

func (j *job) applyPublishMoved(e Entry) error {
	m := e.PublishMoved
	next, err := j.pub.Step(e.Now, commit.Done{Step: commit.Step(m.Step), Committed: m.Result.Committed})
	if err != nil {
		return err
	}
	j.next = next
	switch m.Step {
	case StepRecord:
		j.published.Record = m.Result.Record
	case StepCheck:
		j.published.Files, j.published.Rows, j.published.Bytes = m.Result.Files, m.Result.Rows, m.Result.Bytes
		j.published.ByContent = m.Result.ByContent
	case StepFinish:
		j.published.Removed = m.Result.Removed
	}
	if j.pub.Committed() {
		j.stopping = nil // it was too late, as the undo found out
	}
	return nil
}

func (c *Core) applyStopping(j *job, e Entry) error {
	if j.state != model.JobPublishing {
		if err := c.tasksOver(j, e); err != nil {
			return err
		}
	}
	next, err := j.pub.Step(e.Now, commit.Stop{})
	if err != nil {
		return err
	}
	j.stopping, j.next = e.JobStopping, next
	return nil
}

func (c *Core) applyEnded(j *job, e Entry) error {
	d := e.JobEnded
	if !d.State.Terminal() {
		return fmt.Errorf("job %s ended as %q", j.id, d.State)
	}
	j.final = c.stageStatuses(j)
	j.state, j.ended, j.receipt, j.failure, j.stopping = d.State, e.Now, d.Receipt, d.Failure, nil
	j.conf, j.splits, j.old, j.stages, j.parts, j.sizePart = model.JobConf{}, nil, nil, nil, planParts{}, sizeParts{}
	j.next, j.pub, j.unused = commit.Action{}, commit.Publication{}, model.JobConf{}
	c.forget()
	return nil
}
