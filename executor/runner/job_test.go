package runner_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/dataset/parquet"
	"github.com/sluice-engine/sluice/executor/runner"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
	"github.com/sluice-engine/sluice/shuffle/fetch"
)

func TestMain(m *testing.M) {
	// A check is a whole job; flags on the command line come later and win.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// job is a job that the test runs attempt by attempt: what coordinator and executors do, without them.
type job struct {
	fs       vfs.FS
	conf     model.JobConf
	splits   []model.Split
	env      runner.Env
	threads  int
	reducers int

	inputRows int64
	maps      []model.MapOutput
	writes    []model.WriteOutput
}

const testUUID = "0b6f7c5e-0000-4000-8000-000000000001"

// newJob plans the job over the files in dir, which is sized into splits of filesPerSplit.
func newJob(t testing.TB, files []string, filesPerSplit int, p model.Partitioning) *job {
	t.Helper()
	root := t.TempDir()
	j := &job{fs: vfs.OS, threads: 2, reducers: 3}
	j.conf = model.JobConf{
		Job: "job-1", UUID: testUUID, Partitioning: p, Codec: "snappy",
		TargetFileBytes: 512 << 20, RowGroupBytes: 64 << 20, PieceRows: 1 << 20,
		Out: filepath.Join(root, "out"), StagingDir: filepath.Join(root, "staging"), ShareToken: "token-1",
	}
	j.env = runner.Env{
		ScratchDir: filepath.Join(root, "scratch"), MemoryBytes: 256 << 20, Executor: "e1", Host: "h1",
		Fetch: fetch.Options{HostID: "h1"},
	}
	for _, dir := range []string{j.conf.Out, j.conf.StagingDir, j.env.ScratchDir} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(j.conf.StagingDir, "share-token.tmp"), []byte("token-1"), 0o666); err != nil {
		t.Fatal(err)
	}
	for i, path := range files {
		if i%filesPerSplit == 0 {
			j.splits = append(j.splits, model.Split{Index: len(j.splits)})
		}
		s := &j.splits[len(j.splits)-1]
		c := j.plan(t, path)
		s.Chunks, s.Rows, s.Bytes = append(s.Chunks, c), s.Rows+c.Rows, s.Bytes+c.Bytes
	}
	return j
}

func (j *job) plan(t testing.TB, path string) model.SplitChunk {
	t.Helper()
	f, err := parquet.Open(vfs.OS, path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := model.SplitChunk{
		Path: path, RelPath: filepath.Base(path), FileSize: f.Size(), ModTime: f.ModTime(), Rows: f.NumRows(),
	}
	for g := range f.NumRowGroups() {
		c.RowGroups = append(c.RowGroups, g)
		c.Bytes += f.RowGroup(g).Bytes
	}
	j.inputRows += c.Rows
	if j.conf.InputSchema, err = parquet.EncodeSchema(f.Schema(), f.KeyValue()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (j *job) run(ctx context.Context, spec model.TaskSpec, sources []model.MapSource) (runner.Result, error) {
	env := j.env
	env.FS, env.Fetch.FS = j.fs, j.fs
	return runner.Run(ctx, env, model.Assignment{
		Attempt: model.AttemptID{Task: spec.Task}, Spec: spec, Conf: j.conf, Sources: sources, Threads: j.threads,
	})
}

// fuse makes the job a fused one.
func (j *job) fuse() {
	j.conf.Execution = model.ExecutionFused
	j.splits = plan.Fuse(j.conf, j.splits)
}

func (j *job) runMap(ctx context.Context, i int) (runner.Result, error) {
	kind := model.TaskMap
	if j.conf.Partitioning.Kind == model.PartitionNone || j.conf.Execution == model.ExecutionFused {
		kind = model.TaskDirect
	}
	return j.run(ctx, model.TaskSpec{
		Task: model.TaskID{Job: j.conf.Job, Index: i}, Kind: kind, Split: &j.splits[i],
	}, nil)
}

func (j *job) sources() []model.MapSource {
	var s []model.MapSource
	for _, m := range j.maps {
		s = append(s, model.MapSource{Attempt: m.Attempt, HostID: "h1", Segments: m.Segments})
	}
	return s
}

// ranges divides the buckets among the reducers; the hottest partition is a task of its own.
func (j *job) ranges() []model.ReduceRange {
	n := uint32(j.conf.Partitioning.NumBuckets())
	var hot *model.ValueSize
	for _, m := range j.maps {
		for i := range m.Hot {
			if hot == nil || m.Hot[i].Bytes > hot.Bytes {
				hot = &m.Hot[i]
			}
		}
	}
	var out []model.ReduceRange
	for i := range uint32(j.reducers) {
		rg := model.ReduceRange{Lo: n * i / uint32(j.reducers), Hi: n * (i + 1) / uint32(j.reducers)}
		if hot != nil && rg.Lo <= hot.Key.Bucket && hot.Key.Bucket < rg.Hi {
			rg.Except = []model.PartitionKey{hot.Key}
		}
		out = append(out, rg)
	}
	if hot != nil {
		out = append(out, model.ReduceRange{Only: &hot.Key})
	}
	return out
}

func (j *job) runReduce(ctx context.Context, i int, rg model.ReduceRange) (runner.Result, error) {
	return j.run(ctx, model.TaskSpec{
		Task: model.TaskID{Job: j.conf.Job, Stage: 1, Index: i}, Kind: model.TaskReduce, Range: &rg,
	}, j.sources())
}

// runAll runs every task and renames the staged files into the output.
func (j *job) runAll(t testing.TB) {
	t.Helper()
	for i := range j.splits {
		res, err := j.runMap(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if res.Map != nil {
			j.maps = append(j.maps, *res.Map)
		} else {
			j.writes = append(j.writes, *res.Write)
		}
	}
	if len(j.maps) > 0 {
		for i, rg := range j.ranges() {
			res, err := j.runReduce(t.Context(), i, rg)
			if err != nil {
				t.Fatal(err)
			}
			j.writes = append(j.writes, *res.Write)
		}
	}
	for i := range j.writes {
		j.publish(t, &j.writes[i])
	}
}

// publish checks a manifest and renames its files.
func (j *job) publish(t testing.TB, w *model.WriteOutput) {
	t.Helper()
	text, err := os.ReadFile(w.Manifest.Path)
	if err != nil {
		t.Fatal(err)
	}
	if crc := crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)); crc != w.Manifest.CRC || int64(len(text)) != w.Manifest.Bytes {
		t.Errorf("manifest %s: %d bytes with checksum %08x, reported %d with %08x",
			w.Manifest.Path, len(text), crc, w.Manifest.Bytes, w.Manifest.CRC)
	}
	var files, rows, size int64
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if line == "" {
			continue
		}
		var f model.StagedFile
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f.Staged, ".tmp") || filepath.Dir(f.Staged) != j.conf.StagingDir {
			t.Errorf("staged as %s", f.Staged)
		}
		if st, err := os.Stat(f.Staged); err != nil || st.Size() != f.Bytes {
			t.Errorf("%s: %v, manifest says %d bytes", f.Staged, err, f.Bytes)
		}
		target := filepath.Join(j.conf.Out, f.Final)
		if _, err := os.Stat(target); err == nil {
			t.Errorf("two files for %s", f.Final)
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.Staged, target); err != nil {
			t.Fatal(err)
		}
		files, rows, size = files+1, rows+f.Rows, size+f.Bytes
	}
	if files != w.Files || rows != w.Rows || size != w.Bytes {
		t.Errorf("manifest has %d files, %d rows, %d bytes; reported %d, %d, %d", files, rows, size, w.Files, w.Rows, w.Bytes)
	}
}

// hash adds up what the tasks that read input reported.
func (j *job) hash() model.ContentHash {
	var h model.ContentHash
	for _, m := range j.maps {
		h.Add(m.Hash)
	}
	for _, w := range j.writes {
		if len(w.Hash.Columns) > 0 {
			h.Add(w.Hash)
		}
	}
	return h
}

// typesFiles writes files of typesSchema with random numbers of rows, and returns their rows too.
func typesFiles(t testing.TB, seed uint64, files, maxRows, kinds int) ([]string, map[string]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	var paths []string
	want := map[string]int{}
	id := 0
	for i := range files {
		rows := make([]map[string]any, r.IntN(maxRows)+1)
		for k := range rows {
			rows[k] = typesRow(r, id, kinds)
			id++
		}
		path := filepath.Join(dir, fmt.Sprintf("in-%03d.parquet", i))
		writeParquet(t, path, typesSchema, rows, 1+r.IntN(maxRows))
		countRows(t, path, nil, want)
		paths = append(paths, path)
	}
	return paths, want
}

// checkOutput compares the output's rows and the tasks' figures with the input's.
func (j *job) checkOutput(t testing.TB, want map[string]int) {
	t.Helper()
	sameRows(t, countOutput(t, j.conf.Out, map[string]bool{"region": true}), want)
	var rows int64
	for _, w := range j.writes {
		rows += w.Rows
	}
	if h := j.hash(); rows != j.inputRows || h.Rows != j.inputRows {
		t.Errorf("%d rows written and %d hashed of %d", rows, h.Rows, j.inputRows)
	}
	for _, m := range j.maps {
		if m.Rows != m.InRows {
			t.Errorf("%s: %d rows in, %d out", m.Attempt, m.InRows, m.Rows)
		}
	}
}
