// Package wire converts the words of package model to their protobuf messages and back, without
// loss: what goes in comes out, with an empty slice and a nil one as the only things not told apart.
//
// Reading never fails on a message that lacks parts: an absent message reads as the zero value.
// Whether a value makes sense is checked by who uses it.
package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-engine/sluice/model"
	modelv1 "github.com/sluice-engine/sluice/proto/gen/sluice/model/v1"
)

// Slice converts element by element; an empty slice becomes nil.
func Slice[A, B any](in []A, convert func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = convert(v)
	}
	return out
}

// optional converts what a pointer points to; nil stays nil.
func optional[A, B any](in *A, convert func(A) *B) *B {
	if in == nil {
		return nil
	}
	return convert(*in)
}

// present is optional in the other direction: an absent message is a nil pointer.
func present[A, B any](in *A, convert func(*A) B) *B {
	if in == nil {
		return nil
	}
	out := convert(in)
	return &out
}

// timeTo leaves the zero time absent. Clock readings and zones do not travel.
func timeTo(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeFrom(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func ints(in []int) []int64 {
	return Slice(in, func(v int) int64 { return int64(v) })
}

func fromInts(in []int64) []int {
	return Slice(in, func(v int64) int { return int(v) })
}

// texts copies, so that neither side sees the other's later changes.
func texts(in []string) []string { return append([]string(nil), in...) }

func int64s(in []int64) []int64 { return append([]int64(nil), in...) }

// TaskID converts a task's name.
func TaskID(t model.TaskID) *modelv1.TaskID {
	return &modelv1.TaskID{Job: string(t.Job), Stage: int64(t.Stage), Index: int64(t.Index)}
}

// FromTaskID is the inverse of TaskID.
func FromTaskID(t *modelv1.TaskID) model.TaskID {
	return model.TaskID{Job: model.JobID(t.GetJob()), Stage: int(t.GetStage()), Index: int(t.GetIndex())}
}

// AttemptID converts an attempt's name.
func AttemptID(a model.AttemptID) *modelv1.AttemptID {
	return &modelv1.AttemptID{Task: TaskID(a.Task), Number: int64(a.Number)}
}

// FromAttemptID is the inverse of AttemptID.
func FromAttemptID(a *modelv1.AttemptID) model.AttemptID {
	return model.AttemptID{Task: FromTaskID(a.GetTask()), Number: int(a.GetNumber())}
}

// Incarnation converts the name of a registration.
func Incarnation(i model.Incarnation) *modelv1.Incarnation {
	return &modelv1.Incarnation{Executor: string(i.Executor), Number: i.Number}
}

// FromIncarnation is the inverse of Incarnation.
func FromIncarnation(i *modelv1.Incarnation) model.Incarnation {
	return model.Incarnation{Executor: model.ExecutorID(i.GetExecutor()), Number: i.GetNumber()}
}

// PartitionKey converts a partition's identity.
func PartitionKey(k model.PartitionKey) *modelv1.PartitionKey {
	return &modelv1.PartitionKey{Bucket: k.Bucket, Path: k.Path}
}

// FromPartitionKey is the inverse of PartitionKey.
func FromPartitionKey(k *modelv1.PartitionKey) model.PartitionKey {
	return model.PartitionKey{Bucket: k.GetBucket(), Path: k.GetPath()}
}

// Failure converts a typed error. The error it was made from stays in its process; its text is part
// of the message.
func Failure(f model.Failure) *modelv1.Failure {
	return &modelv1.Failure{Reason: string(f.Reason), Message: f.Message, Fetch: optional(f.Fetch, fetchFailed)}
}

// FromFailure is the inverse of Failure.
func FromFailure(f *modelv1.Failure) model.Failure {
	return model.Failure{Reason: model.Reason(f.GetReason()), Message: f.GetMessage(),
		Fetch: present(f.GetFetch(), fromFetchFailed)}
}

func fetchFailed(f model.FetchFailed) *modelv1.FetchFailed {
	return &modelv1.FetchFailed{Holder: Incarnation(f.Holder), Attempt: AttemptID(f.Attempt), Cause: f.Cause}
}

func fromFetchFailed(f *modelv1.FetchFailed) model.FetchFailed {
	return model.FetchFailed{Holder: FromIncarnation(f.GetHolder()), Attempt: FromAttemptID(f.GetAttempt()),
		Cause: f.GetCause()}
}
