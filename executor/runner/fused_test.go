package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/executor/runner"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// fusedPartitionings has one more, of more partitions than have an open file at a time.
var fusedPartitionings = append(slices.Clone(partitionings), model.Partitioning{Kind: model.PartitionRoundRobin, N: 150})

// randomSchema drops columns of typesSchema, but none that a partitioner asks for.
func randomSchema(rt *rapid.T) *arrow.Schema {
	var fields []arrow.Field
	for _, f := range typesSchema.Fields() {
		if slices.Contains([]string{"id", "kind", "region", "text"}, f.Name) || rapid.Bool().Draw(rt, f.Name) {
			fields = append(fields, f)
		}
	}
	return arrow.NewSchema(fields, nil)
}

func randomFiles(t *testing.T, rt *rapid.T, schema *arrow.Schema) []string {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
	dir := t.TempDir()
	var files []string
	id := 0
	for i := range rapid.IntRange(1, 5).Draw(rt, "files") {
		rows := make([]map[string]any, r.IntN(80)+1)
		for k := range rows {
			row := typesRow(r, id, 5)
			rows[k] = map[string]any{}
			for _, f := range schema.Fields() {
				rows[k][f.Name] = row[f.Name]
			}
			id++
		}
		files = append(files, filepath.Join(dir, fmt.Sprintf("in-%03d.parquet", i)))
		writeParquet(t, files[i], schema, rows, 1+r.IntN(80))
	}
	return files
}

func TestFusedAndStagedGiveTheSameRows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		files := randomFiles(t, rt, randomSchema(rt))
		want := map[string]int{}
		for _, f := range files {
			countRows(t, f, nil, want)
		}
		p := rapid.SampledFrom(fusedPartitionings).Draw(rt, "partitioning")
		staged := newJob(t, files, rapid.IntRange(1, 5).Draw(rt, "filesPerSplit"), p)
		staged.conf.PieceRows = int64(rapid.IntRange(1, 100).Draw(rt, "pieceRows"))
		staged.conf.RowGroupBytes = int64(rapid.IntRange(1000, 20_000).Draw(rt, "rowGroup"))
		staged.conf.TargetFileBytes = int64(rapid.IntRange(2000, 40_000).Draw(rt, "target"))
		staged.conf.Codec = rapid.SampledFrom([]string{"none", "snappy", "zstd"}).Draw(rt, "codec")
		staged.env.MemoryBytes = int64(rapid.IntRange(1, 500_000).Draw(rt, "memory"))
		staged.threads = rapid.IntRange(1, 8).Draw(rt, "threads")

		fused := newJob(t, files, 1, p)
		conf := fused.conf
		fused.conf = staged.conf
		fused.conf.Out, fused.conf.StagingDir = conf.Out, conf.StagingDir
		fused.env.MemoryBytes, fused.threads = staged.env.MemoryBytes, staged.threads
		fused.fuse()
		for _, j := range []*job{staged, fused} {
			j.runAll(t)
			j.checkOutput(t, want)
		}
		if !reflect.DeepEqual(staged.hash(), fused.hash()) {
			rt.Errorf("hash %+v staged, %+v fused", staged.hash(), fused.hash())
		}
		if left := fused.leftover(t); len(left) > len(fused.writes) {
			rt.Errorf("left beside the manifests: %v", left)
		}
	})
}

func TestFusedOutputDoesNotDependOnThreads(t *testing.T) {
	files, _ := typesFiles(t, 3, 8, 500, 12)
	for _, p := range []model.Partitioning{byValue, byHash} {
		spills := map[int64]int{}
		for _, memory := range []int64{100_000, 650_000, 64 << 20} {
			var jobs []*job
			for _, threads := range []int{1, 8} {
				j := newJob(t, files, 3, p)
				j.fuse()
				j.threads, j.env.MemoryBytes = threads, memory
				j.conf.PieceRows = 50
				j.conf.RowGroupBytes, j.conf.TargetFileBytes = 5_000, 30_000
				j.runAll(t)
				spills[memory] = j.writes[0].Spills
				jobs = append(jobs, j)
			}
			sameFiles(t, jobs[0].conf.Out, jobs[1].conf.Out)
			if a, b := jobs[0].writes[0], jobs[1].writes[0]; a.Spills != b.Spills || !reflect.DeepEqual(a.Hot, b.Hot) {
				t.Errorf("%s: %+v with one thread, %+v with eight", p, a, b)
			}
		}
		if spills[100_000] == 0 || spills[64<<20] != 0 {
			t.Errorf("%s: spills by budget: %v", p, spills)
		}
	}
}

// ids are the values of column id in the order of the rows.
func ids(t *testing.T, path string) (out []int64) {
	t.Helper()
	rd, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	fr, err := pqarrow.NewFileReader(rd, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := fr.ReadTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	for _, c := range table.Column(table.Schema().FieldIndices("id")[0]).Data().Chunks() {
		col, ok := c.(*array.Int64)
		if !ok {
			t.Fatalf("id is %T", c)
		}
		out = append(out, col.Int64Values()...)
	}
	return out
}

func TestFusedRowsStayInTheirOrder(t *testing.T) {
	files, _ := typesFiles(t, 43, 9, 400, 20)
	for _, p := range []model.Partitioning{byValue, byHash, {Kind: model.PartitionRoundRobin, N: 150}} {
		for _, memory := range []int64{1, 120_000, 300_000, 900_000} {
			j := newJob(t, files, 2, p)
			j.fuse()
			j.env.MemoryBytes, j.threads = memory, 4
			j.conf.PieceRows, j.conf.RowGroupBytes, j.conf.TargetFileBytes = 20, 2_000, 10_000
			j.runAll(t)
			last := map[string]int64{}
			for _, f := range listFiles(t, j.conf.Out) { // by name: the files of a partition follow each other
				part := f[:len(f)-len(".c000.snappy.parquet")]
				for _, id := range ids(t, filepath.Join(j.conf.Out, f)) {
					if before, ok := last[part]; ok && id <= before {
						t.Fatalf("%s, %d bytes: %s has row %d after %d", p, memory, f, id, before)
					}
					last[part] = id
				}
			}
		}
	}
}

func TestFusedFaultsSurfaceAndLeaveNothing(t *testing.T) {
	files, _ := typesFiles(t, 13, 3, 60, 3)
	for _, cause := range []error{nil, unix.ENOSPC} {
		for _, memory := range []int64{20_000, 64 << 20} { // with and without spills
			t.Run(fmt.Sprint(memory, " ", cause), func(t *testing.T) {
				j := newJob(t, files, 2, byValue)
				j.fuse()
				j.env.MemoryBytes = memory
				j.conf.PieceRows, j.conf.TargetFileBytes, j.conf.RowGroupBytes = 10, 4_000, 1_000
				j.sweep(t, cause, 0, func() (runner.Result, error) { return j.runMap(t.Context(), 0) })
			})
		}
	}
}

func TestCancelledFusedAttemptLeavesNothing(t *testing.T) {
	files, _ := typesFiles(t, 17, 4, 200, 3)
	for name, when := range map[string]func(model.Progress) bool{
		"reading": func(p model.Progress) bool { return p.Rows > 0 },
		"writing": func(p model.Progress) bool { return p.Files > 0 },
	} {
		j := newJob(t, files, 2, byValue)
		j.fuse()
		j.env.MemoryBytes = 100_000
		j.conf.PieceRows, j.conf.TargetFileBytes, j.conf.RowGroupBytes = 10, 4_000, 1_000
		ctx, cancel := context.WithCancel(t.Context())
		j.env.Progress = func(p model.Progress) {
			if when(p) {
				cancel()
			}
		}
		_, err := j.runMap(ctx, 0)
		cancel()
		wantReason(t, err, model.ReasonKilled, "cancelled")
		if left := j.leftover(t); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestFusedJobWithoutRowsHasNoFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.parquet")
	writeParquet(t, empty, typesSchema, []map[string]any{}, 10)
	j := newJob(t, []string{empty, empty}, 1, byHash)
	j.fuse()
	j.fs = vfs.OS
	j.runAll(t)
	if left := listFiles(t, j.conf.Out); len(left) > 0 || len(j.writes) != 1 || j.writes[0].Files != 0 {
		t.Errorf("files for no rows: %v, %+v", left, j.writes)
	}
}
