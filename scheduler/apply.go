package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/model"
)

// Step applies an event and says what should happen next.
func (s *Scheduler) Step(now time.Time, e Event) ([]Action, error) {
	if err := s.Apply(now, e); err != nil {
		return nil, err
	}
	return s.Decide(now), nil
}

// Apply takes in a fact. An error says that the fact cannot follow from what was before: the caller, or
// the journal that it replays, is wrong. The state is unchanged then.
func (s *Scheduler) Apply(now time.Time, e Event) error {
	switch e := e.(type) {
	case JobStarted:
		return s.jobStarted(e)
	case StageStarted:
		return s.stageStarted(e)
	case ExecutorUp:
		return s.executorUp(e)
	case ExecutorOpen:
		if x := s.executor(e.On); x != nil {
			x.open = e.Open
		}
	case ExecutorLost:
		s.executorLost(e.On)
	case AttemptStarted:
		return s.attemptStarted(e)
	case AttemptFailed:
		return s.attemptFailed(now, e)
	case Committed:
		return s.committed(e)
	case OutputsLost:
		return s.outputsLost(e)
	case JobEnded:
		s.jobEnded(e.Job)
	case Tick:
	default:
		return fmt.Errorf("scheduler: unknown event %T", e)
	}
	return nil
}

func (s *Scheduler) jobStarted(e JobStarted) error {
	if s.job(e.Job) != nil {
		return fmt.Errorf("job %s started twice", e.Job)
	}
	for i, sh := range e.Shapes {
		for _, n := range sh.Needs {
			if n < 0 || n >= i {
				return fmt.Errorf("job %s: stage %d needs stage %d", e.Job, i, n)
			}
		}
	}
	s.jobs = append(s.jobs, &job{id: e.Job, shapes: slices.Clone(e.Shapes)})
	return nil
}

func (s *Scheduler) stageStarted(e StageStarted) error {
	j := s.job(e.Stage.Job)
	if j == nil {
		return fmt.Errorf("stage %s started: no such job", e.Stage)
	}
	if e.Stage.Stage != len(j.stages) || e.Stage.Stage >= len(j.shapes) {
		return fmt.Errorf("stage %s started out of turn: %d of %d have", e.Stage, len(j.stages), len(j.shapes))
	}
	shape := j.shapes[e.Stage.Stage]
	st := &stage{id: e.Stage, kind: shape.Kind, needs: shape.Needs, missing: len(e.Weights)}
	st.tasks = make([]task, len(e.Weights))
	for i, w := range e.Weights {
		st.tasks[i] = task{weight: w, committed: -1}
		st.pending = append(st.pending, i)
	}
	slices.SortFunc(st.pending, st.before)
	j.stages = append(j.stages, st)
	return nil
}

// before orders pending tasks: bigger ones first, so that the last to end are small.
func (st *stage) before(a, b int) int {
	switch wa, wb := st.tasks[a].weight, st.tasks[b].weight; {
	case wa > wb:
		return -1
	case wa < wb:
		return 1
	}
	return a - b
}

func (st *stage) queue(i int) {
	at, there := slices.BinarySearchFunc(st.pending, i, st.before)
	if !there {
		st.pending = slices.Insert(st.pending, at, i)
	}
}

func (st *stage) unqueue(i int) {
	if at, there := slices.BinarySearchFunc(st.pending, i, st.before); there {
		st.pending = slices.Delete(st.pending, at, at+1)
	}
}

// requeue makes the task pending when nothing else can bring its result.
func (st *stage) requeue(i int) {
	if t := &st.tasks[i]; t.committed < 0 && !t.isRunning() {
		st.queue(i)
	}
}

func (s *Scheduler) executorUp(e ExecutorUp) error {
	if e.Threads < 1 || e.Slots < 1 {
		return fmt.Errorf("executor %s offers %d threads and %d slots: want at least one of each", e.On, e.Threads, e.Slots)
	}
	x := s.ensure(e.On)
	x.up, x.open, x.threads, x.slots = true, true, e.Threads, e.Slots
	return nil
}

func (s *Scheduler) executorLost(on model.Incarnation) {
	i, ok := s.search(on)
	if !ok {
		return
	}
	s.eachAttempt(func(st *stage, t, _ int, a *attempt) {
		if a.on == on && a.state == AttemptRunning {
			s.end(st, a, AttemptLost)
			st.requeue(t)
		}
	})
	s.executors = slices.Delete(s.executors, i, i+1)
	s.orphaned = true
}

// end moves a running attempt to its last state and gives its resources back. It is the only place
// that does either.
func (s *Scheduler) end(st *stage, a *attempt, to AttemptState) {
	if a.state != AttemptRunning {
		return
	}
	a.state = to
	st.running--
	if x := s.executor(a.on); x != nil {
		x.used -= a.threads
		x.running--
		if st.kind != model.TaskReduce {
			x.maps--
		}
	}
}

func (s *Scheduler) attemptStarted(e AttemptStarted) error {
	st, t, err := s.task(e.Attempt.Task)
	if err != nil {
		return fmt.Errorf("attempt %s started: %w", e.Attempt, err)
	}
	if e.Attempt.Number != len(t.attempts) || e.Threads < 1 {
		return fmt.Errorf("attempt %s started with %d threads: the task has %d attempts", e.Attempt, e.Threads, len(t.attempts))
	}
	t.attempts = append(t.attempts, attempt{on: e.On, threads: e.Threads})
	st.unqueue(e.Attempt.Task.Index)
	st.running++
	x := s.ensure(e.On)
	x.used += e.Threads
	x.running++
	if st.kind != model.TaskReduce {
		x.maps++
	}
	return nil
}

func (s *Scheduler) attemptFailed(now time.Time, e AttemptFailed) error {
	st, t, err := s.task(e.Attempt.Task)
	if err != nil {
		return fmt.Errorf("attempt %s failed: %w", e.Attempt, err)
	}
	if n := e.Attempt.Number; n < 0 || n >= len(t.attempts) || t.attempts[n].state != AttemptRunning {
		return fmt.Errorf("attempt %s failed: it does not run", e.Attempt)
	}
	a := &t.attempts[e.Attempt.Number]
	if e.Failure.Reason == model.ReasonExecutorLost {
		// The assignment or the report went down with a stream; the task is not to blame.
		s.end(st, a, AttemptLost)
		st.requeue(e.Attempt.Task.Index)
		return nil
	}
	s.end(st, a, AttemptBroken)
	st.failed++
	t.notBefore = now.Add(retryDelay(t.delays))
	t.delays++
	if t.notBefore.After(st.delayed) {
		st.delayed = t.notBefore
	}
	failedOn := a.on.Executor
	t.avoid = slices.DeleteFunc(t.avoid, func(x model.ExecutorID) bool { return x == failedOn })
	t.avoid = append(t.avoid, failedOn)
	if e.Failure.Reason.CountsTowardLimit() {
		t.failures++
	}
	j := s.job(st.id.Job)
	if j.doomed == nil && (!e.Failure.Reason.Retryable() || t.failures >= model.MaxTaskFailures) {
		j.doomed = &FailJob{Job: j.id, Task: e.Attempt.Task, Failures: t.failures, On: a.on, Failure: e.Failure}
	}
	st.requeue(e.Attempt.Task.Index)
	return nil
}

func retryDelay(before int) time.Duration {
	return min(minRetryDelay<<min(before, 16), maxRetryDelay)
}

func (s *Scheduler) committed(e Committed) error {
	st, t, err := s.task(e.Attempt.Task)
	if err != nil {
		return fmt.Errorf("attempt %s committed: %w", e.Attempt, err)
	}
	n := e.Attempt.Number
	if n < 0 || n >= len(t.attempts) {
		return fmt.Errorf("attempt %s committed: it was never started", e.Attempt)
	}
	if t.committed >= 0 && t.committed != n {
		return fmt.Errorf("attempt %s committed: attempt %d is the task's result already", e.Attempt, t.committed)
	}
	if t.committed < 0 {
		st.missing--
	}
	t.committed, t.holder = n, e.On
	s.ensure(e.On)
	st.unqueue(e.Attempt.Task.Index)
	for i := range t.attempts {
		a := &t.attempts[i]
		if a.state != AttemptRunning {
			continue
		}
		if i == n {
			s.end(st, a, AttemptFinished)
			continue
		}
		s.end(st, a, AttemptRevoked)
		s.revokes = append(s.revokes, Revoke{Attempt: st.attemptID(e.Attempt.Task.Index, i), On: a.on})
	}
	return nil
}

func (s *Scheduler) outputsLost(e OutputsLost) error {
	for i, id := range e.Attempts {
		_, t, err := s.task(id.Task)
		if err != nil {
			return fmt.Errorf("output %s lost: %w", id, err)
		}
		if t.committed < 0 || t.committed != id.Number || slices.Contains(e.Attempts[:i], id) {
			return fmt.Errorf("output %s lost: it is not the task's result", id)
		}
	}
	for _, id := range e.Attempts {
		st, t, _ := s.task(id.Task) // looked up above
		t.committed, t.holder = -1, model.Incarnation{}
		st.missing++
		st.lost++
		st.told = false
		st.requeue(id.Task.Index)
	}
	return nil
}

func (s *Scheduler) jobEnded(id model.JobID) {
	i := slices.IndexFunc(s.jobs, func(j *job) bool { return j.id == id })
	if i < 0 {
		return
	}
	for _, st := range s.jobs[i].stages {
		for t := range st.tasks {
			for n := range st.tasks[t].attempts {
				a := &st.tasks[t].attempts[n]
				if a.state == AttemptRunning {
					s.end(st, a, AttemptRevoked)
					s.revokes = append(s.revokes, Revoke{Attempt: st.attemptID(t, n), On: a.on})
				}
			}
		}
	}
	s.jobs = slices.Delete(s.jobs, i, i+1)
}
