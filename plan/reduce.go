package plan

import (
	"cmp"
	"slices"

	"github.com/sluice-engine/sluice/model"
)

// Bounds of what one reduce task reads (see ReduceTaskBytes), and of how many hot values get
// tasks of their own.
const (
	minReduceTaskBytes = 4 << 20
	// maxHotTasks keeps ReduceRange.Except, which lists them, short enough for one journal entry. More
	// values than this above the task size happen only where that is far below the target file size.
	maxHotTasks = 512
)

// Sizes adds up what map outputs report. The zero value is empty. It holds sums per bucket and per
// hot value, never sizes per map task.
type Sizes struct {
	buckets map[uint32]model.BucketSize
	hot     map[model.PartitionKey]model.ValueSize
}

// Add adds the output of one map task. A task that runs again has the same rows in the same
// buckets, so each task is added once, whichever attempt of it comes first.
func (s *Sizes) Add(buckets []model.BucketSize, hot []model.ValueSize) {
	if s.buckets == nil {
		s.buckets = map[uint32]model.BucketSize{}
		s.hot = map[model.PartitionKey]model.ValueSize{}
	}
	for _, b := range buckets {
		sum := s.buckets[b.Bucket]
		s.buckets[b.Bucket] = model.BucketSize{Bucket: b.Bucket, Rows: sum.Rows + b.Rows, Bytes: sum.Bytes + b.Bytes}
	}
	for _, v := range hot {
		sum := s.hot[v.Key]
		s.hot[v.Key] = model.ValueSize{Key: v.Key, Rows: sum.Rows + v.Rows, Bytes: sum.Bytes + v.Bytes}
	}
}

// Buckets returns the sums per bucket, ascending.
func (s *Sizes) Buckets() []model.BucketSize {
	out := make([]model.BucketSize, 0, len(s.buckets))
	for _, b := range s.buckets {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b model.BucketSize) int { return cmp.Compare(a.Bucket, b.Bucket) })
	return out
}

// Hot returns the sums per hot value, ascending by key. A value is reported only by the map tasks that
// find it hot, so its sums are lower bounds.
func (s *Sizes) Hot() []model.ValueSize {
	out := make([]model.ValueSize, 0, len(s.hot))
	for _, v := range s.hot {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b model.ValueSize) int { return a.Key.Compare(b.Key) })
	return out
}

// LargestValues orders hot values by bytes, the largest first, ties by key, and keeps
// model.MaxHotKeys of them. It reorders values.
func LargestValues(values []model.ValueSize) []model.ValueSize {
	slices.SortFunc(values, func(a, b model.ValueSize) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), a.Key.Compare(b.Key))
	})
	return values[:min(len(values), model.MaxHotKeys)]
}

// ReduceInput is what reduce planning knows when all map outputs are there.
type ReduceInput struct {
	NumBuckets      int                // of the partitioner: every bucket is below it
	Buckets         []model.BucketSize // ascending, without empty ones
	Hot             []model.ValueSize  // ascending by key
	TargetFileBytes int64
	Threads         int // of all executors together
}

// ReduceTaskBytes is how much a reduce task should read of total bytes: a quarter of a thread's
// share, so that threads that end early find another task and the last ones end together; but no more
// than a target file, which bounds what a failed attempt loses, and no less than 4 MiB, below which
// opening every map output costs more than an even end gains. The number of output files does not
// depend on it: a partition is never divided between tasks.
func ReduceTaskBytes(total, targetFile int64, threads int) int64 {
	return max(minReduceTaskBytes, min(total/int64(4*max(threads, 1)), targetFile))
}

// TaskBytes is ReduceTaskBytes of the input.
func (p ReduceInput) TaskBytes() int64 {
	var total int64
	for _, b := range p.Buckets {
		total += b.Bytes
	}
	return ReduceTaskBytes(total, p.TargetFileBytes, p.Threads)
}

// Reduce divides the output of a map stage into tasks: first ranges of neighbouring buckets, of
// about ReduceTaskBytes each, then one task for each hot value bigger than that, which its range leaves
// out. A bucket is never divided otherwise. Ranges that hold nothing make no task; those that are
// left tile the whole space of buckets, so that a row is read by exactly one task even if its map
// output forgot to report it.
func Reduce(p ReduceInput) []model.ReduceRange {
	taskBytes := p.TaskBytes()
	hot := hotTasks(p.Hot, taskBytes)
	var ranges []model.ReduceRange
	full := true
	for _, b := range p.Buckets {
		rest := without(b, hot)
		if rest.Rows <= 0 {
			continue
		}
		last := len(ranges) - 1
		// The cut goes where the sum is nearest to the target: before this bucket or after it.
		if full || ranges[last].Bytes+rest.Bytes-taskBytes > taskBytes-ranges[last].Bytes {
			ranges = append(ranges, model.ReduceRange{Lo: b.Bucket})
			last++
		}
		ranges[last].Rows += rest.Rows
		ranges[last].Bytes += rest.Bytes
		full = ranges[last].Bytes >= taskBytes
	}
	tile(ranges, hot, uint32(p.NumBuckets))
	for _, v := range hot {
		ranges = append(ranges, model.ReduceRange{
			Lo: v.Key.Bucket, Hi: v.Key.Bucket + 1, Only: &v.Key, Rows: v.Rows, Bytes: v.Bytes,
		})
	}
	return ranges
}

// without returns the bucket less its hot values.
func without(b model.BucketSize, hot []model.ValueSize) model.BucketSize {
	for _, v := range hot[firstIn(hot, b.Bucket):firstIn(hot, b.Bucket+1)] {
		b.Rows -= v.Rows
		b.Bytes -= v.Bytes
	}
	b.Bytes = max(b.Bytes, 0)
	return b
}

// firstIn returns the index of the first hot value in the bucket or after it.
func firstIn(hot []model.ValueSize, bucket uint32) int {
	i, _ := slices.BinarySearchFunc(hot, bucket, func(v model.ValueSize, b uint32) int {
		return cmp.Or(cmp.Compare(v.Key.Bucket, b), 1) // never equal: a bucket may have several
	})
	return i
}

// tile stretches the ranges, whose Lo is their first bucket, over the whole space of buckets, and
// lists the hot values that lie in each.
func tile(ranges []model.ReduceRange, hot []model.ValueSize, numBuckets uint32) {
	for i := range ranges {
		r := &ranges[i]
		if i == 0 {
			r.Lo = 0
		}
		r.Hi = numBuckets
		if i+1 < len(ranges) {
			r.Hi = ranges[i+1].Lo
		}
		for _, v := range hot[firstIn(hot, r.Lo):firstIn(hot, r.Hi)] {
			r.Except = append(r.Except, v.Key)
		}
	}
}

// hotTasks picks the values bigger than a task, ascending by key.
func hotTasks(values []model.ValueSize, taskBytes int64) []model.ValueSize {
	var hot []model.ValueSize
	for _, v := range values {
		if v.Bytes > taskBytes {
			hot = append(hot, v)
		}
	}
	if len(hot) > maxHotTasks {
		slices.SortFunc(hot, func(a, b model.ValueSize) int {
			return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), a.Key.Compare(b.Key))
		})
		hot = hot[:maxHotTasks]
		slices.SortFunc(hot, func(a, b model.ValueSize) int { return a.Key.Compare(b.Key) })
	}
	return hot
}
