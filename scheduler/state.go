package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/model"
)

// Scheduler is the state of all tasks and of the executors' resources. The zero value is not
// ready; use New. It must not be used by several goroutines at once.
type Scheduler struct {
	jobs      []*job      // in the order they started
	executors []*executor // by incarnation, only those that are not lost
	revokes   []Action    // told by the next Decide
	orphaned  bool        // an executor was lost since outputs were last looked through
}

// New returns a scheduler without jobs and executors.
func New() *Scheduler { return &Scheduler{} }

// executor is an incarnation that is not lost.
//
// Invariant: used is the sum of the threads of its running attempts; once it is up,
// used <= threads and maps <= slots.
type executor struct {
	on      model.Incarnation
	up      bool // its resources are known: it registered with this coordinator process
	open    bool // it may get new attempts
	threads int
	slots   int
	used    int
	maps    int // running map and direct attempts
	running int
}

// need returns how many threads an attempt of the kind takes: resources are threads. A map task
// works with all threads of its slot, a reduce task with one.
func (x *executor) need(k model.TaskKind) int {
	if k == model.TaskReduce {
		return 1
	}
	return max(1, x.threads/x.slots)
}

type job struct {
	id     model.JobID
	shapes []Shape
	stages []*stage // those that started, by number
	doomed *FailJob // a task failed for good
}

// stage counts what its tasks wait for, so that nothing loops over map x reduce pairs.
//
// Invariant: missing is the number of tasks without a committed attempt; pending holds those of
// them that have no running attempt, by weight (bigger first), then index.
type stage struct {
	id      model.StageID
	kind    model.TaskKind
	needs   []int
	tasks   []task
	missing int
	pending []int
	told    bool      // StageDone was told
	delayed time.Time // no task is held back beyond it

	running int // attempts
	failed  int // attempts that failed, whatever the reason
	lost    int // outputs that were lost
}

type task struct {
	weight    int64
	attempts  []attempt
	committed int               // number of the attempt that is the result, -1 for none
	holder    model.Incarnation // who has the committed output
	failures  int               // counted ones
	delays    int               // failures of any kind that held it back
	notBefore time.Time
	avoid     []model.ExecutorID // where it failed, the last place last
}

// AttemptState is the life of an attempt: running, then one of the others for ever.
//
//	running → finished | failed | lost | revoked
//
// Whether an attempt is the result of its task is said by the task, not by the attempt: the output
// of a lost attempt may turn up, and a finished one's may be lost.
type AttemptState uint8

// The states of an attempt.
const (
	AttemptRunning  AttemptState = iota
	AttemptFinished              // it was committed when it reported
	AttemptBroken                // it reported a failure
	AttemptLost                  // its executor was lost
	AttemptRevoked               // another attempt was first, or the job ended
)

func (s AttemptState) String() string {
	return [...]string{"running", "finished", "failed", "lost", "revoked"}[s]
}

type attempt struct {
	on      model.Incarnation
	threads int
	state   AttemptState
}

func (t *task) isRunning() bool {
	return slices.ContainsFunc(t.attempts, func(a attempt) bool { return a.state == AttemptRunning })
}

// Attempt is what is known of an attempt.
type Attempt struct {
	On        model.Incarnation // where it was started
	State     AttemptState
	Committed bool              // it is the result of its task
	Holder    model.Incarnation // of the committed output
	TaskDone  bool              // its task has a result, this or another
}

// Attempt looks an attempt up; ok is false for one that was never started, or whose job ended.
func (s *Scheduler) Attempt(id model.AttemptID) (a Attempt, ok bool) {
	st, t, err := s.task(id.Task)
	if err != nil || id.Number < 0 || id.Number >= len(t.attempts) {
		return Attempt{}, false
	}
	at := t.attempts[id.Number]
	a = Attempt{On: at.on, State: at.state, Committed: t.committed == id.Number, TaskDone: t.committed >= 0}
	if a.Committed && st.kind == model.TaskMap {
		a.Holder = t.holder
	}
	return a, true
}

// Result returns the committed attempt of a task and who holds it.
func (s *Scheduler) Result(id model.TaskID) (a model.AttemptID, holder model.Incarnation, ok bool) {
	_, t, err := s.task(id)
	if err != nil || t.committed < 0 {
		return model.AttemptID{}, model.Incarnation{}, false
	}
	return model.AttemptID{Task: id, Number: t.committed}, t.holder, true
}

// Counts are a stage's numbers.
type Counts struct {
	Tasks, Done, Running, Failed, Lost int
	Retries                            int // attempts beyond the first of each task
}

// Counts returns the numbers of a stage that has started.
func (s *Scheduler) Counts(id model.StageID) Counts {
	st, err := s.stage(id)
	if err != nil {
		return Counts{}
	}
	c := Counts{Tasks: len(st.tasks), Done: len(st.tasks) - st.missing, Running: st.running, Failed: st.failed, Lost: st.lost}
	for i := range st.tasks {
		c.Retries += max(0, len(st.tasks[i].attempts)-1)
	}
	return c
}

// Running returns the running attempts of an incarnation, ordered by job, stage, task and number.
func (s *Scheduler) Running(on model.Incarnation) []model.AttemptID {
	var ids []model.AttemptID
	s.eachAttempt(func(st *stage, t int, n int, a *attempt) {
		if a.state == AttemptRunning && a.on == on {
			ids = append(ids, st.attemptID(t, n))
		}
	})
	return ids
}

// Load says how many threads an incarnation's running attempts take, how many attempts there are, and
// how many map outputs that count it holds.
func (s *Scheduler) Load(on model.Incarnation) (threads, attempts, outputs int) {
	if x := s.executor(on); x != nil {
		threads, attempts = x.used, x.running
	}
	for _, j := range s.jobs {
		for _, st := range j.stages {
			if st.kind != model.TaskMap {
				continue
			}
			for i := range st.tasks {
				if t := &st.tasks[i]; t.committed >= 0 && t.holder == on {
					outputs++
				}
			}
		}
	}
	return threads, attempts, outputs
}

// Threads is the sum of the threads of all executors that may get attempts.
func (s *Scheduler) Threads() int {
	n := 0
	for _, x := range s.executors {
		if x.up && x.open {
			n += x.threads
		}
	}
	return n
}

// Deadline returns when a task that is held back after a failure may run, the earliest such time
// after now.
func (s *Scheduler) Deadline(now time.Time) (at time.Time, ok bool) {
	for _, j := range s.jobs {
		for _, st := range j.stages {
			if !st.delayed.After(now) {
				continue
			}
			for _, i := range st.pending {
				if t := st.tasks[i].notBefore; t.After(now) && (!ok || t.Before(at)) {
					at, ok = t, true
				}
			}
		}
	}
	return at, ok
}

func (s *Scheduler) eachAttempt(f func(st *stage, task, number int, a *attempt)) {
	for _, j := range s.jobs {
		for _, st := range j.stages {
			for i := range st.tasks {
				for n := range st.tasks[i].attempts {
					f(st, i, n, &st.tasks[i].attempts[n])
				}
			}
		}
	}
}

func (st *stage) attemptID(task, number int) model.AttemptID {
	return model.AttemptID{Task: model.TaskID{Job: st.id.Job, Stage: st.id.Stage, Index: task}, Number: number}
}

func (s *Scheduler) job(id model.JobID) *job {
	for _, j := range s.jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}

func (s *Scheduler) stage(id model.StageID) (*stage, error) {
	j := s.job(id.Job)
	if j == nil {
		return nil, fmt.Errorf("no job %s", id.Job)
	}
	if id.Stage < 0 || id.Stage >= len(j.stages) {
		return nil, fmt.Errorf("no stage %s", id)
	}
	return j.stages[id.Stage], nil
}

func (s *Scheduler) task(id model.TaskID) (*stage, *task, error) {
	st, err := s.stage(id.StageID())
	if err != nil {
		return nil, nil, err
	}
	if id.Index < 0 || id.Index >= len(st.tasks) {
		return nil, nil, fmt.Errorf("no task %s", id)
	}
	return st, &st.tasks[id.Index], nil
}

func compareIncarnation(a, b model.Incarnation) int {
	return cmp.Or(strings.Compare(string(a.Executor), string(b.Executor)), cmp.Compare(a.Number, b.Number))
}

func (s *Scheduler) search(on model.Incarnation) (int, bool) {
	return slices.BinarySearchFunc(s.executors, on, func(x *executor, on model.Incarnation) int {
		return compareIncarnation(x.on, on)
	})
}

// executor returns an incarnation that is not lost, or nil.
func (s *Scheduler) executor(on model.Incarnation) *executor {
	if i, ok := s.search(on); ok {
		return s.executors[i]
	}
	return nil
}

// ensure returns an incarnation, adding it when a replay names it for the first time.
func (s *Scheduler) ensure(on model.Incarnation) *executor {
	i, ok := s.search(on)
	if !ok {
		s.executors = slices.Insert(s.executors, i, &executor{on: on})
	}
	return s.executors[i]
}
