package model

import (
	"fmt"
	"strconv"
	"strings"
)

// JobID names one submitted job for ever. It sorts by time of submission and is safe as a file
// name and as a part of a URL: letters, digits and '-' only.
type JobID string

// Valid reports whether the id can be used as a path element.
func (j JobID) Valid() bool {
	if j == "" || len(j) > 64 {
		return false
	}
	for _, c := range string(j) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-':
		default:
			return false
		}
	}
	return true
}

// StageID names one stage of a job; stages are numbered from 0 in the order of their edges.
type StageID struct {
	Job   JobID
	Stage int
}

func (s StageID) String() string { return string(s.Job) + "." + strconv.Itoa(s.Stage) }

// TaskID names one task of a stage.
type TaskID struct {
	Job   JobID
	Stage int
	Index int
}

// StageID returns the stage the task belongs to.
func (t TaskID) StageID() StageID { return StageID{Job: t.Job, Stage: t.Stage} }

func (t TaskID) String() string {
	return string(t.Job) + "." + strconv.Itoa(t.Stage) + "." + strconv.Itoa(t.Index)
}

// AttemptID names one try of a task on one executor. Numbers start at 0 and are never used
// again, so everything that an attempt wrote can be named by it.
type AttemptID struct {
	Task   TaskID
	Number int
}

// String is the one text form: map key, log field and file name.
func (a AttemptID) String() string { return a.Task.String() + "." + strconv.Itoa(a.Number) }

// ParseAttemptID reads what AttemptID.String wrote.
func ParseAttemptID(s string) (AttemptID, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 || !JobID(parts[0]).Valid() {
		return AttemptID{}, fmt.Errorf("attempt id %q: want JOB.STAGE.TASK.NUMBER", s)
	}
	var n [3]int
	for i, p := range parts[1:] {
		v, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return AttemptID{}, fmt.Errorf("attempt id %q: %w", s, err)
		}
		n[i] = int(v)
	}
	return AttemptID{Task: TaskID{Job: JobID(parts[0]), Stage: n[0], Index: n[1]}, Number: n[2]}, nil
}

// ExecutorID names an executor process; it is chosen by the process and stays the same over its
// registrations.
type ExecutorID string

// Incarnation is one registration of an executor with a coordinator. A lost lease ends it; the
// process registers anew, gets the next number and offers what is on its disk.
type Incarnation struct {
	Executor ExecutorID
	Number   uint64
}

func (i Incarnation) String() string {
	return string(i.Executor) + "@" + strconv.FormatUint(i.Number, 10)
}

// PartitionKey is the identity of one partition of a shuffle. Partitions are ordered by bucket,
// then by path.
//
// For a numbered partitioner (hash, round robin) Bucket is the partition number. For the value
// partitioner it is BucketOf(Path, buckets). Path is the escaped Hive path of the partition
// values ("type=appOpen", "a=1/b=2") or "" when the output is not partitioned by value.
type PartitionKey struct {
	Bucket uint32 `json:"bucket"`
	Path   string `json:"path"`
}

// Compare orders keys by bucket, then path.
func (k PartitionKey) Compare(o PartitionKey) int {
	switch {
	case k.Bucket < o.Bucket:
		return -1
	case k.Bucket > o.Bucket:
		return 1
	}
	return strings.Compare(k.Path, o.Path)
}

func (k PartitionKey) String() string {
	if k.Path == "" {
		return strconv.FormatUint(uint64(k.Bucket), 10)
	}
	return strconv.FormatUint(uint64(k.Bucket), 10) + ":" + k.Path
}
