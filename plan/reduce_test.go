package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/sluice-engine/sluice/model"
	"pgregory.net/rapid"
)

const mib = 1 << 20

// TestReduceScripts plans from sizes in MiB, a row for each MiB:
//
//	reduce buckets=N target=N threads=N
//	BUCKET SIZE [VALUE=SIZE …]
func TestReduceScripts(t *testing.T) {
	datadriven.RunTest(t, "testdata/reduce", func(t *testing.T, d *datadriven.TestData) string {
		number := func(s string) int64 {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		var p ReduceInput
		for _, a := range d.CmdArgs {
			n := number(a.Vals[0])
			switch a.Key {
			case "buckets":
				p.NumBuckets = int(n)
			case "target":
				p.TargetFileBytes = n * mib
			case "threads":
				p.Threads = int(n)
			}
		}
		for _, line := range strings.Split(d.Input, "\n") {
			w := strings.Fields(line)
			if len(w) == 0 {
				continue
			}
			b := uint32(number(w[0]))
			p.Buckets = append(p.Buckets, model.BucketSize{Bucket: b, Rows: number(w[1]), Bytes: number(w[1]) * mib})
			for _, kv := range w[2:] {
				path, size, _ := strings.Cut(kv, "=")
				p.Hot = append(p.Hot, model.ValueSize{Key: model.PartitionKey{Bucket: b, Path: path}, Rows: number(size), Bytes: number(size) * mib})
			}
		}
		var out strings.Builder
		fmt.Fprintf(&out, "a task reads about %s\n", model.Size(p.TaskBytes()))
		for _, r := range Reduce(p) {
			fmt.Fprintf(&out, "[%d,%d)", r.Lo, r.Hi)
			if r.Only != nil {
				fmt.Fprintf(&out, " only %s", r.Only)
			}
			for _, k := range r.Except {
				fmt.Fprintf(&out, " without %s", k)
			}
			fmt.Fprintf(&out, " %s\n", model.Size(r.Bytes))
		}
		return out.String()
	})
}

// reads tells whether a task reads a partition: the meaning of a range, as the shuffle's readers have it.
func reads(r model.ReduceRange, k model.PartitionKey) bool {
	if r.Only != nil {
		return *r.Only == k
	}
	return r.Lo <= k.Bucket && k.Bucket < r.Hi && !slices.Contains(r.Except, k)
}

// TestReduceReadsEveryRowOnce draws partitions, reports them as map outputs do, and looks that each
// is read by exactly one task, reported or not.
func TestReduceReadsEveryRowOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := ReduceInput{
			NumBuckets:      rapid.IntRange(1, 64).Draw(rt, "buckets"),
			TargetFileBytes: int64(rapid.IntRange(1, 64).Draw(rt, "target")) * mib,
			Threads:         rapid.IntRange(0, 16).Draw(rt, "threads"),
		}
		var sizes Sizes
		var keys []model.PartitionKey
		var total int64
		for range rapid.IntRange(0, 30).Draw(rt, "partitions") {
			k := model.PartitionKey{
				Bucket: uint32(rapid.IntRange(0, p.NumBuckets-1).Draw(rt, "bucket")),
				Path:   rapid.SampledFrom([]string{"", "v=1", "v=2"}).Draw(rt, "path"),
			}
			bytes := rapid.Int64Range(0, 40*mib).Draw(rt, "bytes")
			total += bytes
			keys = append(keys, k)
			v := model.ValueSize{Key: k, Rows: 1, Bytes: bytes}
			var hot []model.ValueSize
			if rapid.Bool().Draw(rt, "hot") {
				hot = []model.ValueSize{v}
			}
			sizes.Add([]model.BucketSize{{Bucket: k.Bucket, Rows: 1, Bytes: bytes}}, hot)
		}
		p.Buckets, p.Hot = sizes.Buckets(), sizes.Hot()
		ranges := Reduce(p)
		if !slices.EqualFunc(ranges, Reduce(p), func(a, b model.ReduceRange) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			rt.Fatal("two plans of the same input differ")
		}
		var rows, bytes int64
		for _, r := range ranges {
			rows += r.Rows
			bytes += r.Bytes
			if r.Rows == 0 {
				rt.Fatalf("an empty task: %+v", r)
			}
		}
		if rows != int64(len(keys)) || bytes != total {
			rt.Fatalf("tasks hold %d rows in %d bytes, the outputs %d in %d", rows, bytes, len(keys), total)
		}
		for _, k := range keys {
			n := 0
			for _, r := range ranges {
				if reads(r, k) {
					n++
				}
			}
			if n != 1 {
				rt.Fatalf("%d tasks read %s: %+v", n, k, ranges)
			}
		}
		checkTaskSizes(rt, p, ranges)
	})
}

// checkTaskSizes: a task is at most one and a half times the aim unless a single bucket is more than half of it.
func checkTaskSizes(rt *rapid.T, p ReduceInput, ranges []model.ReduceRange) {
	largest := int64(0)
	for _, b := range p.Buckets {
		largest = max(largest, b.Bytes)
	}
	for _, r := range ranges {
		if r.Only == nil && r.Bytes > p.TaskBytes()+max(largest, p.TaskBytes()/2) {
			rt.Fatalf("a task of %d bytes, the aim is %d and the largest bucket %d", r.Bytes, p.TaskBytes(), largest)
		}
		if r.Only != nil && r.Bytes <= p.TaskBytes() {
			rt.Fatalf("a task of its own for %d bytes, the aim is %d", r.Bytes, p.TaskBytes())
		}
	}
}

func TestReduceLimitsHotTasks(t *testing.T) {
	p := ReduceInput{NumBuckets: 1, TargetFileBytes: mib, Threads: 1 << 20}
	for i := range 2 * maxHotTasks {
		p.Hot = append(p.Hot, model.ValueSize{Key: model.PartitionKey{Path: fmt.Sprintf("v=%04d", i)}, Rows: 1, Bytes: 5*mib + int64(i)})
	}
	p.Buckets = []model.BucketSize{{Rows: 2*maxHotTasks + 1, Bytes: 20_000 * mib}}
	ranges := Reduce(p)
	if len(ranges) != maxHotTasks+1 || len(ranges[0].Except) != maxHotTasks {
		t.Fatalf("%d tasks, the first without %d values", len(ranges), len(ranges[0].Except))
	}
	if first := ranges[1].Only.Path; first != fmt.Sprintf("v=%04d", maxHotTasks) {
		t.Errorf("the first value of its own is %s: the largest must be chosen, and listed by key", first)
	}
}

func TestLargestValues(t *testing.T) {
	var vs []model.ValueSize
	for i := range 40 {
		vs = append(vs, model.ValueSize{Key: model.PartitionKey{Bucket: uint32(i)}, Bytes: int64(i % 20)})
	}
	got := LargestValues(vs)
	if len(got) != model.MaxHotKeys || got[0].Bytes != 19 || got[0].Key.Bucket != 19 || got[1].Key.Bucket != 39 || got[2].Bytes != 18 {
		t.Errorf("largest: %v", got)
	}
}
