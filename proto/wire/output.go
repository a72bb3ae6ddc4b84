package wire

import (
	"github.com/sluice-engine/sluice/model"
	modelv1 "github.com/sluice-engine/sluice/proto/gen/sluice/model/v1"
)

func bucketSize(b model.BucketSize) *modelv1.BucketSize {
	return &modelv1.BucketSize{Bucket: b.Bucket, Rows: b.Rows, Bytes: b.Bytes}
}

func fromBucketSize(b *modelv1.BucketSize) model.BucketSize {
	return model.BucketSize{Bucket: b.GetBucket(), Rows: b.GetRows(), Bytes: b.GetBytes()}
}

func valueSize(v model.ValueSize) *modelv1.ValueSize {
	return &modelv1.ValueSize{Key: PartitionKey(v.Key), Rows: v.Rows, Bytes: v.Bytes}
}

func fromValueSize(v *modelv1.ValueSize) model.ValueSize {
	return model.ValueSize{Key: FromPartitionKey(v.GetKey()), Rows: v.GetRows(), Bytes: v.GetBytes()}
}

func columnHash(c model.ColumnHash) *modelv1.ColumnHash {
	return &modelv1.ColumnHash{Name: c.Name, Sum: uint64(c.Sum)}
}

func fromColumnHash(c *modelv1.ColumnHash) model.ColumnHash {
	return model.ColumnHash{Name: c.GetName(), Sum: model.HashSum(c.GetSum())}
}

func contentHash(h model.ContentHash) *modelv1.ContentHash {
	return &modelv1.ContentHash{Rows: h.Rows, RowSum: uint64(h.RowSum), Columns: Slice(h.Columns, columnHash)}
}

func fromContentHash(h *modelv1.ContentHash) model.ContentHash {
	return model.ContentHash{Rows: h.GetRows(), RowSum: model.HashSum(h.GetRowSum()), Columns: Slice(h.GetColumns(), fromColumnHash)}
}

func fetchCounters(c model.FetchCounters) *modelv1.FetchCounters {
	return &modelv1.FetchCounters{LocalBytes: c.LocalBytes, RemoteBytes: c.RemoteBytes, Refetches: c.Refetches}
}

func fromFetchCounters(c *modelv1.FetchCounters) model.FetchCounters {
	return model.FetchCounters{LocalBytes: c.GetLocalBytes(), RemoteBytes: c.GetRemoteBytes(),
		Refetches: c.GetRefetches()}
}

func manifestRef(m model.ManifestRef) *modelv1.ManifestRef {
	return &modelv1.ManifestRef{Path: m.Path, Bytes: m.Bytes, Crc: m.CRC}
}

func fromManifestRef(m *modelv1.ManifestRef) model.ManifestRef {
	return model.ManifestRef{Path: m.GetPath(), Bytes: m.GetBytes(), CRC: m.GetCrc()}
}

// MapOutput converts the report of a map attempt.
func MapOutput(m model.MapOutput) *modelv1.MapOutput {
	return &modelv1.MapOutput{
		Attempt: AttemptID(m.Attempt), Segments: Slice(m.Segments, Segment),
		InRows: m.InRows, InBytes: m.InBytes, Rows: m.Rows, Bytes: m.Bytes,
		Buckets: Slice(m.Buckets, bucketSize), Hot: Slice(m.Hot, valueSize), Values: m.Values,
		EmptyText: m.EmptyText, Spills: int64(m.Spills), Hash: contentHash(m.Hash),
	}
}

// FromMapOutput is the inverse of MapOutput.
func FromMapOutput(m *modelv1.MapOutput) model.MapOutput {
	return model.MapOutput{
		Attempt: FromAttemptID(m.GetAttempt()), Segments: Slice(m.GetSegments(), FromSegment),
		InRows: m.GetInRows(), InBytes: m.GetInBytes(), Rows: m.GetRows(), Bytes: m.GetBytes(),
		Buckets: Slice(m.GetBuckets(), fromBucketSize), Hot: Slice(m.GetHot(), fromValueSize), Values: m.GetValues(),
		EmptyText: m.GetEmptyText(), Spills: int(m.GetSpills()), Hash: fromContentHash(m.GetHash()),
	}
}

// WriteOutput converts the report of a reduce or direct attempt.
func WriteOutput(w model.WriteOutput) *modelv1.WriteOutput {
	return &modelv1.WriteOutput{
		Attempt: AttemptID(w.Attempt), Manifest: manifestRef(w.Manifest),
		InRows: w.InRows, InBytes: w.InBytes, Files: w.Files, Rows: w.Rows, Bytes: w.Bytes, Values: w.Values,
		Sizes: int64s(w.Sizes), Hash: contentHash(w.Hash), Hot: Slice(w.Hot, valueSize),
		EmptyText: w.EmptyText, Fetch: fetchCounters(w.Fetch), Spills: int64(w.Spills),
	}
}

// FromWriteOutput is the inverse of WriteOutput.
func FromWriteOutput(w *modelv1.WriteOutput) model.WriteOutput {
	return model.WriteOutput{
		Attempt: FromAttemptID(w.GetAttempt()), Manifest: fromManifestRef(w.GetManifest()),
		InRows: w.GetInRows(), InBytes: w.GetInBytes(), Files: w.GetFiles(), Rows: w.GetRows(), Bytes: w.GetBytes(),
		Values: w.GetValues(), Sizes: int64s(w.GetSizes()), Hash: fromContentHash(w.GetHash()),
		Hot: Slice(w.GetHot(), fromValueSize), EmptyText: w.GetEmptyText(), Fetch: fromFetchCounters(w.GetFetch()),
		Spills: int(w.GetSpills()),
	}
}

// Progress converts a hint about a running attempt.
func Progress(p model.Progress) *modelv1.Progress {
	return &modelv1.Progress{Attempt: AttemptID(p.Attempt), Rows: p.Rows, Bytes: p.Bytes, Files: p.Files}
}

// FromProgress is the inverse of Progress.
func FromProgress(p *modelv1.Progress) model.Progress {
	return model.Progress{Attempt: FromAttemptID(p.GetAttempt()), Rows: p.GetRows(), Bytes: p.GetBytes(),
		Files: p.GetFiles()}
}
