// Package core is the whole coordinator as one value. All facts come in as events, all effects go
// out as actions: Handle(now, Event) []Action is deterministic and has no clock, no I/O, no
// goroutine and no random source. Package coordinator is the shell around it.
package core

import (
	"time"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// Event is a fact that the shell tells the core. Every way of finding out the same thing becomes
// the same event.
type Event interface{ event() }

// Submit asks for a new job. The shell made the id and the UUID (they are random), normalized and
// validated the spec. If a job with the same Name and a non-empty equal Key exists, the core
// answers with that job's id.
type Submit struct {
	Job  model.JobID
	UUID string
	Spec model.JobSpec
}

// Planned is the answer to a PlanJob action: the shell listed the input, read the footers, claimed
// the output and called plan.
type Planned struct {
	Job  model.JobID
	Plan plan.Job
}

// PlanFailed is the other answer to PlanJob.
type PlanFailed struct {
	Job     model.JobID
	Failure model.Failure
}

// Register comes when an executor opened a session. Previous is the incarnation it had, 0 if none;
// the core resumes it when it is still alive (a broken stream that came back in time, or a restarted
// coordinator that knows it from the journal), else it answers with a new incarnation and revokes
// the Running attempts. Held map outputs are taken whatever became of the incarnation.
type Register struct {
	Executor model.ExecutorID
	Previous uint64
	Addr     string // block server, host:port
	HostID   string
	Threads  int
	Slots    int // map tasks at a time, each with Threads/Slots threads
	Memory   int64
	Held     []HeldOutput
	Running  []model.AttemptID // that run, or whose report was not sent on any session yet
	Session  uint64            // the shell's name for the stream; Send actions carry it back
}

// HeldOutput is a finished map output on an executor's disk.
type HeldOutput struct {
	Attempt  model.AttemptID
	Segments []model.Segment
}

// StreamBroken says that a session ended. The executor has ReconnectGrace to come back.
type StreamBroken struct {
	Incarnation model.Incarnation
	Session     uint64
}

// Heartbeat renews the lease. Progress is a hint for people.
type Heartbeat struct {
	Incarnation model.Incarnation
	Session     uint64
	Progress    []model.Progress
}

// Suspected comes from gossip: no new tasks go there until a heartbeat arrives on the stream. It
// never loses an executor by itself.
type Suspected struct{ Executor model.ExecutorID }

// Leaving says that the executor takes no more tasks and will go once its running ones ended.
type Leaving struct{ Incarnation model.Incarnation }

// MapFinished and WriteFinished report a finished attempt; the first report of a task that is
// journaled commits it, others are discarded.
type MapFinished struct {
	Incarnation model.Incarnation
	Output      model.MapOutput
}

// WriteFinished reports a reduce or direct attempt whose files are staged.
type WriteFinished struct {
	Incarnation model.Incarnation
	Output      model.WriteOutput
}

// AttemptFailed reports a failed attempt.
type AttemptFailed struct {
	Incarnation model.Incarnation
	Attempt     model.AttemptID
	Failure     model.Failure
}

// Cancel ends a job; it does nothing to a job that ended.
type Cancel struct {
	Job    model.JobID
	Reason string
}

// PublishDone answers a PublishStep action that succeeded; PublishFailed one that did not.
type PublishDone struct {
	Job    model.JobID
	Step   PublishStepKind
	Result PublishResult
}

// PublishFailed reports a publish step that failed. Steps can be repeated; the core decides whether
// to repeat, to undo (before the commit point) or to go on (after it).
type PublishFailed struct {
	Job     model.JobID
	Step    PublishStepKind
	Failure model.Failure
}

// Tick lets time pass: leases and grace periods run out only here.
type Tick struct{}

func (Submit) event()        {}
func (Planned) event()       {}
func (PlanFailed) event()    {}
func (Register) event()      {}
func (StreamBroken) event()  {}
func (Heartbeat) event()     {}
func (Suspected) event()     {}
func (Leaving) event()       {}
func (MapFinished) event()   {}
func (WriteFinished) event() {}
func (AttemptFailed) event() {}
func (Cancel) event()        {}
func (PublishDone) event()   {}
func (PublishFailed) event() {}
func (Tick) event()          {}

// Action is an effect that the core asks of the shell. The shell carries actions out in order; an
// Append must be durable before any action after it is carried out.
type Action interface{ action() }

// Append asks the shell to make a journal entry durable. The core has applied it already.
type Append struct{ Entry Entry }

// PlanJob asks the shell to plan a job and answer with Planned or PlanFailed.
type PlanJob struct {
	Job  model.JobID
	UUID string
	Spec model.JobSpec
}

// Send asks the shell to send a message on a session; a session that is gone swallows it.
type Send struct {
	Session uint64
	Message Message
}

// PublishStep asks the shell for one step of design 5.7 and an answer.
type PublishStep struct {
	Job  model.JobID
	Step PublishStepKind
	Args PublishArgs
}

// JobChanged wakes whoever watches the job. The shell reads the new state with Core.Job.
type JobChanged struct{ Job model.JobID }

// Submitted answers Submit: Asked is the id that the shell made up, Job the one that the job has.
// They differ when a job with that name and key was there already. It comes after the Append that
// makes the job durable.
type Submitted struct{ Asked, Job model.JobID }

// CancelAnswer answers Cancel. Why says why it was not accepted.
type CancelAnswer struct {
	Job      model.JobID
	Accepted bool
	Why      string
}

// StopPlan says that nobody waits for the plan any more. The shell may cut the planning short; it
// answers PlanJob with Planned or PlanFailed in any case, and the job ends only then.
type StopPlan struct{ Job model.JobID }

func (Append) action()       {}
func (PlanJob) action()      {}
func (Send) action()         {}
func (PublishStep) action()  {}
func (JobChanged) action()   {}
func (Submitted) action()    {}
func (CancelAnswer) action() {}
func (StopPlan) action()     {}

// Message goes from the coordinator to an executor.
type Message interface{ message() }

// Registered answers Register.
type Registered struct {
	Incarnation model.Incarnation
	Lease       time.Duration // the executor must be heard within it; it sends heartbeats every third of it
}

// Assign starts an attempt.
type Assign struct{ Assignment model.Assignment }

// Revoke stops an attempt; the executor discards what it staged and does not report it.
type Revoke struct{ Attempt model.AttemptID }

// ForgetJob says that the job ended: the executor removes its map outputs and scratch.
type ForgetJob struct{ Job model.JobID }

// Refused ends a session whose incarnation is lost: the executor must register anew.
type Refused struct{ Why string }

func (Registered) message() {}
func (Assign) message()     {}
func (Revoke) message()     {}
func (ForgetJob) message()  {}
func (Refused) message()    {}

// PublishStepKind names a step of design 5.7.
type PublishStepKind string

// The steps in their order. Undo replaces all that follow before the commit point; Cleanup comes
// last on every path, also for a job that failed or was cancelled before it published anything
// (PublishArgs.Conf.StagingDir is empty when it was not even planned): it removes staged files, the
// record and the claim. A job is seen as ended only after its Cleanup.
const (
	StepRecord  PublishStepKind = "record"  // 1: write the publish record
	StepRename  PublishStepKind = "rename"  // 2: staged files get their names, fsynced
	StepCheck   PublishStepKind = "check"   // 3: rows by the footers; content when asked
	StepCommit  PublishStepKind = "commit"  // 4: the commit object, only if absent
	StepFinish  PublishStepKind = "finish"  // 5: old files go, _SUCCESS, the record goes
	StepUndo    PublishStepKind = "undo"    // before 4 only: remove what step 2 made; see PublishResult.Committed
	StepCleanup PublishStepKind = "cleanup" // staging, share token and claim go
)

// PublishArgs is what the shell needs for a step. Manifests are those of the committed attempts in
// task order; the files they list are never held by the core.
type PublishArgs struct {
	Conf         model.JobConf
	Mode         model.Mode
	Verify       model.VerifyLevel
	Old          []plan.OldFile
	Manifests    []model.ManifestRef
	Record       RecordRef // set from StepRename on
	ExpectedRows int64     // rows read; step 3 compares
	ExpectedHash model.ContentHash
	EmptyText    int64 // "" that come back as null: content check counts them as equal
}

// RecordRef names the publish record, as the journal holds it.
type RecordRef struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	CRC   uint32 `json:"crc"`
}

// PublishResult is what a step found out.
type PublishResult struct {
	Record    RecordRef // of StepRecord
	Files     int64     // of StepCheck
	Rows      int64     // of StepCheck
	Bytes     int64     // of StepCheck
	ByContent bool      // StepCheck compared the content hash
	Removed   int64     // of StepFinish: old files removed
	// Committed is of StepUndo, which looks for the commit object before it touches anything: it
	// was there (a commit whose answer was lost), so nothing was undone and the job goes forward.
	Committed bool
}
