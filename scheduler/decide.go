package scheduler

import (
	"slices"
	"time"

	"github.com/sluice-engine/sluice/model"
)

// Decide says what should happen next. It looks at the state only, never at which event came last, so a
// proposal that was lost in a crash is made again. It is asked again after its proposals were
// accepted, until it has none.
//
// When something else is proposed no attempts are: the facts that follow may change where they go.
func (s *Scheduler) Decide(now time.Time) []Action {
	out := s.revokes
	s.revokes = nil
	busy := false
	for _, j := range s.jobs {
		if j.doomed != nil {
			out, busy = append(out, *j.doomed), true
			continue
		}
		if lost := s.orphans(j); len(lost) > 0 {
			out, busy = append(out, LoseOutputs{Job: j.id, Attempts: lost}), true
			continue
		}
		if n := len(j.stages); n > 0 && j.stages[n-1].missing == 0 && !j.stages[n-1].told {
			j.stages[n-1].told = true
			out, busy = append(out, StageDone{Stage: j.stages[n-1].id}), true
		}
	}
	if busy {
		return out
	}
	s.orphaned = false
	return append(out, s.place(now)...)
}

// needed reports whether a stage that reads the outputs of stage n still has work before it.
func (j *job) needed(n int) bool {
	for i := n + 1; i < len(j.shapes); i++ {
		if slices.Contains(j.shapes[i].Needs, n) && (i >= len(j.stages) || j.stages[i].missing > 0) {
			return true
		}
	}
	return false
}

// orphans returns committed outputs that are needed and whose holder is lost.
func (s *Scheduler) orphans(j *job) []model.AttemptID {
	if !s.orphaned {
		return nil
	}
	var lost []model.AttemptID
	for _, st := range j.stages {
		if st.kind != model.TaskMap || !j.needed(st.id.Stage) {
			continue
		}
		for i := range st.tasks {
			if t := &st.tasks[i]; t.committed >= 0 && s.executor(t.holder) == nil {
				lost = append(lost, st.attemptID(i, t.committed))
			}
		}
	}
	return lost
}

// ready reports whether the tasks of a stage can run now: every output that they read is there, and
// its holder is known by address.
func (s *Scheduler) ready(j *job, st *stage) bool {
	for _, n := range st.needs {
		up := j.stages[n]
		if up.missing > 0 {
			return false
		}
		var last model.Incarnation
		for i := range up.tasks {
			if h := up.tasks[i].holder; h != last {
				if x := s.executor(h); x == nil || !x.up {
					return false
				}
				last = h
			}
		}
	}
	return true
}

// place proposes attempts for pending tasks: jobs in their order; in a job earlier stages first, so
// that lost outputs are made again before anything else; in a stage bigger tasks first.
//
// A task that needs several threads and finds them nowhere keeps the emptiest executor to itself:
// else smaller tasks of later jobs would take each thread as it becomes free, for ever.
func (s *Scheduler) place(now time.Time) []Action {
	r := s.newRoom()
	var out []Action
	for _, j := range s.jobs {
		for _, st := range j.stages {
			if len(st.pending) == 0 || !s.ready(j, st) {
				continue
			}
			for _, i := range st.pending {
				if r.empty() {
					return out
				}
				t := &st.tasks[i]
				if t.notBefore.After(now) {
					continue
				}
				x := r.pick(st.kind, t.avoid)
				if x == nil {
					r.reserve()
					continue
				}
				need := x.need(st.kind)
				r.take(x, st.kind, need)
				out = append(out, Launch{Attempt: st.attemptID(i, len(t.attempts)), On: x.on, Threads: need})
			}
		}
	}
	return out
}

// room is what the open executors have free in one round of placement.
type room struct {
	of   []*executor // by incarnation; those with free threads that nothing reserved
	used []int       // threads, what this round gave away included
	maps []int
}

func (s *Scheduler) newRoom() *room {
	r := &room{}
	for _, x := range s.executors {
		if x.up && x.open && x.used < x.threads {
			r.of, r.used, r.maps = append(r.of, x), append(r.used, x.used), append(r.maps, x.maps)
		}
	}
	return r
}

func (r *room) empty() bool { return len(r.of) == 0 }

func (r *room) fits(i int, k model.TaskKind) bool {
	x := r.of[i]
	if k != model.TaskReduce && r.maps[i] >= x.slots {
		return false
	}
	return r.used[i]+x.need(k) <= x.threads
}

// emptier compares loads as fractions, used/threads, without dividing.
func (r *room) emptier(a, b int) bool { return r.used[a]*r.of[b].threads < r.used[b]*r.of[a].threads }

// pick returns the executor that a task of the kind goes to, or nil when none has room: one where the
// task did not fail before any other, one where it failed longest ago before the rest; among
// equals the least loaded, the first by id.
func (r *room) pick(k model.TaskKind, avoid []model.ExecutorID) *executor {
	best, bestRank := -1, 0
	for i, x := range r.of {
		if !r.fits(i, k) {
			continue
		}
		rank := slices.Index(avoid, x.on.Executor)
		if best < 0 || rank < bestRank || rank == bestRank && r.emptier(i, best) {
			best, bestRank = i, rank
		}
	}
	if best < 0 {
		return nil
	}
	return r.of[best]
}

func (r *room) take(x *executor, k model.TaskKind, threads int) {
	i := slices.Index(r.of, x)
	r.used[i] += threads
	if k != model.TaskReduce {
		r.maps[i]++
	}
	if r.used[i] >= x.threads {
		r.drop(i)
	}
}

// reserve withholds the emptiest executor from the rest of the round.
func (r *room) reserve() {
	best := 0
	for i := range r.of {
		if r.emptier(i, best) {
			best = i
		}
	}
	r.drop(best)
}

func (r *room) drop(i int) {
	r.of = slices.Delete(r.of, i, i+1)
	r.used = slices.Delete(r.used, i, i+1)
	r.maps = slices.Delete(r.maps, i, i+1)
}
