package model

import "time"

// JobState is the life of a job. States move forward only:
//
//	planning → running → publishing → succeeded
//	    └──────────┴─────────┴──────→ failed | cancelled
type JobState string

// The states in their order; the last three are terminal.
const (
	JobPlanning   JobState = "planning"
	JobRunning    JobState = "running"
	JobPublishing JobState = "publishing"
	JobSucceeded  JobState = "succeeded"
	JobFailed     JobState = "failed"
	JobCancelled  JobState = "cancelled"
)

// Terminal reports whether the job ended.
func (s JobState) Terminal() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCancelled
}

// Receipt is what a finished job gives back: what went in, what came out, what happened on the way.
type Receipt struct {
	Job          JobID     `json:"job"`
	Name         string    `json:"name"`
	State        JobState  `json:"state"`
	Input        []string  `json:"input"`
	Out          string    `json:"out"`
	Partitioning string    `json:"partitioning"`
	Codec        string    `json:"codec"`
	Mode         Mode      `json:"mode"`
	Submitted    time.Time `json:"submitted"`
	Started      time.Time `json:"started"` // first attempt
	Ended        time.Time `json:"ended"`

	RowsIn     int64 `json:"rows_in"`
	RowsOut    int64 `json:"rows_out"`
	BytesIn    int64 `json:"bytes_in"`  // compressed bytes of the row groups read
	BytesOut   int64 `json:"bytes_out"` // size of the files written
	FilesIn    int64 `json:"files_in"`
	FilesOut   int64 `json:"files_out"`
	FilesGone  int64 `json:"files_removed"` // old files replaced by an overwrite
	Partitions int64 `json:"partitions"`    // different partitions written
	EmptyText  int64 `json:"empty_text_as_null"`

	ShuffleBytes int64         `json:"shuffle_bytes"`
	Fetch        FetchCounters `json:"fetch"`
	// FileSizes counts output files by size: FileSizes[i] have 2^i <= bytes < 2^(i+1).
	FileSizes []int64     `json:"file_sizes"`
	HotKeys   []ValueSize `json:"hot_keys"` // largest first
	MapTasks  int         `json:"map_tasks"`
	Tasks     int         `json:"write_tasks"`
	Retries   int         `json:"retries"` // attempts beyond the first of each task
	Spills    int         `json:"spills"`

	Verified VerifyLevel `json:"verified"`
	Hash     ContentHash `json:"content_hash"`
	Failure  *Failure    `json:"failure,omitempty"`
}

// JobStatus is what a person who watches a job sees.
type JobStatus struct {
	Job       JobID         `json:"id"`
	Name      string        `json:"name"`
	State     JobState      `json:"state"`
	Detail    string        `json:"detail,omitempty"` // what it waits for, or the publish step
	Submitted time.Time     `json:"submitted"`
	Ended     time.Time     `json:"ended,omitzero"`
	Spec      JobSpec       `json:"spec"`
	Stages    []StageStatus `json:"stages"`
	RowsTotal int64         `json:"rows_total"` // rows to read
	Failure   *Failure      `json:"failure,omitempty"`
	Receipt   *Receipt      `json:"receipt,omitempty"`
}

// StageStatus counts a stage's tasks. Rows, Bytes and Files include the progress of running attempts.
type StageStatus struct {
	Stage    int      `json:"stage"`
	Kind     TaskKind `json:"kind"`
	Tasks    int      `json:"tasks"`
	Done     int      `json:"done"`
	Running  int      `json:"running"`
	Failed   int      `json:"failed_attempts"`
	Lost     int      `json:"lost_outputs"`
	Rows     int64    `json:"rows"`
	Bytes    int64    `json:"bytes"`
	Files    int64    `json:"files"`
	RowsGoal int64    `json:"rows_goal"`
}

// ExecutorStatus is what a person sees of an executor.
type ExecutorStatus struct {
	Executor    ExecutorID `json:"id"`
	Incarnation uint64     `json:"incarnation"`
	State       string     `json:"state"` // alive, suspect, disconnected, leaving, lost
	Addr        string     `json:"addr"`
	HostID      string     `json:"host_id"`
	Threads     int        `json:"threads"`
	Slots       int        `json:"slots"`
	Memory      int64      `json:"memory"`
	Running     int        `json:"running"`
	Outputs     int        `json:"map_outputs"`
	LastHeard   time.Time  `json:"last_heard"`
}
