package transport

import (
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-engine/sluice/coordinator/core"
	"github.com/sluice-engine/sluice/model"
	sessionv1 "github.com/sluice-engine/sluice/proto/gen/sluice/session/v1"
	"github.com/sluice-engine/sluice/proto/wire"
)

// saidByExecutor reports whether an event travels from executors to the coordinator.
func saidByExecutor(m UpMessage) bool {
	switch m.(type) {
	case core.Register, core.Heartbeat, core.MapFinished, core.WriteFinished, core.AttemptFailed, core.Leaving:
		return true
	}
	return false
}

func notSaidByExecutor(m UpMessage) error { return fmt.Errorf("an executor does not say %T", m) }

// upToProto converts what an executor says.
func upToProto(m UpMessage) (*sessionv1.OpenRequest, error) {
	switch m := m.(type) {
	case core.Register:
		return &sessionv1.OpenRequest{Message: &sessionv1.OpenRequest_Register{Register: registerToProto(m)}}, nil
	case core.Heartbeat:
		return &sessionv1.OpenRequest{Message: &sessionv1.OpenRequest_Heartbeat{Heartbeat: &sessionv1.Heartbeat{
			Incarnation: wire.Incarnation(m.Incarnation), Progress: wire.Slice(m.Progress, wire.Progress),
		}}}, nil
	case core.MapFinished:
		return &sessionv1.OpenRequest{Message: &sessionv1.OpenRequest_MapFinished{MapFinished: &sessionv1.MapFinished{
			Incarnation: wire.Incarnation(m.Incarnation), Output: wire.MapOutput(m.Output),
		}}}, nil
	case core.WriteFinished:
		return &sessionv1.OpenRequest{Message: &sessionv1.OpenRequest_WriteFinished{WriteFinished: &sessionv1.WriteFinished{
			Incarnation: wire.Incarnation(m.Incarnation), Output: wire.WriteOutput(m.Output),
		}}}, nil
	case core.AttemptFailed:
		return &sessionv1.OpenRequest{Message: &sessionv1.OpenRequest_AttemptFailed{AttemptFailed: &sessionv1.AttemptFailed{
			Incarnation: wire.Incarnation(m.Incarnation), Attempt: wire.AttemptID(m.Attempt), Failure: wire.Failure(m.Failure),
		}}}, nil
	case core.Leaving:
		return &sessionv1.OpenRequest{Message: &sessionv1.OpenRequest_Leaving{Leaving: &sessionv1.Leaving{
			Incarnation: wire.Incarnation(m.Incarnation),
		}}}, nil
	}
	return nil, notSaidByExecutor(m)
}

// upFromProto is the inverse. A message of a kind that this version does not know is an error: it
// ends the session, and the log names both versions through Register and Discover.
func upFromProto(m *sessionv1.OpenRequest) (UpMessage, error) {
	switch m := m.GetMessage().(type) {
	case *sessionv1.OpenRequest_Register:
		return registerFromProto(m.Register), nil
	case *sessionv1.OpenRequest_Heartbeat:
		return core.Heartbeat{Incarnation: wire.FromIncarnation(m.Heartbeat.GetIncarnation()),
			Progress: wire.Slice(m.Heartbeat.GetProgress(), wire.FromProgress)}, nil
	case *sessionv1.OpenRequest_MapFinished:
		return core.MapFinished{Incarnation: wire.FromIncarnation(m.MapFinished.GetIncarnation()),
			Output: wire.FromMapOutput(m.MapFinished.GetOutput())}, nil
	case *sessionv1.OpenRequest_WriteFinished:
		return core.WriteFinished{Incarnation: wire.FromIncarnation(m.WriteFinished.GetIncarnation()),
			Output: wire.FromWriteOutput(m.WriteFinished.GetOutput())}, nil
	case *sessionv1.OpenRequest_AttemptFailed:
		return core.AttemptFailed{Incarnation: wire.FromIncarnation(m.AttemptFailed.GetIncarnation()),
			Attempt: wire.FromAttemptID(m.AttemptFailed.GetAttempt()),
			Failure: wire.FromFailure(m.AttemptFailed.GetFailure())}, nil
	case *sessionv1.OpenRequest_Leaving:
		return core.Leaving{Incarnation: wire.FromIncarnation(m.Leaving.GetIncarnation())}, nil
	}
	return nil, fmt.Errorf("session: the executor sent a message that this version of Sluice does not know")
}

func registerToProto(r core.Register) *sessionv1.Register {
	return &sessionv1.Register{
		Executor: string(r.Executor), Previous: r.Previous, Addr: r.Addr, HostId: r.HostID,
		Threads: int64(r.Threads), Slots: int64(r.Slots), Memory: r.Memory,
		Held: wire.Slice(r.Held, func(h core.HeldOutput) *sessionv1.HeldOutput {
			return &sessionv1.HeldOutput{Attempt: wire.AttemptID(h.Attempt), Segments: wire.Slice(h.Segments, wire.Segment)}
		}),
		Running: wire.Slice(r.Running, wire.AttemptID),
	}
}

func registerFromProto(r *sessionv1.Register) core.Register {
	return core.Register{
		Executor: model.ExecutorID(r.GetExecutor()), Previous: r.GetPrevious(), Addr: r.GetAddr(), HostID: r.GetHostId(),
		Threads: int(r.GetThreads()), Slots: int(r.GetSlots()), Memory: r.GetMemory(),
		Held: wire.Slice(r.GetHeld(), func(h *sessionv1.HeldOutput) core.HeldOutput {
			return core.HeldOutput{Attempt: wire.FromAttemptID(h.GetAttempt()),
				Segments: wire.Slice(h.GetSegments(), wire.FromSegment)}
		}),
		Running: wire.Slice(r.GetRunning(), wire.FromAttemptID),
	}
}

// downToProto converts what the coordinator says.
func downToProto(m core.Message) (*sessionv1.OpenResponse, error) {
	switch m := m.(type) {
	case core.Registered:
		return &sessionv1.OpenResponse{Message: &sessionv1.OpenResponse_Registered{Registered: &sessionv1.Registered{
			Incarnation: wire.Incarnation(m.Incarnation), Lease: durationpb.New(m.Lease),
		}}}, nil
	case core.Assign:
		return &sessionv1.OpenResponse{Message: &sessionv1.OpenResponse_Assign{Assign: &sessionv1.Assign{
			Assignment: wire.Assignment(m.Assignment),
		}}}, nil
	case core.Revoke:
		return &sessionv1.OpenResponse{Message: &sessionv1.OpenResponse_Revoke{Revoke: &sessionv1.Revoke{
			Attempt: wire.AttemptID(m.Attempt),
		}}}, nil
	case core.ForgetJob:
		return &sessionv1.OpenResponse{Message: &sessionv1.OpenResponse_ForgetJob{ForgetJob: &sessionv1.ForgetJob{
			Job: string(m.Job),
		}}}, nil
	case core.Refused:
		return &sessionv1.OpenResponse{Message: &sessionv1.OpenResponse_Refused{Refused: &sessionv1.Refused{
			Why: m.Why,
		}}}, nil
	}
	return nil, fmt.Errorf("a coordinator does not say %T", m)
}

// downFromProto is the inverse.
func downFromProto(m *sessionv1.OpenResponse) (core.Message, error) {
	switch m := m.GetMessage().(type) {
	case *sessionv1.OpenResponse_Registered:
		return core.Registered{Incarnation: wire.FromIncarnation(m.Registered.GetIncarnation()),
			Lease: m.Registered.GetLease().AsDuration()}, nil
	case *sessionv1.OpenResponse_Assign:
		return core.Assign{Assignment: wire.FromAssignment(m.Assign.GetAssignment())}, nil
	case *sessionv1.OpenResponse_Revoke:
		return core.Revoke{Attempt: wire.FromAttemptID(m.Revoke.GetAttempt())}, nil
	case *sessionv1.OpenResponse_ForgetJob:
		return core.ForgetJob{Job: model.JobID(m.ForgetJob.GetJob())}, nil
	case *sessionv1.OpenResponse_Refused:
		return core.Refused{Why: m.Refused.GetWhy()}, nil
	}
	return nil, fmt.Errorf("session: the coordinator sent a message that this version of Sluice does not know")
}
