package survey

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// table writes a Parquet file of one text and one number column; second is the number column's type.
func table(t *testing.T, path string, second arrow.DataType, texts []string, opts ...parquet.WriterProperty) {
	t.Helper()
	sc := arrow.NewSchema([]arrow.Field{{Name: "type", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "n", Type: second}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer b.Release()
	for i, s := range texts {
		if s == "" {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.StringBuilder).Append(s)
		}
		switch n := b.Field(1).(type) {
		case *array.Int64Builder:
			n.Append(int64(i))
		case *array.Float64Builder:
			n.Append(float64(i))
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	opts = append([]parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd)}, opts...)
	w, err := pqarrow.NewFileWriter(sc, f, parquet.NewWriterProperties(opts...), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rec); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func look(t *testing.T, spec model.JobSpec) (*Survey, error) {
	t.Helper()
	spec.Normalize()
	return Look(context.Background(), vfs.OS, spec)
}

func TestSurveyPlansTheJob(t *testing.T) {
	in := t.TempDir()
	for _, name := range []string{"a.parquet", "b.parquet"} {
		table(t, filepath.Join(in, name), arrow.PrimitiveTypes.Int64, []string{"x", "y", "x", ""})
	}
	s, err := look(t, model.JobSpec{Input: []string{in}, Out: in + "-out", PartitionBy: []string{"type"}})
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Job("j", "u", 2, model.ExecutionStaged)
	if err != nil {
		t.Fatal(err)
	}
	if j.InputRows != 8 || j.InputFiles != 2 || j.Conf.Codec != "zstd" || j.Conf.PieceRows < 1 || len(j.Splits) == 0 {
		t.Errorf("planned %+v", j)
	}
	e, err := s.Explain(context.Background(), 2, 2, model.ExecutionFused)
	if err != nil {
		t.Fatal(err)
	}
	if e.Partitions != (plan.Figure{Value: 3, Kind: plan.Exact}) || e.Execution != model.ExecutionFused {
		t.Errorf("x, y and null are %+v, %s", e.Partitions, e.Execution)
	}
	fused, err := s.Job("j", "u", 2, model.ExecutionFused)
	if err != nil {
		t.Fatal(err)
	}
	// A file has room for 8 row groups: a piece is one. With less room it is an eighth of a file.
	if got, want := fused.Conf.PieceRows, 8*j.Conf.PieceRows; got < want || got > want+8 {
		t.Errorf("pieces of %d rows fused, %d staged", got, j.Conf.PieceRows)
	}
	s.Spec.TargetFileSize /= 2
	if j, err = s.Job("j", "u", 2, model.ExecutionStaged); err != nil {
		t.Fatal(err)
	}
	if fused, err = s.Job("j", "u", 2, model.ExecutionFused); err != nil || fused.Conf.PieceRows != j.Conf.PieceRows {
		t.Errorf("pieces of %d rows fused, %d staged, %v", fused.Conf.PieceRows, j.Conf.PieceRows, err)
	}
}

func TestValuesWithoutDictionaryAreSampled(t *testing.T) {
	in := t.TempDir()
	table(t, filepath.Join(in, "a.parquet"), arrow.PrimitiveTypes.Int64, []string{"x", "y", "z"}, parquet.WithDictionaryDefault(false))
	s, err := look(t, model.JobSpec{Input: []string{in}, Out: in + "-out", PartitionBy: []string{"type"}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Values(context.Background())
	if err != nil || len(v) != 1 || v[0].Exact || v[0].Distinct != 3 {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestInputMistakesAreNamed(t *testing.T) {
	in := t.TempDir()
	table(t, filepath.Join(in, "a.parquet"), arrow.PrimitiveTypes.Int64, []string{"x"})
	other := t.TempDir()
	table(t, filepath.Join(other, "b.parquet"), arrow.PrimitiveTypes.Float64, []string{"x"})
	for want, spec := range map[string]model.JobSpec{
		"different schemas":   {Input: []string{in, other}, Out: in + "-out", PartitionBy: []string{"type"}},
		"lie inside each":     {Input: []string{in}, Out: filepath.Join(in, "out"), PartitionBy: []string{"type"}},
		"is the input":        {Input: []string{in}, Out: in, PartitionBy: []string{"type"}},
		"type":                {Input: []string{in}, Out: in + "-out", PartitionBy: []string{"tipe"}},
		"file does not exist": {Input: []string{in + "-absent"}, Out: in + "-out", PartitionBy: []string{"type"}},
	} {
		_, err := look(t, spec)
		if f := model.AsFailure(err, ""); err == nil || f.Reason != model.ReasonUser || !strings.Contains(f.Message, want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	_, err := look(t, model.JobSpec{Input: []string{in, other}, Out: in + "-out", PartitionBy: []string{"type"}})
	for _, part := range []string{"a.parquet", "b.parquet", `"n"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error about two schemas does not name %s: %v", part, err)
		}
	}
}

func TestEveryFaultOfALookSurfaces(t *testing.T) {
	in := t.TempDir()
	for _, name := range []string{"a.parquet", "b.parquet"} {
		table(t, filepath.Join(in, name), arrow.PrimitiveTypes.Int64, []string{"x", "y"})
	}
	spec := model.JobSpec{Input: []string{in}, Out: in + "-out", PartitionBy: []string{"type"}}
	spec.Normalize()
	for failAt := int64(0); ; failAt++ {
		fault := &vfs.FaultFS{FS: vfs.OS, FailAt: failAt}
		s, err := Look(context.Background(), fault, spec)
		if err == nil {
			_, err = s.Values(context.Background())
		}
		if !fault.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if err == nil {
			t.Fatalf("the fault at %d was swallowed", failAt)
		}
	}
}
