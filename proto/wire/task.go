package wire

import (
	"github.com/sluice-engine/sluice/model"
	modelv1 "github.com/sluice-engine/sluice/proto/gen/sluice/model/v1"
)

func splitChunk(c model.SplitChunk) *modelv1.SplitChunk {
	return &modelv1.SplitChunk{
		Path: c.Path, RelPath: c.RelPath, FileSize: c.FileSize, ModTime: c.ModTime,
		RowGroups: ints(c.RowGroups), Rows: c.Rows, Bytes: c.Bytes,
	}
}

func fromSplitChunk(c *modelv1.SplitChunk) model.SplitChunk {
	return model.SplitChunk{
		Path: c.GetPath(), RelPath: c.GetRelPath(), FileSize: c.GetFileSize(), ModTime: c.GetModTime(),
		RowGroups: fromInts(c.GetRowGroups()), Rows: c.GetRows(), Bytes: c.GetBytes(),
	}
}

func split(s model.Split) *modelv1.Split {
	return &modelv1.Split{Index: int64(s.Index), Chunks: Slice(s.Chunks, splitChunk), Rows: s.Rows, Bytes: s.Bytes}
}

func fromSplit(s *modelv1.Split) model.Split {
	return model.Split{Index: int(s.GetIndex()), Chunks: Slice(s.GetChunks(), fromSplitChunk),
		Rows: s.GetRows(), Bytes: s.GetBytes()}
}

func partitioning(p model.Partitioning) *modelv1.Partitioning {
	return &modelv1.Partitioning{Kind: string(p.Kind), N: int64(p.N), By: texts(p.By),
		PartitionBy: texts(p.PartitionBy), Buckets: int64(p.Buckets)}
}

func fromPartitioning(p *modelv1.Partitioning) model.Partitioning {
	return model.Partitioning{Kind: model.PartitionerKind(p.GetKind()), N: int(p.GetN()), By: texts(p.GetBy()),
		PartitionBy: texts(p.GetPartitionBy()), Buckets: int(p.GetBuckets())}
}

func jobConf(c model.JobConf) *modelv1.JobConf {
	return &modelv1.JobConf{
		Job: string(c.Job), Uuid: c.UUID,
		InputSchema: append([]byte(nil), c.InputSchema...), Partitioning: partitioning(c.Partitioning), Codec: c.Codec,
		TargetFileBytes: c.TargetFileBytes, RowGroupBytes: c.RowGroupBytes, PieceRows: c.PieceRows,
		Out: c.Out, StagingDir: c.StagingDir, ShareToken: c.ShareToken,
		Execution: string(c.Execution),
	}
}

func fromJobConf(c *modelv1.JobConf) model.JobConf {
	return model.JobConf{
		Job: model.JobID(c.GetJob()), UUID: c.GetUuid(),
		InputSchema:  append([]byte(nil), c.GetInputSchema()...),
		Partitioning: fromPartitioning(c.GetPartitioning()), Codec: c.GetCodec(),
		TargetFileBytes: c.GetTargetFileBytes(), RowGroupBytes: c.GetRowGroupBytes(), PieceRows: c.GetPieceRows(),
		Out: c.GetOut(), StagingDir: c.GetStagingDir(), ShareToken: c.GetShareToken(),
		Execution: model.Execution(c.GetExecution()),
	}
}

// ReduceRange converts what a reduce task reads.
func ReduceRange(r model.ReduceRange) *modelv1.ReduceRange {
	return &modelv1.ReduceRange{Lo: r.Lo, Hi: r.Hi, Except: Slice(r.Except, PartitionKey),
		Only: optional(r.Only, PartitionKey), Rows: r.Rows, Bytes: r.Bytes}
}

// FromReduceRange is the inverse of ReduceRange.
func FromReduceRange(r *modelv1.ReduceRange) model.ReduceRange {
	return model.ReduceRange{Lo: r.GetLo(), Hi: r.GetHi(), Except: Slice(r.GetExcept(), FromPartitionKey),
		Only: present(r.GetOnly(), FromPartitionKey), Rows: r.GetRows(), Bytes: r.GetBytes()}
}

func taskSpec(t model.TaskSpec) *modelv1.TaskSpec {
	return &modelv1.TaskSpec{Task: TaskID(t.Task), Kind: string(t.Kind), Split: optional(t.Split, split),
		Range: optional(t.Range, ReduceRange)}
}

func fromTaskSpec(t *modelv1.TaskSpec) model.TaskSpec {
	return model.TaskSpec{Task: FromTaskID(t.GetTask()), Kind: model.TaskKind(t.GetKind()),
		Split: present(t.GetSplit(), fromSplit), Range: present(t.GetRange(), FromReduceRange)}
}

// Segment converts the names of a sealed pair of files.
func Segment(s model.Segment) *modelv1.Segment {
	return &modelv1.Segment{DataPath: s.DataPath, IndexPath: s.IndexPath, DataBytes: s.DataBytes,
		IndexBytes: s.IndexBytes, IndexCrc: s.IndexCRC}
}

// FromSegment is the inverse of Segment.
func FromSegment(s *modelv1.Segment) model.Segment {
	return model.Segment{DataPath: s.GetDataPath(), IndexPath: s.GetIndexPath(), DataBytes: s.GetDataBytes(),
		IndexBytes: s.GetIndexBytes(), IndexCRC: s.GetIndexCrc()}
}

func mapSource(m model.MapSource) *modelv1.MapSource {
	return &modelv1.MapSource{Attempt: AttemptID(m.Attempt), Holder: Incarnation(m.Holder), Addr: m.Addr,
		HostId: m.HostID, Segments: Slice(m.Segments, Segment)}
}

func fromMapSource(m *modelv1.MapSource) model.MapSource {
	return model.MapSource{Attempt: FromAttemptID(m.GetAttempt()), Holder: FromIncarnation(m.GetHolder()),
		Addr: m.GetAddr(), HostID: m.GetHostId(), Segments: Slice(m.GetSegments(), FromSegment)}
}

// Assignment converts the order to run an attempt.
func Assignment(a model.Assignment) *modelv1.Assignment {
	return &modelv1.Assignment{Attempt: AttemptID(a.Attempt), Spec: taskSpec(a.Spec), Conf: jobConf(a.Conf),
		Sources: Slice(a.Sources, mapSource), Threads: int64(a.Threads)}
}

// FromAssignment is the inverse of Assignment.
func FromAssignment(a *modelv1.Assignment) model.Assignment {
	return model.Assignment{Attempt: FromAttemptID(a.GetAttempt()), Spec: fromTaskSpec(a.GetSpec()),
		Conf: fromJobConf(a.GetConf()), Sources: Slice(a.GetSources(), fromMapSource), Threads: int(a.GetThreads())}
}
