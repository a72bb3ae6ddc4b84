package runner_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/sluice-engine/sluice/dataset/hive"
)

// typesSchema has every kind of leaf: flat of each physical type, lists, structs, maps and lists of
// structs. kind and region are partition columns.
var typesSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "kind", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "tiny", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "unsigned", Type: arrow.PrimitiveTypes.Uint32},
	{Name: "single", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "double", Type: arrow.PrimitiveTypes.Float64},
	{Name: "price", Type: &arrow.Decimal128Type{Precision: 20, Scale: 2}, Nullable: true},
	{Name: "region", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "blob", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "fixed", Type: &arrow.FixedSizeBinaryType{ByteWidth: 6}, Nullable: true},
	{Name: "text", Type: arrow.BinaryTypes.String},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	{Name: "point", Type: arrow.StructOf(
		arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "y", Type: arrow.PrimitiveTypes.Float64},
	), Nullable: true},
	{Name: "attrs", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true},
	{Name: "items", Type: arrow.ListOf(arrow.StructOf(
		arrow.Field{Name: "sku", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "sizes", Type: arrow.ListOf(arrow.PrimitiveTypes.Int32), Nullable: true},
	)), Nullable: true},
}, nil)

// typesRow makes one row of typesSchema. kinds limits the different values of kind.
func typesRow(r *rand.Rand, id, kinds int) map[string]any {
	maybe := func(v any) any {
		if r.IntN(6) == 0 {
			return nil
		}
		return v
	}
	words := func() any {
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = maybe(fmt.Sprint("word", r.IntN(9)))
		}
		return list
	}
	items := make([]any, r.IntN(3))
	for i := range items {
		sizes := make([]any, r.IntN(3))
		for k := range sizes {
			sizes[k] = maybe(r.IntN(50))
		}
		items[i] = maybe(map[string]any{"sku": maybe(fmt.Sprint("sku", r.IntN(100))), "sizes": maybe(sizes)})
	}
	attrs := make([]any, r.IntN(3))
	for i := range attrs {
		attrs[i] = map[string]any{"key": fmt.Sprint("k", i), "value": maybe(r.IntN(1000))}
	}
	return map[string]any{
		"id": id, "kind": kindOf(r, kinds), "flag": maybe(r.IntN(2) == 0), "tiny": maybe(r.IntN(100) - 50),
		"unsigned": r.Uint32(), "single": maybe(float64(r.IntN(1000)) / 8), "double": r.NormFloat64(),
		"price":  maybe(fmt.Sprintf("%d.%02d", r.IntN(1e6)-5e5, r.IntN(100))),
		"region": maybe(r.IntN(3)), "day": maybe(fmt.Sprintf("2021-%02d-%02d", 1+r.IntN(12), 1+r.IntN(28))),
		"at":   fmt.Sprintf("2021-08-28 %02d:%02d:%02d.%06dZ", r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6)),
		"blob": maybe([]byte(strings.Repeat("b", r.IntN(20)))), "fixed": maybe([]byte(fmt.Sprintf("%06d", r.IntN(1e6)))),
		"text": strings.Repeat(fmt.Sprint("t", r.IntN(50)), r.IntN(10)), "tags": maybe(words()),
		"point": maybe(map[string]any{"x": maybe(r.IntN(100)), "y": r.Float64()}),
		"attrs": maybe(attrs), "items": maybe(items),
	}
}

// kindOf is skewed: half of the rows have the first value, some are null, and one value needs escaping.
func kindOf(r *rand.Rand, kinds int) any {
	switch n := r.IntN(2 * kinds); {
	case n >= kinds:
		return "hot"
	case n == 0:
		return nil
	case n == 1:
		return "a/b=c %"
	default:
		return fmt.Sprint("kind", n)
	}
}

// writeParquet writes rows of a schema, groupRows to a row group.
func writeParquet(t testing.TB, path string, schema *arrow.Schema, rows []map[string]any, groupRows int) {
	t.Helper()
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(int64(groupRows))),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	for from := int64(0); from < rec.NumRows(); from += int64(groupRows) {
		part := rec.NewSlice(from, min(from+int64(groupRows), rec.NumRows()))
		if err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		part.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// countRows adds the rows of a file, as arrow-go reads them, to a multiset. extra columns come from
// the file's directory.
func countRows(t testing.TB, path string, extra map[string]any, into map[string]int) {
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
		t.Fatalf("%s: %v", path, err)
	}
	defer table.Release()
	batches := array.NewTableReader(table, 0)
	defer batches.Release()
	for batches.Next() {
		text, err := batches.RecordBatch().MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var rows []map[string]any
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.UseNumber()
		if err := dec.Decode(&rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for k, v := range extra {
				row[k] = v
			}
			line, err := json.Marshal(row) // keys are sorted
			if err != nil {
				t.Fatal(err)
			}
			into[string(line)]++
		}
	}
}

// countOutput reads every file below dir. partitionBy are the columns whose values lie in directory
// names; numbers says which of them are numbers.
func countOutput(t testing.TB, dir string, numbers map[string]bool) map[string]int {
	t.Helper()
	rows := map[string]int{}
	for _, path := range listFiles(t, dir) {
		extra := map[string]any{}
		for _, level := range strings.Split(filepath.Dir(path), string(filepath.Separator)) {
			name, value, null, ok := hive.ParseDir(level)
			switch {
			case !ok:
			case null:
				extra[name] = nil
			case numbers[name]:
				extra[name] = json.Number(value)
			default:
				extra[name] = value
			}
		}
		countRows(t, filepath.Join(dir, path), extra, rows)
	}
	return rows
}

// listFiles returns the files below dir, relative to it, in order.
func listFiles(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(files)
	return files
}

// sameRows fails the test when two multisets differ, showing some of the difference.
func sameRows(t testing.TB, got, want map[string]int) {
	t.Helper()
	shown := 0
	for _, m := range []map[string]int{want, got} {
		for row := range m {
			if got[row] != want[row] && shown < 4 {
				shown++
				t.Errorf("%d times, want %d: %s", got[row], want[row], row)
			}
		}
	}
}
