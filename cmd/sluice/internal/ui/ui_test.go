package ui

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/dataset/verify"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares what a function writes with a file.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s (go test -rewrite writes it anew)\ngot\n%s\nwant\n%s", path, b.Bytes(), want)
	}
	for i, line := range strings.Split(b.String(), "\n") {
		if strings.TrimRight(line, " ") != line {
			t.Errorf("line %d ends in spaces: %q", i+1, line)
		}
	}
}

var begin = time.Date(2021, 8, 28, 12, 0, 0, 0, time.UTC)

func eventReceipt() model.Receipt {
	sizes := make([]int64, 30)
	sizes[15], sizes[16], sizes[17], sizes[20], sizes[26] = 4, 217, 128, 12, 1
	return model.Receipt{
		Job: "20210828-120000-0a1b2c3d", Name: "mart", State: model.JobSucceeded, Input: []string{"/lake/landing"}, Out: "/lake/mart",
		Partitioning: "value(type)", Codec: "snappy", Mode: model.ModeOverwrite,
		Submitted: begin, Started: begin.Add(time.Second), Ended: begin.Add(8960 * time.Millisecond),
		RowsIn: 2_000_000, RowsOut: 2_000_000, BytesIn: 418 << 20, BytesOut: 417 << 20, FilesIn: 200, FilesOut: 500, FilesGone: 1, Partitions: 500,
		EmptyText: 3, ShuffleBytes: 452 << 20, Fetch: model.FetchCounters{LocalBytes: 400 << 20, RemoteBytes: 52 << 20, Refetches: 1},
		FileSizes: sizes,
		HotKeys: []model.ValueSize{
			{Key: model.PartitionKey{Path: "type=appOpen"}, Rows: 482_894, Bytes: 98 << 20},
			{Key: model.PartitionKey{Path: "type=heartbeat"}, Rows: 129_178, Bytes: 27 << 20},
			{Key: model.PartitionKey{Bucket: 7}, Rows: 129, Bytes: 27 << 10},
		},
		MapTasks: 10, Tasks: 8, Retries: 2, Spills: 1, Verified: model.VerifyContent,
		Hash: model.ContentHash{Rows: 2_000_000, RowSum: 0x0e2e9d5d890a3e57, Columns: []model.ColumnHash{{Name: "a", Sum: 1}, {Name: "b", Sum: 2}}},
	}
}

func TestReceipt(t *testing.T) {
	golden(t, "receipt.txt", func(w io.Writer) error { return Receipt(w, eventReceipt()) })
}

func TestReceiptOfAJobWithoutShuffleOrRows(t *testing.T) {
	golden(t, "receipt-none.txt", func(w io.Writer) error {
		return Receipt(w, model.Receipt{
			Job: "20210828-120000-0a1b2c3d", State: model.JobSucceeded, Out: "/lake/mart", Partitioning: "none", Codec: "zstd", Mode: model.ModeError,
			Submitted: begin, Ended: begin.Add(80 * time.Millisecond), FilesIn: 1, MapTasks: 1, Tasks: 1, Verified: model.VerifyRows,
		})
	})
}

func TestPlan(t *testing.T) {
	golden(t, "plan.txt", func(w io.Writer) error {
		return Plan(w, plan.Explanation{
			Input: []string{"/lake/landing"}, Out: "/lake/mart", Partitioning: "hash(16, device_id) x value(type)", Execution: "staged", Codec: "snappy",
			FilesIn: plan.Figure{Value: 200, Kind: plan.Exact}, RowsIn: plan.Figure{Value: 2_000_000, Kind: plan.Exact}, BytesIn: plan.Figure{Value: 399 << 20, Kind: plan.Exact},
			Splits: plan.Figure{Value: 10, Kind: plan.Exact}, LargestSplit: plan.Figure{Value: 44 << 20, Kind: plan.Exact},
			Values:     []plan.ColumnValues{{Column: "type", Distinct: 500, Exact: true}, {Column: "a_long_column_name", Distinct: 12, Exact: false}},
			Partitions: plan.Figure{Value: 8000, Kind: plan.UpperBound}, WriteTasks: plan.Figure{Value: 9, Kind: plan.Estimate},
			ShuffleBytes: plan.Figure{Value: 396 << 20, Kind: plan.Estimate}, FilesOut: plan.Figure{Value: 8000, Kind: plan.UpperBound},
			BytesOut: plan.Figure{Value: 396 << 20, Kind: plan.Estimate}, FileBytes: plan.Figure{Value: 51 << 10, Kind: plan.Estimate},
			Warnings: []plan.Warning{{Text: "about 8,000 files", Better: "sluice repartition /lake/landing"}, {Text: "another one"}},
		})
	})
}

func TestTables(t *testing.T) {
	now := begin.Add(time.Minute)
	r := eventReceipt()
	jobs := []model.JobStatus{
		{Job: "20210828-120030-ffffffff", Name: "running", State: model.JobRunning, Submitted: begin.Add(30 * time.Second), RowsTotal: 2_000_000,
			Detail: "waits for executors",
			Spec:   model.JobSpec{Input: []string{"/lake/landing"}, Out: "/lake/mart", N: 3},
			Stages: []model.StageStatus{{Stage: 0, Kind: model.TaskMap, Tasks: 10, Done: 10, Failed: 1, Lost: 2, Rows: 2_000_000, Bytes: 1 << 20}, {Stage: 1, Kind: model.TaskReduce, Tasks: 8, Done: 1, Running: 2, Rows: 1000, Bytes: 1000, Files: 5}}},
		{Job: "20210828-120000-0a1b2c3d", Name: "mart", State: model.JobSucceeded, Submitted: begin, Ended: r.Ended, Receipt: &r},
		{Job: "20210828-110000-0a1b2c3d", Name: "mart", State: model.JobFailed, Submitted: begin.Add(-time.Hour), Ended: begin,
			Failure: &model.Failure{Reason: model.ReasonInput, Message: "a.parquet: cut short\nb.parquet: too"}},
	}
	golden(t, "jobs.txt", func(w io.Writer) error { return Jobs(w, jobs, now) })
	golden(t, "job-running.txt", func(w io.Writer) error { return Job(w, jobs[0], now) })
	golden(t, "job-failed.txt", func(w io.Writer) error { return Job(w, jobs[2], now) })
	golden(t, "job-succeeded.txt", func(w io.Writer) error { return Job(w, jobs[1], now) })
	golden(t, "executors.txt", func(w io.Writer) error {
		return Executors(w, []model.ExecutorStatus{
			{Executor: "executor-1", State: "alive", Addr: "executor-1:7400", Threads: 4, Slots: 1, Memory: 1 << 30, Running: 1, Outputs: 12, LastHeard: now.Add(-time.Second)},
			{Executor: "executor-2", State: "lost", Addr: "10.0.0.2:7400", Threads: 16, Slots: 2, Memory: 8 << 30},
		}, now)
	})
	golden(t, "empty.txt", func(w io.Writer) error {
		if err := Jobs(w, nil, now); err != nil {
			return err
		}
		return Executors(w, nil, now)
	})
}

func TestVerify(t *testing.T) {
	equal := &verify.Result{Equal: true, A: verify.Side{Hash: model.ContentHash{Rows: 1, RowSum: 0xab}}, Columns: []verify.Column{{Name: "a"}}}
	golden(t, "verify-equal.txt", func(w io.Writer) error { return Verify(w, equal) })
	differ := &verify.Result{
		A:       verify.Side{Path: "landing", Files: 1, Hash: model.ContentHash{Rows: 1000, RowSum: 0xab}},
		B:       verify.Side{Path: "mart", Files: 500, Hash: model.ContentHash{Rows: 1000, RowSum: 0xcd}},
		Columns: []verify.Column{{Name: "id", A: 1, B: 1, Equal: true}, {Name: "tags.list.element", A: 1, B: 2}},
		OnlyA:   []string{"x", "y"}, OnlyB: []string{"z"}, Swapped: true,
	}
	golden(t, "verify-differ.txt", func(w io.Writer) error { return Verify(w, differ) })
}

func TestFormats(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 12 * time.Millisecond: "12 ms", 1234 * time.Millisecond: "1.23 s", 12340 * time.Millisecond: "12.3 s",
		61 * time.Second: "1m01s", 2*time.Hour + 5*time.Minute: "2h05m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %s, want %s", d, got, want)
		}
	}
	for want, pair := range map[string][2]int64{"0 %": {0, 0}, "24 %": {24, 100}, "2.5 %": {25, 1000}, "< 0.1 %": {1, 100000}, "> 99.9 %": {99999, 100000}, "100 %": {5, 5}} {
		if got := percent(pair[0], pair[1]); got != want {
			t.Errorf("percent(%d, %d) = %s, want %s", pair[0], pair[1], got, want)
		}
	}
}
