package plan

import (
	"strings"
	"testing"

	"github.com/sluice-engine/sluice/model"
)

func explain(t *testing.T, spec model.JobSpec, rows, outBytes int64, splits int, values ...ColumnValues) Explanation {
	t.Helper()
	spec.Input, spec.Out = []string{"/lake/landing"}, "/lake/mart"
	spec.Normalize()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	in := ExplainInput{Spec: spec, Values: values, OutBytes: outBytes, Threads: 2}
	in.Job = Job{InputRows: rows, InputFiles: 200, InputBytes: outBytes, Splits: make([]model.Split, splits)}
	in.Job.Conf = model.JobConf{Partitioning: spec.Partitioning(), TargetFileBytes: int64(spec.TargetFileSize), Codec: "snappy"}
	return Explain(in)
}

var types = ColumnValues{Column: "type", Distinct: 500, Exact: true}

func TestExplainWarnsOfThe8000(t *testing.T) {
	e := explain(t, model.JobSpec{By: []string{"device_id"}, N: 16, PartitionBy: []string{"type"}}, 2_000_000, 418e6, 10, types)
	if e.FilesOut != (Figure{8000, UpperBound}) {
		t.Errorf("files out: %+v", e.FilesOut)
	}
	if len(e.Warnings) != 1 || !strings.Contains(e.Warnings[0].Text, "16 partitions x 500 values of type = about 8,000 files") {
		t.Fatalf("warnings: %+v", e.Warnings)
	}
	if got := e.Warnings[0].Better; got != "sluice repartition /lake/landing --partition-by type --out /lake/mart   # about 500 files" {
		t.Errorf("better: %s", got)
	}
}

func TestExplainByValue(t *testing.T) {
	e := explain(t, model.JobSpec{PartitionBy: []string{"type"}}, 2_000_000, 418e6, 10, types)
	if e.FilesOut != (Figure{500, Exact}) || e.Partitions != (Figure{500, Exact}) || len(e.Warnings) != 0 {
		t.Errorf("got %+v", e)
	}
	e = explain(t, model.JobSpec{PartitionBy: []string{"type"}, TargetFileSize: 1 << 20}, 2_000_000, 100<<20, 10, types)
	if e.FilesOut != (Figure{600, Estimate}) {
		t.Errorf("with full files: %+v", e.FilesOut)
	}
}

func TestExplainNeverCountsMoreFilesThanRows(t *testing.T) {
	e := explain(t, model.JobSpec{N: 1000, PartitionBy: []string{"type"}}, 10, 1000, 1, types)
	if e.FilesOut.Value != 10 || e.FilesOut.Kind != UpperBound {
		t.Errorf("got %+v", e.FilesOut)
	}
	e = explain(t, model.JobSpec{PartitionBy: []string{"type", "x"}}, 100, 1000, 1, types, ColumnValues{Column: "x", Distinct: 7})
	if e.Partitions != (Figure{100, Estimate}) {
		t.Errorf("a sampled column makes an estimate: %+v", e.Partitions)
	}
	e = explain(t, model.JobSpec{PartitionBy: []string{"type"}}, 0, 0, 0, ColumnValues{Column: "type", Exact: true})
	if e.FilesOut != (Figure{0, Exact}) || e.Partitions != (Figure{0, Exact}) {
		t.Errorf("no rows make no file: %+v", e)
	}
}

func TestExplainWithoutShuffle(t *testing.T) {
	e := explain(t, model.JobSpec{NoShuffle: true, PartitionBy: []string{"type"}}, 2_000_000, 418e6, 10, types)
	if e.ShuffleBytes != (Figure{0, Exact}) || e.WriteTasks.Value != 10 || e.FilesOut.Value != 5000 || len(e.Warnings) != 1 {
		t.Errorf("got %+v", e)
	}
}

func TestExplainFused(t *testing.T) {
	for _, spec := range []model.JobSpec{{PartitionBy: []string{"type"}}, {NoShuffle: true, PartitionBy: []string{"type"}}} {
		in := ExplainInput{Spec: spec, Values: []ColumnValues{types}, OutBytes: 418e6, Threads: 2}
		in.Job = Job{InputRows: 2_000_000, Splits: []model.Split{{Rows: 1_500_000, Bytes: 3e8}, {Index: 1, Rows: 500_000, Bytes: 1e8}}}
		in.Job.Conf = model.JobConf{Partitioning: spec.Partitioning(), TargetFileBytes: 512 << 20, Execution: model.ExecutionFused}
		tasks, largest := int64(1), int64(4e8)
		if spec.NoShuffle {
			tasks, largest = 2, 3e8
		}
		e := Explain(in)
		if e.Execution != model.ExecutionFused || e.Splits != (Figure{tasks, Exact}) || e.LargestSplit.Value != largest ||
			e.WriteTasks != (Figure{tasks, Exact}) || e.ShuffleBytes != (Figure{0, Exact}) {
			t.Errorf("no shuffle %v: %+v", spec.NoShuffle, e)
		}
	}
}

func TestQuoteForAShell(t *testing.T) {
	for in, want := range map[string]string{"/a/b=c": "/a/b=c", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "*.parquet": "'*.parquet'"} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
