package wire

import (
	"github.com/sluice-engine/sluice/model"
	modelv1 "github.com/sluice-engine/sluice/proto/gen/sluice/model/v1"
)

// JobSpec converts what a user asked for.
func JobSpec(s model.JobSpec) *modelv1.JobSpec {
	return &modelv1.JobSpec{
		Name: s.Name, Key: s.Key, Input: texts(s.Input), Out: s.Out,
		PartitionBy: texts(s.PartitionBy), By: texts(s.By), N: int64(s.N), NoShuffle: s.NoShuffle,
		TargetFileSize: int64(s.TargetFileSize), RowGroupSize: int64(s.RowGroupSize),
		SplitSize: int64(s.SplitSize), OpenCost: int64(s.OpenCost),
		Mode: string(s.Mode), Compression: s.Compression, Verify: string(s.Verify), Buckets: int64(s.Buckets),
	}
}

// FromJobSpec is the inverse of JobSpec.
func FromJobSpec(s *modelv1.JobSpec) model.JobSpec {
	return model.JobSpec{
		Name: s.GetName(), Key: s.GetKey(), Input: texts(s.GetInput()), Out: s.GetOut(),
		PartitionBy: texts(s.GetPartitionBy()), By: texts(s.GetBy()), N: int(s.GetN()), NoShuffle: s.GetNoShuffle(),
		TargetFileSize: model.Size(s.GetTargetFileSize()), RowGroupSize: model.Size(s.GetRowGroupSize()),
		SplitSize: model.Size(s.GetSplitSize()), OpenCost: model.Size(s.GetOpenCost()),
		Mode: model.Mode(s.GetMode()), Compression: s.GetCompression(), Verify: model.VerifyLevel(s.GetVerify()),
		Buckets: int(s.GetBuckets()),
	}
}

func stageStatus(s model.StageStatus) *modelv1.StageStatus {
	return &modelv1.StageStatus{
		Stage: int64(s.Stage), Kind: string(s.Kind), Tasks: int64(s.Tasks), Done: int64(s.Done),
		Running: int64(s.Running), Failed: int64(s.Failed), Lost: int64(s.Lost),
		Rows: s.Rows, Bytes: s.Bytes, Files: s.Files, RowsGoal: s.RowsGoal,
	}
}

func fromStageStatus(s *modelv1.StageStatus) model.StageStatus {
	return model.StageStatus{
		Stage: int(s.GetStage()), Kind: model.TaskKind(s.GetKind()), Tasks: int(s.GetTasks()), Done: int(s.GetDone()),
		Running: int(s.GetRunning()), Failed: int(s.GetFailed()), Lost: int(s.GetLost()),
		Rows: s.GetRows(), Bytes: s.GetBytes(), Files: s.GetFiles(), RowsGoal: s.GetRowsGoal(),
	}
}

// JobStatus converts the state of a job.
func JobStatus(s model.JobStatus) *modelv1.JobStatus {
	return &modelv1.JobStatus{
		Job: string(s.Job), Name: s.Name, State: string(s.State), Detail: s.Detail,
		Submitted: timeTo(s.Submitted), Ended: timeTo(s.Ended), Spec: JobSpec(s.Spec),
		Stages: Slice(s.Stages, stageStatus), RowsTotal: s.RowsTotal,
		Failure: optional(s.Failure, Failure), Receipt: optional(s.Receipt, receipt),
	}
}

// FromJobStatus is the inverse of JobStatus.
func FromJobStatus(s *modelv1.JobStatus) model.JobStatus {
	return model.JobStatus{
		Job: model.JobID(s.GetJob()), Name: s.GetName(), State: model.JobState(s.GetState()), Detail: s.GetDetail(),
		Submitted: timeFrom(s.GetSubmitted()), Ended: timeFrom(s.GetEnded()), Spec: FromJobSpec(s.GetSpec()),
		Stages: Slice(s.GetStages(), fromStageStatus), RowsTotal: s.GetRowsTotal(),
		Failure: present(s.GetFailure(), FromFailure), Receipt: present(s.GetReceipt(), fromReceipt),
	}
}

func receipt(r model.Receipt) *modelv1.Receipt {
	return &modelv1.Receipt{
		Job: string(r.Job), Name: r.Name, State: string(r.State), Input: texts(r.Input), Out: r.Out,
		Partitioning: r.Partitioning, Codec: r.Codec, Mode: string(r.Mode),
		Submitted: timeTo(r.Submitted), Started: timeTo(r.Started), Ended: timeTo(r.Ended),
		RowsIn: r.RowsIn, RowsOut: r.RowsOut, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		FilesIn: r.FilesIn, FilesOut: r.FilesOut, FilesGone: r.FilesGone,
		Partitions: r.Partitions, EmptyText: r.EmptyText,
		ShuffleBytes: r.ShuffleBytes, Fetch: fetchCounters(r.Fetch),
		FileSizes: int64s(r.FileSizes), HotKeys: Slice(r.HotKeys, valueSize),
		MapTasks: int64(r.MapTasks), Tasks: int64(r.Tasks), Retries: int64(r.Retries), Spills: int64(r.Spills),
		Verified: string(r.Verified), Hash: contentHash(r.Hash), Failure: optional(r.Failure, Failure),
	}
}

func fromReceipt(r *modelv1.Receipt) model.Receipt {
	return model.Receipt{
		Job: model.JobID(r.GetJob()), Name: r.GetName(), State: model.JobState(r.GetState()),
		Input: texts(r.GetInput()), Out: r.GetOut(),
		Partitioning: r.GetPartitioning(), Codec: r.GetCodec(), Mode: model.Mode(r.GetMode()),
		Submitted: timeFrom(r.GetSubmitted()), Started: timeFrom(r.GetStarted()), Ended: timeFrom(r.GetEnded()),
		RowsIn: r.GetRowsIn(), RowsOut: r.GetRowsOut(), BytesIn: r.GetBytesIn(), BytesOut: r.GetBytesOut(),
		FilesIn: r.GetFilesIn(), FilesOut: r.GetFilesOut(), FilesGone: r.GetFilesGone(),
		Partitions: r.GetPartitions(), EmptyText: r.GetEmptyText(),
		ShuffleBytes: r.GetShuffleBytes(), Fetch: fromFetchCounters(r.GetFetch()),
		FileSizes: int64s(r.GetFileSizes()), HotKeys: Slice(r.GetHotKeys(), fromValueSize),
		MapTasks: int(r.GetMapTasks()), Tasks: int(r.GetTasks()), Retries: int(r.GetRetries()), Spills: int(r.GetSpills()),
		Verified: model.VerifyLevel(r.GetVerified()), Hash: fromContentHash(r.GetHash()),
		Failure: present(r.GetFailure(), FromFailure),
	}
}

// ExecutorStatus converts the state of an executor.
func ExecutorStatus(e model.ExecutorStatus) *modelv1.ExecutorStatus {
	return &modelv1.ExecutorStatus{
		Executor: string(e.Executor), Incarnation: e.Incarnation, State: e.State, Addr: e.Addr, HostId: e.HostID,
		Threads: int64(e.Threads), Slots: int64(e.Slots), Memory: e.Memory, Running: int64(e.Running),
		Outputs: int64(e.Outputs), LastHeard: timeTo(e.LastHeard),
	}
}

// FromExecutorStatus is the inverse of ExecutorStatus.
func FromExecutorStatus(e *modelv1.ExecutorStatus) model.ExecutorStatus {
	return model.ExecutorStatus{
		Executor: model.ExecutorID(e.GetExecutor()), Incarnation: e.GetIncarnation(), State: e.GetState(),
		Addr: e.GetAddr(), HostID: e.GetHostId(),
		Threads: int(e.GetThreads()), Slots: int(e.GetSlots()), Memory: e.GetMemory(), Running: int(e.GetRunning()),
		Outputs: int(e.GetOutputs()), LastHeard: timeFrom(e.GetLastHeard()),
	}
}
