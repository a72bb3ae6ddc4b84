package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// row is one row of the test data. Kind, Day and Price may be left out of a file and stand in its
// directory instead.
type row struct {
	ID    int64
	Kind  string // "\x00" is null
	Day   int32  // DATE
	Price int64  // DECIMAL(9,2)
	Tags  []string
}

const null = "\x00"

// writeRows writes one file with the columns named, in small row groups.
func writeRows(t *testing.T, path string, columns string, rows []row) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	ty, opt := arrowparquet.Types, arrowparquet.Repetitions.Optional
	leaf := func(name string, l schema.LogicalType, p arrowparquet.Type) schema.Node {
		return schema.Must(schema.NewPrimitiveNodeLogical(name, opt, l, p, 0, -1))
	}
	nodes := map[string]schema.Node{
		"id":    leaf("id", nil, ty.Int64),
		"kind":  leaf("kind", schema.StringLogicalType{}, ty.ByteArray),
		"day":   leaf("day", schema.DateLogicalType{}, ty.Int32),
		"price": leaf("price", schema.NewDecimalLogicalType(9, 2), ty.Int64),
		"wide":  schema.Must(schema.NewPrimitiveNodeLogical("price", opt, nil, ty.Double, 0, -1)),
		"tags": schema.MustGroup(schema.NewGroupNodeLogical("tags", opt, schema.FieldList{
			schema.MustGroup(schema.NewGroupNode("list", arrowparquet.Repetitions.Repeated, schema.FieldList{
				leaf("element", schema.StringLogicalType{}, ty.ByteArray)}, -1))}, schema.NewListLogicalType(), -1)),
	}
	names := strings.Split(columns, ",")
	var fields schema.FieldList
	for _, n := range names {
		fields = append(fields, nodes[n])
	}
	root := schema.MustGroup(schema.NewGroupNode("schema", arrowparquet.Repetitions.Required, fields, -1))
	w := file.NewParquetWriter(out, root)
	for part := range slices.Chunk(rows, 7) {
		rg, err := w.AppendRowGroupChecked()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			cw, err := rg.NextColumn()
			if err == nil {
				err = writeColumn(cw, n, part)
			}
			if err == nil {
				err = cw.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeColumn(cw file.ColumnChunkWriter, name string, rows []row) (err error) {
	var def, rep []int16
	var ints []int64
	var texts []arrowparquet.ByteArray
	for _, r := range rows {
		switch name {
		case "id":
			ints, def = append(ints, r.ID), append(def, 1)
		case "price", "wide", "day":
			ints, def = append(ints, r.Price), append(def, 1)
		case "kind":
			if r.Kind == null {
				def = append(def, 0)
				continue
			}
			texts, def = append(texts, arrowparquet.ByteArray(r.Kind)), append(def, 1)
		case "tags":
			if len(r.Tags) == 0 {
				def, rep = append(def, 1), append(rep, 0)
			}
			for i, tag := range r.Tags {
				texts, def, rep = append(texts, arrowparquet.ByteArray(tag)), append(def, 3), append(rep, int16(min(i, 1)))
			}
		}
	}
	switch w := cw.(type) {
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(ints, def, rep)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(make([]float64, len(rows)), def, rep)
	case *file.Int32ColumnChunkWriter:
		days := make([]int32, len(rows))
		for i, r := range rows {
			days[i] = r.Day
		}
		_, err = w.WriteBatch(days, def, rep)
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatch(texts, def, rep)
	}
	return err
}

func makeRows(n int) []row {
	kinds := []string{"open", "close", "a=b/c", "", null, "é"}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{ID: int64(i), Kind: kinds[i%len(kinds)], Day: int32(18867 + i%2), Price: int64(i%3)*125 - 50}
		for j := range i % 4 {
			rows[i].Tags = append(rows[i].Tags, fmt.Sprint("t", j))
		}
	}
	return rows
}

const allColumns = "id,kind,day,price,tags"

// writeHive writes rows into directories of day, price and kind, without those columns in the files.
func writeHive(t *testing.T, dir string, rows []row) {
	t.Helper()
	names := map[string]string{"open": "open", "close": "close", "a=b/c": "a%3Db%2Fc", "": "__HIVE_DEFAULT_PARTITION__", null: "__HIVE_DEFAULT_PARTITION__", "é": "é"}
	parts := map[string][]row{}
	for _, r := range rows {
		day := map[int32]string{18867: "2021-08-28", 18868: "2021-08-29"}[r.Day]
		price := map[int64]string{-50: "-0.50", 75: "0.75", 200: "2.00"}[r.Price]
		d := fmt.Sprintf("day=%s/price=%s/kind=%s", day, price, names[r.Kind])
		parts[d] = append([]row{r}, parts[d]...) // another order than the input's
	}
	for d, part := range parts {
		writeRows(t, filepath.Join(dir, d, "part-0.parquet"), "id,tags", part)
	}
	if err := os.WriteFile(filepath.Join(dir, "_SUCCESS"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
}

func compare(t *testing.T, a, b string) (*Result, error) {
	t.Helper()
	last, calls := int64(0), 0
	r, err := Compare(context.Background(), vfs.OS, a, b, Options{Threads: 3, Progress: func(done, total int64) {
		if done < last || done > total {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		last = done
		calls++
	}})
	if err == nil && (calls == 0 || last != r.A.Hash.Rows+r.B.Hash.Rows) {
		t.Errorf("progress ended at %d after %d calls", last, calls)
	}
	return r, err
}

func TestEqualWhateverTheLayout(t *testing.T) {
	dir := t.TempDir()
	rows := makeRows(100)
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c.parquet")
	writeRows(t, filepath.Join(a, "x.parquet"), allColumns, rows[:33])
	writeRows(t, filepath.Join(a, "sub", "y.parquet"), allColumns, rows[33:])
	writeHive(t, b, rows)
	back := slices.Clone(rows)
	slices.Reverse(back)
	writeRows(t, c, "tags,price,id,day,kind", back)
	for _, pair := range [][2]string{{a, a}, {a, b}, {b, a}, {b, b}, {a, c}, {c, b}} {
		r, err := compare(t, pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		// Without a directory column on either side, "" and null stay two values.
		if !r.Equal || r.A.Hash.Rows != 100 || len(r.Columns) != 5 || !strings.HasPrefix(r.Summary(), "equal: 100 rows") {
			t.Errorf("%s and %s: %s", pair[0], pair[1], r.Summary())
		}
	}
}

func TestDifferencesAreNamed(t *testing.T) {
	dir := t.TempDir()
	rows := makeRows(60)
	a := filepath.Join(dir, "a")
	writeRows(t, filepath.Join(a, "x.parquet"), allColumns, rows)
	edit := func(do func(r []row) []row) []row { return do(slices.Clone(rows)) }
	tests := []struct {
		name, columns string
		rows          []row
		want          string
		swapped       bool
	}{
		{"value", allColumns, edit(func(r []row) []row { r[7].ID = 1000; return r }), "values differ in id", false},
		{"null", allColumns, edit(func(r []row) []row { r[4].Kind = ""; return r }), "values differ in kind", false},
		{"nested", allColumns, edit(func(r []row) []row { r[3].Tags = nil; return r }), "values differ in tags.list.element", false},
		{"row lost", allColumns, rows[1:], "60 rows in", false},
		{"row twice", allColumns, append(slices.Clone(rows), rows[0]), "but 61 in", false},
		{"swapped", allColumns, edit(func(r []row) []row { r[0].Price, r[1].Price = r[1].Price, r[0].Price; return r }), "swapped between rows", true},
		{"column lost", "id,kind,day,price", rows, "only in " + a + ": tags", false},
	}
	for _, tt := range tests {
		b := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-"))
		writeRows(t, filepath.Join(b, "x.parquet"), tt.columns, tt.rows)
		r, err := compare(t, a, b)
		if err != nil {
			t.Fatal(err)
		}
		if r.Equal || r.Swapped != tt.swapped || !strings.Contains(r.Summary(), tt.want) {
			t.Errorf("%s: swapped %t, %s", tt.name, r.Swapped, r.Summary())
		}
	}
	// The same swap must be found where one column is in the directories.
	b := filepath.Join(dir, "hive")
	writeHive(t, b, edit(func(r []row) []row { r[0].Price, r[1].Price = r[1].Price, r[0].Price; return r }))
	if r, err := compare(t, a, b); err != nil || !r.Swapped {
		t.Errorf("hive: %v, %v", r, err)
	}
}

func TestWhatCannotBeCompared(t *testing.T) {
	dir := t.TempDir()
	rows := makeRows(10)
	path := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	writeRows(t, path("a", "x.parquet"), allColumns, rows)
	writeRows(t, path("wide", "x.parquet"), "id,wide", rows)
	writeRows(t, path("mixed", "x.parquet"), allColumns, rows)
	writeRows(t, path("mixed", "y.parquet"), "id,wide", rows)
	writeRows(t, path("dirs", "day=2021-08-28", "x.parquet"), "id", rows)
	writeRows(t, path("dirs", "x.parquet"), "id", rows)
	writeRows(t, path("text", "day=yesterday", "x.parquet"), "id", rows)
	writeRows(t, path("list", "tags=x", "x.parquet"), "id", rows)
	writeRows(t, path("other", "x.parquet"), "wide", rows)
	writeRows(t, path("kinds", "x.parquet"), "kind", rows)
	writeRows(t, path("cut", "x.parquet"), allColumns, rows)
	b, err := os.ReadFile(path("cut", "x.parquet"))
	if err == nil {
		err = os.WriteFile(path("cut", "x.parquet"), b[:len(b)/2], 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ a, b, want string }{
		{"a", "wide", `column "price" cannot be compared: DECIMAL(9,2)`},
		{"a", "mixed", "do not fit together"},
		{"a", "dirs", "do not fit together"},
		{"a", "text", `"yesterday" is not a value`},
		{"a", "list", "nested"},
		{"kinds", "other", "no column in common"},
		{"a", "cut", "cut/x.parquet"},
		{"a", "missing", "does not exist"},
	} {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			_, err := Compare(context.Background(), vfs.OS, path(pair[0]), path(pair[1]), Options{})
			var f *model.Failure
			if !errors.As(err, &f) || (!strings.Contains(err.Error(), tt.want) && pair[0] == tt.a) {
				t.Errorf("%s and %s: %v, want %q", pair[0], pair[1], err, tt.want)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Compare(ctx, vfs.OS, path("a"), path("a"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestFaultsSurface fails each operation in turn; with one thread their order is fixed.
func TestFaultsSurface(t *testing.T) {
	dir := t.TempDir()
	rows := makeRows(20)
	writeRows(t, filepath.Join(dir, "a", "x.parquet"), allColumns, rows)
	writeHive(t, filepath.Join(dir, "b"), rows[:4])
	for i := int64(0); ; i++ {
		fsys := &vfs.FaultFS{FS: vfs.OS, FailAt: i}
		_, err := Compare(context.Background(), fsys, filepath.Join(dir, "a"), filepath.Join(dir, "b"), Options{Threads: 1})
		if !fsys.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, vfs.ErrInjected) {
			t.Fatalf("operation %d: %v", i, err)
		}
	}
}
