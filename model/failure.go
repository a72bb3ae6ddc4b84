package model

import (
	"errors"
	"fmt"
)

// Reason classifies a failure where it happens; it travels unchanged to the user.
type Reason string

// The reasons. Retryable and CountsTowardLimit are two separate facts about each.
const (
	ReasonUser         Reason = "user"          // the job cannot work: bad column, conflict, not supported
	ReasonInput        Reason = "input"         // an input file is corrupt, changed or unreadable
	ReasonFetchFailed  Reason = "fetch_failed"  // a map output could not be read; see Failure.Fetch
	ReasonExecutorLost Reason = "executor_lost" // the executor went away
	ReasonCorruption   Reason = "corruption"    // data of ours failed its checksum where it was written
	ReasonIO           Reason = "io"            // reading or writing failed
	ReasonDiskFull     Reason = "disk_full"     // no space on scratch or output
	ReasonOutOfMemory  Reason = "out_of_memory"
	ReasonKilled       Reason = "killed"   // cancelled, or another attempt was faster
	ReasonInternal     Reason = "internal" // a mistake of ours, a recovered panic
	ReasonConflict     Reason = "conflict" // the output exists, or another job writes there
	ReasonVerification Reason = "verification"
	ReasonNoExecutors  Reason = "no_executors"
)

// Retryable reports whether another attempt may succeed.
func (r Reason) Retryable() bool {
	switch r {
	case ReasonUser, ReasonInput, ReasonConflict, ReasonVerification, ReasonNoExecutors:
		return false
	}
	return true
}

// CountsTowardLimit reports whether the failure counts toward the four that end a task.
func (r Reason) CountsTowardLimit() bool {
	switch r {
	case ReasonExecutorLost, ReasonFetchFailed, ReasonKilled, ReasonDiskFull:
		return false
	}
	return true
}

// MaxTaskFailures is how many counted failures end a task, and with it the job.
const MaxTaskFailures = 4

// Failure is a typed error. It crosses process boundaries without loss.
type Failure struct {
	Reason  Reason       `json:"reason"`
	Message string       `json:"message"`
	Fetch   *FetchFailed `json:"fetch,omitempty"`
	cause   error
}

// FetchFailed names the map output that could not be read.
type FetchFailed struct {
	Holder  Incarnation `json:"holder"`
	Attempt AttemptID   `json:"attempt"`
	Cause   string      `json:"cause"`
}

func (f *Failure) Error() string { return f.Message }

// Unwrap returns the error the failure was made from, in the process where it was made.
func (f *Failure) Unwrap() error { return f.cause }

// Failf makes a failure from a reason and a message; %w keeps the cause.
func Failf(r Reason, format string, a ...any) *Failure {
	err := fmt.Errorf(format, a...)
	return &Failure{Reason: r, Message: err.Error(), cause: errors.Unwrap(err)}
}

// AsFailure returns the failure in err's chain with err's full text, or wraps err as otherwise.
func AsFailure(err error, otherwise Reason) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return &Failure{Reason: f.Reason, Message: err.Error(), Fetch: f.Fetch, cause: err}
	}
	return &Failure{Reason: otherwise, Message: err.Error(), cause: err}
}
