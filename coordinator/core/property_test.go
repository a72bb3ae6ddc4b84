package core

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/model"
	"pgregory.net/rapid"
)

// world is a cluster around a core: executors that keep what they were given and what they made,
// streams that break, a shell that answers. It checks what must hold whatever happens:
//
//   - at most one attempt of a task is its result, and a writing task's result never changes;
//   - nothing is given to an incarnation that is lost, and nothing taken from one;
//   - threads and slots in use never exceed what was offered;
//   - a job's state never goes back, and failures that do not count never fail it.
type world struct {
	*env
	rt        *rapid.T
	executors map[model.ExecutorID]*node
	plans     map[model.JobID]bool            // asked and not answered
	steps     map[model.JobID]PublishStepKind // asked and not answered
	results   map[model.TaskID]model.AttemptID
	writes    map[model.TaskID]bool
	started   map[model.AttemptID]model.Incarnation
	bad       map[model.AttemptID]bool
	lost      map[model.Incarnation]bool
	ranks     map[model.JobID]int
	committed map[model.JobID]bool // the commit object was put
	numJobs   int
	counting  bool // failures that count are injected too
	cancelled map[model.JobID]bool
}

// node is an executor process.
type node struct {
	id      model.ExecutorID
	session uint64 // 0: no stream
	number  uint64 // what it thinks it is
	running map[model.AttemptID]bool
	held    map[model.AttemptID]bool
	unsaid  map[model.AttemptID]bool // held, and finished while there was no stream
	reduce  map[model.AttemptID]Assign
	threads int
	slots   int
}

func newWorld(rt *rapid.T) *world {
	w := &world{
		env: newEnv(rt, Config{}), rt: rt, executors: map[model.ExecutorID]*node{},
		plans: map[model.JobID]bool{}, steps: map[model.JobID]PublishStepKind{},
		results: map[model.TaskID]model.AttemptID{}, writes: map[model.TaskID]bool{},
		started: map[model.AttemptID]model.Incarnation{}, bad: map[model.AttemptID]bool{},
		lost: map[model.Incarnation]bool{}, ranks: map[model.JobID]int{}, committed: map[model.JobID]bool{},
		cancelled: map[model.JobID]bool{},
	}
	for _, id := range []model.ExecutorID{"a", "b", "c"} {
		threads := rapid.IntRange(1, 5).Draw(rt, "threads")
		w.executors[id] = &node{id: id, threads: threads, slots: rapid.IntRange(1, threads).Draw(rt, "slots"),
			running: map[model.AttemptID]bool{}, held: map[model.AttemptID]bool{}, unsaid: map[model.AttemptID]bool{}, reduce: map[model.AttemptID]Assign{}}
	}
	return w
}

func (w *world) do(ev Event) { w.take(w.handle(ev)) }

// take carries actions out as a shell and the executors would.
func (w *world) take(actions []Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case Append:
			w.check(a.Entry)
		case PlanJob:
			w.plans[a.Job] = true
		case PublishStep:
			if s, busy := w.steps[a.Job]; busy {
				w.rt.Fatalf("step %s of job %s asked while %s is under way", a.Step, a.Job, s)
			}
			w.steps[a.Job] = a.Step
		case Send:
			w.deliver(a)
		}
	}
	w.checkState()
}

func (w *world) deliver(s Send) {
	for _, n := range w.executors {
		if n.session != s.Session {
			continue
		}
		switch m := s.Message.(type) {
		case Registered:
			n.number = m.Incarnation.Number
		case Assign:
			if w.lost[model.Incarnation{Executor: n.id, Number: n.number}] {
				w.rt.Fatalf("%s was given to lost incarnation %s@%d", m.Assignment.Attempt, n.id, n.number)
			}
			n.running[m.Assignment.Attempt] = true
			n.reduce[m.Assignment.Attempt] = m
			for _, src := range m.Assignment.Sources {
				if len(m.Assignment.Sources) != len(w.core.jobs[src.Attempt.Task.Job].splits) {
					w.rt.Fatalf("%s reads only %d outputs", m.Assignment.Attempt, len(m.Assignment.Sources))
				}
				if w.results[src.Attempt.Task] != src.Attempt {
					w.rt.Fatalf("%s reads %s, which is not a result", m.Assignment.Attempt, src.Attempt)
				}
			}
		case Revoke:
			delete(n.running, m.Attempt)
			delete(n.held, m.Attempt)
		case ForgetJob:
			forget := func(id model.AttemptID, _ bool) bool { return id.Task.Job == m.Job }
			maps.DeleteFunc(n.running, forget)
			maps.DeleteFunc(n.held, forget)
		case Refused:
			n.session = 0
		}
	}
}

// check looks at every durable fact.
func (w *world) check(e Entry) {
	result := func(id model.AttemptID, on model.Incarnation) {
		if old, ok := w.results[id.Task]; ok && old != id {
			w.rt.Fatalf("%s is committed, but %s is the task's result", id, old)
		}
		if w.lost[on] {
			w.rt.Fatalf("%s is taken from lost incarnation %s", id, on)
		}
		w.results[id.Task] = id
	}
	switch {
	case e.MapCommitted != nil:
		if w.bad[e.MapCommitted.Output.Attempt] {
			w.rt.Fatalf("%s could not be read, and is taken again", e.MapCommitted.Output.Attempt)
		}
		result(e.MapCommitted.Output.Attempt, e.MapCommitted.On)
	case e.TaskCommitted != nil:
		id := e.TaskCommitted.Output.Attempt
		if w.started[id] != e.TaskCommitted.On {
			w.rt.Fatalf("%s was started on %s and is taken from %s", id, w.started[id], e.TaskCommitted.On)
		}
		if w.writes[id.Task] {
			w.rt.Fatalf("task %s is committed twice", id.Task)
		}
		w.writes[id.Task] = true
		result(id, e.TaskCommitted.On)
	case e.OutputsLost != nil:
		for _, id := range e.OutputsLost.Attempts {
			delete(w.results, id.Task)
			w.bad[id] = e.OutputsLost.Bad
		}
	case e.ExecutorLost != nil:
		w.lost[e.ExecutorLost.Incarnation] = true
	case e.AttemptStarted != nil:
		w.started[e.AttemptStarted.Attempt] = e.AttemptStarted.On
		if w.lost[e.AttemptStarted.On] {
			w.rt.Fatalf("%s starts on lost incarnation %s", e.AttemptStarted.Attempt, e.AttemptStarted.On)
		}
	case e.JobStopping != nil && e.JobStopping.State == model.JobFailed && !w.counting:
		switch e.JobStopping.Failure.Reason {
		case model.ReasonNoExecutors, model.ReasonVerification:
		default:
			w.rt.Fatalf("job fails for %s, which does not count", e.JobStopping.Failure.Reason)
		}
	}
}

var stateRank = map[model.JobState]int{model.JobPlanning: 0, model.JobRunning: 1, model.JobPublishing: 2,
	model.JobSucceeded: 3, model.JobFailed: 3, model.JobCancelled: 3}

func (w *world) checkState() {
	for _, j := range w.core.Jobs() {
		rank := stateRank[j.State]
		if rank < w.ranks[j.Job] {
			w.rt.Fatalf("job %s went back to %s", j.Job, j.State)
		}
		w.ranks[j.Job] = rank
		if j.State == model.JobSucceeded && !w.committed[j.Job] || j.State.Terminal() && j.State != model.JobSucceeded && w.committed[j.Job] {
			w.rt.Fatalf("job %s %s, committed=%v", j.Job, j.State, w.committed[j.Job])
		}
	}
	for id, n := range w.executors {
		x := w.core.executors[id]
		if x == nil || !x.alive || !x.registered {
			continue
		}
		if threads, _, _ := w.core.sched.Load(x.incarnation()); threads > n.threads || threads < 0 {
			w.rt.Fatalf("%d threads of %s@%d in use, %d were offered", threads, id, x.number, n.threads)
		}
	}
}

func (w *world) register(n *node, previous uint64) {
	w.session++
	n.session = w.session
	r := Register{Executor: n.id, Previous: previous, Addr: string(n.id) + ":1", HostID: "h", Threads: n.threads, Slots: n.slots,
		Running: sortedAttempts(n.running), Session: n.session}
	for _, id := range sortedAttempts(n.held) {
		r.Held = append(r.Held, HeldOutput{Attempt: id, Segments: mapOutput(id).Segments})
	}
	w.do(r)
	for _, id := range sortedAttempts(n.unsaid) {
		if n.session != 0 && n.held[id] {
			w.do(MapFinished{Incarnation: model.Incarnation{Executor: n.id, Number: n.number}, Output: mapOutput(id)})
		}
	}
	clear(n.unsaid)
}

func sortedAttempts(set map[model.AttemptID]bool) []model.AttemptID {
	return slices.SortedFunc(maps.Keys(set), func(a, b model.AttemptID) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
}

// finish lets an executor end an attempt well. Without a stream a map output is told later.
func (w *world) finish(n *node, id model.AttemptID) {
	spec := n.reduce[id].Assignment.Spec
	if n.session == 0 && spec.Kind != model.TaskMap {
		return
	}
	delete(n.running, id)
	if n.session == 0 {
		n.held[id], n.unsaid[id] = true, true
		return
	}
	on := model.Incarnation{Executor: n.id, Number: n.number}
	switch spec.Kind {
	case model.TaskMap:
		n.held[id] = true
		w.do(MapFinished{Incarnation: on, Output: mapOutput(id)})
	case model.TaskDirect:
		w.do(WriteFinished{Incarnation: on, Output: writeOutput(id, splitRows, splitRows)})
	default:
		w.do(WriteFinished{Incarnation: on, Output: writeOutput(id, spec.Range.Rows, 0)})
	}
}

func (w *world) answerPlan(job model.JobID, kind model.PartitionerKind, splits int) {
	delete(w.plans, job)
	w.do(Planned{Job: job, Plan: testPlan(job, kind, splits)})
}

func (w *world) answerStep(job model.JobID) {
	step := w.steps[job]
	delete(w.steps, job)
	r := PublishResult{Record: RecordRef{Path: "r"}, Files: 1, Rows: 1}
	switch step {
	case StepCommit:
		w.committed[job] = true
	case StepUndo:
		r.Committed = w.committed[job]
	}
	w.do(PublishDone{Job: job, Step: step, Result: r})
}

func (w *world) deadline() {
	if at, ok := w.core.NextDeadline(); ok && at.After(w.now) {
		w.now = at
	}
	w.do(Tick{})
}

func (w *world) beat() {
	for _, id := range slices.Sorted(maps.Keys(w.executors)) {
		if n := w.executors[id]; n.session != 0 {
			w.do(Heartbeat{Incarnation: model.Incarnation{Executor: id, Number: n.number}, Session: n.session})
		}
	}
}

// evenly draws 0 to max, each about as often: rapid's own ranges prefer small numbers, which would let
// most of the events below hardly ever happen.
func evenly(rt *rapid.T, max int, what string) int {
	n := 0
	for range bits.Len(uint(max)) + 2 {
		n *= 2
		if rapid.Bool().Draw(rt, what) {
			n++
		}
	}
	return n % (max + 1)
}

// random does one thing that can happen.
func (w *world) random() {
	pick := func(max int, what string) int { return evenly(w.rt, max, what) }
	n := w.executors[model.ExecutorID([]string{"a", "b", "c"}[pick(2, "executor")])]
	on := model.Incarnation{Executor: n.id, Number: n.number}
	attempts := sortedAttempts(n.running)
	var some model.AttemptID
	if len(attempts) > 0 {
		some = attempts[pick(len(attempts)-1, "attempt")]
	}
	switch pick(17, "event") {
	case 0:
		if w.numJobs < 3 {
			w.numJobs++
			id := model.JobID(fmt.Sprintf("j%d", w.numJobs))
			w.do(Submit{Job: id, UUID: "u", Spec: model.JobSpec{Name: "n", Out: "/out", Input: []string{"/in"}}})
		}
	case 1, 2:
		for _, job := range slices.Sorted(maps.Keys(w.plans)) {
			kind := []model.PartitionerKind{model.PartitionValue, model.PartitionNone}[pick(1, "kind")]
			w.answerPlan(job, kind, pick(5, "splits"))
			break
		}
	case 3, 4:
		if n.session == 0 {
			w.register(n, []uint64{0, n.number}[pick(1, "previous")])
		}
	case 5:
		if s := n.session; s != 0 {
			n.session = 0
			w.do(StreamBroken{Incarnation: on, Session: s})
		}
	case 6:
		w.beat()
	case 7:
		if pick(3, "really") == 0 {
			w.deadline()
		}
	case 8:
		w.now = w.now.Add(time.Duration(pick(2500, "sleep")) * time.Millisecond)
		if pick(3, "silent") > 0 {
			w.beat()
		}
		w.do(Tick{})
	case 9, 10, 11:
		if len(attempts) > 0 {
			w.finish(n, some)
		}
	case 12:
		w.fail(n, on, some, pick)
	case 13:
		for _, job := range slices.Sorted(maps.Keys(w.steps)) {
			w.answerStep(job)
			break
		}
	case 14:
		w.oddPublish(pick)
	case 15:
		w.rare(n, on, pick)
	case 16:
		// A report out of time: an old incarnation, an attempt of somebody else.
		on.Number = uint64(pick(3, "number"))
		id := model.AttemptID{Task: model.TaskID{Job: "j1", Index: pick(5, "task")}, Number: pick(2, "attempt number")}
		w.do(WriteFinished{Incarnation: on, Output: writeOutput(id, splitRows, splitRows)})
	case 17:
		w.plans, w.steps = map[model.JobID]bool{}, map[model.JobID]PublishStepKind{}
		for _, n := range w.executors {
			n.session = 0
		}
		w.take(w.restart())
	}
}

func (w *world) fail(n *node, on model.Incarnation, id model.AttemptID, pick func(int, string) int) {
	if n.session == 0 || id.Task.Job == "" {
		return
	}
	reasons := []model.Reason{model.ReasonFetchFailed, model.ReasonFetchFailed, model.ReasonDiskFull, model.ReasonKilled, model.ReasonExecutorLost}
	if w.counting {
		reasons = append(reasons, model.ReasonIO, model.ReasonIO, model.ReasonInput)
	}
	f := model.Failf(reasons[pick(len(reasons)-1, "reason")], "broken")
	if src := n.reduce[id].Assignment.Sources; f.Reason == model.ReasonFetchFailed && len(src) > 0 {
		s := src[pick(len(src)-1, "source")]
		f.Fetch = &model.FetchFailed{Holder: s.Holder, Attempt: s.Attempt, Cause: "gone"}
	}
	delete(n.running, id)
	w.do(AttemptFailed{Incarnation: on, Attempt: id, Failure: *f})
}

// oddPublish fails a step; a commit that failed may have happened.
func (w *world) oddPublish(pick func(int, string) int) {
	if !w.counting || len(w.steps) == 0 {
		return
	}
	job := slices.Min(slices.Collect(maps.Keys(w.steps)))
	step := w.steps[job]
	delete(w.steps, job)
	if step == StepCommit && pick(1, "happened") == 1 {
		w.committed[job] = true
	}
	w.do(PublishFailed{Job: job, Step: step, Failure: *model.Failf(model.ReasonIO, "no")})
}

func (w *world) rare(n *node, on model.Incarnation, pick func(int, string) int) {
	switch pick(3, "rare") {
	case 0:
		w.do(Suspected{Executor: n.id})
	case 1:
		w.do(Leaving{Incarnation: on})
	case 2:
		// The process is replaced: its running work and its disk are gone.
		s := n.session
		n.session = 0
		clear(n.running)
		clear(n.held)
		clear(n.unsaid)
		w.do(StreamBroken{Incarnation: on, Session: s})
	case 3:
		if w.numJobs > 0 && pick(3, "really") == 0 {
			w.do(Cancel{Job: model.JobID(fmt.Sprintf("j%d", 1+pick(w.numJobs-1, "job")))})
		}
	}
}

// settle stops all faults, keeps one executor, and waits for every job to end.
func (w *world) settle() {
	for _, id := range []model.ExecutorID{"b", "c"} {
		n := w.executors[id]
		if s := n.session; s != 0 {
			n.session = 0
			w.do(StreamBroken{Incarnation: model.Incarnation{Executor: id, Number: n.number}, Session: s})
		}
	}
	a := w.executors["a"]
	for range 600 {
		if !slices.ContainsFunc(w.core.Jobs(), func(j model.JobStatus) bool { return !j.State.Terminal() }) {
			return
		}
		if x := w.core.executors["a"]; a.session == 0 || x.leaving {
			w.register(a, a.number)
		}
		w.beat()
		for _, job := range slices.Sorted(maps.Keys(w.plans)) {
			w.answerPlan(job, model.PartitionValue, 2)
		}
		for _, id := range sortedAttempts(a.running) {
			if a.running[id] {
				w.finish(a, id)
			}
		}
		for _, job := range slices.Sorted(maps.Keys(w.steps)) {
			w.answerStep(job)
		}
		w.now = w.now.Add(500 * time.Millisecond) // well within a lease
		w.do(Tick{})
	}
	w.rt.Fatalf("with one executor and no faults these jobs do not end: %+v\n%s", w.core.Jobs(), dumpOf(w.rt, w.core))
}

// TestRandomEvents is safety under faults, then liveness without them.
func TestRandomEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.counting = rapid.Bool().Draw(rt, "counting")
		for range evenly(rt, 250, "events") {
			w.random()
		}
		w.checkReplay()
		w.settle()
		w.checkReplay()
		for _, x := range w.core.Executors() {
			threads, attempts, _ := w.core.sched.Load(model.Incarnation{Executor: x.Executor, Number: x.Incarnation})
			if threads != 0 || attempts != 0 {
				rt.Fatalf("all jobs ended, but %s has %d attempts with %d threads", x.Executor, attempts, threads)
			}
		}
	})
}
