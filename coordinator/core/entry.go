package core

import (
	"time"

	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// Version is the version of the core's durable entries. A journal with a newer one is refused by
// name. It changes whenever an entry means something else.
const Version = 1

// MaxEntryBytes limits an encoded entry. What can be longer is cut into parts (PlanPart, ReducePart,
// SizesPart) that come before the entry they belong to.
const MaxEntryBytes = 1 << 20

// Entry is one durable fact. Exactly one of the pointers is set. Now never goes back within a journal.
// Entries are stored as JSON; fields may be added, never renamed or given another meaning.
type Entry struct {
	Version int       `json:"version"`
	Now     time.Time `json:"now"`

	JobSubmitted   *JobSubmitted   `json:"job_submitted,omitempty"`
	JobPlanned     *JobPlanned     `json:"job_planned,omitempty"`
	PlanPart       *PlanPart       `json:"plan_part,omitempty"` // precede their JobPlanned
	StageStarted   *StageStarted   `json:"stage_started,omitempty"`
	ReducePart     *ReducePart     `json:"reduce_part,omitempty"` // precede their StageStarted
	AttemptStarted *AttemptStarted `json:"attempt_started,omitempty"`
	MapCommitted   *MapCommitted   `json:"map_committed,omitempty"`
	TaskCommitted  *TaskCommitted  `json:"task_committed,omitempty"`
	OutputsLost    *OutputsLost    `json:"outputs_lost,omitempty"`
	ExecutorLost   *ExecutorLost   `json:"executor_lost,omitempty"`
	PublishMoved   *PublishMoved   `json:"publish_moved,omitempty"`
	SizesPart      *SizesPart      `json:"sizes_part,omitempty"` // precede their MapCommitted
	AttemptFailed  *AttemptFailure `json:"attempt_failed,omitempty"`
	JobStopping    *JobStopping    `json:"job_stopping,omitempty"`
	JobEnded       *JobEnded       `json:"job_ended,omitempty"`
}

// JobSubmitted opens a job's history. As in all facts below, the fields are what replay needs and
// nothing else.
type JobSubmitted struct {
	Job  model.JobID   `json:"job"`
	UUID string        `json:"uuid"`
	Spec model.JobSpec `json:"spec"`
}

// PlanPart carries some of a plan's splits, old files or schema bytes, in order. The first part of a
// plan has Seq 0 and drops what a plan that was never finished left behind. A split whose Index is
// that of the split before it continues it.
type PlanPart struct {
	Job    model.JobID    `json:"job"`
	Seq    int            `json:"seq"`
	Splits []model.Split  `json:"splits,omitempty"`
	Old    []plan.OldFile `json:"old,omitempty"`
	Schema []byte         `json:"schema,omitempty"` // of JobConf.InputSchema
}

// JobPlanned ends the plan parts and carries the rest of the plan. Conf is without InputSchema, which
// the parts carry.
type JobPlanned struct {
	Job        model.JobID   `json:"job"`
	Conf       model.JobConf `json:"conf"`
	InputFiles int64         `json:"input_files"`
	InputRows  int64         `json:"input_rows"`
	InputBytes int64         `json:"input_bytes"`
}

// ReducePart carries some of a reduce stage's ranges, in order; Seq is as in PlanPart.
type ReducePart struct {
	Stage  model.StageID       `json:"stage"`
	Seq    int                 `json:"seq"`
	Ranges []model.ReduceRange `json:"ranges"`
}

// StageStarted says that the tasks of a stage are fixed and may run.
type StageStarted struct {
	Stage model.StageID  `json:"stage"`
	Kind  model.TaskKind `json:"kind"`
	Tasks int            `json:"tasks"`
}

// AttemptStarted says that an attempt was given to an incarnation.
type AttemptStarted struct {
	Attempt model.AttemptID   `json:"attempt"`
	On      model.Incarnation `json:"on"`
	Threads int               `json:"threads"`
}

// AttemptFailure says that a running attempt ended without a result.
type AttemptFailure struct {
	Attempt model.AttemptID `json:"attempt"`
	Failure model.Failure   `json:"failure"`
}

// SizesPart carries some of a map output's bucket and hot value sizes; Seq is as in PlanPart.
type SizesPart struct {
	Attempt model.AttemptID    `json:"attempt"`
	Seq     int                `json:"seq"`
	Buckets []model.BucketSize `json:"buckets,omitempty"`
	Hot     []model.ValueSize  `json:"hot,omitempty"`
}

// MapCommitted says that a map task's output is this one. Output is without Buckets and Hot when the parts
// before it carry them, and when the sizes of the task are known already: its first output was lost,
// and this is another one, or the same one on a new incarnation.
type MapCommitted struct {
	On     model.Incarnation `json:"on"`
	Output model.MapOutput   `json:"output"`
}

// TaskCommitted says that a writing task's files are these.
type TaskCommitted struct {
	On     model.Incarnation `json:"on"`
	Output model.WriteOutput `json:"output"`
}

// OutputsLost says that map outputs are gone and their tasks must run again. Bad ones could not be
// read where they were; they are not taken again when an executor offers them.
type OutputsLost struct {
	Attempts []model.AttemptID `json:"attempts"`
	Bad      bool              `json:"bad,omitempty"`
	Why      string            `json:"why"`
}

// ExecutorLost ends an incarnation.
type ExecutorLost struct {
	Incarnation model.Incarnation `json:"incarnation"`
	Why         string            `json:"why"`
}

// PublishMoved says that a publish step is done, and so which comes next.
type PublishMoved struct {
	Job    model.JobID     `json:"job"`
	Step   PublishStepKind `json:"step"`
	Result PublishResult   `json:"result"`
}

// JobStopping says that the job will end as State: no task of it runs any more, what was published
// is undone, and cleaning up follows.
type JobStopping struct {
	Job     model.JobID    `json:"job"`
	State   model.JobState `json:"state"`
	Failure *model.Failure `json:"failure,omitempty"`
}

// JobEnded is the last entry of a job; its Cleanup is over.
type JobEnded struct {
	Job     model.JobID    `json:"job"`
	State   model.JobState `json:"state"`
	Failure *model.Failure `json:"failure,omitempty"`
	Receipt *model.Receipt `json:"receipt,omitempty"`
}
