package scheduler

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/sluice-engine/sluice/model"
	"pgregory.net/rapid"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// harness accepts every proposal, as the core does, and keeps all facts for a replay.
type harness struct {
	t     failer
	s     *Scheduler
	now   time.Time
	facts []fact
	reads map[model.JobID]int // reduce tasks of a job
}

type fact struct {
	now time.Time
	e   Event
}

func newHarness(t failer) *harness {
	return &harness{t: t, s: New(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), reads: map[model.JobID]int{}}
}

// step applies an event, accepts what follows, and returns it as text.
func (h *harness) step(e Event) string {
	h.t.Helper()
	h.facts = append(h.facts, fact{h.now, e})
	actions, err := h.s.Step(h.now, e)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, a := range actions {
		switch a := a.(type) {
		case Launch:
			fmt.Fprintf(&b, "launch %s on %s threads=%d\n", a.Attempt, a.On.Executor, a.Threads)
		case Revoke:
			fmt.Fprintf(&b, "revoke %s on %s\n", a.Attempt, a.On.Executor)
		case LoseOutputs:
			fmt.Fprintf(&b, "lost outputs %v\n", a.Attempts)
		case StageDone:
			fmt.Fprintf(&b, "stage %s done\n", a.Stage)
		case FailJob:
			fmt.Fprintf(&b, "fail job %s: task %s failed %d times, last on %s: %s\n", a.Job, a.Task, a.Failures, a.On.Executor, a.Failure.Reason)
		}
	}
	launched := false
	for _, a := range actions {
		switch a := a.(type) {
		case Launch:
			h.facts = append(h.facts, fact{h.now, AttemptStarted(a)})
			if err := h.s.Apply(h.now, AttemptStarted(a)); err != nil {
				h.t.Fatalf("%v", err)
			}
			launched = true
		case LoseOutputs:
			b.WriteString(h.step(OutputsLost{Attempts: a.Attempts}))
		case StageDone:
			b.WriteString(h.next(a.Stage))
		case FailJob:
			b.WriteString(h.step(JobEnded{Job: a.Job}))
		}
	}
	if launched {
		b.WriteString(h.step(Tick{}))
	}
	return b.String()
}

func (h *harness) next(done model.StageID) string {
	j := h.s.job(done.Job)
	if j == nil || done.Stage+1 >= len(j.shapes) {
		return h.step(JobEnded{Job: done.Job})
	}
	return h.step(StageStarted{Stage: model.StageID{Job: done.Job, Stage: done.Stage + 1}, Weights: make([]int64, h.reads[done.Job])})
}

// check recomputes from the attempts what is kept as counts.
func (h *harness) check() {
	h.t.Helper()
	used, maps := map[model.Incarnation]int{}, map[model.Incarnation]int{}
	for _, j := range h.s.jobs {
		for _, st := range j.stages {
			missing, running, pending := 0, 0, map[int]bool{}
			for i := range st.tasks {
				t := &st.tasks[i]
				for _, a := range t.attempts {
					if a.state != AttemptRunning {
						continue
					}
					running++
					used[a.on] += a.threads
					if st.kind != model.TaskReduce {
						maps[a.on]++
					}
				}
				if t.committed < 0 {
					missing++
					pending[i] = !t.isRunning()
				} else if t.isRunning() {
					h.t.Fatalf("task %s.%d is done and runs", st.id, i)
				}
			}
			if missing != st.missing || running != st.running {
				h.t.Fatalf("stage %s: missing %d running %d, the books say %d and %d", st.id, missing, running, st.missing, st.running)
			}
			for n, i := range st.pending {
				if !pending[i] || n > 0 && st.before(st.pending[n-1], i) >= 0 {
					h.t.Fatalf("stage %s: pending %v", st.id, st.pending)
				}
				delete(pending, i)
			}
			for i, p := range pending {
				if p {
					h.t.Fatalf("stage %s: task %d waits for nothing", st.id, i)
				}
			}
		}
	}
	for _, x := range h.s.executors {
		if used[x.on] != x.used || maps[x.on] != x.maps || x.up && (x.used > x.threads || x.maps > x.slots) {
			h.t.Fatalf("%s: %d threads and %d maps run, the books say %d and %d of %d and %d", x.on, used[x.on], maps[x.on], x.used, x.maps, x.threads, x.slots)
		}
		delete(used, x.on)
	}
	if len(used) > 0 {
		h.t.Fatalf("attempts run on lost executors: %v", used)
	}
}

func (h *harness) checkReplay() {
	h.t.Helper()
	other := New()
	for _, f := range h.facts {
		switch f.e.(type) {
		case ExecutorUp, ExecutorOpen, Tick: // volatile: not in a journal
			continue
		}
		_ = other.Apply(f.now, f.e) // refused ones changed nothing here either
	}
	if a, b := dump(h.t, h.s), dump(h.t, other); a != b {
		h.t.Fatalf("after a replay:\n%s\nbefore:\n%s", b, a)
	}
}

func dump(t failer, s *Scheduler) string {
	var b strings.Builder
	if err := s.Dump(&b); err != nil {
		t.Fatalf("%v", err)
	}
	return b.String()
}

// TestScripts runs the stories in testdata/scripts:
//
//	executors a=2 b=4/2                 threads, or threads/slots
//	submit job=j maps=W,W,… reduces=N   weights of the map tasks
//	report ATTEMPT ok | REASON          report ATTEMPT ok on=X: under X's present incarnation
//	lose X      close X     open X      sleep DURATION      state
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		h := newHarness(t)
		numbers := map[string]uint64{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			h.t = t
			var out strings.Builder
			for _, line := range strings.Split(d.Input, "\n") {
				fmt.Fprintf(&out, "> %s\n%s", line, h.command(strings.Fields(line), numbers))
				h.check()
				h.checkReplay()
			}
			return out.String()
		})
	})
}

func (h *harness) command(w []string, numbers map[string]uint64) string {
	on := func(x string) model.Incarnation {
		return model.Incarnation{Executor: model.ExecutorID(x), Number: numbers[x]}
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			h.t.Fatalf("%v: %v", w, err)
		}
		return n
	}
	var out string
	switch w[0] {
	case "executors":
		for _, kv := range w[1:] {
			x, offer, _ := strings.Cut(kv, "=")
			threads, slots, ok := strings.Cut(offer, "/")
			if !ok {
				slots = "1"
			}
			numbers[x]++
			out += h.step(ExecutorUp{On: on(x), Threads: number(threads), Slots: number(slots)})
		}
		return out
	case "submit":
		return h.submit(w[1:], number)
	case "report":
		id, err := model.ParseAttemptID(w[1])
		if err != nil {
			h.t.Fatalf("%v", err)
		}
		if w[2] != "ok" {
			return h.step(AttemptFailed{Attempt: id, Failure: *model.Failf(model.Reason(w[2]), "broken")})
		}
		a, _ := h.s.Attempt(id)
		if len(w) > 3 {
			a.On = on(strings.TrimPrefix(w[3], "on="))
		}
		return h.step(Committed{Attempt: id, On: a.On})
	case "lose":
		return h.step(ExecutorLost{On: on(w[1])})
	case "close", "open":
		return h.step(ExecutorOpen{On: on(w[1]), Open: w[0] == "open"})
	case "sleep":
		pause, err := time.ParseDuration(w[1])
		if err != nil {
			h.t.Fatalf("%v", err)
		}
		h.now = h.now.Add(pause)
		return h.step(Tick{})
	case "state":
		return dump(h.t, h.s)
	}
	h.t.Fatalf("unknown command %v", w)
	return ""
}

func (h *harness) submit(args []string, number func(string) int) string {
	var job model.JobID
	var weights []int64
	for _, kv := range args {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "job":
			job = model.JobID(v)
		case "maps":
			for _, s := range strings.Split(v, ",") {
				weights = append(weights, int64(number(s)))
			}
		case "reduces":
			h.reads[job] = number(v)
		}
	}
	out := h.step(JobStarted{Job: job, Shapes: []Shape{{Kind: model.TaskMap}, {Kind: model.TaskReduce, Needs: []int{0}}}})
	return out + h.step(StageStarted{Stage: model.StageID{Job: job}, Weights: weights})
}

// TestRandomFacts feeds facts in any order. Those that cannot be are refused and change nothing; the counts
// stay right; and with one executor and no faults every job ends, whatever its stages are.
func TestRandomFacts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHarness(rt)
		numbers := map[model.ExecutorID]uint64{}
		job := model.JobID("")
		// Each number is drawn about as often; rapid's own ranges prefer small ones.
		pick := func(max int) int {
			n := 0
			for range bits.Len(uint(max)) + 2 {
				n *= 2
				if rapid.Bool().Draw(rt, "bit") {
					n++
				}
			}
			return n % (max + 1)
		}
		for range pick(250) {
			x := model.ExecutorID([]string{"a", "b"}[pick(1)])
			on := model.Incarnation{Executor: x, Number: numbers[x]}
			id := model.AttemptID{Task: model.TaskID{Job: job, Stage: pick(2), Index: pick(4)}, Number: pick(3)}
			before := dump(rt, h.s)
			var out string
			switch pick(11) {
			case 0:
				if len(h.s.jobs) > 2 {
					continue
				}
				job = model.JobID(fmt.Sprintf("j%d", len(h.facts)))
				h.reads[job] = pick(4)
				// A diamond: the last stage reads the first two.
				out = h.step(JobStarted{Job: job, Shapes: []Shape{{Kind: model.TaskMap}, {Kind: model.TaskMap, Needs: []int{0}}, {Kind: model.TaskReduce, Needs: []int{0, 1}}}})
				out += h.step(StageStarted{Stage: model.StageID{Job: job}, Weights: []int64{1, 5, 3}[:pick(3)]})
			case 1, 2:
				numbers[x]++
				h.step(ExecutorLost{On: on})
				on.Number++
				out = h.step(ExecutorUp{On: on, Threads: 1 + pick(4), Slots: 1 + pick(3)})
			case 3:
				out = h.step(ExecutorLost{On: on})
			case 4:
				out = h.step(ExecutorOpen{On: on, Open: pick(1) == 0})
			case 5, 6, 7:
				// An incarnation that is lost reports nothing: whoever asks the scheduler sees to that.
				if a, ok := h.s.Attempt(id); ok && h.s.executor(a.On) != nil {
					out = h.step(Committed{Attempt: id, On: a.On})
				}
			case 8:
				reason := []model.Reason{model.ReasonFetchFailed, model.ReasonDiskFull, model.ReasonIO, model.ReasonExecutorLost}[pick(3)]
				out = h.step(AttemptFailed{Attempt: id, Failure: model.Failure{Reason: reason}})
			case 9:
				out = h.step(OutputsLost{Attempts: []model.AttemptID{id}})
			case 10:
				h.now = h.now.Add(time.Duration(pick(3)) * time.Second)
				out = h.step(Tick{})
			case 11:
				out = h.step(AttemptStarted{Attempt: id, On: on, Threads: 0}) // no threads: always refused
			}
			if strings.HasPrefix(out, "error") && before != dump(rt, h.s) {
				rt.Fatalf("a refused fact changed the state: %s", out)
			}
			h.check()
		}
		h.checkReplay()
		finishAll(rt, h, numbers)
	})
}

func finishAll(rt *rapid.T, h *harness, numbers map[model.ExecutorID]uint64) {
	for _, x := range []model.ExecutorID{"a", "b"} {
		h.step(ExecutorLost{On: model.Incarnation{Executor: x, Number: numbers[x]}})
	}
	on := model.Incarnation{Executor: "a", Number: numbers["a"] + 1}
	h.step(ExecutorUp{On: on, Threads: 2, Slots: 1})
	for range 200 {
		if len(h.s.jobs) == 0 {
			if threads, attempts, outputs := h.s.Load(on); threads+attempts+outputs != 0 {
				rt.Fatalf("no job, but %d threads in use", threads)
			}
			return
		}
		for _, id := range h.s.Running(on) {
			h.step(Committed{Attempt: id, On: on})
			h.check()
		}
		if at, ok := h.s.Deadline(h.now); ok {
			h.now = at
		}
		h.step(Tick{})
	}
	rt.Fatalf("jobs do not end:\n%s", dump(rt, h.s))
}

func TestRetryDelayGrowsToItsLimit(t *testing.T) {
	for before, want := range map[int]time.Duration{0: 100 * time.Millisecond, 1: 200 * time.Millisecond, 6: 6400 * time.Millisecond, 7: maxRetryDelay, 1000: maxRetryDelay} {
		if got := retryDelay(before); got != want {
			t.Errorf("after %d failures: %v, want %v", before, got, want)
		}
	}
}
