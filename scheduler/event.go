// Package scheduler decides which attempt of which task runs where. It is one value: facts come in
// as events, and what should happen next goes out as actions.
//
// Events are facts and change the state; actions are proposals and change nothing: a proposal that
// was accepted comes back as an event. So the same value serves a live coordinator, which journals
// a proposal before it acts on it, and a replay of the journal, which feeds the facts and ignores the
// proposals. There is no clock, no I/O, no goroutine and no random source here.
package scheduler

import (
	"time"

	"github.com/sluice-engine/sluice/model"
)

// Event is a fact.
type Event interface{ event() }

// Shape is one stage of a job as it is known before the stage has tasks. Needs are the numbers of
// the stages whose outputs its tasks read; they are smaller than its own.
type Shape struct {
	Kind  model.TaskKind
	Needs []int
}

// JobStarted adds a job. Jobs are served in the order in which they started.
type JobStarted struct {
	Job    model.JobID
	Shapes []Shape
}

// StageStarted gives a stage its tasks. Weights are their sizes in bytes; bigger tasks go first.
type StageStarted struct {
	Stage   model.StageID
	Weights []int64
}

// ExecutorUp says that an incarnation registered, or came back, and may get attempts.
type ExecutorUp struct {
	On      model.Incarnation
	Threads int
	Slots   int // map tasks at a time
}

// ExecutorOpen says whether an incarnation may get new attempts for now.
type ExecutorOpen struct {
	On   model.Incarnation
	Open bool
}

// ExecutorLost ends an incarnation, and with it what runs there and what only it holds.
type ExecutorLost struct{ On model.Incarnation }

// AttemptStarted says that an attempt was given to an incarnation, which must not be lost. Its number is
// the next of its task.
type AttemptStarted struct {
	Attempt model.AttemptID
	On      model.Incarnation
	Threads int
}

// AttemptFailed says that a running attempt ended without a result.
type AttemptFailed struct {
	Attempt model.AttemptID
	Failure model.Failure
}

// Committed says that the task's result is this attempt's, and who holds it. A map output that was
// committed before and moved to another incarnation is committed again. On must not be lost.
type Committed struct {
	Attempt model.AttemptID
	On      model.Incarnation
}

// OutputsLost says that committed outputs are gone: their tasks run again.
type OutputsLost struct{ Attempts []model.AttemptID }

// JobEnded removes a job and stops what it has running.
type JobEnded struct{ Job model.JobID }

// Tick lets time pass.
type Tick struct{}

func (JobStarted) event()     {}
func (StageStarted) event()   {}
func (ExecutorUp) event()     {}
func (ExecutorOpen) event()   {}
func (ExecutorLost) event()   {}
func (AttemptStarted) event() {}
func (AttemptFailed) event()  {}
func (Committed) event()      {}
func (OutputsLost) event()    {}
func (JobEnded) event()       {}
func (Tick) event()           {}

// Action is a proposal, or, for Revoke and StageDone, news that the state has by itself.
type Action interface{ action() }

// Launch proposes an attempt; AttemptStarted accepts it.
type Launch struct {
	Attempt model.AttemptID
	On      model.Incarnation
	Threads int
}

// Revoke tells that a running attempt is of no use any more. Its threads are free already.
type Revoke struct {
	Attempt model.AttemptID
	On      model.Incarnation
}

// LoseOutputs proposes that outputs whose holder is lost, and that are still needed, are lost.
type LoseOutputs struct {
	Job      model.JobID
	Attempts []model.AttemptID
}

// StageDone tells that every task of a job's last started stage is committed. It is told again
// after a replay, or when a lost output was made again.
type StageDone struct{ Stage model.StageID }

// FailJob proposes that a job fails because of a task; it is repeated until JobEnded.
type FailJob struct {
	Job      model.JobID
	Task     model.TaskID
	Failures int               // counted failures of the task
	On       model.Incarnation // of the last one
	Failure  model.Failure     // the last one
}

func (Launch) action()      {}
func (Revoke) action()      {}
func (LoseOutputs) action() {}
func (StageDone) action()   {}
func (FailJob) action()     {}

// The pause before a task whose attempt failed is tried again doubles from minRetryDelay to
// maxRetryDelay. Without it, a failure that does not count (a full disk, say) would be repeated as fast as
// messages travel.
const (
	minRetryDelay = 100 * time.Millisecond
	maxRetryDelay = 10 * time.Second
)
