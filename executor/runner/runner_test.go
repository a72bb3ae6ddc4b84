package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/dataset/verify"
	"github.com/sluice-engine/sluice/executor/runner"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

var (
	byValue = model.Partitioning{Kind: model.PartitionValue, PartitionBy: []string{"kind"}, Buckets: 64}
	byPair  = model.Partitioning{Kind: model.PartitionValue, PartitionBy: []string{"kind", "region"}, Buckets: 64}
	byHash  = model.Partitioning{Kind: model.PartitionHash, N: 5, By: []string{"id", "text"}}
)

var partitionings = []model.Partitioning{
	byValue, byPair, byHash,
	{Kind: model.PartitionHash, N: 4, By: []string{"kind"}, PartitionBy: []string{"kind"}},
	{Kind: model.PartitionRoundRobin, N: 7},
	{Kind: model.PartitionRoundRobin, N: 3, PartitionBy: []string{"region"}},
	{Kind: model.PartitionNone},
	{Kind: model.PartitionNone, PartitionBy: []string{"kind"}},
}

func TestEveryRowArrivesOnce(t *testing.T) {
	files, want := typesFiles(t, 7, 9, 200, 8)
	for _, p := range partitionings {
		codecs := []string{"snappy"}
		if p.Kind == model.PartitionHash {
			codecs = []string{"none", "snappy", "zstd", "gzip", "lz4"}
		}
		for _, codec := range codecs {
			t.Run(p.String()+" "+codec, func(t *testing.T) {
				j := newJob(t, files, 4, p)
				j.conf.Codec = codec
				j.runAll(t)
				j.checkOutput(t, want)
				if p.Kind == model.PartitionValue {
					j.wantOneFilePerValue(t)
				}
			})
		}
	}
}

func TestReportedHashIsTheHashOfTheOutput(t *testing.T) {
	files, _ := typesFiles(t, 37, 3, 100, 6)
	for _, p := range []model.Partitioning{byPair, byHash} {
		j := newJob(t, files, 2, p)
		j.runAll(t)
		res, err := verify.Compare(t.Context(), vfs.OS, filepath.Dir(files[0]), j.conf.Out, verify.Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		h := j.hash()
		if !res.Equal || res.B.Hash.RowSum != h.RowSum || res.B.Hash.Rows != h.Rows {
			t.Errorf("%s: output %+v, reported %+v", p, res.B.Hash, h)
		}
		sums := map[string]model.HashSum{}
		for _, c := range h.Columns {
			sums[c.Name] = c.Sum
		}
		for _, c := range res.B.Hash.Columns {
			if sum, ok := sums[c.Name]; !ok || sum != c.Sum {
				t.Errorf("%s: column %s has hash %s, reported %s", p, c.Name, c.Sum, sum)
			}
		}
	}
}

// wantOneFilePerValue checks that values far below the target size are not divided.
func (j *job) wantOneFilePerValue(t *testing.T) {
	t.Helper()
	values := map[string]int{}
	for _, f := range listFiles(t, j.conf.Out) {
		values[filepath.Dir(f)]++
	}
	for dir, files := range values {
		if files != 1 {
			t.Errorf("%s has %d files", dir, files)
		}
	}
	var reported int64
	for _, w := range j.writes {
		reported += w.Values
	}
	if int64(len(values)) != reported {
		t.Errorf("%d directories, %d values reported", len(values), reported)
	}
}

func TestAnySizesGiveTheSameRows(t *testing.T) {
	files, want := typesFiles(t, 11, 5, 50, 5)
	var hash model.ContentHash
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(partitionings).Draw(rt, "partitioning")
		j := newJob(t, files, rapid.IntRange(1, 5).Draw(rt, "filesPerSplit"), p)
		j.conf.PieceRows = int64(rapid.IntRange(1, 200).Draw(rt, "pieceRows"))
		j.conf.RowGroupBytes = int64(rapid.IntRange(1000, 20_000).Draw(rt, "rowGroup"))
		j.conf.TargetFileBytes = int64(rapid.IntRange(2000, 40_000).Draw(rt, "target"))
		j.env.MemoryBytes = int64(rapid.IntRange(1, 500_000).Draw(rt, "memory"))
		j.threads = rapid.IntRange(1, 8).Draw(rt, "threads")
		j.reducers = rapid.IntRange(1, 4).Draw(rt, "reducers")
		j.runAll(t)
		j.checkOutput(t, want)
		h := j.hash()
		if hash.Rows == 0 && len(p.PartitionBy) == 0 {
			hash = h
		}
		if hash.Rows != 0 && h.RowSum != hash.RowSum {
			rt.Errorf("row hash %x, was %x", h.RowSum, hash.RowSum)
		}
	})
}

func TestOutputDoesNotDependOnThreads(t *testing.T) {
	files, _ := typesFiles(t, 3, 8, 500, 12)
	for _, p := range []model.Partitioning{byValue, byHash} {
		for _, memory := range []int64{250_000, 400_000, 650_000} { // several seals
			var jobs []*job
			for _, threads := range []int{1, 8} {
				j := newJob(t, files, 8, p)
				j.threads, j.env.MemoryBytes = threads, memory
				j.conf.PieceRows = 100
				j.conf.RowGroupBytes, j.conf.TargetFileBytes = 20_000, 50_000
				j.runAll(t)
				if j.maps[0].Spills == 0 {
					t.Errorf("%s: not sealed for want of memory", p)
				}
				jobs = append(jobs, j)
			}
			sameFiles(t, jobs[0].env.ScratchDir, jobs[1].env.ScratchDir)
			sameFiles(t, jobs[0].conf.Out, jobs[1].conf.Out)
		}
	}
}

func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	left, right := listFiles(t, a), listFiles(t, b)
	if fmt.Sprint(left) != fmt.Sprint(right) {
		t.Fatalf("other files:\n%v\n%v", left, right)
	}
	for _, name := range left {
		x, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestManyValuesInASmallBudget(t *testing.T) {
	const values = 20_000
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "kind", Type: arrow.BinaryTypes.String}, {Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "s", Type: arrow.BinaryTypes.String},
	}, nil)
	r := rand.New(rand.NewPCG(5, 5))
	dir := t.TempDir()
	var files []string
	for f := range 4 {
		rows := make([]map[string]any, 15_000)
		for i := range rows {
			kind := "hot"
			if r.IntN(3) > 0 {
				kind = fmt.Sprint("v", (f*len(rows)+i)%values)
			}
			rows[i] = map[string]any{"kind": kind, "n": i, "s": fmt.Sprint("text", r.IntN(1000))}
		}
		files = append(files, filepath.Join(dir, fmt.Sprint(f, ".parquet")))
		writeParquet(t, files[f], schema, rows, len(rows))
	}
	j := newJob(t, files, 4, model.Partitioning{Kind: model.PartitionValue, PartitionBy: []string{"kind"}, Buckets: 1024})
	j.env.MemoryBytes = 4 << 20
	res, err := j.runMap(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	m := res.Map
	if m.Spills == 0 || m.Rows != j.inputRows || m.Values < values/2 {
		t.Errorf("%d spills, %d rows of %d, %d values", m.Spills, m.Rows, j.inputRows, m.Values)
	}
	if len(m.Hot) != 1 || m.Hot[0].Key.Path != "kind=hot" {
		t.Errorf("hot values: %v", m.Hot)
	}
	// Reduce one bucket in 64: the rest takes as many files as there are values.
	j.maps = append(j.maps, *m)
	rg := model.ReduceRange{Lo: 16, Hi: 32}
	out, err := j.runReduce(t.Context(), 0, rg)
	if err != nil {
		t.Fatal(err)
	}
	var rows int64
	for _, b := range m.Buckets {
		if b.Bucket >= rg.Lo && b.Bucket < rg.Hi {
			rows += b.Rows
		}
	}
	if out.Write.Rows != rows || out.Write.Files != out.Write.Values || out.Write.Files == 0 {
		t.Errorf("%d rows of %d in %d files of %d values", out.Write.Rows, rows, out.Write.Files, out.Write.Values)
	}
}

// leftover lists what an attempt must not leave: anything in scratch, anything staged.
func (j *job) leftover(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, dir := range []string{j.env.ScratchDir, j.conf.StagingDir} {
		for _, f := range listFiles(t, dir) {
			if f != "share-token.tmp" {
				left = append(left, f)
			}
		}
	}
	return left
}

func TestEveryFaultSurfacesAndLeavesNothing(t *testing.T) {
	files, _ := typesFiles(t, 13, 2, 60, 3)
	for _, cause := range []error{nil, unix.ENOSPC} {
		for _, p := range []model.Partitioning{byValue, {Kind: model.PartitionNone, PartitionBy: []string{"kind"}}} {
			t.Run(fmt.Sprint(p, " ", cause), func(t *testing.T) {
				j := newJob(t, files, 2, p)
				j.env.MemoryBytes = 20_000 // more than one seal
				j.sweep(t, cause, 0, func() (runner.Result, error) { return j.runMap(t.Context(), 0) })
				if p.Kind == model.PartitionNone {
					return
				}
				j.fs = vfs.OS
				res, err := j.runMap(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				j.maps = append(j.maps, *res.Map)
				keep := len(j.leftover(t)) // the map output stays
				j.conf.TargetFileBytes, j.conf.RowGroupBytes = 8_000, 4_000
				rg := model.ReduceRange{Hi: 64}
				j.sweep(t, cause, keep, func() (runner.Result, error) { return j.runReduce(t.Context(), 0, rg) })
			})
		}
	}
}

// sweep runs do with a fault at step 0, 1, 2 … until it gets by without one. keep is how many files
// were there before. A fault may be healed only by reading a block again, which is counted.
func (j *job) sweep(t *testing.T, cause error, keep int, do func() (runner.Result, error)) {
	t.Helper()
	for step := int64(0); ; step++ {
		faulty := &vfs.FaultFS{FS: vfs.OS, FailAt: step, Err: cause}
		j.fs = faulty
		res, err := do()
		if !faulty.Fired() {
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			if step < 20 {
				t.Errorf("only %d steps could fail", step)
			}
			return
		}
		var f *model.Failure
		switch {
		case err == nil && res.Write != nil && res.Write.Fetch.Refetches == 1:
			j.publish(t, res.Write)
			if err := errors.Join(os.RemoveAll(j.conf.Out), os.Remove(res.Write.Manifest.Path)); err != nil {
				t.Fatal(err)
			}
		case !errors.As(err, &f):
			t.Fatalf("step %d: the fault did not surface as a failure: %v", step, err)
		case errors.Is(err, unix.ENOSPC) && f.Reason != model.ReasonDiskFull:
			t.Errorf("step %d: reason %s of a full disk: %v", step, f.Reason, err)
		}
		if left := j.leftover(t); len(left) != keep {
			t.Fatalf("step %d (%v) left %v", step, err, left)
		}
	}
}

func TestCancelledAttemptIsKilled(t *testing.T) {
	files, _ := typesFiles(t, 17, 2, 50, 3)
	j := newJob(t, files, 2, byValue)
	ctx, cancel := context.WithCancel(t.Context())
	j.env.Progress = func(model.Progress) { cancel() }
	_, err := j.runMap(ctx, 0)
	wantReason(t, err, model.ReasonKilled, "cancelled")
	if left := j.leftover(t); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestForeignOutputDirectoryIsNamed(t *testing.T) {
	files, _ := typesFiles(t, 19, 1, 10, 3)
	j := newJob(t, files, 1, byValue)
	j.conf.ShareToken = "another"
	_, err := j.runMap(t.Context(), 0)
	wantReason(t, err, model.ReasonUser, "executor e1 on host h1 does not see the output directory "+j.conf.Out)
	j.conf.StagingDir = filepath.Join(t.TempDir(), "missing")
	_, err = j.runMap(t.Context(), 0)
	wantReason(t, err, model.ReasonUser, "mount the same directory")
}

func TestFilesWithoutRowsAreRead(t *testing.T) {
	files, want := typesFiles(t, 41, 2, 20, 3)
	empty := filepath.Join(t.TempDir(), "empty.parquet")
	writeParquet(t, empty, typesSchema, []map[string]any{}, 10)
	j := newJob(t, []string{empty, empty, files[0], empty, files[1], empty}, 6, byValue)
	j.runAll(t)
	j.checkOutput(t, want)

	j = newJob(t, []string{empty, empty}, 1, byHash)
	j.runAll(t)
	if left := listFiles(t, j.conf.Out); len(left) > 0 {
		t.Errorf("files for no rows: %v", left)
	}
}

func TestChangedInputIsNamed(t *testing.T) {
	files, _ := typesFiles(t, 23, 2, 10, 3)
	for what, change := range map[string]func(c *model.SplitChunk){
		"size":      func(c *model.SplitChunk) { c.FileSize++ },
		"time":      func(c *model.SplitChunk) { c.ModTime-- },
		"rows":      func(c *model.SplitChunk) { c.Rows++ },
		"row group": func(c *model.SplitChunk) { c.RowGroups = append(c.RowGroups, 99) },
	} {
		t.Run(what, func(t *testing.T) {
			j := newJob(t, files, 2, byValue)
			change(&j.splits[0].Chunks[1])
			_, err := j.runMap(t.Context(), 0)
			wantReason(t, err, model.ReasonInput, files[1])
		})
	}
}

func TestCorruptMapOutputIsFound(t *testing.T) {
	files, _ := typesFiles(t, 29, 2, 100, 3)
	j := newJob(t, files, 2, byValue)
	res, err := j.runMap(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	j.maps = append(j.maps, *res.Map)
	path := res.Map.Segments[0].DataPath
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = j.runReduce(t.Context(), 0, model.ReduceRange{Hi: 64})
	var f *model.Failure
	if !errors.As(err, &f) || (f.Reason != model.ReasonFetchFailed && f.Reason != model.ReasonCorruption) ||
		!strings.Contains(err.Error(), res.Map.Attempt.String()) {
		t.Errorf("got %v, want a failed fetch from %s", err, res.Map.Attempt)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	files, _ := typesFiles(t, 31, 1, 10, 3)
	j := newJob(t, files, 1, byValue)
	j.env.Progress = func(model.Progress) { panic("boom") }
	_, err := j.runMap(t.Context(), 0)
	wantReason(t, err, model.ReasonInternal, "boom")
	if left := j.leftover(t); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	_, err = j.run(t.Context(), model.TaskSpec{Kind: model.TaskMap}, nil)
	wantReason(t, err, model.ReasonInternal, "without its split")
}

func wantReason(t *testing.T, err error, reason model.Reason, text string) {
	t.Helper()
	var f *model.Failure
	if !errors.As(err, &f) || f.Reason != reason || !strings.Contains(f.Error(), text) {
		t.Errorf("got %v, want reason %s and %q", err, reason, text)
	}
}
