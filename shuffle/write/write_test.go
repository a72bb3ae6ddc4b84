package write

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/dataset/gen"
	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/shuffle/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// landing writes the landing data set and returns a config that maps all of it by type.
func landing(t testing.TB, rows int64, files, types int) Config {
	t.Helper()
	dir := t.TempDir()
	if _, err := gen.Events(t.Context(), gen.Options{Dir: filepath.Join(dir, "in"), Rows: rows, Files: files, Types: types, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	c := Config{
		FS: vfs.OS, Dir: filepath.Join(dir, "scratch"), Threads: 2, MemoryBytes: 64 << 20,
		Attempt: model.AttemptID{Task: model.TaskID{Job: "j"}},
		Conf: model.JobConf{
			Codec: "snappy", PieceRows: 10_000,
			Partitioning: model.Partitioning{Kind: model.PartitionValue, PartitionBy: []string{"type"}, Buckets: 64},
		},
	}
	found, err := parquet.List(t.Context(), vfs.OS, []string{filepath.Join(dir, "in")})
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range found {
		f, err := parquet.Open(vfs.OS, found.Path)
		if err != nil {
			t.Fatal(err)
		}
		chunk := model.SplitChunk{
			Path: found.Path, RelPath: found.RelPath, FileSize: found.Size, ModTime: found.ModTime, Rows: f.NumRows(),
		}
		for g := range f.NumRowGroups() {
			chunk.RowGroups = append(chunk.RowGroups, g)
			chunk.Bytes += f.RowGroup(g).Bytes
		}
		c.Split.Chunks = append(c.Split.Chunks, chunk)
		c.Split.Rows += chunk.Rows
		c.Split.Bytes += chunk.Bytes
		if c.Conf.InputSchema, err = parquet.EncodeSchema(f.Schema(), f.KeyValue()); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// pieces are the rows of every piece of a map output, by partition and in order.
func pieces(t *testing.T, out model.MapOutput) map[model.PartitionKey][]int64 {
	t.Helper()
	all := map[model.PartitionKey][]int64{}
	for _, seg := range out.Segments {
		r, err := store.Open(vfs.OS, seg)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Entries() {
			all[e.Key] = append(all[e.Key], e.Rows)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestCutsDoNotDependOnRuns(t *testing.T) {
	c := landing(t, 20_000, 7, 50)
	c.Conf.PieceRows = 300
	want, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	wantPieces := pieces(t, want)
	for name, change := range map[string]func(*Config){
		"batches": func(c *Config) { c.BatchRows = 37 },
		"runs":    func(c *Config) { c.RunRows = 1111 },
		"files":   func(c *Config) { c.RunFiles = 1 },
	} {
		c := c
		c.Dir = t.TempDir()
		change(&c)
		got, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(pieces(t, got), wantPieces) {
			t.Errorf("%s: other pieces", name)
		}
		if !reflect.DeepEqual(got.Hash, want.Hash) || got.Rows != 20_000 || got.InRows != 20_000 {
			t.Errorf("%s: hash %v of %d rows, want %v", name, got.Hash, got.Rows, want.Hash)
		}
	}
	for key, rows := range wantPieces {
		for i, n := range rows {
			if n > 300 || i < len(rows)-1 && n != 300 {
				t.Errorf("%s: pieces of %v rows", key, rows)
			}
		}
	}
}

func TestReportAddsUp(t *testing.T) {
	c := landing(t, 10_000, 3, 50)
	var rows, bytes int64
	c.Progress = func(r, b int64) {
		if r < rows || b < bytes {
			t.Errorf("progress went back from %d, %d to %d, %d", rows, bytes, r, b)
		}
		rows, bytes = r, b
	}
	out, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var inBytes, sum int64
	for _, chunk := range c.Split.Chunks {
		inBytes += chunk.Bytes
	}
	for i, b := range out.Buckets {
		sum += b.Rows
		if i > 0 && b.Bucket <= out.Buckets[i-1].Bucket {
			t.Errorf("bucket %d after %d", b.Bucket, out.Buckets[i-1].Bucket)
		}
	}
	if out.Rows != 10_000 || sum != 10_000 || out.InBytes != inBytes || rows != 10_000 || bytes != inBytes || out.Spills != 0 {
		t.Errorf("%d rows, %d in buckets, %d bytes of %d, progress %d and %d, %d spills",
			out.Rows, sum, out.InBytes, inBytes, rows, bytes, out.Spills)
	}
	if out.Values < 40 || out.Values > 50 || len(out.Hot) == 0 {
		t.Errorf("%d values, %d hot", out.Values, len(out.Hot))
	}
}

func TestFullRowGroupsAreWrittenWhileMappingGoesOn(t *testing.T) {
	c := landing(t, 40_000, 8, 50)
	c.RunRows, c.Conf.PieceRows = 5_000, 100
	c.Conf.StagingDir, c.Conf.TargetFileBytes, c.Conf.RowGroupBytes = t.TempDir(), 400<<10, 50<<10
	c.MemoryBytes = 256 << 20
	var read, early int64
	c.Progress = func(rows, _ int64) { read = rows }
	c.Written = func(rows, _, _ int64) {
		if read < 30_000 {
			early = rows
		}
	}
	c.Threads = 1
	out, err := Fuse(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if early < 5_000 || out.Spills != 0 || out.Rows != 40_000 || out.InRows != 40_000 || out.Hash.Rows != 40_000 {
		t.Errorf("%d rows were written early; %+v", early, out)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("scratch was used: %v", err)
	}
}

func TestEmptySplitHasNoSegment(t *testing.T) {
	c := landing(t, 10, 1, 50)
	c.Split.Chunks = nil
	out, err := Run(t.Context(), c)
	if err != nil || len(out.Segments) != 0 || out.Rows != 0 || out.Hash.Rows != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestFailureRemovesSealedSegments(t *testing.T) {
	c := landing(t, 20_000, 4, 50)
	c.MemoryBytes = 1 // a seal after every run
	last := &c.Split.Chunks[3]
	if err := os.Truncate(last.Path, last.FileSize/2); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), c)
	var f *model.Failure
	if !errors.As(err, &f) || f.Reason != model.ReasonInput || !strings.Contains(err.Error(), last.Path) {
		t.Errorf("got %v", err)
	}
	err = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMissingColumnIsNamed(t *testing.T) {
	c := landing(t, 10, 1, 50)
	c.Conf.Partitioning.PartitionBy = []string{"typo"}
	_, err := Run(context.Background(), c)
	var f *model.Failure
	if !errors.As(err, &f) || f.Reason != model.ReasonUser || !strings.Contains(err.Error(), "type") {
		t.Errorf("got %v", err)
	}
}

func TestPageSize(t *testing.T) {
	many := make([]int64, 1000)
	for i := range many {
		many[i] = 40 << 20
	}
	for _, c := range []struct {
		name   string
		bytes  []int64
		memory int64
		least  int
		want   int
	}{
		{"a few partitions get the largest pages", many[:3], 64 << 20, minPageBytes, 256 << 10},
		{"memory divided by the open pages", many, 640 << 20, minPageBytes, 64 << 10},
		{"never below the smallest", many, 1, minPageBytes, 4 << 10},
		{"nor below what the destination asks for", many, 1, minFusedPageBytes, 128 << 10},
		{"small partitions do not fill their pages", append(make([]int64, 100_000), 1<<30), 3 << 20, minPageBytes, 256 << 10},
	} {
		if got := pageSize(c.bytes, 10, c.memory, c.least); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
